/*
 * Unit test of runtime/wasi: random calls on a filesystem, each compared with a model that is written another way: a
 * flat list of full paths, resolved as text. BRIG_SEED=N replays, BRIG_ROUNDS=N runs longer.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/wasi/fs.h"

#define FILES_MAX  64
#define NAMES_MAX  256
#define TEXT_MAX   512
#define DATA_MAX   9000

/* --- the model ------------------------------------------------------------------------------------------------- */

/* What a name stands for. */
struct thing {
	enum wasi_node_kind kind;
	char target[TEXT_MAX];
	uint8_t data[DATA_MAX];
	size_t size;
};

/* A full path, "/" being the top: "/a/b". */
struct name {
	char path[TEXT_MAX];
	int thing;
};

static struct thing things[FILES_MAX];
static struct name names[NAMES_MAX];
static int thing_count, name_count;

static int
lookup(const char *path)
{
	for (int i = 0; i < name_count; i++)
		if (strcmp(names[i].path, path) == 0)
			return i;
	return -1;
}

static enum wasi_node_kind
kind_at(const char *path)
{
	int i = lookup(path);

	return i < 0 ? WASI_NODE_DIR : things[names[i].thing].kind; /* only the top has no name */
}

static bool
exists(const char *path)
{
	return strcmp(path, "/") == 0 || lookup(path) >= 0;
}

static int
names_of(int thing)
{
	int n = 0;

	for (int i = 0; i < name_count; i++)
		n += names[i].thing == thing;
	return n;
}

/* The full path of `name` in a directory. */
static void
join(const char *dir, const char *name, char out[TEXT_MAX])
{
	char joined[2 * TEXT_MAX];

	snprintf(joined, sizeof(joined), "%s%s%s", strcmp(dir, "/") == 0 ? "" : dir, "/", name);
	assert_true(strlen(joined) < TEXT_MAX);
	strcpy(out, joined);
}

/* Direct entries of a directory. */
static int
entries_of(const char *dir, bool directories_only)
{
	size_t length = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
	int n = 0;

	for (int i = 0; i < name_count; i++)
		if (strncmp(names[i].path, dir, length) == 0 && names[i].path[length] == '/' &&
		    strchr(names[i].path + length + 1, '/') == NULL)
			n += !directories_only || things[names[i].thing].kind == WASI_NODE_DIR;
	return n;
}

static int
new_thing(enum wasi_node_kind kind)
{
	for (int i = 0; i < thing_count; i++) {
		if (names_of(i) == 0) {
			things[i] = (struct thing){.kind = kind};
			return i;
		}
	}
	things[thing_count] = (struct thing){.kind = kind};
	return thing_count++;
}

static void
add_name(const char *path, int thing)
{
	strcpy(names[name_count].path, path);
	names[name_count++].thing = thing;
}

static void
drop_name(int i)
{
	names[i] = names[--name_count];
}

/* Where a path ends: its full path, free of links and dots. */
struct end {
	char path[TEXT_MAX];
	bool dot, dots, slash;
};

/*
 * Resolves by rewriting text: `done` is walked, `todo` still to be. A link's target goes in front of what is left.
 */
static enum wasi_errno
resolve(const char *path, enum wasi_walk_end mode, struct end *end)
{
	char done[TEXT_MAX] = "/", todo[4 * TEXT_MAX];
	int followed = 0;

	*end = (struct end){.dot = false};
	if (path[0] == '\0')
		return WASI_ENOENT;
	if (path[0] == '/')
		return WASI_ENOTCAPABLE;
	snprintf(todo, sizeof(todo), "%s", path);
	for (;;) {
		char component[TEXT_MAX], here[TEXT_MAX], rest[4 * TEXT_MAX];
		size_t n = strcspn(todo, "/"), slashes = strspn(todo + n, "/");
		bool last = todo[n + slashes] == '\0';

		snprintf(component, sizeof(component), "%.*s", (int)n, todo);
		strcpy(rest, todo + n + slashes);
		if (last && slashes > 0)
			end->slash = true;
		if (kind_at(done) != WASI_NODE_DIR)
			return WASI_ENOTDIR;
		if (strcmp(component, ".") == 0 || strcmp(component, "..") == 0) {
			if (component[1] == '.') {
				if (strcmp(done, "/") == 0)
					return WASI_ENOTCAPABLE;
				*strrchr(done, '/') = '\0';
				if (done[0] == '\0')
					strcpy(done, "/");
			}
			if (last) {
				end->dot = true;
				end->dots = component[1] == '.';
				strcpy(end->path, done);
				return WASI_ESUCCESS;
			}
			strcpy(todo, rest);
			continue;
		}
		join(done, component, here);
		if (exists(here) && kind_at(here) == WASI_NODE_LINK &&
		    (!last || mode == WASI_WALK_FOLLOW || (mode == WASI_WALK_LINK && end->slash))) {
			const char *target = things[names[lookup(here)].thing].target;

			if (++followed > 40)
				return WASI_ELOOP;
			if (last)
				snprintf(todo, sizeof(todo), "%s", target);
			else
				snprintf(todo, sizeof(todo), "%.500s/%.1500s", target, rest);
			continue;
		}
		if (last) {
			strcpy(end->path, here);
			return WASI_ESUCCESS;
		}
		if (!exists(here))
			return WASI_ENOENT;
		if (kind_at(here) != WASI_NODE_DIR)
			return WASI_ENOTDIR;
		strcpy(done, here);
		strcpy(todo, rest);
	}
}

static enum wasi_errno
model_mkdir(const char *path)
{
	struct end end;
	enum wasi_errno error = resolve(path, WASI_WALK_NAME, &end);

	if (error != 0)
		return error;
	if (exists(end.path))
		return WASI_EEXIST;
	add_name(end.path, new_thing(WASI_NODE_DIR));
	return 0;
}

static enum wasi_errno
model_unlink(const char *path)
{
	struct end end;
	enum wasi_errno error = resolve(path, WASI_WALK_NAME, &end);

	if (error != 0)
		return error;
	if (!exists(end.path))
		return WASI_ENOENT;
	if (kind_at(end.path) == WASI_NODE_DIR)
		return WASI_EISDIR;
	if (end.slash)
		return WASI_ENOTDIR;
	drop_name(lookup(end.path));
	return 0;
}

static enum wasi_errno
model_rmdir(const char *path)
{
	struct end end;
	enum wasi_errno error = resolve(path, WASI_WALK_NAME, &end);

	if (error != 0)
		return error;
	if (end.dot)
		return end.dots ? WASI_ENOTEMPTY : WASI_EINVAL;
	if (!exists(end.path))
		return WASI_ENOENT;
	if (kind_at(end.path) != WASI_NODE_DIR)
		return WASI_ENOTDIR;
	if (entries_of(end.path, false) > 0)
		return WASI_ENOTEMPTY;
	drop_name(lookup(end.path));
	return 0;
}

/* A new name: for a link of either kind. */
static enum wasi_errno
check_new(const struct end *end)
{
	if (!exists(end->path))
		return end->slash ? WASI_ENOENT : 0;
	return end->slash && kind_at(end->path) != WASI_NODE_DIR ? WASI_ENOTDIR : WASI_EEXIST;
}

static enum wasi_errno
model_symlink(const char *path, const char *target)
{
	struct end end;
	enum wasi_errno error = target[0] == '\0' ? WASI_ENOENT : resolve(path, WASI_WALK_NAME, &end);
	int thing;

	if (error == 0)
		error = check_new(&end);
	if (error == 0 && target[0] == '/')
		error = WASI_ENOTCAPABLE;
	if (error != 0)
		return error;
	thing = new_thing(WASI_NODE_LINK);
	strcpy(things[thing].target, target);
	add_name(end.path, thing);
	return 0;
}

static enum wasi_errno
model_link(const char *old, bool follow, const char *new)
{
	struct end from, to;
	enum wasi_errno error = resolve(old, follow ? WASI_WALK_FOLLOW : WASI_WALK_LINK, &from);

	if (error == 0 && !exists(from.path))
		error = WASI_ENOENT;
	if (error == 0 && from.slash && kind_at(from.path) != WASI_NODE_DIR)
		error = WASI_ENOTDIR;
	if (error == 0)
		error = resolve(new, WASI_WALK_NAME, &to);
	if (error == 0)
		error = check_new(&to);
	if (error == 0 && kind_at(from.path) == WASI_NODE_DIR)
		error = WASI_EPERM;
	if (error == 0)
		add_name(to.path, names[lookup(from.path)].thing);
	return error;
}

static enum wasi_errno
model_rename(const char *old, const char *new)
{
	struct end from, to;
	enum wasi_errno error = resolve(old, WASI_WALK_NAME, &from);
	bool directory, there;
	size_t length;

	if (error == 0)
		error = resolve(new, WASI_WALK_NAME, &to);
	if (error != 0)
		return error;
	if (from.dot || to.dot)
		return WASI_EINVAL;
	if (!exists(from.path))
		return WASI_ENOENT;
	directory = kind_at(from.path) == WASI_NODE_DIR;
	there = exists(to.path);
	if (!directory && (from.slash || to.slash))
		return WASI_ENOTDIR;
	if (there && names[lookup(from.path)].thing == names[lookup(to.path)].thing)
		return 0;
	length = strlen(from.path);
	if (directory && strncmp(to.path, from.path, length) == 0 && to.path[length] == '/')
		return WASI_EINVAL;
	if (there && directory && kind_at(to.path) != WASI_NODE_DIR)
		return WASI_ENOTDIR;
	if (there && !directory && kind_at(to.path) == WASI_NODE_DIR)
		return WASI_EISDIR;
	if (there && directory && entries_of(to.path, false) > 0)
		return WASI_ENOTEMPTY;
	if (there)
		drop_name(lookup(to.path));
	for (int i = 0; i < name_count; i++) {
		char moved[2 * TEXT_MAX];

		if (strncmp(names[i].path, from.path, length) != 0 ||
		    (names[i].path[length] != '/' && names[i].path[length] != '\0'))
			continue;
		snprintf(moved, sizeof(moved), "%s%s", to.path, names[i].path + length);
		strcpy(names[i].path, moved);
	}
	return 0;
}

/* *thing: what was opened, -1 for the top. */
static enum wasi_errno
model_open(const char *path, uint32_t flags, int *thing)
{
	bool create = (flags & WASI_OPEN_CREATE) != 0, only_new = create && (flags & WASI_OPEN_EXCLUSIVE) != 0;
	enum wasi_walk_end mode = (flags & WASI_OPEN_FOLLOW) != 0 ? WASI_WALK_FOLLOW : WASI_WALK_LINK;
	enum wasi_node_kind kind;
	struct end end;
	enum wasi_errno error;

	if (create && (flags & WASI_OPEN_DIRECTORY) != 0)
		return WASI_EINVAL;
	if ((error = resolve(path, only_new ? WASI_WALK_NAME : mode, &end)) != 0)
		return error;
	if (!exists(end.path)) {
		if (!create || end.slash)
			return WASI_ENOENT;
		*thing = new_thing(WASI_NODE_FILE);
		add_name(end.path, *thing);
		return 0;
	}
	if (only_new)
		return WASI_EEXIST;
	kind = kind_at(end.path);
	if (((flags & WASI_OPEN_DIRECTORY) != 0 || end.slash) && kind != WASI_NODE_DIR)
		return WASI_ENOTDIR;
	if (kind == WASI_NODE_LINK)
		return WASI_ELOOP;
	if (kind == WASI_NODE_DIR && (flags & (WASI_OPEN_CREATE | WASI_OPEN_TRUNCATE | WASI_OPEN_WRITE)) != 0)
		return WASI_EISDIR;
	*thing = lookup(end.path) < 0 ? -1 : names[lookup(end.path)].thing;
	if ((flags & WASI_OPEN_TRUNCATE) != 0)
		things[*thing].size = 0;
	return 0;
}

/* --- both ------------------------------------------------------------------------------------------------------ */

static const struct wasi_clock no_clock = {.kind = PROTO_CLOCK_NONE};
static struct wasi_fs fs;
static struct wasi_node *top;
static uint64_t dice;

static unsigned
roll(unsigned sides)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (unsigned)((dice >> 11) % sides);
}

/* A path of few names, so that most of them lead somewhere. */
static void
random_path(char path[TEXT_MAX])
{
	static const char *const parts[] = {"a", "b", "c", "d", "a", "b", "c", ".", ".."};
	unsigned n = 1 + roll(4);

	path[0] = '\0';
	if (roll(100) == 0)
		return;
	if (roll(60) == 0)
		strcat(path, "/");
	while (n-- > 0) {
		strcat(path, parts[roll(sizeof(parts) / sizeof(parts[0]))]);
		if (n > 0 || roll(8) == 0)
			strcat(path, roll(6) == 0 ? "//" : "/");
	}
}

static void
same(const char *what, const char *one, const char *two, enum wasi_errno got, enum wasi_errno expected)
{
	if (got != expected)
		fail_msg("%s \"%s\" \"%s\": %d, the model says %d", what, one, two, (int)got, (int)expected);
}

static void
write_and_read(struct wasi_node *node, struct thing *t)
{
	uint8_t data[DATA_MAX];
	size_t at = roll(DATA_MAX - 1000), n = roll(1000), done;

	if (roll(3) == 0) {
		assert_int_equal(wasi_file_resize(&node->file, &fs.tree.room, at), 0);
		if (at > t->size)
			memset(t->data + t->size, 0, at - t->size);
		t->size = at;
	} else if (n > 0) {
		memset(data, (int)roll(256), n);
		assert_int_equal(wasi_file_write(&node->file, &fs.tree.room, at, data, n, &done), 0);
		assert_int_equal(done, n);
		if (at > t->size)
			memset(t->data + t->size, 0, at - t->size);
		memcpy(t->data + at, data, n);
		if (at + n > t->size)
			t->size = at + n;
	}
	assert_int_equal(node->file.size, t->size);
	assert_int_equal(wasi_file_read(&node->file, 0, data, sizeof(data), &n), WASI_ESUCCESS);
	assert_int_equal(n, t->size);
	assert_memory_equal(data, t->data, t->size);
}

static void
open_both(const char *path)
{
	uint32_t flags = roll(64), rights;
	struct wasi_node *node = NULL;
	int thing = -1;
	enum wasi_errno got = wasi_fs_open(&fs, top, path, strlen(path), flags, &node, &rights);

	same("open", path, "", got, model_open(path, flags, &thing));
	if (got != 0)
		return;
	assert_int_equal(node->kind, thing < 0 ? WASI_NODE_DIR : things[thing].kind);
	if (node->kind == WASI_NODE_FILE)
		write_and_read(node, &things[thing]);
	wasi_node_close(&fs.tree, node);
}

static void
stat_both(const char *path)
{
	bool follow = roll(2);
	struct wasi_node *node;
	struct end end;
	enum wasi_errno expected = resolve(path, follow ? WASI_WALK_FOLLOW : WASI_WALK_LINK, &end);
	enum wasi_errno got = wasi_fs_find(&fs, top, path, strlen(path), follow, 0, &node);

	if (expected == 0 && !exists(end.path))
		expected = WASI_ENOENT;
	if (expected == 0 && end.slash && kind_at(end.path) != WASI_NODE_DIR)
		expected = WASI_ENOTDIR;
	same(follow ? "stat" : "lstat", path, "", got, expected);
	if (got != 0)
		return;
	assert_int_equal(node->kind, kind_at(end.path));
	if (node->kind == WASI_NODE_DIR) {
		const struct wasi_entry *e;
		uint64_t cookie = 0;
		int n = 0;

		for (; (e = wasi_dir_next(node, cookie)) != NULL; n++) {
			char name[TEXT_MAX], full[TEXT_MAX];

			snprintf(name, sizeof(name), "%.*s", (int)e->length, e->name);
			join(end.path, name, full);
			assert_true(exists(full));
			cookie = e->cookie;
		}
		assert_int_equal(n, entries_of(end.path, false));
		assert_int_equal(wasi_node_links(node), 2 + entries_of(end.path, true));
	} else {
		assert_int_equal(wasi_node_links(node), names_of(names[lookup(end.path)].thing));
	}
}

static void
one_call(void)
{
	char one[TEXT_MAX], two[TEXT_MAX];
	struct wasi_from old = {.base = top, .path = one}, new = {.base = top, .path = two};
	bool follow = roll(2);

	random_path(one);
	random_path(two);
	old.length = strlen(one);
	new.length = strlen(two);
	switch (name_count > NAMES_MAX - 8 || thing_count > FILES_MAX - 8 ? 3 + roll(2) : roll(12)) {
	case 0:
	case 1:
		same("mkdir", one, "", wasi_fs_mkdir(&fs, top, one, old.length), model_mkdir(one));
		break;
	case 2:
		same("symlink", one, two, wasi_fs_symlink(&fs, two, new.length, top, one, old.length), model_symlink(one, two));
		break;
	case 3:
		same("unlink", one, "", wasi_fs_unlink(&fs, top, one, old.length), model_unlink(one));
		break;
	case 4:
		same("rmdir", one, "", wasi_fs_rmdir(&fs, top, one, old.length), model_rmdir(one));
		break;
	case 5:
		same("link", one, two, wasi_fs_link(&fs, &old, follow, &new), model_link(one, follow, two));
		break;
	case 6:
	case 7:
		same("rename", one, two, wasi_fs_rename(&fs, &old, &new), model_rename(one, two));
		break;
	case 8:
	case 9:
		stat_both(one);
		break;
	default:
		open_both(one);
		break;
	}
}

static uint64_t
number_from(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void
random_calls_do_what_the_model_does(void **state)
{
	const struct wasi_mount m = {"/", 1, WASI_FS_ALL, NULL, 0, NULL, NULL};
	uint64_t seed = number_from("BRIG_SEED", (uint64_t)time(NULL)), rounds = number_from("BRIG_ROUNDS", 100);

	(void)state;
	print_message("# BRIG_SEED=%llu\n", (unsigned long long)seed);
	for (uint64_t round = 0; round < rounds; round++) {
		dice = (seed + round) * UINT64_C(0x9e3779b97f4a7c15) | 1;
		thing_count = name_count = 0;
		wasi_fs_begin(&fs, 64 << 20, 100000, &no_clock);
		assert_int_equal(wasi_fs_mount(&fs, &m), 0);
		top = fs.mounts[0].top;
		for (int i = 0; i < 1000; i++)
			one_call();
		wasi_fs_end(&fs);
		assert_int_equal(fs.tree.nodes, 0);
		assert_int_equal(fs.tree.room.used, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_calls_do_what_the_model_does)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
