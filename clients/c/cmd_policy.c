/* cmd_policy: `brig policy`: check documents, combine them, describe the language. brig. */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "clients/c/cmd_policy.h"
#include "policy/explain.h"

#define VERB "policy"

static const char about[] =
    "brig policy: the documents that say what a run may do (brig-policy(5)). A FILE of - is standard input.";

int
cmd_policy_read(const char *path, struct policy_problems *all, struct policy_document **out, struct err *e)
{
	uint8_t *text = NULL;
	size_t length = 0;
	int rc = strcmp(path, "-") == 0 ? io_read_fd(0, POLICY_TEXT_MAX, &text, &length, e)
	                                : io_read_file(path, POLICY_TEXT_MAX, &text, &length, e);

	if (all != NULL)
		all->kept = 0;
	if (rc != 0)
		return rc;
	rc = policy_document_parse((char *)text, length, path, all, out, e);
	free(text);
	return rc;
}

/* Says all that is wrong with a document, or the one thing that kept it from being read. */
static int
print_problems(const struct policy_problems *all, const struct err *e)
{
	if (all->kept == 0)
		return cmd_fail(VERB, e);
	for (size_t i = 0; i < all->kept; i++)
		cmd_fail(VERB, &all->list[i].e);
	if (all->more > 0)
		cmd_error(VERB, "and %zu more", all->more);
	return CMD_FAILED;
}

/* Prints and frees. */
static int
print_json(json_t *json)
{
	int code = cmd_print_json(VERB, json);

	json_decref(json);
	return code;
}

static int
policy_check(int argc, char **argv)
{
	struct policy_problems all;
	int code = CMD_OK;

	if (argc < 2)
		return cmd_usage(VERB, "check: which FILE?");
	for (int i = 1; i < argc; i++) {
		char text[DIGEST_TEXT_SIZE];
		struct policy_document *d = NULL;
		struct digest digest;
		struct err e;

		if (cmd_policy_read(argv[i], &all, &d, &e) != 0)
			code = print_problems(&all, &e);
		else if (policy_digest(d->policy, &digest, &e) != 0)
			code = cmd_fail(VERB, &e);
		else
			printf("%s: good, %s\n", argv[i], digest_text(&digest, text));
		policy_document_free(d);
	}
	return code;
}

static int
policy_combine(int argc, char **argv)
{
	struct policy *met = NULL, *next;
	struct policy_document *d;
	struct err e;
	int rc = 0, code;

	if (argc < 2)
		return cmd_usage(VERB, "meet: which FILEs?");
	for (int i = 1; rc == 0 && i < argc; i++) {
		if ((rc = cmd_policy_read(argv[i], NULL, &d, &e)) != 0)
			break;
		rc = policy_meet(met == NULL ? d->policy : met, d->policy, &next, &e);
		policy_document_free(d);
		if (rc != 0)
			break;
		policy_free(met);
		met = next;
	}
	code = rc != 0 ? cmd_fail(VERB, &e) : print_json(policy_to_json(met));
	policy_free(met);
	return code;
}

static int
policy_print_builtin(int argc, char **argv)
{
	struct policy *p;
	struct err e;
	int code;

	(void)argv;
	if (argc > 1)
		return cmd_usage(VERB, "builtin takes no arguments");
	if (policy_builtin(&p, &e) != 0)
		return cmd_fail(VERB, &e);
	code = print_json(policy_to_json(p));
	policy_free(p);
	return code;
}

static int
policy_print_schema(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return cmd_usage(VERB, "schema takes no arguments");
	return print_json(policy_schema());
}

static int
policy_print_limits(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return cmd_usage(VERB, "limits takes no arguments");
	printf("%-15s %-10s %-17s %s\n", "limit", "default", "maximum", "what it bounds");
	for (enum policy_limit i = 0; i < POLICY_LIMIT_COUNT; i++) {
		const struct policy_limit_info *info = &policy_limit_info[i];
		char initial[POLICY_LIMIT_TEXT_SIZE] = "none", maximum[POLICY_LIMIT_TEXT_SIZE];

		if (info->initial != 0)
			policy_limit_text(i, info->initial, initial);
		printf("%-15s %-10s %-17s %s\n", info->name, initial, policy_limit_text(i, info->maximum, maximum), info->text);
	}
	return CMD_OK;
}

static const struct cmd_sub subs[] = {
    {"check", policy_check, "FILE...", "say whether each is a good document, and its digest; if not, all that is wrong, by line"},
    {"meet", policy_combine, "FILE...", "print what all of them allow together"},
    {"explain", cmd_policy_explain,
	"[--ceiling FILE] [--owner FILE] [--signer FILE]... [--pack FILE] [--request FILE] [--json] QUESTION...\n"
	"  brig policy explain --server [--socket PATH] [--signer KEYID] [--pack NAME] [--request FILE] [--json] QUESTION...",
	"say whether a run may do that under these documents, or under the rules of a running brigd, and which rule decides;\n"
	"        exit 0 if all is allowed, 1 if not. A QUESTION is one of\n"
#define X(name, word, rest, text) "          " word " " rest "\n"
	POLICY_QUESTIONS(X)
#undef X
	"        and several may follow each other, as in brig policy explain 'fs read /w/a' args"},
    {"diff", cmd_policy_diff, "[--json] A B", "say what B allows that A does not, and the reverse; exit 0 if neither"},
    {"builtin", policy_print_builtin, "", "print the ceiling of a brigd that was given none"},
    {"limits", policy_print_limits, "", "list the limits with defaults and maxima"},
    {"schema", policy_print_schema, "", "print the JSON Schema of documents"},
    {NULL, NULL, NULL, NULL},
};

int
cmd_policy(int argc, char **argv)
{
	return cmd_dispatch(VERB, about, subs, argc, argv);
}
