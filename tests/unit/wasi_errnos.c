/* tests/unit/wasi_errnos: the pairs of tests/guests/c/errnos.h, for what tests see. Unit tests and fuzz targets. */

#include "tests/unit/wasi_errnos.h"

#include <stddef.h>

#include "tests/guests/c/errnos.h"

static const struct {
	enum wasi_call call;
	enum wasi_errno error;
} pairs[] = {
#define X(function, error, what, call) {WASI_CALL_##function, WASI_E##error},
    ERRNOS(X)
#undef X
};

bool
wasi_errnos_has(enum wasi_call call, enum wasi_errno error)
{
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]) && error != WASI_ESUCCESS; i++)
		if (pairs[i].call == call && pairs[i].error == error)
			return true;
	return error == WASI_ESUCCESS;
}

const char *
wasi_errnos_never(void)
{
#define X(names, why) names
	return ERRNOS_NEVER(X);
#undef X
}
