/* Unit tests of runtime/wasi: every function called from a module, through the engine and the trampoline. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "runtime/trap.h"
#include "runtime/wasi/errno.h"
#include "tests/unit/wasi_host.h"

/* --- the job --------------------------------------------------------------------------------------------------- */

static void
arguments_and_environment_arrive_in_order(void **state)
{
	static const char *const args[] = {"prog", "", "x y", NULL}, *const env[] = {"A=1", "LANG=C.UTF-8", NULL};

	(void)state;
	host_give(args, env, "");
	host_start();
	assert_int_equal(CALL(args_sizes_get, 8, 12), 0);
	assert_int_equal(host_load(8, 4), 3);
	assert_int_equal(host_load(12, 4), 10);
	assert_int_equal(CALL(args_get, 100, 200), 0);
	assert_memory_equal(host_mem(200), "prog\0\0x y", 10);
	assert_int_equal(host_load(100, 4), 200);
	assert_int_equal(host_load(104, 4), 205);
	assert_int_equal(host_load(108, 4), 206);
	assert_int_equal(CALL(environ_sizes_get, 8, 12), 0);
	assert_int_equal(host_load(8, 4), 2);
	assert_int_equal(host_load(12, 4), 17);
	assert_int_equal(CALL(environ_get, 100, END - 17), 0);
	assert_memory_equal(host_mem(END - 17), "A=1\0LANG=C.UTF-8", 17);
	assert_int_equal(host_load(104, 4), END - 13);
}

static void
arguments_that_do_not_fit_the_memory_write_nothing(void **state)
{
	static const char *const args[] = {"prog", NULL};

	(void)state;
	host_give(args, NULL, "");
	host_start();
	assert_int_equal(CALL(args_get, 100, END - 4), WASI_EFAULT);
	assert_int_equal(CALL(args_get, END - 3, 100), WASI_EFAULT);
	assert_int_equal(CALL(args_get, 100, UINT32_MAX), WASI_EFAULT);
	assert_int_equal(CALL(args_sizes_get, 100, END - 3), WASI_EFAULT);
	assert_int_equal(CALL(args_sizes_get, END - 3, 100), WASI_EFAULT);
	assert_int_equal(host_load(100, 8), 0);
	assert_int_equal(host_load(END - 8, 8), 0);
}

static void
no_arguments_are_no_error(void **state)
{
	(void)state;
	host_start();
	assert_int_equal(CALL(args_sizes_get, 8, 12), 0);
	assert_int_equal(host_load(8, 8), 0);
	assert_int_equal(CALL(args_get, END, END), 0);
	assert_int_equal(CALL(environ_get, 0, 0), 0);
}

static void
a_blob_that_is_not_what_the_job_says_is_refused(void **state)
{
	static const char *const args[] = {"ab", "c", NULL};
	struct proto_job good;

	(void)state;
	host_give(args, NULL, "in");
	good = host->job;
	host->job.argc++;
	assert_int_equal(host_begin(), ERR_PROTOCOL);
	host->job = good;
	host->job.argc--;
	assert_int_equal(host_begin(), ERR_PROTOCOL);
	host->job = good;
	host->job.args_bytes = UINT64_MAX;
	host->job.env_bytes = 12;
	assert_int_equal(host_begin(), ERR_PROTOCOL);
	host->job = good;
	host->blob[4] = '\0';
	assert_int_equal(host_begin(), ERR_PROTOCOL);
	host->blob[4] = 'a';
	host->job.clock = 4;
	assert_int_equal(host_begin(), ERR_PROTOCOL);
	host->job = good;
	assert_int_equal(host_begin(), 0);
}

/* --- streams --------------------------------------------------------------------------------------------------- */

static void
what_is_written_is_gathered_counted_and_sent_at_the_end(void **state)
{
	struct proto_result result = {.status = 0};

	(void)state;
	host_start();
	memcpy(host_mem(1000), "hello world", 11);
	host_iovec(16, 0, 1006, 5);
	host_iovec(16, 1, 1005, 1);
	host_iovec(16, 2, 77, 0);
	host_iovec(16, 3, 1000, 5);
	host_iovec(16, 4, 1000, 5); /* overlapping is fine */
	assert_int_equal(CALL(fd_write, 1, 16, 5, 8), 0);
	assert_int_equal(host_load(8, 4), 16);
	assert_int_equal(CALL(fd_write, 2, 16, 1, 8), 0);
	host_expect_silence();
	assert_int_equal(wasi_finish(host->wasi), 0);
	host_expect_output(1, "world hellohello");
	host_expect_output(2, "world");
	assert_false(wasi_report(host->wasi, &result));
	assert_int_equal(result.stdout_bytes, 16);
	assert_int_equal(result.stderr_bytes, 5);
	assert_int_equal(result.host_calls[WASI_CALL_fd_write], 2);
	assert_int_equal(result.host_calls[WASI_CALL_fd_read], 0);
	assert_int_equal(wasi_finish(host->wasi), 0);
	host_expect_silence();
}

static void
bad_iovecs_write_nothing(void **state)
{
	struct proto_result result = {.status = 0};

	(void)state;
	host_start();
	host_iovec(16, 0, 1000, 5);
	host_iovec(16, 1, END - 4, 5);
	assert_int_equal(CALL(fd_write, 1, 16, 2, 8), WASI_EFAULT); /* the second one crosses the end */
	host_iovec(16, 1, UINT32_MAX, UINT32_MAX);
	assert_int_equal(CALL(fd_write, 1, 16, 2, 8), WASI_EFAULT); /* and wraps */
	assert_int_equal(CALL(fd_write, 1, 16, UINT32_MAX, 8), WASI_EFAULT);
	assert_int_equal(CALL(fd_write, 1, END - 7, 1, 8), WASI_EFAULT);
	assert_int_equal(CALL(fd_write, 1, UINT32_MAX, UINT32_MAX, 8), WASI_EFAULT);
	assert_int_equal(CALL(fd_write, 1, 16, 1, END - 3), WASI_EFAULT); /* nowhere to put the count */
	assert_int_equal(CALL(fd_write, 1, END, 0, 8), 0);                /* an empty list is fine */
	assert_int_equal(host_load(8, 4), 0);
	assert_int_equal(wasi_finish(host->wasi), 0);
	host_expect_silence();
	wasi_report(host->wasi, &result);
	assert_int_equal(result.stdout_bytes, 0);
}

static void
output_past_its_limit_ends_the_run(void **state)
{
	struct proto_result result = {.status = 0};

	(void)state;
	host->job.flags = PROTO_JOB_OUTPUT_ENDS;
	host->job.output_bytes = 5;
	host_start();
	memcpy(host_mem(1000), "hello!", 6);
	host_iovec(16, 0, 1000, 5);
	assert_int_equal(CALL(fd_write, 1, 16, 1, 8), 0);
	host_iovec(16, 0, 1000, 6);
	assert_int_equal(CALL(fd_write, 2, 16, 1, 8), TRAPPED);
	host_expect_end(WASI_END_LIMIT, PROTO_LIMIT_output_bytes);
	assert_true(wasi_report(host->wasi, &result));
	assert_int_equal(result.status, PROTO_STATUS_LIMIT);
	assert_int_equal(result.limit, PROTO_LIMIT_output_bytes);
	assert_int_equal(wasi_finish(host->wasi), 0);
	host_expect_output(1, "hello");
	host_expect_output(2, "hello");
}

static void
input_is_scattered_to_its_end(void **state)
{
	(void)state;
	host_give(NULL, NULL, "abcdefg");
	host_start();
	host_iovec(16, 0, 1000, 2);
	host_iovec(16, 1, 2000, 0);
	host_iovec(16, 2, 3000, 3);
	assert_int_equal(CALL(fd_read, 0, 16, 3, 8), 0);
	assert_int_equal(host_load(8, 4), 5);
	assert_memory_equal(host_mem(1000), "ab\0", 3);
	assert_memory_equal(host_mem(3000), "cde\0", 4);
	assert_int_equal(CALL(fd_read, 0, 16, 3, 8), 0);
	assert_int_equal(host_load(8, 4), 2);
	assert_int_equal(CALL(fd_read, 0, 16, 3, 8), 0);
	assert_int_equal(host_load(8, 4), 0);
	assert_int_equal(CALL(fd_read, 0, 16, UINT32_MAX, 8), WASI_EFAULT);
	assert_int_equal(CALL(fd_read, 1, 16, 1, 8), WASI_EBADF);
	assert_int_equal(CALL(fd_write, 0, 16, 1, 8), WASI_EBADF);
}

static void
input_that_overwrites_its_own_iovecs_stays_inside_the_memory(void **state)
{
	(void)state;
	host_give(NULL, NULL, "\xff\xff\xff\xff\xff\xff\xff\x7fmore");
	host_start();
	host_iovec(16, 0, 24, 8); /* onto the second one */
	host_iovec(16, 1, 1000, 4);
	assert_int_equal(CALL(fd_read, 0, 16, 2, 8), 0);
	assert_int_equal(host_load(8, 4), 8);
	assert_int_equal(host_load(1000, 4), 0);
}

static void
streamed_input_that_is_not_there_yet_is_eagain_when_nonblocking(void **state)
{
	(void)state;
	host->job.flags = PROTO_JOB_STREAM_INPUT;
	host_start();
	host_iovec(16, 0, 1000, 8);
	assert_int_equal(CALL(fd_fdstat_set_flags, 0, 4), 0);
	assert_int_equal(CALL(fd_read, 0, 16, 1, 8), WASI_EAGAIN);
	assert_int_equal(imsg_send(host->broker, PROTO_INPUT, RUN, "abc", 3, NULL, 0, NULL), 0);
	assert_int_equal(CALL(fd_read, 0, 16, 1, 8), 0);
	assert_int_equal(host_load(8, 4), 3);
	assert_memory_equal(host_mem(1000), "abc", 3);
}

static void
a_closed_job_socket_ends_a_read_without_a_result(void **state)
{
	struct proto_result result = {.status = 0};

	(void)state;
	host->job.flags = PROTO_JOB_STREAM_INPUT;
	host_start();
	close(host->broker);
	host->broker = -1;
	host_iovec(16, 0, 1000, 8);
	assert_int_equal(CALL(fd_read, 0, 16, 1, 8), TRAPPED);
	host_expect_end(WASI_END_BROKEN, 0);
	assert_false(wasi_report(host->wasi, &result));
}

/* --- descriptors ----------------------------------------------------------------------------------------------- */

/* Descriptor, and then what the call gives on it. Pointers and lengths are ones that would be fine. */
static void
calls_without_meaning_on_a_pipe_have_the_errno_of_one(void **state)
{
	static const struct {
		enum wasi_call call;
		int expected;
		uint64_t a[WASI_PARAMETERS_MAX];
	} cases[] = {
#define CASE(name, expected, ...) {WASI_CALL_##name, expected, {__VA_ARGS__}}
		CASE(fd_advise, WASI_ESPIPE, 0, 0, 1, 5),
		CASE(fd_advise, WASI_EINVAL, 0, 0, 1, 6),
		CASE(fd_allocate, WASI_ESPIPE, 1, 0, 1),
		CASE(fd_datasync, WASI_EINVAL, 1),
		CASE(fd_sync, WASI_EINVAL, 2),
		CASE(fd_filestat_set_size, WASI_EINVAL, 1, 0),
		CASE(fd_filestat_set_times, WASI_ENOTSUP, 1, 0, 0, 5),
		CASE(fd_filestat_set_times, WASI_EINVAL, 1, 0, 0, 16),
		CASE(fd_pread, WASI_ESPIPE, 0, 16, 1, 0, 8),
		CASE(fd_pwrite, WASI_ESPIPE, 1, 16, 1, 0, 8),
		CASE(fd_readdir, WASI_ENOTDIR, 0, 16, 100, 0, 8),
		CASE(fd_seek, WASI_ESPIPE, 0, 0, 2, 8),
		CASE(fd_seek, WASI_EINVAL, 0, 0, 3, 8),
		CASE(fd_tell, WASI_ESPIPE, 1, 8),
		CASE(fd_prestat_get, WASI_EBADF, 0, 8),
		CASE(fd_prestat_dir_name, WASI_EBADF, 0, 8, 8),
		CASE(path_create_directory, WASI_ENOTDIR, 0, 8, 1),
		CASE(path_filestat_get, WASI_ENOTDIR, 0, 0, 8, 1, 16),
		CASE(path_filestat_set_times, WASI_ENOTDIR, 0, 0, 8, 1, 0, 0, 0),
		CASE(path_link, WASI_ENOTDIR, 0, 0, 8, 1, 1, 8, 1),
		CASE(path_open, WASI_ENOTDIR, 0, 0, 8, 1, 0, 0, 0, 0, 16),
		CASE(path_readlink, WASI_ENOTDIR, 0, 8, 1, 16, 1, 32),
		CASE(path_remove_directory, WASI_ENOTDIR, 0, 8, 1),
		CASE(path_rename, WASI_ENOTDIR, 0, 8, 1, 1, 8, 1),
		CASE(path_symlink, WASI_ENOTDIR, 8, 1, 0, 8, 1),
		CASE(path_unlink_file, WASI_ENOTDIR, 0, 8, 1),
		CASE(sock_accept, WASI_ENOTSOCK, 0, 0, 8),
		CASE(sock_recv, WASI_ENOTSOCK, 0, 16, 1, 0, 8, 12),
		CASE(sock_send, WASI_ENOTSOCK, 1, 16, 1, 0, 8),
		CASE(sock_shutdown, WASI_ENOTSOCK, 1, 1),
		/* second descriptors of their own */
		CASE(path_link, WASI_EBADF, 0, 0, 8, 1, 3, 8, 1),
		CASE(path_rename, WASI_EBADF, 0, 8, 1, 3, 8, 1),
		CASE(path_symlink, WASI_EBADF, 8, 1, 3, 8, 1),
		CASE(fd_renumber, WASI_EBADF, 0, 3),
#undef CASE
	};

	(void)state;
	host_start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int got = host_call(cases[i].call, cases[i].a);

		if (got != cases[i].expected)
			print_error("%s: %d, not %d\n", host_rows[cases[i].call].name, got, cases[i].expected);
		assert_int_equal(got, cases[i].expected);
	}
}

/* Every function whose first parameter is a descriptor. */
static void
every_call_on_a_descriptor_that_is_not_open_is_ebadf(void **state)
{
	static const uint32_t fds[] = {1, 3, 4, INT32_MAX, UINT32_MAX};

	(void)state;
	host->job.host_calls = UINT64_MAX;
	host_start();
	assert_int_equal(CALL(fd_close, 1), 0);
	for (uint32_t i = 0; i < WASI_CALL_COUNT; i++) {
		bool on_fd = strncmp(host_rows[i].name, "fd_", 3) == 0 || strncmp(host_rows[i].name, "sock_", 5) == 0 ||
		    (strncmp(host_rows[i].name, "path_", 5) == 0 && i != WASI_CALL_path_symlink);

		for (size_t k = 0; on_fd && k < sizeof(fds) / sizeof(fds[0]); k++) {
			uint64_t a[WASI_PARAMETERS_MAX] = {fds[k]};

			assert_int_equal(host_call(i, a), WASI_EBADF);
		}
	}
}

static void
a_stream_is_of_unknown_type_with_the_rights_of_its_end(void **state)
{
	(void)state;
	host_start();
	memset(host_mem(96), 0xee, 32);
	assert_int_equal(CALL(fd_fdstat_get, 0, 100), 0);
	assert_int_equal(host_load(100, 4), 0); /* file type and flags */
	assert_int_equal(host_load(108, 8), 1u << 1 | 1u << 3 | 1u << 21 | 1u << 27);
	assert_int_equal(host_load(116, 8), 0);
	assert_int_equal(host_load(124, 4), 0xeeeeeeee);
	assert_int_equal(CALL(fd_fdstat_get, 1, 100), 0);
	assert_int_equal(host_load(108, 8), 1u << 3 | 1u << 6 | 1u << 21 | 1u << 27);
	assert_int_equal(CALL(fd_fdstat_get, 1, END - 23), WASI_EFAULT);
	memset(host_mem(200), 0xee, 72);
	assert_int_equal(CALL(fd_filestat_get, 2, 200), 0);
	assert_int_equal(host_load(216, 1), 0);
	assert_int_equal(host_load(224, 8), 1);
	assert_int_equal(host_load(232, 8), 0);
	assert_int_equal(host_load(264, 4), 0xeeeeeeee);
	assert_int_equal(CALL(fd_filestat_get, 2, END - 63), WASI_EFAULT);
}

static void
flags_are_kept_and_unknown_ones_refused(void **state)
{
	(void)state;
	host_start();
	assert_int_equal(CALL(fd_fdstat_set_flags, 1, 0x1f), 0);
	assert_int_equal(CALL(fd_fdstat_set_flags, 1, 0x20), WASI_EINVAL);
	assert_int_equal(CALL(fd_fdstat_set_flags, 1, UINT32_MAX), WASI_EINVAL);
	assert_int_equal(CALL(fd_fdstat_get, 1, 100), 0);
	assert_int_equal(host_load(102, 2), 0x1f);
}

static void
rights_can_be_given_up_but_not_gained(void **state)
{
	(void)state;
	host_start();
	host_iovec(16, 0, 1000, 1);
	assert_int_equal(CALL(fd_fdstat_set_rights, 1, UINT64_MAX, 0), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_fdstat_set_rights, 1, 1u << 6, 1), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_fdstat_set_rights, 1, 1u << 6, 0), 0);
	assert_int_equal(CALL(fd_write, 1, 16, 1, 8), 0);
	assert_int_equal(CALL(fd_fdstat_set_flags, 1, 0), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_fdstat_set_rights, 1, 0, 0), 0);
	assert_int_equal(CALL(fd_write, 1, 16, 1, 8), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_fdstat_set_rights, 1, 1u << 6, 0), WASI_ENOTCAPABLE);
}

static void
a_renumbered_stream_goes_where_it_went(void **state)
{
	(void)state;
	host_start();
	memcpy(host_mem(1000), "x", 1);
	host_iovec(16, 0, 1000, 1);
	assert_int_equal(CALL(fd_renumber, 2, 1), 0);
	assert_int_equal(CALL(fd_write, 1, 16, 1, 8), 0);
	assert_int_equal(CALL(fd_write, 2, 16, 1, 8), WASI_EBADF);
	assert_int_equal(wasi_finish(host->wasi), 0);
	host_expect_output(2, "x");
}

/* --- clocks, randomness ---------------------------------------------------------------------------------------- */

static void
clocks_tell_the_time_and_unknown_ones_are_einval(void **state)
{
	(void)state;
	host_start();
	for (uint32_t id = 0; id < 4; id++) {
		host_store(8, 8, 0);
		assert_int_equal(CALL(clock_time_get, id, 1, 8), 0);
		assert_true(host_load(8, 8) != 0);
		assert_int_equal(CALL(clock_res_get, id, 8), 0);
		assert_true(host_load(8, 8) != 0);
	}
	assert_int_equal(CALL(clock_time_get, 4, 1, 8), WASI_EINVAL);
	assert_int_equal(CALL(clock_res_get, UINT32_MAX, 8), WASI_EINVAL);
	assert_int_equal(CALL(clock_time_get, 0, 1, END - 7), WASI_EFAULT);
	assert_int_equal(CALL(clock_time_get, 0, 1, END - 8), 0);
}

static void
what_policy_withholds_is_enotcapable_and_told_once_with_its_count(void **state)
{
	(void)state;
	host->job.clock = PROTO_CLOCK_NONE;
	host->job.random = PROTO_RANDOM_NONE;
	host_start();
	for (int i = 0; i < 70; i++)
		assert_int_equal(CALL(clock_time_get, 0, 1, 8), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(random_get, 8, 4), WASI_ENOTCAPABLE);
	assert_int_equal(host_load(8, 4), 0);
	assert_int_equal(wasi_finish(host->wasi), 0);
	host_expect_denial(WASI_CALL_clock_time_get, WASI_CAP_CLOCK, 70);
	host_expect_denial(WASI_CALL_random_get, WASI_CAP_RANDOM, 1);
	assert_int_equal(wasi_finish(host->wasi), 0);
	host_expect_silence();
}

static void
random_fills_exactly_what_was_asked(void **state)
{
	(void)state;
	host->job.random = PROTO_RANDOM_SEEDED;
	host_start();
	assert_int_equal(CALL(random_get, 0, MEMORY), 0);
	host_store(100, 8, 0);
	assert_int_equal(CALL(random_get, 101, 6), 0);
	assert_true(host_load(101, 6) != 0);
	assert_int_equal(host_load(100, 1), 0);
	assert_int_equal(host_load(107, 1), 0);
	assert_int_equal(CALL(random_get, 1, MEMORY), WASI_EFAULT);
	assert_int_equal(CALL(random_get, UINT32_MAX, UINT32_MAX), WASI_EFAULT);
	assert_int_equal(CALL(random_get, END, 0), 0);
}

/* --- ends ------------------------------------------------------------------------------------------------------ */

static void
exit_codes_have_32_bits(void **state)
{
	struct proto_result result = {.status = 0};

	(void)state;
	host_start();
	assert_int_equal(CALL(proc_exit, UINT32_MAX), TRAPPED);
	host_expect_end(WASI_END_EXIT, UINT32_MAX);
	assert_true(wasi_report(host->wasi, &result));
	assert_int_equal(result.status, PROTO_STATUS_EXITED);
	assert_int_equal(result.exit_code, UINT32_MAX);
	assert_int_equal(result.host_calls[WASI_CALL_proc_exit], 1);
}

static void
raising_a_signal_does_what_its_default_is(void **state)
{
	struct proto_result result = {.status = 0};

	(void)state;
	host_start();
	assert_int_equal(CALL(proc_raise, 0), 0);
	assert_int_equal(CALL(proc_raise, 16), 0);             /* chld */
	assert_int_equal(CALL(proc_raise, 18), WASI_ENOTSUP);  /* stop */
	assert_int_equal(CALL(proc_raise, 31), WASI_EINVAL);
	assert_int_equal(CALL(proc_raise, UINT32_MAX), WASI_EINVAL);
	assert_int_equal(CALL(sched_yield, 0), 0);
	assert_int_equal(CALL(proc_raise, 6), TRAPPED);        /* abrt */
	host_expect_end(WASI_END_SIGNAL, 6);
	assert_true(wasi_report(host->wasi, &result));
	assert_int_equal(result.status, PROTO_STATUS_TRAPPED);
	assert_int_equal(result.trap, RUNTIME_TRAP_signal);
	assert_string_equal(wasi_signal_name(6), "SIGABRT");
	assert_string_equal(wasi_signal_name(30), "SIGSYS");
	assert_string_equal(wasi_signal_name(31), "a signal");
}

static void
the_host_call_past_the_limit_ends_the_run(void **state)
{
	(void)state;
	host->job.host_calls = 3;
	host_start();
	for (int i = 0; i < 3; i++)
		assert_int_equal(CALL(sched_yield, 0), 0);
	host_expect_end(WASI_END_NOT, 0);
	assert_int_equal(CALL(sched_yield, 0), TRAPPED);
	host_expect_end(WASI_END_LIMIT, PROTO_LIMIT_host_calls);
}

static void
a_limit_ends_work_on_a_whole_memory(void **state)
{
	uint64_t before;
	uint32_t size;

	(void)state;
	host_start();
	assert_null(wasmtime_memory_grow(host->context, &host->memory, 16382, &before)); /* 1 GiB */
	size = (uint32_t)wasmtime_memory_data_size(host->context, &host->memory);
	host_set_alarm(true);
	assert_int_equal(CALL(random_get, 0, size), TRAPPED);
	host_set_alarm(false);
	host_expect_end(WASI_END_LIMIT, PROTO_LIMIT_wall_ms);
}

static void
a_limit_ends_a_walk_over_empty_iovecs(void **state)
{
	uint64_t before;

	(void)state;
	host_start();
	assert_null(wasmtime_memory_grow(host->context, &host->memory, 16382, &before)); /* 1 GiB, all zero */
	host_set_alarm(true);
	assert_int_equal(CALL(fd_write, 1, 65536, (1u << 27) - 8192, 8), TRAPPED);
	host_set_alarm(false);
	host_expect_end(WASI_END_LIMIT, PROTO_LIMIT_wall_ms);
}

static void
from_a_signal_all_is_sent_when_the_guest_was_running(void **state)
{
	(void)state;
	host_start();
	memcpy(host_mem(1000), "hi", 2);
	host_iovec(16, 0, 1000, 2);
	assert_int_equal(CALL(fd_write, 1, 16, 1, 8), 0);
	assert_int_equal(wasi_finish_from_signal(host->wasi), 0);
	host_expect_output(1, "hi");
}

/* --- memory ---------------------------------------------------------------------------------------------------- */

static void
memory_is_found_before_it_is_attached(void **state)
{
	(void)state;
	assert_int_equal(host_begin(), 0);
	host_instantiate(true);
	assert_int_equal(CALL(clock_time_get, 0, 1, 8), 0);
	assert_true(host_load(8, 8) != 0);
}

static void
memory_that_has_grown_is_reachable_in_the_next_call(void **state)
{
	uint64_t before;

	(void)state;
	host_start();
	assert_int_equal(CALL(clock_time_get, 0, 1, END), WASI_EFAULT);
	assert_null(wasmtime_memory_grow(host->context, &host->memory, 1, &before));
	assert_int_equal(CALL(clock_time_get, 0, 1, END), 0);
	assert_true(host_load(END, 8) != 0);
}

static void
a_module_that_exports_no_memory_ends_when_a_call_needs_it(void **state)
{
	(void)state;
	assert_int_equal(host_begin(), 0);
	host_instantiate(false);
	assert_int_equal(CALL(sched_yield, 0), 0);
	assert_int_equal(CALL(fd_close, 0), 0);
	CALL(fd_write, 1, 0, 1, 0);
	host_expect_end(WASI_END_NO_MEMORY, WASI_CALL_fd_write);
}

/* --- anything at all ------------------------------------------------------------------------------------------- */

/* Whether a call can be made over and over: the others end the run, or take away the descriptors to try things on. */
static bool
is_repeatable(uint32_t call)
{
	return call != WASI_CALL_proc_exit && call != WASI_CALL_proc_raise && call != WASI_CALL_poll_oneoff &&
	    call != WASI_CALL_fd_close && call != WASI_CALL_fd_renumber && call != WASI_CALL_fd_fdstat_set_rights;
}

static void
no_parameters_whatsoever_upset_the_host(void **state)
{
	uint64_t a[WASI_PARAMETERS_MAX];
	unsigned good = 0, bad = 0;

	(void)state;
	host->job.host_calls = UINT64_MAX;
	host->job.output_bytes = 1000; /* so that none is sent: nobody reads it */
	host_give(NULL, NULL, "some input");
	host_start();
	for (uint32_t i = 0; i < 2000 * WASI_CALL_COUNT; i++) {
		int error;

		if (!is_repeatable(i % WASI_CALL_COUNT))
			continue;
		for (size_t k = 0; k < WASI_PARAMETERS_MAX; k++)
			a[k] = host_awkward_number();
		error = host_call(i % WASI_CALL_COUNT, a);
		assert_in_range(error, 0, WASI_ENOTCAPABLE);
		*(error == 0 ? &good : &bad) += 1;
	}
	assert_true(good > 1000);
	assert_true(bad > 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, host_set_up, host_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(arguments_and_environment_arrive_in_order),
		TEST(arguments_that_do_not_fit_the_memory_write_nothing),
		TEST(no_arguments_are_no_error),
		TEST(a_blob_that_is_not_what_the_job_says_is_refused),
		TEST(what_is_written_is_gathered_counted_and_sent_at_the_end),
		TEST(bad_iovecs_write_nothing),
		TEST(output_past_its_limit_ends_the_run),
		TEST(input_is_scattered_to_its_end),
		TEST(input_that_overwrites_its_own_iovecs_stays_inside_the_memory),
		TEST(streamed_input_that_is_not_there_yet_is_eagain_when_nonblocking),
		TEST(a_closed_job_socket_ends_a_read_without_a_result),
		TEST(calls_without_meaning_on_a_pipe_have_the_errno_of_one),
		TEST(every_call_on_a_descriptor_that_is_not_open_is_ebadf),
		TEST(a_stream_is_of_unknown_type_with_the_rights_of_its_end),
		TEST(flags_are_kept_and_unknown_ones_refused),
		TEST(rights_can_be_given_up_but_not_gained),
		TEST(a_renumbered_stream_goes_where_it_went),
		TEST(clocks_tell_the_time_and_unknown_ones_are_einval),
		TEST(what_policy_withholds_is_enotcapable_and_told_once_with_its_count),
		TEST(random_fills_exactly_what_was_asked),
		TEST(exit_codes_have_32_bits),
		TEST(raising_a_signal_does_what_its_default_is),
		TEST(the_host_call_past_the_limit_ends_the_run),
		TEST(a_limit_ends_work_on_a_whole_memory),
		TEST(a_limit_ends_a_walk_over_empty_iovecs),
		TEST(from_a_signal_all_is_sent_when_the_guest_was_running),
		TEST(memory_is_found_before_it_is_attached),
		TEST(memory_that_has_grown_is_reachable_in_the_next_call),
		TEST(a_module_that_exports_no_memory_ends_when_a_call_needs_it),
		TEST(no_parameters_whatsoever_upset_the_host),
	};

	return cmocka_run_group_tests(tests, host_make_modules, host_drop_modules);
}
