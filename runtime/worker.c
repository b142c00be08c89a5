/* runtime/worker: one module, run once, from its job to its result. Zygote (the template) and worker. */

#include "runtime/worker.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/monotonic.h"
#include "runtime/imports.h"
#include "runtime/job.h"
#include "runtime/pages.h"
#include "runtime/result.h"
#include "runtime/trap.h"
#include "runtime/warm.h"
#include "runtime/wasi/stream.h"
#include "runtime/wasi/wasi.h"

#define NS_PER_MS  1000000u
#define NS_PER_SEC 1000000000u

/* A time limit's first expiry asks the guest to end, the next ends it: within the zygote's grace of 10 ms. */
#define INSIST_MS 5

/* Tables in one module, of table_elements at most each; compilers make one or two. */
#define TABLES_MAX 16
#define TEXT_OF(number)  TEXT_OF2(number)
#define TEXT_OF2(number) #number

/* The engine ends a guest that has used all its fuel; a limit is what may be used, so there is one more unit. */
#define FUEL_SPARE 1u

#define START      "_start"
#define INITIALIZE "_initialize"
#define MEMORY     "memory"

struct worker {
	enum proto_engine kind;
	wasm_engine_t *engine;
	wasmtime_linker_t *linker;
	wasmtime_store_t *store;
	wasmtime_context_t *context;
	struct wasi *wasi;

	/* A language pack that was started: where its guest waits for a job, and what then serves. */
	jmp_buf *waiting; /* NULL: nowhere, or not any more */
	void (*serve)(void *arg);
	void *serve_arg;
	bool is_copy; /* this process is a worker, forked there */
	bool is_rehearsal; /* it is none, but goes the same way to see which pages that takes */
	struct pages *pages; /* that copies take; NULL: it is not known */

	/* One run. */
	int socket;
	volatile struct proto_shared *shared;
	uint64_t started_ns;
	uint64_t guest_ns; /* 0: no guest instruction yet */
	struct job job;
	wasmtime_module_t *module;
	wasmtime_instance_pre_t *linked;
	wasmtime_instance_t instance;
	wasmtime_func_t start; /* _start of `instance` */
	bool is_instantiated;
	struct proto_park ahead; /* the limits under which it was made in the zygote; none for a language pack */
	bool is_tried;           /* to make it there */
	wasmtime_memory_t memory;
	bool has_memory;
	volatile sig_atomic_t in_guest; /* the engine runs: instantiation, start function, _start */
	struct result result;
	struct imsg in;
};

/* The worker that runs in this process, for the signal handler. */
static struct worker *current;

/* --- results --------------------------------------------------------------------------------------------------- */

static void
set_limit(struct worker *w, enum proto_limit limit)
{
	w->result.numbers.status = PROTO_STATUS_LIMIT;
	w->result.numbers.limit = (uint32_t)limit;
}

/* The run could not be started, or not go on. */
static void
set_failed(struct worker *w, enum proto_failure failure, const char *text)
{
	w->result.numbers.status = PROTO_STATUS_FAILED;
	w->result.numbers.failure = (uint32_t)failure;
	result_text(&w->result, text, strlen(text));
}

/* What the run used. Linear memory never shrinks, so its size now is its peak. Async-signal-safe. */
static void
fill_usage(struct worker *w)
{
	struct proto_result *r = &w->result.numbers;
	uint64_t end = monotonic_ns(), left = 0;

	r->phase = w->shared->phase;
	r->start_us = ((w->guest_ns != 0 ? w->guest_ns : end) - w->started_ns) / 1000;
	r->guest_us = w->guest_ns != 0 ? (end - w->guest_ns) / 1000 : 0;
	if (w->has_memory)
		r->peak_memory_bytes = wasmtime_memory_data_size(w->context, &w->memory);
	if (w->kind == PROTO_ENGINE_FUEL && w->guest_ns != 0 && wasmtime_context_get_fuel(w->context, &left) == NULL)
		r->fuel_used = w->job.order.fuel + FUEL_SPARE - left;
	if (r->fuel_used > w->job.order.fuel)
		r->fuel_used = w->job.order.fuel; /* what it did not get to use */
}

/* Async-signal-safe. Returns the process's exit status. */
static int
send_result(struct worker *w)
{
	const struct wasi_port port = {.socket = w->socket, .run = w->job.run};
	size_t length = result_seal(&w->result);

	if (wasi_port_send(&port, &w->result.hdr, length, true) != WASI_STREAM_OK)
		return EXIT_FAILURE;
	w->shared->phase = PROTO_PHASE_DONE;
	return EXIT_SUCCESS;
}

/* Sends what the run did to its files, if it came to its own end. Returns false when brigd is gone. */
static bool
send_changes(struct worker *w)
{
	struct proto_result *r = &w->result.numbers;
	int rc = 0;

	if (r->status == PROTO_STATUS_EXITED || r->status == PROTO_STATUS_TRAPPED)
		rc = wasi_send_changes(w->wasi);
	if (rc == ERR_LIMIT) {
		r->exit_code = r->trap = 0;
		set_limit(w, wasi_stopped(w->wasi));
	}
	return rc != ERR_EOF;
}

/* Sends what is buffered, then the result. */
static int
finish(struct worker *w)
{
	if (!send_changes(w))
		return EXIT_FAILURE;
	if (wasi_finish(w->wasi) != 0)
		return EXIT_FAILURE;
	fill_usage(w);
	return send_result(w);
}

/* --- limits on time -------------------------------------------------------------------------------------------- */

/*
 * SIGALRM of either timer, or the zygote's signal. A guest that is in its own code, be it one long instruction, is ended
 * here: its output and its result are sent from the handler. No checks are compiled into guest code for this; they cost
 * a tenth to a third of its speed. A host call sees wasi_stop and ends the guest by itself, and the next tick looks again.
 */
static void
end_guest(struct worker *w, enum proto_limit limit)
{
	int saved = errno;
	int rc;

	if (wasi_stopped(w->wasi) == 0)
		wasi_stop(w->wasi, limit);
	if (w->in_guest != 0) {
		rc = wasi_finish_from_signal(w->wasi);
		if (rc == ERR_EOF)
			_exit(EXIT_FAILURE);
		if (rc == 0) {
			result_begin(&w->result, w->job.run);
			set_limit(w, wasi_stopped(w->wasi));
			wasi_report(w->wasi, &w->result.numbers);
			fill_usage(w);
			_exit(send_result(w));
		}
	}
	errno = saved;
}

/* PROTO_WALL_SIGNAL is the same signal, by the zygote: others cannot send any. */
_Static_assert(PROTO_WALL_SIGNAL == SIGALRM, "one handler for both");

static void
on_alarm(int sig, siginfo_t *info, void *ucontext)
{
	(void)sig;
	(void)ucontext;
	if (current == NULL && info->si_code == SI_TIMER) /* a zygote's, which as init no signal ends by default */
		_exit(EXIT_FAILURE);
	if (current != NULL && info->si_code == SI_TIMER)
		end_guest(current, (enum proto_limit)info->si_value.sival_int);
	else if (current != NULL && info->si_code == SI_USER)
		end_guest(current, PROTO_LIMIT_wall_ms);
}

/* The zygote asks: brigd wants the run to end. Its SIGKILL follows shortly. */
static void
on_end_signal(int sig)
{
	(void)sig;
	if (current != NULL)
		end_guest(current, PROTO_LIMIT_cancelled);
}

static int
set_timer(clockid_t clock, uint64_t at_ns, enum proto_limit limit, timer_t *timer, struct err *e)
{
	struct sigevent event = {
	    .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM, .sigev_value = {.sival_int = (int)limit}};
	struct itimerspec when = {
	    .it_value = {(time_t)(at_ns / NS_PER_SEC), (long)(at_ns % NS_PER_SEC)},
	    .it_interval = {0, INSIST_MS * NS_PER_MS},
	};

	if (timer_create(clock, &event, timer) != 0)
		return err_sys(e, ERR_IO, "making a timer");
	if (timer_settime(*timer, TIMER_ABSTIME, &when, NULL) != 0)
		return err_sys(e, ERR_IO, "setting a timer");
	return 0;
}

static int
start_timer(clockid_t clock, uint64_t at_ns, enum proto_limit limit, struct err *e)
{
	timer_t timer; /* goes with the process */

	return set_timer(clock, at_ns, limit, &timer, e);
}

/* `ms` from `from`, without wrapping; a limit of centuries is none. */
static uint64_t
after_ms(uint64_t from, uint64_t ms)
{
	return ms > (INT64_MAX - from) / NS_PER_MS ? INT64_MAX : from + ms * NS_PER_MS;
}

/* The CPU clock of a process starts with its fork. */
static int
start_timers(struct worker *w, struct err *e)
{
	const struct proto_job *o = &w->job.order;
	int rc = start_timer(CLOCK_MONOTONIC, after_ms(w->started_ns, o->wall_ms), PROTO_LIMIT_wall_ms, e);

	if (rc != 0)
		return rc;
	return start_timer(CLOCK_PROCESS_CPUTIME_ID, after_ms(0, o->cpu_ms), PROTO_LIMIT_cpu_ms, e);
}

/* --- the template ---------------------------------------------------------------------------------------------- */

/*
 * Whether even large things are taken from the heap, so that what a zygote makes for its workers is in one place: where
 * pages can be brought together, and with fewer mappings to fork.
 */
static void
keep_together(bool together)
{
#ifdef M_MMAP_THRESHOLD
	mallopt(M_MMAP_THRESHOLD, together ? 16 << 20 : 128 << 10); /* the latter is the C library's own */
#else
	(void)together;
#endif
}

int
worker_new(enum proto_engine kind, engine_settings *settings, struct worker **out, struct err *e)
{
	/* On the engine's signal stack: the guest's own may be used up. */
	struct sigaction alarm_action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct sigaction end_action = {.sa_handler = on_end_signal, .sa_flags = SA_ONSTACK};
	struct worker *w;
	int rc;

	keep_together(true);
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return err_set(e, ERR_NOMEM, "a worker: %zu bytes", sizeof(*w));
	w->kind = kind;
	w->job.artifact = -1;
	if ((rc = engine_new(kind, settings, &w->engine, e)) != 0)
		goto fail;
	if ((rc = wasi_new(&w->wasi, e)) != 0)
		goto fail;
	warm_engine(w->engine);
	w->linker = wasmtime_linker_new(w->engine);
	w->store = wasmtime_store_new(w->engine, NULL, NULL);
	w->context = wasmtime_store_context(w->store);
	if ((rc = wasi_link(w->wasi, w->linker, e)) != 0)
		goto fail;
	if (sigaction(SIGALRM, &alarm_action, NULL) != 0 || sigaction(PROTO_END_SIGNAL, &end_action, NULL) != 0) {
		rc = err_sys(e, ERR_IO, "handling signals");
		goto fail;
	}
	keep_together(false);
	*out = w;
	return 0;
fail:
	worker_free(w);
	return rc;
}

void
worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	if (current == w)
		current = NULL;
	if (w->linked != NULL)
		wasmtime_instance_pre_delete(w->linked);
	if (w->module != NULL)
		wasmtime_module_delete(w->module);
	if (w->store != NULL)
		wasmtime_store_delete(w->store);
	if (w->linker != NULL)
		wasmtime_linker_delete(w->linker);
	wasi_free(w->wasi);
	if (w->engine != NULL)
		wasm_engine_delete(w->engine);
	job_free(&w->job);
	free(w);
}

int
worker_load(struct worker *w, int artifact, struct err *e)
{
	wasmtime_error_t *error = brig_module_deserialize_fd(w->engine, artifact, &w->module);
	char text[RESULT_TEXT_MAX];

	if (error == NULL)
		error = wasmtime_linker_instantiate_pre(w->linker, w->module, &w->linked);
	if (error == NULL)
		return 0;
	engine_error_text(error, text, sizeof(text));
	return err_set(e, ERR_UNSUPPORTED, "loading a module for all workers: %s", text);
}

const wasm_engine_t *
worker_engine(const struct worker *w)
{
	return w->engine;
}

/* --- before the guest ------------------------------------------------------------------------------------------ */

/* With a job that came, or does not come any more. Under the filter or not. */
static int
say_failed(const struct worker *w, uint64_t run, const struct err *e)
{
	static struct {
		struct imsg_hdr hdr;
		char text[sizeof(e->msg)];
	} packet;
	const struct wasi_port port = {.socket = w->socket, .run = run};

	packet.hdr = (struct imsg_hdr){PROTO_FAILED, (uint32_t)strlen(e->msg), run};
	memcpy(packet.text, e->msg, packet.hdr.length);
	return wasi_port_send(&port, &packet, sizeof(packet.hdr) + packet.hdr.length, true) != WASI_STREAM_OK;
}

static int
take_job(struct worker *w, struct err *e)
{
	int rc = imsg_recv(w->socket, &w->in, e);

	if (rc != 0)
		return rc;
	rc = job_decode(&w->in, w->kind, w->linked != NULL, &w->job, e);
	imsg_close_fds(&w->in);
	return rc;
}

/*
 * Puts the sockets of directories where the filter lets them be used. They came in order from the lowest free number on, so
 * that each goes up, and the last goes first.
 */
static int
place_dirs(struct worker *w, struct err *e)
{
	for (int i = (int)w->job.order.dirc - 1; i >= 0; i--) {
		int from = w->job.dirs[i], to = PROTO_DIRS_FD + i;

		if (from >= to)
			return err_set(e, ERR_PROTOCOL, "descriptor %d for directory %d", from, i);
		if (dup3(from, to, O_CLOEXEC) < 0)
			return err_sys(e, ERR_IO, "dup3");
		close(from);
		w->job.dirs[i] = to;
	}
	return 0;
}

/* The store's limits are exact: a memory.grow past memory_bytes gives the guest -1. */
static void
limit_store(struct worker *w, uint64_t memory_bytes, uint64_t table_elements)
{
	wasmtime_store_limiter(w->store, (int64_t)memory_bytes, (int64_t)table_elements, 1, TABLES_MAX, 1);
}

static int
set_fuel(struct worker *w, struct err *e)
{
	wasmtime_error_t *error;
	char text[200];

	if (w->kind != PROTO_ENGINE_FUEL ||
	    (error = wasmtime_context_set_fuel(w->context, w->job.order.fuel + FUEL_SPARE)) == NULL)
		return 0;
	engine_error_text(error, text, sizeof(text));
	return err_set(e, ERR_IO, "setting fuel: %s", text);
}

/* Lets go of an instance, with all that is in the store. */
static void
forget_instance(struct worker *w)
{
	wasmtime_store_delete(w->store);
	w->store = wasmtime_store_new(w->engine, NULL, NULL);
	w->context = wasmtime_store_context(w->store);
	w->is_instantiated = w->has_memory = false;
	wasi_attach(w->wasi, NULL);
}

/* The limits of the run, or of those that may come. An instance that was made under wider ones may not be had under these. */
static void
limit_instance(struct worker *w, uint64_t memory_bytes, uint64_t table_elements)
{
	if (w->is_instantiated && (memory_bytes < w->ahead.memory_bytes || table_elements < w->ahead.table_elements))
		forget_instance(w);
	limit_store(w, memory_bytes, table_elements);
}

/* Gives the run its limits. */
static int
set_limits(struct worker *w, struct err *e)
{
	const struct proto_job *o = &w->job.order;
	int rc;

	limit_instance(w, o->memory_bytes, o->table_elements);
	return (rc = set_fuel(w, e)) != 0 ? rc : start_timers(w, e);
}

/* A language pack has started, and asks for its job: from here on it is the run. */
static int
take_source(void *arg, struct wasi_config *config, struct err *e)
{
	struct worker *w = arg;

	(void)config;
	w->guest_ns = monotonic_ns();
	return set_fuel(w, e);
}

static void exit_here(void *worker);

static struct wasi_config
host_config(struct worker *w)
{
	return (struct wasi_config){
	    .job = &w->job.order,
	    .blob = w->job.blob,
	    .blob_length = w->job.blob_length,
	    .dirs = w->job.dirs,
	    .socket = w->socket,
	    .run = w->job.run,
	    .shared = w->shared,
	    .exited = exit_here,
	    .exited_arg = w,
	};
}

/* The guest of a language pack that was started has its host already, and is given the job when it goes on. */
static int
begin_host(struct worker *w, struct err *e)
{
	struct wasi_config config = host_config(w);

	if (w->waiting != NULL)
		return (w->job.order.flags & PROTO_JOB_PACK) != 0 ? 0 : err_set(e, ERR_PROTOCOL, "a job for no language pack");
	config.take = take_source;
	config.take_arg = w;
	return wasi_begin(w->wasi, &config, e);
}

/* Maps the artifact. An error means that it was made by another engine or for another CPU. */
static int
load(struct worker *w)
{
	wasmtime_error_t *error = brig_module_deserialize_fd(w->engine, w->job.artifact, &w->module);
	char text[RESULT_TEXT_MAX];

	w->job.artifact = -1; /* taken in any case */
	if (error == NULL)
		return 0;
	w->result.numbers.status = PROTO_STATUS_STALE;
	result_text(&w->result, text, engine_error_text(error, text, sizeof(text)));
	return ERR_UNSUPPORTED;
}

/* Resolves the imports. */
static int
link_module(struct worker *w)
{
	wasmtime_error_t *error = wasmtime_linker_instantiate_pre(w->linker, w->module, &w->linked);
	enum proto_failure failure;
	struct err e;

	if (error == NULL)
		return 0;
	engine_error_text(error, e.msg, sizeof(e.msg));
	failure = imports_explain(w->module, &e);
	set_failed(w, failure != PROTO_FAILURE_NONE ? failure : PROTO_FAILURE_not_started, e.msg);
	return ERR_UNSUPPORTED;
}

/* Everything up to the lock. Returns 0, or an error with the result set. */
static int
prepare(struct worker *w, worker_lock *lock, void *arg)
{
	struct err e;
	int rc;

	w->shared->phase = PROTO_PHASE_LOADING;
	if (lock != NULL && (rc = place_dirs(w, &e)) != 0)
		goto failed;
	if ((rc = set_limits(w, &e)) != 0 || (rc = begin_host(w, &e)) != 0)
		goto failed;
	if (w->linked == NULL && ((rc = load(w)) != 0 || (rc = link_module(w)) != 0))
		return rc;
	if (w->pages != NULL)
		pages_bring(w->pages);
	if (lock != NULL && (rc = lock(arg, &e)) != 0)
		goto failed;
	w->shared->phase = PROTO_PHASE_LOCKED;
	return 0;
failed:
	if (wasi_stopped(w->wasi) != 0) /* it waited for a directory of the host */
		set_limit(w, wasi_stopped(w->wasi));
	else
		set_failed(w, PROTO_FAILURE_not_started, e.msg);
	return rc;
}

/* --- the guest ------------------------------------------------------------------------------------------------- */

/* Sets the result of a trap that the engine, not the host, raised. */
static void
settle_trap(struct worker *w, const wasm_trap_t *trap)
{
	static const struct {
		uint32_t value;
		int code;
		const char *text;
	} traps[] = {
#define X(name, value, code, text) {value, code, text},
	    RUNTIME_TRAPS(X)
#undef X
	};
	wasmtime_trap_code_t code;
	char text[RESULT_TEXT_MAX];

	w->result.numbers.status = PROTO_STATUS_TRAPPED;
	w->result.numbers.trap = RUNTIME_TRAP_other;
	if (!wasmtime_trap_code(trap, &code)) {
		result_text(&w->result, text, engine_trap_text(trap, text, sizeof(text)));
	} else if (code == WASMTIME_TRAP_CODE_INTERRUPT && wasi_stopped(w->wasi) != 0) {
		set_limit(w, wasi_stopped(w->wasi));
		w->result.numbers.trap = 0;
	} else if (code == WASMTIME_TRAP_CODE_OUT_OF_FUEL) {
		set_limit(w, PROTO_LIMIT_fuel);
		w->result.numbers.trap = 0;
	} else {
		for (size_t i = 0; i < sizeof(traps) / sizeof(traps[0]); i++) {
			if (traps[i].code == code) {
				w->result.numbers.trap = traps[i].value;
				result_text(&w->result, traps[i].text, strlen(traps[i].text));
			}
		}
	}
	if (w->result.numbers.status == PROTO_STATUS_TRAPPED)
		result_frames(&w->result, trap);
}

/* Sets the result of an error that is no trap: memory or tables that cannot be had, or a fault of ours. */
static void
settle_error(struct worker *w, wasmtime_error_t *error)
{
	static const struct {
		const char *part; /* of the engine's message; test_worker has a module for each */
		enum proto_limit limit;
	} limits[] = {
	    {"exceeds memory limits", PROTO_LIMIT_memory_bytes},
	    {"os error 12", PROTO_LIMIT_memory_bytes},
	    {"exceeds table limits", PROTO_LIMIT_table_elements},
	};
	char text[RESULT_TEXT_MAX];

	engine_error_text(error, text, sizeof(text));
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (strstr(text, limits[i].part) != NULL) {
			set_limit(w, limits[i].limit);
			return;
		}
	if (strstr(text, "table count too high") != NULL)
		set_failed(w, PROTO_FAILURE_too_many_tables, "the module has more than " TEXT_OF(TABLES_MAX) " tables");
	else
		set_failed(w, PROTO_FAILURE_not_started, text);
}

/* A call that needed memory, of a module that exports none. */
static void
settle_no_memory(struct worker *w, uint32_t call)
{
	char text[200];

	snprintf(text, sizeof(text),
	    "the module called %s, which works on its memory, and does not export that as \"memory\": build it as a command",
	    wasi_call_name(call));
	set_failed(w, PROTO_FAILURE_no_memory, text);
}

/* Sets text and backtrace where the host ended the run; wasi_report sets the rest. */
static void
settle_host(struct worker *w, const wasm_trap_t *trap)
{
	char text[80];
	uint32_t value;
	enum wasi_end how = wasi_ended(w->wasi, &value);
	int n;

	if (how == WASI_END_NO_MEMORY)
		settle_no_memory(w, value);
	if (how == WASI_END_NO_JOB)
		set_failed(w, PROTO_FAILURE_not_started, wasi_why(w->wasi));
	if (how != WASI_END_SIGNAL)
		return;
	n = snprintf(text, sizeof(text), "the guest raised %s", wasi_signal_name(value));
	result_text(&w->result, text, (size_t)n);
	if (trap != NULL)
		result_frames(&w->result, trap);
}

/*
 * How guest code ended, by what the engine gave back; the process ends soon, so nothing is freed. Returns whether it
 * came to its own end.
 */
static bool
settle(struct worker *w, wasmtime_error_t *error, const wasm_trap_t *trap)
{
	if (error == NULL && trap == NULL)
		return true;
	if (wasi_ended(w->wasi, NULL) != WASI_END_NOT)
		settle_host(w, trap);
	else if (error != NULL)
		settle_error(w, error);
	else
		settle_trap(w, trap);
	return false;
}

/* The name of the first memory that the module exports, to be freed; NULL when there is none. */
static char *
name_of_memory(const wasmtime_module_t *module)
{
	wasm_exporttype_vec_t exports;
	char *name = NULL;

	wasmtime_module_exports(module, &exports);
	for (size_t i = 0; i < exports.size && name == NULL; i++)
		if (wasm_externtype_kind(wasm_exporttype_type(exports.data[i])) == WASM_EXTERN_MEMORY) {
			const wasm_name_t *text = wasm_exporttype_name(exports.data[i]);

			name = strndup(text->data, text->size);
		}
	wasm_exporttype_vec_delete(&exports);
	return name;
}

/* Takes the export `name` for the guest's memory, if it is one. The signal handler may look at it from then on. */
static bool
take_memory(struct worker *w, const char *name)
{
	wasmtime_extern_t item;

	if (!wasmtime_instance_export_get(w->context, &w->instance, name, strlen(name), &item) ||
	    item.kind != WASMTIME_EXTERN_MEMORY)
		return false;
	w->memory = item.of.memory;
	atomic_signal_fence(memory_order_seq_cst);
	w->has_memory = true;
	return true;
}

/* Finds the guest's memory: the one named so, for its calls too; else the only one that there can be, if exported. */
static void
find_memory(struct worker *w)
{
	char *name;

	if (take_memory(w, MEMORY)) {
		wasi_attach(w->wasi, &w->memory);
		return;
	}
	name = name_of_memory(w->module);
	if (name != NULL)
		take_memory(w, name);
	free(name);
}

static bool
takes_and_gives_nothing(struct worker *w, const wasmtime_func_t *func)
{
	wasm_functype_t *type = wasmtime_func_type(w->context, func);
	bool nothing = wasm_functype_params(type)->size == 0 && wasm_functype_results(type)->size == 0;

	wasm_functype_delete(type);
	return nothing;
}

/* Finds _start. Returns whether it is there as it should be; else the result says what is wrong. */
static bool
find_start(struct worker *w, wasmtime_func_t *func)
{
	wasmtime_extern_t item;

	if (!wasmtime_instance_export_get(w->context, &w->instance, START, strlen(START), &item)) {
		if (wasmtime_instance_export_get(w->context, &w->instance, INITIALIZE, strlen(INITIALIZE), &item))
			set_failed(w, PROTO_FAILURE_no_start,
			    "the module is a library: it exports _initialize and no _start; build it as a command (with a main "
			    "function, without -mexec-model=reactor)");
		else
			set_failed(w, PROTO_FAILURE_no_start,
			    "the module does not export _start, where a program begins: build it as a command, with a main function");
		return false;
	}
	if (item.kind != WASMTIME_EXTERN_FUNC || !takes_and_gives_nothing(w, &item.of.func)) {
		set_failed(w, PROTO_FAILURE_start_type,
		    "the module's export _start is not a function without parameters and results, as WASI's commands have it");
		return false;
	}
	*func = item.of.func;
	return true;
}

/*
 * Makes the instance, in which the module's start function runs, unless there is one. Whether that can go on at _start;
 * else the result says.
 */
static bool
instantiate(struct worker *w)
{
	wasm_trap_t *trap = NULL;
	wasmtime_error_t *error;

	if (w->is_instantiated)
		return true;
	error = wasmtime_instance_pre_instantiate(w->linked, w->context, &w->instance, &trap);
	if (!settle(w, error, trap))
		return false;
	find_memory(w);
	w->is_instantiated = find_start(w, &w->start);
	return w->is_instantiated;
}

static void
run_guest(struct worker *w)
{
	wasmtime_error_t *error;
	wasm_trap_t *trap = NULL;

	w->guest_ns = monotonic_ns();
	if (wasi_stopped(w->wasi) != 0) { /* before it began */
		set_limit(w, wasi_stopped(w->wasi));
		return;
	}
	w->in_guest = 1;
	if (instantiate(w)) {
		w->shared->phase = PROTO_PHASE_GUEST;
		error = wasmtime_func_call(w->context, &w->start, NULL, 0, NULL, 0, &trap);
		if (settle(w, error, trap))
			w->result.numbers.status = PROTO_STATUS_EXITED;
	}
	w->in_guest = 0;
}

/* The rehearsal is over: it counts if the guest came to its end. */
static void __attribute__((noreturn))
end_rehearsal(struct worker *w, bool is_whole)
{
	if (is_whole)
		pages_note(w->pages);
	_exit(is_whole ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* The guest has called proc_exit: its stack is left as it is, and so is this process. */
static void
exit_here(void *arg)
{
	struct worker *w = arg;

	w->in_guest = 0;
	if (w->is_rehearsal)
		end_rehearsal(w, true);
	wasi_report(w->wasi, &w->result.numbers);
	_exit(finish(w));
}

/* Runs the guest, if all is `prepared` for it, and says how it ended. One that waits for its job goes on with it. */
static int
run_and_finish(struct worker *w, bool prepared)
{
	if (prepared && w->waiting != NULL)
		longjmp(*w->waiting, 1);
	if (prepared) {
		run_guest(w);
		wasi_report(w->wasi, &w->result.numbers);
	}
	return wasi_ended(w->wasi, NULL) == WASI_END_BROKEN ? EXIT_FAILURE : finish(w);
}

int
worker_run(struct worker *w, int socket, volatile struct proto_shared *shared, worker_lock *lock, void *arg)
{
	struct err e;
	int rc;

	w->started_ns = monotonic_ns();
	w->socket = socket;
	w->shared = shared;
	current = w;
	rc = take_job(w, &e);
	if (rc == ERR_EOF)
		return EXIT_SUCCESS; /* cancelled before it began */
	if (rc != 0)
		return say_failed(w, w->in.hdr.run, &e);
	result_begin(&w->result, w->job.run);
	return run_and_finish(w, prepare(w, lock, arg) == 0);
}

/* --- started ahead: language packs ------------------------------------------------------------------------------ */

#define WARM_HOST_CALLS      10000000u
#define INSTANTIATE_MS       2000 /* of processor time, in the zygote */
#define REHEARSAL_MS         2000
#define REHEARSAL_OUTPUT     65536u
#define REHEARSAL_OPEN_FILES 64

/* The job of a rehearsal: no source, and nothing granted but what the pack had for its start. */
static void
order_rehearsal(struct worker *w)
{
	static const struct __attribute__((packed)) {
		struct proto_mount root;
		char path[1];
		struct proto_source source;
	} blob = {{.path_length = 1}, {'/'}, {0}};

	w->job.order = (struct proto_job){
	    .flags = PROTO_JOB_PACK,
	    .engine = w->kind,
	    .clock = PROTO_CLOCK_REAL,
	    .random = PROTO_RANDOM_REAL,
	    .fuel = w->job.order.fuel,
	    .memory_bytes = INT64_MAX,
	    .output_bytes = REHEARSAL_OUTPUT,
	    .host_calls = WARM_HOST_CALLS,
	    .fs_nodes = 1,
	    .open_files = REHEARSAL_OPEN_FILES,
	    .mountc = 1,
	    .mounts_bytes = sizeof(blob.root) + sizeof(blob.path),
	    .source_bytes = sizeof(blob.source),
	};
	w->job.blob = (const uint8_t *)&blob;
	w->job.blob_length = sizeof(blob);
}

/* Becomes the rehearsal, which is not to outlive its zygote, nor to go on for ever: the timer's signal ends it. */
static void
begin_rehearsal(struct worker *w)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || signal(SIGALRM, SIG_DFL) == SIG_ERR ||
	    start_timer(CLOCK_MONOTONIC, after_ms(monotonic_ns(), REHEARSAL_MS), PROTO_LIMIT_wall_ms, NULL) != 0)
		_exit(EXIT_FAILURE);
	w->is_rehearsal = true;
	order_rehearsal(w);
}

/* What copies will touch, but for what they touch before they are parked. */
static struct pages *
watch_pages(struct worker *w)
{
	struct pages_area areas[] = {
	    {wasmtime_memory_data(w->context, &w->memory), wasmtime_memory_data_size(w->context, &w->memory), true},
	    {w, 0, true}, /* the heap from here on */
	    {NULL, 0, false},
	};
	struct pages *p = NULL;
	char *heap_end = sbrk(0);
	void *end;

	if (heap_end > (char *)w)
		areas[1].length = (size_t)(heap_end - (char *)w);
	wasmtime_module_image_range(w->module, &areas[2].start, &end);
	areas[2].length = (size_t)((char *)end - (char *)areas[2].start);
	return pages_watch(areas, sizeof(areas) / sizeof(areas[0]), &p, NULL) == 0 ? p : NULL;
}

/*
 * Has a fork go on in the guest with a job that is nobody's, to its end, and learns from it what copies will touch. They
 * work without that too. Returns true in the fork.
 */
static bool
rehearse(struct worker *w)
{
	int status = -1;
	pid_t pid;

	if ((w->pages = watch_pages(w)) == NULL)
		return false;
	if ((pid = fork()) == 0) {
		begin_rehearsal(w);
		return true;
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (status != 0 || pages_learn(w->pages, NULL) != 0) {
		pages_free(w->pages);
		w->pages = NULL;
	}
	return false;
}

/*
 * The guest asks for its job. In the zygote this serves from here on. In each worker, a fork made below `serve`, it goes on
 * with the job that worker_run or worker_park has taken, after they have locked.
 */
static int
take_in_copy(void *arg, struct wasi_config *config, struct err *e)
{
	struct worker *w = arg;
	jmp_buf here;

	keep_together(false);
	if (!rehearse(w) && setjmp(here) == 0) {
		w->waiting = &here;
		w->serve(w->serve_arg);
	}
	w->waiting = NULL;
	w->is_copy = true;
	*config = host_config(w);
	config->is_other = true;
	w->shared->phase = PROTO_PHASE_GUEST;
	w->guest_ns = monotonic_ns();
	if (wasmtime_memory_data_size(w->context, &w->memory) > w->job.order.memory_bytes) {
		w->has_memory = false; /* none of what is there is the run's */
		wasi_stop(w->wasi, PROTO_LIMIT_memory_bytes);
		return err_set(e, ERR_LIMIT, "the language pack itself needs more memory");
	}
	return set_fuel(w, e);
}

/* The job of the start, which is nobody's. */
static void
order_start(struct worker *w, const struct proto_warm *warm, const uint8_t *blob)
{
	w->job.order = (struct proto_job){
	    .flags = PROTO_JOB_PACK,
	    .engine = w->kind,
	    .fuel = INT64_MAX - FUEL_SPARE,
	    .host_calls = WARM_HOST_CALLS,
	    .argc = warm->argc,
	    .envc = warm->envc,
	    .args_bytes = warm->args_bytes,
	    .env_bytes = warm->env_bytes,
	};
	w->job.blob = blob;
	w->job.blob_length = (size_t)(warm->args_bytes + warm->env_bytes);
}

int
worker_warm(struct worker *w, int artifact, const struct proto_warm *warm, const uint8_t *blob, void (*serve)(void *arg),
    void *arg, struct err *e)
{
	static struct proto_shared unshared; /* phase and call, of nobody's interest */
	struct wasi_config config;
	int rc;

	keep_together(true);
	if ((rc = worker_load(w, artifact, e)) != 0)
		return rc;
	warm_module(w->module);
	w->serve = serve;
	w->serve_arg = arg;
	w->socket = -1;
	w->shared = &unshared;
	result_begin(&w->result, 0);
	order_start(w, warm, blob);
	limit_store(w, warm->memory_bytes, warm->table_elements);
	config = host_config(w);
	config.take = take_in_copy;
	config.take_arg = w;
	config.exited = NULL; /* a zygote goes on */
	if ((rc = set_fuel(w, e)) != 0 || (rc = wasi_begin(w->wasi, &config, e)) != 0)
		return rc;
	run_guest(w);
	if (!w->is_copy)
		return err_set(e, ERR_INVAL, "the language pack ended before it asked for its job");
	if (w->is_rehearsal)
		end_rehearsal(w, w->result.numbers.status == PROTO_STATUS_EXITED);
	wasi_report(w->wasi, &w->result.numbers);
	_exit(wasi_ended(w->wasi, NULL) == WASI_END_BROKEN ? EXIT_FAILURE : finish(w));
}

/* --- parked ---------------------------------------------------------------------------------------------------- */

/*
 * What this process has used by now: that of its only thread, since the kernel brings the process's clock up to date at
 * its ticks only, once there is a timer by it.
 */
static uint64_t
cpu_ns(void)
{
	struct timespec now = {0, 0};

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec;
}

void
worker_instantiate(struct worker *w, const struct proto_park *limits)
{
	const struct itimerspec never = {.it_value = {0, 0}};
	timer_t timer;

	if (w->is_tried || w->waiting != NULL)
		return;
	w->is_tried = true;
	if (set_timer(CLOCK_PROCESS_CPUTIME_ID, after_ms(cpu_ns(), INSTANTIATE_MS), PROTO_LIMIT_cpu_ms, &timer, NULL) != 0)
		return;
	w->ahead = *limits;
	result_begin(&w->result, 0);
	limit_store(w, limits->memory_bytes, limits->table_elements);
	if (!instantiate(w))
		forget_instance(w);
	if (timer_settime(timer, 0, &never, NULL) != 0)
		_exit(EXIT_FAILURE);
}

/* Locks and instantiates. Returns 0, or an error with the reason. */
static int
make_ready(struct worker *w, const struct proto_park *park, worker_lock *lock, void *arg, struct err *e)
{
	int rc;

	limit_instance(w, park->memory_bytes, park->table_elements);
	if (w->pages != NULL)
		pages_bring(w->pages);
	if ((rc = start_timer(CLOCK_PROCESS_CPUTIME_ID, after_ms(cpu_ns(), park->cpu_ms), PROTO_LIMIT_cpu_ms, e)) != 0 ||
	    (lock != NULL && (rc = lock(arg, e)) != 0))
		return rc;
	w->shared->phase = PROTO_PHASE_LOCKED;
	result_begin(&w->result, 0);
	if (w->waiting != NULL)
		return 0; /* it is instantiated, and more */
	return instantiate(w) ? 0 : err_set(e, ERR_UNSUPPORTED, "the module cannot be instantiated without a job");
}

static int
say_parked(const struct worker *w)
{
	const struct wasi_port port = {.socket = w->socket};
	const struct {
		struct imsg_hdr hdr;
		struct proto_parked parked;
	} packet = {{PROTO_PARKED, sizeof(packet.parked), 0}, {cpu_ns() / 1000}};

	return wasi_port_send(&port, &packet, sizeof(packet), true) == WASI_STREAM_OK ? 0 : ERR_EOF;
}

/* Waits for the job. The filter allows no recvmsg, and so no descriptor: the kernel closes what comes beside a read. */
static int
await_job(struct worker *w, struct err *e)
{
	ssize_t n;

	_Static_assert(offsetof(struct imsg, payload) == sizeof(struct imsg_hdr), "a packet goes where it belongs in one piece");
	do
		n = read(w->socket, &w->in, IMSG_SIZE_MAX);
	while (n < 0 && errno == EINTR);
	w->in.nfds = 0;
	if (n <= 0)
		return ERR_EOF;
	if ((size_t)n < sizeof(w->in.hdr) || w->in.hdr.length != (size_t)n - sizeof(w->in.hdr))
		return err_set(e, ERR_PROTOCOL, "a malformed packet of %zd bytes, and no job", n);
	return job_decode(&w->in, w->kind, true, &w->job, e);
}

/* The host begins with the job. Returns 0, or an error with the result set. */
static int
begin_parked(struct worker *w)
{
	struct err e;
	int rc;

	if ((rc = set_fuel(w, &e)) == 0)
		rc = begin_host(w, &e);
	if (rc != 0)
		set_failed(w, PROTO_FAILURE_not_started, e.msg);
	return rc;
}

int
worker_park(struct worker *w, int socket, volatile struct proto_shared *shared, const struct proto_park *park,
    worker_lock *lock, void *arg)
{
	struct err e;
	int rc;

	w->socket = socket;
	w->shared = shared;
	current = w;
	if (make_ready(w, park, lock, arg, &e) != 0)
		return say_failed(w, 0, &e);
	shared->phase = PROTO_PHASE_PARKED;
	if (say_parked(w) != 0)
		return EXIT_SUCCESS;
	rc = await_job(w, &e);
	if (rc == ERR_EOF)
		return EXIT_SUCCESS; /* it was not needed */
	if (rc != 0)
		return say_failed(w, w->in.hdr.run, &e);
	w->started_ns = monotonic_ns();
	shared->phase = PROTO_PHASE_LOADING;
	result_begin(&w->result, w->job.run);
	return run_and_finish(w, begin_parked(w) == 0);
}
