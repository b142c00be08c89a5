/* broker/modules: stored modules by owner and digest, verified when they come out of the store. brigd. */

#include "broker/modules.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "base/memfd.h"
#include "base/proto.h"

struct entry {
	TAILQ_ENTRY(entry) order; /* by last use, oldest first */
	struct module module;
	char *signature;          /* owned; module.signature borrows it */
};

struct modules_wait {
	struct modules *modules;
	uid_t owner;
	struct digest digest;
	const struct keyring *const *ring;
	modules_fn *fn; /* NULL when cancelled */
	void *arg;
};

struct modules {
	struct service_client *store;
	size_t cache_bytes, cache_entries, module_bytes;
	TAILQ_HEAD(entries, entry) cache;
	size_t bytes, count;
};

struct modules *
modules_new(struct service_client *store, size_t cache_bytes, size_t cache_entries, size_t module_bytes)
{
	struct modules *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->store = store;
	m->cache_bytes = cache_bytes;
	m->cache_entries = cache_entries;
	m->module_bytes = module_bytes;
	TAILQ_INIT(&m->cache);
	return m;
}

static void
entry_free(struct modules *m, struct entry *n)
{
	TAILQ_REMOVE(&m->cache, n, order);
	m->bytes -= n->module.size;
	m->count--;
	close(n->module.fd);
	free(n->signature);
	free(n);
}

void
modules_free(struct modules *m)
{
	if (m == NULL)
		return;
	while (!TAILQ_EMPTY(&m->cache))
		entry_free(m, TAILQ_FIRST(&m->cache));
	free(m);
}

static struct entry *
entry_find(struct modules *m, uid_t owner, const struct digest *digest)
{
	struct entry *n;

	/* Newest first: what runs often is found at once. */
	TAILQ_FOREACH_REVERSE(n, &m->cache, entries, order)
		if (n->module.owner == owner && memcmp(&n->module.digest, digest, sizeof(*digest)) == 0)
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

/* Takes a module out of the store's answer: sealed, of the right digest, signatures checked. Takes the descriptor. */
static int
entry_from_answer(struct modules_wait *w, struct imsg *answer, struct entry **out, enum rpc_error *error, struct err *e)
{
	struct modules *m = w->modules;
	struct memfd_map map = {NULL, 0};
	struct proto_store_done done;
	struct entry *n = NULL;
	size_t size = 0;
	int fd = imsg_take_fd(answer, 0);
	int rc;

	*error = RPC_store_unavailable;
	if (fd < 0 || answer->hdr.length < sizeof(done))
		return err_set(e, ERR_PROTOCOL, "the store's answer is malformed");
	memcpy(&done, answer->payload, sizeof(done));
	if ((rc = memfd_check(fd, m->module_bytes, &size, e)) != 0 || (rc = memfd_map(fd, size, &map, e)) != 0)
		goto out;
	if ((n = calloc(1, sizeof(*n))) == NULL) {
		rc = err_set(e, ERR_NOMEM, "a module");
		goto out;
	}
	n->module.signature_length = answer->hdr.length - sizeof(done);
	if (n->module.signature_length > 0) {
		n->signature = malloc(n->module.signature_length);
		if (n->signature == NULL) {
			rc = err_set(e, ERR_NOMEM, "a signature");
			goto out;
		}
		memcpy(n->signature, answer->payload + sizeof(done), n->module.signature_length);
		n->module.signature = n->signature;
	}
	rc = signature_check(map.data, map.size, n->module.signature, n->module.signature_length, *w->ring, time(NULL),
	    &n->module.verdict, e);
	if (rc != 0) {
		*error = modules_error(rc);
		goto out;
	}
	if (!digest_equal(&n->module.verdict.module, &w->digest)) {
		rc = err_set(e, ERR_CORRUPT, "the store gave another module than the one asked for");
		goto out;
	}
	n->module.owner = w->owner;
	n->module.digest = w->digest;
	n->module.size = size;
	n->module.stored_at = done.stored_at;
	n->module.fd = fd;
	*out = n;
	n = NULL;
	fd = -1;
out:
	memfd_unmap(&map);
	if (n != NULL)
		free(n->signature);
	free(n);
	if (fd >= 0)
		close(fd);
	return rc;
}

static void
store_answered(void *arg, struct imsg *answer, const struct err *why)
{
	struct modules_wait *w = arg;
	struct modules *m = w->modules;
	enum rpc_error error = RPC_store_unavailable;
	struct proto_store_done done = {0};
	struct entry *n = NULL;
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
	} else if (answer->hdr.type == PROTO_STORE_DATA) {
		entry_from_answer(w, answer, &n, &error, &e);
	} else {
		err_set(&e, ERR_PROTOCOL, "the store sent message %u", answer->hdr.type);
	}
	if (n != NULL) {
		modules_forget(m, w->owner, &w->digest);
		TAILQ_INSERT_TAIL(&m->cache, n, order);
		m->bytes += n->module.size;
		m->count++;
	}
	w->fn(w->arg, n != NULL ? &n->module : NULL, error, &e);
	while (m->count > 1 && (m->count > m->cache_entries || m->bytes > m->cache_bytes))
		entry_free(m, TAILQ_FIRST(&m->cache));
out:
	free(w);
}

struct modules_wait *
modules_get(struct modules *m, uid_t owner, const struct digest *digest, const struct keyring *const *ring, modules_fn *fn,
    void *arg)
{
	struct proto_store get = {.kind = PROTO_STORE_MODULE, .digest = *digest, .owner = owner};
	struct entry *n = entry_find(m, owner, digest);
	struct modules_wait *w = NULL;
	struct err e = {0};
	int rc;

	if (n != NULL) {
		rc = signature_recheck(&n->module.verdict, *ring, time(NULL), &e);
		TAILQ_REMOVE(&m->cache, n, order);
		TAILQ_INSERT_TAIL(&m->cache, n, order);
		fn(arg, rc == 0 ? &n->module : NULL, modules_error(rc), &e);
		return NULL;
	}
	if ((w = calloc(1, sizeof(*w))) == NULL) {
		err_set(&e, ERR_NOMEM, "a question");
	} else {
		*w = (struct modules_wait){m, owner, *digest, ring, fn, arg};
		if (service_ask(m->store, PROTO_STORE_GET, &get, sizeof(get), -1, store_answered, w, &e) == 0)
			return w;
	}
	free(w);
	fn(arg, NULL, RPC_store_unavailable, &e);
	return NULL;
}

void
modules_cancel(struct modules_wait *w)
{
	w->fn = NULL;
}

void
modules_forget(struct modules *m, uid_t owner, const struct digest *digest)
{
	struct entry *n = entry_find(m, owner, digest);

	if (n != NULL)
		entry_free(m, n);
}
