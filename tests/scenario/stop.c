/*
 * tests/scenario/stop: a library to be preloaded: ends a program, or has calls fail, at its Nth call that changes a
 * file. Test only.
 *
 * $BRIG_STOP is WHAT:N. `kill` kills the program instead of call number N (from 0); `fail` has that one call fail with
 * EIO; `full` has that call and all later ones that take space fail with ENOSPC, as on a full disk. Writes to standard
 * output and error do not count.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char what[8];
static int number = -1, seen;

static void __attribute__((constructor))
take_up(void)
{
	const char *text = getenv("BRIG_STOP");

	if (text != NULL && sscanf(text, "%7[a-z]:%d", what, &number) != 2)
		abort();
}

/* Whether this call is to fail; errno is set then. */
static bool
fails(bool takes_space)
{
	int n = seen++;

	if (number < 0 || n < number)
		return false;
	if (strcmp(what, "kill") == 0)
		raise(SIGKILL);
	errno = strcmp(what, "full") == 0 ? ENOSPC : EIO;
	return strcmp(what, "full") == 0 ? takes_space : n == number;
}

/* The function of the C library of that name. */
#define NEXT(name) ((__typeof__(&(name)))(uintptr_t)dlsym(RTLD_NEXT, #name))

#define WRAP(name, takes_space, parameters, arguments) \
	int name parameters                            \
	{                                              \
		return fails(takes_space) ? -1 : NEXT(name) arguments; \
	}

WRAP(fsync, false, (int fd), (fd))
WRAP(syncfs, true, (int fd), (fd))
WRAP(mkdirat, true, (int dir, const char *path, mode_t mode), (dir, path, mode))
WRAP(symlinkat, true, (const char *target, int dir, const char *path), (target, dir, path))
WRAP(unlinkat, false, (int dir, const char *path, int flags), (dir, path, flags))
WRAP(renameat, false, (int a, const char *from, int b, const char *to), (a, from, b, to))
WRAP(renameat2, false, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags))
WRAP(fchmod, false, (int fd, mode_t mode), (fd, mode))
WRAP(ftruncate, false, (int fd, off_t length), (fd, length))

ssize_t
write(int fd, const void *data, size_t n)
{
	return fd > STDERR_FILENO && fails(true) ? -1 : NEXT(write)(fd, data, n);
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
	return (flags & O_CREAT) != 0 && fails(true) ? -1 : NEXT(openat)(dir, path, flags, mode);
}
