/* runtime/wasi/preview1: the handlers behind the table, and the state that they share. Inside runtime/wasi only. */

#ifndef RUNTIME_WASI_PREVIEW1_H
#define RUNTIME_WASI_PREVIEW1_H

#include "runtime/wasi/clock.h"
#include "runtime/wasi/fd.h"
#include "runtime/wasi/fs.h"
#include "runtime/wasi/learn.h"
#include "runtime/wasi/memory.h"
#include "runtime/wasi/random.h"
#include "runtime/wasi/stream.h"
#include "runtime/wasi/table.h"
#include "runtime/wasi/wasi.h"

/* A list of strings as the blob holds it: each a uint32_t length and that many bytes. */
struct wasi_strings {
	const uint8_t *data;
	uint32_t count;
	uint32_t bytes; /* of the strings with a NUL behind each, without the length words */
};

/* What the engine hands to the trampoline with each call. */
struct wasi_slot {
	struct wasi *wasi;
	uint32_t call; /* enum wasi_call */
};

/* Something that policy withheld. */
struct wasi_refusal {
	enum wasi_call call;
	enum wasi_capability capability;
	uint64_t count;
	size_t length;
	char target[PROTO_TARGET_MAX]; /* the guest's path; of what is not about a path, nothing */
};

struct wasi {
	/* Written by the signal handler. */
	volatile sig_atomic_t stop; /* enum proto_limit, or 0 */

	/* Read by the signal handler. */
	volatile sig_atomic_t busy; /* in a host call or in wasi_finish */

	/* The run's end, as far as it was decided here. */
	enum wasi_end end;
	uint32_t end_value;

	/* Accounting. */
	uint64_t calls_left;
	uint64_t calls[WASI_CALL_COUNT];
	uint32_t granted; /* bits 1 << enum wasi_capability */
	struct wasi_refusal *refusals; /* PROTO_DENIALS_MAX, or NULL: none yet */
	uint32_t refusal_count;
	struct wasi_learn *learn; /* NULL: not in learn mode */
	uint64_t learn_began;     /* what the run's clock said at first */
	uint64_t refusals_omitted; /* refusals of which there was no room to say what they are about */
	volatile struct proto_shared *shared;
	void (*exited)(void *arg); /* as in struct wasi_config */
	void *exited_arg;

	/* The guest's memory: of the run, and as it is during this call. */
	bool attached;
	wasmtime_memory_t handle;
	struct wasi_memory memory;

	/* What the guest can reach. */
	struct wasi_strings args;
	struct wasi_strings environment;
	struct wasi_fs fs;
	struct wasi_rule *rules; /* of all mounts */
	uint64_t changes_bytes;
	struct wasi_fds fds;
	struct wasi_clock clock;
	struct wasi_random random;
	struct wasi_port port;
	struct wasi_output out[2]; /* stdout, stderr */
	struct wasi_input in;

	/* Of a language pack. */
	const uint8_t *source; /* its job (struct proto_source), borrowed */
	uint64_t source_length;
	struct wasi_config waiting; /* the run that it has not asked for yet; `job` is NULL when there is none */
	struct err why;             /* of WASI_END_NO_JOB */

	struct wasi_slot slots[WASI_CALL_COUNT];
};

/*
 * wasi_allows - whether policy grants `capability`; if not, the denial is noted against `call`. The trampoline asks for
 * what the table names; a handler asks only where what a call needs is in the guest's memory (poll_oneoff).
 */
bool wasi_allows(struct wasi *w, enum wasi_call call, enum wasi_capability capability);

/*
 * wasi_checked - pass on what a function of runtime/wasi/fs returned, and note it as a denial against `call` when
 * it was policy that said no.
 */
enum wasi_errno wasi_checked(struct wasi *w, enum wasi_call call, enum wasi_errno error);

/*
 * wasi_take_job - at a language pack's first read of its job, begin the run that it is for: all that the guest can reach,
 * is granted and has used is as of now. Later it does nothing. EIO when the run has ended instead.
 */
enum wasi_errno wasi_take_job(struct wasi *w);

/*
 * wasi_learn_changes - in learn mode, note that a file or directory changes by a descriptor that was not opened for
 * writing: without the right to write the descriptor would not be able to.
 */
void wasi_learn_changes(struct wasi *w, enum wasi_call call, const struct wasi_fd *f);

/* wasi_learn_times - in learn mode, note that the guest is shown a node's times, if they come from the run's clock. */
void wasi_learn_times(struct wasi *w, enum wasi_call call, const struct wasi_node *n);

/* wasi_interrupted - whether the run was asked to stop; if so it has ended. Asked once per 64 KiB or less of work. */
bool wasi_interrupted(struct wasi *w);

/* wasi_settle - turn a stream's status into an errno, ending the run where it must end. */
enum wasi_errno wasi_settle(struct wasi *w, enum wasi_stream_status status);

#define WASI_CHUNK 65536 /* bytes of work between two looks at `stop` */

/* Preview 1's file types. */
enum {
	FILETYPE_UNKNOWN = 0,
	FILETYPE_BLOCK_DEVICE = 1,
	FILETYPE_CHARACTER_DEVICE = 2,
	FILETYPE_DIRECTORY = 3,
	FILETYPE_REGULAR_FILE = 4,
	FILETYPE_SOCKET_STREAM = 6,
	FILETYPE_SYMBOLIC_LINK = 7,
};

/* preview1_filetype - that of a node. */
uint8_t preview1_filetype(const struct wasi_node *n);

/* preview1_put_filestat - write a node's `filestat` to `at`, for `call`: EFAULT, or as wasi_node_know. */
enum wasi_errno preview1_put_filestat(struct wasi *w, enum wasi_call call, struct wasi_node *n, uint64_t at);

/* Atim, mtim and fstflags as the functions that set times have them. */
struct preview1_times {
	uint64_t accessed, modified;
	uint64_t flags;
};

/* preview1_check_times - EINVAL for flags that there are not or that contradict. preview1_set_times - do it. */
enum wasi_errno preview1_check_times(const struct preview1_times *t);
void preview1_set_times(struct wasi *w, struct wasi_node *n, const struct preview1_times *t);

/*
 * A handler. `a` are the parameters, i32 zero-extended. Returns the errno for the guest; when it ended the run (w->end)
 * the guest does not see it.
 */
#define X(name, type, capability, handler) enum wasi_errno preview1_##handler(struct wasi *w, const uint64_t *a);
WASI_CALLS(X)
#undef X

#endif
