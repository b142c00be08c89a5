/* apply: brings what a program did to its files to the directories of the host. `brig apply` and `brig run --apply`. */

#ifndef CLIENTS_C_APPLY_H
#define CLIENTS_C_APPLY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "clients/c/apply_set.h"

/* How it is to be done. Zeros to begin with. */
struct apply_request {
	const char *verb;   /* for messages */
	const char **allow; /* patterns of --allow-path */
	size_t allow_count;
	bool dry_run;       /* only show */
	bool yes;           /* do not ask */
};

/* apply_request_allow - one pattern more, borrowed. 0 or ERR_NOMEM. apply_request_clear - free what was added. */
int apply_request_allow(struct apply_request *r, const char *pattern, struct err *e);
void apply_request_clear(struct apply_request *r);

/*
 * apply_result - show the changes of `result` in `mounts` on standard error and make them, all or none, after making good what a
 * crash left. On a terminal it asks first, unless `yes`. When the set is refused, or fails, everything that is wrong
 * is said.
 *
 * Returns CMD_OK when the changes are made, there are none, or with dry_run could be made; else CMD_FAILED.
 */
int apply_result(json_t *result, const struct apply_mount *mounts, size_t mount_count, const struct apply_request *r);

/* apply_recover - make good what a crash left, and say so. `forget`: only drop its journal. CMD_OK or CMD_FAILED. */
int apply_recover(const char *verb, bool forget);

#endif
