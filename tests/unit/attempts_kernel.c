/* tests/unit/attempts_kernel: attempts on the jail, on code pages, on the kernel. Test processes, jailed or not. */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/attempts.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON           1
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define PAGE      ((size_t)sysconf(_SC_PAGESIZE))
#define RW        (PROT_READ | PROT_WRITE)
#define RX        (PROT_READ | PROT_EXEC)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)
#define MUCH      ((size_t)256 << 20) /* bytes; a worker may have less */
#define VERY_MUCH ((size_t)1 << 40)

/* The kernel was built without it. */
static int
if_there(int rc)
{
	return rc == ENOSYS || rc == EOPNOTSUPP ? ATTEMPT_UNFIT : rc;
}

static int
mapped(const void *p)
{
	return p == MAP_FAILED ? errno : ATTEMPT_THROUGH;
}

/* --- more privilege -------------------------------------------------------------------------------------------- */

int
attempt_setuid(const struct attempt_world *w)
{
	(void)w;
	return ended(setresuid(65533, 65533, 65533));
}

int
attempt_setgroups(const struct attempt_world *w)
{
	const gid_t group = 65533;

	(void)w;
	return ended(setgroups(1, &group));
}

int
attempt_capset(const struct attempt_world *w)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{.effective = 1u << CAP_SYS_ADMIN, .permitted = 1u << CAP_SYS_ADMIN}};

	(void)w;
	return ended(syscall(SYS_capset, &header, data));
}

int
attempt_securebits(const struct attempt_world *w)
{
	(void)w;
	return ended(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS, 0, 0, 0));
}

int
attempt_raise_limit(const struct attempt_world *w)
{
	const struct rlimit low = {1, 1}, high = {2, 2};

	(void)w;
	if (setrlimit(RLIMIT_MSGQUEUE, &low) != 0)
		return errno;
	return ended(setrlimit(RLIMIT_MSGQUEUE, &high));
}

int
attempt_nice(const struct attempt_world *w)
{
	(void)w;
	return ended(setpriority(PRIO_PROCESS, 0, -20));
}

int
attempt_realtime(const struct attempt_world *w)
{
	const struct sched_param first = {.sched_priority = 1};

	(void)w;
	return ended(sched_setscheduler(0, SCHED_FIFO, &first));
}

int
attempt_affinity_own(const struct attempt_world *w)
{
	cpu_set_t set;

	(void)w;
	return sched_getaffinity(0, sizeof(set), &set) != 0 ? errno : ended(sched_setaffinity(0, sizeof(set), &set));
}

/* --- less jail ------------------------------------------------------------------------------------------------- */

int
attempt_become_dumpable(const struct attempt_world *w)
{
	(void)w;
	return ended(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

int
attempt_outlive(const struct attempt_world *w)
{
	(void)w;
	return ended(prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
}

int
attempt_speculate(const struct attempt_world *w)
{
	(void)w;
	return if_there(ended(prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_ENABLE, 0, 0)));
}

int
attempt_seccomp(const struct attempt_world *w)
{
	struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog prog = {.len = 1, .filter = allow};

	(void)w;
	return ended(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
}

int
attempt_landlock(const struct attempt_world *w)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE};
	long fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	(void)w;
	return fd < 0 ? if_there(errno) : ended(syscall(SYS_landlock_restrict_self, (int)fd, 0));
}

/* A handler of its own in front of every system call. */
int
attempt_dispatch(const struct attempt_world *w)
{
	static char allow; /* while this is 0, calls are made as ever */

	(void)w;
	return ended(prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &allow));
}

int
attempt_x32(const struct attempt_world *w)
{
	(void)w;
	return if_there(ended(syscall(0x40000000 | SYS_getpid)));
}

int
attempt_i386(const struct attempt_world *w)
{
	(void)w;
#ifdef __x86_64__
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20), "b"(0) : "memory"); /* getpid of 32-bit x86 */
	return result > 0 ? ATTEMPT_THROUGH : ATTEMPT_UNFIT;
#else
	return ATTEMPT_UNFIT;
#endif
}

int
attempt_arch_prctl(const struct attempt_world *w)
{
	unsigned long base;

	(void)w;
#ifdef SYS_arch_prctl
	return ended(syscall(SYS_arch_prctl, 0x1004 /* ARCH_GET_GS */, &base));
#else
	(void)base;
	return ATTEMPT_UNFIT;
#endif
}

int
attempt_ldt(const struct attempt_world *w)
{
	(void)w;
#ifdef SYS_modify_ldt
	char entry[16] = {0};

	return if_there(ended((int)syscall(SYS_modify_ldt, 0, entry, sizeof(entry))));
#else
	return ATTEMPT_UNFIT;
#endif
}

/* --- code ------------------------------------------------------------------------------------------------------ */

int
attempt_mmap_rwx(const struct attempt_world *w)
{
	(void)w;
	return mapped(mmap(NULL, PAGE, RW | PROT_EXEC, ANONYMOUS, -1, 0));
}

int
attempt_mprotect_exec(const struct attempt_world *w)
{
	void *p = mmap(NULL, PAGE, RW, ANONYMOUS, -1, 0);

	(void)w;
	return p == MAP_FAILED ? errno : ended(mprotect(p, PAGE, RX));
}

int
attempt_pkey_mprotect(const struct attempt_world *w)
{
	void *p = mmap(NULL, PAGE, RW, ANONYMOUS, -1, 0);

	(void)w;
	return p == MAP_FAILED ? errno : if_there(ended(syscall(SYS_pkey_mprotect, p, PAGE, RX, -1)));
}

/* A code page of its own, for the next one. */
__asm__(".pushsection .text.attempts,\"ax\",%progbits\n"
	".balign 65536\n"
	"attempt_code:\n"
	".fill 65536, 1, 0\n"
	".popsection\n");
extern char attempt_code[] __attribute__((visibility("hidden")));

/* A page of code is moved, rewritten, and made code again. */
int
attempt_mremap_exec(const struct attempt_world *w)
{
	char *moved = mmap(NULL, PAGE, PROT_NONE, ANONYMOUS, -1, 0);

	(void)w;
	if (moved == MAP_FAILED || mremap(attempt_code, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, moved) == MAP_FAILED)
		return errno;
	if (mprotect(moved, PAGE, RW) != 0)
		return errno;
	moved[0] = 1;
	return ended(mprotect(moved, PAGE, RX));
}

int
attempt_shmat_exec(const struct attempt_world *w)
{
	int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0700), rc;

	(void)w;
	if (id < 0)
		return if_there(errno);
	rc = shmat(id, NULL, SHM_EXEC) == (void *)-1 ? errno : ATTEMPT_THROUGH;
	shmctl(id, IPC_RMID, NULL);
	return rc;
}

/* After this, what can be read can be executed. */
int
attempt_personality(const struct attempt_world *w)
{
	(void)w;
	if (personality(READ_IMPLIES_EXEC) < 0)
		return errno;
	return mapped(mmap(NULL, PAGE, RW, ANONYMOUS, -1, 0));
}

/* --- memory ---------------------------------------------------------------------------------------------------- */

int
attempt_much_memory(const struct attempt_world *w)
{
	(void)w;
	return mapped(mmap(NULL, MUCH, RW, ANONYMOUS, -1, 0));
}

/* RLIMIT_DATA does not count what is only read: but page tables are made for it, a page for every 2 MiB. */
int
attempt_much_address_space(const struct attempt_world *w)
{
	(void)w;
	return mapped(mmap(NULL, VERY_MUCH, PROT_READ, ANONYMOUS | MAP_NORESERVE, -1, 0));
}

/* Nor what is shared. */
int
attempt_much_shared_memory(const struct attempt_world *w)
{
	(void)w;
	return mapped(mmap(NULL, MUCH, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

/* Nor what is a stack. */
int
attempt_much_stack(const struct attempt_world *w)
{
	(void)w;
	return mapped(mmap(NULL, MUCH, RW, ANONYMOUS | MAP_GROWSDOWN, -1, 0));
}

/* Nor what can no longer be written to. */
int
attempt_hidden_memory(const struct attempt_world *w)
{
	const size_t part = MUCH / 16;

	(void)w;
	for (size_t had = 0; had < MUCH; had += part) {
		volatile char *p = mmap(NULL, part, RW, ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return errno;
		*p = 1;
		if (mprotect((void *)(uintptr_t)p, part, PROT_READ) != 0)
			return errno;
	}
	return ATTEMPT_THROUGH;
}

int
attempt_huge_pages(const struct attempt_world *w)
{
	void *p = mmap(NULL, 2 << 20, RW, ANONYMOUS | MAP_HUGETLB, -1, 0);

	(void)w;
	return p == MAP_FAILED && (errno == ENOMEM || errno == EINVAL) ? ATTEMPT_UNFIT : mapped(p);
}

int
attempt_mlock(const struct attempt_world *w)
{
	void *p = mmap(NULL, PAGE, RW, ANONYMOUS, -1, 0);

	(void)w;
	return p == MAP_FAILED ? errno : ended(mlock(p, PAGE));
}

/* Pages that are equal become one, which the time of a write tells. */
int
attempt_merge_pages(const struct attempt_world *w)
{
	void *p = mmap(NULL, PAGE, RW, ANONYMOUS, -1, 0);

	(void)w;
	if (p == MAP_FAILED || madvise(p, PAGE, MADV_MERGEABLE) == 0)
		return p == MAP_FAILED ? errno : ATTEMPT_THROUGH;
	return errno == EINVAL ? ATTEMPT_UNFIT : errno;
}

/* A page of the machine is marked broken. There is none at this address: that is found after the permission. */
int
attempt_poison_page(const struct attempt_world *w)
{
	void *p = mmap(NULL, PAGE, PROT_NONE, ANONYMOUS, -1, 0);

	(void)w;
	if (p == MAP_FAILED || madvise(p, PAGE, MADV_HWPOISON) == 0)
		return ATTEMPT_FAULT;
	return errno == EFAULT ? ATTEMPT_THROUGH : errno == EINVAL ? ATTEMPT_UNFIT : errno;
}

/* --- time and signals ------------------------------------------------------------------------------------------ */

int
attempt_timers(const struct attempt_world *w)
{
	timer_t timer;

	(void)w;
	for (int i = 0; i < 64; i++)
		if (timer_create(CLOCK_MONOTONIC, NULL, &timer) != 0)
			return errno;
	return ATTEMPT_THROUGH;
}

int
attempt_itimer(const struct attempt_world *w)
{
	const struct itimerval later = {.it_value = {1000, 0}};

	(void)w;
	return ended(setitimer(ITIMER_REAL, &later, NULL));
}

/* So that no limit on time can be heard. */
int
attempt_block_signals(const struct attempt_world *w)
{
	sigset_t all;

	(void)w;
	sigfillset(&all);
	return ended(sigprocmask(SIG_BLOCK, &all, NULL));
}

/* The status says whether the kernel wrote a core file. The signal is not one that a filter could see. */
int
attempt_core(const struct attempt_world *w)
{
	static volatile int *const nowhere;

	if (w->core_files)
		*nowhere = 1;
	return ATTEMPT_UNFIT;
}

/* --- the machine ----------------------------------------------------------------------------------------------- */

int
attempt_sethostname(const struct attempt_world *w)
{
	(void)w;
	return ended(sethostname("x", 1));
}

/* An impossible value: that is found after the permission. */
int
attempt_set_clock(const struct attempt_world *w)
{
	struct timex t = {.modes = ADJ_TICK, .tick = 1};

	(void)w;
	return got_to(EINVAL, adjtimex(&t));
}

/* The same: a wrong magic number, no module, no device. */
int
attempt_reboot(const struct attempt_world *w)
{
	(void)w;
	return got_to(EINVAL, syscall(SYS_reboot, 0, 0, 0, NULL));
}

int
attempt_load_module(const struct attempt_world *w)
{
	int rc = ended(syscall(SYS_init_module, NULL, 0, ""));

	(void)w;
	return rc == ENOEXEC || rc == EFAULT ? ATTEMPT_THROUGH : if_there(rc);
}

int
attempt_kexec(const struct attempt_world *w)
{
	int rc = ended(syscall(SYS_kexec_load, 0, 1000, NULL, 0));

	(void)w;
	return rc == EINVAL || rc == EFAULT ? ATTEMPT_THROUGH : if_there(rc);
}

int
attempt_swapoff(const struct attempt_world *w)
{
	int rc = ended(swapoff("/"));

	(void)w;
	return rc == EINVAL || rc == EISDIR ? ATTEMPT_THROUGH : if_there(rc);
}

int
attempt_syslog(const struct attempt_world *w)
{
	(void)w;
	return got_to(EINVAL, syscall(SYS_syslog, 8, NULL, 99)); /* no such level */
}

int
attempt_ioperm(const struct attempt_world *w)
{
	(void)w;
#ifdef __x86_64__
	return if_there(ended(ioperm(0x80, 1, 1)));
#else
	return ATTEMPT_UNFIT;
#endif
}

/* --- the kernel's large interfaces ----------------------------------------------------------------------------- */

int
attempt_add_key(const struct attempt_world *w)
{
	(void)w;
	return if_there(ended(syscall(SYS_add_key, "user", "brig-attempt", "x", 1, KEY_SPEC_PROCESS_KEYRING)));
}

/* The keys that all processes of a user share. The outside has put one there. */
int
attempt_read_keys(const struct attempt_world *w)
{
	long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", "brig-attempt-secret", 0);

	(void)w;
	return if_there(ended(key));
}

int
attempt_bpf(const struct attempt_world *w)
{
	const struct bpf_insn exits[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
	    .insn_cnt = 2,
	    .insns = (uintptr_t)exits,
	    .license = (uintptr_t) "x"};

	(void)w;
	return if_there(ended(syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr))));
}

int
attempt_perf(const struct attempt_world *w)
{
	struct perf_event_attr attr = {
	    .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_CONTEXT_SWITCHES};

	(void)w;
	return if_there(ended(syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC)));
}

int
attempt_io_uring(const struct attempt_world *w)
{
	struct io_uring_params params = {0};

	(void)w;
	return if_there(ended(syscall(SYS_io_uring_setup, 4, &params)));
}

int
attempt_userfaultfd(const struct attempt_world *w)
{
	(void)w;
	return if_there(ended(syscall(SYS_userfaultfd, O_CLOEXEC)));
}

int
attempt_userfaultfd_user(const struct attempt_world *w)
{
	(void)w;
	return if_there(ended(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY)));
}
