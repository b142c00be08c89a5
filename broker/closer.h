/* broker/closer: closes descriptors whose close may take for ever, in a thread beside the event loop. brigd. */

#ifndef BROKER_CLOSER_H
#define BROKER_CLOSER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * A client can pass any descriptor, and has closing it wait: for the server of a FUSE file, which need not answer, or for
 * a lingering socket. So what is no memory file is closed here. The thread may hang; the loop does not, and a user who
 * has CLOSER_MAX waiting can pass no more.
 */
#define CLOSER_MAX 64

struct closer;

/* closer_new - start the thread, which takes no signals; a process has one. NULL with an error when it cannot be. */
struct closer *closer_new(struct err *e);

/* closer_free - end the thread, or leave it behind when a close hangs. NULL is fine. */
void closer_free(struct closer *c);

/* closer_take - close `fd`, which came from `owner`, some time. Never waits. */
void closer_take(struct closer *c, int fd, uid_t owner);

/*
 * closer_drop - close a descriptor that is held for a client: a memory file at once; a socket, some time, by the process's
 * thread, if it has one: what lies unread in it, and ends with it, may be any descriptor. From any thread.
 */
void closer_drop(int fd);

/* closer_is_full - whether `owner` has CLOSER_MAX descriptors that are not closed yet. */
bool closer_is_full(struct closer *c, uid_t owner);

#endif
