/* apply_set: the changes of a result, which are what a guest made them, taken apart and checked; no I/O. brig. */

#ifndef CLIENTS_C_APPLY_SET_H
#define CLIENTS_C_APPLY_SET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "clients/c/problems.h"

/* Bytes of one name, and of a path below the directory that changes are applied to; as in the guest. */
#define APPLY_NAME_MAX 255
#define APPLY_PATH_MAX 4095

/* Names that start so are those under which contents wait for their place. */
#define APPLY_TEMP_PREFIX ".brig-apply-"

/* Which directory of the host stands where in the guest. */
struct apply_mount {
	const char *host;
	const char *guest; /* absolute, no component empty, "." or "..", no slash at its end but that of "/" */
};

enum apply_what { APPLY_CREATED, APPLY_MODIFIED, APPLY_DELETED };
enum apply_kind { APPLY_FILE, APPLY_DIRECTORY, APPLY_LINK };

extern const char *const apply_what_names[3]; /* "created", ... */
extern const char *const apply_kind_names[3]; /* "file", ... */

struct apply_change {
	enum apply_what what;
	enum apply_kind kind;
	enum apply_kind was; /* what is modified or deleted was this before */
	size_t mount;        /* index */
	const char *path;    /* below the mount: names with a slash between them, none empty, "." or ".." */
	uint8_t *content;    /* of a file that is not deleted */
	size_t size;
	struct digest digest;
	const char *target;  /* of a link that is not deleted: relative, ".." only in front, stays inside the mount */
	bool has_base;
	struct digest base;  /* what the file held before, or what the link pointed to */
};

struct apply_set {
	json_t *json; /* the result; paths and targets are its own */
	struct apply_change *changes; /* by mount and path, each once */
	size_t count;
	size_t elsewhere; /* changes that are in none of the mounts */
	const char *one_elsewhere; /* the path of one of them */
};

/*
 * apply_set_parse - take the changes of `result` (its "changes", as docs/protocol.md has it) apart, those in `mounts`.
 * Everything about a change that could not be of a well-meaning guest, and that it is not whole, is a problem: its
 * path, its contents that do not match their digest, one path twice, something below what is no directory. What is in
 * *out is to be used only when there was none.
 *
 * Returns 0 with *out for apply_set_clear(); ERR_INVAL when this is not a result with changes; ERR_NOMEM.
 */
int apply_set_parse(json_t *result, const struct apply_mount *mounts, size_t mount_count, struct apply_set *out,
    struct problems *problems, struct err *e);

/* apply_set_find - the change at that path, path[0..length], or NULL. */
const struct apply_change *apply_set_find(const struct apply_set *set, size_t mount, const char *path, size_t length);

void apply_set_clear(struct apply_set *set);

#endif
