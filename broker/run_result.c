/* broker/run_result: how a run ended, as the JSON that clients get; no I/O. brigd. */

#include "broker/run_result.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/trap.h"
#include "runtime/wasi/table.h"

static const char *const status_names[RUN_STATUS_COUNT] = {
#define X(name, text) [RUN_##name] = #name,
    RUN_STATUSES(X)
#undef X
};

static const struct {
	uint32_t value;
	const char *name;
} limit_names[] = {
#define X(name, value) {value, #name},
    PROTO_LIMITS(X)
#undef X
};

static const struct {
	uint32_t value;
	const char *name;
	const char *text;
} trap_names[] = {
#define X(name, value, code, text) {value, #name, text},
    RUNTIME_TRAPS(X)
#undef X
};

static const struct {
	uint32_t value;
	const char *name;
} failure_names[] = {
#define X(name, value, text) {value, #name},
    PROTO_FAILURES(X)
#undef X
};

static const char *const start_names[] = {
    [RUN_START_COLD] = "cold",
    [RUN_START_CACHED] = "cached",
    [RUN_START_TEMPLATE] = "template",
    [RUN_START_PARKED] = "parked",
    [RUN_START_SNAPSHOT] = "snapshot",
};

static const char *const phase_names[] = {
#define X(name, value, word, text) [value] = word,
    PROTO_PHASES(X)
#undef X
};

static const char *const call_names[] = {
#define X(name, ...) #name,
    WASI_CALLS(X)
#undef X
};
_Static_assert(sizeof(call_names) / sizeof(call_names[0]) == PROTO_WASI_CALLS, "one name for each counted call");

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

const char *
run_status_name(enum run_status status)
{
	return status_names[status];
}

const char *
run_start_name(enum run_start start)
{
	return start_names[start];
}

/* What a worker may say: NULL for anything else. */
static const char *
worker_limit_name(uint32_t limit)
{
	for (size_t i = 0; i < COUNT_OF(limit_names); i++)
		if (limit_names[i].value == limit)
			return limit_names[i].name;
	return NULL;
}

const char *
run_limit_name(uint32_t limit)
{
	const char *name = limit == RUN_LIMIT_DEADLINE ? "deadline_ms" : worker_limit_name(limit);

	return name != NULL ? name : "?";
}

const char *
run_failure_name(uint32_t failure)
{
	for (size_t i = 0; i < COUNT_OF(failure_names); i++)
		if (failure_names[i].value == failure)
			return failure_names[i].name;
	return "?";
}

const char *
run_phase_name(uint32_t phase)
{
	return phase < COUNT_OF(phase_names) ? phase_names[phase] : "?";
}

const char *
run_call_name(uint32_t call)
{
	return call >= 1 && call <= PROTO_WASI_CALLS ? call_names[call - 1] : NULL;
}

const char *
run_trap_name(uint32_t trap)
{
	for (size_t i = 0; i < COUNT_OF(trap_names); i++)
		if (trap_names[i].value == trap)
			return trap_names[i].name;
	return "?";
}

/* --- what the worker says --------------------------------------------------------------------------------------- */

static int
check_numbers(const struct proto_result *r, struct err *e)
{
	if (r->status < PROTO_STATUS_EXITED || r->status > PROTO_STATUS_STALE)
		return err_set(e, ERR_PROTOCOL, "the worker claims status %u", r->status);
	if (r->status == PROTO_STATUS_TRAPPED ? run_trap_name(r->trap)[0] == '?' : r->trap != 0)
		return err_set(e, ERR_PROTOCOL, "the worker claims trap %u with status %u", r->trap, r->status);
	if (r->status == PROTO_STATUS_LIMIT ? worker_limit_name(r->limit) == NULL : r->limit != 0)
		return err_set(e, ERR_PROTOCOL, "the worker claims limit %u with status %u", r->limit, r->status);
	if ((r->status == PROTO_STATUS_FAILED ? run_failure_name(r->failure)[0] == '?' : r->failure != 0) ||
	    r->failure == PROTO_FAILURE_lost)
		return err_set(e, ERR_PROTOCOL, "the worker claims failure %u with status %u", r->failure, r->status);
	if (r->phase >= COUNT_OF(phase_names))
		return err_set(e, ERR_PROTOCOL, "the worker claims phase %u", r->phase);
	if (r->frame_count > PROTO_FRAMES_MAX)
		return err_set(e, ERR_PROTOCOL, "the worker claims %u frames", r->frame_count);
	return 0;
}

static int
parse_frames(const uint8_t *p, size_t length, uint32_t count, json_t **out, struct err *e)
{
	json_t *frames = json_array();

	for (uint32_t i = 0; i < count; i++) {
		struct proto_frame frame;
		json_t *one;

		if (length < sizeof(frame))
			goto bad;
		memcpy(&frame, p, sizeof(frame));
		p += sizeof(frame);
		length -= sizeof(frame);
		if (frame.name_length > PROTO_NAME_MAX || frame.name_length > length)
			goto bad;
		one = json_pack("{s:I}", "function", (json_int_t)frame.function);
		if (frame.module_offset <= UINT32_MAX) /* beyond that it is not known: no module is so large */
			json_object_set_new(one, "offset", json_integer((json_int_t)frame.module_offset));
		if (frame.name_length > 0) { /* up to a NUL, which many a JSON decoder does not take */
			json_t *name = json_stringn((const char *)p, strnlen((const char *)p, frame.name_length));

			if (name == NULL) {
				json_decref(one);
				goto bad;
			}
			json_object_set_new(one, "name", name);
		}
		json_array_append_new(frames, one);
		p += frame.name_length;
		length -= frame.name_length;
	}
	if (length != 0)
		goto bad;
	*out = frames;
	return 0;
bad:
	json_decref(frames);
	return err_set(e, ERR_PROTOCOL, "the worker's backtrace is malformed");
}

int
run_result_parse(const uint8_t *payload, size_t length, struct proto_result *out, const char **text, json_t **frames,
    struct err *e)
{
	struct proto_result r;
	json_t *valid;
	int rc;

	if (length < sizeof(r))
		return err_set(e, ERR_PROTOCOL, "the worker's result has %zu bytes", length);
	memcpy(&r, payload, sizeof(r));
	length -= sizeof(r);
	if ((rc = check_numbers(&r, e)) != 0)
		return rc;
	if (r.text_length > length)
		return err_set(e, ERR_PROTOCOL, "the worker claims %u bytes of text in %zu", r.text_length, length);
	valid = json_stringn((const char *)payload + sizeof(r), r.text_length);
	if (valid == NULL)
		return err_set(e, ERR_PROTOCOL, "the worker's text is not UTF-8");
	json_decref(valid);
	rc = parse_frames(payload + sizeof(r) + r.text_length, length - r.text_length, r.frame_count, frames, e);
	if (rc != 0)
		return rc;
	*text = (const char *)payload + sizeof(r);
	*out = r;
	return 0;
}

/* --- what the client is told ------------------------------------------------------------------------------------ */

json_t *
json_base64(const uint8_t *data, size_t length)
{
	size_t room = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
	char *text = malloc(room);
	json_t *json;

	if (text == NULL)
		return NULL;
	sodium_bin2base64(text, room, data, length, sodium_base64_VARIANT_ORIGINAL);
	json = json_stringn_nocheck(text, room - 1);
	free(text);
	return json;
}

json_t *
json_bytes(const uint8_t *data, size_t length, bool *base64)
{
	json_t *json;

	*base64 = false;
	if (length == 0)
		return json_string("");
	if (memchr(data, '\0', length) == NULL && (json = json_stringn((const char *)data, length)) != NULL)
		return json;
	*base64 = true;
	return json_base64(data, length);
}

/* Both streams in one encoding: text if both are, else base64. */
static int
add_streams(json_t *result, const struct run_facts *f)
{
	bool base64[2] = {false, false};
	json_t *out, *err;

	if (f->streamed)
		return 0;
	out = json_bytes(f->out.data, f->out.length, &base64[0]);
	err = json_bytes(f->err.data, f->err.length, &base64[1]);
	if (base64[0] && !base64[1]) {
		json_decref(err);
		err = json_base64(f->err.data, f->err.length);
	} else if (base64[1] && !base64[0]) {
		json_decref(out);
		out = json_base64(f->out.data, f->out.length);
	}
	return json_object_set_new(result, "stdout", out) | json_object_set_new(result, "stderr", err) |
	    json_object_set_new(result, "encoding", json_string(base64[0] || base64[1] ? "base64" : "utf-8"));
}

static json_t *
number(uint64_t n)
{
	return json_integer((json_int_t)(n > INT64_MAX ? INT64_MAX : n));
}

static json_t *
host_calls_json(const uint64_t counts[PROTO_WASI_CALLS])
{
	json_t *calls = json_object();

	for (uint32_t i = 0; i < PROTO_WASI_CALLS; i++)
		if (counts[i] > 0)
			json_object_set_new(calls, run_call_name(i + 1), number(counts[i]));
	return calls;
}

json_t *
run_usage_json(const struct run_facts *f)
{
	const struct proto_result *c = &f->claimed;

	if (f->usage != NULL)
		return json_incref(f->usage);
	return json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}",
	    "wall_us", number(f->wall_us),
	    "user_us", number(f->observed.user_us),
	    "system_us", number(f->observed.system_us),
	    "queue_us", number(f->queue_us),
	    "compile", f->compiled ? "miss" : f->artifact_bytes > 0 ? "hit" : "none",
	    "compile_us", number(f->compile_us),
	    "artifact_bytes", number(f->artifact_bytes),
	    "start_us", number(c->start_us),
	    "fuel", number(c->fuel_used),
	    "peak_memory_bytes", number(c->peak_memory_bytes),
	    "stdout_bytes", number(c->stdout_bytes > f->out.sent ? c->stdout_bytes : f->out.sent),
	    "stderr_bytes", number(c->stderr_bytes > f->err.sent ? c->stderr_bytes : f->err.sent),
	    "fs_bytes", number(c->fs_bytes),
	    "fs_nodes", number(c->fs_nodes),
	    "host_calls", host_calls_json(c->host_calls),
	    "start", start_names[f->start]);
}

static json_t *
trap_json(const struct run_facts *f)
{
	for (size_t i = 0; i < COUNT_OF(trap_names); i++)
		if (trap_names[i].value == f->claimed.trap)
			return json_pack("{s:s, s:s, s:s%, s:O}", "kind", trap_names[i].name, "meaning", trap_names[i].text,
			    "message", f->trap_text, f->trap_text_length, "frames", f->frames);
	return NULL;
}

static int
add_pack(json_t *result, const struct run_facts *f)
{
	return json_object_set_new(result, "pack", json_pack("{s:s, s:s}", "name", f->pack, "digest", f->pack_digest)) |
	    json_object_set_new(result, "source", json_pack("{s:s, s:s?}", "digest", f->source_digest, "signer",
	    f->source_signer[0] != '\0' ? f->source_signer : NULL));
}

json_t *
run_result_json(const struct run_facts *f)
{
	json_t *result = json_pack("{s:s, s:s, s:{s:b, s:b}, s:o, s:O, s:{s:s, s:s?, s:s}, s:{s:s}}",
	    "run_id", f->run_id,
	    "status", run_status_name(f->status),
	    "truncated", "stdout", f->out.truncated, "stderr", f->err.truncated,
	    "usage", run_usage_json(f),
	    "denials", f->denials,
	    "module", "digest", f->module_digest, "signer", f->signer[0] != '\0' ? f->signer : NULL, "signature", f->signature_kind,
	    "policy", "digest", f->policy_digest);
	const char *call = run_call_name(f->observed.call);
	int bad = result == NULL;

	if (!bad)
		bad |= add_streams(result, f);
	if (!bad && f->pack != NULL)
		bad |= add_pack(result, f);
	if (!bad && f->status == RUN_exited)
		bad |= json_object_set_new(result, "exit_code", json_integer(f->exit_code));
	if (!bad && f->status == RUN_trapped)
		bad |= json_object_set_new(result, "trap", trap_json(f));
	if (!bad && f->status == RUN_limit)
		bad |= json_object_set_new(result, "limit", json_string(run_limit_name(f->limit)));
	if (!bad && f->status == RUN_limit && f->limit_value != POLICY_UNSET)
		bad |= json_object_set_new(result, "limit_value", number(f->limit_value));
	if (!bad && f->status == RUN_failed)
		bad |= json_object_set_new(result, "failure", json_string(run_failure_name(f->failure)));
	if (!bad && f->warnings != NULL)
		bad |= json_object_set(result, "warnings", (json_t *)(uintptr_t)f->warnings);
	if (!bad && f->changes != NULL)
		bad |= json_object_set(result, "changes", (json_t *)(uintptr_t)f->changes);
	if (!bad && f->changes_omitted > 0)
		bad |= json_object_set_new(result, "changes_omitted", number(f->changes_omitted));
	if (!bad && f->learned != NULL)
		bad |= json_object_set(result, "learned", (json_t *)(uintptr_t)f->learned);
	if (!bad && f->incomplete)
		bad |= json_object_set_new(result, "incomplete", json_true());
	if (!bad && f->reason[0] != '\0')
		bad |= json_object_set_new(result, "reason", json_string(f->reason));
	if (!bad && call != NULL && f->status != RUN_exited)
		bad |= json_object_set_new(result, "during", json_string(call));
	if (!bad && f->status != RUN_exited)
		bad |= json_object_set_new(result, "phase", json_string(run_phase_name(f->phase)));
	if (!bad && f->claimed.denials_omitted > 0)
		bad |= json_object_set_new(result, "denials_omitted", number(f->claimed.denials_omitted));
	if (bad) {
		json_decref(result);
		return NULL;
	}
	return result;
}
