/* tests/unit/wasm_build: makes small modules byte by byte, so that unit tests need no toolchain. Unit tests. */

#ifndef TESTS_UNIT_WASM_BUILD_H
#define TESTS_UNIT_WASM_BUILD_H

#include <stddef.h>
#include <stdint.h>

#define WASM_BYTES_MAX 8192
#define WASM_ITEMS_MAX 8

/* A string of bytes with its length, and the same with the length taken from the string literal. */
struct wasm_text {
	const char *data;
	size_t length;
};
#define WASM_TEXT(literal) {(literal), sizeof(literal) - 1}

/*
 * What a module is made of; what is absent is left out. Types and codes are in the binary format. Functions are
 * numbered imports first.
 */
struct wasm_module {
	struct wasm_text types[WASM_ITEMS_MAX]; /* "\x60 params results" each */
	struct {
		const char *module;
		const char *name;
		struct wasm_text rest; /* kind and type: "\x00\x01" is a function of type 1 */
	} imports[WASM_ITEMS_MAX];
	struct {
		uint8_t type;
		const char *name; /* in the name section; NULL for none */
		struct wasm_text code; /* instructions with the final end; locals: one i32 */
	} functions[WASM_ITEMS_MAX];
	uint32_t tables[WASM_ITEMS_MAX]; /* least elements of each; 0 ends the list */
	uint32_t memory_pages;
	uint32_t memory_pages_max; /* 0 for none */
	struct {
		const char *name;
		struct wasm_text rest; /* kind and number: "\x02\x00" is memory 0 */
	} exports[WASM_ITEMS_MAX];
	const char *start; /* "\0" etc.: the number of the start function as one character; NULL for none */
	struct {
		uint8_t at; /* address, below 64 */
		struct wasm_text bytes;
	} data[WASM_ITEMS_MAX];
};

/* wasm_build - the module's bytes in out[0..WASM_BYTES_MAX]; returns how many. Asserts that they fit. */
size_t wasm_build(const struct wasm_module *m, uint8_t *out);

/* Instructions that tests are written with. */
#define I32_CONST(byte)  "\x41" byte /* signed LEB128 */
#define CALL(byte)       "\x10" byte
#define DROP             "\x1a"
#define END              "\x0b"
#define UNREACHABLE      "\x00"
#define LOOP             "\x03\x40" /* no result */
#define BR(byte)         "\x0c" byte
#define MEMORY_GROW      "\x40\x00"
#define MEMORY_FILL      "\xfc\x0b\x00"
#define I32_STORE        "\x36\x02\x00"
#define I32_LOAD         "\x28\x02\x00"

/* Types. */
#define TYPE_NONE        WASM_TEXT("\x60\x00\x00")
#define TYPE_I_NONE      WASM_TEXT("\x60\x01\x7f\x00")
#define TYPE_IIII_I      WASM_TEXT("\x60\x04\x7f\x7f\x7f\x7f\x01\x7f")

#endif
