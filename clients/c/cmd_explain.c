/* cmd_explain: `brig policy explain`: what a run may do under some documents, and which rule says so. brig. */

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "clients/c/cmd_policy.h"
#include "policy/explain.h"

#define VERB "policy"
#define LAYERS_MAX 16
#define BATCH      32 /* questions that a server takes at once */

static const char usage[] = "explain [--ceiling FILE] [--owner FILE] [--signer FILE]... [--pack FILE] [--request FILE] [--json] QUESTION...\n"
    "  or: explain --server [--socket PATH] [--signer KEYID] [--pack NAME] [--request FILE] [--json] QUESTION...";

struct explain {
	const char *names[LAYERS_MAX]; /* of files; for a server, of the signer's key and of the language pack */
	enum policy_layer_kind kinds[LAYERS_MAX];
	size_t count;
	const char *socket;
	bool server, json;
	struct policy_stated layers[LAYERS_MAX]; /* the documents, owned */
	size_t read;
};

static void
clear(struct explain *x)
{
	for (size_t i = 0; i < x->read; i++)
		policy_document_free((struct policy_document *)(uintptr_t)x->layers[i].document);
}

/* Notes a layer, in the order of layers, whatever the order of the options. */
static int
add_layer(struct explain *x, enum policy_layer_kind kind, const char *name)
{
	size_t i = x->count;

	for (size_t k = 0; k < x->count; k++)
		if (x->kinds[k] == kind && (kind != POLICY_LAYER_SIGNER || x->server))
			return cmd_usage(VERB, "explain: --%s can be given once", policy_layer_name(kind));
	if (x->count == LAYERS_MAX)
		return cmd_usage(VERB, "explain: more than %d documents", LAYERS_MAX);
	for (x->count++; i > 0 && x->kinds[i - 1] > kind; i--) {
		x->kinds[i] = x->kinds[i - 1];
		x->names[i] = x->names[i - 1];
	}
	x->kinds[i] = kind;
	x->names[i] = name;
	return CMD_OK;
}

/* NULL for the built-in ceiling. */
static int
read_layer(struct explain *x, enum policy_layer_kind kind, const char *file)
{
	struct policy_document *d;
	struct err e;
	int rc = file == NULL ? policy_document_builtin(&d, &e) : cmd_policy_read(file, NULL, &d, &e);

	if (rc != 0) {
		cmd_fail(VERB, &e);
		return CMD_USAGE;
	}
	x->layers[x->read++] = (struct policy_stated){kind, d};
	return CMD_OK;
}

/* Reads the documents: of a server only the request's, else all; a ceiling there always is. */
static int
read_layers(struct explain *x)
{
	int code = CMD_OK;

	if (!x->server && (x->count == 0 || x->kinds[0] != POLICY_LAYER_CEILING))
		code = add_layer(x, POLICY_LAYER_CEILING, NULL);
	for (size_t i = 0; code == CMD_OK && i < x->count; i++) {
		if (!x->server || x->kinds[i] == POLICY_LAYER_REQUEST)
			code = read_layer(x, x->kinds[i], x->names[i]);
		else if (x->kinds[i] != POLICY_LAYER_SIGNER && x->kinds[i] != POLICY_LAYER_PACK)
			code = cmd_usage(VERB, "explain: with --server, the %s is the server's", policy_layer_name(x->kinds[i]));
	}
	return code;
}

static int
read_options(struct explain *x, int argc, char **argv)
{
	static const struct option options[] = {
	    {"ceiling", required_argument, NULL, POLICY_LAYER_CEILING},
	    {"owner", required_argument, NULL, POLICY_LAYER_OWNER},
	    {"signer", required_argument, NULL, POLICY_LAYER_SIGNER},
	    {"pack", required_argument, NULL, POLICY_LAYER_PACK},
	    {"request", required_argument, NULL, POLICY_LAYER_REQUEST},
	    {"server", no_argument, NULL, 'S'},
	    {"socket", required_argument, NULL, 's'},
	    {"json", no_argument, NULL, 'j'},
	    {NULL, 0, NULL, 0},
	};
	int option, code;

	optind = 0;
	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (option == '?')
			return cmd_usage(VERB, "%s", usage);
		if (option == 'j') {
			x->json = true;
		} else if (option == 'S' || option == 's') {
			x->server = true;
			x->socket = option == 's' ? optarg : x->socket;
		} else if ((code = add_layer(x, (enum policy_layer_kind)option, optarg)) != CMD_OK) {
			return code;
		}
	}
	return read_layers(x);
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
	print_text("\n  ");
	print_text(text_of(answer, "message"));
	print_text("\n");
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

/* Reads all questions. *out has their texts. */
static int
read_questions(int argc, char **argv, json_t *out, struct err *e)
{
	struct policy_question q;
	int rc;

	for (size_t used; argc > 0; argc -= (int)used, argv += used) {
		if ((rc = policy_question_parse((const char *const *)argv, (size_t)argc, &used, &q, e)) != 0)
			return rc;
		if (json_array_append_new(out, json_string(q.text)) != 0)
			return err_set(e, ERR_NOMEM, "out of memory for questions");
	}
	return 0;
}

static int
answer_here(const struct explain *x, const json_t *questions, json_t *answers, struct err *e)
{
	struct policy_inquiry *inquiry = NULL;
	struct policy_question q;
	json_t *question, *answer;
	size_t i, used;
	bool allowed;
	int rc = policy_inquiry_new(x->layers, x->read, &inquiry, e);

	json_array_foreach(questions, i, question) {
		const char *text = json_string_value(question);

		if (rc == 0 && (rc = policy_question_parse(&text, 1, &used, &q, e)) == 0 &&
		    (rc = policy_answer(inquiry, &q, &answer, &allowed, e)) == 0 && json_array_append_new(answers, answer) != 0)
			rc = err_set(e, ERR_NOMEM, "out of memory for answers");
	}
	policy_inquiry_free(inquiry);
	return rc;
}

/* The parameters of policy.explain for some of the questions. */
static json_t *
params_of(const struct explain *x, const json_t *questions, size_t from)
{
	json_t *params = json_object(), *some = json_array();

	for (size_t i = from; i < json_array_size(questions) && i < from + BATCH; i++)
		json_array_append(some, json_array_get(questions, i));
	json_object_set_new(params, "questions", some);
	for (size_t i = 0; i < x->count; i++)
		if (x->kinds[i] == POLICY_LAYER_SIGNER || x->kinds[i] == POLICY_LAYER_PACK)
			json_object_set_new(params, policy_layer_name(x->kinds[i]), json_string(x->names[i]));
	if (x->read > 0)
		json_object_set(params, "policy", x->layers[0].document->json);
	return params;
}

/* Has the server answer. It says itself what does not work. */
static int
answer_there(const struct explain *x, const json_t *questions, json_t *answers)
{
	for (size_t from = 0; from < json_array_size(questions); from += BATCH) {
		json_t *result;

		if (cmd_call(VERB, x->socket, "policy.explain", params_of(x, questions, from), -1, &result) != CMD_OK)
			return CMD_USAGE;
		json_array_extend(answers, json_object_get(result, "answers"));
		json_decref(result);
	}
	return CMD_OK;
}

/* The exit code; `answers` are printed. */
static int
print_answers(const struct explain *x, const json_t *answers)
{
	const json_t *answer;
	int code = CMD_OK;
	size_t i;

	if (x->json && cmd_print_json(VERB, answers) != CMD_OK)
		return CMD_USAGE;
	json_array_foreach(answers, i, answer) {
		if (!x->json)
			print_answer(answer);
		if (strcmp(text_of(answer, "answer"), "allow") != 0)
			code = CMD_FAILED;
	}
	return code;
}

int
cmd_policy_explain(int argc, char **argv)
{
	json_t *questions = json_array(), *answers = json_array();
	struct explain x = {0};
	struct err e;
	int code = read_options(&x, argc, argv);

	if (code == CMD_OK && optind >= argc)
		code = cmd_usage(VERB, "explain: what is the question? For example: fs write /workspace/a.txt");
	if (code != CMD_OK)
		goto out;
	if (read_questions(argc - optind, argv + optind, questions, &e) != 0 ||
	    (!x.server && answer_here(&x, questions, answers, &e) != 0)) {
		cmd_fail(VERB, &e);
		code = CMD_USAGE;
		goto out;
	}
	if (x.server)
		code = answer_there(&x, questions, answers);
	if (code == CMD_OK)
		code = print_answers(&x, answers);
out:
	json_decref(questions);
	json_decref(answers);
	clear(&x);
	return code;
}
