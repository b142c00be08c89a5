/* broker/channel: one imsg socket on the event loop, with a queue for what does not fit yet. brigd. */

#include "broker/channel.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"

struct pending {
	TAILQ_ENTRY(pending) link;
	uint32_t type;
	uint64_t run;
	int fds[IMSG_FDS_MAX];
	int nfds;
	size_t length;
	uint8_t payload[];
};

struct channel {
	int sock;
	struct event *read_event;
	struct event *write_event;
	TAILQ_HEAD(, pending) queue;
	size_t queued;
	size_t queue_max;
	channel_message_fn *message;
	channel_closed_fn *closed;
	void (*drained)(void *arg);
	void *arg;
	bool closing;        /* `closed` was called */
	bool deaf;           /* the peer takes nothing any more; what it said may still be there to be read */
	unsigned delivering; /* callbacks up the stack: the memory stays until they return */
	bool dead;           /* channel_free was called meanwhile */
};

/*
 * Messages are handled in one thread, so one buffer serves all channels; further ones serve channel_drain, which is
 * called while a message of another channel is being handled: launcher, then zygote, then worker.
 */
#define NESTED_MAX 4
static struct imsg incoming[NESTED_MAX];
static unsigned nested;

static void
pending_free(struct pending *p)
{
	for (int i = 0; i < p->nfds; i++)
		close(p->fds[i]);
	free(p);
}

static void
drop_queue(struct channel *c)
{
	struct pending *p;

	while ((p = TAILQ_FIRST(&c->queue)) != NULL) {
		TAILQ_REMOVE(&c->queue, p, link);
		pending_free(p);
	}
	c->queued = 0;
}

static void
release(struct channel *c)
{
	if (c->read_event != NULL)
		event_free(c->read_event);
	if (c->write_event != NULL)
		event_free(c->write_event);
	drop_queue(c);
	close(c->sock);
	free(c);
}

void
channel_free(struct channel *c)
{
	if (c == NULL)
		return;
	if (c->delivering > 0) {
		c->dead = c->closing = true;
		event_del(c->read_event);
		event_del(c->write_event);
		return;
	}
	release(c);
}

/* Tells the owner, once, that the peer is no more. The owner may free the channel in the callback. */
static void
channel_close(struct channel *c, const struct err *why)
{
	if (c->closing)
		return;
	c->closing = true;
	event_del(c->read_event);
	event_del(c->write_event);
	c->closed(c->arg, why);
}

/* Ends a series of deliveries. Returns whether the channel is still there. */
static bool
leave(struct channel *c)
{
	if (--c->delivering > 0 || !c->dead)
		return true;
	release(c);
	return false;
}

void
channel_fail(struct channel *c, const struct err *why)
{
	c->delivering++;
	channel_close(c, why);
	leave(c);
}

/* Receives and delivers one message. Returns false when there is nothing more to do. */
static bool
deliver_one(struct channel *c, bool tell_eof)
{
	struct imsg *m = &incoming[nested];
	struct err e = {0};
	int rc;

	assert(nested < NESTED_MAX);
	rc = imsg_recv(c->sock, m, &e);
	if (rc == ERR_AGAIN || (rc == ERR_EOF && !tell_eof))
		return false;
	if (rc == 0) {
		nested++;
		rc = c->message(c->arg, m, &e);
		nested--;
		imsg_close_fds(m);
	}
	if (rc != 0)
		channel_close(c, &e);
	return !c->closing;
}

void
channel_drain(struct channel *c)
{
	c->delivering++;
	while (!c->closing && deliver_one(c, false))
		continue;
	leave(c);
}

/* Several messages a wake-up, but not for ever: one busy peer must not starve the others. */
#define MESSAGES_PER_WAKEUP 16

static void
on_readable(evutil_socket_t sock, short what, void *arg)
{
	struct channel *c = arg;

	(void)sock;
	(void)what;
	c->delivering++;
	for (int i = 0; i < MESSAGES_PER_WAKEUP && deliver_one(c, true); i++)
		continue;
	leave(c);
}

static void
on_writable(evutil_socket_t sock, short what, void *arg)
{
	struct channel *c = arg;
	struct pending *p;

	(void)sock;
	(void)what;
	while ((p = TAILQ_FIRST(&c->queue)) != NULL) {
		struct err e = {0};
		int rc = imsg_send(c->sock, p->type, p->run, p->payload, p->length, p->fds, p->nfds, &e);

		if (rc == ERR_AGAIN)
			return;
		if (rc == ERR_EOF) {
			c->deaf = true; /* its last words may still be unread: reading finds the end */
			drop_queue(c);
			break;
		}
		if (rc != 0) {
			c->delivering++;
			channel_close(c, &e);
			leave(c);
			return;
		}
		TAILQ_REMOVE(&c->queue, p, link);
		c->queued -= p->length + sizeof(*p);
		pending_free(p);
	}
	event_del(c->write_event);
	if (c->drained != NULL)
		c->drained(c->arg);
}

struct channel *
channel_new(struct event_base *base, int sock, size_t queue_max, channel_message_fn *message, channel_closed_fn *closed,
    void *arg)
{
	struct channel *c = calloc(1, sizeof(*c));

	if (c == NULL || io_set_nonblock(sock, true, NULL) != 0) {
		free(c);
		close(sock);
		return NULL;
	}
	c->sock = sock;
	c->queue_max = queue_max;
	c->message = message;
	c->closed = closed;
	c->arg = arg;
	TAILQ_INIT(&c->queue);
	c->read_event = event_new(base, sock, EV_READ | EV_PERSIST, on_readable, c);
	c->write_event = event_new(base, sock, EV_WRITE | EV_PERSIST, on_writable, c);
	if (c->read_event == NULL || c->write_event == NULL || event_add(c->read_event, NULL) != 0) {
		release(c);
		return NULL;
	}
	return c;
}

void
channel_hand_over(struct channel *c, channel_message_fn *message, channel_closed_fn *closed, void *arg)
{
	c->message = message;
	c->closed = closed;
	c->arg = arg;
}

static int
enqueue(struct channel *c, uint32_t type, uint64_t run, const void *payload, size_t length, const int *fds, int nfds,
    struct err *e)
{
	struct pending *p;

	if (c->queued + length + sizeof(*p) > c->queue_max)
		return err_set(e, ERR_LIMIT, "the peer does not read: %zu bytes are waiting for it", c->queued);
	if ((p = malloc(sizeof(*p) + length)) == NULL)
		return err_set(e, ERR_NOMEM, "a message of %zu bytes", length);
	p->type = type;
	p->run = run;
	p->nfds = 0;
	p->length = length;
	if (length > 0)
		memcpy(p->payload, payload, length);
	for (int i = 0; i < nfds; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			int rc = err_sys(e, ERR_IO, "duplicating a descriptor");

			pending_free(p);
			return rc;
		}
		p->fds[p->nfds++] = fd;
	}
	if (TAILQ_EMPTY(&c->queue) && event_add(c->write_event, NULL) != 0) {
		pending_free(p);
		return err_set(e, ERR_NOMEM, "an event");
	}
	TAILQ_INSERT_TAIL(&c->queue, p, link);
	c->queued += length + sizeof(*p);
	return 0;
}

int
channel_send(struct channel *c, uint32_t type, uint64_t run, const void *payload, size_t length, const int *fds,
    int nfds, struct err *e)
{
	int rc;

	if (c->closing || c->deaf)
		return err_set(e, ERR_EOF, "the other side closed");
	if (!TAILQ_EMPTY(&c->queue))
		return enqueue(c, type, run, payload, length, fds, nfds, e);
	rc = imsg_send(c->sock, type, run, payload, length, fds, nfds, e);
	if (rc == ERR_AGAIN)
		rc = enqueue(c, type, run, payload, length, fds, nfds, e);
	return rc;
}

void
channel_insist(struct channel *c, uint32_t type, uint64_t run)
{
	struct err e;
	int rc = channel_send(c, type, run, NULL, 0, NULL, 0, &e);

	if (rc == ERR_IO && enqueue(c, type, run, NULL, 0, NULL, 0, &e) != 0)
		c->deaf = shutdown(c->sock, SHUT_RDWR) == 0; /* then reading finds the end */
}

void
channel_pause(struct channel *c, bool paused)
{
	if (c->closing)
		return;
	if (paused)
		event_del(c->read_event);
	else
		event_add(c->read_event, NULL);
}

size_t
channel_queued(const struct channel *c)
{
	return c->queued;
}

void
channel_on_drained(struct channel *c, void (*fn)(void *arg))
{
	c->drained = fn;
}
