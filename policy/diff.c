/* policy/diff: what one policy allows that another does not, as sentences and data. Pure; brig. */

#include "policy/diff.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/internal.h"

/* Two policies and what was found so far. */
struct diff {
	const struct policy *a, *b;
	json_t *list;
	bool failed; /* out of memory */
};

/* Adds a difference; `more` is who allows more by it. `extra` is taken, and may be NULL. */
static void __attribute__((format(printf, 5, 6)))
add(struct diff *d, char more, const char *field, json_t *extra, const char *fmt, ...)
{
	json_t *one = json_object();
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	d->failed |= one == NULL || text == NULL || (extra != NULL && json_object_update(one, extra) != 0) ||
	    json_object_set_new(one, "field", json_string(field)) != 0 ||
	    json_object_set_new(one, "more", json_string(more == 'a' ? "a" : "b")) != 0 ||
	    json_object_set_new(one, "text", json_string(text)) != 0 || json_array_append(d->list, one) != 0;
	json_decref(one);
	json_decref(extra);
	free(text);
}

static json_t *
limit_json(uint64_t value)
{
	return value == POLICY_UNSET ? json_null() : json_integer((json_int_t)value);
}

static const char *
limit_text(enum policy_limit limit, uint64_t value, char text[POLICY_LIMIT_TEXT_SIZE])
{
	return value == POLICY_UNSET ? "not limited" : policy_limit_text(limit, value, text);
}

static void
diff_limits(struct diff *d)
{
	for (enum policy_limit i = 0; i < POLICY_LIMIT_COUNT; i++) {
		char field[64], a[POLICY_LIMIT_TEXT_SIZE], b[POLICY_LIMIT_TEXT_SIZE];

		if (d->a->limits[i] == d->b->limits[i])
			continue;
		snprintf(field, sizeof(field), "limits.%s", policy_limit_names[i]);
		add(d, d->a->limits[i] > d->b->limits[i] ? 'a' : 'b', field,
		    json_pack("{s:o, s:o}", "a", limit_json(d->a->limits[i]), "b", limit_json(d->b->limits[i])),
		    "%s: %s in A, %s in B", field, limit_text(i, d->a->limits[i], a), limit_text(i, d->b->limits[i], b));
	}
}

/* Fields that are one word of several, from least to most. */
static void
diff_words(struct diff *d)
{
	static const char *const booleans[] = {"false", "true"};
	const struct {
		const char *field;
		const char *const *words;
		unsigned a, b;
	} fields[] = {
	    {"args", booleans, d->a->args, d->b->args},
	    {"clock", policy_clock_words, d->a->clock, d->b->clock},
	    {"random", policy_random_words, d->a->random, d->b->random},
	    {"mode", policy_mode_words, d->a->mode, d->b->mode},
	    {"output", policy_output_words, d->a->output, d->b->output},
	    {"signature.module", policy_signature_words, d->a->signature_module, d->b->signature_module},
	    {"signature.source", policy_signature_words, d->a->signature_source, d->b->signature_source},
	};

	for (size_t i = 0; i < POLICY_COUNT_OF(fields); i++)
		if (fields[i].a != fields[i].b)
			add(d, fields[i].a > fields[i].b ? 'a' : 'b', fields[i].field, json_pack("{s:s, s:s}", "a",
			    fields[i].words[fields[i].a], "b", fields[i].words[fields[i].b]), "%s: %s in A, %s in B",
			    fields[i].field, fields[i].words[fields[i].a], fields[i].words[fields[i].b]);
}

/* What both fix, but not both at the same: who leaves it open allows more, and of two each what the other does not. */
static void
diff_fixed(struct diff *d, const char *field, bool a_states, const char *a, bool b_states, const char *b)
{
	const char *in_a = a_states ? a : "left to others", *in_b = b_states ? b : "left to others";

	if (a_states == b_states && (!a_states || strcmp(a, b) == 0))
		return;
	if (a_states)
		add(d, 'b', field, json_pack("{s:s?, s:s?}", "a", a, "b", b_states ? b : NULL), "%s: %s in A, %s in B", field, in_a,
		    in_b);
	if (b_states)
		add(d, 'a', field, json_pack("{s:s?, s:s?}", "a", a_states ? a : NULL, "b", b), "%s: %s in A, %s in B", field, in_a,
		    in_b);
}

static void
diff_clock_and_random(struct diff *d)
{
	char a[2 * POLICY_SEED_SIZE + 1], b[2 * POLICY_SEED_SIZE + 1];

	if (d->a->clock == POLICY_CLOCK_FIXED && d->b->clock == POLICY_CLOCK_FIXED) {
		snprintf(a, sizeof(a), "%llu", (unsigned long long)d->a->clock_fixed_ns);
		snprintf(b, sizeof(b), "%llu", (unsigned long long)d->b->clock_fixed_ns);
		diff_fixed(d, "clock_fixed_ns", d->a->has_clock_fixed_ns, a, d->b->has_clock_fixed_ns, b);
	}
	if (d->a->random == POLICY_RANDOM_SEEDED && d->b->random == POLICY_RANDOM_SEEDED) {
		sodium_bin2hex(a, sizeof(a), d->a->seed, POLICY_SEED_SIZE);
		sodium_bin2hex(b, sizeof(b), d->b->seed, POLICY_SEED_SIZE);
		diff_fixed(d, "seed", d->a->has_seed, a, d->b->has_seed, b);
	}
}

/* Names of one that none of the other covers. */
static void
diff_names(struct diff *d, char more, const char *field, const char *what, const struct policy_names *one,
    const struct policy_names *other)
{
	for (size_t i = 0; i < one->count; i++)
		if (!policy_names_cover(other, one->list[i]))
			add(d, more, field, json_pack("{s:s}", "name", one->list[i]), "%s: %s %s only in %c", field, what, one->list[i],
			    more - 'a' + 'A');
}

/* --- files -------------------------------------------------------------------------------------------------------- */

/* What one grants at a path and the other does not. */
struct excess {
	bool place;   /* anything at all */
	bool kind;    /* a kind that holds more */
	bool mounts;  /* whether there is a mount is left open, where the other has one */
	uint32_t rights;
	enum policy_fs_kind has;
};

static struct excess
excess_at(const struct policy *p, const struct policy *other, const char *path)
{
	const struct policy_fs *f = policy_fs_at(p, path), *o = policy_fs_at(other, path);
	struct excess x = {0};

	if (f == NULL)
		return x;
	x.has = f->kind;
	x.place = o == NULL;
	x.rights = f->rights & ~(o == NULL ? 0 : o->rights);
	x.kind = o != NULL && f->kind > o->kind;
	x.mounts = o != NULL && o->mount && strcmp(o->path, path) == 0 && !(f->mount && strcmp(f->path, path) == 0);
	return x;
}

/* Whether the same was said of a path above, with nothing between that is about something else. */
static bool
is_said_above(const struct policy *p, const struct policy *other, const char *path, const struct excess *x)
{
	char above[POLICY_PATH_MAX + 1];
	struct excess y;

	if (x->mounts || strcmp(path, "/") == 0)
		return false;
	snprintf(above, sizeof(above), "%s", path);
	above[policy_path_above(above, strlen(above), 1)] = '\0';
	y = excess_at(p, other, above);
	return y.place == x->place && y.rights == x->rights && y.kind == x->kind && ((!x->kind && !x->place) || y.has == x->has);
}

static void
add_excess(struct diff *d, char more, const char *path, const struct excess *x)
{
	char rights[64] = "";
	char who = more == 'a' ? 'A' : 'B';
	json_t *extra = json_pack("{s:s, s:o}", "path", path, "rights", policy_rights_json(x->rights));
	size_t used = 0;

	for (size_t i = 0; i < POLICY_COUNT_OF(policy_fs_right_words); i++)
		if ((x->rights & 1u << i) != 0)
			used += (size_t)snprintf(rights + used, sizeof(rights) - used, "%s%s", used == 0 ? "" : ", ",
			    policy_fs_right_words[i]);
	if (x->place)
		add(d, more, "fs", extra, "fs: %s and below can be in a mount (%s)%s%s only in %c", path, policy_fs_kind_words[x->has],
		    used == 0 ? "" : " with ", rights, who);
	else if (used > 0)
		add(d, more, "fs", extra, "fs: %s at %s and below only in %c", rights, path, who);
	else
		json_decref(extra);
	if (x->kind)
		add(d, more, "fs", json_pack("{s:s, s:s}", "path", path, "kind", policy_fs_kind_words[x->has]),
		    "fs: %s and below can be %s only in %c", path, policy_fs_kind_words[x->has], who);
	if (x->mounts)
		add(d, more, "fs", json_pack("{s:s, s:b}", "path", path, "mount", 0),
		    "fs: whether there is a mount at %s is left open in %c; the other has one", path, who);
}

/* Each path that one of them mentions, once. */
static void
diff_fs(struct diff *d, const struct policy *mentions, bool again)
{
	for (size_t i = 0; i < mentions->fs_count; i++) {
		const char *path = mentions->fs[i].path;
		const struct policy_fs *before = again ? policy_fs_at(d->a, path) : NULL;
		struct excess a, b;

		if (before != NULL && strcmp(before->path, path) == 0)
			continue;
		a = excess_at(d->a, d->b, path);
		b = excess_at(d->b, d->a, path);
		if (!is_said_above(d->a, d->b, path, &a))
			add_excess(d, 'a', path, &a);
		if (!is_said_above(d->b, d->a, path, &b))
			add_excess(d, 'b', path, &b);
	}
}

int
policy_diff(const struct policy *a, const struct policy *b, json_t **out, struct err *e)
{
	struct diff d = {.a = a, .b = b, .list = json_array()};

	if (d.list == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for differences");
	diff_limits(&d);
	diff_words(&d);
	diff_clock_and_random(&d);
	diff_names(&d, 'a', "env", "variables", &a->env, &b->env);
	diff_names(&d, 'b', "env", "variables", &b->env, &a->env);
	diff_names(&d, 'a', "tools", "the tool", &a->tools, &b->tools);
	diff_names(&d, 'b', "tools", "the tool", &b->tools, &a->tools);
	diff_fs(&d, a, false);
	diff_fs(&d, b, true);
	if (d.failed) {
		json_decref(d.list);
		return err_set(e, ERR_NOMEM, "out of memory for differences");
	}
	*out = d.list;
	return 0;
}
