/* policy/explain: questions about what a run may do, answered with the rules that decide. Pure; brigd and brig. */

#ifndef POLICY_EXPLAIN_H
#define POLICY_EXPLAIN_H

#include "policy/policy.h"

/* What can be asked: word, what follows it, text. In this order they are listed. */
#define POLICY_QUESTIONS(X)                                                                                        \
	X(FS, "fs", "read|write|create|delete PATH", "whether the guest has that right to files at the path")     \
	X(FS_KIND, "fs", "mount|inline|dir PATH",                                                                  \
	    "whether the guest finds a mount there; whether the request may bring a file, or a directory of the host") \
	X(ENV, "env", "NAME", "whether that variable may be given")                                                \
	X(LIMIT, "limit", "NAME VALUE", "whether a run may have that much: memory_bytes 200M, wall_ms 5s")         \
	X(ARGS, "args", "", "whether arguments may be given")                                                      \
	X(CLOCK, "clock", "fixed|coarse|real", "whether a clock may be as good as that")                           \
	X(RANDOM, "random", "seeded|real", "whether randomness may be as good as that")                            \
	X(TOOL, "tool", "NAME", "whether that tool may be called")                                                 \
	X(NET, "net", "DESTINATION", "whether that may be reached: not in this version")                           \
	X(SIGNATURE, "signature", "unsigned|unsigned_source", "whether a module, or source code, may be unsigned")

enum policy_question_kind {
#define X(name, word, rest, text) POLICY_ASK_##name,
	POLICY_QUESTIONS(X)
#undef X
	POLICY_ASK_COUNT
};

struct policy_question {
	enum policy_question_kind kind;
	uint32_t right;                   /* FS: one of enum policy_fs_right */
	enum policy_fs_kind fs_kind;      /* FS_KIND: TMP for mount */
	enum policy_limit limit;          /* LIMIT, with */
	uint64_t value;
	unsigned word;                    /* CLOCK and RANDOM: enum policy_clock or policy_random; SIGNATURE: 1 for source */
	char target[POLICY_PATH_MAX + 1]; /* path or name */
	char text[POLICY_PATH_MAX + 64];  /* as it is asked */
};

/*
 * policy_question_parse - read a question from the words that begin a list; *used is how many they are. A word with
 * spaces in it is a whole question: "fs read /a file". Returns 0, or ERR_INVAL with what can be asked.
 */
int policy_question_parse(const char *const *words, size_t count, size_t *used, struct policy_question *out,
    struct err *e);

/* Who says what. The layers of policy_effective, with the documents that they were read from. */
struct policy_stated {
	enum policy_layer_kind kind;
	const struct policy_document *document; /* borrowed, not NULL */
};

/*
 * policy_document_of - a document without text, made of a policy (copied). policy_document_with - of a policy, which is
 * taken, also on failure, and the JSON from which it was read. policy_document_builtin - the built-in ceiling.
 */
int policy_document_of(const struct policy *p, struct policy_document **out, struct err *e);
int policy_document_with(struct policy *p, const json_t *json, struct policy_document **out, struct err *e);
int policy_document_builtin(struct policy_document **out, struct err *e);

/*
 * policy_inquiry_new - make ready to answer questions about a run under these layers, so that many cost little more than
 * one. The documents stay the caller's, and as they are. Returns 0, ERR_INVAL when there is no layer, ERR_NOMEM.
 * policy_inquiry_free - NULL is fine.
 */
struct policy_inquiry;
int policy_inquiry_new(const struct policy_stated *layers, size_t count, struct policy_inquiry **out, struct err *e);
void policy_inquiry_free(struct policy_inquiry *x);

/*
 * policy_answer - whether the run is granted what is asked, as policy_effective and the worker decide, and why.
 * *out, which the caller frees, is
 *
 *   { "question", "answer": "allow" or "deny", "message",
 *     "rule": what decided: { "layer", "path", "stated", "value", "file", "line", "column" },
 *     "grant": for deny, the piece of a document that, put into that layer's, makes this layer allow it,
 *     "layers": [ { "layer", "answer", "path", ... } ] }
 *
 * "rule" is of the first layer with which it is no longer allowed; if it is allowed, of the last. `stated` is false where
 * the document says nothing of it: then path is the nearest there is. A rule that is the request's to state, when there
 * is no request, has a layer alone. "grant" is null when no document can grant it.
 *
 * How a grant is put into a document: members take the place of those of the same name (null: they are removed), names in
 * `env` and `tools` are added; what an entry of `fs` says of a path takes the place of what the document says of that
 * path, be it an entry or a member of `paths`.
 *
 * Returns 0 or ERR_NOMEM.
 */
int policy_answer(const struct policy_inquiry *x, const struct policy_question *q, json_t **out, bool *allowed,
    struct err *e);

#endif
