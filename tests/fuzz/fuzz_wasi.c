/* Fuzz target: calls of preview 1 on files, compared with a model (tests/fuzz/wasi_model.h). */

#include "tests/fuzz/input.h"
#include "tests/fuzz/wasi_model.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	wasi_model_run(data, size);
	return 0;
}
