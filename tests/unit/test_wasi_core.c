/* Unit tests of runtime/wasi: streams over the job socket, clocks, randomness, descriptors. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/imsg.h"
#include "runtime/wasi/clock.h"
#include "runtime/wasi/fd.h"
#include "runtime/wasi/random.h"
#include "runtime/wasi/stream.h"

#define RUN 77

/* --- streams --------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t stop;

struct fixture {
	int broker; /* brigd's end of the job socket */
	struct wasi_port port;
	struct wasi_output out;
	struct wasi_input in;
	struct imsg m;
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int sv[2];

	assert_non_null(f);
	assert_int_equal(imsg_pair(sv, NULL), 0);
	f->broker = sv[0];
	f->port = (struct wasi_port){sv[1], RUN, &stop};
	stop = 0;
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->broker >= 0)
		close(f->broker);
	close(f->port.socket);
	free(f);
	return 0;
}

/* Receives one PROTO_OUTPUT of stream 1 and checks what it carries. */
static void
expect_output(struct fixture *f, const void *data, size_t length)
{
	struct proto_output head;

	assert_int_equal(imsg_recv(f->broker, &f->m, NULL), 0);
	assert_int_equal(f->m.hdr.type, PROTO_OUTPUT);
	assert_int_equal(f->m.hdr.run, RUN);
	memcpy(&head, f->m.payload, sizeof(head));
	assert_int_equal(head.stream, 1);
	assert_int_equal(f->m.hdr.length, sizeof(head) + length);
	assert_memory_equal(f->m.payload + sizeof(head), data, length);
}

static void
expect_no_message(struct fixture *f)
{
	char byte;

	assert_int_equal(recv(f->broker, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	assert_int_equal(errno, EAGAIN);
}

static void
output_is_kept_until_flushed(void **state)
{
	struct fixture *f = *state;

	wasi_output_begin(&f->out, 1, 100, 0);
	assert_int_equal(wasi_output_write(&f->out, &f->port, (const uint8_t *)"one", 3), WASI_STREAM_OK);
	assert_int_equal(wasi_output_write(&f->out, &f->port, (const uint8_t *)"two", 3), WASI_STREAM_OK);
	assert_int_equal(wasi_output_settle(&f->out, &f->port), WASI_STREAM_OK);
	expect_no_message(f);
	assert_int_equal(wasi_output_flush(&f->out, &f->port, false), WASI_STREAM_OK);
	expect_output(f, "onetwo", 6);
	assert_int_equal(wasi_output_flush(&f->out, &f->port, false), WASI_STREAM_OK);
	expect_no_message(f);
}

static void
streamed_output_goes_out_when_settled(void **state)
{
	struct fixture *f = *state;

	wasi_output_begin(&f->out, 1, 100, PROTO_JOB_STREAM_OUTPUT);
	assert_int_equal(wasi_output_write(&f->out, &f->port, (const uint8_t *)"now", 3), WASI_STREAM_OK);
	assert_int_equal(wasi_output_settle(&f->out, &f->port), WASI_STREAM_OK);
	expect_output(f, "now", 3);
}

static void
a_full_buffer_is_sent_and_the_rest_kept(void **state)
{
	static uint8_t data[WASI_OUTPUT_BUFFER + 5];
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	wasi_output_begin(&f->out, 1, UINT64_MAX, 0);
	assert_int_equal(wasi_output_write(&f->out, &f->port, data, sizeof(data)), WASI_STREAM_OK);
	expect_output(f, data, WASI_OUTPUT_BUFFER);
	expect_no_message(f);
	assert_int_equal(wasi_output_flush(&f->out, &f->port, true), WASI_STREAM_OK);
	expect_output(f, data + WASI_OUTPUT_BUFFER, 5);
}

static void
output_at_its_limit_passes_whole(void **state)
{
	struct fixture *f = *state;

	wasi_output_begin(&f->out, 1, 6, PROTO_JOB_OUTPUT_ENDS);
	assert_int_equal(wasi_output_write(&f->out, &f->port, (const uint8_t *)"abcdef", 6), WASI_STREAM_OK);
	assert_int_equal(f->out.written, 6);
	assert_int_equal(wasi_output_flush(&f->out, &f->port, false), WASI_STREAM_OK);
	expect_output(f, "abcdef", 6);
}

static void
output_past_its_limit_is_cut_and_counted(void **state)
{
	struct fixture *f = *state;

	wasi_output_begin(&f->out, 1, 6, 0);
	assert_int_equal(wasi_output_write(&f->out, &f->port, (const uint8_t *)"abcdefg", 7), WASI_STREAM_OK);
	assert_int_equal(wasi_output_write(&f->out, &f->port, (const uint8_t *)"hij", 3), WASI_STREAM_OK);
	assert_int_equal(f->out.written, 10);
	assert_int_equal(wasi_output_flush(&f->out, &f->port, false), WASI_STREAM_OK);
	expect_output(f, "abcdef", 6);
	expect_no_message(f);
}

static void
output_past_its_limit_ends_the_run_when_asked(void **state)
{
	struct fixture *f = *state;

	wasi_output_begin(&f->out, 1, 6, PROTO_JOB_OUTPUT_ENDS);
	assert_int_equal(wasi_output_write(&f->out, &f->port, (const uint8_t *)"abcdefg", 7), WASI_STREAM_FULL);
	assert_int_equal(f->out.written, 7);
	assert_int_equal(wasi_output_flush(&f->out, &f->port, false), WASI_STREAM_OK);
	expect_output(f, "abcdef", 6);
}

static void
output_to_a_closed_socket_is_broken(void **state)
{
	struct fixture *f = *state;

	signal(SIGPIPE, SIG_IGN);
	close(f->broker);
	f->broker = -1;
	wasi_output_begin(&f->out, 1, 6, PROTO_JOB_STREAM_OUTPUT);
	assert_int_equal(wasi_output_write(&f->out, &f->port, (const uint8_t *)"a", 1), WASI_STREAM_OK);
	assert_int_equal(wasi_output_settle(&f->out, &f->port), WASI_STREAM_BROKEN);
}

static void
set_stop(int signo)
{
	(void)signo;
	stop = 1;
}

/* SIGALRM every few milliseconds, so that one which comes too early does no harm. */
static void
alarm_soon(void)
{
	struct sigaction sa = {.sa_handler = set_stop};
	struct itimerval often = {{0, 5000}, {0, 5000}};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

static void
alarm_off(void)
{
	struct itimerval never = {{0, 0}, {0, 0}};

	setitimer(ITIMER_REAL, &never, NULL);
}

static void
a_write_that_nobody_reads_is_stopped_by_a_signal(void **state)
{
	static uint8_t data[WASI_OUTPUT_BUFFER];
	struct fixture *f = *state;
	enum wasi_stream_status s;

	wasi_output_begin(&f->out, 1, UINT64_MAX, PROTO_JOB_STREAM_OUTPUT);
	alarm_soon();
	do
		s = wasi_output_write(&f->out, &f->port, data, sizeof(data));
	while (s == WASI_STREAM_OK);
	alarm_off();
	assert_int_equal(s, WASI_STREAM_STOPPED);
}

static void
waiting_for_input_is_stopped_by_a_signal(void **state)
{
	struct fixture *f = *state;

	wasi_input_begin(&f->in, NULL, 0, true);
	alarm_soon();
	assert_int_equal(wasi_input_fill(&f->in, &f->port, true), WASI_STREAM_STOPPED);
	alarm_off();
}

static void
sleeping_is_stopped_by_a_signal(void **state)
{
	struct fixture *f = *state;

	alarm_soon();
	assert_int_equal(wasi_port_wait(&f->port, false, UINT64_MAX), WASI_STREAM_STOPPED);
	alarm_off();
	assert_int_equal(wasi_port_wait(&f->port, false, UINT64_MAX), WASI_STREAM_STOPPED);
}

static void
a_block_of_input_is_read_in_pieces_to_its_end(void **state)
{
	struct fixture *f = *state;
	uint8_t got[8];

	wasi_input_begin(&f->in, (const uint8_t *)"hello", 5, false);
	assert_int_equal(wasi_input_fill(&f->in, &f->port, true), WASI_STREAM_OK);
	assert_int_equal(wasi_input_take(&f->in, got, 3), 3);
	assert_int_equal(wasi_input_take(&f->in, got + 3, 5), 2);
	assert_memory_equal(got, "hello", 5);
	assert_int_equal(wasi_input_fill(&f->in, &f->port, true), WASI_STREAM_OK);
	assert_int_equal(f->in.left, 0);
	assert_int_equal(wasi_input_take(&f->in, got, 8), 0);
}

static void
streamed_input_comes_packet_by_packet_until_the_empty_one(void **state)
{
	struct fixture *f = *state;
	uint8_t got[8];

	wasi_input_begin(&f->in, NULL, 0, true);
	assert_int_equal(wasi_input_fill(&f->in, &f->port, false), WASI_STREAM_AGAIN);
	assert_int_equal(imsg_send(f->broker, PROTO_INPUT, RUN, "abc", 3, NULL, 0, NULL), 0);
	assert_int_equal(imsg_send(f->broker, PROTO_INPUT, RUN, "de", 2, NULL, 0, NULL), 0);
	assert_int_equal(imsg_send(f->broker, PROTO_INPUT, RUN, NULL, 0, NULL, 0, NULL), 0);
	assert_int_equal(wasi_input_fill(&f->in, &f->port, false), WASI_STREAM_OK);
	assert_int_equal(wasi_input_take(&f->in, got, 8), 3);
	assert_int_equal(wasi_input_fill(&f->in, &f->port, true), WASI_STREAM_OK);
	assert_int_equal(wasi_input_take(&f->in, got + 3, 5), 2);
	assert_memory_equal(got, "abcde", 5);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(wasi_input_fill(&f->in, &f->port, true), WASI_STREAM_OK);
		assert_int_equal(f->in.left, 0);
	}
}

static void
the_largest_packet_of_input_is_taken(void **state)
{
	struct fixture *f = *state;
	static uint8_t sent[IMSG_PAYLOAD_MAX], got[IMSG_PAYLOAD_MAX];

	memset(sent, 'x', sizeof(sent));
	wasi_input_begin(&f->in, NULL, 0, true);
	assert_int_equal(imsg_send(f->broker, PROTO_INPUT, RUN, sent, sizeof(sent), NULL, 0, NULL), 0);
	assert_int_equal(wasi_input_fill(&f->in, &f->port, true), WASI_STREAM_OK);
	assert_int_equal(wasi_input_take(&f->in, got, sizeof(got)), sizeof(sent));
	assert_memory_equal(got, sent, sizeof(sent));
}

static void
anything_but_input_of_this_run_breaks_the_stream(void **state)
{
	struct fixture *f = *state;
	static const struct {
		struct imsg_hdr hdr;
		size_t length;
	} packets[] = {
		{{PROTO_RUN, 0, RUN}, 16},        /* another type */
		{{PROTO_INPUT, 0, RUN + 1}, 16},  /* another run */
		{{PROTO_INPUT, 1, RUN}, 16},      /* shorter than it says */
		{{PROTO_INPUT, 0, RUN}, 17},      /* longer than it says */
		{{PROTO_INPUT, 0, RUN}, 15},      /* no whole header */
	};

	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		uint8_t raw[32] = {0};

		memcpy(raw, &packets[i].hdr, sizeof(packets[i].hdr));
		wasi_input_begin(&f->in, NULL, 0, true);
		assert_int_equal(send(f->broker, raw, packets[i].length, 0), packets[i].length);
		assert_int_equal(wasi_input_fill(&f->in, &f->port, true), WASI_STREAM_BROKEN);
	}
}

static void
input_from_a_closed_socket_is_broken(void **state)
{
	struct fixture *f = *state;

	close(f->broker);
	f->broker = -1;
	wasi_input_begin(&f->in, NULL, 0, true);
	assert_int_equal(wasi_input_fill(&f->in, &f->port, true), WASI_STREAM_BROKEN);
}

/* --- clocks ---------------------------------------------------------------------------------------------------- */

static struct wasi_clock
clock_of(enum proto_clock kind, uint64_t fixed_ns)
{
	struct wasi_clock c = {.kind = kind, .fixed_ns = fixed_ns};

	wasi_clock_measure(&c);
	return c;
}

static void
real_clocks_do_not_go_back_and_have_a_resolution(void **state)
{
	struct wasi_clock c = clock_of(PROTO_CLOCK_REAL, 0);
	uint64_t one, two, step;

	(void)state;
	for (uint32_t id = WASI_CLOCK_MONOTONIC; id < WASI_CLOCK_COUNT; id++) {
		assert_int_equal(wasi_clock_now(&c, id, &one), WASI_ESUCCESS);
		assert_int_equal(wasi_clock_now(&c, id, &two), WASI_ESUCCESS);
		assert_true(two >= one);
		assert_int_equal(wasi_clock_resolution(&c, id, &step), WASI_ESUCCESS);
		assert_true(step > 0);
	}
	assert_int_equal(wasi_clock_now(&c, WASI_CLOCK_REALTIME, &one), WASI_ESUCCESS);
	assert_true(one > UINT64_C(1600000000) * 1000000000);
}

static void
coarse_clocks_show_whole_milliseconds(void **state)
{
	struct wasi_clock c = clock_of(PROTO_CLOCK_COARSE, 0);
	uint64_t ns;

	(void)state;
	for (uint32_t id = 0; id < WASI_CLOCK_COUNT; id++) {
		assert_int_equal(wasi_clock_now(&c, id, &ns), WASI_ESUCCESS);
		assert_int_equal(ns % 1000000, 0);
		assert_int_equal(wasi_clock_resolution(&c, id, &ns), WASI_ESUCCESS);
		assert_true(ns >= 1000000);
	}
}

static void
a_fixed_clock_says_the_same_for_ever(void **state)
{
	struct wasi_clock c = clock_of(PROTO_CLOCK_FIXED, 1234567890);
	uint64_t ns;

	(void)state;
	for (uint32_t id = 0; id < WASI_CLOCK_COUNT; id++) {
		assert_int_equal(wasi_clock_now(&c, id, &ns), WASI_ESUCCESS);
		assert_int_equal(ns, 1234567890);
		assert_int_equal(wasi_clock_resolution(&c, id, &ns), WASI_ESUCCESS);
		assert_int_equal(ns, 1);
	}
	assert_int_equal(wasi_clock_until(&c, WASI_CLOCK_REALTIME, 1234567899, &ns), WASI_ESUCCESS);
	assert_int_equal(ns, 9);
}

static void
no_clock_and_no_such_clock_are_told_apart(void **state)
{
	struct wasi_clock none = clock_of(PROTO_CLOCK_NONE, 0), real = clock_of(PROTO_CLOCK_REAL, 0);
	uint64_t ns = 5;

	(void)state;
	assert_int_equal(wasi_clock_now(&none, 0, &ns), WASI_ENOTCAPABLE);
	assert_int_equal(wasi_clock_resolution(&none, 0, &ns), WASI_ENOTCAPABLE);
	assert_int_equal(wasi_clock_until(&none, 0, 0, &ns), WASI_ENOTCAPABLE);
	assert_int_equal(wasi_clock_now(&real, 4, &ns), WASI_EINVAL);
	assert_int_equal(wasi_clock_now(&real, UINT32_MAX, &ns), WASI_EINVAL);
	assert_int_equal(wasi_clock_resolution(&real, 4, &ns), WASI_EINVAL);
	assert_int_equal(ns, 5);
}

static void
past_times_need_no_sleep_and_far_ones_do_not_wrap(void **state)
{
	static const enum proto_clock kinds[] = {PROTO_CLOCK_REAL, PROTO_CLOCK_COARSE, PROTO_CLOCK_FIXED};
	uint64_t ns;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct wasi_clock c = clock_of(kinds[i], 1000);

		assert_int_equal(wasi_clock_until(&c, WASI_CLOCK_MONOTONIC, 0, &ns), WASI_ESUCCESS);
		assert_int_equal(ns, 0);
		assert_int_equal(wasi_clock_until(&c, WASI_CLOCK_REALTIME, 1000, &ns), WASI_ESUCCESS);
		assert_int_equal(ns, 0);
		assert_int_equal(wasi_clock_until(&c, WASI_CLOCK_REALTIME, UINT64_MAX, &ns), WASI_ESUCCESS);
		assert_true(ns > UINT64_C(10000000000) * 1000000000 / 2);
		assert_int_equal(wasi_clock_until(&c, WASI_CLOCK_PROCESS_CPU, 0, &ns), WASI_ENOTSUP);
	}
}

static void
a_coarse_clock_shows_the_time_that_was_slept_for(void **state)
{
	struct wasi_clock c = clock_of(PROTO_CLOCK_COARSE, 0);
	uint64_t now, target, ns;

	(void)state;
	assert_int_equal(wasi_clock_now(&c, WASI_CLOCK_MONOTONIC, &now), WASI_ESUCCESS);
	target = now + 3600 * UINT64_C(1000000000) + 1;
	assert_int_equal(wasi_clock_until(&c, WASI_CLOCK_MONOTONIC, target, &ns), WASI_ESUCCESS);
	/* However long ago `now` was read, machine time + ns is a whole step at or after the target. */
	assert_true(wasi_clock_elapsed() + ns >= target);
	assert_true(ns <= 3600 * UINT64_C(1000000000) + WASI_CLOCK_COARSE_NS);
}

/* --- randomness ------------------------------------------------------------------------------------------------ */

static const uint8_t seed[WASI_RANDOM_SEED_SIZE] = {1, 2, 3};

static void
seeded_bytes_are_the_chacha20_key_stream(void **state)
{
	static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
	uint8_t want[5000], got[5000];
	struct wasi_random r;

	(void)state;
	crypto_stream_chacha20(want, sizeof(want), nonce, seed);
	wasi_random_begin(&r, PROTO_RANDOM_SEEDED, seed);
	assert_int_equal(wasi_random_fill(&r, got, sizeof(got)), WASI_ESUCCESS);
	assert_memory_equal(got, want, sizeof(want));
}

static void
seeded_bytes_do_not_depend_on_how_they_are_asked_for(void **state)
{
	static uint8_t whole[20000], pieces[20000];
	struct wasi_random r;
	size_t at = 0, step = 1;

	(void)state;
	wasi_random_begin(&r, PROTO_RANDOM_SEEDED, seed);
	assert_int_equal(wasi_random_fill(&r, whole, sizeof(whole)), WASI_ESUCCESS);
	wasi_random_begin(&r, PROTO_RANDOM_SEEDED, seed);
	for (; at < sizeof(pieces); at += step, step = step * 3 % 1031 + 1) {
		if (step > sizeof(pieces) - at)
			step = sizeof(pieces) - at;
		assert_int_equal(wasi_random_fill(&r, pieces + at, step), WASI_ESUCCESS);
	}
	assert_memory_equal(whole, pieces, sizeof(whole));
}

static void
another_seed_gives_other_bytes(void **state)
{
	static const uint8_t other[WASI_RANDOM_SEED_SIZE] = {1, 2, 4};
	uint8_t one[32], two[32];
	struct wasi_random r;

	(void)state;
	wasi_random_begin(&r, PROTO_RANDOM_SEEDED, seed);
	wasi_random_fill(&r, one, sizeof(one));
	wasi_random_begin(&r, PROTO_RANDOM_SEEDED, other);
	wasi_random_fill(&r, two, sizeof(two));
	assert_memory_not_equal(one, two, sizeof(one));
}

static void
real_bytes_differ_and_no_randomness_is_refused(void **state)
{
	uint8_t one[32] = {0}, two[32] = {0};
	struct wasi_random r;

	(void)state;
	wasi_random_begin(&r, PROTO_RANDOM_REAL, seed);
	assert_int_equal(wasi_random_fill(&r, one, sizeof(one)), WASI_ESUCCESS);
	assert_int_equal(wasi_random_fill(&r, two, sizeof(two)), WASI_ESUCCESS);
	assert_memory_not_equal(one, two, sizeof(one));
	wasi_random_begin(&r, PROTO_RANDOM_NONE, seed);
	memcpy(two, one, sizeof(two));
	assert_int_equal(wasi_random_fill(&r, two, sizeof(two)), WASI_ENOTCAPABLE);
	assert_memory_equal(one, two, sizeof(one));
}

/* --- descriptors ----------------------------------------------------------------------------------------------- */

static const struct wasi_clock no_clock = {.kind = PROTO_CLOCK_NONE};
static struct wasi_tree tree;

/* Room for 20 descriptors. */
static void
begin(struct wasi_fds *fds)
{
	wasi_tree_begin(&tree, 0, 10, &no_clock);
	assert_int_equal(wasi_fds_begin(fds, 20, &tree), WASI_ESUCCESS);
}

/* Opens a new file. Returns its number, or an errno as a negative number. */
static int
open_one(struct wasi_fds *fds)
{
	struct wasi_fd f = {.kind = WASI_FD_FILE};
	enum wasi_errno error;
	uint32_t number;

	if ((error = wasi_fds_reserve(fds, &number)) != WASI_ESUCCESS)
		return -(int)error;
	f.node = wasi_node_new(&tree, WASI_NODE_FILE, 0);
	assert_non_null(f.node);
	wasi_fds_set(fds, number, &f);
	return (int)number;
}

static void
descriptors_close_once(void **state)
{
	struct wasi_fds fds;

	(void)state;
	begin(&fds);
	for (uint32_t fd = 0; fd < 3; fd++) {
		assert_int_equal(wasi_fds_close(&fds, fd), WASI_ESUCCESS);
		assert_int_equal(wasi_fds_close(&fds, fd), WASI_EBADF);
		assert_null(wasi_fds_get(&fds, fd));
	}
	assert_int_equal(wasi_fds_close(&fds, 3), WASI_EBADF);
	assert_int_equal(wasi_fds_close(&fds, UINT32_MAX), WASI_EBADF);
	wasi_fds_end(&fds);
}

static void
the_lowest_free_number_is_taken(void **state)
{
	struct wasi_fds fds;

	(void)state;
	begin(&fds);
	assert_int_equal(open_one(&fds), 3);
	assert_int_equal(open_one(&fds), 4);
	assert_int_equal(open_one(&fds), 5);
	assert_int_equal(wasi_fds_close(&fds, 4), WASI_ESUCCESS);
	assert_int_equal(wasi_fds_close(&fds, 1), WASI_ESUCCESS);
	assert_int_equal(open_one(&fds), 1);
	assert_int_equal(open_one(&fds), 4);
	assert_int_equal(open_one(&fds), 6);
	assert_int_equal(wasi_fds_renumber(&fds, 3, 5), WASI_ESUCCESS);
	assert_int_equal(open_one(&fds), 3);
	assert_int_equal(open_one(&fds), 7);
	wasi_fds_end(&fds);
	assert_int_equal(tree.nodes, 0);
}

static void
descriptors_end_at_their_limit(void **state)
{
	struct wasi_fds fds;

	(void)state;
	begin(&fds);
	tree.nodes_max = 1000;
	for (int i = 3; i < 20; i++)
		assert_int_equal(open_one(&fds), i);
	assert_int_equal(open_one(&fds), -WASI_EMFILE);
	assert_int_equal(wasi_fds_close(&fds, 19), WASI_ESUCCESS);
	assert_int_equal(open_one(&fds), 19);
	assert_int_equal(open_one(&fds), -WASI_EMFILE);
	wasi_fds_end(&fds);
	assert_int_equal(wasi_fds_begin(&fds, 0, &tree), WASI_ESUCCESS); /* never fewer than the streams */
	assert_non_null(wasi_fds_get(&fds, 2));
	assert_int_equal(open_one(&fds), -WASI_EMFILE);
	wasi_fds_end(&fds);
	assert_int_equal(tree.nodes, 0);
}

static void
renumbering_moves_one_open_descriptor_onto_another(void **state)
{
	struct wasi_fds fds;

	(void)state;
	begin(&fds);
	assert_int_equal(wasi_fds_renumber(&fds, 2, 2), WASI_ESUCCESS);
	assert_int_equal(wasi_fds_get(&fds, 2)->kind, WASI_FD_STDERR);
	assert_int_equal(wasi_fds_renumber(&fds, 2, 1), WASI_ESUCCESS);
	assert_int_equal(wasi_fds_get(&fds, 1)->kind, WASI_FD_STDERR);
	assert_null(wasi_fds_get(&fds, 2));
	assert_int_equal(wasi_fds_renumber(&fds, 1, 2), WASI_EBADF);
	assert_int_equal(wasi_fds_renumber(&fds, 2, 1), WASI_EBADF);
	assert_int_equal(wasi_fds_renumber(&fds, 1, 3), WASI_EBADF);
	assert_int_equal(open_one(&fds), 2);
	assert_int_equal(wasi_fds_renumber(&fds, 1, 2), WASI_ESUCCESS); /* closes the file */
	assert_int_equal(tree.nodes, 0);
	assert_int_equal(wasi_fds_get(&fds, 2)->kind, WASI_FD_STDERR);
	wasi_fds_end(&fds);
}

/* What kinds never have, asked for one by one. */
static void
what_a_kind_cannot_do_has_an_errno_of_its_own(void **state)
{
	static const struct {
		uint64_t right;
		enum wasi_errno stream, file, dir;
	} cases[] = {
	    {WASI_RIGHT_FD_DATASYNC, WASI_EINVAL, 0, 0},
	    {WASI_RIGHT_FD_READ, 0, 0, WASI_EISDIR},
	    {WASI_RIGHT_FD_SEEK, WASI_ESPIPE, 0, WASI_EISDIR},
	    {WASI_RIGHT_FD_FDSTAT_SET_FLAGS, 0, 0, 0},
	    {WASI_RIGHT_FD_SYNC, WASI_EINVAL, 0, 0},
	    {WASI_RIGHT_FD_TELL, WASI_ESPIPE, 0, WASI_EISDIR},
	    {WASI_RIGHT_FD_WRITE, WASI_EBADF, 0, WASI_EISDIR},
	    {WASI_RIGHT_FD_ADVISE, WASI_ESPIPE, 0, 0},
	    {WASI_RIGHT_FD_ALLOCATE, WASI_ESPIPE, 0, WASI_EISDIR},
	    {WASI_RIGHT_PATH_OPEN, WASI_ENOTDIR, WASI_ENOTDIR, 0},
	    {WASI_RIGHT_PATH_UNLINK_FILE, WASI_ENOTDIR, WASI_ENOTDIR, 0},
	    {WASI_RIGHT_FD_READDIR, WASI_ENOTDIR, WASI_ENOTDIR, 0},
	    {WASI_RIGHT_FD_FILESTAT_GET, 0, 0, 0},
	    {WASI_RIGHT_FD_FILESTAT_SET_SIZE, WASI_EINVAL, 0, WASI_EISDIR},
	    {WASI_RIGHT_FD_FILESTAT_SET_TIMES, WASI_ENOTSUP, 0, 0},
	    {WASI_RIGHT_POLL_FD_READWRITE, 0, 0, 0},
	    {WASI_RIGHT_SOCK_SHUTDOWN, WASI_ENOTSOCK, WASI_ENOTSOCK, WASI_ENOTSOCK},
	};
	struct wasi_fds fds;
	struct wasi_fd *f;

	(void)state;
	begin(&fds);
	fds.table[3] = (struct wasi_fd){.kind = WASI_FD_FILE, .rights = WASI_RIGHTS_FILE};
	fds.table[4] = (struct wasi_fd){.kind = WASI_FD_DIR, .rights = WASI_RIGHTS_DIR};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(wasi_fds_need(&fds, 0, cases[i].right, &f), cases[i].stream);
		assert_int_equal(wasi_fds_need(&fds, 3, cases[i].right, &f), cases[i].file);
		assert_int_equal(wasi_fds_need(&fds, 4, cases[i].right, &f), cases[i].dir);
	}
	wasi_fds_end(&fds);
}

static void
wrong_end_and_lost_right_are_told_apart(void **state)
{
	struct wasi_fds fds;
	struct wasi_fd *f = NULL;

	(void)state;
	begin(&fds);
	assert_int_equal(wasi_fds_need(&fds, 0, WASI_RIGHT_FD_WRITE, &f), WASI_EBADF);
	assert_int_equal(wasi_fds_need(&fds, 1, WASI_RIGHT_FD_READ, &f), WASI_EBADF);
	fds.table[1].rights = 0;
	assert_int_equal(wasi_fds_need(&fds, 1, WASI_RIGHT_FD_WRITE, &f), WASI_ENOTCAPABLE);
	assert_null(f);
	assert_int_equal(wasi_fds_need(&fds, 0, WASI_RIGHT_FD_READ, &f), WASI_ESUCCESS);
	assert_ptr_equal(f, &fds.table[0]);
	wasi_fds_end(&fds);
}

#define STREAM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		STREAM(output_is_kept_until_flushed),
		STREAM(streamed_output_goes_out_when_settled),
		STREAM(a_full_buffer_is_sent_and_the_rest_kept),
		STREAM(output_at_its_limit_passes_whole),
		STREAM(output_past_its_limit_is_cut_and_counted),
		STREAM(output_past_its_limit_ends_the_run_when_asked),
		STREAM(output_to_a_closed_socket_is_broken),
		STREAM(a_write_that_nobody_reads_is_stopped_by_a_signal),
		STREAM(waiting_for_input_is_stopped_by_a_signal),
		STREAM(sleeping_is_stopped_by_a_signal),
		STREAM(a_block_of_input_is_read_in_pieces_to_its_end),
		STREAM(streamed_input_comes_packet_by_packet_until_the_empty_one),
		STREAM(the_largest_packet_of_input_is_taken),
		STREAM(anything_but_input_of_this_run_breaks_the_stream),
		STREAM(input_from_a_closed_socket_is_broken),
		cmocka_unit_test(real_clocks_do_not_go_back_and_have_a_resolution),
		cmocka_unit_test(coarse_clocks_show_whole_milliseconds),
		cmocka_unit_test(a_fixed_clock_says_the_same_for_ever),
		cmocka_unit_test(no_clock_and_no_such_clock_are_told_apart),
		cmocka_unit_test(past_times_need_no_sleep_and_far_ones_do_not_wrap),
		cmocka_unit_test(a_coarse_clock_shows_the_time_that_was_slept_for),
		cmocka_unit_test(seeded_bytes_are_the_chacha20_key_stream),
		cmocka_unit_test(seeded_bytes_do_not_depend_on_how_they_are_asked_for),
		cmocka_unit_test(another_seed_gives_other_bytes),
		cmocka_unit_test(real_bytes_differ_and_no_randomness_is_refused),
		cmocka_unit_test(descriptors_close_once),
		cmocka_unit_test(the_lowest_free_number_is_taken),
		cmocka_unit_test(descriptors_end_at_their_limit),
		cmocka_unit_test(what_a_kind_cannot_do_has_an_errno_of_its_own),
		cmocka_unit_test(renumbering_moves_one_open_descriptor_onto_another),
		cmocka_unit_test(wrong_end_and_lost_right_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
