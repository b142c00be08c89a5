/* sandbox/cgroup: control groups (v2) with limits around zygotes and compilers. Launcher; brig doctor looks. */

#ifndef SANDBOX_CGROUP_H
#define SANDBOX_CGROUP_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * Below the group that was delegated to brigd, the top, are made:
 *
 *     brigd/           brigd, store and logger, since a group with controllers may have no process of its own
 *     jail/            all that is jailed; the limits on all together
 *     jail/launcher/   the launcher, which moves its children from here
 *     jail/N/          a zygote with its workers, or a compiler; there while it lives
 *
 * The top and the first three stay when brigd ends, empty, for systemd or the next brigd.
 */
struct cgroup;

struct cgroup_config {
	const char *where;     /* "auto": the top is what systemd delegated to this process; otherwise its path */
	uid_t owner;           /* as root: the uid that adds and removes groups from then on; 0: no change */
	uint64_t memory_bytes; /* all of jail/; 0: three quarters of the machine's memory */
	uint64_t cpu_percent;  /* all of jail/, in percent of one processor; 0: no bound */
};

struct cgroup_limits {
	uint64_t memory_bytes; /* 0: seven eighths of what all have, so that others outlive it */
	uint64_t processes;
};

/* How to get what cgroup_open did not find. */
#define CGROUP_HOW                                                                                               \
	"start brigd where systemd delegates a group to it: Delegate=yes in the unit's [Service], or by hand "   \
	"systemd-run --scope -p Delegate=yes brigd (with --user for a user). Without systemd, name an empty "    \
	"group that brigd may write to with --cgroup PATH. Memory and pids must be on version 2: on a hybrid "   \
	"system boot with systemd.unified_cgroup_hierarchy=1"

/*
 * cgroup_open - find the top, make what is said above, and move this process, its parent and the parent's other children
 * out of the top, as far as they are in it. Any other process there is an error: nobody else's process is moved. A
 * launcher that still uses it gets 3 s to end.
 *
 * Returns 0 with *out for cgroup_close(), which lets others use it and undoes nothing else; or ERR_UNSUPPORTED when there
 * is no such top with controllers for memory and processes, with the reason; ERR_EXISTS when another launcher uses it,
 * with what to do; ERR_IO.
 */
int cgroup_open(const struct cgroup_config *cfg, struct cgroup **out, struct err *e);
void cgroup_close(struct cgroup *g);

/* cgroup_look - whether cgroup_open would find a top for a brigd that is started as and where this process is. */
int cgroup_look(struct err *e);

/*
 * cgroup_add - make group `n` with its limits and move process `pid` into it, with what it will fork. A group that is
 * there already is taken: what is in it has been killed. Returns 0 or ERR_IO.
 */
int cgroup_add(const struct cgroup *g, unsigned n, const struct cgroup_limits *limits, pid_t pid, struct err *e);

/* cgroup_remove - kill what is left in group `n`, and remove it unless something is still dying in it. */
void cgroup_remove(const struct cgroup *g, unsigned n);

/*
 * cgroup_locate - the directory of a process's own group, from the text of its /proc/PID/cgroup and /proc/PID/mountinfo.
 * Pure. Returns 0; ERR_UNSUPPORTED when the process is in no version 2 group, none is mounted, or the mounted part does
 * not have it; ERR_LIMIT for a path that is too long.
 */
int cgroup_locate(const char *groups, const char *mounts, char path[PATH_MAX], struct err *e);

/*
 * cgroup_needs - whether cgroup.controllers, with this text, has what limits take: ERR_UNSUPPORTED names what it lacks.
 * Pure.
 */
int cgroup_needs(const char *controllers, struct err *e);

#endif
