/* test_libbrig: the client library against the other end of a socket, which the tests hold. Unit test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/c/libbrig.h"

/* A connection and the server's end of it. */
struct ends {
	struct brig *b;
	int server;
};

static struct ends
ends_new(void)
{
	struct ends p;
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	p.b = brig_adopt(sv[0]);
	p.server = sv[1];
	assert_non_null(p.b);
	return p;
}

static void
ends_free(struct ends p)
{
	brig_close(p.b);
	if (p.server >= 0)
		close(p.server);
}

static void
say(struct ends p, const char *text)
{
	assert_int_equal(write(p.server, text, strlen(text)), strlen(text));
}

/* One recvmsg: its bytes, NUL-terminated, and how many descriptors came with them (closed again). */
static int
hear(struct ends p, char *text, size_t size)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * 8)];
	} control;
	struct iovec iov = {.iov_base = text, .iov_len = size - 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(p.server, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c;
	int count = 0;

	assert_true(n >= 0);
	text[n] = '\0';
	for (c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
		int fds[8];

		count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), sizeof(int) * (size_t)count);
		for (int i = 0; i < count; i++)
			close(fds[i]);
	}
	return count;
}

/* The kernel may hand over what came before in the same recvmsg, but nothing behind: they belong to its last line. */
static void
descriptors_travel_with_the_end_of_their_own_line(void **state)
{
	static const char with[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"with\",\"params\":{}}\n";
	struct ends p = ends_new();
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), fds[2] = {null, null};
	char text[1000];
	json_int_t id = 0;
	struct err e;

	(void)state;
	assert_int_equal(brig_notify(p.b, "before", json_object(), &e), 0);
	assert_int_equal(brig_request(p.b, "with", json_object(), fds, 2, &id, &e), 0);
	assert_int_equal(brig_notify(p.b, "after", json_object(), &e), 0);
	close(null); /* only borrowed: the library keeps its own */
	assert_int_equal(brig_flush(p.b, &e), 0);
	if (hear(p, text, sizeof(text)) == 0)
		assert_int_equal(hear(p, text, sizeof(text)), 2);
	assert_true(strlen(text) >= strlen(with));
	assert_string_equal(text + strlen(text) - strlen(with), with);
	assert_int_equal(hear(p, text, sizeof(text)), 0);
	assert_string_equal(text, "{\"jsonrpc\":\"2.0\",\"method\":\"after\",\"params\":{}}\n");
	assert_int_equal(id, 1);
	ends_free(p);
}

static void
lines_may_arrive_in_any_pieces(void **state)
{
	static const char two[] = "{\"a\":\"x\"}\n{\"b\":2}\n";
	struct err e;

	(void)state;
	for (size_t cut = 0; cut < sizeof(two) - 1; cut++) {
		struct ends p = ends_new();
		json_t *first = NULL, *second = NULL;

		if (cut > 0)
			assert_int_equal(write(p.server, two, cut), cut);
		if (cut < 10)
			assert_int_equal(brig_receive(p.b, &first, &e), ERR_AGAIN);
		else
			assert_int_equal(brig_receive(p.b, &first, &e), 0);
		say(p, two + cut);
		if (first == NULL)
			assert_int_equal(brig_receive(p.b, &first, &e), 0);
		assert_int_equal(brig_receive(p.b, &second, &e), 0);
		assert_string_equal(json_string_value(json_object_get(first, "a")), "x");
		assert_int_equal(json_integer_value(json_object_get(second, "b")), 2);
		json_decref(first);
		json_decref(second);
		ends_free(p);
	}
}

static void
refuses_lines_that_are_no_json_object(void **state)
{
	static const char *const lines[] = {"\n", "[]\n", "{\n", "{\"a\":1,\"a\":2}\n", "{} {}\n", "\xff\n"};
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct ends p = ends_new();
		json_t *message = NULL;

		say(p, lines[i]);
		assert_int_equal(brig_receive(p.b, &message, &e), ERR_PROTOCOL);
		assert_null(message);
		ends_free(p);
	}
}

static void
sees_that_the_server_closed(void **state)
{
	struct ends p = ends_new();
	json_t *message = NULL;
	struct err e;

	(void)state;
	say(p, "{\"half\":");
	close(p.server);
	p.server = -1;
	assert_int_equal(brig_receive(p.b, &message, &e), ERR_EOF);
	assert_int_equal(brig_notify(p.b, "x", json_object(), &e), 0);
	assert_int_equal(brig_flush(p.b, &e), ERR_EOF);
	ends_free(p);
}

/* As when it refuses a client: the reason must arrive, although our request was not read. */
static void
hears_what_the_server_said_before_it_closed_on_us(void **state)
{
	struct ends p = ends_new();
	json_t *message = NULL;
	struct err e;

	(void)state;
	assert_int_equal(brig_notify(p.b, "unread", json_object(), &e), 0);
	assert_int_equal(brig_flush(p.b, &e), 0);
	say(p, "{\"why\":\"full\"}\n");
	close(p.server);
	p.server = -1;
	assert_int_equal(brig_receive(p.b, &message, &e), 0);
	assert_string_equal(json_string_value(json_object_get(message, "why")), "full");
	json_decref(message);
	assert_int_equal(brig_receive(p.b, &message, &e), ERR_EOF);
	ends_free(p);
}

/* A line larger than any socket buffer leaves in pieces, whole, and never blocks. */
static void
a_long_line_leaves_as_the_server_reads(void **state)
{
	struct ends p = ends_new();
	size_t length = 4 * 1024 * 1024, seen = 0;
	char *text = malloc(length + 1), *heard = malloc(length + 1000);
	char last = '\0';
	struct err e;
	int rc;

	(void)state;
	memset(text, 'x', length);
	text[length] = '\0';
	assert_int_equal(brig_notify(p.b, "long", json_pack("{s:s}", "text", text), &e), 0);
	assert_int_equal(brig_flush(p.b, &e), ERR_AGAIN);
	assert_int_equal(brig_events(p.b), POLLIN | POLLOUT);
	do {
		ssize_t n = read(p.server, heard, length + 1000);

		assert_true(n > 0);
		seen += (size_t)n;
		last = heard[n - 1];
		rc = brig_flush(p.b, &e);
		assert_true(rc == 0 || rc == ERR_AGAIN);
	} while (last != '\n');
	assert_int_equal(rc, 0);
	assert_int_equal(seen, length + strlen("{\"jsonrpc\":\"2.0\",\"method\":\"long\",\"params\":{\"text\":\"\"}}\n"));
	assert_int_equal(brig_events(p.b), POLLIN);
	free(text);
	free(heard);
	ends_free(p);
}

static void
call_waits_for_its_own_answer(void **state)
{
	struct ends p = ends_new();
	struct brig_error error;
	json_t *result = NULL;
	struct err e;

	(void)state;
	say(p, "{\"jsonrpc\":\"2.0\",\"method\":\"note\",\"params\":{}}\n{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":7}\n"
	    "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":8}\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"ok\":true}}\n");
	assert_int_equal(brig_call(p.b, "m", json_object(), NULL, 0, &result, &error, &e), 0);
	assert_true(json_is_true(json_object_get(result, "ok")));
	json_decref(result);
	ends_free(p);
}

static void
call_gives_the_servers_error(void **state)
{
	struct ends p = ends_new();
	struct brig_error error;
	json_t *result = NULL;
	struct err e;

	(void)state;
	say(p, "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32020,\"message\":\"not signed\","
	    "\"data\":{\"name\":\"unsigned_module\",\"advice\":\"sign it\"}}}\n");
	assert_int_equal(brig_call(p.b, "m", json_object(), NULL, 0, &result, &error, &e), ERR_DENIED);
	assert_int_equal(error.code, -32020);
	assert_string_equal(error.name, "unsigned_module");
	assert_string_equal(error.message, "not signed");
	assert_string_equal(error.advice, "sign it");
	say(p, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"Parse error\"}}\n");
	assert_int_equal(brig_call(p.b, "m", json_object(), NULL, 0, &result, &error, &e), ERR_DENIED);
	assert_int_equal(error.code, -32700);
	say(p, "{\"jsonrpc\":\"2.0\",\"id\":3}\n");
	assert_int_equal(brig_call(p.b, "m", json_object(), NULL, 0, &result, &error, &e), ERR_PROTOCOL);
	assert_int_equal(error.code, 0);
	assert_null(result);
	ends_free(p);
}

static void
parameters_that_are_not_utf8_are_refused(void **state)
{
	struct ends p = ends_new();
	json_int_t id;
	struct err e;

	(void)state;
	assert_int_equal(brig_request(p.b, "m", json_pack("{s:s}", "a", "\xff"), NULL, 0, &id, &e), ERR_INVAL);
	assert_int_equal(brig_events(p.b), POLLIN);
	ends_free(p);
}

static void
bytes_come_back_from_text_and_base64(void **state)
{
	json_t *text = json_stringn("a\0b", 3), *base64 = brig_base64("\xff\0\x01", 3), *bad = json_string("YQ=");
	uint8_t *data = NULL;
	size_t length = 0;
	struct err e;

	(void)state;
	assert_int_equal(brig_data(text, NULL, &data, &length, &e), 0);
	assert_int_equal(length, 3);
	assert_memory_equal(data, "a\0b", 3);
	free(data);
	assert_int_equal(brig_data(base64, NULL, &data, &length, &e), 0);
	assert_int_equal(length, 3);
	assert_memory_equal(data, "\xff\0\x01", 3);
	free(data);
	assert_int_equal(brig_data(json_object_get(base64, "base64"), "base64", &data, &length, &e), 0);
	free(data);
	assert_int_equal(brig_data(bad, "base64", &data, &length, &e), ERR_PROTOCOL);
	assert_int_equal(brig_data(NULL, NULL, &data, &length, &e), ERR_PROTOCOL);
	json_decref(text);
	json_decref(base64);
	json_decref(bad);
}

/* --- connecting ----------------------------------------------------------------------------------------------- */

/* A process of user `uid` that listens at `path` until it is killed. Returns when it does. */
static pid_t
listener(const char *path, uid_t uid)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int ready[2];
	char byte;
	pid_t pid;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		int sock = socket(AF_UNIX, SOCK_STREAM, 0);

		if (uid != getuid() && setresuid(uid, uid, uid) != 0)
			_exit(1);
		if (bind(sock, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(sock, 5) != 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void
end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void
connects_to_a_server_of_ones_own(void **state)
{
	char dir[] = "/tmp/brig-test-XXXXXX", path[64];
	struct brig *b = NULL;
	struct err e;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	assert_int_equal(brig_connect(path, &b, &e), ERR_NOTFOUND);
	assert_null(b);
	pid = listener(path, getuid());
	assert_int_equal(brig_connect(path, &b, &e), 0);
	assert_string_equal(brig_path(b), path);
	brig_close(b);
	setenv("BRIG_SOCKET", path, 1);
	assert_int_equal(brig_connect(NULL, &b, &e), 0);
	brig_close(b);
	unsetenv("BRIG_SOCKET");
	end(pid);
	assert_int_equal(brig_connect(path, &b, &e), ERR_NOTFOUND);
	unlink(path);
	rmdir(dir);
}

/* Anyone may make a socket in /tmp. Who gets a directory from root is trusted with it. */
static void
refuses_a_server_of_another_user_unless_root_gave_it_the_place(void **state)
{
	char dir[] = "/tmp/brig-test-XXXXXX", path[64];
	struct brig *b = NULL;
	struct err e;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	assert_int_equal(chmod(dir, 0777), 0);
	pid = listener(path, 12345);
	assert_int_equal(brig_connect(path, &b, &e), ERR_DENIED);
	assert_non_null(strstr(e.msg, "user id 12345"));
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(brig_connect(path, &b, &e), 0);
	brig_close(b);
	assert_int_equal(chown(dir, 12345, 12345), 0); /* below /tmp, where anyone could have made it */
	assert_int_equal(brig_connect(path, &b, &e), ERR_DENIED);
	end(pid);
	unlink(path);
	rmdir(dir);
}

static void
paths_too_long_for_a_socket_are_refused(void **state)
{
	char path[200], found[BRIG_PATH_MAX] = "untouched";
	struct brig *b = NULL;
	struct err e;

	(void)state;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(brig_connect(path, &b, &e), ERR_INVAL);
	unsetenv("XDG_RUNTIME_DIR");
	setenv("XDG_STATE_HOME", path, 1);
	assert_int_equal(brig_socket_private(found, &e), ERR_INVAL);
	unsetenv("XDG_STATE_HOME");
	setenv("HOME", "/home/u", 1);
	assert_int_equal(brig_socket_private(found, &e), 0);
	assert_string_equal(found, "/home/u/.local/state/brig/run/brigd.sock");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(descriptors_travel_with_the_end_of_their_own_line),
	    cmocka_unit_test(lines_may_arrive_in_any_pieces),
	    cmocka_unit_test(refuses_lines_that_are_no_json_object),
	    cmocka_unit_test(sees_that_the_server_closed),
	    cmocka_unit_test(hears_what_the_server_said_before_it_closed_on_us),
	    cmocka_unit_test(a_long_line_leaves_as_the_server_reads),
	    cmocka_unit_test(call_waits_for_its_own_answer),
	    cmocka_unit_test(call_gives_the_servers_error),
	    cmocka_unit_test(parameters_that_are_not_utf8_are_refused),
	    cmocka_unit_test(bytes_come_back_from_text_and_base64),
	    cmocka_unit_test(connects_to_a_server_of_ones_own),
	    cmocka_unit_test(refuses_a_server_of_another_user_unless_root_gave_it_the_place),
	    cmocka_unit_test(paths_too_long_for_a_socket_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
