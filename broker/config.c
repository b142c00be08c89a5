/* broker/config: what the operator can set: one table for options, the configuration file and the manual. brigd. */

#include "broker/config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/nearest.h"
#include "base/position.h"
#include "policy/policy.h"

struct string_setting {
	const char *name;
	const char *initial;
	const char *argument;
	const char *text;
	size_t offset;
};

struct number_setting {
	const char *name;
	int64_t initial, smallest, largest;
	char unit;
	const char *text;
	size_t offset;
};

static const struct string_setting strings[] = {
#define X(name, initial, argument, text) {#name, initial, argument, text, offsetof(struct config, name)},
    CONFIG_STRINGS(X)
#undef X
};

static const struct number_setting numbers[] = {
#define X(name, initial, smallest, largest, unit, text) \
	{#name, initial, smallest, largest, unit, text, offsetof(struct config, name)},
    CONFIG_NUMBERS(X)
#undef X
};

#define STRINGS  (sizeof(strings) / sizeof(strings[0]))
#define NUMBERS  (sizeof(numbers) / sizeof(numbers[0]))
#define SETTINGS (STRINGS + NUMBERS)
#define NAME_MAX_SETTING 64
#define FILE_BYTES_MAX   (1024 * 1024)

#define CONFIG_ITSELF    0 /* where `config` is in the table */

/* Values of getopt_long for options that are no settings; settings are their index in the tables. */
enum { OPTION_HELP = 1000, OPTION_VERSION, OPTION_DAEMON };

static const char *
setting_name(size_t i)
{
	return i < STRINGS ? strings[i].name : numbers[i - STRINGS].name;
}

static char **
string_at(struct config *c, size_t i)
{
	return (char **)((char *)c + strings[i].offset);
}

static int64_t *
number_at(struct config *c, size_t i)
{
	return (int64_t *)((char *)c + numbers[i].offset);
}

static int
set_string(struct config *c, size_t i, const char *value, struct err *e)
{
	char *copy;

	if (value[0] == '\0')
		return err_set(e, ERR_INVAL, "%s needs a value", strings[i].name);
	if ((copy = strdup(value)) == NULL)
		return err_set(e, ERR_NOMEM, "a setting");
	free(*string_at(c, i));
	*string_at(c, i) = copy;
	return 0;
}

static int
set_number(struct config *c, size_t i, int64_t value, struct err *e)
{
	const struct number_setting *s = &numbers[i];

	if (value < s->smallest || value > s->largest)
		return err_set(e, ERR_INVAL, "%s is %" PRId64 ", which is not between %" PRId64 " and %" PRId64, s->name, value,
		    s->smallest, s->largest);
	*number_at(c, i) = value;
	return 0;
}

static int
set_text(struct config *c, size_t i, const char *text, struct err *e)
{
	char *end;
	long long value;

	if (i < STRINGS)
		return set_string(c, i, text, e);
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0')
		return err_set(e, ERR_INVAL, "%s must be a whole number, not \"%s\"", setting_name(i), text);
	return set_number(c, i - STRINGS, value, e);
}

static int
set_json(struct config *c, const char *name, const json_t *value, struct err *e)
{
	const char *names[SETTINGS];
	const char *near;

	for (size_t i = 0; i < SETTINGS; i++) {
		names[i] = setting_name(i);
		if (strcmp(names[i], name) != 0)
			continue;
		if (i == CONFIG_ITSELF)
			return err_set(e, ERR_INVAL, "a configuration file cannot name another");
		if (i < STRINGS && json_is_string(value))
			return set_string(c, i, json_string_value(value), e);
		if (i >= STRINGS && json_is_integer(value))
			return set_number(c, i - STRINGS, json_integer_value(value), e);
		return err_set(e, ERR_INVAL, "%s must be a %s", name, i < STRINGS ? "string" : "whole number");
	}
	near = nearest_name(name, names, SETTINGS);
	return err_set(e, ERR_INVAL, "there is no setting \"%.64s\"%s%s%s", name, near != NULL ? "; did you mean \"" : "",
	    near != NULL ? near : "", near != NULL ? "\"?" : "");
}

static int
load_file(struct config *c, const char *path, struct err *e)
{
	json_t *document = NULL, *value;
	json_error_t je;
	const char *name;
	uint8_t *text = NULL;
	size_t length;
	int rc = io_read_file(path, FILE_BYTES_MAX, &text, &length, e);

	if (rc != 0)
		return rc;
	document = json_loadb((char *)text, length, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(document)) {
		rc = err_set(e, ERR_INVAL, "%s:%d:%d: %s", path, document == NULL ? je.line : 1,
		    document == NULL ? je.column : 1, document == NULL ? policy_json_why(&je) : "a configuration is a JSON object");
		goto out;
	}
	json_object_foreach(document, name, value) {
		rc = set_json(c, name, value, e);
		if (rc != 0) {
			const struct position_step step = {name, 0};
			struct position where = {.line = 1, .column = 1};

			position_find((char *)text, length, &step, 1, true, &where);
			err_context(e, "%s:%zu:%zu", path, where.line, where.column);
			goto out;
		}
	}
out:
	json_decref(document);
	free(text);
	return rc;
}

/* Joins up to three parts into a new string, kept in *out if that is NULL so far. */
static int
initial_string(char **out, const char *a, const char *b, struct err *e)
{
	if (*out == NULL && asprintf(out, "%s%s", a, b) < 0) {
		*out = NULL;
		return err_set(e, ERR_NOMEM, "a setting");
	}
	return 0;
}

/* The defaults that depend on who starts it. */
static int
settle_paths(struct config *c, struct err *e)
{
	const char *home = getenv("HOME");
	const char *state_home = getenv("XDG_STATE_HOME");
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int rc;

	if (geteuid() == 0) {
		rc = initial_string(&c->state, "/var/lib/brig", "", e);
		return rc != 0 ? rc : initial_string(&c->socket, "/run/brig", "/brigd.sock", e);
	}
	if (c->state == NULL && state_home != NULL && state_home[0] == '/')
		rc = initial_string(&c->state, state_home, "/brig", e);
	else if (c->state == NULL && (home == NULL || home[0] != '/'))
		return err_set(e, ERR_INVAL, "there is no HOME: say where the state is to be with --state DIR");
	else
		rc = initial_string(&c->state, home != NULL ? home : "", "/.local/state/brig", e);
	if (rc == 0 && c->socket == NULL && runtime != NULL && runtime[0] == '/')
		rc = initial_string(&c->socket, runtime, "/brig/brigd.sock", e);
	return rc != 0 ? rc : initial_string(&c->socket, c->state, "/run/brigd.sock", e);
}

/* brigd leaves the directory that it was started in: paths are settled while they mean what they say. */
static int
make_absolute(char **path, struct err *e)
{
	char here[PATH_MAX];
	char *absolute;

	if (*path == NULL || (*path)[0] == '/')
		return 0;
	if (getcwd(here, sizeof(here)) == NULL)
		return err_sys(e, ERR_IO, "the current directory");
	if (asprintf(&absolute, "%s/%s", here, *path) < 0)
		return err_set(e, ERR_NOMEM, "a path");
	free(*path);
	*path = absolute;
	return 0;
}

static int
make_all_absolute(struct config *c, struct err *e)
{
	char **paths[] = {&c->socket, &c->state, &c->config, &c->policy, &c->owners, &c->shares, &c->keyring, &c->root_key,
	    &c->libexec, &c->packs};
	int rc = 0;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && rc == 0; i++)
		rc = make_absolute(paths[i], e);
	return rc;
}

/* Words that only certain settings may have. */
static int
check_words(const struct config *c, struct err *e)
{
	if (strcmp(c->profile, "namespaces") != 0 && strcmp(c->profile, "container") != 0)
		return err_set(e, ERR_INVAL, "profile is \"%s\"; it can be namespaces or container", c->profile);
	if (c->cgroup[0] != '/' && strcmp(c->cgroup, "auto") != 0 && strcmp(c->cgroup, "required") != 0 &&
	    strcmp(c->cgroup, "off") != 0)
		return err_set(e, ERR_INVAL, "cgroup is \"%s\"; it can be auto, required, off, or the path of a group", c->cgroup);
	if (strcmp(c->durability, "batch") != 0 && strcmp(c->durability, "strict") != 0)
		return err_set(e, ERR_INVAL, "durability is \"%s\"; it can be batch or strict", c->durability);
	if ((c->keyring == NULL) != (c->root_key == NULL))
		return err_set(e, ERR_INVAL, "keyring and root_key go together: the root key is what signs the keyring");
	return 0;
}

static void
option_name(size_t i, char name[NAME_MAX_SETTING])
{
	snprintf(name, NAME_MAX_SETTING, "%s", setting_name(i));
	for (char *p = name; *p != '\0'; p++)
		if (*p == '_')
			*p = '-';
}

/* Says what is wrong with an option that getopt_long does not know, or that has a value and may not. */
static int
unknown_option(const char *given, char names[SETTINGS][NAME_MAX_SETTING], struct err *e)
{
	const char *list[SETTINGS];
	const char *start = given + strspn(given, "-"), *near;
	char name[NAME_MAX_SETTING];

	for (size_t i = 0; i < SETTINGS; i++)
		list[i] = names[i];
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(start, "="), start);
	near = nearest_name(name, list, SETTINGS);
	return err_set(e, ERR_INVAL, "there is no option %.64s%s%s%s; see brigd --help", given,
	    near != NULL ? "; did you mean --" : "", near != NULL ? near : "", near != NULL ? "?" : "");
}

/* Reads the command line; only --config when `config_only`, so that the file comes before the other options. */
static int
load_options(struct config *c, int argc, char **argv, bool config_only, enum config_action *action, struct err *e)
{
	static char names[SETTINGS][NAME_MAX_SETTING];
	struct option options[SETTINGS + 4] = {0};
	int which, at, rc = 0;

	for (size_t i = 0; i < SETTINGS; i++) {
		option_name(i, names[i]);
		options[i] = (struct option){names[i], required_argument, NULL, (int)i};
	}
	options[SETTINGS] = (struct option){"help", no_argument, NULL, OPTION_HELP};
	options[SETTINGS + 1] = (struct option){"version", no_argument, NULL, OPTION_VERSION};
	options[SETTINGS + 2] = (struct option){"daemon", no_argument, NULL, OPTION_DAEMON};
	opterr = 0;
	optind = 0; /* start anew */
	while (rc == 0 && (at = optind > 0 ? optind : 1, which = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
		if (which == OPTION_HELP)
			*action = CONFIG_HELP;
		else if (which == OPTION_VERSION)
			*action = CONFIG_VERSION;
		else if (which == OPTION_DAEMON)
			c->daemon = true;
		else if (which == ':')
			rc = err_set(e, ERR_INVAL, "%s needs a value; see brigd --help", argv[optind - 1]);
		else if (which == '?')
			rc = unknown_option(at < argc ? argv[at] : "", names, e);
		else if (config_only == (which == CONFIG_ITSELF))
			rc = set_text(c, (size_t)which, optarg, e);
	}
	if (rc == 0 && optind < argc)
		rc = err_set(e, ERR_INVAL, "\"%s\" is not an option; see brigd --help", argv[optind]);
	return rc;
}

/* As config_load; the configuration file is `file`, unless that is NULL: then the command line names it. */
static int
load(int argc, char **argv, const char *file, struct config *c, enum config_action *action, struct err *e)
{
	int rc = 0;

	_Static_assert(offsetof(struct config, config) == 0, "CONFIG_ITSELF");
	memset(c, 0, sizeof(*c));
	*action = CONFIG_SERVE;
	for (size_t i = 0; i < NUMBERS; i++)
		*number_at(c, i) = numbers[i].initial;
	for (size_t i = 0; i < STRINGS && rc == 0; i++)
		if (strings[i].initial != NULL)
			rc = set_string(c, i, strings[i].initial, e);
	if (rc == 0)
		rc = file != NULL ? set_string(c, CONFIG_ITSELF, file, e) : load_options(c, argc, argv, true, action, e);
	if (rc == 0 && *action != CONFIG_SERVE)
		goto out;
	if (rc == 0 && c->config != NULL)
		rc = load_file(c, c->config, e);
	if (rc == 0)
		rc = load_options(c, argc, argv, false, action, e);
	if (rc == 0)
		rc = settle_paths(c, e);
	if (rc == 0)
		rc = make_all_absolute(c, e);
	if (rc == 0)
		rc = check_words(c, e);
out:
	if (rc != 0)
		config_clear(c);
	return rc;
}

int
config_load(int argc, char **argv, struct config *c, enum config_action *action, struct err *e)
{
	return load(argc, argv, NULL, c, action, e);
}

int
config_reload(int argc, char **argv, const struct config *c, struct config *fresh, struct err *e)
{
	enum config_action action;

	return load(argc, argv, c->config, fresh, &action, e);
}

void
config_take(struct config *c, const struct config *fresh)
{
#define X(name) c->name = fresh->name;
	CONFIG_RELOADED(X)
#undef X
}

void
config_clear(struct config *c)
{
	for (size_t i = 0; i < STRINGS; i++) {
		free(*string_at(c, i));
		*string_at(c, i) = NULL;
	}
}

void
config_usage(void)
{
	char name[NAME_MAX_SETTING];

	printf("usage: brigd [OPTION]...\nRuns signed WebAssembly modules in jailed processes, for clients of a Unix socket.\n\n");
	for (size_t i = 0; i < STRINGS; i++) {
		option_name(i, name);
		printf("  --%s %s\n        %s\n", name, strings[i].argument, strings[i].text);
	}
	for (size_t i = 0; i < NUMBERS; i++) {
		const struct number_setting *s = &numbers[i];
		const char *unit = s->unit == 'b' ? " bytes" : s->unit == 'm' ? " ms" : s->unit == 's' ? " s" : "";

		option_name(STRINGS + i, name);
		printf("  --%s N\n        %s (%" PRId64 "%s; %" PRId64 " to %" PRId64 ")\n", name, s->text, s->initial, unit,
		    s->smallest, s->largest);
	}
	printf("  --daemon\n        leave the terminal; the log goes to brigd.log in the state directory\n"
	       "  --help, --version\n\nAll but --daemon can stand in the configuration file, with _ for -.\n");
}
