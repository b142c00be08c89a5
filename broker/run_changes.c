/* broker/run_changes: what a worker says that its run did to files, which is hostile input; no I/O. brigd. */

#include "broker/run_changes.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/proto.h"
#include "broker/run_result.h"

#define FILE_SIZE_MAX ((uint64_t)1 << 40) /* no worker has larger ones */

static const char *const change_names[] = {
    [PROTO_CHANGE_CREATED] = "created",
    [PROTO_CHANGE_MODIFIED] = "modified",
    [PROTO_CHANGE_DELETED] = "deleted",
};

static const char *const kind_names[] = {
    [PROTO_NODE_FILE] = "file",
    [PROTO_NODE_DIRECTORY] = "directory",
    [PROTO_NODE_LINK] = "link",
    [PROTO_NODE_OTHER] = "other",
};

/* Whether what is said of what was there before goes together with the change. */
static int
check_was(const struct proto_change *h, struct err *e)
{
	bool created = h->change == PROTO_CHANGE_CREATED;

	if (h->was > PROTO_NODE_OTHER || (created && h->was != 0) || (h->change == PROTO_CHANGE_DELETED && h->was != h->kind))
		return err_set(e, ERR_PROTOCOL, "a change %u of what was of kind %u", h->change, h->was);
	if (h->base_state > PROTO_BASE_CHANGED ||
	    (h->base_state != PROTO_BASE_NONE) != (!created && h->was == PROTO_NODE_FILE))
		return err_set(e, ERR_PROTOCOL, "a change with a base of kind %u", h->base_state);
	return 0;
}

/* Whether the numbers go together. */
static int
check_head(const struct run_changes *c, const struct policy *policy, const struct proto_change *h, size_t rest,
    struct err *e)
{
	bool gone = h->change == PROTO_CHANGE_DELETED;

	if (c->complete || c->have < c->want || c->count >= PROTO_CHANGES_MAX)
		return err_set(e, ERR_PROTOCOL, "a change too many, after %zu", c->count);
	if (rest > PROTO_CHANGES_NAMES - c->names)
		return err_set(e, ERR_PROTOCOL, "changes with more than %d bytes of paths", PROTO_CHANGES_NAMES);
	if (h->change > PROTO_CHANGE_DELETED || h->kind > PROTO_NODE_OTHER || h->has_content > 1 ||
	    (h->kind == PROTO_NODE_OTHER && !gone))
		return err_set(e, ERR_PROTOCOL, "a change %u of kind %u", h->change, h->kind);
	if (h->path_length == 0 || h->path_length > PROTO_PATH_MAX || h->target_length > PROTO_PATH_MAX ||
	    (size_t)h->path_length + h->target_length != rest)
		return err_set(e, ERR_PROTOCOL, "a change with a path of %u bytes in %zu", h->path_length, rest);
	if ((h->kind != PROTO_NODE_FILE || gone) && (h->size != 0 || h->has_content != 0))
		return err_set(e, ERR_PROTOCOL, "a change with contents of what has none");
	if ((h->kind == PROTO_NODE_LINK && !gone) != (h->target_length > 0))
		return err_set(e, ERR_PROTOCOL, "a change with a target of %u bytes", h->target_length);
	if (h->size > FILE_SIZE_MAX ||
	    (h->has_content != 0 && h->size > policy->limits[POLICY_LIMIT_changes_bytes] - c->bytes))
		return err_set(e, ERR_PROTOCOL, "a change with more content than the limit");
	return check_was(h, e);
}

/* Text from the worker as a JSON string: UTF-8 without NUL, or NULL. */
static json_t *
text_json(const uint8_t *text, size_t length)
{
	return memchr(text, '\0', length) == NULL ? json_stringn((const char *)text, length) : NULL;
}

/* Whether the path is inside one of the mounts. */
static bool
is_inside(const struct policy *policy, const char *path)
{
	const struct policy_fs *mount = path[0] == '/' ? policy_fs_mount_of(policy, path) : NULL;

	return mount != NULL && strlen(path) > strlen(mount->path);
}

static int
append(struct run_changes *c, json_t *one, struct err *e)
{
	if (c->count == c->room) {
		size_t room = c->room * 2 + 16;
		json_t **larger = reallocarray(c->list, room, sizeof(json_t *));

		if (larger == NULL) {
			json_decref(one);
			return err_set(e, ERR_NOMEM, "out of memory for a run's changes");
		}
		c->list = larger;
		c->room = room;
	}
	c->list[c->count++] = one;
	return 0;
}

/* Adds what a file holds to the last change. */
static int
settle_content(struct run_changes *c, struct err *e)
{
	json_t *one = c->list[c->count - 1];
	const struct digest d = digest_of(c->content, c->want);
	char text[DIGEST_TEXT_SIZE];
	bool base64;
	json_t *content = json_bytes(c->content, c->want, &base64);
	int bad = json_object_set_new(one, "content", content);

	bad |= json_object_set_new(one, "encoding", json_string(base64 ? "base64" : "utf-8"));
	bad |= json_object_set_new(one, "digest", json_string(digest_text(&d, text)));
	free(c->content);
	c->content = NULL;
	return bad == 0 ? 0 : err_set(e, ERR_NOMEM, "out of memory for a run's changes");
}

/* Makes room for the file's bytes that follow. */
static int
expect_content(struct run_changes *c, uint64_t size, struct err *e)
{
	c->have = 0;
	c->want = (size_t)size;
	c->bytes += c->want;
	if ((c->content = malloc(c->want + 1)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for %zu bytes of a changed file", c->want);
	return c->want == 0 ? settle_content(c, e) : 0;
}

/* Says what was there before, where that is not clear. */
static void
add_was(json_t *one, const struct proto_change *h)
{
	char text[DIGEST_TEXT_SIZE];

	if (h->change == PROTO_CHANGE_MODIFIED && h->was != h->kind)
		json_object_set_new(one, "was", json_string(kind_names[h->was]));
	if (h->base_state == PROTO_BASE_DIGEST)
		json_object_set_new(one, "base", json_string(digest_text(&h->base, text)));
	if (h->base_state == PROTO_BASE_CHANGED)
		json_object_set_new(one, "base_changed", json_true());
}

int
run_changes_one(struct run_changes *c, const struct policy *policy, const uint8_t *payload, size_t length,
    struct err *e)
{
	const uint8_t *text = payload + sizeof(struct proto_change);
	struct proto_change h;
	json_t *path, *target = NULL, *one;
	int rc;

	if (length < sizeof(h))
		return err_set(e, ERR_PROTOCOL, "a change of %zu bytes", length);
	memcpy(&h, payload, sizeof(h));
	if ((rc = check_head(c, policy, &h, length - sizeof(h), e)) != 0)
		return rc;
	path = text_json(text, h.path_length);
	if (h.target_length > 0)
		target = text_json(text + h.path_length, h.target_length);
	if (path == NULL || (h.target_length > 0 && target == NULL) || !is_inside(policy, json_string_value(path))) {
		json_decref(path);
		json_decref(target);
		return err_set(e, ERR_PROTOCOL, "a change at a path where there can be none");
	}
	one = json_pack("{s:o, s:s, s:s}", "path", path, "change", change_names[h.change], "kind", kind_names[h.kind]);
	if (target != NULL)
		json_object_set_new(one, "target", target);
	add_was(one, &h);
	if (h.kind == PROTO_NODE_FILE && h.change != PROTO_CHANGE_DELETED)
		json_object_set_new(one, "size", json_integer((json_int_t)h.size));
	if ((rc = append(c, one, e)) != 0)
		return rc;
	c->names += length - sizeof(h);
	return h.has_content != 0 ? expect_content(c, h.size, e) : 0;
}

int
run_changes_content(struct run_changes *c, const uint8_t *payload, size_t length, struct err *e)
{
	if (c->content == NULL || length == 0 || length > c->want - c->have)
		return err_set(e, ERR_PROTOCOL, "%zu bytes of a file that nobody waits for", length);
	memcpy(c->content + c->have, payload, length);
	c->have += length;
	return c->have == c->want ? settle_content(c, e) : 0;
}

int
run_changes_end(struct run_changes *c, const uint8_t *payload, size_t length, struct err *e)
{
	struct proto_changes h;

	if (length != sizeof(h) || c->complete || c->content != NULL)
		return err_set(e, ERR_PROTOCOL, "an end of changes where it cannot be");
	memcpy(&h, payload, sizeof(h));
	c->omitted = h.omitted;
	c->complete = true;
	return 0;
}

static int
by_path(const void *a, const void *b)
{
	const json_t *one = *(json_t *const *)a, *two = *(json_t *const *)b;

	return strcmp(json_string_value(json_object_get(one, "path")), json_string_value(json_object_get(two, "path")));
}

const json_t *
run_changes_json(struct run_changes *c, uint64_t *omitted)
{
	if (!c->complete)
		return NULL;
	*omitted = c->omitted;
	if (c->sorted != NULL)
		return c->sorted;
	c->sorted = json_array();
	if (c->count > 1)
		qsort(c->list, c->count, sizeof(c->list[0]), by_path);
	for (size_t i = 0; i < c->count; i++)
		if (i == 0 || by_path(&c->list[i - 1], &c->list[i]) != 0)
			json_array_append(c->sorted, c->list[i]);
	return c->sorted;
}

void
run_changes_clear(struct run_changes *c)
{
	for (size_t i = 0; i < c->count; i++)
		json_decref(c->list[i]);
	free(c->list);
	free(c->content);
	json_decref(c->sorted);
	*c = (struct run_changes){.list = NULL};
}
