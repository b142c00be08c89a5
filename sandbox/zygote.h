/* sandbox/zygote: the loop that forks a worker per run, bounds its life and reports its end. Zygote process. */

#ifndef SANDBOX_ZYGOTE_H
#define SANDBOX_ZYGOTE_H

#include <stdint.h>

#include "base/err.h"
#include "base/proto.h"

#define ZYGOTE_WORKERS_MAX 1024               /* at the same time */
#define ZYGOTE_WALL_MS_MAX (7 * 86400 * 1000) /* longest wall limit of a run */

/* A worker is killed this long after its wall limit, when it has not ended itself. */
#define ZYGOTE_GRACE_MS 10

/* And this long after it was asked to end on request. */
#define ZYGOTE_END_GRACE_MS 250

struct zygote_ops {
	void *arg; /* borrowed; given to `worker` */
	int ruleset; /* from jail_ruleset(); negative where there is no Landlock */
	/*
	 * Runs in the forked child, after jail_worker: the job socket is descriptor PROTO_SOCKET_FD and no other is
	 * open, but PROTO_MODULE_FD if there is a module; resource limits are set, the signal mask is what it was before
	 * zygote_serve, SIGPIPE is ignored, the zygote's filter is in force. `shared` is for phase and call, zero at the
	 * start. `park` is NULL, or it is to park before its job is there. What it returns becomes the exit status, by _exit.
	 */
	int (*worker)(void *arg, int job_socket, volatile struct proto_shared *shared, const struct proto_park *park);
	/* Takes the artifact, PROTO_MODULE_FD, of the module that all workers from now on have. 0 or an error. */
	int (*load)(void *arg, int artifact, struct err *e);
	/* A worker is to park with these limits: what it has in common with the next ones can be made. */
	void (*instantiate)(void *arg, const struct proto_park *limits);
	/*
	 * As `load`, of a language pack, whose guest it starts. When that asks for its job, `serve` is to be called, which never
	 * returns: it serves on, and `worker` is called in each child, from inside `serve`, to go on with the guest.
	 */
	int (*warm)(void *arg, int artifact, const struct proto_warm *warm, const uint8_t *blob, void (*serve)(void *zygote),
	    void *zygote, struct err *e);
};

/*
 * zygote_serve - serve PROTO_LOAD, PROTO_WARM, PROTO_RUN, PROTO_PARK, PROTO_TAKE and PROTO_RUN_KILL on `sock` until the other side
 * closes: have a module loaded, once, before any run; fork a worker per run, kill it at wall_ms + ZYGOTE_GRACE_MS or on
 * request, reap it, report PROTO_RUN_EXITED. A run that cannot be forked is answered by PROTO_FAILED with its id; one
 * whose limits cannot be set says PROTO_FAILED on its job socket. A parked worker has no deadline until PROTO_TAKE; one
 * that is gone by then has been reported. The caller has sent PROTO_READY and has no child of its own. Borrows `ops`;
 * `sock` stays open. Works under FILTER_ZYGOTE.
 *
 * Returns 0 at the end of file with all workers dead; ERR_PROTOCOL after a message that must not occur, ERR_IO or
 * ERR_NOMEM otherwise, workers killed too. The caller exits in every case.
 */
int zygote_serve(const struct zygote_ops *ops, int sock, struct err *e);

#endif
