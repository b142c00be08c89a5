/* Unit tests of runtime/wasi: every function called from a module, through the engine and the trampoline. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Tests link the engine that compiles; its headers come from the one that does not. */
#define WASMTIME_FEATURE_COMPILER

#include "base/imsg.h"
#include "runtime/trap.h"
#include "runtime/wasi/errno.h"
#include "runtime/wasi/table.h"
#include "runtime/wasi/wasi.h"

#define RUN    5
#define MEMORY (2 * 65536u) /* bytes in the module */
#define END    (MEMORY)

/* --- a module that imports every function and exports each under its name -------------------------------------- */

static const struct {
	const char *name, *type;
} rows[] = {
#define X(name, type, capability, handler) {#name, type},
	WASI_CALLS(X)
#undef X
};

struct bytes {
	uint8_t data[16384];
	size_t used;
};

static void
put(struct bytes *b, const void *data, size_t length)
{
	assert_true(length <= sizeof(b->data) - b->used);
	memcpy(b->data + b->used, data, length);
	b->used += length;
}

static void
put_byte(struct bytes *b, uint8_t v)
{
	put(b, &v, 1);
}

static void
put_leb(struct bytes *b, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		put_byte(b, (uint8_t)(v | 0x80));
	put_byte(b, (uint8_t)v);
}

static void
put_name(struct bytes *b, const char *name)
{
	put_leb(b, (uint32_t)strlen(name));
	put(b, name, strlen(name));
}

static void
put_section(struct bytes *b, uint8_t id, const struct bytes *content)
{
	put_byte(b, id);
	put_leb(b, (uint32_t)content->used);
	put(b, content->data, content->used);
}

/* Parameters or results up to `end`, as a vector of value types. */
static size_t
put_types(struct bytes *b, const char *letters, char end)
{
	size_t n = strcspn(letters, end == ':' ? ":" : "");

	put_leb(b, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		put_byte(b, letters[i] == 'I' ? 0x7e : 0x7f);
	return n;
}

static void
build_module(struct bytes *m, bool with_memory)
{
	struct bytes types = {.used = 0}, imports = {.used = 0}, functions = {.used = 0}, memory = {.used = 0};
	struct bytes exports = {.used = 0}, code = {.used = 0};

	put_leb(&types, WASI_CALL_COUNT);
	put_leb(&imports, WASI_CALL_COUNT);
	put_leb(&functions, WASI_CALL_COUNT);
	put_leb(&exports, WASI_CALL_COUNT + with_memory);
	put_leb(&code, WASI_CALL_COUNT);
	put(&memory, "\x01\x00\x02", 3);
	if (with_memory) {
		put_name(&exports, "memory");
		put(&exports, "\x02\x00", 2);
	}
	for (uint32_t i = 0; i < WASI_CALL_COUNT; i++) {
		struct bytes body = {.used = 0};
		size_t n;

		put_byte(&types, 0x60);
		n = put_types(&types, rows[i].type, ':');
		put_types(&types, rows[i].type + n + 1, '\0');
		put_name(&imports, "wasi_snapshot_preview1");
		put_name(&imports, rows[i].name);
		put_byte(&imports, 0);
		put_leb(&imports, i);
		put_leb(&functions, i);
		put_name(&exports, rows[i].name);
		put_byte(&exports, 0);
		put_leb(&exports, WASI_CALL_COUNT + i);
		put_leb(&body, 0);
		for (uint32_t k = 0; k < n; k++) {
			put_byte(&body, 0x20);
			put_leb(&body, k);
		}
		put_byte(&body, 0x10);
		put_leb(&body, i);
		put_byte(&body, 0x0b);
		put_leb(&code, (uint32_t)body.used);
		put(&code, body.data, body.used);
	}
	m->used = 0;
	put(m, "\0asm\1\0\0\0", 8);
	put_section(m, 1, &types);
	put_section(m, 2, &imports);
	put_section(m, 3, &functions);
	put_section(m, 5, &memory);
	put_section(m, 7, &exports);
	put_section(m, 10, &code);
}

/* --- one run of it --------------------------------------------------------------------------------------------- */

static wasm_engine_t *engine;
static wasmtime_module_t *module, *module_without_memory;

static int
make_modules(void **state)
{
	static struct bytes m;

	(void)state;
	engine = wasm_engine_new();
	build_module(&m, true);
	assert_null(wasmtime_module_new(engine, m.data, m.used, &module));
	build_module(&m, false);
	assert_null(wasmtime_module_new(engine, m.data, m.used, &module_without_memory));
	return 0;
}

static int
drop_modules(void **state)
{
	(void)state;
	wasmtime_module_delete(module);
	wasmtime_module_delete(module_without_memory);
	wasm_engine_delete(engine);
	return 0;
}

struct host {
	struct wasi *wasi;
	struct proto_job job;
	struct proto_shared shared;
	uint8_t blob[256];
	int broker, socket;
	wasmtime_store_t *store;
	wasmtime_context_t *context;
	wasmtime_linker_t *linker;
	wasmtime_instance_t instance;
	wasmtime_memory_t memory;
	struct imsg m;
};

static struct host *host; /* of the running test: for its signal handler, and short calls */

static int
set_up(void **state)
{
	int sv[2];

	host = calloc(1, sizeof(*host));
	assert_non_null(host);
	assert_int_equal(imsg_pair(sv, NULL), 0);
	host->broker = sv[0];
	host->socket = sv[1];
	host->job = (struct proto_job){
		.clock = PROTO_CLOCK_REAL,
		.random = PROTO_RANDOM_REAL,
		.output_bytes = 1 << 20,
		.host_calls = 1000,
	};
	assert_int_equal(wasi_new(&host->wasi, NULL), 0);
	*state = host;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	if (host->store != NULL)
		wasmtime_store_delete(host->store);
	if (host->linker != NULL)
		wasmtime_linker_delete(host->linker);
	wasi_free(host->wasi);
	if (host->broker >= 0)
		close(host->broker);
	close(host->socket);
	free(host);
	host = NULL;
	return 0;
}

/* Puts arguments, then environment, then input into the job's blob. */
static void
give(const char *const *args, const char *const *env, const char *input)
{
	size_t at = 0;

	for (; args != NULL && args[host->job.argc] != NULL; host->job.argc++) {
		uint32_t n = (uint32_t)strlen(args[host->job.argc]);

		memcpy(host->blob + at, &n, 4);
		memcpy(host->blob + at + 4, args[host->job.argc], n);
		at += 4 + n;
	}
	host->job.args_bytes = at;
	for (; env != NULL && env[host->job.envc] != NULL; host->job.envc++) {
		uint32_t n = (uint32_t)strlen(env[host->job.envc]);

		memcpy(host->blob + at, &n, 4);
		memcpy(host->blob + at + 4, env[host->job.envc], n);
		at += 4 + n;
	}
	host->job.env_bytes = at - host->job.args_bytes;
	host->job.stdin_bytes = strlen(input);
	memcpy(host->blob + at, input, strlen(input));
}

static int
begin(void)
{
	struct wasi_config config = {
		.job = &host->job,
		.blob = host->blob,
		.blob_length = host->job.args_bytes + host->job.env_bytes + host->job.stdin_bytes,
		.socket = host->socket,
		.run = RUN,
		.shared = &host->shared,
	};

	return wasi_begin(host->wasi, &config, NULL);
}

static void
instantiate(const wasmtime_module_t *which)
{
	wasm_trap_t *trap = NULL;
	wasmtime_extern_t item;

	host->linker = wasmtime_linker_new(engine);
	assert_int_equal(wasi_link(host->wasi, host->linker, NULL), 0);
	host->store = wasmtime_store_new(engine, NULL, NULL);
	host->context = wasmtime_store_context(host->store);
	assert_null(wasmtime_linker_instantiate(host->linker, host->context, which, &host->instance, &trap));
	assert_null(trap);
	if (wasmtime_instance_export_get(host->context, &host->instance, "memory", 6, &item))
		host->memory = item.of.memory;
}

static void
start(void)
{
	assert_int_equal(begin(), 0);
	instantiate(module);
	wasi_attach(host->wasi, &host->memory);
}

#define TRAPPED (-1)

/* Calls a function with up to 9 parameters; returns its errno, 0 for proc_exit, or TRAPPED. */
static int
call_list(enum wasi_call call, const uint64_t *a)
{
	const char *type = rows[call].type;
	wasmtime_val_t args[WASI_PARAMETERS_MAX], result = {.of.i32 = 0};
	size_t n = strcspn(type, ":");
	wasm_trap_t *trap = NULL;
	wasmtime_extern_t item;

	for (size_t i = 0; i < n; i++) {
		args[i].kind = type[i] == 'I' ? WASMTIME_I64 : WASMTIME_I32;
		if (type[i] == 'I')
			args[i].of.i64 = (int64_t)a[i];
		else
			args[i].of.i32 = (int32_t)(uint32_t)a[i];
	}
	assert_true(wasmtime_instance_export_get(host->context, &host->instance, rows[call].name,
	    strlen(rows[call].name), &item));
	assert_null(wasmtime_func_call(host->context, &item.of.func, args, n, &result, strlen(type + n + 1), &trap));
	assert_int_equal(host->shared.call, 0);
	if (trap == NULL)
		return result.of.i32;
	wasm_trap_delete(trap);
	return TRAPPED;
}

#define CALL(name, ...) call_list(WASI_CALL_##name, (const uint64_t[WASI_PARAMETERS_MAX + 1]){__VA_ARGS__})

static uint8_t *
mem(uint32_t at)
{
	return wasmtime_memory_data(host->context, &host->memory) + at;
}

static uint64_t
load(uint32_t at, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)*mem(at + i) << 8 * i;
	return v;
}

static void
store(uint32_t at, unsigned size, uint64_t v)
{
	for (unsigned i = 0; i < size; i++)
		*mem(at + i) = (uint8_t)(v >> 8 * i);
}

static void
iovec(uint32_t list, uint32_t i, uint32_t at, uint32_t length)
{
	store(list + 8 * i, 4, at);
	store(list + 8 * i + 4, 4, length);
}

static void
expect_end(enum wasi_end how, uint32_t value)
{
	uint32_t got;

	assert_int_equal(wasi_ended(host->wasi, &got), how);
	assert_int_equal(got, value);
}

static void
expect_message(uint32_t type)
{
	assert_int_equal(imsg_recv(host->broker, &host->m, NULL), 0);
	assert_int_equal(host->m.hdr.type, type);
	assert_int_equal(host->m.hdr.run, RUN);
}

static void
expect_output(uint32_t stream, const char *text)
{
	struct proto_output head;

	expect_message(PROTO_OUTPUT);
	memcpy(&head, host->m.payload, sizeof(head));
	assert_int_equal(head.stream, stream);
	assert_int_equal(host->m.hdr.length, sizeof(head) + strlen(text));
	assert_memory_equal(host->m.payload + sizeof(head), text, strlen(text));
}

static void
expect_silence(void)
{
	char byte;

	assert_int_equal(recv(host->broker, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	assert_int_equal(errno, EAGAIN);
}

/* --- the job --------------------------------------------------------------------------------------------------- */

static void
arguments_and_environment_arrive_in_order(void **state)
{
	static const char *const args[] = {"prog", "", "x y", NULL}, *const env[] = {"A=1", "LANG=C.UTF-8", NULL};

	(void)state;
	give(args, env, "");
	start();
	assert_int_equal(CALL(args_sizes_get, 8, 12), 0);
	assert_int_equal(load(8, 4), 3);
	assert_int_equal(load(12, 4), 10);
	assert_int_equal(CALL(args_get, 100, 200), 0);
	assert_memory_equal(mem(200), "prog\0\0x y", 10);
	assert_int_equal(load(100, 4), 200);
	assert_int_equal(load(104, 4), 205);
	assert_int_equal(load(108, 4), 206);
	assert_int_equal(CALL(environ_sizes_get, 8, 12), 0);
	assert_int_equal(load(8, 4), 2);
	assert_int_equal(load(12, 4), 17);
	assert_int_equal(CALL(environ_get, 100, END - 17), 0);
	assert_memory_equal(mem(END - 17), "A=1\0LANG=C.UTF-8", 17);
	assert_int_equal(load(104, 4), END - 13);
}

static void
arguments_that_do_not_fit_the_memory_write_nothing(void **state)
{
	static const char *const args[] = {"prog", NULL};

	(void)state;
	give(args, NULL, "");
	start();
	assert_int_equal(CALL(args_get, 100, END - 4), WASI_EFAULT);
	assert_int_equal(CALL(args_get, END - 3, 100), WASI_EFAULT);
	assert_int_equal(CALL(args_get, 100, UINT32_MAX), WASI_EFAULT);
	assert_int_equal(CALL(args_sizes_get, 100, END - 3), WASI_EFAULT);
	assert_int_equal(CALL(args_sizes_get, END - 3, 100), WASI_EFAULT);
	assert_int_equal(load(100, 8), 0);
	assert_int_equal(load(END - 8, 8), 0);
}

static void
no_arguments_are_no_error(void **state)
{
	(void)state;
	start();
	assert_int_equal(CALL(args_sizes_get, 8, 12), 0);
	assert_int_equal(load(8, 8), 0);
	assert_int_equal(CALL(args_get, END, END), 0);
	assert_int_equal(CALL(environ_get, 0, 0), 0);
}

static void
a_blob_that_is_not_what_the_job_says_is_refused(void **state)
{
	static const char *const args[] = {"ab", "c", NULL};
	struct proto_job good;

	(void)state;
	give(args, NULL, "in");
	good = host->job;
	host->job.argc++;
	assert_int_equal(begin(), ERR_PROTOCOL);
	host->job = good;
	host->job.argc--;
	assert_int_equal(begin(), ERR_PROTOCOL);
	host->job = good;
	host->job.args_bytes = UINT64_MAX;
	host->job.env_bytes = 12;
	assert_int_equal(begin(), ERR_PROTOCOL);
	host->job = good;
	host->blob[4] = '\0';
	assert_int_equal(begin(), ERR_PROTOCOL);
	host->blob[4] = 'a';
	host->job.clock = 4;
	assert_int_equal(begin(), ERR_PROTOCOL);
	host->job = good;
	assert_int_equal(begin(), 0);
}

/* --- streams --------------------------------------------------------------------------------------------------- */

static void
what_is_written_is_gathered_counted_and_sent_at_the_end(void **state)
{
	struct proto_result result = {.status = 0};

	(void)state;
	start();
	memcpy(mem(1000), "hello world", 11);
	iovec(16, 0, 1006, 5);
	iovec(16, 1, 1005, 1);
	iovec(16, 2, 77, 0);
	iovec(16, 3, 1000, 5);
	iovec(16, 4, 1000, 5); /* overlapping is fine */
	assert_int_equal(CALL(fd_write, 1, 16, 5, 8), 0);
	assert_int_equal(load(8, 4), 16);
	assert_int_equal(CALL(fd_write, 2, 16, 1, 8), 0);
	expect_silence();
	assert_int_equal(wasi_finish(host->wasi), 0);
	expect_output(1, "world hellohello");
	expect_output(2, "world");
	assert_false(wasi_report(host->wasi, &result));
	assert_int_equal(result.stdout_bytes, 16);
	assert_int_equal(result.stderr_bytes, 5);
	assert_int_equal(result.host_calls[WASI_CALL_fd_write], 2);
	assert_int_equal(result.host_calls[WASI_CALL_fd_read], 0);
	assert_int_equal(wasi_finish(host->wasi), 0);
	expect_silence();
}

static void
bad_iovecs_write_nothing(void **state)
{
	struct proto_result result = {.status = 0};

	(void)state;
	start();
	iovec(16, 0, 1000, 5);
	iovec(16, 1, END - 4, 5);
	assert_int_equal(CALL(fd_write, 1, 16, 2, 8), WASI_EFAULT); /* the second one crosses the end */
	iovec(16, 1, UINT32_MAX, UINT32_MAX);
	assert_int_equal(CALL(fd_write, 1, 16, 2, 8), WASI_EFAULT); /* and wraps */
	assert_int_equal(CALL(fd_write, 1, 16, UINT32_MAX, 8), WASI_EFAULT);
	assert_int_equal(CALL(fd_write, 1, END - 7, 1, 8), WASI_EFAULT);
	assert_int_equal(CALL(fd_write, 1, UINT32_MAX, UINT32_MAX, 8), WASI_EFAULT);
	assert_int_equal(CALL(fd_write, 1, 16, 1, END - 3), WASI_EFAULT); /* nowhere to put the count */
	assert_int_equal(CALL(fd_write, 1, END, 0, 8), 0);                /* an empty list is fine */
	assert_int_equal(load(8, 4), 0);
	assert_int_equal(wasi_finish(host->wasi), 0);
	expect_silence();
	wasi_report(host->wasi, &result);
	assert_int_equal(result.stdout_bytes, 0);
}

static void
output_past_its_limit_ends_the_run(void **state)
{
	struct proto_result result = {.status = 0};

	(void)state;
	host->job.flags = PROTO_JOB_OUTPUT_ENDS;
	host->job.output_bytes = 5;
	start();
	memcpy(mem(1000), "hello!", 6);
	iovec(16, 0, 1000, 5);
	assert_int_equal(CALL(fd_write, 1, 16, 1, 8), 0);
	iovec(16, 0, 1000, 6);
	assert_int_equal(CALL(fd_write, 2, 16, 1, 8), TRAPPED);
	expect_end(WASI_END_LIMIT, PROTO_LIMIT_output_bytes);
	assert_true(wasi_report(host->wasi, &result));
	assert_int_equal(result.status, PROTO_STATUS_LIMIT);
	assert_int_equal(result.limit, PROTO_LIMIT_output_bytes);
	assert_int_equal(wasi_finish(host->wasi), 0);
	expect_output(1, "hello");
	expect_output(2, "hello");
}

static void
input_is_scattered_to_its_end(void **state)
{
	(void)state;
	give(NULL, NULL, "abcdefg");
	start();
	iovec(16, 0, 1000, 2);
	iovec(16, 1, 2000, 0);
	iovec(16, 2, 3000, 3);
	assert_int_equal(CALL(fd_read, 0, 16, 3, 8), 0);
	assert_int_equal(load(8, 4), 5);
	assert_memory_equal(mem(1000), "ab\0", 3);
	assert_memory_equal(mem(3000), "cde\0", 4);
	assert_int_equal(CALL(fd_read, 0, 16, 3, 8), 0);
	assert_int_equal(load(8, 4), 2);
	assert_int_equal(CALL(fd_read, 0, 16, 3, 8), 0);
	assert_int_equal(load(8, 4), 0);
	assert_int_equal(CALL(fd_read, 0, 16, UINT32_MAX, 8), WASI_EFAULT);
	assert_int_equal(CALL(fd_read, 1, 16, 1, 8), WASI_EBADF);
	assert_int_equal(CALL(fd_write, 0, 16, 1, 8), WASI_EBADF);
}

static void
input_that_overwrites_its_own_iovecs_stays_inside_the_memory(void **state)
{
	(void)state;
	give(NULL, NULL, "\xff\xff\xff\xff\xff\xff\xff\x7fmore");
	start();
	iovec(16, 0, 24, 8); /* onto the second one */
	iovec(16, 1, 1000, 4);
	assert_int_equal(CALL(fd_read, 0, 16, 2, 8), 0);
	assert_int_equal(load(8, 4), 8);
	assert_int_equal(load(1000, 4), 0);
}

static void
streamed_input_that_is_not_there_yet_is_eagain_when_nonblocking(void **state)
{
	(void)state;
	host->job.flags = PROTO_JOB_STREAM_INPUT;
	start();
	iovec(16, 0, 1000, 8);
	assert_int_equal(CALL(fd_fdstat_set_flags, 0, 4), 0);
	assert_int_equal(CALL(fd_read, 0, 16, 1, 8), WASI_EAGAIN);
	assert_int_equal(imsg_send(host->broker, PROTO_INPUT, RUN, "abc", 3, NULL, 0, NULL), 0);
	assert_int_equal(CALL(fd_read, 0, 16, 1, 8), 0);
	assert_int_equal(load(8, 4), 3);
	assert_memory_equal(mem(1000), "abc", 3);
}

static void
a_closed_job_socket_ends_a_read_without_a_result(void **state)
{
	struct proto_result result = {.status = 0};

	(void)state;
	host->job.flags = PROTO_JOB_STREAM_INPUT;
	start();
	close(host->broker);
	host->broker = -1;
	iovec(16, 0, 1000, 8);
	assert_int_equal(CALL(fd_read, 0, 16, 1, 8), TRAPPED);
	expect_end(WASI_END_BROKEN, 0);
	assert_false(wasi_report(host->wasi, &result));
}

/* --- descriptors ----------------------------------------------------------------------------------------------- */

/* Descriptor, and then what the call gives on it. Pointers and lengths are ones that would be fine. */
static void
calls_without_meaning_on_a_pipe_have_the_errno_of_one(void **state)
{
	static const struct {
		enum wasi_call call;
		int expected;
		uint64_t a[WASI_PARAMETERS_MAX];
	} cases[] = {
#define CASE(name, expected, ...) {WASI_CALL_##name, expected, {__VA_ARGS__}}
		CASE(fd_advise, WASI_ESPIPE, 0, 0, 1, 5),
		CASE(fd_advise, WASI_EINVAL, 0, 0, 1, 6),
		CASE(fd_allocate, WASI_ESPIPE, 1, 0, 1),
		CASE(fd_datasync, WASI_EINVAL, 1),
		CASE(fd_sync, WASI_EINVAL, 2),
		CASE(fd_filestat_set_size, WASI_EINVAL, 1, 0),
		CASE(fd_filestat_set_times, WASI_ENOTSUP, 1, 0, 0, 15),
		CASE(fd_filestat_set_times, WASI_EINVAL, 1, 0, 0, 16),
		CASE(fd_pread, WASI_ESPIPE, 0, 16, 1, 0, 8),
		CASE(fd_pwrite, WASI_ESPIPE, 1, 16, 1, 0, 8),
		CASE(fd_readdir, WASI_ENOTDIR, 0, 16, 100, 0, 8),
		CASE(fd_seek, WASI_ESPIPE, 0, 0, 2, 8),
		CASE(fd_seek, WASI_EINVAL, 0, 0, 3, 8),
		CASE(fd_tell, WASI_ESPIPE, 1, 8),
		CASE(fd_prestat_get, WASI_EBADF, 0, 8),
		CASE(fd_prestat_dir_name, WASI_EBADF, 0, 8, 8),
		CASE(path_create_directory, WASI_ENOTDIR, 0, 8, 1),
		CASE(path_filestat_get, WASI_ENOTDIR, 0, 0, 8, 1, 16),
		CASE(path_filestat_set_times, WASI_ENOTDIR, 0, 0, 8, 1, 0, 0, 0),
		CASE(path_link, WASI_ENOTDIR, 0, 0, 8, 1, 1, 8, 1),
		CASE(path_open, WASI_ENOTDIR, 0, 0, 8, 1, 0, 0, 0, 0, 16),
		CASE(path_readlink, WASI_ENOTDIR, 0, 8, 1, 16, 1, 32),
		CASE(path_remove_directory, WASI_ENOTDIR, 0, 8, 1),
		CASE(path_rename, WASI_ENOTDIR, 0, 8, 1, 1, 8, 1),
		CASE(path_symlink, WASI_ENOTDIR, 8, 1, 0, 8, 1),
		CASE(path_unlink_file, WASI_ENOTDIR, 0, 8, 1),
		CASE(sock_accept, WASI_ENOTSOCK, 0, 0, 8),
		CASE(sock_recv, WASI_ENOTSOCK, 0, 16, 1, 0, 8, 12),
		CASE(sock_send, WASI_ENOTSOCK, 1, 16, 1, 0, 8),
		CASE(sock_shutdown, WASI_ENOTSOCK, 1, 1),
		/* second descriptors of their own */
		CASE(path_link, WASI_EBADF, 0, 0, 8, 1, 3, 8, 1),
		CASE(path_rename, WASI_EBADF, 0, 8, 1, 3, 8, 1),
		CASE(path_symlink, WASI_EBADF, 8, 1, 3, 8, 1),
		CASE(fd_renumber, WASI_EBADF, 0, 3),
#undef CASE
	};

	(void)state;
	start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int got = call_list(cases[i].call, cases[i].a);

		if (got != cases[i].expected)
			print_error("%s: %d, not %d\n", rows[cases[i].call].name, got, cases[i].expected);
		assert_int_equal(got, cases[i].expected);
	}
}

/* Every function whose first parameter is a descriptor. */
static void
every_call_on_a_descriptor_that_is_not_open_is_ebadf(void **state)
{
	static const uint32_t fds[] = {1, 3, 4, INT32_MAX, UINT32_MAX};

	(void)state;
	host->job.host_calls = UINT64_MAX;
	start();
	assert_int_equal(CALL(fd_close, 1), 0);
	for (uint32_t i = 0; i < WASI_CALL_COUNT; i++) {
		bool on_fd = strncmp(rows[i].name, "fd_", 3) == 0 || strncmp(rows[i].name, "sock_", 5) == 0 ||
		    (strncmp(rows[i].name, "path_", 5) == 0 && i != WASI_CALL_path_symlink);

		for (size_t k = 0; on_fd && k < sizeof(fds) / sizeof(fds[0]); k++) {
			uint64_t a[WASI_PARAMETERS_MAX] = {fds[k]};

			assert_int_equal(call_list(i, a), WASI_EBADF);
		}
	}
}

static void
a_stream_is_of_unknown_type_with_the_rights_of_its_end(void **state)
{
	(void)state;
	start();
	memset(mem(96), 0xee, 32);
	assert_int_equal(CALL(fd_fdstat_get, 0, 100), 0);
	assert_int_equal(load(100, 4), 0); /* file type and flags */
	assert_int_equal(load(108, 8), 1u << 1 | 1u << 3 | 1u << 21 | 1u << 27);
	assert_int_equal(load(116, 8), 0);
	assert_int_equal(load(124, 4), 0xeeeeeeee);
	assert_int_equal(CALL(fd_fdstat_get, 1, 100), 0);
	assert_int_equal(load(108, 8), 1u << 3 | 1u << 6 | 1u << 21 | 1u << 27);
	assert_int_equal(CALL(fd_fdstat_get, 1, END - 23), WASI_EFAULT);
	memset(mem(200), 0xee, 72);
	assert_int_equal(CALL(fd_filestat_get, 2, 200), 0);
	assert_int_equal(load(216, 1), 0);
	assert_int_equal(load(224, 8), 1);
	assert_int_equal(load(232, 8), 0);
	assert_int_equal(load(264, 4), 0xeeeeeeee);
	assert_int_equal(CALL(fd_filestat_get, 2, END - 63), WASI_EFAULT);
}

static void
flags_are_kept_and_unknown_ones_refused(void **state)
{
	(void)state;
	start();
	assert_int_equal(CALL(fd_fdstat_set_flags, 1, 0x1f), 0);
	assert_int_equal(CALL(fd_fdstat_set_flags, 1, 0x20), WASI_EINVAL);
	assert_int_equal(CALL(fd_fdstat_set_flags, 1, UINT32_MAX), WASI_EINVAL);
	assert_int_equal(CALL(fd_fdstat_get, 1, 100), 0);
	assert_int_equal(load(102, 2), 0x1f);
}

static void
rights_can_be_given_up_but_not_gained(void **state)
{
	(void)state;
	start();
	iovec(16, 0, 1000, 1);
	assert_int_equal(CALL(fd_fdstat_set_rights, 1, UINT64_MAX, 0), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_fdstat_set_rights, 1, 1u << 6, 1), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_fdstat_set_rights, 1, 1u << 6, 0), 0);
	assert_int_equal(CALL(fd_write, 1, 16, 1, 8), 0);
	assert_int_equal(CALL(fd_fdstat_set_flags, 1, 0), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_fdstat_set_rights, 1, 0, 0), 0);
	assert_int_equal(CALL(fd_write, 1, 16, 1, 8), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_fdstat_set_rights, 1, 1u << 6, 0), WASI_ENOTCAPABLE);
}

static void
a_renumbered_stream_goes_where_it_went(void **state)
{
	(void)state;
	start();
	memcpy(mem(1000), "x", 1);
	iovec(16, 0, 1000, 1);
	assert_int_equal(CALL(fd_renumber, 2, 1), 0);
	assert_int_equal(CALL(fd_write, 1, 16, 1, 8), 0);
	assert_int_equal(CALL(fd_write, 2, 16, 1, 8), WASI_EBADF);
	assert_int_equal(wasi_finish(host->wasi), 0);
	expect_output(2, "x");
}

/* --- clocks, randomness ---------------------------------------------------------------------------------------- */

static void
clocks_tell_the_time_and_unknown_ones_are_einval(void **state)
{
	(void)state;
	start();
	for (uint32_t id = 0; id < 4; id++) {
		store(8, 8, 0);
		assert_int_equal(CALL(clock_time_get, id, 1, 8), 0);
		assert_true(load(8, 8) != 0);
		assert_int_equal(CALL(clock_res_get, id, 8), 0);
		assert_true(load(8, 8) != 0);
	}
	assert_int_equal(CALL(clock_time_get, 4, 1, 8), WASI_EINVAL);
	assert_int_equal(CALL(clock_res_get, UINT32_MAX, 8), WASI_EINVAL);
	assert_int_equal(CALL(clock_time_get, 0, 1, END - 7), WASI_EFAULT);
	assert_int_equal(CALL(clock_time_get, 0, 1, END - 8), 0);
}

/* Receives one denial. */
static void
expect_denial(enum wasi_call call, enum wasi_capability capability, uint64_t count)
{
	struct proto_denial denial;

	expect_message(PROTO_DENIAL);
	assert_int_equal(host->m.hdr.length, sizeof(denial));
	memcpy(&denial, host->m.payload, sizeof(denial));
	assert_int_equal(denial.call, call + 1);
	assert_int_equal(denial.capability, capability);
	assert_int_equal(denial.count, count);
}

static void
what_policy_withholds_is_enotcapable_and_told_once_with_its_count(void **state)
{
	(void)state;
	host->job.clock = PROTO_CLOCK_NONE;
	host->job.random = PROTO_RANDOM_NONE;
	start();
	for (int i = 0; i < 70; i++)
		assert_int_equal(CALL(clock_time_get, 0, 1, 8), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(random_get, 8, 4), WASI_ENOTCAPABLE);
	assert_int_equal(load(8, 4), 0);
	assert_int_equal(wasi_finish(host->wasi), 0);
	expect_denial(WASI_CALL_clock_time_get, WASI_CAP_CLOCK, 70);
	expect_denial(WASI_CALL_random_get, WASI_CAP_RANDOM, 1);
	assert_int_equal(wasi_finish(host->wasi), 0);
	expect_silence();
}

static void
random_fills_exactly_what_was_asked(void **state)
{
	(void)state;
	host->job.random = PROTO_RANDOM_SEEDED;
	start();
	assert_int_equal(CALL(random_get, 0, MEMORY), 0);
	store(100, 8, 0);
	assert_int_equal(CALL(random_get, 101, 6), 0);
	assert_true(load(101, 6) != 0);
	assert_int_equal(load(100, 1), 0);
	assert_int_equal(load(107, 1), 0);
	assert_int_equal(CALL(random_get, 1, MEMORY), WASI_EFAULT);
	assert_int_equal(CALL(random_get, UINT32_MAX, UINT32_MAX), WASI_EFAULT);
	assert_int_equal(CALL(random_get, END, 0), 0);
}

/* --- poll_oneoff ----------------------------------------------------------------------------------------------- */

enum { SUBS = 4096, EVENTS = 8192 };
enum { ON_CLOCK = 0, ON_READ = 1, ON_WRITE = 2 };

/* Subscription `i`, with userdata 100 + i. */
static void
subscribe(uint32_t i, uint8_t type, uint32_t target, uint64_t timeout, uint16_t flags)
{
	uint32_t at = SUBS + 48 * i;

	memset(mem(at), 0, 48);
	store(at, 8, 100 + i);
	store(at + 8, 1, type);
	store(at + 16, 4, target);
	store(at + 24, 8, timeout);
	store(at + 40, 2, flags);
}

static void
expect_event(uint32_t i, uint64_t userdata, uint16_t error, uint8_t type, uint64_t bytes, uint16_t flags)
{
	uint32_t at = EVENTS + 32 * i;

	assert_int_equal(load(at, 8), userdata);
	assert_int_equal(load(at + 8, 2), error);
	assert_int_equal(load(at + 10, 1), type);
	assert_int_equal(load(at + 16, 8), bytes);
	assert_int_equal(load(at + 24, 2), flags);
}

static int
poll_subs(uint32_t n)
{
	store(8, 4, 999);
	return CALL(poll_oneoff, SUBS, EVENTS, n, 8);
}

static void
polling_for_nothing_is_einval_and_outside_of_memory_efault(void **state)
{
	(void)state;
	start();
	assert_int_equal(poll_subs(0), WASI_EINVAL);
	assert_int_equal(poll_subs(UINT32_MAX), WASI_EFAULT);
	assert_int_equal(CALL(poll_oneoff, END - 47, EVENTS, 1, 8), WASI_EFAULT);
	assert_int_equal(CALL(poll_oneoff, SUBS, END - 31, 1, 8), WASI_EFAULT);
	assert_int_equal(CALL(poll_oneoff, SUBS, EVENTS, 1, END - 3), WASI_EFAULT);
	subscribe(0, 3, 0, 0, 0);
	assert_int_equal(poll_subs(1), WASI_EINVAL);
	subscribe(0, ON_CLOCK, 4, 0, 0);
	assert_int_equal(poll_subs(1), WASI_EINVAL);
	subscribe(0, ON_CLOCK, 0, 0, 2);
	assert_int_equal(poll_subs(1), WASI_EINVAL);
	assert_int_equal(load(8, 4), 999);
}

static void
a_relative_sleep_takes_its_time(void **state)
{
	uint64_t before;

	(void)state;
	start();
	assert_int_equal(CALL(clock_time_get, 1, 1, 16), 0);
	before = load(16, 8);
	subscribe(0, ON_CLOCK, 1, 20000000, 0);
	subscribe(1, ON_CLOCK, 0, 3600000000000, 0);
	assert_int_equal(poll_subs(2), 0);
	assert_int_equal(load(8, 4), 1);
	expect_event(0, 100, 0, ON_CLOCK, 0, 0);
	assert_int_equal(CALL(clock_time_get, 1, 1, 16), 0);
	assert_true(load(16, 8) - before >= 20000000);
}

static void
an_absolute_sleep_reaches_its_time_by_every_clock(void **state)
{
	static const enum proto_clock kinds[] = {PROTO_CLOCK_REAL, PROTO_CLOCK_COARSE};

	for (size_t i = 0; i < 2; i++) {
		for (uint32_t id = 0; id < 2; id++) {
			uint64_t target;

			if (host->store != NULL) {
				tear_down(state);
				set_up(state);
			}
			host->job.clock = kinds[i];
			start();
			assert_int_equal(CALL(clock_time_get, id, 1, 16), 0);
			target = load(16, 8) + 5000001;
			subscribe(0, ON_CLOCK, id, target, 1);
			assert_int_equal(poll_subs(1), 0);
			expect_event(0, 100, 0, ON_CLOCK, 0, 0);
			assert_int_equal(CALL(clock_time_get, id, 1, 16), 0);
			assert_true(load(16, 8) >= target);
		}
	}
}

static void
times_that_are_past_and_clocks_that_cannot_be_waited_for_come_at_once(void **state)
{
	(void)state;
	start();
	subscribe(0, ON_CLOCK, 0, 1, 1);
	subscribe(1, ON_CLOCK, 1, 0, 0);
	subscribe(2, ON_CLOCK, 2, 1, 0);
	subscribe(3, ON_CLOCK, 3, 0, 1);
	subscribe(4, ON_CLOCK, 1, UINT64_MAX, 1);
	assert_int_equal(poll_subs(5), 0);
	assert_int_equal(load(8, 4), 4);
	expect_event(0, 100, 0, ON_CLOCK, 0, 0);
	expect_event(1, 101, 0, ON_CLOCK, 0, 0);
	expect_event(2, 102, WASI_ENOTSUP, ON_CLOCK, 0, 0);
	expect_event(3, 103, WASI_ENOTSUP, ON_CLOCK, 0, 0);
}

static void
without_a_clock_one_can_sleep_but_not_until_a_time(void **state)
{
	(void)state;
	host->job.clock = PROTO_CLOCK_NONE;
	start();
	subscribe(0, ON_CLOCK, 0, 1000, 0);
	assert_int_equal(poll_subs(1), 0);
	expect_event(0, 100, 0, ON_CLOCK, 0, 0);
	subscribe(0, ON_CLOCK, 0, 1, 1);
	assert_int_equal(poll_subs(1), 0);
	expect_event(0, 100, WASI_ENOTCAPABLE, ON_CLOCK, 0, 0);
	assert_int_equal(wasi_finish(host->wasi), 0);
	expect_denial(WASI_CALL_poll_oneoff, WASI_CAP_CLOCK, 1);
}

static void
a_fixed_clock_still_lets_an_absolute_sleep_end(void **state)
{
	(void)state;
	host->job.clock = PROTO_CLOCK_FIXED;
	host->job.clock_fixed_ns = 1000000000;
	start();
	subscribe(0, ON_CLOCK, 0, 1005000000, 1);
	assert_int_equal(poll_subs(1), 0);
	expect_event(0, 100, 0, ON_CLOCK, 0, 0);
}

static void
streams_are_ready_with_what_they_have(void **state)
{
	(void)state;
	give(NULL, NULL, "abc");
	start();
	subscribe(0, ON_READ, 0, 0, 0);
	subscribe(1, ON_WRITE, 1, 0, 0);
	subscribe(2, ON_READ, 1, 0, 0);
	subscribe(3, ON_WRITE, 7, 0, 0);
	subscribe(4, ON_CLOCK, 1, UINT64_MAX, 0);
	assert_int_equal(poll_subs(5), 0);
	assert_int_equal(load(8, 4), 4);
	expect_event(0, 100, 0, ON_READ, 3, 0);
	assert_int_equal(load(EVENTS + 32 + 8, 2), 0);
	assert_true(load(EVENTS + 32 + 16, 8) > 0);
	expect_event(2, 102, WASI_EBADF, ON_READ, 0, 0);
	expect_event(3, 103, WASI_EBADF, ON_WRITE, 0, 0);
	iovec(16, 0, 1000, 8);
	assert_int_equal(CALL(fd_read, 0, 16, 1, 8), 0);
	assert_int_equal(poll_subs(1), 0);
	expect_event(0, 100, 0, ON_READ, 0, 1); /* the end: hung up */
}

static void
waiting_for_streamed_input_ends_with_a_time_or_with_input(void **state)
{
	(void)state;
	host->job.flags = PROTO_JOB_STREAM_INPUT;
	start();
	memcpy(mem(1000), "?", 1);
	iovec(16, 0, 1000, 1);
	assert_int_equal(CALL(fd_write, 1, 16, 1, 8), 0);
	subscribe(0, ON_READ, 0, 0, 0);
	subscribe(1, ON_CLOCK, 1, 1000000, 0);
	assert_int_equal(poll_subs(2), 0);
	assert_int_equal(load(8, 4), 1);
	expect_event(0, 101, 0, ON_CLOCK, 0, 0);
	expect_output(1, "?"); /* what was buffered has been sent before waiting */
	assert_int_equal(imsg_send(host->broker, PROTO_INPUT, RUN, "yes", 3, NULL, 0, NULL), 0);
	assert_int_equal(poll_subs(1), 0);
	expect_event(0, 100, 0, ON_READ, 3, 0);
}

/* --- ends ------------------------------------------------------------------------------------------------------ */

static void
exit_codes_have_32_bits(void **state)
{
	struct proto_result result = {.status = 0};

	(void)state;
	start();
	assert_int_equal(CALL(proc_exit, UINT32_MAX), TRAPPED);
	expect_end(WASI_END_EXIT, UINT32_MAX);
	assert_true(wasi_report(host->wasi, &result));
	assert_int_equal(result.status, PROTO_STATUS_EXITED);
	assert_int_equal(result.exit_code, UINT32_MAX);
	assert_int_equal(result.host_calls[WASI_CALL_proc_exit], 1);
}

static void
raising_a_signal_does_what_its_default_is(void **state)
{
	struct proto_result result = {.status = 0};

	(void)state;
	start();
	assert_int_equal(CALL(proc_raise, 0), 0);
	assert_int_equal(CALL(proc_raise, 16), 0);             /* chld */
	assert_int_equal(CALL(proc_raise, 18), WASI_ENOTSUP);  /* stop */
	assert_int_equal(CALL(proc_raise, 31), WASI_EINVAL);
	assert_int_equal(CALL(proc_raise, UINT32_MAX), WASI_EINVAL);
	assert_int_equal(CALL(sched_yield, 0), 0);
	assert_int_equal(CALL(proc_raise, 6), TRAPPED);        /* abrt */
	expect_end(WASI_END_SIGNAL, 6);
	assert_true(wasi_report(host->wasi, &result));
	assert_int_equal(result.status, PROTO_STATUS_TRAPPED);
	assert_int_equal(result.trap, RUNTIME_TRAP_signal);
	assert_string_equal(wasi_signal_name(6), "SIGABRT");
	assert_string_equal(wasi_signal_name(30), "SIGSYS");
	assert_string_equal(wasi_signal_name(31), "a signal");
}

static void
the_host_call_past_the_limit_ends_the_run(void **state)
{
	(void)state;
	host->job.host_calls = 3;
	start();
	for (int i = 0; i < 3; i++)
		assert_int_equal(CALL(sched_yield, 0), 0);
	expect_end(WASI_END_NOT, 0);
	assert_int_equal(CALL(sched_yield, 0), TRAPPED);
	expect_end(WASI_END_LIMIT, PROTO_LIMIT_host_calls);
}

static volatile sig_atomic_t seen_call, finish_gave;

static void
on_alarm(int signo)
{
	(void)signo;
	seen_call = (sig_atomic_t)host->shared.call;
	finish_gave = wasi_finish_from_signal(host->wasi);
	wasi_stop(host->wasi, PROTO_LIMIT_wall_ms);
	wasi_stop(host->wasi, PROTO_LIMIT_cpu_ms);
}

static void
set_alarm(bool on)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	struct itimerval often = {{0, on ? 5000 : 0}, {0, on ? 5000 : 0}};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

static void
a_limit_wakes_a_sleep_and_the_first_one_counts(void **state)
{
	(void)state;
	start();
	subscribe(0, ON_CLOCK, 1, UINT64_MAX, 0);
	set_alarm(true);
	assert_int_equal(poll_subs(1), TRAPPED);
	set_alarm(false);
	expect_end(WASI_END_LIMIT, PROTO_LIMIT_wall_ms);
	assert_int_equal(wasi_stopped(host->wasi), PROTO_LIMIT_wall_ms);
	assert_int_equal(seen_call, WASI_CALL_poll_oneoff + 1);
	assert_int_equal(finish_gave, ERR_AGAIN);
}

static void
a_limit_ends_work_on_a_whole_memory(void **state)
{
	uint64_t before;
	uint32_t size;

	(void)state;
	start();
	assert_null(wasmtime_memory_grow(host->context, &host->memory, 16382, &before)); /* 1 GiB */
	size = (uint32_t)wasmtime_memory_data_size(host->context, &host->memory);
	set_alarm(true);
	assert_int_equal(CALL(random_get, 0, size), TRAPPED);
	set_alarm(false);
	expect_end(WASI_END_LIMIT, PROTO_LIMIT_wall_ms);
}

static void
a_limit_ends_a_walk_over_empty_iovecs(void **state)
{
	uint64_t before;

	(void)state;
	start();
	assert_null(wasmtime_memory_grow(host->context, &host->memory, 16382, &before)); /* 1 GiB, all zero */
	set_alarm(true);
	assert_int_equal(CALL(fd_write, 1, 65536, (1u << 27) - 8192, 8), TRAPPED);
	set_alarm(false);
	expect_end(WASI_END_LIMIT, PROTO_LIMIT_wall_ms);
}

static void
from_a_signal_all_is_sent_when_the_guest_was_running(void **state)
{
	(void)state;
	start();
	memcpy(mem(1000), "hi", 2);
	iovec(16, 0, 1000, 2);
	assert_int_equal(CALL(fd_write, 1, 16, 1, 8), 0);
	assert_int_equal(wasi_finish_from_signal(host->wasi), 0);
	expect_output(1, "hi");
}

/* --- memory ---------------------------------------------------------------------------------------------------- */

static void
memory_is_found_before_it_is_attached(void **state)
{
	(void)state;
	assert_int_equal(begin(), 0);
	instantiate(module);
	assert_int_equal(CALL(clock_time_get, 0, 1, 8), 0);
	assert_true(load(8, 8) != 0);
}

static void
memory_that_has_grown_is_reachable_in_the_next_call(void **state)
{
	uint64_t before;

	(void)state;
	start();
	assert_int_equal(CALL(clock_time_get, 0, 1, END), WASI_EFAULT);
	assert_null(wasmtime_memory_grow(host->context, &host->memory, 1, &before));
	assert_int_equal(CALL(clock_time_get, 0, 1, END), 0);
	assert_true(load(END, 8) != 0);
}

static void
a_module_that_exports_no_memory_gets_efault(void **state)
{
	(void)state;
	assert_int_equal(begin(), 0);
	instantiate(module_without_memory);
	assert_int_equal(CALL(clock_time_get, 0, 1, 0), WASI_EFAULT);
	assert_int_equal(CALL(fd_write, 1, 0, 1, 0), WASI_EFAULT);
	assert_int_equal(CALL(sched_yield, 0), 0);
}

/* --- anything at all ------------------------------------------------------------------------------------------- */

static uint64_t dice = 88172645463325252u;

/* A number that has gone wrong somewhere before: borders of the memory and of the types. */
static uint64_t
awkward_number(void)
{
	static const uint64_t numbers[] = {0, 1, 2, 3, 7, 8, 16, 1000, MEMORY / 2, MEMORY - 64, MEMORY - 8, MEMORY - 4,
	    MEMORY - 1, MEMORY, MEMORY + 1, INT32_MAX, UINT64_C(1) << 31, UINT32_MAX - 7, UINT32_MAX,
	    UINT64_C(1) << 32, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX};

	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice % 8 == 0 ? dice >> 8 : numbers[(dice >> 8) % (sizeof(numbers) / sizeof(numbers[0]))];
}

/* Whether a call can be made over and over: the others end the run, or take away the descriptors to try things on. */
static bool
is_repeatable(uint32_t call)
{
	return call != WASI_CALL_proc_exit && call != WASI_CALL_proc_raise && call != WASI_CALL_poll_oneoff &&
	    call != WASI_CALL_fd_close && call != WASI_CALL_fd_renumber && call != WASI_CALL_fd_fdstat_set_rights;
}

static void
no_parameters_whatsoever_upset_the_host(void **state)
{
	uint64_t a[WASI_PARAMETERS_MAX];
	unsigned good = 0, bad = 0;

	(void)state;
	host->job.host_calls = UINT64_MAX;
	host->job.output_bytes = 1000; /* so that none is sent: nobody reads it */
	give(NULL, NULL, "some input");
	start();
	for (uint32_t i = 0; i < 2000 * WASI_CALL_COUNT; i++) {
		int error;

		if (!is_repeatable(i % WASI_CALL_COUNT))
			continue;
		for (size_t k = 0; k < WASI_PARAMETERS_MAX; k++)
			a[k] = awkward_number();
		error = call_list(i % WASI_CALL_COUNT, a);
		assert_in_range(error, 0, WASI_ENOTCAPABLE);
		*(error == 0 ? &good : &bad) += 1;
	}
	assert_true(good > 1000);
	assert_true(bad > 1000);
}

static void
no_subscriptions_whatsoever_upset_the_host(void **state)
{
	unsigned good = 0, bad = 0;
	uint64_t out;
	int error;

	(void)state;
	host->job.host_calls = UINT64_MAX;
	start();
	for (int i = 0; i < 5000; i++) {
		for (uint32_t k = 0; k < 4; k++) {
			subscribe(k, (uint8_t)(awkward_number() % 4), (uint32_t)(awkward_number() % 5),
			    awkward_number() % 100000, (uint16_t)(awkward_number() % 3));
		}
		out = SUBS - 64 + awkward_number() % 200; /* events may fall onto subscriptions */
		error = CALL(poll_oneoff, SUBS, out, 1 + awkward_number() % 4, 8);
		*(error == 0 ? &good : &bad) += 1;
		expect_end(WASI_END_NOT, 0);
	}
	assert_true(good > 100);
	assert_true(bad > 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(arguments_and_environment_arrive_in_order),
		TEST(arguments_that_do_not_fit_the_memory_write_nothing),
		TEST(no_arguments_are_no_error),
		TEST(a_blob_that_is_not_what_the_job_says_is_refused),
		TEST(what_is_written_is_gathered_counted_and_sent_at_the_end),
		TEST(bad_iovecs_write_nothing),
		TEST(output_past_its_limit_ends_the_run),
		TEST(input_is_scattered_to_its_end),
		TEST(input_that_overwrites_its_own_iovecs_stays_inside_the_memory),
		TEST(streamed_input_that_is_not_there_yet_is_eagain_when_nonblocking),
		TEST(a_closed_job_socket_ends_a_read_without_a_result),
		TEST(calls_without_meaning_on_a_pipe_have_the_errno_of_one),
		TEST(every_call_on_a_descriptor_that_is_not_open_is_ebadf),
		TEST(a_stream_is_of_unknown_type_with_the_rights_of_its_end),
		TEST(flags_are_kept_and_unknown_ones_refused),
		TEST(rights_can_be_given_up_but_not_gained),
		TEST(a_renumbered_stream_goes_where_it_went),
		TEST(clocks_tell_the_time_and_unknown_ones_are_einval),
		TEST(what_policy_withholds_is_enotcapable_and_told_once_with_its_count),
		TEST(random_fills_exactly_what_was_asked),
		TEST(polling_for_nothing_is_einval_and_outside_of_memory_efault),
		TEST(a_relative_sleep_takes_its_time),
		TEST(an_absolute_sleep_reaches_its_time_by_every_clock),
		TEST(times_that_are_past_and_clocks_that_cannot_be_waited_for_come_at_once),
		TEST(without_a_clock_one_can_sleep_but_not_until_a_time),
		TEST(a_fixed_clock_still_lets_an_absolute_sleep_end),
		TEST(streams_are_ready_with_what_they_have),
		TEST(waiting_for_streamed_input_ends_with_a_time_or_with_input),
		TEST(exit_codes_have_32_bits),
		TEST(raising_a_signal_does_what_its_default_is),
		TEST(the_host_call_past_the_limit_ends_the_run),
		TEST(a_limit_wakes_a_sleep_and_the_first_one_counts),
		TEST(a_limit_ends_work_on_a_whole_memory),
		TEST(a_limit_ends_a_walk_over_empty_iovecs),
		TEST(from_a_signal_all_is_sent_when_the_guest_was_running),
		TEST(memory_is_found_before_it_is_attached),
		TEST(memory_that_has_grown_is_reachable_in_the_next_call),
		TEST(a_module_that_exports_no_memory_gets_efault),
		TEST(no_parameters_whatsoever_upset_the_host),
		TEST(no_subscriptions_whatsoever_upset_the_host),
	};

	return cmocka_run_group_tests(tests, make_modules, drop_modules);
}
