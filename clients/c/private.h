/* private: a user's own brigd: found, or started when none runs. brig. */

#ifndef CLIENTS_C_PRIVATE_H
#define CLIENTS_C_PRIVATE_H

#include <stdbool.h>

#include "base/err.h"
#include "clients/c/libbrig.h"

/*
 * private_connect - brig_connect(path, ...), and when `path` and $BRIG_SOCKET are not set and no brigd answers: make
 * this user's keys and keyring if need be (broker/keys_private.h), start a brigd of their own in the background, wait
 * until it serves, and connect. It ends by itself after ten minutes without a client. Several processes may do this at
 * once: one starts it and the others wait. *started tells whether this call did.
 *
 * Returns 0; what brig_connect returns; ERR_NOTFOUND without a brigd program; ERR_IO with what brigd said when it did
 * not come up.
 */
int private_connect(const char *path, struct brig **out, bool *started, struct err *e);

#endif
