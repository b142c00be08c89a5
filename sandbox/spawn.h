/* sandbox/spawn: a child in namespaces of its own, with a uid of its own. Launcher; brig doctor tries. */

#ifndef SANDBOX_SPAWN_H
#define SANDBOX_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/proto.h"

/* Every namespace, for clone(2), and the layers that having them gives. */
#define SPAWN_NAMESPACES \
	(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

struct spawn_config {
	int namespaces; /* SPAWN_NAMESPACES or a part of it; 0 for none */
	bool change_id; /* take `id`; needs CAP_SETUID and CAP_SETGID, and CAP_SYS_ADMIN with namespaces */
	uid_t id;       /* uid and gid, as the host sees them; never 0 */
	/* Runs in the parent while the child waits, before `run`: a failure ends the child. May be NULL. */
	int (*place)(void *arg, pid_t pid, struct err *e);
	/*
	 * Runs in the child: process 1 and uid 0 of its namespaces, or plain `id` without them; a session of its own;
	 * no signal blocked; SIGKILL when the parent dies. It execs, or returns, which ends the child: with 0 or an error that
	 * becomes spawn's. Descriptors below 10 are its to use.
	 */
	int (*run)(void *arg, struct err *e);
	void *arg;
};

/*
 * spawn - start a child and wait until it has executed another program, has closed every descriptor from 10 up, or has
 * ended. The caller is single-threaded and reaps *pid.
 *
 * Returns 0; ERR_UNSUPPORTED when namespaces cannot be had here, with why and how to get them; ERR_IO, or what `run`
 * returned: the child is then dead and reaped and *pid untouched.
 */
int spawn(const struct spawn_config *cfg, pid_t *pid, struct err *e);

/* spawn_layers - the layers of PROTO_LAYERS that `namespaces` and `change_id` give; mount_ns is up to jail_enter. */
uint32_t spawn_layers(const struct spawn_config *cfg);

/* spawn_high_fd - `fd` itself, moved to 10 or above, close-on-exec; the old number is closed. Negative stays. */
int spawn_high_fd(int fd);

#endif
