/* files/serve: answers a worker's questions about one directory. brig-files. */

#include "files/serve.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files/beneath.h"
#include "files/request.h"

#define LIST_SIZE  32768               /* bytes of one getdents64 */
#define LOOK_AFTER ((uint64_t)1 << 24) /* bytes of a digest between two looks whether anybody waits for it */

/* One conversation. */
struct server {
	int sock, dir;
	uint64_t run;      /* of the request that is being answered */
	struct imsg in;
	struct request request;
	uint8_t out[IMSG_PAYLOAD_MAX] __attribute__((aligned(8)));
	uint8_t list[LIST_SIZE] __attribute__((aligned(8)));
	int rc;            /* once sending has failed: why; nothing more is sent then */
	struct err why;
};

/* Returns whether the worker is still there. */
static bool
say(struct server *s, enum files_type type, const void *payload, size_t length)
{
	if (s->rc == 0)
		s->rc = imsg_send(s->sock, type, s->run, payload, length, NULL, 0, &s->why);
	return s->rc == 0;
}

/* --- a directory ------------------------------------------------------------------------------------------------ */

/* As the kernel writes them; the C library's struct dirent may differ. */
struct entry {
	uint64_t inode;
	int64_t offset;
	uint16_t length; /* of all of it */
	uint8_t type;    /* DT_* */
	char name[];
};

static uint32_t
entry_kind(int fd, const struct entry *entry)
{
	static const uint8_t kinds[] = {
	    [DT_REG] = FILES_KIND_FILE,
	    [DT_DIR] = FILES_KIND_DIR,
	    [DT_LNK] = FILES_KIND_LINK,
	    [DT_FIFO] = FILES_KIND_FIFO,
	    [DT_SOCK] = FILES_KIND_SOCKET,
	    [DT_CHR] = FILES_KIND_CHAR,
	    [DT_BLK] = FILES_KIND_BLOCK,
	};

	if (entry->type == DT_UNKNOWN)
		return beneath_kind(fd, entry->name);
	return entry->type < sizeof(kinds) ? kinds[entry->type] : 0;
}

/* Adds one entry to what is to be sent, and sends that first when it is full. */
static void
add_entry(struct server *s, int fd, const struct entry *entry, size_t *used, uint64_t *count)
{
	const size_t length = strlen(entry->name);
	const struct files_entry head = {entry_kind(fd, entry), (uint32_t)length};

	if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0 || head.kind == 0 || length > FILES_NAME_MAX)
		return;
	if (*used + sizeof(head) + length > sizeof(s->out)) {
		say(s, FILES_ENTRIES, s->out, *used);
		*used = 0;
	}
	memcpy(s->out + *used, &head, sizeof(head));
	memcpy(s->out + *used + sizeof(head), entry->name, length);
	*used += sizeof(head) + length;
	++*count;
}

static enum files_code
list(struct server *s, int fd, uint64_t *count)
{
	size_t used = 0;
	long n;

	while ((n = syscall(SYS_getdents64, fd, s->list, sizeof(s->list))) > 0 && s->rc == 0) {
		for (long at = 0; at < n;) {
			const struct entry *entry = (const struct entry *)(const void *)(s->list + at);

			add_entry(s, fd, entry, &used, count);
			at += entry->length;
		}
		if (*count > SERVE_ENTRIES_MAX)
			return FILES_LIMIT;
	}
	if (n < 0)
		return FILES_IO;
	if (used > 0)
		say(s, FILES_ENTRIES, s->out, used);
	return FILES_OK;
}

static enum files_code
answer_list(struct server *s, struct files_done *done)
{
	int fd;
	enum files_code code = beneath_open(s->dir, s->request.path, FILES_KIND_DIR, &fd, &done->version);

	if (code != FILES_OK)
		return code;
	code = list(s, fd, &done->count);
	close(fd);
	return code;
}

/* --- a name ----------------------------------------------------------------------------------------------------- */

static enum files_code
answer_stat(struct server *s, struct files_done *done)
{
	struct {
		struct files_node node;
		char target[FILES_PATH_MAX + 1];
	} what;
	enum files_code code = beneath_stat(s->dir, s->request.path, &what.node, what.target);

	(void)done;
	if (code == FILES_OK)
		say(s, FILES_NODE, &what, sizeof(what.node) + what.node.target_length);
	return code;
}

/* --- a file ----------------------------------------------------------------------------------------------------- */

/* What is done with a file that is open; the version before and after is looked after by with_file(). */
typedef enum files_code file_fn(struct server *s, int fd, struct files_done *done);

/* One read of what there is; what goes wrong is FILES_IO. */
static enum files_code
read_some(struct server *s, int fd, uint64_t offset, size_t most, size_t *length)
{
	ssize_t n;

	do {
		n = pread(fd, s->out, most, (off_t)offset);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return FILES_IO;
	*length = (size_t)n;
	return FILES_OK;
}

static enum files_code
send_file(struct server *s, int fd, struct files_done *done)
{
	const struct files_ask *ask = &s->request.ask;
	uint64_t most = ask->offset >= done->version.size ? 0 : done->version.size - ask->offset;

	if (most > ask->length)
		most = ask->length;
	while (done->count < most && s->rc == 0) {
		const uint64_t left = most - done->count;
		size_t length;
		enum files_code code = read_some(s, fd, ask->offset + done->count,
		    left < sizeof(s->out) ? (size_t)left : sizeof(s->out), &length);

		if (code != FILES_OK || length == 0) /* shorter than it was: its version will tell */
			return code;
		say(s, FILES_DATA, s->out, length);
		done->count += length;
	}
	return FILES_OK;
}

/* Whether the worker has gone, which else shows only when the answer is sent. */
static bool
is_alone(const struct server *s)
{
	struct pollfd p = {.fd = s->sock};

	return poll(&p, 1, 0) > 0;
}

static enum files_code
hash_file(struct server *s, int fd, struct files_done *done)
{
	crypto_hash_sha256_state state;
	uint64_t at = 0;
	size_t length;

	crypto_hash_sha256_init(&state);
	do {
		enum files_code code = read_some(s, fd, at, sizeof(s->out), &length);

		if (code != FILES_OK)
			return code;
		if (at % LOOK_AFTER > (at + length) % LOOK_AFTER && is_alone(s))
			return FILES_IO;
		crypto_hash_sha256_update(&state, s->out, length);
		at += length;
	} while (length > 0 && at <= done->version.size);
	crypto_hash_sha256_final(&state, done->digest.bytes);
	return FILES_OK;
}

/* Runs fn on the file, when it is the version that was asked for, and still is afterwards. */
static enum files_code
with_file(struct server *s, file_fn *fn, struct files_done *done)
{
	const struct files_version *wanted = &s->request.ask.version;
	struct files_version after;
	int fd;
	enum files_code code = beneath_open(s->dir, s->request.path, FILES_KIND_FILE, &fd, &done->version);

	if (code != FILES_OK)
		return code;
	if (!beneath_any(wanted) && !beneath_same(wanted, &done->version))
		code = FILES_CHANGED;
	if (code == FILES_OK)
		code = fn(s, fd, done);
	if (code == FILES_OK)
		code = beneath_version(fd, &after);
	if (code == FILES_OK && !beneath_same(&done->version, &after))
		code = FILES_CHANGED;
	close(fd);
	return code;
}

static enum files_code
answer_read(struct server *s, struct files_done *done)
{
	return with_file(s, send_file, done);
}

static enum files_code
answer_digest(struct server *s, struct files_done *done)
{
	return with_file(s, hash_file, done);
}

/* --- the conversation ------------------------------------------------------------------------------------------- */

static enum files_code (*const answers[])(struct server *s, struct files_done *done) = {
    [FILES_LIST] = answer_list,
    [FILES_STAT] = answer_stat,
    [FILES_READ] = answer_read,
    [FILES_DIGEST] = answer_digest,
};

/* Answers what is in s->in. */
static int
answer(struct server *s, struct err *e)
{
	struct files_done done = {.code = FILES_MALFORMED};
	int rc = request_parse(&s->in, &s->request, e);

	imsg_close_fds(&s->in);
	s->run = s->in.hdr.run;
	if (rc == 0)
		done.code = answers[s->request.type](s, &done);
	if (done.code != FILES_OK)
		done = (struct files_done){.code = done.code};
	say(s, FILES_DONE, &done, sizeof(done));
	return rc;
}

static int
converse(struct server *s, struct err *e)
{
	int rc;

	for (;;) {
		rc = imsg_recv(s->sock, &s->in, e);
		if (rc == ERR_EOF)
			return 0;
		if (rc == ERR_PROTOCOL) { /* not even a message: there is no number to repeat */
			const struct files_done done = {.code = FILES_MALFORMED};

			s->run = 0;
			say(s, FILES_DONE, &done, sizeof(done));
		}
		if (rc == 0)
			rc = answer(s, e);
		if (rc != 0)
			return rc;
		if (s->rc != 0)
			return s->rc == ERR_EOF ? 0 : err_set(e, s->rc, "%s", s->why.msg);
	}
}

int
serve_files(int sock, int dir, struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return err_set(e, ERR_NOMEM, "%zu bytes", sizeof(*s));
	s->sock = sock;
	s->dir = dir;
	rc = converse(s, e);
	free(s);
	return rc;
}
