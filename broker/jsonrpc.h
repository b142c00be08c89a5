/* broker/jsonrpc: JSON-RPC 2.0 messages, decoded and encoded; no I/O. brigd. */

#ifndef BROKER_JSONRPC_H
#define BROKER_JSONRPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json_text.h"
#include "broker/rpc_errors.h"

#define JSONRPC_BATCH_MAX  1000   /* requests in one batch */
#define JSONRPC_VALUES_MAX 200000 /* values in one line: unpacked, each takes up to 250 bytes */

/* What to tell a client that got no result. `detail` becomes the message, `data` extra members (may be NULL, owned). */
struct rpc_failure {
	enum rpc_error error;
	char detail[1000];
	json_t *data;
};

/*
 * rpc_fail - fill in a failure with a formatted detail, cut if need be; what is not UTF-8 in it becomes '?'. Returns -1, so that
 * `return rpc_fail(...)` reads well.
 */
int rpc_fail(struct rpc_failure *f, enum rpc_error error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* rpc_failure_clear - release what a failure holds. */
void rpc_failure_clear(struct rpc_failure *f);

/*
 * jsonrpc_parse - decode one line of at most the length that the connection allows.
 *
 * What RFC 8259 does not call JSON is a parse_error. JSON that no request may hold is an invalid_request: duplicate keys,
 * NUL characters and halves of surrogate pairs in strings, numbers past 64 bits or a double (integers of more than 308
 * digits are parse errors). Nesting and values are counted before parsing, so that neither costs anything; `depth_max`
 * counts arrays and objects, JSONRPC_VALUES_MAX bounds values of all kinds: request_too_deep, request_too_large.
 * Returns 0 with *out owned by the caller, or -1 with the failure.
 */
int jsonrpc_parse(const char *line, size_t length, unsigned depth_max, json_t **out, struct rpc_failure *f);

/* One request, borrowed from the message it stands in. */
struct jsonrpc_request {
	const char *method;
	json_t *params;       /* object or array; NULL when absent */
	json_t *id;           /* NULL for a notification */
};

/*
 * jsonrpc_request - check one request object (JSON-RPC 2.0 section 4). On failure out->id is the id to answer with:
 * the request's own when it is usable, else NULL, which is answered as null.
 */
int jsonrpc_request(const json_t *message, struct jsonrpc_request *out, struct rpc_failure *f);

/* The next three return new references, or NULL when out of memory. `id` is borrowed; NULL is sent as null. */
json_t *jsonrpc_result(json_t *id, json_t *result /* taken */);
json_t *jsonrpc_error(json_t *id, const struct rpc_failure *f);
json_t *jsonrpc_notification(const char *method, json_t *params /* taken */);

/* jsonrpc_open_result, jsonrpc_close_result - begin an answer whose result is an object; its members come in between. */
void jsonrpc_open_result(struct json_text *t, json_t *id);
void jsonrpc_close_result(struct json_text *t);

/* rpc_error_number, rpc_error_name - from the table. */
int rpc_error_number(enum rpc_error error);
const char *rpc_error_name(enum rpc_error error);

#endif
