/* runtime/engine: the engine's two configurations, made in one place for both programs. Worker and compiler. */

#include "runtime/engine.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "engine_id.h"

#define CAUSE "Caused by:"

int
engine_new(enum proto_engine kind, engine_settings *settings, wasm_engine_t **out, struct err *e)
{
	wasm_config_t *config;
	wasm_engine_t *engine;

	if (kind != PROTO_ENGINE_PLAIN && kind != PROTO_ENGINE_FUEL)
		return err_set(e, ERR_INVAL, "there is no engine configuration %d", (int)kind);
	config = wasm_config_new();
	if (config == NULL)
		return err_set(e, ERR_NOMEM, "the engine's configuration");
	wasmtime_config_max_wasm_stack_set(config, ENGINE_STACK_SIZE);
	wasmtime_config_signals_based_traps_set(config, true);
	wasmtime_config_memory_init_cow_set(config, true);
	/* Nobody unwinds guest frames from outside; without these tables CPython's artifact is 3 % smaller. */
	wasmtime_config_native_unwind_info_set(config, false);
	/* One memory, so that memory_bytes bounds and peak_memory_bytes reports all there is; at most 4 GiB of it. */
	wasmtime_config_wasm_multi_memory_set(config, false);
	wasmtime_config_wasm_memory64_set(config, false);
	wasmtime_config_shared_memory_set(config, false);
	wasmtime_config_wasm_component_model_set(config, false);
	if (kind == PROTO_ENGINE_FUEL) {
		wasmtime_config_consume_fuel_set(config, true);
		wasmtime_config_wasm_relaxed_simd_deterministic_set(config, true);
	}
	if (settings != NULL)
		settings(config, kind);
	engine = wasm_engine_new_with_config(config);
	if (engine == NULL)
		return err_set(e, ERR_NOMEM, "the engine");
	*out = engine;
	return 0;
}

struct digest
engine_identity(enum proto_engine kind)
{
	char text[sizeof(ENGINE_ID) + 16];
	int n = snprintf(text, sizeof(text), "%s %d", ENGINE_ID, (int)kind);

	return digest_of(text, (size_t)n);
}

/*
 * The length of what the engine puts at the beginning of a line to part an error from its causes: "Caused by:" and, after
 * it, numbers ("0: "); 0 when data[0..length] begins with none.
 */
static size_t
separator(const char *data, size_t length, bool caused)
{
	size_t n = 0;

	if (length >= strlen(CAUSE) && memcmp(data, CAUSE, strlen(CAUSE)) == 0)
		return strlen(CAUSE);
	while (caused && n < length && isdigit((unsigned char)data[n]))
		n++;
	return n > 0 && length - n >= 2 && data[n] == ':' && data[n + 1] == ' ' ? n + 2 : 0;
}

/* Joins lines, squeezes space, makes separators of causes a colon and drops what a terminal might act on. */
static size_t
one_line(const char *data, size_t length, char *text, size_t size)
{
	bool space = false, colon = false, begins = false, caused = false;
	size_t n = 0, skip;

	for (size_t i = 0; i < length && data[i] != '\0' && n + 4 < size; i++) {
		if (isspace((unsigned char)data[i])) {
			space = n > 0;
			begins |= data[i] == '\n';
			continue;
		}
		if (begins && (skip = separator(data + i, length - i, caused)) > 0) {
			i += skip - 1;
			colon = caused = space = true;
			begins = false;
			continue;
		}
		if (colon)
			text[n++] = ':';
		if (space)
			text[n++] = ' ';
		text[n++] = data[i];
		space = colon = begins = false;
	}
	n = utf8_tame(text, utf8_prefix(text, n, size - 1));
	text[n] = '\0';
	return n;
}

size_t
engine_error_text(wasmtime_error_t *error, char *text, size_t size)
{
	wasm_name_t message;
	size_t n;

	wasmtime_error_message(error, &message);
	n = one_line(message.data, message.size, text, size);
	wasm_name_delete(&message);
	wasmtime_error_delete(error);
	return n;
}

size_t
engine_trap_text(const wasm_trap_t *trap, char *text, size_t size)
{
	wasm_message_t message;
	size_t n;

	wasm_trap_message(trap, &message);
	n = one_line(message.data, message.size, text, size);
	wasm_byte_vec_delete(&message);
	return n;
}
