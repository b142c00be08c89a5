/* broker/server_metrics: the method `server.metrics`: figures of the caller's runs, and for the operator of all. brigd. */

#ifndef BROKER_SERVER_METRICS_H
#define BROKER_SERVER_METRICS_H

#include <jansson.h>

#include "broker/conn.h"

struct broker;

/*
 * server_metrics - answer `call` as broker/metrics.h says, now, or for the operator when the store has told its size.
 * The operator is root, and the user who started brigd.
 */
void server_metrics(struct broker *b, struct rpc_call *call, const json_t *params);

#endif
