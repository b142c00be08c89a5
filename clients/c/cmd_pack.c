/* cmd_pack: `brig pack`: language packs: which a brigd has, and signing one. brig. */

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/io.h"
#include "broker/keys.h"
#include "broker/keys_private.h"
#include "broker/minisign.h"
#include "broker/packs.h"
#include "clients/c/cmd.h"

#define VERB     "pack"
#define FILE_MAX (1024 * 1024 * 1024)

static const char about[] =
    "brig pack: language packs: interpreters that an operator approved, with which `brig run --pack NAME` runs source.\n"
    "A pack is a directory with a signed pack.json; brigd finds packs below the directory that --packs names.";

struct options {
	const char *socket, *key;
	bool as_json;
	const char *argument;
};

static int
take_option(void *arg, int option, const char *value, struct err *e)
{
	struct options *o = arg;

	(void)e;
	if (option == 'j')
		o->as_json = true;
	else if (option == 'k')
		o->key = value;
	else
		o->socket = value;
	return 0;
}

/* Reads options and exactly `wanted` arguments. CMD_OK or CMD_USAGE. */
static int
take_options(int argc, char **argv, int wanted, const char *what, struct options *o)
{
	static const struct option options[] = {
	    {"json", no_argument, NULL, 'j'},
	    {"key", required_argument, NULL, 'k'},
	    {"socket", required_argument, NULL, 's'},
	    {NULL, 0, NULL, 0},
	};

	return cmd_sub_options(VERB, argc, argv, ":k:", options, take_option, o, wanted, what, &o->argument);
}

static int
pack_list(int argc, char **argv)
{
	struct options o = {0};
	json_t *result = NULL, *pack;
	size_t i;
	int code = take_options(argc, argv, 0, "no argument", &o);

	if (code == CMD_OK)
		code = cmd_call(VERB, o.socket, "pack.list", json_object(), -1, &result);
	if (code == CMD_OK && o.as_json)
		code = cmd_print_json(VERB, result);
	else if (code == CMD_OK)
		json_array_foreach(json_object_get(result, "packs"), i, pack) {
			const char *reason = json_string_value(json_object_get(pack, "reason"));

			printf("%-12s %s  %s%s%s\n", json_string_value(json_object_get(pack, "name")),
			    json_string_value(json_object_get(pack, "digest")),
			    json_string_value(json_object_get(pack, "release")), reason != NULL ? "  not usable: " : "",
			    reason != NULL ? reason : "");
		}
	json_decref(result);
	return code;
}

static int
path_in(const char *directory, const char *name, char **out, struct err *e)
{
	return asprintf(out, "%s/%s", directory, name) < 0 ? err_set(e, ERR_NOMEM, "a path") : 0;
}

/* Writes into the manifest what the digest of a file is that it names. */
static int
fill_in(json_t *manifest, const char *directory, const char *field, struct err *e)
{
	json_t *part = json_object_get(manifest, field);
	const char *file = json_string_value(json_object_get(part, "file"));
	char text[DIGEST_TEXT_SIZE], *path;
	struct digest digest;
	uint8_t *bytes;
	size_t length;
	int rc;

	if (file == NULL)
		return err_set(e, ERR_INVAL, "%s/" PACK_MANIFEST ": %s must say which \"file\"", directory, field);
	if ((rc = path_in(directory, file, &path, e)) != 0)
		return rc;
	rc = io_read_file(path, FILE_MAX, &bytes, &length, e);
	free(path);
	if (rc != 0)
		return rc;
	digest = digest_of(bytes, length);
	free(bytes);
	return json_object_set_new(part, "digest", json_string(digest_text(&digest, text))) == 0
	    ? 0 : err_set(e, ERR_NOMEM, "a manifest");
}

static int
read_key(const char *path, struct keys_secret *key, struct err *e)
{
	struct keys_private own;
	int rc;

	if (path != NULL)
		return keys_read_secret(path, keys_ask_terminal, key, e);
	if ((rc = keys_ensure_private(NULL, &own, e)) != 0)
		return rc;
	return keys_read_secret(own.user_secret, keys_ask_terminal, key, e);
}

/* The manifest with its digests, as text; the caller frees it. */
static int
complete(const char *directory, const char *path, char **text, struct err *e)
{
	json_t *manifest;
	json_error_t why;
	uint8_t *bytes;
	size_t length;
	int rc = io_read_file(path, PACK_MANIFEST_MAX, &bytes, &length, e);

	if (rc != 0)
		return rc;
	manifest = json_loadb((char *)bytes, length, JSON_REJECT_DUPLICATES, &why);
	free(bytes);
	if (manifest == NULL)
		return err_set(e, ERR_INVAL, "%s:%d:%d: %s", path, why.line, why.column, policy_json_why(&why));
	if ((rc = fill_in(manifest, directory, "module", e)) == 0 &&
	    (rc = fill_in(manifest, directory, "bootstrap", e)) == 0 &&
	    (*text = json_dumps(manifest, JSON_INDENT(2))) == NULL)
		rc = err_set(e, ERR_NOMEM, "a manifest");
	json_decref(manifest);
	return rc;
}

/* Signs the pack in a directory, and sees that brigd would read it. */
static int
sign(const struct options *o, struct err *e)
{
	char kid[KEYS_KID_TEXT], *manifest = NULL, *beside = NULL, *text = NULL, *signature = NULL;
	struct keys_secret key = {0};
	int rc;

	if ((rc = path_in(o->argument, PACK_MANIFEST, &manifest, e)) != 0 ||
	    (rc = path_in(o->argument, PACK_SIGNATURE, &beside, e)) != 0 ||
	    (rc = complete(o->argument, manifest, &text, e)) != 0 || (rc = read_key(o->key, &key, e)) != 0 ||
	    (rc = minisign_sign(&key, text, strlen(text), "file:" PACK_MANIFEST, &signature, e)) != 0 ||
	    (rc = io_replace_file(beside, signature, strlen(signature), 0644, e)) != 0 ||
	    (rc = io_replace_file(manifest, text, strlen(text), 0644, e)) != 0)
		goto out;
	if ((rc = pack_check(o->argument, FILE_MAX, e)) == 0)
		printf("%s: signed by %s\n", manifest, keys_kid_text(key.key + 32, kid));
out:
	keys_forget(&key);
	free(signature);
	free(text);
	free(beside);
	free(manifest);
	return rc;
}

static int
pack_sign(int argc, char **argv)
{
	struct options o = {0};
	struct err e = {0};
	int code = take_options(argc, argv, 1, "one directory", &o);

	if (code != CMD_OK)
		return code;
	return sign(&o, &e) == 0 ? CMD_OK : cmd_fail(VERB, &e);
}

int
cmd_pack(int argc, char **argv)
{
	static const struct cmd_sub subs[] = {
	    {"list", pack_list, "[--json] [--socket PATH]", "show the packs of a running brigd, and which it would run"},
	    {"sign", pack_sign, "[-k KEY] DIR",
	        "write the digests of its files into DIR/pack.json, and sign that; with your own key unless told"},
	    {NULL, NULL, NULL, NULL},
	};

	return cmd_dispatch(VERB, about, subs, argc, argv);
}
