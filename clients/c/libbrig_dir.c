/* libbrig_dir: starts brig-files, which serves a directory of the host to a run. Any client. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "base/imsg.h"
#include "base/proto.h"
#include "clients/c/libbrig.h"
#include "sandbox/child.h"
#include "sandbox/spawn.h"

#define PROGRAM "brig-files"
#define REAP_MS 1000 /* after SIGKILL; a filesystem that does not answer can hold it for ever */

struct brig_dir {
	pid_t pid;
	int sock; /* the run's end */
	uint32_t layers;
};

int
brig_program(const char *name, char *path, size_t size, struct err *e)
{
	static const char *const places[] = {"", "/../sbin", "/../libexec/brig"};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return err_sys(e, ERR_IO, "/proc/self/exe");
	self[n] = '\0';
	if ((slash = strrchr(self, '/')) != NULL)
		*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int length = snprintf(path, size, "%s%s/%s", self, places[i], name);

		if (length < 0 || (size_t)length >= size)
			return err_set(e, ERR_INVAL, "the path %.100s... is too long", self);
		if (access(path, X_OK) == 0)
			return 0;
	}
	return err_set(e, ERR_NOTFOUND, "there is no program %s beside those in %s: is brig installed whole?", name, self);
}

/* --- the child -------------------------------------------------------------------------------------------------- */

/* What brig-files gets; the descriptors are high ones (sandbox/spawn.h). */
struct start {
	const char *program;
	int sock, directory, status;
	struct child_args args;
};

static int
become_files(void *arg, struct err *e)
{
	const struct start *s = arg;
	char *const environment[] = {NULL};
	struct child_argv argv;

	child_args_format(&s->args, PROGRAM, &argv);
	if (dup2(s->sock, PROTO_SOCKET_FD) < 0 || dup2(s->directory, FILES_DIR_FD) < 0 || dup2(s->status, FILES_STATUS_FD) < 0)
		return err_sys(e, ERR_IO, "passing descriptors to %s", s->program);
	execve(s->program, argv.argv, environment);
	return err_sys(e, ERR_IO, "%s", s->program);
}

/* Waits until it has said that it serves, or why it cannot. */
static int
hear(int status, uint32_t *layers, struct err *e)
{
	struct imsg *m = malloc(sizeof(*m));
	struct proto_ready ready;
	int rc = m == NULL ? err_set(e, ERR_NOMEM, "out of memory") : imsg_recv(status, m, e);

	if (rc != 0) {
		free(m);
		return rc == ERR_EOF ? err_set(e, ERR_IO, "%s ended before it could serve", PROGRAM) : rc;
	}
	if (m->hdr.type == PROTO_READY && m->hdr.length == sizeof(ready)) {
		memcpy(&ready, m->payload, sizeof(ready));
		*layers = ready.layers;
	} else if (m->hdr.type == PROTO_FAILED)
		rc = err_set(e, ERR_UNSUPPORTED, "%.*s", (int)m->hdr.length, (const char *)m->payload);
	else
		rc = err_set(e, ERR_PROTOCOL, "%s says what this brig does not know: they are of different versions", PROGRAM);
	imsg_close_fds(m);
	free(m);
	return rc;
}

/* Kills it; it holds nothing that could be lost. */
static void
reap(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0), left = -1;
	struct pollfd p = {.fd = fd, .events = POLLIN}; /* readable when it has ended */

	kill(pid, SIGKILL);
	while (fd >= 0 && (left = poll(&p, 1, REAP_MS)) < 0 && errno == EINTR)
		continue;
	while (waitpid(pid, NULL, left == 0 ? WNOHANG : 0) < 0 && errno == EINTR)
		continue;
	if (fd >= 0)
		close(fd);
}

/* --- the client's side ------------------------------------------------------------------------------------------ */

/* Starts it in `namespaces`, or with 0 in none; d->sock is set only when it serves. */
static int
start_in(int namespaces, const char *program, int directory, struct brig_dir *d, struct err *e)
{
	int pair[2] = {-1, -1}, status[2] = {-1, -1}, rc;
	struct start s = {.program = program, .directory = directory};
	const struct spawn_config cfg = {.namespaces = namespaces, .run = become_files, .arg = &s};

	if ((rc = imsg_pair(pair, e)) != 0 || (rc = imsg_pair(status, e)) != 0)
		goto out;
	s.sock = pair[1] = spawn_high_fd(pair[1]);
	s.status = status[1] = spawn_high_fd(status[1]);
	s.args.jail.profile = namespaces != 0 ? JAIL_PROFILE_NAMESPACES : JAIL_PROFILE_CONTAINER;
	s.args.jail.given = spawn_layers(&cfg);
	if (s.sock < 0 || s.status < 0) {
		rc = err_sys(e, ERR_IO, "moving descriptors");
		goto out;
	}
	if ((rc = spawn(&cfg, &d->pid, e)) != 0)
		goto out;
	close(status[1]);
	status[1] = -1;
	rc = hear(status[0], &d->layers, e);
	if (rc == 0) {
		d->sock = pair[0];
		pair[0] = -1;
	} else
		reap(d->pid);
out:
	for (int i = 0; i < 2; i++) {
		if (pair[i] >= 0)
			close(pair[i]);
		if (status[i] >= 0)
			close(status[i]);
	}
	return rc;
}

static int
open_directory(const char *host, struct err *e)
{
	int fd = open(host, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno == ENOENT ? ERR_NOTFOUND : errno == ENOTDIR ? ERR_INVAL : errno == EACCES ? ERR_DENIED
		    : ERR_IO, "%s", host);
	if (faccessat(fd, ".", R_OK | X_OK, AT_EACCESS) != 0) {
		err_sys(e, errno == EACCES ? ERR_DENIED : ERR_IO, "%s: it has to be readable by you", host);
		close(fd);
		return e == NULL ? ERR_DENIED : e->code;
	}
	fd = spawn_high_fd(fd);
	return fd >= 0 ? fd : err_sys(e, ERR_IO, "%s", host);
}

int
brig_dir_serve(const char *host, const char *program, struct brig_dir **out, struct err *e)
{
	static const int tries[] = {SPAWN_NAMESPACES, 0};
	char found[PATH_MAX];
	struct brig_dir *d = NULL;
	int directory = open_directory(host, e), rc = directory < 0 ? directory : 0;

	if (rc == 0 && program == NULL && (rc = brig_program(PROGRAM, found, sizeof(found), e)) == 0)
		program = found;
	if (rc == 0 && (d = calloc(1, sizeof(*d))) == NULL)
		rc = err_set(e, ERR_NOMEM, "out of memory");
	if (rc != 0)
		goto out;
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
		if ((rc = start_in(tries[i], program, directory, d, e)) == 0)
			break;
	if (rc == 0) {
		*out = d;
		d = NULL;
	} else
		err_context(e, "serving %s", host);
out:
	free(d);
	if (directory >= 0)
		close(directory);
	return rc;
}

int
brig_dir_fd(const struct brig_dir *d)
{
	return d->sock;
}

uint32_t
brig_dir_layers(const struct brig_dir *d)
{
	return d->layers;
}

void
brig_dir_close(struct brig_dir *d)
{
	if (d == NULL)
		return;
	reap(d->pid);
	close(d->sock);
	free(d);
}
