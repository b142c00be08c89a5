/* source: what a language pack is to run, as a request names it. brig. */

#ifndef CLIENTS_C_SOURCE_H
#define CLIENTS_C_SOURCE_H

#include <jansson.h>

#include "base/err.h"

/*
 * source_module - the `module` of a run of source by that pack: `code` itself, or when that is NULL what `file` holds, with
 * the signature in FILE.minisig if that is there; "-" is standard input.
 *
 * Returns 0 with *out for the caller to release, ERR_INVAL for a name that cannot be sent, or as io_read_file.
 */
int source_module(const char *pack, const char *file, const char *code, json_t **out, struct err *e);

#endif
