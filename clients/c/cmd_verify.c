/* brig verify: who signed a module, and whether that counts. brig. */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/io.h"
#include "broker/keyring.h"
#include "broker/keys.h"
#include "broker/keys_private.h"
#include "broker/minisign.h"
#include "broker/signature.h"
#include "clients/c/cmd.h"

#define MODULE_MAX ((size_t)1 << 30)

static const char help[] =
    "brig verify [-p PUB | --keyring FILE --root PUB] [-s SIG] FILE.wasm\n"
    "\n"
    "Verifies the signature inside a module, the one beside it in FILE.wasm.minisig, or both when there are both.\n"
    "Exit code: 0 it is signed and good, 1 it is not, 2 the command line makes no sense.\n"
    "\n"
    "  -p, --public-key PUB   only this key counts\n"
    "      --keyring FILE     the keys that count; default: your own keyring\n"
    "      --root PUB         the public key that signed the keyring\n"
    "  -s, --signature SIG    the signature beside it; default: FILE.wasm.minisig when there is one\n";

struct options {
	const char *public_key;
	const char *keyring;
	const char *root;
	const char *signature;
	const char *file;
};

static int
parse_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {{"public-key", required_argument, NULL, 'p'},
	    {"keyring", required_argument, NULL, 'K'}, {"root", required_argument, NULL, 'R'},
	    {"signature", required_argument, NULL, 's'}, {0}};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "p:s:", table, NULL)) != -1) {
		if (c == 'p')
			o->public_key = optarg;
		else if (c == 'K')
			o->keyring = optarg;
		else if (c == 'R')
			o->root = optarg;
		else if (c == 's')
			o->signature = optarg;
		else
			return cmd_usage("verify", "the option %s is not known or lacks its value", argv[optind - 1]);
	}
	if (optind + 1 != argc)
		return cmd_usage("verify", optind == argc ? "which module to verify is missing" : "one module at a time");
	o->file = argv[optind];
	if (o->public_key != NULL && (o->keyring != NULL || o->root != NULL))
		return cmd_usage("verify", "either -p or --keyring and --root");
	if ((o->keyring == NULL) != (o->root == NULL))
		return cmd_usage("verify", "--keyring and --root go together: who signed the keyring must be known");
	return CMD_OK;
}

static int
open_keyring(const struct options *o, struct keyring **ring, struct err *e)
{
	struct keys_private paths;
	struct keys_public key;
	int rc;

	if (o->public_key != NULL) {
		if ((rc = keys_read_public(o->public_key, &key, e)) != 0)
			return rc;
		return keyring_of_key(&key, ring, e);
	}
	if ((rc = keys_private_paths(NULL, &paths, e)) != 0 ||
	    (rc = keys_read_public(o->root != NULL ? o->root : paths.root_public, &key, e)) != 0)
		return rc;
	return keyring_load_file(o->keyring != NULL ? o->keyring : paths.keyring, &key, time(NULL), 0, ring, e);
}

/* Reads the signature file, the one that was named or the one that may be there. *text stays NULL without one. */
static int
read_signature(const struct options *o, uint8_t **text, size_t *length, struct err *e)
{
	char *beside = NULL;
	int rc;

	if (o->signature != NULL)
		return io_read_file(o->signature, MINISIGN_SIZE_MAX, text, length, e);
	if (asprintf(&beside, "%s.minisig", o->file) < 0)
		return err_set(e, ERR_NOMEM, "a path");
	rc = io_read_file(beside, MINISIGN_SIZE_MAX, text, length, e);
	free(beside);
	return rc == ERR_NOTFOUND ? 0 : rc;
}

static void
print_key(const char *kind, const struct keyring_key *key)
{
	printf("signature  %s, good\nkey id     %s\n", kind, key->kid);
	if (key->name[0] == '\0')
		return;
	fputs("key name   ", stdout);
	cmd_print_safe(stdout, key->name, strlen(key->name));
	putchar('\n');
}

static void
print_verdict(const struct signature_verdict *v)
{
	char text[DIGEST_TEXT_SIZE];

	print_key(v->kind == SIGNATURE_BOTH && v->second != NULL ? "embedded" : signature_kind_name(v->kind), v->key);
	if (v->second != NULL)
		print_key("detached", v->second);
	printf("module     %s\n", digest_text(&v->module, text));
}

static int
verify(const struct options *o, struct err *e)
{
	struct signature_verdict v;
	struct keyring *ring = NULL;
	uint8_t *wasm = NULL, *signature = NULL;
	size_t length, signature_length = 0;
	int rc;

	if ((rc = open_keyring(o, &ring, e)) != 0 ||
	    (rc = io_read_file(o->file, MODULE_MAX, &wasm, &length, e)) != 0 ||
	    (rc = read_signature(o, &signature, &signature_length, e)) != 0)
		goto out;
	rc = signature_check(wasm, length, (char *)signature, signature_length, ring, time(NULL), &v, e);
	if (rc == 0 && v.kind == SIGNATURE_NONE)
		rc = err_set(e, ERR_SIGNATURE, "not signed: `brig sign` signs it");
	if (rc == 0)
		print_verdict(&v);
	else
		err_context(e, "%s", o->file);
out:
	free(signature);
	free(wasm);
	keyring_free(ring);
	return rc;
}

int
cmd_verify(int argc, char **argv)
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
	return verify(&o, &e) == 0 ? CMD_OK : cmd_fail("verify", &e);
}
