/* runtime/wasi/memory: the only way to the guest's memory: bounds-checked, overflow-safe. Runs in the worker. */

#include "runtime/wasi/memory.h"

#include <endian.h>
#include <string.h>

bool
wasi_memory_fits(const struct wasi_memory *m, uint64_t at, uint64_t length)
{
	return length <= m->size && at <= m->size - length;
}

bool
wasi_memory_slice(const struct wasi_memory *m, uint64_t at, uint64_t length, uint8_t **p)
{
	if (!wasi_memory_fits(m, at, length))
		return false;
	*p = m->base == NULL ? NULL : m->base + at;
	return true;
}

static bool
take(const struct wasi_memory *m, uint64_t at, void *data, size_t length)
{
	uint8_t *p;

	if (!wasi_memory_slice(m, at, length, &p))
		return false;
	memcpy(data, p, length);
	return true;
}

bool
wasi_memory_write(const struct wasi_memory *m, uint64_t at, const void *data, size_t length)
{
	uint8_t *p;

	if (!wasi_memory_slice(m, at, length, &p))
		return false;
	if (length > 0)
		memcpy(p, data, length);
	return true;
}

bool
wasi_memory_get8(const struct wasi_memory *m, uint64_t at, uint8_t *v)
{
	return take(m, at, v, sizeof(*v));
}

bool
wasi_memory_get16(const struct wasi_memory *m, uint64_t at, uint16_t *v)
{
	uint16_t raw;

	if (!take(m, at, &raw, sizeof(raw)))
		return false;
	*v = le16toh(raw);
	return true;
}

bool
wasi_memory_get32(const struct wasi_memory *m, uint64_t at, uint32_t *v)
{
	uint32_t raw;

	if (!take(m, at, &raw, sizeof(raw)))
		return false;
	*v = le32toh(raw);
	return true;
}

bool
wasi_memory_get64(const struct wasi_memory *m, uint64_t at, uint64_t *v)
{
	uint64_t raw;

	if (!take(m, at, &raw, sizeof(raw)))
		return false;
	*v = le64toh(raw);
	return true;
}

bool
wasi_memory_put32(const struct wasi_memory *m, uint64_t at, uint32_t v)
{
	uint32_t raw = htole32(v);

	return wasi_memory_write(m, at, &raw, sizeof(raw));
}

bool
wasi_memory_put64(const struct wasi_memory *m, uint64_t at, uint64_t v)
{
	uint64_t raw = htole64(v);

	return wasi_memory_write(m, at, &raw, sizeof(raw));
}
