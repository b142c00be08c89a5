/* tests/unit/test_process: base/process. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/process.h"

#define MORE ((size_t)32 << 20)

static void
memory_that_is_written_is_resident_and_own(void **state)
{
	struct process_memory before, after;
	char *more;

	(void)state;
	assert_int_equal(process_memory(getpid(), &before), 0);
	assert_true(before.own_bytes <= before.resident_bytes);
	more = mmap(NULL, MORE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(more != MAP_FAILED);
	memset(more, 1, MORE);
	assert_int_equal(process_memory(getpid(), &after), 0);
	assert_true(after.own_bytes >= before.own_bytes + MORE / 2); /* the kernel counts in batches */
	assert_true(after.resident_bytes >= before.resident_bytes + MORE / 2);
	munmap(more, MORE);
}

static void
a_process_that_is_not_there_has_none(void **state)
{
	struct process_memory memory = {1, 2};

	(void)state;
	assert_int_equal(process_memory(0, &memory), ERR_NOTFOUND);
	assert_int_equal(process_memory(INT32_MAX, &memory), ERR_NOTFOUND);
	assert_true(memory.resident_bytes == 1 && memory.own_bytes == 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(memory_that_is_written_is_resident_and_own),
	    cmocka_unit_test(a_process_that_is_not_there_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
