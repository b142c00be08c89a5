/* Fuzz target: broker/wasmsig and broker/signature: nothing but what a key of the keyring signed counts as signed by it. */

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "broker/keyring_edit.h"
#include "broker/minisign.h"
#include "broker/signature.h"
#include "broker/wasmsig.h"
#include "tests/fuzz/input.h"

#define NOW INT64_C(1800000000)

/*
 * An input is: mode, damage to the module and to the signature beside it (where the mode says so), that signature's text
 * (if given), the module. The upper two bits of the mode say who signs.
 */
enum { SIGN_INSIDE = 1, SIGN_BESIDE = 2, DAMAGE_MODULE = 4, DAMAGE_BESIDE = 8, GIVE_BESIDE = 16, SIGNER_SHIFT = 6 };
#define DAMAGE_SIZE (1 + 2 * 4)

/* Keys 0 and 1 count, 2 is not in the keyring, 3 is revoked. */
enum { FIRST, SECOND, STRANGER, REVOKED, KEYS };

static void
ring_add(json_t *document, uint8_t which)
{
	struct keys_secret key = input_key(which);
	struct keys_public public = keys_public_of(&key);
	char kid[KEYS_KID_TEXT];

	MUST(keyring_edit_add(document, &public, "fuzzed", NOW - 10, NOW + 10, NULL, NULL, NULL) == 0);
	if (which == REVOKED)
		json_array_append_new(json_object_get(document, "revoked_keys"), json_string(keys_kid_text(public.key, kid)));
}

static const struct keyring *
ring_fixed(void)
{
	static struct keyring *ring;
	json_t *document;

	if (ring != NULL)
		return ring;
	document = keyring_edit_new(NOW + 1000);
	json_object_set_new(document, "version", json_integer(1));
	ring_add(document, FIRST);
	ring_add(document, SECOND);
	ring_add(document, REVOKED);
	MUST(keyring_parse(document, &ring, NULL) == 0);
	json_decref(document);
	return ring;
}

/* The key of this id, which must be one that counts. */
static struct keys_secret
secret_of(const char *kid)
{
	struct keys_secret key = input_key(FIRST);
	char text[KEYS_KID_TEXT];

	if (strcmp(keys_kid_text(key.key + 32, text), kid) != 0)
		key = input_key(SECOND);
	MUST(strcmp(keys_kid_text(key.key + 32, text), kid) == 0);
	return key;
}

/* --- what must hold -------------------------------------------------------------------------------------------------- */

/* What is accepted inside is byte for byte what the named key makes of the content: there is no second form of it. */
static void
must_be_made_by(const char *kid, const struct block *module)
{
	const struct keys_secret key = secret_of(kid);
	struct wasmsig sig, again;
	uint8_t *bare, *made;
	size_t length;

	MUST(wasmsig_parse(module->data, module->length, &sig, NULL) == 0);
	bare = malloc(WASMSIG_HEADER_SIZE + sig.rest_length);
	memcpy(bare, module->data, WASMSIG_HEADER_SIZE);
	memcpy(bare + WASMSIG_HEADER_SIZE, sig.rest, sig.rest_length);
	MUST(wasmsig_sign(bare, WASMSIG_HEADER_SIZE + sig.rest_length, &key, &made, &length, NULL) == 0);
	MUST(wasmsig_parse(made, length, &again, NULL) == 0);
	MUST(memcmp(again.hash, sig.hash, sizeof(sig.hash)) == 0);
	MUST(memcmp(again.signature, sig.signature, sizeof(sig.signature)) == 0);
	if (sig.has_kid)
		MUST(length == module->length && memcmp(made, module->data, length) == 0);
	free(made);
	free(bare);
}

/* The same for what stands beside it, but for the comment that is not signed. */
static void
must_be_beside_by(const char *kid, const struct block *module, const struct block *beside)
{
	const struct keys_secret key = secret_of(kid);
	struct minisign sig, again;
	char *comment, *made;

	MUST(minisign_parse((const char *)beside->data, beside->length, &sig, NULL) == 0);
	comment = strndup(sig.comment, sig.comment_length);
	MUST(minisign_sign(&key, module->data, module->length, comment, &made, NULL) == 0);
	MUST(minisign_parse(made, strlen(made), &again, NULL) == 0);
	MUST(memcmp(again.signature, sig.signature, sizeof(sig.signature)) == 0);
	MUST(memcmp(again.comment_signature, sig.comment_signature, sizeof(sig.comment_signature)) == 0);
	free(made);
	free(comment);
}

static void
must_be_true(struct signature_verdict *v, const struct block *module, const struct block *beside)
{
	struct digest digest = digest_of(module->data, module->length);
	const char *by = v->second_kid[0] != '\0' ? v->second_kid : v->kid;
	struct wasmsig sig;

	MUST(digest_equal(&v->module, &digest));
	MUST((v->kind & SIGNATURE_DETACHED) == (beside == NULL ? 0 : SIGNATURE_DETACHED));
	MUST((v->kind & SIGNATURE_EMBEDDED) != 0 || wasmsig_parse(module->data, module->length, &sig, NULL) == ERR_NOTFOUND);
	if ((v->kind & SIGNATURE_EMBEDDED) != 0)
		must_be_made_by(v->kid, module);
	if (beside != NULL)
		must_be_beside_by(by, module, beside);
	MUST((v->kind == SIGNATURE_NONE) == (v->kid[0] == '\0') && (v->kind == SIGNATURE_NONE) == (v->key == NULL));
	MUST(signature_recheck(v, ring_fixed(), NOW, NULL) == 0);
}

/* --- inputs ---------------------------------------------------------------------------------------------------------- */

/* Signs inside, when it is a module. */
static void
sign_inside(struct block *module, const struct keys_secret *key)
{
	uint8_t *made;
	size_t length;

	if (wasmsig_sign(module->data, module->length, key, &made, &length, NULL) != 0)
		return;
	free(module->data);
	*module = (struct block){made, length};
}

static void
sign_beside(const struct block *module, const struct keys_secret *key, struct block *beside)
{
	char *text;

	MUST(minisign_sign(key, module->data, module->length, "fuzzed", &text, NULL) == 0);
	free(beside->data);
	*beside = (struct block){(uint8_t *)text, strlen(text)};
}

static void
check(const struct block *module, const struct block *beside)
{
	struct signature_verdict v, before;
	struct err e = {0};
	int rc;

	memset(&v, 0x55, sizeof(v));
	memcpy(&before, &v, sizeof(v));
	rc = signature_check(module->data, module->length, beside == NULL ? NULL : (const char *)beside->data,
	    beside == NULL ? 0 : beside->length, ring_fixed(), NOW, &v, &e);
	if (rc == 0)
		must_be_true(&v, module, beside);
	else
		MUST(rc == e.code && e.msg[0] != '\0' && memcmp(&v, &before, sizeof(v)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t mode = input_byte(&in);
	struct keys_secret key = input_key(mode >> SIGNER_SHIFT);
	struct block inside_damage = input_take(&in, (mode & DAMAGE_MODULE) != 0 ? DAMAGE_SIZE : 0);
	struct block beside_damage = input_take(&in, (mode & DAMAGE_BESIDE) != 0 ? DAMAGE_SIZE : 0);
	struct block beside = (mode & GIVE_BESIDE) != 0 ? input_text(&in) : input_take(&in, 0);
	struct block module = input_rest(&in);

	if ((mode & SIGN_INSIDE) != 0)
		sign_inside(&module, &key);
	if ((mode & SIGN_BESIDE) != 0)
		sign_beside(&module, &key, &beside);
	input_damage(&(struct input){inside_damage.data, inside_damage.length}, &module);
	input_damage(&(struct input){beside_damage.data, beside_damage.length}, &beside);
	check(&module, (mode & (SIGN_BESIDE | GIVE_BESIDE)) != 0 ? &beside : NULL);
	free(inside_damage.data);
	free(beside_damage.data);
	free(beside.data);
	free(module.data);
	return 0;
}
