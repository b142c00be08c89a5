/* broker/ahead: stored modules are compiled before a run asks for them, one after the other. brigd. */

#include "broker/ahead.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "base/proto.h"
#include "broker/turns.h"

struct job {
	LIST_ENTRY(job) link;
	struct turn turn;        /* while it waits */
	struct ahead *ahead;
	uid_t owner;
	struct digest digest;
	struct signature_verdict verdict; /* once the module was found */
	struct modules_wait *module_wait;
	struct artifact_wait *artifact_wait;
};

struct ahead {
	struct modules *modules;
	struct artifacts *artifacts;
	const struct keyring *const *ring;
	LIST_HEAD(, job) jobs;   /* all */
	struct turns queue;
	struct job *at_work;     /* not in the queue; NULL for none */
	struct event *kick;      /* the next begins from the event loop, not inside the end of the last */
};

static void
job_end(struct job *job)
{
	struct ahead *a = job->ahead;

	if (job == a->at_work)
		a->at_work = NULL;
	else
		turns_remove(&a->queue, &job->turn);
	if (job->module_wait != NULL)
		modules_cancel(job->module_wait);
	if (job->artifact_wait != NULL)
		artifact_cancel(job->artifact_wait);
	LIST_REMOVE(job, link);
	free(job);
	event_active(a->kick, 0, 0);
}

/* It is compiled, or cannot be, which whoever runs it is told. */
static void
artifact_made(void *arg, const struct artifact *artifact, enum rpc_error error, const struct err *why)
{
	struct job *job = arg;

	(void)artifact;
	(void)error;
	(void)why;
	job->artifact_wait = NULL;
	job_end(job);
}

static void
module_found(void *arg, const struct module *m, enum rpc_error error, const struct err *why)
{
	struct job *job = arg;
	const struct artifact_asker asker = {.owner = job->owner, .ahead = true};

	(void)error;
	(void)why;
	job->module_wait = NULL;
	if (m == NULL) { /* removed, or not to be run any more */
		job_end(job);
		return;
	}
	job->verdict = m->verdict;
	artifact_get(job->ahead->artifacts, &asker, &job->digest, PROTO_ENGINE_PLAIN, m->fd, m->size, artifact_made, job,
	    &job->artifact_wait);
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct ahead *a = arg;
	struct job *job;

	(void)fd;
	(void)what;
	if (a->at_work != NULL || (job = turns_take(&a->queue)) == NULL)
		return;
	a->at_work = job;
	modules_get(a->modules, job->owner, &job->digest, a->ring, module_found, job, &job->module_wait);
}

struct ahead *
ahead_new(struct event_base *base, struct modules *modules, struct artifacts *artifacts, const struct keyring *const *ring)
{
	struct ahead *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->modules = modules;
	a->artifacts = artifacts;
	a->ring = ring;
	LIST_INIT(&a->jobs);
	turns_init(&a->queue);
	if ((a->kick = event_new(base, -1, 0, on_kick, a)) == NULL) {
		free(a);
		return NULL;
	}
	return a;
}

void
ahead_free(struct ahead *a)
{
	if (a == NULL)
		return;
	while (!LIST_EMPTY(&a->jobs))
		job_end(LIST_FIRST(&a->jobs));
	event_free(a->kick);
	free(a);
}

static struct job *
job_find(const struct ahead *a, uid_t owner, const struct digest *digest)
{
	struct job *job;

	LIST_FOREACH(job, &a->jobs, link)
		if (job->owner == owner && digest_equal(&job->digest, digest))
			return job;
	return NULL;
}

void
ahead_add(struct ahead *a, uid_t owner, const struct digest *digest)
{
	struct job *job;
	size_t own = 0;

	LIST_FOREACH(job, &a->jobs, link)
		own += job->owner == owner;
	if (own >= AHEAD_PER_OWNER || a->queue.count >= AHEAD_MAX || job_find(a, owner, digest) != NULL ||
	    (job = calloc(1, sizeof(*job))) == NULL)
		return;
	job->ahead = a;
	job->owner = owner;
	job->digest = *digest;
	LIST_INSERT_HEAD(&a->jobs, job, link);
	turns_add(&a->queue, &job->turn, owner, job);
	event_active(a->kick, 0, 0);
}

void
ahead_cancel(struct ahead *a, uid_t owner, const struct digest *digest)
{
	struct job *job = job_find(a, owner, digest);

	if (job != NULL)
		job_end(job);
}

/* What waits is verified when its turn comes, and what is looked for when it is found. */
void
ahead_recheck(struct ahead *a)
{
	struct job *job = a->at_work;

	if (job != NULL && job->artifact_wait != NULL && signature_recheck(&job->verdict, *a->ring, time(NULL), NULL) != 0)
		job_end(job);
}

size_t
ahead_waiting(const struct ahead *a)
{
	return a->queue.count + (a->at_work != NULL);
}
