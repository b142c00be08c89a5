/* A language pack for tests: reads its job as one does, shows what it got, and obeys the source, a command a line. */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define JOB "/dev/brig/job"

static char job[1 << 20];
static int descriptor;

static uint32_t
number(const char *at)
{
	uint32_t n;

	memcpy(&n, at, sizeof(n));
	return n;
}

/* Says what came of something. */
static void
tell(const char *what, long long result)
{
	if (result < 0)
		printf("%s: %s\n", what, strerror(errno));
	else
		printf("%s: %lld\n", what, result);
}

static void
cat(int fd)
{
	char text[4096];
	ssize_t n;

	while ((n = read(fd, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)n, stdout);
	if (n < 0)
		tell("read", n);
}

static void
show(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		tell("open", fd);
	else
		cat(fd);
}

static void
save(const char *path)
{
	FILE *f = fopen(path, "w");

	if (f == NULL || fputs("saved\n", f) < 0 || fclose(f) != 0)
		tell("save", -1);
}

static void
obey(const char *line)
{
	const char *rest = strchr(line, ' ');
	struct timespec now;
	struct stat st;
	char byte[16];

	rest = rest == NULL ? "" : rest + 1;
	if (strncmp(line, "print", 5) == 0)
		puts(rest);
	else if (strncmp(line, "cat", 3) == 0)
		show(rest);
	else if (strncmp(line, "save", 4) == 0)
		save(rest);
	else if (strncmp(line, "stdin", 5) == 0)
		cat(0);
	else if (strncmp(line, "again", 5) == 0)
		tell("again", open(JOB, O_RDONLY));
	else if (strncmp(line, "rest", 4) == 0)
		tell("rest", read(descriptor, byte, sizeof(byte)));
	else if (strncmp(line, "write", 5) == 0)
		tell("write", write(descriptor, "x", 1));
	else if (strncmp(line, "seek", 4) == 0)
		tell("seek", lseek(descriptor, 0, SEEK_SET));
	else if (strncmp(line, "stat", 4) == 0)
		tell("stat", fstat(descriptor, &st));
	else if (strncmp(line, "close", 5) == 0)
		tell("close", close(atoi(rest)));
	else if (strncmp(line, "clock", 5) == 0)
		tell("clock", clock_gettime(CLOCK_REALTIME, &now));
	else if (strncmp(line, "random", 6) == 0)
		tell("random", getentropy(byte, sizeof(byte)));
	else if (strncmp(line, "exit", 4) == 0)
		exit(atoi(rest));
	else if (strncmp(line, "trap", 4) == 0)
		__builtin_trap();
	else if (strncmp(line, "loop", 4) == 0)
		for (;;)
			(void)write(1, "", 0);
}

/* What the pack does before it asks for its job, as its second argument says. */
static void
start(const char *how)
{
	char byte[4];

	if (strcmp(how, "noise") == 0)
		fprintf(stderr, "it starts\n");
	else if (strcmp(how, "stdin") == 0)
		tell("stdin", read(0, byte, sizeof(byte)));
	else if (strcmp(how, "twice") == 0)
		tell("twice", open(JOB, O_RDONLY));
	else if (strcmp(how, "never") == 0)
		exit(5);
	else if (strcmp(how, "loop") == 0)
		for (;;)
			(void)write(1, "", 0);
	if (getentropy(byte, sizeof(byte)) != 0)
		tell("random at the start", -1);
}

int
main(int argc, char **argv)
{
	size_t length = 0, at = 16;
	uint32_t strings;
	ssize_t n;

	start(argc > 1 ? argv[1] : "");
	if ((descriptor = open(JOB, O_RDONLY)) < 0) {
		tell("job", -1);
		return 2;
	}
	while ((n = read(descriptor, job + length, sizeof(job) - 1 - length)) > 0)
		length += (size_t)n;
	strings = number(job) + number(job + 4);
	for (uint32_t i = 0; i < strings; i++) {
		printf("%s %.*s\n", i < number(job) ? "arg" : "env", (int)number(job + at), job + at + 4);
		at += 4 + number(job + at);
	}
	job[length] = '\0';
	while (length == at && argc > 1 && strcmp(argv[1], "endless") == 0)
		(void)write(1, "", 0);
	for (char *line = strtok(job + at, "\n"); line != NULL; line = strtok(NULL, "\n"))
		obey(line);
	printf("started as %s\n", argc > 0 ? argv[0] : "nothing");
	return 0;
}
