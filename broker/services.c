/* broker/services: brigd's directories, socket, helper processes and user ids, before it serves. brigd. */

#include "broker/services.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/imsg.h"
#include "base/monotonic.h"
#include "base/proto.h"

#define BACKLOG      512
#define STOP_MS      5000

enum { LAUNCHER, STORE, LOGGER };

static uid_t
service_uid(const struct config *c, int which)
{
	return (uid_t)(c->uid_base + which);
}

/* --- directories ------------------------------------------------------------------------------------------------ */

/* Makes a directory and those above it, as far as they are missing. */
static int
make_path(const char *path, mode_t mode, struct err *e)
{
	char copy[PATH_MAX];

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
		return err_set(e, ERR_INVAL, "the path is too long: %.100s...", path);
	for (char *p = copy + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0755) == 0 ? chmod(copy, 0755) != 0 : errno != EEXIST)
			return err_sys(e, ERR_IO, "%s", copy);
		*p = '/';
	}
	if (mkdir(copy, mode) == 0)
		return chmod(copy, mode) == 0 ? 0 : err_sys(e, ERR_IO, "%s", copy); /* whatever the umask */
	return errno == EEXIST ? 0 : err_sys(e, ERR_IO, "%s", copy);
}

/* Checks that a directory is this user's own (or, as root, the broker's), and that nobody else can write to it. */
static int
check_directory(const struct config *c, const char *path, struct err *e)
{
	uid_t self = geteuid();
	struct stat st;

	if (lstat(path, &st) != 0)
		return err_sys(e, ERR_IO, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_DENIED, "%s is not a directory", path);
	if (st.st_uid != self && !(self == 0 && st.st_uid == service_uid(c, SERVICES_UID_BROKER)))
		return err_set(e, ERR_DENIED, "%s belongs to user %u, not to %u: choose another, or chown it", path,
		    (unsigned)st.st_uid, (unsigned)self);
	if ((st.st_mode & 022) != 0)
		return err_set(e, ERR_DENIED, "%s can be written by others (mode %o): choose a directory that is brigd's alone", path,
		    (unsigned)(st.st_mode & 07777));
	return 0;
}

/* Makes STATE/name, for the user of a service. */
static int
make_part(const struct config *c, const struct services *s, const char *name, int which, struct err *e)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", c->state, name) >= (int)sizeof(path))
		return err_set(e, ERR_INVAL, "the state directory's path is too long");
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return err_sys(e, ERR_IO, "%s", path);
	if (s->as_root && lchown(path, service_uid(c, which), service_uid(c, which)) != 0)
		return err_sys(e, ERR_IO, "giving %s to user %u", path, (unsigned)service_uid(c, which));
	return 0;
}

static int
take_lock(const struct config *c, struct services *s, struct err *e)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/lock", c->state);
	s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock < 0)
		return err_sys(e, ERR_IO, "%s", path);
	if (flock(s->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(e, ERR_EXISTS, "another brigd uses the state directory %s", c->state);
	return err_sys(e, ERR_IO, "locking %s", path);
}

static void
socket_directory(const struct config *c, char path[PATH_MAX])
{
	char *slash;

	snprintf(path, PATH_MAX, "%s", c->socket);
	slash = strrchr(path, '/');
	if (slash == NULL)
		strcpy(path, ".");
	else
		slash[slash == path ? 1 : 0] = '\0';
}

/* Whether the socket's directory is there for the socket alone. Only such a one is brigd's to change. */
static bool
is_for_socket_alone(const struct config *c, const char *path)
{
	const char *slash = strrchr(c->socket, '/');
	const char *name = slash != NULL ? slash + 1 : c->socket;
	const struct dirent *entry;
	DIR *dir = opendir(path);
	bool alone = dir != NULL;

	while (alone && (entry = readdir(dir)) != NULL)
		alone = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || strcmp(entry->d_name, name) == 0;
	if (dir != NULL)
		closedir(dir);
	return alone;
}

int
services_prepare(const struct config *c, struct services *s, struct err *e)
{
	char runtime[PATH_MAX], part[PATH_MAX];
	int rc;

	memset(s, 0, sizeof(*s));
	s->lock = s->listener = s->launcher = s->store = s->logger = -1;
	s->as_root = geteuid() == 0;
	socket_directory(c, runtime);
	if ((rc = make_path(c->state, s->as_root ? 0711 : 0700, e)) != 0 || (rc = check_directory(c, c->state, e)) != 0 ||
	    (rc = make_path(runtime, c->group != NULL ? 0711 : 0700, e)) != 0 || (rc = check_directory(c, runtime, e)) != 0)
		return rc;
	if ((rc = take_lock(c, s, e)) != 0)
		return rc;
	/* Given to the broker, so that it can remove its socket when it is root no more. Elsewhere the socket stays. */
	s->own_directory = is_for_socket_alone(c, runtime);
	if (s->as_root && s->own_directory && chown(runtime, service_uid(c, SERVICES_UID_BROKER), (gid_t)-1) != 0)
		return err_sys(e, ERR_IO, "%s", runtime);
	if ((rc = make_part(c, s, "store", SERVICES_UID_STORE, e)) != 0 ||
	    (rc = make_part(c, s, "audit", SERVICES_UID_LOGGER, e)) != 0)
		return rc;
	if ((rc = make_part(c, s, "broker", SERVICES_UID_BROKER, e)) != 0)
		return rc;
	snprintf(part, sizeof(part), "%s/broker", c->state);
	return chdir(part) == 0 ? 0 : err_sys(e, ERR_IO, "%s", part);
}

/* --- processes -------------------------------------------------------------------------------------------------- */

/* Where the helper programs are: the setting, else beside brigd (a build tree), else ../libexec/brig. */
static int
find_program(const struct config *c, const char *name, char path[PATH_MAX], struct err *e)
{
	char self[PATH_MAX];
	ssize_t n;

	if (c->libexec != NULL) {
		snprintf(path, PATH_MAX, "%s/%s", c->libexec, name);
		return access(path, X_OK) == 0 ? 0 : err_sys(e, ERR_NOTFOUND, "%s", path);
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return err_sys(e, ERR_IO, "/proc/self/exe");
	self[n] = '\0';
	if (snprintf(path, PATH_MAX, "%s/%s", dirname(self), name) < PATH_MAX && access(path, X_OK) == 0)
		return 0;
	if (snprintf(path, PATH_MAX, "%s/../libexec/brig/%s", self, name) < PATH_MAX && access(path, X_OK) == 0)
		return 0;
	return err_set(e, ERR_NOTFOUND, "%s is neither beside brigd nor in ../libexec/brig: say where with --libexec DIR", name);
}

/* In the child: its socket at 3, nothing on stdin and stdout, stderr as it is, everything else closed. */
static void __attribute__((noreturn))
exec_service(char *const argv[], int sock)
{
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
		_exit(127);
	if (sock == PROTO_SOCKET_FD)
		fcntl(sock, F_SETFD, 0);
	else if (dup2(sock, PROTO_SOCKET_FD) < 0)
		_exit(127);
	syscall(SYS_close_range, PROTO_SOCKET_FD + 1, ~0U, 0);
	execv(argv[0], argv);
	_exit(127);
}

static int
start_one(char *const argv[], int *sock, pid_t *pid, struct err *e)
{
	int sv[2];
	int rc = imsg_pair(sv, e);

	if (rc != 0)
		return rc;
	*pid = fork();
	if (*pid == 0)
		exec_service(argv, sv[1]);
	close(sv[1]);
	if (*pid < 0) {
		*pid = 0;
		close(sv[0]);
		return err_sys(e, ERR_IO, "fork");
	}
	*sock = sv[0];
	return 0;
}

/* One helper's arguments: what it always gets and, as root, its user. */
struct arguments {
	char *argv[20];
	int n;
	char texts[4][24];
};

static void
add(struct arguments *a, const char *option, const char *value)
{
	a->argv[a->n++] = (char *)(uintptr_t)option;
	if (value != NULL)
		a->argv[a->n++] = (char *)(uintptr_t)value;
}

static void
add_number(struct arguments *a, int text, const char *option, int64_t value)
{
	snprintf(a->texts[text], sizeof(a->texts[text]), "%lld", (long long)value);
	add(a, option, a->texts[text]);
}

int
services_start(const struct config *c, struct services *s, struct err *e)
{
	char launcher[PATH_MAX], store[PATH_MAX], logger[PATH_MAX], worker[PATH_MAX], compiler[PATH_MAX];
	char store_dir[PATH_MAX], audit_dir[PATH_MAX];
	struct arguments l = {0}, t = {0}, g = {0};
	int rc;

	if ((rc = find_program(c, "brig-launcher", launcher, e)) != 0 || (rc = find_program(c, "brig-store", store, e)) != 0 ||
	    (rc = find_program(c, "brig-logger", logger, e)) != 0 || (rc = find_program(c, "brig-worker", worker, e)) != 0 ||
	    (rc = find_program(c, "brig-compiler", compiler, e)) != 0)
		return rc;
	if (snprintf(store_dir, sizeof(store_dir), "%s/store", c->state) >= (int)sizeof(store_dir) ||
	    snprintf(audit_dir, sizeof(audit_dir), "%s/audit", c->state) >= (int)sizeof(audit_dir))
		return err_set(e, ERR_INVAL, "the state directory's path is too long");
	add(&l, launcher, NULL);
	add(&l, "--worker", worker);
	add(&l, "--compiler", compiler);
	add(&l, "--profile", c->profile);
	add(&l, "--cgroup", c->cgroup);
	add_number(&l, 1, "--cgroup-memory", c->cgroup_memory_bytes);
	add_number(&l, 2, "--cgroup-cpu", c->cgroup_cpu_percent);
	add(&t, store, NULL);
	add(&t, "--dir", store_dir);
	add_number(&t, 0, "--size-max", c->store_bytes);
	add_number(&t, 3, "--owner-max", c->store_bytes_per_owner);
	add(&g, logger, NULL);
	add(&g, "--dir", audit_dir);
	add(&g, "--durability", c->durability);
	if (s->as_root) {
		add_number(&l, 0, "--uid-base", c->uid_base);
		add_number(&t, 1, "--uid", service_uid(c, SERVICES_UID_STORE));
		add_number(&t, 2, "--gid", service_uid(c, SERVICES_UID_STORE));
		add_number(&g, 1, "--uid", service_uid(c, SERVICES_UID_LOGGER));
		add_number(&g, 2, "--gid", service_uid(c, SERVICES_UID_LOGGER));
	}
	if ((rc = start_one(l.argv, &s->launcher, &s->pids[LAUNCHER], e)) != 0 ||
	    (rc = start_one(t.argv, &s->store, &s->pids[STORE], e)) != 0)
		return rc;
	return start_one(g.argv, &s->logger, &s->pids[LOGGER], e);
}

/* --- the socket ------------------------------------------------------------------------------------------------- */

/* Whether someone answers at the address. */
static bool
is_alive(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool alive = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;

	if (fd >= 0)
		close(fd);
	return alive;
}

/* Lets a group through to the socket: by the directory's mode when that is brigd's own, else it must be open already. */
static int
open_directory(const struct config *c, const struct services *s, gid_t gid, struct err *e)
{
	char path[PATH_MAX];
	struct stat st;

	socket_directory(c, path);
	if (s->own_directory)
		return chown(path, (uid_t)-1, gid) == 0 && chmod(path, 0750) == 0 ? 0 : err_sys(e, ERR_IO, "%s", path);
	if (stat(path, &st) != 0)
		return err_sys(e, ERR_IO, "%s", path);
	if ((st.st_mode & S_IXOTH) != 0 || (st.st_gid == gid && (st.st_mode & S_IXGRP) != 0))
		return 0;
	return err_set(e, ERR_DENIED,
	    "group %s cannot reach the socket: %s holds other files, so brigd leaves its mode (%o) alone; choose a directory "
	    "for the socket alone",
	    c->group, path, (unsigned)(st.st_mode & 07777));
}

/* Who may connect: the owner, and a group if one is named. */
static int
set_access(const struct config *c, const struct services *s, struct err *e)
{
	struct group *group;
	int rc;

	if (c->group == NULL)
		return chmod(c->socket, 0600) == 0 ? 0 : err_sys(e, ERR_IO, "%s", c->socket);
	if ((group = getgrnam(c->group)) == NULL)
		return err_set(e, ERR_NOTFOUND, "there is no group \"%s\"", c->group);
	if ((rc = open_directory(c, s, group->gr_gid, e)) != 0)
		return rc;
	if (chown(c->socket, (uid_t)-1, group->gr_gid) != 0 || chmod(c->socket, 0660) != 0)
		return err_sys(e, ERR_IO, "giving %s to group %s", c->socket, c->group);
	return 0;
}

int
services_listen(const struct config *c, struct services *s, struct err *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(c->socket) >= sizeof(address.sun_path))
		return err_set(e, ERR_INVAL, "the socket's path is longer than %zu bytes: %s", sizeof(address.sun_path) - 1,
		    c->socket);
	strcpy(address.sun_path, c->socket);
	if (is_alive(&address))
		return err_set(e, ERR_EXISTS, "another server listens at %s", c->socket);
	s->replaced_socket = unlink(c->socket) == 0;
	if (!s->replaced_socket && errno != ENOENT)
		return err_sys(e, ERR_IO, "%s", c->socket);
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener < 0)
		return err_sys(e, ERR_IO, "socket");
	if (bind(s->listener, (struct sockaddr *)&address, sizeof(address)) != 0)
		return err_sys(e, ERR_IO, "%s", c->socket);
	s->bound = true;
	if (listen(s->listener, BACKLOG) != 0)
		return err_sys(e, ERR_IO, "listening at %s", c->socket);
	return set_access(c, s, e);
}

int
services_drop(const struct config *c, const struct services *s, struct err *e)
{
	uid_t uid = service_uid(c, SERVICES_UID_BROKER);

	if (s->as_root && (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0))
		return err_sys(e, ERR_IO, "becoming user %u", (unsigned)uid);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return err_sys(e, ERR_IO, "prctl");
	return 0;
}

void
services_stop(const struct config *c, struct services *s)
{
	int *socks[] = {&s->launcher, &s->store, &s->logger, &s->listener};
	int64_t deadline = monotonic_ms() + STOP_MS;

	for (size_t i = 0; i < sizeof(socks) / sizeof(socks[0]); i++) {
		if (*socks[i] >= 0)
			close(*socks[i]);
		*socks[i] = -1;
	}
	for (size_t i = 0; i < sizeof(s->pids) / sizeof(s->pids[0]); i++) {
		struct timespec pause = {.tv_nsec = 1000000};

		while (s->pids[i] > 0 && waitpid(s->pids[i], NULL, WNOHANG) == 0) {
			if (monotonic_ms() >= deadline && kill(s->pids[i], SIGKILL) != 0)
				break; /* not ours to kill, since we are root no more */
			nanosleep(&pause, NULL);
		}
	}
	if (s->bound)
		unlink(c->socket);
	if (s->lock >= 0)
		close(s->lock);
}
