/* base/base64: strict base64 (RFC 4648, section 4). Any process with libsodium. */

#include "base/base64.h"

#include <sodium.h>

bool
base64_decode(const char *text, size_t length, void *out, size_t max, size_t *got)
{
	unsigned char all = 0;
	size_t n;

	for (size_t i = 0; i < length; i++)
		all |= (unsigned char)text[i];
	if ((all & 0x80) != 0 ||
	    sodium_base642bin(out, max, text, length, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return false;
	*got = n;
	return true;
}

bool
base64_decode_exact(const char *text, size_t length, void *out, size_t size)
{
	size_t got;

	return base64_decode(text, length, out, size, &got) && got == size;
}
