/* base/quote: a text as one quoted value of a log line, and back. Any process. */

#include "base/quote.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static const char plain[] = "\"\\\n\r\t";
static const char escaped[] = "\"\\nrt";

#define PIECE_SIZE (4 * 4 + 1) /* of a character of four bytes */

/* A character as it stands between the quotes. Returns how long that is. */
static size_t
escape(const char *text, size_t length, bool tame, char out[PIECE_SIZE])
{
	const char *known = text[0] == '\0' ? NULL : strchr(plain, text[0]);
	size_t n = 0;

	if (known != NULL)
		return (size_t)snprintf(out, PIECE_SIZE, "\\%c", escaped[known - plain]);
	if (tame) {
		memcpy(out, text, length);
		return length;
	}
	for (size_t i = 0; i < length; i++)
		n += (size_t)snprintf(out + n, PIECE_SIZE - n, "\\x%02x", (unsigned char)text[i]);
	return n;
}

const char *
quote(const char *text, size_t length, char *out, size_t size)
{
	size_t n = 0, one;

	out[n++] = '"';
	for (size_t i = 0; i < length; i += one) {
		char piece[PIECE_SIZE];
		size_t more;
		bool tame;

		one = utf8_next(text + i, length - i, &tame);
		more = escape(text + i, one, tame, piece);
		if (n + more + 2 > size)
			break;
		memcpy(out + n, piece, more);
		n += more;
	}
	out[n++] = '"';
	out[n] = '\0';
	return out;
}

char *
quote_undo(char *text)
{
	char *to = text + 1;
	unsigned byte;

	if (text[0] != '"')
		return NULL;
	for (const char *from = to; *from != '\0'; from++) {
		const char *known;

		if (*from == '"') {
			*to = '\0';
			return text + 1;
		}
		if (*from != '\\') {
			*to++ = *from;
		} else if (from[1] != '\0' && (known = strchr(escaped, from[1])) != NULL) {
			*to++ = plain[known - escaped];
			from++;
		} else if (sscanf(from, "\\x%2x", &byte) == 1 && from[2] != '\0' && from[3] != '\0') {
			*to++ = (char)byte;
			from += 3;
		} else {
			return NULL;
		}
	}
	return NULL;
}
