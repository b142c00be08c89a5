/*
 * The launcher, as root and as a plain user. The program that it starts is this test itself: as brig-worker it enters
 * the jail, loads the zygote's filter and obeys PROTO_RUN_KILL messages whose run is what to do.
 */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/imsg.h"
#include "sandbox/child.h"
#include "sandbox/filter_load.h"
#include "sandbox/launcher.h"
#include "tests/unit/jailed.h"

/* --- the program that the launcher starts ---------------------------------------------------------------------- */

enum order {
	ORDER_EXIT = 1,
	ORDER_FDS = 2,    /* answers which of the first 64 descriptors are open */
	ORDER_LIMITS = 3, /* answers RLIMIT_CPU * 2^32 + RLIMIT_DATA in MiB */
	ORDER_PID = 4,    /* answers its own pid */
};

static uint64_t
answer(uint64_t what)
{
	struct rlimit cpu, data;
	uint64_t open = 0;

	if (what == ORDER_PID)
		return (uint64_t)getpid();
	if (what == ORDER_LIMITS && getrlimit(RLIMIT_CPU, &cpu) == 0 && getrlimit(RLIMIT_DATA, &data) == 0)
		return cpu.rlim_max << 32 | data.rlim_max >> 20;
	for (int fd = 0; fd < 64; fd++)
		open |= (uint64_t)(fcntl(fd, F_GETFD) >= 0) << fd;
	return open;
}

/* READY says what it is under; then each order is answered by a PROTO_FAILED whose run is the number. */
static int
be_a_program(int argc, char **argv)
{
	static struct imsg m;
	struct child_args args;
	struct filter_set set;
	struct proto_ready ready = {0};
	struct err e = {0};
	int rc = child_args_parse(argc, argv, &args, &e);

	if (rc == 0)
		rc = jail_enter(&args.jail, &ready.layers, &e);
	if (rc == 0)
		rc = filter_load(FILTER_FD, &set, &e);
	if (rc == 0)
		rc = jail_filter(&set.prog[FILTER_ZYGOTE], &ready.layers, &e);
	if (rc != 0) {
		imsg_send(PROTO_SOCKET_FD, PROTO_FAILED, 0, e.msg, strlen(e.msg), NULL, 0, NULL);
		return EXIT_FAILURE;
	}
	imsg_send(PROTO_SOCKET_FD, PROTO_READY, args.engine, &ready, sizeof(ready), NULL, 0, NULL);
	while (imsg_recv(PROTO_SOCKET_FD, &m, &e) == 0) {
		if (m.hdr.run == ORDER_EXIT)
			return 42;
		imsg_send(PROTO_SOCKET_FD, PROTO_FAILED, answer(m.hdr.run), NULL, 0, NULL, 0, NULL);
	}
	return EXIT_SUCCESS;
}

/* --- brigd's side ---------------------------------------------------------------------------------------------- */

/* How the launcher of one test is started; the state of each test. */
struct setting {
	bool as_root;
	enum jail_profile profile;
	pid_t pid;
	int control;
};

static struct imsg in;

static int
launch(const struct setting *s, int sock, struct err *e)
{
	const struct launcher_config cfg = {
	    .worker = "/proc/self/exe",
	    .compiler = "/proc/self/exe",
	    .profile = s->profile,
	    .uid_base = s->as_root ? JAILED_UID_BASE : 0,
	    .cgroup = "off",
	};
	struct launcher *l;
	int rc = launcher_new(&cfg, &l, e);

	if (rc == 0) {
		rc = launcher_serve(l, sock, e);
		launcher_free(l);
	}
	return rc;
}

struct launching {
	const struct setting *s;
	int sock;
};

static int
launch_it(void *arg, struct err *e)
{
	const struct launching *l = arg;

	return launch(l->s, l->sock, e);
}

static void
start(struct setting *s)
{
	struct err e;
	int sv[2];

	if (s->as_root && geteuid() != 0)
		skip();
	assert_int_equal(imsg_pair(sv, &e), 0);
	s->pid = fork();
	if (s->pid == 0) {
		struct launching l = {s, sv[1]};
		int status;

		close(sv[0]);
		status = s->as_root ? (launch(s, sv[1], &e) == 0 ? 0 : 1 << 8) : jailed_plain(launch_it, &l);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
	}
	close(sv[1]);
	s->control = sv[0];
	assert_int_equal(imsg_recv(s->control, &in, &e), 0);
	assert_int_equal(in.hdr.type, PROTO_READY);
}

/* Closes the control socket and returns the launcher's exit status. */
static int
stop(struct setting *s)
{
	int status;

	close(s->control);
	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Asks for a child; returns our end of its socket, or -1 when the launcher could not start it, which skips the test. */
static int
spawn_one(struct setting *s, uint64_t token, const struct proto_spawn *p, pid_t *pid)
{
	struct proto_spawned spawned;
	struct err e;
	int sv[2];

	assert_int_equal(imsg_pair(sv, &e), 0);
	assert_int_equal(imsg_send(s->control, PROTO_SPAWN, token, p, sizeof(*p), &sv[1], 1, &e), 0);
	close(sv[1]);
	assert_int_equal(imsg_recv(s->control, &in, &e), 0);
	assert_int_equal(in.hdr.run, token);
	if (in.hdr.type == PROTO_SPAWN_FAILED) {
		print_message("%.*s\n", (int)in.hdr.length, (const char *)in.payload);
		close(sv[0]);
		stop(s);
		skip();
	}
	assert_int_equal(in.hdr.type, PROTO_SPAWNED);
	memcpy(&spawned, in.payload, sizeof(spawned));
	*pid = spawned.pid;
	return sv[0];
}

/* What the child says first. */
static struct proto_ready
ready_of(int child)
{
	struct proto_ready ready;
	struct err e;

	assert_int_equal(imsg_recv(child, &in, &e), 0);
	if (in.hdr.type == PROTO_FAILED)
		fail_msg("%.*s", (int)in.hdr.length, (const char *)in.payload);
	assert_int_equal(in.hdr.type, PROTO_READY);
	memcpy(&ready, in.payload, sizeof(ready));
	return ready;
}

static uint64_t
ask(int child, enum order what)
{
	struct err e;

	assert_int_equal(imsg_send(child, PROTO_RUN_KILL, what, NULL, 0, NULL, 0, &e), 0);
	if (what == ORDER_EXIT)
		return 0;
	assert_int_equal(imsg_recv(child, &in, &e), 0);
	assert_int_equal(in.hdr.type, PROTO_FAILED);
	return in.hdr.run;
}

static struct proto_exited
exited(struct setting *s, uint64_t token)
{
	struct proto_exited x;
	struct err e;

	assert_int_equal(imsg_recv(s->control, &in, &e), 0);
	assert_int_equal(in.hdr.type, PROTO_CHILD_EXITED);
	assert_int_equal(in.hdr.run, token);
	memcpy(&x, in.payload, sizeof(x));
	return x;
}

static const struct proto_spawn zygote = {.kind = PROTO_KIND_ZYGOTE, .engine = PROTO_ENGINE_PLAIN};

/* --- the tests, for one setting -------------------------------------------------------------------------------- */

static void
children_are_jailed_and_reported(struct setting *s)
{
	const struct proto_spawn compiler = {
	    .kind = PROTO_KIND_COMPILER, .engine = PROTO_ENGINE_FUEL, .cpu_ms = 2500, .memory_bytes = (uint64_t)3 << 50,
	    .nice = 5};
	uint32_t required = jail_required(s->profile);
	int one, two;
	pid_t pid;

	start(s);
	one = spawn_one(s, 11, &zygote, &pid);
	assert_int_equal(ready_of(one).layers & required, required);
	assert_true(kill(pid, 0) == 0 || errno == EPERM);
	assert_int_equal(ask(one, ORDER_FDS), 0x1f); /* 0 to 4 */
	if (s->profile == JAIL_PROFILE_NAMESPACES)
		assert_int_equal(ask(one, ORDER_PID), 1);
	two = spawn_one(s, 12, &compiler, &pid);
	assert_true(getpriority(PRIO_PROCESS, (id_t)pid) >= 5);
	assert_int_equal(((ready_of(two).layers & PROTO_LAYER_own_uid) != 0), s->as_root);
	assert_int_equal(in.hdr.run, PROTO_ENGINE_FUEL);
	assert_int_equal(ask(two, ORDER_LIMITS), (uint64_t)3 << 32 | (uint64_t)3 << 30);
	ask(one, ORDER_EXIT);
	assert_int_equal(WEXITSTATUS(exited(s, 11).wait_status), 42);
	close(one);
	close(two);
	assert_int_equal(WEXITSTATUS(exited(s, 12).wait_status), 0);
	assert_int_equal(stop(s), 0);
}

static void
a_child_is_killed_when_asked(struct setting *s)
{
	struct proto_exited x;
	struct err e;
	pid_t pid;
	int child;

	start(s);
	child = spawn_one(s, 5, &zygote, &pid);
	ready_of(child);
	assert_int_equal(imsg_send(s->control, PROTO_KILL, 6, NULL, 0, NULL, 0, &e), 0); /* nobody: ignored */
	assert_int_equal(imsg_send(s->control, PROTO_KILL, 5, NULL, 0, NULL, 0, &e), 0);
	x = exited(s, 5);
	assert_true(WIFSIGNALED(x.wait_status));
	assert_int_equal(WTERMSIG(x.wait_status), SIGKILL);
	assert_int_equal(x.killed, PROTO_KILLED_REQUEST);
	close(child);
	assert_int_equal(stop(s), 0);
}

static void
all_children_die_at_end_of_file(struct setting *s)
{
	pid_t pid[3];
	int child[3];
	struct err e;

	start(s);
	for (int i = 0; i < 3; i++) {
		child[i] = spawn_one(s, (uint64_t)i, &zygote, &pid[i]);
		ready_of(child[i]);
	}
	assert_int_equal(stop(s), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(kill(pid[i], 0), -1);
		assert_int_equal(errno, ESRCH);
		assert_int_equal(imsg_recv(child[i], &in, &e), ERR_EOF);
		close(child[i]);
	}
}

static void
a_message_that_must_not_occur_ends_it(struct setting *s)
{
	const struct proto_spawn nonsense = {.kind = 9};
	const struct proto_spawn nonsense_too = {.kind = PROTO_KIND_ZYGOTE, .nice = PROTO_NICE_MAX + 1};
	int fd = STDERR_FILENO;
	struct err e;

	start(s);
	assert_int_equal(imsg_send(s->control, PROTO_RUN, 1, &nonsense, sizeof(nonsense), &fd, 1, &e), 0);
	assert_int_equal(stop(s), 1);
	start(s);
	assert_int_equal(imsg_send(s->control, PROTO_SPAWN, 1, &nonsense, sizeof(nonsense), &fd, 1, &e), 0);
	assert_int_equal(stop(s), 1);
	start(s);
	assert_int_equal(imsg_send(s->control, PROTO_SPAWN, 1, &nonsense_too, sizeof(nonsense_too), &fd, 1, &e), 0);
	assert_int_equal(stop(s), 1);
	start(s);
	assert_int_equal(imsg_send(s->control, PROTO_SPAWN, 1, &zygote, sizeof(zygote), NULL, 0, &e), 0);
	assert_int_equal(stop(s), 1);
}

/* --- each of them in each setting ------------------------------------------------------------------------------ */

#define SETTINGS(X, test)                                     \
	X(test, as_root, true, JAIL_PROFILE_NAMESPACES)       \
	X(test, as_a_user, false, JAIL_PROFILE_NAMESPACES)    \
	X(test, container_as_root, true, JAIL_PROFILE_CONTAINER) \
	X(test, container_as_a_user, false, JAIL_PROFILE_CONTAINER)
#define TESTS(X)                                      \
	SETTINGS(X, children_are_jailed_and_reported) \
	SETTINGS(X, a_child_is_killed_when_asked)     \
	SETTINGS(X, all_children_die_at_end_of_file)  \
	SETTINGS(X, a_message_that_must_not_occur_ends_it)

#define X(test, setting_name, root, which)                                   \
	static void test##_##setting_name(void **state)                      \
	{                                                                    \
		struct setting s = {.as_root = root, .profile = which};      \
		(void)state;                                                 \
		test(&s);                                                    \
	}
TESTS(X)
#undef X

static void
children_of_root_have_uids_of_their_own(void **state)
{
	struct setting s = {.as_root = true, .profile = JAIL_PROFILE_NAMESPACES};
	uid_t uids[2];
	pid_t pid;
	int child[2];

	(void)state;
	start(&s);
	for (int i = 0; i < 2; i++) {
		char path[40];

		child[i] = spawn_one(&s, (uint64_t)i, &zygote, &pid);
		ready_of(child[i]);
		uids[i] = 0;
		snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
		FILE *f = fopen(path, "re");
		char line[200];

		assert_non_null(f);
		while (fgets(line, sizeof(line), f) != NULL)
			if (sscanf(line, "Uid: %u", &uids[i]) == 1)
				break;
		fclose(f);
	}
	assert_true(uids[0] >= JAILED_UID_BASE + LAUNCHER_CHILD_OFFSET);
	assert_true(uids[1] >= JAILED_UID_BASE + LAUNCHER_CHILD_OFFSET);
	assert_true(uids[0] != uids[1]);
	assert_int_equal(stop(&s), 0);
	close(child[0]);
	close(child[1]);
}

/* A launcher that dies without a word takes its children along. */
static void
children_die_with_a_launcher_that_is_killed(void **state)
{
	struct setting s = {.as_root = true, .profile = JAIL_PROFILE_NAMESPACES};
	struct err e;
	pid_t pid;
	int child, status;

	(void)state;
	start(&s);
	child = spawn_one(&s, 1, &zygote, &pid);
	ready_of(child);
	assert_int_equal(kill(s.pid, SIGKILL), 0);
	assert_int_equal(waitpid(s.pid, &status, 0), s.pid);
	assert_int_equal(imsg_recv(child, &in, &e), ERR_EOF);
	close(child);
	close(s.control);
}

static int
new_without_uids(void *arg, struct err *e)
{
	const struct launcher_config cfg = {.worker = "/proc/self/exe", .compiler = "/proc/self/exe", .cgroup = "off"};
	struct launcher *l;

	(void)arg;
	NEED(launcher_new(&cfg, &l, e) == ERR_INVAL);
	return 0;
}

static void
refuses_root_without_uids_for_children(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(jailed_fork(new_without_uids, NULL), 0);
}

static int
new_with_odd_programs(void *arg, struct err *e)
{
	struct launcher_config cfg = {
	    .worker = "/nonexistent/brig-worker", .compiler = "/proc/self/exe", .uid_base = JAILED_UID_BASE, .cgroup = "off"};
	struct launcher *l;

	(void)arg;
	NEED(launcher_new(&cfg, &l, e) == ERR_IO);
	NEED(strstr(e->msg, "/nonexistent/brig-worker") != NULL);
	cfg.worker = "/etc/passwd";
	NEED(launcher_new(&cfg, &l, e) == ERR_INVAL);
	cfg.worker = "/etc";
	NEED(launcher_new(&cfg, &l, e) == ERR_INVAL);
	return 0;
}

static void
names_a_program_that_it_cannot_start(void **state)
{
	(void)state;
	assert_int_equal(jailed_fork(new_with_odd_programs, NULL), 0);
}

static void
arguments_are_read_back_as_they_were_written(void **state)
{
	const struct child_args args = {.engine = 1,
	    .jail = {.profile = JAIL_PROFILE_CONTAINER,
		.given = UINT32_MAX,
		.cpu_ms = UINT64_MAX,
		.data_bytes = 12345,
		.last_fd = FILTER_FD}};
	struct child_argv argv, again;
	struct child_args back;
	struct err e;
	int argc = 0;

	(void)state;
	child_args_format(&args, "brig-worker", &argv);
	while (argv.argv[argc] != NULL)
		argc++;
	assert_int_equal(child_args_parse(argc, argv.argv, &back, &e), 0);
	child_args_format(&back, "brig-worker", &again);
	for (int i = 0; i < argc; i++)
		assert_string_equal(again.argv[i], argv.argv[i]);
	assert_null(again.argv[argc]);
}

static void
refuses_arguments_that_no_launcher_gives(void **state)
{
	static const char *const bad[] = {"--engine=x", "--engine=", "--engine=-1", "--engine=4294967296", "--profile=none",
	    "--layers=1 ", "--cpu-ms=18446744073709551616", "--what=1", "word"};
	struct child_args args;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char name[] = "brig-worker", text[64];
		char *argv[] = {name, text, NULL};

		snprintf(text, sizeof(text), "%s", bad[i]);
		assert_int_equal(child_args_parse(2, argv, &args, &e), ERR_INVAL);
	}
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#define X(test, setting_name, root, which) cmocka_unit_test(test##_##setting_name),
	    TESTS(X)
#undef X
	    cmocka_unit_test(children_of_root_have_uids_of_their_own),
	    cmocka_unit_test(children_die_with_a_launcher_that_is_killed),
	    cmocka_unit_test(refuses_root_without_uids_for_children),
	    cmocka_unit_test(names_a_program_that_it_cannot_start),
	    cmocka_unit_test(arguments_are_read_back_as_they_were_written),
	    cmocka_unit_test(refuses_arguments_that_no_launcher_gives),
	};

	if (strncmp(argv[0], "brig-", 5) == 0)
		_exit(be_a_program(argc, argv)); /* the filter does not allow what a sanitizer does at exit() */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
