/* runtime/wasi/learn: what a run in learn mode uses of what it may, for brigd. Knows no guest memory. Runs in the worker. */

#include "runtime/wasi/learn.h"

#include <stdlib.h>
#include <string.h>

#define USES_MAX  512           /* uses of files that are told apart */
#define NAMES_MAX (128 * 1024)  /* bytes of their targets */
_Static_assert(USES_MAX + WASI_MOUNTS_MAX + 2 * WASI_CALL_COUNT <= PROTO_LEARNED_MAX, "all can be sent");
_Static_assert(NAMES_MAX + WASI_MOUNTS_MAX * WASI_PATH_MAX <= PROTO_LEARNED_NAMES, "with their targets");

/* A use of files. */
struct use {
	enum wasi_call call;
	uint32_t rights;
	enum proto_extent extent;
	uint64_t count;
	const struct wasi_mount *mount; /* borrowed */
	char *target;                   /* not NUL-terminated; owned in `list`, else borrowed */
	size_t length;
};

struct wasi_learn {
	uint64_t clocks[WASI_CALL_COUNT], randoms[WASI_CALL_COUNT]; /* uses of those capabilities, by call */
	struct use list[USES_MAX];
	uint32_t count;
	size_t names;                          /* bytes of targets in the list */
	struct use mounts[WASI_MOUNTS_MAX];    /* by mount, what was not in the list any more; all rights in one */
};

struct wasi_learn *
wasi_learn_new(void)
{
	return calloc(1, sizeof(struct wasi_learn));
}

static void
forget(struct wasi_learn *l, uint32_t i)
{
	l->names -= l->list[i].length;
	free(l->list[i].target);
	l->list[i] = l->list[--l->count];
}

void
wasi_learn_free(struct wasi_learn *l)
{
	while (l != NULL && l->count > 0)
		forget(l, 0);
	free(l);
}

/* The length of the directory that holds a target; of the mount when it is the mount itself. */
static size_t
above(const struct use *u)
{
	size_t n = u->length, top = u->mount->length;

	while (n > top && u->target[--n] != '/')
		continue;
	return n < top ? top : n == 0 ? 1 : n;
}

static bool
is_kind(const struct use *a, const struct use *b)
{
	return a->call == b->call && a->rights == b->rights;
}

/* The use of this kind and extent that is about the first `length` bytes of the target, or NULL. */
static struct use *
find(struct wasi_learn *l, const struct use *u, enum proto_extent extent, size_t length)
{
	for (uint32_t i = 0; i < l->count; i++) {
		struct use *o = &l->list[i];

		if (is_kind(o, u) && o->extent == extent && o->length == length && memcmp(o->target, u->target, length) == 0)
			return o;
	}
	return NULL;
}

/* Whether a use is one of those that a use of the directory would stand for. */
static bool
is_sibling(const struct use *o, const struct use *u, size_t directory)
{
	return is_kind(o, u) && o->extent == PROTO_EXTENT_PATH && o->length > directory && above(o) == directory &&
	    memcmp(o->target, u->target, directory) == 0;
}

/* Counts a use of a directory in the place of those of names in it, if these would be too many. */
static void
gather(struct wasi_learn *l, struct use *u)
{
	size_t directory = above(u);
	uint32_t siblings = 0;

	if (u->extent != PROTO_EXTENT_PATH || u->length == directory)
		return;
	for (uint32_t i = 0; i < l->count; i++)
		siblings += is_sibling(&l->list[i], u, directory);
	if (siblings < WASI_LEARN_SIBLINGS)
		return;
	for (uint32_t i = l->count; i-- > 0;)
		if (is_sibling(&l->list[i], u, directory)) {
			u->count += l->list[i].count;
			forget(l, i);
		}
	u->extent = PROTO_EXTENT_BELOW;
	u->length = directory;
}

/* Keeps a use. Returns false when there is no room. */
static bool
keep(struct wasi_learn *l, const struct use *u)
{
	struct use *fresh = &l->list[l->count];
	char *target;

	if (l->count == USES_MAX || u->length > NAMES_MAX - l->names || (target = malloc(u->length)) == NULL)
		return false;
	*fresh = *u;
	fresh->target = memcpy(target, u->target, u->length);
	l->names += u->length;
	l->count++;
	return true;
}

/* The last resort: counts a use with all others that are somewhere in its mount. */
static void
keep_for_mount(struct wasi_learn *l, const struct wasi_fs *fs, const struct use *u)
{
	struct use *m = &l->mounts[u->mount - fs->mounts];

	if (m->count == 0)
		*m = (struct use){.call = u->call, .extent = PROTO_EXTENT_BELOW, .mount = u->mount,
		    .target = (char *)(uintptr_t)u->mount->path, .length = u->mount->length};
	if (u->extent == PROTO_EXTENT_TOGETHER)
		m->extent = PROTO_EXTENT_TOGETHER;
	m->rights |= u->rights;
	m->count += u->count;
}

/* Counts a use with those of its kind. The target is borrowed. */
static void
add(struct wasi_learn *l, const struct wasi_fs *fs, struct use u)
{
	struct use *same = find(l, &u, u.extent, u.length);

	if (same == NULL && u.extent == PROTO_EXTENT_PATH)
		same = find(l, &u, PROTO_EXTENT_BELOW, above(&u));
	if (same != NULL) {
		same->count += u.count;
		return;
	}
	gather(l, &u);
	if (!keep(l, &u))
		keep_for_mount(l, fs, &u);
}

void
wasi_learn_call(struct wasi_learn *l, enum wasi_call call, enum wasi_capability capability)
{
	if (capability == WASI_CAP_CLOCK)
		l->clocks[call]++;
	else if (capability == WASI_CAP_RANDOM)
		l->randoms[call]++;
}

/* A use somewhere in a mount. */
static struct use
use_of_mount(enum wasi_call call, const struct wasi_mount *m, uint32_t rights, enum proto_extent extent)
{
	return (struct use){.call = call, .rights = rights, .extent = extent, .count = 1, .mount = m,
	    .target = (char *)(uintptr_t)m->path, .length = m->length};
}

void
wasi_learn_mount(struct wasi_learn *l, enum wasi_call call, const struct wasi_fs *fs, uint32_t mount, uint32_t rights)
{
	add(l, fs, use_of_mount(call, &fs->mounts[mount], rights, PROTO_EXTENT_BELOW));
}

/* The length of the directory that holds both. */
static size_t
common(const struct wasi_path *a, const struct wasi_path *b, size_t top)
{
	const char *one = a->text + a->start, *two = b->text + b->start;
	size_t last = top;

	for (size_t n = 0; n < a->length && n < b->length && one[n] == two[n]; n++)
		if (one[n] == '/' && n > last)
			last = n;
	return last;
}

/* One need for rights. */
static struct use
use_of_need(enum wasi_call call, const struct wasi_fs *fs, const struct wasi_need *need)
{
	struct use u = use_of_mount(call, &fs->mounts[need->mount], need->rights, PROTO_EXTENT_BELOW);

	if (need->path.start > 0) { /* else it is longer than any path */
		u.extent = PROTO_EXTENT_PATH;
		u.target = (char *)(uintptr_t)(need->path.text + need->path.start);
		u.length = need->path.length;
	}
	return u;
}

void
wasi_learn_noted(struct wasi_learn *l, enum wasi_call call, struct wasi_fs *fs)
{
	struct wasi_noted *noted = fs->noted;

	for (uint32_t i = 0; i < noted->count; i++)
		if (noted->list[i].rights != 0)
			add(l, fs, use_of_need(call, fs, &noted->list[i]));
	if (noted->together) {
		const struct wasi_need *to = &noted->list[noted->count - 1], *from = to - 1;
		struct use u = use_of_need(call, fs, to);

		if (from->path.start > 0 && u.extent == PROTO_EXTENT_PATH)
			u.length = common(&from->path, &to->path, u.mount->length);
		else
			u = use_of_mount(call, u.mount, 0, PROTO_EXTENT_TOGETHER);
		u.rights = 0;
		u.extent = PROTO_EXTENT_TOGETHER;
		add(l, fs, u);
	}
	noted->count = 0;
	noted->together = false;
}

static enum wasi_stream_status
send_one(const struct wasi_port *port, const struct proto_learned *learned, const char *target, size_t length)
{
	struct {
		struct imsg_hdr hdr;
		struct proto_learned learned;
		char target[PROTO_TARGET_MAX];
	} packet = {
		.hdr = {PROTO_LEARNED, (uint32_t)(sizeof(packet.learned) + length), port->run},
		.learned = *learned,
	};

	if (learned->count == 0)
		return WASI_STREAM_OK;
	if (length > 0)
		memcpy(packet.target, target, length);
	return wasi_port_send(port, &packet, sizeof(packet.hdr) + packet.hdr.length, true);
}

static enum wasi_stream_status
send_use(const struct wasi_port *port, const struct use *u)
{
	const struct proto_learned learned = {u->call + 1, WASI_CAP_NONE, u->rights, u->extent, u->count};

	return send_one(port, &learned, u->target, u->length);
}

enum wasi_stream_status
wasi_learn_send(struct wasi_learn *l, const struct wasi_port *port)
{
	enum wasi_stream_status s = WASI_STREAM_OK;

	for (uint32_t call = 0; call < WASI_CALL_COUNT && s == WASI_STREAM_OK; call++) {
		const struct proto_learned clock = {.call = call + 1, .capability = WASI_CAP_CLOCK, .count = l->clocks[call]};
		const struct proto_learned random = {.call = call + 1, .capability = WASI_CAP_RANDOM, .count = l->randoms[call]};

		if ((s = send_one(port, &clock, NULL, 0)) == WASI_STREAM_OK)
			s = send_one(port, &random, NULL, 0);
		l->clocks[call] = l->randoms[call] = 0;
	}
	for (uint32_t i = 0; i < WASI_MOUNTS_MAX && s == WASI_STREAM_OK; i++) {
		s = send_use(port, &l->mounts[i]);
		l->mounts[i].count = 0;
	}
	for (uint32_t i = 0; i < l->count && s == WASI_STREAM_OK; i++) {
		s = send_use(port, &l->list[i]);
		l->list[i].count = 0;
	}
	return s;
}
