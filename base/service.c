/* base/service: the skeleton of brigd's small processes: fewer rights, a table of messages, one loop. Store, logger. */

#include "base/service.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/proto.h"

/* --- options and rights ----------------------------------------------------------------------------------------- */

int
service_number(const char *name, const char *text, uint64_t least, uint64_t most, uint64_t *out, struct err *e)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || v < least || v > most)
		return err_set(e, ERR_INVAL, "%s %.40s: it is a whole number from %ju to %ju", name, text, (uintmax_t)least,
		    (uintmax_t)most);
	*out = v;
	return 0;
}

#define EXTRA_MAX 8

struct options {
	const char *dir;
	bool has_ids; /* become uid and gid */
	uid_t uid;
	gid_t gid;
};

static int
parse(int argc, char **argv, const struct service_argument *extra, size_t count, struct options *o, struct err *e)
{
	struct option table[EXTRA_MAX + 4] = {{0}};
	const char *uid = NULL, *gid = NULL;
	const struct service_argument own[] = {{"dir", &o->dir}, {"uid", &uid}, {"gid", &gid}};
	const size_t owns = sizeof(own) / sizeof(own[0]);
	uint64_t ids[2] = {0, 0};
	int option, rc = 0;

	if (count > EXTRA_MAX)
		return err_set(e, ERR_INVAL, "%zu options, more than %d", count, EXTRA_MAX);
	for (size_t i = 0; i < owns + count; i++)
		table[i] = (struct option){i < owns ? own[i].name : extra[i - owns].name, required_argument, NULL, (int)i};
	opterr = 0;
	optind = 0;
	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == '?')
			return err_set(e, ERR_INVAL, "the option %.40s is not known or lacks its value", argv[optind - 1]);
		*((size_t)option < owns ? own[option].value : extra[(size_t)option - owns].value) = optarg;
	}
	if (optind < argc)
		return err_set(e, ERR_INVAL, "%.40s is one argument too many", argv[optind]);
	for (size_t i = 0; i < count; i++)
		if (*extra[i].value == NULL)
			return err_set(e, ERR_INVAL, "--%s is needed", extra[i].name);
	if (o->dir == NULL || (uid == NULL) != (gid == NULL))
		return err_set(e, ERR_INVAL, "--dir is needed, and --uid and --gid go together");
	o->has_ids = uid != NULL;
	if (o->has_ids && (rc = service_number("--uid", uid, 1, INT32_MAX, &ids[0], e)) == 0)
		rc = service_number("--gid", gid, 1, INT32_MAX, &ids[1], e);
	o->uid = (uid_t)ids[0];
	o->gid = (gid_t)ids[1];
	return rc;
}

/* Checks an open directory; one that root has just made for another user is handed over. */
static int
directory_check(int fd, const struct options *o, struct err *e)
{
	uid_t uid = o->has_ids ? o->uid : geteuid();
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_sys(e, ERR_IO, "%s", o->dir);
	if (o->has_ids && st.st_uid == 0 && geteuid() == 0 && uid != 0 && (st.st_mode & 07777) == 0700) {
		if (fchown(fd, o->uid, o->gid) != 0 || fstat(fd, &st) != 0)
			return err_sys(e, ERR_IO, "giving %s to uid %u", o->dir, (unsigned)uid);
	}
	if (st.st_uid != uid)
		return err_set(e, ERR_DENIED, "%s belongs to uid %u, not to uid %u: chown it, or name another directory", o->dir,
		    (unsigned)st.st_uid, (unsigned)uid);
	if ((st.st_mode & 077) != 0)
		return err_set(e, ERR_DENIED, "%s is open to others (mode %04o): chmod 700 it", o->dir,
		    (unsigned)st.st_mode & 07777);
	return 0;
}

static int
open_directory(const struct options *o, struct err *e)
{
	int fd, rc;

	if (mkdir(o->dir, 0700) != 0 && errno != EEXIST)
		return err_sys(e, ERR_IO, "making the directory %s", o->dir);
	fd = open(o->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, ERR_IO, "%s", o->dir);
	rc = directory_check(fd, o, e);
	if (rc != 0) {
		close(fd);
		return rc;
	}
	return fd;
}

static int
lower(const struct options *o, struct err *e)
{
	static const int ignored[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	const struct rlimit none = {0, 0};

	if (geteuid() == 0 && !o->has_ids)
		return err_set(e, ERR_INVAL, "started as root: --uid and --gid are needed, to be somebody else");
	if (o->has_ids && (setgroups(0, NULL) != 0 || setresgid(o->gid, o->gid, o->gid) != 0 ||
	    setresuid(o->uid, o->uid, o->uid) != 0))
		return err_sys(e, ERR_IO, "becoming uid %u, gid %u", (unsigned)o->uid, (unsigned)o->gid);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
		return err_sys(e, ERR_IO, "giving up privileges");
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	return 0;
}

/* Whether the descriptor is a socket as brigd gives it. */
static bool
is_child(int sock)
{
	int type;
	socklen_t length = sizeof(type);

	return getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET;
}

int
service_start(int argc, char **argv, const struct service_argument *extra, size_t count, struct err *e)
{
	struct options o = {0};
	int dir = -1, rc;

	if (!is_child(PROTO_SOCKET_FD))
		return err_set(e, ERR_INVAL, "%s: started by brigd, not by hand", argv[0]);
	if (sodium_init() < 0)
		return err_set(e, ERR_UNSUPPORTED, "libsodium does not start");
	rc = parse(argc, argv, extra, count, &o, e);
	if (rc == 0)
		rc = io_set_cloexec(PROTO_SOCKET_FD, true, e);
	if (rc == 0 && (dir = open_directory(&o, e)) < 0)
		rc = dir;
	if (rc == 0)
		rc = lower(&o, e);
	if (rc == 0)
		return dir;
	if (dir >= 0)
		close(dir);
	return rc;
}

/* --- messages --------------------------------------------------------------------------------------------------- */

/* Waits until the socket is ready for `events`, or for wait_ms. */
static int
wait_for(int sock, short events, int wait_ms, struct err *e)
{
	struct pollfd p = {.fd = sock, .events = events};

	if (poll(&p, 1, wait_ms) < 0 && errno != EINTR)
		return err_sys(e, ERR_IO, "poll");
	return 0;
}

int
service_send(int sock, uint32_t type, uint64_t token, const void *payload, size_t length, int fd, struct err *e)
{
	int rc;

	while ((rc = imsg_send(sock, type, token, payload, length, &fd, fd >= 0 ? 1 : 0, e)) == ERR_AGAIN)
		if ((rc = wait_for(sock, POLLOUT, -1, e)) != 0)
			break;
	return rc;
}

int
service_fail(int sock, const struct err *e)
{
	if (!is_child(sock)) {
		fprintf(stderr, "%s\n", e->msg);
		return 2;
	}
	service_send(sock, PROTO_FAILED, 0, e->msg, strlen(e->msg), -1, NULL);
	return EXIT_FAILURE;
}

static int
dispatch(const struct service *s, void *arg, struct imsg *m, struct err *e)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct service_message *row = &s->messages[i];

		if (row->type != m->hdr.type)
			continue;
		if (m->hdr.length < row->least || m->hdr.length > row->most || m->nfds < row->fds_least ||
		    m->nfds > row->fds_most)
			return err_set(e, ERR_PROTOCOL, "message %u of %u bytes with %d descriptors", m->hdr.type,
			    m->hdr.length, m->nfds);
		return row->handle(arg, m, e);
	}
	return err_set(e, ERR_PROTOCOL, "message %u is not for this process", m->hdr.type);
}

static int
serve(int sock, const struct service *s, void *arg, struct imsg *m, struct err *e)
{
	for (;;) {
		int wait_ms = -1;
		int rc = imsg_recv(sock, m, e);

		if (rc == 0) {
			rc = dispatch(s, arg, m, e);
			imsg_close_fds(m);
			if (rc != 0)
				return rc;
			continue;
		}
		if (rc != ERR_AGAIN && rc != ERR_EOF)
			return rc;
		if (s->idle != NULL) {
			int idle = s->idle(arg, &wait_ms, e);

			if (idle != 0)
				return idle;
		}
		if (rc == ERR_EOF)
			return 0;
		if ((rc = wait_for(sock, POLLIN, wait_ms, e)) != 0)
			return rc;
	}
}

int
service_serve(int sock, const struct service *s, void *arg, struct err *e)
{
	struct proto_ready ready = {0};
	struct err why = {0};
	struct imsg *m = malloc(sizeof(*m));
	int rc;

	if (m == NULL)
		return err_set(e, ERR_NOMEM, "a message");
	rc = io_set_nonblock(sock, true, &why);
	if (rc == 0)
		rc = service_send(sock, PROTO_READY, 0, &ready, sizeof(ready), -1, &why);
	if (rc == 0)
		rc = serve(sock, s, arg, m, &why);
	free(m);
	if (rc == ERR_EOF) /* while answering: brigd has gone, and nobody is left to be told */
		return 0;
	if (rc != 0) {
		service_fail(sock, &why);
		if (e != NULL)
			*e = why;
	}
	return rc;
}
