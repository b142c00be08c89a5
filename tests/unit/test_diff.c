/* Tests of clients/c/diff: what is shown leads from one text to the other, by no more lines than needed, in bounded time. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/c/diff.h"

#define LINES 24

static char *
shown(const char *before, const char *after)
{
	char *text = NULL;
	size_t length;
	FILE *f = open_memstream(&text, &length);

	assert_non_null(f);
	assert_int_equal(diff_print(f, (struct diff_text){before, strlen(before)}, (struct diff_text){after, strlen(after)},
	    false), 0);
	fclose(f);
	return text;
}

/* Two texts of few different lines each, by a generator of its own: the same in every run. */
static uint32_t
next(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 16;
}

static void
make_text(uint32_t *state, char out[2 * LINES + 1], size_t *lines)
{
	*lines = next(state) % LINES;
	for (size_t i = 0; i < *lines; i++) {
		out[2 * i] = (char)('a' + next(state) % 4);
		out[2 * i + 1] = '\n';
	}
	out[2 * *lines] = '\0';
}

/* How many lines have to go and come, by the table of longest common parts. */
static size_t
fewest(const char *a, size_t n, const char *b, size_t m)
{
	size_t common[LINES + 1][LINES + 1] = {0};

	for (size_t i = 1; i <= n; i++)
		for (size_t j = 1; j <= m; j++) {
			size_t left = common[i][j - 1], above = common[i - 1][j];

			common[i][j] = a[2 * (i - 1)] == b[2 * (j - 1)] ? common[i - 1][j - 1] + 1 : left > above ? left : above;
		}
	return n + m - 2 * common[n][m];
}

/* Follows the hunks: what they say about `before` is so, and the result is what they make of it. */
static size_t
follow(const char *hunks, const char *before, char out[4 * LINES + 2])
{
	size_t from = 0, n = 0, edits = 0, start, count;

	for (const char *p = hunks; *p != '\0'; p = strchr(p, '\n') + 1) {
		if (*p == '@') {
			assert_int_equal(sscanf(p, "@@ -%zu,%zu", &start, &count), 2);
			for (start -= count > 0; from < start; from++, n += 2)
				memcpy(out + n, before + 2 * from, 2);
			continue;
		}
		edits += *p != ' ';
		if (*p != '+')
			assert_int_equal(before[2 * from++], p[1]);
		if (*p != '-') {
			memcpy(out + n, p + 1, 2);
			n += 2;
		}
	}
	strcpy(out + n, before + 2 * from);
	return edits;
}

static void
leads_from_one_text_to_the_other_by_the_fewest_lines(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char a[2 * LINES + 1], b[2 * LINES + 1], made[4 * LINES + 2] = "", *hunks;
		size_t n, m;

		make_text(&seed, a, &n);
		make_text(&seed, b, &m);
		hunks = shown(a, b);
		assert_int_equal(follow(hunks, a, made), fewest(a, n, b, m));
		assert_string_equal(made, b);
		free(hunks);
	}
}

static void
equal_texts_give_nothing(void **state)
{
	static const char *const texts[] = {"", "a", "a\n", "a\nb\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char *hunks = shown(texts[i], texts[i]);

		assert_string_equal(hunks, "");
		free(hunks);
	}
}

static void
a_missing_newline_at_the_end_is_told(void **state)
{
	char *hunks = shown("a\nb", "a\nb\n");

	(void)state;
	assert_string_equal(hunks, "@@ -1,2 +1,2 @@\n a\n-b\n\\ no newline at the end\n+b\n");
	free(hunks);
}

static void
what_acts_on_a_terminal_is_escaped(void **state)
{
	char *hunks = shown("", "\x1b[2J\r\xe2\x80\xae\xff\n");

	(void)state;
	assert_string_equal(hunks, "@@ -0,0 +1,1 @@\n+\\x1b[2J\\x0d\\xe2\\x80\\xae\\xff\n");
	free(hunks);
}

static void
texts_that_differ_in_too_much_are_all_gone_and_all_new(void **state)
{
	size_t size = (DIFF_EDITS + 10) * 8;
	char *a = calloc(size, 1), *b = calloc(size, 1), *hunks;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i <= DIFF_EDITS; i++) {
		sprintf(a + strlen(a), "%zua\n", i % 10);
		sprintf(b + strlen(b), "%zub\n", i % 10);
	}
	hunks = shown(a, b);
	for (const char *p = hunks; (p = strchr(p, '\n')) != NULL; p++)
		n++;
	assert_int_equal(n, 1 + 2 * (DIFF_EDITS + 1));
	free(a);
	free(b);
	free(hunks);
}

static void
text_is_utf8_without_nul(void **state)
{
	(void)state;
	assert_true(diff_is_text((struct diff_text){"", 0}));
	assert_true(diff_is_text((struct diff_text){"a\xc3\xa4", 3}));
	assert_false(diff_is_text((struct diff_text){"a\0b", 3}));
	assert_false(diff_is_text((struct diff_text){"a\xff", 2}));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leads_from_one_text_to_the_other_by_the_fewest_lines),
		cmocka_unit_test(equal_texts_give_nothing),
		cmocka_unit_test(a_missing_newline_at_the_end_is_told),
		cmocka_unit_test(what_acts_on_a_terminal_is_escaped),
		cmocka_unit_test(texts_that_differ_in_too_much_are_all_gone_and_all_new),
		cmocka_unit_test(text_is_utf8_without_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
