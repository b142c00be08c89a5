/* module_file: a program from disk with its signature, ready to be sent. brig. */

#include "clients/c/module_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memfd.h"
#include "broker/keys.h"
#include "broker/keys_private.h"
#include "broker/minisign.h"
#include "broker/wasmsig.h"

#define SIZE_LIMIT (1024 * 1024 * 1024)
#define SIGNED_BY  "signed by brig for its user" /* the trusted comment */

static bool
is_stdin(const char *path)
{
	return strcmp(path, "-") == 0;
}

/* The signature that lies beside the file. ERR_NOTFOUND when there is none. */
static int
read_signature(const char *path, struct module_file *m, struct err *e)
{
	uint8_t *text;
	size_t length;
	char *beside;
	int rc;

	if (is_stdin(path))
		return ERR_NOTFOUND;
	if (asprintf(&beside, "%s.minisig", path) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = io_read_file(beside, MINISIGN_SIZE_MAX, &text, &length, e);
	if (rc == 0)
		m->signature = (char *)text;
	free(beside);
	return rc;
}

static int
sign_with_own_key(struct module_file *m, struct err *e)
{
	struct keys_private keys;
	struct keys_secret secret;
	int rc;

	if ((rc = keys_ensure_private(NULL, &keys, e)) != 0 ||
	    (rc = keys_read_secret(keys.user_secret, NULL, &secret, e)) != 0)
		return rc;
	rc = minisign_sign(&secret, m->wasm, m->size, SIGNED_BY, &m->signature, e);
	keys_forget(&secret);
	if (rc == 0 && (m->own_key = strdup(keys.user_public)) == NULL)
		rc = err_set(e, ERR_NOMEM, "out of memory");
	return rc;
}

/* What people try to run that is no module, by how it starts. */
static int
check_kind(const struct module_file *m, struct err *e)
{
	static const struct {
		const char *start, *what;
	} others[] = {
	    {"\x7f" "ELF", "a native program, and brig runs WebAssembly: compile it for wasm32-wasi"},
	    {"#!", "a script, and brig runs WebAssembly: run its interpreter, as a module, with the script as input"},
	    {"(", "WebAssembly in its text form: make a module of it first (wat2wasm)"},
	};

	if (m->size == 0)
		return err_set(e, ERR_INVAL, "empty, not a WebAssembly module");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (m->size >= strlen(others[i].start) && memcmp(m->wasm, others[i].start, strlen(others[i].start)) == 0)
			return err_set(e, ERR_INVAL, "%s", others[i].what);
	return 0;
}

static int
find_signature(const char *path, bool sign, struct module_file *m, struct err *e)
{
	struct wasmsig found;
	int rc = check_kind(m, e);

	if (rc == 0)
		rc = wasmsig_parse(m->wasm, m->size, &found, e);
	if (rc == ERR_INVAL)
		return err_context(e, "%s", is_stdin(path) ? "standard input" : path);
	if (rc != ERR_NOTFOUND)
		return 0;
	rc = read_signature(path, m, e);
	if (rc == ERR_NOTFOUND)
		return sign ? sign_with_own_key(m, e) : 0;
	return rc;
}

int
module_file_load(const char *path, bool sign, struct module_file *out, struct err *e)
{
	struct module_file m = {0};
	int rc = is_stdin(path) ? io_read_fd(STDIN_FILENO, SIZE_LIMIT, &m.wasm, &m.size, e)
	                        : io_read_file(path, SIZE_LIMIT, &m.wasm, &m.size, e);

	if (rc == 0)
		rc = find_signature(path, sign, &m, e);
	if (rc != 0)
		module_file_clear(&m);
	else
		*out = m;
	return rc;
}

void
module_file_clear(struct module_file *m)
{
	free(m->wasm);
	free(m->signature);
	free(m->own_key);
	*m = (struct module_file){0};
}

json_t *
module_file_json(const struct module_file *m)
{
	return json_pack("{s:i, s:s*}", "descriptor", 0, "signature", m->signature);
}

const char *
module_file_advice(const struct module_file *m, const struct brig_error *error, const char *server,
    char text[MODULE_FILE_ADVICE_SIZE])
{
	char own[BRIG_PATH_MAX];

	if (m->own_key == NULL || strcmp(error->name, "unknown_key") != 0)
		return NULL;
	if (brig_socket_private(own, NULL) == 0 && strcmp(own, server) == 0)
		snprintf(text, MODULE_FILE_ADVICE_SIZE, "Your own key signed it, %s, and your own brigd goes by other keys.\n"
		    "  If the keys were made anew, `brig server stop` stops it, and the next `brig run` starts one that knows them;\n"
		    "  else `brig keys add` puts your key back into the keyring.", m->own_key);
	else
		snprintf(text, MODULE_FILE_ADVICE_SIZE, "The file was not signed, so your own key signed it: %s.\n"
		    "  The operator of this brigd can add that key with `brig keys add`; --no-sign sends the file unsigned, if policy "
		    "allows that.", m->own_key);
	return text;
}

int
module_file_memfd(const struct module_file *m, struct err *e)
{
	return memfd_from("brig-module", m->wasm, m->size, e);
}
