/* tests/unit/wasm_build: makes small modules byte by byte, so that unit tests need no toolchain. Unit tests. */

#include "tests/unit/wasm_build.h"

#include <assert.h>
#include <string.h>

struct bytes {
	uint8_t data[WASM_BYTES_MAX];
	size_t length;
};

static void
put(struct bytes *b, const void *data, size_t length)
{
	assert(length <= sizeof(b->data) - b->length);
	memcpy(b->data + b->length, data, length);
	b->length += length;
}

static void
put_byte(struct bytes *b, unsigned value)
{
	uint8_t byte = (uint8_t)value;

	put(b, &byte, 1);
}

static void
put_number(struct bytes *b, size_t value)
{
	for (; value >= 0x80; value >>= 7)
		put_byte(b, (unsigned)(value & 0x7f) | 0x80);
	put_byte(b, (unsigned)value);
}

static void
put_name(struct bytes *b, const char *name)
{
	put_number(b, strlen(name));
	put(b, name, strlen(name));
}

static void
put_text(struct bytes *b, struct wasm_text text)
{
	put(b, text.data, text.length);
}

/* A section, or nothing when it has no items. `items` SIZE_MAX: the content has no count. */
static void
put_section(struct bytes *b, unsigned id, size_t items, const struct bytes *content)
{
	struct bytes counted = {.length = 0};

	if (items == 0)
		return;
	if (items != SIZE_MAX)
		put_number(&counted, items);
	put(&counted, content->data, content->length);
	put_byte(b, id);
	put_number(b, counted.length);
	put(b, counted.data, counted.length);
}

static size_t
put_imports(struct bytes *b, const struct wasm_module *m)
{
	struct bytes content = {.length = 0};
	size_t n = 0;

	for (; n < WASM_ITEMS_MAX && m->imports[n].module != NULL; n++) {
		put_name(&content, m->imports[n].module);
		put_name(&content, m->imports[n].name);
		put_text(&content, m->imports[n].rest);
	}
	put_section(b, 2, n, &content);
	return n;
}

static void
put_tables_and_memory(struct bytes *b, const struct wasm_module *m)
{
	struct bytes tables = {.length = 0}, memory = {.length = 0};
	size_t n = 0;

	for (; n < WASM_ITEMS_MAX && m->tables[n] != 0; n++) {
		put(&tables, "\x70\x00", 2);
		put_number(&tables, m->tables[n]);
	}
	put_section(b, 4, n, &tables);
	if (m->memory_pages == 0)
		return;
	put_byte(&memory, m->memory_pages_max != 0);
	put_number(&memory, m->memory_pages);
	if (m->memory_pages_max != 0)
		put_number(&memory, m->memory_pages_max);
	put_section(b, 5, 1, &memory);
}

static void
put_exports_and_start(struct bytes *b, const struct wasm_module *m)
{
	struct bytes content = {.length = 0}, start = {.length = 0};
	size_t n = 0;

	for (; n < WASM_ITEMS_MAX && m->exports[n].name != NULL; n++) {
		put_name(&content, m->exports[n].name);
		put_text(&content, m->exports[n].rest);
	}
	put_section(b, 7, n, &content);
	if (m->start != NULL) {
		put(&start, m->start, 1);
		put_section(b, 8, SIZE_MAX, &start);
	}
}

static void
put_code(struct bytes *b, const struct wasm_module *m, size_t functions)
{
	struct bytes content = {.length = 0};

	for (size_t i = 0; i < functions; i++) {
		put_number(&content, 3 + m->functions[i].code.length);
		put(&content, "\x01\x01\x7f", 3);
		put_text(&content, m->functions[i].code);
	}
	put_section(b, 10, functions, &content);
}

static void
put_data(struct bytes *b, const struct wasm_module *m)
{
	struct bytes content = {.length = 0};
	size_t n = 0;

	for (; n < WASM_ITEMS_MAX && m->data[n].bytes.length > 0; n++) {
		put(&content, "\x00\x41", 2);
		put_byte(&content, m->data[n].at);
		put_byte(&content, 0x0b);
		put_number(&content, m->data[n].bytes.length);
		put_text(&content, m->data[n].bytes);
	}
	put_section(b, 11, n, &content);
}

/* The custom section `name`, with function names only. */
static void
put_names(struct bytes *b, const struct wasm_module *m, size_t imports, size_t functions)
{
	struct bytes list = {.length = 0}, section = {.length = 0};
	size_t n = 0;

	for (size_t i = 0; i < functions; i++) {
		if (m->functions[i].name == NULL)
			continue;
		put_number(&list, imports + i);
		put_name(&list, m->functions[i].name);
		n++;
	}
	if (n == 0)
		return;
	put_name(&section, "name");
	put_section(&section, 1, n, &list);
	put_section(b, 0, SIZE_MAX, &section);
}

size_t
wasm_build(const struct wasm_module *m, uint8_t *out)
{
	struct bytes b = {.length = 0}, content = {.length = 0};
	size_t n = 0, imports, functions = 0;

	put(&b, "\0asm\1\0\0\0", 8);
	for (; n < WASM_ITEMS_MAX && m->types[n].length > 0; n++)
		put_text(&content, m->types[n]);
	put_section(&b, 1, n, &content);
	imports = put_imports(&b, m);
	content.length = 0;
	for (; functions < WASM_ITEMS_MAX && m->functions[functions].code.length > 0; functions++)
		put_byte(&content, m->functions[functions].type);
	put_section(&b, 3, functions, &content);
	put_tables_and_memory(&b, m);
	put_exports_and_start(&b, m);
	put_code(&b, m, functions);
	put_data(&b, m);
	put_names(&b, m, imports, functions);
	memcpy(out, b.data, b.length);
	return b.length;
}
