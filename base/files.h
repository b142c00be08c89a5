/* base/files: what a worker asks about a directory of the host, and what brig-files answers. Worker and brig-files. */

#ifndef BASE_FILES_H
#define BASE_FILES_H

#include <stdint.h>

#include "base/digest.h"
#include "base/imsg.h"

/*
 * One brig-files serves one directory of the host, read-only, on one SOCK_SEQPACKET socket whose other end becomes a
 * worker's. Packets are those of base/imsg.h, without descriptors. Neither side trusts the other.
 *
 * The worker sends one request and reads until its FILES_DONE. The server keeps nothing between two requests: a path
 * and a version say it all, so that a copy of a worker can go on by a socket of its own. Paths are relative to the
 * directory: no slash at either end, no empty component, no "." or "..", at most FILES_PATH_MAX bytes, any bytes but NUL;
 * "" is the directory itself. The server follows no link, crosses no mount, leaves the directory in no way.
 *
 * `run` in the header is a number that the worker chooses; every packet of the answer repeats it.
 */
#define FILES_TYPES(X)                                                                                      \
	/* name            value  direction          payload                                             */ \
	X(FILES_LIST,       1) /* worker -> server   struct files_ask, path of a directory               */ \
	X(FILES_STAT,       2) /* worker -> server   struct files_ask, path                              */ \
	X(FILES_READ,       3) /* worker -> server   struct files_ask, path of a file                    */ \
	X(FILES_DIGEST,     4) /* worker -> server   struct files_ask, path of a file                    */ \
	X(FILES_ENTRIES,   10) /* server -> worker   LIST: struct files_entry and its name, many times   */ \
	X(FILES_NODE,      11) /* server -> worker   STAT: struct files_node, and a link's target        */ \
	X(FILES_DATA,      12) /* server -> worker   READ: bytes, in order                               */ \
	X(FILES_DONE,      13) /* server -> worker   struct files_done: the last packet of every answer  */

enum files_type {
#define X(name, value) name = value,
	FILES_TYPES(X)
#undef X
};

/* Descriptors of brig-files: its socket is PROTO_SOCKET_FD; the directory; where it says PROTO_READY or PROTO_FAILED. */
#define FILES_DIR_FD    4
#define FILES_STATUS_FD 5

#define FILES_PATH_MAX 4095
#define FILES_NAME_MAX 255
#define FILES_READ_MAX (1u << 20) /* bytes of one FILES_READ */

enum files_kind {
	FILES_KIND_FILE = 1,
	FILES_KIND_DIR = 2,
	FILES_KIND_LINK = 3,
	FILES_KIND_FIFO = 4,
	FILES_KIND_SOCKET = 5,
	FILES_KIND_CHAR = 6,
	FILES_KIND_BLOCK = 7,
};

/* Which contents a file had: they are the same as long as all of this is. Zeros ask for none in particular. */
struct files_version {
	uint64_t device, inode;
	uint64_t size;             /* bytes */
	int64_t modified, changed; /* nanoseconds since 1970 */
};

struct files_ask {
	struct files_version version; /* READ, DIGEST: which version; another one is FILES_CHANGED */
	uint64_t offset;              /* READ: from which byte on */
	uint32_t length;              /* READ: how many, at most FILES_READ_MAX */
	uint32_t path_length;         /* bytes that follow */
};

struct files_entry {
	uint32_t kind;        /* enum files_kind */
	uint32_t name_length; /* bytes that follow; neither "." nor ".." */
};

struct files_node {
	struct files_version version;
	int64_t accessed;       /* nanoseconds since 1970 */
	uint32_t kind;          /* enum files_kind */
	uint32_t target_length; /* of a link; bytes that follow */
	uint32_t mode;          /* permission bits, as in st_mode & 07777 */
	uint32_t reserved;
};

/* How a request ended. */
#define FILES_CODES(X)                                                                       \
	X(FILES_OK, 0)                                                                       \
	X(FILES_MISSING, 1)    /* there is nothing of that name, or not any more */          \
	X(FILES_DENIED, 2)     /* the server's user may not read it */                       \
	X(FILES_KIND, 3)       /* it is not what was asked for: a file, a directory */       \
	X(FILES_CHANGED, 4)    /* the file is another than in that version, or has changed */ \
	X(FILES_OUTSIDE, 5)    /* another file system is mounted there */                    \
	X(FILES_LIMIT, 6)      /* more entries than the server lists */                      \
	X(FILES_IO, 7)         /* reading failed */                                          \
	X(FILES_MALFORMED, 8)  /* no request that there is; the server ends after it */

enum files_code {
#define X(name, value) name = value,
	FILES_CODES(X)
#undef X
};

struct files_done {
	uint32_t code;                /* enum files_code */
	uint32_t reserved;
	uint64_t count;               /* LIST: entries; READ: bytes: fewer than asked for only at the end of the file */
	struct files_version version; /* LIST, READ, DIGEST: of what was read */
	struct digest digest;         /* DIGEST: SHA-256 of the file, sparse parts as zeros */
};

_Static_assert(sizeof(struct files_version) == 40, "wire size");
_Static_assert(sizeof(struct files_ask) == 56, "wire size");
_Static_assert(sizeof(struct files_entry) == 8, "wire size");
_Static_assert(sizeof(struct files_node) == 64, "wire size");
_Static_assert(sizeof(struct files_done) == 88, "wire size");

#endif
