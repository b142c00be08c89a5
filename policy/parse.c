/* policy/parse: from JSON to a policy, strictly, saying where it is wrong. Pure; brigd and brig. */

#include "policy/internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"

/* --- one value ------------------------------------------------------------------------------------------------ */

static const char *
type_name(const json_t *v)
{
	static const char *const names[] = {
	    [JSON_OBJECT] = "an object",
	    [JSON_ARRAY] = "a list",
	    [JSON_STRING] = "a string",
	    [JSON_INTEGER] = "a number",
	    [JSON_REAL] = "a fraction",
	    [JSON_TRUE] = "true",
	    [JSON_FALSE] = "false",
	    [JSON_NULL] = "null",
	};

	return names[json_typeof(v)];
}

static int
wrong_type(const char *path, const char *wanted, const json_t *v, struct err *e)
{
	return err_set(e, ERR_INVAL, "%s must be %s, not %s", path, wanted, type_name(v));
}

/* Text from outside, made fit for a message: control characters as '?', cut after 40 bytes. */
static const char *
shown(const char *text, char out[48])
{
	size_t n = 0;

	for (; text[n] != '\0' && n < 40; n++)
		out[n] = (unsigned char)text[n] < 0x20 || text[n] == 0x7f ? '?' : text[n];
	memcpy(out + n, text[n] == '\0' ? "" : "...", text[n] == '\0' ? 1 : 4);
	return out;
}

static int
unknown_name(const char *path, const char *name, const char *const *known, size_t count, struct err *e)
{
	const char *near = nearest_name(name, known, count);
	char text[48];

	if (near != NULL)
		return err_set(e, ERR_INVAL, "%s.%s is not known; did you mean \"%s\"?", path, shown(name, text), near);
	return err_set(e, ERR_INVAL, "%s.%s is not known", path, shown(name, text));
}

static int
read_whole(const json_t *v, const char *path, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v))
		return wrong_type(path, "a whole number", v, e);
	if (n < 0 || (uint64_t)n < min)
		return err_set(e, ERR_INVAL, "%s is %lld, less than its minimum of %llu", path, (long long)n,
		    (unsigned long long)min);
	if ((uint64_t)n > max)
		return err_set(e, ERR_INVAL, "%s is %lld, more than its maximum of %llu", path, (long long)n,
		    (unsigned long long)max);
	*out = (uint64_t)n;
	return 0;
}

/* A string that is one of a few words; *out is the word's number. */
static int
read_word(const json_t *v, const char *path, const char *const *words, size_t count, unsigned *out, struct err *e)
{
	char list[128] = "", text[48];
	size_t used = 0;

	if (json_is_string(v))
		for (unsigned i = 0; i < count; i++)
			if (strcmp(json_string_value(v), words[i]) == 0) {
				*out = i;
				return 0;
			}
	for (size_t i = 0; i < count; i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s\"%s\"", i == 0 ? "" : ", ", words[i]);
	if (!json_is_string(v))
		return wrong_type(path, list, v, e);
	return err_set(e, ERR_INVAL, "%s is \"%s\", but must be one of %s", path, shown(json_string_value(v), text), list);
}

/* --- the fields, in the order of POLICY_FIELDS ---------------------------------------------------------------- */

static int
read_version(const json_t *v, struct policy *p, struct err *e)
{
	(void)p;
	if (!json_is_integer(v) || json_integer_value(v) != POLICY_VERSION)
		return err_set(e, ERR_INVAL, "$.version must be %d: no other version of the language is known",
		    POLICY_VERSION);
	return 0;
}

static int
read_limits(const json_t *v, struct policy *p, struct err *e)
{
	const char *name;
	json_t *value;

	if (!json_is_object(v))
		return wrong_type("$.limits", "an object", v, e);
	json_object_foreach((json_t *)(uintptr_t)v, name, value) {
		char path[64];
		size_t i = 0;
		int rc;

		while (i < POLICY_LIMIT_COUNT && strcmp(name, policy_limit_names[i]) != 0)
			i++;
		if (i == POLICY_LIMIT_COUNT)
			return unknown_name("$.limits", name, policy_limit_names, POLICY_LIMIT_COUNT, e);
		snprintf(path, sizeof(path), "$.limits.%s", name);
		rc = read_whole(value, path, policy_limit_info[i].minimum, policy_limit_info[i].maximum, &p->limits[i], e);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
read_args(const json_t *v, struct policy *p, struct err *e)
{
	if (!json_is_boolean(v))
		return wrong_type("$.args", "true or false", v, e);
	p->args = json_is_true(v);
	return 0;
}

/* A variable's name, or the beginning of one and '*'. */
static int
check_pattern(const json_t *v, size_t index, struct err *e)
{
	const char *s = json_string_value(v);
	const char *star;
	char text[48];

	if (s == NULL)
		return err_set(e, ERR_INVAL, "$.env[%zu] must be a string, not %s", index, type_name(v));
	if (json_string_length(v) == 0 || json_string_length(v) > POLICY_NAME_MAX)
		return err_set(e, ERR_INVAL, "$.env[%zu] must be 1 to %d bytes long", index, POLICY_NAME_MAX);
	for (size_t i = 0; s[i] != '\0'; i++)
		if (s[i] == '=' || (unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return err_set(e, ERR_INVAL, "$.env[%zu] is \"%s\", but no name of a variable has '=' or a control "
			    "character in it", index, shown(s, text));
	if ((star = strchr(s, '*')) != NULL && star[1] != '\0')
		return err_set(e, ERR_INVAL, "$.env[%zu] is \"%s\", but '*' may only stand at the end", index,
		    shown(s, text));
	return 0;
}

static int
read_env(const json_t *v, struct policy *p, struct err *e)
{
	size_t i;
	json_t *item;
	int rc;

	if (!json_is_array(v))
		return wrong_type("$.env", "a list of names", v, e);
	if (json_array_size(v) > POLICY_NAMES_MAX)
		return err_set(e, ERR_INVAL, "$.env has %zu names, more than %d", json_array_size(v), POLICY_NAMES_MAX);
	json_array_foreach(v, i, item)
		if ((rc = check_pattern(item, i, e)) != 0 ||
		    (rc = policy_env_add(p, json_string_value(item), e)) != 0)
			return rc;
	policy_env_tidy(p);
	return 0;
}

static int
read_clock(const json_t *v, struct policy *p, struct err *e)
{
	unsigned word;
	int rc = read_word(v, "$.clock", policy_clock_words, POLICY_COUNT_OF(policy_clock_words), &word, e);

	if (rc == 0)
		p->clock = word;
	return rc;
}

static int
read_clock_fixed_ns(const json_t *v, struct policy *p, struct err *e)
{
	p->has_clock_fixed_ns = true;
	return read_whole(v, "$.clock_fixed_ns", 0, INT64_MAX, &p->clock_fixed_ns, e);
}

static int
read_random(const json_t *v, struct policy *p, struct err *e)
{
	unsigned word;
	int rc = read_word(v, "$.random", policy_random_words, POLICY_COUNT_OF(policy_random_words), &word, e);

	if (rc == 0)
		p->random = word;
	return rc;
}

static int
read_seed(const json_t *v, struct policy *p, struct err *e)
{
	const char *s = json_string_value(v);
	size_t length = 0;

	if (s == NULL || json_string_length(v) != 2 * POLICY_SEED_SIZE ||
	    sodium_hex2bin(p->seed, POLICY_SEED_SIZE, s, 2 * POLICY_SEED_SIZE, NULL, &length, NULL) != 0 ||
	    length != POLICY_SEED_SIZE)
		return err_set(e, ERR_INVAL, "$.seed must be a string of %d hexadecimal digits", 2 * POLICY_SEED_SIZE);
	p->has_seed = true;
	return 0;
}

static int
read_output(const json_t *v, struct policy *p, struct err *e)
{
	unsigned word;
	int rc = read_word(v, "$.output", policy_output_words, POLICY_COUNT_OF(policy_output_words), &word, e);

	if (rc == 0)
		p->output = word;
	return rc;
}

static int
read_signature(const json_t *v, struct policy *p, struct err *e)
{
	static const char *const names[] = {"module", "source"};
	enum policy_signature *const where[] = {&p->signature_module, &p->signature_source};
	const char *name;
	json_t *value;

	if (!json_is_object(v))
		return wrong_type("$.signature", "an object", v, e);
	json_object_foreach((json_t *)(uintptr_t)v, name, value) {
		size_t i = strcmp(name, names[0]) == 0 ? 0 : 1;
		unsigned word;
		char path[64];
		int rc;

		if (strcmp(name, names[i]) != 0)
			return unknown_name("$.signature", name, names, POLICY_COUNT_OF(names), e);
		snprintf(path, sizeof(path), "$.signature.%s", name);
		rc = read_word(value, path, policy_signature_words, POLICY_COUNT_OF(policy_signature_words), &word, e);
		if (rc != 0)
			return rc;
		*where[i] = word;
	}
	return 0;
}

static int
read_empty_list(const json_t *v, const char *path, const char *what, struct err *e)
{
	if (!json_is_array(v))
		return wrong_type(path, "a list", v, e);
	if (json_array_size(v) != 0)
		return err_set(e, ERR_INVAL, "%s must be an empty list: this version of brig grants no %s", path, what);
	return 0;
}

static int
read_rights(const json_t *v, const char *path, uint32_t *rights, struct err *e)
{
	json_t *item;
	size_t i;

	if (!json_is_array(v))
		return wrong_type(path, "a list of rights", v, e);
	*rights = 0;
	json_array_foreach(v, i, item) {
		unsigned word;
		int rc = read_word(item, path, policy_fs_right_words, POLICY_COUNT_OF(policy_fs_right_words), &word, e);

		if (rc != 0)
			return rc;
		*rights |= 1u << word;
	}
	return 0;
}

/* Adds an entry for a path that must be new. `at` is where it stands. */
static int
add_path(struct policy *p, const struct policy_fs *f, const char *at, struct err *e)
{
	const char *wrong = policy_path_wrong(f->path);
	char text[48];

	if (wrong != NULL)
		return err_set(e, ERR_INVAL, "%s: \"%s\" %s", at, shown(f->path, text), wrong);
	for (size_t i = 0; i < p->fs_count; i++)
		if (strcmp(p->fs[i].path, f->path) == 0)
			return err_set(e, ERR_INVAL, "%s: \"%s\" is there twice", at, shown(f->path, text));
	if (p->fs_count >= POLICY_PATHS_MAX)
		return err_set(e, ERR_INVAL, "%s: more than %d paths", at, POLICY_PATHS_MAX);
	return policy_fs_add(p, f, e);
}

/* Rights from paths inside the mount on: {"src": ["read"]}. */
static int
read_paths(const json_t *v, const char *at, const struct policy_fs *mount, struct policy *p, struct err *e)
{
	const char *name;
	json_t *value;

	if (v == NULL)
		return 0;
	if (!json_is_object(v))
		return wrong_type(at, "an object of paths and their rights", v, e);
	json_object_foreach((json_t *)(uintptr_t)v, name, value) {
		char path[2 * POLICY_PATH_MAX + 2];
		struct policy_fs f = {.path = path, .kind = mount->kind};
		int rc;

		if (strlen(name) > POLICY_PATH_MAX)
			return err_set(e, ERR_INVAL, "%s: a path is too long", at);
		snprintf(path, sizeof(path), "%s/%s", strcmp(mount->path, "/") == 0 ? "" : mount->path, name);
		if ((rc = read_rights(value, at, &f.rights, e)) != 0 || (rc = add_path(p, &f, at, e)) != 0)
			return rc;
	}
	return 0;
}

static int
read_mount(const json_t *v, size_t index, struct policy *p, struct err *e)
{
	static const char *const names[] = {"mount", "under", "kind", "rights", "paths"};
	struct policy_fs f = {.mount = json_object_get(v, "mount") != NULL};
	char at[32];
	const char *name;
	json_t *value;
	unsigned word = POLICY_FS_TMP;
	int rc;

	snprintf(at, sizeof(at), "$.fs[%zu]", index);
	if (!json_is_object(v))
		return wrong_type(at, "an object with a \"mount\" or \"under\"", v, e);
	json_object_foreach((json_t *)(uintptr_t)v, name, value) {
		size_t i = 0;

		while (i < POLICY_COUNT_OF(names) && strcmp(name, names[i]) != 0)
			i++;
		if (i == POLICY_COUNT_OF(names))
			return unknown_name(at, name, names, POLICY_COUNT_OF(names), e);
	}
	value = json_object_get(v, f.mount ? "mount" : "under");
	if (!json_is_string(value) || (f.mount && json_object_get(v, "under") != NULL))
		return err_set(e, ERR_INVAL, "%s must have a path as \"mount\" or as \"under\": \"/workspace\"", at);
	f.path = (char *)(uintptr_t)json_string_value(value);
	value = json_object_get(v, "kind");
	if (value != NULL &&
	    (rc = read_word(value, at, policy_fs_kind_words, POLICY_COUNT_OF(policy_fs_kind_words), &word, e)) != 0)
		return rc;
	f.kind = word;
	value = json_object_get(v, "rights");
	if (value != NULL && (rc = read_rights(value, at, &f.rights, e)) != 0)
		return rc;
	if ((rc = add_path(p, &f, at, e)) != 0)
		return rc;
	return read_paths(json_object_get(v, "paths"), at, &f, p, e);
}

static int
read_fs(const json_t *v, struct policy *p, struct err *e)
{
	json_t *item;
	size_t i;
	int rc;

	if (!json_is_array(v))
		return wrong_type("$.fs", "a list of mounts", v, e);
	json_array_foreach(v, i, item)
		if ((rc = read_mount(item, i, p, e)) != 0)
			return rc;
	policy_fs_tidy(p);
	return 0;
}

static int
read_tools(const json_t *v, struct policy *p, struct err *e)
{
	(void)p;
	return read_empty_list(v, "$.tools", "tools", e);
}

static int
read_net(const json_t *v, struct policy *p, struct err *e)
{
	(void)p;
	return read_empty_list(v, "$.net", "network access", e);
}

static int
read_mode(const json_t *v, struct policy *p, struct err *e)
{
	(void)p;
	if (!json_is_string(v) || strcmp(json_string_value(v), "enforce") != 0)
		return err_set(e, ERR_INVAL, "$.mode must be \"enforce\": this version of brig has no other mode");
	return 0;
}

/* --- the document --------------------------------------------------------------------------------------------- */

typedef int read_fn(const json_t *v, struct policy *p, struct err *e);

static read_fn *const readers[POLICY_FIELD_COUNT] = {
#define X(name, text) read_##name,
    POLICY_FIELDS(X)
#undef X
};

/* What no field can say by itself. */
static int
check_together(const struct policy *p, struct err *e)
{
	if (p->has_clock_fixed_ns && p->clock != POLICY_CLOCK_FIXED)
		return err_set(e, ERR_INVAL, "$.clock_fixed_ns goes only with \"clock\": \"fixed\", but clock is \"%s\"",
		    policy_clock_words[p->clock]);
	if (p->has_seed && p->random != POLICY_RANDOM_SEEDED)
		return err_set(e, ERR_INVAL, "$.seed goes only with \"random\": \"seeded\", but random is \"%s\"",
		    policy_random_words[p->random]);
	return 0;
}

static int
read_fields(const json_t *json, struct policy *p, struct err *e)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)json, name, value) {
		size_t i = 0;
		int rc;

		while (i < POLICY_FIELD_COUNT && strcmp(name, policy_field_names[i]) != 0)
			i++;
		if (i == POLICY_FIELD_COUNT)
			return unknown_name("$", name, policy_field_names, POLICY_FIELD_COUNT, e);
		if ((rc = readers[i](value, p, e)) != 0)
			return rc;
	}
	return check_together(p, e);
}

int
policy_from_json(const json_t *json, struct policy **out, struct err *e)
{
	struct policy *p;
	int rc;

	if (!json_is_object(json))
		return err_set(e, ERR_INVAL, "a policy must be an object, not %s",
		    json == NULL ? "nothing" : type_name(json));
	if ((p = policy_new()) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for a policy");
	rc = read_fields(json, p, e);
	if (rc != 0)
		policy_free(p);
	else
		*out = p;
	return rc;
}

const char *
policy_json_why(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return "\\u0000 in a string is refused, in names, arguments and everywhere else; where bytes are taken, "
		       "{\"base64\": \"...\"} can hold them";
	default:
		return error->text;
	}
}

int
policy_parse(const char *text, size_t length, struct policy **out, struct err *e)
{
	json_error_t error;
	json_t *json;
	int rc;

	if (length > POLICY_TEXT_MAX)
		return err_set(e, ERR_LIMIT, "the policy has %zu bytes, more than %d", length, POLICY_TEXT_MAX);
	json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (json == NULL)
		return err_set(e, ERR_INVAL, "line %d, column %d: %s", error.line, error.column, policy_json_why(&error));
	rc = policy_from_json(json, out, e);
	json_decref(json);
	return rc;
}
