/* test_nearest: "did you mean". Unit test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/nearest.h"

static const char *const names[] = {"run", "wall_ms", "cpu_ms", "memory_bytes", "verify", "sign"};
#define COUNT (sizeof(names) / sizeof(names[0]))

static void
finds_what_was_meant(void **state)
{
	static const struct {
		const char *written, *meant;
	} cases[] = {{"rnu", "run"}, {"ran", "run"}, {"wall_sm", "wall_ms"}, {"WALL_MS", "wall_ms"}, {"memory", NULL},
	    {"memroy_byts", "memory_bytes"}, {"varify", "verify"}, {"sing", "sign"}, {"signn", "sign"}, {"sig", "sign"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *found = nearest_name(cases[i].written, names, COUNT);

		if (cases[i].meant == NULL)
			assert_null(found);
		else
			assert_string_equal(found, cases[i].meant);
	}
}

static void
suggests_nothing_far_fetched(void **state)
{
	char longer[200];

	(void)state;
	assert_null(nearest_name("xyz", names, COUNT));
	assert_null(nearest_name("", names, COUNT));
	assert_null(nearest_name("run", names, 0));
	memset(longer, 'r', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_null(nearest_name(longer, names, COUNT));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(finds_what_was_meant),
	    cmocka_unit_test(suggests_nothing_far_fetched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
