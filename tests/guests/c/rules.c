/*
 * A guest that checks what the functions of preview 1 do, by the raw interface, each check named for the rule that it
 * shows. Needs the mounts /ro (read; f holds "data") and /w (all rights; f holds "hello", d/x is empty), and no input.
 * With an argument it leaves out the rights of descriptors, which not all hosts keep, and what some end a guest for.
 */

#pragma clang diagnostic ignored "-Wunused-result" /* preparations: what depends on them fails */

#include <stdint.h>

#include <wasi/api.h>

#include "check.h"

/* Mounts are preopened in the order of their paths. */
enum { RO = 3, W = 4, CLOSED = 99 };

#define ALL_OF_A_FILE                                                                                                \
	(__WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL |            \
	    __WASI_RIGHTS_FD_FILESTAT_GET | __WASI_RIGHTS_FD_FILESTAT_SET_SIZE | __WASI_RIGHTS_FD_FILESTAT_SET_TIMES |  \
	    __WASI_RIGHTS_FD_ADVISE | __WASI_RIGHTS_FD_ALLOCATE | __WASI_RIGHTS_FD_SYNC | __WASI_RIGHTS_FD_DATASYNC |   \
	    __WASI_RIGHTS_FD_FDSTAT_SET_FLAGS | __WASI_RIGHTS_POLL_FD_READWRITE)
#define READ_WRITE (__WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL)

/* With lengths of their own, which the C library's functions do not take. */
int32_t path_open_of(int32_t fd, int32_t flags, const char *path, uint32_t length, int32_t oflags, int64_t base,
    int64_t inheriting, int32_t fdflags, __wasi_fd_t *out)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("path_open")));
int32_t fd_read_at(int32_t fd, uint32_t list, uint32_t count, uint32_t out)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_read")));
int32_t fd_write_at(int32_t fd, uint32_t list, uint32_t count, uint32_t out)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_write")));
int32_t poll_at(uint32_t in, uint32_t out, uint32_t count, uint32_t number)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("poll_oneoff")));
int32_t raise_at(int32_t signal) __attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_raise")));
int32_t random_at(uint32_t buffer, uint32_t length)
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("random_get")));

static uint8_t buffer[4096];
static __wasi_size_t moved;
static __wasi_filesize_t position;
static __wasi_fd_t fd;

static __wasi_errno_t
open_in(__wasi_fd_t dir, const char *path, unsigned oflags, uint64_t rights, unsigned fdflags)
{
	return __wasi_path_open(dir, 0, path, (__wasi_oflags_t)oflags, rights, 0, (__wasi_fdflags_t)fdflags, &fd);
}

static __wasi_errno_t
open_w(const char *path, unsigned oflags, uint64_t rights)
{
	return open_in(W, path, oflags, rights, 0);
}

/* Opens a directory with these rights, for itself and for what is opened through it. */
static __wasi_errno_t
open_dir(const char *path, uint64_t base, uint64_t inheriting)
{
	return __wasi_path_open(W, 0, path, __WASI_OFLAGS_DIRECTORY, base, inheriting, 0, &fd);
}

/* A new file with these bytes, open at its start. */
static __wasi_errno_t
make_file(const char *path, const char *text)
{
	const __wasi_ciovec_t part = {(const uint8_t *)text, strlen(text)};
	__wasi_errno_t error = open_w(path, __WASI_OFLAGS_CREAT | __WASI_OFLAGS_TRUNC, ALL_OF_A_FILE);

	if (error == 0 && strlen(text) > 0)
		error = __wasi_fd_write(fd, &part, 1, &moved);
	return error != 0 ? error : __wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &position);
}

static __wasi_errno_t
touch(const char *path)
{
	__wasi_fd_t made;
	__wasi_errno_t error = __wasi_path_open(W, 0, path, __WASI_OFLAGS_CREAT, 0, 0, 0, &made);

	return error != 0 ? error : __wasi_fd_close(made);
}

static __wasi_errno_t
read_from(__wasi_fd_t from, unsigned length)
{
	return __wasi_fd_read(from, &(__wasi_iovec_t){buffer, length}, 1, &moved);
}

static __wasi_errno_t
write_to(__wasi_fd_t to, const char *text)
{
	return __wasi_fd_write(to, &(__wasi_ciovec_t){(const uint8_t *)text, strlen(text)}, 1, &moved);
}

static __wasi_errno_t
pread_at(__wasi_fd_t from, unsigned length, uint64_t at)
{
	return __wasi_fd_pread(from, &(__wasi_iovec_t){buffer, length}, 1, at, &moved);
}

static __wasi_errno_t
pwrite_at(__wasi_fd_t to, const char *text, uint64_t at)
{
	return __wasi_fd_pwrite(to, &(__wasi_ciovec_t){(const uint8_t *)text, strlen(text)}, 1, at, &moved);
}

static __wasi_filestat_t
stat_of(const char *path, int follow)
{
	__wasi_filestat_t st = {0};

	if (__wasi_path_filestat_get(W, follow ? __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW : 0, path, &st) != 0)
		st.filetype = 255;
	return st;
}

static int
exists(const char *path)
{
	return stat_of(path, 0).filetype != 255;
}

static __wasi_filestat_t
fstat_of(__wasi_fd_t of)
{
	__wasi_filestat_t st = {0};

	if (__wasi_fd_filestat_get(of, &st) != 0)
		st.filetype = 255;
	return st;
}

static uint64_t
now(__wasi_clockid_t id)
{
	uint64_t t = 0;

	return __wasi_clock_time_get(id, 1, &t) == 0 ? t : 0;
}

/* --- positions and bytes --------------------------------------------------------------------------------------- */

static void
seeking(void)
{
	make_file("seek", "0123456789");
	CHECK("seek from the start goes there", __wasi_fd_seek(fd, 4, __WASI_WHENCE_SET, &position) == 0 && position == 4);
	CHECK("seek from here adds", __wasi_fd_seek(fd, 3, __WASI_WHENCE_CUR, &position) == 0 && position == 7);
	CHECK("seek from here goes back", __wasi_fd_seek(fd, -7, __WASI_WHENCE_CUR, &position) == 0 && position == 0);
	CHECK("seek from the end goes back", __wasi_fd_seek(fd, -10, __WASI_WHENCE_END, &position) == 0 && position == 0);
	CHECK("seek goes past the end", __wasi_fd_seek(fd, 90, __WASI_WHENCE_END, &position) == 0 && position == 100);
	CHECK("tell says where seek went", __wasi_fd_tell(fd, &position) == 0 && position == 100);
	CHECK("reading past the end reads nothing", read_from(fd, 10) == 0 && moved == 0);
	CHECK("it does not make the file longer", fstat_of(fd).size == 10);
	GIVES("seek before the start is EINVAL", __WASI_ERRNO_INVAL, __wasi_fd_seek(fd, -1, __WASI_WHENCE_SET, &position));
	GIVES("seek from the end before the start is EINVAL", __WASI_ERRNO_INVAL,
	    __wasi_fd_seek(fd, -11, __WASI_WHENCE_END, &position));
	GIVES("seek by the smallest number is EINVAL", __WASI_ERRNO_INVAL,
	    __wasi_fd_seek(fd, INT64_MIN, __WASI_WHENCE_CUR, &position));
	CHECK("a failed seek leaves the position", __wasi_fd_tell(fd, &position) == 0 && position == 100);
	GIVES("seek past the largest offset is EOVERFLOW", __WASI_ERRNO_OVERFLOW,
	    __wasi_fd_seek(fd, INT64_MAX, __WASI_WHENCE_END, &position));
	GIVES("seek in a directory is refused", __WASI_ERRNO_ISDIR, __wasi_fd_seek(W, 0, __WASI_WHENCE_SET, &position));
	GIVES("seek in a pipe is ESPIPE", __WASI_ERRNO_SPIPE, __wasi_fd_seek(1, 0, __WASI_WHENCE_CUR, &position));
	GIVES("tell in a pipe is ESPIPE", __WASI_ERRNO_SPIPE, __wasi_fd_tell(1, &position));
	GIVES("seek in what is not open is EBADF", __WASI_ERRNO_BADF, __wasi_fd_seek(CLOSED, 0, 0, &position));
	CHECK("writing past the end leaves a hole of zeros", write_to(fd, "x") == 0 && pread_at(fd, 95, 10) == 0 &&
	    moved == 91 && buffer[0] == 0 && buffer[89] == 0 && buffer[90] == 'x');
	__wasi_fd_close(fd);
}

static void
reading_and_writing(void)
{
	__wasi_iovec_t parts[4] = {{buffer, 2}, {buffer + 100, 0}, {buffer + 10, 3}, {buffer + 20, 100}};
	const __wasi_ciovec_t out[3] = {{(const uint8_t *)"ab", 2}, {(const uint8_t *)"", 0}, {(const uint8_t *)"cde", 3}};
	__wasi_fd_t other;

	make_file("io", "0123456789");
	CHECK("reading fills buffers in order", __wasi_fd_read(fd, parts, 4, &moved) == 0 && moved == 10 &&
	    memcmp(buffer, "01", 2) == 0 && memcmp(buffer + 10, "234", 3) == 0 && memcmp(buffer + 20, "56789", 5) == 0);
	CHECK("reading moves the position", __wasi_fd_tell(fd, &position) == 0 && position == 10);
	CHECK("reading at the end reads nothing", read_from(fd, 10) == 0 && moved == 0);
	CHECK("reading into no buffers reads nothing", __wasi_fd_read(fd, parts, 0, &moved) == 0 && moved == 0);
	CHECK("reading no bytes reads nothing", read_from(fd, 0) == 0 && moved == 0);
	CHECK("writing takes buffers in order", __wasi_fd_pwrite(fd, out, 3, 2, &moved) == 0 && moved == 5 &&
	    pread_at(fd, 10, 0) == 0 && memcmp(buffer, "01abcde789", 10) == 0);
	CHECK("pwrite leaves the position alone", __wasi_fd_tell(fd, &position) == 0 && position == 10);
	CHECK("pread leaves the position alone", pread_at(fd, 1, 0) == 0 && __wasi_fd_tell(fd, &position) == 0 &&
	    position == 10);
	CHECK("pread at the end reads nothing", pread_at(fd, 1, 10) == 0 && moved == 0);
	CHECK("pread past the end reads nothing", pread_at(fd, 1, 1000) == 0 && moved == 0);
	CHECK("pread reads what is left", pread_at(fd, 100, 8) == 0 && moved == 2);
	GIVES("pread at a negative offset is EINVAL", __WASI_ERRNO_INVAL, pread_at(fd, 1, UINT64_MAX));
	GIVES("pwrite at a negative offset is EINVAL", __WASI_ERRNO_INVAL, pwrite_at(fd, "x", UINT64_C(1) << 63));
	GIVES("pwrite at the largest offset is EFBIG", __WASI_ERRNO_FBIG, pwrite_at(fd, "x", INT64_MAX));
	CHECK("writing nothing at the largest offset is fine", pwrite_at(fd, "", INT64_MAX) == 0 && fstat_of(fd).size == 10);
	CHECK("pwrite past the end extends", pwrite_at(fd, "z", 14) == 0 && fstat_of(fd).size == 15);
	other = fd;
	CHECK("two descriptors of a file see the same bytes", open_w("io", 0, READ_WRITE) == 0 &&
	    pwrite_at(other, "same", 0) == 0 && read_from(fd, 4) == 0 && memcmp(buffer, "same", 4) == 0);
	CHECK("and have positions of their own", __wasi_fd_seek(other, 9, __WASI_WHENCE_SET, &position) == 0 &&
	    __wasi_fd_tell(fd, &position) == 0 && position == 4);
	__wasi_fd_close(fd);
	CHECK("closing one leaves the other", pread_at(other, 4, 0) == 0 && moved == 4);
	__wasi_fd_close(other);
	GIVES("reading what is closed is EBADF", __WASI_ERRNO_BADF, read_from(other, 1));
	GIVES("reading a directory is EISDIR", __WASI_ERRNO_ISDIR, read_from(W, 1));
	GIVES("pread in a directory is EISDIR", __WASI_ERRNO_ISDIR, pread_at(W, 1, 0));
	GIVES("writing to a directory is EISDIR", __WASI_ERRNO_ISDIR, write_to(W, "x"));
	GIVES("pread from a pipe is ESPIPE", __WASI_ERRNO_SPIPE, pread_at(0, 1, 0));
	GIVES("pwrite to a pipe is ESPIPE", __WASI_ERRNO_SPIPE, pwrite_at(1, "x", 0));
	CHECK("input that is empty ends at once", read_from(0, 1) == 0 && moved == 0);
}

static void
appending(void)
{
	make_file("log", "1234");
	__wasi_fd_close(fd);
	open_in(W, "log", 0, ALL_OF_A_FILE, __WASI_FDFLAGS_APPEND);
	CHECK("append writes at the end", write_to(fd, "56") == 0 && fstat_of(fd).size == 6);
	CHECK("then it is at the end", __wasi_fd_tell(fd, &position) == 0 && position == 6);
	CHECK("append does not mind a seek", __wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &position) == 0 &&
	    write_to(fd, "78") == 0 && fstat_of(fd).size == 8);
	CHECK("append reads where it is", __wasi_fd_seek(fd, 2, __WASI_WHENCE_SET, &position) == 0 &&
	    read_from(fd, 2) == 0 && memcmp(buffer, "34", 2) == 0);
	CHECK("append writes nothing without moving", write_to(fd, "") == 0 && __wasi_fd_tell(fd, &position) == 0 &&
	    position == 4);
	CHECK("pwrite writes where it is told all the same", pwrite_at(fd, "X", 0) == 0 && fstat_of(fd).size == 8 &&
	    pread_at(fd, 1, 0) == 0 && buffer[0] == 'X');
	CHECK("append can be switched off", __wasi_fd_fdstat_set_flags(fd, 0) == 0 &&
	    __wasi_fd_seek(fd, 1, __WASI_WHENCE_SET, &position) == 0 && write_to(fd, "Y") == 0 && fstat_of(fd).size == 8);
	CHECK("append can be switched on", __wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_APPEND) == 0 &&
	    write_to(fd, "9") == 0 && fstat_of(fd).size == 9);
	__wasi_fd_close(fd);
}

static void
sizes(void)
{
	make_file("size", "0123456789");
	CHECK("set_size cuts", __wasi_fd_filestat_set_size(fd, 4) == 0 && fstat_of(fd).size == 4);
	CHECK("set_size extends with zeros", __wasi_fd_filestat_set_size(fd, 8) == 0 && pread_at(fd, 10, 0) == 0 &&
	    moved == 8 && memcmp(buffer, "0123\0\0\0\0", 8) == 0);
	CHECK("set_size leaves the position", __wasi_fd_tell(fd, &position) == 0 && position == 0);
	GIVES("set_size to a negative size is EINVAL", __WASI_ERRNO_INVAL, __wasi_fd_filestat_set_size(fd, UINT64_MAX));
	GIVES("set_size to the largest size is EFBIG", __WASI_ERRNO_FBIG, __wasi_fd_filestat_set_size(fd, INT64_MAX));
	CHECK("a size that failed stays", fstat_of(fd).size == 8);
	CHECK("allocate extends", __wasi_fd_allocate(fd, 10, 10) == 0 && fstat_of(fd).size == 20);
	CHECK("allocate does not cut", __wasi_fd_allocate(fd, 0, 1) == 0 && fstat_of(fd).size == 20);
	CHECK("allocate keeps the bytes", pread_at(fd, 4, 0) == 0 && memcmp(buffer, "0123", 4) == 0);
	CHECK("what was allocated is zero", pread_at(fd, 20, 4) == 0 && moved == 16 && buffer[0] == 0 && buffer[15] == 0);
	GIVES("allocate of nothing is EINVAL", __WASI_ERRNO_INVAL, __wasi_fd_allocate(fd, 0, 0));
	GIVES("allocate at a negative offset is EINVAL", __WASI_ERRNO_INVAL, __wasi_fd_allocate(fd, UINT64_MAX, 1));
	GIVES("allocate past the largest size is EFBIG", __WASI_ERRNO_FBIG, __wasi_fd_allocate(fd, INT64_MAX, 1));
	GIVES("allocate in a directory is EISDIR", __WASI_ERRNO_ISDIR, __wasi_fd_allocate(W, 0, 1));
	GIVES("set_size of a directory is EISDIR", __WASI_ERRNO_ISDIR, __wasi_fd_filestat_set_size(W, 0));
	for (unsigned advice = 0; advice < 6; advice++) {
		static char name[] = "advice 0 is taken";

		name[7] = (char)('0' + advice);
		GIVES(name, 0, __wasi_fd_advise(fd, 0, 100, (__wasi_advice_t)advice));
	}
	GIVES("advice at a negative offset is EINVAL", __WASI_ERRNO_INVAL, __wasi_fd_advise(fd, UINT64_MAX, 0, 0));
	GIVES("advice about a pipe is ESPIPE", __WASI_ERRNO_SPIPE, __wasi_fd_advise(0, 0, 0, 0));
	CHECK("advice leaves the size", fstat_of(fd).size == 20);
	GIVES("sync of a file", 0, __wasi_fd_sync(fd));
	GIVES("datasync of a file", 0, __wasi_fd_datasync(fd));
	GIVES("sync of a directory", 0, __wasi_fd_sync(W));
	GIVES("sync of a pipe is EINVAL", __WASI_ERRNO_INVAL, __wasi_fd_sync(1));
	GIVES("datasync of a pipe is EINVAL", __WASI_ERRNO_INVAL, __wasi_fd_datasync(1));
	GIVES("sync of what is not open is EBADF", __WASI_ERRNO_BADF, __wasi_fd_sync(CLOSED));
	__wasi_fd_close(fd);
}

/* --- opening --------------------------------------------------------------------------------------------------- */

static void
opening(void)
{
	const unsigned creat = __WASI_OFLAGS_CREAT, excl = __WASI_OFLAGS_EXCL, trunc = __WASI_OFLAGS_TRUNC;
	const unsigned directory = __WASI_OFLAGS_DIRECTORY;
	__wasi_fdstat_t st;

	GIVES("open of nothing is ENOENT", __WASI_ERRNO_NOENT, open_w("none", 0, 0));
	GIVES("open of an empty path is ENOENT", __WASI_ERRNO_NOENT, open_w("", 0, 0));
	GIVES("creat makes a file", 0, touch("new"));
	GIVES("creat opens one that is there", 0, touch("new"));
	GIVES("creat with excl wants none", __WASI_ERRNO_EXIST, open_w("new", creat | excl, 0));
	GIVES("creat with excl does not take a directory", __WASI_ERRNO_EXIST, open_w("d", creat | excl, 0));
	GIVES("creat does not open a directory", __WASI_ERRNO_ISDIR, open_w("d", creat, 0));
	GIVES("creat makes no directory", __WASI_ERRNO_INVAL, open_w("made", creat | directory, 0));
	CHECK("nor a file then", !exists("made"));
	GIVES("creat behind a slash is ENOENT", __WASI_ERRNO_NOENT, open_w("made/", creat, 0));
	GIVES("creat in no directory is ENOENT", __WASI_ERRNO_NOENT, open_w("none/f", creat, 0));
	GIVES("creat below a file is ENOTDIR", __WASI_ERRNO_NOTDIR, open_w("f/f", creat, 0));
	GIVES("directory wants a directory", __WASI_ERRNO_NOTDIR, open_w("f", directory, 0));
	GIVES("a slash wants a directory", __WASI_ERRNO_NOTDIR, open_w("f/", 0, 0));
	GIVES("many slashes want one too", __WASI_ERRNO_NOTDIR, open_w("f///", 0, 0));
	GIVES("a dot behind a file is ENOTDIR", __WASI_ERRNO_NOTDIR, open_w("f/.", 0, 0));
	GIVES("two dots behind a file are ENOTDIR", __WASI_ERRNO_NOTDIR, open_w("f/../f", 0, 0));
	CHECK("a directory opens with a slash", open_w("d/", 0, 0) == 0 && __wasi_fd_close(fd) == 0);
	CHECK("a directory opens without rights", open_w("d", 0, 0) == 0 && __wasi_fd_fdstat_get(fd, &st) == 0 &&
	    st.fs_filetype == __WASI_FILETYPE_DIRECTORY && __wasi_fd_close(fd) == 0);
	CHECK("a directory opens with the right to read", open_w("d", directory, __WASI_RIGHTS_FD_READ) == 0 &&
	    __wasi_fd_close(fd) == 0);
	GIVES("a directory does not open for writing", __WASI_ERRNO_ISDIR, open_w("d", 0, __WASI_RIGHTS_FD_WRITE));
	GIVES("a directory is not emptied", __WASI_ERRNO_ISDIR, open_w("d", trunc, 0));
	CHECK("a directory has no position to be had", open_w("d", directory, __WASI_RIGHTS_FD_SEEK) == 0 &&
	    __wasi_fd_fdstat_get(fd, &st) == 0 && (st.fs_rights_base & __WASI_RIGHTS_FD_SEEK) == 0 &&
	    __wasi_fd_close(fd) == 0);
	CHECK("trunc empties a file", make_file("t", "123") == 0 && __wasi_fd_close(fd) == 0 &&
	    open_w("t", trunc, __WASI_RIGHTS_FD_WRITE) == 0 && __wasi_fd_close(fd) == 0 && stat_of("t", 0).size == 0);
	GIVES("trunc makes no file", __WASI_ERRNO_NOENT, open_w("none", trunc, __WASI_RIGHTS_FD_WRITE));
	CHECK("open without trunc keeps the bytes", open_w("f", creat, READ_WRITE) == 0 && read_from(fd, 9) == 0 &&
	    moved == 5 && __wasi_fd_close(fd) == 0);
	CHECK("dots and slashes in the middle mean nothing", open_w(".//d/../d/.//x", 0, 0) == 0 && __wasi_fd_close(fd) == 0);
	GIVES("a path may not begin with a slash", __WASI_ERRNO_NOTCAPABLE, open_w("/f", 0, 0));
	GIVES("a path may not lead up and out", __WASI_ERRNO_NOTCAPABLE, open_w("../w/f", 0, 0));
	GIVES("nor in the middle", __WASI_ERRNO_NOTCAPABLE, open_w("d/../../w/f", 0, 0));
	GIVES("nor at its end", __WASI_ERRNO_NOTCAPABLE, open_w("d/../..", 0, 0));
	GIVES("a name with a NUL is not found cut", __WASI_ERRNO_ILSEQ, path_open_of(W, 0, "f\0", 2, 0, 0, 0, 0, &fd));
	GIVES("a name of bytes that are no UTF-8 is EILSEQ", __WASI_ERRNO_ILSEQ, open_w("\x80", creat, 0));
	GIVES("a surrogate is no UTF-8", __WASI_ERRNO_ILSEQ, open_w("\xed\xa0\x80", creat, 0));
	CHECK("a name in four bytes of UTF-8 is fine", touch("\xf0\x9f\x98\x80") == 0 && exists("\xf0\x9f\x98\x80"));
	GIVES("open below a file is ENOTDIR", __WASI_ERRNO_NOTDIR, open_w("f", 0, 0) + open_in(fd, "x", 0, 0, 0));
	GIVES("open below a pipe is ENOTDIR", __WASI_ERRNO_NOTDIR, open_in(0, "x", 0, 0, 0));
	GIVES("open below what is not open is EBADF", __WASI_ERRNO_BADF, open_in(CLOSED, "x", 0, 0, 0));
}

static void
descriptor_flags(void)
{
	__wasi_fdstat_t st;

	open_in(W, "f", 0, ALL_OF_A_FILE, __WASI_FDFLAGS_APPEND | __WASI_FDFLAGS_NONBLOCK);
	CHECK("flags are those of open", __wasi_fd_fdstat_get(fd, &st) == 0 &&
	    st.fs_flags == (__WASI_FDFLAGS_APPEND | __WASI_FDFLAGS_NONBLOCK));
	CHECK("flags can be set", __wasi_fd_fdstat_set_flags(fd, __WASI_FDFLAGS_APPEND) == 0 &&
	    __wasi_fd_fdstat_get(fd, &st) == 0 && st.fs_flags == __WASI_FDFLAGS_APPEND);
	GIVES("flags of what is not open are EBADF", __WASI_ERRNO_BADF, __wasi_fd_fdstat_set_flags(CLOSED, 0));
	__wasi_fd_close(fd);
	GIVES("a file opens with all sync flags", 0, open_in(W, "f", 0, ALL_OF_A_FILE,
	    __WASI_FDFLAGS_DSYNC | __WASI_FDFLAGS_RSYNC | __WASI_FDFLAGS_SYNC));
	CHECK("and has them", __wasi_fd_fdstat_get(fd, &st) == 0 &&
	    st.fs_flags == (__WASI_FDFLAGS_DSYNC | __WASI_FDFLAGS_RSYNC | __WASI_FDFLAGS_SYNC));
	__wasi_fd_close(fd);
	CHECK("a directory opens with nonblock", open_in(W, ".", 0, 0, __WASI_FDFLAGS_NONBLOCK) == 0);
	__wasi_fd_close(fd);
	CHECK("a file is a regular file", open_w("f", 0, 0) == 0 && __wasi_fd_fdstat_get(fd, &st) == 0 &&
	    st.fs_filetype == __WASI_FILETYPE_REGULAR_FILE && st.fs_flags == 0);
	__wasi_fd_close(fd);
}

/* --- rights ---------------------------------------------------------------------------------------------------- */

static void
rights(void)
{
	const uint64_t path_open = __WASI_RIGHTS_PATH_OPEN;
	__wasi_fdstat_t st;
	__wasi_fd_t dir;

	open_w("f", 0, __WASI_RIGHTS_FD_READ);
	GIVES("without the right to seek there is no pread", __WASI_ERRNO_NOTCAPABLE, pread_at(fd, 1, 0));
	GIVES("without the right to write there is no write", __WASI_ERRNO_NOTCAPABLE, write_to(fd, "x"));
	GIVES("without the right to seek there is no seek", __WASI_ERRNO_NOTCAPABLE,
	    __wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &position));
	GIVES("without the right to its state there is none", __WASI_ERRNO_NOTCAPABLE,
	    __wasi_fd_filestat_get(fd, &(__wasi_filestat_t){0}));
	GIVES("without the right to its size it stays", __WASI_ERRNO_NOTCAPABLE, __wasi_fd_filestat_set_size(fd, 0));
	GIVES("without the right to its times they stay", __WASI_ERRNO_NOTCAPABLE, __wasi_fd_filestat_set_times(fd, 0, 0, 5));
	GIVES("without the right to sync there is none", __WASI_ERRNO_NOTCAPABLE, __wasi_fd_sync(fd));
	GIVES("without the right to datasync there is none", __WASI_ERRNO_NOTCAPABLE, __wasi_fd_datasync(fd));
	GIVES("without the right to advise there is none", __WASI_ERRNO_NOTCAPABLE, __wasi_fd_advise(fd, 0, 0, 0));
	GIVES("without the right to allocate there is none", __WASI_ERRNO_NOTCAPABLE, __wasi_fd_allocate(fd, 0, 1));
	GIVES("without the right to set flags they stay", __WASI_ERRNO_NOTCAPABLE, __wasi_fd_fdstat_set_flags(fd, 0));
	GIVES("what was never had cannot be added", __WASI_ERRNO_NOTCAPABLE,
	    __wasi_fd_fdstat_set_rights(fd, __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_SEEK, 0));
	GIVES("the same rights can be set", 0, __wasi_fd_fdstat_set_rights(fd, __WASI_RIGHTS_FD_READ, 0));
	GIVES("all can be given up", 0, __wasi_fd_fdstat_set_rights(fd, 0, 0));
	GIVES("then nothing is read", __WASI_ERRNO_NOTCAPABLE, read_from(fd, 1));
	GIVES("what was given up does not come back", __WASI_ERRNO_NOTCAPABLE,
	    __wasi_fd_fdstat_set_rights(fd, __WASI_RIGHTS_FD_READ, 0));
	GIVES("it can still be closed", 0, __wasi_fd_close(fd));
	CHECK("the right to tell is enough for tell and for seeking nowhere",
	    open_w("f", 0, __WASI_RIGHTS_FD_TELL) == 0 && __wasi_fd_tell(fd, &position) == 0 &&
	    __wasi_fd_seek(fd, 0, __WASI_WHENCE_CUR, &position) == 0);
	GIVES("and for no other seek", __WASI_ERRNO_NOTCAPABLE, __wasi_fd_seek(fd, 1, __WASI_WHENCE_CUR, &position));
	__wasi_fd_close(fd);
	CHECK("the right to seek includes tell", open_w("f", 0, __WASI_RIGHTS_FD_SEEK) == 0 &&
	    __wasi_fd_tell(fd, &position) == 0);
	__wasi_fd_close(fd);
	open_dir("d", path_open | __WASI_RIGHTS_PATH_FILESTAT_GET, __WASI_RIGHTS_FD_READ);
	dir = fd;
	CHECK("what a directory passes on can be had", open_in(dir, "x", 0, __WASI_RIGHTS_FD_READ, 0) == 0 &&
	    __wasi_fd_close(fd) == 0);
	GIVES("what it does not pass on cannot", __WASI_ERRNO_NOTCAPABLE, open_in(dir, "x", 0, __WASI_RIGHTS_FD_WRITE, 0));
	GIVES("nor be passed on again", __WASI_ERRNO_NOTCAPABLE,
	    __wasi_path_open(dir, 0, ".", 0, 0, __WASI_RIGHTS_FD_WRITE, 0, &fd));
	GIVES("without the right to create files none is made", __WASI_ERRNO_NOTCAPABLE,
	    open_in(dir, "n", __WASI_OFLAGS_CREAT, 0, 0));
	GIVES("without the right to set sizes nothing is emptied", __WASI_ERRNO_NOTCAPABLE,
	    open_in(dir, "x", __WASI_OFLAGS_TRUNC, 0, 0));
	GIVES("without the right to create directories none is made", __WASI_ERRNO_NOTCAPABLE,
	    __wasi_path_create_directory(dir, "n"));
	GIVES("without the right to unlink nothing goes", __WASI_ERRNO_NOTCAPABLE, __wasi_path_unlink_file(dir, "x"));
	GIVES("without the right to rename nothing moves away", __WASI_ERRNO_NOTCAPABLE,
	    __wasi_path_rename(dir, "x", W, "x"));
	GIVES("without the right to rename nothing moves here", __WASI_ERRNO_NOTCAPABLE, __wasi_path_rename(W, "f", dir, "f"));
	GIVES("without the right to link nothing is linked from here", __WASI_ERRNO_NOTCAPABLE,
	    __wasi_path_link(dir, 0, "x", W, "n"));
	GIVES("without the right to link nothing is linked to here", __WASI_ERRNO_NOTCAPABLE,
	    __wasi_path_link(W, 0, "f", dir, "n"));
	GIVES("without the right to list there is no list", __WASI_ERRNO_NOTCAPABLE,
	    __wasi_fd_readdir(dir, buffer, 100, 0, &moved));
	GIVES("without the right to make links none is made", __WASI_ERRNO_NOTCAPABLE, __wasi_path_symlink("x", dir, "n"));
	GIVES("without the right to read links none is read", __WASI_ERRNO_NOTCAPABLE,
	    __wasi_path_readlink(dir, "x", buffer, 10, &moved));
	GIVES("without the right to remove directories none goes", __WASI_ERRNO_NOTCAPABLE,
	    __wasi_path_remove_directory(dir, "x"));
	GIVES("without the right to set times by path they stay", __WASI_ERRNO_NOTCAPABLE,
	    __wasi_path_filestat_set_times(dir, 0, "x", 0, 0, 5));
	CHECK("with the right to states there is one",
	    __wasi_path_filestat_get(dir, 0, "x", &(__wasi_filestat_t){0}) == 0);
	CHECK("what a directory passes on is shown", __wasi_fd_fdstat_get(dir, &st) == 0 &&
	    st.fs_rights_inheriting == __WASI_RIGHTS_FD_READ);
	__wasi_fd_close(dir);
	CHECK("a mount passes on all that files have", __wasi_fd_fdstat_get(W, &st) == 0 &&
	    (st.fs_rights_inheriting & ALL_OF_A_FILE) == ALL_OF_A_FILE);
	CHECK("a mount opens itself with its own rights",
	    __wasi_path_open(W, 0, ".", 0, st.fs_rights_base, st.fs_rights_inheriting, 0, &fd) == 0 &&
	    __wasi_fd_close(fd) == 0);
}

/* --- numbers --------------------------------------------------------------------------------------------------- */

static void
numbers(void)
{
	__wasi_fd_t one, two;
	__wasi_prestat_t pre;

	open_w("f", 0, READ_WRITE);
	one = fd;
	make_file("n2", "two");
	two = fd;
	__wasi_fd_seek(one, 2, __WASI_WHENCE_SET, &position);
	CHECK("renumber moves a descriptor onto another", __wasi_fd_renumber(one, two) == 0 && read_from(two, 3) == 0 &&
	    memcmp(buffer, "llo", 3) == 0);
	GIVES("the old number is free", __WASI_ERRNO_BADF, __wasi_fd_close(one));
	GIVES("renumber to what is not open is EBADF", __WASI_ERRNO_BADF, __wasi_fd_renumber(two, one));
	GIVES("renumber of what is not open is EBADF", __WASI_ERRNO_BADF, __wasi_fd_renumber(one, two));
	GIVES("renumber to itself changes nothing", 0, __wasi_fd_renumber(two, two));
	CHECK("the lowest free number is taken", open_w("f", 0, 0) == 0 && fd == one);
	GIVES("a descriptor closes", 0, __wasi_fd_close(fd));
	GIVES("it closes once", __WASI_ERRNO_BADF, __wasi_fd_close(fd));
	GIVES("it is then not open", __WASI_ERRNO_BADF, __wasi_fd_filestat_get(fd, &(__wasi_filestat_t){0}));
	GIVES("the largest number is not open", __WASI_ERRNO_BADF, __wasi_fd_close(-1));
	__wasi_fd_close(two);
	CHECK("a mount tells its name's length", __wasi_fd_prestat_get(W, &pre) == 0 && pre.tag == 0 &&
	    pre.u.dir.pr_name_len == 2);
	CHECK("and its name", __wasi_fd_prestat_dir_name(W, buffer, 2) == 0 && memcmp(buffer, "/w", 2) == 0);
	memset(buffer, 'z', 4);
	CHECK("into more room too", __wasi_fd_prestat_dir_name(W, buffer, 4) == 0 && memcmp(buffer, "/wzz", 4) == 0);
	GIVES("but not into less", __WASI_ERRNO_NAMETOOLONG, __wasi_fd_prestat_dir_name(W, buffer, 1));
	GIVES("what is no mount has no name", __WASI_ERRNO_BADF, __wasi_fd_prestat_get(0, &pre));
	open_w("d", 0, 0);
	GIVES("a directory that was opened is no mount", __WASI_ERRNO_BADF, __wasi_fd_prestat_get(fd, &pre));
	__wasi_fd_close(fd);
}

/* --- states and times ------------------------------------------------------------------------------------------ */

static void
states(void)
{
	__wasi_filestat_t st, other;

	CHECK("a file's state by path", stat_of("f", 0).filetype == __WASI_FILETYPE_REGULAR_FILE && stat_of("f", 0).size == 5);
	CHECK("a directory's state by path", stat_of("d", 0).filetype == __WASI_FILETYPE_DIRECTORY);
	CHECK("a directory's state behind a slash", stat_of("d/", 0).filetype == __WASI_FILETYPE_DIRECTORY);
	GIVES("a file has none behind a slash", __WASI_ERRNO_NOTDIR, __wasi_path_filestat_get(W, 0, "f/", &st));
	GIVES("nothing has none", __WASI_ERRNO_NOENT, __wasi_path_filestat_get(W, 0, "none", &st));
	CHECK("by path and by descriptor it is the same", open_w("f", 0, ALL_OF_A_FILE) == 0 &&
	    (st = stat_of("f", 0)).ino == (other = fstat_of(fd)).ino && st.dev == other.dev && st.size == other.size &&
	    st.nlink == other.nlink && st.filetype == other.filetype);
	CHECK("pipes have a state", fstat_of(1).filetype != 255 && fstat_of(1).size == 0);
	CHECK("times are set to what is given", __wasi_fd_filestat_set_times(fd, 1000000001, 2000000002,
	    __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM) == 0 && fstat_of(fd).atim == 1000000001 &&
	    fstat_of(fd).mtim == 2000000002);
	CHECK("one of two times can be set", __wasi_fd_filestat_set_times(fd, 5, 3000000003, __WASI_FSTFLAGS_MTIM) == 0 &&
	    fstat_of(fd).atim == 1000000001 && fstat_of(fd).mtim == 3000000003);
	CHECK("times are set to now", __wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_ATIM_NOW |
	    __WASI_FSTFLAGS_MTIM_NOW) == 0 && fstat_of(fd).atim > 1500000000 * UINT64_C(1000000000) &&
	    fstat_of(fd).mtim > 1500000000 * UINT64_C(1000000000));
	CHECK("one to now and the other to what is given", __wasi_fd_filestat_set_times(fd, 7000000000, 0,
	    __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM_NOW) == 0 && fstat_of(fd).atim == 7000000000);
	GIVES("a time cannot be both", __WASI_ERRNO_INVAL, __wasi_fd_filestat_set_times(fd, 0, 0,
	    __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_ATIM_NOW));
	GIVES("nor the other one", __WASI_ERRNO_INVAL, __wasi_fd_filestat_set_times(fd, 0, 0,
	    __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_MTIM_NOW));
	CHECK("then neither changes", fstat_of(fd).atim == 7000000000);
	CHECK("no flag changes no time", __wasi_fd_filestat_set_times(fd, 1, 1, 0) == 0 && fstat_of(fd).atim == 7000000000);
	CHECK("reading marks no modification", (st = fstat_of(fd)).size == 5 && read_from(fd, 1) == 0 &&
	    fstat_of(fd).mtim == st.mtim);
	__wasi_fd_close(fd);
	CHECK("times are set by path", __wasi_path_filestat_set_times(W, 0, "f", 1000000000, 2000000000,
	    __WASI_FSTFLAGS_ATIM | __WASI_FSTFLAGS_MTIM) == 0 && stat_of("f", 0).mtim == 2000000000);
	GIVES("by path they cannot be both either", __WASI_ERRNO_INVAL, __wasi_path_filestat_set_times(W, 0, "f", 0, 0,
	    __WASI_FSTFLAGS_MTIM | __WASI_FSTFLAGS_MTIM_NOW));
	GIVES("of nothing they are ENOENT", __WASI_ERRNO_NOENT, __wasi_path_filestat_set_times(W, 0, "none", 0, 0, 5));
	__wasi_path_symlink("f", W, "tl");
	CHECK("the times of a link are its own", __wasi_path_filestat_set_times(W, 0, "tl", 0, 9000000000,
	    __WASI_FSTFLAGS_MTIM) == 0 && stat_of("tl", 0).mtim == 9000000000 && stat_of("f", 0).mtim == 2000000000);
	CHECK("unless it is followed", __wasi_path_filestat_set_times(W, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, "tl", 0,
	    8000000000, __WASI_FSTFLAGS_MTIM) == 0 && stat_of("tl", 0).mtim == 9000000000 &&
	    stat_of("f", 0).mtim == 8000000000);
	CHECK("a new name marks its directory", __wasi_path_filestat_set_times(W, 0, "d", 0, 1000000000,
	    __WASI_FSTFLAGS_MTIM) == 0 && touch("d/new") == 0 && stat_of("d", 0).mtim > 1000000000 &&
	    __wasi_path_unlink_file(W, "d/new") == 0);
}

/* --- names ----------------------------------------------------------------------------------------------------- */

static void
links(void)
{
	__wasi_filestat_t st;

	CHECK("a link's state is its own", __wasi_path_symlink("f", W, "l") == 0 &&
	    stat_of("l", 0).filetype == __WASI_FILETYPE_SYMBOLIC_LINK && stat_of("l", 0).size == 1);
	CHECK("unless it is followed, then it is its target's", stat_of("l", 1).ino == stat_of("f", 0).ino);
	CHECK("a link is read", __wasi_path_readlink(W, "l", buffer, 10, &moved) == 0 && moved == 1 && buffer[0] == 'f');
	__wasi_path_symlink("some/where", W, "far");
	memset(buffer, 'z', 10);
	CHECK("into a short buffer it is cut", __wasi_path_readlink(W, "far", buffer, 4, &moved) == 0 && moved == 4 &&
	    memcmp(buffer, "somezz", 6) == 0);
	CHECK("into none nothing is read", __wasi_path_readlink(W, "far", buffer, 0, &moved) == 0 && moved == 0);
	GIVES("a file is no link to read", __WASI_ERRNO_INVAL, __wasi_path_readlink(W, "f", buffer, 10, &moved));
	GIVES("nor is a directory", __WASI_ERRNO_INVAL, __wasi_path_readlink(W, "d", buffer, 10, &moved));
	GIVES("nor is nothing", __WASI_ERRNO_NOENT, __wasi_path_readlink(W, "none", buffer, 10, &moved));
	GIVES("a link is not opened unless followed", __WASI_ERRNO_LOOP, open_w("l", 0, 0));
	GIVES("as a directory neither", __WASI_ERRNO_NOTDIR, open_w("l", __WASI_OFLAGS_DIRECTORY, 0));
	CHECK("followed it is", __wasi_path_open(W, 1, "l", 0, READ_WRITE, 0, 0, &fd) == 0 && read_from(fd, 5) == 0 &&
	    memcmp(buffer, "hello", 5) == 0 && __wasi_fd_close(fd) == 0);
	GIVES("followed to nothing it is ENOENT", __WASI_ERRNO_NOENT, __wasi_path_open(W, 1, "far", 0, 0, 0, 0, &fd));
	CHECK("in the middle of a path it always is", __wasi_path_symlink("d", W, "ld") == 0 && stat_of("ld/x", 0).size == 0 &&
	    exists("ld/x"));
	CHECK("before a slash it is too", stat_of("ld/", 0).filetype == __WASI_FILETYPE_DIRECTORY);
	CHECK("and so is the link that it leads to", __wasi_path_symlink("ld", W, "lld") == 0 &&
	    stat_of("lld/", 0).filetype == __WASI_FILETYPE_DIRECTORY && stat_of("lld", 0).size == 2);
	CHECK("creat goes through a link to nothing", __wasi_path_symlink("made", W, "lm") == 0 &&
	    __wasi_path_open(W, 1, "lm", __WASI_OFLAGS_CREAT, 0, 0, 0, &fd) == 0 && __wasi_fd_close(fd) == 0 &&
	    exists("made"));
	GIVES("creat with excl does not", __WASI_ERRNO_EXIST,
	    __wasi_path_open(W, 1, "far", __WASI_OFLAGS_CREAT | __WASI_OFLAGS_EXCL, 0, 0, 0, &fd));
	__wasi_path_symlink("loop", W, "loop");
	GIVES("a link to itself is ELOOP", __WASI_ERRNO_LOOP, __wasi_path_open(W, 1, "loop", 0, 0, 0, 0, &fd));
	GIVES("in the middle as well", __WASI_ERRNO_LOOP, __wasi_path_filestat_get(W, 0, "loop/x", &st));
	CHECK("it has a state", exists("loop"));
	GIVES("a link where something is is EEXIST", __WASI_ERRNO_EXIST, __wasi_path_symlink("t", W, "f"));
	GIVES("where a link to nothing is too", __WASI_ERRNO_EXIST, __wasi_path_symlink("t", W, "far"));
	GIVES("a link behind a slash is ENOENT", __WASI_ERRNO_NOENT, __wasi_path_symlink("t", W, "none/"));
	GIVES("behind a directory's slash EEXIST", __WASI_ERRNO_EXIST, __wasi_path_symlink("t", W, "d/"));
	GIVES("a link to nowhere at all is ENOENT", __WASI_ERRNO_NOENT, __wasi_path_symlink("", W, "empty"));
	GIVES("an absolute link is refused", __WASI_ERRNO_NOTCAPABLE, __wasi_path_symlink("/f", W, "abs"));
	CHECK("a link may be made to what is outside", __wasi_path_symlink("../out", W, "out") == 0);
	GIVES("but leads nowhere", __WASI_ERRNO_NOTCAPABLE, __wasi_path_open(W, 1, "out", 0, 0, 0, 0, &fd));
	CHECK("unlink removes the link", __wasi_path_unlink_file(W, "l") == 0 && exists("f") && !exists("l"));
	GIVES("rmdir of a link to a directory is ENOTDIR", __WASI_ERRNO_NOTDIR, __wasi_path_remove_directory(W, "ld"));
}

static void
hard_links(void)
{
	make_file("h", "12345");
	__wasi_fd_close(fd);
	CHECK("link gives a file another name", __wasi_path_link(W, 0, "h", W, "h2") == 0 && stat_of("h2", 0).size == 5);
	CHECK("it is the same file", stat_of("h", 0).ino == stat_of("h2", 0).ino && stat_of("h", 0).nlink == 2);
	CHECK("a name can go", __wasi_path_unlink_file(W, "h") == 0 && stat_of("h2", 0).nlink == 1);
	CHECK("link into a directory", __wasi_path_link(W, 0, "h2", W, "d/h") == 0 && exists("d/h"));
	GIVES("link onto a file is EEXIST", __WASI_ERRNO_EXIST, __wasi_path_link(W, 0, "f", W, "h2"));
	GIVES("link onto itself is EEXIST", __WASI_ERRNO_EXIST, __wasi_path_link(W, 0, "f", W, "f"));
	GIVES("link onto a directory is EEXIST", __WASI_ERRNO_EXIST, __wasi_path_link(W, 0, "f", W, "d"));
	GIVES("link onto a link is EEXIST", __WASI_ERRNO_EXIST, __wasi_path_link(W, 0, "f", W, "far"));
	GIVES("link of a directory is EPERM", __WASI_ERRNO_PERM, __wasi_path_link(W, 0, "d", W, "hd"));
	GIVES("link of nothing is ENOENT", __WASI_ERRNO_NOENT, __wasi_path_link(W, 0, "none", W, "hn"));
	GIVES("link behind a slash is ENOENT", __WASI_ERRNO_NOENT, __wasi_path_link(W, 0, "f", W, "hn/"));
	GIVES("link into nothing is ENOENT", __WASI_ERRNO_NOENT, __wasi_path_link(W, 0, "f", W, "none/hn"));
	CHECK("link of a link is a link", __wasi_path_link(W, 0, "far", W, "hl") == 0 &&
	    stat_of("hl", 0).filetype == __WASI_FILETYPE_SYMBOLIC_LINK);
	GIVES("link of where a link leads, which is nothing", __WASI_ERRNO_NOENT, __wasi_path_link(W, 1, "far", W, "hn"));
	GIVES("link from mount to mount is EXDEV", __WASI_ERRNO_XDEV, __wasi_path_link(W, 0, "f", RO, "n"));
}

static void
renaming(void)
{
	touch("r1");
	touch("r2");
	__wasi_path_create_directory(W, "rd");
	__wasi_path_create_directory(W, "rfull");
	touch("rfull/x");
	CHECK("rename gives a new name", __wasi_path_rename(W, "r1", W, "r3") == 0 && exists("r3") && !exists("r1"));
	CHECK("rename replaces a file by a file", __wasi_path_rename(W, "r3", W, "r2") == 0 && !exists("r3"));
	CHECK("rename to itself does nothing", __wasi_path_rename(W, "r2", W, "r2") == 0 && exists("r2"));
	CHECK("rename to another name of the file does nothing", __wasi_path_link(W, 0, "r2", W, "r4") == 0 &&
	    __wasi_path_rename(W, "r2", W, "r4") == 0 && exists("r2") && exists("r4"));
	GIVES("rename of nothing is ENOENT", __WASI_ERRNO_NOENT, __wasi_path_rename(W, "none", W, "r5"));
	GIVES("rename into nothing is ENOENT", __WASI_ERRNO_NOENT, __wasi_path_rename(W, "r2", W, "none/r5"));
	GIVES("rename of a file onto a directory is EISDIR", __WASI_ERRNO_ISDIR, __wasi_path_rename(W, "r2", W, "rd"));
	GIVES("rename of a directory onto a file is ENOTDIR", __WASI_ERRNO_NOTDIR, __wasi_path_rename(W, "rd", W, "r2"));
	GIVES("rename onto what is not empty is ENOTEMPTY", __WASI_ERRNO_NOTEMPTY, __wasi_path_rename(W, "rd", W, "rfull"));
	CHECK("rename onto an empty directory replaces it", __wasi_path_rename(W, "rfull", W, "rd") == 0 && exists("rd/x") &&
	    !exists("rfull"));
	GIVES("rename of a directory into itself is EINVAL", __WASI_ERRNO_INVAL, __wasi_path_rename(W, "rd", W, "rd/in"));
	GIVES("rename of a dot is EINVAL", __WASI_ERRNO_INVAL, __wasi_path_rename(W, "rd/.", W, "r6"));
	GIVES("rename onto two dots is EINVAL", __WASI_ERRNO_INVAL, __wasi_path_rename(W, "r2", W, "rd/.."));
	CHECK("rename of a directory takes a slash", __wasi_path_rename(W, "rd/", W, "re") == 0 && exists("re/x"));
	CHECK("rename to a name with a slash too", __wasi_path_rename(W, "re", W, "rd/") == 0 && exists("rd/x"));
	GIVES("rename of a file does not", __WASI_ERRNO_NOTDIR, __wasi_path_rename(W, "r2/", W, "r7"));
	GIVES("rename of a file to a name with a slash neither", __WASI_ERRNO_NOTDIR, __wasi_path_rename(W, "r2", W, "r7/"));
	CHECK("rename of a link moves the link", __wasi_path_rename(W, "hl", W, "hm") == 0 &&
	    stat_of("hm", 0).filetype == __WASI_FILETYPE_SYMBOLIC_LINK);
	CHECK("rename onto a link replaces the link", __wasi_path_rename(W, "r4", W, "hm") == 0 &&
	    stat_of("hm", 0).filetype == __WASI_FILETYPE_REGULAR_FILE);
	CHECK("rename lets an open file be", make_file("ro1", "open") == 0 && __wasi_path_rename(W, "ro1", W, "ro2") == 0 &&
	    read_from(fd, 4) == 0 && moved == 4);
	CHECK("a file that is replaced lives while open", touch("ro3") == 0 && __wasi_path_rename(W, "ro3", W, "ro2") == 0 &&
	    pread_at(fd, 4, 0) == 0 && moved == 4 && fstat_of(fd).nlink == 0);
	__wasi_fd_close(fd);
	GIVES("rename from mount to mount is EXDEV", __WASI_ERRNO_XDEV, __wasi_path_rename(W, "r2", RO, "n"));
}

static void
making_and_removing(void)
{
	CHECK("a directory is made", __wasi_path_create_directory(W, "m") == 0 &&
	    stat_of("m", 0).filetype == __WASI_FILETYPE_DIRECTORY);
	CHECK("a directory is made with a slash", __wasi_path_create_directory(W, "m/n/") == 0 && exists("m/n"));
	GIVES("where something is it is EEXIST", __WASI_ERRNO_EXIST, __wasi_path_create_directory(W, "m"));
	GIVES("where a file is too", __WASI_ERRNO_EXIST, __wasi_path_create_directory(W, "f"));
	GIVES("a directory where a link to nothing is too", __WASI_ERRNO_EXIST, __wasi_path_create_directory(W, "far"));
	GIVES("a dot is there already", __WASI_ERRNO_EXIST, __wasi_path_create_directory(W, "."));
	GIVES("without its parent it is ENOENT", __WASI_ERRNO_NOENT, __wasi_path_create_directory(W, "none/n"));
	GIVES("below a file it is ENOTDIR", __WASI_ERRNO_NOTDIR, __wasi_path_create_directory(W, "f/n"));
	GIVES("a full directory is not removed", __WASI_ERRNO_NOTEMPTY, __wasi_path_remove_directory(W, "m"));
	GIVES("unlink does not remove directories", __WASI_ERRNO_ISDIR, __wasi_path_unlink_file(W, "m"));
	GIVES("nor with a slash", __WASI_ERRNO_ISDIR, __wasi_path_unlink_file(W, "m/"));
	GIVES("unlink of a file with a slash is ENOTDIR", __WASI_ERRNO_NOTDIR, __wasi_path_unlink_file(W, "f/"));
	GIVES("unlink of nothing is ENOENT", __WASI_ERRNO_NOENT, __wasi_path_unlink_file(W, "none"));
	GIVES("rmdir of a file is ENOTDIR, by its name", __WASI_ERRNO_NOTDIR, __wasi_path_remove_directory(W, "f"));
	GIVES("with a slash too", __WASI_ERRNO_NOTDIR, __wasi_path_remove_directory(W, "f/"));
	GIVES("rmdir of nothing is ENOENT, by its name", __WASI_ERRNO_NOENT, __wasi_path_remove_directory(W, "none"));
	GIVES("rmdir of a dot is EINVAL", __WASI_ERRNO_INVAL, __wasi_path_remove_directory(W, "m/n/."));
	CHECK("an empty one goes, with a slash", __wasi_path_remove_directory(W, "m/n/") == 0 && !exists("m/n"));
	open_dir("m", __WASI_RIGHTS_FD_READDIR | __WASI_RIGHTS_PATH_OPEN | __WASI_RIGHTS_PATH_CREATE_FILE |
	    __WASI_RIGHTS_PATH_CREATE_DIRECTORY, 0);
	CHECK("one that is open goes too", __wasi_path_remove_directory(W, "m") == 0 && !exists("m"));
	GIVES("then nothing can be made in it", __WASI_ERRNO_NOENT,
	    __wasi_path_open(fd, 0, "x", __WASI_OFLAGS_CREAT, 0, 0, 0, &(__wasi_fd_t){0}));
	GIVES("no directory either", __WASI_ERRNO_NOENT, __wasi_path_create_directory(fd, "x"));
	CHECK("its name can be used again", __wasi_path_create_directory(W, "m") == 0);
	__wasi_fd_close(fd);
	CHECK("a file lives on without a name", make_file("u", "alive") == 0 && __wasi_path_unlink_file(W, "u") == 0 &&
	    read_from(fd, 5) == 0 && memcmp(buffer, "alive", 5) == 0 && fstat_of(fd).nlink == 0);
	CHECK("and can be written to", write_to(fd, "!") == 0 && fstat_of(fd).size == 6);
	__wasi_fd_close(fd);
}

/* --- listing --------------------------------------------------------------------------------------------------- */

/* An entry, taken apart. */
static uint32_t
name_length_at(const uint8_t *p)
{
	uint32_t n;

	memcpy(&n, p + 16, sizeof(n));
	return n;
}

static uint64_t
cookie_at(const uint8_t *p)
{
	uint64_t n;

	memcpy(&n, p, sizeof(n));
	return n;
}

/* How many entries `dir` has from `cookie` on, read `size` bytes at a time; *last: the cookie before the last one. */
static int
count_from(__wasi_fd_t dir, uint64_t cookie, unsigned size, uint64_t *last)
{
	int n = 0;

	for (;;) {
		unsigned at = 0;

		if (__wasi_fd_readdir(dir, buffer, size, cookie, &moved) != 0)
			return -1;
		while (at + 24 <= moved && at + 24 + name_length_at(buffer + at) <= moved) {
			*last = cookie;
			cookie = cookie_at(buffer + at);
			at += 24 + name_length_at(buffer + at);
			n++;
		}
		if (moved < size)
			return n;
	}
}

static void
listing(void)
{
	const uint64_t needs = __WASI_RIGHTS_FD_READDIR | __WASI_RIGHTS_FD_FILESTAT_GET;
	uint64_t last = 0, inode;
	char name[8] = "s/e00";
	int seen;

	__wasi_path_create_directory(W, "s");
	open_dir("s", needs, 0);
	CHECK("an empty directory lists itself and its parent", count_from(fd, 0, 4096, &last) == 2);
	memcpy(&inode, buffer + 8, 8);
	CHECK("itself first", name_length_at(buffer) == 1 && buffer[24] == '.' && inode == fstat_of(fd).ino &&
	    buffer[20] == __WASI_FILETYPE_DIRECTORY);
	CHECK("then its parent", name_length_at(buffer + 25) == 2 && memcmp(buffer + 49, "..", 2) == 0);
	for (int i = 0; i < 50; i++) {
		name[3] = (char)('0' + i / 10);
		name[4] = (char)('0' + i % 10);
		touch(name);
	}
	CHECK("a full one lists all", count_from(fd, 0, 4096, &last) == 52);
	CHECK("in small pieces too", count_from(fd, 0, 60, &last) == 52);
	CHECK("from a cookie on the rest comes", count_from(fd, last, 4096, &last) == 1);
	CHECK("a cookie is good for long", count_from(fd, 0, 100, &last) == 52 && count_from(fd, last, 4096, &last) == 1);
	CHECK("a buffer that is too short is filled", __wasi_fd_readdir(fd, buffer, 10, 0, &moved) == 0 && moved == 10);
	CHECK("no buffer is filled with nothing", __wasi_fd_readdir(fd, buffer, 0, 0, &moved) == 0 && moved == 0);
	CHECK("an entry tells type and inode", count_from(fd, last, 4096, &last) == 1 &&
	    buffer[20] == __WASI_FILETYPE_REGULAR_FILE &&
	    memcmp(buffer + 8, (inode = stat_of("s/e49", 0).ino, &inode), 8) == 0);
	__wasi_fd_readdir(fd, buffer, 27, 1, &moved);
	CHECK("a new entry is listed at once", touch("s/later") == 0 && count_from(fd, 0, 4096, &last) == 53);
	CHECK("a removed one no more", __wasi_path_unlink_file(W, "s/e00") == 0 && count_from(fd, 0, 4096, &last) == 52);
	seen = 0;
	for (uint64_t cookie = 0; __wasi_fd_readdir(fd, buffer, 64, cookie, &moved) == 0 && moved >= 27;) {
		cookie = cookie_at(buffer);
		if (buffer[24] == '.')
			continue;
		memcpy(name, "s/", 2);
		memcpy(name + 2, buffer + 24, name_length_at(buffer));
		name[2 + name_length_at(buffer)] = '\0';
		seen += __wasi_path_unlink_file(W, name) == 0;
	}
	CHECK("removing each as it comes removes all", seen == 50 && count_from(fd, 0, 4096, &last) == 2);
	__wasi_path_remove_directory(W, "s");
	CHECK("a directory that is removed lists nothing", __wasi_fd_readdir(fd, buffer, 100, 0, &moved) == 0 && moved == 0);
	__wasi_fd_close(fd);
	GIVES("a file lists nothing", __WASI_ERRNO_NOTDIR,
	    open_w("f", 0, READ_WRITE) + __wasi_fd_readdir(fd, buffer, 100, 0, &moved));
	__wasi_fd_close(fd);
	GIVES("what is not open lists nothing", __WASI_ERRNO_BADF, __wasi_fd_readdir(CLOSED, buffer, 100, 0, &moved));
}

/* --- clocks and polling ---------------------------------------------------------------------------------------- */

static __wasi_subscription_t subscriptions[8];
static __wasi_event_t events[8];

static void
subscribe_clock(unsigned i, __wasi_clockid_t id, uint64_t timeout, unsigned flags)
{
	memset(&subscriptions[i], 0, sizeof(subscriptions[i]));
	subscriptions[i].userdata = 100 + i;
	subscriptions[i].u.tag = __WASI_EVENTTYPE_CLOCK;
	subscriptions[i].u.u.clock = (__wasi_subscription_clock_t){.id = id, .timeout = timeout,
	    .flags = (__wasi_subclockflags_t)flags};
}

static void
subscribe_fd(unsigned i, unsigned type, __wasi_fd_t of)
{
	memset(&subscriptions[i], 0, sizeof(subscriptions[i]));
	subscriptions[i].userdata = 100 + i;
	subscriptions[i].u.tag = (uint8_t)type;
	subscriptions[i].u.u.fd_read.file_descriptor = of;
}

static __wasi_errno_t
poll_for(unsigned count)
{
	return __wasi_poll_oneoff(subscriptions, events, count, &moved);
}

static void
clocks(void)
{
	static const char *const names[] = {"the time of day is told", "the monotonic clock is told",
	    "the process's time is told", "the thread's time is told"};
	static const char *const steps[] = {"the time of day has a resolution", "the monotonic clock has a resolution",
	    "the process's time has a resolution", "the thread's time has a resolution"};
	uint64_t t, before;
	volatile unsigned work = 0;

	for (unsigned id = 0; id < 4; id++) {
		GIVES(names[id], 0, __wasi_clock_time_get(id, 0, &t));
		CHECK(steps[id], __wasi_clock_res_get(id, &t) == 0 && t > 0);
	}
	before = now(__WASI_CLOCKID_MONOTONIC);
	CHECK("the monotonic clock does not go back", now(__WASI_CLOCKID_MONOTONIC) >= before);
	CHECK("it is past 2020", now(__WASI_CLOCKID_REALTIME) > 1577836800 * UINT64_C(1000000000));
	before = now(__WASI_CLOCKID_THREAD_CPUTIME_ID);
	while (work < 10000000)
		work++;
	CHECK("work takes the thread's time", now(__WASI_CLOCKID_THREAD_CPUTIME_ID) > before);
	GIVES("yielding is fine", 0, __wasi_sched_yield());
	GIVES("no random bytes are no error", 0, __wasi_random_get(buffer, 0));
}

static void
polling(void)
{
	const uint64_t ms = 1000000, hour = UINT64_C(3600000000000);
	uint64_t before = now(__WASI_CLOCKID_MONOTONIC);

	GIVES("polling for nothing is EINVAL", __WASI_ERRNO_INVAL, poll_for(0));
	subscribe_clock(0, __WASI_CLOCKID_MONOTONIC, 5 * ms, 0);
	CHECK("a time from now comes when it is over", poll_for(1) == 0 && moved == 1 &&
	    now(__WASI_CLOCKID_MONOTONIC) - before >= 5 * ms);
	CHECK("its event has the userdata", events[0].userdata == 100 && events[0].error == 0 &&
	    events[0].type == __WASI_EVENTTYPE_CLOCK);
	subscribe_clock(0, __WASI_CLOCKID_REALTIME, 1 * ms, 0);
	CHECK("by the time of day too", poll_for(1) == 0 && moved == 1 && events[0].error == 0);
	before = now(__WASI_CLOCKID_MONOTONIC) + 5 * ms;
	subscribe_clock(0, __WASI_CLOCKID_MONOTONIC, before, 1);
	CHECK("an absolute time comes when it is reached", poll_for(1) == 0 && moved == 1 &&
	    now(__WASI_CLOCKID_MONOTONIC) >= before);
	subscribe_clock(0, __WASI_CLOCKID_REALTIME, 1, 1);
	CHECK("one that is past comes at once", poll_for(1) == 0 && moved == 1 && events[0].error == 0);
	subscribe_clock(0, __WASI_CLOCKID_MONOTONIC, hour, 0);
	subscribe_clock(1, __WASI_CLOCKID_MONOTONIC, 1 * ms, 0);
	CHECK("of two times the earlier comes alone", poll_for(2) == 0 && moved == 1 && events[0].userdata == 101);
	subscribe_clock(0, __WASI_CLOCKID_MONOTONIC, 0, 0);
	subscribe_clock(1, __WASI_CLOCKID_MONOTONIC, 0, 0);
	CHECK("both come when both are over, in order", poll_for(2) == 0 && moved == 2 && events[0].userdata == 100 &&
	    events[1].userdata == 101);
	subscriptions[1] = subscriptions[0];
	CHECK("the same twice comes twice", poll_for(2) == 0 && moved == 2 && events[1].userdata == 100);
	subscribe_clock(0, __WASI_CLOCKID_THREAD_CPUTIME_ID, 1 * ms, 0);
	CHECK("processor time cannot be waited for", poll_for(1) == 0 && moved == 1 &&
	    events[0].error == __WASI_ERRNO_NOTSUP);
	subscribe_fd(0, __WASI_EVENTTYPE_FD_WRITE, 1);
	subscribe_clock(1, __WASI_CLOCKID_MONOTONIC, hour, 0);
	CHECK("output is ready before a time that is far", poll_for(2) == 0 && moved == 1 && events[0].userdata == 100 &&
	    events[0].type == __WASI_EVENTTYPE_FD_WRITE && events[0].error == 0);
	subscribe_fd(0, __WASI_EVENTTYPE_FD_READ, 0);
	CHECK("input that ended is ready and hung up", poll_for(2) == 0 && moved == 1 && events[0].error == 0 &&
	    events[0].type == __WASI_EVENTTYPE_FD_READ &&
	    (events[0].fd_readwrite.flags & __WASI_EVENTRWFLAGS_FD_READWRITE_HANGUP) != 0);
	subscribe_fd(0, __WASI_EVENTTYPE_FD_READ, CLOSED);
	CHECK("what is not open is told in its event", poll_for(2) == 0 && moved == 1 &&
	    events[0].error == __WASI_ERRNO_BADF && events[0].userdata == 100);
	open_w("f", 0, ALL_OF_A_FILE);
	subscribe_fd(0, __WASI_EVENTTYPE_FD_READ, fd);
	subscribe_fd(1, __WASI_EVENTTYPE_FD_WRITE, fd);
	CHECK("a file is ready for both", poll_for(2) == 0 && moved == 2 && events[0].error == 0 && events[1].error == 0);
	CHECK("with what is left to read", events[0].fd_readwrite.nbytes == 5);
	__wasi_fd_close(fd);
	open_w("f", 0, __WASI_RIGHTS_FD_READ);
	subscribe_fd(0, __WASI_EVENTTYPE_FD_READ, fd);
	CHECK("without the right to poll it is told so", poll_for(1) == 0 && moved == 1 &&
	    events[0].error == __WASI_ERRNO_NOTCAPABLE);
	__wasi_fd_close(fd);
}

/* --- what types and memory do not hold ------------------------------------------------------------------------- */

static void
values_outside_of_their_types(void)
{
	open_w("f", 0, ALL_OF_A_FILE);
	GIVES("seek of an unknown kind is EINVAL", __WASI_ERRNO_INVAL, __wasi_fd_seek(fd, 0, 3, &position));
	GIVES("advice that there is not is EINVAL", __WASI_ERRNO_INVAL, __wasi_fd_advise(fd, 0, 0, 6));
	GIVES("a time flag that there is not is EINVAL", __WASI_ERRNO_INVAL, __wasi_fd_filestat_set_times(fd, 0, 0, 16));
	GIVES("flags that there are not are EINVAL", __WASI_ERRNO_INVAL, __wasi_fd_fdstat_set_flags(fd, 32));
	GIVES("an unknown lookup flag is EINVAL", __WASI_ERRNO_INVAL, path_open_of(W, 2, "f", 1, 0, 0, 0, 0, &fd));
	GIVES("an unknown open flag is EINVAL", __WASI_ERRNO_INVAL, path_open_of(W, 0, "f", 1, 16, 0, 0, 0, &fd));
	GIVES("an unknown descriptor flag is EINVAL", __WASI_ERRNO_INVAL, path_open_of(W, 0, "f", 1, 0, 0, 0, 32, &fd));
	GIVES("an unknown lookup flag is EINVAL here too", __WASI_ERRNO_INVAL,
	    __wasi_path_filestat_get(W, 2, "f", &(__wasi_filestat_t){0}));
	GIVES("there is no fifth clock", __WASI_ERRNO_INVAL, __wasi_clock_time_get(4, 0, &position));
	GIVES("nor its resolution", __WASI_ERRNO_INVAL, __wasi_clock_res_get(4, &position));
	subscribe_clock(0, 4, 0, 0);
	GIVES("a clock that there is not is EINVAL", __WASI_ERRNO_INVAL, poll_for(1));
	subscribe_clock(0, __WASI_CLOCKID_MONOTONIC, 0, 2);
	GIVES("a flag that there is not is EINVAL", __WASI_ERRNO_INVAL, poll_for(1));
	subscribe_clock(0, __WASI_CLOCKID_MONOTONIC, 0, 0);
	subscriptions[0].u.tag = 3;
	GIVES("an event that there is not is EINVAL", __WASI_ERRNO_INVAL, poll_for(1));
	GIVES("a signal that there is not is EINVAL", __WASI_ERRNO_INVAL, raise_at(31));
	__wasi_fd_close(fd);
}

static void
addresses(void)
{
	const uint32_t end = (uint32_t)__builtin_wasm_memory_size(0) * 65536;
	uint32_t list = (uint32_t)(uintptr_t)buffer, out = list + 2048;

	memcpy(buffer, (const uint32_t[2]){end - 4, 4}, 8);
	make_file("mem", "abcdefgh");
	GIVES("bytes may end where memory does", 0, fd_read_at(fd, list, 1, out));
	memcpy(buffer, (const uint32_t[2]){end - 3, 4}, 8);
	GIVES("but not behind", __WASI_ERRNO_FAULT, fd_read_at(fd, list, 1, out));
	memcpy(buffer, (const uint32_t[2]){UINT32_MAX, 2}, 8);
	GIVES("addresses do not wrap", __WASI_ERRNO_FAULT, fd_read_at(fd, list, 1, out));
	memcpy(buffer, (const uint32_t[2]){list + 1000, UINT32_MAX}, 8);
	GIVES("a length of all there is does not fit", __WASI_ERRNO_FAULT, fd_read_at(fd, list, 1, out));
	memcpy(buffer, (const uint32_t[4]){list + 1000, 4, end, 1}, 16);
	GIVES("a bad buffer behind a good one is found first", __WASI_ERRNO_FAULT, fd_read_at(fd, list, 2, out));
	CHECK("nothing was read then", __wasi_fd_tell(fd, &position) == 0 && position == 4);
	GIVES("an array behind the end is EFAULT", __WASI_ERRNO_FAULT, fd_write_at(fd, end - 7, 1, out));
	GIVES("an array of 2^32-1 is EFAULT", __WASI_ERRNO_FAULT, fd_write_at(fd, list, UINT32_MAX, out));
	GIVES("an array of 2^29 is EFAULT", __WASI_ERRNO_FAULT, fd_write_at(fd, list, UINT32_C(1) << 29, out));
	memcpy(buffer, (const uint32_t[2]){list + 1000, 1}, 8);
	GIVES("a result behind the end is EFAULT", __WASI_ERRNO_FAULT, fd_write_at(fd, list, 1, end - 3));
	CHECK("nothing was written then", fstat_of(fd).size == 8);
	GIVES("random bytes behind the end are EFAULT", __WASI_ERRNO_FAULT, random_at(end - 1, 2));
	GIVES("none at the end are fine", 0, random_at(end, 0));
	GIVES("subscriptions behind the end are EFAULT", __WASI_ERRNO_FAULT, poll_at(end - 47, list, 1, out));
	GIVES("as many as there cannot be are EFAULT", __WASI_ERRNO_FAULT, poll_at(list, list, UINT32_MAX, out));
	CHECK("results need no alignment", fd_read_at(fd, list, 1, list + 101) == 0 && buffer[101] == 1);
	__builtin_wasm_memory_grow(0, 1);
	GIVES("memory that was just grown is good", 0, random_at(end, 65536));
	__wasi_fd_close(fd);
}

/* --- what is granted, and what there is not -------------------------------------------------------------------- */

static void
withheld(void)
{
	__wasi_filestat_t st;

	CHECK("a file that may be read is read", open_in(RO, "f", 0, READ_WRITE & ~__WASI_RIGHTS_FD_WRITE, 0) == 0 &&
	    read_from(fd, 10) == 0 && moved == 4 && __wasi_fd_close(fd) == 0);
	CHECK("its state is told", __wasi_path_filestat_get(RO, 0, "f", &st) == 0 && st.size == 4);
	GIVES("it does not open for writing", __WASI_ERRNO_NOTCAPABLE, open_in(RO, "f", 0, READ_WRITE, 0));
	GIVES("nor to be emptied", __WASI_ERRNO_NOTCAPABLE, open_in(RO, "f", __WASI_OFLAGS_TRUNC, 0, 0));
	GIVES("no file is made beside it", __WASI_ERRNO_NOTCAPABLE, open_in(RO, "n", __WASI_OFLAGS_CREAT, 0, 0));
	GIVES("no link either", __WASI_ERRNO_NOTCAPABLE, __wasi_path_symlink("f", RO, "n"));
	GIVES("no second name", __WASI_ERRNO_NOTCAPABLE, __wasi_path_link(RO, 0, "f", RO, "n"));
	GIVES("its name stays", __WASI_ERRNO_NOTCAPABLE, __wasi_path_rename(RO, "f", RO, "n"));
	GIVES("its times too", __WASI_ERRNO_NOTCAPABLE, __wasi_path_filestat_set_times(RO, 0, "f", 0, 0, 5));
	GIVES("it does not go", __WASI_ERRNO_NOTCAPABLE, __wasi_path_unlink_file(RO, "f"));
	GIVES("what is not there is still ENOENT", __WASI_ERRNO_NOENT, __wasi_path_unlink_file(RO, "none"));
	GIVES("sockets are not accepted", __WASI_ERRNO_NOTSOCK, __wasi_sock_accept(W, 0, &fd));
	GIVES("nor received from", __WASI_ERRNO_NOTSOCK,
	    __wasi_sock_recv(0, &(__wasi_iovec_t){buffer, 1}, 1, 0, &moved, &(__wasi_roflags_t){0}));
	GIVES("nor sent to", __WASI_ERRNO_NOTSOCK,
	    __wasi_sock_send(1, &(__wasi_ciovec_t){buffer, 1}, 1, 0, &moved));
	GIVES("nor shut down", __WASI_ERRNO_NOTSOCK, __wasi_sock_shutdown(W, __WASI_SDFLAGS_RD));
	GIVES("a socket that is not open is EBADF", __WASI_ERRNO_BADF, __wasi_sock_shutdown(CLOSED, __WASI_SDFLAGS_RD));
}

int
main(int argc, char **argv)
{
	(void)argv;
	seeking();
	reading_and_writing();
	appending();
	sizes();
	opening();
	descriptor_flags();
	numbers();
	states();
	links();
	hard_links();
	renaming();
	making_and_removing();
	listing();
	clocks();
	polling();
	withheld();
	if (argc < 2) {
		rights();
		values_outside_of_their_types();
		addresses();
	}
	printf("%d failed\n", failures);
	return failures != 0;
}
