/* runtime/wasi/mounts: a job's mounts and files, as its blob has them. Knows no guest memory. Runs in the worker. */

#include "runtime/wasi/mounts.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(PROTO_MOUNTS_MAX == WASI_MOUNTS_MAX && PROTO_PATH_MAX == WASI_PATH_MAX, "the same limits");
_Static_assert((int)PROTO_FS_READ == WASI_FS_READ && (int)PROTO_FS_WRITE == WASI_FS_WRITE, "the same rights");
_Static_assert((int)PROTO_FS_CREATE == WASI_FS_CREATE && (int)PROTO_FS_DELETE == WASI_FS_DELETE, "the same rights");

/* What is left of a part of the blob. */
struct cursor {
	const uint8_t *next;
	uint64_t left;
};

static bool
take(struct cursor *c, void *data, size_t length)
{
	if (length > c->left)
		return false;
	memcpy(data, c->next, length);
	c->next += length;
	c->left -= length;
	return true;
}

static bool
take_bytes(struct cursor *c, uint64_t length, const uint8_t **data)
{
	if (length > c->left)
		return false;
	*data = c->next;
	c->next += length;
	c->left -= length;
	return true;
}

static bool
take_path(struct cursor *c, uint32_t length, const char **path)
{
	const uint8_t *p;

	if (!take_bytes(c, length, &p) || wasi_path_check((const char *)p, length) != WASI_ESUCCESS)
		return false;
	*path = (const char *)p;
	return true;
}

/* "a/b/c": every component is a name. */
static bool
is_plain(const char *path, size_t length)
{
	size_t from = 0;

	for (size_t i = 0; i <= length; i++) {
		size_t n = i - from;

		if (i < length && path[i] != '/')
			continue;
		if (n == 0 || n > WASI_NAME_MAX || (n == 1 && path[from] == '.') ||
		    (n == 2 && memcmp(path + from, "..", 2) == 0))
			return false;
		from = i + 1;
	}
	return true;
}

static bool
read_rule(struct cursor *c, struct wasi_rule *rule)
{
	struct proto_rule head;

	if (!take(c, &head, sizeof(head)) || (head.rights & ~(uint32_t)PROTO_FS_ALL) != 0 ||
	    !take_path(c, head.path_length, &rule->path) || !is_plain(rule->path, head.path_length))
		return false;
	rule->length = head.path_length;
	rule->rights = head.rights;
	return true;
}

/* Reads one mount; its rules go to `rules`, of which `room` may be used. */
static bool
read_mount(struct cursor *c, struct wasi_mount *m, struct wasi_rule *rules, uint64_t room, uint32_t *dir)
{
	struct proto_mount head;

	if (!take(c, &head, sizeof(head)) || (head.rights & ~(uint32_t)PROTO_FS_ALL) != 0 || head.rule_count > room ||
	    !take_path(c, head.path_length, &m->path))
		return false;
	m->length = head.path_length;
	m->rights = head.rights;
	*dir = head.dir;
	m->rules = rules;
	m->rule_count = head.rule_count;
	for (uint32_t i = 0; i < head.rule_count; i++)
		if (!read_rule(c, &rules[i]))
			return false;
	return true;
}

static int
no_room(enum wasi_errno error, const char *what, const char *path, size_t length, struct err *e)
{
	if (error == WASI_ENOSPC || error == WASI_ENOMEM)
		return err_set(e, ERR_LIMIT, "no room for the %s %.*s: grant more fs_nodes, fs_bytes or, for directories of the host, "
		    "dir_bytes", what, (int)length, path);
	if (error == WASI_ENOTDIR)
		return err_set(e, ERR_INVAL, "the %s %.*s cannot be made: a link or a file is on the way to it", what,
		    (int)length, path);
	return err_set(e, ERR_PROTOCOL, "the %s %.*s cannot be made: error %d", what, (int)length, path, (int)error);
}

/* Makes the mount; number `dir` - 1 of the host's directories shows in it, unless that is 0. Each of them once. */
static int
add_mount(const struct wasi_mounts_blob *blob, const volatile sig_atomic_t *stop, struct wasi_fs *fs,
    struct wasi_mount *m, uint32_t dir, struct err *e)
{
	enum wasi_errno error;

	if (dir > blob->dir_count)
		return err_set(e, ERR_PROTOCOL, "the mount %.*s shows directory %u of %u", (int)m->length, m->path, dir,
		    blob->dir_count);
	if (dir > 0) {
		for (uint32_t i = 0; i < fs->mount_count; i++)
			if (fs->mounts[i].lower != NULL && fs->mounts[i].lower->port.socket == blob->dirs[dir - 1])
				return err_set(e, ERR_PROTOCOL, "two mounts show directory %u", dir);
		if ((m->lower = wasi_lower_new(blob->dirs[dir - 1], stop, m->path, m->length)) == NULL)
			return err_set(e, ERR_NOMEM, "a directory of the host");
	}
	if ((error = wasi_fs_mount(fs, m)) == WASI_ESUCCESS)
		return 0;
	wasi_lower_free(m->lower);
	return no_room(error, "mount", m->path, m->length, e);
}

static int
read_mounts(const struct wasi_mounts_blob *blob, const volatile sig_atomic_t *stop, struct wasi_fs *fs,
    struct wasi_rule *rules, uint64_t room, struct err *e)
{
	struct cursor c = {blob->mounts, blob->mounts_bytes};

	for (uint32_t i = 0; i < blob->mount_count; i++) {
		struct wasi_mount m = {.path = NULL};
		uint32_t dir;
		int rc;

		if (!read_mount(&c, &m, rules, room, &dir))
			return err_set(e, ERR_PROTOCOL, "mount %u of %u is malformed", i, blob->mount_count);
		rules += m.rule_count;
		room -= m.rule_count;
		if ((rc = add_mount(blob, stop, fs, &m, dir, e)) != 0)
			return rc;
	}
	if (c.left != 0)
		return err_set(e, ERR_PROTOCOL, "%ju bytes too many behind the mounts", (uintmax_t)c.left);
	return 0;
}

/* The mount that holds a path, the longest; *inside: the rest of the path. */
static const struct wasi_mount *
mount_of(const struct wasi_fs *fs, const char *path, size_t length, size_t *inside)
{
	const struct wasi_mount *found = NULL;

	for (uint32_t i = 0; i < fs->mount_count; i++) {
		const struct wasi_mount *m = &fs->mounts[i];
		size_t end = m->length == 1 ? 0 : m->length; /* "/" ends with the slash */

		if (length > end + 1 && memcmp(path, m->path, end) == 0 && path[end] == '/' &&
		    (found == NULL || m->length > found->length)) {
			found = m;
			*inside = end + 1;
		}
	}
	return found;
}

/* Makes mounts that lie inside others seen there. */
static int
nest_mounts(struct wasi_fs *fs, struct err *e)
{
	for (uint32_t i = 0; i < fs->mount_count; i++) {
		const struct wasi_mount *m = &fs->mounts[i], *outer;
		enum wasi_errno error = WASI_ESUCCESS;
		size_t inside;

		if ((outer = mount_of(fs, m->path, m->length, &inside)) != NULL)
			error = wasi_fs_nest(fs, outer, m->path + inside, m->length - inside, m);
		if (error != WASI_ESUCCESS)
			return no_room(error, "mount", m->path, m->length, e);
	}
	return 0;
}

static int
read_files(const struct wasi_mounts_blob *blob, struct wasi_fs *fs, struct err *e)
{
	struct cursor c = {blob->files, blob->files_bytes};

	for (uint32_t i = 0; i < blob->file_count; i++) {
		const struct wasi_mount *m;
		struct proto_file head;
		const uint8_t *data;
		const char *path;
		size_t inside;
		enum wasi_errno error;

		if (!take(&c, &head, sizeof(head)) || !take_path(&c, head.path_length, &path) ||
		    head.size > WASI_FILE_SIZE_MAX || !take_bytes(&c, head.size, &data) ||
		    (m = mount_of(fs, path, head.path_length, &inside)) == NULL ||
		    !is_plain(path + inside, head.path_length - inside))
			return err_set(e, ERR_PROTOCOL, "file %u of %u is malformed", i, blob->file_count);
		error = wasi_fs_put(fs, m, path + inside, head.path_length - inside, data, head.size);
		if (error != WASI_ESUCCESS)
			return no_room(error, "file", path, head.path_length, e);
	}
	if (c.left != 0)
		return err_set(e, ERR_PROTOCOL, "%ju bytes too many behind the files", (uintmax_t)c.left);
	return 0;
}

int
wasi_mounts_read(const struct wasi_mounts_blob *blob, const volatile sig_atomic_t *stop, struct wasi_fs *fs,
    struct wasi_rule **rules, struct err *e)
{
	uint64_t room = blob->mounts_bytes / sizeof(struct proto_rule); /* more rules than that do not fit */
	int rc;

	if (blob->mount_count > PROTO_MOUNTS_MAX)
		return err_set(e, ERR_PROTOCOL, "%u mounts are too many", blob->mount_count);
	if ((*rules = calloc(room + 1, sizeof(**rules))) == NULL)
		return err_set(e, ERR_NOMEM, "the rules of %ju bytes of mounts", (uintmax_t)blob->mounts_bytes);
	if ((rc = read_mounts(blob, stop, fs, *rules, room, e)) != 0)
		return rc;
	if ((rc = nest_mounts(fs, e)) != 0)
		return rc;
	return read_files(blob, fs, e);
}
