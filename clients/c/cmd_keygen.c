/* brig keygen: make a key pair, or write one in the other format. brig. */

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "broker/keys.h"
#include "broker/keys_private.h"
#include "clients/c/cmd.h"

static const char help[] =
    "brig keygen [-o NAME] [--format minisign|wasmsign2] [--from KEY]\n"
    "\n"
    "Makes an Ed25519 key pair: the secret key in NAME.key (only you can read it; it has no password), the public key\n"
    "in NAME.pub. Files that are there are not overwritten: it fails. Without -o it is your own key, with which `brig run`\n"
    "and `brig sign` sign; one that is there is kept and shown. It is in ~/.config/brig/keys/user.key (or under $XDG_CONFIG_HOME).\n"
    "\n"
    "  -o, --output NAME    write NAME.key and NAME.pub\n"
    "      --format FORMAT  minisign (text, the default) or wasmsign2 (binary); brig reads both\n"
    "      --from KEY       do not make a new pair, write this secret key's again\n";

struct options {
	const char *output;
	const char *from;
	enum keys_format format;
};

static int
parse_options(int argc, char **argv, struct options *o)
{
	static const struct option table[] = {{"output", required_argument, NULL, 'o'},
	    {"format", required_argument, NULL, 'f'}, {"from", required_argument, NULL, 'F'}, {0}};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "o:", table, NULL)) != -1) {
		if (c == 'o')
			o->output = optarg;
		else if (c == 'F')
			o->from = optarg;
		else if (c == 'f' && strcmp(optarg, "minisign") == 0)
			o->format = KEYS_MINISIGN;
		else if (c == 'f' && strcmp(optarg, "wasmsign2") == 0)
			o->format = KEYS_WASMSIGN2;
		else if (c == 'f')
			return cmd_usage("keygen", "--format is minisign or wasmsign2, not \"%s\"", optarg);
		else
			return cmd_usage("keygen", "the option %s is not known or lacks its value", argv[optind - 1]);
	}
	if (optind != argc)
		return cmd_usage("keygen", "\"%s\" is one argument too many", argv[optind]);
	if (o->output == NULL && (o->from != NULL || o->format != KEYS_MINISIGN))
		return cmd_usage("keygen", "-o NAME is missing: where to write that key");
	return CMD_OK;
}

/* Writes both files; a secret key whose public half cannot be written stays, it can be written again with --from. */
static int
write_pair(const struct options *o, const struct keys_secret *secret, struct err *e)
{
	char secret_path[PATH_MAX], public_path[PATH_MAX], kid[KEYS_KID_TEXT];
	const struct keys_public public = keys_public_of(secret);
	int rc;

	if (snprintf(secret_path, sizeof(secret_path), "%s.key", o->output) >= (int)sizeof(secret_path) ||
	    snprintf(public_path, sizeof(public_path), "%s.pub", o->output) >= (int)sizeof(public_path))
		return err_set(e, ERR_INVAL, "the name is too long");
	if ((rc = keys_write_secret(secret_path, secret, o->format, e)) != 0 ||
	    (rc = keys_write_public(public_path, &public, o->format, e)) != 0)
		return rc;
	printf("secret key  %s\npublic key  %s\nkey id      %s\n", secret_path, public_path,
	    keys_kid_text(public.key, kid));
	return 0;
}

/* The user's own key: made, or shown when it is there. */
static int
own_key(struct err *e)
{
	struct keys_private paths;
	struct keys_public public;
	char kid[KEYS_KID_TEXT];
	int rc;

	if ((rc = keys_ensure_private(NULL, &paths, e)) != 0 ||
	    (rc = keys_read_public(paths.user_public, &public, e)) != 0)
		return rc;
	printf("secret key  %s\npublic key  %s\nkey id      %s\n", paths.user_secret, paths.user_public,
	    keys_kid_text(public.key, kid));
	return 0;
}

int
cmd_keygen(int argc, char **argv)
{
	struct options o = {0};
	struct keys_secret secret = {0};
	struct err e;
	int rc;

	if (cmd_is_help(argc, argv)) {
		fputs(help, stdout);
		return CMD_OK;
	}
	if ((rc = parse_options(argc, argv, &o)) != CMD_OK)
		return rc;
	if (o.output == NULL)
		return own_key(&e) == 0 ? CMD_OK : cmd_fail("keygen", &e);
	rc = o.from == NULL ? keys_generate(&secret, &e) : keys_read_secret(o.from, keys_ask_terminal, &secret, &e);
	if (rc == 0)
		rc = write_pair(&o, &secret, &e);
	keys_forget(&secret);
	return rc == 0 ? CMD_OK : cmd_fail("keygen", &e);
}
