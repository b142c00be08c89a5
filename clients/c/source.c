/* source: what a language pack is to run, as a request names it. brig. */

#include "clients/c/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "clients/c/libbrig.h"

#define SOURCE_MAX (256 * 1024 * 1024) /* bytes; a server takes less */

/* The source as JSON: text, or base64 of what is none. */
static json_t *
code_json(const uint8_t *code, size_t length)
{
	json_t *json = memchr(code, '\0', length) == NULL ? json_stringn((const char *)code, length) : NULL;

	return json != NULL ? json : brig_base64(code, length);
}

/* What stands beside the file as its signature; *text stays NULL when nothing does. */
static int
read_signature(const char *file, uint8_t **text, struct err *e)
{
	char *beside;
	size_t length;
	int rc = 0;

	if (asprintf(&beside, "%s.minisig", file) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (access(beside, F_OK) == 0)
		rc = io_read_file(beside, SOURCE_MAX, text, &length, e);
	free(beside);
	return rc;
}

int
source_module(const char *pack, const char *file, const char *code, json_t **out, struct err *e)
{
	uint8_t *text = NULL, *signature = NULL;
	json_t *module = NULL;
	size_t length = 0;
	int rc = 0;

	if (code == NULL && strcmp(file, "-") == 0)
		rc = io_read_fd(STDIN_FILENO, SOURCE_MAX, &text, &length, e);
	else if (code == NULL && (rc = io_read_file(file, SOURCE_MAX, &text, &length, e)) == 0)
		rc = read_signature(file, &signature, e);
	if (rc == 0)
		module = json_pack("{s:s, s:o, s:s*}", "pack", pack, "code",
		    code != NULL ? code_json((const uint8_t *)code, strlen(code)) : code_json(text, length), "signature",
		    (const char *)signature);
	if (rc == 0 && module == NULL)
		rc = err_set(e, ERR_INVAL, "the request cannot be written: is the name of the pack UTF-8?");
	if (rc == 0)
		*out = module;
	free(signature);
	free(text);
	return rc;
}
