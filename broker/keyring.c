/* broker/keyring: the keys that count, a document signed by an offline root key. Used by brigd and the brig command. */

#include "broker/keyring.h"

#include <pwd.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/io.h"
#include "base/utc.h"
#include "broker/minisign.h"
#include "policy/policy.h"

struct keyring {
	json_t *document; /* while it is read */
	uint64_t version;
	int64_t expires;
	struct keyring_key *keys;
	size_t key_count;
	char (*revoked_keys)[KEYS_KID_TEXT]; /* sorted */
	size_t revoked_key_count;
	struct digest *revoked_modules; /* sorted */
	size_t revoked_module_count;
};

/* Where in the document we are, for messages: "keys[2].valid_to". */
struct place {
	const char *list; /* NULL at the top */
	size_t index;
};

static int
bad(struct place at, const char *field, struct err *e, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static int
bad(struct place at, const char *field, struct err *e, const char *fmt, ...)
{
	char story[300], path[160];
	va_list ap;

	if (at.list == NULL)
		snprintf(path, sizeof(path), "%.100s", field);
	else
		snprintf(path, sizeof(path), "%s[%zu]%s%.100s", at.list, at.index, field[0] == '\0' ? "" : ".", field);
	va_start(ap, fmt);
	vsnprintf(story, sizeof(story), fmt, ap);
	va_end(ap);
	return err_set(e, ERR_INVAL, "keyring: %s: %s", path, story);
}

/* Refuses a field that is not in the NULL-terminated list `known`. */
static int
check_fields(json_t *object, const char *const *known, struct place at, struct err *e)
{
	const char *field;
	json_t *value;

	json_object_foreach(object, field, value) {
		size_t i = 0;

		while (known[i] != NULL && strcmp(known[i], field) != 0)
			i++;
		if (known[i] == NULL)
			return bad(at, field, e, "no such field");
	}
	return 0;
}

static int
need_string(json_t *object, const char *field, struct place at, const char **text, size_t *length, struct err *e)
{
	json_t *value = json_object_get(object, field);

	*text = json_string_value(value); /* NULL when it is no string */
	*length = json_string_length(value);
	return *text != NULL ? 0 : bad(at, field, e, value == NULL ? "missing" : "must be a string");
}

static int
need_time(json_t *object, const char *field, struct place at, int64_t *seconds, struct err *e)
{
	const char *text;
	size_t length;
	struct err why;
	int rc;

	if ((rc = need_string(object, field, at, &text, &length, e)) != 0)
		return rc;
	return utc_parse(text, length, seconds, &why) == 0 ? 0 : bad(at, field, e, "%s", why.msg);
}

static int
need_array(json_t *object, const char *field, size_t max, json_t **array, struct err *e)
{
	const struct place top = {NULL, 0};

	*array = json_object_get(object, field);
	if (!json_is_array(*array))
		return bad(top, field, e, *array == NULL ? "missing" : "must be an array");
	if (json_array_size(*array) > max)
		return bad(top, field, e, "%zu entries, at most %zu", json_array_size(*array), max);
	return 0;
}

static bool
is_lower_hex(const char *text, size_t length, size_t want)
{
	return length == want && strspn(text, "0123456789abcdef") == want;
}

/* A name that can be shown: printable UTF-8 (jansson checked that it is UTF-8), not empty. */
static int
need_name(const char *text, size_t length, const char *field, struct place at, char out[KEYRING_NAME_MAX + 1],
    struct err *e)
{
	if (length == 0 || length > KEYRING_NAME_MAX)
		return bad(at, field, e, "must have 1 to %d bytes", KEYRING_NAME_MAX);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return bad(at, field, e, "has a control character");
	memcpy(out, text, length + 1);
	return 0;
}

/* The three ways in which an entry names its key, which must agree. */
static int
read_identity(json_t *entry, struct place at, struct keyring_key *key, struct err *e)
{
	const char *text;
	size_t length, got;
	int rc;

	if ((rc = need_string(entry, "public_key", at, &text, &length, e)) != 0)
		return rc;
	if (!base64_decode_exact(text, length, key->public.key, 32) ||
	    !crypto_core_ed25519_is_valid_point(key->public.key))
		return bad(at, "public_key", e, "not an Ed25519 public key: 32 bytes in base64");
	if ((rc = need_string(entry, "kid", at, &text, &length, e)) != 0)
		return rc;
	keys_kid_text(key->public.key, key->kid);
	if (length != KEYS_KID_TEXT - 1 || strcmp(text, key->kid) != 0)
		return bad(at, "kid", e, "is not the key id of public_key, which is %s", key->kid);
	if ((rc = need_string(entry, "key_number", at, &text, &length, e)) != 0)
		return rc;
	if (!is_lower_hex(text, length, KEYS_NUMBER_TEXT - 1))
		return bad(at, "key_number", e, "must be 16 lower-case hexadecimal digits");
	sodium_hex2bin(key->public.number, KEYS_NUMBER_SIZE, text, length, NULL, &got, NULL);
	return 0;
}

static int
read_owner(json_t *entry, struct place at, struct keyring_key *key, struct err *e)
{
	json_t *owner = json_object_get(entry, "owner");

	if (owner == NULL || json_is_null(owner)) {
		key->owner = KEYRING_OWNER_ANY;
		return 0;
	}
	if (json_is_string(owner)) {
		key->owner = KEYRING_OWNER_NAME;
		return need_name(json_string_value(owner), json_string_length(owner), "owner", at, key->owner_name, e);
	}
	if (!json_is_integer(owner) || json_integer_value(owner) < 0 || json_integer_value(owner) >= UINT32_MAX)
		return bad(at, "owner", e, "must be a user's name, a user id, or null");
	key->owner = KEYRING_OWNER_UID;
	key->owner_uid = (uint32_t)json_integer_value(owner);
	return 0;
}

static int
read_grant(const json_t *grant, struct place at, struct keyring_key *key, struct err *e)
{
	struct err why = {0};

	if (grant == NULL || json_is_null(grant))
		return 0;
	if (!json_is_object(grant))
		return bad(at, "grant", e, "must be a policy object or null");
	if (policy_from_json(grant, &key->grant, &why) != 0)
		return bad(at, "grant", e, "%s", why.msg);
	return 0;
}

static int
read_key(json_t *entry, struct place at, struct keyring_key *key, struct err *e)
{
	static const char *const known[] = {"kid", "key_number", "public_key", "name", "valid_from", "valid_to", "owner",
	    "grant", "packs", NULL};
	const json_t *packs = json_object_get(entry, "packs");
	const char *name;
	size_t length;
	int rc;

	if (!json_is_object(entry))
		return bad(at, "", e, "must be an object");
	if ((rc = check_fields(entry, known, at, e)) != 0 ||
	    (rc = read_identity(entry, at, key, e)) != 0 ||
	    (rc = need_string(entry, "name", at, &name, &length, e)) != 0 ||
	    (rc = need_name(name, length, "name", at, key->name, e)) != 0 ||
	    (rc = need_time(entry, "valid_from", at, &key->valid_from, e)) != 0 ||
	    (rc = need_time(entry, "valid_to", at, &key->valid_to, e)) != 0 ||
	    (rc = read_owner(entry, at, key, e)) != 0)
		return rc;
	if (packs != NULL && !json_is_boolean(packs))
		return bad(at, "packs", e, "must be true or false");
	key->packs = json_is_true(packs);
	if (key->valid_from > key->valid_to)
		return bad(at, "valid_to", e, "must not be earlier than valid_from");
	return read_grant(json_object_get(entry, "grant"), at, key, e);
}

static int
check_distinct(const struct keyring *ring, size_t index, struct err *e)
{
	const struct keyring_key *key = &ring->keys[index];
	const struct place at = {"keys", index};

	for (size_t i = 0; i < index; i++) {
		if (strcmp(ring->keys[i].kid, key->kid) == 0)
			return bad(at, "kid", e, "is that of keys[%zu] too", i);
		if (memcmp(ring->keys[i].public.number, key->public.number, KEYS_NUMBER_SIZE) == 0)
			return bad(at, "key_number", e, "is that of keys[%zu] too", i);
	}
	return 0;
}

static int
read_keys(struct keyring *ring, struct err *e)
{
	json_t *array;
	size_t n;
	int rc;

	if ((rc = need_array(ring->document, "keys", KEYRING_KEYS_MAX, &array, e)) != 0)
		return rc;
	n = json_array_size(array);
	if ((ring->keys = calloc(n + 1, sizeof(*ring->keys))) == NULL)
		return err_set(e, ERR_NOMEM, "a keyring of %zu keys", n);
	for (; ring->key_count < n; ring->key_count++) {
		const struct place at = {"keys", ring->key_count};
		struct keyring_key *key = &ring->keys[ring->key_count];

		if ((rc = read_key(json_array_get(array, at.index), at, key, e)) != 0 ||
		    (rc = check_distinct(ring, at.index, e)) != 0) {
			policy_free(key->grant);
			return rc;
		}
		key->revoked = keyring_kid_revoked(ring, key->kid);
	}
	return 0;
}

static int
compare_kids(const void *a, const void *b)
{
	return memcmp(a, b, KEYS_KID_TEXT);
}

static int
compare_digests(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct digest));
}

static int
read_revoked_keys(struct keyring *ring, struct err *e)
{
	json_t *array;
	size_t n;
	int rc;

	if ((rc = need_array(ring->document, "revoked_keys", KEYRING_REVOKED_MAX, &array, e)) != 0)
		return rc;
	n = json_array_size(array);
	if ((ring->revoked_keys = calloc(n + 1, sizeof(*ring->revoked_keys))) == NULL)
		return err_set(e, ERR_NOMEM, "a keyring of %zu revoked keys", n);
	for (size_t i = 0; i < n; i++) {
		json_t *kid = json_array_get(array, i);

		if (!json_is_string(kid) ||
		    !is_lower_hex(json_string_value(kid), json_string_length(kid), KEYS_KID_TEXT - 1))
			return bad((struct place){"revoked_keys", i}, "", e, "must be a key id: 24 lower-case hexadecimal digits");
		memcpy(ring->revoked_keys[i], json_string_value(kid), KEYS_KID_TEXT);
	}
	ring->revoked_key_count = n;
	qsort(ring->revoked_keys, n, sizeof(*ring->revoked_keys), compare_kids);
	return 0;
}

static int
read_revoked_modules(struct keyring *ring, struct err *e)
{
	json_t *array;
	struct err why;
	size_t n;
	int rc;

	if ((rc = need_array(ring->document, "revoked_modules", KEYRING_REVOKED_MAX, &array, e)) != 0)
		return rc;
	n = json_array_size(array);
	if ((ring->revoked_modules = calloc(n + 1, sizeof(*ring->revoked_modules))) == NULL)
		return err_set(e, ERR_NOMEM, "a keyring of %zu revoked modules", n);
	for (size_t i = 0; i < n; i++) {
		json_t *text = json_array_get(array, i);
		const struct place at = {"revoked_modules", i};

		if (!json_is_string(text))
			return bad(at, "", e, "must be a string");
		if (digest_parse(json_string_value(text), json_string_length(text), &ring->revoked_modules[i], &why) != 0)
			return bad(at, "", e, "%s", why.msg);
	}
	ring->revoked_module_count = n;
	qsort(ring->revoked_modules, n, sizeof(*ring->revoked_modules), compare_digests);
	return 0;
}

static int
read_document(struct keyring *ring, struct err *e)
{
	static const char *const known[] = {"version", "expires", "keys", "revoked_keys", "revoked_modules", NULL};
	const struct place top = {NULL, 0};
	json_t *version;
	int rc;

	if (!json_is_object(ring->document))
		return err_set(e, ERR_INVAL, "keyring: must be a JSON object");
	if ((rc = check_fields(ring->document, known, top, e)) != 0)
		return rc;
	version = json_object_get(ring->document, "version");
	if (!json_is_integer(version) || json_integer_value(version) < 1)
		return bad(top, "version", e, version == NULL ? "missing" : "must be a whole number from 1 on");
	ring->version = (uint64_t)json_integer_value(version);
	if ((rc = need_time(ring->document, "expires", top, &ring->expires, e)) != 0 ||
	    (rc = read_revoked_keys(ring, e)) != 0 ||
	    (rc = read_revoked_modules(ring, e)) != 0)
		return rc;
	return read_keys(ring, e);
}

int
keyring_parse(json_t *document, struct keyring **out, struct err *e)
{
	struct keyring *ring = calloc(1, sizeof(*ring));
	int rc;

	if (ring == NULL)
		return err_set(e, ERR_NOMEM, "a keyring");
	ring->document = json_incref(document);
	rc = read_document(ring, e);
	json_decref(ring->document);
	ring->document = NULL;
	if (rc != 0)
		keyring_free(ring);
	else
		*out = ring;
	return rc;
}

void
keyring_free(struct keyring *ring)
{
	if (ring == NULL)
		return;
	for (size_t i = 0; i < ring->key_count; i++)
		policy_free(ring->keys[i].grant);
	free(ring->revoked_modules);
	free(ring->revoked_keys);
	free(ring->keys);
	free(ring);
}

static int
verify(const uint8_t *json, size_t length, const char *signature, size_t signature_length,
    const struct keys_public *root, struct err *e)
{
	struct minisign sig;
	int rc;

	if (length > KEYRING_SIZE_MAX)
		return err_set(e, ERR_INVAL, "a keyring of %zu bytes, more than %d", length, KEYRING_SIZE_MAX);
	if ((rc = minisign_parse(signature, signature_length, &sig, e)) != 0 ||
	    (rc = minisign_verify(&sig, root, json, length, e)) != 0)
		err_context(e, "the keyring's signature by the root key");
	return rc;
}

/* Reads a document whose signature is good. */
static int
load(const uint8_t *json, size_t length, int64_t now, uint64_t min_version, struct keyring **out, struct err *e)
{
	struct keyring *ring = NULL;
	json_error_t why;
	json_t *document;
	int rc;

	document = json_loadb((const char *)json, length, JSON_REJECT_DUPLICATES, &why);
	if (document == NULL)
		return err_set(e, ERR_INVAL, "keyring: line %d: %s", why.line, policy_json_why(&why));
	if ((rc = keyring_parse(document, &ring, e)) != 0)
		goto out;
	if (ring->version < min_version)
		rc = err_set(e, ERR_DENIED, "keyring: version %ju is older than %ju, which was seen before: put the newer one "
		    "back, or sign one with a higher version", (uintmax_t)ring->version, (uintmax_t)min_version);
	else
		rc = keyring_current(ring, now, e);
	if (rc != 0)
		keyring_free(ring);
	else
		*out = ring;
out:
	json_decref(document);
	return rc;
}

int
keyring_load(const char *json, size_t length, const char *signature, size_t signature_length,
    const struct keys_public *root, int64_t now, uint64_t min_version, struct keyring **out, struct err *e)
{
	const uint8_t *bytes = (const uint8_t *)json;
	int rc;

	if ((rc = verify(bytes, length, signature, signature_length, root, e)) != 0)
		return rc;
	return load(bytes, length, now, min_version, out, e);
}

/* Verifies bytes by the signature file PATH<suffix>. */
static int
verify_by_file(const char *path, const char *suffix, const uint8_t *json, size_t length,
    const struct keys_public *root, struct err *e)
{
	uint8_t *signature = NULL;
	size_t signature_length;
	char *name = NULL;
	int rc;

	if (asprintf(&name, "%s%s", path, suffix) < 0)
		return err_set(e, ERR_NOMEM, "a path");
	if ((rc = io_read_file(name, MINISIGN_SIZE_MAX, &signature, &signature_length, e)) != 0)
		goto out;
	if ((rc = verify(json, length, (char *)signature, signature_length, root, e)) != 0)
		err_context(e, "%s", name);
	free(signature);
out:
	free(name);
	return rc;
}

int
keyring_read_file(const char *path, const struct keys_public *root, uint8_t **json, size_t *length,
    struct err *e)
{
	uint8_t *data;
	size_t n;
	int rc;

	/* A try can fail because it met a replacement on its way; ten in a row did not. */
	for (int try = 0; try < 10; try++) {
		if ((rc = io_read_file(path, KEYRING_SIZE_MAX, &data, &n, e)) != 0)
			return rc;
		if ((rc = verify_by_file(path, ".minisig", data, n, root, e)) == 0 ||
		    verify_by_file(path, ".minisig.next", data, n, root, NULL) == 0) {
			*json = data;
			*length = n;
			return 0;
		}
		free(data);
	}
	return rc;
}

int
keyring_load_file(const char *path, const struct keys_public *root, int64_t now, uint64_t min_version,
    struct keyring **out, struct err *e)
{
	uint8_t *json;
	size_t length;
	int rc;

	if ((rc = keyring_read_file(path, root, &json, &length, e)) != 0)
		return rc;
	if ((rc = load(json, length, now, min_version, out, e)) != 0)
		err_context(e, "%s", path);
	free(json);
	return rc;
}

int
keyring_empty(struct keyring **out, struct err *e)
{
	struct keyring *ring = calloc(1, sizeof(*ring));

	if (ring == NULL)
		return err_set(e, ERR_NOMEM, "a keyring");
	ring->expires = INT64_MAX;
	*out = ring;
	return 0;
}

int
keyring_of_key(const struct keys_public *key, struct keyring **out, struct err *e)
{
	struct keyring *ring = calloc(1, sizeof(*ring));

	if (ring == NULL || (ring->keys = calloc(1, sizeof(*ring->keys))) == NULL) {
		free(ring);
		return err_set(e, ERR_NOMEM, "a keyring");
	}
	ring->version = 1;
	ring->expires = INT64_MAX;
	ring->key_count = 1;
	keys_kid_text(key->key, ring->keys->kid);
	ring->keys->public = *key;
	ring->keys->valid_from = INT64_MIN;
	ring->keys->valid_to = INT64_MAX;
	*out = ring;
	return 0;
}

uint64_t
keyring_version(const struct keyring *ring)
{
	return ring->version;
}

int64_t
keyring_expires(const struct keyring *ring)
{
	return ring->expires;
}

size_t
keyring_count(const struct keyring *ring)
{
	return ring->key_count;
}

const struct keyring_key *
keyring_at(const struct keyring *ring, size_t index)
{
	return index < ring->key_count ? &ring->keys[index] : NULL;
}

const struct keyring_key *
keyring_find_kid(const struct keyring *ring, const char *kid)
{
	for (size_t i = 0; i < ring->key_count; i++)
		if (strcmp(ring->keys[i].kid, kid) == 0)
			return &ring->keys[i];
	return NULL;
}

const struct keyring_key *
keyring_find_number(const struct keyring *ring, const uint8_t number[KEYS_NUMBER_SIZE])
{
	for (size_t i = 0; i < ring->key_count; i++)
		if (memcmp(ring->keys[i].public.number, number, KEYS_NUMBER_SIZE) == 0)
			return &ring->keys[i];
	return NULL;
}

bool
keyring_kid_revoked(const struct keyring *ring, const char *kid)
{
	char key[KEYS_KID_TEXT] = "";

	if (ring->revoked_key_count == 0 || strlen(kid) != sizeof(key) - 1)
		return false;
	memcpy(key, kid, sizeof(key));
	return bsearch(key, ring->revoked_keys, ring->revoked_key_count, sizeof(key), compare_kids) != NULL;
}

bool
keyring_module_revoked(const struct keyring *ring, const struct digest *digest)
{
	return ring->revoked_module_count != 0 && bsearch(digest, ring->revoked_modules, ring->revoked_module_count,
	    sizeof(*digest), compare_digests) != NULL;
}

int
keyring_current(const struct keyring *ring, int64_t now, struct err *e)
{
	char text[UTC_TEXT_SIZE];

	if (now < ring->expires)
		return 0;
	return err_set(e, ERR_EXPIRED, "the keyring expired at %s: `brig keys expire --keyring-expires TIME` with the root's "
	    "secret key gives it a new date", utc_text(ring->expires, text));
}

int
keyring_key_usable(const struct keyring_key *key, int64_t now, struct err *e)
{
	char text[UTC_TEXT_SIZE];

	if (key->revoked)
		return err_set(e, ERR_REVOKED, "the key %s (%s) is revoked", key->kid, key->name);
	if (now < key->valid_from)
		return err_set(e, ERR_EXPIRED, "the key %s (%s) does not count before %s", key->kid, key->name,
		    utc_text(key->valid_from, text));
	if (now >= key->valid_to)
		return err_set(e, ERR_EXPIRED, "the key %s (%s) expired at %s", key->kid, key->name,
		    utc_text(key->valid_to, text));
	return 0;
}

bool
keyring_key_owner_allows(const struct keyring_key *key, uint32_t uid, const char *name)
{
	if (key->owner == KEYRING_OWNER_UID)
		return key->owner_uid == uid;
	if (key->owner == KEYRING_OWNER_NAME)
		return name != NULL && strcmp(key->owner_name, name) == 0;
	return true;
}

int
keyring_key_check_owner(const struct keyring_key *key, uint32_t uid, struct err *e)
{
	struct passwd pw, *found = NULL;
	const char *name = NULL;
	char buffer[4096];

	if (key->owner == KEYRING_OWNER_NAME && getpwuid_r(uid, &pw, buffer, sizeof(buffer), &found) == 0 && found != NULL)
		name = found->pw_name;
	if (keyring_key_owner_allows(key, uid, name))
		return 0;
	return err_set(e, ERR_NOTFOUND, "key %s signs for another owner than user %u", key->kid, (unsigned)uid);
}
