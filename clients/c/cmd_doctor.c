/* cmd_doctor: `brig doctor`: which layers of the jail this machine has, and how to get the others. brig. */

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clients/c/cmd.h"
#include "sandbox/doctor.h"
#include "sandbox/filter.h"

#define VERB "doctor"

static const char about[] =
    "brig doctor [--profile namespaces|container] [--json]: try every layer of the jail on this machine, as this\n"
    "user. One line a layer: whether it is there, and if not, why and how to get it. Ends with 1 when one is missing\n"
    "that the profile requires: brigd would not start then.\n"
    "brig doctor --filters: print the system calls that each of brig's processes may make.\n";

/* The word for a layer, and its colour on a terminal. */
static const char *
verdict(const struct doctor_layer *l, const char **colour)
{
	*colour = l->present ? "32" : l->required ? "31" : "33";
	if (!l->used)
		return "not used";
	return l->present ? "present" : l->required ? "MISSING" : "missing";
}

static void
print_layer(const struct doctor_layer *l, bool coloured)
{
	const char *colour;
	const char *word = verdict(l, &colour);

	printf("%-13s %s%s%s%-8s%s  %s\n", l->name, coloured ? "\033[" : "", coloured ? colour : "", coloured ? "m" : "", word,
	    coloured ? "\033[0m" : "", l->purpose);
	if (l->present || !l->used)
		return;
	printf("%24swhy: ", "");
	cmd_print_safe(stdout, l->why, strlen(l->why));
	printf("\n%24sto get it: %s\n", "", l->how);
}

static void
print_report(const struct doctor_report *r)
{
	bool coloured = isatty(STDOUT_FILENO) == 1;
	char names[300];
	int present = 0, used = 0;

	printf("Linux %s on %s, %s, profile %s, Landlock %d, pages of %ld bytes\n", r->kernel, r->machine,
	    r->root ? "as root" : "as a user", jail_profile_name(r->profile), r->landlock_abi, r->page_size);
	for (int i = 0; i < DOCTOR_LAYERS; i++) {
		print_layer(&r->layers[i], coloured);
		present += r->layers[i].present;
		used += r->layers[i].used;
	}
	if (r->required_missing == 0)
		printf("%d of %d layers present; every required one is.\n", present, used);
	else
		printf("%d of %d layers present; brigd will not start without: %s\n", present, used,
		    jail_layer_names(r->required_missing, names, sizeof(names)));
}

static json_t *
report_json(const struct doctor_report *r)
{
	json_t *layers = json_array();

	for (int i = 0; i < DOCTOR_LAYERS; i++) {
		const struct doctor_layer *l = &r->layers[i];
		json_t *one = json_pack("{s:s, s:s, s:b, s:b, s:b}", "name", l->name, "purpose", l->purpose, "required",
		    l->required, "used", l->used, "present", l->present);

		if (!l->present)
			json_object_set_new(one, "why", json_string(l->why));
		if (!l->present && l->used)
			json_object_set_new(one, "how", json_string(l->how));
		json_array_append_new(layers, one);
	}
	return json_pack("{s:s, s:s, s:s, s:b, s:i, s:I, s:b, s:o}", "profile", jail_profile_name(r->profile), "kernel",
	    r->kernel, "machine", r->machine, "root", r->root, "landlock_abi", r->landlock_abi, "page_size",
	    (json_int_t)r->page_size, "ok", r->required_missing == 0, "layers", layers);
}

static int
print_filters(void)
{
	static const char *const names[FILTER_KINDS] = {"zygote", "worker", "compiler", "store", "logger", "launcher"};
	struct filter_row row;

	for (unsigned kind = 0; kind < FILTER_KINDS; kind++) {
		printf("%s%s\n", kind > 0 ? "\n" : "", names[kind]);
		for (size_t i = 0; filter_row(i, &row) == 0; i++)
			if ((row.kinds & (1u << kind)) != 0)
				printf("  %-18s %-30s %s\n", row.name, row.condition != NULL ? row.condition : "", row.why);
	}
	return CMD_OK;
}

int
cmd_doctor(int argc, char **argv)
{
	static const struct option options[] = {
	    {"json", no_argument, NULL, 'j'},
	    {"profile", required_argument, NULL, 'p'},
	    {"filters", no_argument, NULL, 'f'},
	    {NULL, 0, NULL, 0},
	};
	enum jail_profile profile = JAIL_PROFILE_NAMESPACES;
	struct doctor_report report;
	bool as_json = false, filters = false;
	struct err e;
	int option, code = CMD_OK;

	if (cmd_is_help(argc, argv)) {
		fputs(about, stdout);
		return CMD_OK;
	}
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == 'j')
			as_json = true;
		else if (option == 'f')
			filters = true;
		else if (option != 'p')
			return cmd_usage(VERB, "%s is not an option, or lacks its value", argv[optind - 1]);
		else if (jail_profile_parse(optarg, &profile, &e) != 0)
			return cmd_usage(VERB, "%s", e.msg);
	}
	if (optind < argc)
		return cmd_usage(VERB, "it takes no argument, but %s was given", argv[optind]);
	if (filters)
		return print_filters();
	fflush(stdout);
	doctor_examine(profile, &report);
	if (as_json) {
		json_t *json = report_json(&report);

		code = cmd_print_json(VERB, json);
		json_decref(json);
	} else {
		print_report(&report);
	}
	return code != CMD_OK ? code : report.required_missing == 0 ? CMD_OK : CMD_FAILED;
}
