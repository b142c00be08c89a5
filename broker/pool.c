/* broker/pool: the zygotes, kept running and replaced in time; every run is a fork of one. brigd. */

#include "broker/pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <time.h>

#define ENGINES 2

struct pool_run {
	LIST_ENTRY(pool_run) link;
	struct zygote *zygote;
	uint64_t run;
	pool_ended_fn *ended;
	void *arg;
};

struct zygote {
	LIST_ENTRY(zygote) link;
	struct pool *pool;
	struct child *child;
	uint32_t engine;
	bool is_ready;
	bool retired;       /* starts nothing any more; goes when its runs have */
	uint64_t forks;
	time_t born;        /* CLOCK_MONOTONIC */
	struct err why;     /* from FAILED */
	LIST_HEAD(, pool_run) runs;
};

struct pool {
	struct event_base *base;
	struct launcher *launcher;
	struct pool_limits limits;
	struct zygote *current[ENGINES];
	LIST_HEAD(, zygote) zygotes;
	bool has_ready;
	struct proto_ready ready_state;
	void (*ready)(void *arg, const struct err *why); /* NULL once called */
	void *arg;
	uint64_t replaced;
};

static time_t
monotonic_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

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
	if (z->engine == PROTO_ENGINE_PLAIN) {
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
	case PROTO_FAILED:
		err_set(&why, ERR_UNSUPPORTED, "%.*s", (int)m->hdr.length, (const char *)m->payload);
		if (r != NULL)
			run_ended(r, NULL, &why); /* this one could not be forked */
		else
			z->why = why; /* the zygote itself cannot go on */
		return 0;
	case PROTO_RUN_EXITED:
		if (m->hdr.length != sizeof(exited))
			break;
		memcpy(&exited, m->payload, sizeof(exited));
		if (r != NULL) {
			run_ended(r, &exited, NULL);
			return 0;
		}
		return err_set(e, ERR_PROTOCOL, "a zygote reported a run that it was not given");
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

	if (z->why.code != 0)
		told = z->why;
	else if (why->code != 0)
		told = *why;
	else if (exited != NULL && WIFSIGNALED(exited->wait_status))
		err_set(&told, ERR_IO, "the zygote was killed by signal %d", WTERMSIG(exited->wait_status));
	else
		err_set(&told, ERR_IO, "the zygote ended");
	LIST_REMOVE(z, link);
	if (p->current[z->engine] == z)
		p->current[z->engine] = NULL;
	p->replaced++;
	while ((r = LIST_FIRST(&z->runs)) != NULL) {
		LIST_REMOVE(r, link);
		r->ended(r->arg, NULL, &told);
		free(r);
	}
	if (z->engine == PROTO_ENGINE_PLAIN && !z->is_ready)
		tell_ready(p, &told);
	free(z);
}

static const struct child_events zygote_events = {zygote_message, zygote_ended};

static struct zygote *
zygote_new(struct pool *p, uint32_t engine, struct err *e)
{
	struct proto_spawn spawn = {.kind = PROTO_KIND_ZYGOTE, .engine = engine};
	struct zygote *z = calloc(1, sizeof(*z));

	if (z == NULL) {
		err_set(e, ERR_NOMEM, "a zygote");
		return NULL;
	}
	z->pool = p;
	z->engine = engine;
	z->born = monotonic_s();
	LIST_INIT(&z->runs);
	z->child = child_spawn(p->launcher, &spawn, &zygote_events, z, e);
	if (z->child == NULL) {
		free(z);
		return NULL;
	}
	LIST_INSERT_HEAD(&p->zygotes, z, link);
	p->current[engine] = z;
	return z;
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
	if (zygote_new(p, PROTO_ENGINE_PLAIN, NULL) == NULL) {
		free(p);
		return NULL;
	}
	return p;
}

/* Call it after child_launcher_free, which ends every zygote. */
void
pool_free(struct pool *p)
{
	free(p);
}

/* The zygote to fork next from: the current one, unless it is time for a new one. */
static struct zygote *
zygote_for(struct pool *p, uint32_t engine, struct err *e)
{
	struct zygote *z = p->current[engine];
	struct zygote *fresh;

	if (z != NULL && z->forks < p->limits.runs_max &&
	    (uint64_t)(monotonic_s() - z->born) < p->limits.minutes_max * 60)
		return z;
	fresh = zygote_new(p, engine, e);
	if (fresh == NULL)
		return NULL;
	if (z != NULL) {
		z->retired = true;
		retire_if_idle(z);
	}
	return fresh;
}

struct pool_run *
pool_start(struct pool *p, uint32_t engine, uint64_t run, const struct proto_run *limits, int job, pool_ended_fn *ended,
    void *arg, struct err *e)
{
	struct pool_run *r = calloc(1, sizeof(*r));
	int rc = ERR_EOF;

	if (r == NULL)
		err_set(e, ERR_NOMEM, "a run");
	/* A zygote that has died but has not been reaped yet is found out by talking to it: then another takes the run. */
	for (int attempt = 0; r != NULL && rc == ERR_EOF && attempt < 2; attempt++) {
		struct zygote *z = zygote_for(p, engine, e);

		rc = z == NULL ? ERR_IO : child_send(z->child, PROTO_RUN, run, limits, sizeof(*limits), &job, 1, e);
		if (rc == 0) {
			*r = (struct pool_run){.zygote = z, .run = run, .ended = ended, .arg = arg};
			LIST_INSERT_HEAD(&z->runs, r, link);
			z->forks++;
			return r;
		}
		if (z != NULL && rc == ERR_EOF)
			p->current[engine] = NULL;
	}
	free(r);
	return NULL;
}

void
pool_kill(struct pool_run *r)
{
	if (child_send(r->zygote->child, PROTO_RUN_KILL, r->run, NULL, 0, NULL, 0, NULL) != 0)
		pool_condemn(r);
}

void
pool_condemn(struct pool_run *r)
{
	struct pool *p = r->zygote->pool;

	if (p->current[r->zygote->engine] == r->zygote)
		p->current[r->zygote->engine] = NULL;
	child_kill(r->zygote->child);
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

uint64_t
pool_replaced(const struct pool *p)
{
	return p->replaced;
}
