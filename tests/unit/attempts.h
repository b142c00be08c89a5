/* tests/unit/attempts: what hostile native code would try from where the guest stands. Test processes only. */

#ifndef TESTS_UNIT_ATTEMPTS_H
#define TESTS_UNIT_ATTEMPTS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/proto.h"
#include "tests/unit/attempts_table.h"

/* Descriptors that are left open, by mistake as it were. */
enum {
	ATTEMPT_FD_FIRST = 5,
	ATTEMPT_FD_DIRECTORY = ATTEMPT_FD_FIRST, /* `directory` */
	ATTEMPT_FD_FILE = 6,                     /* `secret`, for reading and writing */
	ATTEMPT_FD_PIPE = 7,                     /* for writing */
	ATTEMPT_FD_PROGRAM = 8,                  /* `program` */
	ATTEMPT_FD_TERMINAL = 9,                 /* a terminal */
	ATTEMPT_FDS = 5,
};

/* What there is outside to be reached: made before any layer, of the user that attempts begin as. */
struct attempt_world {
	char directory[40]; /* mode 0700, with what follows in it; also the name of a listening abstract socket */
	char secret[80];    /* a file, mode 0600 */
	char program[80];   /* true(1) */
	char setuid[80];    /* test(1), set-uid to who makes this world */
	char socket[80];    /* a listening Unix socket, mode 0600 */
	uint16_t port;      /* a listening TCP socket of 127.0.0.1 */
	int shm;            /* id of a System V segment, mode 0600 */
	pid_t outsider;     /* a process of the same user, with attempt_word */
	pid_t sibling;      /* one inside the jail: another worker of the same zygote */
	uint8_t handle[160]; /* struct file_handle of `secret` */
	int left_open[ATTEMPT_FDS];
	int others[2];
	bool core_files;     /* the machine leaves core files, rather than giving them to a program */
};

/* In the memory of every process that is forked from the test; outsider and sibling have ATTEMPT_SECRET there. */
extern volatile uint64_t attempt_word;
#define ATTEMPT_SECRET 0x6b657973206f6663u

/*
 * attempt_hold - fork a process that has the secret in its memory, and is there, after `prepare` if that is not NULL, once
 * this returns its id. It dies with the caller. Returns -1 when that failed.
 */
pid_t attempt_hold(int (*prepare)(uid_t uid), uid_t uid);

/* attempt_world_new - make it, for attempts that begin as `uid`. Returns 0 or ERR_IO. attempt_world_free removes it. */
int attempt_world_new(struct attempt_world *w, uid_t uid, struct err *e);
void attempt_world_free(struct attempt_world *w);

/* attempt_leave_open - put those descriptors in their places. Returns 0 or -1. */
int attempt_leave_open(const struct attempt_world *w);

/* How an attempt ends; or an errno: it was refused. */
#define ATTEMPT_THROUGH 0
#define ATTEMPT_UNFIT   250 /* this kernel or machine has not what it takes */
#define ATTEMPT_FAULT   251 /* the test itself did not work */
#define ATTEMPT_NOT     252 /* not refused, but the aim was missed */

/* ended - a system call's result, as an attempt ends. */
static inline int
ended(long rc)
{
	return rc >= 0 ? ATTEMPT_THROUGH : errno;
}

/* got_to - the same of a call with an argument that nobody could have; finding that out comes after the permission. */
static inline int
got_to(int found_out, long rc)
{
	return rc >= 0 || errno == found_out ? ATTEMPT_THROUGH : errno;
}

typedef int attempt_fn(const struct attempt_world *w);

struct attempt {
	const char *name;
	attempt_fn *try; /* as the process dies, the filter may kill it, and what it leaves is of no account */
	uint32_t layers; /* each of them stops it, alone */
	const char *why; /* when there are fewer than two: why */
};

#define X(name, layers, text, why) +1
enum { ATTEMPT_COUNT = 0 ATTEMPTS(X) };
#undef X

/* attempts - the table, ended by a row without a name. */
extern const struct attempt attempts[ATTEMPT_COUNT + 1];

#define X(name, layers, text, why) attempt_fn attempt_##name;
ATTEMPTS(X)
#undef X

#endif
