/* runtime/result: how a run ended, as one packet: numbers, a text, a backtrace. Runs in the worker. */

#ifndef RUNTIME_RESULT_H
#define RUNTIME_RESULT_H

#include <stdint.h>

#include <wasm.h>

#include "base/imsg.h"
#include "base/proto.h"

/* Where things stand in the packet: header, numbers, text, frames. As large as a packet may be. */
struct result {
	struct imsg_hdr hdr;
	struct proto_result numbers;
	uint8_t tail[IMSG_SIZE_MAX - sizeof(struct imsg_hdr) - sizeof(struct proto_result)];
	size_t tail_length;
};

#define RESULT_TEXT_MAX 1000 /* bytes */

/* result_begin - an empty result of run `run`. */
void result_begin(struct result *r, uint64_t run);

/* result_text - set the text, before any frame: what of text[0..length] is UTF-8, cut to RESULT_TEXT_MAX. Copies. */
void result_text(struct result *r, const char *text, size_t length);

/* result_frames - add a trap's backtrace, innermost first, at most PROTO_FRAMES_MAX. Borrows `trap`. */
void result_frames(struct result *r, const wasm_trap_t *trap);

/* result_seal - set the lengths; returns the bytes to send from &r->hdr on. Async-signal-safe. */
size_t result_seal(struct result *r);

#endif
