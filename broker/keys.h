/* broker/keys: Ed25519 key pairs and the files that hold them. Pure but for keys_read_* and keys_write_*; used by brigd
 * (public keys only) and the brig command. */

#ifndef BROKER_KEYS_H
#define BROKER_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * One pair serves both kinds of signature. Its names are
 *  - the key id (kid): HMAC-SHA256(key = public, "key_id"), the first 12 bytes; wasmsign2's, follows from the key;
 *  - the key number: 8 bytes that minisign chooses at random. For pairs made here it is the first 8 bytes of the kid.
 */
#define KEYS_NUMBER_SIZE 8
#define KEYS_KID_SIZE    12
#define KEYS_KID_TEXT    (2 * KEYS_KID_SIZE + 1)    /* lower-case hexadecimal, with the NUL */
#define KEYS_NUMBER_TEXT (2 * KEYS_NUMBER_SIZE + 1) /* the same; bytes in the order in which files have them */
#define KEYS_FILE_MAX    4096                       /* bytes of a key file */

struct keys_public {
	uint8_t number[KEYS_NUMBER_SIZE];
	uint8_t key[32];
};

/* Holders wipe it with keys_forget() when done. */
struct keys_secret {
	uint8_t number[KEYS_NUMBER_SIZE];
	uint8_t key[64]; /* seed[32] | public[32], as libsodium has it */
};

enum keys_format {
	KEYS_MINISIGN = 0,  /* text: comment line and base64; minisign's -W form for secrets, without a password */
	KEYS_WASMSIGN2 = 1, /* binary: public 01 | key[32], secret 81 | seed[32] | key[32]; has no key number */
};

/* keys_kid - the key id of a public key, as bytes; keys_kid_text - as 24 digits, returned too. */
void keys_kid(const uint8_t key[32], uint8_t kid[KEYS_KID_SIZE]);
char *keys_kid_text(const uint8_t key[32], char text[KEYS_KID_TEXT]);

/* keys_number_text - a key number as 16 digits, returned too. */
char *keys_number_text(const uint8_t number[KEYS_NUMBER_SIZE], char text[KEYS_NUMBER_TEXT]);

/* keys_generate - a new random pair, in memory locked when the system lets it. 0, or ERR_IO without randomness. */
int keys_generate(struct keys_secret *secret, struct err *e);

/* keys_public_of - the public half. */
struct keys_public keys_public_of(const struct keys_secret *secret);

/* keys_forget - wipe a secret (and unlock its memory). NULL does nothing. */
void keys_forget(struct keys_secret *secret);

/*
 * keys_public_decode - read a public key: minisign's two-line file, its base64 line alone, or wasmsign2's 33 bytes,
 * whichever it is. Every byte must be accounted for. 0, or ERR_INVAL with *out untouched.
 */
int keys_public_decode(const uint8_t *data, size_t length, struct keys_public *out, struct err *e);

/*
 * keys_secret_decode - read a secret key: minisign's file or wasmsign2's 65 bytes. `password` (NUL-terminated) opens
 * a minisign key that has one, else it is NULL and not used. The public half must belong to the seed.
 *
 * Returns 0; ERR_DENIED when a password is needed and none was given, or it is wrong; ERR_INVAL for anything that is
 * not a secret key; ERR_NOMEM when the key asks for more memory to open than there is. *out is untouched on failure.
 */
int keys_secret_decode(const uint8_t *data, size_t length, const char *password, struct keys_secret *out,
    struct err *e);

/*
 * keys_public_encode, keys_secret_encode - write the file's content into out[0..KEYS_FILE_MAX], its length into
 * *length. The caller wipes what a secret was encoded into.
 */
void keys_public_encode(const struct keys_public *key, enum keys_format format, uint8_t out[KEYS_FILE_MAX],
    size_t *length);
void keys_secret_encode(const struct keys_secret *key, enum keys_format format, uint8_t out[KEYS_FILE_MAX],
    size_t *length);

/* keys_ask - asks for the password of the key at `path`; puts it in password[0..size] with a NUL. 0 or ERR_*. */
typedef int keys_ask(const char *path, char *password, size_t size, struct err *e);

/* keys_ask_terminal - a keys_ask that asks on the controlling terminal, without echo. ERR_UNSUPPORTED without one. */
int keys_ask_terminal(const char *path, char *password, size_t size, struct err *e);

/*
 * keys_read_public, keys_read_secret - the same from a file. ERR_NOTFOUND when there is none. `ask` may be NULL: a
 * key with a password is then ERR_DENIED.
 */
int keys_read_public(const char *path, struct keys_public *out, struct err *e);
int keys_read_secret(const char *path, keys_ask *ask, struct keys_secret *out, struct err *e);

/*
 * keys_write_public (mode 0644), keys_write_secret (0600) - make the file, whole or not at all, and never over an
 * existing one: ERR_EXISTS then. ERR_IO otherwise.
 */
int keys_write_public(const char *path, const struct keys_public *key, enum keys_format format, struct err *e);
int keys_write_secret(const char *path, const struct keys_secret *key, enum keys_format format, struct err *e);

#endif
