/* Unit tests of broker/conn: real socket pairs on a real event loop. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <jansson.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memfd.h"
#include "broker/conn.h"

#define OPEN_MAX_CALLS 16
#define LIMIT          (1024 * 1024)
#define BACKLOG        (4 * 1024 * 1024)

struct fixture {
	struct event_base *base;
	struct conn_owner owner;
	struct conn *conn;
	int client;
	int fds_before;
	char *in;               /* what the client has received and not yet looked at */
	size_t in_length;
	bool client_eof;

	struct rpc_call *open[OPEN_MAX_CALLS]; /* those of "later" */
	unsigned nopen, gone, drained, requests, closed;
	int nfds_last;

	struct conn *second;    /* another connection, for some tests */
	int second_client;
	sem_t begun, go;        /* the thread prepares a request; it may go on */
	unsigned discarded;
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

/* --- the server's side ------------------------------------------------------------------------------------------ */

static void
on_gone(struct rpc_call *call)
{
	struct fixture *f = call->arg;

	f->gone++;
	for (unsigned i = 0; i < f->nopen; i++)
		if (f->open[i] == call)
			f->open[i] = f->open[--f->nopen];
	call_result(call, json_null());
}

static void
on_drained(struct rpc_call *call)
{
	((struct fixture *)call->arg)->drained++;
}

static json_t *
text_of(size_t length)
{
	char *text = malloc(length);
	json_t *json;

	memset(text, 'x', length);
	json = json_stringn(text, length);
	free(text);
	return json;
}

/* An answer that is text in part, the other part a string of `length` bytes, if any. */
static void
answer_in_parts(struct rpc_call *call, size_t length)
{
	struct json_text members = {0};

	json_text_integer(&members, "a", 1);
	json_text_string(&members, "b", "c", 1);
	call_result_text(call, &members, length > 0 ? json_pack("{s:o}", "text", text_of(length)) : NULL);
	json_text_free(&members);
}

/*
 * "echo": its params. "later": when the test says so. "big": a string of params[0] bytes. "parts": the same, beside a text.
 * "fail": an error.
 */
static void
on_request(void *arg, struct rpc_call *call, const struct jsonrpc_request *request)
{
	struct fixture *f = arg;
	struct rpc_failure failure = {0};

	f->requests++;
	f->nfds_last = call->nfds;
	call->arg = f;
	if (strcmp(request->method, "later") == 0 && f->nopen < OPEN_MAX_CALLS) {
		call->gone = on_gone;
		call->drained = on_drained;
		f->open[f->nopen++] = call;
	} else if (strcmp(request->method, "big") == 0) {
		call_result(call, text_of((size_t)json_integer_value(json_array_get(request->params, 0))));
	} else if (strcmp(request->method, "parts") == 0) {
		answer_in_parts(call, (size_t)json_integer_value(json_array_get(request->params, 0)));
	} else if (strcmp(request->method, "echo") == 0) {
		call_result(call, request->params != NULL ? json_incref(request->params) : json_null());
	} else {
		rpc_fail(&failure, RPC_method_not_found, "there is no method \"%s\"", request->method);
		call_fail(call, &failure);
	}
}

static void
on_closed(void *arg, struct conn *c)
{
	struct fixture *f = arg;

	if (c == f->second) {
		f->second = NULL;
		return;
	}
	assert_ptr_equal(c, f->conn);
	f->conn = NULL;
	f->closed++;
}

static int
set_up(void **state)
{
	static struct fixture f;
	int sv[2];

	memset(&f, 0, sizeof(f));
	f.base = event_base_new();
	f.owner = (struct conn_owner){.base = f.base, .request_bytes = LIMIT, .methods = {.request_depth = 16}, .backlog_bytes = BACKLOG,
	    .input_bytes = 2 * LIMIT, .stall_s = 60, .request = on_request, .closed = on_closed, .arg = &f};
	f.fds_before = open_descriptors();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0)
		return -1;
	f.client = sv[1];
	fcntl(f.client, F_SETFL, O_NONBLOCK);
	f.conn = conn_new(&f.owner, sv[0], NULL);
	*state = &f;
	return f.conn != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	int left;

	sem_post(&f->go);
	conn_close_all(&f->owner);
	offload_free(f->owner.offload);
	if (f->second_client > 0)
		close(f->second_client);
	if (f->client >= 0)
		close(f->client);
	free(f->in);
	left = open_descriptors();
	event_base_free(f->base);
	/* Nothing leaked: descriptors, calls, or bytes counted as half-received. */
	return left == f->fds_before && f->nopen == 0 && conn_input_total() == 0 ? 0 : -1;
}

/* --- the client's side ------------------------------------------------------------------------------------------ */

static void
turn(struct fixture *f)
{
	event_base_loop(f->base, EVLOOP_NONBLOCK);
}

/* Takes what has arrived at the client. Returns whether there was anything. */
static bool
fetch(struct fixture *f)
{
	static char block[65536];
	ssize_t n;
	bool any = false;

	while ((n = recv(f->client, block, sizeof(block), 0)) > 0) {
		f->in = realloc(f->in, f->in_length + (size_t)n);
		memcpy(f->in + f->in_length, block, (size_t)n);
		f->in_length += (size_t)n;
		any = true;
	}
	if (n == 0)
		f->client_eof = true;
	return any;
}

/* Lets server and client talk until nothing more happens. */
static void
settle(struct fixture *f)
{
	for (int quiet = 0; quiet < 3; quiet++) {
		turn(f);
		if (fetch(f))
			quiet = 0;
	}
}

static void
put(struct fixture *f, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t n = send(f->client, data, length, MSG_NOSIGNAL);

		if (n < 0 && f->conn == NULL)
			return;
		if (n > 0) {
			data += n;
			length -= (size_t)n;
		}
		turn(f);
	}
}

static void
say(struct fixture *f, const char *text)
{
	put(f, text, strlen(text));
}

/* Sends `data` with `nfds` copies of a descriptor. */
static void
say_with_fds(struct fixture *f, const char *data, int nfds)
{
	int fd = memfd_from("test", "x", 1, NULL);
	struct iovec iov = {(void *)(uintptr_t)data, strlen(data)};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * 16)];
	} control;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
	    .msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds)};
	struct cmsghdr *c;

	memset(&control, 0, sizeof(control));
	c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
	for (int i = 0; i < nfds; i++)
		memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &fd, sizeof(int));
	assert_int_equal(sendmsg(f->client, &msg, MSG_NOSIGNAL), strlen(data));
	close(fd);
}

/* The next line that the client got, as JSON; NULL when there is none. */
static json_t *
next_line(struct fixture *f)
{
	char *end;
	size_t length;
	json_t *json;

	settle(f);
	end = f->in_length > 0 ? memchr(f->in, '\n', f->in_length) : NULL;
	if (end == NULL)
		return NULL;
	length = (size_t)(end - f->in);
	json = json_loadb(f->in, length, 0, NULL);
	assert_non_null(json);
	f->in_length -= length + 1;
	memmove(f->in, end + 1, f->in_length);
	return json;
}

static void
expect(struct fixture *f, const char *text)
{
	json_t *want = json_loads(text, 0, NULL), *got = next_line(f);

	assert_non_null(want);
	assert_non_null(got);
	if (!json_equal(want, got))
		fail_msg("got %s\nnot %s", json_dumps(got, JSON_COMPACT), text);
	json_decref(want);
	json_decref(got);
}

static void
expect_error(struct fixture *f, int code, const char *id)
{
	json_t *got = next_line(f);
	char *text;

	assert_non_null(got);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(got, "error"), "code")), code);
	text = json_dumps(json_object_get(got, "id"), JSON_ENCODE_ANY);
	assert_string_equal(text, id);
	free(text);
	json_decref(got);
}

static void
expect_nothing(struct fixture *f)
{
	assert_null(next_line(f));
	assert_int_equal(f->in_length, 0);
}

static void
hang_up(struct fixture *f)
{
	close(f->client);
	f->client = -1;
}

#define CALL(method, id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\"}"
#define NULL_RESULT(id)  "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":null}"

/* --- lines ------------------------------------------------------------------------------------------------------ */

static void
answers_a_request(void **state)
{
	struct fixture *f = *state;

	say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":[1,{\"a\":null}]}\n");
	expect(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[1,{\"a\":null}]}");
}

#define PARTS(id, length) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"parts\",\"params\":[" length "]}"
#define WHOLE(id, rest)   "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":{\"a\":1,\"b\":\"c\"" rest "}}"

static void
answers_with_what_is_text_already(void **state)
{
	struct fixture *f = *state;

	say(f, PARTS("7", "0") "\n" PARTS("\"x\\\"y\"", "3") "\n" PARTS("-1.5", "1") "\n" PARTS("null", "0") "\n");
	expect(f, WHOLE("7", ""));
	expect(f, WHOLE("\"x\\\"y\"", ",\"text\":\"xxx\""));
	expect(f, WHOLE("-1.5", ",\"text\":\"x\""));
	expect(f, WHOLE("null", ""));
	say(f, "[" PARTS("1", "2") "," CALL("echo", "2") "," PARTS("3", "0") "]\n");
	expect(f, "[" WHOLE("1", ",\"text\":\"xx\"") "," NULL_RESULT("2") "," WHOLE("3", "") "]");
	say(f, "{\"jsonrpc\":\"2.0\",\"method\":\"parts\",\"params\":[5]}\n");
	expect_nothing(f);
}

static void
answers_a_line_that_comes_byte_by_byte(void **state)
{
	struct fixture *f = *state;
	static const char line[] = CALL("echo", "1") "\n";

	for (size_t i = 0; i + 1 < sizeof(line); i++) {
		put(f, line + i, 1);
		turn(f);
	}
	expect(f, NULL_RESULT("1"));
}

static void
answers_lines_that_come_together_in_order(void **state)
{
	struct fixture *f = *state;

	say(f, CALL("echo", "1") "\n" CALL("echo", "2") "\r\n\n\r\n" CALL("echo", "3") "\n" "{\"json");
	expect(f, NULL_RESULT("1"));
	expect(f, NULL_RESULT("2"));
	expect(f, NULL_RESULT("3"));
	expect_nothing(f);
	say(f, "rpc\":\"2.0\",\"id\":4,\"method\":\"echo\"}\n");
	expect(f, NULL_RESULT("4"));
}

static void
refuses_a_line_that_is_too_long_and_closes(void **state)
{
	struct fixture *f = *state;
	char *line = malloc(2 * LIMIT);

	memset(line, ' ', 2 * LIMIT);
	put(f, line, 2 * LIMIT);
	free(line);
	expect_error(f, -32001, "null");
	assert_true(f->client_eof);
	assert_int_equal(f->closed, 1);
}

static void
takes_a_line_of_just_the_limit(void **state)
{
	struct fixture *f = *state;
	static const char request[] = CALL("echo", "1");
	char *line = malloc(LIMIT + 1);

	memset(line, ' ', LIMIT);
	memcpy(line, request, sizeof(request) - 1);
	line[LIMIT] = '\n';
	put(f, line, LIMIT + 1);
	expect(f, NULL_RESULT("1"));
	memmove(line + 1, line, LIMIT); /* one more */
	put(f, line, LIMIT + 1);
	put(f, "\n", 1);
	free(line);
	expect_error(f, -32001, "null");
	assert_int_equal(f->closed, 1);
}

static void
refuses_when_all_together_have_sent_too_much(void **state)
{
	struct fixture *f = *state;
	char *half = malloc(LIMIT);

	f->owner.input_bytes = LIMIT / 2;
	memset(half, ' ', LIMIT);
	put(f, half, LIMIT);
	free(half);
	expect_error(f, -32003, "null");
	assert_int_equal(f->closed, 1);
}

/* Its run goes on, so it must be noticed when it goes. */
static void
refused_client_that_goes_is_noticed(void **state)
{
	struct fixture *f = *state;
	char *line = malloc(2 * LIMIT);

	say(f, CALL("later", "1") "\n");
	memset(line, ' ', 2 * LIMIT);
	put(f, line, LIMIT + 1);
	free(line);
	expect_error(f, -32001, "null");
	assert_int_equal(f->closed, 0);
	hang_up(f);
	settle(f);
	assert_int_equal(f->gone, 1);
	assert_int_equal(f->closed, 1);
}

/* --- errors and batches ----------------------------------------------------------------------------------------- */

static void
answers_what_is_no_request_with_a_null_id(void **state)
{
	struct fixture *f = *state;

	say(f, "{\n");
	expect_error(f, -32700, "null");
	say(f, "1\n");
	expect_error(f, -32600, "null");
	say(f, "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n");
	expect_error(f, -32002, "null");
	say(f, CALL("echo", "1") "\n");
	expect(f, NULL_RESULT("1"));
}

static void
keeps_silent_about_notifications(void **state)
{
	struct fixture *f = *state;

	say(f, "{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}\n{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}\n");
	expect_nothing(f);
	assert_int_equal(f->requests, 2);
}

static void
answers_a_batch_in_one_array(void **state)
{
	struct fixture *f = *state;
	json_t *got;

	say(f, "[" CALL("echo", "1") ",{\"jsonrpc\":\"2.0\",\"method\":\"echo\"},1," CALL("nothing", "\"2\"") "]\n");
	got = next_line(f);
	assert_int_equal(json_array_size(got), 3);
	json_decref(got);
	expect_nothing(f);
}

static void
answers_a_batch_when_its_last_call_ends(void **state)
{
	struct fixture *f = *state;

	say(f, "[" CALL("later", "1") "," CALL("echo", "2") "," CALL("later", "3") "]\n");
	expect_nothing(f);
	f->nopen = 0;
	call_result(f->open[1], json_null());
	expect_nothing(f);
	call_result(f->open[0], json_null());
	expect(f, "[" NULL_RESULT("2") "," NULL_RESULT("3") "," NULL_RESULT("1") "]");
}

static void
refuses_an_empty_batch(void **state)
{
	struct fixture *f = *state;

	say(f, "[]\n");
	expect_error(f, -32600, "null");
}

static void
keeps_silent_about_a_batch_of_notifications(void **state)
{
	struct fixture *f = *state;

	say(f, "[{\"jsonrpc\":\"2.0\",\"method\":\"echo\"},{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}]\n");
	expect_nothing(f);
	assert_int_equal(f->requests, 2);
}

static void
send_batch_of(struct fixture *f, size_t count)
{
	char *text = malloc(count * 2 + 2), *p = text;

	for (size_t i = 0; i < count; i++) {
		*p++ = i == 0 ? '[' : ',';
		*p++ = '1';
	}
	*p++ = ']';
	*p++ = '\n';
	put(f, text, (size_t)(p - text));
	free(text);
}

static void
takes_the_largest_batch_and_no_larger_one(void **state)
{
	struct fixture *f = *state;
	json_t *got;

	send_batch_of(f, JSONRPC_BATCH_MAX);
	got = next_line(f);
	assert_int_equal(json_array_size(got), JSONRPC_BATCH_MAX);
	json_decref(got);
	send_batch_of(f, JSONRPC_BATCH_MAX + 1);
	expect_error(f, -32600, "null");
}

/* Ten requests of a line each must not make the server hold forty times the backlog. */
static void
answers_of_a_batch_count_as_backlog(void **state)
{
	struct fixture *f = *state;
	char line[2048] = "[", *p = line + 1;

	for (int i = 0; i < 10; i++)
		p += sprintf(p, "%s{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"big\",\"params\":[%d]}", i > 0 ? "," : "", i,
		    BACKLOG / 2);
	strcpy(p, "]\n");
	say(f, line);
	settle(f);
	assert_int_equal(f->closed, 1);
	assert_true(f->requests <= 3);
	assert_int_equal(f->in_length, 0);
}

/* --- descriptors ------------------------------------------------------------------------------------------------ */

static void
descriptors_belong_to_the_line_they_came_with(void **state)
{
	struct fixture *f = *state;

	say(f, CALL("echo", "1") "\n");
	say_with_fds(f, CALL("later", "2") "\n", 2);
	say(f, CALL("echo", "3") "\n");
	expect(f, NULL_RESULT("1"));
	expect(f, NULL_RESULT("3"));
	assert_int_equal(f->nfds_last, 0);
	assert_int_equal(f->open[0]->nfds, 2);
	assert_true(fcntl(f->open[0]->fds[1], F_GETFD) >= 0);
	f->nopen = 0;
	call_result(f->open[0], json_null()); /* closes them */
	expect(f, NULL_RESULT("2"));
}

static void
descriptors_wait_for_the_rest_of_their_line(void **state)
{
	struct fixture *f = *state;

	say_with_fds(f, "{\"jsonrpc\":\"2.0\",\"id\":1,", 1);
	turn(f);
	say(f, "\"method\":\"echo\"}\n" CALL("echo", "2") "\n");
	turn(f);
	assert_int_equal(f->requests, 2);
	assert_int_equal(f->nfds_last, 0);
	expect(f, NULL_RESULT("1"));
	expect(f, NULL_RESULT("2"));
}

static void
descriptors_of_a_batch_belong_to_its_first_request(void **state)
{
	struct fixture *f = *state;

	say_with_fds(f, "[" CALL("later", "1") "," CALL("later", "2") "]\n", 1);
	turn(f);
	assert_int_equal(f->nopen, 2);
	assert_int_equal(f->open[0]->nfds, 1);
	assert_int_equal(f->open[1]->nfds, 0);
}

static void
refuses_a_line_with_too_many_descriptors(void **state)
{
	struct fixture *f = *state;

	say_with_fds(f, CALL("echo", "1") "\n", CONN_FDS_MAX + 1);
	expect_error(f, -32034, "null");
	say(f, CALL("echo", "2") "\n");
	expect(f, NULL_RESULT("2"));
}

static void
descriptors_piled_up_before_a_line_are_closed(void **state)
{
	struct fixture *f = *state;
	int before = open_descriptors();

	for (int i = 0; i < 50; i++) {
		say_with_fds(f, " ", 16);
		turn(f);
		assert_true(open_descriptors() <= before + CONN_FDS_MAX + 1);
	}
	say(f, CALL("echo", "1") "\n" CALL("echo", "2") "\n");
	expect_error(f, -32034, "null");
	expect(f, NULL_RESULT("2"));
	assert_int_equal(open_descriptors(), before);
}

static void
a_line_that_completes_another_keeps_its_own_descriptors(void **state)
{
	struct fixture *f = *state;

	say_with_fds(f, " ", 16);
	say_with_fds(f, CALL("echo", "1") "\n" CALL("echo", "2"), 3);
	say(f, "\n");
	expect_error(f, -32034, "null");
	expect(f, NULL_RESULT("2"));
	assert_int_equal(f->nfds_last, 3);
}

static void
closes_descriptors_of_a_line_that_never_ends(void **state)
{
	struct fixture *f = *state;

	say_with_fds(f, "{", 3);
	turn(f);
	hang_up(f);
	settle(f);
	assert_int_equal(f->closed, 1); /* tear_down counts descriptors */
}

/* --- clients that go, and clients that are slow ------------------------------------------------------------------- */

static void
half_closed_client_gets_its_answers(void **state)
{
	struct fixture *f = *state;

	say(f, CALL("later", "1") "\n" CALL("echo", "2")); /* the last line without its newline */
	shutdown(f->client, SHUT_WR);
	expect(f, NULL_RESULT("2"));
	assert_int_equal(f->closed, 0);
	assert_int_equal(conn_unfinished(&f->owner), 1);
	f->nopen = 0;
	call_result(f->open[0], json_null());
	expect(f, NULL_RESULT("1"));
	assert_true(f->client_eof);
	assert_int_equal(f->closed, 1);
}

/* More than the socket holds, so that the rest has to be sent from the event loop. */
static void
half_closed_client_gets_a_large_answer_whole(void **state)
{
	struct fixture *f = *state;
	json_t *got;

	say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"big\",\"params\":[3000000]}\n");
	shutdown(f->client, SHUT_WR);
	turn(f);
	turn(f);
	got = next_line(f);
	assert_non_null(got);
	assert_int_equal(json_string_length(json_object_get(got, "result")), 3000000);
	json_decref(got);
	assert_int_equal(f->closed, 1);
}

static void
answer_that_begins_after_half_closing_comes_whole(void **state)
{
	struct fixture *f = *state;
	json_t *got;

	say(f, CALL("later", "1") "\n");
	shutdown(f->client, SHUT_WR);
	settle(f);
	f->nopen = 0;
	call_result(f->open[0], text_of(3000000));
	got = next_line(f);
	assert_non_null(got);
	json_decref(got);
	assert_int_equal(f->closed, 1);
}

static void
half_closed_client_that_goes_is_noticed(void **state)
{
	struct fixture *f = *state;

	say(f, CALL("later", "1") "\n");
	shutdown(f->client, SHUT_WR);
	settle(f);
	assert_int_equal(f->gone, 0);
	hang_up(f);
	settle(f);
	assert_int_equal(f->gone, 1);
	assert_int_equal(f->closed, 1);
}

static void
calls_of_a_vanished_client_are_told(void **state)
{
	struct fixture *f = *state;

	say(f, CALL("later", "1") "\n[" CALL("later", "2") "," CALL("later", "3") "]\n");
	settle(f);
	hang_up(f);
	settle(f);
	assert_int_equal(f->gone, 3);
	assert_int_equal(f->closed, 1);
}

static void
slow_reader_is_dropped_at_the_backlog(void **state)
{
	struct fixture *f = *state;
	static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"big\",\"params\":[1000000]}\n";

	say(f, CALL("later", "0") "\n");
	for (int i = 0; i < 10 && f->conn != NULL; i++) {
		say(f, request);
		turn(f);
	}
	turn(f);
	assert_int_equal(f->closed, 1);
	assert_int_equal(f->gone, 1);
	assert_true(f->requests < 9);
}

static void
reader_that_stalls_is_dropped_in_time(void **state)
{
	struct fixture *f = *state;

	f->owner.stall_s = 1;
	say(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"big\",\"params\":[1000000]}\n");
	while (f->conn != NULL)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(f->closed, 1);
}

static void
calls_are_told_when_the_client_has_read(void **state)
{
	struct fixture *f = *state;

	say(f, CALL("later", "1") "\n");
	turn(f);
	call_notify(f->open[0], "news", text_of(1000000));
	assert_true(call_backlog(f->open[0]) > 0);
	assert_int_equal(f->drained, 0);
	json_decref(next_line(f));
	assert_int_equal(call_backlog(f->open[0]), 0);
	assert_int_equal(f->drained, 1);
}

static void
closing_all_tells_the_calls(void **state)
{
	struct fixture *f = *state;

	say(f, CALL("later", "1") "\n");
	turn(f);
	conn_close_all(&f->owner);
	assert_int_equal(f->gone, 1);
	assert_int_equal(f->closed, 1);
}

static void
client_without_an_identity_is_told_so(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	json_t *line;
	int sv[2];

	/* The kernel notes who makes the pair; nobody but root can be that user here. */
	if (geteuid() != 0)
		skip();
	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	assert_int_equal(seteuid(0), 0);
	close(f->client);
	f->client = sv[1];
	assert_null(conn_new(&f->owner, sv[0], &e));
	assert_int_equal(e.code, ERR_DENIED);
	line = next_line(f);
	assert_true(json_is_null(json_object_get(line, "id")));
	assert_string_equal(json_string_value(json_object_get(json_object_get(line, "error"), "message")), e.msg);
	json_decref(line);
	turn(f);
	assert_true(f->client_eof);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define THREAD(test) cmocka_unit_test_setup_teardown(test, set_up_thread, tear_down)

/* --- lines that take long --------------------------------------------------------------------------------------- */

static struct fixture *of_prepare;

/* What a method would do with long parameters: here, wait until it may go on. Short lines come here too, in the loop. */
static void *
prepare(const void *arg, const struct jsonrpc_request *request, int *fds, int nfds)
{
	(void)fds;
	(void)nfds;
	if (request->params == NULL)
		return NULL;
	sem_post(&of_prepare->begun);
	sem_wait(&of_prepare->go);
	return (void *)(uintptr_t)arg;
}

static void
discard(void *prepared)
{
	assert_ptr_equal(prepared, of_prepare);
	of_prepare->discarded++;
}

static int
set_up_thread(void **state)
{
	struct fixture *f;
	int sv[2];

	if (set_up(state) != 0)
		return -1;
	of_prepare = f = *state;
	sem_init(&f->begun, 0, 0);
	sem_init(&f->go, 0, 0);
	f->owner.methods = (struct intake_methods){prepare, discard, f, 16};
	f->owner.offload = offload_new(f->base, NULL);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0)
		return -1;
	f->second_client = sv[1];
	f->second = conn_new(&f->owner, sv[0], NULL);
	return f->owner.offload != NULL && f->second != NULL ? 0 : -1;
}

/* Sends a request that is long enough for the thread, and waits until it is there. */
static void
say_long(struct fixture *f, const char *behind)
{
	size_t length = 100000;
	char *line = malloc(length + 100);
	int n = snprintf(line, 100, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"big\",\"params\":[7");

	memset(line + n, ' ', length);
	memcpy(line + n + length, "]}\n", 4);
	say(f, line);
	say(f, behind);
	free(line);
	while (sem_trywait(&f->begun) != 0)
		turn(f);
}

static void
expect_at_length(struct fixture *f, const char *text)
{
	while (f->in_length == 0 && !f->client_eof) {
		turn(f);
		fetch(f);
	}
	expect(f, text);
}

#define SEVEN "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"xxxxxxx\"}"

static void
others_are_answered_while_a_long_line_is_taken_in(void **state)
{
	static const char ask[] = CALL("echo", "5") "\n";
	struct fixture *f = *state;
	char got[100] = "";
	ssize_t n = -1;

	say_long(f, CALL("echo", "2") "\n");
	assert_int_equal(send(f->second_client, ask, sizeof(ask) - 1, 0), sizeof(ask) - 1);
	while (n < 0) {
		turn(f);
		n = recv(f->second_client, got, sizeof(got) - 1, MSG_DONTWAIT);
	}
	assert_non_null(strstr(got, "\"id\":5"));
	assert_int_equal(f->requests, 1);
	assert_true(conn_input_total() >= 100000);
	assert_int_equal(conn_unfinished(&f->owner), 1);
	sem_post(&f->go);
	expect_at_length(f, SEVEN);
	expect_at_length(f, NULL_RESULT("2")); /* which came behind it */
	assert_int_equal(conn_input_total(), 0);
	assert_int_equal(f->discarded, 1);
}

static void
client_may_go_while_its_line_is_taken_in(void **state)
{
	struct fixture *f = *state;

	say_long(f, "");
	conn_close(f->conn);
	assert_int_equal(f->closed, 1);
	assert_true(conn_input_total() >= 100000); /* the memory is not free yet */
	sem_post(&f->go);
	while (conn_input_total() > 0)
		turn(f);
	assert_int_equal(f->requests, 0);
	assert_int_equal(f->discarded, 1);
}

/* Refusing it frees nothing yet: that is no reason to refuse the others as well. */
static void
refusal_of_a_line_in_the_thread_hits_no_other(void **state)
{
	struct fixture *f = *state;
	char half[30000], got[200] = "";
	ssize_t n = -1;

	f->owner.input_bytes = 110000;
	memset(half, ' ', sizeof(half));
	say_long(f, "");
	assert_int_equal(send(f->second_client, half, sizeof(half), 0), sizeof(half));
	expect_error(f, -32003, "null");
	assert_int_equal(f->closed, 1);
	assert_int_equal(send(f->second_client, CALL("echo", "5") "\n", strlen(CALL("echo", "5") "\n"), MSG_NOSIGNAL),
	    strlen(CALL("echo", "5") "\n"));
	while (n < 0) {
		turn(f);
		n = recv(f->second_client, got, sizeof(got) - 1, MSG_DONTWAIT);
	}
	assert_non_null(strstr(got, "\"result\":null"));
	sem_post(&f->go);
	while (conn_input_total() > 0)
		turn(f);
}

static void
half_closed_client_gets_the_answer_to_a_long_line(void **state)
{
	struct fixture *f = *state;

	say_long(f, CALL("echo", "2"));
	shutdown(f->client, SHUT_WR);
	turn(f);
	sem_post(&f->go);
	expect_at_length(f, SEVEN);
	expect_at_length(f, NULL_RESULT("2"));
	while (f->closed == 0)
		turn(f);
}

static void
long_line_that_is_not_json_is_answered_by_the_thread(void **state)
{
	struct fixture *f = *state;
	char *line = malloc(100001);

	memset(line, '[', 100000);
	line[99999] = '\n';
	line[100000] = '\0';
	say(f, line);
	free(line);
	while (f->in_length == 0) {
		turn(f);
		fetch(f);
	}
	expect_error(f, -32700, "null");
}

#define BIG(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"big\",\"params\":[1000000]}"

/* The next line, however long it takes; the length of its result, and its id. */
static size_t
next_length(struct fixture *f, json_int_t *id)
{
	json_t *got = NULL;
	size_t length;

	while (got == NULL)
		got = next_line(f);
	*id = json_integer_value(json_object_get(got, "id"));
	length = json_string_length(json_object_get(got, "result"));
	json_decref(got);
	return length;
}

static void
long_answers_come_whole(void **state)
{
	struct fixture *f = *state;
	json_int_t id, sum = 0;

	for (int i = 0; i < 3; i++)
		sem_post(&f->go);
	say(f, BIG("1") "\n" CALL("echo", "2") "\n" BIG("4") "\n");
	for (int i = 0; i < 3; i++) {
		size_t length = next_length(f, &id);

		assert_int_equal(length, id == 2 ? 0 : 1000000);
		sum += id;
	}
	assert_int_equal(sum, 7);
	assert_int_equal(conn_unfinished(&f->owner), 0);
}

static void
long_answers_may_be_text_in_part(void **state)
{
	struct fixture *f = *state;
	json_t *got = NULL;

	sem_post(&f->go);
	say(f, PARTS("1", "1000000") "\n");
	while (got == NULL)
		got = next_line(f);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(got, "result"), "a")), 1);
	assert_int_equal(json_string_length(json_object_get(json_object_get(got, "result"), "text")), 1000000);
	json_decref(got);
	assert_int_equal(conn_unfinished(&f->owner), 0);
}

static void
batch_waits_for_its_long_answer(void **state)
{
	struct fixture *f = *state;
	json_t *got = NULL;

	sem_post(&f->go);
	say(f, "[" CALL("echo", "2") "," BIG("1") "]\n");
	shutdown(f->client, SHUT_WR);
	while (got == NULL)
		got = next_line(f);
	assert_int_equal(json_array_size(got), 2);
	assert_int_equal(json_string_length(json_object_get(json_array_get(got, 1), "result")), 1000000);
	json_decref(got);
	while (f->closed == 0)
		turn(f);
}

static void
client_may_go_while_its_answer_is_made(void **state)
{
	struct fixture *f = *state;

	sem_post(&f->go);
	sem_post(&f->go);
	say(f, BIG("1") "\n[" BIG("2") "]\n");
	while (f->requests < 2)
		turn(f);
	conn_close(f->conn);
	assert_int_equal(f->closed, 1);
}

static void
long_answers_count_as_backlog(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 20 && f->conn != NULL; i++) {
		sem_post(&f->go);
		say(f, BIG("1") "\n");
	}
	while (f->closed == 0)
		turn(f);
	assert_true(f->requests < 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(answers_a_request),
	    T(answers_with_what_is_text_already),
	    T(answers_a_line_that_comes_byte_by_byte),
	    T(answers_lines_that_come_together_in_order),
	    T(refuses_a_line_that_is_too_long_and_closes),
	    T(takes_a_line_of_just_the_limit),
	    T(refuses_when_all_together_have_sent_too_much),
	    T(refused_client_that_goes_is_noticed),
	    T(answers_what_is_no_request_with_a_null_id),
	    T(keeps_silent_about_notifications),
	    T(answers_a_batch_in_one_array),
	    T(answers_a_batch_when_its_last_call_ends),
	    T(refuses_an_empty_batch),
	    T(keeps_silent_about_a_batch_of_notifications),
	    T(takes_the_largest_batch_and_no_larger_one),
	    T(answers_of_a_batch_count_as_backlog),
	    T(descriptors_belong_to_the_line_they_came_with),
	    T(descriptors_wait_for_the_rest_of_their_line),
	    T(descriptors_of_a_batch_belong_to_its_first_request),
	    T(refuses_a_line_with_too_many_descriptors),
	    T(descriptors_piled_up_before_a_line_are_closed),
	    T(a_line_that_completes_another_keeps_its_own_descriptors),
	    T(closes_descriptors_of_a_line_that_never_ends),
	    T(half_closed_client_gets_its_answers),
	    T(half_closed_client_gets_a_large_answer_whole),
	    T(answer_that_begins_after_half_closing_comes_whole),
	    T(half_closed_client_that_goes_is_noticed),
	    T(calls_of_a_vanished_client_are_told),
	    T(slow_reader_is_dropped_at_the_backlog),
	    T(reader_that_stalls_is_dropped_in_time),
	    T(calls_are_told_when_the_client_has_read),
	    T(closing_all_tells_the_calls),
	    T(client_without_an_identity_is_told_so),
	    THREAD(others_are_answered_while_a_long_line_is_taken_in),
	    THREAD(client_may_go_while_its_line_is_taken_in),
	    THREAD(refusal_of_a_line_in_the_thread_hits_no_other),
    THREAD(half_closed_client_gets_the_answer_to_a_long_line),
	    THREAD(long_line_that_is_not_json_is_answered_by_the_thread),
	    THREAD(long_answers_come_whole),
	    THREAD(long_answers_may_be_text_in_part),
	    THREAD(batch_waits_for_its_long_answer),
	    THREAD(client_may_go_while_its_answer_is_made),
	    THREAD(long_answers_count_as_backlog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
