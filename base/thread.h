/* base/thread: starting a thread that signals leave alone. brigd, logger. */

#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

#include "base/err.h"

/*
 * thread_start - start a thread that runs main(arg). All signals are blocked in it, so that the process's own handling
 * of them stays in the thread that set it up. Returns 0, or ERR_IO with *out untouched.
 */
int thread_start(pthread_t *out, void *(*main)(void *arg), void *arg, struct err *e);

#endif
