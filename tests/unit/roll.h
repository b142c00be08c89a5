/* roll: the generator of tests over generated cases; a seed that is printed, and set by BRIG_SEED. Unit tests. */

#ifndef TESTS_UNIT_ROLL_H
#define TESTS_UNIT_ROLL_H

#include <stdint.h>

/* With what the generator began, to be named when a test fails. */
extern uint64_t roll_seed;

/* roll_start - begin anew, with the seed in the environment's BRIG_SEED, else with this one; the seed is printed. */
void roll_start(uint64_t seed);

/* roll - a number below `sides`. */
unsigned roll(unsigned sides);

#endif
