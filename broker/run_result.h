/* broker/run_result: how a run ended, as the JSON that clients get; no I/O. brigd. */

#ifndef BROKER_RUN_RESULT_H
#define BROKER_RUN_RESULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/json_text.h"
#include "base/proto.h"
#include "policy/policy.h"

/* How a run can end, for clients; names are stable API. */
#define RUN_STATUSES(X)                                                            \
	X(exited, "the guest returned, or called proc_exit: exit_code")            \
	X(trapped, "the guest did what WebAssembly forbids: trap")                 \
	X(limit, "a limit was reached: limit")                                     \
	X(denied, "policy ended it: denials")                                      \
	X(cancelled, "the client, or its going away, ended it")                    \
	X(failed, "it could not be started, or brig had to end it: failure, reason")

enum run_status {
#define X(name, text) RUN_##name,
	RUN_STATUSES(X)
#undef X
	RUN_STATUS_COUNT
};

/* A limit that is brigd's alone, never a worker's to claim: beside enum proto_limit. */
#define RUN_LIMIT_DEADLINE 1000

/* How its process came to be. */
enum run_start {
	RUN_START_COLD,
	RUN_START_CACHED,
	RUN_START_TEMPLATE,
	RUN_START_PARKED,
	RUN_START_SNAPSHOT,
	RUN_START_COUNT
};

/* One captured stream. */
struct run_stream {
	const uint8_t *data; /* NULL when it was streamed */
	size_t length;
	uint64_t sent;       /* bytes that arrived */
	bool truncated;
	struct digest digest; /* of the bytes that arrived; zeros when there were none */
};

/* Everything that is known of a run that has ended. Borrows. */
struct run_facts {
	const char *run_id;
	enum run_status status;
	const char *reason;       /* a sentence, for limit, cancelled and failed; "" for none */
	uint32_t exit_code;
	uint32_t limit;           /* enum proto_limit, or RUN_LIMIT_DEADLINE; 0 for none */
	uint64_t limit_value;     /* what that was; POLICY_UNSET when it is no limit of policy */
	uint32_t phase;           /* enum proto_phase: how far it came */
	uint32_t failure;         /* enum proto_failure; 0 for none */
	struct proto_result claimed; /* what the worker counted; zeros when it did not say */
	const char *trap_text;
	size_t trap_text_length;
	const json_t *frames;     /* array; NULL for none */
	struct proto_exited observed; /* what zygote and kernel saw */
	bool incomplete;          /* its worker was killed before it could say what it held and counted */
	struct run_stream out, err;
	bool streamed;
	const json_t *denials;    /* array */
	const json_t *warnings;   /* array; NULL for none */
	const json_t *changes;    /* array; NULL when the worker did not tell */
	uint64_t changes_omitted;
	const json_t *learned;    /* as run_learned_json made it; NULL when it is not in learn mode */
	const char *usage;        /* run_usage_text of these facts */
	uint64_t queue_us, compile_us, wall_us, artifact_bytes;
	bool compiled;            /* its module had to be compiled */
	enum run_start start;
	const char *module_digest; /* text */
	const char *signer;       /* kid; "" for unsigned, which clients see as null */
	const char *signature_kind;
	const char *policy_digest; /* text */
	const char *pack;          /* name of the language pack; NULL for a module */
	const char *pack_digest, *source_digest; /* text */
	const char *source_signer; /* kid; "" for unsigned */
};

/*
 * The result of `run`, as docs/protocol.md describes it, in two parts: members that are text already, and the others, which
 * can be long. Each can be added to.
 */
struct run_result {
	struct json_text told;
	json_t *rest;          /* object; NULL: there are none */
};

/* run_result_make - make it, of facts with `usage`. Returns 0 or ERR_NOMEM, with *out as run_result_free leaves it. */
int run_result_make(const struct run_facts *f, struct run_result *out);

/* run_result_json - both parts as one new object; NULL when there is nothing in either, or when out of memory. */
json_t *run_result_json(const struct run_result *r);

void run_result_free(struct run_result *r);

/* run_usage_text - `usage` alone, as the result and the audit log have it; freed by the caller. NULL when out of memory. */
char *run_usage_text(const struct run_facts *f);

/*
 * run_status_name, run_start_name, run_limit_name, run_trap_name, run_failure_name, run_phase_name, run_call_name - names
 * as in results; "?", or NULL for call 0.
 */
const char *run_status_name(enum run_status status);
const char *run_start_name(enum run_start start);
const char *run_trap_name(uint32_t trap);
const char *run_limit_name(uint32_t limit);
const char *run_failure_name(uint32_t failure);
const char *run_phase_name(uint32_t phase);
const char *run_call_name(uint32_t call);

/*
 * run_result_parse - check a worker's PROTO_RESULT payload, which is hostile input: sizes, ranges, UTF-8. On success
 * *out is filled, *text borrows from the payload, *frames is a new array (NULL when there are none). ERR_PROTOCOL with
 * what is wrong otherwise.
 */
int run_result_parse(const uint8_t *payload, size_t length, struct proto_result *out, const char **text, json_t **frames,
    struct err *e);

/* json_base64 - a JSON string of the bytes' base64 (RFC 4648, padded). NULL when out of memory. */
json_t *json_base64(const uint8_t *data, size_t length);

/* json_bytes - a JSON string of bytes when they are UTF-8 without NUL, else of their base64; *base64 says which. */
json_t *json_bytes(const uint8_t *data, size_t length, bool *base64);

#endif
