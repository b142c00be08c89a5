/* broker/pace: how fast places become free, and when to come back for one. Pure. brigd. */

#ifndef BROKER_PACE_H
#define BROKER_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_UNKNOWN_MS 100   /* as long as nothing was measured */
#define PACE_LEAST_MS   1
#define PACE_MOST_MS    60000

/* Of one queue; all zeros at first. Times are in microseconds of a clock that never goes back. */
struct pace {
	int64_t freed_us;    /* when a place became free last; 0: never */
	int64_t interval_us; /* between two places, while some waited for one: the mean, of late above all; 0: unknown */
	int64_t promised_us; /* for when a place was promised last */
	bool was_wanted;     /* others waited for a place when one became free last */
};

/* pace_freed - a place has become free at `now_us`; `is_wanted`: others wait for one. */
void pace_freed(struct pace *p, int64_t now_us, bool is_wanted);

/*
 * pace_promise - in how many milliseconds there will be a place for one more who is turned away at `now_us`: those who were
 * turned away before get theirs first. PACE_LEAST_MS to PACE_MOST_MS.
 */
int64_t pace_promise(struct pace *p, int64_t now_us);

#endif
