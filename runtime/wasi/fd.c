/* runtime/wasi/fd: the guest's descriptors. Knows no guest memory. Runs in the worker. */

#include "runtime/wasi/fd.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS  3u
#define ROOM_MIN 16u

#define RIGHTS_STREAM (WASI_RIGHT_FD_FDSTAT_SET_FLAGS | WASI_RIGHT_FD_FILESTAT_GET | WASI_RIGHT_POLL_FD_READWRITE)

static const uint64_t rights_of[] = {
	[WASI_FD_CLOSED] = 0,
	[WASI_FD_STDIN] = RIGHTS_STREAM | WASI_RIGHT_FD_READ,
	[WASI_FD_STDOUT] = RIGHTS_STREAM | WASI_RIGHT_FD_WRITE,
	[WASI_FD_STDERR] = RIGHTS_STREAM | WASI_RIGHT_FD_WRITE,
	[WASI_FD_SOURCE] = WASI_RIGHTS_SOURCE,
	[WASI_FD_FILE] = WASI_RIGHTS_FILE,
	[WASI_FD_DIR] = WASI_RIGHTS_DIR,
};

/* What it is to ask of a stream, a file or a directory what only others can do. The first row that fits counts. */
static const struct {
	uint64_t rights;
	enum wasi_errno stream, file, dir;
} unfit[] = {
	{WASI_RIGHTS_PATH, WASI_ENOTDIR, WASI_ENOTDIR, WASI_EBADF},
	{WASI_RIGHT_FD_SEEK | WASI_RIGHT_FD_TELL | WASI_RIGHT_FD_ADVISE | WASI_RIGHT_FD_ALLOCATE, WASI_ESPIPE, WASI_EBADF,
	    WASI_EISDIR},
	{WASI_RIGHT_FD_DATASYNC | WASI_RIGHT_FD_SYNC | WASI_RIGHT_FD_FILESTAT_SET_SIZE, WASI_EINVAL, WASI_EBADF,
	    WASI_EISDIR},
	{WASI_RIGHT_FD_FILESTAT_SET_TIMES, WASI_ENOTSUP, WASI_EBADF, WASI_EBADF},
	{WASI_RIGHT_SOCK_SHUTDOWN | WASI_RIGHT_SOCK_ACCEPT, WASI_ENOTSOCK, WASI_ENOTSOCK, WASI_ENOTSOCK},
	{UINT64_MAX, WASI_EBADF, WASI_EBADF, WASI_EISDIR},
};

static enum wasi_errno
unfit_error(enum wasi_fd_kind kind, uint64_t rights)
{
	size_t i = 0;

	while ((unfit[i].rights & rights) == 0)
		i++;
	if (kind == WASI_FD_DIR)
		return unfit[i].dir;
	return kind == WASI_FD_FILE ? unfit[i].file : unfit[i].stream;
}

enum wasi_errno
wasi_fds_begin(struct wasi_fds *fds, uint32_t limit, struct wasi_tree *tree)
{
	static const enum wasi_fd_kind kinds[STREAMS] = {WASI_FD_STDIN, WASI_FD_STDOUT, WASI_FD_STDERR};

	*fds = (struct wasi_fds){.limit = limit < STREAMS ? STREAMS : limit, .lowest = STREAMS, .tree = tree};
	if ((fds->table = calloc(ROOM_MIN, sizeof(*fds->table))) == NULL)
		return WASI_ENOMEM;
	fds->count = ROOM_MIN;
	for (uint32_t i = 0; i < STREAMS; i++)
		fds->table[i] = (struct wasi_fd){.kind = kinds[i], .rights = rights_of[kinds[i]]};
	return WASI_ESUCCESS;
}

static void
release(struct wasi_fds *fds, struct wasi_fd *f)
{
	if (f->node != NULL)
		wasi_node_close(fds->tree, f->node);
	*f = (struct wasi_fd){.kind = WASI_FD_CLOSED};
}

void
wasi_fds_end(struct wasi_fds *fds)
{
	for (uint32_t i = 0; i < fds->count; i++)
		release(fds, &fds->table[i]);
	free(fds->table);
	*fds = (struct wasi_fds){.table = NULL};
}

/* Makes the table longer. */
static enum wasi_errno
grow(struct wasi_fds *fds)
{
	struct wasi_fd *table;
	uint32_t count = fds->count <= UINT32_MAX / 2 ? fds->count * 2 : UINT32_MAX;

	if ((table = reallocarray(fds->table, count, sizeof(*table))) == NULL)
		return WASI_ENOMEM;
	memset(table + fds->count, 0, (count - fds->count) * sizeof(*table));
	fds->table = table;
	fds->count = count;
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_fds_reserve(struct wasi_fds *fds, uint32_t *number)
{
	uint32_t n = fds->lowest;

	while (n < fds->count && fds->table[n].kind != WASI_FD_CLOSED)
		n++;
	fds->lowest = n;
	if (n >= fds->limit)
		return WASI_EMFILE;
	if (n == fds->count && grow(fds) != WASI_ESUCCESS)
		return WASI_ENOMEM;
	*number = n;
	return WASI_ESUCCESS;
}

void
wasi_fds_set(struct wasi_fds *fds, uint32_t number, const struct wasi_fd *f)
{
	fds->table[number] = *f;
}

struct wasi_fd *
wasi_fds_get(const struct wasi_fds *fds, uint32_t fd)
{
	return fd < fds->count && fds->table[fd].kind != WASI_FD_CLOSED ? &fds->table[fd] : NULL;
}

enum wasi_errno
wasi_fds_need(const struct wasi_fds *fds, uint32_t fd, uint64_t rights, struct wasi_fd **f)
{
	struct wasi_fd *found = wasi_fds_get(fds, fd);

	if (found == NULL)
		return WASI_EBADF;
	if ((rights & ~rights_of[found->kind]) != 0)
		return unfit_error(found->kind, rights & ~rights_of[found->kind]);
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
	release(fds, f);
	if (fd < fds->lowest)
		fds->lowest = fd;
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_fds_renumber(struct wasi_fds *fds, uint32_t from, uint32_t to)
{
	struct wasi_fd *source = wasi_fds_get(fds, from);
	struct wasi_fd *target = wasi_fds_get(fds, to);

	if (source == NULL || target == NULL)
		return WASI_EBADF;
	if (source == target)
		return WASI_ESUCCESS;
	release(fds, target);
	*target = *source;
	*source = (struct wasi_fd){.kind = WASI_FD_CLOSED};
	if (from < fds->lowest)
		fds->lowest = from;
	return WASI_ESUCCESS;
}
