/* Fuzz target: base/imsg: packets as a hostile peer could send them, with and without descriptors. */

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/imsg.h"
#include "tests/fuzz/input.h"

#define PACKETS_MAX 8
#define FDS_MAX     7

/* Sends one packet as it is, with `nfds` descriptors. Returns whether the kernel took it. */
static bool
send_packet(int sock, const uint8_t *data, size_t length, int nfds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)data, length};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;
	int fds[FDS_MAX] = {0};

	if (nfds > 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)nfds);
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

/* A message that arrived is the packet; one that is malformed has left no descriptor. */
static void
must_be_packet(const struct imsg *m, int rc, const uint8_t *data, size_t length, int nfds)
{
	MUST(rc == 0 || rc == ERR_PROTOCOL || (rc == ERR_EOF && length == 0));
	if (rc != 0) {
		MUST(m->nfds == 0);
		return;
	}
	MUST(length >= sizeof(m->hdr) && length <= IMSG_SIZE_MAX && m->hdr.length == length - sizeof(m->hdr));
	MUST(memcmp(&m->hdr, data, sizeof(m->hdr)) == 0);
	MUST(memcmp(m->payload, data + sizeof(m->hdr), m->hdr.length) == 0);
	MUST(m->nfds == nfds && nfds <= IMSG_FDS_MAX);
}

/* The same bytes as the payload of a message that is sent as it should be. */
static void
must_pass(int sv[2], struct imsg *m, const uint8_t *data, size_t length, int nfds)
{
	static const int fds[FDS_MAX];
	int rc = imsg_send(sv[0], 7, 8, data, length, fds, nfds, NULL);

	if (length > IMSG_PAYLOAD_MAX || nfds > IMSG_FDS_MAX) {
		MUST(rc == ERR_LIMIT);
		return;
	}
	MUST(rc == 0);
	MUST(imsg_recv(sv[1], m, NULL) == 0);
	MUST(m->hdr.type == 7 && m->hdr.run == 8 && m->hdr.length == length && m->nfds == nfds);
	MUST(memcmp(m->payload, data, length) == 0);
	imsg_close_fds(m);
}

/* A packet of an input: descriptors, length, bytes. Missing ones are zeros: a short input can be a long packet. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct imsg m;
	struct input in = {data, size};
	int fd = input_lowest_fd(), sv[2];

	MUST(imsg_pair(sv, NULL) == 0);
	for (int i = 0; i < PACKETS_MAX && in.left > 0; i++) {
		uint8_t how = input_byte(&in);
		size_t length = input_u16(&in) + ((how & 0x80) != 0 ? 0x8000u : 0);
		int nfds = how & FDS_MAX;
		struct block given = input_take(&in, length);
		uint8_t *packet = calloc(1, length);

		memcpy(packet, given.data, given.length);
		free(given.data);
		if ((length > 0 || nfds == 0) && send_packet(sv[0], packet, length, nfds)) {
			must_be_packet(&m, imsg_recv(sv[1], &m, NULL), packet, length, nfds);
			imsg_close_fds(&m);
		}
		must_pass(sv, &m, packet, length, nfds);
		free(packet);
	}
	close(sv[0]);
	close(sv[1]);
	MUST(input_lowest_fd() == fd);
	return 0;
}
