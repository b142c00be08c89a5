/* scripts/tables: prints the tables of the documentation from the tables of the code. Build time. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/proto.h"
#include "broker/config.h"
#include "broker/methods.h"
#include "broker/rpc_errors.h"
#include "broker/run_result.h"
#include "clients/c/apply_guard.h"
#include "policy/internal.h"
#include "policy/policy.h"
#include "runtime/trap.h"
#include "runtime/wasi/table.h"
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
    {"schema", schema},
    {"traps", traps},
    {"layers", layers},
    {"attempts", attempts},
    {"attempt_names", attempt_names},
    {"wasi", wasi},
    {"options", options},
    {"methods", methods},
    {"statuses", statuses},
    {"failures", failures},
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
