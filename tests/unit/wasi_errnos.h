/* tests/unit/wasi_errnos: the pairs of tests/guests/c/errnos.h, for what tests see. Unit tests and fuzz targets. */

#ifndef TESTS_UNIT_WASI_ERRNOS_H
#define TESTS_UNIT_WASI_ERRNOS_H

#include <stdbool.h>

#include "runtime/wasi/errno.h"
#include "runtime/wasi/table.h"

/* wasi_errnos_has - whether a guest provokes this errno of this function. Success is there for all. */
bool wasi_errnos_has(enum wasi_call call, enum wasi_errno error);

/* wasi_errnos_never - the errnos that no function gives, each as `NAME`. */
const char *wasi_errnos_never(void);

#endif
