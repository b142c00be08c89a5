/* policy/parse: from JSON to a policy, strictly, saying what is wrong and where. Pure; brigd and brig. */

#include "policy/internal.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/position.h"
#include "base/utf8.h"

#define DEPTH_MAX 6        /* $.fs[0].paths["src"][0] */
#define NAME_SHOWN 60      /* bytes of a name in messages */

/*
 * A document while it is read. Each function below that reads a part of it returns 0, ERR_INVAL after problem() has noted
 * what is wrong (reading goes on with the next part), or ERR_NOMEM, with which it ends.
 */
struct reader {
	struct policy *p;
	const char *text; /* NULL when there is none: then no positions */
	size_t length;
	const char *name; /* of the file, or NULL */
	struct position_step steps[DEPTH_MAX]; /* to what is being read */
	size_t depth;
	size_t problems;
	struct err first;
	struct policy_problems *all; /* where to keep them, or NULL: then only the first is told */
};

/* --- problems ------------------------------------------------------------------------------------------------- */

static void
enter(struct reader *r, const char *name, size_t index)
{
	r->steps[r->depth++] = (struct position_step){name, index};
}

static void
leave(struct reader *r)
{
	r->depth--;
}

/* "mine.json:3:14: ", or what is known of it. */
static int
set_problem(struct err *e, const char *name, const struct position *where, const char *message)
{
	if (where == NULL)
		return err_set(e, ERR_INVAL, "%s%s%s", name == NULL ? "" : name, name == NULL ? "" : ": ", message);
	if (name == NULL)
		return err_set(e, ERR_INVAL, "line %zu, column %zu: %s", where->line, where->column, message);
	return err_set(e, ERR_INVAL, "%s:%zu:%zu: %s", name, where->line, where->column, message);
}

/* Keeps the list in the order of the text. There is room. */
static void
keep_problem(struct policy_problems *all, size_t offset, const struct err *e)
{
	size_t i = all->kept++;

	for (; i > 0 && all->list[i - 1].offset > offset; i--)
		all->list[i] = all->list[i - 1];
	all->list[i] = (struct policy_problem){offset, *e};
}

/* Whether there is no room for another: then they are only counted, so that what is nothing but wrong costs little. */
static bool
is_full(const struct reader *r)
{
	return r->problems >= (r->all == NULL ? 1 : POLICY_PROBLEMS_MAX);
}

/* Notes what is wrong with what is being read, or with its name. The message begins with its path. */
static int __attribute__((format(printf, 3, 4)))
problem(struct reader *r, bool of_name, const char *fmt, ...)
{
	struct position where = {0};
	char message[800], *path;
	struct err e = {0};
	va_list ap;
	size_t used;
	bool found;

	if (is_full(r)) {
		r->problems++;
		return ERR_INVAL;
	}
	found = r->text != NULL && position_find(r->text, r->length, r->steps, r->depth, of_name, &where);
	path = position_path(r->steps, r->depth, NAME_SHOWN);
	used = (size_t)snprintf(message, sizeof(message) / 2, "%s", path == NULL ? "$" : path);
	if (used >= sizeof(message) / 2)
		used = sizeof(message) / 2 - 1;
	va_start(ap, fmt);
	vsnprintf(message + used, sizeof(message) - used, fmt, ap);
	va_end(ap);
	free(path);
	message[utf8_tame(message, utf8_prefix(message, strlen(message), sizeof(message)))] = '\0';
	set_problem(&e, r->name, found ? &where : NULL, message);
	if (r->all != NULL)
		keep_problem(r->all, where.offset, &e);
	if (r->problems++ == 0 || r->all != NULL)
		r->first = r->all == NULL ? e : r->all->list[0].e;
	return ERR_INVAL;
}

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
wrong_type(struct reader *r, const char *wanted, const json_t *v)
{
	return problem(r, false, " must be %s, not %s", wanted, type_name(v));
}

/* The beginning of a text from outside, as it may stand in a message. */
static const char *
shown(const char *text, char out[48])
{
	size_t n = utf8_prefix(text, strlen(text), 40);

	memcpy(out, text, n);
	snprintf(out + n, 48 - n, "%s", text[n] == '\0' ? "" : "...");
	return out;
}

/* A member that nobody knows; it was entered. */
static int
unknown_name(struct reader *r, const char *const *known, size_t count)
{
	const char *near = is_full(r) ? NULL : nearest_name(r->steps[r->depth - 1].name, known, count);

	if (near != NULL)
		return problem(r, true, " is not known; did you mean \"%s\"?", near);
	return problem(r, true, " is not known");
}

/* The number of a name among those known; `count` for none. */
static size_t
number_of(const char *name, const char *const *known, size_t count)
{
	size_t i = 0;

	while (i < count && strcmp(name, known[i]) != 0)
		i++;
	return i;
}

static int
read_whole(struct reader *r, const json_t *v, uint64_t min, uint64_t max, uint64_t *out)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v))
		return wrong_type(r, "a whole number", v);
	if (n < 0 || (uint64_t)n < min)
		return problem(r, false, " is %lld, less than its minimum of %llu", (long long)n, (unsigned long long)min);
	if ((uint64_t)n > max)
		return problem(r, false, " is %lld, more than its maximum of %llu", (long long)n, (unsigned long long)max);
	*out = (uint64_t)n;
	return 0;
}

/* A string that is one of a few words; *out is the word's number. */
static int
read_word(struct reader *r, const json_t *v, const char *const *words, size_t count, unsigned *out)
{
	char list[128] = "", text[48];
	size_t used = 0, i = json_is_string(v) ? number_of(json_string_value(v), words, count) : count;

	if (i < count) {
		*out = (unsigned)i;
		return 0;
	}
	for (i = 0; i < count; i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s\"%s\"", i == 0 ? "" : ", ", words[i]);
	if (!json_is_string(v))
		return problem(r, false, " must be one of %s, not %s", list, type_name(v));
	return problem(r, false, " is \"%s\", but must be one of %s", shown(json_string_value(v), text), list);
}

/* Reads each element of a list with `read_item`; nothing but want of memory keeps it from the next. */
static int
read_items(struct reader *r, const json_t *v, int (*read_item)(struct reader *r, const json_t *item))
{
	json_t *item;
	size_t i;
	int rc = 0;

	json_array_foreach(v, i, item) {
		enter(r, NULL, i);
		rc = read_item(r, item);
		leave(r);
		if (rc == ERR_NOMEM)
			break;
	}
	return rc;
}

/* --- the fields, in the order of POLICY_FIELDS ---------------------------------------------------------------- */

static int
read_version(struct reader *r, const json_t *v)
{
	if (!json_is_integer(v) || json_integer_value(v) != POLICY_VERSION)
		return problem(r, false, " must be %d: no other version of the language is known", POLICY_VERSION);
	return 0;
}

static int
read_limits(struct reader *r, const json_t *v)
{
	const char *name;
	json_t *value;

	if (!json_is_object(v))
		return wrong_type(r, "an object", v);
	json_object_foreach((json_t *)(uintptr_t)v, name, value) {
		size_t i = number_of(name, policy_limit_names, POLICY_LIMIT_COUNT);

		enter(r, name, 0);
		if (i == POLICY_LIMIT_COUNT)
			unknown_name(r, policy_limit_names, POLICY_LIMIT_COUNT);
		else
			read_whole(r, value, policy_limit_info[i].minimum, policy_limit_info[i].maximum, &r->p->limits[i]);
		leave(r);
	}
	return 0;
}

static int
read_args(struct reader *r, const json_t *v)
{
	if (!json_is_boolean(v))
		return wrong_type(r, "true or false", v);
	r->p->args = json_is_true(v);
	return 0;
}

/* A variable's name, or the beginning of one and '*'. */
static int
read_pattern(struct reader *r, const json_t *v)
{
	const char *s = json_string_value(v);
	const char *star;
	char text[48];

	if (s == NULL)
		return wrong_type(r, "a string", v);
	if (json_string_length(v) == 0 || json_string_length(v) > POLICY_NAME_MAX)
		return problem(r, false, " must be 1 to %d bytes long", POLICY_NAME_MAX);
	for (size_t i = 0; s[i] != '\0'; i++)
		if (s[i] == '=' || (unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return problem(r, false, " is \"%s\", but no name of a variable has '=' or a control character in it",
			    shown(s, text));
	if ((star = strchr(s, '*')) != NULL && star[1] != '\0')
		return problem(r, false, " is \"%s\", but '*' may only stand at the end", shown(s, text));
	return policy_names_add(&r->p->env, s);
}

static int
read_env(struct reader *r, const json_t *v)
{
	int rc;

	if (!json_is_array(v))
		return wrong_type(r, "a list of names", v);
	if (json_array_size(v) > POLICY_NAMES_MAX)
		return problem(r, false, " has %zu names, more than %d", json_array_size(v), POLICY_NAMES_MAX);
	rc = read_items(r, v, read_pattern);
	policy_names_tidy(&r->p->env);
	return rc;
}

static int
read_clock(struct reader *r, const json_t *v)
{
	unsigned word;
	int rc = read_word(r, v, policy_clock_words, POLICY_COUNT_OF(policy_clock_words), &word);

	if (rc == 0)
		r->p->clock = word;
	return rc;
}

static int
read_clock_fixed_ns(struct reader *r, const json_t *v)
{
	r->p->has_clock_fixed_ns = true;
	return read_whole(r, v, 0, INT64_MAX, &r->p->clock_fixed_ns);
}

static int
read_random(struct reader *r, const json_t *v)
{
	unsigned word;
	int rc = read_word(r, v, policy_random_words, POLICY_COUNT_OF(policy_random_words), &word);

	if (rc == 0)
		r->p->random = word;
	return rc;
}

static int
read_seed(struct reader *r, const json_t *v)
{
	const char *s = json_string_value(v);
	size_t length = 0;

	if (s == NULL || json_string_length(v) != 2 * POLICY_SEED_SIZE ||
	    sodium_hex2bin(r->p->seed, POLICY_SEED_SIZE, s, 2 * POLICY_SEED_SIZE, NULL, &length, NULL) != 0 ||
	    length != POLICY_SEED_SIZE)
		return problem(r, false, " must be a string of %d hexadecimal digits", 2 * POLICY_SEED_SIZE);
	r->p->has_seed = true;
	return 0;
}

static int
read_output(struct reader *r, const json_t *v)
{
	unsigned word;
	int rc = read_word(r, v, policy_output_words, POLICY_COUNT_OF(policy_output_words), &word);

	if (rc == 0)
		r->p->output = word;
	return rc;
}

static int
read_signature(struct reader *r, const json_t *v)
{
	static const char *const names[] = {"module", "source"};
	enum policy_signature *const where[] = {&r->p->signature_module, &r->p->signature_source};
	const char *name;
	json_t *value;

	if (!json_is_object(v))
		return wrong_type(r, "an object", v);
	json_object_foreach((json_t *)(uintptr_t)v, name, value) {
		size_t i = number_of(name, names, POLICY_COUNT_OF(names));
		unsigned word;

		enter(r, name, 0);
		if (i == POLICY_COUNT_OF(names))
			unknown_name(r, names, POLICY_COUNT_OF(names));
		else if (read_word(r, value, policy_signature_words, POLICY_COUNT_OF(policy_signature_words), &word) == 0)
			*where[i] = word;
		leave(r);
	}
	return 0;
}

static int
read_rights(struct reader *r, const json_t *v, uint32_t *rights)
{
	json_t *item;
	size_t i;

	if (!json_is_array(v))
		return wrong_type(r, "a list of rights", v);
	*rights = 0;
	json_array_foreach(v, i, item) {
		unsigned word;

		enter(r, NULL, i);
		if (read_word(r, item, policy_fs_right_words, POLICY_COUNT_OF(policy_fs_right_words), &word) == 0)
			*rights |= 1u << word;
		leave(r);
	}
	return 0;
}

/* Adds an entry for a path that must be new. */
static int
add_path(struct reader *r, const struct policy_fs *f, bool of_name)
{
	const char *wrong = policy_path_wrong(f->path);
	struct policy *p = r->p;
	char text[48];

	if (wrong != NULL)
		return problem(r, of_name, ": \"%s\" %s", shown(f->path, text), wrong);
	for (size_t i = 0; i < p->fs_count; i++)
		if (strcmp(p->fs[i].path, f->path) == 0)
			return problem(r, of_name, ": \"%s\" is there twice", shown(f->path, text));
	if (p->fs_count >= POLICY_PATHS_MAX)
		return problem(r, of_name, ": more than %d paths", POLICY_PATHS_MAX);
	return policy_fs_add(p, f, NULL);
}

/* Rights from paths inside the mount on: {"src": ["read"]}. */
static int
read_paths(struct reader *r, const json_t *v, const struct policy_fs *mount)
{
	const char *name;
	json_t *value;
	int rc = 0;

	if (!json_is_object(v))
		return wrong_type(r, "an object of paths and their rights", v);
	json_object_foreach((json_t *)(uintptr_t)v, name, value) {
		char path[2 * POLICY_PATH_MAX + 2];
		struct policy_fs f = {.path = path, .kind = mount->kind};

		enter(r, name, 0);
		snprintf(path, sizeof(path), "%s/%s", strcmp(mount->path, "/") == 0 ? "" : mount->path, name);
		if (strlen(name) > POLICY_PATH_MAX)
			rc = problem(r, true, ": the path is too long");
		else if ((rc = read_rights(r, value, &f.rights)) == 0)
			rc = add_path(r, &f, true);
		leave(r);
		if (rc == ERR_NOMEM)
			return rc;
	}
	return 0;
}

/* The member of an entry of "fs" that has its path, or NULL. */
static const char *
path_member(const json_t *v)
{
	const json_t *mount = json_object_get(v, "mount"), *under = json_object_get(v, "under");

	if ((mount == NULL) == (under == NULL) || !json_is_string(mount != NULL ? mount : under))
		return NULL;
	return mount != NULL ? "mount" : "under";
}

/* The members of a mount beside its path. */
static int
read_mount_members(struct reader *r, const json_t *v, struct policy_fs *f)
{
	static const char *const names[] = {"mount", "under", "kind", "rights", "paths"};
	const char *name;
	json_t *value;
	unsigned word;

	json_object_foreach((json_t *)(uintptr_t)v, name, value) {
		enter(r, name, 0);
		if (number_of(name, names, POLICY_COUNT_OF(names)) == POLICY_COUNT_OF(names))
			unknown_name(r, names, POLICY_COUNT_OF(names));
		else if (strcmp(name, "rights") == 0)
			read_rights(r, value, &f->rights);
		else if (strcmp(name, "kind") == 0 &&
		    read_word(r, value, policy_fs_kind_words, POLICY_COUNT_OF(policy_fs_kind_words), &word) == 0)
			f->kind = word;
		leave(r);
	}
	return 0;
}

static int
read_mount(struct reader *r, const json_t *v)
{
	struct policy_fs f = {.kind = POLICY_FS_TMP};
	const char *name;
	int rc;

	if (!json_is_object(v))
		return wrong_type(r, "an object with a \"mount\" or \"under\"", v);
	read_mount_members(r, v, &f);
	if ((name = path_member(v)) == NULL)
		return problem(r, false, " must have a path as \"mount\" or as \"under\": \"/workspace\"");
	f.mount = strcmp(name, "mount") == 0;
	f.path = (char *)(uintptr_t)json_string_value(json_object_get(v, name));
	enter(r, name, 0);
	rc = add_path(r, &f, false);
	leave(r);
	if (rc != 0 || json_object_get(v, "paths") == NULL)
		return rc;
	enter(r, "paths", 0);
	rc = read_paths(r, json_object_get(v, "paths"), &f);
	leave(r);
	return rc;
}

static int
read_fs(struct reader *r, const json_t *v)
{
	int rc;

	if (!json_is_array(v))
		return wrong_type(r, "a list of mounts", v);
	rc = read_items(r, v, read_mount);
	policy_fs_tidy(r->p);
	return rc;
}

bool
policy_tool_name(const char *name)
{
	size_t length = strlen(name);

	return length >= 1 && length <= POLICY_TOOL_NAME_MAX && name[0] != '.' &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == length;
}

static int
read_tool(struct reader *r, const json_t *v)
{
	char text[48];

	if (!json_is_string(v))
		return wrong_type(r, "a string", v);
	if (!policy_tool_name(json_string_value(v)))
		return problem(r, false, " is \"%s\", but the name of a tool is 1 to %d letters, digits, '_', '-' and '.', and "
		    "does not begin with '.'", shown(json_string_value(v), text), POLICY_TOOL_NAME_MAX);
	return policy_names_add(&r->p->tools, json_string_value(v));
}

static int
read_tools(struct reader *r, const json_t *v)
{
	int rc;

	if (!json_is_array(v))
		return wrong_type(r, "a list of names", v);
	if (json_array_size(v) > POLICY_TOOLS_MAX)
		return problem(r, false, " has %zu names, more than %d", json_array_size(v), POLICY_TOOLS_MAX);
	rc = read_items(r, v, read_tool);
	policy_names_tidy(&r->p->tools);
	return rc;
}

static int
read_net(struct reader *r, const json_t *v)
{
	if (!json_is_array(v))
		return wrong_type(r, "a list", v);
	if (json_array_size(v) != 0)
		return problem(r, false, " must be an empty list: this version of brig grants no network access");
	return 0;
}

static int
read_mode(struct reader *r, const json_t *v)
{
	unsigned word;
	int rc = read_word(r, v, policy_mode_words, POLICY_COUNT_OF(policy_mode_words), &word);

	if (rc == 0)
		r->p->mode = word;
	return rc;
}

/* --- the document --------------------------------------------------------------------------------------------- */

typedef int read_fn(struct reader *r, const json_t *v);

static read_fn *const readers[POLICY_FIELD_COUNT] = {
#define X(name, text) read_##name,
    POLICY_FIELDS(X)
#undef X
};

/* What no field can say by itself. */
static void
check_together(struct reader *r)
{
	const struct policy *p = r->p;

	if (p->has_clock_fixed_ns && p->clock != POLICY_CLOCK_FIXED) {
		enter(r, "clock_fixed_ns", 0);
		problem(r, true, " goes only with \"clock\": \"fixed\", but clock is \"%s\"", policy_clock_words[p->clock]);
		leave(r);
	}
	if (p->has_seed && p->random != POLICY_RANDOM_SEEDED) {
		enter(r, "seed", 0);
		problem(r, true, " goes only with \"random\": \"seeded\", but random is \"%s\"",
		    policy_random_words[p->random]);
		leave(r);
	}
}

static int
read_fields(struct reader *r, const json_t *json)
{
	const char *name;
	json_t *value;
	int rc = 0;

	json_object_foreach((json_t *)(uintptr_t)json, name, value) {
		size_t i = number_of(name, policy_field_names, POLICY_FIELD_COUNT);

		enter(r, name, 0);
		if (i == POLICY_FIELD_COUNT)
			unknown_name(r, policy_field_names, POLICY_FIELD_COUNT);
		else
			rc = readers[i](r, value);
		leave(r);
		if (rc == ERR_NOMEM)
			return rc;
	}
	check_together(r);
	return 0;
}

/* Reads a document into r->p, and says what the first problem was if there are any. */
static int
read_document(struct reader *r, const json_t *json, struct policy **out, struct err *e)
{
	int rc = 0;

	if ((r->p = policy_new()) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for a policy");
	if (!json_is_object(json))
		problem(r, false, " must be an object, not %s", json == NULL ? "nothing" : type_name(json));
	else if ((rc = read_fields(r, json)) != 0)
		err_set(e, rc, "out of memory for a policy");
	if (rc == 0 && r->problems > 0)
		rc = err_set(e, ERR_INVAL, "%s", r->first.msg);
	if (rc != 0)
		policy_free(r->p);
	else
		*out = r->p;
	return rc;
}

int
policy_from_json(const json_t *json, struct policy **out, struct err *e)
{
	struct reader r = {0};

	return read_document(&r, json, out, e);
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

/* What is wrong with a whole text: the only problem that can be told then. */
static int __attribute__((format(printf, 4, 5)))
tell_only(struct reader *r, struct err *e, int code, const char *fmt, ...)
{
	struct err only = {0};
	char message[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	err_set(&only, code, "%s%s%s", r->name == NULL ? "" : r->name, r->name == NULL ? "" : ": ", message);
	if (r->all != NULL)
		keep_problem(r->all, 0, &only);
	r->problems++;
	return err_set(e, code, "%s", only.msg);
}

/* The same of a text that is no JSON: jansson says where. */
static int
not_json(struct reader *r, const json_error_t *error, struct err *e)
{
	const struct position where = {.line = (size_t)error->line, .column = (size_t)error->column};
	struct err only = {0};

	set_problem(&only, r->name, &where, policy_json_why(error));
	if (r->all != NULL)
		keep_problem(r->all, 0, &only);
	r->problems++;
	return err_set(e, ERR_INVAL, "%s", only.msg);
}

int
policy_document_parse(const char *text, size_t length, const char *name, struct policy_problems *all,
    struct policy_document **out, struct err *e)
{
	struct reader r = {.text = text, .length = length, .name = name, .all = all};
	struct policy_document *d = NULL;
	json_error_t error;
	int rc;

	if (all != NULL)
		*all = (struct policy_problems){0};
	if ((d = calloc(1, sizeof(*d))) == NULL || (d->text = malloc(length + 1)) == NULL ||
	    (name != NULL && (d->name = strdup(name)) == NULL)) {
		rc = err_set(e, ERR_NOMEM, "out of memory for a policy");
		goto out;
	}
	if (length > POLICY_TEXT_MAX)
		rc = tell_only(&r, e, ERR_LIMIT, "the policy has %zu bytes, more than %d", length, POLICY_TEXT_MAX);
	else if (length > 0 && memchr(text, 0, length) != NULL) /* jansson overlooks one behind a number */
		rc = tell_only(&r, e, ERR_INVAL, "the policy has a NUL byte in it");
	else if ((d->json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error)) == NULL)
		rc = not_json(&r, &error, e);
	else
		rc = read_document(&r, d->json, &d->policy, e);
	if (all != NULL)
		all->more = r.problems - all->kept;
	if (rc != 0)
		goto out;
	memcpy(d->text, text, length);
	d->text[length] = '\0';
	d->length = length;
	*out = d;
	d = NULL;
out:
	policy_document_free(d);
	return rc;
}

void
policy_document_free(struct policy_document *d)
{
	if (d == NULL)
		return;
	policy_free(d->policy);
	json_decref(d->json);
	free(d->text);
	free(d->name);
	free(d);
}

int
policy_parse(const char *text, size_t length, const char *name, struct policy **out, struct err *e)
{
	struct policy_document *d;
	int rc = policy_document_parse(text, length, name, NULL, &d, e);

	if (rc != 0)
		return rc;
	*out = d->policy;
	d->policy = NULL;
	policy_document_free(d);
	return 0;
}
