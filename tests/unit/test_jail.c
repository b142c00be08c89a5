/* The jail: each layer is looked at from inside, as root's child and as a plain user's. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox/jail.h"
#include "sandbox/spawn.h"
#include "tests/unit/jailed.h"

/* A test body is run twice: as a child that root's launcher would start, and as a plain user's. */
#define BOTH(name)                                  \
	static void name##_started_by_root(void **state) \
	{                                           \
		(void)state;                        \
		jailed_spawn_root(name, NULL);      \
	}                                           \
	static void name##_started_by_a_user(void **state) \
	{                                           \
		(void)state;                        \
		jailed_spawn_plain(name, NULL);     \
	}                                           \
	_Static_assert(1, "so that a semicolon may follow")
#define BOTH_TESTS(name) cmocka_unit_test(name##_started_by_root), cmocka_unit_test(name##_started_by_a_user)

/* What a launcher gives a child in all namespaces. */
static const struct jail_config config = {
    .profile = JAIL_PROFILE_NAMESPACES,
    .given = PROTO_LAYER_user_ns | PROTO_LAYER_pid_ns | PROTO_LAYER_net_ns | PROTO_LAYER_ipc_ns,
    .last_fd = JAILED_LAST_FD,
};

static int
enter(struct err *e)
{
	uint32_t layers = 0;
	int rc = jail_enter(&config, &layers, e);

	if (rc == 0)
		NEED(((layers | PROTO_LAYER_seccomp) & jail_required(config.profile)) == jail_required(config.profile));
	return rc;
}

static int
the_root_is_empty_and_read_only(void *arg, struct err *e)
{
	DIR *d;
	int entries = 0;

	(void)arg;
	/* before the jail, so that it is the mount that is looked at, not Landlock */
	NEED(jail_try(PROTO_LAYER_mount_ns, e) == 0);
	d = opendir("/");
	NEED(d != NULL);
	while (readdir(d) != NULL)
		entries++;
	closedir(d);
	NEED(entries == 2);
	NEED(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == ENOENT);
	NEED(open("/proc/self/exe", O_RDONLY | O_CLOEXEC) < 0 && errno == ENOENT);
	NEED(mkdir("/x", 0700) != 0 && errno == EROFS);
	NEED(chdir("..") == 0 && access("etc", F_OK) != 0);
	return 0;
}
BOTH(the_root_is_empty_and_read_only);

static int
no_other_process_has_a_name(void *arg, struct err *e)
{
	(void)arg;
	NEED(enter(e) == 0);
	NEED(getpid() == 1);
	NEED(kill(-1, 0) != 0 && errno == ESRCH);
	for (pid_t pid = 2; pid < 1000; pid++)
		NEED(kill(pid, 0) != 0 && errno == ESRCH);
	return 0;
}
BOTH(no_other_process_has_a_name);

static int
there_is_no_network(void *arg, struct err *e)
{
	struct sockaddr_in loopback = {
	    .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct ifreq up = {.ifr_name = "lo"};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)arg;
	NEED(enter(e) == 0);
	NEED(s >= 0);
	NEED(connect(s, (struct sockaddr *)&loopback, sizeof(loopback)) != 0);
	NEED(ioctl(s, SIOCGIFFLAGS, &up) == 0 && (up.ifr_flags & IFF_UP) == 0);
	for (int i = 2; i < 100; i++) {
		struct ifreq other = {.ifr_ifindex = i};
		static const char *const tunnels[] = {"lo", "sit0", "tunl0", "gre0", "gretap0", "erspan0", "ip6tnl0",
		    "ip6gre0", "ip6_vti0", "ip_vti0"}; /* what some kernels put into every new namespace, down */

		if (ioctl(s, SIOCGIFNAME, &other) == 0) {
			bool known = false;

			for (size_t j = 0; j < sizeof(tunnels) / sizeof(tunnels[0]); j++)
				known |= strcmp(other.ifr_name, tunnels[j]) == 0;
			NEED(known);
		}
	}
	return 0;
}

/* The socket has to be from inside the namespace but before the jail counts as entered: see there_is_no_network. */
BOTH(there_is_no_network);

static int
no_capability_is_left(void *arg, struct err *e)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	(void)arg;
	NEED(enter(e) == 0);
	NEED(syscall(SYS_capget, &header, data) == 0);
	for (int i = 0; i < 2; i++)
		NEED(data[i].effective == 0 && data[i].permitted == 0 && data[i].inheritable == 0);
	NEED(prctl(PR_CAPBSET_READ, 0, 0, 0, 0) == 0);
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		NEED(prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 0);
	NEED(sethostname("x", 1) != 0 && errno == EPERM);
	NEED(setresuid(1, 1, 1) != 0);
	return 0;
}
BOTH(no_capability_is_left);

static int
it_cannot_gain_privilege_or_be_dumped(void *arg, struct err *e)
{
	struct rlimit core;

	(void)arg;
	NEED(enter(e) == 0);
	NEED(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	NEED(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	NEED(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);
	return 0;
}
BOTH(it_cannot_gain_privilege_or_be_dumped);

static int
a_directory_descriptor_from_outside_is_of_no_use(void *arg, struct err *e)
{
	int dir = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)arg;
	if (jail_landlock_abi() == 0)
		return err_set(e, ERR_UNSUPPORTED, "skipped: no Landlock");
	NEED(dir >= 0 && dir <= JAILED_LAST_FD);
	NEED(openat(dir, "passwd", O_RDONLY | O_CLOEXEC) >= 0);
	NEED(enter(e) == 0);
	NEED(openat(dir, "passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	return 0;
}
BOTH(a_directory_descriptor_from_outside_is_of_no_use);

static int
stray_descriptors_are_closed(void *arg, struct err *e)
{
	int stray = fcntl(STDERR_FILENO, F_DUPFD, 100);

	(void)arg;
	NEED(stray >= 100);
	NEED(enter(e) == 0);
	NEED(fcntl(stray, F_GETFD) < 0 && errno == EBADF);
	return 0;
}
BOTH(stray_descriptors_are_closed);

static int
no_page_becomes_executable_any_more(void *arg, struct err *e)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint32_t layers = 0;
	void *p;

	(void)arg;
	NEED(jail_lock_code(&layers, e) == 0);
	if ((layers & PROTO_LAYER_mdwe) == 0)
		return err_set(e, ERR_UNSUPPORTED, "skipped: no PR_SET_MDWE");
	p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(p != MAP_FAILED);
	NEED(mprotect(p, page, PROT_READ | PROT_EXEC) != 0 && errno == EACCES);
	NEED(mmap(NULL, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	return 0;
}

static void
no_page_becomes_executable_after_locking(void **state)
{
	int status = jailed_fork(no_page_becomes_executable_any_more, NULL);

	(void)state;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static int
worker_body(void *arg, struct err *e)
{
	const struct proto_run run = {.wall_ms = 1000, .cpu_ms = 1500, .data_bytes = 64 << 20};
	struct rlimit limit;
	int sv[2];

	(void)arg;
	NEED(imsg_pair(sv, e) == 0);
	NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && jail_worker(sv[1], jail_ruleset(e), false, &run, e) == 0);
	for (int fd = 0; fd < 256; fd++)
		NEED((fcntl(fd, F_GETFD) >= 0) == (fd == PROTO_SOCKET_FD));
	NEED(getrlimit(RLIMIT_CPU, &limit) == 0 && limit.rlim_cur == 3); /* 1.5 s rounded up, plus one */
	NEED(limit.rlim_max == 4);
	NEED(getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_max == 64 << 20);
	NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max == JAIL_WORKER_FDS);
	NEED(getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_max == 0);
	NEED(getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_max == 0);
	NEED(mmap(NULL, 128 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	return 0;
}

static void
a_worker_keeps_one_descriptor_and_small_limits(void **state)
{
	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* the sanitizer's own mappings are past any RLIMIT_DATA */
#endif
	assert_int_equal(jailed_plain(worker_body, NULL), 0);
}

/* As a worker whose own timer does not end it. */
static int
burn(void *arg, struct err *e)
{
	const struct proto_run run = {.wall_ms = 60000, .cpu_ms = 0, .data_bytes = (uint64_t)1 << 62};
	int sv[2];

	(void)arg;
	NEED(imsg_pair(sv, e) == 0);
	NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && jail_worker(sv[1], -1, false, &run, e) == 0);
	for (volatile uint64_t i = 0;; i++)
		continue;
}

static void
a_worker_past_its_cpu_time_is_ended_by_the_signal_that_says_so(void **state)
{
	int status = jailed_plain(burn, NULL);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGXCPU);
}

static int
worker_under_lower_limits(void *arg, struct err *e)
{
	const struct proto_run run = {.wall_ms = 1000, .cpu_ms = 60000, .data_bytes = (uint64_t)1 << 62};
	const struct rlimit files = {4, 8}, cpu = {5, 30};
	struct rlimit limit;
	int sv[2];

	(void)arg;
	NEED(imsg_pair(sv, e) == 0);
	NEED(setrlimit(RLIMIT_NOFILE, &files) == 0 && setrlimit(RLIMIT_CPU, &cpu) == 0);
	NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && jail_worker(sv[1], -1, false, &run, e) == 0);
	NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max == 8);
	NEED(getrlimit(RLIMIT_CPU, &limit) == 0 && limit.rlim_cur == 30 && limit.rlim_max == 30);
	return 0;
}

static void
limits_that_are_lower_already_stay(void **state)
{
	(void)state;
	assert_int_equal(jailed_plain(worker_under_lower_limits, NULL), 0);
}

static int
a_plain_process(void *arg, struct err *e)
{
	uint32_t layers = 0x5a5a;

	(void)arg;
	NEED(jail_enter(&config, &layers, e) == ERR_UNSUPPORTED);
	NEED(layers == 0x5a5a);
	return 0;
}

static void
refuses_a_process_without_namespaces(void **state)
{
	(void)state;
	assert_int_equal(jailed_fork(a_plain_process, NULL), 0);
}

/* What it says is the launcher's fault is not put on a layer that is missing too, and that nobody needs. */
static int
a_layer_that_was_not_given_is_named(void *arg, struct err *e)
{
	struct jail_config without = config;
	uint32_t layers = 0x5a5a;
	struct err why;

	(void)arg;
	without.given &= ~(uint32_t)PROTO_LAYER_net_ns;
	NEED(mount("none", "/proc", "tmpfs", 0, NULL) == 0); /* so that no_user_ns cannot be had */
	NEED(jail_enter(&without, &layers, &why) == ERR_UNSUPPORTED && layers == 0x5a5a);
	if (strstr(why.msg, "missing: net_ns; see brig doctor") == NULL)
		return err_set(e, ERR_INVAL, "it says: %s", why.msg);
	return 0;
}
BOTH(a_layer_that_was_not_given_is_named);

/* How many user namespaces may be made is set in its own only: here it was not given one, so nothing is set. */
static int
what_is_not_its_own_is_not_set(void *arg, struct err *e)
{
	struct jail_config without = config;
	uint32_t layers;
	struct err why;

	(void)arg;
	without.given &= ~(uint32_t)PROTO_LAYER_user_ns;
	NEED(jail_enter(&without, &layers, &why) == ERR_UNSUPPORTED && strstr(why.msg, "missing: user_ns") != NULL);
	NEED(unshare(CLONE_NEWUSER) == 0);
	return 0;
}
BOTH(what_is_not_its_own_is_not_set);

static int
container_body(void *arg, struct err *e)
{
	const struct jail_config container = {.profile = JAIL_PROFILE_CONTAINER, .last_fd = JAILED_LAST_FD};
	const uint32_t namespaces = PROTO_LAYER_user_ns | PROTO_LAYER_mount_ns | PROTO_LAYER_pid_ns | PROTO_LAYER_net_ns;
	uint32_t layers = 0;

	(void)arg;
	NEED(jail_enter(&container, &layers, e) == 0);
	NEED((layers & namespaces) == 0);
	NEED(((layers | PROTO_LAYER_seccomp) & jail_required(JAIL_PROFILE_CONTAINER)) ==
	     jail_required(JAIL_PROFILE_CONTAINER));
	if (jail_landlock_abi() > 0)
		NEED(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	return 0;
}

static void
the_container_profile_does_without_namespaces_and_says_so(void **state)
{
	(void)state;
	assert_int_equal(jailed_plain(container_body, NULL), 0);
}

static int
container_as_root(void *arg, struct err *e)
{
	const struct jail_config container = {.profile = JAIL_PROFILE_CONTAINER, .last_fd = JAILED_LAST_FD};
	uint32_t layers = 0;

	(void)arg;
	NEED(jail_enter(&container, &layers, e) == ERR_UNSUPPORTED);
	return 0;
}

static void
the_container_profile_refuses_root(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(jailed_fork(container_as_root, NULL), 0);
}

static void
names_layers_as_doctor_does(void **state)
{
	char text[100], tiny[8];

	(void)state;
	assert_string_equal(jail_layer_names(PROTO_LAYER_user_ns | PROTO_LAYER_seccomp, text, sizeof(text)),
	    "user_ns, seccomp");
	assert_string_equal(jail_layer_names(0, text, sizeof(text)), "");
	assert_string_equal(jail_layer_names(PROTO_LAYER_user_ns | PROTO_LAYER_seccomp, tiny, sizeof(tiny)), "user_ns");
}

static void
knows_its_profiles(void **state)
{
	enum jail_profile p = JAIL_PROFILE_NAMESPACES;
	struct err e;

	(void)state;
	assert_int_equal(jail_profile_parse("container", &p, &e), 0);
	assert_int_equal(p, JAIL_PROFILE_CONTAINER);
	assert_int_equal(jail_profile_parse("Container", &p, &e), ERR_INVAL);
	assert_int_equal(p, JAIL_PROFILE_CONTAINER);
	assert_string_equal(jail_profile_name(JAIL_PROFILE_NAMESPACES), "namespaces");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH_TESTS(the_root_is_empty_and_read_only),
	    BOTH_TESTS(no_other_process_has_a_name),
	    BOTH_TESTS(there_is_no_network),
	    BOTH_TESTS(no_capability_is_left),
	    BOTH_TESTS(it_cannot_gain_privilege_or_be_dumped),
	    BOTH_TESTS(a_directory_descriptor_from_outside_is_of_no_use),
	    BOTH_TESTS(stray_descriptors_are_closed),
	    cmocka_unit_test(no_page_becomes_executable_after_locking),
	    cmocka_unit_test(a_worker_keeps_one_descriptor_and_small_limits),
	    cmocka_unit_test(a_worker_past_its_cpu_time_is_ended_by_the_signal_that_says_so),
	    cmocka_unit_test(limits_that_are_lower_already_stay),
	    cmocka_unit_test(refuses_a_process_without_namespaces),
	    BOTH_TESTS(a_layer_that_was_not_given_is_named),
	    BOTH_TESTS(what_is_not_its_own_is_not_set),
	    cmocka_unit_test(the_container_profile_does_without_namespaces_and_says_so),
	    cmocka_unit_test(the_container_profile_refuses_root),
	    cmocka_unit_test(names_layers_as_doctor_does),
	    cmocka_unit_test(knows_its_profiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
