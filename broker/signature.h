/* broker/signature: whether a module is signed by a key that counts. Pure; used by brigd and the brig command. */

#ifndef BROKER_SIGNATURE_H
#define BROKER_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "broker/keyring.h"
#include "broker/keys.h"
#include "broker/minisign.h"
#include "broker/wasmsig.h"

enum signature_kind {
	SIGNATURE_NONE = 0,
	SIGNATURE_EMBEDDED = 1,
	SIGNATURE_DETACHED = 2,
	SIGNATURE_BOTH = 3, /* embedded and detached, both good */
};

/* What was found. Small, no heap; may be kept and rechecked. */
struct signature_verdict {
	enum signature_kind kind;
	char kid[KEYS_KID_TEXT];       /* the signer; "" for kind NONE. For BOTH, the embedded signature's */
	const struct keyring_key *key; /* borrowed from the keyring; NULL for kind NONE */
	char second_kid[KEYS_KID_TEXT];   /* kind BOTH by two keys: the detached one's signer, whose grant */
	const struct keyring_key *second; /* narrows further; else "" and NULL */
	struct digest module;  /* SHA-256 of all bytes: what runs, stores and receipts call the module */
	struct digest content; /* SHA-256 without the signature section: the same for every signing of it */
	bool has_start;        /* as in wasmsig */
};

/* What a module's bytes say, whoever's keys count: all that takes long for a large module. */
struct signature_facts {
	struct digest module, content; /* as in a verdict; content only of a core module */
	int parsed;                    /* what wasmsig_parse said, with `why`; 0 when there is an embedded signature: */
	struct err why;
	struct wasmsig embedded;       /* its `rest` is gone when the module's bytes are */
	uint8_t embedded_hash[32];
	uint8_t detached_hash[MINISIGN_HASH_SIZE];
};

/*
 * signature_read - read and hash a module, with what a detached signature needs if `detached`. It needs no keys, so it
 * can be done where these may change meanwhile.
 */
void signature_read(const uint8_t *wasm, size_t length, bool detached, struct signature_facts *facts);

/*
 * signature_read_text - the same of what is no module: source, or a language pack's manifest. Only a detached signature
 * can go with it.
 */
void signature_read_text(const void *text, size_t length, bool detached, struct signature_facts *facts);

/*
 * signature_judge - signature_check of a module with these facts, in microseconds. They must be with `detached` when
 * there is a detached signature.
 */
int signature_judge(const struct signature_facts *facts, const char *detached, size_t detached_length,
    const struct keyring *ring, int64_t now, struct signature_verdict *out, struct err *e);

/*
 * signature_check - find and verify the signatures of a core module.
 *
 * `detached` is the text of a minisign signature, or NULL for none. A signature that is there must hold, whether or
 * not policy asks for one; when both kinds are there both must. An embedded signature without a key id is only taken
 * when the keyring has exactly one key: keys are never tried in turn.
 *
 * Returns 0 with *out set: kind NONE means unsigned, and policy decides. Otherwise *out is untouched and it is
 * ERR_INVAL (not a core module), ERR_SIGNATURE (malformed or does not fit the bytes), ERR_NOTFOUND (key not in the
 * keyring), ERR_REVOKED (key, or module by either digest, signed or not), ERR_EXPIRED (key or keyring).
 */
int signature_check(const uint8_t *wasm, size_t length, const char *detached, size_t detached_length,
    const struct keyring *ring, int64_t now, struct signature_verdict *out, struct err *e);

/*
 * signature_recheck - that a verdict still holds under `ring`, which may be a newer keyring, at `now`: keys known,
 * neither revoked nor expired, digests not revoked. No cryptography, microseconds. Sets v->key and v->second to the
 * keys of `ring`. 0, ERR_NOTFOUND, ERR_REVOKED or ERR_EXPIRED, with *v untouched.
 */
int signature_recheck(struct signature_verdict *v, const struct keyring *ring, int64_t now, struct err *e);

/* signature_kind_name - "none", "embedded", "detached" or "both". */
const char *signature_kind_name(enum signature_kind kind);

#endif
