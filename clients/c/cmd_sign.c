/* brig sign: sign a module, inside it or beside it. brig. */

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "broker/keys.h"
#include "broker/keys_private.h"
#include "broker/minisign.h"
#include "broker/wasmsig.h"
#include "clients/c/cmd.h"

#define MODULE_MAX ((size_t)1 << 30)

static const char help[] =
    "brig sign [-k KEY] [--detached] [-o OUT] FILE.wasm\n"
    "\n"
    "Signs a WebAssembly module: inside it (a section that wasmsign2 verifies too), or with --detached beside it, in\n"
    "FILE.wasm.minisig (which minisign verifies too).\n"
    "\n"
    "  -k, --key KEY        the secret key: minisign's or wasmsign2's; default: your own, made at first use\n"
    "  -d, --detached       write a signature file; the module stays as it is\n"
    "  -c, --comment TEXT   with --detached: the trusted comment; default: the file's name\n"
    "  -r, --replace        replace the signature that a module carries already\n"
    "  -o, --output OUT     write OUT; default: FILE.wasm itself, or FILE.wasm.minisig\n";

struct options {
	const char *key;
	const char *output;
	const char *comment;
	const char *file;
	bool detached;
	bool replace;
};

static int
parse_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {{"key", required_argument, NULL, 'k'},
	    {"detached", no_argument, NULL, 'd'}, {"comment", required_argument, NULL, 'c'},
	    {"replace", no_argument, NULL, 'r'}, {"output", required_argument, NULL, 'o'}, {0}};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "k:dc:ro:", table, NULL)) != -1) {
		if (c == 'k')
			o->key = optarg;
		else if (c == 'd')
			o->detached = true;
		else if (c == 'c')
			o->comment = optarg;
		else if (c == 'r')
			o->replace = true;
		else if (c == 'o')
			o->output = optarg;
		else
			return cmd_usage("sign", "the option %s is not known or lacks its value", argv[optind - 1]);
	}
	if (optind + 1 != argc)
		return cmd_usage("sign", optind == argc ? "which module to sign is missing" : "one module at a time");
	o->file = argv[optind];
	if (o->comment != NULL && !o->detached)
		return cmd_usage("sign", "only a signature beside the module has a comment: add --detached");
	return CMD_OK;
}

static int
read_key(const char *path, struct keys_secret *key, struct err *e)
{
	struct keys_private paths;
	int rc;

	if (path != NULL)
		return keys_read_secret(path, keys_ask_terminal, key, e);
	if ((rc = keys_ensure_private(NULL, &paths, e)) != 0)
		return rc;
	return keys_read_secret(paths.user_secret, keys_ask_terminal, key, e);
}

/* Writes the signed module with the mode that the unsigned one had. */
static int
sign_inside(const struct options *o, const char *target, const uint8_t *wasm, size_t length,
    const struct keys_secret *key, struct err *e)
{
	uint8_t *made;
	size_t made_length;
	struct stat st;
	int rc;

	if ((rc = wasmsig_sign(wasm, length, key, &made, &made_length, e)) != 0)
		return rc;
	rc = io_replace_file(target, made, made_length, stat(o->file, &st) == 0 ? st.st_mode & 0777 : 0644, e);
	free(made);
	return rc;
}

static int
sign_beside(const struct options *o, const char *target, const uint8_t *wasm, size_t length,
    const struct keys_secret *key, struct err *e)
{
	const char *slash = strrchr(o->file, '/');
	char *text, *comment = NULL;
	int rc;

	if (asprintf(&comment, "file:%s", slash == NULL ? o->file : slash + 1) < 0)
		return err_set(e, ERR_NOMEM, "a comment");
	rc = minisign_sign(key, wasm, length, o->comment != NULL ? o->comment : comment, &text, e);
	free(comment);
	if (rc != 0)
		return rc;
	rc = io_replace_file(target, text, strlen(text), 0644, e);
	free(text);
	return rc;
}

/* Only what brigd would take can be signed; a signature that is there is only replaced when asked. */
static int
check_module(const struct options *o, const uint8_t *wasm, size_t length, struct err *e)
{
	struct wasmsig sig;
	int rc;

	if (o->detached && (length < 4 || memcmp(wasm, "\0asm", 4) != 0))
		return 0; /* source for a language pack */
	rc = wasmsig_parse(wasm, length, &sig, e);
	if (rc == ERR_NOTFOUND || (rc == 0 && (o->replace || o->detached)))
		return 0;
	if (rc == 0)
		rc = err_set(e, ERR_EXISTS, "it carries a signature already: --replace replaces it, --detached adds one beside it");
	return err_context(e, "%s", o->file);
}

static int
sign(const struct options *o, struct err *e)
{
	struct keys_secret key = {0};
	char kid[KEYS_KID_TEXT], *target = NULL;
	uint8_t *wasm;
	size_t length;
	int rc;

	if ((rc = io_read_file(o->file, MODULE_MAX, &wasm, &length, e)) != 0)
		return rc;
	if ((rc = check_module(o, wasm, length, e)) != 0 ||
	    (rc = read_key(o->key, &key, e)) != 0)
		goto out;
	if (asprintf(&target, "%s%s", o->output != NULL ? o->output : o->file,
	    o->output == NULL && o->detached ? ".minisig" : "") < 0) {
		rc = err_set(e, ERR_NOMEM, "a path");
		goto out;
	}
	rc = o->detached ? sign_beside(o, target, wasm, length, &key, e) : sign_inside(o, target, wasm, length, &key, e);
	if (rc == 0)
		printf("%s: signed by %s\n", target, keys_kid_text(key.key + 32, kid));
	free(target);
out:
	keys_forget(&key);
	free(wasm);
	return rc;
}

int
cmd_sign(int argc, char **argv)
{
	struct options o = {0};
	struct err e;
	int rc;

	if (cmd_is_help(argc, argv)) {
		fputs(help, stdout);
		return CMD_OK;
	}
	if ((rc = parse_options(argc, argv, &o)) != CMD_OK)
		return rc;
	return sign(&o, &e) == 0 ? CMD_OK : cmd_fail("sign", &e);
}
