/* runtime/wasi/random: what a guest gets for random bytes. Knows no guest memory. Runs in the worker. */

#include "runtime/wasi/random.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/random.h>

#define BLOCK 64 /* bytes of one ChaCha20 block */

_Static_assert(WASI_RANDOM_SEED_SIZE == crypto_stream_chacha20_KEYBYTES, "the seed is the key");
_Static_assert(sizeof(((struct wasi_random *)0)->ahead) % BLOCK == 0, "whole blocks ahead");

void
wasi_random_begin(struct wasi_random *r, enum proto_random kind, const uint8_t seed[WASI_RANDOM_SEED_SIZE])
{
	r->kind = kind;
	memcpy(r->seed, seed, sizeof(r->seed));
	r->next = 0;
	r->used = sizeof(r->ahead);
}

static enum wasi_errno
from_kernel(uint8_t *data, size_t length)
{
	while (length > 0) {
		ssize_t n = getrandom(data, length, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return WASI_EIO;
		data += n;
		length -= (size_t)n;
	}
	return WASI_ESUCCESS;
}

static enum wasi_errno
from_seed(struct wasi_random *r, uint8_t *data, size_t length)
{
	static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];

	while (length > 0) {
		size_t n = sizeof(r->ahead) - r->used;

		if (n == 0) {
			memset(r->ahead, 0, sizeof(r->ahead));
			crypto_stream_chacha20_xor_ic(r->ahead, r->ahead, sizeof(r->ahead), nonce, r->next, r->seed);
			r->next += sizeof(r->ahead) / BLOCK;
			r->used = 0;
			continue;
		}
		if (n > length)
			n = length;
		memcpy(data, r->ahead + r->used, n);
		r->used += n;
		data += n;
		length -= n;
	}
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_random_fill(struct wasi_random *r, uint8_t *data, size_t length)
{
	switch (r->kind) {
	case PROTO_RANDOM_REAL:
		return from_kernel(data, length);
	case PROTO_RANDOM_SEEDED:
		return from_seed(r, data, length);
	default:
		return WASI_ENOTCAPABLE;
	}
}
