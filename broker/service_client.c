/* broker/service_client: questions to the store and the logger, answered in order. brigd. */

#include "broker/service_client.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/proto.h"
#include "base/quote.h"
#include "broker/broker.h"
#include "broker/channel.h"

#define QUEUE_MAX (64 * 1024 * 1024) /* bytes of questions that may wait */

struct question {
	STAILQ_ENTRY(question) link;
	uint64_t token;
	service_answer_fn *answer;
	void *arg;
};

struct service_client {
	struct channel *channel;
	const char *name;
	STAILQ_HEAD(, question) questions;
	uint64_t last_token;
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
	if (q->answer != NULL)
		q->answer(q->arg, m, why);
	free(q);
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
	if (m->hdr.type == PROTO_READY && !s->is_ready) {
		s->is_ready = true;
		s->ready(s->arg);
		return 0;
	}
	if (m->hdr.type == PROTO_FAILED)
		return err_set(e, ERR_IO, "%.*s", (int)m->hdr.length, (const char *)m->payload);
	if (q == NULL || q->token != m->hdr.run)
		return err_set(e, ERR_PROTOCOL, "the %s answered what nobody asked (message %u)", s->name, m->hdr.type);
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

struct service_client *
service_client_new(struct event_base *base, int sock, const char *name, void (*ready)(void *arg),
    void (*lost)(void *arg, const struct err *why), void *arg)
{
	struct service_client *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		close(sock);
		return NULL;
	}
	s->name = name;
	s->ready = ready;
	s->lost = lost;
	s->arg = arg;
	STAILQ_INIT(&s->questions);
	s->channel = channel_new(base, sock, QUEUE_MAX, service_message, service_closed, s);
	if (s->channel == NULL) {
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
	q->answer = answer;
	q->arg = arg;
	rc = channel_send(s->channel, type, q->token, payload, length, &fd, fd >= 0 ? 1 : 0, e);
	if (rc != 0) {
		err_context(e, "asking the %s", s->name);
		free(q);
		return rc;
	}
	STAILQ_INSERT_TAIL(&s->questions, q, link);
	return 0;
}
