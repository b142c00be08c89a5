/* base/service: the skeleton of brigd's small processes: fewer rights, a table of messages, one loop. Store, logger. */

#ifndef BASE_SERVICE_H
#define BASE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/imsg.h"

/* An option of one of them, with a value; it has to be given. */
struct service_argument {
	const char *name;   /* without the dashes */
	const char **value; /* borrowed from argv */
};

/*
 * service_start - what main() does first. It checks that brigd started this program, starts libsodium, and reads the
 * command line: --dir DIR [--uid N --gid N], and all of extra[0..count], at most 8. DIR is made with mode 0700 when it
 * is not there; it must belong to the user that the process is going to be, and be closed to all others: then nothing
 * above it needs to be reachable later. Rights are given up for good: it becomes --uid and --gid (as root they are
 * needed), has no supplementary groups, no capabilities, no_new_privs, is not dumpable, leaves no core file, dies with
 * its parent, and ignores SIGPIPE and the terminal's signals, as brigd decides when it ends.
 *
 * Returns DIR's descriptor, or an error for service_fail() that says what to do.
 */
int service_start(int argc, char **argv, const struct service_argument *extra, size_t count, struct err *e);

/*
 * service_number - read a whole decimal number between least and most. ERR_INVAL with *out untouched otherwise; `name`
 * is for the message.
 */
int service_number(const char *name, const char *text, uint64_t least, uint64_t most, uint64_t *out, struct err *e);

/* A message that brigd may send. One that is not in the table, or does not fit its row, ends the process. */
struct service_message {
	uint32_t type;
	size_t least, most; /* bytes of payload */
	int fds_least, fds_most;
	/*
	 * Answers with service_send. Takes the descriptors that it keeps with imsg_take_fd; the loop closes the rest.
	 * Returns 0 to go on; an error ends the process. What brigd should hear of goes into an answer, and is 0 here.
	 */
	int (*handle)(void *arg, struct imsg *m, struct err *e);
};

struct service {
	const struct service_message *messages;
	size_t count;
	/*
	 * Called when no message is waiting, and after the wait that it asked for: `*wait_ms` is -1 (until there is a
	 * message) and may be set to less. May be NULL. An error ends the process.
	 */
	int (*idle)(void *arg, int *wait_ms, struct err *e);
};

/*
 * service_serve - say PROTO_READY on `sock`, then handle messages until the other side closes, when it returns 0 (after
 * a last `idle`). On a breach of protocol or an error of a handler PROTO_FAILED is sent, and the error returned.
 */
int service_serve(int sock, const struct service *s, void *arg, struct err *e);

/*
 * service_fail - say e's text: to brigd by PROTO_FAILED, as before service_serve; to the terminal when it was not brigd
 * that started this. Best effort. Returns the exit status.
 */
int service_fail(int sock, const struct err *e);

/* service_send - imsg_send that waits while the socket is full. */
int service_send(int sock, uint32_t type, uint64_t token, const void *payload, size_t length, int fd /* or -1 */,
    struct err *e);

#endif
