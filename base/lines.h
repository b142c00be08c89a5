/* base/lines: a text taken line by line, with its bounds. Any process. */

#ifndef BASE_LINES_H
#define BASE_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct lines {
	const char *next; /* NULL is fine when end is too */
	const char *end;
};

/*
 * lines_next - the next line, without its LF; the last line may lack it. The line is borrowed from the text. Returns
 * false at the end of the text.
 */
bool lines_next(struct lines *l, const char **line, size_t *length);

/* lines_printable - whether there is no control character but TAB in it, so that it can be shown. */
bool lines_printable(const char *line, size_t length);

#endif
