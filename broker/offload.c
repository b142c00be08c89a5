/* broker/offload: long computations in one thread beside the event loop; owners take turns. brigd. */

#include "broker/offload.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"

TAILQ_HEAD(jobs, offload_job);

struct offload {
	pthread_t thread;
	pthread_mutex_t lock;   /* of all below */
	pthread_cond_t more;    /* there is a job, or the end */
	struct turns waiting;
	struct jobs finished;
	bool ending;
	int wake;               /* eventfd: there are finished jobs */
	struct event *finished_event;
};

/* Wakes the loop. The counter never comes near its end, so the write cannot fail. */
static void
wake_loop(const struct offload *o)
{
	uint64_t one = 1;

	while (write(o->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void *
thread_main(void *arg)
{
	struct offload *o = arg;
	struct offload_job *job;

	pthread_mutex_lock(&o->lock);
	while (!o->ending) {
		if ((job = turns_take(&o->waiting)) == NULL) {
			pthread_cond_wait(&o->more, &o->lock);
			continue;
		}
		job->waits = false;
		pthread_mutex_unlock(&o->lock);
		job->work(job);
		pthread_mutex_lock(&o->lock);
		TAILQ_INSERT_TAIL(&o->finished, job, link);
		wake_loop(o);
	}
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

/* Takes the oldest finished job; NULL when there is none. */
static struct offload_job *
take_finished(struct offload *o)
{
	struct offload_job *job;

	pthread_mutex_lock(&o->lock);
	if ((job = TAILQ_FIRST(&o->finished)) != NULL)
		TAILQ_REMOVE(&o->finished, job, link);
	pthread_mutex_unlock(&o->lock);
	return job;
}

static void
on_finished(evutil_socket_t fd, short what, void *arg)
{
	struct offload_job *job;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	while ((job = take_finished(arg)) != NULL)
		job->done(job);
}

struct offload *
offload_new(struct event_base *base, struct err *e)
{
	struct offload *o = calloc(1, sizeof(*o));

	if (o == NULL) {
		err_set(e, ERR_NOMEM, "a thread");
		return NULL;
	}
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->more, NULL);
	turns_init(&o->waiting);
	TAILQ_INIT(&o->finished);
	if ((o->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
		err_sys(e, ERR_IO, "eventfd");
		goto fail;
	}
	o->finished_event = event_new(base, o->wake, EV_READ | EV_PERSIST, on_finished, o);
	if (o->finished_event == NULL || event_add(o->finished_event, NULL) != 0) {
		err_set(e, ERR_NOMEM, "an event");
		goto fail;
	}
	if (thread_start(&o->thread, thread_main, o, e) != 0)
		goto fail;
	return o;
fail:
	if (o->finished_event != NULL)
		event_free(o->finished_event);
	if (o->wake >= 0)
		close(o->wake);
	free(o);
	return NULL;
}

void
offload_free(struct offload *o)
{
	struct offload_job *job;

	if (o == NULL)
		return;
	pthread_mutex_lock(&o->lock);
	o->ending = true;
	pthread_cond_signal(&o->more);
	pthread_mutex_unlock(&o->lock);
	pthread_join(o->thread, NULL);
	while ((job = TAILQ_FIRST(&o->finished)) != NULL) {
		TAILQ_REMOVE(&o->finished, job, link);
		job->done(job);
	}
	while ((job = turns_take(&o->waiting)) != NULL)
		job->done(job);
	event_free(o->finished_event);
	close(o->wake);
	pthread_cond_destroy(&o->more);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

void
offload_add(struct offload *o, struct offload_job *job, uid_t owner)
{
	pthread_mutex_lock(&o->lock);
	turns_add(&o->waiting, &job->turn, owner, job);
	job->waits = true;
	pthread_cond_signal(&o->more);
	pthread_mutex_unlock(&o->lock);
}

bool
offload_remove(struct offload *o, struct offload_job *job)
{
	bool waits;

	pthread_mutex_lock(&o->lock);
	if ((waits = job->waits))
		turns_remove(&o->waiting, &job->turn);
	job->waits = false;
	pthread_mutex_unlock(&o->lock);
	return waits;
}
