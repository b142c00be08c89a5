/* module_file: a program from disk with its signature, ready to be sent. brig. */

#ifndef CLIENTS_C_MODULE_FILE_H
#define CLIENTS_C_MODULE_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "clients/c/libbrig.h"

#define MODULE_FILE_ADVICE_SIZE 5000

struct module_file {
	uint8_t *wasm;
	size_t size;
	char *own_key;   /* path of the public key of this user, when it was signed with that here; else NULL */
	char *signature; /* detached, minisign's text; NULL when the file carries its own, or none was wanted */
};

/*
 * module_file_load - read `path` ("-": standard input, to its end) and find its signature: what the file carries, good
 * or bad, is the server's to judge; else PATH.minisig is taken; else, with `sign`, the user's own key signs it, and is
 * made first when there is none (broker/keys_private.h).
 *
 * Returns 0, *out to be ended by module_file_clear(); ERR_NOTFOUND when there is no such file; ERR_INVAL for what is no
 * core WebAssembly module; what the key functions return; ERR_IO, ERR_NOMEM.
 */
int module_file_load(const char *path, bool sign, struct module_file *out, struct err *e);
void module_file_clear(struct module_file *m);

/* module_file_json - {"descriptor": 0, "signature": ...} as in requests. NULL when out of memory. */
json_t *module_file_json(const struct module_file *m);

/*
 * module_file_advice - what to do when the server at that path refused this file with `error`, where there is more to
 * say than the server can know: that our own key signed it. Returns `text`, or NULL when there is nothing.
 */
const char *module_file_advice(const struct module_file *m, const struct brig_error *error, const char *server,
    char text[MODULE_FILE_ADVICE_SIZE]);

/* module_file_memfd - its bytes in a sealed memfd, the caller's; or a negative ERR_*. */
int module_file_memfd(const struct module_file *m, struct err *e);

#endif
