/* apply_tree: directories of the host that changes go to, held open, and the steps that bring them there. brig. */

#include "clients/c/apply_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- opening and reading ----------------------------------------------------------------------------------------- */

int
apply_open_beneath(int dir, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	long fd = -1;

	errno = EAGAIN; /* a rename elsewhere at that moment */
	for (int tries = 0; fd < 0 && errno == EAGAIN && tries < 100; tries++)
		fd = syscall(SYS_openat2, dir, path[0] == '\0' ? "." : path, &how, sizeof(how));
	return (int)fd;
}

int
apply_open_file(int dir, const char *name, struct stat *st)
{
	char path[64];
	int held = apply_open_beneath(dir, name, O_PATH | O_NOFOLLOW), fd = -1, saved;

	if (held < 0)
		return -1;
	if (fstat(held, st) != 0)
		goto out;
	errno = EINVAL;
	if (!S_ISREG(st->st_mode))
		goto out;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", held);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
out:
	saved = errno;
	close(held);
	errno = saved;
	return fd;
}

int
apply_file_digest(int fd, struct digest *out, struct err *e)
{
	crypto_hash_sha256_state state;
	uint8_t block[65536];
	ssize_t n;

	crypto_hash_sha256_init(&state);
	while ((n = read(fd, block, sizeof(block))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, ERR_IO, "reading a file");
		crypto_hash_sha256_update(&state, block, (unsigned long long)n);
	}
	crypto_hash_sha256_final(&state, out->bytes);
	return 0;
}

static int
link_holds(int dir, const char *name, uint64_t inode, const struct digest *digest)
{
	char target[PATH_MAX];
	struct digest found;
	struct stat st;
	ssize_t n;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	if (!S_ISLNK(st.st_mode) || (inode != 0 && st.st_ino != inode))
		return 0;
	if ((n = readlinkat(dir, name, target, sizeof(target))) < 0)
		return -1;
	found = digest_of(target, (size_t)n);
	return digest_equal(&found, digest);
}

int
apply_holds(int dir, const char *name, enum apply_kind kind, uint64_t inode, const struct digest *digest)
{
	struct digest found;
	struct stat st;
	int fd, rc;

	if (kind == APPLY_LINK)
		return link_holds(dir, name, inode, digest);
	if ((fd = apply_open_file(dir, name, &st)) < 0)
		return errno == EINVAL || errno == ELOOP ? 0 : -1;
	if (inode != 0 && st.st_ino != inode)
		rc = 0;
	else
		rc = apply_file_digest(fd, &found, NULL) != 0 ? -1 : digest_equal(&found, digest);
	close(fd);
	return rc;
}

/* --- the tree ---------------------------------------------------------------------------------------------------- */

void
apply_tree_begin(struct apply_tree *t)
{
	uint8_t random[16];

	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(t->id, sizeof(t->id), random, sizeof(random));
}

/* The path of an open directory. */
static char *
path_of(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0 || n == sizeof(path) - 1)
		return NULL;
	path[n] = '\0';
	return strdup(path);
}

int
apply_tree_root(struct apply_tree *t, const char *path, struct err *e)
{
	struct apply_root root = {.fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)}, *larger;
	struct stat st;
	int rc;

	if (root.fd < 0)
		return err_sys(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, "%s", path);
	if (fstat(root.fd, &st) != 0 || (root.path = path_of(root.fd)) == NULL) {
		rc = err_sys(e, ERR_IO, "%s", path);
		goto fail;
	}
	root.device = st.st_dev;
	root.inode = st.st_ino;
	if ((larger = reallocarray(t->roots, t->root_count + 1, sizeof(root))) == NULL) {
		rc = err_set(e, ERR_NOMEM, "out of memory");
		goto fail;
	}
	t->roots = larger;
	t->roots[t->root_count++] = root;
	return 0;
fail:
	free(root.path);
	close(root.fd);
	return rc;
}

ssize_t
apply_tree_dir(const struct apply_tree *t, size_t root, const char *path, size_t length)
{
	for (size_t i = t->dir_count; i-- > 0;) /* mostly the last */
		if (t->dirs[i].root == root && strlen(t->dirs[i].path) == length && memcmp(t->dirs[i].path, path, length) == 0)
			return (ssize_t)i;
	return -1;
}

ssize_t
apply_tree_add_dir(struct apply_tree *t, size_t root, const char *path, size_t length, int fd, struct err *e)
{
	struct apply_dir *larger = t->dirs;
	char *own = strndup(path, length);

	if (t->dir_count == t->dir_room &&
	    (larger = reallocarray(t->dirs, t->dir_room * 2 + 16, sizeof(*larger))) != NULL)
		t->dir_room = t->dir_room * 2 + 16;
	if (larger != NULL)
		t->dirs = larger;
	if (own == NULL || larger == NULL) {
		free(own);
		if (fd >= 0)
			close(fd);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	t->dirs[t->dir_count] = (struct apply_dir){.root = root, .path = own, .fd = fd, .stage = t->dir_count};
	return (ssize_t)t->dir_count++;
}

int
apply_tree_add_step(struct apply_tree *t, const struct apply_step *s, struct err *e)
{
	struct apply_step *larger = t->steps;
	char *name = strdup(s->name);

	if (t->step_count == t->step_room &&
	    (larger = reallocarray(t->steps, t->step_room * 2 + 16, sizeof(*larger))) != NULL)
		t->step_room = t->step_room * 2 + 16;
	if (larger != NULL)
		t->steps = larger;
	if (name == NULL || larger == NULL) {
		free(name);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	t->steps[t->step_count] = *s;
	t->steps[t->step_count++].name = name;
	return 0;
}

const char *
apply_tree_temp(const struct apply_tree *t, const struct apply_step *s, char out[APPLY_TEMP_SIZE])
{
	snprintf(out, APPLY_TEMP_SIZE, APPLY_TEMP_PREFIX "%s-%u", t->id, s->number);
	return out;
}

const char *
apply_tree_path(const struct apply_tree *t, const struct apply_step *s, char out[APPLY_PATH_MAX + 1])
{
	const char *dir = t->dirs[s->dir].path;

	snprintf(out, APPLY_PATH_MAX + 1, "%s%s%s", dir, dir[0] == '\0' ? "" : "/", s->name);
	return out;
}

int
apply_tree_sync(const struct apply_tree *t, struct err *e)
{
	for (size_t i = 0; i < t->root_count; i++) {
		int fd = apply_open_beneath(t->roots[i].fd, "", O_RDONLY | O_DIRECTORY), rc = 0;

		if (fd < 0 || syncfs(fd) != 0)
			rc = err_sys(e, ERR_IO, "syncing %s", t->roots[i].path);
		if (fd >= 0)
			close(fd);
		if (rc != 0)
			return rc;
	}
	return 0;
}

void
apply_tree_clear(struct apply_tree *t)
{
	for (size_t i = 0; i < t->step_count; i++)
		free(t->steps[i].name);
	for (size_t i = 0; i < t->dir_count; i++) {
		free(t->dirs[i].path);
		if (t->dirs[i].fd >= 0)
			close(t->dirs[i].fd);
	}
	for (size_t i = 0; i < t->root_count; i++) {
		free(t->roots[i].path);
		close(t->roots[i].fd);
	}
	free(t->steps);
	free(t->dirs);
	free(t->roots);
	*t = (struct apply_tree){.roots = NULL};
}
