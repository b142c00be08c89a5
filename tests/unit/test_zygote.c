/* The zygote's loop, with workers that do what a test tells them over the job socket. Under the zygote's own filter. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/imsg.h"
#include "sandbox/filter.h"
#include "sandbox/jail.h"
#include "sandbox/zygote.h"
#include "tests/unit/jailed.h"

/* --- the worker: obeys orders --------------------------------------------------------------------------------- */

enum order {
	ORDER_EXIT = 1,    /* with `value` as status */
	ORDER_ABORT = 2,   /* dies of SIGABRT */
	ORDER_SET = 3,     /* phase GUEST and call `value`, then answers */
	ORDER_ADDRESS = 4, /* answers with where its shared page is */
	ORDER_MAPPED = 5,  /* answers whether the page at `value` is mapped here */
	ORDER_FDS = 6,     /* answers how many of the first 64 descriptors are open */
	ORDER_IGNORE = 7,  /* ignores signal `value` from now on */
};

struct words {
	uint64_t order;
	uint64_t value;
};

static uint64_t
answer(const struct words *w, volatile struct proto_shared *shared)
{
	uint64_t open = 0;

	switch (w->order) {
	case ORDER_SET:
		shared->phase = PROTO_PHASE_GUEST;
		shared->call = (uint32_t)w->value;
		return 0;
	case ORDER_ADDRESS:
		return (uint64_t)(uintptr_t)shared;
	case ORDER_MAPPED: /* madvise fails with ENOMEM where nothing is mapped */
		return madvise((void *)(uintptr_t)w->value, 1, MADV_NORMAL) == 0;
	case ORDER_IGNORE:
		return signal((int)w->value, SIG_IGN) == SIG_ERR;
	case ORDER_FDS:
		for (int fd = 0; fd < 64; fd++)
			open += fcntl(fd, F_GETFD) >= 0;
		return open;
	default:
		return UINT64_MAX;
	}
}

static int
obey(void *arg, int job_socket, volatile struct proto_shared *shared, const struct proto_park *park)
{
	struct words w;

	(void)arg;
	(void)park;
	while (read(job_socket, &w, sizeof(w)) == sizeof(w)) {
		if (w.order == ORDER_EXIT)
			return (int)w.value;
		if (w.order == ORDER_ABORT)
			abort();
		w.value = answer(&w, shared);
		if (write(job_socket, &w, sizeof(w)) != sizeof(w))
			return 98;
	}
	return 99;
}

/* --- brigd's side ---------------------------------------------------------------------------------------------- */

static struct filter_set filters;
static pid_t zygote;
static int control;

static int
load_nothing(void *arg, int artifact, struct err *e)
{
	(void)arg;
	(void)artifact;
	(void)e;
	return 0;
}

static void
instantiate_nothing(void *arg, const struct proto_park *limits)
{
	(void)arg;
	(void)limits;
}

static int
start_zygote(void **state)
{
	const struct zygote_ops ops = {
	    .ruleset = -1, .worker = obey, .load = load_nothing, .instantiate = instantiate_nothing};
	struct err e;
	uint32_t layers = 0;
	int sv[2];

	(void)state;
	if (imsg_pair(sv, &e) != 0)
		return -1;
	zygote = fork();
	if (zygote == 0) {
		close(sv[0]);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		    jail_filter(&filters.prog[FILTER_ZYGOTE], &layers, &e) != 0)
			_exit(90);
		_exit(zygote_serve(&ops, sv[1], &e) == 0 ? 0 : 91);
	}
	close(sv[1]);
	control = sv[0];
	return zygote > 0 ? 0 : -1;
}

/* Closes the control socket and returns the zygote's wait status. */
static int
end_zygote(void)
{
	int status = -1;

	if (control >= 0)
		close(control);
	control = -1;
	assert_int_equal(waitpid(zygote, &status, 0), zygote);
	zygote = 0;
	return status;
}

static int
stop_zygote(void **state)
{
	(void)state;
	return zygote == 0 || end_zygote() == 0 ? 0 : -1;
}

/* Sends PROTO_RUN and returns our end of the job socket. */
static int
run(uint64_t id, uint64_t wall_ms)
{
	const struct proto_run limits = {.wall_ms = wall_ms, .cpu_ms = 10000, .data_bytes = (uint64_t)1 << 40};
	struct err e;
	int sv[2];

	assert_int_equal(imsg_pair(sv, &e), 0);
	assert_int_equal(imsg_send(control, PROTO_RUN, id, &limits, sizeof(limits), &sv[1], 1, &e), 0);
	close(sv[1]);
	return sv[0];
}

static uint64_t
order(int job, enum order what, uint64_t value)
{
	struct words w = {what, value};

	assert_int_equal(write(job, &w, sizeof(w)), sizeof(w));
	if (what == ORDER_EXIT || what == ORDER_ABORT)
		return 0;
	assert_int_equal(read(job, &w, sizeof(w)), sizeof(w));
	return w.value;
}

/* Waits for the end of one run. */
static struct proto_exited
exited(uint64_t *id)
{
	static struct imsg m;
	struct proto_exited x;
	struct err e;

	assert_int_equal(imsg_recv(control, &m, &e), 0);
	assert_int_equal(m.hdr.type, PROTO_RUN_EXITED);
	assert_int_equal(m.hdr.length, sizeof(x));
	memcpy(&x, m.payload, sizeof(x));
	*id = m.hdr.run;
	return x;
}

#define LONG_MS 600000

static void
reports_how_a_worker_ended_and_what_it_used(void **state)
{
	struct proto_exited x;
	uint64_t id;
	int job = run(7, LONG_MS);

	(void)state;
	order(job, ORDER_SET, 12);
	order(job, ORDER_EXIT, 3);
	x = exited(&id);
	assert_int_equal(id, 7);
	assert_true(WIFEXITED(x.wait_status));
	assert_int_equal(WEXITSTATUS(x.wait_status), 3);
	assert_int_equal(x.killed, PROTO_KILLED_NOT);
	assert_int_equal(x.phase, PROTO_PHASE_GUEST);
	assert_int_equal(x.call, 12);
	assert_true(x.wall_us > 0);
	assert_true(x.minor_faults > 0);
	close(job);
}

static void
a_page_starts_from_zero_for_the_next_worker(void **state)
{
	uint64_t id;
	int job = run(1, LONG_MS);

	(void)state;
	order(job, ORDER_SET, 12);
	order(job, ORDER_EXIT, 0);
	assert_int_equal(exited(&id).call, 12);
	close(job);
	job = run(2, LONG_MS);
	order(job, ORDER_EXIT, 0);
	assert_int_equal(exited(&id).call, 0);
	close(job);
}

static void
reports_a_signal(void **state)
{
	struct proto_exited x;
	uint64_t id;
	int job = run(1, LONG_MS);

	(void)state;
	order(job, ORDER_ABORT, 0);
	x = exited(&id);
	assert_true(WIFSIGNALED(x.wait_status));
	assert_int_equal(WTERMSIG(x.wait_status), SIGABRT);
	assert_int_equal(x.killed, PROTO_KILLED_NOT);
	close(job);
}

static void
kills_a_worker_past_its_deadline(void **state)
{
	struct proto_exited x;
	uint64_t id;
	int slow = run(1, LONG_MS), fast = run(2, 20);

	(void)state;
	x = exited(&id);
	assert_int_equal(id, 2);
	assert_int_equal(x.killed, PROTO_KILLED_DEADLINE);
	assert_true(WIFSIGNALED(x.wait_status));
	assert_int_equal(WTERMSIG(x.wait_status), SIGKILL);
	assert_true(x.wall_us >= (20 + ZYGOTE_GRACE_MS) * 1000);
	assert_int_equal(order(slow, ORDER_FDS, 0), 1); /* the other one lives */
	close(slow);
	close(fast);
}

static void
kills_a_worker_on_request(void **state)
{
	struct proto_exited x;
	struct err e;
	uint64_t id;
	int one = run(1, LONG_MS), two = run(2, LONG_MS);

	(void)state;
	assert_int_equal(imsg_send(control, PROTO_RUN_KILL, 1, NULL, 0, NULL, 0, &e), 0);
	x = exited(&id);
	assert_int_equal(id, 1);
	assert_int_equal(x.killed, PROTO_KILLED_REQUEST);
	assert_int_equal(order(two, ORDER_FDS, 0), 1);
	close(one);
	close(two);
}

static void
ignores_a_kill_of_a_run_that_has_ended(void **state)
{
	struct err e;
	uint64_t id;
	int job = run(1, LONG_MS);

	(void)state;
	assert_int_equal(imsg_send(control, PROTO_RUN_KILL, 99, NULL, 0, NULL, 0, &e), 0);
	order(job, ORDER_EXIT, 0);
	assert_int_equal(exited(&id).killed, PROTO_KILLED_NOT);
	close(job);
}

static void
a_worker_has_its_socket_and_no_other_descriptor(void **state)
{
	int one = run(1, LONG_MS), two = run(2, LONG_MS);

	(void)state;
	assert_int_equal(order(one, ORDER_FDS, 0), 1);
	assert_int_equal(order(two, ORDER_FDS, 0), 1);
	close(one);
	close(two);
}

static void
a_worker_does_not_have_the_page_of_another(void **state)
{
	uint64_t of_one, of_two;
	int one = run(1, LONG_MS), two, three;

	(void)state;
	of_one = order(one, ORDER_ADDRESS, 0);
	two = run(2, LONG_MS);
	of_two = order(two, ORDER_ADDRESS, 0);
	assert_true(of_one != of_two);
	assert_int_equal(order(two, ORDER_MAPPED, of_two), 1);
	assert_int_equal(order(two, ORDER_MAPPED, of_one), 0);
	three = run(3, LONG_MS);
	assert_int_equal(order(three, ORDER_MAPPED, of_one), 0);
	assert_int_equal(order(three, ORDER_MAPPED, of_two), 0);
	close(one);
	close(two);
	close(three);
}

static void
serves_many_at_the_same_time(void **state)
{
	enum { COUNT = 40 };
	int jobs[COUNT];
	uint64_t sum = 0;

	(void)state;
	for (int i = 0; i < COUNT; i++)
		jobs[i] = run((uint64_t)i, LONG_MS);
	for (int i = COUNT - 1; i >= 0; i--)
		order(jobs[i], ORDER_EXIT, (uint64_t)i);
	for (int i = 0; i < COUNT; i++) {
		uint64_t id;
		struct proto_exited x = exited(&id);

		assert_int_equal(WEXITSTATUS(x.wait_status), id);
		sum += id;
	}
	assert_int_equal(sum, COUNT * (COUNT - 1) / 2);
	for (int i = 0; i < COUNT; i++)
		close(jobs[i]);
}

static void
its_end_is_the_end_of_its_workers(void **state)
{
	struct words w;
	int job = run(1, LONG_MS);

	(void)state;
	assert_int_equal(order(job, ORDER_FDS, 0), 1);
	assert_int_equal(end_zygote(), 0);
	assert_true(read(job, &w, sizeof(w)) <= 0); /* nobody holds the other end any more */
	close(job);
}

/* What a zygote does about one message that must not occur. */
static void
ends_at(uint32_t type, const void *payload, size_t length, const int *fds, int nfds)
{
	struct err e;
	int status;

	assert_int_equal(imsg_send(control, type, 5, payload, length, fds, nfds, &e), 0);
	status = end_zygote();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 91);
	assert_int_equal(start_zygote(NULL), 0);
}

static void
ends_at_a_message_that_must_not_occur(void **state)
{
	struct proto_run limits = {.wall_ms = 1000, .cpu_ms = 1000, .data_bytes = 1 << 30};
	int fds[2] = {STDERR_FILENO, STDERR_FILENO};

	(void)state;
	ends_at(PROTO_JOB, NULL, 0, NULL, 0);
	ends_at(0, NULL, 0, NULL, 0);
	ends_at(PROTO_RUN, &limits, sizeof(limits), NULL, 0);
	ends_at(PROTO_RUN, &limits, sizeof(limits), fds, 2);
	ends_at(PROTO_RUN, &limits, sizeof(limits) - 1, fds, 1);
	ends_at(PROTO_RUN_KILL, &limits, 1, NULL, 0);
	limits.wall_ms = UINT64_MAX;
	ends_at(PROTO_RUN, &limits, sizeof(limits), fds, 1);
}

static void
ends_at_a_run_id_that_is_in_use(void **state)
{
	int one = run(1, LONG_MS), again = run(1, LONG_MS);
	int status;

	(void)state;
	status = end_zygote();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 91);
	close(one);
	close(again);
}

/* --- parked ---------------------------------------------------------------------------------------------------- */

/* Has the zygote load a module, such as it is. */
static void
load(void)
{
	static struct imsg m;
	struct err e;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(imsg_send(control, PROTO_LOAD, 0, NULL, 0, &fd, 1, &e), 0);
	close(fd);
	assert_int_equal(imsg_recv(control, &m, &e), 0);
	assert_int_equal(m.hdr.type, PROTO_LOADED);
}

/* Sends PROTO_PARK and returns our end of the job socket. */
static int
park(uint64_t id)
{
	const struct proto_park limits = {.cpu_ms = 10000, .data_bytes = (uint64_t)1 << 40};
	struct err e;
	int sv[2];

	assert_int_equal(imsg_pair(sv, &e), 0);
	assert_int_equal(imsg_send(control, PROTO_PARK, id, &limits, sizeof(limits), &sv[1], 1, &e), 0);
	close(sv[1]);
	return sv[0];
}

static void
take(uint64_t id, uint64_t wall_ms)
{
	const struct proto_take t = {.wall_ms = wall_ms};
	struct err e;

	assert_int_equal(imsg_send(control, PROTO_TAKE, id, &t, sizeof(t), NULL, 0, &e), 0);
}

static uint64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void
a_parked_worker_is_told_that_its_time_is_over_from_when_it_was_taken(void **state)
{
	struct proto_exited x;
	uint64_t id, began = now_us();
	int job;

	(void)state;
	load();
	job = park(1);
	while (now_us() < began + 50000) /* longer than its run may take */
		assert_int_equal(order(job, ORDER_FDS, 0), 2);
	take(1, 20);
	x = exited(&id);
	assert_int_equal(id, 1);
	assert_true(WIFSIGNALED(x.wait_status));
	assert_int_equal(WTERMSIG(x.wait_status), PROTO_WALL_SIGNAL);
	assert_true(x.wall_us >= 20000);
	close(job);
}

static void
a_parked_worker_that_does_not_listen_is_killed(void **state)
{
	struct proto_exited x;
	uint64_t id;
	int job;

	(void)state;
	load();
	job = park(1);
	assert_int_equal(order(job, ORDER_IGNORE, PROTO_WALL_SIGNAL), 0);
	take(1, 20);
	x = exited(&id);
	assert_int_equal(WTERMSIG(x.wait_status), SIGKILL);
	assert_int_equal(x.killed, PROTO_KILLED_DEADLINE);
	assert_true(x.wall_us >= (20 + ZYGOTE_GRACE_MS) * 1000);
	close(job);
}

/* Its zygote reads of the run when that is over already. */
static void
a_parked_worker_is_reported_without_the_time_before_its_run(void **state)
{
	uint64_t id, taken, began = now_us();
	struct proto_exited x;
	struct words w;
	int job, status;

	(void)state;
	load();
	job = park(1);
	while (now_us() < began + 50000)
		assert_int_equal(order(job, ORDER_FDS, 0), 2);
	kill(zygote, SIGSTOP);
	assert_int_equal(waitpid(zygote, &status, WUNTRACED), zygote);
	taken = now_us();
	take(1, LONG_MS);
	order(job, ORDER_EXIT, 3);
	assert_true(read(job, &w, sizeof(w)) <= 0); /* it has exited */
	kill(zygote, SIGCONT);
	x = exited(&id);
	assert_int_equal(WEXITSTATUS(x.wait_status), 3);
	assert_true(x.wall_us <= now_us() - taken);
	close(job);
}

static void
a_parked_worker_is_killed_at_once_on_request(void **state)
{
	struct proto_exited x;
	struct err e;
	uint64_t id;
	int job;

	(void)state;
	load();
	job = park(1);
	assert_int_equal(order(job, ORDER_IGNORE, PROTO_END_SIGNAL), 0);
	assert_int_equal(imsg_send(control, PROTO_RUN_KILL, 1, NULL, 0, NULL, 0, &e), 0);
	x = exited(&id);
	assert_int_equal(x.killed, PROTO_KILLED_REQUEST);
	assert_int_equal(WTERMSIG(x.wait_status), SIGKILL);
	close(job);
}

static void
a_parked_worker_that_is_gone_is_not_taken(void **state)
{
	uint64_t id;
	int job, next;

	(void)state;
	load();
	job = park(1);
	order(job, ORDER_EXIT, 5);
	assert_int_equal(WEXITSTATUS(exited(&id).wait_status), 5);
	take(1, LONG_MS);
	next = run(2, LONG_MS); /* and it goes on */
	assert_int_equal(order(next, ORDER_FDS, 0), 2);
	close(job);
	close(next);
}

static void
ends_at_a_message_about_parked_workers_that_must_not_occur(void **state)
{
	struct proto_park limits = {.cpu_ms = 1000, .data_bytes = 1 << 30};
	struct proto_take t = {.wall_ms = 1000};
	int fd = STDERR_FILENO, job;

	(void)state;
	ends_at(PROTO_PARK, &limits, sizeof(limits), &fd, 1); /* there is no module */
	ends_at(PROTO_PARK, &limits, sizeof(limits), NULL, 0);
	ends_at(PROTO_TAKE, &t, sizeof(t) - 1, NULL, 0);
	ends_at(PROTO_TAKE, &t, sizeof(t), &fd, 1);
	t.wall_ms = (uint64_t)ZYGOTE_WALL_MS_MAX + 1;
	ends_at(PROTO_TAKE, &t, sizeof(t), NULL, 0);
	t.wall_ms = 1000;
	load();
	job = park(5);
	take(5, LONG_MS);
	ends_at(PROTO_TAKE, &t, sizeof(t), NULL, 0); /* it has a run */
	close(job);
	job = run(5, LONG_MS);
	ends_at(PROTO_TAKE, &t, sizeof(t), NULL, 0); /* it always had */
	close(job);
}

static int
load_filters(void **state)
{
	struct err e;
	int fd = filter_bundle(&e);

	(void)state;
	return fd >= 0 && filter_load(fd, &filters, &e) == 0 ? close(fd) : -1;
}

#define ZYGOTE_TEST(name) cmocka_unit_test_setup_teardown(name, start_zygote, stop_zygote)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    ZYGOTE_TEST(reports_how_a_worker_ended_and_what_it_used),
	    ZYGOTE_TEST(a_page_starts_from_zero_for_the_next_worker),
	    ZYGOTE_TEST(reports_a_signal),
	    ZYGOTE_TEST(kills_a_worker_past_its_deadline),
	    ZYGOTE_TEST(kills_a_worker_on_request),
	    ZYGOTE_TEST(ignores_a_kill_of_a_run_that_has_ended),
	    ZYGOTE_TEST(a_worker_has_its_socket_and_no_other_descriptor),
	    ZYGOTE_TEST(a_worker_does_not_have_the_page_of_another),
	    ZYGOTE_TEST(serves_many_at_the_same_time),
	    ZYGOTE_TEST(its_end_is_the_end_of_its_workers),
	    ZYGOTE_TEST(ends_at_a_message_that_must_not_occur),
	    ZYGOTE_TEST(ends_at_a_run_id_that_is_in_use),
	    ZYGOTE_TEST(a_parked_worker_is_told_that_its_time_is_over_from_when_it_was_taken),
	    ZYGOTE_TEST(a_parked_worker_that_does_not_listen_is_killed),
	    ZYGOTE_TEST(a_parked_worker_is_reported_without_the_time_before_its_run),
	    ZYGOTE_TEST(a_parked_worker_is_killed_at_once_on_request),
	    ZYGOTE_TEST(a_parked_worker_that_is_gone_is_not_taken),
	    ZYGOTE_TEST(ends_at_a_message_about_parked_workers_that_must_not_occur),
	};

	return cmocka_run_group_tests(tests, load_filters, NULL);
}
