/* broker/prepare: what methods do with their parameters alone: decoding, copying, hashing. brigd: loop or thread. */

#include "broker/prepare.h"

#include <stdlib.h>
#include <string.h>

#include "broker/config.h"

static int
check_source(const struct config *c, const struct module_source *m, struct rpc_failure *f)
{
	if (m->pack == NULL || m->size <= (size_t)c->source_bytes)
		return 0;
	return rpc_fail(f, RPC_source_too_large, "the source has %zu bytes, the limit is %jd", m->size,
	    (intmax_t)c->source_bytes);
}

static int
prepare_run(const struct config *c, const json_t *params, int *fds, int nfds, struct prepared *p)
{
	if (run_request_parse(params, fds, nfds, (size_t)c->module_bytes, &p->request, &p->failure) != 0)
		return -1;
	if (check_source(c, &p->request.module, &p->failure) != 0 ||
	    module_source_read(&p->request.module, &p->failure) != 0 ||
	    (p->request.key != NULL && run_request_fingerprint(&p->request, params, &p->failure) != 0)) {
		run_request_clear(&p->request);
		return -1;
	}
	return 0;
}

static int
prepare_put(const struct config *c, const json_t *params, int *fds, int nfds, struct prepared *p)
{
	struct module_source *m = &p->request.module;

	if (module_source_parse(params, fds, nfds, (size_t)c->module_bytes, m, &p->failure) != 0)
		return -1;
	if (m->fd < 0)
		rpc_fail(&p->failure, RPC_invalid_params, "module.put needs the module's bytes: \"wasm\" or \"descriptor\"");
	else if (module_source_read(m, &p->failure) == 0)
		return 0;
	module_source_clear(m);
	return -1;
}

static int
prepare_input(const struct config *c, const json_t *params, int *fds, int nfds, struct prepared *p)
{
	const json_t *data = json_object_get(params, "data");

	(void)c;
	(void)fds;
	(void)nfds;
	return data == NULL ? 0 : bytes_parse(data, "data", &p->data, &p->length, &p->failure);
}

static const struct {
	const char *method;
	int (*prepare)(const struct config *c, const json_t *params, int *fds, int nfds, struct prepared *p);
} preparers[] = {
    {"run", prepare_run},
    {"module.put", prepare_put},
    {"run.input", prepare_input},
};

void *
prepare_request(const void *config, const struct jsonrpc_request *request, int *fds, int nfds)
{
	struct prepared *p;
	size_t i = 0, count = sizeof(preparers) / sizeof(preparers[0]);

	while (i < count && strcmp(preparers[i].method, request->method) != 0)
		i++;
	if (i == count || (p = calloc(1, sizeof(*p))) == NULL)
		return NULL;
	p->request.module.fd = -1;
	p->failed = preparers[i].prepare(config, request->params, fds, nfds, p) != 0;
	return p;
}

void
prepare_discard(void *prepared)
{
	struct prepared *p = prepared;

	if (p == NULL)
		return;
	rpc_failure_clear(&p->failure);
	run_request_clear(&p->request);
	free(p->data);
	free(p);
}

struct prepared *
prepare_result(struct rpc_call *call, struct rpc_failure *f)
{
	struct prepared *p = call->prepared;

	if (p == NULL) {
		rpc_fail(f, RPC_internal_error, "out of memory");
		return NULL;
	}
	if (!p->failed)
		return p;
	*f = p->failure;
	p->failure.data = NULL;
	return NULL;
}
