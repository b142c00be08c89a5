/* broker/run_changes: what a worker says that its run did to files, which is hostile input; no I/O. brigd. */

#ifndef BROKER_RUN_CHANGES_H
#define BROKER_RUN_CHANGES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "policy/policy.h"

/* Zeros to begin with. */
struct run_changes {
	json_t **list;      /* PROTO_CHANGES_MAX at most */
	size_t count, room;
	uint8_t *content;   /* of the last one, while it comes */
	size_t have, want;
	size_t bytes;       /* of all contents so far */
	size_t names;       /* bytes of all paths and targets */
	uint64_t omitted;
	bool complete;
	json_t *sorted;     /* once asked for */
};

/*
 * run_changes_one, run_changes_content, run_changes_end - take the payload of PROTO_CHANGE, PROTO_CONTENT and
 * PROTO_CHANGES. `policy` is the run's: a path outside of its mounts, or more content than changes_bytes, is
 * ERR_PROTOCOL, as is everything else that is not so. ERR_NOMEM.
 */
int run_changes_one(struct run_changes *c, const struct policy *policy, const uint8_t *payload, size_t length,
    struct err *e);
int run_changes_content(struct run_changes *c, const uint8_t *payload, size_t length, struct err *e);
int run_changes_end(struct run_changes *c, const uint8_t *payload, size_t length, struct err *e);

/*
 * run_changes_json - the list for the result, by path, each path once; borrowed. NULL when the worker did not say that
 * it is complete. *omitted: how many are not in it.
 */
const json_t *run_changes_json(struct run_changes *c, uint64_t *omitted);

/* run_changes_clear - free all, and begin anew. */
void run_changes_clear(struct run_changes *c);

#endif
