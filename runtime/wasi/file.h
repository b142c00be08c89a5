/* runtime/wasi/file: the contents of one file, in memory, sparse. Knows no guest memory. Runs in the worker. */

#ifndef RUNTIME_WASI_FILE_H
#define RUNTIME_WASI_FILE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/wasi/errno.h"
#include "runtime/wasi/lower.h"

#define WASI_FILE_BLOCK    4096u
#define WASI_FILE_SIZE_MAX (UINT64_C(1) << 40) /* bytes; one more is EFBIG */

/* What files, names and links may take together. Everything is charged before it is allocated. */
struct wasi_room {
	uint64_t used, max; /* bytes */
	uint64_t peak;
	const volatile sig_atomic_t *stop; /* borrowed, or NULL; when it is set, giving back ends early: the run is over */
};

/* wasi_room_take - charge `bytes`, or return false with nothing charged. wasi_room_give: they are free again. */
bool wasi_room_take(struct wasi_room *r, uint64_t bytes);
void wasi_room_give(struct wasi_room *r, uint64_t bytes);

/*
 * The bytes of a file. Blocks that were written are in a radix tree, whose blocks and inner nodes are charged, so that
 * a file costs what it holds, wherever in it that lies. What was not written is zero; or, below lower_size, what
 * is there below: bytes that somebody else keeps and nobody changes, in memory or on the host; they are copied block by
 * block when they are written to.
 */
struct wasi_file {
	uint64_t size;
	const uint8_t *lower; /* borrowed; or */
	const struct wasi_origin *origin; /* the file of the host; borrowed */
	uint64_t lower_size;
	void *root;           /* a block when height is 0, else an inner node; NULL: nothing written */
	unsigned height;
	bool written;         /* since it began: it may hold something else now */
};

/* wasi_file_begin - a file that has the bytes of `lower`, borrowed as long as the file is there; may be NULL and 0. */
void wasi_file_begin(struct wasi_file *f, const uint8_t *lower, uint64_t size);

/* wasi_file_begin_host - a file that has the bytes of one of the host, whose version is known; borrowed likewise. */
void wasi_file_begin_host(struct wasi_file *f, const struct wasi_origin *origin);

/*
 * wasi_file_read - copy what lies at `at` into data[0..length]; *done: how many bytes, fewer only at the end. What
 * wasi_lower_read says when the host does not give them: some of data may have been written then.
 */
enum wasi_errno wasi_file_read(const struct wasi_file *f, uint64_t at, uint8_t *data, size_t length, size_t *done);

/*
 * wasi_file_write - put data[0..length] at `at`, which may be past the end; *done: how many bytes.
 *
 * Where not all fits, what fits is written, as POSIX says; only when nothing does it is an error: EFBIG past
 * WASI_FILE_SIZE_MAX, ENOSPC when there is no room, as wasi_file_read when what is around it cannot be copied.
 */
enum wasi_errno wasi_file_write(struct wasi_file *f, struct wasi_room *room, uint64_t at, const uint8_t *data,
    size_t length, size_t *done);

/* wasi_file_resize - cut or extend to `size`; EFBIG. Extending takes no room. */
enum wasi_errno wasi_file_resize(struct wasi_file *f, struct wasi_room *room, uint64_t size);

/*
 * wasi_file_allocate - make sure that writing to from..to cannot fail for want of room; the size stays.
 * EFBIG; ENOSPC, or as wasi_file_read, some blocks then being there already: wasi_file_trim gives back those past the end.
 */
enum wasi_errno wasi_file_allocate(struct wasi_file *f, struct wasi_room *room, uint64_t from, uint64_t to);
void wasi_file_trim(struct wasi_file *f, struct wasi_room *room);

/* wasi_file_end - give everything back. Whether that is done; false only when room->stop was set, to be called again. */
bool wasi_file_end(struct wasi_file *f, struct wasi_room *room);

#endif
