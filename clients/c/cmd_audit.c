/* brig audit: read a log of runs, and check that nobody altered it. brig. */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/chain.h"
#include "base/utc.h"
#include "clients/c/cmd.h"

#define SHOWN_FAULTS 20
#define SYSTEM_LOG   "/var/lib/brig/audit/log.jsonl"

static const char about[] =
    "brig audit VERB: the log of what ran, who asked for it, and what was refused. FILE is by default the log of your own\n"
    "brigd, STATE/audit/log.jsonl; as root that of the system when there is one.";

/* --- the file ------------------------------------------------------------------------------------------------------ */

/* Where brigd keeps its log unless it was told otherwise. */
static int
default_path(char out[PATH_MAX], struct err *e)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;

	if (geteuid() == 0 && access(SYSTEM_LOG, F_OK) == 0)
		n = snprintf(out, PATH_MAX, SYSTEM_LOG);
	else if (state != NULL && state[0] == '/')
		n = snprintf(out, PATH_MAX, "%s/brig/audit/log.jsonl", state);
	else if (home != NULL && home[0] == '/')
		n = snprintf(out, PATH_MAX, "%s/.local/state/brig/audit/log.jsonl", home);
	else
		return err_set(e, ERR_INVAL, "there is no HOME: say which FILE");
	return n < PATH_MAX ? 0 : err_set(e, ERR_INVAL, "the log's path is too long");
}

static FILE *
open_log(const char *file, char path[PATH_MAX], struct err *e)
{
	FILE *f;

	if (file == NULL && default_path(path, e) != 0)
		return NULL;
	if (file != NULL)
		snprintf(path, PATH_MAX, "%s", file);
	f = fopen(path, "re");
	if (f == NULL)
		err_sys(e, ERR_IO, "%s", path);
	else if (file == NULL)
		cmd_error("audit", "%s", path);
	return f;
}

struct options {
	const char *file;
	const char *head;
	const char *run;
	bool json;
};

/* Reads the options of a verb: those of the letters in `allowed`, and at most one FILE. */
static int
parse_options(int argc, char **argv, const char *allowed, struct options *o)
{
	static const struct option table[] = {{"head", required_argument, NULL, 'h'}, {"run", required_argument, NULL, 'r'},
	    {"json", no_argument, NULL, 'j'}, {0}};
	int c;

	opterr = 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (c == '?')
			return cmd_usage("audit", "%s: the option %s is not known or lacks its value", argv[0], argv[optind - 1]);
		if (strchr(allowed, c) == NULL)
			return cmd_usage("audit", "%s does not take that option", argv[0]);
		if (c == 'h')
			o->head = optarg;
		else if (c == 'r')
			o->run = optarg;
		else
			o->json = true;
	}
	if (optind + 1 < argc)
		return cmd_usage("audit", "%s: one FILE at a time", argv[0]);
	o->file = argv[optind];
	return CMD_OK;
}

/* --- verify -------------------------------------------------------------------------------------------------------- */

static void
print_fault(void *arg, const struct chain_fault *fault)
{
	unsigned *shown = arg;

	if ((*shown)++ >= SHOWN_FAULTS)
		return;
	if (fault->line > 0)
		printf("line %" PRIu64 ": ", fault->line);
	cmd_print_safe(stdout, fault->text, strlen(fault->text));
	putchar('\n');
}

static void
print_report(const char *path, const struct chain_report *r, unsigned shown)
{
	char text[DIGEST_TEXT_SIZE];

	if (r->faults > shown || shown > SHOWN_FAULTS)
		printf("and more\n");
	if (r->faults > 0) {
		printf("%s: NOT as it was written: %" PRIu64 " fault%s in %" PRIu64 " record%s\n", path, r->faults,
		    r->faults == 1 ? "" : "s", r->records, r->records == 1 ? "" : "s");
		return;
	}
	printf("%s: %" PRIu64 " record%s, none altered, missing or out of order\n", path, r->records,
	    r->records == 1 ? "" : "s");
	if (r->torn > 0)
		printf("%" PRIu64 " were torn by a crash or a full disk, and are marked so in the log\n", r->torn);
	if (r->records > 0)
		printf("head %s\n", digest_text(&r->head, text));
}

static int
verify_log(int argc, char **argv)
{
	struct options o = {0};
	struct chain_report report = {0};
	struct digest head;
	struct err e = {0};
	char path[PATH_MAX];
	unsigned shown = 0;
	FILE *f;
	int rc = parse_options(argc, argv, "h", &o);

	if (rc != CMD_OK)
		return rc;
	if (o.head != NULL && digest_parse(o.head, strlen(o.head), &head, &e) != 0)
		return cmd_usage("audit", "--head %s: %s", o.head, e.msg);
	if ((f = open_log(o.file, path, &e)) == NULL)
		return cmd_fail("audit", &e);
	rc = chain_verify(f, o.head != NULL ? &head : NULL, print_fault, &shown, &report, &e);
	fclose(f);
	if (rc != 0)
		return cmd_fail("audit", &e);
	print_report(path, &report, shown);
	return report.faults == 0 ? CMD_OK : CMD_FAILED;
}

/* --- show ---------------------------------------------------------------------------------------------------------- */

/* The string at a path of keys, "" when there is none. */
static const char *
text_at(const json_t *json, const char *const *keys)
{
	for (; *keys != NULL; keys++)
		json = json_object_get(json, *keys);
	return json_is_string(json) ? json_string_value(json) : "";
}
#define TEXT_AT(json, ...) text_at(json, (const char *const[]){__VA_ARGS__, NULL})

/* What happened, as one sentence's beginning. */
static void
describe(const json_t *record, char *out, size_t size)
{
	const json_t *ours = json_object_get(json_object_get(record, "unmapped"), "brig");
	const json_t *code = json_object_get(record, "exit_code");
	const char *status = TEXT_AT(record, "status_code"), *limit = TEXT_AT(ours, "limit"), *trap = TEXT_AT(ours, "trap");
	const char *method = TEXT_AT(record, "api", "operation"), *event = TEXT_AT(ours, "event");

	if (code == NULL) /* past OCSF's 32 bits */
		code = json_object_get(ours, "exit_code");
	if (method[0] != '\0' && status[0] != '\0')
		snprintf(out, size, "refused %s: %s", method, status);
	else if (method[0] != '\0')
		snprintf(out, size, "%s", method);
	else if (json_is_integer(code) && strcmp(status, "exited") == 0)
		snprintf(out, size, "run exited %" JSON_INTEGER_FORMAT, json_integer_value(code));
	else if (status[0] != '\0')
		snprintf(out, size, "run %s %s", status, limit[0] != '\0' ? limit : trap);
	else if (event[0] != '\0')
		snprintf(out, size, "brigd %s", event);
	else
		snprintf(out, size, "run starts");
}

/* Prints text that came from a client, in a column. */
static void
print_column(const char *text, int width)
{
	char line[200];
	size_t n = strnlen(text, sizeof(line));

	memcpy(line, text, n);
	for (size_t i = 0; i < n; i++)
		if (line[i] == '\n' || line[i] == '\t')
			line[i] = ' ';
	cmd_print_safe(stdout, line, n);
	if (width > 0)
		printf("%*s", n < (size_t)width ? width - (int)n : 1, " ");
}

static void
print_row(const struct chain_record *r)
{
	const char *uid = TEXT_AT(r->json, "actor", "process", "user", "uid"), *reason = TEXT_AT(r->json, "status_detail");
	const char *module = TEXT_AT(r->json, "process", "file", "name"), *run = TEXT_AT(r->json, "process", "uid");
	char time[UTC_TEXT_SIZE], what[200], digest[20];

	if (module[0] == '\0')
		module = TEXT_AT(json_array_get(json_object_get(r->json, "resources"), 0), "uid");
	utc_text(json_integer_value(json_object_get(r->json, "time")) / 1000, time);
	describe(r->json, what, sizeof(what));
	snprintf(digest, sizeof(digest), "%.12s", strncmp(module, "sha256:", 7) == 0 ? module + 7 : module);
	printf("%6" PRIu64 "  %s  ", r->sequence, time);
	print_column(uid[0] == '\0' ? "-" : uid, 11);
	print_column(what, 30);
	print_column(digest[0] == '\0' ? "-" : digest, 14);
	print_column(run[0] == '\0' ? "-" : run, 0);
	if (reason[0] != '\0') {
		putchar(' ');
		print_column(reason, 0);
	}
	putchar('\n');
}

/* Shows one line of the log, if it is asked for: *shown is then true. Returns whether it is a record. */
static bool
show_line(const struct options *o, uint64_t number, const char *line, size_t length, bool *shown)
{
	struct chain_record r = {0};
	struct err e = {0};
	const char *run;

	if (chain_parse(line, length, &r, &e) != 0) {
		cmd_error("audit", "line %" PRIu64 ": %s", number, e.msg);
		return false;
	}
	run = TEXT_AT(r.json, "process", "uid");
	if (o->run == NULL || strcmp(run, o->run) == 0) {
		*shown = true;
		if (o->json)
			printf("%.*s\n", (int)length, line);
		else
			print_row(&r);
	}
	chain_record_clear(&r);
	return true;
}

static int
show_log(int argc, char **argv)
{
	struct options o = {0};
	char path[PATH_MAX], *line = NULL;
	struct err e = {0};
	uint64_t number = 0;
	bool good = true, shown = false;
	size_t room = 0;
	ssize_t n;
	FILE *f;
	int rc = parse_options(argc, argv, "rj", &o);

	if (rc != CMD_OK)
		return rc;
	if ((f = open_log(o.file, path, &e)) == NULL)
		return cmd_fail("audit", &e);
	if (!o.json)
		printf("%6s  %-20s  %-10s %-29s %-13s %s\n", "record", "time", "user", "what", "module", "run");
	while ((n = getline(&line, &room, f)) > 0)
		good &= show_line(&o, ++number, line, (size_t)n - (line[n - 1] == '\n' ? 1 : 0), &shown);
	if (ferror(f) || fflush(stdout) != 0) {
		err_sys(&e, ERR_IO, "%s", path);
		cmd_fail("audit", &e);
		good = false;
	}
	if (good && o.run != NULL && !shown) {
		cmd_error("audit", "%s: no record of the run %s", path, o.run);
		good = false;
	}
	free(line);
	fclose(f);
	return good ? CMD_OK : CMD_FAILED;
}

int
cmd_audit(int argc, char **argv)
{
	static const struct cmd_sub subs[] = {
	    {"verify", verify_log, "[--head DIGEST] [FILE]",
	        "find altered, missing and reordered records; with --head, a cut end too: a record with that hash must be there"},
	    {"show", show_log, "[--run ID] [--json] [FILE]", "list the records, or one run's; --json prints them as they are"},
	    {NULL, NULL, NULL, NULL},
	};

	return cmd_dispatch("audit", about, subs, argc, argv);
}
