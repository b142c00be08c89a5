/* test_run_report: what `brig run` says about results, and its exit codes. Unit test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clients/c/run_report.h"

/* A result, the limits that were asked for, and what has to come of it. NULL: nothing is said. */
static const struct {
	const char *result, *limits;
	int code;
	const char *says;
} cases[] = {
    {"{\"status\":\"exited\",\"exit_code\":0}", NULL, 0, NULL},
    {"{\"status\":\"exited\",\"exit_code\":255}", NULL, 255, NULL},
    {"{\"status\":\"exited\",\"exit_code\":256}", NULL, 255, "exit code was 256"},
    {"{\"status\":\"trapped\",\"trap\":{\"kind\":\"unreachable\",\"message\":\"it gave up\",\"frames\":["
     "{\"function\":3,\"offset\":16,\"name\":\"inner\"},{\"function\":4,\"offset\":32},{\"function\":5},"
     "{\"function\":6,\"offset\":9223372036854775807}]}}", NULL, 134,
	"trapped: it gave up\n  in   inner  (at byte 0x10 of the module)\n  from function 4  (at byte 0x20 of the module)\n"
	"  from function 5\n  from function 6\n"},
    {"{\"status\":\"limit\",\"limit\":\"wall_ms\"}", NULL, 124, "limit wall_ms; more, if policy allows it: "
     "--limit wall_ms=N[ms|s|m|h]\n"},
    {"{\"status\":\"limit\",\"limit\":\"wall_ms\"}", "{\"wall_ms\":100}", 124, "--limit wall_ms=N[ms|s|m|h]"},
    {"{\"status\":\"limit\",\"limit\":\"wall_ms\",\"reason\":\"it reached wall_ms, which was 100 ms\"}", NULL, 124,
	"stopped: it reached wall_ms, which was 100 ms; more, if policy allows it: --limit wall_ms=N"},
    {"{\"status\":\"limit\",\"limit\":\"wall_ms\"}", "{\"wall_ms\":3600000}", 124, "cannot be raised"},
    {"{\"status\":\"limit\",\"limit\":\"stack\"}", NULL, 124, "limit stack, which cannot be raised"},
    {"{\"status\":\"denied\",\"reason\":\"no clock\"}", NULL, 126, "stopped by policy: no clock"},
    {"{\"status\":\"cancelled\"}", NULL, 130, "cancelled"},
    {"{\"status\":\"failed\",\"reason\":\"its worker died\"}", NULL, 125, "its worker died"},
    {"{\"status\":\"dancing\"}", NULL, 125, "\"dancing\""},
    {"{}", NULL, 125, "\"\""},
    {"{\"status\":\"exited\",\"exit_code\":1,\"truncated\":{\"stdout\":true,\"stderr\":false}}", NULL, 1,
	"stdout was cut at the limit output_bytes; more, if policy allows it: --limit output_bytes=N[K|M|G]"},
    {"{\"status\":\"exited\",\"exit_code\":1,\"truncated\":{\"stdout\":true,\"stderr\":true}}", NULL, 1,
	"brig run: stdout and stderr were cut at the limit output_bytes;"},
    {"{\"status\":\"limit\",\"limit\":\"output_bytes\",\"truncated\":{\"stdout\":true}}", NULL, 124,
	"brig run: the program was stopped at its limit output_bytes;"},
    {"{\"status\":\"exited\",\"exit_code\":1,\"denials\":[{\"call\":\"random_get\",\"message\":\"not granted\"}]}",
	NULL, 1, "random_get was refused to the program: not granted"},
    {"{\"status\":\"failed\",\"reason\":\"\\u001b[31mred\"}", NULL, 125, "\\x1b[31mred"},
};

/* Calls `report` with standard error in a file; *said is what went there. */
static int
listen_to(const json_t *result, const json_t *limits, const struct brig_error *error, char said[4096])
{
	int file = memfd_create("stderr", MFD_CLOEXEC), saved = dup(STDERR_FILENO), code;
	ssize_t n;

	assert_true(file >= 0 && saved >= 0);
	dup2(file, STDERR_FILENO);
	code = error != NULL ? run_report_error(error, NULL) : run_report(result, limits);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	n = pread(file, said, 4095, 0);
	assert_true(n >= 0);
	said[n] = '\0';
	close(saved);
	close(file);
	return code;
}

static void
each_ending_has_its_code_and_its_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *result = json_loads(cases[i].result, 0, NULL);
		json_t *limits = cases[i].limits == NULL ? NULL : json_loads(cases[i].limits, 0, NULL);
		char said[4096], *hint;

		assert_non_null(result);
		assert_int_equal(listen_to(result, limits, NULL, said), cases[i].code);
		if (cases[i].says == NULL)
			assert_string_equal(said, "");
		else if (strstr(said, cases[i].says) == NULL)
			fail_msg("%s\n gave: %s", cases[i].result, said);
		hint = strstr(said, "if policy allows");
		assert_true(hint == NULL || strstr(hint + 1, "if policy allows") == NULL);
		json_decref(result);
		json_decref(limits);
	}
}

static void
each_denial_is_a_line_and_the_others_are_counted(void **state)
{
	json_t *result = json_loads("{\"status\": \"exited\", \"exit_code\": 0, \"denials_omitted\": 7, \"denials\": ["
	    "{\"call\": \"path_open\", \"count\": 1, \"message\": \"fs.write at /w/f is not granted\"},"
	    "{\"call\": \"random_get\", \"count\": 12, \"message\": \"randomness is not granted\"}]}", 0, NULL);
	char said[4096];

	(void)state;
	assert_int_equal(listen_to(result, NULL, NULL, said), 0);
	assert_string_equal(said, "brig run: path_open was refused to the program: fs.write at /w/f is not granted\n"
	    "brig run: random_get was refused to the program, 12 times: randomness is not granted\n"
	    "brig run: 7 more calls were refused to the program, too many to be told\n");
	json_decref(result);
}

static void
refusals_are_126_and_other_errors_125(void **state)
{
	const struct brig_error refused = {.code = -32020, .name = "unsigned_module", .message = "not signed",
	    .advice = "sign it"};
	const struct brig_error theirs = {.code = -32021, .name = "bad_signature", .message = "changed", .advice = "sign again"};
	const struct brig_error failed = {.code = -32003, .name = "overloaded", .message = "too much"};
	char said[4096];

	(void)state;
	assert_int_equal(listen_to(NULL, NULL, &refused, said), RUN_EXIT_DENIED);
	assert_non_null(strstr(said, "not signed\n  Sign it: `brig sign` does that"));
	assert_int_equal(listen_to(NULL, NULL, &theirs, said), RUN_EXIT_DENIED);
	assert_non_null(strstr(said, "changed\n  sign again"));
	assert_int_equal(listen_to(NULL, NULL, &failed, said), RUN_EXIT_FAILED);
	assert_non_null(strstr(said, "too much\n"));
}

static void
advice_is_for_a_command_line_and_new(void **state)
{
	const struct brig_error denied = {.code = -32010, .name = "denied", .message = "no clock",
	    .advice = "data.denial says what was withheld"};
	const struct brig_error later = {.code = -32999, .name = "of_another_version", .message = "no",
	    .advice = "see data.more"};
	const struct brig_error twice = {.code = -32022, .name = "unknown_key", .message = "unknown: `brig keys add` adds it",
	    .advice = "Have it added: `brig keys add`."};
	char said[4096];

	(void)state;
	listen_to(NULL, NULL, &denied, said);
	assert_string_equal(said, "brig run: no clock\n");
	listen_to(NULL, NULL, &later, said);
	assert_string_equal(said, "brig run: no\n");
	listen_to(NULL, NULL, &twice, said);
	assert_string_equal(said, "brig run: unknown: `brig keys add` adds it\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_ending_has_its_code_and_its_words),
	    cmocka_unit_test(each_denial_is_a_line_and_the_others_are_counted),
	    cmocka_unit_test(refusals_are_126_and_other_errors_125),
	    cmocka_unit_test(advice_is_for_a_command_line_and_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
