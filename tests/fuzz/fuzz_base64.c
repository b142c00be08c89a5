/* Fuzz target: base/base64: only what an encoder writes is taken, and all of that. */

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "tests/fuzz/input.h"

#define STANDARD sodium_base64_VARIANT_ORIGINAL

static char *
encode(const uint8_t *data, size_t length)
{
	size_t room = sodium_base64_encoded_len(length, STANDARD);
	char *text = malloc(room);

	MUST(text != NULL);
	return sodium_bin2base64(text, room, data, length, STANDARD);
}

/* Text that is decoded is what encoding gives for the bytes. */
static void
try_text(const struct block *text, size_t room)
{
	uint8_t *out = malloc(room);
	size_t got = SIZE_MAX;
	char *again;

	if (base64_decode((const char *)text->data, text->length, out, room, &got)) {
		MUST(got <= room);
		again = encode(out, got);
		MUST(strlen(again) == text->length && memcmp(again, text->data, text->length) == 0);
		free(again);
	} else {
		MUST(got == SIZE_MAX);
	}
	free(out);
}

/* Bytes that were encoded come back, given just the room they need, and not with less. */
static void
try_bytes(const struct block *bytes)
{
	char *text = encode(bytes->data, bytes->length);
	uint8_t *out = malloc(bytes->length);

	MUST(base64_decode_exact(text, strlen(text), out, bytes->length));
	MUST(memcmp(out, bytes->data, bytes->length) == 0);
	MUST(bytes->length == 0 || !base64_decode_exact(text, strlen(text), out, bytes->length - 1));
	free(out);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	size_t room = input_byte(&in);
	struct block b = input_rest(&in);

	try_text(&b, b.length / 4 * 3 + 3);
	try_text(&b, room);
	try_bytes(&b);
	free(b.data);
	return 0;
}
