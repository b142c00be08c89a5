/* policies: policy documents made by the generator of roll.h, over few values, so that all relations come up. Unit tests. */

#include "tests/unit/policies.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "policy/policy.h"
#include "tests/unit/roll.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define PICK(list)  (list)[roll(COUNT_OF(list))]

static json_t *
generated_rights(void)
{
	static const char *const words[] = {"read", "write", "create", "delete"};
	json_t *rights = json_array();

	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (roll(2))
			json_array_append_new(rights, json_string(words[i]));
	return rights;
}

/* Whether it is there already; else it is noted. */
static bool
is_taken(json_t *taken, const char *base, const char *inner)
{
	char path[64];

	snprintf(path, sizeof(path), "%s%s%s", base, inner[0] == '\0' || strcmp(base, "/") == 0 ? "" : "/", inner);
	if (json_object_get(taken, path) != NULL)
		return true;
	json_object_set_new(taken, path, json_true());
	return false;
}

/* Mounts and places for them, with rights for paths inside: those of others, too, are among them. */
static json_t *
generated_fs(unsigned absent)
{
	static const char *const mounts[] = {"/", "/a", "/a/b", "/a/bc", "/a/b/c", "/d"};
	static const char *const paths[] = {"b", "b/c", "bc", "c", "a/b", "x"};
	static const char *const kinds[] = {"tmp", "inline", "dir"};
	json_t *fs = json_array(), *taken = json_object();

	for (unsigned n = roll(4); n > 0; n--) {
		const char *base = PICK(mounts), *path;
		json_t *one = json_object(), *inner = json_object();

		if (!is_taken(taken, base, ""))
			json_array_append(fs, one);
		json_object_set_new(one, roll(2) ? "mount" : "under", json_string(base));
		for (unsigned i = roll(3); i > 0; i--)
			if (!is_taken(taken, base, path = PICK(paths)))
				json_object_set_new(inner, path, generated_rights());
		if (roll(16) >= absent)
			json_object_set_new(one, "kind", json_string(PICK(kinds)));
		if (roll(16) >= absent)
			json_object_set_new(one, "rights", generated_rights());
		if (json_object_size(inner) > 0)
			json_object_set(one, "paths", inner);
		json_decref(inner);
		json_decref(one);
	}
	json_decref(taken);
	return fs;
}

static json_t *
generated_names(const char *const *names, size_t count)
{
	json_t *list = json_array();

	for (unsigned i = roll(5); i > 0; i--)
		json_array_append_new(list, json_string(names[roll((unsigned)count)]));
	return list;
}

static void
add_clock_and_random(json_t *json)
{
	static const char *const clocks[] = {"none", "fixed", "coarse", "real"}, *const randoms[] = {"none", "seeded", "real"};
	static const char *const seeds[] = {"0000000000000000000000000000000000000000000000000000000000000001",
	    "0000000000000000000000000000000000000000000000000000000000000002"};
	unsigned clock = roll(4), random = roll(3);

	json_object_set_new(json, "clock", json_string(clocks[clock]));
	if (clock == POLICY_CLOCK_FIXED && roll(3))
		json_object_set_new(json, "clock_fixed_ns", json_integer(roll(2)));
	json_object_set_new(json, "random", json_string(randoms[random]));
	if (random == POLICY_RANDOM_SEEDED && roll(3))
		json_object_set_new(json, "seed", json_string(PICK(seeds)));
}

json_t *
policies_generate(unsigned absent)
{
	static const char *const names[] = {"*", "A", "A*", "AB", "AB*", "ABC", "B", "B*", "C"};
	static const char *const tools[] = {"search", "fetch", "a.b-c_D", "x"};
	static const char *const fields[] = {"fs", "limits", "env", "tools", "args", "output", "mode", "signature"};
	json_t *limits = json_object(), *json = json_object();

	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++)
		if (roll(2))
			json_object_set_new(limits, policy_limit_info[i].name, json_integer(3 + roll(4)));
	json_object_set_new(json, "limits", limits);
	json_object_set_new(json, "env", generated_names(names, COUNT_OF(names)));
	json_object_set_new(json, "tools", generated_names(tools, COUNT_OF(tools)));
	json_object_set_new(json, "fs", generated_fs(absent));
	json_object_set_new(json, "args", json_boolean(roll(2)));
	json_object_set_new(json, "output", json_string(roll(2) ? "cut" : "end"));
	json_object_set_new(json, "mode", json_string(roll(2) ? "learn" : "enforce"));
	json_object_set_new(json, "signature", json_pack("{s:s, s:s}", "module", roll(2) ? "required" : "optional",
	    "source", roll(2) ? "required" : "optional"));
	if (roll(16) >= absent)
		add_clock_and_random(json);
	for (size_t i = 0; i < COUNT_OF(fields); i++)
		if (roll(16) < absent)
			json_object_del(json, fields[i]);
	return json;
}
