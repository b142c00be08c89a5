/* broker/runs: the life of a run, from request to recorded result. brigd. */

#ifndef BROKER_RUNS_H
#define BROKER_RUNS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/conn.h"
#include "broker/jsonrpc.h"

struct broker;
struct runs;

/*
 * A run goes through these states, in this order, and can end in any of them. A client that goes away cancels its runs,
 * unless it gave an idempotency key.
 *
 *   VERIFYING  its module is fetched from the store, when given by digest
 *   PREPARING  its intent is being recorded, and its artifact found or compiled, at the same time
 *   QUEUED     waits for its turn
 *   RUNNING    has a worker
 *   RECORDING  its outcome is being recorded
 *   ENDED      answered; kept for run.get
 */
struct runs *runs_new(struct broker *b);
void runs_free(struct runs *r);

/* The methods `run`, `run.cancel`, `run.get` and `run.input`: each ends `call`, now or later. */
void runs_run(struct runs *r, struct rpc_call *call);
void runs_cancel(struct runs *r, struct rpc_call *call, const json_t *params);
void runs_get(struct runs *r, struct rpc_call *call, const json_t *params);
void runs_input(struct runs *r, struct rpc_call *call, const json_t *params);

/*
 * runs_abandon - end every run as failed, for this reason: brigd cannot go on. Workers are killed; outcomes are recorded
 * and clients answered as usual.
 */
void runs_abandon(struct runs *r, const char *reason);

/* runs_tell_progress - tell streaming clients how far their modules are compiled: to be called every second. */
void runs_tell_progress(struct runs *r);

/* runs_active - runs that have not ended; runs_running - those with a worker; runs_queued - those that wait for one. */
size_t runs_active(const struct runs *r);
unsigned runs_running(const struct runs *r);
unsigned runs_queued(const struct runs *r);

/* runs_load - how many runs an owner has now. Zeros for one who has none. */
struct runs_load {
	unsigned active, queued, running;
};
struct runs_load runs_load(const struct runs *r, uid_t owner);

/* runs_reload - go by the shares and settings that are in force now. */
void runs_reload(struct runs *r);

/* runs_held_bytes - modules and input of active runs. */
size_t runs_held_bytes(const struct runs *r);

#endif
