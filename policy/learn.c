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

/*
 * A worker can tell a thousand uses, with paths of any length that it likes; and all of this is done in brigd's loop. So
 * whatever compares all with all compares numbers first.
 */

/* A path that gets a rule. */
struct place {
	char *path;      /* owned; fit for a document */
	size_t length;
	size_t slash;    /* where its last slash is */
	uint32_t rights;
	bool mount;
	bool together;   /* nothing below has a rule of its own */
	bool gone;       /* another one says it too */
};

/* Where a run made names. */
struct made {
	const char *path;
	size_t length;
	enum policy_extent extent;
};

struct places {
	struct place *list;
	size_t count;
	struct made *made;
	size_t made_count;
};

static bool
covers(const struct place *outer, const struct place *inner)
{
	return policy_covers(outer->path, outer->length, inner->path, inner->length);
}

/* Cuts a path to the directory above, not above the first `top` bytes. Returns whether there was one. */
static bool
cut_to_directory(char *path, size_t *length, size_t top)
{
	if (*length <= top)
		return false;
	*length = policy_path_above(path, *length, top);
	path[*length] = '\0';
	return true;
}

/*
 * Names that a run makes may be others the next time, as those of temporary files are: so a path at or below one that was
 * made is cut to the directory in which that was done.
 */
static void
cut_to_made(const struct made *m, size_t top, char *path, size_t *length)
{
	if (m->length < top || !policy_covers(m->path, m->length, path, *length))
		return;
	*length = m->length;
	path[m->length] = '\0';
	if (m->extent == POLICY_EXTENT_PATH)
		cut_to_directory(path, length, top);
}

/* The place of a path, or NULL. */
static struct place *
find_place(const struct places *p, const char *path, size_t length)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->list[i].length == length && memcmp(p->list[i].path, path, length) == 0)
			return &p->list[i];
	return NULL;
}

/* Adds a place that is not there. Takes `path`. */
static struct place *
append(struct places *p, char *path, size_t length)
{
	struct place *o = &p->list[p->count++];

	*o = (struct place){.path = path, .length = length, .slash = (size_t)(strrchr(path, '/') - path)};
	return o;
}

/* Adds rights at a path, cut until a document can hold it. `mount` is the one that it is in. */
static int
add_place(struct places *p, const struct policy_fs *mount, const struct policy_use *use)
{
	size_t length = strlen(use->path), top = mount->length;
	char *path = strdup(use->path);
	struct place *o;

	if (path == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < p->made_count; i++)
		cut_to_made(&p->made[i], top, path, &length);
	while (policy_path_wrong(path) != NULL && cut_to_directory(path, &length, top))
		continue;
	if ((o = find_place(p, path, length)) != NULL)
		free(path);
	else
		o = append(p, path, length);
	o->rights |= use->rights;
	o->together |= use->extent == POLICY_EXTENT_TOGETHER;
	return 0;
}

/* All mounts, and all paths that were used. There is room for them. */
static int
collect(const struct policy_uses *uses, struct places *p, struct err *e)
{
	for (size_t i = 0; i < uses->file_count; i++) {
		const struct policy_use *u = &uses->files[i];

		if ((u->rights & POLICY_FS_CREATE) != 0)
			p->made[p->made_count++] = (struct made){u->path, strlen(u->path), u->extent};
	}
	for (size_t i = 0; i < uses->effective->fs_count; i++) {
		const struct policy_fs *f = &uses->effective->fs[i];
		const struct policy_use none = {.path = f->path};

		if (!f->mount)
			continue;
		if (add_place(p, f, &none) != 0)
			return err_set(e, ERR_NOMEM, "out of memory for a policy");
		p->list[p->count - 1].mount = true;
	}
	for (size_t i = 0; i < uses->file_count; i++) {
		const struct policy_fs *mount = policy_fs_mount_of(uses->effective, uses->files[i].path);

		if (mount == NULL)
			return err_set(e, ERR_INVAL, "files were used outside of every mount");
		if (add_place(p, mount, &uses->files[i]) != 0)
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

		if (o == top || o->gone || !covers(top, o))
			continue;
		top->rights |= o->rights;
		o->gone = !o->mount;
	}
}

/* Whether two are names in one directory. */
static bool
are_together(const struct place *a, const struct place *b)
{
	return a->slash == b->slash && a->length > a->slash + 1 && memcmp(a->path, b->path, a->slash + 1) == 0;
}

/* The directory that holds a place, in the list; added when it is not there. NULL without memory. */
static struct place *
directory_of(struct places *p, const struct policy *effective, const struct place *o)
{
	size_t length = o->length;
	char *path = strdup(o->path);
	struct place *dir;

	if (path == NULL)
		return NULL;
	cut_to_directory(path, &length, policy_fs_mount_of(effective, o->path)->length);
	if ((dir = find_place(p, path, length)) == NULL)
		return append(p, path, length);
	free(path);
	dir->gone = false;
	return dir;
}

/* Puts one rule in the place of many in one directory. Returns 1 if it did, 0, or ERR_NOMEM. */
static int
generalise(struct places *p, const struct policy *effective, size_t i)
{
	struct place *o = &p->list[i], *dir;
	size_t names = 0;

	if (o->mount || o->gone)
		return 0;
	for (size_t k = 0; k < p->count; k++)
		names += !p->list[k].mount && !p->list[k].gone && are_together(&p->list[k], o);
	if (names <= POLICY_LEARN_NAMES)
		return 0;
	if ((dir = directory_of(p, effective, o)) == NULL)
		return ERR_NOMEM;
	for (size_t k = 0; k < p->count; k++)
		if (!p->list[k].mount && are_together(&p->list[k], o)) {
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
			if (i != k && !p->list[k].gone && covers(&p->list[k], &p->list[i]))
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

/* Adds a rule for each place that is left. */
static int
add_rules(const struct places *p, const struct policy *effective, struct policy *out, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < p->count && rc == 0; i++) {
		const struct place *o = &p->list[i];
		struct policy_fs f = {.path = o->path, .mount = o->mount, .rights = o->rights,
		    .kind = policy_fs_mount_of(effective, o->path)->kind};

		if (!o->gone)
			rc = policy_fs_add(out, &f, e);
	}
	policy_fs_tidy(out);
	return rc;
}

/* With `coarse` there is one rule for each mount. */
static int
learn_files(const struct policy_uses *uses, bool coarse, struct policy *out, struct err *e)
{
	/* A directory is added for more than POLICY_LEARN_NAMES others, which are then gone. */
	size_t room = 2 * (uses->effective->fs_count + uses->file_count) + 1;
	struct places p = {.list = calloc(room, sizeof(*p.list)), .made = calloc(room, sizeof(*p.made))};
	int rc;

	if (p.list == NULL || p.made == NULL)
		rc = err_set(e, ERR_NOMEM, "out of memory for a policy");
	else
		rc = collect(uses, &p, e);
	if (rc == 0 && settle_places(&p, uses->effective) != 0)
		rc = err_set(e, ERR_NOMEM, "out of memory for a policy");
	for (size_t i = p.count; rc == 0 && coarse && i-- > 0;) /* inner mounts first */
		if (p.list[i].mount)
			gather_below(&p, &p.list[i]);
	if (rc == 0)
		rc = add_rules(&p, uses->effective, out, e);
	for (size_t i = 0; i < p.count; i++)
		free(p.list[i].path);
	free(p.list);
	free(p.made);
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

/* What was used, as a document of its own, which may say more than uses->effective. */
static int
learn(const struct policy_uses *uses, bool coarse, struct policy *p, struct err *e)
{
	int rc = learn_files(uses, coarse, p, e);

	for (size_t i = 0; i < uses->envc && rc == 0; i++)
		if (add_variable(p, uses->env[i]) != 0)
			rc = err_set(e, ERR_NOMEM, "out of memory for a policy");
	for (size_t i = 0; rc == 0 && i < uses->request->tools.count; i++)
		if (policy_names_add(&p->tools, uses->request->tools.list[i]) != 0)
			rc = err_set(e, ERR_NOMEM, "out of memory for a policy");
	policy_names_tidy(&p->env);
	policy_names_tidy(&p->tools);
	p->args = uses->args;
	learn_clock_and_random(uses, p);
	learn_limits(uses, p);
	p->output = uses->effective->output;
	p->signature_module = uses->module_signed ? POLICY_SIGNATURE_REQUIRED : POLICY_SIGNATURE_OPTIONAL;
	p->signature_source = uses->source_unsigned ? POLICY_SIGNATURE_OPTIONAL : POLICY_SIGNATURE_REQUIRED;
	return rc;
}

/* The same within uses->effective; ERR_LIMIT when no document can hold it. */
static int
learn_within(const struct policy_uses *uses, bool coarse, struct policy **out, struct err *e)
{
	struct policy *p = policy_new(), *met = NULL;
	int rc = p == NULL ? err_set(e, ERR_NOMEM, "out of memory for a policy") : learn(uses, coarse, p, e);

	if (rc == 0)
		rc = policy_meet(p, uses->effective, &met, e);
	for (size_t i = 0; i < POLICY_LIMIT_COUNT && rc == 0; i++)
		if (p->limits[i] == POLICY_UNSET) /* the default will do again */
			met->limits[i] = POLICY_UNSET;
	if (rc == 0 && met->fs_count > POLICY_PATHS_MAX)
		rc = err_set(e, ERR_LIMIT, "a policy with %zu paths, of which a document can have %d", met->fs_count,
		    POLICY_PATHS_MAX);
	if (rc == 0)
		*out = met;
	else
		policy_free(met);
	policy_free(p);
	return rc;
}

int
policy_learned(const struct policy_uses *uses, struct policy **out, struct err *e)
{
	int rc = learn_within(uses, false, out, e);

	return rc == ERR_LIMIT ? learn_within(uses, true, out, e) : rc;
}
