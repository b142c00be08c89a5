/* base/position: where in a JSON text a value stands: line and column, for people. Pure; brigd and brig. */

#include "base/position.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* The text, and how far it was read. Each function below stops at the end of the text, whatever it holds. */
struct cursor {
	const char *text;
	size_t length;
	size_t at;
};

static char
peek(const struct cursor *c)
{
	return c->at < c->length ? c->text[c->at] : '\0';
}

static void
skip_space(struct cursor *c)
{
	while (c->at < c->length && strchr(" \t\r\n", c->text[c->at]) != NULL && c->text[c->at] != '\0')
		c->at++;
}

/* From a quote to behind the one that ends the string. */
static void
skip_string(struct cursor *c)
{
	for (c->at++; c->at < c->length && c->text[c->at] != '"'; c->at++)
		if (c->text[c->at] == '\\')
			c->at++;
	if (c->at < c->length)
		c->at++;
	else
		c->at = c->length;
}

/* Behind a value. Lists and objects are counted, not recursed into: they may be nested as deep as jansson allows. */
static void
skip_value(struct cursor *c)
{
	size_t depth = 0;

	do {
		char ch = peek(c);

		if (ch == '"') {
			skip_string(c);
			continue;
		}
		if (ch == '{' || ch == '[')
			depth++;
		else if ((ch == '}' || ch == ']') && depth-- == 0)
			return;
		else if (depth == 0 && (ch == ',' || strchr(" \t\r\n", ch) != NULL))
			return;
		c->at++;
	} while (c->at < c->length && (depth > 0 || strchr(",}] \t\r\n", peek(c)) == NULL));
}

/* Whether the string that begins at `from` and ends before `to`, quotes included, is this name. */
static bool
is_name(const struct cursor *c, size_t from, size_t to, const char *name)
{
	const char *raw = c->text + from;
	size_t length = to - from;
	json_t *decoded;
	bool same;

	if (length < 2)
		return false;
	if (memchr(raw, '\\', length) == NULL)
		return strlen(name) == length - 2 && memcmp(raw + 1, name, length - 2) == 0;
	decoded = json_loadb(raw, length, JSON_DECODE_ANY, NULL);
	same = json_is_string(decoded) && strcmp(json_string_value(decoded), name) == 0;
	json_decref(decoded);
	return same;
}

/* Behind a value, to the comma before the next one. Returns whether there is one. */
static bool
skip_to_comma(struct cursor *c)
{
	skip_value(c);
	skip_space(c);
	return peek(c) == ',';
}

/* From an object to the value of a member; *name is where that member's name is. */
static bool
enter_member(struct cursor *c, const char *wanted, size_t *name)
{
	if (peek(c) != '{')
		return false;
	for (c->at++; c->at < c->length; c->at++) {
		bool found;

		skip_space(c);
		if (peek(c) != '"')
			return false;
		*name = c->at;
		skip_string(c);
		found = is_name(c, *name, c->at, wanted);
		skip_space(c);
		if (peek(c) != ':')
			return false;
		c->at++;
		skip_space(c);
		if (found)
			return true;
		if (!skip_to_comma(c))
			return false;
	}
	return false;
}

/* From a list to an element. */
static bool
enter_element(struct cursor *c, size_t index)
{
	if (peek(c) != '[')
		return false;
	for (c->at++; c->at < c->length; c->at++) {
		skip_space(c);
		if (peek(c) == ']')
			return false;
		if (index-- == 0)
			return true;
		if (!skip_to_comma(c))
			return false;
	}
	return false;
}

/* Lines end with \n; of a character's bytes only the first counts. */
static void
count_lines(const char *text, struct position *p)
{
	p->line = 1;
	p->column = 1;
	for (size_t i = 0; i < p->offset; i++) {
		if (text[i] == '\n') {
			p->line++;
			p->column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			p->column++;
		}
	}
}

bool
position_find(const char *text, size_t length, const struct position_step *steps, size_t count, bool of_name,
    struct position *out)
{
	struct cursor c = {text, length, 0};
	struct position found;
	size_t name = 0;

	skip_space(&c);
	for (size_t i = 0; i < count; i++)
		if (!(steps[i].name != NULL ? enter_member(&c, steps[i].name, &name) : enter_element(&c, steps[i].index)))
			return false;
	if (c.at >= length)
		return false;
	found.offset = of_name && count > 0 && steps[count - 1].name != NULL ? name : c.at;
	count_lines(text, &found);
	*out = found;
	return true;
}

/* --- paths as text ------------------------------------------------------------------------------------------------ */

static bool
is_plain(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

	return name[0] != '\0' && (name[0] < '0' || name[0] > '9') && name[strspn(name, letters)] == '\0';
}

static void
print_name(FILE *f, const char *name, size_t name_max)
{
	size_t length = strlen(name), kept = name_max == 0 ? length : utf8_prefix(name, length, name_max);
	json_t *string = json_stringn_nocheck(name, kept);
	char *text = string == NULL ? NULL : json_dumps(string, JSON_ENCODE_ANY);
	const char *dots = kept < length ? "..." : "";

	if (is_plain(name))
		fprintf(f, ".%.*s%s", (int)kept, name, dots);
	else if (text != NULL)
		fprintf(f, "[%.*s%s\"]", (int)strlen(text) - 1, text, dots);
	else
		fprintf(f, "[?]");
	free(text);
	json_decref(string);
}

char *
position_path(const struct position_step *steps, size_t count, size_t name_max)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (f == NULL)
		return NULL;
	fputc('$', f);
	for (size_t i = 0; i < count; i++) {
		if (steps[i].name != NULL)
			print_name(f, steps[i].name, name_max);
		else
			fprintf(f, "[%zu]", steps[i].index);
	}
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}
