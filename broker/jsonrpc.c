/* broker/jsonrpc: JSON-RPC 2.0 messages, decoded and encoded; no I/O. brigd. */

#include "broker/jsonrpc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "policy/policy.h"

#define RETRY_AFTER_MS 100 /* when an overload does not say otherwise */

static const struct {
	const char *name;
	int number;
	const char *title;
	const char *advice;
} errors[RPC_ERROR_COUNT] = {
#define X(name, number, title, advice) [RPC_##name] = {#name, number, title, advice},
	RPC_ERRORS(X)
#undef X
};

int
rpc_error_number(enum rpc_error error)
{
	return errors[error].number;
}

const char *
rpc_error_name(enum rpc_error error)
{
	return errors[error].name;
}

int
rpc_fail(struct rpc_failure *f, enum rpc_error error, const char *fmt, ...)
{
	va_list ap;

	f->error = error;
	f->data = NULL;
	va_start(ap, fmt);
	vsnprintf(f->detail, sizeof(f->detail), fmt, ap);
	va_end(ap);
	utf8_mend(f->detail);
	return -1;
}

void
rpc_failure_clear(struct rpc_failure *f)
{
	json_decref(f->data);
	f->data = NULL;
}

/* What a text that may or may not be JSON would become: counted outside strings, so that a bomb is never unpacked. */
struct shape {
	unsigned deepest; /* nesting of arrays and objects */
	unsigned open;    /* of them not closed at the end: then it is no JSON, however deep */
	size_t values;    /* at most so many: each stands at the start, behind a bracket, or behind a comma */
};

static struct shape
shape_of(const char *p, size_t length)
{
	struct shape shape = {.values = 1};
	bool in_string = false;

	for (size_t i = 0; i < length; i++) {
		if (in_string) {
			if (p[i] == '\\')
				i++;
			else if (p[i] == '"')
				in_string = false;
		} else if (p[i] == '"') {
			in_string = true;
		} else if (p[i] == '[' || p[i] == '{') {
			shape.values++;
			if (++shape.open > shape.deepest)
				shape.deepest = shape.open;
		} else if (p[i] == ',') {
			shape.values++;
		} else if ((p[i] == ']' || p[i] == '}') && shape.open > 0) {
			shape.open--;
		}
	}
	return shape;
}

/*
 * Rewrites, byte by byte, what JSON's grammar allows and jansson refuses: \u0000, halves of surrogate pairs, exponents
 * past a double's. What was no JSON before is none afterwards.
 */
static void
make_harmless(char *p, size_t length)
{
	bool in_string = false, in_exponent = false;

	for (size_t i = 0; i < length; i++) {
		if (in_string && p[i] == '\\') {
			if (++i + 1 < length && p[i] == 'u' && memchr("0dD", p[i + 1], 3) != NULL)
				p[i + 1] = '1';
		} else if (p[i] == '"') {
			in_string = !in_string;
		} else if (!in_string && (p[i] == 'e' || p[i] == 'E')) {
			in_exponent = true;
		} else if (in_exponent && p[i] >= '0' && p[i] <= '9') {
			p[i] = '0';
		} else if (in_exponent && p[i] != '+' && p[i] != '-') {
			in_exponent = false;
		}
	}
}

/* Whether a text that jansson refused as a request is JSON all the same: with equal keys, or numbers out of range, say. */
static bool
is_json(const char *line, size_t length)
{
	char *copy = malloc(length + 1);
	json_t *json;

	if (copy == NULL)
		return false;
	memcpy(copy, line, length);
	make_harmless(copy, length);
	json = json_loadb(copy, length, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
	free(copy);
	json_decref(json);
	return json != NULL;
}

int
jsonrpc_parse(const char *line, size_t length, unsigned depth_max, json_t **out, struct rpc_failure *f)
{
	struct shape shape = shape_of(line, length);
	json_error_t je;
	json_t *message;

	if (memchr(line, '\0', length) != NULL) /* jansson takes one for the end of the text, behind a number */
		return rpc_fail(f, RPC_parse_error, "not JSON: there is a NUL byte in it");
	if (shape.deepest > depth_max && shape.open > 0)
		return rpc_fail(f, RPC_parse_error, "not JSON: the line ends inside %u arrays and objects", shape.open);
	if (shape.deepest > depth_max)
		return rpc_fail(f, RPC_request_too_deep, "the request is nested %u deep, the limit is %u", shape.deepest,
		    depth_max);
	if (shape.values > JSONRPC_VALUES_MAX)
		return rpc_fail(f, RPC_request_too_large, "the request holds %zu values, the limit is %d", shape.values,
		    JSONRPC_VALUES_MAX);
	message = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
	if (message == NULL && (json_error_code(&je) == json_error_unknown || json_error_code(&je) == json_error_out_of_memory))
		return rpc_fail(f, RPC_internal_error, "out of memory");
	if (message == NULL && is_json(line, length))
		return rpc_fail(f, RPC_invalid_request, "JSON that no request may hold, at byte %d: %s", je.position,
		    policy_json_why(&je));
	if (message == NULL)
		return rpc_fail(f, RPC_parse_error, "not JSON at byte %d: %s", je.position, policy_json_why(&je));
	*out = message;
	return 0;
}

static bool
id_is_usable(const json_t *id)
{
	return json_is_string(id) || json_is_number(id) || json_is_null(id);
}

int
jsonrpc_request(const json_t *message, struct jsonrpc_request *out, struct rpc_failure *f)
{
	json_t *version, *method, *params, *id;

	*out = (struct jsonrpc_request){0};
	if (!json_is_object(message))
		return rpc_fail(f, RPC_invalid_request, "a request is a JSON object");
	id = json_object_get(message, "id");
	if (id != NULL && !id_is_usable(id))
		return rpc_fail(f, RPC_invalid_request, "an id is a string, a number or null");
	out->id = id;
	version = json_object_get(message, "jsonrpc");
	if (!json_is_string(version) || strcmp(json_string_value(version), "2.0") != 0)
		return rpc_fail(f, RPC_invalid_request, "\"jsonrpc\" must be \"2.0\"");
	method = json_object_get(message, "method");
	if (!json_is_string(method))
		return rpc_fail(f, RPC_invalid_request, "\"method\" must be a string");
	params = json_object_get(message, "params");
	if (params != NULL && !json_is_object(params) && !json_is_array(params))
		return rpc_fail(f, RPC_invalid_request, "\"params\" must be an object or an array");
	out->method = json_string_value(method);
	out->params = params;
	return 0;
}

json_t *
jsonrpc_result(json_t *id, json_t *result)
{
	return json_pack("{s:s, s:o, s:O}", "jsonrpc", "2.0", "result", result, "id", id != NULL ? id : json_null());
}

void
jsonrpc_open_result(struct json_text *t, json_t *id)
{
	json_text_open(t, NULL, '{');
	json_text_string(t, "jsonrpc", "2.0", 3);
	if (json_is_integer(id))
		json_text_integer(t, "id", json_integer_value(id));
	else if (id != NULL)
		json_text_value(t, "id", id);
	else
		json_text_raw(t, "id", "null", 4);
	json_text_open(t, "result", '{');
}

void
jsonrpc_close_result(struct json_text *t)
{
	json_text_close(t, '}');
	json_text_close(t, '}');
}

json_t *
jsonrpc_error(json_t *id, const struct rpc_failure *f)
{
	json_t *data = f->data != NULL ? json_copy(f->data) : json_object();
	json_t *detail = json_string(f->detail);

	if (f->error == RPC_overloaded && json_object_get(data, "retry_after_ms") == NULL)
		json_object_set_new(data, "retry_after_ms", json_integer(RETRY_AFTER_MS));
	if (data == NULL || json_object_set_new(data, "name", json_string(errors[f->error].name)) != 0 ||
	    json_object_set_new(data, "advice", json_string(errors[f->error].advice)) != 0) {
		json_decref(data);
		json_decref(detail);
		return NULL;
	}
	return json_pack("{s:s, s:{s:i, s:o, s:o}, s:O}", "jsonrpc", "2.0", "error", "code", errors[f->error].number,
	    "message", detail, "data", data, "id", id != NULL ? id : json_null());
}

json_t *
jsonrpc_notification(const char *method, json_t *params)
{
	return json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params);
}
