/* broker/child: jailed processes, asked of the launcher: zygotes and compilers. brigd. */

#include "broker/child.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#define QUEUE_MAX (4 * 1024 * 1024) /* bytes of messages that may wait for a child */

struct child {
	LIST_ENTRY(child) link;
	struct launcher *launcher;
	struct channel *channel;
	const struct child_events *events;
	void *arg;
	uint64_t token;
	bool spawned;
	pid_t pid;      /* once it is */
	bool killed;    /* the launcher was told to kill it */
	bool seen;      /* and that was so at the last tick already */
	struct err why; /* why its channel closed, when it did before the process was reaped */
};

struct launcher {
	struct event_base *base;
	struct channel *channel;
	LIST_HEAD(, child) children;
	uint64_t last_token;
	bool is_ready;
	struct event *tick; /* every patience_s */
	unsigned patience_s;
	void (*lost)(void *arg, const struct err *why);
	void *arg;
};

static void
child_end(struct child *c, const struct proto_exited *exited, const struct err *why)
{
	LIST_REMOVE(c, link);
	if (exited != NULL && c->channel != NULL)
		channel_drain(c->channel); /* what it said before it died still counts */
	c->events->ended(c->arg, exited, c->why.code != 0 ? &c->why : why);
	channel_free(c->channel);
	free(c);
}

static struct child *
child_by_token(struct launcher *l, uint64_t token)
{
	struct child *c;

	LIST_FOREACH(c, &l->children, link)
		if (c->token == token)
			return c;
	return NULL;
}

/* Copies a message's text, which is not NUL-terminated, into an error. */
static void
text_to_err(const struct imsg *m, struct err *e)
{
	err_set(e, ERR_IO, "%.*s", (int)m->hdr.length, (const char *)m->payload);
}

static int
no_such_child(const struct imsg *m, struct err *e)
{
	return err_set(e, ERR_PROTOCOL, "the launcher sent message %u about a child that is none, or was spoken of before",
	    m->hdr.type);
}

static int
launcher_message(void *arg, struct imsg *m, struct err *e)
{
	struct launcher *l = arg;
	struct child *c = child_by_token(l, m->hdr.run);
	struct proto_spawned spawned;
	struct proto_exited exited;
	struct err why = {0};

	if (m->nfds != 0)
		return err_set(e, ERR_PROTOCOL, "the launcher sent a descriptor beside message %u", m->hdr.type);
	switch (m->hdr.type) {
	case PROTO_READY: /* what it was asked for before waits in its socket */
		if (l->is_ready || m->hdr.length != sizeof(struct proto_ready))
			break;
		l->is_ready = true;
		return 0;
	case PROTO_SPAWNED:
		if (m->hdr.length != sizeof(struct proto_spawned))
			break;
		if (c == NULL || c->spawned)
			return no_such_child(m, e);
		memcpy(&spawned, m->payload, sizeof(spawned));
		c->spawned = true;
		c->pid = spawned.pid;
		return 0;
	case PROTO_SPAWN_FAILED:
		if (c == NULL || c->spawned)
			return no_such_child(m, e);
		text_to_err(m, &why);
		child_end(c, NULL, &why);
		return 0;
	case PROTO_CHILD_EXITED:
		if (m->hdr.length != sizeof(exited))
			break;
		if (c == NULL || !c->spawned)
			return no_such_child(m, e);
		memcpy(&exited, m->payload, sizeof(exited));
		child_end(c, &exited, &why);
		return 0;
	case PROTO_FAILED:
		text_to_err(m, e);
		return e->code;
	default:
		break;
	}
	return err_set(e, ERR_PROTOCOL, "the launcher sent message %u of %u bytes", m->hdr.type, m->hdr.length);
}

static void
launcher_closed(void *arg, const struct err *why)
{
	struct launcher *l = arg;
	struct child *c;

	l->lost(l->arg, why);
	while ((c = LIST_FIRST(&l->children)) != NULL)
		child_end(c, NULL, why); /* the kernel ends them all with their launcher */
}

/* Gives up a launcher that was told to kill a child before the last tick, and has not said that it is gone. */
static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct launcher *l = arg;
	struct child *c;
	struct err e = {0};

	(void)fd;
	(void)what;
	LIST_FOREACH(c, &l->children, link) {
		if (c->seen) {
			err_set(&e, ERR_IO, "the launcher was told to end a child, and has not done so for %u s", l->patience_s);
			channel_fail(l->channel, &e);
			return;
		}
		c->seen = c->killed;
	}
}

struct launcher *
child_launcher_new(struct event_base *base, int sock, unsigned patience_s, void (*lost)(void *arg, const struct err *why),
    void *arg)
{
	struct timeval patience = {.tv_sec = patience_s};
	struct launcher *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		close(sock);
		return NULL;
	}
	l->base = base;
	l->patience_s = patience_s;
	l->lost = lost;
	l->arg = arg;
	LIST_INIT(&l->children);
	l->channel = channel_new(base, sock, QUEUE_MAX, launcher_message, launcher_closed, l);
	l->tick = event_new(base, -1, EV_PERSIST, on_tick, l);
	if (l->channel == NULL || l->tick == NULL || event_add(l->tick, &patience) != 0) {
		channel_free(l->channel);
		if (l->tick != NULL)
			event_free(l->tick);
		free(l);
		return NULL;
	}
	return l;
}

void
child_launcher_free(struct launcher *l)
{
	struct err why = {ERR_EOF, "brigd is stopping"};
	struct child *c;

	if (l == NULL)
		return;
	while ((c = LIST_FIRST(&l->children)) != NULL)
		child_end(c, NULL, &why);
	event_free(l->tick);
	channel_free(l->channel);
	free(l);
}

/* The child broke the protocol, or closed its socket, which it does only by dying: kill it; `ended` comes when reaped. */
static void
child_closed(void *arg, const struct err *why)
{
	struct child *c = arg;

	if (why->code != ERR_EOF)
		c->why = *why;
	child_kill(c);
}

static int
child_message(void *arg, struct imsg *m, struct err *e)
{
	struct child *c = arg;

	if (m->nfds != 0)
		return err_set(e, ERR_PROTOCOL, "a jailed process sent a descriptor beside message %u", m->hdr.type);
	return c->events->message(c->arg, m, e);
}

struct child *
child_spawn(struct launcher *l, const struct proto_spawn *spawn, const struct child_events *events, void *arg, struct err *e)
{
	struct child *c = calloc(1, sizeof(*c));
	int sv[2] = {-1, -1};

	if (c == NULL) {
		err_set(e, ERR_NOMEM, "a child");
		return NULL;
	}
	if (imsg_pair(sv, e) != 0)
		goto fail;
	c->launcher = l;
	c->events = events;
	c->arg = arg;
	c->token = ++l->last_token;
	c->channel = channel_new(l->base, sv[0], QUEUE_MAX, child_message, child_closed, c);
	if (c->channel == NULL) {
		err_set(e, ERR_NOMEM, "a channel");
		goto fail;
	}
	if (channel_send(l->channel, PROTO_SPAWN, c->token, spawn, sizeof(*spawn), &sv[1], 1, e) != 0)
		goto fail;
	close(sv[1]);
	LIST_INSERT_HEAD(&l->children, c, link);
	return c;
fail:
	channel_free(c->channel);
	if (sv[1] >= 0)
		close(sv[1]);
	free(c);
	return NULL;
}

pid_t
child_pid(const struct child *c)
{
	return c->pid;
}

int
child_send(struct child *c, uint32_t type, uint64_t run, const void *payload, size_t length, const int *fds, int nfds,
    struct err *e)
{
	return channel_send(c->channel, type, run, payload, length, fds, nfds, e);
}

void
child_kill(struct child *c)
{
	c->killed = true;
	channel_insist(c->launcher->channel, PROTO_KILL, c->token);
}
