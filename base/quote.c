/* base/quote: a text as one quoted value of a log line, and back. Any process. */

#include "base/quote.h"

#include <stdio.h>
#include <string.h>

static const char plain[] = "\"\\\n\r\t";
static const char escaped[] = "\"\\nrt";

/* One byte as it stands between the quotes. Returns how long that is. */
static size_t
escape(unsigned char c, char out[5])
{
	const char *known = c == '\0' ? NULL : strchr(plain, c);

	if (known != NULL)
		return (size_t)snprintf(out, 5, "\\%c", escaped[known - plain]);
	if (c < 0x20 || c == 0x7f)
		return (size_t)snprintf(out, 5, "\\x%02x", c);
	out[0] = (char)c;
	return 1;
}

const char *
quote(const char *text, size_t length, char *out, size_t size)
{
	size_t n = 0;

	out[n++] = '"';
	for (size_t i = 0; i < length; i++) {
		char piece[5];
		size_t more = escape((unsigned char)text[i], piece);

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
