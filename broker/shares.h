/* broker/shares: what each owner gets of what all share, as the operator says: weight and limits. brigd. */

#ifndef BROKER_SHARES_H
#define BROKER_SHARES_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "broker/config.h"

/* Members of an owner's share: name, smallest, largest, text. Those but `weight` are settings of the same name. */
#define SHARES_MEMBERS(X)                                                                                          \
	X(weight, 1, 1000, "of places, and of what is kept ready, while others want some too, in proportion to theirs") \
	X(running_per_owner, 1, 4096, "runs at the same time")                                                     \
	X(queued_per_owner, 0, 1000000, "runs that wait for their turn")                                           \
	X(held_bytes_per_owner, 1048576, 1099511627776, "modules and input of runs that have not ended")

/* What one owner gets. */
struct shares_terms {
#define X(name, smallest, largest, text) int64_t name;
	SHARES_MEMBERS(X)
#undef X
};

struct shares;

/*
 * shares_load - read {"default": {...}, "owners": {"1000": {...}, "alice": {...}}} from the file `path` (NULL: nothing is
 * said of anyone). What is not said of an owner is as in "default", and what is not said there as the settings say; a
 * weight of 1. Returns 0 with *out for shares_free(); ERR_INVAL with file, line and column; ERR_NOTFOUND, ERR_IO,
 * ERR_NOMEM.
 */
int shares_load(const char *path, struct shares **out, struct err *e);
void shares_free(struct shares *s);

/* shares_of - what an owner gets, by these settings. */
struct shares_terms shares_of(const struct shares *s, const struct config *c, uid_t owner);

#endif
