/* audit/record: what happened, as JSON text in the shape of OCSF 1.3. Pure but for the host's name; brigd and the logger. */

#ifndef AUDIT_RECORD_H
#define AUDIT_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"

/*
 * Every function here makes one JSON object, compact, for PROTO_LOG_APPEND: an OCSF event but for its metadata, which
 * the logger adds (audit/log.h). Not thread-safe. All structures borrow. Texts are taken as they come: bytes that are not
 * UTF-8 become '?', and what is longer than RECORD_STRING_MAX is cut. A text that may be NULL or "" is then left out.
 *
 * Each returns 0 with *text (NUL-terminated, *length without it, freed by the caller), never more than
 * RECORD_TEXT_MAX bytes: of denials that would exceed it the first are kept, the calls of the others counted; usage and
 * limits are replaced by their SHA-256. ERR_NOMEM otherwise.
 */
#define RECORD_TEXT_MAX   60000 /* bytes of a record before the logger completes it */
#define RECORD_STRING_MAX 1000  /* bytes of one text */

/* Who asked, as the kernel says of the client's socket. */
struct record_actor {
	uint32_t uid;
	uint32_t gid;
	int32_t pid;
};

/* The language pack that a run goes through, and what it was given to run. */
struct record_pack {
	const char *name;
	const struct digest *digest; /* of its manifest */
	const struct digest *source;
	const char *source_signer;   /* kid; NULL or "" when unsigned */
};

/* A run that is about to start: Process Activity (1007), Launch. Also the part of an outcome that is known before. */
struct record_run {
	int64_t time_ms;             /* since 1970: when it was asked for */
	struct record_actor actor;
	const char *run_id;
	const struct digest *module; /* SHA-256 of all its bytes */
	const char *signer;          /* kid; NULL or "" when unsigned */
	const char *signature;       /* "none", "embedded", "detached", "both" */
	const struct digest *policy; /* of the effective policy's canonical text */
	const char *limits;          /* the effective ones, as JSON text of an object; NULL to leave it out */
	const struct digest *input;  /* over arguments, environment, stdin; NULL to leave it out */
	const struct record_pack *pack; /* NULL for a module */
	const char *mode;            /* "learn"; NULL or "" for a run whose policy is enforced */
};
int record_of_intent(const struct record_run *r, char **text, size_t *length, struct err *e);

struct record_stream {
	uint64_t bytes;              /* that the guest wrote */
	const struct digest *digest; /* of the bytes that were kept or passed on; NULL when there were none */
	bool truncated;
};

/* A run that has ended: Process Activity (1007), Terminate. */
struct record_outcome {
	struct record_run run;
	int64_t ended_ms;
	const char *status;    /* as in results: "exited", "limit", ... */
	bool has_exit_code;
	uint32_t exit_code;
	const char *limit;     /* name of the limit; NULL for none */
	const char *trap;      /* kind of the trap; NULL for none */
	const char *reason;    /* a sentence; NULL or "" for none */
	struct record_stream out, err;
	const char *usage;     /* as in results, as JSON text of an object; NULL to leave it out */
	const json_t *denials; /* array as in results; NULL to leave it out */
	const char *learned;   /* digest of the policy that it learned; NULL for none */
	uint64_t denials_omitted; /* calls that were refused, and are in none of them */
};
int record_of_outcome(const struct record_outcome *r, char **text, size_t *length, struct err *e);

/*
 * record_of_unfinished - the outcome of a run that has none on record: status "failed", made from the record of its
 * intent, a record_of_intent as JSON (borrowed).
 */
int record_of_unfinished(const json_t *intent, int64_t time_ms, char **text, size_t *length, struct err *e);

/* A request that was not carried out: API Activity (6003), Failure. */
struct record_refusal {
	int64_t time_ms;
	struct record_actor actor;
	const char *method;          /* as the client sent it */
	const char *error;           /* stable name, as in docs/errors.md */
	int error_number;
	const char *detail;          /* a sentence */
	const struct digest *module; /* NULL when it is not known */
};
int record_of_refusal(const struct record_refusal *r, char **text, size_t *length, struct err *e);

/* A module that was put or removed: API Activity (6003), Success. */
struct record_module {
	int64_t time_ms;
	struct record_actor actor;
	const char *method;          /* "module.put", "module.remove" */
	const struct digest *module;
	uint64_t size;               /* bytes; 0 to leave it out */
	const char *signer;          /* as in record_run; NULL or "" to leave it out */
	const char *signature;
};
int record_of_module(const struct record_module *r, char **text, size_t *length, struct err *e);

/* brigd or the log itself: Application Lifecycle (6002): "start" and "stop"; anything else is activity Other. */
struct record_service {
	int64_t time_ms;
	const char *what;    /* "start", "stop", "reload", "repair", ... */
	const char *detail;  /* a sentence; NULL or "" for none */
};
int record_of_service(const struct record_service *r, char **text, size_t *length, struct err *e);

#endif
