/* cmd_server: `brig server`: how a running brigd is; stopping it. brig. */

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clients/c/cmd.h"
#include "clients/c/server_signal.h"

#define VERB "server"
#define RELOAD_WAITS 1000 /* of 10 ms: a large keyring takes a second */

static const char about[] =
    "brig server: ask a running brigd how it is, and tell it to stop. Each takes --socket PATH (otherwise BRIG_SOCKET,\n"
    "your own, the system's).";

/* Reads the command line. */
static int
take_options(int argc, char **argv, const char **socket, bool *as_json)
{
	static const struct option options[] = {
	    {"json", no_argument, NULL, 'j'},
	    {"socket", required_argument, NULL, 's'},
	    {NULL, 0, NULL, 0},
	};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == 'j' && as_json != NULL)
			*as_json = true;
		else if (option == 's')
			*socket = optarg;
		else
			return cmd_usage(VERB, "%s: %s is not an option, or lacks its value", argv[0], argv[optind - 1]);
	}
	if (optind < argc)
		return cmd_usage(VERB, "%s takes no argument, but %s was given", argv[0], argv[optind]);
	return CMD_OK;
}

static int
ask(int argc, char **argv, const char *method)
{
	const char *socket = NULL;
	bool as_json = false;
	json_t *result = NULL;
	int code = take_options(argc, argv, &socket, &as_json);

	if (code != CMD_OK)
		return code;
	code = cmd_call(VERB, socket, method, json_object(), -1, &result);
	if (code == CMD_OK && as_json)
		code = cmd_print_json(VERB, result);
	else if (code == CMD_OK)
		cmd_print_flat(result);
	json_decref(result);
	return code;
}

static int
server_info(int argc, char **argv)
{
	return ask(argc, argv, "server.info");
}

static int
server_health(int argc, char **argv)
{
	return ask(argc, argv, "server.health");
}

struct reloads {
	json_int_t count;
	bool failed;
};

static int
ask_reloads(struct brig *b, struct reloads *out, struct err *e)
{
	struct brig_error error = {0};
	json_t *health = NULL;
	int rc = brig_call(b, "server.health", json_object(), NULL, 0, &health, &error, e);

	if (rc != 0)
		return error.code != 0 ? err_set(e, rc, "%s", error.message) : rc;
	out->count = json_integer_value(json_object_get(health, "reloads"));
	out->failed = json_is_true(json_object_get(health, "reload_failed"));
	json_decref(health);
	return 0;
}

/* Has it read its files again. Returns how that went. */
static int
reload(struct brig *b, struct err *e)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	struct reloads before, after;
	int rc;

	if ((rc = ask_reloads(b, &before, e)) != 0 || (rc = server_reload(b, e)) != 0)
		return rc;
	for (int i = 0; i < RELOAD_WAITS; i++) {
		if ((rc = ask_reloads(b, &after, e)) != 0)
			return rc;
		if (after.count > before.count)
			return after.failed ? err_set(e, ERR_INVAL, "brigd could not read all of its files, and goes by what it had "
			    "before: its log has the reason") : 0;
		nanosleep(&pause, NULL);
	}
	return err_set(e, ERR_AGAIN, "brigd was told to, but has not said how that went: its log will");
}

/* The same; takes the connection. */
static int
reload_and_wait(struct brig *b, struct err *e)
{
	int rc = reload(b, e);

	brig_close(b);
	return rc;
}

/* Connects to the brigd of the command line, and does something with it: `action` takes the connection. */
static int
with_server(int argc, char **argv, int (*action)(struct brig *b, struct err *e))
{
	const char *socket = NULL;
	struct brig *b = NULL;
	struct err e;
	int code = take_options(argc, argv, &socket, NULL);

	if (code != CMD_OK)
		return code;
	if (brig_connect(socket, &b, &e) != 0 || action(b, &e) != 0)
		return cmd_fail(VERB, &e);
	return CMD_OK;
}

static int
stop_and_wait(struct brig *b, struct err *e)
{
	return server_stop(b, -1, e);
}

static int
server_verb_stop(int argc, char **argv)
{
	return with_server(argc, argv, stop_and_wait);
}

static int
server_verb_reload(int argc, char **argv)
{
	return with_server(argc, argv, reload_and_wait);
}

static const struct cmd_sub subs[] = {
    {"info", server_info, "[--json]", "what it is: version, limits, the layers of its jail"},
    {"health", server_health, "[--json]", "whether it takes work, and how much it has"},
    {"stop", server_verb_stop, "", "let running programs end, and stop; returns when it has"},
    {"reload", server_verb_reload, "", "have it read policy, grants and keyring again, and tell whether that worked"},
    {NULL, NULL, NULL, NULL},
};

int
cmd_server(int argc, char **argv)
{
	return cmd_dispatch(VERB, about, subs, argc, argv);
}
