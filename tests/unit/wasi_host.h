/* tests/unit/wasi_host: a run of a module that hands every WASI function through to the test. Unit tests. */

#ifndef TESTS_UNIT_WASI_HOST_H
#define TESTS_UNIT_WASI_HOST_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Tests link the engine that compiles; its headers come from the one that does not. */
#define WASMTIME_FEATURE_COMPILER

#include "base/imsg.h"
#include "runtime/wasi/table.h"
#include "runtime/wasi/wasi.h"

#define RUN    5
#define MEMORY (2 * 65536u) /* bytes in the module */
#define END    (MEMORY)

struct host {
	struct wasi *wasi;
	struct proto_job job; /* to be changed before host_start */
	struct proto_shared shared;
	uint8_t blob[1024];
	int broker, socket; /* the job socket's ends; broker -1 when a test has closed it */
	wasmtime_store_t *store;
	wasmtime_context_t *context;
	wasmtime_linker_t *linker;
	wasmtime_instance_t instance;
	wasmtime_memory_t memory;
	struct imsg m; /* the last one that came */
};

/* The running test's. */
extern struct host *host;

/* Names and types by enum wasi_call. */
extern const struct host_row {
	const char *name, *type;
} host_rows[WASI_CALL_COUNT];

/* For the group; then for each test: a job with real clocks and randomness and no input. */
int host_make_modules(void **state);
int host_drop_modules(void **state);
int host_set_up(void **state);
int host_tear_down(void **state);

/* host_give - put arguments, environment (each ending with NULL, or NULL) and input into the job's blob. */
void host_give(const char *const *args, const char *const *env, const char *input);

/* host_mount, host_file - put a mount or a file into the job's blob, behind what host_give put there. */
void host_mount(const char *path, uint32_t rights);
void host_file(const char *path, const char *data);

/* host_begin - wasi_begin. host_instantiate - a module that does or does not export its memory. host_start - all. */
int host_begin(void);
void host_instantiate(bool with_memory);
void host_start(void);

/* CALL - call a function of the module, e.g. CALL(fd_close, 1): its errno, 0 for proc_exit, or TRAPPED. */
#define TRAPPED (-1)
#define CALL(name, ...) host_call(WASI_CALL_##name, (const uint64_t[WASI_PARAMETERS_MAX + 1]){__VA_ARGS__})
int host_call(enum wasi_call call, const uint64_t *a);

/* The guest's memory: a pointer, numbers of `size` bytes, element `i` of an iovec array. */
uint8_t *host_mem(uint32_t at);
uint64_t host_load(uint32_t at, unsigned size);
void host_store(uint32_t at, unsigned size, uint64_t v);
void host_iovec(uint32_t list, uint32_t i, uint32_t at, uint32_t length);

/* What must be so, or must come from the socket next. */
void host_expect_end(enum wasi_end how, uint32_t value);
void host_expect_message(uint32_t type);
void host_expect_output(uint32_t stream, const char *text);
void host_expect_denial(enum wasi_call call, enum wasi_capability capability, uint64_t count);
void host_expect_silence(void);

/*
 * host_set_alarm - SIGALRM every few milliseconds: it notes the shared page's call and what wasi_finish_from_signal
 * gave, then asks the run to stop for wall_ms, and then for cpu_ms.
 */
extern volatile sig_atomic_t host_seen_call, host_finish_gave;
void host_set_alarm(bool on);

/* host_awkward_number - one that has gone wrong somewhere before: borders of the memory and of the types. */
uint64_t host_awkward_number(void);

#endif
