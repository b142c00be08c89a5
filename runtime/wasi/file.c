/* runtime/wasi/file: the contents of one file, in memory, sparse. Knows no guest memory. Runs in the worker. */

#include "runtime/wasi/file.h"

#include <stdlib.h>
#include <string.h>

/* An inner node of the radix tree is as large as a block. */
#define FAN_BITS 9
#define FAN      (1u << FAN_BITS)
_Static_assert(FAN * sizeof(void *) == WASI_FILE_BLOCK, "an inner node is charged as a block");

struct inner {
	void *child[FAN];
};

bool
wasi_room_take(struct wasi_room *r, uint64_t bytes)
{
	if (r->used > r->max || bytes > r->max - r->used)
		return false;
	r->used += bytes;
	if (r->used > r->peak)
		r->peak = r->used;
	return true;
}

void
wasi_room_give(struct wasi_room *r, uint64_t bytes)
{
	r->used -= bytes;
}

/* A zeroed block or inner node, or NULL. */
static void *
take_block(struct wasi_room *room)
{
	void *p;

	if (!wasi_room_take(room, WASI_FILE_BLOCK))
		return NULL;
	if ((p = calloc(1, WASI_FILE_BLOCK)) == NULL)
		wasi_room_give(room, WASI_FILE_BLOCK);
	return p;
}

static void
give_block(struct wasi_room *room, void *p)
{
	if (p == NULL)
		return;
	free(p);
	wasi_room_give(room, WASI_FILE_BLOCK);
}

void
wasi_file_begin(struct wasi_file *f, const uint8_t *lower, uint64_t size)
{
	*f = (struct wasi_file){.size = size, .lower = lower, .lower_size = lower == NULL ? 0 : size};
}

void
wasi_file_begin_host(struct wasi_file *f, const struct wasi_origin *origin)
{
	*f = (struct wasi_file){.size = origin->version.size, .origin = origin, .lower_size = origin->version.size};
}

/* --- the radix tree -------------------------------------------------------------------------------------------- */

/* Whether a tree of this height has a place for block `index`. */
static bool
reaches(unsigned height, uint64_t index)
{
	return height * FAN_BITS >= 64 || index >> height * FAN_BITS == 0;
}

static unsigned
child_of(uint64_t index, unsigned level)
{
	return (unsigned)(index >> (level - 1) * FAN_BITS) & (FAN - 1);
}

/* Block `index`, or NULL when it was not written. */
static uint8_t *
find_block(const struct wasi_file *f, uint64_t index)
{
	void *p = f->root;

	if (!reaches(f->height, index))
		return NULL;
	for (unsigned level = f->height; level > 0 && p != NULL; level--)
		p = ((struct inner *)p)->child[child_of(index, level)];
	return p;
}

/* Makes the tree so high that it has a place for block `index`. */
static bool
heighten(struct wasi_file *f, struct wasi_room *room, uint64_t index)
{
	while (!reaches(f->height, index)) {
		if (f->root != NULL) {
			struct inner *top = take_block(room);

			if (top == NULL)
				return false;
			top->child[0] = f->root;
			f->root = top;
		}
		f->height++;
	}
	return true;
}

/* Bytes of the lower file in block `index`, to be copied or read. */
static size_t
lower_part(const struct wasi_file *f, uint64_t index)
{
	uint64_t start = index * WASI_FILE_BLOCK;

	if (start >= f->lower_size)
		return 0;
	return f->lower_size - start < WASI_FILE_BLOCK ? (size_t)(f->lower_size - start) : WASI_FILE_BLOCK;
}

/* Reads what is below, where nothing was written; past its end that is zero. */
static enum wasi_errno
read_lower(const struct wasi_file *f, uint64_t at, uint8_t *data, size_t length)
{
	size_t there = at >= f->lower_size ? 0 : length;
	enum wasi_errno error = WASI_ESUCCESS;

	if (there > 0 && there > f->lower_size - at)
		there = (size_t)(f->lower_size - at);
	if (there > 0 && f->origin != NULL)
		error = wasi_lower_read(f->origin, at, data, there);
	else if (there > 0)
		memcpy(data, f->lower + at, there);
	memset(data + there, 0, length - there);
	return error;
}

/* Block `index`, made when it is not there yet, with what is below in it, unless `whole` of it will be written. */
static enum wasi_errno
make_block(struct wasi_file *f, struct wasi_room *room, uint64_t index, bool whole, uint8_t **block)
{
	uint8_t bytes[WASI_FILE_BLOCK];
	size_t lower = whole ? 0 : lower_part(f, index);
	enum wasi_errno error;
	void **at = &f->root;

	if ((*block = find_block(f, index)) != NULL)
		return WASI_ESUCCESS;
	if (lower > 0 && (error = read_lower(f, index * WASI_FILE_BLOCK, bytes, lower)) != WASI_ESUCCESS)
		return error;
	if (!heighten(f, room, index))
		return WASI_ENOSPC;
	for (unsigned level = f->height; level > 0; level--) {
		if (*at == NULL && (*at = take_block(room)) == NULL)
			return WASI_ENOSPC;
		at = &((struct inner *)*at)->child[child_of(index, level)];
	}
	if ((*at = take_block(room)) == NULL)
		return WASI_ENOSPC;
	if (lower > 0)
		memcpy(*at, bytes, lower);
	*block = *at;
	return WASI_ESUCCESS;
}

/* Whether giving back is to end. Blocks can be millions, and a run must not overstay its limits meanwhile. */
static bool
stopped(const struct wasi_room *room)
{
	return room->stop != NULL && *room->stop != 0;
}

/* Gives back all blocks from number `from` on, below *at, which is `level` high. The depth is at most 4. */
static void
prune(struct wasi_room *room, void **at, unsigned level, uint64_t from)
{
	struct inner *inner = *at;
	uint64_t each;

	if (inner == NULL)
		return;
	if (level > 0) {
		each = UINT64_C(1) << (level - 1) * FAN_BITS; /* blocks below one child */
		for (uint64_t i = from / each; i < FAN && !stopped(room); i++)
			prune(room, &inner->child[i], level - 1, i == from / each ? from % each : 0);
	}
	if (from == 0 && (level == 0 || !stopped(room))) {
		give_block(room, inner);
		*at = NULL;
	}
}

/* Gives back all blocks from number `from` on. */
static void
drop_blocks(struct wasi_file *f, struct wasi_room *room, uint64_t from)
{
	if (reaches(f->height, from))
		prune(room, &f->root, f->height, from);
	if (f->root == NULL)
		f->height = 0;
}

/* --- reading and writing --------------------------------------------------------------------------------------- */

/* What lies between `at` and the end of its block, at most `length`. */
static size_t
in_block(uint64_t at, size_t length)
{
	size_t n = WASI_FILE_BLOCK - (size_t)(at % WASI_FILE_BLOCK);

	return n < length ? n : length;
}

/* How much from `at` on was not written to, of length bytes. */
static size_t
unwritten(const struct wasi_file *f, uint64_t at, size_t length)
{
	size_t n = 0;

	if (f->root == NULL)
		return length;
	while (n < length && find_block(f, (at + n) / WASI_FILE_BLOCK) == NULL)
		n += in_block(at + n, length - n);
	return n;
}

enum wasi_errno
wasi_file_read(const struct wasi_file *f, uint64_t at, uint8_t *data, size_t length, size_t *done)
{
	enum wasi_errno error = WASI_ESUCCESS;
	size_t n;

	*done = 0;
	if (at >= f->size)
		return WASI_ESUCCESS;
	if (length > f->size - at)
		length = (size_t)(f->size - at);
	for (size_t i = 0; i < length; i += n) {
		const uint8_t *block;

		if ((n = unwritten(f, at + i, length - i)) > 0) {
			if ((error = read_lower(f, at + i, data + i, n)) != WASI_ESUCCESS)
				return error;
			continue;
		}
		n = in_block(at + i, length - i);
		block = find_block(f, (at + i) / WASI_FILE_BLOCK);
		memcpy(data + i, block + (at + i) % WASI_FILE_BLOCK, n);
	}
	*done = length;
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_file_write(struct wasi_file *f, struct wasi_room *room, uint64_t at, const uint8_t *data, size_t length,
    size_t *done)
{
	enum wasi_errno error = WASI_ESUCCESS;
	size_t n, written = 0;
	uint8_t *block;

	*done = 0;
	if (length == 0)
		return WASI_ESUCCESS;
	if (at >= WASI_FILE_SIZE_MAX)
		return WASI_EFBIG;
	if (length > WASI_FILE_SIZE_MAX - at)
		length = (size_t)(WASI_FILE_SIZE_MAX - at);
	for (; written < length; written += n) {
		n = in_block(at + written, length - written);
		error = make_block(f, room, (at + written) / WASI_FILE_BLOCK, n == WASI_FILE_BLOCK, &block);
		if (error != WASI_ESUCCESS)
			break;
		memcpy(block + (at + written) % WASI_FILE_BLOCK, data + written, n);
	}
	if (written == 0)
		return error;
	f->written = true;
	if (at + written > f->size)
		f->size = at + written;
	*done = written;
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_file_resize(struct wasi_file *f, struct wasi_room *room, uint64_t size)
{
	uint8_t *block;

	if (size > WASI_FILE_SIZE_MAX)
		return WASI_EFBIG;
	if (size < f->size) {
		f->written = true;
		f->size = size;
		wasi_file_trim(f, room);
		/* What is extended later reads as zero. */
		if (size % WASI_FILE_BLOCK != 0 && (block = find_block(f, size / WASI_FILE_BLOCK)) != NULL)
			memset(block + size % WASI_FILE_BLOCK, 0, WASI_FILE_BLOCK - size % WASI_FILE_BLOCK);
		if (f->lower_size > size)
			f->lower_size = size;
	}
	f->written = f->written || size != f->size;
	f->size = size;
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_file_allocate(struct wasi_file *f, struct wasi_room *room, uint64_t from, uint64_t to)
{
	enum wasi_errno error = WASI_ESUCCESS;
	uint8_t *block;

	if (to > WASI_FILE_SIZE_MAX)
		return WASI_EFBIG;
	for (uint64_t i = from / WASI_FILE_BLOCK; i * WASI_FILE_BLOCK < to && error == WASI_ESUCCESS; i++)
		error = make_block(f, room, i, false, &block);
	return error;
}

void
wasi_file_trim(struct wasi_file *f, struct wasi_room *room)
{
	drop_blocks(f, room, (f->size + WASI_FILE_BLOCK - 1) / WASI_FILE_BLOCK);
}

bool
wasi_file_end(struct wasi_file *f, struct wasi_room *room)
{
	f->size = f->lower_size = 0;
	drop_blocks(f, room, 0);
	return f->root == NULL;
}
