/* runtime/wasi/wasi: the host side of wasi_snapshot_preview1, as worker.c sees it. Runs in the worker. */

#ifndef RUNTIME_WASI_WASI_H
#define RUNTIME_WASI_WASI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wasm.h>
#include <wasmtime.h>

#include "base/err.h"
#include "base/proto.h"

/*
 * One struct wasi serves one run. The order of calls:
 *
 *   wasi_new, wasi_link                before lock-down; needs no job, so a template may do it before it forks
 *   wasi_begin                         with the job, before the guest's first instruction (start functions included)
 *   wasi_attach                        after instantiation
 *   ...the guest runs; the signal handler may call wasi_stop and wasi_finish_from_signal...
 *   wasi_report, wasi_send_changes, wasi_finish           then the caller sends PROTO_RESULT
 *
 * Every host call goes through one trampoline, which counts it, charges it against host_calls, shows it in the page
 * shared with the zygote, checks the capability that its row in runtime/wasi/table.h names, and runs the handler. A
 * host call that ends the run returns the trap `interrupt` to the engine; wasi_report then tells why: ask it before the
 * trap.
 *
 * From wasi_begin on only these system calls are made: read, write, ppoll, clock_gettime, getrandom, and those by which
 * the C library gets memory and gives it back.
 */
struct wasi;

struct wasi_config {
	const struct proto_job *job;  /* borrowed until wasi_begin returns */
	const uint8_t *blob;          /* the job's blob (base/proto.h), borrowed until the run has ended */
	size_t blob_length;
	const int *dirs;              /* sockets of directories of the host, job->dirc of them; borrowed */
	int socket;                   /* the job socket, SEQPACKET; borrowed */
	uint64_t run;                 /* the id in the header of every message */
	volatile struct proto_shared *shared; /* `call` is written here; borrowed; may be NULL */

	/*
	 * Called when a language pack asks for its job (PROTO_JOB_PACK), before the run begins; may be NULL. It may change
	 * *config, to that of another job, also in another process. An error ends the run.
	 */
	int (*take)(void *arg, struct wasi_config *config, struct err *e);
	void *take_arg;
	bool is_other; /* set by it: not the job that the guest was started for, whose output is not its */

	/*
	 * Called when the guest calls proc_exit; may be NULL, and need not return. Where nobody wants to see the guest's stack
	 * unwound, this is where a run ends.
	 */
	void (*exited)(void *arg);
	void *exited_arg;
};

/* Why a run ended, as far as the WASI host decided it. */
enum wasi_end {
	WASI_END_NOT = 0, /* it did not: returned from _start, or trapped by itself */
	WASI_END_EXIT,    /* proc_exit */
	WASI_END_SIGNAL,  /* proc_raise of a signal whose default is to end the process */
	WASI_END_LIMIT,   /* host_calls, output_bytes, or what wasi_stop said */
	WASI_END_NO_MEMORY, /* a call needed memory, and the module exports none as "memory" */
	WASI_END_NO_JOB,  /* a language pack asked for its job, and it could not begin: wasi_why */
	WASI_END_BROKEN,  /* the job socket closed, or brought what must not occur: end the process, send nothing */
};

/* wasi_new - a host without a job. Returns 0 and *w, to be ended with wasi_free(); or ERR_NOMEM. */
int wasi_new(struct wasi **w, struct err *e);
void wasi_free(struct wasi *w);

/* wasi_link - define all functions of wasi_snapshot_preview1 in `linker`, which then borrows `w`. 0 or ERR_NOMEM. */
int wasi_link(struct wasi *w, wasmtime_linker_t *linker, struct err *e);

/*
 * wasi_begin - take the job: arguments, environment, mounts, files, input, clock, randomness, limits.
 *
 * The guest of a language pack first starts, with a clock, randomness, an empty directory, and nothing of the run. When it
 * reads PROTO_SOURCE_PATH for the first time the run begins: descriptors, files, input, grants and counts are those of the
 * job, as if nothing had been before. *config, with all that is in it, is then borrowed until the run has ended.
 *
 * Returns 0; ERR_PROTOCOL when the blob is not what the job says, ERR_LIMIT when its files do not fit the limits,
 * ERR_INVAL when a link or a file is on the way to a mount, ERR_NOMEM; it may then be called again.
 */
int wasi_begin(struct wasi *w, const struct wasi_config *config, struct err *e);

/*
 * wasi_attach - name the guest's memory, so that calls need not look it up. Copies *memory. Optional: without it
 * (during a start function, or when memory is NULL) each call asks the engine for the export "memory".
 */
void wasi_attach(struct wasi *w, const wasmtime_memory_t *memory);

/*
 * wasi_stop - ask the run to end for `limit`: a host call that is sleeping, waiting or working notices within 64 KiB of
 * work and returns a trap, as does the next host call. The first limit stays. Async-signal-safe. Does not stop guest
 * code: the caller ends that by itself. The handler must be installed without SA_RESTART, and the timer
 * behind it must repeat: a signal that comes just before the host goes to sleep does not wake it, the next one does.
 */
void wasi_stop(struct wasi *w, enum proto_limit limit);

/* wasi_stopped - the limit that wasi_stop was called with, or 0. Async-signal-safe. */
enum proto_limit wasi_stopped(const struct wasi *w);

/* wasi_ended - how the host ended the run. *value (may be NULL): exit code, signal number, limit, or enum wasi_call. */
enum wasi_end wasi_ended(const struct wasi *w, uint32_t *value);

/* wasi_why - with WASI_END_NO_JOB: why. */
const char *wasi_why(const struct wasi *w);

/* wasi_call_name - "fd_write" for WASI_CALL_fd_write; only for numbers that there are. */
const char *wasi_call_name(uint32_t call);

/* wasi_signal_name - "SIGABRT" for preview 1's number of it; "a signal" for a number that is none. */
const char *wasi_signal_name(uint32_t number);

/*
 * wasi_report - add to `result` what the host knows: host_calls, stdout_bytes, stderr_bytes; and, when the host ended
 * the run, status with exit_code, trap or limit. Returns whether it set the status. Async-signal-safe.
 */
bool wasi_report(const struct wasi *w, struct proto_result *result);

/*
 * wasi_send_changes - send what the run did to its files, if it has any: for a run that came to its own end, before
 * wasi_finish. Returns 0; ERR_LIMIT when it was stopped meanwhile; ERR_EOF when the other side is gone.
 */
int wasi_send_changes(struct wasi *w);

/*
 * wasi_finish - send what is still buffered (PROTO_OUTPUT), then the denials (PROTO_DENIAL), once each. Waits for room
 * in the socket. Returns 0, or ERR_EOF when the other side is gone.
 */
int wasi_finish(struct wasi *w);

/*
 * wasi_finish_from_signal - the same from a signal handler that found guest code running. Async-signal-safe. Returns
 * ERR_AGAIN, having sent nothing, when the signal came inside a host call or inside wasi_finish: these end by
 * themselves, and their buffers are not consistent now.
 */
int wasi_finish_from_signal(struct wasi *w);

#endif
