/* progress: one line on a terminal that says how far a program's compilation is, and goes when that is over. brig. */

#ifndef CLIENTS_C_PROGRESS_H
#define CLIENTS_C_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* What is waited for, since progress_begin. Nothing is shown in the first half second, or when stderr is no terminal. */
struct progress {
	const char *verb; /* borrowed */
	int64_t since_ms; /* monotonic */
	bool compiling, shown;
	uint64_t elapsed_ms, expected_ms; /* when compiling: at `heard_ms` */
	int64_t heard_ms;
};

void progress_begin(struct progress *p, const char *verb);

/* progress_show - say how long it has been. progress_hear - the same, of the params of run.progress or module.progress. */
void progress_show(struct progress *p);
void progress_hear(struct progress *p, const json_t *params);

/* progress_wipe - take the line away. */
void progress_wipe(struct progress *p);

#endif
