/* base/lines: a text taken line by line, with its bounds. Any process. */

#include "base/lines.h"

#include <string.h>

bool
lines_next(struct lines *l, const char **line, size_t *length)
{
	const char *lf;

	if (l->next == l->end)
		return false;
	lf = memchr(l->next, '\n', (size_t)(l->end - l->next));
	*line = l->next;
	*length = (size_t)((lf == NULL ? l->end : lf) - l->next);
	l->next = lf == NULL ? l->end : lf + 1;
	return true;
}

bool
lines_printable(const char *line, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)line[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}
