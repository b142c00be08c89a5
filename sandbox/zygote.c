/* sandbox/zygote: the loop that forks a worker per run, bounds its life and reports its end. Zygote process. */

#include "sandbox/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/memfd.h"
#include "base/monotonic.h"
#include "sandbox/jail.h"

#define NS_PER_MS 1000000u
#define NEVER     UINT64_MAX

/* How often a worker without timers of its own is told that its time is over: the first may come just before it waits. */
#define WALL_SIGNALS 2

/* One worker, or room for one. */
struct worker {
	pid_t pid; /* 0: free */
	uint64_t run;
	uint32_t killed; /* enum proto_killed */
	uint64_t started_ns;
	uint64_t deadline_ns; /* NEVER once it was killed, and while it is parked */
	unsigned signals;     /* PROTO_WALL_SIGNAL from its deadline on, before it is killed */
	bool is_parked;
	bool is_gone;         /* reaped, and not reported yet: its id may be another's */
	/*
	 * The page shared with the worker, kept for the next one in this place. It is marked MADV_DONTFORK while in
	 * use, so that no other worker has it.
	 */
	struct proto_shared *shared;
};

struct zygote {
	const struct zygote_ops *ops;
	int sock;
	sigset_t mask; /* as it was before: what workers get, and what ppoll waits with */
	struct worker *workers;
	size_t room;
	size_t running; /* workers, parked ones included */
	size_t parked;
	bool is_loaded; /* it was given a module */
	struct imsg in;
};

static struct worker *
find_run(struct zygote *z, uint64_t run)
{
	for (size_t i = 0; i < z->room; i++)
		if (z->workers[i].pid != 0 && z->workers[i].run == run)
			return &z->workers[i];
	return NULL;
}

static struct worker *
find_pid(struct zygote *z, pid_t pid)
{
	for (size_t i = 0; i < z->room; i++)
		if (z->workers[i].pid == pid)
			return &z->workers[i];
	return NULL;
}

/* A free place with its shared page inheritable and zeroed, or NULL with the reason. */
static struct worker *
take_place(struct zygote *z, struct err *e)
{
	struct worker *w = find_pid(z, 0);
	size_t room = z->room == 0 ? 8 : z->room * 2;

	if (w == NULL) {
		if (z->running >= ZYGOTE_WORKERS_MAX) {
			err_set(e, ERR_LIMIT, "%zu workers run already", z->running);
			return NULL;
		}
		w = realloc(z->workers, room * sizeof(*w));
		if (w == NULL) {
			err_set(e, ERR_NOMEM, "no memory for another worker");
			return NULL;
		}
		memset(w + z->room, 0, (room - z->room) * sizeof(*w));
		z->workers = w;
		w += z->room;
		z->room = room;
	}
	if (w->shared == NULL) {
		void *page = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		if (page == MAP_FAILED) {
			err_sys(e, ERR_NOMEM, "no page to share with a worker");
			return NULL;
		}
		w->shared = page;
	} else if (madvise(w->shared, sizeof(*w->shared), MADV_DOFORK) != 0) {
		err_sys(e, ERR_IO, "sharing a page with a worker");
		return NULL;
	}
	memset(w->shared, 0, sizeof(*w->shared));
	return w;
}

/* The child's whole life. */
static void __attribute__((noreturn))
become_worker(const struct zygote *z, const struct worker *w, int job_socket, uint64_t id, const struct proto_run *run,
    const struct proto_park *park)
{
	struct err e;

	sigprocmask(SIG_SETMASK, &z->mask, NULL);
	if (jail_worker(job_socket, z->ops->ruleset, z->is_loaded, run, &e) != 0) {
		imsg_send(job_socket, PROTO_FAILED, id, e.msg, strlen(e.msg), NULL, 0, NULL);
		_exit(EXIT_FAILURE);
	}
	_exit(z->ops->worker(z->ops->arg, PROTO_SOCKET_FD, w->shared, park));
}

/* Forks the worker of one run, or of none yet with `park`. The job socket is closed here, by whoever calls. */
static int
start_worker(struct zygote *z, uint64_t id, int job_socket, const struct proto_run *run, const struct proto_park *park,
    struct err *e)
{
	struct worker *w = take_place(z, e);
	pid_t pid;

	if (w == NULL)
		return ERR_LIMIT;
	pid = fork();
	if (pid < 0)
		return err_sys(e, ERR_LIMIT, "forking a worker");
	if (pid == 0)
		become_worker(z, w, job_socket, id, run, park);
	z->running++;
	w->pid = pid;
	w->run = id;
	w->killed = PROTO_KILLED_NOT;
	w->started_ns = monotonic_ns();
	w->deadline_ns = park != NULL ? NEVER : w->started_ns + (run->wall_ms + ZYGOTE_GRACE_MS) * NS_PER_MS;
	w->signals = 0;
	w->is_gone = false;
	w->is_parked = park != NULL;
	z->parked += w->is_parked;
	if (madvise(w->shared, sizeof(*w->shared), MADV_DONTFORK) != 0)
		return err_sys(e, ERR_IO, "keeping a worker's page from other workers");
	return 0;
}

/* Kills a worker. Why it has to go is what was said first. */
static void
kill_worker(struct worker *w, enum proto_killed why)
{
	if (w->killed == PROTO_KILLED_NOT)
		w->killed = why;
	w->deadline_ns = NEVER;
	kill(w->pid, SIGKILL); /* it is ours and not yet reaped, so the id is still its own */
}

/* --- messages -------------------------------------------------------------------------------------------------- */

/* Forks a worker, or says that it cannot. */
static int
handle_start(struct zygote *z, const struct proto_run *run, const struct proto_park *park, struct err *e)
{
	uint64_t id = z->in.hdr.run;
	int rc;

	if (run->wall_ms > ZYGOTE_WALL_MS_MAX)
		return err_set(e, ERR_PROTOCOL, "a wall limit of %ju ms", (uintmax_t)run->wall_ms);
	if (find_run(z, id) != NULL)
		return err_set(e, ERR_PROTOCOL, "run %ju is there already", (uintmax_t)id);
	rc = start_worker(z, id, z->in.fds[0], run, park, e);
	if (rc == ERR_LIMIT)
		rc = imsg_send(z->sock, PROTO_FAILED, id, e->msg, strlen(e->msg), NULL, 0, e);
	return rc;
}

static int
handle_run(struct zygote *z, struct err *e)
{
	struct proto_run run;

	memcpy(&run, z->in.payload, sizeof(run));
	return handle_start(z, &run, NULL, e);
}

static int
handle_park(struct zygote *z, struct err *e)
{
	struct proto_park park;
	struct proto_run run;

	memcpy(&park, z->in.payload, sizeof(park));
	run = (struct proto_run){.cpu_ms = park.cpu_ms, .data_bytes = park.data_bytes};
	if (!z->is_loaded)
		return err_set(e, ERR_PROTOCOL, "a worker to be parked, without a module");
	z->ops->instantiate(z->ops->arg, &park);
	return handle_start(z, &run, &park, e);
}

/* A parked worker's run begins. */
static int
handle_take(struct zygote *z, struct err *e)
{
	struct worker *w = find_run(z, z->in.hdr.run);
	struct proto_take take;

	memcpy(&take, z->in.payload, sizeof(take));
	if (take.wall_ms > ZYGOTE_WALL_MS_MAX)
		return err_set(e, ERR_PROTOCOL, "a wall limit of %ju ms", (uintmax_t)take.wall_ms);
	if (w == NULL) /* it has just ended */
		return 0;
	if (!w->is_parked)
		return err_set(e, ERR_PROTOCOL, "worker %ju has a run already", (uintmax_t)w->run);
	w->is_parked = false;
	z->parked--;
	w->started_ns = monotonic_ns();
	w->deadline_ns = w->killed != PROTO_KILLED_NOT ? NEVER : w->started_ns + take.wall_ms * NS_PER_MS;
	w->signals = WALL_SIGNALS;
	return 0;
}

static int
handle_run_kill(struct zygote *z, struct err *e)
{
	struct worker *w = find_run(z, z->in.hdr.run);

	(void)e;
	if (w == NULL || w->is_gone || w->killed != PROTO_KILLED_NOT) /* it may just have ended */
		return 0;
	if (w->is_parked) { /* it has nothing to say */
		kill_worker(w, PROTO_KILLED_REQUEST);
		return 0;
	}
	w->killed = PROTO_KILLED_REQUEST;
	w->signals = 0;
	w->deadline_ns = monotonic_ns() + (uint64_t)ZYGOTE_END_GRACE_MS * NS_PER_MS;
	kill(w->pid, PROTO_END_SIGNAL);
	return 0;
}

/* All workers from now on have this module; it is one owner's, so there is never another one. */
static int
handle_load(struct zygote *z, struct err *e)
{
	int rc;

	if (z->is_loaded || z->running > 0)
		return err_set(e, ERR_PROTOCOL, "a zygote holds one module, from its beginning");
	z->is_loaded = true;
	if (dup3(z->in.fds[0], PROTO_MODULE_FD, O_CLOEXEC) < 0)
		return err_sys(e, ERR_IO, "moving the artifact");
	if ((rc = z->ops->load(z->ops->arg, PROTO_MODULE_FD, e)) != 0)
		return rc;
	return imsg_send(z->sock, PROTO_LOADED, 0, NULL, 0, NULL, 0, e);
}

static int turn(struct zygote *z, struct err *e);
static void kill_all(struct zygote *z);

/* The language pack has asked for its job: from inside its host call the loop goes on, as long as the zygote lives. */
static void __attribute__((noreturn))
serve_on(void *arg)
{
	struct zygote *z = arg;
	struct err e;
	int rc = imsg_send(z->sock, PROTO_LOADED, 0, NULL, 0, NULL, 0, &e);

	while (rc == 0)
		rc = turn(z, &e);
	kill_all(z);
	if (rc != ERR_EOF)
		imsg_send(z->sock, PROTO_FAILED, 0, e.msg, strlen(e.msg), NULL, 0, NULL);
	_exit(rc == ERR_EOF ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* The same of a language pack, which is started. */
static int
handle_warm(struct zygote *z, struct err *e)
{
	struct proto_warm warm;
	struct memfd_map blob;
	size_t size;
	int rc;

	memcpy(&warm, z->in.payload, sizeof(warm));
	if (z->is_loaded || z->running > 0)
		return err_set(e, ERR_PROTOCOL, "a zygote holds one module, from its beginning");
	if ((rc = memfd_check(z->in.fds[1], INT32_MAX, &size, e)) != 0)
		return rc;
	if (warm.args_bytes > size || warm.env_bytes != size - warm.args_bytes)
		return err_set(e, ERR_PROTOCOL, "what a language pack is started with is not as long as it says");
	if ((rc = memfd_map(z->in.fds[1], size, &blob, e)) != 0)
		return rc;
	close(imsg_take_fd(&z->in, 1));
	z->is_loaded = true;
	if (dup3(z->in.fds[0], PROTO_MODULE_FD, O_CLOEXEC) < 0)
		return err_sys(e, ERR_IO, "moving the artifact");
	imsg_close_fds(&z->in); /* the next message comes before this function is left */
	rc = z->ops->warm(z->ops->arg, PROTO_MODULE_FD, &warm, blob.data, serve_on, z, e);
	memfd_unmap(&blob);
	return rc;
}

static const struct message {
	uint32_t type;
	uint32_t length;
	int nfds;
	int (*handle)(struct zygote *z, struct err *e);
} messages[] = {
    {PROTO_RUN, sizeof(struct proto_run), 1, handle_run},
    {PROTO_PARK, sizeof(struct proto_park), 1, handle_park},
    {PROTO_TAKE, sizeof(struct proto_take), 0, handle_take},
    {PROTO_RUN_KILL, 0, 0, handle_run_kill},
    {PROTO_LOAD, 0, 1, handle_load},
    {PROTO_WARM, sizeof(struct proto_warm), 2, handle_warm},
};

static int
receive(struct zygote *z, struct err *e)
{
	const struct imsg *m = &z->in;
	int rc = imsg_recv(z->sock, &z->in, e);

	if (rc != 0)
		return rc;
	rc = err_set(e, ERR_PROTOCOL, "message %u of %u bytes with %d descriptors, which a zygote never gets", m->hdr.type,
	    m->hdr.length, m->nfds);
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (messages[i].type == m->hdr.type && messages[i].length == m->hdr.length && messages[i].nfds == m->nfds)
			rc = messages[i].handle(z, e);
	imsg_close_fds(&z->in);
	return rc;
}

/* --- ends ------------------------------------------------------------------------------------------------------ */

static uint64_t
timeval_us(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

/* Tells brigd how a worker ended and frees its place. */
static int
report(struct zygote *z, struct worker *w, int status, const struct rusage *used, struct err *e)
{
	struct proto_exited exited = {
	    .wait_status = status,
	    .killed = w->killed,
	    .phase = w->shared->phase,
	    .call = w->shared->call,
	    .user_us = timeval_us(&used->ru_utime),
	    .system_us = timeval_us(&used->ru_stime),
	    .wall_us = (monotonic_ns() - w->started_ns) / 1000,
	    .minor_faults = (uint64_t)used->ru_minflt,
	};

	w->pid = 0;
	z->running--;
	z->parked -= w->is_parked;
	return imsg_send(z->sock, PROTO_RUN_EXITED, w->run, &exited, sizeof(exited), NULL, 0, e);
}

/*
 * Takes in what is there already: a parked worker may have had its job, and ended, before its zygote came to read of that.
 * The zygote was told first, so it knows before it reports the end.
 */
static int
catch_up(struct zygote *z, struct err *e)
{
	struct pollfd p = {.fd = z->sock, .events = POLLIN};
	const struct timespec at_once = {0, 0};
	int rc = 0;

	while (rc == 0 && ppoll(&p, 1, &at_once, NULL) > 0)
		rc = receive(z, e);
	return rc;
}

/* Reaps whoever has ended. Asks once more only while somebody is left to ask for. */
static int
reap(struct zygote *z, struct err *e)
{
	int rc = 0;

	while (z->running > 0 && rc == 0) {
		struct rusage used;
		struct worker *w;
		int status;
		pid_t pid = wait4(-1, &status, WNOHANG, &used);

		if (pid == 0)
			break;
		if (pid < 0)
			return err_sys(e, ERR_IO, "waiting for workers");
		w = find_pid(z, pid);
		if (w != NULL && w->is_parked) {
			w->is_gone = true;
			rc = catch_up(z, e); /* may make room, elsewhere */
			w = find_pid(z, pid);
		}
		if (w != NULL && rc == 0)
			rc = report(z, w, status, &used, e);
	}
	return rc;
}

static void
kill_all(struct zygote *z)
{
	for (size_t i = 0; i < z->room; i++)
		if (z->workers[i].pid != 0)
			kill_worker(&z->workers[i], PROTO_KILLED_REQUEST);
	while (wait4(-1, NULL, 0, NULL) > 0 || errno == EINTR)
		continue;
}

/* --- the loop -------------------------------------------------------------------------------------------------- */

/* A worker's time is over: it is told so first if it does not know by itself. */
static void
end_worker(struct worker *w, uint64_t now)
{
	if (w->signals == 0) {
		kill_worker(w, PROTO_KILLED_DEADLINE);
		return;
	}
	w->signals--;
	w->deadline_ns = now + (uint64_t)ZYGOTE_GRACE_MS * NS_PER_MS / WALL_SIGNALS;
	kill(w->pid, PROTO_WALL_SIGNAL);
}

/* Ends whoever is past its deadline; returns the earliest deadline of the others. */
static uint64_t
enforce_deadlines(struct zygote *z, uint64_t now)
{
	uint64_t next = NEVER;

	for (size_t i = 0; i < z->room; i++) {
		struct worker *w = &z->workers[i];

		if (w->pid == 0)
			continue;
		if (w->deadline_ns <= now)
			end_worker(w, now);
		if (w->deadline_ns < next)
			next = w->deadline_ns;
	}
	return next;
}

/* One wait and what follows from it. ERR_EOF when brigd closed. */
static int
turn(struct zygote *z, struct err *e)
{
	struct pollfd p = {.fd = z->sock, .events = POLLIN};
	struct timespec timeout = {0, 0};
	uint64_t next = NEVER, now = 0;
	int n;

	if (z->running > 0) {
		now = monotonic_ns();
		next = enforce_deadlines(z, now);
	}
	if (next != NEVER) {
		timeout.tv_sec = (time_t)((next - now) / (1000 * NS_PER_MS));
		timeout.tv_nsec = (long)((next - now) % (1000 * NS_PER_MS));
	}
	n = ppoll(&p, 1, next != NEVER ? &timeout : NULL, &z->mask); /* SIGCHLD ends it with EINTR */
	if (n < 0 && errno != EINTR)
		return err_sys(e, ERR_IO, "ppoll");
	if (n < 0)
		return reap(z, e);
	return n > 0 ? receive(z, e) : 0;
}

static void
on_child(int sig)
{
	(void)sig; /* it is enough that ppoll returns */
}

int
zygote_serve(const struct zygote_ops *ops, int sock, struct err *e)
{
	struct zygote *z = calloc(1, sizeof(*z));
	struct sigaction on_sigchld = {.sa_handler = on_child, .sa_flags = SA_NOCLDSTOP};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t block;
	int rc = 0;

	if (z == NULL)
		return err_set(e, ERR_NOMEM, "no memory for the zygote's state");
	z->ops = ops;
	z->sock = sock;
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigprocmask(SIG_BLOCK, &block, &z->mask);
	sigdelset(&z->mask, SIGCHLD);
	sigaction(SIGCHLD, &on_sigchld, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	while (rc == 0)
		rc = turn(z, e);
	kill_all(z);
	for (size_t i = 0; i < z->room; i++)
		if (z->workers[i].shared != NULL)
			munmap(z->workers[i].shared, sizeof(*z->workers[i].shared));
	free(z->workers);
	free(z);
	return rc == ERR_EOF ? 0 : rc;
}
