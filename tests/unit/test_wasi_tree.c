/* Unit tests of runtime/wasi: what files hold, and directories, at their bounds and against simple models. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/wasi/file.h"
#include "runtime/wasi/tree.h"

#define B WASI_FILE_BLOCK

static struct wasi_room room;
static struct wasi_file file;

static void
begin(uint64_t bytes, const uint8_t *lower, uint64_t size)
{
	room = (struct wasi_room){.max = bytes};
	wasi_file_begin(&file, lower, size);
}

static void
finish(void)
{
	wasi_file_end(&file, &room);
	assert_int_equal(room.used, 0);
}

/* Reads what is in memory, which never fails; returns how many bytes. */
static size_t
read_file(uint64_t at, uint8_t *data, size_t length)
{
	size_t done = 99;

	assert_int_equal(wasi_file_read(&file, at, data, length, &done), WASI_ESUCCESS);
	return done;
}

/* Writes `length` bytes of value `v`; returns how many were, or an errno as a negative number. */
static int64_t
fill(uint64_t at, size_t length, uint8_t v)
{
	static uint8_t data[16 * B];
	enum wasi_errno error;
	size_t done = 99;

	assert_true(length <= sizeof(data));
	memset(data, v, length);
	error = wasi_file_write(&file, &room, at, data, length, &done);
	return error == WASI_ESUCCESS ? (int64_t)done : -(int64_t)error;
}

/* That `length` bytes from `at` on are `v`, and that reading stops there when `end`. */
static void
expect(uint64_t at, size_t length, uint8_t v, bool end)
{
	static uint8_t data[16 * B + 1];
	size_t n = read_file(at, data, end ? sizeof(data) : length);

	assert_int_equal(n, length);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(data[i], v);
}

/* --- contents -------------------------------------------------------------------------------------------------- */

static void
an_empty_file_reads_as_nothing(void **state)
{
	uint8_t byte = 7;

	(void)state;
	begin(0, NULL, 0);
	assert_int_equal(read_file(0, &byte, 1), 0);
	assert_int_equal(read_file(UINT64_MAX, &byte, 1), 0);
	assert_int_equal(read_file(0, &byte, 0), 0);
	assert_int_equal(byte, 7);
	assert_int_equal(fill(0, 0, 1), 0);
	assert_int_equal(fill(UINT64_MAX, 0, 1), 0);
	assert_int_equal(file.size, 0);
	finish();
}

static void
bytes_are_where_they_were_written(void **state)
{
	(void)state;
	begin(1 << 20, NULL, 0);
	assert_int_equal(fill(0, 1, 1), 1);
	expect(0, 1, 1, true);
	assert_int_equal(fill(B - 1, 2, 2), 2); /* across the border of two blocks */
	expect(0, 1, 1, false);
	expect(1, B - 2, 0, false);
	expect(B - 1, 2, 2, true);
	assert_int_equal(file.size, B + 1);
	assert_int_equal(fill(0, 3 * B, 3), 3 * B);
	expect(0, 3 * B, 3, true);
	expect(3 * B - 1, 1, 3, true);
	finish();
}

static void
a_sparse_file_costs_what_it_holds(void **state)
{
	(void)state;
	begin(64 * B, NULL, 0);
	assert_int_equal(fill(WASI_FILE_SIZE_MAX - 1, 1, 9), 1);
	assert_int_equal(file.size, WASI_FILE_SIZE_MAX);
	assert_true(room.used <= 5 * B);
	expect(0, B, 0, false);
	expect(WASI_FILE_SIZE_MAX / 2, 16 * B, 0, false);
	expect(WASI_FILE_SIZE_MAX - 1, 1, 9, true);
	assert_int_equal(fill(0, 1, 8), 1);
	assert_int_equal(fill(B * 512, 1, 7), 1);
	expect(0, 1, 8, false);
	expect(B * 512, 1, 7, false);
	expect(B * 512 + 1, B, 0, false);
	assert_int_equal(wasi_file_resize(&file, &room, 1), 0);
	assert_true(room.used <= 5 * B);
	expect(0, 1, 8, true);
	assert_int_equal(wasi_file_resize(&file, &room, 0), 0);
	assert_int_equal(room.used, 0);
	finish();
}

static void
a_file_ends_at_its_largest_size(void **state)
{
	(void)state;
	begin(64 * B, NULL, 0);
	assert_int_equal(fill(WASI_FILE_SIZE_MAX, 1, 1), -WASI_EFBIG);
	assert_int_equal(fill(UINT64_MAX, 2, 1), -WASI_EFBIG);
	assert_int_equal(fill(WASI_FILE_SIZE_MAX - 3, 8, 1), 3); /* what fits */
	assert_int_equal(wasi_file_resize(&file, &room, WASI_FILE_SIZE_MAX + 1), WASI_EFBIG);
	assert_int_equal(wasi_file_resize(&file, &room, UINT64_MAX), WASI_EFBIG);
	assert_int_equal(wasi_file_allocate(&file, &room, 0, WASI_FILE_SIZE_MAX + 1), WASI_EFBIG);
	assert_int_equal(file.size, WASI_FILE_SIZE_MAX);
	assert_int_equal(wasi_file_resize(&file, &room, WASI_FILE_SIZE_MAX), 0);
	finish();
}

static void
what_fits_is_written_when_room_ends(void **state)
{
	(void)state;
	begin(4 * B, NULL, 0); /* three blocks and the node above them */
	assert_int_equal(fill(0, 8 * B, 1), 3 * B);
	assert_int_equal(file.size, 3 * B);
	assert_int_equal(fill(3 * B, 1, 2), -WASI_ENOSPC);
	assert_int_equal(fill(3 * B - 1, 2, 2), 1);
	assert_int_equal(file.size, 3 * B);
	assert_int_equal(room.peak, 4 * B);
	assert_int_equal(wasi_file_resize(&file, &room, B), 0);
	assert_int_equal(fill(2 * B, 2 * B, 3), 2 * B);
	expect(B, B, 0, false);
	finish();
}

static void
what_is_cut_off_and_extended_again_is_zero(void **state)
{
	static uint8_t lower[3 * B];

	(void)state;
	memset(lower, 5, sizeof(lower));
	for (int with_lower = 0; with_lower < 2; with_lower++) {
		begin(1 << 20, with_lower ? lower : NULL, with_lower ? sizeof(lower) : 0);
		if (!with_lower)
			assert_int_equal(fill(0, 3 * B, 5), 3 * B);
		assert_int_equal(wasi_file_resize(&file, &room, B + 10), 0);
		expect(0, B + 10, 5, true);
		assert_int_equal(wasi_file_resize(&file, &room, 3 * B), 0);
		expect(0, B + 10, 5, false);
		expect(B + 10, 2 * B - 10, 0, true);
		finish();
	}
}

static void
lower_bytes_are_copied_when_written_to_and_never_changed(void **state)
{
	static uint8_t lower[2 * B + 100];

	(void)state;
	memset(lower, 5, sizeof(lower));
	begin(1 << 20, lower, sizeof(lower));
	expect(0, sizeof(lower), 5, true);
	assert_int_equal(room.used, 0);
	assert_int_equal(fill(B + 3, 1, 6), 1);
	expect(0, B + 3, 5, false);
	expect(B + 3, 1, 6, false);
	expect(B + 4, B + 96, 5, true);
	assert_int_equal(fill(2 * B + 200, 1, 7), 1); /* past the lower end: what lies between is zero */
	expect(2 * B, 100, 5, false);
	expect(2 * B + 100, 100, 0, false);
	expect(2 * B + 200, 1, 7, true);
	for (size_t i = 0; i < sizeof(lower); i++)
		assert_int_equal(lower[i], 5);
	finish();
}

static void
allocated_blocks_can_be_written_when_there_is_no_room(void **state)
{
	(void)state;
	begin(4 * B, NULL, 0);
	assert_int_equal(wasi_file_allocate(&file, &room, B - 1, 2 * B + 1), 0);
	assert_int_equal(file.size, 0);
	assert_int_equal(room.used, 4 * B);
	assert_int_equal(fill(0, 3 * B, 1), 3 * B);
	assert_int_equal(fill(3 * B, 1, 1), -WASI_ENOSPC);
	assert_int_equal(wasi_file_allocate(&file, &room, 0, 4 * B), WASI_ENOSPC);
	wasi_file_trim(&file, &room);
	expect(0, 3 * B, 1, true);
	finish();
}

static uint64_t dice;

static uint64_t
roll(uint64_t n)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (dice >> 11) % n;
}

/* Against an array: thousands of reads, writes and cuts. */
static void
a_file_is_what_an_array_would_be(void **state)
{
	enum { SIZE = 40 * B };
	static uint8_t model[SIZE], lower[SIZE / 2], data[8 * B], got[8 * B];
	size_t size = sizeof(lower), done;

	(void)state;
	dice = 88172645463325252u;
	for (size_t i = 0; i < sizeof(lower); i++)
		lower[i] = (uint8_t)roll(256);
	memcpy(model, lower, sizeof(lower));
	begin(1 << 20, lower, sizeof(lower));
	for (int i = 0; i < 20000; i++) {
		size_t at = roll(SIZE), n = roll(roll(4) == 0 ? 8 * B : 50);

		if (n > SIZE - at)
			n = SIZE - at;
		switch (roll(8)) {
		case 0:
			assert_int_equal(wasi_file_resize(&file, &room, at), 0);
			if (at < size)
				memset(model + at, 0, SIZE - at);
			size = at;
			break;
		case 1:
		case 2:
		case 3:
			memset(data, (int)roll(256), n);
			assert_int_equal(wasi_file_write(&file, &room, at, data, n, &done), 0);
			assert_int_equal(done, n);
			memcpy(model + at, data, n);
			if (n > 0 && at + n > size)
				size = at + n;
			break;
		default:
			done = read_file(at, got, n);
			assert_int_equal(done, at >= size ? 0 : n < size - at ? n : size - at);
			assert_memory_equal(got, model + at, done);
			break;
		}
		assert_int_equal(file.size, size);
	}
	finish();
}

/* --- directories ----------------------------------------------------------------------------------------------- */

static const struct wasi_clock no_clock = {.kind = PROTO_CLOCK_NONE};
static struct wasi_tree tree;
static struct wasi_node *dir;

static int
set_up(void **state)
{
	(void)state;
	wasi_tree_begin(&tree, UINT64_C(1) << 40, 1 << 20, &no_clock);
	dir = wasi_node_new(&tree, WASI_NODE_DIR, 0);
	assert_non_null(dir);
	dir->names = 1;
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	wasi_dir_clear(&tree, dir);
	dir->names = 0;
	wasi_node_close(&tree, dir);
	assert_int_equal(tree.nodes, 0);
	assert_int_equal(tree.room.used, 0);
	return 0;
}

/* Names like "f17". */
static size_t
name_of(unsigned i, char name[16])
{
	return (size_t)snprintf(name, 16, "f%u", i);
}

static void
add(struct wasi_node *to, unsigned i, enum wasi_node_kind kind)
{
	struct wasi_node *n = wasi_node_new(&tree, kind, 0);
	char name[16];

	assert_non_null(n);
	assert_int_equal(wasi_dir_add(&tree, to, name, name_of(i, name), n), 0);
	wasi_node_close(&tree, n);
}

static struct wasi_entry *
find(unsigned i)
{
	char name[16];

	return wasi_dir_find(dir, name, name_of(i, name));
}

static void
large_directories_find_and_list_all(void **state)
{
	enum { COUNT = 100000 };
	const struct wasi_entry *e;
	uint64_t cookie = 0;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < COUNT; i++)
		add(dir, i, WASI_NODE_FILE);
	for (unsigned i = 0; i < COUNT; i++)
		assert_non_null(find(i));
	assert_null(find(COUNT));
	for (; (e = wasi_dir_next(dir, cookie)) != NULL; n++) {
		assert_true(e->cookie > cookie && e->cookie >= WASI_COOKIE_FIRST);
		cookie = e->cookie;
	}
	assert_int_equal(n, COUNT);
	for (unsigned i = 0; i < COUNT; i += 2)
		wasi_dir_remove(&tree, dir, find(i));
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(find(i) != NULL, i % 2);
	assert_int_equal(dir->dir.live, COUNT / 2);
}

static void
memory_of_removed_entries_is_given_back(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10000; i++)
		add(dir, i, WASI_NODE_FILE);
	for (unsigned i = 0; i < 9990; i++)
		wasi_dir_remove(&tree, dir, find(i));
	assert_true(dir->dir.slot_room <= 64 && dir->dir.bucket_count <= 64);
	for (unsigned i = 0; i < 100000; i++) { /* one comes, one goes: no growth */
		add(dir, i % 7, WASI_NODE_FILE);
		wasi_dir_remove(&tree, dir, find(i % 7));
	}
	assert_true(dir->dir.slot_room <= 64);
	for (unsigned i = 9990; i < 10000; i++)
		assert_non_null(find(i));
}

/* While entries come and go, those that stay are listed exactly once. */
static void
what_stays_is_listed_exactly_once(void **state)
{
	enum { STAY = 200, ALL = 1000 };
	const struct wasi_entry *e;
	char name[16];

	(void)state;
	dice = 4101842887655102017u;
	for (int round = 0; round < 30; round++) {
		unsigned seen[ALL] = {0};
		uint64_t cookie = 0;
		int changes = 3 * ALL; /* an end to what is added behind */

		for (unsigned i = 0; i < ALL; i++)
			if (find(i) == NULL && (i < STAY || roll(2) == 0))
				add(dir, i, WASI_NODE_FILE);
		while ((e = wasi_dir_next(dir, cookie)) != NULL) {
			unsigned i;

			snprintf(name, sizeof(name), "%.*s", (int)e->length, e->name);
			i = (unsigned)strtoul(name + 1, NULL, 10);
			seen[i]++;
			cookie = e->cookie;
			for (int k = 0; k < 3 && changes > 0; k++, changes--) {
				i = STAY + (unsigned)roll(ALL - STAY);
				if (find(i) != NULL)
					wasi_dir_remove(&tree, dir, find(i));
				else
					add(dir, i, WASI_NODE_FILE);
			}
		}
		for (unsigned i = 0; i < STAY; i++)
			assert_int_equal(seen[i], 1);
	}
}

static void
links_are_counted(void **state)
{
	struct wasi_node *n = wasi_node_new(&tree, WASI_NODE_FILE, 0);

	(void)state;
	assert_int_equal(wasi_node_links(n), 0);
	assert_int_equal(wasi_dir_add(&tree, dir, "a", 1, n), 0);
	assert_int_equal(wasi_dir_add(&tree, dir, "b", 1, n), 0);
	assert_int_equal(wasi_node_links(n), 2);
	wasi_dir_remove(&tree, dir, wasi_dir_find(dir, "a", 1));
	assert_int_equal(wasi_node_links(n), 1);
	n->names = UINT32_MAX;
	assert_int_equal(wasi_dir_add(&tree, dir, "c", 1, n), WASI_EMLINK);
	n->names = 1;
	wasi_node_close(&tree, n);
	assert_int_equal(wasi_node_links(dir), 2);
	add(dir, 1, WASI_NODE_DIR);
	add(dir, 2, WASI_NODE_DIR);
	assert_int_equal(wasi_node_links(dir), 4);
	wasi_dir_remove(&tree, dir, find(1));
	assert_int_equal(wasi_node_links(dir), 3);
}

/* The process's stack does not follow. */
static void
directories_may_be_very_deep(void **state)
{
	struct wasi_node *at = dir;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		add(at, 1, WASI_NODE_DIR);
		at = wasi_dir_next(at, 0)->node;
	}
	add(at, 2, WASI_NODE_FILE);
}

/* Whoever frees a file of a gigabyte must not be late for the end of the run. */
static void
freeing_ends_when_the_run_does_and_is_made_up_for_later(void **state)
{
	static volatile sig_atomic_t stop;
	struct wasi_node *n = wasi_node_new(&tree, WASI_NODE_FILE, 0);
	uint64_t before = tree.room.used;
	uint8_t byte = 1;

	(void)state;
	tree.room.stop = &stop;
	stop = 0;
	for (uint64_t i = 0; i < 3000; i++) {
		size_t done;

		assert_int_equal(wasi_file_write(&n->file, &tree.room, i * B, &byte, 1, &done), 0);
	}
	assert_int_equal(wasi_file_resize(&n->file, &tree.room, 2000 * B), 0);
	assert_true(tree.room.used - before < 2010 * B);
	stop = 1;
	assert_int_equal(wasi_file_resize(&n->file, &tree.room, 0), 0);
	assert_int_equal(n->file.size, 0);
	assert_true(tree.room.used - before > 1900 * B);
	wasi_node_close(&tree, n);
	assert_true(tree.room.used - before > 1900 * B);
	assert_int_equal(tree.nodes, 2); /* it and the directory */
	wasi_tree_end(&tree);
	assert_int_equal(tree.room.used, before);
	assert_int_equal(tree.nodes, 1);
}

#define DIR_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_empty_file_reads_as_nothing),
	    cmocka_unit_test(bytes_are_where_they_were_written),
	    cmocka_unit_test(a_sparse_file_costs_what_it_holds),
	    cmocka_unit_test(a_file_ends_at_its_largest_size),
	    cmocka_unit_test(what_fits_is_written_when_room_ends),
	    cmocka_unit_test(what_is_cut_off_and_extended_again_is_zero),
	    cmocka_unit_test(lower_bytes_are_copied_when_written_to_and_never_changed),
	    cmocka_unit_test(allocated_blocks_can_be_written_when_there_is_no_room),
	    cmocka_unit_test(a_file_is_what_an_array_would_be),
	    DIR_TEST(large_directories_find_and_list_all),
	    DIR_TEST(memory_of_removed_entries_is_given_back),
	    DIR_TEST(what_stays_is_listed_exactly_once),
	    DIR_TEST(links_are_counted),
	    DIR_TEST(directories_may_be_very_deep),
	    DIR_TEST(freeing_ends_when_the_run_does_and_is_made_up_for_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
