/* broker/run_learned: what a worker says that its run used, which is hostile input, and the policy made of it. brigd. */

#ifndef BROKER_RUN_LEARNED_H
#define BROKER_RUN_LEARNED_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/proto.h"
#include "policy/policy.h"

/* Zeros to begin with. */
struct run_learned {
	struct proto_learned *list; /* PROTO_LEARNED_MAX at most */
	struct policy_use *files;   /* one for each; those that are not about files have no path */
	size_t count, room;
	size_t names;               /* bytes of all paths */
};

/*
 * run_learned_one - take the payload of a PROTO_LEARNED. `policy` is the run's: a use of what it does not grant, a path
 * that is none or outside of its mounts, and more than there may be, are ERR_PROTOCOL. ERR_NOMEM.
 */
int run_learned_one(struct run_learned *l, const struct policy *policy, const uint8_t *payload, size_t length,
    struct err *e);

/*
 * run_learned_json - {"policy", "digest", "complete", "evidence"} for the result (docs/policy.md). `uses` lacks files, clock
 * and random, which are set here. `complete`: the run came to its own end. NULL when out of memory.
 */
json_t *run_learned_json(const struct run_learned *l, struct policy_uses *uses, bool complete);

/* run_learned_bytes - about what its JSON costs to keep. run_learned_clear - free all, and begin anew. */
size_t run_learned_bytes(const struct run_learned *l);
void run_learned_clear(struct run_learned *l);

#endif
