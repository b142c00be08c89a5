/* broker/records: what brigd puts on record: refusals, intents, outcomes, modules, its own start and stop. brigd. */

#ifndef BROKER_RECORDS_H
#define BROKER_RECORDS_H

#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "broker/conn.h"
#include "broker/rpc_errors.h"
#include "broker/run_result.h"
#include "broker/service_client.h"
#include "broker/signature.h"
#include "policy/policy.h"

struct broker;

/* What identifies a run on record. Borrows. */
struct run_identity {
	int64_t received_ms; /* wall clock, since 1970 */
	const struct conn_peer *peer;
	const char *run_id;
	const struct digest *module;
	const struct signature_verdict *verdict;
	const struct policy *policy; /* effective */
	const struct digest *policy_digest;
	const struct digest *input;  /* over arguments, environment and stdin */
	const char *pack;            /* name of the language pack; "" for a module */
	const struct digest *pack_digest;
	const struct signature_verdict *source; /* of what it runs */
};

/*
 * records_intent, records_outcome - append the record of a run that is about to start, or has ended. `answer` is called
 * as by service_ask; it gets PROTO_LOG_DONE when the record is written (and durable, where the operator asked for that).
 * Returns 0, or an error, and then `answer` is not called.
 */
int records_intent(struct broker *b, const struct run_identity *id, service_answer_fn *answer, void *arg, struct err *e);
int records_outcome(struct broker *b, const struct run_identity *id, const struct run_facts *facts,
    service_answer_fn *answer, void *arg, struct err *e);

/* records_refused - a request that was not carried out, and why. `module` may be NULL or all zeros: not known. Nobody waits for it. */
void records_refused(struct broker *b, struct conn_peer peer, const char *method, enum rpc_error error, const char *detail,
    const struct digest *module);

/* records_module - a module was put or removed. As records_intent. */
int records_module(struct broker *b, const struct conn_peer *peer, const char *method, const struct digest *module,
    uint64_t size, const struct signature_verdict *verdict, service_answer_fn *answer, void *arg, struct err *e);

/* records_service - "start", "stop" or "reload" of brigd itself, with a sentence. As records_intent. */
int records_service(struct broker *b, const char *what, const char *detail, service_answer_fn *answer, void *arg,
    struct err *e);

#endif
