/* Tests of broker/heat. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/heat.h"

static struct heat_key
key(uint8_t n)
{
	return (struct heat_key){.owner = 1000, .module.bytes = {7, n}}; /* all in one bucket */
}

static void
assert_about(double is, double wanted)
{
	assert_true(fabs(is - wanted) < 1e-9);
}

static void
counts_runs_and_forgets_half_in_a_while(void **state)
{
	struct heat *h = heat_new(4, NULL, NULL);
	struct heat_key k = key(1);

	(void)state;
	assert_about(heat_of(h, &k, 0), 0);
	assert_about(heat_note(h, &k, 0), 1);
	assert_about(heat_note(h, &k, 0), 2);
	assert_about(heat_of(h, &k, HEAT_HALF_MS), 1);
	assert_about(heat_note(h, &k, 2 * HEAT_HALF_MS), 1.5);
	assert_about(heat_of(h, &k, 1000 * HEAT_HALF_MS), 0);
	heat_free(h);
}

static void
keeps_owners_modules_and_engines_apart(void **state)
{
	struct heat *h = heat_new(4, NULL, NULL);
	struct heat_key one = key(1), other_module = key(2), other_owner = key(1), other_engine = key(1);

	(void)state;
	other_owner.owner = 1001;
	other_engine.engine = 1;
	heat_note(h, &one, 0);
	assert_about(heat_of(h, &other_module, 0), 0);
	assert_about(heat_of(h, &other_owner, 0), 0);
	assert_about(heat_of(h, &other_engine, 0), 0);
	heat_free(h);
}

static void
forgets_what_was_noted_longest_ago(void **state)
{
	struct heat *h = heat_new(2, NULL, NULL);
	struct heat_key a = key(1), b = key(2), c = key(3);

	(void)state;
	heat_note(h, &a, 0);
	heat_note(h, &b, 0);
	heat_note(h, &a, 0);
	heat_note(h, &c, 0);
	assert_about(heat_of(h, &a, 0), 2);
	assert_about(heat_of(h, &b, 0), 0);
	assert_about(heat_of(h, &c, 0), 1);
	heat_free(h);
}

static void
what_is_barred_stays_cold_until_it_is_forgotten(void **state)
{
	struct heat *h = heat_new(1, NULL, NULL);
	struct heat_key a = key(1), b = key(2);

	(void)state;
	heat_bar(h, &a); /* not there: nothing */
	heat_note(h, &a, 0);
	heat_bar(h, &a);
	assert_about(heat_note(h, &a, 0), 0);
	assert_about(heat_of(h, &a, 0), 0);
	assert_about(heat_note(h, &b, 0), 1);
	assert_about(heat_note(h, &a, 0), 1);
	heat_free(h);
}

static void
what_is_barred_warms_again_once_bars_are_lifted(void **state)
{
	struct heat *h = heat_new(2, NULL, NULL);
	struct heat_key a = key(1), b = key(2);

	(void)state;
	heat_note(h, &a, 0);
	heat_note(h, &b, 0);
	heat_bar(h, &a);
	heat_bar(h, &b);
	heat_lift_bars(h);
	assert_about(heat_of(h, &a, 0), 0);
	assert_about(heat_note(h, &a, 0), 1);
	assert_about(heat_note(h, &b, 0), 1);
	heat_free(h);
}

static void
what_may_not_park_is_as_hot_as_it_was_and_may_when_it_was_forgotten(void **state)
{
	struct heat *h = heat_new(1, NULL, NULL);
	struct heat_key a = key(1), b = key(2);

	(void)state;
	assert_false(heat_may_park(h, &a)); /* not there */
	heat_bar_parking(h, &a);
	heat_note(h, &a, 0);
	assert_true(heat_may_park(h, &a));
	heat_bar_parking(h, &a);
	assert_false(heat_may_park(h, &a));
	assert_about(heat_note(h, &a, 0), 2);
	heat_note(h, &b, 0);
	assert_true(heat_may_park(h, &b));
	heat_note(h, &a, 0);
	assert_true(heat_may_park(h, &a));
	heat_free(h);
}

static unsigned
weight(void *arg, uid_t owner)
{
	(void)arg;
	return owner == 1000 ? 1 : 3;
}

/* One who runs a new module each time pushes out what the other runs only past the share that weights give. */
static void
who_runs_many_modules_keeps_to_their_share(void **state)
{
	struct heat *h = heat_new(8, weight, NULL);
	struct heat_key k = {.owner = 2000};
	unsigned kept = 0;

	(void)state;
	for (uint8_t n = 0; n < 6; n++) {
		k.module.bytes[1] = n;
		heat_note(h, &k, 0);
	}
	for (uint8_t n = 0; n < 100; n++) {
		struct heat_key other = key(n);

		heat_note(h, &other, 0);
	}
	for (uint8_t n = 0; n < 6; n++) {
		k.module.bytes[1] = n;
		kept += heat_of(h, &k, 0) > 0;
	}
	assert_int_equal(kept, 6);
	for (uint8_t n = 0; n < 100; n++) {
		k.module.bytes[1] = n;
		heat_note(h, &k, 0);
	}
	kept = 0;
	for (uint8_t n = 0; n < 100; n++) {
		struct heat_key other = key(n);

		kept += heat_of(h, &other, 0) > 0;
	}
	assert_int_equal(kept, 2);
	heat_free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(counts_runs_and_forgets_half_in_a_while),
	    cmocka_unit_test(keeps_owners_modules_and_engines_apart),
	    cmocka_unit_test(forgets_what_was_noted_longest_ago),
	    cmocka_unit_test(what_is_barred_stays_cold_until_it_is_forgotten),
	    cmocka_unit_test(what_is_barred_warms_again_once_bars_are_lifted),
	    cmocka_unit_test(what_may_not_park_is_as_hot_as_it_was_and_may_when_it_was_forgotten),
	    cmocka_unit_test(who_runs_many_modules_keeps_to_their_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
