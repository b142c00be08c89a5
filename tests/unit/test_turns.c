/* test_turns: owners take turns. Unit test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "broker/turns.h"

/* Items are the places themselves; each is named by a letter in the order in which it was added. */
struct fixture {
	struct turns turns;
	struct turn turn[26];
	unsigned added;
};

static void
add(struct fixture *f, const char *owners)
{
	for (; *owners != '\0'; owners++, f->added++)
		turns_add(&f->turns, &f->turn[f->added], (uid_t)*owners, &f->turn[f->added]);
}

static void
drop(struct fixture *f, char name)
{
	turns_remove(&f->turns, &f->turn[name - 'a']);
}

/* Takes all that is there and compares the order. */
static void
assert_order(struct fixture *f, const char *expected)
{
	char order[27] = "";
	size_t n = 0, count = f->turns.count;
	struct turn *turn;

	while ((turn = turns_take(&f->turns)) != NULL)
		order[n++] = (char)('a' + (turn - f->turn));
	assert_string_equal(order, expected);
	assert_int_equal(count, strlen(expected));
	assert_int_equal(f->turns.count, 0);
}

static void
one_owner_is_served_in_order(void **state)
{
	struct fixture f = {.added = 0};

	(void)state;
	turns_init(&f.turns);
	add(&f, "11111");
	assert_order(&f, "abcde");
}

static void
owners_take_turns(void **state)
{
	struct fixture f = {.added = 0};

	(void)state;
	turns_init(&f.turns);
	add(&f, "11111213");
	assert_order(&f, "afhbcdeg");
}

static void
latecomer_waits_one_round_at_most(void **state)
{
	struct fixture f = {.added = 0};

	(void)state;
	turns_init(&f.turns);
	add(&f, "111222");
	assert_ptr_equal(turns_take(&f.turns), &f.turn[0]);
	add(&f, "3");
	assert_order(&f, "dbgecf");
}

static void
removed_ones_are_passed_over(void **state)
{
	static const struct {
		const char *removed, *left;
	} cases[] = {{"a", "bdcef"}, {"b", "adcef"}, {"f", "adbec"}, {"abc", "def"}, {"de", "afbc"}, {"def", "abc"},
	    {"ad", "becf"}, {"abcdef", ""}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture f = {.added = 0};

		turns_init(&f.turns);
		add(&f, "111222");
		for (const char *p = cases[i].removed; *p != '\0'; p++)
			drop(&f, *p);
		assert_order(&f, cases[i].left);
	}
}

static void
place_can_be_used_again(void **state)
{
	struct fixture f = {.added = 0};

	(void)state;
	turns_init(&f.turns);
	for (int i = 0; i < 3; i++) {
		f.added = 0;
		add(&f, "1122");
		drop(&f, 'a');
		assert_order(&f, "bcd");
	}
	assert_null(turns_take(&f.turns));
}

static bool
is_not_of_owner_1(const void *item)
{
	return ((const struct turn *)item)->owner != '1';
}

static void
owner_who_may_not_is_passed_over_and_keeps_the_turn(void **state)
{
	struct fixture f = {.added = 0};

	(void)state;
	turns_init(&f.turns);
	add(&f, "11123");
	assert_ptr_equal(turns_take_ready(&f.turns, is_not_of_owner_1), &f.turn[3]);
	assert_ptr_equal(turns_take_ready(&f.turns, is_not_of_owner_1), &f.turn[4]);
	assert_null(turns_take_ready(&f.turns, is_not_of_owner_1));
	add(&f, "2");
	assert_order(&f, "afbc");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_owner_is_served_in_order),
	    cmocka_unit_test(owners_take_turns),
	    cmocka_unit_test(latecomer_waits_one_round_at_most),
	    cmocka_unit_test(removed_ones_are_passed_over),
	    cmocka_unit_test(place_can_be_used_again),
	    cmocka_unit_test(owner_who_may_not_is_passed_over_and_keeps_the_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
