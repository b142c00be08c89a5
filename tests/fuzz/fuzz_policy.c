/* Fuzz target: policy: up to three documents, with a NUL between them: parsed, met, decided. A meet never widens. */

#include <stdlib.h>
#include <string.h>

#include "policy/policy.h"
#include "tests/fuzz/input.h"

#define DOCUMENTS 3

static bool
same(const struct policy *a, const struct policy *b)
{
	struct digest of_a, of_b;

	MUST(policy_digest(a, &of_a, NULL) == 0 && policy_digest(b, &of_b, NULL) == 0);
	MUST(policy_equal(a, b) == digest_equal(&of_a, &of_b));
	return policy_equal(a, b);
}

static struct policy *
meet(const struct policy *a, const struct policy *b)
{
	struct policy *m = NULL;

	MUST(policy_meet(a, b, &m, NULL) == 0);
	return m;
}

static struct policy *
parsed(const struct block *text)
{
	struct policy *p = NULL;
	struct err e = {0};
	int rc = policy_parse((const char *)text->data, text->length, NULL, &p, &e);

	if (rc != 0)
		MUST(p == NULL && rc == e.code && e.msg[0] != '\0');
	return p;
}

/* Written out and read again, a document is the same. */
static void
must_survive(const struct policy *p)
{
	json_t *json = policy_to_json(p);
	char *text = json_dumps(json, POLICY_JSON_FLAGS);
	struct block b = {(uint8_t *)text, strlen(text)};
	struct policy *again = b.length <= POLICY_TEXT_MAX ? parsed(&b) : NULL;

	MUST(b.length > POLICY_TEXT_MAX || (again != NULL && same(p, again)));
	policy_free(again);
	free(text);
	json_decref(json);
}

/* Whether one of the two has a mount at or above the path, where the other grants something too. */
static bool
is_mounted(const struct policy *a, const struct policy *b, const char *path)
{
	const struct policy_fs *in_a = policy_fs_mount_of(a, path), *in_b = policy_fs_mount_of(b, path);

	return (in_a != NULL && policy_fs_at(b, in_a->path) != NULL) || (in_b != NULL && policy_fs_at(a, in_b->path) != NULL);
}

/* At every path that a document of the three mentions, the meet grants what both grant. */
static void
must_meet_in_paths(const struct policy *a, const struct policy *b, const struct policy *m, const struct policy *paths)
{
	for (size_t i = 0; i < paths->fs_count; i++) {
		const struct policy_fs *in_a = policy_fs_at(a, paths->fs[i].path), *in_b = policy_fs_at(b, paths->fs[i].path);
		const struct policy_fs *in_m = policy_fs_at(m, paths->fs[i].path);

		MUST((in_m != NULL) == (in_a != NULL && in_b != NULL));
		if (in_m == NULL)
			continue;
		MUST(in_m->rights == (in_a->rights & in_b->rights));
		MUST(in_m->kind == (in_a->kind < in_b->kind ? in_a->kind : in_b->kind));
		MUST((policy_fs_mount_of(m, paths->fs[i].path) != NULL) == is_mounted(a, b, paths->fs[i].path));
	}
}

/* Every name that a document of the three mentions is allowed by the meet exactly when both allow it. */
static void
must_meet_in_names(const struct policy *a, const struct policy *b, const struct policy *m, const struct policy *names)
{
	for (size_t i = 0; i < names->env.count; i++) {
		char *name = strdup(names->env.list[i]), *star = strchr(name, '*');

		if (star != NULL)
			*star = '_';
		MUST(policy_env_allowed(m, name) == (policy_env_allowed(a, name) && policy_env_allowed(b, name)));
		free(name);
	}
}

/* The greatest lower bound of a and b; c is any third. */
static void
must_meet(const struct policy *a, const struct policy *b, const struct policy *c)
{
	struct policy *m = meet(a, b), *other = meet(b, a), *itself = meet(a, a);
	struct policy *left = meet(m, c), *bc = meet(b, c), *right = meet(a, bc);

	MUST(policy_allows(a, m) && policy_allows(b, m));
	MUST(same(m, other) && same(a, itself) && same(left, right));
	MUST(!(policy_allows(a, c) && policy_allows(b, c)) || policy_allows(m, c));
	MUST(!policy_allows(a, b) || same(m, b));
	must_meet_in_names(a, b, m, a);
	must_meet_in_names(a, b, m, b);
	must_meet_in_names(a, b, m, c);
	must_meet_in_paths(a, b, m, a);
	must_meet_in_paths(a, b, m, b);
	must_meet_in_paths(a, b, m, c);
	policy_free(m);
	policy_free(other);
	policy_free(itself);
	policy_free(left);
	policy_free(bc);
	policy_free(right);
}

/* What withholds a capability is said for just those that the run does not get. */
static void
must_explain(const struct policy_layer *layers, size_t count, const struct policy *got, const struct policy *names)
{
	const bool withheld[] = {
	    [POLICY_CAP_SIGNATURE] = got->signature_module == POLICY_SIGNATURE_REQUIRED,
	    [POLICY_CAP_ARGS] = !got->args,
	    [POLICY_CAP_CLOCK] = got->clock == POLICY_CLOCK_NONE,
	    [POLICY_CAP_RANDOM] = got->random == POLICY_RANDOM_NONE,
	};
	static const enum policy_capability asked[] = {POLICY_CAP_SIGNATURE, POLICY_CAP_ARGS, POLICY_CAP_CLOCK,
	    POLICY_CAP_RANDOM};
	struct policy_denial d;

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		int rc = policy_explain(layers, count, asked[i], NULL, &d, NULL);

		MUST(rc == (withheld[asked[i]] ? 0 : ERR_NOTFOUND));
		MUST(rc != 0 || d.message[0] != '\0');
	}
	for (size_t i = 0; i < names->env.count; i++)
		MUST((policy_explain(layers, count, POLICY_CAP_ENV, names->env.list[i], &d, NULL) == 0) ==
		    !policy_env_allowed(got, names->env.list[i]));
}

/* What a run gets is within each layer, with every limit settled; and a request within that is let pass, no other. */
static void
must_decide(const struct policy *ceiling, const struct policy *signer, const struct policy *request)
{
	const struct policy_layer layers[] = {
	    {POLICY_LAYER_CEILING, ceiling},
	    {POLICY_LAYER_SIGNER, signer},
	    {POLICY_LAYER_REQUEST, request},
	};
	struct policy_ask ask = {.argc = 1, .env = (const char *const *)request->env.list, .envc = request->env.count};
	struct policy_denial denial = {0};
	struct policy *got = NULL;
	bool granted;

	MUST(policy_effective(layers, 3, &got, NULL) == 0);
	MUST(policy_allows(ceiling, got) && policy_allows(signer, got) && policy_allows(request, got));
	for (enum policy_limit i = 0; i < POLICY_LIMIT_COUNT; i++)
		MUST(i == POLICY_LIMIT_fuel || got->limits[i] <= policy_limit_info[i].maximum);
	must_explain(layers, 3, got, request);
	granted = got->signature_module == POLICY_SIGNATURE_OPTIONAL && got->args;
	for (size_t i = 0; i < ask.envc; i++)
		granted &= policy_env_allowed(got, ask.env[i]);
	ask.args_bytes = got->limits[POLICY_LIMIT_args_bytes];
	ask.env_bytes = got->limits[POLICY_LIMIT_env_bytes];
	ask.stdin_bytes = got->limits[POLICY_LIMIT_stdin_bytes];
	MUST((policy_check_run(layers, 3, &ask, &denial, NULL) == 0) == granted);
	ask.stdin_bytes++;
	MUST(policy_check_run(layers, 3, &ask, &denial, NULL) != 0 && denial.message[0] != '\0');
	policy_free(got);
}

/* What is missing, or is no policy, is the built-in one; but the first must be one. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct policy *p[DOCUMENTS] = {NULL};

	for (int i = 0; i < DOCUMENTS && (i == 0 || p[0] != NULL); i++) {
		struct block text = input_text(&in);

		p[i] = parsed(&text);
		free(text.data);
		if (i > 0 && p[i] == NULL)
			MUST(policy_builtin(&p[i], NULL) == 0);
	}
	if (p[0] != NULL) {
		must_survive(p[0]);
		must_meet(p[0], p[1], p[2]);
		must_decide(p[0], p[1], p[2]);
	}
	for (int i = 0; i < DOCUMENTS; i++)
		policy_free(p[i]);
	return 0;
}
