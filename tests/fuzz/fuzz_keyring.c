/* Fuzz target: broker/keyring: documents, signed here by the root, and then damaged where the first byte says so. */

#include <stdlib.h>
#include <string.h>

#include "broker/keyring.h"
#include "broker/minisign.h"
#include "policy/policy.h"
#include "tests/fuzz/input.h"

#define ROOT 9
#define NOW  INT64_C(1800000000)

/* An input is: mode, the highest version seen, damage (when the mode is odd), the document. */
#define DAMAGE_SIZE (1 + 2 * 4)

/* A key is found by its names, which are its own and no other's, and counts within its time unless it is revoked. */
static void
must_be_found(const struct keyring *ring, size_t index)
{
	const struct keyring_key *key = keyring_at(ring, index);
	char kid[KEYS_KID_TEXT];

	MUST(strcmp(key->kid, keys_kid_text(key->public.key, kid)) == 0);
	MUST(keyring_find_kid(ring, key->kid) == key);
	MUST(keyring_find_number(ring, key->public.number) == key);
	MUST(key->revoked == keyring_kid_revoked(ring, key->kid));
	MUST(strlen(key->name) > 0 && strlen(key->name) <= KEYRING_NAME_MAX);
	MUST(key->valid_from <= key->valid_to);
	MUST(keyring_key_usable(key, key->valid_to, NULL) != 0 && keyring_key_usable(key, key->valid_from - 1, NULL) != 0);
	MUST((keyring_key_usable(key, key->valid_from, NULL) == 0) == (!key->revoked && key->valid_from < key->valid_to));
	MUST(key->owner != KEYRING_OWNER_NAME || !keyring_key_owner_allows(key, 0, NULL));
	MUST(key->owner != KEYRING_OWNER_UID || keyring_key_owner_allows(key, key->owner_uid, NULL));
	MUST(key->grant == NULL || policy_equal(key->grant, key->grant));
}

static void
must_hold_together(const struct keyring *ring, uint64_t min_version)
{
	static const uint8_t no_number[KEYS_NUMBER_SIZE] = "nobody";

	MUST(keyring_version(ring) >= min_version && keyring_version(ring) > 0);
	MUST(keyring_expires(ring) > NOW);
	MUST(keyring_current(ring, keyring_expires(ring), NULL) == ERR_EXPIRED);
	MUST(keyring_count(ring) <= KEYRING_KEYS_MAX);
	MUST(keyring_at(ring, keyring_count(ring)) == NULL);
	for (size_t i = 0; i < keyring_count(ring); i++)
		must_be_found(ring, i);
	MUST(keyring_find_kid(ring, "") == NULL);
	(void)keyring_find_number(ring, no_number);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t mode = input_byte(&in);
	uint64_t min_version = input_byte(&in);
	const struct keys_secret root = input_key(ROOT);
	const struct keys_public public = keys_public_of(&root);
	struct block damage = input_take(&in, mode % 2 == 1 ? DAMAGE_SIZE : 0);
	struct block document = input_rest(&in);
	struct keyring *ring = NULL;
	struct err e = {0};
	char *signature;
	bool damaged;
	int rc;

	MUST(minisign_sign(&root, document.data, document.length, "fuzzed", &signature, NULL) == 0);
	damaged = input_damage(&(struct input){damage.data, damage.length}, &document);
	rc = keyring_load((const char *)document.data, document.length, signature, strlen(signature), &public, NOW,
	    min_version, &ring, &e);
	MUST(!damaged || rc == ERR_SIGNATURE);
	if (rc == 0)
		must_hold_together(ring, min_version);
	else
		MUST(ring == NULL && e.code == rc && e.msg[0] != '\0');
	keyring_free(ring);
	free(signature);
	free(document.data);
	free(damage.data);
	return 0;
}
