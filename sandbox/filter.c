/* sandbox/filter: seccomp filters, built once from a table. Launcher, store, logger, brig-files, doctor (needs libseccomp). */

#include "sandbox/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memfd.h"
#include "base/proto.h"
#include "sandbox/spawn.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* --- conditions on arguments ----------------------------------------------------------------------------------- */

#define CONDITION_ARGS_MAX 2

/* All comparisons must hold. No comparison: any arguments. */
struct condition {
	const char *text; /* for people; NULL for any */
	unsigned count;
	struct scmp_arg_cmp args[CONDITION_ARGS_MAX];
};

#define EQUAL(arg, value)        {(arg), SCMP_CMP_EQ, (value), 0}
#define MASKED(arg, mask, value) {(arg), SCMP_CMP_MASKED_EQ, (mask), (value)}

/* What a C library's fork() passes to clone(2): nothing that shares memory or makes a namespace. */
#ifdef __s390__
#define CLONE_FLAGS_ARG 1
#else
#define CLONE_FLAGS_ARG 0
#endif
#define FORK_MAY (~(scmp_datum_t)(CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID))

/* Set in a clock id, it makes that the CPU clock of a process or thread, by its number. */
#define CLOCK_OF_OTHERS 0x80000000u

/* Set in a process id, it makes kill(2) mean a group. */
#define PID_NEGATIVE 0x80000000u

static const struct condition any = {NULL, 0, {{0}}};
static const struct condition job_socket = {"fd 3", 1, {EQUAL(0, PROTO_SOCKET_FD)}};
static const struct condition dir_sockets = {
    "fd 8 to 15", 1, {MASKED(0, ~(scmp_datum_t)(PROTO_DIRS_MAX - 1), PROTO_DIRS_FD)}};
_Static_assert((PROTO_DIRS_MAX & (PROTO_DIRS_MAX - 1)) == 0 && PROTO_DIRS_FD % PROTO_DIRS_MAX == 0, "one mask has them all");
static const struct condition no_exec = {"no PROT_EXEC", 1, {MASKED(2, PROT_EXEC, 0)}};

/* Private memory: RLIMIT_DATA counts neither what is shared nor what grows down, and huge pages are the machine's. */
#define MMAP_MAY (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_NORESERVE | MAP_STACK)
static const struct condition private_no_exec = {
    "no PROT_EXEC; private", 2, {MASKED(2, PROT_EXEC, 0), MASKED(3, ~(scmp_datum_t)MMAP_MAY | MAP_TYPE, MAP_PRIVATE)}};

/* Nor does it count what was written and can only be read from then on. */
static const struct condition readable_writable = {
    "PROT_READ and PROT_WRITE", 1, {EQUAL(2, PROT_READ | PROT_WRITE)}};

/* Not MADV_MERGEABLE, which would show by the time of a write what other processes have in memory. */
static const struct condition give_back = {"MADV_DONTNEED", 1, {EQUAL(2, MADV_DONTNEED)}};
static const struct condition give_back_later = {"MADV_FREE", 1, {EQUAL(2, MADV_FREE)}};
static const struct condition own_clock = {"no clock of another process", 1, {MASKED(0, CLOCK_OF_OTHERS, 0)}};
static const struct condition not_write_exec = {
    "not PROT_WRITE and PROT_EXEC", 1, {MASKED(2, PROT_WRITE | PROT_EXEC, PROT_EXEC)}};
static const struct condition fork_only = {"the flags of fork()", 1, {MASKED(CLONE_FLAGS_ARG, FORK_MAY, SIGCHLD)}};
static const struct condition all_namespaces = {"all namespaces", 1,
    {MASKED(CLONE_FLAGS_ARG, FORK_MAY & ~(scmp_datum_t)CLONE_NEWCGROUP, (SPAWN_NAMESPACES & ~CLONE_NEWCGROUP) | SIGCHLD)}};
static const struct condition mount_private = {"MS_PRIVATE", 1, {EQUAL(3, MS_REC | MS_PRIVATE)}};
static const struct condition mount_empty = {"no files", 1, {EQUAL(3, MS_NOSUID | MS_NODEV | MS_NOEXEC)}};
static const struct condition mount_read_only = {
    "read-only", 1, {EQUAL(3, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)}};
static const struct condition detach = {"MNT_DETACH", 1, {EQUAL(1, MNT_DETACH)}};
static const struct condition of_descriptor = {"of an open file", 1, {EQUAL(4, AT_EMPTY_PATH)}};
static const struct condition state_of_descriptor = {"of an open file", 1, {EQUAL(3, AT_EMPTY_PATH)}};
static const struct condition statx_of_descriptor = {
    "of an open file", 1, {MASKED(2, AT_EMPTY_PATH, AT_EMPTY_PATH)}};
static const struct condition local_socket = {"AF_UNIX", 1, {EQUAL(0, AF_UNIX)}};
static const struct condition no_address = {"no address", 1, {EQUAL(4, 0)}};
static const struct condition directory_only = {"AT_REMOVEDIR", 1, {EQUAL(2, AT_REMOVEDIR)}};
static const struct condition prctl_dumpable = {"PR_SET_DUMPABLE", 1, {EQUAL(0, PR_SET_DUMPABLE)}};
static const struct condition prctl_no_new_privs = {"PR_SET_NO_NEW_PRIVS", 1, {EQUAL(0, PR_SET_NO_NEW_PRIVS)}};
static const struct condition prctl_bounding_get = {"PR_CAPBSET_READ", 1, {EQUAL(0, PR_CAPBSET_READ)}};
static const struct condition prctl_bounding = {"PR_CAPBSET_DROP", 1, {EQUAL(0, PR_CAPBSET_DROP)}};
static const struct condition prctl_ambient = {"clear", 2, {EQUAL(0, PR_CAP_AMBIENT), EQUAL(1, PR_CAP_AMBIENT_CLEAR_ALL)}};
static const struct condition prctl_securebits = {"PR_SET_SECUREBITS", 1, {EQUAL(0, PR_SET_SECUREBITS)}};
static const struct condition prctl_speculation_get = {"get", 1, {EQUAL(0, PR_GET_SPECULATION_CTRL)}};
static const struct condition prctl_speculation = {"PR_SET_SPECULATION_CTRL", 1, {EQUAL(0, PR_SET_SPECULATION_CTRL)}};
static const struct condition prctl_mdwe_get = {"PR_GET_MDWE", 1, {EQUAL(0, PR_GET_MDWE)}};
static const struct condition kill_only = {
    "SIGKILL, no group by number", 2, {EQUAL(1, SIGKILL), MASKED(0, PID_NEGATIVE, 0)}};
static const struct condition ask_only = {
    "SIGUSR1, no group by number", 2, {EQUAL(1, PROTO_END_SIGNAL), MASKED(0, PID_NEGATIVE, 0)}};
static const struct condition wall_only = {
    "SIGALRM, no group by number", 2, {EQUAL(1, PROTO_WALL_SIGNAL), MASKED(0, PID_NEGATIVE, 0)}};
static const struct condition abort_only = {"SIGABRT", 1, {EQUAL(2, SIGABRT)}};
static const struct condition own_priority = {"its own", 2, {EQUAL(0, PRIO_PROCESS), EQUAL(1, 0)}};
static const struct condition own_process = {"itself", 1, {EQUAL(0, 0)}};
static const struct condition of_itself = {"of itself", 1, {EQUAL(0, RUSAGE_SELF)}};
static const struct condition set_filter = {"a filter on top", 2, {EQUAL(0, 1), EQUAL(1, 0)}};
static const struct condition prctl_mdwe = {"PR_SET_MDWE", 1, {EQUAL(0, PR_SET_MDWE)}};
static const struct condition prctl_pdeathsig = {"PR_SET_PDEATHSIG", 1, {EQUAL(0, PR_SET_PDEATHSIG)}};
static const struct condition prctl_vma = {"PR_SET_VMA", 1, {EQUAL(0, PR_SET_VMA)}};
static const struct condition get_seals = {"F_GET_SEALS", 1, {EQUAL(1, F_GET_SEALS)}};
static const struct condition add_seals = {"F_ADD_SEALS", 1, {EQUAL(1, F_ADD_SEALS)}};
static const struct condition set_fd = {"F_SETFD", 1, {EQUAL(1, F_SETFD)}};
static const struct condition dup_fd = {"F_DUPFD_CLOEXEC", 1, {EQUAL(1, F_DUPFD_CLOEXEC)}};
static const struct condition get_fd = {"F_GETFD", 1, {EQUAL(1, F_GETFD)}};
static const struct condition get_fl = {"F_GETFL", 1, {EQUAL(1, F_GETFL)}};
static const struct condition set_fl = {"F_SETFL", 1, {EQUAL(1, F_SETFL)}};
static const struct condition socket_type = {"SO_TYPE", 2, {EQUAL(1, SOL_SOCKET), EQUAL(2, SO_TYPE)}};
static const struct condition futex_private = {"private", 1, {MASKED(1, 128, 128)}};

/* --- the table ------------------------------------------------------------------------------------------------- */

/* Who has a row. The worker's rows must all be the zygote's too: a worker runs under both filters. */
#define Z (1u << FILTER_ZYGOTE)
#define W (1u << FILTER_WORKER)
#define C (1u << FILTER_COMPILER)
#define S (1u << FILTER_STORE)
#define G (1u << FILTER_LOGGER)
#define F (1u << FILTER_FILES)
#define L (1u << FILTER_LAUNCHER) /* has the zygote's and the compiler's rows too */

struct row {
	int call; /* libseccomp's number; negative when this architecture has no such call, which is fine */
	const char *name;
	unsigned kinds;
	const struct condition *condition;
	const char *why;
};

#define ROW(call, kinds, condition, why) {SCMP_SYS(call), #call, kinds, &(condition), why}

static const struct row rows[] = {
    /* What guest code runs under. */
    ROW(read, W, job_socket, "input of the guest"),
    ROW(write, W, job_socket, "output, denials and the result"),
    ROW(read, W, dir_sockets, "directories of the host: what is answered"),
    ROW(write, W, dir_sockets, "directories of the host: what is asked"),
    ROW(ppoll, Z | W | C | S | G | F, any, "poll_oneoff; the wait for messages"),
    ROW(ppoll_time64, Z | W | C | S | G | F, any, "the same on 32-bit machines"),
    ROW(mmap, W | F, private_no_exec, "memory"),
    ROW(mmap2, W | F, private_no_exec, "the same on 32-bit machines"),
    ROW(mprotect, W, readable_writable, "growing a linear memory"),
    ROW(munmap, Z | W | C | S | G | F, any, "memory"),
    ROW(mremap, Z | W | C | S | G | F, any, "realloc"),
    ROW(brk, Z | W | C | S | G | F, any, "malloc"),
    ROW(madvise, W | F, give_back, "giving memory back"),
    ROW(madvise, W | F, give_back_later, "the same of other C libraries"),
    ROW(sigaltstack, Z | W | C | S | G, any, "the engine's stack for signals, per thread"),
    ROW(rt_sigreturn, Z | W | C | S | G | F, any, "the way back from a trap or a timer"),
    ROW(exit_group, Z | W | C | S | G | F, any, "the end"),
    ROW(clock_gettime, Z | W | C | S | G | F, own_clock, "clocks, where the vDSO has to ask"),
    ROW(clock_gettime64, Z | W | C | S | G | F, own_clock, "the same on 32-bit machines"),
    ROW(getrandom, Z | W | C | S | G | F, any, "random_get"),

    /* A zygote, and its child until it locks; the compiler; store and logger. */
    ROW(read, Z | C | S | G, any, "descriptors that it was given"),
    ROW(write, Z | C | S | G, any, "descriptors that it was given"),
    ROW(mmap, Z | C | S | G, no_exec, "memory, also shared with workers; memory files"),
    ROW(mmap2, Z | C | S | G, no_exec, "the same on 32-bit machines"),
    ROW(mprotect, Z | C | S | G | F, no_exec, "memory, guard pages"),
    ROW(madvise, Z | C | S | G, any, "giving memory back; what a worker gets"),
    ROW(recvmsg, Z | C | S | G, any, "messages, with descriptors"),
    ROW(sendmsg, Z | C | S | G, any, "messages"),
    ROW(poll, Z | C | S | G | F, any, "the wait for messages"),
    ROW(close, Z | C | S | G | F, any, "descriptors"),
    ROW(fstat, Z | C | S | G | F, any, "the size of a memory file"),
    ROW(newfstatat, Z | C, any, "fstat of newer C libraries; there is no path to follow"),
    ROW(statx, Z | C, any, "the same of other libraries"),
    ROW(lseek, Z | C | S, any, "the size of a memory file"),
    ROW(fcntl, Z | C | S, get_seals, "whether a memory file is sealed"),
    ROW(fcntl, Z | C | S | G, get_fd, "descriptor flags"),
    ROW(fcntl, Z | C | S | G, get_fl, "descriptor flags"),
    ROW(fcntl64, Z | C | S, get_seals, "the same on 32-bit machines"),
    ROW(fcntl64, Z | C | S | G, get_fd, "the same on 32-bit machines"),
    ROW(fcntl64, Z | C | S | G, get_fl, "the same on 32-bit machines"),
    ROW(futex, Z | C | S | G, futex_private, "locks of one process"),
    ROW(futex_time64, Z | C | S | G, futex_private, "the same on 32-bit machines"),
    ROW(sched_yield, Z | C | S | G, any, "locks"),
    ROW(sched_getaffinity, Z | C, any, "the number of processors, which libraries ask for"),
    ROW(rt_sigaction, Z | C | S | G, any, "signal handlers"),
    ROW(rt_sigprocmask, Z | C | S | G, any, "signal masks"),
    ROW(getpid, Z | C | S | G, any, "abort"),
    ROW(gettid, Z | C | S | G, any, "abort"),
    ROW(tgkill, Z | C | S | G, abort_only, "abort"),
    ROW(restart_syscall, Z | C | S | G | F, any, "a wait that a stop and continue interrupted"),
    ROW(exit, Z | C | S | G, any, "the end of a thread"),

    /* The zygote: workers are made, watched and ended. */
    ROW(clone, Z, fork_only, "a worker per run"),
    ROW(fork, Z, any, "the same of other C libraries"),
    ROW(wait4, Z, any, "how a worker ended and what it used"),
    ROW(kill, Z, kill_only, "a worker past its deadline, or cancelled"),
    ROW(kill, Z, ask_only, "asking a worker to end, before that"),
    ROW(kill, Z, wall_only, "telling a worker that was parked that its time is over"),
    ROW(set_robust_list, Z, any, "fork, in the child"),
    ROW(rseq, Z, any, "fork, in the child"),

    /* Its child, before it locks: jail_worker, loading the artifact, timers, the worker's own filter. */
    ROW(dup3, Z, any, "the job socket becomes descriptor 3"),
    ROW(close_range, Z, any, "every other descriptor goes"),
    ROW(prlimit64, Z, own_process, "resource limits"),
    ROW(setrlimit, Z, any, "resource limits"),
    ROW(getrlimit, Z, any, "resource limits"),
    ROW(ugetrlimit, Z, any, "resource limits"),
    ROW(getrusage, Z, of_itself, "which pages a copy of a language pack touches: faults are counted"),
    ROW(landlock_restrict_self, Z, any, "a Landlock domain of its own"),
    ROW(prctl, Z, prctl_pdeathsig, "a worker dies with its zygote"),
    ROW(prctl, Z | C, prctl_vma, "names of memory areas, which allocators give"),
    ROW(pread64, Z | C | S, any, "the artifact's header; the key"),
    ROW(mmap, Z, not_write_exec, "the artifact's code"),
    ROW(mmap2, Z, not_write_exec, "the same on 32-bit machines"),
    ROW(mprotect, Z, not_write_exec, "the artifact's code"),
    ROW(membarrier, Z, any, "new code is seen by all processors"),
    ROW(timer_create, Z, any, "the limits on time"),
    ROW(timer_settime, Z, any, "the limits on time"),
    ROW(timer_settime64, Z, any, "the same on 32-bit machines"),
    ROW(prctl, Z, prctl_mdwe, "no new code pages"),
    ROW(seccomp, Z, set_filter, "the worker's own filter"),

    /* The compiler: one memory file is written and sealed. */
    ROW(pwrite64, C | S, any, "the artifact; the key"),
    ROW(ftruncate, C, any, "the artifact"),
    ROW(fcntl, C | S, add_seals, "the artifact is fixed"),
    ROW(fcntl64, C | S, add_seals, "the same on 32-bit machines"),

    /* The store: files in one directory, never a socket or another program. */
    ROW(openat, S, any, "files, below the directory that it holds open"),
    ROW(mkdirat, S, any, "directories of the store"),
    ROW(unlinkat, S, any, "eviction"),
    ROW(renameat, S, any, "a file appears whole"),
    ROW(renameat2, S, any, "the same of newer C libraries"),
    ROW(newfstatat, S, any, "the size of a file"),
    ROW(statx, S, any, "the same of other libraries"),
    ROW(utimensat, S, any, "when a module was last used"),
    ROW(utimensat_time64, S, any, "the same on 32-bit machines"),
    ROW(getdents64, S, any, "what is in the directory"),
    ROW(fsync, S, any, "durability"),
    ROW(fcntl, S, set_fd, "listing a directory"),
    ROW(fcntl, S, dup_fd, "listing a directory"),
    ROW(fcntl64, S, set_fd, "the same on 32-bit machines"),
    ROW(fcntl64, S, dup_fd, "the same on 32-bit machines"),
    ROW(flock, S, any, "one store per directory"),
    ROW(sysinfo, S, any, "how much memory there is, which sorting a long list asks for"),
    ROW(memfd_create, S, any, "modules go out in sealed memory files"),
    ROW(sendfile, S, any, "from the file into the memory file"),
    ROW(sendfile64, S, any, "the same on 32-bit machines"),

    /* The logger: its file is open and its thread has begun. */
    ROW(fdatasync, G, any, "durability"),
    ROW(futex, G, any, "the thread's end, which the kernel tells by a futex"),
    ROW(futex_time64, G, any, "the same on 32-bit machines"),

    /* The launcher, and its children until they execute their program. */
    ROW(clone, L, all_namespaces, "a child; without namespaces it is a fork"),
    ROW(socketpair, L, local_socket, "parent and child tell each other how far they are"),
    ROW(sendto, L, no_address, "the same"),
    ROW(send, L, any, "the same on other machines"),
    ROW(fcntl, L, dup_fd, "descriptors out of a child's way"),
    ROW(fcntl64, L, dup_fd, "the same on 32-bit machines"),
    ROW(openat, L, any, "ids of a child, control groups; libraries of a program"),
    ROW(mkdirat, L, any, "a control group"),
    ROW(unlinkat, L, directory_only, "a control group"),
    ROW(geteuid, L, any, "ids of a child"),
    ROW(getegid, L, any, "ids of a child"),
    ROW(setresuid, L, any, "a uid of its own for a child"),
    ROW(setresgid, L, any, "the same"),
    ROW(setresuid32, L, any, "the same on 32-bit machines"),
    ROW(setresgid32, L, any, "the same on 32-bit machines"),
    ROW(prctl, L, prctl_dumpable, "a child whose ids can be mapped"),
    ROW(setsid, L, any, "a child without a terminal"),
    ROW(dup2, L, any, "descriptors of a program"),
    ROW(setpriority, L, own_priority, "a compiler yields when nobody waits for it"),
    ROW(execveat, L, of_descriptor, "the worker or the compiler, which are open already"),

    /* A program of the launcher that starts, and its jail. */
    ROW(access, L, any, "the dynamic linker"),
    ROW(faccessat, L, any, "the dynamic linker"),
    ROW(open, L, any, "the dynamic linker of other C libraries"),
    ROW(readlink, L, any, "the dynamic linker"),
    ROW(readlinkat, L, any, "the dynamic linker"),
    ROW(getcwd, L, any, "the dynamic linker"),
    ROW(uname, L, any, "the dynamic linker"),
    ROW(arch_prctl, L, any, "the thread pointer"),
    ROW(set_tid_address, L, any, "a program's first thread"),
    ROW(clock_getres, L, any, "clocks"),
    ROW(clock_getres_time64, L, any, "the same on 32-bit machines"),
    ROW(mount, L, mount_private, "jail: a root of its own"),
    ROW(mount, L, mount_empty, "jail: which is empty"),
    ROW(mount, L, mount_read_only, "jail: and stays so"),
    ROW(pivot_root, L, any, "jail: the old root"),
    ROW(umount2, L, detach, "jail: goes"),
    ROW(chdir, L, any, "jail: the new root"),
    ROW(getdents64, L, any, "jail: whether the root is empty"),
    ROW(capget, L, any, "jail: capabilities"),
    ROW(capset, L, any, "jail: capabilities"),
    ROW(prctl, L, prctl_bounding_get, "jail: capabilities"),
    ROW(prctl, L, prctl_bounding, "jail: capabilities"),
    ROW(prctl, L, prctl_ambient, "jail: capabilities"),
    ROW(prctl, L, prctl_securebits, "jail: capabilities"),
    ROW(prctl, L, prctl_no_new_privs, "jail"),
    ROW(prctl, L, prctl_speculation_get, "jail"),
    ROW(prctl, L, prctl_speculation, "jail"),
    ROW(prctl, L, prctl_mdwe_get, "jail: whether there is such a layer"),
    ROW(landlock_create_ruleset, L, any, "jail"),
    ROW(landlock_restrict_self, L, any, "jail"),

    /* brig-files: what is beneath one directory is opened and read, and told on one socket. */
    ROW(recvmsg, F, job_socket, "questions"),
    ROW(sendmsg, F, job_socket, "answers"),
    ROW(openat2, F, any, "names beneath the directory; Landlock has the say"),
    ROW(newfstatat, F, state_of_descriptor, "fstat of newer C libraries"),
    ROW(statx, F, statx_of_descriptor, "the same of other libraries"),
    ROW(fstat64, F, any, "the same on 32-bit machines"),
    ROW(readlinkat, F, any, "a link's target"),
    ROW(getdents64, F, any, "what is in a directory"),
    ROW(pread64, F, any, "what is in a file"),

    /* Store and logger. */
    ROW(fcntl, S | G, set_fl, "a socket that does not block"),
    ROW(fcntl64, S | G, set_fl, "the same on 32-bit machines"),
    ROW(getsockopt, S | G, socket_type, "whether the socket is brigd's, before it is told of a failure"),
    ROW(prctl, S | G, prctl_vma, "names of memory areas, which allocators give"),
};

static unsigned
kinds_of(const struct row *row)
{
	return row->kinds | ((row->kinds & (Z | C)) != 0 ? L : 0);
}

int
filter_row(size_t i, struct filter_row *row)
{
	if (i >= ARRAY_LENGTH(rows))
		return ERR_NOTFOUND;
	*row = (struct filter_row){rows[i].name, rows[i].condition->text, rows[i].why, kinds_of(&rows[i])};
	return 0;
}

/* --- building -------------------------------------------------------------------------------------------------- */

/* Adds every row of one kind. libseccomp itself skips calls that this architecture does not have. */
static int
add_rows(scmp_filter_ctx ctx, enum filter_kind kind, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		const struct condition *c = rows[i].condition;
		int rc;

		if ((kinds_of(&rows[i]) & (1u << kind)) == 0)
			continue;
		rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, rows[i].call, c->count, c->args);
		if (rc != 0) {
			errno = -rc;
			return err_sys(e, rc == -ENOMEM ? ERR_NOMEM : ERR_IO, "adding %s to a filter", rows[i].name);
		}
	}
	return 0;
}

/* The program in `ctx`, as bytes. libseccomp writes it to a descriptor. */
static int
export_program(scmp_filter_ctx ctx, struct sock_filter **insns, size_t *count, struct err *e)
{
	int fd = memfd_new("filter", e);
	uint8_t *data = NULL;
	size_t length = 0;
	int rc;

	if (fd < 0)
		return fd;
	rc = seccomp_export_bpf(ctx, fd);
	if (rc != 0) {
		errno = -rc;
		rc = err_sys(e, ERR_IO, "exporting a filter");
		goto out;
	}
	if (lseek(fd, 0, SEEK_SET) != 0) {
		rc = err_sys(e, ERR_IO, "lseek");
		goto out;
	}
	rc = io_read_fd(fd, BPF_MAXINSNS * sizeof(struct sock_filter), &data, &length, e);
	if (rc == 0) {
		*insns = (struct sock_filter *)(void *)data;
		*count = length / sizeof(struct sock_filter);
	}
out:
	close(fd);
	return rc;
}

int
filter_build(enum filter_kind kind, struct sock_filter **insns, size_t *count, struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rc;

	if (ctx == NULL)
		return err_set(e, ERR_UNSUPPORTED, "libseccomp cannot make filters here: does it know this architecture?");
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
	if (rc != 0) {
		rc = err_set(e, ERR_UNSUPPORTED, "libseccomp is too old: 2.5 is needed");
		goto out;
	}
	rc = add_rows(ctx, kind, e);
	if (rc == 0)
		rc = export_program(ctx, insns, count, e);
out:
	seccomp_release(ctx);
	return rc;
}

int
filter_enter(enum filter_kind kind, struct err *e)
{
	struct sock_fprog prog;
	size_t count;
	int rc = filter_build(kind, &prog.filter, &count, e);

	if (rc != 0)
		return rc;
	prog.len = (unsigned short)count;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog) != 0)
		rc = err_sys(e, ERR_IO, "loading a seccomp filter of %zu instructions", count);
	free(prog.filter);
	return rc;
}

int
filter_bundle(struct err *e)
{
	struct filter_header h = {.magic = FILTER_MAGIC, .kinds = FILTER_BUNDLED};
	struct sock_filter *insns[FILTER_BUNDLED] = {NULL};
	size_t count, size = sizeof(h);
	uint8_t *bytes = NULL;
	int rc = 0;

	for (int i = 0; i < FILTER_BUNDLED && rc == 0; i++) {
		rc = filter_build((enum filter_kind)i, &insns[i], &count, e);
		if (rc == 0) {
			h.counts[i] = (uint32_t)count;
			size += count * sizeof(struct sock_filter);
		}
	}
	if (rc != 0)
		goto out;
	if ((bytes = malloc(size)) == NULL) {
		rc = err_set(e, ERR_NOMEM, "%zu bytes", size);
		goto out;
	}
	memcpy(bytes, &h, sizeof(h));
	size = sizeof(h);
	for (int i = 0; i < FILTER_BUNDLED; i++) {
		memcpy(bytes + size, insns[i], h.counts[i] * sizeof(struct sock_filter));
		size += h.counts[i] * sizeof(struct sock_filter);
	}
	rc = memfd_from("filters", bytes, size, e);
out:
	for (int i = 0; i < FILTER_BUNDLED; i++)
		free(insns[i]);
	free(bytes);
	return rc;
}
