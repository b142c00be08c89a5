/* Fuzz target: broker/store: files as they lie on a disk: nothing but what was put comes out again. */

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memfd.h"
#include "broker/store.h"
#include "broker/store_disk.h"
#include "tests/fuzz/input.h"

#define ENGINE   "0123456789abcdef"
#define SIZE_MAX_STORE (1 << 20)
#define OWNER    7

/* What an input is, by its first byte; then damage to the file, unless it is the file; then the content. */
enum { IS_ARTIFACT = 1, IS_FILE = 2, REOPEN = 4 };
#define DAMAGE_SIZE (1 + 4 * 4)

static struct store *
opened(int dir)
{
	struct store *s = NULL;
	struct err e = {0};

	if (store_open(dir, ENGINE, SIZE_MAX_STORE, SIZE_MAX_STORE, &s, &e) != 0) {
		fprintf(stderr, "%s\n", e.msg);
		MUST(s != NULL);
	}
	return s;
}

/* Where the store keeps it. */
static void
path_of(const struct proto_store *what, char path[200])
{
	char hex[2 * DIGEST_SIZE + 1];

	sodium_bin2hex(hex, sizeof(hex), what->digest.bytes, DIGEST_SIZE);
	if (what->kind == PROTO_STORE_ARTIFACT)
		snprintf(path, 200, "artifacts/" ENGINE "-0/%s.cwasm", hex);
	else
		snprintf(path, 200, "modules/%s/wasm", hex);
}

static struct block
file_read(int dir, const char *path)
{
	struct block b;
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);

	MUST(fd >= 0 && io_read_fd(fd, SIZE_MAX_STORE, &b.data, &b.length, NULL) == 0);
	close(fd);
	return b;
}

static void
file_write(int dir, const char *path, const struct block *b)
{
	int fd = openat(dir, path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	MUST(fd >= 0 && io_write_all(fd, b->data, b->length, NULL) == 0);
	close(fd);
}

static void
put(struct store *s, const struct proto_store *what, const struct block *content)
{
	struct proto_store_done done;
	int fd = memfd_from("fuzz", content->data, content->length, NULL);

	MUST(fd >= 0 && store_put(s, what, fd, NULL, 0, &done, NULL) == 0);
	MUST(done.size == content->length && done.existed == 0);
	close(fd);
}

/* What comes out is `content`; what does not is gone, and can be put anew. */
static void
get(struct store *s, const struct proto_store *what, const struct block *content, bool good)
{
	struct proto_store_done done;
	struct memfd_map map;
	size_t length = 0, size = 0;
	void *signature = NULL;
	int fd = store_get(s, what, &signature, &length, &done, NULL);

	MUST(good ? fd >= 0 : fd == ERR_CORRUPT || fd == ERR_NOTFOUND);
	MUST(signature == NULL);
	if (fd >= 0) {
		MUST(memfd_check(fd, SIZE_MAX_STORE, &size, NULL) == 0 && size == content->length && done.size == size);
		MUST(memfd_map(fd, size, &map, NULL) == 0);
		MUST(size == 0 || memcmp(map.data, content->data, size) == 0);
		memfd_unmap(&map);
		close(fd);
		MUST(store_remove(s, what, NULL) == 0);
	}
	MUST(store_get(s, what, &signature, &length, &done, NULL) == ERR_NOTFOUND);
	MUST(store_used(s) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t mode = input_byte(&in);
	int dir = input_directory(), fd = input_lowest_fd();
	struct block damage = input_take(&in, (mode & IS_FILE) != 0 ? 0 : DAMAGE_SIZE), content = input_rest(&in), file;
	struct proto_store what = {.kind = (mode & IS_ARTIFACT) != 0 ? PROTO_STORE_ARTIFACT : PROTO_STORE_MODULE,
	    .owner = OWNER};
	struct store *s = opened(dir);
	bool damaged;
	char path[200];

	what.digest = digest_of(content.data, content.length);
	put(s, &what, &content);
	path_of(&what, path);
	file = file_read(dir, path);
	if ((mode & IS_FILE) != 0) { /* the content alone, where an artifact has a MAC behind it */
		damaged = what.kind == PROTO_STORE_ARTIFACT;
		file_write(dir, path, &content);
	} else {
		damaged = input_damage(&(struct input){damage.data, damage.length}, &file);
		file_write(dir, path, &file);
	}
	if ((mode & REOPEN) != 0) {
		store_close(s);
		s = opened(dir);
	}
	get(s, &what, &content, !damaged);
	store_close(s);
	MUST(input_lowest_fd() == fd);
	free(file.data);
	free(content.data);
	free(damage.data);
	return 0;
}
