/* audit/log: the log file: one JSON record a line, each carrying the hash of the one before; only ever appended to. Logger. */

#ifndef AUDIT_LOG_H
#define AUDIT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"

/*
 * A record is one JSON object and a newline. Its first member, `metadata`, is the logger's; the others are the event's, as
 * they came. metadata.sequence counts from 0, and metadata.previous is the SHA-256 of the line before without its newline
 * ("sha256:00..." for the first).
 *
 * What a failed write or a crash left of a record is not removed: a newline ends it, and the next record, an
 * Application Lifecycle event "repair", says in metadata.torn how many bytes it has and their SHA-256. That record
 * takes the place in the chain that the torn one would have had. docs/audit.md is the format's description.
 */
#define LOG_FILE_NAME  "log.jsonl"
#define LOG_RECORD_MAX 65535 /* bytes of a line, without its newline */
#define LOG_EVENT_MAX  60000 /* bytes of an event as it comes */
#define LOG_TORN_MAX   (16 * 1024 * 1024) /* of a torn record; more than that is not a torn record */

enum log_durability {
	LOG_BATCH,  /* written before it is acknowledged; on disk LOG_SYNC_MS after that at the latest */
	LOG_STRICT, /* on disk before it is acknowledged */
};
#define LOG_SYNC_MS 100

struct log;

/* A record's place. */
struct log_receipt {
	uint64_t sequence;
	struct digest hash;
};

/*
 * log_open - open LOG_FILE_NAME in the directory `dir` (borrowed), making it with mode 0600, and find the chain's end.
 * Holds the only lock on the file. Returns 0 with *out for log_close(); ERR_EXISTS when another logger has it;
 * ERR_CORRUPT when the last whole line is no record of ours; ERR_IO.
 */
int log_open(int dir, enum log_durability durability, struct log **out, struct err *e);

/* log_close - flush, sync, close. NULL is fine. */
void log_close(struct log *l);

/*
 * log_append - check and complete an event and put it into the batch that the next log_flush writes. *out holds if that
 * flush covers it.
 *
 * Returns 0; ERR_INVAL or ERR_LIMIT when chain_check_event refuses it; ERR_AGAIN when the batch is full: flush first;
 * ERR_NOMEM.
 */
int log_append(struct log *l, const char *event, size_t length, struct log_receipt *out, struct err *e);

/*
 * log_flush - write the batch, and under LOG_STRICT wait until it is on disk. *done is how many of its records, from
 * the first on, are now in the log; the others are forgotten and did not happen. Returns 0 when that is all of them,
 * else ERR_IO with the reason. After a failed write the next flush tries again; after a failed sync, none succeeds.
 */
int log_flush(struct log *l, size_t *done, struct err *e);

/*
 * log_sync - bring everything that was written to disk. log_sync_start - under LOG_BATCH: begin to, in a thread, and
 * return at once; nothing when the last one is still under way. If it fails, the next log_flush says so.
 * log_sync_due_ms - how long the next sync may still wait: -1 when there is nothing to sync, 0 when it is due and can begin.
 */
int log_sync(struct log *l, struct err *e);
void log_sync_start(struct log *l);
int log_sync_due_ms(const struct log *l);

#endif
