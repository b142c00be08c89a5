/* A guest that checks its host through wasi-libc: one line `ok NAME` or `not ok NAME: ...` a check. Needs "abc" on stdin. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <wasi/api.h>

#include "check.h"

static uint64_t
now(clockid_t id)
{
	struct timespec t = {0, 0};

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
streams(void)
{
	static char buffer[16];
	struct iovec many[512];
	struct stat st;

	FAILS("stdin is no terminal", isatty(0) - 1, ENOTTY);
	FAILS("stdout is no terminal", isatty(1) - 1, ENOTTY);
	FAILS("streams have no position", lseek(0, 0, SEEK_CUR), ESPIPE);
	FAILS("streams are read from where they are", pread(0, buffer, 1, 0), ESPIPE);
	FAILS("streams are written where they are", pwrite(1, "x", 1, 0), ESPIPE);
	FAILS("stdout cannot be read", read(1, buffer, 1), EBADF);
	FAILS("stdin cannot be written", write(0, "x", 1), EBADF);
	FAILS("streams are not synced", fsync(1), EINVAL);
	FAILS("streams are not truncated", ftruncate(1, 0), EINVAL);
	CHECK("streams can be asked for their state", fstat(1, &st) == 0 && st.st_size == 0);
	for (size_t i = 0; i < 512; i++)
		many[i] = (struct iovec){buffer, 0};
	CHECK("empty writes write nothing", writev(2, many, 512) == 0);
	CHECK("stdin is what was sent", read(0, buffer, 2) == 2 && memcmp(buffer, "ab", 2) == 0);
	CHECK("stdin ends", read(0, buffer, 16) == 1 && read(0, buffer, 16) == 0 && read(0, buffer, 16) == 0);
	CHECK("flags are kept", fcntl(0, F_SETFL, O_NONBLOCK) == 0 && (fcntl(0, F_GETFL) & O_NONBLOCK) != 0);
}

static void
polling(void)
{
	struct pollfd fds[] = {{.fd = 0, .events = POLLIN}, {.fd = 1, .events = POLLOUT}};
	struct pollfd closed = {.fd = 9, .events = POLLIN};

	CHECK("both streams are ready", poll(fds, 2, -1) == 2 && fds[0].revents != 0 && fds[1].revents == POLLOUT);
	CHECK("a descriptor that is not open is told", poll(&closed, 1, -1) == 1 && closed.revents == POLLNVAL);
}

static void
clocks(void)
{
	struct timespec ten_ms = {0, 10000000}, until, step;
	uint64_t start = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	volatile unsigned work = 0;

	CHECK("a sleep takes its time", nanosleep(&ten_ms, NULL) == 0 && now(CLOCK_MONOTONIC) - start >= 10000000);
	start = now(CLOCK_MONOTONIC) + 10000000;
	until = (struct timespec){(time_t)(start / 1000000000), (long)(start % 1000000000)};
	CHECK("a sleep until a time reaches it",
	    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0 && now(CLOCK_MONOTONIC) >= start);
	while (work < 20000000)
		work++;
	CHECK("work takes CPU time", now(CLOCK_PROCESS_CPUTIME_ID) > cpu);
	CHECK("clocks have a resolution", clock_getres(CLOCK_REALTIME, &step) == 0 && (step.tv_nsec > 0 || step.tv_sec > 0));
	CHECK("yielding is no error", sched_yield() == 0);
}

static void
randomness(void)
{
	static uint8_t large[4 << 20];
	uint8_t one[32] = {0}, two[32] = {0};

	CHECK("randomness is not the same twice",
	    getentropy(one, 32) == 0 && getentropy(two, 32) == 0 && memcmp(one, two, 32) != 0);
	CHECK("much of it comes too", __wasi_random_get(large, sizeof(large)) == 0 && memcmp(large, large + 4096, 4096) != 0);
}

static void
files_and_sockets(void)
{
	char byte;

	CHECK("there are no files", open("/etc/passwd", O_RDONLY) == -1);
	CHECK("none can be made", open("/new", O_WRONLY | O_CREAT, 0600) == -1 && mkdir("/new", 0700) == -1);
	CHECK("there are no directories", opendir("/") == NULL && opendir(".") == NULL);
	CHECK("no descriptor is preopened", __wasi_fd_prestat_get(3, &(__wasi_prestat_t){0}) == __WASI_ERRNO_BADF);
	FAILS("no path starts at a stream", openat(0, "x", O_RDONLY), ENOTDIR);
	FAILS("no path starts at nothing", openat(7, "x", O_RDONLY), EBADF);
	FAILS("streams are no sockets (recv)", recv(0, &byte, 1, 0), ENOTSOCK);
	FAILS("streams are no sockets (send)", send(1, "x", 1, 0), ENOTSOCK);
	FAILS("streams are no sockets (shutdown)", shutdown(1, SHUT_RDWR), ENOTSOCK);
	FAILS("streams are no sockets (accept)", accept(0, NULL, NULL), ENOTSOCK);
}

static void
closing(void)
{
	CHECK("stdin can be closed", close(0) == 0);
	FAILS("it is closed once", close(0), EBADF);
	CHECK("stdout can replace stderr", __wasi_fd_renumber(2, 2) == 0);
}

int
main(void)
{
	streams();
	polling();
	clocks();
	randomness();
	files_and_sockets();
	closing();
	printf("%d failed\n", failures);
	return failures != 0;
}
