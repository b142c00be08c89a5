/* broker/rpc_errors: every error that a client can get, in one table; docs/errors.md is generated from it. brigd. */

#ifndef BROKER_RPC_ERRORS_H
#define BROKER_RPC_ERRORS_H

/*
 * Numbers: -327xx are JSON-RPC 2.0's own (section 5.1), -320xx are brig's. Numbers and names are stable API: clients
 * branch on `data.name`. An error means that a request could not run; what a guest does is a result, never an error.
 */
#define RPC_ERRORS(X)                                                                                                 \
	X(parse_error, -32700, "Parse error",                                                                         \
	    "The line is not JSON. Send one JSON-RPC 2.0 message per line, in UTF-8.")                                \
	X(invalid_request, -32600, "Invalid Request",                                                                 \
	    "The JSON is not a JSON-RPC 2.0 request: it needs \"jsonrpc\": \"2.0\" and a \"method\".")                \
	X(method_not_found, -32601, "Method not found", "See docs/protocol.md for the methods that there are.")      \
	X(invalid_params, -32602, "Invalid params", "Correct the parameter that the message names.")                  \
	X(internal_error, -32603, "Internal error",                                                                   \
	    "The broker could not do its own part; its log says more. The request did not run.")                     \
	X(request_too_large, -32001, "Request too large",                                                             \
	    "Send large modules by sealed memfd, or store them once with module.put and run them by digest.")        \
	X(request_too_deep, -32002, "Request nested too deeply", "Flatten the request.")                              \
	X(overloaded, -32003, "Overloaded", "Try again after data.retry_after_ms, or ask the operator for more.")    \
	X(shutting_down, -32004, "Shutting down", "Connect again in a moment.")                                       \
	X(denied, -32010, "Denied by policy", "data.denial says what was withheld, by which layer, and the grant.")  \
	X(unsigned_module, -32020, "Module is not signed",                                                            \
	    "Sign it: `brig sign FILE.wasm` with a key that the keyring knows.")                                      \
	X(bad_signature, -32021, "Signature is not valid",                                                            \
	    "The module or its signature was changed after signing, or is malformed: build and sign it again.")      \
	X(unknown_key, -32022, "Signed by an unknown key",                                                            \
	    "Have the owner of the keyring add the key: `brig keys add`.")                                            \
	X(revoked, -32023, "Key or module is revoked", "Sign with a key in force; a revoked module must not run.")   \
	X(expired, -32024, "Key or keyring is not valid now",                                                         \
	    "Renew it: `brig keys expire` or `brig keys rotate`, and check the clock.")                               \
	X(module_not_found, -32030, "No such module", "Store it first with module.put; it may have been evicted.")   \
	X(module_too_large, -32031, "Module too large", "Make it smaller, or ask the operator to raise module_bytes.") \
	X(module_invalid, -32032, "Module does not compile",                                                          \
	    "It is not a valid core WebAssembly module, or uses a feature that brig does not enable.")                \
	X(compile_limit, -32033, "Module takes too much to compile",                                                  \
	    "It ran into compile_ms or compile_memory_bytes, and is not tried again until brigd restarts: split it, or "\
	    "ask the operator to raise them.")                                                                        \
	X(bad_descriptor, -32034, "Descriptor refused",                                                               \
	    "Pass a memfd with F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE, with the line's bytes.")     \
	X(pack_not_found, -32035, "No such language pack", "`brig pack list` shows those that the operator has approved.")    \
	X(source_too_large, -32036, "Source too large", "Pass data as files or stdin, or ask the operator to raise source_bytes.") \
	X(unsigned_source, -32025, "Source is not signed",                                                            \
	    "Sign it: `brig sign --detached FILE` with a key that the keyring knows, and pass that as its signature.")  \
	X(run_not_found, -32040, "No such run", "Runs are kept for a while after they end, for their owner only.")   \
	X(key_in_use, -32041, "Idempotency key already used for another request",                                     \
	    "Use a fresh key for each distinct request.")                                                             \
	X(cancelled, -32042, "Cancelled", "It was cancelled before it could start; nothing ran.")                     \
	X(audit_unavailable, -32050, "Audit log cannot be written",                                                   \
	    "Nothing runs unrecorded: the operator must make room for, or mend, the audit log.")                      \
	X(store_unavailable, -32051, "Module store failed", "The operator must make room for, or mend, the store.")

enum rpc_error {
#define X(name, number, title, advice) RPC_##name,
	RPC_ERRORS(X)
#undef X
	RPC_ERROR_COUNT
};

#endif
