/* sandbox/jail: what a process does to itself before it touches a guest's bytes. Zygote, worker, compiler, brig-files, doctor. */

#include "sandbox/jail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the oldest headers that this builds with. */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE              65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* --- profiles and names --------------------------------------------------------------------------------------- */

static const char *const profile_names[] = {
    [JAIL_PROFILE_NAMESPACES] = "namespaces",
    [JAIL_PROFILE_CONTAINER] = "container",
};

#define X(name, bit, required, text) ((required) ? 1u << (bit) : 0) |
static const uint32_t required_layers[] = {
    [JAIL_PROFILE_NAMESPACES] = PROTO_LAYERS(X) 0,
    [JAIL_PROFILE_CONTAINER] = PROTO_LAYER_capabilities | PROTO_LAYER_no_new_privs | PROTO_LAYER_dumpable |
			       PROTO_LAYER_seccomp | PROTO_LAYER_rlimits,
};
#undef X

uint32_t
jail_required(enum jail_profile profile)
{
	return required_layers[profile];
}

int
jail_profile_parse(const char *name, enum jail_profile *profile, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LENGTH(profile_names); i++)
		if (strcmp(name, profile_names[i]) == 0) {
			*profile = (enum jail_profile)i;
			return 0;
		}
	return err_set(e, ERR_INVAL, "profile \"%.40s\": it is namespaces or container", name);
}

const char *
jail_profile_name(enum jail_profile profile)
{
	return profile_names[profile];
}

char *
jail_layer_names(uint32_t mask, char *text, size_t size)
{
	static const char *const names[] = {
#define X(name, bit, required, text) [bit] = #name,
	    PROTO_LAYERS(X)
#undef X
	};
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < ARRAY_LENGTH(names) && used < size; i++)
		if ((mask & (1u << i)) != 0)
			used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", names[i]);
	return text;
}

/* --- the layers that a process takes on by itself -------------------------------------------------------------- */

/*
 * No user namespace below this one: in a new one a process has all capabilities again, which opens much of the kernel.
 * Where /proc/sys is read-only, as in many containers, only the filter forbids it.
 */
static int
enter_no_user_ns(struct err *e)
{
	int fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return err_sys(e, ERR_UNSUPPORTED, "/proc/sys/user/max_user_namespaces");
	if (write(fd, "0", 1) != 1)
		rc = err_sys(e, ERR_UNSUPPORTED, "/proc/sys/user/max_user_namespaces");
	close(fd);
	return rc;
}

/* Whether "/" has no entry at all. */
static bool
root_is_empty(void)
{
	DIR *d = opendir("/");
	struct dirent *entry;
	bool empty = true;

	if (d == NULL)
		return false;
	while ((entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			empty = false;
	closedir(d);
	return empty;
}

/* Makes an empty file system the root of this mount namespace and lets go of the old one. */
static int
enter_root(struct err *e)
{
	static const char *const places[] = {"/proc", "/tmp", "/dev", "/sys"}; /* any directory will do */
	const unsigned long quiet = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	const char *place = NULL;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return err_sys(e, ERR_IO, "making the mounts private");
	for (size_t i = 0; i < ARRAY_LENGTH(places) && place == NULL; i++)
		if (mount("none", places[i], "tmpfs", quiet, "size=4k,nr_inodes=1,mode=0555") == 0)
			place = places[i];
	if (place == NULL)
		return err_sys(e, ERR_IO, "mounting an empty tmpfs (does the kernel have CONFIG_TMPFS?)");
	if (chdir(place) != 0 || syscall(SYS_pivot_root, ".", ".") != 0)
		return err_sys(e, ERR_IO, "pivot_root (does the system run from its initramfs?)");
	if (umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
		return err_sys(e, ERR_IO, "letting go of the old root");
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | quiet, NULL) != 0)
		return err_sys(e, ERR_IO, "making the empty root read-only");
	if (!root_is_empty())
		return err_set(e, ERR_IO, "the new root is not empty");
	return 0;
}

static int
capabilities_get(struct __user_cap_data_struct data[2], struct err *e)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	if (syscall(SYS_capget, &header, data) != 0)
		return err_sys(e, ERR_IO, "capget");
	return 0;
}

/*
 * Drops every capability. The bounding set and the securebits need CAP_SETPCAP; a process without it (profile
 * container) has the bounding set that the launcher left, which no_new_privs keeps it from ever using.
 */
static int
enter_capabilities(struct err *e)
{
	const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
				   SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
				   SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	int rc = capabilities_get(data, e);

	if (rc != 0)
		return rc;
	if ((data[0].effective & (1u << CAP_SETPCAP)) != 0) {
		for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
			if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
				return err_sys(e, ERR_IO, "dropping capability %d from the bounding set", cap);
		if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) != 0)
			return err_sys(e, ERR_IO, "locking the securebits");
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return err_sys(e, ERR_IO, "clearing the ambient capabilities");
	memset(data, 0, sizeof(data));
	if (syscall(SYS_capset, &header, data) != 0)
		return err_sys(e, ERR_IO, "dropping all capabilities");
	return 0;
}

static int
enter_no_new_privs(struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_sys(e, ERR_IO, "setting no_new_privs");
	return 0;
}

static int
enter_dumpable(struct err *e)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return err_sys(e, ERR_IO, "becoming not dumpable");
	return 0;
}

/* struct landlock_ruleset_attr as of its version 6; an older kernel accepts it while what it does not know is zero. */
struct landlock_attr {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

int
jail_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi > 0 ? (int)abi : 0;
}

/* What each version of Landlock can deny. */
static struct landlock_attr
landlock_everything(int abi)
{
	static const struct landlock_attr by_abi[] = {
	    {0x1fff, 0, 0},   /* 1: execute, write, read, list, remove, make */
	    {0x3fff, 0, 0},   /* 2: and refer */
	    {0x7fff, 0, 0},   /* 3: and truncate */
	    {0x7fff, 0x3, 0}, /* 4: and bind and connect of TCP */
	    {0xffff, 0x3, 0}, /* 5: and ioctl of devices */
	    {0xffff, 0x3, 3}, /* 6: and abstract sockets and signals outside */
	};

	return by_abi[((size_t)abi < ARRAY_LENGTH(by_abi) ? (size_t)abi : ARRAY_LENGTH(by_abi)) - 1];
}

int
jail_ruleset(struct err *e)
{
	int abi = jail_landlock_abi();
	struct landlock_attr attr;
	long fd;

	if (abi == 0)
		return err_sys(e, ERR_UNSUPPORTED, "the kernel offers no Landlock");
	attr = landlock_everything(abi);
	fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	return fd >= 0 ? (int)fd : err_sys(e, ERR_IO, "making a Landlock ruleset of version %d", abi);
}

/* What is beneath `dir` can be read and listed all the same; the descriptor may be an O_PATH one. */
static int
landlock_leave(int ruleset, int dir, struct err *e)
{
	const struct landlock_path_beneath_attr rule = {
	    .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
	    .parent_fd = dir,
	};

	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
		return err_sys(e, ERR_IO, "a Landlock rule for the directory");
	return 0;
}

static int
enter_ruleset(int ruleset, struct err *e)
{
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		return err_sys(e, ERR_IO, "entering a Landlock ruleset (no_new_privs comes first)");
	return 0;
}

/* Denies everything, but to read beneath *serves unless that is NULL. */
static int
enter_landlock_but(const int *serves, struct err *e)
{
	int ruleset = jail_ruleset(e), rc = 0;

	if (ruleset < 0)
		return ruleset;
	if (serves != NULL)
		rc = landlock_leave(ruleset, *serves, e);
	if (rc == 0)
		rc = enter_ruleset(ruleset, e);
	close(ruleset);
	return rc;
}

static int
enter_landlock(struct err *e)
{
	return enter_landlock_but(NULL, e);
}

/* One kind of speculation, off for good. Off already, or not a problem of this processor, is fine too. */
static int
disable_speculation(unsigned long kind, const char *name, struct err *e)
{
	int state = prctl(PR_GET_SPECULATION_CTRL, kind, 0, 0, 0);

	if (state < 0)
		return err_sys(e, ERR_UNSUPPORTED, "the kernel does not control %s", name);
	if (state == PR_SPEC_NOT_AFFECTED || (state & (PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE)) != 0)
		return 0;
	if ((state & PR_SPEC_PRCTL) == 0)
		return err_set(e, ERR_UNSUPPORTED, "%s is on and a process may not turn it off here", name);
	if (prctl(PR_SET_SPECULATION_CTRL, kind, PR_SPEC_FORCE_DISABLE, 0, 0) != 0)
		return err_sys(e, ERR_IO, "turning off %s", name);
	return 0;
}

static int
enter_speculation(struct err *e)
{
	int bypass = disable_speculation(PR_SPEC_STORE_BYPASS, "speculative store bypass", e);
	int branch = disable_speculation(PR_SPEC_INDIRECT_BRANCH, "speculation on indirect branches", e);

	return bypass != 0 ? bypass : branch;
}

int
jail_lock_code(uint32_t *layers, struct err *e)
{
	if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0) {
		*layers |= PROTO_LAYER_mdwe;
		return 0;
	}
	if (errno == EINVAL)
		return 0; /* before Linux 6.3, or an architecture without it: the layer is missing */
	return err_sys(e, ERR_IO, "forbidding new code pages");
}

int
jail_filter(const struct sock_fprog *prog, uint32_t *layers, struct err *e)
{
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, prog) != 0)
		return err_sys(e, ERR_IO, "loading a seccomp filter of %u instructions", (unsigned)prog->len);
	*layers |= PROTO_LAYER_seccomp;
	return 0;
}

/* --- limits and descriptors ------------------------------------------------------------------------------------ */

/* Sets one limit to `soft` and `hard`. Where the hard limit is lower already, it stays and the soft one goes as far. */
static int
lower_limit(__rlimit_resource_t resource, uint64_t soft, uint64_t hard, struct err *e)
{
	struct rlimit limit = {(rlim_t)soft, (rlim_t)hard};

	if (setrlimit(resource, &limit) == 0)
		return 0;
	if (errno == EPERM && getrlimit(resource, &limit) == 0 && limit.rlim_max < hard) {
		limit.rlim_cur = limit.rlim_max < soft ? limit.rlim_max : (rlim_t)soft;
		if (setrlimit(resource, &limit) == 0)
			return 0;
	}
	return err_sys(e, ERR_IO, "setting resource limit %d to %ju", (int)resource, (uintmax_t)soft);
}

static uint64_t
seconds_up(uint64_t ms)
{
	return ms / 1000 + (ms % 1000 != 0);
}

static int
enter_limits(const struct jail_config *cfg, struct err *e)
{
	const uint64_t cpu = seconds_up(cfg->cpu_ms);
	int rc = lower_limit(RLIMIT_CORE, 0, 0, e);

	if (rc == 0 && cfg->cpu_ms > 0) /* to the first process of a namespace SIGXCPU means nothing */
		rc = lower_limit(RLIMIT_CPU, cpu, cpu, e);
	if (rc == 0 && cfg->data_bytes > 0)
		rc = lower_limit(RLIMIT_DATA, cfg->data_bytes, cfg->data_bytes, e);
	return rc;
}

static int
close_above(int last, struct err *e)
{
	if (close_range((unsigned)last + 1, ~0u, 0) != 0)
		return err_sys(e, ERR_IO, "closing stray descriptors (close_range needs Linux 5.9)");
	return 0;
}

int
jail_limits(const struct proto_run *run, struct err *e)
{
	const uint64_t cpu = seconds_up(run->cpu_ms) + 1;
	const uint64_t space = run->data_bytes + JAIL_WORKER_SPACE;
	const struct {
		__rlimit_resource_t resource;
		uint64_t soft, hard;
	} limits[] = {
	    {RLIMIT_CORE, 0, 0},
	    {RLIMIT_FSIZE, 0, 0},
	    {RLIMIT_NPROC, 0, 0},
	    {RLIMIT_MEMLOCK, 0, 0},
	    {RLIMIT_NOFILE, JAIL_WORKER_FDS, JAIL_WORKER_FDS},
	    {RLIMIT_DATA, run->data_bytes, run->data_bytes},
	    {RLIMIT_AS, space, space},
	    {RLIMIT_CPU, cpu, cpu + 1}, /* SIGXCPU says what it was; SIGKILL says nothing */
	};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(limits) && rc == 0; i++)
		rc = lower_limit(limits[i].resource, limits[i].soft, limits[i].hard, e);
	return rc;
}

int
jail_worker(int job_socket, int ruleset, bool keep_module, const struct proto_run *run, struct err *e)
{
	int rc;

	if (ruleset >= 0 && (rc = enter_ruleset(ruleset, e)) != 0)
		return rc;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return err_sys(e, ERR_IO, "asking to die with the zygote");
	rc = jail_limits(run, e);
	if (rc != 0)
		return rc;
	if (job_socket != PROTO_SOCKET_FD && dup3(job_socket, PROTO_SOCKET_FD, O_CLOEXEC) < 0)
		return err_sys(e, ERR_IO, "moving the job socket");
	if (close_range(0, PROTO_SOCKET_FD - 1, 0) != 0)
		return err_sys(e, ERR_IO, "closing descriptors 0 to 2");
	if (!keep_module)
		return close_above(PROTO_SOCKET_FD, e);
	if (close_range(PROTO_SOCKET_FD + 1, PROTO_MODULE_FD - 1, 0) != 0)
		return err_sys(e, ERR_IO, "closing descriptors below the module's");
	return close_above(PROTO_MODULE_FD, e);
}

/* --- the whole ------------------------------------------------------------------------------------------------- */

/* In this order: /proc is there only before mounting, mounting needs capabilities, Landlock needs no_new_privs. */
static const struct layer_step {
	enum proto_layer layer;
	int (*enter)(struct err *e);
} layer_steps[] = {
    {PROTO_LAYER_no_user_ns, enter_no_user_ns},
    {PROTO_LAYER_mount_ns, enter_root},
    {PROTO_LAYER_capabilities, enter_capabilities},
    {PROTO_LAYER_no_new_privs, enter_no_new_privs},
    {PROTO_LAYER_dumpable, enter_dumpable},
    {PROTO_LAYER_landlock, enter_landlock},
    {PROTO_LAYER_speculation, enter_speculation},
};

/* What the launcher must have done before. */
static int
check_start(const struct jail_config *cfg, struct err *e)
{
	if (cfg->profile == JAIL_PROFILE_NAMESPACES && (getpid() != 1 || geteuid() != 0))
		return err_set(e, ERR_UNSUPPORTED,
		    "not the first process of namespaces of its own: this program is started by brig-launcher");
	if (cfg->profile == JAIL_PROFILE_CONTAINER && geteuid() == 0 && cfg->serves == NULL)
		return err_set(e, ERR_UNSUPPORTED, "refusing to run as uid 0 without a user namespace");
	return 0;
}

/* mdwe and seccomp come later; that they can be had is for the caller to see. */
static int
check_required(const struct jail_config *cfg, uint32_t layers, struct err *e)
{
	uint32_t missing = jail_required(cfg->profile) & ~(layers | PROTO_LAYER_mdwe | PROTO_LAYER_seccomp);
	char names[200];

	if (missing == 0)
		return 0;
	return err_set(e, ERR_UNSUPPORTED, "the profile %s requires layers that are missing: %s; see brig doctor",
	    jail_profile_name(cfg->profile), jail_layer_names(missing, names, sizeof(names)));
}

int
jail_enter(const struct jail_config *cfg, uint32_t *layers, struct err *e)
{
	/* without a user namespace of its own, the setting of no_user_ns would be the machine's */
	const uint32_t not_here = (cfg->profile == JAIL_PROFILE_CONTAINER ? PROTO_LAYER_mount_ns : 0) |
				  ((cfg->given & PROTO_LAYER_user_ns) == 0 ? PROTO_LAYER_no_user_ns : 0);
	uint32_t in_force = cfg->given | PROTO_LAYER_rlimits;
	struct err why;
	int rc = check_start(cfg, e);

	if (rc == 0)
		rc = close_above(cfg->last_fd, e);
	if (rc == 0)
		rc = enter_limits(cfg, e);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < ARRAY_LENGTH(layer_steps); i++) {
		if ((layer_steps[i].layer & not_here) != 0)
			continue;
		rc = layer_steps[i].layer == PROTO_LAYER_landlock ? enter_landlock_but(cfg->serves, &why)
								  : layer_steps[i].enter(&why);
		if (rc == 0)
			in_force |= layer_steps[i].layer;
		else if (rc != ERR_UNSUPPORTED) /* those that a kernel may lack are not required */
			return err_set(e, rc, "entering the jail: %s", why.msg);
	}
	rc = check_required(cfg, in_force, e);
	if (rc == 0)
		*layers = in_force;
	return rc;
}

/* --- one layer at a time --------------------------------------------------------------------------------------- */

static int
try_mdwe(struct err *e)
{
	uint32_t layers = 0;
	int rc = jail_lock_code(&layers, e);

	if (rc == 0 && layers == 0)
		return err_set(e, ERR_UNSUPPORTED, "the kernel has no PR_SET_MDWE");
	return rc;
}

static int
try_seccomp(struct err *e)
{
	struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog prog = {.len = 1, .filter = allow};
	uint32_t layers = 0;
	int rc = enter_no_new_privs(e);

	if (rc == 0)
		rc = jail_filter(&prog, &layers, e);
	return rc == ERR_IO && (errno == ENOSYS || errno == EINVAL) ? ERR_UNSUPPORTED : rc;
}

static int
try_rlimits(struct err *e)
{
	const struct proto_run run = {.wall_ms = 1000, .cpu_ms = 1000, .data_bytes = (uint64_t)1 << 62};

	return jail_limits(&run, e);
}

int
jail_try(enum proto_layer layer, struct err *e)
{
	static const struct layer_step later[] = {
	    {PROTO_LAYER_mdwe, try_mdwe},
	    {PROTO_LAYER_seccomp, try_seccomp},
	    {PROTO_LAYER_rlimits, try_rlimits},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(later); i++)
		if (later[i].layer == layer)
			return later[i].enter(e);
	if (layer == PROTO_LAYER_landlock && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_sys(e, ERR_IO, "setting no_new_privs");
	for (size_t i = 0; i < ARRAY_LENGTH(layer_steps); i++)
		if (layer_steps[i].layer == layer)
			return layer_steps[i].enter(e);
	return err_set(e, ERR_INVAL, "a layer that only the launcher can give");
}
