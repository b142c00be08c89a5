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

#define SHORT 4096 /* bytes of a string that is made into text at once */

/* Adds a member (taken; NULL without memory): as text, or for later when that can take long. */
static void
add(struct run_result *r, const char *key, json_t *value)
{
	if (json_is_array(value) && json_array_size(value) == 0) {
		json_text_raw(&r->told, key, "[]", 2);
	} else if (json_is_string(value) && json_string_length(value) <= SHORT) {
		json_text_value(&r->told, key, value);
	} else {
		if (r->rest == NULL)
			r->rest = json_object();
		r->told.failed |= json_object_set(r->rest, key, value) != 0;
	}
	json_decref(value);
}

/* The same for a list that is borrowed, if there is one. */
static void
add_list(struct run_result *r, const char *key, const json_t *list)
{
	if (list != NULL)
		add(r, key, json_incref((json_t *)(uintptr_t)list));
}

static void
add_text(struct json_text *t, const char *key, const char *s)
{
	json_text_string(t, key, s, strlen(s));
}

/* A signer's key, which clients see as null where there is none. */
static void
add_signer(struct json_text *t, const char *kid)
{
	if (kid[0] != '\0')
		add_text(t, "signer", kid);
	else
		json_text_raw(t, "signer", "null", 4);
}

/* Both streams in one encoding: text if both are, else base64. */
static void
add_streams(struct run_result *r, const struct run_facts *f)
{
	bool base64[2] = {false, false};
	json_t *out, *err;

	if (f->streamed)
		return;
	out = json_bytes(f->out.data, f->out.length, &base64[0]);
	err = json_bytes(f->err.data, f->err.length, &base64[1]);
	if (base64[0] && !base64[1]) {
		json_decref(err);
		err = json_base64(f->err.data, f->err.length);
	} else if (base64[1] && !base64[0]) {
		json_decref(out);
		out = json_base64(f->out.data, f->out.length);
	}
	add(r, "stdout", out);
	add(r, "stderr", err);
	add_text(&r->told, "encoding", base64[0] || base64[1] ? "base64" : "utf-8");
}

static void
add_host_calls(struct json_text *t, const uint64_t counts[PROTO_WASI_CALLS])
{
	json_text_open(t, "host_calls", '{');
	for (uint32_t i = 0; i < PROTO_WASI_CALLS; i++)
		if (counts[i] > 0)
			json_text_count(t, run_call_name(i + 1), counts[i]);
	json_text_close(t, '}');
}

char *
run_usage_text(const struct run_facts *f)
{
	const struct proto_result *c = &f->claimed;
	struct json_text t = {0};

	json_text_open(&t, NULL, '{');
	json_text_count(&t, "wall_us", f->wall_us);
	json_text_count(&t, "user_us", f->observed.user_us);
	json_text_count(&t, "system_us", f->observed.system_us);
	json_text_count(&t, "queue_us", f->queue_us);
	add_text(&t, "compile", f->compiled ? "miss" : f->artifact_bytes > 0 ? "hit" : "none");
	json_text_count(&t, "compile_us", f->compile_us);
	json_text_count(&t, "artifact_bytes", f->artifact_bytes);
	json_text_count(&t, "start_us", c->start_us);
	json_text_count(&t, "fuel", c->fuel_used);
	json_text_count(&t, "peak_memory_bytes", c->peak_memory_bytes);
	json_text_count(&t, "stdout_bytes", c->stdout_bytes > f->out.sent ? c->stdout_bytes : f->out.sent);
	json_text_count(&t, "stderr_bytes", c->stderr_bytes > f->err.sent ? c->stderr_bytes : f->err.sent);
	json_text_count(&t, "fs_bytes", c->fs_bytes);
	json_text_count(&t, "fs_nodes", c->fs_nodes);
	add_host_calls(&t, c->host_calls);
	add_text(&t, "start", start_names[f->start]);
	json_text_close(&t, '}');
	if (t.failed)
		json_text_free(&t);
	return t.text;
}

static void
add_trap(struct run_result *r, const struct run_facts *f)
{
	for (size_t i = 0; i < COUNT_OF(trap_names); i++)
		if (trap_names[i].value == f->claimed.trap) {
			add(r, "trap", json_pack("{s:s, s:s, s:s%, s:O}", "kind", trap_names[i].name, "meaning", trap_names[i].text,
			    "message", f->trap_text, f->trap_text_length, "frames", f->frames));
			return;
		}
	r->told.failed = true;
}

static void
add_pack(struct json_text *t, const struct run_facts *f)
{
	json_text_open(t, "pack", '{');
	add_text(t, "name", f->pack);
	add_text(t, "digest", f->pack_digest);
	json_text_close(t, '}');
	json_text_open(t, "source", '{');
	add_text(t, "digest", f->source_digest);
	add_signer(t, f->source_signer);
	json_text_close(t, '}');
}

/* What every result has. */
static void
add_common(struct run_result *r, const struct run_facts *f)
{
	struct json_text *t = &r->told;

	add_text(t, "run_id", f->run_id);
	add_text(t, "status", run_status_name(f->status));
	json_text_open(t, "truncated", '{');
	json_text_bool(t, "stdout", f->out.truncated);
	json_text_bool(t, "stderr", f->err.truncated);
	json_text_close(t, '}');
	json_text_raw(t, "usage", f->usage, strlen(f->usage));
	add_list(r, "denials", f->denials);
	json_text_open(t, "module", '{');
	add_text(t, "digest", f->module_digest);
	add_signer(t, f->signer);
	add_text(t, "signature", f->signature_kind);
	json_text_close(t, '}');
	json_text_open(t, "policy", '{');
	add_text(t, "digest", f->policy_digest);
	json_text_close(t, '}');
	add_streams(r, f);
	if (f->pack != NULL)
		add_pack(t, f);
}

/* What its status calls for. */
static void
add_end(struct run_result *r, const struct run_facts *f)
{
	const char *call = run_call_name(f->observed.call);
	struct json_text *t = &r->told;

	if (f->status == RUN_exited) {
		json_text_count(t, "exit_code", f->exit_code);
		return;
	}
	if (f->status == RUN_trapped)
		add_trap(r, f);
	if (f->status == RUN_limit)
		add_text(t, "limit", run_limit_name(f->limit));
	if (f->status == RUN_limit && f->limit_value != POLICY_UNSET)
		json_text_count(t, "limit_value", f->limit_value);
	if (f->status == RUN_failed)
		add_text(t, "failure", run_failure_name(f->failure));
	if (call != NULL)
		add_text(t, "during", call);
	add_text(t, "phase", run_phase_name(f->phase));
}

int
run_result_make(const struct run_facts *f, struct run_result *out)
{
	struct run_result r = {0};

	if (f->usage == NULL)
		return ERR_NOMEM;
	add_common(&r, f);
	add_end(&r, f);
	add_list(&r, "warnings", f->warnings);
	add_list(&r, "changes", f->changes);
	add_list(&r, "learned", f->learned);
	if (f->changes_omitted > 0)
		json_text_count(&r.told, "changes_omitted", f->changes_omitted);
	if (f->incomplete)
		json_text_bool(&r.told, "incomplete", true);
	if (f->reason[0] != '\0')
		add_text(&r.told, "reason", f->reason);
	if (f->claimed.denials_omitted > 0)
		json_text_count(&r.told, "denials_omitted", f->claimed.denials_omitted);
	if (r.told.failed) {
		run_result_free(&r);
		return ERR_NOMEM;
	}
	*out = r;
	return 0;
}

json_t *
run_result_json(const struct run_result *r)
{
	struct json_text t = {0};
	json_t *json = NULL;

	if (r->told.length == 0)
		return json_incref(r->rest);
	json_text_open(&t, NULL, '{');
	json_text_members(&t, r->told.text, r->told.length);
	json_text_close(&t, '}');
	if (!t.failed && !r->told.failed)
		json = json_loadb(t.text, t.length, 0, NULL);
	json_text_free(&t);
	if (json != NULL && r->rest != NULL && json_object_update(json, r->rest) != 0) {
		json_decref(json);
		json = NULL;
	}
	return json;
}

void
run_result_free(struct run_result *r)
{
	json_text_free(&r->told);
	json_decref(r->rest);
	r->rest = NULL;
}
