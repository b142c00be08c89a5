/* base/json_text: JSON as text, written member by member. Any process with jansson. */

#include "base/json_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define ROOM_FIRST 2048 /* what most texts fit into */

/* Makes room for `n` bytes more and a NUL. */
static bool
reserve(struct json_text *t, size_t n)
{
	size_t room = t->room > 0 ? t->room : ROOM_FIRST;
	char *more;

	if (t->failed)
		return false;
	if (n < t->room - t->length)
		return true;
	while (room - t->length <= n) {
		if (__builtin_mul_overflow(room, 2, &room))
			goto fail;
	}
	if ((more = realloc(t->text, room)) == NULL)
		goto fail;
	t->text = more;
	t->room = room;
	return true;
fail:
	t->failed = true;
	return false;
}

static void
append(struct json_text *t, const char *s, size_t n)
{
	if (!reserve(t, n))
		return;
	memcpy(t->text + t->length, s, n);
	t->length += n;
	t->text[t->length] = '\0';
}

/* What stands before a value: a comma, if there is one before it, and its key. */
static void
begin(struct json_text *t, const char *key)
{
	char last = t->length > 0 ? t->text[t->length - 1] : '{';
	size_t n = key != NULL ? strlen(key) : 0;
	char *p;

	if (!reserve(t, n + 4))
		return;
	p = t->text + t->length;
	if (last != '{' && last != '[')
		*p++ = ',';
	if (key != NULL) {
		*p++ = '"';
		p = mempcpy(p, key, n);
		*p++ = '"';
		*p++ = ':';
	}
	*p = '\0';
	t->length = (size_t)(p - t->text);
}

void
json_text_open(struct json_text *t, const char *key, char bracket)
{
	begin(t, key);
	append(t, &bracket, 1);
}

void
json_text_close(struct json_text *t, char bracket)
{
	append(t, &bracket, 1);
}

/* Writes a number's digits before `end`. Returns the first. */
static char *
digits_of(uint64_t n, char *end)
{
	do {
		*--end = (char)('0' + n % 10);
	} while ((n /= 10) > 0);
	return end;
}

void
json_text_integer(struct json_text *t, const char *key, int64_t n)
{
	char text[24], *end = text + sizeof(text), *p = digits_of(n < 0 ? -(uint64_t)n : (uint64_t)n, end);

	if (n < 0)
		*--p = '-';
	json_text_raw(t, key, p, (size_t)(end - p));
}

void
json_text_digits(struct json_text *t, const char *key, uint64_t n)
{
	char text[24], *end = text + sizeof(text), *p = digits_of(n, end);

	json_text_string(t, key, p, (size_t)(end - p));
}

void
json_text_count(struct json_text *t, const char *key, uint64_t n)
{
	json_text_integer(t, key, n > INT64_MAX ? INT64_MAX : (int64_t)n);
}

void
json_text_bool(struct json_text *t, const char *key, bool value)
{
	json_text_raw(t, key, value ? "true" : "false", value ? 4 : 5);
}

/* Whether a text is written as it stands between the quotes. */
static bool
is_plain(const char *s, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\')
			return false;
	return true;
}

static json_t *
mended(const char *s, size_t length)
{
	char *copy = strndup(s, length);
	json_t *json = NULL;

	if (copy != NULL) {
		utf8_mend(copy);
		json = json_string(copy);
	}
	free(copy);
	return json;
}

void
json_text_string(struct json_text *t, const char *key, const char *s, size_t length)
{
	json_t *json;

	if (is_plain(s, length)) {
		begin(t, key);
		append(t, "\"", 1);
		append(t, s, length);
		append(t, "\"", 1);
		return;
	}
	if ((json = json_stringn(s, length)) == NULL)
		json = mended(s, length);
	json_text_value(t, key, json);
	json_decref(json);
}

static void
dump(struct json_text *t, const char *key, const json_t *value, size_t flags)
{
	size_t n;

	begin(t, key);
	for (;;) {
		size_t room = t->room - t->length - 1; /* begin has left some */

		if (t->failed)
			return;
		if ((n = json_dumpb(value, t->text + t->length, room, flags | JSON_COMPACT)) == 0)
			t->failed = true;
		else if (n <= room)
			break;
		else
			reserve(t, n);
	}
	t->length += n;
	t->text[t->length] = '\0';
}

void
json_text_value(struct json_text *t, const char *key, const json_t *value)
{
	dump(t, key, value, JSON_ENCODE_ANY);
}

void
json_text_embed(struct json_text *t, const json_t *object)
{
	if (json_object_size(object) > 0)
		dump(t, NULL, object, JSON_EMBED);
}

void
json_text_raw(struct json_text *t, const char *key, const char *json, size_t length)
{
	begin(t, key);
	append(t, json, length);
}

void
json_text_members(struct json_text *t, const char *members, size_t length)
{
	if (length > 0)
		json_text_raw(t, NULL, members, length);
}

void
json_text_free(struct json_text *t)
{
	free(t->text);
	*t = (struct json_text){0};
}
