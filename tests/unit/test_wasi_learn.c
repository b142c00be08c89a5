/* Unit tests of runtime/wasi/learn: what is noted stays bounded and never says less than was used. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/imsg.h"
#include "runtime/wasi/learn.h"

static struct wasi_learn *learn;
static struct wasi_fs fs;
static struct wasi_noted noted;
static int sockets[2];

/* What was sent. */
static struct told {
	struct proto_learned learned;
	char target[PROTO_TARGET_MAX + 1];
} told[PROTO_LEARNED_MAX];
static size_t told_count;

static int
set_up(void **state)
{
	(void)state;
	learn = wasi_learn_new();
	assert_non_null(learn);
	fs = (struct wasi_fs){.mounts = {{.path = "/w", .length = 2}, {.path = "/", .length = 1}}, .mount_count = 2, .noted = &noted};
	noted.count = 0;
	noted.together = false;
	told_count = 0;
	return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets);
}

static int
tear_down(void **state)
{
	(void)state;
	wasi_learn_free(learn);
	close(sockets[0]);
	close(sockets[1]);
	return 0;
}

static void
need(uint32_t mount, uint32_t rights, const char *path)
{
	struct wasi_need *n = &noted.list[noted.count++];

	n->rights = rights;
	n->mount = mount;
	n->path.length = strlen(path);
	n->path.start = sizeof(n->path.text) - n->path.length;
	memcpy(n->path.text + n->path.start, path, n->path.length);
}

static void
use(uint32_t rights, const char *path)
{
	need(0, rights, path);
	wasi_learn_noted(learn, WASI_CALL_path_open, &fs);
	assert_int_equal(noted.count, 0);
}

static void
move(const char *from, const char *to)
{
	need(0, 0, from);
	need(0, 0, to);
	noted.together = true;
	wasi_learn_noted(learn, WASI_CALL_path_rename, &fs);
}

static void
take_one(void)
{
	struct imsg m;
	struct told *t = &told[told_count++];

	assert_int_equal(imsg_recv(sockets[1], &m, NULL), 0);
	assert_int_equal(m.hdr.type, PROTO_LEARNED);
	assert_in_range(m.hdr.length, sizeof(t->learned), sizeof(t->learned) + PROTO_TARGET_MAX);
	memcpy(&t->learned, m.payload, sizeof(t->learned));
	memcpy(t->target, m.payload + sizeof(t->learned), m.hdr.length - sizeof(t->learned));
	t->target[m.hdr.length - sizeof(t->learned)] = '\0';
}

/* Has all of it sent, and read as it comes, by a child that sends. */
static void
tell(void)
{
	const struct wasi_port port = {.socket = sockets[0], .run = 1};
	pid_t pid = fork();
	char byte;

	if (pid == 0)
		_exit(wasi_learn_send(learn, &port) != WASI_STREAM_OK || shutdown(sockets[0], SHUT_WR) != 0);
	while (recv(sockets[1], &byte, 1, MSG_PEEK) > 0)
		take_one();
}

static void
assert_told(size_t i, uint32_t rights, enum proto_extent extent, uint64_t count, const char *target)
{
	assert_in_range(i + 1, 1, told_count);
	assert_string_equal(told[i].target, target);
	assert_int_equal(told[i].learned.rights, rights);
	assert_int_equal(told[i].learned.extent, extent);
	assert_int_equal(told[i].learned.count, count);
}

static void
uses_are_counted_by_call_rights_and_target(void **state)
{
	(void)state;
	wasi_learn_call(learn, WASI_CALL_clock_time_get, WASI_CAP_CLOCK);
	wasi_learn_call(learn, WASI_CALL_clock_time_get, WASI_CAP_CLOCK);
	wasi_learn_call(learn, WASI_CALL_random_get, WASI_CAP_RANDOM);
	wasi_learn_call(learn, WASI_CALL_fd_read, WASI_CAP_NONE);
	use(WASI_FS_READ, "/w/f");
	use(WASI_FS_READ, "/w/f");
	use(WASI_FS_WRITE, "/w/f");
	tell();
	assert_int_equal(told_count, 4);
	assert_int_equal(told[0].learned.capability, WASI_CAP_CLOCK);
	assert_int_equal(told[0].learned.call, WASI_CALL_clock_time_get + 1);
	assert_int_equal(told[0].learned.count, 2);
	assert_int_equal(told[1].learned.capability, WASI_CAP_RANDOM);
	assert_told(2, WASI_FS_READ, PROTO_EXTENT_PATH, 2, "/w/f");
	assert_told(3, WASI_FS_WRITE, PROTO_EXTENT_PATH, 1, "/w/f");
}

static void
names_past_a_number_become_their_directory(void **state)
{
	char path[32];

	(void)state;
	for (int i = 0; i < WASI_LEARN_SIBLINGS; i++) {
		snprintf(path, sizeof(path), "/w/d/%d", i);
		use(WASI_FS_READ, path);
	}
	use(WASI_FS_WRITE, "/w/d/w");
	use(WASI_FS_READ, "/w/d2");
	use(WASI_FS_READ, "/w/d/e/f");
	use(WASI_FS_READ, "/w/d");
	for (int i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "/w/d/more%d", i);
		use(WASI_FS_READ, path);
	}
	tell();
	assert_int_equal(told_count, 5);
	for (size_t i = 0; i < told_count; i++)
		if (told[i].learned.extent == PROTO_EXTENT_BELOW)
			assert_told(i, WASI_FS_READ, PROTO_EXTENT_BELOW, WASI_LEARN_SIBLINGS + 100, "/w/d");
		else
			assert_int_equal(told[i].learned.count, 1);
}

static void
moves_name_the_directory_above_both(void **state)
{
	static const struct {
		const char *from, *to, *both;
	} moves[] = {{"/w/a", "/w/b", "/w"}, {"/w/d/a", "/w/d/ab", "/w/d"}, {"/w/d/a", "/w/d2/a", "/w"},
	    {"/w/d/e/a", "/w/d/b", "/w/d"}, {"/w/d/e/a", "/w/d/e2/b", "/w/d"}};

	(void)state;
	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
		move(moves[i].from, moves[i].to);
	tell();
	assert_int_equal(told_count, 2);
	assert_told(0, 0, PROTO_EXTENT_TOGETHER, 2, "/w");
	assert_told(1, 0, PROTO_EXTENT_TOGETHER, 3, "/w/d");
}

static void
more_than_can_be_kept_is_told_of_the_mount(void **state)
{
	uint64_t total = 0;
	uint32_t mount = 0;
	char path[64];

	(void)state;
	for (int i = 0; i < 3000; i++) {
		snprintf(path, sizeof(path), "/w/%d/f", i);
		use(i == 2999 ? WASI_FS_DELETE : WASI_FS_READ, path);
	}
	move("/w/7/a", "/w/7/b");
	tell();
	assert_in_range(told_count, 2, 600);
	for (size_t i = 0; i < told_count; i++) {
		total += told[i].learned.count;
		if (strcmp(told[i].target, "/w") == 0) {
			mount |= told[i].learned.rights;
			assert_int_equal(told[i].learned.extent, PROTO_EXTENT_TOGETHER);
		}
	}
	assert_int_equal(total, 3001);
	assert_int_equal(mount, WASI_FS_READ | WASI_FS_DELETE);
}

static void
long_paths_take_only_so_much(void **state)
{
	static char path[WASI_PATH_MAX + 1];
	size_t bytes = 0;

	(void)state;
	for (int i = 0; i < 400; i++) {
		snprintf(path, sizeof(path), "/w/%03d/%.*s", i, 4000, "");
		memset(path + 7, 'n', 4000);
		path[4007] = '\0';
		use(WASI_FS_READ, path);
	}
	need(1, WASI_FS_READ, "");
	noted.list[0].path.start = 0; /* longer than any path */
	wasi_learn_noted(learn, WASI_CALL_path_open, &fs);
	tell();
	for (size_t i = 0; i < told_count; i++)
		bytes += strlen(told[i].target);
	assert_in_range(bytes, 1, PROTO_LEARNED_NAMES);
	assert_string_equal(told[told_count - 1].target, "/");
	assert_int_equal(told[told_count - 1].learned.extent, PROTO_EXTENT_BELOW);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(uses_are_counted_by_call_rights_and_target),
	    TEST(names_past_a_number_become_their_directory),
	    TEST(moves_name_the_directory_above_both),
	    TEST(more_than_can_be_kept_is_told_of_the_mount),
	    TEST(long_paths_take_only_so_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
