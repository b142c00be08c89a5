/* policy/explain: questions about what a run may do, answered with the rules that decide. Pure; brigd and brig. */

#include "policy/explain.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/position.h"
#include "policy/internal.h"

#define STEPS_MAX   5   /* $.fs[0].paths["src"] */
#define VALUE_MAX   200 /* bytes of a rule's value that is shown */

/* --- documents without text --------------------------------------------------------------------------------------- */

int
policy_document_of(const struct policy *p, struct policy_document **out, struct err *e)
{
	struct policy_document *d = calloc(1, sizeof(*d));

	if (d == NULL || policy_meet(p, p, &d->policy, e) != 0 || (d->json = policy_to_json(p)) == NULL) {
		policy_document_free(d);
		return err_set(e, ERR_NOMEM, "out of memory for a policy");
	}
	*out = d;
	return 0;
}

int
policy_document_with(struct policy *p, const json_t *json, struct policy_document **out, struct err *e)
{
	struct policy_document *d = calloc(1, sizeof(*d));

	if (d == NULL) {
		policy_free(p);
		return err_set(e, ERR_NOMEM, "out of memory for a policy");
	}
	d->policy = p;
	d->json = json_incref((json_t *)(uintptr_t)json);
	*out = d;
	return 0;
}

int
policy_document_builtin(struct policy_document **out, struct err *e)
{
	struct policy *p;
	int rc = policy_builtin(&p, e);

	if (rc == 0) {
		rc = policy_document_of(p, out, e);
		policy_free(p);
	}
	return rc;
}

/* --- what is granted ---------------------------------------------------------------------------------------------- */

/* Whether what is asked is within a policy; nobody has stated yet what a run needs besides. */
static bool
is_within(const struct policy *p, const struct policy_question *q)
{
	const struct policy_fs *f;

	switch (q->kind) {
	case POLICY_ASK_FS:
		f = policy_fs_at(p, q->target);
		return f != NULL && (f->rights & q->right) != 0;
	case POLICY_ASK_FS_KIND:
		f = policy_fs_at(p, q->target);
		return f != NULL && f->kind >= q->fs_kind;
	case POLICY_ASK_ENV:
		return policy_env_allowed(p, q->target);
	case POLICY_ASK_LIMIT:
		return p->limits[q->limit] >= q->value;
	case POLICY_ASK_ARGS:
		return p->args;
	case POLICY_ASK_CLOCK:
		return p->clock >= q->word;
	case POLICY_ASK_RANDOM:
		return p->random >= q->word;
	case POLICY_ASK_TOOL:
		return policy_tool_allowed(p, q->target);
	case POLICY_ASK_SIGNATURE:
		return (q->word == 0 ? p->signature_module : p->signature_source) == POLICY_SIGNATURE_OPTIONAL;
	case POLICY_ASK_NET:
	case POLICY_ASK_COUNT:
		break;
	}
	return false;
}

/* The same for a whole run: there must be a mount, and where a limit is not stated the default holds. */
static bool
is_had(const struct policy *run, const struct policy_question *q)
{
	const struct policy_fs *mount = policy_fs_mount_of(run, q->target);

	switch (q->kind) {
	case POLICY_ASK_FS:
		return mount != NULL;
	case POLICY_ASK_FS_KIND:
		return mount != NULL && (strcmp(mount->path, q->target) == 0) == (q->fs_kind != POLICY_FS_INLINE);
	case POLICY_ASK_LIMIT:
		return run->limits[q->limit] >= q->value;
	default:
		return true;
	}
}

/* --- where it stands ---------------------------------------------------------------------------------------------- */

/* The statement that decides in one document. */
struct rule {
	struct position_step steps[STEPS_MAX];
	size_t count;
	const json_t *value; /* at the steps; borrowed from the document */
	bool stated;         /* else the nearest place there is */
};

/* One step down, if that is there. */
static bool
descend(struct rule *r, const char *name, size_t index)
{
	const json_t *next = name != NULL ? json_object_get(r->value, name) : json_array_get(r->value, index);

	if (next == NULL)
		return false;
	r->steps[r->count++] = (struct position_step){name, index};
	r->value = next;
	return true;
}

/* The name or pattern in a list that covers what is asked. */
static void
find_name(struct rule *r, const char *field, const char *name)
{
	const json_t *list;

	if (!descend(r, field, 0))
		return;
	list = r->value;
	for (size_t i = 0; i < json_array_size(list) && !r->stated; i++)
		if (policy_pattern_covers(json_string_value(json_array_get(list, i)), name))
			r->stated = descend(r, NULL, i);
}

/* The entry of "fs" that decides about a path, and the name in its `paths` if it is one of these. */
struct entry {
	size_t index;
	const json_t *json; /* NULL: none */
	bool mount;
	const char *base;  /* its path */
	const char *inner; /* or NULL */
	size_t length;     /* of the whole path */
};

/* Takes an entry, or a path in one, when it covers the path by more than what was found before. */
static void
consider(struct entry *found, const struct entry *one, const char *path)
{
	const char *slash = strcmp(one->base, "/") == 0 || one->inner == NULL ? "" : "/";
	char whole[2 * POLICY_PATH_MAX + 2];
	size_t length = (size_t)snprintf(whole, sizeof(whole), "%s%s%s", one->base, slash, one->inner == NULL ? "" : one->inner);

	if (!policy_path_covers(whole, path) || (found->json != NULL && found->length >= length))
		return;
	*found = *one;
	found->length = length;
}

static struct entry
find_entry(const json_t *document, const char *path)
{
	const json_t *fs = json_object_get(document, "fs");
	struct entry found = {.json = NULL};
	const char *name;
	json_t *unused;

	for (size_t i = 0; i < json_array_size(fs); i++) {
		const json_t *json = json_array_get(fs, i), *mount = json_object_get(json, "mount");
		struct entry one = {.index = i, .json = json, .mount = mount != NULL,
		    .base = json_string_value(mount != NULL ? mount : json_object_get(json, "under"))};

		consider(&found, &one, path);
		json_object_foreach(json_object_get(json, "paths"), name, unused) {
			one.inner = name;
			consider(&found, &one, path);
		}
	}
	return found;
}

static void
find_fs(struct rule *r, const struct policy_question *q)
{
	struct entry entry = find_entry(r->value, q->target);

	if (!descend(r, "fs", 0) || entry.json == NULL)
		return;
	descend(r, NULL, entry.index);
	if (q->kind == POLICY_ASK_FS_KIND)
		r->stated = descend(r, q->fs_kind == POLICY_FS_TMP ? entry.mount ? "mount" : "under" : "kind", 0);
	else if (entry.inner != NULL)
		r->stated = descend(r, "paths", 0) && descend(r, entry.inner, 0);
	else
		r->stated = descend(r, "rights", 0);
}

static struct rule
find_rule(const struct policy_document *d, const struct policy_question *q)
{
	struct rule r = {.value = d->json};

	switch (q->kind) {
	case POLICY_ASK_FS:
	case POLICY_ASK_FS_KIND:
		find_fs(&r, q);
		break;
	case POLICY_ASK_ENV:
		find_name(&r, "env", q->target);
		break;
	case POLICY_ASK_TOOL:
		find_name(&r, "tools", q->target);
		break;
	case POLICY_ASK_LIMIT:
		r.stated = descend(&r, "limits", 0) && descend(&r, policy_limit_names[q->limit], 0);
		break;
	case POLICY_ASK_ARGS:
		r.stated = descend(&r, "args", 0);
		break;
	case POLICY_ASK_CLOCK:
		r.stated = descend(&r, "clock", 0);
		break;
	case POLICY_ASK_RANDOM:
		r.stated = descend(&r, "random", 0);
		break;
	case POLICY_ASK_NET:
		descend(&r, "net", 0);
		break;
	case POLICY_ASK_SIGNATURE:
		r.stated = descend(&r, "signature", 0) && descend(&r, q->word == 0 ? "module" : "source", 0);
		break;
	case POLICY_ASK_COUNT:
		break;
	}
	return r;
}

/* Adds where a rule stands, and what it says if that is short. */
static int
put_rule(json_t *json, const struct policy_document *d, const struct rule *r)
{
	char *path = position_path(r->steps, r->count, 0);
	char *value = r->stated ? json_dumps(r->value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	struct position where;
	int bad = path == NULL || json_object_set_new(json, "path", json_string(path)) != 0 ||
	    json_object_set_new(json, "stated", json_boolean(r->stated)) != 0;

	if (value != NULL && strlen(value) <= VALUE_MAX)
		bad |= json_object_set_new(json, "value", json_deep_copy(r->value)) != 0;
	if (d->name != NULL)
		bad |= json_object_set_new(json, "file", json_string(d->name)) != 0;
	if (d->text != NULL && position_find(d->text, d->length, r->steps, r->count, false, &where))
		bad |= json_object_set_new(json, "line", json_integer((json_int_t)where.line)) != 0 ||
		    json_object_set_new(json, "column", json_integer((json_int_t)where.column)) != 0;
	free(path);
	free(value);
	return bad ? ERR_NOMEM : 0;
}

/* --- what would grant it ------------------------------------------------------------------------------------------ */

static uint32_t
rights_of(const json_t *list)
{
	uint32_t rights = 0;

	for (size_t i = 0; i < json_array_size(list); i++)
		for (size_t k = 0; k < POLICY_COUNT_OF(policy_fs_right_words); k++)
			if (strcmp(json_string_value(json_array_get(list, i)), policy_fs_right_words[k]) == 0)
				rights |= 1u << k;
	return rights;
}

static enum policy_fs_kind
kind_of(const json_t *entry)
{
	const char *word = json_string_value(json_object_get(entry, "kind"));
	size_t i = 0;

	while (word != NULL && i + 1 < POLICY_COUNT_OF(policy_fs_kind_words) && strcmp(word, policy_fs_kind_words[i]) != 0)
		i++;
	return (enum policy_fs_kind)i;
}

/* Where a mount for what is asked would be: the path itself, or for files the directory that holds it. */
static void
directory_of(const struct policy_question *q, char out[POLICY_PATH_MAX + 1])
{
	snprintf(out, POLICY_PATH_MAX + 1, "%s", q->target);
	if (q->kind == POLICY_ASK_FS_KIND && q->fs_kind != POLICY_FS_INLINE)
		return;
	out[policy_path_above(out, strlen(out), 1)] = '\0';
}

/*
 * An entry of its own, with what decided there so far and what is asked. `run`, if not NULL, is what all layers grant: a
 * mount must lie within that. null when there is no place for one.
 */
static json_t *
new_entry(const struct entry *above, const struct policy_question *q, bool mount, const struct policy *run)
{
	enum policy_fs_kind kind = above->json == NULL ? POLICY_FS_TMP : kind_of(above->json);
	const json_t *rights = above->json == NULL ? NULL :
	    above->inner != NULL ? json_object_get(json_object_get(above->json, "paths"), above->inner) :
	    json_object_get(above->json, "rights");
	char path[POLICY_PATH_MAX + 1];

	directory_of(q, path);
	if (run != NULL && policy_fs_at(run, path) == NULL)
		snprintf(path, sizeof(path), "%s", q->target);
	if (run != NULL && strcmp(path, q->target) == 0 && q->kind == POLICY_ASK_FS_KIND && q->fs_kind == POLICY_FS_INLINE)
		return json_null();
	if (q->kind == POLICY_ASK_FS_KIND && q->fs_kind > kind)
		kind = q->fs_kind;
	return json_pack("{s:[{s:s, s:s, s:o}]}", "fs", mount ? "mount" : "under", path, "kind", policy_fs_kind_words[kind],
	    "rights", policy_rights_json(rights_of(rights) | q->right));
}

/* The entry that decides, with what is asked added to it; for a right, no higher than the directory that holds the path. */
static json_t *
more_of_entry(const struct entry *entry, const struct policy_question *q)
{
	const char *key = entry->mount ? "mount" : "under", *inner = entry->inner;
	const json_t *has = inner != NULL ? json_object_get(json_object_get(entry->json, "paths"), inner) :
	    json_object_get(entry->json, "rights");
	char directory[POLICY_PATH_MAX + 1];
	json_t *rights;

	if (q->kind == POLICY_ASK_FS_KIND)
		return json_pack("{s:[{s:s, s:s}]}", "fs", key, entry->base, "kind", policy_fs_kind_words[q->fs_kind]);
	rights = policy_rights_json(rights_of(has) | q->right);
	directory_of(q, directory);
	if (strlen(directory) > entry->length)
		inner = directory + strlen(entry->base) + (strcmp(entry->base, "/") != 0);
	if (inner == NULL)
		return json_pack("{s:[{s:s, s:o}]}", "fs", key, entry->base, "rights", rights);
	return json_pack("{s:[{s:s, s:{s:o}}]}", "fs", key, entry->base, "paths", inner, rights);
}

/* `run`, if not NULL, is what all layers grant together: nothing is missing but a mount. */
static json_t *
grant_fs(const struct policy_stated *layer, const struct policy_question *q, const struct policy *run)
{
	struct entry entry = {.json = NULL};
	const struct policy_fs *there = run == NULL ? NULL : policy_fs_mount_of(run, q->target);

	if (layer->document != NULL)
		entry = find_entry(layer->document->json, q->target);
	if (there != NULL && strcmp(there->path, q->target) == 0) /* no file can be where a mount is */
		return json_null();
	if (entry.json == NULL || run != NULL)
		return new_entry(&entry, q, layer->kind == POLICY_LAYER_REQUEST, run);
	return more_of_entry(&entry, q);
}

/* A clock as good as asked; fixed at the time that layers before have, if it has to be. */
static json_t *
grant_clock(const struct policy *p, const struct policy *before, const struct policy_question *q)
{
	json_t *grant = json_pack("{s:s}", "clock", policy_clock_words[q->word]);

	if (q->word == POLICY_CLOCK_FIXED && before != NULL && before->has_clock_fixed_ns)
		json_object_set_new(grant, "clock_fixed_ns", json_integer((json_int_t)before->clock_fixed_ns));
	else if (p != NULL && p->has_clock_fixed_ns)
		json_object_set_new(grant, "clock_fixed_ns", json_null());
	return grant;
}

static json_t *
grant_random(const struct policy *p, const struct policy *before, const struct policy_question *q)
{
	json_t *grant = json_pack("{s:s}", "random", policy_random_words[q->word]);
	char hex[2 * POLICY_SEED_SIZE + 1];

	if (q->word == POLICY_RANDOM_SEEDED && before != NULL && before->has_seed) {
		sodium_bin2hex(hex, sizeof(hex), before->seed, POLICY_SEED_SIZE);
		json_object_set_new(grant, "seed", json_string(hex));
	} else if (p != NULL && p->has_seed) {
		json_object_set_new(grant, "seed", json_null());
	}
	return grant;
}

struct policy_inquiry {
	struct policy_stated *layers;
	struct policy **upto; /* what each layer and those before it grant together */
	size_t count;
	struct policy *run;   /* what the run gets */
};

/* What is known of an answer while it is made. */
struct answer {
	const struct policy_stated *layers;
	size_t count;
	const struct policy_question *q;
	size_t decider;              /* the layer that withholds it; `count` for none */
	const struct policy *before; /* what the layers before that one grant; NULL for nothing before */
	const struct policy *run;    /* what the run gets; NULL when a layer withholds it */
	bool allowed;
};

/* What this layer's document would have to say; null when no document can. */
static json_t *
make_grant(const struct answer *a, const struct policy_stated *layer)
{
	const struct policy_question *q = a->q;
	const struct policy *p = layer->document == NULL ? NULL : layer->document->policy;

	switch (q->kind) {
	case POLICY_ASK_FS:
	case POLICY_ASK_FS_KIND:
		return grant_fs(layer, q, a->run);
	case POLICY_ASK_ENV:
		return json_pack("{s:[s]}", "env", q->target);
	case POLICY_ASK_TOOL:
		return json_pack("{s:[s]}", "tools", q->target);
	case POLICY_ASK_LIMIT:
		return json_pack("{s:{s:I}}", "limits", policy_limit_names[q->limit], (json_int_t)q->value);
	case POLICY_ASK_ARGS:
		return json_pack("{s:b}", "args", 1);
	case POLICY_ASK_CLOCK:
		return grant_clock(p, a->before, q);
	case POLICY_ASK_RANDOM:
		return grant_random(p, a->before, q);
	case POLICY_ASK_SIGNATURE:
		return json_pack("{s:{s:s}}", "signature", q->word == 0 ? "module" : "source", "optional");
	case POLICY_ASK_NET:
	case POLICY_ASK_COUNT:
		break;
	}
	return json_null();
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

void
policy_inquiry_free(struct policy_inquiry *x)
{
	if (x == NULL)
		return;
	for (size_t i = 0; x->upto != NULL && i < x->count; i++)
		policy_free(x->upto[i]);
	policy_free(x->run);
	free(x->upto);
	free(x->layers);
	free(x);
}

/* Fills in what the layers grant together, and what the run gets. */
static int
combine(struct policy_inquiry *x, struct policy_layer *layers, struct err *e)
{
	int rc;

	for (size_t i = 0; i < x->count; i++) {
		const struct policy *p = x->layers[i].document->policy;

		layers[i] = (struct policy_layer){x->layers[i].kind, p};
		if ((rc = policy_meet(i == 0 ? p : x->upto[i - 1], p, &x->upto[i], e)) != 0)
			return rc;
	}
	return policy_effective(layers, x->count, &x->run, e);
}

int
policy_inquiry_new(const struct policy_stated *layers, size_t count, struct policy_inquiry **out, struct err *e)
{
	struct policy_inquiry *x = calloc(1, sizeof(*x));
	struct policy_layer *plain = calloc(count + 1, sizeof(*plain));
	int rc;

	if (x == NULL || plain == NULL || (x->layers = calloc(count + 1, sizeof(*x->layers))) == NULL ||
	    (x->upto = calloc(count + 1, sizeof(struct policy *))) == NULL) {
		rc = err_set(e, ERR_NOMEM, "out of memory for an answer");
		goto out;
	}
	x->count = count;
	for (size_t i = 0; i < count; i++)
		x->layers[i] = layers[i];
	if ((rc = combine(x, plain, e)) == 0) {
		*out = x;
		x = NULL;
	}
out:
	policy_inquiry_free(x);
	free(plain);
	return rc;
}

/* Finds the first layer with which it is no longer granted, or that a run does not have it though all grant it. */
static struct answer
decide(const struct policy_inquiry *x, const struct policy_question *q)
{
	struct answer a = {.layers = x->layers, .count = x->count, .q = q};

	while (a.decider < x->count && is_within(x->upto[a.decider], q))
		a.before = x->upto[a.decider++];
	if (a.decider == x->count) {
		a.run = x->run;
		a.allowed = is_had(x->run, q);
	}
	return a;
}

/* The layer whose document is to be changed: the one that withholds it, or the request's. */
static struct policy_stated
layer_to_change(const struct answer *a)
{
	if (a->decider < a->count)
		return a->layers[a->decider];
	for (size_t i = 0; i < a->count; i++)
		if (a->layers[i].kind == POLICY_LAYER_REQUEST)
			return a->layers[i];
	return (struct policy_stated){POLICY_LAYER_REQUEST, NULL};
}

static json_t *
rule_json(const struct policy_stated *layer, const struct policy_question *q)
{
	json_t *json = json_pack("{s:s}", "layer", policy_layer_name(layer->kind));
	struct rule r;

	if (json == NULL || layer->document == NULL)
		return json;
	r = find_rule(layer->document, q);
	if (put_rule(json, layer->document, &r) == 0)
		return json;
	json_decref(json);
	return NULL;
}

/* What each layer says by itself. */
static json_t *
layers_json(const struct answer *a)
{
	json_t *list = json_array();

	for (size_t i = 0; i < a->count; i++) {
		json_t *one = rule_json(&a->layers[i], a->q);
		bool allows = is_within(a->layers[i].document->policy, a->q) && i != a->decider;

		if (json_object_set_new(one, "answer", json_string(allows ? "allow" : "deny")) != 0 ||
		    json_array_append_new(list, one) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* Why, in a sentence. */
static void
write_message(const struct answer *a, char *out, size_t size)
{
	char value[POLICY_LIMIT_TEXT_SIZE];

	if (a->allowed)
		snprintf(out, size, "every layer grants it");
	else if (a->q->kind == POLICY_ASK_NET)
		snprintf(out, size, "this version of brig grants no network access");
	else if (a->decider < a->count)
		snprintf(out, size, "it is not granted by %s", policy_layer_phrase(a->layers[a->decider].kind));
	else if (a->q->kind == POLICY_ASK_LIMIT)
		snprintf(out, size, "no layer withholds it, but the request does not state %s, and then it is %s",
		    policy_limit_names[a->q->limit], policy_limit_text(a->q->limit, a->run->limits[a->q->limit], value));
	else if (a->q->kind == POLICY_ASK_FS_KIND && a->q->fs_kind == POLICY_FS_INLINE && policy_fs_mount_of(a->run, a->q->target))
		snprintf(out, size, "no layer withholds it, but that is where a mount is, not a file in one");
	else
		snprintf(out, size, "no layer withholds it, but none has a mount %s", a->q->kind == POLICY_ASK_FS_KIND &&
		    a->q->fs_kind != POLICY_FS_INLINE ? "there" : "that holds it");
}

static json_t *
answer_json(const struct answer *a)
{
	struct policy_stated change = layer_to_change(a), last = a->layers[a->count - 1];
	char message[300];

	write_message(a, message, sizeof(message));
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "question", a->q->text, "answer", a->allowed ? "allow" : "deny",
	    "message", message, "rule", rule_json(a->allowed ? &last : &change, a->q), "grant",
	    a->allowed ? json_null() : make_grant(a, &change), "layers", layers_json(a));
}

int
policy_answer(const struct policy_inquiry *x, const struct policy_question *q, json_t **out, bool *allowed, struct err *e)
{
	struct answer a = decide(x, q);
	json_t *json = answer_json(&a);

	if (json == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for an answer");
	*out = json;
	*allowed = a.allowed;
	return 0;
}
