/* apply_steps: makes the steps of a set of changes, all or none; and makes good what a crash left of them. brig. */

#include "clients/c/apply_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

/* A step with its directories open and its temporary name. */
struct work {
	struct apply_tree *t;
	struct apply_step *s;
	struct problems *problems;
	int at, stage; /* descriptors; -1: not there */
	char temp[APPLY_TEMP_SIZE];
};

/* The descriptor of a directory. One that comes from a journal is opened when it is first asked for. */
static int
dir_fd(struct apply_tree *t, size_t i)
{
	struct apply_dir *d = &t->dirs[i];

	if (d->fd < 0)
		d->fd = apply_open_beneath(t->roots[d->root].fd, d->path, O_PATH | O_DIRECTORY);
	return d->fd;
}

static struct work
work_on(struct apply_tree *t, struct apply_step *s, struct problems *problems)
{
	struct work w = {t, s, problems, dir_fd(t, s->dir), dir_fd(t, s->stage), ""};

	apply_tree_temp(t, s, w.temp);
	return w;
}

/* The directory at the step's name, when it is one that others are in. */
static struct apply_dir *
dir_at(const struct work *w)
{
	char path[APPLY_PATH_MAX + 1];
	ssize_t i;

	apply_tree_path(w->t, w->s, path);
	i = apply_tree_dir(w->t, w->t->dirs[w->s->dir].root, path, strlen(path));
	return i < 0 ? NULL : &w->t->dirs[i];
}

static int
fail(const struct work *w, struct err *e, int code, const char *what)
{
	char path[APPLY_PATH_MAX + 1];

	return err_sys(e, code, "%.400s: %s", apply_tree_path(w->t, w->s, path), what);
}

static int
changed(const struct work *w, struct err *e)
{
	char path[APPLY_PATH_MAX + 1];

	return err_set(e, ERR_AGAIN, "%.400s was changed on the host just now", apply_tree_path(w->t, w->s, path));
}

/* Someone else was here. */
static void
left_behind(const struct work *w, const char *what, bool old_is_kept)
{
	const char *stage = w->t->dirs[w->s->stage].path;
	char path[APPLY_PATH_MAX + 1];

	apply_tree_path(w->t, w->s, path);
	if (old_is_kept)
		problems_add(w->problems, path, strlen(path), "%s; what was there before is in %s%s%s", what, stage,
		    stage[0] == '\0' ? "" : "/", w->temp);
	else
		problems_add(w->problems, path, strlen(path), "%s", what);
}

/* renameat2 from a temporary name, which is free then, to the name; and the reverse. */
static int
put(const struct work *w)
{
	return renameat2(w->stage, w->temp, w->at, w->s->name, RENAME_NOREPLACE);
}

static int
take(const struct work *w)
{
	return renameat2(w->at, w->s->name, w->stage, w->temp, RENAME_NOREPLACE);
}

static int
swap(const struct work *w)
{
	return renameat2(w->stage, w->temp, w->at, w->s->name, RENAME_EXCHANGE);
}

/* The inode number of a name; 0 when there is none; UINT64_MAX when that cannot be known. */
static uint64_t
inode_of(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return st.st_ino;
	return errno == ENOENT ? 0 : UINT64_MAX;
}

/* --- under temporary names --------------------------------------------------------------------------------------- */

static int
stage_file(const struct work *w, struct err *e)
{
	const struct apply_change *c = w->s->change;
	bool swaps = w->s->op == APPLY_SWAP;
	int fd = openat(w->stage, w->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, swaps ? 0600 : 0666), rc;
	struct stat st;

	if (fd < 0)
		return fail(w, e, ERR_IO, "making a file beside it");
	rc = io_write_all(fd, c->content, c->size, e);
	if (rc == 0 && fstat(fd, &st) != 0)
		rc = fail(w, e, ERR_IO, "making a file beside it");
	if (rc == 0 && swaps && (st.st_uid != w->s->owner || st.st_gid != w->s->group) &&
	    fchown(fd, w->s->owner, w->s->group) != 0)
		rc = fail(w, e, ERR_IO, "its owner and group cannot be kept");
	if (rc == 0 && swaps && fchmod(fd, w->s->mode) != 0)
		rc = fail(w, e, ERR_IO, "its mode cannot be kept");
	if (close(fd) != 0 && rc == 0)
		rc = fail(w, e, ERR_IO, "writing it");
	if (rc == 0)
		w->s->new = st.st_ino;
	return rc;
}

static int
stage_directory(const struct work *w, struct err *e)
{
	struct apply_dir *d = dir_at(w);

	if (mkdirat(w->stage, w->temp, 0777) != 0)
		return fail(w, e, ERR_IO, "making a directory beside it");
	if ((d->fd = apply_open_beneath(w->stage, w->temp, O_PATH | O_DIRECTORY)) < 0)
		return fail(w, e, ERR_IO, "opening it");
	return 0;
}

static int
stage_step(const struct work *w, struct err *e)
{
	int rc = 0;

	if (w->s->op != APPLY_PUT && w->s->op != APPLY_SWAP)
		return 0;
	if (w->s->kind == APPLY_FILE)
		return stage_file(w, e);
	if (w->s->kind == APPLY_DIRECTORY)
		rc = stage_directory(w, e);
	else if (symlinkat(w->s->change->target, w->stage, w->temp) != 0)
		rc = fail(w, e, ERR_IO, "making a link beside it");
	if (rc == 0 && ((w->s->new = inode_of(w->stage, w->temp)) == 0 || w->s->new == UINT64_MAX))
		rc = changed(w, e);
	return rc;
}

/* --- to their places --------------------------------------------------------------------------------------------- */

/* What was taken away has to be what was seen when it was checked. */
static int
verify_old(const struct work *w, struct err *e)
{
	return apply_holds(w->stage, w->temp, w->s->kind, w->s->old, &w->s->old_digest) == 1 ? 0 : changed(w, e);
}

static int
do_step(const struct work *w, struct err *e)
{
	int rc;

	switch (w->s->op) {
	case APPLY_PUT:
		rc = put(w);
		break;
	case APPLY_SWAP:
		rc = swap(w);
		break;
	case APPLY_TAKE:
		rc = take(w);
		break;
	default:
		rc = unlinkat(w->at, w->s->name, AT_REMOVEDIR);
		break;
	}
	if (rc == 0)
		return w->s->op == APPLY_SWAP || w->s->op == APPLY_TAKE ? verify_old(w, e) : 0;
	if (errno == EINVAL)
		return fail(w, e, ERR_UNSUPPORTED, "its filesystem cannot exchange two names, or move one without replacing another");
	if (errno == EEXIST || errno == ENOENT || errno == ENOTEMPTY || errno == ENOTDIR)
		return changed(w, e);
	return fail(w, e, ERR_IO, "changing it");
}

/* --- taking back ------------------------------------------------------------------------------------------------- */

static int
remove_temp(const struct work *w, struct err *e)
{
	int flags = w->s->op == APPLY_PUT && w->s->kind == APPLY_DIRECTORY ? AT_REMOVEDIR : 0;

	return unlinkat(w->stage, w->temp, flags) == 0 || errno == ENOENT ? 0 : fail(w, e, ERR_IO, "removing a temporary name");
}

/* What was put there goes, when it is still what was put there. */
static int
undo_put(const struct work *w, struct err *e)
{
	uint64_t temp = inode_of(w->stage, w->temp);

	if (temp != 0)
		return remove_temp(w, e);
	if (w->s->new == 0 || w->at < 0 || inode_of(w->at, w->s->name) != w->s->new)
		return 0;
	if (w->s->kind == APPLY_DIRECTORY) {
		if (unlinkat(w->at, w->s->name, AT_REMOVEDIR) == 0)
			return 0;
		if (errno != ENOTEMPTY && errno != EEXIST)
			return fail(w, e, ERR_IO, "removing it");
		left_behind(w, "the new directory stays, as someone has put something into it", false);
		return 0;
	}
	if (take(w) != 0)
		return fail(w, e, ERR_IO, "removing it");
	if (apply_holds(w->stage, w->temp, w->s->kind, w->s->new, &w->s->new_digest) == 1)
		return remove_temp(w, e);
	if (put(w) != 0)
		left_behind(w, "it was changed since", true);
	else
		left_behind(w, "the new file stays, as it was changed since", false);
	return 0;
}

static int
undo_swap(const struct work *w, struct err *e)
{
	uint64_t temp = inode_of(w->stage, w->temp), there;

	if (temp == 0)
		return 0;
	if (w->s->new == 0 || temp == w->s->new)
		return remove_temp(w, e);
	there = w->at < 0 ? UINT64_MAX : inode_of(w->at, w->s->name);
	if (there == 0 && put(w) == 0)
		return 0;
	if (there != w->s->new || apply_holds(w->at, w->s->name, APPLY_FILE, w->s->new, &w->s->new_digest) != 1) {
		left_behind(w, "it stays as it is, as it was changed since", true);
		return 0;
	}
	if (swap(w) != 0)
		return fail(w, e, ERR_IO, "putting it back");
	if (inode_of(w->stage, w->temp) == w->s->new)
		return remove_temp(w, e);
	left_behind(w, "it was changed since", true);
	return 0;
}

static int
undo_take(const struct work *w, struct err *e)
{
	if (inode_of(w->stage, w->temp) == 0)
		return 0;
	if (w->at >= 0 && put(w) == 0)
		return 0;
	if (w->at >= 0 && errno != EEXIST && errno != ENOENT)
		return fail(w, e, ERR_IO, "putting it back");
	left_behind(w, "something else is there now", true);
	return 0;
}

/* A directory as the one that was removed, under the temporary name, which may be there already from an earlier try. */
static int
make_again(const struct work *w, struct err *e)
{
	int fd, rc = 0;

	if (mkdirat(w->stage, w->temp, 0700) != 0 && errno != EEXIST)
		return fail(w, e, ERR_IO, "making it again");
	if ((fd = apply_open_beneath(w->stage, w->temp, O_RDONLY | O_DIRECTORY)) < 0)
		return fail(w, e, ERR_IO, "making it again");
	if (geteuid() == 0 && fchown(fd, w->s->owner, w->s->group) != 0)
		rc = fail(w, e, ERR_IO, "giving it back to its owner");
	if (rc == 0 && fchmod(fd, w->s->mode) != 0)
		rc = fail(w, e, ERR_IO, "giving it its mode");
	close(fd);
	return rc;
}

/* It was empty, so one like it stands in for it. */
static int
undo_rmdir(const struct work *w, struct err *e)
{
	struct apply_dir *d = dir_at(w);
	int rc;

	if (w->at < 0 || inode_of(w->at, w->s->name) != 0)
		return unlinkat(w->stage, w->temp, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : fail(w, e, ERR_IO, "removing it");
	if ((rc = make_again(w, e)) != 0)
		return rc;
	if (put(w) != 0)
		return fail(w, e, ERR_IO, "putting it back");
	if (d != NULL && d->fd >= 0) { /* the one that was removed */
		close(d->fd);
		d->fd = -1;
	}
	return 0;
}

static int (*const undoers[])(const struct work *w, struct err *e) = {
    [APPLY_PUT] = undo_put, [APPLY_SWAP] = undo_swap, [APPLY_TAKE] = undo_take, [APPLY_RMDIR] = undo_rmdir};

/* All of it, the last first; one that fails does not keep others from being taken back. */
static int
undo(struct apply_tree *t, struct apply_journal *j, struct problems *problems, struct err *e)
{
	struct err first = {0}, later;
	int rc = 0, one;

	for (size_t i = t->step_count; i-- > 0;) {
		struct work w = work_on(t, &t->steps[i], problems);

		one = w.stage < 0 ? fail(&w, &later, ERR_IO, "opening the directory that it is in") : undoers[w.s->op](&w, &later);
		if (one != 0 && rc == 0) {
			rc = one;
			first = later;
		}
	}
	if (rc == 0 && (rc = apply_tree_sync(t, &first)) == 0)
		rc = apply_journal_remove(j, &first);
	if (rc != 0)
		return err_set(e, rc, "%s; not all changes are taken back: `brig apply` tries again, and with --forget leaves it so",
		    first.msg);
	return 0;
}

/* --- all of it --------------------------------------------------------------------------------------------------- */

static int
stage_all(struct apply_tree *t, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < t->step_count && rc == 0; i++) {
		struct work w = work_on(t, &t->steps[i], NULL);

		rc = stage_step(&w, e);
	}
	return rc;
}

static int
do_all(struct apply_tree *t, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < t->step_count && rc == 0; i++) {
		struct work w = work_on(t, &t->steps[i], NULL);

		rc = do_step(&w, e);
	}
	return rc;
}

/* Removes what was replaced or taken. */
static int
finish(struct apply_tree *t, struct apply_journal *j, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < t->step_count && rc == 0; i++) {
		struct work w = work_on(t, &t->steps[i], NULL);

		if (w.s->op != APPLY_RMDIR && w.stage >= 0)
			rc = remove_temp(&w, e);
	}
	if (rc == 0 && (rc = apply_tree_sync(t, e)) == 0)
		rc = apply_journal_remove(j, e);
	return rc;
}

/* Whether the directories that were changed are still where they were: someone may have moved one meanwhile. */
static int
verify_dirs(struct apply_tree *t, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < t->dir_count && rc == 0; i++) {
		const struct apply_dir *d = &t->dirs[i];
		int fd = d->doomed ? -1 : apply_open_beneath(t->roots[d->root].fd, d->path, O_PATH | O_DIRECTORY);
		struct stat held, there;

		if (!d->doomed && (fd < 0 || fstat(fd, &there) != 0 || fstat(d->fd, &held) != 0 || there.st_ino != held.st_ino ||
		                      there.st_dev != held.st_dev))
			rc = err_set(e, ERR_AGAIN, "the directory %.400s was moved on the host just now", d->path);
		if (fd >= 0)
			close(fd);
	}
	return rc;
}

/* Up to where nothing has to be taken back any more. */
static int
make_steps(struct apply_tree *t, struct apply_journal *j, struct err *e)
{
	int rc;

	if ((rc = apply_journal_begin(j, t, e)) == 0 && (rc = stage_all(t, e)) == 0 && (rc = apply_tree_sync(t, e)) == 0 &&
	    (rc = apply_journal_staged(j, t, e)) == 0 && (rc = do_all(t, e)) == 0 && (rc = verify_dirs(t, e)) == 0)
		rc = apply_tree_sync(t, e);
	return rc;
}

static int
make(struct apply_tree *t, struct apply_journal *j, struct problems *problems, struct err *e)
{
	struct err other;
	int rc = make_steps(t, j, e);

	if (rc == 0 && (rc = apply_journal_done(j, e)) != 0 && apply_journal_not_done(j, &other) != 0)
		return err_context(e, "all changes are made, but that cannot be recorded; `brig apply` finishes or undoes them");
	if (rc != 0)
		return err_context(e, "%.280s", undo(t, j, problems, &other) == 0 ? "nothing is changed" : other.msg);
	if (finish(t, j, &other) != 0) /* all changes are made: that is for the next time */
		problems_add(problems, t->roots[0].path, strlen(t->roots[0].path),
		    "what was replaced could not be removed: %s; `brig apply` tries again", other.msg);
	return 0;
}

int
apply_steps_make(struct apply_tree *t, struct apply_journal *j, struct problems *problems, struct err *e)
{
	sigset_t all, before;
	int rc;

	if (t->step_count == 0)
		return 0;
	sigemptyset(&all);
	sigaddset(&all, SIGINT);
	sigaddset(&all, SIGTERM);
	sigaddset(&all, SIGHUP);
	sigprocmask(SIG_BLOCK, &all, &before); /* it is done soon, and then it is whole */
	rc = make(t, j, problems, e);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return rc;
}

int
apply_steps_recover(struct apply_journal *j, bool *finished, struct problems *problems, struct err *e)
{
	struct apply_tree t = {.roots = NULL};
	enum apply_phase phase;
	int rc = apply_journal_read(j, &t, &phase, e);

	if (rc == ERR_NOTFOUND)
		return apply_journal_remove(j, e) != 0 ? ERR_IO : ERR_NOTFOUND; /* one that was never begun */
	if (rc != 0)
		return rc;
	*finished = phase == APPLY_DONE;
	rc = *finished ? finish(&t, j, e) : undo(&t, j, problems, e);
	apply_tree_clear(&t);
	return rc;
}
