/* runtime/wasi/fs: mounts, and what POSIX's calls do to names in them. Knows no guest memory. Runs in the worker. */

#include "runtime/wasi/fs.h"

#include <stdlib.h>
#include <string.h>

/* --- mounts ---------------------------------------------------------------------------------------------------- */

void
wasi_fs_begin(struct wasi_fs *fs, uint64_t bytes_max, uint64_t nodes_max, const struct wasi_clock *clock)
{
	wasi_tree_begin(&fs->tree, bytes_max, nodes_max, clock);
	fs->mount_count = 0;
	fs->refused = 0;
	fs->noted = NULL;
	fs->originals = NULL;
	fs->original_count = fs->original_room = 0;
}

void
wasi_fs_end(struct wasi_fs *fs)
{
	wasi_tree_end(&fs->tree);
	while (fs->original_count > 0) {
		struct wasi_original *o = &fs->originals[--fs->original_count];

		if (o->node != NULL)
			wasi_node_close(&fs->tree, o->node);
		else
			free((char *)(uintptr_t)o->path);
	}
	free(fs->originals);
	fs->originals = NULL;
	for (uint32_t i = 0; i < fs->mount_count; i++)
		wasi_dir_clear(&fs->tree, fs->mounts[i].top);
	while (fs->mount_count > 0) {
		struct wasi_node *top = fs->mounts[--fs->mount_count].top;

		top->names = 0;
		wasi_node_close(&fs->tree, top);
		wasi_lower_free(fs->mounts[fs->mount_count].lower);
	}
}

enum wasi_errno
wasi_fs_mount(struct wasi_fs *fs, const struct wasi_mount *mount)
{
	struct wasi_mount *m = &fs->mounts[fs->mount_count];
	struct wasi_node *top;

	if (fs->mount_count == WASI_MOUNTS_MAX)
		return WASI_ENOSPC;
	if (mount->lower != NULL)
		top = wasi_node_show(&fs->tree, &mount->lower->top, (uint16_t)fs->mount_count);
	else
		top = wasi_node_new(&fs->tree, WASI_NODE_DIR, (uint16_t)fs->mount_count);
	if (top == NULL)
		return WASI_ENOSPC;
	top->names = 1;
	*m = *mount;
	m->top = top;
	fs->mount_count++;
	return WASI_ESUCCESS;
}

/* Whether `dir` is the top of its mount. What is above it, if anything, is another mount's. */
static bool
is_top(const struct wasi_fs *fs, const struct wasi_node *dir)
{
	return dir == fs->mounts[dir->mount].top;
}

/* --- paths and rights ------------------------------------------------------------------------------------------ */

/* Puts text in front of the path, as much of its end as there is room for. */
static void
put_in_front(struct wasi_path *path, const char *text, size_t length)
{
	size_t n = length < path->start ? length : path->start;

	path->start -= n;
	path->length += n;
	if (n > 0)
		memcpy(path->text + path->start, text + length - n, n);
}

void
wasi_fs_path(const struct wasi_fs *fs, const struct wasi_node *dir, const char *name, size_t length,
    struct wasi_path *path)
{
	const struct wasi_mount *m = &fs->mounts[dir->mount];
	bool first = length == 0;

	path->start = sizeof(path->text);
	path->length = 0;
	put_in_front(path, name, length);
	for (;;) {
		if (!first)
			put_in_front(path, "/", 1);
		first = false;
		if (dir->dir.parent == NULL || is_top(fs, dir))
			break;
		put_in_front(path, dir->dir.self->name, dir->dir.self->length);
		dir = dir->dir.parent;
	}
	/* A mount at "/" has the slash already. */
	if (m->length > 1 || path->length == 0)
		put_in_front(path, m->path, m->length);
}

/* Whether `name` in `dir` is what the first `left` bytes of `path` name, from the top of the mount on. */
static bool
is_at(const struct wasi_fs *fs, const struct wasi_node *dir, const char *name, size_t length, const char *path,
    size_t left)
{
	for (;;) {
		if (length > left || memcmp(path + left - length, name, length) != 0)
			return false;
		left -= length;
		if (dir->dir.parent == NULL || is_top(fs, dir))
			return left == 0;
		if (left == 0 || path[left - 1] != '/')
			return false;
		left--;
		name = dir->dir.self->name;
		length = dir->dir.self->length;
		dir = dir->dir.parent;
	}
}

/* What is granted for `name` in `dir`: by the rule that is nearest above, or the mount's own. */
static uint32_t
rights_at(const struct wasi_fs *fs, const struct wasi_node *dir, const char *name, size_t length)
{
	const struct wasi_mount *m = &fs->mounts[dir->mount];

	if (m->rule_count == 0)
		return m->rights;
	if (wasi_dir_removed(dir))
		return 0;
	for (;;) {
		for (uint32_t i = 0; i < m->rule_count && length > 0; i++)
			if (is_at(fs, dir, name, length, m->rules[i].path, m->rules[i].length))
				return m->rules[i].rights;
		if (dir->dir.parent == NULL || is_top(fs, dir))
			return m->rights;
		name = dir->dir.self->name;
		length = dir->dir.self->length;
		dir = dir->dir.parent;
	}
}

uint32_t
wasi_fs_rights(const struct wasi_fs *fs, const struct wasi_node *dir)
{
	return rights_at(fs, dir, "", 0);
}

/* The directory that decides, with the name in it, or none when the place is a directory by "." or "..". */
static const struct wasi_node *
decides(const struct wasi_place *place)
{
	return place->dir != NULL ? place->dir : place->node;
}

static uint32_t
rights_of(const struct wasi_fs *fs, const struct wasi_place *place)
{
	return rights_at(fs, decides(place), place->name, place->length);
}

/* Notes what was missing. */
static enum wasi_errno
refuse(struct wasi_fs *fs, const struct wasi_place *place, uint32_t missing)
{
	fs->refused = missing;
	wasi_fs_path(fs, decides(place), place->name, place->length, &fs->refused_path);
	return WASI_ENOTCAPABLE;
}

/* Notes what was needed. */
static void
note(struct wasi_fs *fs, const struct wasi_place *place, uint32_t rights)
{
	struct wasi_need *n = &fs->noted->list[fs->noted->count];

	if (fs->noted->count == sizeof(fs->noted->list) / sizeof(fs->noted->list[0]))
		return; /* no operation needs so much */
	fs->noted->count++;
	n->rights = rights;
	n->mount = decides(place)->mount;
	wasi_fs_path(fs, decides(place), place->name, place->length, &n->path);
}

/* Notes that something gets another name. */
static void
note_move(struct wasi_fs *fs, const struct wasi_place *from, const struct wasi_place *to)
{
	if (fs->noted == NULL)
		return;
	fs->noted->count = fs->noted->count > 2 ? 2 : fs->noted->count;
	note(fs, from, 0);
	note(fs, to, 0);
	fs->noted->together = true;
}

enum wasi_errno
wasi_fs_refuse(struct wasi_fs *fs, const struct wasi_node *dir, uint32_t missing)
{
	const struct wasi_place place = {.dir = NULL, .node = (struct wasi_node *)(uintptr_t)dir};

	return refuse(fs, &place, missing);
}

static enum wasi_errno
need(struct wasi_fs *fs, const struct wasi_place *place, uint32_t rights)
{
	uint32_t missing = rights & ~rights_of(fs, place);

	if (missing == 0 && fs->noted != NULL)
		note(fs, place, rights);
	return missing == 0 ? WASI_ESUCCESS : refuse(fs, place, missing);
}

/* What is at `from` gets another name at `to`: it may not become readable or writable by that. */
static enum wasi_errno
need_no_more(struct wasi_fs *fs, const struct wasi_place *from, const struct wasi_place *to)
{
	uint32_t more = rights_of(fs, to) & ~rights_of(fs, from) & (WASI_FS_READ | WASI_FS_WRITE);

	return more == 0 ? WASI_ESUCCESS : refuse(fs, from, more);
}

/* Whether a rule is about the place or something below it. */
static bool
has_rules(const struct wasi_fs *fs, const struct wasi_place *place)
{
	const struct wasi_mount *m = &fs->mounts[place->dir->mount];

	for (uint32_t i = 0; i < m->rule_count; i++) {
		const struct wasi_rule *r = &m->rules[i];

		for (size_t n = 1; n <= r->length; n++)
			if ((n == r->length || r->path[n] == '/') &&
			    is_at(fs, place->dir, place->name, place->length, r->path, n))
				return true;
	}
	return false;
}

/* --- making and finding ---------------------------------------------------------------------------------------- */

/* Gives a fresh node, open once, its name at a place that is free; closes it when that fails. */
static enum wasi_errno
name_it(struct wasi_fs *fs, const struct wasi_place *place, struct wasi_node *fresh)
{
	enum wasi_errno error = wasi_dir_add(&fs->tree, place->dir, place->name, place->length, fresh);

	if (error != WASI_ESUCCESS)
		wasi_node_close(&fs->tree, fresh);
	return error;
}

/* Makes a file or directory at a place that is free. It is open once. */
static enum wasi_errno
make(struct wasi_fs *fs, const struct wasi_place *place, enum wasi_node_kind kind, struct wasi_node **node)
{
	struct wasi_node *fresh = wasi_node_new(&fs->tree, kind, place->dir->mount);
	enum wasi_errno error;

	if (fresh == NULL)
		return WASI_ENOSPC;
	if ((error = name_it(fs, place, fresh)) == WASI_ESUCCESS)
		*node = fresh;
	return error;
}

static enum wasi_errno
make_link(struct wasi_fs *fs, const struct wasi_place *place, const char *target, size_t length)
{
	struct wasi_node *fresh = wasi_node_new(&fs->tree, WASI_NODE_LINK, place->dir->mount);
	enum wasi_errno error;

	if (fresh == NULL)
		return WASI_ENOSPC;
	if ((error = wasi_node_aim(&fs->tree, fresh, target, length)) != WASI_ESUCCESS) {
		wasi_node_close(&fs->tree, fresh);
		return error;
	}
	if ((error = name_it(fs, place, fresh)) == WASI_ESUCCESS)
		wasi_node_close(&fs->tree, fresh);
	return error;
}

/* A place for a new name that is not a directory's: EEXIST and the rest. */
static enum wasi_errno
must_be_free(const struct wasi_place *place)
{
	if (place->node == NULL)
		return place->slash ? WASI_ENOENT : WASI_ESUCCESS;
	return place->slash && place->node->kind != WASI_NODE_DIR ? WASI_ENOTDIR : WASI_EEXIST;
}

/* A place where something must be: ENOENT and the rest. */
static enum wasi_errno
must_be_there(const struct wasi_place *place)
{
	if (place->node == NULL)
		return WASI_ENOENT;
	return place->slash && place->node->kind != WASI_NODE_DIR ? WASI_ENOTDIR : WASI_ESUCCESS;
}

struct wasi_original *
wasi_fs_original(struct wasi_fs *fs)
{
	size_t room = fs->original_room * 2 + 16;
	struct wasi_original *larger;

	if (fs->original_count < fs->original_room)
		return &fs->originals[fs->original_count];
	if ((larger = reallocarray(fs->originals, room, sizeof(*larger))) == NULL)
		return NULL;
	fs->originals = larger;
	fs->original_room = room;
	return &fs->originals[fs->original_count];
}

/* Makes an original; a directory may be there already. A link of the host, which would lead elsewhere, is ENOTDIR. */
static enum wasi_errno
put(struct wasi_fs *fs, const struct wasi_mount *mount, const char *path, size_t length, enum wasi_node_kind kind,
    struct wasi_node **node)
{
	struct wasi_original *fresh;
	struct wasi_place place;
	enum wasi_errno error = wasi_walk(&fs->tree, mount->top, path, length, WASI_WALK_NAME, &place);

	if (error == WASI_ESUCCESS && place.node != NULL && kind == WASI_NODE_DIR)
		return place.node->kind == WASI_NODE_DIR ? WASI_ESUCCESS : WASI_ENOTDIR;
	if (error == WASI_ESUCCESS)
		error = must_be_free(&place);
	if (error != WASI_ESUCCESS)
		return error;
	if ((fresh = wasi_fs_original(fs)) == NULL)
		return WASI_ENOSPC;
	if ((error = make(fs, &place, kind, node)) == WASI_ESUCCESS) {
		*fresh = (struct wasi_original){.node = *node, .mount = mount, .path = path, .length = length, .kind = kind};
		fs->original_count++;
	}
	return error;
}

/* Makes the directories on the way to a path. */
static enum wasi_errno
put_way(struct wasi_fs *fs, const struct wasi_mount *mount, const char *path, size_t length)
{
	struct wasi_node *node;
	enum wasi_errno error = WASI_ESUCCESS;

	for (size_t n = 1; n < length && error == WASI_ESUCCESS; n++)
		if (path[n] == '/')
			error = put(fs, mount, path, n, WASI_NODE_DIR, &node);
	return error;
}

enum wasi_errno
wasi_fs_put(struct wasi_fs *fs, const struct wasi_mount *mount, const char *path, size_t length, const uint8_t *data,
    uint64_t size)
{
	struct wasi_node *node;
	enum wasi_errno error = put_way(fs, mount, path, length);

	if (error == WASI_ESUCCESS)
		error = put(fs, mount, path, length, WASI_NODE_FILE, &node);
	if (error == WASI_ESUCCESS) {
		wasi_file_begin(&node->file, data, size);
		fs->originals[fs->original_count - 1].data = data;
		fs->originals[fs->original_count - 1].size = size;
	}
	return error;
}

enum wasi_errno
wasi_fs_nest(struct wasi_fs *fs, const struct wasi_mount *outer, const char *path, size_t length,
    const struct wasi_mount *inner)
{
	struct wasi_place place;
	enum wasi_errno error = put_way(fs, outer, path, length);

	if (error == WASI_ESUCCESS)
		error = wasi_walk(&fs->tree, outer->top, path, length, WASI_WALK_NAME, &place);
	if (error == WASI_ESUCCESS && place.entry != NULL && place.entry->is_host && place.node->kind == WASI_NODE_DIR) {
		place.entry->is_host = false; /* it is covered, not gone */
		wasi_dir_replace(&fs->tree, place.dir, place.entry, inner->top);
		return WASI_ESUCCESS;
	}
	if (error == WASI_ESUCCESS)
		error = must_be_free(&place);
	if (error == WASI_ESUCCESS)
		error = wasi_dir_add(&fs->tree, place.dir, place.name, place.length, inner->top);
	return error;
}

enum wasi_errno
wasi_fs_find(struct wasi_fs *fs, struct wasi_node *base, const char *path, size_t length, bool follow, uint32_t needs,
    struct wasi_node **node)
{
	struct wasi_place place;
	enum wasi_errno error = wasi_walk(&fs->tree, base, path, length, follow ? WASI_WALK_FOLLOW : WASI_WALK_LINK, &place);

	if (error == WASI_ESUCCESS)
		error = must_be_there(&place);
	if (error == WASI_ESUCCESS && needs != 0)
		error = need(fs, &place, needs);
	if (error == WASI_ESUCCESS)
		error = wasi_node_know(&fs->tree, place.node);
	if (error == WASI_ESUCCESS)
		*node = place.node;
	return error;
}

enum wasi_errno
wasi_fs_readlink(struct wasi_fs *fs, struct wasi_node *base, const char *path, size_t length,
    const struct wasi_target **target)
{
	struct wasi_place place;
	enum wasi_errno error = wasi_walk(&fs->tree, base, path, length, WASI_WALK_LINK, &place);

	if (error == WASI_ESUCCESS)
		error = must_be_there(&place);
	if (error == WASI_ESUCCESS && place.node->kind != WASI_NODE_LINK)
		error = WASI_EINVAL;
	if (error == WASI_ESUCCESS)
		error = need(fs, &place, WASI_FS_READ);
	if (error == WASI_ESUCCESS)
		error = wasi_node_know(&fs->tree, place.node);
	if (error == WASI_ESUCCESS)
		*target = &place.node->link;
	return error;
}

/* --- open ------------------------------------------------------------------------------------------------------ */

/* Makes the file that is to be opened. Who makes it may read and write it. */
static enum wasi_errno
open_new(struct wasi_fs *fs, const struct wasi_place *place, uint32_t flags, struct wasi_node **node, uint32_t *rights)
{
	enum wasi_errno error;

	if ((flags & WASI_OPEN_CREATE) == 0 || place->slash)
		return WASI_ENOENT;
	if (wasi_dir_removed(place->dir))
		return WASI_ENOENT;
	error = need(fs, place, WASI_FS_CREATE);
	if (error == WASI_ESUCCESS)
		error = make(fs, place, WASI_NODE_FILE, node);
	if (error == WASI_ESUCCESS)
		*rights = rights_of(fs, place) | WASI_FS_READ | WASI_FS_WRITE;
	return error;
}

/* Whether something of this kind can be opened that way. */
static enum wasi_errno
check_kind(const struct wasi_place *place, uint32_t flags)
{
	bool directory = (flags & WASI_OPEN_DIRECTORY) != 0 || place->slash;

	if ((flags & WASI_OPEN_CREATE) != 0 && (flags & WASI_OPEN_EXCLUSIVE) != 0)
		return WASI_EEXIST;
	if (directory && place->node->kind != WASI_NODE_DIR)
		return WASI_ENOTDIR;
	if (place->node->kind == WASI_NODE_LINK)
		return WASI_ELOOP;
	if (place->node->kind == WASI_NODE_OTHER)
		return WASI_ENXIO;
	if (place->node->kind == WASI_NODE_DIR &&
	    (flags & (WASI_OPEN_CREATE | WASI_OPEN_TRUNCATE | WASI_OPEN_WRITE)) != 0)
		return WASI_EISDIR;
	return WASI_ESUCCESS;
}

/* What is on the host must let itself be opened: its state is known then, and its names or bytes can be had. */
static enum wasi_errno
open_host(struct wasi_fs *fs, struct wasi_node *n, uint32_t flags)
{
	enum wasi_errno error = wasi_node_know(&fs->tree, n);

	if (error != WASI_ESUCCESS || (flags & (WASI_OPEN_READ | WASI_OPEN_WRITE)) == 0)
		return error;
	if (n->kind == WASI_NODE_DIR)
		return wasi_dir_look(&fs->tree, n);
	if (n->file.origin == NULL || (flags & WASI_OPEN_TRUNCATE) != 0 || n->file.written)
		return WASI_ESUCCESS;
	return wasi_lower_probe(n->file.origin);
}

static enum wasi_errno
open_old(struct wasi_fs *fs, const struct wasi_place *place, uint32_t flags, struct wasi_node **node, uint32_t *rights)
{
	uint32_t needs = 0;
	enum wasi_errno error = check_kind(place, flags);

	if ((flags & WASI_OPEN_READ) != 0)
		needs |= WASI_FS_READ;
	if ((flags & (WASI_OPEN_WRITE | WASI_OPEN_TRUNCATE)) != 0)
		needs |= WASI_FS_WRITE;
	if (error == WASI_ESUCCESS)
		error = need(fs, place, needs);
	if (error == WASI_ESUCCESS && place->node->origin != NULL)
		error = open_host(fs, place->node, flags);
	if (error != WASI_ESUCCESS)
		return error;
	if ((flags & WASI_OPEN_TRUNCATE) != 0) {
		(void)wasi_file_resize(&place->node->file, &fs->tree.room, 0);
		place->node->modified = place->node->changed = wasi_tree_now(&fs->tree);
	}
	wasi_node_open(place->node);
	*node = place->node;
	*rights = rights_of(fs, place);
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_fs_open(struct wasi_fs *fs, struct wasi_node *base, const char *path, size_t length, uint32_t flags,
    struct wasi_node **node, uint32_t *rights)
{
	enum wasi_walk_end end = (flags & WASI_OPEN_FOLLOW) != 0 ? WASI_WALK_FOLLOW : WASI_WALK_LINK;
	struct wasi_place place;
	enum wasi_errno error;

	if ((flags & WASI_OPEN_CREATE) != 0 && (flags & WASI_OPEN_EXCLUSIVE) != 0)
		end = WASI_WALK_NAME;
	if ((flags & WASI_OPEN_CREATE) != 0 && (flags & WASI_OPEN_DIRECTORY) != 0)
		return WASI_EINVAL;
	error = wasi_walk(&fs->tree, base, path, length, end, &place);
	if (error != WASI_ESUCCESS)
		return error;
	return place.node == NULL ? open_new(fs, &place, flags, node, rights) : open_old(fs, &place, flags, node, rights);
}

/* --- names ----------------------------------------------------------------------------------------------------- */

enum wasi_errno
wasi_fs_mkdir(struct wasi_fs *fs, struct wasi_node *base, const char *path, size_t length)
{
	struct wasi_place place;
	struct wasi_node *node;
	enum wasi_errno error = wasi_walk(&fs->tree, base, path, length, WASI_WALK_NAME, &place);

	if (error == WASI_ESUCCESS && place.node != NULL)
		error = WASI_EEXIST;
	if (error == WASI_ESUCCESS && wasi_dir_removed(place.dir))
		error = WASI_ENOENT;
	if (error == WASI_ESUCCESS)
		error = need(fs, &place, WASI_FS_CREATE);
	if (error == WASI_ESUCCESS && (error = make(fs, &place, WASI_NODE_DIR, &node)) == WASI_ESUCCESS)
		wasi_node_close(&fs->tree, node);
	return error;
}

enum wasi_errno
wasi_fs_unlink(struct wasi_fs *fs, struct wasi_node *base, const char *path, size_t length)
{
	struct wasi_place place;
	enum wasi_errno error = wasi_walk(&fs->tree, base, path, length, WASI_WALK_NAME, &place);

	if (error == WASI_ESUCCESS)
		error = must_be_there(&place);
	if (error == WASI_ESUCCESS && place.node->kind == WASI_NODE_DIR)
		error = WASI_EISDIR;
	if (error == WASI_ESUCCESS)
		error = need(fs, &place, WASI_FS_DELETE);
	if (error == WASI_ESUCCESS)
		wasi_dir_remove(&fs->tree, place.dir, place.entry);
	return error;
}

enum wasi_errno
wasi_fs_rmdir(struct wasi_fs *fs, struct wasi_node *base, const char *path, size_t length)
{
	struct wasi_place place;
	enum wasi_errno error = wasi_walk(&fs->tree, base, path, length, WASI_WALK_NAME, &place);

	if (error == WASI_ESUCCESS && place.dir == NULL)
		error = place.dots ? WASI_ENOTEMPTY : WASI_EINVAL;
	if (error == WASI_ESUCCESS && place.node == NULL)
		error = WASI_ENOENT;
	if (error == WASI_ESUCCESS && place.node->kind != WASI_NODE_DIR)
		error = WASI_ENOTDIR;
	if (error == WASI_ESUCCESS && is_top(fs, place.node))
		error = WASI_EBUSY;
	if (error == WASI_ESUCCESS)
		error = wasi_dir_look(&fs->tree, place.node);
	if (error == WASI_ESUCCESS && place.node->dir.live > 0)
		error = WASI_ENOTEMPTY;
	if (error == WASI_ESUCCESS)
		error = need(fs, &place, WASI_FS_DELETE);
	if (error == WASI_ESUCCESS)
		wasi_dir_remove(&fs->tree, place.dir, place.entry);
	return error;
}

enum wasi_errno
wasi_fs_symlink(struct wasi_fs *fs, const char *target, size_t target_length, struct wasi_node *base, const char *path,
    size_t length)
{
	struct wasi_place place;
	enum wasi_errno error = wasi_path_check(target, target_length);

	if (error == WASI_ESUCCESS)
		error = wasi_walk(&fs->tree, base, path, length, WASI_WALK_NAME, &place);
	if (error == WASI_ESUCCESS)
		error = must_be_free(&place);
	if (error == WASI_ESUCCESS && wasi_dir_removed(place.dir))
		error = WASI_ENOENT;
	if (error == WASI_ESUCCESS && target[0] == '/')
		error = WASI_ENOTCAPABLE;
	if (error == WASI_ESUCCESS)
		error = need(fs, &place, WASI_FS_CREATE);
	if (error == WASI_ESUCCESS)
		error = make_link(fs, &place, target, target_length);
	return error;
}

/* Whether it can only be where the host has it: a directory, all of which would change its place, or no file at all. */
static bool
is_fixed(const struct wasi_node *n)
{
	return n->origin != NULL && (n->kind == WASI_NODE_DIR || n->kind == WASI_NODE_OTHER);
}

enum wasi_errno
wasi_fs_link(struct wasi_fs *fs, const struct wasi_from *old, bool follow, const struct wasi_from *new)
{
	struct wasi_place from, to;
	enum wasi_errno error;

	error = wasi_walk(&fs->tree, old->base, old->path, old->length, follow ? WASI_WALK_FOLLOW : WASI_WALK_LINK, &from);
	if (error == WASI_ESUCCESS)
		error = must_be_there(&from);
	if (error == WASI_ESUCCESS)
		error = wasi_walk(&fs->tree, new->base, new->path, new->length, WASI_WALK_NAME, &to);
	if (error == WASI_ESUCCESS)
		error = must_be_free(&to);
	if (error == WASI_ESUCCESS && from.node->mount != to.dir->mount)
		error = WASI_EXDEV;
	if (error == WASI_ESUCCESS && from.node->kind == WASI_NODE_DIR)
		error = WASI_EPERM;
	if (error == WASI_ESUCCESS && is_fixed(from.node))
		error = WASI_EXDEV;
	if (error == WASI_ESUCCESS && wasi_dir_removed(to.dir))
		error = WASI_ENOENT;
	if (error == WASI_ESUCCESS)
		error = need(fs, &to, WASI_FS_CREATE);
	if (error == WASI_ESUCCESS)
		error = need_no_more(fs, &from, &to);
	if (error == WASI_ESUCCESS)
		note_move(fs, &from, &to);
	if (error == WASI_ESUCCESS)
		error = wasi_dir_add(&fs->tree, to.dir, to.name, to.length, from.node);
	return error;
}

/* --- rename ---------------------------------------------------------------------------------------------------- */

/* Whether `dir` is `top` or below it. */
static bool
is_inside(const struct wasi_node *dir, const struct wasi_node *top)
{
	while (dir != NULL && dir != top)
		dir = dir->dir.parent;
	return dir != NULL;
}

/* Whether a mount is at this directory or below it. */
static bool
holds_mount(const struct wasi_fs *fs, const struct wasi_node *dir)
{
	for (uint32_t i = 0; i < fs->mount_count; i++)
		if (is_inside(fs->mounts[i].top, dir))
			return true;
	return false;
}

/* Whether what is at `from` may take the place of what is at `to`, by their kinds. */
static enum wasi_errno
check_replace(struct wasi_fs *fs, const struct wasi_place *from, const struct wasi_place *to)
{
	bool directory = from->node->kind == WASI_NODE_DIR;
	enum wasi_errno error;

	if (!directory && (from->slash || to->slash))
		return WASI_ENOTDIR;
	if (directory && is_inside(to->dir, from->node))
		return WASI_EINVAL;
	if (directory && holds_mount(fs, from->node))
		return WASI_EBUSY;
	if (to->node == NULL)
		return wasi_dir_removed(to->dir) ? WASI_ENOENT : WASI_ESUCCESS;
	if (directory && to->node->kind != WASI_NODE_DIR)
		return WASI_ENOTDIR;
	if (!directory && to->node->kind == WASI_NODE_DIR)
		return WASI_EISDIR;
	if (directory && is_top(fs, to->node))
		return WASI_EBUSY;
	if (directory && (error = wasi_dir_look(&fs->tree, to->node)) != WASI_ESUCCESS)
		return error;
	return directory && to->node->dir.live > 0 ? WASI_ENOTEMPTY : WASI_ESUCCESS;
}

static enum wasi_errno
need_rename(struct wasi_fs *fs, const struct wasi_place *from, const struct wasi_place *to)
{
	enum wasi_errno error = need(fs, from, WASI_FS_DELETE);

	if (error == WASI_ESUCCESS)
		error = need(fs, to, WASI_FS_CREATE | (to->node != NULL ? WASI_FS_DELETE : 0u));
	if (error == WASI_ESUCCESS)
		error = need_no_more(fs, from, to);
	if (error == WASI_ESUCCESS && from->node->kind == WASI_NODE_DIR && (has_rules(fs, from) || has_rules(fs, to)))
		error = WASI_ENOTCAPABLE;
	return error;
}

/* The old name goes last, so that there is no moment at which the node has none. */
static enum wasi_errno
move(struct wasi_fs *fs, const struct wasi_place *from, const struct wasi_place *to)
{
	enum wasi_errno error = WASI_ESUCCESS;

	if (to->entry != NULL)
		wasi_dir_replace(&fs->tree, to->dir, to->entry, from->node);
	else
		error = wasi_dir_add(&fs->tree, to->dir, to->name, to->length, from->node);
	if (error == WASI_ESUCCESS)
		wasi_dir_remove(&fs->tree, from->dir, from->entry);
	return error;
}

enum wasi_errno
wasi_fs_rename(struct wasi_fs *fs, const struct wasi_from *old, const struct wasi_from *new)
{
	struct wasi_place from, to;
	enum wasi_errno error = wasi_walk(&fs->tree, old->base, old->path, old->length, WASI_WALK_NAME, &from);

	if (error == WASI_ESUCCESS)
		error = wasi_walk(&fs->tree, new->base, new->path, new->length, WASI_WALK_NAME, &to);
	if (error != WASI_ESUCCESS)
		return error;
	if (from.dir == NULL || to.dir == NULL)
		return WASI_EINVAL;
	if (from.node == NULL)
		return WASI_ENOENT;
	if (from.dir->mount != to.dir->mount)
		return WASI_EXDEV;
	if (from.node == to.node && from.node->kind != WASI_NODE_DIR && (from.slash || to.slash))
		return WASI_ENOTDIR;
	if (from.node == to.node)
		return WASI_ESUCCESS; /* two names of one file, or one name: POSIX wants nothing done */
	error = check_replace(fs, &from, &to);
	if (error == WASI_ESUCCESS && is_fixed(from.node))
		error = WASI_EXDEV;
	if (error == WASI_ESUCCESS)
		error = need_rename(fs, &from, &to);
	if (error == WASI_ESUCCESS)
		note_move(fs, &from, &to);
	if (error == WASI_ESUCCESS)
		error = move(fs, &from, &to);
	return error;
}
