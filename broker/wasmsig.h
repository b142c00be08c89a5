/* broker/wasmsig: the signature embedded in a core WebAssembly module. Pure; used by brigd and the brig command. */

#ifndef BROKER_WASMSIG_H
#define BROKER_WASMSIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "broker/keys.h"

/*
 * The layout is wasmsign2's, in its strictest reading:
 *
 *     file    = header[8] | 00 | leb(size) | 09 "signature" | payload | rest
 *     payload = 01 01 01 | 01 | leb SETLEN | 01 hash[32] | 01 | leb SIGLEN | leb KIDLEN | kid | 01 | 40 | signature[64]
 *     signed  = "wasmsig" | 01 01 01 | hash, where hash = SHA-256(rest)
 *
 * KIDLEN is 12 or 0. One set of one hash with one signature; nothing else, nowhere else.
 */
struct wasmsig {
	const uint8_t *rest; /* borrowed: what is signed, all after header and signature section */
	size_t rest_length;
	bool has_start;      /* a function runs when it is instantiated */
	bool has_kid;
	uint8_t kid[KEYS_KID_SIZE]; /* says which key to try; not itself signed */
	uint8_t hash[32];
	uint8_t signature[64];
};

#define WASMSIG_HEADER_SIZE 8

/*
 * wasmsig_parse - find the signature of a module; reads section headers and the envelope, nothing else of it.
 *
 * Returns 0 with *out set; ERR_NOTFOUND when the module carries none, *out then having only `rest` (all after the
 * header); ERR_INVAL when it is not a core module made of whole sections (a component is not one); ERR_SIGNATURE
 * when an envelope is there and is not exactly as above. *out is untouched on the last two.
 */
int wasmsig_parse(const uint8_t *wasm, size_t length, struct wasmsig *out, struct err *e);

/* wasmsig_hash - what is signed: SHA-256 of the rest. Slow for a large module; all else is quick. */
void wasmsig_hash(const struct wasmsig *sig, uint8_t hash[32]);

/*
 * wasmsig_verify_hash - that `hash`, which is the rest's, is what was signed, by `key`. 0, or ERR_SIGNATURE saying which
 * not.
 */
int wasmsig_verify_hash(const struct wasmsig *sig, const uint8_t hash[32], const uint8_t key[32], struct err *e);

/* wasmsig_verify - both at once. */
int wasmsig_verify(const struct wasmsig *sig, const uint8_t key[32], struct err *e);

/* wasmsig_content - SHA-256 of the module without its signature section: the digest of the file before signing. */
struct digest wasmsig_content(const struct wasmsig *sig);

/*
 * wasmsig_sign - a copy of the module with a signature section put first, and one that was there left out. The
 * caller frees *out. Returns 0, ERR_NOMEM, or what wasmsig_parse said of the module.
 */
int wasmsig_sign(const uint8_t *wasm, size_t length, const struct keys_secret *key, uint8_t **out, size_t *out_length,
    struct err *e);

#endif
