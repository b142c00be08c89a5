/* audit/unfinished: runs that are on record as about to start, and have no outcome. Logger. */

#ifndef AUDIT_UNFINISHED_H
#define AUDIT_UNFINISHED_H

#include <stddef.h>

#include "audit/log.h"

#define UNFINISHED_SPAN (32 * 1024 * 1024) /* bytes at the end of the log that are looked at */

/*
 * unfinished_record - put an outcome on record, status "failed", for each run of the last session that has none: brigd
 * was killed, or the disk was full when it was to be written. To be called before anything else is appended. `dir` is
 * borrowed. *count is how many there were.
 *
 * Returns 0; ERR_IO or ERR_NOMEM, and then the next start finds those that are still without an outcome.
 */
int unfinished_record(struct log *l, int dir, size_t *count, struct err *e);

#endif
