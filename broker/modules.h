/* broker/modules: stored modules by owner and digest, verified when they come out of the store. brigd. */

#ifndef BROKER_MODULES_H
#define BROKER_MODULES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/err.h"
#include "broker/keyring.h"
#include "broker/offload.h"
#include "broker/rpc_errors.h"
#include "broker/service_client.h"
#include "broker/signature.h"

struct modules;
struct modules_wait;

/* A module whose bytes have been verified. Borrowed by callbacks. Without its bytes there are no `fd` and `signature`. */
struct module {
	uid_t owner;
	struct digest digest;
	int fd;                /* sealed memfd; -1 */
	size_t size;
	const char *signature; /* detached, minisign text; NULL for none */
	size_t signature_length;
	int64_t stored_at;     /* seconds since 1970 */
	struct signature_verdict verdict; /* under the keyring that was given with the question, at that time */
};

/* Called once, perhaps before the function that was given it returns. `m` is NULL on failure. */
typedef void modules_fn(void *arg, const struct module *m, enum rpc_error error, const struct err *why);

/*
 * modules_new - keeps up to `cache_bytes` and `cache_entries` of modules open in memory, and of MODULES_KNOWN_MAX what was
 * found when they were verified. Borrows the store, and the thread that hashes what comes from there.
 */
#define MODULES_KNOWN_MAX 16384
struct modules *modules_new(struct service_client *store, struct offload *offload, size_t cache_bytes, size_t cache_entries,
    size_t module_bytes);
void modules_free(struct modules *m);

/*
 * modules_get - find an owner's module and check its signatures against `ring` (borrowed until `fn` is called; that
 * of a broker without keys is empty: any signature then is by an unknown key). *wait, unless `wait` is NULL, becomes a handle for
 * modules_cancel, or NULL when `fn` is called in here, which may free whatever holds *wait.
 *
 * modules_judge - the same for one whose bytes may not be needed: they are left out when they are not in memory.
 */
void modules_get(struct modules *m, uid_t owner, const struct digest *digest, const struct keyring *const *ring,
    modules_fn *fn, void *arg, struct modules_wait **wait);
void modules_judge(struct modules *m, uid_t owner, const struct digest *digest, const struct keyring *const *ring,
    modules_fn *fn, void *arg, struct modules_wait **wait);
void modules_cancel(struct modules_wait *w);

/*
 * modules_forget - drop an owner's module from the cache, as when it was removed from the store or put anew. Who waits for
 * it gets what is found, but that is not kept.
 */
void modules_forget(struct modules *m, uid_t owner, const struct digest *digest);

/* modules_error - the error that a client is told when signature_check or signature_recheck failed with `code`. */
enum rpc_error modules_error(int code);

#endif
