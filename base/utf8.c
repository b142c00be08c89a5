/* base/utf8: cutting text without cutting a character, and making it fit to be shown. Any process. */

#include "base/utf8.h"

#include <stdbool.h>
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

/* Characters of more than one byte that are not shown but act, by all bytes but the last and what that may be. */
static const struct wild {
	const char *lead;
	uint8_t from, to;
} wild[] = {
    {"\xc2", 0x80, 0x9f},         /* control characters */
    {"\xc2", 0xad, 0xad},         /* soft hyphen */
    {"\xd8", 0x9c, 0x9c},         /* Arabic letter mark */
    {"\xe1\xa0", 0x8e, 0x8e},     /* Mongolian vowel separator */
    {"\xe2\x80", 0x8b, 0x8f},     /* zero width; marks of direction */
    {"\xe2\x80", 0xa8, 0xae},     /* line and paragraph separator; embeddings and overrides of direction */
    {"\xe2\x81", 0xa0, 0xaf},     /* zero width; isolates of direction */
    {"\xef\xbb", 0xbf, 0xbf},     /* zero width: the byte order mark */
    {"\xef\xbf", 0xb9, 0xbb},     /* interlinear annotation */
    {"\xf3\xa0\x80", 0x80, 0xbf}, /* tags, which are letters that nobody sees */
    {"\xf3\xa0\x81", 0x80, 0xbf},
};

static bool
is_wild(const uint8_t *p, size_t length)
{
	if (length == 1)
		return p[0] < 0x20 || p[0] == 0x7f;
	for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++)
		if (strlen(wild[i].lead) == length - 1 && memcmp(p, wild[i].lead, length - 1) == 0 &&
		    p[length - 1] >= wild[i].from && p[length - 1] <= wild[i].to)
			return true;
	return false;
}

size_t
utf8_next(const char *text, size_t length, bool *tame)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t one = character(p, length);

	*tame = one > 0 && !is_wild(p, one);
	return one > 0 ? one : 1;
}

size_t
utf8_tame(char *text, size_t length)
{
	size_t to = 0, one;
	bool tame;

	for (size_t from = 0; from < length; from += one) {
		one = utf8_next(text + from, length - from, &tame);
		if (tame)
			memmove(text + to, text + from, one);
		else
			text[to] = '?';
		to += tame ? one : 1;
	}
	return to;
}
