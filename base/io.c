/* base/io: whole reads and writes, whole files, and descriptor flags. Any process. */

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int
io_write_all(int fd, const void *data, size_t length, struct err *e)
{
	const uint8_t *p = data;

	while (length > 0) {
		ssize_t n = write(fd, p, length);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return err_sys(e, ERR_IO, "write");
		}
		p += n;
		length -= (size_t)n;
	}
	return 0;
}

int
io_read_fd(int fd, size_t max, uint8_t **data, size_t *length, struct err *e)
{
	struct stat st;
	size_t room = 64 * 1024, used = 0;
	uint8_t *buf;
	int rc;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
		if ((uintmax_t)st.st_size > max)
			return err_set(e, ERR_LIMIT, "%jd bytes, more than %zu", (intmax_t)st.st_size, max);
		room = (size_t)st.st_size + 1;
	}
	if ((buf = malloc(room + 1)) == NULL)
		return err_set(e, ERR_NOMEM, "%zu bytes", room);
	for (;;) {
		ssize_t n;

		if (used == room) {
			uint8_t *larger = realloc(buf, room * 2 + 1);

			if (larger == NULL) {
				rc = err_set(e, ERR_NOMEM, "%zu bytes", room * 2);
				goto fail;
			}
			buf = larger;
			room *= 2;
		}
		n = read(fd, buf + used, room - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = err_sys(e, ERR_IO, "read");
			goto fail;
		}
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > max) {
			rc = err_set(e, ERR_LIMIT, "more than %zu bytes", max);
			goto fail;
		}
	}
	buf[used] = '\0';
	*data = buf;
	*length = used;
	return 0;
fail:
	free(buf);
	return rc;
}

int
io_read_file(const char *path, size_t max, uint8_t **data, size_t *length, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int rc;

	if (fd < 0)
		return err_sys(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, "%s", path);
	rc = io_read_fd(fd, max, data, length, e);
	if (rc != 0)
		err_context(e, "%s", path);
	close(fd);
	return rc;
}

/* fsyncs the directory that holds `path`, so that a rename in it lasts. */
static int
sync_parent(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd, rc = 0;

	if (dir == NULL)
		return err_set(e, ERR_NOMEM, "a path");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		rc = err_sys(e, ERR_IO, "syncing %s", dir);
	if (fd >= 0)
		close(fd);
	free(dir);
	return rc;
}

int
io_replace_file(const char *path, const void *data, size_t length, unsigned mode, struct err *e)
{
	char *temp = NULL;
	int fd = -1, rc;

	if (asprintf(&temp, "%s.XXXXXX", path) < 0)
		return err_set(e, ERR_NOMEM, "a path");
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0) {
		rc = err_sys(e, ERR_IO, "%s", temp);
		goto out;
	}
	rc = io_write_all(fd, data, length, e);
	if (rc == 0 && (fchmod(fd, (mode_t)mode) != 0 || fsync(fd) != 0))
		rc = err_sys(e, ERR_IO, "%s", temp);
	if (close(fd) != 0 && rc == 0)
		rc = err_sys(e, ERR_IO, "%s", temp);
	if (rc == 0 && rename(temp, path) != 0)
		rc = err_sys(e, ERR_IO, "renaming %s to %s", temp, path);
	if (rc != 0)
		unlink(temp);
	else
		rc = sync_parent(path, e);
out:
	free(temp);
	return rc;
}

int
io_fill_standard(struct err *e)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return err_sys(e, ERR_IO, "/dev/null, in the place of descriptor %d", fd);
	return 0;
}

int
io_set_nonblock(int fd, bool on, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) != 0)
		return err_sys(e, ERR_IO, "fcntl");
	return 0;
}

int
io_set_cloexec(int fd, bool on, struct err *e)
{
	if (fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) != 0)
		return err_sys(e, ERR_IO, "fcntl");
	return 0;
}
