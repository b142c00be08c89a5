/* Unit tests of broker/grants. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "broker/grants.h"

#define WALL(ms) "{\"version\": 1, \"limits\": {\"wall_ms\": " #ms "}}"

static char directory[64];
static const char *const names[] = {"1000.json", "root.json", "0.json", "nobody-of-this-name.json", "-1.json",
    "4294967295.json", "99999999999999999999.json", ".hidden.json", "1000.json~", "notes.txt", ".json", "4294967294.json"};

static int
set_up(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/brig-grants.XXXXXX");
	return mkdtemp(directory) != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	return rmdir(directory);
}

static void
put(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	assert_int_equal(io_replace_file(path, text, strlen(text), 0600, NULL), 0);
}

static void
refused(const char *want)
{
	struct grants *g = NULL;
	struct err e = {0};

	assert_int_equal(grants_load(directory, &g, &e), ERR_INVAL);
	assert_null(g);
	if (strstr(e.msg, want) == NULL)
		fail_msg("\"%s\" is not in: %s", want, e.msg);
}

static void
no_directory_means_no_grants(void **state)
{
	struct grants *g;

	(void)state;
	assert_int_equal(grants_load(NULL, &g, NULL), 0);
	assert_null(grants_of(g, 0));
	grants_free(g);
	grants_free(NULL);
}

static void
files_are_named_for_users_by_number_or_name(void **state)
{
	struct grants *g;

	(void)state;
	put("1000.json", WALL(1000));
	put("root.json", WALL(2000));
	put("4294967294.json", WALL(3000));
	assert_int_equal(grants_load(directory, &g, NULL), 0);
	assert_int_equal(grants_of(g, 1000)->limits[POLICY_LIMIT_wall_ms], 1000);
	assert_int_equal(grants_of(g, 0)->limits[POLICY_LIMIT_wall_ms], 2000);
	assert_int_equal(grants_of(g, 4294967294U)->limits[POLICY_LIMIT_wall_ms], 3000);
	assert_null(grants_of(g, 1001));
	grants_free(g);
}

static void
other_files_are_passed_over(void **state)
{
	struct grants *g;

	(void)state;
	put(".hidden.json", "nonsense");
	put("1000.json~", "nonsense");
	put("notes.txt", "nonsense");
	put(".json", "nonsense");
	assert_int_equal(grants_load(directory, &g, NULL), 0);
	assert_null(grants_of(g, 1000));
	grants_free(g);
}

static void
one_bad_document_fails_the_whole(void **state)
{
	(void)state;
	put("root.json", WALL(1000));
	put("1000.json", "{\"version\": 1, \"limit\": {}}");
	refused("1000.json");
	refused("limits"); /* the nearest name */
}

static void
two_grants_for_one_user_are_refused(void **state)
{
	(void)state;
	put("root.json", WALL(1000));
	put("0.json", WALL(2000));
	refused("two grants");
}

static void
unknown_users_are_refused(void **state)
{
	static const char *const bad[] = {"nobody-of-this-name.json", "-1.json", "4294967295.json", "99999999999999999999.json"};
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(bad[i], WALL(1000));
		refused("there is no user");
		snprintf(path, sizeof(path), "%s/%s", directory, bad[i]);
		unlink(path);
	}
}

static void
missing_directory_is_told(void **state)
{
	struct grants *g;
	struct err e = {0};

	(void)state;
	assert_int_equal(grants_load("/nonexistent/grants", &g, &e), ERR_IO);
	assert_non_null(strstr(e.msg, "/nonexistent/grants"));
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(no_directory_means_no_grants),
	    T(files_are_named_for_users_by_number_or_name),
	    T(other_files_are_passed_over),
	    T(one_bad_document_fails_the_whole),
	    T(two_grants_for_one_user_are_refused),
	    T(unknown_users_are_refused),
	    T(missing_directory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
