/* base/utf8: cutting text without cutting a character. Any process. */

#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* Table 3-7 of the Unicode standard: the lead byte, what may come second, and how many bytes there are. */
static const struct form {
	uint8_t lead_from, lead_to;
	uint8_t second_from, second_to;
	uint8_t length;
} forms[] = {
    {0x01, 0x7f, 0x00, 0x00, 1},
    {0xc2, 0xdf, 0x80, 0xbf, 2},
    {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3},
    {0xed, 0xed, 0x80, 0x9f, 3},
    {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4},
    {0xf1, 0xf3, 0x80, 0xbf, 4},
    {0xf4, 0xf4, 0x80, 0x8f, 4},
};

/* The length of the character at p[0..left], or 0 when it is none. */
static size_t
character(const uint8_t *p, size_t left)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct form *f = &forms[i];

		if (p[0] < f->lead_from || p[0] > f->lead_to)
			continue;
		if (f->length > left)
			return 0;
		if (f->length > 1 && (p[1] < f->second_from || p[1] > f->second_to))
			return 0;
		for (size_t k = 2; k < f->length; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return f->length;
	}
	return 0;
}

size_t
utf8_prefix(const char *text, size_t length, size_t max)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t n = 0;

	while (n < length) {
		size_t one = character(p + n, length - n);

		if (one == 0 || one > max - n)
			break;
		n += one;
	}
	return n;
}

void
utf8_mend(char *text)
{
	size_t length = strlen(text), good = 0;

	while ((good += utf8_prefix(text + good, length - good, length - good)) < length)
		text[good++] = '?';
}
