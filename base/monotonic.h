/* base/monotonic: time that passes, whatever becomes of the wall clock. Any process. */

#ifndef BASE_MONOTONIC_H
#define BASE_MONOTONIC_H

#include <stdint.h>
#include <time.h>

/* monotonic_ns, monotonic_us, monotonic_ms - since some fixed moment; never goes back. Async-signal-safe. */
static inline uint64_t
monotonic_ns(void)
{
	struct timespec now = {0, 0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline uint64_t
monotonic_us(void)
{
	return monotonic_ns() / 1000;
}

static inline int64_t
monotonic_ms(void)
{
	return (int64_t)(monotonic_ns() / 1000000);
}

#endif
