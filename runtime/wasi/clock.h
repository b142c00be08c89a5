/* runtime/wasi/clock: what a guest sees of time. Knows no guest memory. Runs in the worker. */

#ifndef RUNTIME_WASI_CLOCK_H
#define RUNTIME_WASI_CLOCK_H

#include <stdint.h>

#include "base/proto.h"
#include "runtime/wasi/errno.h"

/* The numbers are those of preview 1's `clockid`. */
enum wasi_clock_id {
	WASI_CLOCK_REALTIME = 0,
	WASI_CLOCK_MONOTONIC = 1,
	WASI_CLOCK_PROCESS_CPU = 2, /* of the worker, from its fork on */
	WASI_CLOCK_THREAD_CPU = 3,
	WASI_CLOCK_COUNT
};

#define WASI_CLOCK_COARSE_NS 1000000u /* the step of PROTO_CLOCK_COARSE */

struct wasi_clock {
	enum proto_clock kind;
	uint64_t fixed_ns;
	uint64_t resolution[WASI_CLOCK_COUNT]; /* of the machine's clocks */
};

/* wasi_clock_measure - note the machine's resolutions; to be done before lock-down, which forbids clock_getres(2). */
void wasi_clock_measure(struct wasi_clock *c);

/*
 * wasi_clock_now - what the guest is told; nanoseconds.
 *
 * REAL is the machine's clock; COARSE the same rounded down to a millisecond, all four of them; FIXED the same value
 * from every clock, for ever. EINVAL for an id that is none, ENOTCAPABLE when there is no clock (PROTO_CLOCK_NONE).
 */
enum wasi_errno wasi_clock_now(const struct wasi_clock *c, uint32_t id, uint64_t *ns);

/* wasi_clock_resolution - the step of what wasi_clock_now tells, never 0; errors as there. */
enum wasi_errno wasi_clock_resolution(const struct wasi_clock *c, uint32_t id, uint64_t *ns);

/*
 * wasi_clock_until - *ns: how long to sleep until the guest's clock `id` shows at least `target`; 0 if it does already.
 *
 * With a FIXED clock, which never gets there, it is the difference: a program that sleeps until "now + 1 s" sleeps 1 s.
 * ENOTSUP for the CPU-time clocks, which stand still in a sleep; other errors as for wasi_clock_now.
 */
enum wasi_errno wasi_clock_until(const struct wasi_clock *c, uint32_t id, uint64_t target, uint64_t *ns);

/* wasi_clock_elapsed - the machine's monotonic clock, whatever the guest is shown: to measure how long a sleep took. */
uint64_t wasi_clock_elapsed(void);

#endif
