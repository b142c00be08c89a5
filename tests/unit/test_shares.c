/* Tests of broker/shares. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/shares.h"

static const struct config settings = {.running_per_owner = 24, .queued_per_owner = 1000, .held_bytes_per_owner = 1 << 30};

/* Loads a file with this text. */
static int
load(const char *text, struct shares **out, struct err *e)
{
	char path[] = "/tmp/brig-shares-XXXXXX";
	int fd = mkstemp(path), rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	*out = NULL;
	rc = shares_load(path, out, e);
	unlink(path);
	return rc;
}

static void
is(const struct shares *s, uid_t owner, int64_t weight, int64_t running, int64_t queued)
{
	const struct shares_terms t = shares_of(s, &settings, owner);

	assert_int_equal(t.weight, weight);
	assert_int_equal(t.running_per_owner, running);
	assert_int_equal(t.queued_per_owner, queued);
	assert_int_equal(t.held_bytes_per_owner, 1 << 30);
}

static void
without_a_file_all_are_as_the_settings_say(void **state)
{
	struct shares *s = NULL;
	struct err e;

	(void)state;
	assert_int_equal(shares_load(NULL, &s, &e), 0);
	is(s, 0, 1, 24, 1000);
	shares_free(s);
	shares_free(NULL);
}

static void
what_is_not_said_of_one_is_as_for_all(void **state)
{
	struct shares *s;
	struct err e;

	(void)state;
	assert_int_equal(load("{\"default\": {\"weight\": 2, \"running_per_owner\": 5}, \"owners\": {\"1000\": {\"weight\": 7},"
	                      " \"root\": {\"queued_per_owner\": 0}}}", &s, &e), 0);
	is(s, 1, 2, 5, 1000);
	is(s, 1000, 7, 5, 1000);
	is(s, 0, 2, 5, 0);
	shares_free(s);
	assert_int_equal(load("{}", &s, &e), 0);
	is(s, 1000, 1, 24, 1000);
	shares_free(s);
}

static void
each_limit_is_allowed_up_to_its_ends(void **state)
{
	static const struct {
		const char *name;
		long long smallest, largest;
	} members[] = {
#define X(name, smallest, largest, text) {#name, smallest, largest},
	    SHARES_MEMBERS(X)
#undef X
	};

	(void)state;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		for (int k = 0; k < 4; k++) {
			long long value = (k < 2 ? members[i].smallest : members[i].largest) + (k == 0 ? -1 : k == 3 ? 1 : 0);
			bool good = k == 1 || k == 2;
			struct shares *s;
			struct err e = {0};
			char text[200];

			snprintf(text, sizeof(text), "{\"owners\": {\"5\": {\"%s\": %lld}}}", members[i].name, value);
			assert_int_equal(load(text, &s, &e), good ? 0 : ERR_INVAL);
			if (!good)
				assert_non_null(strstr(e.msg, members[i].name));
			shares_free(s);
		}
}

static void
what_is_wrong_is_told_with_its_place(void **state)
{
	static const struct {
		const char *text, *message, *place;
	} cases[] = {
	    {"[]", "a JSON object", ":1:1: "},
	    {"{", "", ":1:"},
	    {"{\n \"owner\": {}}", "did you mean \"owners\"?", ":2:"},
	    {"{\"owners\": 3}", "must be an object", ":1:"},
	    {"{\"owners\": {\n\"no such user!\": {}}}", "there is no user", ":2:"},
	    {"{\"owners\": {\"5\": 3}}", "an object", ":1:"},
	    {"{\"owners\": {\"5\": {\n\n\"wieght\": 3}}}", "did you mean \"weight\"?", ":3:"},
	    {"{\"owners\": {\"5\": {\"weight\": 1.5}}}", "a whole number from 1 to 1000", ":1:"},
	    {"{\"owners\": {\"0\": {}, \"root\": {}}}", "user 0 has two shares", ":1:"},
	    {"{\"default\": {\"weight\": 0}}", "a whole number", ":1:"},
	    {"{\"default\": {}, \"default\": {}}", "", ":1:"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct shares *s;
		struct err e = {0};

		assert_int_equal(load(cases[i].text, &s, &e), ERR_INVAL);
		assert_null(s);
		if (strstr(e.msg, cases[i].message) == NULL || strstr(e.msg, cases[i].place) == NULL)
			fail_msg("%s: %s", cases[i].text, e.msg);
	}
}

static void
a_file_that_is_not_there_is_an_error(void **state)
{
	struct shares *s = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(shares_load("/nonexistent/shares", &s, &e), ERR_NOTFOUND);
	assert_null(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_a_file_all_are_as_the_settings_say),
	    cmocka_unit_test(what_is_not_said_of_one_is_as_for_all),
	    cmocka_unit_test(each_limit_is_allowed_up_to_its_ends),
	    cmocka_unit_test(what_is_wrong_is_told_with_its_place),
	    cmocka_unit_test(a_file_that_is_not_there_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
