/* roll: the generator of tests over generated cases; a seed that is printed, and set by BRIG_SEED. Unit tests. */

#include "tests/unit/roll.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t roll_seed;
static uint64_t generator;

void
roll_start(uint64_t seed)
{
	const char *given = getenv("BRIG_SEED");

	roll_seed = given == NULL ? seed : strtoull(given, NULL, 0);
	generator = roll_seed == 0 ? 1 : roll_seed;
	printf("# seed %llu (BRIG_SEED)\n", (unsigned long long)roll_seed);
}

/* xorshift; the upper bits are the better ones */
unsigned
roll(unsigned sides)
{
	generator ^= generator << 13;
	generator ^= generator >> 7;
	generator ^= generator << 17;
	return (unsigned)((generator >> 16) % sides);
}
