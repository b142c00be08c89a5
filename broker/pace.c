/* broker/pace: how fast places become free, and when to come back for one. Pure. brigd. */

#include "broker/pace.h"

#define US_PER_MS INT64_C(1000)
#define OLD       7 /* of 8 parts of the mean */

void
pace_freed(struct pace *p, int64_t now_us, bool is_wanted)
{
	int64_t interval_us = now_us - p->freed_us;

	if (p->freed_us != 0 && p->was_wanted)
		p->interval_us = p->interval_us == 0 ? interval_us : (p->interval_us * OLD + interval_us) / (OLD + 1);
	p->freed_us = now_us;
	p->was_wanted = is_wanted;
}

int64_t
pace_promise(struct pace *p, int64_t now_us)
{
	int64_t interval_us = p->interval_us != 0 ? p->interval_us : PACE_UNKNOWN_MS * US_PER_MS;
	int64_t most_us = now_us + PACE_MOST_MS * US_PER_MS, ms;

	if (p->freed_us != 0 && p->was_wanted && now_us - p->freed_us > interval_us)
		interval_us = now_us - p->freed_us; /* it has become slower */
	if (p->promised_us < now_us)
		p->promised_us = now_us;
	p->promised_us += interval_us;
	if (p->promised_us > most_us)
		p->promised_us = most_us;
	ms = (p->promised_us - now_us + US_PER_MS - 1) / US_PER_MS;
	return ms < PACE_LEAST_MS ? PACE_LEAST_MS : ms;
}
