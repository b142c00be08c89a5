/* broker/conn: one client connection: lines and descriptors in, answers and notifications out. brigd. */

#include "broker/conn.h"

#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/io.h"
#include "base/monotonic.h"
#include "broker/host_dir.h"

#define READ_CHUNK      (64 * 1024)
#define TURN_MS         1    /* how long a connection is served before others get their turn; at least one line */
#define WORK_MS         3    /* how long connections are served before the loop looks what else there is */
#define LONG_LINE       (32 * 1024) /* from here on, with its descriptors' files, a line is taken in by the thread */
#define LONG_ANSWER     (256 * 1024) /* from here on an answer is made into text by the thread */
#define KEPT_FDS        (CONN_FDS_MAX + 1) /* of one line: one too many says that there were too many */
#define UID_OVERFLOW    65534     /* a peer from a user namespace that maps to nobody here */

/* A descriptor and the stream offset of the byte that tells which line it belongs to. */
struct pending_fd {
	int fd;
	uint64_t offset;
};

/* A batch is answered in one array when its last call ends. */
struct rpc_batch {
	struct evbuffer *answers; /* the array's text so far; empty, or without its closing bracket */
	size_t open;              /* calls not yet ended, plus one while the batch is being dispatched */
};

/* What is sent: an object; or, when `head` is not empty, that and the object's members in an answer's result. */
struct message {
	struct json_text head;
	json_t *rest;
};

/* An answer while the thread makes it into text. */
struct long_answer {
	struct offload_job job;   /* first */
	LIST_ENTRY(long_answer) link;
	struct conn *conn;        /* NULL once it is gone */
	struct rpc_batch *batch;  /* the answer's, which waits for it; or NULL */
	struct message message;
	size_t size;              /* about */
	bool made;                /* it is text; else the thread ended before */
};

struct conn {
	struct conn *next, **link; /* connections of one owner */
	struct turn turn;        /* in `ready`, while `waits` */
	bool waits;
	struct conn_owner *owner;
	int sock;
	struct conn_peer peer;
	struct event *read_event;
	struct event *write_event;
	struct evbuffer *in;
	struct evbuffer *out;
	uint64_t consumed;       /* bytes of the stream before `in` */
	size_t scanned;          /* bytes of `in` known to hold no newline */
	struct pending_fd fds[2 * KEPT_FDS]; /* of a line that is not complete, and of what was read last */
	size_t nfds;
	struct intake *intake;   /* a line that the thread takes in; until then no other is read */
	struct rpc_call *calls;
	LIST_HEAD(, long_answer) long_answers;
	size_t long_bytes;       /* of them, about */
	bool eof;                /* the client sends no more */
	bool busy;               /* inside a handler: do not free */
	bool dead;               /* to be freed when no longer busy */
	bool lost;               /* cannot be answered any more: to be closed by the event loop */
	bool out_waiting;        /* write_event is armed */
};

static size_t input_total;     /* over all connections */
static size_t input_abandoned; /* of it, lines that nobody waits for and the thread is not done with */

size_t
conn_input_total(void)
{
	return input_total;
}

static void
close_fds(int *fds, int n)
{
	for (int i = 0; i < n; i++)
		if (fds[i] >= 0)
			closer_drop(fds[i]);
}

/* Waits no longer for the line that is being taken in. */
static void
intake_abandon(struct conn *c)
{
	struct intake *it = c->intake;

	c->intake = NULL;
	if (it == NULL)
		return;
	it->conn = NULL;
	if (offload_remove(c->owner->offload, &it->job)) {
		input_total -= it->size;
		intake_free(it);
	} else {
		input_abandoned += it->size;
	}
}

static void
conn_free(struct conn *c)
{
	struct long_answer *a;

	if (c->waits)
		turns_remove(&c->owner->ready, &c->turn);
	intake_abandon(c);
	while ((a = LIST_FIRST(&c->long_answers)) != NULL) {
		LIST_REMOVE(a, link);
		a->conn = NULL; /* the thread may have it: it is freed when done */
	}
	if (c->owner->closed != NULL)
		c->owner->closed(c->owner->arg, c);
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	input_total -= evbuffer_get_length(c->in);
	for (size_t i = 0; i < c->nfds; i++)
		close_fds(&c->fds[i].fd, 1);
	if (c->read_event != NULL)
		event_free(c->read_event);
	if (c->write_event != NULL)
		event_free(c->write_event);
	evbuffer_free(c->in);
	evbuffer_free(c->out);
	close(c->sock);
	free(c);
}

void
conn_close(struct conn *c)
{
	bool outer;

	if (c == NULL || c->dead)
		return;
	c->dead = true;
	outer = c->busy;
	c->busy = true;
	while (c->calls != NULL) {
		struct rpc_call *call = c->calls;

		c->calls = call->next;
		if (call->next != NULL)
			call->next->link = &c->calls;
		call->next = NULL;
		call->link = NULL;
		call->conn = NULL;
		if (call->gone != NULL)
			call->gone(call);
	}
	c->busy = outer;
	if (!c->busy)
		conn_free(c);
}

/* Whether a client still waits for an answer, or has not read one. */
static bool
is_busy(const struct conn *c)
{
	return c->calls != NULL || c->intake != NULL || !LIST_EMPTY(&c->long_answers) || evbuffer_get_length(c->out) > 0;
}

/* Closes a connection whose client has ended its side, once everything it asked for has been delivered. */
static void
close_if_done(struct conn *c)
{
	if (c->eof && !c->dead && !is_busy(c))
		conn_close(c);
}

unsigned
conn_siblings(const struct conn *c)
{
	unsigned n = 0;

	for (const struct conn *each = c->owner->conns; each != NULL; each = each->next)
		n += each->peer.uid == c->peer.uid;
	return n;
}

void
conn_close_all(struct conn_owner *owner)
{
	while (owner->conns != NULL)
		conn_close(owner->conns);
	if (owner->work != NULL)
		event_free(owner->work);
	owner->work = NULL;
}

size_t
conn_unfinished(const struct conn_owner *owner)
{
	size_t n = 0;

	for (const struct conn *c = owner->conns; c != NULL; c = c->next)
		n += is_busy(c);
	return n;
}

/* --- output --------------------------------------------------------------------------------------------------- */

static void
tell_drained(struct conn *c)
{
	struct rpc_call *next;

	c->busy = true;
	for (struct rpc_call *call = c->calls; call != NULL && !c->dead; call = next) {
		next = call->next;
		if (call->drained != NULL)
			call->drained(call);
	}
	c->busy = false;
}

/* Writes what the socket takes. Returns 0, or -1 when the connection is to be closed. */
static int
flush_some(struct conn *c)
{
	while (evbuffer_get_length(c->out) > 0) {
		if (evbuffer_write(c->out, c->sock) < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN || errno == EWOULDBLOCK)
				return 0;
			return -1;
		}
	}
	return 0;
}

static void
on_writable(evutil_socket_t sock, short what, void *arg)
{
	struct conn *c = arg;

	(void)sock;
	if ((what & EV_TIMEOUT) != 0 || flush_some(c) != 0) {
		conn_close(c);
		return;
	}
	if (evbuffer_get_length(c->out) > 0)
		return;
	event_del(c->write_event);
	c->out_waiting = false;
	tell_drained(c);
	if (c->dead)
		conn_free(c);
	else
		close_if_done(c);
}

/* Gives a client up: not from here, where calls are walked, but from the event loop. */
static void
lose(struct conn *c)
{
	if (c->dead || c->lost)
		return;
	c->lost = true;
	event_active(c->read_event, EV_READ, 0);
}

/* Whether what waits for a client to read, `more` included, is past what may wait. */
static bool
is_too_much(const struct conn *c, size_t more)
{
	return evbuffer_get_length(c->out) + c->long_bytes + more > c->owner->backlog_bytes;
}

/* Sends what was just queued, or has the event loop send it. A client too slow for its answers is dropped. */
static void
send_queued(struct conn *c, bool was_empty)
{
	struct timeval stall = {.tv_sec = c->owner->stall_s};

	if ((was_empty && flush_some(c) != 0) || is_too_much(c, 0)) {
		lose(c);
	} else if (evbuffer_get_length(c->out) > 0 && !c->out_waiting) {
		c->out_waiting = true;
		if (event_add(c->write_event, &stall) != 0)
			lose(c);
	}
}

static void
message_free(struct message *m)
{
	json_text_free(&m->head);
	json_decref(m->rest);
}

/* Makes all of a message into text, its head. The rest stays, also in a thread: it may be the loop's too. */
static void
make_text(struct message *m)
{
	if (m->head.length > 0) {
		json_text_embed(&m->head, m->rest);
		jsonrpc_close_result(&m->head);
	} else {
		json_text_value(&m->head, NULL, m->rest);
	}
}

/* Queues one message's text as a line. */
static void
send_text(struct conn *c, const struct json_text *t)
{
	bool was_empty = evbuffer_get_length(c->out) == 0;

	if (c->dead || c->lost)
		return;
	if (t->failed || evbuffer_add(c->out, t->text, t->length) != 0 || evbuffer_add(c->out, "\n", 1) != 0)
		lose(c);
	else
		send_queued(c, was_empty);
}

static void
batch_leave(struct conn *c, struct rpc_batch *batch)
{
	if (--batch->open > 0)
		return;
	if (c != NULL && !c->dead && !c->lost && evbuffer_get_length(batch->answers) > 0) {
		bool was_empty = evbuffer_get_length(c->out) == 0;

		if (evbuffer_add(batch->answers, "]\n", 2) != 0 || evbuffer_add_buffer(c->out, batch->answers) != 0)
			lose(c);
		else
			send_queued(c, was_empty);
	}
	evbuffer_free(batch->answers);
	free(batch);
}

/* Adds the text of an answer to its batch. Answers that wait for the others count like those that wait to be read. */
static void
batch_add(struct conn *c, struct rpc_batch *batch, const struct json_text *t)
{
	struct evbuffer *out = batch->answers;

	if (c == NULL || c->dead || c->lost)
		return;
	if (t->failed || evbuffer_add(out, evbuffer_get_length(out) == 0 ? "[" : ",", 1) != 0 ||
	    evbuffer_add(out, t->text, t->length) != 0 || is_too_much(c, evbuffer_get_length(out)))
		lose(c);
}

/* Sends a message that is text, alone or into its batch. */
static void
send_or_add(struct conn *c, struct rpc_batch *batch, const struct json_text *t)
{
	if (batch != NULL)
		batch_add(c, batch, t);
	else if (c != NULL)
		send_text(c, t);
}

/* The same for any message (taken). */
static void
send_message(struct conn *c, struct rpc_batch *batch, struct message m)
{
	make_text(&m);
	send_or_add(c, batch, &m.head);
	message_free(&m);
}

static void
answer(struct conn *c, struct rpc_batch *batch, json_t *message)
{
	send_message(c, batch, (struct message){.rest = message});
}

static void
dump(struct offload_job *job)
{
	struct long_answer *a = (struct long_answer *)job;

	make_text(&a->message);
	a->made = true;
}

static void
dumped(struct offload_job *job)
{
	struct long_answer *a = (struct long_answer *)job;
	struct conn *c = a->conn;

	if (c != NULL) {
		LIST_REMOVE(a, link);
		c->long_bytes -= a->size;
	}
	a->message.head.failed |= !a->made;
	send_or_add(c, a->batch, &a->message.head);
	if (a->batch != NULL)
		batch_leave(c, a->batch);
	message_free(&a->message);
	free(a);
	if (c != NULL)
		close_if_done(c);
}

/* About how much text there is in a message: of strings, where those that can be long are. */
static size_t
text_in(const json_t *json, int depth)
{
	const char *name;
	json_t *value;
	size_t total = 0;

	if (json_is_string(json) || depth == 0)
		return json_string_length(json);
	json_object_foreach((json_t *)(uintptr_t)json, name, value)
		total += text_in(value, depth - 1);
	return total;
}

/*
 * Has the thread make an answer (taken) into text if it is long. What it holds may be shared: neither it nor the loop
 * changes that any more. Returns whether it did; the batch is to be left when it has.
 */
static bool
answer_later(struct conn *c, struct rpc_batch *batch, struct message message)
{
	size_t size = c != NULL && c->owner->offload != NULL ? message.head.length + text_in(message.rest, 3) : 0;
	struct long_answer *a;

	if (size < LONG_ANSWER || c->dead || c->lost || (a = calloc(1, sizeof(*a))) == NULL)
		return false;
	*a = (struct long_answer){.job = {.work = dump, .done = dumped}, .conn = c, .batch = batch, .message = message,
	    .size = size};
	LIST_INSERT_HEAD(&c->long_answers, a, link);
	c->long_bytes += size;
	if (is_too_much(c, 0))
		lose(c);
	offload_add(c->owner->offload, &a->job, c->peer.uid);
	return true;
}

static void
call_end(struct rpc_call *call, struct message message)
{
	struct conn *c = call->conn;

	if (call->link != NULL) {
		*call->link = call->next;
		if (call->next != NULL)
			call->next->link = call->link;
	}
	if (call->id == NULL || !answer_later(c, call->batch, message)) {
		if (call->id == NULL || (c == NULL && call->batch == NULL))
			message_free(&message);
		else
			send_message(c, call->batch, message);
		if (call->batch != NULL)
			batch_leave(c, call->batch);
	}
	close_fds(call->fds, call->nfds);
	if (call->prepared != NULL)
		call->discard(call->prepared);
	json_decref(call->id);
	free(call);
	if (c != NULL && !c->busy)
		close_if_done(c);
}

void
call_result(struct rpc_call *call, json_t *result)
{
	call_end(call, (struct message){.rest = jsonrpc_result(call->id, result)});
}

void
call_result_text(struct rpc_call *call, const struct json_text *members, json_t *rest)
{
	struct message m = {.rest = rest};

	if (call->id != NULL) {
		jsonrpc_open_result(&m.head, call->id);
		json_text_members(&m.head, members->text, members->length);
		m.head.failed |= members->failed;
	}
	call_end(call, m);
}

void
call_fail(struct rpc_call *call, struct rpc_failure *f)
{
	call_end(call, (struct message){.rest = jsonrpc_error(call->id, f)});
	rpc_failure_clear(f);
}

void
call_notify(struct rpc_call *call, const char *method, json_t *params)
{
	if (call->conn == NULL) {
		json_decref(params);
		return;
	}
	answer(call->conn, NULL, jsonrpc_notification(method, params));
}

size_t
call_backlog(const struct rpc_call *call)
{
	return call->conn != NULL ? evbuffer_get_length(call->conn->out) : 0;
}

/* --- input ---------------------------------------------------------------------------------------------------- */

/* Dispatches request number `i` of a line. The first that is one gets the descriptors. */
static void
dispatch(struct conn *c, struct intake *it, size_t i, struct rpc_batch *batch)
{
	struct jsonrpc_request request;
	struct rpc_failure f = {0};
	struct rpc_call *call;

	if (jsonrpc_request(intake_request(it, i), &request, &f) != 0) {
		answer(c, batch, jsonrpc_error(request.id, &f));
		rpc_failure_clear(&f);
		return;
	}
	if ((call = calloc(1, sizeof(*call))) == NULL) {
		rpc_fail(&f, RPC_internal_error, "out of memory");
		answer(c, batch, jsonrpc_error(request.id, &f));
		return;
	}
	call->conn = c;
	call->peer = c->peer;
	call->method = request.method;
	call->id = json_incref(request.id);
	call->batch = batch;
	call->received_us = it->received_us;
	if (batch != NULL)
		batch->open++;
	memcpy(call->fds, it->fds, sizeof(int) * (size_t)it->nfds);
	call->nfds = it->nfds;
	it->nfds = 0;
	if (i < it->count) {
		call->prepared = it->prepared[i];
		call->discard = it->methods->discard;
		it->prepared[i] = NULL;
	}
	call->next = c->calls;
	call->link = &c->calls;
	if (c->calls != NULL)
		c->calls->link = &call->next;
	c->calls = call;
	c->owner->request(c->owner->arg, call, &request);
}

static void
dispatch_batch(struct conn *c, struct intake *it)
{
	size_t count = json_array_size(it->message);
	struct rpc_batch *batch;
	struct rpc_failure f;

	if (count == 0 || count > JSONRPC_BATCH_MAX) {
		rpc_fail(&f, RPC_invalid_request, "a batch holds 1 to %d requests, this one %zu", JSONRPC_BATCH_MAX, count);
		answer(c, NULL, jsonrpc_error(NULL, &f));
		return;
	}
	batch = calloc(1, sizeof(*batch));
	if (batch == NULL || (batch->answers = evbuffer_new()) == NULL) {
		free(batch);
		rpc_fail(&f, RPC_internal_error, "out of memory");
		answer(c, NULL, jsonrpc_error(NULL, &f));
		return;
	}
	batch->open = 1;
	for (size_t i = 0; i < count && !c->dead && !c->lost; i++)
		dispatch(c, it, i, batch);
	batch_leave(c->dead ? NULL : c, batch);
}

/* Nothing at all, or the first half of a network's line end. */
static bool
is_empty(struct evbuffer *in, size_t length)
{
	return length == 0 || (length == 1 && evbuffer_search(in, "\r", 1, NULL).pos == 0);
}

/* Takes the descriptors that belong to stream bytes before `end`. Returns -1 when there were more than a line may have. */
static int
take_fds(struct conn *c, uint64_t end, int *fds, int *nfds)
{
	size_t taken = 0;
	int rc = 0;

	*nfds = 0;
	while (taken < c->nfds && c->fds[taken].offset < end) {
		if (*nfds < CONN_FDS_MAX) {
			fds[(*nfds)++] = c->fds[taken].fd;
		} else {
			close_fds(&c->fds[taken].fd, 1);
			rc = -1;
		}
		taken++;
	}
	memmove(c->fds, c->fds + taken, (c->nfds - taken) * sizeof(c->fds[0]));
	c->nfds -= taken;
	return rc;
}

/* Acts on a line that has been taken in. */
static void
act(struct conn *c, struct intake *it)
{
	if (it->message == NULL)
		answer(c, NULL, jsonrpc_error(NULL, &it->failure));
	else if (json_is_array(it->message))
		dispatch_batch(c, it);
	else
		dispatch(c, it, 0, NULL);
}

/*
 * Whether taking a line in would keep the others waiting: for its own length, or for that of the memory files that come
 * with it. Of nothing else is the size asked: it is refused, and its file system may not answer.
 */
static bool
takes_long(const struct intake *it)
{
	size_t total = it->length;

	for (int i = 0; i < it->nfds; i++) {
		struct stat st;

		if (fcntl(it->fds[i], F_GET_SEALS) >= 0 && fstat(it->fds[i], &st) == 0 && st.st_size > 0)
			total += (size_t)st.st_size;
	}
	return total > LONG_LINE;
}

static void
take_in(struct offload_job *job)
{
	intake_work((struct intake *)job);
}

static void taken_in(struct offload_job *job);

/* Hands a line to the thread. */
static void
offload_line(struct conn *c, struct intake *it)
{
	if ((it->buffer = evbuffer_new()) == NULL ||
	    evbuffer_remove_buffer(c->in, it->buffer, it->size) != (int)it->size) {
		input_total -= it->buffer != NULL ? evbuffer_get_length(it->buffer) : 0;
		intake_free(it);
		c->lost = true;
		return;
	}
	it->conn = c;
	it->job.work = take_in;
	it->job.done = taken_in;
	c->intake = it;
	event_del(c->read_event);
	offload_add(c->owner->offload, &it->job, c->peer.uid);
}

/* Handles the first `length` bytes of the input as one line, and drops `drop` bytes (the line and its newline). */
static void
handle_line(struct conn *c, size_t length, size_t drop)
{
	struct intake *it = intake_new(&c->owner->methods);

	if (it == NULL) {
		c->lost = true;
		return;
	}
	it->received_us = monotonic_us();
	it->length = length;
	it->size = drop;
	it->surplus = take_fds(c, c->consumed + drop, it->fds, &it->nfds) != 0;
	c->consumed += drop;
	c->scanned = 0;
	if (is_empty(c->in, length)) {
		;
	} else if (c->owner->offload != NULL && takes_long(it)) {
		offload_line(c, it);
		return;
	} else {
		it->line = (const char *)evbuffer_pullup(c->in, (ev_ssize_t)length);
		intake_work(it);
		act(c, it);
	}
	intake_free(it);
	evbuffer_drain(c->in, drop);
	input_total -= drop;
}

static void on_readable(evutil_socket_t sock, short what, void *arg);

/*
 * Reads no more, but notices when the client goes. Edge-triggered, because such a socket may be readable all the time;
 * and both its events must be: libevent takes no others for one descriptor.
 */
static void
watch_hangup(struct conn *c)
{
	struct timeval stall = {.tv_sec = c->owner->stall_s};

	c->eof = true;
	event_del(c->read_event);
	event_del(c->write_event);
	event_assign(c->read_event, c->owner->base, c->sock, EV_READ | EV_PERSIST | EV_ET, on_readable, c);
	event_assign(c->write_event, c->owner->base, c->sock, EV_WRITE | EV_PERSIST | EV_ET, on_writable, c);
	if (event_add(c->read_event, NULL) != 0 || (c->out_waiting && event_add(c->write_event, &stall) != 0))
		c->lost = true;
}

/* Says why, and closes when that is sent: for input after which the stream cannot be understood any more. */
static void
refuse(struct conn *c, enum rpc_error error, const char *why, size_t limit)
{
	struct rpc_failure f = {0};

	rpc_fail(&f, error, "%s (%zu bytes)", why, limit);
	answer(c, NULL, jsonrpc_error(NULL, &f));
	rpc_failure_clear(&f);
	intake_abandon(c);
	input_total -= evbuffer_get_length(c->in);
	evbuffer_drain(c->in, evbuffer_get_length(c->in));
	watch_hangup(c);
}

/* What a connection has sent that is not taken in yet. */
static size_t
sent_by(const struct conn *c)
{
	return evbuffer_get_length(c->in) + (c->intake != NULL ? c->intake->size : 0);
}

/* The connection with most input that is not taken in, among those of the user who has most. NULL when there is none. */
static struct conn *
largest_sender(const struct conn_owner *owner)
{
	struct conn *found = NULL;
	size_t most = 0;

	for (struct conn *c = owner->conns; c != NULL; c = c->next) {
		size_t length = sent_by(c), total = 0;

		if (length == 0)
			continue;
		for (const struct conn *d = owner->conns; d != NULL; d = d->next)
			if (d->peer.uid == c->peer.uid)
				total += sent_by(d);
		if (total > most || (total == most && length > sent_by(found))) {
			found = c;
			most = total;
		}
	}
	return found;
}

/*
 * Makes room for requests that are not taken in at the cost of whoever takes most of it, not of whoever comes last. A line
 * that the thread has keeps its room until it is done with: nobody else is refused for that.
 */
static void
refuse_largest(struct conn *reader)
{
	struct conn_owner *owner = reader->owner;
	struct conn *c;

	while (input_total - input_abandoned > owner->input_bytes && (c = largest_sender(owner)) != NULL) {
		refuse(c, RPC_overloaded, "too many half-sent requests are waiting", owner->input_bytes);
		if (c != reader && c->lost)
			conn_close(c);
		else if (c != reader)
			close_if_done(c);
	}
}

/* Of a line that is not complete yet, closes the descriptors past those that tell that it has too many. */
static void
prune_fds(struct conn *c)
{
	while (c->nfds > KEPT_FDS)
		close_fds(&c->fds[--c->nfds].fd, 1);
}

/* Whether a connection can be read from and served. */
static bool
is_served(const struct conn *c)
{
	return !c->dead && !c->eof && !c->lost && c->intake == NULL;
}

/* Handles what lines there are, while its turn lasts. Returns whether there may be more. */
static bool
handle_lines(struct conn *c)
{
	int64_t until = monotonic_ms() + TURN_MS;

	while (is_served(c)) {
		struct evbuffer_ptr start, eol;
		size_t length = evbuffer_get_length(c->in);

		evbuffer_ptr_set(c->in, &start, c->scanned, EVBUFFER_PTR_SET);
		eol = evbuffer_search(c->in, "\n", 1, &start);
		if (eol.pos < 0) {
			c->scanned = length;
			prune_fds(c);
			if (length > c->owner->request_bytes)
				refuse(c, RPC_request_too_large, "the line is longer than the limit", c->owner->request_bytes);
			else
				refuse_largest(c);
			return false;
		}
		if ((size_t)eol.pos > c->owner->request_bytes) {
			refuse(c, RPC_request_too_large, "the line is longer than the limit", c->owner->request_bytes);
			return false;
		}
		handle_line(c, (size_t)eol.pos, (size_t)eol.pos + 1);
		if (monotonic_ms() >= until)
			return is_served(c) && evbuffer_get_length(c->in) > 0;
	}
	return false;
}

/* Notes the descriptors that came with bytes up to stream offset `last`. More than a line may have are closed. */
static void
note_fds(struct conn *c, struct msghdr *msg, uint64_t last)
{
	size_t kept = 0;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(msg); h != NULL; h = CMSG_NXTHDR(msg, h)) {
		uid_t maker;
		size_t n;

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (c->owner->closer != NULL && fcntl(fd, F_GET_SEALS) < 0 && host_dir_check(fd, &maker, NULL) != 0) {
				closer_take(c->owner->closer, fd, c->peer.uid);
				fd = INTAKE_FD_OTHER;
			}
			if (kept < KEPT_FDS) {
				c->fds[c->nfds++] = (struct pending_fd){fd, last};
				kept++;
			} else {
				close_fds(&fd, 1);
			}
		}
	}
}

/* Reads once. Returns bytes read, 0 at the end of the stream, -1 for nothing now, -2 when the connection is broken. */
static ssize_t
read_some(struct conn *c)
{
	struct evbuffer_iovec space;
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * 253)]; /* SCM_MAX_FD: what one message can carry */
	} control;
	struct iovec iov;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof(control.buf)};
	ssize_t n;

	if (evbuffer_reserve_space(c->in, READ_CHUNK, &space, 1) != 1)
		return -2;
	iov = (struct iovec){space.iov_base, space.iov_len < READ_CHUNK ? space.iov_len : READ_CHUNK};
	if (c->owner->closer != NULL && closer_is_full(c->owner->closer, c->peer.uid))
		msg.msg_controllen = 0; /* the kernel drops them, and does not wait */
	n = recvmsg(c->sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? -1 : -2;
	note_fds(c, &msg, c->consumed + evbuffer_get_length(c->in) + (size_t)n - (n > 0));
	space.iov_len = (size_t)n;
	if (n > 0 && evbuffer_commit_space(c->in, &space, 1) != 0)
		return -2;
	input_total += (size_t)n;
	return n;
}

/* True when the client has closed both directions, as opposed to having sent its last request. */
static bool
hung_up(const struct conn *c)
{
	struct pollfd p = {.fd = c->sock, .events = 0};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)) != 0;
}

/* The client sends no more. It may still read: answer what is open, and watch for the moment when it goes. */
static void
half_closed(struct conn *c)
{
	size_t rest = evbuffer_get_length(c->in);

	if (rest > 0 && !c->eof)
		handle_line(c, rest, rest);
	if (!c->dead)
		watch_hangup(c);
}

/* Ends what a handler for the connection began: now it may be freed. */
static void
leave(struct conn *c, bool broken)
{
	c->busy = false;
	if (c->dead)
		conn_free(c);
	else if (broken || c->lost)
		conn_close(c);
	else
		close_if_done(c);
}

/* Gives a connection its turn among those of its user, when that of its user comes. */
static void
await_turn(struct conn *c)
{
	struct conn_owner *owner = c->owner;

	if (c->waits)
		return;
	if (owner->ready.count == 0 && !owner->at_work)
		event_active(owner->work, EV_TIMEOUT, 0);
	c->waits = true;
	turns_add(&owner->ready, &c->turn, c->peer.uid, c);
}

/* One turn of a connection: the lines that are there, or else what can be read now. */
static void
serve(struct conn *c)
{
	ssize_t n = -1;
	bool more;

	c->busy = true;
	more = evbuffer_get_length(c->in) > 0 && handle_lines(c);
	if (!more && is_served(c) && (n = read_some(c)) > 0)
		more = handle_lines(c);
	if (!c->dead && !c->eof && n == 0) {
		if (hung_up(c))
			n = -2;
		else
			half_closed(c);
	}
	if (more)
		await_turn(c);
	leave(c, n == -2);
}

/* Serves whose turn it is. The rest wait until the loop has looked what else there is: who is new may come before them. */
static void
on_work(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval soon = {0};
	struct conn_owner *owner = arg;
	int64_t until = monotonic_ms() + WORK_MS;
	struct conn *c;

	(void)fd;
	(void)what;
	owner->at_work = true;
	while (monotonic_ms() < until && (c = turns_take(&owner->ready)) != NULL) {
		c->waits = false;
		serve(c);
	}
	owner->at_work = false;
	if (owner->ready.count > 0)
		event_add(owner->work, &soon);
}

static void
on_readable(evutil_socket_t sock, short what, void *arg)
{
	struct conn *c = arg;

	(void)sock;
	(void)what;
	if (c->lost || (c->eof && hung_up(c)))
		conn_close(c);
	else if (!c->eof)
		await_turn(c);
}

/* A line has been taken in: acts on it, and reads on. */
static void
taken_in(struct offload_job *job)
{
	struct intake *it = (struct intake *)job;
	struct conn *c = it->conn;

	input_total -= it->size;
	if (c == NULL) {
		input_abandoned -= it->size;
		intake_free(it);
		return;
	}
	c->intake = NULL;
	c->busy = true;
	act(c, it);
	intake_free(it);
	if (is_served(c) && event_add(c->read_event, NULL) != 0)
		c->lost = true;
	else if (is_served(c) && evbuffer_get_length(c->in) > 0)
		await_turn(c);
	leave(c, false);
}

void
conn_refuse(int sock, struct rpc_failure *f)
{
	json_t *message = jsonrpc_error(NULL, f);
	char *text = message == NULL ? NULL : json_dumps(message, JSON_COMPACT);
	struct iovec line[] = {{text, text == NULL ? 0 : strlen(text)}, {(char[]){'\n'}, 1}};
	struct msghdr m = {.msg_iov = line, .msg_iovlen = 2};

	if (text != NULL)
		(void)!sendmsg(sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	free(text);
	json_decref(message);
	rpc_failure_clear(f);
}

struct conn *
conn_new(struct conn_owner *owner, int sock, struct err *e)
{
	struct ucred cred;
	socklen_t length = sizeof(cred);
	struct rpc_failure f = {0};
	struct conn *c = NULL;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &length) != 0) {
		err_sys(e, ERR_IO, "the client's credentials");
		goto fail;
	}
	if (cred.uid == UID_OVERFLOW || cred.uid == (uid_t)-1) {
		err_set(e, ERR_DENIED, "the client's user (%u) has no identity on this system: it is what users of other user "
		    "namespaces look like, so nothing can belong to it", (unsigned)cred.uid);
		rpc_fail(&f, RPC_denied, "%s", e->msg);
		conn_refuse(sock, &f);
		goto fail;
	}
	if (io_set_nonblock(sock, true, e) != 0)
		goto fail;
	if (owner->work == NULL) {
		turns_init(&owner->ready);
		if ((owner->work = evtimer_new(owner->base, on_work, owner)) == NULL)
			goto nomem;
	}
	if ((c = calloc(1, sizeof(*c))) == NULL)
		goto nomem;
	c->owner = owner;
	c->sock = sock;
	c->peer = (struct conn_peer){cred.uid, cred.gid, cred.pid};
	c->in = evbuffer_new();
	c->out = evbuffer_new();
	c->read_event = event_new(owner->base, sock, EV_READ | EV_PERSIST, on_readable, c);
	c->write_event = event_new(owner->base, sock, EV_WRITE | EV_PERSIST, on_writable, c);
	if (c->in == NULL || c->out == NULL || c->read_event == NULL || c->write_event == NULL ||
	    event_add(c->read_event, NULL) != 0)
		goto nomem;
	c->next = owner->conns;
	c->link = &owner->conns;
	if (c->next != NULL)
		c->next->link = &c->next;
	owner->conns = c;
	return c;
nomem:
	err_set(e, ERR_NOMEM, "a connection");
	if (c != NULL) {
		if (c->read_event != NULL)
			event_free(c->read_event);
		if (c->write_event != NULL)
			event_free(c->write_event);
		if (c->in != NULL)
			evbuffer_free(c->in);
		if (c->out != NULL)
			evbuffer_free(c->out);
		free(c);
	}
fail:
	close(sock);
	return NULL;
}
