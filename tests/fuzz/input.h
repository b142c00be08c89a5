/* tests/fuzz/input: what fuzz targets share: inputs taken apart, good data damaged, keys, checks. Fuzz targets. */

#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/keys.h"

/* What libFuzzer (make fuzz) or tests/fuzz/replay.c (make check) calls with each input. Always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* MUST - a property that holds for every input; where it does not, the program aborts, which is a finding. */
#define MUST(condition)                                                              \
	do {                                                                         \
		if (!(condition))                                                    \
			input_broken(__FILE__, __LINE__, #condition);                \
	} while (0)
void input_broken(const char *file, int line, const char *condition) __attribute__((noreturn));

/* The part of an input that is still unread. */
struct input {
	const uint8_t *p;
	size_t left;
};

/* input_byte, input_u16 - the next number (little-endian); 0 at the end. */
uint8_t input_byte(struct input *in);
uint16_t input_u16(struct input *in);

/* A block of its own size exactly, so that a sanitizer sees a step over its end. Owned; freed with free(). */
struct block {
	uint8_t *data;
	size_t length;
};

/* input_take - at most `length` of the next bytes. input_rest - all of them. input_text - those up to a NUL. */
struct block input_take(struct input *in, size_t length);
struct block input_rest(struct input *in);
struct block input_text(struct input *in);

/* input_string - the same as a string: ended by a NUL, without another inside. Freed by the caller. */
char *input_string(struct input *in);

/*
 * input_damage - change `b` as the next bytes say: up to seven times a byte changed, put in, or left out, or all from
 * there on cut off. Returns whether it is another block than before.
 */
bool input_damage(struct input *in, struct block *b);

/* input_key - a key pair that is the same in every run; `which` tells them apart. */
struct keys_secret input_key(uint8_t which);

/* input_lowest_fd - the lowest descriptor that is free: the same before and after, when none was left open. */
int input_lowest_fd(void);

/* input_directory - a directory of this process, made once below $TMPDIR and removed at exit. Returns a descriptor. */
int input_directory(void);

#endif
