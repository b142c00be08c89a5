/* broker/keyring_edit: making and changing keyrings, for who holds the root's secret key. Used by the brig command. */

#ifndef BROKER_KEYRING_EDIT_H
#define BROKER_KEYRING_EDIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "broker/keys.h"

/*
 * keyring_edit_lock - wait until no one else edits keyrings in the directory of `path`. Returns a descriptor that holds
 * the lock until it is closed, or ERR_IO or ERR_NOMEM.
 */
int keyring_edit_lock(const char *path, struct err *e);

/* keyring_edit_new - a new document, version 0, without keys. The caller owns it. NULL when out of memory. */
json_t *keyring_edit_new(int64_t expires);

/*
 * keyring_edit_read - the document of the keyring at `path`, its signature verified and its rules kept, but expired or
 * not. The caller owns *out. 0 or as keyring_read_file and keyring_parse.
 */
int keyring_edit_read(const char *path, const struct keys_public *root, json_t **out, struct err *e);

/*
 * keyring_edit_add - add a key. `owner` is a user's name, a decimal user id, or NULL for any; `grant` is borrowed, NULL
 * for none; `packs`: it may sign language packs. 0; ERR_EXISTS when the key, or another with its number, is there already; ERR_NOMEM.
 */
int keyring_edit_add(json_t *document, const struct keys_public *key, const char *name, int64_t valid_from,
    int64_t valid_to, const char *owner, json_t *grant, bool packs, struct err *e);

/*
 * keyring_edit_seal - raise the version by one, check that the document keeps every rule, sign it, and replace both
 * files of the keyring at `path` (or make them): the new signature goes to PATH.minisig.next, then PATH is replaced,
 * then the signature is renamed to PATH.minisig. A crash in between leaves a keyring that keyring_load_file reads.
 * 0; ERR_INVAL with the path of the field that breaks a rule; ERR_LIMIT; ERR_IO; ERR_NOMEM.
 */
int keyring_edit_seal(const char *path, json_t *document, const struct keys_secret *root, struct err *e);

#endif
