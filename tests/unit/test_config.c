/* Unit tests of broker/config. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "broker/config.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static char file[] = "/tmp/brig-config.XXXXXX";

static int
set_up(void **state)
{
	(void)state;
	close(mkstemp(file));
	setenv("HOME", "/home/somebody", 1);
	unsetenv("XDG_STATE_HOME");
	unsetenv("XDG_RUNTIME_DIR");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	return unlink(file);
}

static void
write_file(const char *text)
{
	assert_int_equal(io_replace_file(file, text, strlen(text), 0600, NULL), 0);
}

/* Loads with these options, at most six, NULL past the last. */
static int
load(struct config *c, struct err *e, const char *a, const char *b, const char *d, const char *f)
{
	char *argv[] = {(char *)(uintptr_t)"brigd", (char *)(uintptr_t)a, (char *)(uintptr_t)b, (char *)(uintptr_t)d,
	    (char *)(uintptr_t)f, NULL};
	enum config_action action;
	int argc = 1;

	while (argv[argc] != NULL)
		argc++;
	return config_load(argc, argv, c, &action, e);
}

static void
refused(const char *want, const char *a, const char *b)
{
	struct config c;
	struct err e = {0};

	if (load(&c, &e, a, b, NULL, NULL) != ERR_INVAL)
		fail_msg("%s was taken", a);
	if (strstr(e.msg, want) == NULL)
		fail_msg("\"%s\" is not in: %s", want, e.msg);
}

static void
file_refused(const char *want, const char *text)
{
	write_file(text);
	refused(want, "--config", file);
}

static void
defaults_are_those_of_the_table(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(load(&c, NULL, NULL, NULL, NULL, NULL), 0);
#define X(name, initial, smallest, largest, unit, text) assert_int_equal(c.name, initial);
	CONFIG_NUMBERS(X)
#undef X
	assert_string_equal(c.profile, "namespaces");
	assert_string_equal(c.durability, "batch");
	assert_null(c.keyring);
	assert_false(c.daemon);
	config_clear(&c);
}

static void
defaults_lie_within_their_ranges(void **state)
{
	(void)state;
#define X(name, initial, smallest, largest, unit, text)                              \
	assert_true((int64_t)(initial) >= (int64_t)(smallest) && (int64_t)(initial) <= (int64_t)(largest)); \
	assert_non_null(strchr("bmsn", unit));
	CONFIG_NUMBERS(X)
#undef X
}

static void
every_number_takes_its_bounds_and_nothing_beyond(void **state)
{
	struct config c;
	char option[80], value[32];

	(void)state;
#define X(name, initial, smallest, largest, unit, text)                                                  \
	snprintf(option, sizeof(option), "--%s", #name);                                                 \
	for (char *p = option; *p != '\0'; p++)                                                          \
		if (*p == '_')                                                                           \
			*p = '-';                                                                        \
	snprintf(value, sizeof(value), "%" PRId64, (int64_t)(smallest));                                 \
	assert_int_equal(load(&c, NULL, option, value, NULL, NULL), 0);                                  \
	assert_int_equal(c.name, smallest);                                                              \
	config_clear(&c);                                                                                \
	snprintf(value, sizeof(value), "%" PRId64, (int64_t)(largest));                                  \
	assert_int_equal(load(&c, NULL, option, value, NULL, NULL), 0);                                  \
	assert_int_equal(c.name, largest);                                                               \
	config_clear(&c);                                                                                \
	snprintf(value, sizeof(value), "%" PRId64, (int64_t)(smallest) - 1);                             \
	refused(#name, option, value);                                                                   \
	snprintf(value, sizeof(value), "%" PRId64, (int64_t)(largest) + 1);                              \
	refused(#name, option, value);
	CONFIG_NUMBERS(X)
#undef X
}

static void
numbers_are_whole_numbers(void **state)
{
	static const char *const bad[] = {"", "x", "1x", "1.5", "0x10", "1e3", "9223372036854775808", "--5", "1 "};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		refused("running_max", "--running-max", bad[i]);
}

static void
file_sets_and_the_command_line_wins(void **state)
{
	struct config c;

	(void)state;
	write_file("{\"running_max\": 7, \"queued_max\": 8, \"socket\": \"/from/file\", \"state\": \"/s\"}");
	assert_int_equal(load(&c, NULL, "--running-max=9", "--config", file, "--socket=/from/options"), 0);
	assert_int_equal(c.running_max, 9);
	assert_int_equal(c.queued_max, 8);
	assert_string_equal(c.socket, "/from/options");
	assert_string_equal(c.state, "/s");
	config_clear(&c);
}

static void
the_last_of_two_options_counts(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(load(&c, NULL, "--state=/a", "--state=/b", "--idle-exit=1", "--idle-exit=2"), 0);
	assert_string_equal(c.state, "/b");
	assert_int_equal(c.idle_exit, 2);
	config_clear(&c);
}

static void
misspelt_names_get_the_nearest(void **state)
{
	(void)state;
	refused("--socket?", "--sockt", "x");
	refused("--compile-ms?", "--compile-sm=5", NULL);
	refused("there is no option --utterly-different", "--utterly-different", NULL);
	refused("there is no option -x", "-xy", NULL);
	refused("needs a value", "--socket", NULL);
	refused("needs a value", "--socket=", NULL);
	refused("\"stray\" is not an option", "stray", NULL);
	refused("there is no option --daemon=yes", "--daemon=yes", NULL);
}

static void
file_is_checked_like_the_command_line(void **state)
{
	(void)state;
	file_refused("did you mean \"running_max\"", "{\"runing_max\": 1}");
	file_refused("running_max is 0", "{\"running_max\": 0}");
	file_refused("whole number", "{\"running_max\": \"1\"}");
	file_refused("whole number", "{\"running_max\": 1.0}");
	file_refused("string", "{\"socket\": 1}");
	file_refused("socket needs a value", "{\"socket\": \"\"}");
	file_refused("JSON object", "[]");
	file_refused("duplicate", "{\"running_max\": 1, \"running_max\": 2}");
	file_refused(":1:", "{");
	file_refused(":2:3: there is no setting \"daemon\"", "{\"running_max\": 1,\n  \"daemon\": true}");
}

/* It would replace its own path while that is in use. */
static void
file_cannot_name_another(void **state)
{
	(void)state;
	file_refused("cannot name another", "{\"config\": \"/other\", \"running_max\": 0}");
	file_refused("cannot name another", "{\"config\": 1}");
}

static void
missing_file_is_told(void **state)
{
	struct config c;
	struct err e = {0};

	(void)state;
	assert_int_equal(load(&c, &e, "--config=/nonexistent/file", NULL, NULL, NULL), ERR_NOTFOUND);
	assert_non_null(strstr(e.msg, "/nonexistent/file"));
}

static void
words_are_checked(void **state)
{
	(void)state;
	refused("namespaces or container", "--profile=none", NULL);
	refused("batch or strict", "--durability=never", NULL);
	refused("auto, required, off, or the path", "--cgroup=brig", NULL);
	refused("cgroup_cpu_percent", "--cgroup-cpu-percent=-1", NULL);
	refused("go together", "--keyring=/k", NULL);
	refused("go together", "--root-key=/k", NULL);
}

static void
paths_depend_on_who_starts_it(void **state)
{
	struct config c;
	struct err e = {0};

	(void)state;
	if (geteuid() == 0) {
		assert_int_equal(load(&c, NULL, NULL, NULL, NULL, NULL), 0);
		assert_string_equal(c.state, "/var/lib/brig");
		assert_string_equal(c.socket, "/run/brig/brigd.sock");
		config_clear(&c);
		if (seteuid(12345) != 0)
			skip();
	}
	assert_int_equal(load(&c, NULL, NULL, NULL, NULL, NULL), 0);
	assert_string_equal(c.state, "/home/somebody/.local/state/brig");
	assert_string_equal(c.socket, "/home/somebody/.local/state/brig/run/brigd.sock");
	config_clear(&c);
	setenv("XDG_STATE_HOME", "/xs", 1);
	setenv("XDG_RUNTIME_DIR", "/xr", 1);
	assert_int_equal(load(&c, NULL, NULL, NULL, NULL, NULL), 0);
	assert_string_equal(c.state, "/xs/brig");
	assert_string_equal(c.socket, "/xr/brig/brigd.sock");
	config_clear(&c);
	unsetenv("XDG_STATE_HOME");
	unsetenv("HOME");
	assert_int_equal(load(&c, &e, NULL, NULL, NULL, NULL), ERR_INVAL);
	assert_non_null(strstr(e.msg, "--state"));
	setenv("HOME", "/home/somebody", 1);
	unsetenv("XDG_RUNTIME_DIR");
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
}

static void
help_and_version_need_nothing_else(void **state)
{
	static const struct {
		const char *option;
		enum config_action action;
	} all[] = {{"--help", CONFIG_HELP}, {"--version", CONFIG_VERSION}};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		char *argv[] = {(char *)(uintptr_t)"brigd", (char *)(uintptr_t)all[i].option,
		    (char *)(uintptr_t)"--config=/nonexistent", NULL};
		enum config_action action;
		struct config c;

		assert_int_equal(config_load(3, argv, &c, &action, NULL), 0);
		assert_int_equal(action, all[i].action);
		config_clear(&c);
	}
}

/* The file anew, the command line as it was; only what can change at any time is taken, and nothing when it is wrong. */
static void
limits_are_read_again(void **state)
{
	char *argv[] = {(char *)(uintptr_t)"brigd", (char *)(uintptr_t)"--config", file, (char *)(uintptr_t)"--queued-max=7",
	    NULL};
	enum config_action action;
	struct config c, fresh;
	struct err e = {0};

	(void)state;
	write_file("{\"running_max\": 5, \"queued_max\": 6, \"module_bytes\": 5000}");
	assert_int_equal(config_load(4, argv, &c, &action, &e), 0);
	write_file("{\"running_max\": 9, \"queued_max\": 8, \"module_bytes\": 6000, \"drain_s\": 1}");
	assert_int_equal(config_reload(4, argv, &c, &fresh, &e), 0);
	config_take(&c, &fresh);
	config_clear(&fresh);
	assert_int_equal(c.running_max, 9);
	assert_int_equal(c.queued_max, 7);
	assert_int_equal(c.drain_s, 1);
	assert_int_equal(c.module_bytes, 5000);
	write_file("{}");
	assert_int_equal(config_reload(4, argv, &c, &fresh, &e), 0);
	config_take(&c, &fresh);
	config_clear(&fresh);
	assert_int_equal(c.running_max, 32); /* what is not said any more is as usual */
	write_file("{\"running_max\": 0}");
	assert_int_equal(config_reload(4, argv, &c, &fresh, &e), ERR_INVAL);
	assert_int_equal(c.running_max, 32);
	config_clear(&c);
	write_file("{}");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults_are_those_of_the_table),
	    cmocka_unit_test(defaults_lie_within_their_ranges),
	    cmocka_unit_test(every_number_takes_its_bounds_and_nothing_beyond),
	    cmocka_unit_test(numbers_are_whole_numbers),
	    cmocka_unit_test(file_sets_and_the_command_line_wins),
	    cmocka_unit_test(the_last_of_two_options_counts),
	    cmocka_unit_test(misspelt_names_get_the_nearest),
	    cmocka_unit_test(file_is_checked_like_the_command_line),
	    cmocka_unit_test(file_cannot_name_another),
	    cmocka_unit_test(missing_file_is_told),
	    cmocka_unit_test(words_are_checked),
	    cmocka_unit_test(paths_depend_on_who_starts_it),
	    cmocka_unit_test(help_and_version_need_nothing_else),
	    cmocka_unit_test(limits_are_read_again),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
