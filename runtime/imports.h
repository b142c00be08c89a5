/* runtime/imports: why a module cannot be linked, in words that help its author. Runs in the worker. */

#ifndef RUNTIME_IMPORTS_H
#define RUNTIME_IMPORTS_H

#include <wasmtime.h>

#include "base/err.h"
#include "base/proto.h"

/*
 * imports_explain - describe in `e` the first import of `module` that wasi_snapshot_preview1 does not satisfy: its
 * name, what is wrong (module, name, kind or type), and what to do. Names are cut and made fit to be shown.
 * Returns PROTO_FAILURE_unknown_import or _import_type; or PROTO_FAILURE_NONE with `e` untouched when every import is
 * fine.
 */
enum proto_failure imports_explain(const wasmtime_module_t *module, struct err *e);

#endif
