/* broker/run_job: a run's worker: started, listened to, and its end. What it says is hostile input. brigd. */

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memfd.h"
#include "base/monotonic.h"
#include "base/utf8.h"
#include "broker/denial.h"
#include "broker/run.h"
#include "runtime/wasi/table.h"

#define BACKLOG_PAUSE   (1024 * 1024)             /* a client this far behind makes its guest wait */
#define NODE_COST       256                       /* of a file, without what it holds */
#define DIR_COST        (2 * 1024 * 1024)         /* of a directory of the host, without what it holds */
#define FD_COST         128                       /* of a descriptor, while the table grows */
#define FIXED_OVERHEAD  (64 * 1024 * 1024)        /* RLIMIT_DATA beyond what the guest may have */
#define PACK_DESCRIPTORS 2                        /* that a language pack has besides what policy grants */
#define CLOSED_MS       1000                      /* a worker that has closed its socket is then told to end */

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

/* What a capability of the filesystem is in policies, or FS_INLINE for one that is none. */
static enum policy_capability
fs_capability(uint32_t capability)
{
	static const struct {
		uint32_t wasi;
		enum policy_capability policy;
	} list[] = {
	    {WASI_CAP_FS_READ, POLICY_CAP_FS_READ},
	    {WASI_CAP_FS_WRITE, POLICY_CAP_FS_WRITE},
	    {WASI_CAP_FS_CREATE, POLICY_CAP_FS_CREATE},
	    {WASI_CAP_FS_DELETE, POLICY_CAP_FS_DELETE},
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (list[i].wasi == capability)
			return list[i].policy;
	return POLICY_CAP_FS_INLINE;
}

/* Why something by path is withheld, if it is: the worker names the path. */
static bool
explain_path(const struct run *run, uint32_t capability, const uint8_t *target, size_t length,
    struct policy_denial *why)
{
	char path[PROTO_TARGET_MAX + 1];

	if (fs_capability(capability) == POLICY_CAP_FS_INLINE || length == 0 || length >= sizeof(path) ||
	    utf8_prefix((const char *)target, length, length) != length)
		return false;
	memcpy(path, target, length);
	path[length] = '\0';
	return path[0] == '/' &&
	    policy_explain(run->layers, run->layer_count, fs_capability(capability), path, why, NULL) == 0;
}

static int
job_denial(struct run *run, const struct imsg *m, struct err *e)
{
	size_t length = m->hdr.length - sizeof(struct proto_denial);
	struct policy_denial at_path = {.message = ""};
	const struct policy_denial *why = &at_path;
	struct proto_denial d;

	if (m->hdr.length < sizeof(d))
		return err_set(e, ERR_PROTOCOL, "a denial of %u bytes", m->hdr.length);
	memcpy(&d, m->payload, sizeof(d));
	if (run_call_name(d.call) == NULL || json_array_size(run->denials) >= PROTO_DENIALS_MAX)
		return err_set(e, ERR_PROTOCOL, "a denial of call %u, after %zu others", d.call,
		    json_array_size(run->denials));
	if (d.capability == WASI_CAP_CLOCK)
		why = run->no_clock;
	else if (d.capability == WASI_CAP_RANDOM)
		why = run->no_random;
	else
		(void)explain_path(run, d.capability, m->payload + sizeof(d), length, &at_path);
	if (why == NULL || why->message[0] == '\0')
		return err_set(e, ERR_PROTOCOL, "a denial of capability %u, which is granted", d.capability);
	json_array_append_new(run->denials, denial_json(why, run_call_name(d.call), d.count));
	return 0;
}

static int
job_change(struct run *run, const struct imsg *m, struct err *e)
{
	return run_changes_one(&run->changes, run->policy, m->payload, m->hdr.length, e);
}

static int
job_content(struct run *run, const struct imsg *m, struct err *e)
{
	return run_changes_content(&run->changes, m->payload, m->hdr.length, e);
}

static int
job_trouble(struct run *run, const struct imsg *m, struct err *e)
{
	static const struct {
		const char *name, *text;
	} kinds[] = {
#define X(name, value, text) [PROTO_TROUBLE_##name] = {#name, text},
	    PROTO_TROUBLES(X)
#undef X
	};
	const char *path = (const char *)m->payload + sizeof(struct proto_trouble);
	struct proto_trouble t;
	size_t length;
	json_t *one;

	if (m->hdr.length <= sizeof(t))
		return err_set(e, ERR_PROTOCOL, "a trouble of %u bytes", m->hdr.length);
	memcpy(&t, m->payload, sizeof(t));
	length = m->hdr.length - sizeof(t);
	if (run->warnings == NULL && (run->warnings = json_array()) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for a run's warnings");
	if (t.kind == PROTO_TROUBLE_NONE || t.kind >= sizeof(kinds) / sizeof(kinds[0]) || length > PROTO_PATH_MAX ||
	    run->request.ask.dirc == 0 || json_array_size(run->warnings) >= PROTO_TROUBLES_MAX || t.count > INT64_MAX)
		return err_set(e, ERR_PROTOCOL, "a trouble %u, after %zu others", t.kind, json_array_size(run->warnings));
	length = utf8_prefix(path, length, length); /* names of the host need not be UTF-8 */
	one = json_pack("{s:s, s:s%, s:I, s:o}", "kind", kinds[t.kind].name, "path", path, length, "count",
	    (json_int_t)t.count, "message", json_sprintf("%.*s: %s", (int)length, path, kinds[t.kind].text));
	return one != NULL && json_array_append_new(run->warnings, one) == 0 ? 0 :
	    err_set(e, ERR_NOMEM, "out of memory for a run's warnings");
}

static int
job_changes(struct run *run, const struct imsg *m, struct err *e)
{
	if (run_mounts(run) == 0)
		return err_set(e, ERR_PROTOCOL, "changes to files without files");
	return run_changes_end(&run->changes, m->payload, m->hdr.length, e);
}

static int
job_learned(struct run *run, const struct imsg *m, struct err *e)
{
	if (run->policy->mode != POLICY_MODE_LEARN)
		return err_set(e, ERR_PROTOCOL, "something learned in a run that is not in learn mode");
	return run_learned_one(&run->learned, run->policy, m->payload, m->hdr.length, e);
}

/* Whether a worker could have used what it says: what it claims is put on record and sent to the client. */
static int
check_claims(const struct run *run, const struct proto_result *r, struct err *e)
{
	const uint64_t *limits = run->policy->limits;
	uint64_t fuel = limits[POLICY_LIMIT_fuel] != POLICY_UNSET ? limits[POLICY_LIMIT_fuel] : 0;
	uint64_t elapsed_us = monotonic_us() - run->t_started + 1000;
	uint64_t calls_left = limits[POLICY_LIMIT_host_calls];

	calls_left += calls_left != UINT64_MAX; /* the one that was refused is counted too */
	if (r->peak_memory_bytes > limits[POLICY_LIMIT_memory_bytes])
		return err_set(e, ERR_PROTOCOL, "it claims %ju bytes of memory, more than its limit",
		    (uintmax_t)r->peak_memory_bytes);
	if (r->fuel_used > fuel)
		return err_set(e, ERR_PROTOCOL, "it claims %ju of fuel, more than its limit", (uintmax_t)r->fuel_used);
	if (r->fs_bytes > limits[POLICY_LIMIT_fs_bytes] || r->fs_nodes > limits[POLICY_LIMIT_fs_nodes])
		return err_set(e, ERR_PROTOCOL, "it claims %ju bytes in %ju files, more than its limits",
		    (uintmax_t)r->fs_bytes, (uintmax_t)r->fs_nodes);
	if (r->start_us > elapsed_us || r->guest_us > elapsed_us - r->start_us)
		return err_set(e, ERR_PROTOCOL, "it claims %ju and %ju us, longer than it has been there",
		    (uintmax_t)r->start_us, (uintmax_t)r->guest_us);
	if (r->stdout_bytes < run->received[0] || r->stderr_bytes < run->received[1])
		return err_set(e, ERR_PROTOCOL, "it claims less output than it sent");
	for (size_t i = 0; i < PROTO_WASI_CALLS; i++) {
		if (r->host_calls[i] > calls_left)
			return err_set(e, ERR_PROTOCOL, "it claims more host calls than its limit");
		calls_left -= r->host_calls[i];
	}
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
	if (rc == 0 && (rc = check_claims(run, &run->claimed, e)) != 0) {
		json_decref(frames);
		run->claimed = (struct proto_result){0};
	}
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
	if (run->failed)
		return err_set(e, ERR_PROTOCOL, "the worker failed twice");
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
    {PROTO_CHANGE, job_change},
    {PROTO_CONTENT, job_content},
    {PROTO_CHANGES, job_changes},
    {PROTO_TROUBLE, job_trouble},
    {PROTO_LEARNED, job_learned},
    {PROTO_RESULT, job_result},
    {PROTO_FAILED, job_failed},
};

int
run_job_message(void *arg, struct imsg *m, struct err *e)
{
	struct run *run = arg;

	run->is_heard = true;
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

/* Looks again after so long whether the worker has ended. */
static int
look_after(struct run *run, uint64_t ms)
{
	struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

	return event_add(run->backstop, &tv);
}

/*
 * A zygote has so long to report an end. Half of it passes twice, since one half may pass while brigd itself stands
 * still, and what was reported meanwhile is read before the other.
 */
static uint64_t
half_patience(const struct run *run)
{
	return (uint64_t)run->runs->broker->config->zygote_ms / 2;
}

void
run_kill(struct run *run)
{
	if (run->worker == NULL || run->killed)
		return;
	run->killed = true;
	run->overdue = false;
	look_after(run, half_patience(run));
	pool_kill(run->worker);
}

/* The worker's end is closed: it is about to be reaped, unless it broke the protocol and must be killed. */
static void
job_closed(void *arg, const struct err *why)
{
	struct run *run = arg;

	if (run->breach.code != 0)
		return;
	if (why->code != ERR_EOF) {
		run->breach = *why;
		run_kill(run);
	} else if (run->worker != NULL && !run->killed) {
		run->is_closed = true;
		look_after(run, CLOSED_MS);
	}
}

/* The worker has taken all input that was sent to it. */
static void
job_drained(void *arg)
{
	run_answer_input(arg);
}

/* Nobody has said yet that the worker is gone. That may be slow: only its zygote knows, and only silence is its fault. */
static void
on_backstop(evutil_socket_t fd, short what, void *arg)
{
	struct run *run = arg;

	(void)fd;
	(void)what;
	if (run->worker == NULL)
		return;
	if (run->is_closed && !run->killed) {
		run_kill(run);
	} else if (!run->overdue) {
		run->overdue = true;
		look_after(run, half_patience(run));
	} else {
		pool_condemn(run->worker, "the zygote did not end a run when it had to");
	}
}

/* Whether a worker had closed its socket and was there when it was told to end: one that had ended says how by itself. */
static bool
has_stayed(const struct run *run, const struct proto_exited *x)
{
	return run->is_closed && run->killed && WIFSIGNALED(x->wait_status) &&
	    (WTERMSIG(x->wait_status) == SIGKILL || WTERMSIG(x->wait_status) == PROTO_END_SIGNAL);
}

/* A stale artifact is no fault of the module: compile again, once, and run. Nothing of the guest has run yet. */
static void
run_again(struct run *run)
{
	const struct module_source *m = &run->request.module;
	const struct pack *pack = run_pack(run);
	struct err gone = {0};

	err_set(&gone, ERR_NOTFOUND, "the language pack was replaced");
	run->recompiled = true;
	(void)run_watch_deadline(run); /* out of memory: it is looked at when its turn comes */
	run_changes_clear(&run->changes);
	run_learned_clear(&run->learned);
	run->has_result = false;
	run->claimed = (struct proto_result){0};
	run->t_started = run->t_ended = 0;
	free(run->trap_text);
	run->trap_text = NULL;
	artifact_release(run->artifact);
	run->artifact = NULL;
	run->state = PREPARING;
	if (pack != NULL)
		run_get_artifact(run, pack->fd, pack->size);
	else if (run->pack[0] != '\0')
		run_module_got(run, NULL, RPC_pack_not_found, &gone);
	else if (m->fd >= 0)
		run_get_artifact(run, m->fd, m->size);
	else
		run_get_module(run);
}

/* What it was compiled to does not fit this machine: nothing that was made of it is used any more. */
static void
drop_artifact(const struct run *run)
{
	const struct broker *b = run->runs->broker;
	const struct pack *pack = run_pack(run);

	artifact_drop(b->artifacts, &run->module, run_engine_of(run));
	pool_renew(b->pool, &run->module);
	if (pack != NULL) /* whose template goes by another digest */
		pool_renew(b->pool, &pack->digest);
}

/* The filter, or a fault of its own, ended the worker: that is for the operator to see. */
static void
note_crash(const struct run *run, const struct proto_exited *exited)
{
	struct broker_counts *counts = &run->runs->broker->counts;
	int signal = WTERMSIG(exited->wait_status);
	char module[DIGEST_TEXT_SIZE];

	counts->crashes++;
	counts->filtered += signal == SIGSYS;
	broker_log("worker-crashed run=%s uid=%u module=%s signal=%d by=%s", run->id, (unsigned)run->peer.uid,
	    digest_text(&run->module, module), signal, signal == SIGSYS ? "filter" : "fault");
}

/*
 * Whether nothing was started, and another worker can take the run: a parked one died before it had its job, or parked
 * ones had left no room for it. Once each.
 */
static bool
is_untouched(const struct run *run, const struct proto_exited *x, const struct err *why)
{
	bool has_died = (run->start == RUN_START_PARKED || run->start == RUN_START_SNAPSHOT) && x != NULL &&
	    x->phase == PROTO_PHASE_PARKED;
	bool had_no_room = x == NULL && why->code == ERR_AGAIN && !run->had_no_room;

	return (has_died || had_no_room) && !run->is_heard && !run->killed && !run->cancelled && !run->input_sent &&
	    run->breach.code == 0;
}

static void
worker_ended(void *arg, const struct proto_exited *exited, const struct err *why)
{
	struct run *run = arg;
	struct runs *r = run->runs;
	bool stale;

	run->worker = NULL;
	run->t_ended = monotonic_us();
	channel_drain(run->job); /* what it said before it ended */
	stale = run->has_result && run->claimed.status == PROTO_STATUS_STALE;
	channel_free(run->job);
	run->job = NULL;
	run_answer_input(run);
	event_free(run->backstop);
	run->backstop = NULL;
	run_running(run, false);
	fair_return(&run->runs->queue, &run->place, run->t_ended);
	if (is_untouched(run, exited, why)) {
		run->is_forked = true;
		run->had_no_room = exited == NULL;
		run->t_started = run->t_ended = 0;
		run_enqueue(run);
		return;
	}
	if (exited != NULL) {
		run->observed = *exited;
		if (pool_is_crash(exited))
			note_crash(run, exited);
		if (run->breach.code == 0 && has_stayed(run, exited))
			err_set(&run->breach, ERR_PROTOCOL, "the worker closed its socket and stayed");
	} else {
		run->failed = true;
		run->error = RPC_internal_error;
		run->failure = *why;
	}
	if (run->has_result && !stale)
		run->artifact->proven = true;
	if (stale)
		drop_artifact(run);
	if (stale && !run->recompiled && !run->cancelled && !run->input_sent)
		run_again(run);
	else
		run_record_outcome(run);
	runs_schedule(r);
}

/* Which of the request's directories of the host is mounted at a path: its number plus 1; or 0 for none. */
static uint32_t
dir_at(const struct run_request *q, const char *path)
{
	for (size_t i = 0; i < q->ask.dirc; i++)
		if (strcmp(q->dir_paths[i], path) == 0)
			return (uint32_t)i + 1;
	return 0;
}

/* Appends a mount. Its rules are all that policy says of paths below, other mounts included. Returns not 0 without memory. */
static int
append_mount(struct evbuffer *mounts, const struct policy *p, const char *path, uint32_t rights, uint32_t dir)
{
	struct proto_mount m = {.rights = rights, .path_length = (uint32_t)strlen(path), .dir = dir};
	size_t skip = m.path_length == 1 ? 1 : m.path_length + 1;
	int rc;

	for (size_t i = 0; i < p->fs_count; i++)
		m.rule_count += strcmp(p->fs[i].path, path) != 0 && policy_path_covers(path, p->fs[i].path);
	rc = evbuffer_add(mounts, &m, sizeof(m)) | evbuffer_add(mounts, path, m.path_length);
	for (size_t i = 0; i < p->fs_count; i++) {
		const char *below = p->fs[i].path + skip;
		struct proto_rule r = {.rights = p->fs[i].rights};

		if (strcmp(p->fs[i].path, path) == 0 || !policy_path_covers(path, p->fs[i].path))
			continue;
		r.path_length = (uint32_t)strlen(below);
		rc |= evbuffer_add(mounts, &r, sizeof(r)) | evbuffer_add(mounts, below, r.path_length);
	}
	return rc;
}

/* Appends the mounts, and a language pack's job, to the blob. */
static int
append_mounts(struct run *run, struct proto_job *job, struct err *e)
{
	const struct policy *p = run->policy;
	struct run_request *q = &run->request;
	struct evbuffer *mounts = evbuffer_new();
	int rc = 0;

	if (mounts == NULL)
		return err_set(e, ERR_NOMEM, "a run's mounts");
	if (run_needs_root(run))
		rc |= append_mount(mounts, p, "/", 0, 0);
	for (size_t i = 0; i < p->fs_count; i++)
		if (p->fs[i].mount)
			rc |= append_mount(mounts, p, p->fs[i].path, p->fs[i].rights, dir_at(q, p->fs[i].path));
	job->mountc = (uint32_t)run_mounts(run);
	job->mounts_bytes = evbuffer_get_length(mounts);
	q->blob_length = q->args_length + q->env_length + q->stdin_length + q->files_length; /* they may be there already */
	if (rc == 0)
		rc = run_request_append(q, evbuffer_pullup(mounts, -1), job->mounts_bytes, e);
	if (rc == 0)
		rc = run_request_append(q, q->job, q->job_length, e);
	evbuffer_free(mounts);
	return rc;
}

/* A job as it is sent: PROTO_JOB's payload, and what goes beside it. */
struct outgoing {
	struct proto_job job;
	uint8_t payload[IMSG_PAYLOAD_MAX];
	size_t length;
	int fds[IMSG_FDS_MAX]; /* the artifact first */
	int nfds;
	int blob;              /* one of them, ours; -1 when it is in the payload */
};
_Static_assert(2 + PROTO_DIRS_MAX <= IMSG_FDS_MAX, "an artifact, a blob, directories");

static int
write_job(struct run *run, struct outgoing *out, struct err *e)
{
	const uint64_t *limits = run->policy->limits;
	struct run_request *q = &run->request;
	struct proto_job *job = &out->job;
	int rc;

	*job = (struct proto_job){
	    .flags = (q->stream_output ? PROTO_JOB_STREAM_OUTPUT : 0) | (q->stream_input ? PROTO_JOB_STREAM_INPUT : 0) |
	        (run->policy->output == POLICY_OUTPUT_END ? PROTO_JOB_OUTPUT_ENDS : 0) |
	        (run->policy->mode == POLICY_MODE_LEARN ? PROTO_JOB_LEARN : 0) | (q->job != NULL ? PROTO_JOB_PACK : 0),
	    .engine = run_engine_of(run),
	    .clock = (uint32_t)run->policy->clock,
	    .random = (uint32_t)run->policy->random,
	    .wall_ms = run->wall_ms,
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
	    .files_bytes = q->files_length,
	    .filec = (uint32_t)q->ask.filec,
	    .dirc = (uint32_t)q->ask.dirc,
	    .fs_bytes = limits[POLICY_LIMIT_fs_bytes],
	    .fs_nodes = limits[POLICY_LIMIT_fs_nodes],
	    .open_files = (uint32_t)limits[POLICY_LIMIT_open_files] + (q->job != NULL ? PACK_DESCRIPTORS : 0),
	    .changes_bytes = limits[POLICY_LIMIT_changes_bytes],
	    .dir_bytes = limits[POLICY_LIMIT_dir_bytes],
	    .source_bytes = q->job_length,
	};
	memcpy(job->seed, run->policy->seed, sizeof(job->seed));
	out->fds[0] = run->artifact->fd;
	out->nfds = 1;
	out->blob = -1;
	if ((rc = append_mounts(run, job, e)) != 0)
		return rc;
	out->length = sizeof(*job);
	if (q->blob_length > sizeof(out->payload) - sizeof(*job)) {
		job->flags |= PROTO_JOB_BLOB_FD;
		if ((out->blob = memfd_from("brig-job", q->blob, q->blob_length, e)) < 0)
			return e->code;
		out->fds[out->nfds++] = out->blob;
	} else {
		memcpy(out->payload + sizeof(*job), q->blob, q->blob_length);
		out->length += q->blob_length;
	}
	for (size_t i = 0; i < q->ask.dirc; i++)
		out->fds[out->nfds++] = q->dir_fds[i];
	return 0;
}

static int
send_job(struct run *run, struct outgoing *out, const struct pool_place *place, struct err *e)
{
	int first = place->is_loaded ? 1 : 0; /* no artifact */

	if (place->is_loaded)
		out->job.flags |= PROTO_JOB_LOADED;
	memcpy(out->payload, &out->job, sizeof(out->job));
	return channel_send(run->job, PROTO_JOB, run->number, out->payload, out->length, out->fds + first,
	    out->nfds - first, e);
}

/* What a run's worker may have as memory of its own (RLIMIT_DATA). */
static uint64_t
data_bytes(const struct run *run)
{
	const uint64_t *limits = run->policy->limits;
	uint64_t files = 0;

	if (run_mounts(run) > 0)
		files = limits[POLICY_LIMIT_fs_bytes] + limits[POLICY_LIMIT_fs_bytes] / 16 +
		    NODE_COST * limits[POLICY_LIMIT_fs_nodes] + limits[POLICY_LIMIT_changes_bytes];
	if (run->request.ask.dirc > 0)
		files += limits[POLICY_LIMIT_dir_bytes] + limits[POLICY_LIMIT_dir_bytes] / 8 +
		    DIR_COST * run->request.ask.dirc;
	return limits[POLICY_LIMIT_memory_bytes] + 16 * limits[POLICY_LIMIT_table_elements] + files +
	    FD_COST * limits[POLICY_LIMIT_open_files] + run->request.blob_length / IMSG_SIZE_MAX * IMSG_SIZE_MAX +
	    FIXED_OVERHEAD; /* a blob that is no memory file is in it */
}

/* The run's language pack, if that may be kept started. */
static const struct pack *
warm_pack_of(const struct run *run)
{
	const struct pack *pack = run_pack(run);

	return pack != NULL && pack->warm ? pack : NULL;
}

/*
 * Where the run starts: a template's artifact must have shown that it suits this machine. A parked worker can take a job
 * of one message, for a module of which nothing runs before there is a job.
 */
static int
pick_place(struct run *run, const struct outgoing *out, struct pool_place *place, struct err *e)
{
	struct heat_key key = {.engine = run_engine_of(run), .owner = run->peer.uid, .module = run->module};
	const struct pack *pack = warm_pack_of(run);
	const uint64_t *limits = run->policy->limits;
	struct pool_warm warm;
	const struct proto_park park = {
	    .cpu_ms = limits[POLICY_LIMIT_cpu_ms],
	    .data_bytes = data_bytes(run),
	    .memory_bytes = limits[POLICY_LIMIT_memory_bytes],
	    .table_elements = limits[POLICY_LIMIT_table_elements],
	};
	bool may_wait = out->nfds == 1 && (pack != NULL || !run->verdict.has_start) && !run->is_forked;

	if (pack != NULL) {
		key = packs_ahead_key(pack, key.engine);
		warm = packs_ahead_warm(pack);
	}
	return pool_pick(run->runs->broker->pool, &key, run->artifact->proven ? run->artifact->fd : -1,
	    may_wait ? &park : NULL, pack != NULL ? &warm : NULL, place, e);
}

/* Has a zygote fork a worker for the job. Returns 0, or an error with nothing started; ERR_EOF: that zygote is dead. */
static int
fork_worker(struct run *run, struct outgoing *out, const struct pool_place *place, struct err *e)
{
	const struct proto_run start = {
	    .wall_ms = run->wall_ms,
	    .cpu_ms = run->policy->limits[POLICY_LIMIT_cpu_ms],
	    .data_bytes = data_bytes(run),
	};
	int sv[2], rc;

	if ((rc = imsg_pair(sv, e)) != 0)
		return rc;
	run->job = channel_new(run->runs->broker->base, sv[0], POOL_JOB_QUEUE_MAX, run_job_message, job_closed, run);
	rc = run->job != NULL ? send_job(run, out, place, e) : err_set(e, ERR_NOMEM, "a run");
	if (rc == 0) {
		run->worker = pool_start(place, run->number, &start, sv[1], worker_ended, run, e);
		rc = run->worker != NULL ? 0 : e->code;
	}
	close(sv[1]);
	return rc;
}

/* Gives the job to a worker that waits for it, after its zygote was told. As fork_worker; ERR_EOF: that worker is dead. */
static int
take_worker(struct run *run, struct outgoing *out, const struct pool_place *place, struct err *e)
{
	struct pool_run *worker = pool_take(place, run->wall_ms, &run->job, worker_ended, run, e);
	int rc;

	if (worker == NULL)
		return e->code;
	channel_hand_over(run->job, run_job_message, job_closed, run);
	if ((rc = send_job(run, out, place, e)) != 0)
		pool_drop(worker);
	else
		run->worker = worker;
	return rc;
}

/* Gives the job to a worker. Returns 0, or an error with nothing started; ERR_EOF: another place is to be picked. */
static int
start_worker(struct run *run, struct outgoing *out, struct err *e)
{
	struct pool_place place;
	int rc = pick_place(run, out, &place, e);

	if (rc != 0)
		return rc;
	rc = place.parked != NULL ? take_worker(run, out, &place, e) : fork_worker(run, out, &place, e);
	if (rc != 0) {
		channel_free(run->job);
		run->job = NULL;
		run->is_forked = true;
		return rc;
	}
	channel_on_drained(run->job, job_drained);
	if (run->start != RUN_START_COLD)
		run->start = !place.is_loaded ? RUN_START_CACHED : warm_pack_of(run) != NULL ? RUN_START_SNAPSHOT :
		    place.parked != NULL ? RUN_START_PARKED : RUN_START_TEMPLATE;
	return 0;
}

/* Gives the run a worker. Returns 0, or an error with nothing started. */
static int
run_launch(struct run *run, struct err *e)
{
	struct broker *b = run->runs->broker;
	uint64_t started = monotonic_us(); /* before the others get the processor */
	static struct outgoing out; /* 64 KiB, which on the stack would be filled with zeros for each run */
	uint64_t wall_ms = run->policy->limits[POLICY_LIMIT_wall_ms], left_ms = run_ms_left(run);
	int rc;

	run->wall_ms = left_ms < wall_ms ? left_ms : wall_ms;
	if (run->wall_ms == 0)
		run->wall_ms = 1;
	if ((rc = write_job(run, &out, e)) != 0)
		return rc;
	run->is_closed = run->killed = run->overdue = run->is_heard = false;
	run->backstop = evtimer_new(b->base, on_backstop, run);
	if (run->backstop == NULL ||
	    look_after(run, run->wall_ms + half_patience(run)) != 0)
		rc = err_set(e, ERR_NOMEM, "a run");
	/* A zygote that has died but has not been reaped yet is found out by talking to it: then another takes the run. */
	if (rc == 0 && (rc = start_worker(run, &out, e)) == ERR_EOF)
		rc = start_worker(run, &out, e);
	if (out.blob >= 0)
		close(out.blob);
	if (rc != 0) {
		if (run->backstop != NULL)
			event_free(run->backstop);
		run->backstop = NULL;
		return rc;
	}
	if (run->deadline != NULL)
		event_del(run->deadline); /* the worker keeps it from now on */
	run->state = RUNNING;
	run->t_started = started;
	run_running(run, true);
	if ((run->request.stream_output || run->request.stream_input) && run->ncalls > 0 && !run->announced) {
		run->announced = true;
		run_notify(run, "run.started", json_pack("{s:s, s:O?}", "run_id", run->id, "request", run->calls[0]->id));
	}
	return 0;
}

/* Whether its owner may have one more place. */
static bool
may_run(const void *item)
{
	const struct run *run = item;

	const struct broker *b = run->runs->broker;

	return run->share->running < shares_of(b->shares, b->config, run->peer.uid).running_per_owner;
}

/* How many may run: one in any case, so that what waits comes to an end however short of everything the machine is. */
static unsigned
places(const struct runs *r)
{
	return r->broker->under_pressure ? 1 : (unsigned)r->broker->config->running_max;
}

/* Starts what may start now. */
void
runs_schedule(struct runs *r)
{
	struct run *run;

	while (!r->broker->stopping && !pool_is_clearing(r->broker->pool) && r->running < places(r) &&
	    (run = fair_take(&r->queue, may_run, monotonic_us())) != NULL) {
		struct err e = {0};

		run->expired = run_ms_left(run) == 0;
		if (run->expired) {
			fair_return(&r->queue, &run->place, run->place.taken);
			run_record_outcome(run);
		} else if (run_launch(run, &e) != 0) {
			fair_return(&r->queue, &run->place, run->place.taken);
			run->failed = true;
			run->error = RPC_internal_error;
			run->failure = e;
			run_record_outcome(run);
		}
	}
}
