/* cmd_run: `brig run FILE.wasm|DIGEST [args]`: a WebAssembly program, run as if it were any other. brig. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/io.h"
#include "clients/c/cmd.h"
#include "clients/c/libbrig.h"
#include "clients/c/module_file.h"
#include "clients/c/private.h"
#include "clients/c/run_dirs.h"
#include "clients/c/run_report.h"
#include "clients/c/run_stream.h"
#include "clients/c/source.h"
#include "policy/policy.h"

#define VERB "run"

_Static_assert(BRIG_FDS_MAX == 1 + PROTO_DIRS_MAX, "a module and its directories go with one line");

static const char help[] =
    "brig run [options] FILE.wasm|DIGEST [argument...]\n"
    "brig run [options] --pack NAME FILE|-c CODE [argument...]\n"
    "\n"
    "Runs a WebAssembly program (core module, WASI preview 1). Its input, output and exit code are those of brig.\n"
    "FILE.wasm may be - for standard input. What is behind it goes to the program. A DIGEST, sha256: and 64 hexadecimal\n"
    "digits, runs a program that `brig module put` stored; nothing is sent or signed.\n"
    "\n"
    "  -e, --env NAME=VALUE    set a variable of its environment; NAME alone passes ours on (repeatable)\n"
    "  -t, --timeout TIME      stop it after this time: 1500ms, 2s, 5m, 1h; short for --limit wall_ms=TIME\n"
    "  -m, --memory SIZE       give it at most so much memory: 64M, 1G; short for --limit memory_bytes=SIZE\n"
    "  -l, --limit NAME=VALUE  state a limit: wall_ms=5s, memory_bytes=64M, fuel=1G (repeatable; brig policy limits).\n"
    "                          A bare number is milliseconds, bytes or a count; TIME has to name its unit\n"
    "  -p, --policy FILE       run under this policy document, within what the server allows; -l, -t and -m take the\n"
    "                          place of the limits in it, wherever they stand; of two for one limit the last counts\n"
    "      --deadline TIME     it is to be over so long from now, waiting for its turn included, or not to begin at all\n"
    "      --priority N        which of your programs that wait is started first: 0 to 9, 9 before all others (5)\n"
    "  -d, --dir HOST[::GUEST][:ro]\n"
    "                          show it that directory, as GUEST, or by HOST's own absolute path (repeatable). What it\n"
    "                          changes there is in the result; HOST stays as it is. With :ro it can only read\n"
    "      --apply             when it exits with 0, show what it changed there, and change HOST so: all or nothing, and\n"
    "                          nothing that was changed since. On a terminal you are asked first (brig apply --help)\n"
    "      --allow-path PATTERN\n"
    "                          with --apply: change what matches, though programs are run through it later (repeatable)\n"
    "  -y, --yes               with --apply: do not ask\n"
    "      --learn             run it in learn mode, and print the policy that it needs; what it prints on standard\n"
    "                          output then goes to standard error, and why each rule is there too\n"
    "  -o, --output FILE       with --learn: write the policy there, and leave the program's output alone\n"
    "      --pack NAME         run source with that language pack (brig pack list): brig run --pack python FILE.py\n"
    "  -c, --code TEXT         with --pack: run this text; there is no FILE then\n"
    "      --stdin none        give it an empty standard input, and leave ours alone\n"
    "      --json              print the whole result, or {\"error\": ...}, as JSON on standard output, nothing else\n"
    "  -u, --usage             print what the run used on standard error, at the end\n"
    "      --no-sign           send an unsigned file as it is; otherwise your own key signs it\n"
    "      --socket PATH       the server; otherwise BRIG_SOCKET, your own (started when needed), the system's\n"
    "\n"
    "Exit code: the program's own; 124 stopped at a limit, 125 brig failed, 126 not allowed, 130 cancelled (Ctrl-C),\n"
    "134 trapped.\n";

enum {
	OPT_PACK = 256,
	OPT_DEADLINE,
	OPT_PRIORITY,
	OPT_APPLY,
	OPT_ALLOW,
	OPT_STDIN,
	OPT_LEARN,
	OPT_JSON,
	OPT_NO_SIGN,
	OPT_SOCKET,
};

static const struct option long_options[] = {
    {"env", required_argument, NULL, 'e'},
    {"limit", required_argument, NULL, 'l'},
    {"memory", required_argument, NULL, 'm'},
    {"timeout", required_argument, NULL, 't'},
    {"deadline", required_argument, NULL, OPT_DEADLINE},
    {"priority", required_argument, NULL, OPT_PRIORITY},
    {"policy", required_argument, NULL, 'p'},
    {"learn", no_argument, NULL, OPT_LEARN},
    {"output", required_argument, NULL, 'o'},
    {"dir", required_argument, NULL, 'd'},
    {"apply", no_argument, NULL, OPT_APPLY},
    {"allow-path", required_argument, NULL, OPT_ALLOW},
    {"yes", no_argument, NULL, 'y'},
    {"pack", required_argument, NULL, OPT_PACK},
    {"code", required_argument, NULL, 'c'},
    {"stdin", required_argument, NULL, OPT_STDIN},
    {"json", no_argument, NULL, OPT_JSON},
    {"usage", no_argument, NULL, 'u'},
    {"no-sign", no_argument, NULL, OPT_NO_SIGN},
    {"socket", required_argument, NULL, OPT_SOCKET},
    {"help", no_argument, NULL, CMD_OPT_HELP},
    {NULL, 0, NULL, 0},
};

/* One `brig run`, from its command line on. */
struct run {
	const char *file;
	const char *const *args;
	size_t argc;
	json_t *env;      /* object */
	json_t *limits;   /* object: those stated */
	json_t *urgency;  /* object: deadline_ms and priority, when they are stated */
	const char *policy_file;
	const char *socket;
	const char *learn_file; /* where what was learned is written; NULL: standard output */
	bool no_stdin, json, usage, no_sign, learn;
	struct run_dirs dirs;
	struct apply_request apply;
	bool applies;
	bool stored; /* `file` is the digest of a module that the server keeps */
	const char *pack; /* the language pack that is to run `file`, or `code`; NULL for a module */
	const char *code;

	struct module_file module;
};

static int
usage_error(const char *message)
{
	cmd_usage(VERB, "%s", message);
	return RUN_EXIT_FAILED;
}

/* --- the command line ----------------------------------------------------------------------------------------- */

static int
add_env(struct run *r, const char *text, struct err *e)
{
	const char *equals = strchr(text, '=');
	char *name = equals == NULL ? strdup(text) : strndup(text, (size_t)(equals - text));
	const char *value = equals != NULL ? equals + 1 : name == NULL ? NULL : getenv(name);
	int rc = 0;

	if (name == NULL)
		rc = err_set(e, ERR_NOMEM, "out of memory");
	else if (name[0] == '\0')
		rc = err_set(e, ERR_INVAL, "--env %s: there is no name before the =", text);
	else if (value != NULL && json_object_set_new(r->env, name, json_string(value)) != 0)
		rc = err_set(e, ERR_INVAL, "--env %s: only UTF-8 can be sent", text);
	free(name);
	return rc;
}

static int
add_limit(struct run *r, const char *text, struct err *e)
{
	enum policy_limit limit;
	uint64_t value;
	int rc = policy_limit_parse(text, &limit, &value, e);

	if (rc != 0)
		return rc;
	if (json_object_set_new(r->limits, policy_limit_info[limit].name, json_integer((json_int_t)value)) != 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	return 0;
}

/* --timeout and --memory: a limit that has an option of its own. */
static int
add_named_limit(struct run *r, enum policy_limit limit, const char *text, struct err *e)
{
	char named[128];

	snprintf(named, sizeof(named), "%s=%s", policy_limit_info[limit].name, text);
	return add_limit(r, named, e);
}

/* Other programs take a bare number for seconds, and wall_ms for milliseconds: nobody's guess is good enough here. */
static int
add_timeout(struct run *r, const char *text, struct err *e)
{
	if (text[0] != '\0' && strspn(text, "0123456789") == strlen(text))
		return err_set(e, ERR_INVAL, "--timeout %.40s: say in which unit, as in %.40ss or %.40sms", text, text, text);
	return add_named_limit(r, POLICY_LIMIT_wall_ms, text, e);
}

/* The server says what it may be. */
static int
add_deadline(struct run *r, const char *text, struct err *e)
{
	uint64_t ms;

	if (text[0] == '\0' || strspn(text, "0123456789") == strlen(text) || policy_amount_parse(text, POLICY_UNIT_MS, &ms) != 0)
		return err_set(e, ERR_INVAL, "--deadline %.40s is no time: say how much of which unit, as in 500ms, 2s, 5m", text);
	return json_object_set_new(r->urgency, "deadline_ms", json_integer((json_int_t)ms)) == 0 ? 0 :
	    err_set(e, ERR_NOMEM, "out of memory");
}

static int
add_priority(struct run *r, const char *text, struct err *e)
{
	if (strlen(text) != 1 || text[0] < '0' || text[0] > '9')
		return err_set(e, ERR_INVAL, "--priority %.40s: it must be 0 to 9", text);
	return json_object_set_new(r->urgency, "priority", json_integer(text[0] - '0')) == 0 ? 0 :
	    err_set(e, ERR_NOMEM, "out of memory");
}

/* One option. ERR_* with a message for the usage line. */
static int
take_option(void *arg, int option, const char *value, struct err *e)
{
	struct run *r = arg;
	switch (option) {
	case 'e':
		return add_env(r, value, e);
	case 'l':
		return add_limit(r, value, e);
	case 't':
		return add_timeout(r, value, e);
	case 'm':
		return add_named_limit(r, POLICY_LIMIT_memory_bytes, value, e);
	case OPT_DEADLINE:
		return add_deadline(r, value, e);
	case OPT_PRIORITY:
		return add_priority(r, value, e);
	case 'p':
		r->policy_file = value;
		return 0;
	case 'd':
		return run_dirs_add(&r->dirs, value, e);
	case 'y':
		r->apply.yes = true;
		return 0;
	case OPT_APPLY:
		r->applies = true;
		return 0;
	case OPT_ALLOW:
		return apply_request_allow(&r->apply, value, e);
	case 'u':
		r->usage = true;
		return 0;
	case OPT_LEARN:
		r->learn = true;
		return 0;
	case 'o':
		r->learn_file = value;
		return 0;
	case OPT_PACK:
		r->pack = value;
		return 0;
	case 'c':
		r->code = value;
		return 0;
	case OPT_STDIN:
		r->no_stdin = true;
		if (strcmp(value, "none") != 0)
			return err_set(e, ERR_INVAL, "--stdin %s: only \"none\" can be said here", value);
		return 0;
	case OPT_JSON:
		r->json = true;
		return 0;
	case OPT_NO_SIGN:
		r->no_sign = true;
		return 0;
	case OPT_SOCKET:
		r->socket = value;
		return 0;
	default:
		return err_set(e, ERR_INVAL, "an option is not known, or lacks its value");
	}
}

/* Reads the command line. 0 to go on, else *exit_code is the end of it. */
static int
take_command_line(struct run *r, int argc, char **argv, int *exit_code)
{
	struct digest digest;
	struct err e;
	int code = cmd_options(VERB, help, argc, argv, "+:c:d:e:l:m:t:p:o:uy", long_options, take_option, r);

	if (code >= 0) {
		*exit_code = code == CMD_OK ? CMD_OK : RUN_EXIT_FAILED;
		return -1;
	}
	if (!r->applies && (r->apply.yes || r->apply.allow_count > 0)) {
		*exit_code = usage_error("--yes and --allow-path go with --apply");
		return -1;
	}
	if (r->applies && r->dirs.count == 0) {
		*exit_code = usage_error("--apply: which directory? --dir HOST is missing");
		return -1;
	}
	if (r->learn_file != NULL && !r->learn) {
		*exit_code = usage_error("--output goes only with --learn");
		return -1;
	}
	if (r->code != NULL && r->pack == NULL) {
		*exit_code = usage_error("--code goes with --pack");
		return -1;
	}
	if (r->code == NULL && (optind == argc || argv[optind][0] == '\0')) {
		*exit_code = usage_error(r->pack != NULL ? "which source? FILE, or --code TEXT, is missing"
		                                         : "which program? FILE.wasm is missing");
		return -1;
	}
	r->file = r->code != NULL ? "-c" : argv[optind++];
	r->no_stdin |= strcmp(r->file, "-") == 0;
	r->stored = r->pack == NULL && strncmp(r->file, "sha256:", 7) == 0;
	if (r->stored && digest_parse(r->file, strlen(r->file), &digest, &e) != 0) {
		*exit_code = usage_error(e.msg);
		return -1;
	}
	r->args = (const char *const *)argv + optind;
	r->argc = (size_t)(argc - optind);
	return 0;
}

/* --- the request ---------------------------------------------------------------------------------------------- */

/* What the request may have when it states only limits: all that the server gives, so that nothing else narrows. */
static json_t *
policy_of_limits(void)
{
	struct policy *p = NULL;
	struct err e;
	json_t *json;

	if (policy_builtin(&p, &e) != 0)
		return NULL;
	p->signature_module = p->signature_source = POLICY_SIGNATURE_OPTIONAL;
	p->mode = POLICY_MODE_ENFORCE;
	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++)
		p->limits[i] = POLICY_UNSET;
	json = policy_to_json(p);
	policy_free(p);
	return json;
}

/* The document of --policy, fit for the directories that are shown. */
static int
policy_of_file(const struct run *r, json_t **out, struct err *e)
{
	struct policy *p = NULL;
	uint8_t *text = NULL;
	size_t length;
	int rc = io_read_file(r->policy_file, POLICY_TEXT_MAX, &text, &length, e);

	if (rc != 0)
		return rc;
	rc = policy_parse((char *)text, length, r->policy_file, &p, e);
	free(text);
	if (rc != 0)
		return rc;
	if ((rc = run_dirs_narrow(&r->dirs, p, e)) == 0)
		*out = policy_to_json(p);
	policy_free(p);
	return rc;
}

/* The policy in the request: the file's, with the limits of the command line in it. *out is NULL when there is none. */
static int
make_policy(const struct run *r, json_t **out, struct err *e)
{
	json_t *json = NULL;
	int rc = 0;

	*out = NULL;
	if (r->policy_file == NULL && json_object_size(r->limits) == 0 && r->dirs.count == 0 && !r->learn)
		return 0;
	if (r->policy_file != NULL)
		rc = policy_of_file(r, &json, e);
	else if ((json = policy_of_limits()) != NULL)
		rc = run_dirs_grant(&r->dirs, json, e);
	if (rc == 0 && json != NULL && r->learn)
		json_object_set_new(json, "mode", json_string("learn"));
	if (rc == 0 && (json == NULL || json_object_update(json_object_get(json, "limits"), r->limits) != 0))
		rc = err_set(e, ERR_NOMEM, "out of memory for a policy");
	if (rc == 0)
		*out = json;
	else
		json_decref(json);
	return rc;
}

static json_t *
args_json(const struct run *r)
{
	json_t *args = json_array();

	for (size_t i = 0; i < r->argc; i++)
		if (json_array_append_new(args, json_string(r->args[i])) != 0) {
			json_decref(args);
			return NULL;
		}
	return args;
}

/* Standard input: streamed, or nothing. */
static json_t *
stdin_json(const struct run *r)
{
	return r->no_stdin ? json_string("") : json_pack("{s:b}", "stream", 1);
}

static const char *
program_name(const struct run *r)
{
	const char *slash = strrchr(r->file, '/');

	return r->stored || strcmp(r->file, "-") == 0 ? "main" : slash == NULL ? r->file : slash + 1;
}

/* Whether the program goes with the request as a descriptor. */
static bool
sends_module(const struct run *r)
{
	return !r->stored && r->pack == NULL;
}

static json_t *
module_json(const struct run *r)
{
	return r->stored ? json_pack("{s:s}", "digest", r->file) : module_file_json(&r->module);
}

static int
make_params(const struct run *r, json_t **out, struct err *e)
{
	json_t *args = args_json(r), *policy = NULL, *params = NULL, *dirs = run_dirs_json(&r->dirs, sends_module(r) ? 1 : 0);
	json_t *module = NULL;
	int rc = args == NULL ? err_set(e, ERR_INVAL, "an argument is not UTF-8, and cannot be sent") : 0;

	if (rc == 0 && (rc = make_policy(r, &policy, e)) == 0) {
		if (r->pack == NULL)
			module = module_json(r);
		else
			rc = source_module(r->pack, r->file, r->code, &module, e);
	}
	if (rc == 0) {
		params = json_pack("{s:o, s:s, s:O, s:O, s:o, s:O, s:O*, s:b}", "module", module, "name",
		    program_name(r), "args", args, "env", r->env, "stdin", stdin_json(r), "dirs", dirs, "policy", policy, "stream",
		    !r->json);
		if (params == NULL || json_object_update(params, r->urgency) != 0)
			rc = err_set(e, ERR_INVAL, "the request cannot be written: is the name of the file UTF-8?");
	}
	json_decref(args);
	json_decref(dirs);
	json_decref(policy);
	if (rc == 0)
		*out = params;
	return rc;
}

/* --- running it ----------------------------------------------------------------------------------------------- */

static int
connect_server(const struct run *r, struct brig **b, struct err *e)
{
	bool started;
	int rc = private_connect(r->socket, b, &started, e);

	if (rc == 0 && started)
		cmd_error(VERB, "started a brigd of your own, at %s", brig_path(*b));
	return rc;
}

/* Writes what was learned, and says why. Returns an exit code when that cannot be done, else 0. */
static int
write_learned(const struct run *r, const json_t *result)
{
	const json_t *policy = json_object_get(json_object_get(result, "learned"), "policy");
	struct err e;
	char *text;
	int rc;

	if (policy == NULL) {
		cmd_error(VERB, "nothing was learned: the run did not get so far");
		return RUN_EXIT_FAILED;
	}
	run_report_learned(result);
	if (r->learn_file == NULL)
		return r->json || cmd_print_json(VERB, policy) == CMD_OK ? 0 : RUN_EXIT_FAILED;
	if ((text = json_dumps(policy, JSON_INDENT(2) | JSON_SORT_KEYS)) == NULL)
		rc = err_set(&e, ERR_NOMEM, "out of memory");
	else
		rc = io_replace_file(r->learn_file, text, strlen(text), 0644, &e);
	free(text);
	return rc == 0 ? 0 : (cmd_fail(VERB, &e), RUN_EXIT_FAILED);
}

/* --apply, of a run that ended with `code`. Returns the code to end with. */
static int
apply(const struct run *r, json_t *result, int code)
{
	if (code == 0)
		return run_dirs_apply(&r->dirs, result, &r->apply) == CMD_OK ? 0 : RUN_EXIT_FAILED;
	run_dirs_report(&r->dirs, result, ": the program did not exit with 0");
	return code;
}

static int
finish(const struct run *r, json_t *result, int interrupted)
{
	int code, learned = 0;

	if (r->json && cmd_print_json(VERB, result) != CMD_OK)
		return RUN_EXIT_FAILED;
	code = run_report(result, r->limits);
	if (r->learn)
		learned = write_learned(r, result);
	if (r->applies)
		code = apply(r, result, code);
	else
		run_dirs_report(&r->dirs, result, "; --apply applies them");
	if (r->usage) {
		run_report_usage(result);
		run_dirs_usage(&r->dirs);
	}
	if (learned != 0)
		return learned;
	return code == RUN_EXIT_CANCELLED && interrupted != 0 ? 128 + interrupted : code;
}

/* The server, at that path, would not run it: `answer` is the error as it came. */
static int
refuse(const struct run *r, const char *server, json_t *answer, const struct brig_error *error)
{
	json_t *whole = json_pack("{s:O}", "error", answer);
	int printed = r->json ? cmd_print_json(VERB, whole) : CMD_OK;
	char advice[MODULE_FILE_ADVICE_SIZE];
	int code = run_report_error(error, module_file_advice(&r->module, error, server, advice));

	json_decref(whole);
	return printed == CMD_OK ? code : RUN_EXIT_FAILED;
}

/* The descriptors that go with the request: the module's, unless it is stored, which is then the caller's; directories'. */
static int
make_descriptors(struct run *r, int fds[BRIG_FDS_MAX], int *nfds, struct err *e)
{
	int module;

	*nfds = 0;
	if (sends_module(r)) {
		if ((module = module_file_memfd(&r->module, e)) < 0)
			return module;
		fds[(*nfds)++] = module;
	}
	*nfds += run_dirs_fds(&r->dirs, fds + *nfds);
	return 0;
}

/* Lets standard output go where standard error goes. Returns a descriptor for what it was, or ERR_IO. */
static int
divert_output(struct err *e)
{
	int saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);

	if (saved < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return err_sys(e, ERR_IO, "standard output");
	return saved;
}

static int
run_it(struct run *r)
{
	struct brig_error error = {0};
	struct brig *b = NULL;
	json_t *params = NULL, *result = NULL;
	struct err e = {0};
	int fds[BRIG_FDS_MAX], nfds = 0, out = -1, interrupted = 0, rc;
	int code = RUN_EXIT_FAILED;

	if (sends_module(r) && (rc = module_file_load(r->file, !r->no_sign, &r->module, &e)) != 0)
		goto out;
	if ((rc = make_params(r, &params, &e)) != 0 || (rc = run_dirs_serve(&r->dirs, &e)) != 0)
		goto out;
	if ((rc = connect_server(r, &b, &e)) != 0 || (rc = make_descriptors(r, fds, &nfds, &e)) != 0)
		goto out;
	if (r->learn && r->learn_file == NULL && !r->json && (out = divert_output(&e)) < 0) {
		rc = out;
		goto out;
	}
	rc = run_stream(b, params, fds, nfds, !r->no_stdin, &result, &error, &interrupted, &e);
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	params = NULL;
	if (rc == 0)
		code = finish(r, result, interrupted);
	else if (error.code != 0)
		code = refuse(r, brig_path(b), result, &error);
out:
	if (rc != 0 && error.code == 0)
		cmd_fail(VERB, &e);
	json_decref(params);
	json_decref(result);
	if (sends_module(r) && nfds > 0)
		close(fds[0]);
	if (out >= 0)
		close(out);
	brig_close(b);
	return code;
}

int
cmd_run(int argc, char **argv)
{
	struct run r = {.env = json_object(), .limits = json_object(), .urgency = json_object(), .apply = {.verb = VERB}};
	int code;

	if (take_command_line(&r, argc, argv, &code) == 0)
		code = run_it(&r);
	json_decref(r.env);
	json_decref(r.limits);
	json_decref(r.urgency);
	apply_request_clear(&r.apply);
	run_dirs_clear(&r.dirs);
	module_file_clear(&r.module);
	return code;
}
