/* Tests of broker/fair: also over generated cases; BRIG_SEED=N sets their seed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/fair.h"
#include "tests/unit/roll.h"

#define OWNERS 6
#define ITEMS  8192
#define CASES  300

/* Items carry their own place, so that what is taken tells whose it is. */
struct thing {
	struct fair_item place;
	unsigned owner, priority, number;
	bool waits, holds;
};

struct fixture {
	struct fair fair;
	struct fair_owner owners[OWNERS];
	struct thing things[ITEMS];
	unsigned added, taken[OWNERS];
	uint64_t now;
};

static struct fixture *
begin(const unsigned *weights, unsigned count)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fair_init(&f->fair);
	for (unsigned i = 0; i < OWNERS; i++)
		fair_owner_init(&f->owners[i], i < count ? weights[i] : 1);
	return f;
}

static struct thing *
add(struct fixture *f, unsigned owner, unsigned priority)
{
	struct thing *t = &f->things[f->added % ITEMS];

	while (t->waits || t->holds)
		t = &f->things[++f->added % ITEMS];
	*t = (struct thing){.owner = owner, .priority = priority, .number = f->added++, .waits = true};
	fair_add(&f->fair, &t->place, &f->owners[owner], priority, t, f->now);
	return t;
}

static struct thing *
take(struct fixture *f, bool (*ready)(const void *item))
{
	struct thing *t = fair_take(&f->fair, ready, f->now);

	if (t != NULL) {
		assert_true(t->waits);
		t->waits = false;
		f->taken[t->owner]++;
	}
	return t;
}

/* Adds "AaB": letters are owners, capital ones with a high priority; and what comes out, in the same letters. */
static void
assert_order(const unsigned *weights, unsigned count, const char *in, const char *expected)
{
	struct fixture *f = begin(weights, count);
	char out[100];
	size_t n = 0;
	struct thing *t;

	for (; *in != '\0'; in++)
		add(f, (unsigned)(*in | 0x20) - 'a', *in < 'a' ? 9 : 5);
	while ((t = take(f, NULL)) != NULL)
		out[n++] = (char)((t->priority == 9 ? 'A' : 'a') + (int)t->owner);
	out[n] = '\0';
	assert_string_equal(out, expected);
	assert_int_equal(f->fair.count, 0);
	free(f);
}

static void
owners_of_one_weight_take_turns(void **state)
{
	(void)state;
	assert_order(NULL, 0, "aaaaabac", "abcaaaaa");
	assert_order(NULL, 0, "aaabbb", "ababab");
	assert_order(NULL, 0, "", "");
}

static void
weights_say_how_many_turns(void **state)
{
	const unsigned weights[] = {3, 1};

	(void)state;
	assert_order(weights, 2, "aaaaaabb", "abaabaaa");
	assert_order(weights, 2, "bbaaaaaa", "baaabaaa");
}

static void
priorities_order_the_runs_of_one_owner_and_no_others(void **state)
{
	(void)state;
	assert_order(NULL, 0, "aaAaA", "AAaaa");
	assert_order(NULL, 0, "bbbAAA", "bAbAbA");
	assert_order(NULL, 0, "AAAAbb", "AbAbAA");
}

static void
who_comes_back_has_saved_nothing_up(void **state)
{
	struct fixture *f = begin(NULL, 0);

	(void)state;
	for (int i = 0; i < 100; i++)
		add(f, 0, 5);
	for (int i = 0; i < 50; i++)
		take(f, NULL);
	for (int i = 0; i < 10; i++)
		add(f, 1, 5);
	for (int i = 0; i < 20; i++)
		take(f, NULL);
	assert_in_range(f->taken[1], 9, 10);
	free(f);
}

/* One who has one run at a time, and asks for the next when it has ended, gets no more than the weight says either. */
static void
who_asks_one_at_a_time_gets_no_more(void **state)
{
	const unsigned weights[] = {9, 1};
	struct fixture *f = begin(weights, 2);
	struct thing *t;

	(void)state;
	for (int i = 0; i < 2000; i++)
		add(f, 0, 5);
	add(f, 1, 5);
	for (int i = 0; i < 1000; i++) {
		t = take(f, NULL);
		if (t->owner == 1)
			add(f, 1, 5);
	}
	assert_in_range(f->taken[1], 99, 101);
	free(f);
}

static unsigned barred; /* an owner who may not */

static bool
is_not_barred(const void *item)
{
	return ((const struct thing *)item)->owner != barred;
}

static void
who_may_not_is_passed_over_and_keeps_one_turn(void **state)
{
	struct fixture *f = begin(NULL, 0);

	(void)state;
	barred = 0;
	for (int i = 0; i < 40; i++)
		add(f, (unsigned)i % 2, 5);
	for (int i = 0; i < 10; i++)
		assert_int_equal(take(f, is_not_barred)->owner, 1);
	assert_int_equal(take(f, NULL)->owner, 0);
	f->taken[0] = f->taken[1] = 0;
	for (int i = 0; i < 10; i++)
		take(f, NULL);
	assert_in_range(f->taken[0], 4, 6);
	while (take(f, is_not_barred) != NULL)
		;
	assert_true(f->fair.count > 0); /* those that may not */
	free(f);
}

static void
removing_costs_nothing(void **state)
{
	struct fixture *f = begin(NULL, 0);
	struct thing *first, *last;

	(void)state;
	first = add(f, 0, 5);
	add(f, 1, 5);
	last = add(f, 0, 9);
	fair_remove(&f->fair, &first->place, 0);
	fair_remove(&f->fair, &last->place, 0);
	assert_int_equal(f->fair.count, 1);
	assert_true(fair_is_settled(&f->fair, &f->owners[0]));
	assert_false(fair_is_settled(&f->fair, &f->owners[1]));
	assert_int_equal(take(f, NULL)->owner, 1);
	assert_null(take(f, NULL));
	assert_true(fair_is_settled(&f->fair, &f->owners[1])); /* nothing waits: all begin anew */
	free(f);
}

/* --- over generated cases ----------------------------------------------------------------------------------------- */

static unsigned
random_weights(unsigned weights[OWNERS])
{
	unsigned sum = 0;

	for (unsigned i = 0; i < OWNERS; i++)
		sum += weights[i] = 1 + roll(roll(3) == 0 ? 30 : 4);
	return sum;
}

/* Owners who always have something waiting: after any number of turns each had its share, to within one turn of each. */
static void
shares_follow_weights_at_every_moment(void **state)
{
	(void)state;
	roll_start(1);
	for (int c = 0; c < CASES; c++) {
		unsigned weights[OWNERS], sum = random_weights(weights);
		struct fixture *f = begin(weights, OWNERS);

		for (unsigned i = 0; i < OWNERS; i++)
			for (int k = 0; k < 3; k++)
				add(f, i, roll(FAIR_PRIORITIES));
		for (unsigned turns = 1; turns < 1000; turns++) {
			struct thing *t = take(f, NULL);

			add(f, t->owner, roll(FAIR_PRIORITIES));
			for (unsigned i = 0; i < OWNERS; i++) {
				double share = (double)turns * weights[i] / sum;

				if (f->taken[i] > share + OWNERS || f->taken[i] + OWNERS < share)
					fail_msg("seed %ju case %d: owner %u of weight %u of %u had %u of %u turns", (uintmax_t)roll_seed, c, i,
					    weights[i], sum, f->taken[i], turns);
			}
		}
		free(f);
	}
}

/* Whatever the others do, whoever waits is taken within as many turns as the weights say. */
static void
nobody_starves(void **state)
{
	(void)state;
	roll_start(2);
	for (int c = 0; c < CASES; c++) {
		unsigned weights[OWNERS], sum = random_weights(weights), waited[OWNERS] = {0};
		struct fixture *f = begin(weights, OWNERS);

		for (unsigned turns = 0; turns < 1500; turns++) {
			unsigned who = roll(OWNERS);
			struct thing *t;

			if (f->fair.count < ITEMS / 2 && roll(4) > 0)
				for (unsigned k = roll(4); k > 0; k--)
					add(f, who, roll(FAIR_PRIORITIES));
			if ((t = take(f, NULL)) == NULL)
				continue;
			for (unsigned i = 0; i < OWNERS; i++) {
				waited[i] = f->owners[i].count == 0 || t->owner == i ? 0 : waited[i] + 1;
				if (waited[i] > 2 * (sum / weights[i] + OWNERS + 1))
					fail_msg("seed %ju case %d: owner %u of weight %u of %u waits for %u turns", (uintmax_t)roll_seed, c, i,
					    weights[i], sum, waited[i]);
			}
		}
		free(f);
	}
}

/* The same requests with other priorities: whose turn it is does not change, only which of theirs is taken. */
static void
priorities_do_not_cross_owners(void **state)
{
	(void)state;
	roll_start(3);
	for (int c = 0; c < CASES; c++) {
		unsigned weights[OWNERS];
		struct fixture *plain, *urgent;

		random_weights(weights);
		plain = begin(weights, OWNERS);
		urgent = begin(weights, OWNERS);
		for (unsigned turns = 0; turns < 400; turns++) {
			unsigned who = roll(OWNERS);
			struct thing *a, *b;

			add(plain, who, 5);
			add(urgent, who, who == 0 ? 9 : roll(FAIR_PRIORITIES));
			if (roll(3) == 0)
				continue;
			a = take(plain, NULL);
			b = take(urgent, NULL);
			assert_int_equal(a->owner, b->owner);
		}
		free(plain);
		free(urgent);
	}
}

/* Of one owner, what is taken has the highest priority that waits, and of these it came first. */
static void
each_owner_is_served_by_priority_then_age(void **state)
{
	(void)state;
	roll_start(4);
	for (int c = 0; c < CASES; c++) {
		struct fixture *f = begin(NULL, 0);

		for (unsigned turns = 0; turns < 300; turns++) {
			struct thing *t;

			add(f, roll(OWNERS), roll(FAIR_PRIORITIES));
			if (roll(2) == 0 || (t = take(f, NULL)) == NULL)
				continue;
			for (unsigned i = 0; i < f->added; i++) {
				const struct thing *o = &f->things[i];

				if (o->waits && o->owner == t->owner)
					assert_true(o->priority < t->priority || (o->priority == t->priority && o->number > t->number));
			}
		}
		free(f);
	}
}

/* --- by how long places are held ---------------------------------------------------------------------------------- */

#define PLACES 8

struct places {
	struct thing *thing[PLACES];
	uint64_t since[PLACES], until[PLACES];
	uint64_t held[OWNERS]; /* by owner */
};

/* Fills the places; an owner's runs take up to twice `usual`, 0 for an owner without any. */
static void
fill(struct fixture *f, struct places *p, const unsigned usual[OWNERS])
{
	for (unsigned i = 0; i < OWNERS; i++)
		while (usual[i] > 0 && f->owners[i].count < 3)
			add(f, i, roll(FAIR_PRIORITIES));
	for (int i = 0; i < PLACES; i++)
		if (p->thing[i] == NULL && (p->thing[i] = take(f, NULL)) != NULL) {
			p->thing[i]->holds = true;
			p->since[i] = f->now;
			p->until[i] = f->now + 1 + roll(2 * usual[p->thing[i]->owner]);
		}
}

/* Goes on to the end of the first that ends. */
static void
next_end(struct fixture *f, struct places *p)
{
	int first = -1;

	for (int i = 0; i < PLACES; i++)
		if (p->thing[i] != NULL && (first < 0 || p->until[i] < p->until[first]))
			first = i;
	f->now = p->until[first];
	p->held[p->thing[first]->owner] += f->now - p->since[first];
	fair_return(&f->fair, &p->thing[first]->place, f->now);
	p->thing[first]->holds = false;
	p->thing[first] = NULL;
}

static void
who_holds_places_longer_gets_fewer_starts(void **state)
{
	static const unsigned usual[OWNERS] = {2000, 20000, 500000}; /* microseconds */

	(void)state;
	roll_start(5);
	for (int c = 0; c < 10; c++) {
		unsigned weights[OWNERS] = {1 + roll(4), 1 + roll(4), 1 + roll(4)}, sum = 0;
		struct fixture *f;
		struct places p = {0};
		uint64_t held = 0;

		f = begin(weights, OWNERS);
		while (f->taken[2] < 400) {
			fill(f, &p, usual);
			next_end(f, &p);
		}
		for (unsigned i = 0; i < 3; i++) {
			sum += weights[i];
			held += p.held[i];
		}
		for (unsigned i = 0; i < 3; i++) {
			double is = (double)p.held[i] / (double)held, wanted = (double)weights[i] / sum;

			if (is < wanted * 0.9 || is > wanted * 1.1)
				fail_msg("seed %ju case %d: owner %u of weight %u of %u held %.4f of the time", (uintmax_t)roll_seed, c, i,
				    weights[i], sum, is);
		}
		free(f);
	}
}

/* Long ones, of one who was there alone: others who come get their share from then on, and no more. */
static void
what_was_held_while_nobody_else_waited_costs_nothing(void **state)
{
	static const unsigned alone[OWNERS] = {100000}, both[OWNERS] = {100000, 100000};
	struct fixture *f = begin(NULL, 0);
	struct places p = {0};

	(void)state;
	roll_start(6);
	for (int n = 0; n < 10000; n++) {
		fill(f, &p, alone);
		next_end(f, &p);
	}
	memset(p.held, 0, sizeof(p.held));
	memset(f->taken, 0, sizeof(f->taken));
	for (int n = 0; n < 100; n++) {
		fill(f, &p, both);
		next_end(f, &p);
	}
	assert_in_range(f->taken[0], 50 - 2 * PLACES, 50 + 2 * PLACES);
	free(f);
}

/* Who starts many at once, and has no past, is charged for each start before the first has ended. */
static void
starts_are_not_free(void **state)
{
	struct fixture *f = begin(NULL, 0);

	(void)state;
	for (int n = 0; n < 40; n++)
		add(f, (unsigned)n % 2, 5);
	for (int n = 0; n < 20; n++)
		take(f, NULL);
	assert_true(f->taken[0] == 10 && f->taken[1] == 10);
	free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(owners_of_one_weight_take_turns),
	    cmocka_unit_test(weights_say_how_many_turns),
	    cmocka_unit_test(priorities_order_the_runs_of_one_owner_and_no_others),
	    cmocka_unit_test(who_comes_back_has_saved_nothing_up),
	    cmocka_unit_test(who_asks_one_at_a_time_gets_no_more),
	    cmocka_unit_test(who_may_not_is_passed_over_and_keeps_one_turn),
	    cmocka_unit_test(removing_costs_nothing),
	    cmocka_unit_test(shares_follow_weights_at_every_moment),
	    cmocka_unit_test(nobody_starves),
	    cmocka_unit_test(priorities_do_not_cross_owners),
	    cmocka_unit_test(each_owner_is_served_by_priority_then_age),
	    cmocka_unit_test(who_holds_places_longer_gets_fewer_starts),
	    cmocka_unit_test(what_was_held_while_nobody_else_waited_costs_nothing),
	    cmocka_unit_test(starts_are_not_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
