/* apply_show: what a set of changes does, for people to read. brig. */

#ifndef CLIENTS_C_APPLY_SHOW_H
#define CLIENTS_C_APPLY_SHOW_H

#include <stdbool.h>
#include <stdio.h>

#include "clients/c/apply_set.h"
#include "clients/c/apply_tree.h"

/*
 * apply_show - print the changes of a set that apply_check() found good: a heading for each directory that something
 * changes in, a line for each change, and for text files what goes and what comes. What a guest wrote is shown escaped.
 * Files of more than APPLY_SHOWN_MAX bytes, and those that are no text, are told by size and digest. 0 or ERR_NOMEM.
 */
#define APPLY_SHOWN_MAX (16 * 1024 * 1024)
int apply_show(FILE *f, const struct apply_set *set, const struct apply_mount *mounts, const struct apply_tree *t,
    bool colour);

#endif
