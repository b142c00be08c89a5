/* broker/holders: owners who hold parts of what all share, and who of them has too much for their weight. Pure. brigd. */

#include "broker/holders.h"

#include <stdint.h>
#include <stdlib.h>

void
holders_init(struct holders *all, holders_weight_fn *weight, void *arg)
{
	LIST_INIT(&all->list);
	all->weight = weight;
	all->arg = arg;
}

static unsigned
weight_of(const struct holders *all, uid_t owner)
{
	return all->weight == NULL ? 1 : all->weight(all->arg, owner);
}

struct holder *
holders_enter(struct holders *all, uid_t owner)
{
	struct holder *h;

	LIST_FOREACH(h, &all->list, link)
		if (h->owner == owner)
			break;
	if (h == NULL) {
		if ((h = calloc(1, sizeof(*h))) == NULL)
			return NULL;
		h->all = all;
		h->owner = owner;
		h->weight = weight_of(all, owner);
		LIST_INSERT_HEAD(&all->list, h, link);
	}
	h->count++;
	return h;
}

void
holders_leave(struct holder *h)
{
	if (--h->count > 0)
		return;
	LIST_REMOVE(h, link);
	free(h);
}

void
holders_weigh(struct holders *all)
{
	struct holder *h;

	LIST_FOREACH(h, &all->list, link)
		h->weight = weight_of(all, h->owner);
}

int
holder_compare(const struct holder *a, unsigned x, const struct holder *b, unsigned y)
{
	uint64_t left = (uint64_t)x * b->weight, right = (uint64_t)y * a->weight;

	return left < right ? -1 : left > right;
}
