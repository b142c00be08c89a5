/* policy/fs: what a policy grants of files: mounts, and rights by path. Pure; brigd and brig. */

#include "policy/internal.h"

#include <stdlib.h>
#include <string.h>

const char *const policy_fs_kind_words[] = {"tmp", "inline", "dir"};
const char *const policy_fs_right_words[] = {"read", "write", "create", "delete"};

#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))

bool
policy_path_covers(const char *outer, const char *inner)
{
	size_t length = strcmp(outer, "/") == 0 ? 0 : strlen(outer);

	return strncmp(outer, inner, length) == 0 && (inner[length] == '/' || inner[length] == '\0');
}

bool
policy_covers(const char *outer, size_t outer_length, const char *inner, size_t inner_length)
{
	size_t n = outer_length == 1 ? 0 : outer_length; /* "/" */

	return inner_length >= n && (inner[n] == '/' || inner[n] == '\0') && memcmp(outer, inner, n) == 0;
}

const char *
policy_path_wrong(const char *path)
{
	size_t length = strlen(path);

	if (path[0] != '/')
		return "does not begin with \"/\"";
	if (length > POLICY_PATH_MAX)
		return "is too long";
	if (length == 1)
		return NULL;
	for (const char *p = path; *p != '\0';) {
		size_t n = strcspn(++p, "/");

		if (n == 0)
			return p[0] == '\0' ? "ends with \"/\"" : "has an empty component";
		if (n > 255)
			return "has a component of more than 255 bytes";
		if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return "has \".\" or \"..\" in it";
		for (size_t i = 0; i < n; i++)
			if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
				return "has a control character in it";
		p += n;
	}
	return NULL;
}

size_t
policy_path_above(const char *path, size_t length, size_t top)
{
	while (length > top && path[--length] != '/')
		continue;
	return length < top ? top : length == 0 ? 1 : length;
}

int
policy_fs_add(struct policy *p, const struct policy_fs *f, struct err *e)
{
	struct policy_fs *larger = reallocarray(p->fs, p->fs_count + 1, sizeof(*p->fs));

	if (larger == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for a policy's files");
	p->fs = larger;
	p->fs[p->fs_count] = *f;
	p->fs[p->fs_count].length = strlen(f->path);
	if ((p->fs[p->fs_count].path = strdup(f->path)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for a policy's files");
	p->fs_count++;
	return 0;
}

/* policy_path_covers, for lists that are gone through often. */
static bool
covers(const struct policy_fs *f, const char *path, size_t length)
{
	return policy_covers(f->path, f->length, path, length);
}

const struct policy_fs *
policy_fs_at(const struct policy *p, const char *path)
{
	const struct policy_fs *found = NULL;
	size_t length = strlen(path);

	for (size_t i = 0; i < p->fs_count; i++)
		if (covers(&p->fs[i], path, length) && (found == NULL || p->fs[i].length > found->length))
			found = &p->fs[i];
	return found;
}

const struct policy_fs *
policy_fs_mount_of(const struct policy *p, const char *path)
{
	const struct policy_fs *found = NULL;
	size_t length = strlen(path);

	for (size_t i = 0; i < p->fs_count; i++)
		if (p->fs[i].mount && covers(&p->fs[i], path, length) && (found == NULL || p->fs[i].length > found->length))
			found = &p->fs[i];
	return found;
}

static int
by_path(const void *a, const void *b)
{
	return strcmp(((const struct policy_fs *)a)->path, ((const struct policy_fs *)b)->path);
}

/* The entry of a sorted list whose path is path[0..length], or NULL. */
static const struct policy_fs *
find_sorted(const struct policy *p, const char *path, size_t length)
{
	size_t low = 0, high = p->fs_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const char *one = p->fs[middle].path;
		int order = strncmp(one, path, length);

		if (order == 0 && one[length] == '\0')
			return &p->fs[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Whether entry i of a sorted list says nothing that the next one above it does not say. */
static bool
is_redundant(const struct policy *p, size_t i)
{
	const struct policy_fs *above = NULL, *f = &p->fs[i];

	for (size_t n = strlen(f->path); n > 1 && above == NULL;) {
		while (f->path[--n] != '/')
			continue;
		above = find_sorted(p, f->path, n == 0 ? 1 : n);
	}
	return !f->mount && above != NULL && above->rights == f->rights && above->kind == f->kind;
}

void
policy_fs_tidy(struct policy *p)
{
	size_t kept = 0;

	if (p->fs_count == 0)
		return;
	qsort(p->fs, p->fs_count, sizeof(*p->fs), by_path);
	/* One that is redundant does not make another so that was not: what counts is what the next above says. */
	for (size_t i = 0; i < p->fs_count; i++)
		p->fs[i].redundant = is_redundant(p, i);
	for (size_t i = 0; i < p->fs_count; i++) {
		if (p->fs[i].redundant)
			free(p->fs[i].path);
		else
			p->fs[kept++] = p->fs[i];
	}
	p->fs_count = kept;
}

static bool
is_same(const struct policy_fs *a, const struct policy_fs *b)
{
	return a->length == b->length && memcmp(a->path, b->path, a->length) == 0;
}

/* Adds what both say at the paths of `a`, except those that were added for the other before. */
static int
meet_at(const struct policy *a, const struct policy *b, struct policy *m, struct err *e)
{
	for (size_t i = 0; i < a->fs_count; i++) {
		const struct policy_fs *one = &a->fs[i], *two = policy_fs_at(b, one->path);
		bool same = two != NULL && is_same(one, two);
		struct policy_fs f = *one;
		bool done = false;

		if (two == NULL)
			continue;
		for (size_t k = 0; k < m->fs_count && same; k++)
			done |= is_same(&m->fs[k], one);
		f.kind = MIN_OF(one->kind, two->kind);
		f.rights = one->rights & two->rights;
		f.mount = one->mount || (same && two->mount);
		if (!done && policy_fs_add(m, &f, e) != 0)
			return ERR_NOMEM;
	}
	return 0;
}

int
policy_fs_meet(const struct policy *a, const struct policy *b, struct policy *m, struct err *e)
{
	if (meet_at(a, b, m, e) != 0 || meet_at(b, a, m, e) != 0)
		return ERR_NOMEM;
	policy_fs_tidy(m);
	return 0;
}

bool
policy_fs_allows(const struct policy *a, const struct policy *b)
{
	for (size_t i = 0; i < b->fs_count; i++) {
		const struct policy_fs *f = policy_fs_at(a, b->fs[i].path);

		if (f == NULL || (b->fs[i].rights & ~f->rights) != 0 || b->fs[i].kind > f->kind)
			return false;
	}
	for (size_t i = 0; i < a->fs_count; i++) {
		const struct policy_fs *f = policy_fs_at(b, a->fs[i].path);

		if (f == NULL)
			continue;
		if ((f->rights & ~a->fs[i].rights) != 0 || f->kind > a->fs[i].kind)
			return false;
		if (a->fs[i].mount && !(f->mount && strcmp(f->path, a->fs[i].path) == 0))
			return false;
	}
	return true;
}

/* --- JSON ----------------------------------------------------------------------------------------------------- */

json_t *
policy_rights_json(uint32_t rights)
{
	json_t *list = json_array();

	for (size_t i = 0; i < POLICY_COUNT_OF(policy_fs_right_words); i++)
		if ((rights & 1u << i) != 0)
			json_array_append_new(list, json_string(policy_fs_right_words[i]));
	return list;
}

/* The path of an entry inside its mount. */
static const char *
inside(const struct policy_fs *mount, const char *path)
{
	return path + (strcmp(mount->path, "/") == 0 ? 0 : strlen(mount->path)) + 1;
}

/* The mount with which an entry that is no mount is stated, or NULL: it stands for itself. */
static const struct policy_fs *
belongs_to(const struct policy *p, const struct policy_fs *f)
{
	const struct policy_fs *mount = f->mount ? NULL : policy_fs_mount_of(p, f->path);

	return mount != NULL && mount->kind == f->kind ? mount : NULL;
}

/* `of`: the mount with which each entry is stated, or NULL. */
static json_t *
entry_json(const struct policy *p, const struct policy_fs *mount, const struct policy_fs *const *of)
{
	json_t *paths = json_object();

	for (size_t i = 0; i < p->fs_count; i++)
		if (of[i] == mount)
			json_object_set_new(paths, inside(mount, p->fs[i].path), policy_rights_json(p->fs[i].rights));
	return json_pack("{s:s, s:s, s:o, s:o}", mount->mount ? "mount" : "under", mount->path, "kind",
	    policy_fs_kind_words[mount->kind], "rights", policy_rights_json(mount->rights), "paths", paths);
}

json_t *
policy_fs_json(const struct policy *p)
{
	const struct policy_fs **of = calloc(p->fs_count + 1, sizeof(*of)); /* found once: it takes time */
	json_t *list = of == NULL ? NULL : json_array();

	for (size_t i = 0; list != NULL && i < p->fs_count; i++)
		of[i] = belongs_to(p, &p->fs[i]);
	for (size_t i = 0; list != NULL && i < p->fs_count; i++) {
		if (of[i] == NULL && json_array_append_new(list, entry_json(p, &p->fs[i], of)) != 0) {
			json_decref(list);
			list = NULL;
		}
	}
	free(of);
	return list;
}
