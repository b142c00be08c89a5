/* apply_own: where brig keeps its own keys, settings and state, to which no changes go. brig. */

#ifndef CLIENTS_C_APPLY_OWN_H
#define CLIENTS_C_APPLY_OWN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "clients/c/apply_set.h"

/* Absolute paths as apply_guard_fold() makes them. Zeros to begin with. */
struct apply_own {
	struct apply_own_place {
		char *path;
		bool own; /* it and all below; else it is only on the way there, and must not become a link */
	} *places;
	size_t count;
};

/*
 * apply_own_find - look where they are for this user, by the environment and through the links that are there now. 0, or
 * ERR_NOMEM, ERR_INVAL. apply_own_clear - free what was found.
 */
int apply_own_find(struct apply_own *o, struct err *e);
void apply_own_clear(struct apply_own *o);

/* apply_own_has - whether a change would touch them, in the directory at `root`, a path without links. Without memory: yes. */
bool apply_own_has(const struct apply_own *o, const char *root, const struct apply_change *c);

#endif
