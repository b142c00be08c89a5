/* A guest that works with files: walk DIR, sum FILE [CHUNK], put FILE TEXT, remove FILE, twice FILE. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *
error_name(void)
{
	static const struct {
		int number;
		const char *name;
	} names[] = {
	    {EACCES, "EACCES"}, {EIO, "EIO"}, {ENOENT, "ENOENT"}, {ENXIO, "ENXIO"}, {ENOTCAPABLE, "ENOTCAPABLE"},
	    {ELOOP, "ELOOP"}, {ENOTSUP, "ENOTSUP"}, {ENOTDIR, "ENOTDIR"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == errno)
			return names[i].name;
	return strerror(errno);
}

static void
tell_contents(const char *path)
{
	char text[64];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (n < 0)
		printf(" %s", error_name());
	else
		printf(" \"%.*s\"", (int)n, text);
	if (fd >= 0)
		close(fd);
}

/* One line for each name below: its path, kind and size, and what a file holds or why it cannot be read. */
static int
walk(const char *at)
{
	struct dirent *entry;
	DIR *d = opendir(at);

	if (d == NULL)
		return printf("%s: %s\n", at, error_name());
	while ((entry = readdir(d)) != NULL) {
		char path[4096], target[4096];
		struct stat st;
		ssize_t n;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", at, entry->d_name);
		if (lstat(path, &st) != 0) {
			printf("%s: %s\n", path, error_name());
			continue;
		}
		printf("%s: %s", path, S_ISREG(st.st_mode) ? "file" : S_ISDIR(st.st_mode) ? "dir" : S_ISLNK(st.st_mode) ? "link"
		    : "other");
		if (S_ISREG(st.st_mode))
			printf(" %lld", (long long)st.st_size);
		if (S_ISLNK(st.st_mode) && (n = readlink(path, target, sizeof(target))) >= 0)
			printf(" -> %.*s", (int)n, target);
		if (!S_ISDIR(st.st_mode))
			tell_contents(path);
		putchar('\n');
		if (S_ISDIR(st.st_mode))
			walk(path);
	}
	return closedir(d);
}

static int
sum(const char *path, size_t chunk)
{
	unsigned char *data = malloc(chunk);
	unsigned long long total = 0, bytes = 0;
	int fd = open(path, O_RDONLY);
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, data, chunk)) > 0) {
		bytes += (unsigned long long)n;
		for (ssize_t i = 0; i < n; i += 4096)
			total += data[i];
	}
	if (n < 0)
		return printf("%s: %s\n", path, error_name());
	return printf("%llu bytes, %llu\n", bytes, total);
}

static int
put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return printf("%s: %s\n", path, error_name());
	return close(fd);
}

/* Looks at a file, waits for a line of input, and reads it then. */
static int
twice(const char *path)
{
	struct stat st;
	char line[16];

	if (stat(path, &st) != 0)
		return printf("%s: %s\n", path, error_name());
	printf("%lld\n", (long long)st.st_size);
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin) == NULL)
		return 1;
	tell_contents(path);
	putchar('\n');
	return 0;
}

int
main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";

	if (strcmp(verb, "walk") == 0)
		walk(argv[2]);
	else if (strcmp(verb, "sum") == 0)
		sum(argv[2], argc > 3 ? (size_t)atol(argv[3]) : 65536);
	else if (strcmp(verb, "put") == 0 && argc > 3)
		put(argv[2], argv[3]);
	else if (strcmp(verb, "remove") == 0 && remove(argv[2]) != 0)
		printf("%s: %s\n", argv[2], error_name());
	else if (strcmp(verb, "twice") == 0)
		return twice(argv[2]);
	return 0;
}
