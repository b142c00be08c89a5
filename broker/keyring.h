/* broker/keyring: the keys that count, a document signed by an offline root key. Used by brigd and the brig command. */

#ifndef BROKER_KEYRING_H
#define BROKER_KEYRING_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "broker/keys.h"

/*
 * FILE is JSON and FILE.minisig its detached signature by the root key (docs/signing.md has every field). All times
 * are seconds since 1970, UTC. Fail closed: a keyring that is expired, rolled back, malformed or not the root's is not
 * used at all.
 */
#define KEYRING_SIZE_MAX     (8 * 1024 * 1024) /* bytes of the document */
#define KEYRING_KEYS_MAX     1024
#define KEYRING_REVOKED_MAX  65536 /* of each kind */
#define KEYRING_NAME_MAX     128   /* bytes of a key's or owner's name */

enum keyring_owner {
	KEYRING_OWNER_ANY = 0,  /* modules signed by this key may be run by anyone whom policy lets */
	KEYRING_OWNER_UID = 1,  /* only by this user id */
	KEYRING_OWNER_NAME = 2, /* only by the user of this name */
};

struct keyring_key {
	char kid[KEYS_KID_TEXT];
	struct keys_public public;
	char name[KEYRING_NAME_MAX + 1];
	int64_t valid_from; /* the first second in which it counts */
	int64_t valid_to;   /* the first in which it no longer does */
	enum keyring_owner owner;
	uint32_t owner_uid;
	char owner_name[KEYRING_NAME_MAX + 1];
	struct policy *grant; /* NULL when the key narrows nothing */
	bool packs;           /* may sign language packs, which run for all users */
	bool revoked;
};

struct keyring; /* read-only once made */

/*
 * keyring_load - verify and read a keyring: signature first, then content. Pure.
 *
 * `min_version` is the highest version ever seen (0 for none); who persists it is the caller.
 * Returns 0 with *out for keyring_free(); ERR_SIGNATURE when the signature is not the root's; ERR_INVAL for a document
 * that breaks a rule (the message has the field's path); ERR_EXPIRED; ERR_DENIED when its version is below
 * min_version; ERR_NOMEM. *out is untouched on failure.
 */
int keyring_load(const char *json, size_t length, const char *signature, size_t signature_length,
    const struct keys_public *root, int64_t now, uint64_t min_version, struct keyring **out, struct err *e);

/*
 * keyring_load_file - the same from `path` and its signature file. While a keyring is being replaced its new signature
 * is at PATH.minisig.next for a moment (broker/keyring_edit.h); this looks there too, and tries again when it read the
 * document of one and the signature of the other, so that a reader never sees a half-replaced keyring.
 */
int keyring_load_file(const char *path, const struct keys_public *root, int64_t now, uint64_t min_version,
    struct keyring **out, struct err *e);

/*
 * keyring_read_file - the bytes of `path`, their signature verified in the same way, their content not looked at. The
 * caller frees *json. 0; ERR_NOTFOUND when a file is not there; ERR_SIGNATURE; ERR_LIMIT; ERR_IO; ERR_NOMEM.
 */
int keyring_read_file(const char *path, const struct keys_public *root, uint8_t **json, size_t *length,
    struct err *e);

/*
 * keyring_parse - read a document whose signature and time are not the question. Borrows `document`. 0; ERR_INVAL with
 * the path of the field that breaks a rule; ERR_NOMEM.
 */
int keyring_parse(json_t *document, struct keyring **out, struct err *e);

/* keyring_of_key - a keyring of just this key, always valid: for `brig verify -p`. 0 or ERR_NOMEM. */
int keyring_of_key(const struct keys_public *key, struct keyring **out, struct err *e);

/*
 * keyring_empty - a keyring without keys, for a brigd that was given none: every signature is by an unknown key. Its
 * version is 0; that of a document is higher. 0 or ERR_NOMEM.
 */
int keyring_empty(struct keyring **out, struct err *e);

/* keyring_free - end a keyring and every keyring_key of it. NULL does nothing. */
void keyring_free(struct keyring *ring);

/* keyring_version, keyring_expires - the document's; keyring_count, keyring_at - its keys, revoked ones too. */
uint64_t keyring_version(const struct keyring *ring);
int64_t keyring_expires(const struct keyring *ring);
size_t keyring_count(const struct keyring *ring);
const struct keyring_key *keyring_at(const struct keyring *ring, size_t index); /* NULL past the end */

/* keyring_find_kid, keyring_find_number - the key of that name, revoked or expired too; NULL when there is none. */
const struct keyring_key *keyring_find_kid(const struct keyring *ring, const char *kid);
const struct keyring_key *keyring_find_number(const struct keyring *ring, const uint8_t number[KEYS_NUMBER_SIZE]);

/* keyring_kid_revoked, keyring_module_revoked - whether a key id, or a module's digest, is withdrawn. */
bool keyring_kid_revoked(const struct keyring *ring, const char *kid);
bool keyring_module_revoked(const struct keyring *ring, const struct digest *digest);

/* keyring_current - that the keyring has not expired since it was loaded. 0 or ERR_EXPIRED. */
int keyring_current(const struct keyring *ring, int64_t now, struct err *e);

/* keyring_key_usable - that the key counts now. 0; ERR_REVOKED; ERR_EXPIRED before valid_from and from valid_to on. */
int keyring_key_usable(const struct keyring_key *key, int64_t now, struct err *e);

/* keyring_key_owner_allows - whether a module signed by `key` may be run by `uid`, named `name` (NULL: unnamed). */
bool keyring_key_owner_allows(const struct keyring_key *key, uint32_t uid, const char *name);

/* keyring_key_check_owner - the same, with the user's name as this machine knows it. 0, or ERR_NOTFOUND. */
int keyring_key_check_owner(const struct keyring_key *key, uint32_t uid, struct err *e);

#endif
