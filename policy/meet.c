/* policy/meet: the greatest lower bound of policies, and the one that a run gets. Pure; brigd and brig. */

#include "policy/internal.h"

#include <string.h>

#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))

/* The patterns of `a` that lie within one of `b`. */
static int
add_within(const struct policy_names *a, const struct policy_names *b, struct policy_names *m)
{
	for (size_t i = 0; i < a->count; i++)
		if (policy_names_cover(b, a->list[i]) && policy_names_add(m, a->list[i]) != 0)
			return ERR_NOMEM;
	return 0;
}

int
policy_names_meet(const struct policy_names *a, const struct policy_names *b, struct policy_names *m)
{
	if (add_within(a, b, m) != 0 || add_within(b, a, m) != 0)
		return ERR_NOMEM;
	policy_names_tidy(m);
	return 0;
}

/* The stricter clock. What is fixed stays at its time; two different times leave no clock at all. */
static void
meet_clock(const struct policy *a, const struct policy *b, struct policy *m)
{
	const struct policy *from = a->has_clock_fixed_ns ? a : b;

	m->clock = MIN_OF(a->clock, b->clock);
	if (m->clock != POLICY_CLOCK_FIXED)
		return;
	if (a->has_clock_fixed_ns && b->has_clock_fixed_ns && a->clock_fixed_ns != b->clock_fixed_ns) {
		m->clock = POLICY_CLOCK_NONE;
		return;
	}
	m->has_clock_fixed_ns = from->has_clock_fixed_ns;
	m->clock_fixed_ns = from->clock_fixed_ns;
}

/* The same for randomness and its seed. */
static void
meet_random(const struct policy *a, const struct policy *b, struct policy *m)
{
	const struct policy *from = a->has_seed ? a : b;

	m->random = MIN_OF(a->random, b->random);
	if (m->random != POLICY_RANDOM_SEEDED)
		return;
	if (a->has_seed && b->has_seed && memcmp(a->seed, b->seed, POLICY_SEED_SIZE) != 0) {
		m->random = POLICY_RANDOM_NONE;
		return;
	}
	m->has_seed = from->has_seed;
	memcpy(m->seed, from->seed, POLICY_SEED_SIZE);
}

int
policy_meet(const struct policy *a, const struct policy *b, struct policy **out, struct err *e)
{
	struct policy *m = policy_new();

	if (m == NULL || policy_names_meet(&a->env, &b->env, &m->env) != 0 ||
	    policy_names_meet(&a->tools, &b->tools, &m->tools) != 0 || policy_fs_meet(a, b, m, e) != 0) {
		policy_free(m);
		return err_set(e, ERR_NOMEM, "out of memory for a policy");
	}
	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++)
		m->limits[i] = MIN_OF(a->limits[i], b->limits[i]);
	m->args = a->args && b->args;
	meet_clock(a, b, m);
	meet_random(a, b, m);
	m->output = MIN_OF(a->output, b->output);
	m->mode = MIN_OF(a->mode, b->mode);
	m->signature_module = MIN_OF(a->signature_module, b->signature_module);
	m->signature_source = MIN_OF(a->signature_source, b->signature_source);
	*out = m;
	return 0;
}

/* Whether the request asks for learn mode; that others would grant it does not put a run into it. */
static bool
asks_to_learn(const struct policy_layer *layers, size_t count)
{
	bool learn = false;

	for (size_t i = 0; i < count; i++)
		if (layers[i].kind == POLICY_LAYER_REQUEST && layers[i].policy != NULL)
			learn |= layers[i].policy->mode == POLICY_MODE_LEARN;
	return learn;
}

/* Fill in the defaults: `m` is the meet of the layers, whose request may have stated more than a default. */
static void
settle_limits(const struct policy_layer *layers, size_t count, struct policy *m)
{
	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++) {
		uint64_t initial = policy_limit_info[i].initial;
		bool stated = initial == 0;

		for (size_t n = 0; n < count; n++)
			if (layers[n].kind == POLICY_LAYER_REQUEST && layers[n].policy != NULL)
				stated |= layers[n].policy->limits[i] != POLICY_UNSET;
		if (!stated)
			m->limits[i] = MIN_OF(m->limits[i], initial);
	}
}

int
policy_effective(const struct policy_layer *layers, size_t count, struct policy **out, struct err *e)
{
	struct policy *m = NULL, *next;
	int rc = 0;

	for (size_t i = 0; i < count; i++) {
		if (layers[i].policy == NULL)
			continue;
		rc = policy_meet(m == NULL ? layers[i].policy : m, layers[i].policy, &next, e);
		if (rc != 0)
			goto out;
		policy_free(m);
		m = next;
	}
	if (m == NULL) {
		rc = err_set(e, ERR_INVAL, "no layer has a policy: a run needs at least the operator's ceiling");
		goto out;
	}
	settle_limits(layers, count, m);
	if (!asks_to_learn(layers, count))
		m->mode = POLICY_MODE_ENFORCE;
	*out = m;
	m = NULL;
out:
	policy_free(m);
	return rc;
}
