/* policy/internal: the tables that the files of policy/ share. Pure; brigd and brig. */

#ifndef POLICY_INTERNAL_H
#define POLICY_INTERNAL_H

#include "policy/policy.h"

#define POLICY_VERSION 1
#define POLICY_COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* The fields of a document. parse.c has a read_NAME and schema.c a schema_NAME for each. */
#define POLICY_FIELDS(X)                                                                                        \
	X(version, "version of the language: 1, also when it is not stated")                                   \
	X(limits, "what a run may use; one that is not stated does not narrow")                                \
	X(args, "whether arguments may be given")                                                              \
	X(env, "names of the environment variables that may be given; NAME* stands for all that begin so")     \
	X(clock, "what clocks say: nothing, always the same, the time to a millisecond, the time")             \
	X(clock_fixed_ns, "for clock fixed: nanoseconds since 1970 (0 when not stated)")                       \
	X(random, "what randomness is made of: nothing, a seed, the system's")                                 \
	X(seed, "for random seeded: 64 hexadecimal digits (zeros when not stated)")                            \
	X(output, "past limits.output_bytes: end it, or cut and go on (cut when not stated)")                      \
	X(signature, "what has to be signed: a module; source code for a language pack")                       \
	X(fs, "directories that the guest finds or may find, what they hold, what may be done there")            \
	X(tools, "names of the client's tools that may be called; nothing serves them in this version")        \
	X(net, "network destinations: none in this version, so only an empty list")                            \
	X(mode, "enforce: what is not granted is refused; learn: what a run uses is made into a policy (enforce when not stated)")

enum policy_field {
#define X(name, text) POLICY_FIELD_##name,
	POLICY_FIELDS(X)
#undef X
	POLICY_FIELD_COUNT
};

extern const char *const policy_field_names[POLICY_FIELD_COUNT];
extern const char *const policy_field_texts[POLICY_FIELD_COUNT];
extern const char *const policy_limit_names[POLICY_LIMIT_COUNT];

/* Words of the enums, by their numbers. */
extern const char *const policy_clock_words[4];
extern const char *const policy_random_words[3];
extern const char *const policy_output_words[2];
extern const char *const policy_mode_words[2];
extern const char *const policy_signature_words[2];
extern const char *const policy_fs_kind_words[3];
extern const char *const policy_fs_right_words[4]; /* bit i of the rights */

/* policy_new - a document that states nothing. NULL when out of memory. */
struct policy *policy_new(void);

/* policy_pattern_covers - whether every name that `inner` stands for is one that `outer` stands for. */
bool policy_pattern_covers(const char *outer, const char *inner);

/*
 * policy_names_add - append a copy of a name or pattern; 0 or ERR_NOMEM. policy_names_tidy - sort, and drop each that lies
 * within another. policy_names_cover - whether one of them covers this name or pattern. policy_names_meet - append to m
 * what a and b have in common, and tidy it.
 */
int policy_names_add(struct policy_names *n, const char *name);
void policy_names_tidy(struct policy_names *n);
bool policy_names_cover(const struct policy_names *n, const char *name);
int policy_names_meet(const struct policy_names *a, const struct policy_names *b, struct policy_names *m);

/* policy_covers - policy_path_covers for paths whose lengths are known, which most pairs tell apart at once. */
bool policy_covers(const char *outer, size_t outer_length, const char *inner, size_t inner_length);

/* policy_fs_add - append a copy, looking at nothing but its length. policy_fs_tidy - sort, and drop what says nothing new. */
int policy_fs_add(struct policy *p, const struct policy_fs *f, struct err *e);
void policy_fs_tidy(struct policy *p);

/* The parts of policy_meet, policy_allows and policy_to_json that are about files; `m` has no entries yet. */
int policy_fs_meet(const struct policy *a, const struct policy *b, struct policy *m, struct err *e);
bool policy_fs_allows(const struct policy *a, const struct policy *b);
json_t *policy_fs_json(const struct policy *p);

/* policy_rights_json - the list of words for rights that are or-ed. */
json_t *policy_rights_json(uint32_t rights);

/*
 * policy_path_above - how many bytes of path[0..length], which begins with "/", are its directory: at least `top`, and at
 * least the "/".
 */
size_t policy_path_above(const char *path, size_t length, size_t top);

#endif
