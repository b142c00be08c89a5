/* base/thread: starting a thread that signals leave alone. brigd, logger. */

#include "base/thread.h"

#include <errno.h>
#include <signal.h>

int
thread_start(pthread_t *out, void *(*main)(void *arg), void *arg, struct err *e)
{
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = pthread_create(&thread, NULL, main, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (errno != 0)
		return err_sys(e, ERR_IO, "starting a thread");
	*out = thread;
	return 0;
}
