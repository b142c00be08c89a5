/* sandbox/cgroup: control groups (v2) with limits around zygotes and compilers. Launcher; brig doctor looks. */

#include "sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "sandbox/spawn.h"

#define FILE_MAX       (1024 * 1024) /* of what the kernel says in one file */
#define CPU_PERIOD_US  100000
#define EMPTYING_TRIES 16
#define LOCK_WAIT_MS   3000 /* for a launcher that is ending */
#define LOCK_PAUSE_MS  10

struct cgroup {
	int jail; /* the directory, locked */
	uint64_t memory_bytes; /* of all together */
};

/* --- text ------------------------------------------------------------------------------------------------------- */

/* The rest of the next line that begins with `start`, up to its newline; NULL for none. */
static const char *
find_line(const char *text, const char *start, size_t *length)
{
	while (text != NULL && strncmp(text, start, strlen(start)) != 0) {
		text = strchr(text, '\n');
		text = text != NULL ? text + 1 : NULL;
	}
	if (text == NULL)
		return NULL;
	text += strlen(start);
	*length = strcspn(text, "\n");
	return text;
}

/* mountinfo writes blanks and backslashes as \ooo. A name that was cut may end within one. */
static void
unescape(char *text)
{
	char *to = text;

	for (; *text != '\0'; text++) {
		if (*text == '\\' && strspn(text + 1, "01234567") >= 3) {
			*to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* Whether the line is a mount of version 2, with what part of the tree it shows and where. */
static bool
parse_mount(const char *line, size_t length, char root[PATH_MAX], char point[PATH_MAX])
{
	char copy[2 * PATH_MAX + 256];
	const char *kind;

	if (length >= sizeof(copy))
		return false;
	memcpy(copy, line, length);
	copy[length] = '\0';
	kind = strstr(copy, " - ");
	if (kind == NULL || strncmp(kind, " - cgroup2 ", 11) != 0 ||
	    sscanf(copy, "%*s %*s %*s %4095s %4095s", root, point) != 2)
		return false;
	unescape(root);
	unescape(point);
	return true;
}

/* What is left of `path` below `root`, both absolute; NULL when it is elsewhere. */
static const char *
below(const char *path, const char *root)
{
	size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);

	return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0') ? path + length : NULL;
}

int
cgroup_locate(const char *groups, const char *mounts, char path[PATH_MAX], struct err *e)
{
	char own[PATH_MAX], root[PATH_MAX], point[PATH_MAX];
	size_t length = 0;
	const char *line = find_line(groups, "0::/", &length);
	bool mounted = false;

	if (line == NULL)
		return err_set(e, ERR_UNSUPPORTED, "this process is in no control group of version 2");
	if (length + 2 > sizeof(own))
		return err_set(e, ERR_LIMIT, "the path of the control group is too long");
	snprintf(own, sizeof(own), "/%.*s", (int)length, line);
	if (below(own, "/..") != NULL)
		return err_set(e, ERR_UNSUPPORTED, "this process's control group is outside of its namespace");
	for (line = mounts; *line != '\0'; line += length + (line[length] == '\n')) {
		const char *rest;

		length = strcspn(line, "\n");
		if (!parse_mount(line, length, root, point))
			continue;
		mounted = true;
		rest = below(own, root);
		if (rest == NULL)
			continue;
		if (snprintf(path, PATH_MAX, "%s%s", point, strcmp(rest, "/") == 0 ? "" : rest) >= PATH_MAX)
			return err_set(e, ERR_LIMIT, "the path of the control group is too long");
		return 0;
	}
	return err_set(e, ERR_UNSUPPORTED,
	    mounted ? "the mounted part of the control groups does not have %.200s" : "no control groups of version 2 are mounted",
	    own);
}

/* Whether one of the words of `text`, which blanks separate, is `word`. */
static bool
has_word(const char *text, const char *word)
{
	for (size_t n; *text != '\0'; text += n) {
		text += strspn(text, " \n");
		n = strcspn(text, " \n");
		if (n == strlen(word) && strncmp(text, word, n) == 0)
			return true;
	}
	return false;
}

int
cgroup_needs(const char *controllers, struct err *e)
{
	bool memory = has_word(controllers, "memory"), pids = has_word(controllers, "pids");

	if (memory && pids)
		return 0;
	return err_set(e, ERR_UNSUPPORTED, "the group lacks %s%s%s: not delegated, or used by version 1 (hybrid)",
	    memory ? "" : "the memory controller", !memory && !pids ? " and " : "", pids ? "" : "the pids controller");
}

/* --- files of a group ------------------------------------------------------------------------------------------- */

/* The text of a file of a group; the caller frees it. NULL with the error. */
static char *
get(int dir, const char *name, struct err *e)
{
	uint8_t *text = NULL;
	size_t length;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err_sys(e, ERR_IO, "%s", name);
	else if (io_read_fd(fd, FILE_MAX, &text, &length, e) != 0)
		text = NULL;
	if (fd >= 0)
		close(fd);
	return (char *)text;
}

static int
put(int dir, const char *name, const char *text, struct err *e)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		rc = err_sys(e, ERR_IO, "writing %.40s to %s of a control group", text, name);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
put_number(int dir, const char *name, uint64_t value, struct err *e)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return put(dir, name, text, e);
}

/* Makes a group below, or takes the one that is there. The descriptor, or an error. */
static int
make_group(int dir, const char *name, struct err *e)
{
	int fd;

	if (mkdirat(dir, name, 0755) != 0 && errno != EEXIST)
		return err_sys(e, ERR_IO, "making the control group %s", name);
	fd = spawn_high_fd(openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	return fd >= 0 ? fd : err_sys(e, ERR_IO, "the control group %s", name);
}

/* --- the top ---------------------------------------------------------------------------------------------------- */

static int
open_group(const char *path, struct err *e)
{
	int fd = spawn_high_fd(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct statfs fs;

	if (fd < 0)
		return err_sys(e, ERR_UNSUPPORTED, "%s", path);
	if (fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
		return fd;
	close(fd);
	return err_set(e, ERR_UNSUPPORTED, "%s is not a control group of version 2", path);
}

/* The mark that systemd puts on what it delegates; who is not root may read only the second. */
static bool
is_marked(int dir)
{
	char value[4];

	return (fgetxattr(dir, "trusted.delegate", value, sizeof(value)) == 1 && value[0] == '1') ||
	       (fgetxattr(dir, "user.delegate", value, sizeof(value)) == 1 && value[0] == '1');
}

static bool
is_writable(int dir)
{
	return faccessat(dir, ".", W_OK, AT_EACCESS) == 0 && faccessat(dir, "cgroup.procs", W_OK, AT_EACCESS) == 0 &&
	       faccessat(dir, "cgroup.subtree_control", W_OK, AT_EACCESS) == 0;
}

/* Whether a group has the controllers that limits take. */
static int
check_controllers(int dir, struct err *e)
{
	char *text = get(dir, "cgroup.controllers", e);
	int rc = text != NULL ? cgroup_needs(text, e) : e->code;

	free(text);
	return rc;
}

/*
 * The group that systemd delegated to this process: its own, or with DelegateSubgroup= the one above. A user can write to
 * nothing else; older releases of systemd mark it for root only.
 */
static int
find_delegated(const char *own, struct err *e)
{
	char above[PATH_MAX];
	int fd = open_group(own, e), parent = -1, rc;

	if (fd < 0 || is_marked(fd) || (geteuid() != 0 && is_writable(fd)))
		return fd;
	if (snprintf(above, sizeof(above), "%s/..", own) < (int)sizeof(above))
		parent = open_group(above, NULL);
	if (parent >= 0 && is_marked(parent) && is_writable(parent)) {
		close(fd);
		return parent;
	}
	rc = check_controllers(fd, e); /* where it has none, that has to be put right first */
	if (rc == 0)
		rc = err_set(e, ERR_UNSUPPORTED, "the control group %.300s is not delegated to this process", own);
	if (parent >= 0)
		close(parent);
	close(fd);
	return rc;
}

static int
find_own(struct err *e)
{
	char path[PATH_MAX];
	uint8_t *groups = NULL, *mounts = NULL;
	size_t length;
	int rc = io_read_file("/proc/self/cgroup", FILE_MAX, &groups, &length, e);

	if (rc == 0)
		rc = io_read_file("/proc/self/mountinfo", FILE_MAX, &mounts, &length, e);
	if (rc == 0)
		rc = cgroup_locate((const char *)groups, (const char *)mounts, path, e);
	if (rc == 0)
		rc = find_delegated(path, e);
	free(groups);
	free(mounts);
	return rc;
}

static int
find_top(const char *where, struct err *e)
{
	int top = strcmp(where, "auto") == 0 ? find_own(e) : open_group(where, e);
	int rc;

	if (top < 0)
		return top;
	rc = check_controllers(top, e);
	if (rc == 0)
		return top;
	close(top);
	return rc;
}

/* --- who is in it ----------------------------------------------------------------------------------------------- */

static pid_t
parent_of(pid_t pid)
{
	char path[40];
	uint8_t *text = NULL;
	const char *after;
	size_t length;
	int parent = -1;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (io_read_file(path, FILE_MAX, &text, &length, NULL) == 0 && (after = strrchr((char *)text, ')')) != NULL &&
	    sscanf(after, ") %*c %d", &parent) != 1)
		parent = -1;
	free(text);
	return parent;
}

/* brigd's family, as the launcher sees it. Its parent may be somebody else where brig doctor asks. */
static bool
is_ours(pid_t pid, bool family)
{
	return pid == getpid() || (family && (pid == getppid() || parent_of(pid) == getppid()));
}

/* Moves our processes from the top into a group; with -1 it only looks. Says in *left how many there were. */
static int
move_ours(int top, int to, bool family, unsigned *left, struct err *e)
{
	char *procs = get(top, "cgroup.procs", e), *at = procs, *end;
	int rc = procs != NULL ? 0 : e->code;

	*left = 0;
	for (; rc == 0 && *at != '\0'; at = end + 1, (*left)++) {
		pid_t pid = (pid_t)strtol(at, &end, 10);

		if (*end != '\n' || !is_ours(pid, family))
			rc = err_set(e, ERR_UNSUPPORTED, "another process (%d) is in the control group", (int)pid);
		else if (to >= 0 && put_number(to, "cgroup.procs", (uint64_t)pid, e) != 0)
			rc = errno == ESRCH ? 0 : e->code; /* it has just ended */
	}
	free(procs);
	return rc;
}

/* Others in the top are found before anything is moved. */
static int
empty_top(int top, struct err *e)
{
	unsigned left = 1;
	int leaf, rc = move_ours(top, -1, true, &left, e);

	if (rc != 0 || left == 0)
		return rc;
	leaf = make_group(top, "brigd", e);
	if (leaf < 0)
		return leaf;
	for (int i = 0; rc == 0 && left > 0 && i < EMPTYING_TRIES; i++) /* brigd may have started another meanwhile */
		rc = move_ours(top, leaf, true, &left, e);
	close(leaf);
	return rc;
}

int
cgroup_look(struct err *e)
{
	unsigned left;
	int top = find_top("auto", e), rc;

	if (top < 0)
		return top;
	rc = move_ours(top, -1, false, &left, e);
	close(top);
	return rc;
}

/* --- making the tree -------------------------------------------------------------------------------------------- */

/* Memory and processes are needed, processor time is taken where it can be had. */
static int
pass_on(int dir, struct err *e)
{
	int rc = put(dir, "cgroup.subtree_control", "+memory +pids", e);

	if (rc == 0)
		put(dir, "cgroup.subtree_control", "+cpu", NULL);
	return rc;
}

static uint64_t
three_quarters_of_memory(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) / 4 * 3 * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int
limit_all(const struct cgroup *g, uint64_t cpu_percent, struct err *e)
{
	char text[48];
	int rc = put_number(g->jail, "memory.max", g->memory_bytes, e);

	if (rc != 0)
		return rc;
	put(g->jail, "memory.swap.max", "0", NULL); /* a kernel without swap has no such file */
	if (cpu_percent == 0) {
		put(g->jail, "cpu.max", "max", NULL); /* there may be no such controller, and it is not asked for */
		return 0;
	}
	snprintf(text, sizeof(text), "%" PRIu64 " %d", cpu_percent * (CPU_PERIOD_US / 100), CPU_PERIOD_US);
	return put(g->jail, "cpu.max", text, e);
}

/*
 * Takes jail/ for this process alone, for as long as it holds the directory open. A launcher whose brigd has just ended is
 * about to end too: it is waited for.
 */
static int
lock_jail(int jail, struct err *e)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};

	for (int waited = 0; flock(jail, LOCK_EX | LOCK_NB) != 0; waited += LOCK_PAUSE_MS) {
		if (errno != EWOULDBLOCK)
			return err_sys(e, ERR_IO, "locking a control group");
		if (waited >= LOCK_WAIT_MS)
			return err_set(e, ERR_EXISTS, "another brigd uses this control group: end it, or start this one in a group of "
			    "its own, or without with --cgroup off");
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* Goes to jail/launcher, from where it may move its children. */
static int
enter_place(int jail, struct err *e)
{
	int place = make_group(jail, "launcher", e), rc;

	if (place < 0)
		return place;
	rc = put_number(place, "cgroup.procs", (uint64_t)getpid(), e);
	close(place);
	return rc;
}

static int
hand_over(int jail, uid_t owner, struct err *e)
{
	if (owner != 0 && (fchown(jail, owner, (gid_t)-1) != 0 || fchownat(jail, "cgroup.procs", owner, (gid_t)-1, 0) != 0))
		return err_sys(e, ERR_IO, "giving a control group to uid %u", (unsigned)owner);
	return 0;
}

/* What a killed launcher has left: groups by number, unless something is still dying in them. */
static void
remove_leftovers(int jail)
{
	int fd = openat(jail, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL)
		if (strspn(entry->d_name, "0123456789") == strlen(entry->d_name))
			unlinkat(jail, entry->d_name, AT_REMOVEDIR);
	if (d != NULL)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

int
cgroup_open(const struct cgroup_config *cfg, struct cgroup **out, struct err *e)
{
	struct cgroup *g = calloc(1, sizeof(*g));
	int top = -1, rc = 0;

	if (g == NULL)
		return err_set(e, ERR_NOMEM, "a control group");
	g->jail = -1;
	g->memory_bytes = cfg->memory_bytes != 0 ? cfg->memory_bytes : three_quarters_of_memory();
	if ((top = find_top(cfg->where, e)) < 0)
		rc = top;
	if (rc == 0)
		rc = empty_top(top, e);
	if (rc == 0)
		rc = pass_on(top, e);
	if (rc == 0 && (g->jail = make_group(top, "jail", e)) < 0)
		rc = g->jail;
	if (rc == 0)
		rc = lock_jail(g->jail, e);
	if (rc == 0)
		rc = pass_on(g->jail, e);
	if (rc == 0)
		rc = enter_place(g->jail, e);
	if (rc == 0)
		rc = limit_all(g, cfg->cpu_percent, e);
	if (rc == 0)
		rc = hand_over(g->jail, cfg->owner, e);
	if (top >= 0)
		close(top);
	if (rc != 0) {
		cgroup_close(g);
		return rc;
	}
	remove_leftovers(g->jail);
	*out = g;
	return 0;
}

void
cgroup_close(struct cgroup *g)
{
	if (g == NULL)
		return;
	if (g->jail >= 0)
		close(g->jail);
	free(g);
}

/* --- groups of children ----------------------------------------------------------------------------------------- */

int
cgroup_add(const struct cgroup *g, unsigned n, const struct cgroup_limits *limits, pid_t pid, struct err *e)
{
	char name[16];
	int group, rc;

	snprintf(name, sizeof(name), "%u", n);
	group = make_group(g->jail, name, e);
	if (group < 0)
		return group;
	rc = put_number(group, "memory.max", limits->memory_bytes != 0 ? limits->memory_bytes : g->memory_bytes / 8 * 7, e);
	if (rc == 0)
		rc = put_number(group, "pids.max", limits->processes, e);
	if (rc == 0)
		rc = put_number(group, "cgroup.procs", (uint64_t)pid, e);
	close(group);
	if (rc != 0)
		cgroup_remove(g, n);
	return rc;
}

void
cgroup_remove(const struct cgroup *g, unsigned n)
{
	char name[16], file[40];

	snprintf(name, sizeof(name), "%u", n);
	snprintf(file, sizeof(file), "%s/cgroup.kill", name);
	put(g->jail, file, "1", NULL); /* before Linux 5.14 there is no such file: what is left dies with its parent */
	unlinkat(g->jail, name, AT_REMOVEDIR);
}
