/* runtime/wasi/stream: standard input and output over the job socket. Knows no guest memory. Runs in the worker. */

#include "runtime/wasi/stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Waits for `events` on the socket, or only sleeps when events is 0. */
static enum wasi_stream_status
wait_for(const struct wasi_port *port, short events, uint64_t timeout_ns, bool insist)
{
	struct pollfd fd = {.fd = port->socket, .events = events};
	struct timespec ts = {(time_t)(timeout_ns / 1000000000), (long)(timeout_ns % 1000000000)};
	int n;

	if (!insist && *port->stop != 0)
		return WASI_STREAM_STOPPED;
	n = ppoll(&fd, events != 0, timeout_ns == UINT64_MAX ? NULL : &ts, NULL);
	if (!insist && *port->stop != 0)
		return WASI_STREAM_STOPPED;
	if (n > 0)
		return WASI_STREAM_OK;
	return n == 0 || errno == EINTR ? WASI_STREAM_AGAIN : WASI_STREAM_BROKEN;
}

enum wasi_stream_status
wasi_port_wait(const struct wasi_port *port, bool input, uint64_t timeout_ns)
{
	return wait_for(port, input ? POLLIN : 0, timeout_ns, false);
}

enum wasi_stream_status
wasi_port_send(const struct wasi_port *port, const void *packet, size_t length, bool insist)
{
	for (;;) {
		ssize_t n = write(port->socket, packet, length);

		if (n >= 0)
			return (size_t)n == length ? WASI_STREAM_OK : WASI_STREAM_BROKEN;
		if (errno == EAGAIN)
			(void)wait_for(port, POLLOUT, UINT64_MAX, insist);
		else if (errno != EINTR)
			return WASI_STREAM_BROKEN;
		if (!insist && *port->stop != 0)
			return WASI_STREAM_STOPPED;
	}
}

void
wasi_output_begin(struct wasi_output *o, uint32_t stream, uint64_t limit, uint32_t flags)
{
	o->limit = limit;
	o->written = 0;
	o->ends = (flags & PROTO_JOB_OUTPUT_ENDS) != 0;
	o->direct = (flags & PROTO_JOB_STREAM_OUTPUT) != 0;
	o->used = 0;
	o->packet.hdr = (struct imsg_hdr){.type = PROTO_OUTPUT};
	o->packet.head = (struct proto_output){.stream = stream};
}

enum wasi_stream_status
wasi_output_flush(struct wasi_output *o, const struct wasi_port *port, bool insist)
{
	enum wasi_stream_status s;

	if (o->used == 0)
		return WASI_STREAM_OK;
	o->packet.hdr.run = port->run;
	o->packet.hdr.length = (uint32_t)(sizeof(o->packet.head) + o->used);
	s = wasi_port_send(port, &o->packet, sizeof(o->packet.hdr) + o->packet.hdr.length, insist);
	if (s == WASI_STREAM_OK)
		o->used = 0;
	return s;
}

/* Buffers data[0..length], which is within the limit, and counts it. */
static enum wasi_stream_status
buffer(struct wasi_output *o, const struct wasi_port *port, const uint8_t *data, size_t length)
{
	while (length > 0) {
		size_t n = sizeof(o->packet.data) - o->used;

		if (n == 0) {
			enum wasi_stream_status s = wasi_output_flush(o, port, false);

			if (s != WASI_STREAM_OK)
				return s;
			if (*port->stop != 0)
				return WASI_STREAM_STOPPED;
			continue;
		}
		if (n > length)
			n = length;
		memcpy(o->packet.data + o->used, data, n);
		o->used += n;
		o->written += n;
		data += n;
		length -= n;
	}
	return WASI_STREAM_OK;
}

enum wasi_stream_status
wasi_output_write(struct wasi_output *o, const struct wasi_port *port, const uint8_t *data, size_t length)
{
	uint64_t room = o->written < o->limit ? o->limit - o->written : 0;
	size_t fits = length < room ? length : (size_t)room;
	enum wasi_stream_status s = buffer(o, port, data, fits);

	if (s != WASI_STREAM_OK || fits == length)
		return s;
	o->written += length - fits;
	return o->ends ? WASI_STREAM_FULL : WASI_STREAM_OK;
}

enum wasi_stream_status
wasi_output_settle(struct wasi_output *o, const struct wasi_port *port)
{
	return o->direct ? wasi_output_flush(o, port, false) : WASI_STREAM_OK;
}

void
wasi_input_begin(struct wasi_input *in, const uint8_t *data, size_t length, bool streamed)
{
	in->next = streamed ? in->packet.bytes : data;
	in->left = streamed ? 0 : length;
	in->streamed = streamed;
}

/* Takes the packet of `length` bytes that has been read: more input, or its end. */
static enum wasi_stream_status
accept_packet(struct wasi_input *in, const struct wasi_port *port, size_t length)
{
	const struct imsg_hdr *hdr = &in->packet.hdr;

	if (length < sizeof(*hdr) || hdr->type != PROTO_INPUT || hdr->run != port->run ||
	    hdr->length != length - sizeof(*hdr))
		return WASI_STREAM_BROKEN;
	in->next = in->packet.bytes + sizeof(*hdr);
	in->left = hdr->length;
	in->streamed = hdr->length > 0;
	return WASI_STREAM_OK;
}

enum wasi_stream_status
wasi_input_fill(struct wasi_input *in, const struct wasi_port *port, bool wait)
{
	while (in->left == 0 && in->streamed) {
		enum wasi_stream_status s = wait_for(port, POLLIN, wait ? UINT64_MAX : 0, false);
		ssize_t n;

		if (s == WASI_STREAM_AGAIN && wait)
			continue;
		if (s != WASI_STREAM_OK)
			return s;
		n = read(port->socket, in->packet.bytes, sizeof(in->packet.bytes));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		return n > 0 ? accept_packet(in, port, (size_t)n) : WASI_STREAM_BROKEN;
	}
	return WASI_STREAM_OK;
}

size_t
wasi_input_take(struct wasi_input *in, uint8_t *data, size_t length)
{
	size_t n = in->left < length ? in->left : length;

	if (n > 0)
		memcpy(data, in->next, n);
	in->next += n;
	in->left -= n;
	return n;
}
