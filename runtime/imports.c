/* runtime/imports: why a module cannot be linked, in words that help its author. Runs in the worker. */

#include "runtime/imports.h"

#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "base/utf8.h"
#include "runtime/wasi/table.h"

#define WASI "wasi_snapshot_preview1"

#define SHOWN_MAX 100 /* bytes of a name in a message */

static const char *const names[] = {
#define X(name, type, ...) #name,
    WASI_CALLS(X)
#undef X
};

static const char *const types[] = {
#define X(name, type, ...) type,
    WASI_CALLS(X)
#undef X
};

/* What people who import from these modules have usually done. */
static const struct hint {
	const char *module;
	const char *advice;
} hints[] = {
    {"wasi_unstable", "this is WASI preview 0: build it again for preview 1 (target wasm32-wasip1 or wasm32-wasi)"},
    {"env", "a function was declared and not defined: link what defines it (wasm-ld's --allow-undefined hides this)"},
    {"gojs", "this was built for a browser: build it with GOOS=wasip1 GOARCH=wasm"},
    {"go", "this was built for a browser: build it with GOOS=wasip1 GOARCH=wasm"},
    {"wbg", "this was built for a browser with wasm-bindgen: build it for wasm32-wasip1 without it"},
    {"__wbindgen_placeholder__",
        "this was built for a browser with wasm-bindgen: build it for wasm32-wasip1 without it"},
};

/* What else an import can be, and what its author will have done. */
static const char *const kinds[] = {
    [WASM_EXTERN_FUNC] = "function",
    [WASM_EXTERN_GLOBAL] = "global",
    [WASM_EXTERN_TABLE] = "table",
    [WASM_EXTERN_MEMORY] = "memory",
};

static const char *
kind_of(const wasm_externtype_t *type)
{
	wasm_externkind_t kind = wasm_externtype_kind(type);

	return kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[kind] : "thing";
}

static const char *
advice_for(const wasm_name_t *module, const wasm_externtype_t *type)
{
	if (wasm_externtype_kind(type) != WASM_EXTERN_FUNC)
		return "a module brings memory, tables and globals of its own: build a program, not a part of one (without "
		       "-shared, --import-memory, --import-table)";
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (module->size == strlen(hints[i].module) && memcmp(module->data, hints[i].module, module->size) == 0)
			return hints[i].advice;
	return "a module may import functions of " WASI " and nothing else";
}

/* A name of the module's own choice, to be shown. */
struct shown {
	char text[SHOWN_MAX + 1];
};

static struct shown
shown(const wasm_name_t *name)
{
	struct shown s;
	size_t n = utf8_prefix(name->data, name->size, SHOWN_MAX);

	memcpy(s.text, name->data, n);
	s.text[utf8_tame(s.text, n)] = '\0';
	return s;
}

/*
 * Writes a list of value types as the table does, one letter each; '?' for one that no call has. By comparing: asking the
 * engine for a type's kind ends the process when it is one that wasm.h has no name for, a vector say.
 */
static char *
letters(const wasm_valtype_vec_t *list, char *at, const char *end)
{
	wasm_valtype_t *i32 = wasm_valtype_new(WASM_I32), *i64 = wasm_valtype_new(WASM_I64);

	for (size_t i = 0; i < list->size && at < end; i++)
		*at++ = wasmtime_wasm_valtype_equal(list->data[i], i32) ? 'i' :
		    wasmtime_wasm_valtype_equal(list->data[i], i64)     ? 'I' : '?';
	wasm_valtype_delete(i32);
	wasm_valtype_delete(i64);
	return at;
}

/* The type of an imported function in the table's notation, cut where it is longer than any of ours. */
static void
function_letters(const wasm_functype_t *type, char text[32])
{
	char *at = letters(wasm_functype_params(type), text, text + 20);

	*at++ = ':';
	at = letters(wasm_functype_results(type), at, text + 31);
	*at = '\0';
}

/* "iI:i" as "(i32, i64) -> (i32)". */
static const char *
spell(const char *type, char *text, size_t size)
{
	size_t n = (size_t)snprintf(text, size, "(");
	const char *separator = "";

	for (; *type != '\0' && n < size; type++) {
		if (*type == ':') {
			n += (size_t)snprintf(text + n, size - n, ") -> (");
			separator = "";
			continue;
		}
		n += (size_t)snprintf(text + n, size - n, "%s%s", separator,
		    *type == 'i' ? "i32" : *type == 'I' ? "i64" : "another type");
		separator = ", ";
	}
	if (n < size)
		snprintf(text + n, size - n, ")");
	return text;
}

static enum proto_failure
explain_unknown(const char *name, struct err *e)
{
	const char *near = nearest_name(name, names, PROTO_WASI_CALLS);

	if (near != NULL)
		err_set(e, ERR_UNSUPPORTED, "the module imports " WASI ".%s, which preview 1 does not have: is %s meant?", name,
		    near);
	else
		err_set(e, ERR_UNSUPPORTED, "the module imports " WASI ".%s, which is none of preview 1's %d functions", name,
		    PROTO_WASI_CALLS);
	return PROTO_FAILURE_unknown_import;
}

static enum proto_failure
explain_wasi(const wasm_name_t *name, const wasm_externtype_t *type, struct err *e)
{
	char got[32], spelt[2][256];
	size_t i = 0;

	while (i < PROTO_WASI_CALLS && (strlen(names[i]) != name->size || memcmp(names[i], name->data, name->size) != 0))
		i++;
	if (i == PROTO_WASI_CALLS)
		return explain_unknown(shown(name).text, e);
	if (wasm_externtype_kind(type) != WASM_EXTERN_FUNC) {
		err_set(e, ERR_UNSUPPORTED, "the module imports " WASI ".%s as a %s, and it is a function", names[i],
		    kind_of(type));
		return PROTO_FAILURE_import_type;
	}
	function_letters(wasm_externtype_as_functype_const(type), got);
	if (strcmp(got, types[i]) == 0)
		return PROTO_FAILURE_NONE;
	err_set(e, ERR_UNSUPPORTED,
	    "the module imports " WASI ".%s as %s, but preview 1 has %s: build it for preview 1", names[i],
	    spell(got, spelt[0], sizeof(spelt[0])), spell(types[i], spelt[1], sizeof(spelt[1])));
	return PROTO_FAILURE_import_type;
}

static enum proto_failure
explain(const wasm_importtype_t *import, struct err *e)
{
	const wasm_name_t *module = wasm_importtype_module(import);
	const wasm_name_t *name = wasm_importtype_name(import);
	const wasm_externtype_t *type = wasm_importtype_type(import);

	if (module->size == strlen(WASI) && memcmp(module->data, WASI, module->size) == 0)
		return explain_wasi(name, type, e);
	err_set(e, ERR_UNSUPPORTED, "the module imports the %s %s.%s, which does not exist here: %s", kind_of(type),
	    shown(module).text, shown(name).text, advice_for(module, type));
	return PROTO_FAILURE_unknown_import;
}

enum proto_failure
imports_explain(const wasmtime_module_t *module, struct err *e)
{
	enum proto_failure failure = PROTO_FAILURE_NONE;
	wasm_importtype_vec_t imports;

	wasmtime_module_imports(module, &imports);
	for (size_t i = 0; i < imports.size && failure == PROTO_FAILURE_NONE; i++)
		failure = explain(imports.data[i], e);
	wasm_importtype_vec_delete(&imports);
	return failure;
}
