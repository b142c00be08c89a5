/* runtime/wasi/changes: what a run did to its files, for brigd. Knows no guest memory. Runs in the worker. */

#include "runtime/wasi/changes.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define CONTENT_MAX 32768 /* bytes in one message */

/* Where it stands. */
struct report {
	struct wasi_fs *fs;
	const struct wasi_port *port;
	uint64_t content_left;
	uint64_t names_left; /* bytes */
	uint32_t sent;
	uint64_t omitted;
	struct wasi_path path; /* of the change in hand */
};

_Static_assert((int)PROTO_NODE_FILE == WASI_NODE_FILE && (int)PROTO_NODE_DIRECTORY == WASI_NODE_DIR &&
    (int)PROTO_NODE_LINK == WASI_NODE_LINK && (int)PROTO_NODE_OTHER == WASI_NODE_OTHER, "the same kinds");

/* --- sending --------------------------------------------------------------------------------------------------- */

static enum wasi_stream_status
send_content(struct report *r, const uint8_t *data, uint64_t size)
{
	struct {
		struct imsg_hdr hdr;
		uint8_t data[CONTENT_MAX];
	} packet;
	enum wasi_stream_status s = WASI_STREAM_OK;

	for (uint64_t at = 0; at < size && s == WASI_STREAM_OK;) {
		size_t n = size - at < sizeof(packet.data) ? (size_t)(size - at) : sizeof(packet.data);

		memcpy(packet.data, data + at, n);
		packet.hdr = (struct imsg_hdr){PROTO_CONTENT, (uint32_t)n, r->port->run};
		s = wasi_port_send(r->port, &packet, sizeof(packet.hdr) + n, false);
		at += n;
	}
	return s;
}

/* All that a file holds, to be freed; NULL when it is more than can be told, or cannot be had. */
static uint8_t *
content_of(struct report *r, const struct wasi_file *file)
{
	uint8_t *data = file->size <= r->content_left ? malloc((size_t)file->size + 1) : NULL;
	enum wasi_errno error = WASI_ESUCCESS;
	size_t n = 1;

	for (uint64_t at = 0; data != NULL && error == WASI_ESUCCESS && n > 0 && at < file->size; at += n)
		error = *r->port->stop == 0 ? wasi_file_read(file, at, data + at, CONTENT_MAX, &n) : WASI_EIO;
	if (error == WASI_ESUCCESS)
		return data;
	free(data);
	return NULL;
}

/* Whether the change can be told; else it is counted. */
static bool
fits(struct report *r, const char *target, size_t target_length)
{
	const char *path = r->path.text + r->path.start;

	if (r->sent < PROTO_CHANGES_MAX && r->path.start > 0 && r->path.length + target_length <= r->names_left &&
	    utf8_prefix(path, r->path.length, r->path.length) == r->path.length &&
	    utf8_prefix(target, target_length, target_length) == target_length)
		return true;
	r->omitted++;
	return false;
}

/* What a file held before the run, as far as that can still be said. */
static void
set_base(struct proto_change *c, const struct wasi_original *was)
{
	c->was = was->kind;
	if (was->kind != WASI_NODE_FILE)
		return;
	c->base_state = PROTO_BASE_DIGEST;
	if (was->origin == NULL)
		c->base = digest_of(was->data, (size_t)was->size);
	else if (wasi_lower_digest(was->origin, &c->base) != WASI_ESUCCESS)
		c->base_state = PROTO_BASE_CHANGED;
}

/* Sends one change, about the path in hand: what is there now, or NULL; what was there before, or NULL. */
static enum wasi_stream_status
send_change(struct report *r, struct wasi_node *n, const struct wasi_original *was)
{
	struct {
		struct imsg_hdr hdr;
		struct proto_change head;
		char text[2 * PROTO_PATH_MAX];
	} packet = {.head = {.change = n == NULL ? PROTO_CHANGE_DELETED :
	    was != NULL ? PROTO_CHANGE_MODIFIED : PROTO_CHANGE_CREATED}};
	bool known = n != NULL && wasi_node_know(&r->fs->tree, n) == WASI_ESUCCESS;
	struct wasi_target link = {NULL, 0};
	uint8_t *content = NULL;
	enum wasi_stream_status s;

	if (known && n->kind == WASI_NODE_LINK)
		link = n->link;
	if (n != NULL && n->kind == WASI_NODE_LINK && !known) {
		r->omitted++; /* where it leads cannot be said */
		return WASI_STREAM_OK;
	}
	if (!fits(r, link.text, link.length))
		return WASI_STREAM_OK;
	packet.head.kind = n == NULL ? was->kind : n->kind;
	packet.head.path_length = (uint32_t)r->path.length;
	packet.head.target_length = link.length;
	if (was != NULL)
		set_base(&packet.head, was);
	if (known && n->kind == WASI_NODE_FILE) {
		packet.head.size = n->file.size;
		content = content_of(r, &n->file);
		packet.head.has_content = content != NULL;
	}
	memcpy(packet.text, r->path.text + r->path.start, r->path.length);
	if (link.length > 0)
		memcpy(packet.text + r->path.length, link.text, link.length);
	packet.hdr = (struct imsg_hdr){PROTO_CHANGE, (uint32_t)(sizeof(packet.head) + r->path.length + link.length),
	    r->port->run};
	s = *r->port->stop != 0 ? WASI_STREAM_STOPPED :
	    wasi_port_send(r->port, &packet, sizeof(packet.hdr) + packet.hdr.length, false);
	if (s == WASI_STREAM_OK) {
		r->sent++;
		r->names_left -= r->path.length + link.length;
	}
	if (s == WASI_STREAM_OK && content != NULL) {
		r->content_left -= packet.head.size;
		s = send_content(r, content, packet.head.size);
	}
	free(content);
	return s;
}

/* --- comparing ------------------------------------------------------------------------------------------------- */

static int
compare(const struct wasi_mount *a_mount, const char *a, size_t a_length, const struct wasi_original *b)
{
	int order;

	if (a_mount != b->mount)
		return a_mount < b->mount ? -1 : 1;
	order = memcmp(a, b->path, a_length < b->length ? a_length : b->length);
	if (order == 0)
		order = (a_length > b->length) - (a_length < b->length);
	return order;
}

static int
by_path(const void *a, const void *b)
{
	const struct wasi_original *one = a;

	return compare(one->mount, one->path, one->length, b);
}

/* Lets the entry at `i` sink to where it belongs in a heap of `count`. */
static void
sink(struct wasi_original *list, size_t i, size_t count)
{
	for (size_t k; (k = 2 * i + 1) < count; i = k) {
		const struct wasi_original o = list[i];

		if (k + 1 < count && by_path(&list[k], &list[k + 1]) < 0)
			k++;
		if (by_path(&o, &list[k]) >= 0)
			return;
		list[i] = list[k];
		list[k] = o;
	}
}

/* By a heap. The C library's qsort asks the system how much memory there is, for which the filter ends the run. */
static void
sort_originals(struct wasi_original *list, size_t count)
{
	for (size_t i = count / 2; i-- > 0;)
		sink(list, i, count);
	for (size_t n = count; n-- > 1;) {
		const struct wasi_original last = list[0];

		list[0] = list[n];
		list[n] = last;
		sink(list, 0, n);
	}
}

/* What was at this path, or NULL. */
static const struct wasi_original *
original_at(const struct wasi_fs *fs, const struct wasi_mount *mount, const char *path, size_t length)
{
	size_t low = 0, high = fs->original_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(mount, path, length, &fs->originals[middle]);

		if (order == 0)
			return &fs->originals[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Whether the path in hand is that of another mount, behind which the guest does not see what is there. */
static bool
is_mount(const struct report *r)
{
	for (uint32_t i = 0; i < r->fs->mount_count; i++) {
		const struct wasi_mount *m = &r->fs->mounts[i];

		if (m->length == r->path.length && memcmp(m->path, r->path.text + r->path.start, m->length) == 0)
			return true;
	}
	return false;
}

/* The path in hand becomes that of an entry; false for a mount, which has its own turn. */
static bool
take_path(struct report *r, const struct wasi_node *dir, const struct wasi_entry *e)
{
	wasi_fs_path(r->fs, dir, e->name, e->length, &r->path);
	if (r->fs->mount_count > 1 && is_mount(r)) {
		r->path.start = 0; /* nor is it looked into */
		return false;
	}
	return true;
}

/* Whether a name stands for what was there before, unwritten. */
static bool
is_original(const struct wasi_original *was, const struct wasi_node *n)
{
	if (n->kind == WASI_NODE_DIR && was->kind == WASI_NODE_DIR)
		return true; /* there still is one; what was in it is told by itself */
	if (n->kind == WASI_NODE_FILE && n->file.written)
		return false;
	return was->origin != NULL ? was->origin == n->origin : was->node == n;
}

/* Sends what became of one name that is there. */
static enum wasi_stream_status
report_entry(struct report *r, const struct wasi_mount *m, const struct wasi_node *dir, const struct wasi_entry *e)
{
	size_t top = m->length == 1 ? 1 : m->length + 1;
	const struct wasi_original here = {.origin = e->node->origin, .kind = e->node->kind}, *was;

	if (e->is_host && e->node->kind != WASI_NODE_DIR && is_original(&here, e->node))
		return WASI_STREAM_OK; /* without looking where it is: there may be many */
	if (!take_path(r, dir, e))
		return WASI_STREAM_OK;
	if (e->is_host)
		was = &here;
	else
		was = r->path.start == 0 ? NULL :
		    original_at(r->fs, m, r->path.text + r->path.start + top, r->path.length - top);
	if (was != NULL && is_original(was, e->node))
		return WASI_STREAM_OK;
	return send_change(r, e->node, was);
}

/*
 * All names of a mount, without recursion: down to a directory's first entry, on to the next, and up by the parents. In a
 * directory of the host that nobody has looked into, nothing has changed.
 */
static enum wasi_stream_status
report_mount(struct report *r, const struct wasi_mount *m)
{
	enum wasi_stream_status s = WASI_STREAM_OK;
	const struct wasi_node *dir = m->top;
	uint64_t cookie = 0;

	while (s == WASI_STREAM_OK) {
		const struct wasi_entry *e = wasi_dir_next(dir, cookie);

		if (*r->port->stop != 0)
			return WASI_STREAM_STOPPED;
		if (e == NULL) {
			if (dir == m->top)
				break;
			cookie = dir->dir.self->cookie;
			dir = dir->dir.parent;
			continue;
		}
		s = report_entry(r, m, dir, e);
		cookie = e->cookie;
		/* Below a path that is too long, paths are too long as well. */
		if (e->node->kind == WASI_NODE_DIR && r->path.start > 0) {
			dir = e->node;
			cookie = 0;
		}
	}
	return s;
}

/* Whether there is something at the path in hand, an original's; what is found through a link in the way is elsewhere. */
static bool
is_there(const struct report *r, const struct wasi_original *o)
{
	struct wasi_path found;
	struct wasi_place place;

	if (wasi_walk(&r->fs->tree, o->mount->top, o->path, o->length, WASI_WALK_NAME, &place) != WASI_ESUCCESS ||
	    place.node == NULL)
		return false;
	wasi_fs_path(r->fs, place.dir, place.name, place.length, &found);
	return found.length == r->path.length &&
	    memcmp(found.text + found.start, r->path.text + r->path.start, found.length) == 0;
}

/* What is gone. */
static enum wasi_stream_status
report_deleted(struct report *r)
{
	enum wasi_stream_status s = WASI_STREAM_OK;

	for (size_t i = 0; i < r->fs->original_count && s == WASI_STREAM_OK; i++) {
		const struct wasi_original *o = &r->fs->originals[i];

		wasi_fs_path(r->fs, o->mount->top, o->path, o->length, &r->path);
		if (*r->port->stop != 0)
			s = WASI_STREAM_STOPPED;
		else if (!is_there(r, o))
			s = send_change(r, NULL, o);
	}
	return s;
}

/* Adds what the host has under names that are gone, or stand for something else, to the originals. */
static enum wasi_stream_status
add_removed(struct wasi_fs *fs, const struct wasi_mount *m)
{
	char path[FILES_PATH_MAX], *copy;
	struct wasi_original *o;

	for (struct wasi_origin *at = m->lower == NULL ? NULL : m->lower->removed; at != NULL; at = at->removed) {
		size_t length = wasi_origin_path(at, path);

		if (length == 0)
			continue; /* no path led there */
		if ((o = wasi_fs_original(fs)) == NULL || (copy = malloc(length)) == NULL)
			return WASI_STREAM_BROKEN;
		memcpy(copy, path, length);
		*o = (struct wasi_original){.origin = at, .mount = m, .path = copy, .length = length, .kind = wasi_origin_kind(at)};
		fs->original_count++;
	}
	return WASI_STREAM_OK;
}

enum wasi_stream_status
wasi_changes_send(struct wasi_fs *fs, const struct wasi_port *port, uint64_t content_max)
{
	struct report r = {.fs = fs, .port = port, .content_left = content_max, .names_left = PROTO_CHANGES_NAMES};
	struct {
		struct imsg_hdr hdr;
		struct proto_changes changes;
	} packet = {.hdr = {PROTO_CHANGES, sizeof(packet.changes), port->run}};
	enum wasi_stream_status s = WASI_STREAM_OK;

	for (uint32_t i = 0; i < fs->mount_count && s == WASI_STREAM_OK; i++)
		s = add_removed(fs, &fs->mounts[i]);
	if (s != WASI_STREAM_OK)
		return s;
	sort_originals(fs->originals, fs->original_count);
	s = report_deleted(&r);
	for (uint32_t i = 0; i < fs->mount_count && s == WASI_STREAM_OK; i++)
		s = report_mount(&r, &fs->mounts[i]);
	if (s != WASI_STREAM_OK)
		return s;
	packet.changes.omitted = r.omitted;
	return wasi_port_send(port, &packet, sizeof(packet), false);
}
