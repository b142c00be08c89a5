/* Unit tests of poll_oneoff, called from a module through the engine and the trampoline. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "runtime/wasi/errno.h"
#include "tests/unit/wasi_host.h"

enum { SUBS = 4096, EVENTS = 8192 };
enum { ON_CLOCK = 0, ON_READ = 1, ON_WRITE = 2 };

/* Subscription `i`, with userdata 100 + i. */
static void
subscribe(uint32_t i, uint8_t type, uint32_t target, uint64_t timeout, uint16_t flags)
{
	uint32_t at = SUBS + 48 * i;

	memset(host_mem(at), 0, 48);
	host_store(at, 8, 100 + i);
	host_store(at + 8, 1, type);
	host_store(at + 16, 4, target);
	host_store(at + 24, 8, timeout);
	host_store(at + 40, 2, flags);
}

static void
expect_event(uint32_t i, uint64_t userdata, uint16_t error, uint8_t type, uint64_t bytes, uint16_t flags)
{
	uint32_t at = EVENTS + 32 * i;

	assert_int_equal(host_load(at, 8), userdata);
	assert_int_equal(host_load(at + 8, 2), error);
	assert_int_equal(host_load(at + 10, 1), type);
	assert_int_equal(host_load(at + 16, 8), bytes);
	assert_int_equal(host_load(at + 24, 2), flags);
}

static int
poll_subs(uint32_t n)
{
	host_store(8, 4, 999);
	return CALL(poll_oneoff, SUBS, EVENTS, n, 8);
}

static void
polling_for_nothing_is_einval_and_outside_of_memory_efault(void **state)
{
	(void)state;
	host_start();
	assert_int_equal(poll_subs(0), WASI_EINVAL);
	assert_int_equal(poll_subs(UINT32_MAX), WASI_EFAULT);
	assert_int_equal(CALL(poll_oneoff, END - 47, EVENTS, 1, 8), WASI_EFAULT);
	assert_int_equal(CALL(poll_oneoff, SUBS, END - 31, 1, 8), WASI_EFAULT);
	assert_int_equal(CALL(poll_oneoff, SUBS, EVENTS, 1, END - 3), WASI_EFAULT);
	subscribe(0, 3, 0, 0, 0);
	assert_int_equal(poll_subs(1), WASI_EINVAL);
	subscribe(0, ON_CLOCK, 4, 0, 0);
	assert_int_equal(poll_subs(1), WASI_EINVAL);
	subscribe(0, ON_CLOCK, 0, 0, 2);
	assert_int_equal(poll_subs(1), WASI_EINVAL);
	assert_int_equal(host_load(8, 4), 999);
}

static void
a_relative_sleep_takes_its_time(void **state)
{
	uint64_t before;

	(void)state;
	host_start();
	assert_int_equal(CALL(clock_time_get, 1, 1, 16), 0);
	before = host_load(16, 8);
	subscribe(0, ON_CLOCK, 1, 20000000, 0);
	subscribe(1, ON_CLOCK, 0, 3600000000000, 0);
	assert_int_equal(poll_subs(2), 0);
	assert_int_equal(host_load(8, 4), 1);
	expect_event(0, 100, 0, ON_CLOCK, 0, 0);
	assert_int_equal(CALL(clock_time_get, 1, 1, 16), 0);
	assert_true(host_load(16, 8) - before >= 20000000);
}

static void
an_absolute_sleep_reaches_its_time_by_every_clock(void **state)
{
	static const enum proto_clock kinds[] = {PROTO_CLOCK_REAL, PROTO_CLOCK_COARSE};

	for (size_t i = 0; i < 2; i++) {
		for (uint32_t id = 0; id < 2; id++) {
			uint64_t target;

			if (host->store != NULL) {
				host_tear_down(state);
				host_set_up(state);
			}
			host->job.clock = kinds[i];
			host_start();
			assert_int_equal(CALL(clock_time_get, id, 1, 16), 0);
			target = host_load(16, 8) + 5000001;
			subscribe(0, ON_CLOCK, id, target, 1);
			assert_int_equal(poll_subs(1), 0);
			expect_event(0, 100, 0, ON_CLOCK, 0, 0);
			assert_int_equal(CALL(clock_time_get, id, 1, 16), 0);
			assert_true(host_load(16, 8) >= target);
		}
	}
}

static void
times_that_are_past_and_clocks_that_cannot_be_waited_for_come_at_once(void **state)
{
	(void)state;
	host_start();
	subscribe(0, ON_CLOCK, 0, 1, 1);
	subscribe(1, ON_CLOCK, 1, 0, 0);
	subscribe(2, ON_CLOCK, 2, 1, 0);
	subscribe(3, ON_CLOCK, 3, 0, 1);
	subscribe(4, ON_CLOCK, 1, UINT64_MAX, 1);
	assert_int_equal(poll_subs(5), 0);
	assert_int_equal(host_load(8, 4), 4);
	expect_event(0, 100, 0, ON_CLOCK, 0, 0);
	expect_event(1, 101, 0, ON_CLOCK, 0, 0);
	expect_event(2, 102, WASI_ENOTSUP, ON_CLOCK, 0, 0);
	expect_event(3, 103, WASI_ENOTSUP, ON_CLOCK, 0, 0);
}

static void
without_a_clock_one_can_sleep_but_not_until_a_time(void **state)
{
	(void)state;
	host->job.clock = PROTO_CLOCK_NONE;
	host_start();
	subscribe(0, ON_CLOCK, 0, 1000, 0);
	assert_int_equal(poll_subs(1), 0);
	expect_event(0, 100, 0, ON_CLOCK, 0, 0);
	subscribe(0, ON_CLOCK, 0, 1, 1);
	assert_int_equal(poll_subs(1), 0);
	expect_event(0, 100, WASI_ENOTCAPABLE, ON_CLOCK, 0, 0);
	assert_int_equal(wasi_finish(host->wasi), 0);
	host_expect_denial(WASI_CALL_poll_oneoff, WASI_CAP_CLOCK, 1);
}

static void
a_fixed_clock_still_lets_an_absolute_sleep_end(void **state)
{
	(void)state;
	host->job.clock = PROTO_CLOCK_FIXED;
	host->job.clock_fixed_ns = 1000000000;
	host_start();
	subscribe(0, ON_CLOCK, 0, 1005000000, 1);
	assert_int_equal(poll_subs(1), 0);
	expect_event(0, 100, 0, ON_CLOCK, 0, 0);
}

static void
streams_are_ready_with_what_they_have(void **state)
{
	(void)state;
	host_give(NULL, NULL, "abc");
	host_start();
	subscribe(0, ON_READ, 0, 0, 0);
	subscribe(1, ON_WRITE, 1, 0, 0);
	subscribe(2, ON_READ, 1, 0, 0);
	subscribe(3, ON_WRITE, 7, 0, 0);
	subscribe(4, ON_CLOCK, 1, UINT64_MAX, 0);
	assert_int_equal(poll_subs(5), 0);
	assert_int_equal(host_load(8, 4), 4);
	expect_event(0, 100, 0, ON_READ, 3, 0);
	assert_int_equal(host_load(EVENTS + 32 + 8, 2), 0);
	assert_true(host_load(EVENTS + 32 + 16, 8) > 0);
	expect_event(2, 102, WASI_EBADF, ON_READ, 0, 0);
	expect_event(3, 103, WASI_EBADF, ON_WRITE, 0, 0);
	host_iovec(16, 0, 1000, 8);
	assert_int_equal(CALL(fd_read, 0, 16, 1, 8), 0);
	assert_int_equal(poll_subs(1), 0);
	expect_event(0, 100, 0, ON_READ, 0, 1); /* the end: hung up */
}

static void
waiting_for_streamed_input_ends_with_a_time_or_with_input(void **state)
{
	(void)state;
	host->job.flags = PROTO_JOB_STREAM_INPUT;
	host_start();
	memcpy(host_mem(1000), "?", 1);
	host_iovec(16, 0, 1000, 1);
	assert_int_equal(CALL(fd_write, 1, 16, 1, 8), 0);
	subscribe(0, ON_READ, 0, 0, 0);
	subscribe(1, ON_CLOCK, 1, 1000000, 0);
	assert_int_equal(poll_subs(2), 0);
	assert_int_equal(host_load(8, 4), 1);
	expect_event(0, 101, 0, ON_CLOCK, 0, 0);
	host_expect_output(1, "?"); /* what was buffered has been sent before waiting */
	assert_int_equal(imsg_send(host->broker, PROTO_INPUT, RUN, "yes", 3, NULL, 0, NULL), 0);
	assert_int_equal(poll_subs(1), 0);
	expect_event(0, 100, 0, ON_READ, 3, 0);
}

static void
a_limit_wakes_a_sleep_and_the_first_one_counts(void **state)
{
	(void)state;
	host_start();
	subscribe(0, ON_CLOCK, 1, UINT64_MAX, 0);
	host_set_alarm(true);
	assert_int_equal(poll_subs(1), TRAPPED);
	host_set_alarm(false);
	host_expect_end(WASI_END_LIMIT, PROTO_LIMIT_wall_ms);
	assert_int_equal(wasi_stopped(host->wasi), PROTO_LIMIT_wall_ms);
	assert_int_equal(host_seen_call, WASI_CALL_poll_oneoff + 1);
	assert_int_equal(host_finish_gave, ERR_AGAIN);
}

static void
no_subscriptions_whatsoever_upset_the_host(void **state)
{
	unsigned good = 0, bad = 0;
	uint64_t out;
	int error;

	(void)state;
	host->job.host_calls = UINT64_MAX;
	host_start();
	for (int i = 0; i < 5000; i++) {
		for (uint32_t k = 0; k < 4; k++) {
			subscribe(k, (uint8_t)(host_awkward_number() % 4), (uint32_t)(host_awkward_number() % 5),
			    host_awkward_number() % 100000, (uint16_t)(host_awkward_number() % 3));
		}
		out = SUBS - 64 + host_awkward_number() % 200; /* events may fall onto subscriptions */
		error = CALL(poll_oneoff, SUBS, out, 1 + host_awkward_number() % 4, 8);
		*(error == 0 ? &good : &bad) += 1;
		host_expect_end(WASI_END_NOT, 0);
	}
	assert_true(good > 100);
	assert_true(bad > 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, host_set_up, host_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(polling_for_nothing_is_einval_and_outside_of_memory_efault),
		TEST(a_relative_sleep_takes_its_time),
		TEST(an_absolute_sleep_reaches_its_time_by_every_clock),
		TEST(times_that_are_past_and_clocks_that_cannot_be_waited_for_come_at_once),
		TEST(without_a_clock_one_can_sleep_but_not_until_a_time),
		TEST(a_fixed_clock_still_lets_an_absolute_sleep_end),
		TEST(streams_are_ready_with_what_they_have),
		TEST(waiting_for_streamed_input_ends_with_a_time_or_with_input),
		TEST(a_limit_wakes_a_sleep_and_the_first_one_counts),
		TEST(no_subscriptions_whatsoever_upset_the_host),
	};

	return cmocka_run_group_tests(tests, host_make_modules, host_drop_modules);
}
