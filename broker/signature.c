/* broker/signature: whether a module is signed by a key that counts. Pure; used by brigd and the brig command. */

#include "broker/signature.h"

#include <sodium.h>
#include <string.h>

const char *
signature_kind_name(enum signature_kind kind)
{
	static const char *const names[] = {"none", "embedded", "detached", "both"};

	return kind <= SIGNATURE_BOTH ? names[kind] : "none";
}

static int
check_module(const struct keyring *ring, const struct signature_verdict *v, struct err *e)
{
	const struct digest *revoked = NULL;
	char text[DIGEST_TEXT_SIZE];

	if (keyring_module_revoked(ring, &v->module))
		revoked = &v->module;
	else if (keyring_module_revoked(ring, &v->content))
		revoked = &v->content;
	return revoked == NULL ? 0 : err_set(e, ERR_REVOKED, "the module is revoked (%s)", digest_text(revoked, text));
}

/* The end of a sentence about a key that is not there. */
static const char *
why_unknown(const struct keyring *ring)
{
	return keyring_version(ring) == 0 ? "and this brigd has no keyring: its operator names one with --keyring and --root-key"
	                                  : "which is not in the keyring: `brig keys add` puts a key there";
}

/* Finds a key by its id and sees that it counts. */
static int
find_by_kid(const struct keyring *ring, const char *kid, int64_t now, const struct keyring_key **key, struct err *e)
{
	const struct keyring_key *found = keyring_find_kid(ring, kid);
	int rc;

	if (found == NULL && keyring_kid_revoked(ring, kid))
		return err_set(e, ERR_REVOKED, "the key %s is revoked", kid);
	if (found == NULL)
		return err_set(e, ERR_NOTFOUND, "signed by the key %s, %s", kid, why_unknown(ring));
	if ((rc = keyring_key_usable(found, now, e)) == 0)
		*key = found;
	return rc;
}

static int
find_embedded(const struct wasmsig *sig, const struct keyring *ring, int64_t now, const struct keyring_key **key,
    struct err *e)
{
	char kid[KEYS_KID_TEXT];

	if (sig->has_kid) {
		sodium_bin2hex(kid, sizeof(kid), sig->kid, sizeof(sig->kid));
		return find_by_kid(ring, kid, now, key, e);
	}
	if (keyring_count(ring) != 1)
		return err_set(e, ERR_SIGNATURE, "the embedded signature does not say which key made it, and the keyring has "
		    "%zu: sign with a key id (wasmsign2 takes the public key for that with -K; `brig sign` always does)",
		    keyring_count(ring));
	return find_by_kid(ring, keyring_at(ring, 0)->kid, now, key, e);
}

static int
check_embedded(const struct signature_facts *facts, const struct keyring *ring, int64_t now, struct signature_verdict *v,
    struct err *e)
{
	int rc;

	if ((rc = find_embedded(&facts->embedded, ring, now, &v->key, e)) != 0 ||
	    (rc = wasmsig_verify_hash(&facts->embedded, facts->embedded_hash, v->key->public.key, e)) != 0)
		return rc;
	v->kind = SIGNATURE_EMBEDDED;
	memcpy(v->kid, v->key->kid, sizeof(v->kid));
	return 0;
}

static int
check_detached(const struct signature_facts *facts, const char *detached, size_t detached_length,
    const struct keyring *ring, int64_t now, struct signature_verdict *v, struct err *e)
{
	const struct keyring_key *key;
	char number[KEYS_NUMBER_TEXT];
	struct minisign sig;
	int rc;

	if ((rc = minisign_parse(detached, detached_length, &sig, e)) != 0)
		return rc;
	if ((key = keyring_find_number(ring, sig.number)) == NULL)
		return err_set(e, ERR_NOTFOUND, "the detached signature is by key number %s, %s",
		    keys_number_text(sig.number, number), why_unknown(ring));
	if ((rc = keyring_key_usable(key, now, e)) != 0 ||
	    (rc = minisign_verify_hash(&sig, &key->public, facts->detached_hash, e)) != 0)
		return rc;
	if (v->kind == SIGNATURE_NONE) {
		v->kind = SIGNATURE_DETACHED;
		v->key = key;
		memcpy(v->kid, key->kid, sizeof(v->kid));
		return 0;
	}
	v->kind = SIGNATURE_BOTH;
	if (key != v->key) {
		v->second = key;
		memcpy(v->second_kid, key->kid, sizeof(v->second_kid));
	}
	return 0;
}

void
signature_read(const uint8_t *wasm, size_t length, bool detached, struct signature_facts *facts)
{
	memset(facts, 0, sizeof(*facts));
	facts->module = digest_of(wasm, length);
	facts->parsed = wasmsig_parse(wasm, length, &facts->embedded, &facts->why);
	if (facts->parsed != 0 && facts->parsed != ERR_NOTFOUND)
		return;
	facts->content = facts->module;
	if (facts->parsed == 0) {
		facts->content = wasmsig_content(&facts->embedded);
		wasmsig_hash(&facts->embedded, facts->embedded_hash);
	}
	if (detached)
		minisign_hash(wasm, length, facts->detached_hash);
	facts->embedded.rest = NULL; /* not to be followed any more */
}

void
signature_read_text(const void *text, size_t length, bool detached, struct signature_facts *facts)
{
	memset(facts, 0, sizeof(*facts));
	facts->module = facts->content = digest_of(text, length);
	facts->parsed = ERR_NOTFOUND;
	if (detached)
		minisign_hash(text, length, facts->detached_hash);
}

int
signature_judge(const struct signature_facts *facts, const char *detached, size_t detached_length,
    const struct keyring *ring, int64_t now, struct signature_verdict *out, struct err *e)
{
	struct signature_verdict v = {.kind = SIGNATURE_NONE, .module = facts->module, .content = facts->content,
	    .has_start = facts->embedded.has_start};
	int rc;

	if ((rc = keyring_current(ring, now, e)) != 0)
		return rc;
	if (facts->parsed != 0 && facts->parsed != ERR_NOTFOUND)
		return err_set(e, facts->parsed, "%s", facts->why.msg);
	if ((rc = check_module(ring, &v, e)) != 0)
		return rc;
	if (facts->parsed == 0 && (rc = check_embedded(facts, ring, now, &v, e)) != 0)
		return rc;
	if (detached != NULL && (rc = check_detached(facts, detached, detached_length, ring, now, &v, e)) != 0)
		return rc;
	*out = v;
	return 0;
}

int
signature_check(const uint8_t *wasm, size_t length, const char *detached, size_t detached_length,
    const struct keyring *ring, int64_t now, struct signature_verdict *out, struct err *e)
{
	struct signature_facts facts;

	signature_read(wasm, length, detached != NULL, &facts);
	return signature_judge(&facts, detached, detached_length, ring, now, out, e);
}

int
signature_recheck(struct signature_verdict *v, const struct keyring *ring, int64_t now, struct err *e)
{
	const struct keyring_key *key = NULL, *second = NULL;
	int rc;

	if ((rc = keyring_current(ring, now, e)) != 0 ||
	    (rc = check_module(ring, v, e)) != 0)
		return rc;
	if (v->kid[0] != '\0' && (rc = find_by_kid(ring, v->kid, now, &key, e)) != 0)
		return rc;
	if (v->second_kid[0] != '\0' && (rc = find_by_kid(ring, v->second_kid, now, &second, e)) != 0)
		return rc;
	v->key = key;
	v->second = second;
	return 0;
}
