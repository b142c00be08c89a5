/* server_signal: tell the brigd behind a connection to stop or to read its files again. brig. */

#ifndef CLIENTS_C_SERVER_SIGNAL_H
#define CLIENTS_C_SERVER_SIGNAL_H

#include "base/err.h"
#include "clients/c/libbrig.h"

/*
 * server_reload - send SIGHUP to the process that listens where `b` is connected.
 *
 * Returns 0; ERR_DENIED when it is not ours to signal; ERR_NOTFOUND when it cannot be named from here (another pid
 * namespace) or has gone; ERR_IO.
 */
int server_reload(const struct brig *b, struct err *e);

/*
 * server_stop - send it SIGTERM, close `b`, which is taken, and wait until the process has gone; it first lets running
 * programs end. `wait_ms` bounds the waiting, -1 does not: ERR_AGAIN when it is still there then. Otherwise as above.
 */
int server_stop(struct brig *b, int wait_ms, struct err *e);

/*
 * server_stop_private - server_stop for this user's own brigd, at brig_socket_private(). ERR_NOTFOUND when none runs.
 */
int server_stop_private(int wait_ms, struct err *e);

#endif
