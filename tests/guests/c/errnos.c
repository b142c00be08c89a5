/*
 * A guest that provokes each errno that errnos.h has, by the raw interface: one line `ok NAME` or `not ok NAME: ...` a call.
 *
 * Its argument says what it is given. All need the mounts /ro (read, and create below e; f and e/x), /w (all rights; f holds
 * "hello", d/x is empty) and /w/in (all rights), an argument and a variable in the environment.
 *	usual		clock, randomness, no input
 *	bare		neither clock nor randomness
 *	input		input that has not come yet
 *	narrow		1 MiB of fs_bytes, few descriptors
 *	host		directories of the host besides: /closed, /missing, /large, /lost, /host
 */

#pragma clang diagnostic ignored "-Wunused-result" /* preparations: what depends on them fails */

#include <stdint.h>
#include <stdlib.h>

#include <wasi/api.h>

#include "check.h"
#include "errnos.h"

#define IMPORT(name, ...)                                                                                            \
	int32_t name(__VA_ARGS__) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

typedef uint32_t u;
typedef int64_t s64;

IMPORT(args_get, u, u);
IMPORT(args_sizes_get, u, u);
IMPORT(environ_get, u, u);
IMPORT(environ_sizes_get, u, u);
IMPORT(clock_res_get, u, u);
IMPORT(clock_time_get, u, s64, u);
IMPORT(fd_advise, u, s64, s64, u);
IMPORT(fd_allocate, u, s64, s64);
IMPORT(fd_close, u);
IMPORT(fd_datasync, u);
IMPORT(fd_fdstat_get, u, u);
IMPORT(fd_fdstat_set_flags, u, u);
IMPORT(fd_fdstat_set_rights, u, s64, s64);
IMPORT(fd_filestat_get, u, u);
IMPORT(fd_filestat_set_size, u, s64);
IMPORT(fd_filestat_set_times, u, s64, s64, u);
IMPORT(fd_pread, u, u, u, s64, u);
IMPORT(fd_prestat_get, u, u);
IMPORT(fd_prestat_dir_name, u, u, u);
IMPORT(fd_pwrite, u, u, u, s64, u);
IMPORT(fd_read, u, u, u, u);
IMPORT(fd_readdir, u, u, u, s64, u);
IMPORT(fd_renumber, u, u);
IMPORT(fd_seek, u, s64, u, u);
IMPORT(fd_sync, u);
IMPORT(fd_tell, u, u);
IMPORT(fd_write, u, u, u, u);
IMPORT(path_create_directory, u, u, u);
IMPORT(path_filestat_get, u, u, u, u, u);
IMPORT(path_filestat_set_times, u, u, u, u, s64, s64, u);
IMPORT(path_link, u, u, u, u, u, u, u);
IMPORT(path_open, u, u, u, u, u, s64, s64, u, u);
IMPORT(path_readlink, u, u, u, u, u, u);
IMPORT(path_remove_directory, u, u, u);
IMPORT(path_rename, u, u, u, u, u, u);
IMPORT(path_symlink, u, u, u, u, u);
IMPORT(path_unlink_file, u, u, u);
IMPORT(poll_oneoff, u, u, u, u);
IMPORT(proc_raise, u);
IMPORT(random_get, u, u);
IMPORT(sock_accept, u, u, u);
IMPORT(sock_recv, u, u, u, u, u, u);
IMPORT(sock_send, u, u, u, u, u);
IMPORT(sock_shutdown, u, u);

/* What the calls in errnos.h are made of. */
#define P(text) at(text), sizeof(text) - 1
#define MKDIR(fd, ...)       path_create_directory(fd, __VA_ARGS__)
#define STAT(fd, ...)        path_filestat_get(fd, 0, __VA_ARGS__, out)
#define TOUCH(fd, ...)       path_filestat_set_times(fd, 0, __VA_ARGS__, 1, 1, 5)
#define LINK_FROM(fd, ...)   path_link(fd, 0, __VA_ARGS__, w, P("new"))
#define LINK_TO(fd, ...)     path_link(w, 0, P("f"), fd, __VA_ARGS__)
#define OPEN(fd, ...)        path_open(fd, 0, __VA_ARGS__, 0, 0, 0, 0, out)
#define CREATE(fd, ...)      path_open(fd, 0, __VA_ARGS__, CREAT, 0, 0, 0, out)
#define READLINK(fd, ...)    path_readlink(fd, __VA_ARGS__, out, 10, out)
#define RMDIR(fd, ...)       path_remove_directory(fd, __VA_ARGS__)
#define RENAME_FROM(fd, ...) path_rename(fd, __VA_ARGS__, w, P("new"))
#define RENAME_TO(fd, ...)   path_rename(w, P("f"), fd, __VA_ARGS__)
#define SYMLINK(fd, ...)     path_symlink(P("t"), fd, __VA_ARGS__)
#define UNLINK(fd, ...)      path_unlink_file(fd, __VA_ARGS__)

enum { CREAT = 1, DIRECTORY = 2, EXCL = 4, TRUNC = 8, SYNC = 16 };
enum { FD_READ = 2, FD_WRITE = 64, FD_TELL = 32, PATH_OPEN = 1 << 13 };
enum { CLOSED = 99, FAR_IN = 150000, ALL_OF_A_FILE = 0x8e001ff, ALL_OF_A_DIR = 0xfbffe99 };

static uint8_t bytes[4096], letters[256], slashes[4096];
static uint32_t lists[4], list, bad_list, out, end;

/* Mounts; then, all rights and none; a directory that passes reading on; one that is removed; and files. */
static uint32_t ro, w, in, closed, missing, large, lost, host;
static uint32_t file, none, dir, bare, part, gone, teller, far, full, shut, changed;

static uint32_t
at(const void *p)
{
	return (uint32_t)(uintptr_t)p;
}

static uint32_t
mount(const char *path)
{
	char name[64] = "";

	for (uint32_t fd = 3; fd_prestat_dir_name(fd, at(name), sizeof(name)) == 0; fd++) {
		if (strcmp(name, path) == 0)
			return fd;
		memset(name, 0, sizeof(name));
	}
	return CLOSED;
}

/* Opens what is there; CLOSED when that fails. */
static uint32_t
opened(uint32_t from, const char *path, s64 rights, s64 inheriting)
{
	uint32_t fd;

	if (path_open(from, 0, at(path), (u)strlen(path), 0, rights, inheriting, 0, at(&fd)) == 0)
		return fd;
	printf("not ok %s opens\n", path);
	failures++;
	return CLOSED;
}

static void
prepare(void)
{
	ro = mount("/ro");
	w = mount("/w");
	in = mount("/w/in");
	end = (uint32_t)__builtin_wasm_memory_size(0) * 65536;
	out = at(bytes);
	list = at(lists);
	bad_list = at(lists + 2);
	memcpy(lists, (const uint32_t[4]){out, 4, end - 3, 4}, sizeof(lists));
	memset(letters, 'n', sizeof(letters));
	for (size_t i = 0; i < sizeof(slashes); i++)
		slashes[i] = i % 2 == 0 ? '.' : '/';
	path_symlink(P("f"), w, P("l"));
	path_symlink(P("d"), w, P("ld"));
	path_symlink(P("none"), w, P("nothing"));
	path_symlink(P("loop"), w, P("loop"));
	path_symlink(P("../f"), w, P("out"));
	path_create_directory(w, P("e"));
	path_create_directory(ro, P("e/n"));
	path_create_directory(w, P("gone"));
	file = opened(w, "f", ALL_OF_A_FILE, 0);
	none = opened(w, "f", 0, 0);
	teller = opened(w, "f", FD_TELL, 0);
	far = opened(w, "f", ALL_OF_A_FILE, 0);
	fd_seek(far, INT64_MAX, 0, out);
	dir = opened(w, "d", ALL_OF_A_DIR, ALL_OF_A_DIR | ALL_OF_A_FILE);
	bare = opened(w, "d", PATH_OPEN, 0);
	fd_fdstat_set_rights(bare, 0, 0);
	part = opened(w, "d", PATH_OPEN, FD_READ);
	gone = opened(w, "gone", ALL_OF_A_DIR, ALL_OF_A_FILE);
	path_remove_directory(w, P("gone"));
}

static void
expect(const char *function, const char *name, const char *what, int32_t error, int32_t got)
{
	static int number;

	printf(got == error ? "ok %d %s %s: %s\n" : "not ok %d %s %s: %s gives %d\n", ++number, function, name, what, (int)got);
	failures += got != error;
}

#define EXPECT(function, error, what, call) expect(#function, #error, what, __WASI_ERRNO_##error, call);

/* One subscription of this type, to a clock or a descriptor. */
static int32_t
poll_of(uint8_t type, uint32_t target, uint16_t flags)
{
	memset(bytes, 0, 48);
	bytes[8] = type;
	memcpy(bytes + 16, &target, sizeof(target));
	memcpy(bytes + 40, &flags, sizeof(flags));
	return poll_oneoff(out, out + 1024, 1, out + 2048);
}

/* The errno of the event that comes of it. */
static int32_t
event_of(uint8_t type, uint32_t target, uint16_t flags)
{
	uint16_t error;

	if (poll_of(type, target, flags) != 0)
		return -1;
	memcpy(&error, bytes + 1024 + 8, sizeof(error));
	return error;
}

#define EXPECT_EVENT(error, what, ...)                                                                               \
	expect("poll_oneoff's event", #error, what, __WASI_ERRNO_##error, event_of(__VA_ARGS__));

static void
usual(void)
{
	ERRNOS_OF_ALL_PATHS(EXPECT)
	ERRNOS_OF_NAMES(EXPECT)
	ERRNOS_OF_DESCRIPTORS(EXPECT)
	ERRNOS_OF_BYTES(EXPECT)
	ERRNOS_OF_THE_REST(EXPECT)
	ERRNOS_OF_EVENTS(EXPECT_EVENT)
}

static void
without_grants(void)
{
	ERRNOS_WITHOUT_GRANTS(EXPECT)
	ERRNOS_OF_EVENTS_WITHOUT_GRANTS(EXPECT_EVENT)
}

static void
without_input(void)
{
	fd_fdstat_set_flags(0, __WASI_FDFLAGS_NONBLOCK);
	ERRNOS_WITHOUT_INPUT(EXPECT)
}

/* Uses up descriptors, then room: blocks first, then what is left by names that are as long as "new". */
static void
narrow(void)
{
	uint32_t last = 0;

	while (path_open(w, 0, P("f"), 0, 0, 0, 0, at(&last)) == 0)
		;
	ERRNOS_WITHOUT_DESCRIPTORS(EXPECT)
	while (last > gone)
		fd_close(last--);
	path_open(w, 0, P("full"), CREAT, ALL_OF_A_FILE, 0, 0, at(&full));
	memcpy(lists, (const uint32_t[2]){out, sizeof(bytes)}, 8);
	while (fd_write(full, list, 1, out) == 0)
		;
	for (char name[] = "z00"; path_create_directory(w, at(name), 3) == 0; name[2]++)
		if (name[2] == '9') {
			name[1]++;
			name[2] = '/';
		}
	ERRNOS_WITHOUT_ROOM(EXPECT)
}

/* The files are such that their ends are asked for when they are wanted. */
static void
on_the_host(void)
{
	closed = mount("/closed");
	missing = mount("/missing");
	large = mount("/large");
	lost = mount("/lost");
	host = mount("/host");
	shut = opened(host, "shut", ALL_OF_A_FILE, 0);
	changed = opened(host, "changed", ALL_OF_A_FILE, 0);
	fd_seek(shut, FAR_IN, 0, out);
	fd_seek(changed, FAR_IN, 0, out);
	ERRNOS_OF_A_HOST(EXPECT)
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*part)(void);
	} parts[] = {{"usual", usual}, {"bare", without_grants}, {"input", without_input}, {"narrow", narrow}, {"host", on_the_host}};

	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	prepare();
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (argc == 2 && strcmp(argv[1], parts[i].name) == 0)
			parts[i].part();
	printf("%d failed\n", failures);
	return failures != 0;
}
