/* Unit tests of runtime/wasi: paths and what POSIX's calls do to names, as tables of steps with the errno of each. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "runtime/wasi/fs.h"

enum op { MKDIR, MAKE, OPEN, OPEN_LINK, UNLINK, RMDIR, RENAME, LINK, LINK_FOLLOW, SYMLINK, STAT, LSTAT, TIMES };

/* `two` is the new path, or a symbolic link's target; `flags` are OPEN's; errno 0 is success. */
struct step {
	enum op op;
	const char *one, *two;
	uint32_t flags;
	enum wasi_errno expected;
};

static const struct wasi_clock clock_fixed = {.kind = PROTO_CLOCK_FIXED, .fixed_ns = 7};
static struct wasi_fs fs;
static struct wasi_node *top;

/* One mount, at /work. */
static void
begin(uint64_t bytes, uint64_t nodes, uint32_t rights, const struct wasi_rule *rules, uint32_t rule_count)
{
	const struct wasi_mount m = {"/work", 5, rights, rules, rule_count, NULL, NULL};

	wasi_fs_begin(&fs, bytes, nodes, &clock_fixed);
	assert_int_equal(wasi_fs_mount(&fs, &m), 0);
	top = fs.mounts[0].top;
}

/* Ends it; nothing may be left. */
static void
finish(void)
{
	wasi_fs_end(&fs);
	assert_int_equal(fs.tree.nodes, 0);
	assert_int_equal(fs.tree.room.used, 0);
}

static enum wasi_errno
open_and_close(const char *path, uint32_t flags)
{
	struct wasi_node *node;
	uint32_t rights;
	enum wasi_errno error = wasi_fs_open(&fs, top, path, strlen(path), flags, &node, &rights);

	if (error == WASI_ESUCCESS)
		wasi_node_close(&fs.tree, node);
	return error;
}

static enum wasi_errno
take(const struct step *s)
{
	const struct wasi_from one = {top, s->one, strlen(s->one)};
	const struct wasi_from two = {top, s->two, s->two == NULL ? 0 : strlen(s->two)};
	struct wasi_node *node;

	switch (s->op) {
	case MKDIR:
		return wasi_fs_mkdir(&fs, top, s->one, one.length);
	case MAKE:
		return open_and_close(s->one, WASI_OPEN_CREATE | WASI_OPEN_EXCLUSIVE);
	case OPEN:
		return open_and_close(s->one, s->flags | WASI_OPEN_FOLLOW);
	case OPEN_LINK:
		return open_and_close(s->one, s->flags);
	case UNLINK:
		return wasi_fs_unlink(&fs, top, s->one, one.length);
	case RMDIR:
		return wasi_fs_rmdir(&fs, top, s->one, one.length);
	case RENAME:
		return wasi_fs_rename(&fs, &one, &two);
	case LINK:
	case LINK_FOLLOW:
		return wasi_fs_link(&fs, &one, s->op == LINK_FOLLOW, &two);
	case SYMLINK:
		return wasi_fs_symlink(&fs, s->two, two.length, top, s->one, one.length);
	case STAT:
	case LSTAT:
		return wasi_fs_find(&fs, top, s->one, one.length, s->op == STAT, 0, &node);
	case TIMES:
		return wasi_fs_find(&fs, top, s->one, one.length, true, WASI_FS_WRITE, &node);
	}
	return WASI_EINVAL;
}

static void
take_all(const struct step *steps, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		enum wasi_errno got = take(&steps[i]);

		if (got != steps[i].expected)
			print_error("step %zu, op %d, %s %s: %d, not %d\n", i, (int)steps[i].op, steps[i].one,
			    steps[i].two == NULL ? "" : steps[i].two, (int)got, (int)steps[i].expected);
		assert_int_equal(got, steps[i].expected);
	}
}

#define ALL(steps) take_all(steps, sizeof(steps) / sizeof((steps)[0]))

static void
run_steps(const struct step *steps, size_t count)
{
	begin(1 << 20, 1000, WASI_FS_ALL, NULL, 0);
	take_all(steps, count);
	finish();
}

#define RUN(steps) run_steps(steps, sizeof(steps) / sizeof((steps)[0]))

/* --- paths ----------------------------------------------------------------------------------------------------- */

static void
paths_stay_below_their_directory(void **state)
{
	static const struct step steps[] = {
		{MKDIR, "d", NULL, 0, 0},
		{MKDIR, "d/e", NULL, 0, 0},
		{MAKE, "d/e/f", NULL, 0, 0},
		{STAT, "d/.//e/../../d/e/../e///./f", NULL, 0, 0},
		{STAT, "/d", NULL, 0, WASI_ENOTCAPABLE},
		{STAT, "/", NULL, 0, WASI_ENOTCAPABLE},
		{STAT, "..", NULL, 0, WASI_ENOTCAPABLE},
		{STAT, "../work/d", NULL, 0, WASI_ENOTCAPABLE},
		{STAT, "d/../..", NULL, 0, WASI_ENOTCAPABLE},
		{STAT, "d/e/../../../work/d/e/f", NULL, 0, WASI_ENOTCAPABLE},
		{STAT, ".", NULL, 0, 0},
		{STAT, "./", NULL, 0, 0},
		{STAT, "d/..", NULL, 0, 0},
		{STAT, "d/e/..", NULL, 0, 0},
		{STAT, "missing/..", NULL, 0, WASI_ENOENT},
		{STAT, "missing/.", NULL, 0, WASI_ENOENT},
		{STAT, "d/e/f/..", NULL, 0, WASI_ENOTDIR},
		{STAT, "d/e/f/.", NULL, 0, WASI_ENOTDIR},
		{STAT, "d/e/f/g", NULL, 0, WASI_ENOTDIR},
		{STAT, "d/e/f/", NULL, 0, WASI_ENOTDIR},
		{STAT, "d/e/f///", NULL, 0, WASI_ENOTDIR},
		{STAT, "d/e///", NULL, 0, 0},
		{STAT, "d/x", NULL, 0, WASI_ENOENT},
		{STAT, "d/x/y", NULL, 0, WASI_ENOENT},
		{STAT, "", NULL, 0, WASI_ENOENT},
		{STAT, "...", NULL, 0, WASI_ENOENT},
		{MKDIR, "...", NULL, 0, 0},
		{MKDIR, "..x", NULL, 0, 0},
		{STAT, ".../../..x/../d/e/f", NULL, 0, 0},
	};

	(void)state;
	RUN(steps);
}

static void
names_must_be_utf8_without_nul(void **state)
{
	static const char *const good[] = {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "a\nb", "\x7f", "\x01"};
	static const char *const bad[] = {"\x80", "a\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc3", "d/\xfe/.."};
	struct wasi_node *node;

	(void)state;
	begin(1 << 20, 1000, WASI_FS_ALL, NULL, 0);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(wasi_fs_mkdir(&fs, top, good[i], strlen(good[i])), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(wasi_fs_mkdir(&fs, top, bad[i], strlen(bad[i])), WASI_EILSEQ);
		assert_int_equal(wasi_fs_symlink(&fs, bad[i], strlen(bad[i]), top, "x", 1), WASI_EILSEQ);
	}
	assert_int_equal(wasi_fs_mkdir(&fs, top, "a\0b", 3), WASI_EILSEQ);
	assert_int_equal(wasi_fs_find(&fs, top, "\x7f\0", 2, true, 0, &node), WASI_EILSEQ);
	finish();
}

static void
names_and_paths_have_a_longest_length(void **state)
{
	static char path[WASI_PATH_MAX + 2];
	struct wasi_node *node;

	(void)state;
	begin(1 << 20, 1000, WASI_FS_ALL, NULL, 0);
	memset(path, 'n', sizeof(path));
	assert_int_equal(wasi_fs_mkdir(&fs, top, path, WASI_NAME_MAX), 0);
	assert_int_equal(wasi_fs_mkdir(&fs, top, path, WASI_NAME_MAX + 1), WASI_ENAMETOOLONG);
	path[WASI_NAME_MAX] = '/';
	assert_int_equal(wasi_fs_mkdir(&fs, top, path, 2 * WASI_NAME_MAX + 1), 0);
	assert_int_equal(wasi_fs_mkdir(&fs, top, path, 2 * WASI_NAME_MAX + 2), WASI_ENAMETOOLONG);
	memset(path, '/', sizeof(path));
	path[0] = '.';
	assert_int_equal(wasi_fs_find(&fs, top, path, WASI_PATH_MAX, true, 0, &node), 0);
	assert_int_equal(wasi_fs_find(&fs, top, path, WASI_PATH_MAX + 1, true, 0, &node), WASI_ENAMETOOLONG);
	assert_int_equal(wasi_fs_symlink(&fs, path, WASI_PATH_MAX, top, "l", 1), 0);
	assert_int_equal(wasi_fs_symlink(&fs, path, WASI_PATH_MAX + 1, top, "m", 1), WASI_ENAMETOOLONG);
	assert_int_equal(wasi_fs_find(&fs, top, "l", 1, true, 0, &node), 0);
	assert_ptr_equal(node, top);
	finish();
}

static void
symbolic_links_lead_on_inside_only(void **state)
{
	static const struct step steps[] = {
		{MKDIR, "d", NULL, 0, 0},
		{MAKE, "d/f", NULL, 0, 0},
		{SYMLINK, "to_f", "d/f", 0, 0},
		{SYMLINK, "d/up", "../d", 0, 0},
		{SYMLINK, "d/out", "../../etc", 0, 0}, /* can be made, but leads nowhere */
		{SYMLINK, "abs", "/etc/passwd", 0, WASI_ENOTCAPABLE},
		{SYMLINK, "none", "", 0, WASI_ENOENT},
		{SYMLINK, "dangling", "nothing", 0, 0},
		{SYMLINK, "slash", "d/", 0, 0},
		{SYMLINK, "file_slash", "d/f/", 0, 0},
		{SYMLINK, "self", "self", 0, 0},
		{SYMLINK, "a", "b/x", 0, 0},
		{SYMLINK, "b", "a", 0, 0},
		{STAT, "to_f", NULL, 0, 0},
		{STAT, "to_f/", NULL, 0, WASI_ENOTDIR},
		{STAT, "to_f/x", NULL, 0, WASI_ENOTDIR},
		{STAT, "d/up/up/up/f", NULL, 0, 0},
		{STAT, "d/out", NULL, 0, WASI_ENOTCAPABLE},
		{LSTAT, "d/out", NULL, 0, 0},
		{LSTAT, "d/out/", NULL, 0, WASI_ENOTCAPABLE},
		{STAT, "dangling", NULL, 0, WASI_ENOENT},
		{LSTAT, "dangling", NULL, 0, 0},
		{LSTAT, "dangling/", NULL, 0, WASI_ENOENT},
		{STAT, "slash", NULL, 0, 0},
		{STAT, "slash/f", NULL, 0, 0},
		{STAT, "file_slash", NULL, 0, WASI_ENOTDIR},
		{LSTAT, "self", NULL, 0, 0},
		{STAT, "self", NULL, 0, WASI_ELOOP},
		{STAT, "self/x", NULL, 0, WASI_ELOOP},
		{STAT, "a", NULL, 0, WASI_ELOOP},
	};

	(void)state;
	RUN(steps);
}

static void
forty_links_are_followed_and_no_more(void **state)
{
	char name[16], target[16];
	struct wasi_node *node;

	(void)state;
	begin(1 << 20, 1000, WASI_FS_ALL, NULL, 0);
	assert_int_equal(open_and_close("0", WASI_OPEN_CREATE), 0);
	for (int i = 1; i <= 41; i++) {
		snprintf(name, sizeof(name), "%d", i);
		snprintf(target, sizeof(target), "%d", i - 1);
		assert_int_equal(wasi_fs_symlink(&fs, target, strlen(target), top, name, strlen(name)), 0);
	}
	assert_int_equal(wasi_fs_find(&fs, top, "40", 2, true, 0, &node), 0);
	assert_int_equal(wasi_fs_find(&fs, top, "41", 2, true, 0, &node), WASI_ELOOP);
	assert_int_equal(wasi_fs_find(&fs, top, "41", 2, false, 0, &node), 0);
	finish();
}

/* --- calls ----------------------------------------------------------------------------------------------------- */

static void
open_checks_what_is_there(void **state)
{
	static const struct step steps[] = {
		{MKDIR, "d", NULL, 0, 0},
		{MAKE, "f", NULL, 0, 0},
		{MAKE, "f", NULL, 0, WASI_EEXIST},
		{MAKE, "d", NULL, 0, WASI_EEXIST},
		{MAKE, ".", NULL, 0, WASI_EEXIST},
		{MAKE, "f/", NULL, 0, WASI_EEXIST},
		{OPEN, "f", NULL, WASI_OPEN_CREATE, 0},
		{OPEN, "f", NULL, WASI_OPEN_EXCLUSIVE, 0},
		{OPEN, "f", NULL, WASI_OPEN_DIRECTORY, WASI_ENOTDIR},
		{OPEN, "f/", NULL, 0, WASI_ENOTDIR},
		{OPEN, "f/", NULL, WASI_OPEN_CREATE, WASI_ENOTDIR},
		{OPEN, "new/", NULL, WASI_OPEN_CREATE, WASI_ENOENT},
		{OPEN, "new", NULL, 0, WASI_ENOENT},
		{OPEN, "new", NULL, WASI_OPEN_DIRECTORY, WASI_ENOENT},
		{OPEN, "new", NULL, WASI_OPEN_TRUNCATE, WASI_ENOENT},
		{OPEN, "new", NULL, WASI_OPEN_DIRECTORY | WASI_OPEN_CREATE, WASI_EINVAL},
		{OPEN, "no/new", NULL, WASI_OPEN_CREATE, WASI_ENOENT},
		{OPEN, "f/new", NULL, WASI_OPEN_CREATE, WASI_ENOTDIR},
		{OPEN, "d", NULL, 0, 0},
		{OPEN, "d/", NULL, WASI_OPEN_DIRECTORY | WASI_OPEN_READ, 0},
		{OPEN, "d", NULL, WASI_OPEN_WRITE, WASI_EISDIR},
		{OPEN, "d", NULL, WASI_OPEN_TRUNCATE, WASI_EISDIR},
		{OPEN, "d", NULL, WASI_OPEN_CREATE, WASI_EISDIR},
		{OPEN, ".", NULL, WASI_OPEN_CREATE, WASI_EISDIR},
		{SYMLINK, "l", "f", 0, 0},
		{SYMLINK, "ld", "d", 0, 0},
		{SYMLINK, "dangling", "made", 0, 0},
		{OPEN, "l", NULL, 0, 0},
		{OPEN_LINK, "l", NULL, 0, WASI_ELOOP},
		{OPEN_LINK, "l", NULL, WASI_OPEN_CREATE, WASI_ELOOP},
		{OPEN_LINK, "ld", NULL, WASI_OPEN_DIRECTORY, WASI_ENOTDIR},
		{OPEN_LINK, "ld/", NULL, WASI_OPEN_DIRECTORY, 0},
		{OPEN, "ld", NULL, WASI_OPEN_DIRECTORY, 0},
		{OPEN, "l", NULL, WASI_OPEN_DIRECTORY, WASI_ENOTDIR},
		{MAKE, "dangling", NULL, 0, WASI_EEXIST},
		{OPEN_LINK, "dangling", NULL, WASI_OPEN_CREATE, WASI_ELOOP},
		{OPEN, "dangling", NULL, 0, WASI_ENOENT},
		{OPEN, "dangling", NULL, WASI_OPEN_CREATE, 0}, /* makes what it points to */
		{LSTAT, "made", NULL, 0, 0},
	};

	(void)state;
	RUN(steps);
}

static void
mkdir_rmdir_and_unlink_check_what_is_there(void **state)
{
	static const struct step steps[] = {
		{MKDIR, "d", NULL, 0, 0},
		{MKDIR, "d", NULL, 0, WASI_EEXIST},
		{MKDIR, "d/", NULL, 0, WASI_EEXIST},
		{MKDIR, ".", NULL, 0, WASI_EEXIST},
		{MKDIR, "d/..", NULL, 0, WASI_EEXIST},
		{MKDIR, "e/", NULL, 0, 0},
		{MKDIR, "x/y", NULL, 0, WASI_ENOENT},
		{MAKE, "f", NULL, 0, 0},
		{MKDIR, "f", NULL, 0, WASI_EEXIST},
		{MKDIR, "f/g", NULL, 0, WASI_ENOTDIR},
		{SYMLINK, "l", "d", 0, 0},
		{SYMLINK, "dangling", "nothing", 0, 0},
		{MKDIR, "dangling", NULL, 0, WASI_EEXIST},
		{SYMLINK, "l", "d", 0, WASI_EEXIST},
		{SYMLINK, "d/", "f", 0, WASI_EEXIST},
		{SYMLINK, "f/", "f", 0, WASI_ENOTDIR},
		{SYMLINK, "new/", "f", 0, WASI_ENOENT},
		{RMDIR, "f", NULL, 0, WASI_ENOTDIR},
		{RMDIR, "f/", NULL, 0, WASI_ENOTDIR},
		{RMDIR, "l", NULL, 0, WASI_ENOTDIR},
		{RMDIR, "l/", NULL, 0, WASI_ENOTDIR},
		{RMDIR, "x", NULL, 0, WASI_ENOENT},
		{RMDIR, ".", NULL, 0, WASI_EINVAL},
		{RMDIR, "d/.", NULL, 0, WASI_EINVAL},
		{RMDIR, "d/..", NULL, 0, WASI_ENOTEMPTY},
		{RMDIR, "..", NULL, 0, WASI_ENOTCAPABLE},
		{UNLINK, "d", NULL, 0, WASI_EISDIR},
		{UNLINK, "d/", NULL, 0, WASI_EISDIR},
		{UNLINK, ".", NULL, 0, WASI_EISDIR},
		{UNLINK, "f/", NULL, 0, WASI_ENOTDIR},
		{UNLINK, "l/", NULL, 0, WASI_ENOTDIR},
		{UNLINK, "x", NULL, 0, WASI_ENOENT},
		{UNLINK, "x/", NULL, 0, WASI_ENOENT},
		{UNLINK, "dangling", NULL, 0, 0},
		{UNLINK, "l", NULL, 0, 0},
		{LSTAT, "d", NULL, 0, 0},
		{MAKE, "d/g", NULL, 0, 0},
		{RMDIR, "d", NULL, 0, WASI_ENOTEMPTY},
		{UNLINK, "d/g", NULL, 0, 0},
		{RMDIR, "d/", NULL, 0, 0},
		{RMDIR, "e", NULL, 0, 0},
		{UNLINK, "f", NULL, 0, 0},
		{UNLINK, "f", NULL, 0, WASI_ENOENT},
	};

	(void)state;
	RUN(steps);
}

static void
link_checks_what_is_there(void **state)
{
	static const struct step steps[] = {
		{MAKE, "f", NULL, 0, 0},
		{MKDIR, "d", NULL, 0, 0},
		{LINK, "f", "g", 0, 0},
		{LINK, "f", "g", 0, WASI_EEXIST},
		{LINK, "f", "f", 0, WASI_EEXIST},
		{LINK, "f", "d", 0, WASI_EEXIST},
		{LINK, "f", "d/", 0, WASI_EEXIST},
		{LINK, "f", "g/", 0, WASI_ENOTDIR},
		{LINK, "f", "new/", 0, WASI_ENOENT},
		{LINK, "f", "x/new", 0, WASI_ENOENT},
		{LINK, "f/", "new", 0, WASI_ENOTDIR},
		{LINK, "x", "new", 0, WASI_ENOENT},
		{LINK, "d", "new", 0, WASI_EPERM},
		{LINK, "d", "g", 0, WASI_EEXIST},
		{LINK, "f", "..", 0, WASI_ENOTCAPABLE},
		{SYMLINK, "l", "f", 0, 0},
		{SYMLINK, "dangling", "nothing", 0, 0},
		{SYMLINK, "self", "self", 0, 0},
		{LINK, "dangling", "l1", 0, 0},
		{LINK, "self", "l2", 0, 0},
		{LINK_FOLLOW, "dangling", "l3", 0, WASI_ENOENT},
		{LINK_FOLLOW, "self", "l3", 0, WASI_ELOOP},
		{LINK, "f", "dangling", 0, WASI_EEXIST},
		{LINK_FOLLOW, "l", "h", 0, 0},
		{UNLINK, "f", NULL, 0, 0},
		{OPEN_LINK, "h", NULL, 0, 0}, /* is the file, not the link */
	};

	(void)state;
	RUN(steps);
}

static void
rename_checks_what_is_there(void **state)
{
	static const struct step steps[] = {
		{MAKE, "f", NULL, 0, 0},
		{MAKE, "g", NULL, 0, 0},
		{MKDIR, "d", NULL, 0, 0},
		{MKDIR, "e", NULL, 0, 0},
		{MKDIR, "d/in", NULL, 0, 0},
		{RENAME, "x", "y", 0, WASI_ENOENT},
		{RENAME, "x", "f", 0, WASI_ENOENT},
		{RENAME, "f", "f", 0, 0},
		{RENAME, "d", "d", 0, 0},
		{RENAME, "f", "d", 0, WASI_EISDIR},
		{RENAME, "d", "f", 0, WASI_ENOTDIR},
		{RENAME, "e", "d", 0, WASI_ENOTEMPTY},
		{RENAME, "d", "d/in/x", 0, WASI_EINVAL},
		{RENAME, "d", "d/x", 0, WASI_EINVAL},
		{RENAME, "d/in", "d", 0, WASI_ENOTEMPTY},
		{RENAME, ".", "x", 0, WASI_EINVAL},
		{RENAME, "d", "e/.", 0, WASI_EINVAL},
		{RENAME, "d/..", "x", 0, WASI_EINVAL},
		{RENAME, "..", "x", 0, WASI_ENOTCAPABLE},
		{RENAME, "f", "../x", 0, WASI_ENOTCAPABLE},
		{RENAME, "f", "x/y", 0, WASI_ENOENT},
		{RENAME, "f", "g/y", 0, WASI_ENOTDIR},
		{RENAME, "f", "new/", 0, WASI_ENOTDIR},
		{RENAME, "f/", "new", 0, WASI_ENOTDIR},
		{RENAME, "f", "f/", 0, WASI_ENOTDIR},
		{RENAME, "e/", "e2", 0, 0},
		{RENAME, "e2", "e/", 0, 0},
		{RENAME, "e/", "e2/", 0, 0},
		{RENAME, "d", "e2", 0, 0}, /* empty: replaced */
		{LSTAT, "d", NULL, 0, WASI_ENOENT},
		{LSTAT, "e2/in", NULL, 0, 0},
		{RENAME, "f", "e2/in/f", 0, 0},
		{STAT, "e2/in/../in/f", NULL, 0, 0},
		{RENAME, "e2/in", "up", 0, 0},
		{STAT, "up/../up/f", NULL, 0, 0},
		{STAT, "up/../..", NULL, 0, WASI_ENOTCAPABLE},
		{RENAME, "up/f", "g", 0, 0}, /* replaced */
		{LINK, "g", "h", 0, 0},
		{RENAME, "g", "h", 0, 0}, /* one file: nothing happens */
		{LSTAT, "g", NULL, 0, 0},
		{SYMLINK, "l", "g", 0, 0},
		{RENAME, "l/", "x", 0, WASI_ENOTDIR},
		{RENAME, "l", "h", 0, 0},
		{OPEN_LINK, "h", NULL, 0, WASI_ELOOP},
		{RENAME, "g", "h", 0, 0}, /* replaces the link, not its target */
		{OPEN_LINK, "h", NULL, 0, 0},
		{RMDIR, "up", NULL, 0, 0},
		{RMDIR, "e2", NULL, 0, 0},
	};

	(void)state;
	RUN(steps);
}

static void
what_is_removed_stays_while_it_is_open(void **state)
{
	struct wasi_node *file, *dir, *node;
	uint32_t rights;

	(void)state;
	begin(1 << 20, 1000, WASI_FS_ALL, NULL, 0);
	assert_int_equal(wasi_fs_mkdir(&fs, top, "d", 1), 0);
	assert_int_equal(wasi_fs_open(&fs, top, "d", 1, 0, &dir, &rights), 0);
	assert_int_equal(wasi_fs_open(&fs, top, "d/f", 3, WASI_OPEN_CREATE, &file, &rights), 0);
	assert_int_equal(wasi_node_links(dir), 2);
	assert_int_equal(wasi_node_links(top), 3);
	assert_int_equal(wasi_fs_unlink(&fs, dir, "f", 1), 0);
	assert_int_equal(wasi_fs_rmdir(&fs, top, "d", 1), 0);
	assert_int_equal(wasi_node_links(file), 0);
	assert_int_equal(wasi_node_links(dir), 0);
	assert_int_equal(wasi_node_links(top), 2);
	assert_int_equal(wasi_fs_find(&fs, dir, ".", 1, true, 0, &node), 0);
	assert_int_equal(wasi_fs_find(&fs, dir, "..", 2, true, 0, &node), WASI_ENOTCAPABLE);
	assert_int_equal(wasi_fs_mkdir(&fs, dir, "x", 1), WASI_ENOENT);
	assert_int_equal(wasi_fs_symlink(&fs, "t", 1, dir, "x", 1), WASI_ENOENT);
	assert_int_equal(wasi_fs_open(&fs, dir, "x", 1, WASI_OPEN_CREATE, &node, &rights), WASI_ENOENT);
	assert_int_equal(open_and_close("g", WASI_OPEN_CREATE), 0);
	assert_int_equal(wasi_fs_rename(&fs, &(struct wasi_from){top, "g", 1}, &(struct wasi_from){dir, "g", 1}), WASI_ENOENT);
	assert_int_equal(wasi_fs_link(&fs, &(struct wasi_from){top, "g", 1}, false, &(struct wasi_from){dir, "g", 1}),
	    WASI_ENOENT);
	wasi_node_close(&fs.tree, file);
	wasi_node_close(&fs.tree, dir);
	finish();
}

static void
between_mounts_names_do_not_move(void **state)
{
	const struct wasi_mount other = {"/other", 6, WASI_FS_ALL, NULL, 0, NULL, NULL};

	(void)state;
	begin(1 << 20, 1000, WASI_FS_ALL, NULL, 0);
	assert_int_equal(wasi_fs_mount(&fs, &other), 0);
	assert_int_equal(open_and_close("f", WASI_OPEN_CREATE), 0);
	assert_int_equal(wasi_fs_rename(&fs, &(struct wasi_from){top, "f", 1}, &(struct wasi_from){fs.mounts[1].top, "f", 1}),
	    WASI_EXDEV);
	assert_int_equal(wasi_fs_link(&fs, &(struct wasi_from){top, "f", 1}, false,
	    &(struct wasi_from){fs.mounts[1].top, "f", 1}), WASI_EXDEV);
	finish();
}

/* --- limits ---------------------------------------------------------------------------------------------------- */

static void
nodes_and_bytes_end_at_their_limits(void **state)
{
	static const struct step few[] = {
		{MAKE, "a", NULL, 0, 0},
		{MKDIR, "b", NULL, 0, 0},
		{MAKE, "c", NULL, 0, WASI_ENOSPC},
		{MKDIR, "c", NULL, 0, WASI_ENOSPC},
		{SYMLINK, "c", "a", 0, WASI_ENOSPC},
		{LINK, "a", "c", 0, 0}, /* no node of its own */
		{UNLINK, "a", NULL, 0, 0},
		{MAKE, "d", NULL, 0, WASI_ENOSPC},
		{UNLINK, "c", NULL, 0, 0},
		{MAKE, "d", NULL, 0, 0},
	};
	static const struct step small[] = {
		{MAKE, "a", NULL, 0, 0},
		{LINK, "a", "b", 0, WASI_ENOSPC},
		{RENAME, "a", "b", 0, WASI_ENOSPC}, /* needs room for both names for a moment */
		{UNLINK, "a", NULL, 0, 0},
		{SYMLINK, "b", "t", 0, 0},
		{UNLINK, "b", NULL, 0, 0},
		{SYMLINK, "b", "target which is longer than the room that there is", 0, WASI_ENOSPC},
		{MKDIR, "b", NULL, 0, 0},
	};

	(void)state;
	begin(1 << 20, 3, WASI_FS_ALL, NULL, 0);
	ALL(few);
	finish();
	begin(160, 100, WASI_FS_ALL, NULL, 0);
	ALL(small);
	finish();
}

static void
files_that_are_put_need_no_grant(void **state)
{
	static const uint8_t data[] = "hello";
	struct wasi_node *node;
	uint8_t got[8];
	size_t n;

	(void)state;
	begin(1 << 20, 5, 0, NULL, 0);
	assert_int_equal(wasi_fs_put(&fs, &fs.mounts[0], "a/b/f", 5, data, 5), 0);
	assert_int_equal(wasi_fs_put(&fs, &fs.mounts[0], "a/b/f", 5, data, 5), WASI_EEXIST);
	assert_int_equal(wasi_fs_put(&fs, &fs.mounts[0], "a/b/f/g", 7, data, 5), WASI_ENOTDIR);
	assert_int_equal(wasi_fs_put(&fs, &fs.mounts[0], "a/g", 3, NULL, 0), 0);
	assert_int_equal(wasi_fs_put(&fs, &fs.mounts[0], "a/h", 3, NULL, 0), WASI_ENOSPC);
	assert_int_equal(wasi_fs_find(&fs, top, "a/b/f", 5, true, 0, &node), 0);
	assert_int_equal(wasi_file_read(&node->file, 0, got, sizeof(got), &n), WASI_ESUCCESS);
	assert_int_equal(n, 5);
	assert_memory_equal(got, data, 5);
	finish();
}

/* --- policy ---------------------------------------------------------------------------------------------------- */

/* A step that policy refuses, with what is said to be missing where. */
static void
expect_refused(const struct step *s, uint32_t missing, const char *where)
{
	fs.refused = 0;
	assert_int_equal(take(s), WASI_ENOTCAPABLE);
	assert_int_equal(fs.refused, missing);
	assert_int_equal(fs.refused_path.length, strlen(where));
	assert_memory_equal(fs.refused_path.text + fs.refused_path.start, where, strlen(where));
}

#define REFUSED(missing, where, ...) expect_refused(&(const struct step){__VA_ARGS__}, missing, where)

static void
each_right_grants_its_own_and_facts_come_first(void **state)
{
	static const struct step possible[] = {
		{OPEN, "f", NULL, WASI_OPEN_READ, 0},
		{MAKE, "f", NULL, 0, WASI_EEXIST},
		{MKDIR, "d", NULL, 0, WASI_EEXIST},
		{UNLINK, "x", NULL, 0, WASI_ENOENT},
		{RMDIR, "f", NULL, 0, WASI_ENOTDIR},
		{OPEN, "x", NULL, WASI_OPEN_WRITE, WASI_ENOENT},
		{OPEN, "f", NULL, WASI_OPEN_CREATE, 0}, /* it is there: nothing is made */
		{STAT, "f", NULL, 0, 0},
	};

	(void)state;
	begin(1 << 20, 100, WASI_FS_READ, NULL, 0);
	assert_int_equal(wasi_fs_put(&fs, &fs.mounts[0], "f", 1, NULL, 0), 0);
	assert_int_equal(wasi_fs_put(&fs, &fs.mounts[0], "d/e/g", 5, NULL, 0), 0);
	ALL(possible);
	REFUSED(WASI_FS_WRITE, "/work/f", OPEN, "f", NULL, WASI_OPEN_WRITE, 0);
	REFUSED(WASI_FS_WRITE, "/work/d/e/g", OPEN, "d/./e/g", NULL, WASI_OPEN_TRUNCATE, 0);
	REFUSED(WASI_FS_WRITE, "/work/d", TIMES, "d", NULL, 0, 0);
	REFUSED(WASI_FS_WRITE, "/work", TIMES, ".", NULL, 0, 0);
	REFUSED(WASI_FS_CREATE, "/work/x", MAKE, "x", NULL, 0, 0);
	REFUSED(WASI_FS_CREATE, "/work/d/x", MKDIR, "d/x/", NULL, 0, 0);
	REFUSED(WASI_FS_CREATE, "/work/x", SYMLINK, "x", "f", 0, 0);
	REFUSED(WASI_FS_CREATE, "/work/x", LINK, "f", "x", 0, 0);
	REFUSED(WASI_FS_DELETE, "/work/f", RENAME, "f", "x", 0, 0);
	REFUSED(WASI_FS_DELETE, "/work/f", UNLINK, "f", NULL, 0, 0);
	fs.mounts[0].rights = WASI_FS_CREATE;
	REFUSED(WASI_FS_READ, "/work/f", OPEN, "f", NULL, WASI_OPEN_READ, 0);
	REFUSED(WASI_FS_READ, "/work/d", OPEN, "d", NULL, WASI_OPEN_READ, 0);
	fs.mounts[0].rights = WASI_FS_CREATE | WASI_FS_DELETE;
	assert_int_equal(open_and_close("mine", WASI_OPEN_CREATE | WASI_OPEN_WRITE | WASI_OPEN_READ), 0);
	REFUSED(WASI_FS_WRITE, "/work/mine", OPEN, "mine", NULL, WASI_OPEN_WRITE, 0);
	assert_int_equal(take(&(const struct step){RENAME, "mine", "yours", 0, 0}), 0);
	finish();
}

static void
rules_hold_for_whole_components_and_the_longest_decides(void **state)
{
	static const struct wasi_rule rules[] = {
		{"src", 3, WASI_FS_ALL},
		{"src/gen", 7, WASI_FS_READ},
		{"src/gen/keep/it", 15, 0},
		{"one", 3, WASI_FS_READ | WASI_FS_WRITE},
	};
	static const struct step granted[] = {
		{MAKE, "src/x", NULL, 0, 0},
		{OPEN, "src/x", NULL, WASI_OPEN_WRITE, 0},
		{OPEN, "src/gen/a", NULL, WASI_OPEN_READ, 0},
		{OPEN, "one", NULL, WASI_OPEN_WRITE, 0},
		{MKDIR, "src/generated", NULL, 0, 0},
		{RENAME, "src/x", "src/y", 0, 0},
		{LINK, "src/gen/a", "src/gen/a", 0, WASI_EEXIST},
	};

	(void)state;
	begin(1 << 20, 100, WASI_FS_READ, rules, 4);
	assert_int_equal(wasi_fs_put(&fs, &fs.mounts[0], "src/gen/a", 9, NULL, 0), 0);
	assert_int_equal(wasi_fs_put(&fs, &fs.mounts[0], "src/gen/keep/it", 15, NULL, 0), 0);
	assert_int_equal(wasi_fs_put(&fs, &fs.mounts[0], "srcs/a", 6, NULL, 0), 0);
	assert_int_equal(wasi_fs_put(&fs, &fs.mounts[0], "one", 3, NULL, 0), 0);
	assert_int_equal(wasi_fs_put(&fs, &fs.mounts[0], "two", 3, NULL, 0), 0);
	ALL(granted);
	REFUSED(WASI_FS_WRITE, "/work/srcs/a", OPEN, "srcs/a", NULL, WASI_OPEN_WRITE, 0);
	REFUSED(WASI_FS_WRITE, "/work/src/gen/a", OPEN, "src/gen/a", NULL, WASI_OPEN_WRITE, 0);
	REFUSED(WASI_FS_READ, "/work/src/gen/keep/it", OPEN, "src/gen/keep/it", NULL, WASI_OPEN_READ, 0);
	REFUSED(WASI_FS_WRITE, "/work/two", OPEN, "two", NULL, WASI_OPEN_WRITE, 0);
	REFUSED(WASI_FS_CREATE, "/work/x", RENAME, "src/y", "x", 0, 0);
	REFUSED(WASI_FS_CREATE, "/work/src/gen/x", LINK, "src/y", "src/gen/x", 0, 0);
	finish();
}

static void
nothing_becomes_writable_by_moving_it(void **state)
{
	static const struct wasi_rule rules[] = {{"safe", 4, WASI_FS_READ | WASI_FS_DELETE}, {"d/e/secret", 10, 0}};

	(void)state;
	begin(1 << 20, 100, WASI_FS_ALL, rules, 2);
	assert_int_equal(wasi_fs_put(&fs, &fs.mounts[0], "safe/f", 6, NULL, 0), 0);
	assert_int_equal(wasi_fs_put(&fs, &fs.mounts[0], "d/e/secret", 10, NULL, 0), 0);
	REFUSED(WASI_FS_WRITE, "/work/safe/f", RENAME, "safe/f", "f", 0, 0);
	REFUSED(WASI_FS_WRITE, "/work/safe/f", LINK, "safe/f", "f", 0, 0);
	REFUSED(WASI_FS_WRITE, "/work/safe", RENAME, "safe", "unsafe", 0, 0);
	fs.refused = 0;
	assert_int_equal(take(&(const struct step){RENAME, "d", "x", 0, 0}), WASI_ENOTCAPABLE);
	assert_int_equal(take(&(const struct step){RENAME, "d/e", "x", 0, 0}), WASI_ENOTCAPABLE);
	assert_int_equal(fs.refused, 0);
	REFUSED(WASI_FS_READ, "/work/d/e/secret", OPEN, "d/e/secret", NULL, WASI_OPEN_READ, 0);
	assert_int_equal(take(&(const struct step){MKDIR, "m", NULL, 0, 0}), 0);
	assert_int_equal(take(&(const struct step){MAKE, "m/secret", NULL, 0, 0}), 0);
	assert_int_equal(take(&(const struct step){UNLINK, "safe/f", NULL, 0, 0}), 0);
	assert_int_equal(take(&(const struct step){RMDIR, "safe", NULL, 0, 0}), 0);
	/* What is in it would fall under the rules. */
	assert_int_equal(take(&(const struct step){MKDIR, "k", NULL, 0, 0}), 0);
	assert_int_equal(take(&(const struct step){RENAME, "k", "d/e", 0, 0}), WASI_ENOTEMPTY);
	finish();
}

static void
a_mount_at_the_root_names_paths_with_one_slash(void **state)
{
	const struct wasi_mount root = {"/", 1, WASI_FS_READ, NULL, 0, NULL, NULL};
	struct wasi_path path;

	(void)state;
	wasi_fs_begin(&fs, 1 << 20, 100, &clock_fixed);
	assert_int_equal(wasi_fs_mount(&fs, &root), 0);
	top = fs.mounts[0].top;
	REFUSED(WASI_FS_CREATE, "/x", MAKE, "x", NULL, 0, 0);
	wasi_fs_path(&fs, top, "", 0, &path);
	assert_int_equal(path.length, 1);
	assert_memory_equal(path.text + path.start, "/", 1);
	finish();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_stay_below_their_directory),
	    cmocka_unit_test(names_must_be_utf8_without_nul),
	    cmocka_unit_test(names_and_paths_have_a_longest_length),
	    cmocka_unit_test(symbolic_links_lead_on_inside_only),
	    cmocka_unit_test(forty_links_are_followed_and_no_more),
	    cmocka_unit_test(open_checks_what_is_there),
	    cmocka_unit_test(mkdir_rmdir_and_unlink_check_what_is_there),
	    cmocka_unit_test(link_checks_what_is_there),
	    cmocka_unit_test(rename_checks_what_is_there),
	    cmocka_unit_test(what_is_removed_stays_while_it_is_open),
	    cmocka_unit_test(between_mounts_names_do_not_move),
	    cmocka_unit_test(nodes_and_bytes_end_at_their_limits),
	    cmocka_unit_test(files_that_are_put_need_no_grant),
	    cmocka_unit_test(each_right_grants_its_own_and_facts_come_first),
	    cmocka_unit_test(rules_hold_for_whole_components_and_the_longest_decides),
	    cmocka_unit_test(nothing_becomes_writable_by_moving_it),
	    cmocka_unit_test(a_mount_at_the_root_names_paths_with_one_slash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
