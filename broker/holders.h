/* broker/holders: owners who hold parts of what all share, and who of them has too much for their weight. Pure. brigd. */

#ifndef BROKER_HOLDERS_H
#define BROKER_HOLDERS_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

/* One owner, as long as they hold something. */
struct holder {
	LIST_ENTRY(holder) link;
	struct holders *all;
	uid_t owner;
	unsigned weight; /* 1 and up, as last asked */
	unsigned count;  /* parts that they hold */
	unsigned tally;  /* the caller's, for something else to be counted by owner */
};

/* What `weight` gives may change at any time; NULL: all have the same. */
typedef unsigned holders_weight_fn(void *arg, uid_t owner);

struct holders {
	LIST_HEAD(, holder) list;
	holders_weight_fn *weight;
	void *arg;
};

void holders_init(struct holders *all, holders_weight_fn *weight, void *arg);

/* holders_enter - one more part for `owner`. NULL when out of memory. holders_leave - one less: with the last, `h` goes. */
struct holder *holders_enter(struct holders *all, uid_t owner);
void holders_leave(struct holder *h);

/* holders_weigh - ask for the weights of all. */
void holders_weigh(struct holders *all);

/*
 * holder_compare - who has more for their weight: less than 0 when `x` parts are less for `a` than `y` parts are for `b`.
 * One may take a part from another while it has less with it than they have with it (x is one more then): nobody can take
 * that back by the same rule.
 */
int holder_compare(const struct holder *a, unsigned x, const struct holder *b, unsigned y);

#endif
