/* base/imsg: messages between brig's own processes: one SOCK_SEQPACKET packet each, descriptors beside it. Any process. */

#include "base/imsg.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int
imsg_pair(int sv[2], struct err *e)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) != 0)
		return err_sys(e, ERR_IO, "socketpair");
	return 0;
}

int
imsg_send(int sock, uint32_t type, uint64_t run, const void *payload, size_t length, const int *fds, int nfds,
    struct err *e)
{
	struct imsg_hdr hdr = {.type = type, .length = (uint32_t)length, .run = run};
	struct iovec iov[2] = {{&hdr, sizeof(hdr)}, {(void *)(uintptr_t)payload, length}};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * IMSG_FDS_MAX)];
	} control;
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = length > 0 ? 2 : 1};
	ssize_t n;

	if (length > IMSG_PAYLOAD_MAX)
		return err_set(e, ERR_LIMIT, "message %u of %zu bytes is larger than %zu", type, length, IMSG_PAYLOAD_MAX);
	if (nfds < 0 || nfds > IMSG_FDS_MAX)
		return err_set(e, ERR_LIMIT, "message %u with %d descriptors, more than %d", type, nfds, IMSG_FDS_MAX);
	if (nfds > 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)nfds);
	}
	do {
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return err_set(e, ERR_AGAIN, "the socket is full");
		if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
			return err_set(e, ERR_EOF, "the other side closed");
		return err_sys(e, ERR_IO, "sendmsg of message %u, %zu bytes", type, length);
	}
	return 0; /* SEQPACKET sends whole packets or none */
}

/* Moves what SCM_RIGHTS brought into m->fds; closes the surplus. Returns how many came in all. */
static int
collect_fds(struct msghdr *msg, struct imsg *m)
{
	int total = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (m->nfds < IMSG_FDS_MAX)
				m->fds[m->nfds++] = fd;
			else
				close(fd);
			total++;
		}
	}
	return total;
}

int
imsg_recv(int sock, struct imsg *m, struct err *e)
{
	struct iovec iov[2] = {{&m->hdr, sizeof(m->hdr)}, {m->payload, sizeof(m->payload)}};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * IMSG_FDS_MAX)];
	} control;
	struct msghdr msg = {
	    .msg_iov = iov, .msg_iovlen = 2, .msg_control = control.buf, .msg_controllen = sizeof(control.buf)};
	int resets = 0;
	ssize_t n;

	m->nfds = 0;
	for (int i = 0; i < IMSG_FDS_MAX; i++)
		m->fds[i] = -1;
	/* A peer that closed with unread input gives one ECONNRESET; what it had said before that comes after it. */
	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || (errno == ECONNRESET && resets++ == 0)));
	if (n < 0) {
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return err_set(e, ERR_AGAIN, "no message yet");
		if (errno == ECONNRESET)
			return err_set(e, ERR_EOF, "the other side closed");
		return err_sys(e, ERR_IO, "recvmsg");
	}
	collect_fds(&msg, m);
	if (n == 0 && m->nfds == 0)
		return err_set(e, ERR_EOF, "the other side closed");
	if ((size_t)n < sizeof(m->hdr) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    m->hdr.length != (size_t)n - sizeof(m->hdr)) {
		imsg_close_fds(m);
		return err_set(e, ERR_PROTOCOL, "malformed packet of %zd bytes%s", n,
		    (msg.msg_flags & MSG_CTRUNC) != 0 ? " with too many descriptors" : "");
	}
	return 0;
}

void
imsg_close_fds(struct imsg *m)
{
	for (int i = 0; i < m->nfds; i++) {
		if (m->fds[i] >= 0)
			close(m->fds[i]);
		m->fds[i] = -1;
	}
	m->nfds = 0;
}

int
imsg_take_fd(struct imsg *m, int i)
{
	int fd;

	if (i < 0 || i >= m->nfds)
		return -1;
	fd = m->fds[i];
	m->fds[i] = -1;
	return fd;
}
