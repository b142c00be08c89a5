/* Fuzz target: broker/keys: key files of both formats. */

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/input.h"

static void
try_public(const struct block *file)
{
	struct keys_public key, again;
	uint8_t out[KEYS_FILE_MAX];
	size_t length;

	if (keys_public_decode(file->data, file->length, &key, NULL) != 0)
		return;
	for (enum keys_format format = KEYS_MINISIGN; format <= KEYS_WASMSIGN2; format++) {
		keys_public_encode(&key, format, out, &length);
		MUST(length <= sizeof(out));
		MUST(keys_public_decode(out, length, &again, NULL) == 0);
		MUST(memcmp(again.key, key.key, sizeof(key.key)) == 0);
		MUST(format == KEYS_WASMSIGN2 || memcmp(again.number, key.number, sizeof(key.number)) == 0);
	}
}

/* Without a password: opening a key that has one takes a second, by design. */
static void
try_secret(const struct block *file)
{
	struct keys_secret key, again;
	struct keys_public public;
	uint8_t out[KEYS_FILE_MAX];
	size_t length;

	if (keys_secret_decode(file->data, file->length, NULL, &key, NULL) != 0)
		return;
	public = keys_public_of(&key);
	keys_public_encode(&public, KEYS_WASMSIGN2, out, &length);
	MUST(keys_public_decode(out, length, &public, NULL) == 0);
	for (enum keys_format format = KEYS_MINISIGN; format <= KEYS_WASMSIGN2; format++) {
		keys_secret_encode(&key, format, out, &length);
		MUST(length <= sizeof(out));
		MUST(keys_public_decode(out, length, &public, NULL) != 0);
		MUST(keys_secret_decode(out, length, NULL, &again, NULL) == 0);
		MUST(memcmp(again.key, key.key, sizeof(key.key)) == 0);
		keys_forget(&again);
	}
	keys_forget(&key);
}

/* The first byte: 0 a file; 1 a public, 2 a secret key, written here in the format of the second byte, then damaged. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct keys_secret secret = input_key(0);
	struct keys_public public = keys_public_of(&secret);
	uint8_t how = input_byte(&in), out[KEYS_FILE_MAX];
	enum keys_format format = how == 0 || input_byte(&in) % 2 == 0 ? KEYS_MINISIGN : KEYS_WASMSIGN2;
	struct block file;
	size_t length;

	if (how == 0) {
		file = input_rest(&in);
	} else {
		if (how % 2 == 1)
			keys_public_encode(&public, format, out, &length);
		else
			keys_secret_encode(&secret, format, out, &length);
		file = input_take(&(struct input){out, length}, length);
		input_damage(&in, &file);
	}
	try_public(&file);
	try_secret(&file);
	free(file.data);
	return 0;
}
