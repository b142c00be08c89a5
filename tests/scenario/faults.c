/*
 * tests/scenario/faults: a library to be preloaded: makes calls of the C library fail when a test says so. Test only.
 *
 * $BRIG_FAULTS names a file of one struct control, which every process maps at its start and the test writes to. In the
 * program that it names, calls of the name it names fail: those from number `after` on (counted from when the test set
 * it), `times` of them. `jump_s` is added to the wall clock of every process.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
	char program[32];
	char call[32];
	int32_t error;
	int32_t after;
	int32_t times;
	atomic_int seen;
	atomic_int hits;
	int32_t reserved;
	int64_t jump_s;
};

static struct control *control;

static void __attribute__((constructor))
take_up(void)
{
	const char *path = getenv("BRIG_FAULTS");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map = fd >= 0 ? mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (map != MAP_FAILED)
		control = map;
	if (fd >= 0)
		close(fd);
}

/* Whether this call is to fail; errno is set then. */
static bool
fails(const char *call)
{
	int n;

	if (control == NULL || control->times == 0 || strcmp(control->call, call) != 0 ||
	    strcmp(control->program, program_invocation_short_name) != 0)
		return false;
	n = control->seen++;
	if (n < control->after || n - control->after >= control->times)
		return false;
	control->hits++;
	errno = control->error;
	return true;
}

/* The function of the C library of that name. */
#define NEXT(name) ((__typeof__(&(name)))(uintptr_t)dlsym(RTLD_NEXT, #name))

#define WRAP(type, failure, name, parameters, arguments) \
	type name parameters                             \
	{                                                \
		return fails(#name) ? (type)(failure) : NEXT(name) arguments; \
	}

WRAP(ssize_t, -1, write, (int fd, const void *data, size_t n), (fd, data, n))
WRAP(int, -1, fsync, (int fd), (fd))
WRAP(int, -1, fdatasync, (int fd), (fd))
WRAP(int, -1, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode))
WRAP(int, -1, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
WRAP(int, -1, memfd_create, (const char *name, unsigned flags), (name, flags))
WRAP(int, -1, socketpair, (int domain, int type, int protocol, int sv[2]), (domain, type, protocol, sv))
WRAP(ssize_t, -1, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
WRAP(ssize_t, -1, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags))
WRAP(void *, MAP_FAILED, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t o), (at, n, prot, flags, fd, o))
WRAP(ssize_t, -1, sendfile, (int out, int in, off_t *at, size_t n), (out, in, at, n))
WRAP(int, -1, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags))

/* Its last three arguments are there or not: they are passed on in any case. */
int
clone(int (*fn)(void *arg), void *stack, int flags, void *arg, ...)
{
	va_list ap;
	void *more[3];

	va_start(ap, arg);
	for (int i = 0; i < 3; i++)
		more[i] = va_arg(ap, void *);
	va_end(ap);
	return fails("clone") ? -1 : NEXT(clone)(fn, stack, flags, arg, more[0], more[1], more[2]);
}

/* With a mode, when there is one. */
int
openat(int dir, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return fails("openat") ? -1 : NEXT(openat)(dir, path, flags, mode);
}

int
fcntl(int fd, int command, ...)
{
	va_list ap;
	void *argument;

	va_start(ap, command);
	argument = va_arg(ap, void *);
	va_end(ap);
	return fails("fcntl") ? -1 : NEXT(fcntl)(fd, command, argument);
}

/* --- memory: called before anything else is there, so not by dlsym ---------------------------------------------- */

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t n);

void *
malloc(size_t n)
{
	return fails("malloc") ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	return fails("malloc") ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *old, size_t n)
{
	return fails("malloc") ? NULL : __libc_realloc(old, n);
}

/* --- the clock that jumps ----------------------------------------------------------------------------------------- */

int
clock_gettime(clockid_t clock, struct timespec *ts)
{
	int rc = NEXT(clock_gettime)(clock, ts);

	if (rc == 0 && control != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ts->tv_sec += control->jump_s;
	return rc;
}

int
gettimeofday(struct timeval *tv, void *zone)
{
	int rc = NEXT(gettimeofday)(tv, zone);

	if (rc == 0 && control != NULL)
		tv->tv_sec += control->jump_s;
	return rc;
}

time_t
time(time_t *out)
{
	time_t now = NEXT(time)(NULL) + (control != NULL ? control->jump_s : 0);

	if (out != NULL)
		*out = now;
	return now;
}
