/* broker/runs: the life of a run, from request to recorded result. brigd. */

#include "broker/runs.h"

#include <event2/buffer.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/memfd.h"
#include "base/utf8.h"
#include "broker/broker.h"
#include "broker/denial.h"
#include "broker/records.h"
#include "broker/run_request.h"
#include "broker/run_result.h"
#include "broker/turns.h"
#include "runtime/wasi/table.h"

#define ID_BYTES        16
#define ID_TEXT         (4 + 2 * ID_BYTES + 1)    /* "run-", hex, NUL */
#define BUCKETS         1024
#define JOB_QUEUE_MAX   (16 * 1024 * 1024)        /* bytes of input that may wait for a worker */
#define INPUT_MAX       (8 * 1024 * 1024)         /* bytes of input in one run.input */
#define DENIALS_MAX     64
#define BACKLOG_PAUSE   (1024 * 1024)             /* a client this far behind makes its guest wait */
#define FIXED_OVERHEAD  (64 * 1024 * 1024)        /* RLIMIT_DATA beyond what the guest may have */
#define BACKSTOP_MS     2000                      /* past the deadline by so much, the zygote itself is at fault */
#define LAYERS_MAX      5
#define CALLS_MAX       256                       /* requests that wait for one run, all with its key */

enum state { VERIFYING, PREPARING, QUEUED, RUNNING, RECORDING, ENDED };

static const char *const state_names[] = {"verifying", "preparing", "queued", "running", "recording", "ended"};

struct run {
	TAILQ_ENTRY(run) order;      /* in `active` or `ended`, oldest first */
	struct turn turn;            /* in `queue` when QUEUED */
	LIST_ENTRY(run) bucket;
	struct runs *runs;
	char id[ID_TEXT];
	uint64_t number;             /* in messages between processes */
	enum state state;
	struct conn_peer peer;
	struct rpc_call **calls;     /* who waits for the result; the first gets the stream */
	size_t ncalls;
	struct digest fingerprint;   /* of the request, when it has a key */

	struct run_request request;
	struct digest module;
	struct signature_verdict verdict;
	struct policy *policy;       /* effective */
	struct digest policy_digest;
	struct policy_denial no_clock, no_random; /* what to say if the guest asks for what it has not been granted */
	struct modules_wait *module_wait;
	struct artifact_wait *artifact_wait;
	bool intent_recorded;
	int artifact;                /* descriptor, owned; -1 until there is one */
	enum run_start start;
	uint64_t compile_us;
	bool recompiled;             /* the artifact was stale once already */

	struct channel *job;
	struct pool_run *worker;
	struct event *backstop;
	bool announced;              /* run.started was sent */
	bool paused;                 /* the worker waits for the client to read */
	struct rpc_call *input_call; /* run.input that is answered when the worker has taken what was sent */
	bool killed;                 /* by us: cancelled, or for what is in `breach` */
	struct err breach;           /* of the protocol, by the worker */
	struct evbuffer *output[2];
	uint64_t received[2];
	crypto_hash_sha256_state hash[2];
	bool has_result;
	struct proto_result claimed;
	char *trap_text;
	json_t *frames, *denials;
	struct proto_exited observed;

	bool cancelled;
	const char *cancel_reason;
	enum rpc_error error;        /* with `failure`: could not be run at all */
	struct err failure;
	bool failed;
	int64_t received_ms;         /* wall clock */
	uint64_t t_received, t_queued, t_started, t_ended; /* CLOCK_MONOTONIC, microseconds */
	json_t *result;
	size_t result_bytes;         /* about what it costs to keep */
	size_t held_bytes;           /* of its request, while it is active */
};

struct runs {
	struct broker *broker;
	TAILQ_HEAD(run_list, run) active, ended;
	struct turns queue;
	LIST_HEAD(, run) table[BUCKETS];
	uint64_t last_number;
	size_t active_count, ended_count, ended_bytes;
	size_t held_bytes;           /* modules and input of active runs */
	unsigned running;
};

static void run_end_early(struct run *run, enum rpc_error error, const struct err *why);
static void run_record_outcome(struct run *run);
static void runs_schedule(struct runs *r);
static void run_advance(struct run *run);

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int64_t
wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- the registry ----------------------------------------------------------------------------------------------- */

static size_t
bucket_of(const char *id)
{
	size_t h = 0;

	for (const char *p = id; *p != '\0'; p++)
		h = h * 31 + (unsigned char)*p;
	return h % BUCKETS;
}

static struct run *
run_by_id(struct runs *r, uid_t owner, const char *id)
{
	struct run *run;

	LIST_FOREACH(run, &r->table[bucket_of(id)], bucket)
		if (strcmp(run->id, id) == 0 && run->peer.uid == owner)
			return run;
	return NULL;
}

static struct run *
run_by_key(struct runs *r, uid_t owner, const char *key)
{
	const struct run_list *lists[] = {&r->active, &r->ended};
	struct run *run;

	for (size_t i = 0; i < 2; i++)
		TAILQ_FOREACH(run, lists[i], order)
			if (run->request.key != NULL && run->peer.uid == owner && strcmp(run->request.key, key) == 0)
				return run;
	return NULL;
}

static struct run *
run_new(struct runs *r, struct rpc_call *call)
{
	struct run *run = calloc(1, sizeof(*run));
	uint8_t id[ID_BYTES];

	if (run == NULL || (run->calls = calloc(1, sizeof(*run->calls))) == NULL ||
	    (run->denials = json_array()) == NULL || (run->frames = json_array()) == NULL ||
	    (run->output[0] = evbuffer_new()) == NULL || (run->output[1] = evbuffer_new()) == NULL)
		goto fail;
	randombytes_buf(id, sizeof(id));
	memcpy(run->id, "run-", 4);
	sodium_bin2hex(run->id + 4, sizeof(run->id) - 4, id, sizeof(id));
	run->runs = r;
	run->number = ++r->last_number;
	run->artifact = -1;
	run->request.module.fd = -1;
	run->peer = call->peer;
	run->calls[run->ncalls++] = call;
	crypto_hash_sha256_init(&run->hash[0]);
	crypto_hash_sha256_init(&run->hash[1]);
	run->t_received = now_us();
	run->received_ms = wall_ms();
	TAILQ_INSERT_TAIL(&r->active, run, order);
	LIST_INSERT_HEAD(&r->table[bucket_of(run->id)], run, bucket);
	r->active_count++;
	return run;
fail:
	if (run != NULL) {
		if (run->output[0] != NULL)
			evbuffer_free(run->output[0]);
		json_decref(run->frames);
		json_decref(run->denials);
		free(run->calls);
	}
	free(run);
	return NULL;
}

/* Answers the run.input that waits, if one does. */
static void
answer_input(struct run *run)
{
	struct rpc_call *call = run->input_call;

	run->input_call = NULL;
	if (call != NULL)
		call_result(call, json_pack("{s:s}", "run_id", run->id));
}

/* Releases what only a living run needs. Its result, its key and its name stay. */
static void
run_shed(struct run *run)
{
	channel_free(run->job);
	run->job = NULL;
	if (run->backstop != NULL)
		event_free(run->backstop);
	run->backstop = NULL;
	for (int i = 0; i < 2; i++) {
		if (run->output[i] != NULL)
			evbuffer_free(run->output[i]);
		run->output[i] = NULL;
	}
	if (run->artifact >= 0)
		close(run->artifact);
	run->artifact = -1;
	run_request_shed(&run->request);
	run->runs->held_bytes -= run->held_bytes;
	run->held_bytes = 0;
	policy_free(run->policy);
	run->policy = NULL;
	free(run->trap_text);
	run->trap_text = NULL;
	json_decref(run->frames);
	json_decref(run->denials);
	run->frames = run->denials = NULL;
}

/* Frees a run that is in `active` or `ended`, and in no other list. */
static void
run_free(struct run *run)
{
	struct runs *r = run->runs;

	if (run->state == ENDED) {
		TAILQ_REMOVE(&r->ended, run, order);
		r->ended_count--;
		r->ended_bytes -= run->result_bytes;
	} else {
		TAILQ_REMOVE(&r->active, run, order);
		r->active_count--;
	}
	LIST_REMOVE(run, bucket);
	run_shed(run);
	run_request_clear(&run->request);
	json_decref(run->result);
	free(run->calls);
	free(run);
}

struct runs *
runs_new(struct broker *b)
{
	struct runs *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->broker = b;
	TAILQ_INIT(&r->active);
	TAILQ_INIT(&r->ended);
	turns_init(&r->queue);
	return r;
}

void
runs_free(struct runs *r)
{
	struct run *run;

	if (r == NULL)
		return;
	while ((run = TAILQ_FIRST(&r->active)) != NULL)
		run_free(run);
	while ((run = TAILQ_FIRST(&r->ended)) != NULL)
		run_free(run);
	free(r);
}

size_t
runs_active(const struct runs *r)
{
	return r->active_count;
}

unsigned
runs_running(const struct runs *r)
{
	return r->running;
}

unsigned
runs_queued(const struct runs *r)
{
	return (unsigned)r->queue.count;
}

/* --- answers ---------------------------------------------------------------------------------------------------- */

/* Ends every waiting call, with the result or with the failure. */
static void
answer_all(struct run *run)
{
	while (run->ncalls > 0) {
		struct rpc_call *call = run->calls[--run->ncalls];
		struct rpc_failure f = {0};

		if (!run->failed) {
			call_result(call, json_incref(run->result));
			continue;
		}
		rpc_fail(&f, run->error, "%s", run->failure.msg);
		f.data = json_incref(run->result);
		call_fail(call, &f);
	}
}

/* Answers, and keeps the result for run.get while there is room. */
static void
run_finish(struct run *run)
{
	struct runs *r = run->runs;
	const struct config *c = r->broker->config;

	r->broker->counts.runs++;
	answer_all(run);
	TAILQ_REMOVE(&r->active, run, order);
	r->active_count--;
	run->state = ENDED;
	run->result_bytes = sizeof(*run) + 2048 + (size_t)(run->received[0] + run->received[1]);
	run_shed(run);
	if (run->failed && run->t_started == 0) { /* nothing ran: the same key may try again */
		free(run->request.key);
		run->request.key = NULL;
	}
	/* The newest stays in any case, until the next one ends: callers up the stack may still hold it. */
	while (r->ended_count > 0 && (r->ended_count >= (size_t)c->results_kept ||
	    r->ended_bytes + run->result_bytes > (size_t)c->results_bytes))
		run_free(TAILQ_FIRST(&r->ended));
	TAILQ_INSERT_TAIL(&r->ended, run, order);
	r->ended_count++;
	r->ended_bytes += run->result_bytes;
}

/* Lets a worker that waited for its client send on. */
static void
go_on(struct run *run)
{
	if (run->paused && run->job != NULL) {
		run->paused = false;
		channel_pause(run->job, false);
	}
}

static void
on_drained(struct rpc_call *call)
{
	go_on(call->arg);
}

/* A client went away. Its calls end; the run goes on only if others wait, or it was given a key. */
static void
on_gone(struct rpc_call *call)
{
	struct run *run = call->arg;

	for (size_t i = 0; i < run->ncalls; i++)
		if (run->calls[i] == call) {
			run->calls[i] = run->calls[--run->ncalls];
			break;
		}
	call_result(call, json_null());
	go_on(run); /* the one that was too slow is gone; the next may be faster, or nobody is left to wait for */
	if (run->ncalls > 0 || run->request.key != NULL || run->state >= RECORDING)
		return;
	run->cancelled = true;
	run->cancel_reason = "the client closed its connection";
	run_advance(run);
}


static void
run_notify(struct run *run, const char *method, json_t *params)
{
	if (run->ncalls > 0)
		call_notify(run->calls[0], method, params);
	else
		json_decref(params);
}

/* --- verifying and deciding --------------------------------------------------------------------------------------- */

/* Ends a run that could not be run at all. If its intent is on record, so must be its outcome. */
static void
run_end_early(struct run *run, enum rpc_error error, const struct err *why)
{
	struct broker *b = run->runs->broker;

	run->failed = true;
	run->error = error;
	run->failure = *why;
	utf8_mend(run->failure.msg);
	if (run->intent_recorded) {
		run_record_outcome(run);
		return;
	}
	records_refused(b, run->peer, "run", error, run->failure.msg, &run->module);
	b->counts.refused++;
	run_finish(run);
}

/* The layers that narrow this run. `signers` receives the parsed grants of its keys, to be freed by the caller. */
static int
collect_layers(struct run *run, struct policy_layer layers[LAYERS_MAX], struct policy *signers[2], size_t *count,
    struct err *e)
{
	const struct keyring_key *keys[2] = {run->verdict.key, run->verdict.second};
	const struct broker *b = run->runs->broker;
	size_t n = 0;

	layers[n++] = (struct policy_layer){POLICY_LAYER_CEILING, b->ceiling};
	layers[n++] = (struct policy_layer){POLICY_LAYER_OWNER, grants_of(b->grants, run->peer.uid)};
	for (int i = 0; i < 2; i++) {
		if (keys[i] != NULL && keys[i]->grant != NULL) {
			int rc = policy_from_json(keys[i]->grant, &signers[i], e);

			if (rc != 0)
				return err_context(e, "the keyring's grant for key %s", keys[i]->kid);
		}
		if (i == 0 || signers[i] != NULL)
			layers[n++] = (struct policy_layer){POLICY_LAYER_SIGNER, signers[i]};
	}
	layers[n++] = (struct policy_layer){POLICY_LAYER_REQUEST, run->request.policy};
	*count = n;
	return 0;
}

/* The name of a user, for keys whose owner is a name. NULL for none. */
static const char *
user_name(uid_t uid, char *buffer, size_t size)
{
	struct passwd pw, *found = NULL;

	return getpwuid_r(uid, &pw, buffer, size, &found) == 0 && found != NULL ? found->pw_name : NULL;
}

/* Whether the keys that signed it may sign for this owner. */
static int
check_key_owner(const struct run *run, struct err *e)
{
	const struct keyring_key *keys[2] = {run->verdict.key, run->verdict.second};
	char buffer[4096];

	for (int i = 0; i < 2; i++) {
		const char *name = NULL;

		if (keys[i] == NULL)
			continue;
		if (keys[i]->owner == KEYRING_OWNER_NAME)
			name = user_name(run->peer.uid, buffer, sizeof(buffer));
		if (!keyring_key_owner_allows(keys[i], run->peer.uid, name))
			return err_set(e, ERR_NOTFOUND, "key %s signs for another owner than user %u", keys[i]->kid,
			    (unsigned)run->peer.uid);
	}
	return 0;
}

/* Ends the run with what policy withheld, in words and as data. */
static void
run_deny(struct run *run, int code, const struct policy_denial *denial, const struct err *why)
{
	enum rpc_error error = code == ERR_SIGNATURE ? RPC_unsigned_module : RPC_denied;

	if (code != ERR_SIGNATURE && code != ERR_DENIED && code != ERR_LIMIT)
		error = RPC_internal_error;
	else
		run->result = json_pack("{s:o}", "denial", denial_json(denial, NULL, 1));
	run_end_early(run, error, why);
}

/* Why clocks or randomness are withheld, to be told if the guest asks for them. */
static void
explain_later(struct run *run, const struct policy_layer *layers, size_t count)
{
	policy_explain(layers, count, POLICY_CAP_CLOCK, NULL, &run->no_clock, NULL);
	policy_explain(layers, count, POLICY_CAP_RANDOM, NULL, &run->no_random, NULL);
}

/* Decides what the run gets. Returns 0, or -1 when the run has ended. */
static int
run_decide(struct run *run)
{
	struct policy *signers[2] = {NULL, NULL};
	struct policy_layer layers[LAYERS_MAX];
	struct policy_denial denial = {0};
	struct err e = {0};
	size_t count = 0;
	int rc;

	rc = check_key_owner(run, &e);
	if (rc != 0) {
		run_end_early(run, RPC_unknown_key, &e);
		return -1;
	}
	rc = collect_layers(run, layers, signers, &count, &e);
	if (rc == 0) {
		run->request.ask.module_signed = run->verdict.kind != SIGNATURE_NONE;
		rc = policy_check_run(layers, count, &run->request.ask, &denial, &e);
		if (rc == 0)
			rc = policy_effective(layers, count, &run->policy, &e);
		if (rc == 0)
			rc = policy_digest(run->policy, &run->policy_digest, &e);
		if (rc == 0)
			explain_later(run, layers, count);
	} else {
		rc = ERR_INVAL;
	}
	policy_free(signers[0]);
	policy_free(signers[1]);
	if (rc != 0)
		run_deny(run, rc, &denial, &e);
	return rc == 0 ? 0 : -1;
}

static struct run_identity
identity_of(const struct run *run)
{
	return (struct run_identity){
	    .received_ms = run->received_ms,
	    .peer = &run->peer,
	    .run_id = run->id,
	    .module = &run->module,
	    .verdict = &run->verdict,
	    .policy = run->policy,
	    .policy_digest = &run->policy_digest,
	    .input = &run->request.input,
	};
}

/* --- preparing: the intent on record, the artifact at hand -------------------------------------------------------- */

static void
intent_answered(void *arg, struct imsg *m, const struct err *why)
{
	struct run *run = arg;
	struct broker *b = run->runs->broker;
	struct err e = {0};

	if (m != NULL && m->hdr.type == PROTO_LOG_DONE) {
		run->intent_recorded = true;
		b->log_failed = false;
		run_advance(run);
		return;
	}
	if (m != NULL)
		err_set(&e, ERR_IO, "%.*s", (int)m->hdr.length, (const char *)m->payload);
	else
		e = *why;
	if (!b->log_failed)
		broker_log("audit-unavailable reason=\"%s\"", e.msg);
	b->log_failed = true;
	if (run->artifact_wait != NULL)
		artifact_cancel(run->artifact_wait);
	run->artifact_wait = NULL;
	run_end_early(run, RPC_audit_unavailable, &e);
}

static void
artifact_found(void *arg, const struct artifact *a, enum rpc_error error, const struct err *why)
{
	struct run *run = arg;

	run->artifact_wait = NULL;
	if (a != NULL) {
		run->start = a->compiled ? RUN_START_COLD : RUN_START_CACHED;
		run->compile_us += a->compile_us;
		run->artifact = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);
		if (run->artifact < 0)
			err_sys(&run->failure, ERR_IO, "duplicating a descriptor");
		run->error = RPC_internal_error;
	} else {
		run->failure = *why;
		run->error = error;
	}
	run->failed = run->failure.code != 0;
	if (run->state == PREPARING)
		run_advance(run);
}

/* Goes on when the intent is on record and the artifact is there, or one of them cannot be had. */
static void
run_advance(struct run *run)
{
	struct runs *r = run->runs;

	switch (run->state) {
	case VERIFYING:
		if (run->cancelled) {
			struct err why = {0};

			err_set(&why, ERR_EOF, "%s", run->cancel_reason);
			modules_cancel(run->module_wait);
			run->module_wait = NULL;
			run_end_early(run, RPC_cancelled, &why);
		}
		return;
	case PREPARING:
		if (run->cancelled && run->artifact_wait != NULL) {
			artifact_cancel(run->artifact_wait);
			run->artifact_wait = NULL;
		}
		if (run->cancelled && run->module_wait != NULL) {
			modules_cancel(run->module_wait);
			run->module_wait = NULL;
		}
		if (!run->intent_recorded || run->artifact_wait != NULL || run->module_wait != NULL)
			return;
		if (run->failed || run->cancelled) {
			run_record_outcome(run);
			return;
		}
		run->state = QUEUED;
		run->t_queued = now_us();
		turns_add(&r->queue, &run->turn, run->peer.uid, run);
		runs_schedule(r);
		return;
	case QUEUED:
		if (run->cancelled) {
			turns_remove(&r->queue, &run->turn);
			run_record_outcome(run);
		}
		return;
	case RUNNING:
		if (run->cancelled && !run->killed && run->worker != NULL) {
			run->killed = true;
			pool_kill(run->worker);
		}
		return;
	case RECORDING:
	case ENDED:
		return;
	}
}

/* The engine that it needs: the one that counts fuel only if fuel is limited. */
static uint32_t
engine_of(const struct run *run)
{
	return run->policy->limits[POLICY_LIMIT_fuel] != POLICY_UNSET ? PROTO_ENGINE_FUEL : PROTO_ENGINE_PLAIN;
}

/* Puts the intent on record and looks for the artifact, at the same time. `module` is borrowed. */
static void
run_prepare(struct run *run, int module, size_t size)
{
	struct runs *r = run->runs;
	struct broker *b = r->broker;
	struct run_identity id;
	struct err e = {0};

	run->state = PREPARING;
	id = identity_of(run);
	if (records_intent(b, &id, intent_answered, run, &e) != 0) {
		run_end_early(run, RPC_audit_unavailable, &e);
		return;
	}
	run->artifact_wait = artifact_get(b->artifacts, run->peer.uid, &run->module, engine_of(run), module, size,
	    artifact_found, run);
}

static void
module_found(void *arg, const struct module *m, enum rpc_error error, const struct err *why)
{
	struct run *run = arg;

	run->module_wait = NULL;
	if (m == NULL) {
		run_end_early(run, error, why);
		return;
	}
	run->verdict = m->verdict;
	if (run_decide(run) == 0)
		run_prepare(run, m->fd, m->size);
}

/* Verifies a module whose bytes came with the request. */
static int
verify_bytes(struct run *run, struct err *e)
{
	struct module_source *m = &run->request.module;
	struct memfd_map map;
	int rc = memfd_map(m->fd, m->size, &map, e);

	if (rc != 0)
		return rc;
	rc = signature_check(map.data, map.size, m->signature, m->signature_length, run->runs->broker->keyring, time(NULL),
	    &run->verdict, e);
	memfd_unmap(&map);
	run->module = run->verdict.module;
	return rc;
}

static void
run_verify(struct run *run)
{
	struct broker *b = run->runs->broker;
	struct err e = {0};
	int rc;

	if (run->request.module.fd < 0) {
		run->module = run->request.module.digest;
		run->module_wait = modules_get(b->modules, run->peer.uid, &run->module, &b->keyring, module_found, run);
		return;
	}
	rc = verify_bytes(run, &e);
	if (rc != 0)
		run_end_early(run, modules_error(rc), &e);
	else if (run_decide(run) == 0)
		run_prepare(run, run->request.module.fd, run->request.module.size);
}

/* --- running ------------------------------------------------------------------------------------------------------ */

static int
job_output(struct run *run, const struct imsg *m, struct err *e)
{
	struct proto_output head;
	const uint8_t *data = m->payload + sizeof(head);
	size_t length;
	int stream;

	if (m->hdr.length <= sizeof(head))
		return err_set(e, ERR_PROTOCOL, "output without bytes");
	memcpy(&head, m->payload, sizeof(head));
	if (head.stream != 1 && head.stream != 2)
		return err_set(e, ERR_PROTOCOL, "output on stream %u", head.stream);
	stream = (int)head.stream - 1;
	length = m->hdr.length - sizeof(head);
	if (length > run->policy->limits[POLICY_LIMIT_output_bytes] - run->received[stream])
		return err_set(e, ERR_PROTOCOL, "more output than the limit");
	run->received[stream] += length;
	crypto_hash_sha256_update(&run->hash[stream], data, length);
	if (run->request.stream_output) {
		bool base64;
		json_t *text = json_bytes(data, length, &base64);

		run_notify(run, "run.output", json_pack("{s:s, s:s, s:o, s:s}", "run_id", run->id, "stream",
		    stream == 0 ? "stdout" : "stderr", "data", text, "encoding", base64 ? "base64" : "utf-8"));
		if (run->ncalls > 0 && call_backlog(run->calls[0]) > BACKLOG_PAUSE && !run->paused) {
			run->paused = true;
			channel_pause(run->job, true);
		}
	} else if (evbuffer_add(run->output[stream], data, length) != 0) {
		return err_set(e, ERR_NOMEM, "keeping %zu bytes of output", length);
	}
	return 0;
}

static int
job_denial(struct run *run, const struct imsg *m, struct err *e)
{
	const struct policy_denial *why;
	struct proto_denial d;

	if (m->hdr.length < sizeof(d))
		return err_set(e, ERR_PROTOCOL, "a denial of %u bytes", m->hdr.length);
	memcpy(&d, m->payload, sizeof(d));
	if (run_call_name(d.call) == NULL || json_array_size(run->denials) >= DENIALS_MAX)
		return err_set(e, ERR_PROTOCOL, "a denial of call %u, after %zu others", d.call,
		    json_array_size(run->denials));
	why = d.capability == WASI_CAP_CLOCK ? &run->no_clock : d.capability == WASI_CAP_RANDOM ? &run->no_random : NULL;
	if (why == NULL || why->message[0] == '\0')
		return err_set(e, ERR_PROTOCOL, "a denial of capability %u, which is granted", d.capability);
	json_array_append_new(run->denials, denial_json(why, run_call_name(d.call), d.count));
	return 0;
}

static int
job_result(struct run *run, const struct imsg *m, struct err *e)
{
	const char *text;
	json_t *frames = NULL;
	int rc;

	if (run->has_result)
		return err_set(e, ERR_PROTOCOL, "a second result");
	rc = run_result_parse(m->payload, m->hdr.length, &run->claimed, &text, &frames, e);
	if (rc != 0)
		return rc;
	run->trap_text = strndup(text, run->claimed.text_length);
	json_decref(run->frames);
	run->frames = frames;
	run->has_result = true;
	return run->trap_text != NULL ? 0 : err_set(e, ERR_NOMEM, "the result's text");
}

/* The worker could not begin. Why it could not is for the log of the run; its exit follows. */
static int
job_failed(struct run *run, const struct imsg *m, struct err *e)
{
	(void)e;
	run->failed = true;
	run->error = RPC_internal_error;
	err_set(&run->failure, ERR_IO, "the worker could not begin: %.*s",
	    (int)utf8_prefix((const char *)m->payload, m->hdr.length, 800), (const char *)m->payload);
	return 0;
}

/* What a worker may say. Anything else ends it. */
static const struct {
	uint32_t type;
	int (*handle)(struct run *run, const struct imsg *m, struct err *e);
} job_messages[] = {
    {PROTO_OUTPUT, job_output},
    {PROTO_DENIAL, job_denial},
    {PROTO_RESULT, job_result},
    {PROTO_FAILED, job_failed},
};

static int
job_message(void *arg, struct imsg *m, struct err *e)
{
	struct run *run = arg;

	if (m->nfds != 0)
		return err_set(e, ERR_PROTOCOL, "the worker sent a descriptor");
	if (m->hdr.run != run->number)
		return err_set(e, ERR_PROTOCOL, "the worker spoke of another run");
	if (run->has_result)
		return err_set(e, ERR_PROTOCOL, "the worker spoke after its result");
	for (size_t i = 0; i < sizeof(job_messages) / sizeof(job_messages[0]); i++)
		if (job_messages[i].type == m->hdr.type)
			return job_messages[i].handle(run, m, e);
	return err_set(e, ERR_PROTOCOL, "the worker sent message %u of %u bytes", m->hdr.type, m->hdr.length);
}

/* The worker's end is closed: it is about to be reaped, unless it broke the protocol and must be killed. */
static void
job_closed(void *arg, const struct err *why)
{
	struct run *run = arg;

	if (why->code == ERR_EOF || run->breach.code != 0)
		return;
	run->breach = *why;
	if (run->worker != NULL && !run->killed) {
		run->killed = true;
		pool_kill(run->worker);
	}
}

/* The worker has taken all input that was sent to it. */
static void
job_drained(void *arg)
{
	answer_input(arg);
}

static void
on_backstop(evutil_socket_t fd, short what, void *arg)
{
	struct run *run = arg;

	(void)fd;
	(void)what;
	if (run->worker != NULL)
		pool_condemn(run->worker);
}

/* The module's bytes once more, to be compiled again. */
static void
module_again(void *arg, const struct module *m, enum rpc_error error, const struct err *why)
{
	struct run *run = arg;

	run->module_wait = NULL;
	if (m != NULL) {
		run->artifact_wait = artifact_get(run->runs->broker->artifacts, run->peer.uid, &run->module,
		    engine_of(run), m->fd, m->size, artifact_found, run);
		return;
	}
	run->failed = true;
	run->error = error;
	run->failure = *why;
	run_advance(run);
}

/* A stale artifact is no fault of the module: compile again, once, and run. Nothing of the guest has run yet. */
static void
run_again(struct run *run)
{
	struct broker *b = run->runs->broker;
	const struct module_source *m = &run->request.module;

	run->recompiled = true;
	run->has_result = false;
	run->claimed = (struct proto_result){0};
	run->t_started = run->t_ended = 0;
	free(run->trap_text);
	run->trap_text = NULL;
	close(run->artifact);
	run->artifact = -1;
	artifact_drop(b->artifacts, &run->module, engine_of(run));
	run->state = PREPARING;
	if (m->fd >= 0)
		run->artifact_wait = artifact_get(b->artifacts, run->peer.uid, &run->module, engine_of(run), m->fd, m->size,
		    artifact_found, run);
	else
		run->module_wait = modules_get(b->modules, run->peer.uid, &run->module, &b->keyring, module_again, run);
}

static void
worker_ended(void *arg, const struct proto_exited *exited, const struct err *why)
{
	struct run *run = arg;
	struct runs *r = run->runs;

	run->worker = NULL;
	run->t_ended = now_us();
	channel_drain(run->job); /* what it said before it ended */
	channel_free(run->job);
	run->job = NULL;
	answer_input(run);
	event_free(run->backstop);
	run->backstop = NULL;
	r->running--;
	if (exited != NULL) {
		run->observed = *exited;
	} else {
		run->failed = true;
		run->error = RPC_internal_error;
		run->failure = *why;
	}
	if (run->has_result && run->claimed.status == PROTO_STATUS_STALE && !run->recompiled && !run->cancelled)
		run_again(run);
	else
		run_record_outcome(run);
	runs_schedule(r);
}

static int
send_job(struct run *run, struct err *e)
{
	const uint64_t *limits = run->policy->limits;
	struct run_request *q = &run->request;
	uint8_t message[IMSG_PAYLOAD_MAX];
	struct proto_job job = {
	    .flags = (q->stream_output ? PROTO_JOB_STREAM_OUTPUT : 0) | (q->stream_input ? PROTO_JOB_STREAM_INPUT : 0) |
	        (run->policy->output == POLICY_OUTPUT_END ? PROTO_JOB_OUTPUT_ENDS : 0),
	    .engine = engine_of(run),
	    .clock = (uint32_t)run->policy->clock,
	    .random = (uint32_t)run->policy->random,
	    .wall_ms = limits[POLICY_LIMIT_wall_ms],
	    .cpu_ms = limits[POLICY_LIMIT_cpu_ms],
	    .fuel = limits[POLICY_LIMIT_fuel] != POLICY_UNSET ? limits[POLICY_LIMIT_fuel] : 0,
	    .memory_bytes = limits[POLICY_LIMIT_memory_bytes],
	    .output_bytes = limits[POLICY_LIMIT_output_bytes],
	    .host_calls = limits[POLICY_LIMIT_host_calls],
	    .table_elements = limits[POLICY_LIMIT_table_elements],
	    .clock_fixed_ns = run->policy->clock_fixed_ns,
	    .argc = q->argc,
	    .envc = q->envc,
	    .args_bytes = q->args_length,
	    .env_bytes = q->env_length,
	    .stdin_bytes = q->stdin_length,
	};
	int fds[2] = {run->artifact, -1};
	size_t length = sizeof(job);
	int nfds = 1, rc;

	memcpy(job.seed, run->policy->seed, sizeof(job.seed));
	if (q->blob_length > sizeof(message) - sizeof(job)) {
		job.flags |= PROTO_JOB_BLOB_FD;
		fds[nfds] = memfd_from("brig-job", q->blob, q->blob_length, e);
		if (fds[nfds++] < 0)
			return e->code;
	} else {
		memcpy(message + sizeof(job), q->blob, q->blob_length);
		length += q->blob_length;
	}
	memcpy(message, &job, sizeof(job));
	rc = channel_send(run->job, PROTO_JOB, run->number, message, length, fds, nfds, e);
	if (fds[1] >= 0)
		close(fds[1]);
	return rc;
}

/* Gives the run a worker. Returns 0, or an error with nothing started. */
static int
run_launch(struct run *run, struct err *e)
{
	struct broker *b = run->runs->broker;
	const uint64_t *limits = run->policy->limits;
	uint64_t started = now_us(); /* before the others get the processor */
	uint64_t backstop_ms = limits[POLICY_LIMIT_wall_ms] + BACKSTOP_MS;
	struct timeval tv = {.tv_sec = (time_t)(backstop_ms / 1000), .tv_usec = (suseconds_t)(backstop_ms % 1000 * 1000)};
	struct proto_run start = {
	    .wall_ms = limits[POLICY_LIMIT_wall_ms],
	    .cpu_ms = limits[POLICY_LIMIT_cpu_ms],
	    .data_bytes = limits[POLICY_LIMIT_memory_bytes] + 16 * limits[POLICY_LIMIT_table_elements] +
	        run->request.blob_length + FIXED_OVERHEAD,
	};
	int sv[2], rc;

	if ((rc = imsg_pair(sv, e)) != 0)
		return rc;
	run->job = channel_new(b->base, sv[0], JOB_QUEUE_MAX, job_message, job_closed, run);
	if (run->job != NULL)
		channel_on_drained(run->job, job_drained);
	run->backstop = evtimer_new(b->base, on_backstop, run);
	if (run->job == NULL || run->backstop == NULL || event_add(run->backstop, &tv) != 0)
		rc = err_set(e, ERR_NOMEM, "a run");
	if (rc == 0)
		rc = send_job(run, e);
	if (rc == 0) {
		run->worker = pool_start(b->pool, engine_of(run), run->number, &start, sv[1], worker_ended, run, e);
		rc = run->worker != NULL ? 0 : e->code;
	}
	close(sv[1]);
	if (rc != 0) {
		channel_free(run->job);
		run->job = NULL;
		if (run->backstop != NULL)
			event_free(run->backstop);
		run->backstop = NULL;
		return rc;
	}
	run->state = RUNNING;
	run->t_started = started;
	run->runs->running++;
	if (run->request.stream_output && run->ncalls > 0 && !run->announced) {
		run->announced = true;
		run_notify(run, "run.started", json_pack("{s:s, s:O?}", "run_id", run->id, "request", run->calls[0]->id));
	}
	return 0;
}

/* Starts what may start now. */
static void
runs_schedule(struct runs *r)
{
	struct run *run;

	while (!r->broker->stopping && r->running < (unsigned)r->broker->config->running_max &&
	    (run = turns_take(&r->queue)) != NULL) {
		struct err e = {0};

		if (run_launch(run, &e) != 0) {
			run->failed = true;
			run->error = RPC_internal_error;
			run->failure = e;
			run_record_outcome(run);
		}
	}
}

/* --- the outcome -------------------------------------------------------------------------------------------------- */

/* How it ended, from what we did, what the kernel saw and, last, what the worker claims. */
static enum run_status
classify(struct run *run, char *reason, size_t size, uint32_t *limit)
{
	const struct proto_exited *x = &run->observed;
	int signal = WIFSIGNALED(x->wait_status) ? WTERMSIG(x->wait_status) : 0;

	reason[0] = '\0';
	*limit = 0;
	if (run->breach.code != 0) {
		snprintf(reason, size, "the worker broke the protocol and was killed: %.500s", run->breach.msg);
		return RUN_failed;
	}
	if (run->cancelled && !(run->has_result && run->claimed.status == PROTO_STATUS_EXITED)) {
		snprintf(reason, size, "%s", run->cancel_reason);
		return RUN_cancelled;
	}
	if (run->failed) {
		snprintf(reason, size, "%.600s", run->failure.msg);
		return RUN_failed;
	}
	/* Killed at its deadline with its result sent already: it was slow to give its memory back. */
	if (run->has_result && (x->wait_status == 0 || x->killed == PROTO_KILLED_DEADLINE)) {
		*limit = run->claimed.limit;
		switch (run->claimed.status) {
		case PROTO_STATUS_EXITED:
			return RUN_exited;
		case PROTO_STATUS_TRAPPED:
			return RUN_trapped;
		case PROTO_STATUS_LIMIT:
			return RUN_limit;
		default:
			snprintf(reason, size, "%.600s", run->trap_text);
			return RUN_failed;
		}
	}
	if (x->killed == PROTO_KILLED_DEADLINE || signal == SIGXCPU) {
		*limit = signal == SIGXCPU ? PROTO_LIMIT_cpu_ms : PROTO_LIMIT_wall_ms;
		return RUN_limit;
	}
	if (signal == SIGSYS)
		snprintf(reason, size, "the worker was killed by the seccomp filter");
	else if (signal != 0)
		snprintf(reason, size, "the worker was killed by signal %d (%s)", signal, strsignal(signal));
	else
		snprintf(reason, size, "the worker ended without a result (exit status %d)", WEXITSTATUS(x->wait_status));
	return RUN_failed;
}

static void
limit_reason(const struct run *run, uint32_t limit, char *reason, size_t size)
{
	char value[POLICY_LIMIT_TEXT_SIZE];

	for (enum policy_limit i = 0; i < POLICY_LIMIT_COUNT; i++)
		if (strcmp(policy_limit_info[i].name, run_limit_name(limit)) == 0) {
			snprintf(reason, size, "it reached %s, which was %s", policy_limit_info[i].name,
			    policy_limit_text(i, run->policy->limits[i], value));
			return;
		}
}

static struct run_stream
stream_facts(struct run *run, int i, uint64_t written)
{
	struct run_stream s = {.sent = run->received[i], .truncated = written > run->received[i]};

	crypto_hash_sha256_final(&run->hash[i], s.digest.bytes);
	if (!run->request.stream_output) {
		s.length = evbuffer_get_length(run->output[i]);
		s.data = evbuffer_pullup(run->output[i], -1);
	}
	return s;
}

static void
outcome_answered(void *arg, struct imsg *m, const struct err *why)
{
	struct run *run = arg;
	struct broker *b = run->runs->broker;
	struct proto_log_done done;
	char hash[DIGEST_TEXT_SIZE];

	if (m != NULL && m->hdr.type == PROTO_LOG_DONE && m->hdr.length == sizeof(done)) {
		memcpy(&done, m->payload, sizeof(done));
		b->log_failed = false;
		if (!run->failed)
			json_object_set_new(run->result, "audit", json_pack("{s:I, s:s}", "sequence",
			    (json_int_t)done.sequence, "hash", digest_text(&done.hash, hash)));
	} else {
		b->log_failed = true;
		run->failed = true;
		run->error = RPC_audit_unavailable;
		err_set(&run->failure, ERR_IO, "the run has ended (%s) but its outcome could not be recorded: %.*s", run->id,
		    m != NULL ? (int)m->hdr.length : (int)strlen(why->msg),
		    m != NULL ? (const char *)m->payload : why->msg);
		broker_log("audit-unavailable run=%s", run->id);
	}
	run_finish(run);
}

/* Settles how the run ended, and puts it on record; the client is answered when that is done. */
static void
run_record_outcome(struct run *run)
{
	struct runs *r = run->runs;
	char reason[800], digest[DIGEST_TEXT_SIZE], policy[DIGEST_TEXT_SIZE];
	struct run_facts f = {.run_id = run->id, .reason = reason, .claimed = run->claimed, .observed = run->observed};
	bool could_not_run = run->failed && run->t_started == 0 && !run->cancelled;
	struct run_identity id;
	struct err e = {0};
	int rc;

	run->state = RECORDING;
	f.status = classify(run, reason, sizeof(reason), &f.limit);
	utf8_mend(reason); /* it was cut, or is in the guest's own words */
	utf8_mend(run->failure.msg);
	if (f.status == RUN_limit)
		limit_reason(run, f.limit, reason, sizeof(reason));
	f.exit_code = run->claimed.exit_code;
	f.trap_text = run->trap_text != NULL ? run->trap_text : "";
	f.trap_text_length = strlen(f.trap_text);
	f.frames = run->frames;
	f.out = stream_facts(run, 0, run->claimed.stdout_bytes);
	f.err = stream_facts(run, 1, run->claimed.stderr_bytes);
	f.streamed = run->request.stream_output;
	f.denials = run->denials;
	f.queue_us = run->t_started != 0 ? run->t_started - run->t_queued : 0;
	f.wall_us = run->t_started != 0 ? run->t_ended - run->t_started : 0;
	f.compile_us = run->compile_us;
	f.start = run->start;
	f.module_digest = digest_text(&run->module, digest);
	f.signer = run->verdict.kid;
	f.signature_kind = signature_kind_name(run->verdict.kind);
	f.policy_digest = digest_text(&run->policy_digest, policy);
	f.usage = run_usage_json(&f);
	run->failed = could_not_run;
	if (!could_not_run && (run->result = run_result_json(&f)) == NULL) {
		run->failed = true;
		run->error = RPC_internal_error;
		err_set(&run->failure, ERR_NOMEM, "out of memory for the result");
	}
	id = identity_of(run);
	rc = records_outcome(r->broker, &id, &f, outcome_answered, run, &e);
	json_decref(f.usage);
	if (rc != 0) {
		run->failed = true;
		run->error = RPC_audit_unavailable;
		run->failure = e;
		run_finish(run);
	}
}

/* --- methods ------------------------------------------------------------------------------------------------------ */

/* An owner's runs that wait: for their turn, or for what they need before it. */
static unsigned
waiting_of(const struct runs *r, uid_t owner)
{
	const struct run *run;
	unsigned n = 0;

	TAILQ_FOREACH(run, &r->active, order)
		n += run->peer.uid == owner && run->state < RUNNING;
	return n;
}

/* Whether one more may wait. Fails the call otherwise. */
static int
admit(struct runs *r, struct rpc_call *call, struct rpc_failure *f)
{
	const struct config *c = r->broker->config;
	size_t waiting = r->active_count - r->running;

	if (r->broker->draining)
		return rpc_fail(f, RPC_shutting_down, "brigd is stopping");
	/* What will find a worker at once does not wait. */
	if (r->active_count >= (size_t)(c->running_max + c->queued_max) ||
	    (r->active_count >= (size_t)c->running_max && waiting >= (size_t)c->queued_per_owner &&
	        waiting_of(r, call->peer.uid) >= (unsigned)c->queued_per_owner)) {
		rpc_fail(f, RPC_overloaded, "%zu runs are waiting already", waiting);
		f->data = json_pack("{s:i}", "retry_after_ms", 100);
		return -1;
	}
	return 0;
}

/* What a request brings that stays in memory until its run has ended. */
static size_t
bytes_of(const struct run_request *q)
{
	return q->blob_length + (q->module.fd >= 0 ? q->module.size : 0);
}

/* Whether there is room for what a request brings. One alone always has it. */
static int
admit_bytes(struct runs *r, const struct run_request *q, struct rpc_failure *f)
{
	if (r->held_bytes == 0 || r->held_bytes + bytes_of(q) <= (size_t)r->broker->config->held_bytes)
		return 0;
	rpc_fail(f, RPC_overloaded, "modules and input of %zu bytes are held already, the limit is held_bytes", r->held_bytes);
	f->data = json_pack("{s:i}", "retry_after_ms", 100);
	return -1;
}

/* A digest of what is asked for, so that a key used again for something else is noticed. */
static struct digest
fingerprint_of(const struct run *run, const json_t *params)
{
	struct digest parts[2] = {run->request.module.digest, {{0}}};
	json_t *rest = json_copy((json_t *)(uintptr_t)params);
	struct memfd_map map;
	char *text;

	json_object_del(rest, "module");
	text = json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS);
	if (text != NULL)
		parts[1] = digest_of(text, strlen(text));
	free(text);
	json_decref(rest);
	if (run->request.module.fd >= 0 && memfd_map(run->request.module.fd, run->request.module.size, &map, NULL) == 0) {
		parts[0] = digest_of(map.data, map.size);
		memfd_unmap(&map);
	}
	return digest_of(parts, sizeof(parts));
}

/* A request whose key is known already: the same request shares the run, another is refused. Takes the call. */
static void
join(struct run *run, struct rpc_call *call, const struct digest *fingerprint)
{
	struct rpc_failure f = {0};
	struct rpc_call **more;

	if (!digest_equal(&run->fingerprint, fingerprint)) {
		rpc_fail(&f, RPC_key_in_use, "the key belongs to %s, which was another request", run->id);
		call_fail(call, &f);
		return;
	}
	if (run->ncalls >= CALLS_MAX) {
		rpc_fail(&f, RPC_overloaded, "%zu requests wait for %s already", run->ncalls, run->id);
		call_fail(call, &f);
		return;
	}
	more = realloc(run->calls, (run->ncalls + 1) * sizeof(*more));
	if (more == NULL) {
		rpc_fail(&f, RPC_internal_error, "out of memory");
		call_fail(call, &f);
		return;
	}
	run->calls = more;
	run->calls[run->ncalls++] = call;
	call->arg = run;
	call->gone = on_gone;
	call->drained = on_drained;
	if (run->state == ENDED)
		answer_all(run);
}

void
runs_run(struct runs *r, struct rpc_call *call, const json_t *params)
{
	struct broker *b = r->broker;
	struct run_request request = {.module = {.fd = -1}};
	struct rpc_failure f = {0};
	struct run *run, *other;

	if (admit(r, call, &f) != 0 ||
	    run_request_parse(params, call->fds, call->nfds, (size_t)b->config->module_bytes, &request, &f) != 0 ||
	    admit_bytes(r, &request, &f) != 0) {
		run_request_clear(&request);
		records_refused(b, call->peer, "run", f.error, f.detail, NULL);
		b->counts.refused++;
		call_fail(call, &f);
		return;
	}
	if ((run = run_new(r, call)) == NULL) {
		run_request_clear(&request);
		rpc_fail(&f, RPC_internal_error, "out of memory");
		call_fail(call, &f);
		return;
	}
	run->request = request;
	run->held_bytes = bytes_of(&request);
	r->held_bytes += run->held_bytes;
	if (request.key != NULL) {
		char *key = run->request.key;

		run->fingerprint = fingerprint_of(run, params);
		run->request.key = NULL; /* so that it does not find itself */
		other = run_by_key(r, call->peer.uid, key);
		run->request.key = key;
		if (other != NULL) {
			run->ncalls = 0;
			join(other, call, &run->fingerprint);
			run_free(run);
			return;
		}
	}
	call->arg = run;
	call->gone = on_gone;
	call->drained = on_drained;
	run_verify(run);
}

/* The run that {"run_id"} or {"key"} or {"request"} names, if it is this owner's. Fails the call otherwise. */
static struct run *
named_run(struct runs *r, const struct rpc_call *call, const json_t *params, struct rpc_failure *f)
{
	const json_t *id = json_object_get(params, "run_id");
	const json_t *key = json_object_get(params, "key");
	const json_t *request = json_object_get(params, "request");
	struct run *run = NULL;

	if (json_is_string(id))
		run = run_by_id(r, call->peer.uid, json_string_value(id));
	else if (json_is_string(key))
		run = run_by_key(r, call->peer.uid, json_string_value(key));
	else if (request != NULL) {
		struct run *each;

		TAILQ_FOREACH(each, &r->active, order)
			for (size_t i = 0; i < each->ncalls; i++)
				if (each->calls[i]->conn == call->conn && json_equal(each->calls[i]->id, request))
					run = each;
	} else {
		rpc_fail(f, RPC_invalid_params, "say which run: \"run_id\", \"key\", or \"request\" (the id of its request)");
		return NULL;
	}
	if (run == NULL)
		rpc_fail(f, RPC_run_not_found, "there is no such run of user %u", (unsigned)call->peer.uid);
	return run;
}

void
runs_cancel(struct runs *r, struct rpc_call *call, const json_t *params)
{
	static const char *const names[] = {"run_id", "key", "request"};
	struct rpc_failure f = {0};
	struct run *run;
	bool cancelled;

	if (params_check(params, names, 3, &f) != 0 || (run = named_run(r, call, params, &f)) == NULL) {
		call_fail(call, &f);
		return;
	}
	cancelled = run->state < RECORDING;
	call_result(call, json_pack("{s:s, s:b}", "run_id", run->id, "cancelled", cancelled));
	if (cancelled) {
		run->cancelled = true;
		run->cancel_reason = "the client cancelled it";
		run_advance(run);
	}
}

void
runs_get(struct runs *r, struct rpc_call *call, const json_t *params)
{
	static const char *const names[] = {"run_id", "key", "request"};
	struct rpc_failure f = {0};
	struct run *run;
	json_t *answer;

	if (params_check(params, names, 3, &f) != 0 || (run = named_run(r, call, params, &f)) == NULL) {
		call_fail(call, &f);
		return;
	}
	answer = json_pack("{s:s, s:s}", "run_id", run->id, "state", state_names[run->state]);
	if (run->state == ENDED && !run->failed)
		json_object_set(answer, "result", run->result);
	else if (run->state == ENDED)
		json_object_set_new(answer, "error", json_pack("{s:i, s:s, s:s}", "code", rpc_error_number(run->error), "name",
		    rpc_error_name(run->error), "message", run->failure.msg));
	call_result(call, answer);
}

/* Sends input in messages that fit, and its end. Returns 0 or an error when too much is waiting. */
static int
send_input(struct run *run, const uint8_t *data, size_t length, bool end, struct err *e)
{
	int rc = 0;

	while (rc == 0 && length > 0) {
		size_t part = length < IMSG_PAYLOAD_MAX ? length : IMSG_PAYLOAD_MAX;

		rc = channel_send(run->job, PROTO_INPUT, run->number, data, part, NULL, 0, e);
		data += part;
		length -= part;
	}
	if (rc == 0 && end)
		rc = channel_send(run->job, PROTO_INPUT, run->number, NULL, 0, NULL, 0, e);
	return rc;
}

static void
on_input_gone(struct rpc_call *call)
{
	struct run *run = call->arg;

	run->input_call = NULL;
	call_result(call, json_null());
}

/* Input that was lost would change what the guest computes: end the run rather than go on without. */
static void
input_overrun(struct run *run, const struct err *why)
{
	run->cancelled = true;
	run->cancel_reason = why->code == ERR_LIMIT ? "more input was sent than the guest has room for: wait for the "
	                                              "answer to each run.input before the next" : "its input was lost";
	run_advance(run);
}

/*
 * The answer comes when the guest has taken the input, so a client that waits for it never sends too much. For a run
 * that has ended, input goes nowhere, as with a pipe whose reader is gone. A notification cannot be told to wait: its
 * input is queued, and a run for which more is queued than JOB_QUEUE_MAX ends.
 */
void
runs_input(struct runs *r, struct rpc_call *call, const json_t *params)
{
	static const char *const names[] = {"run_id", "key", "request", "data", "end"};
	const json_t *data = json_object_get(params, "data");
	struct rpc_failure f = {0};
	uint8_t *bytes = NULL;
	size_t length = 0;
	struct err e = {0};
	struct run *run;
	int rc;

	if (params_check(params, names, 5, &f) != 0 || (run = named_run(r, call, params, &f)) == NULL)
		goto fail;
	if (!run->request.stream_input || run->state < RUNNING) {
		rpc_fail(&f, RPC_invalid_params, run->request.stream_input ? "the run has not started: wait for run.started" :
		    "the run's stdin is not streamed: ask for it with \"stdin\": {\"stream\": true}");
		goto fail;
	}
	if (run->input_call != NULL && call->id != NULL) {
		rpc_fail(&f, RPC_overloaded, "wait for the answer to the run.input before");
		goto fail;
	}
	if (data != NULL && bytes_parse(data, "data", &bytes, &length, &f) != 0)
		goto fail;
	if (length > INPUT_MAX) {
		free(bytes);
		rpc_fail(&f, RPC_request_too_large, "input of %zu bytes: send at most %d at a time", length, INPUT_MAX);
		goto fail;
	}
	if (call->id != NULL) {
		call->arg = run;
		call->gone = on_input_gone;
		run->input_call = call;
	}
	rc = run->job == NULL ? ERR_EOF : send_input(run, bytes, length, json_is_true(json_object_get(params, "end")), &e);
	free(bytes);
	if (call->id == NULL)
		call_result(call, json_null());
	else if (rc != 0 || channel_queued(run->job) == 0)
		answer_input(run);
	if (rc != 0 && rc != ERR_EOF)
		input_overrun(run, &e);
	return;
fail:
	call_fail(call, &f);
}
