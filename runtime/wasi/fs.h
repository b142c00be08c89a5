/* runtime/wasi/fs: mounts, and what POSIX's calls do to names in them. Knows no guest memory. Runs in the worker. */

#ifndef RUNTIME_WASI_FS_H
#define RUNTIME_WASI_FS_H

#include "runtime/wasi/walk.h"

/* What policy grants below a path. */
enum wasi_fs_right {
	WASI_FS_READ = 1,   /* read files, list directories, read links */
	WASI_FS_WRITE = 2,  /* change what a file holds, and times */
	WASI_FS_CREATE = 4, /* new names: files (which may then be written), directories, links, targets of a rename */
	WASI_FS_DELETE = 8, /* take names away: also sources of a rename, and targets that exist */
};
#define WASI_FS_ALL 15u

/* Other rights from a path inside a mount on. The longest path that holds a place decides. */
struct wasi_rule {
	const char *path; /* "src/gen": no slash at either end, no "." or ".."; borrowed */
	size_t length;
	uint32_t rights;
};

struct wasi_mount {
	const char *path; /* as the guest knows it: "/workspace"; borrowed */
	size_t length;
	uint32_t rights;
	const struct wasi_rule *rules; /* borrowed */
	uint32_t rule_count;
	struct wasi_lower *lower; /* the directory of the host that it shows; NULL: it is empty at first */
	struct wasi_node *top;
};

#define WASI_MOUNTS_MAX 64

/* The guest's path of a place, cut in front when it is longer. */
struct wasi_path {
	char text[WASI_PATH_MAX + 1];
	size_t start, length; /* text + start, `length` bytes, not NUL-terminated */
};

/* What was there before the run began. */
struct wasi_original {
	struct wasi_node *node;       /* held open; or */
	struct wasi_origin *origin;   /* what the host has there */
	const struct wasi_mount *mount;
	const char *path; /* in the mount; borrowed, or with `origin` owned */
	size_t length;
	enum wasi_node_kind kind;
	const uint8_t *data; /* of a file of the request; borrowed */
	uint64_t size;
};

/* Rights that an operation needed at a place, and had. */
struct wasi_need {
	uint32_t rights; /* 0: the place matters only with the next one */
	uint32_t mount;
	struct wasi_path path;
};

/* What the last operation needed, for who wants to know. */
struct wasi_noted {
	uint32_t count;
	bool together; /* something moves from the last place but one to the last: their rights must not differ */
	struct wasi_need list[4];
};

/* All that a run can reach by paths. */
struct wasi_fs {
	struct wasi_tree tree;
	struct wasi_original *originals;
	size_t original_count, original_room;
	struct wasi_mount mounts[WASI_MOUNTS_MAX];
	uint32_t mount_count;

	/* The last ENOTCAPABLE that came from policy: what was missing; 0 when it was for another reason. */
	uint32_t refused;
	struct wasi_path refused_path;

	struct wasi_noted *noted; /* NULL: not noted */
};

/* wasi_fs_begin - no mounts yet, nothing noted. Borrows the clock. wasi_fs_end frees all; every descriptor must be closed. */
void wasi_fs_begin(struct wasi_fs *fs, uint64_t bytes_max, uint64_t nodes_max, const struct wasi_clock *clock);
void wasi_fs_end(struct wasi_fs *fs);

/*
 * wasi_fs_mount - add a mount as mount->path says, and set its top. Takes mount->lower, if it succeeds. ENOSPC when there
 * are too many, or not enough room.
 */
enum wasi_errno wasi_fs_mount(struct wasi_fs *fs, const struct wasi_mount *mount);

/*
 * wasi_fs_nest - make a mount seen at a path inside another one, and make the directories on the way, which are noted as
 * originals: paths lead into it there, and it can neither be moved nor removed (EBUSY). Errors as for wasi_fs_put.
 */
enum wasi_errno wasi_fs_nest(struct wasi_fs *fs, const struct wasi_mount *outer, const char *path, size_t length,
    const struct wasi_mount *inner);

/*
 * wasi_fs_put - put a file with these bytes at a path inside a mount, both borrowed, and make the directories on the
 * way; policy is not asked. All are noted as originals. EEXIST when there is something already, else as wasi_walk and
 * wasi_fs_open.
 */
enum wasi_errno wasi_fs_put(struct wasi_fs *fs, const struct wasi_mount *mount, const char *path, size_t length,
    const uint8_t *data, uint64_t size);

/* wasi_fs_original - where the next original goes: fill it, and count it in original_count. NULL without memory. */
struct wasi_original *wasi_fs_original(struct wasi_fs *fs);

/* wasi_fs_path - the guest's path of a name in a directory; of `dir` itself when `length` is 0. */
void wasi_fs_path(const struct wasi_fs *fs, const struct wasi_node *dir, const char *name, size_t length,
    struct wasi_path *path);

/* wasi_fs_refuse - note that `missing` is not granted for `dir` itself; ENOTCAPABLE. */
enum wasi_errno wasi_fs_refuse(struct wasi_fs *fs, const struct wasi_node *dir, uint32_t missing);

/* wasi_fs_rights - what policy grants for a directory and all that it does not say otherwise of. */
uint32_t wasi_fs_rights(const struct wasi_fs *fs, const struct wasi_node *dir);

/*
 * What follows is POSIX's function of that name with its errors, below `base`, a directory; paths as for wasi_walk.
 * Facts come before policy: what is missing is ENOENT and what exists EEXIST, whatever is granted. Where the operation
 * would be possible but is not granted it is ENOTCAPABLE, and fs->refused says what was missing. Nothing has then
 * changed; nor has it on any other error.
 *
 * Directories of the host stay where they are, and so do fifos, sockets and devices: EXDEV. These cannot be opened (ENXIO).
 *
 * A name never moves to where policy grants more, neither by rename nor by link. A directory does not move when rules
 * are about it or what is inside, nor to where they would be: ENOTCAPABLE, without anything missing.
 */

enum wasi_open_flag {
	WASI_OPEN_FOLLOW = 1,
	WASI_OPEN_CREATE = 2,
	WASI_OPEN_EXCLUSIVE = 4, /* with CREATE only */
	WASI_OPEN_DIRECTORY = 8, /* not with CREATE */
	WASI_OPEN_TRUNCATE = 16,
	WASI_OPEN_READ = 32,
	WASI_OPEN_WRITE = 64,
};

/* wasi_fs_open - the file or directory, opened (wasi_node_open); *rights: what is granted there. */
enum wasi_errno wasi_fs_open(struct wasi_fs *fs, struct wasi_node *base, const char *path, size_t length,
    uint32_t flags, struct wasi_node **node, uint32_t *rights);

/* wasi_fs_find - what the path names, borrowed; the link itself unless `follow`. `needs`: enum wasi_fs_right, or 0. */
enum wasi_errno wasi_fs_find(struct wasi_fs *fs, struct wasi_node *base, const char *path, size_t length, bool follow,
    uint32_t needs, struct wasi_node **node);

/* wasi_fs_readlink - where a link leads, borrowed as long as it is there. EINVAL for what is none. */
enum wasi_errno wasi_fs_readlink(struct wasi_fs *fs, struct wasi_node *base, const char *path, size_t length,
    const struct wasi_target **target);

enum wasi_errno wasi_fs_mkdir(struct wasi_fs *fs, struct wasi_node *base, const char *path, size_t length);
enum wasi_errno wasi_fs_unlink(struct wasi_fs *fs, struct wasi_node *base, const char *path, size_t length);
enum wasi_errno wasi_fs_rmdir(struct wasi_fs *fs, struct wasi_node *base, const char *path, size_t length);

/* wasi_fs_symlink - an absolute target is ENOTCAPABLE: nothing could ever follow it. */
enum wasi_errno wasi_fs_symlink(struct wasi_fs *fs, const char *target, size_t target_length, struct wasi_node *base,
    const char *path, size_t length);

/* A path with the directory where it starts. */
struct wasi_from {
	struct wasi_node *base;
	const char *path;
	size_t length;
};

enum wasi_errno wasi_fs_link(struct wasi_fs *fs, const struct wasi_from *old, bool follow, const struct wasi_from *new);
enum wasi_errno wasi_fs_rename(struct wasi_fs *fs, const struct wasi_from *old, const struct wasi_from *new);

#endif
