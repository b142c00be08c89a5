/* broker/records: what brigd puts on record: refusals, intents, outcomes, modules, its own start and stop. brigd. */

#include "broker/records.h"

#include <sodium.h>
#include <stdlib.h>
#include <time.h>

#include "audit/record.h"
#include "base/json_text.h"
#include "base/proto.h"
#include "broker/broker.h"

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static struct record_actor
actor_of(const struct conn_peer *peer)
{
	return (struct record_actor){.uid = peer->uid, .gid = peer->gid, .pid = peer->pid};
}

/*
 * Sends a record's text (freed here) to the logger, if making it went well. By pointers, because the call that makes the
 * text is itself an argument, and may come after the others.
 */
static int
append(struct broker *b, int rc, char **text, const size_t *length, service_answer_fn *answer, void *arg, struct err *e)
{
	if (rc == 0)
		rc = service_ask(b->logger, PROTO_LOG_APPEND, *text, *length, -1, answer, arg, e);
	free(*text);
	return rc;
}

/* `pack` is filled for it, where there is one. */
static struct record_run
run_of(const struct run_identity *id, struct record_pack *pack)
{
	*pack = (struct record_pack){id->pack, id->pack_digest, &id->source->module, id->source->kid};
	return (struct record_run){
	    .pack = id->pack[0] != '\0' ? pack : NULL,
	    .time_ms = id->received_ms,
	    .actor = actor_of(id->peer),
	    .run_id = id->run_id,
	    .module = id->module,
	    .signer = id->verdict->kid,
	    .signature = signature_kind_name(id->verdict->kind),
	    .policy = id->policy_digest,
	    .input = id->input,
	    .mode = id->policy != NULL && id->policy->mode == POLICY_MODE_LEARN ? "learn" : NULL,
	};
}

/* The effective limits. */
static void
limits_text(const struct run_identity *id, struct json_text *t)
{
	json_text_open(t, NULL, '{');
	for (enum policy_limit i = 0; i < POLICY_LIMIT_COUNT; i++)
		if (id->policy->limits[i] != POLICY_UNSET)
			json_text_count(t, policy_limit_info[i].name, id->policy->limits[i]);
	json_text_close(t, '}');
}

int
records_intent(struct broker *b, const struct run_identity *id, service_answer_fn *answer, void *arg, struct err *e)
{
	struct record_pack pack;
	struct record_run r = run_of(id, &pack);
	struct json_text limits = {0};
	char *text = NULL;
	size_t length = 0;
	int rc;

	limits_text(id, &limits);
	r.limits = limits.text;
	if (limits.failed)
		rc = err_set(e, ERR_NOMEM, "out of memory for an audit record");
	else
		rc = append(b, record_of_intent(&r, &text, &length, e), &text, &length, answer, arg, e);
	json_text_free(&limits);
	return rc;
}

static struct record_stream
stream_of(const struct run_stream *s, uint64_t written)
{
	return (struct record_stream){
	    .bytes = written > s->sent ? written : s->sent,
	    .digest = s->sent > 0 ? &s->digest : NULL,
	    .truncated = s->truncated,
	};
}

int
records_outcome(struct broker *b, const struct run_identity *id, const struct run_facts *f, service_answer_fn *answer,
    void *arg, struct err *e)
{
	struct record_pack pack;
	struct record_outcome r = {
	    .run = run_of(id, &pack),
	    .ended_ms = now_ms(),
	    .status = run_status_name(f->status),
	    .has_exit_code = f->status == RUN_exited,
	    .exit_code = f->exit_code,
	    .limit = f->status == RUN_limit ? run_limit_name(f->limit) : NULL,
	    .trap = f->status == RUN_trapped ? run_trap_name(f->claimed.trap) : NULL,
	    .reason = f->reason,
	    .out = stream_of(&f->out, f->claimed.stdout_bytes),
	    .err = stream_of(&f->err, f->claimed.stderr_bytes),
	    .usage = f->usage,
	    .denials = f->denials,
	    .learned = json_string_value(json_object_get(f->learned, "digest")),
	    .denials_omitted = f->claimed.denials_omitted,
	};
	char *text = NULL;
	size_t length = 0;

	return append(b, record_of_outcome(&r, &text, &length, e), &text, &length, answer, arg, e);
}

void
records_refused(struct broker *b, struct conn_peer peer, const char *method, enum rpc_error error, const char *detail,
    const struct digest *module)
{
	struct record_refusal r = {
	    .time_ms = now_ms(),
	    .actor = actor_of(&peer),
	    .method = method,
	    .error = rpc_error_name(error),
	    .error_number = rpc_error_number(error),
	    .detail = detail,
	    .module = module != NULL && sodium_is_zero(module->bytes, sizeof(module->bytes)) == 0 ? module : NULL,
	};
	char *text = NULL;
	size_t length = 0;

	append(b, record_of_refusal(&r, &text, &length, NULL), &text, &length, NULL, NULL, NULL);
}

int
records_module(struct broker *b, const struct conn_peer *peer, const char *method, const struct digest *module,
    uint64_t size, const struct signature_verdict *verdict, service_answer_fn *answer, void *arg, struct err *e)
{
	struct record_module r = {
	    .time_ms = now_ms(),
	    .actor = actor_of(peer),
	    .method = method,
	    .module = module,
	    .size = size,
	    .signer = verdict->kid,
	    .signature = signature_kind_name(verdict->kind),
	};
	char *text = NULL;
	size_t length = 0;

	return append(b, record_of_module(&r, &text, &length, e), &text, &length, answer, arg, e);
}

int
records_service(struct broker *b, const char *what, const char *detail, service_answer_fn *answer, void *arg,
    struct err *e)
{
	struct record_service r = {.time_ms = now_ms(), .what = what, .detail = detail};
	char *text = NULL;
	size_t length = 0;

	return append(b, record_of_service(&r, &text, &length, e), &text, &length, answer, arg, e);
}
