/* bench_mix: the programs that `brig bench` runs, and what each is given. brig. */

#ifndef CLIENTS_C_BENCH_MIX_H
#define CLIENTS_C_BENCH_MIX_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "clients/c/load.h"

/* What a run gets; NULL where nothing was said. */
struct bench_given {
	json_t *args; /* array; owned */
	const char *stdin_path, *policy_path;
};

/* A program as the command line names it. Texts are borrowed. */
struct bench_program {
	const char *file; /* a module, sha256:DIGEST, or with `pack` the source; NULL when there is `code`, or not yet one */
	const char *pack, *code;
	double weight;
	struct bench_given own; /* in place of what all are given */
};

/* Zeros to begin with; bench_mix_clear ends it. */
struct bench_mix {
	struct bench_given all;
	struct bench_program *programs;
	size_t count;
	struct load_item *items; /* once it is prepared */
};

/* Where programs are run, and by whom. */
struct bench_place {
	const char *verb, *socket; /* for messages; as for brig_connect */
	const uid_t *owners;
	size_t owner_count; /* 0: this user */
	bool no_sign;
};

/*
 * The command line, in its order: a program begins with its pack or its file, "3*" before it is its weight, and what is said
 * behind it is its own; what comes before the first is for all. Each returns 0 or ERR_INVAL.
 */
int bench_mix_file(struct bench_mix *m, const char *text, struct err *e);
int bench_mix_pack(struct bench_mix *m, const char *text, struct err *e);
int bench_mix_code(struct bench_mix *m, const char *text, struct err *e);
int bench_mix_arg(struct bench_mix *m, const char *text, struct err *e);
struct bench_given *bench_mix_given(struct bench_mix *m); /* what input and policy belong to at this place */

/* bench_mix_wants_source - whether the last program is a pack's, and has no source by now. */
bool bench_mix_wants_source(const struct bench_mix *m);

/*
 * bench_mix_prepare - store what are files for each owner, write the requests into m->items, and have each program run for a
 * moment, so that it is compiled. Returns CMD_OK, or CMD_FAILED after the reason has been printed.
 */
int bench_mix_prepare(struct bench_mix *m, const struct bench_place *place);

void bench_mix_clear(struct bench_mix *m);

/* bench_number - a number above zero, which may have a fraction. ERR_INVAL with *n untouched. */
int bench_number(const char *text, size_t length, double *n);

#endif
