/* base/nearest: "did you mean": the known name that is nearest to a misspelt one. Any process. */

#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

/*
 * nearest_name - the entry of names[0..count] with the fewest inserted, removed, replaced or swapped letters from
 * `name`, borrowed; NULL when none is near enough to be what was meant (a third of the letters, at least one) or when
 * `name` is longer than 64 bytes. Case counts for nothing. The first of equals.
 */
const char *nearest_name(const char *name, const char *const *names, size_t count);

#endif
