/* broker/packs: language packs: interpreters that the operator has approved, which run source. brigd and the brig command. */

#ifndef BROKER_PACKS_H
#define BROKER_PACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "broker/keyring.h"
#include "broker/signature.h"
#include "policy/policy.h"

/*
 * A pack is a directory with a manifest, pack.json, and its detached signature, pack.json.minisig, by a key of the keyring
 * that has "packs": true. The manifest names the other files and their digests, so that the one signature covers all:
 *
 *   version      1
 *   name         as in requests
 *   release      for people
 *   module       {"file": ..., "digest": ...}: the interpreter, a core module for WASI preview 1
 *   bootstrap    the same: text that becomes the argument "{bootstrap}"
 *   args, env    what the interpreter is started with: an array with the program's name first, an object
 *   grant        a policy document that narrows every run, or null (or absent)
 *   warm         whether it may be kept started up to its first read of the job (true when absent)
 *
 * The interpreter reads what it is to run from the file /dev/brig/job (base/proto.h), with no other file open.
 */
#define PACKS_MAX          64
#define PACK_NAME_MAX      64        /* bytes: lower-case letters, digits, - and _ */
#define PACK_RELEASE_MAX   64
#define PACK_MANIFEST      "pack.json"
#define PACK_SIGNATURE     "pack.json.minisig"
#define PACK_MANIFEST_MAX  65536
#define PACK_BOOTSTRAP_MAX (1024 * 1024)
#define PACK_ARGS_MAX      64

struct pack {
	char name[PACK_NAME_MAX + 1];
	char release[PACK_RELEASE_MAX + 1];
	struct digest digest;        /* of the manifest */
	struct digest module;
	int fd;                      /* the module, a sealed memfd */
	size_t size;
	uint8_t *args, *env;         /* as in the blob of a job (base/proto.h) */
	size_t args_length, env_length;
	uint32_t argc, envc;
	struct policy *grant;        /* NULL when it narrows nothing */
	bool warm;
	int start;                   /* args and env in a sealed memfd, for PROTO_WARM */
	char *signature;             /* the text */
	size_t signature_length;
	struct signature_facts facts; /* of the manifest */
};

struct packs;

/*
 * packs_load - read all packs in `directory` (NULL: there are none). A module that one of `old` (NULL for none) has is not
 * read again. Whose signatures count is asked later, by packs_judge; all else that is wrong with one pack fails the whole:
 * ERR_INVAL, ERR_LIMIT, ERR_NOTFOUND, ERR_IO or ERR_NOMEM, with the file. 0 with *out for packs_free().
 */
int packs_load(const char *directory, size_t module_max, const struct packs *old, struct packs **out, struct err *e);
void packs_free(struct packs *p);

size_t packs_count(const struct packs *p);
const struct pack *packs_at(const struct packs *p, size_t index); /* NULL past the end; by name */
const struct pack *packs_find(const struct packs *p, const char *name);

/*
 * packs_judge - whether a pack may run now: signed by a key of `ring` that may sign packs and is in force; neither manifest
 * nor module revoked. 0 with *out as signature_judge sets it, its `module` being the manifest; else as there, or
 * ERR_DENIED: that key may not sign packs.
 */
int packs_judge(const struct pack *p, const struct keyring *ring, int64_t now, struct signature_verdict *out,
    struct err *e);

/* pack_check - that the pack in `directory` is as packs_load would have it. 0 or an error as there. */
int pack_check(const char *directory, size_t module_max, struct err *e);

/* pack_name_ok - whether a pack can have that name. */
bool pack_name_ok(const char *name);

#endif
