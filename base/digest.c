/* base/digest: SHA-256 digests and their text form "sha256:<64 lower-case hex digits>". Any process with libsodium. */

#include "base/digest.h"

#include <sodium.h>
#include <string.h>

static const char prefix[] = "sha256:";
#define PREFIX_LENGTH (sizeof(prefix) - 1)

struct digest
digest_of(const void *data, size_t length)
{
	struct digest d;

	crypto_hash_sha256(d.bytes, data, length);
	return d;
}

char *
digest_text(const struct digest *d, char text[DIGEST_TEXT_SIZE])
{
	memcpy(text, prefix, PREFIX_LENGTH);
	sodium_bin2hex(text + PREFIX_LENGTH, DIGEST_TEXT_SIZE - PREFIX_LENGTH, d->bytes, DIGEST_SIZE);
	return text;
}

int
digest_parse(const char *text, size_t length, struct digest *d, struct err *e)
{
	struct digest parsed;
	size_t got = 0;

	if (length != DIGEST_TEXT_SIZE - 1 || memcmp(text, prefix, PREFIX_LENGTH) != 0)
		goto bad;
	for (size_t i = PREFIX_LENGTH; i < length; i++)
		if ((text[i] < '0' || text[i] > '9') && (text[i] < 'a' || text[i] > 'f'))
			goto bad;
	if (sodium_hex2bin(parsed.bytes, DIGEST_SIZE, text + PREFIX_LENGTH, 2 * DIGEST_SIZE, NULL, &got, NULL) != 0 ||
	    got != DIGEST_SIZE)
		goto bad;
	*d = parsed;
	return 0;
bad:
	return err_set(e, ERR_INVAL, "not a digest: it is written sha256: and 64 lower-case hexadecimal digits");
}

int
digest_equal(const struct digest *a, const struct digest *b)
{
	return sodium_memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}
