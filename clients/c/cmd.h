/* cmd: the verbs of the brig command and what they share: exit codes, messages, options. brig. */

#ifndef CLIENTS_C_CMD_H
#define CLIENTS_C_CMD_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"
#include "clients/c/libbrig.h"
#include "clients/c/module_file.h"

/*
 * The verbs. Each is `int cmd_VERB(int argc, char **argv)` in clients/c/cmd_VERB.c, called with argv[0] = "VERB" and
 * returning the exit code; getopt_long starts afresh. Each understands --help (text on stdout, 0).
 */
#define CMD_VERBS(X)                                                  \
	X(run, "run a WebAssembly program")                           \
	X(apply, "make the changes that a program made to its files") \
	X(sign, "sign a program, inside it or beside it")             \
	X(verify, "tell who signed a program")                        \
	X(keygen, "make a key pair")                                  \
	X(keys, "keep the keyring: which keys count")                 \
	X(policy, "check, combine and describe policy documents")     \
	X(module, "keep modules at the server, by digest")            \
	X(pack, "list and sign language packs, which run source") \
	X(server, "ask a running brigd how it is, stop it")                    \
	X(top, "show what a running brigd does, as it does it")              \
	X(metrics, "what a running brigd has counted and measured")        \
	X(bench, "measure how fast a brigd is, and what it does under load") \
	X(audit, "read the audit log, and check that it is whole")    \
	X(doctor, "tell which layers of the jail this machine has")

#define X(name, text) int cmd_##name(int argc, char **argv);
CMD_VERBS(X)
#undef X

/* Exit codes of every verb; `run` adds those of cmd_run.c. */
enum cmd_exit {
	CMD_OK = 0,
	CMD_FAILED = 1, /* it was tried and did not work, or the answer is no */
	CMD_USAGE = 2,  /* the command line makes no sense */
};

/*
 * cmd_error - print "brig VERB: message" on stderr, one line, control characters made visible. cmd_fail prints an err
 * in that way and returns CMD_FAILED, so that `return cmd_fail("sign", &e)` reads well. cmd_usage prints the message
 * and where to find help, and returns CMD_USAGE.
 */
void cmd_error(const char *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int cmd_fail(const char *verb, const struct err *e);
int cmd_usage(const char *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* cmd_print_safe - write text[0..length] to stderr or stdout; what is not tame (base/utf8.h), but \n and \t, as \xNN. */
void cmd_print_safe(FILE *f, const char *text, size_t length);

/* What --help is in an option table for cmd_options; a word that is no option, where `letters` begin with '-'. */
#define CMD_OPT_HELP    2
#define CMD_OPT_OPERAND 1

/* Takes one option with its value. 0, or an error that says what is wrong with it. */
typedef int cmd_option_fn(void *arg, int option, const char *value, struct err *e);

/*
 * cmd_options - read the options of a command line, each by `take`; `letters` and `options` are getopt_long's, `letters`
 * with a ':' before those of options. Returns -1 to go on with argv[optind]; else the exit code: CMD_OK when `help` was
 * asked for and printed, CMD_USAGE when something is wrong, which was said.
 */
int cmd_options(const char *verb, const char *help, int argc, char **argv, const char *letters,
    const struct option *options, cmd_option_fn *take, void *arg);

/*
 * cmd_sub_options - the same for a sub-verb, which has exactly `wanted` arguments, 0 or 1; `what` says which. *argument: the
 * one, or NULL. CMD_OK or CMD_USAGE.
 */
int cmd_sub_options(const char *verb, int argc, char **argv, const char *letters, const struct option *options,
    cmd_option_fn *take, void *arg, int wanted, const char *what, const char **argument);

/* A verb's own verbs ("brig policy check"), ending with an entry whose name is NULL. */
struct cmd_sub {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the sub-verb */
	const char *usage;                 /* its arguments: "FILE..." */
	const char *text;                  /* what it does, one line */
};

/*
 * cmd_dispatch - call the sub-verb that argv[1] names, or print help, that of a sub-verb when --help is behind it; an
 * unknown one gives the nearest name and CMD_USAGE. `about` is the text above the list in the help.
 */
int cmd_dispatch(const char *verb, const char *about, const struct cmd_sub *subs, int argc, char **argv);

/*
 * cmd_call - connect to the running brigd at `socket` (NULL: where it is by default; none is started), call `method`
 * and wait. `params` is taken; `fd` goes with it unless it is -1. CMD_OK with *result owned by the caller, else
 * CMD_FAILED after the reason has been printed.
 */
int cmd_call(const char *verb, const char *socket, const char *method, json_t *params, int fd, json_t **result);

/* cmd_send_module - cmd_call of a method that takes a module, with this one. */
int cmd_send_module(const char *verb, const char *socket, const char *method, const struct module_file *m,
    json_t **result);

/*
 * cmd_refusal - print what the server answered instead of a result, and what to do about it, in words for a command
 * line: what speaks of the socket, or repeats the message, is left out. `advice` stands in for the server's; NULL: its.
 */
void cmd_refusal(const char *verb, const struct brig_error *error, const char *advice);

/* cmd_print_json - print it on standard output, indented, keys sorted. CMD_OK, or CMD_FAILED when that fails. */
int cmd_print_json(const char *verb, const json_t *json);

/* cmd_print_flat - print it one value a line, "usage.wall_us: 12", so that it reads well and grep works on it. */
void cmd_print_flat(const json_t *json);

/* cmd_is_coloured - whether standard error is a terminal that shows colours, and nobody has asked for none. */
bool cmd_is_coloured(void);

/* cmd_is_help - whether argv[1] is --help, -h or help. */
bool cmd_is_help(int argc, char **argv);

#endif
