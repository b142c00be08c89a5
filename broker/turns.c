/* broker/turns: a queue in which owners take turns, however much each of them has waiting. brigd. */

#include "broker/turns.h"

void
turns_init(struct turns *t)
{
	TAILQ_INIT(&t->owners);
	t->count = 0;
}

static struct turn *
first_of(struct turns *t, uid_t owner)
{
	struct turn *first;

	TAILQ_FOREACH(first, &t->owners, link)
		if (first->owner == owner)
			return first;
	return NULL;
}

void
turns_add(struct turns *t, struct turn *turn, uid_t owner, void *item)
{
	struct turn *first = first_of(t, owner);

	turn->owner = owner;
	turn->item = item;
	turn->first = first == NULL;
	if (turn->first) {
		TAILQ_INIT(&turn->rest);
		TAILQ_INSERT_TAIL(&t->owners, turn, link);
	} else {
		TAILQ_INSERT_TAIL(&first->rest, turn, link);
	}
	t->count++;
}

/* Takes the next of the same owner out of `first`, to hold the others in its place. NULL when there is none. */
static struct turn *
heir_of(struct turn *first)
{
	struct turn *heir = TAILQ_FIRST(&first->rest);

	if (heir == NULL)
		return NULL;
	TAILQ_REMOVE(&first->rest, heir, link);
	heir->first = true;
	TAILQ_INIT(&heir->rest);
	TAILQ_CONCAT(&heir->rest, &first->rest, link);
	return heir;
}

void
turns_remove(struct turns *t, struct turn *turn)
{
	struct turn *heir;

	t->count--;
	if (!turn->first) {
		TAILQ_REMOVE(&first_of(t, turn->owner)->rest, turn, link);
		return;
	}
	heir = heir_of(turn);
	if (heir != NULL)
		TAILQ_INSERT_AFTER(&t->owners, turn, heir, link);
	TAILQ_REMOVE(&t->owners, turn, link);
}

/* Takes out the first item of an owner, and puts the owner's next at the end. */
static void *
take(struct turns *t, struct turn *turn)
{
	struct turn *heir;

	t->count--;
	TAILQ_REMOVE(&t->owners, turn, link);
	heir = heir_of(turn);
	if (heir != NULL)
		TAILQ_INSERT_TAIL(&t->owners, heir, link);
	return turn->item;
}

void *
turns_take(struct turns *t)
{
	struct turn *turn = TAILQ_FIRST(&t->owners);

	return turn != NULL ? take(t, turn) : NULL;
}

void *
turns_take_ready(struct turns *t, bool (*ready)(const void *item))
{
	struct turn *turn;

	TAILQ_FOREACH(turn, &t->owners, link)
		if (ready(turn->item))
			return take(t, turn);
	return NULL;
}
