/* files/beneath: what is in a directory of the host, found without ever leaving it. brig-files. */

#include "files/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S  1000000000
#define TICK_MAX  20000000 /* nanoseconds: no kernel's clock ticks more slowly */
#define WAITS_MAX 40       /* of a millisecond each */

/* --- names ------------------------------------------------------------------------------------------------------ */

static enum files_code
code_of(int error)
{
	static const struct {
		int error;
		enum files_code code;
	} codes[] = {
	    {ENOENT, FILES_MISSING},
	    {ENOTDIR, FILES_MISSING},
	    {ENAMETOOLONG, FILES_MISSING},
	    {ELOOP, FILES_MISSING}, /* a link in the way is nothing that leads anywhere */
	    {EACCES, FILES_DENIED},
	    {EPERM, FILES_DENIED},
	    {EXDEV, FILES_OUTSIDE},
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].error == error)
			return codes[i].code;
	return FILES_IO;
}

/* openat2 with everything that keeps it beneath `dir`. The directory itself is ".". */
static int
open_beneath(int dir, const char *path, int flags)
{
	const struct open_how how = {
	    .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	long fd;

	do {
		fd = syscall(SYS_openat2, dir, path[0] == '\0' ? "." : path, &how, sizeof(how));
	} while (fd < 0 && errno == EINTR);
	return (int)fd;
}

/* --- states ----------------------------------------------------------------------------------------------------- */

static int64_t
nanoseconds(struct timespec t)
{
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static uint32_t
kind_of(mode_t mode)
{
	static const struct {
		mode_t type;
		enum files_kind kind;
	} kinds[] = {
	    {S_IFREG, FILES_KIND_FILE},
	    {S_IFDIR, FILES_KIND_DIR},
	    {S_IFLNK, FILES_KIND_LINK},
	    {S_IFIFO, FILES_KIND_FIFO},
	    {S_IFSOCK, FILES_KIND_SOCKET},
	    {S_IFCHR, FILES_KIND_CHAR},
	    {S_IFBLK, FILES_KIND_BLOCK},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if ((mode & S_IFMT) == kinds[i].type)
			return kinds[i].kind;
	return 0;
}

static struct files_version
version_of(const struct stat *st)
{
	return (struct files_version){
	    .device = st->st_dev,
	    .inode = st->st_ino,
	    .size = (uint64_t)st->st_size,
	    .modified = nanoseconds(st->st_mtim),
	    .changed = nanoseconds(st->st_ctim),
	};
}

/*
 * The state of an open node. The kernel dates changes by a clock that ticks: a second change in the tick of the first
 * may look like none. So this waits until the last change's tick is over. A date in the future is none to wait for.
 */
static int
settled(int fd, struct stat *st)
{
	for (int i = 0;; i++) {
		struct timespec now;
		int64_t ahead;

		if (clock_gettime(CLOCK_REALTIME_COARSE, &now) != 0 || fstat(fd, st) != 0)
			return -1;
		ahead = nanoseconds(st->st_ctim) - nanoseconds(now);
		if (ahead < 0 || ahead > TICK_MAX || i == WAITS_MAX)
			return 0;
		poll(NULL, 0, 1);
	}
}

bool
beneath_same(const struct files_version *a, const struct files_version *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool
beneath_any(const struct files_version *v)
{
	static const struct files_version any;

	return beneath_same(v, &any);
}

enum files_code
beneath_version(int fd, struct files_version *version)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return FILES_IO;
	*version = version_of(&st);
	return FILES_OK;
}

/* --- what is there ---------------------------------------------------------------------------------------------- */

uint32_t
beneath_kind(int fd, const char *name)
{
	int node = open_beneath(fd, name, O_PATH);
	struct stat st;
	uint32_t kind = 0;

	if (node < 0) /* another file system's root is a directory more often than not; STAT says more */
		return errno == EXDEV ? FILES_KIND_DIR : errno == EACCES ? FILES_KIND_FILE : 0;
	if (fstat(node, &st) == 0)
		kind = kind_of(st.st_mode);
	close(node);
	return kind;
}

static enum files_code
describe(int fd, struct files_node *node, char *target)
{
	struct stat st;
	ssize_t n = 0;

	if (settled(fd, &st) != 0)
		return FILES_IO;
	if (S_ISLNK(st.st_mode) && (n = readlinkat(fd, "", target, FILES_PATH_MAX + 1)) < 0)
		return code_of(errno);
	if (n > FILES_PATH_MAX || kind_of(st.st_mode) == 0)
		return FILES_IO;
	*node = (struct files_node){
	    .version = version_of(&st),
	    .accessed = nanoseconds(st.st_atim),
	    .kind = kind_of(st.st_mode),
	    .target_length = (uint32_t)n,
	    .mode = st.st_mode & 07777,
	};
	return FILES_OK;
}

enum files_code
beneath_stat(int dir, const char *path, struct files_node *node, char *target)
{
	int fd = open_beneath(dir, path, O_PATH);
	enum files_code code;

	if (fd < 0)
		return code_of(errno);
	code = describe(fd, node, target);
	close(fd);
	return code;
}

/* Opens the node that `held` is, by its path: another one may be there by now. */
static enum files_code
open_held(int dir, const char *path, enum files_kind kind, int held, int *fd, struct files_version *version)
{
	struct stat was, is;
	int opened;

	if (fstat(held, &was) != 0)
		return FILES_IO;
	if (kind_of(was.st_mode) != kind)
		return FILES_KIND;
	opened = open_beneath(dir, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | (kind == FILES_KIND_DIR ? O_DIRECTORY : 0));
	if (opened < 0)
		return code_of(errno);
	if (settled(opened, &is) != 0 || is.st_dev != was.st_dev || is.st_ino != was.st_ino) {
		close(opened);
		return FILES_CHANGED;
	}
	*version = version_of(&is);
	*fd = opened;
	return FILES_OK;
}

enum files_code
beneath_open(int dir, const char *path, enum files_kind kind, int *fd, struct files_version *version)
{
	int held = open_beneath(dir, path, O_PATH);
	enum files_code code;

	if (held < 0)
		return code_of(errno);
	code = open_held(dir, path, kind, held, fd, version);
	close(held);
	return code;
}
