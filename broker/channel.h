/* broker/channel: one imsg socket on the event loop, with a queue for what does not fit yet. brigd. */

#ifndef BROKER_CHANNEL_H
#define BROKER_CHANNEL_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/imsg.h"

struct channel;

/*
 * Called for each message; the channel may be freed inside. `m` and its descriptors are the channel's: take those to
 * keep with imsg_take_fd. Returns 0, or a negative ERR_* with a reason in `e`: the peer then is in breach of protocol
 * and `closed` follows with that reason.
 */
typedef int channel_message_fn(void *arg, struct imsg *m, struct err *e);

/* Called once when the peer closed, broke the protocol or an I/O error came. The channel is to be freed, then or later. */
typedef void channel_closed_fn(void *arg, const struct err *why);

/*
 * channel_new - take `sock` (made non-blocking) and watch it. Queued output is at most `queue_max` bytes: beyond it a
 * send fails, which bounds what a stuck peer can cost. Returns NULL when out of memory, with `sock` closed.
 */
struct channel *channel_new(struct event_base *base, int sock, size_t queue_max, channel_message_fn *message,
    channel_closed_fn *closed, void *arg);

/* channel_hand_over - let others be told from now on, what lies unread in the socket included. */
void channel_hand_over(struct channel *c, channel_message_fn *message, channel_closed_fn *closed, void *arg);

/* channel_free - close the socket, drop what is queued. NULL is fine. */
void channel_free(struct channel *c);

/*
 * channel_send - send a message, or queue it. Copies the payload, and borrows the descriptors: they are duplicated when
 * the message must wait. Returns 0, ERR_LIMIT when the queue is full, ERR_EOF or ERR_IO.
 */
int channel_send(struct channel *c, uint32_t type, uint64_t run, const void *payload, size_t length, const int *fds,
    int nfds, struct err *e);

/*
 * channel_insist - send a message that has only a type, and must not be lost. When the kernel refuses it, it is tried once
 * more from the loop; when that fails too the channel ends, and the owner is told by `closed`.
 */
void channel_insist(struct channel *c, uint32_t type, uint64_t run);

/* channel_fail - give the peer up: the owner is told by `closed`, as when it broke the protocol. */
void channel_fail(struct channel *c, const struct err *why);

/* channel_drain - deliver every message that has already arrived, as the event loop would. */
void channel_drain(struct channel *c);

/* channel_pause - stop (or go on) reading, so that the kernel's buffer fills and the peer waits. */
void channel_pause(struct channel *c, bool paused);

/* channel_queued - bytes waiting to be sent. */
size_t channel_queued(const struct channel *c);

/* channel_on_drained - call `fn(arg)` each time the queue becomes empty after it was not. */
void channel_on_drained(struct channel *c, void (*fn)(void *arg));

#endif
