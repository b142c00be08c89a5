/* brig-logger: started by brigd; appends records to the audit log and says when they are written. Logger process. */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/log.h"
#include "audit/record.h"
#include "audit/unfinished.h"
#include "base/proto.h"
#include "base/service.h"
#include "sandbox/filter.h"

#define PENDING_MAX 256

/* An append that has not been answered. Answers go out in the order of the appends. */
struct pending {
	uint64_t token;
	struct log_receipt receipt;
	char *refusal; /* why the event itself was refused; NULL when it is in the batch */
};

struct logger {
	struct log *log;
	struct pending pending[PENDING_MAX];
	size_t count;
};

static int
answer(const struct pending *p, const char *refusal, struct err *e)
{
	struct proto_log_done done = {.sequence = p->receipt.sequence, .hash = p->receipt.hash};

	if (refusal != NULL)
		return service_send(PROTO_SOCKET_FD, PROTO_LOG_FAILED, p->token, refusal, strlen(refusal), -1, e);
	return service_send(PROTO_SOCKET_FD, PROTO_LOG_DONE, p->token, &done, sizeof(done), -1, e);
}

/* Group commit: one write, and under `strict` one sync, for all that came meanwhile; then the answers. */
static int
commit(struct logger *l, struct err *e)
{
	struct err why = {0};
	size_t written = 0;
	int rc = 0;

	if (l->count == 0)
		return 0;
	log_flush(l->log, &written, &why);
	for (size_t i = 0; i < l->count; i++) {
		struct pending *p = &l->pending[i];
		const char *refusal = p->refusal;

		if (refusal == NULL && written > 0)
			written--;
		else if (refusal == NULL)
			refusal = why.msg;
		if (rc == 0)
			rc = answer(p, refusal, e);
		free(p->refusal);
	}
	l->count = 0;
	return rc;
}

static int
on_append(void *arg, struct imsg *m, struct err *e)
{
	struct logger *l = arg;
	struct pending *p;
	struct err why = {0};
	int rc;

	if (l->count == PENDING_MAX && (rc = commit(l, e)) != 0)
		return rc;
	rc = log_append(l->log, (const char *)m->payload, m->hdr.length, &l->pending[l->count].receipt, &why);
	if (rc == ERR_AGAIN) {
		if ((rc = commit(l, e)) != 0)
			return rc;
		rc = log_append(l->log, (const char *)m->payload, m->hdr.length, &l->pending[l->count].receipt, &why);
	}
	p = &l->pending[l->count++];
	p->token = m->hdr.run;
	p->refusal = NULL;
	if (rc != 0 && (p->refusal = strdup(why.msg)) == NULL)
		return err_set(e, ERR_NOMEM, "an answer");
	return 0;
}

/* A sync that fails breaks the log: what comes then is refused, with the reason, and brigd takes no more work. */
static int
on_idle(void *arg, int *wait_ms, struct err *e)
{
	struct logger *l = arg;
	int rc = commit(l, e);

	if (rc != 0)
		return rc;
	if (log_sync_due_ms(l->log) == 0)
		log_sync_start(l->log);
	*wait_ms = log_sync_due_ms(l->log);
	return 0;
}

/* Tells brigd what the last session left, and puts it on record. */
static int
take_stock(struct log *log, int dir, struct err *e)
{
	char text[200];
	size_t count = 0;
	int rc = unfinished_record(log, dir, &count, e);

	if (rc != 0 || count == 0)
		return rc;
	snprintf(text, sizeof(text), "%zu runs without an outcome, since brigd was killed or could not record it; recorded as "
	    "failed", count);
	return service_send(PROTO_SOCKET_FD, PROTO_FOUND, 0, text, strlen(text), -1, e);
}

static const struct service_message messages[] = {
    {PROTO_LOG_APPEND, 1, IMSG_PAYLOAD_MAX, 0, 0, on_append},
};
static const struct service service = {messages, sizeof(messages) / sizeof(messages[0]), on_idle};

/*
 * The first record that is made asks the system for the host's name. The logger makes one when it marks a torn record, under
 * its filter, which does not allow that: so it makes one now, for nothing.
 */
static int
make_one_record(struct err *e)
{
	const struct record_service event = {.what = "repair"};
	size_t length;
	char *text;
	int rc = record_of_service(&event, &text, &length, e);

	if (rc == 0)
		free(text);
	return rc;
}

static int
parse_durability(const char *when, enum log_durability *durability, struct err *e)
{
	bool strict = strcmp(when, "strict") == 0;

	if (!strict && strcmp(when, "batch") != 0)
		return err_set(e, ERR_INVAL, "--durability %.40s: it is batch or strict", when);
	*durability = strict ? LOG_STRICT : LOG_BATCH;
	return 0;
}

int
main(int argc, char **argv)
{
	enum log_durability durability = LOG_BATCH;
	const char *when = NULL;
	const struct service_argument extra[] = {{"durability", &when}};
	struct logger l = {0};
	struct err e = {0};
	int dir = service_start(argc, argv, extra, 1, &e);
	int rc = dir < 0 ? dir : 0, status = EXIT_SUCCESS;

	if (rc == 0)
		rc = parse_durability(when, &durability, &e);
	if (rc == 0)
		rc = log_open(dir, durability, &l.log, &e);
	if (rc == 0)
		rc = take_stock(l.log, dir, &e);
	if (rc == 0)
		rc = make_one_record(&e);
	if (rc == 0)
		rc = filter_enter(FILTER_LOGGER, &e);
	if (rc != 0)
		status = service_fail(PROTO_SOCKET_FD, &e);
	else if (service_serve(PROTO_SOCKET_FD, &service, &l, &e) != 0)
		status = EXIT_FAILURE;
	log_close(l.log);
	if (dir >= 0)
		close(dir);
	_exit(status); /* the filter does not allow what a sanitizer does in exit() */
}
