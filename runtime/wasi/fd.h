/* runtime/wasi/fd: the guest's descriptors. Knows no guest memory. Runs in the worker. */

#ifndef RUNTIME_WASI_FD_H
#define RUNTIME_WASI_FD_H

#include <stdint.h>

#include "runtime/wasi/errno.h"
#include "runtime/wasi/fs.h"

enum wasi_fd_kind {
	WASI_FD_CLOSED = 0,
	WASI_FD_STDIN,
	WASI_FD_STDOUT,
	WASI_FD_STDERR,
	WASI_FD_SOURCE, /* a language pack's job */
	WASI_FD_FILE,
	WASI_FD_DIR,
};

/* Rights and flags as preview 1 numbers them. */
#define WASI_RIGHTS(X)                 \
	X(FD_DATASYNC, 0)              \
	X(FD_READ, 1)                  \
	X(FD_SEEK, 2)                  \
	X(FD_FDSTAT_SET_FLAGS, 3)      \
	X(FD_SYNC, 4)                  \
	X(FD_TELL, 5)                  \
	X(FD_WRITE, 6)                 \
	X(FD_ADVISE, 7)                \
	X(FD_ALLOCATE, 8)              \
	X(PATH_CREATE_DIRECTORY, 9)    \
	X(PATH_CREATE_FILE, 10)        \
	X(PATH_LINK_SOURCE, 11)        \
	X(PATH_LINK_TARGET, 12)        \
	X(PATH_OPEN, 13)               \
	X(FD_READDIR, 14)              \
	X(PATH_READLINK, 15)           \
	X(PATH_RENAME_SOURCE, 16)      \
	X(PATH_RENAME_TARGET, 17)      \
	X(PATH_FILESTAT_GET, 18)       \
	X(PATH_FILESTAT_SET_SIZE, 19)  \
	X(PATH_FILESTAT_SET_TIMES, 20) \
	X(FD_FILESTAT_GET, 21)         \
	X(FD_FILESTAT_SET_SIZE, 22)    \
	X(FD_FILESTAT_SET_TIMES, 23)   \
	X(PATH_SYMLINK, 24)            \
	X(PATH_REMOVE_DIRECTORY, 25)   \
	X(PATH_UNLINK_FILE, 26)        \
	X(POLL_FD_READWRITE, 27)       \
	X(SOCK_SHUTDOWN, 28)           \
	X(SOCK_ACCEPT, 29)

enum wasi_right {
#define X(name, bit) WASI_RIGHT_##name = 1 << bit,
	WASI_RIGHTS(X)
#undef X
};

#define WASI_RIGHTS_ALL ((UINT64_C(1) << 30) - 1)

/* What can be done with a file, by path, and with a directory. */
#define WASI_RIGHTS_FILE                                                                                             \
	(WASI_RIGHT_FD_DATASYNC | WASI_RIGHT_FD_READ | WASI_RIGHT_FD_SEEK | WASI_RIGHT_FD_FDSTAT_SET_FLAGS |         \
	    WASI_RIGHT_FD_SYNC | WASI_RIGHT_FD_TELL | WASI_RIGHT_FD_WRITE | WASI_RIGHT_FD_ADVISE |                   \
	    WASI_RIGHT_FD_ALLOCATE | WASI_RIGHT_FD_FILESTAT_GET | WASI_RIGHT_FD_FILESTAT_SET_SIZE |                  \
	    WASI_RIGHT_FD_FILESTAT_SET_TIMES | WASI_RIGHT_POLL_FD_READWRITE)
#define WASI_RIGHTS_PATH                                                                                             \
	(WASI_RIGHT_PATH_CREATE_DIRECTORY | WASI_RIGHT_PATH_CREATE_FILE | WASI_RIGHT_PATH_LINK_SOURCE |              \
	    WASI_RIGHT_PATH_LINK_TARGET | WASI_RIGHT_PATH_OPEN | WASI_RIGHT_FD_READDIR | WASI_RIGHT_PATH_READLINK |  \
	    WASI_RIGHT_PATH_RENAME_SOURCE | WASI_RIGHT_PATH_RENAME_TARGET | WASI_RIGHT_PATH_FILESTAT_GET |           \
	    WASI_RIGHT_PATH_FILESTAT_SET_SIZE | WASI_RIGHT_PATH_FILESTAT_SET_TIMES | WASI_RIGHT_PATH_SYMLINK |       \
	    WASI_RIGHT_PATH_REMOVE_DIRECTORY | WASI_RIGHT_PATH_UNLINK_FILE)
#define WASI_RIGHTS_DIR                                                                                              \
	(WASI_RIGHTS_PATH | WASI_RIGHT_FD_DATASYNC | WASI_RIGHT_FD_FDSTAT_SET_FLAGS | WASI_RIGHT_FD_SYNC |           \
	    WASI_RIGHT_FD_ADVISE | WASI_RIGHT_FD_FILESTAT_GET | WASI_RIGHT_FD_FILESTAT_SET_TIMES |                   \
	    WASI_RIGHT_POLL_FD_READWRITE)

/* With what a language pack is started on. */
#define WASI_RIGHTS_SOURCE (WASI_RIGHT_FD_READ | WASI_RIGHT_FD_FILESTAT_GET)

#define WASI_FDFLAG_APPEND   (1u << 0)
#define WASI_FDFLAG_DSYNC    (1u << 1)
#define WASI_FDFLAG_NONBLOCK (1u << 2)
#define WASI_FDFLAG_RSYNC    (1u << 3)
#define WASI_FDFLAG_SYNC     (1u << 4)
#define WASI_FDFLAGS_ALL     0x1fu

struct wasi_fd {
	enum wasi_fd_kind kind;
	uint32_t flags;
	uint64_t rights;     /* what may be done with it */
	uint64_t inheriting; /* directory: what may be done with what is opened through it */
	uint64_t offset;     /* file: where the next read or write is; at most INT64_MAX */
	struct wasi_node *node;             /* file or directory; held open */
	const struct wasi_mount *preopened; /* what it was preopened for, or NULL */
};

struct wasi_fds {
	struct wasi_fd *table;
	uint32_t count; /* in the table */
	uint32_t limit; /* that there may be */
	uint32_t lowest; /* none below is free */
	struct wasi_tree *tree;
};

/*
 * wasi_fds_begin - 0, 1 and 2, open as streams; `limit` descriptors at most, and never fewer than these. Borrows the
 * tree. ENOMEM. End it with wasi_fds_end, which closes all.
 */
enum wasi_errno wasi_fds_begin(struct wasi_fds *fds, uint32_t limit, struct wasi_tree *tree);
void wasi_fds_end(struct wasi_fds *fds);

/*
 * wasi_fds_reserve - find the lowest free number and make sure that wasi_fds_set can use it. EMFILE at the limit;
 * ENOMEM. Pointers from wasi_fds_get are not valid any more. wasi_fds_set puts *f there, and takes f->node.
 */
enum wasi_errno wasi_fds_reserve(struct wasi_fds *fds, uint32_t *number);
void wasi_fds_set(struct wasi_fds *fds, uint32_t number, const struct wasi_fd *f);

/* wasi_fds_get - the open descriptor `fd`, or NULL. */
struct wasi_fd *wasi_fds_get(const struct wasi_fds *fds, uint32_t fd);

/*
 * wasi_fds_need - point *f at the open descriptor `fd`. EBADF when it is not open; when its kind never has one of
 * `rights`, what POSIX says for that (EISDIR, ENOTDIR, ESPIPE, ...; EBADF for the wrong end of a stream); ENOTCAPABLE
 * when only this descriptor lacks one.
 */
enum wasi_errno wasi_fds_need(const struct wasi_fds *fds, uint32_t fd, uint64_t rights, struct wasi_fd **f);

/* wasi_fds_close, wasi_fds_renumber - EBADF unless all that they name is open. */
enum wasi_errno wasi_fds_close(struct wasi_fds *fds, uint32_t fd);
enum wasi_errno wasi_fds_renumber(struct wasi_fds *fds, uint32_t from, uint32_t to);

#endif
