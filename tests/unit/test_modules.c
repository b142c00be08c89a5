/* Unit tests of broker/modules: the test plays the store. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "base/imsg.h"
#include "base/memfd.h"
#include "base/proto.h"
#include "broker/modules.h"

#define OWNER 1000

static const uint8_t wasm[] = {0, 'a', 's', 'm', 1, 0, 0, 0};

/* Keeps the thread at work until a byte comes. */
struct blocker {
	struct offload_job job; /* first */
	int pipe[2];
};

struct fixture {
	struct event_base *base;
	struct service_client *store;
	struct offload *offload;
	struct modules *modules;
	struct keyring *keyring;
	const struct keyring *ring; /* the same */
	struct blocker blocker;
	int store_end; /* ours */
	struct digest digest;
	struct imsg m;
	unsigned found, not_found;
};

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
	static struct fixture f;
	int sv[2];

	memset(&f, 0, sizeof(f));
	if (sodium_init() < 0 || imsg_pair(sv, NULL) != 0 || pipe(f.blocker.pipe) != 0 ||
	    keyring_empty(&f.keyring, NULL) != 0)
		return -1;
	f.ring = f.keyring;
	f.base = event_base_new();
	f.store_end = sv[1];
	fcntl(f.store_end, F_SETFL, O_NONBLOCK);
	f.store = service_client_new(f.base, sv[0], "store", 600, on_ready, on_lost, &f);
	f.offload = offload_new(f.base, NULL);
	f.modules = modules_new(f.store, f.offload, 1000, 10, 100);
	f.digest = digest_of(wasm, sizeof(wasm));
	*state = &f;
	return f.offload != NULL && f.modules != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->blocker.pipe[1]);
	offload_free(f->offload);
	close(f->blocker.pipe[0]);
	service_client_free(f->store);
	modules_free(f->modules);
	keyring_free(f->keyring);
	close(f->store_end);
	event_base_free(f->base);
	return 0;
}

static void
turn(struct fixture *f)
{
	for (int i = 0; i < 4; i++)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static void
block(struct offload_job *job)
{
	char byte;

	(void)!read(((struct blocker *)job)->pipe[0], &byte, 1);
}

static void
unblocked(struct offload_job *job)
{
	(void)job;
}

static void
got(void *arg, const struct module *m, enum rpc_error error, const struct err *why)
{
	struct fixture *f = arg;

	(void)why;
	if (m == NULL) {
		assert_int_equal(error, RPC_module_not_found);
		f->not_found++;
		return;
	}
	assert_true(digest_equal(&m->digest, &f->digest));
	f->found++;
}

static void
ask(struct fixture *f)
{
	modules_get(f->modules, OWNER, &f->digest, &f->ring, got, f, NULL);
	turn(f);
}

/* The store is asked for the module, and has it or not. */
static void
store_answers(struct fixture *f, bool has_it)
{
	struct proto_store_done done = {.code = has_it ? 0 : ERR_NOTFOUND};
	char text[sizeof(done) + 1];
	int fd = memfd_from("module", wasm, sizeof(wasm), NULL);

	assert_int_equal(imsg_recv(f->store_end, &f->m, NULL), 0);
	assert_int_equal(f->m.hdr.type, PROTO_STORE_GET);
	memcpy(text, &done, sizeof(done));
	text[sizeof(done)] = '-';
	assert_int_equal(imsg_send(f->store_end, has_it ? PROTO_STORE_DATA : PROTO_STORE_FAILED, f->m.hdr.run, text,
	    has_it ? sizeof(done) : sizeof(text), &fd, has_it, NULL), 0);
	close(fd);
	turn(f);
}

/* Lets the thread go on until `n` answers were that there is a module. */
static void
wait_found(struct fixture *f, unsigned n)
{
	while (f->found < n)
		event_base_loop(f->base, EVLOOP_ONCE);
}

static void
what_was_found_is_kept(void **state)
{
	struct fixture *f = *state;

	ask(f);
	store_answers(f, true);
	wait_found(f, 1);
	ask(f);
	assert_int_equal(f->found, 2);
	assert_int_equal(imsg_recv(f->store_end, &f->m, NULL), ERR_AGAIN);
}

static void
what_is_forgotten_while_it_is_hashed_is_not_kept(void **state)
{
	struct fixture *f = *state;

	f->blocker.job = (struct offload_job){.work = block, .done = unblocked};
	offload_add(f->offload, &f->blocker.job, OWNER + 1);
	ask(f);
	store_answers(f, true);
	modules_forget(f->modules, OWNER, &f->digest);
	assert_int_equal(f->found, 0);
	assert_int_equal(write(f->blocker.pipe[1], "", 1), 1);
	wait_found(f, 1);
	ask(f);
	store_answers(f, false);
	assert_true(f->found == 1 && f->not_found == 1);
}

/* Of another module, or of the same one of another owner. */
static void
what_is_hashed_is_kept_when_others_are_forgotten(void **state)
{
	struct fixture *f = *state;
	const struct digest other = {{1}};

	ask(f);
	modules_forget(f->modules, OWNER + 1, &f->digest);
	modules_forget(f->modules, OWNER, &other);
	store_answers(f, true);
	wait_found(f, 1);
	ask(f);
	assert_int_equal(f->found, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_was_found_is_kept, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(what_is_forgotten_while_it_is_hashed_is_not_kept, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(what_is_hashed_is_kept_when_others_are_forgotten, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("modules", tests, NULL, NULL);
}
