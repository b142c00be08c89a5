/* runtime/wasi/table: every function of wasi_snapshot_preview1, one row each. Worker; brigd takes the names from it. */

#ifndef RUNTIME_WASI_TABLE_H
#define RUNTIME_WASI_TABLE_H

#include "base/proto.h"

/*
 * What a call may need beyond the descriptors that the guest holds; the number goes into proto_denial. `grant` is the
 * member of a policy document that gives it. Arguments, environment and input are not here: policy decides before the
 * run what of them the guest is given.
 */
#define WASI_CAPABILITIES(X)                                           \
	/* name   value  grant    what it is for                    */ \
	X(NONE,   0,     "",      "nothing but open descriptors")      \
	X(CLOCK,  1,     "clock", "reading clocks")                    \
	X(RANDOM, 2,     "random", "random bytes")                     \
	X(FS_READ, 3,    "fs",   "reading files and directories")      \
	X(FS_WRITE, 4,   "fs",   "changing files")                     \
	X(FS_CREATE, 5,  "fs",   "new files, directories and links")   \
	X(FS_DELETE, 6,  "fs",   "removing and renaming files")

enum wasi_capability {
#define X(name, value, grant, text) WASI_CAP_##name = value,
	WASI_CAPABILITIES(X)
#undef X
	WASI_CAP_COUNT
};

/*
 * The rows, in the order of the specification. A row's place is its number in messages, results and logs: it never
 * changes. The type is parameters ':' result, i for i32 and I for i64; the handler is preview1_<handler>.
 *
 * Why the answers are what they are; docs/wasi.md has more.
 *  - Descriptors 0, 1 and 2 behave as the ends of pipes, because that is what they are: bytes go to or come from brigd.
 *    Preview 1 has no file type for a pipe, so it is `unknown`, which Wasmtime reports for pipes too and which C
 *    libraries take for "no terminal" (isatty gives ENOTTY, stdout is block-buffered, and CPython reads a script from
 *    stdin instead of prompting).
 *  - A descriptor whose kind cannot do what is asked gives what POSIX says: EISDIR, ENOTDIR, ESPIPE, EINVAL for syncing
 *    and truncating a pipe; the wrong end of a pipe is EBADF. One that has only lost the right, or never got it, gives
 *    ENOTCAPABLE, and so does every attempt to add a right: so says the specification. What policy withholds is
 *    ENOTCAPABLE as well, with a denial event beside it, and so is every path that would lead out of its directory.
 *  - Preopened directories are the mounts, from 3 on in their order; fd_prestat_get is EBADF for all others, where
 *    wasi-libc's search for them stops.
 *  - There are no sockets: ENOTSOCK on an open descriptor, else EBADF.
 *  - Descriptors are checked first, then flag values (EINVAL), then pointers (EFAULT), then the operation. A failed
 *    call has no other effect, except that poll_oneoff may have written to its array of events.
 */
#define WASI_CALLS(X)                                                              \
	/* name                    type            capability  handler          */ \
	X(args_get,                "ii:i",         NONE,       args_get)           \
	X(args_sizes_get,          "ii:i",         NONE,       args_sizes_get)     \
	X(environ_get,             "ii:i",         NONE,       environ_get)        \
	X(environ_sizes_get,       "ii:i",         NONE,       environ_sizes_get)  \
	X(clock_res_get,           "ii:i",         CLOCK,      clock_res_get)      \
	X(clock_time_get,          "iIi:i",        CLOCK,      clock_time_get)     \
	X(fd_advise,               "iIIi:i",       NONE,       fd_advise)          \
	X(fd_allocate,             "iII:i",        NONE,       fd_allocate)        \
	X(fd_close,                "i:i",          NONE,       fd_close)           \
	X(fd_datasync,             "i:i",          NONE,       fd_datasync)        \
	X(fd_fdstat_get,           "ii:i",         NONE,       fd_fdstat_get)      \
	X(fd_fdstat_set_flags,     "ii:i",         NONE,       fd_fdstat_set_flags)  \
	X(fd_fdstat_set_rights,    "iII:i",        NONE,       fd_fdstat_set_rights) \
	X(fd_filestat_get,         "ii:i",         NONE,       fd_filestat_get)    \
	X(fd_filestat_set_size,    "iI:i",         NONE,       fd_filestat_set_size) \
	X(fd_filestat_set_times,   "iIIi:i",       NONE,       fd_filestat_set_times) \
	X(fd_pread,                "iiiIi:i",      NONE,       fd_pread)           \
	X(fd_prestat_get,          "ii:i",         NONE,       fd_prestat_get)     \
	X(fd_prestat_dir_name,     "iii:i",        NONE,       fd_prestat_dir_name) \
	X(fd_pwrite,               "iiiIi:i",      NONE,       fd_pwrite)          \
	X(fd_read,                 "iiii:i",       NONE,       fd_read)            \
	X(fd_readdir,              "iiiIi:i",      NONE,       fd_readdir)         \
	X(fd_renumber,             "ii:i",         NONE,       fd_renumber)        \
	X(fd_seek,                 "iIii:i",       NONE,       fd_seek)            \
	X(fd_sync,                 "i:i",          NONE,       fd_sync)            \
	X(fd_tell,                 "ii:i",         NONE,       fd_tell)            \
	X(fd_write,                "iiii:i",       NONE,       fd_write)           \
	X(path_create_directory,   "iii:i",        NONE,       path_create_directory) \
	X(path_filestat_get,       "iiiii:i",      NONE,       path_filestat_get)  \
	X(path_filestat_set_times, "iiiiIIi:i",    NONE,       path_filestat_set_times) \
	X(path_link,               "iiiiiii:i",    NONE,       path_link)          \
	X(path_open,               "iiiiiIIii:i",  NONE,       path_open)          \
	X(path_readlink,           "iiiiii:i",     NONE,       path_readlink)      \
	X(path_remove_directory,   "iii:i",        NONE,       path_remove_directory) \
	X(path_rename,             "iiiiii:i",     NONE,       path_rename)        \
	X(path_symlink,            "iiiii:i",      NONE,       path_symlink)       \
	X(path_unlink_file,        "iii:i",        NONE,       path_unlink_file)   \
	X(poll_oneoff,             "iiii:i",       NONE,       poll_oneoff)        \
	X(proc_exit,               "i:",           NONE,       proc_exit)          \
	X(proc_raise,              "i:i",          NONE,       proc_raise)         \
	X(sched_yield,             ":i",           NONE,       sched_yield)        \
	X(random_get,              "ii:i",         RANDOM,     random_get)         \
	X(sock_accept,             "iii:i",        NONE,       no_socket)          \
	X(sock_recv,               "iiiiii:i",     NONE,       no_socket)          \
	X(sock_send,               "iiiii:i",      NONE,       no_socket)          \
	X(sock_shutdown,           "ii:i",         NONE,       no_socket)

/* Position in the table; + 1 in proto_shared.call and proto_denial.call. */
enum wasi_call {
#define X(name, type, capability, handler) WASI_CALL_##name,
	WASI_CALLS(X)
#undef X
	WASI_CALL_COUNT
};
_Static_assert((int)WASI_CALL_COUNT == PROTO_WASI_CALLS, "results have one counter a row");

#define WASI_PARAMETERS_MAX 9 /* of one call: path_open's */

#endif
