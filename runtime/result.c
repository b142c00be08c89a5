/* runtime/result: how a run ended, as one packet: numbers, a text, a backtrace. Runs in the worker. */

#include "runtime/result.h"

#include <string.h>

#include <wasmtime.h>

#include "base/utf8.h"

_Static_assert(RESULT_TEXT_MAX + PROTO_FRAMES_MAX * (sizeof(struct proto_frame) + PROTO_NAME_MAX) <=
        sizeof(((struct result *)0)->tail),
    "the longest result fits a packet");

void
result_begin(struct result *r, uint64_t run)
{
	r->hdr = (struct imsg_hdr){.type = PROTO_RESULT, .run = run};
	memset(&r->numbers, 0, sizeof(r->numbers));
	r->tail_length = 0;
}

static void
append(struct result *r, const void *data, size_t length)
{
	memcpy(r->tail + r->tail_length, data, length);
	r->tail_length += length;
}

void
result_text(struct result *r, const char *text, size_t length)
{
	size_t n = utf8_prefix(text, length, RESULT_TEXT_MAX);

	r->tail_length = 0;
	append(r, text, n);
	r->numbers.text_length = (uint32_t)n;
}

static void
add_frame(struct result *r, const wasm_frame_t *frame)
{
	const wasm_name_t *name = wasmtime_frame_func_name(frame);
	struct proto_frame f = {
	    .function = wasm_frame_func_index(frame),
	    .module_offset = wasm_frame_module_offset(frame),
	};
	char text[PROTO_NAME_MAX];
	size_t n = name == NULL ? 0 : utf8_prefix(name->data, name->size, sizeof(text));

	if (n > 0) {
		memcpy(text, name->data, n);
		n = utf8_tame(text, n);
	}
	f.name_length = (uint32_t)n;
	append(r, &f, sizeof(f));
	append(r, text, n);
	r->numbers.frame_count++;
}

void
result_frames(struct result *r, const wasm_trap_t *trap)
{
	wasm_frame_vec_t frames;

	wasm_trap_trace(trap, &frames);
	for (size_t i = 0; i < frames.size && r->numbers.frame_count < PROTO_FRAMES_MAX; i++)
		add_frame(r, frames.data[i]);
	wasm_frame_vec_delete(&frames);
}

size_t
result_seal(struct result *r)
{
	r->hdr.length = (uint32_t)(sizeof(r->numbers) + r->tail_length);
	return sizeof(r->hdr) + r->hdr.length;
}
