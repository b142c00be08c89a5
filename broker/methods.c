/* broker/methods: the methods that clients can call, in one table. brigd. */

#include "broker/methods.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memfd.h"
#include "base/monotonic.h"
#include "base/nearest.h"
#include "base/proto.h"
#include "base/version.h"
#include "broker/broker.h"
#include "broker/explain.h"
#include "broker/module_compile.h"
#include "broker/prepare.h"
#include "broker/records.h"
#include "broker/run_request.h"
#include "broker/run_result.h"
#include "broker/server_metrics.h"

#define SIGNATURE_TEXT_MAX 8192 /* bytes of a detached signature */

/* --- run -------------------------------------------------------------------------------------------------------- */

static void
method_run(struct broker *b, struct rpc_call *call, const json_t *params)
{
	(void)params; /* as prepared */
	runs_run(b->runs, call);
}

static void
method_run_cancel(struct broker *b, struct rpc_call *call, const json_t *params)
{
	runs_cancel(b->runs, call, params);
}

static void
method_run_get(struct broker *b, struct rpc_call *call, const json_t *params)
{
	runs_get(b->runs, call, params);
}

static void
method_run_input(struct broker *b, struct rpc_call *call, const json_t *params)
{
	runs_input(b->runs, call, params);
}

/* --- module ----------------------------------------------------------------------------------------------------- */

/* A module method while it waits for the store or the log. The call is NULL once the client is gone. */
struct module_op {
	struct broker *broker;
	struct rpc_call *call;
	struct conn_peer peer;
	struct digest digest;
	struct signature_verdict verdict;
	uint64_t size;
	bool existed, removed;
	bool with_bytes;
	const char *method;
};

static void
on_gone(struct rpc_call *call)
{
	struct module_op *op = call->arg;

	op->call = NULL;
	call_result(call, json_null());
}

static struct module_op *
op_new(struct broker *b, struct rpc_call *call, const char *method)
{
	struct module_op *op = calloc(1, sizeof(*op));

	if (op == NULL)
		return NULL;
	op->broker = b;
	op->call = call;
	op->peer = call->peer;
	op->method = method;
	call->arg = op;
	call->gone = on_gone;
	return op;
}

/* Ends an operation with a result (taken; NULL is an internal error), or with a failure when `f` is not NULL. */
static void
op_end(struct module_op *op, json_t *result, struct rpc_failure *f)
{
	struct rpc_failure nomem = {0};

	if (f == NULL && result == NULL) {
		rpc_fail(&nomem, RPC_internal_error, "out of memory");
		f = &nomem;
	}
	if (op->call != NULL) {
		op->call->gone = NULL;
		if (f != NULL)
			call_fail(op->call, f);
		else
			call_result(op->call, result);
	} else {
		json_decref(result);
		if (f != NULL)
			rpc_failure_clear(f);
	}
	free(op);
}

static void
op_fail(struct module_op *op, enum rpc_error error, const char *why, size_t length)
{
	struct rpc_failure f = {0};

	rpc_fail(&f, error, "%.*s", (int)length, why);
	op->broker->counts.refused++;
	records_refused(op->broker, op->peer, op->method, error, f.detail, &op->digest);
	op_end(op, NULL, &f);
}

/* Fails an operation with what the store said, if it failed. Returns 0 when it did not. */
static int
store_refused(struct module_op *op, const struct imsg *m, const struct err *why)
{
	struct proto_store_done done;
	enum rpc_error error = RPC_store_unavailable;

	if (m == NULL) {
		op_fail(op, RPC_store_unavailable, why->msg, strlen(why->msg));
		return -1;
	}
	if (m->hdr.type != PROTO_STORE_FAILED)
		return 0;
	if (m->hdr.length < sizeof(done)) {
		op_fail(op, RPC_store_unavailable, "malformed answer", 16);
		return -1;
	}
	memcpy(&done, m->payload, sizeof(done));
	if (done.code == ERR_NOTFOUND)
		error = RPC_module_not_found;
	else if (done.code == ERR_LIMIT)
		error = RPC_module_too_large;
	op_fail(op, error, (const char *)m->payload + sizeof(done), m->hdr.length - sizeof(done));
	return -1;
}

/* What is known of a module: for module.put and module.get. */
static json_t *
module_json(const struct module_op *op)
{
	char text[DIGEST_TEXT_SIZE];
	const char *signer = op->verdict.kind != SIGNATURE_NONE ? op->verdict.kid : NULL;

	return json_pack("{s:s, s:I, s:s?, s:s}", "digest", digest_text(&op->digest, text), "size", (json_int_t)op->size,
	    "signer", signer, "signature", signature_kind_name(op->verdict.kind));
}

/* What module.put and module.remove answer. */
static json_t *
changed_json(const struct module_op *op)
{
	char text[DIGEST_TEXT_SIZE];
	json_t *json;

	if (op->removed)
		return json_pack("{s:s, s:b}", "digest", digest_text(&op->digest, text), "removed", 1);
	json = module_json(op);
	if (json_object_set_new(json, "existed", json_boolean(op->existed)) == 0)
		return json;
	json_decref(json);
	return NULL;
}

static void
module_recorded(void *arg, struct imsg *m, const struct err *why)
{
	struct module_op *op = arg;

	(void)why;
	if (m == NULL || m->hdr.type != PROTO_LOG_DONE) {
		struct rpc_failure f = {0};

		rpc_fail(&f, RPC_audit_unavailable, "the module was handled, but that could not be recorded");
		op_end(op, NULL, &f);
		return;
	}
	op_end(op, changed_json(op), NULL);
}

static void
record_op(struct module_op *op)
{
	struct err e = {0};

	if (records_module(op->broker, &op->peer, op->method, &op->digest, op->size, &op->verdict, module_recorded, op, &e) !=
	    0)
		op_fail(op, RPC_audit_unavailable, e.msg, strlen(e.msg));
}

static void
module_stored(void *arg, struct imsg *m, const struct err *why)
{
	struct module_op *op = arg;
	struct proto_store_done done;

	if (store_refused(op, m, why) != 0)
		return;
	if (m->hdr.type == PROTO_STORE_DONE && m->hdr.length == sizeof(done)) {
		memcpy(&done, m->payload, sizeof(done));
		op->existed = done.existed != 0;
	}
	modules_forget(op->broker->modules, op->peer.uid, &op->digest);
	if (op->broker->config->compile_on_put)
		ahead_add(op->broker->ahead, op->peer.uid, &op->digest);
	record_op(op);
}

/* Verifies a module that is to be stored. Fills in the operation; fails with what a client is told. */
static int
verify_source(struct module_op *op, const struct module_source *source, struct rpc_failure *f)
{
	struct err e = {0};
	int rc;

	op->digest = source->facts->module;
	op->size = source->size;
	rc = signature_judge(source->facts, source->signature, source->signature_length, op->broker->keyring, time(NULL),
	    &op->verdict, &e);
	if (rc != 0)
		return rpc_fail(f, modules_error(rc), "%s", e.msg);
	if (op->verdict.kind == SIGNATURE_NONE && op->broker->ceiling->policy->signature_module == POLICY_SIGNATURE_REQUIRED)
		return rpc_fail(f, RPC_unsigned_module, "the module is not signed, and the ceiling requires that it is");
	return 0;
}

static int
put_source(struct module_op *op, const struct module_source *source, struct rpc_failure *f)
{
	struct proto_store put = {.kind = PROTO_STORE_MODULE, .digest = op->digest, .owner = op->peer.uid};
	uint8_t message[sizeof(put) + SIGNATURE_TEXT_MAX];
	struct err e = {0};

	if (source->signature_length > SIGNATURE_TEXT_MAX)
		return rpc_fail(f, RPC_bad_signature, "a signature of %zu bytes", source->signature_length);
	memcpy(message, &put, sizeof(put));
	if (source->signature_length > 0)
		memcpy(message + sizeof(put), source->signature, source->signature_length);
	if (service_ask(op->broker->store, PROTO_STORE_PUT, message, sizeof(put) + source->signature_length, source->fd,
	    module_stored, op, &e) != 0)
		return rpc_fail(f, RPC_store_unavailable, "%s", e.msg);
	return 0;
}

static void
method_module_put(struct broker *b, struct rpc_call *call, const json_t *params)
{
	struct module_op *op = op_new(b, call, "module.put");
	const struct module_source *source;
	struct rpc_failure f = {0};
	struct prepared *p;

	(void)params; /* as prepared */
	if (op == NULL) {
		rpc_fail(&f, RPC_internal_error, "out of memory");
		call_fail(call, &f);
		return;
	}
	if ((p = prepare_result(call, &f)) != NULL) {
		source = &p->request.module;
		if (verify_source(op, source, &f) == 0 && put_source(op, source, &f) == 0)
			return;
	}
	b->counts.refused++;
	records_refused(b, call->peer, "module.put", f.error, f.detail, &op->digest);
	op_end(op, NULL, &f);
}

/* The module itself, in base64. */
static json_t *
bytes_json(const struct module *m)
{
	struct memfd_map map;
	json_t *json;

	if (memfd_map(m->fd, m->size, &map, NULL) != 0)
		return NULL;
	json = json_base64(map.data, map.size);
	memfd_unmap(&map);
	return json;
}

static void
module_got(void *arg, const struct module *m, enum rpc_error error, const struct err *why)
{
	struct module_op *op = arg;
	json_t *json;

	if (m == NULL) {
		op_fail(op, error, why->msg, strlen(why->msg));
		return;
	}
	op->size = m->size;
	op->verdict = m->verdict;
	json = module_json(op);
	if (json_object_set_new(json, "stored_at", json_integer(m->stored_at)) != 0 ||
	    (op->with_bytes && json_object_set_new(json, "wasm", bytes_json(m)) != 0)) {
		json_decref(json);
		json = NULL;
	}
	op_end(op, json, NULL);
}

static void
method_module_get(struct broker *b, struct rpc_call *call, const json_t *params)
{
	static const char *const names[] = {"digest", "wasm"};
	const json_t *wasm = json_object_get(params, "wasm");
	struct rpc_failure f = {0};
	struct digest digest;
	struct module_op *op;

	if (params_digest(params, names, 2, &digest, &f) != 0 || (wasm != NULL && !json_is_boolean(wasm))) {
		if (f.detail[0] == '\0')
			rpc_fail(&f, RPC_invalid_params, "wasm must be true or false: whether to send the module itself");
		call_fail(call, &f);
		return;
	}
	if ((op = op_new(b, call, "module.get")) == NULL) {
		rpc_fail(&f, RPC_internal_error, "out of memory");
		call_fail(call, &f);
		return;
	}
	op->digest = digest;
	op->with_bytes = json_is_true(wasm);
	modules_get(b->modules, call->peer.uid, &digest, &b->keyring, module_got, op, NULL);
}

static void
modules_listed(void *arg, struct imsg *m, const struct err *why)
{
	struct module_op *op = arg;
	char text[DIGEST_TEXT_SIZE];
	json_t *list;

	if (store_refused(op, m, why) != 0)
		return;
	list = json_array();
	for (size_t at = 0; at + sizeof(struct proto_store_entry) <= m->hdr.length; at += sizeof(struct proto_store_entry)) {
		struct proto_store_entry entry;

		memcpy(&entry, m->payload + at, sizeof(entry));
		if (digest_equal(&entry.digest, &op->digest))
			continue; /* `after` itself: the store lists from it on */
		json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "digest", digest_text(&entry.digest, text), "size",
		    (json_int_t)entry.size, "stored_at", (json_int_t)entry.stored_at));
	}
	op_end(op, json_pack("{s:o}", "modules", list), NULL);
}

static void
method_module_list(struct broker *b, struct rpc_call *call, const json_t *params)
{
	static const char *const names[] = {"after"};
	struct proto_store list = {.kind = PROTO_STORE_MODULE, .owner = call->peer.uid};
	const json_t *after = json_object_get(params, "after");
	struct rpc_failure f = {0};
	struct err e = {0};
	struct module_op *op;

	if (params_check(params, names, 1, &f) != 0)
		goto fail;
	if (after != NULL && (!json_is_string(after) ||
	    digest_parse(json_string_value(after), json_string_length(after), &list.digest, &e) != 0)) {
		rpc_fail(&f, RPC_invalid_params, "after must be the digest of the last module of the list before");
		goto fail;
	}
	if ((op = op_new(b, call, "module.list")) == NULL) {
		rpc_fail(&f, RPC_internal_error, "out of memory");
		goto fail;
	}
	op->digest = list.digest;
	if (service_ask(b->store, PROTO_STORE_LIST, &list, sizeof(list), -1, modules_listed, op, &e) != 0)
		op_fail(op, RPC_store_unavailable, e.msg, strlen(e.msg));
	return;
fail:
	call_fail(call, &f);
}

static void
module_removed(void *arg, struct imsg *m, const struct err *why)
{
	struct module_op *op = arg;

	if (store_refused(op, m, why) != 0)
		return;
	op->removed = true;
	ahead_cancel(op->broker->ahead, op->peer.uid, &op->digest);
	modules_forget(op->broker->modules, op->peer.uid, &op->digest);
	record_op(op);
}

static void
method_module_remove(struct broker *b, struct rpc_call *call, const json_t *params)
{
	static const char *const names[] = {"digest"};
	struct proto_store remove = {.kind = PROTO_STORE_MODULE, .owner = call->peer.uid};
	struct rpc_failure f = {0};
	struct err e = {0};
	struct module_op *op;

	if (params_digest(params, names, 1, &remove.digest, &f) != 0) {
		call_fail(call, &f);
		return;
	}
	if ((op = op_new(b, call, "module.remove")) == NULL) {
		rpc_fail(&f, RPC_internal_error, "out of memory");
		call_fail(call, &f);
		return;
	}
	op->digest = remove.digest;
	if (service_ask(b->store, PROTO_STORE_REMOVE, &remove, sizeof(remove), -1, module_removed, op, &e) != 0)
		op_fail(op, RPC_store_unavailable, e.msg, strlen(e.msg));
}

/* --- pack ------------------------------------------------------------------------------------------------------- */

/* One pack, and why it cannot be run, if that is so. */
static json_t *
pack_json(const struct broker *b, const struct pack *p)
{
	char digest[DIGEST_TEXT_SIZE], module[DIGEST_TEXT_SIZE];
	struct signature_verdict v = {.kind = SIGNATURE_NONE};
	struct err e = {0};
	int rc = packs_judge(p, b->keyring, time(NULL), &v, &e);
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s?, s:b}", "name", p->name, "release", p->release, "digest",
	    digest_text(&p->digest, digest), "module", digest_text(&p->module, module), "signer", rc == 0 ? v.kid : NULL,
	    "usable", rc == 0);

	if (rc != 0)
		json_object_set_new(json, "reason", json_string(e.msg));
	return json;
}

static void
method_pack_list(struct broker *b, struct rpc_call *call, const json_t *params)
{
	struct rpc_failure f = {0};
	json_t *list;

	if (params_check(params, NULL, 0, &f) != 0) {
		call_fail(call, &f);
		return;
	}
	list = json_array();
	for (size_t i = 0; i < packs_count(b->packs); i++)
		json_array_append_new(list, pack_json(b, packs_at(b->packs, i)));
	call_result(call, json_pack("{s:o}", "packs", list));
}

/* --- server ----------------------------------------------------------------------------------------------------- */

static json_t *
layers_json(const struct proto_ready *r)
{
	json_t *layers = json_object();

#define X(name, bit, required, text) \
	json_object_set_new(layers, #name, json_boolean((r->child_layers & PROTO_LAYER_##name) != 0));
	PROTO_LAYERS(X)
#undef X
	return layers;
}

static json_t *
limits_json(const struct policy *ceiling)
{
	json_t *limits = json_object();

	for (enum policy_limit i = 0; i < POLICY_LIMIT_COUNT; i++) {
		const struct policy_limit_info *info = &policy_limit_info[i];
		uint64_t maximum = ceiling->limits[i] < info->maximum ? ceiling->limits[i] : info->maximum;

		json_object_set_new(limits, info->name, json_pack("{s:I, s:I}", "default",
		    (json_int_t)(info->initial < maximum ? info->initial : maximum), "maximum", (json_int_t)maximum));
	}
	return limits;
}

static void
method_server_info(struct broker *b, struct rpc_call *call, const json_t *params)
{
	const struct proto_ready *ready = pool_ready(b->pool);
	char filter[DIGEST_TEXT_SIZE], engine[DIGEST_TEXT_SIZE], ceiling[DIGEST_TEXT_SIZE];
	struct digest digest = {{0}};
	struct rpc_failure f = {0};
	json_t *methods;

	if (params_check(params, NULL, 0, &f) != 0) {
		call_fail(call, &f);
		return;
	}
	methods = json_array();
#define X(name, handler, text) json_array_append_new(methods, json_string(name));
	BROKER_METHODS(X)
#undef X
	policy_digest(b->ceiling->policy, &digest, NULL);
	call_result(call, json_pack("{s:s, s:s, s:i, s:s, s:s, s:o, s:o, s:s, s:o, s:I, s:I, s:I, s:I}",
	    "name", "brig", "version", BRIG_VERSION, "protocol", BRIG_PROTOCOL,
	    "engine", digest_text(&ready->engine, engine), "filter", digest_text(&ready->filter, filter),
	    "layers", layers_json(ready), "limits", limits_json(b->ceiling->policy),
	    "policy", digest_text(&digest, ceiling), "methods", methods,
	    "module_bytes", (json_int_t)b->config->module_bytes, "request_bytes", (json_int_t)b->config->request_bytes,
	    "keyring_version", (json_int_t)keyring_version(b->keyring), "uid", (json_int_t)call->peer.uid));
}

static void
method_server_health(struct broker *b, struct rpc_call *call, const json_t *params)
{
	const char *status = b->draining ? "draining" : b->log_failed ? "audit-unavailable" : "ok";
	struct rpc_failure f = {0};

	if (params_check(params, NULL, 0, &f) != 0) {
		call_fail(call, &f);
		return;
	}
	call_result(call, json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "status",
	    status,
	    "running", (int)runs_running(b->runs), "queued", (int)runs_queued(b->runs),
	    "compiling", (int)artifacts_compiling(b->artifacts), "connections", (int)b->connections,
	    "zygotes", (int)pool_zygotes(b->pool), "templates", (int)pool_templates(b->pool),
	    "parked", (int)pool_parked(b->pool),
	    "uptime_s", (json_int_t)((monotonic_ms() - b->started_ms) / 1000),
	    "runs", (json_int_t)b->counts.runs, "requests", (json_int_t)b->counts.requests,
	    "refused", (json_int_t)b->counts.refused, "crashes", (json_int_t)b->counts.crashes,
	    "filtered", (json_int_t)b->counts.filtered, "reloads", (json_int_t)b->counts.reloads,
	    "reload_failed", b->reload_failed));
}

/* --- policy ----------------------------------------------------------------------------------------------------- */

static void
method_policy_explain(struct broker *b, struct rpc_call *call, const json_t *params)
{
	struct rpc_failure f = {0};
	json_t *result = explain_questions(b, call->peer.uid, params, &f);

	if (result == NULL)
		call_fail(call, &f);
	else
		call_result(call, result);
}

/* --- the table -------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*handle)(struct broker *b, struct rpc_call *call, const json_t *params);
} methods[] = {
#define X(name, handler, text) {name, handler},
    BROKER_METHODS(X)
#undef X
};

#define METHODS (sizeof(methods) / sizeof(methods[0]))

void
methods_dispatch(void *arg, struct rpc_call *call, const struct jsonrpc_request *request)
{
	struct broker *b = arg;
	const char *names[METHODS];
	struct rpc_failure f = {0};
	const char *near;

	b->counts.requests++;
	if (b->stopping) {
		rpc_fail(&f, RPC_shutting_down, "brigd is stopping");
		call_fail(call, &f);
		return;
	}
	for (size_t i = 0; i < METHODS; i++) {
		names[i] = methods[i].name;
		if (strcmp(names[i], request->method) == 0) {
			methods[i].handle(b, call, request->params);
			return;
		}
	}
	near = nearest_name(request->method, names, METHODS);
	rpc_fail(&f, RPC_method_not_found, "there is no method \"%.64s\"%s%s%s", request->method,
	    near != NULL ? "; did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?" : "");
	call_fail(call, &f);
}
