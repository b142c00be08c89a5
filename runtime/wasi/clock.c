/* runtime/wasi/clock: what a guest sees of time. Knows no guest memory. Runs in the worker. */

#include "runtime/wasi/clock.h"

#include <time.h>

static const clockid_t ids[WASI_CLOCK_COUNT] = {
	[WASI_CLOCK_REALTIME] = CLOCK_REALTIME,
	[WASI_CLOCK_MONOTONIC] = CLOCK_MONOTONIC,
	[WASI_CLOCK_PROCESS_CPU] = CLOCK_PROCESS_CPUTIME_ID,
	[WASI_CLOCK_THREAD_CPU] = CLOCK_THREAD_CPUTIME_ID,
};

static uint64_t
nanoseconds(const struct timespec *ts)
{
	return ts->tv_sec < 0 ? 0 : (uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec;
}

/* The machine's clock; 0 when it has none such, which Linux always has. */
static uint64_t
machine(uint32_t id)
{
	struct timespec ts = {0, 0};

	(void)clock_gettime(ids[id], &ts);
	return nanoseconds(&ts);
}

void
wasi_clock_measure(struct wasi_clock *c)
{
	for (uint32_t id = 0; id < WASI_CLOCK_COUNT; id++) {
		struct timespec ts = {0, 1};

		(void)clock_getres(ids[id], &ts);
		c->resolution[id] = nanoseconds(&ts) > 0 ? nanoseconds(&ts) : 1;
	}
}

enum wasi_errno
wasi_clock_now(const struct wasi_clock *c, uint32_t id, uint64_t *ns)
{
	uint64_t now;

	if (id >= WASI_CLOCK_COUNT)
		return WASI_EINVAL;
	if (c->kind == PROTO_CLOCK_NONE)
		return WASI_ENOTCAPABLE;
	if (c->kind == PROTO_CLOCK_FIXED) {
		*ns = c->fixed_ns;
		return WASI_ESUCCESS;
	}
	now = machine(id);
	*ns = c->kind == PROTO_CLOCK_REAL ? now : now - now % WASI_CLOCK_COARSE_NS;
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_clock_resolution(const struct wasi_clock *c, uint32_t id, uint64_t *ns)
{
	if (id >= WASI_CLOCK_COUNT)
		return WASI_EINVAL;
	if (c->kind == PROTO_CLOCK_NONE)
		return WASI_ENOTCAPABLE;
	if (c->kind == PROTO_CLOCK_COARSE && c->resolution[id] < WASI_CLOCK_COARSE_NS)
		*ns = WASI_CLOCK_COARSE_NS;
	else
		*ns = c->kind == PROTO_CLOCK_FIXED ? 1 : c->resolution[id];
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_clock_until(const struct wasi_clock *c, uint32_t id, uint64_t target, uint64_t *ns)
{
	uint64_t now, late;
	enum wasi_errno error = wasi_clock_now(c, id, &now);

	if (error != WASI_ESUCCESS)
		return error;
	if (id != WASI_CLOCK_REALTIME && id != WASI_CLOCK_MONOTONIC)
		return WASI_ENOTSUP;
	if (c->kind != PROTO_CLOCK_COARSE || target <= now) {
		*ns = target > now ? target - now : 0;
		return WASI_ESUCCESS;
	}
	/* A coarse clock shows `target` at the first whole step that is not before it. */
	late = (WASI_CLOCK_COARSE_NS - target % WASI_CLOCK_COARSE_NS) % WASI_CLOCK_COARSE_NS;
	target = target > UINT64_MAX - late ? UINT64_MAX : target + late;
	now = machine(id);
	*ns = target > now ? target - now : 0;
	return WASI_ESUCCESS;
}

uint64_t
wasi_clock_elapsed(void)
{
	return machine(WASI_CLOCK_MONOTONIC);
}
