/* broker/heat: which modules are run often of late. Pure. brigd. */

#ifndef BROKER_HEAT_H
#define BROKER_HEAT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "broker/holders.h"

/* One owner's module on one engine: what a template is for. */
struct heat_key {
	uint32_t engine; /* enum proto_engine */
	uid_t owner;
	struct digest module;
};

struct heat;

/*
 * heat_new - remember at most `entries_max` keys, at least one: those that were noted last, and of each owner no more than
 * their weight gives them while others want room. NULL when out of memory.
 */
struct heat *heat_new(size_t entries_max, holders_weight_fn *weight, void *arg);
void heat_free(struct heat *h);

/*
 * heat_note - one more run at `now_ms`, which never goes back. Returns how hot it is now: how many runs there were, one of
 * HEAT_HALF_MS ago counting half, and so on. 0 when out of memory.
 *
 * heat_of - how hot it is, without a run; 0 for one that is not remembered.
 */
#define HEAT_HALF_MS 10000
double heat_note(struct heat *h, const struct heat_key *key, int64_t now_ms);
double heat_of(const struct heat *h, const struct heat_key *key, int64_t now_ms);

/*
 * heat_bar - let a key that is remembered be cold from now on, as long as it is, or until heat_lift_bars, which lifts those
 * of all keys.
 */
void heat_bar(struct heat *h, const struct heat_key *key);
void heat_lift_bars(struct heat *h);

/*
 * heat_bar_parking - remember, as long as the key is remembered, that no worker of it can wait for a run. heat_may_park -
 * whether that is not so.
 */
void heat_bar_parking(struct heat *h, const struct heat_key *key);
int heat_may_park(const struct heat *h, const struct heat_key *key);

/* heat_same - whether two keys are the same. */
int heat_same(const struct heat_key *a, const struct heat_key *b);

#endif
