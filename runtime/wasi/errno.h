/* runtime/wasi/errno: the error numbers of WASI preview 1, those that this host gives. Runs in the worker. */

#ifndef RUNTIME_WASI_ERRNO_H
#define RUNTIME_WASI_ERRNO_H

/* From the `errno` type of wasi_snapshot_preview1; each means what its POSIX namesake means. */
enum wasi_errno {
	WASI_ESUCCESS = 0,
	WASI_EAGAIN = 6,
	WASI_EBADF = 8,
	WASI_EFAULT = 21,
	WASI_EINVAL = 28,
	WASI_EIO = 29,
	WASI_ENOTDIR = 54,
	WASI_ENOTSOCK = 57,
	WASI_ENOTSUP = 58,
	WASI_EOVERFLOW = 61,
	WASI_ESPIPE = 70,
	WASI_ENOTCAPABLE = 76,
};

#endif
