/* cmd_apply: `brig apply`: brings the changes of a run's result to the directories of the host. brig. */

#include <getopt.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "clients/c/apply.h"
#include "clients/c/cmd.h"
#include "clients/c/run_dirs.h"

#define VERB       "apply"
#define RESULT_MAX ((size_t)1024 * 1024 * 1024)

static const char help[] =
    "brig apply [options] --dir HOST[::GUEST] RESULT.json\n"
    "brig apply [--forget]\n"
    "\n"
    "Makes the changes that a program made to its files, all or none, in a directory of this machine. RESULT.json, or - for\n"
    "standard input, is what `brig run --json` printed. They are shown on standard error first; on a terminal you are asked.\n"
    "What was changed here since the program read it is not overwritten: then nothing is changed. Paths through which\n"
    "programs are run later (.git, Makefile, ...) have to be named; docs/apply.md has the list.\n"
    "\n"
    "  -d, --dir HOST[::GUEST]   the directory, as for brig run (repeatable)\n"
    "      --allow-path PATTERN  change what matches, though the list has it; * is any part of a name (repeatable)\n"
    "  -n, --dry-run             show the changes and what is wrong with them, and change nothing\n"
    "  -y, --yes                 do not ask\n"
    "\n"
    "Without a result: finishes or undoes what an earlier brig apply, that did not come to its end, left.\n"
    "\n"
    "      --forget              leave it as it is, and forget about it\n"
    "\n"
    "Exit code: 0 the changes are made (with -n: could be made), 1 they are not, 2 the command line makes no sense.\n";

enum { OPT_ALLOW = 256, OPT_FORGET };

static const struct option long_options[] = {
    {"dir", required_argument, NULL, 'd'},
    {"allow-path", required_argument, NULL, OPT_ALLOW},
    {"dry-run", no_argument, NULL, 'n'},
    {"yes", no_argument, NULL, 'y'},
    {"forget", no_argument, NULL, OPT_FORGET},
    {"help", no_argument, NULL, CMD_OPT_HELP},
    {NULL, 0, NULL, 0},
};

/* One `brig apply`, from its command line on. */
struct line {
	struct run_dirs dirs;
	struct apply_request request;
	bool forget;
};

static int
take_option(void *arg, int option, const char *value, struct err *e)
{
	struct line *l = arg;

	switch (option) {
	case 'd':
		return run_dirs_add(&l->dirs, value, e);
	case OPT_ALLOW:
		return apply_request_allow(&l->request, value, e);
	case 'n':
		l->request.dry_run = true;
		return 0;
	case 'y':
		l->request.yes = true;
		return 0;
	case OPT_FORGET:
		l->forget = true;
		return 0;
	default:
		return err_set(e, ERR_INVAL, "an option is not known");
	}
}

/* Reads the command line. 0 to go on, else *exit_code is the end of it. */
static int
take_command_line(struct line *l, int argc, char **argv, int *exit_code)
{
	*exit_code = cmd_options(VERB, help, argc, argv, "+:d:ny", long_options, take_option, l);
	if (*exit_code >= 0)
		return -1;
	*exit_code = CMD_USAGE;
	if (optind + 1 < argc)
		cmd_usage(VERB, "one result at a time: what is \"%s\"?", argv[optind + 1]);
	else if (optind < argc && l->forget)
		cmd_usage(VERB, "--forget goes without a result");
	else if (optind < argc && l->dirs.count == 0)
		cmd_usage(VERB, "which directory? --dir HOST[::GUEST] is missing");
	else if (optind == argc && (l->dirs.count > 0 || l->request.allow_count > 0))
		cmd_usage(VERB, "which result? RESULT.json is missing");
	else
		return 0;
	return -1;
}

static int
read_result(const char *path, json_t **out, struct err *e)
{
	uint8_t *text = NULL;
	json_error_t where;
	size_t length;
	bool is_input = strcmp(path, "-") == 0;
	int rc = is_input ? io_read_fd(STDIN_FILENO, RESULT_MAX, &text, &length, e)
	                  : io_read_file(path, RESULT_MAX, &text, &length, e);

	if (rc == 0 && (*out = json_loadb((char *)text, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where)) == NULL)
		rc = err_set(e, ERR_INVAL, "%.200s: line %d: %s", is_input ? "standard input" : path, where.line, where.text);
	else if (rc != 0 && is_input)
		err_context(e, "standard input");
	free(text);
	return rc;
}

static int
apply_file(const char *path, const struct line *l)
{
	json_t *result = NULL;
	struct err e;
	int code;

	if (read_result(path, &result, &e) != 0)
		return cmd_fail(VERB, &e);
	code = run_dirs_apply(&l->dirs, result, &l->request);
	json_decref(result);
	return code;
}

int
cmd_apply(int argc, char **argv)
{
	struct line l = {.request = {.verb = VERB}};
	int code;

	if (take_command_line(&l, argc, argv, &code) == 0)
		code = optind < argc ? apply_file(argv[optind], &l) : apply_recover(VERB, l.forget);
	apply_request_clear(&l.request);
	run_dirs_clear(&l.dirs);
	return code;
}
