/* runtime/wasi/mounts: a job's mounts and files, as its blob has them. Knows no guest memory. Runs in the worker. */

#ifndef RUNTIME_WASI_MOUNTS_H
#define RUNTIME_WASI_MOUNTS_H

#include "base/err.h"
#include "base/proto.h"
#include "runtime/wasi/fs.h"

/* The two parts of the blob, borrowed as long as the filesystem is used. */
struct wasi_mounts_blob {
	const uint8_t *mounts, *files;
	uint64_t mounts_bytes, files_bytes;
	uint32_t mount_count, file_count;
	const int *dirs; /* sockets of directories of the host */
	uint32_t dir_count;
};

/*
 * wasi_mounts_read - put all into `fs`, which has been begun and is empty; *rules must be freed after it. `stop` is for
 * directories of the host (runtime/wasi/lower.h); nothing is asked of these yet.
 *
 * Returns 0; ERR_PROTOCOL when the blob is not what it should be, ERR_LIMIT when fs_nodes or fs_bytes do not suffice
 * for the files' names, ERR_NOMEM. `fs` must be ended in any case.
 */
int wasi_mounts_read(const struct wasi_mounts_blob *blob, const volatile sig_atomic_t *stop, struct wasi_fs *fs,
    struct wasi_rule **rules, struct err *e);

#endif
