/* Unit tests of broker/jsonrpc: JSON-RPC 2.0, with the examples of the specification's section 7. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/jsonrpc.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static int
parse(const char *text, size_t length, json_t **out, struct rpc_failure *f)
{
	return jsonrpc_parse(text, length, 64, out, f);
}

/* The error that a line gets by itself, or as a request; RPC_ERROR_COUNT when it is a good request. */
static enum rpc_error
judge(const char *text, size_t length)
{
	struct jsonrpc_request request;
	struct rpc_failure f = {0};
	enum rpc_error error = RPC_ERROR_COUNT;
	json_t *message = NULL;

	if (parse(text, length, &message, &f) != 0 || jsonrpc_request(message, &request, &f) != 0)
		error = f.error;
	json_decref(message);
	return error;
}

static void
takes_the_requests_of_the_specification(void **state)
{
	static const struct {
		const char *text, *method, *params, *id;
	} good[] = {
	    {"{\"jsonrpc\": \"2.0\", \"method\": \"subtract\", \"params\": [42, 23], \"id\": 1}", "subtract", "[42,23]", "1"},
	    {"{\"jsonrpc\": \"2.0\", \"method\": \"subtract\", \"params\": {\"subtrahend\": 23, \"minuend\": 42}, \"id\": 3}",
	        "subtract", "{\"subtrahend\":23,\"minuend\":42}", "3"},
	    {"{\"jsonrpc\": \"2.0\", \"method\": \"update\", \"params\": [1,2,3,4,5]}", "update", "[1,2,3,4,5]", NULL},
	    {"{\"jsonrpc\": \"2.0\", \"method\": \"foobar\"}", "foobar", NULL, NULL},
	    {"{\"jsonrpc\": \"2.0\", \"method\": \"foobar\", \"id\": \"1\"}", "foobar", NULL, "\"1\""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		struct jsonrpc_request request;
		struct rpc_failure f = {0};
		json_t *message, *params = good[i].params != NULL ? json_loads(good[i].params, 0, NULL) : NULL;
		json_t *id = good[i].id != NULL ? json_loads(good[i].id, JSON_DECODE_ANY, NULL) : NULL;

		assert_int_equal(parse(good[i].text, strlen(good[i].text), &message, &f), 0);
		assert_int_equal(jsonrpc_request(message, &request, &f), 0);
		assert_string_equal(request.method, good[i].method);
		assert_true(params == NULL ? request.params == NULL : json_equal(params, request.params));
		assert_true(id == NULL ? request.id == NULL : json_equal(id, request.id));
		json_decref(params);
		json_decref(id);
		json_decref(message);
	}
}

static void
refuses_what_the_specification_refuses(void **state)
{
	static const struct {
		const char *text;
		enum rpc_error error;
	} bad[] = {
	    {"{\"jsonrpc\": \"2.0\", \"method\": \"foobar, \"params\": \"bar\", \"baz]", RPC_parse_error},
	    {"{\"jsonrpc\": \"2.0\", \"method\": 1, \"params\": \"bar\"}", RPC_invalid_request},
	    {"[{\"jsonrpc\": \"2.0\", \"method\": \"sum\", \"params\": [1,2,4], \"id\": \"1\"},{\"jsonrpc\": \"2.0\", \"method\"",
	        RPC_parse_error},
	    {"1", RPC_invalid_request},
	    {"{\"foo\": \"boo\"}", RPC_invalid_request},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(judge(bad[i].text, strlen(bad[i].text)), bad[i].error);
}

static void
refuses_what_is_not_json(void **state)
{
	static const char *const bad[] = {"", " ", "{", "}", "nonsense", "{\"a\":1} {\"b\":2}", "[1,2", "[1,]", "{\"a\":}", "'a'", "01",
	    "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\\ud80\"", "\"\\u000\"", "\"\\u00g0\"",
	    "\"\\u\"", "\"\\", "\"\\u", "\"a\tb\"", "1e", "1e+", "1e400,", "1.e1", ".1", "-", "+1", "0x1", "1 e4", "truee1", "NaN",
	    "Infinity", "\xef\xbb\xbf{}", "{\"a\":1,\"a\":1", "{\"a\":1,\"a\"}", "[1] // comment", "[1]\f"};
	static const char nul[] = "{\"a\"\0:1}", nul_behind[] = "{}\0", nul_behind_number[] = "1\0";

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (judge(bad[i], strlen(bad[i])) != RPC_parse_error)
			fail_msg("%s", bad[i]);
	assert_int_equal(judge(nul, sizeof(nul) - 1), RPC_parse_error);
	assert_int_equal(judge(nul_behind, sizeof(nul_behind) - 1), RPC_parse_error);
	assert_int_equal(judge(nul_behind_number, sizeof(nul_behind_number) - 1), RPC_parse_error);
}

/* JSON by its grammar, and still nothing that a request may hold. */
static void
refuses_json_that_has_no_one_meaning(void **state)
{
	static const char *const bad[] = {"{\"a\":1,\"a\":1}", "{\"a\":{\"b\":1,\"b\":2}}", "[\"\\u0000\"]", "{\"a\\u0000b\":1}",
	    "[\"\\ud800\"]", "[\"\\uDC00\\ud800\"]", "[\"\\\\\\u0000\"]", "[1e400]", "[-1E+400,1e2]", "[0.4e0066999999999999999]",
	    "[9223372036854775808]", "[-9223372036854775809]", "[123456789012345678901234567890e400]"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (judge(bad[i], strlen(bad[i])) != RPC_invalid_request)
			fail_msg("%s", bad[i]);
}

static void
says_in_our_words_what_nul_is_refused_for(void **state)
{
	static const char *const bad[] = {"{\"a\":\"x\\u0000y\"}", "{\"a\\u0000\":1}"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct rpc_failure f = {0};
		json_t *message;

		assert_int_equal(jsonrpc_parse(bad[i], strlen(bad[i]), 64, &message, &f), -1);
		assert_non_null(strstr(f.detail, "base64"));
		assert_null(strstr(f.detail, "JSON_ALLOW"));
	}
}

static void
refuses_json_that_is_no_request(void **state)
{
	static const char *const bad[] = {"null", "true", "\"text\"", "1.5", "{}", "{\"jsonrpc\":\"2.0\"}",
	    "{\"jsonrpc\":\"2.0\",\"id\":1}", "{\"jsonrpc\":\"1.0\",\"method\":\"m\"}", "{\"jsonrpc\":2.0,\"method\":\"m\"}",
	    "{\"method\":\"m\",\"id\":1}", "{\"jsonrpc\":\"2.0\",\"method\":null}",
	    "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":null}", "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":1}",
	    "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":true}", "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":{}}",
	    "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":[1]}"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (judge(bad[i], strlen(bad[i])) != RPC_invalid_request)
			fail_msg("%s", bad[i]);
}

static void
takes_and_repeats_ids_of_every_type(void **state)
{
	static const char *const ids[] = {"0", "-1", "9223372036854775807", "-9223372036854775808", "1.5", "\"\"",
	    "\"text\"", "\"\xc3\xa9\"", "null"};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ids); i++) {
		struct jsonrpc_request request;
		struct rpc_failure f = {0};
		json_t *message, *answer;
		char text[128], want[128], *got;
		int n = snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"id\":%s}", ids[i]);

		assert_int_equal(parse(text, (size_t)n, &message, &f), 0);
		assert_int_equal(jsonrpc_request(message, &request, &f), 0);
		assert_non_null(request.id); /* null is an id: no notification */
		answer = jsonrpc_result(request.id, json_true());
		got = json_dumps(answer, JSON_COMPACT);
		snprintf(want, sizeof(want), "{\"jsonrpc\":\"2.0\",\"result\":true,\"id\":%s}", ids[i]);
		assert_string_equal(got, want);
		free(got);
		json_decref(answer);
		json_decref(message);
	}
}

static void
refused_request_keeps_its_id_when_that_is_usable(void **state)
{
	struct jsonrpc_request request;
	struct rpc_failure f = {0};
	json_t *message = json_loads("{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"m\"}", 0, NULL);

	(void)state;
	assert_int_equal(jsonrpc_request(message, &request, &f), -1);
	assert_int_equal(json_integer_value(request.id), 7);
	json_object_set_new(message, "id", json_array());
	assert_int_equal(jsonrpc_request(message, &request, &f), -1);
	assert_null(request.id);
	json_decref(message);
}

static void
depth_has_a_limit(void **state)
{
	char text[300];
	struct rpc_failure f = {0};
	json_t *json;

	(void)state;
	for (unsigned depth = 1; depth <= 100; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		assert_int_equal(jsonrpc_parse(text, 2 * depth, 64, &json, &f), depth <= 64 ? 0 : -1);
		if (depth <= 64)
			json_decref(json);
		else
			assert_int_equal(f.error, RPC_request_too_deep);
	}
	assert_int_equal(jsonrpc_parse("{\"a\":[{\"b\":[1]}]}", 17, 4, &json, &f), 0);
	json_decref(json);
	assert_int_equal(jsonrpc_parse("{\"a\":[{\"b\":[1]}]}", 17, 3, &json, &f), -1);
}

static void
brackets_in_strings_are_not_depth(void **state)
{
	static const char text[] = "[\"[[[[[[\\\"[[[[{{{{\\\\\",\"]\"]";
	struct rpc_failure f = {0};
	json_t *json;

	(void)state;
	assert_int_equal(jsonrpc_parse(text, strlen(text), 1, &json, &f), 0);
	json_decref(json);
}

/* A million brackets cost a scan, not a stack. Closed they are JSON, too deep; open they are none. */
static void
endless_nesting_is_refused(void **state)
{
	size_t length = 1000000;
	char *text = malloc(length);
	struct rpc_failure f = {0};
	json_t *json;

	(void)state;
	memset(text, '[', length / 2);
	memset(text + length / 2, ']', length / 2);
	assert_int_equal(parse(text, length, &json, &f), -1);
	assert_int_equal(f.error, RPC_request_too_deep);
	assert_int_equal(parse(text, length - 1, &json, &f), -1);
	assert_int_equal(f.error, RPC_parse_error);
	free(text);
}

/* What becomes of an array of so many zeros. */
static enum rpc_error
judge_values(size_t count)
{
	size_t length = 2 * count + 1;
	char *text = malloc(length);
	struct rpc_failure f = {0};
	enum rpc_error error = RPC_ERROR_COUNT;
	json_t *message = NULL;

	assert_non_null(text);
	for (size_t i = 1; i < length; i += 2) {
		text[i] = '0';
		text[i + 1] = ',';
	}
	text[0] = '[';
	text[length - 1] = ']';
	if (parse(text, length, &message, &f) != 0)
		error = f.error;
	json_decref(message);
	free(text);
	return error;
}

/* Small in the line, large in memory: refused before it is unpacked. */
static void
values_have_a_limit(void **state)
{
	(void)state;
	assert_int_equal(judge_values(JSONRPC_VALUES_MAX - 1), RPC_ERROR_COUNT); /* and the array itself */
	assert_int_equal(judge_values(JSONRPC_VALUES_MAX), RPC_request_too_large);
}

static void
commas_in_strings_are_not_values(void **state)
{
	size_t length = JSONRPC_VALUES_MAX + 100;
	char *text = malloc(length);
	struct rpc_failure f = {0};
	json_t *message = NULL;

	(void)state;
	assert_non_null(text);
	memset(text, ',', length);
	text[0] = text[length - 1] = '"';
	assert_int_equal(parse(text, length, &message, &f), 0);
	json_decref(message);
	free(text);
}

static void
error_says_what_why_and_what_to_do(void **state)
{
	struct rpc_failure f = {0};
	json_t *answer, *error, *data;

	(void)state;
	assert_int_equal(rpc_fail(&f, RPC_overloaded, "%d are waiting", 5), -1);
	f.data = json_pack("{s:i}", "retry_after_ms", 100);
	answer = jsonrpc_error(NULL, &f);
	error = json_object_get(answer, "error");
	data = json_object_get(error, "data");
	assert_int_equal(json_integer_value(json_object_get(error, "code")), -32003);
	assert_string_equal(json_string_value(json_object_get(error, "message")), "5 are waiting");
	assert_string_equal(json_string_value(json_object_get(data, "name")), "overloaded");
	assert_non_null(json_object_get(data, "advice"));
	assert_int_equal(json_integer_value(json_object_get(data, "retry_after_ms")), 100);
	assert_true(json_is_null(json_object_get(answer, "id")));
	assert_string_equal(json_string_value(json_object_get(answer, "jsonrpc")), "2.0");
	assert_null(json_object_get(answer, "result"));
	assert_int_equal(json_object_size(f.data), 1); /* the failure's own data stays as it was */
	json_decref(answer);
	rpc_failure_clear(&f);
}

/* A client's name, cut in the middle of a character, must not cost the rest of the message. */
static void
detail_that_is_not_utf8_is_mended(void **state)
{
	struct rpc_failure f = {0};
	char name[200];
	json_t *answer;

	(void)state;
	for (size_t i = 0; i + 3 <= sizeof(name) - 1; i += 3)
		memcpy(name + i, "\xe2\x82\xac", 3);
	rpc_fail(&f, RPC_method_not_found, "there is no method \"%.64s\"", name);
	answer = jsonrpc_error(NULL, &f);
	assert_non_null(answer);
	assert_non_null(strstr(json_string_value(json_object_get(json_object_get(answer, "error"), "message")),
	    "there is no method"));
	json_decref(answer);
	rpc_failure_clear(&f);
}

static void
notification_has_no_id(void **state)
{
	json_t *json = jsonrpc_notification("run.output", json_pack("{s:i}", "a", 1));
	char *text = json_dumps(json, JSON_COMPACT);

	(void)state;
	assert_string_equal(text, "{\"jsonrpc\":\"2.0\",\"method\":\"run.output\",\"params\":{\"a\":1}}");
	free(text);
	json_decref(json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(takes_the_requests_of_the_specification),
	    cmocka_unit_test(refuses_what_the_specification_refuses),
	    cmocka_unit_test(refuses_what_is_not_json),
	    cmocka_unit_test(refuses_json_that_has_no_one_meaning),
	    cmocka_unit_test(refuses_json_that_is_no_request),
	    cmocka_unit_test(says_in_our_words_what_nul_is_refused_for),
	    cmocka_unit_test(takes_and_repeats_ids_of_every_type),
	    cmocka_unit_test(refused_request_keeps_its_id_when_that_is_usable),
	    cmocka_unit_test(depth_has_a_limit),
	    cmocka_unit_test(brackets_in_strings_are_not_depth),
	    cmocka_unit_test(endless_nesting_is_refused),
	    cmocka_unit_test(values_have_a_limit),
	    cmocka_unit_test(commas_in_strings_are_not_values),
	    cmocka_unit_test(error_says_what_why_and_what_to_do),
	    cmocka_unit_test(detail_that_is_not_utf8_is_mended),
	    cmocka_unit_test(notification_has_no_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
