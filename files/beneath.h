/* files/beneath: what is in a directory of the host, found without ever leaving it. brig-files. */

#ifndef FILES_BENEATH_H
#define FILES_BENEATH_H

#include <stdbool.h>

#include "base/files.h"

/*
 * `dir` is the directory, `path` one that request_parse accepted. No link is followed, the last component's included;
 * no mount is crossed; nothing outside is reached, however the tree changes meanwhile. All return FILES_OK, or
 * FILES_MISSING, FILES_DENIED, FILES_KIND, FILES_CHANGED, FILES_OUTSIDE or FILES_IO with outputs untouched.
 *
 * A version is only given out once the kernel would date another change later: what is changed after that has another
 * version. This waits for some milliseconds where something was changed just now.
 */

/*
 * beneath_stat - what is at `path`, which is not opened. `target` has room for FILES_PATH_MAX + 1 bytes and takes a
 * link's, node->target_length bytes without a NUL.
 */
enum files_code beneath_stat(int dir, const char *path, struct files_node *node, char *target);

/*
 * beneath_open - open the file or directory (`kind`) at `path` for reading; FILES_KIND when it is something else,
 * which is then not opened: devices do not act, fifos do not wait. (One that takes a file's place
 * between the look and the opening is opened, without waiting and as no terminal, found to be another, and closed.) The caller closes *fd.
 */
enum files_code beneath_open(int dir, const char *path, enum files_kind kind, int *fd, struct files_version *version);

/* beneath_version - the version of an open file as it is now. FILES_OK or FILES_IO. */
enum files_code beneath_version(int fd, struct files_version *version);

/* beneath_kind - the kind of the directory `fd`'s entry `name`, or 0 when it has gone. */
uint32_t beneath_kind(int fd, const char *name);

/* beneath_same - whether two versions are one; beneath_any - whether it is all zeros. */
bool beneath_same(const struct files_version *a, const struct files_version *b);
bool beneath_any(const struct files_version *v);

#endif
