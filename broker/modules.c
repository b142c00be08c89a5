/* broker/modules: stored modules by owner and digest, verified when they come out of the store. brigd. */

#include "broker/modules.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "base/memfd.h"
#include "base/proto.h"

struct entry {
	LIST_ENTRY(entry) bucket;
	TAILQ_ENTRY(entry) order;
	TAILQ_ENTRY(entry) open_order;
	struct module module;
	char *signature;          /* owned; module.signature borrows it */
};

struct modules_wait {
	struct offload_job job;     /* first */
	LIST_ENTRY(modules_wait) link;
	struct modules *modules;
	uid_t owner;
	struct digest digest;
	const struct keyring *const *ring;
	modules_fn *fn;             /* NULL when cancelled */
	void *arg;
	bool is_outdated;           /* what is or was in the store may be another by now: it is not kept */
	struct entry *found;        /* in the thread's hands once its job is */
	struct signature_facts facts; /* of it, when `read` is 0; else `why` says why there are none */
	int read;
	struct err why;
};

#define BUCKETS 4096

struct modules {
	struct service_client *store;
	struct offload *offload;
	size_t cache_bytes, cache_entries, module_bytes;
	LIST_HEAD(, entry) table[BUCKETS];
	TAILQ_HEAD(entries, entry) known, open; /* all, and those with bytes; by last use, oldest first */
	LIST_HEAD(, modules_wait) waits;
	size_t bytes, open_count, count;
};

struct modules *
modules_new(struct service_client *store, struct offload *offload, size_t cache_bytes, size_t cache_entries,
    size_t module_bytes)
{
	struct modules *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->store = store;
	m->offload = offload;
	m->cache_bytes = cache_bytes;
	m->cache_entries = cache_entries;
	m->module_bytes = module_bytes;
	TAILQ_INIT(&m->known);
	TAILQ_INIT(&m->open);
	LIST_INIT(&m->waits);
	return m;
}

/* Lets go of its bytes. */
static void
entry_close(struct modules *m, struct entry *n)
{
	if (n->module.fd < 0)
		return;
	TAILQ_REMOVE(&m->open, n, open_order);
	m->bytes -= n->module.size;
	m->open_count--;
	close(n->module.fd);
	free(n->signature);
	n->module.fd = -1;
	n->module.signature = n->signature = NULL;
	n->module.signature_length = 0;
}

static void
entry_free(struct modules *m, struct entry *n)
{
	entry_close(m, n);
	LIST_REMOVE(n, bucket);
	TAILQ_REMOVE(&m->known, n, order);
	m->count--;
	free(n);
}

/* It is used now. */
static void
entry_use(struct modules *m, struct entry *n)
{
	TAILQ_REMOVE(&m->known, n, order);
	TAILQ_INSERT_TAIL(&m->known, n, order);
	if (n->module.fd < 0)
		return;
	TAILQ_REMOVE(&m->open, n, open_order);
	TAILQ_INSERT_TAIL(&m->open, n, open_order);
}

void
modules_free(struct modules *m)
{
	if (m == NULL)
		return;
	while (!TAILQ_EMPTY(&m->known))
		entry_free(m, TAILQ_FIRST(&m->known));
	free(m);
}

static size_t
bucket_of(const struct digest *d)
{
	return (d->bytes[0] | (size_t)d->bytes[1] << 8) % BUCKETS;
}

static struct entry *
entry_find(struct modules *m, uid_t owner, const struct digest *digest)
{
	struct entry *n;

	LIST_FOREACH(n, &m->table[bucket_of(digest)], bucket)
		if (n->module.owner == owner && digest_equal(&n->module.digest, digest))
			return n;
	return NULL;
}

enum rpc_error
modules_error(int code)
{
	switch (code) {
	case ERR_SIGNATURE:
		return RPC_bad_signature;
	case ERR_NOTFOUND:
		return RPC_unknown_key;
	case ERR_REVOKED:
		return RPC_revoked;
	case ERR_EXPIRED:
		return RPC_expired;
	case ERR_INVAL:
		return RPC_module_invalid;
	default:
		return RPC_internal_error;
	}
}

/* Takes a module out of the store's answer: sealed, its signature with it. Not verified. */
static int
entry_from_answer(struct modules_wait *w, struct imsg *answer, struct err *e)
{
	struct proto_store_done done;
	struct entry *n = NULL;
	size_t size = 0;
	int fd = imsg_take_fd(answer, 0);
	int rc;

	if (fd < 0 || answer->hdr.length < sizeof(done))
		rc = err_set(e, ERR_PROTOCOL, "the store's answer is malformed");
	else
		rc = memfd_check(fd, w->modules->module_bytes, &size, e);
	if (rc != 0)
		goto out;
	memcpy(&done, answer->payload, sizeof(done));
	if ((n = calloc(1, sizeof(*n))) == NULL ||
	    (n->signature = malloc(answer->hdr.length - sizeof(done) + 1)) == NULL) {
		free(n);
		rc = err_set(e, ERR_NOMEM, "a module");
		goto out;
	}
	n->module = (struct module){.owner = w->owner, .digest = w->digest, .size = size, .stored_at = done.stored_at, .fd = fd};
	n->module.signature_length = answer->hdr.length - sizeof(done);
	memcpy(n->signature, answer->payload + sizeof(done), n->module.signature_length);
	if (n->module.signature_length > 0)
		n->module.signature = n->signature;
	w->found = n;
	fd = -1;
out:
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Reads and hashes what was found. In the thread. */
static void
read_module(struct offload_job *job)
{
	struct modules_wait *w = (struct modules_wait *)job;
	const struct module *m = &w->found->module;
	struct memfd_map map;

	w->read = memfd_map(m->fd, m->size, &map, &w->why);
	if (w->read != 0)
		return;
	signature_read(map.data, map.size, m->signature != NULL, &w->facts);
	memfd_unmap(&map);
}

/* Checks what was found: of the right digest, signatures good. */
static int
judge_module(struct modules_wait *w, enum rpc_error *error, struct err *e)
{
	struct module *m = &w->found->module;
	int rc;

	if (w->read != 0) {
		*e = w->why;
		return e->code;
	}
	rc = signature_judge(&w->facts, m->signature, m->signature_length, *w->ring, time(NULL), &m->verdict, e);
	if (rc != 0)
		*error = modules_error(rc);
	else if (!digest_equal(&m->verdict.module, &w->digest))
		rc = err_set(e, ERR_CORRUPT, "the store gave another module than the one asked for");
	return rc;
}

/* Drops the entry of a module, if there is one. */
static void
cache_drop(struct modules *m, uid_t owner, const struct digest *digest)
{
	struct entry *n = entry_find(m, owner, digest);

	if (n != NULL)
		entry_free(m, n);
}

static void
cache_add(struct modules *m, struct entry *n)
{
	cache_drop(m, n->module.owner, &n->module.digest);
	LIST_INSERT_HEAD(&m->table[bucket_of(&n->module.digest)], n, bucket);
	TAILQ_INSERT_TAIL(&m->known, n, order);
	TAILQ_INSERT_TAIL(&m->open, n, open_order);
	m->bytes += n->module.size;
	m->open_count++;
	m->count++;
}

/* Keeps within the limits; what was used last stays. */
static void
cache_trim(struct modules *m)
{
	while (m->open_count > 1 && (m->open_count > m->cache_entries || m->bytes > m->cache_bytes))
		entry_close(m, TAILQ_FIRST(&m->open));
	while (m->count > MODULES_KNOWN_MAX)
		entry_free(m, TAILQ_FIRST(&m->known));
}

static void
wait_free(struct modules_wait *w)
{
	LIST_REMOVE(w, link);
	free(w);
}

/* Answers and ends: with what was found, if it is good. */
static void
module_read(struct offload_job *job)
{
	struct modules_wait *w = (struct modules_wait *)job;
	struct modules *m = w->modules;
	enum rpc_error error = RPC_store_unavailable;
	struct entry *n = w->found;
	struct err e = {0};
	bool is_good = w->fn != NULL && judge_module(w, &error, &e) == 0;
	bool is_kept = is_good && !w->is_outdated;

	if (is_kept)
		cache_add(m, n);
	if (w->fn != NULL)
		w->fn(w->arg, is_good ? &n->module : NULL, error, &e);
	if (is_kept) {
		cache_trim(m);
	} else {
		close(n->module.fd);
		free(n->signature);
		free(n);
	}
	wait_free(w);
}

static void
store_answered(void *arg, struct imsg *answer, const struct err *why)
{
	struct modules_wait *w = arg;
	enum rpc_error error = RPC_store_unavailable;
	struct proto_store_done done = {0};
	struct err e = {0};

	if (w->fn == NULL)
		goto out;
	if (answer == NULL) {
		e = *why;
	} else if (answer->hdr.type == PROTO_STORE_FAILED && answer->hdr.length >= sizeof(done)) {
		memcpy(&done, answer->payload, sizeof(done));
		if (done.code == ERR_NOTFOUND)
			error = RPC_module_not_found;
		err_set(&e, done.code, "%.*s", (int)(answer->hdr.length - sizeof(done)),
		    (const char *)answer->payload + sizeof(done));
	} else if (answer->hdr.type != PROTO_STORE_DATA) {
		err_set(&e, ERR_PROTOCOL, "the store sent message %u", answer->hdr.type);
	} else if (entry_from_answer(w, answer, &e) == 0) {
		offload_add(w->modules->offload, &w->job, w->owner);
		return;
	}
	w->fn(w->arg, NULL, error, &e);
out:
	wait_free(w);
}

static void
find(struct modules *m, uid_t owner, const struct digest *digest, bool with_bytes, const struct keyring *const *ring,
    modules_fn *fn, void *arg, struct modules_wait **wait)
{
	struct proto_store get = {.kind = PROTO_STORE_MODULE, .digest = *digest, .owner = owner};
	struct entry *n = entry_find(m, owner, digest);
	struct modules_wait *w = NULL;
	struct err e = {0};
	int rc;

	if (wait != NULL)
		*wait = NULL;
	if (n != NULL && (n->module.fd >= 0 || !with_bytes)) {
		rc = signature_recheck(&n->module.verdict, *ring, time(NULL), &e);
		entry_use(m, n);
		fn(arg, rc == 0 ? &n->module : NULL, modules_error(rc), &e);
		return;
	}
	if ((w = calloc(1, sizeof(*w))) == NULL) {
		err_set(&e, ERR_NOMEM, "a question");
	} else {
		*w = (struct modules_wait){.job = {.work = read_module, .done = module_read}, .modules = m, .owner = owner,
		    .digest = *digest, .ring = ring, .fn = fn, .arg = arg, .read = ERR_EOF, .why = {ERR_EOF, "brigd is stopping"}};
		if (service_ask(m->store, PROTO_STORE_GET, &get, sizeof(get), -1, store_answered, w, &e) == 0) {
			LIST_INSERT_HEAD(&m->waits, w, link);
			if (wait != NULL)
				*wait = w;
			return;
		}
	}
	free(w);
	fn(arg, NULL, RPC_store_unavailable, &e);
}

void
modules_get(struct modules *m, uid_t owner, const struct digest *digest, const struct keyring *const *ring, modules_fn *fn,
    void *arg, struct modules_wait **wait)
{
	find(m, owner, digest, true, ring, fn, arg, wait);
}

void
modules_judge(struct modules *m, uid_t owner, const struct digest *digest, const struct keyring *const *ring,
    modules_fn *fn, void *arg, struct modules_wait **wait)
{
	find(m, owner, digest, false, ring, fn, arg, wait);
}

void
modules_cancel(struct modules_wait *w)
{
	w->fn = NULL;
}

void
modules_forget(struct modules *m, uid_t owner, const struct digest *digest)
{
	struct modules_wait *w;

	cache_drop(m, owner, digest);
	LIST_FOREACH(w, &m->waits, link)
		if (w->owner == owner && digest_equal(&w->digest, digest))
			w->is_outdated = true;
}
