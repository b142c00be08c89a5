/* broker/offload: long computations in one thread beside the event loop; owners take turns. brigd. */

#ifndef BROKER_OFFLOAD_H
#define BROKER_OFFLOAD_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "base/err.h"
#include "broker/turns.h"

struct offload;

/* One computation; lives in what it computes for. The first two are the caller's, the others this module's. */
struct offload_job {
	void (*work)(struct offload_job *job); /* in the thread, and touching only what nobody else touches meanwhile */
	void (*done)(struct offload_job *job); /* in the loop, afterwards; may free the job */
	bool waits;                            /* has not begun */
	struct turn turn;
	TAILQ_ENTRY(offload_job) link;
};

/* offload_new - start the thread, which takes no signals. NULL with an error when it cannot be. */
struct offload *offload_new(struct event_base *base, struct err *e);

/* offload_free - end the thread. Every job left is told `done` first, worked or not, so that nothing of it leaks. */
void offload_free(struct offload *o);

/* offload_add - have `job` done in the turn of `owner`. */
void offload_add(struct offload *o, struct offload_job *job, uid_t owner);

/* offload_remove - take back a job that has not begun; false when it has: `done` is still to come then. */
bool offload_remove(struct offload *o, struct offload_job *job);

#endif
