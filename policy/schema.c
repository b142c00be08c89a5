/* policy/schema: the JSON Schema of policy documents, from the tables that parse.c obeys. Pure; brig. */

#include "policy/internal.h"

#include <stdio.h>

static json_t *
words_schema(const char *const *words, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(words[i]));
	return json_pack("{s:o}", "enum", list);
}

static json_t *
schema_version(void)
{
	return json_pack("{s:i}", "const", POLICY_VERSION);
}

static json_t *
schema_limits(void)
{
	json_t *properties = json_object();

	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++) {
		const struct policy_limit_info *l = &policy_limit_info[i];
		json_t *one = json_pack("{s:s, s:I, s:I, s:s}", "type", "integer", "minimum", (json_int_t)l->minimum,
		    "maximum", (json_int_t)l->maximum, "description", l->text);

		if (l->initial != 0)
			json_object_set_new(one, "default", json_integer((json_int_t)l->initial));
		json_object_set_new(properties, l->name, one);
	}
	return json_pack("{s:s, s:b, s:o}", "type", "object", "additionalProperties", 0, "properties", properties);
}

static json_t *
schema_args(void)
{
	return json_pack("{s:s}", "type", "boolean");
}

static json_t *
schema_env(void)
{
	return json_pack("{s:s, s:i, s:{s:s, s:i, s:i, s:s}}", "type", "array", "maxItems", POLICY_NAMES_MAX, "items",
	    "type", "string", "minLength", 1, "maxLength", POLICY_NAME_MAX, "pattern",
	    "^[^\\u0000-\\u001f\\u007f=*]*\\*?$");
}

static json_t *
schema_clock(void)
{
	return words_schema(policy_clock_words, POLICY_COUNT_OF(policy_clock_words));
}

static json_t *
schema_clock_fixed_ns(void)
{
	return json_pack("{s:s, s:i, s:I}", "type", "integer", "minimum", 0, "maximum", (json_int_t)INT64_MAX);
}

static json_t *
schema_random(void)
{
	return words_schema(policy_random_words, POLICY_COUNT_OF(policy_random_words));
}

static json_t *
schema_seed(void)
{
	char pattern[32];

	snprintf(pattern, sizeof(pattern), "^[0-9a-fA-F]{%d}$", 2 * POLICY_SEED_SIZE);
	return json_pack("{s:s, s:s}", "type", "string", "pattern", pattern);
}

static json_t *
schema_output(void)
{
	return words_schema(policy_output_words, POLICY_COUNT_OF(policy_output_words));
}

static json_t *
schema_signature(void)
{
	json_t *words = words_schema(policy_signature_words, POLICY_COUNT_OF(policy_signature_words));

	return json_pack("{s:s, s:b, s:{s:O, s:o}}", "type", "object", "additionalProperties", 0, "properties", "module", words,
	    "source", words);
}

static json_t *
rights_schema(void)
{
	return json_pack("{s:s, s:o}", "type", "array", "items",
	    words_schema(policy_fs_right_words, POLICY_COUNT_OF(policy_fs_right_words)));
}

/* Components that are not "." or "..", without control characters; the parser counts their bytes. */
#define COMPONENT "(?!\\.{1,2}(/|$))[^/\\u0000-\\u001f\\u007f]{1,255}"

/* What an entry of "fs" has: name, schema (taken), what is meant when it is not stated, an example, text. */
static int
add_member(json_t *properties, const char *name, json_t *schema, const char *absent, const char *example,
    const char *text)
{
	int bad = json_object_set_new(schema, "description", json_string(text));

	if (absent != NULL)
		bad |= json_object_set_new(schema, "default", json_loads(absent, JSON_DECODE_ANY, NULL));
	bad |= json_object_set_new(schema, "examples", json_pack("[o]", json_loads(example, JSON_DECODE_ANY, NULL)));
	return bad | json_object_set_new(properties, name, schema);
}

static json_t *
path_schema(void)
{
	return json_pack("{s:s, s:s, s:i}", "type", "string", "pattern", "^(/|(/" COMPONENT ")+)$", "maxLength",
	    POLICY_PATH_MAX);
}

static json_t *
entry_properties(void)
{
	json_t *properties = json_object();

	if (add_member(properties, "mount", path_schema(), NULL, "\"/workspace\"",
	    "its path for the guest: absolute, without `.`, `..` and a slash at the end") != 0 ||
	    add_member(properties, "under", path_schema(), NULL, "\"/\"",
	    "instead of `mount`: the guest finds nothing there by this, but another layer may have mounts at this path and "
	    "below, with these rights. What a ceiling or a grant is made of; the built-in ceiling has `/`") != 0 ||
	    add_member(properties, "kind", words_schema(policy_fs_kind_words, POLICY_COUNT_OF(policy_fs_kind_words)),
	    "\"tmp\"", "\"inline\"", "what it holds at first: nothing (`tmp`), files of the request (`inline`), or a directory of "
	    "the host that the client serves (`dir`); each allows what those before it do") != 0 ||
	    add_member(properties, "rights", rights_schema(), "[]", "[\"read\", \"create\"]",
	    "what may be done there, of `read`, `write`, `create`, `delete` ([WASI](wasi.md#rights))") != 0 ||
	    add_member(properties, "paths", json_pack("{s:s, s:{s:s}, s:o}", "type", "object", "propertyNames", "pattern",
	    "^" COMPONENT "(/" COMPONENT ")*$", "additionalProperties", rights_schema()), "{}", "{\"src/gen\": [\"read\"]}",
	    "other rights from paths inside on") != 0) {
		json_decref(properties);
		return NULL;
	}
	return properties;
}

static json_t *
schema_fs(void)
{
	return json_pack("{s:s, s:i, s:{s:s, s:b, s:[{s:[s]}, {s:[s]}], s:o}}", "type", "array", "maxItems", POLICY_PATHS_MAX,
	    "items", "type", "object", "additionalProperties", 0, "oneOf", "required", "mount", "required", "under", "properties",
	    entry_properties());
}

static json_t *
schema_tools(void)
{
	return json_pack("{s:s, s:i, s:{s:s, s:i, s:s}}", "type", "array", "maxItems", POLICY_TOOLS_MAX, "items", "type",
	    "string", "maxLength", POLICY_TOOL_NAME_MAX, "pattern", "^[A-Za-z0-9_-][A-Za-z0-9_.-]*$");
}

static json_t *
schema_net(void)
{
	return json_pack("{s:s, s:i}", "type", "array", "maxItems", 0);
}

static json_t *
schema_mode(void)
{
	return words_schema(policy_mode_words, POLICY_COUNT_OF(policy_mode_words));
}

/* What each field means when it is not stated, and an example, as JSON. */
static const struct {
	const char *absent, *example;
} samples[POLICY_FIELD_COUNT] = {
    [POLICY_FIELD_version] = {"1", "1"},
    [POLICY_FIELD_limits] = {"{}", "{\"wall_ms\": 30000}"},
    [POLICY_FIELD_args] = {"false", "true"},
    [POLICY_FIELD_env] = {"[]", "[\"LANG\", \"LC_*\"]"},
    [POLICY_FIELD_clock] = {"\"none\"", "\"coarse\""},
    [POLICY_FIELD_clock_fixed_ns] = {"0", "1700000000000000000"},
    [POLICY_FIELD_random] = {"\"none\"", "\"seeded\""},
    [POLICY_FIELD_seed] = {"\"0000000000000000000000000000000000000000000000000000000000000000\"",
        "\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\""},
    [POLICY_FIELD_output] = {"\"cut\"", "\"end\""},
    [POLICY_FIELD_signature] = {"{\"module\": \"required\", \"source\": \"required\"}", "{\"module\": \"optional\"}"},
    [POLICY_FIELD_fs] = {"[]", "[{\"mount\": \"/workspace\", \"kind\": \"inline\", \"rights\": [\"read\"]}]"},
    [POLICY_FIELD_tools] = {"[]", "[\"search_docs\"]"},
    [POLICY_FIELD_net] = {"[]", "[]"},
    [POLICY_FIELD_mode] = {"\"enforce\"", "\"enforce\""},
};

/* A field's own schema, with what is said about it; NULL when out of memory. */
static json_t *
field_schema(enum policy_field i)
{
	static json_t *(*const schemas[POLICY_FIELD_COUNT])(void) = {
#define X(name, text) schema_##name,
	    POLICY_FIELDS(X)
#undef X
	};
	json_t *one = schemas[i]();

	if (json_object_set_new(one, "description", json_string(policy_field_texts[i])) == 0 &&
	    json_object_set_new(one, "default", json_loads(samples[i].absent, JSON_DECODE_ANY, NULL)) == 0 &&
	    json_object_set_new(one, "examples", json_pack("[o]", json_loads(samples[i].example, JSON_DECODE_ANY, NULL))) == 0)
		return one;
	json_decref(one);
	return NULL;
}

json_t *
policy_schema(void)
{
	json_t *properties = json_object();

	for (enum policy_field i = 0; i < POLICY_FIELD_COUNT; i++) {
		if (json_object_set_new(properties, policy_field_names[i], field_schema(i)) != 0) {
			json_decref(properties);
			return NULL;
		}
	}
	return json_pack("{s:s, s:s, s:s, s:b, s:o, s:{s:{s:[s], s:{s:{s:s}}}, s:{s:[s], s:{s:{s:s}}}}}", "$schema",
	    "https://json-schema.org/draft/2020-12/schema", "title", "brig policy document", "type", "object",
	    "additionalProperties", 0, "properties", properties, "dependentSchemas", "clock_fixed_ns", "required", "clock",
	    "properties", "clock", "const", "fixed", "seed", "required", "random", "properties", "random", "const",
	    "seeded");
}
