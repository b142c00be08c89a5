/* base/digest: SHA-256 digests and their text form "sha256:<64 lower-case hex digits>". Any process with libsodium. */

#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define DIGEST_SIZE 32
#define DIGEST_TEXT_SIZE (7 + 2 * DIGEST_SIZE + 1) /* with the NUL */

struct digest {
	uint8_t bytes[DIGEST_SIZE];
};

/* digest_of - SHA-256 (FIPS 180-4) of data[0..length]. */
struct digest digest_of(const void *data, size_t length);

/* digest_text - write the text form into `text`, which is also returned. */
char *digest_text(const struct digest *d, char text[DIGEST_TEXT_SIZE]);

/* digest_parse - read the text form, exactly. ERR_INVAL with *d untouched when it is anything else. */
int digest_parse(const char *text, size_t length, struct digest *d, struct err *e);

/* digest_equal - 1 or 0, in constant time. */
int digest_equal(const struct digest *a, const struct digest *b);

#endif
