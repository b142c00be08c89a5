/* broker/fair: a queue in which owners get shares by their weights, and each orders their own by priority. Pure. brigd. */

#ifndef BROKER_FAIR_H
#define BROKER_FAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define FAIR_PRIORITIES 10   /* 0 to 9; 9 goes first */
#define FAIR_WEIGHT_MAX 1000

/*
 * Start-time fair queueing, by how long what was taken holds its place. The queue has a clock, which shows when what was
 * taken last was due. What an owner of weight w takes makes their next one due c/w later, and the one that is due first is
 * taken. The cost c is first how long their last ones held their places, on average, and once a place is given back, how
 * long it was held while others waited. So owners who always have something waiting hold places in the ratio of their
 * weights, however long each of theirs takes, and whatever their priorities are; who comes back after a while is due now,
 * not earlier, so that no one saves up turns; and who had their share is not due before the others had theirs, also when
 * their queue was empty for a moment. When nothing waits at all, nobody is short of anything, and all begin anew; a place
 * that is held while nobody else waits costs nothing.
 *
 * Times are of a clock that never goes back, in microseconds.
 */
struct fair_item {
	TAILQ_ENTRY(fair_item) link;
	struct fair_owner *owner;
	unsigned priority;
	void *item;
	uint64_t taken; /* when; from here on, only once it was */
	uint64_t cost;  /* what was charged for it */
	uint64_t since; /* how long others had waited by then */
};

/* Of one owner; lives in what the caller keeps about them. Members are the queue's own, but for `weight`. */
struct fair_owner {
	TAILQ_ENTRY(fair_owner) link; /* while something waits */
	unsigned weight;              /* 1 to FAIR_WEIGHT_MAX; may be changed at any time */
	uint64_t due;                 /* by the queue's clock, the next one */
	uint64_t usual;               /* how long a place is held, of late */
	uint64_t alone;               /* how long nobody else waited while something of theirs did */
	size_t count;
	TAILQ_HEAD(fair_items, fair_item) items[FAIR_PRIORITIES];
};

struct fair {
	TAILQ_HEAD(, fair_owner) waiting;
	uint64_t clock;
	uint64_t latest; /* when the last of all is due that were given a turn */
	size_t count;
	uint64_t now, waited; /* the last time that was told; how long somebody had waited by then */
};

/* fair_init - an empty queue. fair_owner_init - an owner with nothing waiting. Neither owns memory. */
void fair_init(struct fair *f);
void fair_owner_init(struct fair_owner *o, unsigned weight);

/* fair_add - put `item` behind what this owner has waiting of the same priority or a higher one. */
void fair_add(struct fair *f, struct fair_item *place, struct fair_owner *owner, unsigned priority, void *item,
    uint64_t now);

/* fair_remove - take out what waits no longer. It costs its owner nothing. */
void fair_remove(struct fair *f, struct fair_item *place, uint64_t now);

/*
 * fair_take - take out the first of the owner who is due first, passing over those for whom `ready` (NULL: always) says no
 * of their first. They keep one turn, not those that they missed. NULL when there is none.
 */
void *fair_take(struct fair *f, bool (*ready)(const void *item), uint64_t now);

/* fair_return - what was taken holds its place no longer: its owner pays for how long it did. Once for each. */
void fair_return(struct fair *f, struct fair_item *place, uint64_t now);

/* fair_is_settled - whether nothing of an owner waits, and forgetting them gives them no advantage. */
bool fair_is_settled(const struct fair *f, const struct fair_owner *o);

#endif
