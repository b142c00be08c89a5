/* broker/server_metrics: the method `server.metrics`: figures of the caller's runs, and for the operator of all. brigd. */

#include "broker/server_metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/monotonic.h"
#include "base/process.h"
#include "base/proto.h"
#include "broker/broker.h"
#include "broker/run_request.h"

/* Resident memory of a process, as /proc tells anyone; null when it does not. */
static json_t *
rss_json(pid_t pid)
{
	struct process_memory memory;

	return process_memory(pid, &memory) == 0 ? json_integer((json_int_t)memory.resident_bytes) : json_null();
}

/* --- templates ---------------------------------------------------------------------------------------------------- */

struct template_list {
	json_t *array;
	const uid_t *owner; /* only these; NULL: all */
};

static void
add_template(void *arg, const struct pool_template *t)
{
	const struct template_list *list = arg;
	char module[DIGEST_TEXT_SIZE];

	if (list->owner != NULL && *list->owner != t->key.owner)
		return;
	json_array_append_new(list->array, json_pack("{s:s, s:s, s:I, s:f, s:i, s:i, s:I, s:I, s:I, s:o}",
	    "module", digest_text(&t->key.module, module),
	    "engine", t->key.engine == PROTO_ENGINE_FUEL ? "fuel" : "plain",
	    "uid", (json_int_t)t->key.owner, "heat", t->heat, "running", (int)t->running,
	    "parked", (int)t->parked, "hits", (json_int_t)t->hits, "forks", (json_int_t)t->forks,
	    "age_s", (json_int_t)(t->age_ms / 1000), "memory_bytes", rss_json(t->pid)));
}

static json_t *
templates_json(const struct broker *b, const uid_t *owner)
{
	struct template_list list = {json_array(), owner};

	pool_each_template(b->pool, add_template, &list);
	return list.array;
}

/* --- for everyone ------------------------------------------------------------------------------------------------- */

static json_t *
load_json(const struct runs_load *load)
{
	return json_pack("{s:i, s:i, s:i}", "running", (int)load->running, "queued", (int)load->queued, "active",
	    (int)load->active);
}

/* What everyone gets, about `owner`, or about all when it is NULL. */
static json_t *
common_json(const struct broker *b, uid_t caller, const uid_t *owner)
{
	int64_t now_ms = monotonic_ms();
	struct runs_load load = {(unsigned)runs_active(b->runs), runs_queued(b->runs), runs_running(b->runs)};
	json_t *json = json_pack("{s:s, s:I, s:I, s:i}", "scope", owner == NULL ? "all" : "owner",
	    "uid", (json_int_t)caller, "uptime_s", (json_int_t)((now_ms - b->started_ms) / 1000),
	    "window_s", METRICS_WINDOW_S);

	if (owner != NULL)
		load = runs_load(b->runs, *owner);
	if (json_object_update_new(json, load_json(&load)) != 0 ||
	    json_object_update_new(json, metrics_json(b->metrics, owner, true, now_ms / 1000)) != 0 ||
	    json_object_set_new(json, "templates", templates_json(b, owner)) != 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}

/* --- for the operator --------------------------------------------------------------------------------------------- */

static json_t *
owners_json(const struct broker *b)
{
	static uid_t owners[METRICS_OWNERS_MAX];
	size_t n = metrics_owners(b->metrics, owners);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct runs_load load = runs_load(b->runs, owners[i]);
		json_t *one = metrics_json(b->metrics, &owners[i], false, 0);

		json_object_update_new(one, load_json(&load));
		json_object_set_new(one, "weight", json_integer(shares_of(b->shares, b->config, owners[i]).weight));
		json_object_set_new(one, "uid", json_integer((json_int_t)owners[i]));
		json_array_append_new(list, one);
	}
	return list;
}

/* Settings that bound how much runs, and waits. */
#define LIMITS(X) X(running_max) X(running_per_owner) X(queued_max) X(queued_per_owner) X(held_bytes) X(templates_max) \
	X(templates_bytes) X(parked_max) X(parked_total)

static json_t *
limits_json(const struct config *c)
{
	const struct {
		const char *name;
		int64_t value;
	} list[] = {
#define X(name) {#name, c->name},
	    LIMITS(X)
#undef X
	};
	json_t *json = json_object();

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		json_object_set_new(json, list[i].name, json_integer(list[i].value));
	return json;
}

static json_t *
audit_json(const struct broker *b)
{
	int64_t oldest_ms;
	unsigned waiting = service_waiting(b->logger, &oldest_ms);

	return json_pack("{s:i, s:I}", "waiting", (int)waiting, "lag_ms", (json_int_t)oldest_ms);
}

static json_t *
pressure_json(const struct broker *b)
{
	static const char *const names[PRESSURE_COUNT] = {
#define X(name) #name,
	    PRESSURES(X)
#undef X
	};
	json_t *percent = json_object();

	for (int i = 0; i < PRESSURE_COUNT; i++) {
		double value = pressure_percent(b->pressure, (enum pressure_kind)i);

		json_object_set_new(percent, names[i], value < 0 ? json_null() : json_real(value));
	}
	return json_pack("{s:o, s:b}", "percent", percent, "holding", b->under_pressure);
}

static json_t *
broker_json(const struct broker *b)
{
	return json_pack("{s:o, s:I, s:i, s:i, s:I, s:I}", "rss_bytes", rss_json(getpid()),
	    "held_bytes", (json_int_t)runs_held_bytes(b->runs), "connections", (int)b->connections,
	    "zygotes", (int)pool_zygotes(b->pool), "crashes", (json_int_t)b->counts.crashes,
	    "filtered", (json_int_t)b->counts.filtered);
}

static json_t *
compile_json(const struct broker *b)
{
	const struct artifacts_counts *c = artifacts_counts(b->artifacts);
	unsigned waiting = artifacts_waiting(b->artifacts);

	return json_pack("{s:i, s:i, s:i, s:I, s:I, s:I, s:I}", "running", (int)(artifacts_compiling(b->artifacts) - waiting),
	    "queued", (int)waiting, "ahead", (int)ahead_waiting(b->ahead), "hits", (json_int_t)c->hits,
	    "done", (json_int_t)c->compiled, "failed", (json_int_t)c->failed, "done_us", (json_int_t)c->compile_us);
}

/* `store` is NULL when the store did not say. */
static json_t *
operator_json(const struct broker *b, uid_t caller, const struct proto_store_sized *store)
{
	json_t *json = common_json(b, caller, NULL);
	json_t *more = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "owners", owners_json(b),
	    "limits", limits_json(b->config), "compile", compile_json(b), "audit", audit_json(b),
	    "pressure", pressure_json(b), "broker", broker_json(b));

	if (store != NULL)
		json_object_set_new(more, "store", json_pack("{s:I, s:I, s:I}", "bytes", (json_int_t)store->bytes,
		    "modules", (json_int_t)store->modules, "artifacts", (json_int_t)store->artifacts));
	if (json == NULL || json_object_update_new(json, more) == 0)
		return json;
	json_decref(json);
	return NULL;
}

/* --- the method --------------------------------------------------------------------------------------------------- */

/* A call that waits for the store. `call` is NULL once the client is gone. */
struct asked {
	struct broker *broker;
	struct rpc_call *call;
};

static void
on_gone(struct rpc_call *call)
{
	struct asked *a = call->arg;

	a->call = NULL;
	call_result(call, json_null());
}

static void
answer(struct rpc_call *call, json_t *json)
{
	struct rpc_failure f = {0};

	if (json != NULL) {
		call_result(call, json);
		return;
	}
	rpc_fail(&f, RPC_internal_error, "out of memory");
	call_fail(call, &f);
}

static void
store_answered(void *arg, struct imsg *m, const struct err *why)
{
	struct asked *a = arg;
	struct proto_store_sized size;
	bool told = m != NULL && m->hdr.type == PROTO_STORE_SIZED;

	(void)why;
	if (told)
		memcpy(&size, m->payload, sizeof(size));
	if (a->call != NULL) {
		a->call->gone = NULL;
		answer(a->call, operator_json(a->broker, a->call->peer.uid, told ? &size : NULL));
	}
	free(a);
}

/* Asks the store; the rest follows when it has answered. */
static void
ask_store(struct broker *b, struct rpc_call *call)
{
	struct asked *a = calloc(1, sizeof(*a));

	if (a == NULL) {
		answer(call, NULL);
		return;
	}
	*a = (struct asked){b, call};
	call->arg = a;
	call->gone = on_gone;
	if (service_ask(b->store, PROTO_STORE_SIZE, NULL, 0, -1, store_answered, a, NULL) == 0)
		return;
	call->gone = NULL;
	answer(call, operator_json(b, call->peer.uid, NULL));
	free(a);
}

void
server_metrics(struct broker *b, struct rpc_call *call, const json_t *params)
{
	struct rpc_failure f = {0};
	uid_t uid = call->peer.uid;

	if (params_check(params, NULL, 0, &f) != 0)
		call_fail(call, &f);
	else if (uid == 0 || uid == b->operator)
		ask_store(b, call);
	else
		answer(call, common_json(b, uid, &uid));
}
