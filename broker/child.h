/* broker/child: jailed processes, asked of the launcher: zygotes and compilers. brigd. */

#ifndef BROKER_CHILD_H
#define BROKER_CHILD_H

#include <event2/event.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/imsg.h"
#include "base/proto.h"
#include "broker/channel.h"

struct launcher;
struct child;

/*
 * What becomes of a child. `message` as for channels; `ended` is called exactly once, when the process is gone or was
 * never started: `exited` is NULL in the second case and `why` says what the launcher said. The child is freed after it.
 */
struct child_events {
	channel_message_fn *message;
	void (*ended)(void *arg, const struct proto_exited *exited, const struct err *why);
};

/*
 * child_launcher_new - talk to the launcher over `sock` (taken). `lost` is called when it is gone, has broken the protocol,
 * or has not ended a child within `patience_s`, or twice that, of being told to: nothing can be started any more, and
 * everything that it started is being killed.
 */
struct launcher *child_launcher_new(struct event_base *base, int sock, unsigned patience_s,
    void (*lost)(void *arg, const struct err *why), void *arg);
void child_launcher_free(struct launcher *l);

/*
 * child_spawn - start a jailed process. Returns the child, to which messages can be sent at once (they wait in its
 * socket), or NULL with an error. `arg` is passed to the events.
 */
struct child *child_spawn(struct launcher *l, const struct proto_spawn *spawn, const struct child_events *events, void *arg,
    struct err *e);

/* child_send - as channel_send. */
int child_send(struct child *c, uint32_t type, uint64_t run, const void *payload, size_t length, const int *fds, int nfds,
    struct err *e);

/* child_pid - its process id here, or 0 as long as the launcher has not said that it is there. */
pid_t child_pid(const struct child *c);

/* child_kill - SIGKILL, by the launcher; `ended` follows. */
void child_kill(struct child *c);

#endif
