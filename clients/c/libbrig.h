/* libbrig: a client's end of brigd's socket: connecting, JSON-RPC 2.0 by the line, descriptors. Any client. */

#ifndef CLIENTS_C_LIBBRIG_H
#define CLIENTS_C_LIBBRIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define BRIG_FDS_MAX  9                   /* descriptors beside one message: a module, eight directories */
#define BRIG_LINE_MAX (256 * 1024 * 1024) /* bytes of one line from the server */
#define BRIG_PATH_MAX 108                 /* bytes of a socket's path, with the NUL: the kernel's limit */

/* A connection. Its socket is non-blocking; the calls below say which of them wait. */
struct brig;

/*
 * brig_socket_private - where a user's own brigd listens: $XDG_RUNTIME_DIR/brig/brigd.sock when that directory exists,
 * else run/brigd.sock in the state directory, $XDG_STATE_HOME/brig or ~/.local/state/brig. 0, or ERR_INVAL without a
 * home directory or when the path is too long for a socket.
 */
int brig_socket_private(char path[BRIG_PATH_MAX], struct err *e);

/*
 * brig_connect - connect to the brigd at `path`, or, when it is NULL, at $BRIG_SOCKET, else at the first of
 * brig_socket_private() and /run/brig/brigd.sock at which one answers.
 *
 * The server must run as root or as this user, or as the user to whom root gave the directory of the socket: anyone
 * else could have put a socket there to read what is sent. Returns 0 with *out to be ended by brig_close();
 * ERR_NOTFOUND when no brigd listens there, ERR_DENIED when it is somebody else's, or it refuses us; ERR_IO, ERR_NOMEM.
 */
int brig_connect(const char *path, struct brig **out, struct err *e);

/* brig_adopt - make a connection of a connected stream socket, taken. NULL when out of memory, with it closed. */
struct brig *brig_adopt(int sock);

/* brig_close - NULL is fine. What was not sent is dropped; the server cancels what was running for this connection. */
void brig_close(struct brig *b);

/* brig_path - where it is connected to; "" for an adopted socket. */
const char *brig_path(const struct brig *b);

/* --- messages ------------------------------------------------------------------------------------------------- */

/*
 * brig_request, brig_notify - queue a request (with a fresh id, put in *id) or a notification; nothing waits.
 * `params` is taken, also on failure; descriptors are borrowed, and travel with exactly this line.
 * Returns 0, ERR_NOMEM, or ERR_INVAL when params is NULL (as when a string in it was not UTF-8).
 */
int brig_request(struct brig *b, const char *method, json_t *params, const int *fds, int nfds, json_int_t *id,
    struct err *e);
int brig_notify(struct brig *b, const char *method, json_t *params, struct err *e);

/* brig_flush - send what the socket takes now. 0 when all is sent, ERR_AGAIN when some is left, ERR_EOF, ERR_IO. */
int brig_flush(struct brig *b, struct err *e);

/*
 * brig_receive - the next message that has arrived, owned by the caller. ERR_AGAIN when none is whole yet, ERR_EOF when
 * the server closed, ERR_PROTOCOL for a line that is no JSON object or is too long, ERR_IO.
 */
int brig_receive(struct brig *b, json_t **message, struct err *e);

/* brig_fd, brig_events - for poll(2): the socket, and POLLIN, with POLLOUT while something waits to be sent. */
int brig_fd(const struct brig *b);
short brig_events(const struct brig *b);

/* What the server answered instead of a result (docs/errors.md). Texts are cut to fit. */
struct brig_error {
	int code;           /* JSON-RPC's number; 0 for none */
	char name[48];      /* "unsigned_module": what to branch on */
	char message[1000];
	char advice[500];
};

/*
 * brig_answer - take the answer apart: 0 with *result borrowed from `message`; ERR_DENIED with *error set when it is an
 * error; ERR_NOTFOUND when `message` is not the answer to request `id`; ERR_PROTOCOL when it is neither.
 */
int brig_answer(const json_t *message, json_int_t id, json_t **result, struct brig_error *error, struct err *e);

/* brig_listen - have brig_call pass on the notifications that come before its answer. `params` is borrowed. */
typedef void brig_notification_fn(void *arg, const char *method, const json_t *params);
void brig_listen(struct brig *b, brig_notification_fn *fn, void *arg);

/*
 * brig_call - send a request and wait for its answer; notifications that come before go to who listens. `params` is taken.
 * Returns 0 with *result owned by the caller; ERR_DENIED with *error->code set when the server answered with an error;
 * else what the functions above return, with error->code 0.
 */
int brig_call(struct brig *b, const char *method, json_t *params, const int *fds, int nfds, json_t **result,
    struct brig_error *error, struct err *e);

/*
 * brig_data - the bytes of "text" or {"base64": "..."}, or of `data` beside an "encoding" of "utf-8" or "base64" (NULL:
 * by the form of `data`). The caller frees *out. 0, ERR_PROTOCOL, ERR_NOMEM.
 */
int brig_data(const json_t *data, const char *encoding, uint8_t **out, size_t *length, struct err *e);

/* brig_base64 - {"base64": "..."} of data[0..length]; NULL when out of memory. */
json_t *brig_base64(const void *data, size_t length);

/* --- directories of the host ---------------------------------------------------------------------------------- */

/* One directory, served read-only to one run by a jailed process of ours, brig-files (docs/jail.md). */
struct brig_dir;

/*
 * brig_program - the path of a program of this installation: beside this one, as in a build tree, or in ../sbin or
 * ../libexec/brig of it. 0, ERR_NOTFOUND, ERR_INVAL when the path has no room, ERR_IO.
 */
int brig_program(const char *name, char *path, size_t size, struct err *e);

/*
 * brig_dir_serve - open the directory `host`, following links in its path, and start a brig-files that serves it. It has
 * this user's authority over that directory, without root's privileges, and ends when this process does, when
 * brig_dir_close() is called, or when the run has ended. Where namespaces cannot be had it goes on without them.
 *
 * `program` is the path of brig-files; NULL: this installation's. The caller should have one thread, and no handler that
 * reaps children. Returns 0; ERR_NOTFOUND when there is nothing of that name; ERR_INVAL when it is no directory; ERR_DENIED
 * when it cannot be read; ERR_UNSUPPORTED or ERR_IO with what brig-files said when it cannot serve.
 */
int brig_dir_serve(const char *host, const char *program, struct brig_dir **out, struct err *e);

/*
 * brig_dir_fd - the descriptor to pass with the `run` request whose `dirs` names it (docs/protocol.md); borrowed. A
 * directory serves one run.
 */
int brig_dir_fd(const struct brig_dir *d);

/* brig_dir_layers - the layers of the jail that it is served under, as a mask of enum proto_layer (base/proto.h). */
uint32_t brig_dir_layers(const struct brig_dir *d);

/*
 * brig_dir_close - end it. NULL is fine. It waits for its end, but for a second only: a filesystem that does not answer can
 * hold a process against SIGKILL; that one stays as a zombie, until this process ends.
 */
void brig_dir_close(struct brig_dir *d);

#endif
