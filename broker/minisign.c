/* broker/minisign: detached signatures in minisign's format. Pure; used by brigd and the brig command. */

#include "broker/minisign.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/lines.h"

static const char untrusted_prefix[] = "untrusted comment: ";
static const char trusted_prefix[] = "trusted comment: ";

/* What the first base64 line holds; only bytes, so the layout is the file's. */
struct signature_line {
	uint8_t algorithm[2]; /* "ED": Ed25519 over BLAKE2b-512 */
	uint8_t number[KEYS_NUMBER_SIZE];
	uint8_t signature[64];
};
_Static_assert(sizeof(struct signature_line) == 74, "minisign's signature");

#define SIGNATURE_BASE64 sodium_base64_ENCODED_LEN(sizeof(struct signature_line), sodium_base64_VARIANT_ORIGINAL)
#define COMMENT_BASE64   sodium_base64_ENCODED_LEN(64, sodium_base64_VARIANT_ORIGINAL)

/* Takes a line "<prefix><comment>"; what it lacks is said in *e. */
static int
take_comment(struct lines *l, const char *prefix, const char **comment, size_t *length, struct err *e)
{
	size_t skip = strlen(prefix), n;
	const char *line;

	if (!lines_next(l, &line, &n) || n < skip || memcmp(line, prefix, skip) != 0)
		return err_set(e, ERR_SIGNATURE, "not a minisign signature: the line \"%s...\" is not where it should be",
		    prefix);
	if (n - skip > MINISIGN_COMMENT_MAX)
		return err_set(e, ERR_SIGNATURE, "not a minisign signature: a comment of more than %d bytes",
		    MINISIGN_COMMENT_MAX);
	if (!lines_printable(line, n))
		return err_set(e, ERR_SIGNATURE, "not a minisign signature: control characters in its %s",
		    prefix == trusted_prefix ? "trusted comment" : "untrusted comment");
	*comment = line + skip;
	*length = n - skip;
	return 0;
}

/* Takes a line of base64 that gives exactly out[0..size]. */
static int
take_base64(struct lines *l, const char *what, void *out, size_t size, struct err *e)
{
	const char *line;
	size_t n;

	if (!lines_next(l, &line, &n) || !base64_decode_exact(line, n, out, size))
		return err_set(e, ERR_SIGNATURE, "not a minisign signature: the %s is not %zu bytes in base64", what, size);
	return 0;
}

int
minisign_parse(const char *text, size_t length, struct minisign *out, struct err *e)
{
	struct lines l = {text, text + length};
	struct signature_line s;
	struct minisign m;
	const char *ignored;
	size_t ignored_length;
	int rc;

	if (length > MINISIGN_SIZE_MAX)
		return err_set(e, ERR_SIGNATURE, "not a minisign signature: %zu bytes, more than %d", length,
		    MINISIGN_SIZE_MAX);
	if ((rc = take_comment(&l, untrusted_prefix, &ignored, &ignored_length, e)) != 0 ||
	    (rc = take_base64(&l, "signature line", &s, sizeof(s), e)) != 0)
		return rc;
	if (memcmp(s.algorithm, "Ed", 2) == 0)
		return err_set(e, ERR_SIGNATURE, "a minisign signature of the old kind, over the file unhashed: sign again "
		    "with minisign 0.10 or later, or with `brig sign --detached`");
	if (memcmp(s.algorithm, "ED", 2) != 0)
		return err_set(e, ERR_SIGNATURE, "not a minisign signature: algorithm %02x%02x, and only ED (4544) is known",
		    s.algorithm[0], s.algorithm[1]);
	if ((rc = take_comment(&l, trusted_prefix, &m.comment, &m.comment_length, e)) != 0 ||
	    (rc = take_base64(&l, "trusted comment's signature", m.comment_signature, 64, e)) != 0)
		return rc;
	if (l.next != l.end)
		return err_set(e, ERR_SIGNATURE, "not a minisign signature: %zu bytes follow its four lines",
		    (size_t)(l.end - l.next));
	memcpy(m.number, s.number, sizeof(m.number));
	memcpy(m.signature, s.signature, sizeof(m.signature));
	*out = m;
	return 0;
}

/* What the second signature is over: the first one and the trusted comment. Returns its length. */
static size_t
comment_message(const uint8_t signature[64], const char *comment, size_t length,
    uint8_t message[64 + MINISIGN_COMMENT_MAX])
{
	memcpy(message, signature, 64);
	memcpy(message + 64, comment, length);
	return 64 + length;
}

void
minisign_hash(const void *data, size_t length, uint8_t hash[MINISIGN_HASH_SIZE])
{
	crypto_generichash(hash, MINISIGN_HASH_SIZE, data, length, NULL, 0);
}

int
minisign_verify_hash(const struct minisign *sig, const struct keys_public *key,
    const uint8_t hash[MINISIGN_HASH_SIZE], struct err *e)
{
	uint8_t message[64 + MINISIGN_COMMENT_MAX];
	char number[KEYS_NUMBER_TEXT], kid[KEYS_KID_TEXT];
	size_t message_length;

	if (memcmp(sig->number, key->number, sizeof(sig->number)) != 0)
		return err_set(e, ERR_SIGNATURE, "the detached signature is by key number %s, not by key %s",
		    keys_number_text(sig->number, number), keys_kid_text(key->key, kid));
	if (crypto_sign_ed25519_verify_detached(sig->signature, hash, MINISIGN_HASH_SIZE, key->key) != 0)
		return err_set(e, ERR_SIGNATURE, "the detached signature does not fit these bytes: they were changed after "
		    "signing, or it belongs to another file");
	message_length = comment_message(sig->signature, sig->comment, sig->comment_length, message);
	if (crypto_sign_ed25519_verify_detached(sig->comment_signature, message, message_length, key->key) != 0)
		return err_set(e, ERR_SIGNATURE, "the detached signature's trusted comment was changed after signing");
	return 0;
}

int
minisign_verify(const struct minisign *sig, const struct keys_public *key, const void *data, size_t length,
    struct err *e)
{
	uint8_t hash[MINISIGN_HASH_SIZE];

	minisign_hash(data, length, hash);
	return minisign_verify_hash(sig, key, hash, e);
}

int
minisign_sign(const struct keys_secret *key, const void *data, size_t length, const char *comment, char **text,
    struct err *e)
{
	struct signature_line s = {.algorithm = {'E', 'D'}};
	uint8_t hash[MINISIGN_HASH_SIZE], message[64 + MINISIGN_COMMENT_MAX], second[64];
	char base64[SIGNATURE_BASE64], base64_second[COMMENT_BASE64], kid[KEYS_KID_TEXT];
	size_t comment_length = strlen(comment), message_length;

	if (comment_length > MINISIGN_COMMENT_MAX || !lines_printable(comment, comment_length))
		return err_set(e, ERR_INVAL, "a trusted comment is one line of printable text, at most %d bytes",
		    MINISIGN_COMMENT_MAX);
	memcpy(s.number, key->number, sizeof(s.number));
	minisign_hash(data, length, hash);
	crypto_sign_ed25519_detached(s.signature, NULL, hash, sizeof(hash), key->key);
	message_length = comment_message(s.signature, comment, comment_length, message);
	crypto_sign_ed25519_detached(second, NULL, message, message_length, key->key);
	sodium_bin2base64(base64, sizeof(base64), (const uint8_t *)&s, sizeof(s), sodium_base64_VARIANT_ORIGINAL);
	sodium_bin2base64(base64_second, sizeof(base64_second), second, sizeof(second),
	    sodium_base64_VARIANT_ORIGINAL);
	if (asprintf(text, "%ssignature by brig key %s\n%s\n%s%s\n%s\n", untrusted_prefix,
	    keys_kid_text(key->key + 32, kid), base64, trusted_prefix, comment, base64_second) < 0)
		return err_set(e, ERR_NOMEM, "a signature");
	return 0;
}
