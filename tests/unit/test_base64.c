/* Unit tests of base/base64. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/base64.h"

static void
decodes_the_vectors_of_rfc_4648(void **state)
{
	static const char *const table[][2] = {{"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"},
	    {"Zm9vYg==", "foob"}, {"Zm9vYmE=", "fooba"}, {"Zm9vYmFy", "foobar"}};
	char out[16];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t got = 99;

		assert_true(base64_decode(table[i][0], strlen(table[i][0]), out, sizeof(out), &got));
		assert_int_equal(got, strlen(table[i][1]));
		assert_memory_equal(out, table[i][1], got);
	}
}

static void
refuses_every_other_form(void **state)
{
	static const char *const bad[] = {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg==\n", " Zg==", "Zg= =", "Zm9v=", "====",
	    "Zm9vZg==Zg==", "Zm9-", "Zm9_"};
	char out[16];
	size_t got = 99;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(base64_decode(bad[i], strlen(bad[i]), out, sizeof(out), &got));
	assert_false(base64_decode("Zm9v\0Zm9v", 9, out, sizeof(out), &got));
	assert_int_equal(got, 99);
}

static void
takes_exactly_64_characters(void **state)
{
	char text[4] = "AAAA", out[3];
	int taken = 0;

	(void)state;
	for (int c = 0; c < 256; c++) {
		text[1] = (char)c;
		taken += base64_decode_exact(text, 4, out, 3);
	}
	assert_int_equal(taken, 64);
}

static void
refuses_more_and_exact_also_less_than_there_is_room_for(void **state)
{
	char out[4];
	size_t got;

	(void)state;
	assert_false(base64_decode("Zm9v", 4, out, 2, &got));
	assert_false(base64_decode_exact("Zm9v", 4, out, 2));
	assert_false(base64_decode_exact("Zm9v", 4, out, 4));
	assert_true(base64_decode_exact("Zm9v", 4, out, 3));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(decodes_the_vectors_of_rfc_4648),
	    cmocka_unit_test(refuses_every_other_form),
	    cmocka_unit_test(takes_exactly_64_characters),
	    cmocka_unit_test(refuses_more_and_exact_also_less_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
