/* sandbox/filter: seccomp filters, built once from a table. Launcher, store, logger, brig-files, doctor (needs libseccomp). */

#ifndef SANDBOX_FILTER_H
#define SANDBOX_FILTER_H

#include <stddef.h>

#include "base/err.h"
#include "sandbox/filter_load.h"

/*
 * filter_build - the BPF program of one filter for this machine's architecture. Whatever the table does not allow, and
 * every call by a foreign architecture, kills the process. The caller frees *insns with free().
 *
 * Returns 0, or ERR_UNSUPPORTED (libseccomp does not know this architecture), ERR_NOMEM, ERR_IO.
 */
int filter_build(enum filter_kind kind, struct sock_filter **insns, size_t *count, struct err *e);

/*
 * filter_enter - put all threads of this process under a filter, for good; needs no_new_privs. Returns 0, or as
 * filter_build.
 */
int filter_enter(enum filter_kind kind, struct err *e);

/*
 * filter_bundle - the filters of the launcher's children in one sealed memfd, for filter_load. Returns the descriptor, or
 * as filter_build.
 */
int filter_bundle(struct err *e);

/*
 * filter_row - row `i` of the table for people: the call's name, which filters have it (bit 1 << filter_kind), under
 * what condition (or NULL), and what it is for. Static strings. Returns 0, or ERR_NOTFOUND past the last row.
 */
struct filter_row {
	const char *name;
	const char *condition;
	const char *why;
	unsigned kinds;
};
int filter_row(size_t i, struct filter_row *row);

#endif
