/* base/proto: every message between brig's processes, its direction, its layout. Any process. */

#ifndef BASE_PROTO_H
#define BASE_PROTO_H

#include <signal.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/imsg.h"

/*
 * The catalogue. A process accepts only the types that its peer may send it; anything else ends the peer. "text" is
 * printable UTF-8 without a NUL, as long as the payload says. Structures have no padding that carries meaning and are
 * checked by size. `run` in the header is the run id where a run is concerned, else a token that the answer repeats.
 */
#define PROTO_TYPES(X)                                                                                          \
	/* name               value  from -> to            payload                        descriptors        */ \
	X(PROTO_SPAWN,          1) /* brigd -> launcher    struct proto_spawn             its socket         */ \
	X(PROTO_SPAWNED,        2) /* launcher -> brigd    struct proto_spawned                              */ \
	X(PROTO_SPAWN_FAILED,   3) /* launcher -> brigd    text                                              */ \
	X(PROTO_KILL,           4) /* brigd -> launcher    none; run = the token of its SPAWN                */ \
	X(PROTO_CHILD_EXITED,   5) /* launcher -> brigd    struct proto_exited; run = token of SPAWN         */ \
	X(PROTO_READY,         10) /* zygote, compiler, store, logger -> brigd    struct proto_ready;        */ \
	                           /* files -> the client that started it: the same                          */ \
	X(PROTO_FAILED,        11) /* any -> brigd         text: why it cannot go on; run = token or 0       */ \
	X(PROTO_FOUND,         15) /* store, logger -> brigd    text: what it found and mended, before READY */ \
	X(PROTO_RUN,           12) /* brigd -> zygote      struct proto_run               the job socket     */ \
	X(PROTO_RUN_KILL,      13) /* brigd -> zygote      none                                              */ \
	X(PROTO_RUN_EXITED,    14) /* zygote -> brigd      struct proto_exited                               */ \
	X(PROTO_LOAD,          16) /* brigd -> zygote      none; once                     artifact           */ \
	X(PROTO_LOADED,        17) /* zygote -> brigd      none: its workers have that module                */ \
	X(PROTO_PARK,          18) /* brigd -> zygote      struct proto_park              the job socket     */ \
	X(PROTO_WARM,          33) /* brigd -> zygote      struct proto_warm; once      artifact, the blob   */ \
	X(PROTO_TAKE,          19) /* brigd -> zygote      struct proto_take: a parked worker gets its job   */ \
	X(PROTO_JOB,           20) /* brigd -> worker      struct proto_job, then the blob or none           */ \
	                           /*                        [artifact,] [blob as memfd,] sockets of dirs    */ \
	X(PROTO_INPUT,         21) /* brigd -> worker      bytes for stdin; none = end of input              */ \
	X(PROTO_OUTPUT,        22) /* worker -> brigd      struct proto_output, bytes                        */ \
	X(PROTO_DENIAL,        23) /* worker -> brigd      struct proto_denial, text: the target             */ \
	X(PROTO_RESULT,        24) /* worker -> brigd      struct proto_result, trap text, frames            */ \
	X(PROTO_CHANGE,        25) /* worker -> brigd      struct proto_change, path, link's target          */ \
	X(PROTO_CONTENT,       26) /* worker -> brigd      bytes of the last CHANGE's file                   */ \
	X(PROTO_CHANGES,       27) /* worker -> brigd      struct proto_changes: no more follow              */ \
	X(PROTO_TROUBLE,       28) /* worker -> brigd      struct proto_trouble, text: the path              */ \
	X(PROTO_LEARNED,       29) /* worker -> brigd      struct proto_learned, text: the target            */ \
	X(PROTO_PARKED,        32) /* worker -> brigd      struct proto_parked: it waits for its job         */ \
	X(PROTO_COMPILE,       30) /* brigd -> compiler    struct proto_compile   module, empty memfd        */ \
	X(PROTO_COMPILED,      31) /* compiler -> brigd    struct proto_compiled (the memfd is now sealed)   */ \
	X(PROTO_STORE_PUT,     40) /* brigd -> store       struct proto_store, text: signature    memfd      */ \
	X(PROTO_STORE_GET,     41) /* brigd -> store       struct proto_store                                */ \
	X(PROTO_STORE_REMOVE,  42) /* brigd -> store       struct proto_store                                */ \
	X(PROTO_STORE_LIST,    43) /* brigd -> store       struct proto_store: list from digest on           */ \
	X(PROTO_STORE_DONE,    44) /* store -> brigd       struct proto_store_done                           */ \
	X(PROTO_STORE_DATA,    45) /* store -> brigd       struct proto_store_done, text: signature   memfd  */ \
	X(PROTO_STORE_LISTED,  46) /* store -> brigd       struct proto_store_entry, as many as length says  */ \
	X(PROTO_STORE_FAILED,  47) /* store -> brigd       struct proto_store_done, text                     */ \
	X(PROTO_STORE_SIZE,    48) /* brigd -> store       none                                              */ \
	X(PROTO_STORE_SIZED,   49) /* store -> brigd       struct proto_store_sized                          */ \
	X(PROTO_LOG_APPEND,    50) /* brigd -> logger      text: an event, as in audit/chain.h               */ \
	X(PROTO_LOG_DONE,      51) /* logger -> brigd      struct proto_log_done                             */ \
	X(PROTO_LOG_FAILED,    52) /* logger -> brigd      text                                              */

enum proto_type {
#define X(name, value) name = value,
	PROTO_TYPES(X)
#undef X
};

/* The descriptor at which every child of brigd and of the launcher finds its socket. */
#define PROTO_SOCKET_FD 3

/* In a zygote that holds a module, and in its workers: the artifact, whose bytes memories begin with. */
#define PROTO_MODULE_FD 7

/* From this descriptor on a worker has the sockets over which it asks for directories of the host: PROTO_DIRS_MAX. */
#define PROTO_DIRS_FD 8

/* --- brigd and launcher --------------------------------------------------------------------------------------- */

enum proto_kind { PROTO_KIND_ZYGOTE = 1, PROTO_KIND_COMPILER = 2 };

/* The engine's two configurations (runtime/engine.h); artifacts and zygotes belong to one of them. */
enum proto_engine { PROTO_ENGINE_PLAIN = 0, PROTO_ENGINE_FUEL = 1 };

struct proto_spawn {
	uint32_t kind;         /* enum proto_kind */
	uint32_t engine;       /* enum proto_engine */
	uint64_t cpu_ms;       /* compiler: RLIMIT_CPU, rounded up to a second */
	uint64_t memory_bytes; /* compiler: RLIMIT_DATA */
	uint32_t nice;         /* as for nice(2): PROTO_NICE_MAX at most */
	uint32_t reserved;
};

#define PROTO_NICE_MAX 19

struct proto_spawned {
	int32_t pid; /* in brigd's pid namespace */
	uint32_t reserved;
};

/* What the kernel said of a child that ended; also used by zygotes for their workers. */
struct proto_exited {
	int32_t wait_status;    /* as from wait4(2) */
	uint32_t killed;        /* enum proto_killed: who sent the SIGKILL, if one of ours did */
	uint32_t phase;         /* enum proto_phase, from the page shared with the worker */
	uint32_t call;          /* the host call it was in: index in the WASI table + 1; 0 for none */
	uint64_t user_us;       /* CPU time in user mode */
	uint64_t system_us;     /* CPU time in the kernel */
	uint64_t wall_us;       /* from fork to reaping */
	uint64_t minor_faults;
};

enum proto_killed { PROTO_KILLED_NOT = 0, PROTO_KILLED_DEADLINE = 1, PROTO_KILLED_REQUEST = 2 };

/* --- brigd and zygote ----------------------------------------------------------------------------------------- */

/* The layers of the jail; a process says in READY which of them it is under. `doctor` shows the same list. */
#define PROTO_LAYERS(X)                                                                                      \
	/* name       bit  required  what it is for                                                        */ \
	X(user_ns,      0, 1, "user namespace: no id of the host inside, no privilege outside")               \
	X(mount_ns,     1, 1, "mount namespace and an empty read-only root: no path leads anywhere")          \
	X(pid_ns,       2, 1, "pid namespace: no other process can be named")                                 \
	X(net_ns,       3, 1, "network namespace without interfaces: no network")                             \
	X(ipc_ns,       4, 1, "ipc and uts namespaces: no shared memory or names of the host")                \
	X(cgroup_ns,    5, 0, "cgroup namespace: the host's groups are not visible")                          \
	X(capabilities, 6, 1, "all capabilities dropped, bounding set included")                              \
	X(no_new_privs, 7, 1, "no_new_privs: nothing executed could gain privilege")                          \
	X(dumpable,     8, 1, "not dumpable: no core file, no ptrace by the same user")                       \
	X(landlock,     9, 0, "Landlock: every file access denied, also by descriptor")                       \
	X(speculation, 10, 0, "speculative store bypass and indirect branch speculation disabled")            \
	X(mdwe,        11, 0, "memory-deny-write-execute: no new code pages")                                 \
	X(seccomp,     12, 1, "seccomp filter: kill by default")                                              \
	X(rlimits,     13, 1, "resource limits: no core, files, processes; bounded memory and CPU")           \
	X(own_uid,     14, 0, "a uid of its own, apart from the broker's (needs a start as root)")            \
	X(cgroup,      15, 0, "cgroup v2 limits on memory, processes and CPU (needs a delegated subtree)")        \
	X(no_user_ns,  16, 0, "no user namespace can be made inside, which would give all capabilities in it")

enum proto_layer {
#define X(name, bit, required, text) PROTO_LAYER_##name = 1u << bit,
	PROTO_LAYERS(X)
#undef X
};

struct proto_ready {
	uint32_t layers;              /* enum proto_layer, or-ed: what this process is under */
	uint32_t child_layers;        /* zygote: what a worker will be under at the first guest instruction */
	struct digest filter;         /* SHA-256 of the BPF program that its guest code (or it) runs under */
	struct digest engine;         /* the engine's identity (runtime/engine.h); zeros where there is none */
};

struct proto_run {
	uint64_t wall_ms;      /* the worker is killed at wall_ms + 10 */
	uint64_t cpu_ms;       /* for RLIMIT_CPU, rounded up to a second, plus one */
	uint64_t data_bytes;   /* for RLIMIT_DATA: memory, output buffers and a fixed overhead */
};

/*
 * A worker for a run that is still to come, of the module that the zygote holds: `run` is a number that is no run's, and
 * names the worker in all that brigd and zygote say of it. It says PROTO_PARKED and waits; its job then comes as one
 * message without descriptors. These limits hold from the start, so the run must have the same.
 */
struct proto_park {
	uint64_t cpu_ms;       /* as in proto_run */
	uint64_t data_bytes;   /* as in proto_run */
	uint64_t memory_bytes; /* as in proto_job, the next one too */
	uint64_t table_elements;
};

/*
 * In place of PROTO_LOAD: the module is a language pack's, which the zygote starts, up to where it asks for its job. The blob
 * is the pack's arguments and environment, as in a job's. PROTO_LOADED follows when it has asked; its workers are copies.
 */
struct proto_warm {
	uint64_t memory_bytes; /* for the start alone */
	uint64_t table_elements;
	uint64_t args_bytes;
	uint64_t env_bytes;
	uint32_t argc;
	uint32_t envc;
};

/* From here on the worker has a run, which is sent after this. */
struct proto_take {
	uint64_t wall_ms; /* it is told PROTO_WALL_SIGNAL then, and killed 10 ms later */
};

/* What a zygote sends to a worker that was parked when its wall limit is over: it has no timer of its own for that. */
#define PROTO_WALL_SIGNAL SIGALRM

/*
 * What a zygote sends to a worker that is to end on request, so that it can still say what it printed and used. SIGKILL
 * follows if that takes long.
 */
#define PROTO_END_SIGNAL SIGUSR1

/* How far a worker came; it writes this to a page shared with its zygote. Names are stable API. */
#define PROTO_PHASES(X)                                                                             \
	X(FORKED, 0, "starting", "before its job arrived")                                          \
	X(LOADING, 1, "loading", "while its module was loaded")                                     \
	X(LOCKED, 2, "instantiating", "while its module was instantiated, start functions included") \
	X(PARKED, 3, "parked", "while it waited for its job, with its module instantiated")         \
	X(GUEST, 4, "running", "in its own code, or in the host call that `during` names")          \
	X(DONE, 5, "done", "after its result was sent")

enum proto_phase {
#define X(name, value, word, text) PROTO_PHASE_##name = value,
	PROTO_PHASES(X)
#undef X
};

/* The page shared by one worker and its zygote. Hostile once guest code has run: read once, believed for messages only. */
struct proto_shared {
	volatile uint32_t phase; /* enum proto_phase */
	volatile uint32_t call;  /* as in proto_exited */
};

/* --- brigd and worker ----------------------------------------------------------------------------------------- */

enum proto_job_flags {
	PROTO_JOB_STREAM_OUTPUT = 1, /* send output at once, not when a buffer is full or the run ends */
	PROTO_JOB_STREAM_INPUT = 2,  /* stdin comes as PROTO_INPUT messages, not in the blob */
	PROTO_JOB_OUTPUT_ENDS = 4,   /* output past its limit ends the run instead of being cut */
	PROTO_JOB_BLOB_FD = 8,       /* the blob is a descriptor, behind the artifact, not the rest of the message */
	PROTO_JOB_LOADED = 16,       /* the module is the one that its zygote holds: no artifact comes */
	PROTO_JOB_LEARN = 32,        /* tell by PROTO_LEARNED what of all that is granted was used */
	PROTO_JOB_PACK = 64,         /* the module is a language pack's, and the blob ends with the source for it */
};

enum proto_clock { PROTO_CLOCK_NONE = 0, PROTO_CLOCK_FIXED = 1, PROTO_CLOCK_COARSE = 2, PROTO_CLOCK_REAL = 3 };
enum proto_random { PROTO_RANDOM_NONE = 0, PROTO_RANDOM_SEEDED = 1, PROTO_RANDOM_REAL = 2 };

/*
 * What to run. The blob is argc arguments, envc "NAME=value" strings, each as a uint32_t length and that many bytes
 * (no NUL inside), then stdin_bytes bytes of input, filec times proto_file, mountc times proto_mount, and with
 * PROTO_JOB_PACK a proto_source. All limits are already the effective ones, never 0 for none, except those of the
 * filesystem.
 */
struct proto_job {
	uint32_t flags;          /* enum proto_job_flags */
	uint32_t engine;         /* enum proto_engine; must be the zygote's */
	uint32_t clock;          /* enum proto_clock */
	uint32_t random;         /* enum proto_random */
	uint64_t wall_ms;
	uint64_t cpu_ms;
	uint64_t fuel;           /* engine FUEL only */
	uint64_t memory_bytes;   /* the linear memory: a module has one */
	uint64_t output_bytes;   /* each of stdout and stderr */
	uint64_t host_calls;
	uint64_t table_elements; /* each table; a module has 16 at most (runtime/worker.c) */
	uint64_t clock_fixed_ns; /* clock FIXED: what every clock says, since 1970 */
	uint8_t seed[32];        /* random SEEDED */
	uint32_t argc;
	uint32_t envc;
	uint64_t args_bytes;     /* in the blob, length words included */
	uint64_t env_bytes;
	uint64_t stdin_bytes;
	uint64_t fs_bytes;       /* what the guest may write to files, with names and all; 0: nothing */
	uint64_t fs_nodes;       /* files, directories and links, those that the job brings included */
	uint32_t open_files;     /* descriptors, 0, 1 and 2 included */
	uint32_t mountc;
	uint32_t filec;
	uint32_t dirc;           /* descriptors of directories of the host, behind artifact and blob; PROTO_DIRS_MAX */
	uint64_t files_bytes;    /* in the blob, with all that belongs to them */
	uint64_t mounts_bytes;
	uint64_t changes_bytes;  /* of what changed files hold may be sent back */
	uint64_t dir_bytes;      /* for what the worker keeps of directories of the host */
	uint64_t source_bytes;   /* in the blob, proto_source included; 0 without PROTO_JOB_PACK */
};

#define PROTO_MOUNTS_MAX 64
#define PROTO_DIRS_MAX   8    /* of them, those that show a directory of the host */
#define PROTO_PATH_MAX   4095 /* bytes of a guest's path */

/* What may be done with files (in proto_mount and proto_rule). */
enum proto_fs_right { PROTO_FS_READ = 1, PROTO_FS_WRITE = 2, PROTO_FS_CREATE = 4, PROTO_FS_DELETE = 8, PROTO_FS_ALL = 15 };

/*
 * What a language pack reads as its job: this, then the run's own arguments (the program's name first) and environment as
 * they are in a blob, then the source. The blob's arguments and environment are the pack's.
 */
struct proto_source {
	uint32_t argc;
	uint32_t envc;
	uint64_t code_bytes;
};

/*
 * In the guest of a pack: the one directory that is preopened, "/", with all mounts in it; the file in it that the job is
 * read from, and the descriptor that this gets, the pack having no other file open.
 */
#define PROTO_ROOT_FD     3
#define PROTO_SOURCE_FD   4
#define PROTO_SOURCE_PATH "dev/brig/job"

/* A directory that the guest finds preopened; its path follows, and then the rules. */
struct proto_mount {
	uint32_t rights;      /* enum proto_fs_right, or-ed */
	uint32_t path_length;
	uint32_t rule_count;
	uint32_t dir;         /* 0: nothing is there yet; else the directory that number dir - 1 of the job's shows */
};

/* Other rights from a path on, which follows: relative to the mount, no "." or ".." in it, no slash at either end. */
struct proto_rule {
	uint32_t rights;
	uint32_t path_length;
};

/* A file that is there from the start; its path follows, inside one of the mounts, and then its bytes. */
struct proto_file {
	uint32_t path_length;
	uint32_t reserved;
	uint64_t size;
};

/* Said before any guest instruction. */
struct proto_parked {
	uint64_t cpu_us; /* CPU time that it has used by now: not the run's that is to come */
};

struct proto_output {
	uint32_t stream; /* 1 stdout, 2 stderr */
	uint32_t reserved;
};

#define PROTO_TARGET_MAX PROTO_PATH_MAX /* bytes of a denial's target */

#define PROTO_DENIALS_MAX 64 /* of one run; more are only counted, in its result */

/* A host call that policy withheld; sent once per distinct (call, capability, target). */
struct proto_denial {
	uint32_t call;       /* index in the WASI table + 1 */
	uint32_t capability; /* enum wasi_capability */
	uint64_t count;
};

/* What of a target was used. */
enum proto_extent {
	PROTO_EXTENT_PATH = 0,     /* what it names */
	PROTO_EXTENT_BELOW = 1,    /* names somewhere below it */
	PROTO_EXTENT_TOGETHER = 2, /* a name moved from one place below it to another: they need the same rights */
};

#define PROTO_LEARNED_MAX   704          /* of one run */
#define PROTO_LEARNED_NAMES (384 * 1024) /* bytes of their targets */

/* Something that a run used, when the job says LEARN; sent before its result. The target is a path in a mount, for files. */
struct proto_learned {
	uint32_t call;       /* index in the WASI table + 1 */
	uint32_t capability; /* enum wasi_capability: CLOCK or RANDOM; NONE for files */
	uint32_t rights;     /* for files: enum proto_fs_right, or-ed */
	uint32_t extent;     /* for files: enum proto_extent */
	uint64_t count;
};

/* What a run did to a name, and what that names now, or named when it was deleted. */
enum proto_change_kind { PROTO_CHANGE_CREATED = 0, PROTO_CHANGE_MODIFIED = 1, PROTO_CHANGE_DELETED = 2 };
enum proto_node_kind { PROTO_NODE_FILE = 0, PROTO_NODE_DIRECTORY = 1, PROTO_NODE_LINK = 2, PROTO_NODE_OTHER = 3 };

/* What is known of the contents of a file that is modified or deleted, before the run. */
enum proto_base { PROTO_BASE_NONE = 0, PROTO_BASE_DIGEST = 1, PROTO_BASE_CHANGED = 2 /* others have changed it since */ };

#define PROTO_CHANGES_MAX   4096      /* of one run; more are only counted */
#define PROTO_CHANGES_NAMES (1 << 20) /* bytes of their paths and targets; the same */

/* One change of a run that came to its own end; in no order. Nothing says so of a run that was ended. */
struct proto_change {
	uint32_t change;        /* enum proto_change_kind */
	uint32_t kind;          /* enum proto_node_kind */
	uint64_t size;          /* bytes, of a file that is there */
	uint32_t has_content;   /* 1: `size` bytes follow as PROTO_CONTENT */
	uint32_t path_length;
	uint32_t target_length; /* of a link */
	uint32_t was;           /* enum proto_node_kind: what was there before, of what is modified or deleted */
	uint32_t base_state;    /* enum proto_base; of what was a file */
	uint32_t reserved;
	struct digest base;     /* with DIGEST */
};

struct proto_changes {
	uint64_t omitted; /* changes that were not told */
};

/* What a run did not get of the host as it should have; names and texts are those in results. */
#define PROTO_TROUBLES(X)                                                                                      \
	X(changed, 1, "it changed on the host while the run was using it, so that it could not be read on")    \
	X(lost, 2, "its server ended, or answered what it must not: nothing more of it could be read")         \
	X(limit, 3, "there is more in it than dir_bytes lets the run see, or than its server lists")           \
	X(failed, 4, "the host could not read it")

enum proto_trouble_kind {
	PROTO_TROUBLE_NONE = 0,
#define X(name, value, text) PROTO_TROUBLE_##name = value,
	PROTO_TROUBLES(X)
#undef X
};

#define PROTO_TROUBLES_MAX 32 /* of one run */

/* Sent once for each kind and path, which is the guest's. */
struct proto_trouble {
	uint32_t kind; /* enum proto_trouble_kind */
	uint32_t reserved;
	uint64_t count;
};

enum proto_status {
	PROTO_STATUS_EXITED = 1,  /* exit_code is set */
	PROTO_STATUS_TRAPPED = 2, /* trap is set, text and frames follow */
	PROTO_STATUS_LIMIT = 3,   /* limit is set */
	PROTO_STATUS_FAILED = 4,  /* could not be started, or not go on: failure is set, text says why */
	PROTO_STATUS_STALE = 5,   /* the artifact does not fit this engine or CPU: compile again */
};

/* Which limit ended a run. Names as in policy documents. */
#define PROTO_LIMITS(X)      \
	X(wall_ms, 1)        \
	X(cpu_ms, 2)         \
	X(fuel, 3)           \
	X(memory_bytes, 4)   \
	X(output_bytes, 5)   \
	X(host_calls, 6)     \
	X(table_elements, 7) \
	X(cancelled, 8) /* asked to end; brigd knows why */

enum proto_limit {
#define X(name, value) PROTO_LIMIT_##name = value,
	PROTO_LIMITS(X)
#undef X
};

/* Why a run could not be started, or not go on; names are stable API. `lost` is brigd's to say, never a worker's. */
#define PROTO_FAILURES(X)                                                                                          \
	X(unknown_import, 1, "it imports something that brig does not have")                                       \
	X(import_type, 2, "it imports a WASI function with another type, or as something else")                    \
	X(no_start, 3, "it does not export `_start`, where a program begins")                                      \
	X(start_type, 4, "its export `_start` is not a function without parameters and results")                   \
	X(no_memory, 5, "it called a WASI function that uses memory, and does not export a `memory`")              \
	X(too_many_tables, 6, "it has more than 16 tables")                                                        \
	X(not_started, 7, "it could not be loaded or started for another reason")                                  \
	X(lost, 8, "its worker could not begin, died, or did not keep to the protocol")

enum proto_failure {
	PROTO_FAILURE_NONE = 0,
#define X(name, value, text) PROTO_FAILURE_##name = value,
	PROTO_FAILURES(X)
#undef X
};

#define PROTO_WASI_CALLS  46 /* functions of wasi_snapshot_preview1 */
#define PROTO_FRAMES_MAX  32 /* of a trap's backtrace, innermost first */
#define PROTO_NAME_MAX    256 /* bytes of a frame's function name; longer ones are cut */

/* One frame, followed by name_length bytes of UTF-8; not NUL-terminated. */
struct proto_frame {
	uint32_t function;      /* index in the module */
	uint32_t name_length;   /* 0 when the module has no name for it */
	uint64_t module_offset; /* byte offset in the module */
};

struct proto_result {
	uint32_t status;      /* enum proto_status */
	uint32_t exit_code;   /* 0..2^32-1 as the guest gave it */
	uint32_t trap;        /* enum runtime_trap (runtime/trap.h); 0 for none */
	uint32_t limit;       /* enum proto_limit; 0 for none */
	uint64_t fuel_used;
	uint64_t peak_memory_bytes;
	uint64_t stdout_bytes; /* written by the guest, cut bytes included */
	uint64_t stderr_bytes;
	uint64_t start_us;     /* from fork, or the job of one that was parked, to the first guest instruction */
	uint64_t guest_us;     /* from there to the end */
	uint64_t fs_bytes;     /* that files, names and links took, at most */
	uint64_t fs_nodes;     /* that there were, at most */
	uint64_t denials_omitted; /* calls that policy withheld and no PROTO_DENIAL counts */
	uint64_t host_calls[PROTO_WASI_CALLS]; /* by index in the WASI table */
	uint32_t text_length;  /* bytes of text behind this structure */
	uint32_t frame_count;  /* proto_frames behind the text, at most PROTO_FRAMES_MAX */
	uint32_t failure;      /* enum proto_failure; 0 for none */
	uint32_t phase;        /* enum proto_phase: how far it had come when it ended */
};

/* --- brigd and compiler --------------------------------------------------------------------------------------- */

struct proto_compile {
	uint32_t engine; /* enum proto_engine */
	uint32_t reserved;
	uint64_t size;   /* of the module, bytes */
};

struct proto_compiled {
	uint64_t size;       /* of the artifact, bytes */
	uint64_t compile_us;
};

/* --- brigd and store ------------------------------------------------------------------------------------------ */

enum proto_store_kind { PROTO_STORE_MODULE = 1, PROTO_STORE_ARTIFACT = 2 };

struct proto_store {
	uint32_t kind;        /* enum proto_store_kind */
	uint32_t engine;      /* enum proto_engine; artifacts */
	struct digest digest; /* of the module's bytes, for both kinds */
	uint32_t owner;       /* uid; modules: whose reference is put, asked for, removed or listed */
	uint32_t reserved;
};

struct proto_store_done {
	int32_t code;      /* 0 or ERR_* */
	uint32_t existed;  /* PUT: the owner had it already */
	uint64_t size;     /* bytes of the module or artifact */
	int64_t stored_at; /* seconds since 1970 */
};

/* What the store holds. */
struct proto_store_sized {
	uint64_t bytes;     /* of all files */
	uint64_t modules, artifacts;
};

struct proto_store_entry {
	struct digest digest;
	uint64_t size;
	int64_t stored_at;
};

/* --- brigd and logger ----------------------------------------------------------------------------------------- */

struct proto_log_done {
	uint64_t sequence;  /* of the record, from 0 */
	struct digest hash; /* of the record's line, without its newline */
};

_Static_assert(sizeof(struct proto_spawn) == 32, "wire size");
_Static_assert(sizeof(struct proto_spawned) == 8, "wire size");
_Static_assert(sizeof(struct proto_exited) == 48, "wire size");
_Static_assert(sizeof(struct proto_ready) == 72, "wire size");
_Static_assert(sizeof(struct proto_run) == 24, "wire size");
_Static_assert(sizeof(struct proto_park) == 32, "wire size");
_Static_assert(sizeof(struct proto_take) == 8, "wire size");
_Static_assert(sizeof(struct proto_warm) == 40, "wire size");
_Static_assert(sizeof(struct proto_parked) == 8, "wire size");
_Static_assert(sizeof(struct proto_job) == 216, "wire size");
_Static_assert(sizeof(struct proto_source) == 16, "wire size");
_Static_assert(sizeof(struct proto_mount) == 16, "wire size");
_Static_assert(sizeof(struct proto_rule) == 8, "wire size");
_Static_assert(sizeof(struct proto_file) == 16, "wire size");
_Static_assert(sizeof(struct proto_change) == 72, "wire size");
_Static_assert(sizeof(struct proto_changes) == 8, "wire size");
_Static_assert(sizeof(struct proto_trouble) == 16, "wire size");
_Static_assert(sizeof(struct proto_output) == 8, "wire size");
_Static_assert(sizeof(struct proto_denial) == 16, "wire size");
_Static_assert(sizeof(struct proto_learned) == 24, "wire size");
_Static_assert(sizeof(struct proto_frame) == 16, "wire size");
_Static_assert(sizeof(struct proto_result) == 104 + 8 * PROTO_WASI_CALLS, "wire size");
_Static_assert(sizeof(struct proto_compile) == 16, "wire size");
_Static_assert(sizeof(struct proto_compiled) == 16, "wire size");
_Static_assert(sizeof(struct proto_store) == 48, "wire size");
_Static_assert(sizeof(struct proto_store_done) == 24, "wire size");
_Static_assert(sizeof(struct proto_store_sized) == 24, "wire size");
_Static_assert(sizeof(struct proto_store_entry) == 48, "wire size");
_Static_assert(sizeof(struct proto_log_done) == 40, "wire size");

#endif
