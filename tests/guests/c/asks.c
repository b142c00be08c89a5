/*
 * A guest that does what its arguments say, or without any the lines of its standard input, one after the other, and
 * prints how each went: "unlink /w/f: OK".
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int
opened(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	if (fd < 0)
		return -1;
	return close(fd);
}

static int
read_file(const char *path)
{
	return opened(path, O_RDONLY);
}

static int
write_file(const char *path)
{
	return opened(path, O_WRONLY);
}

static int
create_file(const char *path)
{
	return opened(path, O_WRONLY | O_CREAT | O_EXCL);
}

static int
make_dir(const char *path)
{
	return mkdir(path, 0700);
}

static int
list(const char *path)
{
	DIR *d = opendir(path);

	if (d == NULL)
		return -1;
	errno = 0;
	while (readdir(d) != NULL)
		continue;
	closedir(d);
	return errno == 0 ? 0 : -1;
}

/* Lists the first preopened directory by its own descriptor. */
static int
list_mount(const char *path)
{
	DIR *d = fdopendir(3);

	(void)path;
	if (d == NULL)
		return -1;
	errno = 0;
	while (readdir(d) != NULL)
		continue;
	return errno == 0 ? 0 : -1;
}

/* Of a descriptor that was opened for reading. */
static int
touch(const char *path)
{
	int fd = open(path, O_RDONLY), rc;

	if (fd < 0)
		return -1;
	rc = futimens(fd, NULL);
	close(fd);
	return rc;
}

/* To a name beside it, with ".new" behind. */
static int
rename_it(const char *path)
{
	char to[5000];

	snprintf(to, sizeof(to), "%s.new", path);
	return rename(path, to);
}

static int
link_it(const char *path)
{
	char to[5000];

	snprintf(to, sizeof(to), "%s.new", path);
	return link(path, to);
}

static int
read_clock(const char *path)
{
	struct timespec t;

	(void)path;
	return clock_gettime(CLOCK_REALTIME, &t);
}

static int
read_random(const char *path)
{
	char bytes[16];

	(void)path;
	return getentropy(bytes, sizeof(bytes));
}

static int
has_variable(const char *name)
{
	errno = ENOENT;
	return getenv(name) != NULL ? 0 : -1;
}

/* Whether the clock is as good as that: fixed, coarse or real. */
static int
clock_is(const char *kind)
{
	struct timespec first, next, resolution;
	int best = 0;

	if (clock_gettime(CLOCK_REALTIME, &first) != 0 || clock_getres(CLOCK_REALTIME, &resolution) != 0)
		return -1;
	for (int i = 0; i < 1000; i++) {
		if (clock_gettime(CLOCK_REALTIME, &next) != 0)
			return -1;
		if (next.tv_sec != first.tv_sec || next.tv_nsec != first.tv_nsec)
			best = 2;
	}
	if (resolution.tv_nsec == 1000000)
		best = 1;
	errno = ENOTSUP;
	return best >= (strcmp(kind, "real") == 0 ? 2 : strcmp(kind, "coarse") == 0) ? 0 : -1;
}

/* Prints random bytes, which another run may or may not see too. */
static int
show_random(const char *path)
{
	unsigned char bytes[16];

	(void)path;
	if (getentropy(bytes, sizeof(bytes)) != 0)
		return -1;
	for (size_t i = 0; i < sizeof(bytes); i++)
		printf("%02x", bytes[i]);
	printf("\n");
	return 0;
}

/* That many bytes of memory in all. */
static int
have_memory(const char *count)
{
	size_t pages = (size_t)(atoll(count) / 65536), has = __builtin_wasm_memory_size(0);

	errno = ENOMEM;
	return pages <= has || __builtin_wasm_memory_grow(0, pages - has) != (size_t)-1 ? 0 : -1;
}

/* That many directories that are made in /w, each of another name. */
static int
flood(const char *count)
{
	long n = atol(count);

	for (long i = 0; i < n; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/w/%ld", i);
		if (mkdir(path, 0700) == 0)
			return -1;
	}
	return 0;
}

static const struct {
	const char *verb;
	int (*ask)(const char *path);
} asks[] = {
	{"read", read_file},
	{"write", write_file},
	{"create", create_file},
	{"mkdir", make_dir},
	{"list", list},
	{"list-mount", list_mount},
	{"unlink", unlink},
	{"rmdir", rmdir},
	{"touch", touch},
	{"rename", rename_it},
	{"link", link_it},
	{"clock", read_clock},
	{"random", read_random},
	{"flood", flood},
	{"env", has_variable},
	{"clock-is", clock_is},
	{"show-random", show_random},
	{"memory", have_memory},
};

static void
ask(const char *verb, const char *path)
{
	for (size_t k = 0; k < sizeof(asks) / sizeof(asks[0]); k++)
		if (strcmp(asks[k].verb, verb) == 0) {
			int rc = asks[k].ask(path);

			printf("%s %s: %s\n", verb, path, rc == 0 ? "OK" : strerror(errno));
		}
}

int
main(int argc, char **argv)
{
	char verb[32], path[1100];

	for (int i = 1; i + 1 < argc; i += 2)
		ask(argv[i], argv[i + 1]);
	while (argc == 1 && scanf("%31s %1099[^\n]", verb, path) == 2)
		ask(verb, path);
	return 0;
}
