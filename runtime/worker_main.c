/* brig-worker: a zygote, which enters its jail, loads the engine, and forks a worker per run. Zygote and worker. */

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/imsg.h"
#include "runtime/warm.h"
#include "runtime/worker.h"
#include "sandbox/child.h"
#include "sandbox/filter_load.h"
#include "sandbox/jail.h"
#include "sandbox/zygote.h"

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif

struct zygote_state {
	struct worker *worker;
	struct filter_set filters;
	uint32_t layers;
};

static int
lock_down(void *arg, struct err *e)
{
	struct zygote_state *z = arg;
	int rc = jail_lock_code(&z->layers, e);

	return rc != 0 ? rc : jail_filter(&z->filters.prog[FILTER_WORKER], &z->layers, e);
}

/* Runs in the forked child. */
static int
run_worker(void *arg, int job_socket, volatile struct proto_shared *shared, const struct proto_park *park)
{
	struct zygote_state *z = arg;

	return park != NULL ? worker_park(z->worker, job_socket, shared, park, lock_down, z)
	                    : worker_run(z->worker, job_socket, shared, lock_down, z);
}

/* Runs in the zygote. */
static int
load_module(void *arg, int artifact, struct err *e)
{
	struct zygote_state *z = arg;

	return worker_load(z->worker, artifact, e);
}

/* Runs in the zygote. */
static void
instantiate(void *arg, const struct proto_park *limits)
{
	struct zygote_state *z = arg;

	worker_instantiate(z->worker, limits);
}

/* Runs in the zygote. */
static int
warm_pack(void *arg, int artifact, const struct proto_warm *warm, const uint8_t *blob, void (*serve)(void *zygote),
    void *zygote, struct err *e)
{
	struct zygote_state *z = arg;

	return worker_warm(z->worker, artifact, warm, blob, serve, zygote, e);
}

/* The layers that a worker is under at its first guest instruction. */
static uint32_t
worker_layers(uint32_t layers)
{
	layers |= PROTO_LAYER_seccomp | PROTO_LAYER_rlimits;
	return prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0 ? layers | PROTO_LAYER_mdwe : layers;
}

static int
serve(int argc, char **argv, struct err *e)
{
	static struct zygote_state z;
	struct zygote_ops ops = {
	    .arg = &z, .worker = run_worker, .load = load_module, .instantiate = instantiate, .warm = warm_pack};
	struct child_args args;
	struct proto_ready ready = {0};
	int rc;

	if ((rc = child_args_parse(argc, argv, &args, e)) != 0)
		return rc;
	warm_text();
	if ((rc = jail_enter(&args.jail, &z.layers, e)) != 0)
		return rc;
	if ((rc = filter_load(FILTER_FD, &z.filters, e)) != 0)
		return rc;
	close(FILTER_FD);
	if ((rc = worker_new((enum proto_engine)args.engine, NULL, &z.worker, e)) != 0)
		return rc;
	ops.ruleset = jail_ruleset(e);
	if (ops.ruleset < 0 && ops.ruleset != ERR_UNSUPPORTED)
		return ops.ruleset;
	ready.child_layers = worker_layers(z.layers);
	ready.filter = filter_digest(&z.filters.prog[FILTER_WORKER]);
	ready.engine = engine_identity((enum proto_engine)args.engine);
	if ((rc = jail_filter(&z.filters.prog[FILTER_ZYGOTE], &z.layers, e)) != 0)
		return rc;
	ready.layers = z.layers;
	if ((rc = imsg_send(PROTO_SOCKET_FD, PROTO_READY, 0, &ready, sizeof(ready), NULL, 0, e)) != 0)
		return rc;
	return zygote_serve(&ops, PROTO_SOCKET_FD, e);
}

int
main(int argc, char **argv)
{
	struct err e;

	if (serve(argc, argv, &e) == 0)
		return 0;
	imsg_send(PROTO_SOCKET_FD, PROTO_FAILED, 0, e.msg, strlen(e.msg), NULL, 0, NULL);
	return 1;
}
