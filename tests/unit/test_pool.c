/* Unit tests of broker/pool and broker/child: the test plays launcher and zygotes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/monotonic.h"
#include "broker/pool.h"

#define REQUIRED (PROTO_LAYER_seccomp | PROTO_LAYER_pid_ns)
#define RUNS_MAX 3

/* A zygote that the pool has asked for. */
struct zygote_end {
	int sock;
	uint64_t token;
};

struct ended {
	unsigned count;
	bool has_exited;
	struct proto_exited exited;
	struct err why;
};

struct fixture {
	struct event_base *base;
	struct launcher *launcher;
	struct pool *pool;
	int launcher_end;
	int job;
	unsigned ready, refused;
	struct err why;
	struct imsg m;
};

static void
on_lost(void *arg, const struct err *why)
{
	(void)arg;
	fail_msg("%s", why->msg);
}

static void
on_ready(void *arg, const struct err *why)
{
	struct fixture *f = arg;

	if (why == NULL) {
		f->ready++;
	} else {
		f->refused++;
		f->why = *why;
	}
}

static void
on_ended(void *arg, const struct proto_exited *exited, const struct err *why)
{
	struct ended *e = arg;

	e->count++;
	e->has_exited = exited != NULL;
	if (exited != NULL)
		e->exited = *exited;
	else
		e->why = *why;
}

static uint64_t spare_bytes;
static unsigned templates_max = 1, parked_total = 2, runs_max = RUNS_MAX;
static uint64_t templates_bytes = UINT64_MAX;
static unsigned weights[] = {1, 1, 1}; /* of owners by their number */

static unsigned
weight_of(void *arg, uid_t owner)
{
	(void)arg;
	return owner < sizeof(weights) / sizeof(weights[0]) ? weights[owner] : 1; /* POOL_EVERYONE */
}

static int
set_up_with(void **state, unsigned ready_ms)
{
	const struct pool_limits limits = {
	    .runs_max = runs_max, .minutes_max = 60, .ready_ms = ready_ms, .layers = REQUIRED, .templates_max = templates_max,
	    .templates_bytes = templates_bytes,
	    .parked_max = 2, .parked_total = parked_total, .processors = 2, .short_ms = INT64_MAX, .spare_bytes = spare_bytes,
	    .weight = weight_of};
	static struct fixture f;
	int a[2];

	memset(&f, 0, sizeof(f));
	f.base = event_base_new();
	if (imsg_pair(a, NULL) != 0)
		return -1;
	f.launcher_end = a[1];
	fcntl(f.launcher_end, F_SETFL, O_NONBLOCK);
	f.launcher = child_launcher_new(f.base, a[0], 600, on_lost, &f);
	f.pool = pool_new(f.base, f.launcher, &limits, on_ready, &f);
	f.job = open("/dev/null", O_RDONLY);
	*state = &f;
	return 0;
}

static int
set_up(void **state)
{
	return set_up_with(state, 60000);
}

static int
set_up_impatient(void **state)
{
	return set_up_with(state, 1);
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	child_launcher_free(f->launcher);
	pool_free(f->pool);
	close(f->launcher_end);
	close(f->job);
	event_base_free(f->base);
	spare_bytes = 0;
	templates_max = 1;
	templates_bytes = UINT64_MAX;
	parked_total = 2;
	runs_max = RUNS_MAX;
	weights[2] = 1;
	return 0;
}

static void
turn(struct fixture *f)
{
	for (int i = 0; i < 4; i++)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static void
expect(struct fixture *f, int sock, uint32_t type, uint64_t run)
{
	assert_int_equal(imsg_recv(sock, &f->m, NULL), 0);
	assert_int_equal(f->m.hdr.type, type);
	assert_int_equal(f->m.hdr.run, run);
}

static void
expect_nothing(struct fixture *f, int sock)
{
	assert_int_equal(imsg_recv(sock, &f->m, NULL), ERR_AGAIN);
}

/* A zygote is asked for, and started. */
static struct zygote_end
zygote_starts(struct fixture *f)
{
	const struct proto_spawned spawned = {.pid = getpid()};
	struct zygote_end z;

	assert_int_equal(imsg_recv(f->launcher_end, &f->m, NULL), 0);
	assert_int_equal(f->m.hdr.type, PROTO_SPAWN);
	z.token = f->m.hdr.run;
	z.sock = imsg_take_fd(&f->m, 0);
	fcntl(z.sock, F_SETFL, O_NONBLOCK);
	imsg_send(f->launcher_end, PROTO_SPAWNED, z.token, &spawned, sizeof(spawned), NULL, 0, NULL);
	return z;
}

static void
zygote_is_ready(struct fixture *f, const struct zygote_end *z, uint32_t layers)
{
	struct proto_ready ready = {.layers = layers, .child_layers = layers};

	imsg_send(z->sock, PROTO_READY, 0, &ready, sizeof(ready), NULL, 0, NULL);
	turn(f);
}

/* It is gone; `told` says whether the launcher has reported it. */
static void
zygote_dies(struct fixture *f, struct zygote_end *z, bool told)
{
	struct proto_exited exited = {.wait_status = SIGKILL};

	close(z->sock);
	if (told)
		imsg_send(f->launcher_end, PROTO_CHILD_EXITED, z->token, &exited, sizeof(exited), NULL, 0, NULL);
	turn(f);
}

static struct pool_run *
start(struct fixture *f, uint64_t run, struct ended *ended)
{
	struct proto_run limits = {.wall_ms = 1};

	const struct heat_key key = {.engine = PROTO_ENGINE_PLAIN};
	struct pool_place place;
	struct pool_run *r;
	struct err e = {0};

	if (pool_pick(f->pool, &key, -1, NULL, NULL, &place, &e) != 0)
		return NULL;
	r = pool_start(&place, run, &limits, f->job, on_ended, ended, &e);
	if (r != NULL || e.code != ERR_EOF || pool_pick(f->pool, &key, -1, NULL, NULL, &place, &e) != 0)
		return r;
	return pool_start(&place, run, &limits, f->job, on_ended, ended, &e);
}

static void
run_exits_with(struct fixture *f, const struct zygote_end *z, uint64_t run, int status)
{
	struct proto_exited exited = {.wait_status = status, .user_us = 5};

	imsg_send(z->sock, PROTO_RUN_EXITED, run, &exited, sizeof(exited), NULL, 0, NULL);
	turn(f);
}

static void
run_exits(struct fixture *f, const struct zygote_end *z, uint64_t run)
{
	run_exits_with(f, z, run, 0);
}

static void
is_ready_when_its_first_zygote_is(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f);

	assert_null(pool_ready(f->pool));
	zygote_is_ready(f, &z, REQUIRED | PROTO_LAYER_mdwe);
	assert_int_equal(f->ready, 1);
	assert_int_equal(pool_ready(f->pool)->child_layers, REQUIRED | PROTO_LAYER_mdwe);
	assert_int_equal(pool_zygotes(f->pool), 1);
	close(z.sock);
}

static void
missing_layer_means_nothing_runs(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f);

	zygote_is_ready(f, &z, PROTO_LAYER_pid_ns);
	expect(f, f->launcher_end, PROTO_KILL, z.token);
	zygote_dies(f, &z, true);
	assert_int_equal(f->ready, 0);
	assert_int_equal(f->refused, 1);
	assert_non_null(strstr(f->why.msg, "seccomp"));
	assert_null(strstr(f->why.msg, "pid_ns"));
}

static void
jail_that_cannot_be_made_is_told(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f);

	imsg_send(z.sock, PROTO_FAILED, 0, "no user namespaces", 18, NULL, 0, NULL);
	zygote_dies(f, &z, true);
	assert_int_equal(f->refused, 1);
	assert_string_equal(f->why.msg, "no user namespaces");
}

static void
zygote_that_is_never_ready_is_killed(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f);

	while (imsg_recv(f->launcher_end, &f->m, NULL) == ERR_AGAIN)
		event_base_loop(f->base, EVLOOP_NONBLOCK); /* until its time is over */
	assert_true(f->m.hdr.type == PROTO_KILL && f->m.hdr.run == z.token);
	zygote_dies(f, &z, true);
	assert_int_equal(f->refused, 1);
	assert_non_null(strstr(f->why.msg, "not ready"));
}

static void
zygote_that_goes_on_after_it_failed_is_killed(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f);
	static struct ended ended = {0};

	zygote_is_ready(f, &z, REQUIRED);
	start(f, 1, &ended);
	for (int i = 0; i < 100; i++)
		imsg_send(z.sock, PROTO_FAILED, 0, "no more", 7, NULL, 0, NULL);
	turn(f);
	expect(f, f->launcher_end, PROTO_KILL, z.token);
	zygote_dies(f, &z, true);
	assert_true(ended.count == 1 && strcmp(ended.why.msg, "no more") == 0);
}

static void
zygote_that_claims_impossible_usage_is_killed(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f);
	struct proto_exited exited = {.user_us = UINT64_MAX, .system_us = 1};
	static struct ended ended = {0};

	zygote_is_ready(f, &z, REQUIRED);
	start(f, 1, &ended);
	imsg_send(z.sock, PROTO_RUN_EXITED, 1, &exited, sizeof(exited), NULL, 0, NULL);
	turn(f);
	assert_int_equal(ended.count, 0);
	expect(f, f->launcher_end, PROTO_KILL, z.token);
	zygote_dies(f, &z, true);
	assert_true(ended.count == 1 && strstr(ended.why.msg, "processor time") != NULL);
}

static void
zygote_that_sends_a_descriptor_is_killed(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f);
	struct proto_ready ready = {.child_layers = REQUIRED};

	imsg_send(z.sock, PROTO_READY, 0, &ready, sizeof(ready), &f->job, 1, NULL);
	turn(f);
	expect(f, f->launcher_end, PROTO_KILL, z.token);
	assert_int_equal(f->ready, 0);
	close(z.sock);
}

static void
condemned_zygote_says_why(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f);
	static struct ended ended = {0};

	zygote_is_ready(f, &z, REQUIRED);
	pool_condemn(start(f, 1, &ended), "it hangs");
	expect(f, f->launcher_end, PROTO_KILL, z.token);
	zygote_dies(f, &z, true);
	assert_true(ended.count == 1 && strcmp(ended.why.msg, "it hangs") == 0);
}

static void
run_is_given_to_the_zygote_and_ends(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f);
	static struct ended ended = {0};

	zygote_is_ready(f, &z, REQUIRED);
	assert_non_null(start(f, 7, &ended));
	expect(f, z.sock, PROTO_RUN, 7);
	assert_int_equal(f->m.nfds, 1);
	imsg_close_fds(&f->m);
	run_exits(f, &z, 7);
	assert_true(ended.count == 1 && ended.has_exited && ended.exited.user_us == 5);
	close(z.sock);
}

static void
run_that_cannot_be_forked_ends_alone(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f);
	static struct ended first = {0}, second = {0};

	zygote_is_ready(f, &z, REQUIRED);
	start(f, 1, &first);
	start(f, 2, &second);
	imsg_send(z.sock, PROTO_FAILED, 1, "fork", 4, NULL, 0, NULL);
	turn(f);
	assert_true(first.count == 1 && !first.has_exited);
	assert_int_equal(second.count, 0);
	run_exits(f, &z, 2);
	assert_true(second.count == 1 && second.has_exited);
	close(z.sock);
}

static void
kill_goes_to_the_zygote(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f);
	static struct ended ended = {0};
	struct pool_run *run;

	zygote_is_ready(f, &z, REQUIRED);
	run = start(f, 1, &ended);
	expect(f, z.sock, PROTO_RUN, 1);
	imsg_close_fds(&f->m);
	pool_kill(run);
	expect(f, z.sock, PROTO_RUN_KILL, 1);
	assert_int_equal(ended.count, 0); /* not before it is gone */
	run_exits(f, &z, 1);
	assert_int_equal(ended.count, 1);
	close(z.sock);
}

static void
runs_of_a_dead_zygote_end(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f), next;
	static struct ended first = {0}, second = {0}, third = {0};

	zygote_is_ready(f, &z, REQUIRED);
	start(f, 1, &first);
	start(f, 2, &second);
	zygote_dies(f, &z, true);
	assert_true(first.count == 1 && !first.has_exited && strstr(first.why.msg, "signal 9") != NULL);
	assert_int_equal(second.count, 1);
	expect(f, f->launcher_end, PROTO_KILL, z.token); /* asked when its socket closed; there was nothing left to kill */
	assert_non_null(start(f, 3, &third));
	next = zygote_starts(f);
	expect(f, next.sock, PROTO_RUN, 3); /* waits in its socket until it is ready */
	imsg_close_fds(&f->m);
	assert_int_equal(f->refused, 0);
	close(next.sock);
}

/* Between a zygote's death and the launcher's word of it. */
static void
dead_zygote_is_passed_over_before_it_is_reported(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f), next;
	static struct ended ended = {0};

	zygote_is_ready(f, &z, REQUIRED);
	close(z.sock);
	assert_non_null(start(f, 1, &ended));
	next = zygote_starts(f);
	expect(f, next.sock, PROTO_RUN, 1);
	imsg_close_fds(&f->m);
	assert_int_equal(ended.count, 0);
	close(next.sock);
}

static void
zygote_is_replaced_after_its_runs_and_goes_when_they_have(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f), next;
	static struct ended ended[RUNS_MAX + 1] = {{0}};

	zygote_is_ready(f, &z, REQUIRED);
	for (uint64_t i = 0; i <= RUNS_MAX; i++)
		assert_non_null(start(f, i + 1, &ended[i]));
	next = zygote_starts(f);
	expect(f, next.sock, PROTO_RUN, RUNS_MAX + 1);
	imsg_close_fds(&f->m);
	assert_int_equal(pool_zygotes(f->pool), 2);
	for (uint64_t i = 0; i < RUNS_MAX; i++) {
		expect_nothing(f, f->launcher_end);
		run_exits(f, &z, i + 1);
	}
	expect(f, f->launcher_end, PROTO_KILL, z.token);
	zygote_dies(f, &z, true);
	assert_int_equal(pool_zygotes(f->pool), 1);
	assert_int_equal(ended[RUNS_MAX].count, 0);
	close(next.sock);
}

/* Not by a limit, nor by an exit status. */
static void
zygote_whose_worker_crashed_starts_nothing_more(void **state)
{
	static const int ends[] = {1 << 8, SIGKILL, SIGXCPU, PROTO_END_SIGNAL, SIGSYS};
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f), next;
	static struct ended ended[3] = {{0}};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		const struct proto_exited exited = {.wait_status = ends[i]};

		assert_int_equal(pool_is_crash(&exited), ends[i] == SIGSYS);
	}
	zygote_is_ready(f, &z, REQUIRED);
	assert_non_null(start(f, 1, &ended[0]));
	assert_non_null(start(f, 2, &ended[1]));
	run_exits_with(f, &z, 2, SIGSYS);
	assert_int_equal(ended[1].count, 1);
	expect_nothing(f, f->launcher_end); /* its other run goes on */
	assert_non_null(start(f, 3, &ended[2]));
	next = zygote_starts(f);
	expect(f, next.sock, PROTO_RUN, 3);
	imsg_close_fds(&f->m);
	run_exits(f, &z, 1);
	expect(f, f->launcher_end, PROTO_KILL, z.token);
	zygote_dies(f, &z, true);
	assert_true(ended[0].count == 1 && ended[0].has_exited && ended[2].count == 0);
	close(next.sock);
}

static void
zygote_that_reports_a_run_it_was_not_given_is_killed(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f);
	static struct ended ended = {0};

	zygote_is_ready(f, &z, REQUIRED);
	start(f, 1, &ended);
	run_exits(f, &z, 2);
	expect(f, f->launcher_end, PROTO_KILL, z.token);
	zygote_dies(f, &z, true);
	assert_true(ended.count == 1 && !ended.has_exited);
}

static void
condemned_zygote_gets_no_more_runs(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f), next;
	static struct ended first = {0}, second = {0};

	zygote_is_ready(f, &z, REQUIRED);
	pool_condemn(start(f, 1, &first), "it is of no use");
	expect(f, f->launcher_end, PROTO_KILL, z.token);
	start(f, 2, &second);
	next = zygote_starts(f);
	expect(f, next.sock, PROTO_RUN, 2);
	imsg_close_fds(&f->m);
	zygote_dies(f, &z, true);
	assert_int_equal(first.count, 1);
	assert_int_equal(second.count, 0);
	close(next.sock);
}

/* What a zygote said before it died still counts. */
static void
run_that_ended_before_its_zygote_died_has_ended_well(void **state)
{
	struct fixture *f = *state;
	struct zygote_end z = zygote_starts(f);
	struct proto_exited exited = {.user_us = 5};
	static struct ended ended = {0};

	zygote_is_ready(f, &z, REQUIRED);
	start(f, 1, &ended);
	imsg_send(z.sock, PROTO_RUN_EXITED, 1, &exited, sizeof(exited), NULL, 0, NULL);
	zygote_dies(f, &z, true);
	assert_true(ended.count == 1 && ended.has_exited && ended.exited.user_us == 5);
}

/* A language pack's, with nothing to start it with. */
static const struct heat_key pack_key = {.engine = PROTO_ENGINE_PLAIN, .owner = POOL_EVERYONE, .module.bytes = {9}};

static void
keep(struct fixture *f)
{
	const struct pool_warm warm = {.blob = f->job};

	pool_keep(f->pool, &pack_key, f->job, &warm);
}

static void
pack_has_a_template_without_runs(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain = zygote_starts(f), z;

	zygote_is_ready(f, &plain, REQUIRED);
	assert_true(pool_lacks(f->pool, &pack_key));
	keep(f);
	z = zygote_starts(f);
	expect(f, z.sock, PROTO_WARM, 0);
	imsg_close_fds(&f->m);
	assert_false(pool_lacks(f->pool, &pack_key));
	keep(f); /* has nothing to do */
	assert_int_equal(pool_templates(f->pool), 1);
	expect_nothing(f, f->launcher_end);
	close(plain.sock);
	close(z.sock);
}

static void
pack_whose_template_did_not_load_is_not_kept_until_it_may(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain = zygote_starts(f), z;

	zygote_is_ready(f, &plain, REQUIRED);
	assert_true(pool_lacks(f->pool, &pack_key));
	keep(f);
	z = zygote_starts(f);
	zygote_is_ready(f, &z, REQUIRED);
	zygote_dies(f, &z, true);
	expect(f, f->launcher_end, PROTO_KILL, z.token);
	assert_false(pool_lacks(f->pool, &pack_key));
	pool_renew(f->pool, &pack_key.module); /* its artifact was dropped, say */
	assert_true(pool_lacks(f->pool, &pack_key));
	keep(f);
	z = zygote_starts(f);
	close(plain.sock);
	close(z.sock);
}

/* So many runs of an owner's module, picked and not started. */
static void
pick(struct fixture *f, uid_t owner, int runs)
{
	const struct heat_key key = {.engine = PROTO_ENGINE_PLAIN, .owner = owner};
	struct pool_place place;

	for (int i = 0; i < runs; i++)
		assert_int_equal(pool_pick(f->pool, &key, f->job, NULL, NULL, &place, NULL), 0);
}

static void
pack_without_runs_takes_no_ones_place(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain = zygote_starts(f), z;

	zygote_is_ready(f, &plain, REQUIRED);
	pick(f, 1, 5);
	z = zygote_starts(f); /* the only one that there may be */
	assert_false(pool_lacks(f->pool, &pack_key));
	keep(f);
	expect_nothing(f, f->launcher_end);
	assert_int_equal(pool_templates(f->pool), 1);
	close(plain.sock);
	close(z.sock);
}

static void
template_that_gave_way_before_it_had_loaded_may_come_back(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain = zygote_starts(f), first, second, again;

	zygote_is_ready(f, &plain, REQUIRED);
	pick(f, 1, 5);
	first = zygote_starts(f);
	zygote_is_ready(f, &first, REQUIRED);
	pick(f, 2, 20); /* is run more */
	second = zygote_starts(f);
	expect(f, f->launcher_end, PROTO_KILL, first.token);
	zygote_dies(f, &first, true);
	pick(f, 1, 50);
	again = zygote_starts(f);
	close(plain.sock);
	close(second.sock);
	close(again.sock);
}

static void
template_that_does_not_load_is_not_tried_again(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain = zygote_starts(f), z;
	const struct proto_exited exited = {.wait_status = 0};

	zygote_is_ready(f, &plain, REQUIRED);
	pick(f, 1, 5);
	z = zygote_starts(f);
	zygote_is_ready(f, &z, REQUIRED);
	zygote_dies(f, &z, false);
	expect(f, f->launcher_end, PROTO_KILL, z.token);
	imsg_send(f->launcher_end, PROTO_CHILD_EXITED, z.token, &exited, sizeof(exited), NULL, 0, NULL);
	turn(f);
	pick(f, 1, 20);
	expect_nothing(f, f->launcher_end);
	close(plain.sock);
}

/* --- parked workers ------------------------------------------------------------------------------------------------- */

static const struct heat_key hot = {.engine = PROTO_ENGINE_PLAIN, .owner = 1};
static const struct proto_park usual = {.cpu_ms = 1000, .data_bytes = 1 << 20, .memory_bytes = 65536, .table_elements = 10};

/* Picks a place for a run of `hot` with these limits. */
static struct pool_place
place_for(struct fixture *f, const struct proto_park *limits)
{
	struct pool_place place;

	assert_int_equal(pool_pick(f->pool, &hot, f->job, limits, NULL, &place, NULL), 0);
	return place;
}

/* A template that has loaded, for which a run with the usual limits was picked. */
static struct zygote_end
next_template_starts(struct fixture *f)
{
	struct zygote_end z;

	while (pool_templates(f->pool) == 0)
		pick(f, 1, 1);
	z = zygote_starts(f);
	zygote_is_ready(f, &z, REQUIRED);
	expect(f, z.sock, PROTO_LOAD, 0);
	imsg_close_fds(&f->m);
	imsg_send(z.sock, PROTO_LOADED, 0, NULL, 0, NULL, 0, NULL);
	turn(f);
	expect_nothing(f, z.sock); /* nobody has said with which limits */
	assert_null(place_for(f, &usual).parked);
	pool_refill(f->pool);
	turn(f);
	return z;
}

static struct zygote_end
template_starts(struct fixture *f, struct zygote_end *plain)
{
	*plain = zygote_starts(f);
	zygote_is_ready(f, plain, REQUIRED);
	return next_template_starts(f);
}

/* The zygote is asked for a worker. Returns the worker's end of its socket, and its number. */
static int
worker_is_forked(struct fixture *f, const struct zygote_end *z, const struct proto_park *limits, uint64_t *number)
{
	assert_int_equal(imsg_recv(z->sock, &f->m, NULL), 0);
	assert_int_equal(f->m.hdr.type, PROTO_PARK);
	assert_int_equal(f->m.hdr.length, sizeof(*limits));
	assert_memory_equal(f->m.payload, limits, sizeof(*limits));
	*number = f->m.hdr.run;
	return imsg_take_fd(&f->m, 0);
}

static void
worker_parks(struct fixture *f, int sock)
{
	const struct proto_parked said = {.cpu_us = 3};

	imsg_send(sock, PROTO_PARKED, 0, &said, sizeof(said), NULL, 0, NULL);
	turn(f);
}

static void
parked_worker_takes_one_run_with_its_limits(void **state)
{
	struct fixture *f = *state;
	struct proto_park other = usual;
	struct zygote_end plain, z = template_starts(f, &plain);
	static struct ended ended;
	struct channel *job = NULL;
	struct pool_place place;
	uint64_t number;
	int sock = worker_is_forked(f, &z, &usual, &number);

	memset(&ended, 0, sizeof(ended));
	assert_int_equal(pool_parked(f->pool), 0);
	assert_null(place_for(f, &usual).parked); /* it has not said that it waits */
	worker_parks(f, sock);
	assert_int_equal(pool_parked(f->pool), 1);
	other.memory_bytes++;
	assert_null(place_for(f, &other).parked);
	assert_null(place_for(f, NULL).parked);
	place = place_for(f, &usual);
	assert_non_null(place.parked);
	assert_non_null(pool_take(&place, 77, &job, on_ended, &ended, NULL));
	expect(f, z.sock, PROTO_TAKE, number);
	assert_int_equal(((struct proto_take *)(void *)f->m.payload)->wall_ms, 77);
	assert_int_equal(pool_parked(f->pool), 0);
	assert_null(place_for(f, &usual).parked);
	run_exits(f, &z, number);
	assert_true(ended.count == 1 && ended.has_exited);
	assert_int_equal(ended.exited.user_us, 2); /* of 5, without the 3 before */
	channel_free(job);
	close(sock);
	close(plain.sock);
	close(z.sock);
}

static void
parked_workers_are_as_many_as_runs_of_late_and_no_more_than_allowed(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain, z = template_starts(f, &plain);
	uint64_t number;
	int one = worker_is_forked(f, &z, &usual, &number), two;

	expect_nothing(f, z.sock); /* there was one run */
	for (int i = 0; i < 5; i++)
		place_for(f, NULL);
	for (int i = 0; i < 3; i++) {
		pool_refill(f->pool);
		turn(f);
	}
	two = worker_is_forked(f, &z, &usual, &number);
	expect_nothing(f, z.sock);
	close(one);
	close(two);
	close(plain.sock);
	close(z.sock);
}

/* What is forked ahead then would not be there sooner. */
static void
nothing_is_parked_while_runs_have_all_processors(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain, z = template_starts(f, &plain);
	static struct ended ended[2];
	uint64_t number, next;
	int sock = worker_is_forked(f, &z, &usual, &number);
	struct channel *job = NULL;
	struct pool_place place;

	worker_parks(f, sock);
	assert_non_null(start(f, 1, &ended[0]));
	expect(f, plain.sock, PROTO_RUN, 1);
	imsg_close_fds(&f->m);
	place = place_for(f, &usual);
	assert_non_null(pool_take(&place, 77, &job, on_ended, &ended[1], NULL)); /* the second run of two processors */
	expect(f, z.sock, PROTO_TAKE, number);
	pool_refill(f->pool);
	turn(f);
	expect_nothing(f, z.sock);
	run_exits(f, &plain, 1);
	pool_refill(f->pool);
	turn(f);
	close(worker_is_forked(f, &z, &usual, &next));
	channel_free(job);
	close(sock);
	close(plain.sock);
	close(z.sock);
}

static void
module_whose_template_goes_while_a_worker_is_made_is_parked_again(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain, z = template_starts(f, &plain);
	uint64_t number;
	int sock = worker_is_forked(f, &z, &usual, &number);

	pool_renew(f->pool, NULL);
	expect(f, f->launcher_end, PROTO_KILL, z.token);
	close(sock);
	turn(f);
	zygote_dies(f, &z, true);
	expect(f, f->launcher_end, PROTO_KILL, z.token); /* asked when its socket closed; there was nothing left to kill */
	z = next_template_starts(f);
	close(worker_is_forked(f, &z, &usual, &number));
	close(plain.sock);
	close(z.sock);
}

static void
module_whose_worker_ends_before_it_waits_is_not_parked_again(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain, z = template_starts(f, &plain);
	uint64_t number;

	close(worker_is_forked(f, &z, &usual, &number));
	turn(f);
	expect(f, z.sock, PROTO_RUN_KILL, number);
	run_exits(f, &z, number);
	pool_refill(f->pool);
	turn(f);
	expect_nothing(f, z.sock);
	close(plain.sock);
	close(z.sock);
}

static int
set_up_with_no_memory(void **state)
{
	templates_bytes = 1;
	return set_up(state);
}

/* The test's own memory stands for the zygote's. */
static void
templates_that_take_more_memory_than_they_may_go(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain = zygote_starts(f), z;

	zygote_is_ready(f, &plain, REQUIRED);
	while (pool_templates(f->pool) == 0)
		pick(f, 1, 1);
	z = zygote_starts(f);
	zygote_is_ready(f, &z, REQUIRED);
	assert_int_equal(pool_templates(f->pool), 1); /* what it takes is known once it has loaded */
	imsg_send(z.sock, PROTO_LOADED, 0, NULL, 0, NULL, 0, NULL);
	turn(f);
	assert_int_equal(pool_templates(f->pool), 0);
	expect(f, f->launcher_end, PROTO_KILL, z.token);
	pick(f, 1, 9);
	assert_int_equal(pool_templates(f->pool), 0); /* not at once again */
	close(plain.sock);
	close(z.sock);
}

/* Once is no habit. */
static void
limits_that_runs_have_now_are_those_of_the_next_parked_worker(void **state)
{
	struct fixture *f = *state;
	const struct proto_park other = {.cpu_ms = 1, .data_bytes = 2, .memory_bytes = 3, .table_elements = 4};
	struct zygote_end plain, z = template_starts(f, &plain);
	uint64_t number, next;
	int one = worker_is_forked(f, &z, &usual, &number), two, three;

	worker_parks(f, one);
	place_for(f, &other);
	pool_refill(f->pool);
	turn(f);
	two = worker_is_forked(f, &z, &usual, &next); /* the second run's */
	place_for(f, &other);
	pool_refill(f->pool);
	turn(f);
	expect(f, z.sock, PROTO_RUN_KILL, next);
	expect(f, z.sock, PROTO_RUN_KILL, number);
	assert_int_equal(pool_parked(f->pool), 0);
	three = worker_is_forked(f, &z, &other, &next);
	close(worker_is_forked(f, &z, &other, &next));
	close(one);
	close(two);
	close(three);
	close(plain.sock);
	close(z.sock);
}

/* Without a run of its own, and without another worker in its place. */
static void
module_that_cannot_park_is_not_asked_to_again(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain, z = template_starts(f, &plain);
	uint64_t number;
	int sock = worker_is_forked(f, &z, &usual, &number);

	imsg_send(sock, PROTO_FAILED, 0, "no", 2, NULL, 0, NULL);
	close(sock);
	turn(f);
	expect(f, z.sock, PROTO_RUN_KILL, number); /* if it should still be there */
	run_exits(f, &z, number);
	assert_null(place_for(f, &usual).parked);
	pool_refill(f->pool);
	turn(f);
	expect_nothing(f, z.sock);
	assert_true(place_for(f, &usual).is_loaded); /* runs are forked as before */
	close(plain.sock);
	close(z.sock);
}

/* Each is killed, and so is any other that would be parked. */
static void
parked_worker_that_says_what_it_may_not_is_killed(void **state)
{
	static const struct {
		uint32_t type;
		size_t length;
	} lies[] = {{PROTO_PARKED, 7}, {PROTO_PARKED, 9}, {PROTO_PARKED, 0}, {PROTO_RESULT, 8}, {PROTO_OUTPUT, 9}, {999, 0}};
	static const uint8_t bytes[16] = {0};

	for (size_t i = 0; i < 2 * sizeof(lies) / sizeof(lies[0]); i++) {
		struct fixture *f = *state;
		struct zygote_end plain, z = template_starts(f, &plain);
		uint64_t number;
		int sock = worker_is_forked(f, &z, &usual, &number);
		bool has_parked = i % 2 == 1;

		if (has_parked)
			worker_parks(f, sock);
		imsg_send(sock, lies[i / 2].type, 0, bytes, lies[i / 2].length, NULL, 0, NULL);
		turn(f);
		expect(f, z.sock, PROTO_RUN_KILL, number);
		assert_null(place_for(f, &usual).parked);
		pool_refill(f->pool);
		turn(f);
		expect_nothing(f, z.sock);
		close(sock);
		close(plain.sock);
		close(z.sock);
		tear_down(state);
		set_up(state);
	}
}

/* What it takes for a template to go, with a run that goes on in it. */
static void
parked_workers_go_with_their_template(void **state)
{
	enum { AGE, RENEWED, RENEWED_MODULE, CRASH, WAYS };

	for (int way = 0; way < WAYS; way++) {
		struct fixture *f = *state;
		struct zygote_end plain, z = template_starts(f, &plain), next;
		const struct proto_run limits = {.wall_ms = 1};
		static struct ended ended, second;
		struct pool_place place;
		uint64_t number;
		int sock = worker_is_forked(f, &z, &usual, &number);

		worker_parks(f, sock);
		place = place_for(f, NULL);
		assert_non_null(pool_start(&place, 1, &limits, f->job, on_ended, &ended, NULL));
		expect(f, z.sock, PROTO_RUN, 1);
		imsg_close_fds(&f->m);
		if (way == AGE) {
			assert_non_null(pool_start(&place, 2, &limits, f->job, on_ended, &second, NULL)); /* RUNS_MAX now */
			expect(f, z.sock, PROTO_RUN, 2);
			imsg_close_fds(&f->m);
		} else if (way == CRASH) {
			assert_non_null(pool_start(&place, 2, &limits, f->job, on_ended, &second, NULL));
			expect(f, z.sock, PROTO_RUN, 2);
			imsg_close_fds(&f->m);
			run_exits_with(f, &z, 2, SIGSYS);
		} else {
			pool_renew(f->pool, way == RENEWED ? NULL : &hot.module);
		}
		assert_null(place_for(f, &usual).parked);
		expect(f, z.sock, PROTO_RUN_KILL, number);
		assert_int_equal(pool_parked(f->pool), 0);
		next = zygote_starts(f); /* another template */
		close(sock);
		close(plain.sock);
		close(z.sock);
		close(next.sock);
		tear_down(state);
		set_up(state);
	}
}

/* A worker of another module is not touched. */
static void
only_templates_of_a_module_that_changed_are_renewed(void **state)
{
	struct fixture *f = *state;
	const struct digest other = {.bytes = {1}};
	struct zygote_end plain, z = template_starts(f, &plain);
	uint64_t number;
	int sock = worker_is_forked(f, &z, &usual, &number);

	worker_parks(f, sock);
	pool_renew(f->pool, &other);
	assert_non_null(place_for(f, &usual).parked);
	close(sock);
	close(plain.sock);
	close(z.sock);
}

static void
parked_worker_that_dies_is_no_runs_failure(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain, z = template_starts(f, &plain);
	uint64_t number, next;
	int sock = worker_is_forked(f, &z, &usual, &number);

	worker_parks(f, sock);
	close(sock);
	turn(f);
	assert_int_equal(pool_parked(f->pool), 0);
	assert_null(place_for(f, &usual).parked);
	expect(f, z.sock, PROTO_RUN_KILL, number);
	run_exits_with(f, &z, number, SIGKILL);
	pool_refill(f->pool);
	turn(f);
	sock = worker_is_forked(f, &z, &usual, &next); /* in its place */
	assert_true(next != number);
	close(sock);
	close(plain.sock);
	close(z.sock);
}

static void
zygote_that_claims_impossible_usage_of_a_parked_worker_is_killed(void **state)
{
	struct fixture *f = *state;
	struct proto_exited exited = {.user_us = UINT64_MAX};
	struct zygote_end plain, z = template_starts(f, &plain);
	uint64_t number;
	int sock = worker_is_forked(f, &z, &usual, &number);

	imsg_send(z.sock, PROTO_RUN_EXITED, number, &exited, sizeof(exited), NULL, 0, NULL);
	turn(f);
	expect(f, f->launcher_end, PROTO_KILL, z.token);
	close(sock);
	close(plain.sock);
	close(z.sock);
}

static int
set_up_short(void **state)
{
	spare_bytes = UINT64_MAX / 2;
	return set_up(state);
}

static void
nobody_waits_while_memory_is_short(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain, z = template_starts(f, &plain);

	expect_nothing(f, z.sock);
	assert_true(place_for(f, &usual).is_loaded);
	close(plain.sock);
	close(z.sock);
}

/* --- shares ------------------------------------------------------------------------------------------------------- */

static int
set_up_shares(void **state)
{
	templates_max = parked_total = 4;
	runs_max = 1000;
	return set_up(state);
}

/* So many runs of one of an owner's modules. */
static void
pick_module(struct fixture *f, uid_t owner, uint8_t module, int runs)
{
	const struct heat_key key = {.engine = PROTO_ENGINE_PLAIN, .owner = owner, .module.bytes = {module}};
	struct pool_place place;

	for (int i = 0; i < runs; i++)
		assert_int_equal(pool_pick(f->pool, &key, f->job, &usual, NULL, &place, NULL), 0);
}

struct holding {
	unsigned templates[3], parked[3]; /* by owner */
};

static void
count_template(void *arg, const struct pool_template *t)
{
	struct holding *h = arg;

	h->templates[t->key.owner]++;
	h->parked[t->key.owner] += t->parked;
}

static struct holding
holding(const struct fixture *f)
{
	struct holding h = {{0}, {0}};

	pool_each_template(f->pool, count_template, &h);
	return h;
}

/* The same, for which a template starts and loads it. */
static struct zygote_end
module_gets_template(struct fixture *f, uid_t owner, uint8_t module, int runs)
{
	struct zygote_end z;

	unsigned before = holding(f).templates[owner];

	pick_module(f, owner, module, runs);
	for (int more = 0; holding(f).templates[owner] == before; more++) {
		assert_in_range(more, 0, 1000);
		pick_module(f, owner, module, 1);
	}
	z = zygote_starts(f);
	zygote_is_ready(f, &z, REQUIRED);
	expect(f, z.sock, PROTO_LOAD, 0);
	imsg_close_fds(&f->m);
	imsg_send(z.sock, PROTO_LOADED, 0, NULL, 0, NULL, 0, NULL);
	turn(f);
	return z;
}

/* The first owner's modules are run much more often, and there are enough of them for all templates. */
static void
owners_have_templates_by_their_weights(void **state)
{
	static const struct {
		unsigned weight, templates;
	} cases[] = {{1, 2}, {3, 3}, {1000, 4}};

	for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct fixture *f = *state;
		struct zygote_end plain = zygote_starts(f), first[4], second[4];

		weights[2] = cases[c].weight;
		zygote_is_ready(f, &plain, REQUIRED);
		for (uint8_t n = 0; n < 4; n++)
			first[n] = module_gets_template(f, 1, n, 100);
		for (uint8_t n = 0; n < cases[c].templates; n++) {
			second[n] = module_gets_template(f, 2, n, 5);
			assert_int_equal(holding(f).templates[2], n + 1);
			assert_int_equal(holding(f).templates[1], 3 - n);
			assert_int_equal(imsg_recv(f->launcher_end, &f->m, NULL), 0);
			assert_int_equal(f->m.hdr.type, PROTO_KILL);
		}
		for (uint8_t n = 0; n < 4; n++)
			pick_module(f, 1, n, 50); /* they are not taken back */
		expect_nothing(f, f->launcher_end);
		pick_module(f, 2, 9, 1000); /* which takes the place of one of their own */
		assert_int_equal(holding(f).templates[1], 4 - cases[c].templates);
		for (int n = 0; n < 4; n++)
			close(first[n].sock);
		for (unsigned n = 0; n < cases[c].templates; n++)
			close(second[n].sock);
		close(plain.sock);
		tear_down(state);
		set_up_shares(state);
	}
}

/* A share is no claim to what its owner makes little use of. */
static void
what_is_run_less_gives_way_whosever_it_is(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain = zygote_starts(f), z[4];
	int64_t now;

	zygote_is_ready(f, &plain, REQUIRED);
	for (int n = 0; n < 4; n++)
		z[n] = module_gets_template(f, 1 + (uid_t)n / 2, (uint8_t)n, n < 2 ? 0 : 100);
	for (now = monotonic_ms(); monotonic_ms() == now;)
		; /* what was run three times now is not so hot any more */
	pick_module(f, 2, 9, 100);
	assert_true(holding(f).templates[1] == 1 && holding(f).templates[2] == 3);
	for (int n = 0; n < 4; n++)
		close(z[n].sock);
	close(plain.sock);
}

/* Takes what workers were asked for, and lets them wait. */
static void
workers_park(struct fixture *f, const struct zygote_end *z, int socks[], size_t *count)
{
	while (imsg_recv(z->sock, &f->m, NULL) == 0) {
		if (f->m.hdr.type == PROTO_RUN_KILL) {
			run_exits_with(f, z, f->m.hdr.run, SIGKILL);
			continue;
		}
		assert_int_equal(f->m.hdr.type, PROTO_PARK);
		socks[*count] = imsg_take_fd(&f->m, 0);
		worker_parks(f, socks[(*count)++]);
	}
}

static void
owners_have_parked_workers_by_their_weights(void **state)
{
	struct fixture *f = *state;
	struct zygote_end plain = zygote_starts(f), first[2], second[2];
	int socks[32];
	size_t count = 0;

	weights[2] = 3;
	zygote_is_ready(f, &plain, REQUIRED);
	for (uint8_t n = 0; n < 2; n++) {
		first[n] = module_gets_template(f, 1, n, 5);
		pick_module(f, 1, n, 5);
	}
	pool_refill(f->pool);
	turn(f);
	for (int n = 0; n < 2; n++)
		workers_park(f, &first[n], socks, &count);
	assert_int_equal(holding(f).parked[1], 4); /* nobody else wants any */
	for (uint8_t n = 0; n < 2; n++) {
		second[n] = module_gets_template(f, 2, n, 5);
		pick_module(f, 2, n, 5);
	}
	for (int i = 0; i < 3; i++) {
		pool_refill(f->pool);
		turn(f);
		for (int n = 0; n < 2; n++) {
			workers_park(f, &first[n], socks, &count);
			workers_park(f, &second[n], socks, &count);
		}
	}
	assert_true(holding(f).parked[1] == 1 && holding(f).parked[2] == 3);
	while (count > 0)
		close(socks[--count]);
	for (int n = 0; n < 2; n++) {
		close(first[n].sock);
		close(second[n].sock);
	}
	close(plain.sock);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(is_ready_when_its_first_zygote_is),
	    T(template_that_gave_way_before_it_had_loaded_may_come_back),
	    T(template_that_does_not_load_is_not_tried_again),
	    T(pack_has_a_template_without_runs),
	    T(pack_whose_template_did_not_load_is_not_kept_until_it_may),
	    T(pack_without_runs_takes_no_ones_place),
	    T(missing_layer_means_nothing_runs),
	    T(jail_that_cannot_be_made_is_told),
	    cmocka_unit_test_setup_teardown(zygote_that_is_never_ready_is_killed, set_up_impatient, tear_down),
	    T(zygote_that_goes_on_after_it_failed_is_killed),
	    T(zygote_that_claims_impossible_usage_is_killed),
	    T(zygote_that_sends_a_descriptor_is_killed),
	    T(condemned_zygote_says_why),
	    T(run_is_given_to_the_zygote_and_ends),
	    T(run_that_cannot_be_forked_ends_alone),
	    T(kill_goes_to_the_zygote),
	    T(runs_of_a_dead_zygote_end),
	    T(dead_zygote_is_passed_over_before_it_is_reported),
	    T(zygote_is_replaced_after_its_runs_and_goes_when_they_have),
	    T(zygote_whose_worker_crashed_starts_nothing_more),
	    T(zygote_that_reports_a_run_it_was_not_given_is_killed),
	    T(condemned_zygote_gets_no_more_runs),
	    T(run_that_ended_before_its_zygote_died_has_ended_well),
	    T(parked_worker_takes_one_run_with_its_limits),
	    T(parked_workers_are_as_many_as_runs_of_late_and_no_more_than_allowed),
	    T(nothing_is_parked_while_runs_have_all_processors),
	    cmocka_unit_test_setup_teardown(templates_that_take_more_memory_than_they_may_go, set_up_with_no_memory, tear_down),
	    T(module_whose_template_goes_while_a_worker_is_made_is_parked_again),
	    T(module_whose_worker_ends_before_it_waits_is_not_parked_again),
	    T(limits_that_runs_have_now_are_those_of_the_next_parked_worker),
	    T(module_that_cannot_park_is_not_asked_to_again),
	    T(parked_worker_that_says_what_it_may_not_is_killed),
	    T(parked_workers_go_with_their_template),
	    T(only_templates_of_a_module_that_changed_are_renewed),
	    T(parked_worker_that_dies_is_no_runs_failure),
	    T(zygote_that_claims_impossible_usage_of_a_parked_worker_is_killed),
	    cmocka_unit_test_setup_teardown(owners_have_templates_by_their_weights, set_up_shares, tear_down),
	    cmocka_unit_test_setup_teardown(what_is_run_less_gives_way_whosever_it_is, set_up_shares, tear_down),
	    cmocka_unit_test_setup_teardown(owners_have_parked_workers_by_their_weights, set_up_shares, tear_down),
	    cmocka_unit_test_setup_teardown(nobody_waits_while_memory_is_short, set_up_short, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
