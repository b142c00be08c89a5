/* base/imsg: messages between brig's own processes: one SOCK_SEQPACKET packet each, descriptors beside it. Any process. */

#ifndef BASE_IMSG_H
#define BASE_IMSG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * A packet is a header and a payload, in the machine's own byte order: both ends are on one machine. The kernel keeps
 * packet borders, so a length that does not fit the packet is a protocol error, never a wait for more. What the types
 * mean stands in base/proto.h. Bulk data does not travel here but in sealed memfds (base/memfd.h).
 */
#define IMSG_SIZE_MAX 65536 /* header and payload, bytes */
#define IMSG_FDS_MAX  10    /* descriptors beside one message */

struct imsg_hdr {
	uint32_t type;   /* enum proto_type */
	uint32_t length; /* payload bytes that follow */
	uint64_t run;    /* the run (or request) that it belongs to, 0 for none */
};
_Static_assert(sizeof(struct imsg_hdr) == 16, "the header is part of the protocol between processes");

#define IMSG_PAYLOAD_MAX (IMSG_SIZE_MAX - sizeof(struct imsg_hdr))

struct imsg {
	struct imsg_hdr hdr;
	uint8_t payload[IMSG_PAYLOAD_MAX] __attribute__((aligned(8)));
	int fds[IMSG_FDS_MAX]; /* owned by whoever holds the imsg; -1 past nfds */
	int nfds;
};

/*
 * imsg_pair - a connected pair of SOCK_SEQPACKET sockets, both close-on-exec.
 * Returns 0 with both descriptors owned by the caller, or ERR_IO.
 */
int imsg_pair(int sv[2], struct err *e);

/*
 * imsg_send - send one message. Borrows everything; `payload` may be NULL when `length` is 0.
 *
 * Returns 0; ERR_AGAIN when the socket is non-blocking and full (nothing was sent); ERR_EOF when the other side is
 * gone; ERR_LIMIT when length > IMSG_PAYLOAD_MAX or nfds > IMSG_FDS_MAX; ERR_IO otherwise.
 */
int imsg_send(int sock, uint32_t type, uint64_t run, const void *payload, size_t length, const int *fds, int nfds,
    struct err *e);

/*
 * imsg_recv - receive one message into `m`; its descriptors are close-on-exec and belong to the caller, who ends with
 * imsg_close_fds(m).
 *
 * Returns 0; ERR_AGAIN when the socket is non-blocking and empty; ERR_EOF when the other side closed; ERR_PROTOCOL for
 * a packet that is short, long, whose length field lies, or whose descriptors did not all fit: everything that came
 * with it is closed and the peer must be treated as hostile; ERR_IO otherwise.
 */
int imsg_recv(int sock, struct imsg *m, struct err *e);

/* imsg_close_fds - close the descriptors that are still in `m`. Take one out with imsg_take_fd first to keep it. */
void imsg_close_fds(struct imsg *m);

/* imsg_take_fd - descriptor `i`, now the caller's, or -1 when there is none. */
int imsg_take_fd(struct imsg *m, int i);

#endif
