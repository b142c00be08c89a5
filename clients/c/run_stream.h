/* run_stream: one `run` request, its streams passed through, until its answer. brig. */

#ifndef CLIENTS_C_RUN_STREAM_H
#define CLIENTS_C_RUN_STREAM_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "clients/c/libbrig.h"

/*
 * run_stream - send `run` with `params` (taken) and its descriptors (borrowed), and see it through.
 *
 * While it runs: what it prints is written to standard output and error as it comes; with `feed`, what standard input
 * gives is sent to it. SIGINT or SIGTERM asks the server to cancel the run, a second one ends this process at once.
 *
 * Returns 0 with *result owned by the caller; ERR_DENIED with *error filled when the server answered with an error, and
 * *result that error as it came; with *result NULL ERR_EOF, ERR_IO, ERR_PROTOCOL, ERR_NOMEM otherwise. *interrupted is
 * the signal that asked for the cancel, or 0.
 */
int run_stream(struct brig *b, json_t *params, const int *fds, int nfds, bool feed, json_t **result,
    struct brig_error *error, int *interrupted, struct err *e);

#endif
