/* base/json_text: JSON as text, written member by member. Any process with jansson. */

#ifndef BASE_JSON_TEXT_H
#define BASE_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * For texts that are made often and read elsewhere: making an object first and then its text costs ten times as much.
 * Start with {0}. Keys are constants, of letters, digits and '_', each once in an object, which is up to the caller; in an
 * array, and for the outermost value, the key is NULL. Without memory nothing is added any more, and `failed` says so at
 * the end. Texts that need escaping, and values, are written by jansson.
 */
struct json_text {
	char *text;          /* owned: json_text_free, or taken away; NUL-terminated once there is any */
	size_t length, room;
	bool failed;
};

/* json_text_open, json_text_close - begin an object ('{') or an array ('['); end it, with '}' or ']'. */
void json_text_open(struct json_text *t, const char *key, char bracket);
void json_text_close(struct json_text *t, char bracket);

/* json_text_integer - a number. json_text_count - the same, for what never is negative; INT64_MAX when it is more. */
void json_text_integer(struct json_text *t, const char *key, int64_t n);
void json_text_count(struct json_text *t, const char *key, uint64_t n);

/* json_text_digits - a number as a string. */
void json_text_digits(struct json_text *t, const char *key, uint64_t n);

/* json_text_bool - true or false. */
void json_text_bool(struct json_text *t, const char *key, bool value);

/* json_text_string - s[0..length], which holds no NUL, as a string; each byte that is no part of a character becomes '?'. */
void json_text_string(struct json_text *t, const char *key, const char *s, size_t length);

/* json_text_value - any value. json_text_embed - the members of an object. */
void json_text_value(struct json_text *t, const char *key, const json_t *value);
void json_text_embed(struct json_text *t, const json_t *object);

/* json_text_raw - what is JSON already. json_text_members - members of an object, without its braces; none when empty. */
void json_text_raw(struct json_text *t, const char *key, const char *json, size_t length);
void json_text_members(struct json_text *t, const char *members, size_t length);

/* json_text_free - free the text, and be as at the start. */
void json_text_free(struct json_text *t);

#endif
