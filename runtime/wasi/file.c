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

/* Block `index`, made when it is not there yet; NULL when there is no room. */
static uint8_t *
make_block(struct wasi_file *f, struct wasi_room *room, uint64_t index)
{
	void **at = &f->root;
	size_t lower;

	if (!heighten(f, room, index))
		return NULL;
	for (unsigned level = f->height; level > 0; level--) {
		if (*at == NULL && (*at = take_block(room)) == NULL)
			return NULL;
		at = &((struct inner *)*at)->child[child_of(index, level)];
	}
	if (*at == NULL && (*at = take_block(room)) != NULL && (lower = lower_part(f, index)) > 0)
		memcpy(*at, f->lower + index * WASI_FILE_BLOCK, lower);
	return *at;
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

/* Reads where nothing was written. */
static void
read_lower(const struct wasi_file *f, uint64_t at, uint8_t *data, size_t length)
{
	size_t there = at >= f->lower_size ? 0 : length;

	if (there > 0 && there > f->lower_size - at)
		there = (size_t)(f->lower_size - at);
	if (there > 0)
		memcpy(data, f->lower + at, there);
	memset(data + there, 0, length - there);
}

size_t
wasi_file_read(const struct wasi_file *f, uint64_t at, uint8_t *data, size_t length)
{
	size_t done = 0;

	if (at >= f->size)
		return 0;
	if (length > f->size - at)
		length = (size_t)(f->size - at);
	if (f->root == NULL && length > 0) {
		read_lower(f, at, data, length);
		return length;
	}
	while (done < length) {
		size_t n = in_block(at + done, length - done);
		const uint8_t *block = find_block(f, (at + done) / WASI_FILE_BLOCK);

		if (block != NULL)
			memcpy(data + done, block + (at + done) % WASI_FILE_BLOCK, n);
		else
			read_lower(f, at + done, data + done, n);
		done += n;
	}
	return done;
}

enum wasi_errno
wasi_file_write(struct wasi_file *f, struct wasi_room *room, uint64_t at, const uint8_t *data, size_t length,
    size_t *done)
{
	size_t n, written = 0;

	*done = 0;
	if (length == 0)
		return WASI_ESUCCESS;
	if (at >= WASI_FILE_SIZE_MAX)
		return WASI_EFBIG;
	if (length > WASI_FILE_SIZE_MAX - at)
		length = (size_t)(WASI_FILE_SIZE_MAX - at);
	for (; written < length; written += n) {
		uint8_t *block = make_block(f, room, (at + written) / WASI_FILE_BLOCK);

		if (block == NULL)
			break;
		n = in_block(at + written, length - written);
		memcpy(block + (at + written) % WASI_FILE_BLOCK, data + written, n);
	}
	if (written == 0)
		return WASI_ENOSPC;
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
	if (to > WASI_FILE_SIZE_MAX)
		return WASI_EFBIG;
	for (uint64_t i = from / WASI_FILE_BLOCK; i * WASI_FILE_BLOCK < to; i++)
		if (make_block(f, room, i) == NULL)
			return WASI_ENOSPC;
	return WASI_ESUCCESS;
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
