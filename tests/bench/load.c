/*
 * tests/bench/load: measures latencies from outside: of requests to a brigd, or of starting programs. Bench only.
 *
 *   load socket PATH CLIENTS REQUESTS FILE   FILE's line, again and again, each client waiting for its answer
 *   load exec COUNT PROGRAM [ARGUMENT...]    start, wait for its end, with its output thrown away
 *
 * Prints one JSON object: count, failed, seconds, p50_us, p99_us, min_us, max_us; and us: each, the shortest first.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "base/monotonic.h"

#define CLIENTS_MAX 256
#define LINE_MAX    (64 * 1024 * 1024)

struct samples {
	uint64_t *ns;
	size_t count, failed;
	uint64_t began, ended;
};

struct client {
	int fd;
	uint64_t sent_at;
	bool answer_began, failed;
};

static int
by_size(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
report(struct samples *s)
{
	size_t n = s->count;

	qsort(s->ns, n, sizeof(*s->ns), by_size);
	printf("{\"count\": %zu, \"failed\": %zu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"min_us\": %.1f, "
	       "\"max_us\": %.1f, \"us\": [",
	    n, s->failed, (double)(s->ended - s->began) / 1e9, (double)s->ns[n / 2] / 1e3,
	    (double)s->ns[n - 1 - n / 100] / 1e3, (double)s->ns[0] / 1e3, (double)s->ns[n - 1] / 1e3);
	for (size_t i = 0; i < n; i++)
		printf("%s%.1f", i > 0 ? ", " : "", (double)s->ns[i] / 1e3);
	puts("]}");
}

static int
fail(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	return 1;
}

/* --- requests --------------------------------------------------------------------------------------------------- */

static int
connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, path, strlen(path));
	return connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ? fd : -1;
}

static int
send_request(struct client *c, const uint8_t *line, size_t length)
{
	struct err e = {0};

	c->sent_at = monotonic_ns();
	c->answer_began = false;
	return io_write_all(c->fd, line, length, &e);
}

/* Reads what is there; 1 when the answer is complete, 0 when more is to come, -1 at the end of the connection. */
static int
read_answer(struct client *c)
{
	char buffer[65536];
	ssize_t n = read(c->fd, buffer, sizeof(buffer));

	if (n <= 0)
		return -1;
	if (!c->answer_began) {
		c->answer_began = true;
		c->failed = memmem(buffer, (size_t)n, "\"error\"", 7) != NULL ||
		    memmem(buffer, (size_t)n, "\"exited\"", 8) == NULL;
	}
	return buffer[n - 1] == '\n';
}

static int
serve(struct client *clients, size_t count, const uint8_t *line, size_t length, size_t requests, struct samples *s)
{
	struct pollfd ready[CLIENTS_MAX];
	size_t started = 0;

	s->began = monotonic_ns();
	for (size_t i = 0; i < count && started < requests; i++, started++)
		if (send_request(&clients[i], line, length) != 0)
			return fail("send");
	while (s->count < requests) {
		for (size_t i = 0; i < count; i++)
			ready[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
		if (poll(ready, count, -1) < 0)
			return fail("poll");
		for (size_t i = 0; i < count; i++) {
			int done = ready[i].revents != 0 ? read_answer(&clients[i]) : 0;

			if (done < 0)
				return fail("brigd closed the connection");
			if (done == 0)
				continue;
			s->ns[s->count++] = monotonic_ns() - clients[i].sent_at;
			s->failed += clients[i].failed;
			if (started < requests && ++started && send_request(&clients[i], line, length) != 0)
				return fail("send");
		}
	}
	s->ended = monotonic_ns();
	return 0;
}

static int
measure_socket(int argc, char **argv)
{
	struct client clients[CLIENTS_MAX] = {0};
	struct samples s = {0};
	struct err e = {0};
	uint8_t *line;
	size_t length, count, requests;

	if (argc != 6)
		return 2;
	count = strtoul(argv[3], NULL, 10);
	requests = strtoul(argv[4], NULL, 10);
	if (count == 0 || count > CLIENTS_MAX || requests == 0 || (s.ns = calloc(requests, sizeof(*s.ns))) == NULL)
		return 2;
	if (io_read_file(argv[5], LINE_MAX, &line, &length, &e) != 0) {
		fprintf(stderr, "load: %s\n", e.msg);
		return 1;
	}
	for (size_t i = 0; i < count; i++)
		if ((clients[i].fd = connect_to(argv[2])) < 0)
			return fail(argv[2]);
	if (serve(clients, count, line, length, requests, &s) != 0)
		return 1;
	report(&s);
	return 0;
}

/* --- programs --------------------------------------------------------------------------------------------------- */

static int
measure_exec(int argc, char **argv)
{
	posix_spawn_file_actions_t actions;
	struct samples s = {0};
	size_t count = argc > 3 ? strtoul(argv[2], NULL, 10) : 0;

	if (count == 0 || (s.ns = calloc(count, sizeof(*s.ns))) == NULL)
		return 2;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	s.began = monotonic_ns();
	for (; s.count < count; s.count++) {
		uint64_t began = monotonic_ns();
		int status = 0;
		pid_t pid;

		errno = posix_spawnp(&pid, argv[3], &actions, NULL, argv + 3, environ);
		if (errno != 0 || waitpid(pid, &status, 0) != pid)
			return fail(argv[3]);
		s.ns[s.count] = monotonic_ns() - began;
		s.failed += status != 0;
	}
	s.ended = monotonic_ns();
	report(&s);
	return 0;
}

int
main(int argc, char **argv)
{
	int rc = 2;

	if (argc > 1 && strcmp(argv[1], "socket") == 0)
		rc = measure_socket(argc, argv);
	else if (argc > 1 && strcmp(argv[1], "exec") == 0)
		rc = measure_exec(argc, argv);
	if (rc == 2)
		fprintf(stderr, "usage: load socket PATH CLIENTS REQUESTS FILE | load exec COUNT PROGRAM [ARGUMENT...]\n");
	return rc;
}
