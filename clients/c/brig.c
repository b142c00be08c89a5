/* brig: the command: a table of verbs. */

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/nearest.h"
#include "base/version.h"
#include "clients/c/cmd.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *text;
} verbs[] = {
#define X(name, text) {#name, cmd_##name, text},
    CMD_VERBS(X)
#undef X
};

static void
print_help(void)
{
	printf("brig runs WebAssembly programs that you need not trust.\n\n"
	       "  brig VERB [options] ...\n\n");
	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		printf("  %-9s %s\n", verbs[i].name, verbs[i].text);
	printf("\nEach verb has --help (or brig help VERB). Try: brig run hello.wasm\n");
}

static int
unknown_verb(const char *name)
{
	const char *names[COUNT_OF(verbs)];
	const char *near;

	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		names[i] = verbs[i].name;
	near = nearest_name(name, names, COUNT_OF(verbs));
	if (near != NULL)
		return cmd_usage(NULL, "there is no verb \"%s\"; did you mean \"%s\"?", name, near);
	if (strstr(name, ".wasm") != NULL)
		return cmd_usage(NULL, "there is no verb \"%s\"; to run a program: brig run %s", name, name);
	return cmd_usage(NULL, "there is no verb \"%s\"", name);
}

static int
call_verb(int argc, char **argv)
{
	for (size_t i = 0; i < COUNT_OF(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	return unknown_verb(argv[1]);
}

static int
answer(int argc, char **argv)
{
	if (argc < 2) {
		print_help();
		return CMD_USAGE;
	}
	if (argc > 2 && strcmp(argv[1], "help") == 0) { /* brig help VERB */
		char *asked[] = {argv[0], argv[2], (char[]){"--help"}, NULL};

		return call_verb(3, asked);
	}
	if (cmd_is_help(argc, argv)) {
		print_help();
		return CMD_OK;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("brig %s\n", BRIG_VERSION);
		return CMD_OK;
	}
	return call_verb(argc, argv);
}

int
main(int argc, char **argv)
{
	struct err e;
	int code;

	if (io_fill_standard(&e) != 0)
		return cmd_fail(NULL, &e);
	if (sodium_init() < 0) {
		cmd_error(NULL, "libsodium does not start: is there a source of randomness?");
		return CMD_FAILED;
	}
	code = answer(argc, argv);
	if (fflush(stdout) != 0 || ferror(stdout)) { /* what was to be read there is not: that is no success */
		cmd_error(NULL, "standard output: %s", strerror(errno));
		return code == CMD_OK ? CMD_FAILED : code;
	}
	return code;
}
