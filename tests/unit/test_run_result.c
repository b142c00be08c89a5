/* Unit tests of broker/run_result: what a worker claims is hostile input; what clients get. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "broker/run_result.h"
#include "runtime/trap.h"

/* A payload while it is made. Its copy for the parser is on the heap, of just its size, so that an overrun shows. */
struct payload {
	uint8_t bytes[65536];
	size_t length;
	struct proto_result result;
};

static void
begin(struct payload *p, uint32_t status)
{
	memset(p, 0, sizeof(*p));
	p->length = sizeof(p->result);
	p->result.status = status;
	if (status == PROTO_STATUS_TRAPPED)
		p->result.trap = RUNTIME_TRAP_unreachable;
	if (status == PROTO_STATUS_LIMIT)
		p->result.limit = PROTO_LIMIT_wall_ms;
	if (status == PROTO_STATUS_FAILED)
		p->result.failure = PROTO_FAILURE_no_start;
}

static void
add(struct payload *p, const void *data, size_t length)
{
	memcpy(p->bytes + p->length, data, length);
	p->length += length;
}

static void
add_text(struct payload *p, const char *text)
{
	p->result.text_length = (uint32_t)strlen(text);
	add(p, text, strlen(text));
}

static void
add_frame(struct payload *p, uint32_t function, const char *name, uint32_t name_length)
{
	struct proto_frame frame = {.function = function, .name_length = name_length, .module_offset = 100 + function};

	add(p, &frame, sizeof(frame));
	add(p, name, name_length);
	p->result.frame_count++;
}

static int
parse(struct payload *p, struct proto_result *out, char **text, json_t **frames)
{
	uint8_t *exact = malloc(p->length > 0 ? p->length : 1);
	const char *borrowed = NULL;
	struct err e = {0};
	int rc;

	if (p->length >= sizeof(p->result))
		memcpy(p->bytes, &p->result, sizeof(p->result));
	memcpy(exact, p->bytes, p->length);
	rc = run_result_parse(exact, p->length, out, &borrowed, frames, &e);
	if (rc == 0)
		*text = strndup(borrowed, out->text_length);
	else
		assert_int_equal(e.code, rc);
	free(exact);
	return rc;
}

static void
accepted(struct payload *p)
{
	struct proto_result out;
	char *text = NULL;
	json_t *frames = NULL;

	assert_int_equal(parse(p, &out, &text, &frames), 0);
	free(text);
	json_decref(frames);
}

static void
refused(struct payload *p)
{
	struct proto_result out = {.status = 77};
	char *text = NULL;
	json_t *frames = NULL;

	assert_int_equal(parse(p, &out, &text, &frames), ERR_PROTOCOL);
	assert_int_equal(out.status, 77); /* untouched */
	assert_null(frames);
}

static struct payload p;

static void
takes_each_status(void **state)
{
	(void)state;
	for (uint32_t status = PROTO_STATUS_EXITED; status <= PROTO_STATUS_STALE; status++) {
		begin(&p, status);
		accepted(&p);
	}
}

static void
takes_text_and_frames(void **state)
{
	struct proto_result out;
	char *text;
	json_t *frames, *want;

	(void)state;
	begin(&p, PROTO_STATUS_TRAPPED);
	add_text(&p, "caf\xc3\xa9");
	add_frame(&p, 3, "main", 4);
	add_frame(&p, 4, "", 0);
	assert_int_equal(parse(&p, &out, &text, &frames), 0);
	assert_string_equal(text, "caf\xc3\xa9");
	want = json_loads("[{\"function\":3,\"offset\":103,\"name\":\"main\"},{\"function\":4,\"offset\":104}]", 0, NULL);
	assert_true(json_equal(frames, want));
	json_decref(want);
	json_decref(frames);
	free(text);
}

static void
rejects_every_truncation(void **state)
{
	size_t whole;

	(void)state;
	begin(&p, PROTO_STATUS_TRAPPED);
	add_text(&p, "text");
	add_frame(&p, 1, "name", 4);
	whole = p.length;
	accepted(&p);
	for (size_t n = 0; n < whole; n++) {
		p.length = n;
		refused(&p);
	}
}

static void
rejects_bytes_behind_the_last_frame(void **state)
{
	(void)state;
	begin(&p, PROTO_STATUS_TRAPPED);
	add_frame(&p, 1, "name", 4);
	add(&p, "", 1);
	refused(&p);
	begin(&p, PROTO_STATUS_EXITED);
	add(&p, "x", 1);
	refused(&p);
}

static void
rejects_numbers_out_of_their_range(void **state)
{
	static const uint32_t statuses[] = {0, PROTO_STATUS_STALE + 1, UINT32_MAX};
	static const uint32_t odd[] = {21, 1000, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		begin(&p, statuses[i]);
		refused(&p);
		begin(&p, PROTO_STATUS_TRAPPED);
		p.result.trap = odd[i];
		refused(&p);
		begin(&p, PROTO_STATUS_LIMIT);
		p.result.limit = odd[i];
		refused(&p);
		begin(&p, PROTO_STATUS_FAILED);
		p.result.failure = odd[i];
		refused(&p);
	}
}

static void
rejects_claims_that_contradict_each_other(void **state)
{
	(void)state;
	begin(&p, PROTO_STATUS_EXITED);
	p.result.trap = RUNTIME_TRAP_unreachable;
	refused(&p);
	begin(&p, PROTO_STATUS_EXITED);
	p.result.limit = PROTO_LIMIT_fuel;
	refused(&p);
	begin(&p, PROTO_STATUS_TRAPPED);
	p.result.trap = 0;
	refused(&p);
	begin(&p, PROTO_STATUS_LIMIT);
	p.result.limit = 0;
	refused(&p);
	begin(&p, PROTO_STATUS_FAILED);
	p.result.failure = 0;
	refused(&p);
	begin(&p, PROTO_STATUS_FAILED);
	p.result.failure = PROTO_FAILURE_lost; /* brigd's to say */
	refused(&p);
	begin(&p, PROTO_STATUS_EXITED);
	p.result.failure = PROTO_FAILURE_no_start;
	refused(&p);
}

static void
rejects_lengths_that_lie(void **state)
{
	static const uint32_t lies[] = {5, 100000, UINT32_MAX, UINT32_MAX - 15};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		begin(&p, PROTO_STATUS_FAILED);
		add_text(&p, "text");
		p.result.text_length = lies[i];
		refused(&p);
		begin(&p, PROTO_STATUS_TRAPPED);
		add_frame(&p, 1, "name", 4);
		((struct proto_frame *)(void *)(p.bytes + sizeof(struct proto_result)))->name_length = lies[i];
		refused(&p);
		begin(&p, PROTO_STATUS_TRAPPED);
		add_frame(&p, 1, "name", 4);
		p.result.frame_count = lies[i];
		refused(&p);
	}
}

static void
frames_and_names_have_their_limits(void **state)
{
	char name[PROTO_NAME_MAX + 1];

	(void)state;
	memset(name, 'n', sizeof(name));
	begin(&p, PROTO_STATUS_TRAPPED);
	for (uint32_t i = 0; i < PROTO_FRAMES_MAX; i++)
		add_frame(&p, i, name, PROTO_NAME_MAX);
	accepted(&p);
	add_frame(&p, 0, "", 0);
	refused(&p);
	begin(&p, PROTO_STATUS_TRAPPED);
	add_frame(&p, 0, name, PROTO_NAME_MAX + 1);
	refused(&p);
}

static void
rejects_text_and_names_that_are_not_utf8(void **state)
{
	(void)state;
	begin(&p, PROTO_STATUS_FAILED);
	add_text(&p, "\xff");
	refused(&p);
	begin(&p, PROTO_STATUS_TRAPPED);
	add_frame(&p, 0, "\xed\xa0\x80", 3);
	refused(&p);
}

/* Many a JSON decoder refuses a line with NUL in it, so no guest may put one there. */
static void
names_end_at_a_nul(void **state)
{
	struct proto_result out;
	char *text;
	json_t *frames;

	(void)state;
	begin(&p, PROTO_STATUS_TRAPPED);
	add_frame(&p, 0, "a\0b", 3);
	add_frame(&p, 1, "\0", 1);
	assert_int_equal(parse(&p, &out, &text, &frames), 0);
	free(text);
	text = json_dumps(frames, JSON_COMPACT);
	assert_null(strstr(text, "u0000"));
	free(text);
	assert_string_equal(json_string_value(json_object_get(json_array_get(frames, 0), "name")), "a");
	json_decref(frames);
}

/* --- what clients get ------------------------------------------------------------------------------------------- */

static struct run_facts
facts(enum run_status status)
{
	return (struct run_facts){.run_id = "run-1", .status = status, .reason = "", .trap_text = "", .module_digest = "sha256:m",
	    .signer = "", .signature_kind = "none", .policy_digest = "sha256:p", .start = RUN_START_CACHED};
}

/* The result as JSON; `f` borrows lists that are made here. */
static json_t *
result_of(struct run_facts f)
{
	json_t *denials = json_array(), *frames = json_array(), *result;
	char *usage = run_usage_text(&f);
	struct run_result both = {0};

	f.denials = denials;
	f.frames = frames;
	f.usage = usage;
	assert_int_equal(run_result_make(&f, &both), 0);
	result = run_result_json(&both);
	assert_non_null(result);
	assert_false(json_object_size(both.rest) > 0 && f.status == RUN_exited && f.out.length < 1000);
	run_result_free(&both);
	free(usage);
	json_decref(denials);
	json_decref(frames);
	return result;
}

static const char *
string_of(const json_t *result, const char *name)
{
	return json_string_value(json_object_get(result, name));
}

static void
result_has_what_its_status_calls_for(void **state)
{
	static const struct {
		enum run_status status;
		const char *has;
	} all[] = {{RUN_exited, "exit_code"}, {RUN_trapped, "trap"}, {RUN_limit, "limit"}};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct run_facts f = facts(all[i].status);
		json_t *result;

		f.claimed.trap = RUNTIME_TRAP_unreachable;
		f.limit = PROTO_LIMIT_cpu_ms;
		f.exit_code = 4294967295U;
		result = result_of(f);
		assert_string_equal(string_of(result, "status"), run_status_name(all[i].status));
		for (size_t j = 0; j < 3; j++)
			assert_true((json_object_get(result, all[j].has) != NULL) == (i == j));
		json_decref(result);
	}
}

static json_t *
result_with(const void *out, size_t out_length, const void *err, size_t err_length)
{
	struct run_facts f = facts(RUN_exited);

	f.out = (struct run_stream){.data = out, .length = out_length};
	f.err = (struct run_stream){.data = err, .length = err_length};
	return result_of(f);
}

static void
output_is_text_when_both_streams_are(void **state)
{
	json_t *result = result_with("caf\xc3\xa9\n", 6, NULL, 0);

	(void)state;
	assert_string_equal(string_of(result, "stdout"), "caf\xc3\xa9\n");
	assert_string_equal(string_of(result, "stderr"), "");
	assert_string_equal(string_of(result, "encoding"), "utf-8");
	json_decref(result);
}

static void
both_streams_are_base64_when_one_must_be(void **state)
{
	json_t *result = result_with("a\0b", 3, "text", 4);

	(void)state;
	assert_string_equal(string_of(result, "stdout"), "YQBi");
	assert_string_equal(string_of(result, "stderr"), "dGV4dA==");
	assert_string_equal(string_of(result, "encoding"), "base64");
	json_decref(result);
	result = result_with(NULL, 0, "\xff", 1);
	assert_string_equal(string_of(result, "stdout"), "");
	assert_string_equal(string_of(result, "stderr"), "/w==");
	assert_string_equal(string_of(result, "encoding"), "base64");
	json_decref(result);
}

static void
streamed_output_is_not_repeated(void **state)
{
	struct run_facts f = facts(RUN_exited);
	json_t *result;

	(void)state;
	f.streamed = true;
	result = result_of(f);
	assert_null(json_object_get(result, "stdout"));
	assert_null(json_object_get(result, "encoding"));
	json_decref(result);
}

/* A worker that was killed has counted nothing, but what arrived is known. */
static void
output_that_arrived_counts_without_a_claim(void **state)
{
	struct run_facts f = facts(RUN_cancelled);
	json_t *result;

	(void)state;
	f.streamed = true;
	f.out.sent = 8;
	f.err.sent = 3;
	f.claimed.stderr_bytes = 5; /* some was cut */
	result = result_of(f);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(result, "usage"), "stdout_bytes")), 8);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(result, "usage"), "stderr_bytes")), 5);
	json_decref(result);
}

static void
counts_past_what_json_holds_stay_positive(void **state)
{
	struct run_facts f = facts(RUN_exited);
	json_t *result, *usage;

	(void)state;
	memset(&f.claimed, 0xff, sizeof(f.claimed));
	f.claimed.status = PROTO_STATUS_EXITED;
	result = result_of(f);
	usage = json_object_get(result, "usage");
	assert_true(json_integer_value(json_object_get(usage, "fuel")) == INT64_MAX);
	assert_int_equal(json_object_size(json_object_get(usage, "host_calls")), PROTO_WASI_CALLS);
	json_decref(result);
}

static void
names_of_what_is_not_in_the_tables(void **state)
{
	(void)state;
	assert_null(run_call_name(0));
	assert_null(run_call_name(PROTO_WASI_CALLS + 1));
	assert_null(run_call_name(UINT32_MAX));
	assert_non_null(run_call_name(1));
	assert_non_null(run_call_name(PROTO_WASI_CALLS));
	assert_string_equal(run_trap_name(0), "?");
	assert_string_equal(run_limit_name(99), "?");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(takes_each_status),
	    cmocka_unit_test(takes_text_and_frames),
	    cmocka_unit_test(rejects_every_truncation),
	    cmocka_unit_test(rejects_bytes_behind_the_last_frame),
	    cmocka_unit_test(rejects_numbers_out_of_their_range),
	    cmocka_unit_test(rejects_claims_that_contradict_each_other),
	    cmocka_unit_test(rejects_lengths_that_lie),
	    cmocka_unit_test(frames_and_names_have_their_limits),
	    cmocka_unit_test(rejects_text_and_names_that_are_not_utf8),
	    cmocka_unit_test(names_end_at_a_nul),
	    cmocka_unit_test(result_has_what_its_status_calls_for),
	    cmocka_unit_test(output_is_text_when_both_streams_are),
	    cmocka_unit_test(both_streams_are_base64_when_one_must_be),
	    cmocka_unit_test(streamed_output_is_not_repeated),
	    cmocka_unit_test(output_that_arrived_counts_without_a_claim),
	    cmocka_unit_test(counts_past_what_json_holds_stay_positive),
	    cmocka_unit_test(names_of_what_is_not_in_the_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
