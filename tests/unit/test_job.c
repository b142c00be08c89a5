/* Unit tests of runtime/job. */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/job.h"

static struct imsg m;
static struct proto_job order;
static struct job job;
static struct err e;

/* A message that is right: "abc" is one argument, one variable, and input. */
static int
set_up(void **state)
{
	(void)state;
	memset(&m, 0, sizeof(m));
	order = (struct proto_job){
	    .engine = PROTO_ENGINE_PLAIN,
	    .wall_ms = 1,
	    .cpu_ms = 1,
	    .memory_bytes = 1,
	    .host_calls = 1,
	    .table_elements = 1,
	    .args_bytes = 5,
	    .env_bytes = 7,
	    .stdin_bytes = 3,
	};
	m.hdr = (struct imsg_hdr){.type = PROTO_JOB, .length = sizeof(order) + 15, .run = 99};
	memcpy(m.payload + sizeof(order), "\1\0\0\0a\3\0\0\0B=cxyz", 15);
	m.fds[0] = memfd_from("artifact", "artifact", 8, &e);
	m.nfds = 1;
	job = (struct job){.run = 12345, .artifact = -1};
	return m.fds[0] < 0;
}

static int
tear_down(void **state)
{
	(void)state;
	imsg_close_fds(&m);
	job_free(&job);
	return 0;
}

static int
decode(void)
{
	memcpy(m.payload, &order, sizeof(order));
	return job_decode(&m, PROTO_ENGINE_PLAIN, false, &job, &e);
}

/* It fails with `code`, says `part`, and leaves job and descriptors alone. */
static void
expect_refused(int code, const char *part)
{
	int fd = m.fds[0];

	assert_int_equal(decode(), code);
	if (strstr(e.msg, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, e.msg);
	assert_int_equal(job.run, 12345);
	assert_int_equal(m.fds[0], fd);
}

static void
takes_the_artifact_and_finds_the_blob(void **state)
{
	int fd = m.fds[0];

	(void)state;
	assert_int_equal(decode(), 0);
	assert_int_equal(job.run, 99);
	assert_int_equal(job.artifact, fd);
	assert_int_equal(m.fds[0], -1);
	assert_int_equal(job.blob_length, 15);
	assert_memory_equal(job.blob + 12, "xyz", 3);
}

static void
a_blob_in_a_memfd_is_mapped(void **state)
{
	(void)state;
	order.flags = PROTO_JOB_BLOB_FD;
	m.hdr.length = sizeof(order);
	m.fds[1] = memfd_from("blob", "\1\0\0\0a\3\0\0\0B=cxyz", 15, &e);
	m.nfds = 2;
	assert_int_equal(decode(), 0);
	assert_int_equal(m.fds[1], -1);
	assert_int_equal(job.blob_length, 15);
	assert_memory_equal(job.blob + 12, "xyz", 3);
}

static void
an_empty_blob_is_fine(void **state)
{
	(void)state;
	order.args_bytes = order.env_bytes = order.stdin_bytes = 0;
	m.hdr.length = sizeof(order);
	assert_int_equal(decode(), 0);
	assert_int_equal(job.blob_length, 0);
}

static void
other_messages_are_no_job(void **state)
{
	(void)state;
	m.hdr.type = PROTO_INPUT;
	expect_refused(ERR_PROTOCOL, "is no job");
	m.hdr.type = PROTO_JOB;
	m.hdr.length = sizeof(order) - 1;
	expect_refused(ERR_PROTOCOL, "is no job");
}

static void
a_limit_of_0_or_past_63_bits_is_refused(void **state)
{
	uint64_t *const limits[] = {
	    &order.wall_ms, &order.cpu_ms, &order.memory_bytes, &order.host_calls, &order.table_elements};

	(void)state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		*limits[i] = 0;
		expect_refused(ERR_PROTOCOL, " is 0");
		*limits[i] = (uint64_t)INT64_MAX + 1;
		expect_refused(ERR_PROTOCOL, "9223372036854775808");
		*limits[i] = INT64_MAX;
	}
	assert_int_equal(decode(), 0);
}

static void
unknown_flags_are_refused(void **state)
{
	(void)state;
	order.flags = 1u << 31;
	expect_refused(ERR_PROTOCOL, "flags");
}

static void
input_both_given_and_streamed_is_refused(void **state)
{
	(void)state;
	order.flags = PROTO_JOB_STREAM_INPUT;
	expect_refused(ERR_PROTOCOL, "streams");
}

static void
a_job_of_the_other_engine_is_refused(void **state)
{
	(void)state;
	order.engine = PROTO_ENGINE_FUEL;
	expect_refused(ERR_PROTOCOL, "engine 1");
}

static void
blob_parts_that_do_not_fill_it_are_refused(void **state)
{
	uint64_t *const parts[] = {&order.args_bytes, &order.env_bytes, &order.stdin_bytes};

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t right = *parts[i];

		*parts[i] = right + 1;
		expect_refused(ERR_PROTOCOL, "do not fill");
		*parts[i] = right - 1;
		expect_refused(ERR_PROTOCOL, "do not fill");
		*parts[i] = UINT64_MAX; /* sums that wrap */
		expect_refused(ERR_PROTOCOL, "do not fill");
		*parts[i] = right;
	}
}

static void
the_number_of_descriptors_must_be_right(void **state)
{
	(void)state;
	order.flags = PROTO_JOB_BLOB_FD;
	expect_refused(ERR_PROTOCOL, "1 descriptors");
	order.flags = 0;
	m.fds[1] = dup(m.fds[0]);
	m.nfds = 2;
	expect_refused(ERR_PROTOCOL, "2 descriptors");
}

static void
two_blobs_are_refused(void **state)
{
	(void)state;
	order.flags = PROTO_JOB_BLOB_FD;
	m.fds[1] = memfd_from("blob", "x", 1, &e);
	m.nfds = 2;
	expect_refused(ERR_PROTOCOL, "two blobs");
}

static void
an_artifact_that_could_change_is_refused(void **state)
{
	(void)state;
	close(m.fds[0]);
	m.fds[0] = memfd_new("artifact", &e);
	expect_refused(ERR_INVAL, "artifact");
	close(m.fds[0]);
	m.fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	expect_refused(ERR_INVAL, "artifact");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void
an_empty_blob_beside_the_message_is_a_place_too(void **state)
{
	(void)state;
	order.args_bytes = order.env_bytes = order.stdin_bytes = 0;
	order.flags = PROTO_JOB_BLOB_FD;
	m.hdr.length = sizeof(order);
	m.fds[m.nfds++] = memfd_from("blob", "", 0, &e);
	assert_int_equal(decode(), 0);
	assert_int_equal(job.blob_length, 0);
	assert_non_null(job.blob);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(takes_the_artifact_and_finds_the_blob),
	    TEST(a_blob_in_a_memfd_is_mapped),
	    TEST(an_empty_blob_is_fine),
	    TEST(other_messages_are_no_job),
	    TEST(a_limit_of_0_or_past_63_bits_is_refused),
	    TEST(unknown_flags_are_refused),
	    TEST(input_both_given_and_streamed_is_refused),
	    TEST(a_job_of_the_other_engine_is_refused),
	    TEST(blob_parts_that_do_not_fill_it_are_refused),
	    TEST(the_number_of_descriptors_must_be_right),
	    TEST(two_blobs_are_refused),
	    TEST(an_artifact_that_could_change_is_refused),
	    TEST(an_empty_blob_beside_the_message_is_a_place_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
