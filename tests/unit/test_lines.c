/* Unit tests of base/lines. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/lines.h"

static void
takes_lines_with_and_without_the_last_newline(void **state)
{
	static const char *const texts[] = {"one\n\nthree\n", "one\n\nthree"};
	static const char *const want[] = {"one", "", "three"};

	(void)state;
	for (size_t t = 0; t < 2; t++) {
		struct lines l = {texts[t], texts[t] + strlen(texts[t])};
		const char *line;
		size_t length;

		for (size_t i = 0; i < 3; i++) {
			assert_true(lines_next(&l, &line, &length));
			assert_int_equal(length, strlen(want[i]));
			assert_memory_equal(line, want[i], length);
		}
		assert_false(lines_next(&l, &line, &length));
	}
}

static void
empty_text_has_no_line(void **state)
{
	struct lines l = {NULL, NULL};
	const char *line;
	size_t length;

	(void)state;
	assert_false(lines_next(&l, &line, &length));
}

static void
control_characters_are_not_printable(void **state)
{
	(void)state;
	assert_true(lines_printable("a\tb \xc3\xa9", 6));
	assert_false(lines_printable("a\rb", 3));
	assert_false(lines_printable("a\0b", 3));
	assert_false(lines_printable("a\x1b[0m", 5));
	assert_false(lines_printable("\x7f", 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(takes_lines_with_and_without_the_last_newline),
	    cmocka_unit_test(empty_text_has_no_line),
	    cmocka_unit_test(control_characters_are_not_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
