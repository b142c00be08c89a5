/* runtime/wasi/stream: standard input and output over the job socket. Knows no guest memory. Runs in the worker. */

#ifndef RUNTIME_WASI_STREAM_H
#define RUNTIME_WASI_STREAM_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/proto.h"

enum wasi_stream_status {
	WASI_STREAM_OK = 0,
	WASI_STREAM_AGAIN,   /* nothing there yet; or the time is up */
	WASI_STREAM_STOPPED, /* *stop was set while waiting or between pieces of work */
	WASI_STREAM_FULL,    /* past the output limit, and that ends the run */
	WASI_STREAM_BROKEN,  /* the socket closed, failed, or brought what must not occur */
};

/* The job socket, shared by the streams of one run. Waiting ends early when *stop becomes non-zero by a signal. */
struct wasi_port {
	int socket;   /* blocking or not; SEQPACKET */
	uint64_t run; /* for the headers */
	const volatile sig_atomic_t *stop;
};

/*
 * wasi_port_send - write one whole packet, waiting for room. With `insist`, *stop is not looked at. Async-signal-safe.
 * Returns OK, STOPPED or BROKEN.
 */
enum wasi_stream_status wasi_port_send(const struct wasi_port *port, const void *packet, size_t length, bool insist);

/*
 * wasi_port_wait - sleep until `timeout_ns` is over (UINT64_MAX: for ever) or, with `input`, something can be read.
 * Returns OK (readable), AGAIN (time over, or woken by a signal that did not stop the run), STOPPED or BROKEN.
 */
enum wasi_stream_status wasi_port_wait(const struct wasi_port *port, bool input, uint64_t timeout_ns);

#define WASI_OUTPUT_BUFFER 32768

/* One of stdout and stderr. */
struct wasi_output {
	uint64_t limit;   /* bytes that are sent; what is written past it is counted and dropped */
	uint64_t written; /* bytes that the guest wrote, dropped ones included */
	bool ends;        /* writing past the limit is FULL instead */
	bool direct;      /* wasi_output_settle flushes */
	size_t used;      /* of packet.data */
	struct {
		struct imsg_hdr hdr;
		struct proto_output head;
		uint8_t data[WASI_OUTPUT_BUFFER];
	} packet;
};
_Static_assert(sizeof(((struct wasi_output *)0)->packet) <= IMSG_SIZE_MAX, "one flush is one packet");

/* wasi_output_begin - an empty stream; `stream` is 1 or 2; `flags` of enum proto_job_flags. */
void wasi_output_begin(struct wasi_output *o, uint32_t stream, uint64_t limit, uint32_t flags);

/*
 * wasi_output_write - take data[0..length], sending whenever the buffer is full. Looks at *stop for each buffer.
 * Returns OK, FULL (what fitted was taken, all was counted), STOPPED or BROKEN.
 */
enum wasi_stream_status wasi_output_write(struct wasi_output *o, const struct wasi_port *port, const uint8_t *data,
    size_t length);

/* wasi_output_settle - at the end of a guest's write: flush if output is sent at once. OK, STOPPED or BROKEN. */
enum wasi_stream_status wasi_output_settle(struct wasi_output *o, const struct wasi_port *port);

/* wasi_output_flush - send what is buffered. Async-signal-safe between calls on `o`. OK, STOPPED or BROKEN. */
enum wasi_stream_status wasi_output_flush(struct wasi_output *o, const struct wasi_port *port, bool insist);

/* Standard input: a block of bytes known from the start, or packets as they come. */
struct wasi_input {
	const uint8_t *next; /* borrowed, or in packet */
	size_t left;         /* bytes at next */
	bool streamed;       /* more may come by PROTO_INPUT */
	union {
		struct imsg_hdr hdr;
		uint8_t bytes[IMSG_SIZE_MAX];
	} packet;
};

/* wasi_input_begin - input that is data[0..length], borrowed; or, when `streamed`, what the port will bring. */
void wasi_input_begin(struct wasi_input *in, const uint8_t *data, size_t length, bool streamed);

/*
 * wasi_input_fill - make sure that either bytes are at hand or the end is known; `wait`: until it is so.
 * Returns OK (in->left bytes are there; 0 is the end of input), AGAIN (only without `wait`), STOPPED or BROKEN.
 */
enum wasi_stream_status wasi_input_fill(struct wasi_input *in, const struct wasi_port *port, bool wait);

/* wasi_input_take - copy and consume up to `length` of the bytes at hand; returns how many. */
size_t wasi_input_take(struct wasi_input *in, uint8_t *data, size_t length);

#endif
