/* runtime/wasi/fd: the guest's descriptors. Knows no guest memory. Runs in the worker. */

#ifndef RUNTIME_WASI_FD_H
#define RUNTIME_WASI_FD_H

#include <stdint.h>

#include "runtime/wasi/errno.h"

enum wasi_fd_kind { WASI_FD_CLOSED = 0, WASI_FD_STDIN, WASI_FD_STDOUT, WASI_FD_STDERR };

/* Rights and flags as preview 1 numbers them; only those that can matter to a stream. */
#define WASI_RIGHT_FD_READ             (UINT64_C(1) << 1)
#define WASI_RIGHT_FD_FDSTAT_SET_FLAGS (UINT64_C(1) << 3)
#define WASI_RIGHT_FD_WRITE            (UINT64_C(1) << 6)
#define WASI_RIGHT_FD_FILESTAT_GET     (UINT64_C(1) << 21)
#define WASI_RIGHT_POLL_FD_READWRITE   (UINT64_C(1) << 27)

#define WASI_FDFLAG_NONBLOCK (1u << 2)
#define WASI_FDFLAGS_ALL     0x1fu /* append, dsync, nonblock, rsync, sync */

struct wasi_fd {
	enum wasi_fd_kind kind;
	uint32_t flags;
	uint64_t rights; /* what may be done with it; none is inherited, since nothing can be opened through a stream */
};

#define WASI_FD_COUNT 3

struct wasi_fds {
	struct wasi_fd table[WASI_FD_COUNT];
};

/* wasi_fds_begin - 0, 1 and 2, open. */
void wasi_fds_begin(struct wasi_fds *fds);

/* wasi_fds_get - the open descriptor `fd`, or NULL. */
struct wasi_fd *wasi_fds_get(struct wasi_fds *fds, uint32_t fd);

/*
 * wasi_fds_need - point *f at the open descriptor `fd`. EBADF when it is not open or is the wrong end, that is,
 * `rights` asks for something that its kind never has; ENOTCAPABLE when it has lost the right.
 */
enum wasi_errno wasi_fds_need(struct wasi_fds *fds, uint32_t fd, uint64_t rights, struct wasi_fd **f);

/* wasi_fds_close, wasi_fds_renumber - EBADF unless all that they name is open. */
enum wasi_errno wasi_fds_close(struct wasi_fds *fds, uint32_t fd);
enum wasi_errno wasi_fds_renumber(struct wasi_fds *fds, uint32_t from, uint32_t to);

#endif
