/* Fuzz target: brig-files: requests of a hostile worker, answered about a real tree. */

#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "files/request.h"
#include "files/serve.h"
#include "tests/fuzz/input.h"

#define PACKETS_MAX 8
#define SECRET      "what is outside"

static void
put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	MUST(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* A tree with a file, a directory, a fifo, and links that lead out of it; made once. */
static int
tree(void)
{
	static int fd = -1;
	int dir = input_directory();

	if (fd >= 0)
		return fd;
	MUST(sodium_init() >= 0);
	put(dir, "secret", SECRET);
	MUST(mkdirat(dir, "t", 0700) == 0 && mkdirat(dir, "t/d", 0700) == 0);
	put(dir, "t/f", "text");
	put(dir, "t/d/f", "more");
	MUST(symlinkat("../secret", dir, "t/l") == 0 && symlinkat("..", dir, "t/u") == 0);
	MUST(mkfifoat(dir, "t/p", 0600) == 0);
	fd = openat(dir, "t", O_PATH | O_DIRECTORY | O_CLOEXEC);
	MUST(fd >= 0);
	return fd;
}

/* What request_parse says of a message; what it takes is what base/files.h says, and leads nowhere else. */
static bool
must_be_request(const struct imsg *m)
{
	static struct request r, untouched;
	const char *p = r.path;

	memset(&r, 0xa5, sizeof(r));
	untouched = r;
	if (request_parse(m, &r, NULL) != 0) {
		MUST(memcmp(&r, &untouched, sizeof(r)) == 0);
		return false;
	}
	MUST(r.type >= FILES_LIST && r.type <= FILES_DIGEST && r.ask.length <= FILES_READ_MAX && m->nfds == 0);
	MUST(strlen(r.path) == r.ask.path_length && r.ask.path_length + sizeof(r.ask) == m->hdr.length);
	while (*p != '\0') {
		size_t n = strcspn(p, "/");

		MUST(n > 0 && strncmp(p, "..", n > 2 ? n : 2) != 0 && strncmp(p, ".", n > 1 ? n : 1) != 0);
		p += n + (p[n] == '/');
		MUST(p[-1] != '/' || *p != '\0');
	}
	return true;
}

/* One message of an input, sent as it is. Returns whether the server has to answer it, and go on. */
static bool
send_one(struct input *in, int sock)
{
	static struct imsg m;
	const uint8_t how = input_byte(in);
	struct files_ask ask = {.offset = input_byte(in), .length = input_u16(in)};
	struct block path = input_take(in, input_byte(in));

	m = (struct imsg){.hdr = {.type = how % 8, .run = how}};
	ask.path_length = (uint32_t)path.length + (how >= 0xf0);
	ask.version.inode = how >= 0x80 && how < 0x90;
	memcpy(m.payload, &ask, sizeof(ask));
	if (path.length > 0)
		memcpy(m.payload + sizeof(ask), path.data, path.length);
	m.hdr.length = (uint32_t)(sizeof(ask) + path.length);
	free(path.data);
	if (how >= 0xe0 && how < 0xf0) /* too short */
		m.hdr.length = how * 3u % sizeof(ask);
	MUST(imsg_send(sock, m.hdr.type, m.hdr.run, m.payload, m.hdr.length, NULL, 0, NULL) == 0);
	return must_be_request(&m);
}

/* The answer to one request: nothing from outside, and one DONE at its end. */
static enum files_code
must_be_answer(int sock)
{
	static struct imsg m;
	struct files_done done;

	for (;;) {
		MUST(imsg_recv(sock, &m, NULL) == 0 && m.nfds == 0);
		MUST(m.hdr.type >= FILES_ENTRIES && m.hdr.type <= FILES_DONE);
		MUST(memmem(m.payload, m.hdr.length, SECRET, strlen(SECRET)) == NULL);
		if (m.hdr.type == FILES_DONE)
			break;
	}
	MUST(m.hdr.length == sizeof(done));
	memcpy(&done, m.payload, sizeof(done));
	MUST(done.code <= FILES_MALFORMED);
	return done.code;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	int dir = tree(), fd = input_lowest_fd(), sv[2], good = 0, rc;
	bool ends = false;

	MUST(imsg_pair(sv, NULL) == 0);
	while (good < PACKETS_MAX && in.left > 0 && !ends) {
		ends = !send_one(&in, sv[0]);
		good += !ends;
	}
	MUST(shutdown(sv[0], SHUT_WR) == 0);
	rc = serve_files(sv[1], dir, NULL);
	MUST(rc == (ends ? ERR_PROTOCOL : 0));
	while (good-- > 0)
		MUST(must_be_answer(sv[0]) != FILES_MALFORMED);
	MUST(!ends || must_be_answer(sv[0]) == FILES_MALFORMED);
	close(sv[1]);
	MUST(recv(sv[0], &rc, 1, 0) == 0);
	close(sv[0]);
	MUST(input_lowest_fd() == fd);
	return 0;
}
