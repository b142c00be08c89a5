/* runtime/warm: what is done once, before the jail, so that no fork has to do it. Zygote. */

#ifndef RUNTIME_WARM_H
#define RUNTIME_WARM_H

#include <wasm.h>
#include <wasmtime.h>

/*
 * warm_engine - have the engine look at a file without any code, which it refuses. Before its first artifact it asks what
 * this processor can do: where that is a virtual one, each such question is an exit to the hypervisor. What it learns is
 * the process's, and that of its forks.
 */
void warm_engine(wasm_engine_t *engine);

/*
 * warm_text - move this program's code, as far as it fills huge pages (madvise(2), MADV_COLLAPSE), into such pages. Code in a
 * file is mapped again, piece by piece, in each process that is forked, and unmapped at its end; a huge page is one entry.
 * Costs memory for a copy of the code. Before the jail, which allows no new code; with one thread. Where the kernel has no
 * such pages, or the program is not laid out for them, nothing changes.
 */
void warm_text(void);

/* warm_module - the same of a module's code, once warm_text was called; in the jail, before any of it runs. */
void warm_module(const wasmtime_module_t *module);

#endif
