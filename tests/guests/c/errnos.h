/*
 * Which errnos each function of preview 1 can give here, and calls that provoke them. tests/guests/c/errnos.c makes the
 * calls; the unit tests and the fuzz target take the pairs from here, so that none of them sees one that is not here;
 * scripts/tables prints them into docs/wasi.md. In guests, tests, and at build time.
 */

#ifndef TESTS_GUESTS_ERRNOS_H
#define TESTS_GUESTS_ERRNOS_H

/* --- what is provoked ------------------------------------------------------------------------------------------ */

/*
 * A row is X(function, errno, what provokes it, call). The calls are for the guest, which has prepared what they name;
 * none of them changes anything. First what a path can do wrong, whatever it is for: OF(descriptor, path, its length).
 */
#define ERRNOS_OF_A_PATH(X, function, OF)                                                              \
	X(function, BADF, "a descriptor that is not open", OF(CLOSED, P("x")))                         \
	X(function, NOTDIR, "a descriptor of a file", OF(file, P("x")))                                \
	X(function, NOTDIR, "a descriptor of a pipe", OF(0, P("x")))                                   \
	X(function, NOTDIR, "a way over a file", OF(w, P("f/x")))                                      \
	X(function, NOTDIR, "a way over a file and back", OF(w, P("f/../x")))                          \
	X(function, NOTDIR, "a way over a link to a file", OF(w, P("l/x")))                            \
	X(function, NOTCAPABLE, "a descriptor without the right", OF(bare, P("x")))                    \
	X(function, NOTCAPABLE, "a path that begins with a slash", OF(w, P("/f")))                     \
	X(function, NOTCAPABLE, "a way up and out", OF(w, P("../w/f")))                                \
	X(function, NOTCAPABLE, "a way up and out of a directory", OF(dir, P("./../f")))               \
	X(function, NOTCAPABLE, "a way over a link that leads out", OF(w, P("out/x")))                 \
	X(function, FAULT, "a path that ends behind the memory", OF(w, end - 1, 2))                    \
	X(function, FAULT, "a path longer than the memory", OF(w, 0, UINT32_MAX))                      \
	X(function, NOENT, "an empty path", OF(w, P("")))                                              \
	X(function, NOENT, "a way over what is not there", OF(w, P("none/x")))                         \
	X(function, NOENT, "a way over a link to nothing", OF(w, P("nothing/x")))                      \
	X(function, LOOP, "a way over a link to itself", OF(w, P("loop/x")))                           \
	X(function, NAMETOOLONG, "a name of 256 bytes", OF(w, at(letters), 256))                       \
	X(function, NAMETOOLONG, "a path of 4096 bytes", OF(w, at(slashes), 4096))                     \
	X(function, ILSEQ, "bytes that are not UTF-8", OF(w, P("\xff")))                               \
	X(function, ILSEQ, "a slash in more bytes than it needs", OF(w, P("\xc0\xaf")))                \
	X(function, ILSEQ, "a NUL", OF(w, P("f\0")))

#define ERRNOS_OF_ALL_PATHS(X)                                     \
	ERRNOS_OF_A_PATH(X, path_create_directory, MKDIR)          \
	ERRNOS_OF_A_PATH(X, path_filestat_get, STAT)               \
	ERRNOS_OF_A_PATH(X, path_filestat_set_times, TOUCH)        \
	ERRNOS_OF_A_PATH(X, path_link, LINK_FROM)                  \
	ERRNOS_OF_A_PATH(X, path_link, LINK_TO)                    \
	ERRNOS_OF_A_PATH(X, path_open, OPEN)                       \
	ERRNOS_OF_A_PATH(X, path_open, CREATE)                     \
	ERRNOS_OF_A_PATH(X, path_readlink, READLINK)               \
	ERRNOS_OF_A_PATH(X, path_remove_directory, RMDIR)          \
	ERRNOS_OF_A_PATH(X, path_rename, RENAME_FROM)              \
	ERRNOS_OF_A_PATH(X, path_rename, RENAME_TO)                \
	ERRNOS_OF_A_PATH(X, path_symlink, SYMLINK)                 \
	ERRNOS_OF_A_PATH(X, path_unlink_file, UNLINK)

#define ERRNOS_OF_NAMES(X)                                                                                        \
	X(path_create_directory, EXIST, "a file is there", MKDIR(w, P("f")))                                      \
	X(path_create_directory, EXIST, "a directory is there", MKDIR(w, P("d/")))                                \
	X(path_create_directory, EXIST, "a link to nothing is there", MKDIR(w, P("nothing")))                     \
	X(path_create_directory, EXIST, "the directory itself", MKDIR(w, P(".")))                                 \
	X(path_create_directory, EXIST, "its parent", MKDIR(w, P("d/..")))                                        \
	X(path_create_directory, NOENT, "in a directory that was removed", MKDIR(gone, P("x")))                   \
	X(path_create_directory, NOTCAPABLE, "where policy grants reading only", MKDIR(ro, P("x")))               \
	X(path_filestat_get, INVAL, "an unknown lookup flag", path_filestat_get(w, 2, P("f"), out))               \
	X(path_filestat_get, FAULT, "a result behind the memory", path_filestat_get(w, 0, P("f"), end - 63))      \
	X(path_filestat_get, NOENT, "nothing is there", STAT(w, P("none")))                                       \
	X(path_filestat_get, NOENT, "the target of a link to nothing", path_filestat_get(w, 1, P("nothing"), out)) \
	X(path_filestat_get, NOTDIR, "a file behind a slash", STAT(w, P("f/")))                                   \
	X(path_filestat_get, NOTDIR, "a link to a file behind a slash", STAT(w, P("l/")))                         \
	X(path_filestat_get, LOOP, "the target of a link to itself", path_filestat_get(w, 1, P("loop"), out))     \
	X(path_filestat_get, NOTCAPABLE, "the target of a link that leads out", path_filestat_get(w, 1, P("out"), out)) \
	X(path_filestat_set_times, INVAL, "an unknown lookup flag", path_filestat_set_times(w, 2, P("f"), 1, 1, 1)) \
	X(path_filestat_set_times, INVAL, "one time both given and now", path_filestat_set_times(w, 0, P("f"), 1, 1, 3)) \
	X(path_filestat_set_times, INVAL, "the other one", path_filestat_set_times(w, 0, P("f"), 1, 1, 12))       \
	X(path_filestat_set_times, INVAL, "an unknown time flag", path_filestat_set_times(w, 0, P("f"), 1, 1, 16)) \
	X(path_filestat_set_times, NOENT, "nothing is there", TOUCH(w, P("none")))                                \
	X(path_filestat_set_times, NOTDIR, "a file behind a slash", TOUCH(w, P("f/")))                            \
	X(path_filestat_set_times, LOOP, "the target of a link to itself", path_filestat_set_times(w, 1, P("loop"), 1, 1, 1)) \
	X(path_filestat_set_times, NOTCAPABLE, "where policy grants reading only", TOUCH(ro, P("f")))             \
	X(path_link, INVAL, "an unknown lookup flag", path_link(w, 2, P("f"), w, P("new")))                       \
	X(path_link, BADF, "a closed directory behind what is none", path_link(file, 0, P("f"), CLOSED, P("new"))) \
	X(path_link, PERM, "a directory", LINK_FROM(w, P("d")))                                                   \
	X(path_link, PERM, "the directory itself", LINK_FROM(w, P(".")))                                          \
	X(path_link, EXIST, "a file is there", LINK_TO(w, P("d/x")))                                              \
	X(path_link, EXIST, "the file itself is there", LINK_TO(w, P("f")))                                       \
	X(path_link, EXIST, "a directory is there", LINK_TO(w, P("d")))                                           \
	X(path_link, EXIST, "a link to nothing is there", LINK_TO(w, P("nothing")))                               \
	X(path_link, NOENT, "of nothing", LINK_FROM(w, P("none")))                                                \
	X(path_link, NOENT, "of the target of a link to nothing", path_link(w, 1, P("nothing"), w, P("new")))     \
	X(path_link, NOENT, "a new name that ends in a slash", LINK_TO(w, P("new/")))                             \
	X(path_link, NOENT, "in a directory that was removed", LINK_TO(gone, P("x")))                             \
	X(path_link, NOTDIR, "a file behind a slash", LINK_FROM(w, P("f/")))                                      \
	X(path_link, LOOP, "of the target of a link to itself", path_link(w, 1, P("loop"), w, P("new")))          \
	X(path_link, XDEV, "from one mount to another", LINK_TO(in, P("new")))                                    \
	X(path_link, NOTCAPABLE, "where policy grants reading only", path_link(ro, 0, P("f"), ro, P("new")))      \
	X(path_open, INVAL, "an unknown lookup flag", path_open(w, 2, P("f"), 0, 0, 0, 0, out))                   \
	X(path_open, INVAL, "an unknown open flag", path_open(w, 0, P("f"), 16, 0, 0, 0, out))                    \
	X(path_open, INVAL, "an unknown descriptor flag", path_open(w, 0, P("f"), 0, 0, 0, 32, out))              \
	X(path_open, INVAL, "creat of a directory", path_open(w, 0, P("new"), CREAT | DIRECTORY, 0, 0, 0, out))   \
	X(path_open, FAULT, "a result behind the memory", path_open(w, 0, P("new"), CREAT, 0, 0, 0, end - 3))     \
	X(path_open, NOENT, "nothing is there", OPEN(w, P("none")))                                               \
	X(path_open, NOENT, "nothing is there to be emptied", path_open(w, 0, P("none"), TRUNC, 0, 0, 0, out))    \
	X(path_open, NOENT, "a new name that ends in a slash", CREATE(w, P("new/")))                              \
	X(path_open, NOENT, "the target of a link to nothing", path_open(w, 1, P("nothing"), 0, 0, 0, 0, out))    \
	X(path_open, NOENT, "in a directory that was removed", CREATE(gone, P("x")))                              \
	X(path_open, EXIST, "a new file where one is", path_open(w, 0, P("f"), CREAT | EXCL, 0, 0, 0, out))       \
	X(path_open, EXIST, "where a directory is", path_open(w, 0, P("d"), CREAT | EXCL, 0, 0, 0, out))          \
	X(path_open, EXIST, "where a link to nothing is", path_open(w, 1, P("nothing"), CREAT | EXCL, 0, 0, 0, out)) \
	X(path_open, NOTDIR, "a directory that is a file", path_open(w, 0, P("f"), DIRECTORY, 0, 0, 0, out))      \
	X(path_open, NOTDIR, "a directory that is a link", path_open(w, 0, P("ld"), DIRECTORY, 0, 0, 0, out))     \
	X(path_open, NOTDIR, "a file behind a slash", OPEN(w, P("f/")))                                           \
	X(path_open, NOTDIR, "a new file behind a slash where one is", CREATE(w, P("f/")))                        \
	X(path_open, ISDIR, "a directory for writing", path_open(w, 0, P("d"), 0, FD_WRITE, 0, 0, out))           \
	X(path_open, ISDIR, "a directory to be emptied", path_open(w, 0, P("d"), TRUNC, 0, 0, 0, out))            \
	X(path_open, ISDIR, "a new file where a directory is", CREATE(w, P("d")))                                 \
	X(path_open, ISDIR, "the mount itself for writing", path_open(w, 0, P("."), 0, FD_WRITE, 0, 0, out))      \
	X(path_open, LOOP, "a link", OPEN(w, P("l")))                                                             \
	X(path_open, LOOP, "a link to nothing", OPEN(w, P("nothing")))                                            \
	X(path_open, LOOP, "the target of a link to itself", path_open(w, 1, P("loop"), 0, 0, 0, 0, out))         \
	X(path_open, NOTCAPABLE, "a right that is not passed on", path_open(part, 0, P("x"), 0, FD_WRITE, 0, 0, out)) \
	X(path_open, NOTCAPABLE, "a right that is not passed on again", path_open(part, 0, P("x"), 0, 0, FD_WRITE, 0, out)) \
	X(path_open, NOTCAPABLE, "sync without the right to it", path_open(part, 0, P("x"), 0, 0, 0, SYNC, out))  \
	X(path_open, NOTCAPABLE, "creat without the right to it", path_open(part, 0, P("new"), CREAT, 0, 0, 0, out)) \
	X(path_open, NOTCAPABLE, "trunc without the right to it", path_open(part, 0, P("x"), TRUNC, 0, 0, 0, out)) \
	X(path_open, NOTCAPABLE, "writing where policy grants reading", path_open(ro, 0, P("f"), 0, FD_WRITE, 0, 0, out)) \
	X(path_open, NOTCAPABLE, "emptying where policy grants reading", path_open(ro, 0, P("f"), TRUNC, 0, 0, 0, out)) \
	X(path_open, NOTCAPABLE, "a new file where policy grants reading", CREATE(ro, P("new")))                  \
	X(path_readlink, INVAL, "a file", READLINK(w, P("f")))                                                    \
	X(path_readlink, INVAL, "a directory", READLINK(w, P("d")))                                               \
	X(path_readlink, INVAL, "a link to a directory, behind a slash", READLINK(w, P("ld/")))                   \
	X(path_readlink, NOENT, "nothing is there", READLINK(w, P("none")))                                       \
	X(path_readlink, NOTDIR, "a link to a file behind a slash", READLINK(w, P("l/")))                         \
	X(path_readlink, LOOP, "a link to itself behind a slash", READLINK(w, P("loop/")))                        \
	X(path_readlink, FAULT, "a buffer behind the memory", path_readlink(w, P("l"), end - 9, 10, out))         \
	X(path_readlink, FAULT, "a result behind the memory", path_readlink(w, P("l"), out, 10, end - 3))         \
	X(path_remove_directory, NOENT, "nothing is there", RMDIR(w, P("none")))                                  \
	X(path_remove_directory, NOTDIR, "a file", RMDIR(w, P("f")))                                              \
	X(path_remove_directory, NOTDIR, "a file behind a slash", RMDIR(w, P("f/")))                              \
	X(path_remove_directory, NOTDIR, "a link to a directory", RMDIR(w, P("ld")))                              \
	X(path_remove_directory, NOTDIR, "a link to a directory behind a slash", RMDIR(w, P("ld/")))              \
	X(path_remove_directory, NOTEMPTY, "a directory that is not empty", RMDIR(w, P("d")))                     \
	X(path_remove_directory, NOTEMPTY, "two dots", RMDIR(w, P("d/..")))                                       \
	X(path_remove_directory, INVAL, "a dot", RMDIR(w, P("d/.")))                                              \
	X(path_remove_directory, BUSY, "a mount", RMDIR(w, P("in")))                                              \
	X(path_remove_directory, NOTCAPABLE, "where policy grants no deleting", RMDIR(ro, P("e/n")))                \
	X(path_rename, NOENT, "nothing is there", RENAME_FROM(w, P("none")))                                      \
	X(path_rename, NOENT, "to a directory that was removed", RENAME_TO(gone, P("x")))                         \
	X(path_rename, BADF, "a closed directory behind what is none", path_rename(file, P("f"), CLOSED, P("new"))) \
	X(path_rename, NOTDIR, "a file behind a slash", RENAME_FROM(w, P("f/")))                                  \
	X(path_rename, NOTDIR, "a file to a name with a slash", RENAME_TO(w, P("new/")))                          \
	X(path_rename, NOTDIR, "a file to itself with a slash", RENAME_TO(w, P("f/")))                            \
	X(path_rename, NOTDIR, "a link to a directory behind a slash", RENAME_FROM(w, P("ld/")))                  \
	X(path_rename, NOTDIR, "a directory onto a file", path_rename(w, P("d"), w, P("f")))                      \
	X(path_rename, NOTDIR, "a directory onto a link to one", path_rename(w, P("e"), w, P("ld")))              \
	X(path_rename, ISDIR, "a file onto a directory", RENAME_TO(w, P("e")))                                    \
	X(path_rename, NOTEMPTY, "onto a directory that is not empty", path_rename(w, P("e"), w, P("d")))         \
	X(path_rename, INVAL, "a directory into itself", path_rename(w, P("d"), w, P("d/new")))                   \
	X(path_rename, INVAL, "a dot", RENAME_FROM(w, P("d/.")))                                                  \
	X(path_rename, INVAL, "onto two dots", RENAME_TO(w, P("d/..")))                                           \
	X(path_rename, BUSY, "a mount", RENAME_FROM(w, P("in")))                                                  \
	X(path_rename, BUSY, "a directory onto a mount", path_rename(w, P("e"), w, P("in")))                      \
	X(path_rename, XDEV, "from one mount to another", RENAME_TO(in, P("new")))                                \
	X(path_rename, NOTCAPABLE, "where policy grants reading only", path_rename(ro, P("f"), ro, P("new")))     \
	X(path_symlink, NOENT, "an empty target", path_symlink(P(""), w, P("new")))                               \
	X(path_symlink, ILSEQ, "a target that is not UTF-8", path_symlink(P("\xff"), w, P("new")))                \
	X(path_symlink, NAMETOOLONG, "a target of 4096 bytes", path_symlink(at(slashes), 4096, w, P("new")))      \
	X(path_symlink, NOTCAPABLE, "an absolute target", path_symlink(P("/f"), w, P("new")))                     \
	X(path_symlink, FAULT, "a target behind the memory", path_symlink(end - 1, 2, w, P("new")))               \
	X(path_symlink, EXIST, "a file is there", SYMLINK(w, P("f")))                                             \
	X(path_symlink, EXIST, "a directory is there, with a slash", SYMLINK(w, P("d/")))                         \
	X(path_symlink, EXIST, "a link to nothing is there", SYMLINK(w, P("nothing")))                            \
	X(path_symlink, NOTDIR, "a file is there, and a slash behind it", SYMLINK(w, P("f/")))                    \
	X(path_symlink, NOENT, "a new name that ends in a slash", SYMLINK(w, P("new/")))                          \
	X(path_symlink, NOENT, "in a directory that was removed", SYMLINK(gone, P("x")))                          \
	X(path_symlink, NOTCAPABLE, "where policy grants reading only", SYMLINK(ro, P("new")))                    \
	X(path_unlink_file, NOENT, "nothing is there", UNLINK(w, P("none")))                                      \
	X(path_unlink_file, ISDIR, "a directory", UNLINK(w, P("d")))                                              \
	X(path_unlink_file, ISDIR, "an empty directory with a slash", UNLINK(w, P("e/")))                         \
	X(path_unlink_file, ISDIR, "a mount", UNLINK(w, P("in")))                                                 \
	X(path_unlink_file, ISDIR, "a dot", UNLINK(w, P(".")))                                                    \
	X(path_unlink_file, NOTDIR, "a file behind a slash", UNLINK(w, P("f/")))                                  \
	X(path_unlink_file, NOTDIR, "a link to a directory behind a slash", UNLINK(w, P("ld/")))                  \
	X(path_unlink_file, NOTCAPABLE, "where policy grants reading only", UNLINK(ro, P("f")))

#define ERRNOS_OF_DESCRIPTORS(X)                                                                        \
	X(fd_advise, BADF, "it is not open", fd_advise(CLOSED, 0, 0, 0))                                \
	X(fd_advise, INVAL, "unknown advice", fd_advise(file, 0, 0, 6))                                 \
	X(fd_advise, INVAL, "a negative offset", fd_advise(file, -1, 0, 0))                             \
	X(fd_advise, INVAL, "a negative length", fd_advise(file, 0, -1, 0))                             \
	X(fd_advise, SPIPE, "a pipe", fd_advise(0, 0, 0, 0))                                            \
	X(fd_advise, NOTCAPABLE, "without the right", fd_advise(none, 0, 0, 0))                         \
	X(fd_allocate, BADF, "it is not open", fd_allocate(CLOSED, 0, 1))                               \
	X(fd_allocate, INVAL, "nothing", fd_allocate(file, 0, 0))                                       \
	X(fd_allocate, INVAL, "a negative offset", fd_allocate(file, INT64_MIN, 1))                     \
	X(fd_allocate, FBIG, "past the largest size", fd_allocate(file, INT64_C(1) << 40, 1))           \
	X(fd_allocate, FBIG, "past the largest number", fd_allocate(file, INT64_MAX, INT64_MAX))        \
	X(fd_allocate, SPIPE, "a pipe", fd_allocate(1, 0, 1))                                           \
	X(fd_allocate, ISDIR, "a directory", fd_allocate(dir, 0, 1))                                    \
	X(fd_allocate, NOTCAPABLE, "without the right", fd_allocate(none, 0, 1))                        \
	X(fd_close, BADF, "it is not open", fd_close(CLOSED))                                           \
	X(fd_close, BADF, "the largest number", fd_close(-1))                                           \
	X(fd_datasync, BADF, "it is not open", fd_datasync(CLOSED))                                     \
	X(fd_datasync, INVAL, "a pipe", fd_datasync(1))                                                 \
	X(fd_datasync, NOTCAPABLE, "without the right", fd_datasync(none))                              \
	X(fd_fdstat_get, BADF, "it is not open", fd_fdstat_get(CLOSED, out))                            \
	X(fd_fdstat_get, FAULT, "a result behind the memory", fd_fdstat_get(file, end - 23))            \
	X(fd_fdstat_set_flags, BADF, "it is not open", fd_fdstat_set_flags(CLOSED, 0))                  \
	X(fd_fdstat_set_flags, INVAL, "an unknown flag", fd_fdstat_set_flags(file, 32))                 \
	X(fd_fdstat_set_flags, NOTCAPABLE, "without the right", fd_fdstat_set_flags(none, 0))           \
	X(fd_fdstat_set_rights, BADF, "it is not open", fd_fdstat_set_rights(CLOSED, 0, 0))             \
	X(fd_fdstat_set_rights, NOTCAPABLE, "a right more", fd_fdstat_set_rights(none, FD_READ, 0))     \
	X(fd_fdstat_set_rights, NOTCAPABLE, "a right more to pass on", fd_fdstat_set_rights(bare, 0, FD_READ)) \
	X(fd_fdstat_set_rights, NOTCAPABLE, "a right that there is not", fd_fdstat_set_rights(file, INT64_C(1) << 30, 0)) \
	X(fd_filestat_get, BADF, "it is not open", fd_filestat_get(CLOSED, out))                        \
	X(fd_filestat_get, FAULT, "a result behind the memory", fd_filestat_get(file, end - 63))        \
	X(fd_filestat_get, NOTCAPABLE, "without the right", fd_filestat_get(none, out))                 \
	X(fd_filestat_set_size, BADF, "it is not open", fd_filestat_set_size(CLOSED, 0))                \
	X(fd_filestat_set_size, INVAL, "a negative size", fd_filestat_set_size(file, -1))               \
	X(fd_filestat_set_size, INVAL, "a pipe", fd_filestat_set_size(1, 0))                            \
	X(fd_filestat_set_size, FBIG, "past the largest size", fd_filestat_set_size(file, (INT64_C(1) << 40) + 1)) \
	X(fd_filestat_set_size, ISDIR, "a directory", fd_filestat_set_size(dir, 0))                     \
	X(fd_filestat_set_size, NOTCAPABLE, "without the right", fd_filestat_set_size(none, 0))         \
	X(fd_filestat_set_times, BADF, "it is not open", fd_filestat_set_times(CLOSED, 1, 1, 1))        \
	X(fd_filestat_set_times, INVAL, "one time both given and now", fd_filestat_set_times(file, 1, 1, 3)) \
	X(fd_filestat_set_times, INVAL, "the other one", fd_filestat_set_times(file, 1, 1, 12))         \
	X(fd_filestat_set_times, INVAL, "an unknown flag", fd_filestat_set_times(file, 1, 1, 16))       \
	X(fd_filestat_set_times, NOTSUP, "a pipe", fd_filestat_set_times(1, 1, 1, 1))                   \
	X(fd_filestat_set_times, NOTCAPABLE, "without the right", fd_filestat_set_times(none, 1, 1, 1)) \
	X(fd_prestat_get, BADF, "it is not open", fd_prestat_get(CLOSED, out))                          \
	X(fd_prestat_get, BADF, "a directory that is no mount", fd_prestat_get(dir, out))               \
	X(fd_prestat_get, FAULT, "a result behind the memory", fd_prestat_get(w, end - 7))              \
	X(fd_prestat_dir_name, BADF, "it is not open", fd_prestat_dir_name(CLOSED, out, 99))            \
	X(fd_prestat_dir_name, BADF, "a file", fd_prestat_dir_name(file, out, 99))                      \
	X(fd_prestat_dir_name, FAULT, "a buffer behind the memory", fd_prestat_dir_name(w, end - 1, 2)) \
	X(fd_prestat_dir_name, NAMETOOLONG, "a buffer that is too short", fd_prestat_dir_name(w, out, 1)) \
	X(fd_renumber, BADF, "it is not open", fd_renumber(CLOSED, file))                               \
	X(fd_renumber, BADF, "the other one is not open", fd_renumber(file, CLOSED))                    \
	X(fd_renumber, BADF, "neither is", fd_renumber(CLOSED, CLOSED))                                 \
	X(fd_sync, BADF, "it is not open", fd_sync(CLOSED))                                             \
	X(fd_sync, INVAL, "a pipe", fd_sync(0))                                                         \
	X(fd_sync, NOTCAPABLE, "without the right", fd_sync(none))

#define ERRNOS_OF_BYTES(X)                                                                              \
	X(fd_pread, BADF, "it is not open", fd_pread(CLOSED, list, 1, 0, out))                          \
	X(fd_pread, INVAL, "a negative offset", fd_pread(file, list, 1, INT64_MIN, out))                \
	X(fd_pread, SPIPE, "a pipe", fd_pread(0, list, 1, 0, out))                                      \
	X(fd_pread, ISDIR, "a directory", fd_pread(dir, list, 1, 0, out))                               \
	X(fd_pread, NOTCAPABLE, "without the right", fd_pread(none, list, 1, 0, out))                   \
	X(fd_pread, FAULT, "an array behind the memory", fd_pread(file, end - 7, 1, 0, out))            \
	X(fd_pread, FAULT, "an array longer than the memory", fd_pread(file, list, UINT32_MAX, 0, out)) \
	X(fd_pread, FAULT, "a buffer behind the memory", fd_pread(file, bad_list, 1, 0, out))           \
	X(fd_pread, FAULT, "a result behind the memory", fd_pread(file, list, 1, 0, end - 3))           \
	X(fd_pwrite, BADF, "it is not open", fd_pwrite(CLOSED, list, 1, 0, out))                        \
	X(fd_pwrite, INVAL, "a negative offset", fd_pwrite(file, list, 1, -1, out))                     \
	X(fd_pwrite, FBIG, "past the largest size", fd_pwrite(file, list, 1, INT64_C(1) << 40, out))    \
	X(fd_pwrite, FBIG, "at the largest number", fd_pwrite(file, list, 1, INT64_MAX, out))           \
	X(fd_pwrite, SPIPE, "a pipe", fd_pwrite(1, list, 1, 0, out))                                    \
	X(fd_pwrite, ISDIR, "a directory", fd_pwrite(dir, list, 1, 0, out))                             \
	X(fd_pwrite, NOTCAPABLE, "without the right", fd_pwrite(none, list, 1, 0, out))                 \
	X(fd_pwrite, FAULT, "an array behind the memory", fd_pwrite(file, end - 7, 1, 0, out))          \
	X(fd_pwrite, FAULT, "a buffer behind the memory", fd_pwrite(file, bad_list, 1, 0, out))         \
	X(fd_pwrite, FAULT, "a result behind the memory", fd_pwrite(file, list, 1, 0, end - 3))         \
	X(fd_read, BADF, "it is not open", fd_read(CLOSED, list, 1, out))                               \
	X(fd_read, BADF, "the end of a pipe that is written to", fd_read(1, list, 1, out))              \
	X(fd_read, ISDIR, "a directory", fd_read(dir, list, 1, out))                                    \
	X(fd_read, NOTCAPABLE, "without the right", fd_read(none, list, 1, out))                        \
	X(fd_read, FAULT, "an array behind the memory", fd_read(file, end - 7, 1, out))                 \
	X(fd_read, FAULT, "an array longer than the memory", fd_read(0, list, UINT32_MAX, out))         \
	X(fd_read, FAULT, "a buffer behind the memory", fd_read(file, bad_list, 1, out))                \
	X(fd_read, FAULT, "a result behind the memory", fd_read(file, list, 1, end - 3))                \
	X(fd_readdir, BADF, "it is not open", fd_readdir(CLOSED, out, 99, 0, out))                      \
	X(fd_readdir, NOTDIR, "a file", fd_readdir(file, out, 99, 0, out))                              \
	X(fd_readdir, NOTDIR, "a pipe", fd_readdir(0, out, 99, 0, out))                                 \
	X(fd_readdir, NOTCAPABLE, "without the right", fd_readdir(bare, out, 99, 0, out))               \
	X(fd_readdir, FAULT, "a buffer behind the memory", fd_readdir(dir, end - 1, 2, 0, out))         \
	X(fd_readdir, FAULT, "a result behind the memory", fd_readdir(dir, out, 99, 0, end - 3))        \
	X(fd_seek, BADF, "it is not open", fd_seek(CLOSED, 0, 0, out))                                  \
	X(fd_seek, INVAL, "an unknown whence", fd_seek(file, 0, 3, out))                                \
	X(fd_seek, INVAL, "before the start", fd_seek(file, -1, 0, out))                                \
	X(fd_seek, INVAL, "before the start, from the end", fd_seek(file, -6, 2, out))                  \
	X(fd_seek, INVAL, "by the smallest number", fd_seek(file, INT64_MIN, 1, out))                   \
	X(fd_seek, OVERFLOW, "past the largest number", fd_seek(file, INT64_MAX, 2, out))               \
	X(fd_seek, SPIPE, "a pipe", fd_seek(0, 0, 1, out))                                              \
	X(fd_seek, ISDIR, "a directory", fd_seek(dir, 0, 1, out))                                       \
	X(fd_seek, NOTCAPABLE, "without the right", fd_seek(none, 0, 1, out))                           \
	X(fd_seek, NOTCAPABLE, "with the right to tell only", fd_seek(teller, 1, 1, out))               \
	X(fd_seek, FAULT, "a result behind the memory", fd_seek(file, 0, 0, end - 7))                   \
	X(fd_tell, BADF, "it is not open", fd_tell(CLOSED, out))                                        \
	X(fd_tell, SPIPE, "a pipe", fd_tell(1, out))                                                    \
	X(fd_tell, ISDIR, "a directory", fd_tell(dir, out))                                             \
	X(fd_tell, NOTCAPABLE, "without the right", fd_tell(none, out))                                 \
	X(fd_tell, FAULT, "a result behind the memory", fd_tell(file, end - 7))                         \
	X(fd_write, BADF, "it is not open", fd_write(CLOSED, list, 1, out))                             \
	X(fd_write, BADF, "the end of a pipe that is read", fd_write(0, list, 1, out))                  \
	X(fd_write, FBIG, "past the largest size", fd_write(far, list, 1, out))                         \
	X(fd_write, ISDIR, "a directory", fd_write(dir, list, 1, out))                                  \
	X(fd_write, NOTCAPABLE, "without the right", fd_write(none, list, 1, out))                      \
	X(fd_write, FAULT, "an array behind the memory", fd_write(file, end - 7, 1, out))               \
	X(fd_write, FAULT, "an array longer than the memory", fd_write(1, list, UINT32_C(1) << 29, out)) \
	X(fd_write, FAULT, "a buffer behind the memory", fd_write(file, bad_list, 1, out))              \
	X(fd_write, FAULT, "a result behind the memory", fd_write(1, list, 1, end - 3))

#define ERRNOS_OF_THE_REST(X)                                                                           \
	X(args_get, FAULT, "pointers behind the memory", args_get(end - 3, out))                        \
	X(args_get, FAULT, "strings behind the memory", args_get(out, end - 1))                         \
	X(args_sizes_get, FAULT, "a result behind the memory", args_sizes_get(end - 3, out))            \
	X(args_sizes_get, FAULT, "the other one", args_sizes_get(out, end - 3))                         \
	X(environ_get, FAULT, "pointers behind the memory", environ_get(end - 3, out))                  \
	X(environ_get, FAULT, "strings behind the memory", environ_get(out, end - 1))                   \
	X(environ_sizes_get, FAULT, "a result behind the memory", environ_sizes_get(end - 3, out))      \
	X(environ_sizes_get, FAULT, "the other one", environ_sizes_get(out, end - 3))                   \
	X(clock_res_get, INVAL, "a clock that there is not", clock_res_get(4, out))                     \
	X(clock_res_get, FAULT, "a result behind the memory", clock_res_get(0, end - 7))                \
	X(clock_time_get, INVAL, "a clock that there is not", clock_time_get(4, 0, out))                \
	X(clock_time_get, FAULT, "a result behind the memory", clock_time_get(0, 0, end - 7))           \
	X(poll_oneoff, INVAL, "no subscriptions", poll_oneoff(out, out, 0, out))                        \
	X(poll_oneoff, INVAL, "an unknown type", poll_of(3, 0, 0))                                      \
	X(poll_oneoff, INVAL, "a clock that there is not", poll_of(0, 4, 0))                            \
	X(poll_oneoff, INVAL, "an unknown flag", poll_of(0, 1, 2))                                      \
	X(poll_oneoff, FAULT, "subscriptions behind the memory", poll_oneoff(end - 47, out, 1, out))    \
	X(poll_oneoff, FAULT, "events behind the memory", poll_oneoff(out, end - 31, 1, out))           \
	X(poll_oneoff, FAULT, "more than the memory holds", poll_oneoff(out, out, UINT32_MAX, out))     \
	X(poll_oneoff, FAULT, "a result behind the memory", poll_oneoff(out, out, 1, end - 3))          \
	X(proc_raise, INVAL, "a signal that there is not", proc_raise(31))                              \
	X(proc_raise, NOTSUP, "a signal that stops", proc_raise(18))                                    \
	X(random_get, FAULT, "a buffer behind the memory", random_get(end - 1, 2))                      \
	X(random_get, FAULT, "more than the memory holds", random_get(0, UINT32_MAX))                   \
	X(sock_accept, BADF, "it is not open", sock_accept(CLOSED, 0, out))                             \
	X(sock_accept, NOTSOCK, "a file", sock_accept(file, 0, out))                                    \
	X(sock_recv, BADF, "it is not open", sock_recv(CLOSED, list, 1, 0, out, out))                   \
	X(sock_recv, NOTSOCK, "a pipe", sock_recv(0, list, 1, 0, out, out))                             \
	X(sock_send, BADF, "it is not open", sock_send(CLOSED, list, 1, 0, out))                        \
	X(sock_send, NOTSOCK, "a pipe", sock_send(1, list, 1, 0, out))                                  \
	X(sock_shutdown, BADF, "it is not open", sock_shutdown(CLOSED, 1))                              \
	X(sock_shutdown, NOTSOCK, "a directory", sock_shutdown(dir, 1))

/* When policy grants neither clock nor randomness. */
#define ERRNOS_WITHOUT_GRANTS(X)                                                                 \
	X(clock_res_get, NOTCAPABLE, "policy grants no clock", clock_res_get(0, out))            \
	X(clock_time_get, NOTCAPABLE, "policy grants no clock", clock_time_get(1, 0, out))       \
	X(random_get, NOTCAPABLE, "policy grants no randomness", random_get(out, 1))

/* When the client has sent nothing yet. */
#define ERRNOS_WITHOUT_INPUT(X) X(fd_read, AGAIN, "nothing has come, and nonblock", fd_read(0, list, 1, out))

/* When there is no descriptor left; then, when there is no room left. */
#define ERRNOS_WITHOUT_DESCRIPTORS(X)                                           \
	X(path_open, MFILE, "open_files are open", OPEN(w, P("f")))             \
	X(path_open, MFILE, "the same, and nothing is made", CREATE(w, P("new")))
#define ERRNOS_WITHOUT_ROOM(X)                                                                   \
	X(fd_allocate, NOSPC, "fs_bytes are used", fd_allocate(file, 0, 1 << 20))                \
	X(fd_pwrite, NOSPC, "fs_bytes are used", fd_pwrite(file, list, 1, 1 << 20, out))         \
	X(fd_write, NOSPC, "fs_bytes are used", fd_write(full, list, 1, out))                    \
	X(path_create_directory, NOSPC, "fs_bytes are used", MKDIR(w, P("new")))                 \
	X(path_link, NOSPC, "fs_bytes are used", LINK_TO(w, P("new")))                           \
	X(path_open, NOSPC, "fs_bytes are used", CREATE(w, P("new")))                            \
	X(path_rename, NOSPC, "fs_bytes are used", RENAME_TO(w, P("new")))                       \
	X(path_symlink, NOSPC, "fs_bytes are used", SYMLINK(w, P("new")))

/* What directories of the host add: where all is closed, all is gone, there is too much, and the server was lost. */
#define ERRNOS_OF_A_HOST_PATH(X, function, OF)                                          \
	X(function, ACCES, "what the client's user may not read", OF(closed, P("x")))   \
	X(function, NOENT, "a directory that is gone", OF(missing, P("x")))             \
	X(function, NOMEM, "more names than can be held", OF(large, P("x")))            \
	X(function, IO, "a server that is lost", OF(lost, P("x")))
#define ERRNOS_OF_A_HOST(X)                                                                              \
	ERRNOS_OF_A_HOST_PATH(X, path_create_directory, MKDIR)                                           \
	ERRNOS_OF_A_HOST_PATH(X, path_filestat_get, STAT)                                                \
	ERRNOS_OF_A_HOST_PATH(X, path_filestat_set_times, TOUCH)                                         \
	ERRNOS_OF_A_HOST_PATH(X, path_link, LINK_FROM)                                                   \
	ERRNOS_OF_A_HOST_PATH(X, path_link, LINK_TO)                                                     \
	ERRNOS_OF_A_HOST_PATH(X, path_open, OPEN)                                                        \
	ERRNOS_OF_A_HOST_PATH(X, path_readlink, READLINK)                                                \
	ERRNOS_OF_A_HOST_PATH(X, path_remove_directory, RMDIR)                                           \
	ERRNOS_OF_A_HOST_PATH(X, path_rename, RENAME_FROM)                                               \
	ERRNOS_OF_A_HOST_PATH(X, path_rename, RENAME_TO)                                                 \
	ERRNOS_OF_A_HOST_PATH(X, path_symlink, SYMLINK)                                                  \
	ERRNOS_OF_A_HOST_PATH(X, path_unlink_file, UNLINK)                                               \
	X(fd_readdir, ACCES, "what the client's user may not read", fd_readdir(closed, out, 99, 0, out)) \
	X(fd_readdir, NOENT, "a directory that is gone", fd_readdir(missing, out, 99, 0, out))           \
	X(fd_readdir, NOMEM, "more names than can be held", fd_readdir(large, out, 99, 0, out))          \
	X(fd_readdir, IO, "a server that is lost", fd_readdir(lost, out, 99, 0, out))                    \
	X(fd_filestat_get, ACCES, "what the client's user may not look at", fd_filestat_get(closed, out)) \
	X(fd_filestat_get, NOENT, "a directory that is gone", fd_filestat_get(missing, out))             \
	X(fd_filestat_get, IO, "a server that is lost", fd_filestat_get(lost, out))                      \
	X(fd_read, ACCES, "a file that was closed to its user meanwhile", fd_read(shut, list, 1, out))   \
	X(fd_read, IO, "a file that has changed meanwhile", fd_read(changed, list, 1, out))              \
	X(fd_pread, ACCES, "a file that was closed to its user meanwhile", fd_pread(shut, list, 1, FAR_IN, out)) \
	X(fd_pread, IO, "a file that has changed meanwhile", fd_pread(changed, list, 1, FAR_IN, out))    \
	X(fd_write, ACCES, "a file that was closed to its user meanwhile", fd_write(shut, list, 1, out)) \
	X(fd_write, IO, "a file that has changed meanwhile", fd_write(changed, list, 1, out))            \
	X(fd_pwrite, ACCES, "a file that was closed to its user meanwhile", fd_pwrite(shut, list, 1, FAR_IN, out)) \
	X(fd_pwrite, IO, "a file that has changed meanwhile", fd_pwrite(changed, list, 1, FAR_IN, out))  \
	X(fd_allocate, ACCES, "a file that was closed to its user meanwhile", fd_allocate(shut, FAR_IN, 1)) \
	X(fd_allocate, IO, "a file that has changed meanwhile", fd_allocate(changed, FAR_IN, 1))         \
	X(path_filestat_get, OVERFLOW, "a file larger than the largest", STAT(host, P("huge")))          \
	X(path_filestat_set_times, OVERFLOW, "a file larger than the largest", TOUCH(host, P("huge")))   \
	X(path_link, XDEV, "a fifo of the host", path_link(host, 0, P("fifo"), host, P("new")))          \
	X(path_open, ACCES, "a file that may not be read", path_open(host, 0, P("locked"), 0, FD_READ, 0, 0, out)) \
	X(path_open, NXIO, "a fifo of the host", OPEN(host, P("fifo")))                                  \
	X(path_open, OVERFLOW, "a file larger than the largest", OPEN(host, P("huge")))                  \
	X(path_open, ILSEQ, "a link whose target is not UTF-8", path_open(host, 1, P("strange"), 0, 0, 0, 0, out)) \
	X(path_readlink, INVAL, "a fifo of the host", READLINK(host, P("fifo")))                         \
	X(path_readlink, INVAL, "a file larger than the largest", READLINK(host, P("huge")))             \
	X(path_rename, XDEV, "a directory of the host", path_rename(host, P("d"), host, P("new")))       \
	X(path_rename, XDEV, "a fifo of the host", path_rename(host, P("fifo"), host, P("new")))

/* Events of poll_oneoff have errnos of their own: X(errno, what provokes it, type, clock or descriptor, flags). */
#define ERRNOS_OF_EVENTS(X)                                                                   \
	X(BADF, "a descriptor that is not open", 1, CLOSED, 0)                                \
	X(BADF, "a pipe's end that is read, for writing", 2, 0, 0)                            \
	X(BADF, "a pipe's end that is written to, for reading", 1, 1, 0)                      \
	X(ISDIR, "a directory", 1, dir, 0)                                                    \
	X(NOTCAPABLE, "without the right", 1, none, 0)                                        \
	X(NOTSUP, "processor time", 0, 3, 0)
#define ERRNOS_OF_EVENTS_WITHOUT_GRANTS(X) X(NOTCAPABLE, "a time of a clock that policy does not grant", 0, 1, 1)

/* All rows. */
#define ERRNOS(X)                     \
	ERRNOS_OF_ALL_PATHS(X)        \
	ERRNOS_OF_NAMES(X)            \
	ERRNOS_OF_DESCRIPTORS(X)      \
	ERRNOS_OF_BYTES(X)            \
	ERRNOS_OF_THE_REST(X)         \
	ERRNOS_WITHOUT_GRANTS(X)      \
	ERRNOS_WITHOUT_INPUT(X)       \
	ERRNOS_WITHOUT_DESCRIPTORS(X) \
	ERRNOS_WITHOUT_ROOM(X)        \
	ERRNOS_OF_A_HOST(X)

/* --- what is not ----------------------------------------------------------------------------------------------- */

/* Errnos of preview 1 that no function gives here, and why. */
#define ERRNOS_NEVER(X)                                                                                  \
	X("`2BIG`, `CHILD`, `NOEXEC`, `SRCH`, `TXTBSY`", "no process is made or looked for, and no file run") \
	X("`ADDRINUSE`, `ADDRNOTAVAIL`, `AFNOSUPPORT`, `ALREADY`, `CONNABORTED`, `CONNREFUSED`, `CONNRESET`, " \
	    "`DESTADDRREQ`, `HOSTUNREACH`, `INPROGRESS`, `ISCONN`, `MSGSIZE`, `NETDOWN`, `NETRESET`, "         \
	    "`NETUNREACH`, `NOBUFS`, `NOPROTOOPT`, `NOTCONN`, `PROTO`, `PROTONOSUPPORT`, `PROTOTYPE`, "        \
	    "`TIMEDOUT`",                                                                                      \
	    "there are no sockets: `NOTSOCK`, whatever is asked of one")                                       \
	X("`BADMSG`, `IDRM`, `NOMSG`", "there are no message queues")                                          \
	X("`CANCELED`, `DEADLK`, `NOLCK`, `NOTRECOVERABLE`, `OWNERDEAD`", "there are no locks, and nothing to cancel") \
	X("`DOM`, `RANGE`", "are a C library's")                                                               \
	X("`DQUOT`, `NFILE`", "what a run may have are limits of its own: `NOSPC`, `MFILE`")                   \
	X("`INTR`", "a signal ends the run")                                                                   \
	X("`MLINK`", "four billion names of a file are more than `fs_bytes` can be")                           \
	X("`MULTIHOP`, `NOLINK`, `STALE`", "no path leads to another machine")                                 \
	X("`NODEV`, `NOTTY`", "devices are not opened, and there is no call for terminals")                    \
	X("`NOSYS`", "all functions are there")                                                                \
	X("`PIPE`", "output that nobody takes any more ends the run")                                          \
	X("`ROFS`", "what policy withholds is `NOTCAPABLE`")

/* Errnos that POSIX has for a function, that others have here, and that it does not; and why. */
#define ERRNOS_NOT_OF(X)                                                                                        \
	X("`fd_close`, `fd_datasync`, `fd_sync`", "`IO`", "nothing is written late")                            \
	X("`fd_filestat_get`, `fd_read`", "`OVERFLOW`", "what is too large is not opened")                      \
	X("`fd_filestat_set_size`", "`IO`, `NOSPC`", "what is cut is not read, and what is added is a hole")    \
	X("`fd_filestat_set_times`, `path_filestat_set_times`", "`ACCES`, `PERM`", "what policy withholds is `NOTCAPABLE`") \
	X("`fd_read`, `fd_pread`, `fd_write`, `fd_pwrite`", "`INVAL`", "lengths that do not fit a count are cut") \
	X("`fd_read`, `fd_write`", "`NXIO`", "devices are not opened")                                          \
	X("`fd_pread`, `fd_pwrite`, `fd_write`", "`AGAIN`", "files never wait, and output waits in the worker") \
	X("`fd_readdir`", "`INVAL`", "a cookie that never was lists what has a larger one")                     \
	X("`path_link`, `path_symlink`, `path_create_directory`", "`ACCES`", "of what policy withholds: `NOTCAPABLE`") \
	X("`path_open`", "`AGAIN`, `BUSY`", "fifos and devices are not opened")                                 \
	X("`path_remove_directory`", "`EXIST`, `PERM`", "`NOTEMPTY` and `NOTCAPABLE`, where POSIX leaves the choice") \
	X("`path_rename`", "`EXIST`, `PERM`", "`NOTEMPTY` and `NOTCAPABLE`, where POSIX leaves the choice")     \
	X("`path_unlink_file`", "`BUSY`, `PERM`", "a directory, mounted or not, is `ISDIR`, as Linux has it")   \
	X("`proc_raise`", "`PERM`", "a run may end itself")                                                     \
	X("`random_get`", "`AGAIN`, `IO`", "the kernel's generator is ready before a run starts")

#endif
