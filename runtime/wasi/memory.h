/* runtime/wasi/memory: the only way to the guest's memory: bounds-checked, overflow-safe. Runs in the worker. */

#ifndef RUNTIME_WASI_MEMORY_H
#define RUNTIME_WASI_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The guest's linear memory during one host call. It is looked up again for every call and must be again after anything
 * that can run guest code or grow the memory, since both can move it. Addresses are 64-bit so that the sum of a guest's
 * pointer and an offset cannot wrap; a guest's own pointers have 32.
 */
struct wasi_memory {
	uint8_t *base; /* may be NULL when size is 0 */
	uint64_t size;
};

/* wasi_memory_fits - whether at..at+length lies inside. An empty range fits anywhere up to the very end. */
bool wasi_memory_fits(const struct wasi_memory *m, uint64_t at, uint64_t length);

/* wasi_memory_slice - point *p at at..at+length and return true; or false, *p untouched, when it does not fit. */
bool wasi_memory_slice(const struct wasi_memory *m, uint64_t at, uint64_t length, uint8_t **p);

/*
 * Little-endian numbers, at any alignment. Return false, with nothing read or written, outside of the memory.
 */
bool wasi_memory_get8(const struct wasi_memory *m, uint64_t at, uint8_t *v);
bool wasi_memory_get16(const struct wasi_memory *m, uint64_t at, uint16_t *v);
bool wasi_memory_get32(const struct wasi_memory *m, uint64_t at, uint32_t *v);
bool wasi_memory_get64(const struct wasi_memory *m, uint64_t at, uint64_t *v);
bool wasi_memory_put32(const struct wasi_memory *m, uint64_t at, uint32_t v);
bool wasi_memory_put64(const struct wasi_memory *m, uint64_t at, uint64_t v);

/* wasi_memory_write - copy data[0..length] to `at`, or return false with nothing written. */
bool wasi_memory_write(const struct wasi_memory *m, uint64_t at, const void *data, size_t length);

#endif
