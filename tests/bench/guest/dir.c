/* A guest that measures a directory of the host, "/d": as files.c. It holds "large" (64 MiB) and "many" (1,000 files). */

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
tell(const char *name, double start, unsigned times)
{
	printf("%s %.1f\n", name, (now() - start) / times);
}

static int
read_whole(const char *path)
{
	static char data[1 << 20];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0)
		n = read(fd, data, sizeof(data));
	return n < 0 ? 1 : close(fd);
}

int
main(void)
{
	double start = now();
	char name[32];
	unsigned names = 0;
	DIR *d = opendir("/d/many");

	while (d != NULL && readdir(d) != NULL)
		names++;
	tell("first_list_of_1000_names", start, 1);
	if (names < 1000)
		return 1;
	start = now();
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "/d/many/%u", i);
		if (read_whole(name) != 0)
			return 1;
	}
	tell("first_open_and_read_of_a_file", start, 1000);
	start = now();
	if (read_whole("/d/large") != 0)
		return 1;
	tell("first_read_of_64_MiB", start, 1);
	return 0;
}
