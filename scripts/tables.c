/* scripts/tables: prints the tables of the documentation from the tables of the code. Build time. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/proto.h"
#include "broker/config.h"
#include "broker/methods.h"
#include "broker/metrics.h"
#include "broker/rpc_errors.h"
#include "broker/run_result.h"
#include "broker/shares.h"
#include "clients/c/apply_guard.h"
#include "policy/explain.h"
#include "policy/internal.h"
#include "policy/policy.h"
#include "runtime/trap.h"
#include "runtime/wasi/table.h"
#include "tests/guests/c/errnos.h"
#include "tests/unit/attempts_table.h"

/* The text of a cell: '|' would end it. */
static void
cell(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '|')
			putchar('\\');
		putchar(*text);
	}
}

static void
errors(void)
{
	puts("| code | name | message | what to do |\n|---|---|---|---|");
#define X(name, number, title, advice)                             \
	printf("| %d | `%s` | %s | ", number, #name, title);       \
	cell(advice);                                              \
	puts(" |");
	RPC_ERRORS(X)
#undef X
}

static void
limits(void)
{
	puts("| name | default | maximum | what is limited |\n|---|---|---|---|");
	for (size_t i = 0; i < POLICY_LIMIT_COUNT; i++) {
		const struct policy_limit_info *l = &policy_limit_info[i];
		char initial[POLICY_LIMIT_TEXT_SIZE], maximum[POLICY_LIMIT_TEXT_SIZE];

		printf("| `%s` | %s | %s | %s |\n", l->name,
		    l->initial == 0 ? "none" : policy_limit_text((enum policy_limit)i, l->initial, initial),
		    policy_limit_text((enum policy_limit)i, l->maximum, maximum), l->text);
	}
}

static void
fields(void)
{
	puts("| field | what it says |\n|---|---|");
	for (size_t i = 0; i < POLICY_FIELD_COUNT; i++)
		printf("| `%s` | %s |\n", policy_field_names[i], policy_field_texts[i]);
}

/* A value on one line; nothing for none. */
static void
value(const json_t *json)
{
	char *text = json == NULL ? NULL : json_dumps(json, JSON_ENCODE_ANY | JSON_SORT_KEYS);

	if (json_is_string(json) && text != NULL && strlen(text) > 60) { /* a seed */
		text[14] = '\0';
		printf("`%s...\"`", text);
	} else if (text != NULL) {
		printf("`%s`", text);
	}
	free(text);
}

/* What a schema allows, in a few words. */
static void
type_of(const json_t *schema)
{
	const json_t *words = json_object_get(schema, "enum"), *items = json_object_get(schema, "items"), *word;
	const char *type = json_string_value(json_object_get(schema, "type"));
	size_t i;

	if (json_object_get(schema, "const") != NULL)
		value(json_object_get(schema, "const"));
	json_array_foreach(words, i, word) {
		fputs(i == 0 ? "" : ", ", stdout);
		value(word);
	}
	if (type != NULL)
		fputs(strcmp(type, "array") == 0 ? "list" : strcmp(type, "integer") == 0 ? "whole number" : type, stdout);
	if (json_object_get(schema, "maxItems") != NULL)
		printf(items == NULL ? " of %lld" : " of at most %lld", json_integer_value(json_object_get(schema, "maxItems")));
	if (items != NULL) {
		fputs(": ", stdout);
		type_of(items);
	}
	if (json_object_get(schema, "maxLength") != NULL)
		printf(" of at most %lld bytes", json_integer_value(json_object_get(schema, "maxLength")));
}

/* A row for each property. */
static void
properties(const json_t *schema)
{
	const json_t *all = json_object_get(schema, "properties");
	const char *name;
	json_t *one;

	puts("| name | type | least | most | when absent | example | what it says |\n|---|---|---|---|---|---|---|");
	json_object_foreach((json_t *)(uintptr_t)all, name, one) {
		printf("| `%s` | ", name);
		type_of(one);
		fputs(" | ", stdout);
		value(json_object_get(one, "minimum"));
		fputs(" | ", stdout);
		value(json_object_get(one, "maximum"));
		fputs(" | ", stdout);
		value(json_object_get(one, "default"));
		fputs(" | ", stdout);
		value(json_array_get(json_object_get(one, "examples"), 0));
		fputs(" | ", stdout);
		cell(json_string_value(json_object_get(one, "description")));
		puts(" |");
	}
}

static void
reference_fields(void)
{
	json_t *schema = policy_schema();

	properties(schema);
	json_decref(schema);
}

static void
reference_fs(void)
{
	json_t *schema = policy_schema();

	properties(json_object_get(json_object_get(json_object_get(schema, "properties"), "fs"), "items"));
	json_decref(schema);
}

static void
reference_limits(void)
{
	puts("| name | least | most | default of a run | unit | what it bounds |\n|---|---|---|---|---|---|");
	for (enum policy_limit i = 0; i < POLICY_LIMIT_COUNT; i++) {
		static const char *const units[] = {"milliseconds", "bytes", ""};
		const struct policy_limit_info *l = &policy_limit_info[i];
		char most[POLICY_LIMIT_TEXT_SIZE], initial[POLICY_LIMIT_TEXT_SIZE] = "none: not metered";

		if (l->initial != 0)
			policy_limit_text(i, l->initial, initial);
		printf("| `%s` | %llu | %llu (%s) | %s | %s | %s |\n", l->name, (unsigned long long)l->minimum,
		    (unsigned long long)l->maximum, policy_limit_text(i, l->maximum, most), initial, units[l->unit], l->text);
	}
}

/* The members of an entry of "fs", in short. */
static void
fs_members(void)
{
	json_t *schema = policy_schema(), *entry, *one;
	const char *name;

	entry = json_object_get(json_object_get(json_object_get(schema, "properties"), "fs"), "items");
	puts("| member | what it says |\n|---|---|");
	json_object_foreach(json_object_get(entry, "properties"), name, one)
		printf("| `%s` | %s |\n", name, json_string_value(json_object_get(one, "description")));
	json_decref(schema);
}

static void
questions(void)
{
	puts("| question | what is asked |\n|---|---|");
#define X(name, word, rest, text)                        \
	fputs("| `" word, stdout);                       \
	fputs(rest[0] == '\0' ? "" : " ", stdout);       \
	cell(rest);                                      \
	puts("` | " text " |");
	POLICY_QUESTIONS(X)
#undef X
}

/* Not a table but a page of its own: docs/policy.schema.json. */
static void
schema(void)
{
	json_t *json = policy_schema();

	json_dumpf(json, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
	putchar('\n');
	json_decref(json);
}

static void
traps(void)
{
	puts("| kind | what happened |\n|---|---|");
#define X(name, value, code, text) puts("| `" #name "` | " text " |");
	RUNTIME_TRAPS(X)
#undef X
}

static void
layers(void)
{
	puts("| layer | required | what it is for |\n|---|---|---|");
#define X(name, bit, required, text) printf("| `%s` | %s | %s |\n", #name, required ? "yes" : "no", text);
	PROTO_LAYERS(X)
#undef X
}

/* A row for each attempt, a column for each layer: x where it stops the attempt alone. */
static void
attempts(void)
{
	static const struct {
		const char *text;
		const char *why;
		uint32_t layers;
	} rows[] = {
#define X(name, layers, text, why) {text, why, layers},
	    ATTEMPTS(X)
#undef X
	};
	static const uint32_t columns[] = {
#define X(name) PROTO_LAYER_##name,
	    ATTEMPT_LAYERS(X)
#undef X
	};

#define X(name) " " #name " |"
	puts("| attempt |" ATTEMPT_LAYERS(X) " why only one |");
#undef X
#define X(name) ":-:|"
	puts("|---|" ATTEMPT_LAYERS(X) "---|");
#undef X
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		printf("| %s |", rows[i].text);
		for (size_t j = 0; j < sizeof(columns) / sizeof(columns[0]); j++)
			fputs((rows[i].layers & columns[j]) != 0 ? " x |" : "  |", stdout);
		printf(" %s |\n", rows[i].why);
	}
}

/* For tests/scenario/test_attempts.py: whether the filter is among what stops it. */
static void
attempt_names(void)
{
#define X(name, layers, text, why) puts(((layers) & PROTO_LAYER_seccomp) != 0 ? #name " filter" : #name " other");
	ATTEMPTS(X)
#undef X
}

static void
wasi(void)
{
	puts("| call | capability |\n|---|---|");
#define X(name, type, capability, handler) \
	printf("| `%s` | %s |\n", #name, strcmp(#capability, "NONE") == 0 ? "" : WASI_GRANT_##capability);
#define WASI_GRANT_NONE   ""
#define WASI_GRANT_CLOCK  "`clock`"
#define WASI_GRANT_RANDOM "`random`"
	WASI_CALLS(X)
#undef X
}

/* One line for each function that can fail, with each errno once. */
static void
wasi_errnos(void)
{
	static const struct {
		const char *function, *error;
	} rows[] = {
#define X(function, error, what, call) {#function, #error},
	    ERRNOS(X)
#undef X
	};
	static const char *const functions[] = {
#define X(name, type, capability, handler) #name,
	    WASI_CALLS(X)
#undef X
	};

	puts("| function | errnos |\n|---|---|");
	for (size_t f = 0; f < sizeof(functions) / sizeof(functions[0]); f++) {
		char told[512] = "";

		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			char one[32];

			snprintf(one, sizeof(one), " `%s`", rows[i].error);
			if (strcmp(rows[i].function, functions[f]) == 0 && strstr(told, one) == NULL)
				strcat(told, one);
		}
		printf("| `%s` |%s |\n", functions[f], told[0] == '\0' ? " none" : told);
	}
}

static void
wasi_errnos_not_of(void)
{
	puts("| function | not | because |\n|---|---|---|");
#define X(functions, errors, why) puts("| " functions " | " errors " | " why " |");
	ERRNOS_NOT_OF(X)
#undef X
}

static void
wasi_errnos_never(void)
{
	puts("| errno | why none gives it |\n|---|---|");
#define X(errors, why) puts("| " errors " | " why " |");
	ERRNOS_NEVER(X)
#undef X
}

static void
options(void)
{
	puts("| option | default | what it sets |\n|---|---|---|");
#define X(name, initial, argument, text) printf("| `%s` %s | %s | ", #name, argument, initial != NULL ? initial : ""); \
	cell(text);                                                                                                    \
	puts(" |");
	CONFIG_STRINGS(X)
#undef X
#define X(name, initial, smallest, largest, unit, text)                                             \
	printf("| `%s` N | %" PRId64 " | %s; %" PRId64 " to %" PRId64 " |\n", #name, (int64_t)initial, \
	    text, (int64_t)smallest, (int64_t)largest);
	CONFIG_NUMBERS(X)
#undef X
}

static void
methods(void)
{
	puts("| method | what it does |\n|---|---|");
#define X(name, handler, text) puts("| `" name "` | " text " |");
	BROKER_METHODS(X)
#undef X
}

static void
metrics(void)
{
	puts("| path | for Prometheus | type | for | what it is |\n|---|---|---|---|---|");
#define X(path, name, type, factor, who, text) puts("| `" path "` | `" name "` | " #type " | " #who " | " text " |");
	METRICS(X)
#undef X
}

static void
times(void)
{
	puts("| time | what is measured |\n|---|---|");
#define X(name, text) puts("| `" #name "` | " text " |");
	METRICS_TIMES(X)
#undef X
}

static void
shares(void)
{
	puts("| member | from | to | what a user gets |\n|---|---|---|---|");
#define X(name, smallest, largest, text) \
	printf("| `%s` | %" PRId64 " | %" PRId64 " | %s |\n", #name, (int64_t)smallest, (int64_t)largest, text);
	SHARES_MEMBERS(X)
#undef X
}

static void
statuses(void)
{
	puts("| status | what happened, and what the result has for it |\n|---|---|");
#define X(name, text) puts("| `" #name "` | " text " |");
	RUN_STATUSES(X)
#undef X
}

static void
failures(void)
{
	puts("| failure | what happened |\n|---|---|");
#define X(name, value, text) puts("| `" #name "` | " text " |");
	PROTO_FAILURES(X)
#undef X
}

static void
learn(void)
{
	char text[POLICY_LIMIT_TEXT_SIZE];

	puts("| limit | least that is learned |\n|---|---|");
#define X(name, value) printf("| `" #name "` | %s |\n", policy_limit_text(POLICY_LIMIT_##name, value, text));
	POLICY_LEARN_LEAST(X)
#undef X
}

static void
phases(void)
{
	puts("| phase | where it was |\n|---|---|");
#define X(name, value, word, text) puts("| `" word "` | " text " |");
	PROTO_PHASES(X)
#undef X
}

static void
guarded(void)
{
	puts("| pattern | who runs what |\n|---|---|");
#define X(pattern, reason) puts("| `" pattern "` | " reason " |");
	APPLY_GUARD(X)
#undef X
}

static void
messages(void)
{
	puts("| message | number |\n|---|---|");
#define X(name, value) printf("| `%s` | %d |\n", #name, value);
	PROTO_TYPES(X)
#undef X
}

static const struct {
	const char *name;
	void (*print)(void);
} tables[] = {
    {"errors", errors},
    {"limits", limits},
    {"fields", fields},
    {"fs_members", fs_members},
    {"reference_fields", reference_fields},
    {"reference_fs", reference_fs},
    {"reference_limits", reference_limits},
    {"questions", questions},
    {"schema", schema},
    {"traps", traps},
    {"layers", layers},
    {"attempts", attempts},
    {"attempt_names", attempt_names},
    {"wasi", wasi},
    {"wasi_errnos", wasi_errnos},
    {"wasi_errnos_not_of", wasi_errnos_not_of},
    {"wasi_errnos_never", wasi_errnos_never},
    {"options", options},
    {"methods", methods},
    {"metrics", metrics},
    {"times", times},
    {"shares", shares},
    {"statuses", statuses},
    {"failures", failures},
    {"learn", learn},
    {"phases", phases},
    {"guarded", guarded},
    {"messages", messages},
};

int
main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		if (argc < 2)
			puts(tables[i].name);
		else if (strcmp(argv[1], tables[i].name) == 0)
			return tables[i].print(), 0;
	}
	return argc < 2 ? 0 : 1;
}
