/* broker/fair: a queue in which owners get shares by their weights, and each orders their own by priority. Pure. brigd. */

#include "broker/fair.h"

#include <assert.h>

#define TURN UINT64_C(720720) /* on the clock, at weight 1; small weights divide it. The clock lasts for 2^44 turns */

void
fair_init(struct fair *f)
{
	TAILQ_INIT(&f->waiting);
	f->clock = f->latest = 0;
	f->count = 0;
}

void
fair_owner_init(struct fair_owner *o, unsigned weight)
{
	o->weight = weight;
	o->due = 0;
	o->count = 0;
	for (unsigned i = 0; i < FAIR_PRIORITIES; i++)
		TAILQ_INIT(&o->items[i]);
}

void
fair_add(struct fair *f, struct fair_item *place, struct fair_owner *owner, unsigned priority, void *item)
{
	assert(priority < FAIR_PRIORITIES && owner->weight > 0);
	*place = (struct fair_item){.owner = owner, .priority = priority, .item = item};
	TAILQ_INSERT_TAIL(&owner->items[priority], place, link);
	if (owner->count++ == 0)
		TAILQ_INSERT_TAIL(&f->waiting, owner, link);
	if (owner->count == 1 && owner->due < f->clock)
		owner->due = f->clock;
	f->count++;
}

void
fair_remove(struct fair *f, struct fair_item *place)
{
	struct fair_owner *o = place->owner;

	TAILQ_REMOVE(&o->items[place->priority], place, link);
	if (--o->count == 0)
		TAILQ_REMOVE(&f->waiting, o, link);
	if (--f->count == 0)
		f->clock = f->latest;
}

static struct fair_item *
first_of(const struct fair_owner *o)
{
	for (unsigned i = FAIR_PRIORITIES; i-- > 0;)
		if (!TAILQ_EMPTY(&o->items[i]))
			return TAILQ_FIRST(&o->items[i]);
	return NULL;
}

void *
fair_take(struct fair *f, bool (*ready)(const void *item))
{
	struct fair_item *place = NULL;
	struct fair_owner *o, *first = NULL;

	TAILQ_FOREACH(o, &f->waiting, link)
		if ((first == NULL || o->due < first->due) && (ready == NULL || ready(first_of(o)->item)))
			first = o;
	if (first == NULL)
		return NULL;
	place = first_of(first);
	if (first->due < f->clock) /* it could not be taken when it was due */
		first->due = f->clock;
	f->clock = first->due;
	first->due += TURN / first->weight;
	if (first->due > f->latest)
		f->latest = first->due;
	fair_remove(f, place);
	if (first->count > 0) { /* of those that are due at the same time, this one is the last now */
		TAILQ_REMOVE(&f->waiting, first, link);
		TAILQ_INSERT_TAIL(&f->waiting, first, link);
	}
	return place->item;
}

bool
fair_is_settled(const struct fair *f, const struct fair_owner *o)
{
	return o->count == 0 && o->due <= f->clock;
}
