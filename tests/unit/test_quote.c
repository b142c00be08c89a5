/* Unit tests of base/quote. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/quote.h"

static void
quotes_backslashes_and_control_characters_are_escaped(void **state)
{
	static const char text[] = "a \"b\" \\ \n\r\t\x1b[1m\x7f\xc3\xa9\0z";
	char out[QUOTE_SIZE];

	(void)state;
	assert_string_equal(quote(text, sizeof(text) - 1, out, sizeof(out)),
	    "\"a \\\"b\\\" \\\\ \\n\\r\\t\\x1b[1m\\x7f\xc3\xa9\\x00z\"");
	assert_string_equal(quote("", 0, out, sizeof(out)), "\"\"");
}

/* C1 controls, overrides of direction, zero width, tags, and bytes that are no character. */
static void
characters_that_act_are_escaped(void **state)
{
	static const char *const pairs[][2] = {
	    {"\xc2\x9b" "2J", "\"\\xc2\\x9b2J\""},
	    {"a\xe2\x80\xae" "b", "\"a\\xe2\\x80\\xaeb\""},
	    {"\xe2\x80\x8b\xef\xbb\xbf", "\"\\xe2\\x80\\x8b\\xef\\xbb\\xbf\""},
	    {"\xf3\xa0\x81\x81", "\"\\xf3\\xa0\\x81\\x81\""},
	    {"\x9b\xe2\x80z", "\"\\x9b\\xe2\\x80z\""},
	    {"\xc2\xa0\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc2\xa0\xe2\x82\xac\xf0\x9f\x98\x80\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char out[QUOTE_SIZE];

		assert_string_equal(quote(pairs[i][0], strlen(pairs[i][0]), out, sizeof(out)), pairs[i][1]);
		assert_string_equal(quote_undo(out), pairs[i][0]);
	}
}

static void
what_does_not_fit_is_cut_between_characters_and_closed(void **state)
{
	char out[16];

	(void)state;
	for (size_t size = 3; size <= sizeof(out); size++) {
		memset(out, 'X', sizeof(out));
		quote("\n\"\x01z", 4, out, size);
		assert_true(strlen(out) < size);
		assert_non_null(quote_undo(out));
	}
	assert_string_equal(quote("\n\n", 2, out, 6), "\"\\n\"");
}

static void
undoing_gives_every_byte_back(void **state)
{
	char all[255], out[QUOTE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (char)(i + 1);
	quote(all, sizeof(all), out, sizeof(out));
	strcat(out, " more=\"x\"");
	assert_memory_equal(quote_undo(out), all, sizeof(all));
	assert_int_equal(strlen(out + 1), sizeof(all));
}

static void
undoing_refuses_what_is_no_quoted_value(void **state)
{
	static const char *const wrong[] = {"", "x", "\"", "\"abc", "\"a\\", "\"a\\\"", "\"\\q\"", "\"\\x\"", "\"\\xg0\"", "\"\\x1"};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char text[16];

		strcpy(text, wrong[i]);
		if (quote_undo(text) != NULL)
			fail_msg("%s was taken", wrong[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(quotes_backslashes_and_control_characters_are_escaped),
	    cmocka_unit_test(characters_that_act_are_escaped),
	    cmocka_unit_test(what_does_not_fit_is_cut_between_characters_and_closed),
	    cmocka_unit_test(undoing_gives_every_byte_back),
	    cmocka_unit_test(undoing_refuses_what_is_no_quoted_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
