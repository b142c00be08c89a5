/* broker/keys_private: the keys and keyring that one user's own brigd trusts. Used by the brig command. */

#include "broker/keys_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/keyring.h"
#include "broker/keyring_edit.h"
#include "broker/keys.h"

/* How long a private keyring and its key are good for: 20 years; the user can shorten it with `brig keys`. */
#define VALID_SECONDS (INT64_C(20) * 366 * 24 * 3600)

static int
join(char out[PATH_MAX], const char *directory, const char *name, struct err *e)
{
	int n = snprintf(out, PATH_MAX, "%s%s%s", directory, name[0] == '\0' ? "" : "/", name);

	return n < 0 || n >= PATH_MAX ? err_set(e, ERR_INVAL, "%.200s...: this path is too long", directory) : 0;
}

static int
default_directory(char out[PATH_MAX], struct err *e)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (config != NULL && config[0] == '/')
		return join(out, config, "brig/keys", e);
	if (home != NULL && home[0] == '/')
		return join(out, home, ".config/brig/keys", e);
	return err_set(e, ERR_INVAL, "no place for keys: neither XDG_CONFIG_HOME nor HOME is set to an absolute path");
}

int
keys_private_paths(const char *directory, struct keys_private *out, struct err *e)
{
	struct keys_private p;
	int rc;

	rc = directory != NULL ? join(p.directory, directory, "", e) : default_directory(p.directory, e);
	if (rc != 0 ||
	    (rc = join(p.root_secret, p.directory, "root.key", e)) != 0 ||
	    (rc = join(p.root_public, p.directory, "root.pub", e)) != 0 ||
	    (rc = join(p.user_secret, p.directory, "user.key", e)) != 0 ||
	    (rc = join(p.user_public, p.directory, "user.pub", e)) != 0 ||
	    (rc = join(p.keyring, p.directory, "keyring.json", e)) != 0)
		return rc;
	*out = p;
	return 0;
}

/* Makes a directory and those above it. */
static int
make_directories(const char *path, struct err *e)
{
	char part[PATH_MAX];

	snprintf(part, sizeof(part), "%s", path);
	for (char *p = part + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0700) != 0 && errno != EEXIST)
			return err_sys(e, ERR_IO, "making %s", part);
		*p = '/';
	}
	if (mkdir(part, 0700) != 0 && errno != EEXIST)
		return err_sys(e, ERR_IO, "making %s", part);
	return 0;
}

/* That nobody but the caller can use what is at `path`: its own, and without the permission bits in `not`. */
static int
check_own(const char *path, mode_t not, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return err_sys(e, ERR_IO, "%s", path);
	if (st.st_uid != geteuid())
		return err_set(e, ERR_DENIED, "%s belongs to user %u, not to you (%u)", path, st.st_uid, geteuid());
	if ((st.st_mode & not) != 0)
		return err_set(e, ERR_DENIED, "%s has mode %04o, which lets others in: chmod go-rwx %s", path,
		    st.st_mode & 07777U, path);
	return 0;
}

/* Reads a pair's secret key, or makes the pair; the public file is made again when only that is missing. */
static int
ensure_pair(const char *secret_path, const char *public_path, struct keys_secret *secret, struct err *e)
{
	struct keys_public public;
	int rc = keys_read_secret(secret_path, keys_ask_terminal, secret, e);

	if (rc == ERR_NOTFOUND && (rc = keys_generate(secret, e)) == 0)
		rc = keys_write_secret(secret_path, secret, KEYS_MINISIGN, e);
	if (rc != 0 || (rc = check_own(secret_path, 077, e)) != 0)
		return rc;
	public = keys_public_of(secret);
	rc = keys_write_public(public_path, &public, KEYS_MINISIGN, e);
	return rc == ERR_EXISTS ? 0 : rc;
}

static int
make_keyring(const char *path, const struct keys_secret *root, const struct keys_secret *user, struct err *e)
{
	int64_t now = time(NULL);
	struct keys_public public = keys_public_of(user);
	json_t *document = keyring_edit_new(now + VALID_SECONDS);
	int rc;

	if (document == NULL)
		return err_set(e, ERR_NOMEM, "a keyring");
	/* From an hour ago: a clock that is set back a little must not make the user's own key too young. */
	if ((rc = keyring_edit_add(document, &public, "user", now - 3600, now + VALID_SECONDS, NULL, NULL, true, e)) == 0)
		rc = keyring_edit_seal(path, document, root, e);
	json_decref(document);
	return rc;
}

static int
ensure_keyring(const char *path, const struct keys_secret *root, const struct keys_secret *user, struct err *e)
{
	struct keys_public public = keys_public_of(root);
	struct keyring *ring;
	int rc;

	if (access(path, F_OK) != 0 && errno == ENOENT)
		return make_keyring(path, root, user, e);
	if ((rc = keyring_load_file(path, &public, time(NULL), 0, &ring, e)) == 0)
		keyring_free(ring);
	return rc;
}

int
keys_ensure_private(const char *directory, struct keys_private *out, struct err *e)
{
	struct keys_secret root = {0}, user = {0};
	struct keys_private p;
	int lock = -1, rc;

	if ((rc = keys_private_paths(directory, &p, e)) != 0 ||
	    (rc = make_directories(p.directory, e)) != 0 ||
	    (rc = check_own(p.directory, 022, e)) != 0)
		return rc;
	if ((lock = keyring_edit_lock(p.keyring, e)) < 0)
		return lock;
	if ((rc = ensure_pair(p.root_secret, p.root_public, &root, e)) == 0 &&
	    (rc = ensure_pair(p.user_secret, p.user_public, &user, e)) == 0 &&
	    (rc = ensure_keyring(p.keyring, &root, &user, e)) == 0)
		*out = p;
	keys_forget(&user);
	keys_forget(&root);
	close(lock);
	return rc;
}
