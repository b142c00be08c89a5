/* broker/explain: the method policy.explain: what a run of the caller would be granted, and by which rule. brigd. */

#include "broker/explain.h"

#include <time.h>

#include "broker/broker.h"
#include "broker/grants.h"
#include "broker/keyring.h"
#include "broker/run_request.h"
#include "policy/explain.h"

#define LAYERS 4

/* The layers of one call. What brigd keeps itself is borrowed; the rest was made for the call. */
struct layers {
	struct policy_stated list[LAYERS];
	size_t count;
	struct policy_document *signer, *request;
};

static void
add_layer(struct layers *l, enum policy_layer_kind kind, const struct policy_document *d)
{
	if (d != NULL)
		l->list[l->count++] = (struct policy_stated){kind, d};
}

/* The grant of the key that is named. */
static int
read_signer(const struct broker *b, uid_t uid, const json_t *signer, struct layers *l, struct rpc_failure *f)
{
	const struct keyring_key *key;
	struct err e = {0};

	if (signer == NULL)
		return 0;
	if (!json_is_string(signer))
		return rpc_fail(f, RPC_invalid_params, "signer must be the id of a key of the keyring");
	if ((key = keyring_find_kid(b->keyring, json_string_value(signer))) == NULL)
		return rpc_fail(f, RPC_unknown_key, "the keyring has no key %.40s", json_string_value(signer));
	if (keyring_key_usable(key, time(NULL), &e) != 0 || keyring_key_check_owner(key, uid, &e) != 0)
		return rpc_fail(f, RPC_unknown_key, "%s", e.msg);
	if (key->grant != NULL && policy_document_of(key->grant, &l->signer, &e) != 0)
		return rpc_fail(f, RPC_internal_error, "%s", e.msg);
	return 0;
}

static int
read_request(const json_t *json, struct layers *l, struct rpc_failure *f)
{
	struct policy *p;
	struct err e = {0};
	int rc;

	if (json == NULL)
		return 0;
	if (policy_from_json(json, &p, &e) != 0)
		return rpc_fail(f, RPC_invalid_params, "policy: %s", e.msg);
	rc = policy_document_with(p, json, &l->request, &e);
	return rc == 0 ? 0 : rpc_fail(f, RPC_internal_error, "%s", e.msg);
}

static int
answer_one(const struct policy_inquiry *x, const json_t *question, json_t *answers, struct rpc_failure *f)
{
	const char *text = json_string_value(question);
	struct policy_question q;
	struct err e = {0};
	json_t *answer;
	size_t used;
	bool allowed;

	if (text == NULL)
		return rpc_fail(f, RPC_invalid_params, "a question must be a string, like \"fs read /workspace/a.txt\"");
	if (policy_question_parse(&text, 1, &used, &q, &e) != 0)
		return rpc_fail(f, RPC_invalid_params, "questions: %s", e.msg);
	if (policy_answer(x, &q, &answer, &allowed, &e) != 0 || json_array_append_new(answers, answer) != 0)
		return rpc_fail(f, RPC_internal_error, "out of memory for an answer");
	return 0;
}

static json_t *
answer_all(const struct layers *l, const json_t *questions, struct rpc_failure *f)
{
	json_t *answers = json_array(), *question;
	struct policy_inquiry *x = NULL;
	struct err e = {0};
	size_t i;
	int rc = policy_inquiry_new(l->list, l->count, &x, &e);

	if (rc != 0)
		rpc_fail(f, RPC_internal_error, "%s", e.msg);
	json_array_foreach(questions, i, question)
		if (rc == 0)
			rc = answer_one(x, question, answers, f);
	policy_inquiry_free(x);
	if (rc == 0)
		return json_pack("{s:o}", "answers", answers);
	json_decref(answers);
	return NULL;
}

json_t *
explain_questions(const struct broker *b, uid_t uid, const json_t *params, struct rpc_failure *f)
{
	static const char *const names[] = {"questions", "policy", "signer"};
	const json_t *questions = json_object_get(params, "questions");
	struct layers l = {.count = 0};
	json_t *result = NULL;

	if (params_check(params, names, sizeof(names) / sizeof(names[0]), f) != 0)
		return NULL;
	if (json_array_size(questions) == 0 || json_array_size(questions) > EXPLAIN_QUESTIONS_MAX) {
		rpc_fail(f, RPC_invalid_params, "questions must be a list of 1 to %d", EXPLAIN_QUESTIONS_MAX);
		return NULL;
	}
	if (read_signer(b, uid, json_object_get(params, "signer"), &l, f) == 0 &&
	    read_request(json_object_get(params, "policy"), &l, f) == 0) {
		add_layer(&l, POLICY_LAYER_CEILING, b->ceiling);
		add_layer(&l, POLICY_LAYER_OWNER, grants_document_of(b->grants, uid));
		add_layer(&l, POLICY_LAYER_SIGNER, l.signer);
		add_layer(&l, POLICY_LAYER_REQUEST, l.request);
		result = answer_all(&l, questions, f);
	}
	policy_document_free(l.signer);
	policy_document_free(l.request);
	return result;
}
