/* sandbox/doctor: tries every layer of the jail on this machine, in throw-away children. The brig command. */

#include "sandbox/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/proto.h"
#include "sandbox/cgroup.h"
#include "sandbox/filter.h"
#include "sandbox/spawn.h"

/* A uid that children take when this runs as root: the first that the launcher would hand out. */
#define SPARE_UID (1900000000 + 16)

_Static_assert(sizeof(((struct doctor_layer *)NULL)->why) == sizeof(((struct err *)NULL)->msg), "copied whole");

/* One layer, and how to look at it. */
struct probe {
	enum proto_layer layer;
	int namespaces;          /* the child's */
	int (*check)(struct err *e); /* in the child, once the layer is in force; NULL: that it could be taken on is enough */
	int ends_by;             /* the signal that must end the child; 0 for none */
	const char *how;
};

/* --- checks, in the child -------------------------------------------------------------------------------------- */

static int
check_user(struct err *e)
{
	return geteuid() == 0 ? 0 : err_set(e, ERR_IO, "uid %u inside instead of 0", (unsigned)geteuid());
}

static int
check_no_user_ns(struct err *e)
{
	if (unshare(CLONE_NEWUSER) == 0)
		return err_set(e, ERR_IO, "one could be made");
	return errno == ENOSPC ? 0 : err_sys(e, ERR_IO, "something else refused one, and may not everywhere");
}

static int
check_pid(struct err *e)
{
	return getpid() == 1 ? 0 : err_set(e, ERR_IO, "pid %d inside instead of 1", (int)getpid());
}

static int
check_net(struct err *e)
{
	return if_nametoindex("lo") <= 1 && if_nametoindex("eth0") == 0
		   ? 0
		   : err_set(e, ERR_IO, "interfaces of the host are visible");
}

static int
check_no_capability(struct err *e)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data) != 0)
		return err_sys(e, ERR_IO, "capget");
	return (data[0].permitted | data[1].permitted) == 0 ? 0 : err_set(e, ERR_IO, "a capability is left");
}

static int
check_no_new_privs(struct err *e)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : err_set(e, ERR_IO, "not in force once set");
}

static int
check_dumpable(struct err *e)
{
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : err_set(e, ERR_IO, "not in force once set");
}

static int
check_landlock(struct err *e)
{
	return access("/", R_OK) == 0 && open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 && errno == EACCES
		   ? 0
		   : err_set(e, ERR_IO, "a directory can still be opened");
}

static int
check_mdwe(struct err *e)
{
	void *p = mmap(NULL, 1, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? 0 : err_set(e, ERR_IO, "a writable page can still be executable");
}

/* Under the worker's own filter: a call that is not in it. The child does not come back. */
static int
check_seccomp(struct err *e)
{
	struct sock_filter *insns;
	struct sock_fprog prog;
	uint32_t layers = 0;
	size_t count;
	int rc = filter_build(FILTER_WORKER, &insns, &count, e);

	if (rc != 0)
		return rc;
	prog = (struct sock_fprog){.len = (unsigned short)count, .filter = insns};
	rc = jail_filter(&prog, &layers, e);
	if (rc == 0)
		syscall(SYS_getpid);
	free(insns);
	return rc;
}

static int
check_rlimits(struct err *e)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_max == 0
		   ? 0
		   : err_set(e, ERR_IO, "not in force once set");
}

static int
check_own_uid(struct err *e)
{
	return geteuid() == SPARE_UID ? 0 : err_set(e, ERR_IO, "uid %u instead of %u", (unsigned)geteuid(), SPARE_UID);
}

/* --- the table ------------------------------------------------------------------------------------------------- */

#define HOW_NAMESPACES                                                                                     \
	"start brigd as root, or allow user namespaces to users: sysctl user.max_user_namespaces, "        \
	"kernel.unprivileged_userns_clone=1 or kernel.apparmor_restrict_unprivileged_userns=0; in a "      \
	"container its runtime must, or choose --profile container"
#define HOW_KERNEL(version, config) "a kernel of version " version " or later with " config

static const struct probe probes[] = {
    {PROTO_LAYER_user_ns, CLONE_NEWUSER, check_user, 0, HOW_NAMESPACES},
    {PROTO_LAYER_no_user_ns, CLONE_NEWUSER, check_no_user_ns, 0,
	"a kernel of version 4.9 or later, and a /proc/sys that can be written: a container's runtime may withhold it"},
    {PROTO_LAYER_mount_ns, CLONE_NEWUSER | CLONE_NEWNS, NULL, 0, HOW_NAMESPACES},
    {PROTO_LAYER_pid_ns, CLONE_NEWUSER | CLONE_NEWPID, check_pid, 0, HOW_NAMESPACES},
    {PROTO_LAYER_net_ns, CLONE_NEWUSER | CLONE_NEWNET, check_net, 0, HOW_NAMESPACES},
    {PROTO_LAYER_ipc_ns, CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWUTS, NULL, 0, HOW_NAMESPACES},
    {PROTO_LAYER_cgroup_ns, CLONE_NEWUSER | CLONE_NEWCGROUP, NULL, 0, HOW_NAMESPACES},
    {PROTO_LAYER_capabilities, 0, check_no_capability, 0, HOW_KERNEL("4.3", "ambient capabilities")},
    {PROTO_LAYER_no_new_privs, 0, check_no_new_privs, 0, HOW_KERNEL("3.5", "no_new_privs")},
    {PROTO_LAYER_dumpable, 0, check_dumpable, 0, HOW_KERNEL("5.9", "nothing special")},
    {PROTO_LAYER_landlock, 0, check_landlock, 0,
	HOW_KERNEL("5.13", "CONFIG_SECURITY_LANDLOCK, and landlock in its lsm= list")},
    {PROTO_LAYER_speculation, 0, NULL, 0,
	"a processor and hypervisor that let the kernel control it, and no spec_store_bypass_disable=off, "
	"spectre_v2_user=off or mitigations=off"},
    {PROTO_LAYER_mdwe, 0, check_mdwe, 0, HOW_KERNEL("6.3", "an architecture that has it")},
    {PROTO_LAYER_seccomp, 0, check_seccomp, SIGSYS, HOW_KERNEL("4.14", "CONFIG_SECCOMP_FILTER")},
    {PROTO_LAYER_rlimits, 0, check_rlimits, 0, HOW_KERNEL("5.9", "nothing special")},
    {PROTO_LAYER_own_uid, 0, check_own_uid, 0, "start brigd as root"},
    {PROTO_LAYER_cgroup, 0, NULL, 0, CGROUP_HOW},
};

/* --- trying ---------------------------------------------------------------------------------------------------- */

static int
run_probe(void *arg, struct err *e)
{
	const struct probe *p = arg;
	int rc = jail_try(p->layer, e);

	if (rc == ERR_INVAL)
		rc = 0; /* a layer that being here gives */
	return rc == 0 && p->check != NULL ? p->check(e) : rc;
}

static int
try_probe(const struct probe *p, bool root, struct err *e)
{
	struct probe copy = *p;
	struct spawn_config cfg = {
	    .namespaces = p->namespaces,
	    .change_id = root && (p->namespaces != 0 || p->layer == PROTO_LAYER_own_uid),
	    .id = SPARE_UID,
	    .run = run_probe,
	    .arg = &copy,
	};
	pid_t pid;
	int status, rc;

	if (p->layer == PROTO_LAYER_own_uid && !root)
		return err_set(e, ERR_UNSUPPORTED, "not started as root: all of brig's processes have the same uid");
	if (p->layer == PROTO_LAYER_cgroup)
		return cgroup_look(e);
	rc = spawn(&cfg, &pid, e);
	if (rc != 0)
		return rc;
	if (waitpid(pid, &status, 0) != pid)
		return err_sys(e, ERR_IO, "waiting for a child");
	if (p->ends_by != 0 && !(WIFSIGNALED(status) && WTERMSIG(status) == p->ends_by))
		return err_set(e, ERR_IO, "a forbidden system call did not kill the process");
	if (p->ends_by == 0 && status != 0)
		return err_set(e, ERR_IO, "the child ended with status %#x", (unsigned)status);
	return 0;
}

static void
describe(struct doctor_report *r)
{
	static const struct {
		const char *name;
		const char *purpose;
	} texts[DOCTOR_LAYERS] = {
#define X(name, bit, required, text) [bit] = {#name, text},
	    PROTO_LAYERS(X)
#undef X
	};
	struct utsname u = {.release = "unknown"};

	uname(&u);
	snprintf(r->kernel, sizeof(r->kernel), "%s", u.release);
	snprintf(r->machine, sizeof(r->machine), "%s", u.machine);
	r->root = geteuid() == 0;
	r->landlock_abi = jail_landlock_abi();
	r->page_size = sysconf(_SC_PAGESIZE);
	for (int i = 0; i < DOCTOR_LAYERS; i++) {
		r->layers[i].name = texts[i].name;
		r->layers[i].purpose = texts[i].purpose;
		r->layers[i].required = (jail_required(r->profile) & (1u << i)) != 0;
		r->layers[i].used = true;
	}
}

void
doctor_examine(enum jail_profile profile, struct doctor_report *report)
{
	struct doctor_report r = {.profile = profile};

	describe(&r);
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		struct doctor_layer *l = &r.layers[__builtin_ctz(probes[i].layer)];
		struct err why = {0};

		l->used = profile == JAIL_PROFILE_NAMESPACES || probes[i].namespaces == 0;
		l->present = l->used && try_probe(&probes[i], r.root, &why) == 0;
		if (l->present) {
			r.present |= probes[i].layer;
			continue;
		}
		l->how = probes[i].how;
		if (!l->used)
			err_set(&why, ERR_UNSUPPORTED, "the profile container does without it");
		memcpy(l->why, why.msg, sizeof(l->why));
	}
	r.required_missing = jail_required(profile) & ~r.present;
	*report = r;
}
