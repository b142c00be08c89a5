/* broker/methods: the methods that clients can call, in one table. brigd. */

#ifndef BROKER_METHODS_H
#define BROKER_METHODS_H

#include "broker/conn.h"
#include "broker/jsonrpc.h"

struct broker;

/*
 * Names are stable API; docs/protocol.md describes params and results of each. `new work` methods are refused while
 * brigd is draining.
 */
#define BROKER_METHODS(X)                                                                    \
	/* name             handler            text                                       */ \
	X("run",            method_run,        "run a module once and return what it did")   \
	X("run.cancel",     method_run_cancel, "end a run, whatever it is doing")            \
	X("run.get",        method_run_get,    "the state, or the result, of a run")         \
	X("run.input",      method_run_input,  "bytes for the stdin of a streaming run")     \
	X("module.put",     method_module_put, "store a signed module, to be run by digest") \
	X("module.get",     method_module_get, "what is known of a stored module")           \
	X("module.compile", module_compile,   "compile a stored module now, so that its first run need not") \
	X("module.list",    method_module_list, "the modules that the caller has stored")    \
	X("module.remove",  method_module_remove, "forget a stored module")                  \
	X("pack.list",      method_pack_list,  "the language packs that the operator has approved") \
	X("policy.explain", method_policy_explain, "what a run of the caller would be granted, and by which rule") \
	X("server.info",    method_server_info, "version, limits and layers in force")       \
	X("server.health",  method_server_health, "whether it can take work, and how busy it is") \
	X("server.metrics", server_metrics, "what was run and how long it took, what runs and waits, by whom")

/* methods_dispatch - hand a request to its method, which ends `call` now or later. `arg` is the struct broker. */
void methods_dispatch(void *arg, struct rpc_call *call, const struct jsonrpc_request *request);

#endif
