/* broker/minisign: detached signatures in minisign's format. Pure; used by brigd and the brig command. */

#ifndef BROKER_MINISIGN_H
#define BROKER_MINISIGN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "broker/keys.h"

/*
 * The text of a .minisig file: four lines, each ended by one LF (the last may lack it):
 *
 *     untrusted comment: anything
 *     base64( "ED" | key number[8] | signature[64] )      over BLAKE2b-512 of the file
 *     trusted comment: anything
 *     base64( signature[64] )                             over signature[64] | the trusted comment
 *
 * The older kind "Ed" (the file signed unhashed) is refused, as are control characters in the comments.
 */
#define MINISIGN_SIZE_MAX    8192 /* bytes of the text */
#define MINISIGN_COMMENT_MAX 1024 /* bytes of either comment */
#define MINISIGN_HASH_SIZE   64

struct minisign {
	uint8_t number[KEYS_NUMBER_SIZE];
	uint8_t signature[64];
	uint8_t comment_signature[64];
	const char *comment; /* borrowed from the text; not NUL-terminated */
	size_t comment_length;
};

/* minisign_parse - read the text. 0, or ERR_SIGNATURE with the reason and *out untouched. Borrows `text` in *out. */
int minisign_parse(const char *text, size_t length, struct minisign *out, struct err *e);

/* minisign_hash - what is signed: BLAKE2b-512 of data[0..length]. Slow for a large file; all else is quick. */
void minisign_hash(const void *data, size_t length, uint8_t hash[MINISIGN_HASH_SIZE]);

/* minisign_verify_hash - minisign_verify, of data with that hash. */
int minisign_verify_hash(const struct minisign *sig, const struct keys_public *key,
    const uint8_t hash[MINISIGN_HASH_SIZE], struct err *e);

/*
 * minisign_verify - that both signatures of `sig` are `key`'s, over data[0..length]. 0, or ERR_SIGNATURE saying
 * whether number, content or comment does not fit.
 */
int minisign_verify(const struct minisign *sig, const struct keys_public *key, const void *data, size_t length,
    struct err *e);

/*
 * minisign_sign - sign data[0..length]; `comment` is the trusted comment (printable UTF-8, at most
 * MINISIGN_COMMENT_MAX bytes). The caller frees *text, which is NUL-terminated. 0, ERR_INVAL for the comment, or
 * ERR_NOMEM.
 */
int minisign_sign(const struct keys_secret *key, const void *data, size_t length, const char *comment, char **text,
    struct err *e);

#endif
