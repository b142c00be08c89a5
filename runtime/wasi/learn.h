/* runtime/wasi/learn: what a run in learn mode uses of what it may, for brigd. Knows no guest memory. Runs in the worker. */

#ifndef RUNTIME_WASI_LEARN_H
#define RUNTIME_WASI_LEARN_H

#include "runtime/wasi/fs.h"
#include "runtime/wasi/stream.h"
#include "runtime/wasi/table.h"

/*
 * Uses are kept by call and target and counted. Of more than WASI_LEARN_SIBLINGS names in one directory the directory is
 * kept instead, and of more than can be kept at all the mount: it stays bounded, and never says less than was used.
 */
struct wasi_learn;

#define WASI_LEARN_SIBLINGS 8

/* wasi_learn_new - nothing used yet; NULL when out of memory. wasi_learn_free: NULL is fine. */
struct wasi_learn *wasi_learn_new(void);
void wasi_learn_free(struct wasi_learn *l);

/* wasi_learn_call - a capability that is not about a path was used. */
void wasi_learn_call(struct wasi_learn *l, enum wasi_call call, enum wasi_capability capability);

/* wasi_learn_noted - what `fs` has noted since the last time was used by `call`. */
void wasi_learn_noted(struct wasi_learn *l, enum wasi_call call, struct wasi_fs *fs);

/* wasi_learn_mount - a right was used somewhere in a mount, by a descriptor, which has no path. */
void wasi_learn_mount(struct wasi_learn *l, enum wasi_call call, const struct wasi_fs *fs, uint32_t mount, uint32_t rights);

/* wasi_learn_send - send all, as PROTO_LEARNED, and forget it. Async-signal-safe, outside of the functions above. */
enum wasi_stream_status wasi_learn_send(struct wasi_learn *l, const struct wasi_port *port);

#endif
