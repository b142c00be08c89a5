/* runtime/pages: which memory a fork touches that does what later ones will do, so that they have it ahead. Zygote and worker. */

#include "runtime/pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* Linux 5.14. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* The kernel maps a file's pages that it has by this many, at a multiple of their size, at one fault. */
#define FILE_STEP ((size_t)65536)

struct range {
	void *start;
	size_t length;
	int advice;
};

struct pages {
	struct pages_area areas[PAGES_AREAS_MAX];
	size_t count;
	size_t step[PAGES_AREAS_MAX]; /* bytes that one mark stands for */
	size_t page;
	uint8_t *marks; /* shared with forks; area after area */
	size_t mark_count;
	struct range *ranges;
	size_t range_count;
	size_t range_room;
	size_t learned;
};

/* The whole steps of an area that are watched. */
static void
take_area(struct pages *p, const struct pages_area *area)
{
	size_t i = p->count++, step = area->is_written ? p->page : FILE_STEP;
	uintptr_t start = ((uintptr_t)area->start + step - 1) / step * step;
	uintptr_t end = (uintptr_t)area->start + (area->length < PAGES_AREA_MAX ? area->length : PAGES_AREA_MAX);

	p->step[i] = step;
	p->areas[i] = *area;
	p->areas[i].start = (void *)start;
	p->areas[i].length = end > start ? (end - start) / step * step : 0;
	p->mark_count += p->areas[i].length / step;
}

int
pages_watch(const struct pages_area *areas, size_t count, struct pages **out, struct err *e)
{
	struct pages *p = calloc(1, sizeof(*p));
	void *marks;

	if (p == NULL)
		return err_set(e, ERR_NOMEM, "what forks touch");
	p->page = (size_t)sysconf(_SC_PAGESIZE);
	for (size_t i = 0; i < count && i < PAGES_AREAS_MAX; i++)
		take_area(p, &areas[i]);
	marks = mmap(NULL, p->mark_count + 1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (marks == MAP_FAILED) {
		free(p);
		return err_sys(e, ERR_NOMEM, "what forks touch");
	}
	p->marks = marks;
	*out = p;
	return 0;
}

static void
drop_marks(struct pages *p)
{
	if (p->marks != NULL)
		munmap(p->marks, p->mark_count + 1);
	p->marks = NULL;
}

void
pages_free(struct pages *p)
{
	if (p == NULL)
		return;
	drop_marks(p);
	free(p->ranges);
	free(p);
}

static long
faults(void)
{
	struct rusage used = {0};

	(void)getrusage(RUSAGE_SELF, &used);
	return used.ru_minflt + used.ru_majflt;
}

/* Whether touching this memory is no fault, because it was touched before. */
static bool
is_there(void *at, bool to_write)
{
	volatile uint8_t *byte = at;
	long before = faults();

	if (to_write)
		*byte = *byte;
	else
		(void)*byte;
	return faults() == before;
}

static void
note_area(const struct pages_area *area, size_t step, uint8_t *marks)
{
	uint8_t *at = area->start;

	for (size_t i = 0; i < area->length / step; i++, at += step) {
		marks[i] = 0; /* so that a fault of the mark itself is not counted */
		marks[i] = is_there(at, area->is_written);
	}
}

void
pages_note(struct pages *p)
{
	uint8_t *marks = p->marks;

	(void)faults(); /* its own pages, so that they are no faults later */
	for (size_t i = 0; i < p->count; i++) {
		note_area(&p->areas[i], p->step[i], marks);
		marks += p->areas[i].length / p->step[i];
	}
}

/* Adds memory to what is brought; it may go on where the last one ends. */
static int
add_range(struct pages *p, uint8_t *start, size_t length, int advice, struct err *e)
{
	struct range *last = p->range_count > 0 ? &p->ranges[p->range_count - 1] : NULL;
	size_t room = p->range_room == 0 ? 64 : p->range_room * 2;
	struct range *larger;

	p->learned += length / p->page;
	if (last != NULL && last->advice == advice && (uint8_t *)last->start + last->length == start) {
		last->length += length;
		return 0;
	}
	if (p->range_count == p->range_room) {
		if ((larger = realloc(p->ranges, room * sizeof(*larger))) == NULL)
			return err_set(e, ERR_NOMEM, "what forks touch");
		p->ranges = larger;
		p->range_room = room;
	}
	p->ranges[p->range_count++] = (struct range){start, length, advice};
	return 0;
}

static int
learn_area(struct pages *p, const struct pages_area *area, size_t step, const uint8_t *marks, struct err *e)
{
	const int advice = area->is_written ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
	int rc = 0;

	for (size_t i = 0; i < area->length / step && rc == 0; i++)
		if (marks[i] != 0)
			rc = add_range(p, (uint8_t *)area->start + i * step, step, advice, e);
	return rc;
}

int
pages_learn(struct pages *p, struct err *e)
{
	const uint8_t *marks = p->marks;
	int rc = 0;

	for (size_t i = 0; i < p->count && rc == 0; i++) {
		rc = learn_area(p, &p->areas[i], p->step[i], marks, e);
		marks += p->areas[i].length / p->step[i];
	}
	if (rc != 0)
		p->range_count = p->learned = 0;
	drop_marks(p);
	return rc;
}

void
pages_bring(const struct pages *p)
{
	for (size_t i = 0; i < p->range_count; i++)
		if (madvise(p->ranges[i].start, p->ranges[i].length, p->ranges[i].advice) != 0)
			return;
}

size_t
pages_count(const struct pages *p)
{
	return p->learned;
}
