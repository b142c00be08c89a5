/*
 * Fuzz target: policy: up to three documents, with a NUL between them, then questions, one a line: parsed, met, compared,
 * decided, explained. A meet never widens, and an explanation is what is decided.
 */

#include <stdlib.h>
#include <string.h>

#include "policy/diff.h"
#include "policy/explain.h"
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

/* What is wrong is told in the order of the text, and the first of it in few words. */
static void
must_tell(const struct policy_problems *all, const struct err *e)
{
	MUST(all->kept > 0 && all->kept <= POLICY_PROBLEMS_MAX && (all->more == 0 || all->kept == POLICY_PROBLEMS_MAX));
	MUST(strcmp(all->list[0].e.msg, e->msg) == 0);
	for (size_t i = 0; i < all->kept; i++)
		MUST(all->list[i].e.msg[0] != '\0' && (i == 0 || all->list[i - 1].offset <= all->list[i].offset));
}

static struct policy_document *
document(const struct block *text)
{
	static struct policy_problems all;
	struct policy_document *d = NULL;
	struct err e = {0};
	int rc = policy_document_parse((const char *)text->data, text->length, "f", &all, &d, &e);

	if (rc == 0)
		return d;
	MUST(d == NULL && rc == e.code);
	must_tell(&all, &e);
	return NULL;
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

/* Differences are there exactly where one allows what the other does not. */
static void
must_differ(const struct policy *a, const struct policy *b)
{
	json_t *list = NULL, *one;
	bool more[2] = {false};
	size_t i;

	MUST(policy_diff(a, b, &list, NULL) == 0);
	json_array_foreach(list, i, one)
		more[json_string_value(json_object_get(one, "more"))[0] == 'b'] = true;
	MUST(more[1] == !policy_allows(a, b) && more[0] == !policy_allows(b, a));
	json_decref(list);
}

/* The decision about a question, as far as it can be told from what the run gets alone. */
static bool
is_had(const struct policy *run, const struct policy_question *q)
{
	const struct policy_fs *f = policy_fs_at(run, q->target), *mount = policy_fs_mount_of(run, q->target);

	switch (q->kind) {
	case POLICY_ASK_FS:
		return mount != NULL && (f->rights & q->right) != 0;
	case POLICY_ASK_FS_KIND:
		return mount != NULL && f->kind >= q->fs_kind &&
		    (strcmp(mount->path, q->target) == 0) == (q->fs_kind != POLICY_FS_INLINE);
	case POLICY_ASK_ENV:
		return policy_env_allowed(run, q->target);
	case POLICY_ASK_LIMIT:
		return run->limits[q->limit] >= q->value;
	case POLICY_ASK_ARGS:
		return run->args;
	case POLICY_ASK_CLOCK:
		return run->clock >= q->word;
	case POLICY_ASK_RANDOM:
		return run->random >= q->word;
	case POLICY_ASK_TOOL:
		return policy_tool_allowed(run, q->target);
	case POLICY_ASK_SIGNATURE:
		return (q->word == 0 ? run->signature_module : run->signature_source) == POLICY_SIGNATURE_OPTIONAL;
	default:
		return false;
	}
}

static void
must_answer(const struct policy_inquiry *x, const struct policy *run, const char *text)
{
	static struct policy_question q;
	struct err e = {0};
	size_t used = 0;
	bool allowed = false;
	json_t *answer = NULL;

	if (policy_question_parse(&text, 1, &used, &q, &e) != 0) {
		MUST(e.msg[0] != '\0');
		return;
	}
	MUST(used == 1 && policy_answer(x, &q, &answer, &allowed, NULL) == 0);
	MUST(allowed == is_had(run, &q));
	MUST(json_array_size(json_object_get(answer, "layers")) == DOCUMENTS);
	MUST(!allowed || json_is_null(json_object_get(answer, "grant")));
	json_decref(answer);
}

/* Answers each line of the rest, at most so many. */
static void
must_answer_all(struct policy_document *const d[DOCUMENTS], struct input *in)
{
	const struct policy_stated stated[DOCUMENTS] = {{POLICY_LAYER_CEILING, d[0]}, {POLICY_LAYER_SIGNER, d[1]},
	    {POLICY_LAYER_REQUEST, d[2]}};
	const struct policy_layer layers[DOCUMENTS] = {{POLICY_LAYER_CEILING, d[0]->policy},
	    {POLICY_LAYER_SIGNER, d[1]->policy}, {POLICY_LAYER_REQUEST, d[2]->policy}};
	char *questions = input_string(in), *rest = questions, *line;
	struct policy_inquiry *x = NULL;
	struct policy *run = NULL;

	MUST(policy_effective(layers, DOCUMENTS, &run, NULL) == 0 && policy_inquiry_new(stated, DOCUMENTS, &x, NULL) == 0);
	for (int n = 0; n < 20 && (line = strsep(&rest, "\n")) != NULL; n++)
		must_answer(x, run, line);
	policy_inquiry_free(x);
	policy_free(run);
	free(questions);
}

/* What is missing, or is no policy, is the built-in one; but the first must be one. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct policy_document *d[DOCUMENTS] = {NULL};

	for (int i = 0; i < DOCUMENTS && (i == 0 || d[0] != NULL); i++) {
		struct block text = input_text(&in);

		d[i] = document(&text);
		free(text.data);
		if (i > 0 && d[i] == NULL)
			MUST(policy_document_builtin(&d[i], NULL) == 0);
	}
	if (d[0] != NULL) {
		must_survive(d[0]->policy);
		must_meet(d[0]->policy, d[1]->policy, d[2]->policy);
		must_decide(d[0]->policy, d[1]->policy, d[2]->policy);
		must_differ(d[0]->policy, d[1]->policy);
		must_answer_all(d, &in);
	}
	for (int i = 0; i < DOCUMENTS; i++)
		policy_document_free(d[i]);
	return 0;
}
