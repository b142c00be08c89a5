/* Tests of base/histogram. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/histogram.h"

static void
has_nothing_to_say_of_no_values(void **state)
{
	static struct histogram h;
	unsigned bucket = 0;
	uint64_t value, count;

	(void)state;
	assert_int_equal(histogram_at(&h, 50), 0);
	assert_int_equal(histogram_at(&h, 100), 0);
	assert_int_equal(histogram_next(&h, &bucket, &value, &count), 0);
}

static void
knows_small_values_exactly(void **state)
{
	static struct histogram h;

	(void)state;
	for (uint64_t i = 1; i <= 100; i++)
		histogram_add(&h, i);
	assert_int_equal(histogram_at(&h, 0), 1);
	assert_int_equal(histogram_at(&h, 50), 50);
	assert_int_equal(histogram_at(&h, 99), 99);
	assert_int_equal(histogram_at(&h, 100), 100);
	assert_int_equal(h.min, 1);
	assert_int_equal(h.max, 100);
	assert_int_equal(h.sum, 5050);
}

/* Every value comes back as one that is not smaller, and larger by a 128th at most, whatever its size. */
static void
is_right_to_a_hundred_and_twenty_eighth(void **state)
{
	static struct histogram h;

	(void)state;
	for (unsigned bit = 0; bit < HISTOGRAM_VALUE_BITS; bit++)
		for (int64_t off = -2; off <= 2; off++) {
			uint64_t value = (UINT64_C(1) << bit) + (uint64_t)off, told, count;
			unsigned bucket = 0;

			if (value >= UINT64_C(1) << HISTOGRAM_VALUE_BITS)
				continue;
			h = (struct histogram){0};
			histogram_add(&h, value);
			h.max = UINT64_MAX; /* so that it is the bucket that answers */
			assert_int_equal(histogram_next(&h, &bucket, &told, &count), 1);
			assert_true(told >= value && told - value <= value / 128);
			assert_int_equal(count, 1);
		}
}

static void
counts_what_is_too_large_as_its_maximum(void **state)
{
	static struct histogram h;

	(void)state;
	histogram_add(&h, 5);
	histogram_add(&h, UINT64_MAX / 2);
	assert_int_equal(histogram_at(&h, 100), UINT64_MAX / 2);
	assert_true(histogram_at(&h, 99) > UINT64_C(1) << (HISTOGRAM_VALUE_BITS - 1));
	assert_int_equal(histogram_at(&h, 50), 5);
}

/* Against the definition, over values of all sizes. */
static void
agrees_with_a_sorted_list(void **state)
{
	static struct histogram h;
	static uint64_t values[5000];
	unsigned short seed[3] = {1, 2, 3};

	(void)state;
	for (size_t i = 0; i < 5000; i++) {
		values[i] = (uint64_t)nrand48(seed) >> (nrand48(seed) % 31);
		histogram_add(&h, values[i]);
	}
	for (double percent = 1; percent < 100; percent += 0.7) {
		uint64_t told = histogram_at(&h, percent);
		size_t below = 0, at_most = 0;

		for (size_t i = 0; i < 5000; i++) {
			below += values[i] + values[i] / 128 < told;
			at_most += values[i] <= told;
		}
		assert_true((double)at_most >= 5000 * percent / 100);
		assert_true((double)below <= 5000 * percent / 100);
	}
}

static void
merged_is_as_if_all_had_been_added_to_one(void **state)
{
	static struct histogram a, b, all;
	unsigned short seed[3] = {4, 5, 6};

	(void)state;
	histogram_merge(&a, &b);
	assert_int_equal(a.count, 0);
	for (size_t i = 0; i < 1000; i++) {
		uint64_t value = (uint64_t)nrand48(seed) >> (nrand48(seed) % 31);

		histogram_add(i % 3 == 0 ? &a : &b, value);
		histogram_add(&all, value);
	}
	histogram_merge(&a, &b);
	assert_memory_equal(&a, &all, sizeof(a));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(has_nothing_to_say_of_no_values),
	    cmocka_unit_test(knows_small_values_exactly),
	    cmocka_unit_test(is_right_to_a_hundred_and_twenty_eighth),
	    cmocka_unit_test(counts_what_is_too_large_as_its_maximum),
	    cmocka_unit_test(agrees_with_a_sorted_list),
	    cmocka_unit_test(merged_is_as_if_all_had_been_added_to_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
