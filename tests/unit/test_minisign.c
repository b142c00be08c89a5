/* Unit tests of broker/minisign: what Debian's minisign signed is taken, and each thing that is refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/minisign.h"

/* Made with minisign 0.11: `minisign -G -W`, then `minisign -Sm f` over the three bytes "hi\n". */
static const char theirs_data[] = "hi\n";
static const char theirs_key[] =
    "untrusted comment: minisign public key F7266EECD4F0EACD\n"
    "RWTN6vDU7G4m97bZ2QRIn63xLdbIJlTQDSyYICFHUi7NxwSUrVmDdcev\n";
static const char theirs[] =
    "untrusted comment: signature from minisign secret key\n"
    "RUTN6vDU7G4m9wXoJ+/SHbwwjzCYW4/iezmsAd21if7s/eDv8DanvLqJJ+YjFdhTA+n33g02W2VgLhzly/f6yM34hbyGwfDf9AA=\n"
    "trusted comment: timestamp:1795254719\tfile:f\thashed\n"
    "If67Uz7bdH8rNKjZurj4oTJLE65mAbB4T6joZIFB0IaWOfRIYogfd4KqzVdRljkCvqIjYnJhKXwAinAH5s0QCg==\n";

static struct keys_public
their_key(void)
{
	struct keys_public key;

	assert_int_equal(keys_public_decode((const uint8_t *)theirs_key, strlen(theirs_key), &key, NULL), 0);
	return key;
}

static int
check(const char *text, size_t length, const struct keys_public *key, const void *data, size_t size, struct err *e)
{
	struct minisign sig;
	int rc = minisign_parse(text, length, &sig, e);

	return rc != 0 ? rc : minisign_verify(&sig, key, data, size, e);
}

/* Replaces the first `from` in their signature by `to` and expects a refusal that says `message`. */
static void
refused(const char *from, const char *to, const char *message)
{
	const struct keys_public key = their_key();
	const char *at = strstr(theirs, from);
	struct err e = {0};
	char text[4096];

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - theirs), theirs, to, at + strlen(from));
	assert_int_equal(check(text, strlen(text), &key, theirs_data, 3, &e), ERR_SIGNATURE);
	if (strstr(e.msg, message) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", message, e.msg);
}

static void
accepts_what_minisign_signed(void **state)
{
	const struct keys_public key = their_key();

	(void)state;
	assert_int_equal(check(theirs, strlen(theirs), &key, theirs_data, 3, NULL), 0);
	assert_int_equal(check(theirs, strlen(theirs) - 1, &key, theirs_data, 3, NULL), 0); /* without the last LF */
}

static void
accepts_what_it_signed(void **state)
{
	static const char data[] = "some bytes";
	struct keys_secret secret;
	struct keys_public public;
	struct minisign sig;
	char *text;

	(void)state;
	assert_int_equal(keys_generate(&secret, NULL), 0);
	public = keys_public_of(&secret);
	assert_int_equal(minisign_sign(&secret, data, sizeof(data), "made by a test", &text, NULL), 0);
	assert_int_equal(minisign_parse(text, strlen(text), &sig, NULL), 0);
	assert_int_equal(sig.comment_length, strlen("made by a test"));
	assert_memory_equal(sig.comment, "made by a test", sig.comment_length);
	assert_int_equal(minisign_verify(&sig, &public, data, sizeof(data), NULL), 0);
	free(text);
}

static void
refuses_to_sign_with_a_comment_of_several_lines(void **state)
{
	struct keys_secret secret;
	char *text, large[MINISIGN_COMMENT_MAX + 2];

	(void)state;
	memset(large, 'a', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	assert_int_equal(keys_generate(&secret, NULL), 0);
	assert_int_equal(minisign_sign(&secret, "", 0, "one\ntwo", &text, NULL), ERR_INVAL);
	assert_int_equal(minisign_sign(&secret, "", 0, large, &text, NULL), ERR_INVAL);
}

static void
refuses_changed_data(void **state)
{
	const struct keys_public key = their_key();
	struct err e = {0};

	(void)state;
	assert_int_equal(check(theirs, strlen(theirs), &key, "ho\n", 3, &e), ERR_SIGNATURE);
	assert_non_null(strstr(e.msg, "does not fit these bytes"));
	assert_int_equal(check(theirs, strlen(theirs), &key, theirs_data, 2, &e), ERR_SIGNATURE);
}

static void
refuses_another_key(void **state)
{
	struct keys_public key = their_key();
	struct err e = {0};

	(void)state;
	key.number[0] ^= 1;
	assert_int_equal(check(theirs, strlen(theirs), &key, theirs_data, 3, &e), ERR_SIGNATURE);
	assert_non_null(strstr(e.msg, "key number cdeaf0d4ec6e26f7"));
	/* The right number and the wrong key: only the signature can tell. */
	key.number[0] ^= 1;
	memset(key.key, 0x66, sizeof(key.key));
	key.key[0] = 0x58;
	assert_int_equal(check(theirs, strlen(theirs), &key, theirs_data, 3, &e), ERR_SIGNATURE);
}

static void
refuses_a_changed_trusted_comment(void **state)
{
	(void)state;
	refused("timestamp:1795254719", "timestamp:1795254718", "trusted comment was changed");
	refused("\thashed", "", "trusted comment was changed");
}

static void
refuses_the_old_unhashed_kind(void **state)
{
	(void)state;
	refused("\nRUTN", "\nRWTN", "old kind");
	refused("\nRUTN", "\nRQTN", "algorithm 4504");
}

static void
refuses_signature_with_trailing_bytes(void **state)
{
	(void)state;
	refused("5s0QCg==\n", "5s0QCg==\n\n", "1 bytes follow its four lines");
	refused("5s0QCg==\n", "5s0QCg==\nmore\n", "5 bytes follow its four lines");
}

static void
refuses_lines_that_are_missing_or_not_base64(void **state)
{
	const struct keys_public key = their_key();

	(void)state;
	refused("untrusted comment: ", "comment: ", "untrusted comment: ...");
	refused("trusted comment: sig", "trusted comment;", "untrusted comment: ...");
	refused("\ntrusted comment: ", "\ncomment: ", "trusted comment: ...");
	refused("9AA=\n", "9A=\n", "signature line is not 74 bytes");
	refused("9AA=\n", "9AB=\n", "signature line is not 74 bytes"); /* bits set that base64 does not use */
	refused("9AA=\n", "9AA\n", "signature line is not 74 bytes");
	refused("9AA=\n", "9AA= \n", "signature line is not 74 bytes");
	refused("9AA=\n", "9AA=\r\n", "signature line is not 74 bytes");
	refused("0QCg==\n", "0Q==\n", "signature is not 64 bytes");
	for (size_t n = 0; n + 1 < strlen(theirs); n++)
		assert_int_equal(check(theirs, n, &key, theirs_data, 3, NULL), ERR_SIGNATURE);
	assert_int_equal(check(NULL, 0, &key, theirs_data, 3, NULL), ERR_SIGNATURE);
}

static void
refuses_control_characters_in_comments(void **state)
{
	(void)state;
	refused("file:f", "file:\x1b[2J", "control characters in its trusted comment");
	refused("signature from", "\x1b[2J", "control characters in its untrusted comment");
}

static void
refuses_oversized_texts_and_comments(void **state)
{
	const struct keys_public key = their_key();
	static char large[MINISIGN_SIZE_MAX + 1];
	char comment[MINISIGN_COMMENT_MAX + 2];
	struct err e = {0};

	(void)state;
	memset(large, 'a', sizeof(large));
	assert_int_equal(check(large, sizeof(large), &key, theirs_data, 3, &e), ERR_SIGNATURE);
	assert_non_null(strstr(e.msg, "more than 8192"));
	memset(comment, 'a', sizeof(comment) - 1);
	comment[sizeof(comment) - 1] = '\0';
	refused("signature from minisign secret key", comment, "a comment of more than 1024 bytes");
}

static void
refuses_every_changed_bit_but_of_the_untrusted_comment(void **state)
{
	const struct keys_public key = their_key();
	const size_t first = strcspn(theirs, "\n") + 1;
	char text[sizeof(theirs)];

	(void)state;
	memcpy(text, theirs, sizeof(theirs));
	for (size_t i = first * 8; i < (strlen(theirs) - 1) * 8; i++) {
		text[i / 8] = (char)(text[i / 8] ^ (1 << i % 8));
		assert_int_equal(check(text, strlen(theirs), &key, theirs_data, 3, NULL), ERR_SIGNATURE);
		text[i / 8] = (char)(text[i / 8] ^ (1 << i % 8));
	}
	assert_int_equal(check(text, strlen(theirs), &key, theirs_data, 3, NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepts_what_minisign_signed),
	    cmocka_unit_test(accepts_what_it_signed),
	    cmocka_unit_test(refuses_to_sign_with_a_comment_of_several_lines),
	    cmocka_unit_test(refuses_changed_data),
	    cmocka_unit_test(refuses_another_key),
	    cmocka_unit_test(refuses_a_changed_trusted_comment),
	    cmocka_unit_test(refuses_the_old_unhashed_kind),
	    cmocka_unit_test(refuses_signature_with_trailing_bytes),
	    cmocka_unit_test(refuses_lines_that_are_missing_or_not_base64),
	    cmocka_unit_test(refuses_control_characters_in_comments),
	    cmocka_unit_test(refuses_oversized_texts_and_comments),
	    cmocka_unit_test(refuses_every_changed_bit_but_of_the_untrusted_comment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
