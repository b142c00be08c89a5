/* broker/wasmsig: the signature embedded in a core WebAssembly module. Pure; used by brigd and the brig command. */

#include "broker/wasmsig.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SECTION_CUSTOM 0
#define SECTION_START  8
#define ALGORITHM_ED25519 1
#define SIGNATURE_SIZE 64

static const uint8_t core_header[WASMSIG_HEADER_SIZE] = {0, 'a', 's', 'm', 1, 0, 0, 0};
static const uint8_t component_header[WASMSIG_HEADER_SIZE] = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};

/* The specification's version, content type (module) and hash (SHA-256): in the envelope and in what is signed. */
static const uint8_t envelope_version[3] = {1, 1, 1};
static const char domain[7] = {'w', 'a', 's', 'm', 's', 'i', 'g'};
#define MESSAGE_SIZE (sizeof(domain) + sizeof(envelope_version) + 32)

static const char name_signature[] = "signature";
static const char name_delimiter[] = "signature_delimiter";

/* What is still unread. */
struct cursor {
	const uint8_t *p;
	const uint8_t *end;
};

static size_t
left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}

/*
 * Reads an unsigned LEB128 number of at most 32 bits (WebAssembly core, 5.2.2). A module may write it longer than need
 * be; an envelope may not, when `minimal`.
 */
static bool
take_leb(struct cursor *c, bool minimal, uint32_t *out)
{
	uint32_t value = 0;

	for (int shift = 0; shift < 35; shift += 7) {
		uint8_t byte;

		if (left(c) == 0)
			return false;
		byte = *c->p++;
		if (shift == 28 && byte > 0x0f)
			return false;
		value |= (uint32_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) != 0)
			continue;
		if (minimal && shift > 0 && byte == 0)
			return false;
		*out = value;
		return true;
	}
	return false;
}

/* Cuts off the next n bytes as a cursor of their own. */
static bool
take_part(struct cursor *c, uint32_t n, struct cursor *part)
{
	if (n > left(c))
		return false;
	part->p = c->p;
	part->end = c->p + n;
	c->p = part->end;
	return true;
}

/* One section: where it starts, its id, and its body, for a custom one without its name. */
struct section {
	size_t offset;
	uint8_t id;
	struct cursor name;
	struct cursor body;
	bool minimal; /* its size and name length are written in as few bytes as can be */
};

static bool
named(const struct section *s, const char *name)
{
	return s->id == SECTION_CUSTOM && left(&s->name) == strlen(name) && memcmp(s->name.p, name, strlen(name)) == 0;
}

/* Reads a length in its short form, or else in any, and says which it was. */
static bool
take_length(struct cursor *c, bool *minimal, uint32_t *length)
{
	struct cursor again = *c;

	if (take_leb(c, true, length))
		return true;
	*minimal = false;
	*c = again;
	return take_leb(c, false, length);
}

static int
take_section(struct cursor *c, const uint8_t *wasm, struct section *s, struct err *e)
{
	uint32_t length;

	*s = (struct section){.offset = (size_t)(c->p - wasm), .minimal = true};
	s->id = *c->p++;
	if (!take_length(c, &s->minimal, &length) || !take_part(c, length, &s->body))
		return err_set(e, ERR_INVAL, "not a whole module: the section at byte %zu runs past its end", s->offset);
	if (s->id != SECTION_CUSTOM)
		return 0;
	if (!take_length(&s->body, &s->minimal, &length) || !take_part(&s->body, length, &s->name))
		return err_set(e, ERR_INVAL, "not a module: the custom section at byte %zu has no whole name", s->offset);
	return 0;
}

/* Reads a byte that can only be `want`. */
static int
need_byte(struct cursor *c, uint8_t want, const char *what, struct err *e)
{
	if (left(c) == 0)
		return err_set(e, ERR_SIGNATURE, "the signature section ends before its %s", what);
	if (*c->p != want)
		return err_set(e, ERR_SIGNATURE, "the signature section's %s is %u and must be %u", what, *c->p, want);
	c->p++;
	return 0;
}

static int
need_bytes(struct cursor *c, const char *what, void *out, uint32_t size, struct err *e)
{
	struct cursor part;

	if (!take_part(c, size, &part))
		return err_set(e, ERR_SIGNATURE, "the signature section ends within its %s", what);
	memcpy(out, part.p, size);
	return 0;
}

/* Reads a length and cuts off that many bytes, which must be all there are. */
static int
need_whole_part(struct cursor *c, const char *what, struct err *e)
{
	uint32_t length;

	if (!take_leb(c, true, &length))
		return err_set(e, ERR_SIGNATURE, "the length of the signature section's %s is not a number in its shortest "
		    "form", what);
	if (length != left(c))
		return err_set(e, ERR_SIGNATURE, "the signature section's %s says %u bytes where there are %zu", what, length,
		    left(c));
	return 0;
}

static int
need_kid(struct cursor *c, struct wasmsig *sig, struct err *e)
{
	uint32_t length;

	if (!take_leb(c, true, &length) || (length != 0 && length != KEYS_KID_SIZE))
		return err_set(e, ERR_SIGNATURE, "the signature section's key id is not of %d bytes", KEYS_KID_SIZE);
	sig->has_kid = length != 0;
	return need_bytes(c, "key id", sig->kid, length, e);
}

/* The payload, from first to last byte; the layout stands in wasmsig.h. */
static int
parse_payload(struct cursor c, struct wasmsig *sig, struct err *e)
{
	int rc;

	if ((rc = need_byte(&c, envelope_version[0], "specification version", e)) != 0 ||
	    (rc = need_byte(&c, envelope_version[1], "content type", e)) != 0 ||
	    (rc = need_byte(&c, envelope_version[2], "hash function", e)) != 0 ||
	    (rc = need_byte(&c, 1, "number of signature sets", e)) != 0 ||
	    (rc = need_whole_part(&c, "signature set", e)) != 0 ||
	    (rc = need_byte(&c, 1, "number of hashes (signatures of a part of a module are not taken)", e)) != 0 ||
	    (rc = need_bytes(&c, "hash", sig->hash, sizeof(sig->hash), e)) != 0 ||
	    (rc = need_byte(&c, 1, "number of signatures", e)) != 0 ||
	    (rc = need_whole_part(&c, "signature", e)) != 0 ||
	    (rc = need_kid(&c, sig, e)) != 0 ||
	    (rc = need_byte(&c, ALGORITHM_ED25519, "signature algorithm", e)) != 0 ||
	    (rc = need_byte(&c, SIGNATURE_SIZE, "signature length", e)) != 0 ||
	    (rc = need_bytes(&c, "signature", sig->signature, SIGNATURE_SIZE, e)) != 0)
		return rc;
	if (left(&c) != 0)
		return err_set(e, ERR_SIGNATURE, "%zu bytes follow the signature in its section", left(&c));
	return 0;
}

/* Goes over the sections behind the signature: no second one, no delimiter, no ragged end; is there a start section? */
static int
check_rest(struct cursor c, const uint8_t *wasm, bool is_signed, bool *has_start, struct err *e)
{
	struct section s;
	int rc;

	while (left(&c) != 0) {
		if ((rc = take_section(&c, wasm, &s, e)) != 0)
			return !is_signed ? rc : err_set(e, ERR_SIGNATURE, "the module was cut or changed after signing: its "
			    "section at byte %zu is not whole", s.offset);
		*has_start |= s.id == SECTION_START;
		if (named(&s, name_delimiter))
			return err_set(e, ERR_SIGNATURE, "signature_delimiter at byte %zu: signatures of a part of a module are "
			    "not taken", s.offset);
		if (named(&s, name_signature))
			return err_set(e, ERR_SIGNATURE, is_signed ? "a second signature section at byte %zu"
			    : "the signature section, at byte %zu, is not the first", s.offset);
	}
	return 0;
}

static int
check_header(const uint8_t *wasm, size_t length, struct err *e)
{
	if (length >= WASMSIG_HEADER_SIZE && memcmp(wasm, core_header, WASMSIG_HEADER_SIZE) == 0)
		return 0;
	if (length >= WASMSIG_HEADER_SIZE && memcmp(wasm, component_header, WASMSIG_HEADER_SIZE) == 0)
		return err_set(e, ERR_INVAL, "a WebAssembly component, and only core modules are taken");
	if (length >= WASMSIG_HEADER_SIZE && memcmp(wasm, core_header, 4) == 0)
		return err_set(e, ERR_INVAL, "a WebAssembly module of version %02x%02x%02x%02x, and only core version 1 "
		    "(01000000) is known", wasm[4], wasm[5], wasm[6], wasm[7]);
	return err_set(e, ERR_INVAL, "not a WebAssembly module: it does not start with 00 61 73 6d 01 00 00 00");
}

int
wasmsig_parse(const uint8_t *wasm, size_t length, struct wasmsig *out, struct err *e)
{
	struct wasmsig sig = {0};
	struct section first = {0};
	struct cursor c;
	bool is_signed = false;
	int rc;

	if ((rc = check_header(wasm, length, e)) != 0)
		return rc;
	c = (struct cursor){wasm + WASMSIG_HEADER_SIZE, wasm + length};
	sig.rest = c.p;
	if (left(&c) != 0) {
		if ((rc = take_section(&c, wasm, &first, e)) != 0)
			return rc;
		is_signed = named(&first, name_signature);
	}
	if (is_signed) {
		if (!first.minimal)
			return err_set(e, ERR_SIGNATURE, "the signature section's size or name length is not written in its "
			    "shortest form");
		if ((rc = parse_payload(first.body, &sig, e)) != 0)
			return rc;
		sig.rest = c.p;
	}
	sig.rest_length = (size_t)(wasm + length - sig.rest);
	if ((rc = check_rest((struct cursor){sig.rest, wasm + length}, wasm, is_signed, &sig.has_start, e)) != 0)
		return rc;
	*out = sig;
	return is_signed ? 0 : err_set(e, ERR_NOTFOUND, "the module carries no signature");
}

struct digest
wasmsig_content(const struct wasmsig *sig)
{
	crypto_hash_sha256_state st;
	struct digest d;

	crypto_hash_sha256_init(&st);
	crypto_hash_sha256_update(&st, core_header, sizeof(core_header));
	crypto_hash_sha256_update(&st, sig->rest, sig->rest_length);
	crypto_hash_sha256_final(&st, d.bytes);
	return d;
}

static void
put_message(const uint8_t hash[32], uint8_t message[MESSAGE_SIZE])
{
	memcpy(message, domain, sizeof(domain));
	memcpy(message + sizeof(domain), envelope_version, sizeof(envelope_version));
	memcpy(message + sizeof(domain) + sizeof(envelope_version), hash, 32);
}

void
wasmsig_hash(const struct wasmsig *sig, uint8_t hash[32])
{
	crypto_hash_sha256(hash, sig->rest, sig->rest_length);
}

int
wasmsig_verify_hash(const struct wasmsig *sig, const uint8_t hash[32], const uint8_t key[32], struct err *e)
{
	uint8_t message[MESSAGE_SIZE];
	char kid[KEYS_KID_TEXT];

	if (sodium_memcmp(hash, sig->hash, sizeof(sig->hash)) != 0)
		return err_set(e, ERR_SIGNATURE, "the module was changed after signing: its hash is not the one that was "
		    "signed");
	put_message(hash, message);
	if (crypto_sign_ed25519_verify_detached(sig->signature, message, sizeof(message), key) != 0)
		return err_set(e, ERR_SIGNATURE, "the embedded signature is not by key %s", keys_kid_text(key, kid));
	return 0;
}

int
wasmsig_verify(const struct wasmsig *sig, const uint8_t key[32], struct err *e)
{
	uint8_t hash[32];

	wasmsig_hash(sig, hash);
	return wasmsig_verify_hash(sig, hash, key, e);
}

/* Every length in an envelope of ours is below 128, so each takes one byte, the section's size two. */
#define SIG_SIZE     (1 + KEYS_KID_SIZE + 1 + 1 + SIGNATURE_SIZE)
#define SET_SIZE     (1 + 32 + 1 + 1 + SIG_SIZE)
#define PAYLOAD_SIZE (3 + 1 + 1 + SET_SIZE)
#define BODY_SIZE    (1 + (sizeof(name_signature) - 1) + PAYLOAD_SIZE)
#define SECTION_SIZE (1 + 2 + BODY_SIZE)
_Static_assert(SET_SIZE < 128 && BODY_SIZE >= 128 && BODY_SIZE < 16384, "lengths of one and of two bytes");

static uint8_t *
put(uint8_t *to, const void *data, size_t length)
{
	memcpy(to, data, length);
	return to + length;
}

static uint8_t *
put_section(uint8_t *p, const uint8_t kid[KEYS_KID_SIZE], const uint8_t hash[32],
    const uint8_t signature[SIGNATURE_SIZE])
{
	*p++ = SECTION_CUSTOM;
	*p++ = 0x80 | (BODY_SIZE & 0x7f);
	*p++ = BODY_SIZE >> 7;
	*p++ = sizeof(name_signature) - 1;
	p = put(p, name_signature, sizeof(name_signature) - 1);
	p = put(p, envelope_version, sizeof(envelope_version));
	*p++ = 1;
	*p++ = SET_SIZE;
	*p++ = 1;
	p = put(p, hash, 32);
	*p++ = 1;
	*p++ = SIG_SIZE;
	*p++ = KEYS_KID_SIZE;
	p = put(p, kid, KEYS_KID_SIZE);
	*p++ = ALGORITHM_ED25519;
	*p++ = SIGNATURE_SIZE;
	return put(p, signature, SIGNATURE_SIZE);
}

int
wasmsig_sign(const uint8_t *wasm, size_t length, const struct keys_secret *key, uint8_t **out, size_t *out_length,
    struct err *e)
{
	uint8_t hash[32], message[MESSAGE_SIZE], kid[KEYS_KID_SIZE], signature[SIGNATURE_SIZE];
	struct wasmsig sig;
	uint8_t *made, *p;
	int rc;

	rc = wasmsig_parse(wasm, length, &sig, e);
	if (rc != 0 && rc != ERR_NOTFOUND)
		return rc;
	if ((made = malloc(WASMSIG_HEADER_SIZE + SECTION_SIZE + sig.rest_length)) == NULL)
		return err_set(e, ERR_NOMEM, "a module of %zu bytes", length);
	crypto_hash_sha256(hash, sig.rest, sig.rest_length);
	put_message(hash, message);
	crypto_sign_ed25519_detached(signature, NULL, message, sizeof(message), key->key);
	keys_kid(key->key + 32, kid);
	p = put(made, core_header, sizeof(core_header));
	p = put_section(p, kid, hash, signature);
	p = put(p, sig.rest, sig.rest_length);
	*out = made;
	*out_length = (size_t)(p - made);
	return 0;
}
