/* tests/unit/attempts_process: attempts on other processes, and to be more than one. Test processes. */

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/attempts.h"

/* --- more processes -------------------------------------------------------------------------------------------- */

/* By clone(2), as plainly as it goes; the child does nothing but end. */
static int
clone_with(unsigned long flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0);

	if (pid == 0)
		syscall(SYS_exit, 0);
	return ended(pid);
}

#define CLONES(name, flags)                           \
	int attempt_##name(const struct attempt_world *w) \
	{                                             \
		(void)w;                              \
		return clone_with(flags);             \
	}

CLONES(fork, 0)
CLONES(clone_user, CLONE_NEWUSER)
CLONES(clone_mount, CLONE_NEWNS)
CLONES(clone_pid, CLONE_NEWPID)
CLONES(clone_net, CLONE_NEWNET)
CLONES(clone_ipc, CLONE_NEWIPC)
CLONES(clone_uts, CLONE_NEWUTS)
CLONES(clone_cgroup, CLONE_NEWCGROUP)
CLONES(clone_all,
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

int
attempt_vfork(const struct attempt_world *w)
{
	(void)w;
	return clone_with(CLONE_VFORK);
}

static int __attribute__((noreturn))
thread_main(void *arg)
{
	(void)arg;
	for (;;)
		pause();
}

int
attempt_thread(const struct attempt_world *w)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	static char stack[16384] __attribute__((aligned(64)));

	(void)w;
	return ended(clone(thread_main, stack + sizeof(stack), flags, NULL));
}

/* By clone3(2): CLONE_NEWTIME is the only flag that clone(2) cannot pass. */
static int
clone3_with(uint64_t flags)
{
	struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		syscall(SYS_exit, 0);
	return ended(pid);
}

int
attempt_clone3(const struct attempt_world *w)
{
	(void)w;
	return clone3_with(0);
}

int
attempt_clone_time(const struct attempt_world *w)
{
	(void)w;
	return clone3_with(CLONE_NEWTIME);
}

int
attempt_unshare_user(const struct attempt_world *w)
{
	(void)w;
	return ended(unshare(CLONE_NEWUSER));
}

int
attempt_unshare_net(const struct attempt_world *w)
{
	(void)w;
	return ended(unshare(CLONE_NEWNET));
}

int
attempt_setns(const struct attempt_world *w)
{
	long fd = syscall(SYS_pidfd_open, w->outsider, 0);

	return fd < 0 ? errno : ended(setns((int)fd, CLONE_NEWNET));
}

int
attempt_execve(const struct attempt_world *w)
{
	static char name[] = "program";
	char *const argv[] = {name, NULL}, *const envp[] = {NULL};

	return ended(execve(w->program, argv, envp));
}

/* Reads what only root may. */
int
attempt_setuid_program(const struct attempt_world *w)
{
	static char name[] = "test", option[] = "-r", file[] = "/etc/shadow";
	char *const argv[] = {name, option, file, NULL}, *const envp[] = {NULL};

	if (syscall(SYS_geteuid) == 0 && access(file, R_OK) == 0)
		return ATTEMPT_UNFIT; /* is root already */
	return ended(execve(w->setuid, argv, envp));
}

/* --- others: the one outside, the one beside ------------------------------------------------------------------- */

static int
trace(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0)
		return errno;
	return got_to(ESRCH, ptrace(PTRACE_DETACH, pid, NULL, NULL)); /* it was not stopped */
}

static int
read_memory(pid_t pid)
{
	uint64_t word = 0;
	struct iovec here = {&word, sizeof(word)}, there = {(void *)(uintptr_t)&attempt_word, sizeof(word)};

	if (process_vm_readv(pid, &here, 1, &there, 1, 0) < 0)
		return errno;
	return word == ATTEMPT_SECRET ? ATTEMPT_THROUGH : ATTEMPT_NOT;
}

static int
write_memory(pid_t pid)
{
	uint64_t word = ATTEMPT_SECRET;
	struct iovec here = {&word, sizeof(word)}, there = {(void *)(uintptr_t)&attempt_word, sizeof(word)};

	return ended(process_vm_writev(pid, &here, 1, &there, 1, 0));
}

static int
steal_descriptor(pid_t pid)
{
	long fd = syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? errno : ended(syscall(SYS_pidfd_getfd, (int)fd, STDERR_FILENO, 0));
}

static int
compare(pid_t pid)
{
	int rc = ended(syscall(SYS_kcmp, getpid(), pid, KCMP_FILES, 0, 0));

	return rc == ENOSYS ? ATTEMPT_UNFIT : rc;
}

static int
signal_process(pid_t pid)
{
	return ended(kill(pid, SIGURG)); /* which is ignored */
}

static int
signal_thread(pid_t pid)
{
	return ended(syscall(SYS_tgkill, pid, pid, SIGURG));
}

static int
limit(pid_t pid)
{
	struct rlimit r;

	return ended(syscall(SYS_prlimit64, pid, RLIMIT_NOFILE, NULL, &r));
}

static int
slow_down(pid_t pid)
{
	return ended(setpriority(PRIO_PROCESS, (id_t)pid, 19));
}

static int
pin(pid_t pid)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) != 0 ? errno : ended(sched_setaffinity(pid, sizeof(set), &set));
}

/* How much CPU time it has used so far, to the nanosecond. */
static int
watch_clock(pid_t pid)
{
	struct timespec t;

	return ended(syscall(SYS_clock_gettime, (clockid_t)((~(unsigned)pid << 3) | 2), &t));
}

#define ON_OTHERS(name, function)                               \
	int attempt_##name##_outside(const struct attempt_world *w) \
	{                                                       \
		return function(w->outsider);                   \
	}                                                       \
	int attempt_##name##_beside(const struct attempt_world *w)  \
	{                                                       \
		return function(w->sibling);                    \
	}

ON_OTHERS(ptrace, trace)
ON_OTHERS(vm_readv, read_memory)
ON_OTHERS(vm_writev, write_memory)
ON_OTHERS(pidfd_getfd, steal_descriptor)
ON_OTHERS(kcmp, compare)
ON_OTHERS(kill, signal_process)
ON_OTHERS(tgkill, signal_thread)
ON_OTHERS(prlimit, limit)
ON_OTHERS(setpriority, slow_down)
ON_OTHERS(affinity, pin)
ON_OTHERS(cpu_clock, watch_clock)

/* The zygote. That it dies is seen by who waits for it; that it stays, here. */
int
attempt_kill_zygote(const struct attempt_world *w)
{
	pid_t parent = getppid();

	(void)w;
	if (kill(parent, SIGKILL) != 0)
		return errno;
	for (int i = 0; i < 100 && getppid() == parent; i++)
		sched_yield();
	return getppid() == parent ? ATTEMPT_NOT : ATTEMPT_THROUGH;
}

/* Nothing is sent: that there is somebody to send to is enough. */
int
attempt_kill_all(const struct attempt_world *w)
{
	(void)w;
	return ended(kill(-1, 0));
}
