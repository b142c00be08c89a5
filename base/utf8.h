/* base/utf8: cutting text without cutting a character, and making it fit to be shown. Any process. */

#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/*
 * utf8_prefix - the length of the longest prefix of text[0..length] that is at most `max` bytes and well-formed UTF-8
 * (Unicode 15, table 3-7: no surrogates, nothing above U+10FFFF, no longer form than needed). A NUL ends it too.
 */
size_t utf8_prefix(const char *text, size_t length, size_t max);

/* utf8_mend - make a NUL-terminated text well-formed, in place: each byte that is no part of a character becomes '?'. */
void utf8_mend(char *text);

/*
 * utf8_next - the length of the first character of text[0..length], which is not empty; 1 where there is none. Sets *tame
 * to whether it is one that is only shown: no control character, no line separator, nothing that turns the direction of
 * writing or takes no place.
 */
size_t utf8_next(const char *text, size_t length, bool *tame);

/*
 * utf8_tame - make text[0..length] safe to show, in place: every character that is not tame becomes one '?'. Returns the
 * new length, which is not greater.
 */
size_t utf8_tame(char *text, size_t length);

#endif
