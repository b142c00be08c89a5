/* Tests of runtime/pages. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memfd.h"
#include "runtime/pages.h"

#define PAGES 256

static size_t page;

static uint8_t *
map(int flags, int fd, size_t pages)
{
	uint8_t *at = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | flags, fd, 0);

	assert_true(at != MAP_FAILED);
	return at;
}

/* In a fork: `go` and then pages_note. In this process: pages_learn. */
static void
rehearse(struct pages *p, void (*go)(uint8_t *at), uint8_t *at)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		go(at);
		pages_note(p);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(pages_learn(p, NULL), 0);
}

static long
faults(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return used.ru_minflt;
}

/* The faults that `go` takes in a fork that has brought what was learned, or not. */
static int
faults_of(const struct pages *p, void (*go)(uint8_t *at), uint8_t *at)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		long before;

		(void)faults();
		if (p != NULL)
			pages_bring(p);
		before = faults();
		go(at);
		_exit((int)(faults() - before));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Before Linux 5.14 all is left to faults. */
static void
need_populate(void)
{
	uint8_t *at = map(MAP_ANONYMOUS, -1, 1);
	int rc = madvise(at, page, 23 /* MADV_POPULATE_WRITE */);

	munmap(at, page);
	if (rc == 0)
		return;
	print_message("skipped: this kernel brings no pages ahead (Linux 5.14)\n");
	skip();
}

/* Writes to twenty pages, what was there already in half of them. */
static void
write_some(uint8_t *at)
{
	for (size_t i = 0; i < 20; i++) {
		volatile uint8_t *byte = at + (i * 7 + i / 5) * page + i;

		*byte = (uint8_t)(*byte + i % 2);
	}
}

static void
read_much(uint8_t *at)
{
	for (size_t i = 0; i < PAGES; i++)
		(void)*(volatile uint8_t *)(at + i * page);
}

static void
learns_which_pages_a_fork_has_written(void **state)
{
	uint8_t *at = map(MAP_ANONYMOUS, -1, PAGES);
	const struct pages_area area = {at, PAGES * page, true};
	struct pages *p;

	(void)state;
	memset(at, 1, PAGES * page);
	assert_int_equal(pages_watch(&area, 1, &p, NULL), 0);
	rehearse(p, write_some, at);
	assert_int_equal(pages_count(p), 20);
	need_populate();
	assert_int_equal(faults_of(p, write_some, at), 0);
	assert_true(faults_of(NULL, write_some, at) >= 20);
	pages_free(p);
	munmap(at, PAGES * page);
}

/* What was only read, and what was there before the fork, is not copied; neither is a page of which the area has a part. */
static void
learns_nothing_of_what_is_read(void **state)
{
	uint8_t *at = map(MAP_ANONYMOUS, -1, PAGES);
	const struct pages_area area = {at + 1, PAGES * page - 2, true};
	struct pages *p;

	(void)state;
	memset(at, 1, PAGES * page);
	assert_int_equal(pages_watch(&area, 1, &p, NULL), 0);
	rehearse(p, read_much, at);
	assert_int_equal(pages_count(p), 0);
	pages_bring(p);
	pages_free(p);
	munmap(at, PAGES * page);
}

static void
learns_which_pages_of_a_file_are_looked_at(void **state)
{
	uint8_t *bytes = calloc(PAGES, page), *at;
	int fd = memfd_from("test", bytes, PAGES * page, NULL);
	struct pages_area areas[2];
	struct pages *p;

	(void)state;
	assert_true(fd >= 0);
	at = map(0, fd, PAGES);
	areas[0] = (struct pages_area){at, PAGES * page, false};
	areas[1] = areas[0]; /* areas know nothing of each other */
	assert_int_equal(pages_watch(areas, 2, &p, NULL), 0);
	rehearse(p, read_much, at);
	assert_true(pages_count(p) > PAGES);
	need_populate();
	assert_true(faults_of(p, read_much, at) < faults_of(NULL, read_much, at));
	pages_free(p);
	munmap(at, PAGES * page);
	close(fd);
	free(bytes);
}

static void
areas_without_a_whole_page_are_none(void **state)
{
	uint8_t *at = map(MAP_ANONYMOUS, -1, 1);
	const struct pages_area areas[] = {{at, 0, true}, {at + 1, page - 1, true}, {at, page - 1, true}, {at, 0, false}};
	struct pages *p;

	(void)state;
	assert_int_equal(pages_watch(areas, 4, &p, NULL), 0);
	rehearse(p, write_some, map(MAP_ANONYMOUS, -1, PAGES));
	assert_int_equal(pages_count(p), 0);
	pages_free(p);
	pages_free(NULL);
}

static int
set_up(void **state)
{
	(void)state;
	page = (size_t)sysconf(_SC_PAGESIZE);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(learns_which_pages_a_fork_has_written),
	    cmocka_unit_test(learns_nothing_of_what_is_read),
	    cmocka_unit_test(learns_which_pages_of_a_file_are_looked_at),
	    cmocka_unit_test(areas_without_a_whole_page_are_none),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
