/* broker/service_client: questions to the store and the logger, answered in order. brigd. */

#include "broker/service_client.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/monotonic.h"
#include "base/proto.h"
#include "base/quote.h"
#include "broker/broker.h"
#include "broker/channel.h"

#define QUEUE_MAX (64 * 1024 * 1024) /* bytes of questions that may wait */

/* What may be answered: nothing else is, and nothing longer, shorter or with other descriptors. */
static const struct answer {
	uint32_t question, type;
	size_t least, unit; /* bytes: so many, and any number of times so many more */
	int nfds;
} answers[] = {
    {PROTO_STORE_PUT, PROTO_STORE_DONE, sizeof(struct proto_store_done), 0, 0},
    {PROTO_STORE_REMOVE, PROTO_STORE_DONE, sizeof(struct proto_store_done), 0, 0},
    {PROTO_STORE_GET, PROTO_STORE_DATA, sizeof(struct proto_store_done), 1, 1},
    {PROTO_STORE_LIST, PROTO_STORE_LISTED, 0, sizeof(struct proto_store_entry), 0},
    {PROTO_STORE_PUT, PROTO_STORE_FAILED, sizeof(struct proto_store_done), 1, 0},
    {PROTO_STORE_REMOVE, PROTO_STORE_FAILED, sizeof(struct proto_store_done), 1, 0},
    {PROTO_STORE_GET, PROTO_STORE_FAILED, sizeof(struct proto_store_done), 1, 0},
    {PROTO_STORE_LIST, PROTO_STORE_FAILED, sizeof(struct proto_store_done), 1, 0},
    {PROTO_STORE_SIZE, PROTO_STORE_SIZED, sizeof(struct proto_store_sized), 0, 0},
    {PROTO_LOG_APPEND, PROTO_LOG_DONE, sizeof(struct proto_log_done), 0, 0},
    {PROTO_LOG_APPEND, PROTO_LOG_FAILED, 0, 1, 0},
};

struct question {
	STAILQ_ENTRY(question) link;
	uint64_t token;
	uint32_t type;
	int64_t asked_ms; /* monotonic */
	service_answer_fn *answer;
	void *arg;
};

struct service_client {
	struct channel *channel;
	const char *name;
	STAILQ_HEAD(, question) questions;
	unsigned waiting;     /* of them */
	uint64_t last_token;
	struct event *tick;   /* every patience_s */
	unsigned patience_s;
	uint64_t seen;        /* at the last tick, the oldest question; 0: none */
	bool is_ready;
	void (*ready)(void *arg);
	void (*lost)(void *arg, const struct err *why);
	void *arg;
};

/* Ends the oldest question. */
static void
answer_first(struct service_client *s, struct imsg *m, const struct err *why)
{
	struct question *q = STAILQ_FIRST(&s->questions);

	STAILQ_REMOVE_HEAD(&s->questions, link);
	s->waiting--;
	if (q->answer != NULL)
		q->answer(q->arg, m, why);
	free(q);
}

static bool
is_answer(const struct question *q, const struct imsg *m)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		const struct answer *a = &answers[i];

		if (a->question == q->type && a->type == m->hdr.type && a->nfds == m->nfds && m->hdr.length >= a->least)
			return a->unit == 0 ? m->hdr.length == a->least : (m->hdr.length - a->least) % a->unit == 0;
	}
	return false;
}

static int
service_message(void *arg, struct imsg *m, struct err *e)
{
	struct service_client *s = arg;
	struct question *q = STAILQ_FIRST(&s->questions);

	if (m->hdr.type == PROTO_FOUND && !s->is_ready) {
		char what[QUOTE_SIZE];

		broker_log("found service=%s what=%s", s->name,
		    quote((const char *)m->payload, m->hdr.length, what, sizeof(what)));
		return 0;
	}
	if (m->hdr.type == PROTO_READY && !s->is_ready && m->hdr.length == sizeof(struct proto_ready)) {
		s->is_ready = true;
		s->ready(s->arg);
		return 0;
	}
	if (m->hdr.type == PROTO_FAILED)
		return err_set(e, ERR_IO, "%.*s", (int)m->hdr.length, (const char *)m->payload);
	if (q == NULL || q->token != m->hdr.run)
		return err_set(e, ERR_PROTOCOL, "the %s answered what nobody asked (message %u)", s->name, m->hdr.type);
	if (!is_answer(q, m))
		return err_set(e, ERR_PROTOCOL, "the %s answered question %u by message %u of %u bytes with %d descriptors", s->name,
		    q->type, m->hdr.type, m->hdr.length, m->nfds);
	answer_first(s, m, NULL);
	return 0;
}

static void
service_closed(void *arg, const struct err *why)
{
	struct service_client *s = arg;

	while (!STAILQ_EMPTY(&s->questions))
		answer_first(s, NULL, why);
	s->lost(s->arg, why);
}

/* Gives up a service whose oldest question was there at the last tick too. What it sent meanwhile has been read. */
static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct service_client *s = arg;
	const struct question *q = STAILQ_FIRST(&s->questions);
	struct err e = {0};

	(void)fd;
	(void)what;
	if (q != NULL && q->token == s->seen) {
		err_set(&e, ERR_IO, "the %s did not answer for %u s", s->name, s->patience_s);
		channel_fail(s->channel, &e);
		return;
	}
	s->seen = q != NULL ? q->token : 0;
}

struct service_client *
service_client_new(struct event_base *base, int sock, const char *name, unsigned patience_s, void (*ready)(void *arg),
    void (*lost)(void *arg, const struct err *why), void *arg)
{
	struct timeval patience = {.tv_sec = patience_s};
	struct service_client *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		close(sock);
		return NULL;
	}
	s->name = name;
	s->patience_s = patience_s;
	s->ready = ready;
	s->lost = lost;
	s->arg = arg;
	STAILQ_INIT(&s->questions);
	s->channel = channel_new(base, sock, QUEUE_MAX, service_message, service_closed, s);
	s->tick = event_new(base, -1, EV_PERSIST, on_tick, s);
	if (s->channel == NULL || s->tick == NULL || event_add(s->tick, &patience) != 0) {
		channel_free(s->channel);
		if (s->tick != NULL)
			event_free(s->tick);
		free(s);
		return NULL;
	}
	return s;
}

void
service_client_free(struct service_client *s)
{
	struct err why = {ERR_EOF, "brigd is stopping"};

	if (s == NULL)
		return;
	while (!STAILQ_EMPTY(&s->questions))
		answer_first(s, NULL, &why);
	event_free(s->tick);
	channel_free(s->channel);
	free(s);
}

int
service_ask(struct service_client *s, uint32_t type, const void *payload, size_t length, int fd, service_answer_fn *answer,
    void *arg, struct err *e)
{
	struct question *q = malloc(sizeof(*q));
	int rc;

	if (q == NULL)
		return err_set(e, ERR_NOMEM, "a question to the %s", s->name);
	q->token = ++s->last_token;
	q->type = type;
	q->answer = answer;
	q->arg = arg;
	q->asked_ms = monotonic_ms();
	rc = channel_send(s->channel, type, q->token, payload, length, &fd, fd >= 0 ? 1 : 0, e);
	if (rc != 0) {
		err_context(e, "asking the %s", s->name);
		free(q);
		return rc;
	}
	STAILQ_INSERT_TAIL(&s->questions, q, link);
	s->waiting++;
	return 0;
}

unsigned
service_waiting(const struct service_client *s, int64_t *oldest_ms)
{
	const struct question *q = STAILQ_FIRST(&s->questions);

	*oldest_ms = q != NULL ? monotonic_ms() - q->asked_ms : 0;
	return s->waiting;
}
