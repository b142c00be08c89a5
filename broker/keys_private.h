/* broker/keys_private: the keys and keyring that one user's own brigd trusts. Used by the brig command. */

#ifndef BROKER_KEYS_PRIVATE_H
#define BROKER_KEYS_PRIVATE_H

#include <limits.h>

#include "base/err.h"

struct keys_private {
	char directory[PATH_MAX];
	char root_secret[PATH_MAX]; /* signs the keyring */
	char root_public[PATH_MAX]; /* brigd --root */
	char user_secret[PATH_MAX]; /* signs what `brig run` finds unsigned */
	char user_public[PATH_MAX];
	char keyring[PATH_MAX];     /* brigd --keyring; its signature is beside it */
};

/*
 * keys_private_paths - where they are: under `directory`, or, when that is NULL, under $XDG_CONFIG_HOME/brig/keys,
 * else ~/.config/brig/keys. Touches nothing. 0, or ERR_INVAL when there is no home or a path is too long.
 */
int keys_private_paths(const char *directory, struct keys_private *out, struct err *e);

/*
 * keys_ensure_private - the same, and make what is missing: the directory (0700), a root and a user key pair (secrets
 * 0600), and a keyring with the user's key in it. Safe when several processes do it at once. What is there is kept,
 * and must be the caller's own and not writable by others.
 *
 * Returns 0; ERR_DENIED for a directory or secret that others could change or read; ERR_INVAL, ERR_SIGNATURE or
 * ERR_EXPIRED when a keyring is there and is not good; ERR_IO, ERR_NOMEM. *out is untouched on failure.
 */
int keys_ensure_private(const char *directory, struct keys_private *out, struct err *e);

#endif
