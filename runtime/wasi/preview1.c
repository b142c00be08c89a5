/* runtime/wasi/preview1: arguments, environment, clocks, randomness, the process. Runs in the worker. */

#include "runtime/wasi/preview1.h"

#include <string.h>

/* --- arguments and environment --------------------------------------------------------------------------------- */

static enum wasi_errno
strings_sizes(struct wasi *w, const struct wasi_strings *s, const uint64_t *a)
{
	if (!wasi_memory_fits(&w->memory, a[0], 4) || !wasi_memory_put32(&w->memory, a[1], s->bytes))
		return WASI_EFAULT;
	wasi_memory_put32(&w->memory, a[0], s->count);
	return WASI_ESUCCESS;
}

/* Writes the strings to a[1] and pointers to them to a[0]. */
static enum wasi_errno
strings_get(struct wasi *w, const struct wasi_strings *s, const uint64_t *a)
{
	static const uint8_t nul;
	const uint8_t *from = s->data;
	uint64_t to = a[1];

	if (!wasi_memory_fits(&w->memory, a[0], 4 * (uint64_t)s->count) ||
	    !wasi_memory_fits(&w->memory, a[1], s->bytes))
		return WASI_EFAULT;
	for (uint32_t i = 0; i < s->count; i++) {
		uint32_t n;

		memcpy(&n, from, sizeof(n));
		from += sizeof(n);
		if (!wasi_memory_put32(&w->memory, a[0] + 4 * (uint64_t)i, (uint32_t)to) ||
		    !wasi_memory_write(&w->memory, to, from, n) || !wasi_memory_write(&w->memory, to + n, &nul, 1))
			return WASI_EFAULT;
		from += n;
		to += (uint64_t)n + 1;
		if (wasi_interrupted(w))
			break;
	}
	return WASI_ESUCCESS;
}

enum wasi_errno
preview1_args_get(struct wasi *w, const uint64_t *a)
{
	return strings_get(w, &w->args, a);
}

enum wasi_errno
preview1_args_sizes_get(struct wasi *w, const uint64_t *a)
{
	return strings_sizes(w, &w->args, a);
}

enum wasi_errno
preview1_environ_get(struct wasi *w, const uint64_t *a)
{
	return strings_get(w, &w->environment, a);
}

enum wasi_errno
preview1_environ_sizes_get(struct wasi *w, const uint64_t *a)
{
	return strings_sizes(w, &w->environment, a);
}

/* --- clocks, randomness, process ------------------------------------------------------------------------------- */

enum wasi_errno
preview1_clock_res_get(struct wasi *w, const uint64_t *a)
{
	uint64_t ns;
	enum wasi_errno error = wasi_clock_resolution(&w->clock, (uint32_t)a[0], &ns);

	if (error == WASI_ESUCCESS && !wasi_memory_put64(&w->memory, a[1], ns))
		error = WASI_EFAULT;
	return error;
}

/* a[1], the precision asked for, changes nothing: the clock is always as good as policy lets it be. */
enum wasi_errno
preview1_clock_time_get(struct wasi *w, const uint64_t *a)
{
	uint64_t ns;
	enum wasi_errno error = wasi_clock_now(&w->clock, (uint32_t)a[0], &ns);

	if (error == WASI_ESUCCESS && !wasi_memory_put64(&w->memory, a[2], ns))
		error = WASI_EFAULT;
	return error;
}

enum wasi_errno
preview1_random_get(struct wasi *w, const uint64_t *a)
{
	enum wasi_errno error = WASI_ESUCCESS;
	uint64_t left = a[1];
	uint8_t *p;

	if (!wasi_memory_slice(&w->memory, a[0], left, &p))
		return WASI_EFAULT;
	while (left > 0 && error == WASI_ESUCCESS && !wasi_interrupted(w)) {
		size_t n = left < WASI_CHUNK ? (size_t)left : WASI_CHUNK;

		error = wasi_random_fill(&w->random, p, n);
		p += n;
		left -= n;
	}
	return error;
}

enum wasi_errno
preview1_proc_exit(struct wasi *w, const uint64_t *a)
{
	w->end = WASI_END_EXIT;
	w->end_value = (uint32_t)a[0];
	return WASI_ESUCCESS;
}

/*
 * Preview 1's signals, in the order of their numbers, and what each does when nobody handles it. There is nobody who
 * could continue a stopped run, so stopping is not supported.
 */
enum signal_action { IGNORED, ENDS, STOPS };

static const struct {
	const char *name;
	enum signal_action action;
} signals[] = {
	{"no signal", IGNORED}, /* only asks whether the process is there */
	{"SIGHUP", ENDS},
	{"SIGINT", ENDS},
	{"SIGQUIT", ENDS},
	{"SIGILL", ENDS},
	{"SIGTRAP", ENDS},
	{"SIGABRT", ENDS},
	{"SIGBUS", ENDS},
	{"SIGFPE", ENDS},
	{"SIGKILL", ENDS},
	{"SIGUSR1", ENDS},
	{"SIGSEGV", ENDS},
	{"SIGUSR2", ENDS},
	{"SIGPIPE", ENDS},
	{"SIGALRM", ENDS},
	{"SIGTERM", ENDS},
	{"SIGCHLD", IGNORED},
	{"SIGCONT", IGNORED},
	{"SIGSTOP", STOPS},
	{"SIGTSTP", STOPS},
	{"SIGTTIN", STOPS},
	{"SIGTTOU", STOPS},
	{"SIGURG", IGNORED},
	{"SIGXCPU", ENDS},
	{"SIGXFSZ", ENDS},
	{"SIGVTALRM", ENDS},
	{"SIGPROF", ENDS},
	{"SIGWINCH", IGNORED},
	{"SIGPOLL", ENDS},
	{"SIGPWR", ENDS},
	{"SIGSYS", ENDS},
};

#define SIGNAL_COUNT (sizeof(signals) / sizeof(signals[0]))
_Static_assert(SIGNAL_COUNT == 31, "as many as the specification has");

const char *
wasi_signal_name(uint32_t number)
{
	return number < SIGNAL_COUNT ? signals[number].name : "a signal";
}

enum wasi_errno
preview1_proc_raise(struct wasi *w, const uint64_t *a)
{
	if (a[0] >= SIGNAL_COUNT)
		return WASI_EINVAL;
	if (signals[a[0]].action == STOPS)
		return WASI_ENOTSUP;
	if (signals[a[0]].action == ENDS) {
		w->end = WASI_END_SIGNAL;
		w->end_value = (uint32_t)a[0];
	}
	return WASI_ESUCCESS;
}

/* There is one thread, so that nobody is there to yield to. */
enum wasi_errno
preview1_sched_yield(struct wasi *w, const uint64_t *a)
{
	(void)w;
	(void)a;
	return WASI_ESUCCESS;
}
