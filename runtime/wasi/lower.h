/* runtime/wasi/lower: directories of the host, asked of who serves them (base/files.h). Runs in the worker. */

#ifndef RUNTIME_WASI_LOWER_H
#define RUNTIME_WASI_LOWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/files.h"
#include "base/proto.h"
#include "runtime/wasi/errno.h"
#include "runtime/wasi/stream.h"

struct wasi_lower;
struct wasi_chunk;

/*
 * What one name in a directory of the host stands for: the way to it, and which contents it had when the run first looked.
 * It stays where it was however the run renames things, and lives as long as its directory's mount.
 */
struct wasi_origin {
	struct wasi_lower *lower;
	struct wasi_origin *parent;    /* NULL: the directory that is mounted itself */
	struct wasi_origin *removed;   /* in the list of those that lost their name: the next */
	struct files_version version;  /* zeros until it is known */
	uint8_t kind;                  /* enum files_kind */
	bool known;                    /* it was asked for */
	uint8_t length;
	char name[];                   /* not NUL-terminated */
};
_Static_assert(FILES_NAME_MAX <= UINT8_MAX, "length");

/* Something of the host that the run did not get as it should have; for the result. */
struct wasi_trouble {
	enum proto_trouble_kind kind;
	uint64_t count;
	size_t length;
	char path[PROTO_PATH_MAX]; /* the guest's; the mount's when it is longer */
};

#define WASI_TROUBLES_MAX 4         /* of one mount; the others are counted in the last */
#define WASI_WINDOW_MAX   (1u << 20) /* bytes that are read ahead of a guest that reads on and on */
#define WASI_WINDOW_MIN   (1u << 16)

/*
 * The worker's side of one directory. It keeps to the protocol or ends: an answer that is not what it must be, or none,
 * and nothing more is asked; whoever asks gets EIO.
 */
struct wasi_lower {
	struct wasi_port port;       /* port.run: the number of what was asked last */
	const char *path;            /* of the mount, borrowed */
	size_t path_length;
	bool ended;
	struct wasi_origin *removed; /* the last one that lost its name */
	struct wasi_chunk *chunks;        /* of memory for origins */
	struct wasi_trouble *troubles; /* WASI_TROUBLES_MAX, or NULL: none yet */
	uint32_t trouble_count;

	/* What was read ahead: `held` bytes of `held_of` from `held_at` on, of its version. */
	const struct wasi_origin *held_of;
	uint64_t held_at;
	size_t held, window;
	uint8_t *ahead;              /* WASI_WINDOW_MAX bytes, or NULL: nothing was read yet */

	char target[PROTO_PATH_MAX]; /* of the link asked about last */
	union {
		struct imsg_hdr hdr;
		uint8_t bytes[IMSG_SIZE_MAX];
	} packet;

	struct wasi_origin top;      /* the directory itself, last since its name, which is empty, could go on */
};

/*
 * wasi_lower_new - the directory behind `socket`, mounted at `path`; both are borrowed. Asks nothing yet. Waiting ends
 * early when *stop becomes non-zero, and the directory with it. NULL without memory. wasi_lower_free takes NULL.
 */
struct wasi_lower *wasi_lower_new(int socket, const volatile sig_atomic_t *stop, const char *path, size_t length);
void wasi_lower_free(struct wasi_lower *l);

/* wasi_origin_cost - bytes that one takes. wasi_origin_new - what the name in the directory `parent` is. NULL: no memory. */
size_t wasi_origin_cost(size_t length);
struct wasi_origin *wasi_origin_new(struct wasi_origin *parent, enum files_kind kind, const char *name, size_t length);

/*
 * wasi_origin_mark, wasi_origin_rewind - free all that were made since the mark; nothing may refer to them any more. Nor are
 * those removed that were not then.
 */
struct wasi_mark {
	struct wasi_chunk *chunk;
	size_t used;
	struct wasi_origin *removed;
};
struct wasi_mark wasi_origin_mark(const struct wasi_lower *l);
void wasi_origin_rewind(struct wasi_lower *l, const struct wasi_mark *mark);

/* wasi_origin_removed - note that its name is gone, or stands for something else. Once for each. */
void wasi_origin_removed(struct wasi_origin *o);

/* wasi_origin_path - its path below the mount; returns the length, or 0 when it is longer than FILES_PATH_MAX or empty. */
size_t wasi_origin_path(const struct wasi_origin *o, char path[FILES_PATH_MAX]);

/*
 * What follows asks. Errors are those for the guest: ENOENT when it is gone, EACCES when the server's user may not, or
 * another filesystem begins there; ENAMETOOLONG when its path is; ENOMEM when there is more than can be taken; EIO for
 * the rest, which wasi_lower_trouble has noted: it changed, reading failed, or the server is gone.
 */

/*
 * wasi_lower_list - call `take` for each name in a directory, in the server's order: at most FILES_NAME_MAX bytes, no "."
 * or "..", slash or NUL; the name is borrowed for the call. What `take` returns, if not success, is the result; names that
 * come after that are not told. EEXIST from it ends the directory, since the server named something twice.
 */
typedef enum wasi_errno wasi_lower_take_fn(void *arg, enum files_kind kind, const char *name, size_t length);
enum wasi_errno wasi_lower_list(struct wasi_origin *dir, wasi_lower_take_fn *take, void *arg);

/*
 * wasi_lower_stat - *node; of a link also its target, at most PROTO_PATH_MAX bytes without a NUL, borrowed until the next
 * question. Sets o->version. What has become of another kind is EIO, as changed.
 */
enum wasi_errno wasi_lower_stat(struct wasi_origin *o, struct files_node *node, const char **target);

/* wasi_lower_read - the bytes at..at+length of a file, all below the size that is known, of the version that is known. */
enum wasi_errno wasi_lower_read(const struct wasi_origin *o, uint64_t at, uint8_t *data, size_t length);

/* wasi_lower_probe - whether a file that is known can be read; what lies at its beginning is then at hand. */
enum wasi_errno wasi_lower_probe(const struct wasi_origin *o);

/* wasi_lower_digest - of all that a file holds, in the version that is known, or whatever it is when none is. */
enum wasi_errno wasi_lower_digest(const struct wasi_origin *o, struct digest *digest);

/* wasi_lower_trouble - note something for the result. */
void wasi_lower_trouble(const struct wasi_origin *o, enum proto_trouble_kind kind);

#endif
