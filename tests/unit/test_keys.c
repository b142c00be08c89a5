/* Unit tests of broker/keys: key files of both kinds, made here and by others. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/keys.h"

/* RFC 8032, 7.1, TEST 1; its key id was computed with `openssl mac -digest SHA256 -macopt hexkey:... HMAC`. */
static const char rfc_seed[] = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
static const char rfc_public[] = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
static const char rfc_kid[] = "58fb94a6933f01b8b7707a8b";

/* Made with minisign 0.11: -G -W. */
static const char minisign_public[] =
    "untrusted comment: minisign public key F7266EECD4F0EACD\n"
    "RWTN6vDU7G4m97bZ2QRIn63xLdbIJlTQDSyYICFHUi7NxwSUrVmDdcev\n";
static const char minisign_secret[] =
    "untrusted comment: minisign encrypted secret key\n"
    "RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAzerw1OxuJveE2yces44j47+f+q8B0Rzu42FS"
    "zfPG4A5k/wKXNCjGJbbZ2QRIn63xLdbIJlTQDSyYICFHUi7NxwSUrVmDdcevAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

static void
from_hex(const char *hex, uint8_t *out, size_t size)
{
	size_t got;

	assert_int_equal(sodium_hex2bin(out, size, hex, strlen(hex), NULL, &got, NULL), 0);
	assert_int_equal(got, size);
}

static int
decode_public(const void *data, size_t length, struct keys_public *out)
{
	return keys_public_decode(data, length, out, NULL);
}

static int
decode_secret(const void *data, size_t length, struct keys_secret *out)
{
	return keys_secret_decode(data, length, NULL, out, NULL);
}

static void
key_id_is_the_hmac_of_the_public_key(void **state)
{
	char kid[KEYS_KID_TEXT];
	uint8_t key[32];

	(void)state;
	from_hex(rfc_public, key, sizeof(key));
	assert_string_equal(keys_kid_text(key, kid), rfc_kid);
}

static void
reads_wasmsign2_keys_and_numbers_them_by_key_id(void **state)
{
	uint8_t public_file[33] = {0x01}, secret_file[65] = {0x81};
	struct keys_public public;
	struct keys_secret secret;
	char number[KEYS_NUMBER_TEXT];

	(void)state;
	from_hex(rfc_public, public_file + 1, 32);
	from_hex(rfc_seed, secret_file + 1, 32);
	from_hex(rfc_public, secret_file + 33, 32);
	assert_int_equal(decode_public(public_file, 33, &public), 0);
	assert_int_equal(decode_secret(secret_file, 65, &secret), 0);
	assert_memory_equal(public.key, public_file + 1, 32);
	assert_memory_equal(secret.key, secret_file + 1, 64);
	assert_memory_equal(public.number, secret.number, KEYS_NUMBER_SIZE);
	assert_memory_equal(keys_number_text(public.number, number), rfc_kid, 16);
}

static void
reads_minisign_keys_without_password(void **state)
{
	struct keys_public public, half;
	struct keys_secret secret;
	const char *line = strchr(minisign_public, '\n') + 1;
	char number[KEYS_NUMBER_TEXT];

	(void)state;
	assert_int_equal(decode_public(minisign_public, strlen(minisign_public), &public), 0);
	assert_int_equal(decode_secret(minisign_secret, strlen(minisign_secret), &secret), 0);
	half = keys_public_of(&secret);
	assert_memory_equal(&half, &public, sizeof(public));
	assert_string_equal(keys_number_text(public.number, number), "cdeaf0d4ec6e26f7");
	assert_int_equal(decode_public(line, strlen(line), &half), 0); /* the base64 line alone, as minisign -P takes it */
	assert_memory_equal(&half, &public, sizeof(public));
	assert_int_equal(decode_public(line, strlen(line) - 1, &half), 0);
}

/* The box of minisign's own format with a password, at scrypt's smallest cost so that the test is quick. */
static void
make_locked_key(const char *password, const struct keys_secret *secret, char text[512])
{
	static const char password_scheme[] = {'E', 'd', 'S', 'c', 'B', '2'};
	uint8_t plain[74], line[158] = {0}, stream[104];
	char base64[256];

	memcpy(line, password_scheme, 6);
	memset(line + 6, 0x5a, 32);
	line[39] = 0x80; /* 32768 operations */
	line[48] = 0x00;
	line[49] = 0x01; /* 16 MiB: little-endian at 46 */
	memcpy(line + 54, secret->number, 8);
	memcpy(line + 62, secret->key, 64);
	memcpy(plain, "Ed", 2);
	memcpy(plain + 2, line + 54, 72);
	crypto_generichash(line + 126, 32, plain, sizeof(plain), NULL, 0);
	assert_int_equal(crypto_pwhash_scryptsalsa208sha256(stream, sizeof(stream), password, strlen(password), line + 6,
	    32768, 16777216), 0);
	for (size_t i = 0; i < sizeof(stream); i++)
		line[54 + i] ^= stream[i];
	sodium_bin2base64(base64, sizeof(base64), line, sizeof(line), sodium_base64_VARIANT_ORIGINAL);
	snprintf(text, 512, "untrusted comment: locked\n%s\n", base64);
}

static void
opens_a_key_with_its_password_and_with_no_other(void **state)
{
	struct keys_secret secret, opened = {0};
	struct err e = {0};
	char text[512];

	(void)state;
	assert_int_equal(keys_generate(&secret, NULL), 0);
	make_locked_key("open sesame", &secret, text);
	assert_int_equal(keys_secret_decode((uint8_t *)text, strlen(text), NULL, &opened, &e), ERR_DENIED);
	assert_non_null(strstr(e.msg, "needs its password"));
	assert_int_equal(keys_secret_decode((uint8_t *)text, strlen(text), "open barley", &opened, &e), ERR_DENIED);
	assert_non_null(strstr(e.msg, "does not open"));
	assert_true(sodium_is_zero((uint8_t *)&opened, sizeof(opened)));
	assert_int_equal(keys_secret_decode((uint8_t *)text, strlen(text), "open sesame", &opened, &e), 0);
	assert_memory_equal(&opened, &secret, sizeof(secret));
}

static void
refuses_a_key_that_asks_for_unbounded_work(void **state)
{
	uint8_t line[158] = {'E', 'd', 'S', 'c', 'B', '2'};
	struct keys_secret secret;
	char base64[256], text[512];
	struct err e = {0};

	(void)state;
	memset(line + 38, 0x7f, 16);
	sodium_bin2base64(base64, sizeof(base64), line, sizeof(line), sodium_base64_VARIANT_ORIGINAL);
	snprintf(text, sizeof(text), "untrusted comment: x\n%s\n", base64);
	assert_int_equal(keys_secret_decode((uint8_t *)text, strlen(text), "x", &secret, &e), ERR_INVAL);
	assert_non_null(strstr(e.msg, "more work or memory"));
}

static void
refuses_a_secret_key_whose_halves_do_not_belong_together(void **state)
{
	uint8_t file[65] = {0x81};
	struct keys_secret secret;
	struct err e = {0};

	(void)state;
	from_hex(rfc_seed, file + 1, 32);
	from_hex(rfc_public, file + 33, 32);
	file[1] ^= 1;
	assert_int_equal(keys_secret_decode(file, sizeof(file), NULL, &secret, &e), ERR_INVAL);
	assert_non_null(strstr(e.msg, "damaged"));
}

static void
refuses_public_keys_that_could_not_sign(void **state)
{
	uint8_t file[33] = {0x01};
	struct keys_public key;

	(void)state;
	assert_int_equal(decode_public(file, 33, &key), ERR_INVAL); /* a point of order 4 */
	file[1] = 1;
	assert_int_equal(decode_public(file, 33, &key), ERR_INVAL); /* the neutral element */
	memset(file + 1, 0xff, 32);
	assert_int_equal(decode_public(file, 33, &key), ERR_INVAL); /* not canonical */
}

static void
refuses_files_with_missing_or_trailing_bytes(void **state)
{
	const size_t public_length = strlen(minisign_public), secret_length = strlen(minisign_secret);
	struct keys_public public;
	struct keys_secret secret;
	uint8_t binary[66] = {0x81};
	char text[1024];

	(void)state;
	for (size_t n = 0; n < public_length - 1; n++)
		assert_int_equal(decode_public(minisign_public, n, &public), ERR_INVAL);
	for (size_t n = 0; n < secret_length - 1; n++)
		assert_int_equal(decode_secret(minisign_secret, n, &secret), ERR_INVAL);
	snprintf(text, sizeof(text), "%s\n", minisign_public);
	assert_int_equal(decode_public(text, strlen(text), &public), ERR_INVAL);
	snprintf(text, sizeof(text), "%s\n", minisign_secret);
	assert_int_equal(decode_secret(text, strlen(text), &secret), ERR_INVAL);
	from_hex(rfc_seed, binary + 1, 32);
	from_hex(rfc_public, binary + 33, 32);
	assert_int_equal(decode_secret(binary, 64, &secret), ERR_INVAL);
	assert_int_equal(decode_secret(binary, 65, &secret), 0);
	assert_int_equal(decode_secret(binary, 66, &secret), ERR_INVAL);
}

static void
a_secret_key_is_not_taken_for_a_public_one(void **state)
{
	struct keys_public public;
	struct keys_secret secret;

	(void)state;
	assert_int_equal(decode_public(minisign_secret, strlen(minisign_secret), &public), ERR_INVAL);
	assert_int_equal(decode_secret(minisign_public, strlen(minisign_public), &secret), ERR_INVAL);
}

static void
what_it_writes_it_reads(void **state)
{
	struct keys_secret secret, again;
	struct keys_public public, public_again;
	uint8_t file[KEYS_FILE_MAX];
	size_t length;

	(void)state;
	assert_int_equal(keys_generate(&secret, NULL), 0);
	public = keys_public_of(&secret);
	for (enum keys_format format = KEYS_MINISIGN; format <= KEYS_WASMSIGN2; format++) {
		keys_secret_encode(&secret, format, file, &length);
		assert_int_equal(decode_secret(file, length, &again), 0);
		assert_memory_equal(&again, &secret, sizeof(secret));
		keys_public_encode(&public, format, file, &length);
		assert_int_equal(decode_public(file, length, &public_again), 0);
		assert_memory_equal(&public_again, &public, sizeof(public));
	}
}

static void
writes_secret_files_for_the_owner_only_and_never_over_another(void **state)
{
	char directory[] = "/tmp/brig-keys.XXXXXX", path[64];
	struct keys_secret secret, again;
	struct stat st;
	struct err e = {0};

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/a.key", directory);
	assert_int_equal(keys_generate(&secret, NULL), 0);
	assert_int_equal(keys_write_secret(path, &secret, KEYS_MINISIGN, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(keys_write_secret(path, &secret, KEYS_MINISIGN, &e), ERR_EXISTS);
	assert_int_equal(keys_read_secret(path, NULL, &again, &e), 0);
	assert_memory_equal(&again, &secret, sizeof(secret));
	unlink(path);
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_int_equal(keys_write_secret(path, &secret, KEYS_MINISIGN, &e), ERR_EXISTS); /* nor through a link */
	unlink(path);
	assert_int_equal(keys_read_secret(path, NULL, &again, &e), ERR_NOTFOUND);
	assert_int_equal(rmdir(directory), 0); /* no temporary file left */
}

static void
forgetting_wipes(void **state)
{
	struct keys_secret secret;

	(void)state;
	assert_int_equal(keys_generate(&secret, NULL), 0);
	keys_forget(&secret);
	assert_true(sodium_is_zero((uint8_t *)&secret, sizeof(secret)));
	keys_forget(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(key_id_is_the_hmac_of_the_public_key),
	    cmocka_unit_test(reads_wasmsign2_keys_and_numbers_them_by_key_id),
	    cmocka_unit_test(reads_minisign_keys_without_password),
	    cmocka_unit_test(opens_a_key_with_its_password_and_with_no_other),
	    cmocka_unit_test(refuses_a_key_that_asks_for_unbounded_work),
	    cmocka_unit_test(refuses_a_secret_key_whose_halves_do_not_belong_together),
	    cmocka_unit_test(refuses_public_keys_that_could_not_sign),
	    cmocka_unit_test(refuses_files_with_missing_or_trailing_bytes),
	    cmocka_unit_test(a_secret_key_is_not_taken_for_a_public_one),
	    cmocka_unit_test(what_it_writes_it_reads),
	    cmocka_unit_test(writes_secret_files_for_the_owner_only_and_never_over_another),
	    cmocka_unit_test(forgetting_wipes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
