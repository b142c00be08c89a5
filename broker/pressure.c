/* broker/pressure: how much of the time tasks stand still for want of processor or memory, as the kernel says. brigd. */

#include "broker/pressure.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT_MAX 256
#define UNKNOWN  (-1.0)

struct pressure {
	int fds[PRESSURE_COUNT];
	double percent[PRESSURE_COUNT];
};

/* "some avg10=0.12 avg60=..." */
static double
read_percent(int fd)
{
	char text[TEXT_MAX + 1];
	ssize_t n = fd >= 0 ? pread(fd, text, TEXT_MAX, 0) : -1;
	double percent;

	if (n <= 0)
		return UNKNOWN;
	text[n] = '\0';
	return sscanf(text, "some avg10=%lf", &percent) == 1 && percent >= 0 && percent <= 100 ? percent : UNKNOWN;
}

void
pressure_look(struct pressure *p)
{
	for (int i = 0; i < PRESSURE_COUNT; i++)
		p->percent[i] = read_percent(p->fds[i]);
}

struct pressure *
pressure_open(const char *const paths[PRESSURE_COUNT])
{
	struct pressure *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	for (int i = 0; i < PRESSURE_COUNT; i++)
		p->fds[i] = open(paths[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	pressure_look(p);
	return p;
}

void
pressure_close(struct pressure *p)
{
	if (p == NULL)
		return;
	for (int i = 0; i < PRESSURE_COUNT; i++)
		if (p->fds[i] >= 0)
			close(p->fds[i]);
	free(p);
}

double
pressure_percent(const struct pressure *p, enum pressure_kind kind)
{
	return p->percent[kind];
}

bool
pressure_is_high(const struct pressure *p, const double thresholds[PRESSURE_COUNT])
{
	for (int i = 0; i < PRESSURE_COUNT; i++)
		if (thresholds[i] > 0 && p->percent[i] >= thresholds[i])
			return true;
	return false;
}
