/* cmd_top: `brig top`: what a running brigd does, as it does it. brig. */

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/monotonic.h"
#include "clients/c/cmd.h"
#include "clients/c/top_view.h"

#define VERB "top"

/* A screen of its own, without cursor; and back. */
#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

static const char help[] =
    "brig top [--once] [--json] [--interval SECONDS] [--count N] [--socket PATH]\n\n"
    "Shows what a running brigd does: runs, queue, how processes came to be, percentiles of times, templates; to root and\n"
    "the user who started it also users, store and audit log. On a terminal it redraws, until q or Ctrl-C; otherwise it\n"
    "prints a line each time. Rates are of the time since the last look, percentiles of the last minute or two.\n\n"
    "  -1, --once              show all, once; rates are those since brigd started\n"
    "  -i, --interval SECONDS  look so often (1)\n"
    "  -n, --count N           stop after so many looks\n"
    "      --json              what server.metrics answers, one line each time\n"
    "      --socket PATH       the server (otherwise BRIG_SOCKET, your own, the system's)\n";

struct top {
	struct brig *brig;
	bool once, as_json;
	bool is_screen;           /* on a terminal */
	bool has_keys;            /* standard input is one too, and its mode was changed */
	struct termios mode;      /* as it was */
	long long interval_ms, count;
	json_t *now, *before;
	int64_t now_ms, before_ms;
};

static volatile sig_atomic_t ended, resized;

static void
on_signal(int number)
{
	if (number == SIGWINCH)
		resized = 1;
	else
		ended = 1;
}

/* --- the terminal ------------------------------------------------------------------------------------------------- */

static void
say(const char *text)
{
	fputs(text, stdout);
	fflush(stdout);
}

/* Takes the screen, and keys as they come; q is read here, Ctrl-C stays a signal. */
static void
enter(struct top *t)
{
	struct termios mode;

	t->has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->mode) == 0;
	if (t->has_keys) {
		mode = t->mode;
		mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		mode.c_cc[VMIN] = 1;
		mode.c_cc[VTIME] = 0;
		mode.c_cc[VSUSP] = _POSIX_VDISABLE; /* the screen would stay taken */
		tcsetattr(STDIN_FILENO, TCSANOW, &mode);
	}
	say(ENTER);
}

static void
leave(const struct top *t)
{
	say(LEAVE);
	if (t->has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &t->mode);
}

/* Draws anew over what is there, so that nothing flickers. */
static int
draw(const struct top_view *v)
{
	char *text = NULL;
	size_t length;
	FILE *f = open_memstream(&text, &length);

	if (f == NULL)
		return -1;
	top_view_screen(v, f);
	if (fclose(f) != 0)
		return -1;
	fputs("\033[H", stdout);
	for (const char *p = text; *p != '\0';) {
		size_t n = strcspn(p, "\n");

		/* The last line ends without a newline: it would scroll. */
		printf("%.*s\033[K%s", (int)n, p, p[n] == '\n' && p[n + 1] != '\0' ? "\r\n" : "");
		p += n + (p[n] == '\n');
	}
	fputs("\033[J", stdout);
	free(text);
	return 0;
}

/* --- showing ------------------------------------------------------------------------------------------------------ */

static void
show_line(const struct top_view *v, bool first)
{
	char text[16];
	time_t now = time(NULL);
	struct tm tm;

	strftime(text, sizeof(text), "%H:%M:%S", localtime_r(&now, &tm));
	if (first)
		top_view_header(stdout);
	top_view_line(v, text, stdout);
}

/* Shows what was answered last. */
static int
show(const struct top *t)
{
	struct top_view v = {.now = t->now, .before = t->before, .server = brig_path(t->brig),
	    .seconds = (double)(t->now_ms - t->before_ms) / 1000};
	struct winsize size;

	if (t->as_json) {
		json_dumpf(t->now, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
		putchar('\n');
	} else if (t->is_screen) {
		bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;

		v.columns = known ? size.ws_col : 80;
		v.rows = known ? size.ws_row : 24;
		draw(&v);
	} else if (t->once) {
		top_view_screen(&v, stdout);
	} else {
		show_line(&v, t->before == NULL);
	}
	return fflush(stdout) != 0 || ferror(stdout) ? -1 : 0;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

/* Takes the answer, if it is there. Returns 0, ERR_AGAIN when it is not, or another error. */
static int
take_answer(struct top *t, json_int_t id, struct err *e)
{
	struct brig_error error = {0};
	json_t *message = NULL, *result = NULL;
	int rc = brig_flush(t->brig, e);

	if (rc == 0 || rc == ERR_AGAIN)
		rc = brig_receive(t->brig, &message, e);
	if (rc != 0)
		return rc;
	rc = brig_answer(message, id, &result, &error, e);
	if (rc == 0) {
		json_decref(t->before);
		t->before = t->now;
		t->before_ms = t->now_ms;
		t->now = json_incref(result);
		t->now_ms = monotonic_ms();
	} else if (rc == ERR_DENIED) {
		err_set(e, rc, "%s", error.message);
	} else if (rc == ERR_NOTFOUND) {
		rc = ERR_AGAIN;
	}
	json_decref(message);
	return rc;
}

/* Whether a key was pressed that ends it. */
static bool
quits(struct top *t)
{
	char keys[64];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n <= 0 && !(n < 0 && errno == EINTR))
		t->has_keys = false; /* it is closed: only a signal ends this */
	for (ssize_t i = 0; i < n; i++)
		if (keys[i] == 'q' || keys[i] == 'Q')
			return true;
	return false;
}

/* Waits for the server, a key or a signal; until `until_ms`, or with -1 for as long as it takes. */
static int
wait_for(struct top *t, int64_t until_ms, const sigset_t *mask, struct err *e)
{
	struct pollfd p[2] = {{.fd = brig_fd(t->brig), .events = brig_events(t->brig)}, {.fd = -1, .events = POLLIN}};
	int64_t left_ms = until_ms < 0 ? 0 : until_ms - monotonic_ms();
	struct timespec timeout = {0};

	if (left_ms > 0)
		timeout = (struct timespec){left_ms / 1000, left_ms % 1000 * 1000000};
	if (t->is_screen && t->has_keys)
		p[1].fd = STDIN_FILENO;
	if (ppoll(p, 2, until_ms < 0 ? NULL : &timeout, mask) < 0 && errno != EINTR)
		return err_sys(e, ERR_IO, "poll");
	if (p[1].fd >= 0 && p[1].revents != 0 && quits(t))
		ended = 1;
	if (resized && t->is_screen && t->now != NULL)
		show(t);
	resized = 0;
	return 0;
}

/* Asks once, and shows the answer. */
static int
look(struct top *t, const sigset_t *mask, struct err *e)
{
	json_int_t id;
	int rc = brig_request(t->brig, "server.metrics", json_object(), NULL, 0, &id, e);

	while (rc == 0 && !ended && (rc = take_answer(t, id, e)) == ERR_AGAIN)
		rc = wait_for(t, -1, mask, e);
	if (rc == 0 && !ended && show(t) != 0)
		ended = 1; /* nobody reads any more: main says so */
	return rc;
}

static int
watch(struct top *t, const sigset_t *mask, struct err *e)
{
	int64_t next_ms = monotonic_ms();
	int rc = 0;

	for (long long n = 0; rc == 0 && !ended && (t->count == 0 || n < t->count); n++) {
		while (rc == 0 && !ended && n > 0 && monotonic_ms() < next_ms)
			rc = wait_for(t, next_ms, mask, e);
		if (rc == 0 && !ended)
			rc = look(t, mask, e);
		next_ms += t->interval_ms;
	}
	return rc;
}

/* --- the command line --------------------------------------------------------------------------------------------- */

/* Catches what ends it and what resizes it, only while it waits: *waiting is the mask for then. */
static void
catch_signals(sigset_t *waiting)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		sigaction(numbers[i], &action, NULL);
		sigaddset(&blocked, numbers[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, waiting);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigdelset(waiting, numbers[i]);
}

static int
take_options(int argc, char **argv, struct top *t, const char **socket)
{
	static const struct option options[] = {
	    {"once", no_argument, NULL, '1'},
	    {"interval", required_argument, NULL, 'i'},
	    {"count", required_argument, NULL, 'n'},
	    {"json", no_argument, NULL, 'j'},
	    {"socket", required_argument, NULL, 's'},
	    {NULL, 0, NULL, 0},
	};
	double seconds;
	char *end;
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, ":1i:n:", options, NULL)) != -1) {
		if (option == '1') {
			t->once = true;
		} else if (option == 'j') {
			t->as_json = true;
		} else if (option == 's') {
			*socket = optarg;
		} else if (option == 'i') {
			seconds = strtod(optarg, &end);
			if (*end != '\0' || !(seconds >= 0.1 && seconds <= 3600))
				return cmd_usage(VERB, "--interval %s: it must be 0.1 to 3600 seconds", optarg);
			t->interval_ms = (long long)(seconds * 1000);
		} else if (option == 'n') {
			t->count = strtoll(optarg, &end, 10);
			if (*end != '\0' || t->count < 1)
				return cmd_usage(VERB, "--count %s: it must be a whole number from 1 on", optarg);
		} else {
			return cmd_usage(VERB, "%s is not an option, or lacks its value", argv[optind - 1]);
		}
	}
	if (optind < argc)
		return cmd_usage(VERB, "it takes no argument, but %s was given", argv[optind]);
	return CMD_OK;
}

int
cmd_top(int argc, char **argv)
{
	struct top t = {.interval_ms = 1000};
	const char *socket = NULL, *term = getenv("TERM");
	struct err e = {0};
	sigset_t waiting;
	int code, rc;

	if (cmd_is_help(argc, argv)) {
		fputs(help, stdout);
		return CMD_OK;
	}
	if ((code = take_options(argc, argv, &t, &socket)) != CMD_OK)
		return code;
	if (t.once)
		t.count = 1;
	t.is_screen = !t.once && !t.as_json && isatty(STDOUT_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
	if (brig_connect(socket, &t.brig, &e) != 0)
		return cmd_fail(VERB, &e);
	catch_signals(&waiting);
	if (t.is_screen)
		enter(&t);
	rc = watch(&t, &waiting, &e);
	if (t.is_screen)
		leave(&t);
	if (rc != 0)
		code = cmd_fail(VERB, &e);
	json_decref(t.now);
	json_decref(t.before);
	brig_close(t.brig);
	return code;
}
