/* runtime/wasi/walk: from a path to what it names. Knows no guest memory. Runs in the worker. */

#include "runtime/wasi/walk.h"

#include <string.h>

#include "base/utf8.h"

/* Text that is still to be walked. */
struct part {
	const char *text;
	size_t left;
};

/* The path, and on top of it the targets of the links on the way, each to be walked before what is below. */
struct walk {
	struct wasi_tree *tree;
	struct wasi_node *base, *at;
	enum wasi_walk_end end;
	struct part parts[WASI_LINKS_MAX + 1];
	unsigned depth;
	unsigned followed;

	/* The component in hand. */
	const char *name;
	size_t length;
	bool last;

	bool slash; /* behind the last component, or behind the last one of the path that led to it by links */
};

enum wasi_errno
wasi_path_check(const char *path, size_t length)
{
	if (length == 0)
		return WASI_ENOENT;
	if (length > WASI_PATH_MAX)
		return WASI_ENAMETOOLONG;
	return utf8_prefix(path, length, length) == length ? WASI_ESUCCESS : WASI_EILSEQ;
}

/* Puts text on top. It must not start with a slash, nor be empty. */
static enum wasi_errno
push(struct walk *w, const char *text, size_t length)
{
	if (text[0] == '/')
		return WASI_ENOTCAPABLE;
	w->parts[w->depth++] = (struct part){text, length};
	return WASI_ESUCCESS;
}

/* Takes the next component. There is one: parts that have none left are dropped here. */
static void
take_component(struct walk *w)
{
	struct part *p = &w->parts[w->depth - 1];
	size_t n = 0, slashes;

	while (n < p->left && p->text[n] != '/')
		n++;
	w->name = p->text;
	w->length = n;
	for (slashes = n; slashes < p->left && p->text[slashes] == '/'; slashes++)
		;
	p->text += slashes;
	p->left -= slashes;
	while (w->depth > 0 && w->parts[w->depth - 1].left == 0)
		w->depth--;
	w->last = w->depth == 0;
	w->slash = w->slash || (w->last && slashes > n);
}

/* Whether to go where the component leads when it is a link. */
static bool
follows(const struct walk *w)
{
	return !w->last || w->end == WASI_WALK_FOLLOW || (w->end == WASI_WALK_LINK && w->slash);
}

static enum wasi_errno
step_up(struct walk *w)
{
	if (w->at == w->base || w->at->dir.parent == NULL)
		return WASI_ENOTCAPABLE;
	w->at = w->at->dir.parent;
	return WASI_ESUCCESS;
}

/* Takes one component that is a name: goes there, or notes the place when it is the last one. */
static enum wasi_errno
step(struct walk *w, struct wasi_place *place)
{
	struct wasi_entry *e;
	enum wasi_errno error;

	if (w->length > WASI_NAME_MAX)
		return WASI_ENAMETOOLONG;
	if ((error = wasi_dir_look(w->tree, w->at)) != WASI_ESUCCESS)
		return error;
	e = wasi_dir_find(w->at, w->name, w->length);
	if (e != NULL && e->node->kind == WASI_NODE_LINK && follows(w)) {
		if (++w->followed > WASI_LINKS_MAX)
			return WASI_ELOOP;
		if ((error = wasi_node_know(w->tree, e->node)) != WASI_ESUCCESS)
			return error;
		if (wasi_path_check(e->node->link.text, e->node->link.length) != WASI_ESUCCESS)
			return WASI_EILSEQ;
		return push(w, e->node->link.text, e->node->link.length);
	}
	if (w->last) {
		place->dir = w->at;
		place->name = w->name;
		place->length = w->length;
		place->entry = e;
		place->node = e == NULL ? NULL : e->node;
		return WASI_ESUCCESS;
	}
	if (e == NULL)
		return WASI_ENOENT;
	if (e->node->kind != WASI_NODE_DIR)
		return WASI_ENOTDIR;
	w->at = e->node;
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_walk(struct wasi_tree *tree, struct wasi_node *base, const char *path, size_t length, enum wasi_walk_end end,
    struct wasi_place *place)
{
	struct walk w = {.tree = tree, .base = base, .at = base, .end = end};
	struct wasi_place found = {.dir = NULL};
	enum wasi_errno error = wasi_path_check(path, length);

	if (error == WASI_ESUCCESS)
		error = push(&w, path, length);
	while (error == WASI_ESUCCESS && w.depth > 0) {
		take_component(&w);
		found.dots = w.length == 2 && memcmp(w.name, "..", 2) == 0;
		if (found.dots)
			error = step_up(&w);
		else if (w.length != 1 || w.name[0] != '.')
			error = step(&w, &found);
	}
	if (error != WASI_ESUCCESS)
		return error;
	if (found.dir == NULL)
		found.node = w.at;
	found.slash = w.slash;
	*place = found;
	return WASI_ESUCCESS;
}
