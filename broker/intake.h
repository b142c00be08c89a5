/* broker/intake: a line while it is taken in: parsed, and what its requests bring made ready. brigd: loop or thread. */

#ifndef BROKER_INTAKE_H
#define BROKER_INTAKE_H

#include <event2/buffer.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "broker/jsonrpc.h"
#include "broker/offload.h"

#define INTAKE_FDS_MAX  9    /* descriptors beside one line: a module, PROTO_DIRS_MAX directories */
#define INTAKE_FD_OTHER (-2) /* stands for one of a kind that no method takes, and is not held */

struct conn;

/*
 * What methods do with their parameters before anything is decided: it may take long, so it is done off the event loop
 * for a long line, and must touch nothing but the request and its descriptors. NULL when there is nothing to prepare.
 */
struct intake_methods {
	void *(*prepare)(const void *arg, const struct jsonrpc_request *request, int *fds, int nfds);
	void (*discard)(void *prepared); /* NULL is fine */
	const void *arg;                 /* constant while brigd runs */
	unsigned request_depth;
};

struct intake {
	struct offload_job job;          /* first: the job is the intake */
	struct conn *conn;               /* who waits for it; NULL when nobody does any more */
	const struct intake_methods *methods;
	struct evbuffer *buffer;         /* holds the line, owned; NULL when that is borrowed, and once it is parsed */
	const char *line;
	size_t length;
	uint64_t received_us;            /* when the line was there, CLOCK_MONOTONIC */
	size_t size;                     /* what it counts for while it is taken in */
	int fds[INTAKE_FDS_MAX];
	int nfds;
	bool surplus;                    /* there were more */
	json_t *message;                 /* NULL: `failure` says why */
	struct rpc_failure failure;
	void **prepared;                 /* for each request of the message */
	size_t count;
};

/* intake_new - zeroed, but for `methods`. NULL when out of memory. */
struct intake *intake_new(const struct intake_methods *methods);

/* intake_free - with all that nobody took. NULL is fine. */
void intake_free(struct intake *it);

/* intake_work - take the line in: from `line`, or all but the last `size - length` bytes of `buffer`. */
void intake_work(struct intake *it);

/* intake_request - the message's request number `i`. */
const json_t *intake_request(const struct intake *it, size_t i);

#endif
