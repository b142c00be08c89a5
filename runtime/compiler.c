/* runtime/compiler: one verified module in, one artifact out. Runs in the compiler process, jailed. */

/* The headers hide the compiler's settings from a build without it; this file links only into the one with it. */
#include <wasmtime/conf.h>
#ifndef WASMTIME_FEATURE_COMPILER
#define WASMTIME_FEATURE_COMPILER
#endif

#include "runtime/compiler.h"

#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/imsg.h"
#include "base/io.h"
#include "base/memfd.h"
#include "base/monotonic.h"

/* Of PROTO_FAILED: what a client reads of an invalid module. */
#define TEXT_MAX 900

void
compiler_settings(wasm_config_t *config, enum proto_engine kind)
{
	wasmtime_config_cranelift_opt_level_set(config, WASMTIME_OPT_LEVEL_SPEED);
	wasmtime_config_cranelift_nan_canonicalization_set(config, kind == PROTO_ENGINE_FUEL);
}

/* Checks a request and maps its module. */
static int
take_request(const struct imsg *m, enum proto_engine kind, struct memfd_map *module, struct err *e)
{
	struct proto_compile request;
	size_t size;
	int rc;

	if (m->hdr.type != PROTO_COMPILE || m->hdr.length != sizeof(request) || m->nfds != 2)
		return err_set(e, ERR_PROTOCOL, "message %u of %u bytes with %d descriptors is no order to compile", m->hdr.type,
		    m->hdr.length, m->nfds);
	memcpy(&request, m->payload, sizeof(request));
	if (request.engine != kind)
		return err_set(e, ERR_PROTOCOL, "asked to compile for engine %u, this is %d", request.engine, (int)kind);
	if ((rc = memfd_check(m->fds[0], SIZE_MAX / 2, &size, e)) != 0)
		return err_context(e, "the module");
	if (size != request.size)
		return err_set(e, ERR_PROTOCOL, "the module has %zu bytes, not %ju", size, (uintmax_t)request.size);
	return memfd_map(m->fds[0], size, module, e);
}

static int
answer_failed(int sock, uint64_t token, wasmtime_error_t *error, struct err *e)
{
	char text[TEXT_MAX + 1];
	size_t n = engine_error_text(error, text, sizeof(text));

	return imsg_send(sock, PROTO_FAILED, token, text, n, NULL, 0, e);
}

/* Writes and seals the artifact, then answers. */
static int
answer_compiled(int sock, const struct imsg *m, const wasm_byte_vec_t *artifact, uint64_t started_us, struct err *e)
{
	struct proto_compiled compiled = {.size = artifact->size};
	int rc;

	if ((rc = io_write_all(m->fds[1], artifact->data, artifact->size, e)) != 0)
		return err_context(e, "writing the artifact");
	if ((rc = memfd_seal(m->fds[1], e)) != 0)
		return rc;
	compiled.compile_us = monotonic_us() - started_us;
	return imsg_send(sock, PROTO_COMPILED, m->hdr.run, &compiled, sizeof(compiled), NULL, 0, e);
}

int
compiler_serve(wasm_engine_t *engine, enum proto_engine kind, int sock, struct err *e)
{
	static const uint8_t nothing;
	static struct imsg m;
	struct memfd_map module = {NULL, 0};
	wasm_byte_vec_t artifact;
	wasmtime_error_t *error;
	uint64_t started_us;
	int rc = imsg_recv(sock, &m, e);

	if (rc != 0)
		return rc == ERR_EOF ? 0 : rc;
	started_us = monotonic_us();
	if ((rc = take_request(&m, kind, &module, e)) != 0)
		goto out;
	error = brig_module_precompile(engine, module.size > 0 ? module.data : &nothing, module.size, &artifact);
	if (error != NULL) {
		rc = answer_failed(sock, m.hdr.run, error, e);
		goto out;
	}
	rc = answer_compiled(sock, &m, &artifact, started_us, e);
	wasm_byte_vec_delete(&artifact);
out:
	memfd_unmap(&module);
	imsg_close_fds(&m);
	return rc;
}
