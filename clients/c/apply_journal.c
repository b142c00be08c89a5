/* apply_journal: what is being applied, so that a crash can be made good; one at a time for each user. brig. */

#include "clients/c/apply_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/io.h"

#define NAME     "journal"
#define NEW_NAME "journal.new"
#define TEXT_MAX (256 * 1024 * 1024)

static const char *const op_names[] = {
#define X(name, word) word,
    APPLY_OPS(X)
#undef X
};

#define OP_COUNT (sizeof(op_names) / sizeof(op_names[0]))

/* --- its directory ----------------------------------------------------------------------------------------------- */

static int
default_path(char out[PATH_MAX], struct err *e)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	bool own = state != NULL && state[0] == '/';

	if (!own && (home == NULL || home[0] != '/'))
		return err_set(e, ERR_INVAL, "HOME is not set, and so there is no place for a journal; set XDG_STATE_HOME");
	if (snprintf(out, PATH_MAX, "%s%s/brig/apply", own ? state : home, own ? "" : "/.local/state") >= PATH_MAX)
		return err_set(e, ERR_INVAL, "the path of the state directory is too long");
	return 0;
}

/* Makes the directory and those above it that are missing, for the user alone. */
static int
make_directories(const char *path, struct err *e)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *p = strchr(part + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(part, 0700) != 0 && errno != EEXIST)
			return err_sys(e, ERR_IO, "%s", part);
		*p = '/';
	}
	return mkdir(part, 0700) == 0 || errno == EEXIST ? 0 : err_sys(e, ERR_IO, "%s", part);
}

/* Opens the directory, which has to be the user's alone. */
static int
open_directory(struct apply_journal *j, const char *path, struct err *e)
{
	char link[64];
	struct stat st;
	ssize_t n;

	if ((j->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0 || fstat(j->dir, &st) != 0)
		return err_sys(e, ERR_IO, "%s", path);
	if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return err_set(e, ERR_DENIED, "%s must be yours, and closed to others (mode 0700): journals are kept there", path);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", j->dir);
	if ((n = readlink(link, j->path, sizeof(j->path) - 1)) < 0)
		return err_sys(e, ERR_IO, "%s", link);
	j->path[n] = '\0';
	return 0;
}

int
apply_journal_open(struct apply_journal *j, struct err *e)
{
	char path[PATH_MAX];
	int rc;

	*j = (struct apply_journal){.dir = -1, .lock = -1, .fd = -1};
	if ((rc = default_path(path, e)) != 0 || (rc = make_directories(path, e)) != 0 ||
	    (rc = open_directory(j, path, e)) != 0)
		goto fail;
	if ((j->lock = openat(j->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
		rc = err_sys(e, ERR_IO, "%s/lock", path);
	else if (flock(j->lock, LOCK_EX | LOCK_NB) != 0)
		rc = errno == EWOULDBLOCK ? err_set(e, ERR_AGAIN, "another brig of yours is applying changes; wait until it is done")
		                          : err_sys(e, ERR_IO, "%s/lock", path);
fail:
	if (rc != 0)
		apply_journal_close(j);
	return rc;
}

void
apply_journal_close(struct apply_journal *j)
{
	int *const fds[] = {&j->fd, &j->lock, &j->dir};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

static json_t *
digest_json(const struct digest *d)
{
	char text[DIGEST_TEXT_SIZE];

	return json_string(digest_text(d, text));
}

static json_t *
step_json(const struct apply_tree *t, const struct apply_step *s)
{
	const struct apply_dir *dir = &t->dirs[s->dir];

	return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "op", op_names[s->op], "kind",
	    apply_kind_names[s->kind], "root", (json_int_t)dir->root, "dir", dir->path, "name", s->name, "stage",
	    t->dirs[s->stage].path, "number", (json_int_t)s->number, "mode", (json_int_t)s->mode, "owner",
	    (json_int_t)s->owner, "group", (json_int_t)s->group, "old", (json_int_t)s->old, "old_digest",
	    digest_json(&s->old_digest), "new_digest", digest_json(&s->new_digest));
}

static json_t *
root_json(const struct apply_root *r)
{
	return json_pack("{s:s, s:I, s:I}", "path", r->path, "device", (json_int_t)r->device, "inode", (json_int_t)r->inode);
}

static json_t *
tree_json(const struct apply_tree *t)
{
	json_t *roots = json_array(), *steps = json_array();
	int bad = 0;

	for (size_t i = 0; i < t->root_count; i++)
		bad |= json_array_append_new(roots, root_json(&t->roots[i]));
	for (size_t i = 0; i < t->step_count; i++)
		bad |= json_array_append_new(steps, step_json(t, &t->steps[i]));
	if (bad == 0)
		return json_pack("{s:i, s:s, s:o, s:o}", "version", 1, "id", t->id, "roots", roots, "steps", steps);
	json_decref(roots);
	json_decref(steps);
	return NULL;
}

/* Appends a line, and has it on the disk. Takes `line`. */
static int
write_line(int fd, json_t *line, struct err *e)
{
	char *text = line == NULL ? NULL : json_dumps(line, JSON_COMPACT);
	size_t length = text == NULL ? 0 : strlen(text);
	int rc;

	if (text == NULL) {
		rc = err_set(e, ERR_INVAL, "the journal cannot be written: is the path of the directory UTF-8?");
	} else {
		text[length] = '\n'; /* in the place of the NUL */
		if ((rc = io_write_all(fd, text, length + 1, e)) == 0 && fsync(fd) != 0)
			rc = err_sys(e, ERR_IO, "fsync");
		if (rc != 0)
			err_context(e, "the journal");
	}
	free(text);
	json_decref(line);
	return rc;
}

int
apply_journal_begin(struct apply_journal *j, const struct apply_tree *t, struct err *e)
{
	int rc;

	j->fd = openat(j->dir, NEW_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->fd < 0)
		return err_sys(e, ERR_IO, "%s/" NEW_NAME, j->path);
	rc = write_line(j->fd, tree_json(t), e);
	if (rc == 0 && (renameat(j->dir, NEW_NAME, j->dir, NAME) != 0 || fsync(j->dir) != 0))
		rc = err_sys(e, ERR_IO, "%s/" NAME, j->path);
	if (rc != 0)
		(void)unlinkat(j->dir, NEW_NAME, 0);
	return rc;
}

int
apply_journal_staged(struct apply_journal *j, const struct apply_tree *t, struct err *e)
{
	json_t *inodes = json_array();
	int bad = 0;

	for (size_t i = 0; i < t->step_count; i++)
		bad |= json_array_append_new(inodes, json_integer((json_int_t)t->steps[i].new));
	if (bad != 0) {
		json_decref(inodes);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	return write_line(j->fd, json_pack("{s:o}", "staged", inodes), e);
}

int
apply_journal_done(struct apply_journal *j, struct err *e)
{
	if ((j->staged_end = lseek(j->fd, 0, SEEK_END)) < 0)
		return err_sys(e, ERR_IO, "the journal");
	return write_line(j->fd, json_pack("{s:b}", "done", 1), e);
}

int
apply_journal_not_done(struct apply_journal *j, struct err *e)
{
	if (j->staged_end <= 0 || ftruncate(j->fd, j->staged_end) != 0 || fsync(j->fd) != 0)
		return err_sys(e, ERR_IO, "the journal");
	return 0;
}

int
apply_journal_remove(struct apply_journal *j, struct err *e)
{
	static const char *const names[] = {NAME, NEW_NAME};
	bool removed = false;
	int rc = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && rc == 0; i++) {
		if (unlinkat(j->dir, names[i], 0) == 0)
			removed = true;
		else if (errno != ENOENT)
			rc = err_sys(e, ERR_IO, "%s/%s", j->path, names[i]);
	}
	if (rc == 0 && removed && fsync(j->dir) != 0)
		rc = err_sys(e, ERR_IO, "%s", j->path);
	if (j->fd >= 0)
		close(j->fd);
	j->fd = -1;
	return rc;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static int
corrupt(const struct apply_journal *j, struct err *e)
{
	return err_set(e, ERR_CORRUPT, "%s/" NAME " is no journal that this brig wrote; look at it, and remove it with "
	    "`brig apply --forget`", j->path);
}

static uint64_t
number(const json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(object, name));
}

/* Opens a root again. */
static int
read_root(struct apply_tree *t, const json_t *one, struct err *e)
{
	const char *path = json_string_value(json_object_get(one, "path"));
	const struct apply_root *root;
	int rc;

	if (path == NULL)
		return ERR_CORRUPT;
	rc = apply_tree_root(t, path, e);
	root = rc == 0 ? &t->roots[t->root_count - 1] : NULL;
	if (root != NULL && root->device == number(one, "device") && root->inode == number(one, "inode"))
		return 0;
	return err_set(e, ERR_DENIED, "changes to %s were not applied to the end, and it is not there any more, or not the same "
	    "directory. Put it back, and run `brig apply`; or leave it as it is, with what is named " APPLY_TEMP_PREFIX
	    "* in it: `brig apply --forget`", path);
}

/* The index of a directory that a step names. */
static ssize_t
read_dir(struct apply_tree *t, size_t root, const json_t *path, struct err *e)
{
	const char *text = json_string_value(path);
	ssize_t i;

	if (text == NULL)
		return ERR_CORRUPT;
	i = apply_tree_dir(t, root, text, strlen(text));
	return i >= 0 ? i : apply_tree_add_dir(t, root, text, strlen(text), -1, e);
}

static size_t
index_of(const json_t *word, const char *const *words, size_t count)
{
	const char *text = json_string_value(word);
	size_t i = 0;

	while (i < count && (text == NULL || strcmp(words[i], text) != 0))
		i++;
	return i;
}

static int
read_digest(const json_t *one, const char *name, struct digest *d)
{
	const json_t *text = json_object_get(one, name);

	return json_is_string(text) ? digest_parse(json_string_value(text), json_string_length(text), d, NULL) : ERR_CORRUPT;
}

static int
read_step(struct apply_tree *t, const json_t *one, struct err *e)
{
	size_t op = index_of(json_object_get(one, "op"), op_names, OP_COUNT), root = number(one, "root");
	size_t kind = index_of(json_object_get(one, "kind"), apply_kind_names, 3);
	const char *name = json_string_value(json_object_get(one, "name"));
	struct apply_step s = {
		.op = (enum apply_op)op,
		.kind = (enum apply_kind)kind,
		.number = (unsigned)number(one, "number"),
		.mode = (mode_t)number(one, "mode"),
		.owner = (uid_t)number(one, "owner"),
		.group = (gid_t)number(one, "group"),
		.old = number(one, "old"),
	};
	ssize_t dir, stage;

	if (op == OP_COUNT || kind == 3 || root >= t->root_count || name == NULL || strchr(name, '/') != NULL ||
	    read_digest(one, "old_digest", &s.old_digest) != 0 || read_digest(one, "new_digest", &s.new_digest) != 0)
		return ERR_CORRUPT;
	if ((dir = read_dir(t, root, json_object_get(one, "dir"), e)) < 0)
		return (int)dir;
	if ((stage = read_dir(t, root, json_object_get(one, "stage"), e)) < 0)
		return (int)stage;
	s.dir = (size_t)dir;
	s.stage = (size_t)stage;
	s.name = (char *)(uintptr_t)name;
	return apply_tree_add_step(t, &s, e);
}

/* The first line. */
static int
read_steps(struct apply_tree *t, const json_t *line, struct err *e)
{
	const char *id = json_string_value(json_object_get(line, "id"));
	const json_t *one;
	size_t i;
	int rc;

	if (json_integer_value(json_object_get(line, "version")) != 1 || id == NULL || strlen(id) != sizeof(t->id) - 1 ||
	    strspn(id, "0123456789abcdef") != strlen(id))
		return ERR_CORRUPT;
	memcpy(t->id, id, sizeof(t->id));
	json_array_foreach(json_object_get(line, "roots"), i, one)
		if ((rc = read_root(t, one, e)) != 0)
			return rc;
	json_array_foreach(json_object_get(line, "steps"), i, one)
		if ((rc = read_step(t, one, e)) != 0)
			return rc;
	return 0;
}

/* The lines behind it, as far as they are whole. */
static enum apply_phase
read_progress(struct apply_tree *t, const char *text, size_t length)
{
	const char *end = memchr(text, '\n', length);
	json_t *line = end == NULL ? NULL : json_loadb(text, (size_t)(end - text), 0, NULL);
	const json_t *inodes = json_object_get(line, "staged");
	enum apply_phase phase = json_array_size(inodes) == t->step_count && inodes != NULL ? APPLY_STAGED : APPLY_BEGUN;

	for (size_t i = 0; i < t->step_count && phase == APPLY_STAGED; i++)
		t->steps[i].new = (uint64_t)json_integer_value(json_array_get(inodes, i));
	json_decref(line);
	if (phase == APPLY_BEGUN)
		return phase;
	length -= (size_t)(end + 1 - text);
	line = memchr(end + 1, '\n', length) == NULL ? NULL : json_loadb(end + 1, length, 0, NULL);
	if (json_is_true(json_object_get(line, "done")))
		phase = APPLY_DONE;
	json_decref(line);
	return phase;
}

int
apply_journal_read(struct apply_journal *j, struct apply_tree *out, enum apply_phase *phase, struct err *e)
{
	int fd = openat(j->dir, NAME, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW), rc;
	struct apply_tree t = {.roots = NULL};
	uint8_t *text = NULL, *end;
	json_t *line = NULL;
	size_t length;

	if (fd < 0)
		return errno == ENOENT ? ERR_NOTFOUND : err_sys(e, ERR_IO, "%s/" NAME, j->path);
	if ((rc = io_read_fd(fd, TEXT_MAX, &text, &length, e)) != 0)
		goto out;
	end = memchr(text, '\n', length);
	line = end == NULL ? NULL : json_loadb((char *)text, (size_t)(end - text), 0, NULL);
	rc = line == NULL ? ERR_CORRUPT : read_steps(&t, line, e);
	if (rc == ERR_CORRUPT)
		rc = corrupt(j, e);
	if (rc == 0)
		*phase = read_progress(&t, (char *)end + 1, length - (size_t)(end + 1 - text));
out:
	json_decref(line);
	free(text);
	close(fd);
	if (rc == 0)
		*out = t;
	else
		apply_tree_clear(&t);
	return rc;
}
