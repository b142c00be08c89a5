/* policy/document: from a policy back to JSON, its canonical text and digest. Pure; brigd and brig. */

#include "policy/internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static json_t *
limits_json(const struct policy *p)
{
	json_t *limits = json_object();

	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++)
		if (p->limits[i] != POLICY_UNSET &&
		    json_object_set_new(limits, policy_limit_names[i], json_integer((json_int_t)p->limits[i])) != 0)
			goto fail;
	return limits;
fail:
	json_decref(limits);
	return NULL;
}

static json_t *
names_json(const struct policy_names *n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n->count; i++)
		if (json_array_append_new(list, json_string(n->list[i])) != 0)
			goto fail;
	return list;
fail:
	json_decref(list);
	return NULL;
}

/* The fields that are not always there: beside a certain clock or randomness, mode and tools. */
static int
add_optional(const struct policy *p, json_t *json)
{
	char hex[2 * POLICY_SEED_SIZE + 1];

	if (p->has_clock_fixed_ns &&
	    json_object_set_new(json, "clock_fixed_ns", json_integer((json_int_t)p->clock_fixed_ns)) != 0)
		return ERR_NOMEM;
	sodium_bin2hex(hex, sizeof(hex), p->seed, POLICY_SEED_SIZE);
	if (p->has_seed && json_object_set_new(json, "seed", json_string(hex)) != 0)
		return ERR_NOMEM;
	if (p->mode != POLICY_MODE_ENFORCE &&
	    json_object_set_new(json, "mode", json_string(policy_mode_words[p->mode])) != 0)
		return ERR_NOMEM;
	if (p->tools.count > 0 && json_object_set_new(json, "tools", names_json(&p->tools)) != 0)
		return ERR_NOMEM;
	return 0;
}

json_t *
policy_to_json(const struct policy *p)
{
	json_t *json = json_pack("{s:i, s:o, s:b, s:o, s:o, s:s, s:s, s:s, s:{s:s, s:s}}", "version", POLICY_VERSION,
	    "limits", limits_json(p), "args", p->args, "env", names_json(&p->env), "fs", policy_fs_json(p), "clock",
	    policy_clock_words[p->clock], "random", policy_random_words[p->random], "output",
	    policy_output_words[p->output], "signature", "module",
	    policy_signature_words[p->signature_module], "source", policy_signature_words[p->signature_source]);

	if (json != NULL && add_optional(p, json) != 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}

int
policy_digest(const struct policy *p, struct digest *out, struct err *e)
{
	json_t *json = policy_to_json(p);
	char *text = json == NULL ? NULL : json_dumps(json, POLICY_JSON_FLAGS);

	json_decref(json);
	if (text == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for a policy's text");
	*out = digest_of(text, strlen(text));
	free(text);
	return 0;
}
