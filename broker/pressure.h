/* broker/pressure: how much of the time tasks stand still for want of processor or memory, as the kernel says. brigd. */

#ifndef BROKER_PRESSURE_H
#define BROKER_PRESSURE_H

#include <stdbool.h>

#include "base/err.h"

/* Kinds of pressure: name, as in settings and metrics. */
#define PRESSURES(X) \
	X(cpu)       \
	X(memory)

enum pressure_kind {
#define X(name) PRESSURE_##name,
	PRESSURES(X)
#undef X
	PRESSURE_COUNT
};

struct pressure;

/*
 * pressure_open - open the files of the kernel's pressure stall information (PSI; Documentation/accounting/psi.rst), one
 * for each kind, to be read later whatever brigd may open then. A file that is not there, or that cannot be read, is a
 * kind that is not known. NULL when out of memory.
 */
struct pressure *pressure_open(const char *const paths[PRESSURE_COUNT]);
void pressure_close(struct pressure *p);

/* pressure_look - read them again. */
void pressure_look(struct pressure *p);

/*
 * pressure_percent - of the last ten seconds, so much of the time some task stood still for want of it ("some avg10"), when
 * looked at last; negative when that is not known.
 */
double pressure_percent(const struct pressure *p, enum pressure_kind kind);

/* pressure_is_high - whether a kind that is known is at its threshold or past it. 0: that kind does not count. */
bool pressure_is_high(const struct pressure *p, const double thresholds[PRESSURE_COUNT]);

#endif
