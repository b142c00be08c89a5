/* test_policy: documents, their meet and the decisions made by them. Unit test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "policy/policy.h"
#include "tests/unit/policies.h"
#include "tests/unit/roll.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static struct policy *
parsed(const char *text)
{
	struct policy *p = NULL;
	struct err e = {0};

	if (policy_parse(text, strlen(text), NULL, &p, &e) != 0)
		fail_msg("%s: %s", text, e.msg);
	return p;
}

static char *
dumped(const struct policy *p)
{
	json_t *json = policy_to_json(p);
	char *text = json_dumps(json, POLICY_JSON_FLAGS);

	json_decref(json);
	return text;
}

static struct policy *
met(const struct policy *a, const struct policy *b)
{
	struct policy *m = NULL;
	struct err e = {0};

	assert_int_equal(policy_meet(a, b, &m, &e), 0);
	return m;
}

/* --- reading -------------------------------------------------------------------------------------------------- */

static void
empty_document_grants_nothing(void **state)
{
	struct policy *p = parsed("{}");

	(void)state;
	assert_false(p->args);
	assert_int_equal(p->env.count, 0);
	assert_int_equal(p->clock, POLICY_CLOCK_NONE);
	assert_int_equal(p->random, POLICY_RANDOM_NONE);
	assert_int_equal(p->signature_module, POLICY_SIGNATURE_REQUIRED);
	assert_int_equal(p->signature_source, POLICY_SIGNATURE_REQUIRED);
	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++)
		assert_true(p->limits[i] == POLICY_UNSET);
	policy_free(p);
}

static void
reads_every_field(void **state)
{
	struct policy *p = parsed("{\"version\":1,\"limits\":{\"wall_ms\":5,\"fuel\":9},\"args\":true,"
	    "\"env\":[\"LANG\",\"LC_*\"],"
	    "\"clock\":\"fixed\",\"clock_fixed_ns\":1700000000000000000,\"random\":\"seeded\","
	    "\"seed\":\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\",\"output\":\"end\","
	    "\"signature\":{\"module\":\"optional\",\"source\":\"optional\"},\"fs\":[{\"mount\":\"/w\","
	    "\"kind\":\"inline\",\"rights\":[\"delete\",\"read\",\"read\"],\"paths\":{\"src\":[],\"src/a\":[],"
	    "\"b\":[\"read\",\"delete\"]}}],\"tools\":[\"x\",\"a-b\",\"x\"],\"net\":[],"
	    "\"mode\":\"enforce\"}");
	char *text;

	(void)state;
	assert_true(p->limits[POLICY_LIMIT_wall_ms] == 5);
	assert_true(p->limits[POLICY_LIMIT_fuel] == 9);
	assert_true(p->limits[POLICY_LIMIT_cpu_ms] == POLICY_UNSET);
	assert_true(p->args);
	assert_int_equal(p->seed[31], 0x1f);
	text = dumped(p);
	assert_string_equal(text, "{\"args\":true,\"clock\":\"fixed\",\"clock_fixed_ns\":1700000000000000000,"
	    "\"env\":[\"LANG\",\"LC_*\"],\"fs\":[{\"kind\":\"inline\",\"mount\":\"/w\",\"paths\":{\"src\":[]},"
	    "\"rights\":[\"read\",\"delete\"]}],\"limits\":{\"fuel\":9,\"wall_ms\":5},\"output\":\"end\",\"random\":\"seeded\","
	    "\"seed\":\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\","
	    "\"signature\":{\"module\":\"optional\",\"source\":\"optional\"},\"tools\":[\"a-b\",\"x\"],\"version\":1}");
	free(text);
	policy_free(p);
}

/* Each wrong document and what its message has to say. */
static const struct {
	const char *text;
	const char *says;
} wrong[] = {
    {"", "line 1"},
    {"{\n  \"args\": true,\n  \"env\": [\"A\", 1]\n}", "line 3, column 16: $.env[1] must be a string"},
    {"{\n  \"args\": true,\n  \"argv\": true\n}", "line 3, column 3: $.argv is not known"},
    {"[]", "must be an object, not a list"},
    {"{\"args\":true,\"args\":true}", "duplicate"},
    {"{\"args\":true} x", "line 1, column"},
    {"{\"argz\":true}", "$.argz is not known; did you mean \"args\"?"},
    {"{\"zzzzzzzzz\":1}", "$.zzzzzzzzz is not known"},
    {"{\"version\":2}", "$.version must be 1"},
    {"{\"version\":\"1\"}", "$.version must be 1"},
    {"{\"limits\":[]}", "$.limits must be an object, not a list"},
    {"{\"limits\":{\"wall_sm\":1}}", "$.limits.wall_sm is not known; did you mean \"wall_ms\"?"},
    {"{\"limits\":{\"wall_ms\":-1}}", "$.limits.wall_ms is -1, less than its minimum of 1"},
    {"{\"limits\":{\"wall_ms\":1.5}}", "$.limits.wall_ms must be a whole number, not a fraction"},
    {"{\"limits\":{\"wall_ms\":1e3}}", "$.limits.wall_ms must be a whole number"},
    {"{\"limits\":{\"wall_ms\":\"5s\"}}", "$.limits.wall_ms must be a whole number, not a string"},
    {"{\"limits\":{\"wall_ms\":null}}", "$.limits.wall_ms must be a whole number, not null"},
    {"{\"limits\":{\"wall_ms\":3600001}}", "$.limits.wall_ms is 3600001, more than its maximum of 3600000"},
    {"{\"limits\":{\"wall_ms\":99999999999999999999}}", "too big"},
    {"{\"args\":1}", "$.args must be true or false, not a number"},
    {"{\"env\":\"LANG\"}", "$.env must be a list of names, not a string"},
    {"{\"env\":[\"A\",1]}", "$.env[1] must be a string, not a number"},
    {"{\"env\":[\"\"]}", "$.env[0] must be 1 to 255 bytes long"},
    {"{\"env\":[\"A=B\"]}", "$.env[0] is \"A=B\""},
    {"{\"env\":[\"A\\n\"]}", "$.env[0] is \"A?\""},
    {"{\"env\":[\"*A\"]}", "'*' may only stand at the end"},
    {"{\"clock\":\"Real\"}", "$.clock is \"Real\", but must be one of \"none\", \"fixed\", \"coarse\", \"real\""},
    {"{\"clock\":true}", "$.clock must be"},
    {"{\"clock_fixed_ns\":1}", "goes only with \"clock\": \"fixed\", but clock is \"none\""},
    {"{\"clock\":\"fixed\",\"clock_fixed_ns\":-1}", "$.clock_fixed_ns is -1, less than its minimum of 0"},
    {"{\"random\":\"seeded\",\"seed\":\"00\"}", "$.seed must be a string of 64 hexadecimal digits"},
    {"{\"random\":\"real\",\"seed\":\"0000000000000000000000000000000000000000000000000000000000000000\"}",
	"$.seed goes only with \"random\": \"seeded\""},
    {"{\"output\":\"drop\"}", "$.output is \"drop\""},
    {"{\"signature\":\"required\"}", "$.signature must be an object"},
    {"{\"signature\":{\"modul\":\"required\"}}", "$.signature.modul is not known; did you mean \"module\"?"},
    {"{\"signature\":{\"module\":\"none\"}}", "$.signature.module is \"none\""},
    {"{\"fs\":{}}", "$.fs must be a list of mounts"},
    {"{\"fs\":[\"/\"]}", "$.fs[0] must be an object"},
    {"{\"fs\":[{}]}", "$.fs[0] must have a path as \"mount\" or as \"under\""},
    {"{\"fs\":[{\"mount\":\"/a\",\"under\":\"/a\"}]}", "$.fs[0] must have a path as \"mount\" or as \"under\""},
    {"{\"fs\":[{\"mount\":\"/a\"},{\"under\":\"/a\"}]}", "$.fs[1].under: \"/a\" is there twice"},
    {"{\"fs\":[{\"mount\":\"/a\"},{\"muont\":\"/\"}]}", "$.fs[1].muont is not known; did you mean \"mount\"?"},
    {"{\"fs\":[{\"mount\":\"a\"}]}", "$.fs[0].mount: \"a\" does not begin with \"/\""},
    {"{\"fs\":[{\"mount\":\"/a/\"}]}", "ends with \"/\""},
    {"{\"fs\":[{\"mount\":\"//\"}]}", "has an empty component"},
    {"{\"fs\":[{\"mount\":\"/a/../b\"}]}", "has \".\" or \"..\" in it"},
    {"{\"fs\":[{\"mount\":\"/a/.\"}]}", "has \".\" or \"..\" in it"},
    {"{\"fs\":[{\"mount\":\"/a\\n\"}]}", "has a control character in it"},
    {"{\"fs\":[{\"mount\":\"/a\"},{\"mount\":\"/a\"}]}", "$.fs[1].mount: \"/a\" is there twice"},
    {"{\"fs\":[{\"mount\":\"/a\",\"kind\":\"disk\"}]}", "must be one of \"tmp\", \"inline\", \"dir\""},
    {"{\"fs\":[{\"mount\":\"/a\",\"rights\":\"read\"}]}", "$.fs[0].rights must be a list of rights"},
    {"{\"fs\":[{\"mount\":\"/a\",\"rights\":[\"execute\"]}]}", "must be one of \"read\", \"write\", \"create\", \"delete\""},
    {"{\"fs\":[{\"mount\":\"/a\",\"paths\":[]}]}", "$.fs[0].paths must be an object of paths"},
    {"{\"fs\":[{\"mount\":\"/a\",\"paths\":{\"/b\":[]}}]}", "has an empty component"},
    {"{\"fs\":[{\"mount\":\"/a\",\"paths\":{\"..\":[]}}]}", "has \".\" or \"..\" in it"},
    {"{\"tools\":[\"x y\"]}", "$.tools[0] is \"x y\", but the name of a tool is"},
    {"{\"tools\":{\"x\":1}}", "$.tools must be a list of names"},
    {"{\"net\":[\"example.com\"]}", "$.net must be an empty list"},
    {"{\"net\":{}}", "$.net must be a list, not an object"},
    {"{\"mode\":\"watch\"}", "$.mode is \"watch\", but must be one of \"enforce\", \"learn\""},
};

static void
refuses_wrong_documents_and_says_where(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		struct policy *untouched = (struct policy *)&untouched;
		struct policy *p = untouched;
		struct err e = {0};

		if (policy_parse(wrong[i].text, strlen(wrong[i].text), NULL, &p, &e) != ERR_INVAL)
			fail_msg("accepted: %s", wrong[i].text);
		if (strstr(e.msg, wrong[i].says) == NULL)
			fail_msg("%s\n gave: %s\n not:  %s", wrong[i].text, e.msg, wrong[i].says);
		assert_ptr_equal(p, untouched);
	}
}

static void
tells_all_that_is_wrong_in_the_order_of_the_text(void **state)
{
	static const char text[] = "{\n  \"seed\": \"00\",\n  \"fs\": [ { \"rights\": [\"raed\", 7], \"kind\": 1,\n"
	    "            \"mount\": \"w\" } ],\n  \"clock_fixed_ns\": 1,\n  \"limits\": { \"wall_sm\": 1, \"cpu_ms\": 0 }\n}";
	static const char *const says[] = {"p.json:2:11: $.seed must be", "p.json:3:24: $.fs[0].rights[0] is \"raed\"",
	    "p.json:3:32: $.fs[0].rights[1] must be one of", "p.json:3:44: $.fs[0].kind must be one of",
	    "p.json:4:22: $.fs[0].mount: \"w\" does not begin", "p.json:5:3: $.clock_fixed_ns goes only with",
	    "p.json:6:15: $.limits.wall_sm is not known; did you mean \"wall_ms\"?", "p.json:6:39: $.limits.cpu_ms is 0, less"};
	struct policy_problems all;
	struct policy_document *d = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(policy_document_parse(text, strlen(text), "p.json", &all, &d, &e), ERR_INVAL);
	assert_int_equal(all.kept, COUNT_OF(says));
	assert_int_equal(all.more, 0);
	assert_string_equal(e.msg, all.list[0].e.msg);
	for (size_t i = 0; i < COUNT_OF(says); i++)
		if (strstr(all.list[i].e.msg, says[i]) != all.list[i].e.msg)
			fail_msg("%zu: %s, not %s", i, all.list[i].e.msg, says[i]);
	assert_null(d);
}

static void
counts_the_problems_that_it_does_not_keep(void **state)
{
	struct policy_problems all;
	struct policy_document *d = NULL;
	json_t *env = json_array(), *json = json_pack("{s:o}", "env", env);
	struct err e;

	(void)state;
	for (size_t i = 0; i < POLICY_PROBLEMS_MAX + 5; i++) {
		char *text;

		json_array_append_new(env, json_integer(1));
		text = json_dumps(json, 0);
		assert_int_equal(policy_document_parse(text, strlen(text), NULL, &all, &d, &e), ERR_INVAL);
		assert_int_equal(all.kept + all.more, i + 1);
		assert_int_equal(all.kept, i < POLICY_PROBLEMS_MAX ? i + 1 : POLICY_PROBLEMS_MAX);
		free(text);
	}
	assert_int_equal(policy_document_parse("{", 1, "x", &all, &d, &e), ERR_INVAL);
	assert_int_equal(all.kept, 1);
	assert_string_equal(e.msg, all.list[0].e.msg);
	json_decref(json);
}

static void
accepts_each_limit_at_its_ends_and_refuses_one_past_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++) {
		unsigned long long max = policy_limit_info[i].maximum, min = policy_limit_info[i].minimum;
		char text[128];
		struct policy *p;
		struct err e;

		assert_true(policy_limit_info[i].initial <= max);
		snprintf(text, sizeof(text), "{\"limits\":{\"%s\":%llu}}", policy_limit_info[i].name, max);
		p = parsed(text);
		assert_true(p->limits[i] == max);
		policy_free(p);
		snprintf(text, sizeof(text), "{\"limits\":{\"%s\":%llu}}", policy_limit_info[i].name, max + 1);
		assert_int_equal(policy_parse(text, strlen(text), NULL, &p, &e), ERR_INVAL);
		assert_non_null(strstr(e.msg, "more than its maximum"));
		snprintf(text, sizeof(text), "{\"limits\":{\"%s\":%llu}}", policy_limit_info[i].name, min);
		p = parsed(text);
		assert_true(p->limits[i] == min);
		policy_free(p);
		snprintf(text, sizeof(text), "{\"limits\":{\"%s\":%lld}}", policy_limit_info[i].name, (long long)min - 1);
		assert_int_equal(policy_parse(text, strlen(text), NULL, &p, &e), ERR_INVAL);
		assert_non_null(strstr(e.msg, "less than its minimum"));
	}
}

static void
refuses_a_document_past_its_size_and_a_list_past_its_length(void **state)
{
	size_t length = POLICY_TEXT_MAX + 1;
	char *text = malloc(length);
	json_t *env = json_array(), *json = json_pack("{s:o}", "env", env);
	struct policy *p;
	struct err e;

	(void)state;
	memset(text, ' ', length);
	memcpy(text, "{}", 2);
	assert_int_equal(policy_parse(text, length, NULL, &p, &e), ERR_LIMIT);
	assert_int_equal(policy_parse(text, length - 1, NULL, &p, &e), 0);
	assert_int_equal(policy_parse("{\"version\":1\0}", 14, NULL, &p, &e), ERR_INVAL);
	policy_free(p);
	free(text);
	for (size_t i = 0; i < POLICY_NAMES_MAX; i++)
		json_array_append_new(env, json_sprintf("N%zu", i));
	assert_int_equal(policy_from_json(json, &p, &e), 0);
	assert_int_equal(p->env.count, POLICY_NAMES_MAX);
	policy_free(p);
	json_array_append_new(env, json_string("ONE_MORE"));
	assert_int_equal(policy_from_json(json, &p, &e), ERR_INVAL);
	json_decref(json);
}

static void
env_patterns_are_sorted_and_each_within_another_is_dropped(void **state)
{
	struct policy *p = parsed("{\"env\":[\"Z\",\"LC_ALL\",\"LC_*\",\"Z\",\"A\",\"LC_*\"]}");

	(void)state;
	assert_int_equal(p->env.count, 3);
	assert_string_equal(p->env.list[0], "A");
	assert_string_equal(p->env.list[1], "LC_*");
	assert_string_equal(p->env.list[2], "Z");
	assert_true(policy_env_allowed(p, "LC_CTYPE"));
	assert_true(policy_env_allowed(p, "LC_"));
	assert_false(policy_env_allowed(p, "LC"));
	assert_false(policy_env_allowed(p, "ZZ"));
	policy_free(p);
}

static void
same_meaning_gives_the_same_digest(void **state)
{
	struct policy *a = parsed("{\"env\":[\"B\",\"A\"],\"args\":true,\"limits\":{\"wall_ms\":1,\"cpu_ms\":2}}");
	struct policy *b = parsed("{ \"limits\":{\"cpu_ms\":2,\"wall_ms\":1}, \"env\":[\"A\",\"B\",\"A\"], \"args\":true, "
	    "\"clock\":\"none\", \"fs\":[] }");
	struct policy *c = parsed("{\"env\":[\"B\",\"A\"],\"args\":true,\"limits\":{\"wall_ms\":1,\"cpu_ms\":3}}");
	struct digest da, db, dc;
	struct err e;

	(void)state;
	assert_int_equal(policy_digest(a, &da, &e), 0);
	assert_int_equal(policy_digest(b, &db, &e), 0);
	assert_int_equal(policy_digest(c, &dc, &e), 0);
	assert_true(digest_equal(&da, &db));
	assert_false(digest_equal(&da, &dc));
	policy_free(a);
	policy_free(b);
	policy_free(c);
}

/* --- meet: properties over generated documents ---------------------------------------------------------------- */

static struct policy *
generated(void)
{
	json_t *json = policies_generate(1);
	struct policy *p;
	struct err e;

	if (policy_from_json(json, &p, &e) != 0)
		fail_msg("generator: %s", e.msg);
	json_decref(json);
	return p;
}

static void
same_or_fail(const char *law, const struct policy *a, const struct policy *b)
{
	char *ta = dumped(a), *tb = dumped(b);

	if (strcmp(ta, tb) != 0 || !policy_equal(a, b))
		fail_msg("seed %llu: %s:\n %s\n %s", (unsigned long long)roll_seed, law, ta, tb);
	free(ta);
	free(tb);
}

static void
meet_is_commutative_associative_idempotent_and_never_widens(void **state)
{
	(void)state;
	roll_start(UINT64_C(0x9e3779b97f4a7c15));
	for (int round = 0; round < 3000; round++) {
		struct policy *a = generated(), *b = generated(), *c = generated();
		struct policy *ab = met(a, b), *ba = met(b, a), *bc = met(b, c);
		struct policy *left = met(ab, c), *right = met(a, bc), *aa = met(a, a);

		same_or_fail("commutative", ab, ba);
		same_or_fail("associative", left, right);
		same_or_fail("idempotent", a, aa);
		assert_true(policy_allows(a, ab) && policy_allows(b, ab));
		assert_true(policy_allows(c, left) && policy_allows(ab, left));
		/* Greatest: what both allow, the meet allows. */
		if (policy_allows(a, c) && policy_allows(b, c))
			assert_true(policy_allows(ab, c));
		/* Order and meet tell the same story. */
		assert_int_equal(policy_allows(a, b), policy_equal(ab, b));
		policy_free(a);
		policy_free(b);
		policy_free(c);
		policy_free(ab);
		policy_free(ba);
		policy_free(bc);
		policy_free(left);
		policy_free(right);
		policy_free(aa);
	}
}

static void
document_survives_json_and_back(void **state)
{
	(void)state;
	roll_start(42);
	for (int round = 0; round < 2000; round++) {
		struct policy *a = generated(), *b = NULL;
		json_t *json = policy_to_json(a);
		struct err e;

		assert_int_equal(policy_from_json(json, &b, &e), 0);
		same_or_fail("json", a, b);
		json_decref(json);
		policy_free(a);
		policy_free(b);
	}
}

static void
different_fixed_clocks_leave_none(void **state)
{
	struct policy *a = parsed("{\"clock\":\"fixed\",\"clock_fixed_ns\":1}");
	struct policy *b = parsed("{\"clock\":\"fixed\",\"clock_fixed_ns\":2}");
	struct policy *real = parsed("{\"clock\":\"real\"}");
	struct policy *m = met(a, b), *fixed = met(a, real);

	(void)state;
	assert_int_equal(m->clock, POLICY_CLOCK_NONE);
	assert_int_equal(fixed->clock, POLICY_CLOCK_FIXED);
	assert_true(fixed->clock_fixed_ns == 1);
	policy_free(a);
	policy_free(b);
	policy_free(real);
	policy_free(m);
	policy_free(fixed);
}

/* --- effective ------------------------------------------------------------------------------------------------ */

/* The effective wall_ms of a ceiling, an owner's grant and a request, each a document or NULL. */
static uint64_t
effective_wall(const char *ceiling, const char *owner, const char *request)
{
	struct policy_layer layers[] = {
	    {POLICY_LAYER_CEILING, ceiling == NULL ? NULL : parsed(ceiling)},
	    {POLICY_LAYER_OWNER, owner == NULL ? NULL : parsed(owner)},
	    {POLICY_LAYER_REQUEST, request == NULL ? NULL : parsed(request)},
	};
	struct policy *p;
	struct err e;
	uint64_t wall;

	assert_int_equal(policy_effective(layers, COUNT_OF(layers), &p, &e), 0);
	wall = p->limits[POLICY_LIMIT_wall_ms];
	policy_free(p);
	for (size_t i = 0; i < COUNT_OF(layers); i++)
		policy_free((struct policy *)(uintptr_t)layers[i].policy);
	return wall;
}

static void
limit_is_the_default_unless_the_request_states_one(void **state)
{
	uint64_t initial = policy_limit_info[POLICY_LIMIT_wall_ms].initial;

	(void)state;
	assert_true(effective_wall("{}", NULL, NULL) == initial);
	assert_true(effective_wall("{}", NULL, "{}") == initial);
	assert_true(effective_wall("{\"limits\":{\"wall_ms\":3600000}}", "{\"limits\":{\"wall_ms\":60000}}", NULL) == initial);
	assert_true(effective_wall("{\"limits\":{\"wall_ms\":7}}", NULL, NULL) == 7);
	assert_true(effective_wall("{\"limits\":{\"wall_ms\":3600000}}", "{\"limits\":{\"wall_ms\":60000}}",
	    "{\"limits\":{\"wall_ms\":3600000}}") == 60000);
	assert_true(effective_wall("{}", NULL, "{\"limits\":{\"wall_ms\":3600000}}") == 3600000);
	assert_true(effective_wall("{}", NULL, "{\"limits\":{\"wall_ms\":1}}") == 1);
}

static void
effective_sets_every_limit_but_fuel(void **state)
{
	struct policy *builtin, *p;
	struct policy_layer layer = {POLICY_LAYER_CEILING, NULL};
	struct err e;

	(void)state;
	assert_int_equal(policy_effective(&layer, 1, &p, &e), ERR_INVAL);
	assert_int_equal(policy_builtin(&builtin, &e), 0);
	layer.policy = builtin;
	assert_int_equal(policy_effective(&layer, 1, &p, &e), 0);
	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++)
		assert_int_equal(p->limits[i] == POLICY_UNSET, i == POLICY_LIMIT_fuel);
	assert_int_equal(p->signature_module, POLICY_SIGNATURE_REQUIRED);
	policy_free(p);
	policy_free(builtin);
}

/* --- learn mode ------------------------------------------------------------------------------------------------ */

#define LEARN "{\"mode\": \"learn\"}"

/* Whether a run learns under a ceiling, an owner's grant and a request; *layer is who withholds it, if one does. */
static bool
learns(const char *ceiling, const char *owner, const char *request, enum policy_layer_kind *layer)
{
	struct policy_layer layers[] = {
	    {POLICY_LAYER_CEILING, ceiling == NULL ? NULL : parsed(ceiling)},
	    {POLICY_LAYER_OWNER, owner == NULL ? NULL : parsed(owner)},
	    {POLICY_LAYER_REQUEST, request == NULL ? NULL : parsed(request)},
	};
	const struct policy_ask ask = {.module_signed = true,
	    .learn = request != NULL && layers[2].policy->mode == POLICY_MODE_LEARN};
	struct policy_denial denial = {.message = ""};
	struct policy *p = NULL;
	bool learn;
	struct err e;
	int rc;

	assert_int_equal(policy_effective(layers, COUNT_OF(layers), &p, &e), 0);
	learn = p->mode == POLICY_MODE_LEARN;
	rc = policy_check_run(layers, COUNT_OF(layers), &ask, &denial, &e);
	assert_int_equal(rc, ask.learn && !learn ? ERR_DENIED : 0);
	if (rc != 0) {
		assert_int_equal(denial.capability, POLICY_CAP_MODE);
		assert_string_equal(denial.grant, LEARN);
		*layer = denial.layer;
	}
	policy_free(p);
	for (size_t i = 0; i < COUNT_OF(layers); i++)
		policy_free((struct policy *)(uintptr_t)layers[i].policy);
	return learn;
}

static void
learn_mode_is_asked_for_by_the_request_and_granted_by_all_others(void **state)
{
	enum policy_layer_kind layer = POLICY_LAYER_REQUEST;

	(void)state;
	assert_true(learns(LEARN, NULL, LEARN, &layer));
	assert_true(learns(LEARN, LEARN, LEARN, &layer));
	assert_false(learns(LEARN, LEARN, NULL, &layer));
	assert_false(learns(LEARN, LEARN, "{}", &layer));
	assert_false(learns("{}", LEARN, LEARN, &layer));
	assert_int_equal(layer, POLICY_LAYER_CEILING);
	assert_false(learns(LEARN, "{\"mode\": \"enforce\"}", LEARN, &layer));
	assert_int_equal(layer, POLICY_LAYER_OWNER);
}

static void
what_learns_asks_for_all_that_it_does_not_narrow_itself(void **state)
{
	struct policy *p = parsed("{\"mode\": \"learn\", \"limits\": {\"wall_ms\": 7}, \"tools\": [\"t\"], \"env\": [\"A\"],"
	    "\"clock\": \"fixed\", \"clock_fixed_ns\": 3, \"fs\": [{\"mount\": \"/w\", \"kind\": \"inline\", \"paths\":"
	    "{\"a\": [\"read\"]}}, {\"mount\": \"/r\", \"rights\": [\"read\"]}]}");
	struct policy *want = parsed("{\"mode\": \"learn\", \"limits\": {\"wall_ms\": 7}, \"tools\": [\"t\"], \"env\": [\"*\"],"
	    "\"args\": true, \"clock\": \"fixed\", \"clock_fixed_ns\": 3, \"random\": \"real\", \"fs\": [{\"mount\": \"/w\","
	    "\"kind\": \"inline\", \"rights\": [\"read\", \"write\", \"create\", \"delete\"], \"paths\": {\"a\": [\"read\"]}},"
	    "{\"mount\": \"/r\", \"rights\": [\"read\"]}], \"signature\": {\"module\": \"optional\", \"source\": \"optional\"}}");
	struct err e;

	(void)state;
	assert_int_equal(policy_learn(p, &e), 0);
	assert_true(policy_equal(p, want));
	policy_free(p);
	policy_free(want);
}

/* What is learned under `effective` when these paths were used, as JSON text of its "fs". The caller frees it. */
static char *
learned_fs(const char *effective, const struct policy_use *files, size_t count)
{
	struct policy *p = parsed(effective), *learned = NULL;
	struct policy_uses uses = {.effective = p, .request = p, .files = files, .file_count = count};
	struct err e;
	json_t *json;
	char *text;

	memset(uses.used, 0xff, sizeof(uses.used));
	assert_int_equal(policy_learned(&uses, &learned, &e), 0);
	assert_true(policy_allows(p, learned));
	json = policy_to_json(learned);
	policy_free(p);
	assert_int_equal(policy_from_json(json, &p, &e), 0); /* it is a document */
	text = json_dumps(json_object_get(json, "fs"), JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(json);
	policy_free(learned);
	policy_free(p);
	return text;
}

#define USE(path, rights, extent) {(char *)(uintptr_t)(path), rights, POLICY_EXTENT_##extent}
#define FS_ALL "\"rights\":[\"read\",\"write\",\"create\",\"delete\"]"

static void
paths_are_generalised_and_never_past_what_was_allowed(void **state)
{
	static const char all[] = "{\"fs\":[{\"mount\":\"/w\"," FS_ALL "},{\"mount\":\"/w/m\"," FS_ALL "}]}";
	static const char less[] = "{\"fs\":[{\"mount\":\"/w\",\"rights\":[\"read\"],\"paths\":{\"a\":[]}}]}";
	static const struct {
		const char *effective;
		struct policy_use files[8];
		const char *fs;
	} list[] = {
	    {all, {USE("/w/a/b", POLICY_FS_READ, PATH)}, "\"paths\":{\"a/b\":[\"read\"]},\"rights\":[]}"},
	    {all, {USE("/w/a", POLICY_FS_READ, PATH), USE("/w/a/b", POLICY_FS_WRITE, PATH)},
	        "\"paths\":{\"a\":[\"read\"],\"a/b\":[\"read\",\"write\"]},\"rights\":[]}"},
	    {all, {USE("/w/t1", POLICY_FS_CREATE, PATH), USE("/w/t1/f", POLICY_FS_CREATE, PATH),
	              USE("/w/t1/f", POLICY_FS_DELETE, PATH)}, "\"paths\":{},\"rights\":[\"create\",\"delete\"]}"},
	    {all, {USE("/w/d", POLICY_FS_CREATE, BELOW), USE("/w/d/x/y", POLICY_FS_READ, PATH)},
	        "\"paths\":{\"d\":[\"read\",\"create\"]},\"rights\":[]}"},
	    {all, {USE("/w/d", 0, TOGETHER), USE("/w/d/x/y", POLICY_FS_READ, PATH), USE("/w/d/z", POLICY_FS_DELETE, PATH)},
	        "\"paths\":{\"d\":[\"read\",\"delete\"]},\"rights\":[]}"},
	    {all, {USE("/w/n\nl/f", POLICY_FS_READ, PATH)}, "\"paths\":{},\"rights\":[\"read\"]}"},
	    {less, {USE("/w/a/b", 15, BELOW), USE("/w", 15, BELOW)}, "\"paths\":{\"a\":[]},\"rights\":[\"read\"]}"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(list); i++) {
		size_t count = 0;
		char *text;

		while (list[i].files[count].path != NULL)
			count++;
		text = learned_fs(list[i].effective, list[i].files, count);
		if (strstr(text, list[i].fs) == NULL)
			fail_msg("%zu: %s instead of %s", i, text, list[i].fs);
		free(text);
	}
}

static void
a_mount_inside_another_keeps_its_own_rules(void **state)
{
	static const char all[] = "{\"fs\":[{\"mount\":\"/w\"," FS_ALL "},{\"mount\":\"/w/m\"," FS_ALL "}]}";
	const struct policy_use files[] = {USE("/w/m/f", POLICY_FS_CREATE, PATH), USE("/w/g", POLICY_FS_READ, PATH)};
	char *text = learned_fs(all, files, 2);

	(void)state;
	assert_non_null(strstr(text, "\"mount\":\"/w/m\",\"paths\":{},\"rights\":[\"create\"]"));
	assert_non_null(strstr(text, "\"mount\":\"/w\",\"paths\":{\"g\":[\"read\"]},\"rights\":[]"));
	free(text);
}

/* What is allowed has as many paths as a document can have, and other ones were used: both together are too many for one. */
static void
what_is_learned_always_fits_a_document(void **state)
{
	struct policy_use files[512];
	char *names = malloc(sizeof(files) / sizeof(files[0]) * 32), *effective = malloc(65536), *text;
	size_t used = (size_t)sprintf(effective, "{\"fs\":[{\"mount\":\"/w\"," FS_ALL ",\"paths\":{");

	(void)state;
	for (size_t i = 0; i < POLICY_PATHS_MAX - 1; i++)
		used += (size_t)sprintf(effective + used, "%s\"p%zu\":[\"read\"]", i > 0 ? "," : "", i);
	sprintf(effective + used, "}}]}");
	for (size_t i = 0; i < COUNT_OF(files); i++) {
		sprintf(names + i * 32, "/w/d%zu/f", i);
		files[i] = (struct policy_use)USE(names + i * 32, POLICY_FS_DELETE, PATH);
	}
	files[0] = (struct policy_use)USE("/w", POLICY_FS_READ | POLICY_FS_WRITE, BELOW);
	text = learned_fs(effective, files, COUNT_OF(files));
	assert_non_null(strstr(text, "\"p1\":[\"read\"]"));
	assert_non_null(strstr(text, "\"rights\":[\"read\",\"write\",\"delete\"]"));
	assert_null(strstr(text, "\"d1"));
	free(text);
	free(effective);
	free(names);
}

static void
learned_limits_are_twice_what_was_used_and_round(void **state)
{
	static const struct {
		enum policy_limit limit;
		uint64_t used, learned;
	} list[] = {{POLICY_LIMIT_wall_ms, 0, 1000}, {POLICY_LIMIT_wall_ms, 500, 1000}, {POLICY_LIMIT_wall_ms, 501, 2000},
	    {POLICY_LIMIT_wall_ms, 1001, 5000}, {POLICY_LIMIT_wall_ms, 9000, 10000}, /* no more than it had */
	    {POLICY_LIMIT_memory_bytes, 1, 1 << 20}, {POLICY_LIMIT_memory_bytes, (1 << 20) + 1, 4 << 20},
	    {POLICY_LIMIT_host_calls, 12345, 50000}, {POLICY_LIMIT_fs_bytes, UINT64_MAX - 1, 67108864}};
	struct policy *request = parsed("{\"limits\":{\"open_files\":9}}"), *effective = NULL, *learned;
	struct policy_layer layer = {POLICY_LAYER_REQUEST, request};
	struct err e;

	(void)state;
	assert_int_equal(policy_effective(&layer, 1, &effective, &e), 0);
	for (size_t i = 0; i < COUNT_OF(list); i++) {
		struct policy_uses uses = {.effective = effective, .request = request};

		memset(uses.used, 0xff, sizeof(uses.used));
		uses.used[list[i].limit] = list[i].used;
		assert_int_equal(policy_learned(&uses, &learned, &e), 0);
		assert_int_equal(learned->limits[list[i].limit], list[i].learned);
		assert_int_equal(learned->limits[POLICY_LIMIT_open_files], 9);
		assert_true(learned->limits[POLICY_LIMIT_args_bytes] == POLICY_UNSET);
		policy_free(learned);
	}
	policy_free(effective);
	policy_free(request);
}

/* --- decisions ------------------------------------------------------------------------------------------------ */

struct decision {
	struct policy *ceiling, *request;
	struct policy_denial denial;
	int code;
};

static struct decision
decide(const char *ceiling, const char *request, const struct policy_ask *ask)
{
	struct decision d = {.ceiling = parsed(ceiling), .request = request == NULL ? NULL : parsed(request)};
	struct policy_layer layers[] = {{POLICY_LAYER_CEILING, d.ceiling}, {POLICY_LAYER_REQUEST, d.request}};
	struct err e = {0};

	d.code = policy_check_run(layers, COUNT_OF(layers), ask, &d.denial, &e);
	if (d.code != 0)
		assert_string_equal(d.denial.message, e.msg);
	policy_free(d.ceiling);
	policy_free(d.request);
	return d;
}

/* What the denial's grant says has to be enough when it is put into the document of its layer. */
static void
unsigned_module_needs_every_layer_to_say_optional(void **state)
{
	static const char optional[] = "{\"signature\":{\"module\":\"optional\"}}";
	const struct policy_ask ask = {0};
	struct decision d = decide("{}", NULL, &ask);

	(void)state;
	assert_int_equal(d.code, ERR_SIGNATURE);
	assert_int_equal(d.denial.layer, POLICY_LAYER_CEILING);
	assert_string_equal(d.denial.grant, "{\"signature\": {\"module\": \"optional\"}}");
	d = decide(optional, "{}", &ask);
	assert_int_equal(d.code, ERR_SIGNATURE);
	assert_int_equal(d.denial.layer, POLICY_LAYER_REQUEST);
	assert_int_equal(decide(optional, optional, &ask).code, 0);
	assert_int_equal(decide(optional, NULL, &ask).code, 0);
	assert_int_equal(decide("{}", optional, &ask).code, ERR_SIGNATURE);
}

static void
denial_names_capability_layer_target_and_grant(void **state)
{
	const char *const env[] = {"LANG", "SECRET"};
	const struct policy_ask with_args = {.module_signed = true, .argc = 1};
	const struct policy_ask with_env = {.module_signed = true, .env = env, .envc = 2};
	struct decision d = decide("{\"args\":true}", "{}", &with_args);

	(void)state;
	assert_int_equal(d.code, ERR_DENIED);
	assert_int_equal(d.denial.capability, POLICY_CAP_ARGS);
	assert_int_equal(d.denial.layer, POLICY_LAYER_REQUEST);
	assert_string_equal(d.denial.grant, "{\"args\": true}");
	d = decide("{\"env\":[\"L*\"]}", NULL, &with_env);
	assert_int_equal(d.code, ERR_DENIED);
	assert_int_equal(d.denial.capability, POLICY_CAP_ENV);
	assert_string_equal(d.denial.target, "SECRET");
	assert_string_equal(d.denial.grant, "{\"env\": [\"SECRET\"]}");
	assert_string_equal(d.denial.message, "the environment variable SECRET is not granted by the operator's ceiling; "
	    "{\"env\": [\"SECRET\"]} there would grant it");
	assert_int_equal(decide("{\"env\":[\"L*\",\"SECRET\"]}", NULL, &with_env).code, 0);
}

static void
bytes_at_the_limit_are_allowed_and_one_more_is_not(void **state)
{
	struct policy_ask ask = {.module_signed = true, .stdin_bytes = 10};
	uint64_t initial = policy_limit_info[POLICY_LIMIT_stdin_bytes].initial;
	struct decision d;

	(void)state;
	assert_int_equal(decide("{\"limits\":{\"stdin_bytes\":10}}", NULL, &ask).code, 0);
	ask.stdin_bytes = 11;
	d = decide("{\"limits\":{\"stdin_bytes\":10}}", NULL, &ask);
	assert_int_equal(d.code, ERR_LIMIT);
	assert_int_equal(d.denial.layer, POLICY_LAYER_CEILING);
	assert_string_equal(d.denial.grant, "{\"limits\": {\"stdin_bytes\": 11}}");
	ask.stdin_bytes = initial;
	assert_int_equal(decide("{}", NULL, &ask).code, 0);
	ask.stdin_bytes = initial + 1;
	d = decide("{}", NULL, &ask);
	assert_int_equal(d.code, ERR_LIMIT);
	assert_int_equal(d.denial.layer, POLICY_LAYER_REQUEST);
	ask.stdin_bytes = policy_limit_info[POLICY_LIMIT_stdin_bytes].maximum + 1;
	d = decide("{}", NULL, &ask);
	assert_string_equal(d.denial.grant, "");
	assert_non_null(strstr(d.denial.message, "no policy can allow more"));
}

static void
a_long_name_is_refused_without_being_cut_to_another(void **state)
{
	char name[600];
	const char *const env[] = {name};
	const struct policy_ask ask = {.module_signed = true, .env = env, .envc = 1};
	struct decision d;

	(void)state;
	memset(name, 'N', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	d = decide("{}", NULL, &ask);
	assert_int_equal(d.code, ERR_DENIED);
	assert_string_equal(d.denial.target, "");
	assert_string_equal(d.denial.grant, "");
}

/* What two documents' files come to together. */
static void
files_meet_path_by_path(void **state)
{
	static const struct {
		const char *a, *b, *both;
	} cases[] = {
	    {"[]", "[{\"mount\":\"/w\"}]", "[]"},
	    {"[{\"mount\":\"/w\"}]", "[{\"mount\":\"/v\"}]", "[]"},
	    {"[{\"mount\":\"/w\"}]", "[{\"mount\":\"/ww\"}]", "[]"},
	    {"[{\"under\":\"/\",\"kind\":\"inline\",\"rights\":[\"read\"]}]", "[{\"mount\":\"/w\",\"rights\":[\"read\",\"write\"]}]",
	        "[{\"kind\":\"tmp\",\"mount\":\"/w\",\"paths\":{},\"rights\":[\"read\"]}]"},
	    {"[{\"under\":\"/\",\"rights\":[\"read\"]}]", "[{\"under\":\"/w\",\"rights\":[\"read\",\"write\"]}]",
	        "[{\"kind\":\"tmp\",\"paths\":{},\"rights\":[\"read\"],\"under\":\"/w\"}]"},
	    {"[{\"mount\":\"/w\",\"kind\":\"inline\"}]", "[{\"under\":\"/\",\"kind\":\"inline\"},{\"under\":\"/w/x\"}]",
	        "[{\"kind\":\"inline\",\"mount\":\"/w\",\"paths\":{},\"rights\":[]},{\"kind\":\"tmp\",\"paths\":{},\"rights\":[],"
	        "\"under\":\"/w/x\"}]"},
	    {"[{\"mount\":\"/\",\"rights\":[\"read\",\"write\"]}]", "[{\"mount\":\"/w\",\"rights\":[\"read\",\"delete\"]}]",
	        "[{\"kind\":\"tmp\",\"mount\":\"/w\",\"paths\":{},\"rights\":[\"read\"]}]"},
	    {"[{\"mount\":\"/w\",\"kind\":\"inline\",\"rights\":[\"read\",\"write\"]}]",
	        "[{\"mount\":\"/w/src\",\"kind\":\"tmp\",\"rights\":[\"write\"]}]",
	        "[{\"kind\":\"tmp\",\"mount\":\"/w/src\",\"paths\":{},\"rights\":[\"write\"]}]"},
	    {"[{\"mount\":\"/w\",\"kind\":\"inline\",\"rights\":[\"read\"],\"paths\":{\"src\":[\"read\",\"write\"]}}]",
	        "[{\"mount\":\"/w\",\"kind\":\"inline\",\"rights\":[\"read\",\"write\"],\"paths\":{\"src/gen\":[]}}]",
	        "[{\"kind\":\"inline\",\"mount\":\"/w\",\"paths\":{\"src\":[\"read\",\"write\"],\"src/gen\":[]},"
	        "\"rights\":[\"read\"]}]"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char texts[2][300];
		struct policy *a, *b, *m;
		json_t *json;
		char *text;

		snprintf(texts[0], sizeof(texts[0]), "{\"fs\":%s}", cases[i].a);
		snprintf(texts[1], sizeof(texts[1]), "{\"fs\":%s}", cases[i].b);
		a = parsed(texts[0]);
		b = parsed(texts[1]);
		m = met(a, b);
		json = policy_to_json(m);
		text = json_dumps(json_object_get(json, "fs"), POLICY_JSON_FLAGS);
		assert_string_equal(text, cases[i].both);
		free(text);
		json_decref(json);
		policy_free(a);
		policy_free(b);
		policy_free(m);
	}
}

static void
files_need_a_mount_that_takes_them(void **state)
{
	static const char *const inside[] = {"/w/a"}, *const beside[] = {"/ww/a"};
	static const char ceiling[] = "{\"fs\":[{\"under\":\"/\",\"kind\":\"inline\"}]}";
	static const char mounted[] = "{\"fs\":[{\"mount\":\"/\",\"kind\":\"inline\"}]}";
	struct policy_ask ask = {.module_signed = true, .files = inside, .filec = 1, .files_bytes = 5};
	struct decision d;

	(void)state;
	assert_int_equal(decide(mounted, NULL, &ask).code, 0);
	d = decide(ceiling, NULL, &ask); /* allowed, but nowhere to be */
	assert_int_equal(d.code, ERR_DENIED);
	assert_int_equal(d.denial.layer, POLICY_LAYER_REQUEST);
	assert_int_equal(decide(ceiling, "{\"fs\":[{\"mount\":\"/w/a\",\"kind\":\"inline\"}]}", &ask).code, ERR_DENIED);
	assert_int_equal(decide(ceiling, "{\"fs\":[{\"mount\":\"/w\",\"kind\":\"inline\"}]}", &ask).code, 0);
	d = decide(ceiling, "{\"fs\":[{\"mount\":\"/w\"}]}", &ask);
	assert_int_equal(d.code, ERR_DENIED);
	assert_int_equal(d.denial.layer, POLICY_LAYER_REQUEST);
	assert_int_equal(d.denial.capability, POLICY_CAP_FS_INLINE);
	assert_string_equal(d.denial.target, "/w/a");
	assert_string_equal(d.denial.grant, "{\"fs\": [{\"mount\": \"/w\", \"kind\": \"inline\"}]}");
	d = decide("{}", NULL, &ask);
	assert_int_equal(d.denial.layer, POLICY_LAYER_CEILING);
	ask.files = beside;
	assert_int_equal(decide(ceiling, "{\"fs\":[{\"mount\":\"/w\",\"kind\":\"inline\"}]}", &ask).code, ERR_DENIED);
	ask.files_bytes = policy_limit_info[POLICY_LIMIT_files_bytes].initial + 1;
	d = decide(mounted, NULL, &ask);
	assert_int_equal(d.code, ERR_LIMIT);
	assert_int_equal(d.denial.capability, POLICY_CAP_FILES_BYTES);
}

static void
directories_of_the_host_need_a_mount_of_their_own(void **state)
{
	static const char *const dirs[] = {"/w"}, *const inside[] = {"/w/a"}, *const deeper[] = {"/w/a/b"};
	static const char ceiling[] = "{\"fs\":[{\"under\":\"/\",\"kind\":\"dir\"}]}";
	static const char mounted[] = "{\"fs\":[{\"mount\":\"/w\",\"kind\":\"dir\"}]}";
	struct policy_ask ask = {.module_signed = true, .dirs = dirs, .dirc = 1};
	struct decision d;

	(void)state;
	assert_int_equal(decide(mounted, NULL, &ask).code, 0);
	assert_int_equal(decide(ceiling, mounted, &ask).code, 0);
	d = decide(ceiling, NULL, &ask); /* allowed, but nobody has put it there */
	assert_int_equal(d.code, ERR_DENIED);
	assert_int_equal(d.denial.layer, POLICY_LAYER_REQUEST);
	d = decide(ceiling, "{\"fs\":[{\"mount\":\"/\",\"kind\":\"dir\"}]}", &ask); /* only above */
	assert_int_equal(d.denial.layer, POLICY_LAYER_REQUEST);
	d = decide(ceiling, "{\"fs\":[{\"mount\":\"/w\",\"kind\":\"inline\"}]}", &ask);
	assert_int_equal(d.code, ERR_DENIED);
	assert_int_equal(d.denial.capability, POLICY_CAP_FS_DIR);
	assert_string_equal(d.denial.target, "/w");
	assert_string_equal(d.denial.grant, "{\"fs\": [{\"mount\": \"/w\", \"kind\": \"dir\"}]}");
	d = decide("{\"fs\":[{\"under\":\"/\",\"kind\":\"inline\"}]}", mounted, &ask);
	assert_int_equal(d.denial.layer, POLICY_LAYER_CEILING);
	ask.files = inside;
	ask.filec = 1;
	d = decide(mounted, NULL, &ask); /* not into a directory of the host */
	assert_int_equal(d.code, ERR_DENIED);
	assert_int_equal(d.denial.capability, POLICY_CAP_FS_INLINE);
	ask.dirc = 0; /* what may hold a directory of the host may hold files too */
	assert_int_equal(decide(mounted, NULL, &ask).code, 0);
	ask.dirc = 1;
	ask.files = deeper;
	assert_int_equal(decide("{\"fs\":[{\"mount\":\"/w\",\"kind\":\"dir\"},{\"mount\":\"/w/a\",\"kind\":\"inline\"}]}",
	    NULL, &ask).code, 0);
}

static void
explains_which_layer_withholds_a_right_at_a_path(void **state)
{
	struct policy *ceiling = parsed("{\"fs\":[{\"mount\":\"/\",\"rights\":[\"read\",\"write\"]}]}");
	struct policy *request = parsed("{\"fs\":[{\"mount\":\"/w\",\"rights\":[\"read\",\"create\"],\"paths\":"
	    "{\"src\":[\"write\"]}}]}");
	const struct policy_layer layers[] = {{POLICY_LAYER_CEILING, ceiling}, {POLICY_LAYER_REQUEST, request}};
	static const struct {
		enum policy_capability c;
		const char *path;
		int code;
		enum policy_layer_kind layer;
	} cases[] = {
	    {POLICY_CAP_FS_READ, "/w/a", ERR_NOTFOUND, 0},
	    {POLICY_CAP_FS_WRITE, "/w/a", 0, POLICY_LAYER_REQUEST},
	    {POLICY_CAP_FS_WRITE, "/w/src", ERR_NOTFOUND, 0},
	    {POLICY_CAP_FS_WRITE, "/w/src/a", ERR_NOTFOUND, 0},
	    {POLICY_CAP_FS_WRITE, "/w/src2", 0, POLICY_LAYER_REQUEST},
	    {POLICY_CAP_FS_READ, "/w/src/a", 0, POLICY_LAYER_REQUEST},
	    {POLICY_CAP_FS_CREATE, "/w/a", 0, POLICY_LAYER_CEILING},
	    {POLICY_CAP_FS_DELETE, "/w/a", 0, POLICY_LAYER_CEILING},
	    {POLICY_CAP_FS_READ, "/x", 0, POLICY_LAYER_REQUEST},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct policy_denial d;
		struct err e;

		assert_int_equal(policy_explain(layers, 2, cases[i].c, cases[i].path, &d, &e), cases[i].code);
		if (cases[i].code == 0)
			assert_int_equal(d.layer, cases[i].layer);
	}
	policy_free(ceiling);
	policy_free(request);
}

static void
explains_a_clock_that_two_layers_fixed_differently(void **state)
{
	struct policy *a = parsed("{\"clock\":\"fixed\",\"clock_fixed_ns\":1}");
	struct policy *b = parsed("{\"clock\":\"fixed\",\"clock_fixed_ns\":2}");
	struct policy_layer layers[] = {{POLICY_LAYER_CEILING, a}, {POLICY_LAYER_OWNER, NULL}, {POLICY_LAYER_REQUEST, b}};
	struct policy_denial d;
	struct err e;

	(void)state;
	assert_int_equal(policy_explain(layers, 2, POLICY_CAP_CLOCK, NULL, &d, &e), ERR_NOTFOUND);
	assert_int_equal(policy_explain(layers, 3, POLICY_CAP_CLOCK, NULL, &d, &e), 0);
	assert_int_equal(d.layer, POLICY_LAYER_REQUEST);
	policy_free(a);
	policy_free(b);
}

/* --- limits as people write them ------------------------------------------------------------------------------ */

static const struct {
	const char *text;
	enum policy_limit limit;
	uint64_t value;
	const char *shown;
} amounts[] = {
    {"wall_ms=5s", POLICY_LIMIT_wall_ms, 5000, "5 s"},
    {"wall_ms=250", POLICY_LIMIT_wall_ms, 250, "250 ms"},
    {"cpu_ms=1m", POLICY_LIMIT_cpu_ms, 60000, "1 min"},
    {"cpu_ms=1h", POLICY_LIMIT_cpu_ms, 3600000, "1 h"},
    {"memory_bytes=200M", POLICY_LIMIT_memory_bytes, 200 * 1024 * 1024, "200 MiB"},
    {"memory_bytes=4GiB", POLICY_LIMIT_memory_bytes, UINT64_C(4294967296), "4 GiB"},
    {"memory_bytes=1000", POLICY_LIMIT_memory_bytes, 1000, "1000 bytes"},
    {"output_bytes=0", POLICY_LIMIT_output_bytes, 0, "0 bytes"},
    {"host_calls=2k", POLICY_LIMIT_host_calls, 2000, "2000"},
};

static void
reads_and_shows_limits_as_people_write_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(amounts); i++) {
		char text[POLICY_LIMIT_TEXT_SIZE];
		enum policy_limit limit;
		uint64_t value;
		struct err e = {0};

		if (policy_limit_parse(amounts[i].text, &limit, &value, &e) != 0)
			fail_msg("%s: %s", amounts[i].text, e.msg);
		assert_int_equal(limit, amounts[i].limit);
		assert_true(value == amounts[i].value);
		assert_string_equal(policy_limit_text(limit, value, text), amounts[i].shown);
	}
}

static const struct {
	const char *text;
	const char *says;
} wrong_amounts[] = {
    {"wall_ms", "NAME=VALUE"},
    {"wall_sm=5s", "did you mean wall_ms?"},
    {"wall_ms=", "a whole number, with ms, s, m or h or alone"},
    {"wall_ms=5x", "a whole number, with ms, s, m or h or alone"},
    {"wall_ms=1.5s", "a whole number"},
    {"wall_ms=-1", "a whole number"},
    {"wall_ms=200M", "a whole number"},
    {"wall_ms=0", "less than its minimum of 1"},
    {"wall_ms=2h", "more than its maximum of 1 h"},
    {"memory_bytes=99999999999999999999", "more than its maximum of 4 GiB"},
    {"memory_bytes=17179869184G", "more than its maximum"},
};

static void
refuses_limits_that_are_no_amount(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong_amounts); i++) {
		enum policy_limit limit;
		uint64_t value;
		struct err e = {0};

		assert_int_equal(policy_limit_parse(wrong_amounts[i].text, &limit, &value, &e), ERR_INVAL);
		if (strstr(e.msg, wrong_amounts[i].says) == NULL)
			fail_msg("%s gave: %s", wrong_amounts[i].text, e.msg);
	}
}

static void
schema_describes_every_field_and_limit(void **state)
{
	json_t *schema = policy_schema();
	json_t *properties = json_object_get(schema, "properties");
	json_t *limits = json_object_get(json_object_get(properties, "limits"), "properties");

	(void)state;
	assert_int_equal(json_object_size(properties), 14);
	assert_int_equal(json_object_size(limits), POLICY_LIMIT_COUNT);
	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++)
		assert_true((uint64_t)json_integer_value(json_object_get(json_object_get(limits, policy_limit_info[i].name),
		    "maximum")) == policy_limit_info[i].maximum);
	json_decref(schema);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(empty_document_grants_nothing),
	    cmocka_unit_test(reads_every_field),
	    cmocka_unit_test(refuses_wrong_documents_and_says_where),
	    cmocka_unit_test(tells_all_that_is_wrong_in_the_order_of_the_text),
	    cmocka_unit_test(counts_the_problems_that_it_does_not_keep),
	    cmocka_unit_test(accepts_each_limit_at_its_ends_and_refuses_one_past_them),
	    cmocka_unit_test(refuses_a_document_past_its_size_and_a_list_past_its_length),
	    cmocka_unit_test(env_patterns_are_sorted_and_each_within_another_is_dropped),
	    cmocka_unit_test(same_meaning_gives_the_same_digest),
	    cmocka_unit_test(meet_is_commutative_associative_idempotent_and_never_widens),
	    cmocka_unit_test(document_survives_json_and_back),
	    cmocka_unit_test(different_fixed_clocks_leave_none),
	    cmocka_unit_test(limit_is_the_default_unless_the_request_states_one),
	    cmocka_unit_test(effective_sets_every_limit_but_fuel),
	    cmocka_unit_test(learn_mode_is_asked_for_by_the_request_and_granted_by_all_others),
	    cmocka_unit_test(what_learns_asks_for_all_that_it_does_not_narrow_itself),
	    cmocka_unit_test(paths_are_generalised_and_never_past_what_was_allowed),
	    cmocka_unit_test(a_mount_inside_another_keeps_its_own_rules),
	    cmocka_unit_test(what_is_learned_always_fits_a_document),
	    cmocka_unit_test(learned_limits_are_twice_what_was_used_and_round),
	    cmocka_unit_test(unsigned_module_needs_every_layer_to_say_optional),
	    cmocka_unit_test(denial_names_capability_layer_target_and_grant),
	    cmocka_unit_test(bytes_at_the_limit_are_allowed_and_one_more_is_not),
	    cmocka_unit_test(a_long_name_is_refused_without_being_cut_to_another),
	    cmocka_unit_test(files_meet_path_by_path),
	    cmocka_unit_test(files_need_a_mount_that_takes_them),
	    cmocka_unit_test(directories_of_the_host_need_a_mount_of_their_own),
	    cmocka_unit_test(explains_which_layer_withholds_a_right_at_a_path),
	    cmocka_unit_test(explains_a_clock_that_two_layers_fixed_differently),
	    cmocka_unit_test(reads_and_shows_limits_as_people_write_them),
	    cmocka_unit_test(refuses_limits_that_are_no_amount),
	    cmocka_unit_test(schema_describes_every_field_and_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
