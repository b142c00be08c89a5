/* runtime/wasi/preview1: what is done with open descriptors. Runs in the worker. */

#include "runtime/wasi/preview1.h"

#include <endian.h>
#include <stddef.h>
#include <string.h>

enum { WHENCE_SET = 0, WHENCE_CUR = 1, WHENCE_END = 2, WHENCE_COUNT };
enum { ADVICE_COUNT = 6 };
enum { SET_ATIM = 1, SET_ATIM_NOW = 2, SET_MTIM = 4, SET_MTIM_NOW = 8, FSTFLAGS_ALL = 15 };

/* Structures as they lie in the guest's memory: little-endian; sizes and offsets by the specification. */
struct fdstat {
	uint8_t filetype;
	uint8_t reserved;
	uint16_t flags;
	uint32_t reserved2;
	uint64_t rights_base;
	uint64_t rights_inheriting;
};
_Static_assert(sizeof(struct fdstat) == 24, "fdstat");

struct filestat {
	uint64_t device;
	uint64_t inode;
	uint8_t filetype;
	uint8_t reserved[7];
	uint64_t links;
	uint64_t size;
	uint64_t accessed, modified, changed;
};
_Static_assert(sizeof(struct filestat) == 64 && offsetof(struct filestat, size) == 32, "filestat");

/* --- moving bytes ---------------------------------------------------------------------------------------------- */

/* Reads element `i` of the iovec array at `list` and finds its bytes. */
static bool
iovec_at(const struct wasi *w, uint64_t list, uint64_t i, uint8_t **p, uint32_t *length)
{
	uint32_t at;

	return wasi_memory_get32(&w->memory, list + 8 * i, &at) &&
	    wasi_memory_get32(&w->memory, list + 8 * i + 4, length) && wasi_memory_slice(&w->memory, at, *length, p);
}

/*
 * Checks all of an iovec array before anything is moved; *total is its length in bytes. The array may have 2^29
 * elements in a full memory, so the run can be stopped meanwhile (then w->end is set).
 */
static enum wasi_errno
iovecs_check(struct wasi *w, uint64_t list, uint64_t count, uint64_t *total)
{
	uint64_t sum = 0;

	if (!wasi_memory_fits(&w->memory, list, 8 * count))
		return WASI_EFAULT;
	for (uint64_t i = 0; i < count; i++) {
		uint32_t length;
		uint8_t *p;

		if (i % (WASI_CHUNK / 8) == 0 && wasi_interrupted(w))
			return WASI_EIO;
		if (!iovec_at(w, list, i, &p, &length))
			return WASI_EFAULT;
		sum += length;
	}
	*total = sum;
	return WASI_ESUCCESS;
}

/* One read or write: where in the file, and how many bytes were moved so far. */
struct transfer {
	struct wasi *w;
	struct wasi_fd *f;
	uint64_t at;
	uint64_t done;
	enum wasi_errno (*piece)(struct transfer *t, uint8_t *data, size_t length, size_t *moved);
};

static enum wasi_errno
read_stream(struct transfer *t, uint8_t *data, size_t length, size_t *moved)
{
	*moved = wasi_input_take(&t->w->in, data, length);
	return WASI_ESUCCESS;
}

static enum wasi_errno
read_file(struct transfer *t, uint8_t *data, size_t length, size_t *moved)
{
	return wasi_file_read(&t->f->node->file, t->at + t->done, data, length, moved);
}

static enum wasi_errno
read_source(struct transfer *t, uint8_t *data, size_t length, size_t *moved)
{
	const struct wasi *w = t->w;
	uint64_t left = w->source_length - t->at - t->done;

	*moved = length < left ? length : (size_t)left;
	if (*moved > 0)
		memcpy(data, w->source + t->at + t->done, *moved);
	return WASI_ESUCCESS;
}

static enum wasi_errno
write_stream(struct transfer *t, uint8_t *data, size_t length, size_t *moved)
{
	struct wasi *w = t->w;
	enum wasi_stream_status s = wasi_output_write(&w->out[t->f->kind == WASI_FD_STDOUT ? 0 : 1], &w->port, data, length);

	*moved = length;
	return wasi_settle(w, s);
}

static enum wasi_errno
write_file(struct transfer *t, uint8_t *data, size_t length, size_t *moved)
{
	return wasi_file_write(&t->f->node->file, &t->w->fs.tree.room, t->at + t->done, data, length, moved);
}

/* Moves one element's bytes. *end: there was less than that. */
static enum wasi_errno
move_element(struct transfer *t, uint8_t *data, size_t length, bool *end)
{
	while (length > 0) {
		size_t n = length < WASI_CHUNK ? length : WASI_CHUNK, moved;
		enum wasi_errno error = t->piece(t, data, n, &moved);

		if (error != WASI_ESUCCESS)
			return error;
		t->done += moved;
		*end = moved < n;
		if (*end || wasi_interrupted(t->w))
			break;
		data += n;
		length -= n;
	}
	return WASI_ESUCCESS;
}

/*
 * Moves what the iovec array says, at most INT32_MAX bytes, so that the count fits a guest's ssize_t. Reading changes
 * the guest's memory, which may be the array itself: so each element is checked again when its turn comes, and a bad one
 * ends the transfer early instead of failing it. An error counts only when nothing was moved.
 */
static enum wasi_errno
move_all(struct transfer *t, uint64_t list, uint64_t count)
{
	enum wasi_errno error = WASI_ESUCCESS;
	bool end = false;

	for (uint64_t i = 0; i < count && t->done < INT32_MAX && !end && error == WASI_ESUCCESS; i++) {
		uint32_t length;
		uint8_t *p;

		if (i % (WASI_CHUNK / 8) == 0 && wasi_interrupted(t->w))
			return WASI_EIO;
		if (!iovec_at(t->w, list, i, &p, &length))
			break;
		if (length > INT32_MAX - t->done)
			length = (uint32_t)(INT32_MAX - t->done);
		error = move_element(t, p, length, &end);
	}
	return t->done > 0 && t->w->end == WASI_END_NOT ? WASI_ESUCCESS : error;
}

/* A blocking read sends buffered output first: what waits for an answer must have been seen. */
static enum wasi_errno
fill_input(struct wasi *w, bool wait)
{
	enum wasi_stream_status s = wasi_input_fill(&w->in, &w->port, false);

	if (s != WASI_STREAM_AGAIN || !wait)
		return wasi_settle(w, s);
	for (int i = 0; i < 2; i++) {
		s = wasi_output_flush(&w->out[i], &w->port, false);
		if (s != WASI_STREAM_OK)
			return wasi_settle(w, s);
	}
	return wasi_settle(w, wasi_input_fill(&w->in, &w->port, true));
}

/* Reads into the iovec array a[1], a[2]; the count goes to `out`. */
static enum wasi_errno
read_from(struct transfer *t, const uint64_t *a, uint64_t out)
{
	struct wasi *w = t->w;
	bool file = t->f->kind == WASI_FD_FILE, stream = t->f->kind == WASI_FD_STDIN;
	uint64_t total;
	enum wasi_errno error;

	t->piece = file ? read_file : stream ? read_stream : read_source;
	if (!wasi_memory_fits(&w->memory, out, 4))
		return WASI_EFAULT;
	error = iovecs_check(w, a[1], a[2], &total);
	if (error == WASI_ESUCCESS && total > 0 && stream)
		error = fill_input(w, (t->f->flags & WASI_FDFLAG_NONBLOCK) == 0);
	if (error == WASI_ESUCCESS && total > 0)
		error = move_all(t, a[1], a[2]);
	if (error != WASI_ESUCCESS)
		return error;
	if (file && t->done > 0)
		t->f->node->accessed = wasi_tree_now(&w->fs.tree);
	wasi_memory_put32(&w->memory, out, (uint32_t)t->done);
	return WASI_ESUCCESS;
}

/* Writes from the iovec array a[1], a[2]; the count goes to `out`. */
static enum wasi_errno
write_to(struct transfer *t, const uint64_t *a, uint64_t out)
{
	struct wasi *w = t->w;
	bool file = t->f->kind == WASI_FD_FILE;
	uint64_t total;
	enum wasi_errno error;

	t->piece = file ? write_file : write_stream;
	if (!wasi_memory_fits(&w->memory, out, 4))
		return WASI_EFAULT;
	error = iovecs_check(w, a[1], a[2], &total);
	if (error == WASI_ESUCCESS && total > 0)
		error = move_all(t, a[1], a[2]);
	if (error == WASI_ESUCCESS && total > 0 && !file)
		error = wasi_settle(w, wasi_output_settle(&w->out[t->f->kind == WASI_FD_STDOUT ? 0 : 1], &w->port));
	if (error != WASI_ESUCCESS)
		return error;
	if (file && t->done > 0)
		t->f->node->modified = t->f->node->changed = wasi_tree_now(&w->fs.tree);
	wasi_memory_put32(&w->memory, out, (uint32_t)t->done);
	return WASI_ESUCCESS;
}

enum wasi_errno
preview1_fd_read(struct wasi *w, const uint64_t *a)
{
	struct transfer t = {.w = w};
	enum wasi_errno error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_READ, &t.f);

	if (error == WASI_ESUCCESS && t.f->kind == WASI_FD_SOURCE && (error = wasi_take_job(w)) == WASI_ESUCCESS)
		error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_READ, &t.f); /* they are other ones now */
	if (error != WASI_ESUCCESS)
		return error;
	t.at = t.f->offset;
	error = read_from(&t, a, a[3]);
	if (error == WASI_ESUCCESS)
		t.f->offset += t.done;
	return error;
}

enum wasi_errno
preview1_fd_write(struct wasi *w, const uint64_t *a)
{
	struct transfer t = {.w = w};
	enum wasi_errno error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_WRITE, &t.f);
	bool append;

	if (error != WASI_ESUCCESS)
		return error;
	append = t.f->kind == WASI_FD_FILE && (t.f->flags & WASI_FDFLAG_APPEND) != 0;
	t.at = append ? t.f->node->file.size : t.f->offset;
	error = write_to(&t, a, a[3]);
	if (error == WASI_ESUCCESS && t.done > 0)
		t.f->offset = t.at + t.done;
	return error;
}

enum wasi_errno
preview1_fd_pread(struct wasi *w, const uint64_t *a)
{
	struct transfer t = {.w = w, .at = a[3]};
	enum wasi_errno error;

	error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_READ | WASI_RIGHT_FD_SEEK, &t.f);
	if (error == WASI_ESUCCESS && t.at > INT64_MAX)
		error = WASI_EINVAL;
	return error == WASI_ESUCCESS ? read_from(&t, a, a[4]) : error;
}

/* It writes where it is told to, in a file opened for appending too: so says POSIX, though Linux appends. */
enum wasi_errno
preview1_fd_pwrite(struct wasi *w, const uint64_t *a)
{
	struct transfer t = {.w = w, .at = a[3]};
	enum wasi_errno error;

	error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_WRITE | WASI_RIGHT_FD_SEEK, &t.f);
	if (error == WASI_ESUCCESS && t.at > INT64_MAX)
		error = WASI_EINVAL;
	return error == WASI_ESUCCESS ? write_to(&t, a, a[4]) : error;
}

/* --- position -------------------------------------------------------------------------------------------------- */

/* The right to seek includes that to tell. */
static enum wasi_errno
need_tell(struct wasi *w, uint64_t fd, struct wasi_fd **f)
{
	enum wasi_errno error = wasi_fds_need(&w->fds, (uint32_t)fd, WASI_RIGHT_FD_TELL, f);

	return error == WASI_ENOTCAPABLE ? wasi_fds_need(&w->fds, (uint32_t)fd, WASI_RIGHT_FD_SEEK, f) : error;
}

enum wasi_errno
preview1_fd_seek(struct wasi *w, const uint64_t *a)
{
	int64_t delta = (int64_t)a[1];
	uint64_t base, target;
	struct wasi_fd *f;
	enum wasi_errno error;

	if (wasi_fds_get(&w->fds, (uint32_t)a[0]) == NULL)
		return WASI_EBADF;
	if (a[2] >= WHENCE_COUNT)
		return WASI_EINVAL;
	if (a[1] == 0 && a[2] == WHENCE_CUR)
		error = need_tell(w, a[0], &f);
	else
		error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_SEEK, &f);
	if (error != WASI_ESUCCESS)
		return error;
	if (!wasi_memory_fits(&w->memory, a[3], 8))
		return WASI_EFAULT;
	base = a[2] == WHENCE_SET ? 0 : a[2] == WHENCE_CUR ? f->offset : f->node->file.size;
	if (delta < 0 && (uint64_t)-(delta + 1) >= base)
		return WASI_EINVAL;
	target = base + (uint64_t)delta;
	if (target > INT64_MAX)
		return WASI_EOVERFLOW;
	f->offset = target;
	wasi_memory_put64(&w->memory, a[3], target);
	return WASI_ESUCCESS;
}

enum wasi_errno
preview1_fd_tell(struct wasi *w, const uint64_t *a)
{
	struct wasi_fd *f;
	enum wasi_errno error = need_tell(w, a[0], &f);

	if (error == WASI_ESUCCESS && !wasi_memory_put64(&w->memory, a[1], f->offset))
		error = WASI_EFAULT;
	return error;
}

/* --- size ------------------------------------------------------------------------------------------------------ */

static void
mark_modified(struct wasi *w, struct wasi_node *n)
{
	n->modified = n->changed = wasi_tree_now(&w->fs.tree);
}

/* Nobody reads ahead in memory, so that advice changes nothing. */
enum wasi_errno
preview1_fd_advise(struct wasi *w, const uint64_t *a)
{
	struct wasi_fd *f;

	if (wasi_fds_get(&w->fds, (uint32_t)a[0]) == NULL)
		return WASI_EBADF;
	if (a[3] >= ADVICE_COUNT || a[1] > INT64_MAX || a[2] > INT64_MAX)
		return WASI_EINVAL;
	return wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_ADVISE, &f);
}

/* Makes the blocks in from..to, in pieces. */
static enum wasi_errno
allocate(struct wasi *w, struct wasi_file *file, uint64_t from, uint64_t to)
{
	enum wasi_errno error = to > WASI_FILE_SIZE_MAX ? WASI_EFBIG : WASI_ESUCCESS;

	while (from < to && error == WASI_ESUCCESS) {
		uint64_t n = to - from < WASI_CHUNK ? to - from : WASI_CHUNK;

		if (wasi_interrupted(w))
			return WASI_EIO;
		error = wasi_file_allocate(file, &w->fs.tree.room, from, from + n);
		from += n;
	}
	if (error == WASI_ENOSPC)
		wasi_file_trim(file, &w->fs.tree.room);
	return error;
}

enum wasi_errno
preview1_fd_allocate(struct wasi *w, const uint64_t *a)
{
	struct wasi_file *file;
	struct wasi_fd *f;
	enum wasi_errno error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_ALLOCATE, &f);

	if (error != WASI_ESUCCESS)
		return error;
	if (a[1] > INT64_MAX || a[2] > INT64_MAX || a[2] == 0)
		return WASI_EINVAL;
	wasi_learn_changes(w, WASI_CALL_fd_allocate, f);
	file = &f->node->file;
	error = allocate(w, file, a[1], a[1] + a[2]);
	if (error == WASI_ESUCCESS && a[1] + a[2] > file->size) {
		error = wasi_file_resize(file, &w->fs.tree.room, a[1] + a[2]);
		mark_modified(w, f->node);
	}
	return error;
}

enum wasi_errno
preview1_fd_filestat_set_size(struct wasi *w, const uint64_t *a)
{
	struct wasi_fd *f;
	enum wasi_errno error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_FILESTAT_SET_SIZE, &f);

	if (error == WASI_ESUCCESS && a[1] > INT64_MAX)
		error = WASI_EINVAL;
	if (error == WASI_ESUCCESS)
		wasi_learn_changes(w, WASI_CALL_fd_filestat_set_size, f);
	if (error == WASI_ESUCCESS)
		error = wasi_file_resize(&f->node->file, &w->fs.tree.room, a[1]);
	if (error == WASI_ESUCCESS)
		mark_modified(w, f->node);
	return error;
}

/* What is in memory needs no syncing. */
enum wasi_errno
preview1_fd_sync(struct wasi *w, const uint64_t *a)
{
	struct wasi_fd *f;

	return wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_SYNC, &f);
}

enum wasi_errno
preview1_fd_datasync(struct wasi *w, const uint64_t *a)
{
	struct wasi_fd *f;

	return wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_DATASYNC, &f);
}

/* --- state ----------------------------------------------------------------------------------------------------- */

/* Preview 1 has no type for a fifo. */
static uint8_t
filetype_on_host(enum files_kind kind)
{
	switch (kind) {
	case FILES_KIND_CHAR:
		return FILETYPE_CHARACTER_DEVICE;
	case FILES_KIND_BLOCK:
		return FILETYPE_BLOCK_DEVICE;
	case FILES_KIND_SOCKET:
		return FILETYPE_SOCKET_STREAM;
	default:
		return FILETYPE_UNKNOWN;
	}
}

uint8_t
preview1_filetype(const struct wasi_node *n)
{
	static const uint8_t types[] = {
		[WASI_NODE_FILE] = FILETYPE_REGULAR_FILE,
		[WASI_NODE_DIR] = FILETYPE_DIRECTORY,
		[WASI_NODE_LINK] = FILETYPE_SYMBOLIC_LINK,
	};

	if (n == NULL)
		return FILETYPE_UNKNOWN;
	return n->kind == WASI_NODE_OTHER ? filetype_on_host(n->origin->kind) : types[n->kind];
}

enum wasi_errno
preview1_fd_fdstat_get(struct wasi *w, const uint64_t *a)
{
	const struct wasi_fd *f = wasi_fds_get(&w->fds, (uint32_t)a[0]);
	struct fdstat stat = {.filetype = FILETYPE_UNKNOWN};

	if (f == NULL)
		return WASI_EBADF;
	stat.filetype = preview1_filetype(f->node);
	stat.flags = htole16((uint16_t)f->flags);
	stat.rights_base = htole64(f->rights);
	stat.rights_inheriting = htole64(f->inheriting);
	return wasi_memory_write(&w->memory, a[1], &stat, sizeof(stat)) ? WASI_ESUCCESS : WASI_EFAULT;
}

/* dsync, rsync and sync are kept and shown, but nothing follows from them; nor does append on a stream. */
enum wasi_errno
preview1_fd_fdstat_set_flags(struct wasi *w, const uint64_t *a)
{
	struct wasi_fd *f;
	enum wasi_errno error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_FDSTAT_SET_FLAGS, &f);

	if (error != WASI_ESUCCESS)
		return error;
	if ((a[1] & ~(uint64_t)WASI_FDFLAGS_ALL) != 0)
		return WASI_EINVAL;
	f->flags = (uint32_t)a[1];
	return WASI_ESUCCESS;
}

/* Rights can only be removed. */
enum wasi_errno
preview1_fd_fdstat_set_rights(struct wasi *w, const uint64_t *a)
{
	struct wasi_fd *f = wasi_fds_get(&w->fds, (uint32_t)a[0]);

	if (f == NULL)
		return WASI_EBADF;
	if ((a[1] & ~f->rights) != 0 || (a[2] & ~f->inheriting) != 0)
		return WASI_ENOTCAPABLE;
	f->rights = a[1];
	f->inheriting = a[2];
	return WASI_ESUCCESS;
}

enum wasi_errno
preview1_put_filestat(struct wasi *w, enum wasi_call call, struct wasi_node *n, uint64_t at)
{
	enum wasi_errno error = wasi_node_know(&w->fs.tree, n);
	uint64_t size = 0;
	struct filestat stat;

	if (error != WASI_ESUCCESS)
		return error;
	wasi_learn_times(w, call, n);
	if (n->kind == WASI_NODE_FILE)
		size = n->file.size;
	else if (n->kind == WASI_NODE_LINK)
		size = n->link.length;
	stat = (struct filestat){
		.device = htole64(UINT64_C(1) + n->mount),
		.inode = htole64(n->inode),
		.filetype = preview1_filetype(n),
		.links = htole64(wasi_node_links(n)),
		.size = htole64(size),
		.accessed = htole64(n->accessed),
		.modified = htole64(n->modified),
		.changed = htole64(n->changed),
	};
	return wasi_memory_write(&w->memory, at, &stat, sizeof(stat)) ? WASI_ESUCCESS : WASI_EFAULT;
}

enum wasi_errno
preview1_fd_filestat_get(struct wasi *w, const uint64_t *a)
{
	struct filestat stat = {.filetype = FILETYPE_UNKNOWN, .links = htole64(1)};
	struct wasi_fd *f;
	enum wasi_errno error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_FILESTAT_GET, &f);

	if (error != WASI_ESUCCESS)
		return error;
	if (f->node != NULL)
		return preview1_put_filestat(w, WASI_CALL_fd_filestat_get, f->node, a[1]);
	stat.inode = htole64((uint64_t)f->kind); /* three different pipes, on device 0 */
	return wasi_memory_write(&w->memory, a[1], &stat, sizeof(stat)) ? WASI_ESUCCESS : WASI_EFAULT;
}

enum wasi_errno
preview1_check_times(const struct preview1_times *t)
{
	bool twice = (t->flags & (SET_ATIM | SET_ATIM_NOW)) == (SET_ATIM | SET_ATIM_NOW) ||
	    (t->flags & (SET_MTIM | SET_MTIM_NOW)) == (SET_MTIM | SET_MTIM_NOW);

	return twice || (t->flags & ~(uint64_t)FSTFLAGS_ALL) != 0 ? WASI_EINVAL : WASI_ESUCCESS;
}

void
preview1_set_times(struct wasi *w, struct wasi_node *n, const struct preview1_times *t)
{
	uint64_t now = wasi_tree_now(&w->fs.tree);

	if ((t->flags & (SET_ATIM | SET_ATIM_NOW)) != 0)
		n->accessed = (t->flags & SET_ATIM) != 0 ? t->accessed : now;
	if ((t->flags & (SET_MTIM | SET_MTIM_NOW)) != 0)
		n->modified = (t->flags & SET_MTIM) != 0 ? t->modified : now;
	if (t->flags != 0)
		n->changed = now;
}

enum wasi_errno
preview1_fd_filestat_set_times(struct wasi *w, const uint64_t *a)
{
	const struct preview1_times times = {a[1], a[2], a[3]};
	struct wasi_fd *f;
	enum wasi_errno error;

	if (wasi_fds_get(&w->fds, (uint32_t)a[0]) == NULL)
		return WASI_EBADF;
	error = preview1_check_times(&times);
	if (error == WASI_ESUCCESS)
		error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_FILESTAT_SET_TIMES, &f);
	if (error == WASI_ESUCCESS) {
		wasi_learn_changes(w, WASI_CALL_fd_filestat_set_times, f);
		preview1_set_times(w, f->node, &times);
	}
	return error;
}

/* --- numbers --------------------------------------------------------------------------------------------------- */

enum wasi_errno
preview1_fd_close(struct wasi *w, const uint64_t *a)
{
	return wasi_fds_close(&w->fds, (uint32_t)a[0]);
}

enum wasi_errno
preview1_fd_renumber(struct wasi *w, const uint64_t *a)
{
	return wasi_fds_renumber(&w->fds, (uint32_t)a[0], (uint32_t)a[1]);
}

/* There are no sockets. */
enum wasi_errno
preview1_no_socket(struct wasi *w, const uint64_t *a)
{
	return wasi_fds_get(&w->fds, (uint32_t)a[0]) == NULL ? WASI_EBADF : WASI_ENOTSOCK;
}
