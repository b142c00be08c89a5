/* Unit tests of broker/keyring, broker/keyring_edit and broker/keys_private. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "broker/keyring.h"
#include "broker/keyring_edit.h"
#include "policy/policy.h"
#include "broker/keys.h"
#include "broker/keys_private.h"
#include "broker/minisign.h"

#define NOW     INT64_C(1800000000) /* 2027-01-15T08:00:00Z */
#define EXPIRES INT64_C(1810000000)

struct fixture {
	struct keys_secret root, first, second;
	struct keys_public root_public, first_public, second_public;
	char first_kid[KEYS_KID_TEXT], second_kid[KEYS_KID_TEXT];
	char directory[64], path[80];
};

static void
make_pair(struct keys_secret *secret, struct keys_public *public)
{
	assert_int_equal(keys_generate(secret, NULL), 0);
	*public = keys_public_of(secret);
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	make_pair(&f->root, &f->root_public);
	make_pair(&f->first, &f->first_public);
	make_pair(&f->second, &f->second_public);
	keys_kid_text(f->first_public.key, f->first_kid);
	keys_kid_text(f->second_public.key, f->second_kid);
	strcpy(f->directory, "/tmp/brig-keyring.XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->path, sizeof(f->path), "%s/keyring.json", f->directory);
	*state = f;
	return 0;
}

static void
remove_file(const struct fixture *f, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", f->directory, name);
	unlink(path);
}

static int
tear_down(void **state)
{
	static const char *const names[] = {"keyring.json", "keyring.json.minisig", "keyring.json.minisig.next", "root.key",
	    "root.pub", "user.key", "user.pub"};
	struct fixture *f = *state;
	int rc;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		remove_file(f, names[i]);
	rc = rmdir(f->directory); /* fails when a temporary file was left behind */
	keys_forget(&f->root);
	free(f);
	return rc;
}

/* A document with both keys in it, version 1. */
static json_t *
document(const struct fixture *f)
{
	json_t *d = keyring_edit_new(EXPIRES), *grant = json_pack("{s:i, s:{s:i}}", "version", 1, "limits", "wall_ms", 5);

	json_object_set_new(d, "version", json_integer(1));
	assert_int_equal(keyring_edit_add(d, &f->first_public, "first", NOW - 10, NOW + 10, NULL, NULL, false, NULL), 0);
	assert_int_equal(keyring_edit_add(d, &f->second_public, "second", NOW - 10, NOW + 20, "1000", grant, false, NULL), 0);
	json_decref(grant);
	return d;
}

/* Signs a text with `key` and loads it against the root's public key. */
static int
load_text(const struct fixture *f, const char *text, const struct keys_secret *key, int64_t now, uint64_t min_version,
    struct keyring **ring, struct err *e)
{
	char *signature;
	int rc;

	assert_int_equal(minisign_sign(key, text, strlen(text), "test", &signature, NULL), 0);
	rc = keyring_load(text, strlen(text), signature, strlen(signature), &f->root_public, now, min_version, ring, e);
	free(signature);
	return rc;
}

static struct keyring *
load_document(const struct fixture *f, json_t *d)
{
	char *text = json_dumps(d, 0);
	struct keyring *ring;
	struct err e = {0};

	if (load_text(f, text, &f->root, NOW, 0, &ring, &e) != 0)
		fail_msg("%s", e.msg);
	free(text);
	json_decref(d);
	return ring;
}

/* Takes the document; it must be refused as malformed, with the message naming the place. */
static void
refused(const struct fixture *f, json_t *d, const char *message)
{
	char *text = json_dumps(d, JSON_ENCODE_ANY);
	struct keyring *ring = (struct keyring *)0x1;
	struct err e = {0};

	assert_int_equal(load_text(f, text, &f->root, NOW, 0, &ring, &e), ERR_INVAL);
	assert_ptr_equal(ring, 0x1);
	if (strstr(e.msg, message) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", message, e.msg);
	free(text);
	json_decref(d);
}

/* The document with one field of one key changed; value NULL removes it. */
static json_t *
with_key_field(const struct fixture *f, size_t index, const char *field, json_t *value)
{
	json_t *d = document(f), *entry = json_array_get(json_object_get(d, "keys"), index);

	if (value == NULL)
		json_object_del(entry, field);
	else
		json_object_set_new(entry, field, value);
	return d;
}

static json_t *
with_field(const struct fixture *f, const char *field, json_t *value)
{
	json_t *d = document(f);

	if (value == NULL)
		json_object_del(d, field);
	else
		json_object_set_new(d, field, value);
	return d;
}

static void
loads_what_the_root_signed(void **state)
{
	const struct fixture *f = *state;
	struct keyring *ring = load_document(f, document(f));
	const struct keyring_key *key;

	assert_int_equal(keyring_version(ring), 1);
	assert_int_equal(keyring_expires(ring), EXPIRES);
	assert_int_equal(keyring_count(ring), 2);
	assert_null(keyring_at(ring, 2));
	key = keyring_find_kid(ring, f->first_kid);
	assert_non_null(key);
	assert_memory_equal(&key->public, &f->first_public, sizeof(key->public));
	assert_string_equal(key->name, "first");
	assert_null(key->grant);
	key = keyring_find_number(ring, f->second_public.number);
	assert_non_null(key);
	assert_string_equal(key->kid, f->second_kid);
	assert_int_equal(key->grant->limits[POLICY_LIMIT_wall_ms], 5);
	assert_null(keyring_find_kid(ring, "000000000000000000000000"));
	keyring_free(ring);
	keyring_free(NULL);
}

static void
refuses_a_signature_that_is_not_the_roots(void **state)
{
	const struct fixture *f = *state;
	struct keys_secret pretender = f->first;
	struct keyring *ring = NULL;
	struct err e = {0};
	json_t *d = document(f);
	char *text = json_dumps(d, 0), *signature;

	assert_int_equal(load_text(f, text, &f->first, NOW, 0, &ring, &e), ERR_SIGNATURE);
	memcpy(pretender.number, f->root.number, sizeof(pretender.number));
	assert_int_equal(load_text(f, text, &pretender, NOW, 0, &ring, &e), ERR_SIGNATURE);
	assert_int_equal(minisign_sign(&f->root, text, strlen(text), "test", &signature, NULL), 0);
	*strstr(text, "first") = 'F';
	assert_int_equal(keyring_load(text, strlen(text), signature, strlen(signature), &f->root_public, NOW, 0, &ring, &e),
	    ERR_SIGNATURE);
	assert_non_null(strstr(e.msg, "keyring's signature"));
	assert_null(ring);
	free(signature);
	free(text);
	json_decref(d);
}

static void
refuses_an_expired_keyring(void **state)
{
	const struct fixture *f = *state;
	struct keyring *ring = load_document(f, document(f));
	json_t *d = document(f);
	char *text = json_dumps(d, 0);
	struct err e = {0};

	assert_int_equal(keyring_current(ring, EXPIRES - 1, &e), 0);
	assert_int_equal(keyring_current(ring, EXPIRES, &e), ERR_EXPIRED); /* it ran out while it was loaded */
	keyring_free(ring);
	assert_int_equal(load_text(f, text, &f->root, EXPIRES, 0, &ring, &e), ERR_EXPIRED);
	assert_non_null(strstr(e.msg, "2027-05-11T01:46:40Z"));
	assert_int_equal(load_text(f, text, &f->root, EXPIRES - 1, 0, &ring, &e), 0);
	keyring_free(ring);
	free(text);
	json_decref(d);
}

static void
refuses_a_version_below_the_highest_seen(void **state)
{
	const struct fixture *f = *state;
	json_t *d = with_field(f, "version", json_integer(7));
	char *text = json_dumps(d, 0);
	struct keyring *ring;
	struct err e = {0};

	assert_int_equal(load_text(f, text, &f->root, NOW, 8, &ring, &e), ERR_DENIED);
	assert_non_null(strstr(e.msg, "version 7 is older than 8"));
	assert_int_equal(load_text(f, text, &f->root, NOW, 7, &ring, &e), 0);
	keyring_free(ring);
	free(text);
	json_decref(d);
}

static void
keys_count_from_their_first_second_to_their_last(void **state)
{
	const struct fixture *f = *state;
	struct keyring *ring = load_document(f, document(f));
	const struct keyring_key *key = keyring_find_kid(ring, f->first_kid);
	struct err e = {0};

	assert_int_equal(keyring_key_usable(key, NOW - 11, &e), ERR_EXPIRED);
	assert_non_null(strstr(e.msg, "does not count before"));
	assert_int_equal(keyring_key_usable(key, NOW - 10, &e), 0);
	assert_int_equal(keyring_key_usable(key, NOW + 9, &e), 0);
	assert_int_equal(keyring_key_usable(key, NOW + 10, &e), ERR_EXPIRED);
	assert_non_null(strstr(e.msg, "expired at"));
	keyring_free(ring);
}

static void
revoked_keys_and_modules_are_found(void **state)
{
	const struct fixture *f = *state;
	static const char absent[] = "0123456789abcdef01234567";
	struct digest one = digest_of("one", 3), two = digest_of("two", 3), three = digest_of("three", 5);
	char text[DIGEST_TEXT_SIZE], other[DIGEST_TEXT_SIZE];
	json_t *d = with_field(f, "revoked_keys", json_pack("[s, s]", f->first_kid, absent));
	struct keyring *ring;
	struct err e = {0};

	json_object_set_new(d, "revoked_modules", json_pack("[s, s]", digest_text(&one, text), digest_text(&two, other)));
	ring = load_document(f, d);
	assert_true(keyring_kid_revoked(ring, f->first_kid));
	assert_true(keyring_kid_revoked(ring, absent)); /* revoked without being a key of the keyring */
	assert_false(keyring_kid_revoked(ring, f->second_kid));
	assert_false(keyring_kid_revoked(ring, ""));
	assert_int_equal(keyring_key_usable(keyring_find_kid(ring, f->first_kid), NOW, &e), ERR_REVOKED);
	assert_int_equal(keyring_key_usable(keyring_find_kid(ring, f->second_kid), NOW, &e), 0);
	assert_true(keyring_module_revoked(ring, &one));
	assert_true(keyring_module_revoked(ring, &two));
	assert_false(keyring_module_revoked(ring, &three));
	keyring_free(ring);
}

static void
owners_are_anyone_a_uid_or_a_name(void **state)
{
	const struct fixture *f = *state;
	struct keyring *ring = load_document(f, with_key_field(f, 0, "owner", json_string("alice")));
	const struct keyring_key *named = keyring_at(ring, 0), *numbered = keyring_at(ring, 1);

	assert_true(keyring_key_owner_allows(named, 5, "alice"));
	assert_false(keyring_key_owner_allows(named, 5, "bob"));
	assert_false(keyring_key_owner_allows(named, 5, NULL));
	assert_true(keyring_key_owner_allows(numbered, 1000, NULL));
	assert_false(keyring_key_owner_allows(numbered, 1001, "1000"));
	keyring_free(ring);
	ring = load_document(f, document(f));
	assert_true(keyring_key_owner_allows(keyring_at(ring, 0), 12345, NULL));
	keyring_free(ring);
}

static void
refuses_unknown_fields_with_their_path(void **state)
{
	const struct fixture *f = *state;

	refused(f, with_field(f, "revoked", json_array()), "keyring: revoked: no such field");
	refused(f, with_key_field(f, 1, "expires", json_string("x")), "keyring: keys[1].expires: no such field");
}

static void
refuses_missing_fields_and_wrong_types(void **state)
{
	static const char *const fields[] = {"version", "expires", "keys", "revoked_keys", "revoked_modules"};
	static const char *const key_fields[] = {"kid", "key_number", "public_key", "name", "valid_from", "valid_to"};
	const struct fixture *f = *state;
	char message[64];

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		snprintf(message, sizeof(message), "keyring: %s: missing", fields[i]);
		refused(f, with_field(f, fields[i], NULL), message);
		snprintf(message, sizeof(message), "keyring: %s: must be", fields[i]);
		refused(f, with_field(f, fields[i], json_true()), message);
	}
	for (size_t i = 0; i < sizeof(key_fields) / sizeof(key_fields[0]); i++) {
		snprintf(message, sizeof(message), "keyring: keys[1].%s: missing", key_fields[i]);
		refused(f, with_key_field(f, 1, key_fields[i], NULL), message);
		snprintf(message, sizeof(message), "keyring: keys[1].%s: must be", key_fields[i]);
		refused(f, with_key_field(f, 1, key_fields[i], json_integer(1)), message);
	}
	refused(f, json_array(), "must be a JSON object");
	refused(f, with_field(f, "keys", json_pack("[i]", 1)), "keyring: keys[0]: must be an object");
	refused(f, with_key_field(f, 0, "grant", json_string("all")), "keys[0].grant: must be a policy object");
	refused(f, with_key_field(f, 0, "grant", json_pack("{s:i, s:{s:i}}", "version", 1, "limits", "wall_sm", 5)),
	    "keys[0].grant: $.limits.wall_sm is not known; did you mean \"wall_ms\"?");
	refused(f, with_key_field(f, 0, "owner", json_integer(-1)), "keys[0].owner: must be");
	refused(f, with_key_field(f, 0, "owner", json_integer(4294967295)), "keys[0].owner: must be");
	refused(f, with_key_field(f, 0, "owner", json_true()), "keys[0].owner: must be");
}

static void
refuses_values_out_of_range(void **state)
{
	const struct fixture *f = *state;

	refused(f, with_field(f, "version", json_integer(0)), "version: must be a whole number");
	refused(f, with_field(f, "version", json_real(1.5)), "version: must be a whole number");
	refused(f, with_field(f, "expires", json_string("tomorrow")), "expires: not a time");
	refused(f, with_key_field(f, 0, "valid_from", json_string("2027-01-15T08:00:11Z")), "must not be earlier");
	refused(f, with_key_field(f, 0, "name", json_string("")), "keys[0].name: must have 1 to 128 bytes");
	refused(f, with_key_field(f, 0, "name", json_string("a\x1b[2J")), "keys[0].name: has a control character");
	refused(f, with_key_field(f, 0, "key_number", json_string("ABCDEF0123456789")), "keys[0].key_number: must be 16");
	refused(f, with_key_field(f, 0, "public_key", json_string("AAAA")), "keys[0].public_key: not an Ed25519");
	refused(f, with_field(f, "revoked_keys", json_pack("[s]", "12")), "revoked_keys[0]: must be a key id");
	refused(f, with_field(f, "revoked_modules", json_pack("[s]", "sha256:12")), "revoked_modules[0]: not a digest");
}

static void
refuses_a_kid_that_is_not_its_keys(void **state)
{
	const struct fixture *f = *state;

	refused(f, with_key_field(f, 0, "kid", json_string(f->second_kid)), "keys[0].kid: is not the key id of public_key");
}

static void
refuses_duplicate_keys_and_numbers(void **state)
{
	const struct fixture *f = *state;
	json_t *d = document(f), *keys = json_object_get(d, "keys");
	char number[KEYS_NUMBER_TEXT];

	json_array_append(keys, json_array_get(keys, 0));
	refused(f, d, "keys[2].kid: is that of keys[0] too");
	keys_number_text(f->first_public.number, number);
	refused(f, with_key_field(f, 1, "key_number", json_string(number)), "keys[1].key_number: is that of keys[0] too");
}

static void
refuses_json_with_a_field_twice_or_bytes_behind_it(void **state)
{
	const struct fixture *f = *state;
	struct keyring *ring;
	json_t *d = document(f);
	char *text = json_dumps(d, 0), *twice, *more;

	assert_true(asprintf(&twice, "{\"version\":9,%s", text + 1) > 0);
	assert_true(asprintf(&more, "%s {}", text) > 0);
	assert_int_equal(load_text(f, twice, &f->root, NOW, 0, &ring, NULL), ERR_INVAL);
	assert_int_equal(load_text(f, more, &f->root, NOW, 0, &ring, NULL), ERR_INVAL);
	assert_int_equal(load_text(f, "", &f->root, NOW, 0, &ring, NULL), ERR_INVAL);
	free(twice);
	free(more);
	free(text);
	json_decref(d);
}

/* The document with `count` entries in the list `field`: numbers in so many hexadecimal digits, behind `prefix`. */
static json_t *
with_many(const struct fixture *f, const char *field, size_t count, const char *prefix, int digits)
{
	json_t *d = document(f), *list = json_array();
	char text[DIGEST_TEXT_SIZE];

	for (size_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "%s%0*zx", prefix, digits, i);
		json_array_append_new(list, json_string(text));
	}
	json_object_set_new(d, field, list);
	return d;
}

/* A key for each number, without having to make it: small multiples of the base point. */
static json_t *
with_many_keys(const struct fixture *f, size_t count)
{
	json_t *d = with_field(f, "keys", json_array());
	uint8_t scalar[crypto_core_ed25519_SCALARBYTES] = {0};

	for (size_t i = 0; i < count; i++) {
		struct keys_public key;

		scalar[0] = (uint8_t)(i + 1);
		scalar[1] = (uint8_t)((i + 1) >> 8);
		assert_int_equal(crypto_scalarmult_ed25519_base_noclamp(key.key, scalar), 0);
		memcpy(key.number, scalar, sizeof(key.number));
		assert_int_equal(keyring_edit_add(d, &key, "many", NOW - 10, NOW + 10, NULL, NULL, false, NULL), 0);
	}
	return d;
}

static void
takes_the_most_keys_and_revocations_and_no_more(void **state)
{
	const struct fixture *f = *state;
	struct keyring *ring;
	struct digest last = {{0}};

	ring = load_document(f, with_many(f, "revoked_keys", KEYRING_REVOKED_MAX, "", 24));
	assert_true(keyring_kid_revoked(ring, "00000000000000000000ffff"));
	assert_false(keyring_kid_revoked(ring, "000000000000000000010000"));
	keyring_free(ring);
	ring = load_document(f, with_many(f, "revoked_modules", KEYRING_REVOKED_MAX, "sha256:", 64));
	last.bytes[30] = last.bytes[31] = 0xff;
	assert_true(keyring_module_revoked(ring, &last));
	keyring_free(ring);
	ring = load_document(f, with_many_keys(f, KEYRING_KEYS_MAX));
	assert_int_equal(keyring_count(ring), KEYRING_KEYS_MAX);
	keyring_free(ring);
	refused(f, with_many(f, "revoked_keys", KEYRING_REVOKED_MAX + 1, "", 24),
	    "revoked_keys: 65537 entries, at most 65536");
	refused(f, with_many(f, "revoked_modules", KEYRING_REVOKED_MAX + 1, "sha256:", 64),
	    "revoked_modules: 65537 entries, at most");
	refused(f, with_many_keys(f, KEYRING_KEYS_MAX + 1), "keys: 1025 entries, at most 1024");
}

/* Texts of the largest size: nested without end, nothing but spaces, and one byte too long. */
static void
refuses_a_huge_keyring(void **state)
{
	const struct fixture *f = *state;
	char *text = malloc(KEYRING_SIZE_MAX + 2);
	struct keyring *ring;
	struct err e = {0};

	memset(text, '[', KEYRING_SIZE_MAX + 1);
	text[KEYRING_SIZE_MAX] = '\0';
	assert_int_equal(load_text(f, text, &f->root, NOW, 0, &ring, &e), ERR_INVAL);
	assert_non_null(strstr(e.msg, "maximum parsing depth reached"));
	memset(text, ' ', KEYRING_SIZE_MAX);
	assert_int_equal(load_text(f, text, &f->root, NOW, 0, &ring, &e), ERR_INVAL);
	text[KEYRING_SIZE_MAX] = ' ';
	text[KEYRING_SIZE_MAX + 1] = '\0';
	assert_int_equal(load_text(f, text, &f->root, NOW, 0, &ring, &e), ERR_INVAL);
	assert_non_null(strstr(e.msg, "a keyring of 8388609 bytes, more than 8388608"));
	assert_int_equal(io_replace_file(f->path, text, KEYRING_SIZE_MAX + 1, 0600, NULL), 0);
	assert_int_equal(keyring_load_file(f->path, &f->root_public, NOW, 0, &ring, &e), ERR_LIMIT);
	free(text);
}

static void
a_clock_set_back_loads_no_older_keyring(void **state)
{
	const struct fixture *f = *state;
	json_t *d = with_field(f, "version", json_integer(7));
	char *text = json_dumps(d, 0);
	struct keyring *ring;

	assert_int_equal(load_text(f, text, &f->root, EXPIRES - 1, 8, &ring, NULL), ERR_DENIED);
	assert_int_equal(load_text(f, text, &f->root, 0, 8, &ring, NULL), ERR_DENIED);
	assert_int_equal(load_text(f, text, &f->root, INT64_MIN, 8, &ring, NULL), ERR_DENIED);
	assert_int_equal(load_text(f, text, &f->root, 0, 7, &ring, NULL), 0);
	for (size_t i = 0; i < keyring_count(ring); i++)
		assert_int_equal(keyring_key_usable(keyring_at(ring, i), 0, NULL), ERR_EXPIRED);
	keyring_free(ring);
	free(text);
	json_decref(d);
}

static void
adding_a_key_twice_is_refused(void **state)
{
	const struct fixture *f = *state;
	struct keys_public other = f->first_public;
	json_t *d = document(f);
	struct err e = {0};

	assert_int_equal(keyring_edit_add(d, &f->first_public, "again", 0, 1, NULL, NULL, false, &e), ERR_EXISTS);
	memcpy(other.key, f->root_public.key, sizeof(other.key));
	assert_int_equal(keyring_edit_add(d, &other, "same number", 0, 1, NULL, NULL, false, &e), ERR_EXISTS);
	json_decref(d);
}

static void
sealing_raises_the_version_and_can_be_read_back(void **state)
{
	const struct fixture *f = *state;
	json_t *d = document(f), *again;
	struct keyring *ring;

	assert_int_equal(keyring_edit_seal(f->path, d, &f->root, NULL), 0);
	assert_int_equal(keyring_edit_read(f->path, &f->root_public, &again, NULL), 0);
	assert_true(json_equal(d, again));
	assert_int_equal(keyring_edit_seal(f->path, again, &f->root, NULL), 0);
	assert_int_equal(keyring_load_file(f->path, &f->root_public, NOW, 3, &ring, NULL), 0);
	assert_int_equal(keyring_version(ring), 3);
	keyring_free(ring);
	json_decref(again);
	json_decref(d);
}

static void
sealing_refuses_what_loading_would(void **state)
{
	const struct fixture *f = *state;
	json_t *d = with_field(f, "more", json_true());
	struct err e = {0};

	assert_int_equal(keyring_edit_seal(f->path, d, &f->root, &e), ERR_INVAL);
	assert_int_equal(access(f->path, F_OK), -1);
	json_decref(d);
}

static void
a_replacement_cut_short_leaves_a_keyring_that_loads(void **state)
{
	const struct fixture *f = *state;
	char now[128], next[128];
	uint8_t *old, *new;
	size_t old_length, new_length;
	json_t *d = document(f);
	struct keyring *ring;

	snprintf(now, sizeof(now), "%s.minisig", f->path);
	snprintf(next, sizeof(next), "%s.minisig.next", f->path);
	assert_int_equal(keyring_edit_seal(f->path, d, &f->root, NULL), 0);
	assert_int_equal(io_read_file(now, 10000, &old, &old_length, NULL), 0);
	assert_int_equal(keyring_edit_seal(f->path, d, &f->root, NULL), 0);
	assert_int_equal(io_read_file(now, 10000, &new, &new_length, NULL), 0);
	/* As it is between the second step and the third: new document, old signature, new signature waiting. */
	assert_int_equal(io_replace_file(now, old, old_length, 0644, NULL), 0);
	assert_int_equal(keyring_load_file(f->path, &f->root_public, NOW, 0, &ring, NULL), ERR_SIGNATURE);
	assert_int_equal(io_replace_file(next, new, new_length, 0644, NULL), 0);
	assert_int_equal(keyring_load_file(f->path, &f->root_public, NOW, 0, &ring, NULL), 0);
	assert_int_equal(keyring_version(ring), 3);
	keyring_free(ring);
	free(old);
	free(new);
	json_decref(d);
}

/* A thread that replaces the keyring as fast as it can, some hundred times. */
static void *
replace_often(void *arg)
{
	const struct fixture *f = arg;
	json_t *d = document(f);
	intptr_t failed = 0;

	for (int i = 0; i < 100; i++)
		failed += keyring_edit_seal(f->path, d, &f->root, NULL) != 0;
	json_decref(d);
	return (void *)failed;
}

static void
a_reader_never_sees_a_half_replaced_keyring(void **state)
{
	struct fixture *f = *state;
	json_t *d = document(f);
	pthread_t thread;
	uint64_t seen = 0;
	void *failed;

	assert_int_equal(keyring_edit_seal(f->path, d, &f->root, NULL), 0);
	json_decref(d);
	assert_int_equal(pthread_create(&thread, NULL, replace_often, f), 0);
	while (seen < 101) {
		struct keyring *ring;
		struct err e = {0};

		if (keyring_load_file(f->path, &f->root_public, NOW, seen, &ring, &e) != 0)
			fail_msg("%s", e.msg);
		seen = keyring_version(ring);
		keyring_free(ring);
	}
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
}

static void
private_keys_are_made_once_and_kept(void **state)
{
	const struct fixture *f = *state;
	struct keys_private p, again;
	struct keys_secret before, after;
	struct keys_public root, user;
	struct keyring *ring;
	struct stat st;

	assert_int_equal(keys_ensure_private(f->directory, &p, NULL), 0);
	assert_int_equal(keys_read_secret(p.user_secret, NULL, &before, NULL), 0);
	assert_int_equal(stat(p.user_secret, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(keys_read_public(p.root_public, &root, NULL), 0);
	assert_int_equal(keys_read_public(p.user_public, &user, NULL), 0);
	assert_int_equal(keyring_load_file(p.keyring, &root, time(NULL), 1, &ring, NULL), 0);
	assert_int_equal(keyring_count(ring), 1);
	assert_memory_equal(&keyring_at(ring, 0)->public, &user, sizeof(user));
	assert_int_equal(keyring_key_usable(keyring_at(ring, 0), time(NULL), NULL), 0);
	keyring_free(ring);
	unlink(p.user_public);
	assert_int_equal(keys_ensure_private(f->directory, &again, NULL), 0);
	assert_int_equal(keys_read_secret(again.user_secret, NULL, &after, NULL), 0);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(access(p.user_public, F_OK), 0);
}

static void
private_keys_that_others_can_read_are_refused(void **state)
{
	const struct fixture *f = *state;
	struct keys_private p;
	struct err e = {0};

	assert_int_equal(keys_ensure_private(f->directory, &p, NULL), 0);
	assert_int_equal(chmod(p.user_secret, 0640), 0);
	assert_int_equal(keys_ensure_private(f->directory, &p, &e), ERR_DENIED);
	assert_non_null(strstr(e.msg, "chmod go-rwx"));
	assert_int_equal(chmod(p.user_secret, 0600), 0);
	assert_int_equal(chmod(f->directory, 0770), 0);
	assert_int_equal(keys_ensure_private(f->directory, &p, &e), ERR_DENIED);
	assert_int_equal(chmod(f->directory, 0700), 0);
	assert_int_equal(keys_ensure_private(f->directory, &p, &e), 0);
}

static void *
ensure_in_thread(void *arg)
{
	struct fixture *f = arg;
	struct keys_private p;

	return (void *)(intptr_t)keys_ensure_private(f->directory, &p, NULL);
}

static void
private_keys_made_by_several_at_once_are_one_pair(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[8];
	struct keys_private p;
	struct keys_public root;
	struct keyring *ring;

	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ensure_in_thread, f), 0);
	for (int i = 0; i < 8; i++) {
		void *rc;

		assert_int_equal(pthread_join(threads[i], &rc), 0);
		assert_null(rc);
	}
	assert_int_equal(keys_ensure_private(f->directory, &p, NULL), 0);
	assert_int_equal(keys_read_public(p.root_public, &root, NULL), 0);
	assert_int_equal(keyring_load_file(p.keyring, &root, time(NULL), 0, &ring, NULL), 0);
	assert_int_equal(keyring_version(ring), 1);
	keyring_free(ring);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(loads_what_the_root_signed),
	    TEST(refuses_a_signature_that_is_not_the_roots),
	    TEST(refuses_an_expired_keyring),
	    TEST(refuses_a_version_below_the_highest_seen),
	    TEST(keys_count_from_their_first_second_to_their_last),
	    TEST(revoked_keys_and_modules_are_found),
	    TEST(owners_are_anyone_a_uid_or_a_name),
	    TEST(refuses_unknown_fields_with_their_path),
	    TEST(refuses_missing_fields_and_wrong_types),
	    TEST(refuses_values_out_of_range),
	    TEST(refuses_a_kid_that_is_not_its_keys),
	    TEST(refuses_duplicate_keys_and_numbers),
	    TEST(refuses_json_with_a_field_twice_or_bytes_behind_it),
	    TEST(takes_the_most_keys_and_revocations_and_no_more),
	    TEST(refuses_a_huge_keyring),
	    TEST(a_clock_set_back_loads_no_older_keyring),
	    TEST(adding_a_key_twice_is_refused),
	    TEST(sealing_raises_the_version_and_can_be_read_back),
	    TEST(sealing_refuses_what_loading_would),
	    TEST(a_replacement_cut_short_leaves_a_keyring_that_loads),
	    TEST(a_reader_never_sees_a_half_replaced_keyring),
	    TEST(private_keys_are_made_once_and_kept),
	    TEST(private_keys_that_others_can_read_are_refused),
	    TEST(private_keys_made_by_several_at_once_are_one_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
