/* run_report: what `brig run` says about a result, on standard error, and its exit code. brig. */

#ifndef CLIENTS_C_RUN_REPORT_H
#define CLIENTS_C_RUN_REPORT_H

#include <jansson.h>

#include "clients/c/libbrig.h"

/* Exit codes of `brig run` beside those of the guest. Above 128: 128 and the number of the signal that would fit. */
enum run_exit {
	RUN_EXIT_LIMIT = 124,     /* stopped at a limit, as timeout(1) has it */
	RUN_EXIT_FAILED = 125,    /* brig could not run it, or was asked nonsense */
	RUN_EXIT_DENIED = 126,    /* policy or signature did not allow it */
	RUN_EXIT_TRAPPED = 134,   /* 128 + SIGABRT */
	RUN_EXIT_CANCELLED = 130, /* 128 + SIGINT */
};

/*
 * run_report - the exit code for a result; when the guest did not end by itself, or something was withheld or cut, that
 * is said in a line. `limits` are those that the request stated (may be NULL): they make the advice concrete.
 */
int run_report(const json_t *result, const json_t *limits);

/*
 * run_report_error - the same for an answer that is an error. `advice` stands in for the server's; NULL: its.
 */
int run_report_error(const struct brig_error *error, const char *advice);

/* run_report_learned - why each rule of what a run learned is there, a line each on standard error. */
void run_report_learned(const json_t *result);

/* run_report_usage - what the run used, as a small table on standard error. */
void run_report_usage(const json_t *result);

#endif
