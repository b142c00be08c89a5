/* cmd_metrics: `brig metrics`: what a running brigd has counted and measured. brig. */

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "clients/c/cmd.h"
#include "clients/c/prometheus.h"

#define VERB "metrics"

static const char help[] =
    "brig metrics [--json | --prometheus] [--socket PATH]\n\n"
    "Prints what a running brigd has counted and measured (docs/protocol.md, server.metrics): of your runs, and for root and\n"
    "the user who started it of all runs, users, and of brigd itself.\n\n"
    "      --json         as JSON\n"
    "      --prometheus   in Prometheus's text form: for node_exporter's textfile collector, or behind any HTTP server\n"
    "      --socket PATH  the server (otherwise BRIG_SOCKET, your own, the system's)\n";

static int
print(const json_t *metrics, int form)
{
	if (form == 'j')
		return cmd_print_json(VERB, metrics);
	if (form == 'p')
		prometheus_print(metrics, stdout);
	else
		cmd_print_flat(metrics);
	return CMD_OK;
}

int
cmd_metrics(int argc, char **argv)
{
	static const struct option options[] = {
	    {"json", no_argument, NULL, 'j'},
	    {"prometheus", no_argument, NULL, 'p'},
	    {"socket", required_argument, NULL, 's'},
	    {NULL, 0, NULL, 0},
	};
	const char *socket = NULL;
	json_t *metrics = NULL;
	int option, form = 0, code;

	if (cmd_is_help(argc, argv)) {
		fputs(help, stdout);
		return CMD_OK;
	}
	optind = 1;
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == 's')
			socket = optarg;
		else if ((option == 'j' || option == 'p') && form != 0 && form != option)
			return cmd_usage(VERB, "--json or --prometheus, not both");
		else if (option == 'j' || option == 'p')
			form = option;
		else
			return cmd_usage(VERB, "%s is not an option, or lacks its value", argv[optind - 1]);
	}
	if (optind < argc)
		return cmd_usage(VERB, "it takes no argument, but %s was given", argv[optind]);
	code = cmd_call(VERB, socket, "server.metrics", json_object(), -1, &metrics);
	if (code == CMD_OK)
		code = print(metrics, form);
	json_decref(metrics);
	return code;
}
