/* runtime/wasi/preview1: preview 1's functions, its numbers and its layout in memory. Runs in the worker. */

#include "runtime/wasi/preview1.h"

#include <endian.h>
#include <stddef.h>
#include <string.h>

#define CHUNK 65536 /* bytes of work between two looks at `stop` */

enum { FILETYPE_UNKNOWN = 0, WHENCE_COUNT = 3, ADVICE_COUNT = 6, FSTFLAGS_ALL = 0xf };

/* Structures as they lie in the guest's memory: little-endian; sizes and offsets by the specification. */
struct fdstat {
	uint8_t filetype;
	uint8_t reserved;
	uint16_t flags;
	uint32_t reserved2;
	uint64_t rights_base;
	uint64_t rights_inheriting;
};
_Static_assert(sizeof(struct fdstat) == 24, "fdstat");

struct filestat {
	uint64_t device;
	uint64_t inode;
	uint8_t filetype;
	uint8_t reserved[7];
	uint64_t links;
	uint64_t size;
	uint64_t times[3];
};
_Static_assert(sizeof(struct filestat) == 64 && offsetof(struct filestat, size) == 32, "filestat");

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
		size_t n = left < CHUNK ? (size_t)left : CHUNK;

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

/* --- streams --------------------------------------------------------------------------------------------------- */

/* Reads element `i` of the iovec array at `list` and finds its bytes. */
static bool
iovec_at(const struct wasi *w, uint64_t list, uint64_t i, uint8_t **p, uint32_t *length)
{
	uint32_t at;

	return wasi_memory_get32(&w->memory, list + 8 * i, &at) &&
	    wasi_memory_get32(&w->memory, list + 8 * i + 4, length) && wasi_memory_slice(&w->memory, at, *length, p);
}

/*
 * Checks all of an iovec array before anything is moved; *total is its length in bytes. The array may have 2^29
 * elements in a full memory, so the run can be stopped meanwhile (then w->end is set).
 */
static enum wasi_errno
iovecs_check(struct wasi *w, uint64_t list, uint64_t count, uint64_t *total)
{
	uint64_t sum = 0;

	if (!wasi_memory_fits(&w->memory, list, 8 * count))
		return WASI_EFAULT;
	for (uint64_t i = 0; i < count; i++) {
		uint32_t length;
		uint8_t *p;

		if (i % (CHUNK / 8) == 0 && wasi_interrupted(w))
			return WASI_EIO;
		if (!iovec_at(w, list, i, &p, &length))
			return WASI_EFAULT;
		sum += length;
	}
	*total = sum;
	return WASI_ESUCCESS;
}

/*
 * Reading changes the guest's memory, which may be the iovec array itself: so each element is checked again when its
 * turn comes, and a bad one ends the transfer early instead of failing it.
 */
static uint64_t
scatter(struct wasi *w, uint64_t list, uint64_t count)
{
	uint64_t done = 0;

	for (uint64_t i = 0; i < count && w->in.left > 0; i++) {
		uint32_t length;
		uint8_t *p;

		if (i % (CHUNK / 8) == 0 && wasi_interrupted(w))
			break;
		if (!iovec_at(w, list, i, &p, &length))
			break;
		if (length > INT32_MAX - done)
			length = (uint32_t)(INT32_MAX - done);
		done += wasi_input_take(&w->in, p, length);
	}
	return done;
}

/* A blocking read sends buffered output first: what waits for an answer must have been seen. */
static enum wasi_errno
fill_input(struct wasi *w, bool wait)
{
	enum wasi_stream_status s = wasi_input_fill(&w->in, &w->port, false);

	if (s != WASI_STREAM_AGAIN || !wait)
		return wasi_settle(w, s);
	for (int i = 0; i < 2; i++) {
		s = wasi_output_flush(&w->out[i], &w->port, false);
		if (s != WASI_STREAM_OK)
			return wasi_settle(w, s);
	}
	return wasi_settle(w, wasi_input_fill(&w->in, &w->port, true));
}

enum wasi_errno
preview1_fd_read(struct wasi *w, const uint64_t *a)
{
	struct wasi_fd *f;
	uint64_t total, done = 0;
	enum wasi_errno error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_READ, &f);

	if (error != WASI_ESUCCESS)
		return error;
	if (!wasi_memory_fits(&w->memory, a[3], 4))
		return WASI_EFAULT;
	error = iovecs_check(w, a[1], a[2], &total);
	if (error == WASI_ESUCCESS && total > 0)
		error = fill_input(w, (f->flags & WASI_FDFLAG_NONBLOCK) == 0);
	if (error != WASI_ESUCCESS)
		return error;
	if (total > 0)
		done = scatter(w, a[1], a[2]);
	wasi_memory_put32(&w->memory, a[3], (uint32_t)done);
	return WASI_ESUCCESS;
}

/* At most INT32_MAX bytes are taken, so that the count fits a guest's ssize_t; the rest is a short write. */
static enum wasi_errno
gather(struct wasi *w, struct wasi_output *o, uint64_t list, uint64_t count, uint64_t *done)
{
	for (uint64_t i = 0; i < count && *done < INT32_MAX; i++) {
		enum wasi_stream_status s;
		uint32_t length;
		uint8_t *p;

		if (i % (CHUNK / 8) == 0 && wasi_interrupted(w))
			return WASI_EIO;
		if (!iovec_at(w, list, i, &p, &length))
			return WASI_EFAULT;
		if (length > INT32_MAX - *done)
			length = (uint32_t)(INT32_MAX - *done);
		s = wasi_output_write(o, &w->port, p, length);
		if (s != WASI_STREAM_OK)
			return wasi_settle(w, s);
		*done += length;
	}
	return wasi_settle(w, wasi_output_settle(o, &w->port));
}

enum wasi_errno
preview1_fd_write(struct wasi *w, const uint64_t *a)
{
	struct wasi_fd *f;
	uint64_t total, done = 0;
	enum wasi_errno error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_WRITE, &f);

	if (error != WASI_ESUCCESS)
		return error;
	if (!wasi_memory_fits(&w->memory, a[3], 4))
		return WASI_EFAULT;
	error = iovecs_check(w, a[1], a[2], &total);
	if (error == WASI_ESUCCESS && total > 0)
		error = gather(w, &w->out[f->kind == WASI_FD_STDOUT ? 0 : 1], a[1], a[2], &done);
	if (error == WASI_ESUCCESS)
		wasi_memory_put32(&w->memory, a[3], (uint32_t)done);
	return error;
}

/* --- descriptors ----------------------------------------------------------------------------------------------- */

enum wasi_errno
preview1_fd_close(struct wasi *w, const uint64_t *a)
{
	return wasi_fds_close(&w->fds, (uint32_t)a[0]);
}

enum wasi_errno
preview1_fd_renumber(struct wasi *w, const uint64_t *a)
{
	return wasi_fds_renumber(&w->fds, (uint32_t)a[0], (uint32_t)a[1]);
}

enum wasi_errno
preview1_fd_fdstat_get(struct wasi *w, const uint64_t *a)
{
	const struct wasi_fd *f = wasi_fds_get(&w->fds, (uint32_t)a[0]);
	struct fdstat stat = {.filetype = FILETYPE_UNKNOWN};

	if (f == NULL)
		return WASI_EBADF;
	stat.flags = htole16((uint16_t)f->flags);
	stat.rights_base = htole64(f->rights);
	return wasi_memory_write(&w->memory, a[1], &stat, sizeof(stat)) ? WASI_ESUCCESS : WASI_EFAULT;
}

/* append, dsync, rsync and sync are kept and shown, but nothing follows from them on a pipe. */
enum wasi_errno
preview1_fd_fdstat_set_flags(struct wasi *w, const uint64_t *a)
{
	struct wasi_fd *f;
	enum wasi_errno error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_FDSTAT_SET_FLAGS, &f);

	if (error != WASI_ESUCCESS)
		return error;
	if ((a[1] & ~(uint64_t)WASI_FDFLAGS_ALL) != 0)
		return WASI_EINVAL;
	f->flags = (uint32_t)a[1];
	return WASI_ESUCCESS;
}

/* Rights can only be removed. */
enum wasi_errno
preview1_fd_fdstat_set_rights(struct wasi *w, const uint64_t *a)
{
	struct wasi_fd *f = wasi_fds_get(&w->fds, (uint32_t)a[0]);

	if (f == NULL)
		return WASI_EBADF;
	if ((a[1] & ~f->rights) != 0 || a[2] != 0)
		return WASI_ENOTCAPABLE;
	f->rights = a[1];
	return WASI_ESUCCESS;
}

enum wasi_errno
preview1_fd_filestat_get(struct wasi *w, const uint64_t *a)
{
	struct filestat stat = {.filetype = FILETYPE_UNKNOWN, .links = htole64(1)};
	struct wasi_fd *f;
	enum wasi_errno error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_FILESTAT_GET, &f);

	if (error != WASI_ESUCCESS)
		return error;
	stat.inode = htole64((uint64_t)f->kind); /* three different pipes */
	return wasi_memory_write(&w->memory, a[1], &stat, sizeof(stat)) ? WASI_ESUCCESS : WASI_EFAULT;
}

enum wasi_errno
preview1_fd_filestat_set_times(struct wasi *w, const uint64_t *a)
{
	if (wasi_fds_get(&w->fds, (uint32_t)a[0]) == NULL)
		return WASI_EBADF;
	return (a[3] & ~(uint64_t)FSTFLAGS_ALL) != 0 ? WASI_EINVAL : WASI_ENOTSUP;
}

enum wasi_errno
preview1_fd_advise(struct wasi *w, const uint64_t *a)
{
	if (wasi_fds_get(&w->fds, (uint32_t)a[0]) == NULL)
		return WASI_EBADF;
	return a[3] >= ADVICE_COUNT ? WASI_EINVAL : WASI_ESPIPE;
}

enum wasi_errno
preview1_fd_seek(struct wasi *w, const uint64_t *a)
{
	if (wasi_fds_get(&w->fds, (uint32_t)a[0]) == NULL)
		return WASI_EBADF;
	return a[2] >= WHENCE_COUNT ? WASI_EINVAL : WASI_ESPIPE;
}

/* --- what pipes and hosts without directories or sockets do not have ------------------------------------------- */

/* `otherwise` when a[0] is an open descriptor. */
static enum wasi_errno
bad_unless_open(struct wasi *w, uint64_t fd, enum wasi_errno otherwise)
{
	return wasi_fds_get(&w->fds, (uint32_t)fd) == NULL ? WASI_EBADF : otherwise;
}

enum wasi_errno
preview1_no_position(struct wasi *w, const uint64_t *a)
{
	return bad_unless_open(w, a[0], WASI_ESPIPE);
}

enum wasi_errno
preview1_no_sync(struct wasi *w, const uint64_t *a)
{
	return bad_unless_open(w, a[0], WASI_EINVAL);
}

enum wasi_errno
preview1_no_preopen(struct wasi *w, const uint64_t *a)
{
	(void)w;
	(void)a;
	return WASI_EBADF;
}

enum wasi_errno
preview1_no_directory(struct wasi *w, const uint64_t *a)
{
	return bad_unless_open(w, a[0], WASI_ENOTDIR);
}

enum wasi_errno
preview1_no_socket(struct wasi *w, const uint64_t *a)
{
	return bad_unless_open(w, a[0], WASI_ENOTSOCK);
}

/* Two directories: a descriptor that is not open counts more than one that is no directory. */
static enum wasi_errno
no_directories(struct wasi *w, uint64_t one, uint64_t two)
{
	enum wasi_errno error = bad_unless_open(w, one, WASI_ENOTDIR);

	return error == WASI_EBADF ? error : bad_unless_open(w, two, WASI_ENOTDIR);
}

enum wasi_errno
preview1_path_link(struct wasi *w, const uint64_t *a)
{
	return no_directories(w, a[0], a[4]);
}

enum wasi_errno
preview1_path_rename(struct wasi *w, const uint64_t *a)
{
	return no_directories(w, a[0], a[3]);
}

enum wasi_errno
preview1_path_symlink(struct wasi *w, const uint64_t *a)
{
	return bad_unless_open(w, a[2], WASI_ENOTDIR);
}
