/* broker/explain: the method policy.explain: what a run of the caller would be granted, and by which rule. brigd. */

#include "broker/explain.h"

#include <time.h>

#include "broker/broker.h"
#include "broker/grants.h"
#include "broker/keyring.h"
#include "broker/run_request.h"
#include "policy/explain.h"

#define LAYERS 7

/* The layers of one call. What brigd keeps itself is borrowed. */
struct layers {
	struct policy_stated list[LAYERS];
	size_t count;
	struct policy_document *made[LAYERS]; /* for this call */
	size_t made_count;
};

static void
add_layer(struct layers *l, enum policy_layer_kind kind, const struct policy_document *d)
{
	if (d != NULL)
		l->list[l->count++] = (struct policy_stated){kind, d};
}

/* Adds a grant of which there is no document. */
static int
add_grant(struct layers *l, enum policy_layer_kind kind, const struct policy *grant, struct rpc_failure *f)
{
	struct err e = {0};

	if (grant == NULL)
		return 0;
	if (policy_document_of(grant, &l->made[l->made_count], &e) != 0)
		return rpc_fail(f, RPC_internal_error, "%s", e.msg);
	add_layer(l, kind, l->made[l->made_count++]);
	return 0;
}

/* The grant of the key that is named. */
static int
add_signer(const struct broker *b, uid_t uid, const json_t *signer, struct layers *l, struct rpc_failure *f)
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
	return add_grant(l, POLICY_LAYER_SIGNER, key->grant, f);
}

/* The grants of the language pack that is named, and of the keys that signed it. */
static int
add_pack(const struct broker *b, uid_t uid, const json_t *name, struct layers *l, struct rpc_failure *f)
{
	struct signature_verdict v;
	const struct pack *pack;
	struct err e = {0};
	int rc;

	if (name == NULL)
		return 0;
	if (!json_is_string(name))
		return rpc_fail(f, RPC_invalid_params, "pack must be the name of a language pack");
	if ((pack = packs_find(b->packs, json_string_value(name))) == NULL)
		return rpc_fail(f, RPC_pack_not_found, "there is no language pack \"%.*s\"", PACK_NAME_MAX, json_string_value(name));
	if ((rc = packs_judge(pack, b->keyring, time(NULL), &v, &e)) != 0)
		return rpc_fail(f, rc == ERR_DENIED ? RPC_unknown_key : modules_error(rc), "%s", e.msg);
	if (keyring_key_check_owner(v.key, uid, &e) != 0 || (v.second != NULL && keyring_key_check_owner(v.second, uid, &e) != 0))
		return rpc_fail(f, RPC_unknown_key, "%s", e.msg);
	if (add_grant(l, POLICY_LAYER_SIGNER, v.key->grant, f) != 0 ||
	    (v.second != NULL && add_grant(l, POLICY_LAYER_SIGNER, v.second->grant, f) != 0))
		return -1;
	return add_grant(l, POLICY_LAYER_PACK, pack->grant, f);
}

static int
add_request(const json_t *json, struct layers *l, struct rpc_failure *f)
{
	struct policy *p;
	struct err e = {0};

	if (json == NULL)
		return 0;
	if (policy_from_json(json, &p, &e) != 0)
		return rpc_fail(f, RPC_invalid_params, "policy: %s", e.msg);
	if (policy_document_with(p, json, &l->made[l->made_count], &e) != 0)
		return rpc_fail(f, RPC_internal_error, "%s", e.msg);
	add_layer(l, POLICY_LAYER_REQUEST, l->made[l->made_count++]);
	return 0;
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
	static const char *const names[] = {"questions", "policy", "signer", "pack"};
	const json_t *questions = json_object_get(params, "questions");
	struct layers l = {.count = 0};
	json_t *result = NULL;

	if (params_check(params, names, sizeof(names) / sizeof(names[0]), f) != 0)
		return NULL;
	if (json_array_size(questions) == 0 || json_array_size(questions) > EXPLAIN_QUESTIONS_MAX) {
		rpc_fail(f, RPC_invalid_params, "questions must be a list of 1 to %d", EXPLAIN_QUESTIONS_MAX);
		return NULL;
	}
	add_layer(&l, POLICY_LAYER_CEILING, b->ceiling);
	add_layer(&l, POLICY_LAYER_OWNER, grants_document_of(b->grants, uid));
	if (add_pack(b, uid, json_object_get(params, "pack"), &l, f) == 0 &&
	    add_signer(b, uid, json_object_get(params, "signer"), &l, f) == 0 &&
	    add_request(json_object_get(params, "policy"), &l, f) == 0)
		result = answer_all(&l, questions, f);
	while (l.made_count > 0)
		policy_document_free(l.made[--l.made_count]);
	return result;
}
