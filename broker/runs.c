/* broker/runs: the runs that there are, and the methods of clients about them. brigd. */

#include "broker/runs.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/monotonic.h"
#include "broker/module_compile.h"
#include "broker/prepare.h"
#include "broker/run.h"

#define INPUT_MAX (8 * 1024 * 1024) /* bytes of input in one run.input */
#define CALLS_MAX 256               /* requests that wait for one run, all with its key */

static const char *const state_names[] = {"verifying", "preparing", "queued", "running", "recording", "ended"};

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
	return h % RUNS_BUCKETS;
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

static struct share *
share_find(const struct runs *r, uid_t owner)
{
	struct share *s;

	LIST_FOREACH(s, &r->shares, link)
		if (s->owner == owner)
			return s;
	return NULL;
}

static unsigned
weight_of(const struct runs *r, uid_t owner)
{
	return (unsigned)shares_of(r->broker->shares, r->broker->config, owner).weight;
}

/* Forgets owners who have no runs, and had no more than their share. */
static void
shares_settle(struct runs *r)
{
	struct share *s, *next;

	for (s = LIST_FIRST(&r->shares); s != NULL; s = next) {
		next = LIST_NEXT(s, link);
		if (s->active > 0 || !fair_is_settled(&r->queue, &s->fair))
			continue;
		LIST_REMOVE(s, link);
		free(s);
	}
}

/* Counts one more active run of an owner. NULL when out of memory. */
static struct share *
share_enter(struct runs *r, uid_t owner)
{
	struct share *s = share_find(r, owner);

	if (s == NULL) {
		shares_settle(r);
		if ((s = calloc(1, sizeof(*s))) == NULL)
			return NULL;
		s->owner = owner;
		fair_owner_init(&s->fair, weight_of(r, owner));
		LIST_INSERT_HEAD(&r->shares, s, link);
	}
	s->active++;
	return s;
}

static void
share_leave(struct runs *r, struct share *s)
{
	if (--s->active == 0)
		shares_settle(r);
}

/* Counts what a run holds in memory. */
static void
run_hold(struct run *run, size_t bytes)
{
	run->runs->held_bytes += bytes - run->held_bytes;
	run->share->held_bytes += bytes - run->held_bytes;
	run->held_bytes = bytes;
}

void
run_running(struct run *run, bool is)
{
	unsigned change = is ? 1 : (unsigned)-1;

	run->runs->running += change;
	run->share->running += change;
}

static struct run *
run_new(struct runs *r, struct rpc_call *call)
{
	struct run *run = calloc(1, sizeof(*run));
	uint8_t id[RUN_ID_BYTES];

	if (run == NULL || (run->share = share_enter(r, call->peer.uid)) == NULL ||
	    (run->calls = calloc(1, sizeof(*run->calls))) == NULL ||
	    (run->denials = json_array()) == NULL || (run->frames = json_array()) == NULL ||
	    (run->output[0] = evbuffer_new()) == NULL || (run->output[1] = evbuffer_new()) == NULL)
		goto fail;
	randombytes_buf(id, sizeof(id));
	memcpy(run->id, "run-", 4);
	sodium_bin2hex(run->id + 4, sizeof(run->id) - 4, id, sizeof(id));
	run->runs = r;
	run->number = ++r->last_number;
	run->request.module.fd = -1;
	run->peer = call->peer;
	run->calls[run->ncalls++] = call;
	crypto_hash_sha256_init(&run->hash[0]);
	crypto_hash_sha256_init(&run->hash[1]);
	run->t_received = call->received_us;
	run->received_ms = wall_ms();
	TAILQ_INSERT_TAIL(&r->active, run, order);
	LIST_INSERT_HEAD(&r->table[bucket_of(run->id)], run, bucket);
	r->active_count++;
	return run;
fail:
	if (run != NULL) {
		if (run->share != NULL)
			share_leave(r, run->share);
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
void
run_answer_input(struct run *run)
{
	struct rpc_call *call = run->input_call;

	run->input_call = NULL;
	if (call != NULL)
		call_result(call, json_pack("{s:s}", "run_id", run->id));
}

/* Releases what only a living run needs. Its result, its key and its name stay. */
void
run_shed(struct run *run)
{
	channel_free(run->job);
	run->job = NULL;
	if (run->backstop != NULL)
		event_free(run->backstop);
	run->backstop = NULL;
	if (run->deadline != NULL)
		event_free(run->deadline);
	run->deadline = NULL;
	for (int i = 0; i < 2; i++) {
		if (run->output[i] != NULL)
			evbuffer_free(run->output[i]);
		run->output[i] = NULL;
	}
	artifact_release(run->artifact);
	run->artifact = NULL;
	run_request_shed(&run->request);
	policy_free(run->policy);
	run->policy = NULL;
	while (run->layer_count > 0)
		policy_free((struct policy *)(uintptr_t)run->layers[--run->layer_count].policy);
	run_changes_clear(&run->changes);
	run_learned_clear(&run->learned);
	free(run->trap_text);
	run->trap_text = NULL;
	json_decref(run->frames);
	json_decref(run->denials);
	json_decref(run->warnings);
	run->frames = run->denials = run->warnings = NULL;
}

void
run_leave(struct run *run)
{
	struct runs *r = run->runs;
	int64_t now_us = (int64_t)monotonic_us();

	TAILQ_REMOVE(&r->active, run, order);
	r->active_count--;
	run_shed(run);
	run_hold(run, 0);
	pace_freed(&r->pace, now_us, r->queue.count > 0);
	pace_freed(&run->share->pace, now_us, run->share->fair.count > 0);
	share_leave(r, run->share);
	run->share = NULL;
}

/* Frees a run that is in `active` or `ended`, and in no other list. */
void
run_free(struct run *run)
{
	struct runs *r = run->runs;

	if (run->state == ENDED) {
		TAILQ_REMOVE(&r->ended, run, order);
		r->ended_count--;
		r->ended_bytes -= run->result_bytes;
	} else {
		run_leave(run);
	}
	LIST_REMOVE(run, bucket);
	run_request_clear(&run->request);
	run_result_free(&run->result);
	free(run->no_clock);
	free(run->no_random);
	free(run->calls);
	free(run);
}

/* Descriptors are given out from the lowest on: the number of a new one tells how many there are. An eighth is kept. */
static int
descriptors_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
		return INT_MAX;
	return (int)(limit.rlim_cur - limit.rlim_cur / 8);
}

struct runs *
runs_new(struct broker *b)
{
	struct runs *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->broker = b;
	r->descriptors_max = descriptors_max();
	TAILQ_INIT(&r->active);
	TAILQ_INIT(&r->ended);
	fair_init(&r->queue);
	LIST_INIT(&r->shares);
	return r;
}

void
runs_free(struct runs *r)
{
	struct share *share;
	struct run *run;

	if (r == NULL)
		return;
	while ((run = TAILQ_FIRST(&r->active)) != NULL)
		run_free(run);
	while ((run = TAILQ_FIRST(&r->ended)) != NULL)
		run_free(run);
	while ((share = LIST_FIRST(&r->shares)) != NULL) {
		LIST_REMOVE(share, link);
		free(share);
	}
	policy_free(r->policy);
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

struct runs_load
runs_load(const struct runs *r, uid_t owner)
{
	const struct share *s = share_find(r, owner);

	return s == NULL ? (struct runs_load){0} : (struct runs_load){s->active, (unsigned)s->fair.count, s->running};
}

size_t
runs_held_bytes(const struct runs *r)
{
	return r->held_bytes;
}

void
runs_abandon(struct runs *r, const char *reason)
{
	struct run *run, *next;

	snprintf(r->abandon_reason, sizeof(r->abandon_reason), "%s", reason);
	for (run = TAILQ_FIRST(&r->active); run != NULL; run = next) {
		next = TAILQ_NEXT(run, order); /* only the run itself can end in here */
		if (run->state >= RECORDING || run->cancelled)
			continue;
		run->cancelled = run->abandoned = true;
		run->cancel_reason = r->abandon_reason;
		run_advance(run);
	}
}

void
runs_tell_progress(struct runs *r)
{
	struct run *run;

	TAILQ_FOREACH(run, &r->active, order)
		if (run->artifact_wait != NULL && run->request.stream_output && run->ncalls > 0)
			run_notify(run, "run.progress", progress_json(run->artifact_wait, run->calls[0]));
}

void
runs_reload(struct runs *r)
{
	struct share *s;

	LIST_FOREACH(s, &r->shares, link)
		s->fair.weight = weight_of(r, s->owner);
	runs_schedule(r);
}

/* --- deadlines ---------------------------------------------------------------------------------------------------- */

uint64_t
run_ms_left(const struct run *run)
{
	uint64_t until_us = run->t_received + run->request.deadline_ms * 1000, now_us = monotonic_us();

	if (run->request.deadline_ms == 0)
		return UINT64_MAX;
	return now_us >= until_us ? 0 : (until_us - now_us + 999) / 1000;
}

/* What waits for the module's bytes ends once they are there: the intent is on record then. */
static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct run *run = arg;

	(void)fd;
	(void)what;
	run->expired = true;
	run_advance(run);
}

int
run_watch_deadline(struct run *run)
{
	uint64_t left_ms = run_ms_left(run);
	struct timeval tv = {.tv_sec = (time_t)(left_ms / 1000), .tv_usec = (suseconds_t)(left_ms % 1000 * 1000)};

	if (run->request.deadline_ms == 0)
		return 0;
	if (run->deadline == NULL)
		run->deadline = evtimer_new(run->runs->broker->base, on_deadline, run);
	return run->deadline != NULL && event_add(run->deadline, &tv) == 0 ? 0 : ERR_NOMEM;
}

/* --- methods ------------------------------------------------------------------------------------------------------ */

/* Says that there is no room now, by which setting, and when there will be, as fast as runs end of late. */
static int
overloaded(struct rpc_failure *f, const char *setting, struct pace *pace, const char *what)
{
	int64_t wait_ms = pace_promise(pace, (int64_t)monotonic_us());

	rpc_fail(f, RPC_overloaded, "%s, as many as %s allows", what, setting);
	f->data = json_pack("{s:s, s:I}", "setting", setting, "retry_after_ms", (json_int_t)wait_ms);
	return -1;
}

/* Whether there may be one more: running, or waiting. */
static int
admit(struct runs *r, uid_t owner, struct rpc_failure *f)
{
	const struct config *c = r->broker->config;
	const struct shares_terms terms = shares_of(r->broker->shares, c, owner);
	struct share *share = share_find(r, owner);
	int64_t places = terms.running_per_owner < c->running_max ? terms.running_per_owner : c->running_max;
	char what[100];

	if (r->broker->draining)
		return rpc_fail(f, RPC_shutting_down, "brigd is stopping");
	if (r->active_count >= (size_t)(c->running_max + c->queued_max)) {
		snprintf(what, sizeof(what), "%zu runs are waiting already", r->active_count - r->running);
		return overloaded(f, "queued_max", &r->pace, what);
	}
	if (share != NULL && share->active >= places + terms.queued_per_owner) {
		snprintf(what, sizeof(what), "%u runs of user %u are waiting already", share->active - share->running,
		    (unsigned)owner);
		return overloaded(f, "queued_per_owner", &share->pace, what);
	}
	return 0;
}

/* What a request brings that stays in memory until its run has ended. */
static size_t
bytes_of(const struct run_request *q)
{
	return q->blob_length + q->job_length + (q->module.fd >= 0 || q->module.code != NULL ? q->module.size : 0);
}

void
run_drop_module(struct run *run)
{
	struct module_source *m = &run->request.module;

	if (m->fd < 0)
		return;
	module_source_clear(m);
	run->module_dropped = true;
	run_hold(run, bytes_of(&run->request));
}

/* Whether there is room for what a request brings. One alone always has it. */
static int
admit_bytes(struct runs *r, uid_t owner, const struct run_request *q, struct rpc_failure *f)
{
	const struct config *c = r->broker->config;
	const struct shares_terms terms = shares_of(r->broker->shares, c, owner);
	struct share *share = share_find(r, owner);
	size_t bytes = bytes_of(q), own = share != NULL ? share->held_bytes : 0;
	int highest = q->module.fd;
	char what[100];

	for (size_t i = 0; i < q->ask.dirc; i++)
		highest = q->dir_fds[i] > highest ? q->dir_fds[i] : highest;
	if (highest > r->descriptors_max) {
		snprintf(what, sizeof(what), "%d descriptors are open", highest);
		return overloaded(f, "RLIMIT_NOFILE", &r->pace, what);
	}
	if (r->held_bytes > 0 && r->held_bytes + bytes > (size_t)c->held_bytes) {
		snprintf(what, sizeof(what), "modules and input of %zu bytes are held already", r->held_bytes);
		return overloaded(f, "held_bytes", &r->pace, what);
	}
	if (own > 0 && own + bytes > (size_t)terms.held_bytes_per_owner) {
		snprintf(what, sizeof(what), "modules and input of %zu bytes are held for user %u already", own, (unsigned)owner);
		return overloaded(f, "held_bytes_per_owner", &share->pace, what);
	}
	return 0;
}

/* A request whose key is known already: the same request shares the run, another is refused. Takes the call. */
static void
join(struct run *run, struct rpc_call *call, const struct digest *fingerprint)
{
	struct rpc_failure f = {0};
	struct rpc_call **more;

	if (!digest_equal(&run->request.fingerprint, fingerprint)) {
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
	call->gone = run_on_gone;
	call->drained = run_on_drained;
	if (run->state == ENDED)
		run_answer_all(run);
}

/* Takes the request of a call, if there is room for it. Returns 0, or -1 with the failure. */
static int
take_request(struct runs *r, struct rpc_call *call, struct run_request *request, struct rpc_failure *f)
{
	struct prepared *p;

	if (admit(r, call->peer.uid, f) != 0 || (p = prepare_result(call, f)) == NULL ||
	    run_request_owns_dirs(&p->request, call->peer.uid, f) != 0 ||
	    admit_bytes(r, call->peer.uid, &p->request, f) != 0)
		return -1;
	*request = p->request;
	p->request = (struct run_request){.module = {.fd = -1}};
	return 0;
}

void
runs_run(struct runs *r, struct rpc_call *call)
{
	struct broker *b = r->broker;
	struct run_request request;
	struct rpc_failure f = {0};
	struct run *run, *other;

	if (take_request(r, call, &request, &f) != 0) {
		records_refused(b, call->peer, "run", f.error, f.detail, NULL);
		b->counts.refused++;
		metrics_refuse(b->metrics, call->peer.uid);
		call_fail(call, &f);
		return;
	}
	other = request.key != NULL ? run_by_key(r, call->peer.uid, request.key) : NULL;
	if (other != NULL) {
		join(other, call, &request.fingerprint);
		run_request_clear(&request);
		return;
	}
	if ((run = run_new(r, call)) == NULL) {
		run_request_clear(&request);
		rpc_fail(&f, RPC_internal_error, "out of memory");
		call_fail(call, &f);
		return;
	}
	run->request = request;
	run_hold(run, bytes_of(&request));
	(void)run_watch_deadline(run); /* out of memory: it is looked at when its turn comes */
	call->arg = run;
	call->gone = run_on_gone;
	call->drained = run_on_drained;
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

	if ((id != NULL) + (key != NULL) + (request != NULL) > 1) {
		rpc_fail(f, RPC_invalid_params, "say which run by one of \"run_id\", \"key\" and \"request\", not by several");
		return NULL;
	}
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
	if (run == NULL && request != NULL)
		rpc_fail(f, RPC_run_not_found, "no run of this connection waits for the answer to such a request: once answered, it "
		    "goes by its run_id, which the answer has, or by its key");
	else if (run == NULL)
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
		json_object_set_new(answer, "result", run_result_json(&run->result));
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

	run->input_sent = true;
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
	struct rpc_failure f = {0};
	struct prepared *input;
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
	if ((input = prepare_result(call, &f)) == NULL)
		goto fail;
	if (input->length > INPUT_MAX) {
		rpc_fail(&f, RPC_request_too_large, "input of %zu bytes: send at most %d at a time", input->length, INPUT_MAX);
		goto fail;
	}
	if (call->id != NULL) {
		call->arg = run;
		call->gone = on_input_gone;
		run->input_call = call;
	}
	rc = ERR_EOF;
	if (run->job != NULL)
		rc = send_input(run, input->data, input->length, json_is_true(json_object_get(params, "end")), &e);
	if (call->id == NULL)
		call_result(call, json_null());
	else if (rc != 0 || channel_queued(run->job) == 0)
		run_answer_input(run);
	if (rc != 0 && rc != ERR_EOF)
		input_overrun(run, &e);
	return;
fail:
	call_fail(call, &f);
}
