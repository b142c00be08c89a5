/* runtime/engine: the engine's two configurations, made in one place for both programs. Worker and compiler. */

#ifndef RUNTIME_ENGINE_H
#define RUNTIME_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include <wasm.h>
#include <wasmtime.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/proto.h"

/*
 * How deep guest code may call: bytes of native stack. The operator's choice, not a run's: it is part of what artifacts
 * are compiled for. Well below the 8 MiB that a process gets, since the host's part of a call is on the same stack.
 */
#define ENGINE_STACK_SIZE ((size_t)1 << 20)

/*
 * engine_new - an engine of one configuration.
 *
 * Both programs make it here, since an artifact loads only where the configuration is the same. `settings` adds what
 * only the compiling build knows (compiler_settings), and changes the code that is generated, not how it is loaded;
 * NULL in the worker.
 *
 * PLAIN and FUEL have traps by guard pages, one memory with 32-bit addresses, no threads.
 * FUEL also counts instructions and is deterministic: canonical NaNs, relaxed SIMD with one outcome.
 *
 * Returns 0 with *out to be ended by wasm_engine_delete(), ERR_INVAL for another number, or ERR_NOMEM.
 */
typedef void engine_settings(wasm_config_t *config, enum proto_engine kind);
int engine_new(enum proto_engine kind, engine_settings *settings, wasm_engine_t **out, struct err *e);

/*
 * engine_identity - a digest that is the same for two programs exactly when one may load what the other compiled, as
 * far as the build decides: the engine's sources and lock file, the configuration's source, target, Rust compiler.
 * (What the CPU decides, the engine checks when it loads.)
 */
struct digest engine_identity(enum proto_engine kind);

/*
 * engine_error_text, engine_trap_text - the engine's message on one line without control characters in text[0..size],
 * cut at a character's border, terminated. The first takes `error`, the second borrows `trap`. They return the length.
 */
size_t engine_error_text(wasmtime_error_t *error, char *text, size_t size);
size_t engine_trap_text(const wasm_trap_t *trap, char *text, size_t size);

/* --- the wrapper crate, runtime/engine/src/lib.rs ------------------------------------------------------------- */

/*
 * brig_module_deserialize_fd - map an artifact. Takes `fd`, also on failure. The bytes become machine code: `fd` is
 * sealed, and holds what brig-compiler wrote. NULL and *out, freed with wasmtime_module_delete(); or the error.
 */
wasmtime_error_t *brig_module_deserialize_fd(const wasm_engine_t *engine, int fd, wasmtime_module_t **out);

/*
 * brig_module_precompile - compile wasm[0..length], binary format only, making none of it executable here. NULL and
 * *out, freed with wasm_byte_vec_delete(); or the error. Only in the compiling build.
 */
wasmtime_error_t *brig_module_precompile(const wasm_engine_t *engine, const uint8_t *wasm, size_t length,
    wasm_byte_vec_t *out);

#endif
