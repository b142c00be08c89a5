/* broker/keyring_edit: making and changing keyrings, for who holds the root's secret key. Used by the brig command. */

#include "broker/keyring_edit.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/io.h"
#include "base/utc.h"
#include "broker/keyring.h"
#include "broker/minisign.h"
#include "policy/policy.h"

int
keyring_edit_lock(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd = -1;

	if (dir == NULL)
		return err_set(e, ERR_NOMEM, "a path");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		fd = err_sys(e, ERR_IO, "%s", dir);
		goto out;
	}
	while (flock(fd, LOCK_EX) != 0) {
		if (errno == EINTR)
			continue;
		err_sys(e, ERR_IO, "locking %s", dir);
		close(fd);
		fd = ERR_IO;
		break;
	}
out:
	free(dir);
	return fd;
}

json_t *
keyring_edit_new(int64_t expires)
{
	char text[UTC_TEXT_SIZE];

	return json_pack("{s:i, s:s, s:[], s:[], s:[]}", "version", 0, "expires", utc_text(expires, text), "keys",
	    "revoked_keys", "revoked_modules");
}

int
keyring_edit_read(const char *path, const struct keys_public *root, json_t **out, struct err *e)
{
	struct keyring *ring;
	json_error_t why;
	json_t *document;
	uint8_t *json;
	size_t length;
	int rc;

	if ((rc = keyring_read_file(path, root, &json, &length, e)) != 0)
		return rc;
	document = json_loadb((const char *)json, length, JSON_REJECT_DUPLICATES, &why);
	free(json);
	if (document == NULL)
		return err_set(e, ERR_INVAL, "%s: line %d: %s", path, why.line, policy_json_why(&why));
	if ((rc = keyring_parse(document, &ring, e)) != 0) {
		json_decref(document);
		return err_context(e, "%s", path);
	}
	keyring_free(ring);
	*out = document;
	return 0;
}

/* A user id in decimal becomes a number, a name a string, NULL null. NULL when out of memory. */
static json_t *
owner_json(const char *owner)
{
	char *end;
	unsigned long uid;

	if (owner == NULL)
		return json_null();
	if (owner[0] == '\0' || strspn(owner, "0123456789") != strlen(owner))
		return json_string(owner);
	errno = 0;
	uid = strtoul(owner, &end, 10);
	return errno != 0 || uid > UINT32_MAX ? json_string(owner) : json_integer((json_int_t)uid);
}

/* Whether an entry of `document` has this text in this field. */
static bool
has_entry(json_t *document, const char *field, const char *text)
{
	json_t *entry;
	size_t i;

	json_array_foreach(json_object_get(document, "keys"), i, entry) {
		const char *there = json_string_value(json_object_get(entry, field));

		if (there != NULL && strcmp(there, text) == 0)
			return true;
	}
	return false;
}

int
keyring_edit_add(json_t *document, const struct keys_public *key, const char *name, int64_t valid_from,
    int64_t valid_to, const char *owner, json_t *grant, bool packs, struct err *e)
{
	char kid[KEYS_KID_TEXT], number[KEYS_NUMBER_TEXT], from[UTC_TEXT_SIZE], to[UTC_TEXT_SIZE];
	char base64[sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL)];
	json_t *entry;

	keys_kid_text(key->key, kid);
	keys_number_text(key->number, number);
	if (has_entry(document, "kid", kid))
		return err_set(e, ERR_EXISTS, "the key %s is in the keyring already", kid);
	if (has_entry(document, "key_number", number))
		return err_set(e, ERR_EXISTS, "another key with the number %s is in the keyring already", number);
	sodium_bin2base64(base64, sizeof(base64), key->key, sizeof(key->key), sodium_base64_VARIANT_ORIGINAL);
	entry = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:O}", "kid", kid, "key_number", number, "public_key",
	    base64, "name", name, "valid_from", utc_text(valid_from, from), "valid_to", utc_text(valid_to, to), "owner",
	    owner_json(owner), "grant", grant == NULL ? json_null() : grant);
	if (entry == NULL)
		return err_set(e, ERR_INVAL, "the name of a key must be UTF-8");
	if ((packs && json_object_set_new(entry, "packs", json_true()) != 0) ||
	    json_array_append_new(json_object_get(document, "keys"), entry) != 0)
		return err_set(e, ERR_NOMEM, "a keyring");
	return 0;
}

/* The document's text, with its rules checked. The caller frees it. */
static int
render(json_t *document, char **text, struct err *e)
{
	struct keyring *ring;
	char *json = NULL;
	int rc;

	if ((rc = keyring_parse(document, &ring, e)) != 0)
		return rc;
	keyring_free(ring);
	json = json_dumps(document, JSON_INDENT(2));
	rc = json == NULL || asprintf(text, "%s\n", json) < 0 ? err_set(e, ERR_NOMEM, "a keyring") : 0;
	free(json);
	if (rc == 0 && strlen(*text) > KEYRING_SIZE_MAX) {
		free(*text);
		rc = err_set(e, ERR_LIMIT, "the keyring would have more than %d bytes", KEYRING_SIZE_MAX);
	}
	return rc;
}

static int
replace_both(const char *path, const char *text, const char *signature, struct err *e)
{
	char *now = NULL, *next = NULL;
	int rc;

	if (asprintf(&now, "%s.minisig", path) < 0 || asprintf(&next, "%s.minisig.next", path) < 0) {
		rc = err_set(e, ERR_NOMEM, "a path");
		goto out;
	}
	if ((rc = io_replace_file(next, signature, strlen(signature), 0644, e)) != 0 ||
	    (rc = io_replace_file(path, text, strlen(text), 0644, e)) != 0)
		goto out;
	if (rename(next, now) != 0)
		rc = err_sys(e, ERR_IO, "renaming %s to %s", next, now);
out:
	free(now);
	free(next);
	return rc;
}

int
keyring_edit_seal(const char *path, json_t *document, const struct keys_secret *root, struct err *e)
{
	json_int_t version = json_integer_value(json_object_get(document, "version"));
	char *text = NULL, *signature = NULL, comment[80];
	int rc;

	if (json_object_set_new(document, "version", json_integer(version + 1)) != 0)
		return err_set(e, ERR_NOMEM, "a keyring");
	if ((rc = render(document, &text, e)) != 0)
		return rc;
	snprintf(comment, sizeof(comment), "brig keyring, version %jd", (intmax_t)(version + 1));
	if ((rc = minisign_sign(root, text, strlen(text), comment, &signature, e)) != 0)
		goto out;
	rc = replace_both(path, text, signature, e);
out:
	free(signature);
	free(text);
	return rc;
}
