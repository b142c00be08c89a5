/* Tests of broker/pressure. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/pressure.h"

static void
put(int fd, const char *text)
{
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
}

static void
tells_what_the_file_says_when_looked_at(void **state)
{
	static const struct {
		const char *text;
		double percent;
	} cases[] = {
	    {"some avg10=12.34 avg60=1.00 avg300=0.00 total=5\nfull avg10=99.00 avg60=0 avg300=0 total=0\n", 12.34},
	    {"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", 0},
	    {"some avg10=100.00", 100},
	    {"", -1},
	    {"full avg10=3.00\n", -1},
	    {"some avg10=x", -1},
	    {"some avg10=-1", -1},
	    {"some avg10=101", -1},
	    {"some avg10=nan", -1},
	};
	char path[] = "/tmp/brig-pressure-XXXXXX";
	int fd = mkstemp(path);
	const char *const paths[PRESSURE_COUNT] = {path, "/nonexistent/pressure"};
	struct pressure *p = pressure_open(paths);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		double was = pressure_percent(p, PRESSURE_cpu);

		put(fd, cases[i].text);
		assert_true(pressure_percent(p, PRESSURE_cpu) == was); /* not yet looked */
		pressure_look(p);
		assert_true(pressure_percent(p, PRESSURE_cpu) == cases[i].percent);
		assert_true(pressure_percent(p, PRESSURE_memory) < 0);
	}
	pressure_close(p);
	pressure_close(NULL);
	close(fd);
	unlink(path);
}

static void
is_high_from_the_threshold_on(void **state)
{
	char path[] = "/tmp/brig-pressure-XXXXXX";
	int fd = mkstemp(path);
	const char *const paths[PRESSURE_COUNT] = {"/nonexistent/pressure", path};
	struct pressure *p;

	(void)state;
	put(fd, "some avg10=20.00 avg60=0\n");
	p = pressure_open(paths);
	assert_true(pressure_is_high(p, (double[]){0, 20}));
	assert_false(pressure_is_high(p, (double[]){0, 20.01}));
	assert_false(pressure_is_high(p, (double[]){0, 0}));
	assert_false(pressure_is_high(p, (double[]){1, 0})); /* what is not known is not high */
	pressure_close(p);
	close(fd);
	unlink(path);
}

static void
the_kernels_own_files_are_read(void **state)
{
	const char *const paths[PRESSURE_COUNT] = {"/proc/pressure/cpu", "/proc/pressure/memory"};
	struct pressure *p;

	(void)state;
	if (access(paths[0], R_OK) != 0) {
		print_message("skipped: this kernel has no /proc/pressure\n");
		skip();
	}
	p = pressure_open(paths);
	for (int i = 0; i < PRESSURE_COUNT; i++)
		assert_true(pressure_percent(p, (enum pressure_kind)i) >= 0);
	pressure_close(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tells_what_the_file_says_when_looked_at),
	    cmocka_unit_test(is_high_from_the_threshold_on),
	    cmocka_unit_test(the_kernels_own_files_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
