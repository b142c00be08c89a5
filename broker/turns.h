/* broker/turns: a queue in which owners take turns, however much each of them has waiting. brigd. */

#ifndef BROKER_TURNS_H
#define BROKER_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/types.h>

/* A place in the queue; lives in what waits, which is found by `item`. Members are the queue's own. */
struct turn {
	uid_t owner;
	void *item;
	bool first;                     /* of its owner: it is in the queue's list and holds the others */
	TAILQ_ENTRY(turn) link;         /* in the queue's list, or in the `rest` of its owner's first */
	TAILQ_HEAD(turn_list, turn) rest;
};

struct turns {
	struct turn_list owners; /* the first of each owner, in the order of their turns */
	size_t count;
};

/* turns_init - an empty queue. It owns no memory, so there is nothing to free. */
void turns_init(struct turns *t);

/* turns_add - put `item` behind what else this owner has waiting; an owner with nothing waiting gets the last turn. */
void turns_add(struct turns *t, struct turn *turn, uid_t owner, void *item);

/* turns_remove - take out what waits no longer. Its owner keeps their turn for the next. */
void turns_remove(struct turns *t, struct turn *turn);

/* turns_take - take out the oldest item of the owner whose turn it is; NULL when the queue is empty. */
void *turns_take(struct turns *t);

/* turns_take_ready - the same, passing over owners whose oldest item is not `ready`; NULL when no owner's is. */
void *turns_take_ready(struct turns *t, bool (*ready)(const void *item));

#endif
