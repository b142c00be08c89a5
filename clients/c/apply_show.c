/* apply_show: what a set of changes does, for people to read. brig. */

#include "clients/c/apply_show.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "clients/c/cmd.h"
#include "clients/c/diff.h"

/* What a file of the host holds, while that is what the program found there. NULL otherwise, or when it is too long. */
static char *
read_old(const struct apply_tree *t, const struct apply_change *c, size_t *length)
{
	const char *slash = strrchr(c->path, '/');
	ssize_t dir = apply_tree_dir(t, c->mount, c->path, slash == NULL ? 0 : (size_t)(slash - c->path));
	uint8_t *text = NULL;
	struct digest found;
	struct stat st;
	int fd;

	if (dir < 0 || !c->has_base ||
	    (fd = apply_open_file(t->dirs[dir].fd, slash == NULL ? c->path : slash + 1, &st)) < 0)
		return NULL;
	if (io_read_fd(fd, APPLY_SHOWN_MAX, &text, length, NULL) == 0) {
		found = digest_of(text, *length);
		if (!digest_equal(&found, &c->base)) {
			free(text);
			text = NULL;
		}
	}
	close(fd);
	return (char *)text;
}

static void
print_name(FILE *f, const struct apply_change *c, bool colour)
{
	static const char *const colours[] = {[APPLY_CREATED] = "\033[32m", [APPLY_MODIFIED] = "\033[33m",
	    [APPLY_DELETED] = "\033[31m"};

	fprintf(f, "%s%-8s%s  ", colour ? colours[c->what] : "", apply_what_names[c->what], colour ? "\033[0m" : "");
	cmd_print_safe(f, c->path, strlen(c->path));
	if (c->kind == APPLY_DIRECTORY)
		fputc('/', f);
	if (c->what == APPLY_MODIFIED && c->kind == APPLY_LINK)
		fputs(", a link now", f);
	if (c->kind == APPLY_LINK && c->target != NULL) {
		fprintf(f, " -> ");
		cmd_print_safe(f, c->target, strlen(c->target));
	}
}

/* What follows the name of a file, and the lines that differ. */
static int
print_file(FILE *f, const struct apply_tree *t, const struct apply_change *c, bool colour)
{
	struct diff_text before = {"", 0}, after = {(const char *)c->content, c->size};
	char digest[DIGEST_TEXT_SIZE], *old = c->what == APPLY_CREATED ? NULL : read_old(t, c, &before.length);
	bool old_known = c->what == APPLY_CREATED || old != NULL;
	int rc = 0;

	if (old != NULL)
		before.text = old;
	if (c->what != APPLY_DELETED)
		fprintf(f, ", %zu bytes", c->size);
	if (old != NULL)
		fprintf(f, ", before %zu bytes", before.length);
	if (c->what == APPLY_DELETED) {
		fputc('\n', f);
	} else if (old_known && c->size <= APPLY_SHOWN_MAX && diff_is_text(before) && diff_is_text(after)) {
		fputc('\n', f);
		rc = diff_print(f, before, after, colour);
	} else {
		fprintf(f, ", %s, %s\n", diff_is_text(after) ? "text" : "no text", digest_text(&c->digest, digest));
	}
	free(old);
	return rc;
}

/* A file that was written to, and holds what it held. */
static bool
is_same(const struct apply_change *c)
{
	return c->what == APPLY_MODIFIED && c->kind == APPLY_FILE && c->has_base && digest_equal(&c->base, &c->digest);
}

int
apply_show(FILE *f, const struct apply_set *set, const struct apply_mount *mounts, const struct apply_tree *t,
    bool colour)
{
	size_t heading = SIZE_MAX;
	int rc = 0;

	for (size_t i = 0; i < set->count && rc == 0; i++) {
		const struct apply_change *c = &set->changes[i];

		if (is_same(c))
			continue;
		if (c->mount != heading) {
			const char *path = t->roots[c->mount].path;

			heading = c->mount;
			fprintf(f, "%sin ", colour ? "\033[1m" : "");
			cmd_print_safe(f, path, strlen(path));
			fprintf(f, " (%s in the program)%s\n", mounts[c->mount].guest, colour ? "\033[0m" : "");
		}
		print_name(f, c, colour);
		if (c->kind == APPLY_FILE)
			rc = print_file(f, t, c, colour);
		else
			fputc('\n', f);
	}
	return rc;
}
