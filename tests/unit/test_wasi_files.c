/* Unit tests of runtime/wasi: files and directories, called from a module through the engine and the trampoline. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "runtime/wasi/fd.h"
#include "tests/unit/wasi_host.h"

enum { OUT = 8, LIST = 16, DATA = 4096, PATH_ONE = 8192, PATH_TWO = 12288, STAT = 256 };
enum { CREAT = 1, DIRECTORY = 2, EXCL = 4, TRUNC = 8 };
enum { FOLLOW = 1 };

#define READ_WRITE                                                                                             \
	(WASI_RIGHT_FD_READ | WASI_RIGHT_FD_WRITE | WASI_RIGHT_FD_SEEK | WASI_RIGHT_FD_TELL |                  \
	    WASI_RIGHT_FD_FDSTAT_SET_FLAGS | WASI_RIGHT_FD_ALLOCATE | WASI_RIGHT_FD_FILESTAT_GET |             \
	    WASI_RIGHT_FD_FILESTAT_SET_SIZE | WASI_RIGHT_FD_FILESTAT_SET_TIMES | WASI_RIGHT_FD_ADVISE |        \
	    WASI_RIGHT_FD_SYNC | WASI_RIGHT_FD_DATASYNC | WASI_RIGHT_POLL_FD_READWRITE)

static uint32_t
put_path(uint32_t at, const char *path)
{
	memcpy(host_mem(at), path, strlen(path));
	return at;
}

/* A path as two arguments of CALL. */
#define P(path)  put_path(PATH_ONE, path), strlen(path)
#define P2(path) put_path(PATH_TWO, path), strlen(path)

/* Opens below 3; returns the descriptor, or the errno as a negative number. */
static int
open_with(const char *path, uint32_t oflags, uint64_t rights, uint32_t fdflags)
{
	int error = CALL(path_open, 3, FOLLOW, P(path), oflags, rights, 0, fdflags, OUT);

	return error == 0 ? (int)host_load(OUT, 4) : -error;
}

static int
write_at_once(int fd, const char *text)
{
	memcpy(host_mem(DATA), text, strlen(text));
	host_iovec(LIST, 0, DATA, (uint32_t)strlen(text));
	return CALL(fd_write, fd, LIST, 1, OUT);
}

static void
expect_read(int fd, const char *text)
{
	memset(host_mem(DATA), 0, 100);
	host_iovec(LIST, 0, DATA, 100);
	assert_int_equal(CALL(fd_read, fd, LIST, 1, OUT), 0);
	assert_int_equal(host_load(OUT, 4), strlen(text));
	assert_memory_equal(host_mem(DATA), text, strlen(text));
}

/* One mount at /w with one file, f, which holds "hello". */
static void
start(uint32_t rights)
{
	host_mount("/w", rights);
	host_file("/w/f", "hello");
	host_start();
}

/* --- mounts ---------------------------------------------------------------------------------------------------- */

static void
mounts_are_preopened_from_three_on(void **state)
{
	(void)state;
	host_mount("/w", PROTO_FS_ALL);
	host_mount("/tmp/x", PROTO_FS_READ);
	host_start();
	assert_int_equal(CALL(fd_prestat_get, 2, OUT), WASI_EBADF);
	assert_int_equal(CALL(fd_prestat_get, 3, OUT), 0);
	assert_int_equal(host_load(OUT, 4), 0);
	assert_int_equal(host_load(OUT + 4, 4), 2);
	assert_int_equal(CALL(fd_prestat_get, 4, OUT), 0);
	assert_int_equal(host_load(OUT + 4, 4), 6);
	assert_int_equal(CALL(fd_prestat_get, 5, OUT), WASI_EBADF);
	assert_int_equal(CALL(fd_prestat_dir_name, 4, 100, 6), 0);
	assert_memory_equal(host_mem(100), "/tmp/x", 7);
	assert_int_equal(CALL(fd_prestat_dir_name, 4, 100, 5), WASI_ENAMETOOLONG);
	assert_int_equal(CALL(fd_prestat_dir_name, 4, 100, 0), WASI_ENAMETOOLONG);
	assert_int_equal(CALL(fd_prestat_dir_name, 4, END - 6, 6), 0);
	assert_int_equal(CALL(fd_prestat_dir_name, 4, END - 5, 6), WASI_EFAULT);
	assert_int_equal(CALL(fd_prestat_get, 3, END - 7), WASI_EFAULT);
	assert_int_equal(CALL(fd_fdstat_get, 3, 200), 0);
	assert_int_equal(host_load(200, 1), 3);
	assert_int_equal(host_load(208, 8), WASI_RIGHTS_DIR);
	assert_int_equal(host_load(216, 8), WASI_RIGHTS_DIR | WASI_RIGHTS_FILE);
	assert_int_equal(CALL(fd_filestat_get, 3, 200), 0);
	assert_int_equal(CALL(fd_filestat_get, 4, 300), 0);
	assert_int_not_equal(host_load(200, 8), host_load(300, 8)); /* another device */
	assert_int_equal(CALL(fd_renumber, 4, 3), 0);
	assert_int_equal(CALL(fd_prestat_get, 3, OUT), 0);
	assert_int_equal(host_load(OUT + 4, 4), 6);
	assert_int_equal(CALL(fd_close, 3), 0);
	assert_int_equal(CALL(fd_prestat_get, 3, OUT), WASI_EBADF);
}

static void
jobs_with_malformed_mounts_and_files_are_refused(void **state)
{
	struct proto_job good;
	uint8_t blob[sizeof(host->blob)];
	const struct {
		size_t at; /* a byte to change */
		uint8_t to;
	} cases[] = {
	    /* the file: struct proto_file, "/w/f", "hello" */
	    {0, 0},                  /* no path */
	    {8, 6},                  /* more bytes than there are */
	    {8, 4},                  /* fewer */
	    {16, 'x'},               /* in no mount */
	    {17, 'x'},
	    {18, 'x'},
	    {19, '.'},               /* not a name */
	    {19, '/'},
	    {19, 0},
	    /* the mount: struct proto_mount, "/w" */
	    {25, 16},                /* a right that there is not */
	    {25 + 4, 3},             /* a longer path */
	    {25 + 8, 1},             /* a rule that is not there */
	    {25 + 16, 0xff},         /* not UTF-8 */
	};

	(void)state;
	host_mount("/w", PROTO_FS_ALL);
	host_file("/w/f", "hello");
	good = host->job;
	memcpy(blob, host->blob, sizeof(blob));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		host->blob[cases[i].at] = cases[i].to;
		assert_int_equal(host_begin(), ERR_PROTOCOL);
		memcpy(host->blob, blob, sizeof(blob));
	}
	host->job.mountc = 2;
	assert_int_equal(host_begin(), ERR_PROTOCOL);
	host->job.mountc = PROTO_MOUNTS_MAX + 1;
	assert_int_equal(host_begin(), ERR_PROTOCOL);
	host->job = good;
	host->job.filec = 0;
	assert_int_equal(host_begin(), ERR_PROTOCOL);
	host->job.filec = UINT32_MAX;
	assert_int_equal(host_begin(), ERR_PROTOCOL);
	host->job = good;
	host->job.fs_nodes = 1;
	assert_int_equal(host_begin(), ERR_LIMIT);
	host->job = good;
	host->job.open_files = 3;
	assert_int_equal(host_begin(), ERR_LIMIT);
	host->job = good;
	assert_int_equal(host_begin(), 0);
}

/* --- open ------------------------------------------------------------------------------------------------------ */

static void
opening_narrows_rights_to_what_is_asked_for_and_fits(void **state)
{
	int fd;

	(void)state;
	start(PROTO_FS_ALL);
	fd = open_with("f", 0, WASI_RIGHT_FD_READ | WASI_RIGHT_PATH_OPEN, 4);
	assert_int_equal(fd, 4);
	assert_int_equal(CALL(fd_fdstat_get, fd, 200), 0);
	assert_int_equal(host_load(200, 1), 4);
	assert_int_equal(host_load(202, 2), 4);
	assert_int_equal(host_load(208, 8), WASI_RIGHT_FD_READ);
	assert_int_equal(host_load(216, 8), 0);
	expect_read(fd, "hello");
	assert_int_equal(write_at_once(fd, "x"), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_pread, fd, LIST, 1, 0, OUT), WASI_ENOTCAPABLE); /* needs the right to seek too */
	assert_int_equal(CALL(fd_tell, fd, OUT), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_sync, fd), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_filestat_get, fd, 200), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_fdstat_set_rights, fd, WASI_RIGHT_FD_READ | WASI_RIGHT_FD_TELL, 0), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_fdstat_set_rights, fd, 0, 0), 0);
	assert_int_equal(CALL(fd_read, fd, LIST, 1, OUT), WASI_ENOTCAPABLE);
	/* What a directory does not pass on cannot be asked for. */
	assert_int_equal(CALL(fd_fdstat_set_rights, 3, WASI_RIGHTS_DIR, WASI_RIGHT_FD_READ), 0);
	assert_int_equal(open_with("f", 0, WASI_RIGHT_FD_READ | WASI_RIGHT_FD_WRITE, 0), -WASI_ENOTCAPABLE);
	assert_int_equal(CALL(path_open, 3, 0, P("f"), 0, 0, WASI_RIGHT_FD_WRITE, 0, OUT), WASI_ENOTCAPABLE);
	assert_int_equal(open_with("f", 0, WASI_RIGHT_FD_READ, 1), 5);
	assert_int_equal(CALL(fd_fdstat_set_rights, 3, WASI_RIGHTS_DIR & ~WASI_RIGHT_PATH_FILESTAT_SET_SIZE, 0), 0);
	assert_int_equal(open_with("f", TRUNC, 0, 0), -WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_fdstat_set_rights, 3, WASI_RIGHT_PATH_OPEN, 0), 0);
	assert_int_equal(open_with("f", CREAT, 0, 0), -WASI_ENOTCAPABLE);
	assert_int_equal(CALL(path_unlink_file, 3, P("f")), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_fdstat_set_rights, 3, 0, 0), 0);
	assert_int_equal(open_with("f", 0, 0, 0), -WASI_ENOTCAPABLE);
	assert_int_equal(wasi_finish(host->wasi), 0);
	host_expect_silence(); /* none of that is policy's */
}

static void
directories_open_as_directories(void **state)
{
	int fd;

	(void)state;
	start(PROTO_FS_ALL);
	assert_int_equal(CALL(path_create_directory, 3, P("d")), 0);
	assert_int_equal(CALL(path_open, 3, 0, P("d"), DIRECTORY, WASI_RIGHTS_DIR | WASI_RIGHT_FD_SEEK, WASI_RIGHTS_FILE, 0,
	    OUT), 0);
	fd = (int)host_load(OUT, 4);
	assert_int_equal(CALL(fd_fdstat_get, fd, 200), 0);
	assert_int_equal(host_load(200, 1), 3);
	assert_int_equal(host_load(208, 8), WASI_RIGHTS_DIR);
	assert_int_equal(host_load(216, 8), WASI_RIGHTS_FILE);
	assert_int_equal(CALL(fd_seek, fd, 0, 1, OUT), WASI_EISDIR);
	assert_int_equal(CALL(fd_read, fd, LIST, 0, OUT), WASI_EISDIR);
	assert_int_equal(CALL(fd_write, fd, LIST, 0, OUT), WASI_EISDIR);
	assert_int_equal(CALL(fd_pread, fd, LIST, 0, 0, OUT), WASI_EISDIR);
	assert_int_equal(CALL(fd_allocate, fd, 0, 1), WASI_EISDIR);
	assert_int_equal(CALL(fd_filestat_set_size, fd, 0), WASI_EISDIR);
	assert_int_equal(CALL(fd_sync, fd), 0);
	assert_int_equal(CALL(path_open, fd, 0, P("../f"), 0, 0, 0, 0, OUT), WASI_ENOTCAPABLE);
	assert_int_equal(open_with("d", 0, READ_WRITE, 0), -WASI_EISDIR);
	assert_int_equal(open_with("d", CREAT | DIRECTORY, 0, 0), -WASI_EINVAL);
	fd = open_with("f", 0, 0, 0);
	assert_int_equal(CALL(path_open, fd, 0, P("x"), CREAT, 0, 0, 0, OUT), WASI_ENOTDIR);
	assert_int_equal(CALL(fd_readdir, fd, DATA, 100, 0, OUT), WASI_ENOTDIR);
}

static void
a_call_that_fails_opens_and_makes_nothing(void **state)
{
	uint32_t n = 4;

	(void)state;
	start(PROTO_FS_ALL);
	assert_int_equal(CALL(path_open, 3, 0, P("new"), CREAT, 0, 0, 0, END - 3), WASI_EFAULT);
	assert_int_equal(CALL(path_open, 3, 0, END - 2, 3, CREAT, 0, 0, 0, OUT), WASI_EFAULT);
	assert_int_equal(CALL(path_open, 3, 2, P("new"), CREAT, 0, 0, 0, OUT), WASI_EINVAL);
	assert_int_equal(CALL(path_open, 3, 0, P("new"), CREAT | 16, 0, 0, 0, OUT), WASI_EINVAL);
	assert_int_equal(CALL(path_open, 3, 0, P("new"), CREAT, 0, 0, 32, OUT), WASI_EINVAL);
	for (; n < 64; n++)
		assert_int_equal(open_with("f", 0, 0, 0), (int)n);
	assert_int_equal(open_with("new", CREAT, 0, 0), -WASI_EMFILE);
	assert_int_equal(CALL(fd_close, 10), 0);
	assert_int_equal(open_with("new", 0, 0, 0), -WASI_ENOENT);
	assert_int_equal(open_with("new", CREAT, 0, 0), 10);
	assert_int_equal(CALL(path_filestat_get, 3, 0, P("new"), END - 63), WASI_EFAULT);
	assert_int_equal(CALL(path_filestat_get, 3, 2, P("new"), STAT), WASI_EINVAL);
	assert_int_equal(CALL(path_filestat_get, 3, 0, P("new"), END - 64), 0);
}

/* --- reading and writing --------------------------------------------------------------------------------------- */

static void
files_are_read_and_written_where_the_offset_is(void **state)
{
	int fd;

	(void)state;
	start(PROTO_FS_ALL);
	fd = open_with("f", 0, READ_WRITE, 0);
	expect_read(fd, "hello");
	expect_read(fd, "");
	assert_int_equal(write_at_once(fd, " world"), 0);
	assert_int_equal(CALL(fd_tell, fd, OUT), 0);
	assert_int_equal(host_load(OUT, 8), 11);
	assert_int_equal(CALL(fd_seek, fd, -5, 2, OUT), 0);
	assert_int_equal(host_load(OUT, 8), 6);
	expect_read(fd, "world");
	assert_int_equal(CALL(fd_seek, fd, 1, 0, OUT), 0);
	memcpy(host_mem(DATA), "EL", 2);
	host_iovec(LIST, 0, DATA, 1);
	host_iovec(LIST, 1, DATA + 1, 1);
	assert_int_equal(CALL(fd_pwrite, fd, LIST, 2, 1, OUT), 0);
	assert_int_equal(host_load(OUT, 4), 2);
	expect_read(fd, "ELlo world");
	host_iovec(LIST, 0, DATA, 3);
	host_iovec(LIST, 1, DATA + 50, 0);
	host_iovec(LIST, 2, DATA + 100, 100);
	assert_int_equal(CALL(fd_pread, fd, LIST, 3, 4, OUT), 0);
	assert_int_equal(host_load(OUT, 4), 7);
	assert_memory_equal(host_mem(DATA), "o w", 3);
	assert_memory_equal(host_mem(DATA + 100), "orld", 4);
	assert_int_equal(CALL(fd_tell, fd, OUT), 0);
	assert_int_equal(host_load(OUT, 8), 11);
	assert_int_equal(CALL(fd_read, fd, LIST, UINT32_MAX, OUT), WASI_EFAULT);
	assert_int_equal(CALL(fd_write, fd, LIST, UINT32_MAX, OUT), WASI_EFAULT);
	assert_int_equal(CALL(fd_write, fd, LIST, 1, END - 3), WASI_EFAULT);
	assert_int_equal(CALL(fd_filestat_get, fd, STAT), 0);
	assert_int_equal(host_load(STAT + 32, 8), 11);
}

static void
appending_ignores_the_offset_but_pwrite_does_not(void **state)
{
	int fd;

	(void)state;
	start(PROTO_FS_ALL);
	fd = open_with("f", 0, READ_WRITE, WASI_FDFLAG_APPEND);
	assert_int_equal(write_at_once(fd, "1"), 0);
	assert_int_equal(CALL(fd_seek, fd, 0, 0, OUT), 0);
	assert_int_equal(write_at_once(fd, "2"), 0);
	assert_int_equal(CALL(fd_tell, fd, OUT), 0);
	assert_int_equal(host_load(OUT, 8), 7);
	memcpy(host_mem(DATA), "J", 1);
	assert_int_equal(CALL(fd_pwrite, fd, LIST, 1, 0, OUT), 0);
	assert_int_equal(CALL(fd_fdstat_set_flags, fd, 0), 0);
	assert_int_equal(CALL(fd_seek, fd, 1, 0, OUT), 0);
	assert_int_equal(write_at_once(fd, "E"), 0);
	assert_int_equal(CALL(fd_fdstat_set_flags, fd, 32), WASI_EINVAL);
	assert_int_equal(CALL(fd_seek, fd, 0, 0, OUT), 0);
	expect_read(fd, "JEllo12");
}

static void
offsets_have_bounds(void **state)
{
	static const struct {
		uint64_t offset;
		uint32_t whence;
		int expected;
		uint64_t now;
	} seeks[] = {
		{0, 2, 0, 5},
		{(uint64_t)-5, 2, 0, 0},
		{(uint64_t)-6, 2, WASI_EINVAL, 0},
		{(uint64_t)-1, 1, WASI_EINVAL, 0},
		{(uint64_t)-1, 0, WASI_EINVAL, 0},
		{1, 1, 0, 1},
		{(uint64_t)INT64_MIN, 1, WASI_EINVAL, 1},
		{INT64_MAX, 1, WASI_EOVERFLOW, 1},
		{INT64_MAX, 2, WASI_EOVERFLOW, 1},
		{INT64_MAX, 0, 0, INT64_MAX},
		{0, 1, 0, INT64_MAX},
		{1, 1, WASI_EOVERFLOW, INT64_MAX},
		{0, 3, WASI_EINVAL, INT64_MAX},
	};
	int fd;

	(void)state;
	start(PROTO_FS_ALL);
	fd = open_with("f", 0, READ_WRITE, 0);
	for (size_t i = 0; i < sizeof(seeks) / sizeof(seeks[0]); i++) {
		assert_int_equal(CALL(fd_seek, fd, seeks[i].offset, seeks[i].whence, OUT), seeks[i].expected);
		assert_int_equal(CALL(fd_tell, fd, OUT), 0);
		assert_int_equal(host_load(OUT, 8), seeks[i].now);
	}
	expect_read(fd, "");
	assert_int_equal(write_at_once(fd, "x"), WASI_EFBIG);
	assert_int_equal(CALL(fd_pwrite, fd, LIST, 1, WASI_FILE_SIZE_MAX - 1, OUT), 0);
	assert_int_equal(CALL(fd_pwrite, fd, LIST, 1, WASI_FILE_SIZE_MAX, OUT), WASI_EFBIG);
	assert_int_equal(CALL(fd_pwrite, fd, LIST, 1, UINT64_MAX, OUT), WASI_EINVAL);
	assert_int_equal(CALL(fd_pread, fd, LIST, 1, UINT64_MAX, OUT), WASI_EINVAL);
	assert_int_equal(CALL(fd_pread, fd, LIST, 1, INT64_MAX, OUT), 0);
	assert_int_equal(host_load(OUT, 4), 0);
	assert_int_equal(CALL(fd_filestat_set_size, fd, WASI_FILE_SIZE_MAX + 1), WASI_EFBIG);
	assert_int_equal(CALL(fd_filestat_set_size, fd, UINT64_MAX), WASI_EINVAL);
	assert_int_equal(CALL(fd_filestat_set_size, fd, 3), 0);
	assert_int_equal(CALL(fd_allocate, fd, 0, 0), WASI_EINVAL);
	assert_int_equal(CALL(fd_allocate, fd, UINT64_MAX, 1), WASI_EINVAL);
	assert_int_equal(CALL(fd_allocate, fd, INT64_MAX, INT64_MAX), WASI_EFBIG);
	assert_int_equal(CALL(fd_allocate, fd, 0, 1 << 21), WASI_ENOSPC);
	assert_int_equal(CALL(fd_allocate, fd, 1, 1), 0);
	assert_int_equal(CALL(fd_filestat_get, fd, STAT), 0);
	assert_int_equal(host_load(STAT + 32, 8), 3);
	assert_int_equal(CALL(fd_allocate, fd, 2, 8), 0);
	assert_int_equal(CALL(fd_advise, fd, 0, 0, 5), 0);
	assert_int_equal(CALL(fd_advise, fd, UINT64_MAX, 0, 0), WASI_EINVAL);
	assert_int_equal(CALL(fd_sync, fd), 0);
	assert_int_equal(CALL(fd_datasync, fd), 0);
	assert_int_equal(CALL(fd_seek, fd, 0, 0, OUT), 0);
	host_iovec(LIST, 0, DATA, 100);
	assert_int_equal(CALL(fd_read, fd, LIST, 1, OUT), 0);
	assert_int_equal(host_load(OUT, 4), 10);
	assert_memory_equal(host_mem(DATA), "hel\0\0\0\0\0\0\0", 10);
}

static void
writing_ends_where_room_ends(void **state)
{
	int fd;

	(void)state;
	host->job.fs_bytes = 20000;
	start(PROTO_FS_ALL);
	fd = open_with("f", 0, READ_WRITE, 0);
	host_iovec(LIST, 0, 0, MEMORY);
	assert_int_equal(CALL(fd_write, fd, LIST, 1, OUT), 0);
	assert_int_equal(host_load(OUT, 4), 3 * 4096);
	assert_int_equal(CALL(fd_write, fd, LIST, 1, OUT), WASI_ENOSPC);
	assert_int_equal(CALL(fd_tell, fd, OUT), 0);
	assert_int_equal(host_load(OUT, 8), 3 * 4096);
}

/* 8,192 times 64 KiB of a hole: longer than the alarm lets it be. */
static void
long_reads_end_when_the_run_is_stopped(void **state)
{
	int fd;

	(void)state;
	start(PROTO_FS_ALL);
	fd = open_with("f", 0, READ_WRITE, 0);
	assert_int_equal(CALL(fd_filestat_set_size, fd, WASI_FILE_SIZE_MAX), 0);
	for (uint32_t i = 0; i < 8192; i++)
		host_iovec(i * 8, 0, MEMORY / 2, MEMORY / 2);
	host_set_alarm(true);
	for (int i = 0; i < 1000; i++)
		if (CALL(fd_read, fd, 0, 8192, MEMORY / 2) == TRAPPED)
			break;
	host_set_alarm(false);
	host_expect_end(WASI_END_LIMIT, PROTO_LIMIT_wall_ms);
	assert_int_equal(host_seen_call, WASI_CALL_fd_read + 1);
	assert_int_equal(host_finish_gave, ERR_AGAIN);
}

/* --- state ----------------------------------------------------------------------------------------------------- */

static void
times_are_marked_and_set(void **state)
{
	int fd;

	(void)state;
	host->job.clock = PROTO_CLOCK_FIXED;
	host->job.clock_fixed_ns = 1000;
	start(PROTO_FS_ALL);
	fd = open_with("f", 0, READ_WRITE, 0);
	assert_int_equal(CALL(fd_filestat_set_times, fd, 5, 6, 1 | 4), 0);
	assert_int_equal(CALL(fd_filestat_get, fd, STAT), 0);
	assert_int_equal(host_load(STAT + 40, 8), 5);
	assert_int_equal(host_load(STAT + 48, 8), 6);
	assert_int_equal(host_load(STAT + 56, 8), 1000);
	expect_read(fd, "hello"); /* marks access only */
	assert_int_equal(CALL(fd_filestat_get, fd, STAT), 0);
	assert_int_equal(host_load(STAT + 40, 8), 1000);
	assert_int_equal(host_load(STAT + 48, 8), 6);
	assert_int_equal(write_at_once(fd, "x"), 0);
	assert_int_equal(CALL(path_filestat_get, 3, 0, P("f"), STAT), 0);
	assert_int_equal(host_load(STAT + 48, 8), 1000);
	assert_int_equal(CALL(path_filestat_set_times, 3, 0, P("f"), 1, UINT64_MAX, 4), 0);
	assert_int_equal(CALL(path_filestat_set_times, 3, 0, P("f"), 9, 9, 2), 0); /* access: now */
	assert_int_equal(CALL(path_filestat_set_times, 3, 0, P("f"), 9, 9, 0), 0);
	assert_int_equal(CALL(path_filestat_get, 3, 0, P("f"), STAT), 0);
	assert_int_equal(host_load(STAT + 40, 8), 1000);
	assert_int_equal(host_load(STAT + 48, 8), UINT64_MAX);
	for (uint32_t flags = 0; flags < 32; flags++) {
		int expected = (flags & 3) == 3 || (flags & 12) == 12 || flags > 15 ? WASI_EINVAL : 0;

		assert_int_equal(CALL(fd_filestat_set_times, fd, 0, 0, flags), expected);
		assert_int_equal(CALL(path_filestat_set_times, 3, 0, P("f"), 0, 0, flags), expected);
	}
	assert_int_equal(CALL(path_symlink, P2("f"), 3, P("l")), 0);
	assert_int_equal(CALL(path_filestat_set_times, 3, 0, P("l"), 0, 77, 4), 0);
	assert_int_equal(CALL(path_filestat_get, 3, 0, P("l"), STAT), 0);
	assert_int_equal(host_load(STAT + 16, 1), 7);
	assert_int_equal(host_load(STAT + 32, 8), 1);
	assert_int_equal(host_load(STAT + 48, 8), 77);
	assert_int_equal(CALL(path_filestat_get, 3, FOLLOW, P("l"), STAT), 0);
	assert_int_equal(host_load(STAT + 16, 1), 4);
	assert_int_not_equal(host_load(STAT + 48, 8), 77);
}

static void
links_are_read_into_short_buffers(void **state)
{
	(void)state;
	start(PROTO_FS_ALL);
	assert_int_equal(CALL(path_symlink, P2("target"), 3, P("l")), 0);
	memset(host_mem(DATA), '-', 10);
	assert_int_equal(CALL(path_readlink, 3, P("l"), DATA, 10, OUT), 0);
	assert_int_equal(host_load(OUT, 4), 6);
	assert_memory_equal(host_mem(DATA), "target----", 10);
	assert_int_equal(CALL(path_readlink, 3, P("l"), DATA + 4, 4, OUT), 0);
	assert_int_equal(host_load(OUT, 4), 4);
	assert_memory_equal(host_mem(DATA), "targtarg--", 10);
	assert_int_equal(CALL(path_readlink, 3, P("l"), DATA, 0, OUT), 0);
	assert_int_equal(host_load(OUT, 4), 0);
	assert_int_equal(CALL(path_readlink, 3, P("f"), DATA, 9, OUT), WASI_EINVAL);
	assert_int_equal(CALL(path_readlink, 3, P("."), DATA, 9, OUT), WASI_EINVAL);
	assert_int_equal(CALL(path_readlink, 3, P("x"), DATA, 9, OUT), WASI_ENOENT);
	assert_int_equal(CALL(path_readlink, 3, P("l"), END - 5, 6, OUT), WASI_EFAULT);
	assert_int_equal(CALL(path_readlink, 3, P("l"), DATA, 6, END - 3), WASI_EFAULT);
}

static void
directories_are_read_from_any_cookie_into_any_buffer(void **state)
{
	uint64_t cookies[4] = {0};
	uint32_t at = DATA, full;

	(void)state;
	start(PROTO_FS_ALL);
	assert_int_equal(CALL(path_create_directory, 3, P("sub")), 0);
	assert_int_equal(CALL(fd_readdir, 3, DATA, 1000, 0, OUT), 0);
	full = (uint32_t)host_load(OUT, 4);
	assert_int_equal(full, 4 * 24 + 1 + 2 + 1 + 3);
	for (uint32_t i = 0; i < 4; i++) {
		static const char *const names[] = {".", "..", "f", "sub"};

		cookies[i] = host_load(at, 8);
		assert_int_equal(host_load(at + 16, 4), strlen(names[i]));
		assert_int_equal(host_load(at + 20, 1), i == 2 ? 4 : 3);
		assert_memory_equal(host_mem(at + 24), names[i], strlen(names[i]));
		at += 24 + (uint32_t)strlen(names[i]);
	}
	assert_int_equal(CALL(fd_readdir, 3, DATA, 1000, cookies[1], OUT), 0);
	assert_int_equal(host_load(OUT, 4), 25 + 27);
	assert_int_equal(CALL(fd_readdir, 3, DATA, 1000, cookies[3], OUT), 0);
	assert_int_equal(host_load(OUT, 4), 0);
	assert_int_equal(CALL(fd_readdir, 3, DATA, 1000, UINT64_MAX, OUT), 0);
	assert_int_equal(host_load(OUT, 4), 0);
	for (uint32_t size = 0; size <= full + 1; size++) { /* cut anywhere; full when there may be more */
		memset(host_mem(DATA), '-', full + 2);
		assert_int_equal(CALL(fd_readdir, 3, DATA, size, 0, OUT), 0);
		assert_int_equal(host_load(OUT, 4), size < full ? size : full);
		assert_int_equal(*host_mem(DATA + size), '-');
	}
	assert_int_equal(CALL(path_unlink_file, 3, P("f")), 0);
	assert_int_equal(CALL(fd_readdir, 3, DATA, 1000, cookies[2], OUT), 0); /* that of an entry that is gone */
	assert_int_equal(host_load(OUT, 4), 27);
	assert_int_equal(CALL(fd_readdir, 3, END - 10, 11, 0, OUT), WASI_EFAULT);
	assert_int_equal(CALL(fd_readdir, 3, DATA, 100, 0, END - 3), WASI_EFAULT);
}

static void
files_are_always_ready(void **state)
{
	int fd;

	(void)state;
	start(PROTO_FS_ALL);
	fd = open_with("f", 0, READ_WRITE, 0);
	memset(host_mem(1000), 0, 96);
	host_store(1008, 1, 1);
	host_store(1016, 4, (uint64_t)fd);
	host_store(1056, 1, 2);
	host_store(1064, 4, (uint64_t)fd);
	assert_int_equal(CALL(poll_oneoff, 1000, 2000, 2, OUT), 0);
	assert_int_equal(host_load(OUT, 4), 2);
	assert_int_equal(host_load(2008, 2), 0);
	assert_int_equal(host_load(2016, 8), 5);
	assert_int_equal(host_load(2040, 2), 0);
	host_store(1016, 4, 3);
	assert_int_equal(CALL(poll_oneoff, 1000, 2000, 1, OUT), 0);
	assert_int_equal(host_load(2008, 2), WASI_EISDIR);
}

/* --- changes --------------------------------------------------------------------------------------------------- */

/* The next message says what happened to a path; `content` NULL: it does not follow. */
static void
expect_change(enum proto_change_kind change, enum proto_node_kind kind, const char *path, const char *content)
{
	struct proto_change c;

	host_expect_message(PROTO_CHANGE);
	memcpy(&c, host->m.payload, sizeof(c));
	assert_int_equal(c.path_length, strlen(path));
	assert_memory_equal(host->m.payload + sizeof(c), path, strlen(path));
	assert_int_equal(c.change, change);
	assert_int_equal(c.kind, kind);
	assert_int_equal(c.has_content, content != NULL);
	if (content != NULL && strlen(content) > 0) {
		assert_int_equal(c.size, strlen(content));
		host_expect_message(PROTO_CONTENT);
		assert_int_equal(host->m.hdr.length, strlen(content));
		assert_memory_equal(host->m.payload, content, strlen(content));
	}
}

static void
expect_no_more_changes(uint64_t omitted)
{
	struct proto_changes c;

	host_expect_message(PROTO_CHANGES);
	memcpy(&c, host->m.payload, sizeof(c));
	assert_int_equal(c.omitted, omitted);
	host_expect_silence();
}

static void
what_changed_is_told_and_the_rest_is_not(void **state)
{
	int fd;

	(void)state;
	host->job.changes_bytes = 100;
	host_mount("/w", PROTO_FS_ALL);
	host_file("/w/keep", "1");
	host_file("/w/edit", "22");
	host_file("/w/gone", "333");
	host_file("/w/d/move", "4444");
	host_file("/w/d/swap", "5");
	host_start();
	fd = open_with("edit", 0, READ_WRITE, 0);
	assert_int_equal(write_at_once(fd, "E"), 0);
	assert_int_equal(CALL(path_unlink_file, 3, P("gone")), 0);
	assert_int_equal(CALL(path_rename, 3, P("d/move"), 3, P2("moved")), 0);
	assert_int_equal(CALL(path_create_directory, 3, P("new")), 0);
	assert_int_equal(CALL(path_symlink, P2("x"), 3, P("new/l")), 0);
	assert_int_equal(CALL(path_unlink_file, 3, P("d/swap")), 0);
	assert_true(open_with("d/swap", CREAT, 0, 0) > 0);
	assert_int_equal(CALL(path_filestat_set_times, 3, 0, P("keep"), 1, 1, 5), 0);
	assert_int_equal(wasi_send_changes(host->wasi), 0);
	expect_change(PROTO_CHANGE_DELETED, PROTO_NODE_FILE, "/w/d/move", NULL);
	expect_change(PROTO_CHANGE_DELETED, PROTO_NODE_FILE, "/w/gone", NULL);
	expect_change(PROTO_CHANGE_MODIFIED, PROTO_NODE_FILE, "/w/edit", "E2");
	expect_change(PROTO_CHANGE_MODIFIED, PROTO_NODE_FILE, "/w/d/swap", "");
	expect_change(PROTO_CHANGE_CREATED, PROTO_NODE_FILE, "/w/moved", "4444");
	expect_change(PROTO_CHANGE_CREATED, PROTO_NODE_DIRECTORY, "/w/new", NULL);
	expect_change(PROTO_CHANGE_CREATED, PROTO_NODE_LINK, "/w/new/l", NULL);
	assert_memory_equal(host->m.payload + sizeof(struct proto_change), "/w/new/lx", 9);
	expect_no_more_changes(0);
}

static void
content_past_its_limit_is_left_out(void **state)
{
	int fd;

	(void)state;
	host->job.changes_bytes = 5;
	host_mount("/", PROTO_FS_ALL);
	host_start();
	fd = open_with("a", CREAT, READ_WRITE, 0);
	assert_int_equal(write_at_once(fd, "1234"), 0);
	fd = open_with("b", CREAT, READ_WRITE, 0);
	assert_int_equal(write_at_once(fd, "12"), 0);
	fd = open_with("c", CREAT, READ_WRITE, 0);
	assert_int_equal(write_at_once(fd, "1"), 0);
	assert_int_equal(wasi_send_changes(host->wasi), 0);
	expect_change(PROTO_CHANGE_CREATED, PROTO_NODE_FILE, "/a", "1234");
	expect_change(PROTO_CHANGE_CREATED, PROTO_NODE_FILE, "/b", NULL);
	expect_change(PROTO_CHANGE_CREATED, PROTO_NODE_FILE, "/c", "1");
	expect_no_more_changes(0);
}

static void
a_run_without_mounts_tells_no_changes(void **state)
{
	(void)state;
	host_start();
	assert_int_equal(wasi_send_changes(host->wasi), 0);
	host_expect_silence();
}

/* --- policy ---------------------------------------------------------------------------------------------------- */

static void
expect_denial_at(enum wasi_call call, enum wasi_capability capability, uint64_t count, const char *target)
{
	struct proto_denial d;

	host_expect_message(PROTO_DENIAL);
	assert_int_equal(host->m.hdr.length, sizeof(d) + strlen(target));
	memcpy(&d, host->m.payload, sizeof(d));
	assert_int_equal(d.call, call + 1);
	assert_int_equal(d.capability, capability);
	assert_int_equal(d.count, count);
	assert_memory_equal(host->m.payload + sizeof(d), target, strlen(target));
}

static void
what_policy_withholds_is_reported_with_its_path(void **state)
{
	int fd;

	(void)state;
	start(PROTO_FS_READ);
	fd = open_with("f", 0, READ_WRITE & ~(uint64_t)WASI_RIGHT_FD_WRITE, 0);
	assert_true(fd > 0);
	assert_int_equal(CALL(fd_filestat_set_size, fd, 0), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_allocate, fd, 0, 10), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(fd_filestat_set_times, fd, 0, 0, 1), WASI_ENOTCAPABLE);
	assert_int_equal(open_with("f", 0, READ_WRITE, 0), -WASI_ENOTCAPABLE);
	assert_int_equal(open_with("./f", 0, READ_WRITE, 0), -WASI_ENOTCAPABLE);
	assert_int_equal(open_with("f", TRUNC, 0, 0), -WASI_ENOTCAPABLE);
	assert_int_equal(CALL(path_create_directory, 3, P("d")), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(path_unlink_file, 3, P("f")), WASI_ENOTCAPABLE);
	assert_int_equal(CALL(path_unlink_file, 3, P("../f")), WASI_ENOTCAPABLE); /* not policy's */
	expect_read(fd, "hello");
	assert_int_equal(wasi_finish(host->wasi), 0);
	expect_denial_at(WASI_CALL_path_open, WASI_CAP_FS_WRITE, 3, "/w/f");
	expect_denial_at(WASI_CALL_path_create_directory, WASI_CAP_FS_CREATE, 1, "/w/d");
	expect_denial_at(WASI_CALL_path_unlink_file, WASI_CAP_FS_DELETE, 1, "/w/f");
	host_expect_silence();
}

static void
a_directory_that_may_not_be_read_lists_nothing(void **state)
{
	(void)state;
	start(PROTO_FS_CREATE);
	assert_int_equal(CALL(fd_readdir, 3, DATA, 1000, 0, OUT), WASI_ENOTCAPABLE);
	assert_int_equal(wasi_finish(host->wasi), 0);
	expect_denial_at(WASI_CALL_fd_readdir, WASI_CAP_FS_READ, 1, "/w");
	assert_int_equal(open_with(".", 0, WASI_RIGHT_FD_READDIR, 0), -WASI_ENOTCAPABLE);
	assert_int_equal(CALL(path_symlink, P2("f"), 3, P("l")), 0);
	assert_int_equal(CALL(path_readlink, 3, P("l"), DATA, 10, OUT), WASI_ENOTCAPABLE);
}

static void
denials_are_kept_to_a_number_and_the_rest_counted(void **state)
{
	struct proto_result result = {.status = 0};
	uint64_t total = 0;

	(void)state;
	host->job.host_calls = 1000;
	start(0);
	for (int i = 0; i < 200; i++) {
		char name[8];

		if (i == PROTO_DENIALS_MAX) {
			wasi_report(host->wasi, &result);
			assert_int_equal(result.denials_omitted, 0);
		}

		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(CALL(path_create_directory, 3, P(name)), WASI_ENOTCAPABLE);
	}
	assert_int_equal(CALL(path_create_directory, 3, P("n7")), WASI_ENOTCAPABLE);
	wasi_report(host->wasi, &result);
	assert_int_equal(result.denials_omitted, 200 - PROTO_DENIALS_MAX);
	assert_int_equal(wasi_finish(host->wasi), 0);
	for (int i = 0; i < PROTO_DENIALS_MAX; i++) {
		struct proto_denial d;

		host_expect_message(PROTO_DENIAL);
		memcpy(&d, host->m.payload, sizeof(d));
		assert_int_equal(d.count, i == 7 ? 2 : 1);
		total += d.count;
	}
	host_expect_silence();
	assert_int_equal(total + result.denials_omitted, 201);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, host_set_up, host_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(mounts_are_preopened_from_three_on),
	    TEST(jobs_with_malformed_mounts_and_files_are_refused),
	    TEST(opening_narrows_rights_to_what_is_asked_for_and_fits),
	    TEST(directories_open_as_directories),
	    TEST(a_call_that_fails_opens_and_makes_nothing),
	    TEST(files_are_read_and_written_where_the_offset_is),
	    TEST(appending_ignores_the_offset_but_pwrite_does_not),
	    TEST(offsets_have_bounds),
	    TEST(writing_ends_where_room_ends),
	    TEST(long_reads_end_when_the_run_is_stopped),
	    TEST(times_are_marked_and_set),
	    TEST(links_are_read_into_short_buffers),
	    TEST(directories_are_read_from_any_cookie_into_any_buffer),
	    TEST(files_are_always_ready),
	    TEST(what_changed_is_told_and_the_rest_is_not),
	    TEST(content_past_its_limit_is_left_out),
	    TEST(a_run_without_mounts_tells_no_changes),
	    TEST(what_policy_withholds_is_reported_with_its_path),
	    TEST(a_directory_that_may_not_be_read_lists_nothing),
	    TEST(denials_are_kept_to_a_number_and_the_rest_counted),
	};

	return cmocka_run_group_tests(tests, host_make_modules, host_drop_modules);
}
