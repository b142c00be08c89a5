/* test_imsg: messages between brig's processes: what arrives, what is refused, how a peer's end shows. Unit test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/imsg.h"
#include "base/io.h"

static struct imsg m;

static void
pair(int sv[2])
{
	struct err e;

	assert_int_equal(imsg_pair(sv, &e), 0);
	assert_int_equal(io_set_nonblock(sv[0], true, &e) | io_set_nonblock(sv[1], true, &e), 0);
}

static void
message_arrives_with_its_descriptors(void **state)
{
	int sv[2], fd = open("/dev/null", O_RDONLY | O_CLOEXEC), got;
	struct err e;

	(void)state;
	pair(sv);
	assert_int_equal(imsg_recv(sv[1], &m, &e), ERR_AGAIN);
	assert_int_equal(imsg_send(sv[0], 7, 42, "abc", 3, &fd, 1, &e), 0);
	assert_int_equal(imsg_recv(sv[1], &m, &e), 0);
	assert_int_equal(m.hdr.type, 7);
	assert_int_equal(m.hdr.run, 42);
	assert_int_equal(m.hdr.length, 3);
	assert_memory_equal(m.payload, "abc", 3);
	assert_int_equal(m.nfds, 1);
	got = imsg_take_fd(&m, 0);
	assert_true(got >= 0 && (fcntl(got, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(imsg_take_fd(&m, 0), -1);
	assert_int_equal(imsg_take_fd(&m, 1), -1);
	imsg_close_fds(&m);
	assert_int_equal(fcntl(got, F_GETFD) < 0, 0);
	close(got);
	close(fd);
	close(sv[0]);
	close(sv[1]);
}

static void
largest_message_passes_and_one_byte_more_is_refused(void **state)
{
	static uint8_t payload[IMSG_PAYLOAD_MAX + 1];
	int sv[2];
	struct err e;

	(void)state;
	pair(sv);
	memset(payload, 'x', sizeof(payload));
	assert_int_equal(imsg_send(sv[0], 1, 0, payload, IMSG_PAYLOAD_MAX + 1, NULL, 0, &e), ERR_LIMIT);
	assert_int_equal(imsg_send(sv[0], 1, 0, payload, IMSG_PAYLOAD_MAX, NULL, 0, &e), 0);
	assert_int_equal(imsg_recv(sv[1], &m, &e), 0);
	assert_int_equal(m.hdr.length, IMSG_PAYLOAD_MAX);
	close(sv[0]);
	close(sv[1]);
}

static void
short_packets_and_lying_lengths_are_breaches(void **state)
{
	struct imsg_hdr lying = {.type = 1, .length = 5};
	int sv[2];
	struct err e;

	(void)state;
	pair(sv);
	assert_int_equal(write(sv[0], &lying, sizeof(lying)), sizeof(lying));
	assert_int_equal(imsg_recv(sv[1], &m, &e), ERR_PROTOCOL);
	assert_int_equal(write(sv[0], &lying, sizeof(lying) - 1), sizeof(lying) - 1);
	assert_int_equal(imsg_recv(sv[1], &m, &e), ERR_PROTOCOL);
	close(sv[0]);
	close(sv[1]);
}

static void
peers_end_shows_on_both_ways(void **state)
{
	int sv[2];
	struct err e;

	(void)state;
	pair(sv);
	close(sv[1]);
	assert_int_equal(imsg_recv(sv[0], &m, &e), ERR_EOF);
	assert_int_equal(imsg_send(sv[0], 1, 0, NULL, 0, NULL, 0, &e), ERR_EOF);
	close(sv[0]);
}

/* As a worker does that ends without reading the rest of its input: its result must not be lost. */
static void
last_words_arrive_from_a_peer_that_left_input_unread(void **state)
{
	int sv[2];
	struct err e;

	(void)state;
	pair(sv);
	assert_int_equal(imsg_send(sv[0], 1, 0, "unread", 6, NULL, 0, &e), 0);
	assert_int_equal(imsg_send(sv[1], 2, 0, "first", 5, NULL, 0, &e), 0);
	assert_int_equal(imsg_send(sv[1], 3, 0, "last", 4, NULL, 0, &e), 0);
	close(sv[1]);
	assert_int_equal(imsg_recv(sv[0], &m, &e), 0);
	assert_int_equal(m.hdr.type, 2);
	assert_int_equal(imsg_recv(sv[0], &m, &e), 0);
	assert_int_equal(m.hdr.type, 3);
	assert_int_equal(imsg_recv(sv[0], &m, &e), ERR_EOF);
	close(sv[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(message_arrives_with_its_descriptors),
	    cmocka_unit_test(largest_message_passes_and_one_byte_more_is_refused),
	    cmocka_unit_test(short_packets_and_lying_lengths_are_breaches),
	    cmocka_unit_test(peers_end_shows_on_both_ways),
	    cmocka_unit_test(last_words_arrive_from_a_peer_that_left_input_unread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
