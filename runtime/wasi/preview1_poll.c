/* runtime/wasi/preview1: poll_oneoff: waiting for times and streams. Runs in the worker. */

#include "runtime/wasi/preview1.h"

#include <endian.h>
#include <stddef.h>

#define SUBSCRIPTION_SIZE 48
#define EVENT_SIZE        32
#define LOOK_EVERY        1024 /* subscriptions between two looks at `stop` */

enum { EVENT_CLOCK = 0, EVENT_READ = 1, EVENT_WRITE = 2, EVENT_COUNT };
enum { SUBCLOCK_ABSOLUTE = 1, READWRITE_HANGUP = 1 };

/* One subscription, decoded. */
struct subscription {
	uint64_t userdata;
	uint8_t type;
	uint32_t target; /* clock id or descriptor */
	uint64_t timeout;
	uint16_t flags;
};

/* An event as it lies in the guest's memory. */
struct event {
	uint64_t userdata;
	uint16_t error;
	uint8_t type;
	uint8_t reserved[5];
	uint64_t bytes;
	uint16_t flags;
	uint8_t reserved2[6];
};
_Static_assert(sizeof(struct event) == EVENT_SIZE && offsetof(struct event, bytes) == 16, "event");

/* One call, and one pass over its subscriptions. */
struct poll {
	struct wasi *w;
	uint64_t in, out, count;
	uint64_t start;   /* wasi_clock_elapsed() at the call */
	uint64_t elapsed; /* since then, at this pass */
	uint64_t sleep;   /* until the nearest time that somebody waits for */
	bool input;       /* somebody waits for input that is not there */
	bool looked;      /* at the input in this pass; `seen` is what came of it */
	enum wasi_stream_status seen;
	uint32_t events;
};

/* EINVAL for what the specification's types cannot hold. */
static enum wasi_errno
decode(const struct poll *p, uint64_t i, struct subscription *s)
{
	const struct wasi_memory *m = &p->w->memory;
	uint64_t at = p->in + SUBSCRIPTION_SIZE * i;

	if (!wasi_memory_get64(m, at, &s->userdata) || !wasi_memory_get8(m, at + 8, &s->type) ||
	    !wasi_memory_get32(m, at + 16, &s->target) || !wasi_memory_get64(m, at + 24, &s->timeout) ||
	    !wasi_memory_get16(m, at + 40, &s->flags))
		return WASI_EFAULT;
	if (s->type >= EVENT_COUNT)
		return WASI_EINVAL;
	if (s->type == EVENT_CLOCK && (s->target >= WASI_CLOCK_COUNT || (s->flags & ~SUBCLOCK_ABSOLUTE) != 0))
		return WASI_EINVAL;
	return WASI_ESUCCESS;
}

static void
emit(struct poll *p, const struct subscription *s, enum wasi_errno error, uint64_t bytes, uint16_t flags)
{
	struct event event = {
		.userdata = htole64(s->userdata),
		.error = htole16((uint16_t)error),
		.type = s->type,
		.bytes = htole64(bytes),
		.flags = htole16(flags),
	};

	wasi_memory_write(&p->w->memory, p->out + EVENT_SIZE * (uint64_t)p->events, &event, sizeof(event));
	p->events++;
}

/*
 * How long from now until the time that is waited for. A relative time needs no clock that the guest may read, so it
 * needs no capability: a run without clock can sleep. A fixed clock stands still, so the way to an absolute time is
 * walked from the start of the call.
 */
static enum wasi_errno
time_left(const struct poll *p, const struct subscription *s, uint64_t *left)
{
	uint64_t total = s->timeout, walked = p->elapsed;
	enum wasi_errno error = WASI_ESUCCESS;

	if ((s->flags & SUBCLOCK_ABSOLUTE) != 0) {
		if (!wasi_allows(p->w, WASI_CALL_poll_oneoff, WASI_CAP_CLOCK))
			return WASI_ENOTCAPABLE;
		error = wasi_clock_until(&p->w->clock, s->target, s->timeout, &total);
		walked = p->w->clock.kind == PROTO_CLOCK_FIXED ? p->elapsed : 0;
	} else if (s->target != WASI_CLOCK_REALTIME && s->target != WASI_CLOCK_MONOTONIC) {
		error = WASI_ENOTSUP;
	}
	if (error == WASI_ESUCCESS)
		*left = total > walked ? total - walked : 0;
	return error;
}

static void
poll_clock(struct poll *p, const struct subscription *s)
{
	uint64_t left = 0;
	enum wasi_errno error = time_left(p, s, &left);

	if (error != WASI_ESUCCESS || left == 0)
		emit(p, s, error, 0, 0);
	else if (left < p->sleep)
		p->sleep = left;
}

/* Looks at the input, once a pass however many subscriptions ask. */
static enum wasi_stream_status
look(struct poll *p)
{
	if (!p->looked) {
		p->seen = wasi_input_fill(&p->w->in, &p->w->port, false);
		p->looked = true;
	}
	return p->seen;
}

/* A file can always be read: at its end, nothing is read at once. */
static void
poll_read(struct poll *p, const struct subscription *s)
{
	const struct wasi_input *in = &p->w->in;
	struct wasi_fd *f;
	enum wasi_errno error;

	error = wasi_fds_need(&p->w->fds, s->target, WASI_RIGHT_FD_READ | WASI_RIGHT_POLL_FD_READWRITE, &f);
	if (error != WASI_ESUCCESS)
		emit(p, s, error, 0, 0);
	else if (f->kind == WASI_FD_FILE)
		emit(p, s, WASI_ESUCCESS, f->node->file.size > f->offset ? f->node->file.size - f->offset : 0, 0);
	else if (look(p) == WASI_STREAM_AGAIN)
		p->input = true;
	else
		emit(p, s, wasi_settle(p->w, p->seen), in->left, in->left == 0 ? READWRITE_HANGUP : 0);
}

/* Output never waits for the guest's sake: it is buffered, and sent or cut. Nor does a file. */
static void
poll_write(struct poll *p, const struct subscription *s)
{
	struct wasi_fd *f;
	enum wasi_errno error;

	error = wasi_fds_need(&p->w->fds, s->target, WASI_RIGHT_FD_WRITE | WASI_RIGHT_POLL_FD_READWRITE, &f);
	emit(p, s, error, error == WASI_ESUCCESS ? WASI_OUTPUT_BUFFER : 0, 0);
}

/* One pass: writes the events of what is ready now, and notes what to wait for when nothing is. */
static enum wasi_errno
pass(struct poll *p)
{
	static void (*const polls[EVENT_COUNT])(struct poll *, const struct subscription *) = {
		[EVENT_CLOCK] = poll_clock,
		[EVENT_READ] = poll_read,
		[EVENT_WRITE] = poll_write,
	};

	p->elapsed = wasi_clock_elapsed() - p->start;
	p->sleep = UINT64_MAX;
	p->input = false;
	p->looked = false;
	for (uint64_t i = 0; i < p->count && p->w->end == WASI_END_NOT; i++) {
		struct subscription s;
		enum wasi_errno error;

		if (i % LOOK_EVERY == 0 && wasi_interrupted(p->w))
			break;
		error = decode(p, i, &s);
		if (error != WASI_ESUCCESS)
			return error;
		polls[s.type](p, &s);
	}
	return WASI_ESUCCESS;
}

/* Sleeps until something may have happened. Buffered output goes out first. */
static enum wasi_errno
wait_for_any(struct poll *p)
{
	enum wasi_stream_status s = WASI_STREAM_OK;
	enum wasi_errno error;

	for (int i = 0; i < 2 && s == WASI_STREAM_OK; i++)
		s = wasi_output_flush(&p->w->out[i], &p->w->port, false);
	if (s == WASI_STREAM_OK)
		s = wasi_port_wait(&p->w->port, p->input, p->sleep);
	error = wasi_settle(p->w, s);
	return error == WASI_EAGAIN ? WASI_ESUCCESS : error;
}

enum wasi_errno
preview1_poll_oneoff(struct wasi *w, const uint64_t *a)
{
	struct poll p = {.w = w, .in = a[0], .out = a[1], .count = a[2], .start = wasi_clock_elapsed()};
	enum wasi_errno error;

	if (p.count == 0)
		return WASI_EINVAL;
	if (!wasi_memory_fits(&w->memory, p.in, SUBSCRIPTION_SIZE * p.count) ||
	    !wasi_memory_fits(&w->memory, p.out, EVENT_SIZE * p.count) || !wasi_memory_fits(&w->memory, a[3], 4))
		return WASI_EFAULT;
	for (;;) {
		error = pass(&p);
		if (error != WASI_ESUCCESS || p.events > 0 || w->end != WASI_END_NOT)
			break;
		error = wait_for_any(&p);
		if (error != WASI_ESUCCESS)
			break;
	}
	if (error == WASI_ESUCCESS)
		wasi_memory_put32(&w->memory, a[3], p.events);
	return error;
}
