/* policy/diff: what one policy allows that another does not, as sentences and data. Pure; brig. */

#ifndef POLICY_DIFF_H
#define POLICY_DIFF_H

#include "policy/policy.h"

/*
 * policy_diff - set *out to a list of differences, empty when both say the same (policy_equal). Each is
 *
 *   { "field": "limits.wall_ms", "more": "a" or "b": who allows more by it, "text": a sentence, and what is in it:
 *     "a" and "b" (values; null: not stated), or "name", or "path" with "rights", "kind" or "mount" }
 *
 * There is one with "more": "b" exactly if policy_allows(a, b) is false. What differs at a path holds below it too, as far
 * as no longer path says otherwise. Of two that cannot be compared, such as two fixed times, there is one for each side.
 * Borrows both; the caller frees *out. Returns 0 or ERR_NOMEM.
 */
int policy_diff(const struct policy *a, const struct policy *b, json_t **out, struct err *e);

#endif
