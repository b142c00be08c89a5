/* base/io: whole reads and writes, whole files, and descriptor flags. Any process. */

#ifndef BASE_IO_H
#define BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* io_write_all - write data[0..length] whole, through EINTR and short writes, on a blocking descriptor. 0 or ERR_IO. */
int io_write_all(int fd, const void *data, size_t length, struct err *e);

/*
 * io_read_file - the whole of a regular file, or of a pipe, as a heap block with a NUL behind it (not counted).
 * Refuses more than `max` bytes with ERR_LIMIT. ERR_NOTFOUND when there is no such file. The caller frees *data.
 */
int io_read_file(const char *path, size_t max, uint8_t **data, size_t *length, struct err *e);
int io_read_fd(int fd, size_t max, uint8_t **data, size_t *length, struct err *e);

/*
 * io_replace_file - put data[0..length] at `path` so that a crash leaves the old file or the new one, never a part:
 * temporary file in the same directory, fsync, rename, fsync of the directory. `mode` as for open(2), no umask.
 */
int io_replace_file(const char *path, const void *data, size_t length, unsigned mode, struct err *e);

/*
 * io_fill_standard - put something at each of the descriptors 0, 1 and 2 that is closed, so that nothing that is opened
 * later is taken for standard input, output or error: reading that input, and writing there, fail with EBADF as before.
 * For the first line of main(). 0 or ERR_IO.
 */
int io_fill_standard(struct err *e);

/* io_set_nonblock, io_set_cloexec - set or clear the flag. 0 or ERR_IO. */
int io_set_nonblock(int fd, bool on, struct err *e);
int io_set_cloexec(int fd, bool on, struct err *e);

#endif
