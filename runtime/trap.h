/* runtime/trap: the ways in which guest code can trap, with names for people. Worker and brigd; uses no engine. */

#ifndef RUNTIME_TRAP_H
#define RUNTIME_TRAP_H

/*
 * name: as in results ("trap": {"kind": ...}); value: as in proto_result.trap, never reused; code: the engine's
 * WASMTIME_TRAP_CODE_*, or -1 where the engine has none. Whatever the engine reports that is not in the table is
 * `other`. `interrupt` and `out_of_fuel` end up as limits, not as traps, unless nobody asked for them.
 */
#define RUNTIME_TRAPS(X)                                                                                       \
	/* name                      value  code  what happened                                             */ \
	X(stack_overflow,                1,   0, "the call stack is exhausted")                                \
	X(memory_out_of_bounds,          2,   1, "a load or store outside of the memory")                      \
	X(heap_misaligned,               3,   2, "an atomic operation at a misaligned address")                \
	X(table_out_of_bounds,           4,   3, "an access outside of a table")                               \
	X(indirect_call_to_null,         5,   4, "an indirect call through an empty table entry")              \
	X(bad_signature,                 6,   5, "an indirect call to a function of another type")             \
	X(integer_overflow,              7,   6, "an integer overflow")                                        \
	X(integer_division_by_zero,      8,   7, "an integer division by zero")                                \
	X(bad_conversion_to_integer,     9,   8, "a float that no integer of this size can hold")              \
	X(unreachable,                  10,   9, "an `unreachable` instruction: often a panic or an abort")    \
	X(interrupt,                    11,  10, "interrupted by the host")                                    \
	X(out_of_fuel,                  12,  11, "out of fuel")                                                \
	X(atomic_wait_non_shared,       13,  12, "an atomic wait on memory that is not shared")                \
	X(null_reference,               14,  13, "a call or access through a null reference")                  \
	X(array_out_of_bounds,          15,  14, "an access outside of an array")                              \
	X(allocation_too_large,         16,  15, "an allocation that is too large")                            \
	X(cast_failure,                 17,  16, "a cast to a type that the reference does not have")          \
	X(uncaught_exception,           18,  49, "an exception that nothing caught")                           \
	X(signal,                       19,  -1, "the guest raised a signal that ends it")                     \
	X(other,                        20,  -1, "a trap that this version has no name for")

enum runtime_trap {
	RUNTIME_TRAP_NONE = 0,
#define X(name, value, code, text) RUNTIME_TRAP_##name = value,
	RUNTIME_TRAPS(X)
#undef X
};

#endif
