/* tests/fuzz/wasi_model: calls of preview 1 beside a model of what they do. Fuzz target and unit test. */

#ifndef TESTS_FUZZ_WASI_MODEL_H
#define TESTS_FUZZ_WASI_MODEL_H

#include <stddef.h>
#include <stdint.h>

/*
 * wasi_model_run - make the calls that these bytes say, by the handlers of runtime/wasi, and compare each with a model that
 * is written another way: a flat list of full paths, resolved as text. The first byte says what policy grants, and whether
 * the files are in memory or in a directory of the host. Where they differ the program ends with what was called (MUST).
 */
void wasi_model_run(const uint8_t *data, size_t size);

#endif
