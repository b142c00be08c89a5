/* sandbox/child: the arguments with which the launcher starts brig-worker and brig-compiler. Launcher and those two. */

#ifndef SANDBOX_CHILD_H
#define SANDBOX_CHILD_H

#include <stdint.h>

#include "base/err.h"
#include "sandbox/jail.h"

/*
 * Such a program finds its imsg socket at descriptor PROTO_SOCKET_FD (3), the filters at FILTER_FD (4), stderr at 2,
 * and nothing else. jail.last_fd is FILTER_FD.
 */
struct child_args {
	uint32_t engine; /* enum proto_engine */
	struct jail_config jail;
};

/* child_args_parse - read main()'s arguments. ERR_INVAL with the offending one; *args is untouched then. */
int child_args_parse(int argc, char **argv, struct child_args *args, struct err *e);

/* An argument vector with its strings. Not to be copied: it points into itself. */
struct child_argv {
	char *argv[7];
	char text[5][40];
};

/* child_args_format - the argument vector that child_args_parse reads back as *args. Borrows `program`. */
void child_args_format(const struct child_args *args, const char *program, struct child_argv *out);

#endif
