/* broker/pool: the zygotes, kept running and replaced in time; every run is a fork of one. brigd. */

#ifndef BROKER_POOL_H
#define BROKER_POOL_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/proto.h"
#include "broker/child.h"

struct pool;
struct pool_run;

struct pool_limits {
	uint64_t runs_max;      /* forks after which a zygote is replaced */
	uint64_t minutes_max;   /* age at which it is */
	unsigned ready_ms;      /* a zygote that is not ready by then is killed */
	uint32_t layers;        /* enum proto_layer: those that a worker must be under, or nothing starts */
};

/* Told once, when a worker is gone: `exited` from its zygote, or NULL when the zygote itself died; `why` then says how. */
typedef void pool_ended_fn(void *arg, const struct proto_exited *exited, const struct err *why);

/*
 * pool_new - start the zygote of the plain engine. `ready` is called once, when it is: with NULL, or with the reason
 * why no run can ever be started here (a required layer is missing, the jail could not be made).
 */
struct pool *pool_new(struct event_base *base, struct launcher *launcher, const struct pool_limits *limits,
    void (*ready)(void *arg, const struct err *why), void *arg);
void pool_free(struct pool *p);

/*
 * pool_start - fork a worker for `run`, whose job comes over the socket `job` (borrowed: the worker's end). Returns a
 * handle, good until `ended` was called; or NULL with an error, and `ended` is not called.
 */
struct pool_run *pool_start(struct pool *p, uint32_t engine, uint64_t run, const struct proto_run *limits, int job,
    pool_ended_fn *ended, void *arg, struct err *e);

/*
 * pool_is_crash - whether a worker was ended by a signal that neither brig nor a limit sends: by the filter (SIGSYS) or by
 * a fault of its own. Its zygote starts nothing any more, and goes when its other runs have: who tries to break out may
 * have learned where things are in the memory of all its workers, and the next one's are elsewhere.
 */
bool pool_is_crash(const struct proto_exited *exited);

/* pool_kill - SIGKILL one worker; `ended` follows. */
void pool_kill(struct pool_run *r);

/* pool_condemn - the zygote of this run does not do what it should: kill it with all that it has. `ended` follows. */
void pool_condemn(struct pool_run *r, const char *reason);

/* pool_ready - the READY of the plain zygote: layers, filter and engine digests. NULL before it came. */
const struct proto_ready *pool_ready(const struct pool *p);

/* pool_zygotes - how many there are now, for metrics. */
unsigned pool_zygotes(const struct pool *p);

#endif
