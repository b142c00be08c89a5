/* apply_own: where brig keeps its own keys, settings and state, to which no changes go. brig. */

#include "clients/c/apply_own.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/c/apply_guard.h"
#include "clients/c/apply_link.h"

/* One search. */
struct search {
	struct apply_own *own;
	int rc;
};

/* Adds a place, which has no slash in front. */
static int
add_place(struct apply_own *o, const char *place)
{
	struct apply_own_place *larger = reallocarray(o->places, o->count + 1, sizeof(*larger));
	char path[2 * PATH_MAX + 1], *folded;

	if (larger == NULL)
		return ERR_NOMEM;
	o->places = larger;
	snprintf(path, sizeof(path), "/%s", place);
	if ((folded = apply_guard_fold(path)) == NULL)
		return ERR_NOMEM;
	o->places[o->count++] = (struct apply_own_place){.path = folded};
	return 0;
}

/* An apply_link_fn on the machine's own root; every place on the way is added. */
static bool
look(void *arg, const char *place, char target[PATH_MAX])
{
	struct search *s = arg;
	char path[2 * PATH_MAX + 1];
	ssize_t n;

	if (s->rc == 0)
		s->rc = add_place(s->own, place);
	snprintf(path, sizeof(path), "/%s", place);
	n = readlinkat(AT_FDCWD, path, target, PATH_MAX - 1);
	target[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* Adds `path` and what is on the way there; the last place is brig's. */
static int
add_own(struct apply_own *o, const char *path, struct err *e)
{
	struct search s = {o, 0};
	int rc = apply_link_follow("", path, false, look, &s);

	if (s.rc != 0)
		return err_set(e, s.rc, "out of memory");
	if (rc != 0)
		return err_set(e, ERR_INVAL, "%.200s, which is brig's own, leads to too long a path", path);
	o->places[o->count - 1].own = true;
	return 0;
}

int
apply_own_find(struct apply_own *o, struct err *e)
{
	static const struct {
		const char *variable, *otherwise; /* below HOME; NULL: nowhere */
		const char *name;
	} owns[] = {
	    {"XDG_CONFIG_HOME", "/.config", "brig"},
	    {"XDG_CONFIG_HOME", "/.config", "brig/apply.json"}, /* may be a link to elsewhere */
	    {"XDG_STATE_HOME", "/.local/state", "brig"},
	    {"XDG_RUNTIME_DIR", NULL, "brig"},
	};
	const char *home = getenv("HOME");
	int rc = 0;

	for (size_t i = 0; i < sizeof(owns) / sizeof(owns[0]) && rc == 0; i++) {
		const char *top = getenv(owns[i].variable);
		bool stated = top != NULL && top[0] == '/';
		char path[PATH_MAX];

		if (!stated && (owns[i].otherwise == NULL || home == NULL || home[0] != '/'))
			continue;
		if (snprintf(path, sizeof(path), "%s%s/%s", stated ? top : home, stated ? "" : owns[i].otherwise, owns[i].name) >=
		    (int)sizeof(path))
			rc = err_set(e, ERR_INVAL, "%s is too long", stated ? owns[i].variable : "HOME");
		else
			rc = add_own(o, path, e);
	}
	return rc;
}

bool
apply_own_has(const struct apply_own *o, const char *root, const struct apply_change *c)
{
	bool stays = c->kind == APPLY_DIRECTORY && c->was == APPLY_DIRECTORY, found = false;
	char path[PATH_MAX + APPLY_PATH_MAX + 2], *folded;

	snprintf(path, sizeof(path), "%s/%s", strcmp(root, "/") == 0 ? "" : root, c->path);
	if ((folded = apply_guard_fold(path)) == NULL)
		return true;
	for (size_t i = 0; i < o->count && !found; i++) {
		const struct apply_own_place *p = &o->places[i];
		size_t n = strlen(p->path);

		if (strncmp(folded, p->path, n) == 0)
			found = p->own ? folded[n] == '\0' || folded[n] == '/' : folded[n] == '\0' && !stays;
	}
	free(folded);
	return found;
}

void
apply_own_clear(struct apply_own *o)
{
	for (size_t i = 0; i < o->count; i++)
		free(o->places[i].path);
	free(o->places);
	*o = (struct apply_own){.places = NULL};
}
