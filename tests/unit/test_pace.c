/* Tests of broker/pace. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/pace.h"

#define MS INT64_C(1000)

static void
begins_with_a_guess(void **state)
{
	struct pace p = {0};

	(void)state;
	assert_int_equal(pace_promise(&p, 5 * MS), PACE_UNKNOWN_MS);
}

/* A place each 20 ms: who is turned away is told 20 ms, the next 40, and so on; what has passed since is no matter. */
static void
promises_one_place_to_one(void **state)
{
	struct pace p = {0};
	int64_t now = 1000 * MS;

	(void)state;
	for (int i = 0; i < 50; i++)
		pace_freed(&p, now += 20 * MS, true);
	assert_int_equal(pace_promise(&p, now), 20);
	assert_int_equal(pace_promise(&p, now), 40);
	assert_int_equal(pace_promise(&p, now + 10 * MS), 50);
	pace_freed(&p, now + 20 * MS, true);
	pace_freed(&p, now + 40 * MS, true);
	pace_freed(&p, now + 60 * MS, true);
	assert_int_equal(pace_promise(&p, now + 60 * MS), 20);
}

/* Nobody waited, so that the time until the next end says nothing about how fast places become free. */
static void
does_not_take_idleness_for_slowness(void **state)
{
	struct pace p = {0};
	int64_t now = 1000 * MS;

	(void)state;
	for (int i = 0; i < 10; i++)
		pace_freed(&p, now += 20 * MS, true);
	pace_freed(&p, now += 20 * MS, false);
	pace_freed(&p, now += 3600 * 1000 * MS, true);
	assert_int_equal(pace_promise(&p, now), 20);
}

static void
sees_that_it_has_become_slower_or_faster(void **state)
{
	struct pace p = {0};
	int64_t now = 1000 * MS, before;

	(void)state;
	pace_freed(&p, now, true);
	pace_freed(&p, now += 10 * MS, true);
	assert_int_equal(pace_promise(&p, now + 500 * MS), 500); /* nothing for half a second */
	for (int i = 0; i < 100; i++)
		pace_freed(&p, now += 1000 * MS, true);
	before = pace_promise(&p, now);
	assert_in_range(before, 990, 1000);
	for (int i = 0; i < 100; i++)
		pace_freed(&p, now += 1 * MS, true);
	p.promised_us = 0;
	assert_in_range(pace_promise(&p, now), 1, 2);
}

static void
stays_within_bounds(void **state)
{
	struct pace p = {0};
	int64_t now = 1000 * MS;

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_in_range(pace_promise(&p, now), PACE_LEAST_MS, PACE_MOST_MS);
	assert_int_equal(pace_promise(&p, now), PACE_MOST_MS);
	p = (struct pace){0};
	pace_freed(&p, now, true);
	pace_freed(&p, now + 1, true);
	assert_int_equal(pace_promise(&p, now + 1), PACE_LEAST_MS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(begins_with_a_guess),
	    cmocka_unit_test(promises_one_place_to_one),
	    cmocka_unit_test(does_not_take_idleness_for_slowness),
	    cmocka_unit_test(sees_that_it_has_become_slower_or_faster),
	    cmocka_unit_test(stays_within_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
