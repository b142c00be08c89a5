/* Unit tests of base/json_text: what is written is what jansson reads. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "base/json_text.h"

/* The text as JSON; frees it. */
static json_t *
read_back(struct json_text *t)
{
	json_t *json;

	assert_false(t->failed);
	assert_int_equal(strlen(t->text), t->length);
	json = json_loadb(t->text, t->length, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	json_text_free(t);
	return json;
}

static void
assert_same(struct json_text *t, json_t *want)
{
	json_t *got = read_back(t);

	assert_true(json_equal(got, want));
	json_decref(got);
	json_decref(want);
}

static void
members_of_all_kinds_are_read_back(void **state)
{
	json_t *value = json_pack("{s:[i,n], s:s}", "list", 1, "text", "a\"b");
	struct json_text t = {0};

	(void)state;
	json_text_open(&t, NULL, '{');
	json_text_open(&t, "empty", '{');
	json_text_close(&t, '}');
	json_text_open(&t, "list", '[');
	json_text_integer(&t, NULL, -5);
	json_text_open(&t, NULL, '[');
	json_text_close(&t, ']');
	json_text_string(&t, NULL, "x{", 2);
	json_text_bool(&t, NULL, true);
	json_text_close(&t, ']');
	json_text_bool(&t, "no", false);
	json_text_value(&t, "value", value);
	json_text_raw(&t, "raw", "[1,2]", 5);
	json_text_close(&t, '}');
	assert_same(&t, json_pack("{s:{}, s:[i,[],s,b], s:b, s:o, s:[i,i]}", "empty", "list", -5, "x{", 1, "no", 0, "value", value,
	    "raw", 1, 2));
}

static void
numbers_are_exact_to_the_ends_of_their_range(void **state)
{
	static const int64_t all[] = {0, 1, -1, 9, 10, -10, 4294967296, INT64_MAX, INT64_MIN, INT64_MIN + 1};
	struct json_text t = {0};
	json_t *want = json_array();

	(void)state;
	json_text_open(&t, NULL, '[');
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		json_text_integer(&t, NULL, all[i]);
		json_array_append_new(want, json_integer(all[i]));
	}
	json_text_count(&t, NULL, UINT64_MAX);
	json_array_append_new(want, json_integer(INT64_MAX));
	json_text_digits(&t, NULL, UINT64_MAX);
	json_array_append_new(want, json_string("18446744073709551615"));
	json_text_digits(&t, NULL, 0);
	json_array_append_new(want, json_string("0"));
	json_text_close(&t, ']');
	assert_same(&t, want);
}

static void
every_character_of_a_string_is_read_back(void **state)
{
	(void)state;
	for (uint32_t c = 1; c < 0x110000; c += c < 0x900 ? 1 : 0x3fd) {
		char s[8] = "a";
		struct json_text t = {0};
		size_t n = 1;

		if (c >= 0xd800 && c < 0xe000)
			continue;
		if (c < 0x80) {
			s[n++] = (char)c;
		} else if (c < 0x800) {
			s[n++] = (char)(0xc0 | c >> 6);
			s[n++] = (char)(0x80 | (c & 0x3f));
		} else if (c < 0x10000) {
			s[n++] = (char)(0xe0 | c >> 12);
			s[n++] = (char)(0x80 | (c >> 6 & 0x3f));
			s[n++] = (char)(0x80 | (c & 0x3f));
		} else {
			s[n++] = (char)(0xf0 | c >> 18);
			s[n++] = (char)(0x80 | (c >> 12 & 0x3f));
			s[n++] = (char)(0x80 | (c >> 6 & 0x3f));
			s[n++] = (char)(0x80 | (c & 0x3f));
		}
		s[n++] = 'z';
		json_text_open(&t, NULL, '[');
		json_text_string(&t, NULL, s, n);
		json_text_close(&t, ']');
		assert_same(&t, json_pack("[s]", s));
	}
}

static void
bytes_that_are_no_characters_become_question_marks(void **state)
{
	struct json_text t = {0};

	(void)state;
	json_text_open(&t, NULL, '[');
	json_text_string(&t, NULL, "a\xff\"\xc3\xa9\xc3", 6);
	json_text_close(&t, ']');
	assert_same(&t, json_pack("[s]", "a?\"\xc3\xa9?"));
}

static void
it_grows_with_what_is_added(void **state)
{
	static char s[10000];
	struct json_text t = {0};
	json_t *want = json_array(), *value = json_array(), *got;

	(void)state;
	memset(s, 'n', sizeof(s));
	json_text_open(&t, NULL, '[');
	for (size_t n = 1; n < sizeof(s); n += n / 3 + 1) {
		s[0] = n % 2 == 0 ? 'n' : '\n';
		json_text_string(&t, NULL, s, n);
		json_array_append_new(want, json_stringn(s, n));
		json_array_append_new(value, json_stringn(s, n));
	}
	json_text_value(&t, NULL, value);
	json_array_append_new(want, value);
	json_text_close(&t, ']');
	got = read_back(&t);
	assert_true(json_equal(got, want));
	json_decref(got);
	json_decref(want);
}

static void
members_come_from_texts_and_objects(void **state)
{
	json_t *object = json_pack("{s:i, s:s}", "c", 3, "d", "e"), *nothing = json_object();
	struct json_text t = {0};

	(void)state;
	json_text_open(&t, NULL, '{');
	json_text_members(&t, "\"a\":1,\"b\":2", 11);
	json_text_members(&t, "", 0);
	json_text_embed(&t, nothing);
	json_text_embed(&t, NULL);
	json_text_embed(&t, object);
	json_text_close(&t, '}');
	assert_same(&t, json_pack("{s:i, s:i, s:i, s:s}", "a", 1, "b", 2, "c", 3, "d", "e"));
	json_decref(object);
	json_decref(nothing);
}

static void
what_cannot_be_written_is_told_at_the_end(void **state)
{
	struct json_text t = {0};

	(void)state;
	json_text_open(&t, NULL, '{');
	json_text_value(&t, "a", NULL);
	json_text_close(&t, '}');
	assert_true(t.failed);
	json_text_free(&t);
	assert_null(t.text);
	assert_false(t.failed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(members_of_all_kinds_are_read_back),
	    cmocka_unit_test(numbers_are_exact_to_the_ends_of_their_range),
	    cmocka_unit_test(every_character_of_a_string_is_read_back),
	    cmocka_unit_test(bytes_that_are_no_characters_become_question_marks),
	    cmocka_unit_test(it_grows_with_what_is_added),
	    cmocka_unit_test(members_come_from_texts_and_objects),
	    cmocka_unit_test(what_cannot_be_written_is_told_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
