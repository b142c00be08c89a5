/* broker/grants: the operator's grants by owner, one policy document per user. brigd. */

#include "broker/grants.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"

struct grant {
	uid_t owner;
	struct policy_document *document;
};

struct grants {
	struct grant *list;
	size_t count;
};

int
grants_owner(const char *name, size_t length, uid_t *owner, struct err *e)
{
	char user[256];
	unsigned long uid;
	struct passwd *pw;
	char *end;

	if (length == 0 || length >= sizeof(user))
		return err_set(e, ERR_INVAL, "%.64s: it must be a user's name or number", name);
	memcpy(user, name, length);
	user[length] = '\0';
	errno = 0;
	uid = strtoul(user, &end, 10);
	if (errno == 0 && *end == '\0' && user[0] != '-' && uid < 4294967295UL) {
		*owner = (uid_t)uid;
		return 0;
	}
	if ((pw = getpwnam(user)) == NULL)
		return err_set(e, ERR_INVAL, "%.64s: there is no user \"%s\"", name, user);
	*owner = pw->pw_uid;
	return 0;
}

static int
load_one(struct grants *g, const char *directory, const char *name, size_t length, struct err *e)
{
	struct grant *larger = realloc(g->list, (g->count + 1) * sizeof(*larger));
	struct grant grant = {0};
	char *path = NULL;
	uint8_t *text = NULL;
	size_t size;
	int rc;

	if (larger == NULL)
		return err_set(e, ERR_NOMEM, "a grant");
	g->list = larger;
	if ((rc = grants_owner(name, length, &grant.owner, e)) != 0)
		return rc;
	if (grants_of(g, grant.owner) != NULL)
		return err_set(e, ERR_INVAL, "%s: user %u has two grants", name, (unsigned)grant.owner);
	if (asprintf(&path, "%s/%s", directory, name) < 0)
		return err_set(e, ERR_NOMEM, "a path");
	rc = io_read_file(path, POLICY_TEXT_MAX, &text, &size, e);
	if (rc == 0 && (rc = policy_document_parse((char *)text, size, path, NULL, &grant.document, e)) == 0)
		g->list[g->count++] = grant;
	free(text);
	free(path);
	return rc;
}

int
grants_load(const char *directory, struct grants **out, struct err *e)
{
	struct grants *g = calloc(1, sizeof(*g));
	struct dirent *entry;
	DIR *dir = NULL;
	int rc = 0;

	if (g == NULL)
		return err_set(e, ERR_NOMEM, "grants");
	if (directory != NULL && (dir = opendir(directory)) == NULL)
		rc = err_sys(e, ERR_IO, "%s", directory);
	while (rc == 0 && dir != NULL && (errno = 0, entry = readdir(dir)) != NULL) {
		size_t length = strlen(entry->d_name);

		if (entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0)
			rc = load_one(g, directory, entry->d_name, length - 5, e);
	}
	if (rc == 0 && dir != NULL && errno != 0)
		rc = err_sys(e, ERR_IO, "reading %s", directory);
	if (dir != NULL)
		closedir(dir);
	if (rc != 0)
		grants_free(g);
	else
		*out = g;
	return rc;
}

void
grants_free(struct grants *g)
{
	if (g == NULL)
		return;
	for (size_t i = 0; i < g->count; i++)
		policy_document_free(g->list[i].document);
	free(g->list);
	free(g);
}

const struct policy_document *
grants_document_of(const struct grants *g, uid_t owner)
{
	for (size_t i = 0; i < g->count; i++)
		if (g->list[i].owner == owner)
			return g->list[i].document;
	return NULL;
}

const struct policy *
grants_of(const struct grants *g, uid_t owner)
{
	const struct policy_document *d = grants_document_of(g, owner);

	return d == NULL ? NULL : d->policy;
}
