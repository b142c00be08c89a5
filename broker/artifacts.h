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
	unsigned compilers;        /* at work at the same time */
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
	bool compiled;       /* now, for this request or another that waited with it */
	uint64_t compile_us; /* 0 unless compiled */
};

/* Called once, perhaps before artifact_get returns: `a` on success, else NULL with `error` and `why`. */
typedef void artifact_fn(void *arg, const struct artifact *a, enum rpc_error error, const struct err *why);

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
 * when needed later), `size` bytes with digest `digest`, for an engine. If it has to be compiled, it waits in the turn of
 * `owner`, or of whoever asked for it first. *wait becomes a handle for artifact_cancel, or NULL when `fn` is called in
 * here, which may free whatever holds *wait.
 */
void artifact_get(struct artifacts *a, uid_t owner, const struct digest *digest, uint32_t engine, int module, size_t size,
    artifact_fn *fn, void *arg, struct artifact_wait **wait);

/* artifact_hold - keep a file; returns it. artifact_release - no longer; NULL is fine. */
struct artifact_file *artifact_hold(struct artifact_file *file);
void artifact_release(struct artifact_file *file);

/* artifact_cancel - wait no longer; `fn` will not be called. A compilation that nobody waits for is ended. */
void artifact_cancel(struct artifact_wait *w);

/* artifact_drop - forget one that a worker could not load, in memory and in the store: the next get compiles again. */
void artifact_drop(struct artifacts *a, const struct digest *digest, uint32_t engine);

/* artifacts_compiling - compilations at work or waiting, for metrics. */
unsigned artifacts_compiling(const struct artifacts *a);

/* artifacts_waiting - those of them that wait. */
unsigned artifacts_waiting(const struct artifacts *a);

#endif
