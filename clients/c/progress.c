/* progress: one line on a terminal that says how far a program's compilation is, and goes when that is over. brig. */

#include "clients/c/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/monotonic.h"

#define PATIENCE_MS 500

void
progress_begin(struct progress *p, const char *verb)
{
	*p = (struct progress){.verb = verb, .since_ms = monotonic_ms()};
}

static uint64_t
seconds(uint64_t ms)
{
	return (ms + 500) / 1000;
}

void
progress_show(struct progress *p)
{
	int64_t now = monotonic_ms();

	if (now - p->since_ms < PATIENCE_MS || !isatty(STDERR_FILENO))
		return;
	p->shown = true;
	if (p->compiling)
		fprintf(stderr, "\r\033[Kbrig %s: compiling the program, %" PRIu64 " s of about %" PRIu64 " s", p->verb,
		    seconds(p->elapsed_ms + (uint64_t)(now - p->heard_ms)), seconds(p->expected_ms + 500));
	else
		fprintf(stderr, "\r\033[Kbrig %s: preparing the program, %" PRIu64 " s (what is new to the server is compiled "
		    "first)", p->verb, seconds((uint64_t)(now - p->since_ms)));
}

void
progress_hear(struct progress *p, const json_t *params)
{
	const char *phase = json_string_value(json_object_get(params, "phase"));

	p->compiling = phase != NULL && strcmp(phase, "compiling") == 0;
	p->elapsed_ms = (uint64_t)json_integer_value(json_object_get(params, "elapsed_ms"));
	p->expected_ms = (uint64_t)json_integer_value(json_object_get(params, "expected_ms"));
	p->heard_ms = monotonic_ms();
	progress_show(p);
}

void
progress_wipe(struct progress *p)
{
	if (p->shown)
		fprintf(stderr, "\r\033[K");
	p->shown = false;
}
