/* bench_mix: the programs that `brig bench` runs, and what each is given. brig. */

#include "clients/c/bench_mix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/io.h"
#include "clients/c/cmd.h"
#include "clients/c/source.h"
#include "policy/policy.h"

#define STDIN_MAX (8 * 1024 * 1024)

/* --- the command line ------------------------------------------------------------------------------------------- */

int
bench_number(const char *text, size_t length, double *n)
{
	char copy[40], *end;
	double value;

	if (length == 0 || length >= sizeof(copy))
		return ERR_INVAL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	value = strtod(copy, &end);
	if (*end != '\0' || !isfinite(value) || value <= 0)
		return ERR_INVAL;
	*n = value;
	return 0;
}

/* "3*FILE": takes the weight off. */
static const char *
take_weight(const char *text, double *weight)
{
	const char *star = strchr(text, '*');

	*weight = 1;
	if (star == NULL || bench_number(text, (size_t)(star - text), weight) != 0)
		return text;
	return star + 1;
}

static struct bench_program *
last(const struct bench_mix *m)
{
	return m->count > 0 ? &m->programs[m->count - 1] : NULL;
}

bool
bench_mix_wants_source(const struct bench_mix *m)
{
	const struct bench_program *p = last(m);

	return p != NULL && p->pack != NULL && p->file == NULL && p->code == NULL;
}

static int
add(struct bench_mix *m, struct bench_program p, struct err *e)
{
	struct bench_program *more = reallocarray(m->programs, m->count + 1, sizeof(*more));

	if (more == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	m->programs = more;
	m->programs[m->count++] = p;
	return 0;
}

int
bench_mix_file(struct bench_mix *m, const char *text, struct err *e)
{
	struct bench_program p = {0};

	if (bench_mix_wants_source(m)) {
		last(m)->file = text;
		return 0;
	}
	p.file = take_weight(text, &p.weight);
	return add(m, p, e);
}

int
bench_mix_pack(struct bench_mix *m, const char *text, struct err *e)
{
	struct bench_program p = {0};

	if (bench_mix_wants_source(m))
		return err_set(e, ERR_INVAL, "--pack %.40s: which source? FILE, or -c CODE, is missing", last(m)->pack);
	p.pack = take_weight(text, &p.weight);
	return add(m, p, e);
}

int
bench_mix_code(struct bench_mix *m, const char *text, struct err *e)
{
	if (!bench_mix_wants_source(m))
		return err_set(e, ERR_INVAL, "--code goes behind a --pack, which takes one source");
	last(m)->code = text;
	return 0;
}

struct bench_given *
bench_mix_given(struct bench_mix *m)
{
	return m->count > 0 ? &last(m)->own : &m->all;
}

int
bench_mix_arg(struct bench_mix *m, const char *text, struct err *e)
{
	struct bench_given *given = bench_mix_given(m);

	if (given->args == NULL)
		given->args = json_array();
	if (json_array_append_new(given->args, json_string(text)) != 0)
		return err_set(e, ERR_INVAL, "an argument is not UTF-8");
	return 0;
}

/* --- at the server ---------------------------------------------------------------------------------------------- */

/* Asks something for one of the owners, and prints why not. */
static int
ask(const struct bench_place *place, uid_t owner, const char *method, json_t *params, int fd)
{
	struct brig_error refused = {0};
	json_t *result = NULL;
	struct brig *server;
	struct err e = {0};
	int rc;

	if (load_connect(place->socket, owner, &server, &e) != 0) {
		json_decref(params);
		return cmd_fail(place->verb, &e);
	}
	rc = brig_call(server, method, params, &fd, fd >= 0 ? 1 : 0, &result, &refused, &e);
	brig_close(server);
	json_decref(result);
	if (rc == 0)
		return CMD_OK;
	if (refused.code != 0)
		cmd_refusal(place->verb, &refused, NULL);
	else
		cmd_fail(place->verb, &e);
	return CMD_FAILED;
}

/* Stores a program for one of the owners. */
static int
store(const struct bench_place *place, uid_t owner, const struct module_file *m)
{
	struct err e;
	int fd = module_file_memfd(m, &e), code;

	if (fd < 0)
		return cmd_fail(place->verb, &e);
	code = ask(place, owner, "module.put", module_file_json(m), fd);
	close(fd);
	return code;
}

/* Stores a module if it is a file; *out: how a request names it from then on. */
static int
put_module(const struct bench_place *place, const char *file, json_t **out)
{
	char text[DIGEST_TEXT_SIZE];
	struct module_file m = {0};
	struct digest d;
	struct err e;
	int code = CMD_OK;

	if (strncmp(file, "sha256:", 7) == 0) {
		if (digest_parse(file, strlen(file), &d, &e) != 0)
			return cmd_fail(place->verb, &e);
	} else {
		if (module_file_load(file, !place->no_sign, &m, &e) != 0)
			return cmd_fail(place->verb, &e);
		d = digest_of(m.wasm, m.size);
		for (size_t i = 0; code == CMD_OK && i < place->owner_count; i++)
			code = store(place, place->owners[i], &m);
		if (place->owner_count == 0)
			code = store(place, (uid_t)-1, &m);
		module_file_clear(&m);
	}
	digest_text(&d, text);
	if (code == CMD_OK)
		*out = json_pack("{s:s}", "digest", text);
	return code;
}

/* Runs it for a moment, so that it is compiled and a server that refuses it says so. */
static int
warm_up(const struct bench_place *place, const struct load_item *item)
{
	uid_t owner = place->owner_count > 0 ? place->owners[0] : (uid_t)-1;

	return ask(place, owner, "run",
	    json_pack("{s:O, s:{s:{s:i}, s:{s:s, s:s}}}", "module", json_object_get(item->params, "module"), "policy", "limits",
	        "wall_ms", 1, "signature", "module", "optional", "source", "optional"), -1);
}

/* --- requests --------------------------------------------------------------------------------------------------- */

static int
add_input(json_t *params, const char *path, struct err *e)
{
	uint8_t *data = NULL;
	size_t length = 0;
	int rc = io_read_file(path, STDIN_MAX, &data, &length, e);

	if (rc == 0 && json_object_set_new(params, "stdin", brig_base64(data, length)) != 0)
		rc = err_set(e, ERR_NOMEM, "out of memory");
	free(data);
	return rc;
}

static int
add_policy(json_t *params, const char *path, struct err *e)
{
	json_error_t error;
	uint8_t *data = NULL;
	size_t length = 0;
	json_t *policy;
	int rc = io_read_file(path, POLICY_TEXT_MAX, &data, &length, e);

	if (rc != 0)
		return rc;
	policy = json_loadb((char *)data, length, JSON_REJECT_DUPLICATES, &error);
	free(data);
	if (policy == NULL)
		return err_set(e, ERR_INVAL, "%s:%d:%d: %s", path, error.line, error.column, error.text);
	json_object_set_new(params, "policy", policy);
	return 0;
}

/* Adds what its runs get. */
static int
add_given(json_t *params, const struct bench_given *all, const struct bench_given *own, struct err *e)
{
	json_t *args = own->args != NULL ? own->args : all->args;
	const char *input = own->stdin_path != NULL ? own->stdin_path : all->stdin_path;
	const char *policy = own->policy_path != NULL ? own->policy_path : all->policy_path;
	int rc = 0;

	if (args != NULL && json_object_set(params, "args", args) != 0)
		rc = err_set(e, ERR_NOMEM, "out of memory");
	if (rc == 0 && input != NULL)
		rc = add_input(params, input, e);
	if (rc == 0 && policy != NULL)
		rc = add_policy(params, policy, e);
	return rc;
}

static int
prepare_one(const struct bench_mix *m, const struct bench_program *p, const struct bench_place *place,
    struct load_item *item)
{
	json_t *module = NULL;
	struct err e;
	int code = CMD_OK;

	if (p->pack == NULL)
		code = put_module(place, p->file, &module);
	else if (source_module(p->pack, p->file, p->code, &module, &e) != 0)
		code = cmd_fail(place->verb, &e);
	if (code != CMD_OK)
		return code;
	item->weight = p->weight;
	item->params = json_pack("{s:o}", "module", module);
	if (item->params == NULL) {
		cmd_error(place->verb, "out of memory");
		return CMD_FAILED;
	}
	return add_given(item->params, &m->all, &p->own, &e) == 0 ? warm_up(place, item) : cmd_fail(place->verb, &e);
}

int
bench_mix_prepare(struct bench_mix *m, const struct bench_place *place)
{
	int code = CMD_OK;

	if ((m->items = calloc(m->count, sizeof(*m->items))) == NULL) {
		cmd_error(place->verb, "out of memory");
		return CMD_FAILED;
	}
	for (size_t i = 0; code == CMD_OK && i < m->count; i++)
		code = prepare_one(m, &m->programs[i], place, &m->items[i]);
	return code;
}

void
bench_mix_clear(struct bench_mix *m)
{
	for (size_t i = 0; i < m->count; i++) {
		json_decref(m->programs[i].own.args);
		if (m->items != NULL)
			json_decref(m->items[i].params);
	}
	json_decref(m->all.args);
	free(m->programs);
	free(m->items);
	*m = (struct bench_mix){0};
}
