/* base/position: where in a JSON text a value stands: line and column, for people. Pure; brigd and brig. */

#ifndef BASE_POSITION_H
#define BASE_POSITION_H

#include <stdbool.h>
#include <stddef.h>

/* One step down from an object to a member (`name`), or from a list to an element (`name` is NULL). */
struct position_step {
	const char *name; /* borrowed, decoded */
	size_t index;
};

struct position {
	size_t offset; /* in bytes, of the value's first byte */
	size_t line;   /* from 1 */
	size_t column; /* from 1, in characters, as jansson counts */
};

/*
 * position_find - where the value stands that `count` steps from the top lead to; with `of_name`, where the name of the
 * member stands that the last step names. No step is the top value itself.
 *
 * The text must be one that jansson took, with names twice refused, and without NUL (which it overlooks behind a
 * number): what is JSON is decided there, and this only skips over it. On any other text the answer is false or some
 * place inside it. Returns false, with *out untouched, when there is no such value. Takes time linear in the length.
 */
bool position_find(const char *text, size_t length, const struct position_step *steps, size_t count, bool of_name,
    struct position *out);

/*
 * position_path - the steps as people read them: $.fs[0].paths["src/gen"]. Control characters are \uXXXX; a name of more
 * than `name_max` bytes is cut there and ends with "..."; 0: none is. The caller frees it; NULL when out of memory.
 */
char *position_path(const struct position_step *steps, size_t count, size_t name_max);

#endif
