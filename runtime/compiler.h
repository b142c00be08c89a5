/* runtime/compiler: one verified module in, one artifact out. Runs in the compiler process, jailed. */

#ifndef RUNTIME_COMPILER_H
#define RUNTIME_COMPILER_H

#include "base/err.h"
#include "runtime/engine.h"

/* compiler_settings - the part of the engine's configuration that only code generation has; for engine_new. */
void compiler_settings(wasm_config_t *config, enum proto_engine kind);

/*
 * compiler_serve - answer one PROTO_COMPILE on `sock`: PROTO_COMPILED, with the artifact written to the empty memfd
 * that came with it, which is then sealed; or PROTO_FAILED with the engine's message when the module is not valid or
 * its code cannot be generated. `engine` is of configuration `kind`.
 *
 * Returns 0 when it has answered either way, or when the other side closed without asking; ERR_PROTOCOL, ERR_INVAL or
 * ERR_LIMIT for a request that must not occur, ERR_IO otherwise: nothing was answered then.
 */
int compiler_serve(wasm_engine_t *engine, enum proto_engine kind, int sock, struct err *e);

#endif
