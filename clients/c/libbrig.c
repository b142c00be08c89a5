/* libbrig: a client's end of brigd's socket: connecting, JSON-RPC 2.0 by the line, descriptors. Any client. */

#include "clients/c/libbrig.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/io.h"
#include "base/json_text.h"

#define SYSTEM_SOCKET "/run/brig/brigd.sock"
#define READ_SIZE     65536

/* A line that waits to be sent, with the descriptors that go beside it. */
struct line {
	struct line *next;
	char *text;
	size_t length, sent;
	int fds[BRIG_FDS_MAX];
	int nfds;
};

struct brig {
	int sock;
	char path[BRIG_PATH_MAX];
	json_int_t last_id;
	struct line *first, **last;
	char *in;                  /* received, not yet taken */
	size_t in_used, in_room;
	size_t in_seen;            /* of it, known to hold no newline */
	brig_notification_fn *notification; /* NULL: nobody listens */
	void *notification_arg;
};

/* --- where a brigd may be ------------------------------------------------------------------------------------- */

static int
make_path(char path[BRIG_PATH_MAX], const char *dir, const char *rest, struct err *e)
{
	int n = snprintf(path, BRIG_PATH_MAX, "%s%s", dir, rest);

	if (n < 0 || n >= BRIG_PATH_MAX)
		return err_set(e, ERR_INVAL, "%s%s is too long for a socket: set BRIG_SOCKET to a shorter path", dir, rest);
	return 0;
}

int
brig_socket_private(char path[BRIG_PATH_MAX], struct err *e)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR"), *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	struct stat st;

	if (runtime != NULL && runtime[0] == '/' && stat(runtime, &st) == 0 && st.st_uid == geteuid())
		return make_path(path, runtime, "/brig/brigd.sock", e);
	if (state != NULL && state[0] == '/')
		return make_path(path, state, "/brig/run/brigd.sock", e);
	if (home == NULL || home[0] != '/')
		return err_set(e, ERR_INVAL, "HOME is not set: say where brigd listens with --socket or BRIG_SOCKET");
	return make_path(path, home, "/.local/state/brig/run/brigd.sock", e);
}

/* --- who is there --------------------------------------------------------------------------------------------- */

/* Whether nobody but `uid` can put things into the directory. Follows no link: `dir` is already resolved. */
static bool
is_kept_by(const char *dir, uid_t uid)
{
	struct stat st;

	return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Whether root has given `uid` the place of the socket: root keeps its directory, or the one above that. */
static bool
root_vouches(const char *path, uid_t uid)
{
	char *real = realpath(path, NULL);
	char *slash = real == NULL ? NULL : strrchr(real, '/');
	bool yes = false;

	if (slash == NULL || slash == real)
		goto out;
	*slash = '\0';
	yes = is_kept_by(real, 0);
	if (yes || !is_kept_by(real, uid))
		goto out;
	slash = strrchr(real, '/');
	slash[slash == real ? 1 : 0] = '\0';
	yes = is_kept_by(real, 0);
out:
	free(real);
	return yes;
}

static int
check_server(int sock, const char *path, struct err *e)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0)
		return err_sys(e, ERR_IO, "%s: asking who listens there", path);
	if (peer.uid == geteuid() || peer.uid == 0 || root_vouches(path, peer.uid))
		return 0;
	return err_set(e, ERR_DENIED, "%s: a process of user id %u listens there, who is neither you nor root, nor was "
	    "given that directory by root; nothing was sent", path, (unsigned)peer.uid);
}

/* --- connecting ----------------------------------------------------------------------------------------------- */

struct brig *
brig_adopt(int sock)
{
	struct brig *b = calloc(1, sizeof(*b));

	if (b == NULL || io_set_nonblock(sock, true, NULL) != 0) {
		close(sock);
		free(b);
		return NULL;
	}
	b->sock = sock;
	b->last = &b->first;
	return b;
}

static int
connect_to(const char *path, struct brig **out, struct err *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct brig *b;
	int sock, rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(e, ERR_INVAL, "%s is too long for a socket", path);
	memcpy(addr.sun_path, path, strlen(path));
	if ((sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		return err_sys(e, ERR_IO, "making a socket");
	if (connect(sock, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
		rc = errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR ? ERR_NOTFOUND
		    : errno == EACCES || errno == EPERM                            ? ERR_DENIED
		                                                                   : ERR_IO;
		err_sys(e, rc, "no brigd at %s", path);
		goto fail;
	}
	if ((rc = check_server(sock, path, e)) != 0)
		goto fail;
	if ((b = brig_adopt(sock)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for a connection");
	snprintf(b->path, sizeof(b->path), "%s", path);
	*out = b;
	return 0;
fail:
	close(sock);
	return rc;
}

int
brig_connect(const char *path, struct brig **out, struct err *e)
{
	char private[BRIG_PATH_MAX];
	int rc;

	if (path == NULL)
		path = getenv("BRIG_SOCKET");
	if (path != NULL && path[0] != '\0')
		return connect_to(path, out, e);
	if ((rc = brig_socket_private(private, e)) != 0)
		return rc;
	rc = connect_to(private, out, e);
	if (rc == ERR_NOTFOUND && connect_to(SYSTEM_SOCKET, out, NULL) == 0)
		return 0;
	return rc;
}

static void
line_free(struct line *l)
{
	for (int i = 0; i < l->nfds; i++)
		close(l->fds[i]);
	free(l->text);
	free(l);
}

void
brig_close(struct brig *b)
{
	if (b == NULL)
		return;
	while (b->first != NULL) {
		struct line *l = b->first;

		b->first = l->next;
		line_free(l);
	}
	close(b->sock);
	free(b->in);
	free(b);
}

const char *
brig_path(const struct brig *b)
{
	return b->path;
}

int
brig_fd(const struct brig *b)
{
	return b->sock;
}

short
brig_events(const struct brig *b)
{
	return b->first != NULL ? POLLIN | POLLOUT : POLLIN;
}

/* --- sending -------------------------------------------------------------------------------------------------- */

/* The line of a message; `text` is taken. NULL without memory, or without descriptors. */
static struct line *
line_new(struct json_text *text, const int *fds, int nfds)
{
	struct line *l = calloc(1, sizeof(*l));

	if (l == NULL || text->failed) {
		json_text_free(text);
		free(l);
		return NULL;
	}
	text->text[text->length] = '\n'; /* in the place of its NUL */
	l->text = text->text;
	l->length = text->length + 1;
	for (int i = 0; i < nfds; i++) {
		if ((l->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0)) < 0) {
			line_free(l);
			return NULL;
		}
		l->nfds++;
	}
	return l;
}

/* Queues a request, or a notification when its id is 0. `params` is taken. */
static int
enqueue(struct brig *b, json_int_t id, const char *method, json_t *params, const int *fds, int nfds, struct err *e)
{
	struct json_text t = {0};
	struct line *l;

	if (params == NULL || nfds > BRIG_FDS_MAX) {
		json_decref(params);
		return err_set(e, ERR_INVAL, "the parameters of %s cannot be written as JSON: is all of it UTF-8?", method);
	}
	json_text_open(&t, NULL, '{');
	json_text_string(&t, "jsonrpc", "2.0", 3);
	if (id != 0)
		json_text_integer(&t, "id", id);
	json_text_string(&t, "method", method, strlen(method));
	json_text_value(&t, "params", params);
	json_text_close(&t, '}');
	json_decref(params);
	if ((l = line_new(&t, fds, nfds)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory, or of descriptors, for a message");
	*b->last = l;
	b->last = &l->next;
	return 0;
}

int
brig_request(struct brig *b, const char *method, json_t *params, const int *fds, int nfds, json_int_t *id,
    struct err *e)
{
	int rc = enqueue(b, b->last_id + 1, method, params, fds, nfds, e);

	if (rc == 0)
		*id = ++b->last_id;
	return rc;
}

int
brig_notify(struct brig *b, const char *method, json_t *params, struct err *e)
{
	return enqueue(b, 0, method, params, NULL, 0, e);
}

/* One sendmsg for one line: descriptors go with its first byte, and no byte of another line beside them. */
static ssize_t
send_some(int sock, const struct line *l)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * BRIG_FDS_MAX)];
	} control;
	struct iovec iov = {.iov_base = l->text + l->sent, .iov_len = l->length - l->sent};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (l->sent == 0 && l->nfds > 0) {
		size_t size = sizeof(int) * (size_t)l->nfds;
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(size);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(c), l->fds, size);
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL);
}

int
brig_flush(struct brig *b, struct err *e)
{
	while (b->first != NULL) {
		struct line *l = b->first;
		ssize_t n = send_some(b->sock, l);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return err_set(e, ERR_AGAIN, "the server is not reading just now");
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return err_set(e, ERR_EOF, "brigd closed the connection");
		if (n < 0)
			return err_sys(e, ERR_IO, "sending to brigd");
		l->sent += (size_t)n;
		if (l->sent < l->length)
			continue;
		b->first = l->next;
		if (b->first == NULL)
			b->last = &b->first;
		line_free(l);
	}
	return 0;
}

/* --- receiving ------------------------------------------------------------------------------------------------ */

/* Makes room for one more read. */
static int
make_room(struct brig *b, struct err *e)
{
	size_t room = b->in_room == 0 ? 2 * READ_SIZE : b->in_room * 2;
	char *larger;

	if (b->in_room - b->in_used >= READ_SIZE)
		return 0;
	if (b->in_used > BRIG_LINE_MAX)
		return err_set(e, ERR_PROTOCOL, "brigd sent a line of more than %d bytes", BRIG_LINE_MAX);
	if ((larger = realloc(b->in, room)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory: %zu bytes for an answer", room);
	b->in = larger;
	b->in_room = room;
	return 0;
}

static int
read_more(struct brig *b, struct err *e)
{
	int resets = 0;
	ssize_t n;
	int rc = make_room(b, e);

	if (rc != 0)
		return rc;
	/* A server that closed with unread input gives one ECONNRESET; what it had said before that comes after it. */
	do
		n = read(b->sock, b->in + b->in_used, READ_SIZE);
	while (n < 0 && (errno == EINTR || (errno == ECONNRESET && resets++ == 0)));
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return err_set(e, ERR_AGAIN, "nothing has arrived");
	if (n < 0 && errno != ECONNRESET)
		return err_sys(e, ERR_IO, "reading from brigd");
	if (n <= 0)
		return err_set(e, ERR_EOF, "brigd closed the connection");
	b->in_used += (size_t)n;
	return 0;
}

/* Takes the first line, whose newline is at `end`, out of what was received. */
static int
take_line(struct brig *b, size_t end, json_t **message, struct err *e)
{
	json_error_t error;
	json_t *json = json_loadb(b->in, end, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	b->in_used -= end + 1;
	memmove(b->in, b->in + end + 1, b->in_used);
	b->in_seen = 0;
	if (json_is_object(json)) {
		*message = json;
		return 0;
	}
	json_decref(json);
	return err_set(e, ERR_PROTOCOL, "brigd sent a line that is no JSON object%s%s", json == NULL ? ": " : "",
	    json == NULL ? error.text : "");
}

int
brig_receive(struct brig *b, json_t **message, struct err *e)
{
	for (;;) {
		const char *newline = b->in_used == b->in_seen ? NULL
		    : memchr(b->in + b->in_seen, '\n', b->in_used - b->in_seen);
		int rc;

		if (newline != NULL)
			return take_line(b, (size_t)(newline - b->in), message, e);
		b->in_seen = b->in_used;
		if ((rc = read_more(b, e)) != 0)
			return rc;
	}
}

/* --- answers -------------------------------------------------------------------------------------------------- */

static void
copy_text(char *out, size_t size, const json_t *text)
{
	const char *s = json_string_value(text);

	snprintf(out, size, "%s", s == NULL ? "" : s);
}

int
brig_answer(const json_t *message, json_int_t id, json_t **result, struct brig_error *error, struct err *e)
{
	const json_t *got = json_object_get(message, "id"), *failure = json_object_get(message, "error");
	const json_t *data = json_object_get(failure, "data");
	json_t *value = json_object_get(message, "result");
	bool is_ours = json_is_integer(got) && json_integer_value(got) == id;

	/* An error about a line that could not be read has no id; only one request is under way at a time here. */
	if (!is_ours && !(json_is_null(got) && failure != NULL))
		return err_set(e, ERR_NOTFOUND, "an answer to another request");
	if (value != NULL && failure == NULL) {
		*result = value;
		return 0;
	}
	if (!json_is_object(failure))
		return err_set(e, ERR_PROTOCOL, "brigd sent an answer with neither result nor error");
	error->code = (int)json_integer_value(json_object_get(failure, "code"));
	if (error->code == 0)
		error->code = -32603;
	copy_text(error->message, sizeof(error->message), json_object_get(failure, "message"));
	copy_text(error->name, sizeof(error->name), json_object_get(data, "name"));
	copy_text(error->advice, sizeof(error->advice), json_object_get(data, "advice"));
	return err_set(e, ERR_DENIED, "%s", error->message);
}

/* Waits until the socket can be read, or written while something waits to be sent. */
static int
wait_for(struct brig *b, struct err *e)
{
	struct pollfd p = {.fd = b->sock, .events = brig_events(b)};

	if (poll(&p, 1, -1) < 0 && errno != EINTR)
		return err_sys(e, ERR_IO, "poll");
	return 0;
}

void
brig_listen(struct brig *b, brig_notification_fn *fn, void *arg)
{
	b->notification = fn;
	b->notification_arg = arg;
}

static void
pass_on(const struct brig *b, const json_t *message)
{
	const char *method = json_string_value(json_object_get(message, "method"));

	if (method != NULL && b->notification != NULL)
		b->notification(b->notification_arg, method, json_object_get(message, "params"));
}

int
brig_call(struct brig *b, const char *method, json_t *params, const int *fds, int nfds, json_t **result,
    struct brig_error *error, struct err *e)
{
	json_t *message, *value;
	json_int_t id = 0;
	int rc;

	error->code = 0;
	rc = brig_request(b, method, params, fds, nfds, &id, e);
	while (rc == 0) {
		rc = brig_flush(b, e);
		if (rc != 0 && rc != ERR_AGAIN)
			break;
		rc = brig_receive(b, &message, e);
		if (rc == ERR_AGAIN)
			rc = wait_for(b, e);
		else if (rc == 0) {
			rc = brig_answer(message, id, &value, error, e);
			if (rc == 0)
				*result = json_incref(value);
			else if (rc == ERR_NOTFOUND)
				pass_on(b, message);
			json_decref(message);
			if (rc != ERR_NOTFOUND)
				return rc;
			rc = 0;
		}
	}
	return rc;
}

/* --- bytes in JSON -------------------------------------------------------------------------------------------- */

int
brig_data(const json_t *data, const char *encoding, uint8_t **out, size_t *length, struct err *e)
{
	bool is_base64 = encoding != NULL ? strcmp(encoding, "base64") == 0 : json_is_object(data);
	const json_t *text = json_is_object(data) ? json_object_get(data, "base64") : data;
	size_t size = json_string_length(text), used = 0;
	uint8_t *bytes;

	if (!json_is_string(text))
		return err_set(e, ERR_PROTOCOL, "brigd sent output that is no string");
	if ((bytes = malloc(size + 1)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory: %zu bytes of output", size);
	if (!is_base64) {
		memcpy(bytes, json_string_value(text), size);
		used = size;
	} else if (!base64_decode(json_string_value(text), size, bytes, size, &used)) {
		free(bytes);
		return err_set(e, ERR_PROTOCOL, "brigd sent output that is not base64");
	}
	*out = bytes;
	*length = used;
	return 0;
}

json_t *
brig_base64(const void *data, size_t length)
{
	size_t size = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
	char *text = malloc(size);
	json_t *json = NULL;

	if (text != NULL) {
		sodium_bin2base64(text, size, data, length, sodium_base64_VARIANT_ORIGINAL);
		json = json_pack("{s:s}", "base64", text);
	}
	free(text);
	return json;
}
