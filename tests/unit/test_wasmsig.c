/* Unit tests of broker/wasmsig: what it makes, and each thing that it refuses. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/wasmsig.h"

/* A module with a type, a function, an export, a code section and a custom section at its end. */
static const uint8_t module[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00,                         /* header */
    0x01, 0x04, 0x01, 0x60, 0x00, 0x00,                                     /* type: () -> () */
    0x03, 0x02, 0x01, 0x00,                                                 /* one function of it */
    0x07, 0x0a, 0x01, 0x06, '_', 's', 't', 'a', 'r', 't', 0x00, 0x00,       /* exported as _start */
    0x0a, 0x85, 0x80, 0x80, 0x80, 0x00, 0x01, 0x03, 0x00, 0x01, 0x0b,       /* its code; size in a long form */
    0x00, 0x06, 0x04, 'n', 'o', 't', 'e', 0x2a,                             /* custom "note" */
};

/* Places in a module that wasmsig_sign made; the layout stands in wasmsig.h. */
enum {
	AT_SECTION = 8,
	AT_SIZE = 9,
	AT_NAME_LENGTH = 11,
	AT_NAME = 12,
	AT_PAYLOAD = 21,
	AT_SETS = 24,
	AT_SET_LENGTH = 25,
	AT_HASHES = 26,
	AT_HASH = 27,
	AT_SIGNATURES = 59,
	AT_SIG_LENGTH = 60,
	AT_KID_LENGTH = 61,
	AT_KID = 62,
	AT_ALGORITHM = 74,
	AT_LENGTH = 75,
	AT_SIGNATURE = 76,
	AT_REST = 140,
};

struct fixture {
	struct keys_secret key;
	uint8_t *wasm; /* signed */
	size_t length;
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	return keys_generate(&f->key, NULL) != 0 ||
	    wasmsig_sign(module, sizeof(module), &f->key, &f->wasm, &f->length, NULL) != 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	free(f->wasm);
	keys_forget(&f->key);
	free(f);
	return 0;
}

/* Parses and, when that is well, verifies; the code of the first that fails. */
static int
check(const struct fixture *f, const uint8_t *wasm, size_t length, struct err *e)
{
	struct wasmsig sig;
	int rc = wasmsig_parse(wasm, length, &sig, e);

	return rc != 0 ? rc : wasmsig_verify(&sig, f->key.key + 32, e);
}

static void
expect(const struct fixture *f, const uint8_t *wasm, size_t length, int code, const char *in_message)
{
	struct err e = {0};

	assert_int_equal(check(f, wasm, length, &e), code);
	assert_int_equal(e.code, code);
	if (strstr(e.msg, in_message) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", in_message, e.msg);
}

/* A copy of the signed module with bytes put in at a place; the caller frees it. */
static uint8_t *
with_inserted(const struct fixture *f, size_t at, const void *bytes, size_t count)
{
	uint8_t *copy = malloc(f->length + count);

	memcpy(copy, f->wasm, at);
	if (count > 0)
		memcpy(copy + at, bytes, count);
	memcpy(copy + at + count, f->wasm + at, f->length - at);
	return copy;
}

static void
expect_with_byte(const struct fixture *f, size_t at, uint8_t value, int code, const char *in_message)
{
	uint8_t *copy = with_inserted(f, 0, NULL, 0);

	copy[at] = value;
	expect(f, copy, f->length, code, in_message);
	free(copy);
}

/* Puts one byte into the payload and corrects the section's size, and the lengths of set and signature if asked. */
static void
expect_with_payload_byte(const struct fixture *f, size_t at, uint8_t value, int lengths, const char *in_message)
{
	uint8_t *copy = with_inserted(f, at, &value, 1);

	copy[AT_SIZE]++;
	if (lengths >= 1)
		copy[AT_SET_LENGTH]++;
	if (lengths >= 2)
		copy[AT_SIG_LENGTH]++;
	expect(f, copy, f->length + 1, ERR_SIGNATURE, in_message);
	free(copy);
}

static void
accepts_what_it_signed(void **state)
{
	const struct fixture *f = *state;
	struct wasmsig sig;
	uint8_t kid[KEYS_KID_SIZE];

	assert_int_equal(wasmsig_parse(f->wasm, f->length, &sig, NULL), 0);
	assert_int_equal(wasmsig_verify(&sig, f->key.key + 32, NULL), 0);
	assert_int_equal(sig.rest_length, sizeof(module) - 8);
	assert_memory_equal(sig.rest, module + 8, sizeof(module) - 8);
	keys_kid(f->key.key + 32, kid);
	assert_true(sig.has_kid);
	assert_memory_equal(sig.kid, kid, sizeof(kid));
}

static void
the_layout_is_the_documented_one(void **state)
{
	const struct fixture *f = *state;

	assert_int_equal(f->length, AT_REST + sizeof(module) - 8);
	assert_memory_equal(f->wasm, module, 8);
	assert_memory_equal(f->wasm + AT_NAME, "signature", 9);
	assert_memory_equal(f->wasm + AT_PAYLOAD, "\1\1\1\1", 4);
	assert_memory_equal(f->wasm + AT_REST, module + 8, sizeof(module) - 8);
}

static void
signing_again_replaces_the_signature(void **state)
{
	const struct fixture *f = *state;
	uint8_t *again;
	size_t length;

	assert_int_equal(wasmsig_sign(f->wasm, f->length, &f->key, &again, &length, NULL), 0);
	assert_int_equal(length, f->length);
	assert_memory_equal(again, f->wasm, length);
	free(again);
}

static void
accepts_a_signature_without_key_id(void **state)
{
	const struct fixture *f = *state;
	/* Without the 12 bytes the section has fewer than 128, so that its size takes one byte instead of two. */
	const size_t length = f->length - KEYS_KID_SIZE - 1;
	uint8_t *copy = malloc(length), *p = copy;
	struct wasmsig sig;

	memcpy(p, f->wasm, AT_SIZE);
	p += AT_SIZE;
	*p++ = AT_REST - AT_NAME_LENGTH - KEYS_KID_SIZE;
	memcpy(p, f->wasm + AT_NAME_LENGTH, AT_KID - AT_NAME_LENGTH);
	p += AT_KID - AT_NAME_LENGTH;
	memcpy(p, f->wasm + AT_ALGORITHM, f->length - AT_ALGORITHM);
	copy[AT_SET_LENGTH - 1] = (uint8_t)(copy[AT_SET_LENGTH - 1] - KEYS_KID_SIZE);
	copy[AT_SIG_LENGTH - 1] = (uint8_t)(copy[AT_SIG_LENGTH - 1] - KEYS_KID_SIZE);
	copy[AT_KID_LENGTH - 1] = 0;
	assert_int_equal(wasmsig_parse(copy, length, &sig, NULL), 0);
	assert_false(sig.has_kid);
	assert_int_equal(wasmsig_verify(&sig, f->key.key + 32, NULL), 0);
	free(copy);
}

static void
finds_no_signature_in_an_unsigned_module(void **state)
{
	struct wasmsig sig;

	(void)state;
	assert_int_equal(wasmsig_parse(module, sizeof(module), &sig, NULL), ERR_NOTFOUND);
	assert_ptr_equal(sig.rest, module + 8);
	assert_int_equal(sig.rest_length, sizeof(module) - 8);
	assert_int_equal(wasmsig_parse(module, 8, &sig, NULL), ERR_NOTFOUND);
	assert_int_equal(sig.rest_length, 0);
}

/* By its number, wherever it is: whether it may be there is for the engine to say. */
static void
sees_a_start_section(void **state)
{
	static const uint8_t without[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 0, 2, 1, 8, 7, 0};
	static const uint8_t with[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 7, 0, 8, 0x81, 0x00, 0, 0, 2, 1, 'x'};
	static const uint8_t first[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 8, 1, 0};
	struct wasmsig sig;

	(void)state;
	assert_int_equal(wasmsig_parse(without, sizeof(without), &sig, NULL), ERR_NOTFOUND);
	assert_false(sig.has_start);
	assert_int_equal(wasmsig_parse(with, sizeof(with), &sig, NULL), ERR_NOTFOUND);
	assert_true(sig.has_start);
	assert_int_equal(wasmsig_parse(first, sizeof(first), &sig, NULL), ERR_NOTFOUND);
	assert_true(sig.has_start);
}

static void
refuses_every_changed_bit_of_a_signed_module(void **state)
{
	const struct fixture *f = *state;
	uint8_t *copy = with_inserted(f, 0, NULL, 0);
	uint8_t kid[KEYS_KID_SIZE];

	keys_kid(f->key.key + 32, kid);
	for (size_t i = 0; i < f->length * 8; i++) {
		struct wasmsig sig;

		copy[i / 8] ^= (uint8_t)(1U << i % 8);
		/* What names the key is not signed; a caller that looks the key up by it finds none, or one that is wrong. */
		if (wasmsig_parse(copy, f->length, &sig, NULL) == 0 && memcmp(sig.kid, kid, sizeof(kid)) == 0)
			assert_int_equal(wasmsig_verify(&sig, f->key.key + 32, NULL), ERR_SIGNATURE);
		copy[i / 8] ^= (uint8_t)(1U << i % 8);
	}
	assert_int_equal(check(f, copy, f->length, NULL), 0);
	free(copy);
}

static void
refuses_every_truncation(void **state)
{
	const struct fixture *f = *state;

	for (size_t n = 0; n < f->length; n++) {
		uint8_t *copy = malloc(n + 1); /* of its own, so that a sanitizer sees a read past it */
		uint8_t *exact = realloc(copy, n == 0 ? 1 : n);

		memcpy(exact, f->wasm, n);
		assert_int_not_equal(check(f, exact, n, NULL), 0);
		free(exact);
	}
}

static void
refuses_another_key(void **state)
{
	const struct fixture *f = *state;
	struct keys_secret other;
	struct wasmsig sig;
	struct err e = {0};

	assert_int_equal(keys_generate(&other, NULL), 0);
	assert_int_equal(wasmsig_parse(f->wasm, f->length, &sig, NULL), 0);
	assert_int_equal(wasmsig_verify(&sig, other.key + 32, &e), ERR_SIGNATURE);
	assert_non_null(strstr(e.msg, "is not by key"));
}

static void
refuses_a_header_that_is_not_core_version_1(void **state)
{
	const struct fixture *f = *state;
	uint8_t *copy = with_inserted(f, 0, NULL, 0);

	expect_with_byte(f, 0, 1, ERR_INVAL, "not a WebAssembly module");
	expect_with_byte(f, 4, 2, ERR_INVAL, "version 02000000");
	memcpy(copy + 4, "\x0d\0\1\0", 4); /* the same sections, presented as a component */
	expect(f, copy, f->length, ERR_INVAL, "component");
	free(copy);
}

static void
refuses_a_signature_section_that_is_not_first(void **state)
{
	const struct fixture *f = *state;
	static const uint8_t custom[] = {0x00, 0x02, 0x01, 'x'};
	uint8_t *copy = with_inserted(f, AT_SECTION, custom, sizeof(custom));

	expect(f, copy, f->length + sizeof(custom), ERR_SIGNATURE, "is not the first");
	free(copy);
}

static void
refuses_a_second_signature_section(void **state)
{
	const struct fixture *f = *state;
	uint8_t *copy = with_inserted(f, AT_REST, f->wasm + AT_SECTION, AT_REST - AT_SECTION);

	expect(f, copy, f->length + AT_REST - AT_SECTION, ERR_SIGNATURE, "a second signature section");
	free(copy);
}

static void
refuses_a_second_signature_section_with_a_long_name_length(void **state)
{
	const struct fixture *f = *state;
	static const uint8_t second[] = {0x00, 0x0b, 0x89, 0x00, 's', 'i', 'g', 'n', 'a', 't', 'u', 'r', 'e'};
	uint8_t *copy = with_inserted(f, AT_REST, second, sizeof(second));

	expect(f, copy, f->length + sizeof(second), ERR_SIGNATURE, "a second signature section");
	free(copy);
}

static void
refuses_a_signature_delimiter(void **state)
{
	static const char name[] = "signature_delimiter";
	const struct fixture *f = *state;
	uint8_t section[3 + sizeof(name) - 1] = {0x00, sizeof(name), sizeof(name) - 1};
	uint8_t *copy, *made;
	size_t length;

	memcpy(section + 3, name, sizeof(name) - 1);
	copy = with_inserted(f, AT_REST, section, sizeof(section));
	expect(f, copy, f->length + sizeof(section), ERR_SIGNATURE, "signature_delimiter");
	assert_int_equal(wasmsig_sign(copy, f->length + sizeof(section), &f->key, &made, &length, NULL), ERR_SIGNATURE);
	free(copy);
}

static void
refuses_lengths_not_in_their_shortest_form(void **state)
{
	static const struct {
		size_t at;
		const char *message;
	} places[] = {
	    {AT_SIZE + 1, "not written in its shortest form"},
	    {AT_NAME_LENGTH, "not written in its shortest form"},
	    {AT_SET_LENGTH, "length of the signature section's signature set"},
	    {AT_SIG_LENGTH, "length of the signature section's signature is"},
	    {AT_KID_LENGTH, "key id is not of 12"},
	    {AT_SETS, "number of signature sets is 129"},
	    {AT_HASHES, "number of hashes"},
	    {AT_SIGNATURES, "number of signatures is 129"},
	    {AT_LENGTH, "signature length is 192"},
	};
	const struct fixture *f = *state;
	const uint8_t zero = 0;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		size_t at = places[i].at;
		uint8_t *copy = with_inserted(f, at + 1, &zero, 1);

		copy[at] |= 0x80;
		/* The parts around it grow by that byte, so that only the form is wrong. */
		if (at > AT_SIZE + 1)
			copy[AT_SIZE]++;
		if (at > AT_SET_LENGTH)
			copy[AT_SET_LENGTH]++;
		if (at > AT_SIG_LENGTH)
			copy[AT_SIG_LENGTH]++;
		expect(f, copy, f->length + 1, ERR_SIGNATURE, places[i].message);
		free(copy);
	}
}

static void
refuses_bytes_behind_the_signature(void **state)
{
	const struct fixture *f = *state;

	expect_with_payload_byte(f, AT_REST, 0, 2, "1 bytes follow the signature");
	expect_with_payload_byte(f, AT_REST, 0, 1, "signature says 79 bytes where there are 80");
	expect_with_payload_byte(f, AT_REST, 0, 0, "signature set says 114 bytes where there are 115");
}

static void
refuses_several_sets_hashes_and_signatures(void **state)
{
	const struct fixture *f = *state;

	expect_with_byte(f, AT_SETS, 2, ERR_SIGNATURE, "number of signature sets is 2");
	expect_with_byte(f, AT_SETS, 0, ERR_SIGNATURE, "number of signature sets is 0");
	expect_with_byte(f, AT_HASHES, 2, ERR_SIGNATURE, "signatures of a part of a module are not taken) is 2");
	expect_with_byte(f, AT_HASHES, 0, ERR_SIGNATURE, "is 0 and must be 1");
	expect_with_byte(f, AT_SIGNATURES, 2, ERR_SIGNATURE, "number of signatures is 2");
	expect_with_byte(f, AT_SIGNATURES, 0, ERR_SIGNATURE, "number of signatures is 0");
}

static void
refuses_unknown_versions_and_algorithms(void **state)
{
	const struct fixture *f = *state;

	expect_with_byte(f, AT_PAYLOAD, 2, ERR_SIGNATURE, "specification version is 2");
	expect_with_byte(f, AT_PAYLOAD + 1, 2, ERR_SIGNATURE, "content type is 2");
	expect_with_byte(f, AT_PAYLOAD + 2, 2, ERR_SIGNATURE, "hash function is 2");
	expect_with_byte(f, AT_ALGORITHM, 2, ERR_SIGNATURE, "signature algorithm is 2");
	expect_with_byte(f, AT_LENGTH, 63, ERR_SIGNATURE, "signature length is 63");
	expect_with_byte(f, AT_KID_LENGTH, 11, ERR_SIGNATURE, "key id is not of 12 bytes");
}

static void
refuses_a_changed_or_extended_rest(void **state)
{
	static const uint8_t custom[] = {0x00, 0x02, 0x01, 'x'};
	const struct fixture *f = *state;
	uint8_t *copy = with_inserted(f, f->length, custom, sizeof(custom));

	expect(f, copy, f->length + sizeof(custom), ERR_SIGNATURE, "changed after signing");
	free(copy);
	expect_with_byte(f, f->length - 1, 0x2b, ERR_SIGNATURE, "changed after signing");
	expect(f, f->wasm, f->length - 1, ERR_SIGNATURE, "cut or changed after signing");
	/* Both body and hash replaced: then the signature does not fit. */
	expect_with_byte(f, AT_HASH, (uint8_t)(f->wasm[AT_HASH] ^ 1), ERR_SIGNATURE, "changed after signing");
}

static void
refuses_modules_that_are_not_whole_sections(void **state)
{
	static const uint8_t long_section[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 1, 5, 0};
	static const uint8_t huge_leb[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x7f};
	static const uint8_t no_name[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 0, 1, 9};
	const struct fixture *f = *state;

	expect(f, long_section, sizeof(long_section), ERR_INVAL, "section at byte 8 runs past its end");
	expect(f, huge_leb, sizeof(huge_leb), ERR_INVAL, "section at byte 8 runs past its end");
	expect(f, no_name, sizeof(no_name), ERR_INVAL, "custom section at byte 8 has no whole name");
	expect(f, (const uint8_t *)"", 0, ERR_INVAL, "not a WebAssembly module");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepts_what_it_signed),
	    cmocka_unit_test(the_layout_is_the_documented_one),
	    cmocka_unit_test(signing_again_replaces_the_signature),
	    cmocka_unit_test(accepts_a_signature_without_key_id),
	    cmocka_unit_test(finds_no_signature_in_an_unsigned_module),
	    cmocka_unit_test(sees_a_start_section),
	    cmocka_unit_test(refuses_every_changed_bit_of_a_signed_module),
	    cmocka_unit_test(refuses_every_truncation),
	    cmocka_unit_test(refuses_another_key),
	    cmocka_unit_test(refuses_a_header_that_is_not_core_version_1),
	    cmocka_unit_test(refuses_a_signature_section_that_is_not_first),
	    cmocka_unit_test(refuses_a_second_signature_section),
	    cmocka_unit_test(refuses_a_second_signature_section_with_a_long_name_length),
	    cmocka_unit_test(refuses_a_signature_delimiter),
	    cmocka_unit_test(refuses_lengths_not_in_their_shortest_form),
	    cmocka_unit_test(refuses_bytes_behind_the_signature),
	    cmocka_unit_test(refuses_several_sets_hashes_and_signatures),
	    cmocka_unit_test(refuses_unknown_versions_and_algorithms),
	    cmocka_unit_test(refuses_a_changed_or_extended_rest),
	    cmocka_unit_test(refuses_modules_that_are_not_whole_sections),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
