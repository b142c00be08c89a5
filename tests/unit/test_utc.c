/* Unit tests of base/utc. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/utc.h"

static void
reads_and_writes_the_same_second(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} table[] = {
	    {"1970-01-01T00:00:00Z", 0},
	    {"2000-02-29T12:00:00Z", 951825600},
	    {"2027-01-31T23:59:59Z", 1801439999},
	    {"9999-12-31T23:59:59Z", 253402300799},
	};
	char text[UTC_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		int64_t got = -1;

		assert_int_equal(utc_parse(table[i].text, strlen(table[i].text), &got, NULL), 0);
		assert_int_equal(got, table[i].seconds);
		assert_string_equal(utc_text(table[i].seconds, text), table[i].text);
	}
}

static void
refuses_every_other_form(void **state)
{
	static const char *const bad[] = {
	    "", "2027-01-31", "2027-01-31T23:59:59", "2027-01-31T23:59:59+00:00", "2027-01-31T23:59:59.5Z",
	    "2027-02-30T00:00:00Z", "2027-13-01T00:00:00Z", "2027-01-01T24:00:00Z", "2027-01-01T00:60:00Z",
	    "2027-01-01T00:00:60Z", "2027-00-01T00:00:00Z", "2027-01-00T00:00:00Z", "1969-12-31T23:59:59Z",
	    "2027-01-31t23:59:59Z", "2027-01-31T23:59:59z", " 2027-01-31T23:59:59Z", "2027-1-31T23:59:59Z",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t got = 7;
		struct err e = {0};

		assert_int_equal(utc_parse(bad[i], strlen(bad[i]), &got, &e), ERR_INVAL);
		assert_int_equal(got, 7);
		assert_true(e.msg[0] != '\0');
	}
}

static void
writes_the_nearest_end_of_the_range(void **state)
{
	char text[UTC_TEXT_SIZE];

	(void)state;
	assert_string_equal(utc_text(INT64_MIN, text), "1970-01-01T00:00:00Z");
	assert_string_equal(utc_text(INT64_MAX, text), "9999-12-31T23:59:59Z");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_and_writes_the_same_second),
	    cmocka_unit_test(refuses_every_other_form),
	    cmocka_unit_test(writes_the_nearest_end_of_the_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
