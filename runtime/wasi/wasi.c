/* runtime/wasi/wasi: the host side of wasi_snapshot_preview1: state and trampoline. Runs in the worker. */

#include "runtime/wasi/wasi.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/trap.h"
#include "runtime/wasi/changes.h"
#include "runtime/wasi/mounts.h"
#include "runtime/wasi/preview1.h"

#define MODULE "wasi_snapshot_preview1"
#define MEMORY "memory"

#define PACK_OPEN_FILES 64 /* that a language pack may have while it starts */

static const struct row {
	const char *name;
	const char *type; /* as in the table */
	enum wasi_capability capability;
	enum wasi_errno (*handler)(struct wasi *w, const uint64_t *a);
} rows[WASI_CALL_COUNT] = {
#define X(name, type, capability, handler) {#name, type, WASI_CAP_##capability, preview1_##handler},
	WASI_CALLS(X)
#undef X
};

const char *
wasi_call_name(uint32_t call)
{
	return rows[call].name;
}

int
wasi_new(struct wasi **w, struct err *e)
{
	struct wasi *fresh = calloc(1, sizeof(*fresh));

	if (fresh == NULL)
		return err_set(e, ERR_NOMEM, "the WASI host: %zu bytes", sizeof(*fresh));
	for (uint32_t i = 0; i < WASI_CALL_COUNT; i++)
		fresh->slots[i] = (struct wasi_slot){fresh, i};
	wasi_clock_measure(&fresh->clock);
	*w = fresh;
	return 0;
}

/* Closes and forgets all files. */
static void
end_files(struct wasi *w)
{
	wasi_fds_end(&w->fds);
	wasi_fs_end(&w->fs);
	free(w->fs.noted);
	w->fs.noted = NULL;
	free(w->rules);
	w->rules = NULL;
}

void
wasi_free(struct wasi *w)
{
	if (w == NULL)
		return;
	end_files(w);
	free(w->refusals);
	wasi_learn_free(w->learn);
	free(w);
}

/* --- the trampoline -------------------------------------------------------------------------------------------- */

/* Between 1 and 0 the signal handler leaves the buffers alone; the compiler may move no access to them out of there. */
static void
set_busy(struct wasi *w, sig_atomic_t busy)
{
	atomic_signal_fence(memory_order_seq_cst);
	w->busy = busy;
	atomic_signal_fence(memory_order_seq_cst);
}

static void
end(struct wasi *w, enum wasi_end how, uint32_t value)
{
	if (w->end == WASI_END_NOT) {
		w->end_value = value;
		w->end = how;
	}
}

/* Counts a refusal with those of its kind, or with the others when there are too many kinds. */
static void
note_refusal(struct wasi *w, enum wasi_call call, enum wasi_capability capability, const char *target, size_t length)
{
	struct wasi_refusal *r = w->refusals;
	uint32_t i = 0;

	if (w->waiting.job != NULL) /* a pack that starts, for nobody yet */
		return;
	if (r == NULL)
		r = w->refusals = calloc(PROTO_DENIALS_MAX, sizeof(*r));
	while (i < w->refusal_count && (r[i].call != call || r[i].capability != capability || r[i].length != length ||
	    (length > 0 && memcmp(r[i].target, target, length) != 0)))
		i++;
	if (r == NULL || i == PROTO_DENIALS_MAX) {
		w->refusals_omitted++;
		return;
	}
	if (i == w->refusal_count) {
		r[i] = (struct wasi_refusal){.call = call, .capability = capability, .length = length};
		if (length > 0)
			memcpy(r[i].target, target, length);
		w->refusal_count++;
	}
	r[i].count++;
}

bool
wasi_allows(struct wasi *w, enum wasi_call call, enum wasi_capability capability)
{
	if ((w->granted & 1u << capability) != 0) {
		if (w->learn != NULL)
			wasi_learn_call(w->learn, call, capability);
		return true;
	}
	note_refusal(w, call, capability, NULL, 0);
	return false;
}

/* The capability for one of the filesystem's rights: of several that are missing, the lowest. */
static enum wasi_capability
capability_of(uint32_t rights)
{
	static const struct {
		uint32_t right;
		enum wasi_capability capability;
	} list[] = {
		{WASI_FS_READ, WASI_CAP_FS_READ},
		{WASI_FS_WRITE, WASI_CAP_FS_WRITE},
		{WASI_FS_CREATE, WASI_CAP_FS_CREATE},
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if ((rights & list[i].right) != 0)
			return list[i].capability;
	return WASI_CAP_FS_DELETE;
}

enum wasi_errno
wasi_checked(struct wasi *w, enum wasi_call call, enum wasi_errno error)
{
	const struct wasi_path *path = &w->fs.refused_path;

	if (w->learn != NULL)
		wasi_learn_noted(w->learn, call, &w->fs);
	if (error != WASI_ENOTCAPABLE || w->fs.refused == 0)
		return error;
	if (path->start > 0)
		note_refusal(w, call, capability_of(w->fs.refused), path->text + path->start, path->length);
	else
		w->refusals_omitted++; /* it is longer than any path, and nobody could say what it is about */
	w->fs.refused = 0;
	return error;
}

void
wasi_learn_changes(struct wasi *w, enum wasi_call call, const struct wasi_fd *f)
{
	if (w->learn != NULL && f->node != NULL && (f->rights & WASI_RIGHT_FD_WRITE) == 0)
		wasi_learn_mount(w->learn, call, &w->fs, f->node->mount, WASI_FS_WRITE);
}

void
wasi_learn_times(struct wasi *w, enum wasi_call call, const struct wasi_node *n)
{
	const uint64_t began = w->learn_began;

	if (w->learn != NULL && w->clock.kind != PROTO_CLOCK_NONE &&
	    (n->accessed >= began || n->modified >= began || n->changed >= began))
		wasi_learn_call(w->learn, call, WASI_CAP_CLOCK);
}

bool
wasi_interrupted(struct wasi *w)
{
	if (w->stop == 0)
		return false;
	end(w, WASI_END_LIMIT, (uint32_t)w->stop);
	return true;
}

enum wasi_errno
wasi_settle(struct wasi *w, enum wasi_stream_status status)
{
	switch (status) {
	case WASI_STREAM_OK:
		return WASI_ESUCCESS;
	case WASI_STREAM_AGAIN:
		return WASI_EAGAIN;
	case WASI_STREAM_STOPPED:
		wasi_interrupted(w);
		break;
	case WASI_STREAM_FULL:
		end(w, WASI_END_LIMIT, PROTO_LIMIT_output_bytes);
		break;
	case WASI_STREAM_BROKEN:
		end(w, WASI_END_BROKEN, 0);
		break;
	}
	return WASI_EIO;
}

/* Looks up the guest's memory for this call: the one that was attached, or the caller's export. Whether it is there. */
static bool
find_memory(struct wasi *w, wasmtime_caller_t *caller)
{
	wasmtime_context_t *context = wasmtime_caller_context(caller);
	wasmtime_memory_t handle = w->handle;
	wasmtime_extern_t item;

	w->memory = (struct wasi_memory){NULL, 0};
	if (!w->attached) {
		if (!wasmtime_caller_export_get(caller, MEMORY, strlen(MEMORY), &item))
			return false;
		if (item.kind != WASMTIME_EXTERN_MEMORY) {
			wasmtime_extern_delete(&item);
			return false;
		}
		handle = item.of.memory;
	}
	w->memory.base = wasmtime_memory_data(context, &handle);
	w->memory.size = wasmtime_memory_data_size(context, &handle);
	return true;
}

/* Counts, charges, checks, runs; in this order, for every call. */
static enum wasi_errno
dispatch(struct wasi *w, enum wasi_call call, wasmtime_caller_t *caller, const wasmtime_val_raw_t *values)
{
	const struct row *row = &rows[call];
	uint64_t a[WASI_PARAMETERS_MAX] = {0};
	enum wasi_errno error;
	bool has_memory;

	w->calls[call]++;
	if (w->calls_left == 0) {
		end(w, WASI_END_LIMIT, PROTO_LIMIT_host_calls);
		return WASI_EIO;
	}
	w->calls_left--;
	if (wasi_interrupted(w))
		return WASI_EIO;
	if (!wasi_allows(w, call, row->capability))
		return WASI_ENOTCAPABLE;
	for (uint32_t i = 0; row->type[i] != ':'; i++)
		a[i] = row->type[i] == 'I' ? (uint64_t)values[i].i64 : (uint32_t)values[i].i32;
	has_memory = find_memory(w, caller);
	error = row->handler(w, a);
	if (error == WASI_EFAULT && !has_memory)
		end(w, WASI_END_NO_MEMORY, call);
	if (error == WASI_EIO)
		wasi_interrupted(w); /* what waits for the host gives up then */
	return error;
}

static wasm_trap_t *
trampoline(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values, size_t count)
{
	const struct wasi_slot *slot = env;
	struct wasi *w = slot->wasi;
	enum wasi_errno error;

	(void)count; /* the engine has checked the type that wasi_link gave it */
	set_busy(w, 1);
	if (w->shared != NULL)
		w->shared->call = slot->call + 1;
	error = dispatch(w, slot->call, caller, values);
	if (w->shared != NULL && w->end == WASI_END_NOT) /* else it is the call that ended the run */
		w->shared->call = 0;
	set_busy(w, 0);
	if (w->end == WASI_END_EXIT && w->exited != NULL)
		w->exited(w->exited_arg);
	if (w->end != WASI_END_NOT)
		return wasmtime_trap_new_code(WASMTIME_TRAP_CODE_INTERRUPT);
	values[0].i32 = (int32_t)error;
	return NULL;
}

/* --- linking --------------------------------------------------------------------------------------------------- */

static wasm_valtype_t *
value_type(char letter)
{
	return wasm_valtype_new(letter == 'I' ? WASM_I64 : WASM_I32);
}

/* The engine's form of a row's type. */
static wasm_functype_t *
function_type(const char *type)
{
	wasm_valtype_t *list[WASI_PARAMETERS_MAX + 1];
	wasm_valtype_vec_t params, results;
	size_t n = 0;

	for (; *type != ':'; type++)
		list[n++] = value_type(*type);
	wasm_valtype_vec_new(&params, n, list);
	n = 0;
	for (type++; *type != '\0'; type++)
		list[n++] = value_type(*type);
	wasm_valtype_vec_new(&results, n, list);
	return wasm_functype_new(&params, &results);
}

static int
link_row(struct wasi *w, enum wasi_call call, wasmtime_linker_t *linker, struct err *e)
{
	const struct row *row = &rows[call];
	wasm_functype_t *type = function_type(row->type);
	wasmtime_error_t *error;
	wasm_name_t text;
	int rc = 0;

	error = wasmtime_linker_define_func_unchecked(linker, MODULE, strlen(MODULE), row->name, strlen(row->name),
	    type, trampoline, &w->slots[call], NULL);
	wasm_functype_delete(type);
	if (error != NULL) {
		wasmtime_error_message(error, &text);
		rc = err_set(e, ERR_NOMEM, "linking %s.%s: %.*s", MODULE, row->name, (int)text.size, text.data);
		wasm_name_delete(&text);
		wasmtime_error_delete(error);
	}
	return rc;
}

int
wasi_link(struct wasi *w, wasmtime_linker_t *linker, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; i < WASI_CALL_COUNT && rc == 0; i++)
		rc = link_row(w, i, linker, e);
	return rc;
}

/* --- one run --------------------------------------------------------------------------------------------------- */

/* Reads `count` strings that fill data[0..length] exactly. */
static int
read_strings(const char *what, const uint8_t *data, uint64_t length, uint32_t count, struct wasi_strings *out,
    struct err *e)
{
	uint64_t at = 0, bytes = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t n;

		if (length - at < sizeof(n))
			return err_set(e, ERR_PROTOCOL, "the job's %s end within number %u of %u", what, i, count);
		memcpy(&n, data + at, sizeof(n));
		at += sizeof(n);
		if (length - at < n)
			return err_set(e, ERR_PROTOCOL, "the job's %s end within number %u of %u", what, i, count);
		if (n > 0 && memchr(data + at, '\0', n) != NULL)
			return err_set(e, ERR_PROTOCOL, "the job's %s have a NUL inside number %u", what, i);
		at += n;
		bytes += (uint64_t)n + 1;
	}
	if (at != length || bytes > INT32_MAX)
		return err_set(e, ERR_PROTOCOL, "the job's %s take %llu bytes, not %llu", what, (unsigned long long)at,
		    (unsigned long long)length);
	*out = (struct wasi_strings){data, count, (uint32_t)bytes};
	return 0;
}

/* The capabilities that a job's settings amount to. */
static uint32_t
granted_by(const struct proto_job *job)
{
	uint32_t granted = 1u << WASI_CAP_NONE;

	if (job->clock != PROTO_CLOCK_NONE)
		granted |= 1u << WASI_CAP_CLOCK;
	if (job->random != PROTO_RANDOM_NONE)
		granted |= 1u << WASI_CAP_RANDOM;
	return granted;
}

/* The parts of a job's blob. */
struct parts {
	struct wasi_strings args, environment;
	struct wasi_mounts_blob files;
	const uint8_t *input;
	uint64_t input_length;
	const uint8_t *source;
	uint64_t source_length;
};

/* Checks the blob and finds its parts. */
static int
read_blob(const struct wasi_config *config, struct parts *p, struct err *e)
{
	const struct proto_job *job = config->job;
	const uint64_t sizes[] = {job->args_bytes, job->env_bytes, job->stdin_bytes, job->files_bytes, job->mounts_bytes,
		job->source_bytes};
	const uint8_t *at = config->blob;
	uint64_t left = config->blob_length;
	int rc;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (sizes[i] > left)
			return err_set(e, ERR_PROTOCOL, "the job's blob is shorter than its parts");
		left -= sizes[i];
	}
	if (left != 0)
		return err_set(e, ERR_PROTOCOL, "the job's blob is longer than its parts");
	if (job->clock > PROTO_CLOCK_REAL || job->random > PROTO_RANDOM_REAL)
		return err_set(e, ERR_PROTOCOL, "the job's clock %u or random %u is none that there is", job->clock,
		    job->random);
	if ((rc = read_strings("arguments", at, job->args_bytes, job->argc, &p->args, e)) != 0)
		return rc;
	at += job->args_bytes;
	if ((rc = read_strings("environment", at, job->env_bytes, job->envc, &p->environment, e)) != 0)
		return rc;
	at += job->env_bytes;
	p->input = at;
	p->input_length = job->stdin_bytes;
	at += job->stdin_bytes;
	p->source = at + job->files_bytes + job->mounts_bytes;
	p->source_length = job->source_bytes;
	p->files = (struct wasi_mounts_blob){
		.mounts = at + job->files_bytes,
		.files = at,
		.mounts_bytes = job->mounts_bytes,
		.files_bytes = job->files_bytes,
		.mount_count = job->mountc,
		.file_count = job->filec,
		.dirs = config->dirs,
		.dir_count = job->dirc,
	};
	return 0;
}

/*
 * Opens the mounts, from 3 on. What is opened through them has the rights that it asks for and policy grants. A language
 * pack, which has looked for them before it knew the run, has only "/", and the others in it.
 */
static int
preopen(struct wasi *w, bool is_pack, struct err *e)
{
	for (uint32_t i = 0; i < w->fs.mount_count; i++) {
		const struct wasi_mount *m = &w->fs.mounts[i];
		struct wasi_fd f = {
			.kind = WASI_FD_DIR,
			.rights = WASI_RIGHTS_DIR,
			.inheriting = WASI_RIGHTS_DIR | WASI_RIGHTS_FILE,
			.node = m->top,
			.preopened = m,
		};
		uint32_t number;

		if (is_pack && m->length > 1)
			continue;
		if ((m->rights & WASI_FS_READ) == 0)
			f.rights &= ~(uint64_t)WASI_RIGHT_FD_READDIR;
		if (wasi_fds_reserve(&w->fds, &number) != WASI_ESUCCESS)
			return err_set(e, ERR_LIMIT, "%u mounts need more descriptors: grant more open_files", w->fs.mount_count);
		wasi_node_open(m->top);
		wasi_fds_set(&w->fds, number, &f);
	}
	return 0;
}

static int
begin_files(struct wasi *w, const struct proto_job *job, const struct wasi_mounts_blob *blob, struct err *e)
{
	int rc;

	end_files(w); /* of a job before */
	wasi_fs_begin(&w->fs, job->fs_bytes, job->fs_nodes, &w->clock);
	w->fs.tree.room.stop = &w->stop;
	w->fs.tree.host_room.max = job->dir_bytes;
	if (wasi_fds_begin(&w->fds, job->open_files, &w->fs.tree) != WASI_ESUCCESS)
		rc = err_set(e, ERR_NOMEM, "a table of descriptors");
	else if ((rc = wasi_mounts_read(blob, &w->stop, &w->fs, &w->rules, e)) == 0)
		rc = preopen(w, (job->flags & PROTO_JOB_PACK) != 0, e);
	if (rc != 0)
		end_files(w);
	return rc;
}

static int
begin_to_learn(struct wasi *w, struct err *e)
{
	wasi_learn_free(w->learn); /* of a job before */
	w->learn = wasi_learn_new();
	w->fs.noted = calloc(1, sizeof(*w->fs.noted));
	return w->learn != NULL && w->fs.noted != NULL ? 0 : err_set(e, ERR_NOMEM, "what a run learns");
}

static void
begin_output(struct wasi *w, const struct proto_job *job)
{
	wasi_output_begin(&w->out[0], 1, job->output_bytes, job->flags);
	wasi_output_begin(&w->out[1], 2, job->output_bytes, job->flags);
}

/* All but the output. */
static int
begin(struct wasi *w, const struct wasi_config *config, const struct proto_job *job, const struct parts *parts,
    struct err *e)
{
	int rc;

	w->clock.kind = (enum proto_clock)job->clock;
	w->clock.fixed_ns = job->clock_fixed_ns;
	(void)wasi_clock_now(&w->clock, WASI_CLOCK_REALTIME, &w->learn_began);
	if ((rc = begin_files(w, job, &parts->files, e)) != 0)
		return rc;
	if ((job->flags & PROTO_JOB_LEARN) != 0 && (rc = begin_to_learn(w, e)) != 0)
		return rc;
	w->args = parts->args;
	w->environment = parts->environment;
	w->granted = granted_by(job);
	w->calls_left = job->host_calls;
	w->changes_bytes = job->changes_bytes;
	w->shared = config->shared;
	w->exited = config->exited;
	w->exited_arg = config->exited_arg;
	w->port = (struct wasi_port){config->socket, config->run, &w->stop};
	wasi_random_begin(&w->random, (enum proto_random)job->random, job->seed);
	wasi_input_begin(&w->in, parts->input, (size_t)parts->input_length, (job->flags & PROTO_JOB_STREAM_INPUT) != 0);
	w->source = parts->source;
	w->source_length = parts->source_length;
	return 0;
}

/* What a language pack starts with, before it asks for its job. */
static int
begin_pack(struct wasi *w, const struct wasi_config *config, const struct parts *run, struct err *e)
{
	static const struct {
		struct proto_mount head;
		char path[1];
	} root = {{.path_length = 1}, {'/'}};
	const struct proto_job start = {
		.flags = PROTO_JOB_PACK,
		.clock = PROTO_CLOCK_REAL,
		.random = PROTO_RANDOM_REAL,
		.host_calls = config->job->host_calls,
		.fs_nodes = 1,
		.open_files = PACK_OPEN_FILES,
	};
	const struct parts parts = {
		.args = run->args,
		.environment = run->environment,
		.files = {.mounts = (const uint8_t *)&root, .mounts_bytes = sizeof(root.head) + 1, .mount_count = 1},
	};

	return begin(w, config, &start, &parts, e);
}

int
wasi_begin(struct wasi *w, const struct wasi_config *config, struct err *e)
{
	bool is_pack = (config->job->flags & PROTO_JOB_PACK) != 0;
	struct parts parts;
	int rc = read_blob(config, &parts, e);

	if (rc != 0)
		return rc;
	rc = is_pack ? begin_pack(w, config, &parts, e) : begin(w, config, config->job, &parts, e);
	if (rc != 0)
		return rc;
	begin_output(w, config->job);
	w->waiting = (struct wasi_config){.job = NULL};
	if (is_pack)
		w->waiting = *config;
	return 0;
}

/*
 * Whether a language pack that asks for its job has nothing else open: what it had is gone when the run begins, but for the
 * root directory and what it asks with, which are the run's then.
 */
static int
check_open(const struct wasi *w, struct err *e)
{
	for (uint32_t i = 0; i < w->fds.count; i++) {
		const struct wasi_fd *f = wasi_fds_get(&w->fds, i);
		bool wanted = i <= PROTO_SOURCE_FD;

		if ((f != NULL) != wanted || (i == PROTO_ROOT_FD && f->preopened == NULL) ||
		    (i == PROTO_SOURCE_FD && f->kind != WASI_FD_SOURCE))
			return err_set(e, ERR_INVAL, "the language pack asks for its job with descriptor %u %s", i,
			    f == NULL ? "closed" : "open");
	}
	return 0;
}

static int
open_source(struct wasi *w, struct err *e)
{
	const struct wasi_fd f = {.kind = WASI_FD_SOURCE, .rights = WASI_RIGHTS_SOURCE};
	uint32_t number;

	if (wasi_fds_reserve(&w->fds, &number) != WASI_ESUCCESS || number != PROTO_SOURCE_FD)
		return err_set(e, ERR_PROTOCOL, "a language pack has no root directory, or no descriptors");
	wasi_fds_set(&w->fds, number, &f);
	return 0;
}

enum wasi_errno
wasi_take_job(struct wasi *w)
{
	struct wasi_config config = w->waiting;
	struct parts parts;

	if (config.job == NULL)
		return WASI_ESUCCESS;
	w->waiting.job = NULL;
	if (check_open(w, &w->why) != 0 || (config.take != NULL && config.take(config.take_arg, &config, &w->why) != 0) ||
	    read_blob(&config, &parts, &w->why) != 0 || begin(w, &config, config.job, &parts, &w->why) != 0 || open_source(w, &w->why) != 0) {
		if (!wasi_interrupted(w))
			end(w, WASI_END_NO_JOB, 0);
		return WASI_EIO;
	}
	if (config.is_other || w->out[0].written + w->out[1].written == 0) /* else the pack had something to say, for the run */
		begin_output(w, config.job);
	memset(w->calls, 0, sizeof(w->calls));
	return WASI_ESUCCESS;
}

const char *
wasi_why(const struct wasi *w)
{
	return w->why.msg;
}

void
wasi_attach(struct wasi *w, const wasmtime_memory_t *memory)
{
	w->attached = memory != NULL;
	if (memory != NULL)
		w->handle = *memory;
}

void
wasi_stop(struct wasi *w, enum proto_limit limit)
{
	if (w->stop == 0)
		w->stop = (sig_atomic_t)limit;
}

enum proto_limit
wasi_stopped(const struct wasi *w)
{
	return (enum proto_limit)w->stop;
}

enum wasi_end
wasi_ended(const struct wasi *w, uint32_t *value)
{
	if (value != NULL)
		*value = w->end_value;
	return w->end;
}

bool
wasi_report(const struct wasi *w, struct proto_result *result)
{
	for (uint32_t i = 0; i < WASI_CALL_COUNT; i++)
		result->host_calls[i] = w->calls[i];
	result->stdout_bytes = w->out[0].written;
	result->stderr_bytes = w->out[1].written;
	result->fs_bytes = w->fs.tree.room.peak;
	result->fs_nodes = w->fs.tree.nodes_peak;
	result->denials_omitted = w->refusals_omitted;
	switch (w->end) {
	case WASI_END_EXIT:
		result->status = PROTO_STATUS_EXITED;
		result->exit_code = w->end_value;
		return true;
	case WASI_END_SIGNAL:
		result->status = PROTO_STATUS_TRAPPED;
		result->trap = RUNTIME_TRAP_signal;
		return true;
	case WASI_END_LIMIT:
		result->status = PROTO_STATUS_LIMIT;
		result->limit = w->end_value;
		return true;
	case WASI_END_NO_MEMORY:
		result->status = PROTO_STATUS_FAILED;
		result->failure = PROTO_FAILURE_no_memory;
		return true;
	case WASI_END_NO_JOB:
		result->status = PROTO_STATUS_FAILED;
		result->failure = PROTO_FAILURE_not_started;
		return true;
	case WASI_END_NOT:
	case WASI_END_BROKEN:
		break;
	}
	return false;
}

static enum wasi_stream_status
send_denial(const struct wasi *w, const struct wasi_refusal *r)
{
	struct {
		struct imsg_hdr hdr;
		struct proto_denial denial;
		char target[PROTO_TARGET_MAX];
	} packet = {
		.hdr = {PROTO_DENIAL, (uint32_t)(sizeof(packet.denial) + r->length), w->port.run},
		.denial = {r->call + 1, r->capability, r->count},
	};

	memcpy(packet.target, r->target, r->length);
	return wasi_port_send(&w->port, &packet, sizeof(packet.hdr) + packet.hdr.length, true);
}

/* Sends one message for each thing of the host that the run did not get as it should have. */
static enum wasi_stream_status
send_troubles(const struct wasi *w, const struct wasi_lower *l)
{
	struct {
		struct imsg_hdr hdr;
		struct proto_trouble trouble;
		char path[PROTO_PATH_MAX];
	} packet;
	enum wasi_stream_status s = WASI_STREAM_OK;

	for (uint32_t i = 0; l != NULL && i < l->trouble_count && s == WASI_STREAM_OK; i++) {
		const struct wasi_trouble *t = &l->troubles[i];

		packet.hdr = (struct imsg_hdr){PROTO_TROUBLE, (uint32_t)(sizeof(packet.trouble) + t->length), w->port.run};
		packet.trouble = (struct proto_trouble){.kind = t->kind, .count = t->count};
		memcpy(packet.path, t->path, t->length);
		s = wasi_port_send(&w->port, &packet, sizeof(packet.hdr) + packet.hdr.length, true);
	}
	return s;
}

/* Sends what policy withheld, once. */
static enum wasi_stream_status
send_denials(struct wasi *w)
{
	enum wasi_stream_status s = WASI_STREAM_OK;

	for (uint32_t i = 0; i < w->refusal_count && s == WASI_STREAM_OK; i++)
		s = send_denial(w, &w->refusals[i]);
	w->refusal_count = 0;
	return s;
}

int
wasi_send_changes(struct wasi *w)
{
	enum wasi_stream_status s = WASI_STREAM_OK;

	if (w->fs.mount_count > 0)
		s = wasi_changes_send(&w->fs, &w->port, w->changes_bytes);
	if (s == WASI_STREAM_STOPPED)
		return ERR_LIMIT;
	return s == WASI_STREAM_OK ? 0 : ERR_EOF;
}

int
wasi_finish(struct wasi *w)
{
	int rc = 0;

	set_busy(w, 1);
	for (int i = 0; i < 2 && rc == 0; i++)
		if (wasi_output_flush(&w->out[i], &w->port, true) != WASI_STREAM_OK)
			rc = ERR_EOF;
	if (rc == 0 && send_denials(w) != WASI_STREAM_OK)
		rc = ERR_EOF;
	for (uint32_t i = 0; i < w->fs.mount_count && rc == 0; i++)
		if (send_troubles(w, w->fs.mounts[i].lower) != WASI_STREAM_OK)
			rc = ERR_EOF;
	if (rc == 0 && w->learn != NULL && wasi_learn_send(w->learn, &w->port) != WASI_STREAM_OK)
		rc = ERR_EOF;
	set_busy(w, 0);
	return rc;
}

int
wasi_finish_from_signal(struct wasi *w)
{
	return w->busy != 0 ? ERR_AGAIN : wasi_finish(w);
}
