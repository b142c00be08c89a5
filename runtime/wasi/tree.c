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

enum wasi_errno
wasi_node_aim(struct wasi_tree *t, struct wasi_node *link, const char *text, size_t length)
{
	char *copy;

	if (!wasi_room_take(&t->room, length))
		return WASI_ENOSPC;
	if ((copy = malloc(length)) == NULL) {
		wasi_room_give(&t->room, length);
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
		wasi_room_give(&t->room, n->link.length);
		free(n->link.text);
		break;
	}
	free(n);
	t->nodes--;
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
new_entry(struct wasi_tree *t, const char *name, size_t length)
{
	struct wasi_entry *e;

	if (!wasi_room_take(&t->room, ENTRY_COST(length)))
		return NULL;
	if ((e = malloc(sizeof(*e) + length)) == NULL) {
		wasi_room_give(&t->room, ENTRY_COST(length));
		return NULL;
	}
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

enum wasi_errno
wasi_dir_add(struct wasi_tree *t, struct wasi_node *dir, const char *name, size_t length, struct wasi_node *node)
{
	struct wasi_dir *d = &dir->dir;
	struct wasi_entry *e, **bucket;

	if (node->names == UINT32_MAX)
		return WASI_EMLINK;
	if (!grow_slots(d) || (d->live >= d->bucket_count && !rehash(d, d->slot_room)) ||
	    (e = new_entry(t, name, length)) == NULL)
		return WASI_ENOSPC;
	e->cookie = t->next_cookie++;
	bucket = &d->buckets[e->hash & (d->bucket_count - 1)];
	e->next = *bucket;
	*bucket = e;
	d->slots[d->slot_count++] = (struct wasi_dir_slot){e->cookie, e};
	d->live++;
	attach(dir, e, node);
	mark_changed(t, dir, node);
	return WASI_ESUCCESS;
}

void
wasi_dir_remove(struct wasi_tree *t, struct wasi_node *dir, struct wasi_entry *e)
{
	struct wasi_dir *d = &dir->dir;
	struct wasi_entry **at = &d->buckets[e->hash & (d->bucket_count - 1)];

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	d->slots[slots_up_to(d, e->cookie) - 1].entry = NULL;
	d->live--;
	mark_changed(t, dir, e->node);
	detach(t, dir, e);
	wasi_room_give(&t->room, ENTRY_COST(e->length));
	free(e);
	shrink(d);
}

void
wasi_dir_replace(struct wasi_tree *t, struct wasi_node *dir, struct wasi_entry *e, struct wasi_node *node)
{
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
