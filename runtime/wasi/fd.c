/* runtime/wasi/fd: the guest's descriptors. Knows no guest memory. Runs in the worker. */

#include "runtime/wasi/fd.h"

#include <stddef.h>

#define RIGHTS_COMMON (WASI_RIGHT_FD_FDSTAT_SET_FLAGS | WASI_RIGHT_FD_FILESTAT_GET | WASI_RIGHT_POLL_FD_READWRITE)

static const uint64_t rights_of[] = {
	[WASI_FD_CLOSED] = 0,
	[WASI_FD_STDIN] = RIGHTS_COMMON | WASI_RIGHT_FD_READ,
	[WASI_FD_STDOUT] = RIGHTS_COMMON | WASI_RIGHT_FD_WRITE,
	[WASI_FD_STDERR] = RIGHTS_COMMON | WASI_RIGHT_FD_WRITE,
};

void
wasi_fds_begin(struct wasi_fds *fds)
{
	static const enum wasi_fd_kind kinds[WASI_FD_COUNT] = {WASI_FD_STDIN, WASI_FD_STDOUT, WASI_FD_STDERR};

	for (uint32_t i = 0; i < WASI_FD_COUNT; i++)
		fds->table[i] = (struct wasi_fd){.kind = kinds[i], .rights = rights_of[kinds[i]]};
}

struct wasi_fd *
wasi_fds_get(struct wasi_fds *fds, uint32_t fd)
{
	return fd < WASI_FD_COUNT && fds->table[fd].kind != WASI_FD_CLOSED ? &fds->table[fd] : NULL;
}

enum wasi_errno
wasi_fds_need(struct wasi_fds *fds, uint32_t fd, uint64_t rights, struct wasi_fd **f)
{
	struct wasi_fd *found = wasi_fds_get(fds, fd);

	if (found == NULL || (rights & ~rights_of[found->kind]) != 0)
		return WASI_EBADF;
	if ((rights & ~found->rights) != 0)
		return WASI_ENOTCAPABLE;
	*f = found;
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_fds_close(struct wasi_fds *fds, uint32_t fd)
{
	struct wasi_fd *f = wasi_fds_get(fds, fd);

	if (f == NULL)
		return WASI_EBADF;
	*f = (struct wasi_fd){.kind = WASI_FD_CLOSED};
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_fds_renumber(struct wasi_fds *fds, uint32_t from, uint32_t to)
{
	struct wasi_fd *source = wasi_fds_get(fds, from);
	struct wasi_fd *target = wasi_fds_get(fds, to);

	if (source == NULL || target == NULL)
		return WASI_EBADF;
	if (source != target) {
		*target = *source;
		*source = (struct wasi_fd){.kind = WASI_FD_CLOSED};
	}
	return WASI_ESUCCESS;
}
