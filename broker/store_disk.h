/* broker/store_disk: files and directories of the store: whole or not at all. Store. */

#ifndef BROKER_STORE_DISK_H
#define BROKER_STORE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define STORE_TMP_PREFIX "tmp-" /* of names of what is not whole yet */

/* A part of a file to be written. */
struct store_part {
	const void *data;
	size_t length;
};

/*
 * store_disk_write - make the file `path` below `dir`, mode 0600, of parts[0..count], and sync it. There must be none.
 * On failure (ERR_IO) there is none again.
 */
int store_disk_write(int dir, const char *path, const struct store_part *parts, size_t count, struct err *e);

/*
 * store_disk_read - the file `path`, but for its last `trailer_size` bytes, which go to `trailer`, as a sealed memfd.
 * Returns the descriptor with *size, its length; ERR_NOTFOUND; ERR_CORRUPT when the file is shorter than the trailer or
 * longer than `max`; ERR_IO.
 */
int store_disk_read(int dir, const char *path, size_t max, void *trailer, size_t trailer_size, size_t *size, struct err *e);

/* store_disk_mkdir - make a directory, mode 0700; fine when it is there. store_disk_sync - sync a directory's entries. */
int store_disk_mkdir(int dir, const char *path, struct err *e);
int store_disk_sync(int dir, const char *path, struct err *e);

/* store_disk_remove - remove a file, or a directory with all that is in it; fine when there is none. */
int store_disk_remove(int dir, const char *path, struct err *e);

/* store_disk_touch - make now the file's mtime; best effort. */
void store_disk_touch(int dir, const char *path);

/*
 * store_disk_each - call `fn` with the name of each entry of a directory but . and .. ; it may remove the entry. Stops
 * at the first that returns an error, and returns it.
 */
int store_disk_each(int dir, const char *path, int (*fn)(void *arg, const char *name, struct err *e), void *arg,
    struct err *e);

/* store_disk_is_temporary - whether the name is of something that was not whole. */
bool store_disk_is_temporary(const char *name);

#endif
