/* runtime/pages: which memory a fork touches that does what later ones will do, so that they have it ahead. Zygote and worker. */

#ifndef RUNTIME_PAGES_H
#define RUNTIME_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * A fork shares its parent's memory until it writes there, page by page, and looks up the pages of files anew: a fault each.
 * Where all forks do much the same, one of them tells which pages these are, and the others get them in few system calls:
 *
 *   pages_watch      in the parent
 *   pages_note       in the fork that went ahead, at its end
 *   pages_learn      in the parent, when that fork is gone
 *   pages_bring      in each fork from then on
 */
struct pages;

struct pages_area {
	void *start;
	size_t length;
	bool is_written; /* pages that were written are meant; else those that were looked at, of a file */
};

#define PAGES_AREAS_MAX 4
#define PAGES_AREA_MAX  ((size_t)64 << 20) /* bytes; of a longer one the rest is not watched */

/*
 * pages_watch - room for what a fork will tell of these areas, which are there as long as *out, for pages_free(). All their
 * pages can be read, and written where that is meant. 0 or ERR_NOMEM.
 */
int pages_watch(const struct pages_area *areas, size_t count, struct pages **out, struct err *e);
void pages_free(struct pages *p);

/*
 * pages_note - find out what this process, a fork, has touched of the areas: where touching it again is no fault. That takes
 * all the memory that the areas have, so it is the last thing for a process to do.
 */
void pages_note(struct pages *p);

/* pages_learn - take what the fork has noted. 0, or ERR_NOMEM: nothing is brought then. */
int pages_learn(struct pages *p, struct err *e);

/* pages_bring - have these pages now. A kernel that cannot leaves it to faults. */
void pages_bring(const struct pages *p);

/* pages_count - how many pages were learned. */
size_t pages_count(const struct pages *p);

#endif
