/* broker/keyring: the keys that count, in a document signed by an offline root key. Used by brigd and the brig command. */

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
	const json_t *grant; /* a policy object, borrowed from the keyring; NULL for none (grants nothing beyond others) */
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
 * is at PATH.minisig.next for a moment (keyring_seal_file); this looks there too, and tries again when it read the old
 * half of one and the new half of the other, so that a reader never sees a half-replaced keyring.
 */
int keyring_load_file(const char *path, const struct keys_public *root, int64_t now, uint64_t min_version,
    struct keyring **out, struct err *e);

/* keyring_of_key - a keyring of just this key, always valid: for `brig verify -p`. 0 or ERR_NOMEM. */
int keyring_of_key(const struct keys_public *key, struct keyring **out, struct err *e);

/* keyring_free - end a keyring and every keyring_key of it. NULL does nothing. */
void keyring_free(struct keyring *ring);

uint64_t keyring_version(const struct keyring *ring);
int64_t keyring_expires(const struct keyring *ring);
size_t keyring_count(const struct keyring *ring);                                    /* of keys, revoked ones too */
const struct keyring_key *keyring_at(const struct keyring *ring, size_t index);      /* NULL past the end */

/* keyring_find_kid, keyring_find_number - the key of that name, revoked or expired ones too; NULL when there is none. */
const struct keyring_key *keyring_find_kid(const struct keyring *ring, const char *kid);
const struct keyring_key *keyring_find_number(const struct keyring *ring, const uint8_t number[KEYS_NUMBER_SIZE]);

/* keyring_kid_revoked, keyring_module_revoked - whether a key id, or a module's digest, is withdrawn. */
bool keyring_kid_revoked(const struct keyring *ring, const char *kid);
bool keyring_module_revoked(const struct keyring *ring, const struct digest *digest);

/*
 * keyring_key_usable - that the key counts now. 0; ERR_REVOKED; ERR_EXPIRED before valid_from, from valid_to on, and
 * when the keyring itself has expired since it was loaded.
 */
int keyring_key_usable(const struct keyring *ring, const struct keyring_key *key, int64_t now, struct err *e);

/* keyring_key_owner_allows - whether a module signed by `key` may be run by user `uid`, named `name` (NULL: unnamed). */
bool keyring_key_owner_allows(const struct keyring_key *key, uint32_t uid, const char *name);

/* --- for the brig command: making and changing keyrings ------------------------------------------------------- */

/* keyring_document - a new document, version 0, without keys. NULL when out of memory. The caller owns it. */
json_t *keyring_document(int64_t expires);

/* keyring_read_document - the document of `path` as JSON, its signature verified, expired or not. The caller owns it. */
int keyring_read_document(const char *path, const struct keys_public *root, json_t **out, struct err *e);

/*
 * keyring_document_add - add an entry. `owner` is a name or a decimal user id or NULL; `grant` is borrowed, NULL for
 * none. 0; ERR_EXISTS when the key or its number is there already; ERR_INVAL; ERR_NOMEM.
 */
int keyring_document_add(json_t *document, const struct keys_public *key, const char *name, int64_t valid_from,
    int64_t valid_to, const char *owner, json_t *grant, struct err *e);

/*
 * keyring_seal_file - raise the version by one, check that the document obeys every rule, sign it, and replace both
 * files at `path`: the new signature is first put at PATH.minisig.next, then PATH is replaced, then the signature
 * renamed into place. 0; ERR_INVAL with the path of a field that breaks a rule; ERR_IO; ERR_NOMEM.
 */
int keyring_seal_file(const char *path, json_t *document, const struct keys_secret *root, struct err *e);

#endif
