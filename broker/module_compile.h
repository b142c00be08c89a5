/* broker/module_compile: the method module.compile: a stored module is compiled now, and its caller waits. brigd. */

#ifndef BROKER_MODULE_COMPILE_H
#define BROKER_MODULE_COMPILE_H

#include <jansson.h>

#include "broker/artifacts.h"
#include "broker/conn.h"

struct broker;

/* module_compile - the method (docs/protocol.md): ends `call` when the artifact is there, or cannot be made. */
void module_compile(struct broker *b, struct rpc_call *call, const json_t *params);

/* module_compile_tell - send module.progress to all who wait and want it: to be called every second. */
void module_compile_tell(struct broker *b);

/* progress_json - what module.progress and run.progress say; `call` is the request that it is about. NULL without memory. */
json_t *progress_json(const struct artifact_wait *wait, const struct rpc_call *call);

#endif
