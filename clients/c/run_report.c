/* run_report: what `brig run` says about a result, on standard error, and its exit code. brig. */

#include "clients/c/run_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clients/c/cmd.h"
#include "policy/policy.h"

#define VERB         "run"
#define FRAMES_SHOWN 16

static const char *
text_of(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s == NULL ? "" : s;
}

static uint64_t
number_of(const json_t *object, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(object, name));

	return n < 0 ? 0 : (uint64_t)n;
}

/* --- how it ended --------------------------------------------------------------------------------------------- */

static int
report_exited(const json_t *result, const json_t *limits)
{
	json_int_t code = json_integer_value(json_object_get(result, "exit_code"));

	(void)limits;
	if (code >= 0 && code <= 255)
		return (int)code;
	cmd_error(VERB, "the program's exit code was %" JSON_INTEGER_FORMAT ", which does not fit: 255 instead", code);
	return 255;
}

/* Where in the module it was, when that is known. */
static void
print_offset(const json_t *frame)
{
	uint64_t offset = number_of(frame, "offset");

	if (json_is_integer(json_object_get(frame, "offset")) && offset < INT64_MAX)
		fprintf(stderr, "  (at byte %#" PRIx64 " of the module)", offset);
	fputc('\n', stderr);
}

static int
report_trapped(const json_t *result, const json_t *limits)
{
	const json_t *trap = json_object_get(result, "trap");
	const char *message = text_of(trap, "message");
	const json_t *frame;
	size_t i;

	(void)limits;
	cmd_error(VERB, "the program trapped: %s", message[0] != '\0' ? message : text_of(trap, "meaning"));
	json_array_foreach(json_object_get(trap, "frames"), i, frame) {
		const char *name = text_of(frame, "name");

		if (i == FRAMES_SHOWN) {
			fprintf(stderr, "  ...\n");
			break;
		}
		fprintf(stderr, "  %s ", i == 0 ? "in  " : "from");
		if (name[0] != '\0')
			cmd_print_safe(stderr, name, strlen(name));
		else
			fprintf(stderr, "function %" PRIu64, number_of(frame, "function"));
		print_offset(frame);
	}
	return RUN_EXIT_TRAPPED;
}

/* "; more, if policy allows it: --limit wall_ms=N[ms|s|m|h]". "" where the request had the most there is. */
static void
suggest_limit(const char *name, const json_t *limits, char text[128])
{
	static const char *const suffixes[] = {
	    [POLICY_UNIT_MS] = "[ms|s|m|h]", [POLICY_UNIT_BYTES] = "[K|M|G]", [POLICY_UNIT_COUNT] = "[k|M|G]"};

	text[0] = '\0';
	for (enum policy_limit i = 0; i < POLICY_LIMIT_COUNT; i++) {
		const struct policy_limit_info *info = &policy_limit_info[i];

		if (strcmp(info->name, name) == 0 && number_of(limits, name) < info->maximum)
			snprintf(text, 128, "; more, if policy allows it: --limit %s=N%s", name, suffixes[info->unit]);
	}
}

static int
report_limit(const json_t *result, const json_t *limits)
{
	const char *name = text_of(result, "limit"), *reason = text_of(result, "reason");
	char advice[128];

	suggest_limit(name, limits, advice);
	if (strcmp(name, "deadline_ms") == 0)
		snprintf(advice, sizeof(advice), "; more time: --deadline TIME");
	if (advice[0] == '\0')
		snprintf(advice, sizeof(advice), ", which cannot be raised");
	if (reason[0] != '\0')
		cmd_error(VERB, "the program was stopped: %s%s", reason, advice);
	else
		cmd_error(VERB, "the program was stopped at its limit %s%s", name, advice);
	return RUN_EXIT_LIMIT;
}

static int
report_denied(const json_t *result, const json_t *limits)
{
	const char *reason = text_of(result, "reason");

	(void)limits;
	cmd_error(VERB, "the program was stopped by policy%s%s", reason[0] == '\0' ? "" : ": ", reason);
	return RUN_EXIT_DENIED;
}

static int
report_cancelled(const json_t *result, const json_t *limits)
{
	const char *reason = text_of(result, "reason");

	(void)limits;
	cmd_error(VERB, "cancelled%s%s", reason[0] == '\0' ? "" : ": ", reason);
	return RUN_EXIT_CANCELLED;
}

static int
report_failed(const json_t *result, const json_t *limits)
{
	(void)limits;
	cmd_error(VERB, "brig had to end the run: %s", text_of(result, "reason"));
	return RUN_EXIT_FAILED;
}

static const struct {
	const char *status;
	int (*report)(const json_t *result, const json_t *limits);
} endings[] = {
    {"exited", report_exited},
    {"trapped", report_trapped},
    {"limit", report_limit},
    {"denied", report_denied},
    {"cancelled", report_cancelled},
    {"failed", report_failed},
};

/* --- what else there is to say -------------------------------------------------------------------------------- */

static void
report_truncated(const json_t *result, const json_t *limits)
{
	const json_t *truncated = json_object_get(result, "truncated");
	bool out = json_is_true(json_object_get(truncated, "stdout"));
	bool err = json_is_true(json_object_get(truncated, "stderr"));
	char advice[128];

	if ((!out && !err) || strcmp(text_of(result, "limit"), "output_bytes") == 0) /* its end will tell */
		return;
	suggest_limit("output_bytes", limits, advice);
	cmd_error(VERB, "%s%s%s cut at the limit output_bytes%s", out ? "stdout" : "", out && err ? " and " : "",
	    !err ? " was" : out ? "stderr were" : "stderr was", advice);
}

/* One line: call, how often, and the sentence that names capability, layer and grant. */
static void
report_denial(const json_t *denial)
{
	uint64_t count = number_of(denial, "count");
	char times[40] = "";

	if (count > 1)
		snprintf(times, sizeof(times), ", %" PRIu64 " times", count);
	cmd_error(VERB, "%s was refused to the program%s: %s", text_of(denial, "call"), times, text_of(denial, "message"));
}

static void
report_denials(const json_t *result)
{
	const json_t *denial;
	size_t i;

	json_array_foreach(json_object_get(result, "denials"), i, denial)
		report_denial(denial);
	if (number_of(result, "denials_omitted") > 0)
		cmd_error(VERB, "%" PRIu64 " more calls were refused to the program, too many to be told",
		    number_of(result, "denials_omitted"));
}

/* What the program did not get of a directory of the host as it should have. */
static void
report_warnings(const json_t *result)
{
	const json_t *warning;
	size_t i;

	json_array_foreach(json_object_get(result, "warnings"), i, warning)
		cmd_error(VERB, "%s", text_of(warning, "message"));
}

int
run_report(const json_t *result, const json_t *limits)
{
	const char *status = text_of(result, "status");

	report_denials(result);
	report_warnings(result);
	report_truncated(result, limits);
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
		if (strcmp(status, endings[i].status) == 0)
			return endings[i].report(result, limits);
	cmd_error(VERB, "brigd says that the run ended as \"%s\", which this brig does not know", status);
	return RUN_EXIT_FAILED;
}

int
run_report_error(const struct brig_error *error, const char *advice)
{
	static const char *const refusals[] = {"denied", "unsigned_module", "bad_signature", "unknown_key", "revoked",
	    "expired"};

	cmd_refusal(VERB, error, advice);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (strcmp(error->name, refusals[i]) == 0)
			return RUN_EXIT_DENIED;
	return RUN_EXIT_FAILED;
}

/* --- what was learned ----------------------------------------------------------------------------------------- */

static void
print_text(const char *text)
{
	cmd_print_safe(stderr, text, strlen(text));
}

/* "  fs /w/d: read, path_open below /w/d, 12 times" or "  limits memory_bytes: 65536 used; twice what was used...". */
static void
print_evidence(const json_t *one)
{
	static const struct {
		const char *extent;
		const char *word;
	} extents[] = {{"below", " below "}, {"together", " from one place to another below "}};
	const char *target = text_of(one, "target"), *because = text_of(one, "because"), *at = " of ";
	const json_t *right;
	size_t i;

	fputs("  ", stderr);
	print_text(text_of(one, "field"));
	if (json_object_get(one, "call") == NULL) {
		fprintf(stderr, "%s", target[0] != '\0' ? " " : "");
		print_text(target);
		if (json_is_integer(json_object_get(one, "used")))
			fprintf(stderr, ": %" PRIu64 " used", number_of(one, "used"));
		fputs(": ", stderr);
		print_text(because);
		fputc('\n', stderr);
		return;
	}
	if (target[0] != '\0') {
		fputc(' ', stderr);
		print_text(text_of(one, "rule"));
	}
	fputc(':', stderr);
	json_array_foreach(json_object_get(one, "rights"), i, right) {
		fputc(' ', stderr);
		print_text(json_string_value(right) != NULL ? json_string_value(right) : "");
	}
	fputs(json_array_size(json_object_get(one, "rights")) > 0 ? ", " : " ", stderr);
	print_text(text_of(one, "call"));
	for (i = 0; i < sizeof(extents) / sizeof(extents[0]); i++)
		if (strcmp(text_of(one, "extent"), extents[i].extent) == 0)
			at = extents[i].word;
	if (target[0] != '\0') {
		fputs(at, stderr);
		print_text(target);
	}
	fprintf(stderr, ", %" PRIu64 " times\n", number_of(one, "count"));
}

void
run_report_learned(const json_t *result)
{
	const json_t *learned = json_object_get(result, "learned"), *one;
	size_t i;

	cmd_error(VERB, "learned %s, for a person to read and sign:", text_of(learned, "digest"));
	json_array_foreach(json_object_get(learned, "evidence"), i, one)
		print_evidence(one);
	if (!json_is_true(json_object_get(learned, "complete")))
		cmd_error(VERB, "the program did not come to its end: what it would have needed then is not in this policy");
}

/* --- usage ---------------------------------------------------------------------------------------------------- */

static double
ms_of(const json_t *usage, const char *name)
{
	return (double)number_of(usage, name) / 1000;
}

static void
print_calls(const json_t *calls)
{
	uint64_t total = 0;
	const char *name;
	json_t *n;

	json_object_foreach((json_t *)(uintptr_t)calls, name, n)
		total += (uint64_t)json_integer_value(n);
	fprintf(stderr, "  host calls  %" PRIu64, total);
	json_object_foreach((json_t *)(uintptr_t)calls, name, n)
		fprintf(stderr, ", %s %" JSON_INTEGER_FORMAT, name, json_integer_value(n));
	fputc('\n', stderr);
}

void
run_report_usage(const json_t *result)
{
	const json_t *usage = json_object_get(result, "usage"), *module = json_object_get(result, "module");
	const char *signer = text_of(module, "signer");

	fprintf(stderr, "  run         %s\n", text_of(result, "run_id"));
	fprintf(stderr, "  module      %s, %s%s\n", text_of(module, "digest"), signer[0] == '\0' ? "not signed" : "signed by ",
	    signer);
	fprintf(stderr, "  time        %.2f ms in all, %.2f ms user, %.2f ms system\n", ms_of(usage, "wall_us"),
	    ms_of(usage, "user_us"), ms_of(usage, "system_us"));
	fprintf(stderr, "  before it   %.2f ms queued, %.2f ms compiling, %.2f ms starting (%s)\n", ms_of(usage, "queue_us"),
	    ms_of(usage, "compile_us"), ms_of(usage, "start_us"), text_of(usage, "start"));
	fprintf(stderr, "  memory      %.1f MiB at most\n", (double)number_of(usage, "peak_memory_bytes") / 1048576);
	fprintf(stderr, "  output      %" PRIu64 " bytes, and %" PRIu64 " to standard error\n",
	    number_of(usage, "stdout_bytes"), number_of(usage, "stderr_bytes"));
	if (number_of(usage, "fs_nodes") > 0)
		fprintf(stderr, "  files       %" PRIu64 " at most, with %.1f MiB in them\n", number_of(usage, "fs_nodes"),
		    (double)number_of(usage, "fs_bytes") / 1048576);
	print_calls(json_object_get(usage, "host_calls"));
	if (number_of(usage, "fuel") > 0)
		fprintf(stderr, "  fuel        %" PRIu64 "\n", number_of(usage, "fuel"));
}
