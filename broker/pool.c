/* broker/pool: the zygotes, kept running and replaced in time; those for modules that are run often. brigd. */

#include "broker/pool.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>

#include "base/monotonic.h"

#define ENGINES   2
#define SWEEP_S   5   /* how often templates are looked at that may be used no more */
#define KEYS_MORE 16  /* modules whose heat is known, for each template that there can be */

struct pool_run {
	LIST_ENTRY(pool_run) link;
	struct zygote *zygote;
	uint64_t run;
	int64_t started_ms;
	pool_ended_fn *ended;
	void *arg;
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
	int64_t born_ms;    /* monotonic */
	struct err why;     /* why it has to go, or goes */
	struct event *unready; /* until it is ready: when it should have been long since */
	LIST_HEAD(, pool_run) runs;
};

struct pool {
	struct event_base *base;
	struct launcher *launcher;
	struct pool_limits limits;
	struct zygote *current[ENGINES];
	LIST_HEAD(, zygote) zygotes;
	struct heat *heat;
	unsigned templates; /* not retired */
	struct event *sweep;
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
	if (is_template(z))
		p->templates--;
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
	return NULL;
}

/* Ends one run: its worker is gone, or never was. */
static void
run_ended(struct pool_run *r, const struct proto_exited *exited, const struct err *why)
{
	struct zygote *z = r->zygote;

	LIST_REMOVE(r, link);
	r->ended(r->arg, exited, why);
	free(r);
	retire_if_idle(z);
}

bool
pool_is_crash(const struct proto_exited *exited)
{
	int signal = WIFSIGNALED(exited->wait_status) ? WTERMSIG(exited->wait_status) : 0;

	return signal != 0 && signal != SIGKILL && signal != PROTO_END_SIGNAL && signal != SIGXCPU;
}

/* Lets a zygote end once its runs have: nothing is started in it any more. */
static void
retire(struct zygote *z)
{
	forget(z);
	retire_if_idle(z);
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
		return 0;
	case PROTO_FAILED:
		err_set(&why, ERR_UNSUPPORTED, "%.*s", (int)m->hdr.length, (const char *)m->payload);
		if (r != NULL) {
			run_ended(r, NULL, &why); /* this one could not be forked */
			return 0;
		}
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
		if (pool_is_crash(&exited))
			retire(z);
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
	while ((r = LIST_FIRST(&z->runs)) != NULL) {
		LIST_REMOVE(r, link);
		r->ended(r->arg, NULL, &told);
		free(r);
	}
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

/* --- templates ---------------------------------------------------------------------------------------------------- */

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval again = {.tv_sec = SWEEP_S};
	struct pool *p = arg;
	struct zygote *z;
	int64_t now = monotonic_ms();

	(void)fd;
	(void)what;
	LIST_FOREACH(z, &p->zygotes, link)
		if (is_template(z) && heat_of(p->heat, &z->key, now) < POOL_COLD)
			retire(z);
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

/* The template that is used least, if it is used half as much as what is that hot. */
static struct zygote *
coldest(struct pool *p, double heat, int64_t now)
{
	struct zygote *z, *found = NULL;
	double least = heat / 2;

	LIST_FOREACH(z, &p->zygotes, link) {
		double of = is_template(z) ? heat_of(p->heat, &z->key, now) : least;

		if (of < least) {
			least = of;
			found = z;
		}
	}
	return found;
}

/* Makes a template, if it is worth one. That there is none is no reason why a run should not start. */
static void
make_template(struct pool *p, const struct heat_key *key, double heat, int artifact, int64_t now)
{
	const struct timeval later = {.tv_sec = SWEEP_S};
	struct zygote *z, *other = NULL;

	if (heat < POOL_HOT || artifact < 0 || p->limits.templates_max == 0)
		return;
	if (p->templates >= p->limits.templates_max && (other = coldest(p, heat, now)) == NULL)
		return;
	if ((z = zygote_new(p, key, NULL)) == NULL)
		return;
	z->is_template = true;
	p->templates++;
	if (other != NULL)
		retire(other);
	if (child_send(z->child, PROTO_LOAD, 0, NULL, 0, &artifact, 1, NULL) != 0)
		retire(z);
	if (!event_pending(p->sweep, EV_TIMEOUT, NULL))
		event_add(p->sweep, &later);
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
	p->heat = heat_new((size_t)KEYS_MORE * limits->templates_max + 1);
	p->sweep = evtimer_new(base, on_sweep, p);
	if (p->heat == NULL || p->sweep == NULL || general_zygote(p, PROTO_ENGINE_PLAIN, NULL) == NULL) {
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
	free(p);
}

/* Picks a template that has its module, if there is one, and makes one for the next runs if it pays. */
static struct zygote *
pick_template(struct pool *p, const struct heat_key *key, int artifact)
{
	int64_t now = monotonic_ms();
	double heat = heat_note(p->heat, key, now);
	struct zygote *z = template_of(p, key);

	if (z != NULL && is_worn(z)) {
		retire(z);
		z = NULL;
	}
	if (z == NULL)
		make_template(p, key, heat, artifact, now);
	return z != NULL && z->is_loaded ? z : NULL;
}

int
pool_pick(struct pool *p, const struct heat_key *key, int artifact, struct pool_place *place, struct err *e)
{
	struct zygote *z = p->limits.templates_max > 0 ? pick_template(p, key, artifact) : NULL;

	*place = (struct pool_place){.zygote = z, .is_loaded = z != NULL};
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
		*r = (struct pool_run){.zygote = z, .run = run, .started_ms = started_ms, .ended = ended, .arg = arg};
		LIST_INSERT_HEAD(&z->runs, r, link);
		z->forks++;
		return r;
	}
	if (rc == ERR_EOF)
		forget(z);
	free(r);
	return NULL;
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
		    .age_ms = now - z->born_ms, .pid = child_pid(z->child)};

		if (!is_template(z))
			continue;
		LIST_FOREACH(r, &z->runs, link)
			t.running++;
		fn(arg, &t);
	}
}
