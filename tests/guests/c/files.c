/*
 * A guest that checks its files through wasi-libc and the raw interface: one line `ok NAME` or `not ok NAME: ...` a
 * check. Needs the mounts /w (all rights; in.txt holds "hello", d/one is empty) and /ro (read; f holds "data").
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <wasi/api.h>

#include "check.h"

/* Mounts are preopened in the order of their paths. */
enum { RO = 3, W = 4 };

/* The contents of a file, at most 99 bytes. */
static const char *
text_of(const char *path)
{
	static char text[100];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	text[n < 0 ? 0 : n] = '\0';
	close(fd);
	return n < 0 ? NULL : text;
}

static int
holds(const char *path, const char *text)
{
	const char *got = text_of(path);

	return got != NULL && strcmp(got, text) == 0;
}

static int
make(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

	return fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd) != 0 ? -1 : 0;
}

static off_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_size : -1;
}

static void
opening(void)
{
	__wasi_fd_t fd;

	CHECK("a file of the request is there", holds("/w/in.txt", "hello"));
	FAILS("a missing file is ENOENT", open("/w/none", O_RDONLY), ENOENT);
	FAILS("a missing directory is ENOENT", open("/w/none/f", O_RDWR | O_CREAT, 0666), ENOENT);
	FAILS("a file is no directory", open("/w/in.txt/f", O_RDONLY), ENOTDIR);
	FAILS("a file with a slash is no directory", open("/w/in.txt/", O_RDONLY), ENOTDIR);
	FAILS("O_DIRECTORY wants a directory", open("/w/in.txt", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS("a directory is not written", open("/w/d", O_WRONLY), EISDIR);
	FAILS("O_EXCL wants a new file", open("/w/in.txt", O_WRONLY | O_CREAT | O_EXCL, 0666), EEXIST);
	CHECK("an empty path is ENOENT", __wasi_path_open(W, 0, "", 0, 0, 0, 0, &fd) == __WASI_ERRNO_NOENT);
	CHECK("O_CREAT makes a file", make("/w/new", "abc") == 0 && holds("/w/new", "abc"));
	CHECK("O_TRUNC empties it", make("/w/new", "") == 0 && size_of("/w/new") == 0);
	CHECK("a removed file is gone", unlink("/w/new") == 0 && access("/w/new", F_OK) == -1 && errno == ENOENT);
	FAILS("a name of 256 bytes is too long", open("/w/"
	    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
	    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
	    "01234567890123456789012345678901234567890123456789012345", O_RDONLY), ENAMETOOLONG);
	FAILS("a name that is not UTF-8 is EILSEQ", open("/w/\xff", O_RDWR | O_CREAT, 0666), EILSEQ);
	CHECK("a name in UTF-8 is fine", make("/w/\xc3\xa4", "x") == 0 && unlink("/w/\xc3\xa4") == 0);
	CHECK("what is in no mount is not there", open("/etc/passwd", O_RDONLY) == -1);
}

static void
reading_and_writing(void)
{
	char b[16] = "";
	struct iovec parts[] = {{b, 2}, {b + 8, 3}};
	int fd = open("/w/io", O_RDWR | O_CREAT | O_TRUNC, 0666);

	CHECK("write tells how much", write(fd, "0123456789", 10) == 10);
	CHECK("lseek from the start", lseek(fd, 3, SEEK_SET) == 3 && read(fd, b, 2) == 2 && memcmp(b, "34", 2) == 0);
	CHECK("lseek from here", lseek(fd, -1, SEEK_CUR) == 4);
	CHECK("lseek from the end", lseek(fd, -1, SEEK_END) == 9 && read(fd, b, 16) == 1 && b[0] == '9');
	CHECK("at the end nothing is read", read(fd, b, 16) == 0);
	FAILS("before the start is EINVAL", lseek(fd, -11, SEEK_END), EINVAL);
	CHECK("readv scatters", lseek(fd, 0, SEEK_SET) == 0 && readv(fd, parts, 2) == 5 && memcmp(b + 8, "234", 3) == 0);
	CHECK("pread leaves the position", pread(fd, b, 2, 8) == 2 && lseek(fd, 0, SEEK_CUR) == 5);
	CHECK("pwrite leaves the position", pwrite(fd, "AB", 2, 1) == 2 && lseek(fd, 0, SEEK_CUR) == 5);
	CHECK("a hole is zero", lseek(fd, 20, SEEK_SET) == 20 && write(fd, "x", 1) == 1 && pread(fd, b, 4, 10) == 4 &&
	    memcmp(b, "\0\0\0\0", 4) == 0);
	CHECK("ftruncate cuts", ftruncate(fd, 2) == 0 && size_of("/w/io") == 2);
	CHECK("ftruncate extends with zeros", ftruncate(fd, 4) == 0 && pread(fd, b, 9, 0) == 4 && memcmp(b, "0A\0\0", 4) == 0);
	FAILS("a negative size is EINVAL", ftruncate(fd, -1), EINVAL);
	CHECK("posix_fallocate extends", posix_fallocate(fd, 0, 10) == 0 && size_of("/w/io") == 10);
	CHECK("posix_fallocate never cuts", posix_fallocate(fd, 0, 1) == 0 && size_of("/w/io") == 10);
	CHECK("posix_fadvise is taken", posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
	CHECK("fsync and fdatasync are no errors", fsync(fd) == 0 && fdatasync(fd) == 0);
	CHECK("a huge sparse file costs little", ftruncate(fd, INT64_C(1) << 40) == 0 && size_of("/w/io") == INT64_C(1) << 40);
	FAILS("a larger one is EFBIG", ftruncate(fd, (INT64_C(1) << 40) + 1), EFBIG);
	close(fd);
	fd = open("/w/io", O_WRONLY | O_TRUNC);
	FAILS("a file opened for writing is not read", read(fd, b, 1), EBADF);
	close(fd);
	fd = open("/w/io", O_RDONLY);
	FAILS("a file opened for reading is not written", write(fd, "x", 1), EBADF);
	close(fd);
	fd = open("/w/io", O_WRONLY | O_APPEND);
	CHECK("O_APPEND writes at the end", write(fd, "12", 2) == 2 && lseek(fd, 0, SEEK_SET) == 0 &&
	    write(fd, "34", 2) == 2 && lseek(fd, 0, SEEK_CUR) == 4);
	CHECK("flags can be changed", fcntl(fd, F_SETFL, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0 && write(fd, "X", 1) == 1);
	close(fd);
	CHECK("all of it is there", holds("/w/io", "X234"));
	FAILS("a closed descriptor is EBADF", write(fd, "x", 1), EBADF);
	fd = open("/w/io", O_RDWR);
	CHECK("a removed file lives while open", unlink("/w/io") == 0 && write(fd, "alive", 5) == 5 &&
	    pread(fd, b, 5, 0) == 5 && memcmp(b, "alive", 5) == 0);
	close(fd);
}

static void
directories(void)
{
	struct dirent *e;
	DIR *d;
	int seen = 0, dots = 0, n = 0;
	char name[32];

	CHECK("mkdir makes one", mkdir("/w/a", 0777) == 0 && mkdir("/w/a/b/", 0777) == 0);
	FAILS("mkdir of what exists is EEXIST", mkdir("/w/a", 0777), EEXIST);
	FAILS("mkdir without its parent is ENOENT", mkdir("/w/x/y", 0777), ENOENT);
	FAILS("rmdir of one with content is ENOTEMPTY", rmdir("/w/a"), ENOTEMPTY);
	FAILS("rmdir of a file is ENOTDIR", rmdir("/w/in.txt"), ENOTDIR);
	FAILS("unlink of a directory is EISDIR", unlink("/w/a/b"), EISDIR);
	FAILS("rmdir of nothing is ENOENT", rmdir("/w/none"), ENOENT);
	CHECK("rmdir of an empty one works", rmdir("/w/a/b") == 0);
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "/w/a/f%d", i);
		n += make(name, "") == 0;
	}
	d = opendir("/w/a");
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.') {
			dots++;
			continue;
		}
		seen++;
		snprintf(name, sizeof(name), "/w/a/%s", e->d_name);
		n -= e->d_type == DT_REG && unlink(name) == 0; /* removing what was read loses nothing */
	}
	CHECK("readdir finds 300 entries, once each", seen == 300 && n == 0 && dots == 2);
	rewinddir(d);
	CHECK("rewinddir begins anew", (e = readdir(d)) != NULL && e->d_name[0] == '.');
	closedir(d);
	CHECK("then it can be removed", rmdir("/w/a") == 0);
	CHECK("a file is no directory to read", opendir("/w/in.txt") == NULL && errno == ENOTDIR);
	CHECK("paths go up inside", holds("/w/d/../in.txt", "hello") && holds("/w/d/./.././in.txt", "hello"));
	CHECK("paths do not go up and out", open("/w/../w/in.txt", O_RDONLY) == -1);
}

static void
renaming_and_linking(void)
{
	char b[16];
	struct stat one, two;

	make("/w/r1", "1");
	make("/w/r2", "2");
	CHECK("rename replaces a file", rename("/w/r1", "/w/r2") == 0 && holds("/w/r2", "1") && access("/w/r1", F_OK) == -1);
	mkdir("/w/rd", 0777);
	FAILS("a file does not replace a directory", rename("/w/r2", "/w/rd"), EISDIR);
	FAILS("a directory does not replace a file", rename("/w/rd", "/w/r2"), ENOTDIR);
	FAILS("a directory does not move into itself", rename("/w/rd", "/w/rd/x"), EINVAL);
	CHECK("a directory moves with what is in it", rename("/w/r2", "/w/rd/in") == 0 && rename("/w/rd", "/w/re") == 0 &&
	    holds("/w/re/in", "1"));
	mkdir("/w/rd", 0777);
	FAILS("one with content is not replaced", rename("/w/rd", "/w/re"), ENOTEMPTY);
	CHECK("an empty one is", rename("/w/re", "/w/rd") == 0 && holds("/w/rd/in", "1"));
	FAILS("nothing does not move", rename("/w/none", "/w/x"), ENOENT);
	FAILS("from mount to mount is EXDEV", rename("/w/rd/in", "/ro/in"), EXDEV);
	CHECK("link gives a second name", link("/w/rd/in", "/w/l2") == 0 && stat("/w/l2", &one) == 0 &&
	    stat("/w/rd/in", &two) == 0 && one.st_ino == two.st_ino && one.st_nlink == 2);
	CHECK("both are one file", make("/w/l2", "both") == 0 && holds("/w/rd/in", "both"));
	FAILS("link to a name that exists is EEXIST", link("/w/l2", "/w/rd/in"), EEXIST);
	FAILS("link to a directory is EPERM", link("/w/rd", "/w/l3"), EPERM);
	CHECK("a name less", unlink("/w/l2") == 0 && stat("/w/rd/in", &two) == 0 && two.st_nlink == 1);
	CHECK("a symbolic link leads on", symlink("rd/in", "/w/s") == 0 && holds("/w/s", "both"));
	CHECK("readlink tells where", readlink("/w/s", b, sizeof(b)) == 5 && memcmp(b, "rd/in", 5) == 0);
	CHECK("lstat is about the link", lstat("/w/s", &one) == 0 && S_ISLNK(one.st_mode) && one.st_size == 5);
	CHECK("stat is about the file", stat("/w/s", &one) == 0 && S_ISREG(one.st_mode));
	FAILS("O_NOFOLLOW does not follow", open("/w/s", O_RDONLY | O_NOFOLLOW), ELOOP);
	FAILS("readlink of a file is EINVAL", readlink("/w/in.txt", b, sizeof(b)), EINVAL);
	FAILS("a link to itself is ELOOP", symlink("self", "/w/self") + open("/w/self", O_RDONLY), ELOOP);
	CHECK("absolute links are refused", symlink("/etc", "/w/abs") == -1);
	CHECK("links do not lead out", symlink("../../etc", "/w/out") == 0 && open("/w/out", O_RDONLY) == -1);
	CHECK("unlink removes the link", unlink("/w/s") == 0 && holds("/w/rd/in", "both"));
	unlink("/w/self");
	unlink("/w/out");
	unlink("/w/rd/in");
	rmdir("/w/rd");
}

static void
state(void)
{
	struct timespec times[2] = {{1, 2}, {3, 4}};
	struct stat st, dir;
	int fd = open("/w/in.txt", O_RDWR);

	CHECK("fstat knows the file", fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 5 && st.st_nlink == 1);
	CHECK("directories count what is inside", stat("/w", &dir) == 0 && S_ISDIR(dir.st_mode) && dir.st_nlink == 3);
	CHECK("files differ", stat("/w/d/one", &dir) == 0 && dir.st_dev == st.st_dev && dir.st_ino != st.st_ino);
	CHECK("mounts differ", stat("/ro/f", &dir) == 0 && dir.st_dev != st.st_dev);
	CHECK("futimens sets both times", futimens(fd, times) == 0 && fstat(fd, &st) == 0 && st.st_atim.tv_sec == 1 &&
	    st.st_mtim.tv_sec == 3 && st.st_mtim.tv_nsec == 4);
	CHECK("now, and not at all", __wasi_fd_filestat_set_times(fd, 0, 0, __WASI_FSTFLAGS_ATIM_NOW) == 0 &&
	    fstat(fd, &st) == 0 && st.st_atim.tv_sec > 1000000 && st.st_mtim.tv_sec == 3);
	CHECK("writing marks the time", pwrite(fd, "h", 1, 0) == 1 && fstat(fd, &st) == 0 && st.st_mtim.tv_sec > 1000000);
	CHECK("a file is no terminal", !isatty(fd) && errno == ENOTTY);
	close(fd);
}

static void
granted(void)
{
	int fd = open("/ro/f", O_RDONLY);
	char b[8];

	CHECK("what is granted for reading is read", read(fd, b, 8) == 4 && memcmp(b, "data", 4) == 0);
	FAILS("it is not opened for writing", open("/ro/f", O_RDWR), ENOTCAPABLE);
	FAILS("nor emptied", open("/ro/f", O_RDONLY | O_TRUNC), ENOTCAPABLE);
	FAILS("nothing is made there", open("/ro/x", O_WRONLY | O_CREAT, 0666), ENOTCAPABLE);
	FAILS("no directory either", mkdir("/ro/x", 0777), ENOTCAPABLE);
	FAILS("nothing is removed", unlink("/ro/f"), ENOTCAPABLE);
	FAILS("nothing is renamed", rename("/ro/f", "/ro/g"), ENOTCAPABLE);
	CHECK("times stay", futimens(fd, NULL) == -1);
	close(fd);
	CHECK("where a path has rights of its own, they count", make("/ro/out/x", "y") == 0 && holds("/ro/out/x", "y"));
	FAILS("what is missing is missing", open("/ro/none", O_RDWR), ENOENT);
	FAILS("what exists exists", mkdir("/ro/f", 0777), EEXIST);
}

static void
raw(void)
{
	__wasi_fd_t fd, other;
	__wasi_fdstat_t stat;
	__wasi_size_t n;
	uint8_t b[64];

	CHECK("rights are those asked for", __wasi_path_open(W, 0, "in.txt", 0, __WASI_RIGHTS_FD_READ, 0, 0, &fd) == 0 &&
	    __wasi_fd_fdstat_get(fd, &stat) == 0 && stat.fs_rights_base == __WASI_RIGHTS_FD_READ);
	CHECK("tell needs a right", __wasi_fd_tell(fd, &(__wasi_filesize_t){0}) == __WASI_ERRNO_NOTCAPABLE);
	CHECK("rights do not grow", __wasi_fd_fdstat_set_rights(fd, __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE, 0) ==
	    __WASI_ERRNO_NOTCAPABLE);
	CHECK("rights can be dropped", __wasi_fd_fdstat_set_rights(fd, 0, 0) == 0 &&
	    __wasi_fd_read(fd, &(__wasi_iovec_t){b, 1}, 1, &n) == __WASI_ERRNO_NOTCAPABLE);
	CHECK("renumber moves", __wasi_path_open(W, 0, "d", 0, 0, 0, 0, &other) == 0 && __wasi_fd_renumber(other, fd) == 0 &&
	    __wasi_fd_close(other) == __WASI_ERRNO_BADF && __wasi_fd_fdstat_get(fd, &stat) == 0 &&
	    stat.fs_filetype == __WASI_FILETYPE_DIRECTORY);
	CHECK("a directory is not read", __wasi_fd_close(fd) == 0 &&
	    __wasi_fd_read(W, &(__wasi_iovec_t){b, 1}, 1, &n) == __WASI_ERRNO_ISDIR);
	CHECK("absolute paths are refused", __wasi_path_open(W, 0, "/in.txt", 0, 0, 0, 0, &fd) == __WASI_ERRNO_NOTCAPABLE);
	CHECK("the name of a mount needs its room", __wasi_fd_prestat_dir_name(W, b, 1) == __WASI_ERRNO_NAMETOOLONG);
	CHECK("there is no mount more", __wasi_fd_prestat_get(5, &(__wasi_prestat_t){0}) == __WASI_ERRNO_BADF);
	CHECK("a preopened directory can be closed", __wasi_fd_close(RO) == 0 &&
	    __wasi_fd_prestat_get(RO, &(__wasi_prestat_t){0}) == __WASI_ERRNO_BADF);
}

int
main(void)
{
	opening();
	reading_and_writing();
	directories();
	renaming_and_linking();
	state();
	granted();
	raw();
	printf("%d failed\n", failures);
	return failures != 0;
}
