/* Unit tests of audit/unfinished: what the next start puts on record for runs that have no outcome. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/chain.h"
#include "audit/record.h"
#include "audit/unfinished.h"
#include "tests/unit/log_dir.h"

/* Appends a record (taken) and writes it. */
static void
put(struct log_dir *f, int rc, char **text, const size_t *length)
{
	struct log_receipt receipt;
	size_t done;

	assert_int_equal(rc, 0);
	assert_int_equal(log_append(f->log, *text, *length, &receipt, NULL), 0);
	assert_int_equal(log_flush(f->log, &done, NULL), 0);
	free(*text);
}

static void
put_service(struct log_dir *f, const char *what, const char *detail)
{
	struct record_service r = {.time_ms = 1, .what = what, .detail = detail};
	size_t length;
	char *text;

	put(f, record_of_service(&r, &text, &length, NULL), &text, &length);
}

static const struct digest module = {{7}};

static struct record_run
run_named(const char *id)
{
	return (struct record_run){.time_ms = 1700000000000, .actor = {1000, 1001, 42}, .run_id = id, .module = &module,
	    .signer = "K", .signature = "embedded", .policy = &module, .input = &module};
}

static void
put_intent(struct log_dir *f, const char *id)
{
	struct record_run r = run_named(id);
	size_t length;
	char *text;

	put(f, record_of_intent(&r, &text, &length, NULL), &text, &length);
}

static void
put_outcome(struct log_dir *f, const char *id)
{
	struct record_outcome r = {.run = run_named(id), .ended_ms = 5, .status = "exited", .has_exit_code = true};
	size_t length;
	char *text;

	put(f, record_of_outcome(&r, &text, &length, NULL), &text, &length);
}

static size_t
found(struct log_dir *f)
{
	size_t count = 99;
	struct err e = {0};

	log_dir_open(f, LOG_BATCH);
	if (unfinished_record(f->log, f->dir, &count, &e) != 0)
		fail_msg("%s", e.msg);
	return count;
}

static void
no_fault(void *arg, const struct chain_fault *fault)
{
	(void)arg;
	fail_msg("line %ju: %s", (uintmax_t)fault->line, fault->text);
}

/* The last record, for the caller to decref; the log as a whole must be good. */
static json_t *
last_record(struct log_dir *f)
{
	FILE *in = fopen(f->file, "r");
	struct chain_report report;
	char *line = NULL;
	size_t room = 0;
	json_t *json;

	assert_int_equal(chain_verify(in, NULL, no_fault, NULL, &report, NULL), 0);
	rewind(in);
	while (getline(&line, &room, in) > 0)
		;
	json = json_loads(line, 0, NULL);
	free(line);
	fclose(in);
	return json;
}

static void
new_log_has_none(void **state)
{
	assert_int_equal(found(*state), 0);
}

static void
run_without_outcome_is_recorded_as_failed(void **state)
{
	struct log_dir *f = *state;
	json_t *r;

	put_service(f, "start", "");
	put_intent(f, "run-a");
	put_intent(f, "run-b");
	put_outcome(f, "run-a");
	assert_int_equal(found(f), 1);
	r = last_record(f);
	assert_int_equal(json_integer_value(json_object_get(r, "type_uid")), 100702);
	assert_string_equal(json_string_value(json_object_get(r, "status_code")), "failed");
	assert_string_equal(json_string_value(json_object_get(json_object_get(r, "process"), "uid")), "run-b");
	assert_string_equal(json_string_value(json_object_get(json_object_get(json_object_get(r, "unmapped"), "brig"),
	    "signer")), "K");
	assert_non_null(json_object_get(r, "actor"));
	assert_null(json_object_get(json_object_get(json_object_get(r, "unmapped"), "brig"), "input"));
	json_decref(r);
	assert_int_equal(found(f), 0);
}

/* Its outcome was refused by a full disk, and there was room again for the stop. */
static void
session_that_was_stopped_is_looked_at_too(void **state)
{
	struct log_dir *f = *state;

	put_service(f, "start", "");
	put_intent(f, "run-a");
	put_intent(f, "run-b");
	put_outcome(f, "run-b");
	put_service(f, "stop", "");
	assert_int_equal(found(f), 1);
	assert_int_equal(found(f), 0);
	put_service(f, "start", "");
	assert_int_equal(found(f), 0);
}

static void
only_the_last_session_counts(void **state)
{
	struct log_dir *f = *state;

	put_intent(f, "run-old");
	put_service(f, "start", "");
	put_intent(f, "run-new");
	put_service(f, "reload", "says \"type_uid\":600203 and \"type_uid\":600204");
	assert_int_equal(found(f), 1);
}

static void
torn_record_at_the_end_does_no_harm(void **state)
{
	struct log_dir *f = *state;
	int fd;

	put_service(f, "start", "");
	put_intent(f, "run-a");
	fd = open(f->file, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "{\"metadata\":{\"type_uid\":100702", 30), 30);
	close(fd);
	assert_int_equal(found(f), 1);
	json_decref(last_record(f));
}

static void
thousands_are_recorded(void **state)
{
	struct log_dir *f = *state;
	char id[32];

	put_service(f, "start", "");
	for (int i = 0; i < 3000; i++) {
		snprintf(id, sizeof(id), "run-%d", i);
		put_intent(f, id);
	}
	assert_int_equal(found(f), 3000);
	assert_int_equal(found(f), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, log_dir_setup, log_dir_teardown)
	    TEST(new_log_has_none),
	    TEST(run_without_outcome_is_recorded_as_failed),
	    TEST(session_that_was_stopped_is_looked_at_too),
	    TEST(only_the_last_session_counts),
	    TEST(torn_record_at_the_end_does_no_harm),
	    TEST(thousands_are_recorded),
	};

	return cmocka_run_group_tests_name("unfinished", tests, NULL, NULL);
}
