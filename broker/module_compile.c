/* broker/module_compile: the method module.compile: a stored module is compiled now, and its caller waits. brigd. */

#include "broker/module_compile.h"

#include <stdlib.h>
#include <string.h>

#include "base/proto.h"
#include "broker/broker.h"
#include "broker/records.h"
#include "broker/run_request.h"

#define METHOD "module.compile"

/* One call, while it waits for the module, the artifact or the log; in broker.compiles. It ends when its client goes. */
struct module_compile {
	LIST_ENTRY(module_compile) link;
	struct broker *broker;
	struct rpc_call *call; /* NULL when the client went while the log was asked */
	struct conn_peer peer;
	struct digest digest;
	struct signature_verdict verdict;
	uint32_t engine;
	bool progress;         /* is asked for */
	struct modules_wait *module_wait;
	struct artifact_wait *artifact_wait;
	uint64_t size, artifact_bytes, compile_us;
	bool compiled;
};

static void
op_free(struct module_compile *op)
{
	LIST_REMOVE(op, link);
	free(op);
}

static void
on_gone(struct rpc_call *call)
{
	struct module_compile *op = call->arg;

	op->call = NULL;
	call_result(call, json_null());
	if (op->module_wait != NULL)
		modules_cancel(op->module_wait);
	else if (op->artifact_wait != NULL)
		artifact_cancel(op->artifact_wait);
	else
		return; /* until the log has answered */
	op_free(op);
}

static void
fail(struct module_compile *op, enum rpc_error error, const char *why)
{
	struct rpc_failure f = {0};

	rpc_fail(&f, error, "%s", why);
	op->broker->counts.refused++;
	records_refused(op->broker, op->peer, METHOD, error, f.detail, &op->digest);
	op->call->gone = NULL;
	call_fail(op->call, &f);
	op_free(op);
}

static void
answer(struct module_compile *op)
{
	char text[DIGEST_TEXT_SIZE];

	op->call->gone = NULL;
	call_result(op->call, json_pack("{s:s, s:I, s:s, s:I, s:I}", "digest", digest_text(&op->digest, text), "size",
	    (json_int_t)op->size, "compile", op->compiled ? "miss" : "hit", "compile_us", (json_int_t)op->compile_us,
	    "artifact_bytes", (json_int_t)op->artifact_bytes));
	op_free(op);
}

static void
recorded(void *arg, struct imsg *m, const struct err *why)
{
	struct module_compile *op = arg;
	struct rpc_failure f = {0};

	(void)why;
	if (op->call == NULL) {
		op_free(op);
		return;
	}
	if (m != NULL && m->hdr.type == PROTO_LOG_DONE) {
		answer(op);
		return;
	}
	rpc_fail(&f, RPC_audit_unavailable, "the module was compiled, but that could not be recorded");
	op->call->gone = NULL;
	call_fail(op->call, &f);
	op_free(op);
}

/* What was there already is answered at once; that something was made is put on record first. */
static void
artifact_found(void *arg, const struct artifact *a, enum rpc_error error, const struct err *why)
{
	struct module_compile *op = arg;
	struct err e = {0};

	op->artifact_wait = NULL;
	if (a == NULL) {
		fail(op, error, why->msg);
		return;
	}
	op->compiled = a->compiled;
	op->compile_us = a->made_us;
	op->artifact_bytes = a->size;
	if (!op->compiled)
		answer(op);
	else if (records_module(op->broker, &op->peer, METHOD, &op->digest, op->size, &op->verdict, recorded, op, &e) != 0)
		fail(op, RPC_audit_unavailable, e.msg);
}

static void
module_found(void *arg, const struct module *m, enum rpc_error error, const struct err *why)
{
	struct module_compile *op = arg;
	const struct broker *b = op->broker;
	const struct artifact_asker asker = {.owner = op->peer.uid};

	op->module_wait = NULL;
	if (m == NULL) {
		fail(op, error, why->msg);
		return;
	}
	op->size = m->size;
	op->verdict = m->verdict;
	if (m->verdict.kind == SIGNATURE_NONE && b->ceiling->policy->signature_module == POLICY_SIGNATURE_REQUIRED)
		fail(op, RPC_unsigned_module, "the module is not signed, and the ceiling requires that it is");
	else
		artifact_get(b->artifacts, &asker, &op->digest, op->engine, m->fd, m->size, artifact_found, op,
		    &op->artifact_wait);
}

void
module_compile(struct broker *b, struct rpc_call *call, const json_t *params)
{
	static const char *const names[] = {"digest", "fuel", "progress"};
	const json_t *fuel = json_object_get(params, "fuel"), *progress = json_object_get(params, "progress");
	struct module_compile *op = NULL;
	struct rpc_failure f = {0};
	struct digest digest;

	if (params_digest(params, names, 3, &digest, &f) != 0)
		goto fail;
	if ((fuel != NULL && !json_is_boolean(fuel)) || (progress != NULL && !json_is_boolean(progress))) {
		rpc_fail(&f, RPC_invalid_params, "fuel and progress are true or false");
		goto fail;
	}
	if ((op = calloc(1, sizeof(*op))) == NULL) {
		rpc_fail(&f, RPC_internal_error, "out of memory");
		goto fail;
	}
	*op = (struct module_compile){.broker = b, .call = call, .peer = call->peer, .digest = digest,
	    .engine = json_is_true(fuel) ? PROTO_ENGINE_FUEL : PROTO_ENGINE_PLAIN, .progress = json_is_true(progress)};
	LIST_INSERT_HEAD(&b->compiles, op, link);
	call->arg = op;
	call->gone = on_gone;
	modules_get(b->modules, op->peer.uid, &op->digest, &b->keyring, module_found, op, &op->module_wait);
	return;
fail:
	call_fail(call, &f);
}

json_t *
progress_json(const struct artifact_wait *wait, const struct rpc_call *call)
{
	struct artifact_progress p;

	artifact_progress(wait, &p);
	return json_pack("{s:O?, s:s, s:I, s:I}", "request", call->id, "phase", p.compiling ? "compiling" : "waiting",
	    "elapsed_ms", (json_int_t)p.elapsed_ms, "expected_ms", (json_int_t)p.expected_ms);
}

void
module_compile_tell(struct broker *b)
{
	const struct module_compile *op;

	LIST_FOREACH(op, &b->compiles, link)
		if (op->progress && op->artifact_wait != NULL)
			call_notify(op->call, "module.progress", progress_json(op->artifact_wait, op->call));
}
