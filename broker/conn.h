/* broker/conn: one client connection: lines and descriptors in, answers and notifications out. brigd. */

#ifndef BROKER_CONN_H
#define BROKER_CONN_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/json_text.h"
#include "broker/closer.h"
#include "broker/intake.h"
#include "broker/jsonrpc.h"
#include "broker/turns.h"

#define CONN_FDS_MAX INTAKE_FDS_MAX /* more are an error of their line */

struct conn;

/* Who is at the other end, as the kernel says (SO_PEERCRED): the identity that owns runs and modules. */
struct conn_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
};

/* One request that is being answered. Handlers get it, keep it as long as they need, and end it exactly once. */
struct rpc_call {
	struct conn *conn;   /* NULL once the client is gone: answers then go nowhere */
	struct conn_peer peer;
	const char *method;  /* valid until the handler returns */
	json_t *id;          /* owned; NULL for a notification */
	int fds[CONN_FDS_MAX];
	int nfds;            /* owned: what the handler does not take is closed with the call */
	uint64_t received_us; /* when its line was there, CLOCK_MONOTONIC */
	void *prepared;      /* what conn_owner.methods made of the parameters; owned, as the descriptors are */
	void (*discard)(void *prepared);
	void (*gone)(struct rpc_call *call);    /* the client closed; set by the handler, may be NULL */
	void (*drained)(struct rpc_call *call); /* the client has read what was queued; may be NULL */
	void *arg;           /* the handler's */
	struct rpc_batch *batch;
	struct rpc_call *next, **link; /* calls of one connection */
};

/* The server side that a connection reports to. */
struct conn_owner {
	struct event_base *base;
	struct closer *closer;   /* for descriptors that are no memory files; NULL: closed in the loop */
	struct offload *offload; /* for lines that take long; NULL: everything is done in the loop */
	struct intake_methods methods;
	size_t request_bytes;  /* longest line */
	size_t backlog_bytes;  /* most that may wait for a client that does not read, answers of open batches included */
	size_t input_bytes;    /* most that all connections together may have sent that is not taken in yet */
	unsigned stall_s;      /* a client that reads nothing for so long while output waits is dropped */
	void (*request)(void *arg, struct rpc_call *call, const struct jsonrpc_request *request);
	void (*closed)(void *arg, struct conn *c); /* before it is freed */
	void *arg;
	/* Kept by this module, and free when no connection is left: */
	struct conn *conns;    /* all that are open */
	struct turns ready;    /* those with something to read: users take turns, however many connections each has */
	struct event *work;    /* serves them */
	bool at_work;
};

/*
 * conn_new - serve the connected socket `sock` (taken, also on failure). `owner` outlives the connection.
 * Descriptors: those that arrive with a recvmsg belong to the line that holds the last byte of it; a client sends
 * exactly the bytes of one line with them. Returns NULL and an error when the peer is not acceptable, which it is told.
 */
struct conn *conn_new(struct conn_owner *owner, int sock, struct err *e);

/*
 * conn_refuse - send an error without an id to a client that is not to be served; whether it hears that is not waited
 * for. `sock` stays the caller's to close; `f` is borrowed and cleared.
 */
void conn_refuse(int sock, struct rpc_failure *f);

/* conn_siblings - how many connections the client's user has, this one included. */
unsigned conn_siblings(const struct conn *c);

/* conn_close - drop the connection now; its calls are told `gone`. NULL is fine. */
void conn_close(struct conn *c);

/* conn_close_all - conn_close for every connection of an owner. */
void conn_close_all(struct conn_owner *owner);

/* conn_unfinished - connections whose client still waits for an answer, or has not read one. */
size_t conn_unfinished(const struct conn_owner *owner);

/* call_result, call_fail - answer and end the call. `result` is taken. `f` is borrowed and cleared. */
void call_result(struct rpc_call *call, json_t *result);

/*
 * call_result_text - call_result with an object, of the members in `members` (borrowed, of their outermost object nothing
 * but them) and of those of `rest` (an object, taken; or NULL).
 */
void call_result_text(struct rpc_call *call, const struct json_text *members, json_t *rest);
void call_fail(struct rpc_call *call, struct rpc_failure *f);

/* call_notify - send a notification to the client of a call that goes on. `params` is taken. */
void call_notify(struct rpc_call *call, const char *method, json_t *params);

/* call_backlog - bytes that wait to be read by the client of this call; 0 when it is gone. */
size_t call_backlog(const struct rpc_call *call);

/* conn_input_total - bytes sent and not taken in yet over all connections, for metrics. */
size_t conn_input_total(void);

#endif
