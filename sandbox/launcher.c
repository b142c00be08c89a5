/* sandbox/launcher: starts and reaps zygotes and compilers for brigd; sees no job and no module. Launcher process. */

#include "sandbox/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/imsg.h"
#include "base/monotonic.h"
#include "sandbox/cgroup.h"
#include "sandbox/child.h"
#include "sandbox/filter.h"
#include "sandbox/spawn.h"
#include "sandbox/zygote.h"

struct child {
	pid_t pid; /* 0: free */
	uint64_t token;
	uid_t id;
	uint32_t killed; /* enum proto_killed */
	uint64_t started_us;
};

struct launcher {
	enum jail_profile profile;
	uid_t uid_base;
	uid_t next_id; /* offset of the next to hand out */
	int worker;    /* open programs */
	int compiler;
	int filters; /* the bundle */
	int null;    /* /dev/null */
	int sock;
	int namespaces; /* that children get */
	struct cgroup *groups; /* a group for each child, by its place; NULL: none */
	sigset_t mask;  /* as it was: what ppoll waits with */
	struct child *children;
	size_t room;
	struct imsg in;
};

/* --- becoming the launcher ------------------------------------------------------------------------------------- */

static int
open_program(const char *path, int *fd, struct err *e)
{
	struct stat st;
	int opened = spawn_high_fd(open(path, O_PATH | O_CLOEXEC));

	if (opened < 0)
		return err_sys(e, ERR_IO, "%s", path);
	if (fstat(opened, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & S_IXOTH) == 0) {
		close(opened);
		return err_set(e, ERR_INVAL, "%s is not a program that everybody may execute", path);
	}
	*fd = opened;
	return 0;
}

/* Everything that has to be opened before root is left behind. */
static int
open_all(struct launcher *l, const struct launcher_config *cfg, struct err *e)
{
	int rc = open_program(cfg->worker, &l->worker, e);

	if (rc == 0)
		rc = open_program(cfg->compiler, &l->compiler, e);
	if (rc != 0)
		return rc;
	l->null = spawn_high_fd(open("/dev/null", O_RDWR | O_CLOEXEC));
	if (l->null < 0)
		return err_sys(e, ERR_IO, "/dev/null");
	l->filters = filter_bundle(e);
	if (l->filters < 0)
		return e->code;
	l->filters = spawn_high_fd(l->filters);
	return l->filters < 0 ? err_sys(e, ERR_IO, "moving the filters") : 0;
}

static int
keep_capabilities(enum jail_profile profile, struct err *e)
{
	const uint32_t kept = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL |
			      (profile == JAIL_PROFILE_NAMESPACES ? 1u << CAP_SYS_ADMIN : 0);
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{.effective = kept, .permitted = kept}};

	if (syscall(SYS_capset, &header, data) != 0)
		return err_sys(e, ERR_IO, "keeping CAP_SETUID, SETGID, KILL%s (a container may withhold them)",
		    profile == JAIL_PROFILE_NAMESPACES ? " and SYS_ADMIN" : "");
	return 0;
}

/*
 * From root to a uid of its own. The bounding set goes too, for children without a user namespace; with one they get a
 * fresh set. A root without CAP_SETPCAP cannot drop it; no_new_privs keeps everybody from ever using it.
 */
static int
leave_root(enum jail_profile profile, uid_t id, struct err *e)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno != EPERM)
			return err_sys(e, ERR_IO, "dropping capability %d from the bounding set", cap);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || setgroups(0, NULL) != 0 || setresgid(id, id, id) != 0 ||
	    setresuid(id, id, id) != 0)
		return err_sys(e, ERR_IO, "becoming uid %u", (unsigned)id);
	return keep_capabilities(profile, e);
}

static int
lower_itself(const struct launcher *l, struct err *e)
{
	const struct rlimit none = {0, 0};
	int rc = 0;

	if (l->uid_base != 0)
		rc = leave_root(l->profile, l->uid_base + LAUNCHER_UID_OFFSET, e);
	if (rc == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
			   setrlimit(RLIMIT_CORE, &none) != 0))
		rc = err_sys(e, ERR_IO, "giving up privileges");
	return rc;
}

/* Goes on without groups only when they were not asked for and none was delegated, or limits cannot be had there. */
static int
open_groups(struct launcher *l, const struct launcher_config *cfg, struct err *e)
{
	const struct cgroup_config groups = {
	    .where = strcmp(cfg->cgroup, "required") == 0 ? "auto" : cfg->cgroup,
	    .owner = cfg->uid_base != 0 ? cfg->uid_base + LAUNCHER_UID_OFFSET : 0,
	    .memory_bytes = cfg->cgroup_memory_bytes,
	    .cpu_percent = cfg->cgroup_cpu_percent,
	};
	struct err why;
	int rc;

	if (strcmp(cfg->cgroup, "off") == 0)
		return 0;
	rc = cgroup_open(&groups, &l->groups, &why);
	if (rc == 0 || (strcmp(cfg->cgroup, "auto") == 0 && rc != ERR_EXISTS))
		return 0;
	if (rc == ERR_EXISTS)
		return err_set(e, rc, "%s", why.msg);
	return err_set(e, rc, "no control groups, which the setting cgroup requires: %.400s; " CGROUP_HOW, why.msg);
}

/* The cgroup namespace is not required; a kernel may be without it. */
static int
choose_namespaces(enum jail_profile profile)
{
	if (profile == JAIL_PROFILE_CONTAINER)
		return 0;
	return access("/proc/self/ns/cgroup", F_OK) == 0 ? SPAWN_NAMESPACES : SPAWN_NAMESPACES & ~CLONE_NEWCGROUP;
}

int
launcher_new(const struct launcher_config *cfg, struct launcher **out, struct err *e)
{
	struct launcher *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return err_set(e, ERR_NOMEM, "no memory for the launcher's state");
	l->profile = cfg->profile;
	l->uid_base = cfg->uid_base;
	l->worker = l->compiler = l->filters = l->null = -1;
	l->namespaces = choose_namespaces(cfg->profile);
	rc = geteuid() == 0 && cfg->uid_base == 0
		 ? err_set(e, ERR_INVAL, "started as root, the launcher needs --uid-base: children never are root")
		 : open_all(l, cfg, e);
	if (rc == 0)
		rc = open_groups(l, cfg, e);
	if (rc == 0)
		rc = lower_itself(l, e);
	if (rc != 0) {
		launcher_free(l);
		return rc;
	}
	*out = l;
	return 0;
}

void
launcher_free(struct launcher *l)
{
	if (l == NULL)
		return;
	for (const int *fd = (const int[]){l->worker, l->compiler, l->filters, l->null, -2}; *fd != -2; fd++)
		if (*fd >= 0)
			close(*fd);
	cgroup_close(l->groups);
	free(l->children);
	free(l);
}

/* --- starting a child ------------------------------------------------------------------------------------------ */

static struct child *
find_pid(struct launcher *l, pid_t pid)
{
	for (size_t i = 0; i < l->room; i++)
		if (l->children[i].pid == pid)
			return &l->children[i];
	return NULL;
}

static struct child *
find_token(struct launcher *l, uint64_t token)
{
	for (size_t i = 0; i < l->room; i++)
		if (l->children[i].pid != 0 && l->children[i].token == token)
			return &l->children[i];
	return NULL;
}

static struct child *
take_place(struct launcher *l)
{
	struct child *c = find_pid(l, 0);
	size_t room = l->room + 16;

	if (c != NULL)
		return c;
	c = realloc(l->children, room * sizeof(*c));
	if (c == NULL)
		return NULL;
	memset(c + l->room, 0, (room - l->room) * sizeof(*c));
	l->children = c;
	c += l->room;
	l->room = room;
	return c;
}

static bool
id_in_use(const struct launcher *l, uid_t id)
{
	for (size_t i = 0; i < l->room; i++)
		if (l->children[i].pid != 0 && l->children[i].id == id)
			return true;
	return false;
}

/* An id that no living child has; 0 when not started as root. */
static int
take_id(struct launcher *l, uid_t *id, struct err *e)
{
	*id = 0;
	if (l->uid_base == 0)
		return 0;
	for (int i = 0; i < LAUNCHER_CHILD_IDS; i++) {
		uid_t candidate = l->uid_base + LAUNCHER_CHILD_OFFSET + l->next_id;

		l->next_id = (l->next_id + 1) % LAUNCHER_CHILD_IDS;
		if (!id_in_use(l, candidate)) {
			*id = candidate;
			return 0;
		}
	}
	return err_set(e, ERR_LIMIT, "%d children run already", LAUNCHER_CHILD_IDS);
}

/* What a child needs to become its program. */
struct start {
	const struct launcher *l;
	const char *name;
	int program;
	int socket;
	unsigned place;
	int nice;
	struct cgroup_limits limits;
	struct child_args args;
};

static int
join_group(void *arg, pid_t pid, struct err *e)
{
	const struct start *s = arg;

	return cgroup_add(s->l->groups, s->place, &s->limits, pid, e);
}

/* In the child: puts the descriptors where the program expects them, and becomes it. */
static int
exec_program(void *arg, struct err *e)
{
	const struct start *s = arg;
	struct child_argv argv;
	char *const environment[] = {NULL};

	child_args_format(&s->args, s->name, &argv);
	if (dup2(s->socket, PROTO_SOCKET_FD) < 0 || dup2(s->l->filters, FILTER_FD) < 0 || dup2(s->l->null, 0) < 0 ||
	    dup2(s->l->null, 1) < 0)
		return err_sys(e, ERR_IO, "arranging descriptors");
	if (s->nice > 0 && setpriority(PRIO_PROCESS, 0, s->nice) != 0 && errno != EACCES) /* EACCES: more than that already */
		return err_sys(e, ERR_IO, "taking nice value %d", s->nice);
	execveat(s->program, "", argv.argv, environment, AT_EMPTY_PATH);
	return err_sys(e, ERR_IO, "executing %s", s->name);
}

/* As many workers as a zygote ever forks, and some that have ended and were not reaped yet. */
static const struct cgroup_limits zygote_limits = {.memory_bytes = 0, .processes = ZYGOTE_WORKERS_MAX + 64};

/* Its own memory, as much again for the memory file with the artifact, and what a program takes. It never forks. */
static struct cgroup_limits
compiler_limits(const struct proto_spawn *p)
{
	const uint64_t most = UINT64_MAX / 4, program = 64 << 20;
	uint64_t bytes = p->memory_bytes < most ? p->memory_bytes : most;

	return (struct cgroup_limits){.memory_bytes = bytes == 0 ? 0 : 2 * bytes + program, .processes = 1};
}

static int
start_child(struct launcher *l, const struct proto_spawn *p, uint64_t token, int socket, pid_t *pid, struct err *e)
{
	bool compiler = p->kind == PROTO_KIND_COMPILER;
	struct start s = {
	    .l = l,
	    .name = compiler ? "brig-compiler" : "brig-worker",
	    .program = compiler ? l->compiler : l->worker,
	    .socket = socket,
	    .nice = (int)p->nice,
	    .limits = compiler ? compiler_limits(p) : zygote_limits,
	    .args = {.engine = p->engine,
		     .jail = {.profile = l->profile, .cpu_ms = p->cpu_ms, .data_bytes = p->memory_bytes}},
	};
	struct spawn_config cfg = {
	    .namespaces = l->namespaces,
	    .change_id = l->uid_base != 0,
	    .place = l->groups != NULL ? join_group : NULL,
	    .run = exec_program,
	    .arg = &s,
	};
	struct child *c = take_place(l);
	int rc;

	if (c == NULL)
		return err_set(e, ERR_NOMEM, "no memory for another child");
	rc = take_id(l, &cfg.id, e);
	if (rc != 0)
		return rc;
	s.place = (unsigned)(c - l->children);
	s.args.jail.given = spawn_layers(&cfg) | (l->groups != NULL ? PROTO_LAYER_cgroup : 0);
	rc = spawn(&cfg, pid, e);
	if (rc != 0 && l->groups != NULL)
		cgroup_remove(l->groups, s.place);
	if (rc == 0)
		*c = (struct child){.pid = *pid, .token = token, .id = cfg.id, .started_us = monotonic_us()};
	return rc;
}

/* --- messages -------------------------------------------------------------------------------------------------- */

static int
handle_spawn(struct launcher *l, struct err *e)
{
	struct proto_spawned spawned = {0};
	uint64_t token = l->in.hdr.run;
	struct proto_spawn p;
	int rc;

	memcpy(&p, l->in.payload, sizeof(p));
	if ((p.kind != PROTO_KIND_ZYGOTE && p.kind != PROTO_KIND_COMPILER) || p.engine > PROTO_ENGINE_FUEL ||
	    p.nice > PROTO_NICE_MAX)
		return err_set(e, ERR_PROTOCOL, "asked for kind %u with engine %u and nice value %u", p.kind, p.engine, p.nice);
	if (find_token(l, token) != NULL)
		return err_set(e, ERR_PROTOCOL, "token %ju is there already", (uintmax_t)token);
	l->in.fds[0] = spawn_high_fd(l->in.fds[0]); /* so that it cannot be the number where it is to go */
	rc = start_child(l, &p, token, l->in.fds[0], &spawned.pid, e);
	if (rc != 0)
		return imsg_send(l->sock, PROTO_SPAWN_FAILED, token, e->msg, strlen(e->msg), NULL, 0, e);
	return imsg_send(l->sock, PROTO_SPAWNED, token, &spawned, sizeof(spawned), NULL, 0, e);
}

static int
handle_kill(struct launcher *l, struct err *e)
{
	struct child *c = find_token(l, l->in.hdr.run);

	(void)e;
	if (c != NULL) { /* it may just have ended */
		c->killed = PROTO_KILLED_REQUEST;
		kill(c->pid, SIGKILL);
	}
	return 0;
}

static const struct message {
	uint32_t type;
	uint32_t length;
	int nfds;
	int (*handle)(struct launcher *l, struct err *e);
} messages[] = {
    {PROTO_SPAWN, sizeof(struct proto_spawn), 1, handle_spawn},
    {PROTO_KILL, 0, 0, handle_kill},
};

static int
receive(struct launcher *l, struct err *e)
{
	const struct imsg *m = &l->in;
	int rc = imsg_recv(l->sock, &l->in, e);

	if (rc != 0)
		return rc;
	rc = err_set(e, ERR_PROTOCOL, "message %u of %u bytes with %d descriptors, which a launcher never gets", m->hdr.type,
	    m->hdr.length, m->nfds);
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (messages[i].type == m->hdr.type && messages[i].length == m->hdr.length && messages[i].nfds == m->nfds)
			rc = messages[i].handle(l, e);
	imsg_close_fds(&l->in);
	return rc;
}

/* --- ends ------------------------------------------------------------------------------------------------------ */

static uint64_t
timeval_us(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

static int
reap(struct launcher *l, struct err *e)
{
	for (;;) {
		struct proto_exited exited = {0};
		struct rusage used;
		struct child *c;
		pid_t pid = wait4(-1, &exited.wait_status, WNOHANG, &used);
		int rc;

		if (pid <= 0)
			return 0;
		c = find_pid(l, pid);
		if (c == NULL)
			continue;
		exited.killed = c->killed;
		exited.user_us = timeval_us(&used.ru_utime);
		exited.system_us = timeval_us(&used.ru_stime);
		exited.wall_us = monotonic_us() - c->started_us;
		exited.minor_faults = (uint64_t)used.ru_minflt;
		c->pid = 0;
		if (l->groups != NULL)
			cgroup_remove(l->groups, (unsigned)(c - l->children));
		rc = imsg_send(l->sock, PROTO_CHILD_EXITED, c->token, &exited, sizeof(exited), NULL, 0, e);
		if (rc != 0)
			return rc;
	}
}

static void
kill_all(struct launcher *l)
{
	for (size_t i = 0; i < l->room; i++)
		if (l->children[i].pid != 0)
			kill(l->children[i].pid, SIGKILL);
	while (wait4(-1, NULL, 0, NULL) > 0 || errno == EINTR)
		continue;
	for (size_t i = 0; l->groups != NULL && i < l->room; i++)
		cgroup_remove(l->groups, (unsigned)i);
}

/* --- the loop -------------------------------------------------------------------------------------------------- */

static int
say_ready(const struct launcher *l, struct err *e)
{
	const struct spawn_config cfg = {.namespaces = l->namespaces, .change_id = l->uid_base != 0};
	struct proto_ready ready = {
	    .layers = PROTO_LAYER_no_new_privs | PROTO_LAYER_dumpable | (l->uid_base != 0 ? PROTO_LAYER_own_uid : 0),
	    .child_layers = spawn_layers(&cfg) | (l->groups != NULL ? PROTO_LAYER_cgroup : 0),
	};

	return imsg_send(l->sock, PROTO_READY, 0, &ready, sizeof(ready), NULL, 0, e);
}

static int
turn(struct launcher *l, struct err *e)
{
	struct pollfd p = {.fd = l->sock, .events = POLLIN};
	int n = ppoll(&p, 1, NULL, &l->mask); /* SIGCHLD ends it with EINTR */

	if (n < 0 && errno != EINTR)
		return err_sys(e, ERR_IO, "ppoll");
	return n < 0 ? reap(l, e) : receive(l, e);
}

static void
on_child(int sig)
{
	(void)sig; /* it is enough that ppoll returns */
}

int
launcher_serve(struct launcher *l, int sock, struct err *e)
{
	struct sigaction on_sigchld = {.sa_handler = on_child, .sa_flags = SA_NOCLDSTOP};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t block;
	int rc;

	l->sock = sock;
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigprocmask(SIG_BLOCK, &block, &l->mask);
	sigdelset(&l->mask, SIGCHLD);
	sigaction(SIGCHLD, &on_sigchld, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	rc = say_ready(l, e);
	while (rc == 0)
		rc = turn(l, e);
	kill_all(l);
	return rc == ERR_EOF ? 0 : rc;
}
