/* Tests of brig-launcher, brig-worker and brig-compiler together: real processes in the real jail, without brigd. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/imsg.h"
#include "base/memfd.h"
#include "runtime/engine.h"
#include "runtime/trap.h"
#include "sandbox/jail.h"
#include "tests/unit/jailed.h"
#include "tests/unit/wasm_build.h"

#define RUN  5
#define WASI "wasi_snapshot_preview1"

static struct {
	pid_t pid;
	int sock;
	int zygote;
	struct proto_ready ready; /* the zygote's */
} started = {.pid = -1, .sock = -1, .zygote = -1};

/* RLIMIT_DATA of a run, above its memory_bytes. */
#define DATA_EXTRA (64 << 20)
static int64_t data_extra = DATA_EXTRA;

static struct imsg in;

/* What came back. */
static struct {
	struct proto_result result;
	struct proto_exited exited;
	bool has_result;
	char out[70000];
	size_t out_length;
	char text[2048];
} got;

/* --- harness --------------------------------------------------------------------------------------------------- */

/* The path of a program of this build: two directories up from the test. False when it was not built. */
static bool
program_path(const char *name, char path[1024])
{
	ssize_t n = readlink("/proc/self/exe", path, 900);

	assert_true(n > 0);
	path[n] = '\0';
	for (int up = 0; up < 3; up++)
		*strrchr(path, '/') = '\0';
	strcat(path, "/");
	strcat(path, name);
	return access(path, X_OK) == 0;
}

static void
receive(int sock, uint32_t type)
{
	struct err e;

	if (imsg_recv(sock, &in, &e) != 0)
		fail_msg("waiting for message %u: %s", type, e.msg);
	if (in.hdr.type == PROTO_FAILED || in.hdr.type == PROTO_SPAWN_FAILED)
		print_message("%.*s\n", (int)in.hdr.length, (const char *)in.payload);
	assert_int_equal(in.hdr.type, type);
}

static void
start_launcher(const char *launcher, const char *worker, const char *compiler)
{
	char base[24];
	struct err e;
	int sv[2];

	assert_int_equal(imsg_pair(sv, &e), 0);
	started.pid = fork();
	assert_true(started.pid >= 0);
	if (started.pid == 0) {
		if (dup2(sv[1], PROTO_SOCKET_FD) < 0)
			_exit(126);
		snprintf(base, sizeof(base), "%d", JAILED_UID_BASE);
		if (geteuid() == 0)
			execl(launcher, launcher, "--worker", worker, "--compiler", compiler, "--profile", "namespaces",
			    "--uid-base", base, (char *)NULL);
		else
			execl(launcher, launcher, "--worker", worker, "--compiler", compiler, "--profile", "namespaces",
			    (char *)NULL);
		_exit(127);
	}
	close(sv[1]);
	started.sock = sv[0];
	receive(started.sock, PROTO_READY);
}

/* Starts a zygote or compiler; returns its socket after its READY. */
static int
start_child(enum proto_kind kind, enum proto_engine engine)
{
	struct proto_spawn order = {
	    .kind = (uint32_t)kind, .engine = (uint32_t)engine, .cpu_ms = 60000, .memory_bytes = 2ull << 30};
	static uint64_t token;
	struct err e;
	int sv[2];

	assert_int_equal(imsg_pair(sv, &e), 0);
	assert_int_equal(imsg_send(started.sock, PROTO_SPAWN, ++token, &order, sizeof(order), &sv[1], 1, &e), 0);
	close(sv[1]);
	receive(sv[0], PROTO_READY);
	return sv[0];
}

/* Takes the launcher's news until the child of a SPAWN has ended; returns its wait status. */
static int
wait_for_child(void)
{
	struct proto_exited exited;

	do {
		struct err e;

		if (imsg_recv(started.sock, &in, &e) != 0)
			fail_msg("waiting for a child's end: %s", e.msg);
	} while (in.hdr.type != PROTO_CHILD_EXITED);
	memcpy(&exited, in.payload, sizeof(exited));
	return exited.wait_status;
}

/* Sends a module to a new compiler. Returns the artifact, or -1 with its words in got.text. */
static int
compile(const uint8_t *wasm, size_t length, enum proto_engine engine)
{
	struct proto_compile order = {.engine = (uint32_t)engine, .size = length};
	int sock = start_child(PROTO_KIND_COMPILER, engine);
	struct proto_ready ready;
	struct proto_compiled done;
	struct err e;
	int fds[2];
	size_t size;

	memcpy(&ready, in.payload, sizeof(ready));
	assert_true(digest_equal(&ready.engine, &started.ready.engine));
	fds[0] = memfd_from("module", wasm, length, &e);
	fds[1] = memfd_new("artifact", &e);
	assert_int_equal(imsg_send(sock, PROTO_COMPILE, 9, &order, sizeof(order), fds, 2, &e), 0);
	close(fds[0]);
	assert_int_equal(imsg_recv(sock, &in, &e), 0);
	close(sock);
	assert_int_equal(in.hdr.run, 9);
	if (in.hdr.type == PROTO_COMPILED) {
		memcpy(&done, in.payload, sizeof(done));
		assert_int_equal(memfd_check(fds[1], SIZE_MAX / 2, &size, &e), 0);
		assert_int_equal(size, done.size);
	} else {
		assert_int_equal(in.hdr.type, PROTO_FAILED);
		memcpy(got.text, in.payload, in.hdr.length);
		got.text[in.hdr.length] = '\0';
		close(fds[1]);
		fds[1] = -1;
	}
	assert_int_equal(wait_for_child(), 0);
	return fds[1];
}

static void
collect(int job_socket)
{
	struct err e;

	while (imsg_recv(job_socket, &in, &e) == 0) {
		if (in.hdr.type == PROTO_OUTPUT) {
			size_t n = in.hdr.length - sizeof(struct proto_output);

			assert_true(n <= sizeof(got.out) - got.out_length);
			memcpy(got.out + got.out_length, in.payload + sizeof(struct proto_output), n);
			got.out_length += n;
		} else if (in.hdr.type == PROTO_RESULT) {
			memcpy(&got.result, in.payload, sizeof(got.result));
			memcpy(got.text, in.payload + sizeof(got.result), got.result.text_length);
			got.has_result = true;
		} else if (in.hdr.type == PROTO_FAILED) {
			fail_msg("%.*s", (int)in.hdr.length, (const char *)in.payload);
		}
	}
}

static struct proto_job
usual_job(void)
{
	return (struct proto_job){
	    .clock = PROTO_CLOCK_REAL,
	    .random = PROTO_RANDOM_REAL,
	    .wall_ms = 10000,
	    .cpu_ms = 10000,
	    .fuel = 1u << 30,
	    .memory_bytes = 64 << 20,
	    .output_bytes = 1 << 20,
	    .host_calls = 1000000,
	    .table_elements = 10000,
	};
}

/* One run of an artifact in a new worker of the zygote. */
static void
run_job(int artifact, const struct proto_job *job, const void *blob, size_t blob_length)
{
	struct proto_run order = {
	    .wall_ms = job->wall_ms,
	    .cpu_ms = job->cpu_ms,
	    .data_bytes = (uint64_t)((int64_t)job->memory_bytes + data_extra),
	};
	static uint8_t message[8192];
	struct err e;
	int sv[2];

	memset(&got, 0, sizeof(got));
	assert_int_equal(imsg_pair(sv, &e), 0);
	assert_int_equal(imsg_send(started.zygote, PROTO_RUN, RUN, &order, sizeof(order), &sv[1], 1, &e), 0);
	close(sv[1]);
	memcpy(message, job, sizeof(*job));
	if (blob_length > 0)
		memcpy(message + sizeof(*job), blob, blob_length);
	assert_int_equal(imsg_send(sv[0], PROTO_JOB, RUN, message, sizeof(*job) + blob_length, &artifact, 1, &e), 0);
	collect(sv[0]);
	close(sv[0]);
	receive(started.zygote, PROTO_RUN_EXITED);
	memcpy(&got.exited, in.payload, sizeof(got.exited));
}

/* Compiles and runs; asserts that the worker was not killed, by the filter or anybody. */
static void
run_module(const struct wasm_module *module, const struct proto_job *job)
{
	uint8_t wasm[WASM_BYTES_MAX];
	int artifact = compile(wasm, wasm_build(module, wasm), PROTO_ENGINE_PLAIN);

	assert_true(artifact >= 0);
	run_job(artifact, job, NULL, 0);
	close(artifact);
	if (got.exited.wait_status != 0)
		print_message("worker: wait status 0x%x in phase %u, killed %u\n", got.exited.wait_status, got.exited.phase,
		    got.exited.killed);
	assert_int_equal(got.exited.wait_status, 0);
	assert_true(got.has_result);
	if (got.result.status == PROTO_STATUS_FAILED || got.result.status == PROTO_STATUS_STALE)
		fail_msg("%s", got.text);
}

static int
stop(void **state)
{
	int status;

	(void)state;
	if (started.pid < 0)
		return 0;
	close(started.zygote);
	close(started.sock);
	assert_int_equal(waitpid(started.pid, &status, 0), started.pid);
	started.pid = -1;
	return status; /* the launcher ended by itself, and well */
}

static bool
start(void)
{
	char launcher[1024], worker[1024], compiler[1024];

	if (started.pid >= 0)
		return true;
#if defined(__SANITIZE_ADDRESS__)
	return false; /* a sanitizer's shadow memory does not fit in the jail */
#endif
	if (!program_path("brig-launcher", launcher) || !program_path("brig-worker", worker) ||
	    !program_path("brig-compiler", compiler))
		return false;
	start_launcher(launcher, worker, compiler);
	started.zygote = start_child(PROTO_KIND_ZYGOTE, PROTO_ENGINE_PLAIN);
	memcpy(&started.ready, in.payload, sizeof(started.ready));
	return true;
}

#define START_OR_SKIP()                                                                \
	do {                                                                           \
		if (!start()) {                                                        \
			print_message("skipped: there are no programs here that run in the jail\n"); \
			skip();                                                        \
		}                                                                      \
	} while (0)

/* --- modules --------------------------------------------------------------------------------------------------- */

static const struct wasm_module hello = {
    .types = {TYPE_NONE, TYPE_I_NONE, TYPE_IIII_I},
    .imports = {{WASI, "fd_write", WASM_TEXT("\x00\x02")}},
    .functions = {{0, "main", WASM_TEXT(I32_CONST("\x01") I32_CONST("\x00") I32_CONST("\x01") I32_CONST("\x08")
        CALL("\x00") DROP END)}},
    .memory_pages = 1,
    .exports = {{"memory", WASM_TEXT("\x02\x00")}, {"_start", WASM_TEXT("\x00\x01")}},
    .data = {{0, WASM_TEXT("\x10\0\0\0\x06\0\0\0")}, {16, WASM_TEXT("hello\n")}},
};

#define BARE(instructions)                                                                     \
	{                                                                                      \
		.types = {TYPE_NONE},                                                          \
		.functions = {{0, "main", WASM_TEXT(instructions END)}},                       \
		.memory_pages = 1,                                                             \
		.exports = {{"memory", WASM_TEXT("\x02\x00")}, {"_start", WASM_TEXT("\x00\x00")}}, \
	}

/* --- tests ----------------------------------------------------------------------------------------------------- */

static void
a_zygote_is_ready_under_every_required_layer(void **state)
{
	uint32_t required = jail_required(JAIL_PROFILE_NAMESPACES);

	(void)state;
	START_OR_SKIP();
	assert_int_equal(started.ready.layers & required, required);
	assert_int_equal(started.ready.child_layers & required, required);
}

static void
hello_is_printed_from_inside_the_jail(void **state)
{
	struct proto_job job = usual_job();

	(void)state;
	START_OR_SKIP();
	run_module(&hello, &job);
	assert_int_equal(got.result.status, PROTO_STATUS_EXITED);
	assert_int_equal(got.out_length, 6);
	assert_memory_equal(got.out, "hello\n", 6);
	assert_int_equal(got.exited.phase, PROTO_PHASE_DONE);
}

static void
traps_are_found_under_the_workers_filter(void **state)
{
	static const struct wasm_module load = BARE(I32_CONST("\x80\x80\x04") I32_LOAD DROP);
	static const struct wasm_module again = BARE(CALL("\x00"));
	struct proto_job job = usual_job();

	(void)state;
	START_OR_SKIP();
	run_module(&load, &job);
	assert_int_equal(got.result.trap, RUNTIME_TRAP_memory_out_of_bounds);
	run_module(&again, &job);
	assert_int_equal(got.result.trap, RUNTIME_TRAP_stack_overflow);
}

static void
a_loop_ends_at_its_limit_by_itself(void **state)
{
	static const struct wasm_module loop = BARE(LOOP BR("\x00") END);
	struct proto_job job = usual_job();

	(void)state;
	START_OR_SKIP();
	job.cpu_ms = 30;
	run_module(&loop, &job);
	assert_int_equal(got.result.status, PROTO_STATUS_LIMIT);
	assert_int_equal(got.result.limit, PROTO_LIMIT_cpu_ms);
}

static void
memory_grows_to_its_limit_and_no_further(void **state)
{
	/* grow by 1023 pages to 64 MiB, fill them all, grow by one more, which is refused */
	static const struct wasm_module grow = BARE(I32_CONST("\xff\x07") MEMORY_GROW DROP I32_CONST("\x00") I32_CONST("\x01")
	    I32_CONST("\x80\x80\x80\x20") MEMORY_FILL I32_CONST("\x01") MEMORY_GROW DROP);
	struct proto_job job = usual_job();

	(void)state;
	START_OR_SKIP();
	run_module(&grow, &job);
	assert_int_equal(got.result.status, PROTO_STATUS_EXITED);
	assert_int_equal(got.result.peak_memory_bytes, 64 << 20);
}

static void
memory_that_the_kernel_refuses_is_limit_memory_bytes(void **state)
{
	static const struct wasm_module large = {
	    .types = {TYPE_NONE},
	    .functions = {{0, "main", WASM_TEXT(END)}},
	    .memory_pages = 1024,
	    .exports = {{"_start", WASM_TEXT("\x00\x00")}},
	};
	struct proto_job job = usual_job();

	(void)state;
	START_OR_SKIP();
	data_extra = -(32 << 20);
	run_module(&large, &job);
	data_extra = DATA_EXTRA;
	assert_int_equal(got.result.status, PROTO_STATUS_LIMIT);
	assert_int_equal(got.result.limit, PROTO_LIMIT_memory_bytes);
}

static void
one_long_instruction_ends_at_the_wall_limit(void **state)
{
	/* memory.grow to 512 MiB; memory.fill of all of it, again and again */
	static const struct wasm_module fill = BARE(I32_CONST("\xff\x3f") MEMORY_GROW DROP LOOP I32_CONST("\x00")
	    I32_CONST("\x01") I32_CONST("\x80\x80\x80\x80\x02") MEMORY_FILL BR("\x00") END);
	struct proto_job job = usual_job();

	(void)state;
	START_OR_SKIP();
	job.wall_ms = 50;
	job.memory_bytes = 512 << 20;
	run_module(&fill, &job);
	assert_int_equal(got.result.status, PROTO_STATUS_LIMIT);
	assert_int_equal(got.result.limit, PROTO_LIMIT_wall_ms);
}

static void
an_invalid_module_is_refused_in_the_compilers_words(void **state)
{
	static const uint8_t cut[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 1, 200};
	static const uint8_t other[] = {0, 'a', 's', 'm', 9, 0, 0, 0};

	(void)state;
	START_OR_SKIP();
	assert_int_equal(compile(cut, sizeof(cut), PROTO_ENGINE_PLAIN), -1);
	assert_non_null(strstr(got.text, "offset"));
	assert_null(strchr(got.text, '\n'));
	assert_int_equal(compile(other, sizeof(other), PROTO_ENGINE_PLAIN), -1);
	assert_non_null(strstr(got.text, "version"));
	assert_int_equal(compile(NULL, 0, PROTO_ENGINE_PLAIN), -1);
}

static void
many_runs_share_one_zygote(void **state)
{
	uint8_t wasm[WASM_BYTES_MAX];
	struct proto_job job = usual_job();
	int artifact;

	(void)state;
	START_OR_SKIP();
	artifact = compile(wasm, wasm_build(&hello, wasm), PROTO_ENGINE_PLAIN);
	for (int i = 0; i < 50; i++) {
		run_job(artifact, &job, NULL, 0);
		assert_int_equal(got.exited.wait_status, 0);
		assert_int_equal(got.result.status, PROTO_STATUS_EXITED);
		assert_int_equal(got.out_length, 6);
	}
	close(artifact);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_zygote_is_ready_under_every_required_layer),
	    cmocka_unit_test(hello_is_printed_from_inside_the_jail),
	    cmocka_unit_test(traps_are_found_under_the_workers_filter),
	    cmocka_unit_test(a_loop_ends_at_its_limit_by_itself),
	    cmocka_unit_test(memory_grows_to_its_limit_and_no_further),
	    cmocka_unit_test(memory_that_the_kernel_refuses_is_limit_memory_bytes),
	    cmocka_unit_test(one_long_instruction_ends_at_the_wall_limit),
	    cmocka_unit_test(an_invalid_module_is_refused_in_the_compilers_words),
	    cmocka_unit_test(many_runs_share_one_zygote),
	};

	return cmocka_run_group_tests(tests, NULL, stop);
}
