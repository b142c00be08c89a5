/* base/base64: strict base64 (RFC 4648, section 4). Any process with libsodium. */

#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/*
 * base64_decode - decode text[0..length] into out[0..max]; *got is how many bytes it gave. Only the one canonical form:
 * padded, no white space, no bits set that no byte uses. (libsodium 1.0.18 itself also takes bytes from 0x80 on for
 * some characters.) Returns false, *got untouched, for anything else or anything larger; then out may be scribbled on.
 */
bool base64_decode(const char *text, size_t length, void *out, size_t max, size_t *got);

/* base64_decode_exact - the same for text that must give exactly `size` bytes. */
bool base64_decode_exact(const char *text, size_t length, void *out, size_t size);

#endif
