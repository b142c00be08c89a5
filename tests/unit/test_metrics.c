/* Tests of broker/metrics. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "broker/metrics.h"

static const struct metrics_run simple = {.owner = 1000, .status = RUN_exited, .started = true, .start = RUN_START_CACHED,
    .total_us = 400, .queue_us = 10, .start_us = 20, .run_us = 300};

/* A member of the figures of an owner (0: of all) at a time: "times", "run_us", "p50". -1 when it is null. */
static json_int_t
figure(struct metrics *m, uid_t owner, int64_t now_s, const char *a, const char *b, const char *c)
{
	json_t *json = metrics_json(m, owner == 0 ? NULL : &owner, true, now_s);
	const json_t *at = json_object_get(json, a);
	json_int_t value;

	if (b != NULL)
		at = json_object_get(at, b);
	if (c != NULL)
		at = json_object_get(at, c);
	assert_non_null(at);
	value = json_is_null(at) ? -1 : json_integer_value(at);
	json_decref(json);
	return value;
}

static void
counts_for_the_owner_and_for_all(void **state)
{
	struct metrics *m = metrics_new();
	struct metrics_run other = simple;

	(void)state;
	other.owner = 1001;
	other.status = RUN_trapped;
	other.start = RUN_START_COLD;
	metrics_count(m, &simple, 0);
	metrics_count(m, &simple, 0);
	metrics_count(m, &other, 0);
	metrics_refuse(m, 1001);
	assert_int_equal(figure(m, 0, 0, "runs", "exited", NULL), 2);
	assert_int_equal(figure(m, 0, 0, "runs", "trapped", NULL), 1);
	assert_int_equal(figure(m, 0, 0, "refused", NULL, NULL), 1);
	assert_int_equal(figure(m, 1000, 0, "runs", "exited", NULL), 2);
	assert_int_equal(figure(m, 1000, 0, "runs", "trapped", NULL), 0);
	assert_int_equal(figure(m, 1000, 0, "refused", NULL, NULL), 0);
	assert_int_equal(figure(m, 1000, 0, "starts", "cached", NULL), 2);
	assert_int_equal(figure(m, 1001, 0, "starts", "cold", NULL), 1);
	assert_int_equal(figure(m, 1000, 0, "times", "run_us", "count"), 2);
	assert_int_equal(figure(m, 0, 0, "times", "run_us", "sum"), 900);
	metrics_free(m);
}

static void
knows_nothing_of_an_owner_who_ran_nothing(void **state)
{
	struct metrics *m = metrics_new();

	(void)state;
	metrics_count(m, &simple, 0);
	assert_int_equal(figure(m, 77, 0, "runs", "exited", NULL), 0);
	assert_int_equal(figure(m, 77, 0, "times", "run_us", "count"), 0);
	assert_int_equal(figure(m, 77, 0, "times", "run_us", "p50"), -1);
	metrics_free(m);
}

static void
leaves_out_what_was_not_measured(void **state)
{
	struct metrics *m = metrics_new();
	const struct metrics_run never_started = {.owner = 1000, .status = RUN_cancelled, .total_us = 5,
	    .queue_us = METRICS_UNKNOWN, .start_us = METRICS_UNKNOWN, .run_us = METRICS_UNKNOWN};

	(void)state;
	metrics_count(m, &never_started, 0);
	assert_int_equal(figure(m, 0, 0, "runs", "cancelled", NULL), 1);
	assert_int_equal(figure(m, 0, 0, "starts", "cold", NULL), 0);
	assert_int_equal(figure(m, 0, 0, "times", "total_us", "count"), 1);
	assert_int_equal(figure(m, 0, 0, "times", "run_us", "count"), 0);
	assert_int_equal(figure(m, 0, 0, "times", "run_us", "max"), -1);
	metrics_free(m);
}

/* Whatever lies between two looks: percentiles are of this period and the one before, counts of all. */
static void
percentiles_are_of_the_last_two_periods(void **state)
{
	static const struct {
		int64_t after;
		json_int_t expected;
	} cases[] = {{0, 300}, {1, 300}, {METRICS_WINDOW_S, 300}, {2 * METRICS_WINDOW_S, -1}, {3 * METRICS_WINDOW_S, -1},
	    {50 * METRICS_WINDOW_S, -1}, {51 * METRICS_WINDOW_S, -1}};

	(void)state;
	for (int64_t begin = 0; begin < 3 * METRICS_WINDOW_S; begin += METRICS_WINDOW_S)
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			struct metrics *m = metrics_new();

			metrics_count(m, &simple, begin);
			assert_int_equal(figure(m, 0, begin + cases[i].after, "times", "run_us", "max"), cases[i].expected);
			assert_int_equal(figure(m, 1000, begin + cases[i].after, "times", "run_us", "p50"), cases[i].expected);
			assert_int_equal(figure(m, 0, begin + cases[i].after, "times", "run_us", "count"), 1);
			metrics_free(m);
		}
}

static void
what_is_old_does_not_come_back(void **state)
{
	struct metrics *m = metrics_new();
	struct metrics_run slow = simple;

	(void)state;
	slow.run_us = 1000000;
	metrics_count(m, &slow, 0);
	for (int64_t period = 1; period < 6; period++)
		metrics_count(m, &simple, period * METRICS_WINDOW_S);
	assert_int_equal(figure(m, 0, 5 * METRICS_WINDOW_S, "times", "run_us", "max"), 300);
	assert_int_equal(figure(m, 0, 5 * METRICS_WINDOW_S, "times", "run_us", "count"), 6);
	metrics_free(m);
}

static void
keeps_the_owners_that_ran_something_last(void **state)
{
	static uid_t owners[METRICS_OWNERS_MAX];
	struct metrics *m = metrics_new();
	struct metrics_run r = simple;

	(void)state;
	for (uid_t i = 1; i <= METRICS_OWNERS_MAX + 10; i++) {
		r.owner = i;
		metrics_count(m, &r, 0);
		metrics_refuse(m, 1); /* is there all the time */
	}
	assert_int_equal(metrics_owners(m, owners), METRICS_OWNERS_MAX);
	assert_int_equal(owners[0], 1);
	assert_int_equal(owners[1], METRICS_OWNERS_MAX + 10);
	assert_int_equal(figure(m, 1, 0, "runs", "exited", NULL), 1);
	assert_int_equal(figure(m, 2, 0, "runs", "exited", NULL), 0);
	assert_int_equal(figure(m, 0, 0, "runs", "exited", NULL), METRICS_OWNERS_MAX + 10);
	metrics_free(m);
}

static void
keeps_percentiles_of_fewer(void **state)
{
	struct metrics *m = metrics_new();
	struct metrics_run r = simple;

	(void)state;
	for (uid_t i = 1; i <= METRICS_TIMED_MAX + 1; i++) {
		r.owner = i;
		metrics_count(m, &r, 0);
	}
	assert_int_equal(figure(m, 1, 0, "times", "run_us", "p50"), -1);
	assert_int_equal(figure(m, 1, 0, "times", "run_us", "count"), 1);
	assert_int_equal(figure(m, 2, 0, "times", "run_us", "p50"), 300);
	assert_int_equal(figure(m, METRICS_TIMED_MAX + 1, 0, "times", "run_us", "p50"), 300);
	metrics_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(counts_for_the_owner_and_for_all),
	    cmocka_unit_test(knows_nothing_of_an_owner_who_ran_nothing),
	    cmocka_unit_test(leaves_out_what_was_not_measured),
	    cmocka_unit_test(percentiles_are_of_the_last_two_periods),
	    cmocka_unit_test(what_is_old_does_not_come_back),
	    cmocka_unit_test(keeps_the_owners_that_ran_something_last),
	    cmocka_unit_test(keeps_percentiles_of_fewer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
