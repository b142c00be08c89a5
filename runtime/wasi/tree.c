/* runtime/wasi/tree: files, directories and symbolic links in memory. Knows no guest memory. Runs in the worker. */

#include "runtime/wasi/tree.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 8u

/* An entry is charged with its name, its slot and its share of the hash table, which may be a quarter full. */
#define ENTRY_COST(length) ((sizeof(struct wasi_entry) + (length) + 15) / 16 * 16 + 96)

void
wasi_tree_begin(struct wasi_tree *t, uint64_t bytes_max, uint64_t nodes_max, const struct wasi_clock *clock)
{
	*t = (struct wasi_tree){
		.room = {.max = bytes_max},
		.nodes_max = nodes_max,
		.next_inode = 1,
		.next_cookie = WASI_COOKIE_FIRST,
		.clock = clock,
	};
}

uint64_t
wasi_tree_now(const struct wasi_tree *t)
{
	uint64_t ns = 0;

	(void)wasi_clock_now(t->clock, WASI_CLOCK_REALTIME, &ns);
	return ns;
}

/* --- nodes ----------------------------------------------------------------------------------------------------- */

struct wasi_node *
wasi_node_new(struct wasi_tree *t, enum wasi_node_kind kind, uint16_t mount)
{
	struct wasi_node *n;

	if (t->nodes >= t->nodes_max || (n = calloc(1, sizeof(*n))) == NULL)
		return NULL;
	if (++t->nodes > t->nodes_peak)
		t->nodes_peak = t->nodes;
	n->kind = kind;
	n->mount = mount;
	n->opens = 1;
	n->inode = t->next_inode++;
	n->accessed = n->modified = n->changed = wasi_tree_now(t);
	return n;
}

/* Where what belongs to a node itself is charged; a file's blocks are not. */
static struct wasi_room *
room_of(struct wasi_tree *t, const struct wasi_node *n)
{
	return n->origin != NULL ? &t->host_room : &t->room;
}

enum wasi_errno
wasi_node_aim(struct wasi_tree *t, struct wasi_node *link, const char *text, size_t length)
{
	char *copy;

	if (!wasi_room_take(room_of(t, link), length))
		return WASI_ENOSPC;
	if ((copy = malloc(length)) == NULL) {
		wasi_room_give(room_of(t, link), length);
		return WASI_ENOSPC;
	}
	memcpy(copy, text, length);
	link->link = (struct wasi_target){copy, (uint32_t)length};
	return WASI_ESUCCESS;
}

static void
free_node(struct wasi_tree *t, struct wasi_node *n)
{
	switch (n->kind) {
	case WASI_NODE_FILE:
		if (wasi_file_end(&n->file, &t->room))
			break;
		n->next_unfreed = t->unfreed;
		t->unfreed = n;
		return;
	case WASI_NODE_DIR:
		free(n->dir.slots);
		free(n->dir.buckets);
		break;
	case WASI_NODE_LINK:
		wasi_room_give(room_of(t, n), n->link.length);
		free(n->link.text);
		break;
	case WASI_NODE_OTHER:
		break;
	}
	if (n->origin != NULL)
		wasi_room_give(&t->host_room, sizeof(*n));
	else
		t->nodes--;
	free(n);
}

void
wasi_tree_end(struct wasi_tree *t)
{
	t->room.stop = NULL;
	while (t->unfreed != NULL) {
		struct wasi_node *n = t->unfreed;

		t->unfreed = n->next_unfreed;
		free_node(t, n);
	}
}

void
wasi_node_open(struct wasi_node *n)
{
	n->opens++;
}

void
wasi_node_close(struct wasi_tree *t, struct wasi_node *n)
{
	n->opens--;
	if (n->opens == 0 && n->names == 0)
		free_node(t, n);
}

uint64_t
wasi_node_links(const struct wasi_node *n)
{
	if (n->kind == WASI_NODE_DIR && n->dir.unlisted)
		return 1;
	return n->kind == WASI_NODE_DIR && n->names > 0 ? UINT64_C(2) + n->dir.inside : n->names;
}

/* --- directories: finding -------------------------------------------------------------------------------------- */

/* FNV-1a. */
static uint32_t
hash_of(const char *name, size_t length)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < length; i++)
		h = (h ^ (uint8_t)name[i]) * 16777619u;
	return h ^ h >> 15;
}

bool
wasi_dir_removed(const struct wasi_node *dir)
{
	return dir->names == 0;
}

struct wasi_entry *
wasi_dir_find(const struct wasi_node *dir, const char *name, size_t length)
{
	uint32_t hash = hash_of(name, length);
	struct wasi_entry *e;

	if (dir->dir.bucket_count == 0)
		return NULL;
	for (e = dir->dir.buckets[hash & (dir->dir.bucket_count - 1)]; e != NULL; e = e->next)
		if (e->hash == hash && e->length == length && memcmp(e->name, name, length) == 0)
			return e;
	return NULL;
}

/* The number of slots whose cookie is at most `cookie`. */
static uint32_t
slots_up_to(const struct wasi_dir *d, uint64_t cookie)
{
	uint32_t low = 0, high = d->slot_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (d->slots[middle].cookie <= cookie)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct wasi_entry *
wasi_dir_next(const struct wasi_node *dir, uint64_t after)
{
	const struct wasi_dir *d = &dir->dir;

	for (uint32_t i = slots_up_to(d, after); i < d->slot_count; i++)
		if (d->slots[i].entry != NULL)
			return d->slots[i].entry;
	return NULL;
}

/* --- directories: changing ------------------------------------------------------------------------------------- */

static void
mark_changed(const struct wasi_tree *t, struct wasi_node *dir, struct wasi_node *node)
{
	uint64_t now = wasi_tree_now(t);

	dir->modified = dir->changed = now;
	node->changed = now;
}

static void
close_gaps(struct wasi_dir *d)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < d->slot_count; i++)
		if (d->slots[i].entry != NULL)
			d->slots[kept++] = d->slots[i];
	d->slot_count = kept;
}

/* Makes room for one more slot. */
static bool
grow_slots(struct wasi_dir *d)
{
	uint32_t room = d->slot_room == 0 ? SLOTS_MIN : d->slot_room * 2;
	struct wasi_dir_slot *slots;

	if (d->slot_count == d->slot_room && d->live < d->slot_count / 2)
		close_gaps(d);
	if (d->slot_count < d->slot_room)
		return true;
	if (room <= d->slot_room || (slots = realloc(d->slots, room * sizeof(*slots))) == NULL)
		return false;
	d->slots = slots;
	d->slot_room = room;
	return true;
}

/* Spreads the entries over `count` buckets; without memory they stay where they are. */
static bool
rehash(struct wasi_dir *d, uint32_t count)
{
	struct wasi_entry **buckets = calloc(count, sizeof(*buckets));

	if (buckets == NULL)
		return d->bucket_count > 0;
	for (uint32_t i = 0; i < d->slot_count; i++) {
		struct wasi_entry *e = d->slots[i].entry;

		if (e != NULL) {
			e->next = buckets[e->hash & (count - 1)];
			buckets[e->hash & (count - 1)] = e;
		}
	}
	free(d->buckets);
	d->buckets = buckets;
	d->bucket_count = count;
	return true;
}

/* Gives memory back when little of it is used. */
static void
shrink(struct wasi_dir *d)
{
	struct wasi_dir_slot *slots;

	while (d->slot_count > 0 && d->slots[d->slot_count - 1].entry == NULL)
		d->slot_count--;
	if (d->slot_room <= SLOTS_MIN || d->live >= d->slot_room / 4)
		return;
	close_gaps(d);
	if ((slots = realloc(d->slots, d->slot_room / 2 * sizeof(*slots))) != NULL) {
		d->slots = slots;
		d->slot_room /= 2;
	}
	rehash(d, d->slot_room);
}

static struct wasi_entry *
new_entry(struct wasi_room *room, const char *name, size_t length)
{
	struct wasi_entry *e;

	if (!wasi_room_take(room, ENTRY_COST(length)))
		return NULL;
	if ((e = malloc(sizeof(*e) + length)) == NULL) {
		wasi_room_give(room, ENTRY_COST(length));
		return NULL;
	}
	e->from_host = e->is_host = false;
	e->hash = hash_of(name, length);
	e->length = (uint8_t)length;
	memcpy(e->name, name, length);
	return e;
}

/* `entry` stands for `node` from now on. */
static void
attach(struct wasi_node *dir, struct wasi_entry *e, struct wasi_node *node)
{
	e->node = node;
	node->names++;
	if (node->kind == WASI_NODE_DIR) {
		node->dir.parent = dir;
		node->dir.self = e;
		dir->dir.inside++;
	}
}

/* `entry` no longer stands for its node. A directory that was moved already knows its new place. */
static void
detach(struct wasi_tree *t, struct wasi_node *dir, struct wasi_entry *e)
{
	struct wasi_node *node = e->node;

	if (node->kind == WASI_NODE_DIR) {
		dir->dir.inside--;
		if (node->dir.self == e) {
			node->dir.parent = NULL;
			node->dir.self = NULL;
		}
	}
	node->names--;
	if (node->names == 0 && node->opens == 0)
		free_node(t, node);
}

/* Gives `node` the name, charged to `room`. NULL without. */
static struct wasi_entry *
add_entry(struct wasi_tree *t, struct wasi_room *room, struct wasi_node *dir, const char *name, size_t length,
    struct wasi_node *node)
{
	struct wasi_dir *d = &dir->dir;
	struct wasi_entry *e, **bucket;

	if (!grow_slots(d) || (d->live >= d->bucket_count && !rehash(d, d->slot_room)) ||
	    (e = new_entry(room, name, length)) == NULL)
		return NULL;
	e->cookie = t->next_cookie++;
	bucket = &d->buckets[e->hash & (d->bucket_count - 1)];
	e->next = *bucket;
	*bucket = e;
	d->slots[d->slot_count++] = (struct wasi_dir_slot){e->cookie, e};
	d->live++;
	attach(dir, e, node);
	return e;
}

enum wasi_errno
wasi_dir_add(struct wasi_tree *t, struct wasi_node *dir, const char *name, size_t length, struct wasi_node *node)
{
	if (node->names == UINT32_MAX)
		return WASI_EMLINK;
	if (add_entry(t, &t->room, dir, name, length, node) == NULL)
		return WASI_ENOSPC;
	mark_changed(t, dir, node);
	return WASI_ESUCCESS;
}

/* The name does not stand for what the host has there any more. */
static void
leave_host(struct wasi_entry *e)
{
	if (e->is_host)
		wasi_origin_removed(e->node->origin);
	e->is_host = false;
}

void
wasi_dir_remove(struct wasi_tree *t, struct wasi_node *dir, struct wasi_entry *e)
{
	struct wasi_dir *d = &dir->dir;
	struct wasi_entry **at = &d->buckets[e->hash & (d->bucket_count - 1)];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	leave_host(e);
	d->slots[slots_up_to(d, e->cookie) - 1].entry = NULL;
	d->live--;
	mark_changed(t, dir, e->node);
	detach(t, dir, e);
	wasi_room_give(e->from_host ? &t->host_room : &t->room, ENTRY_COST(e->length));
	free(e);
	shrink(d);
}

void
wasi_dir_replace(struct wasi_tree *t, struct wasi_node *dir, struct wasi_entry *e, struct wasi_node *node)
{
	leave_host(e);
	mark_changed(t, dir, e->node);
	detach(t, dir, e);
	attach(dir, e, node);
	mark_changed(t, dir, node);
}

void
wasi_dir_clear(struct wasi_tree *t, struct wasi_node *dir)
{
	struct wasi_node *at = dir;

	for (;;) {
		struct wasi_dir *d = &at->dir;
		struct wasi_entry *last;

		if (d->live == 0) {
			if (at == dir)
				return;
			at = d->parent;
			continue;
		}
		/* There is no gap at the end. */
		last = d->slots[d->slot_count - 1].entry;
		if (last->node->kind == WASI_NODE_DIR && last->node->dir.live > 0)
			at = last->node;
		else
			wasi_dir_remove(t, at, last);
	}
}

/* --- what is on the host --------------------------------------------------------------------------------------- */

enum wasi_node_kind
wasi_origin_kind(const struct wasi_origin *origin)
{
	switch (origin->kind) {
	case FILES_KIND_FILE:
		return WASI_NODE_FILE;
	case FILES_KIND_DIR:
		return WASI_NODE_DIR;
	case FILES_KIND_LINK:
		return WASI_NODE_LINK;
	default:
		return WASI_NODE_OTHER;
	}
}

struct wasi_node *
wasi_node_show(struct wasi_tree *t, struct wasi_origin *origin, uint16_t mount)
{
	struct wasi_node *n;

	if (!wasi_room_take(&t->host_room, sizeof(*n)))
		return NULL;
	if ((n = calloc(1, sizeof(*n))) == NULL) {
		wasi_room_give(&t->host_room, sizeof(*n));
		return NULL;
	}
	n->kind = wasi_origin_kind(origin);
	n->mount = mount;
	n->opens = 1;
	n->inode = t->next_inode++;
	n->origin = origin;
	if (n->kind == WASI_NODE_DIR)
		n->dir.unlisted = true;
	return n;
}

/* Times of the host that the run has not set; those before 1970 become 1970. */
static void
take_times(struct wasi_node *n, const struct files_node *node)
{
	const struct {
		uint64_t *to;
		int64_t from;
	} times[] = {
		{&n->accessed, node->accessed}, {&n->modified, node->version.modified}, {&n->changed, node->version.changed}};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (*times[i].to == 0 && times[i].from > 0)
			*times[i].to = (uint64_t)times[i].from;
}

enum wasi_errno
wasi_node_know(struct wasi_tree *t, struct wasi_node *n)
{
	struct files_node node = {.kind = 0};
	const char *target;
	enum wasi_errno error;

	if (n->origin == NULL || n->origin->known)
		return WASI_ESUCCESS;
	if ((error = wasi_lower_stat(n->origin, &node, &target)) != WASI_ESUCCESS)
		return error;
	if (n->kind == WASI_NODE_FILE && node.version.size > WASI_FILE_SIZE_MAX)
		error = WASI_EOVERFLOW;
	if (n->kind == WASI_NODE_LINK && wasi_node_aim(t, n, target, node.target_length) != WASI_ESUCCESS) {
		wasi_lower_trouble(n->origin, PROTO_TROUBLE_limit);
		error = WASI_ENOMEM;
	}
	if (error != WASI_ESUCCESS) {
		n->origin->known = false;
		return error;
	}
	if (n->kind == WASI_NODE_FILE)
		wasi_file_begin_host(&n->file, n->origin);
	take_times(n, &node);
	return WASI_ESUCCESS;
}

/* A directory while its names come. */
struct looking {
	struct wasi_tree *tree;
	struct wasi_node *dir;
	uint64_t origins; /* bytes that were charged for them */
};

static enum wasi_errno
take_name(void *arg, enum files_kind kind, const char *name, size_t length)
{
	struct looking *l = arg;
	struct wasi_tree *t = l->tree;
	struct wasi_origin *origin;
	struct wasi_node *n;
	struct wasi_entry *e = NULL;

	if (wasi_dir_find(l->dir, name, length) != NULL)
		return WASI_EEXIST;
	if (!wasi_room_take(&t->host_room, wasi_origin_cost(length)))
		return WASI_ENOMEM;
	l->origins += wasi_origin_cost(length);
	if ((origin = wasi_origin_new(l->dir->origin, kind, name, length)) == NULL ||
	    (n = wasi_node_show(t, origin, l->dir->mount)) == NULL)
		return WASI_ENOMEM;
	if ((e = add_entry(t, &t->host_room, l->dir, name, length, n)) != NULL)
		e->from_host = e->is_host = true;
	wasi_node_close(t, n);
	return e != NULL ? WASI_ESUCCESS : WASI_ENOMEM;
}

enum wasi_errno
wasi_dir_look(struct wasi_tree *t, struct wasi_node *dir)
{
	struct looking l = {.tree = t, .dir = dir};
	uint64_t modified = dir->modified, changed = dir->changed;
	struct wasi_mark before;
	enum wasi_errno error;

	if (!dir->dir.unlisted)
		return WASI_ESUCCESS;
	before = wasi_origin_mark(dir->origin->lower);
	if ((error = wasi_lower_list(dir->origin, take_name, &l)) == WASI_ESUCCESS) {
		dir->dir.unlisted = false;
		return WASI_ESUCCESS;
	}
	/* What came of it is of no use. */
	wasi_dir_clear(t, dir);
	dir->modified = modified;
	dir->changed = changed;
	wasi_origin_rewind(dir->origin->lower, &before);
	wasi_room_give(&t->host_room, l.origins);
	if (error == WASI_ENOMEM)
		wasi_lower_trouble(dir->origin, PROTO_TROUBLE_limit);
	return error;
}
