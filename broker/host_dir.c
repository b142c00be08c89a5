/* broker/host_dir: the sockets over which clients serve directories to their runs: checked, never spoken on. brigd. */

#include "broker/host_dir.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

static bool
has_option(int fd, int option, int value)
{
	socklen_t length = sizeof(int);
	int is = 0;

	return getsockopt(fd, SOL_SOCKET, option, &is, &length) == 0 && is == value;
}

/* Whether getsockname or getpeername knows a local address without a name. */
static bool
is_unnamed(int fd, int (*name_of)(int fd, struct sockaddr *address, socklen_t *length))
{
	struct sockaddr_un address;
	socklen_t length = sizeof(address);

	return name_of(fd, (struct sockaddr *)&address, &length) == 0 && length == sizeof(address.sun_family);
}

static int
own_name(int fd, struct sockaddr *address, socklen_t *length)
{
	return getsockname(fd, address, length);
}

static int
peer_name(int fd, struct sockaddr *address, socklen_t *length)
{
	return getpeername(fd, address, length);
}

int
host_dir_check(int fd, uid_t *maker, struct err *e)
{
	struct ucred cred;
	socklen_t length = sizeof(cred);

	if (!has_option(fd, SO_DOMAIN, AF_UNIX) || !has_option(fd, SO_TYPE, SOCK_SEQPACKET) ||
	    !has_option(fd, SO_ACCEPTCONN, 0) || !is_unnamed(fd, own_name) || !is_unnamed(fd, peer_name) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) != 0)
		return err_set(e, ERR_INVAL,
		    "it is not one end of socketpair(AF_UNIX, SOCK_SEQPACKET) whose other end is served (brig run --dir makes one)");
	*maker = cred.uid;
	return 0;
}
