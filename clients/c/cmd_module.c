/* cmd_module: `brig module`: programs kept at the server, run by digest. brig. */

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/utc.h"
#include "clients/c/cmd.h"
#include "clients/c/module_file.h"

#define VERB "module"

static const char about[] =
    "brig module: keep programs at a running brigd; a run by digest then needs no sending. Each takes --socket PATH\n"
    "(otherwise BRIG_SOCKET, your own, the system's). A DIGEST is sha256: and 64 hexadecimal digits.";

/* What the command line of a sub-verb said. */
struct options {
	const char *socket, *output;
	bool as_json, no_sign, fuel;
	const char *argument; /* the one that each but `list` has */
};

static int
take_option(void *arg, int option, const char *value, struct err *e)
{
	struct options *o = arg;

	(void)e;
	if (option == 'j')
		o->as_json = true;
	else if (option == 'f')
		o->fuel = true;
	else if (option == 'n')
		o->no_sign = true;
	else if (option == 'o')
		o->output = value;
	else
		o->socket = value;
	return 0;
}

/* Reads options and exactly `wanted` arguments. CMD_OK or CMD_USAGE. */
static int
take_options(int argc, char **argv, int wanted, const char *what, struct options *o)
{
	static const struct option options[] = {
	    {"fuel", no_argument, NULL, 'f'},
	    {"json", no_argument, NULL, 'j'},
	    {"no-sign", no_argument, NULL, 'n'},
	    {"output", required_argument, NULL, 'o'},
	    {"socket", required_argument, NULL, 's'},
	    {NULL, 0, NULL, 0},
	};

	return cmd_sub_options(VERB, argc, argv, ":o:", options, take_option, o, wanted, what, &o->argument);
}

static int
module_put(int argc, char **argv)
{
	struct module_file m = {0};
	struct options o = {0};
	json_t *result = NULL;
	struct err e;
	int code = take_options(argc, argv, 1, "one FILE.wasm", &o);

	if (code != CMD_OK)
		return code;
	if (module_file_load(o.argument, !o.no_sign, &m, &e) != 0)
		return cmd_fail(VERB, &e);
	code = cmd_send_module(VERB, o.socket, "module.put", &m, &result);
	if (code == CMD_OK && o.as_json)
		code = cmd_print_json(VERB, result);
	else if (code == CMD_OK)
		printf("%s\n", json_string_value(json_object_get(result, "digest")));
	module_file_clear(&m);
	json_decref(result);
	return code;
}

static int
write_module(const struct options *o, const json_t *result)
{
	uint8_t *wasm = NULL;
	size_t size;
	struct err e;
	int rc = brig_data(json_object_get(result, "wasm"), "base64", &wasm, &size, &e);

	if (rc == 0)
		rc = io_replace_file(o->output, wasm, size, 0644, &e);
	free(wasm);
	return rc == 0 ? CMD_OK : cmd_fail(VERB, &e);
}

static int
module_get(int argc, char **argv)
{
	struct options o = {0};
	json_t *params, *result = NULL;
	int code = take_options(argc, argv, 1, "one DIGEST", &o);

	if (code != CMD_OK)
		return code;
	params = json_pack("{s:s}", "digest", o.argument);
	if (o.output != NULL)
		json_object_set_new(params, "wasm", json_true());
	code = cmd_call(VERB, o.socket, "module.get", params, -1, &result);
	if (code == CMD_OK && o.output != NULL)
		code = write_module(&o, result);
	else if (code == CMD_OK)
		code = cmd_print_json(VERB, result);
	json_decref(result);
	return code;
}

static int
module_list(int argc, char **argv)
{
	struct options o = {0};
	json_t *result = NULL, *module;
	char at[UTC_TEXT_SIZE];
	size_t i;
	int code = take_options(argc, argv, 0, "no argument", &o);

	if (code == CMD_OK)
		code = cmd_call(VERB, o.socket, "module.list", json_object(), -1, &result);
	if (code == CMD_OK && o.as_json)
		code = cmd_print_json(VERB, result);
	else if (code == CMD_OK)
		json_array_foreach(json_object_get(result, "modules"), i, module)
			printf("%s  %10" JSON_INTEGER_FORMAT " bytes  stored %s\n",
			    json_string_value(json_object_get(module, "digest")),
			    json_integer_value(json_object_get(module, "size")),
			    utc_text(json_integer_value(json_object_get(module, "stored_at")), at));
	json_decref(result);
	return code;
}

static int
module_remove(int argc, char **argv)
{
	struct options o = {0};
	json_t *result = NULL;
	int code = take_options(argc, argv, 1, "one DIGEST", &o);

	if (code == CMD_OK)
		code = cmd_call(VERB, o.socket, "module.remove", json_pack("{s:s}", "digest", o.argument), -1, &result);
	json_decref(result);
	return code;
}

/* Stores the program, unless it is a digest. CMD_OK with *digest owned by the caller. */
static int
digest_of_argument(const struct options *o, char **digest)
{
	struct module_file m = {0};
	json_t *result = NULL;
	struct err e;
	int code = CMD_OK;

	if (strncmp(o->argument, "sha256:", 7) == 0) {
		*digest = strdup(o->argument);
	} else {
		if (module_file_load(o->argument, !o->no_sign, &m, &e) != 0)
			return cmd_fail(VERB, &e);
		if ((code = cmd_send_module(VERB, o->socket, "module.put", &m, &result)) == CMD_OK)
			*digest = strdup(json_string_value(json_object_get(result, "digest")));
	}
	module_file_clear(&m);
	json_decref(result);
	return code;
}

static void
print_compiled(const json_t *result)
{
	double mib = (double)json_integer_value(json_object_get(result, "artifact_bytes")) / 1048576;
	double ms = (double)json_integer_value(json_object_get(result, "compile_us")) / 1000;

	printf("%s  ", json_string_value(json_object_get(result, "digest")));
	if (strcmp(json_string_value(json_object_get(result, "compile")), "miss") == 0)
		printf("compiled in %.1f ms, %.1f MiB\n", ms, mib);
	else if (ms > 0)
		printf("was compiled already, in %.1f ms, %.1f MiB\n", ms, mib);
	else
		printf("was compiled already, %.1f MiB\n", mib);
}

static int
module_compile(int argc, char **argv)
{
	struct options o = {0};
	json_t *params, *result = NULL;
	char *digest = NULL;
	int code = take_options(argc, argv, 1, "one FILE.wasm or DIGEST", &o);

	if (code == CMD_OK)
		code = digest_of_argument(&o, &digest);
	if (code != CMD_OK)
		return code;
	params = json_pack("{s:s, s:b, s:b}", "digest", digest, "fuel", o.fuel, "progress", 1);
	code = cmd_call(VERB, o.socket, "module.compile", params, -1, &result);
	if (code == CMD_OK && o.as_json)
		code = cmd_print_json(VERB, result);
	else if (code == CMD_OK)
		print_compiled(result);
	free(digest);
	json_decref(result);
	return code;
}

static const struct cmd_sub subs[] = {
    {"put", module_put, "[--no-sign] [--json] FILE.wasm", "store a program, print its digest"},
    {"compile", module_compile, "[--fuel] [--no-sign] [--json] FILE.wasm|DIGEST",
	"compile it now, and wait for that; a FILE is stored first. --fuel: for runs with a limit on fuel"},
    {"get", module_get, "[-o FILE] DIGEST", "what is known of it; with -o, write its bytes to FILE"},
    {"list", module_list, "[--json]", "the programs that you have stored"},
    {"remove", module_remove, "DIGEST", "give it up"},
    {NULL, NULL, NULL, NULL},
};

int
cmd_module(int argc, char **argv)
{
	return cmd_dispatch(VERB, about, subs, argc, argv);
}
