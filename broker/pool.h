/* broker/pool: the zygotes, kept running and replaced in time; those for modules that are run often. brigd. */

#ifndef BROKER_POOL_H
#define BROKER_POOL_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/proto.h"
#include "broker/child.h"
#include "broker/heat.h"
#include "broker/holders.h"

struct pool;
struct pool_run;

struct pool_limits {
	uint64_t runs_max;      /* forks after which a zygote is replaced */
	uint64_t minutes_max;   /* age at which it is */
	unsigned ready_ms;      /* a zygote that is not ready by then is killed */
	uint32_t layers;        /* enum proto_layer: those that a worker must be under, or nothing starts */
	unsigned templates_max; /* zygotes for one module each */
	uint64_t templates_bytes; /* memory of their own that these may have, all together */
	unsigned parked_max;    /* workers of each of these that wait for a run */
	unsigned parked_total;  /* of all together */
	unsigned processors;    /* none is added while as many runs, or more, are younger than short_ms */
	int64_t short_ms;
	uint64_t spare_bytes;   /* none waits while the machine has less memory to give */
	holders_weight_fn *weight; /* of an owner, or of POOL_EVERYONE; may be NULL: all have the same */
	void *weight_arg;
};

/*
 * Every run is a fork of a zygote. One zygote for each engine holds no module: its workers load theirs. A module that one
 * owner runs often gets a zygote of its own, a template, which has it mapped and linked already; no guest code ever runs
 * in it, and it serves that owner only. A template goes when others are run more often, or when it is not used any more.
 *
 * Owners get shares of the templates by their weights, and of what is parked too. Who has more than theirs gives way to who
 * has less, however often they run their modules; else what is run more often takes the place of what is run less, and
 * nobody's share is touched while they make use of it.
 */
#define POOL_HOT  3.0 /* heat (broker/heat.h) from which on a module gets a template */
#define POOL_COLD 0.2 /* and below which it loses it */

/*
 * A template's workers may be forked ahead of their runs, and wait: jailed, locked, with the module instantiated. Such a
 * worker takes one run of the limits that it was parked with, and ends. It goes with its template. There are as many as
 * there were runs of the module within the last second, one at least; those that are taken are replaced by pool_refill.
 */

/*
 * A language pack's template holds its guest, started up to where it asks for its job. Nothing of any owner is in there, so
 * it serves all: its key has POOL_EVERYONE for the owner, and the pack's digest.
 */
#define POOL_EVERYONE ((uid_t)-1)

struct pool_warm {
	struct proto_warm start;
	int blob; /* borrowed */
};

/* Where a run is to start. Good until the event loop goes on. */
struct pool_place {
	struct zygote *zygote;
	bool is_loaded; /* its workers have the module: the job brings no artifact, and says PROTO_JOB_LOADED */
	struct pool_run *parked; /* a worker that waits for it: for pool_take. NULL: for pool_start */
};

/* Bytes of messages that may wait for a worker. */
#define POOL_JOB_QUEUE_MAX (16 * 1024 * 1024)

/*
 * Told once, when a worker is gone: `exited` from its zygote, or NULL when the zygote itself died, or could not fork it;
 * `why` then says how: ERR_AGAIN when what was parked may have taken its place, and ends now (pool_on_room).
 */
typedef void pool_ended_fn(void *arg, const struct proto_exited *exited, const struct err *why);

/*
 * pool_new - start the zygote of the plain engine. `ready` is called once, when it is: with NULL, or with the reason
 * why no run can ever be started here (a required layer is missing, the jail could not be made).
 */
struct pool *pool_new(struct event_base *base, struct launcher *launcher, const struct pool_limits *limits,
    void (*ready)(void *arg, const struct err *why), void *arg);
void pool_free(struct pool *p);

/*
 * pool_pick - choose where a run of this module starts, and note that there is one more. `artifact` (borrowed): the
 * module's, for a template of it, or -1 while it has not shown that it suits this machine. `park`: the limits that a
 * parked worker must have to take it; NULL when none can. `warm`: the language pack that is to be started; NULL for none.
 * Returns 0, or ERR_IO.
 */
int pool_pick(struct pool *p, const struct heat_key *key, int artifact, const struct proto_park *park,
    const struct pool_warm *warm, struct pool_place *place, struct err *e);

/*
 * pool_lacks - count a run of a language pack that there was not, so that its template, if there is one, is kept when it is asked
 * again every POOL_KEEP_MS; and tell whether there should be one: there is none that can go on, none was given up, there is room.
 * pool_keep - then make it.
 */
#define POOL_KEEP_MS 10000
bool pool_lacks(struct pool *p, const struct heat_key *key);
void pool_keep(struct pool *p, const struct heat_key *key, int artifact, const struct pool_warm *warm);

/*
 * pool_start - fork a worker for `run`, whose job comes over the socket `job` (borrowed: the worker's end). Returns a
 * handle, good until `ended` was called; or NULL with an error, and `ended` is not called: ERR_EOF when that zygote has
 * died, and another place is to be picked.
 */
struct pool_run *pool_start(const struct pool_place *place, uint64_t run, const struct proto_run *limits, int job,
    pool_ended_fn *ended, void *arg, struct err *e);

/*
 * pool_take - the same of a place with a parked worker: *job becomes its socket, the caller's, over which the job is to be
 * sent; its messages are to be handed over. `ended` is told what was used since the worker was parked.
 */
struct pool_run *pool_take(const struct pool_place *place, uint64_t wall_ms, struct channel **job, pool_ended_fn *ended,
    void *arg, struct err *e);

/*
 * pool_renew - let nothing that is kept ready now start another run: every template, or those of `module`, if it is not
 * NULL. Runs that have begun go on. What would not load is tried again: it may have been for what is no more.
 */
void pool_renew(struct pool *p, const struct digest *module);

/*
 * pool_is_clearing - whether parked workers are ending because a run could not be forked beside them: nothing is to be
 * started until `room` is called. Nothing is parked for a while then.
 */
bool pool_is_clearing(const struct pool *p);
void pool_on_room(struct pool *p, void (*room)(void *arg), void *arg);

/* pool_drop - kill a worker whose end nobody waits for any more. */
void pool_drop(struct pool_run *r);

/* pool_refill - have workers parked where some are missing. It is done by itself too, but not at once. */
void pool_refill(struct pool *p);

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

/*
 * pool_zygotes - how many there are now, templates included; pool_templates - only these; pool_parked - workers that wait
 * for a run. For metrics.
 */
unsigned pool_zygotes(const struct pool *p);
unsigned pool_templates(const struct pool *p);
unsigned pool_parked(const struct pool *p);

/* pool_each_template - tell `fn` of every template, in no order. For metrics. */
struct pool_template {
	struct heat_key key;
	double heat;
	uint64_t forks, hits; /* processes forked from it; runs that were started in these */
	unsigned parked;  /* processes of it that wait for a run */
	unsigned running; /* runs that are in its processes now */
	int64_t age_ms;
	pid_t pid;        /* 0 when it is not known yet */
};
void pool_each_template(const struct pool *p, void (*fn)(void *arg, const struct pool_template *t), void *arg);

#endif
