/* What hostile native code tries in the place of a guest, under each layer of the jail alone, and under all. */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/imsg.h"
#include "sandbox/filter.h"
#include "sandbox/jail.h"
#include "tests/unit/attempts.h"
#include "tests/unit/jailed.h"

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* Attempts begin as root, with all privilege; where root is exempt from a layer, as a plain user. */
enum base { BASE_ROOT, BASE_USER, BASES };
static const char *const base_names[] = {"root", "a plain user"};

static const struct {
	const char *name;
	uint32_t layer;
} columns[] = {
#define X(name) {#name, PROTO_LAYER_##name},
    ATTEMPT_LAYERS(X)
#undef X
};
#define COLUMNS ATTEMPT_LAYER_COUNT
_Static_assert(ARRAY_LENGTH(columns) == COLUMNS, "counted");

static struct attempt_world worlds[BASES];
static struct filter_set filters;
static bool root;

/* --- one attempt in one place ---------------------------------------------------------------------------------- */

/* Instead of a layer: the whole jail, as zygote and worker enter it, and the same without its filter. */
#define WHOLE           (1u << 30)
#define ALL_BUT_SECCOMP (1u << 29)

struct cell {
	const struct attempt *attempt;
	enum base base;
	uint32_t layer; /* one, 0 for none, or one of these two */
	struct attempt_world world;
	int report; /* where the end of the attempt is told */
};

static int
needs_namespaces(const struct cell *c)
{
	static const struct {
		uint32_t layer;
		int namespaces;
	} made_by[] = {
	    {PROTO_LAYER_user_ns, CLONE_NEWUSER},
	    {PROTO_LAYER_no_user_ns, CLONE_NEWUSER}, /* else it would be the machine's */
	    {PROTO_LAYER_mount_ns, CLONE_NEWNS},
	    {PROTO_LAYER_pid_ns, CLONE_NEWPID},
	    {PROTO_LAYER_net_ns, CLONE_NEWNET},
	    {PROTO_LAYER_ipc_ns, CLONE_NEWIPC | CLONE_NEWUTS},
	    {WHOLE, SPAWN_NAMESPACES},
	    {ALL_BUT_SECCOMP, SPAWN_NAMESPACES},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(made_by); i++)
		if (made_by[i].layer == c->layer)
			return made_by[i].namespaces;
	return 0;
}

/* What a zygote takes on. */
static int
enter_outer(const struct cell *c, struct err *e)
{
	const struct jail_config config = {
	    .profile = JAIL_PROFILE_NAMESPACES,
	    .given = jail_required(JAIL_PROFILE_NAMESPACES) & ~(PROTO_LAYER_mount_ns | PROTO_LAYER_seccomp),
	    .last_fd = JAILED_LAST_FD,
	};
	uint32_t layers = 0;

	switch (c->layer) {
	case WHOLE:
	case ALL_BUT_SECCOMP:
		return jail_enter(&config, &layers, e);
	case PROTO_LAYER_no_user_ns:
	case PROTO_LAYER_mount_ns:
	case PROTO_LAYER_capabilities:
	case PROTO_LAYER_no_new_privs:
	case PROTO_LAYER_dumpable:
	case PROTO_LAYER_landlock:
	case PROTO_LAYER_speculation:
		return jail_try((enum proto_layer)c->layer, e);
	default:
		return 0;
	}
}

static int
load_filter(struct err *e)
{
	uint32_t layers = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_sys(e, ERR_IO, "no_new_privs");
	return jail_filter(&filters.prog[FILTER_WORKER], &layers, e);
}

/* What its worker adds. */
static int
enter_inner(const struct cell *c, int job_socket, struct err *e)
{
	const struct proto_run run = {.wall_ms = 10000, .cpu_ms = 10000, .data_bytes = 128 << 20};
	uint32_t layers = 0;
	int rc = 0;

	switch (c->layer) {
	case WHOLE:
	case ALL_BUT_SECCOMP:
		rc = jail_ruleset(e);
		rc = rc >= 0 || rc == ERR_UNSUPPORTED ? jail_worker(job_socket, rc, false, &run, e) : rc;
		if (rc == 0)
			rc = jail_lock_code(&layers, e);
		return rc == 0 && c->layer == WHOLE ? load_filter(e) : rc;
	case PROTO_LAYER_seccomp:
		return load_filter(e);
	case PROTO_LAYER_landlock: /* the second one, as in jail_worker */
	case PROTO_LAYER_mdwe:
		return jail_try((enum proto_layer)c->layer, e);
	case PROTO_LAYER_rlimits:
		return jail_limits(&run, e);
	case PROTO_LAYER_descriptors: /* as jail_worker does, without its limits */
		NEED(close_range(0, PROTO_SOCKET_FD - 1, 0) == 0 && close_range(PROTO_SOCKET_FD + 1, ~0u, 0) == 0);
		return 0;
	default:
		return 0;
	}
}

/* --- one attempt in one place: the processes ------------------------------------------------------------------- */

/* The process that makes the attempt. Nothing but its wait status is heard from it. */
static void __attribute__((noreturn))
attempt(const struct cell *c, int job_socket)
{
	struct err e = {0};

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL); /* cmocka has handlers */
	if (job_socket != PROTO_SOCKET_FD && dup2(job_socket, PROTO_SOCKET_FD) < 0)
		_exit(ATTEMPT_FAULT);
	if (enter_inner(c, PROTO_SOCKET_FD, &e) != 0) {
		fprintf(stderr, "%s: %s\n", c->attempt->name, e.msg);
		_exit(e.code == ERR_UNSUPPORTED ? ATTEMPT_UNFIT : ATTEMPT_FAULT);
	}
	_exit(c->attempt->try(&c->world));
}

#define REPORT_FD 4

/* The job socket of the attempt, with a message and a descriptor for it to receive. */
static int
job_socket(int sv[2], struct err *e)
{
	int rc = imsg_pair(sv, e);

	return rc == 0 ? imsg_send(sv[0], PROTO_JOB, 0, "x", 1, (const int[]){REPORT_FD}, 1, e) : rc;
}

/* In the zygote's place: takes on its layers, has the attempt made, tells how it ended. */
static int
outer(void *arg, struct err *e)
{
	struct cell *c = arg;
	int sv[2], status;
	pid_t pid;
	int rc = enter_outer(c, e);

	if (rc != 0)
		return rc;
	NEED(job_socket(sv, e) == 0);
	c->world.sibling = attempt_hold(NULL, 0); /* another worker */
	NEED(c->world.sibling > 0);
	pid = fork();
	NEED(pid >= 0);
	if (pid == 0)
		attempt(c, sv[1]);
	NEED(waitpid(pid, &status, 0) == pid);
	NEED(write(REPORT_FD, &status, sizeof(status)) == sizeof(status));
	kill(c->world.sibling, SIGKILL);
	return 0;
}

/* Becomes whom the attempt begins as, in mounts and names of its own, which it may spoil. */
static int
become_base(const struct cell *c, struct err *e)
{
	struct rlimit core;

	if (root) {
		NEED(unshare(CLONE_NEWNS | CLONE_NEWUTS) == 0);
		NEED(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	}
	if (root && c->base == BASE_USER)
		NEED(setgroups(0, NULL) == 0 && setresgid(JAILED_PLAIN_UID, JAILED_PLAIN_UID, JAILED_PLAIN_UID) == 0 &&
		     setresuid(JAILED_PLAIN_UID, JAILED_PLAIN_UID, JAILED_PLAIN_UID) == 0);
	NEED(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0);
	NEED(getrlimit(RLIMIT_CORE, &core) == 0);
	core.rlim_cur = core.rlim_max;
	NEED(setrlimit(RLIMIT_CORE, &core) == 0);
	NEED(chdir(c->world.directory) == 0); /* where core files go */
	NEED(attempt_leave_open(&c->world) == 0 && dup2(c->report, REPORT_FD) == REPORT_FD);
	return 0;
}

static int
try_cell(void *arg, struct err *e)
{
	struct cell *c = arg;
	bool whole = c->layer == WHOLE || c->layer == ALL_BUT_SECCOMP;
	struct spawn_config cfg = {
	    .namespaces = needs_namespaces(c),
	    .change_id = c->base == BASE_ROOT && (whole || c->layer == PROTO_LAYER_own_uid),
	    .id = JAILED_UID_BASE + 16,
	    .run = outer,
	    .arg = c,
	};
	pid_t pid;
	int rc = become_base(c, e);

	if (rc == 0)
		rc = spawn(&cfg, &pid, e);
	if (rc == 0)
		waitpid(pid, NULL, 0);
	return rc;
}

/* --- what came of it ------------------------------------------------------------------------------------------- */

enum end { END_THROUGH, END_REFUSED, END_KILLED, END_UNFIT, END_FAULT };

static enum end
end_of(const struct attempt *a, int status)
{
	bool core = strcmp(a->name, "core") == 0;

	if (core && WIFSIGNALED(status) && WTERMSIG(status) != SIGSYS)
		return WCOREDUMP(status) ? END_THROUGH : END_REFUSED;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? END_KILLED : END_REFUSED;
	switch (WEXITSTATUS(status)) {
	case ATTEMPT_THROUGH:
		return END_THROUGH;
	case ATTEMPT_UNFIT:
		return END_UNFIT;
	case ATTEMPT_FAULT:
		return END_FAULT;
	default:
		return END_REFUSED;
	}
}

static bool verbose; /* says how each attempt ended, and makes those too that the table does not speak of */

/* Makes the attempt from `base`, under `layer`. */
static enum end
make(const struct attempt *a, enum base base, uint32_t layer)
{
	struct cell c = {.attempt = a, .base = base, .layer = layer, .world = worlds[base]};
	int report[2], status, done;
	ssize_t n;

	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	c.report = report[1];
	done = jailed_fork(try_cell, &c);
	close(report[1]);
	n = read(report[0], &status, sizeof(status));
	close(report[0]);
	if (verbose)
		print_message("# %s %d %#x: %d %#x\n", a->name, (int)base, layer, (int)n, status);
	if (n == sizeof(status))
		return end_of(a, status);
	if (done == 0 && strcmp(a->name, "kill_zygote") == 0)
		return END_THROUGH; /* so nobody could report */
	return WIFEXITED(done) && WEXITSTATUS(done) == JAILED_SKIP ? END_UNFIT : END_FAULT;
}

static bool
stopped(enum end end)
{
	return end == END_REFUSED || end == END_KILLED;
}

/* --- the table ------------------------------------------------------------------------------------------------- */

/* What was seen: 0 not measured here, '-' does not stop it, 'x' does, 'u' does when it begins as a plain user. */
static char seen[ATTEMPT_COUNT][COLUMNS];
static char lowered[ATTEMPT_COUNT]; /* the same of the whole jail without its filter */

/* The version of Landlock that knows of TCP, abstract sockets and signals. */
#define LANDLOCK_WHOLE 6

/*
 * Namespaces and another uid take root's privilege, or a user namespace, which is a layer of its own; a plain user has
 * no capability to lose.
 */
static bool
applies(uint32_t layer, enum base base)
{
	const uint32_t roots = PROTO_LAYER_mount_ns | PROTO_LAYER_pid_ns | PROTO_LAYER_net_ns | PROTO_LAYER_ipc_ns |
			       PROTO_LAYER_own_uid | PROTO_LAYER_capabilities;

	return base == BASE_ROOT || (layer & roots) == 0;
}

static char
measure(const struct attempt *a, uint32_t layer, const bool *through)
{
	char result = 0;

	for (int base = BASE_ROOT; base < BASES; base++) {
		enum end end;

		if (!through[base] || !applies(layer, base))
			continue;
		if (base == BASE_USER && through[BASE_ROOT] && (a->layers & layer) == 0 && !verbose)
			continue; /* nobody says so, and it takes time */
		end = make(a, base, layer);
		if (end == END_FAULT)
			fail_msg("%s: could not be tried under a layer", a->name);
		if (stopped(end))
			return base == BASE_ROOT ? 'x' : 'u';
		if (end == END_THROUGH)
			result = '-';
	}
	return result;
}

/* The whole jail stops it, begun as root and as a user; the filter alone if that is in its row. */
static void
check_whole(const struct attempt *a)
{
	for (int base = root ? BASE_ROOT : BASE_USER; base < BASES; base++) {
		enum end end = make(a, base, WHOLE);

		if (end == END_UNFIT)
			skip(); /* no namespaces here */
		if ((a->layers & PROTO_LAYER_seccomp) != 0 ? end != END_KILLED : !stopped(end))
			fail_msg("%s, begun as %s: the jail did not stop it (%d)", a->name, base_names[base], end);
	}
}

static void
check_columns(const struct attempt *a, const bool *through)
{
	char *row = seen[a - attempts];

	for (size_t i = 0; i < COLUMNS; i++) {
		row[i] = measure(a, columns[i].layer, through);
		if (columns[i].layer == PROTO_LAYER_landlock && jail_landlock_abi() < LANDLOCK_WHOLE)
			continue; /* does less than the table says */
		if (row[i] == '-' && (a->layers & columns[i].layer) != 0)
			fail_msg("%s: %s does not stop it", a->name, columns[i].name);
	}
}

/* Whether another layer of its row than the filter was seen to stop it: not all kernels have all. */
static bool
has_second_layer(const struct attempt *a)
{
	const char *row = seen[a - attempts];

	for (size_t i = 0; i < COLUMNS; i++)
		if (columns[i].layer != PROTO_LAYER_seccomp && (a->layers & columns[i].layer) != 0 &&
		    (row[i] == 'x' || row[i] == 'u'))
			return true;
	return false;
}

static void
an_attempt(void **state)
{
	const struct attempt *a = *state;
	bool through[BASES] = {false};
	char *without = &lowered[a - attempts];

	check_whole(a);
	for (int base = root ? BASE_ROOT : BASE_USER; base < BASES; base++) {
		enum end end = make(a, base, 0);

		if (end == END_FAULT)
			fail_msg("%s: could not be tried", a->name);
		through[base] = end == END_THROUGH;
	}
	if (!through[BASE_ROOT] && !through[BASE_USER]) {
		print_message("# %s: not possible here even without a jail\n", a->name);
		skip();
	}
	check_columns(a, through);
	*without = stopped(make(a, through[BASE_ROOT] ? BASE_ROOT : BASE_USER, ALL_BUT_SECCOMP)) ? 'x' : '-';
	if (*without == '-' && has_second_layer(a))
		fail_msg("%s: without its filter, the jail does not stop it", a->name);
}

static void
every_row_has_two_layers_or_says_why(void **state)
{
	(void)state;
	for (const struct attempt *a = attempts; a->name != NULL; a++)
		if ((__builtin_popcount(a->layers) < 2) != (a->why[0] != '\0'))
			fail_msg("%s has %d layers; why: \"%s\"", a->name, __builtin_popcount(a->layers), a->why);
}

/* What was measured, which is at least what the table says. */
static void
print_seen(void)
{
	print_message("# x stops it, u does when begun as a plain user, - does not; last: all but the filter\n");
	for (size_t i = 0; i < COLUMNS; i++)
		print_message("# %*s%s\n", 24 + 2 * (int)i, "", columns[i].name);
	for (const struct attempt *a = attempts; a->name != NULL; a++) {
		print_message("# %-22s", a->name);
		for (size_t i = 0; i < COLUMNS; i++)
			print_message(" %c", seen[a - attempts][i] != 0 ? seen[a - attempts][i] : ' ');
		print_message("   %c\n", lowered[a - attempts] != 0 ? lowered[a - attempts] : ' ');
	}
}

static int
set_up(void **state)
{
	struct err e;
	int fd = filter_bundle(&e);

	(void)state;
	root = geteuid() == 0;
	verbose = getenv("ATTEMPTS_VERBOSE") != NULL;
	if (fd < 0 || filter_load(fd, &filters, &e) != 0)
		return -1;
	close(fd);
	if ((root && attempt_world_new(&worlds[BASE_ROOT], 0, &e) != 0) ||
	    attempt_world_new(&worlds[BASE_USER], root ? JAILED_PLAIN_UID : geteuid(), &e) != 0) {
		print_error("%s\n", e.msg);
		return -1;
	}
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	print_seen();
	if (root)
		attempt_world_free(&worlds[BASE_ROOT]);
	attempt_world_free(&worlds[BASE_USER]);
	return 0;
}

/* Stands for all of them where the sanitizer's own mappings are past any RLIMIT_DATA. */
static void
attempts_are_made_in_the_build_without_sanitizers(void **state)
{
	(void)state;
	skip();
}

int
main(void)
{
	static struct CMUnitTest tests[ATTEMPT_COUNT + 1];
#ifdef __SANITIZE_ADDRESS__
	const bool sanitized = true;
#else
	const bool sanitized = false;
#endif

	tests[0] = (struct CMUnitTest)cmocka_unit_test(every_row_has_two_layers_or_says_why);
	if (sanitized) {
		tests[1] = (struct CMUnitTest)cmocka_unit_test(attempts_are_made_in_the_build_without_sanitizers);
		return _cmocka_run_group_tests("attempts", tests, 2, NULL, NULL);
	}
	for (size_t i = 0; i < ATTEMPT_COUNT; i++)
		tests[i + 1] = (struct CMUnitTest){
		    .name = attempts[i].name,
		    .test_func = an_attempt,
		    .initial_state = (void *)(uintptr_t)&attempts[i],
		};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
