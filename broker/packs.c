/* broker/packs: language packs: interpreters that the operator has approved, which run source. brigd and the brig command. */

#include "broker/packs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memfd.h"
#include "base/nearest.h"
#include "broker/minisign.h"

#define BOOTSTRAP "{bootstrap}"

struct packs {
	struct pack *list; /* sorted by name */
	size_t count;
};

/* One pack while it is read. */
struct reader {
	const char *directory; /* of the pack */
	const struct packs *old;
	size_t module_max;
	json_t *manifest;
	uint8_t *bootstrap;
	size_t bootstrap_length;
	struct pack *pack;
};

bool
pack_name_ok(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length <= PACK_NAME_MAX &&
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == length;
}

static int
bad(const struct reader *r, struct err *e, const char *field, const char *what)
{
	return err_set(e, ERR_INVAL, "%s/" PACK_MANIFEST ": %s %s", r->directory, field, what);
}

/* Reads a file of the pack; `name` has no directory in it. The caller frees *data. */
static int
read_part(const struct reader *r, const char *name, size_t max, uint8_t **data, size_t *length, struct err *e)
{
	char *path;
	int rc;

	if (asprintf(&path, "%s/%s", r->directory, name) < 0)
		return err_set(e, ERR_NOMEM, "a path");
	rc = io_read_file(path, max, data, length, e);
	free(path);
	return rc;
}

/* {"file": NAME, "digest": DIGEST} */
static int
read_reference(const struct reader *r, const char *field, const char **file, struct digest *digest, struct err *e)
{
	const json_t *part = json_object_get(r->manifest, field);
	const json_t *text = json_object_get(part, "digest");
	struct err why;

	*file = json_string_value(json_object_get(part, "file"));
	if (json_object_size(part) != 2 || *file == NULL || text == NULL)
		return bad(r, e, field, "must be {\"file\": NAME, \"digest\": \"sha256:...\"} (brig pack sign writes the digest)");
	if ((*file)[0] == '\0' || (*file)[0] == '.' || strchr(*file, '/') != NULL)
		return bad(r, e, field, "must name a file beside it");
	if (!json_is_string(text) || digest_parse(json_string_value(text), json_string_length(text), digest, &why) != 0)
		return bad(r, e, field, "has a digest that is none");
	return 0;
}

static int
check_digest(const struct reader *r, const char *file, const void *bytes, size_t size, const struct digest *wanted,
    struct err *e)
{
	struct digest found = digest_of(bytes, size);

	if (digest_equal(&found, wanted))
		return 0;
	return err_set(e, ERR_INVAL, "%s/%s is not the file that " PACK_MANIFEST " says: its digest differs", r->directory, file);
}

static int
read_bootstrap(struct reader *r, struct err *e)
{
	struct digest wanted;
	const char *file;
	int rc = read_reference(r, "bootstrap", &file, &wanted, e);

	if (rc == 0)
		rc = read_part(r, file, PACK_BOOTSTRAP_MAX, &r->bootstrap, &r->bootstrap_length, e);
	return rc != 0 ? rc : check_digest(r, file, r->bootstrap, r->bootstrap_length, &wanted, e);
}

/* Copies a file of the pack into a sealed memfd. */
static int
copy_part(const struct reader *r, const char *name, size_t max, size_t *size, struct err *e)
{
	char *path;
	int from, fd;

	if (asprintf(&path, "%s/%s", r->directory, name) < 0)
		return err_set(e, ERR_NOMEM, "a path");
	from = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (from < 0)
		fd = err_sys(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, "%s", path);
	else if ((fd = memfd_from_fd("brig-pack", from, max, size, e)) < 0)
		err_context(e, "%s", path);
	if (from >= 0)
		close(from);
	free(path);
	return fd;
}

/* The module of a pack that had the same. */
static const struct pack *
find_module(const struct packs *old, const struct digest *module)
{
	for (size_t i = 0; i < packs_count(old); i++)
		if (digest_equal(&packs_at(old, i)->module, module))
			return packs_at(old, i);
	return NULL;
}

static int
read_module(struct reader *r, struct err *e)
{
	struct pack *p = r->pack;
	const struct pack *had;
	struct memfd_map map;
	const char *file;
	int rc = read_reference(r, "module", &file, &p->module, e);

	if (rc != 0)
		return rc;
	if ((had = find_module(r->old, &p->module)) != NULL) {
		p->size = had->size;
		p->fd = fcntl(had->fd, F_DUPFD_CLOEXEC, 0);
		return p->fd >= 0 ? 0 : err_sys(e, ERR_IO, "a pack's module");
	}
	if ((p->fd = copy_part(r, file, r->module_max, &p->size, e)) < 0)
		return p->fd;
	if ((rc = memfd_map(p->fd, p->size, &map, e)) != 0)
		return rc;
	rc = check_digest(r, file, map.data, map.size, &p->module, e);
	memfd_unmap(&map);
	return rc;
}

/* Appends a string with its length before it. */
static int
append(uint8_t **to, size_t *length, const void *text, size_t n, struct err *e)
{
	uint32_t head = (uint32_t)n;
	uint8_t *larger;

	if (n > 0 && memchr(text, '\0', n) != NULL)
		return err_set(e, ERR_INVAL, "a NUL in what a pack is started with");
	if ((larger = realloc(*to, *length + sizeof(head) + n)) == NULL)
		return err_set(e, ERR_NOMEM, "what a pack is started with");
	memcpy(larger + *length, &head, sizeof(head));
	memcpy(larger + *length + sizeof(head), text, n);
	*to = larger;
	*length += sizeof(head) + n;
	return 0;
}

static int
read_args(struct reader *r, struct err *e)
{
	const json_t *args = json_object_get(r->manifest, "args");
	struct pack *p = r->pack;
	int rc = 0;

	if (json_array_size(args) == 0 || json_array_size(args) > PACK_ARGS_MAX)
		return bad(r, e, "args", "must be an array of strings, the program's name first");
	for (size_t i = 0; i < json_array_size(args) && rc == 0; i++) {
		const char *arg = json_string_value(json_array_get(args, i));

		if (arg == NULL)
			return bad(r, e, "args", "must be an array of strings, the program's name first");
		if (strcmp(arg, BOOTSTRAP) == 0)
			rc = append(&p->args, &p->args_length, r->bootstrap, r->bootstrap_length, e);
		else
			rc = append(&p->args, &p->args_length, arg, strlen(arg), e);
	}
	p->argc = (uint32_t)json_array_size(args);
	return rc;
}

static int
read_env(struct reader *r, struct err *e)
{
	json_t *env = json_object_get(r->manifest, "env"), *value;
	struct pack *p = r->pack;
	const char *name;
	int rc = 0;

	if (env != NULL && (!json_is_object(env) || json_object_size(env) > PACK_ARGS_MAX))
		return bad(r, e, "env", "must be an object of strings");
	json_object_foreach(env, name, value) {
		char *text;

		if (name[0] == '\0' || strchr(name, '=') != NULL || !json_is_string(value))
			return bad(r, e, "env", "must be an object of strings, without = in their names");
		if (asprintf(&text, "%s=%s", name, json_string_value(value)) < 0)
			return err_set(e, ERR_NOMEM, "a pack's environment");
		rc = append(&p->env, &p->env_length, text, strlen(text), e);
		free(text);
		if (rc != 0)
			return rc;
		p->envc++;
	}
	return 0;
}

static int
read_names(struct reader *r, struct err *e)
{
	const json_t *version = json_object_get(r->manifest, "version"), *warm = json_object_get(r->manifest, "warm");
	const char *name = json_string_value(json_object_get(r->manifest, "name"));
	const char *release = json_string_value(json_object_get(r->manifest, "release"));

	if (!json_is_integer(version) || json_integer_value(version) != 1)
		return bad(r, e, "version", "must be 1");
	if (name == NULL || !pack_name_ok(name))
		return bad(r, e, "name", "must be of lower-case letters, digits, - and _");
	if (release == NULL || release[0] == '\0' || strlen(release) > PACK_RELEASE_MAX)
		return bad(r, e, "release", "must be a short text");
	if (warm != NULL && !json_is_boolean(warm))
		return bad(r, e, "warm", "must be true or false");
	memcpy(r->pack->name, name, strlen(name) + 1);
	memcpy(r->pack->release, release, strlen(release) + 1);
	r->pack->warm = !json_is_false(warm);
	return 0;
}

/* Puts what the pack is started with where a zygote can have it. */
static int
write_start(struct pack *p, struct err *e)
{
	size_t length = p->args_length + p->env_length;
	uint8_t *both = malloc(length + 1);

	if (both == NULL)
		return err_set(e, ERR_NOMEM, "what a pack is started with");
	memcpy(both, p->args, p->args_length);
	if (p->env_length > 0)
		memcpy(both + p->args_length, p->env, p->env_length);
	p->start = memfd_from("brig-pack-start", both, length, e);
	free(both);
	return p->start >= 0 ? 0 : e->code;
}

static int
check_members(const struct reader *r, struct err *e)
{
	static const char *const known[] = {"version", "name", "release", "module", "bootstrap", "args", "env", "grant", "warm"};
	const size_t count = sizeof(known) / sizeof(known[0]);
	const char *name, *near;
	json_t *value;

	json_object_foreach(r->manifest, name, value) {
		size_t i = 0;

		while (i < count && strcmp(known[i], name) != 0)
			i++;
		if (i < count)
			continue;
		near = nearest_name(name, known, count);
		return err_set(e, ERR_INVAL, "%s/" PACK_MANIFEST ": there is no member \"%.64s\"%s%s%s", r->directory, name,
		    near != NULL ? "; did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?" : "");
	}
	return 0;
}

static int
read_members(struct reader *r, struct err *e)
{
	const json_t *grant = json_object_get(r->manifest, "grant");
	struct err why = {0};
	int rc;

	if (!json_is_object(r->manifest))
		return err_set(e, ERR_INVAL, "%s/" PACK_MANIFEST ": must be a JSON object", r->directory);
	if ((rc = check_members(r, e)) != 0 || (rc = read_names(r, e)) != 0)
		return rc;
	if (grant != NULL && !json_is_null(grant) && (rc = policy_from_json(grant, &r->pack->grant, &why)) != 0)
		return bad(r, e, "grant:", why.msg);
	if ((rc = read_bootstrap(r, e)) != 0 || (rc = read_args(r, e)) != 0 || (rc = read_env(r, e)) != 0)
		return rc;
	rc = read_module(r, e);
	return rc != 0 ? rc : write_start(r->pack, e);
}

static void
pack_clear(struct pack *p)
{
	if (p->fd >= 0)
		close(p->fd);
	if (p->start >= 0)
		close(p->start);
	free(p->args);
	free(p->env);
	free(p->signature);
	policy_free(p->grant);
}

/* Reads the pack in r->directory into *r->pack, to be ended with pack_clear in any case. */
static int
read_pack(struct reader *r, struct err *e)
{
	struct pack *p = r->pack;
	uint8_t *text = NULL, *signature = NULL;
	size_t length;
	json_error_t why;
	int rc;

	*p = (struct pack){.fd = -1, .start = -1};
	if ((rc = read_part(r, PACK_MANIFEST, PACK_MANIFEST_MAX, &text, &length, e)) != 0)
		goto out;
	if ((rc = read_part(r, PACK_SIGNATURE, MINISIGN_SIZE_MAX, &signature, &p->signature_length, e)) != 0) {
		err_context(e, "a language pack must be signed (brig pack sign)");
		goto out;
	}
	p->signature = (char *)signature;
	signature_read_text(text, length, true, &p->facts);
	p->digest = p->facts.module;
	if ((r->manifest = json_loadb((char *)text, length, JSON_REJECT_DUPLICATES, &why)) == NULL)
		rc = err_set(e, ERR_INVAL, "%s/" PACK_MANIFEST ":%d:%d: %s", r->directory, why.line, why.column,
		    policy_json_why(&why));
	else
		rc = read_members(r, e);
out:
	json_decref(r->manifest);
	free(r->bootstrap);
	free(text);
	r->manifest = NULL;
	r->bootstrap = NULL;
	return rc;
}

int
pack_check(const char *directory, size_t module_max, struct err *e)
{
	struct pack pack;
	struct reader r = {.directory = directory, .module_max = module_max, .pack = &pack};
	int rc = read_pack(&r, e);

	pack_clear(&pack);
	return rc;
}

/* Adds the pack in directory/name, if there is one. */
static int
load_one(struct packs *all, const char *directory, const char *name, size_t module_max, const struct packs *old,
    struct err *e)
{
	struct reader r = {.old = old, .module_max = module_max};
	struct pack *larger;
	char *path = NULL, *manifest = NULL;
	int rc = 0;

	if (asprintf(&path, "%s/%s", directory, name) < 0 || asprintf(&manifest, "%s/" PACK_MANIFEST, path) < 0) {
		free(path);
		return err_set(e, ERR_NOMEM, "a path");
	}
	if (access(manifest, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
		goto out;
	if (all->count == PACKS_MAX) {
		rc = err_set(e, ERR_LIMIT, "%s holds more than %d language packs", directory, PACKS_MAX);
		goto out;
	}
	if ((larger = realloc(all->list, (all->count + 1) * sizeof(*larger))) == NULL) {
		rc = err_set(e, ERR_NOMEM, "a language pack");
		goto out;
	}
	all->list = larger;
	r.directory = path;
	r.pack = &larger[all->count];
	if ((rc = read_pack(&r, e)) == 0 && packs_find(all, r.pack->name) != NULL)
		rc = err_set(e, ERR_INVAL, "%s: there is another language pack \"%s\"", path, r.pack->name);
	if (rc == 0)
		all->count++;
	else
		pack_clear(r.pack);
out:
	free(manifest);
	free(path);
	return rc;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct pack *)a)->name, ((const struct pack *)b)->name);
}

int
packs_load(const char *directory, size_t module_max, const struct packs *old, struct packs **out, struct err *e)
{
	struct packs *all = calloc(1, sizeof(*all));
	struct dirent *entry;
	DIR *dir = NULL;
	int rc = 0;

	if (all == NULL)
		return err_set(e, ERR_NOMEM, "language packs");
	if (directory != NULL && (dir = opendir(directory)) == NULL)
		rc = err_sys(e, ERR_IO, "%s", directory);
	while (rc == 0 && dir != NULL && (errno = 0, entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			rc = load_one(all, directory, entry->d_name, module_max, old, e);
	if (rc == 0 && dir != NULL && errno != 0)
		rc = err_sys(e, ERR_IO, "reading %s", directory);
	if (dir != NULL)
		closedir(dir);
	if (rc != 0) {
		packs_free(all);
		return rc;
	}
	if (all->count > 0)
		qsort(all->list, all->count, sizeof(*all->list), by_name);
	*out = all;
	return 0;
}

void
packs_free(struct packs *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->count; i++)
		pack_clear(&p->list[i]);
	free(p->list);
	free(p);
}

size_t
packs_count(const struct packs *p)
{
	return p == NULL ? 0 : p->count;
}

const struct pack *
packs_at(const struct packs *p, size_t index)
{
	return index < packs_count(p) ? &p->list[index] : NULL;
}

const struct pack *
packs_find(const struct packs *p, const char *name)
{
	for (size_t i = 0; i < packs_count(p); i++)
		if (strcmp(p->list[i].name, name) == 0)
			return &p->list[i];
	return NULL;
}

int
packs_judge(const struct pack *p, const struct keyring *ring, int64_t now, struct signature_verdict *out, struct err *e)
{
	struct signature_verdict v;
	int rc;

	if (keyring_module_revoked(ring, &p->digest) || keyring_module_revoked(ring, &p->module))
		return err_set(e, ERR_REVOKED, "the language pack \"%s\" is revoked", p->name);
	rc = signature_judge(&p->facts, p->signature, p->signature_length, ring, now, &v, e);
	if (rc == 0 && !v.key->packs)
		rc = err_set(e, ERR_DENIED, "the key %s may not sign language packs: brig keys add --packs", v.kid);
	if (rc != 0)
		return err_context(e, "the language pack \"%s\"", p->name);
	v.has_start = true; /* for all that is known: the module's sections were not looked at */
	*out = v;
	return 0;
}
