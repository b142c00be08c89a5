/* Fuzz target: audit/chain: one line, one event, and a whole log that was damaged. */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/chain.h"
#include "audit/log.h"
#include "base/version.h"
#include "tests/fuzz/input.h"

/* What an input is, by its first byte. */
enum { LINE, EVENT, LOG };

static char line[LOG_RECORD_MAX + 1];

/* The event of a record, in a block: what the logger was given. */
static struct block
event_of(const char *record, size_t length)
{
	const char *end = record + length, *p = memmem(record, length, "\"previous\":", 11);
	struct block b;

	MUST(p != NULL);
	p = memmem(p, (size_t)(end - p), "},\"", 3); /* of the metadata */
	MUST(p != NULL);
	b = (struct block){malloc((size_t)(end - p) - 1), (size_t)(end - p) - 1};
	b.data[0] = '{';
	memcpy(b.data + 1, p + 2, b.length - 1);
	return b;
}

/* A line that is taken for a record is the one that the logger writes, for this event at this place. */
static void
try_line(const struct block *b)
{
	const char *text = (const char *)b->data, *version;
	const json_t *product;
	struct chain_record r;
	struct block event;
	struct chain at;
	struct digest hash;
	size_t length = 0;

	if (chain_parse(text, b->length, &r, NULL) != 0)
		return;
	product = json_object_get(json_object_get(r.json, "metadata"), "product");
	version = json_string_value(json_object_get(product, "version"));
	at = (struct chain){r.sequence, r.previous};
	MUST(chain_fits(&at, &r));
	if (strcmp(version, BRIG_VERSION) == 0) {
		event = event_of(text, b->length);
		MUST(chain_complete(&at, (const char *)event.data, event.length, r.logged_ms, r.marks_torn ? &r.torn : NULL, line,
		    &length, &hash, NULL) == 0);
		MUST(length == b->length + 1 && memcmp(line, text, b->length) == 0);
		MUST(digest_equal(&hash, &r.hash));
		free(event.data);
	}
	chain_record_clear(&r);
}

/* An event that is taken becomes one line; when it is JSON without metadata of its own, a record that is read again. */
static void
try_event(const struct block *b)
{
	const struct chain at = {7, {{1, 2, 3}}};
	json_t *json = json_loadb((const char *)b->data, b->length, JSON_REJECT_DUPLICATES, NULL);
	struct chain_record r;
	struct digest hash;
	struct err e = {0};
	size_t length = 0;
	int rc = chain_complete(&at, (const char *)b->data, b->length, 1234, NULL, line, &length, &hash, &e);

	MUST(rc == e.code && rc == chain_check_event((const char *)b->data, b->length, NULL));
	if (rc == 0) {
		MUST(length <= LOG_RECORD_MAX + 1 && memchr(line, '\n', length) == line + length - 1);
		rc = chain_parse(line, length - 1, &r, NULL);
		MUST(rc == 0 || !json_is_object(json) || json_object_get(json, "metadata") != NULL);
		if (rc == 0) {
			MUST(chain_fits(&at, &r) && r.logged_ms == 1234 && !r.marks_torn && digest_equal(&hash, &r.hash));
			chain_record_clear(&r);
		}
	}
	json_decref(json);
}

static void
count_fault(void *arg, const struct chain_fault *fault)
{
	MUST(fault->text[0] != '\0');
	(*(uint64_t *)arg)++;
}

/* Adds a record of an event with this text. */
static void
add_record(struct block *log, struct chain *at, const char *text)
{
	json_t *json = json_pack("{s:s}", "text", text);
	char *event = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	struct digest hash;
	size_t length = 0;

	if (event != NULL && chain_complete(at, event, strlen(event), 0, NULL, line, &length, &hash, NULL) == 0) {
		log->data = realloc(log->data, log->length + length);
		memcpy(log->data + log->length, line, length);
		log->length += length;
		*at = (struct chain){at->next + 1, hash};
	}
	free(event);
	json_decref(json);
}

/* Of a log whose last record is known, no change goes unnoticed. */
static void
try_log(struct input *in)
{
	struct block damage = input_take(in, 1 + 7 * 4), log = {NULL, 0};
	struct chain at = {0};
	struct chain_report report;
	uint64_t faults = 0;
	bool damaged;
	FILE *f;

	while (in->left > 0 && at.next < 8) {
		char *text = input_string(in);

		add_record(&log, &at, text);
		free(text);
	}
	damaged = input_damage(&(struct input){damage.data, damage.length}, &log);
	f = log.length > 0 ? fmemopen(log.data, log.length, "r") : fopen("/dev/null", "r");
	MUST(f != NULL && chain_verify(f, at.next > 0 ? &at.previous : NULL, count_fault, &faults, &report, NULL) == 0);
	MUST(report.faults >= faults && (faults == 0) == (report.faults == 0));
	MUST(damaged ? faults > 0 : faults == 0 && report.records == at.next);
	fclose(f);
	free(log.data);
	free(damage.data);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t what = input_byte(&in);
	struct block b;

	if (what == LOG) {
		try_log(&in);
		return 0;
	}
	b = input_rest(&in);
	if (what == EVENT)
		try_event(&b);
	else
		try_line(&b);
	free(b.data);
	return 0;
}
