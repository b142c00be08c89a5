/* broker/artifacts: compiled modules: in memory, from the store, or compiled now, once for all who wait. brigd. */

#ifndef BROKER_ARTIFACTS_H
#define BROKER_ARTIFACTS_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/err.h"
#include "broker/child.h"
#include "broker/rpc_errors.h"
#include "broker/service_client.h"

struct artifacts;
struct artifact_wait;

struct artifacts_limits {
	size_t cache_bytes;        /* of artifacts kept open in memory */
	size_t cache_entries;      /* descriptors kept open */
	unsigned compilers;        /* at work at the same time for those who wait; one more may be at work ahead */
	uint64_t compile_ms;       /* wall clock and CPU for one module, all attempts together */
	uint64_t compile_memory_bytes;
	size_t artifact_bytes;     /* largest artifact */
	size_t failures;           /* modules that have not compiled, remembered by digest and engine */
};

/* An artifact's descriptor, shared by the cache and all who hold it, however many these are. */
struct artifact_file {
	int fd;
	unsigned holders;
	bool proven;         /* it suits this machine: it was compiled here now, or has been loaded by a worker */
};

/* An artifact, borrowed: its file is the cache's, good until the callback returns; hold it to keep it. */
struct artifact {
	struct artifact_file *file;
	size_t size;
	bool compiled;       /* now, for this request or another that waited with it */
	uint64_t compile_us; /* 0 unless compiled */
	uint64_t made_us;    /* what compiling it took; 0 when that was before the start of brigd */
};

/* Who wants an artifact. */
struct artifact_asker {
	uid_t owner;
	bool ahead; /* nobody waits for it yet: only when no one else does, and with what processor time others leave */
};

/* How far what somebody waits for has come. */
struct artifact_progress {
	bool compiling;        /* false: it is looked up, or waits until a compiler is free */
	uint64_t elapsed_ms;   /* since the compiler began; 0 before */
	uint64_t expected_ms;  /* that it takes, by the module's size and the time that others took */
};

/* Called once, perhaps before artifact_get returns: `a` on success, else NULL with `error` and `why`. */
typedef void artifact_fn(void *arg, const struct artifact *a, enum rpc_error error, const struct err *why);

/* How often what was asked for was there, or had to be made; for metrics. */
struct artifacts_counts {
	uint64_t hits, compiled, failed;
	uint64_t compile_us; /* of those that were compiled */
};

/* artifacts_new - borrows the store and the launcher, which outlive it. NULL when out of memory. */
struct artifacts *artifacts_new(struct event_base *base, struct service_client *store, struct launcher *launcher,
    const struct artifacts_limits *limits);
void artifacts_free(struct artifacts *a);

/*
 * What is not tried again. A module that does not compile, or takes too much to compile, is remembered until brigd ends,
 * and whoever asks for it gets the same error at once. An attempt without an answer (nobody waited any longer; the
 * compiler was killed, by the kernel's want of memory say) is no verdict, but its processor time counts: all attempts at
 * one module together get compile_ms, so that a module that keeps a compiler busy does so once, however it is asked for.
 * `failures` of them are remembered; past that, the one that cost the least is forgotten.
 */

/*
 * artifact_get - find or make the artifact of the verified module in the sealed memfd `module` (borrowed; duplicated
 * when needed later), `size` bytes with digest `digest`, for an engine. If it has to be compiled, it waits for the turn of
 * its asker's owner; of several who ask for one module the first turn counts for all. Of more than one compiler, one owner
 * never gets all, so that another's module does not wait for long ones of theirs. *wait becomes a handle for
 * artifact_cancel, or NULL when `fn` is called in here, which may free whatever holds *wait.
 *
 * What is asked for ahead is compiled when nobody else waits, by a compiler more than `compilers`, which yields the
 * processor (ARTIFACT_AHEAD_NICE) to all other work; its wall-clock limit is no verdict on the module.
 */
#define ARTIFACT_AHEAD_NICE 5 /* a third of the processor time of one that competes; a run that comes to need it gets that */
void artifact_get(struct artifacts *a, const struct artifact_asker *asker, const struct digest *digest, uint32_t engine,
    int module, size_t size, artifact_fn *fn, void *arg, struct artifact_wait **wait);

/*
 * artifacts_hold_back - begin no more than one compilation at a time, and nothing ahead, until told otherwise: the machine is
 * short of something. What has begun goes on.
 */
void artifacts_hold_back(struct artifacts *a, bool on);

/* artifact_needs_module - whether artifact_get would use the module now; if not, -1 and 0 can be given for it. */
bool artifact_needs_module(struct artifacts *a, const struct digest *digest, uint32_t engine);

/* artifact_progress - how far it is, while the wait lasts. */
void artifact_progress(const struct artifact_wait *w, struct artifact_progress *out);

/* artifact_hold - keep a file; returns it. artifact_release - no longer; NULL is fine. */
struct artifact_file *artifact_hold(struct artifact_file *file);
void artifact_release(struct artifact_file *file);

/* artifact_cancel - wait no longer; `fn` will not be called. A compilation that nobody waits for is ended. */
void artifact_cancel(struct artifact_wait *w);

/* artifact_drop - forget one that a worker could not load, in memory and in the store: the next get compiles again. */
void artifact_drop(struct artifacts *a, const struct digest *digest, uint32_t engine);

/* artifacts_compiling - modules being compiled, or waiting for that; artifacts_counts - what was done. For metrics. */
unsigned artifacts_compiling(const struct artifacts *a);
const struct artifacts_counts *artifacts_counts(const struct artifacts *a);

/* artifacts_waiting - those of them that wait. */
unsigned artifacts_waiting(const struct artifacts *a);

#endif
