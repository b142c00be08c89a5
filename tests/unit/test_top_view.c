/* Tests of clients/c/top_view. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/c/top_view.h"

static void
times_and_sizes_are_short(void **state)
{
	static const struct {
		double value;
		const char *time, *bytes;
	} cases[] = {{0, "0 us", "0 bytes"}, {999, "999 us", "999 bytes"}, {1000, "1.00 ms", "1.0 KiB"},
	    {12345, "12.3 ms", "12 KiB"}, {1048576, "1.05 s", "1.0 MiB"}, {123456789, "123.5 s", "118 MiB"}};
	char text[TOP_VIEW_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *json = json_integer((json_int_t)cases[i].value);

		assert_string_equal(top_view_time(json, text), cases[i].time);
		assert_string_equal(top_view_bytes(json, text), cases[i].bytes);
		json_decref(json);
	}
	assert_string_equal(top_view_time(NULL, text), "-");
	assert_string_equal(top_view_bytes(json_null(), text), "-");
}

/* The screen of an answer, to be freed. */
static char * __attribute__((noinline)) /* or gcc 12 sees a pointer that dangles */
screen(const json_t *now, const json_t *before, double seconds, unsigned rows, unsigned columns)
{
	const struct top_view v = {.now = now, .before = before, .seconds = seconds, .server = "/s", .rows = rows,
	    .columns = columns};
	char *text = NULL;
	size_t length;
	FILE *f = open_memstream(&text, &length);

	top_view_screen(&v, f);
	fclose(f);
	return text;
}

static json_t *
answer(int exited, int owners, int templates)
{
	json_t *json = json_pack("{s:s, s:i, s:i, s:{s:i, s:i}, s:{s:i, s:i}, s:[], s:[]}", "scope", "all", "uptime_s", 3700,
	    "running", 2, "runs", "exited", exited, "trapped", 0, "starts", "cold", 1, "template", exited - 1, "owners",
	    "templates");

	for (int i = 0; i < owners; i++)
		json_array_append_new(json_object_get(json, "owners"), json_pack("{s:i, s:i, s:{s:i}}", "uid", 1000 + i, "running", i,
		    "runs", "exited", exited));
	for (int i = 0; i < templates; i++)
		json_array_append_new(json_object_get(json, "templates"), json_pack("{s:s, s:i}", "module", "sha256:abcdef", "heat",
		    i));
	return json;
}

static void
shows_what_happened_since_the_answer_before(void **state)
{
	json_t *before = answer(100, 1, 0), *now = answer(150, 1, 0);
	char *text = screen(now, before, 2, 0, 0);

	(void)state;
	assert_non_null(strstr(text, "up 1:01:40"));
	assert_non_null(strstr(text, "2 running, 0 queued, 25.0/s ended"));
	assert_non_null(strstr(text, "exited 150"));
	assert_non_null(strstr(text, "cold 0.0 %, template 100.0 %"));
	free(text);
	text = screen(now, NULL, 0, 0, 0);
	assert_non_null(strstr(text, "0.0/s ended")); /* 150 in 3700 s */
	assert_non_null(strstr(text, "cold 0.7 %, template 99.3 %"));
	free(text);
	json_decref(before);
	json_decref(now);
}

static void
fits_every_terminal(void **state)
{
	json_t *now = answer(5, 30, 30);

	(void)state;
	for (unsigned rows = 1; rows < 90; rows++)
		for (unsigned columns = 1; columns < 130; columns += 7) {
			char *text = screen(now, NULL, 0, rows, columns);
			unsigned lines = 0;

			for (const char *p = text; *p != '\0'; p += strcspn(p, "\n") + 1, lines++)
				assert_true(strcspn(p, "\n") <= columns);
			assert_true(lines <= rows && lines > 0);
			if (rows < 70 && rows > 20 && columns > 20)
				assert_non_null(strstr(text, " more\n"));
			free(text);
		}
	json_decref(now);
}

static void
lists_what_has_most_first(void **state)
{
	json_t *now = answer(5, 3, 0);
	char *text = screen(now, NULL, 0, 0, 0);
	const char *first = strstr(text, "\n1002 "), *last = strstr(text, "\n1000 ");

	(void)state;
	assert_true(first != NULL && last != NULL && first < last);
	free(text);
	json_decref(now);
}

static void
what_the_server_says_does_not_reach_the_terminal_as_it_is(void **state)
{
	json_t *now = json_pack("{s:{s:i}, s:[{s:s, s:s}]}", "runs", "a\033[2Jb\nc", 1, "templates", "module",
	    "sha256:\033]0;x", "engine", "\xc3\xa9");
	char *text = screen(now, NULL, 0, 0, 0);

	(void)state;
	assert_non_null(strstr(text, "a?[2Jb?c 1"));
	for (const char *p = text; *p != '\0'; p++)
		assert_true(*p == '\n' || (*p >= 0x20 && *p < 0x7f));
	free(text);
	json_decref(now);
}

static void
an_empty_answer_is_shown_too(void **state)
{
	json_t *now = json_object();
	const struct top_view v = {.now = now, .server = "/s"};
	char *text = screen(now, NULL, 0, 0, 0), *one = NULL;
	size_t length;
	FILE *f = open_memstream(&one, &length);

	(void)state;
	top_view_line(&v, "12:00:00", f);
	fclose(f);
	assert_non_null(strstr(text, "time "));
	assert_non_null(strstr(one, "12:00:00"));
	free(one);
	free(text);
	json_decref(now);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(times_and_sizes_are_short),
	    cmocka_unit_test(shows_what_happened_since_the_answer_before),
	    cmocka_unit_test(fits_every_terminal),
	    cmocka_unit_test(lists_what_has_most_first),
	    cmocka_unit_test(what_the_server_says_does_not_reach_the_terminal_as_it_is),
	    cmocka_unit_test(an_empty_answer_is_shown_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
