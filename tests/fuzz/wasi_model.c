/* tests/fuzz/wasi_model: calls of preview 1 beside a model of what they do. Fuzz target and unit test. */

#include "tests/fuzz/wasi_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/wasi/preview1.h"
#include "tests/fuzz/input.h"
#include "tests/unit/files_peer.h"
#include "tests/unit/wasi_errnos.h"

enum { THINGS = 40, NAMES = 60, FDS = 12, BYTES_MAX = 16384, TEXT_MAX = 2048, CALLS_MAX = 400 };
enum { MEMORY = 65536, OUT = 0, LIST = 16, ONE = 64, TWO = 4096, DATA = 8192 };
enum { CREAT = 1, DIRECTORY = 2, EXCL = 4, TRUNC = 8 };
enum { APPEND = 1, DSYNC = 2, RSYNC = 8, SYNC = 16 };
enum { STREAM, FILE_KIND, DIR_KIND };

#define SIZE_MAX_OF_A_FILE (UINT64_C(1) << 40)
#define STREAM_RIGHTS                                                                                                 \
	(WASI_RIGHT_FD_FDSTAT_SET_FLAGS | WASI_RIGHT_FD_FILESTAT_GET | WASI_RIGHT_POLL_FD_READWRITE)
#define WRITING                                                                                                      \
	(WASI_RIGHT_FD_WRITE | WASI_RIGHT_FD_ALLOCATE | WASI_RIGHT_FD_FILESTAT_SET_SIZE |                            \
	    WASI_RIGHT_FD_FILESTAT_SET_TIMES)

/* --- the model ------------------------------------------------------------------------------------------------- */

/* What a name stands for. */
static struct thing {
	bool used;
	enum wasi_node_kind kind;
	char target[TEXT_MAX];
	uint8_t data[BYTES_MAX];
	uint64_t size;

	/* What is on the host. */
	bool host;
	bool listed;               /* a directory that was looked into */
	bool written;              /* a file that does not hold what the host has any more */
	enum wasi_errno refusal;   /* what the host says when it is asked for names or bytes, or success */
	uint64_t below;            /* bytes of a file that are still the host's, if it refuses to tell them */
} things[THINGS];

/* A full path: "/a/b". The top, thing 0, has none. */
static struct name {
	char path[TEXT_MAX];
	int thing;
	uint32_t serial;
	uint32_t seen; /* bit of each descriptor by which it was listed */
} names[NAMES];
static int name_count;
static uint32_t next_serial;

static struct descriptor {
	bool open;
	int kind, thing; /* the thing only of files and directories */
	uint64_t rights, inheriting, offset;
	uint32_t flags;
	uint64_t cookie;  /* where its listing is */
	uint32_t started; /* serials below this were there when it began */
} fds[FDS];

static uint32_t mount_rights, rule_rights;
static const char *rule; /* a full path, or NULL */

/* The fuzzer looks at each strcmp, and these are most of all. */
static bool
equal(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static int
lookup(const char *path)
{
	for (int i = 0; i < name_count; i++)
		if (equal(names[i].path, path))
			return i;
	return -1;
}

/* The thing at a full path that is there. */
static int
thing_at(const char *path)
{
	int i = lookup(path);

	return i < 0 ? 0 : names[i].thing;
}

/* "!" is a directory that was removed, in which nothing is. */
static bool
exists(const char *path)
{
	return equal(path, "/") || equal(path, "!") || lookup(path) >= 0;
}

static enum wasi_node_kind
kind_at(const char *path)
{
	int i = lookup(path);

	return i < 0 ? WASI_NODE_DIR : things[names[i].thing].kind;
}

static bool
is_gone(const char *path)
{
	return path[0] == '!';
}

static unsigned
names_of(int thing)
{
	unsigned n = 0;

	for (int i = 0; i < name_count; i++)
		n += names[i].thing == thing;
	return n;
}

/* A directory's full path. */
static const char *
path_of(int thing)
{
	if (thing == 0)
		return "/";
	for (int i = 0; i < name_count; i++)
		if (names[i].thing == thing)
			return names[i].path;
	return "!";
}

static void
join(const char *dir, const char *name, char out[TEXT_MAX])
{
	char joined[2 * TEXT_MAX];

	snprintf(joined, sizeof(joined), "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name);
	MUST(strlen(joined) < TEXT_MAX);
	strcpy(out, joined);
}

/* Whether a full path is that of an entry of a directory. */
static bool
is_entry(const char *path, const char *dir)
{
	size_t length = strcmp(dir, "/") == 0 ? 0 : strlen(dir);

	for (size_t i = 0; i < length; i++)
		if (path[i] != dir[i])
			return false;
	return path[length] == '/' && strchr(path + length + 1, '/') == NULL;
}

static unsigned
entries_of(const char *dir, bool directories_only)
{
	unsigned n = 0;

	for (int i = 0; i < name_count; i++)
		if (is_entry(names[i].path, dir))
			n += !directories_only || things[names[i].thing].kind == WASI_NODE_DIR;
	return n;
}

/* Things that neither a name nor a descriptor has are free. */
static void
forget_things(void)
{
	for (int i = 1; i < THINGS; i++) {
		bool held = names_of(i) > 0;

		for (int n = 0; n < FDS; n++)
			held = held || (fds[n].open && fds[n].kind != STREAM && fds[n].thing == i);
		things[i].used = held;
	}
}

/* Whether another call may make things and names. */
static bool
has_room(void)
{
	int used = 0;

	forget_things();
	for (int i = 0; i < THINGS; i++)
		used += things[i].used;
	return used < THINGS - 1 && name_count < NAMES - 1;
}

static int
new_thing(enum wasi_node_kind kind)
{
	for (int i = 1; i < THINGS; i++) {
		if (!things[i].used) {
			things[i].used = true;
			things[i].kind = kind;
			things[i].size = things[i].below = 0;
			things[i].host = things[i].listed = things[i].written = false;
			things[i].refusal = WASI_ESUCCESS;
			return i;
		}
	}
	MUST(false); /* there is room: has_room() has looked */
	return 0;
}

static void
add_name(const char *path, int thing)
{
	struct name *n = &names[name_count++];

	strcpy(n->path, path);
	n->thing = thing;
	n->serial = next_serial++;
	n->seen = 0;
}

static void
drop_name(const char *path)
{
	names[lookup(path)] = names[name_count - 1];
	name_count--;
}

/* What is granted at a full path. */
static uint32_t
granted(const char *path)
{
	size_t length;

	if (rule == NULL)
		return mount_rights;
	if (is_gone(path))
		return 0;
	length = strlen(rule);
	return strncmp(path, rule, length) == 0 && (path[length] == '/' || path[length] == '\0') ? rule_rights : mount_rights;
}

static enum wasi_errno
ask(const char *path, uint32_t rights)
{
	return (rights & ~granted(path)) == 0 ? WASI_ESUCCESS : WASI_ENOTCAPABLE;
}

/* Looks into the directory at a full path. */
static enum wasi_errno
look(const char *path)
{
	struct thing *t = &things[thing_at(path)];

	if (is_gone(path) || !t->host)
		return WASI_ESUCCESS;
	t->listed = t->refusal == WASI_ESUCCESS;
	return t->refusal;
}

/* Whether it can only be where the host has it. */
static bool
is_fixed(const char *path)
{
	const struct thing *t = &things[thing_at(path)];

	return t->host && (t->kind == WASI_NODE_DIR || t->kind == WASI_NODE_OTHER);
}

/* Where a path ends, free of links and dots; `dir`: what holds that, when the path ends in no dots. */
struct end {
	char path[TEXT_MAX], dir[TEXT_MAX];
	bool dot, dots, slash;
};

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Goes up from *done, not out of `base`. */
static enum wasi_errno
go_up(char *done, const char *base)
{
	if (strcmp(done, base) == 0)
		return WASI_ENOTCAPABLE;
	*strrchr(done, '/') = '\0';
	if (done[0] == '\0')
		strcpy(done, "/");
	return WASI_ESUCCESS;
}

/* A path, and the targets of all links that are followed. */
#define TODO_MAX (42 * TEXT_MAX)

/* Resolves by rewriting text: `done` is walked, `todo` still to be. A link's target goes in front of what is left. */
static enum wasi_errno
resolve(const char *base, const char *path, enum wasi_walk_end mode, struct end *end)
{
	static char done[TEXT_MAX], todo[TODO_MAX], component[TEXT_MAX], here[TEXT_MAX], rest[TODO_MAX];
	enum wasi_errno error;
	int followed = 0;

	end->dot = end->dots = end->slash = false;
	if (path[0] == '\0')
		return WASI_ENOENT;
	if (strchr(path, '\xff') != NULL)
		return WASI_EILSEQ;
	if (path[0] == '/')
		return WASI_ENOTCAPABLE;
	strcpy(done, base);
	strcpy(todo, path);
	for (;;) {
		size_t n = strcspn(todo, "/"), slashes = strspn(todo + n, "/");
		bool last = todo[n + slashes] == '\0', dots;

		snprintf(component, sizeof(component), "%.*s", (int)n, todo);
		strcpy(rest, todo + n + slashes);
		end->slash = end->slash || (last && slashes > 0);
		if (kind_at(done) != WASI_NODE_DIR)
			return WASI_ENOTDIR;
		dots = is_dots(component);
		if (dots && strcmp(component, "..") == 0 && go_up(done, base) != WASI_ESUCCESS)
			return WASI_ENOTCAPABLE;
		if (dots && last) {
			end->dot = true;
			end->dots = strcmp(component, "..") == 0;
			strcpy(end->path, done);
			return WASI_ESUCCESS;
		}
		if (dots) {
			strcpy(todo, rest);
			continue;
		}
		if (n > 255)
			return WASI_ENAMETOOLONG;
		if ((error = look(done)) != WASI_ESUCCESS)
			return error;
		join(done, component, here);
		if (exists(here) && kind_at(here) == WASI_NODE_LINK &&
		    (!last || mode == WASI_WALK_FOLLOW || (mode == WASI_WALK_LINK && end->slash))) {
			if (++followed > 40)
				return WASI_ELOOP;
			MUST(snprintf(todo, sizeof(todo), "%s%s%s", things[thing_at(here)].target, last ? "" : "/", rest) <
			    (int)sizeof(todo));
			continue;
		}
		if (last) {
			strcpy(end->path, here);
			strcpy(end->dir, done);
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

/* A place for a new name of what is no directory. */
static enum wasi_errno
check_new(const struct end *end)
{
	if (!exists(end->path))
		return end->slash ? WASI_ENOENT : WASI_ESUCCESS;
	return end->slash && kind_at(end->path) != WASI_NODE_DIR ? WASI_ENOTDIR : WASI_EEXIST;
}

static enum wasi_errno
check_there(const struct end *end)
{
	if (!exists(end->path))
		return WASI_ENOENT;
	return end->slash && kind_at(end->path) != WASI_NODE_DIR ? WASI_ENOTDIR : WASI_ESUCCESS;
}

/* --- the calls in the model ------------------------------------------------------------------------------------ */

static enum wasi_errno
model_mkdir(const char *base, const char *path)
{
	struct end end;
	enum wasi_errno error = resolve(base, path, WASI_WALK_NAME, &end);

	if (error == 0 && exists(end.path))
		error = WASI_EEXIST;
	if (error == 0 && is_gone(end.path))
		error = WASI_ENOENT;
	if (error == 0)
		error = ask(end.path, WASI_FS_CREATE);
	if (error == 0)
		add_name(end.path, new_thing(WASI_NODE_DIR));
	return error;
}

static enum wasi_errno
model_unlink(const char *base, const char *path)
{
	struct end end;
	enum wasi_errno error = resolve(base, path, WASI_WALK_NAME, &end);

	if (error == 0)
		error = check_there(&end);
	if (error == 0 && kind_at(end.path) == WASI_NODE_DIR)
		error = WASI_EISDIR;
	if (error == 0)
		error = ask(end.path, WASI_FS_DELETE);
	if (error == 0)
		drop_name(end.path);
	return error;
}

static enum wasi_errno
model_rmdir(const char *base, const char *path)
{
	struct end end;
	enum wasi_errno error = resolve(base, path, WASI_WALK_NAME, &end);

	if (error != 0)
		return error;
	if (end.dot)
		return end.dots ? WASI_ENOTEMPTY : WASI_EINVAL;
	if (!exists(end.path))
		return WASI_ENOENT;
	if (kind_at(end.path) != WASI_NODE_DIR)
		return WASI_ENOTDIR;
	if ((error = look(end.path)) != 0)
		return error;
	if (entries_of(end.path, false) > 0)
		return WASI_ENOTEMPTY;
	error = ask(end.path, WASI_FS_DELETE);
	if (error == 0)
		drop_name(end.path);
	return error;
}

static enum wasi_errno
model_symlink(const char *target, const char *base, const char *path)
{
	enum wasi_errno error = target[0] == '\0' ? WASI_ENOENT : strchr(target, '\xff') != NULL ? WASI_EILSEQ : WASI_ESUCCESS;
	struct end end;
	int thing;

	if (error == 0)
		error = resolve(base, path, WASI_WALK_NAME, &end);
	if (error == 0)
		error = check_new(&end);
	if (error == 0 && is_gone(end.path))
		error = WASI_ENOENT;
	if (error == 0 && target[0] == '/')
		error = WASI_ENOTCAPABLE;
	if (error == 0)
		error = ask(end.path, WASI_FS_CREATE);
	if (error != 0)
		return error;
	thing = new_thing(WASI_NODE_LINK);
	strcpy(things[thing].target, target);
	add_name(end.path, thing);
	return 0;
}

/* Whether more may be done to what is at `from` when it is at `to`. */
static bool
gains(const char *from, const char *to)
{
	return (granted(to) & ~granted(from) & (WASI_FS_READ | WASI_FS_WRITE)) != 0;
}

static enum wasi_errno
model_link(const char *old_base, const char *old, bool follow, const char *new_base, const char *new)
{
	struct end from, to;
	enum wasi_errno error = resolve(old_base, old, follow ? WASI_WALK_FOLLOW : WASI_WALK_LINK, &from);

	if (error == 0)
		error = check_there(&from);
	if (error == 0)
		error = resolve(new_base, new, WASI_WALK_NAME, &to);
	if (error == 0)
		error = check_new(&to);
	if (error == 0 && kind_at(from.path) == WASI_NODE_DIR)
		error = WASI_EPERM;
	if (error == 0 && is_fixed(from.path))
		error = WASI_EXDEV;
	if (error == 0 && is_gone(to.path))
		error = WASI_ENOENT;
	if (error == 0)
		error = ask(to.path, WASI_FS_CREATE);
	if (error == 0 && gains(from.path, to.path))
		error = WASI_ENOTCAPABLE;
	if (error == 0)
		add_name(to.path, thing_at(from.path));
	return error;
}

/* Whether the rule is about the path or what is below it. */
static bool
rule_is_in(const char *path)
{
	size_t length = strlen(path);

	return rule != NULL && strncmp(rule, path, length) == 0 && (rule[length] == '/' || rule[length] == '\0');
}

static enum wasi_errno
check_rename(const struct end *from, const struct end *to)
{
	bool directory = kind_at(from->path) == WASI_NODE_DIR, there = exists(to->path);
	bool onto_directory = there && kind_at(to->path) == WASI_NODE_DIR;
	size_t length = strlen(from->path);
	enum wasi_errno error;

	if (!directory && (from->slash || to->slash))
		return WASI_ENOTDIR;
	if (directory && strncmp(to->path, from->path, length) == 0 && to->path[length] == '/')
		return WASI_EINVAL;
	if (is_gone(to->path))
		return WASI_ENOENT;
	if (there && directory && !onto_directory)
		return WASI_ENOTDIR;
	if (!directory && onto_directory)
		return WASI_EISDIR;
	if (onto_directory && (error = look(to->path)) != 0)
		return error;
	if (onto_directory && entries_of(to->path, false) > 0)
		return WASI_ENOTEMPTY;
	if (is_fixed(from->path))
		return WASI_EXDEV;
	error = ask(from->path, WASI_FS_DELETE);
	if (error == 0)
		error = ask(to->path, WASI_FS_CREATE | (there ? WASI_FS_DELETE : 0u));
	if (error == 0 && gains(from->path, to->path))
		error = WASI_ENOTCAPABLE;
	if (error == 0 && directory && (rule_is_in(from->path) || rule_is_in(to->path)))
		error = WASI_ENOTCAPABLE;
	return error;
}

/* Gives all names below `from` their place below `to`. */
static void
move_below(const char *from, const char *to)
{
	size_t length = strlen(from);

	for (int i = 0; i < name_count; i++) {
		char moved[2 * TEXT_MAX];

		if (strncmp(names[i].path, from, length) != 0 || names[i].path[length] != '/')
			continue;
		snprintf(moved, sizeof(moved), "%s%s", to, names[i].path + length);
		MUST(strlen(moved) < TEXT_MAX);
		strcpy(names[i].path, moved);
	}
}

static enum wasi_errno
model_rename(const char *old_base, const char *old, const char *new_base, const char *new)
{
	struct end from, to;
	enum wasi_errno error = resolve(old_base, old, WASI_WALK_NAME, &from);
	int thing;

	if (error == 0)
		error = resolve(new_base, new, WASI_WALK_NAME, &to);
	if (error != 0)
		return error;
	if (from.dot || to.dot)
		return WASI_EINVAL;
	if (!exists(from.path))
		return WASI_ENOENT;
	thing = thing_at(from.path);
	if (exists(to.path) && thing_at(to.path) == thing)
		return things[thing].kind != WASI_NODE_DIR && (from.slash || to.slash) ? WASI_ENOTDIR : WASI_ESUCCESS;
	error = check_rename(&from, &to);
	if (error != 0)
		return error;
	if (exists(to.path))
		names[lookup(to.path)].thing = thing; /* the name stays, for another thing */
	else
		add_name(to.path, thing);
	drop_name(from.path);
	move_below(from.path, to.path);
	return 0;
}

struct opening {
	bool follow;
	uint32_t oflags, fdflags;
	uint64_t base, inheriting;
};

/* What the host says to an opening; *path is where the thing is. */
static enum wasi_errno
open_host(const char *path, const struct thing *t, bool moves_bytes, bool empties)
{
	if (!t->host || !moves_bytes)
		return WASI_ESUCCESS;
	if (t->kind == WASI_NODE_DIR)
		return look(path);
	return empties || t->written ? WASI_ESUCCESS : t->refusal;
}

/* A file gets another size. */
static void
resize(struct thing *t, uint64_t size)
{
	t->written = t->written || size != t->size;
	if (size > t->size)
		memset(t->data + t->size, 0, size - t->size);
	if (size < t->below)
		t->below = size;
	t->size = size;
}

/* Opens what is there, or makes it, from the directory `from` on. *thing; *rights: what policy grants there. */
static enum wasi_errno
model_find_or_make(int from, const char *path, const struct opening *o, int *thing, uint32_t *rights)
{
	bool create = (o->oflags & CREAT) != 0, only_new = create && (o->oflags & EXCL) != 0;
	bool writes = (o->base & WASI_RIGHT_FD_WRITE) != 0, empties = (o->oflags & TRUNC) != 0;
	bool reads = (o->base & (WASI_RIGHT_FD_READ | WASI_RIGHT_FD_READDIR)) != 0;
	enum wasi_walk_end mode = only_new ? WASI_WALK_NAME : o->follow ? WASI_WALK_FOLLOW : WASI_WALK_LINK;
	enum wasi_errno error;
	struct end end;

	if (create && (o->oflags & DIRECTORY) != 0)
		return WASI_EINVAL;
	if ((error = resolve(path_of(from), path, mode, &end)) != 0)
		return error;
	*rights = granted(end.path);
	if (!exists(end.path)) {
		if (!create || end.slash || is_gone(end.path))
			return WASI_ENOENT;
		if ((error = ask(end.path, WASI_FS_CREATE)) != 0)
			return error;
		*rights |= WASI_FS_READ | WASI_FS_WRITE;
		*thing = new_thing(WASI_NODE_FILE);
		add_name(end.path, *thing);
		return 0;
	}
	*thing = is_gone(end.path) ? from : thing_at(end.path);
	if (only_new)
		return WASI_EEXIST;
	if (((o->oflags & DIRECTORY) != 0 || end.slash) && kind_at(end.path) != WASI_NODE_DIR)
		return WASI_ENOTDIR;
	if (kind_at(end.path) == WASI_NODE_LINK)
		return WASI_ELOOP;
	if (kind_at(end.path) == WASI_NODE_OTHER)
		return WASI_ENXIO;
	if (kind_at(end.path) == WASI_NODE_DIR && (create || empties || writes))
		return WASI_EISDIR;
	error = ask(end.path, (reads ? WASI_FS_READ : 0u) | (writes || empties ? WASI_FS_WRITE : 0u));
	if (error == 0)
		error = open_host(end.path, &things[*thing], reads || writes, empties);
	if (error == 0 && empties)
		resize(&things[*thing], 0);
	return error;
}

/* --- both ------------------------------------------------------------------------------------------------------ */

static struct wasi *w;
static uint8_t *memory;
static struct input in;

static enum wasi_errno (*const handlers[WASI_CALL_COUNT])(struct wasi *, const uint64_t *) = {
#define X(name, type, capability, handler) preview1_##handler,
	WASI_CALLS(X)
#undef X
};
static const char *const call_names[WASI_CALL_COUNT] = {
#define X(name, type, capability, handler) #name,
	WASI_CALLS(X)
#undef X
};

#define CALL(name, ...) \
	handlers[WASI_CALL_##name](w, (const uint64_t[WASI_PARAMETERS_MAX + 1]){__VA_ARGS__})
#define SAME(name, expected, ...) same(WASI_CALL_##name, CALL(name, __VA_ARGS__), expected)

/* What the paths of the call in hand are. */
static char one[TEXT_MAX], two[TEXT_MAX];

static enum wasi_errno
same(enum wasi_call call, enum wasi_errno got, enum wasi_errno expected)
{
	if (got != expected) {
		fprintf(stderr, "%s \"%s\" \"%s\": %d, the model says %d\n", call_names[call], one, two, (int)got, (int)expected);
		MUST(got == expected);
	}
	MUST(wasi_errnos_has(call, got));
	return got;
}

static uint64_t
load(uint32_t at, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, memory + at, size);
	return v;
}

static void
set_list(uint32_t length)
{
	const uint32_t list[2] = {DATA, length};

	memcpy(memory + LIST, list, sizeof(list));
}

/* A path of few names, so that most of them lead somewhere; it lies at `at` too. */
static uint64_t
take_path(char path[TEXT_MAX], uint32_t at)
{
	static const char *const parts[] = {"a", "b", "c", "a", "b", "c", "a", "b", "d", "e", ".", "..", "..", "a", "b"};
	uint8_t how = input_byte(&in);
	unsigned n = how < 128 ? 1 : 1 + how % 4;

	path[0] = '\0';
	while (n-- > 0) {
		uint8_t b = input_byte(&in), special = b % 16 == 15 ? input_byte(&in) % 8 : 8;

		if (special == 0)
			strcat(path, "\xff");
		else if (special == 1)
			snprintf(path + strlen(path), 260, "%0256d", 0);
		else if (special == 2)
			strcat(path, "/");
		else if (special > 3)
			strcat(path, parts[b % 16 == 15 ? 0 : b % 16]);
		if (n > 0 || b >= 0xe0)
			strcat(path, (b & 0x10) != 0 && b >= 0xc0 ? "//" : "/");
	}
	memcpy(memory + at, path, strlen(path));
	return strlen(path);
}

/* Mostly an open descriptor of this kind, or of any for STREAM; the mount's when there is none. */
static uint32_t
take_open(int kind)
{
	uint8_t b = input_byte(&in);
	uint32_t found[FDS], n = 0;

	for (uint32_t i = 4; i < FDS; i++)
		if (fds[i].open && (kind == STREAM || fds[i].kind == kind))
			found[n++] = i;
	if (b < 240)
		return n > 0 ? found[b % n] : 3;
	return b % (FDS + 2);
}

static uint32_t
take_dir(void)
{
	uint8_t b = input_byte(&in);

	return b < 160 ? 3 : take_open(DIR_KIND);
}

/* Rights that are mostly all. */
static uint64_t
take_rights(void)
{
	uint8_t b = input_byte(&in);

	if (b < 100)
		return WASI_RIGHTS_FILE | WASI_RIGHTS_DIR;
	if (b < 248)
		return (WASI_RIGHTS_FILE | WASI_RIGHTS_DIR) & ~(uint64_t)WASI_RIGHT_FD_WRITE;
	return ((uint64_t)input_u16(&in) << 14 | input_u16(&in)) & WASI_RIGHTS_ALL;
}

/* The open descriptor, or NULL. */
static struct descriptor *
get(uint32_t fd)
{
	return fd < FDS && fds[fd].open ? &fds[fd] : NULL;
}

/* Whether a descriptor can do what needs `rights`; the errnos are of kinds that never can. */
static enum wasi_errno
need(uint32_t fd, uint64_t rights, enum wasi_errno stream, enum wasi_errno file, enum wasi_errno dir)
{
	const struct descriptor *d = get(fd);
	enum wasi_errno kind;

	if (d == NULL)
		return WASI_EBADF;
	kind = d->kind == STREAM ? stream : d->kind == FILE_KIND ? file : dir;
	if (kind != 0)
		return kind;
	return (rights & ~d->rights) != 0 ? WASI_ENOTCAPABLE : WASI_ESUCCESS;
}

static enum wasi_errno
need_dir(uint32_t fd, uint64_t rights)
{
	return need(fd, rights, WASI_ENOTDIR, WASI_ENOTDIR, 0);
}

static const char *
base_of(uint32_t fd)
{
	return path_of(fds[fd].thing);
}

/* By its own rights or by those that it passes on. */
static bool
may_open(const struct descriptor *d, const struct opening *o)
{
	uint64_t rights = d->rights | d->inheriting;

	if ((o->oflags & TRUNC) != 0 && (rights & WASI_RIGHT_PATH_FILESTAT_SET_SIZE) == 0)
		return false;
	if ((o->fdflags & (RSYNC | SYNC)) != 0 && (rights & WASI_RIGHT_FD_SYNC) == 0)
		return false;
	return (o->fdflags & DSYNC) == 0 || (rights & (WASI_RIGHT_FD_SYNC | WASI_RIGHT_FD_DATASYNC)) != 0;
}

static uint32_t
lowest_free(void)
{
	uint32_t n = 0;

	while (n < FDS && fds[n].open)
		n++;
	return n;
}

static enum wasi_errno
model_path_open(uint32_t fd, const struct opening *o, int *thing, uint32_t *rights)
{
	uint64_t needs = WASI_RIGHT_PATH_OPEN;
	enum wasi_errno error;

	if ((o->oflags & CREAT) != 0)
		needs |= WASI_RIGHT_PATH_CREATE_FILE;
	if ((error = need_dir(fd, needs)) != 0)
		return error;
	if (o->oflags > 15 || o->fdflags > 31)
		return WASI_EINVAL;
	if (((o->base | o->inheriting) & ~fds[fd].inheriting) != 0 || !may_open(&fds[fd], o))
		return WASI_ENOTCAPABLE;
	if (lowest_free() == FDS)
		return WASI_EMFILE;
	return model_find_or_make(fds[fd].thing, one, o, thing, rights);
}

static void
call_path_open(void)
{
	static const uint8_t oflags[] = {0, 0, 0, CREAT, CREAT, CREAT, CREAT | TRUNC, CREAT | EXCL, DIRECTORY, DIRECTORY, TRUNC, EXCL};
	uint32_t fd = take_dir(), number = lowest_free(), rights = 0;
	uint64_t length = take_path(one, ONE);
	uint8_t how = input_byte(&in), flags = input_byte(&in);
	struct opening o = {(how & 1) != 0, how >= 0xf0 ? how >> 1 & 15u : oflags[(how >> 1) % sizeof(oflags)], flags < 230 ? 0 : flags & 63, take_rights(), take_rights()};
	int thing = 0;
	enum wasi_errno error;

	error = model_path_open(fd, &o, &thing, &rights);
	if (SAME(path_open, error, fd, o.follow, ONE, length, o.oflags, o.base, o.inheriting, o.fdflags, OUT) != 0)
		return;
	MUST(load(OUT, 4) == number);
	fds[number] = (struct descriptor){.open = true, .thing = thing, .flags = o.fdflags};
	fds[number].kind = things[thing].kind == WASI_NODE_DIR ? DIR_KIND : FILE_KIND;
	fds[number].rights = o.base & (fds[number].kind == DIR_KIND ? WASI_RIGHTS_DIR : WASI_RIGHTS_FILE);
	if ((rights & WASI_FS_WRITE) == 0)
		fds[number].rights &= ~(uint64_t)WRITING;
	fds[number].inheriting = fds[number].kind == DIR_KIND ? o.inheriting : 0;
}

static void
forget_listing(uint32_t fd)
{
	for (int i = 0; i < name_count; i++)
		names[i].seen &= ~(1u << fd);
	fds[fd].cookie = 0;
}

static void
call_close(void)
{
	uint32_t fd = take_open(STREAM);

	if (fd < 4) /* without them nothing works */
		return;
	if (SAME(fd_close, get(fd) == NULL ? WASI_EBADF : 0, fd) == 0) {
		forget_listing(fd);
		fds[fd].open = false;
	}
}

static void
call_renumber(void)
{
	uint32_t from = take_open(STREAM), to = take_open(STREAM);

	if (from < 4 || to < 4)
		return;
	if (SAME(fd_renumber, get(from) == NULL || get(to) == NULL ? WASI_EBADF : 0, from, to) != 0 || from == to)
		return;
	forget_listing(from);
	forget_listing(to);
	fds[to] = fds[from];
	fds[from].open = false;
}

/* --- bytes ----------------------------------------------------------------------------------------------------- */

/* Reads what the model has at `at` of what the host gave. */
static void
compare_read(const struct thing *t, uint64_t at, uint32_t length)
{
	uint64_t n = at >= t->size ? 0 : t->size - at < length ? t->size - at : length;

	MUST(load(OUT, 4) == n);
	MUST(n == 0 || memcmp(memory + DATA, t->data + at, n) == 0);
}

/* What the host says when bytes are read that only it has. What it refuses is in a file's first block. */
static enum wasi_errno
read_error(const struct thing *t, uint64_t at, uint32_t length)
{
	return length > 0 && at < t->below ? t->refusal : WASI_ESUCCESS;
}

/* The same when bytes are written into a block that holds some of them. */
static enum wasi_errno
write_error(const struct thing *t, uint64_t at, uint64_t length)
{
	return length > 0 && t->below > 0 && at < WASI_FILE_BLOCK ? t->refusal : WASI_ESUCCESS;
}

static void
call_read(void)
{
	bool positioned = input_byte(&in) % 2 != 0;
	uint32_t fd = take_open(FILE_KIND), length = input_u16(&in) % 4096;
	uint64_t at = input_u16(&in) % (2 * BYTES_MAX);
	enum wasi_errno error;

	set_list(length);
	if (positioned) {
		error = need(fd, WASI_RIGHT_FD_READ | WASI_RIGHT_FD_SEEK, WASI_ESPIPE, 0, WASI_EISDIR);
		if (error == 0)
			error = read_error(&things[fds[fd].thing], at, length);
		if (SAME(fd_pread, error, fd, LIST, 1, at, OUT) == 0)
			compare_read(&things[fds[fd].thing], at, length);
		return;
	}
	error = need(fd, WASI_RIGHT_FD_READ, fd == 0 ? 0 : WASI_EBADF, 0, WASI_EISDIR);
	if (error == 0 && fds[fd].kind == FILE_KIND)
		error = read_error(&things[fds[fd].thing], fds[fd].offset, length);
	if (SAME(fd_read, error, fd, LIST, 1, OUT) != 0 || fds[fd].kind == STREAM)
		return;
	compare_read(&things[fds[fd].thing], fds[fd].offset, length);
	fds[fd].offset += load(OUT, 4);
}

static void
extend(struct thing *t, uint64_t size)
{
	if (size > t->size)
		resize(t, size);
}

static void
model_write(struct thing *t, uint64_t at, uint32_t length)
{
	MUST(load(OUT, 4) == length);
	if (length == 0)
		return;
	extend(t, at + length);
	t->written = true;
	memcpy(t->data + at, memory + DATA, length);
}

static void
call_write(void)
{
	bool positioned = input_byte(&in) % 2 != 0;
	uint32_t fd = take_open(FILE_KIND), length = input_byte(&in);
	uint64_t at = input_u16(&in) % (BYTES_MAX - 256);
	struct descriptor *d = get(fd);
	enum wasi_errno error;

	if (fd == 1 || fd == 2)
		return;
	memset(memory + DATA, input_byte(&in), length);
	set_list(length);
	if (positioned) {
		error = need(fd, WASI_RIGHT_FD_WRITE | WASI_RIGHT_FD_SEEK, WASI_ESPIPE, 0, WASI_EISDIR);
		if (error == 0)
			error = write_error(&things[d->thing], at, length);
		if (SAME(fd_pwrite, error, fd, LIST, 1, at, OUT) == 0)
			model_write(&things[d->thing], at, length);
		return;
	}
	error = need(fd, WASI_RIGHT_FD_WRITE, WASI_EBADF, 0, WASI_EISDIR);
	if (error == 0) {
		at = (d->flags & APPEND) != 0 ? things[d->thing].size : d->offset;
		if (at > BYTES_MAX - 256 && at < SIZE_MAX_OF_A_FILE)
			return; /* more than the model can hold */
		if (at >= SIZE_MAX_OF_A_FILE && length > 0)
			error = WASI_EFBIG;
		if (error == 0)
			error = write_error(&things[d->thing], at, length);
	}
	if (SAME(fd_write, error, fd, LIST, 1, OUT) != 0)
		return;
	model_write(&things[d->thing], at, length);
	if (length > 0)
		d->offset = at + length;
}

static void
call_seek(void)
{
	static const uint64_t far[] = {INT64_MAX, UINT64_MAX, UINT64_C(1) << 63, SIZE_MAX_OF_A_FILE};
	uint32_t fd = take_open(FILE_KIND), whence = input_byte(&in) % 4;
	int64_t delta = (int64_t)(int16_t)input_u16(&in);
	struct descriptor *d = get(fd);
	enum wasi_errno error;
	__int128 target = 0;

	if (delta % 64 == 63)
		delta = (int64_t)far[delta / 64 & 3];
	error = d == NULL ? WASI_EBADF : whence > 2 ? WASI_EINVAL : WASI_ESUCCESS;
	if (error == 0) {
		error = need(fd, WASI_RIGHT_FD_SEEK, WASI_ESPIPE, 0, WASI_EISDIR);
		if (error == WASI_ENOTCAPABLE && delta == 0 && whence == 1)
			error = need(fd, WASI_RIGHT_FD_TELL, 0, 0, 0);
	}
	if (error == 0) {
		target = (__int128)(whence == 0 ? 0 : whence == 1 ? d->offset : things[d->thing].size) + delta;
		error = target < 0 ? WASI_EINVAL : target > INT64_MAX ? WASI_EOVERFLOW : WASI_ESUCCESS;
	}
	if (SAME(fd_seek, error, fd, (uint64_t)delta, whence, OUT) != 0)
		return;
	d->offset = (uint64_t)target;
	MUST(load(OUT, 8) == d->offset);
}

static void
call_tell(void)
{
	uint32_t fd = take_open(FILE_KIND);
	enum wasi_errno error = need(fd, WASI_RIGHT_FD_TELL, WASI_ESPIPE, 0, WASI_EISDIR);

	if (error == WASI_ENOTCAPABLE)
		error = need(fd, WASI_RIGHT_FD_SEEK, 0, 0, 0);
	if (SAME(fd_tell, error, fd, OUT) == 0)
		MUST(load(OUT, 8) == fds[fd].offset);
}

static void
call_set_size(void)
{
	uint32_t fd = take_open(FILE_KIND);
	uint64_t size = input_u16(&in);
	enum wasi_errno error = need(fd, WASI_RIGHT_FD_FILESTAT_SET_SIZE, WASI_EINVAL, 0, WASI_EISDIR);

	if (size >= BYTES_MAX)
		size = size % 2 != 0 ? UINT64_MAX - size : SIZE_MAX_OF_A_FILE + size;
	if (error == 0 && size > BYTES_MAX)
		error = size > INT64_MAX ? WASI_EINVAL : WASI_EFBIG;
	if (SAME(fd_filestat_set_size, error, fd, size) != 0)
		return;
	resize(&things[fds[fd].thing], size);
}

static void
call_allocate(void)
{
	uint32_t fd = take_open(FILE_KIND);
	uint64_t at = input_u16(&in) % (BYTES_MAX / 2), length = input_u16(&in);
	enum wasi_errno error = need(fd, WASI_RIGHT_FD_ALLOCATE, WASI_ESPIPE, 0, WASI_EISDIR);

	if (length >= BYTES_MAX / 2)
		length = length % 2 != 0 ? UINT64_MAX - length : SIZE_MAX_OF_A_FILE;
	if (error == 0 && (length == 0 || length > INT64_MAX))
		error = WASI_EINVAL;
	if (error == 0 && at + length > SIZE_MAX_OF_A_FILE)
		error = WASI_EFBIG;
	if (error == 0 && length > BYTES_MAX)
		return;
	if (error == 0)
		error = write_error(&things[fds[fd].thing], at, length);
	if (SAME(fd_allocate, error, fd, at, length) == 0)
		extend(&things[fds[fd].thing], at + length);
}

/* --- names ----------------------------------------------------------------------------------------------------- */

static void
call_mkdir(void)
{
	uint32_t fd = take_dir();
	uint64_t length = take_path(one, ONE);
	enum wasi_errno error = need_dir(fd, WASI_RIGHT_PATH_CREATE_DIRECTORY);

	SAME(path_create_directory, error != 0 ? error : model_mkdir(base_of(fd), one), fd, ONE, length);
}

static void
call_remove(void)
{
	bool directory = input_byte(&in) % 2 != 0;
	uint32_t fd = take_dir();
	uint64_t length = take_path(one, ONE);
	enum wasi_errno error;

	if (directory) {
		error = need_dir(fd, WASI_RIGHT_PATH_REMOVE_DIRECTORY);
		SAME(path_remove_directory, error != 0 ? error : model_rmdir(base_of(fd), one), fd, ONE, length);
	} else {
		error = need_dir(fd, WASI_RIGHT_PATH_UNLINK_FILE);
		SAME(path_unlink_file, error != 0 ? error : model_unlink(base_of(fd), one), fd, ONE, length);
	}
}

/* Both descriptors of a link or a rename. */
static enum wasi_errno
need_both(uint32_t from, uint64_t from_right, uint32_t to, uint64_t to_right)
{
	enum wasi_errno error = get(from) == NULL || get(to) == NULL ? WASI_EBADF : need_dir(from, from_right);

	return error != 0 ? error : need_dir(to, to_right);
}

static void
call_rename(void)
{
	uint32_t from = take_dir(), to = take_dir();
	uint64_t length = take_path(one, ONE), other = take_path(two, TWO);
	enum wasi_errno error = need_both(from, WASI_RIGHT_PATH_RENAME_SOURCE, to, WASI_RIGHT_PATH_RENAME_TARGET);

	if (error == 0)
		error = model_rename(base_of(from), one, base_of(to), two);
	SAME(path_rename, error, from, ONE, length, to, TWO, other);
}

static void
call_link(void)
{
	uint32_t from = take_dir(), to = take_dir(), flags = input_byte(&in) % 8;
	uint64_t length = take_path(one, ONE), other = take_path(two, TWO);
	enum wasi_errno error = need_both(from, WASI_RIGHT_PATH_LINK_SOURCE, to, WASI_RIGHT_PATH_LINK_TARGET);

	flags = flags == 7 ? 2 : flags & 1;
	if (error == 0 && flags > 1)
		error = WASI_EINVAL;
	if (error == 0)
		error = model_link(base_of(from), one, flags != 0, base_of(to), two);
	SAME(path_link, error, from, flags, ONE, length, to, TWO, other);
}

static void
call_symlink(void)
{
	uint32_t fd = take_dir();
	uint64_t length = take_path(one, ONE), other = take_path(two, TWO);
	enum wasi_errno error = need_dir(fd, WASI_RIGHT_PATH_SYMLINK);

	SAME(path_symlink, error != 0 ? error : model_symlink(two, base_of(fd), one), TWO, other, fd, ONE, length);
}

static void
call_readlink(void)
{
	uint32_t fd = take_dir(), room = input_byte(&in);
	uint64_t length = take_path(one, ONE);
	enum wasi_errno error = need_dir(fd, WASI_RIGHT_PATH_READLINK);
	const char *target;
	size_t n;
	struct end end;

	if (error == 0)
		error = resolve(base_of(fd), one, WASI_WALK_LINK, &end);
	if (error == 0)
		error = check_there(&end);
	if (error == 0 && kind_at(end.path) != WASI_NODE_LINK)
		error = WASI_EINVAL;
	if (error == 0)
		error = ask(end.path, WASI_FS_READ);
	if (SAME(path_readlink, error, fd, ONE, length, DATA, room, OUT) != 0)
		return;
	target = things[thing_at(end.path)].target;
	n = strlen(target) < room ? strlen(target) : room;
	MUST(load(OUT, 4) == n && memcmp(memory + DATA, target, n) == 0);
}

/* --- states ---------------------------------------------------------------------------------------------------- */

static void
compare_state(int thing)
{
	static const uint8_t types[] = {[WASI_NODE_FILE] = 4, [WASI_NODE_DIR] = 3, [WASI_NODE_LINK] = 7, [WASI_NODE_OTHER] = 0};
	const struct thing *t = &things[thing];
	uint64_t links = names_of(thing), size = 0;

	if (t->kind == WASI_NODE_DIR && t->host && !t->listed)
		links = 1;
	else if (t->kind == WASI_NODE_DIR)
		links = thing == 0 || links > 0 ? 2 + entries_of(path_of(thing), true) : 0;
	else if (t->kind != WASI_NODE_OTHER)
		size = t->kind == WASI_NODE_FILE ? t->size : strlen(t->target);
	MUST(memory[DATA + 16] == types[t->kind]);
	MUST(load(DATA + 24, 8) == links);
	MUST(load(DATA + 32, 8) == size);
}

static void
call_stat(void)
{
	uint32_t fd = take_dir(), flags = input_byte(&in) % 8;
	uint64_t length = take_path(one, ONE);
	enum wasi_errno error = need_dir(fd, WASI_RIGHT_PATH_FILESTAT_GET);
	struct end end;

	flags = flags == 7 ? 2 : flags & 1;
	if (error == 0 && flags > 1)
		error = WASI_EINVAL;
	if (error == 0)
		error = resolve(base_of(fd), one, flags != 0 ? WASI_WALK_FOLLOW : WASI_WALK_LINK, &end);
	if (error == 0)
		error = check_there(&end);
	if (SAME(path_filestat_get, error, fd, flags, ONE, length, DATA) == 0)
		compare_state(is_gone(end.path) ? fds[fd].thing : thing_at(end.path));
}

static void
call_fstat(void)
{
	uint32_t fd = take_open(STREAM);

	if (SAME(fd_filestat_get, need(fd, WASI_RIGHT_FD_FILESTAT_GET, 0, 0, 0), fd, DATA) == 0 && fds[fd].kind != STREAM)
		compare_state(fds[fd].thing);
}

static void
call_set_times(void)
{
	bool by_path = input_byte(&in) % 2 != 0;
	uint32_t fd = by_path ? take_dir() : take_open(STREAM), flags = input_byte(&in) % 20;
	uint64_t length = take_path(one, ONE);
	bool bad = (flags & 3) == 3 || (flags & 12) == 12 || flags > 15;
	enum wasi_errno error;
	struct end end;

	if (!by_path) {
		error = get(fd) == NULL ? WASI_EBADF : bad ? WASI_EINVAL : WASI_ESUCCESS;
		if (error == 0)
			error = need(fd, WASI_RIGHT_FD_FILESTAT_SET_TIMES, WASI_ENOTSUP, 0, 0);
		SAME(fd_filestat_set_times, error, fd, 1, 2, flags);
		return;
	}
	error = need_dir(fd, WASI_RIGHT_PATH_FILESTAT_SET_TIMES);
	if (error == 0 && bad)
		error = WASI_EINVAL;
	if (error == 0)
		error = resolve(base_of(fd), one, WASI_WALK_LINK, &end);
	if (error == 0)
		error = check_there(&end);
	if (error == 0)
		error = ask(end.path, WASI_FS_WRITE);
	SAME(path_filestat_set_times, error, fd, 0, ONE, length, 1, 2, flags);
}

static void
call_fdstat(void)
{
	static const uint8_t types[] = {[STREAM] = 0, [FILE_KIND] = 4, [DIR_KIND] = 3};
	uint32_t fd = take_open(STREAM);
	const struct descriptor *d = get(fd);

	if (SAME(fd_fdstat_get, d == NULL ? WASI_EBADF : 0, fd, DATA) != 0)
		return;
	MUST(memory[DATA] == types[d->kind]);
	MUST(load(DATA + 2, 2) == d->flags);
	MUST(load(DATA + 8, 8) == d->rights);
	MUST(load(DATA + 16, 8) == d->inheriting);
}

static void
call_set_flags(void)
{
	uint32_t fd = take_open(STREAM), flags = input_byte(&in) % 40;
	enum wasi_errno error = need(fd, WASI_RIGHT_FD_FDSTAT_SET_FLAGS, 0, 0, 0);

	if (error == 0 && flags > 31)
		error = WASI_EINVAL;
	if (SAME(fd_fdstat_set_flags, error, fd, flags) == 0)
		fds[fd].flags = flags;
}

static void
call_set_rights(void)
{
	uint32_t fd = take_open(STREAM);
	struct descriptor *d = get(fd);
	uint64_t rights = 0, inheriting = 0;
	uint8_t how = input_byte(&in);

	if (fd == 3 && how < 250) /* nor without its rights */
		return;
	if (d != NULL) {
		rights = d->rights & ~(UINT64_C(1) << how % 30);
		inheriting = d->inheriting & ~(UINT64_C(1) << input_byte(&in) % 30);
	}
	if (how >= 250)
		rights |= UINT64_C(1) << how % 32;
	if (SAME(fd_fdstat_set_rights, d == NULL ? WASI_EBADF : (rights & ~d->rights) != 0 ? WASI_ENOTCAPABLE : 0, fd, rights,
	    inheriting) == 0) {
		d->rights = rights;
		d->inheriting = inheriting;
	}
}

static void
call_sync_or_advise(void)
{
	uint32_t fd = take_open(STREAM), advice = input_byte(&in) % 8;
	enum wasi_errno error = get(fd) == NULL ? WASI_EBADF : advice > 5 ? WASI_EINVAL : WASI_ESUCCESS;

	SAME(fd_advise, error != 0 ? error : need(fd, WASI_RIGHT_FD_ADVISE, WASI_ESPIPE, 0, 0), fd, 0, 10, advice);
	SAME(fd_sync, need(fd, WASI_RIGHT_FD_SYNC, WASI_EINVAL, 0, 0), fd);
	SAME(fd_datasync, need(fd, WASI_RIGHT_FD_DATASYNC, WASI_EINVAL, 0, 0), fd);
}

/* --- listing --------------------------------------------------------------------------------------------------- */

/* Notes one entry that was listed: it is there, and comes once however the directory changes meanwhile. */
static void
note_entry(uint32_t fd, const char *name, uint32_t length)
{
	char text[8], full[TEXT_MAX];
	int i;

	snprintf(text, sizeof(text), "%.*s", (int)length, name);
	if (is_dots(text))
		return;
	join(base_of(fd), text, full);
	i = lookup(full);
	MUST(i >= 0);
	MUST((names[i].seen & 1u << fd) == 0);
	names[i].seen |= 1u << fd;
}

/* Reads one piece of a directory, going on where this descriptor's last one ended; at the end, all must have come. */
static void
call_readdir(void)
{
	uint32_t fd = take_dir(), size = 30 + input_byte(&in), used, at = DATA;
	struct descriptor *d = get(fd);
	enum wasi_errno error = need(fd, WASI_RIGHT_FD_READDIR, WASI_ENOTDIR, WASI_ENOTDIR, 0);

	if (d != NULL && d->cookie == 0)
		d->started = next_serial;
	if (error == 0)
		error = look(base_of(fd));
	if (SAME(fd_readdir, error, fd, DATA, size,
	    d == NULL ? 0 : d->cookie, OUT) != 0)
		return;
	used = (uint32_t)load(OUT, 4);
	MUST(used <= size);
	while (at + 24 <= DATA + used && at + 24 + load(at + 16, 4) <= DATA + used) {
		note_entry(fd, (const char *)memory + at + 24, (uint32_t)load(at + 16, 4));
		d->cookie = load(at, 8);
		at += 24 + (uint32_t)load(at + 16, 4);
	}
	if (used == size)
		return;
	for (int i = 0; i < name_count; i++)
		if (is_entry(names[i].path, base_of(fd)) && names[i].serial < d->started)
			MUST((names[i].seen & 1u << fd) != 0);
	forget_listing(fd);
}

/* --- one input ------------------------------------------------------------------------------------------------- */

static void (*const calls[])(void) = {
    call_path_open, call_path_open, call_path_open, call_path_open, call_path_open, call_path_open, call_close, call_close,
    call_close, call_renumber, call_mkdir, call_mkdir, call_mkdir, call_mkdir, call_symlink, call_link, call_remove,
    call_remove, call_rename, call_rename, call_rename, call_readlink, call_stat, call_fstat, call_set_times, call_fdstat,
    call_set_flags, call_set_rights, call_sync_or_advise, call_read, call_read, call_write, call_write, call_seek,
    call_tell, call_set_size, call_allocate, call_readdir, call_readdir, call_readdir,
};

static void
one_call(void)
{
	unsigned which = input_byte(&in) % (sizeof(calls) / sizeof(calls[0]));

	one[0] = two[0] = '\0';
	if (has_room())
		calls[which]();
	else
		call_remove();
	MUST(w->end == WASI_END_NOT);
}

/* What there is when the mount is a directory of the host. */
static const struct peer_node host[] = {
    {.path = "", .kind = FILES_KIND_DIR},
    {.path = "a", .kind = FILES_KIND_DIR},
    {.path = "a/a", .kind = FILES_KIND_FILE, .text = "hello"},
    {.path = "a/b", .kind = FILES_KIND_DIR},
    {.path = "a/b/a", .kind = FILES_KIND_LINK, .text = "../c"},
    {.path = "a/b/b", .kind = FILES_KIND_FILE, .text = "changed", .code = FILES_CHANGED},
    {.path = "a/b/c", .kind = FILES_KIND_FILE, .size = 9000},
    {.path = "a/b/d", .kind = FILES_KIND_DIR, .code = FILES_LIMIT},
    {.path = "a/c", .kind = FILES_KIND_LINK, .text = "b/./"},
    {.path = "a/d", .kind = FILES_KIND_FILE, .text = "locked", .code = FILES_DENIED},
    {.path = "a/e", .kind = FILES_KIND_DIR},
    {.path = "b", .kind = FILES_KIND_FILE, .size = 5000},
    {.path = "c", .kind = FILES_KIND_LINK, .text = "a/b"},
    {.path = "d", .kind = FILES_KIND_DIR, .code = FILES_DENIED},
    {.path = "e", .kind = FILES_KIND_FIFO},
};
static struct peer peer;
static bool has_host;

/* A thing of the host, as the model has it. */
static void
show(struct thing *t, const struct peer_node *n)
{
	static const struct {
		enum files_code code;
		enum wasi_errno error;
	} refusals[] = {{FILES_DENIED, WASI_EACCES}, {FILES_CHANGED, WASI_EIO}, {FILES_LIMIT, WASI_ENOMEM}};
	const char *name = strrchr(n->path, '/');

	t->host = true;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (refusals[i].code == n->code)
			t->refusal = refusals[i].error;
	if (n->kind == FILES_KIND_LINK)
		strcpy(t->target, n->text);
	if (n->kind != FILES_KIND_FILE)
		return;
	t->size = n->text != NULL ? strlen(n->text) : n->size;
	if (n->text != NULL)
		memcpy(t->data, n->text, t->size);
	else
		memset(t->data, name != NULL ? name[1] : n->path[0], t->size);
	t->below = n->code != FILES_OK ? t->size : 0;
}

static void
begin_host(void)
{
	static const enum wasi_node_kind kinds[] = {
	    [FILES_KIND_FILE] = WASI_NODE_FILE,
	    [FILES_KIND_DIR] = WASI_NODE_DIR,
	    [FILES_KIND_LINK] = WASI_NODE_LINK,
	    [FILES_KIND_FIFO] = WASI_NODE_OTHER,
	};

	things[0].host = true;
	for (size_t i = 1; i < sizeof(host) / sizeof(host[0]); i++) {
		char path[TEXT_MAX];

		snprintf(path, sizeof(path), "/%s", host[i].path);
		add_name(path, new_thing(kinds[host[i].kind]));
		show(&things[thing_at(path)], &host[i]);
	}
}

/* A run with one mount, and maybe a rule for a path in it. */
static void
begin(uint8_t how)
{
	static const char *const rules[] = {NULL, NULL, "/a", "/a/b"};
	struct proto_job job = {.fs_bytes = 64 << 20, .fs_nodes = 1000, .open_files = FDS, .host_calls = 1, .mountc = 1};
	struct wasi_config config = {.job = &job, .socket = -1, .dirs = &peer.socket};
	struct proto_mount mount = {.path_length = 1};
	struct proto_rule head;
	static uint8_t blob[64]; /* borrowed by the run */
	size_t n = 0;

	rule = rules[how % 4];
	has_host = (how & 4) != 0;
	mount_rights = how < 128 ? WASI_FS_ALL : input_byte(&in) % 16;
	rule_rights = rule == NULL ? 0 : input_byte(&in) % 16;
	mount.rights = mount_rights;
	mount.rule_count = rule != NULL;
	if (has_host) {
		peer_begin(&peer, host, sizeof(host) / sizeof(host[0]));
		mount.dir = job.dirc = 1;
		job.dir_bytes = 1 << 20;
	}
	memcpy(blob, &mount, sizeof(mount));
	n = sizeof(mount);
	blob[n++] = '/';
	if (rule != NULL) {
		head = (struct proto_rule){.rights = rule_rights, .path_length = (uint32_t)strlen(rule) - 1};
		memcpy(blob + n, &head, sizeof(head));
		n += sizeof(head);
		memcpy(blob + n, rule + 1, strlen(rule) - 1);
		n += strlen(rule) - 1;
	}
	job.mounts_bytes = n;
	config.blob = blob;
	config.blob_length = n;
	MUST(wasi_new(&w, NULL) == 0);
	MUST(wasi_begin(w, &config, NULL) == 0);
	w->memory = (struct wasi_memory){memory, MEMORY};
}

static void
begin_model(void)
{
	static const uint64_t ends[] = {WASI_RIGHT_FD_READ, WASI_RIGHT_FD_WRITE, WASI_RIGHT_FD_WRITE};

	name_count = 0;
	next_serial = 1;
	memset(fds, 0, sizeof(fds));
	for (int i = 0; i < THINGS; i++)
		things[i].used = i == 0;
	things[0].kind = WASI_NODE_DIR;
	things[0].host = things[0].listed = false;
	things[0].refusal = WASI_ESUCCESS;
	if (has_host)
		begin_host();
	for (int i = 0; i < 3; i++)
		fds[i] = (struct descriptor){.open = true, .kind = STREAM, .rights = STREAM_RIGHTS | ends[i]};
	fds[3] = (struct descriptor){.open = true, .kind = DIR_KIND, .rights = WASI_RIGHTS_DIR,
	    .inheriting = WASI_RIGHTS_DIR | WASI_RIGHTS_FILE};
	if ((mount_rights & WASI_FS_READ) == 0)
		fds[3].rights &= ~(uint64_t)WASI_RIGHT_FD_READDIR;
}

void
wasi_model_run(const uint8_t *data, size_t size)
{
	in = (struct input){data, size};
	memory = calloc(1, MEMORY);
	begin(input_byte(&in));
	begin_model();
	for (int i = 0; i < CALLS_MAX && in.left > 0; i++)
		one_call();
	wasi_fds_end(&w->fds);
	wasi_fs_end(&w->fs);
	MUST(w->fs.tree.nodes == 0 && w->fs.tree.room.used == 0);
	wasi_free(w);
	free(memory);
	if (has_host)
		peer_end(&peer);
}
