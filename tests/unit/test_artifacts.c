/* Unit tests of broker/artifacts, child and service_client: the test plays launcher, compiler and store. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/memfd.h"
#include "base/proto.h"
#include "broker/artifacts.h"
#include "broker/jsonrpc.h"

struct answer {
	unsigned count;
	bool found, compiled;
	size_t size;
	bool hold;                  /* set before: keep the file */
	struct artifact_file *file;
	enum rpc_error error;
};

struct fixture {
	struct event_base *base;
	struct launcher *launcher;
	struct service_client *store;
	struct artifacts *artifacts;
	int launcher_end, store_end; /* ours */
	int module;
	int compiler;                /* our end of the compiler's socket; -1 while there is none */
	uint64_t compiler_token, cpu_us;
	uint64_t compiler_ms;        /* what it was given */
	uint32_t nice;               /* the same */
	struct artifact_asker asker;
	int fds_before;
	struct digest digest;
	struct imsg m;
};

static int
open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void
on_ready(void *arg)
{
	(void)arg;
}

static void
on_lost(void *arg, const struct err *why)
{
	(void)arg;
	fail_msg("%s", why->msg);
}

static int
set_up(void **state)
{
	static const struct artifacts_limits limits = {.cache_bytes = 1000, .cache_entries = 2, .compilers = 1,
	    .compile_ms = 60000, .compile_memory_bytes = 1, .artifact_bytes = 500, .failures = 2};
	static struct fixture f;
	int a[2], b[2];

	memset(&f, 0, sizeof(f));
	f.base = event_base_new();
	f.fds_before = open_descriptors();
	if (imsg_pair(a, NULL) != 0 || imsg_pair(b, NULL) != 0)
		return -1;
	f.launcher_end = a[1];
	f.store_end = b[1];
	fcntl(f.launcher_end, F_SETFL, O_NONBLOCK);
	fcntl(f.store_end, F_SETFL, O_NONBLOCK);
	f.launcher = child_launcher_new(f.base, a[0], 600, on_lost, &f);
	f.store = service_client_new(f.base, b[0], "store", 600, on_ready, on_lost, &f);
	f.artifacts = artifacts_new(f.base, f.store, f.launcher, &limits);
	f.module = memfd_from("module", "wasm", 4, NULL);
	f.compiler = -1;
	f.digest.bytes[0] = 1;
	f.asker.owner = 1000;
	*state = &f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	int left;

	child_launcher_free(f->launcher);
	service_client_free(f->store);
	artifacts_free(f->artifacts);
	close(f->launcher_end);
	close(f->store_end);
	close(f->module);
	if (f->compiler >= 0)
		close(f->compiler);
	left = open_descriptors();
	event_base_free(f->base);
	return left == f->fds_before ? 0 : -1;
}

static void
turn(struct fixture *f)
{
	for (int i = 0; i < 4; i++)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static void
on_answer(void *arg, const struct artifact *a, enum rpc_error error, const struct err *why)
{
	struct answer *answer = arg;

	answer->count++;
	answer->found = a != NULL;
	answer->error = error;
	if (a != NULL) {
		answer->compiled = a->compiled;
		assert_int_equal(memfd_check(a->file->fd, 100, &answer->size, NULL), 0);
		answer->file = a->file;
		if (answer->hold)
			artifact_hold(a->file);
	} else {
		assert_non_null(why);
	}
}

static struct artifact_wait *
get(struct fixture *f, struct answer *answer)
{
	struct artifact_wait *w;

	artifact_get(f->artifacts, &f->asker, &f->digest, PROTO_ENGINE_PLAIN, f->module, 4, on_answer, answer, &w);
	turn(f);
	return w;
}

/* What has been sent to one of our ends; its descriptors are in f->m. */
static void
expect(struct fixture *f, int sock, uint32_t type)
{
	assert_int_equal(imsg_recv(sock, &f->m, NULL), 0);
	assert_int_equal(f->m.hdr.type, type);
}

static void
expect_nothing(struct fixture *f, int sock)
{
	assert_int_equal(imsg_recv(sock, &f->m, NULL), ERR_AGAIN);
}

/* The store is asked, and has it or has not. */
static void
store_answers(struct fixture *f, int fd)
{
	struct proto_store_done done = {.code = fd < 0 ? ERR_NOTFOUND : 0};

	expect(f, f->store_end, PROTO_STORE_GET);
	imsg_send(f->store_end, fd < 0 ? PROTO_STORE_FAILED : PROTO_STORE_DATA, f->m.hdr.run, &done, sizeof(done), &fd,
	    fd < 0 ? 0 : 1, NULL);
	turn(f);
}

static void
compiler_is_asked_for(struct fixture *f)
{
	struct proto_spawn spawn;

	expect(f, f->launcher_end, PROTO_SPAWN);
	f->compiler_token = f->m.hdr.run;
	memcpy(&spawn, f->m.payload, sizeof(spawn));
	f->compiler_ms = spawn.cpu_ms;
	f->nice = spawn.nice;
	f->compiler = imsg_take_fd(&f->m, 0);
	assert_true(f->compiler >= 0);
	fcntl(f->compiler, F_SETFL, O_NONBLOCK);
}

static void
compiler_starts(struct fixture *f)
{
	const struct proto_spawned spawned = {.pid = 7};

	compiler_is_asked_for(f);
	imsg_send(f->launcher_end, PROTO_SPAWNED, f->compiler_token, &spawned, sizeof(spawned), NULL, 0, NULL);
}

static void
compiler_exits(struct fixture *f, int wait_status)
{
	struct proto_exited exited = {.wait_status = wait_status, .user_us = f->cpu_us};

	close(f->compiler);
	f->compiler = -1;
	turn(f);
	while (imsg_recv(f->launcher_end, &f->m, NULL) == 0)
		assert_int_equal(f->m.hdr.type, PROTO_KILL); /* of what is dead already, perhaps */
	imsg_send(f->launcher_end, PROTO_CHILD_EXITED, f->compiler_token, &exited, sizeof(exited), NULL, 0, NULL);
	turn(f);
}

static void
compile(struct fixture *f, const char *artifact, bool sealed)
{
	struct proto_compiled compiled = {.size = strlen(artifact), .compile_us = 7};

	expect(f, f->compiler, PROTO_COMPILE);
	assert_int_equal(f->m.nfds, 2);
	assert_int_equal(write(f->m.fds[1], artifact, strlen(artifact)), strlen(artifact));
	if (sealed)
		assert_int_equal(memfd_seal(f->m.fds[1], NULL), 0);
	imsg_close_fds(&f->m);
	imsg_send(f->compiler, PROTO_COMPILED, 0, &compiled, sizeof(compiled), NULL, 0, NULL);
	compiler_exits(f, 0);
}

static void
stored_artifact_is_taken(void **state)
{
	struct fixture *f = *state;
	static struct answer first = {0}, second = {0};
	int fd = memfd_from("artifact", "code", 4, NULL);

	assert_non_null(get(f, &first));
	store_answers(f, fd);
	close(fd);
	assert_true(first.count == 1 && first.found && !first.compiled && first.size == 4);
	assert_null(get(f, &second)); /* at once */
	assert_true(second.count == 1 && second.found);
	expect_nothing(f, f->store_end);
	expect_nothing(f, f->launcher_end);
}

static void
one_descriptor_serves_all_who_hold_it(void **state)
{
	struct fixture *f = *state;
	static struct answer first = {.hold = true}, second = {.hold = true};
	int fd = memfd_from("artifact", "code", 4, NULL), before;

	get(f, &first);
	store_answers(f, fd);
	close(fd);
	before = open_descriptors();
	get(f, &second);
	assert_ptr_equal(first.file, second.file);
	assert_int_equal(open_descriptors(), before);
	artifact_drop(f->artifacts, &f->digest, PROTO_ENGINE_PLAIN);
	expect(f, f->store_end, PROTO_STORE_REMOVE);
	artifact_release(first.file);
	assert_int_equal(memfd_check(second.file->fd, 4, &first.size, NULL), 0); /* the cache has forgotten it, we have not */
	artifact_release(second.file); /* tear_down counts descriptors */
}

static void
compiles_once_for_all_who_wait(void **state)
{
	struct fixture *f = *state;
	static struct answer first = {0}, second = {0};

	get(f, &first);
	store_answers(f, -1);
	get(f, &second);
	compiler_starts(f);
	compile(f, "machine code", true);
	assert_true(first.count == 1 && first.found && first.compiled && first.size == 12);
	assert_true(second.count == 1 && second.found && second.compiled);
	expect(f, f->store_end, PROTO_STORE_PUT);
	assert_int_equal(f->m.nfds, 1);
	imsg_close_fds(&f->m);
	expect_nothing(f, f->launcher_end);
}

static void
damaged_store_means_compiling(void **state)
{
	struct fixture *f = *state;
	static struct answer answer = {0};
	int unsealed = memfd_new("artifact", NULL);

	get(f, &answer);
	store_answers(f, unsealed);
	close(unsealed);
	assert_int_equal(answer.count, 0);
	compiler_starts(f);
	compile(f, "machine code", true);
	assert_true(answer.found);
	expect(f, f->store_end, PROTO_STORE_PUT);
	imsg_close_fds(&f->m);
}

static void
module_that_does_not_compile_is_remembered(void **state)
{
	struct fixture *f = *state;
	static struct answer first = {0}, second = {0};

	get(f, &first);
	store_answers(f, -1);
	compiler_starts(f);
	expect(f, f->compiler, PROTO_COMPILE);
	imsg_close_fds(&f->m);
	imsg_send(f->compiler, PROTO_FAILED, 0, "bad opcode", 10, NULL, 0, NULL);
	compiler_exits(f, 0);
	assert_true(first.count == 1 && !first.found && first.error == RPC_module_invalid);
	assert_null(get(f, &second));
	assert_true(second.count == 1 && second.error == RPC_module_invalid);
}

static void
compiler_that_runs_out_of_memory_or_time_is_the_modules_fault(void **state)
{
	static const int signals[] = {SIGABRT, SIGSEGV, SIGILL, SIGTRAP, SIGKILL};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct answer answer = {0};

		f->digest.bytes[1] = (uint8_t)i;
		get(f, &answer);
		store_answers(f, -1);
		compiler_starts(f);
		f->cpu_us = signals[i] == SIGKILL ? 60000000 : 0; /* by the kernel, at the end of its time */
		compiler_exits(f, signals[i]);
		if (answer.count != 1 || answer.error != RPC_compile_limit)
			fail_msg("signal %d: %u answers, %s", signals[i], answer.count, rpc_error_name(answer.error));
	}
}

/* The kill that ends a misbehaving compiler must not be taken for a lack of memory, and stick to the module. */
static void
compiler_that_breaks_the_protocol_is_not_the_modules_fault(void **state)
{
	struct fixture *f = *state;
	static struct answer first = {0}, second = {0};

	get(f, &first);
	store_answers(f, -1);
	compiler_starts(f);
	imsg_send(f->compiler, PROTO_JOB, 0, NULL, 0, NULL, 0, NULL);
	turn(f);
	expect(f, f->launcher_end, PROTO_KILL);
	compiler_exits(f, SIGKILL);
	assert_true(first.count == 1 && first.error == RPC_internal_error);
	assert_non_null(get(f, &second)); /* tried anew */
	store_answers(f, -1);
	compiler_starts(f);
}

static void
compiler_that_somebody_kills_is_not_the_modules_fault(void **state)
{
	struct fixture *f = *state;
	static struct answer first = {0}, second = {0};

	get(f, &first);
	store_answers(f, -1);
	compiler_starts(f);
	compiler_exits(f, SIGKILL);
	assert_true(first.count == 1 && first.error == RPC_internal_error);
	assert_non_null(get(f, &second)); /* tried anew */
	store_answers(f, -1);
	compiler_starts(f);
}

/* Its own jail failed, say. It says so by PROTO_FAILED too, and exits with an error. */
static void
compiler_that_cannot_work_is_not_the_modules_fault(void **state)
{
	struct fixture *f = *state;
	static struct answer first = {0}, second = {0};

	get(f, &first);
	store_answers(f, -1);
	compiler_starts(f);
	imsg_send(f->compiler, PROTO_FAILED, 0, "no memory", 9, NULL, 0, NULL);
	compiler_exits(f, 1 << 8);
	assert_true(first.count == 1 && first.error == RPC_internal_error);
	assert_non_null(get(f, &second)); /* tried anew */
	store_answers(f, -1);
	compiler_starts(f);
}

/* One attempt that is given up after `ms` of processor time. */
static void
attempt_given_up(struct fixture *f, uint64_t ms)
{
	static struct answer answer;
	struct artifact_wait *w = get(f, &answer);

	assert_non_null(w);
	store_answers(f, -1);
	compiler_starts(f);
	f->cpu_us = ms * 1000;
	artifact_cancel(w);
	turn(f);
	compiler_exits(f, SIGKILL);
	assert_int_equal(answer.count, 0);
}

static void
attempts_that_are_given_up_share_the_time_of_one(void **state)
{
	struct fixture *f = *state;
	struct answer last = {0}, once_more = {0};
	struct artifact_wait *w;

	artifacts_free(f->artifacts);
	f->artifacts = artifacts_new(f->base, f->store, f->launcher,
	    &(struct artifacts_limits){.compilers = 1, .compile_ms = 1000, .artifact_bytes = 500, .failures = 2});
	attempt_given_up(f, 10);
	assert_int_equal(f->compiler_ms, 1000);
	w = get(f, &last); /* asked for, and given up before it has begun: that changes nothing */
	artifact_cancel(w);
	store_answers(f, -1);
	attempt_given_up(f, 990);
	assert_int_equal(f->compiler_ms, 990);
	get(f, &last);
	store_answers(f, -1);
	expect_nothing(f, f->launcher_end);
	assert_true(last.count == 1 && last.error == RPC_compile_limit);
	assert_null(get(f, &once_more)); /* remembered */
	assert_true(once_more.count == 1 && once_more.error == RPC_compile_limit);
	expect_nothing(f, f->store_end);
}

/* With room for two: of 0, 30, 2 and 3 us, the second and the last stay. */
static void
what_cost_most_is_remembered_longest(void **state)
{
	struct fixture *f = *state;
	static struct answer answer = {0}; /* tear_down still tells it */

	for (uint8_t i = 0; i < 4; i++) {
		f->digest.bytes[1] = i;
		get(f, &answer);
		store_answers(f, -1);
		compiler_starts(f);
		f->cpu_us = i == 1 ? 30 : i;
		imsg_send(f->compiler, PROTO_FAILED, 0, "bad", 3, NULL, 0, NULL);
		compiler_exits(f, 0);
	}
	assert_int_equal(answer.count, 4);
	f->digest.bytes[1] = 1;
	assert_null(get(f, &answer));
	f->digest.bytes[1] = 3;
	assert_null(get(f, &answer));
	f->digest.bytes[1] = 2;
	assert_non_null(get(f, &answer));
	store_answers(f, -1);
	compiler_starts(f);
}

static void
unsealed_or_too_large_artifact_is_refused(void **state)
{
	struct fixture *f = *state;
	static struct answer first = {0}, second = {0};
	char large[502];

	get(f, &first);
	store_answers(f, -1);
	compiler_starts(f);
	compile(f, "machine code", false);
	assert_true(first.count == 1 && first.error == RPC_internal_error);
	memset(large, 'x', sizeof(large));
	large[501] = '\0';
	get(f, &second);
	store_answers(f, -1);
	compiler_starts(f);
	compile(f, large, true);
	assert_true(second.count == 1 && second.error == RPC_internal_error);
	expect_nothing(f, f->store_end);
}

static void
compilation_that_nobody_waits_for_is_ended(void **state)
{
	struct fixture *f = *state;
	static struct answer first = {0}, second = {0};
	struct artifact_wait *w = get(f, &first);

	store_answers(f, -1);
	compiler_starts(f);
	artifact_cancel(w);
	turn(f);
	expect(f, f->launcher_end, PROTO_KILL);
	get(f, &second); /* someone comes after all, before it has died */
	compiler_exits(f, SIGKILL);
	assert_int_equal(first.count, 0);
	assert_int_equal(second.count, 0);
}

static void
queued_compilation_that_nobody_waits_for_is_dropped(void **state)
{
	struct fixture *f = *state;
	static struct answer first = {0}, second = {0};
	struct artifact_wait *w;

	get(f, &first);
	store_answers(f, -1);
	compiler_starts(f);
	f->digest.bytes[1] = 1;
	w = get(f, &second);
	store_answers(f, -1);
	assert_int_equal(artifacts_compiling(f->artifacts), 2);
	artifact_cancel(w);
	assert_int_equal(artifacts_compiling(f->artifacts), 1);
	compile(f, "machine code", true);
	expect_nothing(f, f->launcher_end);
	assert_true(first.found);
	assert_int_equal(second.count, 0);
	expect(f, f->store_end, PROTO_STORE_PUT);
	imsg_close_fds(&f->m);
}

static void
cancelled_while_the_store_is_asked(void **state)
{
	struct fixture *f = *state;
	static struct answer answer = {0};

	artifact_cancel(get(f, &answer));
	store_answers(f, -1);
	assert_int_equal(answer.count, 0);
	expect_nothing(f, f->launcher_end);
}

static void
launcher_that_cannot_start_one_is_told(void **state)
{
	struct fixture *f = *state;
	static struct answer answer = {0};

	get(f, &answer);
	store_answers(f, -1);
	compiler_is_asked_for(f);
	imsg_send(f->launcher_end, PROTO_SPAWN_FAILED, f->compiler_token, "no room", 7, NULL, 0, NULL);
	turn(f);
	assert_true(answer.count == 1 && answer.error == RPC_internal_error);
}

static void
dropped_artifact_is_looked_for_anew(void **state)
{
	struct fixture *f = *state;
	static struct answer first = {0}, second = {0};
	int fd = memfd_from("artifact", "code", 4, NULL);

	get(f, &first);
	store_answers(f, fd);
	close(fd);
	artifact_drop(f->artifacts, &f->digest, PROTO_ENGINE_PLAIN);
	assert_non_null(get(f, &second));
	expect(f, f->store_end, PROTO_STORE_REMOVE); /* before it is asked again */
	assert_int_equal(imsg_send(f->store_end, PROTO_STORE_DONE, f->m.hdr.run, &(struct proto_store_done){0},
	    sizeof(struct proto_store_done), NULL, 0, NULL), 0);
	store_answers(f, -1);
	compiler_starts(f);
}

/* --- turns ------------------------------------------------------------------------------------------------------ */

static void
new_limits(struct fixture *f, unsigned compilers, uint64_t compile_ms)
{
	const struct artifacts_limits limits = {.cache_bytes = 1000, .cache_entries = 9, .compilers = compilers,
	    .compile_ms = compile_ms, .artifact_bytes = 500, .failures = 9};

	artifacts_free(f->artifacts);
	f->artifacts = artifacts_new(f->base, f->store, f->launcher, &limits);
}

/* Asks for module number `module`, which the store does not have. */
static struct artifact_wait *
ask(struct fixture *f, uint8_t module, uid_t owner, bool ahead, struct answer *answer)
{
	struct artifact_wait *w;

	f->digest.bytes[1] = module;
	f->asker = (struct artifact_asker){owner, ahead};
	w = get(f, answer);
	assert_non_null(w);
	store_answers(f, -1);
	return w;
}

static void
store_keeps_it(struct fixture *f)
{
	const struct proto_store_done done = {0};

	expect(f, f->store_end, PROTO_STORE_PUT);
	imsg_close_fds(&f->m);
	imsg_send(f->store_end, PROTO_STORE_DONE, f->m.hdr.run, &done, sizeof(done), NULL, 0, NULL);
	turn(f);
}

static void
one_owner_does_not_get_all_compilers(void **state)
{
	struct fixture *f = *state;
	static struct answer own[2], other;
	int first;

	memset(own, 0, sizeof(own));
	new_limits(f, 2, 60000);
	ask(f, 0, 1000, false, &own[0]);
	compiler_starts(f);
	first = f->compiler;
	ask(f, 1, 1000, false, &own[1]);
	expect_nothing(f, f->launcher_end);
	ask(f, 2, 2000, false, &other);
	compiler_starts(f);
	assert_int_equal(artifacts_compiling(f->artifacts), 3);
	compile(f, "machine code", true);
	assert_true(other.count == 1 && other.found && own[0].count == 0);
	expect_nothing(f, f->launcher_end);
	store_keeps_it(f);
	close(first);
}

static void
held_back_there_is_one_compiler_and_none_ahead(void **state)
{
	struct fixture *f = *state;
	static struct answer first, second, ahead;
	int compiler;

	new_limits(f, 2, 60000);
	artifacts_hold_back(f->artifacts, true);
	ask(f, 0, 3000, true, &ahead);
	expect_nothing(f, f->launcher_end);
	ask(f, 1, 1000, false, &first);
	compiler_starts(f);
	ask(f, 2, 2000, false, &second);
	expect_nothing(f, f->launcher_end);
	compile(f, "machine code", true);
	store_keeps_it(f);
	compiler_starts(f);
	compile(f, "machine code", true);
	store_keeps_it(f);
	assert_true(first.count == 1 && second.count == 1 && ahead.count == 0);
	expect_nothing(f, f->launcher_end);
	artifacts_hold_back(f->artifacts, false);
	turn(f);
	compiler_starts(f);
	compiler = f->compiler;
	ask(f, 3, 1000, false, &first);
	compiler_starts(f);
	close(compiler);
}

static void
of_all_who_ask_for_a_module_the_first_turn_counts(void **state)
{
	struct fixture *f = *state;
	static struct answer first, own[3], other;
	struct artifact_wait *w;

	memset(own, 0, sizeof(own));
	ask(f, 0, 1000, false, &first);
	compiler_starts(f);
	for (uint8_t i = 0; i < 3; i++)
		ask(f, 1 + i, 1000, false, &own[i]);
	f->asker.owner = 2000;
	w = get(f, &other); /* the last of the first owner's */
	assert_non_null(w);
	assert_int_equal(artifacts_compiling(f->artifacts), 4);
	compile(f, "machine code", true);
	store_keeps_it(f);
	compiler_starts(f); /* the first owner's turn comes again: they were first in the queue */
	compile(f, "machine code", true);
	store_keeps_it(f);
	assert_true(own[0].count == 1 && other.count == 0);
	compiler_starts(f);
	compile(f, "machine code", true);
	store_keeps_it(f);
	assert_true(own[1].count == 0 && own[2].count == 1 && other.count == 1);
	compiler_starts(f);
	compile(f, "machine code", true);
	store_keeps_it(f);
	assert_true(own[1].count == 1);
}

static void
what_is_asked_for_ahead_comes_last_and_yields(void **state)
{
	struct fixture *f = *state;
	static struct answer first, ahead, later;
	int compiler;
	uint64_t token;

	ask(f, 0, 1000, false, &first);
	compiler_starts(f);
	assert_int_equal(f->nice, 0);
	ask(f, 1, 1000, true, &ahead);
	expect_nothing(f, f->launcher_end);
	compile(f, "machine code", true);
	store_keeps_it(f);
	compiler_starts(f);
	assert_int_equal(f->nice, ARTIFACT_AHEAD_NICE);
	compiler = f->compiler;
	token = f->compiler_token;
	ask(f, 2, 1000, false, &later); /* does not wait for the one ahead */
	compiler_starts(f);
	assert_int_equal(f->nice, 0);
	compile(f, "machine code", true);
	store_keeps_it(f);
	assert_true(later.count == 1 && ahead.count == 0);
	f->compiler = compiler;
	f->compiler_token = token;
	compile(f, "machine code", true);
	store_keeps_it(f);
	assert_int_equal(ahead.count, 1);
}

static void
who_comes_for_what_waits_ahead_takes_its_turn(void **state)
{
	struct fixture *f = *state;
	static struct answer first, ahead, later;
	struct artifact_wait *w;

	ask(f, 0, 1000, false, &first);
	compiler_starts(f);
	w = ask(f, 1, 1000, true, &ahead);
	f->asker.ahead = false;
	assert_non_null(get(f, &later));
	artifact_cancel(w);
	compile(f, "machine code", true);
	store_keeps_it(f);
	compiler_starts(f);
	assert_int_equal(f->nice, 0);
	compile(f, "machine code", true);
	store_keeps_it(f);
	assert_true(later.count == 1 && later.found && ahead.count == 0);
}

/* Until the compiler is to be killed, whose time is over. */
static void
time_is_over(struct fixture *f)
{
	while (imsg_recv(f->launcher_end, &f->m, NULL) == ERR_AGAIN)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(f->m.hdr.type, PROTO_KILL);
	compiler_exits(f, SIGKILL);
}

static void
attempt_ahead_that_gets_no_processor_is_no_verdict(void **state)
{
	struct fixture *f = *state;
	static struct answer ahead, again, run;

	new_limits(f, 1, 100);
	ask(f, 1, 1000, true, &ahead);
	compiler_starts(f);
	time_is_over(f);
	assert_true(ahead.count == 1 && !ahead.found);
	ask(f, 1, 1000, true, &again); /* tried anew */
	compiler_starts(f);
	f->asker.ahead = false;
	assert_non_null(get(f, &run));
	time_is_over(f);
	compiler_starts(f); /* once more, for the run that came */
	assert_int_equal(f->nice, 0);
	time_is_over(f);
	assert_true(run.count == 1 && run.error == RPC_compile_limit);
	assert_int_equal(again.count, 1);
	assert_null(get(f, &run)); /* remembered */
}

static void
progress_tells_phase_and_what_is_expected(void **state)
{
	struct fixture *f = *state;
	static struct answer first, second;
	struct artifact_progress p;
	struct artifact_wait *w[2];

	w[0] = ask(f, 0, 1000, false, &first);
	compiler_starts(f);
	w[1] = ask(f, 1, 1000, false, &second);
	artifact_progress(w[0], &p);
	assert_true(p.compiling && p.expected_ms > 0);
	artifact_progress(w[1], &p);
	assert_true(!p.compiling && p.elapsed_ms == 0 && p.expected_ms > 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(stored_artifact_is_taken),
	    T(compiles_once_for_all_who_wait),
	    T(damaged_store_means_compiling),
	    T(module_that_does_not_compile_is_remembered),
	    T(compiler_that_runs_out_of_memory_or_time_is_the_modules_fault),
	    T(compiler_that_breaks_the_protocol_is_not_the_modules_fault),
	    T(compiler_that_somebody_kills_is_not_the_modules_fault),
	    T(compiler_that_cannot_work_is_not_the_modules_fault),
	    T(attempts_that_are_given_up_share_the_time_of_one),
	    T(what_cost_most_is_remembered_longest),
	    T(unsealed_or_too_large_artifact_is_refused),
	    T(compilation_that_nobody_waits_for_is_ended),
	    T(queued_compilation_that_nobody_waits_for_is_dropped),
	    T(cancelled_while_the_store_is_asked),
	    T(launcher_that_cannot_start_one_is_told),
	    T(dropped_artifact_is_looked_for_anew),
	    T(one_descriptor_serves_all_who_hold_it),
	    T(one_owner_does_not_get_all_compilers),
	    T(held_back_there_is_one_compiler_and_none_ahead),
	    T(of_all_who_ask_for_a_module_the_first_turn_counts),
	    T(what_is_asked_for_ahead_comes_last_and_yields),
	    T(who_comes_for_what_waits_ahead_takes_its_turn),
	    T(attempt_ahead_that_gets_no_processor_is_no_verdict),
	    T(progress_tells_phase_and_what_is_expected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
