/* brig-files: what it tells about a directory, what it refuses, that it leaves nothing; in a child, and in its jail. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "clients/c/libbrig.h"
#include "files/serve.h"
#include "sandbox/jail.h"
#include "tests/unit/jailed.h"

#define MIB  ((size_t)1 << 20)
#define RUN  4711 /* the number that the answers repeat */
#define MANY 100000

/* Whether the tests speak to the program in its jail, or to its code in a child without one. */
static bool in_jail;

/* One server, the tree that it serves, and the last answer. */
static struct fixture {
	char root[64];  /* holds "tree", which is served, and what is outside of it */
	int tree;
	int sock;
	pid_t pid;             /* without a jail */
	struct brig_dir *dir;  /* in the jail */
	struct imsg in;
	struct files_done done;
	struct files_node node;
	uint8_t *data;         /* what came before DONE: bytes, entries, or a link's target */
	size_t length;
} f;

/* --- the tree --------------------------------------------------------------------------------------------------- */

/* The path of something in the tree, or beside it. */
static const char *
in_tree(const char *name)
{
	static char path[2][PATH_MAX];
	static int turn;

	turn = !turn;
	assert_in_range(snprintf(path[turn], PATH_MAX, "%s/tree/%s", f.root, name), 1, PATH_MAX - 1);
	return path[turn];
}

static void
put_at(const char *name, const void *data, size_t length, int flags)
{
	int fd = openat(f.tree, name, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, length), (ssize_t)length);
	close(fd);
}

static void
put(const char *name, const char *text)
{
	put_at(name, text, strlen(text), O_TRUNC);
}

/* `size` bytes that differ from place to place. */
static uint8_t *
put_large(const char *name, size_t size)
{
	uint8_t *data = malloc(size);

	assert_non_null(data);
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	put_at(name, data, size, O_TRUNC);
	return data;
}

/* --- the server ------------------------------------------------------------------------------------------------- */

/* As brig-files, but for the jail: of root's privileges it has none either. */
static void __attribute__((noreturn))
serve_in_child(int sock, int tree)
{
	struct err e = {0};

	if (jail_try(PROTO_LAYER_capabilities, &e) != 0)
		fprintf(stderr, "%s\n", e.msg);
	_exit(serve_files(sock, tree, &e) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static const char *
program(void)
{
	static char path[PATH_MAX];
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = '\0';
	assert_in_range(snprintf(path, sizeof(path), "%s/../../brig-files", dirname(self)), 1, PATH_MAX - 1);
	return path;
}

static void
start(void)
{
	struct err e = {0};
	int sv[2];

	if (in_jail) {
		if (brig_dir_serve(in_tree(""), program(), &f.dir, &e) != 0)
			fail_msg("%s", e.msg);
		f.sock = brig_dir_fd(f.dir);
		return;
	}
	assert_int_equal(imsg_pair(sv, &e), 0);
	f.pid = fork();
	assert_true(f.pid >= 0);
	if (f.pid == 0) {
		close(sv[0]);
		serve_in_child(sv[1], f.tree);
	}
	close(sv[1]);
	f.sock = sv[0];
}

static void
stop(void)
{
	if (f.dir != NULL)
		brig_dir_close(f.dir);
	else if (f.sock >= 0) {
		close(f.sock);
		assert_int_equal(waitpid(f.pid, NULL, 0), f.pid);
	}
	f.dir = NULL;
	f.sock = -1;
}

static void
send_request(uint32_t type, const char *path, size_t length, struct files_ask ask)
{
	uint8_t packet[sizeof(ask) + FILES_PATH_MAX];
	struct err e = {0};

	assert_in_range(length, 0, FILES_PATH_MAX);
	ask.path_length = (uint32_t)length;
	memcpy(packet, &ask, sizeof(ask));
	memcpy(packet + sizeof(ask), path, length);
	if (imsg_send(f.sock, type, RUN, packet, sizeof(ask) + length, NULL, 0, &e) != 0)
		fail_msg("%s", e.msg);
}

/* Keeps what a message of the answer holds. */
static void
take(const struct imsg *m)
{
	size_t skip = 0;

	if (m->hdr.type == FILES_NODE) {
		assert_in_range(m->hdr.length, sizeof(f.node), sizeof(f.node) + FILES_PATH_MAX);
		memcpy(&f.node, m->payload, sizeof(f.node));
		skip = sizeof(f.node);
		assert_int_equal(f.node.target_length, m->hdr.length - skip);
	}
	f.data = realloc(f.data, f.length + m->hdr.length + 1);
	assert_non_null(f.data);
	memcpy(f.data + f.length, m->payload + skip, m->hdr.length - skip);
	f.length += m->hdr.length - skip;
}

/* Reads to the end of the answer, in which nothing but `kind` may come before DONE. */
static enum files_code
receive(uint32_t kind)
{
	struct err e = {0};

	f.length = 0;
	for (;;) {
		if (imsg_recv(f.sock, &f.in, &e) != 0)
			fail_msg("%s", e.msg);
		assert_int_equal(f.in.hdr.run, RUN);
		assert_int_equal(f.in.nfds, 0);
		if (f.in.hdr.type == FILES_DONE)
			break;
		assert_int_equal(f.in.hdr.type, kind);
		take(&f.in);
	}
	assert_int_equal(f.in.hdr.length, sizeof(f.done));
	memcpy(&f.done, f.in.payload, sizeof(f.done));
	return f.done.code;
}

static enum files_code
ask_list(const char *path)
{
	send_request(FILES_LIST, path, strlen(path), (struct files_ask){0});
	return receive(FILES_ENTRIES);
}

static enum files_code
ask_stat(const char *path)
{
	send_request(FILES_STAT, path, strlen(path), (struct files_ask){0});
	return receive(FILES_NODE);
}

static enum files_code
ask_read(const char *path, const struct files_version *version, uint64_t offset, uint32_t length)
{
	struct files_ask ask = {.offset = offset, .length = length};

	if (version != NULL)
		ask.version = *version;
	send_request(FILES_READ, path, strlen(path), ask);
	return receive(FILES_DATA);
}

static enum files_code
ask_digest(const char *path, const struct files_version *version)
{
	struct files_ask ask = {0};

	if (version != NULL)
		ask.version = *version;
	send_request(FILES_DIGEST, path, strlen(path), ask);
	return receive(0);
}

/* The kind of an entry of the last list; 0 when there is none of that name. Checks the list's form. */
static uint32_t
listed(const char *name)
{
	struct files_entry entry;
	uint64_t count = 0;
	uint32_t kind = 0;

	for (size_t at = 0; at < f.length; count++) {
		assert_true(f.length - at > sizeof(entry));
		memcpy(&entry, f.data + at, sizeof(entry));
		at += sizeof(entry);
		assert_in_range(entry.name_length, 1, FILES_NAME_MAX);
		assert_true(f.length - at >= entry.name_length);
		if (entry.name_length == strlen(name) && memcmp(f.data + at, name, entry.name_length) == 0) {
			assert_int_equal(kind, 0);
			kind = entry.kind;
		}
		at += entry.name_length;
	}
	assert_int_equal(count, f.done.count);
	return kind;
}

static void
expect_text(const char *text)
{
	assert_int_equal(f.length, strlen(text));
	assert_memory_equal(f.data, text, f.length);
}

/* --- fixtures --------------------------------------------------------------------------------------------------- */

static int
set_up(void **state)
{
	in_jail = *(const bool *)*state;
	memset(&f, 0, sizeof(f));
	f.sock = -1;
	strcpy(f.root, "/tmp/brig-files-XXXXXX");
	assert_non_null(mkdtemp(f.root));
	assert_int_equal(mkdir(in_tree(""), 0755), 0);
	f.tree = open(in_tree(""), O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(f.tree >= 0);
	start();
	return 0;
}

static int
tear_down(void **state)
{
	char command[200];

	(void)state;
	stop();
	close(f.tree);
	free(f.data);
	snprintf(command, sizeof(command), "chmod -R u+rwx %s && rm -rf %s", f.root, f.root);
	return system(command);
}

/* --- what is there ---------------------------------------------------------------------------------------------- */

/* A tree with everything in it that a plain user can make. */
static void
make_kinds(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	put("file", "contents");
	assert_int_equal(mkdirat(f.tree, "dir", 0755), 0);
	put("dir/inner", "inner");
	assert_int_equal(symlinkat("nothing here", f.tree, "dangling"), 0);
	assert_int_equal(symlinkat("/etc/passwd", f.tree, "absolute"), 0);
	assert_int_equal(symlinkat("../outside", f.tree, "escaping"), 0);
	assert_int_equal(symlinkat("..", f.tree, "up"), 0);
	assert_int_equal(symlinkat("dir", f.tree, "to-dir"), 0);
	assert_int_equal(linkat(f.tree, "file", f.tree, "hard", 0), 0);
	assert_int_equal(mkfifoat(f.tree, "fifo", 0666), 0);
	strcpy(addr.sun_path, in_tree("socket"));
	assert_int_equal(bind(sock, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	close(sock);
}

static void
tells_every_kind_of_file(void **state)
{
	static const struct {
		const char *name;
		uint32_t kind;
		const char *target;
	} want[] = {
	    {"file", FILES_KIND_FILE, ""},
	    {"hard", FILES_KIND_FILE, ""},
	    {"dir", FILES_KIND_DIR, ""},
	    {"dangling", FILES_KIND_LINK, "nothing here"},
	    {"absolute", FILES_KIND_LINK, "/etc/passwd"},
	    {"escaping", FILES_KIND_LINK, "../outside"},
	    {"up", FILES_KIND_LINK, ".."},
	    {"to-dir", FILES_KIND_LINK, "dir"},
	    {"fifo", FILES_KIND_FIFO, ""},
	    {"socket", FILES_KIND_SOCKET, ""},
	};
	struct stat st;

	(void)state;
	make_kinds();
	assert_int_equal(ask_list(""), FILES_OK);
	assert_int_equal(f.done.count, sizeof(want) / sizeof(want[0]));
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(listed(want[i].name), want[i].kind);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_int_equal(ask_stat(want[i].name), FILES_OK);
		assert_int_equal(f.node.kind, want[i].kind);
		expect_text(want[i].target);
		assert_int_equal(fstatat(f.tree, want[i].name, &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_true(f.node.version.inode == st.st_ino && f.node.version.device == st.st_dev);
		assert_int_equal(f.node.version.size, st.st_size);
		assert_int_equal(f.node.mode, st.st_mode & 07777);
		assert_int_equal(f.node.version.modified, st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec);
		assert_int_equal(f.node.version.changed, st.st_ctim.tv_sec * 1000000000LL + st.st_ctim.tv_nsec);
		if (want[i].kind != FILES_KIND_LINK) /* reading a link is an access */
			assert_int_equal(f.node.accessed, st.st_atim.tv_sec * 1000000000LL + st.st_atim.tv_nsec);
	}
	assert_int_equal(ask_stat(""), FILES_OK);
	assert_int_equal(f.node.kind, FILES_KIND_DIR);
	assert_int_equal(ask_list("dir"), FILES_OK);
	assert_int_equal(f.done.count, 1);
	assert_int_equal(listed("inner"), FILES_KIND_FILE);
	assert_int_equal(ask_read("dir/inner", NULL, 0, 100), FILES_OK);
	expect_text("inner");
}

static void
a_device_is_told_of_and_never_opened(void **state)
{
	(void)state;
	if (mknodat(f.tree, "char", S_IFCHR | 0666, makedev(1, 5)) != 0 ||
	    mknodat(f.tree, "block", S_IFBLK | 0666, makedev(7, 0)) != 0) {
		print_message("skipped: only root makes devices\n");
		skip();
	}
	assert_int_equal(ask_list(""), FILES_OK);
	assert_int_equal(listed("char"), FILES_KIND_CHAR);
	assert_int_equal(listed("block"), FILES_KIND_BLOCK);
	for (int i = 0; i < 2; i++) {
		const char *name = i == 0 ? "char" : "block";

		assert_int_equal(ask_stat(name), FILES_OK);
		assert_int_equal(f.node.kind, i == 0 ? FILES_KIND_CHAR : FILES_KIND_BLOCK);
		assert_int_equal(ask_read(name, NULL, 0, 10), FILES_KIND);
		assert_int_equal(f.length, 0);
		assert_int_equal(ask_digest(name, NULL), FILES_KIND);
	}
}

/* Whether nobody has the fifo open: then it cannot be opened for writing without waiting. */
static bool
fifo_is_left_alone(const char *name)
{
	int fd = openat(f.tree, name, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == ENXIO;
}

static void
reads_nothing_but_files_and_lists_nothing_but_directories(void **state)
{
	static const char *const no_files[] = {"dir", "dangling", "absolute", "escaping", "to-dir", "fifo", "socket", ""};
	static const char *const no_dirs[] = {"file", "hard", "dangling", "absolute", "up", "to-dir", "fifo", "socket"};

	(void)state;
	make_kinds();
	for (size_t i = 0; i < sizeof(no_files) / sizeof(no_files[0]); i++) {
		assert_int_equal(ask_read(no_files[i], NULL, 0, 100), FILES_KIND);
		assert_int_equal(f.length, 0);
		assert_int_equal(ask_digest(no_files[i], NULL), FILES_KIND);
	}
	for (size_t i = 0; i < sizeof(no_dirs) / sizeof(no_dirs[0]); i++)
		assert_int_equal(ask_list(no_dirs[i]), FILES_KIND);
	assert_true(fifo_is_left_alone("fifo"));
}

static void
follows_no_link_on_the_way(void **state)
{
	static const char *const paths[] = {"to-dir/inner", "up/tree/file", "up/outside", "absolute/x", "escaping/x"};

	(void)state;
	make_kinds();
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_int_equal(ask_stat(paths[i]), FILES_MISSING);
		assert_int_equal(ask_read(paths[i], NULL, 0, 100), FILES_MISSING);
		assert_int_equal(ask_list(paths[i]), FILES_MISSING);
		assert_int_equal(ask_digest(paths[i], NULL), FILES_MISSING);
	}
}

static void
what_is_not_there_is_missing(void **state)
{
	char longest[FILES_PATH_MAX + 1], name[FILES_NAME_MAX + 2];
	const char *const paths[] = {"nothing", "nothing/x", "file/x", name, longest};

	(void)state;
	make_kinds();
	memset(name, 'n', sizeof(name) - 1); /* longer than any name */
	name[sizeof(name) - 1] = '\0';
	for (size_t i = 0; i < sizeof(longest) - 1; i++)
		longest[i] = i % 2 == 0 ? 'd' : '/';
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_int_equal(ask_stat(paths[i]), FILES_MISSING);
		assert_int_equal(ask_read(paths[i], NULL, 0, 1), FILES_MISSING);
		assert_int_equal(ask_list(paths[i]), FILES_MISSING);
	}
}

static void
what_its_user_may_not_read_is_denied(void **state)
{
	(void)state;
	make_kinds();
	assert_int_equal(fchmodat(f.tree, "file", 0, 0), 0);
	assert_int_equal(fchmodat(f.tree, "dir", 0, 0), 0);
	assert_int_equal(ask_stat("file"), FILES_OK);
	assert_int_equal(f.node.mode, 0);
	assert_int_equal(ask_read("file", NULL, 0, 100), FILES_DENIED);
	assert_int_equal(ask_digest("file", NULL), FILES_DENIED);
	assert_int_equal(ask_stat("dir"), FILES_OK);
	assert_int_equal(ask_list("dir"), FILES_DENIED);
	assert_int_equal(ask_stat("dir/inner"), FILES_DENIED);
	assert_int_equal(ask_read("dir/inner", NULL, 0, 100), FILES_DENIED);
	assert_int_equal(fchmodat(f.tree, "dir", 0500, 0), 0);
	assert_int_equal(ask_list("dir"), FILES_OK);
}

static void
another_file_system_in_the_tree_is_outside(void **state)
{
	(void)state;
	assert_int_equal(mkdirat(f.tree, "mount", 0755), 0);
	if (mount("none", in_tree("mount"), "tmpfs", 0, "size=64k") != 0) {
		print_message("skipped: mounting is not allowed here\n");
		skip();
	}
	put("mount/secret", "secret");
	assert_int_equal(ask_list(""), FILES_OK);
	assert_int_equal(listed("mount"), FILES_KIND_DIR);
	assert_int_equal(ask_stat("mount"), FILES_OUTSIDE);
	assert_int_equal(ask_list("mount"), FILES_OUTSIDE);
	assert_int_equal(ask_stat("mount/secret"), FILES_OUTSIDE);
	assert_int_equal(ask_read("mount/secret", NULL, 0, 100), FILES_OUTSIDE);
	assert_int_equal(umount(in_tree("mount")), 0);
	assert_int_equal(ask_list("mount"), FILES_OK);
}

static void
names_are_any_bytes(void **state)
{
	static const char *const names[] = {"a\nb", "\xff\xfe", " ", "\x1b[31m", "-rf", "...", "\\", "\xc3"};
	char longest[FILES_NAME_MAX + 1];

	(void)state;
	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	put(longest, longest);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		put(names[i], names[i]);
	assert_int_equal(ask_list(""), FILES_OK);
	assert_int_equal(listed(longest), FILES_KIND_FILE);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(listed(names[i]), FILES_KIND_FILE);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(ask_read(names[i], NULL, 0, 100), FILES_OK);
		expect_text(names[i]);
	}
}

static void
lists_a_hundred_thousand_entries(void **state)
{
	char name[32];

	(void)state;
	assert_int_equal(mkdirat(f.tree, "many", 0755), 0);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "many/entry-%d", i);
		assert_int_equal(mknodat(f.tree, name, S_IFREG | 0644, 0), 0);
	}
	assert_int_equal(ask_list("many"), FILES_OK);
	assert_int_equal(f.done.count, MANY);
	assert_int_equal(listed("entry-0"), FILES_KIND_FILE);
	assert_int_equal(listed("entry-99999"), FILES_KIND_FILE);
	assert_int_equal(listed("entry-100000"), 0);
}

/* --- contents --------------------------------------------------------------------------------------------------- */

static void
reads_any_part_of_a_file(void **state)
{
	const size_t size = 3 * MIB + 4321;
	uint8_t *data = put_large("large", size);
	static const struct {
		uint64_t offset;
		uint32_t length;
	} parts[] = {
	    {0, FILES_READ_MAX}, {0, 0}, {0, 1}, {1, 65519}, {65520, 65521}, {2 * MIB + 17, FILES_READ_MAX},
	    {3 * MIB, FILES_READ_MAX}, {3 * MIB + 4320, 2}, {3 * MIB + 4321, 1}, {3 * MIB + 4322, 1},
	    {INT64_MAX, FILES_READ_MAX}, {UINT64_MAX, FILES_READ_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const uint64_t left = parts[i].offset < size ? size - parts[i].offset : 0;

		assert_int_equal(ask_read("large", NULL, parts[i].offset, parts[i].length), FILES_OK);
		assert_int_equal(f.length, left < parts[i].length ? left : parts[i].length);
		assert_int_equal(f.done.count, f.length);
		assert_int_equal(f.done.version.size, size);
		if (f.length > 0)
			assert_memory_equal(f.data, data + parts[i].offset, f.length);
	}
	free(data);
}

static void
a_digest_is_that_of_the_whole_file(void **state)
{
	const size_t sizes[] = {0, 1, 65519, 65520, 65521, MIB};
	struct digest want;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *data = put_large("file", sizes[i]);

		want = digest_of(data, sizes[i]);
		assert_int_equal(ask_digest("file", NULL), FILES_OK);
		assert_true(digest_equal(&f.done.digest, &want));
		assert_int_equal(f.done.version.size, sizes[i]);
		free(data);
	}
}

static void
holes_are_zeros(void **state)
{
	const uint64_t end = (uint64_t)2 << 30;
	uint8_t *zeros = calloc(1, 20 * MIB);
	struct digest want;

	(void)state;
	put("sparse", "head");
	assert_int_equal(truncate(in_tree("sparse"), (off_t)end), 0);
	assert_int_equal(ask_stat("sparse"), FILES_OK);
	assert_int_equal(f.node.version.size, end);
	assert_int_equal(ask_read("sparse", &f.node.version, end - 10, FILES_READ_MAX), FILES_OK);
	assert_int_equal(f.length, 10);
	assert_memory_equal(f.data, zeros, 10);
	assert_int_equal(ask_read("sparse", &f.node.version, MIB, FILES_READ_MAX), FILES_OK);
	assert_int_equal(f.length, MIB);
	assert_memory_equal(f.data, zeros, MIB);
	assert_int_equal(truncate(in_tree("sparse"), 20 * MIB), 0);
	memcpy(zeros, "head", 4);
	want = digest_of(zeros, 20 * MIB);
	assert_int_equal(ask_digest("sparse", NULL), FILES_OK);
	assert_true(digest_equal(&f.done.digest, &want));
	free(zeros);
}

/* --- change meanwhile ------------------------------------------------------------------------------------------- */

static void
rewrite_same_size(void)
{
	struct timespec times[2];
	struct stat st;

	assert_int_equal(fstatat(f.tree, "file", &st, 0), 0);
	put_at("file", "CONTENTS", 8, 0);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(utimensat(f.tree, "file", times, 0), 0); /* as if nothing had been */
}

static void
grow(void)
{
	put_at("file", "more", 4, O_APPEND);
}

static void
shrink(void)
{
	assert_int_equal(truncate(in_tree("file"), 4), 0);
}

static void
replace(void)
{
	put("new", "contents");
	assert_int_equal(renameat(f.tree, "new", f.tree, "file"), 0);
}

static void
another_version_is_never_read(void **state)
{
	static void (*const changes[])(void) = {rewrite_same_size, grow, shrink, replace};
	struct files_version was;

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		put("file", "contents");
		assert_int_equal(ask_stat("file"), FILES_OK);
		was = f.node.version;
		assert_int_equal(ask_read("file", &was, 0, 100), FILES_OK);
		expect_text("contents");
		assert_memory_equal(&f.done.version, &was, sizeof(was));
		changes[i]();
		assert_int_equal(ask_read("file", &was, 0, 100), FILES_CHANGED);
		assert_int_equal(f.length, 0);
		assert_int_equal(ask_digest("file", &was), FILES_CHANGED);
		assert_int_equal(ask_read("file", NULL, 0, 100), FILES_OK);
		assert_int_equal(unlinkat(f.tree, "file", 0), 0);
		assert_int_equal(ask_read("file", &was, 0, 100), FILES_MISSING);
		assert_int_equal(mkdirat(f.tree, "file", 0755), 0);
		assert_int_equal(ask_read("file", &was, 0, 100), FILES_KIND);
		assert_int_equal(unlinkat(f.tree, "file", AT_REMOVEDIR), 0);
	}
}

/* However soon one change comes after the other: a version is not given out before the next would be another one. */
static void
two_changes_make_two_versions(void **state)
{
	(void)state;
	for (int i = 0; i < 30; i++) {
		struct files_version was;

		put("file", "one");
		assert_int_equal(ask_stat("file"), FILES_OK);
		was = f.node.version;
		put_at("file", "two", 3, 0);
		assert_int_equal(ask_read("file", &was, 0, 100), FILES_CHANGED);
	}
}

/* The socket holds less than the answer, so the server is in the middle of it when the file changes. */
static void
a_change_during_an_answer_is_told_at_its_end(void **state)
{
	uint8_t *data = put_large("large", MIB);
	struct err e;

	(void)state;
	send_request(FILES_READ, "large", 5, (struct files_ask){.length = FILES_READ_MAX});
	assert_int_equal(imsg_recv(f.sock, &f.in, &e), 0);
	assert_int_equal(f.in.hdr.type, FILES_DATA);
	put_at("large", "other", 5, 0);
	assert_int_equal(receive(FILES_DATA), FILES_CHANGED);
	free(data);
}

/* Exchanges a directory and a link that leads outside, over and over. */
static pid_t
start_swapping(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	while (pid == 0)
		if (renameat2(f.tree, "swapped", f.tree, "link", RENAME_EXCHANGE) != 0)
			_exit(1);
	return pid;
}

static void
a_directory_that_becomes_a_link_leads_nowhere(void **state)
{
	int found = 0, status;
	pid_t swapper;

	(void)state;
	assert_int_equal(mkdirat(f.tree, "swapped", 0755), 0);
	put("swapped/name", "inside");
	assert_int_equal(mkdir(in_tree("../outside"), 0755), 0);
	put("../outside/name", "secret");
	assert_int_equal(symlinkat("../outside", f.tree, "link"), 0);
	swapper = start_swapping();
	for (int i = 0; i < 2000 || found < 10; i++) {
		enum files_code code = ask_read("swapped/name", NULL, 0, 100);

		if (code == FILES_OK) {
			expect_text("inside");
			found++;
		} else
			assert_true(code == FILES_MISSING || code == FILES_CHANGED);
		code = ask_list("swapped");
		if (code == FILES_OK)
			assert_int_equal(f.done.count, 1);
		else
			assert_true(code == FILES_MISSING || code == FILES_CHANGED || code == FILES_KIND);
	}
	kill(swapper, SIGKILL);
	assert_int_equal(waitpid(swapper, &status, 0), swapper);
	assert_true(WIFSIGNALED(status));
}

/* --- requests that are none ------------------------------------------------------------------------------------- */

/* A raw packet, with a descriptor when `fd` is one. */
static void
send_raw(const void *data, size_t length, int fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)data, length};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (fd >= 0) {
		msg.msg_control = control.room;
		msg.msg_controllen = sizeof(control.room);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(f.sock, &msg, MSG_NOSIGNAL), (ssize_t)length);
}

/* The answer to it is FILES_MALFORMED, and nothing after that; then there is a new server. */
static void
must_be_malformed(uint64_t run)
{
	struct err e = {0};

	if (imsg_recv(f.sock, &f.in, &e) != 0)
		fail_msg("%s", e.msg);
	assert_int_equal(f.in.hdr.type, FILES_DONE);
	assert_int_equal(f.in.hdr.run, run);
	assert_int_equal(f.in.hdr.length, sizeof(f.done));
	memcpy(&f.done, f.in.payload, sizeof(f.done));
	assert_int_equal(f.done.code, FILES_MALFORMED);
	assert_int_equal(imsg_recv(f.sock, &f.in, &e), ERR_EOF);
	stop();
	start();
}

static void
refuses_paths_that_could_lead_elsewhere(void **state)
{
#define PATH(text) {text, sizeof(text) - 1}
	static const struct {
		const char *path;
		size_t length;
	} paths[] = {
	    PATH("/"), PATH("/etc"), PATH("."), PATH(".."), PATH("../outside"), PATH("dir/.."), PATH("dir/../.."),
	    PATH("./file"), PATH("dir/."), PATH("dir/./inner"), PATH("dir//inner"), PATH("dir/"), PATH("//"), PATH("\0"),
	    PATH("file\0"), PATH("file\0x"), PATH("dir/\0"), PATH("dir/../file"),
	};
#undef PATH

	(void)state;
	make_kinds();
	for (uint32_t type = in_jail ? FILES_DIGEST : FILES_LIST; type <= FILES_DIGEST; type++)
		for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
			send_request(type, paths[i].path, paths[i].length, (struct files_ask){0});
			must_be_malformed(RUN);
		}
}

static void
refuses_whatever_is_no_request(void **state)
{
	static const uint32_t types[] = {0, 5, 9, FILES_ENTRIES, FILES_DONE, 14, UINT32_MAX};
	struct {
		struct imsg_hdr hdr;
		struct files_ask ask;
		char path[FILES_PATH_MAX + 1];
	} packet = {.hdr = {FILES_STAT, sizeof(packet.ask), RUN}};
	const size_t least = sizeof(packet.hdr) + sizeof(packet.ask);

	(void)state;
	memset(packet.path, 'p', sizeof(packet.path));
	for (size_t length = 1; length < least; length++) { /* too short, and with a header that says so */
		packet.hdr.length = length < sizeof(packet.hdr) ? 0 : (uint32_t)(length - sizeof(packet.hdr));
		send_raw(&packet, length, -1);
		must_be_malformed(length < sizeof(packet.hdr) ? 0 : RUN);
	}
	for (uint32_t lie = 0; lie < 3; lie++) { /* a header that lies */
		packet.hdr.length = lie == 0 ? 0 : lie == 1 ? sizeof(packet.ask) + 1 : UINT32_MAX;
		send_raw(&packet, least, -1);
		must_be_malformed(0);
	}
	packet.hdr.length = sizeof(packet.ask) + 1;
	for (int lie = 0; lie < 3; lie++) { /* a path that is shorter, longer */
		packet.ask.path_length = lie == 0 ? 0 : lie == 1 ? 2 : UINT32_MAX;
		send_raw(&packet, least + 1, -1);
		must_be_malformed(RUN);
	}
	packet.hdr.length = sizeof(packet.ask) + sizeof(packet.path); /* one byte too long */
	packet.ask.path_length = sizeof(packet.path);
	send_raw(&packet, sizeof(packet), -1);
	must_be_malformed(RUN);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		send_request(types[i], "file", 4, (struct files_ask){0});
		must_be_malformed(RUN);
	}
	send_request(FILES_READ, "file", 4, (struct files_ask){.length = FILES_READ_MAX + 1});
	must_be_malformed(RUN);
	packet.hdr.length = sizeof(packet.ask);
	packet.ask.path_length = 0;
	send_raw(&packet, least, STDERR_FILENO);
	must_be_malformed(RUN);
}

/* --- what is left ----------------------------------------------------------------------------------------------- */

static int
count_descriptors(pid_t pid)
{
	char path[64];
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	if (d == NULL)
		return -1;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
holds_nothing_between_two_requests(void **state)
{
	int before;

	(void)state;
	make_kinds();
	assert_int_equal(ask_list(""), FILES_OK);
	before = count_descriptors(f.pid);
	assert_true(before > 0);
	for (int i = 0; i < 100; i++) {
		static const char *const names[] = {"file", "dir", "fifo", "dangling", "nothing", "up/x"};
		const char *name = names[i % 6];

		ask_list(name);
		ask_stat(name);
		ask_read(name, NULL, 0, 10);
		ask_digest(name, NULL);
		ask_read(name, &(struct files_version){.inode = 1}, 0, 10);
	}
	assert_int_equal(count_descriptors(f.pid), before);
}

static void
ends_when_the_other_side_closes(void **state)
{
	int status;

	(void)state;
	if (in_jail) {
		const int copy = dup(f.sock);
		siginfo_t how;

		assert_true(copy >= 0);
		assert_int_equal(shutdown(copy, SHUT_RDWR), 0);
		assert_int_equal(waitid(P_ALL, 0, &how, WEXITED | WNOWAIT), 0);
		assert_int_equal(how.si_code, CLD_EXITED);
		assert_int_equal(how.si_status, EXIT_SUCCESS);
		close(copy);
		return;
	}
	close(f.sock);
	f.sock = -1;
	assert_int_equal(waitpid(f.pid, &status, 0), f.pid);
	assert_int_equal(status, 0);
}

/* A worker that goes in the middle of a long answer. */
static void
ends_when_nobody_reads_the_answer(void **state)
{
	uint8_t *data = put_large("large", MIB);

	(void)state;
	free(data);
	send_request(FILES_READ, "large", 5, (struct files_ask){.length = FILES_READ_MAX});
	ends_when_the_other_side_closes(state);
}

/* --- the jail --------------------------------------------------------------------------------------------------- */

/* The one child of this process. */
static pid_t
only_child(void)
{
	siginfo_t info = {0};
	char path[64], text[64] = "";
	int fd;

	assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return (pid_t)strtol(text, NULL, 10);
}

static bool
status_says(pid_t pid, const char *line)
{
	char path[64], text[8192] = "\n";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(read(fd, text + 1, sizeof(text) - 2) > 0);
	close(fd);
	return strstr(text, line) != NULL;
}

static void
is_in_a_jail_seen_from_outside(void **state)
{
	static const char *const lines[] = {"\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n", "\nCapEff:\t0000000000000000\n",
	    "\nCapPrm:\t0000000000000000\n", "\nCapBnd:\t0000000000000000\n", "\nThreads:\t1\n"};
	const uint32_t layers = brig_dir_layers(f.dir);
	pid_t pid = only_child();

	(void)state;
	if (pid < 0) {
		print_message("skipped: this kernel does not list a process's children\n");
		skip();
	}
	assert_int_equal(ask_stat(""), FILES_OK); /* the filter comes after it has said that it is ready */
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!status_says(pid, lines[i]) && (i != 4 || (layers & PROTO_LAYER_user_ns) != 0))
			fail_msg("not so: %s", lines[i] + 1);
	assert_true((layers & PROTO_LAYER_seccomp) != 0 && (layers & PROTO_LAYER_rlimits) != 0);
	if ((layers & PROTO_LAYER_user_ns) != 0)
		assert_int_equal(layers & jail_required(JAIL_PROFILE_NAMESPACES), jail_required(JAIL_PROFILE_NAMESPACES));
}

/* Started where nobody may make namespaces; it says so and serves all the same. */
static int
serve_without_namespaces(void *arg, struct err *e)
{
	struct brig_dir *d;

	(void)arg;
	NEED(fchdir(f.tree) == 0);
	if (unshare(CLONE_NEWUSER) != 0)
		return err_sys(e, ERR_UNSUPPORTED, "no user namespace here");
	NEED(jail_try(PROTO_LAYER_no_user_ns, e) == 0);
	if (brig_dir_serve(".", program(), &d, e) != 0)
		return e->code;
	NEED((brig_dir_layers(d) & PROTO_LAYER_user_ns) == 0 && (brig_dir_layers(d) & PROTO_LAYER_seccomp) != 0);
	f.sock = brig_dir_fd(d);
	NEED(ask_read("file", NULL, 0, 100) == FILES_OK && f.length == 8);
	brig_dir_close(d);
	return 0;
}

static void
serves_without_namespaces_where_there_are_none(void **state)
{
	int status;

	(void)state;
	put("file", "contents");
	status = jailed_fork(serve_without_namespaces, NULL);
	if (WIFEXITED(status) && WEXITSTATUS(status) == JAILED_SKIP) {
		print_message("skipped: no user namespaces here to be without\n");
		skip();
	}
	assert_int_equal(status, 0);
}

/* What Landlock leaves of the file system: to read beneath the directory. */
static int
enter_with_landlock(void *arg, struct err *e)
{
	const struct jail_config cfg = {.profile = JAIL_PROFILE_CONTAINER, .last_fd = 100, .serves = arg};
	const int tree = *(const int *)arg, above = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint32_t layers;
	int fd;

	NEED(above >= 0);
	if (jail_enter(&cfg, &layers, e) != 0)
		return e->code;
	if ((layers & PROTO_LAYER_landlock) == 0)
		return err_set(e, ERR_UNSUPPORTED, "no Landlock");
	fd = openat(tree, "file", O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0 && openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0);
	NEED(openat(above, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 && errno == EACCES);
	NEED(openat(above, "etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	NEED(openat(tree, "../beside", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	NEED(openat(tree, "file", O_WRONLY | O_CLOEXEC) < 0 && errno == EACCES);
	NEED(openat(tree, "file", O_RDONLY | O_TRUNC | O_CLOEXEC) < 0 && errno == EACCES);
	NEED(openat(tree, "new", O_RDWR | O_CREAT | O_CLOEXEC, 0600) < 0 && errno == EACCES);
	NEED(mkdirat(tree, "new", 0700) < 0 && errno == EACCES);
	NEED(unlinkat(tree, "file", 0) < 0 && errno == EACCES);
	return 0;
}

static void
landlock_leaves_only_reading_beneath_the_directory(void **state)
{
	int status;

	(void)state;
	put("file", "contents");
	put("../beside", "beside");
	status = jailed_fork(enter_with_landlock, &f.tree);
	if (WIFEXITED(status) && WEXITSTATUS(status) == JAILED_SKIP) {
		print_message("skipped: this kernel has no Landlock\n");
		skip();
	}
	assert_int_equal(status, 0);
}

/* --- a client that starts it ------------------------------------------------------------------------------------ */

static void
says_why_a_directory_cannot_be_served(void **state)
{
	struct brig_dir *d = NULL;
	struct err e;

	(void)state;
	put("file", "contents");
	assert_int_equal(brig_dir_serve(in_tree("nothing"), program(), &d, &e), ERR_NOTFOUND);
	assert_int_equal(brig_dir_serve(in_tree("file"), program(), &d, &e), ERR_INVAL);
	assert_int_equal(brig_dir_serve(in_tree(""), "/nowhere/brig-files", &d, &e), ERR_IO);
	assert_non_null(strstr(e.msg, "/nowhere/brig-files"));
	assert_int_equal(brig_dir_serve(in_tree(""), "/bin/true", &d, &e), ERR_IO);
	assert_non_null(strstr(e.msg, "ended before"));
	assert_int_equal(mkdirat(f.tree, "closed", 0), 0);
	assert_true(brig_dir_serve(in_tree("closed"), program(), &d, &e) != 0);
	assert_non_null(strstr(e.msg, "read"));
	assert_null(d);
}

/* Serves, passes the run's end on, and is killed. */
static void __attribute__((noreturn))
serve_and_die(int sock)
{
	struct brig_dir *d;
	struct err e = {0};
	int fd;

	if (brig_dir_serve(in_tree(""), program(), &d, &e) != 0)
		_exit(1);
	fd = brig_dir_fd(d);
	if (imsg_send(sock, 1, 0, NULL, 0, &fd, 1, &e) != 0)
		_exit(1);
	raise(SIGKILL);
	_exit(1);
}

static void
ends_when_its_client_is_killed(void **state)
{
	int sv[2], served, status;
	pid_t pid;

	(void)state;
	assert_int_equal(imsg_pair(sv, NULL), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		serve_and_die(sv[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(imsg_recv(sv[0], &f.in, NULL), 0);
	served = imsg_take_fd(&f.in, 0);
	assert_true(served >= 0);
	assert_int_equal(imsg_recv(served, &f.in, NULL), ERR_EOF); /* nobody else has the other end */
	close(served);
	close(sv[0]);
	close(sv[1]);
}

/* --- running them ----------------------------------------------------------------------------------------------- */

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest serving[] = {
    TEST(tells_every_kind_of_file),
    TEST(a_device_is_told_of_and_never_opened),
    TEST(reads_nothing_but_files_and_lists_nothing_but_directories),
    TEST(follows_no_link_on_the_way),
    TEST(what_is_not_there_is_missing),
    TEST(what_its_user_may_not_read_is_denied),
    TEST(another_file_system_in_the_tree_is_outside),
    TEST(names_are_any_bytes),
    TEST(reads_any_part_of_a_file),
    TEST(a_digest_is_that_of_the_whole_file),
    TEST(holes_are_zeros),
    TEST(another_version_is_never_read),
    TEST(two_changes_make_two_versions),
    TEST(a_change_during_an_answer_is_told_at_its_end),
    TEST(a_directory_that_becomes_a_link_leads_nowhere),
    TEST(refuses_paths_that_could_lead_elsewhere),
    TEST(refuses_whatever_is_no_request),
    TEST(ends_when_the_other_side_closes),
    TEST(ends_when_nobody_reads_the_answer),
};

/* Beside those: of the code alone, and of the program. */
static const struct CMUnitTest unjailed[] = {
    TEST(holds_nothing_between_two_requests),
};

static const struct CMUnitTest jailed[] = {
    TEST(lists_a_hundred_thousand_entries),
    TEST(is_in_a_jail_seen_from_outside),
    TEST(serves_without_namespaces_where_there_are_none),
    TEST(landlock_leaves_only_reading_beneath_the_directory),
    TEST(says_why_a_directory_cannot_be_served),
    TEST(ends_when_its_client_is_killed),
};

#ifdef __SANITIZE_ADDRESS__
static void
brig_files_is_tested_in_the_build_without_sanitizers(void **state)
{
	(void)state;
	skip(); /* their shadow memory does not fit in the jail */
}
#endif

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define TESTS_MAX       (2 * ARRAY_LENGTH(serving) + ARRAY_LENGTH(unjailed) + ARRAY_LENGTH(jailed))

/* Adds tests to those that are run, in a jail or not, and by a name that says so. */
static void
add(struct CMUnitTest *tests, size_t *count, const struct CMUnitTest *more, size_t n, bool *with_jail)
{
	static char names[TESTS_MAX][100];

	for (size_t i = 0; i < n; i++) {
		snprintf(names[*count], sizeof(names[0]), "%s%s", *with_jail ? "brig_files_" : "", more[i].name);
		tests[*count] = more[i];
		tests[*count].name = names[*count];
		tests[(*count)++].initial_state = with_jail;
	}
}

int
main(void)
{
	static struct CMUnitTest tests[TESTS_MAX];
	static bool no = false;
	size_t count = 0;

	if (sodium_init() < 0)
		return 1;
	add(tests, &count, serving, ARRAY_LENGTH(serving), &no);
	add(tests, &count, unjailed, ARRAY_LENGTH(unjailed), &no);
#ifdef __SANITIZE_ADDRESS__
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(brig_files_is_tested_in_the_build_without_sanitizers);
#else
	static bool yes = true;

	add(tests, &count, serving, ARRAY_LENGTH(serving), &yes);
	add(tests, &count, jailed, ARRAY_LENGTH(jailed), &yes);
#endif
	return _cmocka_run_group_tests("files", tests, count, NULL, NULL);
}
