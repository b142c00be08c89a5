/* runtime/imports: why a module cannot be linked, in words that help its author. Runs in the worker. */

#ifndef RUNTIME_IMPORTS_H
#define RUNTIME_IMPORTS_H

#include <wasmtime.h>

#include "base/err.h"

/*
 * imports_explain - describe in `e` the first import of `module` that wasi_snapshot_preview1 does not satisfy: its
 * name, what is wrong (module, name, kind or type), and what to do.
 * Returns ERR_UNSUPPORTED; or 0 with `e` untouched when every import is fine.
 */
int imports_explain(const wasmtime_module_t *module, struct err *e);

#endif
