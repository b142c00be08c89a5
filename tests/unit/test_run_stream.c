/* test_run_stream: `brig run` while it runs: a child has the client's end, the test plays the server. Unit test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/c/run_stream.h"

/* The child and what the test holds of it. */
struct play {
	pid_t pid;
	FILE *server;           /* lines from the client */
	int answer;             /* lines to it */
	int in, out, err;       /* the other ends of its standard streams */
};

/* What the child's exit code says: how run_stream returned. */
enum { CHILD_RESULT = 10, CHILD_ERROR = 20, CHILD_FAILED = 30 };

static void __attribute__((noreturn))
be_client(int sock, bool feed)
{
	struct brig *b = brig_adopt(sock);
	struct brig_error error;
	json_t *result = NULL;
	struct err e;
	int interrupted = 0;
	int rc = run_stream(b, json_object(), NULL, 0, feed, &result, &error, &interrupted, &e);

	if (rc == 0)
		_exit(CHILD_RESULT + (int)json_integer_value(json_object_get(result, "exit_code")) + interrupted);
	_exit(rc == ERR_DENIED && error.code != 0 ? CHILD_ERROR : CHILD_FAILED);
}

static struct play
play_new(bool feed)
{
	int sock[2], in[2], out[2], err[2];
	struct play p;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sock), 0);
	assert_int_equal(pipe(in) | pipe(out) | pipe(err), 0);
	p.pid = fork();
	if (p.pid == 0) {
		if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0 || dup2(err[1], 2) < 0)
			_exit(1);
		close(sock[1]);
		for (int i = 0; i < 2; i++) {
			close(in[i]);
			close(out[i]);
			close(err[i]);
		}
		be_client(sock[0], feed);
	}
	close(sock[0]);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	p.answer = sock[1];
	p.server = fdopen(dup(sock[1]), "r");
	p.in = in[1];
	p.out = out[0];
	p.err = err[0];
	return p;
}

/* The client's exit code, after everything is closed. */
static int
play_end(struct play *p)
{
	int status = 0;

	fclose(p->server);
	close(p->answer);
	if (p->in >= 0)
		close(p->in);
	close(p->out);
	close(p->err);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The next line must be this. */
static void
hear(struct play *p, const char *line)
{
	char text[2000];

	assert_non_null(fgets(text, sizeof(text), p->server));
	text[strcspn(text, "\n")] = '\0';
	assert_string_equal(text, line);
}

static void
say(struct play *p, const char *line)
{
	assert_int_equal(dprintf(p->answer, "%s\n", line), strlen(line) + 1);
}

/* Exactly these bytes come out of a pipe next. */
static void
expect(int fd, const char *bytes, size_t length)
{
	char seen[100];
	size_t got = 0;

	assert_true(length < sizeof(seen));
	while (got < length) {
		ssize_t n = read(fd, seen + got, length - got);

		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_memory_equal(seen, bytes, length);
}

#define REQUEST "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"run\",\"params\":{}}"
#define STARTED "{\"jsonrpc\":\"2.0\",\"method\":\"run.started\",\"params\":{\"request\":1,\"run_id\":\"run-1\"}}"
#define RESULT  "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"exit_code\":3}}"

static void
output_passes_through_as_it_comes(void **state)
{
	struct play p = play_new(false);

	(void)state;
	hear(&p, REQUEST);
	say(&p, STARTED);
	say(&p, "{\"jsonrpc\":\"2.0\",\"method\":\"run.output\",\"params\":{\"stream\":\"stdout\",\"data\":\"one\\n\","
	    "\"encoding\":\"utf-8\"}}");
	expect(p.out, "one\n", 4);
	say(&p, "{\"jsonrpc\":\"2.0\",\"method\":\"run.output\",\"params\":{\"stream\":\"stderr\",\"data\":\"/wAB\","
	    "\"encoding\":\"base64\"}}");
	expect(p.err, "\xff\x00\x01", 3);
	say(&p, "{\"jsonrpc\":\"2.0\",\"method\":\"something.new\",\"params\":{}}");
	say(&p, RESULT);
	assert_int_equal(play_end(&p), CHILD_RESULT + 3);
}

static void
input_goes_when_the_run_has_started_and_waits_for_each_answer(void **state)
{
	struct play p = play_new(true);

	(void)state;
	assert_int_equal(write(p.in, "abc", 3), 3);
	hear(&p, REQUEST);
	say(&p, STARTED);
	hear(&p, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"run.input\",\"params\":{\"request\":1,"
	    "\"data\":{\"base64\":\"YWJj\"}}}");
	assert_int_equal(write(p.in, "de", 2), 2);
	say(&p, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}");
	hear(&p, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"run.input\",\"params\":{\"request\":1,"
	    "\"data\":{\"base64\":\"ZGU=\"}}}");
	close(p.in);
	p.in = -1;
	say(&p, "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{}}");
	hear(&p, "{\"jsonrpc\":\"2.0\",\"method\":\"run.input\",\"params\":{\"request\":1,\"end\":true}}");
	say(&p, RESULT);
	assert_int_equal(play_end(&p), CHILD_RESULT + 3);
}

static void
input_that_the_run_no_longer_takes_is_no_error(void **state)
{
	struct play p = play_new(true);

	(void)state;
	assert_int_equal(write(p.in, "abc", 3), 3);
	hear(&p, REQUEST);
	say(&p, STARTED);
	hear(&p, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"run.input\",\"params\":{\"request\":1,"
	    "\"data\":{\"base64\":\"YWJj\"}}}");
	say(&p, "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32040,\"message\":\"No such run\"}}");
	say(&p, RESULT);
	assert_int_equal(play_end(&p), CHILD_RESULT + 3);
}

static void
interrupt_asks_for_cancel_before_the_run_has_started_too(void **state)
{
	struct play p = play_new(true);

	(void)state;
	hear(&p, REQUEST);
	kill(p.pid, SIGINT);
	hear(&p, "{\"jsonrpc\":\"2.0\",\"method\":\"run.cancel\",\"params\":{\"request\":1}}");
	say(&p, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"status\":\"cancelled\"}}");
	assert_int_equal(play_end(&p), CHILD_RESULT + SIGINT);
}

static void
second_interrupt_ends_it_at_once(void **state)
{
	struct play p = play_new(false);

	(void)state;
	hear(&p, REQUEST);
	kill(p.pid, SIGINT);
	hear(&p, "{\"jsonrpc\":\"2.0\",\"method\":\"run.cancel\",\"params\":{\"request\":1}}");
	kill(p.pid, SIGINT);
	assert_null(fgets((char[10]){0}, 10, p.server)); /* its end of the socket is closed */
	assert_int_equal(play_end(&p), 128 + SIGINT);
}

static void
errors_and_a_lost_server_are_told_apart(void **state)
{
	struct play p = play_new(false);

	(void)state;
	hear(&p, REQUEST);
	say(&p, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32020,\"message\":\"not signed\"}}");
	assert_int_equal(play_end(&p), CHILD_ERROR);
	p = play_new(false);
	hear(&p, REQUEST);
	assert_int_equal(play_end(&p), CHILD_FAILED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(output_passes_through_as_it_comes),
	    cmocka_unit_test(input_goes_when_the_run_has_started_and_waits_for_each_answer),
	    cmocka_unit_test(input_that_the_run_no_longer_takes_is_no_error),
	    cmocka_unit_test(interrupt_asks_for_cancel_before_the_run_has_started_too),
	    cmocka_unit_test(second_interrupt_ends_it_at_once),
	    cmocka_unit_test(errors_and_a_lost_server_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
