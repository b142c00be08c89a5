/* tests/unit/jailed: runs a piece of a test as another user, or in namespaces, in a child. Unit tests of sandbox/. */

#ifndef TESTS_UNIT_JAILED_H
#define TESTS_UNIT_JAILED_H

#include <sys/types.h>

#include "base/err.h"
#include "sandbox/spawn.h"

#define JAILED_PLAIN_UID 12345      /* the unprivileged user of tests that are run as root */
#define JAILED_UID_BASE  1900100000 /* ids for children of a launcher started as root */

#define JAILED_SKIP 77 /* exit status of a child whose jailed_fn returned ERR_UNSUPPORTED */

/* Returns 0, or an error whose message says what the test found. */
typedef int jailed_fn(void *arg, struct err *e);

/* Fails with the place and `what` when the condition does not hold; for use in a jailed_fn. */
#define NEED(condition)                                                                              \
	do {                                                                                         \
		if (!(condition))                                                                    \
			return err_sys(e, ERR_INVAL, "%s:%d: not so: %s", __FILE__, __LINE__, #condition); \
	} while (0)

/* jailed_fork - run `fn` in a forked child and return its wait status; its message goes to stderr. */
int jailed_fork(jailed_fn *fn, void *arg);

/* jailed_plain - the same as JAILED_PLAIN_UID, without groups, when the test runs as root; else as jailed_fork. */
int jailed_plain(jailed_fn *fn, void *arg);

/*
 * jailed_spawn_root, jailed_spawn_plain - run `fn` as process 1 of all namespaces: with a uid of its own (skips the
 * test unless it runs as root), or started by an unprivileged user. Asserts that it succeeds. Skips the test where
 * namespaces cannot be had. `fn` keeps descriptors up to 15.
 */
#define JAILED_LAST_FD 15
void jailed_spawn_root(jailed_fn *fn, void *arg);
void jailed_spawn_plain(jailed_fn *fn, void *arg);

#endif
