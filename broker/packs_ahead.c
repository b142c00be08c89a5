/* broker/packs_ahead: language packs are compiled and started before a run asks for them. brigd. */

#include "broker/packs_ahead.h"

#include <stdlib.h>
#include <time.h>

#include "broker/artifacts.h"
#include "broker/broker.h"

#define MEMORY  (512 * 1024 * 1024) /* that a pack may have to start, ahead of all runs */
#define TABLE   1000000             /* elements of each table, likewise */
#define AGAIN_S (POOL_KEEP_MS / 1000)

struct packs_ahead {
	struct broker *broker;
	struct event *timer;        /* the next pack, or the next round */
	struct artifact_wait *wait; /* for the pack in hand */
	struct digest in_hand;      /* its manifest's; the pack itself may go meanwhile */
	size_t next;                /* index of the next one in this round */
	bool is_first;              /* round since the packs were read */
};

struct heat_key
packs_ahead_key(const struct pack *pack, uint32_t engine)
{
	return (struct heat_key){.engine = engine, .owner = POOL_EVERYONE, .module = pack->digest};
}

struct pool_warm
packs_ahead_warm(const struct pack *pack)
{
	return (struct pool_warm){
	    .start = {
	        .memory_bytes = MEMORY,
	        .table_elements = TABLE,
	        .args_bytes = pack->args_length,
	        .env_bytes = pack->env_length,
	        .argc = pack->argc,
	        .envc = pack->envc,
	    },
	    .blob = pack->start,
	};
}

static bool
is_usable(const struct packs_ahead *a, const struct pack *pack)
{
	struct signature_verdict verdict;
	struct err e;

	return packs_judge(pack, a->broker->keyring, time(NULL), &verdict, &e) == 0;
}

/* The artifact is there, or cannot be had. */
static void
compiled(void *arg, const struct artifact *artifact, enum rpc_error error, const struct err *why)
{
	struct packs_ahead *a = arg;
	const struct pack *pack = NULL;

	(void)error;
	(void)why;
	a->wait = NULL;
	for (size_t i = 0; i < packs_count(a->broker->packs) && pack == NULL; i++)
		if (digest_equal(&packs_at(a->broker->packs, i)->digest, &a->in_hand))
			pack = packs_at(a->broker->packs, i);
	if (artifact != NULL && pack != NULL && pack->warm && is_usable(a, pack)) {
		const struct heat_key key = packs_ahead_key(pack, PROTO_ENGINE_PLAIN);
		const struct pool_warm warm = packs_ahead_warm(pack);

		pool_keep(a->broker->pool, &key, artifact->file->fd, &warm);
	}
	event_active(a->timer, EV_TIMEOUT, 0);
}

/* Whether there is anything to be done for a pack now. */
static bool
is_wanted(const struct packs_ahead *a, const struct pack *pack)
{
	const struct heat_key key = packs_ahead_key(pack, PROTO_ENGINE_PLAIN);

	return is_usable(a, pack) && ((pack->warm && pool_lacks(a->broker->pool, &key)) || a->is_first);
}

/* The next pack of this round, if something is to be done for one. */
static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval later = {.tv_sec = AGAIN_S};
	struct packs_ahead *a = arg;
	const struct broker *b = a->broker;
	const struct artifact_asker asker = {.owner = b->operator, .ahead = true};
	const struct pack *pack;

	(void)fd;
	(void)what;
	if (a->wait != NULL || b->draining)
		return;
	while (!b->under_pressure && (pack = packs_at(b->packs, a->next)) != NULL) {
		a->next++;
		if (!is_wanted(a, pack))
			continue;
		a->in_hand = pack->digest;
		artifact_get(b->artifacts, &asker, &pack->module, PROTO_ENGINE_PLAIN, pack->fd, pack->size, compiled, a,
		    &a->wait);
		return;
	}
	a->is_first = a->is_first && b->under_pressure;
	a->next = 0;
	event_add(a->timer, &later);
}

struct packs_ahead *
packs_ahead_new(struct broker *b)
{
	struct packs_ahead *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->broker = b;
	if ((a->timer = evtimer_new(b->base, on_timer, a)) == NULL) {
		free(a);
		return NULL;
	}
	return a;
}

void
packs_ahead_begin(struct packs_ahead *a)
{
	if (a->wait != NULL)
		artifact_cancel(a->wait);
	a->wait = NULL;
	a->next = 0;
	a->is_first = true;
	event_active(a->timer, EV_TIMEOUT, 0);
}

void
packs_ahead_free(struct packs_ahead *a)
{
	if (a == NULL)
		return;
	if (a->wait != NULL)
		artifact_cancel(a->wait);
	event_free(a->timer);
	free(a);
}
