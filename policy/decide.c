/* policy/decide: whether a request is granted, and if not, which layer withholds what. Pure; brigd and brig. */

#include "policy/internal.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

static const char *const capability_names[] = {
#define X(name, text) text,
    POLICY_CAPABILITIES(X)
#undef X
};

static const struct {
	const char *name;
	const char *phrase; /* as it stands in messages */
} layer_texts[] = {
    [POLICY_LAYER_CEILING] = {"ceiling", "the operator's ceiling"},
    [POLICY_LAYER_OWNER] = {"owner", "the grant of this owner"},
    [POLICY_LAYER_SIGNER] = {"signer", "the grant of the module's signer"},
    [POLICY_LAYER_PACK] = {"pack", "the grant of the language pack"},
    [POLICY_LAYER_REQUEST] = {"request", "the policy in the request"},
};

const char *
policy_layer_name(enum policy_layer_kind kind)
{
	return layer_texts[kind].name;
}

const char *
policy_layer_phrase(enum policy_layer_kind kind)
{
	return layer_texts[kind].phrase;
}

const char *
policy_capability_name(enum policy_capability c)
{
	return capability_names[c];
}

/* What the decision has seen of the layers so far. */
struct seen {
	const struct policy *clock; /* the layer that fixed the clock at a time; NULL for none */
	const struct policy *seed;
};

static bool
withholds_clock(const struct policy *p, struct seen *seen)
{
	if (p->clock == POLICY_CLOCK_NONE)
		return true;
	if (!p->has_clock_fixed_ns)
		return false;
	if (seen->clock != NULL)
		return seen->clock->clock_fixed_ns != p->clock_fixed_ns;
	seen->clock = p;
	return false;
}

static bool
withholds_random(const struct policy *p, struct seen *seen)
{
	if (p->random == POLICY_RANDOM_NONE)
		return true;
	if (!p->has_seed)
		return false;
	if (seen->seed != NULL)
		return memcmp(seen->seed->seed, p->seed, POLICY_SEED_SIZE) != 0;
	seen->seed = p;
	return false;
}

/* What a mount must be able to hold for a capability; TMP for those that are about rights. */
static enum policy_fs_kind
kind_of(enum policy_capability c)
{
	if (c == POLICY_CAP_FS_DIR)
		return POLICY_FS_DIR;
	return c == POLICY_CAP_FS_INLINE ? POLICY_FS_INLINE : POLICY_FS_TMP;
}

/* The right that a capability is, or 0 for those that are about what a mount holds. */
static uint32_t
right_of(enum policy_capability c)
{
	return kind_of(c) != POLICY_FS_TMP ? 0 : 1u << (c - POLICY_CAP_FS_READ);
}

static bool
withholds_fs(const struct policy *p, enum policy_capability c, const char *target)
{
	const struct policy_fs *f = policy_fs_at(p, target == NULL ? "/" : target);

	if (f == NULL)
		return true;
	return kind_of(c) != POLICY_FS_TMP ? f->kind < kind_of(c) : (f->rights & right_of(c)) == 0;
}

static bool
withholds(const struct policy *p, enum policy_capability c, const char *target, struct seen *seen)
{
	switch (c) {
	case POLICY_CAP_SIGNATURE:
		return p->signature_module == POLICY_SIGNATURE_REQUIRED;
	case POLICY_CAP_SOURCE:
		return p->signature_source == POLICY_SIGNATURE_REQUIRED;
	case POLICY_CAP_MODE:
		return p->mode != POLICY_MODE_LEARN;
	case POLICY_CAP_ARGS:
		return !p->args;
	case POLICY_CAP_ENV:
		return !policy_env_allowed(p, target == NULL ? "" : target);
	case POLICY_CAP_CLOCK:
		return withholds_clock(p, seen);
	case POLICY_CAP_RANDOM:
		return withholds_random(p, seen);
	case POLICY_CAP_FS_INLINE:
	case POLICY_CAP_FS_DIR:
	case POLICY_CAP_FS_READ:
	case POLICY_CAP_FS_WRITE:
	case POLICY_CAP_FS_CREATE:
	case POLICY_CAP_FS_DELETE:
		return withholds_fs(p, c, target);
	default:
		return false;
	}
}

/*
 * Where a grant about `target` is put: at the directory that holds it, or, where that cannot be said in a document,
 * above; not above the entry that decides now, which would go on deciding.
 */
static void
place_of_grant(const struct policy_fs *decides, const char *target, char place[POLICY_PATH_MAX + 1])
{
	size_t least = decides != NULL ? strlen(decides->path) : 1, length = strlen(target);
	const char *wrong;

	do {
		length = policy_path_above(target, length, least);
		snprintf(place, POLICY_PATH_MAX + 1, "%.*s", (int)length, target);
		wrong = length > POLICY_PATH_MAX ? "too long" : policy_path_wrong(place);
	} while (wrong != NULL && length > least);
}

/* The entry of "fs" that a document would have to have. What it granted at that place so far is in it. */
static json_t *
fs_grant(const struct policy_layer *layer, enum policy_capability c, const char *target)
{
	const struct policy_fs *f = layer->policy != NULL ? policy_fs_at(layer->policy, target) : NULL, *mount;
	uint32_t rights = (f != NULL ? f->rights : 0) | right_of(c);
	enum policy_fs_kind kind = kind_of(c) != POLICY_FS_TMP ? kind_of(c) : f != NULL ? f->kind : POLICY_FS_TMP;
	char place[POLICY_PATH_MAX + 1];

	if (c == POLICY_CAP_FS_DIR) /* the mount itself */
		snprintf(place, sizeof(place), "%s", target);
	else
		place_of_grant(f, target, place);
	mount = layer->policy != NULL ? policy_fs_mount_of(layer->policy, place) : NULL;
	if (c == POLICY_CAP_FS_DIR && mount != NULL && strcmp(mount->path, place) != 0)
		mount = NULL;
	if (mount != NULL && kind_of(c) != POLICY_FS_TMP)
		return json_pack("{s:[{s:s, s:s}]}", "fs", "mount", mount->path, "kind", policy_fs_kind_words[kind]);
	if (mount != NULL && strcmp(mount->path, place) == 0)
		return json_pack("{s:[{s:s, s:o}]}", "fs", "mount", place, "rights", policy_rights_json(rights));
	if (mount != NULL)
		return json_pack("{s:[{s:s, s:{s:o}}]}", "fs", "mount", mount->path, "paths",
		    place + strlen(mount->path) + (strlen(mount->path) > 1), policy_rights_json(rights));
	/* A mount in any other layer would be one of every run. */
	return json_pack("{s:[{s:s, s:s, s:o}]}", "fs", layer->kind == POLICY_LAYER_REQUEST ? "mount" : "under", place, "kind",
	    policy_fs_kind_words[kind], "rights", policy_rights_json(rights));
}

/* A clock that the layers before have too, where one of them says its time; the same for randomness and its seed. */
static json_t *
clock_grant(const struct seen *seen)
{
	if (seen->clock == NULL)
		return json_pack("{s:s}", "clock", "coarse");
	return json_pack("{s:s, s:I}", "clock", "fixed", "clock_fixed_ns", (json_int_t)seen->clock->clock_fixed_ns);
}

static json_t *
random_grant(const struct seen *seen)
{
	char hex[2 * POLICY_SEED_SIZE + 1];

	if (seen->seed == NULL)
		return json_pack("{s:s}", "random", "real");
	sodium_bin2hex(hex, sizeof(hex), seen->seed->seed, POLICY_SEED_SIZE);
	return json_pack("{s:s, s:s}", "random", "seeded", "seed", hex);
}

/* The piece of a document that would grant it. A name that has to be escaped in JSON is. */
static void
write_grant(const struct policy_layer *layer, const struct seen *seen, enum policy_capability c, const char *target,
    uint64_t amount, struct policy_denial *out)
{
	json_t *json = NULL;
	char *text;

	switch (c) {
	case POLICY_CAP_SIGNATURE:
		json = json_pack("{s:{s:s}}", "signature", "module", "optional");
		break;
	case POLICY_CAP_SOURCE:
		json = json_pack("{s:{s:s}}", "signature", "source", "optional");
		break;
	case POLICY_CAP_MODE:
		json = json_pack("{s:s}", "mode", policy_mode_words[POLICY_MODE_LEARN]);
		break;
	case POLICY_CAP_ARGS:
		json = json_pack("{s:b}", "args", 1);
		break;
	case POLICY_CAP_ENV:
		json = json_pack("{s:[s]}", "env", target);
		break;
	case POLICY_CAP_CLOCK:
		json = clock_grant(seen);
		break;
	case POLICY_CAP_RANDOM:
		json = random_grant(seen);
		break;
	case POLICY_CAP_FS_INLINE:
	case POLICY_CAP_FS_DIR:
	case POLICY_CAP_FS_READ:
	case POLICY_CAP_FS_WRITE:
	case POLICY_CAP_FS_CREATE:
	case POLICY_CAP_FS_DELETE:
		json = fs_grant(layer, c, target == NULL ? "/" : target);
		break;
	default:
		json = json_pack("{s:{s:I}}", "limits", capability_names[c] + strlen("limits."), (json_int_t)amount);
	}
	text = json == NULL ? NULL : json_dumps(json, JSON_ENSURE_ASCII);
	snprintf(out->grant, sizeof(out->grant), "%s", text != NULL && strlen(text) < sizeof(out->grant) ? text : "");
	free(text);
	json_decref(json);
}

/* What was asked for, as the subject of "... is not granted by <layer>". */
static void
write_message(enum policy_capability c, const char *target, struct policy_denial *out)
{
	const char *layer = layer_texts[out->layer].phrase;
	char what[POLICY_NAME_MAX + 64];
	const char *verb = c == POLICY_CAP_FS_INLINE ? "a file of the request" :
	    c == POLICY_CAP_FS_DIR ? "a directory of the host" : capability_names[c];

	switch (c) {
	case POLICY_CAP_SIGNATURE:
		snprintf(out->message, sizeof(out->message),
		    "the module is not signed, and %s requires a signature: sign it (brig sign), or let it say %s", layer,
		    out->grant);
		return;
	case POLICY_CAP_SOURCE:
		snprintf(out->message, sizeof(out->message),
		    "the source is not signed, and %s requires a signature: sign it (brig sign --detached), or let it say %s", layer,
		    out->grant);
		return;
	case POLICY_CAP_MODE:
		snprintf(what, sizeof(what), "learn mode is");
		break;
	case POLICY_CAP_ARGS:
		snprintf(what, sizeof(what), "arguments are");
		break;
	case POLICY_CAP_ENV:
		snprintf(what, sizeof(what), "the environment variable %s is", target);
		break;
	case POLICY_CAP_CLOCK:
		snprintf(what, sizeof(what), "a clock is");
		break;
	case POLICY_CAP_FS_INLINE:
	case POLICY_CAP_FS_DIR:
	case POLICY_CAP_FS_READ:
	case POLICY_CAP_FS_WRITE:
	case POLICY_CAP_FS_CREATE:
	case POLICY_CAP_FS_DELETE:
		snprintf(what, sizeof(what), "%s at %.*s is", verb, (int)utf8_prefix(target, strlen(target), 200), target);
		break;
	default:
		snprintf(what, sizeof(what), "randomness is");
	}
	snprintf(out->message, sizeof(out->message), "%s not granted by %s; %s there would grant it", what, layer, out->grant);
}

/* Where `text` does not fit whole, nothing: half a name would be another name. */
static void
copy_target(const char *text, struct policy_denial *out)
{
	bool fits = text != NULL && strlen(text) < sizeof(out->target);

	memset(out->target, 0, sizeof(out->target));
	if (fits)
		memcpy(out->target, text, strlen(text));
}

int
policy_explain(const struct policy_layer *layers, size_t count, enum policy_capability c, const char *target,
    struct policy_denial *out, struct err *e)
{
	struct seen seen = {0};

	for (size_t i = 0; i < count; i++) {
		if (layers[i].policy == NULL || !withholds(layers[i].policy, c, target, &seen))
			continue;
		out->capability = c;
		out->layer = layers[i].kind;
		copy_target(c == POLICY_CAP_ENV && strlen(target) > POLICY_NAME_MAX ? NULL : target, out);
		out->grant[0] = '\0';
		if (target == NULL || out->target[0] != '\0' || c != POLICY_CAP_ENV)
			write_grant(&layers[i], &seen, c, target, 0, out);
		write_message(c, out->target, out);
		return 0;
	}
	return err_set(e, ERR_NOTFOUND, "no layer withholds %s", capability_names[c]);
}

/* --- amounts -------------------------------------------------------------------------------------------------- */

struct amount {
	enum policy_capability capability;
	enum policy_limit limit;
	uint64_t asked;
	const char *what; /* subject of the message */
};

/* The layer that the effective limit comes from; the request's when it is a default, which a request may raise. */
static enum policy_layer_kind
limiting_layer(const struct policy_layer *layers, size_t count, const struct amount *a)
{
	for (size_t i = 0; i < count; i++)
		if (layers[i].policy != NULL && layers[i].policy->limits[a->limit] < a->asked)
			return layers[i].kind;
	return POLICY_LAYER_REQUEST;
}

static int
check_amount(const struct policy_layer *layers, size_t count, const struct policy *effective, const struct amount *a,
    struct policy_denial *out, struct err *e)
{
	const struct policy_limit_info *info = &policy_limit_info[a->limit];
	uint64_t limit = effective->limits[a->limit];

	if (a->asked <= limit)
		return 0;
	out->capability = a->capability;
	out->layer = limiting_layer(layers, count, a);
	copy_target(NULL, out);
	out->grant[0] = '\0';
	if (a->asked > info->maximum) {
		snprintf(out->message, sizeof(out->message), "%s %llu bytes, and no policy can allow more than %llu", a->what,
		    (unsigned long long)a->asked, (unsigned long long)info->maximum);
	} else {
		write_grant(NULL, NULL, a->capability, NULL, a->asked, out);
		snprintf(out->message, sizeof(out->message), "%s %llu bytes, more than the %llu allowed; %s in %s would "
		    "allow them", a->what, (unsigned long long)a->asked, (unsigned long long)limit, out->grant,
		    layer_texts[out->layer].phrase);
	}
	return err_set(e, ERR_LIMIT, "%s", out->message);
}

/* A mount that is not there is for the request to state, if nobody else does. */
static int
deny_mount(const struct policy_layer *layers, size_t count, enum policy_capability c, const char *path,
    struct policy_denial *out, struct err *e)
{
	struct policy_layer request = {POLICY_LAYER_REQUEST, NULL};

	for (size_t i = 0; i < count; i++)
		if (layers[i].kind == POLICY_LAYER_REQUEST)
			request = layers[i];
	out->capability = c;
	out->layer = POLICY_LAYER_REQUEST;
	copy_target(path, out);
	write_grant(&request, NULL, c, path, 0, out);
	write_message(c, out->target, out);
	return err_set(e, ERR_DENIED, "%s", out->message);
}

/* Each directory of the host must be a mount. */
static int
check_dirs(const struct policy_layer *layers, size_t count, const struct policy *effective, const struct policy_ask *ask,
    struct policy_denial *out, struct err *e)
{
	for (size_t i = 0; i < ask->dirc; i++) {
		const struct policy_fs *f = policy_fs_at(effective, ask->dirs[i]);

		if (f == NULL || !f->mount || strcmp(f->path, ask->dirs[i]) != 0 || f->kind < POLICY_FS_DIR)
			return deny_mount(layers, count, POLICY_CAP_FS_DIR, ask->dirs[i], out, e);
	}
	return 0;
}

/* Each file must lie in a mount, and none in one that shows a directory of the host. */
static int
check_mounted(const struct policy_layer *layers, size_t count, const struct policy *effective,
    const struct policy_ask *ask, struct policy_denial *out, struct err *e)
{
	for (size_t i = 0; i < ask->filec; i++) {
		const struct policy_fs *mount = policy_fs_mount_of(effective, ask->files[i]);

		if (mount == NULL || strcmp(mount->path, ask->files[i]) == 0)
			return deny_mount(layers, count, POLICY_CAP_FS_INLINE, ask->files[i], out, e);
		for (size_t k = 0; k < ask->dirc; k++) {
			if (strcmp(mount->path, ask->dirs[k]) != 0)
				continue;
			out->capability = POLICY_CAP_FS_INLINE;
			out->layer = POLICY_LAYER_REQUEST;
			copy_target(ask->files[i], out);
			out->grant[0] = '\0';
			snprintf(out->message, sizeof(out->message),
			    "the file %.200s would lie in a directory of the host: put it there, or give it a mount of its own",
			    ask->files[i]);
			return err_set(e, ERR_DENIED, "%s", out->message);
		}
	}
	return check_dirs(layers, count, effective, ask, out, e);
}

static int
check_amounts(const struct policy_layer *layers, size_t count, const struct policy_ask *ask,
    struct policy_denial *out, struct err *e)
{
	const struct amount amounts[] = {
	    {POLICY_CAP_ARGS_BYTES, POLICY_LIMIT_args_bytes, ask->args_bytes, "the arguments have"},
	    {POLICY_CAP_ENV_BYTES, POLICY_LIMIT_env_bytes, ask->env_bytes, "the environment has"},
	    {POLICY_CAP_STDIN_BYTES, POLICY_LIMIT_stdin_bytes, ask->stdin_bytes, "standard input has"},
	    {POLICY_CAP_FILES_BYTES, POLICY_LIMIT_files_bytes, ask->files_bytes, "files have"},
	};
	struct policy *effective;
	int rc = policy_effective(layers, count, &effective, e);

	if (rc != 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < POLICY_COUNT_OF(amounts); i++)
		rc = check_amount(layers, count, effective, &amounts[i], out, e);
	if (rc == 0)
		rc = check_mounted(layers, count, effective, ask, out, e);
	policy_free(effective);
	return rc;
}

/* --- the request ---------------------------------------------------------------------------------------------- */

static int
check_capability(const struct policy_layer *layers, size_t count, enum policy_capability c, const char *target,
    struct policy_denial *out, struct err *e)
{
	if (policy_explain(layers, count, c, target, out, NULL) != 0)
		return 0;
	return err_set(e, c == POLICY_CAP_SIGNATURE || c == POLICY_CAP_SOURCE ? ERR_SIGNATURE : ERR_DENIED, "%s", out->message);
}

int
policy_check_run(const struct policy_layer *layers, size_t count, const struct policy_ask *ask,
    struct policy_denial *out, struct err *e)
{
	int rc = 0;

	if (!ask->module_signed)
		rc = check_capability(layers, count, POLICY_CAP_SIGNATURE, NULL, out, e);
	if (rc == 0 && ask->source_unsigned)
		rc = check_capability(layers, count, POLICY_CAP_SOURCE, NULL, out, e);
	if (rc == 0 && ask->learn)
		rc = check_capability(layers, count, POLICY_CAP_MODE, NULL, out, e);
	if (rc == 0 && ask->argc > 0)
		rc = check_capability(layers, count, POLICY_CAP_ARGS, NULL, out, e);
	for (size_t i = 0; rc == 0 && i < ask->envc; i++)
		rc = check_capability(layers, count, POLICY_CAP_ENV, ask->env[i], out, e);
	for (size_t i = 0; rc == 0 && i < ask->filec; i++)
		rc = check_capability(layers, count, POLICY_CAP_FS_INLINE, ask->files[i], out, e);
	for (size_t i = 0; rc == 0 && i < ask->dirc; i++)
		rc = check_capability(layers, count, POLICY_CAP_FS_DIR, ask->dirs[i], out, e);
	if (rc == 0)
		rc = check_amounts(layers, count, ask, out, e);
	return rc;
}
