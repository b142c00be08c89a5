/* policy: what a run may do: documents, their meet, and the decision about one request. Pure; brigd and brig. */

#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"

/*
 * A policy document is a JSON object (docs/policy.md, docs/policy.schema.json). The same language serves for the
 * operator's ceiling, an owner's grant, a signer's grant and the wish in a request; what a run gets is the meet of all
 * that are there. Within a document, what is not stated is not granted: no args, no env, clock none, random none,
 * signatures required. Only limits are different: a limit that is not stated does not narrow, see policy_effective().
 */

/*
 * The limits: name, least and largest value that a document may state, default (0: not limited, and not measured),
 * unit, text. 0 is only possible where none of it at all makes sense.
 */
#define POLICY_LIMITS(X)                                                                                           \
	X(wall_ms, 1, 3600000, 10000, POLICY_UNIT_MS, "time on the clock from the guest's start to its end")       \
	X(cpu_ms, 1, 3600000, 10000, POLICY_UNIT_MS, "processor time, guest and host calls together")              \
	X(fuel, 1, 9007199254740991, 0, POLICY_UNIT_COUNT,                                                         \
	    "units of deterministic work, about one a Wasm instruction; metered only when stated")                 \
	X(memory_bytes, 1, 4294967296, 268435456, POLICY_UNIT_BYTES, "all linear memories together")               \
	X(output_bytes, 0, 67108864, 1048576, POLICY_UNIT_BYTES, "standard output; the same for standard error")   \
	X(host_calls, 1, 1000000000000, 10000000, POLICY_UNIT_COUNT, "calls from the guest to the host")           \
	X(table_elements, 1, 10000000, 100000, POLICY_UNIT_COUNT, "elements of each table; a module has 16 at most") \
	X(args_bytes, 0, 1048576, 131072, POLICY_UNIT_BYTES, "arguments of the request, and one byte for each") \
	X(env_bytes, 0, 1048576, 131072, POLICY_UNIT_BYTES, "environment, as NAME=value, and one byte for each") \
	X(stdin_bytes, 0, 67108864, 16777216, POLICY_UNIT_BYTES, "standard input in the request (not when streamed)") \
	X(files_bytes, 0, 67108864, 16777216, POLICY_UNIT_BYTES, "files in the request")                           \
	X(fs_bytes, 0, 4294967296, 67108864, POLICY_UNIT_BYTES,                                                    \
	    "what the guest writes to files, in blocks of 4 KiB, and names")                                       \
	X(fs_nodes, 0, 1000000, 100000, POLICY_UNIT_COUNT, "files, directories and links, mounts included")        \
	X(dir_bytes, 0, 4294967296, 134217728, POLICY_UNIT_BYTES,                                                  \
	    "what is kept of directories of the host that the guest looks into, 300 bytes or so for a name")       \
	X(open_files, 3, 1000000, 1024, POLICY_UNIT_COUNT, "descriptors, 0 to 2 and mounts included")              \
	X(changes_bytes, 0, 67108864, 1048576, POLICY_UNIT_BYTES, "contents of changed files in the result")

enum policy_limit {
#define X(name, min, max, def, unit, text) POLICY_LIMIT_##name,
	POLICY_LIMITS(X)
#undef X
	POLICY_LIMIT_COUNT
};

enum policy_unit { POLICY_UNIT_MS, POLICY_UNIT_BYTES, POLICY_UNIT_COUNT };

struct policy_limit_info {
	const char *name;
	uint64_t minimum;
	uint64_t maximum;
	uint64_t initial; /* what a run gets when its request states nothing; 0 for none at all */
	enum policy_unit unit;
	const char *text;
};
extern const struct policy_limit_info policy_limit_info[POLICY_LIMIT_COUNT];

/* In struct policy: the document states no such limit. In an effective policy: only for fuel, which is then off. */
#define POLICY_UNSET UINT64_MAX

#define POLICY_TEXT_MAX  (256 * 1024) /* bytes of a document */
#define POLICY_NAMES_MAX 1024         /* env patterns in a document */
#define POLICY_NAME_MAX  255          /* bytes of one */
#define POLICY_SEED_SIZE 32
#define POLICY_TOOLS_MAX 256          /* tools in a document */
#define POLICY_TOOL_NAME_MAX 64       /* bytes of a tool's name */
#define POLICY_PATHS_MAX 1024         /* mounts, and paths with rights of their own, in a document */
#define POLICY_PATH_MAX  1023         /* bytes of one */

/* Each from least to most. The numbers of clock and random are those of enum proto_clock and enum proto_random. */
enum policy_clock { POLICY_CLOCK_NONE, POLICY_CLOCK_FIXED, POLICY_CLOCK_COARSE, POLICY_CLOCK_REAL };
enum policy_random { POLICY_RANDOM_NONE, POLICY_RANDOM_SEEDED, POLICY_RANDOM_REAL };
enum policy_mode { POLICY_MODE_ENFORCE, POLICY_MODE_LEARN };
enum policy_output { POLICY_OUTPUT_END, POLICY_OUTPUT_CUT }; /* what becomes of a run past output_bytes */
enum policy_signature { POLICY_SIGNATURE_REQUIRED, POLICY_SIGNATURE_OPTIONAL };

/* What a mount may hold when the run begins. */
enum policy_fs_kind {
	POLICY_FS_TMP,    /* nothing */
	POLICY_FS_INLINE, /* files of the request */
	POLICY_FS_DIR,    /* what a directory of the host holds, which the client serves; or files of the request */
};

/* What may be done with files; the numbers are those of enum proto_fs_right. */
enum policy_fs_right { POLICY_FS_READ = 1, POLICY_FS_WRITE = 2, POLICY_FS_CREATE = 4, POLICY_FS_DELETE = 8 };
#define POLICY_FS_ALL 15u

/* What is granted from a path on, as far as no longer path says otherwise. */
struct policy_fs {
	char *path;       /* absolute, as the guest knows it */
	size_t length;    /* of the path */
	bool mount;       /* the guest finds it as a directory of its own; else only other layers may put mounts there */
	enum policy_fs_kind kind;
	uint32_t rights;  /* enum policy_fs_right, or-ed */
	bool redundant;   /* used while tidying only */
};

/* Names or patterns, sorted, none inside another. */
struct policy_names {
	char **list;
	size_t count;
};

/* Read its members freely; make and free it with the functions below. */
struct policy {
	uint64_t limits[POLICY_LIMIT_COUNT]; /* or POLICY_UNSET */
	bool args;                           /* arguments may be given */
	struct policy_names env;             /* patterns: a name, or a prefix and '*' */
	struct policy_names tools;           /* names of tools; nothing serves one in this version */
	struct policy_fs *fs;                /* sorted by path; none says what the next above says too */
	size_t fs_count;
	enum policy_clock clock;
	bool has_clock_fixed_ns;             /* only with POLICY_CLOCK_FIXED */
	uint64_t clock_fixed_ns;             /* nanoseconds since 1970; 0 when not stated */
	enum policy_random random;
	bool has_seed;                       /* only with POLICY_RANDOM_SEEDED */
	uint8_t seed[POLICY_SEED_SIZE];      /* zeros when not stated */
	enum policy_output output;           /* CUT when not stated */
	enum policy_mode mode;               /* in a request: how to run; in other layers: the most that may be asked for */
	enum policy_signature signature_module;
	enum policy_signature signature_source; /* source for a language pack */
};

/*
 * policy_parse - read a document from text[0..length]. policy_from_json does the same from a JSON value (borrowed), as
 * it stands in a request or a keyring.
 *
 * Strict: an unknown field, a wrong type, a number that is fractional, below its minimum or past its maximum, a name
 * twice or a value that is not one of those known gives ERR_INVAL with the place ("mine.json:3:14: $.limits.wall_sm") and,
 * for a misspelt name, the nearest known one. `name` is the file's for messages; NULL: "line 3, column 14". Of a JSON
 * value the place is the path alone. Also ERR_LIMIT past POLICY_TEXT_MAX, ERR_NOMEM. The caller ends *out with
 * policy_free().
 */
int policy_parse(const char *text, size_t length, const char *name, struct policy **out, struct err *e);
int policy_from_json(const json_t *json, struct policy **out, struct err *e);

/* All that is wrong with a document, one problem for each value, in the order of the text. */
#define POLICY_PROBLEMS_MAX 20
struct policy_problems {
	size_t kept;
	size_t more; /* beside those kept */
	struct policy_problem {
		size_t offset;
		struct err e;
	} list[POLICY_PROBLEMS_MAX];
};

/* A policy with the document that it was read from, so that a rule can be shown where it stands. */
struct policy_document {
	struct policy *policy;
	json_t *json;
	char *text;    /* with a NUL behind it; NULL when there is none: then it has no lines */
	size_t length;
	char *name;    /* of the file, or NULL */
};

/*
 * policy_document_parse - policy_parse that keeps the document, and, when `all` is not NULL, tells every problem: *all is
 * filled on failure. policy_document_free - NULL is fine.
 */
int policy_document_parse(const char *text, size_t length, const char *name, struct policy_problems *all,
    struct policy_document **out, struct err *e);
void policy_document_free(struct policy_document *d);

/* policy_tool_name - whether this can be the name of a tool. */
bool policy_tool_name(const char *name);

/*
 * policy_json_why - in a sentence's end, why a text is not the JSON that brig takes: what jansson says, or for \u0000,
 * which is JSON but is taken nowhere here, what to do. Borrows from `error`.
 */
const char *policy_json_why(const json_error_t *error);

/* policy_free - NULL is fine. */
void policy_free(struct policy *p);

/*
 * policy_builtin - the ceiling of a brigd that was given none: arguments, any environment, real clock and randomness,
 * any mounts, with files of the request or directories of the host, no tools,
 * every limit up to its maximum, fuel not metered, signatures required. Returns 0 or ERR_NOMEM.
 */
int policy_builtin(struct policy **out, struct err *e);

/*
 * policy_meet - set *out to what both a and b allow: the greatest lower bound.
 *
 * Limits take the smaller number, env patterns and tools intersect, clock, random, output and signature take the stricter. At
 * each path of the guest's, rights to files are those that both grant, and there is a mount where one has it and both grant
 * something: of "/workspace" and "/workspace/src", "/workspace/src" is left. Two
 * different fixed clocks, or two different seeds, have nothing in common: none. Commutative, associative, idempotent;
 * the result never allows what a or b denies. Borrows both. Returns 0, or ERR_NOMEM with *out untouched.
 */
int policy_meet(const struct policy *a, const struct policy *b, struct policy **out, struct err *e);

/* policy_equal - whether both say the same; policy_allows - whether a allows all that b allows. */
bool policy_equal(const struct policy *a, const struct policy *b);
bool policy_allows(const struct policy *a, const struct policy *b);

/*
 * policy_fs_at - what decides about an absolute path: the entry with the longest path that is the same or above it, by
 * whole components; NULL when nothing is granted there. policy_fs_mount_of - the mount that holds it, or NULL.
 */
const struct policy_fs *policy_fs_at(const struct policy *p, const char *path);
const struct policy_fs *policy_fs_mount_of(const struct policy *p, const char *path);

/* policy_path_covers - whether `inner` is `outer` or below it. Both as policy_path_wrong wants them. */
bool policy_path_covers(const char *outer, const char *inner);

/*
 * policy_path_wrong - in a sentence's end, why this is not the path of a mount or file: absolute, at most
 * POLICY_PATH_MAX bytes, without "." and "..", empty components or control characters. NULL when it is one.
 */
const char *policy_path_wrong(const char *path);

/* policy_env_allowed - whether one of the patterns covers this variable name. policy_tool_allowed - this tool. */
bool policy_env_allowed(const struct policy *p, const char *name);
bool policy_tool_allowed(const struct policy *p, const char *name);

/*
 * policy_to_json - the document, with every field except limits that are not stated and tools when there are none.
 * Dumped with POLICY_JSON_FLAGS it is the canonical text, over which policy_digest takes SHA-256. NULL, or ERR_NOMEM,
 * when out of memory.
 */
#define POLICY_JSON_FLAGS (JSON_COMPACT | JSON_SORT_KEYS)
json_t *policy_to_json(const struct policy *p);
int policy_digest(const struct policy *p, struct digest *out, struct err *e);

/* Who may narrow a run, in the order in which decisions are explained. */
enum policy_layer_kind {
	POLICY_LAYER_CEILING,
	POLICY_LAYER_OWNER,
	POLICY_LAYER_SIGNER,
	POLICY_LAYER_PACK,
	POLICY_LAYER_REQUEST,
};

struct policy_layer {
	enum policy_layer_kind kind;
	const struct policy *policy; /* borrowed; NULL when there is none: then this layer does not narrow */
};

/* policy_layer_name - "ceiling", "owner", "signer", "pack" or "request". policy_layer_phrase - "the operator's ceiling" and so on. */
const char *policy_layer_name(enum policy_layer_kind kind);
const char *policy_layer_phrase(enum policy_layer_kind kind);

/*
 * policy_effective - what the run gets: the meet of the layers, and then every limit settled. A limit that the request
 * states is the minimum of what the request and the others state; one that it does not state, the minimum of the
 * default and what the others state. So *out has every limit set, except fuel when no layer states it.
 * The mode is learn only when a request says so and all others grant it.
 * At least one layer must have a policy (ERR_INVAL). The caller frees *out.
 */
int policy_effective(const struct policy_layer *layers, size_t count, struct policy **out, struct err *e);

/* What a request brings that policy decides on before anything is started. Borrows. */
struct policy_ask {
	bool module_signed;     /* a signature was there and held */
	bool source_unsigned;   /* source for a language pack is to be run, without a signature */
	bool learn;             /* to be run in learn mode */
	size_t argc;            /* arguments beside the program's name */
	uint64_t args_bytes;    /* their lengths, and one for each */
	const char *const *env; /* names only */
	size_t envc;
	uint64_t env_bytes;     /* name, '=', value, and one for each */
	uint64_t stdin_bytes;   /* inside the request; 0 when streamed */
	const char *const *files; /* paths */
	size_t filec;
	uint64_t files_bytes;
	const char *const *dirs;  /* mounts that show a directory of the host */
	size_t dirc;
};

/* What policy can withhold; the names are those in documents and in `denials` of results. */
#define POLICY_CAPABILITIES(X)                      \
	X(SIGNATURE, "signature.module")            \
	X(SOURCE, "signature.source")               \
	X(MODE, "mode")                             \
	X(ARGS, "args")                             \
	X(ENV, "env")                               \
	X(CLOCK, "clock")                           \
	X(RANDOM, "random")                         \
	X(ARGS_BYTES, "limits.args_bytes")          \
	X(ENV_BYTES, "limits.env_bytes")            \
	X(STDIN_BYTES, "limits.stdin_bytes")        \
	X(FILES_BYTES, "limits.files_bytes")        \
	X(FS_INLINE, "fs.inline")                   \
	X(FS_DIR, "fs.dir")                         \
	X(FS_READ, "fs.read")                       \
	X(FS_WRITE, "fs.write")                     \
	X(FS_CREATE, "fs.create")                   \
	X(FS_DELETE, "fs.delete")

enum policy_capability {
#define X(name, text) POLICY_CAP_##name,
	POLICY_CAPABILITIES(X)
#undef X
};

/* policy_capability_name - as in the table above. */
const char *policy_capability_name(enum policy_capability c);

/* A capability that was withheld. */
struct policy_denial {
	enum policy_capability capability;
	enum policy_layer_kind layer; /* the first that withholds it */
	char target[POLICY_PATH_MAX + 1]; /* the variable's name for env, the path for fs; else empty */
	char grant[4 * POLICY_PATH_MAX]; /* JSON: what that layer's document would have to say; of files, at that path */
	char message[4 * POLICY_PATH_MAX + 600]; /* a sentence for people */
};

/*
 * policy_check_run - decide on what a request asks for, by the same layers that policy_effective was given.
 *
 * Returns 0 when all of it is granted. Else ERR_SIGNATURE (the module is not signed but has to be), ERR_DENIED (a
 * capability is withheld) or ERR_LIMIT (more bytes than allowed), with *out and *e about the first such thing.
 */
int policy_check_run(const struct policy_layer *layers, size_t count, const struct policy_ask *ask,
    struct policy_denial *out, struct err *e);

/*
 * policy_explain - which layer withholds `c` (for ENV: of the variable `target`; for FS: at that path; else NULL), as
 * when a host call was denied at run time. Returns 0 with *out filled, or ERR_NOTFOUND when no layer withholds it.
 */
int policy_explain(const struct policy_layer *layers, size_t count, enum policy_capability c, const char *target,
    struct policy_denial *out, struct err *e);

/*
 * policy_amount_parse - read an amount as policy_limit_parse does, of any size. Returns 0; ERR_INVAL when it is written in
 * another way than policy_amount_advice() says, a sentence's end; ERR_LIMIT past UINT64_MAX.
 */
int policy_amount_parse(const char *text, enum policy_unit unit, uint64_t *value);
const char *policy_amount_advice(enum policy_unit unit);

/*
 * policy_limit_parse - read "NAME=VALUE" as people write it: wall_ms=5s, memory_bytes=200M, host_calls=1000.
 *
 * Times take ms, s, m, h (a plain number is milliseconds); bytes take K, M, G (powers of 1024, with or without "iB" or
 * "B"); counts take k, M, G (powers of 1000). Returns 0, or ERR_INVAL as policy_parse, also past the maximum.
 */
int policy_limit_parse(const char *text, enum policy_limit *limit, uint64_t *value, struct err *e);

/* policy_limit_text - "10 s", "256 MiB" or "1000000": the value as people read it. Returns `text`. */
#define POLICY_LIMIT_TEXT_SIZE 32
char *policy_limit_text(enum policy_limit limit, uint64_t value, char text[POLICY_LIMIT_TEXT_SIZE]);

/*
 * policy_learn - turn the request of a run in learn mode into what it may find out: all rights for mounts that state
 * none, real clocks and randomness likewise, any environment, arguments, and signatures not required. What else it states
 * stays. Returns 0, or ERR_NOMEM with *request as it was.
 */
int policy_learn(struct policy *request, struct err *e);

/* How far what a run did at a path reaches: what is there; names somewhere below; or all below needs the same rights. */
enum policy_extent { POLICY_EXTENT_PATH, POLICY_EXTENT_BELOW, POLICY_EXTENT_TOGETHER };

/* One use of files, at a path inside a mount. */
struct policy_use {
	char *path;
	uint32_t rights; /* enum policy_fs_right, or-ed */
	enum policy_extent extent;
};

/* What a run in learn mode was seen to use. Borrows. */
struct policy_uses {
	const struct policy *effective;    /* what it ran under */
	const struct policy *request;      /* what it asked for: limits that cannot be measured, and tools */
	bool module_signed, source_unsigned;
	bool args, clock, random;          /* whether they were used, or given */
	const char *const *env;            /* names of the variables that were given */
	size_t envc;
	const struct policy_use *files;
	size_t file_count;
	uint64_t used[POLICY_LIMIT_COUNT]; /* or POLICY_UNSET: not measured */
};

/*
 * policy_learned - the policy under which the same run passes: what it used, generalised, and never more than
 * uses->effective allows.
 *
 * Of files: the mounts that there were, with the rights used on them, and paths inside with more. What was made has its
 * rule at the directory where that was done, since its name may be another the next time; more than POLICY_LEARN_NAMES
 * paths in one directory become the directory; what moved from one place to another has one rule above both; a path that
 * no document can hold becomes the directory above it; when there are more rules than a document can have, each mount gets
 * one. Limits that were measured are twice what was used,
 * rounded up to a round number, and at least POLICY_LEARN_LEAST; others are those of the request.
 * The caller frees *out. Returns 0, ERR_INVAL for a use outside of every mount, ERR_LIMIT when what was allowed has too many
 * paths itself, ERR_NOMEM.
 */
#define POLICY_LEARN_NAMES 4
int policy_learned(const struct policy_uses *uses, struct policy **out, struct err *e);

/* POLICY_LEARN_LEAST - the least that learn mode grants of a limit, so that a run that is slow once still passes. */
#define POLICY_LEARN_LEAST(X)     \
	X(wall_ms, 1000)          \
	X(cpu_ms, 1000)           \
	X(fuel, 1000)             \
	X(memory_bytes, 1048576)  \
	X(output_bytes, 4096)     \
	X(host_calls, 1000)       \
	X(args_bytes, 256)        \
	X(env_bytes, 256)         \
	X(stdin_bytes, 4096)      \
	X(files_bytes, 4096)      \
	X(fs_bytes, 65536)        \
	X(fs_nodes, 64)

/* policy_schema - the JSON Schema (2020-12) of documents, made from the tables here. NULL when out of memory. */
json_t *policy_schema(void);

#endif
