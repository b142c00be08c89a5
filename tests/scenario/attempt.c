/*
 * tests/scenario/attempt: brig-worker itself, with native code in the guest's place. Zygote and worker of a test.
 *
 * It is linked from the objects of brig-worker. The linker puts what is here around two calls of runtime/worker.c: the one
 * that takes the job's arguments, and the one that calls the guest, when jail, lock and filter are all in force.
 * If the first argument names an attempt (tests/unit/attempts_table.h), that is made instead; else the guest runs.
 */

#include <string.h>
#include <unistd.h>

#include "runtime/engine.h"
#include "runtime/wasi/wasi.h"
#include "tests/unit/attempts.h"

int __real_wasi_begin(struct wasi *w, const struct wasi_config *config, struct err *e);
int __wrap_wasi_begin(struct wasi *w, const struct wasi_config *config, struct err *e);
wasmtime_error_t *__real_wasmtime_func_call(wasmtime_context_t *context, const wasmtime_func_t *func,
    const wasmtime_val_t *args, size_t nargs, wasmtime_val_t *results, size_t nresults, wasm_trap_t **trap);
wasmtime_error_t *__wrap_wasmtime_func_call(wasmtime_context_t *context, const wasmtime_func_t *func,
    const wasmtime_val_t *args, size_t nargs, wasmtime_val_t *results, size_t nresults, wasm_trap_t **trap);

static const struct attempt *chosen;

/* Its aims are outside the worker; none of it is there. The zygote stands for every other process. */
static const struct attempt_world world = {
    .directory = "/tmp",
    .secret = "/etc/passwd",
    .program = "/bin/true",
    .setuid = "/bin/su",
    .socket = "/run/brig/brigd.sock",
    .port = 80,
    .outsider = 1,
    .sibling = 1,
    .handle = {8, 0, 0, 0, 1, 0, 0, 0, 1}, /* 8 bytes of type 1 */
    .core_files = true,
};

int
__wrap_wasi_begin(struct wasi *w, const struct wasi_config *config, struct err *e)
{
	const uint8_t *blob = config->blob;
	uint32_t length;

	for (uint64_t i = 0, at = 0; i < config->job->argc && at + sizeof(length) <= config->job->args_bytes; i++) {
		memcpy(&length, blob + at, sizeof(length));
		at += sizeof(length);
		for (const struct attempt *a = attempts; a->name != NULL; a++)
			if (length == strlen(a->name) && at + length <= config->blob_length &&
			    memcmp(blob + at, a->name, length) == 0)
				chosen = a;
		at += length;
	}
	return __real_wasi_begin(w, config, e);
}

wasmtime_error_t *
__wrap_wasmtime_func_call(wasmtime_context_t *context, const wasmtime_func_t *func, const wasmtime_val_t *args,
    size_t nargs, wasmtime_val_t *results, size_t nresults, wasm_trap_t **trap)
{
	if (chosen != NULL)
		_exit(chosen->try(&world));
	return __real_wasmtime_func_call(context, func, args, nargs, results, nresults, trap);
}
