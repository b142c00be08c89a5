/* run_dirs: the directories of the host that `brig run --dir` shows to a program. brig. */

#ifndef CLIENTS_C_RUN_DIRS_H
#define CLIENTS_C_RUN_DIRS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/proto.h"
#include "clients/c/apply.h"
#include "clients/c/libbrig.h"
#include "policy/policy.h"

struct run_dir {
	char *host;       /* as it was given */
	char *guest;      /* the mount: absolute, as policy_path_wrong wants it */
	bool read_only;
	struct brig_dir *served;
};

struct run_dirs {
	struct run_dir list[PROTO_DIRS_MAX];
	size_t count;
};

/*
 * run_dirs_add - take one HOST[::GUEST][:ro]. Without GUEST it is HOST, made absolute and without "." and ".." as text
 * alone: links in it stay as they are spelt. ERR_INVAL for what cannot be a mount, for one that is there already, and
 * past PROTO_DIRS_MAX of them; ERR_NOMEM, ERR_IO.
 */
int run_dirs_add(struct run_dirs *d, const char *text, struct err *e);

/*
 * run_dirs_grant - add their mounts to `policy`, a document that has none of its own. 0 or ERR_NOMEM.
 * run_dirs_narrow - for a document of the user's: each mount has to be there, of kind dir; of one that is read-only all
 * rights but that go. ERR_INVAL with what the document would have to say.
 */
int run_dirs_grant(const struct run_dirs *d, json_t *policy, struct err *e);
int run_dirs_narrow(const struct run_dirs *d, struct policy *p, struct err *e);

/* run_dirs_serve - start serving all of them. What brig_dir_serve returns. */
int run_dirs_serve(struct run_dirs *d, struct err *e);

/*
 * run_dirs_json - `dirs` of the request; the first one's descriptor has number `first`. NULL when out of memory.
 * run_dirs_fds - their descriptors, borrowed, in that order; returns how many.
 */
json_t *run_dirs_json(const struct run_dirs *d, int first);
int run_dirs_fds(const struct run_dirs *d, int fds[PROTO_DIRS_MAX]);

/* run_dirs_report - a line on standard error for each directory in which the result has changes; `why` ends it. */
void run_dirs_report(const struct run_dirs *d, const json_t *result, const char *why);

/*
 * run_dirs_apply - make the changes of the result in them, but for those that are read-only (clients/c/apply.h).
 * Returns what apply_result() does.
 */
int run_dirs_apply(const struct run_dirs *d, json_t *result, const struct apply_request *how);

/* run_dirs_usage - a line for each: where it is seen, and which layers of the jail brig-files is missing, if any. */
void run_dirs_usage(const struct run_dirs *d);

/* run_dirs_clear - end them all. */
void run_dirs_clear(struct run_dirs *d);

#endif
