/* broker/intake: a line while it is taken in: parsed, and what its requests bring made ready. brigd: loop or thread. */

#include "broker/intake.h"

#include <stdlib.h>

#include "broker/closer.h"

struct intake *
intake_new(const struct intake_methods *methods)
{
	struct intake *it = calloc(1, sizeof(*it));

	if (it != NULL)
		it->methods = methods;
	return it;
}

void
intake_free(struct intake *it)
{
	if (it == NULL)
		return;
	for (size_t i = 0; i < it->count; i++)
		if (it->prepared[i] != NULL)
			it->methods->discard(it->prepared[i]);
	free(it->prepared);
	for (int i = 0; i < it->nfds; i++)
		if (it->fds[i] >= 0)
			closer_drop(it->fds[i]);
	if (it->buffer != NULL)
		evbuffer_free(it->buffer);
	json_decref(it->message);
	rpc_failure_clear(&it->failure);
	free(it);
}

const json_t *
intake_request(const struct intake *it, size_t i)
{
	return json_is_array(it->message) ? json_array_get(it->message, i) : it->message;
}

/* Has the methods make ready what they can. Descriptors belong to the first request. */
static void
prepare(struct intake *it)
{
	size_t count = json_is_array(it->message) ? json_array_size(it->message) : 1;
	int nfds = it->nfds;

	if (it->methods->prepare == NULL || count == 0 || count > JSONRPC_BATCH_MAX)
		return;
	if ((it->prepared = calloc(count, sizeof(*it->prepared))) == NULL)
		return; /* the methods will miss it */
	it->count = count;
	for (size_t i = 0; i < count; i++) {
		struct jsonrpc_request request;
		struct rpc_failure f = {0};

		if (jsonrpc_request(intake_request(it, i), &request, &f) != 0) {
			rpc_failure_clear(&f);
			continue;
		}
		it->prepared[i] = it->methods->prepare(it->methods->arg, &request, it->fds, nfds);
		nfds = 0;
	}
}

void
intake_work(struct intake *it)
{
	if (it->surplus) {
		rpc_fail(&it->failure, RPC_bad_descriptor, "more than %d descriptors came with one line", INTAKE_FDS_MAX);
		return;
	}
	if (it->buffer != NULL)
		it->line = (const char *)evbuffer_pullup(it->buffer, (ev_ssize_t)it->length);
	if (it->line == NULL)
		rpc_fail(&it->failure, RPC_internal_error, "out of memory");
	else
		jsonrpc_parse(it->line, it->length, it->methods->request_depth, &it->message, &it->failure);
	if (it->buffer != NULL)
		evbuffer_free(it->buffer); /* before more is made of it */
	it->buffer = NULL;
	it->line = NULL;
	if (it->message != NULL)
		prepare(it);
}
