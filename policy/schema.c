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
	return json_pack("{s:s, s:b}", "type", "boolean", "default", 0);
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
	return json_pack("{s:s, s:b, s:{s:o, s:o}}", "type", "object", "additionalProperties", 0, "properties", "module",
	    words_schema(policy_signature_words, POLICY_COUNT_OF(policy_signature_words)), "source",
	    words_schema(policy_signature_words, POLICY_COUNT_OF(policy_signature_words)));
}

static json_t *
rights_schema(void)
{
	return json_pack("{s:s, s:o, s:[]}", "type", "array", "items",
	    words_schema(policy_fs_right_words, POLICY_COUNT_OF(policy_fs_right_words)), "default");
}

static json_t *
schema_fs(void)
{
	json_t *kind = words_schema(policy_fs_kind_words, POLICY_COUNT_OF(policy_fs_kind_words));
	json_t *mount = json_pack("{s:s, s:s, s:i}", "type", "string", "pattern", "^/", "maxLength", POLICY_PATH_MAX);
	json_t *paths = json_pack("{s:s, s:o}", "type", "object", "additionalProperties", rights_schema());

	return json_pack("{s:s, s:i, s:{s:s, s:b, s:[{s:[s]}, {s:[s]}], s:{s:O, s:o, s:o, s:o, s:o}}}", "type", "array",
	    "maxItems", POLICY_PATHS_MAX, "items", "type", "object", "additionalProperties", 0, "oneOf", "required", "mount",
	    "required", "under", "properties", "mount", mount, "under", mount, "kind", kind, "rights", rights_schema(), "paths",
	    paths);
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
	return json_pack("{s:[s]}", "enum", "enforce");
}

json_t *
policy_schema(void)
{
	static json_t *(*const schemas[POLICY_FIELD_COUNT])(void) = {
#define X(name, text) schema_##name,
	    POLICY_FIELDS(X)
#undef X
	};
	json_t *properties = json_object();

	for (size_t i = 0; i < POLICY_FIELD_COUNT; i++) {
		json_t *one = schemas[i]();

		if (json_object_set_new(one, "description", json_string(policy_field_texts[i])) != 0 ||
		    json_object_set_new(properties, policy_field_names[i], one) != 0) {
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
