/* brig keys: keep a keyring: add, revoke, expire and rotate keys, revoke modules. brig. */

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/io.h"
#include "base/utc.h"
#include "base/utf8.h"
#include "broker/keyring.h"
#include "broker/keyring_edit.h"
#include "broker/keys.h"
#include "broker/keys_private.h"
#include "broker/wasmsig.h"
#include "clients/c/cmd.h"
#include "clients/c/server_signal.h"
#include "policy/policy.h"

#define MODULE_MAX  ((size_t)1 << 30)
#define DAY_SECONDS INT64_C(86400)
#define STOP_WAIT_MS 5000

static const char about[] =
    "brig keys VERB: the keyring: which keys count, from when to when, for whom, and what is revoked. It is a JSON\n"
    "file with a signature by an offline root key beside it (FILE.minisig), which minisign verifies too.\n"
    "\n"
    "Every verb takes --keyring FILE; those that change it also --root-key KEY (the root's secret key) and\n"
    "--keyring-expires TIME; list and show take --root PUB. Without them it is your own keyring, and a brigd of\n"
    "your own that runs is stopped when that changes: the next run starts one that knows it. KEY is a key id or a name.\n"
    "A TIME is 2027-01-31, 2027-01-31T12:00:00Z, now, or +90d for 90 days from now.";

/* Which options a verb takes. */
enum {
	OPT_KEYRING = 1 << 0,
	OPT_ROOT = 1 << 1,
	OPT_ROOT_KEY = 1 << 2,
	OPT_EXPIRES = 1 << 3,
	OPT_NAME = 1 << 4,
	OPT_KEY = 1 << 5,
	OPT_FROM = 1 << 6,
	OPT_TO = 1 << 7,
	OPT_OWNER = 1 << 8,
	OPT_GRANT = 1 << 9,
	OPT_AT = 1 << 10,
	OPT_OVERLAP = 1 << 11,
	OPT_JSON = 1 << 12,
	OPT_PACKS = 1 << 13,
};
#define OPTS_READ (OPT_KEYRING | OPT_ROOT)
#define OPTS_EDIT (OPT_KEYRING | OPT_ROOT_KEY | OPT_EXPIRES)
#define OPT_COUNT 14

static const struct option option_table[] = {
    {"keyring", required_argument, NULL, 0},
    {"root", required_argument, NULL, 1},
    {"root-key", required_argument, NULL, 2},
    {"keyring-expires", required_argument, NULL, 3},
    {"name", required_argument, NULL, 4},
    {"key", required_argument, NULL, 5},
    {"valid-from", required_argument, NULL, 6},
    {"valid-to", required_argument, NULL, 7},
    {"owner", required_argument, NULL, 8},
    {"grant", required_argument, NULL, 9},
    {"at", required_argument, NULL, 10},
    {"overlap", required_argument, NULL, 11},
    {"json", no_argument, NULL, 12},
    {"packs", no_argument, NULL, 13},
    {0},
};

struct options {
	const char *verb;
	const char *text[OPT_COUNT]; /* by position in option_table; NULL when not given */
	char **args;
	int arg_count;
};

enum {
	AT_KEYRING,
	AT_ROOT,
	AT_ROOT_KEY,
	AT_EXPIRES,
	AT_NAME,
	AT_KEY,
	AT_FROM,
	AT_TO,
	AT_OWNER,
	AT_GRANT,
	AT_AT,
	AT_OVERLAP,
	AT_JSON,
	AT_PACKS,
};

/* Reads the options of a verb that takes those in `allowed` and min to max arguments. */
static int
parse_options(int argc, char **argv, int allowed, int min, int max, struct options *o)
{
	static char verb[64]; /* for messages, as long as the program lives */
	int c;

	snprintf(verb, sizeof(verb), "keys %s", argv[0]);
	o->verb = verb;
	opterr = 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, "", option_table, NULL)) != -1) {
		if (c == '?')
			return cmd_usage("keys", "%s: the option %s is not known or lacks its value", argv[0], argv[optind - 1]);
		if ((allowed & (1 << c)) == 0)
			return cmd_usage("keys", "%s does not take --%s", argv[0], option_table[c].name);
		o->text[c] = optarg == NULL ? "" : optarg;
	}
	o->args = argv + optind;
	o->arg_count = argc - optind;
	if (o->arg_count < min)
		return cmd_usage("keys", "%s: an argument is missing", argv[0]);
	if (o->arg_count > max)
		return cmd_usage("keys", "%s: \"%s\" is one argument too many", argv[0], o->args[max]);
	return CMD_OK;
}

/* Reads a whole number of days, at most 100,000. */
static int
parse_days(const char *text, size_t length, int64_t *seconds, struct err *e)
{
	int64_t days = 0;

	if (length == 0 || length > 6)
		return err_set(e, ERR_INVAL, "\"%s\" is not a number of days", text);
	for (size_t i = 0; i < length; i++) {
		if (!isdigit((unsigned char)text[i]))
			return err_set(e, ERR_INVAL, "\"%s\" is not a number of days", text);
		days = days * 10 + (text[i] - '0');
	}
	if (days > 100000)
		return err_set(e, ERR_INVAL, "\"%s\" is more than 100000 days", text);
	*seconds = days * DAY_SECONDS;
	return 0;
}

/* Reads a TIME as the help has it; *out stays when `text` is NULL. */
static int
parse_time(const char *text, int64_t now, int64_t *out, struct err *e)
{
	char whole[UTC_TEXT_SIZE];
	int64_t seconds;
	size_t n;
	int rc;

	if (text == NULL)
		return 0;
	n = strlen(text);
	if (strcmp(text, "now") == 0) {
		*out = now;
		return 0;
	}
	if (n > 2 && text[0] == '+' && text[n - 1] == 'd') {
		if ((rc = parse_days(text + 1, n - 2, &seconds, e)) == 0)
			*out = now + seconds;
		return rc;
	}
	if (n == 10) {
		snprintf(whole, sizeof(whole), "%sT00:00:00Z", text);
		text = whole;
		n = strlen(whole);
	}
	if (utc_parse(text, n, out, e) != 0)
		return err_set(e, ERR_INVAL, "\"%s\" is not a time: it is written 2027-01-31, 2027-01-31T12:00:00Z, now, or "
		    "+90d", text);
	return 0;
}

/* A keyring that is open for changes, and the lock that keeps others out meanwhile. */
struct edit {
	char path[PATH_MAX];
	struct keys_secret root;
	json_t *document;
	int lock;
	int64_t now;
};

static int
read_root(const struct options *o, struct edit *ed, struct err *e)
{
	const char *root = o->text[AT_ROOT_KEY], *path = o->text[AT_KEYRING];
	struct keys_private own;
	int rc;

	if ((root == NULL) != (path == NULL))
		return err_set(e, ERR_INVAL, "--keyring and --root-key go together: a keyring and the key that signs it");
	if (root == NULL) {
		if ((rc = keys_ensure_private(NULL, &own, e)) != 0)
			return rc;
		root = own.root_secret;
		path = own.keyring;
	}
	if (snprintf(ed->path, sizeof(ed->path), "%s", path) >= (int)sizeof(ed->path))
		return err_set(e, ERR_INVAL, "the keyring's path is too long");
	return keys_read_secret(root, keys_ask_terminal, &ed->root, e);
}

static void
edit_close(struct edit *ed)
{
	json_decref(ed->document);
	keys_forget(&ed->root);
	if (ed->lock >= 0)
		close(ed->lock);
}

/* Opens the keyring; a new one when `make`. To be ended with edit_close() whatever it returns. */
static int
edit_open(const struct options *o, bool make, struct edit *ed, struct err *e)
{
	struct keys_public root;
	int rc;

	*ed = (struct edit){.lock = -1, .now = time(NULL)};
	if ((rc = read_root(o, ed, e)) != 0)
		return rc;
	if ((ed->lock = keyring_edit_lock(ed->path, e)) < 0)
		return ed->lock;
	if (make) {
		if (access(ed->path, F_OK) == 0)
			return err_set(e, ERR_EXISTS, "%s is there already, and is not overwritten", ed->path);
		ed->document = keyring_edit_new(ed->now + 365 * DAY_SECONDS);
		return ed->document == NULL ? err_set(e, ERR_NOMEM, "a keyring") : 0;
	}
	root = keys_public_of(&ed->root);
	rc = keyring_edit_read(ed->path, &root, &ed->document, e);
	return rc == ERR_NOTFOUND ? err_context(e, "no keyring yet: `brig keys init` makes one") : rc;
}

static int
set_time(json_t *object, const char *field, int64_t seconds, struct err *e)
{
	char text[UTC_TEXT_SIZE];

	return json_object_set_new(object, field, json_string(utc_text(seconds, text))) == 0 ? 0 :
	    err_set(e, ERR_NOMEM, "a keyring");
}

/* Signs and writes what was changed, and says so. */
static int
edit_save(const struct options *o, struct edit *ed, struct err *e)
{
	const size_t count = json_array_size(json_object_get(ed->document, "keys"));
	int64_t expires = 0;
	int rc;

	if (o->text[AT_EXPIRES] != NULL &&
	    ((rc = parse_time(o->text[AT_EXPIRES], ed->now, &expires, e)) != 0 ||
	    (rc = set_time(ed->document, "expires", expires, e)) != 0))
		return rc;
	if ((rc = keyring_edit_seal(ed->path, ed->document, &ed->root, e)) != 0)
		return rc;
	printf("%s: version %jd, %zu key%s, expires %s\n", ed->path,
	    (intmax_t)json_integer_value(json_object_get(ed->document, "version")), count, count == 1 ? "" : "s",
	    json_string_value(json_object_get(ed->document, "expires")));
	return 0;
}

static const char *
field_of(json_t *entry, const char *field)
{
	return json_string_value(json_object_get(entry, field));
}

/* The entry that `name` means: a key id, or a name that only one entry has. */
static int
find_entry(json_t *document, const char *name, json_t **out, struct err *e)
{
	json_t *entry, *found = NULL;
	int names = 0;
	size_t i;

	json_array_foreach(json_object_get(document, "keys"), i, entry) {
		if (strcmp(field_of(entry, "kid"), name) == 0) {
			*out = entry;
			return 0;
		}
		if (strcmp(field_of(entry, "name"), name) == 0) {
			found = entry;
			names++;
		}
	}
	if (names == 0)
		return err_set(e, ERR_NOTFOUND, "no key \"%s\" in the keyring; `brig keys list` shows them", name);
	if (names > 1)
		return err_set(e, ERR_INVAL, "%d keys are named \"%s\": say which by its key id; `brig keys list` shows them",
		    names, name);
	*out = found;
	return 0;
}

/* Adds a text to one of the document's lists, once. */
static int
add_once(json_t *document, const char *list, const char *text, struct err *e)
{
	json_t *array = json_object_get(document, list), *entry;
	size_t i;

	json_array_foreach(array, i, entry)
		if (strcmp(json_string_value(entry), text) == 0)
			return 0;
	return json_array_append_new(array, json_string(text)) == 0 ? 0 : err_set(e, ERR_NOMEM, "a keyring");
}

/* --- the verbs that change a keyring: each changes the open document ------------------------------------------ */

typedef int edit_fn(const struct options *o, struct edit *ed, struct err *e);

static int
edit_nothing(const struct options *o, struct edit *ed, struct err *e)
{
	(void)o;
	(void)ed;
	(void)e;
	return 0;
}

/* Reads the policy document that a key's signatures are narrowed to. *out stays NULL without one. */
static int
read_grant(const char *path, json_t **out, struct err *e)
{
	struct policy_document *d;
	uint8_t *text;
	size_t length;
	int rc;

	if (path == NULL)
		return 0;
	if ((rc = io_read_file(path, POLICY_TEXT_MAX, &text, &length, e)) != 0)
		return rc;
	rc = policy_document_parse((const char *)text, length, path, NULL, &d, e);
	free(text);
	if (rc != 0)
		return rc;
	*out = json_incref(d->json);
	policy_document_free(d);
	return 0;
}

/* Whether this is the name of a user whom this machine does not know. */
static bool
is_unknown_user(const char *owner)
{
	return owner != NULL && strspn(owner, "0123456789") != strlen(owner) && getpwnam(owner) == NULL;
}

static int
edit_add(const struct options *o, struct edit *ed, struct err *e)
{
	int64_t from = ed->now, to = ed->now + 365 * DAY_SECONDS;
	struct keys_public key;
	json_t *grant = NULL;
	int rc;

	if (o->text[AT_KEY] == NULL || o->text[AT_NAME] == NULL)
		return err_set(e, ERR_INVAL, "--name NAME and --key PUB are needed");
	if ((rc = parse_time(o->text[AT_FROM], ed->now, &from, e)) != 0 ||
	    (rc = parse_time(o->text[AT_TO], ed->now, &to, e)) != 0 ||
	    (rc = keys_read_public(o->text[AT_KEY], &key, e)) != 0 ||
	    (rc = read_grant(o->text[AT_GRANT], &grant, e)) != 0)
		return rc;
	rc = keyring_edit_add(ed->document, &key, o->text[AT_NAME], from, to, o->text[AT_OWNER], grant,
	    o->text[AT_PACKS] != NULL, e);
	if (rc == 0 && to <= ed->now)
		cmd_error(o->verb, "note: this key has expired already");
	if (rc == 0 && is_unknown_user(o->text[AT_OWNER]))
		cmd_error(o->verb, "note: there is no user \"%s\" on this machine: where that is so, the key counts for nobody",
		    o->text[AT_OWNER]);
	json_decref(grant);
	return rc;
}

static int
edit_revoke(const struct options *o, struct edit *ed, struct err *e)
{
	for (int i = 0; i < o->arg_count; i++) {
		const char *kid = o->args[i];
		json_t *entry;
		int rc;

		/* A key id need not be in the keyring: a key can be shut out before anyone adds it. */
		if (strlen(kid) != KEYS_KID_TEXT - 1 || strspn(kid, "0123456789abcdef") != KEYS_KID_TEXT - 1) {
			if ((rc = find_entry(ed->document, kid, &entry, e)) != 0)
				return rc;
			kid = field_of(entry, "kid");
		}
		if ((rc = add_once(ed->document, "revoked_keys", kid, e)) != 0)
			return rc;
	}
	return 0;
}

/* Revokes a module file, in the form it has and, when it is signed inside, without that signature. */
static int
revoke_file(struct edit *ed, const char *path, struct err *e)
{
	char text[DIGEST_TEXT_SIZE];
	struct digest whole, content;
	struct wasmsig sig;
	uint8_t *wasm;
	size_t length;
	int rc;

	if ((rc = io_read_file(path, MODULE_MAX, &wasm, &length, e)) != 0)
		return rc;
	rc = wasmsig_parse(wasm, length, &sig, e);
	if (rc != 0 && rc != ERR_NOTFOUND) {
		free(wasm);
		return err_context(e, "%s", path);
	}
	whole = digest_of(wasm, length);
	content = wasmsig_content(&sig);
	free(wasm);
	if ((rc = add_once(ed->document, "revoked_modules", digest_text(&whole, text), e)) != 0 ||
	    (rc = add_once(ed->document, "revoked_modules", digest_text(&content, text), e)) != 0)
		return rc;
	return 0;
}

static int
edit_revoke_module(const struct options *o, struct edit *ed, struct err *e)
{
	struct digest d;
	int rc = 0;

	for (int i = 0; i < o->arg_count && rc == 0; i++) {
		if (digest_parse(o->args[i], strlen(o->args[i]), &d, NULL) == 0)
			rc = add_once(ed->document, "revoked_modules", o->args[i], e);
		else
			rc = revoke_file(ed, o->args[i], e);
	}
	return rc;
}

/* Sets the end of a key's time, and its beginning too when that would be later: then it never counts. */
static int
set_end(json_t *entry, int64_t at, struct err *e)
{
	const char *text = field_of(entry, "valid_from");
	int64_t from;
	int rc;

	if ((rc = utc_parse(text, strlen(text), &from, e)) != 0 ||
	    (from > at && (rc = set_time(entry, "valid_from", at, e)) != 0))
		return rc;
	return set_time(entry, "valid_to", at, e);
}

static int
edit_expire(const struct options *o, struct edit *ed, struct err *e)
{
	int64_t at = ed->now;
	json_t *entry;
	int rc;

	if (o->arg_count == 0 && o->text[AT_EXPIRES] == NULL)
		return err_set(e, ERR_INVAL, "a KEY, or --keyring-expires TIME for the keyring itself, is needed");
	if ((rc = parse_time(o->text[AT_AT], ed->now, &at, e)) != 0 || o->arg_count == 0)
		return rc;
	if ((rc = find_entry(ed->document, o->args[0], &entry, e)) != 0)
		return rc;
	return set_end(entry, at, e);
}

/* Adds a key in the place of another: its name, owner and grant; the old one counts for some days more. */
static int
edit_rotate(const struct options *o, struct edit *ed, struct err *e)
{
	int64_t overlap = 30 * DAY_SECONDS, to = ed->now + 365 * DAY_SECONDS, old_to;
	struct keys_public key;
	json_t *old, *owner, *grant, *entry;
	bool packs;
	const char *text;
	int rc;

	if (o->text[AT_KEY] == NULL)
		return err_set(e, ERR_INVAL, "--key PUB, the new key, is needed");
	if ((o->text[AT_OVERLAP] != NULL &&
	    (rc = parse_days(o->text[AT_OVERLAP], strlen(o->text[AT_OVERLAP]), &overlap, e)) != 0) ||
	    (rc = parse_time(o->text[AT_TO], ed->now, &to, e)) != 0 ||
	    (rc = keys_read_public(o->text[AT_KEY], &key, e)) != 0 ||
	    (rc = find_entry(ed->document, o->args[0], &old, e)) != 0)
		return rc;
	owner = json_object_get(old, "owner");
	grant = json_object_get(old, "grant");
	packs = json_is_true(json_object_get(old, "packs"));
	text = o->text[AT_NAME] != NULL ? o->text[AT_NAME] : field_of(old, "name");
	if ((rc = keyring_edit_add(ed->document, &key, text, ed->now, to, NULL, grant, packs, e)) != 0)
		return rc;
	entry = json_array_get(json_object_get(ed->document, "keys"),
	    json_array_size(json_object_get(ed->document, "keys")) - 1);
	if (owner != NULL && json_object_set(entry, "owner", owner) != 0)
		return err_set(e, ERR_NOMEM, "a keyring");
	text = field_of(old, "valid_to");
	if ((rc = utc_parse(text, strlen(text), &old_to, e)) == 0 && old_to > ed->now + overlap)
		rc = set_end(old, ed->now + overlap, e);
	return rc;
}

/* A brigd of one's own read the keyring when it started: the next one knows what it is now. */
static void
stop_private(const char *verb)
{
	struct err e;
	int rc = server_stop_private(STOP_WAIT_MS, &e);

	if (rc == 0)
		cmd_error(verb, "stopped your own brigd; the next `brig run` starts one that goes by this keyring");
	else if (rc == ERR_AGAIN)
		cmd_error(verb, "your own brigd goes by the old keyring until it stops, when the runs under way have ended");
	else if (rc != ERR_NOTFOUND)
		cmd_error(verb, "your own brigd goes by the old keyring until it is stopped: %s", e.msg);
}

static int
run_edit(int argc, char **argv, int allowed, int min, int max, edit_fn *change)
{
	struct options o = {0};
	struct edit ed;
	struct err e;
	int rc;

	if ((rc = parse_options(argc, argv, allowed, min, max, &o)) != CMD_OK)
		return rc;
	if ((rc = edit_open(&o, strcmp(argv[0], "init") == 0, &ed, &e)) == 0 &&
	    (rc = change(&o, &ed, &e)) == 0)
		rc = edit_save(&o, &ed, &e);
	edit_close(&ed);
	if (rc == 0 && o.text[AT_KEYRING] == NULL)
		stop_private(o.verb);
	return rc == 0 ? CMD_OK : cmd_fail(o.verb, &e);
}

static int
keys_init(int argc, char **argv)
{
	return run_edit(argc, argv, OPTS_EDIT, 0, 0, edit_nothing);
}

static int
keys_add(int argc, char **argv)
{
	return run_edit(argc, argv, OPTS_EDIT | OPT_NAME | OPT_KEY | OPT_FROM | OPT_TO | OPT_OWNER | OPT_GRANT |
	    OPT_PACKS, 0, 0,
	    edit_add);
}

static int
keys_revoke(int argc, char **argv)
{
	return run_edit(argc, argv, OPTS_EDIT, 1, INT_MAX, edit_revoke);
}

static int
keys_revoke_module(int argc, char **argv)
{
	return run_edit(argc, argv, OPTS_EDIT, 1, INT_MAX, edit_revoke_module);
}

static int
keys_expire(int argc, char **argv)
{
	return run_edit(argc, argv, OPTS_EDIT | OPT_AT, 0, 1, edit_expire);
}

static int
keys_rotate(int argc, char **argv)
{
	return run_edit(argc, argv, OPTS_EDIT | OPT_KEY | OPT_NAME | OPT_TO | OPT_OVERLAP, 1, 1, edit_rotate);
}

/* --- the verbs that show -------------------------------------------------------------------------------------- */

/* Reads the keyring's document, its signature verified, expired or not. */
static int
open_document(const struct options *o, json_t **document, struct err *e)
{
	const char *root = o->text[AT_ROOT], *path = o->text[AT_KEYRING];
	struct keys_private own;
	struct keys_public key;
	int rc;

	if ((root == NULL) != (path == NULL))
		return err_set(e, ERR_INVAL, "--keyring and --root go together: a keyring and the public key that signed it");
	if (root == NULL) {
		if ((rc = keys_private_paths(NULL, &own, e)) != 0)
			return rc;
		root = own.root_public;
		path = own.keyring;
	}
	if ((rc = keys_read_public(root, &key, e)) != 0)
		return rc;
	return keyring_edit_read(path, &key, document, e);
}

static const char *
state_of(const struct keyring_key *key, int64_t now)
{
	if (key->revoked)
		return "revoked";
	return now < key->valid_from ? "not yet" : now >= key->valid_to ? "expired" : "good";
}

static void
print_row(const struct keyring_key *key, int64_t now)
{
	char from[UTC_TEXT_SIZE], to[UTC_TEXT_SIZE], owner[KEYRING_NAME_MAX + 1] = "any";

	if (key->owner == KEYRING_OWNER_UID)
		snprintf(owner, sizeof(owner), "%u", key->owner_uid);
	else if (key->owner == KEYRING_OWNER_NAME)
		snprintf(owner, sizeof(owner), "%s", key->owner_name);
	owner[utf8_tame(owner, strlen(owner))] = '\0';
	printf("%s  %-8s %s  %s  %-10s %-5s ", key->kid, state_of(key, now), utc_text(key->valid_from, from),
	    utc_text(key->valid_to, to), owner, key->grant != NULL ? "yes" : "no");
	cmd_print_safe(stdout, key->name, strlen(key->name));
	putchar('\n');
}

static int
print_list(json_t *document, struct err *e)
{
	const int64_t now = time(NULL);
	const struct keyring_key *key;
	struct keyring *ring;
	char text[UTC_TEXT_SIZE];
	json_t *digest;
	size_t i;
	int rc;

	if ((rc = keyring_parse(document, &ring, e)) != 0)
		return rc;
	printf("version %ju, %s %s\n", (uintmax_t)keyring_version(ring),
	    now < keyring_expires(ring) ? "expires" : "EXPIRED", utc_text(keyring_expires(ring), text));
	printf("%-24s  %-8s %-20s  %-20s  %-10s %-5s %s\n", "KEY", "STATE", "FROM", "TO", "OWNER", "GRANT", "NAME");
	for (i = 0; (key = keyring_at(ring, i)) != NULL; i++)
		print_row(key, now);
	json_array_foreach(json_object_get(document, "revoked_modules"), i, digest)
		printf("revoked module %s\n", json_string_value(digest));
	keyring_free(ring);
	return 0;
}

static int
keys_list(int argc, char **argv)
{
	struct options o = {0};
	json_t *document = NULL;
	struct err e;
	int rc;

	if ((rc = parse_options(argc, argv, OPTS_READ | OPT_JSON, 0, 0, &o)) != CMD_OK)
		return rc;
	if ((rc = open_document(&o, &document, &e)) != 0)
		return cmd_fail(o.verb, &e);
	if (o.text[AT_JSON] == NULL) {
		rc = print_list(document, &e);
	} else {
		json_dumpf(document, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(document);
	return rc == 0 ? CMD_OK : cmd_fail(o.verb, &e);
}

static int
keys_show(int argc, char **argv)
{
	struct options o = {0};
	json_t *document = NULL, *entry;
	struct err e;
	int rc;

	if ((rc = parse_options(argc, argv, OPTS_READ, 1, 1, &o)) != CMD_OK)
		return rc;
	if ((rc = open_document(&o, &document, &e)) == 0 &&
	    (rc = find_entry(document, o.args[0], &entry, &e)) == 0) {
		json_dumpf(entry, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(document);
	return rc == 0 ? CMD_OK : cmd_fail(o.verb, &e);
}

int
cmd_keys(int argc, char **argv)
{
	static const struct cmd_sub subs[] = {
	    {"list", keys_list, "[--json]", "show all keys and what is revoked"},
	    {"show", keys_show, "KEY", "show one key's entry"},
	    {"init", keys_init, "", "make an empty keyring, good for a year"},
	    {"add", keys_add, "--name NAME --key PUB [--valid-from TIME] [--valid-to TIME] [--owner USER] [--grant FILE]\n"
	        "                 [--packs]",
	        "let a key count, for a year unless told; --owner: only for that user; --grant: a policy that narrows it;\n"
	        "      --packs: it may sign language packs too"},
	    {"revoke", keys_revoke, "KEY...", "refuse everything that these keys signed or sign, for good"},
	    {"revoke-module", keys_revoke_module, "FILE.wasm|sha256:... ...", "refuse these modules, however signed"},
	    {"expire", keys_expire, "[KEY [--at TIME]]",
	        "set when a key ends to count, now unless told; without KEY only --keyring-expires"},
	    {"rotate", keys_rotate, "KEY --key PUB [--name NAME] [--valid-to TIME] [--overlap DAYS]",
	        "add a key in the place of another, which counts for 30 days more unless told"},
	    {NULL, NULL, NULL, NULL},
	};

	return cmd_dispatch("keys", about, subs, argc, argv);
}
