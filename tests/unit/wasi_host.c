/* tests/unit/wasi_host: a run of a module that hands every WASI function through to the test. Unit tests. */

#include "tests/unit/wasi_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/unit/wasi_errnos.h"

/* --- a module that imports every function and exports each under its name -------------------------------------- */

const struct host_row host_rows[WASI_CALL_COUNT] = {
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
		n = put_types(&types, host_rows[i].type, ':');
		put_types(&types, host_rows[i].type + n + 1, '\0');
		put_name(&imports, "wasi_snapshot_preview1");
		put_name(&imports, host_rows[i].name);
		put_byte(&imports, 0);
		put_leb(&imports, i);
		put_leb(&functions, i);
		put_name(&exports, host_rows[i].name);
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

int
host_make_modules(void **state)
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

int
host_drop_modules(void **state)
{
	(void)state;
	wasmtime_module_delete(module);
	wasmtime_module_delete(module_without_memory);
	wasm_engine_delete(engine);
	return 0;
}

struct host *host;

int
host_set_up(void **state)
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
		.fs_bytes = 1 << 20,
		.fs_nodes = 1000,
		.open_files = 64,
		.host_calls = 1000,
	};
	assert_int_equal(wasi_new(&host->wasi, NULL), 0);
	*state = host;
	return 0;
}

int
host_tear_down(void **state)
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

void
host_give(const char *const *args, const char *const *env, const char *input)
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

/* Inserts behind the first `at` bytes of what is in the blob behind arguments, environment and input. */
static void
put_in_blob(uint64_t at, const void *data, size_t length)
{
	uint64_t before = host->job.args_bytes + host->job.env_bytes + host->job.stdin_bytes;
	uint64_t end = before + host->job.mounts_bytes + host->job.files_bytes;

	at += before;
	assert_true(length <= sizeof(host->blob) - end);
	memmove(host->blob + at + length, host->blob + at, end - at);
	memcpy(host->blob + at, data, length);
}

void
host_mount(const char *path, uint32_t rights)
{
	const struct proto_mount m = {.rights = rights, .path_length = (uint32_t)strlen(path)};

	put_in_blob(host->job.files_bytes + host->job.mounts_bytes, &m, sizeof(m));
	host->job.mounts_bytes += sizeof(m);
	put_in_blob(host->job.files_bytes + host->job.mounts_bytes, path, strlen(path));
	host->job.mounts_bytes += strlen(path);
	host->job.mountc++;
}

void
host_file(const char *path, const char *data)
{
	const struct proto_file f = {.path_length = (uint32_t)strlen(path), .size = strlen(data)};

	put_in_blob(host->job.files_bytes, &f, sizeof(f));
	host->job.files_bytes += sizeof(f);
	put_in_blob(host->job.files_bytes, path, strlen(path));
	host->job.files_bytes += strlen(path);
	put_in_blob(host->job.files_bytes, data, strlen(data));
	host->job.files_bytes += strlen(data);
	host->job.filec++;
}

int
host_begin(void)
{
	struct wasi_config config = {
		.job = &host->job,
		.blob = host->blob,
		.blob_length = host->job.args_bytes + host->job.env_bytes + host->job.mounts_bytes + host->job.files_bytes +
		    host->job.stdin_bytes,
		.socket = host->socket,
		.run = RUN,
		.shared = &host->shared,
	};

	return wasi_begin(host->wasi, &config, NULL);
}

void
host_instantiate(bool with_memory)
{
	wasm_trap_t *trap = NULL;
	wasmtime_extern_t item;

	host->linker = wasmtime_linker_new(engine);
	assert_int_equal(wasi_link(host->wasi, host->linker, NULL), 0);
	host->store = wasmtime_store_new(engine, NULL, NULL);
	host->context = wasmtime_store_context(host->store);
	assert_null(wasmtime_linker_instantiate(host->linker, host->context,
	    with_memory ? module : module_without_memory, &host->instance, &trap));
	assert_null(trap);
	if (wasmtime_instance_export_get(host->context, &host->instance, "memory", 6, &item))
		host->memory = item.of.memory;
}

void
host_start(void)
{
	assert_int_equal(host_begin(), 0);
	host_instantiate(true);
	wasi_attach(host->wasi, &host->memory);
}

int
host_call(enum wasi_call call, const uint64_t *a)
{
	const char *type = host_rows[call].type;
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
	assert_true(wasmtime_instance_export_get(host->context, &host->instance, host_rows[call].name,
	    strlen(host_rows[call].name), &item));
	assert_null(wasmtime_func_call(host->context, &item.of.func, args, n, &result, strlen(type + n + 1), &trap));
	assert_int_equal(host->shared.call, trap == NULL ? 0 : call + 1); /* the one that ended the run stays */
	if (trap != NULL) {
		wasm_trap_delete(trap);
		return TRAPPED;
	}
	if (!wasi_errnos_has(call, (enum wasi_errno)result.of.i32))
		fail_msg("tests/guests/c/errnos.h does not have errno %d of %s", (int)result.of.i32, host_rows[call].name);
	return result.of.i32;
}

uint8_t *
host_mem(uint32_t at)
{
	return wasmtime_memory_data(host->context, &host->memory) + at;
}

uint64_t
host_load(uint32_t at, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)*host_mem(at + i) << 8 * i;
	return v;
}

void
host_store(uint32_t at, unsigned size, uint64_t v)
{
	for (unsigned i = 0; i < size; i++)
		*host_mem(at + i) = (uint8_t)(v >> 8 * i);
}

void
host_iovec(uint32_t list, uint32_t i, uint32_t at, uint32_t length)
{
	host_store(list + 8 * i, 4, at);
	host_store(list + 8 * i + 4, 4, length);
}

void
host_expect_end(enum wasi_end how, uint32_t value)
{
	uint32_t got;

	assert_int_equal(wasi_ended(host->wasi, &got), how);
	assert_int_equal(got, value);
}

void
host_expect_message(uint32_t type)
{
	assert_int_equal(imsg_recv(host->broker, &host->m, NULL), 0);
	assert_int_equal(host->m.hdr.type, type);
	assert_int_equal(host->m.hdr.run, RUN);
}

void
host_expect_output(uint32_t stream, const char *text)
{
	struct proto_output head;

	host_expect_message(PROTO_OUTPUT);
	memcpy(&head, host->m.payload, sizeof(head));
	assert_int_equal(head.stream, stream);
	assert_int_equal(host->m.hdr.length, sizeof(head) + strlen(text));
	assert_memory_equal(host->m.payload + sizeof(head), text, strlen(text));
}

void
host_expect_silence(void)
{
	char byte;

	assert_int_equal(recv(host->broker, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	assert_int_equal(errno, EAGAIN);
}
void
host_expect_denial(enum wasi_call call, enum wasi_capability capability, uint64_t count)
{
	struct proto_denial denial;

	host_expect_message(PROTO_DENIAL);
	assert_int_equal(host->m.hdr.length, sizeof(denial));
	memcpy(&denial, host->m.payload, sizeof(denial));
	assert_int_equal(denial.call, call + 1);
	assert_int_equal(denial.capability, capability);
	assert_int_equal(denial.count, count);
}

volatile sig_atomic_t host_seen_call, host_finish_gave;

static void
on_alarm(int signo)
{
	(void)signo;
	host_seen_call = (sig_atomic_t)host->shared.call;
	host_finish_gave = wasi_finish_from_signal(host->wasi);
	wasi_stop(host->wasi, PROTO_LIMIT_wall_ms);
	wasi_stop(host->wasi, PROTO_LIMIT_cpu_ms);
}

void
host_set_alarm(bool on)
{
	struct sigaction sa = {.sa_handler = on_alarm};
	struct itimerval often = {{0, on ? 5000 : 0}, {0, on ? 5000 : 0}};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

static uint64_t dice = 88172645463325252u;

uint64_t
host_awkward_number(void)
{
	static const uint64_t numbers[] = {0, 1, 2, 3, 7, 8, 16, 1000, MEMORY / 2, MEMORY - 64, MEMORY - 8, MEMORY - 4,
	    MEMORY - 1, MEMORY, MEMORY + 1, INT32_MAX, UINT64_C(1) << 31, UINT32_MAX - 7, UINT32_MAX,
	    UINT64_C(1) << 32, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX};

	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice % 8 == 0 ? dice >> 8 : numbers[(dice >> 8) % (sizeof(numbers) / sizeof(numbers[0]))];
}
