/* tests/unit/attempts_outside: attempts on files, sockets and memory of the host. Test processes, jailed or not. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/mount.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/attempts.h"

/* --- files by name --------------------------------------------------------------------------------------------- */

int
attempt_open(const struct attempt_world *w)
{
	return ended(open(w->secret, O_RDONLY | O_CLOEXEC));
}

int
attempt_openat2(const struct attempt_world *w)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC};

	return ended(syscall(SYS_openat2, AT_FDCWD, w->secret, &how, sizeof(how)));
}

int
attempt_create(const struct attempt_world *w)
{
	char path[120];

	snprintf(path, sizeof(path), "%s/new", w->directory);
	return ended(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

int
attempt_unlink(const struct attempt_world *w)
{
	char path[120];

	snprintf(path, sizeof(path), "%s/link", w->directory);
	return link(w->secret, path) != 0 ? errno : ended(unlink(path));
}

int
attempt_mknod(const struct attempt_world *w)
{
	char path[120];
	int rc;

	snprintf(path, sizeof(path), "%s/device", w->directory);
	rc = ended(mknod(path, S_IFCHR | 0600, makedev(1, 1)));
	return rc == ATTEMPT_THROUGH ? ended(unlink(path)) : rc;
}

int
attempt_open_by_handle(const struct attempt_world *w)
{
	struct file_handle *handle = (void *)(uintptr_t)w->handle;

	if (handle->handle_type == 0 && handle->f_handle[0] == 0)
		return ATTEMPT_UNFIT;
	return ended(open_by_handle_at(open(w->directory, O_RDONLY | O_CLOEXEC), handle, O_RDONLY | O_CLOEXEC));
}

/* Under a read-only name space it would still be a way to what the filter and MDWE forbid: new code. */
int
attempt_proc_self_mem(const struct attempt_world *w)
{
	const uint64_t word = 1;
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	(void)w;
	return fd < 0 ? errno : ended(pwrite(fd, &word, sizeof(word), (off_t)(uintptr_t)&attempt_word));
}

int
attempt_proc_of_another(const struct attempt_world *w)
{
	char path[40], c;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)w->outsider);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? errno : ended(read(fd, &c, 1));
}

int
attempt_chroot(const struct attempt_world *w)
{
	(void)w;
	return ended(chroot("/"));
}

int
attempt_fanotify(const struct attempt_world *w)
{
	(void)w;
	return ended(fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY));
}

/* --- descriptors that were left open --------------------------------------------------------------------------- */

int
attempt_openat_inherited(const struct attempt_world *w)
{
	(void)w;
	return ended(openat(ATTEMPT_FD_DIRECTORY, "secret", O_RDONLY | O_CLOEXEC));
}

int
attempt_list_inherited(const struct attempt_world *w)
{
	char entries[1024];

	(void)w;
	return ended(syscall(SYS_getdents64, ATTEMPT_FD_DIRECTORY, entries, sizeof(entries)));
}

int
attempt_read_inherited(const struct attempt_world *w)
{
	char c;

	(void)w;
	return ended(read(ATTEMPT_FD_FILE, &c, 1));
}

int
attempt_write_inherited_file(const struct attempt_world *w)
{
	(void)w;
	return ended(write(ATTEMPT_FD_FILE, "x", 1));
}

/* Every descriptor that there could be, but the job socket. The bytes go where nobody reads. */
int
attempt_write_inherited(const struct attempt_world *w)
{
	int rc = ATTEMPT_NOT;

	(void)w;
	for (int fd = ATTEMPT_FD_DIRECTORY; fd <= ATTEMPT_FD_PIPE; fd++)
		if (fd != ATTEMPT_FD_FILE && write(fd, "x", 1) == 1)
			rc = ATTEMPT_THROUGH;
	return rc;
}

int
attempt_exec_inherited(const struct attempt_world *w)
{
	static char name[] = "program";
	char *const argv[] = {name, NULL}, *const envp[] = {NULL};

	(void)w;
	return ended(syscall(SYS_execveat, ATTEMPT_FD_PROGRAM, "", argv, envp, AT_EMPTY_PATH));
}

int
attempt_map_inherited(const struct attempt_world *w)
{
	(void)w;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, ATTEMPT_FD_PROGRAM, 0) == MAP_FAILED ? errno : 0;
}

int
attempt_tiocsti(const struct attempt_world *w)
{
	(void)w;
	return ended(ioctl(ATTEMPT_FD_TERMINAL, TIOCSTI, "x"));
}

/* --- new files ------------------------------------------------------------------------------------------------- */

int
attempt_memfd(const struct attempt_world *w)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	(void)w;
	return fd < 0 ? errno : ended(write(fd, "x", 1));
}

int
attempt_memfd_secret(const struct attempt_world *w)
{
	long fd = syscall(SYS_memfd_secret, 0);

	(void)w;
	if (fd < 0)
		return errno == ENOSYS ? ATTEMPT_UNFIT : errno;
	if (ftruncate((int)fd, 4096) != 0)
		return errno;
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0) == MAP_FAILED ? errno : 0;
}

int
attempt_pipe(const struct attempt_world *w)
{
	int ends[2];

	(void)w;
	return ended(pipe2(ends, O_CLOEXEC));
}

/* --- the network ----------------------------------------------------------------------------------------------- */

/* A socket of this family, connected there. */
static int
reach(int family, int type, const void *address, size_t length)
{
	int s = socket(family, type | SOCK_CLOEXEC, 0);

	return s < 0 ? errno : ended(connect(s, address, (socklen_t)length));
}

int
attempt_connect_tcp(const struct attempt_world *w)
{
	struct sockaddr_in in = {
	    .sin_family = AF_INET, .sin_port = htons(w->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return reach(AF_INET, SOCK_STREAM, &in, sizeof(in));
}

/* A name server's question, if there were one. */
int
attempt_send_udp(const struct attempt_world *w)
{
	struct sockaddr_in in = {
	    .sin_family = AF_INET, .sin_port = htons(w->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return s < 0 ? errno : ended(sendto(s, "x", 1, 0, (struct sockaddr *)&in, sizeof(in)));
}

int
attempt_connect_unix(const struct attempt_world *w)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", w->socket);
	return reach(AF_UNIX, SOCK_STREAM, &un, sizeof(un));
}

int
attempt_connect_abstract(const struct attempt_world *w)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "%s", w->directory);
	return reach(AF_UNIX, SOCK_STREAM, &un, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(w->directory));
}

static int
make_socket(int family, int type, int protocol)
{
	int rc = ended(socket(family, type | SOCK_CLOEXEC, protocol));

	return rc == EAFNOSUPPORT || rc == ESOCKTNOSUPPORT || rc == EPROTONOSUPPORT ? ATTEMPT_UNFIT : rc;
}

int
attempt_socket_packet(const struct attempt_world *w)
{
	(void)w;
	return make_socket(AF_PACKET, SOCK_RAW, 0);
}

int
attempt_socket_raw(const struct attempt_world *w)
{
	(void)w;
	return make_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

int
attempt_socket_netlink(const struct attempt_world *w)
{
	(void)w;
	return make_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

/* With it, the hypervisor can be asked; network namespaces do not divide it. */
int
attempt_socket_vsock(const struct attempt_world *w)
{
	(void)w;
	return make_socket(AF_VSOCK, SOCK_STREAM, 0);
}

int
attempt_socket_alg(const struct attempt_world *w)
{
	(void)w;
	return make_socket(AF_ALG, SOCK_SEQPACKET, 0);
}

/* --- the job socket -------------------------------------------------------------------------------------------- */

int
attempt_send_descriptor(const struct attempt_world *w)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {.iov_base = control, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fd = PROTO_SOCKET_FD;

	(void)w;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return ended(sendmsg(PROTO_SOCKET_FD, &m, MSG_NOSIGNAL));
}

/* The other end has sent one. */
int
attempt_receive_descriptor(const struct attempt_world *w)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

	(void)w;
	if (recvmsg(PROTO_SOCKET_FD, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return errno;
	return m.msg_controllen > 0 ? ATTEMPT_THROUGH : ATTEMPT_NOT;
}

/* --- memory shared by name ------------------------------------------------------------------------------------- */

int
attempt_shm_of_another(const struct attempt_world *w)
{
	return w->shm < 0 ? ATTEMPT_UNFIT : shmat(w->shm, NULL, 0) == (void *)-1 ? errno : ATTEMPT_THROUGH;
}

int
attempt_shm_list(const struct attempt_world *w)
{
	struct shm_info info;

	(void)w;
	if (shmctl(0, SHM_INFO, (struct shmid_ds *)(void *)&info) < 0)
		return errno;
	return info.used_ids > 0 ? ATTEMPT_THROUGH : ATTEMPT_NOT;
}

/* --- mounts ---------------------------------------------------------------------------------------------------- */

int
attempt_mount(const struct attempt_world *w)
{
	(void)w;
	return ended(mount("none", "/", "tmpfs", MS_NOSUID, "size=4k"));
}

int
attempt_umount(const struct attempt_world *w)
{
	(void)w;
	return got_to(EINVAL, umount2("/", MNT_DETACH | MNT_EXPIRE)); /* flags that exclude each other */
}

int
attempt_fsopen(const struct attempt_world *w)
{
	long fs = syscall(SYS_fsopen, "tmpfs", 1), fd;

	(void)w;
	if (fs < 0)
		return errno;
	if (syscall(SYS_fsconfig, (int)fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
		return errno;
	fd = syscall(SYS_fsmount, (int)fs, 1, 0);
	if (fd < 0)
		return errno;
	return ended(syscall(SYS_move_mount, (int)fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH));
}

int
attempt_open_tree(const struct attempt_world *w)
{
	(void)w;
	return ended(syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
}

int
attempt_pivot_root(const struct attempt_world *w)
{
	(void)w;
	return got_to(EBUSY, syscall(SYS_pivot_root, "/", "/")); /* it would do so elsewhere */
}
