/* base/memfd: bytes that nobody can change any more: sealed memory files. Any process. */

#ifndef BASE_MEMFD_H
#define BASE_MEMFD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * memfd_from - a new memfd that holds a copy of data[0..length], with all four seals (SEAL, SHRINK, GROW, WRITE).
 * `name` shows in /proc only. Returns the descriptor (close-on-exec, offset 0), or ERR_IO.
 */
int memfd_from(const char *name, const void *data, size_t length, struct err *e);

/*
 * memfd_from_fd - the same of all that can be read from `from`, at most `max` bytes (else ERR_LIMIT), without holding it in
 * memory besides; *size is how much that was.
 */
int memfd_from_fd(const char *name, int from, size_t max, size_t *size, struct err *e);

/* memfd_new - an empty, writable, sealable memfd, close-on-exec. Returns the descriptor, or ERR_IO. */
int memfd_new(const char *name, struct err *e);

/* memfd_seal - add all four seals. Fails with ERR_IO while a writable shared mapping of it exists. */
int memfd_seal(int fd, struct err *e);

/*
 * memfd_check - that `fd` is a memfd with all four seals and at most `max` bytes, so that its content is fixed.
 * A regular file, FIFO, directory, FUSE file, device or half-sealed memfd gives ERR_INVAL with the reason; one that is
 * too large, ERR_LIMIT. On success *size is its length in bytes.
 */
int memfd_check(int fd, size_t max, size_t *size, struct err *e);

/*
 * memfd_check_pages - that a memfd is not of huge pages: whoever reads one is killed when these run out. For those that
 * come from clients. Returns 0, ERR_INVAL with what to do, or ERR_IO.
 */
int memfd_check_pages(int fd, struct err *e);

/* A read-only mapping of a whole sealed memfd. */
struct memfd_map {
	const uint8_t *data; /* NULL when size is 0 */
	size_t size;
};

/*
 * memfd_map - map `size` bytes of a descriptor that memfd_check accepted. Does not take the descriptor.
 * Returns 0, the mapping to be ended with memfd_unmap(); or ERR_IO.
 */
int memfd_map(int fd, size_t size, struct memfd_map *map, struct err *e);
void memfd_unmap(struct memfd_map *map);

#endif
