/*
 * Fuzz target: broker/config: a configuration file, and then the words of a command line, with NULs between them. And
 * broker/shares: the same file as one of shares.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memfd.h"
#include "broker/config.h"
#include "broker/shares.h"
#include "tests/fuzz/input.h"

#define WORDS_MAX 16

static void
must_be_within_bounds(const struct config *c)
{
#define X(name, initial, smallest, largest, unit, text) MUST(c->name >= (smallest) && c->name <= (largest));
	CONFIG_NUMBERS(X)
#undef X
	MUST(c->state[0] == '/' && c->socket[0] == '/');
	MUST((c->keyring == NULL) == (c->root_key == NULL));
	MUST(strcmp(c->profile, "namespaces") == 0 || strcmp(c->profile, "container") == 0);
	MUST(strcmp(c->durability, "batch") == 0 || strcmp(c->durability, "strict") == 0);
}

/* That nothing is held after a failure, a sanitizer sees. */
static void
try(int argc, char **argv)
{
	enum config_action action;
	struct config c;
	struct err e = {0};
	int rc = config_load(argc, argv, &c, &action, &e);

	if (rc != 0)
		MUST(rc == e.code && e.msg[0] != '\0');
	else if (action == CONFIG_SERVE)
		must_be_within_bounds(&c);
	config_clear(&c);
}

/* What every owner gets is within the table's bounds, whoever is named. */
static void
try_shares(const char *path)
{
	const struct config c = {.running_per_owner = 24, .queued_per_owner = 1000, .held_bytes_per_owner = 1 << 30};
	struct shares *s = NULL;
	struct err e = {0};
	int rc = shares_load(path, &s, &e);

	MUST((rc == 0) == (s != NULL));
	if (rc != 0) {
		MUST(rc == e.code && e.msg[0] != '\0');
		return;
	}
	for (uid_t owner = 0; owner < 3; owner++) {
		const struct shares_terms t = shares_of(s, &c, owner);

#define X(name, smallest, largest, text) MUST(t.name >= (smallest) && t.name <= (largest));
		SHARES_MEMBERS(X)
#undef X
	}
	shares_free(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct block file = input_text(&in);
	int fd = memfd_from("fuzz", file.data, file.length, NULL);
	char path[64], program[] = "brigd", option[] = "--config";
	char *argv[WORDS_MAX + 4] = {program, option, path};
	int argc = 3;

	MUST(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	while (in.left > 0 && argc < WORDS_MAX + 3) {
		argv[argc] = input_string(&in);
		if (strncmp(argv[argc], "--c", 3) == 0) /* another file, which could be any */
			argv[argc][2] = 'C';
		argc++;
	}
	try(argc, argv);
	try_shares(path);
	for (int i = 3; i < argc; i++)
		free(argv[i]);
	close(fd);
	free(file.data);
	return 0;
}
