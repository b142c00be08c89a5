/* broker/store_disk: files and directories of the store: whole or not at all. Store. */

#include "broker/store_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memfd.h"

int
store_disk_write(int dir, const char *path, const struct store_part *parts, size_t count, struct err *e)
{
	int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int rc = 0;

	if (fd < 0)
		return err_sys(e, ERR_IO, "making %s", path);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = io_write_all(fd, parts[i].data, parts[i].length, e);
	if (rc == 0 && fsync(fd) != 0)
		rc = err_sys(e, ERR_IO, "syncing");
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(e, ERR_IO, "closing");
	if (rc != 0) {
		unlinkat(dir, path, 0);
		err_context(e, "%s", path);
	}
	return rc;
}

/* Copies `length` bytes from the file's start into the memfd, and the trailer behind them to where it is wanted. */
static int
copy_out(int file, int memfd, size_t length, void *trailer, size_t trailer_size, struct err *e)
{
	size_t got = 0;

	while (got < length) {
		ssize_t n = sendfile(memfd, file, NULL, length - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, ERR_IO, "reading");
		if (n == 0)
			return err_set(e, ERR_CORRUPT, "the file became shorter");
		got += (size_t)n;
	}
	if (trailer_size > 0 && pread(file, trailer, trailer_size, (off_t)length) != (ssize_t)trailer_size)
		return err_set(e, ERR_CORRUPT, "the file became shorter");
	return memfd_seal(memfd, e);
}

int
store_disk_read(int dir, const char *path, size_t max, void *trailer, size_t trailer_size, size_t *size, struct err *e)
{
	int file = openat(dir, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), memfd = -1;
	struct stat st;
	int rc = 0;

	if (file < 0)
		return err_sys(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, "%s", path);
	if (fstat(file, &st) != 0)
		rc = err_sys(e, ERR_IO, "fstat");
	else if (!S_ISREG(st.st_mode) || (uintmax_t)st.st_size < trailer_size ||
	    (uintmax_t)st.st_size - trailer_size > max)
		rc = err_set(e, ERR_CORRUPT, "the file has %jd bytes", (intmax_t)st.st_size);
	else if ((memfd = memfd_new("brig-store", e)) < 0)
		rc = memfd;
	else
		rc = copy_out(file, memfd, (size_t)st.st_size - trailer_size, trailer, trailer_size, e);
	close(file);
	if (rc != 0) {
		if (memfd >= 0)
			close(memfd);
		err_context(e, "%s", path);
		return rc;
	}
	*size = (size_t)st.st_size - trailer_size;
	return memfd;
}

int
store_disk_mkdir(int dir, const char *path, struct err *e)
{
	if (mkdirat(dir, path, 0700) != 0 && errno != EEXIST)
		return err_sys(e, ERR_IO, "making the directory %s", path);
	return 0;
}

int
store_disk_sync(int dir, const char *path, struct err *e)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc = 0;

	if (fd < 0 || fsync(fd) != 0)
		rc = err_sys(e, ERR_IO, "syncing %s", path);
	if (fd >= 0)
		close(fd);
	return rc;
}

void
store_disk_touch(int dir, const char *path)
{
	const struct timespec now[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};

	utimensat(dir, path, now, AT_SYMLINK_NOFOLLOW);
}

bool
store_disk_is_temporary(const char *name)
{
	return strncmp(name, STORE_TMP_PREFIX, sizeof(STORE_TMP_PREFIX) - 1) == 0;
}

/* As store_disk_each, for a directory that is open; takes `fd`. */
static int
each(int fd, int (*fn)(void *arg, const char *name, struct err *e), void *arg, struct err *e)
{
	DIR *d = fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (d == NULL) {
		rc = err_sys(e, ERR_IO, "reading a directory");
		close(fd);
		return rc;
	}
	while (rc == 0 && (errno = 0, entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = fn(arg, entry->d_name, e);
	if (rc == 0 && errno != 0)
		rc = err_sys(e, ERR_IO, "reading a directory");
	closedir(d);
	return rc;
}

int
store_disk_each(int dir, const char *path, int (*fn)(void *arg, const char *name, struct err *e), void *arg, struct err *e)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, ERR_IO, "%s", path);
	return each(fd, fn, arg, e);
}

static int
remove_inside(void *arg, const char *name, struct err *e)
{
	return store_disk_remove(*(const int *)arg, name, e);
}

int
store_disk_remove(int dir, const char *path, struct err *e)
{
	int fd, own, rc;

	if (unlinkat(dir, path, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return err_sys(e, ERR_IO, "removing %s", path);
	fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	own = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0) {
		rc = err_sys(e, ERR_IO, "removing %s", path);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	rc = each(fd, remove_inside, &own, e);
	close(own);
	if (rc == 0 && unlinkat(dir, path, AT_REMOVEDIR) != 0)
		rc = err_sys(e, ERR_IO, "removing %s", path);
	return rc;
}
