/* Fuzz target: position: steps (a byte how many, names up to a NUL), then a text: each value is where jansson reads it. */

#include "base/position.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/input.h"

#define STEPS_MAX  12
#define VALUES_MAX 200 /* each costs the whole text */

/* Whether the value at the place is this one. */
static bool
stands_at(const struct block *text, size_t offset, const json_t *value)
{
	json_t *read = json_loadb((const char *)text->data + offset, text->length - offset,
	    JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, NULL);
	bool same = read != NULL && json_equal(read, value);

	json_decref(read);
	return same;
}

static void
must_count(const struct block *text, const struct position *p)
{
	size_t line = 1;

	for (size_t i = 0; i < p->offset; i++)
		line += text->data[i] == '\n';
	MUST(p->line == line && p->column >= 1 && p->column <= p->offset + 1);
}

static void
must_find(const struct block *text, const json_t *value, struct position_step *steps, size_t count, size_t *left)
{
	struct position p = {0};
	const char *name;
	json_t *inner;
	char *path;
	size_t i;

	if (count == STEPS_MAX || *left == 0)
		return;
	--*left;
	MUST(position_find((const char *)text->data, text->length, steps, count, false, &p));
	MUST(p.offset < text->length && stands_at(text, p.offset, value));
	must_count(text, &p);
	path = position_path(steps, count, 20);
	MUST(path != NULL && path[0] == '$');
	free(path);
	json_array_foreach(value, i, inner) {
		steps[count] = (struct position_step){NULL, i};
		must_find(text, inner, steps, count + 1, left);
	}
	json_object_foreach((json_t *)(uintptr_t)value, name, inner) {
		json_t *string = json_string(name);

		steps[count] = (struct position_step){name, 0};
		MUST(position_find((const char *)text->data, text->length, steps, count + 1, true, &p));
		MUST(stands_at(text, p.offset, string));
		json_decref(string);
		must_find(text, inner, steps, count + 1, left);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct position_step steps[STEPS_MAX];
	size_t count = input_byte(&in) % 4, left = VALUES_MAX;
	struct position p = {0};
	char *names[4] = {NULL};
	struct block text;
	json_t *value;

	for (size_t i = 0; i < count; i++) {
		size_t index = input_byte(&in);

		names[i] = input_string(&in);
		steps[i] = (struct position_step){index % 2 == 0 ? names[i] : NULL, index / 2};
	}
	text = input_rest(&in);
	if (position_find((const char *)text.data, text.length, steps, count, (size & 1) != 0, &p)) {
		MUST(p.offset < text.length);
		must_count(&text, &p);
	}
	value = json_loadb((const char *)text.data, text.length, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	if (value != NULL && memchr(text.data, 0, text.length) == NULL)
		must_find(&text, value, steps, 0, &left);
	json_decref(value);
	free(text.data);
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	return 0;
}
