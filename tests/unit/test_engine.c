/* Unit tests of runtime/engine: which modules it takes, and what its messages look like. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/compiler.h"
#include "runtime/engine.h"
#include "tests/unit/wasm_build.h"

/* Compiles; returns 1, or 0 with the message in text[1000]. */
static int
compiles(enum proto_engine kind, const void *wasm, size_t length, char *text)
{
	wasm_engine_t *engine;
	wasm_byte_vec_t artifact;
	wasmtime_error_t *error;
	struct err e;

	assert_int_equal(engine_new(kind, compiler_settings, &engine, &e), 0);
	error = brig_module_precompile(engine, wasm, length, &artifact);
	if (error != NULL)
		engine_error_text(error, text, 1000);
	else
		wasm_byte_vec_delete(&artifact);
	wasm_engine_delete(engine);
	return error == NULL;
}

static void
there_are_two_configurations(void **state)
{
	wasm_engine_t *engine = NULL;
	struct err e;

	(void)state;
	assert_int_equal(engine_new((enum proto_engine)2, NULL, &engine, &e), ERR_INVAL);
	assert_null(engine);
}

static void
each_configuration_has_its_own_identity(void **state)
{
	struct digest plain = engine_identity(PROTO_ENGINE_PLAIN);
	struct digest fuel = engine_identity(PROTO_ENGINE_FUEL);
	struct digest again = engine_identity(PROTO_ENGINE_PLAIN);

	(void)state;
	assert_true(digest_equal(&plain, &again));
	assert_false(digest_equal(&plain, &fuel));
}

#define HEADER "\0asm\1\0\0\0"

static void
two_memories_64_bit_memories_and_threads_are_refused(void **state)
{
	static const struct {
		struct wasm_text wasm;
		const char *part;
	} cases[] = {
	    {WASM_TEXT(HEADER "\x05\x05\x02\x00\x01\x00\x01"), "module: multiple memories"},
	    {WASM_TEXT(HEADER "\x05\x03\x01\x04\x01"), "module: memory64"},
	    {WASM_TEXT(HEADER "\x05\x04\x01\x03\x01\x01"), "threads"},
	};
	char text[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_false(compiles(PROTO_ENGINE_PLAIN, cases[i].wasm.data, cases[i].wasm.length, text));
		if (strstr(text, cases[i].part) == NULL)
			fail_msg("\"%s\" is not in \"%s\"", cases[i].part, text);
	}
}

static void
components_and_text_are_refused(void **state)
{
	char text[1000];

	(void)state;
	assert_false(compiles(PROTO_ENGINE_PLAIN, "\0asm\x0d\0\1\0", 8, text));
	assert_false(compiles(PROTO_ENGINE_PLAIN, "(module)", 8, text));
}

/* A function that adds what is not there: the engine numbers the causes of this error, and names the function. */
static void
causes_are_parted_by_colons(void **state)
{
	static const struct wasm_module module = {
	    .types = {TYPE_NONE},
	    .functions = {{0, "f\xe2\x80\xae", WASM_TEXT("\x6a" DROP END)}},
	};
	uint8_t wasm[WASM_BYTES_MAX];
	char text[1000];

	(void)state;
	assert_false(compiles(PROTO_ENGINE_PLAIN, wasm, wasm_build(&module, wasm), text));
	if (strstr(text, "translation error: Invalid input") == NULL || strstr(text, "0:") != NULL || strstr(text, "\xe2") != NULL)
		fail_msg("%s", text);
}

/* An export named "\x1b[31m\nX" twice: the message repeats the name. */
static void
messages_are_one_line_without_control_characters(void **state)
{
	static const struct wasm_module module = {
	    .types = {TYPE_NONE},
	    .functions = {{0, NULL, WASM_TEXT(END)}},
	    .exports = {{"\x1b[31m\nX", WASM_TEXT("\x00\x00")}, {"\x1b[31m\nX", WASM_TEXT("\x00\x00")}},
	};
	uint8_t wasm[WASM_BYTES_MAX];
	char text[1000];

	(void)state;
	assert_false(compiles(PROTO_ENGINE_PLAIN, wasm, wasm_build(&module, wasm), text));
	assert_non_null(strstr(text, "duplicate export name"));
	for (const char *p = text; *p != '\0'; p++)
		assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void
messages_are_cut_between_characters(void **state)
{
	static const struct wasm_module module = {
	    .types = {TYPE_NONE},
	    .functions = {{0, NULL, WASM_TEXT(END)}},
	    .exports = {{"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac", WASM_TEXT("\x00\x00")},
	        {"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac", WASM_TEXT("\x00\x00")}},
	};
	uint8_t wasm[WASM_BYTES_MAX];
	size_t length = wasm_build(&module, wasm);
	char whole[1000];

	(void)state;
	assert_false(compiles(PROTO_ENGINE_PLAIN, wasm, length, whole));
	for (size_t size = 1; size < 100; size++) {
		wasm_byte_vec_t artifact;
		wasm_engine_t *engine;
		char text[100];
		struct err e;
		size_t n;

		assert_int_equal(engine_new(PROTO_ENGINE_PLAIN, compiler_settings, &engine, &e), 0);
		n = engine_error_text(brig_module_precompile(engine, wasm, length, &artifact), text, size);
		assert_true(n < size && text[n] == '\0' && strlen(text) == n);
		assert_memory_equal(text, whole, n);
		assert_true(((unsigned char)whole[n] & 0xc0) != 0x80);
		wasm_engine_delete(engine);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(there_are_two_configurations),
	    cmocka_unit_test(each_configuration_has_its_own_identity),
	    cmocka_unit_test(two_memories_64_bit_memories_and_threads_are_refused),
	    cmocka_unit_test(components_and_text_are_refused),
	    cmocka_unit_test(causes_are_parted_by_colons),
	    cmocka_unit_test(messages_are_one_line_without_control_characters),
	    cmocka_unit_test(messages_are_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
