/* broker/run_learned: what a worker says that its run used, which is hostile input, and the policy made of it. brigd. */

#include "broker/run_learned.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/utf8.h"
#include "broker/run_result.h"
#include "runtime/wasi/table.h"

_Static_assert((int)PROTO_EXTENT_PATH == POLICY_EXTENT_PATH && (int)PROTO_EXTENT_BELOW == POLICY_EXTENT_BELOW &&
    (int)PROTO_EXTENT_TOGETHER == POLICY_EXTENT_TOGETHER, "the same extents");

/* --- what the worker says --------------------------------------------------------------------------------------- */

/* Whether this is a path as the worker's filesystem makes them: absolute, no "." or "..", nothing empty in it. */
static bool
is_path(const char *path)
{
	if (path[0] != '/' || strlen(path) > PROTO_PATH_MAX)
		return false;
	if (path[1] == '\0')
		return true;
	for (const char *p = path; *p != '\0';) {
		size_t n = strcspn(++p, "/");

		if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		p += n;
	}
	return true;
}

/* Whether policy grants that. What is below a path may have rules of its own, and is left to the meet. */
static bool
is_granted(const struct policy *policy, const struct proto_learned *one, const char *path)
{
	const struct policy_fs *at;

	if (one->capability != WASI_CAP_NONE)
		return path[0] == '\0' && one->rights == 0 && one->extent == 0 &&
		    ((one->capability == WASI_CAP_CLOCK && policy->clock != POLICY_CLOCK_NONE) ||
		        (one->capability == WASI_CAP_RANDOM && policy->random != POLICY_RANDOM_NONE));
	if (!is_path(path) || policy_fs_mount_of(policy, path) == NULL)
		return false;
	at = policy_fs_at(policy, path);
	return one->extent != PROTO_EXTENT_PATH || (one->rights != 0 && (one->rights & ~at->rights) == 0);
}

static int
make_room(struct run_learned *l, struct err *e)
{
	size_t room = l->room * 2 + 16;
	struct proto_learned *list;
	struct policy_use *files;

	if (l->count < l->room)
		return 0;
	if ((list = reallocarray(l->list, room, sizeof(*list))) != NULL)
		l->list = list;
	if ((files = reallocarray(l->files, room, sizeof(*files))) != NULL)
		l->files = files;
	if (list == NULL || files == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for what a run learns");
	l->room = room;
	return 0;
}

int
run_learned_one(struct run_learned *l, const struct policy *policy, const uint8_t *payload, size_t length, struct err *e)
{
	const char *text = (const char *)payload + sizeof(struct proto_learned);
	struct proto_learned one;
	char *path;

	if (length < sizeof(one) || length - sizeof(one) > PROTO_TARGET_MAX)
		return err_set(e, ERR_PROTOCOL, "something learned of %zu bytes", length);
	memcpy(&one, payload, sizeof(one));
	length -= sizeof(one);
	if (l->count >= PROTO_LEARNED_MAX || length > PROTO_LEARNED_NAMES - l->names)
		return err_set(e, ERR_PROTOCOL, "too much learned, after %zu uses", l->count);
	if (run_call_name(one.call) == NULL || one.count == 0 || one.rights > PROTO_FS_ALL ||
	    one.extent > PROTO_EXTENT_TOGETHER || memchr(text, '\0', length) != NULL || utf8_prefix(text, length, length) != length)
		return err_set(e, ERR_PROTOCOL, "a use by call %u that cannot be", one.call);
	if (make_room(l, e) != 0)
		return ERR_NOMEM;
	if ((path = strndup(text, length)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for what a run learns");
	if (!is_granted(policy, &one, path)) {
		free(path);
		return err_set(e, ERR_PROTOCOL, "a use of capability %u that is not granted", one.capability);
	}
	l->list[l->count] = one;
	l->files[l->count++] = (struct policy_use){path, one.rights, (enum policy_extent)one.extent};
	l->names += length;
	return 0;
}

/* --- what the client is told ------------------------------------------------------------------------------------ */

static json_t *
count_json(uint64_t n)
{
	return json_integer((json_int_t)(n > INT64_MAX ? INT64_MAX : n));
}

/* The rights, as capabilities of the filesystem. */
static json_t *
rights_json(uint32_t rights)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < 4; i++)
		if ((rights & 1u << i) != 0)
			json_array_append_new(list, json_string(policy_capability_name(POLICY_CAP_FS_READ + i) + strlen("fs.")));
	return list;
}

/* What one use shows: the rule that it led to, and where from. */
static json_t *
use_json(const struct run_learned *l, size_t i, const struct policy *learned)
{
	static const char *const extents[] = {"path", "below", "together"};
	const struct proto_learned *one = &l->list[i];
	const struct policy_fs *rule;

	if (one->capability != WASI_CAP_NONE)
		return json_pack("{s:s, s:s, s:o}", "field", one->capability == WASI_CAP_CLOCK ? "clock" : "random", "call",
		    run_call_name(one->call), "count", count_json(one->count));
	rule = policy_fs_at(learned, l->files[i].path);
	return json_pack("{s:s, s:s?, s:s, s:o, s:s, s:s, s:o}", "field", "fs", "rule", rule != NULL ? rule->path : NULL,
	    "target", l->files[i].path, "rights", rights_json(one->rights), "extent", extents[one->extent], "call",
	    run_call_name(one->call), "count", count_json(one->count));
}

/* What was given, and why that is in the policy although nobody saw it used. */
static void
add_given(const struct policy_uses *uses, json_t *evidence)
{
	if (uses->args)
		json_array_append_new(evidence, json_pack("{s:s, s:s}", "field", "args", "because",
		    "the request has arguments; whether a program reads them is not seen"));
	for (size_t i = 0; i < uses->envc; i++)
		json_array_append_new(evidence, json_pack("{s:s, s:s, s:s}", "field", "env", "target", uses->env[i], "because",
		    "the request sets it; a program gets all variables at once, and which it reads is not seen"));
	for (size_t i = 0; i < uses->request->tools.count; i++)
		json_array_append_new(evidence, json_pack("{s:s, s:s, s:s}", "field", "tools", "target",
		    uses->request->tools.list[i], "because", "the request names it"));
}

static void
add_limits(const struct policy_uses *uses, const struct policy *learned, json_t *evidence)
{
	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++) {
		bool measured = uses->used[i] != POLICY_UNSET;
		json_t *one;

		if (learned->limits[i] == POLICY_UNSET)
			continue;
		one = json_pack("{s:s, s:s, s:s}", "field", "limits", "target", policy_limit_info[i].name, "because",
		    measured ? "twice what was used, rounded up, and not less than the least that is worth a limit"
		             : "the request states it, and it is not measured");
		if (measured)
			json_object_set_new(one, "used", count_json(uses->used[i]));
		json_array_append_new(evidence, one);
	}
}

json_t *
run_learned_json(const struct run_learned *l, struct policy_uses *uses, bool complete)
{
	struct policy_use *files = calloc(l->count + 1, sizeof(*files));
	json_t *evidence = json_array(), *json = NULL;
	struct policy *learned = NULL;
	char text[DIGEST_TEXT_SIZE];
	struct digest digest;
	size_t count = 0;

	for (size_t i = 0; files != NULL && i < l->count; i++) {
		uses->clock |= l->list[i].capability == WASI_CAP_CLOCK;
		uses->random |= l->list[i].capability == WASI_CAP_RANDOM;
		if (l->list[i].capability == WASI_CAP_NONE)
			files[count++] = l->files[i];
	}
	uses->files = files;
	uses->file_count = count;
	if (files == NULL || policy_learned(uses, &learned, NULL) != 0 || policy_digest(learned, &digest, NULL) != 0)
		goto out;
	for (size_t i = 0; i < l->count; i++)
		json_array_append_new(evidence, use_json(l, i, learned));
	add_given(uses, evidence);
	add_limits(uses, learned, evidence);
	json = json_pack("{s:o, s:s, s:b, s:O}", "policy", policy_to_json(learned), "digest", digest_text(&digest, text),
	    "complete", complete, "evidence", evidence);
out:
	policy_free(learned);
	json_decref(evidence);
	free(files);
	return json;
}

size_t
run_learned_bytes(const struct run_learned *l)
{
	return 3 * l->names + 512 * l->count;
}

void
run_learned_clear(struct run_learned *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->files[i].path);
	free(l->list);
	free(l->files);
	*l = (struct run_learned){.list = NULL};
}
