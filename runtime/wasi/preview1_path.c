/* runtime/wasi/preview1: what is done by path. Runs in the worker. */

#include "runtime/wasi/preview1.h"

#include <string.h>

enum { LOOKUP_FOLLOW = 1 };
enum { OFLAG_CREAT = 1, OFLAG_DIRECTORY = 2, OFLAG_EXCL = 4, OFLAG_TRUNC = 8, OFLAGS_ALL = 15 };

/* Rights that change a file, which a descriptor has only where policy grants `write`. */
#define RIGHTS_CHANGING                                                                                              \
	(WASI_RIGHT_FD_WRITE | WASI_RIGHT_FD_ALLOCATE | WASI_RIGHT_FD_FILESTAT_SET_SIZE |                            \
	    WASI_RIGHT_FD_FILESTAT_SET_TIMES)

/* Finds the directory that a path starts at. */
static enum wasi_errno
start(struct wasi *w, uint64_t fd, uint64_t rights, struct wasi_from *from)
{
	struct wasi_fd *f;
	enum wasi_errno error = wasi_fds_need(&w->fds, (uint32_t)fd, rights, &f);

	if (error == WASI_ESUCCESS)
		from->base = f->node;
	return error;
}

/* Finds both directories of a link or a rename. One that is not open counts more than one that is no directory. */
static enum wasi_errno
start_two(struct wasi *w, uint64_t one, uint64_t one_rights, struct wasi_from *old, uint64_t two, uint64_t two_rights,
    struct wasi_from *new)
{
	enum wasi_errno error;

	if (wasi_fds_get(&w->fds, (uint32_t)one) == NULL || wasi_fds_get(&w->fds, (uint32_t)two) == NULL)
		return WASI_EBADF;
	error = start(w, one, one_rights, old);
	return error == WASI_ESUCCESS ? start(w, two, two_rights, new) : error;
}

/* Finds the path's bytes. They stay where they are while no guest code runs. */
static enum wasi_errno
find_path(struct wasi *w, uint64_t at, uint64_t length, struct wasi_from *from)
{
	uint8_t *p;

	if (!wasi_memory_slice(&w->memory, at, length, &p))
		return WASI_EFAULT;
	from->path = (const char *)p;
	from->length = (size_t)length;
	return WASI_ESUCCESS;
}

/* Both, for the functions that take a descriptor, a path and its length. */
static enum wasi_errno
take(struct wasi *w, const uint64_t *a, uint64_t rights, struct wasi_from *from)
{
	enum wasi_errno error = start(w, a[0], rights, from);

	return error == WASI_ESUCCESS ? find_path(w, a[1], a[2], from) : error;
}

/* Both, with lookup flags between them. */
static enum wasi_errno
take_with_flags(struct wasi *w, const uint64_t *a, uint64_t rights, struct wasi_from *from)
{
	enum wasi_errno error = start(w, a[0], rights, from);

	if (error == WASI_ESUCCESS && (a[1] & ~(uint64_t)LOOKUP_FOLLOW) != 0)
		error = WASI_EINVAL;
	return error == WASI_ESUCCESS ? find_path(w, a[2], a[3], from) : error;
}

/* --- open ------------------------------------------------------------------------------------------------------ */

struct opening {
	uint64_t lookup, oflags, base, inheriting, fdflags;
};

/*
 * Whether a directory's rights are enough to open with these flags: path_filestat_set_size for trunc; fd_sync includes
 * dsync and rsync, and fd_datasync dsync. Either of its two sets is enough: what it passes on it can pass on to itself,
 * and programs count on that (Go's os.Root empties files through directories that were opened for reading).
 */
static bool
may_open(const struct wasi_fd *f, const struct opening *o)
{
	uint64_t rights = f->rights | f->inheriting;

	if ((o->oflags & OFLAG_TRUNC) != 0 && (rights & WASI_RIGHT_PATH_FILESTAT_SET_SIZE) == 0)
		return false;
	if ((rights & WASI_RIGHT_FD_SYNC) != 0)
		return true;
	if ((o->fdflags & (WASI_FDFLAG_RSYNC | WASI_FDFLAG_SYNC)) != 0)
		return false;
	return (o->fdflags & WASI_FDFLAG_DSYNC) == 0 || (rights & WASI_RIGHT_FD_DATASYNC) != 0;
}

/* The rights that a directory must have for this: to open, and to pass on. */
static enum wasi_errno
check_opening(struct wasi *w, uint64_t fd, const struct opening *o)
{
	uint64_t needs = WASI_RIGHT_PATH_OPEN;
	struct wasi_fd *f;
	enum wasi_errno error;

	if ((o->oflags & OFLAG_CREAT) != 0)
		needs |= WASI_RIGHT_PATH_CREATE_FILE;
	error = wasi_fds_need(&w->fds, (uint32_t)fd, needs, &f);
	if (error != WASI_ESUCCESS)
		return error;
	if ((o->lookup & ~(uint64_t)LOOKUP_FOLLOW) != 0 || (o->oflags & ~(uint64_t)OFLAGS_ALL) != 0 ||
	    (o->fdflags & ~(uint64_t)WASI_FDFLAGS_ALL) != 0)
		return WASI_EINVAL;
	if (((o->base | o->inheriting) & ~f->inheriting) != 0)
		return WASI_ENOTCAPABLE;
	return may_open(f, o) ? WASI_ESUCCESS : WASI_ENOTCAPABLE;
}

static uint32_t
open_flags(const struct opening *o)
{
	uint32_t flags = 0;

	if ((o->lookup & LOOKUP_FOLLOW) != 0)
		flags |= WASI_OPEN_FOLLOW;
	if ((o->oflags & OFLAG_CREAT) != 0)
		flags |= WASI_OPEN_CREATE;
	if ((o->oflags & OFLAG_EXCL) != 0)
		flags |= WASI_OPEN_EXCLUSIVE;
	if ((o->oflags & OFLAG_DIRECTORY) != 0)
		flags |= WASI_OPEN_DIRECTORY;
	if ((o->oflags & OFLAG_TRUNC) != 0)
		flags |= WASI_OPEN_TRUNCATE;
	if ((o->base & (WASI_RIGHT_FD_READ | WASI_RIGHT_FD_READDIR)) != 0)
		flags |= WASI_OPEN_READ;
	if ((o->base & WASI_RIGHT_FD_WRITE) != 0)
		flags |= WASI_OPEN_WRITE;
	return flags;
}

/* Whether a language pack that starts opens what it reads its job from. Later there is no such file. */
static bool
is_source(const struct wasi *w, const struct wasi_from *from)
{
	return w->waiting.job != NULL && from->length == strlen(PROTO_SOURCE_PATH) &&
	    memcmp(from->path, PROTO_SOURCE_PATH, from->length) == 0;
}

/* The descriptor for an open node. Of the rights asked for it has those that its kind can have. */
static struct wasi_fd
descriptor(struct wasi_node *node, const struct opening *o, uint32_t granted)
{
	bool directory = node->kind == WASI_NODE_DIR;
	uint64_t rights = o->base & (directory ? WASI_RIGHTS_DIR : WASI_RIGHTS_FILE);

	if ((granted & WASI_FS_WRITE) == 0)
		rights &= ~(uint64_t)RIGHTS_CHANGING;
	return (struct wasi_fd){
		.kind = directory ? WASI_FD_DIR : WASI_FD_FILE,
		.flags = (uint32_t)o->fdflags,
		.rights = rights,
		.inheriting = directory ? o->inheriting : 0,
		.node = node,
	};
}

enum wasi_errno
preview1_path_open(struct wasi *w, const uint64_t *a)
{
	/* Rights that there are not cannot be had, and do not matter. */
	const struct opening o = {a[1], a[4], a[5] & WASI_RIGHTS_ALL, a[6] & WASI_RIGHTS_ALL, a[7]};
	struct wasi_from from = {.base = NULL};
	uint32_t number, granted = 0;
	struct wasi_node *node;
	struct wasi_fd opened;
	enum wasi_errno error = check_opening(w, a[0], &o);

	if (error == WASI_ESUCCESS)
		error = start(w, a[0], 0, &from);
	if (error == WASI_ESUCCESS)
		error = find_path(w, a[2], a[3], &from);
	if (error == WASI_ESUCCESS && !wasi_memory_fits(&w->memory, a[8], 4))
		error = WASI_EFAULT;
	if (error == WASI_ESUCCESS)
		error = wasi_fds_reserve(&w->fds, &number);
	if (error == WASI_ESUCCESS && is_source(w, &from)) {
		opened = (struct wasi_fd){.kind = WASI_FD_SOURCE, .rights = WASI_RIGHTS_SOURCE};
	} else if (error == WASI_ESUCCESS) {
		error = wasi_checked(w, WASI_CALL_path_open,
		    wasi_fs_open(&w->fs, from.base, from.path, from.length, open_flags(&o), &node, &granted));
		if (error == WASI_ESUCCESS)
			opened = descriptor(node, &o, granted);
	}
	if (error != WASI_ESUCCESS)
		return error;
	wasi_fds_set(&w->fds, number, &opened);
	wasi_memory_put32(&w->memory, a[8], number);
	return WASI_ESUCCESS;
}

/* --- state ----------------------------------------------------------------------------------------------------- */

enum wasi_errno
preview1_path_filestat_get(struct wasi *w, const uint64_t *a)
{
	struct wasi_from from;
	struct wasi_node *node;
	enum wasi_errno error = take_with_flags(w, a, WASI_RIGHT_PATH_FILESTAT_GET, &from);

	if (error == WASI_ESUCCESS && !wasi_memory_fits(&w->memory, a[4], 64))
		error = WASI_EFAULT;
	if (error == WASI_ESUCCESS)
		error = wasi_fs_find(&w->fs, from.base, from.path, from.length, a[1] != 0, 0, &node);
	return error == WASI_ESUCCESS ? preview1_put_filestat(w, WASI_CALL_path_filestat_get, node, a[4]) : error;
}

enum wasi_errno
preview1_path_filestat_set_times(struct wasi *w, const uint64_t *a)
{
	const struct preview1_times times = {a[4], a[5], a[6]};
	struct wasi_from from;
	struct wasi_node *node;
	enum wasi_errno error = take_with_flags(w, a, WASI_RIGHT_PATH_FILESTAT_SET_TIMES, &from);

	if (error == WASI_ESUCCESS)
		error = preview1_check_times(&times);
	if (error == WASI_ESUCCESS)
		error = wasi_checked(w, WASI_CALL_path_filestat_set_times,
		    wasi_fs_find(&w->fs, from.base, from.path, from.length, a[1] != 0, WASI_FS_WRITE, &node));
	if (error == WASI_ESUCCESS)
		preview1_set_times(w, node, &times);
	return error;
}

/* --- names ----------------------------------------------------------------------------------------------------- */

enum wasi_errno
preview1_path_create_directory(struct wasi *w, const uint64_t *a)
{
	struct wasi_from from;
	enum wasi_errno error = take(w, a, WASI_RIGHT_PATH_CREATE_DIRECTORY, &from);

	if (error != WASI_ESUCCESS)
		return error;
	return wasi_checked(w, WASI_CALL_path_create_directory, wasi_fs_mkdir(&w->fs, from.base, from.path, from.length));
}

enum wasi_errno
preview1_path_remove_directory(struct wasi *w, const uint64_t *a)
{
	struct wasi_from from;
	enum wasi_errno error = take(w, a, WASI_RIGHT_PATH_REMOVE_DIRECTORY, &from);

	if (error != WASI_ESUCCESS)
		return error;
	return wasi_checked(w, WASI_CALL_path_remove_directory, wasi_fs_rmdir(&w->fs, from.base, from.path, from.length));
}

enum wasi_errno
preview1_path_unlink_file(struct wasi *w, const uint64_t *a)
{
	struct wasi_from from;
	enum wasi_errno error = take(w, a, WASI_RIGHT_PATH_UNLINK_FILE, &from);

	if (error != WASI_ESUCCESS)
		return error;
	return wasi_checked(w, WASI_CALL_path_unlink_file, wasi_fs_unlink(&w->fs, from.base, from.path, from.length));
}

enum wasi_errno
preview1_path_link(struct wasi *w, const uint64_t *a)
{
	struct wasi_from old, new;
	enum wasi_errno error;

	error = start_two(w, a[0], WASI_RIGHT_PATH_LINK_SOURCE, &old, a[4], WASI_RIGHT_PATH_LINK_TARGET, &new);
	if (error == WASI_ESUCCESS && (a[1] & ~(uint64_t)LOOKUP_FOLLOW) != 0)
		error = WASI_EINVAL;
	if (error == WASI_ESUCCESS)
		error = find_path(w, a[2], a[3], &old);
	if (error == WASI_ESUCCESS)
		error = find_path(w, a[5], a[6], &new);
	if (error != WASI_ESUCCESS)
		return error;
	return wasi_checked(w, WASI_CALL_path_link, wasi_fs_link(&w->fs, &old, a[1] != 0, &new));
}

enum wasi_errno
preview1_path_rename(struct wasi *w, const uint64_t *a)
{
	struct wasi_from old, new;
	enum wasi_errno error;

	error = start_two(w, a[0], WASI_RIGHT_PATH_RENAME_SOURCE, &old, a[3], WASI_RIGHT_PATH_RENAME_TARGET, &new);
	if (error == WASI_ESUCCESS)
		error = find_path(w, a[1], a[2], &old);
	if (error == WASI_ESUCCESS)
		error = find_path(w, a[4], a[5], &new);
	if (error != WASI_ESUCCESS)
		return error;
	return wasi_checked(w, WASI_CALL_path_rename, wasi_fs_rename(&w->fs, &old, &new));
}

enum wasi_errno
preview1_path_symlink(struct wasi *w, const uint64_t *a)
{
	struct wasi_from target, from;
	enum wasi_errno error = start(w, a[2], WASI_RIGHT_PATH_SYMLINK, &from);

	if (error == WASI_ESUCCESS)
		error = find_path(w, a[0], a[1], &target);
	if (error == WASI_ESUCCESS)
		error = find_path(w, a[3], a[4], &from);
	if (error != WASI_ESUCCESS)
		return error;
	return wasi_checked(w, WASI_CALL_path_symlink,
	    wasi_fs_symlink(&w->fs, target.path, target.length, from.base, from.path, from.length));
}

/* What does not fit the buffer is cut, without an error. */
enum wasi_errno
preview1_path_readlink(struct wasi *w, const uint64_t *a)
{
	const struct wasi_target *target;
	struct wasi_from from;
	uint8_t *buffer;
	size_t n;
	enum wasi_errno error = take(w, a, WASI_RIGHT_PATH_READLINK, &from);

	if (error == WASI_ESUCCESS && (!wasi_memory_slice(&w->memory, a[3], a[4], &buffer) ||
	    !wasi_memory_fits(&w->memory, a[5], 4)))
		error = WASI_EFAULT;
	if (error == WASI_ESUCCESS)
		error = wasi_checked(w, WASI_CALL_path_readlink,
		    wasi_fs_readlink(&w->fs, from.base, from.path, from.length, &target));
	if (error != WASI_ESUCCESS)
		return error;
	n = target->length < a[4] ? target->length : (size_t)a[4];
	if (n > 0)
		memcpy(buffer, target->text, n);
	wasi_memory_put32(&w->memory, a[5], (uint32_t)n);
	return WASI_ESUCCESS;
}
