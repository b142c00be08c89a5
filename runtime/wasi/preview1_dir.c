/* runtime/wasi/preview1: preopened directories, and reading directories. Runs in the worker. */

#include "runtime/wasi/preview1.h"

#include <endian.h>
#include <string.h>

#define LOOK_EVERY 1024 /* entries between two looks at `stop` */

enum { COOKIE_DOT = 1, COOKIE_DOTS = 2 };
_Static_assert(WASI_COOKIE_FIRST > COOKIE_DOTS, "cookies differ");

/* As they lie in the guest's memory. */
struct prestat {
	uint8_t tag; /* 0: a directory */
	uint8_t reserved[3];
	uint32_t name_length;
};
_Static_assert(sizeof(struct prestat) == 8, "prestat");

struct dirent {
	uint64_t next; /* cookie */
	uint64_t inode;
	uint32_t name_length;
	uint8_t filetype;
	uint8_t reserved[3];
};
_Static_assert(sizeof(struct dirent) == 24, "dirent");

static const struct wasi_mount *
preopened(struct wasi *w, uint64_t fd)
{
	const struct wasi_fd *f = wasi_fds_get(&w->fds, (uint32_t)fd);

	return f == NULL ? NULL : f->preopened;
}

/* EBADF is what ends a C library's search for them. */
enum wasi_errno
preview1_fd_prestat_get(struct wasi *w, const uint64_t *a)
{
	const struct wasi_mount *m = preopened(w, a[0]);
	struct prestat stat = {.tag = 0};

	if (m == NULL)
		return WASI_EBADF;
	stat.name_length = htole32((uint32_t)m->length);
	return wasi_memory_write(&w->memory, a[1], &stat, sizeof(stat)) ? WASI_ESUCCESS : WASI_EFAULT;
}

enum wasi_errno
preview1_fd_prestat_dir_name(struct wasi *w, const uint64_t *a)
{
	const struct wasi_mount *m = preopened(w, a[0]);

	if (m == NULL)
		return WASI_EBADF;
	if (!wasi_memory_fits(&w->memory, a[1], a[2]))
		return WASI_EFAULT;
	if (a[2] < m->length)
		return WASI_ENAMETOOLONG;
	return wasi_memory_write(&w->memory, a[1], m->path, m->length) ? WASI_ESUCCESS : WASI_EFAULT;
}

/* What a directory is read into. */
struct listing {
	uint8_t *buffer;
	size_t size, used;
};

/* Appends an entry, or as much of it as there is room for, as the specification wants. Returns whether all fitted. */
static bool
list(struct listing *l, uint64_t cookie, const struct wasi_node *n, const char *name, size_t length)
{
	const struct dirent head = {
		.next = htole64(cookie),
		.inode = htole64(n->inode),
		.name_length = htole32((uint32_t)length),
		.filetype = preview1_filetype(n),
	};
	const struct {
		const void *data;
		size_t length;
	} parts[] = {{&head, sizeof(head)}, {name, length}};

	for (size_t i = 0; i < 2; i++) {
		size_t room = l->size - l->used, k = parts[i].length < room ? parts[i].length : room;

		memcpy(l->buffer + l->used, parts[i].data, k);
		l->used += k;
		if (k < parts[i].length)
			return false;
	}
	return true;
}

/* Lists what comes after `cookie`: ".", "..", then the entries. */
static void
list_from(struct wasi *w, struct listing *l, const struct wasi_node *dir, uint64_t cookie)
{
	const struct wasi_node *parent = dir->dir.parent == NULL ? dir : dir->dir.parent;
	const struct wasi_entry *e;

	if (cookie < COOKIE_DOT && !list(l, COOKIE_DOT, dir, ".", 1))
		return;
	if (cookie < COOKIE_DOTS && !list(l, COOKIE_DOTS, parent, "..", 2))
		return;
	for (uint32_t i = 1; (e = wasi_dir_next(dir, cookie)) != NULL; i++) {
		if (!list(l, e->cookie, e->node, e->name, e->length))
			return;
		cookie = e->cookie;
		if (i % LOOK_EVERY == 0 && wasi_interrupted(w))
			return;
	}
}

enum wasi_errno
preview1_fd_readdir(struct wasi *w, const uint64_t *a)
{
	struct listing l = {.size = a[2]};
	const struct wasi_mount *m;
	struct wasi_fd *f;
	enum wasi_errno error = wasi_fds_need(&w->fds, (uint32_t)a[0], WASI_RIGHT_FD_READDIR, &f);

	if (error == WASI_ENOTCAPABLE && (m = preopened(w, a[0])) != NULL && (m->rights & WASI_FS_READ) == 0)
		return wasi_checked(w, WASI_CALL_fd_readdir, wasi_fs_refuse(&w->fs, m->top, WASI_FS_READ));
	if (error != WASI_ESUCCESS)
		return error;
	if (w->learn != NULL && f->preopened != NULL)
		wasi_learn_mount(w->learn, WASI_CALL_fd_readdir, &w->fs, f->node->mount, WASI_FS_READ);
	if (!wasi_memory_slice(&w->memory, a[1], l.size, &l.buffer) || !wasi_memory_fits(&w->memory, a[4], 4))
		return WASI_EFAULT;
	if ((error = wasi_dir_look(&w->fs.tree, f->node)) != WASI_ESUCCESS)
		return error;
	if (!wasi_dir_removed(f->node) && l.size > 0)
		list_from(w, &l, f->node, a[3]);
	f->node->accessed = wasi_tree_now(&w->fs.tree);
	wasi_memory_put32(&w->memory, a[4], (uint32_t)l.used);
	return WASI_ESUCCESS;
}
