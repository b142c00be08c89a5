/* policies: policy documents made by the generator of roll.h, over few values, so that all relations come up. Unit tests. */

#ifndef TESTS_UNIT_POLICIES_H
#define TESTS_UNIT_POLICIES_H

#include <jansson.h>

/* policies_generate - a good document; a field in `absent` (of 16) is not stated. The caller frees it. */
json_t *policies_generate(unsigned absent);

#endif
