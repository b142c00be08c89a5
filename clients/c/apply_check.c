/* apply_check: whether a set of changes fits what is on the host, and the steps to make it. Changes nothing. brig. */

#include "clients/c/apply_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clients/c/apply_link.h"
#include "clients/c/apply_own.h"

/* One check. */
struct check {
	const struct apply_set *set;
	const struct apply_guard *guard;
	struct apply_own own;
	struct stat state;          /* of the directory of the journal */
	struct apply_tree *tree;
	struct apply_tree removals; /* its steps only: what goes, in the order of paths */
	struct problems *problems;
	unsigned number;            /* of the next step */
};

/* A change, with where it is. */
struct place {
	const struct apply_change *change;
	size_t dir;       /* index in the tree's */
	int fd;           /* of that directory; -1: it is new */
	const char *name; /* in it */
	struct stat st;   /* what is there; st_mode is 0 when there is nothing */
};

static void __attribute__((format(printf, 3, 4)))
problem(struct check *k, const struct apply_change *c, const char *fmt, ...)
{
	char text[1000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	problems_add(k->problems, c->path, strlen(c->path), "%s", text);
}

/* --- what is never changed --------------------------------------------------------------------------------------- */

/* Whether a change would touch what is brig's own; `fd` is the directory that it is in: the journal's by whatever path. */
static bool
is_own(const struct check *k, const struct apply_change *c, int fd)
{
	struct stat st;

	if (apply_own_has(&k->own, k->tree->roots[c->mount].path, c))
		return true;
	return fd >= 0 && (fstat(fd, &st) != 0 || (st.st_dev == k->state.st_dev && st.st_ino == k->state.st_ino));
}

/* The rule of HEAD, when a directory above a path holds one: that is a repository of git, with what git runs in it. */
static const struct apply_guard_rule *
repository_rule(const struct check *k, const struct apply_change *c)
{
	const struct apply_guard_rule *rule = NULL;
	char head[APPLY_PATH_MAX + sizeof("/HEAD")];

	for (const char *p = c->path; rule == NULL && p != NULL; p = strchr(p, '/')) {
		int fd;

		p += *p == '/';
		snprintf(head, sizeof(head), "%.*sHEAD", (int)(p - c->path), c->path);
		if ((fd = apply_open_beneath(k->tree->roots[c->mount].fd, head, O_PATH | O_NOFOLLOW)) >= 0) {
			close(fd);
			rule = apply_guard_find(k->guard, head);
		}
	}
	return rule;
}

/* A directory alone is run by nothing, unless it comes or goes in the place of what is. */
static void
check_guard(struct check *k, const struct apply_change *c)
{
	bool passes = (c->kind == APPLY_DIRECTORY && c->was == APPLY_DIRECTORY) || apply_guard_allows(k->guard, c->path);
	const struct apply_guard_rule *rule = passes ? NULL : apply_guard_find(k->guard, c->path);
	bool quotable = strchr(c->path, '\'') == NULL; /* what is shown may be pasted into a shell */

	if (rule == NULL && !passes)
		rule = repository_rule(k, c);
	if (rule != NULL)
		problem(k, c, "refused, as it matches \"%s\": %s; to change it, name it: --allow-path %s%s%s", rule->pattern,
		    rule->reason, quotable ? "'" : "", quotable ? c->path : "PATTERN", quotable ? "'" : "");
}

/* --- the directory that a change is in --------------------------------------------------------------------------- */

static size_t
parent_length(const char *path, size_t length)
{
	while (length > 0 && path[length - 1] != '/')
		length--;
	return length > 0 ? length - 1 : 0;
}

/*
 * The index of a directory, opened now or before. New ones were added by their own change, which comes first.
 * ERR_NOTFOUND with *why when it cannot be; ERR_LIMIT, ERR_NOMEM.
 */
static ssize_t
find_dir(struct check *k, size_t root, const char *path, size_t length, const char **why, struct err *e)
{
	ssize_t found = apply_tree_dir(k->tree, root, path, length);
	char text[APPLY_PATH_MAX + 1];
	int fd;

	if (found >= 0)
		return found;
	snprintf(text, sizeof(text), "%.*s", (int)length, path);
	fd = apply_open_beneath(k->tree->roots[root].fd, text, O_PATH | O_DIRECTORY);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		return err_sys(e, ERR_LIMIT, "the changes are in more directories than can be open at once; raise the limit on "
		    "open files (ulimit -n)");
	*why = errno == ELOOP ? "there is a link above it, and changes do not go through links" :
	    errno == EXDEV    ? "it is on another filesystem, or outside" :
	    errno == ENOENT   ? "the directory that it was in is not there" :
	    errno == ENOTDIR  ? "what is above it is no directory" : "the directory that it is in cannot be opened";
	return fd < 0 ? ERR_NOTFOUND : apply_tree_add_dir(k->tree, root, path, length, fd, e);
}

/* Adds the directory that a change makes (fd -1) or removes. Its things wait where those of its parent do. */
static int
add_passing_dir(struct check *k, const struct place *p, bool doomed, struct err *e)
{
	const char *path = p->change->path;
	int fd = doomed ? apply_open_beneath(p->fd, p->name, O_PATH | O_DIRECTORY) : -1;
	ssize_t i = apply_tree_add_dir(k->tree, p->change->mount, path, strlen(path), fd, e);

	if (i < 0)
		return (int)i;
	k->tree->dirs[i].stage = k->tree->dirs[p->dir].stage;
	k->tree->dirs[i].doomed = doomed;
	return 0;
}

/* --- what was there before --------------------------------------------------------------------------------------- */

/* Whether a file holds what the program found there. */
static bool
check_file(struct check *k, const struct place *p)
{
	const struct apply_change *c = p->change;
	int holds;

	if (!c->has_base) {
		problem(k, c, "the result does not say what it held before");
		return false;
	}
	holds = apply_holds(p->fd, p->name, APPLY_FILE, p->st.st_ino, &c->base);
	if (holds < 0)
		problem(k, c, "it cannot be read: %s", strerror(errno));
	else if (holds == 0)
		problem(k, c, "it was changed since the program read it");
	return holds == 1;
}

/* Puts the digest of a link's target into *digest. It has to be the base, when the result has one. */
static bool
check_link(struct check *k, const struct place *p, struct digest *digest)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(p->fd, p->name, target, sizeof(target));

	if (n < 0) {
		problem(k, p->change, "the link cannot be read: %s", strerror(errno));
		return false;
	}
	*digest = digest_of(target, (size_t)n);
	if (!p->change->has_base || digest_equal(digest, &p->change->base))
		return true;
	problem(k, p->change, "it was changed since the program read it");
	return false;
}

/* Whether all that is in a directory which goes is going too. */
static bool
check_emptied(struct check *k, const struct place *p)
{
	const struct apply_change *c = p->change;
	int fd = apply_open_beneath(p->fd, p->name, O_RDONLY | O_DIRECTORY);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	char path[2 * APPLY_PATH_MAX];
	const struct dirent *entry;
	bool good = d != NULL;

	if (d == NULL) {
		problem(k, c, "the directory cannot be read: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (good && (entry = readdir(d)) != NULL) {
		const struct apply_change *inside;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", c->path, entry->d_name);
		inside = apply_set_find(k->set, c->mount, path, strlen(path));
		good = inside != NULL && inside->what == APPLY_DELETED;
		if (!good)
			problem(k, c, "the directory is not empty: it holds %s", entry->d_name);
	}
	closedir(d);
	return good;
}

static int
add_step(struct check *k, struct apply_tree *to, const struct place *p, struct apply_step s, struct err *e)
{
	s.dir = p->dir;
	s.stage = k->tree->dirs[p->dir].stage;
	s.name = (char *)(uintptr_t)p->name;
	s.number = k->number++;
	s.change = p->change;
	return apply_tree_add_step(to, &s, e);
}

/* What is there goes, when it is as the program found it. */
static int
remove_old(struct check *k, const struct place *p, struct err *e)
{
	struct apply_step s = {.op = APPLY_TAKE, .old = p->st.st_ino, .mode = p->st.st_mode & 07777, .owner = p->st.st_uid,
	    .group = p->st.st_gid};
	bool good;

	if (S_ISREG(p->st.st_mode)) {
		s.kind = APPLY_FILE;
		s.old_digest = p->change->base;
		good = check_file(k, p);
	} else if (S_ISLNK(p->st.st_mode)) {
		s.kind = APPLY_LINK;
		good = check_link(k, p, &s.old_digest);
	} else {
		s.op = APPLY_RMDIR;
		s.kind = APPLY_DIRECTORY;
		good = check_emptied(k, p);
		if (good && add_passing_dir(k, p, true, e) != 0)
			return ERR_NOMEM;
	}
	return good ? add_step(k, &k->removals, p, s, e) : 0;
}

/* --- what comes -------------------------------------------------------------------------------------------------- */

/* Where links are followed: the directory, as it will be. */
struct view {
	const struct check *k;
	size_t mount;
};

/* An apply_link_fn: the link that a change makes at a place, or the host's where no change is. */
static bool
read_link(void *arg, const char *place, char target[PATH_MAX])
{
	struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	const struct view *v = arg;
	const struct apply_change *c = apply_set_find(v->k->set, v->mount, place, strlen(place));
	ssize_t n = 0;
	int fd;

	if (c != NULL) {
		if (c->what == APPLY_DELETED || c->kind != APPLY_LINK || c->target == NULL)
			return false;
		return snprintf(target, PATH_MAX, "%s", c->target) > 0;
	}
	if ((fd = (int)syscall(SYS_openat2, v->k->tree->roots[v->mount].fd, place, &how, sizeof(how))) >= 0) {
		n = readlinkat(fd, "", target, PATH_MAX - 1);
		close(fd);
	}
	target[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* Whether a new link stays inside when the links that it leads to are followed, those on the host and new ones. */
static void
check_target(struct check *k, const struct place *p)
{
	const struct apply_change *c = p->change;
	struct view view = {k, c->mount};
	char from[APPLY_PATH_MAX + 1];
	int rc;

	snprintf(from, sizeof(from), "%.*s", (int)parent_length(c->path, strlen(c->path)), c->path);
	if ((rc = apply_link_follow(from, c->target, true, read_link, &view)) != 0)
		problem(k, c, rc == ERR_DENIED ? "the link leads out of the directory, through another link"
		                               : "the link leads to too long a path, through others");
}

static int
add_new(struct check *k, const struct place *p, struct err *e)
{
	struct apply_step s = {.op = APPLY_PUT, .kind = p->change->kind, .new_digest = p->change->digest};

	if (s.kind == APPLY_LINK) {
		check_target(k, p);
		s.new_digest = digest_of(p->change->target, strlen(p->change->target));
	}
	if (s.kind == APPLY_DIRECTORY && add_passing_dir(k, p, false, e) != 0)
		return ERR_NOMEM;
	return add_step(k, k->tree, p, s, e);
}

/* A file whose content is another. Its mode stays, but for bits that would let others run it as its owner. */
static int
exchange_file(struct check *k, const struct place *p, struct err *e)
{
	const struct apply_change *c = p->change;
	struct apply_step s = {.op = APPLY_SWAP, .kind = APPLY_FILE, .mode = p->st.st_mode & 0777, .owner = p->st.st_uid,
	    .group = p->st.st_gid, .old = p->st.st_ino, .old_digest = c->base, .new_digest = c->digest};

	if (!check_file(k, p))
		return 0;
	if (p->st.st_uid != geteuid() && geteuid() != 0)
		problem(k, c, "it belongs to another user, and would belong to you");
	else if (faccessat(p->fd, p->name, W_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) != 0)
		problem(k, c, "it may not be written to: %s", strerror(errno));
	else if (digest_equal(&c->base, &c->digest) == 0)
		return add_step(k, k->tree, p, s, e);
	return 0;
}

static int
check_created(struct check *k, const struct place *p, struct err *e)
{
	if (p->st.st_mode != 0)
		problem(k, p->change, "something of that name is there already");
	return add_new(k, p, e);
}

/* Whether it is what it was. */
static bool
check_kind(struct check *k, const struct place *p)
{
	static const mode_t modes[] = {[APPLY_FILE] = S_IFREG, [APPLY_DIRECTORY] = S_IFDIR, [APPLY_LINK] = S_IFLNK};
	const enum apply_kind was = p->change->was;

	if ((p->st.st_mode & S_IFMT) != modes[was])
		problem(k, p->change, "it was changed since the program read it: it is no %s any more", apply_kind_names[was]);
	return (p->st.st_mode & S_IFMT) == modes[was];
}

static int
check_modified(struct check *k, const struct place *p, struct err *e)
{
	const struct apply_change *c = p->change;
	int rc;

	if (!check_kind(k, p))
		return 0;
	if (c->kind == APPLY_FILE && c->was == APPLY_FILE)
		return exchange_file(k, p, e);
	if (c->kind == APPLY_DIRECTORY && c->was == APPLY_DIRECTORY)
		return 0; /* it was made anew, and is there */
	rc = remove_old(k, p, e);
	return rc != 0 ? rc : add_new(k, p, e);
}

static int
check_deleted(struct check *k, const struct place *p, struct err *e)
{
	return check_kind(k, p) ? remove_old(k, p, e) : 0;
}

/* --- one change, and all ----------------------------------------------------------------------------------------- */

/* Looks at what is at the change's name. Whether that can be changed. */
static bool
look(struct check *k, struct place *p)
{
	const struct apply_root *root = &k->tree->roots[p->change->mount];

	if (p->fd < 0)
		return true; /* in a new directory */
	if (fstatat(p->fd, p->name, &p->st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) {
		p->st.st_mode = 0;
		if (errno == ENOENT && p->change->what == APPLY_CREATED)
			return true;
		problem(k, p->change, "%s", errno == ENOENT ? "it is not there any more" : strerror(errno));
		return false;
	}
	if (!S_ISREG(p->st.st_mode) && !S_ISDIR(p->st.st_mode) && !S_ISLNK(p->st.st_mode))
		problem(k, p->change, "there is a special file of that name");
	else if (p->st.st_dev != root->device)
		problem(k, p->change, "it is on another filesystem");
	else
		return true;
	return false;
}

static int
check_change(struct check *k, const struct apply_change *c, struct err *e)
{
	static int (*const checks[])(struct check *, const struct place *, struct err *) = {
		[APPLY_CREATED] = check_created, [APPLY_MODIFIED] = check_modified, [APPLY_DELETED] = check_deleted};
	size_t length = parent_length(c->path, strlen(c->path));
	struct place p = {.change = c, .name = c->path + length + (length > 0)};
	const char *why = NULL;
	ssize_t dir = find_dir(k, c->mount, c->path, length, &why, e);

	check_guard(k, c);
	if (dir == ERR_NOTFOUND) {
		problem(k, c, "%s", why);
		return 0;
	}
	if (dir < 0)
		return (int)dir;
	p.dir = (size_t)dir;
	p.fd = k->tree->dirs[dir].fd;
	if (is_own(k, c, p.fd)) {
		problem(k, c, "brig keeps its own state there, or its keys and settings");
		return 0;
	}
	return look(k, &p) ? checks[c->what](k, &p, e) : 0;
}

/* Removals in front of what comes, and what is inside in front of what it is in. */
static int
join_steps(struct check *k, struct err *e)
{
	struct apply_tree come = {.steps = k->tree->steps, .step_count = k->tree->step_count};
	int rc = 0;

	k->tree->steps = NULL;
	k->tree->step_count = k->tree->step_room = 0;
	for (size_t i = k->removals.step_count; i-- > 0 && rc == 0;)
		rc = apply_tree_add_step(k->tree, &k->removals.steps[i], e);
	for (size_t i = 0; i < come.step_count && rc == 0; i++)
		rc = apply_tree_add_step(k->tree, &come.steps[i], e);
	apply_tree_clear(&come);
	return rc;
}

/* Each directory that changes go to is held open. */
static void
raise_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Opens a root, which is also the directory that stands first. */
static int
open_root(struct apply_tree *t, const char *path, struct err *e)
{
	int rc = apply_tree_root(t, path, e), fd;

	if (rc != 0)
		return rc;
	if ((fd = apply_open_beneath(t->roots[t->root_count - 1].fd, "", O_PATH | O_DIRECTORY)) < 0)
		return err_sys(e, ERR_IO, "%s", path);
	return apply_tree_add_dir(t, t->root_count - 1, "", 0, fd, e) < 0 ? ERR_NOMEM : 0;
}

int
apply_check(const struct apply_set *set, const struct apply_mount *mounts, size_t mount_count,
    const struct apply_guard *guard, int state, struct apply_tree *out, struct problems *problems, struct err *e)
{
	struct apply_tree tree = {.roots = NULL};
	struct check k = {.set = set, .guard = guard, .tree = &tree, .problems = problems};
	int rc = 0;

	if (fstat(state, &k.state) != 0)
		return err_sys(e, ERR_IO, "the state directory");
	raise_open_files();
	apply_tree_begin(&tree);
	rc = apply_own_find(&k.own, e);
	for (size_t i = 0; i < mount_count && rc == 0; i++)
		rc = open_root(&tree, mounts[i].host, e);
	for (size_t i = 0; i < set->count && rc == 0; i++)
		rc = check_change(&k, &set->changes[i], e);
	if (rc == 0)
		rc = join_steps(&k, e);
	apply_tree_clear(&k.removals);
	apply_own_clear(&k.own);
	if (rc == 0)
		*out = tree;
	else
		apply_tree_clear(&tree);
	return rc;
}
