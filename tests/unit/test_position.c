/* test_position: where values stand in JSON texts, against jansson's own reading of the same. Unit test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/position.h"
#include "tests/unit/roll.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static const char example[] =
    "{ \"limits\": {\n"
    "    \"wall_ms\": 5 },\n"
    "  \"\\u0065nv\" : [\"\xc3\xa4\\\"]\", {\"x\": [ ]}, -1.5e3,true],\n"
    "\t\"last\":null}\n";

static void
finds_values_and_names_by_line_and_character(void **state)
{
	static const struct {
		struct position_step steps[4];
		size_t count;
		bool of_name;
		size_t line, column;
	} cases[] = {
	    {{{0}}, 0, false, 1, 1},
	    {{{"limits", 0}}, 1, false, 1, 13},
	    {{{"limits", 0}}, 1, true, 1, 3},
	    {{{"limits", 0}, {"wall_ms", 0}}, 2, false, 2, 16},
	    {{{"env", 0}}, 1, true, 3, 3},
	    {{{"env", 0}, {NULL, 0}}, 2, false, 3, 17},
	    {{{"env", 0}, {NULL, 1}}, 2, true, 3, 25},
	    {{{"env", 0}, {NULL, 1}, {"x", 0}}, 3, false, 3, 31},
	    {{{"env", 0}, {NULL, 2}}, 2, false, 3, 37},
	    {{{"env", 0}, {NULL, 3}}, 2, false, 3, 44},
	    {{{"last", 0}}, 1, false, 4, 9},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct position p;

		assert_true(position_find(example, strlen(example), cases[i].steps, cases[i].count, cases[i].of_name, &p));
		if (p.line != cases[i].line || p.column != cases[i].column)
			fail_msg("case %zu: %zu:%zu", i, p.line, p.column);
	}
}

static void
what_is_not_there_is_not_found(void **state)
{
	static const struct {
		struct position_step steps[3];
		size_t count;
	} cases[] = {
	    {{{"limit", 0}}, 1},
	    {{{"limits", 0}, {NULL, 0}}, 2},
	    {{{NULL, 0}}, 1},
	    {{{"env", 0}, {NULL, 4}}, 2},
	    {{{"env", 0}, {"x", 0}}, 2},
	    {{{"env", 0}, {NULL, 1}, {"y", 0}}, 3},
	    {{{"last", 0}, {"x", 0}}, 2},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct position p = {.line = 77};

		assert_false(position_find(example, strlen(example), cases[i].steps, cases[i].count, false, &p));
		assert_int_equal(p.line, 77);
	}
}

/* Whatever is cut off, nothing is read behind the end. */
static void
cut_and_broken_texts_are_survived(void **state)
{
	const struct position_step steps[] = {{"env", 0}, {NULL, 1}, {"x", 0}};

	(void)state;
	for (size_t length = 0; length < sizeof(example); length++) {
		char *text = malloc(length + 1); /* so that a sanitizer sees where it ends */
		struct position p;

		memcpy(text, example, length);
		text = realloc(text, length == 0 ? 1 : length);
		for (size_t count = 0; count <= COUNT_OF(steps); count++)
			if (position_find(text, length, steps, count, true, &p))
				assert_true(p.offset < length);
		free(text);
	}
}

static void
paths_are_written_as_people_read_them(void **state)
{
	const struct position_step steps[] = {{"fs", 0}, {NULL, 12}, {"paths", 0}, {"src/\"gen\n", 0}, {NULL, 0}, {"", 0},
	    {"abcdefgh", 0}, {"7", 0}};
	char *text = position_path(steps, COUNT_OF(steps), 0);

	(void)state;
	assert_string_equal(text, "$.fs[12].paths[\"src/\\\"gen\\n\"][0][\"\"].abcdefgh[\"7\"]");
	free(text);
	text = position_path(steps, COUNT_OF(steps), 5);
	assert_string_equal(text, "$.fs[12].paths[\"src/\\\"...\"][0][\"\"].abcde...[\"7\"]");
	free(text);
	text = position_path(NULL, 0, 0);
	assert_string_equal(text, "$");
	free(text);
}

/* --- generated texts: what is found must be what jansson read ------------------------------------------------------ */

static json_t *
generated_json(unsigned depth)
{
	static const char *const names[] = {"a", "b", "", "a b", "\xc3\xa9", "\"", "\\", "\n", "]}", "\xf0\x9f\x8c\x8d"};
	unsigned kind = roll(depth == 0 ? 5 : 8);
	json_t *value;

	switch (kind) {
	case 0:
		return json_integer((json_int_t)roll(1000) - 500);
	case 1:
		return json_real((double)roll(100) / 8);
	case 2:
		return json_string(names[roll(COUNT_OF(names))]);
	case 3:
		return json_boolean(roll(2));
	case 4:
		return json_null();
	case 5:
		value = json_array();
		for (unsigned i = roll(4); i > 0; i--)
			json_array_append_new(value, generated_json(depth - 1));
		return value;
	default:
		value = json_object();
		for (unsigned i = roll(4); i > 0; i--)
			json_object_set_new(value, names[roll(COUNT_OF(names))], generated_json(depth - 1));
		return value;
	}
}

/* At the place of each value stands that value, and at the place of its name that name. */
static void
must_be_found(const char *text, const json_t *value, struct position_step *steps, size_t count)
{
	size_t length = strlen(text), i;
	struct position p;
	const char *name;
	json_t *read, *inner;

	if (!position_find(text, length, steps, count, false, &p))
		fail_msg("seed %llu: not found in %s", (unsigned long long)roll_seed, text);
	read = json_loadb(text + p.offset, length - p.offset, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, NULL);
	if (read == NULL || !json_equal(read, value))
		fail_msg("seed %llu: another value at %zu of %s", (unsigned long long)roll_seed, p.offset, text);
	json_decref(read);
	json_array_foreach(value, i, inner) {
		steps[count] = (struct position_step){NULL, i};
		must_be_found(text, inner, steps, count + 1);
	}
	json_object_foreach((json_t *)(uintptr_t)value, name, inner) {
		steps[count] = (struct position_step){name, 0};
		assert_true(position_find(text, length, steps, count + 1, true, &p));
		read = json_loadb(text + p.offset, length - p.offset, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, NULL);
		assert_true(json_is_string(read));
		assert_string_equal(json_string_value(read), name);
		json_decref(read);
		must_be_found(text, inner, steps, count + 1);
	}
}

static void
finds_in_generated_texts_what_jansson_reads(void **state)
{
	static const size_t flags[] = {0, JSON_COMPACT, JSON_INDENT(2), JSON_ENSURE_ASCII, JSON_INDENT(1) | JSON_ENSURE_ASCII,
	    JSON_ESCAPE_SLASH};
	struct position_step steps[8];

	(void)state;
	roll_start(UINT64_C(0x706f736974696f6e));
	for (int round = 0; round < 5000; round++) {
		json_t *value = generated_json(5);
		char *text = json_dumps(value, JSON_ENCODE_ANY | flags[roll(COUNT_OF(flags))]);

		must_be_found(text, value, steps, 0);
		free(text);
		json_decref(value);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(finds_values_and_names_by_line_and_character),
	    cmocka_unit_test(what_is_not_there_is_not_found),
	    cmocka_unit_test(cut_and_broken_texts_are_survived),
	    cmocka_unit_test(paths_are_written_as_people_read_them),
	    cmocka_unit_test(finds_in_generated_texts_what_jansson_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
