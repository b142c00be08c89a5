/* base/err: what went wrong, in a form that a person can act on. Any process. */

#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

/*
 * Every function that can fail returns 0 or one of these negative codes. The text is for `err_name` and the docs.
 * What a *client* is told has a table of its own (broker/rpc_errors.h).
 */
#define ERR_CODES(X)                                                        \
	X(ERR_NOMEM, -1, "out of memory")                                   \
	X(ERR_IO, -2, "a system call failed")                               \
	X(ERR_INVAL, -3, "malformed or contradictory input")                \
	X(ERR_LIMIT, -4, "a limit was reached")                             \
	X(ERR_NOTFOUND, -5, "no such thing")                                \
	X(ERR_EXISTS, -6, "it exists already")                              \
	X(ERR_DENIED, -7, "not allowed")                                    \
	X(ERR_SIGNATURE, -8, "a signature is missing or not valid")         \
	X(ERR_EXPIRED, -9, "no longer (or not yet) valid")                  \
	X(ERR_REVOKED, -10, "withdrawn")                                    \
	X(ERR_AGAIN, -11, "nothing to read, or no room to write, just now") \
	X(ERR_EOF, -12, "the other side closed")                            \
	X(ERR_PROTOCOL, -13, "a message that must not occur")               \
	X(ERR_UNSUPPORTED, -14, "this system or build cannot do it")        \
	X(ERR_CORRUPT, -15, "stored data does not match its checksum")

enum {
#define X(name, value, text) name = value,
	ERR_CODES(X)
#undef X
};

/* An error with its story: what was wrong, with what value, and what to do. Caller-owned, no heap. */
struct err {
	int code;       /* 0 or ERR_* */
	char msg[1000]; /* one sentence, NUL-terminated, cut if need be; printable, for UTF-8 terminals */
};

/*
 * err_set - record `code` with a formatted message and return `code`, so that `return err_set(...)` reads well.
 * `e` may be NULL. err_sys appends ": " and strerror(errno), and leaves errno as it was.
 */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_sys(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* err_context - put a formatted prefix and ": " before the message; returns e->code (ERR_IO when `e` is NULL). */
int err_context(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* err_name - "ERR_NOMEM" for ERR_NOMEM; "ERR_?" for a number that is not in the table. */
const char *err_name(int code);

/* err_text - the table's short text for a code. */
const char *err_text(int code);

#endif
