/* broker/fair: a queue in which owners get shares by their weights, and each orders their own by priority. Pure. brigd. */

#include "broker/fair.h"

#include <assert.h>

#define UNIT        UINT64_C(60)   /* on the queue's clock, a microsecond at weight 1: years of it fit, at 4096 places */
#define COST_LEAST  UINT64_C(1000) /* charged for a start until the place is given back: many at once are not free */
#define OF_LATE     4              /* how many places back the average goes */

void
fair_init(struct fair *f)
{
	TAILQ_INIT(&f->waiting);
	f->clock = f->latest = 0;
	f->now = f->waited = 0;
	f->count = 0;
}

void
fair_owner_init(struct fair_owner *o, unsigned weight)
{
	o->weight = weight;
	o->due = o->usual = o->alone = 0;
	o->count = 0;
	for (unsigned i = 0; i < FAIR_PRIORITIES; i++)
		TAILQ_INIT(&o->items[i]);
}

/* Time goes on. It counts while somebody waits; for one who waits alone it does not. */
static void
pass(struct fair *f, uint64_t now)
{
	struct fair_owner *o = TAILQ_FIRST(&f->waiting);

	if (now <= f->now)
		return;
	if (o != NULL)
		f->waited += now - f->now;
	if (o != NULL && TAILQ_NEXT(o, link) == NULL)
		o->alone += now - f->now;
	f->now = now;
}

/* How long others than this owner have waited. */
static uint64_t
others_waited(const struct fair *f, const struct fair_owner *o)
{
	return f->waited - o->alone;
}

void
fair_add(struct fair *f, struct fair_item *place, struct fair_owner *owner, unsigned priority, void *item,
    uint64_t now)
{
	assert(priority < FAIR_PRIORITIES && owner->weight > 0);
	pass(f, now);
	*place = (struct fair_item){.owner = owner, .priority = priority, .item = item};
	TAILQ_INSERT_TAIL(&owner->items[priority], place, link);
	if (owner->count++ == 0)
		TAILQ_INSERT_TAIL(&f->waiting, owner, link);
	if (owner->count == 1 && owner->due < f->clock)
		owner->due = f->clock;
	f->count++;
}

void
fair_remove(struct fair *f, struct fair_item *place, uint64_t now)
{
	struct fair_owner *o = place->owner;

	pass(f, now);
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

static uint64_t
price(const struct fair_owner *o, uint64_t cost)
{
	return cost * UNIT / o->weight;
}

static void
charge(struct fair *f, struct fair_owner *o, uint64_t cost)
{
	o->due += price(o, cost);
	if (o->due > f->latest)
		f->latest = o->due;
	if (f->count == 0)
		f->clock = f->latest;
}

void *
fair_take(struct fair *f, bool (*ready)(const void *item), uint64_t now)
{
	struct fair_item *place = NULL;
	struct fair_owner *o, *first = NULL;

	pass(f, now);
	TAILQ_FOREACH(o, &f->waiting, link)
		if ((first == NULL || o->due < first->due) && (ready == NULL || ready(first_of(o)->item)))
			first = o;
	if (first == NULL)
		return NULL;
	place = first_of(first);
	if (first->due < f->clock) /* it could not be taken when it was due */
		first->due = f->clock;
	f->clock = first->due;
	place->cost = first->usual > COST_LEAST ? first->usual : COST_LEAST;
	place->taken = f->now;
	place->since = others_waited(f, first);
	charge(f, first, place->cost);
	fair_remove(f, place, now);
	if (first->count > 0) { /* of those that are due at the same time, this one is the last now */
		TAILQ_REMOVE(&f->waiting, first, link);
		TAILQ_INSERT_TAIL(&f->waiting, first, link);
	}
	return place->item;
}

void
fair_return(struct fair *f, struct fair_item *place, uint64_t now)
{
	struct fair_owner *o = place->owner;
	uint64_t back;

	pass(f, now);
	o->usual += (f->now - place->taken) / OF_LATE - o->usual / OF_LATE;
	back = price(o, place->cost);
	o->due -= back < o->due ? back : o->due;
	charge(f, o, others_waited(f, o) - place->since);
}

bool
fair_is_settled(const struct fair *f, const struct fair_owner *o)
{
	return o->count == 0 && o->due <= f->clock;
}
