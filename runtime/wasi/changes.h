/* runtime/wasi/changes: what a run did to its files, for brigd. Knows no guest memory. Runs in the worker. */

#ifndef RUNTIME_WASI_CHANGES_H
#define RUNTIME_WASI_CHANGES_H

#include "runtime/wasi/fs.h"
#include "runtime/wasi/stream.h"

/*
 * wasi_changes_send - compare what is there with the originals, and send each difference: PROTO_CHANGE, with
 * PROTO_CONTENT where a file's bytes fit what is left of `content_max` and can be had, and at last PROTO_CHANGES. A file
 * that was renamed is deleted there and created here. Of the host's files it asks what they held before. Not
 * async-signal-safe; looks at *port->stop.
 *
 * Sorts fs->originals, and adds to them: once. Returns OK, STOPPED (what was sent is then no complete list) or BROKEN.
 */
enum wasi_stream_status wasi_changes_send(struct wasi_fs *fs, const struct wasi_port *port, uint64_t content_max);

#endif
