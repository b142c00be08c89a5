/* tests/unit/attempts_table: attempts, and the layers that stop each. Unit tests, and the table in docs/security.md. */

#ifndef TESTS_UNIT_ATTEMPTS_TABLE_H
#define TESTS_UNIT_ATTEMPTS_TABLE_H

#include "base/proto.h"

/*
 * The layers that the table has a column for, in its order: those of PROTO_LAYERS that stop something, and one more,
 * that a worker keeps no descriptor but its job socket (jail_worker).
 */
#define ATTEMPT_LAYERS(X)  \
	X(seccomp)         \
	X(user_ns)         \
	X(no_user_ns)      \
	X(mount_ns)        \
	X(pid_ns)          \
	X(net_ns)          \
	X(ipc_ns)          \
	X(capabilities)    \
	X(no_new_privs)    \
	X(dumpable)        \
	X(landlock)        \
	X(speculation)     \
	X(mdwe)            \
	X(rlimits)         \
	X(own_uid)         \
	X(descriptors)
#define ATTEMPT_LAYER_COUNT 16

#define PROTO_LAYER_descriptors (1u << 31)
#define AT_S         PROTO_LAYER_seccomp
#define AT_USER      PROTO_LAYER_user_ns
#define AT_NOUSER    PROTO_LAYER_no_user_ns
#define AT_MNT       PROTO_LAYER_mount_ns
#define AT_PID       PROTO_LAYER_pid_ns
#define AT_NET       PROTO_LAYER_net_ns
#define AT_IPC       PROTO_LAYER_ipc_ns
#define AT_CAPS      PROTO_LAYER_capabilities
#define AT_NNP       PROTO_LAYER_no_new_privs
#define AT_DUMP      PROTO_LAYER_dumpable
#define AT_LANDLOCK  PROTO_LAYER_landlock
#define AT_SPEC      PROTO_LAYER_speculation
#define AT_MDWE      PROTO_LAYER_mdwe
#define AT_RLIM      PROTO_LAYER_rlimits
#define AT_UID       PROTO_LAYER_own_uid
#define AT_FDS       PROTO_LAYER_descriptors

/*
 * Each layer named stops the attempt when it is the only one; test_attempts fails where one does not. Where there are
 * fewer than two, why.
 */
#define ATTEMPTS(X)                                                                                               \
	/* files, by name */                                                                                      \
	X(open, AT_S | AT_MNT | AT_LANDLOCK | AT_UID, "open a file by its path", "")                              \
	X(openat2, AT_S | AT_MNT | AT_LANDLOCK | AT_UID, "the same by `openat2`", "")                             \
	X(create, AT_S | AT_MNT | AT_LANDLOCK | AT_UID, "create a file", "")                                      \
	X(unlink, AT_S | AT_MNT | AT_LANDLOCK | AT_UID, "link and unlink a file", "")                             \
	X(mknod, AT_S | AT_USER | AT_MNT | AT_CAPS | AT_LANDLOCK | AT_UID, "make a device", "")                   \
	X(open_by_handle, AT_S | AT_USER | AT_MNT | AT_CAPS | AT_LANDLOCK | AT_UID,                               \
	  "open a file by its handle, without a path", "")                                                        \
	X(proc_self_mem, AT_S | AT_MNT | AT_LANDLOCK,                                                             \
	  "rewrite its own memory, code included, by `/proc/self/mem`", "")                                       \
	X(proc_of_another, AT_S | AT_USER | AT_MNT | AT_CAPS | AT_LANDLOCK | AT_UID,                              \
	  "read about another process in `/proc`", "")                                                            \
	X(chroot, AT_S | AT_CAPS | AT_UID, "`chroot`", "")                                                        \
	X(fanotify, AT_S | AT_USER | AT_CAPS | AT_UID, "watch the files of the machine (`fanotify_init`)", "")    \
	/* descriptors that were left open */                                                                     \
	X(openat_inherited, AT_S | AT_LANDLOCK | AT_UID | AT_FDS, "open a file below a directory left open", "")  \
	X(list_inherited, AT_S | AT_FDS, "list a directory left open", "")                                        \
	X(read_inherited, AT_S | AT_FDS, "read a file left open", "")                                             \
	X(write_inherited_file, AT_S | AT_RLIM | AT_FDS, "write to a file left open", "")                         \
	X(write_inherited, AT_S | AT_FDS, "write to a pipe left open", "")                                        \
	X(exec_inherited, AT_S | AT_LANDLOCK | AT_FDS, "execute a program left open (`execveat`)", "")            \
	X(map_inherited, AT_S | AT_FDS, "map the code of a program left open", "")                                \
	X(tiocsti, AT_S | AT_USER | AT_CAPS | AT_UID | AT_FDS, "type into a terminal left open (`TIOCSTI`)", "")  \
	/* new descriptors */                                                                                     \
	X(memfd, AT_S | AT_RLIM, "make a memory file and write to it", "")                                        \
	X(memfd_secret, AT_S | AT_RLIM, "make memory that nobody else sees (`memfd_secret`)", "")                 \
	X(pipe, AT_S, "make a pipe", "harmless to others; no other layer looks at pipes")                         \
	/* the network */                                                                                         \
	X(connect_tcp, AT_S | AT_NET | AT_LANDLOCK, "connect to a TCP port of the machine", "")                   \
	X(send_udp, AT_S | AT_NET, "send a UDP packet to the machine", "")                                        \
	X(connect_unix, AT_S | AT_MNT | AT_UID, "connect to a Unix socket by its path", "")                       \
	X(connect_abstract, AT_S | AT_NET | AT_LANDLOCK, "connect to an abstract Unix socket", "")                \
	X(socket_vsock, AT_S, "a socket to the hypervisor (`AF_VSOCK`)",                                          \
	  "not divided by network namespaces, not known to Landlock")                                             \
	X(socket_packet, AT_S | AT_USER | AT_CAPS | AT_UID, "a packet socket", "")                                \
	X(socket_raw, AT_S | AT_USER | AT_CAPS | AT_UID, "a raw IP socket", "")                                   \
	X(socket_netlink, AT_S, "a netlink socket", "speaks to an empty network namespace")                       \
	X(socket_alg, AT_S, "a socket of the kernel's cryptography (`AF_ALG`)",                                   \
	  "not divided by network namespaces, not known to Landlock")                                             \
	/* the job socket */                                                                                      \
	X(send_descriptor, AT_S, "send a descriptor over the job socket",                                         \
	  "it has none but the socket itself; brigd closes what comes and ends the run")                          \
	X(receive_descriptor, AT_S, "receive a descriptor from the job socket",                                   \
	  "brigd sends none after the job")                                                                       \
	/* memory shared by name */                                                                               \
	X(shm_of_another, AT_S | AT_IPC | AT_UID, "attach another process's System V segment", "")                \
	X(shm_list, AT_S | AT_IPC, "count the machine's System V segments", "")                                   \
	/* mounts */                                                                                              \
	X(mount, AT_S | AT_USER | AT_CAPS | AT_LANDLOCK | AT_UID, "mount a file system", "")                      \
	X(umount, AT_S | AT_USER | AT_CAPS | AT_LANDLOCK | AT_UID, "unmount one", "")                             \
	X(fsopen, AT_S | AT_USER | AT_CAPS | AT_LANDLOCK | AT_UID, "mount by `fsopen`, `fsmount`, `move_mount`",  \
	  "")                                                                                                     \
	X(open_tree, AT_S | AT_USER | AT_CAPS | AT_UID, "copy a tree of mounts (`open_tree`)", "")                \
	X(pivot_root, AT_S | AT_USER | AT_CAPS | AT_LANDLOCK | AT_UID, "`pivot_root`", "")                        \
	/* more processes */                                                                                      \
	X(fork, AT_S | AT_RLIM, "fork", "")                                                                       \
	X(vfork, AT_S | AT_RLIM, "vfork", "")                                                                     \
	X(thread, AT_S | AT_RLIM, "start a thread", "")                                                           \
	X(clone3, AT_S | AT_RLIM, "`clone3`", "")                                                                 \
	X(clone_user, AT_S | AT_NOUSER | AT_RLIM, "clone with `CLONE_NEWUSER`", "")                               \
	X(clone_mount, AT_S | AT_CAPS | AT_UID, "clone with `CLONE_NEWNS`", "")                                   \
	X(clone_pid, AT_S | AT_CAPS | AT_UID, "clone with `CLONE_NEWPID`", "")                                    \
	X(clone_net, AT_S | AT_CAPS | AT_UID, "clone with `CLONE_NEWNET`", "")                                    \
	X(clone_ipc, AT_S | AT_CAPS | AT_UID, "clone with `CLONE_NEWIPC`", "")                                    \
	X(clone_uts, AT_S | AT_CAPS | AT_UID, "clone with `CLONE_NEWUTS`", "")                                    \
	X(clone_cgroup, AT_S | AT_CAPS | AT_UID, "clone with `CLONE_NEWCGROUP`", "")                              \
	X(clone_time, AT_S | AT_CAPS | AT_UID, "clone with `CLONE_NEWTIME`", "")                                  \
	X(clone_all, AT_S | AT_NOUSER | AT_RLIM, "clone with all of these", "")                                   \
	/* other namespaces, other programs */                                                                    \
	X(unshare_user, AT_S | AT_NOUSER, "`unshare` of the user namespace", "")                                  \
	X(unshare_net, AT_S | AT_CAPS | AT_UID, "`unshare` of the network namespace", "")                         \
	X(setns, AT_S | AT_USER | AT_PID | AT_CAPS | AT_LANDLOCK | AT_UID,                                        \
	  "enter another process's namespace (`setns`)", "")                                                      \
	X(execve, AT_S | AT_MNT | AT_LANDLOCK | AT_UID, "execute a program", "")                                  \
	X(setuid_program, AT_S | AT_USER | AT_NNP | AT_LANDLOCK, "become root by a set-uid program", "")          \
	/* other processes */                                                                                     \
	X(ptrace_outside, AT_S | AT_USER | AT_PID | AT_CAPS | AT_LANDLOCK | AT_UID, "trace a process outside",    \
	  "")                                                                                                     \
	X(ptrace_beside, AT_S | AT_DUMP | AT_LANDLOCK, "trace another worker", "")                                \
	X(vm_readv_outside, AT_S | AT_USER | AT_PID | AT_CAPS | AT_LANDLOCK | AT_UID,                             \
	  "read the memory of a process outside", "")                                                             \
	X(vm_readv_beside, AT_S | AT_DUMP | AT_LANDLOCK, "read the memory of another worker", "")                 \
	X(vm_writev_outside, AT_S | AT_USER | AT_PID | AT_CAPS | AT_LANDLOCK | AT_UID,                            \
	  "write to the memory of a process outside", "")                                                         \
	X(vm_writev_beside, AT_S | AT_DUMP | AT_LANDLOCK, "write to the memory of another worker", "")            \
	X(pidfd_getfd_outside, AT_S | AT_USER | AT_PID | AT_CAPS | AT_LANDLOCK | AT_UID,                          \
	  "take a descriptor from a process outside", "")                                                         \
	X(pidfd_getfd_beside, AT_S | AT_DUMP | AT_LANDLOCK, "take a descriptor from another worker", "")          \
	X(kcmp_outside, AT_S | AT_USER | AT_PID | AT_CAPS | AT_LANDLOCK | AT_UID,                                 \
	  "compare itself with a process outside (`kcmp`)", "")                                                   \
	X(kcmp_beside, AT_S | AT_DUMP | AT_LANDLOCK, "compare itself with another worker", "")                    \
	X(kill_outside, AT_S | AT_PID | AT_LANDLOCK | AT_UID, "signal a process outside", "")                     \
	X(kill_beside, AT_S | AT_LANDLOCK, "signal another worker", "")                                           \
	X(tgkill_outside, AT_S | AT_PID | AT_LANDLOCK | AT_UID, "`tgkill` a process outside", "")                 \
	X(tgkill_beside, AT_S | AT_LANDLOCK, "`tgkill` another worker", "")                                       \
	X(kill_zygote, AT_S | AT_PID | AT_LANDLOCK, "kill its zygote, process 1", "")                             \
	X(kill_all, AT_S, "signal all that it can (`kill -1`)", "whom it would reach is in the rows above")       \
	X(prlimit_outside, AT_S | AT_PID | AT_UID, "look at the limits of a process outside", "")                 \
	X(prlimit_beside, AT_S, "look at the limits of another worker",                                           \
	  "workers of one zygote share a user and a pid namespace")                                               \
	X(setpriority_outside, AT_S | AT_PID | AT_CAPS | AT_UID, "slow down a process outside", "")               \
	X(setpriority_beside, AT_S, "slow down another worker",                                                   \
	  "workers of one zygote share a user and a pid namespace")                                               \
	X(affinity_outside, AT_S | AT_PID | AT_CAPS | AT_UID, "move a process outside to another processor", "")  \
	X(affinity_beside, AT_S, "move another worker to another processor",                                      \
	  "workers of one zygote share a user and a pid namespace")                                               \
	X(cpu_clock_outside, AT_S | AT_PID, "watch the CPU clock of a process outside", "")                       \
	X(cpu_clock_beside, AT_S, "watch the CPU clock of another worker",                                        \
	  "workers of one zygote share a pid namespace")                                                          \
	/* more privilege */                                                                                      \
	X(setuid, AT_S | AT_USER | AT_CAPS | AT_UID, "become another user", "")                                   \
	X(setgroups, AT_S | AT_USER | AT_CAPS | AT_UID, "join a group", "")                                       \
	X(capset, AT_S | AT_CAPS | AT_UID, "take a capability", "")                                               \
	X(securebits, AT_S | AT_CAPS | AT_UID, "change its securebits", "")                                       \
	X(raise_limit, AT_S | AT_USER | AT_CAPS | AT_UID, "raise a resource limit", "")                           \
	X(nice, AT_S | AT_USER | AT_CAPS | AT_UID, "raise its priority", "")                                      \
	X(realtime, AT_S | AT_USER | AT_CAPS | AT_UID, "real-time scheduling", "")                                \
	X(affinity_own, AT_S, "choose its processors", "concerns itself; its CPU time is bounded all the same")   \
	/* less jail */                                                                                           \
	X(become_dumpable, AT_S, "become dumpable again",                                                         \
	  "any process may; the other layers of the rows about memory and cores remain")                          \
	X(outlive, AT_S, "outlive its zygote (`PR_SET_PDEATHSIG`)",                                               \
	  "any process may; as its zygote is process 1, the pid namespace ends it anyway")                        \
	X(speculate, AT_S | AT_SPEC, "turn speculation on again", "")                                             \
	X(seccomp, AT_S, "load another filter", "a filter on top can only take away")                             \
	X(landlock, AT_S, "restrict itself with Landlock", "a domain below can only take away")                   \
	X(dispatch, AT_S, "redirect system calls (`PR_SET_SYSCALL_USER_DISPATCH`)",                               \
	  "concerns itself; the filter comes first")                                                              \
	X(x32, AT_S, "a call by an x32 number", "the way into the kernel is only the filter's to see")            \
	X(i386, AT_S, "a call by the i386 entry (`int 0x80`)",                                                    \
	  "the way into the kernel is only the filter's to see")                                                  \
	X(arch_prctl, AT_S, "`arch_prctl`", "concerns itself")                                                    \
	X(ldt, AT_S, "its descriptor table (`modify_ldt`)", "concerns itself")                                    \
	/* code */                                                                                                \
	X(mmap_rwx, AT_S | AT_MDWE, "map memory that can be written and executed", "")                            \
	X(mprotect_exec, AT_S | AT_MDWE, "make written memory executable (`mprotect`)", "")                       \
	X(pkey_mprotect, AT_S | AT_MDWE, "the same by `pkey_mprotect`", "")                                       \
	X(mremap_exec, AT_S | AT_MDWE, "move code by `mremap`, rewrite it, make it code again", "")               \
	X(shmat_exec, AT_S | AT_MDWE, "executable shared memory (`shmat`)", "")                                   \
	X(personality, AT_S | AT_MDWE, "make all memory executable (`personality`)", "")                          \
	/* memory */                                                                                              \
	X(much_memory, AT_RLIM, "more memory than its limit",                                                     \
	  "the filter does not count; a control group does, where there is one")                                  \
	X(much_address_space, AT_RLIM, "address space without end, for page tables",                              \
	  "the filter does not count; a control group does, where there is one")                                  \
	X(much_shared_memory, AT_S, "the same as shared memory",                                                  \
	  "RLIMIT_DATA does not count it; a control group does, where there is one")                              \
	X(much_stack, AT_S, "the same as a stack",                                                                \
	  "RLIMIT_DATA does not count it; a control group does, where there is one")                              \
	X(hidden_memory, AT_S, "the same, made read-only when it is written",                                     \
	  "RLIMIT_DATA does not count it; a control group does, where there is one")                              \
	X(huge_pages, AT_S, "huge pages of the machine",                                                          \
	  "no other layer counts them but a control group, where there is one")                                   \
	X(mlock, AT_S | AT_RLIM, "lock memory", "")                                                               \
	X(merge_pages, AT_S, "have its pages merged with those of others (KSM)",                                  \
	  "any process may, where the kernel does it")                                                            \
	X(poison_page, AT_S | AT_USER | AT_CAPS | AT_UID, "mark memory of the machine as broken", "")             \
	/* time and signals */                                                                                    \
	X(timers, AT_S, "many timers",                                                                            \
	  "bounded by RLIMIT_SIGPENDING, which all workers of a user share, so it is as it was")                  \
	X(itimer, AT_S, "an interval timer", "concerns itself; its zygote ends it past its time")                 \
	X(block_signals, AT_S, "block all signals", "concerns itself; its zygote ends it past its time")          \
	X(core, AT_MNT | AT_DUMP | AT_LANDLOCK | AT_RLIM | AT_UID, "leave a core file", "")                       \
	/* the machine */                                                                                         \
	X(sethostname, AT_S | AT_USER | AT_CAPS | AT_UID, "set the host's name", "")                              \
	X(set_clock, AT_S | AT_USER | AT_CAPS | AT_UID, "set the clock", "")                                      \
	X(reboot, AT_S | AT_USER | AT_CAPS | AT_UID, "reboot", "")                                                \
	X(load_module, AT_S | AT_USER | AT_CAPS | AT_UID, "load a kernel module", "")                             \
	X(kexec, AT_S | AT_USER | AT_CAPS | AT_UID, "load another kernel", "")                                    \
	X(swapoff, AT_S | AT_USER | AT_CAPS | AT_UID, "turn off swap", "")                                        \
	X(syslog, AT_S | AT_USER | AT_CAPS | AT_UID, "set what the kernel logs (`syslog`)", "")                   \
	X(ioperm, AT_S | AT_USER | AT_CAPS | AT_UID, "reach hardware ports", "")                                  \
	/* the kernel's large interfaces */                                                                       \
	X(add_key, AT_S, "add a key to a keyring", "its user and user namespace have no key of others")           \
	X(read_keys, AT_S | AT_USER | AT_UID, "find a key of its user", "")                                       \
	X(bpf, AT_S | AT_USER | AT_CAPS | AT_UID, "load a BPF program", "")                                       \
	X(perf, AT_S | AT_USER | AT_CAPS | AT_UID, "count events of a processor (`perf_event_open`)", "")         \
	X(io_uring, AT_S, "`io_uring_setup`", "any process may, where sysctl kernel.io_uring_disabled is 0")      \
	X(userfaultfd, AT_S | AT_USER | AT_CAPS | AT_UID, "`userfaultfd`", "")                                    \
	X(userfaultfd_user, AT_S, "`userfaultfd` of user mode only", "any process may; only faults of its own")

#endif
