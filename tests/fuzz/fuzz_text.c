/* Fuzz target: the small readers of base/: UTF-8, times, digests, lines, against what they write, or another reader. */

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/lines.h"
#include "base/utc.h"
#include "base/utf8.h"
#include "tests/fuzz/input.h"

static bool
jansson_takes(const char *text, size_t length)
{
	json_t *s = json_stringn(text, length);

	json_decref(s);
	return s != NULL;
}

/* The longest prefix is well-formed, and no character more would be. */
static void
try_utf8(const struct block *b, size_t max)
{
	const char *text = (const char *)b->data;
	size_t n = utf8_prefix(text, b->length, max), end = b->length < max ? b->length : max;
	char *mended = malloc(b->length + 1);

	MUST(n <= end && jansson_takes(text, n) && memchr(text, '\0', n) == NULL);
	for (size_t more = 1; more <= 4 && n + more <= end; more++)
		MUST(memchr(text + n, '\0', more) != NULL || !jansson_takes(text + n, more));
	memcpy(mended, text, b->length);
	mended[b->length] = '\0';
	n = strlen(mended);
	utf8_mend(mended);
	MUST(strlen(mended) == n && jansson_takes(mended, n));
	free(mended);
}

/* What was made safe to show is well-formed, and made safe again it is the same. */
static void
try_tame(const struct block *b)
{
	char *tamed = malloc(b->length + 1);
	size_t n;

	memcpy(tamed, b->data, b->length);
	n = utf8_tame(tamed, b->length);
	MUST(n <= b->length && jansson_takes(tamed, n));
	for (size_t i = 0; i < n; i++)
		MUST((unsigned char)tamed[i] >= 0x20 && tamed[i] != 0x7f);
	MUST(memmem(tamed, n, "\u202e", 3) == NULL && memmem(tamed, n, "\u2028", 3) == NULL);
	MUST(utf8_tame(tamed, n) == n);
	free(tamed);
}

static void
try_times_and_digests(const struct block *b)
{
	char time[UTC_TEXT_SIZE], text[DIGEST_TEXT_SIZE];
	struct digest d;
	int64_t seconds;

	if (utc_parse((const char *)b->data, b->length, &seconds, NULL) == 0) {
		utc_text(seconds, time);
		MUST(strlen(time) == b->length && memcmp(time, b->data, b->length) == 0);
	}
	if (digest_parse((const char *)b->data, b->length, &d, NULL) == 0) {
		digest_text(&d, text);
		MUST(strlen(text) == b->length && memcmp(text, b->data, b->length) == 0);
	}
}

/* Lines, put together again, are the text. */
static void
try_lines(const struct block *b)
{
	struct lines l = {(const char *)b->data, (const char *)b->data + b->length};
	const char *at = l.next, *line;
	size_t length;

	while (lines_next(&l, &line, &length)) {
		MUST(line == at && memchr(line, '\n', length) == NULL);
		at += length;
		if (at < l.end)
			MUST(*at++ == '\n');
		MUST(l.next == at);
		if (lines_printable(line, length))
			for (size_t i = 0; i < length; i++)
				MUST((unsigned char)line[i] >= 0x20 || line[i] == '\t');
	}
	MUST(at == l.end);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	size_t max = input_byte(&in);
	struct block b = input_rest(&in);

	try_utf8(&b, max);
	try_utf8(&b, b.length);
	try_tame(&b);
	try_times_and_digests(&b);
	try_lines(&b);
	free(b.data);
	return 0;
}
