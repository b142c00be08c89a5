/* broker/ahead: stored modules are compiled before a run asks for them, one after the other. brigd. */

#ifndef BROKER_AHEAD_H
#define BROKER_AHEAD_H

#include <event2/event.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/digest.h"
#include "broker/artifacts.h"
#include "broker/keyring.h"
#include "broker/modules.h"

struct ahead;

/* What waits is an owner and a digest: the module is in the store, and is had from there when its turn comes. */
#define AHEAD_PER_OWNER 1000  /* that wait, of one owner; more are compiled when they are run */
#define AHEAD_MAX       10000 /* of all */

/*
 * ahead_new - borrows all three, which outlive it, and the keyring in force, which may change. NULL when out of memory.
 * ahead_free - gives up what waits and what is being compiled.
 */
struct ahead *ahead_new(struct event_base *base, struct modules *modules, struct artifacts *artifacts,
    const struct keyring *const *ring);
void ahead_free(struct ahead *a);

/*
 * ahead_add - compile this module of this owner's for the plain engine, when its turn comes; owners take turns. Its
 * signature is verified again then: what may not be run any more is not compiled. Nobody is told what becomes of it: a
 * module that does not compile is remembered, and whoever runs it is told.
 */
void ahead_add(struct ahead *a, uid_t owner, const struct digest *digest);

/* ahead_cancel - not any more: it was removed. What a run waits for as well is compiled in any case. */
void ahead_cancel(struct ahead *a, uid_t owner, const struct digest *digest);

/* ahead_recheck - the keyring is another: what it does not let run is not compiled any further. */
void ahead_recheck(struct ahead *a);

/* ahead_waiting - how many wait, for metrics. */
size_t ahead_waiting(const struct ahead *a);

#endif
