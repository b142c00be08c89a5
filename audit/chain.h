/* audit/chain: one line of the log taken apart: its place in the chain, and what it marks as torn. Logger and brig. */

#ifndef AUDIT_CHAIN_H
#define AUDIT_CHAIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/digest.h"
#include "base/err.h"

/* Where a chain stands: what the next record must say of itself. */
struct chain {
	uint64_t next;          /* its sequence number */
	struct digest previous; /* the hash it must carry; zeros at the start */
};

/* Bytes in front of a record that belong to none. */
struct chain_torn {
	uint64_t bytes;
	struct digest digest;
};

/* A line that is a record. */
struct chain_record {
	uint64_t sequence;
	int64_t logged_ms;  /* since 1970, by the logger's clock */
	struct digest previous;
	struct digest hash; /* of the line itself */
	bool marks_torn;    /* it marks what stands before it as torn */
	struct chain_torn torn;
	json_t *json;       /* owned: chain_record_clear */
};

/*
 * chain_parse - take a line (without its newline) apart. ERR_CORRUPT with the reason when it is not a record as the
 * logger writes them: JSON with distinct keys, and at its beginning exactly the bytes that the logger would have put.
 * chain_record_clear ends what it gave.
 */
int chain_parse(const char *line, size_t length, struct chain_record *out, struct err *e);
void chain_record_clear(struct chain_record *r);

/* chain_fits - whether the record is the one that comes next. chain_advance - it has come. */
bool chain_fits(const struct chain *c, const struct chain_record *r);
void chain_advance(struct chain *c, const struct chain_record *r);

/*
 * chain_check_event - what the logger asks of an event before it takes it: at most LOG_EVENT_MAX bytes, {" at the
 * beginning and } at the end, no control characters, well-formed UTF-8, and not beginning with a member "metadata". That
 * the rest is JSON with distinct keys is for the one who made it to see to, and for chain_parse to find out. Returns 0,
 * ERR_LIMIT or ERR_INVAL.
 */
int chain_check_event(const char *event, size_t length, struct err *e);

/*
 * chain_complete - make an event the next record: `metadata`, as the first member, says its place in the chain and when
 * it was logged; the event's text follows as it is. The record, with its newline, goes to `line`, which has room for
 * LOG_RECORD_MAX + 1 bytes; *length is how many those are, and *hash that of the record without its newline. `torn`, when
 * not NULL, is what it marks. Does not advance the chain. Returns as chain_check_event.
 */
int chain_complete(const struct chain *c, const char *event, size_t event_length, int64_t logged_ms,
    const struct chain_torn *torn, char *line, size_t *length, struct digest *hash, struct err *e);

/* One thing that is wrong with a log. */
struct chain_fault {
	uint64_t line; /* from 1; 0 when it is about the log as a whole */
	char text[400];
};

/* What chain_verify found. */
struct chain_report {
	uint64_t records;   /* good ones */
	uint64_t torn;      /* torn places that a record accounts for */
	uint64_t faults;    /* how many things are wrong; the first of them are passed to `fault` */
	struct digest head; /* hash of the last record */
};

/*
 * chain_verify - read a whole log and find every line that is altered, missing, out of order or no record, as far as
 * the log itself can show it. `must_hold` (or NULL) is the hash of a record that has to be there, known from elsewhere:
 * this is what finds a cut end or a rewritten log. `fault` is called for each thing that is wrong, in order.
 *
 * Returns 0 when the log could be read, whatever is wrong with it; ERR_IO or ERR_NOMEM otherwise.
 */
int chain_verify(FILE *f, const struct digest *must_hold, void (*fault)(void *arg, const struct chain_fault *fault),
    void *arg, struct chain_report *out, struct err *e);

#endif
