/* Unit tests of runtime/wasi/lower, and of what the filesystem makes of directories of the host. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "files_peer.h"
#include "runtime/wasi/changes.h"
#include "runtime/wasi/fs.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define ROOM        (64u << 20)
#define READ        WASI_OPEN_READ
#define WRITE       WASI_OPEN_WRITE

static const struct wasi_clock no_clock = {.kind = PROTO_CLOCK_NONE};
static volatile sig_atomic_t stop;
static struct wasi_fs fs;
static struct wasi_node *top;
static struct peer peer;

/* What most tests have; a copy, which they may change. */
static const struct peer_node usual[] = {
	{.path = "", .kind = FILES_KIND_DIR},
	{.path = "hello", .kind = FILES_KIND_FILE, .text = "hello world", .modified = 1000},
	{.path = "dir", .kind = FILES_KIND_DIR},
	{.path = "dir/a", .kind = FILES_KIND_FILE, .text = "a", .modified = 1000},
	{.path = "dir/inner", .kind = FILES_KIND_DIR},
	{.path = "dir/inner/deep", .kind = FILES_KIND_FILE, .text = "deep", .modified = 1000},
	{.path = "link", .kind = FILES_KIND_LINK, .text = "dir/a"},
	{.path = "out", .kind = FILES_KIND_LINK, .text = "../secret"},
	{.path = "absolute", .kind = FILES_KIND_LINK, .text = "/etc/passwd"},
	{.path = "fifo", .kind = FILES_KIND_FIFO},
	{.path = "socket", .kind = FILES_KIND_SOCKET},
	{.path = "locked", .kind = FILES_KIND_FILE, .text = "secret", .code = FILES_DENIED},
	{.path = "closed", .kind = FILES_KIND_DIR, .code = FILES_DENIED},
	{.path = "mount", .kind = FILES_KIND_DIR, .code = FILES_OUTSIDE},
	{.path = "large", .kind = FILES_KIND_FILE, .size = 3000000, .modified = 1000},
	{.path = "empty", .kind = FILES_KIND_DIR},
};
static struct peer_node nodes[COUNT_OF(usual)];

static void
begin_with(const struct peer_node *list, size_t count, uint64_t host_room)
{
	struct wasi_mount m = {.path = "/w", .length = 2, .rights = WASI_FS_ALL};

	stop = 0;
	peer_begin(&peer, list, count);
	wasi_fs_begin(&fs, ROOM, 1000, &no_clock);
	fs.tree.host_room.max = host_room;
	m.lower = wasi_lower_new(peer.socket, &stop, m.path, m.length);
	assert_int_equal(wasi_fs_mount(&fs, &m), 0);
	top = fs.mounts[0].top;
}

static void
begin(void)
{
	memcpy(nodes, usual, sizeof(nodes));
	begin_with(nodes, COUNT_OF(nodes), ROOM);
}

static void
finish(void)
{
	wasi_fs_end(&fs);
	assert_int_equal(fs.tree.nodes, 0);
	assert_int_equal(fs.tree.room.used, 0);
	peer_end(&peer);
}

static struct peer_node *
host(const char *path)
{
	for (size_t i = 0; i < COUNT_OF(nodes); i++)
		if (strcmp(nodes[i].path, path) == 0)
			return &nodes[i];
	fail();
	return NULL;
}

static enum wasi_errno
opening(const char *path, uint32_t flags, struct wasi_node **node)
{
	uint32_t rights;

	return wasi_fs_open(&fs, top, path, strlen(path), flags | WASI_OPEN_FOLLOW, node, &rights);
}

static enum wasi_errno
open_and_close(const char *path, uint32_t flags)
{
	struct wasi_node *node;
	enum wasi_errno error = opening(path, flags, &node);

	if (error == WASI_ESUCCESS)
		wasi_node_close(&fs.tree, node);
	return error;
}

static struct wasi_node *
opened(const char *path, uint32_t flags)
{
	struct wasi_node *node = NULL;

	assert_int_equal(opening(path, flags, &node), 0);
	return node;
}

static enum wasi_errno
find(const char *path, struct wasi_node **node)
{
	return wasi_fs_find(&fs, top, path, strlen(path), false, 0, node);
}

static enum wasi_errno
move(const char *from, const char *to)
{
	return wasi_fs_rename(&fs, &(struct wasi_from){top, from, strlen(from)}, &(struct wasi_from){top, to, strlen(to)});
}

static enum wasi_errno
unlink_at(const char *path)
{
	return wasi_fs_unlink(&fs, top, path, strlen(path));
}

/* That an open file holds this. */
static void
expect_text(const struct wasi_node *node, const char *text)
{
	uint8_t data[100];
	size_t n = 0;

	assert_int_equal(wasi_file_read(&node->file, 0, data, sizeof(data), &n), 0);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(data, text, n);
}

static enum wasi_errno
write_text(struct wasi_node *node, uint64_t at, const char *text)
{
	size_t done;

	return wasi_file_write(&node->file, &fs.tree.room, at, (const uint8_t *)text, strlen(text), &done);
}

static const struct wasi_trouble *
only_trouble(void)
{
	assert_int_equal(fs.mounts[0].lower->trouble_count, 1);
	return &fs.mounts[0].lower->troubles[0];
}

static void
expect_trouble(enum proto_trouble_kind kind, const char *path)
{
	assert_int_equal(only_trouble()->kind, kind);
	assert_int_equal(only_trouble()->length, strlen(path));
	assert_memory_equal(only_trouble()->path, path, strlen(path));
}

/* --- looking --------------------------------------------------------------------------------------------------- */

static void
nothing_is_asked_before_it_is_needed(void **state)
{
	(void)state;
	begin();
	assert_int_equal(peer.total, 0);
	assert_int_equal(open_and_close("dir/a", READ), 0);
	assert_int_equal(peer.asked[FILES_LIST], 2);
	assert_int_equal(peer.asked[FILES_STAT], 1);
	assert_int_equal(peer.asked[FILES_READ], 1);
	assert_int_equal(open_and_close("dir/a", READ), 0);
	assert_int_equal(open_and_close("dir/none", READ), WASI_ENOENT);
	assert_int_equal(peer.total, 4);
	finish();
}

static void
states_are_those_of_the_host(void **state)
{
	struct wasi_node *node;

	(void)state;
	begin();
	assert_int_equal(find("hello", &node), 0);
	assert_int_equal(node->kind, WASI_NODE_FILE);
	assert_int_equal(node->file.size, 11);
	assert_int_equal(node->modified, 1000);
	assert_int_equal(node->accessed, 7);
	assert_int_equal(wasi_node_links(node), 1);
	assert_int_equal(find("link", &node), 0);
	assert_int_equal(node->link.length, 5);
	assert_int_equal(find("dir", &node), 0);
	assert_int_equal(wasi_node_links(node), 1); /* not known yet */
	assert_int_equal(wasi_dir_look(&fs.tree, node), 0);
	assert_int_equal(wasi_node_links(node), 3);
	assert_int_equal(find("fifo", &node), 0);
	assert_int_equal(node->kind, WASI_NODE_OTHER);
	host("fifo")->modified = -5; /* long before 1970 */
	assert_int_equal(find("socket", &node), 0);
	assert_int_equal(node->modified, 0);
	finish();
}

static void
links_are_followed_inside_only(void **state)
{
	struct wasi_node *node;

	(void)state;
	begin();
	node = opened("link", READ);
	expect_text(node, "a");
	wasi_node_close(&fs.tree, node);
	assert_int_equal(open_and_close("out", READ), WASI_ENOTCAPABLE);
	assert_int_equal(open_and_close("absolute", READ), WASI_ENOTCAPABLE);
	host("out")->text = "\xff";
	finish();
	begin();
	host("out")->text = "d\xffr";
	assert_int_equal(open_and_close("out", READ), WASI_EILSEQ);
	assert_int_equal(find("out", &node), 0); /* what it is can be seen */
	finish();
}

static void
what_cannot_be_opened_says_why(void **state)
{
	struct wasi_node *node;

	(void)state;
	begin();
	assert_int_equal(open_and_close("locked", READ), WASI_EACCES);
	assert_int_equal(open_and_close("locked", WRITE), WASI_EACCES);
	assert_int_equal(open_and_close("locked", WRITE | WASI_OPEN_TRUNCATE), 0); /* nothing of it is read */
	assert_int_equal(open_and_close("closed", READ), WASI_EACCES);
	assert_int_equal(open_and_close("closed/x", READ), WASI_EACCES);
	assert_int_equal(open_and_close("mount", READ), WASI_EACCES);
	assert_int_equal(find("mount", &node), 0);
	assert_int_equal(open_and_close("fifo", READ), WASI_ENXIO);
	assert_int_equal(open_and_close("socket", WRITE), WASI_ENXIO);
	assert_int_equal(open_and_close("fifo", READ | WASI_OPEN_DIRECTORY), WASI_ENOTDIR);
	assert_int_equal(wasi_fs_rmdir(&fs, top, "closed", 6), WASI_EACCES);
	assert_int_equal(fs.mounts[0].lower->trouble_count, 0);
	finish();
}

static void
what_goes_away_before_it_was_seen_is_not_there(void **state)
{
	struct wasi_node *node;

	(void)state;
	begin();
	assert_int_equal(wasi_dir_look(&fs.tree, top), 0);
	host("hello")->path = "elsewhere";
	assert_int_equal(find("hello", &node), WASI_ENOENT);
	assert_int_equal(open_and_close("hello", READ), WASI_ENOENT);
	host("dir")->path = "elsewhere2";
	assert_int_equal(open_and_close("dir/a", READ), WASI_ENOENT);
	assert_int_equal(fs.mounts[0].lower->trouble_count, 0);
	host("fifo")->kind = FILES_KIND_FILE; /* what has become something else has changed */
	assert_int_equal(find("fifo", &node), WASI_EIO);
	expect_trouble(PROTO_TROUBLE_changed, "/w/fifo");
	finish();
}

static void
a_hundred_thousand_names_are_found(void **state)
{
	enum { MANY = 100000 };
	struct peer_node *many = calloc(MANY + 1, sizeof(*many));
	char (*names)[12] = calloc(MANY, sizeof(*names));
	struct wasi_node *node;
	uint64_t cookie = 0;
	uint32_t seen = 0;

	(void)state;
	many[0] = (struct peer_node){.path = "", .kind = FILES_KIND_DIR};
	for (int i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "n%d", i);
		many[i + 1] = (struct peer_node){.path = names[i], .kind = FILES_KIND_FILE, .text = ""};
	}
	begin_with(many, MANY + 1, 128 << 20);
	assert_int_equal(find("n99999", &node), 0);
	assert_int_equal(find("n100000", &node), WASI_ENOENT);
	for (const struct wasi_entry *e; (e = wasi_dir_next(top, cookie)) != NULL; seen++)
		cookie = e->cookie;
	assert_int_equal(seen, MANY);
	assert_int_equal(fs.tree.nodes, 0);
	assert_true(fs.tree.host_room.used < 350 * MANY);
	finish();
	free(many);
	free(names);
}

static void
names_past_the_room_for_them_leave_nothing(void **state)
{
	uint64_t enough;

	(void)state;
	begin();
	assert_int_equal(wasi_dir_look(&fs.tree, top), 0);
	enough = fs.tree.host_room.used;
	finish();
	memcpy(nodes, usual, sizeof(nodes));
	begin_with(nodes, COUNT_OF(nodes), enough);
	assert_int_equal(wasi_dir_look(&fs.tree, top), 0);
	finish();
	begin_with(nodes, COUNT_OF(nodes), enough - 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(open_and_close("hello", READ), WASI_ENOMEM);
		assert_int_equal(fs.tree.host_room.used, sizeof(struct wasi_node));
		assert_int_equal(top->dir.live, 0);
		expect_trouble(PROTO_TROUBLE_limit, "/w");
		assert_int_equal(only_trouble()->count, i + 1);
	}
	fs.tree.host_room.max = enough;
	assert_int_equal(open_and_close("hello", READ), 0); /* the connection is as good as before */
	finish();
}

/* --- reading and writing --------------------------------------------------------------------------------------- */

static void
a_large_file_reads_the_same_in_pieces_of_any_size(void **state)
{
	static uint8_t data[1 << 21];
	static const size_t sizes[] = {1, 17, 4096, 5000, 65536, 1 << 20, 1 << 21};
	struct wasi_node *node;

	(void)state;
	for (size_t s = 0; s < COUNT_OF(sizes); s++) {
		uint64_t at = sizes[s] < 4096 ? 2990000 : 0;
		size_t n;

		begin();
		node = opened("large", READ);
		do {
			memset(data, 0, sizes[s]);
			assert_int_equal(wasi_file_read(&node->file, at, data, sizes[s], &n), 0);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(data[i], 'l');
			at += n;
		} while (n == sizes[s]);
		assert_int_equal(at, 3000000);
		assert_true(peer.asked[FILES_READ] < 80);
		wasi_node_close(&fs.tree, node);
		finish();
	}
}

static void
reading_on_asks_for_more_and_jumping_about_does_not(void **state)
{
	struct wasi_node *node;
	uint8_t byte;
	size_t n;

	(void)state;
	begin();
	node = opened("large", READ);
	for (uint64_t at = 0; at < 3000000; at += 1000)
		assert_int_equal(wasi_file_read(&node->file, at, &byte, 1, &n), 0);
	assert_true(peer.asked[FILES_READ] <= 48);
	for (uint64_t at = 2900000; at > 100000; at -= 100000)
		assert_int_equal(wasi_file_read(&node->file, at, &byte, 1, &n), 0);
	assert_true(fs.mounts[0].lower->held <= 1);
	wasi_node_close(&fs.tree, node);
	finish();
}

static void
writing_copies_what_is_around_it(void **state)
{
	struct wasi_node *node;
	uint8_t data[3];
	size_t n;

	(void)state;
	begin();
	node = opened("hello", READ | WRITE);
	assert_int_equal(write_text(node, 6, "brave"), 0);
	expect_text(node, "hello brave");
	assert_int_equal(write_text(node, 11, "!"), 0);
	expect_text(node, "hello brave!");
	assert_int_equal(wasi_file_resize(&node->file, &fs.tree.room, 5), 0);
	assert_int_equal(wasi_file_resize(&node->file, &fs.tree.room, 7), 0);
	assert_int_equal(wasi_file_read(&node->file, 4, data, 3, &n), 0);
	assert_memory_equal(data, "o\0\0", 3);
	wasi_node_close(&fs.tree, node);
	node = opened("large", WRITE);
	assert_int_equal(write_text(node, 10000, "X"), 0);
	assert_int_equal(wasi_file_read(&node->file, 9999, data, 3, &n), 0);
	assert_memory_equal(data, "lXl", 3);
	assert_int_equal(wasi_file_read(&node->file, 2999998, data, 3, &n), 0);
	assert_int_equal(n, 2);
	wasi_node_close(&fs.tree, node);
	finish();
}

static void
a_file_that_changes_is_never_a_mixture(void **state)
{
	struct wasi_node *node;
	uint8_t data[100];
	size_t n;

	(void)state;
	begin();
	node = opened("large", READ | WRITE);
	assert_int_equal(wasi_file_read(&node->file, 0, data, 100, &n), 0);
	host("large")->modified++;
	assert_int_equal(wasi_file_read(&node->file, 2000000, data, 100, &n), WASI_EIO);
	expect_trouble(PROTO_TROUBLE_changed, "/w/large");
	assert_int_equal(write_text(node, 1000000, "x"), WASI_EIO); /* the rest of the block cannot be had */
	assert_false(node->file.written);
	assert_int_equal(fs.tree.room.used, 0);
	host("large")->path = "gone";
	assert_int_equal(wasi_file_read(&node->file, 2000000, data, 100, &n), WASI_EIO);
	assert_int_equal(only_trouble()->count, 3);
	assert_int_equal(wasi_file_resize(&node->file, &fs.tree.room, 0), 0);
	assert_int_equal(write_text(node, 0, "new"), 0); /* nothing of the old one is needed */
	expect_text(node, "new");
	wasi_node_close(&fs.tree, node);
	finish();
}

static void
troubles_have_a_number_and_the_others_are_counted(void **state)
{
	const struct wasi_lower *l;
	struct wasi_node *node;
	static const char *const paths[] = {"hello", "fifo", "socket", "locked", "large", "empty"};

	(void)state;
	begin();
	l = fs.mounts[0].lower;
	assert_int_equal(wasi_dir_look(&fs.tree, top), 0);
	for (size_t i = 0; i < COUNT_OF(paths); i++)
		host(paths[i])->kind = FILES_KIND_BLOCK;
	for (size_t i = 0; i < COUNT_OF(paths); i++)
		assert_int_equal(find(paths[i], &node), WASI_EIO);
	assert_int_equal(l->trouble_count, WASI_TROUBLES_MAX);
	assert_int_equal(l->troubles[WASI_TROUBLES_MAX - 1].count, 3);
	finish();
}

/* --- names ----------------------------------------------------------------------------------------------------- */

static void
directories_of_the_host_stay_where_they_are(void **state)
{
	(void)state;
	begin();
	assert_int_equal(move("dir", "moved"), WASI_EXDEV);
	assert_int_equal(peer.asked[FILES_LIST], 1);
	assert_int_equal(move("dir", "dir/inner/x"), WASI_EINVAL);
	assert_int_equal(move("dir", "dir"), 0);
	assert_int_equal(move("fifo", "moved"), WASI_EXDEV);
	assert_int_equal(wasi_fs_link(&fs, &(struct wasi_from){top, "fifo", 4}, false, &(struct wasi_from){top, "f2", 2}),
	    WASI_EXDEV);
	assert_int_equal(wasi_fs_mkdir(&fs, top, "own", 3), 0);
	assert_int_equal(move("own", "dir"), WASI_ENOTEMPTY);
	assert_int_equal(move("own", "closed"), WASI_EACCES);
	assert_int_equal(move("own", "empty"), 0);
	assert_int_equal(wasi_fs_rmdir(&fs, top, "dir", 3), WASI_ENOTEMPTY);
	assert_int_equal(unlink_at("dir/a"), 0);
	assert_int_equal(unlink_at("dir/inner/deep"), 0);
	assert_int_equal(wasi_fs_rmdir(&fs, top, "dir/inner", 9), 0);
	assert_int_equal(wasi_fs_rmdir(&fs, top, "dir", 3), 0);
	assert_int_equal(open_and_close("dir/a", READ), WASI_ENOENT);
	finish();
}

static void
a_file_is_read_from_where_it_was_wherever_it_is(void **state)
{
	struct wasi_node *node;

	(void)state;
	begin();
	assert_int_equal(move("dir/inner/deep", "up"), 0);
	assert_int_equal(wasi_fs_rmdir(&fs, top, "dir/inner", 9), 0);
	assert_int_equal(wasi_fs_mkdir(&fs, top, "dir/inner", 9), 0);
	assert_int_equal(open_and_close("dir/inner/deep", READ), WASI_ENOENT);
	node = opened("up", READ);
	assert_int_equal(unlink_at("up"), 0);
	expect_text(node, "deep");
	wasi_node_close(&fs.tree, node);
	finish();
}

/* --- changes --------------------------------------------------------------------------------------------------- */

/* "M hello file was file: base, content" for each change, in the order of their paths. */
static char told[4000];

static int
by_text(const void *a, const void *b)
{
	return strcmp((const char *)a + 2, (const char *)b + 2);
}

/* Lets the changes be sent, and reads them into `told`; returns how many were omitted. */
static uint64_t
changes(uint64_t content_max)
{
	static char lines[50][200];
	static struct imsg m;
	size_t count = 0, used = 0;
	struct proto_changes end = {0};
	int sv[2];

	memset(lines, 0, sizeof(lines));
	assert_int_equal(imsg_pair(sv, NULL), 0);
	assert_int_equal(wasi_changes_send(&fs, &(struct wasi_port){sv[0], 5, &stop}, content_max), WASI_STREAM_OK);
	for (;;) {
		struct proto_change c;
		char *line = lines[count];

		assert_int_equal(imsg_recv(sv[1], &m, NULL), 0);
		if (m.hdr.type == PROTO_CONTENT) {
			strncat(lines[count - 1], (const char *)m.payload, m.hdr.length);
			continue;
		}
		if (m.hdr.type == PROTO_CHANGES)
			break;
		memcpy(&c, m.payload, sizeof(c));
		snprintf(line, sizeof(lines[0]), "%c %.*s %u%s", "CMD"[c.change], (int)c.path_length,
		    (const char *)m.payload + sizeof(c), c.kind, c.change == PROTO_CHANGE_MODIFIED && c.was != c.kind ? " was" : "");
		if (c.base_state == PROTO_BASE_DIGEST) {
			static const char *const known[] = {"hello", "dir/a", "dir/inner/deep", "large", "locked"};

			for (size_t i = 0; i < COUNT_OF(known); i++) {
				const struct digest d = peer_digest(known[i]);

				if (digest_equal(&d, &c.base))
					snprintf(line + strlen(line), 60, " base %s", known[i]);
			}
		}
		if (c.base_state == PROTO_BASE_CHANGED)
			strcat(line, " changed");
		if (c.has_content != 0)
			strcat(line, " = ");
		count++;
	}
	memcpy(&end, m.payload, sizeof(end));
	qsort(lines, count, sizeof(lines[0]), by_text);
	for (size_t i = 0; i < count; i++)
		used += (size_t)snprintf(told + used, sizeof(told) - used, "%s\n", lines[i]);
	told[used] = '\0';
	close(sv[0]);
	close(sv[1]);
	return end.omitted;
}

static void
looking_and_reading_change_nothing(void **state)
{
	struct wasi_node *node;

	(void)state;
	begin();
	node = opened("dir/inner/deep", READ);
	expect_text(node, "deep");
	wasi_node_close(&fs.tree, node);
	assert_int_equal(open_and_close("hello", READ | WRITE), 0);
	assert_int_equal(move("hello", "h2"), 0);
	assert_int_equal(move("h2", "hello"), 0); /* there and back */
	assert_int_equal(changes(1000), 0);
	assert_string_equal(told, "");
	finish();
}

static void
changes_say_what_files_held_before(void **state)
{
	struct wasi_node *node;

	(void)state;
	begin();
	node = opened("hello", WRITE);
	assert_int_equal(write_text(node, 0, "J"), 0);
	wasi_node_close(&fs.tree, node);
	assert_int_equal(unlink_at("dir/a"), 0); /* nobody has looked at it */
	assert_int_equal(move("dir/inner/deep", "up"), 0);
	assert_int_equal(unlink_at("fifo"), 0);
	assert_int_equal(unlink_at("link"), 0);
	assert_int_equal(wasi_fs_mkdir(&fs, top, "link", 4), 0);
	assert_int_equal(unlink_at("locked"), 0);
	assert_int_equal(wasi_fs_mkdir(&fs, top, "locked", 6), 0);
	assert_int_equal(wasi_fs_rmdir(&fs, top, "empty", 5), 0);
	assert_int_equal(wasi_fs_link(&fs, &(struct wasi_from){top, "hello", 5}, false, &(struct wasi_from){top, "also", 4}), 0);
	assert_int_equal(changes(1000), 0);
	assert_string_equal(told,
	    "C /w/also 0 = Jello world\n"
	    "D /w/dir/a 0 base dir/a\n"
	    "D /w/dir/inner/deep 0 base dir/inner/deep\n"
	    "D /w/empty 1\n"
	    "D /w/fifo 3\n"
	    "M /w/hello 0 base hello = Jello world\n"
	    "M /w/link 1 was\n"
	    "M /w/locked 1 was changed\n"
	    "C /w/up 0 = deep\n");
	finish();
}

static void
what_a_link_in_its_place_leads_to_is_not_what_was_there(void **state)
{
	struct wasi_node *node;

	(void)state;
	begin();
	assert_int_equal(unlink_at("dir/a"), 0);
	assert_int_equal(unlink_at("dir/inner/deep"), 0);
	assert_int_equal(wasi_fs_rmdir(&fs, top, "dir/inner", 9), 0);
	assert_int_equal(wasi_fs_rmdir(&fs, top, "dir", 3), 0);
	assert_int_equal(wasi_fs_mkdir(&fs, top, "new", 3), 0);
	node = opened("new/a", WRITE | WASI_OPEN_CREATE);
	wasi_node_close(&fs.tree, node);
	assert_int_equal(wasi_fs_symlink(&fs, "new", 3, top, "dir", 3), 0);
	assert_int_equal(changes(1000), 0);
	assert_string_equal(told,
	    "M /w/dir 2 was\n"
	    "D /w/dir/a 0 base dir/a\n"
	    "D /w/dir/inner 1\n"
	    "D /w/dir/inner/deep 0 base dir/inner/deep\n"
	    "C /w/new 1\n"
	    "C /w/new/a 0 = \n");
	finish();
}

static void
no_mount_lies_behind_a_link_of_the_host(void **state)
{
	static const struct peer_node with_link[] = {
		{.path = "", .kind = FILES_KIND_DIR},
		{.path = "dir", .kind = FILES_KIND_DIR},
		{.path = "dir/x", .kind = FILES_KIND_DIR},
		{.path = "way", .kind = FILES_KIND_LINK, .text = "dir"},
	};
	const struct wasi_mount m = {.path = "/w/way/x", .length = 8, .rights = WASI_FS_ALL};

	(void)state;
	begin_with(with_link, COUNT_OF(with_link), ROOM);
	assert_int_equal(wasi_fs_mount(&fs, &m), 0);
	assert_int_equal(wasi_fs_nest(&fs, &fs.mounts[0], "way/x", 5, &fs.mounts[1]), WASI_ENOTDIR);
	assert_int_equal(wasi_fs_nest(&fs, &fs.mounts[0], "dir/x", 5, &fs.mounts[1]), 0);
	finish();
}

static void
a_base_that_others_changed_is_said_to_be(void **state)
{
	struct wasi_node *node;

	(void)state;
	begin();
	node = opened("hello", WRITE);
	assert_int_equal(write_text(node, 0, "J"), 0);
	wasi_node_close(&fs.tree, node);
	host("hello")->modified++;
	assert_int_equal(open_and_close("dir/a", READ), 0);
	assert_int_equal(unlink_at("dir/a"), 0);
	host("dir/a")->path = "dir/b";
	assert_int_equal(changes(1000), 0);
	assert_string_equal(told, "D /w/dir/a 0 changed\nM /w/hello 0 changed = Jello world\n");
	assert_int_equal(fs.mounts[0].lower->trouble_count, 0);
	finish();
}

static void
a_directory_made_anew_holds_what_was_there_as_modified(void **state)
{
	struct wasi_node *node;

	(void)state;
	begin();
	assert_int_equal(unlink_at("dir/inner/deep"), 0);
	assert_int_equal(wasi_fs_rmdir(&fs, top, "dir/inner", 9), 0);
	assert_int_equal(wasi_fs_mkdir(&fs, top, "dir/inner", 9), 0);
	node = opened("dir/inner/deep", WRITE | WASI_OPEN_CREATE);
	assert_int_equal(write_text(node, 0, "new"), 0);
	wasi_node_close(&fs.tree, node);
	assert_int_equal(changes(1000), 0);
	assert_string_equal(told, "M /w/dir/inner/deep 0 base dir/inner/deep = new\n");
	finish();
}

static void
content_that_cannot_be_had_is_left_out(void **state)
{
	(void)state;
	begin();
	assert_int_equal(open_and_close("large", READ), 0);
	assert_int_equal(move("large", "moved"), 0);
	host("large")->modified++;
	assert_int_equal(changes(10000000), 0);
	assert_string_equal(told, "D /w/large 0 changed\nC /w/moved 0\n");
	expect_trouble(PROTO_TROUBLE_changed, "/w/large");
	finish();
}

static void
names_that_are_no_text_are_not_told_of(void **state)
{
	(void)state;
	begin();
	host("out")->text = "d\xffr";
	assert_int_equal(move("out", "moved"), 0);
	assert_int_equal(changes(1000), 1);
	assert_string_equal(told, "D /w/out 2\n");
	finish();
}

/* --- a server that lies ---------------------------------------------------------------------------------------- */

/* Entries with their names, and nodes with their targets, as they go over the wire. */
struct entry_of {
	struct files_entry e;
	char name[260];
};

#define ENTRY(kind, text)         {{kind, sizeof(text) - 1}, text}
#define OK_DONE(n)                {.code = FILES_OK, .count = n}
#define SAY(kind, thing, bytes)   {.type = kind, .payload = thing, .length = bytes}

static const struct files_done done0 = OK_DONE(0), done1 = OK_DONE(1), done2 = OK_DONE(2), bad_code = {.code = 99};
static const struct files_done malformed = {.code = FILES_MALFORMED};

/* Tells the answer to question number `at`, and what it was of: the path is opened, which must be EIO, and stay so. */
static void
lie_once(const char *name, int at, const struct peer_packet *script, size_t length, const char *path)
{
	begin();
	peer.script = script;
	peer.script_length = length;
	peer.script_at = at;
	if (open_and_close(path, READ) != WASI_EIO)
		fail_msg("%s: not noticed", name);
	expect_trouble(PROTO_TROUBLE_lost, "/w");
	assert_int_equal(open_and_close("hello", READ), WASI_EIO);
	assert_true(fs.mounts[0].lower->ended);
	assert_true(at != 0 || top->dir.live == 0);
	finish();
}

static void
wrong_lists_end_the_directory(void **state)
{
	static const struct entry_of good = ENTRY(1, "a"), dot = ENTRY(1, "."), dots = ENTRY(1, ".."), slash = ENTRY(1, "a/b"),
	    nul = ENTRY(1, "a\0b"), none = ENTRY(1, ""), no_kind = ENTRY(0, "a"), kind8 = ENTRY(8, "a"),
	    past = {{1, 2}, "a"}, huge = {{1, UINT32_MAX}, "a"};
	static struct entry_of overlong = {{1, 256}, ""};
	static const struct {
		struct files_done done;
		uint64_t more;
	} long_done = {OK_DONE(0), 0};
	const struct {
		const char *name;
		struct peer_packet script[3];
	} lies[] = {
	    {"no packet", {{.type = 0, .length = 0}}},
	    {"half a header", {{.type = 0, .payload = "abcd", .length = 4}}},
	    {"empty list", {SAY(FILES_ENTRIES, "", 0), SAY(FILES_DONE, &done0, sizeof(done0))}},
	    {"another type", {SAY(FILES_NODE, &good, 9)}},
	    {"type of a question", {SAY(FILES_LIST, &good, 9)}},
	    {"type unknown", {SAY(77, &good, 9)}},
	    {"another run", {{.type = FILES_ENTRIES, .payload = &good, .length = 9, .run = 1}}},
	    {"length too long", {{.type = FILES_ENTRIES, .payload = &good, .length = 9, .lie = 1}}},
	    {"length too short", {{.type = FILES_ENTRIES, .payload = &good, .length = 9, .lie = -1}}},
	    {"half an entry", {SAY(FILES_ENTRIES, &good, 7)}},
	    {"name past the end", {SAY(FILES_ENTRIES, &past, 9)}},
	    {"name of 4 GiB", {SAY(FILES_ENTRIES, &huge, 9)}},
	    {"name of 256 bytes", {SAY(FILES_ENTRIES, &overlong, 8 + 256)}},
	    {"dot", {SAY(FILES_ENTRIES, &dot, 9)}},
	    {"dots", {SAY(FILES_ENTRIES, &dots, 10)}},
	    {"slash", {SAY(FILES_ENTRIES, &slash, 11)}},
	    {"NUL", {SAY(FILES_ENTRIES, &nul, 11)}},
	    {"no name", {SAY(FILES_ENTRIES, &none, 8)}},
	    {"no kind", {SAY(FILES_ENTRIES, &no_kind, 9)}},
	    {"kind unknown", {SAY(FILES_ENTRIES, &kind8, 9)}},
	    {"twice the same", {SAY(FILES_ENTRIES, &good, 9), SAY(FILES_ENTRIES, &good, 9), SAY(FILES_DONE, &done2, sizeof(done2))}},
	    {"flood", {{.type = FILES_ENTRIES, .payload = &good, .length = 9, .repeat = UINT32_MAX}}},
	    {"fewer than said", {SAY(FILES_ENTRIES, &good, 9), SAY(FILES_DONE, &done2, sizeof(done2))}},
	    {"more than said", {SAY(FILES_ENTRIES, &good, 9), SAY(FILES_DONE, &done0, sizeof(done0))}},
	    {"short end", {SAY(FILES_DONE, &done0, sizeof(done0) - 1)}},
	    {"long end", {SAY(FILES_DONE, &long_done, sizeof(long_done))}},
	    {"code unknown", {SAY(FILES_DONE, &bad_code, sizeof(bad_code))}},
	    {"malformed", {SAY(FILES_DONE, &malformed, sizeof(malformed))}},
	};

	(void)state;
	memset(overlong.name, 'a', 256);
	for (size_t i = 0; i < COUNT_OF(lies); i++) {
		size_t n = 1;

		while (n < 3 && lies[i].script[n].type != 0)
			n++;
		lie_once(lies[i].name, 0, lies[i].script, n, "hello");
	}
}

static void
wrong_states_end_the_directory(void **state)
{
	static const struct {
		struct files_node n;
		char target[4100];
	} file = {{.kind = FILES_KIND_FILE}, ""}, with_target = {{.kind = FILES_KIND_FILE, .target_length = 1}, "x"},
	  no_target = {{.kind = FILES_KIND_LINK}, ""}, nul = {{.kind = FILES_KIND_LINK, .target_length = 3}, "a\0b"},
	  kind0 = {{.kind = 0}, ""}, kind8 = {{.kind = 8}, ""}, past = {{.kind = FILES_KIND_LINK, .target_length = 9}, "x"};
	static struct {
		struct files_node n;
		char target[4096];
	} overlong = {{.kind = FILES_KIND_LINK, .target_length = 4096}, ""};
	const struct {
		const char *name;
		const char *path;
		struct peer_packet script[3];
	} lies[] = {
	    {"only an end", "hello", {SAY(FILES_DONE, &done0, sizeof(done0))}},
	    {"two", "hello", {SAY(FILES_NODE, &file, 64), SAY(FILES_NODE, &file, 64), SAY(FILES_DONE, &done0, sizeof(done0))}},
	    {"short", "hello", {SAY(FILES_NODE, &file, 63)}},
	    {"long", "hello", {SAY(FILES_NODE, &file, 65)}},
	    {"target of a file", "hello", {SAY(FILES_NODE, &with_target, 65)}},
	    {"link without target", "link", {SAY(FILES_NODE, &no_target, 64)}},
	    {"NUL in a target", "link", {SAY(FILES_NODE, &nul, 67)}},
	    {"target past the end", "link", {SAY(FILES_NODE, &past, 65)}},
	    {"target of 4096 bytes", "link", {SAY(FILES_NODE, &overlong, sizeof(overlong))}},
	    {"no kind", "hello", {SAY(FILES_NODE, &kind0, 64)}},
	    {"kind unknown", "hello", {SAY(FILES_NODE, &kind8, 64)}},
	    {"data", "hello", {SAY(FILES_DATA, "x", 1)}},
	};

	(void)state;
	memset(overlong.target, 'x', sizeof(overlong.target));
	for (size_t i = 0; i < COUNT_OF(lies); i++) {
		size_t n = 1;

		while (n < 3 && lies[i].script[n].type != 0)
			n++;
		lie_once(lies[i].name, 1, lies[i].script, n, lies[i].path);
	}
}

static void
wrong_bytes_end_the_directory(void **state)
{
	static const struct files_done done11 = OK_DONE(11), done12 = OK_DONE(12);
	const struct {
		const char *name;
		struct peer_packet script[3];
	} lies[] = {
	    {"nothing", {SAY(FILES_DONE, &done0, sizeof(done0))}},
	    {"said but not sent", {SAY(FILES_DONE, &done11, sizeof(done11))}},
	    {"too few", {SAY(FILES_DATA, "hello worl", 10), SAY(FILES_DONE, &done11, sizeof(done11))}},
	    {"too many", {SAY(FILES_DATA, "hello world!", 12), SAY(FILES_DONE, &done12, sizeof(done12))}},
	    {"count too small", {SAY(FILES_DATA, "hello world", 11), SAY(FILES_DONE, &done1, sizeof(done1))}},
	    {"empty packet", {SAY(FILES_DATA, "", 0), SAY(FILES_DONE, &done0, sizeof(done0))}},
	    {"flood", {{.type = FILES_DATA, .payload = "hello", .length = 5, .repeat = UINT32_MAX}}},
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(lies); i++) {
		size_t n = 1;

		while (n < 3 && lies[i].script[n].type != 0)
			n++;
		lie_once(lies[i].name, 2, lies[i].script, n, "hello");
	}
}

static void
a_server_that_goes_ends_the_directory_and_no_more(void **state)
{
	struct wasi_node *node;
	uint8_t data[100];
	size_t n;

	(void)state;
	begin();
	node = opened("large", READ);
	peer.script_at = peer.total; /* says nothing, and closes */
	assert_int_equal(wasi_file_read(&node->file, 2000000, data, 100, &n), WASI_EIO);
	expect_trouble(PROTO_TROUBLE_lost, "/w");
	assert_int_equal(open_and_close("new", WRITE | WASI_OPEN_CREATE), 0); /* what was seen is still there */
	assert_int_equal(find("large", &node), 0);
	wasi_node_close(&fs.tree, node);
	assert_int_equal(unlink_at("hello"), 0);
	assert_int_equal(changes(100), 0);
	assert_string_equal(told, "D /w/hello 0 changed\nC /w/new 0 = \n");
	finish();
}

static void
on_alarm(int sig)
{
	(void)sig;
	stop = 1;
}

static void
waiting_ends_when_the_run_does(void **state)
{
	const struct sigaction alarm_action = {.sa_handler = on_alarm};
	const struct itimerval soon = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
	int flags;

	(void)state;
	assert_int_equal(sigaction(SIGALRM, &alarm_action, NULL), 0);
	for (int i = 0; i < 2; i++) { /* the client can let the socket not wait, since it is its own too */
		begin();
		flags = fcntl(peer.socket, F_GETFL);
		assert_int_equal(fcntl(peer.socket, F_SETFL, i == 0 ? flags : flags | O_NONBLOCK), 0);
		peer.silent = true;
		assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
		assert_int_equal(open_and_close("hello", READ), WASI_EIO);
		assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
		assert_int_equal(fs.mounts[0].lower->trouble_count, 0); /* it is the run that ended */
		finish();
	}
	begin();
	stop = 1;
	assert_int_equal(open_and_close("hello", READ), WASI_EIO);
	assert_int_equal(fs.mounts[0].lower->trouble_count, 0); /* it is the run that ended */
	finish();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_asked_before_it_is_needed),
	    cmocka_unit_test(states_are_those_of_the_host),
	    cmocka_unit_test(links_are_followed_inside_only),
	    cmocka_unit_test(what_cannot_be_opened_says_why),
	    cmocka_unit_test(what_goes_away_before_it_was_seen_is_not_there),
	    cmocka_unit_test(a_hundred_thousand_names_are_found),
	    cmocka_unit_test(names_past_the_room_for_them_leave_nothing),
	    cmocka_unit_test(a_large_file_reads_the_same_in_pieces_of_any_size),
	    cmocka_unit_test(reading_on_asks_for_more_and_jumping_about_does_not),
	    cmocka_unit_test(writing_copies_what_is_around_it),
	    cmocka_unit_test(a_file_that_changes_is_never_a_mixture),
	    cmocka_unit_test(troubles_have_a_number_and_the_others_are_counted),
	    cmocka_unit_test(directories_of_the_host_stay_where_they_are),
	    cmocka_unit_test(a_file_is_read_from_where_it_was_wherever_it_is),
	    cmocka_unit_test(looking_and_reading_change_nothing),
	    cmocka_unit_test(changes_say_what_files_held_before),
	    cmocka_unit_test(what_a_link_in_its_place_leads_to_is_not_what_was_there),
	    cmocka_unit_test(no_mount_lies_behind_a_link_of_the_host),
	    cmocka_unit_test(a_base_that_others_changed_is_said_to_be),
	    cmocka_unit_test(a_directory_made_anew_holds_what_was_there_as_modified),
	    cmocka_unit_test(content_that_cannot_be_had_is_left_out),
	    cmocka_unit_test(names_that_are_no_text_are_not_told_of),
	    cmocka_unit_test(wrong_lists_end_the_directory),
	    cmocka_unit_test(wrong_states_end_the_directory),
	    cmocka_unit_test(wrong_bytes_end_the_directory),
	    cmocka_unit_test(a_server_that_goes_ends_the_directory_and_no_more),
	    cmocka_unit_test(waiting_ends_when_the_run_does),
	};

	signal(SIGPIPE, SIG_IGN); /* as in a worker */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
