/* broker/artifacts: compiled modules: in memory, from the store, or compiled now, once for all who wait. brigd. */

#include "broker/artifacts.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memfd.h"
#include "base/monotonic.h"
#include "base/proto.h"
#include "broker/turns.h"

enum state {
	ASKING_STORE, /* someone waits; the store was asked */
	QUEUED,       /* to be compiled, when a compiler is free */
	COMPILING,
	CACHED,       /* there is a file */
	FAILED,       /* does not compile: error and why say how */
	GIVEN_UP,     /* an attempt ended without an answer: spent_us says what it cost */
};

struct artifact_wait {
	LIST_ENTRY(artifact_wait) link;
	struct turn turn;             /* while its entry is QUEUED */
	struct artifact_asker asker;
	struct entry *entry;
	artifact_fn *fn;
	void *arg;
};

/*
 * What is known of one (digest, engine). In `table` always; in `cached` when CACHED, in `failed` when FAILED or GIVEN_UP, in
 * `at_work` when COMPILING; when QUEUED its waits are in one of the queues.
 */
struct entry {
	LIST_ENTRY(entry) bucket;
	TAILQ_ENTRY(entry) order;
	LIST_ENTRY(entry) work;
	struct artifacts *artifacts;
	struct digest digest;
	uint32_t engine;
	enum state state;
	LIST_HEAD(, artifact_wait) waits;
	int module;           /* the module's memfd while it may have to be compiled; -1 otherwise */
	size_t module_size;
	int fd;               /* COMPILING: what the compiler writes to; -1 otherwise */
	struct artifact_file *file; /* CACHED */
	size_t size;
	struct artifact_asker asker; /* COMPILING: in whose turn */
	struct child *compiler;
	struct event *deadline;
	bool timed_out;
	bool abandoned;       /* COMPILING: killed, because nobody waited any more */
	bool ready;           /* COMPILING: READY has come */
	bool done;            /* COMPILING: COMPILED or FAILED has come */
	int64_t started_ms;   /* COMPILING: since when */
	uint64_t claimed_size; /* of the artifact, as the compiler says */
	uint64_t compile_us;
	uint64_t allowed_ms;  /* COMPILING: how much time it has */
	uint64_t spent_us;    /* processor time of the attempts that have ended */
	enum rpc_error error;
	struct err why;
};

#define BUCKETS 1024

/* How long compiling takes, until it was measured here; modules of fewer bytes tell more of the start of a process. */
#define US_PER_BYTE    0.2
#define RATE_BYTES_MIN 100000

struct artifacts {
	struct event_base *base;
	struct service_client *store;
	struct launcher *launcher;
	struct artifacts_limits limits;
	LIST_HEAD(, entry) table[BUCKETS];
	TAILQ_HEAD(entries, entry) cached, failed;
	LIST_HEAD(, entry) at_work;
	struct turns queue;   /* of waits */
	struct turns ahead;   /* the same, of those ahead */
	size_t cached_bytes, cached_count, failed_count;
	size_t queued;        /* entries */
	unsigned compiling, compiling_ahead;
	bool held_back;       /* one compiler, and none ahead */
	double us_per_byte;   /* of late */
	struct artifacts_counts counts;
	struct event *kick; /* starts compilers from the event loop, so that no answer comes inside a question */
};

/* --- the table ------------------------------------------------------------------------------------------------ */

static size_t
bucket_of(const struct digest *d)
{
	return (d->bytes[0] | (size_t)d->bytes[1] << 8) % BUCKETS;
}

static struct entry *
entry_find(struct artifacts *a, const struct digest *digest, uint32_t engine)
{
	struct entry *n;

	LIST_FOREACH(n, &a->table[bucket_of(digest)], bucket)
		if (n->engine == engine && memcmp(&n->digest, digest, sizeof(*digest)) == 0)
			return n;
	return NULL;
}

static struct entry *
entry_new(struct artifacts *a, const struct digest *digest, uint32_t engine)
{
	struct entry *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return NULL;
	n->artifacts = a;
	n->digest = *digest;
	n->engine = engine;
	n->module = n->fd = -1;
	LIST_INIT(&n->waits);
	LIST_INSERT_HEAD(&a->table[bucket_of(digest)], n, bucket);
	return n;
}

static void
close_module(struct entry *n)
{
	if (n->module >= 0)
		close(n->module);
	n->module = -1;
}

/* Frees an entry for which nobody waits and which is in no list but the table. */
static void
entry_free(struct entry *n)
{
	LIST_REMOVE(n, bucket);
	close_module(n);
	if (n->fd >= 0)
		close(n->fd);
	artifact_release(n->file);
	if (n->deadline != NULL)
		event_free(n->deadline);
	free(n);
}

/* Takes an entry out of the list of what is remembered. */
static void
leave_list(struct entry *n)
{
	struct artifacts *a = n->artifacts;

	if (n->state == CACHED) {
		TAILQ_REMOVE(&a->cached, n, order);
		a->cached_bytes -= n->size;
		a->cached_count--;
	} else {
		TAILQ_REMOVE(&a->failed, n, order);
		a->failed_count--;
	}
}

static void
forget(struct entry *n)
{
	leave_list(n);
	entry_free(n);
}

/* The oldest of those that cost the least. */
static struct entry *
cheapest_failure(struct artifacts *a)
{
	struct entry *n, *cheapest = TAILQ_FIRST(&a->failed);

	TAILQ_FOREACH(n, &a->failed, order)
		if (n->spent_us < cheapest->spent_us)
			cheapest = n;
	return cheapest;
}

/* Makes room by forgetting what was used longest ago; the file of one that a run holds stays open until that has ended. */
static void
trim(struct artifacts *a)
{
	while (a->cached_count > 1 &&
	    (a->cached_count > a->limits.cache_entries || a->cached_bytes > a->limits.cache_bytes))
		forget(TAILQ_FIRST(&a->cached));
	while (a->failed_count > a->limits.failures)
		forget(cheapest_failure(a));
}

/* --- answers -------------------------------------------------------------------------------------------------- */

static void
tell_all(struct entry *n, const struct artifact *artifact)
{
	struct artifact_wait *w;

	while ((w = LIST_FIRST(&n->waits)) != NULL) {
		LIST_REMOVE(w, link);
		w->fn(w->arg, artifact, n->error, &n->why);
		free(w);
	}
}

static void become_failed(struct entry *n, enum state state);

/* Takes the descriptor. */
static void
become_cached(struct entry *n, int fd, size_t size, bool compiled)
{
	struct artifacts *a = n->artifacts;
	struct artifact artifact = {calloc(1, sizeof(*artifact.file)), size, compiled, compiled ? n->compile_us : 0,
	    n->compile_us};

	if (artifact.file == NULL) {
		close(fd);
		n->error = RPC_internal_error;
		err_set(&n->why, ERR_NOMEM, "an artifact");
		become_failed(n, GIVEN_UP);
		return;
	}
	*artifact.file = (struct artifact_file){fd, 1, compiled};
	n->state = CACHED;
	n->file = artifact.file;
	n->size = size;
	close_module(n);
	TAILQ_INSERT_TAIL(&a->cached, n, order);
	a->cached_bytes += size;
	a->cached_count++;
	a->counts.hits += !compiled;
	tell_all(n, &artifact);
	trim(a);
}

/* Tells everybody the entry's error, and keeps the entry in `state`. */
static void
become_failed(struct entry *n, enum state state)
{
	struct artifacts *a = n->artifacts;

	n->state = state;
	close_module(n);
	a->counts.failed += !LIST_EMPTY(&n->waits);
	TAILQ_INSERT_TAIL(&a->failed, n, order);
	a->failed_count++;
	tell_all(n, NULL);
	trim(a);
}

/* Nobody waits for the entry any more. What was spent on it still counts. */
static void
set_aside(struct entry *n)
{
	if (n->spent_us == 0)
		entry_free(n);
	else
		become_failed(n, GIVEN_UP);
}

struct artifact_file *
artifact_hold(struct artifact_file *file)
{
	file->holders++;
	return file;
}

void
artifact_release(struct artifact_file *file)
{
	if (file == NULL || --file->holders > 0)
		return;
	close(file->fd);
	free(file);
}

/* --- compiling ------------------------------------------------------------------------------------------------ */

/* Keeps a fresh artifact for the next start of brigd. That it could not be stored is no harm to this run. */
static void
store_artifact(struct entry *n, int fd)
{
	struct proto_store put = {.kind = PROTO_STORE_ARTIFACT, .engine = n->engine, .digest = n->digest};

	service_ask(n->artifacts->store, PROTO_STORE_PUT, &put, sizeof(put), fd, NULL, NULL, NULL);
}

/* Puts one who waits into the queue. */
static void
queue_wait(struct artifact_wait *w)
{
	struct artifacts *a = w->entry->artifacts;

	turns_add(w->asker.ahead ? &a->ahead : &a->queue, &w->turn, w->asker.owner, w);
	event_active(a->kick, 0, 0);
}

static void
unqueue_wait(struct artifact_wait *w)
{
	struct artifacts *a = w->entry->artifacts;

	turns_remove(w->asker.ahead ? &a->ahead : &a->queue, &w->turn);
}

/* Has an entry wait for a compiler, in the turn of each who waits for it. */
static void
compile_later(struct entry *n)
{
	struct artifact_wait *w;

	n->state = QUEUED;
	n->artifacts->queued++;
	LIST_FOREACH(w, &n->waits, link)
		queue_wait(w);
}

/*
 * Takes the entry whose turn it is. One owner does not get all compilers. What is ahead has its turn when nobody waits and
 * no other compiler is at work.
 */
static bool
may_compile(const void *item)
{
	const struct artifact_wait *w = item;
	const struct artifacts *a = w->entry->artifacts;
	unsigned own = 0, most = a->limits.compilers > 1 ? a->limits.compilers - 1 : 1;
	const struct entry *n;

	LIST_FOREACH(n, &a->at_work, work)
		own += n->asker.owner == w->asker.owner && !n->asker.ahead;
	return own < most;
}

static struct entry *
take_turn(struct artifacts *a)
{
	struct artifact_wait *w = NULL, *other;
	struct entry *n;

	if (a->compiling < (a->held_back ? 1 : a->limits.compilers))
		w = turns_take_ready(&a->queue, may_compile);
	if (w == NULL && !a->held_back && a->compiling == 0 && a->compiling_ahead == 0)
		w = turns_take(&a->ahead);
	if (w == NULL)
		return NULL;
	n = w->entry;
	n->asker = w->asker;
	LIST_FOREACH(other, &n->waits, link)
		if (other != w)
			unqueue_wait(other);
	a->queued--;
	return n;
}

static int
compiler_message(void *arg, struct imsg *m, struct err *e)
{
	struct entry *n = arg;
	struct proto_compiled compiled;

	if (m->hdr.type == PROTO_READY && m->hdr.length == sizeof(struct proto_ready) && !n->ready) {
		n->ready = true;
		return 0;
	}
	if (n->done)
		return err_set(e, ERR_PROTOCOL, "the compiler sent message %u after its last", m->hdr.type);
	if (m->hdr.type == PROTO_COMPILED && m->hdr.length == sizeof(compiled)) {
		memcpy(&compiled, m->payload, sizeof(compiled));
		n->done = true;
		n->claimed_size = compiled.size;
		n->compile_us = compiled.compile_us;
		return 0;
	}
	if (m->hdr.type == PROTO_FAILED) {
		n->done = true;
		n->error = RPC_module_invalid;
		err_set(&n->why, ERR_INVAL, "%.*s", (int)m->hdr.length, (const char *)m->payload);
		return 0;
	}
	return err_set(e, ERR_PROTOCOL, "the compiler sent message %u of %u bytes", m->hdr.type, m->hdr.length);
}

static uint64_t
ms_left(const struct entry *n)
{
	uint64_t spent = n->spent_us / 1000, all = n->artifacts->limits.compile_ms;

	return spent < all ? all - spent : 0;
}

static void
took_too_long(struct entry *n)
{
	n->error = RPC_compile_limit;
	err_set(&n->why, ERR_LIMIT, "compiling it took longer than compile_ms (%llu), all attempts together",
	    (unsigned long long)n->artifacts->limits.compile_ms);
}

/* Whether an attempt that took too long tells nothing of the module: it had only what processor time others left. */
static bool
was_starved(const struct entry *n)
{
	return n->timed_out && n->asker.ahead;
}

/* Whether a compiler that was killed had used up its CPU time: to the first process of a namespace SIGXCPU means nothing. */
static bool
used_up(const struct entry *n, const struct proto_exited *exited)
{
	return exited->killed == PROTO_KILLED_NOT &&
	    (exited->user_us + exited->system_us) / 1000 >= n->allowed_ms;
}

/*
 * What to say of a compiler that ended without an answer. Returns whether the module is to blame. A SIGKILL from elsewhere
 * is none of its doing: the kernel was short of memory, or somebody did it by hand.
 */
static bool
blame(struct entry *n, const struct proto_exited *exited, const struct err *why)
{
	const struct artifacts_limits *l = &n->artifacts->limits;
	int status = exited != NULL ? exited->wait_status : 0;
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (n->timed_out || (sig == SIGKILL && used_up(n, exited))) {
		took_too_long(n);
		return !was_starved(n);
	}
	n->error = RPC_compile_limit;
	if (sig == SIGABRT || sig == SIGSEGV || sig == SIGILL || sig == SIGTRAP) { /* how it ends when it gets no more */
		err_set(&n->why, ERR_LIMIT,
		    "compiling it needed more than compile_memory_bytes (%llu), or more stack than the compiler has",
		    (unsigned long long)l->compile_memory_bytes);
		return true;
	}
	n->error = RPC_internal_error;
	if (n->done && n->why.code != 0 && why->code == 0)
		err_context(&n->why, "the compiler could not do its work");
	else if (exited == NULL)
		err_set(&n->why, ERR_IO, "no compiler could be started: %s", why->msg);
	else if (sig != 0)
		err_set(&n->why, ERR_IO, "the compiler was killed by signal %d %s", sig, why->msg);
	else
		err_set(&n->why, ERR_IO, "the compiler ended without an answer (exit status %d) %s", WEXITSTATUS(status),
		    why->msg);
	return false;
}

/* Checks what a compiler says that it made: its artifact must be whole, and the time not longer than it was there. */
static int
check_artifact(const struct entry *n, int fd, size_t *size, struct err *e)
{
	int rc = memfd_check(fd, n->artifacts->limits.artifact_bytes, size, e);

	if (rc != 0)
		return rc;
	if (*size != n->claimed_size)
		return err_set(e, ERR_PROTOCOL, "it has %zu bytes, not %ju", *size, (uintmax_t)n->claimed_size);
	if (n->compile_us / 1000 > (uint64_t)(monotonic_ms() - n->started_ms))
		return err_set(e, ERR_PROTOCOL, "making it took %ju us, longer than the compiler was there",
		    (uintmax_t)n->compile_us);
	return 0;
}

/* Learns from one more module how long they take. */
static void
learn_rate(struct entry *n)
{
	struct artifacts *a = n->artifacts;

	a->counts.compiled++;
	a->counts.compile_us += n->compile_us;
	if (n->module_size >= RATE_BYTES_MIN)
		a->us_per_byte += ((double)n->compile_us / (double)n->module_size - a->us_per_byte) / 4;
}

/* What came of an artifact that the compiler says is done. */
static void
take_artifact(struct entry *n, int fd)
{
	size_t size;

	if (check_artifact(n, fd, &size, &n->why) == 0) {
		learn_rate(n);
		store_artifact(n, fd);
		become_cached(n, fd, size, true);
		return;
	}
	close(fd);
	n->error = RPC_internal_error;
	err_context(&n->why, "the compiler's artifact");
	become_failed(n, GIVEN_UP);
}

/* Which count of compilers at work an entry is in. */
static unsigned *
at_work(struct entry *n)
{
	return n->asker.ahead ? &n->artifacts->compiling_ahead : &n->artifacts->compiling;
}

/* Whether somebody waits who did not only ask ahead. */
static bool
is_wanted(const struct entry *n)
{
	const struct artifact_wait *w;

	LIST_FOREACH(w, &n->waits, link)
		if (!w->asker.ahead)
			return true;
	return false;
}

static void
compiler_ended(void *arg, const struct proto_exited *exited, const struct err *why)
{
	struct entry *n = arg;
	struct artifacts *a = n->artifacts;
	bool answered = n->done && (exited == NULL || why->code == 0); /* and did not break the protocol after it */
	int fd = n->fd;

	n->compiler = NULL;
	n->fd = -1;
	event_free(n->deadline);
	n->deadline = NULL;
	n->spent_us += exited != NULL ? exited->user_us + exited->system_us : 0;
	LIST_REMOVE(n, work);
	*at_work(n) -= 1;
	event_active(a->kick, 0, 0);
	if (answered && n->why.code == 0) {
		take_artifact(n, fd);
		return;
	}
	close(fd);
	if (answered && exited != NULL && exited->wait_status == 0)
		become_failed(n, FAILED);
	else if ((n->abandoned && !LIST_EMPTY(&n->waits)) || (was_starved(n) && is_wanted(n)))
		compile_later(n); /* someone came after all */
	else if (n->abandoned)
		become_failed(n, GIVEN_UP);
	else
		become_failed(n, blame(n, exited, why) ? FAILED : GIVEN_UP);
}

static const struct child_events compiler_events = {compiler_message, compiler_ended};

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct entry *n = arg;

	(void)fd;
	(void)what;
	n->timed_out = true;
	child_kill(n->compiler);
}

/* Starts the compiler of one entry. Returns 0 or an error with nothing left behind. */
static int
compile_start(struct entry *n, struct err *e)
{
	struct artifacts *a = n->artifacts;
	uint64_t ms = ms_left(n);
	struct proto_spawn spawn = {.kind = PROTO_KIND_COMPILER, .engine = n->engine, .cpu_ms = ms,
	    .memory_bytes = a->limits.compile_memory_bytes, .nice = n->asker.ahead ? ARTIFACT_AHEAD_NICE : 0};
	struct proto_compile job = {.engine = n->engine, .size = n->module_size};
	struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
	int64_t started_ms = monotonic_ms();
	int fds[2], rc;

	if ((n->fd = memfd_new("brig-artifact", e)) < 0)
		return n->fd;
	n->deadline = evtimer_new(a->base, on_deadline, n);
	if (n->deadline == NULL || event_add(n->deadline, &tv) != 0) {
		rc = err_set(e, ERR_NOMEM, "a timer");
		goto fail;
	}
	n->compiler = child_spawn(a->launcher, &spawn, &compiler_events, n, e);
	if (n->compiler == NULL) {
		rc = e->code;
		goto fail;
	}
	n->state = COMPILING;
	n->started_ms = started_ms;
	n->allowed_ms = ms;
	n->ready = n->done = n->timed_out = n->abandoned = false;
	n->why = (struct err){0};
	LIST_INSERT_HEAD(&a->at_work, n, work);
	*at_work(n) += 1;
	fds[0] = n->module;
	fds[1] = n->fd;
	if (child_send(n->compiler, PROTO_COMPILE, 0, &job, sizeof(job), fds, 2, e) != 0)
		child_kill(n->compiler); /* and its end is told as usual */
	return 0;
fail:
	if (n->deadline != NULL)
		event_free(n->deadline);
	n->deadline = NULL;
	close(n->fd);
	n->fd = -1;
	return rc;
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct artifacts *a = arg;
	struct entry *n;

	(void)fd;
	(void)what;
	while ((n = take_turn(a)) != NULL) {
		if (ms_left(n) == 0) {
			took_too_long(n);
			become_failed(n, FAILED);
		} else if (compile_start(n, &n->why) != 0) {
			n->error = RPC_internal_error;
			become_failed(n, GIVEN_UP);
		}
	}
}

/* --- the store ------------------------------------------------------------------------------------------------ */

static void
store_answered(void *arg, struct imsg *m, const struct err *why)
{
	struct entry *n = arg;
	size_t size;
	int fd;

	(void)why;
	if (m != NULL && m->hdr.type == PROTO_STORE_DATA && (fd = imsg_take_fd(m, 0)) >= 0) {
		if (memfd_check(fd, n->artifacts->limits.artifact_bytes, &size, NULL) == 0) {
			become_cached(n, fd, size, false);
			return;
		}
		close(fd);
	}
	if (LIST_EMPTY(&n->waits))
		set_aside(n);
	else
		compile_later(n); /* not there, damaged, or no store: compiling is always possible */
}

static void
ask_store(struct entry *n)
{
	struct proto_store get = {.kind = PROTO_STORE_ARTIFACT, .engine = n->engine, .digest = n->digest};

	n->state = ASKING_STORE;
	if (service_ask(n->artifacts->store, PROTO_STORE_GET, &get, sizeof(get), -1, store_answered, n, NULL) != 0)
		compile_later(n);
}

/* --- the interface -------------------------------------------------------------------------------------------- */

struct artifacts *
artifacts_new(struct event_base *base, struct service_client *store, struct launcher *launcher,
    const struct artifacts_limits *limits)
{
	struct artifacts *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->base = base;
	a->store = store;
	a->launcher = launcher;
	a->limits = *limits;
	TAILQ_INIT(&a->cached);
	TAILQ_INIT(&a->failed);
	LIST_INIT(&a->at_work);
	turns_init(&a->queue);
	turns_init(&a->ahead);
	a->us_per_byte = US_PER_BYTE;
	if ((a->kick = event_new(base, -1, 0, on_kick, a)) == NULL) {
		free(a);
		return NULL;
	}
	return a;
}

/* After the launcher and the store are gone: every entry is CACHED, FAILED or QUEUED, and nobody waits. */
void
artifacts_free(struct artifacts *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		struct entry *n;

		while ((n = LIST_FIRST(&a->table[i])) != NULL) {
			struct artifact_wait *w;

			while ((w = LIST_FIRST(&n->waits)) != NULL) {
				LIST_REMOVE(w, link);
				free(w);
			}
			entry_free(n);
		}
	}
	event_free(a->kick);
	free(a);
}

/*
 * Begins to look for an artifact: `n` is the entry that was given up, or NULL for a module that nothing is known of. NULL
 * on failure.
 */
static struct entry *
entry_start(struct artifacts *a, struct entry *n, const struct digest *digest, uint32_t engine, int module, size_t size,
    struct err *e)
{
	int copy = fcntl(module, F_DUPFD_CLOEXEC, 0);

	if (copy < 0) {
		err_sys(e, ERR_IO, "duplicating a descriptor");
		return NULL;
	}
	if (n != NULL)
		leave_list(n);
	else if ((n = entry_new(a, digest, engine)) == NULL) {
		close(copy);
		err_set(e, ERR_NOMEM, "an artifact's entry");
		return NULL;
	}
	n->module = copy;
	n->module_size = size;
	n->why = (struct err){0};
	ask_store(n);
	return n;
}

void
artifact_get(struct artifacts *a, const struct artifact_asker *asker, const struct digest *digest, uint32_t engine,
    int module, size_t size, artifact_fn *fn, void *arg, struct artifact_wait **wait)
{
	struct entry *n = entry_find(a, digest, engine);
	struct artifact_wait *w = NULL;
	struct err e = {0};

	*wait = NULL;
	if (n != NULL && n->state == CACHED) {
		struct artifact artifact = {n->file, n->size, false, 0, n->compile_us};

		a->counts.hits++;
		TAILQ_REMOVE(&a->cached, n, order);
		TAILQ_INSERT_TAIL(&a->cached, n, order);
		fn(arg, &artifact, RPC_internal_error, NULL);
		return;
	}
	if (n != NULL && n->state == FAILED) {
		fn(arg, NULL, n->error, &n->why);
		return;
	}
	if ((w = calloc(1, sizeof(*w))) == NULL)
		err_set(&e, ERR_NOMEM, "waiting for an artifact");
	else if (n == NULL || n->state == GIVEN_UP)
		n = entry_start(a, n, digest, engine, module, size, &e);
	if (e.code != 0) {
		free(w);
		fn(arg, NULL, RPC_internal_error, &e);
		return;
	}
	*w = (struct artifact_wait){.asker = *asker, .entry = n, .fn = fn, .arg = arg};
	LIST_INSERT_HEAD(&n->waits, w, link);
	if (n->state == QUEUED)
		queue_wait(w);
	*wait = w;
}

bool
artifact_needs_module(struct artifacts *a, const struct digest *digest, uint32_t engine)
{
	const struct entry *n = entry_find(a, digest, engine);

	return n == NULL || n->state == GIVEN_UP;
}

void
artifact_cancel(struct artifact_wait *w)
{
	struct entry *n = w->entry;
	struct artifacts *a = n->artifacts;

	LIST_REMOVE(w, link);
	if (n->state == QUEUED)
		unqueue_wait(w);
	free(w);
	if (!LIST_EMPTY(&n->waits))
		return;
	if (n->state == QUEUED) {
		a->queued--;
		set_aside(n);
	} else if (n->state == COMPILING) {
		n->abandoned = true;
		child_kill(n->compiler);
	}
}

void
artifacts_hold_back(struct artifacts *a, bool on)
{
	a->held_back = on;
	event_active(a->kick, 0, 0);
}

void
artifact_drop(struct artifacts *a, const struct digest *digest, uint32_t engine)
{
	struct proto_store remove = {.kind = PROTO_STORE_ARTIFACT, .engine = engine, .digest = *digest};
	struct entry *n = entry_find(a, digest, engine);

	if (n != NULL && n->state == CACHED)
		forget(n);
	service_ask(a->store, PROTO_STORE_REMOVE, &remove, sizeof(remove), -1, NULL, NULL, NULL);
}

void
artifact_progress(const struct artifact_wait *w, struct artifact_progress *out)
{
	const struct entry *n = w->entry;

	*out = (struct artifact_progress){.compiling = n->state == COMPILING};
	if (out->compiling)
		out->elapsed_ms = (uint64_t)(monotonic_ms() - n->started_ms);
	out->expected_ms = (uint64_t)(n->artifacts->us_per_byte * (double)n->module_size / 1000) + 1;
}

unsigned
artifacts_compiling(const struct artifacts *a)
{
	return a->compiling + a->compiling_ahead + (unsigned)a->queued;
}

const struct artifacts_counts *
artifacts_counts(const struct artifacts *a)
{
	return &a->counts;
}

unsigned
artifacts_waiting(const struct artifacts *a)
{
	return (unsigned)a->queued;
}
