/*
 * Unit test of runtime/wasi: random calls on files, each compared with a model (tests/fuzz/wasi_model.h). BRIG_SEED=N replays,
 * BRIG_ROUNDS=N runs longer.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/fuzz/wasi_model.h"
#include "tests/unit/roll.h"

#define BYTES_MAX 4000 /* some hundreds of calls */

static void
random_calls_do_what_the_model_does(void **state)
{
	const char *text = getenv("BRIG_ROUNDS");
	unsigned long rounds = text != NULL ? strtoul(text, NULL, 10) : 600;

	(void)state;
	roll_start((uint64_t)time(NULL));
	fflush(stdout); /* the seed is told even when the program ends by MUST */
	for (unsigned long round = 0; round < rounds; round++) {
		size_t length = 100 + roll(BYTES_MAX - 100);
		uint8_t *data = malloc(length);

		for (size_t i = 0; i < length; i++)
			data[i] = (uint8_t)roll(256);
		wasi_model_run(data, length);
		free(data);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_calls_do_what_the_model_does)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
