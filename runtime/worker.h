/* runtime/worker: one module, run once, from its job to its result. Zygote (the template) and worker. */

#ifndef RUNTIME_WORKER_H
#define RUNTIME_WORKER_H

#include "base/err.h"
#include "base/proto.h"
#include "runtime/engine.h"

struct worker;

/*
 * worker_new - what every run of one engine needs and no run changes: engine, WASI host, linker, store, and the handlers
 * of SIGALRM and PROTO_END_SIGNAL. The zygote makes it once; each child of its has a copy to use up.
 *
 * `settings` as for engine_new. Returns 0 with *out to be ended by worker_free(), or an error as engine_new.
 */
int worker_new(enum proto_engine kind, engine_settings *settings, struct worker **out, struct err *e);
void worker_free(struct worker *w);

/*
 * worker_load - map the module in `artifact` (taken) and resolve its imports, in the zygote, so that no child has to. Runs
 * no guest code. From then on worker_run takes jobs for this module only. Once. 0 or ERR_UNSUPPORTED.
 */
int worker_load(struct worker *w, int artifact, struct err *e);

/*
 * worker_warm - worker_load for a language pack's module, and then start its guest, in the zygote, with what is in `blob`
 * (borrowed for good). When the guest asks for its job, serve(arg) is called, which never returns. worker_run and
 * worker_park, called below `serve` in children, go on from there once they have a job and are locked: they do not return.
 * Returns only when the guest does not get so far, with an error.
 */
int worker_warm(struct worker *w, int artifact, const struct proto_warm *warm, const uint8_t *blob,
    void (*serve)(void *arg), void *arg, struct err *e);

/*
 * worker_instantiate - make the instance of the module that was loaded, in the zygote, under the limits on memory and tables
 * of `limits`, so that no child of its has to that has those limits or wider ones; the others make theirs. The module must
 * have no start function, so that no guest code runs; if it takes seconds of processor time all the same, the process ends.
 * Done once; that it cannot be had is for the children to find and say.
 */
void worker_instantiate(struct worker *w, const struct proto_park *limits);

/* worker_engine - the engine inside, borrowed. */
const wasm_engine_t *worker_engine(const struct worker *w);

/*
 * worker_lock - the last step before guest bytes have any say: no new code pages, the worker's seccomp filter. Nothing
 * but read, write, mmap and mprotect without PROT_EXEC, munmap, mremap, brk, madvise, sigaltstack, rt_sigreturn,
 * exit_group, clock_gettime, getrandom and ppoll is called after it. Returns 0 or an error, which ends the run.
 */
typedef int worker_lock(void *arg, struct err *e);

/*
 * worker_run - take one PROTO_JOB from `socket`, run it, send output as it comes, and the PROTO_RESULT. In a process of
 * its own, once, with SIGALRM unblocked; wall_ms counts from here. `shared` is told how far it is. `lock` may be NULL
 * where there is no jail (tests).
 *
 * Returns the exit status for the process: 0 when a result (or PROTO_FAILED, when there was no job to have one) was
 * sent, 1 when that was not possible. A run that does not notice its time limit ends the process from the handler.
 */
int worker_run(struct worker *w, int socket, volatile struct proto_shared *shared, worker_lock *lock, void *arg);

/*
 * worker_park - the same for a job that is still to come, of the module that was loaded: all that can be done without it is
 * done first. Locks, instantiates under the limits of `park` if that was not done in the zygote, sends PROTO_PARKED, and waits. The module must have no start
 * function: nothing of the guest runs before there is a job, which is to have the limits of `park` and to come as one
 * message without descriptors. cpu_ms counts from here, without what was done before locking; wall_ms is for the zygote to
 * tell, by PROTO_WALL_SIGNAL. A module that cannot be instantiated so sends PROTO_FAILED: the run is to be forked, and to
 * say by itself what is wrong.
 *
 * Returns as worker_run; 0 too when the other side closed before a job came.
 */
int worker_park(struct worker *w, int socket, volatile struct proto_shared *shared, const struct proto_park *park,
    worker_lock *lock, void *arg);

#endif
