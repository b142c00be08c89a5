/* runtime/wasi/walk: from a path to what it names. Knows no guest memory. Runs in the worker. */

#ifndef RUNTIME_WASI_WALK_H
#define RUNTIME_WASI_WALK_H

#include "runtime/wasi/tree.h"

#define WASI_LINKS_MAX 40 /* symbolic links followed on the way; one more is ELOOP */

/* What to do with a symbolic link at the end of a path. */
enum wasi_walk_end {
	WASI_WALK_NAME,   /* it is the name that matters: what is to be made, removed or renamed */
	WASI_WALK_LINK,   /* take the link itself, except behind a trailing slash, which asks for a directory */
	WASI_WALK_FOLLOW, /* go where it leads */
};

/* Where a path ends. */
struct wasi_place {
	struct wasi_node *dir;   /* holds the name; NULL when the path ends in "." or ".." */
	const char *name;        /* in the path or in a link's target; borrowed */
	size_t length;
	struct wasi_entry *entry; /* NULL: there is nothing of that name */
	struct wasi_node *node;   /* likewise */
	bool dots;               /* the path ends in ".." */
	bool slash;              /* the path ends in slashes, so it must be a directory */
};

/* wasi_path_check - ENOENT when empty, ENAMETOOLONG past WASI_PATH_MAX, EILSEQ with a NUL or when not UTF-8. */
enum wasi_errno wasi_path_check(const char *path, size_t length);

/*
 * wasi_walk - resolve a path that starts at `base`, a directory (POSIX.1-2017 4.13).
 *
 * The way never leads out of `base`: an absolute path, a link with an absolute target, and a ".." in `base` itself are
 * ENOTCAPABLE. That the last name is missing is no error here: place->node is NULL then. ENOENT and ENOTDIR on the way,
 * ENAMETOOLONG, ELOOP, and what wasi_path_check gives; for directories and links of the host also what wasi_dir_look and
 * wasi_node_know give. *place is untouched on failure.
 */
enum wasi_errno wasi_walk(struct wasi_tree *tree, struct wasi_node *base, const char *path, size_t length,
    enum wasi_walk_end end, struct wasi_place *place);

#endif
