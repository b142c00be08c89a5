/*
 * Control groups: what is read from the kernel's texts; and, where this machine has memory and pids on version 2 and the
 * tests run as root, that groups bound what runs in them.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"
#include "sandbox/cgroup.h"
#include "tests/unit/jailed.h"

#define MIB ((uint64_t)1 << 20)

/* --- texts ------------------------------------------------------------------------------------------------------ */

#define UNIFIED "25 30 0:23 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define HYBRID                                                              \
	"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"        \
	"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" \
	"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"

static void
finds_the_directory_of_its_group(void **state)
{
	static const struct {
		const char *groups, *mounts, *path;
	} cases[] = {
	    {"0::/system.slice/brigd.service\n", UNIFIED, "/sys/fs/cgroup/system.slice/brigd.service"},
	    {"0::/\n", UNIFIED, "/sys/fs/cgroup"},
	    {"4:memory:/a\n1:name=systemd:/b\n0::/c\n", HYBRID, "/sys/fs/cgroup/unified/c"},
	    {"0::/c", HYBRID, "/sys/fs/cgroup/unified/c"},
	    {"0::/a/b\n", "1 2 0:3 /a /mnt rw - cgroup2 none rw", "/mnt/b"},
	    {"0::/a\n", "1 2 0:3 /a /mnt rw - cgroup2 none rw\n", "/mnt"},
	    {"0::/a/b\n", "1 2 0:3 /other /x rw - cgroup2 none rw\n1 2 0:3 / /y rw - cgroup2 none rw\n", "/y/a/b"},
	    {"0::/a\n", "1 2 0:3 / /with\\040blank\\134 rw - cgroup2 none rw\n", "/with blank\\/a"},
	    {"0::/a\n", "1 2 0:3 / /cut\\04 rw - cgroup2 none rw\n", "/cut\\04/a"},
	    {"0::/a\n", "1 2 0:3 / /cut\\ rw - cgroup2 none rw\n", "/cut\\/a"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[PATH_MAX];
		struct err e = {0};

		if (cgroup_locate(cases[i].groups, cases[i].mounts, path, &e) != 0)
			fail_msg("case %zu: %s", i, e.msg);
		assert_string_equal(path, cases[i].path);
	}
}

static void
says_why_there_is_no_directory(void **state)
{
	static const struct {
		const char *groups, *mounts, *why;
	} cases[] = {
	    {"", UNIFIED, "in no control group of version 2"},
	    {"4:memory:/a\n", UNIFIED, "in no control group of version 2"},
	    {"10::/a\n", UNIFIED, "in no control group of version 2"},
	    {"0::relative\n", UNIFIED, "in no control group of version 2"},
	    {"0::/a\n", "", "no control groups of version 2 are mounted"},
	    {"0::/a\n", "31 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "no control groups of version 2 are mounted"},
	    {"0::/a\n", "1 2 0:3 / / rw - tmpfs cgroup2 rw\n", "no control groups of version 2 are mounted"},
	    {"0::/ab\n", "1 2 0:3 /a /mnt rw - cgroup2 none rw\n", "does not have /ab"},
	    {"0::/../b\n", UNIFIED, "outside of its namespace"},
	    {"0::/..\n", UNIFIED, "outside of its namespace"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[PATH_MAX];
		struct err e = {0};

		assert_int_equal(cgroup_locate(cases[i].groups, cases[i].mounts, path, &e), ERR_UNSUPPORTED);
		if (strstr(e.msg, cases[i].why) == NULL)
			fail_msg("case %zu: %s", i, e.msg);
	}
}

static void
a_path_that_is_too_long_is_refused(void **state)
{
	static char groups[PATH_MAX + 8], mounts[2 * PATH_MAX];
	char path[PATH_MAX];
	struct err e;

	(void)state;
	snprintf(groups, sizeof(groups), "0::/%0*d\n", PATH_MAX - 2, 0);
	assert_int_equal(cgroup_locate(groups, UNIFIED, path, &e), ERR_LIMIT);
	snprintf(groups, sizeof(groups), "0::/%0*d\n", PATH_MAX, 0);
	assert_int_equal(cgroup_locate(groups, UNIFIED, path, &e), ERR_LIMIT);
	snprintf(mounts, sizeof(mounts), "1 2 0:3 / /%0*d rw - cgroup2 none rw\n", PATH_MAX + 100, 0);
	assert_int_not_equal(cgroup_locate("0::/a\n", mounts, path, &e), 0);
}

static void
names_the_controllers_that_are_missing(void **state)
{
	struct err e = {0};

	(void)state;
	assert_int_equal(cgroup_needs("cpuset cpu io memory hugetlb pids rdma\n", &e), 0);
	assert_int_equal(cgroup_needs("memory pids", &e), 0);
	assert_int_equal(cgroup_needs("hugetlb\n", &e), ERR_UNSUPPORTED);
	assert_non_null(strstr(e.msg, "memory controller and the pids controller"));
	assert_int_equal(cgroup_needs("memory", &e), ERR_UNSUPPORTED);
	assert_non_null(strstr(e.msg, "the pids controller"));
	assert_null(strstr(e.msg, "memory"));
	assert_int_equal(cgroup_needs("memoryx pids", &e), ERR_UNSUPPORTED);
	assert_int_equal(cgroup_needs("", &e), ERR_UNSUPPORTED);
}

/* --- groups ----------------------------------------------------------------------------------------------------- */

/* A group of our own at the root of the tree, as an operator would name it. Ends the test where there can be none. */
static void
take_group(char path[PATH_MAX])
{
	uint8_t *mounts = NULL, *controllers = NULL;
	char file[PATH_MAX + 40];
	struct err e = {0};
	size_t length;
	int rc;

	if (geteuid() != 0) {
		print_message("only root makes groups at the root of the tree\n");
		skip();
	}
	assert_int_equal(io_read_file("/proc/self/mountinfo", 1 << 20, &mounts, &length, &e), 0);
	rc = cgroup_locate("0::/\n", (const char *)mounts, path, &e);
	free(mounts);
	if (rc == 0) {
		snprintf(file, sizeof(file), "%s/cgroup.subtree_control", path);
		rc = io_read_file(file, 1 << 20, &controllers, &length, &e);
	}
	if (rc == 0)
		rc = cgroup_needs((const char *)controllers, &e);
	free(controllers);
	if (rc != 0) {
		print_message("%s\n", e.msg);
		skip();
	}
	length = strlen(path);
	snprintf(path + length, PATH_MAX - length, "/brig-test-%d", (int)getpid());
	assert_int_equal(mkdir(path, 0755), 0);
}

/* Removes it, when nobody is left in it. */
static void
give_group(const char *path)
{
	static const char *const parts[] = {"/jail/1", "/jail/launcher", "/jail", "/brigd", ""};
	char part[PATH_MAX + 40];

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		snprintf(part, sizeof(part), "%s%s", path, parts[i]);
		if (rmdir(part) != 0 && errno != ENOENT)
			fail_msg("%s: %s", part, strerror(errno));
	}
}

/* A process that waits for a byte and then does `what`; its exit status is what that returns. */
static pid_t
waiting_child(int (*what)(void), int go[2])
{
	pid_t pid;

	if (pipe(go) != 0 || (pid = fork()) < 0)
		return -1;
	if (pid == 0) {
		char byte;

		close(go[1]);
		_exit(read(go[0], &byte, 1) == 1 ? what() : 99);
	}
	close(go[0]);
	return pid;
}

static int
fork_until_refused(void)
{
	int made = 0;
	pid_t pid;

	while (made < 90 && (pid = fork()) >= 0) {
		if (pid == 0)
			pause();
		made++;
	}
	return errno == EAGAIN ? made : 98;
}

static int
use_memory(void)
{
	char *p = mmap(NULL, 128 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; p != MAP_FAILED && i < 128 * MIB; i += 4096)
		((volatile char *)p)[i] = 1;
	return 0;
}

struct bounded {
	const char *path;
	int (*what)(void);
	int status; /* what the kernel is to say of it */
};

/* As the launcher: opens, leaves root, and puts a child into a group; what is left in the group goes with it. */
static int
bound_a_child(void *arg, struct err *e)
{
	const struct bounded *b = arg;
	const struct cgroup_config cfg = {.where = b->path, .owner = JAILED_UID_BASE, .memory_bytes = 64 * MIB};
	const struct cgroup_limits limits = {.memory_bytes = 32 * MIB, .processes = 8};
	char file[PATH_MAX + 40];
	struct cgroup *g;
	struct err why;
	int go[2], status;
	pid_t pid;

	NEED(cgroup_open(&cfg, &g, e) == 0);
	NEED(setresgid(JAILED_UID_BASE, JAILED_UID_BASE, JAILED_UID_BASE) == 0);
	NEED(setresuid(JAILED_UID_BASE, JAILED_UID_BASE, JAILED_UID_BASE) == 0);
	pid = waiting_child(b->what, go);
	if (cgroup_add(g, 1, &limits, pid, &why) != 0)
		return err_set(e, ERR_IO, "%s", why.msg);
	NEED(write(go[1], "", 1) == 1 && waitpid(pid, &status, 0) == pid);
	snprintf(file, sizeof(file), "%s/jail/1", b->path);
	NEED(access(file, F_OK) == 0);
	cgroup_remove(g, 1);
	cgroup_remove(g, 2); /* not there */
	while (access(file, F_OK) == 0) /* until what was killed has gone */
		cgroup_remove(g, 1);
	cgroup_close(g);
	if (status != b->status)
		return err_set(e, ERR_INVAL, "status %#x instead of %#x", status, b->status);
	return 0;
}

static void
processes_in_a_group_are_bounded(void **state)
{
	char path[PATH_MAX];
	struct bounded b = {path, fork_until_refused, 7 << 8}; /* eight with itself */

	(void)state;
	take_group(path);
	assert_int_equal(jailed_fork(bound_a_child, &b), 0);
	give_group(path);
}

static void
memory_of_a_group_is_bounded(void **state)
{
	char path[PATH_MAX];
	struct bounded b = {path, use_memory, SIGKILL};

	(void)state;
	take_group(path);
	assert_int_equal(jailed_fork(bound_a_child, &b), 0);
	give_group(path);
}

/* A process of somebody else sits in the group: its parent is not ours. */
static int
open_where_another_is(void *arg, struct err *e)
{
	const struct cgroup_config cfg = {.where = arg};
	struct cgroup *g;
	struct err why;

	NEED(cgroup_open(&cfg, &g, &why) == ERR_UNSUPPORTED);
	NEED(strstr(why.msg, "another process") != NULL);
	(void)e;
	return 0;
}

static int
open_twice(void *arg, struct err *e)
{
	const struct cgroup_config cfg = {.where = arg};
	struct cgroup *g, *again;
	struct err why;

	NEED(cgroup_open(&cfg, &g, e) == 0);
	NEED(cgroup_open(&cfg, &again, &why) == ERR_EXISTS);
	cgroup_close(g);
	return 0;
}

/* A launcher that is killed while this one begins to wait for it; it leaves groups with a gap between them. */
static int
open_after_another(void *arg, struct err *e)
{
	const struct cgroup_config cfg = {.where = arg};
	char first[PATH_MAX + 40], last[PATH_MAX + 40];
	struct cgroup *g;
	int ready[2];
	char byte;
	pid_t pid;

	snprintf(first, sizeof(first), "%s/jail/0", cfg.where);
	snprintf(last, sizeof(last), "%s/jail/7", cfg.where);
	NEED(pipe(ready) == 0);
	pid = fork();
	if (pid == 0) {
		bool good = cgroup_open(&cfg, &g, e) == 0 && mkdir(first, 0755) == 0 && mkdir(last, 0755) == 0 &&
		    rmdir(first) == 0 && write(ready[1], "", 1) == 1;

		_exit(good && raise(SIGKILL) == 0 ? 1 : 2);
	}
	NEED(close(ready[1]) == 0 && read(ready[0], &byte, 1) == 1);
	NEED(cgroup_open(&cfg, &g, e) == 0);
	NEED(waitpid(pid, NULL, 0) == pid);
	NEED(access(last, F_OK) != 0);
	cgroup_close(g);
	return 0;
}

static void
a_group_whose_launcher_dies_is_taken(void **state)
{
	char path[PATH_MAX];

	(void)state;
	take_group(path);
	assert_int_equal(jailed_fork(open_after_another, path), 0);
	give_group(path);
}

static void
a_group_in_use_is_left_alone(void **state)
{
	char path[PATH_MAX], file[PATH_MAX + 40], text[16];
	int go[2], fd;
	pid_t pid;

	(void)state;
	take_group(path);
	pid = waiting_child(fork_until_refused, go);
	snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	snprintf(text, sizeof(text), "%d", (int)pid);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	/* one fork down, our child is not a child of the opener's parent */
	fd = fork();
	if (fd == 0)
		_exit(jailed_fork(open_where_another_is, path) == 0 ? 0 : 1);
	assert_int_equal(waitpid(fd, &fd, 0) > 0 ? fd : -1, 0);
	close(go[1]);
	waitpid(pid, NULL, 0);
	assert_int_equal(jailed_fork(open_twice, path), 0);
	give_group(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(finds_the_directory_of_its_group),
	    cmocka_unit_test(says_why_there_is_no_directory),
	    cmocka_unit_test(a_path_that_is_too_long_is_refused),
	    cmocka_unit_test(names_the_controllers_that_are_missing),
	    cmocka_unit_test(processes_in_a_group_are_bounded),
	    cmocka_unit_test(memory_of_a_group_is_bounded),
	    cmocka_unit_test(a_group_in_use_is_left_alone),
	    cmocka_unit_test(a_group_whose_launcher_dies_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
