/* Fuzz target: broker/packs: a manifest, beside the files that those of the seeds name. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memfd.h"
#include "broker/packs.h"
#include "tests/fuzz/input.h"

#define MODULE    "a module" /* as tests/fuzz/seeds.py has it */
#define BOOTSTRAP "a text\n"

/* Puts a file into the directory of the pack. */
static void
put(int dir, const char *name, const void *data, size_t length)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	MUST(fd >= 0 && io_write_all(fd, data, length, NULL) == 0);
	close(fd);
}

/* Strings with their lengths before them fill a block, as readers of a job's blob check again. */
static void
must_be_strings(const uint8_t *at, size_t length, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t n;

		MUST(length >= sizeof(n));
		memcpy(&n, at, sizeof(n));
		MUST(n <= length - sizeof(n) && memchr(at + sizeof(n), '\0', n) == NULL);
		at += sizeof(n) + n;
		length -= sizeof(n) + n;
	}
	MUST(length == 0);
}

static void
must_be_whole(const struct pack *p)
{
	struct memfd_map map;
	struct digest module;
	size_t size;

	MUST(pack_name_ok(p->name) && p->release[0] != '\0' && strlen(p->release) <= PACK_RELEASE_MAX);
	MUST(memfd_check(p->fd, SIZE_MAX / 2, &size, NULL) == 0 && p->size == size);
	MUST(memfd_map(p->fd, size, &map, NULL) == 0);
	module = digest_of(map.data, map.size);
	MUST(digest_equal(&p->module, &module));
	memfd_unmap(&map);
	MUST(memfd_check(p->start, SIZE_MAX / 2, &size, NULL) == 0 && size == p->args_length + p->env_length);
	MUST(p->argc > 0 && p->argc <= PACK_ARGS_MAX && p->envc <= PACK_ARGS_MAX);
	must_be_strings(p->args, p->args_length, p->argc);
	must_be_strings(p->env, p->env_length, p->envc);
	MUST(p->grant == NULL || policy_equal(p->grant, p->grant));
}

/* One that was read is found by its name, is the same when it is read again, and counts for no empty keyring. */
static void
must_be_found(const struct packs *packs, const char *directory)
{
	const struct pack *p = packs_at(packs, 0), *again;
	struct signature_verdict verdict;
	struct packs *next = NULL;
	struct keyring *ring;

	MUST(packs_count(packs) == 1 && packs_at(packs, 1) == NULL && packs_find(packs, p->name) == p);
	must_be_whole(p);
	MUST(packs_load(directory, SIZE_MAX / 2, packs, &next, NULL) == 0);
	again = packs_at(next, 0);
	must_be_whole(again);
	MUST(digest_equal(&p->digest, &again->digest) && strcmp(p->name, again->name) == 0 && p->warm == again->warm);
	MUST(keyring_empty(&ring, NULL) == 0);
	MUST(packs_judge(p, ring, 0, &verdict, NULL) != 0);
	keyring_free(ring);
	packs_free(next);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int top = input_directory(), dir, lowest = input_lowest_fd();
	struct packs *packs = NULL;
	struct err e = {0};
	char path[64];
	int rc;

	MUST(mkdirat(top, "pack", 0700) == 0 || faccessat(top, "pack", F_OK, 0) == 0);
	dir = openat(top, "pack", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", top);
	put(dir, PACK_MANIFEST, data, size);
	put(dir, PACK_SIGNATURE, "none", 4);
	put(dir, "module", MODULE, strlen(MODULE));
	put(dir, "boot", BOOTSTRAP, strlen(BOOTSTRAP));
	rc = packs_load(path, SIZE_MAX / 2, NULL, &packs, &e);
	if (rc != 0)
		MUST(rc == e.code && e.msg[0] != '\0' && packs == NULL);
	else
		must_be_found(packs, path);
	packs_free(packs);
	close(dir);
	MUST(input_lowest_fd() == lowest);
	return 0;
}
