/* sandbox/spawn: a child in namespaces of its own, with a uid of its own. Launcher; brig doctor tries. */

#include "sandbox/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"

#define HIGH_FD    10
#define STACK_SIZE (256 * 1024)

/* What goes over the socket between parent and child: the child is there; its ids are mapped; it failed, an err. */
enum word { WORD_HERE = 1, WORD_GO = 2 };

struct child {
	const struct spawn_config *cfg;
	int sync;   /* its end */
	int parent; /* the other end */
};

int
spawn_high_fd(int fd)
{
	int high;

	if (fd < 0 || fd >= HIGH_FD)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
	close(fd);
	return high;
}

uint32_t
spawn_layers(const struct spawn_config *cfg)
{
	static const struct {
		int namespaces;
		uint32_t layer;
	} gives[] = {
	    {CLONE_NEWUSER, PROTO_LAYER_user_ns},
	    {CLONE_NEWPID, PROTO_LAYER_pid_ns},
	    {CLONE_NEWNET, PROTO_LAYER_net_ns},
	    {CLONE_NEWIPC | CLONE_NEWUTS, PROTO_LAYER_ipc_ns},
	    {CLONE_NEWCGROUP, PROTO_LAYER_cgroup_ns},
	};
	uint32_t layers = cfg->change_id ? PROTO_LAYER_own_uid : 0;

	for (size_t i = 0; i < sizeof(gives) / sizeof(gives[0]); i++)
		if ((cfg->namespaces & gives[i].namespaces) == gives[i].namespaces)
			layers |= gives[i].layer;
	return layers;
}

/* --- the child ------------------------------------------------------------------------------------------------- */

static int
take_ids(const struct spawn_config *cfg, struct err *e)
{
	uid_t id = (cfg->namespaces & CLONE_NEWUSER) != 0 ? 0 : cfg->id;

	if ((cfg->namespaces & CLONE_NEWUSER) == 0 && !cfg->change_id)
		return 0;
	if (setresgid(id, id, id) != 0 || setresuid(id, id, id) != 0)
		return err_sys(e, ERR_IO, "taking uid and gid %u", (unsigned)id);
	return 0;
}

static int
child_run(struct child *c, struct err *e)
{
	enum word word = WORD_HERE;
	sigset_t none;
	int rc;

	close(c->parent);
	/* the launcher's own /proc entry belongs to root as it is not dumpable; this one it must be able to write */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
		return err_sys(e, ERR_IO, "becoming dumpable");
	if (write(c->sync, &word, sizeof(word)) != sizeof(word) || read(c->sync, &word, sizeof(word)) != sizeof(word))
		_exit(EXIT_FAILURE); /* nobody is left to tell */
	rc = take_ids(c->cfg, e);
	if (rc != 0)
		return rc;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || setsid() < 0)
		return err_sys(e, ERR_IO, "asking to die with the launcher");
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) != 0)
		return err_sys(e, ERR_IO, "unblocking signals");
	return c->cfg->run(c->cfg->arg, e);
}

static int
child_main(void *arg)
{
	struct child *c = arg;
	struct err e = {0};
	int rc = child_run(c, &e);

	if (rc != 0)
		send(c->sync, &e, sizeof(e), MSG_NOSIGNAL); /* when it fails, the parent sees the exit status */
	_exit(rc != 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* --- the parent ------------------------------------------------------------------------------------------------ */

static int
refused(struct err *e)
{
	switch (errno) {
	case EPERM:
	case EACCES:
		return err_sys(e, ERR_UNSUPPORTED,
		    "making namespaces is forbidden here. Start brigd as root, or allow it to users (sysctl "
		    "kernel.unprivileged_userns_clone=1, or kernel.apparmor_restrict_unprivileged_userns=0); in a container, "
		    "let its runtime allow it, or choose --profile container");
	case ENOSPC:
	case EUSERS:
		return err_sys(e, ERR_UNSUPPORTED,
		    "no more namespaces: raise user.max_user_namespaces and its neighbours (sysctl)");
	case EINVAL:
	case ENOSYS:
		return err_sys(e, ERR_UNSUPPORTED,
		    "the kernel lacks a kind of namespace: it needs CONFIG_USER_NS, PID_NS, NET_NS, IPC_NS, UTS_NS, CGROUPS");
	default:
		return err_sys(e, ERR_IO, "clone");
	}
}

static int
write_proc(pid_t pid, const char *file, const char *text, struct err *e)
{
	char path[64];
	int fd, rc;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, ERR_IO, "%s", path);
	rc = io_write_all(fd, text, strlen(text), e);
	if (rc != 0)
		err_context(e, "%s", path);
	close(fd);
	return rc;
}

/* Inner uid 0 is one id of the host, and no other id exists. */
static int
map_ids(const struct spawn_config *cfg, pid_t pid, struct err *e)
{
	char uids[32], gids[32];
	int rc;

	snprintf(uids, sizeof(uids), "0 %u 1", (unsigned)(cfg->change_id ? cfg->id : geteuid()));
	snprintf(gids, sizeof(gids), "0 %u 1", (unsigned)(cfg->change_id ? (gid_t)cfg->id : getegid()));
	rc = write_proc(pid, "setgroups", "deny", e);
	if (rc == 0)
		rc = write_proc(pid, "gid_map", gids, e);
	if (rc == 0)
		rc = write_proc(pid, "uid_map", uids, e);
	return rc;
}

/* Lets the child go on once its ids are mapped, and waits until it has gone or has failed. */
static int
guide(const struct spawn_config *cfg, pid_t pid, int sync, struct err *e)
{
	enum word word = WORD_GO;
	struct err told;
	ssize_t n;
	int rc = 0;

	if (read(sync, &word, sizeof(word)) != sizeof(word))
		return err_set(e, ERR_IO, "the child ended before it began");
	if ((cfg->namespaces & CLONE_NEWUSER) != 0)
		rc = map_ids(cfg, pid, e);
	if (rc == 0 && cfg->place != NULL)
		rc = cfg->place(cfg->arg, pid, e);
	if (rc != 0)
		return rc;
	word = WORD_GO;
	if (send(sync, &word, sizeof(word), MSG_NOSIGNAL) != sizeof(word))
		return err_sys(e, ERR_IO, "telling the child to go on");
	do {
		n = read(sync, &told, sizeof(told));
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	if (n != sizeof(told) || told.code >= 0)
		return err_sys(e, ERR_IO, "waiting for the child");
	told.msg[sizeof(told.msg) - 1] = '\0';
	return err_set(e, told.code, "%s", told.msg);
}

static pid_t
clone_child(struct child *c)
{
	char *stack = malloc(STACK_SIZE); /* the child gets a copy; memory is not shared */
	uintptr_t top = ((uintptr_t)stack + STACK_SIZE) & ~(uintptr_t)63;
	pid_t pid;

	if (stack == NULL) {
		errno = ENOMEM;
		return -1;
	}
	pid = clone(child_main, (void *)top, c->cfg->namespaces | SIGCHLD, c);
	free(stack);
	return pid;
}

int
spawn(const struct spawn_config *cfg, pid_t *pid, struct err *e)
{
	struct child c = {.cfg = cfg};
	int sync[2];
	pid_t child;
	int rc;

	if (cfg->change_id && cfg->id == 0)
		return err_set(e, ERR_INVAL, "a child may not be the host's root");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) != 0)
		return err_sys(e, ERR_IO, "socketpair");
	sync[0] = spawn_high_fd(sync[0]);
	sync[1] = spawn_high_fd(sync[1]);
	c.sync = sync[1];
	c.parent = sync[0];
	child = sync[0] < 0 || sync[1] < 0 ? -1 : clone_child(&c);
	if (child < 0) {
		rc = refused(e);
		goto out;
	}
	close(sync[1]);
	sync[1] = -1;
	rc = guide(cfg, child, sync[0], e);
	if (rc != 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		goto out;
	}
	*pid = child;
out:
	if (sync[0] >= 0)
		close(sync[0]);
	if (sync[1] >= 0)
		close(sync[1]);
	return rc;
}
