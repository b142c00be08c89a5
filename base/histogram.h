/* histogram: many measured times in little room, to a hundredth. brigd, brig. */

#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

/*
 * Buckets are as wide as a 128th of the power of two that they begin in, so that every value is known to 1 in 128, from
 * nanoseconds to hours, and percentiles of millions of values cost nothing to ask for.
 */
#define HISTOGRAM_SUB_BITS   7
#define HISTOGRAM_VALUE_BITS 44 /* larger values count as the largest; the maximum is exact in any case */
#define HISTOGRAM_BUCKETS    ((HISTOGRAM_VALUE_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
	uint64_t count, sum, min, max;
	uint32_t buckets[HISTOGRAM_BUCKETS]; /* 4294967295 values in each at most */
};

/* histogram_add - one more value. A histogram begins as all zeros. */
void histogram_add(struct histogram *h, uint64_t value);

/* histogram_merge - add all the values of another. */
void histogram_merge(struct histogram *h, const struct histogram *other);

/*
 * histogram_at - the value that `percent` of all values do not exceed, to 1 in 128; 100 is the maximum, exactly. 0 when
 * there are none.
 */
uint64_t histogram_at(const struct histogram *h, double percent);

/*
 * histogram_next - go through the buckets that hold something: *bucket begins as 0; returns 1 with *value, the largest
 * value that the bucket stands for, and how many are in it; 0 when there are no more.
 */
int histogram_next(const struct histogram *h, unsigned *bucket, uint64_t *value, uint64_t *count);

#endif
