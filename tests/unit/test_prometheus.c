/* Tests of clients/c/prometheus. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/c/prometheus.h"

/* What is printed of `text`; the caller frees it. */
static char *
printed(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	char *out = NULL;
	size_t length;
	FILE *f = open_memstream(&out, &length);

	assert_non_null(json);
	prometheus_print(json, f);
	fclose(f);
	json_decref(json);
	return out;
}

static void
prints(const char *json, const char *expected)
{
	char *out = printed(json);

	assert_string_equal(out, expected);
	free(out);
}

static void
prints_what_is_there_and_no_more(void **state)
{
	(void)state;
	prints("{}", "");
	prints("{\"running\": null, \"what\": 3}", "");
	prints("{\"running\": 3}", "# HELP brig_running runs that have a process\n# TYPE brig_running gauge\nbrig_running 3\n");
}

static void
members_become_labels(void **state)
{
	(void)state;
	prints("{\"runs\": {\"exited\": 9007199254740993, \"limit\": 0}}",
	    "# HELP brig_runs_total runs that have ended, by how\n# TYPE brig_runs_total counter\n"
	    "brig_runs_total{status=\"exited\"} 9007199254740993\nbrig_runs_total{status=\"limit\"} 0\n");
}

static void
elements_are_told_apart_by_their_members(void **state)
{
	(void)state;
	prints("{\"owners\": [{\"uid\": 7, \"runs\": {\"exited\": 1}}, {\"uid\": 8, \"runs\": {\"exited\": 2}}]}",
	    "# HELP brig_owner_runs_total of one user\n# TYPE brig_owner_runs_total counter\n"
	    "brig_owner_runs_total{uid=\"7\",status=\"exited\"} 1\nbrig_owner_runs_total{uid=\"8\",status=\"exited\"} 2\n");
}

static void
times_are_summaries_in_seconds(void **state)
{
	char *out = printed("{\"times\": {\"queue_us\": {\"count\": 3, \"sum\": 1500000, \"p50\": 250, \"p90\": null, \"max\": 9}}}");

	(void)state;
	assert_non_null(strstr(out, "# TYPE brig_time_seconds summary\n"));
	assert_non_null(strstr(out, "brig_time_seconds{time=\"queue\",quantile=\"0.5\"} 0.00025\n"
	                            "brig_time_seconds_sum{time=\"queue\"} 1.5\nbrig_time_seconds_count{time=\"queue\"} 3\n"));
	free(out);
}

static void
hostile_values_stay_in_their_quotes(void **state)
{
	char *out = printed("{\"runs\": {\"a\\\"} 1\\nb\\\\\": 2}}");

	(void)state;
	assert_non_null(strstr(out, "\nbrig_runs_total{status=\"a\\\"} 1\\nb\\\\\"} 2\n"));
	free(out);
}

static void
labels_that_are_too_long_are_left_out(void **state)
{
	char json[6000];
	char *out;

	(void)state;
	snprintf(json, sizeof(json), "{\"templates\": [{\"module\": \"%05000d\", \"engine\": \"plain\", \"uid\": 1, \"forks\": 2}]}",
	    1);
	out = printed(json);
	assert_non_null(strstr(out, "\nbrig_template_forks_total{engine=\"plain\",uid=\"1\"} 2\n"));
	free(out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(prints_what_is_there_and_no_more),
	    cmocka_unit_test(members_become_labels),
	    cmocka_unit_test(elements_are_told_apart_by_their_members),
	    cmocka_unit_test(times_are_summaries_in_seconds),
	    cmocka_unit_test(hostile_values_stay_in_their_quotes),
	    cmocka_unit_test(labels_that_are_too_long_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
