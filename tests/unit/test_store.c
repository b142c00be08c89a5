/* Unit tests of broker/store. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memfd.h"
#include "broker/store.h"
#include "broker/store_disk.h"

#define ENGINE "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define BIG    (INT64_C(1) << 40)

struct fixture {
	char path[64];
	int dir;
	struct store *store;
};

static void
open_shared(struct fixture *f, const char *engine, uint64_t size_max, uint64_t owner_max)
{
	struct err e = {0};

	store_close(f->store);
	f->store = NULL;
	if (store_open(f->dir, engine, size_max, owner_max, &f->store, &e) != 0)
		fail_msg("%s", e.msg);
}

static void
open_store(struct fixture *f, const char *engine, uint64_t size_max)
{
	open_shared(f, engine, size_max, size_max);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_true(sodium_init() >= 0);
	strcpy(f->path, "/tmp/brig-store-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->dir = open(f->path, O_RDONLY | O_DIRECTORY);
	assert_true(f->dir >= 0);
	open_store(f, ENGINE, BIG);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->store);
	close(f->dir);
	assert_int_equal(store_disk_remove(AT_FDCWD, f->path, NULL), 0);
	free(f);
	return 0;
}

static struct proto_store
module(uint32_t owner, const char *bytes)
{
	return (struct proto_store){.kind = PROTO_STORE_MODULE, .owner = owner, .digest = digest_of(bytes, strlen(bytes))};
}

static struct proto_store
artifact(const char *of, uint32_t engine)
{
	return (struct proto_store){.kind = PROTO_STORE_ARTIFACT, .engine = engine, .digest = digest_of(of, strlen(of))};
}

static int
put(struct fixture *f, const struct proto_store *what, const char *bytes, const char *signature)
{
	struct proto_store_done done;
	int fd = memfd_from("test", bytes, strlen(bytes), NULL);
	int rc = store_put(f->store, what, fd, signature, strlen(signature), &done, NULL);

	close(fd);
	return rc;
}

static int
put_module(struct fixture *f, uint32_t owner, const char *bytes, const char *signature)
{
	const struct proto_store what = module(owner, bytes);

	return put(f, &what, bytes, signature);
}

/* Gets something and compares it. Returns 0, or what store_get returned. */
static int
get(struct fixture *f, const struct proto_store *what, const char *bytes, const char *signature)
{
	struct proto_store_done done;
	char found[4096];
	void *text = NULL;
	size_t length = 0, size = 0;
	int fd = store_get(f->store, what, &text, &length, &done, NULL);

	if (fd < 0)
		return fd;
	assert_int_equal(memfd_check(fd, sizeof(found), &size, NULL), 0);
	assert_int_equal(size, strlen(bytes));
	assert_int_equal(done.size, size);
	assert_int_equal(pread(fd, found, sizeof(found), 0), (ssize_t)size);
	assert_memory_equal(found, bytes, size);
	assert_int_equal(length, strlen(signature));
	if (length > 0)
		assert_memory_equal(text, signature, length);
	free(text);
	close(fd);
	return 0;
}

static int
get_module(struct fixture *f, uint32_t owner, const char *bytes, const char *signature)
{
	const struct proto_store what = module(owner, bytes);

	return get(f, &what, bytes, signature);
}

static void
module_file(const char *bytes, char path[200])
{
	const struct digest d = digest_of(bytes, strlen(bytes));
	char text[DIGEST_TEXT_SIZE];

	snprintf(path, 200, "modules/%s/wasm", digest_text(&d, text) + 7);
}

static void
artifact_file(const char *of, uint32_t engine, char path[200])
{
	const struct digest d = digest_of(of, strlen(of));
	char text[DIGEST_TEXT_SIZE];

	snprintf(path, 200, "artifacts/" ENGINE "-%u/%s.cwasm", engine, digest_text(&d, text) + 7);
}

/* Flips one bit of a file. */
static void
damage(struct fixture *f, const char *path, off_t at)
{
	int fd = openat(f->dir, path, O_RDWR);
	char byte;

	assert_true(fd >= 0);
	if (at < 0)
		at += lseek(fd, 0, SEEK_END);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte = (char)(byte ^ 1);
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static int
count_entry(void *arg, const char *name, struct err *e)
{
	(void)name;
	(void)e;
	(*(int *)arg)++;
	return 0;
}

static int
entries(struct fixture *f, const char *path)
{
	int count = 0;

	assert_int_equal(store_disk_each(f->dir, path, count_entry, &count, NULL), 0);
	return count;
}

static void
gives_back_what_was_put_with_its_signature(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put_module(f, 1000, "module one", "untrusted comment: x\n"), 0);
	assert_int_equal(put_module(f, 1000, "module two", ""), 0);
	assert_int_equal(get_module(f, 1000, "module one", "untrusted comment: x\n"), 0);
	assert_int_equal(get_module(f, 1000, "module two", ""), 0);
	open_store(f, ENGINE, BIG);
	assert_int_equal(get_module(f, 1000, "module one", "untrusted comment: x\n"), 0);
	assert_int_equal(get_module(f, 1000, "module two", ""), 0);
}

static void
keeps_each_owners_own_signature(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put_module(f, 1000, "module", "signature of 1000"), 0);
	assert_int_equal(put_module(f, 1001, "module", "signature of 1001"), 0);
	assert_int_equal(put_module(f, 1000, "module", "newer one of 1000"), 0);
	assert_int_equal(get_module(f, 1000, "module", "newer one of 1000"), 0);
	assert_int_equal(get_module(f, 1001, "module", "signature of 1001"), 0);
}

static void
another_owner_sees_no_difference_to_a_module_that_is_not_there(void **state)
{
	struct fixture *f = *state;
	struct proto_store what = module(1001, "module");
	struct proto_store_done done;
	struct err there = {0}, missing = {0};
	void *text;
	size_t length;

	assert_int_equal(store_get(f->store, &what, &text, &length, &done, &missing), ERR_NOTFOUND);
	assert_int_equal(put_module(f, 1000, "module", ""), 0);
	assert_int_equal(store_get(f->store, &what, &text, &length, &done, &there), ERR_NOTFOUND);
	assert_string_equal(there.msg, missing.msg);
	assert_int_equal(store_remove(f->store, &what, &there), ERR_NOTFOUND);
	assert_string_equal(there.msg, missing.msg);
}

static void
refuses_a_digest_that_is_not_of_the_bytes(void **state)
{
	struct fixture *f = *state;
	const struct proto_store what = module(1000, "one thing");

	assert_int_equal(put(f, &what, "another thing", ""), ERR_INVAL);
	assert_int_equal(entries(f, "modules"), 0);
}

static void
refuses_bytes_that_can_still_change(void **state)
{
	struct fixture *f = *state;
	const struct proto_store what = module(1000, "x");
	struct proto_store_done done;
	int fd = memfd_new("test", NULL);

	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(store_put(f->store, &what, fd, NULL, 0, &done, NULL), ERR_INVAL);
	close(fd);
	fd = openat(f->dir, "mac.key", O_RDONLY);
	assert_int_equal(store_put(f->store, &what, fd, NULL, 0, &done, NULL), ERR_INVAL);
	close(fd);
}

static void
refuses_kinds_and_engines_that_do_not_exist(void **state)
{
	struct fixture *f = *state;
	struct proto_store what = artifact("m", 2);

	assert_int_equal(put(f, &what, "code", ""), ERR_INVAL);
	assert_int_equal(get(f, &what, "code", ""), ERR_INVAL);
	what.kind = 7;
	what.engine = 0;
	assert_int_equal(put(f, &what, "code", ""), ERR_INVAL);
}

static void
a_damaged_module_is_removed_and_can_be_put_anew(void **state)
{
	struct fixture *f = *state;
	char path[200];

	assert_int_equal(put_module(f, 1000, "module", ""), 0);
	module_file("module", path);
	damage(f, path, 2);
	assert_int_equal(get_module(f, 1000, "module", ""), ERR_CORRUPT);
	assert_int_equal(entries(f, "modules"), 0);
	assert_int_equal(store_used(f->store), 0);
	assert_int_equal(get_module(f, 1000, "module", ""), ERR_NOTFOUND);
	assert_int_equal(put_module(f, 1000, "module", ""), 0);
	assert_int_equal(get_module(f, 1000, "module", ""), 0);
}

static void
an_artifact_with_a_flipped_bit_anywhere_is_never_given(void **state)
{
	static const off_t places[] = {0, 5, -1, -32, -33};
	struct fixture *f = *state;
	const struct proto_store what = artifact("module", 1);
	char path[200];

	artifact_file("module", 1, path);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		assert_int_equal(put(f, &what, "machine code", ""), 0);
		assert_int_equal(get(f, &what, "machine code", ""), 0);
		damage(f, path, places[i]);
		assert_int_equal(get(f, &what, "machine code", ""), ERR_CORRUPT);
		assert_int_equal(get(f, &what, "machine code", ""), ERR_NOTFOUND);
	}
}

static void
an_artifact_is_not_taken_for_another_modules_or_engines(void **state)
{
	struct fixture *f = *state;
	const struct proto_store one = artifact("one", 0), two = artifact("two", 0), fuel = artifact("one", 1);
	char from[200], to[200];

	assert_int_equal(put(f, &one, "code of one", ""), 0);
	artifact_file("one", 0, from);
	artifact_file("two", 0, to);
	assert_int_equal(linkat(f->dir, from, f->dir, to, 0), 0);
	artifact_file("one", 1, to);
	assert_int_equal(linkat(f->dir, from, f->dir, to, 0), 0);
	open_store(f, ENGINE, BIG);
	assert_int_equal(get(f, &two, "code of one", ""), ERR_CORRUPT);
	assert_int_equal(get(f, &fuel, "code of one", ""), ERR_CORRUPT);
	assert_int_equal(get(f, &one, "code of one", ""), 0);
}

static void
artifacts_of_another_key_or_engine_are_worth_nothing(void **state)
{
	struct fixture *f = *state;
	const struct proto_store what = artifact("module", 0);

	assert_int_equal(put(f, &what, "code", ""), 0);
	open_store(f, "ffff", BIG);
	assert_int_equal(get(f, &what, "code", ""), ERR_NOTFOUND);
	open_store(f, ENGINE, BIG);
	assert_int_equal(get(f, &what, "code", ""), ERR_NOTFOUND);
	assert_int_equal(put(f, &what, "code", ""), 0);
	damage(f, "mac.key", 3);
	open_store(f, ENGINE, BIG);
	assert_int_equal(get(f, &what, "code", ""), ERR_CORRUPT);
}

static void
what_was_used_longest_ago_makes_room(void **state)
{
	struct fixture *f = *state;

	open_store(f, ENGINE, 6 * STORE_BLOCK); /* three modules: bytes and a signature each */
	assert_int_equal(put_module(f, 1, "a", ""), 0);
	assert_int_equal(put_module(f, 1, "b", ""), 0);
	assert_int_equal(put_module(f, 1, "c", ""), 0);
	assert_int_equal(get_module(f, 1, "a", ""), 0);
	assert_int_equal(put_module(f, 1, "d", ""), 0);
	assert_int_equal(get_module(f, 1, "b", ""), ERR_NOTFOUND);
	assert_int_equal(get_module(f, 1, "a", ""), 0);
	assert_int_equal(get_module(f, 1, "c", ""), 0);
	assert_int_equal(get_module(f, 1, "d", ""), 0);
	assert_int_equal(store_used(f->store), 6 * STORE_BLOCK);
	assert_int_equal(entries(f, "modules"), 3);
}

static void
the_order_of_use_survives_a_restart(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"a", "b", "c"};
	char path[200];

	for (int i = 0; i < 3; i++) {
		/* used at 2, 1, 3 seconds past 1970: b is the oldest */
		const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (const int[]){2, 1, 3}[i]}};

		assert_int_equal(put_module(f, 1, names[i], ""), 0);
		module_file(names[i], path);
		assert_int_equal(utimensat(f->dir, path, times, 0), 0);
	}
	open_store(f, ENGINE, 4 * STORE_BLOCK);
	assert_int_equal(get_module(f, 1, "b", ""), ERR_NOTFOUND);
	assert_int_equal(get_module(f, 1, "a", ""), 0);
	open_store(f, ENGINE, 2 * STORE_BLOCK);
	assert_int_equal(get_module(f, 1, "c", ""), ERR_NOTFOUND);
	assert_int_equal(get_module(f, 1, "a", ""), 0);
}

static void
refuses_what_is_larger_than_the_store_and_keeps_the_rest(void **state)
{
	struct fixture *f = *state;
	char large[3 * STORE_BLOCK];

	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	open_store(f, ENGINE, 3 * STORE_BLOCK);
	assert_int_equal(put_module(f, 1, "small", ""), 0);
	assert_int_equal(put_module(f, 1, large, ""), ERR_LIMIT);
	assert_int_equal(get_module(f, 1, "small", ""), 0);
	large[2 * STORE_BLOCK] = '\0';
	assert_int_equal(put_module(f, 1, large, ""), 0);
	assert_int_equal(get_module(f, 1, "small", ""), ERR_NOTFOUND);
}

static void
an_owner_makes_room_for_itself_only(void **state)
{
	struct fixture *f = *state;
	static char large[5 * STORE_BLOCK];

	memset(large, 'x', sizeof(large) - 1);
	open_shared(f, ENGINE, BIG, 6 * STORE_BLOCK); /* three small modules with their signatures */
	assert_int_equal(put_module(f, 1, "of 1", ""), 0);
	assert_int_equal(put_module(f, 2, "of both", ""), 0);
	assert_int_equal(put_module(f, 1, "of both", ""), 0);
	assert_int_equal(put_module(f, 1, "third", ""), 0);
	assert_int_equal(put_module(f, 1, "fourth", ""), 0);
	assert_int_equal(get_module(f, 1, "of 1", ""), ERR_NOTFOUND);
	assert_int_equal(get_module(f, 1, "fourth", ""), 0);
	assert_int_equal(put_module(f, 1, "fifth", ""), 0);
	assert_int_equal(get_module(f, 1, "of both", ""), ERR_NOTFOUND);
	assert_int_equal(get_module(f, 2, "of both", ""), 0); /* the other owner's reference stays */
	assert_int_equal(put_module(f, 1, large, ""), 0);
	assert_int_equal(get_module(f, 1, "fifth", ""), ERR_NOTFOUND);
	assert_int_equal(get_module(f, 2, "of both", ""), 0);
	open_shared(f, ENGINE, BIG, 5 * STORE_BLOCK);
	assert_int_equal(put_module(f, 1, large, ""), ERR_LIMIT);
}

static void
artifacts_do_not_push_modules_out(void **state)
{
	struct fixture *f = *state;
	char name[16];

	open_store(f, ENGINE, 8 * STORE_BLOCK);
	assert_int_equal(put_module(f, 1, "module", ""), 0);
	for (int i = 0; i < 20; i++) {
		struct proto_store code;

		snprintf(name, sizeof(name), "code %d", i);
		code = artifact(name, 0);
		assert_int_equal(put(f, &code, "code", ""), 0);
		assert_int_equal(get(f, &code, "code", ""), 0);
	}
	assert_int_equal(get_module(f, 1, "module", ""), 0);
}

static void
a_second_signature_does_not_evict_its_own_module(void **state)
{
	struct fixture *f = *state;

	open_store(f, ENGINE, 4 * STORE_BLOCK);
	assert_int_equal(put_module(f, 1, "a", ""), 0);
	assert_int_equal(put_module(f, 1, "b", ""), 0);
	assert_int_equal(put_module(f, 2, "a", "second"), 0);
	assert_int_equal(get_module(f, 1, "a", ""), 0);
	assert_int_equal(get_module(f, 2, "a", "second"), 0);
	assert_int_equal(get_module(f, 1, "b", ""), ERR_NOTFOUND);
}

static void
a_module_goes_with_its_last_owner_and_takes_its_artifacts(void **state)
{
	struct fixture *f = *state;
	const struct proto_store code = artifact("module", 0);
	struct proto_store what = module(1, "module");

	assert_int_equal(put_module(f, 1, "module", ""), 0);
	assert_int_equal(put_module(f, 2, "module", ""), 0);
	assert_int_equal(put(f, &code, "code", ""), 0);
	assert_int_equal(store_remove(f->store, &what, NULL), 0);
	assert_int_equal(get_module(f, 1, "module", ""), ERR_NOTFOUND);
	assert_int_equal(get_module(f, 2, "module", ""), 0);
	assert_int_equal(get(f, &code, "code", ""), 0);
	what.owner = 2;
	assert_int_equal(store_remove(f->store, &what, NULL), 0);
	assert_int_equal(get(f, &code, "code", ""), ERR_NOTFOUND);
	assert_int_equal(store_used(f->store), 0);
	assert_int_equal(entries(f, "modules"), 0);
}

static void
lists_an_owners_modules_in_order_page_by_page(void **state)
{
	struct fixture *f = *state;
	struct proto_store what = {.kind = PROTO_STORE_MODULE, .owner = 1};
	struct proto_store_entry page[4];
	uint8_t last[DIGEST_SIZE] = {0};
	char name[32];
	int seen = 0, n;

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "module %d", i);
		assert_int_equal(put_module(f, 1, name, ""), 0);
		snprintf(name, sizeof(name), "other %d", i);
		assert_int_equal(put_module(f, 2, name, ""), 0);
	}
	while ((n = store_list(f->store, &what, page, 4, NULL)) > 0) {
		for (int i = 0; i < n; i++, seen++) {
			assert_true(memcmp(page[i].digest.bytes, last, DIGEST_SIZE) > 0);
			memcpy(last, page[i].digest.bytes, DIGEST_SIZE);
			assert_int_equal(page[i].size, 8);
			assert_true(page[i].stored_at > 0);
		}
		what.digest = page[n - 1].digest;
		for (int b = DIGEST_SIZE - 1; b >= 0 && ++what.digest.bytes[b] == 0; b--)
			;
	}
	assert_int_equal(seen, 10);
}

static void
the_next_start_removes_what_a_crash_left(void **state)
{
	struct fixture *f = *state;
	char path[200];

	assert_int_equal(put_module(f, 1, "module", ""), 0);
	assert_int_equal(mkdirat(f->dir, "modules/tmp-7", 0700), 0);
	assert_int_equal(mkdirat(f->dir, "modules/tmp-7/owners", 0700), 0);
	close(openat(f->dir, "modules/tmp-7/wasm", O_CREAT | O_WRONLY, 0600));
	close(openat(f->dir, "artifacts/" ENGINE "-0/tmp-8", O_CREAT | O_WRONLY, 0600));
	module_file("module", path);
	strcpy(strrchr(path, '/'), "/owners/tmp-9");
	close(openat(f->dir, path, O_CREAT | O_WRONLY, 0600));
	open_store(f, ENGINE, BIG);
	assert_int_equal(entries(f, "modules"), 1);
	assert_int_equal(entries(f, "artifacts/" ENGINE "-0"), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(entries(f, path), 1);
	assert_int_equal(get_module(f, 1, "module", ""), 0);
}

static void
two_processes_cannot_have_one_store(void **state)
{
	struct fixture *f = *state;
	struct store *second = NULL;

	assert_int_equal(store_open(f->dir, ENGINE, BIG, BIG, &second, NULL), ERR_EXISTS);
	assert_null(second);
}

/* Lets files grow to so many bytes, as a full disk would; RLIM_INFINITY for no limit. */
static void
set_room(rlim_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void
a_write_that_fails_half_way_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	const struct proto_store code = artifact("module", 0), wasm = module(1, "a module of 24 bytes ...");
	int fds[2] = {memfd_from("test", "some machine code", 17, NULL), memfd_from("test", "a module of 24 bytes ...", 24, NULL)};
	struct proto_store_done done;
	int rc[2];

	set_room(10);
	rc[0] = store_put(f->store, &code, fds[0], NULL, 0, &done, NULL);
	rc[1] = store_put(f->store, &wasm, fds[1], "signature", 9, &done, NULL);
	set_room(RLIM_INFINITY);
	assert_int_equal(rc[0], ERR_IO);
	assert_int_equal(rc[1], ERR_IO);
	assert_int_equal(entries(f, "artifacts/" ENGINE "-0"), 0);
	assert_int_equal(entries(f, "modules"), 0);
	assert_int_equal(store_used(f->store), 0);
	assert_int_equal(store_put(f->store, &wasm, fds[1], "signature", 9, &done, NULL), 0);
	assert_int_equal(get_module(f, 1, "a module of 24 bytes ...", "signature"), 0);
	close(fds[0]);
	close(fds[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(gives_back_what_was_put_with_its_signature),
	    TEST(keeps_each_owners_own_signature),
	    TEST(another_owner_sees_no_difference_to_a_module_that_is_not_there),
	    TEST(refuses_a_digest_that_is_not_of_the_bytes),
	    TEST(refuses_bytes_that_can_still_change),
	    TEST(refuses_kinds_and_engines_that_do_not_exist),
	    TEST(a_damaged_module_is_removed_and_can_be_put_anew),
	    TEST(an_artifact_with_a_flipped_bit_anywhere_is_never_given),
	    TEST(an_artifact_is_not_taken_for_another_modules_or_engines),
	    TEST(artifacts_of_another_key_or_engine_are_worth_nothing),
	    TEST(what_was_used_longest_ago_makes_room),
	    TEST(an_owner_makes_room_for_itself_only),
	    TEST(artifacts_do_not_push_modules_out),
	    TEST(the_order_of_use_survives_a_restart),
	    TEST(refuses_what_is_larger_than_the_store_and_keeps_the_rest),
	    TEST(a_second_signature_does_not_evict_its_own_module),
	    TEST(a_module_goes_with_its_last_owner_and_takes_its_artifacts),
	    TEST(lists_an_owners_modules_in_order_page_by_page),
	    TEST(the_next_start_removes_what_a_crash_left),
	    TEST(two_processes_cannot_have_one_store),
	    TEST(a_write_that_fails_half_way_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
