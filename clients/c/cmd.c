/* cmd: what the verbs of the brig command share. brig. */

#include "clients/c/cmd.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/nearest.h"
#include "base/utf8.h"
#include "clients/c/progress.h"

void
cmd_print_safe(FILE *f, const char *text, size_t length)
{
	size_t one;

	for (size_t i = 0; i < length; i += one) {
		bool tame;

		one = utf8_next(text + i, length - i, &tame);
		if (tame || text[i] == '\n' || text[i] == '\t')
			fwrite(text + i, 1, one, f);
		else
			for (size_t k = i; k < i + one; k++)
				fprintf(f, "\\x%02x", (unsigned char)text[k]);
	}
}

bool
cmd_is_coloured(void)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	return isatty(STDERR_FILENO) && (no == NULL || no[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

static void
print_message(const char *verb, const char *message)
{
	bool colour = cmd_is_coloured();

	fprintf(stderr, "%sbrig%s%s:%s ", colour ? "\033[1m" : "", verb == NULL ? "" : " ", verb == NULL ? "" : verb,
	    colour ? "\033[0m" : "");
	cmd_print_safe(stderr, message, strlen(message));
	fputc('\n', stderr);
}

void
cmd_error(const char *verb, const char *fmt, ...)
{
	char message[2000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	print_message(verb, message);
}

int
cmd_fail(const char *verb, const struct err *e)
{
	print_message(verb, e->msg);
	return CMD_FAILED;
}

int
cmd_usage(const char *verb, const char *fmt, ...)
{
	char message[1000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	print_message(verb, message);
	fprintf(stderr, "Try: brig%s%s --help\n", verb == NULL ? "" : " ", verb == NULL ? "" : verb);
	return CMD_USAGE;
}

int
cmd_options(const char *verb, const char *help, int argc, char **argv, const char *letters,
    const struct option *options, cmd_option_fn *take, void *arg)
{
	struct err e;
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		if (option == CMD_OPT_HELP) {
			fputs(help, stdout);
			return CMD_OK;
		}
		if (option == ':' || option == '?')
			return cmd_usage(verb, option == ':' ? "%s needs a value" : "%s is not an option", argv[optind - 1]);
		if (take(arg, option, optarg, &e) != 0)
			return cmd_usage(verb, "%s", e.msg);
	}
	return -1;
}

int
cmd_sub_options(const char *verb, int argc, char **argv, const char *letters, const struct option *options,
    cmd_option_fn *take, void *arg, int wanted, const char *what, const char **argument)
{
	struct err e;
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		if (option == ':' || option == '?')
			return cmd_usage(verb, "%s: %s is not an option, or lacks its value", argv[0], argv[optind - 1]);
		if (take(arg, option, optarg, &e) != 0)
			return cmd_usage(verb, "%s: %s", argv[0], e.msg);
	}
	if (argc - optind != wanted)
		return cmd_usage(verb, "%s takes %s", argv[0], what);
	*argument = wanted > 0 ? argv[optind] : NULL;
	return CMD_OK;
}

bool
cmd_is_help(int argc, char **argv)
{
	return argc > 1 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0);
}

static void
print_sub(const char *verb, const struct cmd_sub *s)
{
	printf("  brig %s %s%s%s\n        %s\n", verb, s->name, s->usage[0] == '\0' ? "" : " ", s->usage, s->text);
}

static void
print_subs(const char *verb, const char *about, const struct cmd_sub *subs)
{
	printf("%s\n\n", about);
	for (const struct cmd_sub *s = subs; s->name != NULL; s++)
		print_sub(verb, s);
}

/* Calls it, or shows what it takes; only an option asks for that, as "help" may be the name of something. */
static int
call_sub(const char *verb, const char *about, const struct cmd_sub *s, int argc, char **argv)
{
	if (argc < 2 || (strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0))
		return s->run(argc, argv);
	printf("%s\n\n", about);
	print_sub(verb, s);
	return CMD_OK;
}

int
cmd_dispatch(const char *verb, const char *about, const struct cmd_sub *subs, int argc, char **argv)
{
	const char *names[32];
	const char *near;
	size_t count = 0;

	if (cmd_is_help(argc, argv)) {
		print_subs(verb, about, subs);
		return CMD_OK;
	}
	if (argc < 2)
		return cmd_usage(verb, "what to do is missing");
	for (const struct cmd_sub *s = subs; s->name != NULL; s++) {
		if (strcmp(argv[1], s->name) == 0)
			return call_sub(verb, about, s, argc - 1, argv + 1);
		if (count < sizeof(names) / sizeof(names[0]))
			names[count++] = s->name;
	}
	near = nearest_name(argv[1], names, count);
	if (near != NULL)
		return cmd_usage(verb, "there is no \"%s\"; did you mean \"%s\"?", argv[1], near);
	return cmd_usage(verb, "there is no \"%s\"", argv[1]);
}

/* Whether `message` says the command already that `advice` names in backticks. */
static bool
repeats(const char *message, const char *advice)
{
	const char *start = strchr(advice, '`'), *end = start == NULL ? NULL : strchr(start + 1, '`');
	char command[64];

	if (end == NULL || (size_t)(end - start) > sizeof(command))
		return false;
	snprintf(command, sizeof(command), "%.*s", (int)(end - start - 1), start + 1);
	return strstr(message, command) != NULL;
}

void
cmd_refusal(const char *verb, const struct brig_error *error, const char *advice)
{
	/* Advice for those who speak to the socket themselves, and what it is here. */
	static const struct {
		const char *name, *advice;
	} ours[] = {
	    {"method_not_found", "This brigd and this brig are of different versions."},
	    {"invalid_params", ""},
	    {"unsigned_module", "Sign it: `brig sign` does that, with a key that the keyring knows."},
	    {"request_too_large", "Store the program once with `brig module put`, and run it by its digest."},
	    {"overloaded", "Try again in a moment, or ask the operator for more."},
	    {"denied", ""},
	    {"module_not_found", "Store it first: `brig module put FILE.wasm`. It may have been evicted."},
	};

	if (advice == NULL) {
		advice = strstr(error->advice, "data.") != NULL ? "" : error->advice;
		for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
			if (strcmp(ours[i].name, error->name) == 0)
				advice = ours[i].advice;
		if (repeats(error->message, advice))
			advice = "";
	}
	cmd_error(verb, "%s%s%s", error->message, advice[0] == '\0' ? "" : "\n  ", advice);
}

static void
on_notification(void *arg, const char *method, const json_t *params)
{
	if (strcmp(method, "module.progress") == 0)
		progress_hear(arg, params);
}

/* As cmd_call; `m` is the module that goes with it, or NULL. */
static int
call(const char *verb, const char *socket, const char *method, json_t *params, int fd, const struct module_file *m,
    json_t **result)
{
	char advice[MODULE_FILE_ADVICE_SIZE];
	struct brig_error error = {0};
	struct progress progress;
	struct brig *b = NULL;
	struct err e = {0};
	int rc = brig_connect(socket, &b, &e);

	progress_begin(&progress, verb);
	if (rc == 0)
		brig_listen(b, on_notification, &progress);
	if (rc == 0)
		rc = brig_call(b, method, params, &fd, fd < 0 ? 0 : 1, result, &error, &e);
	else
		json_decref(params);
	progress_wipe(&progress);
	if (rc != 0 && error.code != 0)
		cmd_refusal(verb, &error, m == NULL ? NULL : module_file_advice(m, &error, brig_path(b), advice));
	else if (rc != 0)
		cmd_fail(verb, &e);
	brig_close(b);
	return rc == 0 ? CMD_OK : CMD_FAILED;
}

int
cmd_call(const char *verb, const char *socket, const char *method, json_t *params, int fd, json_t **result)
{
	return call(verb, socket, method, params, fd, NULL, result);
}

int
cmd_send_module(const char *verb, const char *socket, const char *method, const struct module_file *m, json_t **result)
{
	struct err e;
	int fd = module_file_memfd(m, &e), code;

	if (fd < 0)
		return cmd_fail(verb, &e);
	code = call(verb, socket, method, module_file_json(m), fd, m, result);
	close(fd);
	return code;
}

static void
print_flat(const char *path, const json_t *json)
{
	char inner[256];
	const char *name;
	json_t *value;
	char *text;
	size_t i;

	if (json_is_object(json)) {
		json_object_foreach((json_t *)(uintptr_t)json, name, value) {
			snprintf(inner, sizeof(inner), "%s%s%s", path, path[0] == '\0' ? "" : ".", name);
			print_flat(inner, value);
		}
	} else if (json_is_array(json)) {
		json_array_foreach(json, i, value) {
			snprintf(inner, sizeof(inner), "%s[%zu]", path, i);
			print_flat(inner, value);
		}
	} else {
		printf("%s: ", path);
		text = json_is_string(json) ? NULL : json_dumps(json, JSON_ENCODE_ANY);
		cmd_print_safe(stdout, text != NULL ? text : json_string_value(json),
		    text != NULL ? strlen(text) : json_string_length(json));
		putchar('\n');
		free(text);
	}
}

void
cmd_print_flat(const json_t *json)
{
	print_flat("", json);
}

int
cmd_print_json(const char *verb, const json_t *json)
{
	if (json == NULL || json_dumpf(json, stdout, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(9)) != 0 ||
	    putchar('\n') == EOF || fflush(stdout) != 0) {
		cmd_error(verb, "the answer cannot be printed");
		return CMD_FAILED;
	}
	return CMD_OK;
}
