/* private: a user's own brigd: found, or started when none runs. brig. */

#include "clients/c/private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memfd.h"
#include "base/quote.h"
#include "broker/keys_private.h"

#define IDLE_SECONDS "600"
#define READY_FD     3 /* in the new brigd */
#define LOG_MAX      (64 * 1024 * 1024)

/* What the new brigd is told. */
struct plan {
	char program[PATH_MAX];
	char state[PATH_MAX];
	char socket[BRIG_PATH_MAX];
	struct keys_private keys;
	char packs[PATH_MAX]; /* language packs; "" when there is no such directory */
};

static int
join(char out[PATH_MAX], const char *a, const char *b, struct err *e)
{
	int n = snprintf(out, PATH_MAX, "%s%s", a, b);

	return n < 0 || n >= PATH_MAX ? err_set(e, ERR_INVAL, "the path %.100s... is too long", a) : 0;
}

static int
find_program(char out[PATH_MAX], struct err *e)
{
	int rc = brig_program("brigd", out, PATH_MAX, e);

	return rc == ERR_NOTFOUND ? err_context(e, "no brigd runs, and none can be started") : rc;
}

static int
find_state(char out[PATH_MAX], struct err *e)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (state != NULL && state[0] == '/')
		return join(out, state, "/brig", e);
	if (home == NULL || home[0] != '/')
		return err_set(e, ERR_INVAL, "HOME is not set: start brigd yourself, and say where with --socket");
	return join(out, home, "/.local/state/brig", e);
}

static int
make_plan(struct plan *p, struct err *e)
{
	int rc;

	if ((rc = find_program(p->program, e)) != 0 || (rc = find_state(p->state, e)) != 0 ||
	    (rc = brig_socket_private(p->socket, e)) != 0)
		return rc;
	if ((rc = keys_ensure_private(NULL, &p->keys, e)) != 0 || (rc = join(p->packs, p->keys.directory, "/../packs", e)) != 0)
		return rc;
	if (access(p->packs, F_OK) != 0)
		p->packs[0] = '\0';
	return 0;
}

/* In the child: nothing of ours is left open but the pipe, at READY_FD, and `output` as standard error. */
static void __attribute__((noreturn))
become_brigd(const struct plan *p, int ready, int output)
{
	const char *argv[] = {"brigd", "--daemon", "--socket", p->socket, "--state", p->state, "--keyring", p->keys.keyring,
	    "--root-key", p->keys.root_public, "--idle-exit", IDLE_SECONDS, "--ready-fd", "3", p->packs[0] != '\0' ? "--packs" : NULL,
	    p->packs, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 &&
	    dup2(output, STDERR_FILENO) >= 0 && (ready == READY_FD ? io_set_cloexec(ready, false, NULL) == 0
	                                                           : dup2(ready, READY_FD) >= 0)) {
		closefrom(READY_FD + 1);
		if (chdir("/") == 0)
			execv(p->program, (char *const *)(uintptr_t)argv);
	}
	_exit(127);
}

/* The last reason in what brigd said, or else its last line. Cuts `text`. */
static const char *
last_reason(char *text, size_t length)
{
	static const char mark[] = "cannot-start reason=";
	char *found = NULL, *line;

	while (length > 0 && text[length - 1] == '\n')
		text[--length] = '\0';
	for (char *p = strstr(text, mark); p != NULL; p = strstr(p + 1, mark))
		found = p + strlen(mark);
	if (found != NULL && (found = quote_undo(found)) != NULL)
		return found;
	line = strrchr(text, '\n');
	return line == NULL ? text : line + 1;
}

/* brigd said it on standard error, or in its log once that was open. */
static int
explain_failure(int output, const struct plan *p, struct err *e)
{
	char log[PATH_MAX];
	uint8_t *text = NULL;
	size_t length = 0;
	int rc;

	if (lseek(output, 0, SEEK_SET) < 0 || io_read_fd(output, 65536, &text, &length, e) != 0 || length == 0) {
		free(text);
		text = NULL;
		length = 0;
		if (join(log, p->state, "/brigd.log", e) == 0)
			io_read_file(log, LOG_MAX, &text, &length, e);
	}
	rc = length == 0 ? err_set(e, ERR_IO, "%s did not start, and did not say why", p->program)
	                 : err_set(e, ERR_IO, "brigd did not start: %s", last_reason((char *)text, length));
	free(text);
	return rc;
}

/* Starts brigd and waits until it says that it serves, or is gone. */
static int
start(const struct plan *p, struct err *e)
{
	int ready[2] = {-1, -1}, output = -1, rc = 0;
	ssize_t n;
	char byte;
	pid_t pid;

	if ((output = memfd_new("brigd-stderr", e)) < 0)
		return output;
	if (pipe2(ready, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		rc = err_sys(e, ERR_IO, "starting %s", p->program);
		goto out;
	}
	if (pid == 0)
		become_brigd(p, ready[1], output);
	close(ready[1]);
	ready[1] = -1;
	do
		n = read(ready[0], &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		rc = explain_failure(output, p, e);
	/* With --daemon the process that was started here leaves as soon as the one that serves is there. */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
out:
	for (int i = 0; i < 2; i++)
		if (ready[i] >= 0)
			close(ready[i]);
	close(output);
	return rc;
}

/* One starts, the others wait at the lock and then find it running. */
static int
start_once(struct brig **out, bool *started, struct err *e)
{
	struct plan p;
	char path[PATH_MAX];
	int lock = -1, rc;

	if ((rc = make_plan(&p, e)) != 0 || (rc = join(path, p.keys.directory, "/start.lock", e)) != 0)
		return rc;
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0 || flock(lock, LOCK_EX) != 0) {
		rc = err_sys(e, ERR_IO, "%s", path);
		goto out;
	}
	rc = brig_connect(NULL, out, e);
	if (rc != ERR_NOTFOUND)
		goto out;
	if ((rc = start(&p, e)) == 0) {
		*started = true;
		rc = brig_connect(p.socket, out, e);
	}
out:
	if (lock >= 0)
		close(lock);
	return rc;
}

int
private_connect(const char *path, struct brig **out, bool *started, struct err *e)
{
	const char *named = path != NULL ? path : getenv("BRIG_SOCKET");
	int rc = brig_connect(path, out, e);

	*started = false;
	if (rc != ERR_NOTFOUND || (named != NULL && named[0] != '\0'))
		return rc;
	return start_once(out, started, e);
}
