/* base/memfd: bytes that nobody can change any more: sealed memory files. Any process. */

#include "base/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/io.h"

#define HUGETLBFS 0x958458f6 /* its magic number; linux/magic.h may lack it */
#define SEALS_ALL (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int
memfd_new(const char *name, struct err *e)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_sys(e, ERR_IO, "memfd_create");
	return fd;
}

int
memfd_seal(int fd, struct err *e)
{
	if (fcntl(fd, F_ADD_SEALS, SEALS_ALL) != 0)
		return err_sys(e, ERR_IO, "sealing a memory file");
	return 0;
}

/* Ends a new memfd that was written, or not. Returns it, sealed, or `rc`. */
static int
finish(int fd, int rc, struct err *e)
{
	if (rc == 0 && lseek(fd, 0, SEEK_SET) != 0)
		rc = err_sys(e, ERR_IO, "lseek");
	if (rc == 0)
		rc = memfd_seal(fd, e);
	if (rc != 0) {
		close(fd);
		return rc;
	}
	return fd;
}

int
memfd_from(const char *name, const void *data, size_t length, struct err *e)
{
	int fd = memfd_new(name, e);

	return fd < 0 ? fd : finish(fd, io_write_all(fd, data, length, e), e);
}

int
memfd_from_fd(const char *name, int from, size_t max, size_t *size, struct err *e)
{
	uint8_t piece[16384];
	int fd = memfd_new(name, e), rc = 0;
	size_t used = 0;
	ssize_t n = 1;

	if (fd < 0)
		return fd;
	while (rc == 0 && n != 0) {
		n = read(from, piece, sizeof(piece));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			rc = err_sys(e, ERR_IO, "read");
		else if ((size_t)n > max - used)
			rc = err_set(e, ERR_LIMIT, "more than %zu bytes", max);
		else
			rc = io_write_all(fd, piece, (size_t)n, e);
		used += rc == 0 ? (size_t)n : 0;
	}
	if ((fd = finish(fd, rc, e)) >= 0)
		*size = used;
	return fd;
}

int
memfd_check(int fd, size_t max, size_t *size, struct err *e)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		return err_set(e, ERR_INVAL,
		    "the descriptor is not a memory file: make it with memfd_create(MFD_ALLOW_SEALING) and seal it");
	if ((seals & SEALS_ALL) != SEALS_ALL)
		return err_set(e, ERR_INVAL,
		    "the memory file can still change (seals %#x of %#x): add F_SEAL_SEAL, SHRINK, GROW and WRITE", seals,
		    SEALS_ALL);
	if (fstat(fd, &st) != 0)
		return err_sys(e, ERR_IO, "fstat");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVAL, "the descriptor is not a memory file (mode %o)", (unsigned)st.st_mode);
	if (st.st_size < 0 || (uintmax_t)st.st_size > max)
		return err_set(e, ERR_LIMIT, "the memory file has %jd bytes, more than %zu", (intmax_t)st.st_size, max);
	*size = (size_t)st.st_size;
	return 0;
}

int
memfd_check_pages(int fd, struct err *e)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return err_sys(e, ERR_IO, "fstatfs");
	if ((unsigned long)fs.f_type == HUGETLBFS)
		return err_set(e, ERR_INVAL, "the memory file is of huge pages, of which there may be none left: make it "
		    "without MFD_HUGETLB");
	return 0;
}

int
memfd_map(int fd, size_t size, struct memfd_map *map, struct err *e)
{
	void *p;

	if (size == 0) {
		*map = (struct memfd_map){NULL, 0};
		return 0;
	}
	p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return err_sys(e, ERR_IO, "mapping %zu bytes", size);
	*map = (struct memfd_map){p, size};
	return 0;
}

void
memfd_unmap(struct memfd_map *map)
{
	if (map->data != NULL)
		munmap((void *)(uintptr_t)map->data, map->size);
	*map = (struct memfd_map){NULL, 0};
}
