/* run_stream: one `run` request, its streams passed through, until its answer. brig. */

#include "clients/c/run_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "clients/c/progress.h"

#define CHUNK 32768 /* bytes of standard input in one notification */
#define TICK  1000  /* milliseconds between signs of life while the run has not started */

struct stream {
	struct brig *b;
	json_int_t id;       /* of the request, which names the run too */
	json_int_t input_id; /* of the piece of input that the server has not taken yet; 0 for none */
	bool started;        /* the guest is there, and takes input */
	bool feed;           /* standard input is still to be sent */
	bool cancelled;      /* run.cancel is sent */
	struct progress progress; /* until it has started */
	json_t *result;
	struct brig_error *error;
};

/* --- signals -------------------------------------------------------------------------------------------------- */

static int wake[2] = {-1, -1};
static volatile sig_atomic_t caught;

static void
on_signal(int sig)
{
	int saved = errno;

	if (caught != 0)
		_exit(128 + sig);
	caught = sig;
	if (write(wake[1], "", 1) < 0)
		_exit(128 + sig);
	errno = saved;
}

static int
watch_signals(struct err *e)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0)
		return err_sys(e, ERR_IO, "pipe");
	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGINT, &sa, NULL) != 0 || sigaction(SIGTERM, &sa, NULL) != 0)
		return err_sys(e, ERR_IO, "sigaction");
	return 0;
}

/* Asks for the end of the run, once. */
static int
cancel_if_asked(struct stream *s, struct err *e)
{
	if (caught == 0 || s->cancelled)
		return 0;
	s->cancelled = true;
	s->feed = false;
	return brig_notify(s->b, "run.cancel", json_pack("{s:I}", "request", s->id), e);
}

/* --- what comes from the server ------------------------------------------------------------------------------- */

static int
write_output(const json_t *params, struct err *e)
{
	const char *stream = json_string_value(json_object_get(params, "stream"));
	const char *encoding = json_string_value(json_object_get(params, "encoding"));
	uint8_t *data = NULL;
	size_t length;
	int rc = brig_data(json_object_get(params, "data"), encoding, &data, &length, e);

	if (rc != 0)
		return rc;
	rc = io_write_all(stream != NULL && strcmp(stream, "stderr") == 0 ? STDERR_FILENO : STDOUT_FILENO, data, length, e);
	free(data);
	return rc == 0 ? 0 : err_context(e, "standard output");
}

static int
on_notification(struct stream *s, const char *method, const json_t *params, struct err *e)
{
	if (strcmp(method, "run.progress") == 0) {
		progress_hear(&s->progress, params);
		return 0;
	}
	progress_wipe(&s->progress);
	if (strcmp(method, "run.output") == 0)
		return write_output(params, e);
	s->started |= strcmp(method, "run.started") == 0;
	return 0;
}

/* An answer: to `run`, to the last piece of input, or to something that no longer matters. 1 when it is the first. */
static int
on_answer(struct stream *s, const json_t *message, struct err *e)
{
	struct brig_error refused;
	json_t *value;
	int rc = brig_answer(message, s->id, &value, s->error, e);

	if (rc == 0) {
		s->result = json_incref(value);
		return 1;
	}
	if (rc == ERR_DENIED)
		s->result = json_incref(json_object_get(message, "error"));
	if (rc != ERR_NOTFOUND)
		return rc;
	rc = brig_answer(message, s->input_id, &value, &refused, e);
	if (rc == ERR_NOTFOUND || rc == ERR_PROTOCOL)
		return 0;
	s->input_id = 0;
	if (rc != 0)
		s->feed = false; /* the run reads no more; how it ended is in its result */
	return 0;
}

/* Takes all that has arrived. 0 when the answer is still to come, 1 when it is there, or a negative error. */
static int
take_messages(struct stream *s, struct err *e)
{
	json_t *message;
	int rc;

	while ((rc = brig_receive(s->b, &message, e)) == 0) {
		const char *method = json_string_value(json_object_get(message, "method"));

		rc = method != NULL ? on_notification(s, method, json_object_get(message, "params"), e) : on_answer(s, message, e);
		json_decref(message);
		if (rc != 0)
			return rc;
	}
	return rc == ERR_AGAIN ? 0 : rc;
}

/* --- what goes to it ------------------------------------------------------------------------------------------ */

/* Sends one piece of standard input, or its end. The next goes when the server has taken this: it sets the pace. */
static int
feed_some(struct stream *s, struct err *e)
{
	uint8_t chunk[CHUNK];
	ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n > 0)
		return brig_request(s->b, "run.input", json_pack("{s:I, s:o}", "request", s->id, "data",
		    brig_base64(chunk, (size_t)n)), NULL, 0, &s->input_id, e);
	s->feed = false;
	return brig_notify(s->b, "run.input", json_pack("{s:I, s:b}", "request", s->id, "end", 1), e);
}

/* Whether reading now cannot stop this process: a terminal belongs to the job in its foreground. */
static bool
may_read_input(void)
{
	pid_t foreground = tcgetpgrp(STDIN_FILENO);

	return foreground < 0 || foreground == getpgrp();
}

/* One round: wait until something can go on, and let it. Returns as take_messages. */
static int
turn(struct stream *s, struct err *e)
{
	struct pollfd fds[] = {
	    {.fd = brig_fd(s->b), .events = brig_events(s->b)},
	    {.fd = wake[0], .events = POLLIN},
	    {.fd = -1, .events = POLLIN},
	};
	char drained[8];
	int n, rc;

	if (s->feed && s->started && s->input_id == 0 && may_read_input())
		fds[2].fd = STDIN_FILENO;
	n = poll(fds, sizeof(fds) / sizeof(fds[0]), s->started ? -1 : TICK);
	if (n < 0)
		return errno == EINTR ? 0 : err_sys(e, ERR_IO, "poll");
	if (n == 0)
		progress_show(&s->progress);
	if (fds[1].revents != 0 && read(wake[0], drained, sizeof(drained)) < 0 && errno != EAGAIN)
		return err_sys(e, ERR_IO, "pipe");
	if (fds[0].revents != 0 && (rc = take_messages(s, e)) != 0)
		return rc;
	if (fds[2].revents != 0 && (rc = feed_some(s, e)) != 0)
		return rc;
	if ((rc = cancel_if_asked(s, e)) != 0)
		return rc;
	rc = brig_flush(s->b, e);
	return rc == ERR_AGAIN ? 0 : rc;
}

int
run_stream(struct brig *b, json_t *params, const int *fds, int nfds, bool feed, json_t **result,
    struct brig_error *error, int *interrupted, struct err *e)
{
	struct stream s = {.b = b, .feed = feed, .error = error};
	int rc;

	progress_begin(&s.progress, "run");
	error->code = 0;
	if ((rc = watch_signals(e)) != 0) {
		json_decref(params);
		return rc;
	}
	rc = brig_request(b, "run", params, fds, nfds, &s.id, e);
	if (rc == 0 && (rc = brig_flush(b, e)) == ERR_AGAIN)
		rc = 0;
	while (rc == 0)
		rc = turn(&s, e);
	progress_wipe(&s.progress);
	*interrupted = caught;
	*result = s.result;
	return rc < 0 ? rc : 0;
}
