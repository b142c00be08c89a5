/* server_signal: tell the brigd behind a connection to stop or to read its files again. brig. */

#include "clients/c/server_signal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A descriptor of the process that listens there, so that no other can take its pid; or a negative ERR_*. */
static int
open_server(const struct brig *b, struct err *e)
{
	struct ucred peer = {0};
	socklen_t length = sizeof(peer);
	int fd;

	if (getsockopt(brig_fd(b), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
		return err_sys(e, ERR_IO, "%s: asking who listens there", brig_path(b));
	if (peer.pid <= 0)
		return err_set(e, ERR_NOTFOUND, "the brigd at %s runs in another pid namespace: stop it there", brig_path(b));
	if ((fd = (int)syscall(SYS_pidfd_open, peer.pid, 0)) < 0)
		return err_sys(e, errno == ESRCH ? ERR_NOTFOUND : ERR_IO, "brigd, process %d", (int)peer.pid);
	return fd;
}

static int
send_signal(int server, int sig, const struct brig *b, struct err *e)
{
	if (syscall(SYS_pidfd_send_signal, server, sig, NULL, 0) == 0)
		return 0;
	return err_sys(e, errno == EPERM ? ERR_DENIED : errno == ESRCH ? ERR_NOTFOUND : ERR_IO, "the brigd at %s",
	    brig_path(b));
}

/* A pidfd becomes readable when its process ends. */
static int
wait_until_gone(int server, int wait_ms, struct err *e)
{
	struct pollfd p = {.fd = server, .events = POLLIN};
	int n;

	do
		n = poll(&p, 1, wait_ms);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, ERR_IO, "poll");
	return n > 0 ? 0 : err_set(e, ERR_AGAIN, "brigd waits for running programs to end");
}

int
server_reload(const struct brig *b, struct err *e)
{
	int server = open_server(b, e), rc;

	if (server < 0)
		return server;
	rc = send_signal(server, SIGHUP, b, e);
	close(server);
	return rc;
}

int
server_stop(struct brig *b, int wait_ms, struct err *e)
{
	int server = open_server(b, e);
	int rc = server < 0 ? server : send_signal(server, SIGTERM, b, e);

	brig_close(b); /* it waits for its clients */
	if (rc == 0)
		rc = wait_until_gone(server, wait_ms, e);
	if (server >= 0)
		close(server);
	return rc;
}

int
server_stop_private(int wait_ms, struct err *e)
{
	char path[BRIG_PATH_MAX];
	struct brig *b = NULL;
	int rc;

	if ((rc = brig_socket_private(path, e)) != 0 || (rc = brig_connect(path, &b, e)) != 0)
		return rc;
	return server_stop(b, wait_ms, e);
}
