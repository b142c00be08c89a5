/* problems: all that is wrong with something, one line each, so that a person hears of everything at once. brig. */

#ifndef CLIENTS_C_PROBLEMS_H
#define CLIENTS_C_PROBLEMS_H

#include <stddef.h>

/* Zeros to begin with. */
struct problems {
	char **lines; /* safe to show */
	size_t kept;
	size_t count; /* of all, also of those that are not kept */
};

#define PROBLEMS_KEPT 100

/*
 * problems_add - one more, about `path` (of length bytes; shown quoted, in front of the text). Those past
 * PROBLEMS_KEPT, or for which there is no memory, are only counted.
 */
void problems_add(struct problems *p, const char *path, size_t length, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* problems_print - each on a line of its own on standard error, indented, and how many more there are. */
void problems_print(const struct problems *p);

void problems_clear(struct problems *p);

#endif
