/* sandbox/child: the arguments with which the launcher starts brig-worker and brig-compiler. Launcher and those two. */

#include "sandbox/child.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/filter_load.h"

static const struct option options[] = {
    {"engine", required_argument, NULL, 'e'},
    {"profile", required_argument, NULL, 'p'},
    {"layers", required_argument, NULL, 'l'},
    {"cpu-ms", required_argument, NULL, 'c'},
    {"data-bytes", required_argument, NULL, 'd'},
    {NULL, 0, NULL, 0},
};

/* A number from decimal, or 0x hexadecimal, digits and nothing else, at most `max`. */
static int
parse_number(const char *text, uint64_t max, uint64_t *value, struct err *e)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, 0);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || v > max)
		return err_set(e, ERR_INVAL, "\"%.40s\" is not a number from 0 to %ju", text, (uintmax_t)max);
	*value = v;
	return 0;
}

static int
parse_option(int option, const char *text, struct child_args *args, struct err *e)
{
	uint64_t value = 0;
	int rc;

	if (option == 'p')
		return jail_profile_parse(text, &args->jail.profile, e);
	rc = parse_number(text, option == 'e' || option == 'l' ? UINT32_MAX : UINT64_MAX, &value, e);
	if (rc != 0)
		return rc;
	if (option == 'e')
		args->engine = (uint32_t)value;
	else if (option == 'l')
		args->jail.given = (uint32_t)value;
	else if (option == 'c')
		args->jail.cpu_ms = value;
	else
		args->jail.data_bytes = value;
	return 0;
}

int
child_args_parse(int argc, char **argv, struct child_args *args, struct err *e)
{
	struct child_args parsed = {.jail = {.last_fd = FILTER_FD}};
	int option, rc;

	optind = 1;
	opterr = 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == '?')
			return err_set(e, ERR_INVAL,
			    "unknown argument %.40s: this program is started by brig-launcher, not by hand", argv[optind - 1]);
		rc = parse_option(option, optarg, &parsed, e);
		if (rc != 0)
			return rc;
	}
	if (optind < argc)
		return err_set(e, ERR_INVAL, "unexpected argument %.40s", argv[optind]);
	*args = parsed;
	return 0;
}

void
child_args_format(const struct child_args *args, const char *program, struct child_argv *out)
{
	int n = 0;

	out->argv[n++] = (char *)(uintptr_t)program;
	snprintf(out->text[0], sizeof(out->text[0]), "--engine=%u", args->engine);
	snprintf(out->text[1], sizeof(out->text[1]), "--profile=%s", jail_profile_name(args->jail.profile));
	snprintf(out->text[2], sizeof(out->text[2]), "--layers=%#x", args->jail.given);
	snprintf(out->text[3], sizeof(out->text[3]), "--cpu-ms=%ju", (uintmax_t)args->jail.cpu_ms);
	snprintf(out->text[4], sizeof(out->text[4]), "--data-bytes=%ju", (uintmax_t)args->jail.data_bytes);
	for (int i = 0; i < 5; i++)
		out->argv[n++] = out->text[i];
	out->argv[n] = NULL;
}
