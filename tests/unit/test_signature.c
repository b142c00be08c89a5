/* Unit tests of broker/signature: which modules count as signed, by whom, and each reason why not. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "broker/keyring.h"
#include "broker/keyring_edit.h"
#include "broker/minisign.h"
#include "broker/signature.h"
#include "broker/wasmsig.h"
#include "policy/policy.h"

#define NOW INT64_C(1800000000)

static const uint8_t module[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x04, 0x01, 0x60, 0x00, 0x00, 0x03, 0x02, 0x01, 0x00,
    0x07, 0x0a, 0x01, 0x06, '_', 's', 't', 'a', 'r', 't', 0x00, 0x00, 0x0a, 0x04, 0x01, 0x02, 0x00, 0x0b,
};

struct fixture {
	struct keys_secret first, second, stranger;
	struct keys_public first_public, second_public;
	char first_kid[KEYS_KID_TEXT], second_kid[KEYS_KID_TEXT];
	uint8_t *wasm; /* signed inside by first */
	size_t length;
	char *beside;           /* first's detached signature of `module` */
	char *beside_signed;    /* second's of `wasm` */
	char *beside_stranger;  /* the stranger's of `module` */
};

static char *
detach(const struct keys_secret *key, const void *data, size_t length)
{
	char *text;

	assert_int_equal(minisign_sign(key, data, length, "test", &text, NULL), 0);
	return text;
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	if (keys_generate(&f->first, NULL) != 0 || keys_generate(&f->second, NULL) != 0 ||
	    keys_generate(&f->stranger, NULL) != 0 ||
	    wasmsig_sign(module, sizeof(module), &f->first, &f->wasm, &f->length, NULL) != 0)
		return -1;
	f->first_public = keys_public_of(&f->first);
	f->second_public = keys_public_of(&f->second);
	keys_kid_text(f->first_public.key, f->first_kid);
	keys_kid_text(f->second_public.key, f->second_kid);
	f->beside = detach(&f->first, module, sizeof(module));
	f->beside_signed = detach(&f->second, f->wasm, f->length);
	f->beside_stranger = detach(&f->stranger, module, sizeof(module));
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	free(f->beside_stranger);
	free(f->beside_signed);
	free(f->beside);
	free(f->wasm);
	free(f);
	return 0;
}

/* A keyring with first (until NOW + 10) and second (until NOW + 20), and something revoked when not NULL. */
static struct keyring *
make_ring(const struct fixture *f, const char *revoked_kid, const struct digest *revoked_module)
{
	char text[DIGEST_TEXT_SIZE];
	json_t *d = keyring_edit_new(NOW + 1000);
	struct keyring *ring;

	json_object_set_new(d, "version", json_integer(1));
	assert_int_equal(keyring_edit_add(d, &f->first_public, "first", NOW - 10, NOW + 10, NULL, NULL, false, NULL), 0);
	assert_int_equal(keyring_edit_add(d, &f->second_public, "second", NOW - 10, NOW + 20, NULL, NULL, false, NULL), 0);
	if (revoked_kid != NULL)
		json_array_append_new(json_object_get(d, "revoked_keys"), json_string(revoked_kid));
	if (revoked_module != NULL)
		json_array_append_new(json_object_get(d, "revoked_modules"), json_string(digest_text(revoked_module, text)));
	assert_int_equal(keyring_parse(d, &ring, NULL), 0);
	json_decref(d);
	return ring;
}

static int
check(const uint8_t *wasm, size_t length, const char *beside, const struct keyring *ring, int64_t now,
    struct signature_verdict *v, struct err *e)
{
	return signature_check(wasm, length, beside, beside == NULL ? 0 : strlen(beside), ring, now, v, e);
}

/* Expects a refusal; takes the keyring. */
static void
refused(const uint8_t *wasm, size_t length, const char *beside, struct keyring *ring, int64_t now, int code,
    const char *message)
{
	struct signature_verdict v, before;
	struct err e = {0};

	memset(&v, 0x77, sizeof(v));
	memcpy(&before, &v, sizeof(v));
	assert_int_equal(check(wasm, length, beside, ring, now, &v, &e), code);
	assert_memory_equal(&v, &before, sizeof(v));
	if (strstr(e.msg, message) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", message, e.msg);
	keyring_free(ring);
}

static void
accepts_an_embedded_signature(void **state)
{
	const struct fixture *f = *state;
	struct keyring *ring = make_ring(f, NULL, NULL);
	struct digest whole = digest_of(f->wasm, f->length), content = digest_of(module, sizeof(module));
	struct signature_verdict v;

	assert_int_equal(check(f->wasm, f->length, NULL, ring, NOW, &v, NULL), 0);
	assert_int_equal(v.kind, SIGNATURE_EMBEDDED);
	assert_string_equal(v.kid, f->first_kid);
	assert_ptr_equal(v.key, keyring_find_kid(ring, f->first_kid));
	assert_true(digest_equal(&v.module, &whole));
	assert_true(digest_equal(&v.content, &content));
	assert_string_equal(v.second_kid, "");
	keyring_free(ring);
}

static void
accepts_a_detached_signature(void **state)
{
	const struct fixture *f = *state;
	struct keyring *ring = make_ring(f, NULL, NULL);
	struct signature_verdict v;

	assert_int_equal(check(module, sizeof(module), f->beside, ring, NOW, &v, NULL), 0);
	assert_int_equal(v.kind, SIGNATURE_DETACHED);
	assert_string_equal(v.kid, f->first_kid);
	assert_true(digest_equal(&v.module, &v.content));
	keyring_free(ring);
}

static void
names_both_signers_when_there_are_two(void **state)
{
	const struct fixture *f = *state;
	struct keyring *ring = make_ring(f, NULL, NULL);
	struct signature_verdict v;
	char *same = detach(&f->first, f->wasm, f->length);

	assert_int_equal(check(f->wasm, f->length, f->beside_signed, ring, NOW, &v, NULL), 0);
	assert_int_equal(v.kind, SIGNATURE_BOTH);
	assert_string_equal(v.kid, f->first_kid);
	assert_string_equal(v.second_kid, f->second_kid);
	assert_ptr_equal(v.second, keyring_find_kid(ring, f->second_kid));
	assert_int_equal(check(f->wasm, f->length, same, ring, NOW, &v, NULL), 0);
	assert_int_equal(v.kind, SIGNATURE_BOTH);
	assert_null(v.second);
	free(same);
	keyring_free(ring);
}

static void
an_unsigned_module_is_said_to_be_unsigned(void **state)
{
	const struct fixture *f = *state;
	struct keyring *ring = make_ring(f, NULL, NULL);
	struct signature_verdict v;

	assert_int_equal(check(module, sizeof(module), NULL, ring, NOW, &v, NULL), 0);
	assert_int_equal(v.kind, SIGNATURE_NONE);
	assert_string_equal(v.kid, "");
	assert_null(v.key);
	keyring_free(ring);
}

static void
refuses_tampered_modules(void **state)
{
	const struct fixture *f = *state;
	uint8_t *copy = malloc(f->length), changed[sizeof(module)];

	memcpy(copy, f->wasm, f->length);
	copy[f->length - 1] ^= 1;
	refused(copy, f->length, NULL, make_ring(f, NULL, NULL), NOW, ERR_SIGNATURE, "changed after signing");
	memcpy(changed, module, sizeof(module));
	changed[sizeof(module) - 1] ^= 1;
	refused(changed, sizeof(changed), f->beside, make_ring(f, NULL, NULL), NOW, ERR_SIGNATURE, "does not fit these");
	free(copy);
}

/*
 * Whether a brigd with the built-in ceiling would run it: what signature_check lets pass because it carries no
 * signature any more, policy refuses.
 */
static bool
would_run(const uint8_t *wasm, size_t length, const char *beside, size_t beside_length, const struct keyring *ring)
{
	struct signature_verdict v;
	struct policy_layer ceiling = {.kind = POLICY_LAYER_CEILING};
	struct policy_ask ask = {0};
	struct policy_denial denial;
	struct policy *p;
	bool run;

	if (signature_check(wasm, length, beside, beside_length, ring, NOW, &v, NULL) != 0)
		return false;
	assert_int_equal(policy_builtin(&p, NULL), 0);
	ceiling.policy = p;
	ask.module_signed = v.kind != SIGNATURE_NONE;
	run = policy_check_run(&ceiling, 1, &ask, &denial, NULL) == 0;
	policy_free(p);
	return run;
}

/* Flips each bit of the module. */
static void
expect_no_flipped_bit_runs(const uint8_t *wasm, size_t length, const char *beside, const struct keyring *ring)
{
	const size_t beside_length = beside == NULL ? 0 : strlen(beside);
	uint8_t *copy = malloc(length);

	memcpy(copy, wasm, length);
	assert_true(would_run(copy, length, beside, beside_length, ring));
	for (size_t i = 0; i < length * 8; i++) {
		copy[i / 8] ^= (uint8_t)(1U << i % 8);
		if (would_run(copy, length, beside, beside_length, ring))
			fail_msg("byte %zu changed from %02x to %02x, and it would run", i / 8, wasm[i / 8], copy[i / 8]);
		copy[i / 8] = wasm[i / 8];
	}
	free(copy);
}

/* Cuts it at every length, leaves out each byte, and puts one in at each place: some of them, and each at the end. */
static void
expect_no_other_length_runs(const uint8_t *wasm, size_t length, const char *beside, const struct keyring *ring)
{
	static const uint8_t some[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	const size_t beside_length = beside == NULL ? 0 : strlen(beside);

	for (size_t at = 0; at <= length; at++) {
		uint8_t *shorter = malloc(length), *longer = malloc(length + 1);

		memcpy(shorter, wasm, at);
		assert_true(at == length || !would_run(shorter, at, beside, beside_length, ring));
		if (at < length) {
			memcpy(shorter + at, wasm + at + 1, length - at - 1);
			assert_false(would_run(shorter, length - 1, beside, beside_length, ring));
		}
		memcpy(longer, wasm, at);
		memcpy(longer + at + 1, wasm + at, length - at);
		for (unsigned i = 0; i < (at == length ? 256 : sizeof(some)); i++) {
			longer[at] = at == length ? (uint8_t)i : some[i];
			assert_false(would_run(longer, length + 1, beside, beside_length, ring));
		}
		free(longer);
		free(shorter);
	}
}

static void
no_flipped_bit_of_a_module_signed_inside_runs(void **state)
{
	const struct fixture *f = *state;
	struct keyring *ring = make_ring(f, NULL, NULL);

	expect_no_flipped_bit_runs(f->wasm, f->length, NULL, ring);
	keyring_free(ring);
}

static void
no_flipped_bit_of_a_module_signed_beside_it_runs(void **state)
{
	const struct fixture *f = *state;
	struct keyring *ring = make_ring(f, NULL, NULL);

	expect_no_flipped_bit_runs(module, sizeof(module), f->beside, ring);
	keyring_free(ring);
}

static void
no_cut_or_extended_module_runs(void **state)
{
	const struct fixture *f = *state;
	struct keyring *ring = make_ring(f, NULL, NULL);

	expect_no_other_length_runs(f->wasm, f->length, NULL, ring);
	expect_no_other_length_runs(module, sizeof(module), f->beside, ring);
	keyring_free(ring);
}

/* The first line is nobody's word, and the last may lack its end: minisign's rules. All else is signed or fixed. */
static void
no_flipped_bit_of_a_detached_signature_counts(void **state)
{
	const struct fixture *f = *state;
	struct keyring *ring = make_ring(f, NULL, NULL);
	const size_t length = strlen(f->beside), from = strcspn(f->beside, "\n") + 1;
	uint8_t *copy = malloc(length);

	memcpy(copy, f->beside, length);
	for (size_t i = from * 8; i < length * 8; i++) {
		copy[i / 8] ^= (uint8_t)(1U << i % 8);
		if (would_run(module, sizeof(module), (const char *)copy, length, ring))
			fail_msg("byte %zu of the signature changed to %02x, and it would run", i / 8, copy[i / 8]);
		copy[i / 8] = (uint8_t)f->beside[i / 8];
	}
	for (size_t i = 0; i < length - 1; i++)
		assert_false(would_run(module, sizeof(module), f->beside, i, ring));
	assert_true(would_run(module, sizeof(module), f->beside, length, ring));
	free(copy);
	keyring_free(ring);
}

static void
a_detached_signature_must_hold_even_when_the_embedded_one_does(void **state)
{
	const struct fixture *f = *state;

	refused(f->wasm, f->length, f->beside, make_ring(f, NULL, NULL), NOW, ERR_SIGNATURE, "does not fit these bytes");
	refused(f->wasm, f->length, "", make_ring(f, NULL, NULL), NOW, ERR_SIGNATURE, "not a minisign signature");
}

static void
an_embedded_signature_must_hold_even_when_the_detached_one_does(void **state)
{
	const struct fixture *f = *state;
	uint8_t *copy = malloc(f->length);
	char *beside;

	memcpy(copy, f->wasm, f->length);
	copy[f->length - 1] ^= 1;
	beside = detach(&f->second, copy, f->length);
	refused(copy, f->length, beside, make_ring(f, NULL, NULL), NOW, ERR_SIGNATURE, "changed after signing");
	free(beside);
	free(copy);
}

static void
refuses_keys_that_are_not_in_the_keyring(void **state)
{
	const struct fixture *f = *state;
	uint8_t *wasm;
	size_t length;

	assert_int_equal(wasmsig_sign(module, sizeof(module), &f->stranger, &wasm, &length, NULL), 0);
	refused(wasm, length, NULL, make_ring(f, NULL, NULL), NOW, ERR_NOTFOUND, "which is not in the keyring");
	refused(module, sizeof(module), f->beside_stranger, make_ring(f, NULL, NULL), NOW, ERR_NOTFOUND,
	    "which is not in the keyring");
	free(wasm);
}

static void
refuses_a_strangers_signature_under_a_known_name(void **state)
{
	const struct fixture *f = *state;
	struct keys_secret pretender = f->stranger;
	uint8_t *wasm;
	size_t length;
	char *beside;

	/* The names of keys are public: whoever signs can claim any. */
	memcpy(pretender.number, f->first.number, sizeof(pretender.number));
	beside = detach(&pretender, module, sizeof(module));
	refused(module, sizeof(module), beside, make_ring(f, NULL, NULL), NOW, ERR_SIGNATURE, "does not fit these bytes");
	assert_int_equal(wasmsig_sign(module, sizeof(module), &f->stranger, &wasm, &length, NULL), 0);
	keys_kid(f->first_public.key, wasm + 62); /* where the key id stands: tests/unit/test_wasmsig.c */
	refused(wasm, length, NULL, make_ring(f, NULL, NULL), NOW, ERR_SIGNATURE, "is not by key");
	free(wasm);
	free(beside);
}

static void
refuses_revoked_keys(void **state)
{
	const struct fixture *f = *state;
	char stranger[KEYS_KID_TEXT];
	uint8_t *wasm;
	size_t length;

	refused(f->wasm, f->length, NULL, make_ring(f, f->first_kid, NULL), NOW, ERR_REVOKED, "is revoked");
	refused(module, sizeof(module), f->beside, make_ring(f, f->first_kid, NULL), NOW, ERR_REVOKED, "is revoked");
	keys_kid_text(f->stranger.key + 32, stranger);
	assert_int_equal(wasmsig_sign(module, sizeof(module), &f->stranger, &wasm, &length, NULL), 0);
	refused(wasm, length, NULL, make_ring(f, stranger, NULL), NOW, ERR_REVOKED, "is revoked");
	free(wasm);
}

static void
refuses_expired_keys_and_keyrings(void **state)
{
	const struct fixture *f = *state;

	refused(f->wasm, f->length, NULL, make_ring(f, NULL, NULL), NOW + 10, ERR_EXPIRED, "(first) expired at");
	refused(f->wasm, f->length, NULL, make_ring(f, NULL, NULL), NOW - 11, ERR_EXPIRED, "does not count before");
	refused(module, sizeof(module), f->beside, make_ring(f, NULL, NULL), NOW + 10, ERR_EXPIRED, "(first) expired at");
	refused(f->wasm, f->length, NULL, make_ring(f, NULL, NULL), NOW + 1000, ERR_EXPIRED, "the keyring expired");
	refused(module, sizeof(module), NULL, make_ring(f, NULL, NULL), NOW + 1000, ERR_EXPIRED, "the keyring expired");
}

static void
refuses_revoked_modules_however_they_are_signed(void **state)
{
	const struct fixture *f = *state;
	struct digest content = digest_of(module, sizeof(module)), whole = digest_of(f->wasm, f->length);
	uint8_t *other;
	size_t length;

	refused(f->wasm, f->length, NULL, make_ring(f, NULL, &whole), NOW, ERR_REVOKED, "module is revoked");
	refused(f->wasm, f->length, NULL, make_ring(f, NULL, &content), NOW, ERR_REVOKED, "module is revoked");
	refused(module, sizeof(module), NULL, make_ring(f, NULL, &content), NOW, ERR_REVOKED, "module is revoked");
	refused(module, sizeof(module), f->beside, make_ring(f, NULL, &content), NOW, ERR_REVOKED, "module is revoked");
	assert_int_equal(wasmsig_sign(module, sizeof(module), &f->second, &other, &length, NULL), 0);
	refused(other, length, NULL, make_ring(f, NULL, &content), NOW, ERR_REVOKED, "module is revoked");
	free(other);
}

static void
refuses_what_is_not_a_core_module(void **state)
{
	const struct fixture *f = *state;
	static const uint8_t component[] = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};

	refused(component, sizeof(component), NULL, make_ring(f, NULL, NULL), NOW, ERR_INVAL, "component");
	refused((const uint8_t *)"", 0, NULL, make_ring(f, NULL, NULL), NOW, ERR_INVAL, "not a WebAssembly module");
	refused(module, sizeof(module) - 1, f->beside, make_ring(f, NULL, NULL), NOW, ERR_INVAL, "not a whole module");
}

/* The signed module as wasmsign2 makes it when it is not given the public key: without the key id. */
static uint8_t *
without_key_id(const struct fixture *f, size_t *length)
{
	uint8_t *copy = malloc(f->length);

	*length = f->length - KEYS_KID_SIZE - 1;
	memcpy(copy, f->wasm, 9);
	copy[9] = 140 - 11 - KEYS_KID_SIZE;
	memcpy(copy + 10, f->wasm + 11, 62 - 11);
	memcpy(copy + 61, f->wasm + 74, f->length - 74);
	copy[24] = (uint8_t)(copy[24] - KEYS_KID_SIZE);
	copy[59] = (uint8_t)(copy[59] - KEYS_KID_SIZE);
	copy[60] = 0;
	return copy;
}

static void
a_signature_without_key_id_needs_a_keyring_of_one_key(void **state)
{
	const struct fixture *f = *state;
	struct signature_verdict v;
	struct keyring *ring;
	size_t length;
	uint8_t *copy = without_key_id(f, &length);

	refused(copy, length, NULL, make_ring(f, NULL, NULL), NOW, ERR_SIGNATURE, "does not say which key made it");
	assert_int_equal(keyring_of_key(&f->first_public, &ring, NULL), 0);
	assert_int_equal(check(copy, length, NULL, ring, NOW, &v, NULL), 0);
	assert_string_equal(v.kid, f->first_kid);
	keyring_free(ring);
	assert_int_equal(keyring_of_key(&f->second_public, &ring, NULL), 0);
	refused(copy, length, NULL, ring, NOW, ERR_SIGNATURE, "is not by key");
	free(copy);
}

/* A clock that is set back makes nothing count that was withdrawn, nor what does not count yet. */
static void
a_clock_set_back_revives_nothing_that_was_revoked(void **state)
{
	const struct fixture *f = *state;
	struct digest content = digest_of(module, sizeof(module));
	struct keyring *ring = make_ring(f, f->first_kid, NULL);
	struct signature_verdict v = {.kind = SIGNATURE_EMBEDDED};

	memcpy(v.kid, f->first_kid, sizeof(v.kid));
	assert_int_equal(signature_recheck(&v, ring, NOW - 5, NULL), ERR_REVOKED);
	refused(f->wasm, f->length, NULL, ring, NOW - 5, ERR_REVOKED, "is revoked");
	refused(f->wasm, f->length, NULL, make_ring(f, f->first_kid, NULL), 0, ERR_REVOKED, "is revoked");
	refused(f->wasm, f->length, NULL, make_ring(f, NULL, &content), 0, ERR_REVOKED, "module is revoked");
	refused(f->wasm, f->length, NULL, make_ring(f, NULL, NULL), 0, ERR_EXPIRED, "does not count before");
	refused(f->wasm, f->length, NULL, make_ring(f, NULL, NULL), INT64_MIN, ERR_EXPIRED, "does not count before");
	refused(module, sizeof(module), f->beside, make_ring(f, NULL, NULL), 0, ERR_EXPIRED, "does not count before");
}

static void
a_verdict_is_rechecked_against_a_newer_keyring(void **state)
{
	const struct fixture *f = *state;
	struct keyring *old = make_ring(f, NULL, NULL), *ring;
	struct digest content = digest_of(module, sizeof(module));
	struct signature_verdict v;

	assert_int_equal(check(f->wasm, f->length, f->beside_signed, old, NOW, &v, NULL), 0);
	keyring_free(old);
	ring = make_ring(f, NULL, NULL);
	assert_int_equal(signature_recheck(&v, ring, NOW, NULL), 0);
	assert_ptr_equal(v.key, keyring_find_kid(ring, f->first_kid));
	assert_ptr_equal(v.second, keyring_find_kid(ring, f->second_kid));
	assert_int_equal(signature_recheck(&v, ring, NOW + 10, NULL), ERR_EXPIRED);
	assert_int_equal(signature_recheck(&v, ring, NOW + 1000, NULL), ERR_EXPIRED);
	keyring_free(ring);
	ring = make_ring(f, f->first_kid, NULL);
	assert_int_equal(signature_recheck(&v, ring, NOW, NULL), ERR_REVOKED);
	keyring_free(ring);
	ring = make_ring(f, f->second_kid, NULL);
	assert_int_equal(signature_recheck(&v, ring, NOW, NULL), ERR_REVOKED);
	keyring_free(ring);
	ring = make_ring(f, NULL, &content);
	assert_int_equal(signature_recheck(&v, ring, NOW, NULL), ERR_REVOKED);
	keyring_free(ring);
	assert_int_equal(keyring_of_key(&f->second_public, &ring, NULL), 0);
	assert_int_equal(signature_recheck(&v, ring, NOW, NULL), ERR_NOTFOUND);
	keyring_free(ring);
}

static void
an_unsigned_verdict_is_rechecked_for_revoked_modules(void **state)
{
	const struct fixture *f = *state;
	struct digest content = digest_of(module, sizeof(module));
	struct keyring *ring = make_ring(f, NULL, NULL), *newer = make_ring(f, NULL, &content);
	struct signature_verdict v;

	assert_int_equal(check(module, sizeof(module), NULL, ring, NOW, &v, NULL), 0);
	assert_int_equal(signature_recheck(&v, ring, NOW, NULL), 0);
	assert_int_equal(signature_recheck(&v, newer, NOW, NULL), ERR_REVOKED);
	keyring_free(newer);
	keyring_free(ring);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepts_an_embedded_signature),
	    cmocka_unit_test(accepts_a_detached_signature),
	    cmocka_unit_test(names_both_signers_when_there_are_two),
	    cmocka_unit_test(an_unsigned_module_is_said_to_be_unsigned),
	    cmocka_unit_test(refuses_tampered_modules),
	    cmocka_unit_test(no_flipped_bit_of_a_module_signed_inside_runs),
	    cmocka_unit_test(no_flipped_bit_of_a_module_signed_beside_it_runs),
	    cmocka_unit_test(no_cut_or_extended_module_runs),
	    cmocka_unit_test(no_flipped_bit_of_a_detached_signature_counts),
	    cmocka_unit_test(a_detached_signature_must_hold_even_when_the_embedded_one_does),
	    cmocka_unit_test(an_embedded_signature_must_hold_even_when_the_detached_one_does),
	    cmocka_unit_test(refuses_keys_that_are_not_in_the_keyring),
	    cmocka_unit_test(refuses_a_strangers_signature_under_a_known_name),
	    cmocka_unit_test(refuses_revoked_keys),
	    cmocka_unit_test(refuses_expired_keys_and_keyrings),
	    cmocka_unit_test(refuses_revoked_modules_however_they_are_signed),
	    cmocka_unit_test(refuses_what_is_not_a_core_module),
	    cmocka_unit_test(a_signature_without_key_id_needs_a_keyring_of_one_key),
	    cmocka_unit_test(a_clock_set_back_revives_nothing_that_was_revoked),
	    cmocka_unit_test(a_verdict_is_rechecked_against_a_newer_keyring),
	    cmocka_unit_test(an_unsigned_verdict_is_rechecked_for_revoked_modules),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
