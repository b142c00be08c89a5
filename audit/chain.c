/* audit/chain: one line of the log taken apart, put together, and checked against its neighbours. Logger and brig. */

#include "audit/chain.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "audit/log.h"

#define DUMP_FLAGS (JSON_COMPACT | JSON_SORT_KEYS)

/* --- one record --------------------------------------------------------------------------------------------------- */

static json_t *
ours_of(const json_t *record)
{
	return json_object_get(json_object_get(record, "unmapped"), "brig");
}

static int
digest_of_json(const json_t *value, struct digest *out)
{
	return json_is_string(value) ? digest_parse(json_string_value(value), json_string_length(value), out, NULL) :
	    ERR_INVAL;
}

/* Whether dumping the object gives the line again. */
static bool
is_canonical(const json_t *json, const char *line, size_t length)
{
	char *again = json_dumps(json, DUMP_FLAGS);
	bool same = again != NULL && strlen(again) == length && memcmp(again, line, length) == 0;

	free(again);
	return same;
}

static int
parse_torn(const json_t *ours, struct chain_record *out)
{
	const json_t *torn = json_object_get(ours, "torn"), *bytes = json_object_get(torn, "bytes");

	out->marks_torn = torn != NULL;
	if (torn == NULL)
		return 0;
	if (!json_is_integer(bytes) || json_integer_value(bytes) < 1)
		return ERR_CORRUPT;
	out->torn.bytes = (uint64_t)json_integer_value(bytes);
	return digest_of_json(json_object_get(torn, "digest"), &out->torn.digest);
}

int
chain_parse(const char *line, size_t length, struct chain_record *out, struct err *e)
{
	struct chain_record r = {0};
	const json_t *ours, *sequence;
	json_error_t je;
	const char *why;

	if (length > LOG_RECORD_MAX)
		return err_set(e, ERR_CORRUPT, "it has %zu bytes, and no record has more than %d", length, LOG_RECORD_MAX);
	r.json = json_loadb(line, length, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(r.json)) {
		why = r.json == NULL ? je.text : "it is no object";
		err_set(e, ERR_CORRUPT, "it is not JSON as records are: %s", why);
		goto bad;
	}
	if (!is_canonical(r.json, line, length)) {
		err_set(e, ERR_CORRUPT, "it is not written as the logger writes");
		goto bad;
	}
	ours = ours_of(r.json);
	sequence = json_object_get(ours, "sequence");
	if (!json_is_integer(sequence) || json_integer_value(sequence) < 0 ||
	    digest_of_json(json_object_get(ours, "previous"), &r.previous) != 0 || parse_torn(ours, &r) != 0) {
		err_set(e, ERR_CORRUPT, "it does not say its place in the chain");
		goto bad;
	}
	r.sequence = (uint64_t)json_integer_value(sequence);
	r.hash = digest_of(line, length);
	*out = r;
	return 0;
bad:
	json_decref(r.json);
	return ERR_CORRUPT;
}

void
chain_record_clear(struct chain_record *r)
{
	json_decref(r->json);
	r->json = NULL;
}

bool
chain_fits(const struct chain *c, const struct chain_record *r)
{
	return r->sequence == c->next && digest_equal(&r->previous, &c->previous);
}

void
chain_advance(struct chain *c, const struct chain_record *r)
{
	c->next = r->sequence + 1;
	c->previous = r->hash;
}

/* The object `key` in `parent`, made when it is not there; NULL when it is something else. */
static json_t *
member(json_t *parent, const char *key)
{
	json_t *value = json_object_get(parent, key);

	if (value == NULL) {
		json_object_set_new(parent, key, json_object());
		value = json_object_get(parent, key);
	}
	return json_is_object(value) ? value : NULL;
}

static int
set_place(json_t *ours, const struct chain *c, const struct chain_torn *torn)
{
	char text[DIGEST_TEXT_SIZE];
	int bad = 0;

	bad |= json_object_set_new(ours, "sequence", json_integer((json_int_t)c->next));
	bad |= json_object_set_new(ours, "previous", json_string(digest_text(&c->previous, text)));
	if (torn != NULL)
		bad |= json_object_set_new(ours, "torn", json_pack("{s:I, s:s}", "bytes", (json_int_t)torn->bytes, "digest",
		    digest_text(&torn->digest, text)));
	return bad;
}

/* Dumps a completed record with its newline: once, for that is half of what a record costs. */
static int
dump_line(const json_t *json, char *line, size_t *length, struct digest *hash, struct err *e)
{
	size_t size = json_dumpb(json, line, LOG_RECORD_MAX, DUMP_FLAGS);

	if (size == 0)
		return err_set(e, ERR_NOMEM, "a record");
	if (size > LOG_RECORD_MAX)
		return err_set(e, ERR_LIMIT, "the record has %zu bytes, more than %d", size, LOG_RECORD_MAX);
	*hash = digest_of(line, size);
	line[size] = '\n';
	*length = size + 1;
	return 0;
}

int
chain_complete(const struct chain *c, const char *event, size_t event_length, const struct chain_torn *torn,
    char *line, size_t *length, struct digest *hash, struct err *e)
{
	json_error_t je;
	json_t *json = NULL, *ours;
	int rc;

	if (event_length > LOG_EVENT_MAX)
		return err_set(e, ERR_LIMIT, "the event has %zu bytes, more than %d", event_length, LOG_EVENT_MAX);
	json = json_loadb(event, event_length, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(json)) {
		rc = err_set(e, ERR_INVAL, "the event is not a JSON object with distinct keys%s%s", json == NULL ? ": " : "",
		    json == NULL ? je.text : "");
		goto out;
	}
	ours = member(json, "unmapped");
	ours = ours == NULL ? NULL : member(ours, "brig");
	if (ours == NULL) {
		rc = err_set(e, ERR_INVAL, "the event's unmapped, or unmapped.brig, is not an object");
		goto out;
	}
	if (json_object_get(ours, "sequence") != NULL || json_object_get(ours, "previous") != NULL ||
	    json_object_get(ours, "torn") != NULL) {
		rc = err_set(e, ERR_INVAL, "the event sets unmapped.brig's sequence, previous or torn, which are the logger's");
		goto out;
	}
	rc = set_place(ours, c, torn) == 0 ? dump_line(json, line, length, hash, e) : err_set(e, ERR_NOMEM, "a record");
out:
	json_decref(json);
	return rc;
}

/* --- a whole log --------------------------------------------------------------------------------------------------- */

#define HELD_MAX 64 /* faults that are kept until it is known whether a record accounts for them */

/*
 * Lines that do not fit form a region, until one fits again. When that one marks exactly this region as torn, nothing
 * is wrong; so its faults are held back until then.
 */
struct verifier {
	struct chain chain;
	uint64_t line;      /* number of the line at hand */
	uint64_t unread;    /* lines in a row that were no records: as many sequence numbers may be theirs */
	bool in_region;
	struct chain before; /* the chain where the region began */
	crypto_hash_sha256_state region;
	uint64_t region_bytes;
	struct chain_fault held[HELD_MAX];
	uint64_t held_count;
	void (*fault)(void *arg, const struct chain_fault *fault);
	void *arg;
	const struct digest *must_hold;
	bool held_found;
	struct chain_report report;
};

static void hold(struct verifier *v, uint64_t line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void
hold(struct verifier *v, uint64_t line, const char *fmt, ...)
{
	struct chain_fault *f = &v->held[v->held_count < HELD_MAX ? v->held_count : HELD_MAX - 1];
	va_list ap;

	v->held_count++;
	if (v->held_count > HELD_MAX)
		return;
	f->line = line;
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
}

static void
release_held(struct verifier *v)
{
	for (uint64_t i = 0; i < v->held_count && i < HELD_MAX; i++)
		v->fault(v->arg, &v->held[i]);
	v->report.faults += v->held_count;
	v->held_count = 0;
	v->in_region = false;
}

/* Adds a line to the region, or begins one with it. */
static void
region_add(struct verifier *v, const char *line, size_t length)
{
	static const unsigned char newline[] = "\n";

	if (!v->in_region) {
		v->in_region = true;
		v->before = v->chain;
		v->region_bytes = 0;
		crypto_hash_sha256_init(&v->region);
	} else {
		crypto_hash_sha256_update(&v->region, newline, 1);
		v->region_bytes++;
	}
	crypto_hash_sha256_update(&v->region, (const unsigned char *)line, length);
	v->region_bytes += length;
}

/* Whether the record marks the lines before it, all of them, as torn. */
static bool
accounts_for_region(const struct verifier *v, const struct chain_record *r)
{
	crypto_hash_sha256_state state = v->region;
	struct digest d;

	if (!v->in_region || !r->marks_torn || !chain_fits(&v->before, r) || r->torn.bytes != v->region_bytes)
		return false;
	crypto_hash_sha256_final(&state, d.bytes);
	return digest_equal(&d, &r->torn.digest);
}

static void
accept(struct verifier *v, const struct chain_record *r)
{
	chain_advance(&v->chain, r);
	v->unread = 0;
	v->report.records++;
	v->report.head = r->hash;
	if (v->must_hold != NULL && digest_equal(v->must_hold, &r->hash))
		v->held_found = true;
}

/* A record that does not come next: says what that means. */
static void
judge(struct verifier *v, const struct chain_record *r)
{
	uint64_t expected = v->chain.next + v->unread;

	if (r->sequence < v->chain.next) {
		hold(v, v->line, "record %" PRIu64 " is out of order or there twice: record %" PRIu64 " should come here",
		    r->sequence, v->chain.next);
		return;
	}
	if (r->sequence < expected)
		hold(v, v->line, "it is record %" PRIu64 ", so a line before it was put in", r->sequence);
	else if (r->sequence == expected + 1)
		hold(v, v->line, "record %" PRIu64 " is missing before it", expected);
	else if (r->sequence > expected)
		hold(v, v->line, "records %" PRIu64 " to %" PRIu64 " are missing before it", expected, r->sequence - 1);
	else if (v->unread == 0 && v->line == 1 && !chain_fits(&v->chain, r))
		hold(v, v->line, "it is record 0 but carries the hash of another before it");
	else if (v->unread == 0 && !chain_fits(&v->chain, r))
		hold(v, v->line - 1, "it was altered: record %" PRIu64 ", on the next line, carries another hash of it",
		    r->sequence);
	if (r->marks_torn)
		hold(v, v->line, "what it marks as torn is not what stands before it");
	accept(v, r);
}

static void
take_line(struct verifier *v, const char *line, size_t length)
{
	struct chain_record r = {0};
	struct err e = {0};

	v->line++;
	if (chain_parse(line, length, &r, &e) != 0) {
		region_add(v, line, length);
		v->unread++;
		hold(v, v->line, "it is altered or damaged: %s", e.msg);
		return;
	}
	if (accounts_for_region(v, &r)) {
		v->held_count = 0;
		v->in_region = false;
		v->chain = v->before;
		v->report.torn++;
		accept(v, &r);
	} else if (!r.marks_torn && chain_fits(&v->chain, &r)) {
		release_held(v);
		accept(v, &r);
	} else {
		judge(v, &r);
		release_held(v);
	}
	chain_record_clear(&r);
}

int
chain_verify(FILE *f, const struct digest *must_hold, void (*fault)(void *arg, const struct chain_fault *fault),
    void *arg, struct chain_report *out, struct err *e)
{
	struct verifier *v = calloc(1, sizeof(*v));
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int rc = 0;

	if (v == NULL)
		return err_set(e, ERR_NOMEM, "reading a log");
	v->fault = fault;
	v->arg = arg;
	v->must_hold = must_hold;
	while (errno = 0, (n = getline(&line, &room, f)) > 0) {
		bool whole = line[n - 1] == '\n';

		take_line(v, line, (size_t)n - (whole ? 1 : 0));
		if (!whole)
			hold(v, v->line, "it has no end: it is being written now, or a crash tore it, which the logger marks when "
			    "it starts again");
	}
	if (ferror(f) || errno == ENOMEM) {
		rc = err_sys(e, errno == ENOMEM ? ERR_NOMEM : ERR_IO, "reading the log, after line %" PRIu64, v->line);
		goto out;
	}
	if (must_hold != NULL && !v->held_found)
		hold(v, 0, "the record that has to be there is not: the log was cut or rewritten");
	release_held(v);
	*out = v->report;
out:
	free(line);
	free(v);
	return rc;
}
