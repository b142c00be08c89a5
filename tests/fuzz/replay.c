/* tests/fuzz/replay: runs a fuzz target over files and directories of inputs, as one TAP test. `make check`. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "tests/fuzz/input.h"

#define INPUT_MAX (16 * 1024 * 1024)

/* The input at hand is named before it is tried: when that ends the program, this is the last line. */
static int
replay_file(const char *path)
{
	struct err e = {0};
	uint8_t *data, *exact;
	size_t length;

	printf("# %s\n", path);
	fflush(stdout);
	if (io_read_file(path, INPUT_MAX, &data, &length, &e) != 0) {
		printf("# %s\n", e.msg);
		return -1;
	}
	exact = malloc(length);
	memcpy(exact, data, length);
	free(data);
	LLVMFuzzerTestOneInput(exact, length);
	free(exact);
	return 1;
}

/* Returns how many inputs there were, or -1. */
static int
replay(const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, alphasort), done = 0;

	if (count < 0)
		return replay_file(path);
	for (int i = 0; i < count; i++) {
		char *file;
		int n = 0;

		if (entries[i]->d_name[0] != '.' && done >= 0) {
			n = asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0 ? -1 : replay_file(file);
			free(file);
		}
		done = n < 0 || done < 0 ? -1 : done + n;
		free(entries[i]);
	}
	free(entries);
	return done;
}

int
main(int argc, char **argv)
{
	int total = 0;

	printf("TAP version 13\n1..1\n");
	LLVMFuzzerTestOneInput(NULL, 0);
	for (int i = 1; i < argc && total >= 0; i++) {
		int n = replay(argv[i]);

		total = n < 0 ? -1 : total + n;
	}
	if (total > 0)
		printf("ok 1 - %d inputs\n", total);
	else
		printf("not ok 1 - %s\n", total == 0 ? "there are no inputs" : "an input could not be read");
	return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
