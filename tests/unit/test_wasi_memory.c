/* Unit tests of runtime/wasi/memory: the accessor of guest memory. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "runtime/wasi/memory.h"

#define PAGE 65536u

static uint8_t page[PAGE];

static struct wasi_memory
one_page(void)
{
	memset(page, 0, sizeof(page));
	return (struct wasi_memory){page, sizeof(page)};
}

static void
reaches_the_first_and_the_last_byte(void **state)
{
	struct wasi_memory m = one_page();
	uint8_t v;

	(void)state;
	page[0] = 0x11;
	page[PAGE - 1] = 0x22;
	assert_true(wasi_memory_get8(&m, 0, &v));
	assert_int_equal(v, 0x11);
	assert_true(wasi_memory_get8(&m, PAGE - 1, &v));
	assert_int_equal(v, 0x22);
	assert_false(wasi_memory_get8(&m, PAGE, &v));
	assert_int_equal(v, 0x22);
}

static void
refuses_numbers_that_cross_the_end_and_leaves_all_as_it_was(void **state)
{
	struct wasi_memory m = one_page();
	uint16_t v16 = 7;
	uint32_t v32 = 7;
	uint64_t v64 = 7;

	(void)state;
	assert_false(wasi_memory_get16(&m, PAGE - 1, &v16));
	assert_false(wasi_memory_get32(&m, PAGE - 3, &v32));
	assert_false(wasi_memory_get64(&m, PAGE - 7, &v64));
	assert_int_equal(v16, 7);
	assert_int_equal(v32, 7);
	assert_int_equal(v64, 7);
	assert_false(wasi_memory_put32(&m, PAGE - 3, UINT32_MAX));
	assert_false(wasi_memory_put64(&m, PAGE - 7, UINT64_MAX));
	assert_false(wasi_memory_write(&m, PAGE - 1, "ab", 2));
	for (size_t i = 0; i < PAGE; i++)
		assert_int_equal(page[i], 0);
}

static void
takes_numbers_that_end_at_the_end(void **state)
{
	struct wasi_memory m = one_page();
	uint32_t v32;
	uint64_t v64;

	(void)state;
	assert_true(wasi_memory_put32(&m, PAGE - 4, 0x04030201));
	assert_memory_equal(page + PAGE - 4, "\x01\x02\x03\x04", 4);
	assert_true(wasi_memory_get32(&m, PAGE - 4, &v32));
	assert_int_equal(v32, 0x04030201);
	assert_true(wasi_memory_put64(&m, PAGE - 8, UINT64_C(0x0807060504030201)));
	assert_memory_equal(page + PAGE - 8, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
	assert_true(wasi_memory_get64(&m, PAGE - 8, &v64));
	assert_true(v64 == UINT64_C(0x0807060504030201));
}

static void
reads_and_writes_at_any_alignment(void **state)
{
	struct wasi_memory m = one_page();
	uint64_t v;

	(void)state;
	for (uint32_t at = 0; at < 16; at++) {
		assert_true(wasi_memory_put64(&m, at, UINT64_C(0x1122334455667788) + at));
		assert_true(wasi_memory_get64(&m, at, &v));
		assert_true(v == UINT64_C(0x1122334455667788) + at);
	}
}

static void
sums_that_wrap_are_outside(void **state)
{
	static const uint64_t lengths[] = {1, 2, PAGE, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX - 1, UINT64_MAX};
	struct wasi_memory m = one_page();

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_false(wasi_memory_fits(&m, UINT64_MAX, lengths[i]));
		assert_false(wasi_memory_fits(&m, UINT64_MAX - lengths[i] + 1, lengths[i]));
		assert_false(wasi_memory_fits(&m, UINT32_MAX, lengths[i]));
	}
	assert_false(wasi_memory_fits(&m, 1, UINT64_MAX));
	assert_false(wasi_memory_fits(&m, 0, PAGE + 1));
	assert_true(wasi_memory_fits(&m, 0, PAGE));
}

static void
an_empty_range_fits_up_to_the_end_only(void **state)
{
	struct wasi_memory m = one_page();
	uint8_t *p = NULL;

	(void)state;
	assert_true(wasi_memory_slice(&m, PAGE, 0, &p));
	assert_ptr_equal(p, page + PAGE);
	p = NULL;
	assert_false(wasi_memory_slice(&m, PAGE + 1, 0, &p));
	assert_null(p);
}

static void
a_memory_of_no_pages_holds_nothing(void **state)
{
	struct wasi_memory m = {NULL, 0};
	uint8_t v = 3;
	uint8_t *p = page;

	(void)state;
	assert_false(wasi_memory_get8(&m, 0, &v));
	assert_int_equal(v, 3);
	assert_false(wasi_memory_put32(&m, 0, 1));
	assert_false(wasi_memory_fits(&m, 0, 1));
	assert_true(wasi_memory_slice(&m, 0, 0, &p));
	assert_true(wasi_memory_write(&m, 0, "", 0));
}

static void
four_gibibytes_reach_the_last_32_bit_address(void **state)
{
	/* Only the arithmetic: nothing is touched. */
	struct wasi_memory m = {page, UINT64_C(1) << 32};

	(void)state;
	assert_true(wasi_memory_fits(&m, UINT32_MAX, 1));
	assert_false(wasi_memory_fits(&m, UINT32_MAX, 2));
	assert_true(wasi_memory_fits(&m, 0, UINT64_C(8) * 0x20000000));
	assert_false(wasi_memory_fits(&m, 0, UINT64_C(8) * UINT32_MAX));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reaches_the_first_and_the_last_byte),
		cmocka_unit_test(refuses_numbers_that_cross_the_end_and_leaves_all_as_it_was),
		cmocka_unit_test(takes_numbers_that_end_at_the_end),
		cmocka_unit_test(reads_and_writes_at_any_alignment),
		cmocka_unit_test(sums_that_wrap_are_outside),
		cmocka_unit_test(an_empty_range_fits_up_to_the_end_only),
		cmocka_unit_test(a_memory_of_no_pages_holds_nothing),
		cmocka_unit_test(four_gibibytes_reach_the_last_32_bit_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
