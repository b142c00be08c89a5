/* Fuzz target: one line from a client: broker/jsonrpc, and broker/run_request for what it asks to run. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memfd.h"
#include "broker/jsonrpc.h"
#include "broker/run_request.h"
#include "tests/fuzz/input.h"

#define DEPTH_MAX  64
#define MODULE_MAX 65536

/* An answer can be made of every failure: one line that is JSON. */
static void
must_be_told(json_t *id, struct rpc_failure *f)
{
	json_t *answer = jsonrpc_error(id, f), *again;
	char *text = answer == NULL ? NULL : json_dumps(answer, JSON_COMPACT);

	MUST(text != NULL && strchr(text, '\n') == NULL);
	MUST(strlen(f->detail) > 0);
	again = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	MUST(again != NULL);
	json_decref(again);
	json_decref(answer);
	free(text);
	rpc_failure_clear(f);
}

/* The strings of one part of the blob fill it; returns what is behind. */
static const uint8_t *
must_be_strings(const uint8_t *p, uint64_t length, uint32_t count)
{
	const uint8_t *end = p + length;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t n;

		MUST((size_t)(end - p) >= sizeof(n));
		memcpy(&n, p, sizeof(n));
		p += sizeof(n);
		MUST((size_t)(end - p) >= n && memchr(p, '\0', n) == NULL);
		p += n;
	}
	MUST(p == end);
	return end;
}

static void
must_be_runnable(const struct run_request *r)
{
	const uint8_t *p = r->blob;
	size_t size = 0;

	MUST(r->blob_length == r->args_length + r->env_length + r->stdin_length);
	MUST(r->argc == r->ask.argc + 1 && r->envc == r->ask.envc && r->ask.stdin_bytes == r->stdin_length);
	p = must_be_strings(p, r->args_length, r->argc);
	must_be_strings(p, r->env_length, r->envc);
	MUST(!r->stream_input || (r->stream_output && r->stdin_length == 0));
	MUST(r->module.fd < 0 || (memfd_check(r->module.fd, MODULE_MAX, &size, NULL) == 0 && size == r->module.size));
	MUST(r->module.fd >= 0 || r->module.signature == NULL);
}

static int sealed = -1;

/* The descriptors that came with the line: one sealed memory file, and one that is none. Each is taken once or left. */
static void
try_run(json_t *id, const json_t *params)
{
	struct run_request r;
	struct rpc_failure f = {0};
	int fds[2] = {dup(sealed), dup(STDIN_FILENO)};

	MUST(fds[0] >= 0 && fds[1] >= 0);
	if (run_request_parse(params, fds, 2, MODULE_MAX, &r, &f) == 0) {
		must_be_runnable(&r);
		run_request_shed(&r);
		run_request_clear(&r);
	} else {
		MUST(fds[0] >= 0);
		must_be_told(id, &f);
	}
	MUST(fds[1] >= 0);
	close(fds[1]);
	if (fds[0] >= 0)
		close(fds[0]);
}

static void
try_request(const json_t *message)
{
	struct jsonrpc_request r;
	struct rpc_failure f = {0};

	if (jsonrpc_request(message, &r, &f) != 0) {
		must_be_told(r.id, &f);
		return;
	}
	MUST(r.method != NULL);
	if (strcmp(r.method, "run") == 0)
		try_run(r.id, r.params);
	json_decref(jsonrpc_result(r.id, json_null()));
}

static void
must_be_shallow(const json_t *value, unsigned depth)
{
	const char *key;
	json_t *inner;
	size_t i;

	MUST(depth <= DEPTH_MAX);
	json_object_foreach((json_t *)(uintptr_t)value, key, inner)
		must_be_shallow(inner, depth + (json_is_object(inner) || json_is_array(inner)));
	json_array_foreach(value, i, inner)
		must_be_shallow(inner, depth + (json_is_object(inner) || json_is_array(inner)));
}

/* What was read is what it says: not too deep, and written out and read again, it is the same. */
static void
must_survive(json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT | JSON_ENCODE_ANY);
	struct rpc_failure f = {0};
	json_t *again = NULL;

	MUST(text != NULL);
	must_be_shallow(message, json_is_object(message) || json_is_array(message));
	MUST(jsonrpc_parse(text, strlen(text), DEPTH_MAX, &again, &f) == 0);
	MUST(json_equal(message, again));
	json_decref(again);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct block line = input_rest(&in);
	struct rpc_failure f = {0};
	json_t *message = NULL, *one;
	size_t i;
	int fd;

	if (sealed < 0)
		sealed = memfd_from("module", "\0asm\1\0\0\0", 8, NULL);
	fd = input_lowest_fd();
	if (jsonrpc_parse((const char *)line.data, line.length, DEPTH_MAX, &message, &f) != 0) {
		MUST(message == NULL);
		must_be_told(NULL, &f);
	} else {
		must_survive(message);
		if (json_is_array(message))
			json_array_foreach(message, i, one)
				try_request(one);
		else
			try_request(message);
		json_decref(message);
	}
	free(line.data);
	MUST(input_lowest_fd() == fd);
	return 0;
}
