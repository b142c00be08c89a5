/* base/quote: a text as one quoted value of a log line, and back. Any process. */

#ifndef BASE_QUOTE_H
#define BASE_QUOTE_H

#include <stddef.h>

#define QUOTE_SIZE 2048 /* room for every message of base/err.h, unless it is full of what has to be escaped */

/*
 * quote - write text[0..length] between quotes: '"' and '\' behind a '\', newline, return and tab as \n, \r and \t; every
 * byte of a character that is not tame (base/utf8.h), or of none, as \xNN. What does not fit in `out` is cut between two
 * characters, and the closing quote stands in any case. `size` is at least 3. Returns `out`.
 */
const char *quote(const char *text, size_t length, char *out, size_t size);

/*
 * quote_undo - turn the quoted value at `text`, which starts with its opening quote, into what it was, in place, behind
 * that quote and with a NUL at its end. Returns it; NULL when `text` is no whole quoted value.
 */
char *quote_undo(char *text);

#endif
