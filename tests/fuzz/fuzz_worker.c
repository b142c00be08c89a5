/* Fuzz target: what a worker says of its run (broker/run_job), and what client and log are told of it then. */

#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

#include "audit/chain.h"
#include "audit/log.h"
#include "audit/record.h"
#include "broker/run.h"
#include "tests/fuzz/input.h"

#define NUMBER       UINT64_C(42) /* of the run */
#define OUTPUT_BYTES 4096

/*
 * An input is: options, then messages: type, flags, length, payload. With RESULT the payload is a result whose fields
 * are given by a byte each, so that an input says the same when the structure changes.
 */
enum { OPTION_STREAM = 1, OPTION_NO_CLOCK = 2, OPTION_NO_RANDOM = 4, OPTION_READ_ONLY = 8, OPTION_LEARN = 16 };
enum { FLAG_OTHER_RUN = 1, FLAG_DESCRIPTOR = 2, FLAG_RESULT = 4 };

static struct policy *
fixed_policy(void)
{
	static struct policy *p;

	if (p == NULL) {
		MUST(policy_builtin(&p, NULL) == 0);
		p->limits[POLICY_LIMIT_output_bytes] = OUTPUT_BYTES;
		p->limits[POLICY_LIMIT_changes_bytes] = OUTPUT_BYTES;
		p->fs[0].mount = true;
	}
	return p;
}

/* The policy of a run in learn mode, with a mount in a mount, and less to be had below. */
static struct policy *
learn_policy(void)
{
	static const char text[] = "{\"mode\": \"learn\", \"clock\": \"real\", \"limits\": {\"output_bytes\": 4096,"
	    "\"changes_bytes\": 4096}, \"fs\": [{\"mount\": \"/w\", \"rights\": [\"read\", \"write\", \"create\"], \"paths\":"
	    "{\"a\": [\"read\"], \"b\": []}}, {\"mount\": \"/w/m\", \"kind\": \"inline\", \"rights\": [\"create\", \"delete\"]}]}";
	static struct policy *p, *asked;

	if (p == NULL) {
		MUST(policy_parse(text, strlen(text), NULL, &asked, NULL) == 0);
		MUST(policy_effective(&(struct policy_layer){POLICY_LAYER_REQUEST, asked}, 1, &p, NULL) == 0);
		MUST(p->mode == POLICY_MODE_LEARN);
	}
	return p;
}

/* A layer that lets files be read only. */
static const struct policy *
read_only(void)
{
	static const char text[] = "{\"fs\": [{\"mount\": \"/\", \"rights\": [\"read\"]}]}";
	static struct policy *p;

	if (p == NULL)
		MUST(policy_parse(text, strlen(text), NULL, &p, NULL) == 0);
	return p;
}

static struct policy_denial *
withhold(enum policy_capability capability)
{
	struct policy_denial *d = calloc(1, sizeof(*d));

	MUST(d != NULL);
	d->capability = capability;
	strcpy(d->message, "it is not granted");
	strcpy(d->grant, "\"clock\": \"real\"");
	return d;
}

static void
begin(struct run *run, uint8_t options)
{
	*run = (struct run){.number = NUMBER, .id = "run-fuzzed", .request.module.fd = -1};
	run->policy = (options & OPTION_LEARN) != 0 ? learn_policy() : fixed_policy();
	run->request.stream_output = (options & OPTION_STREAM) != 0;
	run->denials = json_array();
	for (int i = 0; i < 2; i++) {
		run->output[i] = evbuffer_new();
		crypto_hash_sha256_init(&run->hash[i]);
	}
	if ((options & OPTION_NO_CLOCK) != 0)
		run->no_clock = withhold(POLICY_CAP_CLOCK);
	if ((options & OPTION_NO_RANDOM) != 0)
		run->no_random = withhold(POLICY_CAP_RANDOM);
	if ((options & OPTION_READ_ONLY) != 0)
		run->layers[run->layer_count++] = (struct policy_layer){POLICY_LAYER_REQUEST, read_only()};
}

static void
end(struct run *run)
{
	for (int i = 0; i < 2; i++)
		evbuffer_free(run->output[i]);
	json_decref(run->denials);
	json_decref(run->warnings);
	json_decref(run->frames);
	run_changes_clear(&run->changes);
	run_learned_clear(&run->learned);
	free(run->no_clock);
	free(run->no_random);
	free(run->trap_text);
}

/* Puts a result into the message: its fields, and then text and frames as they come. */
static void
put_result(struct imsg *m, struct input *in)
{
	struct proto_result r = {0};
	struct block tail;

	r.status = input_byte(in);
	r.exit_code = input_byte(in);
	r.trap = input_byte(in);
	r.limit = input_byte(in);
	r.failure = input_byte(in);
	r.text_length = input_byte(in);
	r.frame_count = input_byte(in);
	r.phase = input_byte(in) % 6;
	r.denials_omitted = UINT64_MAX >> input_byte(in) % 64;
	r.stdout_bytes = r.fuel_used = UINT64_MAX >> input_byte(in) % 64;
	r.host_calls[input_byte(in) % PROTO_WASI_CALLS] = r.stdout_bytes;
	tail = input_take(in, sizeof(m->payload) - sizeof(r));
	memcpy(m->payload, &r, sizeof(r));
	memcpy(m->payload + sizeof(r), tail.data, tail.length);
	m->hdr.length = (uint32_t)(sizeof(r) + tail.length);
	free(tail.data);
}

/* The next message of the input; the sanitizer watches what is behind its payload. Returns its flags. */
static uint8_t
take_message(struct input *in, struct imsg *m)
{
	uint8_t type = input_byte(in), flags = input_byte(in);
	struct block payload = input_take(in, input_u16(in));

	m->hdr = (struct imsg_hdr){.type = type, .run = NUMBER + ((flags & FLAG_OTHER_RUN) != 0)};
	m->nfds = (flags & FLAG_DESCRIPTOR) != 0;
	ASAN_UNPOISON_MEMORY_REGION(m->payload, sizeof(m->payload));
	if ((flags & FLAG_RESULT) != 0) {
		put_result(m, &(struct input){payload.data, payload.length});
	} else {
		m->hdr.length = (uint32_t)(payload.length < sizeof(m->payload) ? payload.length : sizeof(m->payload));
		memcpy(m->payload, payload.data, m->hdr.length);
	}
	ASAN_POISON_MEMORY_REGION(m->payload + m->hdr.length, sizeof(m->payload) - m->hdr.length);
	free(payload.data);
	return flags;
}

/* Hands the messages over until one is refused. */
static void
listen_to(struct run *run, struct input *in)
{
	static struct imsg m;
	int rc = 0;

	while (rc == 0 && in->left > 0) {
		bool had_result = run->has_result;
		struct err e = {0};
		uint8_t flags = take_message(in, &m);

		rc = run_job_message(run, &m, &e);
		MUST(rc == e.code && (rc == 0 || e.msg[0] != '\0'));
		MUST(rc != 0 || (!had_result && (flags & (FLAG_OTHER_RUN | FLAG_DESCRIPTOR)) == 0));
	}
}

static struct run_stream
stream_of(struct run *run, int i, const struct digest *digest)
{
	MUST(run->received[i] <= OUTPUT_BYTES);
	MUST(run->request.stream_output || evbuffer_get_length(run->output[i]) == run->received[i]);
	return (struct run_stream){evbuffer_pullup(run->output[i], -1), evbuffer_get_length(run->output[i]),
	    run->received[i], false, *digest};
}

/* Whatever it said, the log takes the record of it. */
static void
must_be_recorded(const struct run_facts *f, const struct digest *d)
{
	const struct record_outcome r = {
	    .run = {.run_id = f->run_id, .module = d, .signature = "none", .policy = d, .input = d},
	    .status = run_status_name(f->status),
	    .trap = run_trap_name(f->claimed.trap),
	    .limit = run_limit_name(f->claimed.limit),
	    .reason = f->reason,
	    .out = {.bytes = f->claimed.stdout_bytes, .digest = d},
	    .err = {.bytes = f->claimed.stderr_bytes, .digest = d},
	    .usage = f->usage,
	    .denials = f->denials,
	    .denials_omitted = f->claimed.denials_omitted,
	};
	char *text = NULL, line[LOG_RECORD_MAX + 1];
	struct chain_record record;
	struct chain chain = {0};
	struct digest hash;
	size_t length = 0;

	MUST(record_of_outcome(&r, &text, &length, NULL) == 0);
	MUST(chain_complete(&chain, text, length, 0, NULL, line, &length, &hash, NULL) == 0);
	MUST(chain_parse(line, length - 1, &record, NULL) == 0);
	chain_record_clear(&record);
	free(text);
}

/* What was learned is a good document, and allows nothing that the run was not allowed. */
static void
must_be_learned(const struct run *run)
{
	static const char *const env[] = {"LANG", "A*B", "n\nl"};
	struct policy_uses uses = {.effective = run->policy, .request = run->policy, .args = true, .env = env, .envc = 3};
	struct policy *learned;
	json_t *json;

	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++)
		uses.used[i] = POLICY_UNSET;
	json = run_learned_json(&run->learned, &uses, true);
	MUST(json != NULL && run->learned.count <= PROTO_LEARNED_MAX && run->learned.names <= PROTO_LEARNED_NAMES);
	MUST(policy_from_json(json_object_get(json, "policy"), &learned, NULL) == 0);
	MUST(policy_allows(run->policy, learned) && learned->mode == POLICY_MODE_ENFORCE);
	policy_free(learned);
	json_decref(json);
}

/* And the client an answer, which is JSON. */
static void
must_be_told(struct run *run)
{
	static const struct digest d;
	struct run_facts f = {
	    .run_id = run->id,
	    .reason = run->failure.msg,
	    .claimed = run->claimed,
	    .exit_code = run->claimed.exit_code,
	    .limit = run->claimed.limit,
	    .limit_value = UINT64_MAX,
	    .phase = run->claimed.phase,
	    .trap_text = run->trap_text != NULL ? run->trap_text : "",
	    .trap_text_length = run->trap_text != NULL ? strlen(run->trap_text) : 0,
	    .frames = run->frames,
	    .denials = run->denials,
	    .streamed = run->request.stream_output,
	    .out = stream_of(run, 0, &d),
	    .err = stream_of(run, 1, &d),
	    .module_digest = "", .signer = "", .signature_kind = "none", .policy_digest = "",
	};
	char *usage = run_usage_text(&f), *text;
	struct run_result result;
	json_t *json;

	f.changes = run_changes_json(&run->changes, &f.changes_omitted);
	MUST(run->changes.bytes <= OUTPUT_BYTES && json_array_size(f.changes) <= PROTO_CHANGES_MAX);
	f.status = run->failed || !run->has_result ? RUN_failed :
	    run->claimed.status == PROTO_STATUS_EXITED ? RUN_exited :
	    run->claimed.status == PROTO_STATUS_TRAPPED ? RUN_trapped :
	    run->claimed.status == PROTO_STATUS_LIMIT ? RUN_limit : RUN_failed;
	f.usage = usage;
	MUST(usage != NULL && run_result_make(&f, &result) == 0);
	json = run_result_json(&result);
	MUST(json != NULL);
	run_result_free(&result);
	text = json_dumps(json, JSON_COMPACT);
	MUST(text != NULL && strchr(text, '\n') == NULL);
	must_be_recorded(&f, &d);
	if (run->policy->mode == POLICY_MODE_LEARN)
		must_be_learned(run);
	free(text);
	json_decref(json);
	free(usage);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct run run;

	begin(&run, input_byte(&in));
	listen_to(&run, &in);
	must_be_told(&run);
	end(&run);
	return 0;
}
