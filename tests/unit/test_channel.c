/* Unit tests of broker/channel and, through it, of base/imsg: real socket pairs on a real event loop. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/imsg.h"
#include "broker/channel.h"

#define QUEUE_MAX (1024 * 1024)
#define KEPT      64

struct fixture {
	struct event_base *base;
	struct channel *channel;
	int peer;
	int fds_before;

	unsigned messages, closed, drained;
	uint32_t types[KEPT];
	struct err why;
	int kept_fd;            /* taken from a message */
	bool keep_fds, refuse, free_inside;
	struct channel *inner;  /* drained while a message is handled */
};

static int
open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static int
on_message(void *arg, struct imsg *m, struct err *e)
{
	struct fixture *f = arg;

	f->types[f->messages++ % KEPT] = m->hdr.type;
	if (f->keep_fds)
		f->kept_fd = imsg_take_fd(m, 0);
	if (f->inner != NULL) {
		struct channel *inner = f->inner;

		f->inner = NULL;
		channel_drain(inner);
	}
	if (f->free_inside) {
		channel_free(f->channel);
		f->channel = NULL;
	}
	return f->refuse ? err_set(e, ERR_PROTOCOL, "not what was agreed") : 0;
}

static void
on_closed(void *arg, const struct err *why)
{
	struct fixture *f = arg;

	f->closed++;
	f->why = *why;
}

static void
on_drained(void *arg)
{
	((struct fixture *)arg)->drained++;
}

static int
set_up(void **state)
{
	static struct fixture f;
	int sv[2];

	memset(&f, 0, sizeof(f));
	f.kept_fd = -1;
	f.base = event_base_new();
	f.fds_before = open_descriptors();
	if (imsg_pair(sv, NULL) != 0)
		return -1;
	f.peer = sv[1];
	f.channel = channel_new(f.base, sv[0], QUEUE_MAX, on_message, on_closed, &f);
	channel_on_drained(f.channel, on_drained);
	*state = &f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	int left;

	channel_free(f->channel);
	if (f->peer >= 0)
		close(f->peer);
	if (f->kept_fd >= 0)
		close(f->kept_fd);
	left = open_descriptors();
	event_base_free(f->base);
	return left == f->fds_before ? 0 : -1; /* nothing leaked */
}

static void
hang_up(struct fixture *f)
{
	close(f->peer);
	f->peer = -1;
}

/* Handles what is there now. */
static void
turn(struct fixture *f)
{
	event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static void
delivers_in_order(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(imsg_send(f->peer, i, 0, "x", 1, NULL, 0, NULL), 0);
	for (int i = 0; i < 10 && f->messages < 40; i++)
		turn(f);
	assert_int_equal(f->messages, 40);
	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(f->types[i], i);
}

static void
tells_the_end_once_and_after_the_last_message(void **state)
{
	struct fixture *f = *state;

	imsg_send(f->peer, 7, 0, NULL, 0, NULL, 0, NULL);
	hang_up(f);
	for (int i = 0; i < 5; i++)
		turn(f);
	assert_int_equal(f->messages, 1);
	assert_int_equal(f->closed, 1);
	assert_int_equal(f->why.code, ERR_EOF);
	assert_int_equal(channel_send(f->channel, 1, 0, NULL, 0, NULL, 0, NULL), ERR_EOF);
}

/* The kernel reports such a close as ECONNRESET, before the messages that are still there. */
static void
last_words_of_a_peer_that_did_not_read_its_input_count(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(channel_send(f->channel, 1, 0, "input", 5, NULL, 0, NULL), 0);
	imsg_send(f->peer, 7, 0, "result", 6, NULL, 0, NULL);
	hang_up(f);
	for (int i = 0; i < 5; i++)
		turn(f);
	assert_int_equal(f->messages, 1);
	assert_int_equal(f->types[0], 7);
	assert_int_equal(f->closed, 1);
	assert_int_equal(f->why.code, ERR_EOF);
}

static size_t
fill(struct fixture *f)
{
	uint8_t block[32768] = {0};
	size_t sent = 0;

	while (channel_queued(f->channel) == 0) {
		assert_int_equal(channel_send(f->channel, 1, 0, block, sizeof(block), NULL, 0, NULL), 0);
		sent++;
	}
	return sent;
}

static void
last_words_count_while_output_waits(void **state)
{
	struct fixture *f = *state;

	fill(f);
	imsg_send(f->peer, 7, 0, "result", 6, NULL, 0, NULL);
	hang_up(f);
	for (int i = 0; i < 5; i++)
		turn(f);
	assert_int_equal(f->messages, 1);
	assert_int_equal(f->closed, 1);
	assert_int_equal(f->drained, 1); /* nothing waits any more */
	assert_int_equal(channel_queued(f->channel), 0);
}

/* What a worker said before it ended is fetched when its zygote reports the end, whatever the event loop did before. */
static void
drain_finds_last_words_after_a_failed_write(void **state)
{
	struct fixture *f = *state;

	channel_pause(f->channel, true);
	fill(f);
	imsg_send(f->peer, 7, 0, "result", 6, NULL, 0, NULL);
	hang_up(f);
	for (int i = 0; i < 5; i++)
		turn(f);
	channel_drain(f->channel);
	assert_int_equal(f->messages, 1);
	assert_int_equal(f->types[0], 7);
}

static void
queue_is_sent_in_order_with_its_descriptors(void **state)
{
	struct fixture *f = *state;
	int fd = open("/dev/null", O_RDONLY);
	static struct imsg m;

	fill(f);
	assert_int_equal(channel_send(f->channel, 2, 9, "last", 4, &fd, 1, NULL), 0);
	close(fd); /* borrowed: the queue has its own */
	do {
		turn(f);
		assert_int_equal(imsg_recv(f->peer, &m, NULL), 0);
	} while (m.hdr.type == 1);
	assert_int_equal(m.hdr.type, 2);
	assert_int_equal(m.hdr.run, 9);
	assert_int_equal(m.nfds, 1);
	assert_true(fcntl(m.fds[0], F_GETFD) >= 0);
	imsg_close_fds(&m);
	turn(f);
	assert_int_equal(f->drained, 1);
	assert_int_equal(channel_queued(f->channel), 0);
}

static void
queue_has_a_limit(void **state)
{
	struct fixture *f = *state;
	uint8_t block[32768] = {0};
	int rc = 0;

	for (int i = 0; i < 100 && rc == 0; i++)
		rc = channel_send(f->channel, 1, 0, block, sizeof(block), NULL, 0, NULL);
	assert_int_equal(rc, ERR_LIMIT);
	assert_true(channel_queued(f->channel) <= QUEUE_MAX);
	assert_int_equal(f->closed, 0);
}

static void
descriptors_that_nobody_takes_are_closed(void **state)
{
	struct fixture *f = *state;
	int fds[2] = {f->peer, f->peer};

	imsg_send(f->peer, 1, 0, NULL, 0, fds, 2, NULL);
	turn(f);
	assert_int_equal(f->messages, 1); /* tear_down counts descriptors */
}

static void
taken_descriptor_stays_open(void **state)
{
	struct fixture *f = *state;
	int fds[2] = {f->peer, f->peer};

	f->keep_fds = true;
	imsg_send(f->peer, 1, 0, NULL, 0, fds, 2, NULL);
	turn(f);
	assert_true(fcntl(f->kept_fd, F_GETFD) >= 0);
}

/* An inner drain must not touch the message that is being handled further up. */
static void
message_stays_whole_while_another_channel_is_drained(void **state)
{
	struct fixture *f = *state;
	struct fixture inner = {.kept_fd = -1};
	int sv[2], fds[2] = {f->peer, f->peer};

	assert_int_equal(imsg_pair(sv, NULL), 0);
	inner.channel = channel_new(f->base, sv[0], QUEUE_MAX, on_message, on_closed, &inner);
	imsg_send(sv[1], 3, 0, NULL, 0, NULL, 0, NULL);
	imsg_send(f->peer, 1, 0, NULL, 0, fds, 2, NULL);
	f->inner = inner.channel;
	channel_drain(f->channel);
	assert_int_equal(f->messages, 1);
	assert_int_equal(inner.messages, 1);
	channel_free(inner.channel);
	close(sv[1]); /* tear_down counts descriptors */
}

static void
refused_message_ends_the_peer_with_the_reason(void **state)
{
	struct fixture *f = *state;

	f->refuse = true;
	for (int i = 0; i < 3; i++)
		imsg_send(f->peer, 1, 0, NULL, 0, NULL, 0, NULL);
	for (int i = 0; i < 3; i++)
		turn(f);
	assert_int_equal(f->messages, 1);
	assert_int_equal(f->closed, 1);
	assert_int_equal(f->why.code, ERR_PROTOCOL);
	assert_string_equal(f->why.msg, "not what was agreed");
}

static void
malformed_packets_end_the_peer(void **state)
{
	struct fixture *f = *state;
	struct imsg_hdr lies = {.type = 1, .length = 5};

	assert_int_equal(send(f->peer, &lies, sizeof(lies), 0), sizeof(lies));
	turn(f);
	assert_int_equal(f->closed, 1);
	assert_int_equal(f->why.code, ERR_PROTOCOL);
}

static void
short_packet_ends_the_peer(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(send(f->peer, "abc", 3, 0), 3);
	turn(f);
	assert_int_equal(f->closed, 1);
	assert_int_equal(f->why.code, ERR_PROTOCOL);
}

static void
channel_may_be_freed_while_it_delivers(void **state)
{
	struct fixture *f = *state;

	f->free_inside = true;
	for (int i = 0; i < 3; i++)
		imsg_send(f->peer, 1, 0, NULL, 0, NULL, 0, NULL);
	for (int i = 0; i < 3; i++)
		turn(f);
	assert_int_equal(f->messages, 1);
	assert_int_equal(f->closed, 0);
}

static void
paused_channel_reads_nothing_until_it_goes_on(void **state)
{
	struct fixture *f = *state;

	channel_pause(f->channel, true);
	imsg_send(f->peer, 1, 0, NULL, 0, NULL, 0, NULL);
	turn(f);
	assert_int_equal(f->messages, 0);
	channel_pause(f->channel, false);
	turn(f);
	assert_int_equal(f->messages, 1);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(delivers_in_order),
	    T(tells_the_end_once_and_after_the_last_message),
	    T(last_words_of_a_peer_that_did_not_read_its_input_count),
	    T(last_words_count_while_output_waits),
	    T(drain_finds_last_words_after_a_failed_write),
	    T(queue_is_sent_in_order_with_its_descriptors),
	    T(queue_has_a_limit),
	    T(descriptors_that_nobody_takes_are_closed),
	    T(taken_descriptor_stays_open),
	    T(message_stays_whole_while_another_channel_is_drained),
	    T(refused_message_ends_the_peer_with_the_reason),
	    T(malformed_packets_end_the_peer),
	    T(short_packet_ends_the_peer),
	    T(channel_may_be_freed_while_it_delivers),
	    T(paused_channel_reads_nothing_until_it_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
