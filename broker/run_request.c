/* broker/run_request: the parameters of `run`, decoded and checked; no decision. brigd. */

#include "broker/run_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/memfd.h"
#include "base/nearest.h"
#include "broker/closer.h"
#include "broker/fair.h"
#include "broker/host_dir.h"
#include "broker/packs.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

int
params_check(const json_t *params, const char *const *names, size_t count, struct rpc_failure *f)
{
	const char *name;
	json_t *value;

	if (params == NULL)
		return 0;
	if (!json_is_object(params))
		return rpc_fail(f, RPC_invalid_params, "params must be an object with named members");
	json_object_foreach((json_t *)(uintptr_t)params, name, value) {
		const char *near;
		size_t i = 0;

		while (i < count && strcmp(names[i], name) != 0)
			i++;
		if (i < count)
			continue;
		near = nearest_name(name, names, count);
		return rpc_fail(f, RPC_invalid_params, "there is no parameter \"%.64s\"%s%s%s", name,
		    near != NULL ? "; did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?" : "");
	}
	return 0;
}

int
params_digest(const json_t *params, const char *const *names, size_t count, struct digest *out, struct rpc_failure *f)
{
	const json_t *digest = json_object_get(params, "digest");
	struct err e = {0};

	if (params_check(params, names, count, f) != 0)
		return -1;
	if (!json_is_string(digest))
		return rpc_fail(f, RPC_invalid_params, "say which module: \"digest\": \"sha256:...\"");
	if (digest_parse(json_string_value(digest), json_string_length(digest), out, &e) != 0)
		return rpc_fail(f, RPC_invalid_params, "digest: %s", e.msg);
	return 0;
}

/* Decodes base64 (RFC 4648 section 4, padded) of `length` characters. */
static int
decode_base64(const char *text, size_t length, const char *what, uint8_t **data, size_t *size, struct rpc_failure *f)
{
	size_t room = length / 4 * 3 + 3;
	uint8_t *bytes = malloc(room);

	if (bytes == NULL)
		return rpc_fail(f, RPC_internal_error, "out of memory: %zu bytes", room);
	if (!base64_decode(text, length, bytes, room, size)) {
		free(bytes);
		return rpc_fail(f, RPC_invalid_params, "%s is not base64 (RFC 4648, with padding, without line breaks)", what);
	}
	*data = bytes;
	return 0;
}

int
bytes_parse(const json_t *json, const char *what, uint8_t **data, size_t *length, struct rpc_failure *f)
{
	const json_t *base64 = json_object_get(json, "base64");

	if (json_is_string(json)) {
		size_t n = json_string_length(json);
		uint8_t *copy = malloc(n + 1);

		if (copy == NULL)
			return rpc_fail(f, RPC_internal_error, "out of memory: %zu bytes", n);
		memcpy(copy, json_string_value(json), n);
		*data = copy;
		*length = n;
		return 0;
	}
	if (json_object_size(json) == 1 && json_is_string(base64))
		return decode_base64(json_string_value(base64), json_string_length(base64), what, data, length, f);
	return rpc_fail(f, RPC_invalid_params, "%s must be a string or {\"base64\": \"...\"}", what);
}

/* --- the module ----------------------------------------------------------------------------------------------- */

static int
module_from_base64(const json_t *wasm, size_t size_max, struct module_source *out, struct rpc_failure *f)
{
	uint8_t *bytes = NULL;
	size_t size = 0;
	struct err e = {0};

	if (!json_is_string(wasm))
		return rpc_fail(f, RPC_invalid_params, "module.wasm must be a string of base64");
	if (decode_base64(json_string_value(wasm), json_string_length(wasm), "module.wasm", &bytes, &size, f) != 0)
		return -1;
	if (size > size_max) {
		free(bytes);
		return rpc_fail(f, RPC_module_too_large, "the module has %zu bytes, the limit is %zu", size, size_max);
	}
	out->fd = memfd_from("brig-module", bytes, size, &e);
	out->size = size;
	free(bytes);
	if (out->fd < 0)
		return rpc_fail(f, RPC_internal_error, "%s", e.msg);
	return 0;
}

static int
module_from_descriptor(const json_t *index, int *fds, int nfds, size_t size_max, struct module_source *out,
    struct rpc_failure *f)
{
	json_int_t i = json_integer_value(index);
	struct err e = {0};
	int rc;

	if (!json_is_integer(index) || i < 0 || i >= nfds || fds[i] == -1)
		return rpc_fail(f, RPC_bad_descriptor, "module.descriptor names no descriptor: %d came with this line", nfds);
	if ((rc = memfd_check(fds[i], size_max, &out->size, &e)) != 0 || (rc = memfd_check_pages(fds[i], &e)) != 0)
		return rpc_fail(f, rc == ERR_LIMIT ? RPC_module_too_large : RPC_bad_descriptor, "%s", e.msg);
	out->fd = fds[i];
	fds[i] = -1;
	return 0;
}

static int
module_from_pack(const json_t *pack, const json_t *code, struct module_source *out, struct rpc_failure *f)
{
	if (!json_is_string(pack) || code == NULL)
		return rpc_fail(f, RPC_invalid_params, "module.pack is the name of a language pack, and goes with module.code");
	if (bytes_parse(code, "module.code", &out->code, &out->size, f) != 0)
		return -1;
	if ((out->pack = strdup(json_string_value(pack))) == NULL) {
		free(out->code);
		return rpc_fail(f, RPC_internal_error, "out of memory");
	}
	return 0;
}

int
module_source_parse(const json_t *json, int *fds, int nfds, size_t size_max, struct module_source *out,
    struct rpc_failure *f)
{
	static const char *const names[] = {"wasm", "digest", "descriptor", "pack", "code", "signature"};
	const json_t *wasm = json_object_get(json, "wasm");
	const json_t *digest = json_object_get(json, "digest");
	const json_t *descriptor = json_object_get(json, "descriptor");
	const json_t *pack = json_object_get(json, "pack"), *code = json_object_get(json, "code");
	const json_t *signature = json_object_get(json, "signature");
	struct module_source m = {.fd = -1};
	struct err e = {0};

	if (!json_is_object(json))
		return rpc_fail(f, RPC_invalid_params, "module must be an object with \"wasm\", \"digest\", \"descriptor\" or \"pack\"");
	if (params_check(json, names, COUNT_OF(names), f) != 0)
		return -1;
	if ((wasm != NULL) + (digest != NULL) + (descriptor != NULL) + (pack != NULL) != 1)
		return rpc_fail(f, RPC_invalid_params,
		    "module must have one of \"wasm\", \"digest\", \"descriptor\" and \"pack\"");
	if (code != NULL && pack == NULL)
		return rpc_fail(f, RPC_invalid_params, "module.code goes with module.pack only");
	if (signature != NULL && (!json_is_string(signature) || digest != NULL))
		return rpc_fail(f, RPC_invalid_params,
		    "module.signature is the text of a minisign signature, and does not go with digest");
	if (digest != NULL) {
		if (!json_is_string(digest) ||
		    digest_parse(json_string_value(digest), json_string_length(digest), &m.digest, &e) != 0)
			return rpc_fail(f, RPC_invalid_params, "module.digest: %s",
			    e.code != 0 ? e.msg : "it must be a string");
	} else if (pack != NULL) {
		if (module_from_pack(pack, code, &m, f) != 0)
			return -1;
	} else if (wasm != NULL) {
		if (module_from_base64(wasm, size_max, &m, f) != 0)
			return -1;
	} else if (module_from_descriptor(descriptor, fds, nfds, size_max, &m, f) != 0) {
		return -1;
	}
	if (signature != NULL) {
		m.signature_length = json_string_length(signature);
		if ((m.signature = strdup(json_string_value(signature))) == NULL) {
			module_source_clear(&m);
			return rpc_fail(f, RPC_internal_error, "out of memory");
		}
	}
	*out = m;
	return 0;
}

void
module_source_clear(struct module_source *m)
{
	if (m->fd >= 0)
		close(m->fd);
	free(m->signature);
	free(m->facts);
	free(m->pack);
	free(m->code);
	*m = (struct module_source){.fd = -1};
}

int
module_source_read(struct module_source *m, struct rpc_failure *f)
{
	struct memfd_map map;
	struct err e = {0};

	if (m->fd < 0 && m->pack == NULL)
		return 0;
	if ((m->facts = malloc(sizeof(*m->facts))) == NULL)
		return rpc_fail(f, RPC_internal_error, "out of memory");
	if (m->pack != NULL) {
		signature_read_text(m->code, m->size, m->signature != NULL, m->facts);
		return 0;
	}
	if (memfd_map(m->fd, m->size, &map, &e) != 0)
		return rpc_fail(f, RPC_internal_error, "%s", e.msg);
	signature_read(map.data, map.size, m->signature != NULL, m->facts);
	memfd_unmap(&map);
	return 0;
}

/* --- arguments, environment, input ---------------------------------------------------------------------------- */

/* The blob while it grows. */
struct growing {
	uint8_t *data;
	size_t length, room;
};

static int
append(struct growing *g, const void *data, size_t length, struct rpc_failure *f)
{
	if (length > g->room - g->length) {
		size_t room = (g->length + length) * 2;
		uint8_t *larger = realloc(g->data, room);

		if (larger == NULL)
			return rpc_fail(f, RPC_internal_error, "out of memory: %zu bytes", room);
		g->data = larger;
		g->room = room;
	}
	if (length > 0)
		memcpy(g->data + g->length, data, length);
	g->length += length;
	return 0;
}

/* Appends a string of one or two parts with its length before it. */
static int
append_string(struct growing *g, const char *a, size_t a_length, const char *b, size_t b_length, struct rpc_failure *f)
{
	uint32_t length;

	if (a_length + b_length > UINT32_MAX)
		return rpc_fail(f, RPC_invalid_params, "a string of %zu bytes is too long", a_length + b_length);
	length = (uint32_t)(a_length + b_length);
	if (append(g, &length, sizeof(length), f) != 0 || append(g, a, a_length, f) != 0)
		return -1;
	return append(g, b, b_length, f);
}

static int
parse_args(const json_t *name, const json_t *args, struct growing *g, struct run_request *r, struct rpc_failure *f)
{
	const char *program = name != NULL ? json_string_value(name) : "main";

	if (program == NULL)
		return rpc_fail(f, RPC_invalid_params, "name must be a string: it is the program's own name, argument 0");
	if (args != NULL && (!json_is_array(args) || json_array_size(args) > RUN_ARGS_MAX))
		return rpc_fail(f, RPC_invalid_params, "args must be an array of at most %d strings", RUN_ARGS_MAX);
	if (append_string(g, program, strlen(program), "", 0, f) != 0)
		return -1;
	for (size_t i = 0; i < json_array_size(args); i++) {
		const json_t *arg = json_array_get(args, i);

		if (!json_is_string(arg))
			return rpc_fail(f, RPC_invalid_params, "args[%zu] is not a string", i);
		if (append_string(g, json_string_value(arg), json_string_length(arg), "", 0, f) != 0)
			return -1;
		r->ask.args_bytes += json_string_length(arg) + 1;
	}
	r->ask.argc = json_array_size(args);
	r->argc = (uint32_t)json_array_size(args) + 1;
	r->args_length = g->length;
	return 0;
}

static int
parse_env(const json_t *env, struct growing *g, struct run_request *r, struct rpc_failure *f)
{
	const char *name;
	json_t *value;
	size_t i = 0;

	if (env != NULL && (!json_is_object(env) || json_object_size(env) > RUN_ARGS_MAX))
		return rpc_fail(f, RPC_invalid_params, "env must be an object of at most %d strings", RUN_ARGS_MAX);
	if (json_object_size(env) > 0 && (r->env_names = calloc(json_object_size(env), sizeof(char *))) == NULL)
		return rpc_fail(f, RPC_internal_error, "out of memory");
	json_object_foreach((json_t *)(uintptr_t)env, name, value) {
		char with_equals[POLICY_NAME_MAX + 2];
		size_t length = strlen(name);

		if (length == 0 || length > POLICY_NAME_MAX || strchr(name, '=') != NULL)
			return rpc_fail(f, RPC_invalid_params,
			    "env has a name that is empty, longer than %d bytes or holds \"=\": \"%.64s\"", POLICY_NAME_MAX, name);
		if (!json_is_string(value))
			return rpc_fail(f, RPC_invalid_params, "env.%s is not a string", name);
		memcpy(with_equals, name, length);
		with_equals[length] = '=';
		if (append_string(g, with_equals, length + 1, json_string_value(value), json_string_length(value), f) != 0)
			return -1;
		if ((r->env_names[i] = strdup(name)) == NULL)
			return rpc_fail(f, RPC_internal_error, "out of memory");
		r->ask.envc = ++i;
		r->ask.env_bytes += length + json_string_length(value) + 2;
	}
	r->ask.env = (const char *const *)r->env_names;
	r->envc = (uint32_t)i;
	r->env_length = g->length - r->args_length;
	return 0;
}

static int
parse_stdin(const json_t *input, struct growing *g, struct run_request *r, struct rpc_failure *f)
{
	uint8_t *data;
	size_t length;
	int rc;

	if (input == NULL || json_is_null(input))
		return 0;
	if (json_object_size(input) == 1 && json_is_boolean(json_object_get(input, "stream"))) {
		r->stream_input = json_is_true(json_object_get(input, "stream"));
		return 0;
	}
	if (bytes_parse(input, "stdin", &data, &length, f) != 0)
		return -1;
	rc = append(g, data, length, f);
	free(data);
	r->stdin_length = r->ask.stdin_bytes = length;
	return rc;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether one of the files would have to be a directory for another one. */
static int
check_nesting(struct run_request *r, struct rpc_failure *f)
{
	qsort(r->file_paths, r->ask.filec, sizeof(char *), by_text);
	for (size_t i = 0; i < r->ask.filec; i++) {
		char above[POLICY_PATH_MAX + 1], *key = above, *slash;

		snprintf(above, sizeof(above), "%s", r->file_paths[i]);
		while ((slash = strrchr(above, '/')) != NULL && slash != above) {
			*slash = '\0';
			if (bsearch(&key, r->file_paths, r->ask.filec, sizeof(char *), by_text) != NULL)
				return rpc_fail(f, RPC_invalid_params, "files: %.200s is a file, so that nothing can be inside it",
				    above);
		}
	}
	return 0;
}

/* One file: its head, its path, its bytes. */
static int
append_file(struct growing *g, const char *path, const json_t *content, struct run_request *r, struct rpc_failure *f)
{
	const char *wrong = policy_path_wrong(path);
	struct proto_file head = {.path_length = (uint32_t)strlen(path)};
	uint8_t *data;
	size_t length;
	int rc;

	if (wrong == NULL && path[1] == '\0')
		wrong = "is a directory";
	if (wrong != NULL)
		return rpc_fail(f, RPC_invalid_params, "files: \"%.200s\" %s", path, wrong);
	if (bytes_parse(content, "a file of files", &data, &length, f) != 0)
		return -1;
	head.size = length;
	rc = append(g, &head, sizeof(head), f);
	if (rc == 0)
		rc = append(g, path, head.path_length, f);
	if (rc == 0)
		rc = append(g, data, length, f);
	free(data);
	r->ask.files_bytes += length;
	return rc;
}

static int
parse_files(const json_t *files, struct growing *g, struct run_request *r, struct rpc_failure *f)
{
	size_t before = g->length;
	const char *path;
	json_t *content;

	if (files == NULL)
		return 0;
	if (!json_is_object(files) || json_object_size(files) > RUN_ARGS_MAX)
		return rpc_fail(f, RPC_invalid_params, "files must be an object of at most %d paths and contents", RUN_ARGS_MAX);
	if (json_object_size(files) > 0 && (r->file_paths = calloc(json_object_size(files), sizeof(char *))) == NULL)
		return rpc_fail(f, RPC_internal_error, "out of memory");
	json_object_foreach((json_t *)(uintptr_t)files, path, content) {
		if (append_file(g, path, content, r, f) != 0)
			return -1;
		if ((r->file_paths[r->ask.filec] = strdup(path)) == NULL)
			return rpc_fail(f, RPC_internal_error, "out of memory");
		r->ask.filec++;
	}
	r->ask.files = (const char *const *)r->file_paths;
	r->files_length = g->length - before;
	return check_nesting(r, f);
}

/* Takes the socket that {"descriptor": N} names. */
static int
take_dir(const json_t *value, const char *path, int *fds, int nfds, struct run_request *r, struct rpc_failure *f)
{
	const json_t *index = json_object_get(value, "descriptor");
	json_int_t i = json_integer_value(index);
	size_t n = r->ask.dirc;
	struct err e = {0};

	if (json_object_size(value) != 1 || !json_is_integer(index))
		return rpc_fail(f, RPC_invalid_params, "dirs: %.200s must be {\"descriptor\": N}", path);
	if (i < 0 || i >= nfds || fds[i] == -1)
		return rpc_fail(f, RPC_bad_descriptor,
		    "dirs: the descriptor of %.200s is none, or used already: %d came with this line", path, nfds);
	if (host_dir_check(fds[i], &r->dir_makers[n], &e) != 0)
		return rpc_fail(f, RPC_bad_descriptor, "dirs: the descriptor of %.200s is of no use: %s", path, e.msg);
	if ((r->dir_paths[n] = strdup(path)) == NULL)
		return rpc_fail(f, RPC_internal_error, "out of memory");
	r->dir_fds[n] = fds[i];
	fds[i] = -1;
	r->ask.dirc++;
	return 0;
}

static int
parse_dirs(const json_t *dirs, int *fds, int nfds, struct run_request *r, struct rpc_failure *f)
{
	const char *path;
	json_t *value;

	if (dirs == NULL)
		return 0;
	if (!json_is_object(dirs) || json_object_size(dirs) > PROTO_DIRS_MAX)
		return rpc_fail(f, RPC_invalid_params, "dirs must be an object of at most %d mounts and descriptors",
		    PROTO_DIRS_MAX);
	if ((r->dir_paths = calloc(PROTO_DIRS_MAX, sizeof(char *))) == NULL)
		return rpc_fail(f, RPC_internal_error, "out of memory");
	r->ask.dirs = (const char *const *)r->dir_paths;
	json_object_foreach((json_t *)(uintptr_t)dirs, path, value) {
		const char *wrong = policy_path_wrong(path);

		if (wrong != NULL)
			return rpc_fail(f, RPC_invalid_params, "dirs: \"%.200s\" %s", path, wrong);
		if (take_dir(value, path, fds, nfds, r, f) != 0)
			return -1;
	}
	return 0;
}

int
run_request_owns_dirs(const struct run_request *r, uid_t user, struct rpc_failure *f)
{
	for (size_t i = 0; i < r->ask.dirc; i++)
		if (r->dir_makers[i] != user)
			return rpc_fail(f, RPC_bad_descriptor,
			    "dirs: the socket pair of %.200s was made by user %u, not by the client's own, %u", r->dir_paths[i],
			    (unsigned)r->dir_makers[i], (unsigned)user);
	return 0;
}

/* When it is to start, and to have ended. */
static int
parse_urgency(const json_t *params, struct run_request *r, struct rpc_failure *f)
{
	const json_t *priority = json_object_get(params, "priority"), *deadline = json_object_get(params, "deadline_ms");
	json_int_t value = json_integer_value(priority);

	if (priority != NULL && (!json_is_integer(priority) || value < 0 || value >= FAIR_PRIORITIES))
		return rpc_fail(f, RPC_invalid_params, "priority must be a whole number from 0 to %d, %d is usual", FAIR_PRIORITIES - 1,
		    RUN_PRIORITY);
	if (priority != NULL)
		r->priority = (unsigned)value;
	value = json_integer_value(deadline);
	if (deadline != NULL && (!json_is_integer(deadline) || value < 1 || value > RUN_DEADLINE_MS_MAX))
		return rpc_fail(f, RPC_invalid_params, "deadline_ms must be a whole number from 1 to %d", RUN_DEADLINE_MS_MAX);
	r->deadline_ms = (uint64_t)value;
	return 0;
}

static int
parse_rest(const json_t *params, struct run_request *r, struct rpc_failure *f)
{
	const json_t *policy = json_object_get(params, "policy");
	const json_t *stream = json_object_get(params, "stream");
	const json_t *key = json_object_get(params, "key");
	struct err e = {0};

	if (stream != NULL && !json_is_boolean(stream))
		return rpc_fail(f, RPC_invalid_params, "stream must be true or false");
	r->stream_output = json_is_true(stream);
	if (key != NULL &&
	    (!json_is_string(key) || json_string_length(key) == 0 || json_string_length(key) > RUN_KEY_MAX))
		return rpc_fail(f, RPC_invalid_params, "key must be a string of 1 to %d bytes", RUN_KEY_MAX);
	if (key != NULL && (r->key = strdup(json_string_value(key))) == NULL)
		return rpc_fail(f, RPC_internal_error, "out of memory");
	if (policy != NULL && policy_from_json(policy, &r->policy, &e) != 0)
		return rpc_fail(f, RPC_invalid_params, "policy: %s", e.msg);
	return 0;
}

int
run_request_parse(const json_t *params, int *fds, int nfds, size_t module_max, struct run_request *out,
    struct rpc_failure *f)
{
	static const char *const names[] = {"module", "name", "args", "env", "stdin", "files", "dirs", "policy", "stream",
	    "key", "priority", "deadline_ms"};
	struct run_request r = {.module = {.fd = -1}, .priority = RUN_PRIORITY};
	struct growing g = {NULL, 0, 0};
	int rc = -1;

	if (params == NULL)
		return rpc_fail(f, RPC_invalid_params, "run needs params with a \"module\"");
	if (params_check(params, names, COUNT_OF(names), f) != 0)
		return -1;
	if (json_object_get(params, "module") == NULL)
		return rpc_fail(f, RPC_invalid_params, "run needs a \"module\"");
	if (parse_args(json_object_get(params, "name"), json_object_get(params, "args"), &g, &r, f) != 0 ||
	    parse_env(json_object_get(params, "env"), &g, &r, f) != 0 ||
	    parse_stdin(json_object_get(params, "stdin"), &g, &r, f) != 0 ||
	    parse_files(json_object_get(params, "files"), &g, &r, f) != 0 ||
	    parse_dirs(json_object_get(params, "dirs"), fds, nfds, &r, f) != 0 || parse_rest(params, &r, f) != 0 ||
	    parse_urgency(params, &r, f) != 0)
		goto out;
	rc = module_source_parse(json_object_get(params, "module"), fds, nfds, module_max, &r.module, f);
out:
	r.blob = g.data;
	r.blob_length = g.length;
	if (rc != 0) {
		run_request_clear(&r);
		return -1;
	}
	r.input = digest_of(r.blob, r.blob_length);
	*out = r;
	return 0;
}

int
run_request_fingerprint(struct run_request *r, const json_t *params, struct rpc_failure *f)
{
	struct digest parts[2] = {r->module.facts != NULL ? r->module.facts->module : r->module.digest, {{0}}};
	json_t *rest = json_copy((json_t *)(uintptr_t)params);
	char *text = NULL;

	if (rest != NULL) {
		json_object_del(rest, "module");
		if (r->module.pack != NULL)
			json_object_set_new(rest, "module", json_string(r->module.pack));
		text = json_dumps(rest, JSON_COMPACT | JSON_SORT_KEYS);
	}
	json_decref(rest);
	if (text == NULL)
		return rpc_fail(f, RPC_internal_error, "out of memory");
	parts[1] = digest_of(text, strlen(text));
	free(text);
	r->fingerprint = digest_of(parts, sizeof(parts));
	return 0;
}

int
run_request_for_pack(struct run_request *r, const struct pack *pack, struct err *e)
{
	const struct proto_source head = {.argc = r->argc, .envc = r->envc, .code_bytes = r->module.size};
	size_t given = (size_t)(r->args_length + r->env_length), rest = r->blob_length - given;
	uint8_t *job, *blob = malloc(pack->args_length + pack->env_length + rest + 1);

	job = malloc(sizeof(head) + given + r->module.size);
	if (job == NULL || blob == NULL) {
		free(job);
		free(blob);
		return err_set(e, ERR_NOMEM, "a language pack's job of %zu bytes", r->module.size);
	}
	memcpy(job, &head, sizeof(head));
	memcpy(job + sizeof(head), r->blob, given);
	memcpy(job + sizeof(head) + given, r->module.code, r->module.size);
	memcpy(blob, pack->args, pack->args_length);
	if (pack->env_length > 0)
		memcpy(blob + pack->args_length, pack->env, pack->env_length);
	memcpy(blob + pack->args_length + pack->env_length, r->blob + given, rest);
	free(r->blob);
	free(r->module.code);
	r->blob = blob;
	r->blob_length = pack->args_length + pack->env_length + rest;
	r->job = job;
	r->job_length = sizeof(head) + given + r->module.size;
	r->module.code = NULL;
	r->argc = pack->argc;
	r->envc = pack->envc;
	r->args_length = pack->args_length;
	r->env_length = pack->env_length;
	return 0;
}

int
run_request_append(struct run_request *r, const void *data, size_t length, struct err *e)
{
	uint8_t *larger;

	if (length == 0)
		return 0;
	if ((larger = realloc(r->blob, r->blob_length + length)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory: %zu bytes", r->blob_length + length);
	memcpy(larger + r->blob_length, data, length);
	r->blob = larger;
	r->blob_length += length;
	return 0;
}

void
run_request_shed(struct run_request *r)
{
	module_source_clear(&r->module);
	for (size_t i = 0; i < r->ask.envc; i++)
		free(r->env_names[i]);
	free(r->env_names);
	r->env_names = NULL;
	for (size_t i = 0; i < r->ask.filec; i++)
		free(r->file_paths[i]);
	free(r->file_paths);
	r->file_paths = NULL;
	for (size_t i = 0; i < r->ask.dirc; i++) {
		closer_drop(r->dir_fds[i]);
		free(r->dir_paths[i]);
	}
	free(r->dir_paths);
	r->dir_paths = NULL;
	r->ask = (struct policy_ask){0};
	free(r->blob);
	r->blob = NULL;
	r->blob_length = 0;
	free(r->job);
	r->job = NULL;
	r->job_length = 0;
	policy_free(r->policy);
	r->policy = NULL;
}

void
run_request_clear(struct run_request *r)
{
	run_request_shed(r);
	free(r->key);
	memset(r, 0, sizeof(*r));
	r->module.fd = -1;
}
