/* Unit tests of base/utf8. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

static size_t
prefix(const char *text, size_t max)
{
	return utf8_prefix(text, strlen(text), max);
}

static void
keeps_whole_characters(void **state)
{
	(void)state;
	assert_int_equal(prefix("plain", 100), 5);
	assert_int_equal(prefix("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 100), 10);
	assert_int_equal(prefix("", 100), 0);
}

static void
cuts_between_characters(void **state)
{
	(void)state;
	assert_int_equal(prefix("a\xe2\x82\xac", 4), 4);
	assert_int_equal(prefix("a\xe2\x82\xac", 3), 1);
	assert_int_equal(prefix("\xf0\x9f\x98\x80", 3), 0);
	assert_int_equal(prefix("abc", 0), 0);
}

static void
stops_at_what_is_not_utf8(void **state)
{
	static const char *const bad[] = {"\xff", "\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80",
	    "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xe2\x28\xa1", "\xf0\x9f\x98\x28"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[16] = "ok";

		strcat(text, bad[i]);
		assert_int_equal(prefix(text, 100), 2);
	}
	assert_int_equal(utf8_prefix("a\0b", 3, 100), 1);
}

static void
mends_what_is_not_utf8(void **state)
{
	static const char *const pairs[][2] = {{"", ""}, {"caf\xc3\xa9", "caf\xc3\xa9"}, {"cut \xe2\x82", "cut ??"},
	    {"\xff" "a\xc0\x80z", "?a??z"}, {"\xf0\x9f\x98\x80\xf0\x9f", "\xf0\x9f\x98\x80??"}};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char text[32];

		strcpy(text, pairs[i][0]);
		utf8_mend(text);
		assert_string_equal(text, pairs[i][1]);
	}
}

static void
tames_what_a_terminal_would_act_on(void **state)
{
	static const char *const pairs[][2] = {{"", ""}, {"caf\xc3\xa9 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xf0\x9f\x98\x80"},
	    {"\x1b[2J\n\x7f", "?[2J??"}, {"a\xc2\x9b" "b\xc2\xa0", "a?b\xc2\xa0"},
	    {"\xe2\x80\xae\xe2\x80\xaf\xe2\x81\xa6", "?\xe2\x80\xaf?"}, {"\xd8\x9c\xd8\x9d\xe2\x80\xa8", "?\xd8\x9d?"},
	    {"a\xe2\x80\x8b" "b\xef\xbb\xbf\xc2\xad", "a?b??"}, {"\xf3\xa0\x81\x81\xf3\xa0\x84\x80", "?\xf3\xa0\x84\x80"},
	    {"\x9b" "1m\xe2\x80", "?1m??"}};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char text[32];

		strcpy(text, pairs[i][0]);
		text[utf8_tame(text, strlen(text))] = '\0';
		assert_string_equal(text, pairs[i][1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keeps_whole_characters),
	    cmocka_unit_test(cuts_between_characters),
	    cmocka_unit_test(stops_at_what_is_not_utf8),
	    cmocka_unit_test(mends_what_is_not_utf8),
	    cmocka_unit_test(tames_what_a_terminal_would_act_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
