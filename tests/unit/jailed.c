/* tests/unit/jailed: runs a piece of a test as another user, or in namespaces, in a child. Unit tests of sandbox/. */

#include "tests/unit/jailed.h"

#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int
wait_for(pid_t pid)
{
	int status = -1;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void __attribute__((noreturn))
run(jailed_fn *fn, void *arg)
{
	struct err e = {0};
	int rc = fn(arg, &e);

	if (rc != 0)
		fprintf(stderr, "%s\n", e.msg);
	_exit(rc == 0 ? EXIT_SUCCESS : rc == ERR_UNSUPPORTED ? JAILED_SKIP : EXIT_FAILURE);
}

int
jailed_fork(jailed_fn *fn, void *arg)
{
	pid_t pid = fork();

	if (pid == 0)
		run(fn, arg);
	return wait_for(pid);
}

int
jailed_plain(jailed_fn *fn, void *arg)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (geteuid() == 0 &&
		    (setgroups(0, NULL) != 0 || setresgid(JAILED_PLAIN_UID, JAILED_PLAIN_UID, JAILED_PLAIN_UID) != 0 ||
			setresuid(JAILED_PLAIN_UID, JAILED_PLAIN_UID, JAILED_PLAIN_UID) != 0 ||
			prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0))
			_exit(EXIT_FAILURE);
		run(fn, arg);
	}
	return wait_for(pid);
}

static int
do_spawn(void *arg, struct err *e)
{
	const struct spawn_config *cfg = arg;
	int status;
	pid_t pid;
	int rc = spawn(cfg, &pid, e);

	if (rc != 0)
		return rc;
	NEED(waitpid(pid, &status, 0) == pid);
	NEED(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return 0;
}

static void
conclude(int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == JAILED_SKIP)
		skip();
	assert_int_equal(status, 0);
}

void
jailed_spawn_root(jailed_fn *fn, void *arg)
{
	struct spawn_config cfg = {
	    .namespaces = SPAWN_NAMESPACES, .change_id = true, .id = JAILED_UID_BASE + 16, .run = fn, .arg = arg};

	if (geteuid() != 0)
		skip();
	conclude(jailed_fork(do_spawn, &cfg));
}

void
jailed_spawn_plain(jailed_fn *fn, void *arg)
{
	struct spawn_config cfg = {.namespaces = SPAWN_NAMESPACES, .run = fn, .arg = arg};

	conclude(jailed_plain(do_spawn, &cfg));
}
