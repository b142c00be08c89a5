/* What guests that check their host share: one line `ok NAME` or `not ok NAME: ...` a check. */

#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int failures;

static inline void
report(const char *name, int good, const char *what)
{
	if (good)
		printf("ok %s\n", name);
	else
		printf("not ok %s: %s (errno %d, %s)\n", name, what, errno, strerror(errno));
	failures += !good;
}

/* CHECK - the condition holds. FAILS - a function of libc fails with this errno. GIVES - a call of the host has this errno. */
#define CHECK(name, condition) report(name, (condition), #condition)
#define FAILS(name, call, error) report(name, (errno = 0, (call) == -1 && errno == (error)), #call " gives " #error)
#define GIVES(name, error, call) report(name, (errno = (call)) == (error), #call " gives " #error)

#endif
