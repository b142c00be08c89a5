/* broker/denial: what policy withheld, as JSON that says which grant was missing. brigd. */

#include "broker/denial.h"

json_t *
denial_json(const struct policy_denial *d, const char *call, uint64_t count)
{
	json_t *grant = json_loads(d->grant, 0, NULL);

	if (grant == NULL) /* a fragment that is not a document by itself */
		grant = json_string(d->grant);
	return json_pack("{s:s?, s:s, s:s, s:{s:s, s:s}, s:I, s:o, s:s}",
	    "call", call,
	    "target", d->target,
	    "capability", policy_capability_name(d->capability),
	    "rule", "layer", policy_layer_name(d->layer), "field", policy_capability_name(d->capability),
	    "count", (json_int_t)(count > INT64_MAX ? INT64_MAX : count),
	    "grant", grant,
	    "message", d->message);
}
