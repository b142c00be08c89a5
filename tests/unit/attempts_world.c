/* tests/unit/attempts_world: files, sockets and processes outside a jail, for attempts to reach. Test process. */

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <pty.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "tests/unit/attempts.h"

volatile uint64_t attempt_word;

const struct attempt attempts[ATTEMPT_COUNT + 1] = {
#define X(name, layers, text, why) {#name, attempt_##name, layers, why},
    ATTEMPTS(X)
#undef X
    {NULL, NULL, 0, NULL},
};

/* --- files ----------------------------------------------------------------------------------------------------- */

/* A copy of a small program. */
static int
copy_program(const char *from, const char *path, mode_t mode, struct err *e)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	char buffer[65536];
	ssize_t n = -1;
	int rc = 0;

	while (in >= 0 && out >= 0 && rc == 0 && (n = read(in, buffer, sizeof(buffer))) > 0)
		rc = io_write_all(out, buffer, (size_t)n, e);
	if (rc == 0 && (n != 0 || fchmod(out, mode) != 0))
		rc = err_sys(e, ERR_IO, "%s from %s", path, from);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return rc;
}

/* Keeps an open descriptor, above those that attempts and their jail use. Takes `fd`. */
static int
keep(struct attempt_world *w, int place, int fd, struct err *e)
{
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, 40);

	if (fd < 0 || kept < 0)
		return err_sys(e, ERR_IO, "descriptor %d", place);
	close(fd);
	w->left_open[place - ATTEMPT_FD_FIRST] = kept;
	return 0;
}

int
attempt_leave_open(const struct attempt_world *w)
{
	for (int i = 0; i < ATTEMPT_FDS; i++)
		if (dup2(w->left_open[i], ATTEMPT_FD_FIRST + i) < 0)
			return -1;
	return 0;
}

static int
make_handle(struct attempt_world *w)
{
	struct file_handle *handle = (void *)w->handle;
	int mount_id;

	handle->handle_bytes = MAX_HANDLE_SZ;
	return name_to_handle_at(AT_FDCWD, w->secret, handle, &mount_id, 0);
}

static int
name_files(struct attempt_world *w, struct err *e)
{
	snprintf(w->directory, sizeof(w->directory), "/tmp/brig-attempts-XXXXXX");
	if (mkdtemp(w->directory) == NULL)
		return err_sys(e, ERR_IO, "%s", w->directory);
	snprintf(w->secret, sizeof(w->secret), "%s/secret", w->directory);
	snprintf(w->program, sizeof(w->program), "%s/program", w->directory);
	snprintf(w->setuid, sizeof(w->setuid), "%s/setuid", w->directory);
	snprintf(w->socket, sizeof(w->socket), "%s/socket", w->directory);
	return 0;
}

static int
make_files(struct attempt_world *w, struct err *e)
{
	int fd = open(w->secret, O_RDWR | O_CREAT, 0600), rc = fd >= 0 ? io_write_all(fd, "secret", 6, e) : ERR_IO;

	if (rc == 0)
		rc = keep(w, ATTEMPT_FD_FILE, fd, e);
	if (rc == 0)
		rc = copy_program("/bin/true", w->program, 0755, e);
	if (rc == 0)
		rc = copy_program("/usr/bin/test", w->setuid, 04755, e);
	if (rc == 0)
		rc = keep(w, ATTEMPT_FD_DIRECTORY, open(w->directory, O_RDONLY | O_DIRECTORY), e);
	if (rc == 0)
		rc = keep(w, ATTEMPT_FD_PROGRAM, open(w->program, O_RDONLY), e);
	(void)make_handle(w); /* a file system may not have handles: the attempt then says so */
	return rc;
}

static int
make_pipe_and_terminal(struct attempt_world *w, struct err *e)
{
	int ends[2], terminal, line, rc;

	if (pipe(ends) != 0 || openpty(&terminal, &line, NULL, NULL, NULL) != 0)
		return err_sys(e, ERR_IO, "a pipe and a terminal");
	/* the other ends stay open too, so that both can be used */
	if ((w->others[0] = fcntl(ends[0], F_DUPFD_CLOEXEC, 40)) < 0 ||
	    (w->others[1] = fcntl(terminal, F_DUPFD_CLOEXEC, 40)) < 0)
		return err_sys(e, ERR_IO, "dup");
	close(ends[0]);
	close(terminal);
	rc = keep(w, ATTEMPT_FD_PIPE, ends[1], e);
	return rc == 0 ? keep(w, ATTEMPT_FD_TERMINAL, line, e) : rc;
}

/* --- sockets --------------------------------------------------------------------------------------------------- */

/* A listening socket, kept at a high number until the test ends. */
static int
listen_at(int family, const void *address, socklen_t length, struct err *e)
{
	int low = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), s = fcntl(low, F_DUPFD_CLOEXEC, 40);

	close(low);
	if (s < 0 || bind(s, address, length) != 0 || listen(s, 4096) != 0)
		return err_sys(e, ERR_IO, "listening");
	return s;
}

static int
make_sockets(struct attempt_world *w, struct err *e)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un path = {.sun_family = AF_UNIX}, abstract = {.sun_family = AF_UNIX};
	socklen_t length = sizeof(in);
	int s;

	snprintf(path.sun_path, sizeof(path.sun_path), "%s", w->socket);
	snprintf(abstract.sun_path + 1, sizeof(abstract.sun_path) - 1, "%s", w->directory);
	s = listen_at(AF_INET, &in, sizeof(in), e);
	if (s < 0 || getsockname(s, (struct sockaddr *)&in, &length) != 0)
		return err_sys(e, ERR_IO, "127.0.0.1");
	w->port = ntohs(in.sin_port);
	if (listen_at(AF_UNIX, &path, sizeof(path), e) < 0 || chmod(w->socket, 0600) != 0)
		return err_sys(e, ERR_IO, "%s", w->socket);
	length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(w->directory));
	return listen_at(AF_UNIX, &abstract, length, e) < 0 ? e->code : 0;
}

/* --- the whole ------------------------------------------------------------------------------------------------- */

/* Everything but the set-uid program belongs to the user. */
static int
give_away(struct attempt_world *w, uid_t uid, struct err *e)
{
	const char *const theirs[] = {w->directory, w->secret, w->program, w->socket};
	struct shmid_ds ds;

	for (size_t i = 0; i < sizeof(theirs) / sizeof(theirs[0]); i++)
		if (chown(theirs[i], uid, uid) != 0)
			return err_sys(e, ERR_IO, "%s", theirs[i]);
	if (w->shm < 0)
		return 0; /* a kernel without them */
	if (shmctl(w->shm, IPC_STAT, &ds) != 0)
		return err_sys(e, ERR_IO, "the segment");
	ds.shm_perm.uid = uid;
	return shmctl(w->shm, IPC_SET, &ds) == 0 ? 0 : err_sys(e, ERR_IO, "the segment");
}

/* A key in the keyring of its user, for as long as a test may take. */
static void
leave_key(void)
{
	long key = syscall(SYS_add_key, "user", "brig-attempt-secret", "x", 1, KEY_SPEC_USER_KEYRING);

	if (key >= 0)
		syscall(SYS_keyctl, KEYCTL_SET_TIMEOUT, key, 300);
}

pid_t
attempt_hold(int (*prepare)(uid_t uid), uid_t uid)
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe2(ready, O_CLOEXEC) != 0 || (pid = fork()) < 0)
		return -1;
	if (pid == 0) {
		attempt_word = ATTEMPT_SECRET;
		if ((prepare == NULL || prepare(uid) == 0) && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 &&
		    write(ready[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(EXIT_FAILURE);
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		pid = -1;
	close(ready[0]);
	return pid;
}

/* As any process of that user. */
static int
become_outsider(uid_t uid)
{
	if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
		return -1;
	leave_key();
	return 0;
}

static bool
leaves_core_files(void)
{
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
	char c = '|';
	bool files = fd >= 0 && read(fd, &c, 1) == 1 && c != '|' && c != '/' && c != '@';

	if (fd >= 0)
		close(fd);
	return files;
}

int
attempt_world_new(struct attempt_world *w, uid_t uid, struct err *e)
{
	int rc;

	memset(w, 0, sizeof(*w));
	w->core_files = leaves_core_files();
	w->shm = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
	rc = name_files(w, e);
	if (rc == 0)
		rc = make_files(w, e);
	if (rc == 0)
		rc = make_pipe_and_terminal(w, e);
	if (rc == 0)
		rc = make_sockets(w, e);
	if (rc == 0)
		rc = give_away(w, uid, e);
	if (rc == 0 && (w->outsider = attempt_hold(become_outsider, uid)) < 0)
		rc = err_sys(e, ERR_IO, "a process outside");
	return rc;
}

/* Files only, and links to them. */
static void
empty_directory(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *entry;

	while (d != NULL && (entry = readdir(d)) != NULL)
		unlinkat(dirfd(d), entry->d_name, 0);
	if (d != NULL)
		closedir(d);
}

void
attempt_world_free(struct attempt_world *w)
{
	if (w->outsider > 0 && kill(w->outsider, SIGKILL) == 0)
		waitpid(w->outsider, NULL, 0);
	if (w->shm >= 0)
		shmctl(w->shm, IPC_RMID, NULL);
	empty_directory(w->directory);
	rmdir(w->directory);
}
