/* broker/heat: which modules are run often of late. Pure. brigd. */

#include "broker/heat.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define BUCKETS 256

struct entry {
	LIST_ENTRY(entry) bucket;
	TAILQ_ENTRY(entry) order;
	struct heat_key key;
	struct holder *holder;
	double score; /* at `at_ms` */
	int64_t at_ms;
	bool barred;
	bool parking_barred;
};

struct heat {
	LIST_HEAD(, entry) buckets[BUCKETS]; /* a digest is as good as random, whoever made the module */
	TAILQ_HEAD(order, entry) order;      /* noted last first */
	struct holders owners;
	size_t count, count_max;
};

struct heat *
heat_new(size_t entries_max, holders_weight_fn *weight, void *arg)
{
	struct heat *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->count_max = entries_max;
	TAILQ_INIT(&h->order);
	holders_init(&h->owners, weight, arg);
	return h;
}

void
heat_free(struct heat *h)
{
	struct entry *n;

	if (h == NULL)
		return;
	while ((n = TAILQ_FIRST(&h->order)) != NULL) {
		TAILQ_REMOVE(&h->order, n, order);
		holders_leave(n->holder);
		free(n);
	}
	free(h);
}

int
heat_same(const struct heat_key *a, const struct heat_key *b)
{
	return a->engine == b->engine && a->owner == b->owner &&
	    digest_equal(&a->module, &b->module);
}

static struct entry *
find(const struct heat *h, const struct heat_key *key)
{
	struct entry *n;

	LIST_FOREACH(n, &h->buckets[key->module.bytes[0]], bucket)
		if (heat_same(&n->key, key))
			break;
	return n;
}

static double
score_at(const struct entry *n, int64_t now_ms)
{
	return n->barred ? 0 : n->score * exp2(-(double)(now_ms - n->at_ms) / HEAT_HALF_MS);
}

double
heat_of(const struct heat *h, const struct heat_key *key, int64_t now_ms)
{
	const struct entry *n = find(h, key);

	return n == NULL ? 0 : score_at(n, now_ms);
}

/*
 * Which one to forget: of those whose owners have most for their weight, the one that was noted longest ago. `own` counts
 * one more than there is.
 */
static struct entry *
least_due(struct heat *h, const struct holder *own)
{
	const struct holder *most = TAILQ_FIRST(&h->order)->holder, *o;
	struct entry *n;

	holders_weigh(&h->owners);
	LIST_FOREACH(o, &h->owners.list, link)
		if ((o != own || o->count > 1) && holder_compare(o, o->count, most, most->count) > 0)
			most = o;
	TAILQ_FOREACH_REVERSE(n, &h->order, order, order)
		if (holder_compare(n->holder, n->holder->count, most, most->count) >= 0)
			break;
	return n;
}

/* A new entry, or one that is forgotten for it. */
static struct entry *
entry_new(struct heat *h, const struct heat_key *key)
{
	struct holder *own = holders_enter(&h->owners, key->owner);
	struct entry *n = NULL;

	if (own == NULL)
		return NULL;
	if (h->count < h->count_max && (n = calloc(1, sizeof(*n))) != NULL) {
		h->count++;
	} else if (h->count > 0) {
		n = least_due(h, own);
		LIST_REMOVE(n, bucket);
		TAILQ_REMOVE(&h->order, n, order);
		holders_leave(n->holder);
	} else {
		holders_leave(own);
		return NULL;
	}
	*n = (struct entry){.key = *key, .holder = own};
	return n;
}

double
heat_note(struct heat *h, const struct heat_key *key, int64_t now_ms)
{
	struct entry *n = find(h, key);

	if (n != NULL) {
		n->score = score_at(n, now_ms);
		TAILQ_REMOVE(&h->order, n, order);
	} else {
		if ((n = entry_new(h, key)) == NULL)
			return 0;
		LIST_INSERT_HEAD(&h->buckets[key->module.bytes[0]], n, bucket);
	}
	n->score += n->barred ? 0 : 1;
	n->at_ms = now_ms;
	TAILQ_INSERT_HEAD(&h->order, n, order);
	return n->score;
}

void
heat_bar(struct heat *h, const struct heat_key *key)
{
	struct entry *n = find(h, key);

	if (n == NULL)
		return;
	n->barred = true;
	n->score = 0;
}

void
heat_lift_bars(struct heat *h)
{
	struct entry *n;

	TAILQ_FOREACH(n, &h->order, order)
		n->barred = false;
}

void
heat_bar_parking(struct heat *h, const struct heat_key *key)
{
	struct entry *n = find(h, key);

	if (n != NULL)
		n->parking_barred = true;
}

int
heat_may_park(const struct heat *h, const struct heat_key *key)
{
	const struct entry *n = find(h, key);

	return n != NULL && !n->parking_barred;
}
