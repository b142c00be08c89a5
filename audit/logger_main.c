/* brig-logger: started by brigd; appends records to the audit log and says when they are written. Logger process. */

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/log.h"
#include "base/io.h"
#include "base/proto.h"
#include "base/service.h"

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

static const struct service_message messages[] = {
    {PROTO_LOG_APPEND, 1, IMSG_PAYLOAD_MAX, 0, 0, on_append},
};
static const struct service service = {messages, sizeof(messages) / sizeof(messages[0]), on_idle};

static int
parse(int argc, char **argv, struct service_options *o, enum log_durability *durability, struct err *e)
{
	const char *when = NULL;
	const struct service_argument extra[] = {{"durability", &when}};
	int rc = service_parse(argc, argv, extra, 1, o, e);

	if (rc == 0 && strcmp(when, "batch") != 0 && strcmp(when, "strict") != 0)
		rc = err_set(e, ERR_INVAL, "--durability %.40s: it is batch or strict", when);
	if (rc == 0)
		*durability = strcmp(when, "strict") == 0 ? LOG_STRICT : LOG_BATCH;
	return rc;
}

int
main(int argc, char **argv)
{
	enum log_durability durability = LOG_BATCH;
	struct service_options o = {0};
	struct logger l = {0};
	struct err e = {0};
	int dir = -1, rc;

	if (!service_is_child(PROTO_SOCKET_FD)) {
		fprintf(stderr, "brig-logger: started by brigd, not by hand\n");
		return 2;
	}
	rc = sodium_init() < 0 ? err_set(&e, ERR_UNSUPPORTED, "libsodium does not start") : 0;
	if (rc == 0)
		rc = parse(argc, argv, &o, &durability, &e);
	if (rc == 0)
		rc = io_set_cloexec(PROTO_SOCKET_FD, true, &e);
	if (rc == 0)
		rc = dir = service_directory(&o, &e);
	if (rc >= 0)
		rc = service_lower(&o, &e);
	if (rc == 0)
		rc = log_open(dir, durability, &l.log, &e);
	if (rc != 0)
		service_fail(PROTO_SOCKET_FD, &e);
	else
		rc = service_serve(PROTO_SOCKET_FD, &service, &l, &e);
	log_close(l.log);
	if (dir >= 0)
		close(dir);
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
