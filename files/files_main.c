/* files_main: brig-files: serves one directory of the host to a run, read-only, from a jail of its own. brig-files. */

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/proto.h"
#include "files/beneath.h"
#include "files/serve.h"
#include "sandbox/child.h"
#include "sandbox/filter.h"
#include "sandbox/jail.h"

#define CPU_MS     ((uint64_t)1 << 40)  /* it serves for as long as a run asks */
#define DATA_BYTES ((uint64_t)16 << 20) /* all that it holds, and the C library's */

/* Whether it can be listed from in here: where root's privileges would be needed, it cannot. */
static int
try_directory(struct err *e)
{
	struct files_version version;
	int fd;

	if (beneath_open(FILES_DIR_FD, "", FILES_KIND_DIR, &fd, &version) != FILES_OK)
		return err_set(e, ERR_DENIED, "the directory cannot be read by user id %u without root's privileges: run brig "
		    "as the user to whom it belongs", (unsigned)getuid());
	close(fd);
	return 0;
}

/* The layers that come after jail_enter; the filter is made first, for what making it takes is forbidden then. */
static int
enter(const struct child_args *args, struct proto_ready *ready, struct err *e)
{
	const struct proto_run limits = {.cpu_ms = CPU_MS, .data_bytes = DATA_BYTES};
	struct sock_fprog prog;
	size_t count;
	int rc = filter_build(FILTER_FILES, &prog.filter, &count, e);

	if (rc != 0)
		return rc;
	prog.len = (unsigned short)count;
	ready->filter = filter_digest(&prog);
	rc = jail_enter(&args->jail, &ready->layers, e);
	if (rc == 0)
		rc = jail_limits(&limits, e);
	if (rc == 0)
		rc = jail_lock_code(&ready->layers, e);
	if (rc == 0 && close_range(0, PROTO_SOCKET_FD - 1, 0) != 0)
		rc = err_sys(e, ERR_IO, "closing descriptors 0 to 2");
	if (rc == 0)
		rc = try_directory(e);
	ready->layers |= PROTO_LAYER_seccomp;
	if (rc == 0) /* while it may still say so */
		rc = imsg_send(FILES_STATUS_FD, PROTO_READY, 0, ready, sizeof(*ready), NULL, 0, e);
	if (rc == 0)
		rc = jail_filter(&prog, &ready->layers, e);
	free(prog.filter);
	return rc;
}

static int
start(int argc, char **argv, struct err *e)
{
	static const int directory = FILES_DIR_FD;
	struct child_args args;
	struct proto_ready ready = {0};
	struct stat st;
	int rc;

	if (sodium_init() < 0)
		return err_set(e, ERR_UNSUPPORTED, "libsodium does not start");
	if ((rc = child_args_parse(argc, argv, &args, e)) != 0)
		return rc;
	if (fstat(FILES_DIR_FD, &st) != 0 || !S_ISDIR(st.st_mode))
		return err_set(e, ERR_INVAL, "descriptor %d is no directory", FILES_DIR_FD);
	args.jail.serves = &directory;
	args.jail.last_fd = FILES_STATUS_FD;
	return enter(&args, &ready, e);
}

int
main(int argc, char **argv)
{
	struct err e = {0};
	int type;
	socklen_t length = sizeof(type);

	if (getsockopt(FILES_STATUS_FD, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_SEQPACKET) {
		fprintf(stderr, "brig-files: started by brig, not by hand\n");
		return 2;
	}
	if (start(argc, argv, &e) != 0) {
		imsg_send(FILES_STATUS_FD, PROTO_FAILED, 0, e.msg, strlen(e.msg), NULL, 0, NULL);
		return EXIT_FAILURE;
	}
	close(FILES_STATUS_FD);
	_exit(serve_files(PROTO_SOCKET_FD, FILES_DIR_FD, &e) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}
