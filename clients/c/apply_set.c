/* apply_set: the changes of a result, which are what a guest made them, taken apart and checked; no I/O. brig. */

#include "clients/c/apply_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/utf8.h"

const char *const apply_what_names[3] = {"created", "modified", "deleted"};
const char *const apply_kind_names[3] = {"file", "directory", "link"};

/* One change on its way in. */
struct intake {
	const struct apply_mount *mounts;
	size_t mount_count;
	struct apply_set *set;
	struct problems *problems;
};

static int
malformed(struct err *e, size_t index, const char *what)
{
	return err_set(e, ERR_INVAL, "this is no result of brig: change %zu %s", index, what);
}

/* --- paths and targets ------------------------------------------------------------------------------------------- */

/* Whether all of it can be shown as it is: no control character, none that turns the direction of writing. */
static bool
is_plain(const char *text, size_t length)
{
	char *tamed = malloc(length + 1);
	bool plain = false;

	if (tamed != NULL) {
		memcpy(tamed, text, length);
		plain = utf8_tame(tamed, length) == length && memcmp(tamed, text, length) == 0;
	}
	free(tamed);
	return plain;
}

static bool
is_dots(const char *name, size_t length)
{
	return length > 0 && length <= 2 && strncmp(name, "..", length) == 0;
}

/* What is wrong with a path below a mount, or NULL. */
static const char *
path_problem(const char *path, size_t length)
{
	if (strlen(path) != length)
		return "the path holds a NUL";
	if (length > APPLY_PATH_MAX)
		return "the path is too long";
	if (!is_plain(path, length))
		return "the path holds control characters, or others that do not show";
	for (const char *p = path;; p++) {
		size_t n = strcspn(p, "/");

		if (n == 0 || is_dots(p, n))
			return "a name in the path is empty, . or ..";
		if (n > APPLY_NAME_MAX)
			return "a name in the path is too long";
		if (strncmp(p, APPLY_TEMP_PREFIX, strlen(APPLY_TEMP_PREFIX)) == 0)
			return "names that start with " APPLY_TEMP_PREFIX " are brig's own";
		if (*(p += n) == '\0')
			return NULL;
	}
}

/* The part of a guest's path that is below the mount, or NULL. */
static const char *
below(const struct apply_mount *m, const char *path)
{
	size_t n = strlen(m->guest);

	if (strcmp(m->guest, "/") == 0)
		return path[0] == '/' && path[1] != '\0' ? path + 1 : NULL;
	return strncmp(path, m->guest, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

/* The innermost mount that the path is in: its index, or mount_count. */
static size_t
mount_of(const struct intake *in, const char *path)
{
	size_t best = in->mount_count;

	for (size_t i = 0; i < in->mount_count; i++)
		if (below(&in->mounts[i], path) != NULL &&
		    (best == in->mount_count || strlen(in->mounts[i].guest) > strlen(in->mounts[best].guest)))
			best = i;
	return best;
}

/*
 * What is wrong with a link's target, or NULL. ".." may stand in front only, where the names above the link count,
 * which are directories: behind a name that may be a link it could lead anywhere.
 */
static const char *
target_problem(const char *path, const char *target, size_t length)
{
	size_t above = 0;
	bool in_front = true;

	if (length == 0 || length > APPLY_PATH_MAX || strlen(target) != length || !is_plain(target, length))
		return "the link's target is empty, too long, or holds what does not show";
	if (target[0] == '/')
		return "the link's target is an absolute path";
	for (const char *p = path; (p = strchr(p, '/')) != NULL; p++)
		above++;
	for (const char *p = target; *p != '\0'; p += *p == '/') {
		size_t n = strcspn(p, "/");
		bool up = n == 2 && strncmp(p, "..", n) == 0;

		if (up && (!in_front || above-- == 0))
			return "the link leads, or could lead, out of the directory";
		in_front &= up || n == 0 || is_dots(p, n);
		if (n > APPLY_NAME_MAX)
			return "a name in the link's target is too long";
		p += n;
	}
	return NULL;
}

/* --- one change -------------------------------------------------------------------------------------------------- */

/* The index of a word in a table of three, or 3. */
static size_t
word_of(const json_t *one, const char *member, const char *const table[3])
{
	const char *word = json_string_value(json_object_get(one, member));
	size_t i = 0;

	while (i < 3 && (word == NULL || strcmp(word, table[i]) != 0))
		i++;
	return i;
}

/* Puts what a file holds into *c. 0, or ERR_INVAL or ERR_NOMEM without a message. */
static int
take_content(const json_t *one, struct apply_change *c)
{
	const json_t *content = json_object_get(one, "content");
	const char *text = json_string_value(content), *encoding;
	size_t length = json_string_length(content);

	encoding = json_string_value(json_object_get(one, "encoding"));
	if (text == NULL || encoding == NULL)
		return ERR_INVAL;
	if ((c->content = malloc(length + 1)) == NULL)
		return ERR_NOMEM;
	c->size = length;
	if (strcmp(encoding, "utf-8") == 0)
		memcpy(c->content, text, length);
	else if (strcmp(encoding, "base64") != 0 || !base64_decode(text, length, c->content, length, &c->size))
		return ERR_INVAL;
	return 0;
}

/* A device, a socket or a pipe, which can be deleted only. */
static bool
is_special(const json_t *one)
{
	const char *kind = json_string_value(json_object_get(one, "kind"));

	return kind != NULL && strcmp(kind, "other") == 0;
}

/* A digest in text form. Whether it is one. */
static bool
take_digest(const json_t *text, struct digest *d)
{
	return json_is_string(text) && digest_parse(json_string_value(text), json_string_length(text), d, NULL) == 0;
}

/* Contents, size and digest of a file that is there afterwards; *problem says what is wrong with them. */
static int
check_content(const json_t *one, struct apply_change *c, const char **problem)
{
	const json_t *size = json_object_get(one, "size");
	struct digest found;
	int rc;

	*problem = NULL;
	if (json_object_get(one, "content") == NULL) {
		*problem = "the result does not hold its contents: they did not fit the limit changes_bytes; run the program again "
		    "with more, as in --limit changes_bytes=64M";
		return 0;
	}
	if ((rc = take_content(one, c)) == ERR_NOMEM)
		return rc;
	if (rc != 0 || !take_digest(json_object_get(one, "digest"), &c->digest) ||
	    (size != NULL && json_integer_value(size) != (json_int_t)c->size))
		*problem = "its contents, size, encoding or digest are malformed";
	else if (found = digest_of(c->content, c->size), digest_equal(&found, &c->digest) == 0)
		*problem = "its contents do not match their digest";
	return 0;
}

/* What was there before. */
static const char *
check_base(const json_t *one, struct apply_change *c)
{
	const json_t *base = json_object_get(one, "base");

	if (json_is_true(json_object_get(one, "base_changed")))
		return "it was changed on the host while the program ran";
	if (base == NULL)
		return NULL;
	c->has_base = take_digest(base, &c->base);
	if (!c->has_base)
		return "\"base\" is not a digest";
	return c->what == APPLY_CREATED ? "it is new and has a base" : NULL;
}

/* What stood there before: of the same kind, when nothing else is said. */
static const char *
check_was(const json_t *one, struct apply_change *c)
{
	size_t was = json_object_get(one, "was") == NULL ? (size_t)c->kind : word_of(one, "was", apply_kind_names);

	if (was == 3)
		return "there is a special file in its place";
	c->was = (enum apply_kind)was;
	return c->has_base && c->was != APPLY_FILE && c->was != APPLY_LINK ? "it has a base and was a directory" : NULL;
}

/* All members but the path. Problems are added; 0, or ERR_INVAL or ERR_NOMEM. */
static int
take_members(const struct intake *in, const json_t *one, struct apply_change *c, size_t index, struct err *e)
{
	size_t what = word_of(one, "change", apply_what_names), kind = word_of(one, "kind", apply_kind_names);
	const json_t *target = json_object_get(one, "target");
	size_t length = strlen(c->path);
	const char *problem;

	if (what == 3 || (kind == 3 && !is_special(one)))
		return malformed(e, index, "is of no kind that there is");
	c->what = (enum apply_what)what;
	c->kind = kind == 3 ? APPLY_FILE : (enum apply_kind)kind;
	problem = kind == 3 ? "it was a special file" : check_base(one, c);
	if (problem == NULL)
		problem = check_was(one, c);
	if (problem != NULL)
		problems_add(in->problems, c->path, length, "%s", problem);
	if (c->what == APPLY_DELETED)
		return 0;
	if (c->kind == APPLY_FILE && check_content(one, c, &problem) != 0)
		return err_set(e, ERR_NOMEM, "out of memory for the contents of a file");
	if (c->kind == APPLY_LINK) {
		c->target = json_string_value(target);
		problem = c->target == NULL ? "the link has no target"
		                            : target_problem(c->path, c->target, json_string_length(target));
	}
	if (c->kind != APPLY_DIRECTORY && problem != NULL)
		problems_add(in->problems, c->path, length, "%s", problem);
	return 0;
}

static int
take_change(const struct intake *in, const json_t *one, size_t index, struct err *e)
{
	struct apply_change *c = &in->set->changes[in->set->count];
	const char *path = json_string_value(json_object_get(one, "path")), *problem;
	size_t length = json_string_length(json_object_get(one, "path"));

	if (path == NULL)
		return malformed(e, index, "has no path");
	c->mount = mount_of(in, path);
	if (c->mount == in->mount_count && strlen(path) == length) {
		in->set->elsewhere++;
		in->set->one_elsewhere = path;
		return 0;
	}
	if (c->mount == in->mount_count || (c->path = below(&in->mounts[c->mount], path)) == NULL)
		problem = "the path holds a NUL";
	else
		problem = path_problem(c->path, length - (size_t)(c->path - path));
	if (problem != NULL) {
		problems_add(in->problems, path, length, "%s", problem);
		return 0;
	}
	in->set->count++;
	return take_members(in, one, c, index, e);
}

/* --- the whole set ----------------------------------------------------------------------------------------------- */

static int
compare(size_t mount, const char *path, size_t length, const struct apply_change *c)
{
	size_t n = strlen(c->path);
	int order;

	if (mount != c->mount)
		return mount < c->mount ? -1 : 1;
	order = memcmp(path, c->path, length < n ? length : n);
	return order != 0 ? order : (length > n) - (length < n);
}

static int
by_path(const void *a, const void *b)
{
	const struct apply_change *one = a;

	return compare(one->mount, one->path, strlen(one->path), b);
}

const struct apply_change *
apply_set_find(const struct apply_set *set, size_t mount, const char *path, size_t length)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(mount, path, length, &set->changes[middle]);

		if (order == 0)
			return &set->changes[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Whether a change can stand below another: what is deleted has nothing new in it, what is no directory nothing at all. */
static const char *
relation_problem(const struct apply_change *above, const struct apply_change *c)
{
	if (above->what == APPLY_DELETED)
		return c->what == APPLY_DELETED ? NULL : "a directory above it is deleted";
	if (above->kind != APPLY_DIRECTORY)
		return c->what == APPLY_DELETED && above->what == APPLY_MODIFIED ? NULL : "what is above it is no directory";
	return above->what == APPLY_CREATED && c->what != APPLY_CREATED ? "a directory above it is new, and it is not" : NULL;
}

static void
check_relations(const struct apply_set *set, struct problems *problems)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct apply_change *c = &set->changes[i];
		const char *problem = NULL;

		if (i > 0 && by_path(c - 1, c) == 0)
			problem = "it is there twice";
		for (const char *p = strchr(c->path, '/'); p != NULL && problem == NULL; p = strchr(p + 1, '/')) {
			const struct apply_change *above = apply_set_find(set, c->mount, c->path, (size_t)(p - c->path));

			if (above != NULL)
				problem = relation_problem(above, c);
		}
		if (problem != NULL)
			problems_add(problems, c->path, strlen(c->path), "%s", problem);
	}
}

int
apply_set_parse(json_t *result, const struct apply_mount *mounts, size_t mount_count, struct apply_set *out,
    struct problems *problems, struct err *e)
{
	json_t *changes = json_object_get(result, "changes"), *one;
	struct apply_set set = {.json = NULL};
	struct intake in = {mounts, mount_count, &set, problems};
	size_t i;
	int rc = 0;

	if (!json_is_array(changes))
		return err_set(e, ERR_INVAL, "there are no \"changes\" in it: a result has them when the program had files and came to "
		    "its own end, and `brig run --json` prints it");
	if ((set.changes = calloc(json_array_size(changes) + 1, sizeof(set.changes[0]))) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for %zu changes", json_array_size(changes));
	json_array_foreach(changes, i, one)
		if ((rc = take_change(&in, one, i, e)) != 0)
			break;
	if (rc != 0) {
		apply_set_clear(&set);
		return rc;
	}
	if (json_integer_value(json_object_get(result, "changes_omitted")) != 0)
		problems_add(problems, "changes", 7, "there are more than a result holds; have the program make fewer at once");
	qsort(set.changes, set.count, sizeof(set.changes[0]), by_path);
	check_relations(&set, problems);
	set.json = json_incref(result);
	*out = set;
	return 0;
}

void
apply_set_clear(struct apply_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		free(set->changes[i].content);
	free(set->changes);
	json_decref(set->json);
	*set = (struct apply_set){.json = NULL};
}
