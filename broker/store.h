/* broker/store: modules by digest and owner, artifacts by module and engine, on disk, within a size limit. Store. */

#ifndef BROKER_STORE_H
#define BROKER_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/proto.h"

/*
 * On disk, below one directory that nobody else may enter:
 *
 *   mac.key                           32 random bytes; made when missing, and then old artifacts are worth nothing
 *   modules/HEX/wasm                  the bytes whose SHA-256 is HEX; its mtime is when it was last used
 *   modules/HEX/owners/UID            that owner's reference: the detached signature that it gave, or nothing
 *   artifacts/ENGINE-N/HEX.cwasm      compiled by this installation for engine ENGINE, configuration N: the artifact
 *                                     and behind it a MAC (keyed BLAKE2b) over module, engine, configuration and bytes
 *
 * What is being written has a name that begins with "tmp-" until it is whole; the next start removes the rest of a
 * crash, and the artifacts of other engines.
 */
#define STORE_MAC_SIZE 32

struct store;

/*
 * store_open - take up the store in the directory `dir` (borrowed while it is open). `engine_id` names the engine,
 * hexadecimal. All files together take at most `size_max` bytes, each rounded up to STORE_BLOCK; one owner's modules
 * and signatures at most `owner_max`, a module with several owners counting for each. Holds a lock.
 * Returns 0 with *out for store_close(); ERR_EXISTS when another process has it; ERR_IO.
 */
#define STORE_BLOCK 4096
int store_open(int dir, const char *engine_id, uint64_t size_max, uint64_t owner_max, struct store **out, struct err *e);
void store_close(struct store *s);

/* store_leftovers - how many unfinished files or directories of a crash store_open removed. */
size_t store_leftovers(const struct store *s);

/* store_used - bytes that all files take, as counted. store_size - the same, and how many modules and artifacts. */
uint64_t store_used(const struct store *s);
struct proto_store_sized store_size(const struct store *s);

/*
 * store_put - keep a module for what->owner, with its detached signature (length 0 for none), or an artifact. `fd` is
 * a sealed memfd, borrowed; a module's SHA-256 must be what->digest. What was used longest ago makes room: of the same
 * owner's modules past `owner_max`; past `size_max` of artifacts, when they take more than half, else of all modules.
 *
 * Returns 0 with *done; ERR_INVAL when the descriptor is not sealed, or the digest another; ERR_LIMIT when it is larger
 * than the whole store, or than one owner's share; ERR_IO when it could not be written, and then nothing of it is left.
 */
int store_put(struct store *s, const struct proto_store *what, int fd, const void *signature, size_t signature_length,
    struct proto_store_done *done, struct err *e);

/*
 * store_get - a module of what->owner, or an artifact, in a new sealed memfd whose bytes have been checked after the
 * sealing: by SHA-256, or by MAC. *signature (freed by the caller, NULL when there is none) is the one the owner gave.
 *
 * Returns the descriptor, the caller's, with *done; ERR_NOTFOUND when it is not there, or not this owner's; ERR_CORRUPT
 * when it does not check: it is removed, and can be put anew; ERR_IO.
 */
int store_get(struct store *s, const struct proto_store *what, void **signature, size_t *signature_length,
    struct proto_store_done *done, struct err *e);

/*
 * store_remove - drop what->owner's reference to a module; with the last one the module goes, and its artifacts. Or
 * remove an artifact. ERR_NOTFOUND as store_get.
 */
int store_remove(struct store *s, const struct proto_store *what, struct err *e);

/*
 * store_list - the modules of what->owner from what->digest on, in the order of their digests, at most `max`. Returns
 * how many were put into `out`, or ERR_NOMEM.
 */
int store_list(const struct store *s, const struct proto_store *what, struct proto_store_entry *out, size_t max,
    struct err *e);

#endif
