/* broker/run_outcome: how a run ended: settled, recorded, answered. brigd. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/monotonic.h"
#include "base/utf8.h"
#include "broker/run.h"

/* Of a SIGKILL that brig has not sent. */
#define NO_MEMORY                                                                                                     \
	", not by brig: the kernel does that when a control group or the machine has no memory left, which a lower limit " \
	"memory_bytes, fewer runs at a time or more cgroup_memory_bytes prevents"

/* --- the outcome -------------------------------------------------------------------------------------------------- */

#define WHERE_SIZE 64

/* "during fd_write", "in its own code", "while its module was loaded": as far as the worker says. Returns `text`. */
static const char *
where(uint32_t phase, uint32_t call, char text[WHERE_SIZE])
{
	static const char *const places[] = {
	    [PROTO_PHASE_FORKED] = "before it began",
	    [PROTO_PHASE_LOADING] = "while its module was loaded",
	    [PROTO_PHASE_LOCKED] = "while its module was instantiated",
	    [PROTO_PHASE_PARKED] = "before it had its job",
	    [PROTO_PHASE_GUEST] = "in its own code",
	    [PROTO_PHASE_DONE] = "after its result",
	};
	const char *name = run_call_name(call);

	if (name != NULL)
		snprintf(text, WHERE_SIZE, "during %s", name);
	else
		snprintf(text, WHERE_SIZE, "%s", phase <= PROTO_PHASE_DONE ? places[phase] : "at a place that is none");
	return text;
}

/* How it ended, from what we did, what the kernel saw and, last, what the worker claims. Sets limit and failure. */
static enum run_status
classify(struct run *run, char *reason, size_t size, struct run_facts *f)
{
	const struct proto_exited *x = &run->observed;
	int signal = WIFSIGNALED(x->wait_status) ? WTERMSIG(x->wait_status) : 0;
	char place[WHERE_SIZE];

	reason[0] = '\0';
	f->limit = 0;
	f->failure = PROTO_FAILURE_lost;
	if (run->breach.code != 0) {
		snprintf(reason, size, "the worker broke the protocol and was killed: %.500s", run->breach.msg);
		return RUN_failed;
	}
	if (run->cancelled && (run->failed || !run->has_result || run->claimed.status != PROTO_STATUS_EXITED)) {
		snprintf(reason, size, "%s", run->cancel_reason);
		return run->abandoned ? RUN_failed : RUN_cancelled;
	}
	if (run->failed) {
		snprintf(reason, size, "%.600s", run->failure.msg);
		return RUN_failed;
	}
	if (run->expired) {
		f->limit = RUN_LIMIT_DEADLINE;
		return RUN_limit;
	}
	/* Killed by its zygote with its result sent already: it was slow to give its memory back. */
	if (run->has_result && (x->wait_status == 0 || x->killed != PROTO_KILLED_NOT)) {
		f->limit = run->claimed.limit;
		switch (run->claimed.status) {
		case PROTO_STATUS_EXITED:
			return RUN_exited;
		case PROTO_STATUS_TRAPPED:
			return RUN_trapped;
		case PROTO_STATUS_LIMIT:
			return RUN_limit;
		case PROTO_STATUS_STALE:
			snprintf(reason, size, "its compiled code does not fit this machine, and was removed: run it again to have it "
			    "compiled anew (%.400s)", run->trap_text);
			f->failure = PROTO_FAILURE_not_started;
			return RUN_failed;
		default:
			snprintf(reason, size, "%.600s", run->trap_text);
			f->failure = run->claimed.failure;
			return RUN_failed;
		}
	}
	if (x->killed == PROTO_KILLED_DEADLINE || signal == SIGXCPU) {
		f->limit = signal == SIGXCPU ? PROTO_LIMIT_cpu_ms : PROTO_LIMIT_wall_ms;
		return RUN_limit;
	}
	if (signal == SIGSYS)
		snprintf(reason, size, "the worker was killed by the seccomp filter %s; for which system call, the kernel tells "
		    "only its own log", where(x->phase, x->call, place));
	else if (signal != 0)
		snprintf(reason, size, "the worker was killed by signal %d (%s) %s%s", signal, strsignal(signal),
		    where(x->phase, x->call, place), signal == SIGKILL && x->killed == PROTO_KILLED_NOT ? NO_MEMORY : "");
	else
		snprintf(reason, size, "the worker ended without a result %s (exit status %d)", where(x->phase, x->call, place),
		    WEXITSTATUS(x->wait_status));
	return RUN_failed;
}

/* The deadline passed, before it had a worker or after. Sets limit_value. */
static void
deadline_reason(const struct run *run, struct run_facts *f, char *reason, size_t size)
{
	uint64_t waited_us = (run->t_started != 0 ? run->t_started : monotonic_us()) - run->t_received;
	char place[WHERE_SIZE];

	f->limit_value = run->request.deadline_ms;
	if (run->t_started == 0)
		snprintf(reason, size, "its deadline, %ju ms after the request, passed before it could start, while %s",
		    (uintmax_t)f->limit_value, run->t_queued != 0 ? "it waited for its turn" : "it was being prepared");
	else
		snprintf(reason, size, "it reached its deadline, %ju ms after the request, of which it had waited %ju ms, %s",
		    (uintmax_t)f->limit_value, (uintmax_t)(waited_us / 1000), where(f->phase, f->observed.call, place));
}

/* Which limit it was, what its value was, and where the run reached it. Sets limit_value. */
static void
limit_reason(const struct run *run, struct run_facts *f, char *reason, size_t size)
{
	char value[POLICY_LIMIT_TEXT_SIZE], place[WHERE_SIZE];

	if (f->limit == PROTO_LIMIT_wall_ms && run->wall_ms < run->policy->limits[POLICY_LIMIT_wall_ms])
		f->limit = RUN_LIMIT_DEADLINE;
	if (f->limit == RUN_LIMIT_DEADLINE) {
		deadline_reason(run, f, reason, size);
		return;
	}
	for (enum policy_limit i = 0; i < POLICY_LIMIT_COUNT; i++)
		if (strcmp(policy_limit_info[i].name, run_limit_name(f->limit)) == 0) {
			f->limit_value = run->policy->limits[i];
			snprintf(reason, size, "it reached %s, which was %s, %s", policy_limit_info[i].name,
			    policy_limit_text(i, f->limit_value, value), where(f->phase, f->observed.call, place));
			return;
		}
}

static struct run_stream
stream_facts(struct run *run, int i, uint64_t written)
{
	struct run_stream s = {.sent = run->received[i], .truncated = written > run->received[i]};

	if (s.sent > 0)
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
	struct json_text *told = &run->result.told;
	struct proto_log_done done;
	char hash[DIGEST_TEXT_SIZE];

	if (m != NULL && m->hdr.type == PROTO_LOG_DONE && m->hdr.length == sizeof(done)) {
		memcpy(&done, m->payload, sizeof(done));
		b->log_failed = false;
		if (!run->failed) {
			json_text_open(told, "audit", '{');
			json_text_count(told, "sequence", done.sequence);
			json_text_string(told, "hash", digest_text(&done.hash, hash), DIGEST_TEXT_SIZE - 1);
			json_text_close(told, '}');
		}
	} else {
		b->log_failed = true;
		run->failed = true;
		run->error = RPC_audit_unavailable;
		err_set(&run->failure, ERR_IO, "the run has ended (%s) but its outcome could not be recorded: %.*s", run->id,
		    m != NULL ? (int)m->hdr.length : (int)strlen(why->msg),
		    m != NULL ? (const char *)m->payload : why->msg);
		if (!b->stopping) /* the record is sent then; only whether it was written is not waited for */
			broker_log("audit-unavailable run=%s", run->id);
	}
	run_finish(run);
}

/* Microseconds as milliseconds, rounded up. */
static uint64_t
ms_of(uint64_t us)
{
	return us / 1000 + (us % 1000 != 0);
}

/* What a run in learn mode used, as far as it is measured. */
static void
measure(const struct run *run, const struct run_facts *f, uint64_t used[POLICY_LIMIT_COUNT])
{
	const struct proto_result *c = &f->claimed;
	const struct policy_ask *ask = &run->request.ask;
	uint64_t calls = 0;

	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++)
		used[i] = POLICY_UNSET;
	for (size_t i = 0; i < PROTO_WASI_CALLS; i++)
		calls += c->host_calls[i];
	used[POLICY_LIMIT_wall_ms] = ms_of(f->wall_us);
	used[POLICY_LIMIT_cpu_ms] = ms_of(f->observed.user_us + f->observed.system_us);
	used[POLICY_LIMIT_memory_bytes] = c->peak_memory_bytes;
	used[POLICY_LIMIT_output_bytes] = c->stdout_bytes > c->stderr_bytes ? c->stdout_bytes : c->stderr_bytes;
	used[POLICY_LIMIT_host_calls] = calls;
	used[POLICY_LIMIT_args_bytes] = ask->args_bytes;
	used[POLICY_LIMIT_env_bytes] = ask->env_bytes;
	if (!run->request.stream_input)
		used[POLICY_LIMIT_stdin_bytes] = ask->stdin_bytes;
	if (run_engine_of(run) == PROTO_ENGINE_FUEL)
		used[POLICY_LIMIT_fuel] = c->fuel_used;
	if (run_mounts(run) == 0)
		return;
	used[POLICY_LIMIT_files_bytes] = ask->files_bytes;
	used[POLICY_LIMIT_fs_bytes] = c->fs_bytes;
	used[POLICY_LIMIT_fs_nodes] = c->fs_nodes;
}

/* What a run in learn mode learned. NULL when it is not in that mode, or its worker did not say. */
static json_t *
learned_json(const struct run *run, const struct run_facts *f)
{
	struct policy_uses uses = {
	    .effective = run->policy,
	    .request = run->request.policy,
	    .module_signed = run->request.ask.module_signed,
	    .source_unsigned = run->request.ask.source_unsigned,
	    .args = run->request.ask.argc > 0,
	    .env = run->request.ask.env,
	    .envc = run->request.ask.envc,
	};

	if (run->policy == NULL || run->policy->mode != POLICY_MODE_LEARN || !run->has_result)
		return NULL;
	measure(run, f, uses.used);
	return run_learned_json(&run->learned, &uses, f->status == RUN_exited);
}

/* Settles how the run ended, and puts it on record; the client is answered when that is done. */
void
run_record_outcome(struct run *run)
{
	struct runs *r = run->runs;
	char reason[800], digest[DIGEST_TEXT_SIZE], policy[DIGEST_TEXT_SIZE], pack[DIGEST_TEXT_SIZE], source[DIGEST_TEXT_SIZE];
	struct run_facts f = {.run_id = run->id, .reason = reason, .claimed = run->claimed, .observed = run->observed};
	bool could_not_run = run->failed && run->t_started == 0 && !run->cancelled;
	struct run_identity id;
	struct err e = {0};
	json_t *learned;
	char *usage;
	int rc;

	run->state = RECORDING;
	f.incomplete = run->t_started != 0 && !run->has_result;
	f.status = classify(run, reason, sizeof(reason), &f);
	utf8_mend(reason); /* it was cut, or is in the guest's own words */
	utf8_mend(run->failure.msg);
	run->status = f.status;
	f.phase = run->has_result ? run->claimed.phase : run->observed.phase;
	f.limit_value = POLICY_UNSET;
	if (f.status == RUN_limit)
		limit_reason(run, &f, reason, sizeof(reason));
	f.exit_code = run->claimed.exit_code;
	f.trap_text = run->trap_text != NULL ? run->trap_text : "";
	f.trap_text_length = strlen(f.trap_text);
	f.frames = run->frames;
	f.out = stream_facts(run, 0, run->claimed.stdout_bytes);
	f.err = stream_facts(run, 1, run->claimed.stderr_bytes);
	f.streamed = run->request.stream_output;
	f.denials = run->denials;
	f.warnings = run->warnings;
	if (f.status == RUN_exited || f.status == RUN_trapped)
		f.changes = run_changes_json(&run->changes, &f.changes_omitted);
	f.queue_us = run->t_started != 0 ? run->t_started - run->t_queued : 0;
	f.wall_us = run->t_started != 0 ? run->t_ended - run->t_started : 0;
	f.compiled = run->compiled;
	f.compile_us = run->compile_us;
	f.artifact_bytes = run->artifact_bytes;
	f.start = run->start;
	f.module_digest = digest_text(&run->module, digest);
	f.signer = run->verdict.kid;
	f.signature_kind = signature_kind_name(run->verdict.kind);
	f.policy_digest = digest_text(&run->policy_digest, policy);
	f.pack = run->pack[0] != '\0' ? run->pack : NULL;
	f.pack_digest = digest_text(&run->pack_digest, pack);
	f.source_digest = digest_text(&run->source.module, source);
	f.source_signer = run->source.kid;
	f.usage = usage = run_usage_text(&f);
	f.learned = learned = learned_json(run, &f);
	run->failed = could_not_run;
	if (!could_not_run && run_result_make(&f, &run->result) != 0) {
		run->failed = true;
		run->error = RPC_internal_error;
		err_set(&run->failure, ERR_NOMEM, "out of memory for the result");
	}
	id = run_identity_of(run);
	rc = records_outcome(r->broker, &id, &f, outcome_answered, run, &e);
	free(usage);
	json_decref(learned);
	if (rc != 0) {
		run->failed = true;
		run->error = RPC_audit_unavailable;
		run->failure = e;
		run_finish(run);
	}
}

/* --- answers ---------------------------------------------------------------------------------------------------- */

/* Ends every waiting call, with the result or with the failure. */
void
run_answer_all(struct run *run)
{
	while (run->ncalls > 0) {
		struct rpc_call *call = run->calls[--run->ncalls];
		struct rpc_failure f = {0};

		if (!run->failed) {
			call_result_text(call, &run->result.told, json_incref(run->result.rest));
			continue;
		}
		rpc_fail(&f, run->error, "%s", run->failure.msg);
		f.data = run_result_json(&run->result);
		call_fail(call, &f);
	}
}

/* Counts how it ended, and how long it took. */
static void
measure_run(const struct run *run)
{
	struct metrics *m = run->runs->broker->metrics;
	bool started = run->t_started != 0;
	const struct metrics_run r = {
	    .owner = run->peer.uid,
	    .status = run->status,
	    .started = started,
	    .start = run->start,
	    .total_us = monotonic_us() - run->t_received,
	    .queue_us = started ? run->t_started - run->t_queued : METRICS_UNKNOWN,
	    .start_us = run->has_result ? run->claimed.start_us : METRICS_UNKNOWN,
	    .run_us = started ? run->t_ended - run->t_started : METRICS_UNKNOWN,
	};

	if (run->failed)
		metrics_refuse(m, run->peer.uid);
	else
		metrics_count(m, &r, monotonic_ms() / 1000);
}

/* Answers, and keeps the result for run.get while there is room. */
void
run_finish(struct run *run)
{
	struct runs *r = run->runs;
	const struct config *c = r->broker->config;
	size_t changes = run->changes.bytes + run->changes.names + run_learned_bytes(&run->learned);

	r->broker->counts.runs++;
	measure_run(run);
	run_answer_all(run);
	run_leave(run);
	run->state = ENDED;
	run->result_bytes = sizeof(*run) + 2048 + (size_t)(run->received[0] + run->received[1]) +
	    changes;
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
	pool_refill(r->broker->pool);
}

/* Lets a worker that waited for its client send on. */
void
run_go_on(struct run *run)
{
	if (run->paused && run->job != NULL) {
		run->paused = false;
		channel_pause(run->job, false);
	}
}

void
run_on_drained(struct rpc_call *call)
{
	run_go_on(call->arg);
}

/* A client went away. Its calls end; the run goes on only if others wait, or it was given a key. */
void
run_on_gone(struct rpc_call *call)
{
	struct run *run = call->arg;

	for (size_t i = 0; i < run->ncalls; i++)
		if (run->calls[i] == call) {
			run->calls[i] = run->calls[--run->ncalls];
			break;
		}
	call_result(call, json_null());
	run_go_on(run); /* the one that was too slow is gone; the next may be faster, or nobody is left to wait for */
	if (run->ncalls > 0 || run->request.key != NULL || run->state >= RECORDING)
		return;
	run->cancelled = true;
	run->cancel_reason = run->runs->broker->stopping ? "brigd is stopping" : "the client closed its connection";
	run_advance(run);
}

void
run_notify(struct run *run, const char *method, json_t *params)
{
	if (run->ncalls > 0)
		call_notify(run->calls[0], method, params);
	else
		json_decref(params);
}
