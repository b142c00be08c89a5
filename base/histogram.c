/* histogram: many measured times in little room, to a hundredth. brigd, brig. */

#include "base/histogram.h"

#define SUB (UINT64_C(1) << HISTOGRAM_SUB_BITS)

static unsigned
bucket_of(uint64_t value)
{
	unsigned shift = 0;

	if (value >= UINT64_C(1) << HISTOGRAM_VALUE_BITS)
		return HISTOGRAM_BUCKETS - 1;
	if (value >= SUB)
		shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	return (unsigned)((shift << HISTOGRAM_SUB_BITS) + (value >> shift));
}

/* The largest value that falls into a bucket. */
static uint64_t
largest_in(unsigned bucket)
{
	unsigned shift;

	if (bucket < 2 * SUB)
		return bucket;
	shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
	return ((bucket - ((uint64_t)shift << HISTOGRAM_SUB_BITS) + 1) << shift) - 1;
}

void
histogram_add(struct histogram *h, uint64_t value)
{
	h->buckets[bucket_of(value)]++;
	h->min = h->count == 0 || value < h->min ? value : h->min;
	h->max = value > h->max ? value : h->max;
	h->sum += value;
	h->count++;
}

void
histogram_merge(struct histogram *h, const struct histogram *other)
{
	if (other->count == 0)
		return;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		h->buckets[i] += other->buckets[i];
	h->min = h->count == 0 || other->min < h->min ? other->min : h->min;
	h->max = other->max > h->max ? other->max : h->max;
	h->sum += other->sum;
	h->count += other->count;
}

uint64_t
histogram_at(const struct histogram *h, double percent)
{
	double wanted = (double)h->count * percent / 100;
	uint64_t seen = 0;

	if (h->count == 0 || percent >= 100)
		return h->max;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->buckets[i];
		if (seen > 0 && (double)seen >= wanted)
			return largest_in(i) < h->max ? largest_in(i) : h->max;
	}
	return h->max;
}

int
histogram_next(const struct histogram *h, unsigned *bucket, uint64_t *value, uint64_t *count)
{
	for (; *bucket < HISTOGRAM_BUCKETS; ++*bucket) {
		if (h->buckets[*bucket] == 0)
			continue;
		*value = largest_in(*bucket) < h->max ? largest_in(*bucket) : h->max;
		*count = h->buckets[*bucket];
		++*bucket;
		return 1;
	}
	return 0;
}
