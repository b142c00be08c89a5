/* Fuzz target: broker/wasmsig and broker/signature: only what a key of the keyring signed counts as signed by it. */

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
 * An input is: mode, options, damage to the module and to the signature beside it (where the mode says so), that
 * signature's text (if given), the module. The upper two bits of the mode say who signs.
 */
enum { SIGN_INSIDE = 1, SIGN_BESIDE = 2, DAMAGE_MODULE = 4, DAMAGE_BESIDE = 8, GIVE_BESIDE = 16, BY_TWO = 32 };
#define SIGNER_SHIFT 6
enum { NO_KEY_ID = 1, ONE_KEY = 2, REVOKE_EMPTY = 4 }; /* options */
#define DAMAGE_SIZE (1 + 4 * 4)

/* Keys 0 and 1 count, 2 is not in the keyring, 3 is revoked. */
enum { FIRST, SECOND, STRANGER, REVOKED };

static void
ring_add(json_t *document, uint8_t which)
{
	struct keys_secret key = input_key(which);
	struct keys_public public = keys_public_of(&key);
	char kid[KEYS_KID_TEXT];

	MUST(keyring_edit_add(document, &public, "fuzzed", NOW - 10, NOW + 10, NULL, NULL, false, NULL) == 0);
	if (which == REVOKED)
		json_array_append_new(json_object_get(document, "revoked_keys"), json_string(keys_kid_text(public.key, kid)));
}

/* The keyring of several keys, in which the module without a section is revoked or not, or that of one key. */
static const struct keyring *
ring_for(uint8_t options)
{
	static struct keyring *rings[3];
	static const uint8_t empty[WASMSIG_HEADER_SIZE] = {0, 'a', 's', 'm', 1, 0, 0, 0};
	const int which = (options & ONE_KEY) != 0 ? 2 : (options & REVOKE_EMPTY) != 0;
	const struct digest digest = digest_of(empty, sizeof(empty));
	char text[DIGEST_TEXT_SIZE];
	json_t *document;

	if (rings[which] != NULL)
		return rings[which];
	document = keyring_edit_new(NOW + 1000);
	json_object_set_new(document, "version", json_integer(1));
	ring_add(document, FIRST);
	if (which < 2) {
		ring_add(document, SECOND);
		ring_add(document, REVOKED);
	}
	if (which == 1)
		json_array_append_new(json_object_get(document, "revoked_modules"), json_string(digest_text(&digest, text)));
	MUST(keyring_parse(document, &rings[which], NULL) == 0);
	json_decref(document);
	return rings[which];
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

/* --- what must hold ---------------------------------------------------------------------------------------------- */

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

/* Reads a length of at most 28 bits, in any form; what runs out ends as 0. */
static size_t
take_length(struct input *in)
{
	size_t length = 0;
	uint8_t byte = 0x80;

	for (int shift = 0; (byte & 0x80) != 0 && shift < 35; shift += 7) {
		byte = input_byte(in);
		length |= (size_t)(byte & 0x7f) << shift;
	}
	return length < in->left ? length : in->left;
}

/* How many custom sections have this name, by other code than what is on trial; *first: whether the first one does. */
static size_t
count_sections(const struct block *module, const char *name, bool *first)
{
	struct input in = {module->data + WASMSIG_HEADER_SIZE, module->length - WASMSIG_HEADER_SIZE};
	size_t count = 0;

	*first = false;
	for (bool at_start = true; in.left > 0; at_start = false) {
		bool custom = input_byte(&in) == 0;
		size_t length = take_length(&in);
		struct input body = {in.p, length};
		size_t name_length = custom ? take_length(&body) : 0;

		in.p += length;
		in.left -= length;
		if (!custom || name_length != strlen(name) || memcmp(body.p, name, name_length) != 0)
			continue;
		*first |= at_start;
		count++;
	}
	return count;
}

static void
must_be_true(struct signature_verdict *v, const struct keyring *ring, const struct block *module,
    const struct block *beside)
{
	struct digest digest = digest_of(module->data, module->length);
	const char *by = v->second_kid[0] != '\0' ? v->second_kid : v->kid;
	bool first;

	MUST(digest_equal(&v->module, &digest));
	MUST((v->kind & SIGNATURE_DETACHED) == (beside == NULL ? 0 : SIGNATURE_DETACHED));
	MUST(count_sections(module, "signature_delimiter", &first) == 0);
	MUST(count_sections(module, "signature", &first) == ((v->kind & SIGNATURE_EMBEDDED) != 0));
	MUST(first == ((v->kind & SIGNATURE_EMBEDDED) != 0));
	if ((v->kind & SIGNATURE_EMBEDDED) != 0)
		must_be_made_by(v->kid, module);
	if (beside != NULL)
		must_be_beside_by(by, module, beside);
	MUST((v->kind == SIGNATURE_NONE) == (v->kid[0] == '\0') && (v->kind == SIGNATURE_NONE) == (v->key == NULL));
	MUST(!keyring_module_revoked(ring, &v->content));
	MUST(signature_recheck(v, ring, NOW, NULL) == 0);
}

/* --- inputs ------------------------------------------------------------------------------------------------------ */

/* Takes the key id out of a signature made here: its section has fewer than 128 bytes then, and says so in one byte. */
static void
drop_key_id(struct block *module)
{
	enum { AT_SIZE = 9, AT_SET_LENGTH = 25, AT_SIG_LENGTH = 60, AT_KID = 62, AT_REST = 140 };
	struct block b = {malloc(module->length), module->length - KEYS_KID_SIZE - 1};

	memcpy(b.data, module->data, AT_SIZE);
	b.data[AT_SIZE] = AT_REST - AT_SIZE - 2 - KEYS_KID_SIZE;
	memcpy(b.data + AT_SIZE + 1, module->data + AT_SIZE + 2, AT_KID - AT_SIZE - 2);
	memcpy(b.data + AT_KID - 1, module->data + AT_KID + KEYS_KID_SIZE, module->length - AT_KID - KEYS_KID_SIZE);
	b.data[AT_SET_LENGTH - 1] = (uint8_t)(b.data[AT_SET_LENGTH - 1] - KEYS_KID_SIZE);
	b.data[AT_SIG_LENGTH - 1] = (uint8_t)(b.data[AT_SIG_LENGTH - 1] - KEYS_KID_SIZE);
	b.data[AT_KID - 2] = 0;
	free(module->data);
	*module = b;
}

/* Signs inside, when it is a module. */
static void
sign_inside(struct block *module, const struct keys_secret *key, uint8_t options)
{
	uint8_t *made;
	size_t length;

	if (wasmsig_sign(module->data, module->length, key, &made, &length, NULL) != 0)
		return;
	free(module->data);
	*module = (struct block){made, length};
	if ((options & NO_KEY_ID) != 0)
		drop_key_id(module);
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
check(const struct keyring *ring, const struct block *module, const struct block *beside)
{
	struct signature_verdict v, before;
	struct err e = {0};
	int rc;

	memset(&v, 0x55, sizeof(v));
	memcpy(&before, &v, sizeof(v));
	rc = signature_check(module->data, module->length, beside == NULL ? NULL : (const char *)beside->data,
	    beside == NULL ? 0 : beside->length, ring, NOW, &v, &e);
	if (rc == 0)
		must_be_true(&v, ring, module, beside);
	else
		MUST(rc == e.code && e.msg[0] != '\0' && memcmp(&v, &before, sizeof(v)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t mode = input_byte(&in), options = input_byte(&in), who = mode >> SIGNER_SHIFT;
	uint8_t beside_who = (mode & BY_TWO) == 0 ? who : who == REVOKED ? FIRST : (uint8_t)(who + 1);
	struct keys_secret key = input_key(who), other = input_key(beside_who);
	struct block inside_damage = input_take(&in, (mode & DAMAGE_MODULE) != 0 ? DAMAGE_SIZE : 0);
	struct block beside_damage = input_take(&in, (mode & DAMAGE_BESIDE) != 0 ? DAMAGE_SIZE : 0);
	struct block beside = (mode & GIVE_BESIDE) != 0 ? input_text(&in) : input_take(&in, 0);
	struct block module = input_rest(&in);

	if ((mode & SIGN_INSIDE) != 0)
		sign_inside(&module, &key, options);
	if ((mode & SIGN_BESIDE) != 0)
		sign_beside(&module, &other, &beside);
	input_damage(&(struct input){inside_damage.data, inside_damage.length}, &module);
	input_damage(&(struct input){beside_damage.data, beside_damage.length}, &beside);
	check(ring_for(options), &module, (mode & (SIGN_BESIDE | GIVE_BESIDE)) != 0 ? &beside : NULL);
	free(inside_damage.data);
	free(beside_damage.data);
	free(beside.data);
	free(module.data);
	return 0;
}
