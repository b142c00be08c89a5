/* Unit tests of runtime/worker: whole runs in forked children without a jail, over a real job socket. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/imsg.h"
#include "base/memfd.h"
#include "runtime/compiler.h"
#include "runtime/trap.h"
#include "runtime/wasi/table.h"
#include "runtime/worker.h"
#include "tests/unit/wasm_build.h"

#define RUN    77
#define WASI   "wasi_snapshot_preview1"
#define MEMORY {"memory", WASM_TEXT("\x02\x00")}
#define PAGE   65536u

/* What came back from one run. */
static struct outcome {
	int exit_status; /* of the process; -1 when a signal ended it */
	uint32_t phase;
	bool parked; /* PROTO_PARKED came */
	bool has_result;
	bool failed; /* PROTO_FAILED came */
	struct proto_result result;
	char text[2048]; /* of the result or of PROTO_FAILED */
	char frames[PROTO_FRAMES_MAX][PROTO_NAME_MAX + 1];
	uint8_t out[2][1 << 20];
	size_t out_length[2];
	unsigned denials;
} got;

static struct {
	struct proto_job job;
	const char *input;
	bool park;               /* have the worker park first, and give it the job then */
	bool load;               /* have it be one of a zygote that has the module */
	bool instantiate;        /* and the instance, made under `ahead` */
	struct proto_park ahead;
	bool alarm;              /* and send it PROTO_WALL_SIGNAL once it has printed something */
	struct proto_park limits;
} give;

static struct worker *template[2]; /* by enum proto_engine */

/* The engine finds traps by these signals; cmocka takes them over in the test's own process. */
static const int trap_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
static struct sigaction trap_actions[4];

/* --- harness --------------------------------------------------------------------------------------------------- */

static int
compile(const uint8_t *wasm, size_t length, enum proto_engine kind)
{
	wasm_engine_t *engine;
	wasm_byte_vec_t artifact;
	wasmtime_error_t *error;
	struct err e;
	int fd;

	assert_int_equal(engine_new(kind, compiler_settings, &engine, &e), 0);
	error = brig_module_precompile(engine, wasm, length, &artifact);
	if (error != NULL) {
		engine_error_text(error, e.msg, sizeof(e.msg));
		fail_msg("the test's module: %s", e.msg);
	}
	fd = memfd_from("artifact", artifact.data, artifact.size, &e);
	assert_true(fd >= 0);
	wasm_byte_vec_delete(&artifact);
	wasm_engine_delete(engine);
	return fd;
}

static void
take_result(const struct imsg *m)
{
	const uint8_t *p = m->payload + sizeof(got.result);

	assert_true(m->hdr.length >= sizeof(got.result));
	memcpy(&got.result, m->payload, sizeof(got.result));
	assert_true(got.result.text_length < sizeof(got.text));
	memcpy(got.text, p, got.result.text_length);
	p += got.result.text_length;
	assert_true(got.result.frame_count <= PROTO_FRAMES_MAX);
	for (uint32_t i = 0; i < got.result.frame_count; i++) {
		struct proto_frame frame;

		memcpy(&frame, p, sizeof(frame));
		p += sizeof(frame);
		assert_true(frame.name_length <= PROTO_NAME_MAX);
		memcpy(got.frames[i], p, frame.name_length);
		p += frame.name_length;
	}
	assert_ptr_equal(p, m->payload + m->hdr.length);
	got.has_result = true;
}

static void
take_message(const struct imsg *m)
{
	struct proto_output head;
	size_t n;

	assert_int_equal(m->hdr.run, !give.park || got.parked ? RUN : 0);
	assert_false(got.has_result);
	switch (m->hdr.type) {
	case PROTO_OUTPUT:
		memcpy(&head, m->payload, sizeof(head));
		assert_in_range(head.stream, 1, 2);
		n = m->hdr.length - sizeof(head);
		assert_true(n <= sizeof(got.out[0]) - got.out_length[head.stream - 1]);
		memcpy(got.out[head.stream - 1] + got.out_length[head.stream - 1], m->payload + sizeof(head), n);
		got.out_length[head.stream - 1] += n;
		break;
	case PROTO_DENIAL:
		got.denials++;
		break;
	case PROTO_FAILED:
		memcpy(got.text, m->payload, m->hdr.length);
		got.failed = true;
		break;
	default:
		assert_int_equal(m->hdr.type, PROTO_RESULT);
		take_result(m);
	}
}

/* A forked worker's life. */
static int
work(int artifact, int socket, volatile struct proto_shared *shared)
{
	struct worker *w = template[give.job.engine & 1];
	struct err e;

	if (give.load && worker_load(w, dup(artifact), &e) != 0)
		return 70;
	if (give.instantiate)
		worker_instantiate(w, &give.ahead);
	if (!give.park)
		return worker_run(w, socket, shared, NULL, NULL);
	return worker_park(w, socket, shared, &give.limits, NULL, NULL);
}

/* Waits until the worker has parked. Returns false when it cannot. */
static bool
await_parked(int socket, struct imsg *m)
{
	struct proto_parked said;

	if (imsg_recv(socket, m, NULL) != 0)
		return false;
	if (m->hdr.type != PROTO_PARKED) {
		take_message(m);
		return false;
	}
	assert_int_equal(m->hdr.length, sizeof(said));
	memcpy(&said, m->payload, sizeof(said));
	assert_true(said.cpu_us > 0);
	got.parked = true;
	return true;
}

/* Sends a job with `artifact` (not taken) to a forked worker and collects everything until the worker's end. */
static void
run_artifact(int artifact)
{
	static struct imsg m;
	static uint8_t message[4096];
	struct proto_shared *shared;
	struct err e;
	int sv[2], status;
	pid_t pid;

	memset(&got, 0, sizeof(got));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	assert_int_equal(imsg_pair(sv, &e), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(sv[0]);
		for (size_t i = 0; i < 4; i++)
			sigaction(trap_signals[i], &trap_actions[i], NULL);
		_exit(work(artifact, sv[1], shared));
	}
	close(sv[1]);
	give.job.stdin_bytes = give.input != NULL ? strlen(give.input) : 0;
	memcpy(message, &give.job, sizeof(give.job));
	memcpy(message + sizeof(give.job), give.input != NULL ? give.input : "", give.job.stdin_bytes);
	if (!give.park || await_parked(sv[0], &m))
		assert_int_equal(imsg_send(sv[0], PROTO_JOB, RUN, message, sizeof(give.job) + give.job.stdin_bytes, &artifact,
		    give.load ? 0 : 1, &e), 0);
	while (imsg_recv(sv[0], &m, &e) == 0) {
		take_message(&m);
		if (give.alarm && got.out_length[0] > 0)
			kill(pid, PROTO_WALL_SIGNAL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	got.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	got.phase = shared->phase;
	munmap(shared, sizeof(*shared));
	close(sv[0]);
}

static void
run(const struct wasm_module *module)
{
	uint8_t wasm[WASM_BYTES_MAX];
	size_t length = wasm_build(module, wasm);
	int artifact = compile(wasm, length, (enum proto_engine)give.job.engine);

	run_artifact(artifact);
	close(artifact);
}

static void
expect_status(enum proto_status status)
{
	if (!got.has_result || got.result.status != (uint32_t)status)
		print_message("result %d status %u limit %u text \"%s\" exit %d\n", got.has_result, got.result.status,
		    got.result.limit, got.text, got.exit_status);
	assert_true(got.has_result);
	assert_int_equal(got.exit_status, 0);
	assert_int_equal(got.result.status, status);
	assert_int_equal(got.phase, PROTO_PHASE_DONE);
}

static void
expect_limit(enum proto_limit limit)
{
	expect_status(PROTO_STATUS_LIMIT);
	assert_int_equal(got.result.limit, limit);
	assert_int_equal(got.result.failure, 0);
	assert_int_equal(got.result.trap, 0);
}

static void
expect_failed(enum proto_failure failure, const char *part)
{
	expect_status(PROTO_STATUS_FAILED);
	assert_int_equal(got.result.failure, failure);
	if (strstr(got.text, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, got.text);
}

static int
set_up(void **state)
{
	(void)state;
	memset(&give, 0, sizeof(give));
	give.job = (struct proto_job){
	    .engine = PROTO_ENGINE_PLAIN,
	    .clock = PROTO_CLOCK_REAL,
	    .random = PROTO_RANDOM_REAL,
	    .wall_ms = 60000,
	    .cpu_ms = 60000,
	    .fuel = 1000000,
	    .memory_bytes = 64 << 20,
	    .output_bytes = 1 << 20,
	    .host_calls = 1000,
	    .table_elements = 1000,
	};
	return 0;
}

/* --- modules --------------------------------------------------------------------------------------------------- */

/* A module whose _start is `instructions`, with memory of a page and fd_write (function 0), proc_exit (1) at hand. */
#define PROGRAM(instructions)                                                                            \
	{                                                                                                \
		.types = {TYPE_NONE, TYPE_I_NONE, TYPE_IIII_I},                                          \
		.imports = {{WASI, "fd_write", WASM_TEXT("\x00\x02")}, {WASI, "proc_exit", WASM_TEXT("\x00\x01")}}, \
		.functions = {{0, "main", WASM_TEXT(instructions END)}},                                 \
		.memory_pages = 1,                                                                       \
		.exports = {MEMORY, {"_start", WASM_TEXT("\x00\x02")}},                                  \
	}

/* fd_write(fd, iovec at 0, 1, result at 8) */
#define WRITE(fd) I32_CONST(fd) I32_CONST("\x00") I32_CONST("\x01") I32_CONST("\x08") CALL("\x00") DROP

static const struct wasm_module hello = {
    .types = {TYPE_NONE, TYPE_I_NONE, TYPE_IIII_I},
    .imports = {{WASI, "fd_write", WASM_TEXT("\x00\x02")}, {WASI, "proc_exit", WASM_TEXT("\x00\x01")}},
    .functions = {{0, "main", WASM_TEXT(WRITE("\x01") END)}},
    .memory_pages = 1,
    .exports = {MEMORY, {"_start", WASM_TEXT("\x00\x02")}},
    .data = {{0, WASM_TEXT("\x10\0\0\0\x06\0\0\0")}, {16, WASM_TEXT("hello\n")}},
};

static const struct wasm_module writes_for_ever = {
    .types = {TYPE_NONE, TYPE_I_NONE, TYPE_IIII_I},
    .imports = {{WASI, "fd_write", WASM_TEXT("\x00\x02")}, {WASI, "proc_exit", WASM_TEXT("\x00\x01")}},
    .functions = {{0, "main", WASM_TEXT(LOOP WRITE("\x01") BR("\x00") END END)}},
    .memory_pages = 1,
    .exports = {MEMORY, {"_start", WASM_TEXT("\x00\x02")}},
    .data = {{0, WASM_TEXT("\x10\0\0\0\x06\0\0\0")}, {16, WASM_TEXT("hello\n")}},
};

/* --- what a run gives ------------------------------------------------------------------------------------------ */

static void
prints_and_exits_0(void **state)
{
	(void)state;
	run(&hello);
	expect_status(PROTO_STATUS_EXITED);
	assert_int_equal(got.result.exit_code, 0);
	assert_int_equal(got.out_length[0], 6);
	assert_memory_equal(got.out[0], "hello\n", 6);
	assert_int_equal(got.out_length[1], 0);
	assert_int_equal(got.result.stdout_bytes, 6);
	assert_int_equal(got.result.host_calls[WASI_CALL_fd_write], 1);
	assert_int_equal(got.result.peak_memory_bytes, PAGE);
	assert_int_equal(got.result.fuel_used, 0);
}

static void
gives_the_exit_code_of_proc_exit(void **state)
{
	static const struct wasm_module module = PROGRAM(I32_CONST("\x2a") CALL("\x01") UNREACHABLE);

	(void)state;
	run(&module);
	expect_status(PROTO_STATUS_EXITED);
	assert_int_equal(got.result.exit_code, 42);
}

static void
gives_exit_codes_of_32_bits(void **state)
{
	static const struct wasm_module module = PROGRAM(I32_CONST("\x7f") CALL("\x01"));

	(void)state;
	run(&module);
	expect_status(PROTO_STATUS_EXITED);
	assert_int_equal(got.result.exit_code, UINT32_MAX);
}

static void
a_trap_has_its_kind_and_the_functions_names(void **state)
{
	static const struct wasm_module module = {
	    .types = {TYPE_NONE},
	    .functions = {{0, "outer", WASM_TEXT(CALL("\x01") END)}, {0, "inner", WASM_TEXT(UNREACHABLE END)}},
	    .exports = {{"_start", WASM_TEXT("\x00\x00")}},
	};

	(void)state;
	run(&module);
	expect_status(PROTO_STATUS_TRAPPED);
	assert_int_equal(got.result.trap, RUNTIME_TRAP_unreachable);
	assert_int_equal(got.result.frame_count, 2);
	assert_string_equal(got.frames[0], "inner");
	assert_string_equal(got.frames[1], "outer");
	assert_non_null(strstr(got.text, "unreachable"));
}

static void
a_trap_without_names_has_numbers(void **state)
{
	static const struct wasm_module module = {
	    .types = {TYPE_NONE},
	    .functions = {{0, NULL, WASM_TEXT(I32_CONST("\x01") I32_CONST("\x00") "\x6d" DROP END)}},
	    .exports = {{"_start", WASM_TEXT("\x00\x00")}},
	};

	(void)state;
	run(&module);
	expect_status(PROTO_STATUS_TRAPPED);
	assert_int_equal(got.result.trap, RUNTIME_TRAP_integer_division_by_zero);
	assert_int_equal(got.result.frame_count, 1);
	assert_string_equal(got.frames[0], "");
}

static void
names_of_any_length_are_cut_and_fit_to_be_shown(void **state)
{
	char name[4 * PROTO_NAME_MAX];
	struct wasm_module module = {
	    .types = {TYPE_NONE},
	    .functions = {{0, name, WASM_TEXT(UNREACHABLE END)}},
	    .exports = {{"_start", WASM_TEXT("\x00\x00")}},
	};

	(void)state;
	name[0] = '\x1b';
	for (size_t i = 1; i + 3 < sizeof(name); i += 3)
		memcpy(name + i, "\xe2\x82\xac", 4);
	run(&module);
	expect_status(PROTO_STATUS_TRAPPED);
	assert_int_equal(strlen(got.frames[0]), 1 + (PROTO_NAME_MAX - 1) / 3 * 3);
	assert_memory_equal(got.frames[0] + 1, name + 1, strlen(got.frames[0]) - 1);
	assert_int_equal(got.frames[0][0], '?');
}

static void
endless_recursion_is_a_stack_overflow_with_its_innermost_frames(void **state)
{
	static const struct wasm_module module = {
	    .types = {TYPE_NONE},
	    .functions = {{0, "again", WASM_TEXT(CALL("\x00") END)}},
	    .exports = {{"_start", WASM_TEXT("\x00\x00")}},
	};

	(void)state;
	run(&module);
	expect_status(PROTO_STATUS_TRAPPED);
	assert_int_equal(got.result.trap, RUNTIME_TRAP_stack_overflow);
	assert_in_range(got.result.frame_count, 10, PROTO_FRAMES_MAX);
	assert_string_equal(got.frames[9], "again");
}

static void
a_load_past_the_memory_traps(void **state)
{
	static const struct wasm_module module = PROGRAM(I32_CONST("\x80\x80\x04") I32_LOAD DROP);

	(void)state;
	run(&module);
	expect_status(PROTO_STATUS_TRAPPED);
	assert_int_equal(got.result.trap, RUNTIME_TRAP_memory_out_of_bounds);
}

/* --- limits ---------------------------------------------------------------------------------------------------- */

static void
an_endless_loop_ends_at_the_wall_limit_with_its_output(void **state)
{
	static const struct wasm_module module = {
	    .types = {TYPE_NONE, TYPE_I_NONE, TYPE_IIII_I},
	    .imports = {{WASI, "fd_write", WASM_TEXT("\x00\x02")}},
	    .functions = {{0, "main", WASM_TEXT(WRITE("\x01") LOOP BR("\x00") END END)}},
	    .memory_pages = 1,
	    .exports = {MEMORY, {"_start", WASM_TEXT("\x00\x01")}},
	    .data = {{0, WASM_TEXT("\x10\0\0\0\x06\0\0\0")}, {16, WASM_TEXT("before")}},
	};

	(void)state;
	give.job.wall_ms = 30;
	run(&module);
	expect_limit(PROTO_LIMIT_wall_ms);
	assert_int_equal(got.out_length[0], 6);
	assert_memory_equal(got.out[0], "before", 6);
	assert_true(got.result.guest_us + got.result.start_us >= 30000);
}

static void
an_endless_loop_ends_at_the_cpu_limit(void **state)
{
	static const struct wasm_module module = PROGRAM(LOOP BR("\x00") END);

	(void)state;
	give.job.cpu_ms = 30;
	run(&module);
	expect_limit(PROTO_LIMIT_cpu_ms);
}

/* One instruction of many seconds: the handler sends the result. */
static void
one_long_memory_fill_ends_at_the_wall_limit(void **state)
{
	/* memory.grow(16383); loop: memory.fill(0, 1, 1 GiB - 1) for ever */
	static const struct wasm_module module = PROGRAM(I32_CONST("\xff\xff\x00") MEMORY_GROW DROP LOOP I32_CONST("\x00")
	    I32_CONST("\x01") I32_CONST("\xff\xff\xff\xff\x03") MEMORY_FILL BR("\x00") END);

	(void)state;
	give.job.wall_ms = 60;
	give.job.memory_bytes = 1u << 30;
	run(&module);
	expect_limit(PROTO_LIMIT_wall_ms);
	assert_int_equal(got.result.peak_memory_bytes, 1u << 30);
}

static void
a_start_function_that_does_not_end_is_limited_too(void **state)
{
	static const struct wasm_module module = {
	    .types = {TYPE_NONE},
	    .functions = {{0, "main", WASM_TEXT(END)}, {0, "starter", WASM_TEXT(LOOP BR("\x00") END END)}},
	    .exports = {{"_start", WASM_TEXT("\x00\x00")}},
	    .start = "\x01",
	};

	(void)state;
	give.job.wall_ms = 30;
	run(&module);
	expect_limit(PROTO_LIMIT_wall_ms);
}

static void
a_memory_larger_than_allowed_is_limit_memory_bytes(void **state)
{
	struct wasm_module module = PROGRAM("");

	(void)state;
	module.memory_pages = 17;
	give.job.memory_bytes = 16 * PAGE;
	run(&module);
	expect_limit(PROTO_LIMIT_memory_bytes);
	module.memory_pages = 16;
	run(&module);
	expect_status(PROTO_STATUS_EXITED);
	assert_int_equal(got.result.peak_memory_bytes, 16 * PAGE);
}

static void
a_memory_that_is_not_exported_is_limited_too(void **state)
{
	struct wasm_module module = {
	    .types = {TYPE_NONE},
	    .functions = {{0, "main", WASM_TEXT(END)}},
	    .memory_pages = 17,
	    .exports = {{"_start", WASM_TEXT("\x00\x00")}},
	};

	(void)state;
	give.job.memory_bytes = 16 * PAGE;
	run(&module);
	expect_limit(PROTO_LIMIT_memory_bytes);
}

/* memory.grow by `pages`, a one-byte number; the exit code is what it gave. */
static void
growing_past_the_limit_gives_the_guest_minus_1(void **state)
{
	static const struct wasm_module two = PROGRAM(I32_CONST("\x02") MEMORY_GROW CALL("\x01"));
	static const struct wasm_module one = PROGRAM(I32_CONST("\x01") MEMORY_GROW CALL("\x01"));

	(void)state;
	give.job.memory_bytes = 2 * PAGE;
	run(&two);
	expect_status(PROTO_STATUS_EXITED);
	assert_int_equal(got.result.exit_code, UINT32_MAX);
	assert_int_equal(got.result.peak_memory_bytes, PAGE);
	run(&one);
	assert_int_equal(got.result.exit_code, 1);
	assert_int_equal(got.result.peak_memory_bytes, 2 * PAGE);
}

static void
a_table_larger_than_allowed_is_limit_table_elements(void **state)
{
	struct wasm_module module = PROGRAM("");

	(void)state;
	module.tables[0] = 1001;
	run(&module);
	expect_limit(PROTO_LIMIT_table_elements);
	module.tables[0] = 1000;
	run(&module);
	expect_status(PROTO_STATUS_EXITED);
}

static void
one_host_call_too_many_is_limit_host_calls(void **state)
{
	(void)state;
	give.job.host_calls = 3;
	run(&writes_for_ever);
	expect_limit(PROTO_LIMIT_host_calls);
	assert_int_equal(got.out_length[0], 18);
}

static void
output_past_its_limit_is_counted_and_cut(void **state)
{
	(void)state;
	give.job.output_bytes = 5;
	run(&hello);
	expect_status(PROTO_STATUS_EXITED);
	assert_int_equal(got.out_length[0], 5);
	assert_int_equal(got.result.stdout_bytes, 6);
}

static void
output_past_its_limit_ends_the_run_when_asked(void **state)
{
	(void)state;
	give.job.output_bytes = 8;
	give.job.flags = PROTO_JOB_OUTPUT_ENDS;
	run(&writes_for_ever);
	expect_limit(PROTO_LIMIT_output_bytes);
	assert_int_equal(got.out_length[0], 8);
}

static void
large_output_arrives_whole(void **state)
{
	(void)state;
	give.job.host_calls = 20000;
	run(&writes_for_ever);
	expect_limit(PROTO_LIMIT_host_calls);
	assert_int_equal(got.out_length[0], 20000 * 6);
	assert_int_equal(got.result.stdout_bytes, 20000 * 6);
}

/* --- modules that do not fit ----------------------------------------------------------------------------------- */

static void
a_library_is_told_what_it_is(void **state)
{
	static const struct wasm_module module = {
	    .types = {TYPE_NONE},
	    .functions = {{0, NULL, WASM_TEXT(END)}},
	    .exports = {{"_initialize", WASM_TEXT("\x00\x00")}},
	};

	(void)state;
	run(&module);
	expect_failed(PROTO_FAILURE_no_start, "reactor");
}

static void
a_module_without_start_is_told_what_is_missing(void **state)
{
	static const struct wasm_module module = {.types = {TYPE_NONE}};

	(void)state;
	run(&module);
	expect_failed(PROTO_FAILURE_no_start, "_start");
}

static void
a_start_of_another_type_is_refused(void **state)
{
	static const struct wasm_module module = {
	    .types = {TYPE_I_NONE},
	    .functions = {{0, NULL, WASM_TEXT(END)}},
	    .exports = {{"_start", WASM_TEXT("\x00\x00")}},
	};

	(void)state;
	run(&module);
	expect_failed(PROTO_FAILURE_start_type, "without parameters");
}

/* A module that imports one function of type TYPE_IIII_I. */
static void
run_with_import(const char *from, const char *name)
{
	struct wasm_module module = PROGRAM("");

	module.imports[0].module = from;
	module.imports[0].name = name;
	run(&module);
}

static void
unknown_imports_are_explained(void **state)
{
	static const struct {
		const char *module, *name, *part;
		enum proto_failure failure;
	} cases[] = {
	    {WASI, "fd_wirte", "fd_write meant", PROTO_FAILURE_unknown_import},
	    {WASI, "no_such_thing_at_all", "none of preview 1's 46", PROTO_FAILURE_unknown_import},
	    {WASI, "fd_close", "as (i32, i32, i32, i32) -> (i32), but preview 1 has (i32) -> (i32)", PROTO_FAILURE_import_type},
	    {"wasi_unstable", "fd_write", "preview 0", PROTO_FAILURE_unknown_import},
	    {"env", "my_function", "the function env.my_function", PROTO_FAILURE_unknown_import},
	    {"gojs", "runtime.wasmExit", "GOOS=wasip1", PROTO_FAILURE_unknown_import},
	    {"\x1b[31m\n", "a\xe2\x80\xae", "the function ?[31m?.a?, which", PROTO_FAILURE_unknown_import},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run_with_import(cases[i].module, cases[i].name);
		expect_failed(cases[i].failure, cases[i].part);
	}
}

static void
an_import_that_is_no_function_is_refused(void **state)
{
	struct wasm_module module = PROGRAM("");

	(void)state;
	module.imports[2].module = WASI;
	module.imports[2].name = "fd_read";
	module.imports[2].rest = (struct wasm_text)WASM_TEXT("\x03\x7f\x00"); /* a global */
	run(&module);
	expect_failed(PROTO_FAILURE_import_type, "fd_read as a global, and it is a function");
	module.imports[2].module = "env";
	module.imports[2].name = "memory";
	module.imports[2].rest = (struct wasm_text)WASM_TEXT("\x02\x00\x01");
	module.memory_pages = 0;
	run(&module);
	expect_failed(PROTO_FAILURE_unknown_import, "memory env.memory, which does not exist here: a module brings memory");
}

/* fd_write takes vectors, then references to functions of type 0: wasm.h has no name for them. */
static void
imports_of_types_without_a_name_are_refused(void **state)
{
	static const struct wasm_text types[] = {WASM_TEXT("\x60\x04\x7b\x7b\x7b\x7b\x00"),
	    WASM_TEXT("\x60\x02\x63\x00\x64\x00\x01\x63\x00")};

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct wasm_module module = PROGRAM("");

		module.types[2] = types[i];
		run(&module);
		expect_failed(PROTO_FAILURE_import_type, "fd_write as (another type, another type");
	}
}

/* The memory is exported under another name: its size is known, but WASI's calls work on "memory". */
static void
a_call_that_needs_a_memory_that_is_not_exported_ends_the_run(void **state)
{
	struct wasm_module module = PROGRAM(I32_CONST("\x01") I32_CONST("\x00") I32_CONST("\x01") I32_CONST("\x08")
	    CALL("\x00") DROP);

	(void)state;
	module.exports[0].name = "hidden";
	run(&module);
	expect_failed(PROTO_FAILURE_no_memory, "the module called fd_write");
	assert_int_equal(got.result.host_calls[WASI_CALL_fd_write], 1);
	assert_int_equal(got.result.peak_memory_bytes, 65536);
}

static void
an_artifact_of_another_configuration_is_stale(void **state)
{
	uint8_t wasm[WASM_BYTES_MAX];
	int artifact = compile(wasm, wasm_build(&hello, wasm), PROTO_ENGINE_FUEL);

	(void)state;
	run_artifact(artifact);
	close(artifact);
	expect_status(PROTO_STATUS_STALE);
	assert_true(got.result.text_length > 0);
}

static void
bytes_that_are_no_artifact_are_stale(void **state)
{
	struct err e;
	int artifact = memfd_from("artifact", "no artifact at all", 18, &e);

	(void)state;
	run_artifact(artifact);
	close(artifact);
	expect_status(PROTO_STATUS_STALE);
}

static void
a_job_for_another_engine_is_refused(void **state)
{
	struct err e;
	int artifact = memfd_from("artifact", "x", 1, &e);

	(void)state;
	give.job.engine = 2;
	run_artifact(artifact);
	close(artifact);
	assert_true(got.failed);
	assert_false(got.has_result);
	assert_non_null(strstr(got.text, "engine 2"));
}

/* --- the engine that counts ------------------------------------------------------------------------------------ */

static void
fuel_that_is_used_up_is_limit_fuel(void **state)
{
	static const struct wasm_module module = PROGRAM(LOOP BR("\x00") END);

	(void)state;
	give.job.engine = PROTO_ENGINE_FUEL;
	run(&module);
	expect_limit(PROTO_LIMIT_fuel);
	assert_true(got.result.fuel_used >= give.job.fuel);
}

static void
fuel_used_is_the_same_every_time(void **state)
{
	uint64_t first;

	(void)state;
	give.job.engine = PROTO_ENGINE_FUEL;
	run(&hello);
	expect_status(PROTO_STATUS_EXITED);
	first = got.result.fuel_used;
	assert_true(first > 0 && first < 100);
	run(&hello);
	assert_int_equal(got.result.fuel_used, first);
}

/* --- parked ---------------------------------------------------------------------------------------------------- */

static bool with_instance; /* all parked workers have one of their zygote's */

static int
set_up_loaded(void **state)
{
	set_up(state);
	give.load = true;
	give.instantiate = with_instance;
	give.job.flags = PROTO_JOB_LOADED;
	give.limits = (struct proto_park){.cpu_ms = give.job.cpu_ms, .memory_bytes = give.job.memory_bytes,
	    .table_elements = give.job.table_elements};
	give.ahead = give.limits;
	return 0;
}

static int
set_up_parked(void **state)
{
	set_up_loaded(state);
	give.park = true;
	return 0;
}

static int
set_up_instance(void **state)
{
	with_instance = true;
	return set_up_parked(state);
}

static int
tear_down_instance(void **state)
{
	(void)state;
	with_instance = false;
	return 0;
}

/* The numbers too are those of a run that was forked for its job. */
static void
a_parked_worker_runs_like_another(void **state)
{
	struct proto_result first;

	set_up(state);
	run(&hello);
	first = got.result;
	set_up_parked(state);
	run(&hello);
	assert_true(got.parked);
	expect_status(PROTO_STATUS_EXITED);
	assert_int_equal(got.out_length[0], 6);
	assert_memory_equal(got.out[0], "hello\n", 6);
	first.start_us = got.result.start_us;
	first.guest_us = got.result.guest_us;
	assert_memory_equal(&got.result, &first, sizeof(first));
}

static void
a_parked_worker_without_a_job_ends(void **state)
{
	uint8_t wasm[WASM_BYTES_MAX];
	int artifact = compile(wasm, wasm_build(&hello, wasm), PROTO_ENGINE_PLAIN);
	struct proto_shared shared = {0};
	int sv[2];

	(void)state;
	assert_int_equal(imsg_pair(sv, NULL), 0);
	shutdown(sv[0], SHUT_WR);
	if (fork() == 0)
		_exit(work(artifact, sv[1], &shared));
	wait(&got.exit_status);
	assert_int_equal(got.exit_status, 0);
	close(artifact);
	close(sv[0]);
	close(sv[1]);
}

static void
a_parked_worker_that_is_told_ends_at_the_wall_limit_with_its_output(void **state)
{
	(void)state;
	give.job.flags |= PROTO_JOB_STREAM_OUTPUT;
	give.job.host_calls = INT64_MAX;
	give.job.output_bytes = 6;
	give.alarm = true;
	run(&writes_for_ever);
	expect_limit(PROTO_LIMIT_wall_ms);
	assert_memory_equal(got.out[0], "hello\n", 6);
}

static void
a_parked_worker_ends_at_the_cpu_limit(void **state)
{
	static const struct wasm_module module = PROGRAM(LOOP BR("\x00") END);

	(void)state;
	give.limits.cpu_ms = 20;
	run(&module);
	expect_limit(PROTO_LIMIT_cpu_ms);
}

/* Whoever asked for it is wrong: no host call works, and what is not right says so once there is a job. */
static void
a_module_that_calls_when_it_is_instantiated_does_not_park(void **state)
{
	struct wasm_module module = hello;

	(void)state;
	module.start = "\x02";
	run(&module);
	assert_false(got.parked);
	assert_true(got.failed);
	assert_int_equal(got.out_length[0], 0);
	assert_int_equal(got.exit_status, 0);
}

static void
a_module_that_needs_more_than_the_limits_does_not_park(void **state)
{
	(void)state;
	give.limits.memory_bytes = PAGE - 1;
	run(&hello);
	assert_true(got.failed && !got.parked);
}

static void
a_parked_worker_takes_no_job_that_is_not_right(void **state)
{
	(void)state;
	give.job.flags = 0; /* an artifact should be with it */
	run(&hello);
	assert_true(got.parked && got.failed && !got.has_result);
	assert_int_equal(got.out_length[0], 0);
	set_up_parked(state);
	give.job.flags |= PROTO_JOB_BLOB_FD; /* a descriptor cannot come */
	run(&hello);
	assert_true(got.parked && got.failed && !got.has_result);
}

static void
a_parked_worker_has_the_fuel_of_its_job(void **state)
{
	static const struct wasm_module module = PROGRAM(LOOP BR("\x00") END);

	(void)state;
	give.job.engine = PROTO_ENGINE_FUEL;
	give.job.fuel = 1000;
	run(&module);
	expect_limit(PROTO_LIMIT_fuel);
	assert_int_equal(got.result.fuel_used, 1000);
}

/* --- instances made in the zygote ------------------------------------------------------------------------------- */

static void
a_forked_worker_runs_the_instance_of_its_zygote(void **state)
{
	struct proto_result first;

	set_up(state);
	run(&hello);
	first = got.result;
	set_up_loaded(state);
	give.instantiate = true;
	run(&hello);
	expect_status(PROTO_STATUS_EXITED);
	assert_memory_equal(got.out[0], "hello\n", 6);
	first.start_us = got.result.start_us;
	first.guest_us = got.result.guest_us;
	assert_memory_equal(&got.result, &first, sizeof(first));
}

/* What is smaller than the instance gets its own, and what it says is what it would say without. */
static void
narrower_limits_than_those_of_the_zygotes_instance_hold(void **state)
{
	static const struct wasm_module grows = PROGRAM(I32_CONST("\x02") MEMORY_GROW CALL("\x01"));

	set_up_loaded(state);
	give.instantiate = true;
	give.job.memory_bytes = PAGE - 1;
	run(&hello);
	expect_limit(PROTO_LIMIT_memory_bytes);
	set_up_loaded(state);
	give.instantiate = true;
	give.job.memory_bytes = 2 * PAGE;
	give.ahead.memory_bytes = 3 * PAGE;
	run(&grows);
	expect_status(PROTO_STATUS_EXITED);
	assert_int_equal(got.result.exit_code, UINT32_MAX);
	give.job.memory_bytes = give.ahead.memory_bytes;
	run(&grows);
	assert_int_equal(got.result.exit_code, 1);
}

/* Whoever asked for it is wrong, again: there must be no start function. */
static void
a_zygote_that_does_not_come_to_the_end_of_an_instance_ends(void **state)
{
	static const struct wasm_module module = {
	    .types = {TYPE_NONE},
	    .functions = {{0, "main", WASM_TEXT(END)}, {0, "starter", WASM_TEXT(LOOP BR("\x00") END END)}},
	    .exports = {{"_start", WASM_TEXT("\x00\x00")}},
	    .start = "\x01",
	};

	set_up_parked(state);
	give.instantiate = true;
	run(&module);
	assert_false(got.parked || got.failed || got.has_result);
	assert_int_equal(got.exit_status, EXIT_FAILURE);
}

static void
a_module_that_the_zygote_cannot_instantiate_is_left_to_its_workers(void **state)
{
	set_up_loaded(state);
	give.instantiate = true;
	give.ahead.memory_bytes = PAGE - 1;
	run(&hello);
	expect_status(PROTO_STATUS_EXITED);
	assert_memory_equal(got.out[0], "hello\n", 6);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)
#define PARKED_TEST(name)                            \
	cmocka_unit_test_setup(name, set_up_parked), \
	{#name ", of an instance that is there", name, set_up_instance, tear_down_instance, NULL}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(prints_and_exits_0),
	    TEST(gives_the_exit_code_of_proc_exit),
	    TEST(gives_exit_codes_of_32_bits),
	    TEST(a_trap_has_its_kind_and_the_functions_names),
	    TEST(a_trap_without_names_has_numbers),
	    TEST(names_of_any_length_are_cut_and_fit_to_be_shown),
	    TEST(endless_recursion_is_a_stack_overflow_with_its_innermost_frames),
	    TEST(a_load_past_the_memory_traps),
	    TEST(an_endless_loop_ends_at_the_wall_limit_with_its_output),
	    TEST(an_endless_loop_ends_at_the_cpu_limit),
	    TEST(one_long_memory_fill_ends_at_the_wall_limit),
	    TEST(a_start_function_that_does_not_end_is_limited_too),
	    TEST(a_memory_larger_than_allowed_is_limit_memory_bytes),
	    TEST(a_memory_that_is_not_exported_is_limited_too),
	    TEST(growing_past_the_limit_gives_the_guest_minus_1),
	    TEST(a_table_larger_than_allowed_is_limit_table_elements),
	    TEST(one_host_call_too_many_is_limit_host_calls),
	    TEST(output_past_its_limit_is_counted_and_cut),
	    TEST(output_past_its_limit_ends_the_run_when_asked),
	    TEST(large_output_arrives_whole),
	    TEST(a_library_is_told_what_it_is),
	    TEST(a_module_without_start_is_told_what_is_missing),
	    TEST(a_start_of_another_type_is_refused),
	    TEST(unknown_imports_are_explained),
	    TEST(an_import_that_is_no_function_is_refused),
	    TEST(imports_of_types_without_a_name_are_refused),
	    TEST(a_call_that_needs_a_memory_that_is_not_exported_ends_the_run),
	    TEST(an_artifact_of_another_configuration_is_stale),
	    TEST(bytes_that_are_no_artifact_are_stale),
	    TEST(a_job_for_another_engine_is_refused),
	    TEST(fuel_that_is_used_up_is_limit_fuel),
	    TEST(fuel_used_is_the_same_every_time),
	    TEST(a_forked_worker_runs_the_instance_of_its_zygote),
	    TEST(narrower_limits_than_those_of_the_zygotes_instance_hold),
	    TEST(a_zygote_that_does_not_come_to_the_end_of_an_instance_ends),
	    TEST(a_module_that_the_zygote_cannot_instantiate_is_left_to_its_workers),
	    PARKED_TEST(a_parked_worker_runs_like_another),
	    PARKED_TEST(a_parked_worker_without_a_job_ends),
	    PARKED_TEST(a_parked_worker_that_is_told_ends_at_the_wall_limit_with_its_output),
	    PARKED_TEST(a_parked_worker_ends_at_the_cpu_limit),
	    PARKED_TEST(a_module_that_calls_when_it_is_instantiated_does_not_park),
	    PARKED_TEST(a_module_that_needs_more_than_the_limits_does_not_park),
	    PARKED_TEST(a_parked_worker_takes_no_job_that_is_not_right),
	    PARKED_TEST(a_parked_worker_has_the_fuel_of_its_job),
	};
	struct err e;

	for (int kind = 0; kind < 2; kind++) {
		if (worker_new((enum proto_engine)kind, compiler_settings, &template[kind], &e) != 0) {
			fprintf(stderr, "worker_new: %s\n", e.msg);
			return 1;
		}
	}
	for (size_t i = 0; i < 4; i++)
		sigaction(trap_signals[i], NULL, &trap_actions[i]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
