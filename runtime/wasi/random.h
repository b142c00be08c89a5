/* runtime/wasi/random: what a guest gets for random bytes. Knows no guest memory. Runs in the worker. */

#ifndef RUNTIME_WASI_RANDOM_H
#define RUNTIME_WASI_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "base/proto.h"
#include "runtime/wasi/errno.h"

#define WASI_RANDOM_SEED_SIZE 32

struct wasi_random {
	enum proto_random kind;
	uint8_t seed[WASI_RANDOM_SEED_SIZE];
	uint64_t next;       /* 64-byte block of the key stream that follows `ahead` */
	size_t used;         /* of `ahead` */
	uint8_t ahead[1024];
};

/* wasi_random_begin - `seed` is copied; kind SEEDED only. */
void wasi_random_begin(struct wasi_random *r, enum proto_random kind, const uint8_t seed[WASI_RANDOM_SEED_SIZE]);

/*
 * wasi_random_fill - fill data[0..length].
 *
 * REAL: the kernel's generator. SEEDED: the ChaCha20 key stream of the seed with an all-zero nonce, from block 0 on, so
 * that the bytes depend on the seed and on how many went before, not on how they were asked for.
 * Returns ESUCCESS; ENOTCAPABLE when there is no randomness; EIO when the kernel gives none.
 */
enum wasi_errno wasi_random_fill(struct wasi_random *r, uint8_t *data, size_t length);

#endif
