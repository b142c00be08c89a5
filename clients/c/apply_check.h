/* apply_check: whether a set of changes fits what is on the host, and the steps to make it. Changes nothing. brig. */

#ifndef CLIENTS_C_APPLY_CHECK_H
#define CLIENTS_C_APPLY_CHECK_H

#include "clients/c/apply_guard.h"
#include "clients/c/apply_set.h"
#include "clients/c/apply_tree.h"
#include "clients/c/problems.h"

/*
 * apply_check - open the directories of `mounts` and those that the changes go to, look at everything that is to
 * change, and make the steps. A problem is: a path that the guard refuses or that is brig's own (`state`, the
 * directory of the journal); a name that is not as the program found it, by the digest of what it held; a file where a
 * directory is needed and the reverse; a link, another filesystem or a special file on the way or at the end; a file
 * of another user, or that may not be written; a link that leads out of the directory through links on the host.
 *
 * Borrows the set, which the steps point to. *out is for apply_tree_clear(), and is to be used when there was no
 * problem. Returns 0, or ERR_NOTFOUND or ERR_IO (a directory of `mounts` cannot be opened), ERR_LIMIT (too many
 * directories at once), ERR_NOMEM.
 */
int apply_check(const struct apply_set *set, const struct apply_mount *mounts, size_t mount_count,
    const struct apply_guard *guard, int state, struct apply_tree *out, struct problems *problems, struct err *e);

#endif
