/* audit/chain: one line of the log taken apart, put together, and checked against its neighbours. Logger and brig. */

#include "audit/chain.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "audit/log.h"
#include "base/utf8.h"
#include "base/version.h"

#define OCSF_VERSION "1.3.0"
#define LOG_NAME     "brig-audit"

/* Room for what stands before an event: the numbers at their longest, two digests, and a version. */
#define VERSION_MAX 32
#define PREFIX_MAX  600
_Static_assert(LOG_EVENT_MAX + PREFIX_MAX <= LOG_RECORD_MAX, "a completed event is never too long");

/* --- what stands before an event ---------------------------------------------------------------------------------- */

/* What the logger says of a record. */
struct label {
	const char *version; /* of the logger that wrote it */
	int64_t logged_ms;
	uint64_t sequence;
	struct digest previous;
	const struct chain_torn *torn; /* NULL for none */
};

/* Writes a record's beginning, up to the event's first member. Returns its length. */
static size_t
put_prefix(const struct label *l, char out[PREFIX_MAX])
{
	char previous[DIGEST_TEXT_SIZE], digest[DIGEST_TEXT_SIZE], torn[DIGEST_TEXT_SIZE + 64] = "";
	int n;

	if (l->torn != NULL)
		snprintf(torn, sizeof(torn), ",\"torn\":{\"bytes\":%" PRIu64 ",\"digest\":\"%s\"}", l->torn->bytes,
		    digest_text(&l->torn->digest, digest));
	n = snprintf(out, PREFIX_MAX,
	    "{\"metadata\":{\"version\":\"" OCSF_VERSION "\",\"product\":{\"name\":\"brig\",\"vendor_name\":\"brig\","
	    "\"version\":\"%.*s\"},\"log_name\":\"" LOG_NAME "\",\"logged_time\":%" PRId64 ",\"sequence\":%" PRIu64
	    ",\"previous\":\"%s\"%s},", VERSION_MAX, l->version, l->logged_ms, l->sequence,
	    digest_text(&l->previous, previous), torn);
	return (size_t)n;
}

/* --- the event, as text ------------------------------------------------------------------------------------------- */

/* Finds the first byte of text[0..length] that may not be in a line; `length` when there is none. */
static size_t
first_bad_byte(const char *text, size_t length)
{
	const unsigned char *p = (const unsigned char *)text;
	unsigned char all = 0, low = 0;

	for (size_t i = 0; i < length; i++) {
		all |= p[i];
		low |= p[i] < 0x20;
	}
	if (low == 0 && all < 0x80)
		return length;
	for (size_t i = 0; low != 0 && i < length; i++)
		if (p[i] < 0x20)
			return i;
	return utf8_prefix(text, length, length);
}

/* Checks the members of an event: the event without its first byte. */
static int
check_members(const char *text, size_t length, struct err *e)
{
	static const char ours[] = "\"metadata\"";
	size_t bad;

	if (length < 2 || text[0] != '"' || text[length - 1] != '}')
		return err_set(e, ERR_INVAL, "the event is no JSON object with a member: it begins with {\" and ends with }");
	if (length >= sizeof(ours) - 1 && memcmp(text, ours, sizeof(ours) - 1) == 0)
		return err_set(e, ERR_INVAL, "the event sets metadata, which is the logger's");
	if ((bad = first_bad_byte(text, length)) < length)
		return err_set(e, ERR_INVAL, "the event's byte at offset %zu, 0x%02x, is %s", bad + 1, (unsigned char)text[bad],
		    (unsigned char)text[bad] < 0x20 ? "a control character" : "not UTF-8");
	return 0;
}

int
chain_check_event(const char *event, size_t length, struct err *e)
{
	if (length > LOG_EVENT_MAX)
		return err_set(e, ERR_LIMIT, "the event has %zu bytes, more than %d", length, LOG_EVENT_MAX);
	if (length == 0 || event[0] != '{')
		return err_set(e, ERR_INVAL, "the event is no JSON object");
	return check_members(event + 1, length - 1, e);
}

int
chain_complete(const struct chain *c, const char *event, size_t event_length, int64_t logged_ms,
    const struct chain_torn *torn, char *line, size_t *length, struct digest *hash, struct err *e)
{
	const struct label label = {BRIG_VERSION, logged_ms, c->next, c->previous, torn};
	int rc = chain_check_event(event, event_length, e);
	size_t n;

	if (rc != 0)
		return rc;
	n = put_prefix(&label, line);
	memcpy(line + n, event + 1, event_length - 1);
	n += event_length - 1;
	*hash = digest_of(line, n);
	line[n] = '\n';
	*length = n + 1;
	return 0;
}

/* --- a line, taken apart ------------------------------------------------------------------------------------------- */

static int
digest_of_json(const json_t *value, struct digest *out)
{
	return json_is_string(value) ? digest_parse(json_string_value(value), json_string_length(value), out, NULL) :
	    ERR_INVAL;
}

static int
parse_torn(const json_t *metadata, struct chain_record *out)
{
	const json_t *torn = json_object_get(metadata, "torn"), *bytes = json_object_get(torn, "bytes");

	out->marks_torn = torn != NULL;
	if (torn == NULL)
		return 0;
	if (!json_is_integer(bytes) || json_integer_value(bytes) < 0)
		return ERR_CORRUPT;
	out->torn.bytes = (uint64_t)json_integer_value(bytes);
	return digest_of_json(json_object_get(torn, "digest"), &out->torn.digest);
}

/* Reads what the logger said of the record, and checks that it is written as the logger writes it. */
static int
parse_metadata(const char *line, size_t length, struct chain_record *r, struct err *e)
{
	const json_t *metadata = json_object_get(r->json, "metadata");
	const json_t *version = json_object_get(json_object_get(metadata, "product"), "version");
	const json_t *sequence = json_object_get(metadata, "sequence"), *logged = json_object_get(metadata, "logged_time");
	struct label label = {.torn = NULL};
	char want[PREFIX_MAX];
	size_t n;

	if (!json_is_integer(sequence) || json_integer_value(sequence) < 0 || !json_is_integer(logged) ||
	    !json_is_string(version) || json_string_length(version) > VERSION_MAX ||
	    digest_of_json(json_object_get(metadata, "previous"), &r->previous) != 0 || parse_torn(metadata, r) != 0)
		return err_set(e, ERR_CORRUPT, "it does not say its place in the chain");
	r->sequence = (uint64_t)json_integer_value(sequence);
	r->logged_ms = json_integer_value(logged);
	label = (struct label){json_string_value(version), r->logged_ms, r->sequence, r->previous,
	    r->marks_torn ? &r->torn : NULL};
	n = put_prefix(&label, want);
	if (length < n || memcmp(line, want, n) != 0)
		return err_set(e, ERR_CORRUPT, "its metadata are not written as the logger writes them");
	if (length - n > LOG_EVENT_MAX - 1 || check_members(line + n, length - n, NULL) != 0)
		return err_set(e, ERR_CORRUPT, "it holds what the logger does not take as an event");
	return 0;
}

int
chain_parse(const char *line, size_t length, struct chain_record *out, struct err *e)
{
	struct chain_record r = {0};
	json_error_t je;
	const char *why;
	int rc;

	if (length > LOG_RECORD_MAX)
		return err_set(e, ERR_CORRUPT, "it has %zu bytes, and no record has more than %d", length, LOG_RECORD_MAX);
	r.json = json_loadb(line, length, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(r.json)) {
		why = r.json == NULL ? je.text : "it is no object";
		rc = err_set(e, ERR_CORRUPT, "it is not JSON as records are: %s", why);
		goto out;
	}
	if ((rc = parse_metadata(line, length, &r, e)) != 0)
		goto out;
	r.hash = digest_of(line, length);
	*out = r;
	r.json = NULL;
out:
	json_decref(r.json);
	return rc;
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
