/* runtime/warm: has the engine learn what it would else learn again after each fork. Zygote. */

#ifndef RUNTIME_WARM_H
#define RUNTIME_WARM_H

#include <wasm.h>

/*
 * warm_engine - have the engine look at a file without any code, which it refuses. Before its first artifact it asks what
 * this processor can do: where that is a virtual one, each such question is an exit to the hypervisor. What it learns is
 * the process's, and that of its forks.
 */
void warm_engine(wasm_engine_t *engine);

#endif
