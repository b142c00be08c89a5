/* broker/services: brigd's directories, socket, helper processes and user ids, before it serves. brigd. */

#ifndef BROKER_SERVICES_H
#define BROKER_SERVICES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "broker/config.h"

/* User ids as root: this many above uid_base. */
enum { SERVICES_UID_BROKER = 0, SERVICES_UID_LAUNCHER = 1, SERVICES_UID_LOGGER = 2, SERVICES_UID_STORE = 3 };

/* What is held from start to stop. */
struct services {
	bool as_root;
	int lock;          /* flock on STATE/lock: one brigd a state directory */
	int listener;      /* the bound, listening socket */
	int launcher, store, logger; /* imsg sockets; taken by those who talk over them (set to -1) */
	pid_t pids[3];
	bool bound;        /* the socket's path is ours to remove */
	bool replaced_socket; /* that of a brigd which did not remove it */
	bool own_directory; /* the socket's directory is there for it alone */
};

/*
 * services_prepare - make and check the directories, take the lock, and go to STATE/broker, brigd's own directory. The state directory and the socket's directory must
 * belong to this user and be writable by nobody else. ERR_EXISTS when another brigd has them; ERR_DENIED when others
 * could tamper with them; ERR_IO.
 */
int services_prepare(const struct config *c, struct services *s, struct err *e);

/* services_start - start launcher, store and logger. ERR_NOTFOUND when a program is missing; ERR_IO. */
int services_start(const struct config *c, struct services *s, struct err *e);

/*
 * services_listen - bind and listen. A socket file left by a brigd that is gone is replaced; a living one is not
 * (ERR_EXISTS).
 */
int services_listen(const struct config *c, struct services *s, struct err *e);

/* services_drop - as root: become uid_base for good. Always: no new privileges, not dumpable. */
int services_drop(const struct config *c, const struct services *s, struct err *e);

/* services_stop - wait for the helper processes (their sockets are closed), kill what does not go, remove the socket. */
void services_stop(const struct config *c, struct services *s);

#endif
