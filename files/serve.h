/* files/serve: answers a worker's questions about one directory. brig-files. */

#ifndef FILES_SERVE_H
#define FILES_SERVE_H

#include "base/err.h"

#define SERVE_ENTRIES_MAX (1u << 20) /* of one directory that is listed; more are FILES_LIMIT */

/*
 * serve_files - answer on `sock` by the protocol of base/files.h, about what is beneath `dir`, until the other side
 * closes, which returns 0. ERR_PROTOCOL after a malformed request, which has been answered; ERR_IO when the socket
 * fails. Borrows both descriptors, leaves none open, and holds a bounded amount of memory. libsodium has been started.
 */
int serve_files(int sock, int dir, struct err *e);

#endif
