/* sandbox/jail: what a process does to itself before it touches a guest's bytes. Zygote, worker, compiler, brig-files, doctor. */

#ifndef SANDBOX_JAIL_H
#define SANDBOX_JAIL_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/proto.h"

/*
 * The layers are those of PROTO_LAYERS. A layer that this kernel or this profile does not have is left out of the
 * mask that a function returns in `layers`; a layer that is there but fails is an error. Which layers are required is
 * a matter of the profile; brigd compares, and so does jail_enter.
 */
enum jail_profile {
	JAIL_PROFILE_NAMESPACES = 0, /* everything */
	JAIL_PROFILE_CONTAINER = 1,  /* without namespaces: where the operator says that a container stands around brig */
};

struct jail_config {
	enum jail_profile profile;
	uint32_t given;      /* layers that the launcher put this process under: namespaces, own_uid, cgroup */
	uint64_t cpu_ms;     /* RLIMIT_CPU, rounded up to a second; 0 leaves it */
	uint64_t data_bytes; /* RLIMIT_DATA; 0 leaves it */
	int last_fd;         /* descriptors above this one are closed */
	const int *serves;   /* brig-files: its directory, beneath which Landlock lets it read; NULL: nothing is left */
};

/* jail_required - the layers that a profile cannot do without, as a mask of enum proto_layer. */
uint32_t jail_required(enum jail_profile profile);

/* jail_profile_parse, jail_profile_name - "namespaces" or "container"; ERR_INVAL for another name. */
int jail_profile_parse(const char *name, enum jail_profile *profile, struct err *e);
const char *jail_profile_name(enum jail_profile profile);

/* jail_layer_names - the names of the layers in `mask`, with ", " between them; returns `text`, cut to `size`. */
char *jail_layer_names(uint32_t mask, char *text, size_t size);

/*
 * jail_enter - put the calling process in its jail, for good: an empty read-only root, no stray descriptors, no
 * capabilities, no_new_privs, not dumpable, Landlock, speculation control, resource limits. Every layer of a process
 * except mdwe and seccomp, which have to wait until engine and code are loaded.
 *
 * Call it first thing after exec, with one thread. With profile NAMESPACES it must be uid 0 of namespaces that the
 * launcher made; with CONTAINER it must not be uid 0, unless it serves a directory that may be root's. On success
 * *layers is what is in force, cfg->given included. ERR_UNSUPPORTED when a layer is missing that the profile requires,
 * with what to do; ERR_IO when a step fails: the process is then half jailed and must exit.
 */
int jail_enter(const struct jail_config *cfg, uint32_t *layers, struct err *e);

/*
 * jail_lock_code - from here on no page of this process becomes executable (PR_SET_MDWE). Adds mdwe to *layers, or
 * leaves it out when the kernel has none (before Linux 6.3). Returns 0 or ERR_IO.
 */
int jail_lock_code(uint32_t *layers, struct err *e);

/*
 * jail_filter - load a seccomp program (sandbox/filter_load.h) in this thread, on top of any before it; needs
 * no_new_privs. Adds seccomp to *layers. Returns 0 or ERR_IO. Nothing that the filter kills may be called after it.
 */
int jail_filter(const struct sock_fprog *prog, uint32_t *layers, struct err *e);

/* Descriptors that a worker, or brig-files, may have: numbers below this. Its socket is 3, others come after. */
#define JAIL_WORKER_FDS 16

/*
 * Address space of a worker beside its data: what the engine reserves for a memory (4 GiB) and its guards, and code. It
 * bounds the page tables that can be had by reading a little here and there in much memory, which is no data.
 */
#define JAIL_WORKER_SPACE ((uint64_t)16 << 30)

/*
 * jail_limits - the resource limits of a worker or of brig-files: RLIMIT_CORE, FSIZE, NPROC and MEMLOCK 0, NOFILE
 * JAIL_WORKER_FDS, DATA run->data_bytes, AS that and JAIL_WORKER_SPACE; SIGXCPU at run->cpu_ms of CPU time rounded up
 * to a second, plus one, for a worker that did not end itself, and SIGKILL a second later. A hard limit that is lower
 * already stays. Borrows `run`. Returns 0 or ERR_IO.
 */
int jail_limits(const struct proto_run *run, struct err *e);

/*
 * jail_ruleset - a Landlock ruleset that denies everything, made once for all workers of a zygote: its descriptor; or
 * ERR_UNSUPPORTED where the kernel has no Landlock, ERR_IO.
 */
int jail_ruleset(struct err *e);

/*
 * jail_worker - the part of the jail that a worker adds to what it inherits: the job socket becomes descriptor 3 and
 * every other one is closed, 0 to 2 included, but PROTO_MODULE_FD with `keep_module`; dies with its parent;
 * jail_limits(); and a Landlock domain of its own by `ruleset`, so that it can neither signal nor trace other workers;
 * negative where there is no Landlock. Needs no_new_privs. Borrows `run`.
 *
 * Returns 0; or ERR_IO, with job_socket still open to say so on: the child must then exit.
 */
int jail_worker(int job_socket, int ruleset, bool keep_module, const struct proto_run *run, struct err *e);

/*
 * jail_try - apply one single layer of PROTO_LAYERS to the calling process, as jail_enter would, for brig doctor and
 * tests, in a throw-away child; no_user_ns in a user namespace of its own only, or it is the machine's. Returns 0;
 * ERR_UNSUPPORTED with the reason when the kernel lacks it; ERR_IO with the reason when it fails; ERR_INVAL for a layer
 * that only a launcher can give.
 */
int jail_try(enum proto_layer layer, struct err *e);

/* jail_landlock_abi - the version of Landlock that this kernel offers; 0 for none. */
int jail_landlock_abi(void);

#endif
