/* test_explain: questions about policies and their answers, against the decisions themselves. Unit test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/position.h"
#include "policy/diff.h"
#include "policy/explain.h"
#include "tests/unit/policies.h"
#include "tests/unit/roll.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static struct policy_document *
document(const char *text, const char *name)
{
	struct policy_document *d = NULL;
	struct err e = {0};

	if (policy_document_parse(text, strlen(text), name, NULL, &d, &e) != 0)
		fail_msg("%s: %s", text, e.msg);
	return d;
}

static struct policy_question
question(const char *text)
{
	struct policy_question q = {0};
	struct err e = {0};
	size_t used = 0;

	if (policy_question_parse(&text, 1, &used, &q, &e) != 0)
		fail_msg("%s: %s", text, e.msg);
	assert_int_equal(used, 1);
	return q;
}

static json_t *
answer(const struct policy_stated *layers, size_t count, const char *text, bool *allowed)
{
	struct policy_question q = question(text);
	struct policy_inquiry *x = NULL;
	json_t *json = NULL;
	struct err e = {0};

	assert_int_equal(policy_inquiry_new(layers, count, &x, &e), 0);
	assert_int_equal(policy_answer(x, &q, &json, allowed, &e), 0);
	policy_inquiry_free(x);
	assert_string_equal(json_string_value(json_object_get(json, "answer")), *allowed ? "allow" : "deny");
	return json;
}

/* --- questions ---------------------------------------------------------------------------------------------------- */

static void
reads_questions_one_after_the_other_and_as_one_word(void **state)
{
	static const char *const words[] = {"fs", "read", "/a b", "args", "limit", "memory_bytes", "200M", "fs write /a b c",
	    "env", "HOME", "signature unsigned"};
	static const char *const texts[] = {"fs read /a b", "args", "limit memory_bytes 200M", "fs write /a b c", "env HOME",
	    "signature unsigned"};
	struct policy_question q;
	size_t at = 0, used;
	struct err e = {0};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++, at += used) {
		assert_int_equal(policy_question_parse(words + at, COUNT_OF(words) - at, &used, &q, &e), 0);
		assert_string_equal(q.text, texts[i]);
	}
	assert_int_equal(at, COUNT_OF(words));
	q = question("limit memory_bytes 200M");
	assert_true(q.value == UINT64_C(200) << 20);
	q = question("fs delete /x/y z");
	assert_string_equal(q.target, "/x/y z");
	assert_int_equal(q.right, POLICY_FS_DELETE);
}

static void
refuses_questions_that_make_no_sense_and_says_why(void **state)
{
	static const struct {
		const char *text, *says;
	} wrong[] = {
	    {"", "empty"},
	    {" ", "cannot be asked"},
	    {"evn HOME", "did you mean env?"},
	    {"fs", "what of it?"},
	    {"fs read", "what of it?"},
	    {"fs run /a", "ask for read, write"},
	    {"fs read a", "does not begin with"},
	    {"fs read /a/../b", "\"..\""},
	    {"fs read /a/", "ends with"},
	    {"fs  read /a", "ask for read"},
	    {"args now", "more words"},
	    {"env", "what of it?"},
	    {"limit wall_sm 5s", "did you mean wall_ms"},
	    {"limit wall_ms 5x", "is written as"},
	    {"limit wall_ms 2h", "more than its maximum"},
	    {"clock none", "ask for fixed or coarse or real"},
	    {"random good", "ask for seeded or real"},
	    {"tool a b", "letters, digits"},
	    {"signature required", "ask for unsigned"},
	    {"env \xff", "word 2 of the question is not UTF-8"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		struct policy_question q;
		size_t used = 77;
		struct err e = {0};

		if (policy_question_parse(&wrong[i].text, 1, &used, &q, &e) != ERR_INVAL || strstr(e.msg, wrong[i].says) == NULL)
			fail_msg("%s: %s, not %s", wrong[i].text, e.msg, wrong[i].says);
		assert_int_equal(used, 77);
	}
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static const char ceiling_text[] =
    "{ \"args\": true, \"env\": [\"LANG\", \"LC_*\"],\n"
    "  \"fs\": [ { \"under\": \"/\", \"kind\": \"inline\", \"rights\": [\"read\", \"write\"] } ],\n"
    "  \"clock\": \"coarse\", \"tools\": [\"search\"], \"random\": \"seeded\", \"seed\":\n"
    "  \"0000000000000000000000000000000000000000000000000000000000000001\",\n"
    "  \"limits\": { \"memory_bytes\": 104857600 } }";
static const char request_text[] =
    "{ \"env\": [\"LC_ALL\"], \"clock\": \"real\",\n"
    "  \"fs\": [ { \"mount\": \"/w\", \"kind\": \"inline\",\n"
    "            \"rights\": [\"read\", \"create\"],\n"
    "            \"paths\": { \"src\": [\"write\"] } } ],\n"
    "  \"random\": \"seeded\", \"seed\": \"0000000000000000000000000000000000000000000000000000000000000002\" }";

static void
names_the_rule_its_layer_and_where_it_stands(void **state)
{
	static const struct {
		const char *question;
		bool allowed;
		const char *rule; /* layer path line:column */
		const char *grant;
	} cases[] = {
	    {"fs read /w/a", true, "request $.fs[0].rights 3:23", "null"},
	    {"fs write /w/a", false, "request $.fs[0].rights 3:23",
	        "{\"fs\":[{\"mount\":\"/w\",\"rights\":[\"read\",\"write\",\"create\"]}]}"},
	    {"fs write /w/d/a", false, "request $.fs[0].rights 3:23",
	        "{\"fs\":[{\"mount\":\"/w\",\"paths\":{\"d\":[\"read\",\"write\",\"create\"]}}]}"},
	    {"fs read /w/src/x/a", false, "request $.fs[0].paths.src 4:31",
	        "{\"fs\":[{\"mount\":\"/w\",\"paths\":{\"src/x\":[\"read\",\"write\"]}}]}"},
	    {"fs write /w/src", true, "request $.fs[0].paths.src 4:31", "null"},
	    {"fs create /w/a", false, "ceiling $.fs[0].rights 2:55",
	        "{\"fs\":[{\"paths\":{\"w\":[\"read\",\"write\",\"create\"]},\"under\":\"/\"}]}"},
	    {"fs read /v/a", false, "request $.fs 2:9", "{\"fs\":[{\"kind\":\"tmp\",\"mount\":\"/v\",\"rights\":[\"read\"]}]}"},
	    {"fs mount /w", true, "request $.fs[0].mount 2:22", "null"},
	    {"fs mount /w/src", false, "request $.fs[0].mount 2:22",
	        "{\"fs\":[{\"kind\":\"inline\",\"mount\":\"/w/src\",\"rights\":[\"write\"]}]}"},
	    {"fs inline /w/a", true, "request $.fs[0].kind 2:36", "null"},
	    {"fs inline /w", false, "request $.fs[0].kind 2:36", "null"},
	    {"fs dir /w", false, "ceiling $.fs[0].kind 2:35", "{\"fs\":[{\"kind\":\"dir\",\"under\":\"/\"}]}"},
	    {"env LC_ALL", true, "request $.env[0] 1:11", "null"},
	    {"env LANG", false, "request $.env 1:10", "{\"env\":[\"LANG\"]}"},
	    {"env HOME", false, "ceiling $.env 1:24", "{\"env\":[\"HOME\"]}"},
	    {"args", false, "request $ 1:1", "{\"args\":true}"},
	    {"clock coarse", true, "request $.clock 1:31", "null"},
	    {"clock real", false, "ceiling $.clock 3:12", "{\"clock\":\"real\"}"},
	    {"random real", false, "ceiling $.random 3:53", "{\"random\":\"real\",\"seed\":null}"},
	    {"random seeded", false, "request $.random 5:13",
	        "{\"random\":\"seeded\",\"seed\":\"0000000000000000000000000000000000000000000000000000000000000001\"}"},
	    {"limit memory_bytes 100M", true, "request $ 1:1", "null"},
	    {"limit memory_bytes 200M", false, "ceiling $.limits.memory_bytes 5:31", "{\"limits\":{\"memory_bytes\":209715200}}"},
	    {"limit wall_ms 1m", false, "request $ 1:1", "{\"limits\":{\"wall_ms\":60000}}"},
	    {"limit fuel 1G", true, "request $ 1:1", "null"},
	    {"tool search", false, "request $ 1:1", "{\"tools\":[\"search\"]}"},
	    {"tool fetch", false, "ceiling $.tools 3:31", "{\"tools\":[\"fetch\"]}"},
	    {"net example.com", false, "ceiling $ 1:1", "null"},
	    {"signature unsigned", false, "ceiling $ 1:1", "{\"signature\":{\"module\":\"optional\"}}"},
	};
	struct policy_document *ceiling = document(ceiling_text, "c.json"), *request = document(request_text, "r.json");
	const struct policy_stated layers[] = {{POLICY_LAYER_CEILING, ceiling}, {POLICY_LAYER_REQUEST, request}};
	bool good = true;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		bool allowed;
		json_t *json = answer(layers, 2, cases[i].question, &allowed), *rule = json_object_get(json, "rule");
		char *grant = json_dumps(json_object_get(json, "grant"), JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS), text[200];

		snprintf(text, sizeof(text), "%s %s %lld:%lld", json_string_value(json_object_get(rule, "layer")),
		    json_string_value(json_object_get(rule, "path")), json_integer_value(json_object_get(rule, "line")),
		    json_integer_value(json_object_get(rule, "column")));
		if (allowed != cases[i].allowed || strcmp(text, cases[i].rule) != 0 || strcmp(grant, cases[i].grant) != 0)
			print_error("%s: %s %s %s\n", cases[i].question, allowed ? "allow" : "deny", text, grant), good = false;
		assert_string_equal(json_string_value(json_object_get(rule, "file")), text[0] == 'c' ? "c.json" : "r.json");
		assert_int_equal(json_array_size(json_object_get(json, "layers")), 2);
		free(grant);
		json_decref(json);
	}
	assert_true(good);
	policy_document_free(ceiling);
	policy_document_free(request);
}

static void
the_built_in_ceiling_has_rules_but_no_lines(void **state)
{
	struct policy_document *builtin = NULL;
	struct policy_stated layer = {POLICY_LAYER_CEILING, NULL};
	struct policy_inquiry *x = NULL;
	json_t *json, *rule;
	bool allowed;
	struct err e;

	(void)state;
	assert_int_equal(policy_inquiry_new(&layer, 0, &x, &e), ERR_INVAL);
	assert_int_equal(policy_document_builtin(&builtin, &e), 0);
	layer.document = builtin;
	json = answer(&layer, 1, "env HOME", &allowed);
	assert_true(allowed);
	rule = json_object_get(json, "rule");
	assert_string_equal(json_string_value(json_object_get(rule, "path")), "$.env[0]");
	assert_string_equal(json_string_value(json_object_get(rule, "value")), "*");
	assert_null(json_object_get(rule, "line"));
	json_decref(json);
	json = answer(&layer, 1, "fs read /a/b", &allowed); /* there may be a mount, but who makes it? */
	assert_false(allowed);
	rule = json_object_get(json, "rule");
	assert_string_equal(json_string_value(json_object_get(rule, "layer")), "request");
	assert_null(json_object_get(rule, "path"));
	json_decref(json);
	policy_document_free(builtin);
}

/* --- properties over generated layers ----------------------------------------------------------------------------- */

#define LAYERS 5

struct world {
	struct policy_stated stated[LAYERS];
	struct policy_layer layers[LAYERS];
	size_t count;
};

static struct policy_document *
written(const json_t *json)
{
	char *text = json_dumps(json, roll(2) ? JSON_INDENT(2) : JSON_COMPACT);
	struct policy_document *d = document(text, "generated.json");

	free(text);
	return d;
}

static struct world
generated_world(void)
{
	static const enum policy_layer_kind kinds[LAYERS] = {POLICY_LAYER_CEILING, POLICY_LAYER_OWNER, POLICY_LAYER_SIGNER,
	    POLICY_LAYER_SIGNER, POLICY_LAYER_REQUEST};
	struct world w = {.count = 0};

	for (size_t i = 0; i < LAYERS; i++) {
		json_t *json;

		if (i > 0 && roll(2))
			continue;
		json = policies_generate(roll(2) ? 0 : 6);
		w.stated[w.count] = (struct policy_stated){kinds[i], written(json)};
		w.layers[w.count] = (struct policy_layer){kinds[i], w.stated[w.count].document->policy};
		w.count++;
		json_decref(json);
	}
	return w;
}

static void
end_world(struct world *w)
{
	for (size_t i = 0; i < w->count; i++)
		policy_document_free((struct policy_document *)(uintptr_t)w->stated[i].document);
}

static const char *
generated_question(char text[200])
{
	static const char *const rights[] = {"read", "write", "create", "delete", "mount", "inline", "dir"};
	static const char *const paths[] = {"/", "/a", "/a/x", "/a/b", "/a/b/f", "/a/b/c", "/a/b/c/f", "/a/bc", "/a/bc/f", "/d",
	    "/d/x", "/d/x/y", "/e"};
	static const char *const others[] = {"args", "clock fixed", "clock coarse", "clock real", "random seeded", "random real",
	    "env A", "env AB", "env ABD", "env B", "env C", "env D", "tool search", "tool x", "tool y", "net h", "signature unsigned",
	    "signature unsigned_source"};

	if (roll(2))
		snprintf(text, 200, "fs %s %s", rights[roll(COUNT_OF(rights))], paths[roll(COUNT_OF(paths))]);
	else if (roll(3) == 0)
		snprintf(text, 200, "limit %s %u", policy_limit_info[roll(POLICY_LIMIT_COUNT)].name, 3 + roll(5));
	else
		snprintf(text, 200, "%s", others[roll(COUNT_OF(others))]);
	return text;
}

/* Whether the run has it: by what policy_effective gives it and policy_check_run lets pass. */
static bool
is_granted(const struct world *w, const struct policy_question *q)
{
	const char *target[] = {q->target};
	struct policy_ask ask = {.module_signed = true};
	struct policy_denial denial;
	const struct policy_fs *f, *mount;
	struct policy *run;
	struct err e;
	bool granted = false;

	assert_int_equal(policy_effective(w->layers, w->count, &run, &e), 0);
	f = policy_fs_at(run, q->target);
	mount = policy_fs_mount_of(run, q->target);
	switch (q->kind) {
	case POLICY_ASK_FS:
		granted = mount != NULL && (f->rights & q->right) != 0;
		break;
	case POLICY_ASK_FS_KIND:
		if (q->fs_kind == POLICY_FS_TMP) {
			granted = mount != NULL && strcmp(mount->path, q->target) == 0;
			break;
		}
		ask.files = ask.dirs = target;
		*(q->fs_kind == POLICY_FS_INLINE ? &ask.filec : &ask.dirc) = 1;
		granted = policy_check_run(w->layers, w->count, &ask, &denial, &e) == 0;
		break;
	case POLICY_ASK_ENV:
		ask.env = target;
		ask.envc = 1;
		granted = policy_check_run(w->layers, w->count, &ask, &denial, &e) == 0;
		break;
	case POLICY_ASK_ARGS:
		ask.argc = 1;
		granted = policy_check_run(w->layers, w->count, &ask, &denial, &e) == 0;
		break;
	case POLICY_ASK_SIGNATURE:
		ask.module_signed = false;
		granted = q->word == 1 ? run->signature_source == POLICY_SIGNATURE_OPTIONAL
		                       : policy_check_run(w->layers, w->count, &ask, &denial, &e) == 0;
		break;
	case POLICY_ASK_LIMIT:
		granted = run->limits[q->limit] >= q->value;
		break;
	case POLICY_ASK_CLOCK:
		granted = run->clock >= q->word;
		break;
	case POLICY_ASK_RANDOM:
		granted = run->random >= q->word;
		break;
	case POLICY_ASK_TOOL:
		granted = policy_tool_allowed(run, q->target);
		break;
	case POLICY_ASK_NET:
	case POLICY_ASK_COUNT:
		break;
	}
	policy_free(run);
	return granted;
}

/* The capability of a denial for the same thing; false when there is none. */
static bool
capability_of(const struct policy_question *q, enum policy_capability *c)
{
	static const enum policy_capability rights[] = {POLICY_CAP_FS_READ, POLICY_CAP_FS_WRITE, POLICY_CAP_FS_CREATE,
	    POLICY_CAP_FS_DELETE};

	switch (q->kind) {
	case POLICY_ASK_FS:
		*c = rights[__builtin_ctz(q->right)];
		return true;
	case POLICY_ASK_FS_KIND:
		*c = q->fs_kind == POLICY_FS_INLINE ? POLICY_CAP_FS_INLINE : POLICY_CAP_FS_DIR;
		return q->fs_kind != POLICY_FS_TMP;
	case POLICY_ASK_ENV:
		*c = POLICY_CAP_ENV;
		return true;
	case POLICY_ASK_ARGS:
		*c = POLICY_CAP_ARGS;
		return true;
	case POLICY_ASK_CLOCK:
		*c = POLICY_CAP_CLOCK;
		return q->word == POLICY_CLOCK_FIXED;
	case POLICY_ASK_RANDOM:
		*c = POLICY_CAP_RANDOM;
		return q->word == POLICY_RANDOM_SEEDED;
	case POLICY_ASK_SIGNATURE:
		*c = POLICY_CAP_SIGNATURE;
		return q->word == 0;
	default:
		return false;
	}
}

/* The layer that a denial names is the one that the answer names. */
static void
must_name_the_same_layer(const struct world *w, const struct policy_question *q, const json_t *json)
{
	const char *named = json_string_value(json_object_get(json_object_get(json, "rule"), "layer"));
	struct policy_denial denial;
	enum policy_capability c;

	if (!capability_of(q, &c))
		return;
	if (policy_explain(w->layers, w->count, c, q->target, &denial, NULL) == 0)
		assert_string_equal(named, policy_layer_name(denial.layer));
	else
		assert_string_equal(named, "request");
}

/* What a rule says stands where it says. */
static void
must_stand_there(const struct world *w, const json_t *json)
{
	const json_t *rule;
	size_t i;

	json_array_foreach(json_object_get(json, "layers"), i, rule) {
		const struct policy_document *d = w->stated[i].document;
		size_t line = (size_t)json_integer_value(json_object_get(rule, "line"));
		size_t column = (size_t)json_integer_value(json_object_get(rule, "column"));
		const char *at = d->text;
		json_t *value;

		assert_true(line > 0 && column > 0);
		while (--line > 0)
			at = strchr(at, '\n') + 1;
		at += column - 1; /* all is ASCII here */
		value = json_loadb(at, strlen(at), JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, NULL);
		assert_non_null(value);
		if (json_object_get(rule, "value") != NULL)
			assert_true(json_equal(value, json_object_get(rule, "value")));
		json_decref(value);
	}
}

static void
answers_are_what_is_decided(void **state)
{
	size_t allowed_count = 0;

	(void)state;
	roll_start(UINT64_C(0x6578706c61696e));
	for (int round = 0; round < 600; round++) {
		struct world w = generated_world();

		for (int i = 0; i < 5; i++) {
			char text[200];
			struct policy_question q = question(generated_question(text));
			bool allowed;
			json_t *json = answer(w.stated, w.count, text, &allowed);

			if (allowed != is_granted(&w, &q))
				fail_msg("seed %llu, round %d: %s is explained as %s", (unsigned long long)roll_seed, round, text,
				    allowed ? "allowed" : "denied");
			if (!allowed && q.kind != POLICY_ASK_NET)
				must_name_the_same_layer(&w, &q, json);
			must_stand_there(&w, json);
			allowed_count += allowed;
			json_decref(json);
		}
		end_world(&w);
	}
	assert_in_range(allowed_count, 150, 2850);
}

/* --- grants, put into documents as policy/explain.h says -------------------------------------------------------------- */

static const char *
base_of(const json_t *entry)
{
	const json_t *mount = json_object_get(entry, "mount");

	return json_string_value(mount != NULL ? mount : json_object_get(entry, "under"));
}

/* Takes away what a document says of a path in `paths`. */
static void
forget_inner(json_t *fs, const char *path)
{
	json_t *entry, *value;
	const char *name;
	size_t i;
	void *tmp;

	json_array_foreach(fs, i, entry)
		json_object_foreach_safe(json_object_get(entry, "paths"), tmp, name, value) {
			char whole[200];

			snprintf(whole, sizeof(whole), "%s/%s", strcmp(base_of(entry), "/") == 0 ? "" : base_of(entry), name);
			if (strcmp(whole, path) == 0)
				json_object_del(json_object_get(entry, "paths"), name);
		}
}

static void
put_entry(json_t *fs, json_t *grant)
{
	json_t *entry = NULL, *paths;
	size_t i;

	json_array_foreach(fs, i, entry)
		if (strcmp(base_of(entry), base_of(grant)) == 0)
			break;
	if (i == json_array_size(fs)) {
		forget_inner(fs, base_of(grant));
		json_array_append(fs, grant);
		return;
	}
	paths = json_object_get(entry, "paths");
	paths = paths == NULL ? json_object() : json_incref(paths);
	json_object_update(paths, json_object_get(grant, "paths"));
	json_object_del(entry, "mount");
	json_object_del(entry, "under");
	json_object_update(entry, grant);
	json_object_set_new(entry, "paths", paths);
}

static json_t *
with_grant(const json_t *document, const json_t *grant)
{
	json_t *json = json_deep_copy(document), *value, *item;
	const char *name;
	size_t i;

	json_object_foreach((json_t *)(uintptr_t)grant, name, value) {
		json_t *old = json_object_get(json, name);

		if (json_is_null(value)) {
			json_object_del(json, name);
		} else if (json_is_array(value)) {
			if (old == NULL)
				json_object_set_new(json, name, old = json_array());
			json_array_foreach(value, i, item) {
				if (strcmp(name, "fs") == 0)
					put_entry(old, item);
				else
					json_array_append(old, item);
			}
		} else if (json_is_object(value) && old != NULL) {
			json_object_update(old, value);
		} else {
			json_object_set(json, name, value);
		}
	}
	return json;
}

/* The place of the layer with this name that the answer is about: the first that says "deny", or the request's. */
static size_t
denying_layer(const struct world *w, const json_t *json)
{
	const json_t *layers = json_object_get(json, "layers");
	size_t i = 0;

	while (i < w->count && strcmp(json_string_value(json_object_get(json_array_get(layers, i), "answer")), "deny") != 0)
		i++;
	for (size_t k = 0; i == w->count && k < w->count; k++)
		if (w->stated[k].kind == POLICY_LAYER_REQUEST)
			return k;
	return i;
}

/* Follows the grants until the question is allowed; each must settle its layer. Returns how many it took; -1 for none. */
static int
follow_grants(struct world *w, const char *text)
{
	for (int steps = 0;; steps++) {
		bool allowed;
		json_t *json = answer(w->stated, w->count, text, &allowed), *grant = json_object_get(json, "grant"), *changed;
		size_t i = denying_layer(w, json);

		if (allowed || !json_is_object(grant)) {
			json_decref(json);
			return allowed ? steps : -1;
		}
		if (steps > LAYERS + 1) {
			char *told = json_dumps(json, 0);

			fail_msg("seed %llu: %s: the grants lead nowhere: %s", (unsigned long long)roll_seed, text, told);
		}
		if (i == w->count) { /* there is no request yet */
			json_t *empty = json_object();

			changed = with_grant(empty, grant);
			json_decref(empty);
			w->stated[w->count++].kind = POLICY_LAYER_REQUEST;
		} else {
			changed = with_grant(w->stated[i].document->json, grant);
			policy_document_free((struct policy_document *)(uintptr_t)w->stated[i].document);
		}
		w->stated[i].document = written(changed);
		w->layers[i] = (struct policy_layer){w->stated[i].kind, w->stated[i].document->policy};
		json_decref(changed);
		json_decref(json);
	}
}

static void
what_is_denied_is_allowed_once_the_grants_are_put_in(void **state)
{
	size_t followed = 0;

	(void)state;
	roll_start(UINT64_C(0x6772616e74));
	for (int round = 0; round < 1500; round++) {
		struct world w = generated_world();
		char text[200];
		struct policy_question q = question(generated_question(text));
		int steps = follow_grants(&w, text);

		if (steps < 0 && q.kind != POLICY_ASK_NET && !(q.kind == POLICY_ASK_FS_KIND && q.fs_kind == POLICY_FS_INLINE))
			fail_msg("seed %llu, round %d: no grant for %s", (unsigned long long)roll_seed, round, text);
		followed += steps > 0;
		end_world(&w);
	}
	assert_true(followed > 350);
}

/* --- diff --------------------------------------------------------------------------------------------------------- */

static void
differences_are_told_as_sentences(void **state)
{
	static const struct {
		const char *a, *b, *texts;
	} cases[] = {
	    {"{}", "{\"version\":1,\"clock\":\"none\",\"env\":[],\"fs\":[],\"mode\":\"enforce\"}", ""},
	    {"{\"env\":[\"A\",\"A*\"]}", "{\"env\":[\"A*\"]}", ""},
	    {"{\"fs\":[{\"mount\":\"/a\",\"rights\":[\"write\",\"read\"],\"paths\":{\"b\":[\"read\",\"write\"]}}]}",
	        "{\"fs\":[{\"mount\":\"/a\",\"rights\":[\"read\",\"write\"]}]}", ""},
	    {"{\"limits\":{\"wall_ms\":10000,\"fuel\":5}}", "{\"limits\":{\"wall_ms\":5000}}",
	        "a limits.wall_ms: 10 s in A, 5 s in B\nb limits.fuel: 5 in A, not limited in B\n"},
	    {"{\"args\":true,\"clock\":\"coarse\"}", "{\"clock\":\"real\",\"signature\":{\"module\":\"optional\"}}",
	        "a args: true in A, false in B\nb clock: coarse in A, real in B\n"
	        "b signature.module: required in A, optional in B\n"},
	    {"{\"clock\":\"fixed\",\"clock_fixed_ns\":1}", "{\"clock\":\"fixed\"}",
	        "b clock_fixed_ns: 1 in A, left to others in B\n"},
	    {"{\"clock\":\"fixed\",\"clock_fixed_ns\":1}", "{\"clock\":\"fixed\",\"clock_fixed_ns\":2}",
	        "b clock_fixed_ns: 1 in A, 2 in B\na clock_fixed_ns: 1 in A, 2 in B\n"},
	    {"{\"env\":[\"LC_ALL\",\"X\"],\"tools\":[\"t\"]}", "{\"env\":[\"LC_*\"]}",
	        "a env: variables X only in A\nb env: variables LC_* only in B\na tools: the tool t only in A\n"},
	    {"{\"fs\":[{\"mount\":\"/w\",\"rights\":[\"read\"]}]}",
	        "{\"fs\":[{\"mount\":\"/w\",\"kind\":\"inline\",\"rights\":[\"read\",\"write\",\"create\"],\"paths\":{\"x\":[]}},"
	        "{\"under\":\"/v\"}]}",
	        "b fs: write, create at /w and below only in B\nb fs: /w and below can be inline only in B\n"
	        "b fs: /v and below can be in a mount (tmp) only in B\na fs: read at /w/x and below only in A\n"
	        "b fs: /w/x and below can be inline only in B\n"},
	    {"{\"fs\":[{\"mount\":\"/w\"}]}", "{\"fs\":[{\"under\":\"/w\"}]}",
	        "b fs: whether there is a mount at /w is left open in B; the other has one\n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct policy_document *a = document(cases[i].a, NULL), *b = document(cases[i].b, NULL);
		json_t *list = NULL, *one;
		char text[1000] = "";
		struct err e;
		size_t k;

		assert_int_equal(policy_diff(a->policy, b->policy, &list, &e), 0);
		json_array_foreach(list, k, one)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s %s\n",
			    json_string_value(json_object_get(one, "more")), json_string_value(json_object_get(one, "text")));
		assert_string_equal(text, cases[i].texts);
		json_decref(list);
		policy_document_free(a);
		policy_document_free(b);
	}
}

static bool
has_more(const json_t *list, const char *who)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
		if (strcmp(json_string_value(json_object_get(one, "more")), who) == 0)
			return true;
	return false;
}

static void
differences_are_there_exactly_when_one_allows_more(void **state)
{
	size_t same = 0;

	(void)state;
	roll_start(UINT64_C(0x64696666));
	for (int round = 0; round < 1500; round++) {
		json_t *one = policies_generate(roll(16)), *other = roll(3) ? policies_generate(roll(16)) : json_deep_copy(one), *list;
		struct policy_document *a = written(one), *b = written(other);
		struct policy *m = NULL;
		struct err e;

		if (roll(2)) { /* one that is narrower */
			assert_int_equal(policy_meet(a->policy, b->policy, &m, &e), 0);
			policy_free(b->policy);
			b->policy = m;
		}
		assert_int_equal(policy_diff(a->policy, b->policy, &list, &e), 0);
		if (has_more(list, "b") == policy_allows(a->policy, b->policy) ||
		    has_more(list, "a") == policy_allows(b->policy, a->policy))
			fail_msg("seed %llu, round %d: %s and %s", (unsigned long long)roll_seed, round, a->text, b->text);
		same += json_array_size(list) == 0;
		json_decref(list);
		json_decref(one);
		json_decref(other);
		policy_document_free(a);
		policy_document_free(b);
	}
	assert_true(same > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_questions_one_after_the_other_and_as_one_word),
	    cmocka_unit_test(refuses_questions_that_make_no_sense_and_says_why),
	    cmocka_unit_test(names_the_rule_its_layer_and_where_it_stands),
	    cmocka_unit_test(the_built_in_ceiling_has_rules_but_no_lines),
	    cmocka_unit_test(answers_are_what_is_decided),
	    cmocka_unit_test(what_is_denied_is_allowed_once_the_grants_are_put_in),
	    cmocka_unit_test(differences_are_told_as_sentences),
	    cmocka_unit_test(differences_are_there_exactly_when_one_allows_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
