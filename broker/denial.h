/* broker/denial: what policy withheld, as JSON that says which grant was missing. brigd. */

#ifndef BROKER_DENIAL_H
#define BROKER_DENIAL_H

#include <jansson.h>
#include <stdint.h>

#include "policy/policy.h"

/*
 * denial_json - one entry of `denials`: {"call", "target", "capability", "rule", "count", "grant", "message"}. `call` is
 * the host call's name, or NULL for what was withheld before anything ran; `rule` names the layer that withheld it.
 * Returns NULL when out of memory.
 */
json_t *denial_json(const struct policy_denial *d, const char *call, uint64_t count);

#endif
