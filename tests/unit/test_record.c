/* Unit tests of audit/record. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/chain.h"
#include "audit/log.h"
#include "audit/record.h"

static const struct digest module = {{1, 2, 3}}, policy = {{4}}, output = {{5}};
static const struct record_actor actor = {1000, 1001, 4242};

#define MODULE_HEX "0102030000000000000000000000000000000000000000000000000000000000"

static struct record_run
a_run(void)
{
	return (struct record_run){.time_ms = 1700000000123, .actor = actor, .run_id = "run-1", .module = &module,
	    .signer = "kid", .signature = "embedded", .policy = &policy};
}

/* The value at a path like "unmapped.brig.stdout.bytes". */
static const json_t *
at(const json_t *json, const char *path)
{
	char copy[200], *rest = copy, *key;

	assert_in_range(strlen(path), 0, sizeof(copy) - 1);
	strcpy(copy, path);
	while ((key = strsep(&rest, ".")) != NULL)
		json = json_is_array(json) ? json_array_get(json, (size_t)atoi(key)) : json_object_get(json, key);
	return json;
}

/* What OCSF 1.3 requires of each class, beyond what it requires of all: the paths of members. */
static const struct {
	int class;
	const char *paths[12];
} required[] = {
    {0, {"metadata.version", "metadata.product.name", "metadata.product.vendor_name"}},
    {1007, {"actor.process.pid", "actor.process.user.uid", "device.type_id", "device.hostname", "process.uid",
        "process.file.name", "process.file.type_id"}},
    {6002, {"app.name", "app.vendor_name"}},
    {6003, {"actor.process.pid", "actor.process.user.uid", "api.operation", "api.service.name", "src_endpoint.hostname"}},
};

static void
assert_required(const json_t *json)
{
	const json_int_t class = json_integer_value(json_object_get(json, "class_uid"));

	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++)
		for (size_t n = 0; n < 12 && required[i].paths[n] != NULL; n++)
			if ((required[i].class == 0 || required[i].class == class) && at(json, required[i].paths[n]) == NULL)
				fail_msg("class %d lacks %s", (int)class, required[i].paths[n]);
}

/* Takes the text, and checks what every OCSF event has to have. */
static json_t *
parsed(int rc, char *text, size_t length)
{
	json_t *json, *type, *class, *activity;
	struct chain chain = {0};
	struct digest hash;
	static char line[LOG_RECORD_MAX + 1];

	assert_int_equal(rc, 0);
	assert_int_equal(strlen(text), length);
	assert_in_range(length, 1, RECORD_TEXT_MAX);
	assert_int_equal(chain_complete(&chain, text, length, 1, NULL, line, &length, &hash, NULL), 0);
	json = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	free(text);
	class = json_object_get(json, "class_uid");
	activity = json_object_get(json, "activity_id");
	type = json_object_get(json, "type_uid");
	assert_int_equal(json_integer_value(type), json_integer_value(class) * 100 + json_integer_value(activity));
	assert_int_equal(json_integer_value(json_object_get(json, "category_uid")), json_integer_value(class) / 1000);
	assert_true(json_is_integer(json_object_get(json, "time")));
	assert_true(json_is_integer(json_object_get(json, "severity_id")));
	assert_true(json_is_integer(json_object_get(json, "status_id")));
	assert_required(json);
	return json;
}

#define PARSED(call) (rc = (call), parsed(rc, text, length))

static void
assert_text(const json_t *json, const char *path, const char *want)
{
	const json_t *value = at(json, path);

	if (!json_is_string(value))
		fail_msg("%s is not there", path);
	assert_string_equal(json_string_value(value), want);
}

static void
assert_number(const json_t *json, const char *path, json_int_t want)
{
	const json_t *value = at(json, path);

	if (!json_is_integer(value))
		fail_msg("%s is not there", path);
	assert_int_equal(json_integer_value(value), want);
}

static void
an_intent_says_who_wants_to_run_what(void **state)
{
	struct record_run r = a_run();
	size_t length = 0;
	char *text = NULL;
	json_t *json;
	int rc;

	(void)state;
	r.limits = "{\"wall_ms\":10000}";
	r.input = &output;
	json = PARSED(record_of_intent(&r, &text, &length, NULL));
	assert_number(json, "type_uid", 100701);
	assert_number(json, "time", 1700000000123);
	assert_number(json, "actor.process.pid", 4242);
	assert_text(json, "actor.process.user.uid", "1000");
	assert_text(json, "actor.process.user.groups.0.uid", "1001");
	assert_text(json, "process.uid", "run-1");
	assert_text(json, "process.file.hashes.0.value", MODULE_HEX);
	assert_number(json, "process.file.hashes.0.algorithm_id", 3);
	assert_text(json, "process.file.name", "sha256:" MODULE_HEX);
	assert_text(json, "unmapped.brig.signer", "kid");
	assert_text(json, "unmapped.brig.signature", "embedded");
	assert_number(json, "unmapped.brig.limits.wall_ms", 10000);
	assert_text(json, "unmapped.brig.policy", "sha256:0400000000000000000000000000000000000000000000000000000000000000");
	assert_text(json, "unmapped.brig.input", "sha256:0500000000000000000000000000000000000000000000000000000000000000");
	assert_null(at(json, "status_code"));
	json_decref(json);
}

static void
an_outcome_has_outputs_by_digest_and_usage(void **state)
{
	struct record_outcome r = {.run = a_run(), .ended_ms = 1700000000999, .status = "exited", .has_exit_code = true,
	    .exit_code = 3, .out = {12, &output, true}, .usage = "{\"wall_us\":77}"};
	size_t length = 0;
	char *text = NULL;
	json_t *json;
	int rc;

	(void)state;
	json = PARSED(record_of_outcome(&r, &text, &length, NULL));
	assert_number(json, "type_uid", 100702);
	assert_number(json, "exit_code", 3);
	assert_number(json, "status_id", 1);
	assert_number(json, "time", 1700000000999);
	assert_text(json, "process.uid", "run-1");
	assert_number(json, "process.created_time", 1700000000123);
	assert_text(json, "process.file.name", "sha256:" MODULE_HEX);
	assert_text(json, "status_code", "exited");
	assert_number(json, "unmapped.brig.stdout.bytes", 12);
	assert_true(json_is_true(at(json, "unmapped.brig.stdout.truncated")));
	assert_text(json, "unmapped.brig.stdout.digest",
	    "sha256:0500000000000000000000000000000000000000000000000000000000000000");
	assert_null(at(json, "unmapped.brig.stderr"));
	assert_number(json, "unmapped.brig.usage.wall_us", 77);
	json_decref(json);
}

/* Runs that are alike but for one thing, one after the other: no part of the last one may be left in the next. */
static void
a_record_has_what_is_its_own_whatever_the_last_one_had(void **state)
{
	static const struct digest other = {{9}};
	static const char *const names[] = {"kid", "dik", "", "kid", NULL};
	static char longest[200];
	static const char *const limits[] = {"{\"wall_ms\":1}", "{\"wall_ms\":2}", NULL};
	struct record_run r = a_run();
	char *text = NULL, want[2][DIGEST_TEXT_SIZE];
	size_t length = 0;
	int rc;

	(void)state;
	memset(longest, 'k', sizeof(longest) - 1);
	for (unsigned i = 0; i < 2 * 2 * 3 * 6; i++) {
		const struct record_outcome o = {.run = r, .status = "exited"};
		json_t *intent, *outcome;

		r.module = i % 2 == 0 ? &module : &other;
		r.policy = i / 2 % 2 == 0 ? &policy : &other;
		r.limits = limits[i / 2 % 2];
		r.signer = i / 4 % 6 < 5 ? names[i / 4 % 6] : longest;
		r.mode = i % 3 == 0 ? "learn" : NULL;
		intent = PARSED(record_of_intent(&r, &text, &length, NULL));
		assert_text(intent, "process.file.name", digest_text(r.module, want[0]));
		assert_text(intent, "unmapped.brig.policy", digest_text(r.policy, want[1]));
		assert_number(intent, "unmapped.brig.limits.wall_ms", i / 2 % 2 + 1);
		assert_true((at(intent, "unmapped.brig.mode") != NULL) == (i % 3 == 0));
		if (r.signer != NULL && r.signer[0] != '\0')
			assert_text(intent, "unmapped.brig.signer", r.signer);
		else
			assert_null(at(intent, "unmapped.brig.signer"));
		outcome = PARSED(record_of_outcome(&o, &text, &length, NULL));
		assert_text(outcome, "process.file.name", digest_text(o.run.module, want[0]));
		assert_text(outcome, "unmapped.brig.policy", digest_text(o.run.policy, want[1]));
		assert_null(at(outcome, "unmapped.brig.limits"));
		json_decref(intent);
		json_decref(outcome);
	}
	r.policy = NULL; /* nothing says which limits those are */
	for (int i = 0; i < 3; i++) {
		json_t *intent;

		r.limits = limits[i];
		intent = PARSED(record_of_intent(&r, &text, &length, NULL));
		assert_int_equal(json_integer_value(at(intent, "unmapped.brig.limits.wall_ms")), (i + 1) % 3);
		json_decref(intent);
	}
}

static void
records_of_different_clients_name_each_its_own(void **state)
{
	static const struct record_actor clients[] = {{1, 2, 3}, {1, 2, 3}, {4, 2, 3}, {4, 5, 3}, {4, 5, 6}, {1, 2, 3}};

	(void)state;
	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		struct record_run r = a_run();
		size_t length = 0;
		char *text = NULL, number[16];
		json_t *json;
		int rc;

		r.actor = clients[i];
		json = PARSED(record_of_intent(&r, &text, &length, NULL));
		assert_number(json, "actor.process.pid", clients[i].pid);
		snprintf(number, sizeof(number), "%u", (unsigned)clients[i].uid);
		assert_text(json, "actor.process.user.uid", number);
		snprintf(number, sizeof(number), "%u", (unsigned)clients[i].gid);
		assert_text(json, "actor.process.user.groups.0.uid", number);
		json_decref(json);
	}
}

static void
an_exit_code_past_31_bits_is_kept_where_ocsf_has_no_room_for_it(void **state)
{
	struct record_outcome r = {.run = a_run(), .status = "exited", .has_exit_code = true, .exit_code = UINT32_MAX};
	size_t length = 0;
	char *text = NULL;
	json_t *json;
	int rc;

	(void)state;
	json = PARSED(record_of_outcome(&r, &text, &length, NULL));
	assert_null(at(json, "exit_code"));
	assert_number(json, "unmapped.brig.exit_code", UINT32_MAX);
	json_decref(json);
}

static void
an_unsigned_limited_run_says_so(void **state)
{
	struct record_outcome r = {.run = a_run(), .status = "limit", .limit = "wall_ms", .reason = "it took too long"};
	size_t length = 0;
	char *text = NULL;
	json_t *json;
	int rc;

	(void)state;
	r.run.signer = "";
	r.run.signature = "none";
	json = PARSED(record_of_outcome(&r, &text, &length, NULL));
	assert_number(json, "status_id", 2);
	assert_text(json, "status_detail", "it took too long");
	assert_text(json, "status_code", "limit");
	assert_text(json, "unmapped.brig.limit", "wall_ms");
	assert_text(json, "unmapped.brig.signature", "none");
	assert_null(at(json, "unmapped.brig.signer"));
	json_decref(json);
}

static void
a_refusal_names_method_and_error(void **state)
{
	struct record_refusal r = {.time_ms = 1, .actor = actor, .method = "run", .error = "unsigned_module",
	    .error_number = -32020, .detail = "the module is not signed", .module = &module};
	size_t length = 0;
	char *text = NULL;
	json_t *json;
	int rc;

	(void)state;
	json = PARSED(record_of_refusal(&r, &text, &length, NULL));
	assert_number(json, "type_uid", 600301);
	assert_number(json, "status_id", 2);
	assert_text(json, "status_code", "unsigned_module");
	assert_text(json, "api.operation", "run");
	assert_number(json, "api.response.code", -32020);
	assert_text(json, "api.response.error", "unsigned_module");
	assert_text(json, "resources.0.uid", "sha256:" MODULE_HEX);
	assert_non_null(at(json, "src_endpoint.hostname"));
	json_decref(json);
}

static void
methods_have_their_activities(void **state)
{
	static const struct {
		const char *method;
		int type;
	} want[] = {{"module.put", 600301}, {"module.get", 600302}, {"module.list", 600302}, {"module.remove", 600304},
	    {"start", 600399}, {"no.such", 600399}, {"", 600399}};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct record_refusal r = {.actor = actor, .method = want[i].method, .error = "denied", .detail = ""};
		size_t length = 0;
		char *text = NULL;
		json_t *json;
		int rc;

		json = PARSED(record_of_refusal(&r, &text, &length, NULL));
		assert_number(json, "type_uid", want[i].type);
		json_decref(json);
	}
}

static void
a_module_record_says_what_was_put(void **state)
{
	struct record_module r = {.time_ms = 5, .actor = actor, .method = "module.put", .module = &module, .size = 99,
	    .signer = "kid", .signature = "detached"};
	size_t length = 0;
	char *text = NULL;
	json_t *json;
	int rc;

	(void)state;
	json = PARSED(record_of_module(&r, &text, &length, NULL));
	assert_number(json, "status_id", 1);
	assert_text(json, "resources.0.uid", "sha256:" MODULE_HEX);
	assert_number(json, "unmapped.brig.size", 99);
	assert_text(json, "unmapped.brig.signer", "kid");
	assert_text(json, "unmapped.brig.signature", "detached");
	json_decref(json);
}

static void
a_service_record_is_a_lifecycle_event(void **state)
{
	static const struct {
		const char *what;
		int type;
	} want[] = {{"start", 600203}, {"stop", 600204}, {"reload", 600299}, {"run", 600299}};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct record_service r = {.time_ms = 5, .what = want[i].what, .detail = "the keyring is at version 3"};
		size_t length = 0;
		char *text = NULL;
		json_t *json;
		int rc;

		json = PARSED(record_of_service(&r, &text, &length, NULL));
		assert_number(json, "type_uid", want[i].type);
		assert_text(json, "message", "the keyring is at version 3");
		assert_text(json, "unmapped.brig.event", want[i].what);
		json_decref(json);
	}
}

static void
texts_that_are_not_utf8_or_too_long_are_made_fit(void **state)
{
	char long_text[3 * RECORD_STRING_MAX];
	struct record_refusal r = {.actor = actor, .method = "bad\xff\xfe", .error = "denied", .detail = long_text};
	size_t length = 0;
	char *text = NULL;
	json_t *json;
	int rc;

	(void)state;
	for (size_t i = 0; i < sizeof(long_text) - 1; i += 2)
		memcpy(long_text + i, "\xc3\xa9", 2); /* one character in two bytes */
	long_text[0] = 'x'; /* and so they no longer end at even places; the first is broken */
	long_text[1] = 'y';
	memmove(long_text + 1, long_text + 2, sizeof(long_text) - 3);
	long_text[sizeof(long_text) - 3] = '\0';
	json = PARSED(record_of_refusal(&r, &text, &length, NULL));
	assert_text(json, "api.operation", "bad??");
	assert_int_equal(json_string_length(at(json, "status_detail")), RECORD_STRING_MAX - 1);
	json_decref(json);
}

static void
of_too_many_denials_the_first_are_kept_and_the_rest_counted(void **state)
{
	json_t *denials = json_array();
	struct record_outcome r = {.run = a_run(), .status = "exited", .denials = denials, .usage = "{\"wall_us\":1}",
	    .denials_omitted = 1000};
	char target[1001], *text = NULL;
	size_t length = 0, kept;
	json_t *json;
	int rc;

	(void)state;
	memset(target, 'x', 1000);
	target[1000] = '\0';
	for (int i = 0; i < 64; i++)
		json_array_append_new(denials, json_pack("{s:s, s:i, s:i}", "target", target, "count", 10, "number", i));
	json = PARSED(record_of_outcome(&r, &text, &length, NULL));
	kept = json_array_size(at(json, "unmapped.brig.denials"));
	assert_in_range(kept, 55, 58); /* of 1,033 bytes each in 60,000 */
	assert_number(json, "unmapped.brig.denials.0.number", 0);
	assert_number(json, "unmapped.brig.denials_omitted", 1000 + 10 * (64 - (int)kept));
	assert_non_null(at(json, "unmapped.brig.denials_digest"));
	assert_number(json, "unmapped.brig.usage.wall_us", 1);
	assert_int_equal(json_array_size(denials), 64); /* the result's own list is left alone */
	json_decref(json);
	json_array_remove(denials, 0);
	while (json_array_size(denials) > 40)
		json_array_remove(denials, 40);
	json = PARSED(record_of_outcome(&r, &text, &length, NULL));
	assert_int_equal(json_array_size(at(json, "unmapped.brig.denials")), 40);
	assert_number(json, "unmapped.brig.denials_omitted", 1000);
	assert_null(at(json, "unmapped.brig.denials_digest"));
	json_decref(json);
	json_decref(denials);
}

static void
a_large_part_is_replaced_by_its_digest(void **state)
{
	json_t *usage = json_object();
	struct record_outcome r = {.run = a_run(), .status = "exited"};
	char *text = NULL, name[16], *long_usage;
	size_t length = 0;
	json_t *json;
	int rc;

	(void)state;
	for (int i = 0; i < 8000; i++) {
		snprintf(name, sizeof(name), "u%d", i);
		json_object_set_new(usage, name, json_integer(i));
	}
	r.usage = long_usage = json_dumps(usage, JSON_COMPACT);
	json = PARSED(record_of_outcome(&r, &text, &length, NULL));
	assert_non_null(at(json, "unmapped.brig.usage.omitted"));
	assert_text(json, "process.uid", "run-1"); /* the rest is as it was */
	json_decref(json);
	free(long_usage);
	json_decref(usage);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_intent_says_who_wants_to_run_what),
	    cmocka_unit_test(an_outcome_has_outputs_by_digest_and_usage),
	    cmocka_unit_test(a_record_has_what_is_its_own_whatever_the_last_one_had),
	    cmocka_unit_test(records_of_different_clients_name_each_its_own),
	    cmocka_unit_test(an_exit_code_past_31_bits_is_kept_where_ocsf_has_no_room_for_it),
	    cmocka_unit_test(an_unsigned_limited_run_says_so),
	    cmocka_unit_test(a_refusal_names_method_and_error),
	    cmocka_unit_test(methods_have_their_activities),
	    cmocka_unit_test(a_module_record_says_what_was_put),
	    cmocka_unit_test(a_service_record_is_a_lifecycle_event),
	    cmocka_unit_test(texts_that_are_not_utf8_or_too_long_are_made_fit),
	    cmocka_unit_test(of_too_many_denials_the_first_are_kept_and_the_rest_counted),
	    cmocka_unit_test(a_large_part_is_replaced_by_its_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
