/* Unit tests of broker/offload: a real thread beside a real event loop. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "broker/offload.h"

#define JOBS 8

struct fixture;

struct task {
	struct offload_job job; /* first */
	struct fixture *f;
	char name;
	pthread_t worked_in;
	bool blocks;            /* until `go` is posted */
};

struct fixture {
	struct event_base *base;
	struct offload *offload;
	struct task task[JOBS];
	unsigned added;
	char worked[JOBS + 1], done[JOBS + 1];
	sem_t begun, go;
};

static void
work(struct offload_job *job)
{
	struct task *t = (struct task *)job;

	t->worked_in = pthread_self();
	t->f->worked[strlen(t->f->worked)] = t->name;
	sem_post(&t->f->begun);
	if (t->blocks)
		sem_wait(&t->f->go);
}

static void
done(struct offload_job *job)
{
	struct task *t = (struct task *)job;

	t->f->done[strlen(t->f->done)] = t->name;
}

/* Adds a job for each owner, named a, b, c... in their order. */
static void
add(struct fixture *f, const char *owners, bool blocks)
{
	for (; *owners != '\0'; owners++, f->added++) {
		struct task *t = &f->task[f->added];

		*t = (struct task){.job = {.work = work, .done = done}, .f = f, .name = (char)('a' + f->added), .blocks = blocks};
		offload_add(f->offload, &t->job, (uid_t)*owners);
	}
}

static int
set_up(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	sem_init(&f.begun, 0, 0);
	sem_init(&f.go, 0, 0);
	f.base = event_base_new();
	f.offload = offload_new(f.base, NULL);
	*state = &f;
	return f.offload != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	offload_free(f->offload);
	event_base_free(f->base);
	return 0;
}

static void
wait_done(struct fixture *f, size_t count)
{
	while (strlen(f->done) < count)
		event_base_loop(f->base, EVLOOP_ONCE);
}

static void
works_in_the_thread_and_is_done_in_the_loop(void **state)
{
	struct fixture *f = *state;

	add(f, "11", false);
	assert_string_equal(f->done, "");
	wait_done(f, 2);
	assert_string_equal(f->done, "ab");
	assert_false(pthread_equal(f->task[0].worked_in, pthread_self()));
}

static void
owners_take_turns(void **state)
{
	struct fixture *f = *state;

	add(f, "1", true);
	sem_wait(&f->begun);
	add(f, "11123", false);
	sem_post(&f->go);
	wait_done(f, 6);
	assert_string_equal(f->worked, "abefcd");
}

static void
what_has_not_begun_can_be_taken_back(void **state)
{
	struct fixture *f = *state;

	add(f, "1", true);
	sem_wait(&f->begun);
	add(f, "11", false);
	assert_true(offload_remove(f->offload, &f->task[1].job));
	assert_false(offload_remove(f->offload, &f->task[1].job));
	assert_false(offload_remove(f->offload, &f->task[0].job));
	sem_post(&f->go);
	wait_done(f, 2);
	assert_string_equal(f->done, "ac");
}

static void
the_end_tells_all_that_is_left(void **state)
{
	struct fixture *f = *state;

	add(f, "1", true);
	sem_wait(&f->begun);
	add(f, "12", false);
	sem_post(&f->go);
	offload_free(f->offload);
	f->offload = NULL;
	assert_int_equal(strlen(f->done), 3);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    T(works_in_the_thread_and_is_done_in_the_loop),
	    T(owners_take_turns),
	    T(what_has_not_begun_can_be_taken_back),
	    T(the_end_tells_all_that_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
