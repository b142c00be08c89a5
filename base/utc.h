/* base/utc: times as people write them: RFC 3339 in UTC. Any process. */

#ifndef BASE_UTC_H
#define BASE_UTC_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define UTC_TEXT_SIZE 21 /* "2027-01-31T23:59:59Z" and the NUL */

/*
 * utc_parse - read "YYYY-MM-DDThh:mm:ssZ", exactly that form: years 1970 to 9999, no leap second, no fraction, no
 * other zone. *seconds is since 1970. ERR_INVAL with it untouched for anything else.
 */
int utc_parse(const char *text, size_t length, int64_t *seconds, struct err *e);

/* utc_text - write `seconds` in that form; returns `text`. Outside 1970..9999 it is the nearest end of that range. */
char *utc_text(int64_t seconds, char text[UTC_TEXT_SIZE]);

#endif
