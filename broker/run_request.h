/* broker/run_request: the parameters of `run`, decoded and checked; no decision. brigd. */

#ifndef BROKER_RUN_REQUEST_H
#define BROKER_RUN_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/proto.h"
#include "broker/jsonrpc.h"
#include "broker/signature.h"
#include "policy/policy.h"

#define RUN_ARGS_MAX 65536 /* arguments, and environment variables, in one request */
#define RUN_KEY_MAX  128   /* bytes of an idempotency key */
#define RUN_PRIORITY 5     /* when none is stated, of 0 to 9 (broker/fair.h) */
#define RUN_DEADLINE_MS_MAX 86400000

/* A module as a client gives it, or source for a language pack. */
struct module_source {
	int fd;                 /* sealed memfd with the bytes, owned; -1 when given by digest, or for a pack */
	size_t size;            /* of the bytes, or of the source */
	struct digest digest;   /* when fd is -1 */
	char *pack;             /* its name, owned; NULL for a module */
	uint8_t *code;          /* source for it, owned, until it is in the blob; else NULL */
	char *signature;        /* detached, owned; NULL for none */
	size_t signature_length;
	struct signature_facts *facts; /* of the bytes or the source, owned; NULL until they are read */
};

/* What a client asks to be run. Owns everything in it. */
struct run_request {
	struct module_source module;
	uint8_t *blob;          /* arguments, environment, stdin, files: as behind struct proto_job */
	size_t blob_length;
	uint32_t argc, envc;    /* argc counts the program's name */
	uint64_t args_length, env_length, stdin_length, files_length; /* in the blob */
	uint8_t *job;           /* for a language pack: struct proto_source and what is behind it, owned */
	size_t job_length;
	char **env_names;       /* for policy_ask */
	char **file_paths;      /* likewise */
	char **dir_paths;       /* mounts that show directories of the host; ask.dirc of them */
	int dir_fds[PROTO_DIRS_MAX]; /* the socket over which each is served, owned */
	uid_t dir_makers[PROTO_DIRS_MAX]; /* who made it */
	struct policy_ask ask;  /* all but module_signed */
	struct policy *policy;  /* the request's own; NULL for none */
	struct digest input;    /* SHA-256 of the blob: what the run was given */
	bool stream_output;
	bool stream_input;
	unsigned priority;      /* among the runs of its owner that wait */
	uint64_t deadline_ms;   /* from the request's arrival to the run's end; 0: none */
	char *key;              /* idempotency key; NULL for none */
	struct digest fingerprint; /* of all that is asked for, when there is a key */
};

/*
 * module_source_parse - read {"wasm": base64} | {"digest": "sha256:..."} | {"descriptor": index} |
 * {"pack": name, "code": text or {"base64"}}, each with an optional "signature" (not with a digest: what was stored with
 * it counts; for a pack the code's). `fds` are those that came with the line; the one
 * that is used is taken (set to -1). Bytes are put into a sealed memfd once; that descriptor is what is hashed,
 * verified and compiled.
 */
int module_source_parse(const json_t *json, int *fds, int nfds, size_t size_max, struct module_source *out,
    struct rpc_failure *f);
void module_source_clear(struct module_source *m);

/* module_source_read - set m->facts, unless it is given by digest. Slow for a large module. */
int module_source_read(struct module_source *m, struct rpc_failure *f);

/*
 * run_request_parse - read the params of `run`. Unknown members are refused, with the nearest known name. Of `fds`,
 * those that came with the line, the ones that are used are taken. Returns 0, or -1 with the failure and nothing to clear.
 */
int run_request_parse(const json_t *params, int *fds, int nfds, size_t module_max, struct run_request *out,
    struct rpc_failure *f);
void run_request_clear(struct run_request *r);

/*
 * run_request_fingerprint - set r->fingerprint, so that a key used again for something else is noticed. Returns 0, or -1
 * with the failure when out of memory.
 */
int run_request_fingerprint(struct run_request *r, const json_t *params, struct rpc_failure *f);

/* run_request_owns_dirs - whether all directories are served by a user's own sockets; fails as bad_descriptor. */
int run_request_owns_dirs(const struct run_request *r, uid_t user, struct rpc_failure *f);

/*
 * run_request_for_pack - make the request one for a language pack: what the pack is started with takes the place of
 * arguments and environment, and these, with the source, become the pack's job. 0 or ERR_NOMEM.
 */
struct pack;
int run_request_for_pack(struct run_request *r, const struct pack *pack, struct err *e);

/* run_request_append - put what only brigd knows behind the blob. Returns 0 or ERR_NOMEM. */
int run_request_append(struct run_request *r, const void *data, size_t length, struct err *e);

/* run_request_shed - free all but the key and the flags: what an ended run is still asked for. */
void run_request_shed(struct run_request *r);

/* params_check - that `params` is an object with none but the names[0..count]. Fails as invalid_params. */
int params_check(const json_t *params, const char *const *names, size_t count, struct rpc_failure *f);

/* params_digest - the same, and take the module's digest, which must be in "digest". */
int params_digest(const json_t *params, const char *const *names, size_t count, struct digest *out, struct rpc_failure *f);

/*
 * bytes_parse - read "text" or {"base64": "..."} into a heap block, which the caller frees. `what` is for messages.
 */
int bytes_parse(const json_t *json, const char *what, uint8_t **data, size_t *length, struct rpc_failure *f);

#endif
