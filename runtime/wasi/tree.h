/* runtime/wasi/tree: files, directories and symbolic links in memory. Knows no guest memory. Runs in the worker. */

#ifndef RUNTIME_WASI_TREE_H
#define RUNTIME_WASI_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/wasi/clock.h"
#include "runtime/wasi/errno.h"
#include "runtime/wasi/file.h"

#define WASI_NAME_MAX 255  /* bytes of one name */
#define WASI_PATH_MAX 4095 /* bytes of a path, and of a link's target */

/* OTHER: a fifo, socket or device of the host, which nobody can open. */
enum wasi_node_kind { WASI_NODE_FILE, WASI_NODE_DIR, WASI_NODE_LINK, WASI_NODE_OTHER };

/* A name in a directory. */
struct wasi_entry {
	struct wasi_entry *next; /* with the same bucket */
	struct wasi_node *node;
	uint64_t cookie;         /* grows from entry to entry; 1 and 2 are left for "." and ".." */
	uint32_t hash;
	uint8_t length;
	bool from_host;          /* charged to the room for what is of the host */
	bool is_host;            /* it is what the host has there: its node has never had another name here */
	char name[];             /* not NUL-terminated */
};
_Static_assert(WASI_NAME_MAX <= UINT8_MAX, "length");

#define WASI_COOKIE_FIRST 3u

/* Entries by cookie (an array with gaps) and by name (a hash table). */
struct wasi_dir {
	struct wasi_node *parent;        /* NULL at the top, and when the directory has been removed */
	const struct wasi_entry *self;   /* its own name there */
	struct wasi_dir_slot {
		uint64_t cookie;
		struct wasi_entry *entry; /* NULL: removed */
	} *slots;
	uint32_t slot_count, slot_room;
	struct wasi_entry **buckets;     /* a power of two, or none */
	uint32_t bucket_count;
	uint32_t live;                   /* entries */
	uint32_t inside;                 /* directories among them */
	bool unlisted;                   /* of the host, and its names are not here yet: see wasi_dir_look */
};

struct wasi_target {
	char *text; /* owned; not NUL-terminated */
	uint32_t length;
};

/* It lives as long as it has a name or is open. */
struct wasi_node {
	enum wasi_node_kind kind;
	uint16_t mount; /* which; a rename or link between two is EXDEV */
	uint32_t names; /* entries that stand for it; the top of a mount has one too */
	uint32_t opens;
	struct wasi_node *next_unfreed;
	uint64_t inode;
	uint64_t accessed, modified, changed; /* nanoseconds since 1970 by the run's clock; 0 when it has none */
	struct wasi_origin *origin; /* what it is on the host, or was before the run; NULL when it is not from there */
	union {
		struct wasi_file file;
		struct wasi_dir dir;
		struct wasi_target link;
	};
};

/*
 * All nodes of a run. A node costs one of nodes_max; names, targets and blocks are charged to `room`. What the run has seen
 * of the host is charged to `host_room` instead, nodes too; but what it writes to files of the host is to `room`.
 */
struct wasi_tree {
	struct wasi_room room, host_room;
	uint64_t nodes, nodes_max, nodes_peak;
	uint64_t next_inode, next_cookie;
	const struct wasi_clock *clock;
	struct wasi_node *unfreed; /* files that room.stop kept from being freed */
};

/* wasi_tree_begin - an empty tree, without room for what is of the host; borrows the clock. */
void wasi_tree_begin(struct wasi_tree *t, uint64_t bytes_max, uint64_t nodes_max, const struct wasi_clock *clock);

/* wasi_tree_end - free what room.stop left, whatever it says now. */
void wasi_tree_end(struct wasi_tree *t);

/* wasi_tree_now - the time that changes are marked with. */
uint64_t wasi_tree_now(const struct wasi_tree *t);

/* wasi_node_new - a node without a name, open once; free it with wasi_node_close. NULL when there are too many. */
struct wasi_node *wasi_node_new(struct wasi_tree *t, enum wasi_node_kind kind, uint16_t mount);

/* wasi_origin_kind - of the node that shows it. */
enum wasi_node_kind wasi_origin_kind(const struct wasi_origin *origin);

/*
 * wasi_node_show - a node for what is on the host, likewise. Nothing is asked yet: what is known of it is its kind.
 *
 * wasi_node_know - make sure that times, a file's size and a link's target are known: to be called before they are used.
 * Returns at once for a node that is not from the host; else as wasi_lower_stat. ENOMEM, EOVERFLOW for a file past
 * WASI_FILE_SIZE_MAX.
 */
struct wasi_node *wasi_node_show(struct wasi_tree *t, struct wasi_origin *origin, uint16_t mount);
enum wasi_errno wasi_node_know(struct wasi_tree *t, struct wasi_node *n);

/* wasi_node_aim - set a new link's target, copied. ENOSPC. */
enum wasi_errno wasi_node_aim(struct wasi_tree *t, struct wasi_node *link, const char *text, size_t length);

/* wasi_node_open, wasi_node_close - one more or one less holds the node; the last one frees it if it has no name. */
void wasi_node_open(struct wasi_node *n);
void wasi_node_close(struct wasi_tree *t, struct wasi_node *n);

/*
 * wasi_node_links - what POSIX calls st_nlink: names; of a directory 2, and 1 for each directory inside; 1 when that is not
 * known.
 */
uint64_t wasi_node_links(const struct wasi_node *n);

/* wasi_dir_removed - whether the directory has lost its name, so that nothing can be put into it any more. */
bool wasi_dir_removed(const struct wasi_node *dir);

/*
 * wasi_dir_look - make sure that the names of a directory of the host are there: to be called before any function below is,
 * and before entries are counted. Returns at once for one that was made by the run, or looked into before; else as
 * wasi_lower_list, ENOMEM when host_room does not suffice.
 */
enum wasi_errno wasi_dir_look(struct wasi_tree *t, struct wasi_node *dir);

/* wasi_dir_find - the entry of that name, or NULL. Takes as long in a large directory as in a small one. */
struct wasi_entry *wasi_dir_find(const struct wasi_node *dir, const char *name, size_t length);

/*
 * wasi_dir_next - the first entry whose cookie is greater than `after`, or NULL.
 *
 * Whoever goes on from the cookie of the entry last seen meets every entry that was there all the time exactly once,
 * whatever else was added or removed meanwhile.
 */
struct wasi_entry *wasi_dir_next(const struct wasi_node *dir, uint64_t after);

/*
 * wasi_dir_add - give `node` the name, which must be free and at most WASI_NAME_MAX long; marks both as changed.
 * ENOSPC when there is no room, EMLINK for the 2^32nd name.
 */
enum wasi_errno wasi_dir_add(struct wasi_tree *t, struct wasi_node *dir, const char *name, size_t length,
    struct wasi_node *node);

/* wasi_dir_remove - take the name away; frees the node when that was its last one and nobody has it open. */
void wasi_dir_remove(struct wasi_tree *t, struct wasi_node *dir, struct wasi_entry *entry);

/* wasi_dir_replace - let the name stand for another node, keeping its cookie. */
void wasi_dir_replace(struct wasi_tree *t, struct wasi_node *dir, struct wasi_entry *entry, struct wasi_node *node);

/* wasi_dir_clear - remove all that is below `dir`, in any depth. */
void wasi_dir_clear(struct wasi_tree *t, struct wasi_node *dir);

#endif
