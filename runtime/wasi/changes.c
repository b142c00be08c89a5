/* runtime/wasi/changes: what a run did to its files, for brigd. Knows no guest memory. Runs in the worker. */

#include "runtime/wasi/changes.h"

#include <stdlib.h>
#include <string.h>

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
    (int)PROTO_NODE_LINK == WASI_NODE_LINK, "the same kinds");

/* --- sending --------------------------------------------------------------------------------------------------- */

static enum wasi_stream_status
send_content(struct report *r, const struct wasi_file *file)
{
	struct {
		struct imsg_hdr hdr;
		uint8_t data[CONTENT_MAX];
	} packet;
	enum wasi_stream_status s = WASI_STREAM_OK;

	for (uint64_t at = 0; at < file->size && s == WASI_STREAM_OK;) {
		size_t n = wasi_file_read(file, at, packet.data, sizeof(packet.data));

		packet.hdr = (struct imsg_hdr){PROTO_CONTENT, (uint32_t)n, r->port->run};
		s = wasi_port_send(r->port, &packet, sizeof(packet.hdr) + n, false);
		at += n;
	}
	return s;
}

/* Whether the change can be told; else it is counted. */
static bool
fits(struct report *r, size_t target_length)
{
	if (r->sent < PROTO_CHANGES_MAX && r->path.start > 0 && r->path.length + target_length <= r->names_left)
		return true;
	r->omitted++;
	return false;
}

/* Sends one change, about the path in hand. */
static enum wasi_stream_status
send_change(struct report *r, enum proto_change_kind change, const struct wasi_node *n)
{
	struct {
		struct imsg_hdr hdr;
		struct proto_change head;
		char text[2 * PROTO_PATH_MAX];
	} packet;
	bool link = n->kind == WASI_NODE_LINK && change != PROTO_CHANGE_DELETED;
	bool file = n->kind == WASI_NODE_FILE && change != PROTO_CHANGE_DELETED;
	enum wasi_stream_status s;

	if (!fits(r, link ? n->link.length : 0))
		return WASI_STREAM_OK;
	packet.head = (struct proto_change){
		.change = change,
		.kind = n->kind,
		.size = file ? n->file.size : 0,
		.has_content = file && n->file.size <= r->content_left,
		.path_length = (uint32_t)r->path.length,
		.target_length = link ? n->link.length : 0,
	};
	memcpy(packet.text, r->path.text + r->path.start, r->path.length);
	if (link)
		memcpy(packet.text + r->path.length, n->link.text, n->link.length);
	packet.hdr = (struct imsg_hdr){PROTO_CHANGE,
	    (uint32_t)sizeof(packet.head) + packet.head.path_length + packet.head.target_length, r->port->run};
	s = wasi_port_send(r->port, &packet, sizeof(packet.hdr) + packet.hdr.length, false);
	if (s != WASI_STREAM_OK)
		return s;
	r->sent++;
	r->names_left -= packet.head.path_length + packet.head.target_length;
	if (packet.head.has_content == 0)
		return WASI_STREAM_OK;
	r->content_left -= n->file.size;
	return send_content(r, &n->file);
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

/* Sends what became of one name that is there. */
static enum wasi_stream_status
report_entry(struct report *r, const struct wasi_mount *m, const struct wasi_node *dir, const struct wasi_entry *e)
{
	size_t top = m->length == 1 ? 1 : m->length + 1;
	const struct wasi_original *o;

	wasi_fs_path(r->fs, dir, e->name, e->length, &r->path);
	if (r->fs->mount_count > 1 && is_mount(r)) {
		r->path.start = 0; /* nor is it looked into */
		return WASI_STREAM_OK;
	}
	o = r->path.start == 0 ? NULL : original_at(r->fs, m, r->path.text + r->path.start + top, r->path.length - top);
	if (o == NULL)
		return send_change(r, PROTO_CHANGE_CREATED, e->node);
	if (o->node != e->node || (e->node->kind == WASI_NODE_FILE && e->node->file.written))
		return send_change(r, PROTO_CHANGE_MODIFIED, e->node);
	return WASI_STREAM_OK;
}

/* All names of a mount, without recursion: down to a directory's first entry, on to the next, and up by the parents. */
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

/* What is gone. */
static enum wasi_stream_status
report_deleted(struct report *r)
{
	enum wasi_stream_status s = WASI_STREAM_OK;

	for (size_t i = 0; i < r->fs->original_count && s == WASI_STREAM_OK; i++) {
		const struct wasi_original *o = &r->fs->originals[i];
		struct wasi_place place;

		if (wasi_walk(o->mount->top, o->path, o->length, WASI_WALK_NAME, &place) == WASI_ESUCCESS && place.node != NULL)
			continue;
		wasi_fs_path(r->fs, o->mount->top, o->path, o->length, &r->path);
		s = send_change(r, PROTO_CHANGE_DELETED, o->node);
	}
	return s;
}

enum wasi_stream_status
wasi_changes_send(struct wasi_fs *fs, const struct wasi_port *port, uint64_t content_max)
{
	struct report r = {.fs = fs, .port = port, .content_left = content_max, .names_left = PROTO_CHANGES_NAMES};
	struct {
		struct imsg_hdr hdr;
		struct proto_changes changes;
	} packet = {.hdr = {PROTO_CHANGES, sizeof(packet.changes), port->run}};
	enum wasi_stream_status s;

	if (fs->original_count > 1)
		qsort(fs->originals, fs->original_count, sizeof(*fs->originals), by_path);
	s = report_deleted(&r);
	for (uint32_t i = 0; i < fs->mount_count && s == WASI_STREAM_OK; i++)
		s = report_mount(&r, &fs->mounts[i]);
	if (s != WASI_STREAM_OK)
		return s;
	packet.changes.omitted = r.omitted;
	return wasi_port_send(port, &packet, sizeof(packet), false);
}
