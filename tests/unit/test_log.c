/* Unit tests of audit/log and audit/chain. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/chain.h"
#include "audit/log.h"
#include "base/version.h"
#include "tests/unit/log_dir.h"

/* Takes the place of the C library's: counts, and fails when it should. */
static atomic_int syncs, sync_error;

int
fdatasync(int fd)
{
	(void)fd;
	syncs++;
	errno = sync_error;
	return sync_error != 0 ? -1 : 0;
}

static int
setup(void **state)
{
	syncs = sync_error = 0;
	return log_dir_setup(state);
}

static int
append_text(struct log_dir *f, const char *text, struct log_receipt *receipt)
{
	return log_append(f->log, text, strlen(text), receipt, NULL);
}

/* Appends {"n":from}, ... in one batch. Returns how many were written. */
static size_t
append(struct log_dir *f, int from, int count)
{
	struct log_receipt receipt;
	size_t done = 99;
	char text[64];

	for (int i = from; i < from + count; i++) {
		snprintf(text, sizeof(text), "{\"n\": %d}", i);
		assert_int_equal(append_text(f, text, &receipt), 0);
	}
	log_flush(f->log, &done, NULL);
	return done;
}

/* The whole file, with a NUL behind it. */
static char *
contents(struct log_dir *f, size_t *length)
{
	FILE *file = fopen(f->file, "re");
	char *data;
	struct stat st;

	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &st), 0);
	data = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(data);
	*length = fread(data, 1, (size_t)st.st_size, file);
	assert_int_equal(*length, st.st_size);
	fclose(file);
	return data;
}

/* Puts other bytes into the file, which no logger would. */
static void
forge(struct log_dir *f, const char *data, size_t length)
{
	int fd = open(f->file, O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, data, length), (ssize_t)length);
	close(fd);
}

struct faults {
	int count;
	uint64_t first;
	char text[400];
};

static void
note(void *arg, const struct chain_fault *fault)
{
	struct faults *faults = arg;

	if (faults->count++ == 0) {
		faults->first = fault->line;
		strcpy(faults->text, fault->text);
	}
}

static struct chain_report
verify(struct log_dir *f, const struct digest *must_hold, struct faults *faults)
{
	struct chain_report report = {0};
	FILE *file = fopen(f->file, "re");

	*faults = (struct faults){0};
	assert_non_null(file);
	assert_int_equal(chain_verify(file, must_hold, note, faults, &report, NULL), 0);
	fclose(file);
	return report;
}

static void
assert_good(struct log_dir *f, uint64_t records, uint64_t torn)
{
	struct faults faults;
	const struct chain_report report = verify(f, NULL, &faults);

	if (report.faults != 0)
		fail_msg("line %ju: %s", (uintmax_t)faults.first, faults.text);
	assert_int_equal(report.records, records);
	assert_int_equal(report.torn, torn);
}

/* The n-th line, from 1, with its newline. */
static char *
line(char *data, int n, size_t *length)
{
	while (--n > 0)
		data = strchr(data, '\n') + 1;
	*length = (size_t)(strchr(data, '\n') - data) + 1;
	return data;
}

/* Lets files grow to so many bytes, as a full disk would; RLIM_INFINITY for no limit. */
static void
set_room(rlim_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* What the logger must have put in front of an event: all but the time, which is read from `line` and is past 2020. */
static void
metadata(char *out, size_t size, const char *line, int sequence, const char *previous)
{
	static const char before[] = "{\"metadata\":{\"version\":\"1.3.0\",\"product\":{\"name\":\"brig\",\"vendor_name\":\"brig\","
	    "\"version\":\"" BRIG_VERSION "\"},\"log_name\":\"brig-audit\",\"logged_time\":";
	long long time = 0;

	assert_memory_equal(line, before, sizeof(before) - 1);
	time = atoll(line + sizeof(before) - 1);
	assert_true(time > 1577836800000);
	snprintf(out, size, "%s%lld,\"sequence\":%d,\"previous\":\"%s\"},", before, time, sequence, previous);
}

static void
a_record_carries_its_number_and_the_hash_of_the_one_before(void **state)
{
	static const char zeros[] = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
	struct log_dir *f = *state;
	struct log_receipt first, second;
	char want[1000], text[DIGEST_TEXT_SIZE], *data, *next;
	struct digest hash;
	size_t length, done;

	assert_int_equal(append_text(f, "{\"b\":1, \"a\":{\"y\":[1,2], \"x\":\"\\u00e9\xc3\xa9\"}}", &first), 0);
	assert_int_equal(append_text(f, "{\"unmapped\":{\"brig\":{\"event\":\"x\"}}}", &second), 0);
	assert_int_equal(log_flush(f->log, &done, NULL), 0);
	assert_int_equal(done, 2);
	data = contents(f, &length);
	metadata(want, sizeof(want), data, 0, zeros);
	strcat(want, "\"b\":1, \"a\":{\"y\":[1,2], \"x\":\"\\u00e9\xc3\xa9\"}}"); /* the event as it came */
	assert_memory_equal(data, want, strlen(want));
	hash = digest_of(want, strlen(want));
	assert_true(digest_equal(&hash, &first.hash));
	assert_int_equal(first.sequence, 0);
	assert_int_equal(data[strlen(want)], '\n');
	next = strchr(data, '\n') + 1;
	metadata(want, sizeof(want), next, 1, digest_text(&hash, text));
	strcat(want, "\"unmapped\":{\"brig\":{\"event\":\"x\"}}}\n");
	assert_string_equal(next, want);
	assert_int_equal(second.sequence, 1);
	free(data);
	assert_good(f, 2, 0);
}

static void
the_chain_goes_on_after_a_restart(void **state)
{
	struct log_dir *f = *state;

	assert_int_equal(append(f, 0, 3), 3);
	log_dir_open(f, LOG_STRICT);
	assert_int_equal(append(f, 3, 2), 2);
	log_dir_open(f, LOG_BATCH);
	assert_int_equal(append(f, 5, 1), 1);
	assert_good(f, 6, 0);
}

static void
refuses_what_cannot_be_an_event_and_says_why(void **state)
{
	static const struct {
		const char *event, *why;
	} bad[] = {{"", "no JSON object"}, {"[]", "no JSON object"}, {"1", "no JSON object"}, {"{", "no JSON object"},
	    {"{}", "with a member"}, {" {\"a\":1}", "no JSON object"}, {"{ \"a\":1}", "with a member"},
	    {"{\"a\":1", "with a member"}, {"{\"a\":1} ", "with a member"}, {"{\"a\":1}\n", "with a member"},
	    {"{\"a\":\"\xff\"}", "offset 6, 0xff, is not UTF-8"}, {"{\"\xc3\xa9\":\"\xc3\"}", "offset 7, 0xc3, is not UTF-8"},
	    {"{\"a\":\"\xed\xa0\x80\"}", "offset 6, 0xed, is not UTF-8"}, {"{\"a\":\"\xc0\x80\"}", "0xc0, is not UTF-8"},
	    {"{\"a\":\"\x1f\"}", "offset 6, 0x1f, is a control character"},
	    {"{\"a\":1,\n\"b\":2}", "offset 7, 0x0a, is a control character"},
	    {"{\"a\":1,\t\"b\":\"\xff\"}", "offset 7, 0x09, is a control character"},
	    {"{\"metadata\":{}}", "metadata, which is the logger's"},
	    {"{\"metadata\" :{},\"a\":1}", "metadata, which is the logger's"}};
	struct log_dir *f = *state;
	struct log_receipt receipt;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = {0};

		assert_int_equal(log_append(f->log, bad[i].event, strlen(bad[i].event), &receipt, &e), ERR_INVAL);
		if (strstr(e.msg, bad[i].why) == NULL)
			fail_msg("%s: %s", bad[i].event, e.msg);
	}
	assert_int_equal(log_append(f->log, "{\"a\":\"\0\"}", 9, &receipt, NULL), ERR_INVAL);
	assert_int_equal(append(f, 0, 1), 1);
	assert_good(f, 1, 0);
}

/* What only one who parses can see is taken, and found when the log is verified: in its own line, and only there. */
static void
verify_finds_events_that_are_not_json_with_distinct_keys(void **state)
{
	static const char *const bad[] = {"{\"a\":1,\"metadata\":{}}", "{\"a\":1,\"\\u006detadata\":{}}",
	    "{\"\\u006detadata\":{\"sequence\":1}}", "{\"a\":1,\"a\":2}", "{\"a\":}", "{\"a\"}", "{\"a\":NaN}",
	    "{\"a\":\"\\u0000\"}", "{\"a\":1}}", "{\"a\":1},{\"b\":2}"};
	struct log_dir *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct log_receipt receipt;
		struct faults faults;
		size_t done;

		log_close(f->log);
		f->log = NULL;
		forge(f, "", 0);
		log_dir_open(f, LOG_BATCH);
		assert_int_equal(append(f, 0, 1), 1);
		assert_int_equal(append_text(f, bad[i], &receipt), 0);
		assert_int_equal(log_flush(f->log, &done, NULL), 0);
		assert_int_equal(append(f, 1, 2), 2);
		if (verify(f, NULL, &faults).faults != 1)
			fail_msg("%s: %d faults, the first in line %ju: %s", bad[i], faults.count, (uintmax_t)faults.first,
			    faults.text);
		assert_int_equal(faults.first, 2);
	}
}

static void
takes_an_event_at_the_limit_and_refuses_one_past_it(void **state)
{
	struct log_dir *f = *state;
	struct log_receipt receipt;
	char *text = malloc(LOG_EVENT_MAX + 2);
	size_t done;

	memset(text, 'x', LOG_EVENT_MAX + 1);
	memcpy(text, "{\"a\":\"", 6);
	memcpy(text + LOG_EVENT_MAX - 2, "\"}", 3);
	assert_int_equal(append_text(f, text, &receipt), 0);
	memcpy(text + LOG_EVENT_MAX - 2, "x\"}", 4);
	assert_int_equal(append_text(f, text, &receipt), ERR_LIMIT);
	assert_int_equal(log_flush(f->log, &done, NULL), 0);
	assert_int_equal(done, 1);
	assert_good(f, 1, 0);
	free(text);
}

/* A line whose event has one byte more than the logger takes, and one that is longer than any line. */
static void
verify_finds_lines_past_the_limit(void **state)
{
	static const size_t events[] = {LOG_EVENT_MAX, LOG_EVENT_MAX + 1, LOG_RECORD_MAX};
	struct log_dir *f = *state;
	char *data, *event, *forged = malloc(2 * LOG_RECORD_MAX);
	struct faults faults;
	size_t length, before;

	assert_int_equal(append(f, 0, 1), 1);
	data = contents(f, &length);
	event = strstr(data, "},\"n\":") + 2;
	before = (size_t)(event - data);
	memcpy(forged, data, before);
	for (size_t i = 0; i < 3; i++) {
		size_t end = before + events[i] - 1;

		memset(forged + before, 'x', events[i]);
		memcpy(forged + before, "\"a\":\"", 5);
		memcpy(forged + end - 2, "\"}\n", 3);
		forge(f, forged, end + 1);
		assert_int_equal(verify(f, NULL, &faults).faults, i == 0 ? 0 : 1);
	}
	free(forged);
	free(data);
}

static void
metadata_that_the_logger_would_not_write_are_found(void **state)
{
	static const struct {
		const char *from, *to;
	} changes[] = {{"\"version\":\"1.3.0\"", "\"version\":\"1.3.1\""}, {"\"sequence\":0", "\"sequence\": 0"},
	    {"\"sequence\":0", "\"sequence\":-0"}, {"\"brig\",\"vendor", "\"brog\",\"vendor"}, {"\"previous\":", "\"extra\":1,\"previous\":"},
	    {",\"log_name\":\"brig-audit\"", ""}, {"},\"n\"", "} ,\"n\""}, {"},\"n\"", ",\"torn\":{\"bytes\":0}},\"n\""}};
	struct log_dir *f = *state;
	struct faults faults;
	size_t length;
	char *data, forged[2000];

	assert_int_equal(append(f, 0, 1), 1);
	data = contents(f, &length);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		char *at = strstr(data, changes[i].from);

		assert_non_null(at);
		snprintf(forged, sizeof(forged), "%.*s%s%s", (int)(at - data), data, changes[i].to, at + strlen(changes[i].from));
		forge(f, forged, strlen(forged));
		if (verify(f, NULL, &faults).faults != 1)
			fail_msg("%s", forged);
		assert_int_equal(faults.first, 1);
	}
	free(data);
}

static void
finds_an_altered_record_and_says_which(void **state)
{
	struct log_dir *f = *state;
	struct faults faults;
	char *data, *at;
	size_t length, n;

	assert_int_equal(append(f, 10, 5), 5);
	data = contents(f, &length);
	at = line(data, 3, &n);
	at = strstr(at, "},\"n\": 12}\n");
	assert_non_null(at);
	at[8] = '9';
	forge(f, data, length);
	assert_int_equal(verify(f, NULL, &faults).faults, 1);
	assert_int_equal(faults.first, 3);
	at[8] = ' ';
	forge(f, data, length);
	assert_int_equal(verify(f, NULL, &faults).faults, 1);
	assert_int_equal(faults.first, 3);
	free(data);
}

static void
finds_any_flipped_bit_but_in_the_last_record(void **state)
{
	struct log_dir *f = *state;
	struct faults faults;
	size_t length, last;
	char *data;

	assert_int_equal(append(f, 0, 3), 3);
	data = contents(f, &length);
	last = (size_t)(line(data, 3, &last) - data);
	for (size_t i = 0; i < last; i++) {
		data[i] = (char)(data[i] ^ 1 << i % 8);
		forge(f, data, length);
		assert_true(verify(f, NULL, &faults).faults > 0);
		assert_in_range(faults.first, 1, 3);
		data[i] = (char)(data[i] ^ 1 << i % 8);
	}
	free(data);
}

static void
finds_missing_records_and_says_where(void **state)
{
	struct log_dir *f = *state;
	struct faults faults;
	size_t length, n;
	char *data, *at;

	assert_int_equal(append(f, 0, 6), 6);
	data = contents(f, &length);
	at = line(data, 4, &n);
	memmove(at, at + n, length - (size_t)(at - data) - n);
	forge(f, data, length - n);
	assert_int_equal(verify(f, NULL, &faults).faults, 1);
	assert_int_equal(faults.first, 4);
	assert_non_null(strstr(faults.text, "record 3 is missing"));
	at = line(data, 1, &n);
	forge(f, at + n, length - 2 * n);
	verify(f, NULL, &faults);
	assert_int_equal(faults.first, 1);
	assert_non_null(strstr(faults.text, "record 0 is missing"));
	free(data);
}

static void
finds_reordered_and_repeated_records(void **state)
{
	struct log_dir *f = *state;
	struct faults faults;
	char *data, *swapped, *second, *third;
	size_t length, n2, n3;

	assert_int_equal(append(f, 0, 5), 5);
	data = contents(f, &length);
	second = line(data, 2, &n2);
	third = line(data, 3, &n3);
	swapped = malloc(length + n3);
	memcpy(swapped, data, length);
	memcpy(swapped + (second - data), third, n3);
	memcpy(swapped + (second - data) + n3, second, n2);
	forge(f, swapped, length);
	assert_int_equal(verify(f, NULL, &faults).faults, 2);
	assert_int_equal(faults.first, 2);
	memcpy(swapped, data, length);
	memcpy(swapped + (third - data) + n3, third, length - (size_t)(third - data));
	forge(f, swapped, length + n3);
	assert_int_equal(verify(f, NULL, &faults).faults, 1);
	assert_int_equal(faults.first, 4);
	assert_non_null(strstr(faults.text, "there twice"));
	free(swapped);
	free(data);
}

static void
a_record_known_from_elsewhere_shows_a_cut_end(void **state)
{
	struct log_dir *f = *state;
	struct log_receipt receipt;
	struct faults faults;
	size_t length, n, done;
	char *data;

	assert_int_equal(append(f, 0, 3), 3);
	assert_int_equal(append_text(f, "{\"a\":1}", &receipt), 0);
	assert_int_equal(log_flush(f->log, &done, NULL), 0);
	assert_int_equal(verify(f, &receipt.hash, &faults).faults, 0);
	data = contents(f, &length);
	line(data, 4, &n);
	forge(f, data, length - n);
	assert_int_equal(verify(f, NULL, &faults).faults, 0);
	assert_int_equal(verify(f, &receipt.hash, &faults).faults, 1);
	free(data);
}

static void
a_torn_record_is_marked_by_the_next_one(void **state)
{
	struct log_dir *f = *state;
	struct faults faults;
	size_t length, n;
	char *data;

	/* cut the file at every length inside its last record: as a crash would */
	assert_int_equal(append(f, 0, 3), 3);
	data = contents(f, &length);
	line(data, 3, &n);
	for (size_t cut = 1; cut < n; cut++) {
		log_close(f->log);
		f->log = NULL;
		forge(f, data, length - cut);
		assert_true(verify(f, NULL, &faults).faults > 0);
		log_dir_open(f, LOG_BATCH);
		assert_int_equal(append(f, 3, 2), 2);
		if (cut == 1)
			assert_good(f, 5, 0); /* only its newline was missing */
		else
			assert_good(f, 2 + 1 + 2, 1);
	}
	free(data);
}

static void
a_torn_first_record_is_marked_too(void **state)
{
	struct log_dir *f = *state;

	log_close(f->log);
	f->log = NULL;
	forge(f, "{\"n\":0,\"un", 10);
	log_dir_open(f, LOG_BATCH);
	assert_int_equal(append(f, 0, 1), 1);
	assert_good(f, 2, 1);
}

static void
an_empty_line_at_the_end_is_marked_too(void **state)
{
	struct log_dir *f = *state;
	size_t length;
	char *data;

	assert_int_equal(append(f, 0, 2), 2);
	log_close(f->log);
	f->log = NULL;
	data = contents(f, &length);
	data[length] = '\n';
	forge(f, data, length + 1);
	free(data);
	log_dir_open(f, LOG_STRICT);
	assert_int_equal(append(f, 2, 1), 1);
	assert_good(f, 4, 1);
	log_dir_open(f, LOG_STRICT);
	assert_int_equal(append(f, 3, 1), 1);
	assert_good(f, 5, 1);
}

static void
a_changed_torn_part_is_found(void **state)
{
	struct log_dir *f = *state;
	struct faults faults;
	char *data;
	size_t length;

	log_close(f->log);
	f->log = NULL;
	forge(f, "{\"n\":0,\"un", 10);
	log_dir_open(f, LOG_BATCH);
	assert_int_equal(append(f, 0, 1), 1);
	data = contents(f, &length);
	data[5] = '1';
	forge(f, data, length);
	assert_true(verify(f, NULL, &faults).faults > 0);
	assert_int_equal(faults.first, 1);
	free(data);
}

static void
a_full_disk_refuses_records_and_the_log_mends_itself_when_there_is_room(void **state)
{
	struct log_dir *f = *state;
	struct stat st;
	size_t length;
	char *data;

	/* a batch of three gets room for `room` more bytes, then another for 5, then there is room */
	assert_int_equal(append(f, 0, 2), 2);
	data = contents(f, &length);
	for (rlim_t room = 0; room < 1500; room += 7) {
		size_t done, again;
		uint64_t records = 0;
		struct chain_report report;
		struct faults faults;

		log_close(f->log);
		f->log = NULL;
		forge(f, data, length);
		log_dir_open(f, LOG_BATCH);
		set_room(length + room);
		done = append(f, 2, 3);
		assert_int_equal(stat(f->file, &st), 0);
		set_room((rlim_t)st.st_size + 5);
		again = append(f, 5, 1);
		set_room(RLIM_INFINITY);
		assert_int_equal(append(f, 6, 2), 2);
		report = verify(f, NULL, &faults);
		if (report.faults != 0)
			fail_msg("room %ju, line %ju: %s", (uintmax_t)room, (uintmax_t)faults.first, faults.text);
		records = 2 + done + again + report.torn + 2;
		assert_int_equal(report.records, records);
	}
	free(data);
}

static void
strict_records_are_on_disk_when_acknowledged_and_batched_ones_soon(void **state)
{
	struct log_dir *f = *state;

	assert_int_equal(log_sync_due_ms(f->log), -1);
	append(f, 0, 1);
	assert_in_range(log_sync_due_ms(f->log), 0, LOG_SYNC_MS);
	assert_int_equal(log_sync(f->log, NULL), 0);
	assert_int_equal(log_sync_due_ms(f->log), -1);
	assert_int_equal(syncs, 1);
	log_dir_open(f, LOG_STRICT);
	append(f, 1, 1);
	assert_int_equal(syncs, 2);
	assert_int_equal(log_sync_due_ms(f->log), -1);
}

static void
a_sync_in_the_background_covers_what_was_written_before_it(void **state)
{
	struct log_dir *f = *state;

	log_sync_start(f->log);
	append(f, 0, 1);
	log_sync_start(f->log);
	assert_int_equal(log_sync_due_ms(f->log), -1);
	append(f, 1, 1);
	assert_in_range(log_sync_due_ms(f->log), 0, LOG_SYNC_MS);
	log_dir_open(f, LOG_BATCH); /* closing waits for the first sync, and makes the second */
	assert_int_equal(syncs, 2);
	append(f, 2, 1);
	log_sync_start(f->log);
	log_close(f->log);
	f->log = NULL;
	assert_int_equal(syncs, 3);
}

static void
after_a_failed_sync_nothing_is_taken(void **state)
{
	struct log_dir *f = *state;
	size_t done = 0;
	int rc, tries = 0;

	/* in the background: some flush after it notices */
	append(f, 0, 1);
	sync_error = EIO;
	log_sync_start(f->log);
	while ((rc = log_flush(f->log, &done, NULL)) == 0 && tries++ < 100000000)
		sched_yield();
	assert_int_equal(rc, ERR_IO);
	assert_int_equal(log_sync_due_ms(f->log), -1);
	sync_error = 0;
	assert_int_equal(append(f, 1, 1), 0);
	/* under strict: the flush itself */
	log_dir_open(f, LOG_STRICT);
	assert_int_equal(append(f, 1, 1), 1);
	sync_error = EIO;
	assert_int_equal(append(f, 2, 1), 0);
	sync_error = 0;
	assert_int_equal(append(f, 3, 1), 0);
	log_dir_open(f, LOG_STRICT);
	assert_int_equal(append(f, 4, 1), 1);
}

static void
a_second_logger_is_refused(void **state)
{
	struct log_dir *f = *state;
	struct log *second = NULL;

	assert_int_equal(log_open(f->dir, LOG_BATCH, &second, NULL), ERR_EXISTS);
	assert_null(second);
}

static void
a_file_that_is_no_log_is_left_alone(void **state)
{
	struct log_dir *f = *state;
	size_t size = (size_t)48 << 20;
	char *data = calloc(1, size);
	struct log *log = NULL;
	struct stat st;

	log_close(f->log);
	f->log = NULL;
	memset(data, 'x', size);
	forge(f, data, size);
	assert_int_equal(log_open(f->dir, LOG_BATCH, &log, NULL), ERR_CORRUPT);
	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_size, size);
	free(data);
}

static void
a_full_batch_asks_to_be_flushed(void **state)
{
	struct log_dir *f = *state;
	struct log_receipt receipt;
	size_t n = 0, done;
	int rc;

	while ((rc = append_text(f, "{\"a\":1}", &receipt)) == 0)
		n++;
	assert_int_equal(rc, ERR_AGAIN);
	assert_int_equal(log_flush(f->log, &done, NULL), 0);
	assert_int_equal(done, n);
	assert_int_equal(append_text(f, "{\"a\":1}", &receipt), 0);
	assert_int_equal(receipt.sequence, n);
	assert_int_equal(log_flush(f->log, &done, NULL), 0);
	assert_good(f, n + 1, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, log_dir_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_record_carries_its_number_and_the_hash_of_the_one_before),
	    TEST(the_chain_goes_on_after_a_restart),
	    TEST(refuses_what_cannot_be_an_event_and_says_why),
	    TEST(verify_finds_events_that_are_not_json_with_distinct_keys),
	    TEST(takes_an_event_at_the_limit_and_refuses_one_past_it),
	    TEST(verify_finds_lines_past_the_limit),
	    TEST(metadata_that_the_logger_would_not_write_are_found),
	    TEST(finds_an_altered_record_and_says_which),
	    TEST(finds_any_flipped_bit_but_in_the_last_record),
	    TEST(finds_missing_records_and_says_where),
	    TEST(finds_reordered_and_repeated_records),
	    TEST(a_record_known_from_elsewhere_shows_a_cut_end),
	    TEST(a_torn_record_is_marked_by_the_next_one),
	    TEST(a_torn_first_record_is_marked_too),
	    TEST(an_empty_line_at_the_end_is_marked_too),
	    TEST(a_changed_torn_part_is_found),
	    TEST(a_full_disk_refuses_records_and_the_log_mends_itself_when_there_is_room),
	    TEST(strict_records_are_on_disk_when_acknowledged_and_batched_ones_soon),
	    TEST(a_sync_in_the_background_covers_what_was_written_before_it),
	    TEST(after_a_failed_sync_nothing_is_taken),
	    TEST(a_second_logger_is_refused),
	    TEST(a_file_that_is_no_log_is_left_alone),
	    TEST(a_full_batch_asks_to_be_flushed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
