/* broker/prepare: what methods do with their parameters alone: decoding, copying, hashing. brigd: loop or thread. */

#ifndef BROKER_PREPARE_H
#define BROKER_PREPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/conn.h"
#include "broker/run_request.h"

/* The parameters of `run`, `module.put` and `run.input`, decoded. Owns what is in it. */
struct prepared {
	bool failed;                /* as `failure` says; the rest is empty then */
	struct rpc_failure failure;
	struct run_request request; /* of `run`; only its module of `module.put` */
	uint8_t *data;              /* of `run.input`; NULL when it has none */
	size_t length;
};

/* prepare_request, prepare_discard - for conn_owner.methods; `config` is the struct config. */
void *prepare_request(const void *config, const struct jsonrpc_request *request, int *fds, int nfds);
void prepare_discard(void *prepared);

/*
 * prepare_result - what was made of a call's parameters, still the call's: take what is needed out of it. Returns NULL
 * with the failure (whose data is the caller's then) when they are not as they should be.
 */
struct prepared *prepare_result(struct rpc_call *call, struct rpc_failure *f);

#endif
