/* policy/learn: learn mode: what such a run asks for, and the policy made of what it used. Pure; brigd and brig. */

#include "policy/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

int
policy_learn(struct policy *request, struct err *e)
{
	if (policy_names_add(&request->env, "*") != 0)
		return err_set(e, ERR_NOMEM, "out of memory for a policy");
	policy_names_tidy(&request->env);
	for (size_t i = 0; i < request->fs_count; i++)
		if (request->fs[i].mount && request->fs[i].rights == 0)
			request->fs[i].rights = POLICY_FS_ALL;
	request->args = true;
	request->signature_module = request->signature_source = POLICY_SIGNATURE_OPTIONAL;
	if (request->clock == POLICY_CLOCK_NONE)
		request->clock = POLICY_CLOCK_REAL;
	if (request->random == POLICY_RANDOM_NONE)
		request->random = POLICY_RANDOM_REAL;
	return 0;
}

/* --- files ---------------------------------------------------------------------------------------------------- */

/* A path that gets a rule. */
struct place {
	char *path;     /* owned; fit for a document */
	uint32_t rights;
	bool mount;
	bool together;  /* nothing below has a rule of its own */
	bool gone;      /* another one says it too */
};

struct places {
	struct place *list;
	size_t count;
};

/* Cuts a path to the directory above, not above the first `top` bytes. Returns whether there was one. */
static bool
cut_to_directory(char *path, size_t top)
{
	size_t n = strlen(path);

	if (n <= top)
		return false;
	path[policy_path_above(path, n, top)] = '\0';
	return true;
}

/*
 * Names that a run makes may be others the next time, as those of temporary files are: so a path at or below one that was
 * made is cut to the directory in which that was done.
 */
static void
cut_to_made(const struct policy_use *made, size_t top, char *path)
{
	size_t length = strlen(made->path);

	if ((made->rights & POLICY_FS_CREATE) == 0 || length < top || !policy_path_covers(made->path, path))
		return;
	if (made->extent == POLICY_EXTENT_PATH) {
		path[length] = '\0';
		cut_to_directory(path, top);
	} else if (path[length] != '\0') {
		path[length] = '\0';
	}
}

/* Adds rights at a path, cut until a document can hold it. `mount` is the one that it is in. */
static int
add_place(struct places *p, const struct policy_uses *uses, const struct policy_fs *mount, const struct policy_use *use)
{
	char *path = strdup(use->path);

	if (path == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < uses->file_count; i++)
		cut_to_made(&uses->files[i], strlen(mount->path), path);
	while (policy_path_wrong(path) != NULL && cut_to_directory(path, strlen(mount->path)))
		continue;
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->list[i].path, path) == 0) {
			p->list[i].rights |= use->rights;
			p->list[i].together |= use->extent == POLICY_EXTENT_TOGETHER;
			free(path);
			return 0;
		}
	p->list[p->count++] = (struct place){.path = path, .rights = use->rights,
	    .together = use->extent == POLICY_EXTENT_TOGETHER};
	return 0;
}

/* All mounts, and all paths that were used. There is room for them. */
static int
collect(const struct policy_uses *uses, struct places *p, struct err *e)
{
	for (size_t i = 0; i < uses->effective->fs_count; i++) {
		const struct policy_fs *f = &uses->effective->fs[i];
		const struct policy_use none = {.path = f->path};

		if (!f->mount)
			continue;
		if (add_place(p, uses, f, &none) != 0)
			return err_set(e, ERR_NOMEM, "out of memory for a policy");
		p->list[p->count - 1].mount = true;
	}
	for (size_t i = 0; i < uses->file_count; i++) {
		const struct policy_fs *mount = policy_fs_mount_of(uses->effective, uses->files[i].path);

		if (mount == NULL)
			return err_set(e, ERR_INVAL, "files were used outside of every mount");
		if (add_place(p, uses, mount, &uses->files[i]) != 0)
			return err_set(e, ERR_NOMEM, "out of memory for a policy");
	}
	return 0;
}

/* Gives `top` the rights of all below it, which then need no rules; mounts stay, and get its own. */
static void
gather_below(struct places *p, struct place *top)
{
	for (size_t i = 0; i < p->count; i++) {
		struct place *o = &p->list[i];

		if (o == top || o->gone || !policy_path_covers(top->path, o->path))
			continue;
		top->rights |= o->rights;
		o->gone = !o->mount;
	}
}

/* Whether `path` is a name in the directory `dir`. */
static bool
is_name_in(const char *dir, const char *path)
{
	size_t length = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

	return policy_path_covers(dir, path) && path[length] == '/' && path[length + 1] != '\0' &&
	    strchr(path + length + 1, '/') == NULL;
}

/* The directory that holds a place, in the list; added when it is not there. NULL without memory. */
static struct place *
directory_of(struct places *p, const struct policy *effective, const struct place *o)
{
	const struct policy_fs *mount = policy_fs_mount_of(effective, o->path);
	char *path = strdup(o->path);

	if (path == NULL)
		return NULL;
	cut_to_directory(path, strlen(mount->path));
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->list[i].path, path) == 0) {
			free(path);
			p->list[i].gone = false;
			return &p->list[i];
		}
	p->list[p->count] = (struct place){.path = path};
	return &p->list[p->count++];
}

/* Puts one rule in the place of many in one directory. Returns 1 if it did, 0, or ERR_NOMEM. */
static int
generalise(struct places *p, const struct policy *effective, size_t i)
{
	struct place *o = &p->list[i], *dir;
	size_t names = 0, slash = (size_t)(strrchr(o->path, '/') - o->path);

	if (o->mount || o->gone)
		return 0;
	for (size_t k = 0; k < p->count; k++)
		names += !p->list[k].mount && !p->list[k].gone && strncmp(p->list[k].path, o->path, slash + 1) == 0 &&
		    p->list[k].path[slash + 1] != '\0' && strchr(p->list[k].path + slash + 1, '/') == NULL;
	if (names <= POLICY_LEARN_NAMES)
		return 0;
	if ((dir = directory_of(p, effective, o)) == NULL)
		return ERR_NOMEM;
	for (size_t k = 0; k < p->count; k++)
		if (&p->list[k] != dir && !p->list[k].mount && is_name_in(dir->path, p->list[k].path)) {
			dir->rights |= p->list[k].rights;
			p->list[k].gone = true;
		}
	return 1;
}

/* A rule says all of what is below it: so what is granted above is granted below too. */
static void
inherit(struct places *p)
{
	for (size_t i = 0; i < p->count; i++)
		for (size_t k = 0; k < p->count; k++)
			if (i != k && !p->list[k].gone && policy_path_covers(p->list[k].path, p->list[i].path))
				p->list[i].rights |= p->list[k].rights;
}

static int
settle_places(struct places *p, const struct policy *effective)
{
	int rc = 1;

	while (rc == 1) {
		rc = 0;
		for (size_t i = 0; i < p->count && rc >= 0; i++) {
			int one = generalise(p, effective, i);

			rc = one != 0 ? one : rc;
		}
	}
	for (size_t i = 0; i < p->count; i++)
		if (p->list[i].together)
			gather_below(p, &p->list[i]);
	inherit(p);
	return rc;
}

static int
learn_files(const struct policy_uses *uses, struct policy *out, struct err *e)
{
	/* A directory is added for more than POLICY_LEARN_NAMES others, which are then gone. */
	size_t room = 2 * (uses->effective->fs_count + uses->file_count) + 1;
	struct places p = {.list = calloc(room, sizeof(*p.list))};
	int rc = p.list == NULL ? err_set(e, ERR_NOMEM, "out of memory for a policy") : collect(uses, &p, e);

	if (rc == 0 && settle_places(&p, uses->effective) != 0)
		rc = err_set(e, ERR_NOMEM, "out of memory for a policy");
	for (size_t i = 0; i < p.count && rc == 0; i++) {
		const struct place *o = &p.list[i];
		struct policy_fs f = {.path = o->path, .mount = o->mount, .rights = o->rights,
		    .kind = policy_fs_mount_of(uses->effective, o->path)->kind};

		if (!o->gone)
			rc = policy_fs_add(out, &f, e);
	}
	policy_fs_tidy(out);
	for (size_t i = 0; i < p.count; i++)
		free(p.list[i].path);
	free(p.list);
	return rc;
}

/* --- limits --------------------------------------------------------------------------------------------------- */

/* The next round number: of bytes a power of two, else 1, 2 or 5 and zeros. */
static uint64_t
round_up(uint64_t n, enum policy_unit unit)
{
	static const uint64_t steps[] = {1, 2, 5};
	uint64_t round = 1;

	if (n > UINT64_MAX / 16)
		return n;
	if (unit == POLICY_UNIT_BYTES) {
		while (round < n)
			round *= 2;
		return round;
	}
	for (uint64_t ten = 1;; ten *= 10)
		for (size_t i = 0; i < POLICY_COUNT_OF(steps); i++)
			if (steps[i] * ten >= n)
				return steps[i] * ten;
}

static void
learn_limits(const struct policy_uses *uses, struct policy *out)
{
	static const uint64_t least[POLICY_LIMIT_COUNT] = {
#define X(name, value) [POLICY_LIMIT_##name] = value,
	    POLICY_LEARN_LEAST(X)
#undef X
	};

	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++) {
		uint64_t used = uses->used[i], wanted;

		if (used == POLICY_UNSET) {
			out->limits[i] = uses->request->limits[i];
			continue;
		}
		wanted = used > UINT64_MAX / 2 ? used : 2 * used;
		out->limits[i] = round_up(wanted > least[i] ? wanted : least[i], policy_limit_info[i].unit);
	}
}

/* --- the policy ----------------------------------------------------------------------------------------------- */

static void
learn_clock_and_random(const struct policy_uses *uses, struct policy *out)
{
	const struct policy *p = uses->effective;

	if (uses->clock) {
		out->clock = p->clock;
		out->has_clock_fixed_ns = p->has_clock_fixed_ns;
		out->clock_fixed_ns = p->clock_fixed_ns;
	}
	if (uses->random) {
		out->random = p->random;
		out->has_seed = p->has_seed;
		memcpy(out->seed, p->seed, POLICY_SEED_SIZE);
	}
}

/* A name that no document can hold becomes the pattern for all that begin as it does. */
static int
add_variable(struct policy *p, const char *name)
{
	char pattern[POLICY_NAME_MAX + 1];
	size_t n = 0;

	while (name[n] != '\0' && name[n] != '*' && (unsigned char)name[n] >= 0x20 && name[n] != 0x7f && n < POLICY_NAME_MAX)
		n++;
	if (name[n] == '\0')
		return policy_names_add(&p->env, name);
	n = n < POLICY_NAME_MAX ? n : POLICY_NAME_MAX - 1;
	snprintf(pattern, sizeof(pattern), "%.*s*", (int)utf8_prefix(name, n, n), name);
	return policy_names_add(&p->env, pattern);
}

int
policy_learned(const struct policy_uses *uses, struct policy **out, struct err *e)
{
	struct policy *p = policy_new(), *met;
	int rc = p == NULL ? err_set(e, ERR_NOMEM, "out of memory for a policy") : learn_files(uses, p, e);

	for (size_t i = 0; i < uses->envc && rc == 0; i++)
		if (add_variable(p, uses->env[i]) != 0)
			rc = err_set(e, ERR_NOMEM, "out of memory for a policy");
	for (size_t i = 0; rc == 0 && i < uses->request->tools.count; i++)
		if (policy_names_add(&p->tools, uses->request->tools.list[i]) != 0)
			rc = err_set(e, ERR_NOMEM, "out of memory for a policy");
	if (rc != 0)
		goto out;
	policy_names_tidy(&p->env);
	policy_names_tidy(&p->tools);
	p->args = uses->args;
	learn_clock_and_random(uses, p);
	learn_limits(uses, p);
	p->output = uses->effective->output;
	p->signature_module = uses->module_signed ? POLICY_SIGNATURE_REQUIRED : POLICY_SIGNATURE_OPTIONAL;
	p->signature_source = uses->source_unsigned ? POLICY_SIGNATURE_OPTIONAL : POLICY_SIGNATURE_REQUIRED;
	if ((rc = policy_meet(p, uses->effective, &met, e)) != 0)
		goto out;
	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++)
		if (p->limits[i] == POLICY_UNSET) /* the default will do again */
			met->limits[i] = POLICY_UNSET;
	*out = met;
out:
	policy_free(p);
	return rc;
}
