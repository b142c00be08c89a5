/* broker/pool: the zygotes, kept running and replaced in time; those for modules that are run often. brigd. */

#include "broker/pool.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>

#include "base/monotonic.h"
#include "base/process.h"

#define ENGINES   2
#define SWEEP_S   5   /* how often templates are looked at that may be used no more */
#define TIGHT_MS  5000 /* no template is made for so long after one had to go for want of memory */
#define TIGHT_AHEAD_MS 600000 /* and none ahead of all runs for so long */
#define KEYS_MORE 16  /* modules whose heat is known, for each template that there can be */
#define REFILL_MS 5    /* a worker that was taken is replaced then, if not when its run has been answered before */
#define BUSY_MS   50   /* or then, if there was no processor for it */
#define LOOK_MS   1000 /* how often it is looked at how much memory there is */
#define NEED_MS   1000 /* how far back runs count for how many workers are parked */
#define FULL_MS   10000 /* nothing is parked for so long after something could not be forked */
#define ROOM_S    1    /* what was parked has so long to end before runs are started all the same */

/* What parked workers are called between brigd and zygote: no run has such a number. */
#define PARKED_NUMBER ((uint64_t)1 << 63)

struct pool_run {
	LIST_ENTRY(pool_run) link; /* in its zygote's `runs`, or `parked` until there is a run for it */
	struct zygote *zygote;
	uint64_t run;        /* as its zygote calls it */
	int64_t started_ms; /* its process */
	int64_t begun_ms;   /* its run */
	pool_ended_fn *ended;
	void *arg;

	/* Parked. */
	struct proto_park limits;
	struct channel *job; /* its socket; NULL once it has a run, or is to end */
	bool waits;          /* it has said so */
	bool is_early;       /* it is gone, and has not */
	uint64_t past_us;    /* CPU time before it had a run */
};

struct zygote {
	LIST_ENTRY(zygote) link;
	struct pool *pool;
	struct child *child;
	struct heat_key key; /* of a template; else only its engine counts */
	bool is_template;
	bool is_loaded;
	bool is_ready;
	bool retired;       /* starts nothing any more; goes when its runs have */
	uint64_t forks;
	uint64_t hits;      /* runs that were started in it */
	int64_t born_ms;    /* monotonic */
	struct err why;     /* why it has to go, or goes */
	struct event *unready; /* until it is ready: when it should have been long since */
	LIST_HEAD(, pool_run) runs;

	/* Of a template. */
	uint64_t own_bytes;    /* memory of its own, when last looked */
	struct holder *holder; /* whose share it is of, until it is retired */
	bool cannot_park;      /* this time */
	LIST_HEAD(, pool_run) parked;
	struct proto_park park;     /* limits of the next one; all 0: no run has asked for any */
	struct proto_park park_new; /* of the last run, if that had others */
	int64_t need_ms;            /* since when `need` counts */
	unsigned need, need_before; /* runs, and those of the NEED_MS before */
};

struct pool {
	struct event_base *base;
	struct launcher *launcher;
	struct pool_limits limits;
	struct zygote *current[ENGINES];
	LIST_HEAD(, zygote) zygotes;
	struct heat *heat;
	unsigned templates; /* not retired */
	int64_t tight_ms;      /* when one had to go for want of memory; 0: never */
	struct holders owners; /* of these; tally: workers of theirs that are parked */
	struct event *sweep;
	struct event *refill;
	int64_t looked_ms;  /* when it was last looked at how much memory there is */
	bool is_short;      /* too little, that is */
	uint64_t last_parked;
	int64_t full_ms;    /* when something could not be forked; 0: never */
	bool is_clearing;   /* what is parked ends, to make room for runs */
	struct event *cleared;
	void (*room)(void *arg);
	void *room_arg;
	bool has_ready;
	struct proto_ready ready_state;
	void (*ready)(void *arg, const struct err *why); /* NULL once called */
	void *arg;
};

static void
tell_ready(struct pool *p, const struct err *why)
{
	void (*ready)(void *arg, const struct err *why) = p->ready;

	p->ready = NULL;
	if (ready != NULL)
		ready(p->arg, why);
}

/* The names of the layers in `mask`, for a message. */
static const char *
layer_names(uint32_t mask, char *text, size_t size)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} layers[] = {
#define X(name, bit, required, text) {1u << bit, #name},
	    PROTO_LAYERS(X)
#undef X
	};
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(layers) / sizeof(layers[0]); i++)
		if ((mask & layers[i].bit) != 0 && used + strlen(layers[i].name) + 2 < size) {
			if (used > 0)
				text[used++] = ' ';
			strcpy(text + used, layers[i].name);
			used += strlen(layers[i].name);
		}
	return text;
}

/* Whether runs of its module may start in it. */
static bool
is_template(const struct zygote *z)
{
	return z->is_template && !z->retired;
}

/* Nothing is started in this zygote any more. */
static void
forget(struct zygote *z)
{
	struct pool *p = z->pool;

	if (p->current[z->key.engine] == z)
		p->current[z->key.engine] = NULL;
	if (is_template(z)) {
		p->templates--;
		holders_leave(z->holder);
	}
	z->retired = true;
}

/* Has a zygote killed, with all that it holds, and gives it nothing more. Why, is what was said first. */
static void
zygote_condemn(struct zygote *z, const struct err *why)
{
	if (z->why.code == 0)
		z->why = *why;
	forget(z);
	child_kill(z->child);
}

static void
on_unready(evutil_socket_t fd, short what, void *arg)
{
	struct zygote *z = arg;
	struct err e = {0};

	(void)fd;
	(void)what;
	err_set(&e, ERR_IO, "a zygote was not ready after %u ms", z->pool->limits.ready_ms);
	zygote_condemn(z, &e);
}

static int
zygote_ready(struct zygote *z, const struct proto_ready *r, struct err *e)
{
	struct pool *p = z->pool;
	uint32_t missing = p->limits.layers & ~r->child_layers;
	char names[512];

	if (z->is_ready)
		return err_set(e, ERR_PROTOCOL, "a zygote was ready twice");
	if (missing != 0)
		return err_set(e, ERR_UNSUPPORTED,
		    "the jail lacks what is required: %s; `brig doctor` says why and how to get it",
		    layer_names(missing, names, sizeof(names)));
	z->is_ready = true;
	event_free(z->unready);
	z->unready = NULL;
	if (z->key.engine == PROTO_ENGINE_PLAIN && !p->has_ready) {
		p->has_ready = true;
		p->ready_state = *r;
		tell_ready(p, NULL);
	}
	return 0;
}

static void
retire_if_idle(struct zygote *z)
{
	if (z->retired && LIST_EMPTY(&z->runs))
		child_kill(z->child);
}

static struct pool_run *
run_of(struct zygote *z, uint64_t run)
{
	struct pool_run *r;

	LIST_FOREACH(r, &z->runs, link)
		if (r->run == run)
			return r;
	LIST_FOREACH(r, &z->parked, link)
		if (r->run == run)
			return r;
	return NULL;
}

/* Nobody waits for the end of this one. */
static void
ended_unheard(void *arg, const struct proto_exited *exited, const struct err *why)
{
	(void)arg;
	(void)exited;
	(void)why;
}

/* Whether some worker is forked that has no run, be it to end already. */
static bool
has_parked(const struct pool *p)
{
	const struct zygote *z;

	LIST_FOREACH(z, &p->zygotes, link)
		if (!LIST_EMPTY(&z->parked))
			return true;
	return false;
}

static void
on_cleared(evutil_socket_t fd, short what, void *arg)
{
	struct pool *p = arg;

	(void)fd;
	(void)what;
	p->is_clearing = false;
	if (p->room != NULL)
		p->room(p->room_arg);
}

/* A worker is gone: that may have been the last of those that had to make room. */
static void
look_for_room(struct pool *p)
{
	if (p->is_clearing && !has_parked(p))
		event_active(p->cleared, EV_TIMEOUT, 0);
}

/* Ends one run: its worker is gone, or never was. */
static void
run_ended(struct pool_run *r, const struct proto_exited *exited, const struct err *why)
{
	struct zygote *z = r->zygote;

	LIST_REMOVE(r, link);
	channel_free(r->job);
	look_for_room(z->pool);
	r->ended(r->arg, exited, why);
	free(r);
	retire_if_idle(z);
}

/* Takes from what was used what was used before there was a run. How the kernel divides it is not exact for so little. */
static void
leave_out_past(const struct pool_run *r, struct proto_exited *x)
{
	uint64_t user_us = r->past_us < x->user_us ? r->past_us : x->user_us;
	uint64_t rest = r->past_us - user_us;

	x->user_us -= user_us;
	x->system_us -= rest < x->system_us ? rest : x->system_us;
}

bool
pool_is_crash(const struct proto_exited *exited)
{
	int signal = WIFSIGNALED(exited->wait_status) ? WTERMSIG(exited->wait_status) : 0;

	return signal != 0 && signal != SIGKILL && signal != PROTO_END_SIGNAL && signal != SIGXCPU;
}

/* Has a parked worker end. What its zygote says of it follows. */
static void
unpark(struct pool_run *r)
{
	channel_free(r->job);
	r->job = NULL;
	r->waits = false;
	pool_kill(r);
}

static bool
park_same(const struct proto_park *a, const struct proto_park *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Those that wait, or will. */
static unsigned
count_parked(const struct zygote *z)
{
	const struct pool_run *r;
	unsigned n = 0;

	LIST_FOREACH(r, &z->parked, link)
		n += r->job != NULL;
	return n;
}

/* Ends those that have other limits than runs now ask for, and those that are too many. */
static void
thin_out(struct zygote *z, unsigned most)
{
	unsigned n = count_parked(z);
	struct pool_run *r;

	LIST_FOREACH(r, &z->parked, link)
		if (r->job != NULL && (n > most || !park_same(&r->limits, &z->park))) {
			unpark(r);
			n--;
		}
}

/* Lets a zygote end once its runs have: nothing is started in it any more. */
static void
retire(struct zygote *z)
{
	forget(z);
	if (!LIST_EMPTY(&z->runs))
		thin_out(z, 0);
	retire_if_idle(z);
}

/* A worker could not be forked. What only waits must not be why: it ends, if there was a run for this one. */
static int
could_not_fork(struct pool_run *r, struct err *why)
{
	const struct timeval patience = {.tv_sec = ROOM_S};
	struct pool *p = r->zygote->pool;
	struct zygote *z;

	p->full_ms = monotonic_ms();
	if (r->ended != ended_unheard && has_parked(p)) {
		LIST_FOREACH(z, &p->zygotes, link)
			thin_out(z, 0);
		p->is_clearing = true;
		event_add(p->cleared, &patience);
		why->code = ERR_AGAIN;
	}
	run_ended(r, NULL, why);
	return 0;
}

/* Whether a worker, which has one thread, cannot have used so much. Kernel clocks may differ by some. */
static bool
is_impossible(const struct pool_run *r, const struct proto_exited *x)
{
	uint64_t elapsed_us = (uint64_t)(monotonic_ms() - r->started_ms) * 1000;
	uint64_t most_us = elapsed_us + elapsed_us / 100 + 100000;

	return x->user_us > most_us || x->system_us > most_us - x->user_us;
}

static int
zygote_message(void *arg, struct imsg *m, struct err *e)
{
	struct zygote *z = arg;
	struct proto_exited exited;
	struct proto_ready ready;
	struct pool_run *r = run_of(z, m->hdr.run);
	struct err why = {0};

	switch (m->hdr.type) {
	case PROTO_READY:
		if (m->hdr.length != sizeof(ready))
			break;
		memcpy(&ready, m->payload, sizeof(ready));
		if (zygote_ready(z, &ready, &z->why) == 0)
			return 0;
		*e = z->why;
		return e->code;
	case PROTO_LOADED:
		if (m->hdr.length != 0 || !z->is_template || z->is_loaded)
			break;
		z->is_loaded = true;
		event_active(z->pool->sweep, EV_TIMEOUT, 0);
		pool_refill(z->pool);
		return 0;
	case PROTO_FAILED:
		err_set(&why, ERR_UNSUPPORTED, "%.*s", (int)m->hdr.length, (const char *)m->payload);
		if (r != NULL)
			return could_not_fork(r, &why);
		*e = why; /* the zygote itself cannot go on */
		return e->code;
	case PROTO_RUN_EXITED:
		if (m->hdr.length != sizeof(exited))
			break;
		memcpy(&exited, m->payload, sizeof(exited));
		if (r == NULL)
			return err_set(e, ERR_PROTOCOL, "a zygote reported a run that it was not given");
		if (is_impossible(r, &exited))
			return err_set(e, ERR_PROTOCOL, "a zygote reported more processor time than there was");
		if (r->ended == ended_unheard && (r->is_early || pool_is_crash(&exited)))
			heat_bar_parking(z->pool->heat, &z->key);
		if (pool_is_crash(&exited))
			retire(z);
		leave_out_past(r, &exited);
		run_ended(r, &exited, NULL);
		return 0;
	default:
		break;
	}
	return err_set(e, ERR_PROTOCOL, "a zygote sent message %u of %u bytes", m->hdr.type, m->hdr.length);
}

/* The zygote is gone, and with it, by the kernel's rules for pid namespaces, all its workers. */
static void
zygote_ended(void *arg, const struct proto_exited *exited, const struct err *why)
{
	struct zygote *z = arg;
	struct pool *p = z->pool;
	struct pool_run *r;
	struct err told = {0};
	bool was_retired = z->retired && z->why.code == 0;

	if (z->why.code != 0)
		told = z->why;
	else if (why->code != 0)
		told = *why;
	else if (exited != NULL && WIFSIGNALED(exited->wait_status))
		err_set(&told, ERR_IO, "the zygote was killed by signal %d", WTERMSIG(exited->wait_status));
	else
		err_set(&told, ERR_IO, "the zygote ended");
	LIST_REMOVE(z, link);
	forget(z);
	if (z->is_template && z->is_ready && !z->is_loaded && !was_retired)
		heat_bar(p->heat, &z->key); /* it would not load the next time either */
	while ((r = LIST_FIRST(&z->runs)) != NULL || (r = LIST_FIRST(&z->parked)) != NULL) {
		LIST_REMOVE(r, link);
		channel_free(r->job);
		r->ended(r->arg, NULL, &told);
		free(r);
	}
	look_for_room(p);
	if (z->key.engine == PROTO_ENGINE_PLAIN && !z->is_ready)
		tell_ready(p, &told);
	if (z->unready != NULL)
		event_free(z->unready);
	free(z);
}

static const struct child_events zygote_events = {zygote_message, zygote_ended};

static struct zygote *
zygote_new(struct pool *p, const struct heat_key *key, struct err *e)
{
	struct proto_spawn spawn = {.kind = PROTO_KIND_ZYGOTE, .engine = key->engine};
	struct timeval patience = {
	    .tv_sec = p->limits.ready_ms / 1000, .tv_usec = (suseconds_t)(p->limits.ready_ms % 1000 * 1000)};
	struct zygote *z = calloc(1, sizeof(*z));

	if (z == NULL) {
		err_set(e, ERR_NOMEM, "a zygote");
		return NULL;
	}
	z->pool = p;
	z->key = *key;
	z->born_ms = monotonic_ms();
	LIST_INIT(&z->runs);
	LIST_INIT(&z->parked);
	z->unready = evtimer_new(p->base, on_unready, z);
	if (z->unready == NULL || event_add(z->unready, &patience) != 0)
		err_set(e, ERR_NOMEM, "a zygote");
	else
		z->child = child_spawn(p->launcher, &spawn, &zygote_events, z, e);
	if (z->child == NULL) {
		if (z->unready != NULL)
			event_free(z->unready);
		free(z);
		return NULL;
	}
	LIST_INSERT_HEAD(&p->zygotes, z, link);
	return z;
}

/* Whether it has forked so often, or is so old, that it is to be replaced. */
static bool
is_worn(const struct zygote *z)
{
	const struct pool_limits *l = &z->pool->limits;

	return z->forks >= l->runs_max || (uint64_t)(monotonic_ms() - z->born_ms) >= l->minutes_max * 60000;
}

/* --- parked workers ------------------------------------------------------------------------------------------------ */

/* What a worker says before it has a run. */
static int
parked_message(void *arg, struct imsg *m, struct err *e)
{
	struct pool_run *r = arg;
	struct proto_parked said;

	if (m->hdr.type == PROTO_FAILED && !r->waits) { /* its end follows */
		heat_bar_parking(r->zygote->pool->heat, &r->zygote->key);
		return 0;
	}
	if (m->hdr.type != PROTO_PARKED || m->hdr.length != sizeof(said) || m->nfds != 0 || r->waits)
		return err_set(e, ERR_PROTOCOL, "a parked worker sent message %u of %u bytes", m->hdr.type, m->hdr.length);
	memcpy(&said, m->payload, sizeof(said));
	r->past_us = said.cpu_us;
	r->waits = true;
	return 0;
}

static void
parked_closed(void *arg, const struct err *why)
{
	struct pool_run *r = arg;

	if (why->code != ERR_EOF)
		heat_bar_parking(r->zygote->pool->heat, &r->zygote->key);
	r->is_early = !r->waits; /* it ended by itself if its zygote says so; else that is what ended */
	unpark(r);
}

/* Has a worker forked ahead of its run. That there is none is no reason why a run should not start. */
static int
park(struct zygote *z)
{
	struct pool *p = z->pool;
	struct pool_run *r = calloc(1, sizeof(*r));
	int sv[2], rc;

	if (r == NULL || imsg_pair(sv, NULL) != 0) {
		free(r);
		return ERR_NOMEM;
	}
	*r = (struct pool_run){.zygote = z, .run = PARKED_NUMBER | ++p->last_parked, .started_ms = monotonic_ms(),
	    .ended = ended_unheard, .limits = z->park};
	r->job = channel_new(p->base, sv[0], POOL_JOB_QUEUE_MAX, parked_message, parked_closed, r);
	rc = r->job == NULL ? ERR_NOMEM :
	    child_send(z->child, PROTO_PARK, r->run, &r->limits, sizeof(r->limits), &sv[1], 1, NULL);
	close(sv[1]);
	if (rc != 0) {
		channel_free(r->job);
		free(r);
		return rc;
	}
	LIST_INSERT_HEAD(&z->parked, r, link);
	z->forks++;
	return 0;
}

/* Counts runs by pieces of NEED_MS. */
static void
count_need(struct zygote *z, unsigned runs, int64_t now)
{
	if (now - z->need_ms >= NEED_MS) {
		z->need_before = now - z->need_ms < 2 * NEED_MS ? z->need : 0;
		z->need = 0;
		z->need_ms = now;
	}
	z->need += runs;
}

/* What the kernel says could be given without swapping; UINT64_MAX where it does not say. */
static uint64_t
memory_available(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib;
	uint64_t bytes = UINT64_MAX;
	char line[128];

	while (f != NULL && bytes == UINT64_MAX && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			bytes = kib * 1024;
	if (f != NULL)
		fclose(f);
	return bytes;
}

/* Whether memory is needed elsewhere. Looked at now and then. */
static bool
is_short_of_memory(struct pool *p, int64_t now)
{
	if (p->looked_ms == 0 || now - p->looked_ms >= LOOK_MS) {
		p->is_short = memory_available() < p->limits.spare_bytes;
		p->looked_ms = now;
	}
	return p->is_short;
}

/* How many workers of a template are to wait. */
static unsigned
wanted(struct zygote *z, int64_t now)
{
	const struct proto_park none = {0};
	struct pool *p = z->pool;
	unsigned n;

	if (!is_template(z) || !z->is_loaded || park_same(&z->park, &none) || !heat_may_park(p->heat, &z->key) ||
	    is_short_of_memory(p, now) || (p->full_ms != 0 && now - p->full_ms < FULL_MS))
		return 0;
	count_need(z, 0, now);
	n = z->need > z->need_before ? z->need : z->need_before;
	n = n > 1 ? n : 1;
	return n < p->limits.parked_max ? n : p->limits.parked_max;
}

/* What owners have is counted anew, for their weights of now. */
static void
begin_tally(struct pool *p)
{
	struct holder *h;

	holders_weigh(&p->owners);
	LIST_FOREACH(h, &p->owners.list, link)
		h->tally = 0;
}

/* Counts all, and those of each owner. */
static unsigned
count_all_parked(struct pool *p)
{
	struct zygote *z;
	unsigned n, all = 0;

	begin_tally(p);
	LIST_FOREACH(z, &p->zygotes, link) {
		all += n = count_parked(z);
		if (is_template(z))
			z->holder->tally += n;
	}
	return all;
}

/* Where the next worker is to be parked: of the templates that want more, one whose owner has least. NULL: nowhere. */
static struct zygote *
next_to_park(struct pool *p, int64_t now)
{
	struct zygote *z, *found = NULL;

	LIST_FOREACH(z, &p->zygotes, link)
		if (!z->cannot_park && count_parked(z) < wanted(z, now) &&
		    (found == NULL || holder_compare(z->holder, z->holder->tally, found->holder, found->holder->tally) < 0))
			found = z;
	return found;
}

/* Ends one worker that waits, of the owner who has most, if this one has less with one more. Returns whether it did. */
static bool
unpark_for(struct pool *p, struct holder *owner)
{
	struct zygote *z, *found = NULL;

	LIST_FOREACH(z, &p->zygotes, link)
		if (is_template(z) && count_parked(z) > 0 &&
		    (found == NULL || holder_compare(z->holder, z->holder->tally, found->holder, found->holder->tally) > 0))
			found = z;
	if (found == NULL || holder_compare(owner, owner->tally + 1, found->holder, found->holder->tally) >= 0)
		return false;
	found->holder->tally--; /* now: it may go with the last of its templates */
	thin_out(found, count_parked(found) - 1);
	return true;
}

/* Whether short runs have all processors: what is forked ahead of others then is not there any sooner, and costs more. */
static bool
is_busy(const struct pool *p, int64_t now)
{
	const struct pool_run *r;
	const struct zygote *z;
	unsigned n = 0;

	LIST_FOREACH(z, &p->zygotes, link) {
		LIST_FOREACH(r, &z->runs, link) { /* the last one is the first */
			if (now - r->begun_ms > p->limits.short_ms)
				break;
			n++;
		}
		if (n >= p->limits.processors)
			return true;
	}
	return false;
}

static void
on_refill(evutil_socket_t fd, short what, void *arg)
{
	struct pool *p = arg;
	const struct timeval later = {.tv_usec = BUSY_MS * 1000};
	int64_t now = monotonic_ms();
	struct zygote *z;
	unsigned all;

	(void)fd;
	(void)what;
	LIST_FOREACH(z, &p->zygotes, link) {
		thin_out(z, wanted(z, now) > 0 ? p->limits.parked_max : 0);
		z->cannot_park = false;
	}
	if (is_busy(p, now)) {
		event_add(p->refill, &later);
		return;
	}
	all = count_all_parked(p);
	while ((z = next_to_park(p, now)) != NULL) {
		if (all >= p->limits.parked_total && !unpark_for(p, z->holder))
			break;
		all -= all >= p->limits.parked_total;
		z->cannot_park = park(z) != 0;
		z->holder->tally += !z->cannot_park;
		all += !z->cannot_park;
	}
}

void
pool_refill(struct pool *p)
{
	if (p->limits.parked_max > 0)
		event_active(p->refill, EV_TIMEOUT, 0);
}

/* The limits that runs of this module have. A single one with others does not make those of all. */
static void
note_limits(struct zygote *z, const struct proto_park *limits)
{
	const struct proto_park none = {0};

	if (park_same(limits, &z->park_new) || park_same(&z->park, &none))
		z->park = *limits;
	z->park_new = *limits;
}

/* A worker that waits for a run with these limits, or NULL. */
static struct pool_run *
find_parked(struct zygote *z, const struct proto_park *limits)
{
	struct pool_run *r;

	LIST_FOREACH(r, &z->parked, link)
		if (r->waits && park_same(&r->limits, limits))
			break;
	return r;
}

/* --- templates ---------------------------------------------------------------------------------------------------- */

/* Its module is a language pack that does not ask for its job. */
static void
give_up(struct zygote *z)
{
	struct err e = {0};

	heat_bar(z->pool->heat, &z->key);
	err_set(&e, ERR_IO, "a template was not loaded after %u ms", z->pool->limits.ready_ms);
	zygote_condemn(z, &e);
}

/* Of what an owner has too much. */
static unsigned
templates_of(const struct holder *h)
{
	return h->count;
}

static unsigned
tally_of(const struct holder *h)
{
	return h->tally;
}

/* Whether `z` is to give way rather than `other` (NULL: none): its owner has more, or it is used less. */
static bool
goes_before(const struct pool *p, const struct zygote *z, const struct zygote *other,
    unsigned (*has)(const struct holder *h), int64_t now)
{
	int more;

	if (other == NULL)
		return true;
	more = holder_compare(z->holder, has(z->holder), other->holder, has(other->holder));
	return more > 0 || (more == 0 && heat_of(p->heat, &z->key, now) < heat_of(p->heat, &other->key, now));
}

static unsigned
in_mib(uint64_t bytes)
{
	return (unsigned)(bytes >> 20);
}

/* Looks how much memory templates have: sum, and MiB of each owner as their tally. */
static uint64_t
weigh_templates(struct pool *p)
{
	uint64_t all = 0;
	struct zygote *z;

	begin_tally(p);
	LIST_FOREACH(z, &p->zygotes, link) {
		struct process_memory memory;

		if (!is_template(z))
			continue;
		if (z->is_loaded && process_memory(child_pid(z->child), &memory) == 0)
			z->own_bytes = memory.own_bytes;
		all += z->own_bytes;
		z->holder->tally += in_mib(z->own_bytes);
	}
	return all;
}

/* Lets templates go while they have too much memory. */
static void
keep_within(struct pool *p, int64_t now)
{
	uint64_t all = weigh_templates(p);

	while (all > p->limits.templates_bytes) {
		struct zygote *z, *last = NULL;

		LIST_FOREACH(z, &p->zygotes, link)
			if (is_template(z) && z->own_bytes > 0 && goes_before(p, z, last, tally_of, now))
				last = z;
		all -= last->own_bytes;
		last->holder->tally -= in_mib(last->own_bytes);
		p->tight_ms = now;
		retire(last);
	}
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval again = {.tv_sec = SWEEP_S};
	struct pool *p = arg;
	struct zygote *z;
	int64_t now = monotonic_ms();

	(void)fd;
	(void)what;
	LIST_FOREACH(z, &p->zygotes, link) {
		if (is_template(z) && !z->is_loaded && now - z->born_ms >= p->limits.ready_ms)
			give_up(z);
		else if (is_template(z) && heat_of(p->heat, &z->key, now) < POOL_COLD)
			retire(z);
		else
			thin_out(z, wanted(z, now));
	}
	keep_within(p, now);
	if (p->templates > 0)
		event_add(p->sweep, &again);
}

static struct zygote *
template_of(struct pool *p, const struct heat_key *key)
{
	struct zygote *z;

	LIST_FOREACH(z, &p->zygotes, link)
		if (is_template(z) && heat_same(&z->key, key))
			break;
	return z;
}

/*
 * The template that gives way to another one of `owner`'s, which is that hot: of those who have too much, whatever it is;
 * else one that is used half as much, unless it is part of a share and hot. `owner` counts the new one already.
 */
static struct zygote *
gives_way(struct pool *p, const struct holder *owner, double heat, int64_t now)
{
	struct zygote *z, *excess = NULL, *cold = NULL;
	double least = heat / 2;

	holders_weigh(&p->owners);
	LIST_FOREACH(z, &p->zygotes, link) {
		double of = heat_of(p->heat, &z->key, now);
		int less;

		if (!is_template(z))
			continue;
		less = z->holder == owner ? 0 : holder_compare(owner, owner->count, z->holder, z->holder->count);
		if (less < 0 && goes_before(p, z, excess, templates_of, now))
			excess = z;
		if (of < least && (less <= 0 || of < POOL_HOT)) {
			least = of;
			cold = z;
		}
	}
	return excess != NULL ? excess : cold;
}

/* Gives a new zygote the module that it is to hold. */
static int
send_module(struct zygote *z, int artifact, const struct pool_warm *warm)
{
	int fds[2] = {artifact, warm != NULL ? warm->blob : -1};

	if (warm == NULL)
		return child_send(z->child, PROTO_LOAD, 0, NULL, 0, fds, 1, NULL);
	return child_send(z->child, PROTO_WARM, 0, &warm->start, sizeof(warm->start), fds, 2, NULL);
}

/* Makes a template, if it is worth one. That there is none is no reason why a run should not start. */
static void
make_template(struct pool *p, const struct heat_key *key, double heat, int artifact, const struct pool_warm *warm,
    int64_t now)
{
	const struct timeval later = {.tv_sec = SWEEP_S};
	struct zygote *z = NULL, *other = NULL;
	struct holder *holder;

	if (p->tight_ms != 0 && now - p->tight_ms < TIGHT_MS)
		return;
	if (heat < POOL_HOT || artifact < 0 || (holder = holders_enter(&p->owners, key->owner)) == NULL)
		return;
	if (p->templates < p->limits.templates_max || (other = gives_way(p, holder, heat, now)) != NULL)
		z = zygote_new(p, key, NULL);
	if (z == NULL) {
		holders_leave(holder);
		return;
	}
	z->is_template = true;
	z->holder = holder;
	p->templates++;
	if (other != NULL)
		retire(other);
	if (send_module(z, artifact, warm) != 0)
		retire(z);
	if (!event_pending(p->sweep, EV_TIMEOUT, NULL))
		event_add(p->sweep, &later);
}

void
pool_renew(struct pool *p, const struct digest *module)
{
	struct zygote *z;

	LIST_FOREACH(z, &p->zygotes, link)
		if (is_template(z) && (module == NULL || digest_equal(&z->key.module, module)))
			retire(z);
	heat_lift_bars(p->heat);
}

/* The zygote without a module: the current one, unless it is time for a new one. */
static struct zygote *
general_zygote(struct pool *p, uint32_t engine, struct err *e)
{
	const struct heat_key key = {.engine = engine};
	struct zygote *z = p->current[engine];
	struct zygote *fresh;

	if (z != NULL && !is_worn(z))
		return z;
	if ((fresh = zygote_new(p, &key, e)) == NULL)
		return NULL;
	if (z != NULL)
		retire(z);
	p->current[engine] = fresh;
	return fresh;
}

struct pool *
pool_new(struct event_base *base, struct launcher *launcher, const struct pool_limits *limits,
    void (*ready)(void *arg, const struct err *why), void *arg)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->base = base;
	p->launcher = launcher;
	p->limits = *limits;
	p->ready = ready;
	p->arg = arg;
	LIST_INIT(&p->zygotes);
	holders_init(&p->owners, limits->weight, limits->weight_arg);
	p->heat = heat_new((size_t)KEYS_MORE * limits->templates_max + 1, limits->weight, limits->weight_arg);
	p->sweep = evtimer_new(base, on_sweep, p);
	p->refill = evtimer_new(base, on_refill, p);
	p->cleared = evtimer_new(base, on_cleared, p);
	if (p->heat == NULL || p->sweep == NULL || p->refill == NULL || p->cleared == NULL ||
	    general_zygote(p, PROTO_ENGINE_PLAIN, NULL) == NULL) {
		pool_free(p);
		return NULL;
	}
	return p;
}

/* Call it after child_launcher_free, which ends every zygote. */
void
pool_free(struct pool *p)
{
	if (p == NULL)
		return;
	heat_free(p->heat);
	if (p->sweep != NULL)
		event_free(p->sweep);
	if (p->refill != NULL)
		event_free(p->refill);
	if (p->cleared != NULL)
		event_free(p->cleared);
	free(p);
}

void
pool_on_room(struct pool *p, void (*room)(void *arg), void *arg)
{
	p->room = room;
	p->room_arg = arg;
}

bool
pool_is_clearing(const struct pool *p)
{
	return p->is_clearing;
}

/* Picks a template that has its module, if there is one, and makes one for the next runs if it pays. */
static struct zygote *
pick_template(struct pool *p, const struct heat_key *key, int artifact, const struct pool_warm *warm)
{
	int64_t now = monotonic_ms();
	double heat = heat_note(p->heat, key, now);
	struct zygote *z = template_of(p, key);

	if (z != NULL && is_worn(z)) {
		retire(z);
		z = NULL;
	}
	if (z == NULL)
		make_template(p, key, heat, artifact, warm, now);
	else
		count_need(z, 1, now);
	return z != NULL && z->is_loaded ? z : NULL;
}

bool
pool_lacks(struct pool *p, const struct heat_key *key)
{
	double heat = heat_note(p->heat, key, monotonic_ms());
	const struct zygote *z = template_of(p, key);

	if (p->tight_ms != 0 && monotonic_ms() - p->tight_ms < TIGHT_AHEAD_MS)
		return false; /* it may have been that one which had to go */
	return heat > 0 && (z == NULL ? p->templates < p->limits.templates_max : is_worn(z));
}

void
pool_keep(struct pool *p, const struct heat_key *key, int artifact, const struct pool_warm *warm)
{
	struct zygote *z = template_of(p, key);

	if (z != NULL && !is_worn(z))
		return;
	if (z != NULL)
		retire(z);
	if (p->templates < p->limits.templates_max)
		make_template(p, key, POOL_HOT, artifact, warm, monotonic_ms());
}

int
pool_pick(struct pool *p, const struct heat_key *key, int artifact, const struct proto_park *park,
    const struct pool_warm *warm, struct pool_place *place, struct err *e)
{
	struct zygote *z = p->limits.templates_max > 0 ? pick_template(p, key, artifact, warm) : NULL;

	*place = (struct pool_place){.zygote = z, .is_loaded = z != NULL};
	if (z != NULL && park != NULL) {
		place->parked = find_parked(z, park);
		note_limits(z, park);
	}
	if (z == NULL)
		place->zygote = general_zygote(p, key->engine, e);
	return place->zygote != NULL ? 0 : ERR_IO;
}

struct pool_run *
pool_start(const struct pool_place *place, uint64_t run, const struct proto_run *limits, int job, pool_ended_fn *ended,
    void *arg, struct err *e)
{
	struct zygote *z = place->zygote;
	struct pool_run *r = calloc(1, sizeof(*r));
	int64_t started_ms = monotonic_ms();
	int rc;

	if (r == NULL) {
		err_set(e, ERR_NOMEM, "a run");
		return NULL;
	}
	rc = child_send(z->child, PROTO_RUN, run, limits, sizeof(*limits), &job, 1, e);
	if (rc == 0) {
		*r = (struct pool_run){.zygote = z, .run = run, .started_ms = started_ms, .begun_ms = started_ms, .ended = ended,
		    .arg = arg};
		LIST_INSERT_HEAD(&z->runs, r, link);
		z->forks++;
		z->hits++;
		return r;
	}
	if (rc == ERR_EOF)
		forget(z);
	free(r);
	return NULL;
}

struct pool_run *
pool_take(const struct pool_place *place, uint64_t wall_ms, struct channel **job, pool_ended_fn *ended, void *arg,
    struct err *e)
{
	const struct timeval later = {.tv_usec = REFILL_MS * 1000};
	const struct proto_take take = {.wall_ms = wall_ms};
	struct pool_run *r = place->parked;
	struct zygote *z = r->zygote;
	int rc = child_send(z->child, PROTO_TAKE, r->run, &take, sizeof(take), NULL, 0, e);

	if (rc == ERR_EOF)
		forget(z);
	if (rc != 0)
		return NULL;
	LIST_REMOVE(r, link);
	LIST_INSERT_HEAD(&z->runs, r, link);
	z->hits++;
	*job = r->job;
	r->job = NULL;
	r->begun_ms = monotonic_ms();
	r->ended = ended;
	r->arg = arg;
	if (!event_pending(z->pool->refill, EV_TIMEOUT, NULL))
		event_add(z->pool->refill, &later);
	return r;
}

void
pool_drop(struct pool_run *r)
{
	r->ended = ended_unheard;
	pool_kill(r);
}

void
pool_kill(struct pool_run *r)
{
	struct err e = {0};

	if (child_send(r->zygote->child, PROTO_RUN_KILL, r->run, NULL, 0, NULL, 0, &e) != 0)
		zygote_condemn(r->zygote, &e);
}

void
pool_condemn(struct pool_run *r, const char *reason)
{
	struct err e = {0};

	err_set(&e, ERR_IO, "%s", reason);
	zygote_condemn(r->zygote, &e);
}

const struct proto_ready *
pool_ready(const struct pool *p)
{
	return p->has_ready ? &p->ready_state : NULL;
}

unsigned
pool_zygotes(const struct pool *p)
{
	const struct zygote *z;
	unsigned n = 0;

	LIST_FOREACH(z, &p->zygotes, link)
		n++;
	return n;
}

unsigned
pool_parked(const struct pool *p)
{
	const struct pool_run *r;
	const struct zygote *z;
	unsigned n = 0;

	LIST_FOREACH(z, &p->zygotes, link)
		LIST_FOREACH(r, &z->parked, link)
			n += r->waits;
	return n;
}

unsigned
pool_templates(const struct pool *p)
{
	return p->templates;
}

void
pool_each_template(const struct pool *p, void (*fn)(void *arg, const struct pool_template *t), void *arg)
{
	int64_t now = monotonic_ms();
	const struct pool_run *r;
	const struct zygote *z;

	LIST_FOREACH(z, &p->zygotes, link) {
		struct pool_template t = {.key = z->key, .heat = heat_of(p->heat, &z->key, now), .forks = z->forks,
		    .hits = z->hits, .age_ms = now - z->born_ms, .pid = child_pid(z->child)};

		if (!is_template(z))
			continue;
		LIST_FOREACH(r, &z->runs, link)
			t.running++;
		LIST_FOREACH(r, &z->parked, link)
			t.parked += r->waits;
		fn(arg, &t);
	}
}
