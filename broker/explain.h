/* broker/explain: the method policy.explain: what a run of the caller would be granted, and by which rule. brigd. */

#ifndef BROKER_EXPLAIN_H
#define BROKER_EXPLAIN_H

#include <jansson.h>

#include "broker/conn.h"
#include "broker/jsonrpc.h"

struct broker;

#define EXPLAIN_QUESTIONS_MAX 32 /* in one call, since they are answered in the loop */

/*
 * explain_questions - answer the questions in `params` about runs of user `uid`, under the ceiling and grants in force and
 * the request's, signer's and language pack's policy that `params` names. Returns {"answers": [...]} (policy/explain.h), or NULL with *f.
 */
json_t *explain_questions(const struct broker *b, uid_t uid, const json_t *params, struct rpc_failure *f);

#endif
