/* run_dirs: the directories of the host that `brig run --dir` shows to a program. brig. */

#include "clients/c/run_dirs.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/c/cmd.h"
#include "sandbox/jail.h"

#define VERB      "run"
#define SEPARATOR "::"
#define READ_ONLY ":ro"

/* --- the option ------------------------------------------------------------------------------------------------- */

/* Appends the components of `path` to `out`, an absolute path, where "." adds nothing and ".." takes one away. */
static int
append_components(char out[PATH_MAX], const char *path, struct err *e)
{
	while (*path != '\0') {
		const size_t n = strcspn(path, "/"), used = strlen(out);

		if (n == 2 && path[0] == '.' && path[1] == '.')
			*(strrchr(out, '/') != NULL ? strrchr(out, '/') : out) = '\0';
		else if (n > 0 && !(n == 1 && path[0] == '.')) {
			if (used + 1 + n >= PATH_MAX)
				return err_set(e, ERR_INVAL, "the path %.100s... is too long", path);
			out[used] = '/';
			memcpy(out + used + 1, path, n);
			out[used + 1 + n] = '\0';
		}
		path += n + (path[n] == '/');
	}
	return 0;
}

/* `host` as an absolute path; what it leads to is not looked at. */
static int
spell_out(const char *host, char out[PATH_MAX], struct err *e)
{
	char here[PATH_MAX];
	int rc = 0;

	out[0] = '\0';
	if (host[0] != '/' && getcwd(here, sizeof(here)) == NULL)
		return err_sys(e, ERR_IO, "the current directory");
	if (host[0] != '/')
		rc = append_components(out, here, e);
	if (rc == 0)
		rc = append_components(out, host, e);
	if (rc == 0 && out[0] == '\0')
		strcpy(out, "/");
	return rc;
}

static int
check(const struct run_dirs *d, const struct run_dir *dir, struct err *e)
{
	const char *wrong = policy_path_wrong(dir->guest);
	json_t *text = json_string(dir->guest);

	json_decref(text);
	if (dir->host[0] == '\0')
		return err_set(e, ERR_INVAL, "which directory? --dir takes HOST or HOST::GUEST");
	if (text == NULL)
		return err_set(e, ERR_INVAL, "--dir %s: only UTF-8 can be sent; name it with ::GUEST", dir->host);
	if (wrong != NULL)
		return err_set(e, ERR_INVAL, "--dir %s: the program's path \"%s\" %s", dir->host, dir->guest, wrong);
	for (size_t i = 0; i < d->count; i++)
		if (strcmp(d->list[i].guest, dir->guest) == 0)
			return err_set(e, ERR_INVAL, "--dir: %s would be two directories, %s and %s; name one with ::GUEST",
			    dir->guest, d->list[i].host, dir->host);
	return 0;
}

static void
dir_clear(struct run_dir *dir)
{
	brig_dir_close(dir->served);
	free(dir->host);
	free(dir->guest);
}

int
run_dirs_add(struct run_dirs *d, const char *text, struct err *e)
{
	const size_t length = strlen(text), suffix = strlen(READ_ONLY);
	const bool read_only = length >= suffix && strcmp(text + length - suffix, READ_ONLY) == 0;
	char *host = strndup(text, read_only ? length - suffix : length), spelt[PATH_MAX];
	char *guest = host == NULL ? NULL : strstr(host, SEPARATOR);
	struct run_dir dir = {.host = host, .read_only = read_only};
	int rc = 0;

	if (d->count == PROTO_DIRS_MAX)
		rc = err_set(e, ERR_INVAL, "--dir: a program can have %d directories at most", PROTO_DIRS_MAX);
	else if (guest != NULL) {
		*guest = '\0';
		dir.guest = strdup(guest + strlen(SEPARATOR));
	} else if (host != NULL && (rc = spell_out(host, spelt, e)) == 0)
		dir.guest = strdup(spelt);
	if (rc == 0 && (host == NULL || dir.guest == NULL))
		rc = err_set(e, ERR_NOMEM, "out of memory");
	if (rc == 0)
		rc = check(d, &dir, e);
	if (rc == 0)
		d->list[d->count++] = dir;
	else
		dir_clear(&dir);
	return rc;
}

/* --- the request ------------------------------------------------------------------------------------------------ */

int
run_dirs_grant(const struct run_dirs *d, json_t *policy, struct err *e)
{
	json_t *fs = json_object_get(policy, "fs");

	for (size_t i = 0; i < d->count; i++) {
		json_t *rights = d->list[i].read_only ? json_pack("[s]", "read")
						      : json_pack("[s, s, s, s]", "read", "write", "create", "delete");

		if (json_array_append_new(fs, json_pack("{s:s, s:s, s:o}", "mount", d->list[i].guest, "kind", "dir", "rights",
		    rights)) != 0)
			return err_set(e, ERR_NOMEM, "out of memory for a policy");
	}
	return 0;
}

static int
find_mount(const struct policy *p, const struct run_dir *dir, struct err *e)
{
	for (size_t i = 0; i < p->fs_count; i++)
		if (p->fs[i].mount && p->fs[i].kind == POLICY_FS_DIR && strcmp(p->fs[i].path, dir->guest) == 0)
			return 0;
	return err_set(e, ERR_INVAL, "--dir %s: the document of --policy has no such mount; it needs \"fs\": [{\"mount\": "
	    "\"%s\", \"kind\": \"dir\", \"rights\": [\"read\"%s]}]", dir->host, dir->guest,
	    dir->read_only ? "" : ", \"write\", \"create\", \"delete\"");
}

int
run_dirs_narrow(const struct run_dirs *d, struct policy *p, struct err *e)
{
	for (size_t i = 0; i < d->count; i++) {
		const struct run_dir *dir = &d->list[i];
		int rc = find_mount(p, dir, e);

		if (rc != 0)
			return rc;
		for (size_t j = 0; dir->read_only && j < p->fs_count; j++)
			if (policy_fs_mount_of(p, p->fs[j].path) == policy_fs_mount_of(p, dir->guest))
				p->fs[j].rights &= POLICY_FS_READ;
	}
	return 0;
}

int
run_dirs_serve(struct run_dirs *d, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < d->count && rc == 0; i++) {
		rc = brig_dir_serve(d->list[i].host, NULL, &d->list[i].served, e);
		if (rc == ERR_NOTFOUND && strchr(d->list[i].host, ':') != NULL)
			return err_set(e, rc, "--dir %s: there is no such directory; what the program sees it as stands behind \"::\"",
			    d->list[i].host);
	}
	return rc == 0 ? 0 : err_context(e, "--dir");
}

json_t *
run_dirs_json(const struct run_dirs *d, int first)
{
	json_t *dirs = json_object();

	for (size_t i = 0; i < d->count; i++)
		if (json_object_set_new(dirs, d->list[i].guest, json_pack("{s:i}", "descriptor", first + (int)i)) != 0) {
			json_decref(dirs);
			return NULL;
		}
	return dirs;
}

int
run_dirs_fds(const struct run_dirs *d, int fds[PROTO_DIRS_MAX])
{
	for (size_t i = 0; i < d->count; i++)
		fds[i] = brig_dir_fd(d->list[i].served);
	return (int)d->count;
}

/* --- what is said ----------------------------------------------------------------------------------------------- */

/* The directory in whose mount a path of the guest's is; the longest mount counts. */
static size_t
dir_of(const struct run_dirs *d, const char *path)
{
	size_t found = d->count;

	for (size_t i = 0; i < d->count; i++)
		if (policy_path_covers(d->list[i].guest, path) &&
		    (found == d->count || strlen(d->list[i].guest) > strlen(d->list[found].guest)))
			found = i;
	return found;
}

void
run_dirs_report(const struct run_dirs *d, const json_t *result, const char *why)
{
	size_t counts[PROTO_DIRS_MAX + 1] = {0};
	const json_t *change;
	size_t i;

	json_array_foreach(json_object_get(result, "changes"), i, change) {
		const char *path = json_string_value(json_object_get(change, "path"));

		counts[path == NULL ? d->count : dir_of(d, path)]++;
	}
	for (i = 0; i < d->count; i++)
		if (counts[i] > 0)
			cmd_error(VERB, "%zu change%s to %s, not applied%s", counts[i], counts[i] == 1 ? "" : "s", d->list[i].host,
			    why);
}

int
run_dirs_apply(const struct run_dirs *d, json_t *result, const struct apply_request *how)
{
	struct apply_mount mounts[PROTO_DIRS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < d->count; i++)
		if (!d->list[i].read_only)
			mounts[count++] = (struct apply_mount){d->list[i].host, d->list[i].guest};
	return apply_result(result, mounts, count, how);
}

void
run_dirs_usage(const struct run_dirs *d)
{
	for (size_t i = 0; i < d->count; i++) {
		const uint32_t wanted = jail_required(JAIL_PROFILE_NAMESPACES) | PROTO_LAYER_landlock;
		const uint32_t missing = wanted & ~brig_dir_layers(d->list[i].served);
		char names[300];

		fprintf(stderr, "  directory   ");
		cmd_print_safe(stderr, d->list[i].host, strlen(d->list[i].host));
		fprintf(stderr, " as ");
		cmd_print_safe(stderr, d->list[i].guest, strlen(d->list[i].guest));
		if (missing != 0)
			fprintf(stderr, ", served without %s", jail_layer_names(missing, names, sizeof(names)));
		fputc('\n', stderr);
	}
}

void
run_dirs_clear(struct run_dirs *d)
{
	for (size_t i = 0; i < d->count; i++)
		dir_clear(&d->list[i]);
	d->count = 0;
}
