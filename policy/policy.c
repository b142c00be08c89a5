/* policy: documents in memory: their tables, making, freeing and comparing them. Pure; brigd and brig. */

#include "policy/internal.h"

#include <stdlib.h>
#include <string.h>

const struct policy_limit_info policy_limit_info[POLICY_LIMIT_COUNT] = {
#define X(name, min, max, def, unit, text) {#name, min, max, def, unit, text},
    POLICY_LIMITS(X)
#undef X
};

const char *const policy_limit_names[POLICY_LIMIT_COUNT] = {
#define X(name, min, max, def, unit, text) #name,
    POLICY_LIMITS(X)
#undef X
};

const char *const policy_field_names[POLICY_FIELD_COUNT] = {
#define X(name, text) #name,
    POLICY_FIELDS(X)
#undef X
};

const char *const policy_field_texts[POLICY_FIELD_COUNT] = {
#define X(name, text) text,
    POLICY_FIELDS(X)
#undef X
};

const char *const policy_clock_words[] = {"none", "fixed", "coarse", "real"};
const char *const policy_random_words[] = {"none", "seeded", "real"};
const char *const policy_output_words[] = {"end", "cut"};
const char *const policy_mode_words[] = {"enforce", "learn"};
const char *const policy_signature_words[] = {"required", "optional"};

struct policy *
policy_new(void)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++)
		p->limits[i] = POLICY_UNSET;
	p->output = POLICY_OUTPUT_CUT;
	return p;
}

static void
names_clear(struct policy_names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->list[i]);
	free(n->list);
}

void
policy_free(struct policy *p)
{
	if (p == NULL)
		return;
	names_clear(&p->env);
	names_clear(&p->tools);
	for (size_t i = 0; i < p->fs_count; i++)
		free(p->fs[i].path);
	free(p->fs);
	free(p);
}

int
policy_builtin(struct policy **out, struct err *e)
{
	static char root[] = "/";
	const struct policy_fs all = {.path = root, .kind = POLICY_FS_DIR, .rights = POLICY_FS_ALL};
	struct policy *p = policy_new();

	if (p == NULL || policy_names_add(&p->env, "*") != 0 || policy_fs_add(p, &all, e) != 0) {
		policy_free(p);
		return err_set(e, ERR_NOMEM, "out of memory for the built-in policy");
	}
	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++)
		if (policy_limit_info[i].initial != 0)
			p->limits[i] = policy_limit_info[i].maximum;
	p->args = true;
	p->clock = POLICY_CLOCK_REAL;
	p->random = POLICY_RANDOM_REAL;
	p->mode = POLICY_MODE_LEARN;
	p->signature_source = POLICY_SIGNATURE_OPTIONAL; /* the pack that runs it is signed */
	*out = p;
	return 0;
}

/* --- names and patterns --------------------------------------------------------------------------------------- */

bool
policy_pattern_covers(const char *outer, const char *inner)
{
	size_t length = strlen(outer);

	if (length > 0 && outer[length - 1] == '*')
		return strncmp(outer, inner, length - 1) == 0;
	return strcmp(outer, inner) == 0;
}

int
policy_names_add(struct policy_names *n, const char *name)
{
	char **larger = reallocarray(n->list, n->count + 1, sizeof(*n->list));

	if (larger == NULL)
		return ERR_NOMEM;
	n->list = larger;
	if ((n->list[n->count] = strdup(name)) == NULL)
		return ERR_NOMEM;
	n->count++;
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether another pattern covers number i; of two that are the same, the first stays. */
static bool
is_redundant(const struct policy_names *n, size_t i)
{
	for (size_t j = 0; j < n->count; j++) {
		if (j == i || n->list[j] == NULL || !policy_pattern_covers(n->list[j], n->list[i]))
			continue;
		if (j < i || !policy_pattern_covers(n->list[i], n->list[j]))
			return true;
	}
	return false;
}

void
policy_names_tidy(struct policy_names *n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n->count; i++) {
		if (is_redundant(n, i)) {
			free(n->list[i]);
			n->list[i] = NULL;
		}
	}
	for (size_t i = 0; i < n->count; i++)
		if (n->list[i] != NULL)
			n->list[kept++] = n->list[i];
	n->count = kept;
	if (kept > 1)
		qsort(n->list, kept, sizeof(*n->list), by_name);
}

bool
policy_names_cover(const struct policy_names *n, const char *name)
{
	for (size_t i = 0; i < n->count; i++)
		if (policy_pattern_covers(n->list[i], name))
			return true;
	return false;
}

bool
policy_env_allowed(const struct policy *p, const char *name)
{
	return policy_names_cover(&p->env, name);
}

bool
policy_tool_allowed(const struct policy *p, const char *name)
{
	return policy_names_cover(&p->tools, name);
}

static bool
names_allow(const struct policy_names *a, const struct policy_names *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (!policy_names_cover(a, b->list[i]))
			return false;
	return true;
}

/* --- comparing ------------------------------------------------------------------------------------------------ */

bool
policy_allows(const struct policy *a, const struct policy *b)
{
	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++)
		if (b->limits[i] > a->limits[i])
			return false;
	if (!names_allow(&a->env, &b->env) || !names_allow(&a->tools, &b->tools) || !policy_fs_allows(a, b))
		return false;
	if (b->clock == POLICY_CLOCK_FIXED && a->clock == POLICY_CLOCK_FIXED && a->has_clock_fixed_ns &&
	    !(b->has_clock_fixed_ns && b->clock_fixed_ns == a->clock_fixed_ns))
		return false;
	if (b->random == POLICY_RANDOM_SEEDED && a->random == POLICY_RANDOM_SEEDED && a->has_seed &&
	    !(b->has_seed && memcmp(a->seed, b->seed, POLICY_SEED_SIZE) == 0))
		return false;
	return b->mode <= a->mode && b->args <= a->args && b->clock <= a->clock && b->random <= a->random &&
	    b->output <= a->output && b->signature_module <= a->signature_module &&
	    b->signature_source <= a->signature_source;
}

bool
policy_equal(const struct policy *a, const struct policy *b)
{
	return policy_allows(a, b) && policy_allows(b, a);
}
