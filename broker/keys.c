/* broker/keys: Ed25519 key pairs and the files that hold them. Used by brigd (public ones) and the brig command. */

#include "broker/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/io.h"
#include "base/lines.h"

#define CHECKSUM_SIZE 32
#define SALT_SIZE     crypto_pwhash_scryptsalsa208sha256_SALTBYTES

/* What minisign's base64 lines hold. Only bytes, so the layout is the file's. */
struct public_line {
	uint8_t algorithm[2]; /* "Ed" */
	uint8_t number[KEYS_NUMBER_SIZE];
	uint8_t key[32];
};

struct secret_line {
	uint8_t algorithm[2]; /* "Ed" */
	uint8_t kdf[2];       /* "Sc" for scrypt, 0 0 for no password */
	uint8_t checksum_algorithm[2]; /* "B2" */
	uint8_t salt[SALT_SIZE];
	uint8_t operations[8]; /* little-endian: scrypt's cost */
	uint8_t memory[8];
	struct secret_box {
		uint8_t number[KEYS_NUMBER_SIZE];
		uint8_t key[64];
		uint8_t checksum[CHECKSUM_SIZE]; /* BLAKE2b-256 of algorithm | number | key; 0 without a password */
	} box;                                   /* XORed with scrypt's output when there is a password */
};

_Static_assert(sizeof(struct public_line) == 42, "minisign's public key");
_Static_assert(sizeof(struct secret_line) == 158, "minisign's secret key");

static const char comment_prefix[] = "untrusted comment: ";

#define WASMSIGN2_PUBLIC 0x01
#define WASMSIGN2_SECRET 0x81

void
keys_kid(const uint8_t key[32], uint8_t kid[KEYS_KID_SIZE])
{
	static const uint8_t label[] = {'k', 'e', 'y', '_', 'i', 'd'};
	crypto_auth_hmacsha256_state st;
	uint8_t mac[crypto_auth_hmacsha256_BYTES];

	crypto_auth_hmacsha256_init(&st, key, 32);
	crypto_auth_hmacsha256_update(&st, label, sizeof(label));
	crypto_auth_hmacsha256_final(&st, mac);
	memcpy(kid, mac, KEYS_KID_SIZE);
}

char *
keys_kid_text(const uint8_t key[32], char text[KEYS_KID_TEXT])
{
	uint8_t kid[KEYS_KID_SIZE];

	keys_kid(key, kid);
	return sodium_bin2hex(text, KEYS_KID_TEXT, kid, sizeof(kid));
}

char *
keys_number_text(const uint8_t number[KEYS_NUMBER_SIZE], char text[KEYS_NUMBER_TEXT])
{
	return sodium_bin2hex(text, KEYS_NUMBER_TEXT, number, KEYS_NUMBER_SIZE);
}

/* The key number of pairs that come without one. */
static void
number_from_key(const uint8_t key[32], uint8_t number[KEYS_NUMBER_SIZE])
{
	uint8_t kid[KEYS_KID_SIZE];

	keys_kid(key, kid);
	memcpy(number, kid, KEYS_NUMBER_SIZE);
}

int
keys_generate(struct keys_secret *secret, struct err *e)
{
	uint8_t public[32];

	if (sodium_init() < 0)
		return err_set(e, ERR_IO, "no source of randomness: getrandom and /dev/urandom both fail");
	(void)sodium_mlock(secret, sizeof(*secret));
	crypto_sign_ed25519_keypair(public, secret->key);
	number_from_key(public, secret->number);
	return 0;
}

struct keys_public
keys_public_of(const struct keys_secret *secret)
{
	struct keys_public public;

	memcpy(public.number, secret->number, sizeof(public.number));
	memcpy(public.key, secret->key + 32, sizeof(public.key));
	return public;
}

void
keys_forget(struct keys_secret *secret)
{
	if (secret == NULL)
		return;
	sodium_munlock(secret, sizeof(*secret)); /* wipes it first */
	sodium_memzero(secret, sizeof(*secret));
}

/* Takes the base64 line of a minisign key file: the second of two lines, or, when `alone` is allowed, the only one. */
static bool
base64_line(const uint8_t *data, size_t length, bool alone, const char **line, size_t *line_length)
{
	struct lines l = {(const char *)data, (const char *)data + length};
	const size_t prefix = sizeof(comment_prefix) - 1;
	const char *first;
	size_t first_length;

	if (!lines_next(&l, &first, &first_length))
		return false;
	if (first_length < prefix || memcmp(first, comment_prefix, prefix) != 0) {
		*line = first;
		*line_length = first_length;
		return alone && l.next == l.end;
	}
	return lines_printable(first, first_length) && lines_next(&l, line, line_length) && l.next == l.end;
}

static int
public_from_minisign(const uint8_t *data, size_t length, struct keys_public *out, struct err *e)
{
	struct public_line p;
	const char *line;
	size_t line_length;

	if (!base64_line(data, length, true, &line, &line_length) || !base64_decode_exact(line, line_length, &p, sizeof(p)) ||
	    memcmp(p.algorithm, "Ed", 2) != 0)
		return err_set(e, ERR_INVAL, "not a public key: neither minisign's (a comment line and a base64 line "
		    "that starts with RW) nor wasmsign2's (33 bytes); `brig keygen` makes one");
	memcpy(out->number, p.number, sizeof(p.number));
	memcpy(out->key, p.key, sizeof(p.key));
	return 0;
}

int
keys_public_decode(const uint8_t *data, size_t length, struct keys_public *out, struct err *e)
{
	struct keys_public key;
	int rc;

	if (length == 33 && data[0] == WASMSIGN2_PUBLIC) {
		memcpy(key.key, data + 1, sizeof(key.key));
		number_from_key(key.key, key.number);
	} else if ((rc = public_from_minisign(data, length, &key, e)) != 0) {
		return rc;
	}
	if (!crypto_core_ed25519_is_valid_point(key.key))
		return err_set(e, ERR_INVAL, "not a public key: these 32 bytes are no Ed25519 point that could sign");
	*out = key;
	return 0;
}

static uint64_t
little_endian(const uint8_t bytes[8])
{
	uint64_t n = 0;

	for (int i = 7; i >= 0; i--)
		n = n << 8 | bytes[i];
	return n;
}

static void
checksum(const struct secret_line *s, uint8_t out[CHECKSUM_SIZE])
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, NULL, 0, CHECKSUM_SIZE);
	crypto_generichash_update(&st, s->algorithm, sizeof(s->algorithm));
	crypto_generichash_update(&st, s->box.number, sizeof(s->box.number));
	crypto_generichash_update(&st, s->box.key, sizeof(s->box.key));
	crypto_generichash_final(&st, out, CHECKSUM_SIZE);
	sodium_memzero(&st, sizeof(st));
}

/* Opens the box of a key that has a password. The costs are the file's, up to what minisign itself asks for. */
static int
open_box(struct secret_line *s, const char *password, struct err *e)
{
	uint64_t operations = little_endian(s->operations), memory = little_endian(s->memory);
	uint8_t *box = (uint8_t *)&s->box;
	uint8_t stream[sizeof(s->box)], sum[CHECKSUM_SIZE];
	int rc = 0;

	if (password == NULL)
		return err_set(e, ERR_DENIED, "this secret key needs its password");
	if (operations > crypto_pwhash_scryptsalsa208sha256_OPSLIMIT_SENSITIVE ||
	    memory > crypto_pwhash_scryptsalsa208sha256_MEMLIMIT_SENSITIVE)
		return err_set(e, ERR_INVAL, "this secret key asks for more work or memory to open than minisign ever does");
	if (crypto_pwhash_scryptsalsa208sha256(stream, sizeof(stream), password, strlen(password), s->salt,
	    operations, memory) != 0)
		return err_set(e, ERR_NOMEM, "opening this secret key takes %ju bytes of memory", (uintmax_t)memory);
	for (size_t i = 0; i < sizeof(stream); i++)
		box[i] ^= stream[i];
	checksum(s, sum);
	if (sodium_memcmp(sum, s->box.checksum, sizeof(sum)) != 0)
		rc = err_set(e, ERR_DENIED, "the password does not open this secret key");
	sodium_memzero(stream, sizeof(stream));
	sodium_memzero(sum, sizeof(sum));
	return rc;
}

static int
secret_from_minisign(const uint8_t *data, size_t length, const char *password, struct keys_secret *out, struct err *e)
{
	struct secret_line s;
	const char *line;
	size_t line_length;
	int rc;

	if (!base64_line(data, length, false, &line, &line_length) || !base64_decode_exact(line, line_length, &s, sizeof(s)) ||
	    memcmp(s.algorithm, "Ed", 2) != 0 || memcmp(s.checksum_algorithm, "B2", 2) != 0) {
		rc = err_set(e, ERR_INVAL, "not a secret key: neither minisign's (a comment line and a base64 line that "
		    "starts with RW) nor wasmsign2's (65 bytes); `brig keygen` makes one");
		goto out;
	}
	if (memcmp(s.kdf, "Sc", 2) == 0)
		rc = open_box(&s, password, e);
	else if (memcmp(s.kdf, "\0\0", 2) == 0)
		rc = 0;
	else
		rc = err_set(e, ERR_INVAL, "not a secret key: its password scheme is neither scrypt nor none");
	if (rc != 0)
		goto out;
	memcpy(out->number, s.box.number, sizeof(out->number));
	memcpy(out->key, s.box.key, sizeof(out->key));
out:
	sodium_memzero(&s, sizeof(s));
	return rc;
}

/* A public half that is not the seed's would make signing leak the seed. */
static int
check_halves(const struct keys_secret *secret, struct err *e)
{
	uint8_t public[32], again[64];
	int rc = 0;

	crypto_sign_ed25519_seed_keypair(public, again, secret->key);
	if (sodium_memcmp(again, secret->key, sizeof(again)) != 0)
		rc = err_set(e, ERR_INVAL, "this secret key is damaged: its public half is not its seed's");
	sodium_memzero(again, sizeof(again));
	return rc;
}

int
keys_secret_decode(const uint8_t *data, size_t length, const char *password, struct keys_secret *out,
    struct err *e)
{
	struct keys_secret secret;
	int rc = 0;

	if (length == 65 && data[0] == WASMSIGN2_SECRET) {
		memcpy(secret.key, data + 1, sizeof(secret.key));
		number_from_key(secret.key + 32, secret.number);
	} else {
		rc = secret_from_minisign(data, length, password, &secret, e);
	}
	if (rc == 0)
		rc = check_halves(&secret, e);
	if (rc == 0) {
		(void)sodium_mlock(out, sizeof(*out));
		*out = secret;
	}
	sodium_memzero(&secret, sizeof(secret));
	return rc;
}

/* Writes the two lines of a minisign key file. */
static size_t
put_lines(uint8_t out[KEYS_FILE_MAX], const char *what, const char *name, const void *line, size_t size)
{
	char base64[sodium_base64_ENCODED_LEN(sizeof(struct secret_line), sodium_base64_VARIANT_ORIGINAL)];
	int n;

	sodium_bin2base64(base64, sizeof(base64), line, size, sodium_base64_VARIANT_ORIGINAL);
	n = snprintf((char *)out, KEYS_FILE_MAX, "%s%s %s\n%s\n", comment_prefix, what, name, base64);
	sodium_memzero(base64, sizeof(base64));
	return (size_t)n;
}

void
keys_public_encode(const struct keys_public *key, enum keys_format format, uint8_t out[KEYS_FILE_MAX],
    size_t *length)
{
	struct public_line p = {.algorithm = {'E', 'd'}};
	char kid[KEYS_KID_TEXT];

	if (format == KEYS_WASMSIGN2) {
		out[0] = WASMSIGN2_PUBLIC;
		memcpy(out + 1, key->key, sizeof(key->key));
		*length = 33;
		return;
	}
	memcpy(p.number, key->number, sizeof(p.number));
	memcpy(p.key, key->key, sizeof(p.key));
	*length = put_lines(out, "brig public key", keys_kid_text(key->key, kid), &p, sizeof(p));
}

void
keys_secret_encode(const struct keys_secret *key, enum keys_format format, uint8_t out[KEYS_FILE_MAX],
    size_t *length)
{
	struct secret_line s = {.algorithm = {'E', 'd'}, .checksum_algorithm = {'B', '2'}};
	char kid[KEYS_KID_TEXT];

	if (format == KEYS_WASMSIGN2) {
		out[0] = WASMSIGN2_SECRET;
		memcpy(out + 1, key->key, sizeof(key->key));
		*length = 65;
		return;
	}
	memcpy(s.box.number, key->number, sizeof(s.box.number));
	memcpy(s.box.key, key->key, sizeof(s.box.key));
	*length = put_lines(out, "brig secret key", keys_kid_text(key->key + 32, kid), &s, sizeof(s));
	sodium_memzero(&s, sizeof(s));
}

/* Asks on the terminal `fd` and reads a line with echo off; off first, since what was typed before is thrown away. */
static int
ask_without_echo(int fd, const char *path, char *line, size_t size, struct err *e)
{
	struct termios before, quiet;
	ssize_t n;

	if (tcgetattr(fd, &before) != 0)
		return err_sys(e, ERR_IO, "/dev/tty");
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(fd, TCSAFLUSH, &quiet);
	dprintf(fd, "Password of %s: ", path);
	n = read(fd, line, size - 1);
	tcsetattr(fd, TCSAFLUSH, &before);
	(void)io_write_all(fd, "\n", 1, NULL);
	if (n <= 0 || line[n - 1] != '\n') {
		sodium_memzero(line, size);
		return err_set(e, ERR_IO, "no password read");
	}
	line[n - 1] = '\0';
	return 0;
}

int
keys_ask_terminal(const char *path, char *password, size_t size, struct err *e)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	int rc;

	if (fd < 0)
		return err_set(e, ERR_UNSUPPORTED, "no terminal to ask for the password of %s", path);
	rc = ask_without_echo(fd, path, password, size, e);
	close(fd);
	return rc;
}

int
keys_read_public(const char *path, struct keys_public *out, struct err *e)
{
	uint8_t *data;
	size_t length;
	int rc;

	if ((rc = io_read_file(path, KEYS_FILE_MAX, &data, &length, e)) != 0)
		return rc;
	if ((rc = keys_public_decode(data, length, out, e)) != 0)
		err_context(e, "%s", path);
	sodium_memzero(data, length); /* it may be a secret key, named by mistake */
	free(data);
	return rc;
}

int
keys_read_secret(const char *path, keys_ask *ask, struct keys_secret *out, struct err *e)
{
	char password[1024] = "";
	uint8_t *data;
	size_t length;
	int rc;

	if ((rc = io_read_file(path, KEYS_FILE_MAX, &data, &length, e)) != 0)
		return rc;
	rc = keys_secret_decode(data, length, NULL, out, e);
	if (rc == ERR_DENIED && ask != NULL && (rc = ask(path, password, sizeof(password), e)) == 0)
		rc = keys_secret_decode(data, length, password, out, e);
	if (rc != 0)
		err_context(e, "%s", path);
	sodium_memzero(password, sizeof(password));
	sodium_memzero(data, length);
	free(data);
	return rc;
}

/* Makes the file under another name and links it into place, so that it is never there in part. */
static int
write_new(const char *path, const void *data, size_t length, mode_t mode, struct err *e)
{
	char *temp = NULL;
	int fd = -1, rc;

	if (asprintf(&temp, "%s.XXXXXX", path) < 0)
		return err_set(e, ERR_NOMEM, "a path");
	if ((fd = mkostemp(temp, O_CLOEXEC)) < 0) {
		rc = err_sys(e, ERR_IO, "%s", temp);
		goto out;
	}
	if ((rc = io_write_all(fd, data, length, e)) != 0)
		goto unlink;
	if (fchmod(fd, mode) != 0 || fsync(fd) != 0)
		rc = err_sys(e, ERR_IO, "%s", temp);
	else if (link(temp, path) != 0)
		rc = errno == EEXIST ? err_set(e, ERR_EXISTS, "%s is there already, and is not overwritten", path)
		                     : err_sys(e, ERR_IO, "%s", path);
unlink:
	unlink(temp);
	close(fd);
out:
	free(temp);
	return rc;
}

int
keys_write_public(const char *path, const struct keys_public *key, enum keys_format format, struct err *e)
{
	uint8_t data[KEYS_FILE_MAX];
	size_t length;

	keys_public_encode(key, format, data, &length);
	return write_new(path, data, length, 0644, e);
}

int
keys_write_secret(const char *path, const struct keys_secret *key, enum keys_format format, struct err *e)
{
	uint8_t data[KEYS_FILE_MAX];
	size_t length;
	int rc;

	keys_secret_encode(key, format, data, &length);
	rc = write_new(path, data, length, 0600, e);
	sodium_memzero(data, sizeof(data));
	return rc;
}
