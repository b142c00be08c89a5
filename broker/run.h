/* broker/run: one run, as the files that carry it through its life share it. brigd. */

#ifndef BROKER_RUN_H
#define BROKER_RUN_H

#include <event2/buffer.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "broker/broker.h"
#include "broker/fair.h"
#include "broker/modules.h"
#include "broker/pace.h"
#include "broker/records.h"
#include "broker/run_changes.h"
#include "broker/run_learned.h"
#include "broker/run_request.h"
#include "broker/run_result.h"

/*
 * Who does what, in the order of a run's life: runs.c takes the request and makes the run; run_prepare.c verifies,
 * decides, has the intent recorded and the artifact found; run_job.c gives it a worker and listens to it; run_outcome.c
 * settles how it ended, has that recorded, and answers. broker/runs.h has the states.
 */
#define RUN_LAYERS_MAX 7
#define RUN_ID_BYTES 16
#define RUN_ID_TEXT  (4 + 2 * RUN_ID_BYTES + 1) /* "run-", hex, NUL */
#define RUNS_BUCKETS 1024

enum state { VERIFYING, PREPARING, QUEUED, RUNNING, RECORDING, ENDED };

/*
 * What one owner takes of what all share. There is one while the owner has active runs, and as long as they are not due
 * again by the queue's clock: who is never there for long would otherwise get more than their share.
 */
struct share {
	LIST_ENTRY(share) link;
	uid_t owner;
	struct fair_owner fair;
	unsigned active, running;    /* runs */
	size_t held_bytes;
	struct pace pace;            /* of the end of runs */
};

struct run {
	TAILQ_ENTRY(run) order;      /* in `active` or `ended`, oldest first */
	struct fair_item place;      /* in `queue` when QUEUED */
	LIST_ENTRY(run) bucket;
	struct runs *runs;
	char id[RUN_ID_TEXT];
	uint64_t number;             /* in messages between processes */
	enum state state;
	struct conn_peer peer;
	struct share *share;         /* its owner's, while it is active */
	struct rpc_call **calls;     /* who waits for the result; the first gets the stream */
	size_t ncalls;

	struct run_request request;
	struct digest module;
	struct signature_verdict verdict; /* of the module, or of the language pack */
	char pack[PACK_NAME_MAX + 1];     /* the pack's name; "" for a module */
	struct digest pack_digest;
	struct signature_verdict source;  /* of what the pack runs; its `module` is that */
	struct policy *policy;       /* effective */
	struct digest policy_digest;
	struct policy_denial *no_clock, *no_random; /* what to say if the guest asks for it; NULL: it is granted */
	struct policy_layer layers[RUN_LAYERS_MAX]; /* for the same; policies owned; none when it has no files */
	size_t layer_count;
	struct modules_wait *module_wait;
	struct artifact_wait *artifact_wait;
	bool intent_recorded;
	struct artifact_file *artifact; /* held; NULL until there is one */
	enum run_start start;
	enum run_status status;      /* once its outcome is settled */
	uint64_t compile_us, artifact_bytes;
	bool compiled;               /* the artifact was not there */
	bool recompiled;             /* the artifact was stale once already */
	bool module_dropped;         /* what came with the request was let go: only the store may have it still */

	struct channel *job;
	struct pool_run *worker;
	struct event *backstop;
	bool is_heard;               /* the worker said something */
	bool had_no_room;            /* it could not be forked beside parked workers once */
	bool is_forked;              /* no parked worker may take it: one has died of it already */
	bool announced;              /* run.started was sent */
	bool paused;                 /* the worker waits for the client to read */
	bool input_sent;             /* to the worker, which has it: no other worker can be given it again */
	struct rpc_call *input_call; /* run.input that is answered when the worker has taken what was sent */
	bool is_closed;              /* the worker said its last word, as far as can be seen */
	bool killed;                 /* told to end: cancelled, closed and still there, or for what is in `breach` */
	bool overdue;                /* half of the time in which its end had to be reported is over */
	struct err breach;           /* of the protocol, by the worker */
	struct evbuffer *output[2];
	uint64_t received[2];
	crypto_hash_sha256_state hash[2];
	bool has_result;
	struct proto_result claimed;
	char *trap_text;
	json_t *frames, *denials;
	json_t *warnings;            /* NULL for none */
	struct run_changes changes;
	struct run_learned learned;  /* in learn mode */
	struct proto_exited observed;

	struct event *deadline;      /* until it has a worker; NULL: there is no deadline */
	uint64_t wall_ms;            /* what its worker gets: less than its limit when the deadline is nearer */
	bool expired;                /* the deadline passed before it had a worker */
	bool cancelled;
	bool abandoned;              /* cancelled by brigd itself, which cannot go on: the run has failed */
	const char *cancel_reason;   /* a constant, or in runs.abandon_reason */
	enum rpc_error error;        /* with `failure`: could not be run at all */
	struct err failure;
	bool failed;
	int64_t received_ms;         /* wall clock */
	uint64_t t_received, t_queued, t_started, t_ended; /* CLOCK_MONOTONIC, microseconds */
	struct run_result result;
	size_t result_bytes;         /* about what it costs to keep */
	size_t held_bytes;           /* of its request, while it is active */
};

struct runs {
	struct broker *broker;
	TAILQ_HEAD(run_list, run) active, ended;
	struct fair queue;
	struct pace pace;            /* of the end of runs */
	LIST_HEAD(, share) shares;   /* of owners with active runs */
	LIST_HEAD(, run) table[RUNS_BUCKETS];
	uint64_t last_number;
	size_t active_count, ended_count, ended_bytes;
	size_t held_bytes;           /* modules and input of active runs */
	unsigned running;
	int descriptors_max;         /* a request with a descriptor whose number is higher finds no room */
	struct policy *policy;       /* of the last run that was given one, and its digest: most are alike */
	struct digest policy_digest;
	char abandon_reason[600];    /* once brigd cannot go on */
};

/* --- runs.c ----------------------------------------------------------------------------------------------------- */

/*
 * run_ms_left - milliseconds until the run's deadline, 0 when it has passed; UINT64_MAX without one. run_watch_deadline -
 * have the run end at its deadline, as long as it has no worker. Returns 0 or ERR_NOMEM.
 */
uint64_t run_ms_left(const struct run *run);
int run_watch_deadline(struct run *run);

/* run_answer_input - answer the run.input that waits, if one does. */
void run_answer_input(struct run *run);

/* run_running - count the run among those that have a worker, or no longer. */
void run_running(struct run *run, bool is);

/* run_leave - take the run out of `active`, and free what only a living run needs. */
void run_leave(struct run *run);

/* run_drop_module - let go of the module that came with the request, when it is not needed any more. */
void run_drop_module(struct run *run);

/* run_shed - release what only a living run needs: its result, its key and its name stay. */
void run_shed(struct run *run);

/* run_free - free a run that is in `active` or `ended`, and in no other list. */
void run_free(struct run *run);

/* --- run_prepare.c ---------------------------------------------------------------------------------------------- */

/* run_verify - begin: verify the module, decide, prepare. The run may have ended, and be gone, when this returns. */
void run_verify(struct run *run);

/* run_advance - go on as far as the run can: to be called when something that it waited for came, or it was cancelled. */
void run_advance(struct run *run);

/* run_enqueue - have a run wait for its turn. It may have started, or ended, when this returns. */
void run_enqueue(struct run *run);

/* run_end_early - end a run that cannot be run at all. If its intent is on record, so will be its outcome. */
void run_end_early(struct run *run, enum rpc_error error, const struct err *why);

/* run_get_artifact - look for the artifact of the run's module, whose bytes are in `module` (borrowed), and advance with it. */
void run_get_artifact(struct run *run, int module, size_t size);

/* run_get_module - look for the bytes of its stored module, then for its artifact. run_module_got - they are there, or not. */
void run_get_module(struct run *run);
void run_module_got(void *arg, const struct module *m, enum rpc_error error, const struct err *why);

/* run_pack - the language pack that the run is for; NULL when it is for none, or for one that is gone since. */
const struct pack *run_pack(const struct run *run);

/* run_needs_root - whether a language pack's run needs a root directory, in which nothing is granted. */
bool run_needs_root(const struct run *run);

/* run_mounts - how many directories the guest finds. */
size_t run_mounts(const struct run *run);

/* run_engine_of - the enum proto_engine that its policy asks for. run_identity_of - what records call it; borrows. */
uint32_t run_engine_of(const struct run *run);
struct run_identity run_identity_of(const struct run *run);

/* --- run_job.c -------------------------------------------------------------------------------------------------- */

/* run_kill - have the worker end, if there is one and that was not asked for yet. Its end follows in any case. */
void run_kill(struct run *run);

/* runs_schedule - give workers to those whose turn it is. */
void runs_schedule(struct runs *r);

/* run_job_message - what its worker says, which is hostile input: a channel_message_fn whose argument is the run. */
int run_job_message(void *arg, struct imsg *m, struct err *e);

/* --- run_outcome.c ---------------------------------------------------------------------------------------------- */

/* run_record_outcome - settle how the run ended and put it on record; the client is answered when that is done. */
void run_record_outcome(struct run *run);

/* run_finish - answer, and keep the result for run.get. run_answer_all - only answer. */
void run_finish(struct run *run);
void run_answer_all(struct run *run);

/* run_notify - send a notification to whoever gets the stream. `params` is taken. */
void run_notify(struct run *run, const char *method, json_t *params);

/* run_on_gone, run_on_drained - what a client's call that waits for a run is told (broker/conn.h). */
void run_on_gone(struct rpc_call *call);
void run_on_drained(struct rpc_call *call);

/* run_go_on - let the worker go on, if it was waiting for the client to read. */
void run_go_on(struct run *run);

#endif
