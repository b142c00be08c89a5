/* The guest of most scenario tests: `guest VERB [ARGUMENT]` does one thing that a test wants to see. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <wasi/api.h>

static int
say_hello(const char *unused)
{
	(void)unused;
	puts("hello");
	return 0;
}

/* Lengths too, so that an empty argument shows. main() prints the arguments itself. */
static int
print_environment(const char *unused)
{
	extern char **environ;

	(void)unused;
	for (char **e = environ; *e; e++)
		printf("%zu:%s\n", strlen(*e), *e);
	return 0;
}

static int
echo_input(const char *unused)
{
	char buffer[4096];
	ssize_t n;

	(void)unused;
	while ((n = read(0, buffer, sizeof(buffer))) > 0)
		if (write(1, buffer, (size_t)n) != n)
			return 1;
	return n < 0;
}

/* One answer a line, at once: what a conversation needs. */
static int
answer_lines(const char *unused)
{
	char line[4096];

	(void)unused;
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin))
		printf("got %s", line);
	return 0;
}

static int
print_clocks(const char *unused)
{
	struct timespec real, monotonic;

	(void)unused;
	if (clock_gettime(CLOCK_REALTIME, &real) || clock_gettime(CLOCK_MONOTONIC, &monotonic)) {
		printf("errno %d\n", errno);
		return 1;
	}
	printf("%lld.%09ld %lld.%09ld\n", (long long)real.tv_sec, real.tv_nsec, (long long)monotonic.tv_sec,
	    monotonic.tv_nsec);
	return 0;
}

static int
print_random(const char *unused)
{
	unsigned char bytes[16];

	(void)unused;
	if (getentropy(bytes, sizeof(bytes))) {
		printf("errno %d\n", errno);
		return 1;
	}
	for (size_t i = 0; i < sizeof(bytes); i++)
		printf("%02x", bytes[i]);
	putchar('\n');
	return 0;
}

static int
exit_with(const char *code)
{
	exit(atoi(code));
}

/* Three frames with names of their own, for the trap's backtrace. */
__attribute__((noinline)) static int
innermost_frame(volatile int *depth)
{
	*depth += 1;
	__builtin_trap();
}

__attribute__((noinline)) static int
middle_frame(volatile int *depth)
{
	return innermost_frame(depth) + 1;
}

static int
trap_unreachable(const char *unused)
{
	volatile int depth = 0;

	(void)unused;
	return middle_frame(&depth) + 1;
}

static int
trap_divide(const char *zero)
{
	volatile int dividend = 7, divisor = atoi(zero);

	return dividend / divisor;
}

static int
trap_memory(const char *unused)
{
	(void)unused;
	return *(volatile int *)0xfffffff0u;
}

static int
loop_for_ever(const char *unused)
{
	volatile unsigned n = 0;

	(void)unused;
	puts("looping");
	fflush(stdout);
	for (;;)
		n++;
}

/* Allocates until it cannot, touching every page, then says how much it got. */
static int
hog_memory(const char *unused)
{
	size_t blocks = 0;
	char *volatile block; /* volatile, or the compiler takes every malloc for granted and the loop for endless */

	(void)unused;
	while ((block = malloc(1 << 20))) {
		memset(block, 1, 1 << 20);
		blocks++;
	}
	printf("%zu MiB\n", blocks);
	return 0;
}

static int
touch_memory(const char *megabytes)
{
	size_t size = (size_t)atoi(megabytes) << 20;
	volatile char *block = malloc(size);

	if (!block) {
		puts("refused");
		return 3;
	}
	for (size_t i = 0; i < size; i += 4096)
		block[i] = 1;
	puts("touched");
	return 0;
}

static int
flood_output(const char *bytes)
{
	static const char line[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";

	for (long left = atol(bytes); left > 0; left -= 64)
		if (write(1, line, left < 64 ? (size_t)left : 64) < 0)
			return 4;
	return 0;
}

static int
flood_errors(const char *bytes)
{
	for (long left = atol(bytes); left > 0; left--)
		if (write(2, "e", 1) < 0)
			return 4;
	return 0;
}

static int
call_host(const char *times)
{
	__wasi_timestamp_t now;

	for (long n = atol(times); n > 0; n--)
		(void)__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &now);
	puts("called");
	return 0;
}

static int
sleep_ms(const char *ms)
{
	long n = atol(ms);
	struct timespec t = {n / 1000, n % 1000 * 1000000};

	puts("sleeping");
	fflush(stdout);
	if (nanosleep(&t, NULL)) {
		printf("errno %d\n", errno);
		return 1;
	}
	puts("slept");
	return 0;
}

static int
write_both(const char *text)
{
	printf("out %s\n", text);
	fprintf(stderr, "err %s\n", text);
	return 0;
}

static int
write_bytes(const char *unused)
{
	static const unsigned char bytes[] = {0xff, 0xfe, 0, 'x', '\n'};

	(void)unused;
	return write(1, bytes, sizeof(bytes)) != sizeof(bytes);
}

/* open_path - what a host without preopened directories answers. */
static int
open_path(const char *path)
{
	int fd = open(path, O_RDONLY);

	printf("open: %s\n", fd < 0 ? strerror(errno) : "opened");
	return 0;
}

/* Raw errno numbers of calls on descriptors that do not exist. */
static int
bad_descriptors(const char *unused)
{
	__wasi_prestat_t prestat;
	__wasi_fdstat_t stat;
	__wasi_filestat_t filestat;

	(void)unused;
	printf("prestat 3: %d\n", __wasi_fd_prestat_get(3, &prestat));
	printf("fdstat 9: %d\n", __wasi_fd_fdstat_get(9, &stat));
	printf("filestat 9: %d\n", __wasi_fd_filestat_get(9, &filestat));
	printf("close 9: %d\n", __wasi_fd_close(9));
	return 0;
}

/* A pointer and a length that do not fit the memory: the host must answer, not fault. */
static int
bad_pointers(const char *unused)
{
	__wasi_ciovec_t out_of_range = {(const uint8_t *)0xfffffff0u, 64};
	__wasi_size_t written = 0;

	(void)unused;
	printf("random: %d\n", __wasi_random_get((uint8_t *)0xfffffff0u, 64));
	printf("write: %d\n", __wasi_fd_write(1, &out_of_range, 1, &written));
	printf("iovecs: %d\n", __wasi_fd_write(1, (const __wasi_ciovec_t *)16, 0xfffffff0u, &written));
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const char *argument);
} verbs[] = {
	{"hello", say_hello},
	{"env", print_environment},
	{"cat", echo_input},
	{"lines", answer_lines},
	{"clock", print_clocks},
	{"random", print_random},
	{"exit", exit_with},
	{"trap", trap_unreachable},
	{"divide", trap_divide},
	{"memory", trap_memory},
	{"loop", loop_for_ever},
	{"hog", hog_memory},
	{"touch", touch_memory},
	{"flood", flood_output},
	{"flood-errors", flood_errors},
	{"calls", call_host},
	{"sleep", sleep_ms},
	{"both", write_both},
	{"bytes", write_bytes},
	{"open", open_path},
	{"descriptors", bad_descriptors},
	{"pointers", bad_pointers},
};

int
main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "hello";

	if (strcmp(verb, "args") == 0) {
		for (int i = 0; i < argc; i++)
			printf("%zu:%s\n", strlen(argv[i]), argv[i]);
		return 0;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, verb) == 0)
			return verbs[i].run(argc > 2 ? argv[2] : "0");
	fprintf(stderr, "guest: no verb '%s'\n", verb);
	return 2;
}
