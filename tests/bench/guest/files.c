/* A guest that measures host calls on files: one line `NAME NANOSECONDS` (for one call) each. Needs a writable "/w". */

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <wasi/api.h>

static uint64_t
now(void)
{
	__wasi_timestamp_t t = 0;

	(void)!__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &t);
	return t;
}

static void
tell(const char *name, uint64_t start, unsigned times)
{
	printf("%s %.1f\n", name, (double)(now() - start) / times);
}

int
main(void)
{
	static uint8_t buffer[1 << 16];
	static char data[1 << 20];
	__wasi_ciovec_t one = {buffer, 1};
	__wasi_size_t n;
	uint64_t start;
	char name[32];
	int fd = open("/w/f", O_RDWR | O_CREAT | O_TRUNC, 0666), dir;

	if (fd < 0)
		return 1;
	start = now();
	for (unsigned i = 0; i < 300000; i++)
		(void)!__wasi_fd_write(fd, &one, 1, &n);
	tell("fd_write_1_byte", start, 300000);
	start = now();
	for (unsigned i = 0; i < 1000000; i++)
		now();
	tell("clock_time_get", start, 1000000);
	start = now();
	for (unsigned i = 0; i < 100000; i++) {
		__wasi_fd_t f = 0;

		(void)!__wasi_path_open(3, 0, "f", 0, __WASI_RIGHTS_FD_READ, 0, 0, &f);
		(void)!__wasi_fd_close(f);
	}
	tell("path_open_and_close", start, 100000);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "/w/name%u", i);
		close(open(name, O_WRONLY | O_CREAT, 0666));
	}
	dir = open("/w", O_RDONLY | O_DIRECTORY);
	start = now();
	for (unsigned i = 0; i < 200; i++)
		(void)!__wasi_fd_readdir(dir, buffer, sizeof(buffer), 0, &n);
	tell("fd_readdir_1000_names", start, 200);
	for (unsigned i = 0; i < 64; i++)
		(void)!write(fd, data, sizeof(data));
	start = now();
	lseek(fd, 0, SEEK_SET);
	while (read(fd, data, sizeof(data)) > 0)
		;
	tell("read_64_MiB", start, 1);
	return 0;
}
