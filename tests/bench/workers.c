/*
 * tests/bench/workers: how many runs a second launcher, zygotes and workers do, with no brigd, client or log. Bench only.
 *
 *   workers LIBEXEC MODULE.wasm START IN_FLIGHT RUNS [ZYGOTES]   START: cached, template or parked, as in `usage.start`
 *
 * Starts LIBEXEC/brig-launcher, as brigd does, has the module compiled in a jail, and has zygotes (1) run it: IN_FLIGHT at a
 * time, the next one when a run's process was reaped. Each must print something and exit with 0. Prints one JSON object:
 * count, failed, seconds, rate, p50_us (from its order, or its job if it is parked, to the report of its end), and
 * driver_us, this program's own processor time for each.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/imsg.h"
#include "base/io.h"
#include "base/memfd.h"
#include "base/monotonic.h"
#include "base/proto.h"

#define FLIGHT_MAX  256
#define ZYGOTES_MAX 16
#define MODULE_MAX  (256 * 1024 * 1024)
#define UID_BASE    "1900200000" /* of ids for its children, when it is root */
#define LIMIT_MS    60000
#define MEMORY      (256 * 1024 * 1024)
#define TABLE       10000
#define DATA        (MEMORY + 16 * TABLE + 128 * 1024 * 1024)

enum start { CACHED, TEMPLATE, PARKED };

/* A place for one run after the other. Number `run % in_flight` is its index. */
struct slot {
	uint64_t run;      /* 0: it is free */
	int job;           /* our end of its worker's socket */
	bool parked;       /* its worker has said so */
	bool printed, exited_well, has_result, is_reaped;
	uint64_t ordered_at;
};

struct workers {
	enum start start;
	int launcher, artifact;
	pid_t launcher_pid;
	int zygotes[ZYGOTES_MAX];
	size_t zygote_count, in_flight;
	struct slot slots[FLIGHT_MAX];
	uint64_t next_run, wanted, ordered, done, failed;
	uint64_t *ns;
};

static struct imsg in;

/* --- processes -------------------------------------------------------------------------------------------------- */

static void
exec_launcher(const char *libexec, int sock)
{
	char launcher[4096], worker[4096], compiler[4096];

	snprintf(launcher, sizeof(launcher), "%s/brig-launcher", libexec);
	snprintf(worker, sizeof(worker), "%s/brig-worker", libexec);
	snprintf(compiler, sizeof(compiler), "%s/brig-compiler", libexec);
	if ((sock == PROTO_SOCKET_FD ? fcntl(sock, F_SETFD, 0) : dup2(sock, PROTO_SOCKET_FD)) >= 0)
		execl(launcher, launcher, "--worker", worker, "--compiler", compiler, geteuid() == 0 ? "--uid-base" : NULL, UID_BASE,
		    (char *)NULL);
	perror(launcher);
	_exit(127);
}

/* The next message on a socket, which has to be of that type. */
static int
expect(int sock, uint32_t type, struct err *e)
{
	int rc = imsg_recv(sock, &in, e);

	if (rc != 0)
		return rc;
	if (in.hdr.type == PROTO_FAILED || in.hdr.type == PROTO_SPAWN_FAILED)
		return err_set(e, ERR_IO, "%.*s", (int)in.hdr.length, (const char *)in.payload);
	return in.hdr.type == type ? 0 : err_set(e, ERR_PROTOCOL, "message %u in place of %u", in.hdr.type, type);
}

static int
start_launcher(struct workers *w, const char *libexec, struct err *e)
{
	int sv[2], rc = imsg_pair(sv, e);

	if (rc != 0)
		return rc;
	if ((w->launcher_pid = fork()) == 0)
		exec_launcher(libexec, sv[1]);
	close(sv[1]);
	w->launcher = sv[0];
	return expect(w->launcher, PROTO_READY, e);
}

/* Starts a zygote or compiler; *sock: our end of its socket, after it said that it is ready. */
static int
spawn(struct workers *w, enum proto_kind kind, int *sock, struct err *e)
{
	const struct proto_spawn spawn = {.kind = kind, .engine = PROTO_ENGINE_PLAIN, .cpu_ms = LIMIT_MS,
	    .memory_bytes = (uint64_t)4 << 30};
	int sv[2], rc = imsg_pair(sv, e);

	if (rc != 0)
		return rc;
	rc = imsg_send(w->launcher, PROTO_SPAWN, 1 + w->zygote_count, &spawn, sizeof(spawn), &sv[1], 1, e);
	close(sv[1]);
	if (rc == 0 && (rc = expect(w->launcher, PROTO_SPAWNED, e)) == 0)
		rc = expect(sv[0], PROTO_READY, e);
	*sock = sv[0];
	return rc;
}

static int
compile(struct workers *w, const char *path, struct err *e)
{
	struct proto_compile job = {.engine = PROTO_ENGINE_PLAIN};
	int compiler, fds[2], rc;
	uint8_t *module;
	size_t size;

	if ((rc = io_read_file(path, MODULE_MAX, &module, &size, e)) != 0)
		return rc;
	job.size = size;
	fds[0] = memfd_from("module", module, size, e);
	fds[1] = w->artifact = memfd_new("artifact", e);
	free(module);
	if (fds[0] < 0 || fds[1] < 0)
		return e->code;
	if ((rc = spawn(w, PROTO_KIND_COMPILER, &compiler, e)) == 0 &&
	    (rc = imsg_send(compiler, PROTO_COMPILE, 0, &job, sizeof(job), fds, 2, e)) == 0 &&
	    (rc = expect(compiler, PROTO_COMPILED, e)) == 0)
		rc = expect(w->launcher, PROTO_CHILD_EXITED, e);
	close(fds[0]);
	close(compiler);
	return rc;
}

static int
start_zygote(struct workers *w, struct err *e)
{
	int *sock = &w->zygotes[w->zygote_count], rc = spawn(w, PROTO_KIND_ZYGOTE, sock, e);

	w->zygote_count++;
	if (rc == 0 && w->start != CACHED && (rc = imsg_send(*sock, PROTO_LOAD, 0, NULL, 0, &w->artifact, 1, e)) == 0)
		rc = expect(*sock, PROTO_LOADED, e);
	return rc;
}

/* --- runs ------------------------------------------------------------------------------------------------------- */

static int
zygote_of(const struct workers *w, const struct slot *s)
{
	return w->zygotes[(size_t)(s - w->slots) % w->zygote_count];
}

static int
send_job(struct workers *w, struct slot *s, struct err *e)
{
	bool loaded = w->start != CACHED;
	const struct proto_job job = {
	    .flags = loaded ? PROTO_JOB_LOADED : 0,
	    .engine = PROTO_ENGINE_PLAIN,
	    .clock = PROTO_CLOCK_REAL,
	    .random = PROTO_RANDOM_REAL,
	    .wall_ms = LIMIT_MS,
	    .cpu_ms = LIMIT_MS,
	    .memory_bytes = MEMORY,
	    .output_bytes = 1 << 20,
	    .host_calls = 1 << 20,
	    .table_elements = TABLE,
	    .open_files = 64,
	};

	return imsg_send(s->job, PROTO_JOB, s->run, &job, sizeof(job), &w->artifact, loaded ? 0 : 1, e);
}

/* Has a worker forked, with its job or to wait for it. */
static int
order(struct workers *w, struct slot *s, struct err *e)
{
	const struct proto_run run = {.wall_ms = LIMIT_MS, .cpu_ms = LIMIT_MS, .data_bytes = DATA};
	const struct proto_park park = {
	    .cpu_ms = LIMIT_MS, .data_bytes = DATA, .memory_bytes = MEMORY, .table_elements = TABLE};
	int sv[2], rc = imsg_pair(sv, e);

	if (rc != 0)
		return rc;
	*s = (struct slot){.run = w->next_run++ * w->in_flight + (uint64_t)(s - w->slots), .job = sv[0],
	    .ordered_at = monotonic_ns()};
	w->ordered++;
	if (w->start == PARKED)
		rc = imsg_send(zygote_of(w, s), PROTO_PARK, s->run, &park, sizeof(park), &sv[1], 1, e);
	else if ((rc = send_job(w, s, e)) == 0)
		rc = imsg_send(zygote_of(w, s), PROTO_RUN, s->run, &run, sizeof(run), &sv[1], 1, e);
	close(sv[1]);
	return rc;
}

/* Gives its job to a worker that waits. */
static int
take(struct workers *w, struct slot *s, struct err *e)
{
	const struct proto_take take = {.wall_ms = LIMIT_MS};
	int rc;

	s->parked = true;
	s->ordered_at = monotonic_ns();
	rc = imsg_send(zygote_of(w, s), PROTO_TAKE, s->run, &take, sizeof(take), NULL, 0, e);
	return rc != 0 ? rc : send_job(w, s, e);
}

/* The run is over when its result is there and its process is not. */
static int
finish(struct workers *w, struct slot *s, struct err *e)
{
	if (!s->has_result || !s->is_reaped)
		return 0;
	w->ns[w->done++] = monotonic_ns() - s->ordered_at;
	w->failed += !s->printed || !s->exited_well;
	close(s->job);
	s->run = 0;
	s->job = -1;
	return w->ordered < w->wanted ? order(w, s, e) : 0;
}

static int
worker_said(struct workers *w, struct slot *s, struct err *e)
{
	struct proto_result result;
	int rc = imsg_recv(s->job, &in, e);

	if (rc != 0)
		return err_context(e, "a worker");
	if (in.hdr.type == PROTO_PARKED && w->start == PARKED && !s->parked)
		return take(w, s, e);
	if (in.hdr.type == PROTO_OUTPUT) {
		s->printed = true;
		return 0;
	}
	if (in.hdr.type != PROTO_RESULT || in.hdr.length < sizeof(result))
		return err_set(e, ERR_PROTOCOL, "a worker sent message %u: %.*s", in.hdr.type, (int)in.hdr.length,
		    in.hdr.type == PROTO_FAILED ? (const char *)in.payload : "");
	memcpy(&result, in.payload, sizeof(result));
	s->exited_well = result.status == PROTO_STATUS_EXITED && result.exit_code == 0;
	s->has_result = true;
	return finish(w, s, e);
}

static int
zygote_said(struct workers *w, int sock, struct err *e)
{
	int rc = expect(sock, PROTO_RUN_EXITED, e);
	struct slot *s;
	uint64_t run;

	if (rc != 0)
		return err_context(e, "a zygote");
	run = in.hdr.run;
	s = &w->slots[run % w->in_flight];
	if (run != s->run || s->is_reaped)
		return err_set(e, ERR_PROTOCOL, "a zygote spoke of run %ju, which is none", (uintmax_t)run);
	s->is_reaped = true;
	if (s->has_result)
		return finish(w, s, e);
	while (rc == 0 && s->run == run) /* what it said before its end waits there */
		rc = worker_said(w, s, e);
	return rc;
}

static int
run_all(struct workers *w, struct err *e)
{
	struct pollfd polled[FLIGHT_MAX + ZYGOTES_MAX];
	size_t count = w->in_flight + w->zygote_count;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < w->in_flight && w->ordered < w->wanted; i++)
		rc = order(w, &w->slots[i], e);
	while (rc == 0 && w->done < w->wanted) {
		for (size_t i = 0; i < count; i++)
			polled[i] = (struct pollfd){.events = POLLIN,
			    .fd = i >= w->in_flight ? w->zygotes[i - w->in_flight] : w->slots[i].has_result ? -1 : w->slots[i].job};
		if (poll(polled, count, -1) < 0)
			return err_sys(e, ERR_IO, "poll");
		for (size_t i = 0; rc == 0 && i < count; i++) {
			if (polled[i].revents == 0)
				continue;
			if (i >= w->in_flight)
				rc = zygote_said(w, polled[i].fd, e);
			else
				rc = worker_said(w, &w->slots[i], e);
		}
	}
	return rc;
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

static int
by_size(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t
own_cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static int
measure(struct workers *w, struct err *e)
{
	uint64_t cpu = own_cpu_us(), began = monotonic_ns();
	double seconds;
	int rc = run_all(w, e);

	if (rc != 0)
		return rc;
	seconds = (double)(monotonic_ns() - began) / 1e9;
	cpu = own_cpu_us() - cpu;
	qsort(w->ns, w->done, sizeof(*w->ns), by_size);
	printf("{\"count\": %ju, \"failed\": %ju, \"seconds\": %.6f, \"rate\": %.1f, \"p50_us\": %.1f, \"driver_us\": %.1f}\n",
	    (uintmax_t)w->done, (uintmax_t)w->failed, seconds, (double)w->done / seconds, (double)w->ns[w->done / 2] / 1e3,
	    (double)cpu / (double)w->done);
	return 0;
}

static bool
parse(struct workers *w, int argc, char **argv)
{
	static const char *const starts[] = {"cached", "template", "parked"};
	size_t start = 0, zygotes = argc == 7 ? strtoul(argv[6], NULL, 10) : 1;

	if (argc != 6 && argc != 7)
		return false;
	while (start < 3 && strcmp(argv[3], starts[start]) != 0)
		start++;
	w->start = (enum start)start;
	w->in_flight = strtoul(argv[4], NULL, 10);
	w->wanted = strtoul(argv[5], NULL, 10);
	w->next_run = 1;
	if (start == 3 || w->in_flight == 0 || w->in_flight > FLIGHT_MAX || zygotes == 0 || zygotes > ZYGOTES_MAX)
		return false;
	w->ns = w->wanted > 0 ? calloc(w->wanted, sizeof(*w->ns)) : NULL;
	return w->ns != NULL;
}

int
main(int argc, char **argv)
{
	static struct workers w;
	size_t zygotes = argc == 7 ? strtoul(argv[6], NULL, 10) : 1;
	struct err e = {0};
	int rc;

	if (!parse(&w, argc, argv)) {
		fprintf(stderr, "usage: workers LIBEXEC MODULE.wasm cached|template|parked IN_FLIGHT RUNS [ZYGOTES]\n");
		return 2;
	}
	if ((rc = start_launcher(&w, argv[1], &e)) == 0)
		rc = compile(&w, argv[2], &e);
	while (rc == 0 && w.zygote_count < zygotes)
		rc = start_zygote(&w, &e);
	if (rc == 0)
		rc = measure(&w, &e);
	if (rc != 0)
		fprintf(stderr, "workers: %s\n", e.msg);
	close(w.launcher); /* which ends the launcher, and all others with it */
	waitpid(w.launcher_pid, NULL, 0);
	return rc == 0 && w.failed == 0 ? 0 : 1;
}
