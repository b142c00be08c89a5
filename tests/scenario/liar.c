/*
 * tests/scenario/liar: stands in for one of brigd's processes, and lies to brigd as the test tells it to.
 *
 * As launcher, store or logger it starts the real one (its own path, and ".real"), passes on what it and brigd say to
 * each other, and says something else where the file "lies", beside it, has it so. Test only.
 *
 * It does what a zygote does (READY, fork for each RUN, RUN_EXITED), without jail or engine. Its "guests" do what the
 * arguments of the job say, one after the other, as the tables below have it; test_liar.py writes them. Test only.
 *
 * While there is a file "parked" beside it, it is a template, too (LOADED, PARK, TAKE): what a parked worker does is in
 * that file, one act a line; "job" is to wait for the job and do what it says.
 */

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/imsg.h"
#include "base/memfd.h"
#include "base/proto.h"

static struct imsg in;
static uint8_t bytes[IMSG_PAYLOAD_MAX];

/* What zygotes do from now on, when a worker told theirs to. Shared by one zygote and its workers. */
enum order { SERVE, DIE, HANG, IGNORE_RUNS, EXIT_AT_RUN, DIE_AT_RUN, HANG_AT_RUN, CANNOT_FORK, EXIT_AT_TAKE, HANG_AT_TAKE };
static volatile enum order *order;
static volatile int *firsts; /* shared too */

/* Who lies: its socket, and the run or token that its peer knows. */
struct scene {
	int sock;
	uint64_t run;
};

/* --- saying ----------------------------------------------------------------------------------------------------- */

/* Reads two hexadecimal digits a byte into `bytes`. Returns how many there are. */
static size_t
from_hex(const char *text)
{
	size_t n = 0;

	for (unsigned byte; n < sizeof(bytes) && sscanf(text + 2 * n, "%2x", &byte) == 1; n++)
		bytes[n] = (uint8_t)byte;
	return n;
}

/* TYPE DELTA DESCRIPTORS HEX: a message about the run that is DELTA away from this one. */
static int
say(const struct scene *s, const char *rest)
{
	int fds[IMSG_FDS_MAX];
	unsigned type;
	long long delta;
	int nfds, at = 0;
	size_t n;

	if (sscanf(rest, "%u %lld %d %n", &type, &delta, &nfds, &at) < 3)
		_exit(99);
	n = from_hex(rest + at);
	for (int i = 0; i < IMSG_FDS_MAX; i++)
		fds[i] = STDERR_FILENO;
	return imsg_send(s->sock, type, s->run + (uint64_t)delta, bytes, n, fds, nfds, NULL);
}

static void
do_say(const struct scene *s, const char *rest)
{
	say(s, rest);
}

static void
do_flood(const struct scene *s, const char *rest)
{
	while (say(s, rest) == 0)
		continue;
}

/* TYPE LENGTH HEX: a header that says LENGTH, and the bytes. */
static void
do_cut(const struct scene *s, const char *rest)
{
	struct imsg_hdr hdr = {.run = s->run};
	uint8_t packet[sizeof(hdr) + 256];
	int at = 0;
	size_t n;

	if (sscanf(rest, "%u %u %n", &hdr.type, &hdr.length, &at) < 2)
		_exit(99);
	n = from_hex(rest + at);
	memcpy(packet, &hdr, sizeof(hdr));
	memcpy(packet + sizeof(hdr), bytes, n);
	if (write(s->sock, packet, sizeof(hdr) + n) < 0)
		_exit(99);
}

/* SIZE SEALED TYPE HEX: a message with a memory file of so many bytes. */
static void
do_memfd(const struct scene *s, const char *rest)
{
	unsigned type;
	int sealed, fd, at = 0;
	size_t size, n;

	if (sscanf(rest, "%zu %d %u %n", &size, &sealed, &type, &at) < 3 || (fd = memfd_new("lie", NULL)) < 0 ||
	    ftruncate(fd, (off_t)size) != 0 || (sealed && memfd_seal(fd, NULL) != 0))
		_exit(99);
	n = from_hex(rest + at);
	imsg_send(s->sock, type, s->run, bytes, n, &fd, 1, NULL);
	close(fd);
}

/* HEX: a packet of just these bytes. */
static void
do_raw(const struct scene *s, const char *rest)
{
	if (write(s->sock, bytes, from_hex(rest)) < 0)
		_exit(99);
}

/* --- other ways ------------------------------------------------------------------------------------------------- */

static void
do_pause(const struct scene *s, const char *rest)
{
	(void)s;
	(void)rest;
	for (;;)
		poll(NULL, 0, -1); /* the launcher's filter allows it, and not pause(2) */
}

/* Says nothing more, until the other side is gone. */
static void
do_silent(const struct scene *s, const char *rest)
{
	struct pollfd p = {.fd = s->sock};

	(void)rest;
	poll(&p, 1, -1);
	_exit(0);
}

static void
do_exit(const struct scene *s, const char *rest)
{
	(void)s;
	_exit(atoi(rest));
}

static void
do_abort(const struct scene *s, const char *rest)
{
	(void)s;
	(void)rest;
	abort();
}

static void
do_close(const struct scene *s, const char *rest)
{
	(void)rest;
	close(s->sock);
}

/* Leaves somebody behind who keeps the socket open, but not for ever. */
static void
do_hold(const struct scene *s, const char *rest)
{
	(void)s;
	(void)rest;
	if (fork() == 0) {
		poll(NULL, 0, 1000);
		_exit(0);
	}
}

/* Waits for a message, and takes it. */
static void
do_hear(const struct scene *s, const char *rest)
{
	static struct imsg heard;
	struct pollfd p = {.fd = s->sock, .events = POLLIN};

	(void)rest;
	poll(&p, 1, -1);
	if (imsg_recv(s->sock, &heard, NULL) != 0)
		_exit(92);
}

static volatile sig_atomic_t told;

static void
on_told(int sig)
{
	(void)sig;
	told = 1;
}

/* Does not end when it is told to, as a worker does that has something left to say. */
static void
do_linger(const struct scene *s, const char *rest)
{
	(void)s;
	(void)rest;
	signal(PROTO_END_SIGNAL, on_told);
}

/* Waits until it is told to end. */
static void
do_told(const struct scene *s, const char *rest)
{
	(void)s;
	(void)rest;
	while (!told)
		poll(NULL, 0, 1);
}

static void
do_killed(const struct scene *s, const char *rest)
{
	(void)s;
	(void)rest;
	kill(getpid(), SIGKILL);
}

/* NUMBER: what the zygote is to do. */
static void
do_order(const struct scene *s, const char *rest)
{
	(void)s;
	*order = (enum order)atoi(rest);
}

static void act(const struct scene *s, const char *text);

/* WHAT...: the first of a zygote's workers that comes to this does it, and exits. */
static void
do_first(const struct scene *s, const char *rest)
{
	if ((*firsts)++ > 0)
		return;
	act(s, rest);
	_exit(0);
}

/* WHAT...: said on the zygote's own socket. */
static void
do_zygote(const struct scene *s, const char *rest)
{
	const struct scene zygote = {PROTO_SOCKET_FD + 100, s->run};

	act(&zygote, rest);
}

static void __attribute__((noreturn)) worker(int sock);

/* Is a worker from here on. */
static void
do_job(const struct scene *s, const char *rest)
{
	(void)rest;
	worker(s->sock);
}

static const struct {
	const char *name;
	void (*fn)(const struct scene *s, const char *rest);
} acts[] = {
    {"say ", do_say},
    {"flood ", do_flood},
    {"cut ", do_cut},
    {"memfd ", do_memfd},
    {"raw ", do_raw},
    {"pause", do_pause},
    {"silent", do_silent},
    {"exit ", do_exit},
    {"abort", do_abort},
    {"close", do_close},
    {"hold", do_hold},
    {"hear", do_hear},
    {"linger", do_linger},
    {"told", do_told},
    {"killed", do_killed},
    {"order ", do_order},
    {"first ", do_first},
    {"zygote ", do_zygote},
    {"job", do_job},
};

static void
act(const struct scene *s, const char *text)
{
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (strncmp(text, acts[i].name, strlen(acts[i].name)) == 0) {
			acts[i].fn(s, text + strlen(acts[i].name));
			return;
		}
	_exit(98);
}

/* --- as a worker ------------------------------------------------------------------------------------------------ */

/* The job's strings: the program's name, and then what to do. They may come in a memory file. */
static void __attribute__((noreturn))
worker(int sock)
{
	struct scene s = {.sock = sock};
	static char text[2 * IMSG_PAYLOAD_MAX + 64];
	struct proto_job job;
	const uint8_t *at = in.payload + sizeof(job);
	struct memfd_map map;
	uint32_t length;

	if (imsg_recv(sock, &in, NULL) != 0)
		_exit(97);
	s.run = in.hdr.run;
	memcpy(&job, in.payload, sizeof(job));
	if ((job.flags & PROTO_JOB_BLOB_FD) != 0) {
		if (memfd_map(in.fds[1], (size_t)(job.args_bytes + job.env_bytes + job.stdin_bytes), &map, NULL) != 0)
			_exit(96);
		at = map.data;
	}
	for (uint32_t i = 0; i < job.argc; i++) {
		memcpy(&length, at, sizeof(length));
		memcpy(text, at + sizeof(length), length);
		text[length] = '\0';
		at += sizeof(length) + length;
		if (i > 0)
			act(&s, text);
	}
	_exit(0);
}

/* --- as a zygote ------------------------------------------------------------------------------------------------ */

static void
obey(void)
{
	if (*order == DIE)
		_exit(7);
	while (*order == HANG)
		poll(NULL, 0, -1);
}

static void
obey_at_run(void)
{
	if (*order == EXIT_AT_RUN)
		_exit(0);
	if (*order == DIE_AT_RUN)
		abort();
	while (*order == HANG_AT_RUN)
		poll(NULL, 0, -1);
}

/* Reads what parked workers are to do. Returns its length; -1 when this is no template. */
static ssize_t
read_parked(char *text, size_t size)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("parked"));
	FILE *f;

	if (n < 0)
		return -1;
	path[n] = '\0';
	strcpy(strrchr(path, '/') + 1, "parked");
	if ((f = fopen(path, "r")) == NULL)
		return -1;
	n = (ssize_t)fread(text, 1, size - 1, f);
	text[n] = '\0';
	fclose(f);
	return n;
}

static void __attribute__((noreturn))
parked_worker(int sock)
{
	static char text[4 * IMSG_PAYLOAD_MAX];
	const struct scene s = {sock, in.hdr.run};
	char *line, *rest;

	if (read_parked(text, sizeof(text)) < 0)
		_exit(89);
	for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
		act(&s, line);
	_exit(0);
}

/* What a zygote has forked. */
#define FORKED_MAX 64
static struct forked {
	pid_t pid; /* 0: none */
	uint64_t run;
	bool parked, taken;
	uint32_t killed;
} forked[FORKED_MAX];

static struct forked *
forked_find(uint64_t run)
{
	for (size_t i = 0; i < FORKED_MAX; i++)
		if (forked[i].pid != 0 && forked[i].run == run)
			return &forked[i];
	return NULL;
}

static void
fork_one(void)
{
	struct forked *f = forked;

	while (f->pid != 0)
		if (++f == forked + FORKED_MAX)
			_exit(88);
	*f = (struct forked){.pid = fork(), .run = in.hdr.run, .parked = in.hdr.type == PROTO_PARK};
	if (f->pid == 0) {
		int job = imsg_take_fd(&in, 0);

		dup2(PROTO_SOCKET_FD, PROTO_SOCKET_FD + 100);
		close(PROTO_SOCKET_FD);
		if (f->parked)
			parked_worker(job);
		worker(job);
	}
}

static void
start(void)
{
	obey_at_run();
	if (*order == CANNOT_FORK) {
		*order = SERVE;
		imsg_send(PROTO_SOCKET_FD, PROTO_FAILED, in.hdr.run, "no fork", 7, NULL, 0, NULL);
	} else if (*order != IGNORE_RUNS) {
		fork_one();
	}
}

static void
load(void)
{
	char text[2];

	if (read_parked(text, sizeof(text)) >= 0)
		imsg_send(PROTO_SOCKET_FD, PROTO_LOADED, 0, NULL, 0, NULL, 0, NULL);
}

static void
take(void)
{
	struct forked *f = forked_find(in.hdr.run);

	if (*order == EXIT_AT_TAKE)
		_exit(0);
	while (*order == HANG_AT_TAKE)
		poll(NULL, 0, -1);
	if (f != NULL)
		f->taken = true;
}

static void
end(void)
{
	struct forked *f = forked_find(in.hdr.run);

	if (f == NULL)
		return;
	f->killed = PROTO_KILLED_REQUEST;
	kill(f->pid, f->parked && !f->taken ? SIGKILL : PROTO_END_SIGNAL);
}

static void
report(struct forked *f, int wait_status)
{
	const struct proto_exited exited = {.wait_status = wait_status, .killed = f->killed,
	    .phase = f->parked ? PROTO_PHASE_PARKED : PROTO_PHASE_FORKED};

	f->pid = 0;
	imsg_send(PROTO_SOCKET_FD, PROTO_RUN_EXITED, f->run, &exited, sizeof(exited), NULL, 0, NULL);
}

static void
report_ended(void)
{
	int status;

	for (size_t i = 0; i < FORKED_MAX; i++)
		if (forked[i].pid != 0 && waitpid(forked[i].pid, &status, WNOHANG) == forked[i].pid)
			report(&forked[i], status);
}

static bool
has_forked(void)
{
	for (size_t i = 0; i < FORKED_MAX; i++)
		if (forked[i].pid != 0)
			return true;
	return false;
}

static int
zygote(void)
{
	static const struct {
		uint32_t type;
		void (*fn)(void);
	} tasks[] = {{PROTO_RUN, start}, {PROTO_PARK, fork_one}, {PROTO_LOAD, load}, {PROTO_TAKE, take}, {PROTO_RUN_KILL, end}};
	struct proto_ready ready = {.layers = ~0u, .child_layers = ~0u};
	struct pollfd p = {.fd = PROTO_SOCKET_FD, .events = POLLIN};

	imsg_send(PROTO_SOCKET_FD, PROTO_READY, 0, &ready, sizeof(ready), NULL, 0, NULL);
	for (;;) {
		obey();
		if (poll(&p, 1, has_forked() || *order != SERVE ? 1 : -1) > 0) {
			if (imsg_recv(PROTO_SOCKET_FD, &in, NULL) != 0)
				return 0;
			for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++)
				if (in.hdr.type == tasks[i].type)
					tasks[i].fn();
			imsg_close_fds(&in);
		}
		report_ended();
	}
}

/* --- as a compiler ---------------------------------------------------------------------------------------------- */

static void
artifact(size_t size, const char *content, bool sealed)
{
	if (ftruncate(in.fds[1], (off_t)size) != 0 || (content[0] != '\0' && write(in.fds[1], content, strlen(content)) < 0))
		_exit(95);
	if (sealed && memfd_seal(in.fds[1], NULL) != 0)
		_exit(94);
}

/* The module holds what to do: size of the artifact, whether to seal it, what it begins with; then one act a line. */
static int
compiler(void)
{
	struct scene s = {PROTO_SOCKET_FD, 0};
	struct proto_ready ready = {0};
	char text[4096], content[64] = "", *line;
	struct memfd_map map;
	struct proto_compile job;
	unsigned long size;
	int sealed;

	imsg_send(PROTO_SOCKET_FD, PROTO_READY, 0, &ready, sizeof(ready), NULL, 0, NULL);
	if (imsg_recv(PROTO_SOCKET_FD, &in, NULL) != 0)
		return 0;
	memcpy(&job, in.payload, sizeof(job));
	if (memfd_map(in.fds[0], job.size, &map, NULL) != 0 || map.size >= sizeof(text))
		_exit(93);
	memcpy(text, map.data, map.size);
	text[map.size] = '\0';
	/* Behind what makes it a module: magic, version, and the head of a custom section of this name. */
	line = memmem(text, map.size, "lie\n", 4);
	if (line == NULL || sscanf(line + 4, "%lu %d %63s", &size, &sealed, content) < 2)
		_exit(92);
	artifact(size, content, sealed);
	for (line = strchr(line + 4, '\n'); line != NULL; line = strchr(line + 1, '\n')) {
		char one[2048];

		snprintf(one, sizeof(one), "%.*s", (int)strcspn(line + 1, "\n"), line + 1);
		if (one[0] != '\0')
			act(&s, one);
	}
	return 0;
}

/* --- as launcher, store or logger --------------------------------------------------------------------------------- */

/* Starts the real one. Returns the socket that it talks over. */
static int
start_real(char **argv)
{
	char path[PATH_MAX];
	int sv[2];

	if (snprintf(path, sizeof(path), "%s.real", argv[0]) >= (int)sizeof(path) || imsg_pair(sv, NULL) != 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		_exit(90);
	if (fork() == 0) {
		dup2(sv[1], PROTO_SOCKET_FD);
		close(sv[0]);
		argv[0] = path;
		execv(path, argv);
		_exit(89);
	}
	close(sv[1]);
	return sv[0];
}

/*
 * The lie of the moment, if it is for this program and a message of this type: its first line says so. It is told once.
 * What follows is what to do, one act a line. Returns NULL when there is none.
 */
static char *
take_lie(const char *program, uint32_t type)
{
	static char text[4 * IMSG_PAYLOAD_MAX];
	char path[PATH_MAX], wanted[64];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%.*s/lies", (int)(strrchr(program, '/') - program), program);
	snprintf(wanted, sizeof(wanted), "%s %u\n", strrchr(program, '/') + 1, type);
	if ((f = fopen(path, "r")) != NULL) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	if (strncmp(text, wanted, strlen(wanted)) != 0)
		return NULL;
	unlink(path);
	return text + strlen(wanted);
}

/* Passes on a message, and closes its descriptors. */
static void
pass(int to)
{
	imsg_send(to, in.hdr.type, in.hdr.run, in.payload, in.hdr.length, in.fds, in.nfds, NULL);
	imsg_close_fds(&in);
}

/* Passes on what the real one says, or does what is to be done in its place; "pass" is what it said. */
static void
tell(const char *program, struct scene *s)
{
	char *lie = take_lie(program, in.hdr.type);
	char *line, *rest;

	if (lie == NULL) {
		pass(s->sock);
		return;
	}
	s->run = in.hdr.run;
	for (line = strtok_r(lie, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		if (strcmp(line, "pass") == 0)
			pass(s->sock);
		else
			act(s, line);
	}
	imsg_close_fds(&in);
}

static int
service(char **argv)
{
	const char *program = argv[0];
	struct scene s = {PROTO_SOCKET_FD, 0};
	struct pollfd p[2] = {{.fd = PROTO_SOCKET_FD, .events = POLLIN}, {.fd = start_real(argv), .events = POLLIN}};

	for (;;) {
		if (poll(p, 2, -1) < 0)
			return 88;
		if (p[0].revents != 0) {
			if (imsg_recv(p[0].fd, &in, NULL) != 0)
				return 0;
			pass(p[1].fd);
		}
		if (p[1].revents != 0) {
			if (imsg_recv(p[1].fd, &in, NULL) != 0)
				return 0;
			tell(program, &s);
		}
	}
}

int
main(int argc, char **argv)
{
	(void)argc;
	order = mmap(NULL, sizeof(*order) + sizeof(*firsts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (order == MAP_FAILED)
		return 91;
	firsts = (volatile int *)(order + 1);
	if (argv[0][0] == '/')
		return service(argv);
	return strcmp(argv[0], "brig-compiler") == 0 ? compiler() : zygote();
}
