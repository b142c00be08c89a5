/* Fuzz target: broker/minisign: one text for one signature, but for the comment that is not signed. */

#include <stdlib.h>
#include <string.h>

#include "broker/minisign.h"
#include "tests/fuzz/input.h"

static const char content[] = "hi\n";

/* What stands behind the first line, without a last LF. */
static struct input
signed_part(const char *text, size_t length)
{
	const char *end = memchr(text, '\n', length);
	size_t skip = end == NULL ? length : (size_t)(end - text) + 1;

	if (length > skip && text[length - 1] == '\n')
		length--;
	return (struct input){(const uint8_t *)text + skip, length - skip};
}

/* What is accepted is what the key makes, with the same trusted comment. */
static void
must_be_ours(const struct block *text, const struct minisign *sig, const struct keys_secret *key)
{
	char *comment = strndup(sig->comment, sig->comment_length), *again;
	struct input want, have;

	MUST(strlen(comment) == sig->comment_length);
	MUST(minisign_sign(key, content, strlen(content), comment, &again, NULL) == 0);
	want = signed_part(again, strlen(again));
	have = signed_part((const char *)text->data, text->length);
	MUST(want.left == have.left && memcmp(want.p, have.p, want.left) == 0);
	free(again);
	free(comment);
}

static void
check(const struct block *text, const struct keys_secret *key)
{
	const struct keys_public public = keys_public_of(key);
	struct minisign sig;
	struct err e = {0};
	int rc = minisign_parse((const char *)text->data, text->length, &sig, &e);

	if (rc == 0) {
		MUST(sig.comment_length <= MINISIGN_COMMENT_MAX);
		MUST((const uint8_t *)sig.comment >= text->data);
		MUST((const uint8_t *)sig.comment + sig.comment_length <= text->data + text->length);
		rc = minisign_verify(&sig, &public, content, strlen(content), &e);
	}
	if (rc == 0)
		must_be_ours(text, &sig, key);
	else
		MUST(rc == ERR_SIGNATURE && e.code == rc && e.msg[0] != '\0');
}

/* The first byte: 1 for a trusted comment that is signed here, and damage to the text; else the text itself follows. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct keys_secret key = input_key(0);
	struct block text = {NULL, 0};
	char *comment, *made;

	if (input_byte(&in) != 1) {
		text = input_rest(&in);
		check(&text, &key);
		free(text.data);
		return 0;
	}
	comment = input_string(&in);
	if (minisign_sign(&key, content, strlen(content), comment, &made, NULL) == 0) {
		text = (struct block){(uint8_t *)made, strlen(made)};
		input_damage(&in, &text);
		check(&text, &key);
		free(text.data);
	}
	free(comment);
	return 0;
}
