/* broker/rules: the keyring and policies that brigd works by, read at start and on SIGHUP. brigd. */

#include "broker/rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "broker/broker.h"
#include "broker/keys.h"
#include "policy/explain.h"

/* In the current directory, which is STATE/broker: reachable also where the user id that brigd takes could not go. */
#define VERSION_FILE      "keyring.%s.version" /* with the root's key id: what another root signed is no older or newer */
#define VERSION_FILE_SIZE (sizeof(VERSION_FILE) + KEYS_KID_TEXT)
#define VERSION_TEXT_MAX  64

/* The highest version ever in force here of the keyrings of a root key; 0 when there was none. */
static int
version_seen(const struct broker *b, const char *root, uint64_t *version, struct err *e)
{
	char file[VERSION_FILE_SIZE];
	uint8_t *text = NULL;
	size_t length;
	char *end;
	int rc;

	snprintf(file, sizeof(file), VERSION_FILE, root);
	rc = io_read_file(file, VERSION_TEXT_MAX, &text, &length, e);
	if (rc == ERR_NOTFOUND) {
		*version = 0;
		return 0;
	}
	if (rc != 0)
		return rc;
	errno = 0;
	*version = strtoull((char *)text, &end, 10);
	if (errno != 0 || end == (char *)text || *end != '\n')
		rc = err_set(e, ERR_CORRUPT, "%s/broker/%s does not hold a version: remove it only if you know which one was last",
		    b->config->state, file);
	free(text);
	return rc;
}

int
rules_save(const struct broker *b, struct err *e)
{
	uint64_t version = keyring_version(b->keyring), seen;
	char file[VERSION_FILE_SIZE], text[VERSION_TEXT_MAX];
	int rc = 0;

	if (b->root[0] == '\0' || (rc = version_seen(b, b->root, &seen, e)) != 0 || version <= seen)
		return rc;
	snprintf(file, sizeof(file), VERSION_FILE, b->root);
	snprintf(text, sizeof(text), "%" PRIu64 "\n", version);
	return io_replace_file(file, text, strlen(text), 0600, e);
}

static int
load_keyring(const struct broker *b, char kid[KEYS_KID_TEXT], struct keyring **out, struct err *e)
{
	struct keys_public root;
	uint64_t seen;
	int rc;

	kid[0] = '\0';
	if (b->config->keyring == NULL)
		return keyring_empty(out, e);
	if ((rc = keys_read_public(b->config->root_key, &root, e)) != 0 ||
	    (rc = version_seen(b, keys_kid_text(root.key, kid), &seen, e)) != 0)
		return rc;
	return keyring_load_file(b->config->keyring, &root, time(NULL), seen, out, e);
}

static int
load_ceiling(const struct broker *b, struct policy_document **out, struct err *e)
{
	uint8_t *text = NULL;
	size_t length;
	int rc;

	if (b->config->policy == NULL)
		return policy_document_builtin(out, e);
	rc = io_read_file(b->config->policy, POLICY_TEXT_MAX, &text, &length, e);
	if (rc == 0)
		rc = policy_document_parse((char *)text, length, b->config->policy, NULL, out, e);
	free(text);
	return rc;
}

int
rules_load(struct broker *b, struct err *e)
{
	struct keyring *ring = NULL;
	struct policy_document *ceiling = NULL;
	struct grants *grants = NULL;
	struct shares *shares = NULL;
	struct packs *packs = NULL;
	char root[KEYS_KID_TEXT];
	int rc;

	if ((rc = load_keyring(b, root, &ring, e)) != 0 || (rc = load_ceiling(b, &ceiling, e)) != 0 ||
	    (rc = grants_load(b->config->owners, &grants, e)) != 0 ||
	    (rc = shares_load(b->config->shares, &shares, e)) != 0 ||
	    (rc = packs_load(b->config->packs, (size_t)b->config->module_bytes, b->packs, &packs, e)) != 0) {
		keyring_free(ring);
		policy_document_free(ceiling);
		grants_free(grants);
		shares_free(shares);
		return rc;
	}
	rules_clear(b);
	b->keyring = ring;
	memcpy(b->root, root, sizeof(root));
	b->ceiling = ceiling;
	b->grants = grants;
	b->shares = shares;
	b->packs = packs;
	return 0;
}

void
rules_explain(const struct broker *b, struct err *e)
{
	const struct config *c = b->config;
	const char *paths[] = {c->keyring, c->root_key, c->policy, c->owners, c->shares, c->packs, c->config};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (paths[i] != NULL && access(paths[i], R_OK) != 0 && errno == EACCES) {
			err_set(e, ERR_DENIED, "%s: user %u, who brigd is while it serves, may not read it: let that user read it, and "
			    "pass the directories above it (chgrp, chmod), or restart brigd instead of reloading", paths[i],
			    (unsigned)getuid());
			return;
		}
}

void
rules_clear(struct broker *b)
{
	keyring_free((struct keyring *)(uintptr_t)b->keyring);
	policy_document_free(b->ceiling);
	grants_free(b->grants);
	shares_free(b->shares);
	packs_free(b->packs);
	b->keyring = NULL;
	b->ceiling = NULL;
	b->grants = NULL;
	b->shares = NULL;
	b->packs = NULL;
}
