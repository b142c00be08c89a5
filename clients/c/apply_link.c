/* apply_link: where a path leads when the links on it are followed, by names alone. brig. */

#include "clients/c/apply_link.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define LINKS_MAX 40 /* as in the kernel */
#define WALK_MAX  (2 * PATH_MAX)

/* How far one has come, and what is left. */
struct walk {
	char at[WALK_MAX], rest[WALK_MAX];
	bool closed;
};

/* Back to the directory above. Whether there is one, or it does not matter. */
static bool
go_up(struct walk *w)
{
	char *slash = strrchr(w->at, '/');

	if (w->at[0] == '\0')
		return !w->closed;
	*(slash == NULL ? w->at : slash) = '\0';
	return true;
}

static int
go_down(struct walk *w, const char *name, size_t length)
{
	size_t used = strlen(w->at);

	if (used + 1 + length >= sizeof(w->at))
		return ERR_LIMIT;
	if (used > 0)
		w->at[used++] = '/';
	memcpy(w->at + used, name, length);
	w->at[used + length] = '\0';
	return 0;
}

/* From the link at w->at on to its target, and `left` behind that. */
static int
go_through(struct walk *w, const char *target, const char *left)
{
	char rest[WALK_MAX];

	if (snprintf(rest, sizeof(rest), "%s/%s", target, left) >= (int)sizeof(rest))
		return ERR_LIMIT;
	memcpy(w->rest, rest, sizeof(rest));
	if (target[0] != '/') {
		go_up(w);
		return 0;
	}
	w->at[0] = '\0';
	return w->closed ? ERR_DENIED : 0;
}

int
apply_link_follow(const char *from, const char *path, bool closed, apply_link_fn *read, void *arg)
{
	struct walk w = {.closed = closed};
	char target[PATH_MAX], *name;
	int links = 0, rc = 0;

	if (snprintf(w.at, sizeof(w.at), "%s", from) >= (int)sizeof(w.at) ||
	    snprintf(w.rest, sizeof(w.rest), "%s", path) >= (int)sizeof(w.rest))
		return ERR_LIMIT;
	while (rc == 0 && *(name = w.rest + strspn(w.rest, "/")) != '\0') {
		size_t length = strcspn(name, "/");
		bool up = length == 2 && strncmp(name, "..", 2) == 0, here = length == 1 && name[0] == '.';

		if (up && !go_up(&w))
			return ERR_DENIED;
		if (!up && !here && (rc = go_down(&w, name, length)) == 0 && read(arg, w.at, target)) {
			if (++links > LINKS_MAX)
				return 0;
			rc = go_through(&w, target, name + length);
		} else
			memmove(w.rest, name + length, strlen(name + length) + 1);
	}
	return rc;
}
