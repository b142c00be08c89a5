/* problems: all that is wrong with something, one line each, so that a person hears of everything at once. brig. */

#include "clients/c/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/quote.h"
#include "base/utf8.h"

#define PATH_SHOWN 200 /* bytes of a path, at most */

static char *__attribute__((format(printf, 3, 0)))
make_line(const char *path, size_t length, const char *fmt, va_list ap)
{
	char name[4 * PATH_SHOWN + 3];
	char *text = NULL, *line = NULL;

	quote(path, length < PATH_SHOWN ? length : PATH_SHOWN, name, sizeof(name));
	if (vasprintf(&text, fmt, ap) < 0)
		return NULL;
	text[utf8_tame(text, strlen(text))] = '\0';
	if (asprintf(&line, "%s%s: %s", name, length > PATH_SHOWN ? "..." : "", text) < 0)
		line = NULL;
	free(text);
	return line;
}

void
problems_add(struct problems *p, const char *path, size_t length, const char *fmt, ...)
{
	va_list ap;
	char *line;

	p->count++;
	if (p->lines == NULL)
		p->lines = calloc(PROBLEMS_KEPT, sizeof(p->lines[0]));
	if (p->lines == NULL || p->kept == PROBLEMS_KEPT)
		return;
	va_start(ap, fmt);
	if ((line = make_line(path, length, fmt, ap)) != NULL)
		p->lines[p->kept++] = line;
	va_end(ap);
}

void
problems_print(const struct problems *p)
{
	for (size_t i = 0; i < p->kept; i++)
		fprintf(stderr, "  %s\n", p->lines[i]);
	if (p->count > p->kept)
		fprintf(stderr, "  ... and %zu more\n", p->count - p->kept);
}

void
problems_clear(struct problems *p)
{
	for (size_t i = 0; i < p->kept; i++)
		free(p->lines[i]);
	free(p->lines);
	*p = (struct problems){.lines = NULL};
}
