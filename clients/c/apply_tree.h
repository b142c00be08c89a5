/* apply_tree: directories of the host that changes go to, held open, and the steps that bring them there. brig. */

#ifndef CLIENTS_C_APPLY_TREE_H
#define CLIENTS_C_APPLY_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/err.h"
#include "clients/c/apply_set.h"

/*
 * What a step does to a name. Each moves something between the name and its temporary name, which is in a directory
 * that is there before and afterwards: so each is done at once or not at all, can be seen from the inode numbers to be
 * done or not, and can be taken back.
 */
#define APPLY_OPS(X)                                                               \
	X(PUT, "put")     /* from the temporary name; the name was free */         \
	X(SWAP, "swap")   /* exchanged with the temporary name: another content */ \
	X(TAKE, "take")   /* to the temporary name */                              \
	X(RMDIR, "rmdir") /* an empty directory is removed; one like it is put back */

enum apply_op {
#define X(name, word) APPLY_##name,
	APPLY_OPS(X)
#undef X
};

/* A directory that changes are applied to. */
struct apply_root {
	char *path; /* as the kernel says it */
	int fd;     /* O_PATH */
	dev_t device;
	ino_t inode;
};

/* One below a root, or the root itself. */
struct apply_dir {
	size_t root;
	char *path;    /* below the root; "" is the root */
	int fd;        /* O_PATH, or -1: it is not there, or not yet */
	size_t stage;  /* where its things wait: itself, or the first above it that is there before and afterwards */
	bool doomed;   /* it is going to be removed */
};

struct apply_step {
	enum apply_op op;
	enum apply_kind kind;    /* PUT, SWAP: of what comes; TAKE: of what goes */
	size_t dir, stage;       /* indices into dirs */
	char *name;
	unsigned number;         /* of the temporary name; each its own */
	mode_t mode;             /* SWAP: of the file; RMDIR: of the directory */
	uid_t owner;             /* the same */
	gid_t group;
	uint64_t old, new;       /* inode numbers: of what is replaced or taken, of what comes; 0: none, or not there yet */
	struct digest old_digest, new_digest; /* of files, and of targets of links */
	const struct apply_change *change;    /* NULL when the step comes from a journal */
};

/* Zeros to begin with. */
struct apply_tree {
	char id[33]; /* in all temporary names; unguessable */
	struct apply_root *roots;
	size_t root_count;
	struct apply_dir *dirs;
	size_t dir_count, dir_room;
	struct apply_step *steps; /* in the order in which they are done */
	size_t step_count, step_room;
};

#define APPLY_TEMP_SIZE (sizeof(APPLY_TEMP_PREFIX) + 32 + 12)

/* apply_tree_begin - a new id. */
void apply_tree_begin(struct apply_tree *t);

/* apply_tree_root - open another root. 0, or ERR_NOTFOUND, ERR_IO, ERR_NOMEM. */
int apply_tree_root(struct apply_tree *t, const char *path, struct err *e);

/*
 * apply_tree_dir - the index of a directory that was added before, or -1. apply_tree_add_dir - add one, with `fd`,
 * which is taken, its stage itself. Returns its index, or ERR_NOMEM. The path is path[0..length].
 */
ssize_t apply_tree_dir(const struct apply_tree *t, size_t root, const char *path, size_t length);
ssize_t apply_tree_add_dir(struct apply_tree *t, size_t root, const char *path, size_t length, int fd, struct err *e);

/* apply_tree_add_step - a copy of *s with a name of its own. 0 or ERR_NOMEM. */
int apply_tree_add_step(struct apply_tree *t, const struct apply_step *s, struct err *e);

/* apply_tree_temp - the step's temporary name. */
const char *apply_tree_temp(const struct apply_tree *t, const struct apply_step *s, char out[APPLY_TEMP_SIZE]);

/* apply_tree_path - where the step's name is, for messages: below its root. */
const char *apply_tree_path(const struct apply_tree *t, const struct apply_step *s, char out[APPLY_PATH_MAX + 1]);

/* apply_tree_sync - all that was done below the roots is on the disk. 0 or ERR_IO. */
int apply_tree_sync(const struct apply_tree *t, struct err *e);

void apply_tree_clear(struct apply_tree *t);

/*
 * apply_open_beneath - open a path below a descriptor: no link is followed, no other filesystem entered, nothing above
 * reached. "" is the directory itself. A descriptor, or -1 with errno.
 */
int apply_open_beneath(int dir, const char *path, int flags);

/*
 * apply_open_file - open the regular file of that name in a directory for reading; nothing else is ever opened, nor a
 * link followed. A descriptor and its *st, or -1 with errno (EINVAL: it is something else).
 */
int apply_open_file(int dir, const char *name, struct stat *st);

/* apply_file_digest - SHA-256 of what is left to read. 0 or ERR_IO. */
int apply_file_digest(int fd, struct digest *out, struct err *e);

/*
 * apply_holds - whether the name in the directory is the regular file, or with APPLY_LINK the link, that holds this:
 * 1, 0, or -1 when it cannot be read. inode: whose number it must have; 0: any.
 */
int apply_holds(int dir, const char *name, enum apply_kind kind, uint64_t inode, const struct digest *digest);

#endif
