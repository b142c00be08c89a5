/* The filters: what they kill, what they allow, and that a bundle is read back as it was written. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox/filter.h"
#include "sandbox/jail.h"
#include "tests/unit/jailed.h"

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static struct filter_set set;
static char *page; /* one readable and writable page */
static size_t page_size;

/* One call, tried under a filter. Arguments are those of syscall(2). */
struct attempt {
	const char *name;
	enum filter_kind kind;
	long call;
	long args[5];
};

/* Loads the filter, makes the call and ends by a call that every filter allows. */
static int
try_call(void *arg, struct err *e)
{
	const struct attempt *a = arg;
	uint32_t layers = 0;

	NEED(dup2(STDERR_FILENO, PROTO_SOCKET_FD) == PROTO_SOCKET_FD);
	NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	NEED((a->kind < FILTER_BUNDLED ? jail_filter(&set.prog[a->kind], &layers, e) : filter_enter(a->kind, e)) == 0);
	syscall(a->call, a->args[0], a->args[1], a->args[2], a->args[3], a->args[4]);
	syscall(SYS_exit_group, 0);
	return 0;
}

static void
each_is_killed(const struct attempt *attempts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct attempt a = attempts[i];
		int status = jailed_fork(try_call, &a);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: status %#x instead of SIGSYS", a.name, status);
	}
}

static void
each_is_allowed(const struct attempt *attempts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct attempt a = attempts[i];
		int status = jailed_fork(try_call, &a);

		if (status != 0)
			fail_msg("%s: status %#x instead of a plain end", a.name, status);
	}
}

static void
a_worker_is_killed_by_whatever_leads_outside(void **state)
{
	const long text = (long)(intptr_t)page;
	const struct attempt attempts[] = {
	    {"openat", FILTER_WORKER, SYS_openat, {AT_FDCWD, text, O_RDONLY}},
	    {"unlinkat", FILTER_WORKER, SYS_unlinkat, {AT_FDCWD, text, 0}},
	    {"newfstatat", FILTER_WORKER, SYS_newfstatat, {AT_FDCWD, text, 0, 0}},
	    {"getdents64", FILTER_WORKER, SYS_getdents64, {3, text, 100}},
	    {"mount", FILTER_WORKER, SYS_mount, {text, text, text, 0, 0}},
	    {"socket", FILTER_WORKER, SYS_socket, {AF_INET, SOCK_STREAM, 0}},
	    {"socketpair", FILTER_WORKER, SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, text}},
	    {"connect", FILTER_WORKER, SYS_connect, {3, text, 16}},
	    {"sendmsg", FILTER_WORKER, SYS_sendmsg, {3, text, 0}},
	    {"recvmsg", FILTER_WORKER, SYS_recvmsg, {3, text, 0}},
	    {"clone", FILTER_WORKER, SYS_clone, {SIGCHLD, 0, 0, 0, 0}},
	    {"clone3", FILTER_WORKER, SYS_clone3, {text, 64}},
	    {"execve", FILTER_WORKER, SYS_execve, {text, 0, 0}},
	    {"execveat", FILTER_WORKER, SYS_execveat, {3, text, 0, 0, AT_EMPTY_PATH}},
	    {"ptrace", FILTER_WORKER, SYS_ptrace, {PTRACE_TRACEME, 0, 0, 0}},
	    {"process_vm_readv", FILTER_WORKER, SYS_process_vm_readv, {1, text, 1, text, 1}},
	    {"kill", FILTER_WORKER, SYS_kill, {getpid(), 0}},
	    {"tgkill", FILTER_WORKER, SYS_tgkill, {getpid(), getpid(), 0}},
	    {"prctl", FILTER_WORKER, SYS_prctl, {PR_GET_DUMPABLE, 0, 0, 0}},
	    {"seccomp", FILTER_WORKER, SYS_seccomp, {1, 0, text}},
	    {"unshare", FILTER_WORKER, SYS_unshare, {CLONE_NEWUSER}},
	    {"setns", FILTER_WORKER, SYS_setns, {3, 0}},
	    {"memfd_create", FILTER_WORKER, SYS_memfd_create, {text, 0}},
	    {"dup3", FILTER_WORKER, SYS_dup3, {3, 4, 0}},
	    {"fcntl", FILTER_WORKER, SYS_fcntl, {3, F_GETFD, 0}},
	    {"ioctl", FILTER_WORKER, SYS_ioctl, {3, 0, 0}},
	    {"setresuid", FILTER_WORKER, SYS_setresuid, {0, 0, 0}},
	    {"capset", FILTER_WORKER, SYS_capset, {text, text}},
	    {"bpf", FILTER_WORKER, SYS_bpf, {0, text, 64}},
	    {"keyctl", FILTER_WORKER, SYS_keyctl, {0, 0, 0}},
	    {"perf_event_open", FILTER_WORKER, SYS_perf_event_open, {text, 0, -1, -1, 0}},
	    {"io_uring_setup", FILTER_WORKER, SYS_io_uring_setup, {1, text}},
	    {"userfaultfd", FILTER_WORKER, SYS_userfaultfd, {0}},
	    {"timer_create", FILTER_WORKER, SYS_timer_create, {0, 0, text}},
	    {"prlimit64", FILTER_WORKER, SYS_prlimit64, {0, 0, 0, text}},
	    {"reboot", FILTER_WORKER, SYS_reboot, {0, 0, 0, 0}},
	    {"init_module", FILTER_WORKER, SYS_init_module, {text, 1, text}},
	    {"getpid", FILTER_WORKER, SYS_getpid, {0}},
	};

	(void)state;
	each_is_killed(attempts, ARRAY_LENGTH(attempts));
}

static void
a_worker_is_killed_by_wrong_arguments(void **state)
{
	const long text = (long)(intptr_t)page, size = (long)page_size;
	const struct attempt attempts[] = {
	    {"read of 0", FILTER_WORKER, SYS_read, {0, text, 1}},
	    {"read of 4", FILTER_WORKER, SYS_read, {4, text, 1}},
	    {"write to 1", FILTER_WORKER, SYS_write, {1, text, 0}},
	    {"write to 2", FILTER_WORKER, SYS_write, {2, text, 0}},
	    {"mmap r-x", FILTER_WORKER, SYS_mmap, {0, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1}},
	    {"mmap rwx", FILTER_WORKER, SYS_mmap,
		{0, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1}},
	    {"mmap shared", FILTER_WORKER, SYS_mmap, {0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1}},
	    {"mmap of a stack", FILTER_WORKER, SYS_mmap,
		{0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1}},
	    {"mmap of huge pages", FILTER_WORKER, SYS_mmap,
		{0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1}},
	    {"madvise of merging", FILTER_WORKER, SYS_madvise, {text, size, MADV_MERGEABLE}},
	    {"the CPU clock of process 1", FILTER_WORKER, SYS_clock_gettime, {(long)(~1u << 3 | 2), text}},
	    {"mprotect --x", FILTER_WORKER, SYS_mprotect, {text, size, PROT_EXEC}},
	    {"mprotect r-x", FILTER_WORKER, SYS_mprotect, {text, size, PROT_READ | PROT_EXEC}},
	    {"mprotect r--", FILTER_WORKER, SYS_mprotect, {text, size, PROT_READ}},
	    {"mprotect ---", FILTER_WORKER, SYS_mprotect, {text, size, PROT_NONE}},
	};

	(void)state;
	each_is_killed(attempts, ARRAY_LENGTH(attempts));
}

static void
a_worker_may_do_what_a_guest_needs(void **state)
{
	const long text = (long)(intptr_t)page, size = (long)page_size;
	const struct attempt attempts[] = {
	    {"write to 3", FILTER_WORKER, SYS_write, {3, text, 0}},
	    {"read of 3", FILTER_WORKER, SYS_read, {3, text, 0}},
	    {"mmap rw-", FILTER_WORKER, SYS_mmap, {0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1}},
	    {"mprotect rw-", FILTER_WORKER, SYS_mprotect, {text, size, PROT_READ | PROT_WRITE}},
	    {"mmap rw-, fixed", FILTER_WORKER, SYS_mmap,
		{text, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1}},
	    {"madvise", FILTER_WORKER, SYS_madvise, {text, size, MADV_DONTNEED}},
	    {"munmap", FILTER_WORKER, SYS_munmap, {text, size}},
	    {"brk", FILTER_WORKER, SYS_brk, {0}},
	    {"clock_gettime", FILTER_WORKER, SYS_clock_gettime, {CLOCK_MONOTONIC, text}},
	    {"clock_gettime of itself", FILTER_WORKER, SYS_clock_gettime, {CLOCK_PROCESS_CPUTIME_ID, text}},
	    {"getrandom", FILTER_WORKER, SYS_getrandom, {text, 8, 0}},
	    {"ppoll", FILTER_WORKER, SYS_ppoll, {0, 0, text, 0, 8}},
	    {"sigaltstack", FILTER_WORKER, SYS_sigaltstack, {0, 0}},
	};

	(void)state;
	each_is_allowed(attempts, ARRAY_LENGTH(attempts));
}

static void
a_zygote_is_killed_by_whatever_leads_outside(void **state)
{
	const long text = (long)(intptr_t)page, size = (long)page_size;
	const struct attempt attempts[] = {
	    {"openat", FILTER_ZYGOTE, SYS_openat, {AT_FDCWD, text, O_RDONLY}},
	    {"socket", FILTER_ZYGOTE, SYS_socket, {AF_INET, SOCK_STREAM, 0}},
	    {"execve", FILTER_ZYGOTE, SYS_execve, {text, 0, 0}},
	    {"a thread", FILTER_ZYGOTE, SYS_clone, {CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0}},
	    {"a namespace", FILTER_ZYGOTE, SYS_clone, {CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0}},
	    {"clone3", FILTER_ZYGOTE, SYS_clone3, {text, 64}},
	    {"kill of all", FILTER_ZYGOTE, SYS_kill, {-1, SIGKILL}},
	    {"another signal", FILTER_ZYGOTE, SYS_kill, {getpid(), SIGUSR2}},
	    {"mmap rwx", FILTER_ZYGOTE, SYS_mmap,
		{0, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1}},
	    {"dumpable", FILTER_ZYGOTE, SYS_prctl, {PR_SET_DUMPABLE, 1, 0, 0, 0}},
	    {"ptrace", FILTER_ZYGOTE, SYS_ptrace, {PTRACE_TRACEME, 0, 0, 0}},
	    {"memfd_create", FILTER_ZYGOTE, SYS_memfd_create, {text, 0}},
	    {"unshare", FILTER_ZYGOTE, SYS_unshare, {CLONE_NEWNS}},
	    {"another's CPU clock", FILTER_ZYGOTE, SYS_clock_gettime, {(long)(~1u << 3 | 2), text}},
	    {"another's limits", FILTER_ZYGOTE, SYS_prlimit64, {1, 0, 0, text}},
	};

	(void)state;
	each_is_killed(attempts, ARRAY_LENGTH(attempts));
}

static void
a_compiler_is_killed_by_whatever_leads_outside(void **state)
{
	const long text = (long)(intptr_t)page, size = (long)page_size;
	const struct attempt attempts[] = {
	    {"compiler openat", FILTER_COMPILER, SYS_openat, {AT_FDCWD, text, O_RDONLY}},
	    {"compiler socket", FILTER_COMPILER, SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
	    {"compiler fork", FILTER_COMPILER, SYS_clone, {SIGCHLD, 0, 0, 0, 0}},
	    {"compiler execve", FILTER_COMPILER, SYS_execve, {text, 0, 0}},
	    {"compiler code", FILTER_COMPILER, SYS_mprotect, {text, size, PROT_READ | PROT_EXEC}},
	};

	(void)state;
	each_is_killed(attempts, ARRAY_LENGTH(attempts));
}

static void
a_store_is_killed_by_whatever_is_not_a_file(void **state)
{
	const long text = (long)(intptr_t)page, size = (long)page_size;
	const struct attempt attempts[] = {
	    {"socket", FILTER_STORE, SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
	    {"fork", FILTER_STORE, SYS_clone, {SIGCHLD, 0, 0, 0, 0}},
	    {"execve", FILTER_STORE, SYS_execve, {text, 0, 0}},
	    {"ptrace", FILTER_STORE, SYS_ptrace, {PTRACE_TRACEME, 0, 0, 0}},
	    {"mount", FILTER_STORE, SYS_mount, {text, text, text, 0, 0}},
	    {"kill", FILTER_STORE, SYS_kill, {1, SIGKILL}},
	    {"fchmodat", FILTER_STORE, SYS_fchmodat, {AT_FDCWD, text, 0777}},
	    {"fchownat", FILTER_STORE, SYS_fchownat, {AT_FDCWD, text, 0, 0, 0}},
	    {"linkat", FILTER_STORE, SYS_linkat, {AT_FDCWD, text, AT_FDCWD, text, 0}},
	    {"symlinkat", FILTER_STORE, SYS_symlinkat, {text, AT_FDCWD, text}},
	    {"mknodat", FILTER_STORE, SYS_mknodat, {AT_FDCWD, text, 0, 0}},
	    {"code", FILTER_STORE, SYS_mprotect, {text, size, PROT_READ | PROT_EXEC}},
	};

	(void)state;
	each_is_killed(attempts, ARRAY_LENGTH(attempts));
}

static void
a_logger_is_killed_by_whatever_could_change_what_is_written(void **state)
{
	const long text = (long)(intptr_t)page, size = (long)page_size;
	const struct attempt attempts[] = {
	    {"openat", FILTER_LOGGER, SYS_openat, {AT_FDCWD, text, O_RDONLY}},
	    {"unlinkat", FILTER_LOGGER, SYS_unlinkat, {AT_FDCWD, text, 0}},
	    {"renameat2", FILTER_LOGGER, SYS_renameat2, {AT_FDCWD, text, AT_FDCWD, text, 0}},
	    {"ftruncate", FILTER_LOGGER, SYS_ftruncate, {3, 0}},
	    {"fallocate", FILTER_LOGGER, SYS_fallocate, {3, 0, 0, 1}},
	    {"pwrite64", FILTER_LOGGER, SYS_pwrite64, {3, text, 1, 0}},
	    {"fchmod", FILTER_LOGGER, SYS_fchmod, {3, 0777}},
	    {"socket", FILTER_LOGGER, SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
	    {"fork", FILTER_LOGGER, SYS_clone, {SIGCHLD, 0, 0, 0, 0}},
	    {"execve", FILTER_LOGGER, SYS_execve, {text, 0, 0}},
	    {"code", FILTER_LOGGER, SYS_mprotect, {text, size, PROT_READ | PROT_EXEC}},
	};

	(void)state;
	each_is_killed(attempts, ARRAY_LENGTH(attempts));
}

static void
brig_files_is_killed_by_whatever_is_not_reading(void **state)
{
	const long text = (long)(intptr_t)page, size = (long)page_size;
	const struct attempt attempts[] = {
	    {"openat", FILTER_FILES, SYS_openat, {AT_FDCWD, text, O_RDONLY}},
	    {"state by a path", FILTER_FILES, SYS_newfstatat, {AT_FDCWD, text, text, 0}},
	    {"statx by a path", FILTER_FILES, SYS_statx, {AT_FDCWD, text, 0, 0, text}},
	    {"write", FILTER_FILES, SYS_write, {3, text, 1}},
	    {"pwrite64", FILTER_FILES, SYS_pwrite64, {3, text, 1, 0}},
	    {"sendmsg elsewhere", FILTER_FILES, SYS_sendmsg, {4, text, 0}},
	    {"recvmsg elsewhere", FILTER_FILES, SYS_recvmsg, {4, text, 0}},
	    {"unlinkat", FILTER_FILES, SYS_unlinkat, {AT_FDCWD, text, 0}},
	    {"renameat2", FILTER_FILES, SYS_renameat2, {AT_FDCWD, text, AT_FDCWD, text, 0}},
	    {"linkat", FILTER_FILES, SYS_linkat, {AT_FDCWD, text, AT_FDCWD, text, 0}},
	    {"ftruncate", FILTER_FILES, SYS_ftruncate, {3, 0}},
	    {"fchmod", FILTER_FILES, SYS_fchmod, {3, 0777}},
	    {"utimensat", FILTER_FILES, SYS_utimensat, {3, 0, 0, 0}},
	    {"ioctl", FILTER_FILES, SYS_ioctl, {3, 0, 0}},
	    {"a file's handle", FILTER_FILES, SYS_open_by_handle_at, {3, text, O_RDONLY}},
	    {"socket", FILTER_FILES, SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
	    {"kill", FILTER_FILES, SYS_kill, {getpid(), 0}},
	    {"fork", FILTER_FILES, SYS_clone, {SIGCHLD, 0, 0, 0, 0}},
	    {"execve", FILTER_FILES, SYS_execve, {text, 0, 0}},
	    {"shared memory", FILTER_FILES, SYS_mmap, {0, size, PROT_READ, MAP_SHARED, 3}},
	    {"code", FILTER_FILES, SYS_mprotect, {text, size, PROT_READ | PROT_EXEC}},
	};

	(void)state;
	each_is_killed(attempts, ARRAY_LENGTH(attempts));
}

static void
a_launcher_is_killed_by_what_neither_it_nor_its_children_need(void **state)
{
	const long text = (long)(intptr_t)page;
	const struct attempt attempts[] = {
	    {"socket", FILTER_LAUNCHER, SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
	    {"connect", FILTER_LAUNCHER, SYS_connect, {3, text, 16}},
	    {"sendto an address", FILTER_LAUNCHER, SYS_sendto, {3, text, 1, 0, text}},
	    {"a thread", FILTER_LAUNCHER, SYS_clone, {CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0}},
	    {"one namespace", FILTER_LAUNCHER, SYS_clone, {CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0}},
	    {"clone3", FILTER_LAUNCHER, SYS_clone3, {text, 64}},
	    {"unshare", FILTER_LAUNCHER, SYS_unshare, {CLONE_NEWNS}},
	    {"setns", FILTER_LAUNCHER, SYS_setns, {3, 0}},
	    {"execve", FILTER_LAUNCHER, SYS_execve, {text, 0, 0}},
	    {"execveat of a path", FILTER_LAUNCHER, SYS_execveat, {AT_FDCWD, text, 0, 0, 0}},
	    {"a mount with files", FILTER_LAUNCHER, SYS_mount, {text, text, text, MS_BIND, 0}},
	    {"an unmount", FILTER_LAUNCHER, SYS_umount2, {text, 0}},
	    {"removing a file", FILTER_LAUNCHER, SYS_unlinkat, {AT_FDCWD, text, 0}},
	    {"kill of all", FILTER_LAUNCHER, SYS_kill, {-1, SIGKILL}},
	    {"another signal", FILTER_LAUNCHER, SYS_kill, {getpid(), SIGSTOP}},
	    {"ptrace", FILTER_LAUNCHER, SYS_ptrace, {PTRACE_TRACEME, 0, 0, 0}},
	    {"process_vm_writev", FILTER_LAUNCHER, SYS_process_vm_writev, {1, text, 1, text, 1}},
	    {"pidfd_open", FILTER_LAUNCHER, SYS_pidfd_open, {1, 0}},
	    {"keeping capabilities", FILTER_LAUNCHER, SYS_prctl, {PR_SET_KEEPCAPS, 1, 0, 0, 0}},
	    {"raising a capability", FILTER_LAUNCHER, SYS_prctl, {PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0}},
	    {"bpf", FILTER_LAUNCHER, SYS_bpf, {0, text, 64}},
	    {"keyctl", FILTER_LAUNCHER, SYS_keyctl, {0, 0, 0}},
	    {"perf_event_open", FILTER_LAUNCHER, SYS_perf_event_open, {text, 0, -1, -1, 0}},
	    {"io_uring_setup", FILTER_LAUNCHER, SYS_io_uring_setup, {1, text}},
	    {"init_module", FILTER_LAUNCHER, SYS_init_module, {text, 1, text}},
	    {"memfd_create", FILTER_LAUNCHER, SYS_memfd_create, {text, 0}},
	    {"chmod", FILTER_LAUNCHER, SYS_fchmodat, {AT_FDCWD, text, 0777}},
	    {"chroot", FILTER_LAUNCHER, SYS_chroot, {text}},
	};

	(void)state;
	each_is_killed(attempts, ARRAY_LENGTH(attempts));
}

static void *
wait_and_open(void *arg)
{
	char byte;

	if (read(*(int *)arg, &byte, 1) == 1)
		syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY);
	return NULL;
}

static int
enter_beside_a_thread(void *arg, struct err *e)
{
	pthread_t thread;
	int pipe_fds[2];

	(void)arg;
	NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && pipe(pipe_fds) == 0);
	NEED(pthread_create(&thread, NULL, wait_and_open, &pipe_fds[0]) == 0);
	NEED(filter_enter(FILTER_LOGGER, e) == 0);
	NEED(write(pipe_fds[1], "", 1) == 1);
	NEED(pthread_join(thread, NULL) == 0);
	return 0;
}

static void
all_threads_are_under_a_filter_that_is_entered(void **state)
{
	int status = jailed_fork(enter_beside_a_thread, NULL);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

#ifdef __x86_64__
static int
call_by_foreign_abi(void *arg, struct err *e)
{
	uint32_t layers = 0;
	long result;

	(void)arg;
	NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	NEED(jail_filter(&set.prog[FILTER_WORKER], &layers, e) == 0);
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20), "b"(0) : "memory"); /* getpid of 32-bit x86 */
	syscall(SYS_exit_group, 0);
	return 0;
}
#endif

static void
a_foreign_architecture_is_killed(void **state)
{
	(void)state;
#ifdef __x86_64__
	int status = jailed_fork(call_by_foreign_abi, NULL);

	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
		skip(); /* a kernel without 32-bit calls */
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
#else
	skip();
#endif
}

/* A worker runs under its zygote's filter too, so nothing may be in its table alone. */
static void
the_zygote_allows_every_call_of_its_worker(void **state)
{
	struct filter_row w, z;

	(void)state;
	for (size_t i = 0; filter_row(i, &w) == 0; i++) {
		bool found = false;

		if ((w.kinds & (1u << FILTER_WORKER)) == 0)
			continue;
		for (size_t j = 0; filter_row(j, &z) == 0; j++)
			found |= (z.kinds & (1u << FILTER_ZYGOTE)) != 0 && strcmp(z.name, w.name) == 0;
		if (!found)
			fail_msg("%s is only the worker's", w.name);
	}
}

/* --- the bundle ------------------------------------------------------------------------------------------------ */

static void
a_bundle_is_read_back_as_it_was_built(void **state)
{
	struct err e;

	(void)state;
	for (int i = 0; i < FILTER_BUNDLED; i++) {
		struct sock_filter *insns;
		struct digest a, b;
		size_t count;

		assert_int_equal(filter_build((enum filter_kind)i, &insns, &count, &e), 0);
		assert_int_equal(count, set.prog[i].len);
		assert_memory_equal(insns, set.prog[i].filter, count * sizeof(*insns));
		a = filter_digest(&set.prog[i]);
		b = filter_digest(&(struct sock_fprog){.len = (unsigned short)count, .filter = insns});
		assert_true(digest_equal(&a, &b));
		free(insns);
	}
}

/* Loads a bundle made of h and `length` bytes in all. */
static int
load_made(const struct filter_header *h, size_t length)
{
	static uint8_t bytes[sizeof(*h) + 64];
	struct filter_set loaded;
	struct err e;
	int fd, rc;

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, h, sizeof(*h));
	fd = memfd_from("made", bytes, length, &e);
	assert_true(fd >= 0);
	rc = filter_load(fd, &loaded, &e);
	close(fd);
	if (rc == 0)
		filter_unload(&loaded);
	return rc;
}

static void
refuses_a_bundle_whose_header_lies(void **state)
{
	const struct filter_header good = {FILTER_MAGIC, FILTER_BUNDLED, {1, 2, 4}};
	const size_t size = sizeof(good) + 7 * sizeof(struct sock_filter);
	struct filter_header h = good;

	(void)state;
	assert_int_equal(load_made(&good, size), 0);
	assert_int_equal(load_made(&good, size - 1), ERR_INVAL);
	assert_int_equal(load_made(&good, size + 1), ERR_INVAL);
	assert_int_equal(load_made(&good, sizeof(good) - 1), ERR_INVAL);
	assert_int_equal(load_made(&good, 0), ERR_INVAL);
	h.magic ^= 1;
	assert_int_equal(load_made(&h, size), ERR_INVAL);
	h = good;
	h.kinds = FILTER_KINDS;
	assert_int_equal(load_made(&h, size), ERR_INVAL);
	h = good;
	h.counts[1] = 0;
	assert_int_equal(load_made(&h, size - 2 * sizeof(struct sock_filter)), ERR_INVAL);
	h = good;
	h.counts[0] = UINT32_MAX;
	assert_int_equal(load_made(&h, size), ERR_INVAL);
}

static void
refuses_a_bundle_that_could_change(void **state)
{
	struct filter_set loaded;
	struct err e;
	int fd = memfd_new("unsealed", &e);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(filter_load(fd, &loaded, &e), ERR_INVAL);
	close(fd);
}

static int
set_up(void **state)
{
	struct err e;
	int fd = filter_bundle(&e);

	(void)state;
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	page = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fd < 0 || page == MAP_FAILED || filter_load(fd, &set, &e) != 0)
		return -1;
	return close(fd);
}

static int
tear_down(void **state)
{
	(void)state;
	filter_unload(&set);
	return munmap(page, page_size);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_worker_is_killed_by_whatever_leads_outside),
	    cmocka_unit_test(a_worker_is_killed_by_wrong_arguments),
	    cmocka_unit_test(a_worker_may_do_what_a_guest_needs),
	    cmocka_unit_test(a_zygote_is_killed_by_whatever_leads_outside),
	    cmocka_unit_test(a_compiler_is_killed_by_whatever_leads_outside),
	    cmocka_unit_test(a_store_is_killed_by_whatever_is_not_a_file),
	    cmocka_unit_test(a_logger_is_killed_by_whatever_could_change_what_is_written),
	    cmocka_unit_test(brig_files_is_killed_by_whatever_is_not_reading),
	    cmocka_unit_test(a_launcher_is_killed_by_what_neither_it_nor_its_children_need),
	    cmocka_unit_test(all_threads_are_under_a_filter_that_is_entered),
	    cmocka_unit_test(a_foreign_architecture_is_killed),
	    cmocka_unit_test(the_zygote_allows_every_call_of_its_worker),
	    cmocka_unit_test(a_bundle_is_read_back_as_it_was_built),
	    cmocka_unit_test(refuses_a_bundle_whose_header_lies),
	    cmocka_unit_test(refuses_a_bundle_that_could_change),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
