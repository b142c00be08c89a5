/* cmd_explain: `brig policy explain`: what a run may do under some documents, and which rule says so. brig. */

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/cmd_policy.h"
#include "policy/explain.h"

#define VERB "policy"
#define LAYERS_MAX 16

static const char usage[] = "[--ceiling FILE] [--owner FILE] [--signer FILE]... [--request FILE] [--json] QUESTION...";

struct explain {
	struct policy_stated layers[LAYERS_MAX];
	size_t count;
	bool json;
};

static void
clear(struct explain *x)
{
	for (size_t i = 0; i < x->count; i++)
		policy_document_free((struct policy_document *)(uintptr_t)x->layers[i].document);
}

/* Keeps the layers in their order, whatever the order of the options. */
static void
add_layer(struct explain *x, enum policy_layer_kind kind, const struct policy_document *d)
{
	size_t i = x->count++;

	for (; i > 0 && x->layers[i - 1].kind > kind; i--)
		x->layers[i] = x->layers[i - 1];
	x->layers[i] = (struct policy_stated){kind, d};
}

static int
read_layer(struct explain *x, enum policy_layer_kind kind, const char *path)
{
	struct policy_document *d;
	struct err e;

	for (size_t i = 0; i < x->count && kind != POLICY_LAYER_SIGNER; i++)
		if (x->layers[i].kind == kind)
			return cmd_usage(VERB, "explain: --%s can be given once", policy_layer_name(kind));
	if (x->count + 1 >= LAYERS_MAX)
		return cmd_usage(VERB, "explain: more than %d documents", LAYERS_MAX - 1);
	if (cmd_policy_read(path, NULL, &d, &e) != 0) {
		cmd_fail(VERB, &e);
		return CMD_USAGE;
	}
	add_layer(x, kind, d);
	return CMD_OK;
}

/* A ceiling there always is. */
static int
complete(struct explain *x)
{
	struct policy_document *d;
	struct err e;

	if (x->count > 0 && x->layers[0].kind == POLICY_LAYER_CEILING)
		return CMD_OK;
	if (policy_document_builtin(&d, &e) != 0) {
		cmd_fail(VERB, &e);
		return CMD_USAGE;
	}
	add_layer(x, POLICY_LAYER_CEILING, d);
	return CMD_OK;
}

static int
read_options(struct explain *x, int argc, char **argv)
{
	static const struct option options[] = {
	    {"ceiling", required_argument, NULL, POLICY_LAYER_CEILING},
	    {"owner", required_argument, NULL, POLICY_LAYER_OWNER},
	    {"signer", required_argument, NULL, POLICY_LAYER_SIGNER},
	    {"request", required_argument, NULL, POLICY_LAYER_REQUEST},
	    {"json", no_argument, NULL, 'j'},
	    {NULL, 0, NULL, 0},
	};
	int option, code;

	optind = 0;
	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (option == '?')
			return cmd_usage(VERB, "explain %s", usage);
		if (option == 'j')
			x->json = true;
		else if ((code = read_layer(x, (enum policy_layer_kind)option, optarg)) != CMD_OK)
			return code;
	}
	return complete(x);
}

/* --- for people --------------------------------------------------------------------------------------------------- */

static const char *
text_of(const json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));

	return text == NULL ? "" : text;
}

static void
print_text(const char *text)
{
	cmd_print_safe(stdout, text, strlen(text));
}

static void
print_compact(const json_t *json)
{
	char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_SORT_KEYS);

	print_text(text == NULL ? "?" : text);
	free(text);
}

/* "$.fs[0].rights is ["read"] (mine.json:4:20)" */
static void
print_rule(const json_t *rule)
{
	const json_t *value = json_object_get(rule, "value"), *line = json_object_get(rule, "line");
	bool stated = json_is_true(json_object_get(rule, "stated"));
	const char *file = text_of(rule, "file");

	print_text(text_of(rule, "path"));
	if (stated && value != NULL) {
		print_text(" is ");
		print_compact(value);
	} else if (!stated) {
		print_text(" does not state it");
	}
	if (file[0] != '\0') {
		print_text(" (");
		print_text(file);
		if (line != NULL)
			printf(":%lld:%lld", json_integer_value(line), json_integer_value(json_object_get(rule, "column")));
		print_text(")");
	}
	print_text("\n");
}

static void
print_answer(const json_t *answer)
{
	const json_t *grant = json_object_get(answer, "grant"), *rule = json_object_get(answer, "rule"), *layer;
	const char *file = text_of(rule, "file");
	size_t i;

	printf("%s: ", text_of(answer, "answer"));
	print_text(text_of(answer, "question"));
	printf("\n  %s\n", text_of(answer, "message"));
	json_array_foreach(json_object_get(answer, "layers"), i, layer) {
		printf("  %s %s: ", text_of(layer, "layer"), strcmp(text_of(layer, "answer"), "allow") == 0 ? "allows" : "denies");
		print_rule(layer);
	}
	if (!json_is_object(grant))
		return;
	printf("  to allow it, put into the %s's policy%s", text_of(rule, "layer"), file[0] == '\0' ? "" : ", ");
	print_text(file);
	printf(":\n    ");
	print_compact(grant);
	print_text("\n");
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

/* Answers all questions; *allowed is whether every answer was yes. */
static int
answer_all(const struct explain *x, int argc, char **argv, json_t *answers, bool *allowed, struct err *e)
{
	struct policy_inquiry *inquiry = NULL;
	struct policy_question q;
	bool yes;
	int rc = policy_inquiry_new(x->layers, x->count, &inquiry, e);

	*allowed = true;
	for (size_t used; rc == 0 && argc > 0; argc -= (int)used, argv += used) {
		json_t *answer;

		if ((rc = policy_question_parse((const char *const *)argv, (size_t)argc, &used, &q, e)) != 0 ||
		    (rc = policy_answer(inquiry, &q, &answer, &yes, e)) != 0)
			break;
		*allowed &= yes;
		if (json_array_append_new(answers, answer) != 0)
			rc = err_set(e, ERR_NOMEM, "out of memory for an answer");
	}
	policy_inquiry_free(inquiry);
	return rc;
}

int
cmd_policy_explain(int argc, char **argv)
{
	json_t *answers = json_array(), *answer;
	struct explain x = {0};
	bool allowed = false;
	struct err e;
	size_t i;
	int code = read_options(&x, argc, argv);

	if (code != CMD_OK)
		goto out;
	if (optind >= argc) {
		code = cmd_usage(VERB, "explain: what is the question? For example: fs write /workspace/a.txt");
		goto out;
	}
	if (answer_all(&x, argc - optind, argv + optind, answers, &allowed, &e) != 0) {
		cmd_fail(VERB, &e);
		code = CMD_USAGE;
		goto out;
	}
	if (x.json)
		code = cmd_print_json(VERB, answers);
	else
		json_array_foreach(answers, i, answer)
			print_answer(answer);
	if (code == CMD_OK && !allowed)
		code = CMD_FAILED;
out:
	json_decref(answers);
	clear(&x);
	return code;
}
