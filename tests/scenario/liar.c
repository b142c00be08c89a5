/*
 * tests/scenario/liar: stands in for brig-worker and lies to brigd, as a worker that a guest has taken over would.
 *
 * It does what a zygote does (READY, fork for each RUN, RUN_EXITED), without jail or engine. Its "guest" is the first
 * argument of the job: the name of the lie, from the table below. Test only.
 */

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/imsg.h"
#include "base/memfd.h"
#include "base/proto.h"

static struct imsg in;

/* What a lie has to work with. */
struct scene {
	int job;
	uint64_t run;
	struct proto_result good; /* a result that would be believed */
};

static void
say(const struct scene *s, uint32_t type, const void *payload, size_t length)
{
	imsg_send(s->job, type, s->run, payload, length, NULL, 0, NULL);
}

static void
say_good(const struct scene *s)
{
	say(s, PROTO_RESULT, &s->good, sizeof(s->good));
}

static void
output(const struct scene *s, uint32_t stream, const char *text, size_t length)
{
	struct proto_output head = {.stream = stream};
	uint8_t message[IMSG_PAYLOAD_MAX];

	memcpy(message, &head, sizeof(head));
	memcpy(message + sizeof(head), text, length);
	say(s, PROTO_OUTPUT, message, sizeof(head) + length);
}

/* --- the lies --------------------------------------------------------------------------------------------------- */

static void
lie_truth(struct scene *s)
{
	output(s, 1, "true\n", 5);
	say_good(s);
}

static void
lie_unknown_type(struct scene *s)
{
	say(s, 999, NULL, 0);
	pause();
}

static void
lie_of_another_process(struct scene *s)
{
	struct proto_log_done done = {0};

	say(s, PROTO_LOG_DONE, &done, sizeof(done));
	pause();
}

static void
lie_short_packet(struct scene *s)
{
	if (write(s->job, "\x16", 1) == 1)
		pause();
}

static void
lie_length(struct scene *s)
{
	struct imsg_hdr hdr = {PROTO_OUTPUT, 60000, s->run};

	if (write(s->job, &hdr, sizeof(hdr)) == sizeof(hdr))
		pause();
}

static void
lie_other_run(struct scene *s)
{
	imsg_send(s->job, PROTO_RESULT, s->run + 1, &s->good, sizeof(s->good), NULL, 0, NULL);
	pause();
}

static void
lie_stream(struct scene *s)
{
	output(s, 3, "x", 1);
	pause();
}

static void
lie_empty_output(struct scene *s)
{
	output(s, 1, "", 0);
	pause();
}

static void
lie_too_much_output(struct scene *s)
{
	static char chunk[32768];

	memset(chunk, 'x', sizeof(chunk));
	for (;;)
		output(s, 1, chunk, sizeof(chunk));
}

static void
lie_descriptor(struct scene *s)
{
	int fd = STDERR_FILENO;

	imsg_send(s->job, PROTO_RESULT, s->run, &s->good, sizeof(s->good), &fd, 1, NULL);
	pause();
}

static void
lie_many_descriptors(struct scene *s)
{
	int fds[IMSG_FDS_MAX] = {STDERR_FILENO, STDERR_FILENO, STDERR_FILENO, STDERR_FILENO};

	imsg_send(s->job, PROTO_OUTPUT, s->run, &s->good, sizeof(s->good), fds, IMSG_FDS_MAX, NULL);
	pause();
}

static void
lie_short_result(struct scene *s)
{
	say(s, PROTO_RESULT, &s->good, sizeof(s->good) - 1);
	pause();
}

static void
lie_status(struct scene *s)
{
	s->good.status = 77;
	say_good(s);
	pause();
}

static void
lie_trap(struct scene *s)
{
	s->good.status = PROTO_STATUS_TRAPPED;
	s->good.trap = 4000000000u;
	say_good(s);
	pause();
}

static void
lie_limit(struct scene *s)
{
	s->good.status = PROTO_STATUS_LIMIT;
	s->good.limit = 0;
	say_good(s);
	pause();
}

static void
lie_text_length(struct scene *s)
{
	s->good.text_length = UINT32_MAX;
	say_good(s);
	pause();
}

static void
lie_frame_count(struct scene *s)
{
	s->good.frame_count = UINT32_MAX;
	say_good(s);
	pause();
}

static void
lie_frame_name(struct scene *s)
{
	struct {
		struct proto_result result;
		struct proto_frame frame;
		char name[4];
	} m = {s->good, {.name_length = 4}, "\xff\xfe\xfd"};

	m.result.frame_count = 1;
	say(s, PROTO_RESULT, &m, sizeof(m));
	pause();
}

static void
lie_denial(struct scene *s)
{
	struct proto_denial d = {.call = 1000, .capability = 1, .count = 1};

	say(s, PROTO_DENIAL, &d, sizeof(d));
	pause();
}

static void
lie_granted_denial(struct scene *s)
{
	struct proto_denial d = {.call = 6, .capability = 1, .count = 1}; /* clocks are granted in this test */

	say(s, PROTO_DENIAL, &d, sizeof(d));
	pause();
}

static void
lie_second_result(struct scene *s)
{
	say_good(s);
	say_good(s);
	pause();
}

static void
lie_after_result(struct scene *s)
{
	say_good(s);
	output(s, 1, "x", 1);
	pause();
}

static void
lie_silence(struct scene *s)
{
	(void)s;
	_exit(0);
}

static void
lie_exit_code(struct scene *s)
{
	say_good(s);
	_exit(3);
}

static void
lie_crash(struct scene *s)
{
	(void)s;
	abort();
}

static void
lie_closed(struct scene *s)
{
	close(s->job);
	pause();
}

static void
lie_usage(struct scene *s)
{
	memset(s->good.host_calls, 0xff, sizeof(s->good.host_calls));
	s->good.fuel_used = s->good.peak_memory_bytes = s->good.stdout_bytes = s->good.start_us = UINT64_MAX;
	say_good(s);
}

static const struct {
	const char *name;
	void (*tell)(struct scene *s);
} lies[] = {
    {"truth", lie_truth},
    {"unknown-type", lie_unknown_type},
    {"of-another-process", lie_of_another_process},
    {"short-packet", lie_short_packet},
    {"length", lie_length},
    {"other-run", lie_other_run},
    {"stream", lie_stream},
    {"empty-output", lie_empty_output},
    {"too-much-output", lie_too_much_output},
    {"descriptor", lie_descriptor},
    {"many-descriptors", lie_many_descriptors},
    {"short-result", lie_short_result},
    {"status", lie_status},
    {"trap", lie_trap},
    {"limit", lie_limit},
    {"text-length", lie_text_length},
    {"frame-count", lie_frame_count},
    {"frame-name", lie_frame_name},
    {"denial", lie_denial},
    {"granted-denial", lie_granted_denial},
    {"second-result", lie_second_result},
    {"after-result", lie_after_result},
    {"silence", lie_silence},
    {"exit-code", lie_exit_code},
    {"crash", lie_crash},
    {"closed", lie_closed},
    {"usage", lie_usage},
};

/* --- the frame around them -------------------------------------------------------------------------------------- */

/* The job's second argument string (the first is the program's name) names the lie. */
static void __attribute__((noreturn))
worker(int job)
{
	struct scene s = {.job = job, .good = {.status = PROTO_STATUS_EXITED}};
	const uint8_t *blob = in.payload + sizeof(struct proto_job);
	uint32_t length;

	if (imsg_recv(job, &in, NULL) != 0)
		_exit(9);
	s.run = in.hdr.run;
	memcpy(&length, blob, sizeof(length));
	blob += sizeof(length) + length;
	memcpy(&length, blob, sizeof(length));
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		if (strlen(lies[i].name) == length && memcmp(lies[i].name, blob + sizeof(length), length) == 0)
			lies[i].tell(&s);
	_exit(0);
}

static void
start(uint64_t *run, pid_t *pid)
{
	*run = in.hdr.run;
	*pid = fork();
	if (*pid == 0) {
		int job = imsg_take_fd(&in, 0);

		close(PROTO_SOCKET_FD);
		worker(job);
	}
	imsg_close_fds(&in);
}

/* One run at a time is enough. */
int
main(void)
{
	struct proto_ready ready = {.layers = ~0u, .child_layers = ~0u};
	struct pollfd p = {.fd = PROTO_SOCKET_FD, .events = POLLIN};
	uint64_t run = 0;
	pid_t pid = 0;

	imsg_send(PROTO_SOCKET_FD, PROTO_READY, 0, &ready, sizeof(ready), NULL, 0, NULL);
	for (;;) {
		struct proto_exited exited = {0};

		if (poll(&p, 1, pid != 0 ? 1 : -1) > 0) {
			if (imsg_recv(PROTO_SOCKET_FD, &in, NULL) != 0)
				return 0;
			if (in.hdr.type == PROTO_RUN)
				start(&run, &pid);
			else if (in.hdr.type == PROTO_RUN_KILL && pid != 0)
				kill(pid, SIGKILL);
		}
		if (pid != 0 && waitpid(pid, &exited.wait_status, WNOHANG) == pid) {
			pid = 0;
			imsg_send(PROTO_SOCKET_FD, PROTO_RUN_EXITED, run, &exited, sizeof(exited), NULL, 0, NULL);
		}
	}
}
