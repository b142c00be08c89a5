/* sandbox/launcher: starts and reaps zygotes and compilers for brigd; sees no job and no module. Launcher process. */

#ifndef SANDBOX_LAUNCHER_H
#define SANDBOX_LAUNCHER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "sandbox/jail.h"

/* Ids after --uid-base: its own, and those of its children, handed out in turn and not twice at a time. */
#define LAUNCHER_UID_OFFSET   1
#define LAUNCHER_CHILD_OFFSET 16
#define LAUNCHER_CHILD_IDS    4096

struct launcher_config {
	const char *worker;   /* path of brig-worker */
	const char *compiler; /* path of brig-compiler */
	enum jail_profile profile;
	uid_t uid_base; /* started as root: where the ids begin; otherwise 0 */
	/*
	 * Control groups around children (sandbox/cgroup.h): "off", "auto" for when a group is delegated, "required", or
	 * the path of one, which is required then.
	 */
	const char *cgroup;
	uint64_t cgroup_memory_bytes;
	uint64_t cgroup_cpu_percent;
};

struct launcher;

/*
 * launcher_new - open the programs, build the filters, find the control groups, and, started as root, become uid_base +
 * LAUNCHER_UID_OFFSET with no capability but CAP_SETUID, CAP_SETGID, CAP_SYS_ADMIN and CAP_KILL, which starting children
 * as other users in new namespaces and killing them takes. Changes the whole process, for good: no_new_privs, not
 * dumpable, no core files. Copies what it needs of `cfg`.
 *
 * Returns 0 with *out to be ended by launcher_free(), or an error with what to do about it.
 */
int launcher_new(const struct launcher_config *cfg, struct launcher **out, struct err *e);
void launcher_free(struct launcher *l);

/*
 * launcher_serve - say PROTO_READY on `sock`, then serve PROTO_SPAWN and PROTO_KILL until the other side closes, and
 * report PROTO_CHILD_EXITED for every child. All children are killed and reaped before it returns.
 *
 * Returns 0 at the end of file; ERR_PROTOCOL after a message that must not occur; ERR_IO otherwise.
 */
int launcher_serve(struct launcher *l, int sock, struct err *e);

#endif
