/* audit/unfinished: runs that were on record as about to start when brigd was killed, and have no outcome. Logger. */

#ifndef AUDIT_UNFINISHED_H
#define AUDIT_UNFINISHED_H

#include <stddef.h>

#include "audit/log.h"

#define UNFINISHED_SPAN (32 * 1024 * 1024) /* bytes at the end of the log that are looked at */

/*
 * unfinished_record - put an outcome on record, status "failed", for each run whose last session ended without one. To
 * be called before anything else is appended. A session that ended by itself leaves none, and is not looked at. `dir`
 * is borrowed. *count is how many there were.
 *
 * Returns 0; ERR_IO or ERR_NOMEM, and then the next start finds those that are still without an outcome.
 */
int unfinished_record(struct log *l, int dir, size_t *count, struct err *e);

#endif
