/* broker/closer: closes descriptors whose close may take for ever, in a thread beside the event loop. brigd. */

#include "broker/closer.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/thread.h"
#include "broker/host_dir.h"

struct closing {
	int fd;
	uid_t owner;
	TAILQ_ENTRY(closing) link;
};

struct closer {
	pthread_t thread;
	pthread_mutex_t lock;           /* of all below */
	pthread_cond_t more;            /* there is one to close, or the end */
	TAILQ_HEAD(, closing) waiting;  /* the first is being closed */
	bool ending;
};

/* The process's own. */
static struct closer *only;

static void *
thread_main(void *arg)
{
	struct closer *c = arg;
	struct closing *first;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		if ((first = TAILQ_FIRST(&c->waiting)) == NULL) {
			if (c->ending)
				break;
			pthread_cond_wait(&c->more, &c->lock);
			continue;
		}
		pthread_mutex_unlock(&c->lock);
		close(first->fd);
		pthread_mutex_lock(&c->lock);
		TAILQ_REMOVE(&c->waiting, first, link);
		free(first);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

struct closer *
closer_new(struct err *e)
{
	struct closer *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		err_set(e, ERR_NOMEM, "a thread");
		return NULL;
	}
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->more, NULL);
	TAILQ_INIT(&c->waiting);
	if (thread_start(&c->thread, thread_main, c, e) == 0) {
		only = c;
		return c;
	}
	free(c);
	return NULL;
}

void
closer_free(struct closer *c)
{
	bool idle;

	if (c == NULL)
		return;
	only = NULL;
	pthread_mutex_lock(&c->lock);
	c->ending = true;
	idle = TAILQ_EMPTY(&c->waiting);
	pthread_cond_signal(&c->more);
	pthread_mutex_unlock(&c->lock);
	if (!idle) {
		pthread_detach(c->thread); /* it may never end; what it uses stays */
		return;
	}
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->more);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void
closer_take(struct closer *c, int fd, uid_t owner)
{
	struct closing *it = malloc(sizeof(*it));

	if (it == NULL) {
		close(fd); /* without memory all hangs anyway */
		return;
	}
	*it = (struct closing){.fd = fd, .owner = owner};
	pthread_mutex_lock(&c->lock);
	TAILQ_INSERT_TAIL(&c->waiting, it, link);
	pthread_cond_signal(&c->more);
	pthread_mutex_unlock(&c->lock);
}

void
closer_drop(int fd)
{
	uid_t owner;

	if (only != NULL && host_dir_check(fd, &owner, NULL) == 0)
		closer_take(only, fd, owner);
	else
		close(fd);
}

bool
closer_is_full(struct closer *c, uid_t owner)
{
	const struct closing *it;
	size_t count = 0;

	pthread_mutex_lock(&c->lock);
	TAILQ_FOREACH(it, &c->waiting, link)
		count += it->owner == owner;
	pthread_mutex_unlock(&c->lock);
	return count >= CLOSER_MAX;
}
