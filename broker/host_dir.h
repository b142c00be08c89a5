/* broker/host_dir: the sockets over which clients serve directories to their runs: checked, never spoken on. brigd. */

#ifndef BROKER_HOST_DIR_H
#define BROKER_HOST_DIR_H

#include <sys/types.h>

#include "base/err.h"

/*
 * host_dir_check - that `fd` is one end of socketpair(AF_UNIX, SOCK_SEQPACKET): connected, and neither end has a name.
 * Asks only sockets, and never waits. Returns 0 with *maker: the user who made the pair; or ERR_INVAL with what to do.
 */
int host_dir_check(int fd, uid_t *maker, struct err *e);

#endif
