/*
 * A guest that changes its files: `edit [exit CODE] [put PATH TEXT | append PATH TEXT | mkdir PATH | remove PATH |
 * say TEXT | wait x]...`; `wait` reads until its input ends.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int
put(const char *path, const char *mode, const char *text)
{
	FILE *f = fopen(path, mode);

	return f == NULL || fputs(text, f) == EOF || fclose(f) != 0;
}

int
main(int argc, char **argv)
{
	int code = 0, bad = 0;

	for (int i = 1; i + 1 < argc && bad == 0; i += 2) {
		if (strcmp(argv[i], "exit") == 0)
			code = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "say") == 0)
			bad = printf("%s\n", argv[i + 1]) < 0 || fflush(stdout) != 0;
		else if (strcmp(argv[i], "wait") == 0)
			while (getchar() != EOF)
				;
		else if (strcmp(argv[i], "mkdir") == 0)
			bad = mkdir(argv[i + 1], 0777);
		else if (strcmp(argv[i], "remove") == 0)
			bad = remove(argv[i + 1]);
		else if (i + 2 < argc && strcmp(argv[i], "put") == 0)
			bad = put(argv[i + 1], "w", argv[i + 2]), i++;
		else if (i + 2 < argc && strcmp(argv[i], "append") == 0)
			bad = put(argv[i + 1], "a", argv[i + 2]), i++;
		else
			bad = 1;
		if (bad != 0)
			fprintf(stderr, "edit: %s does not work\n", argv[i]);
	}
	return bad != 0 ? 99 : code;
}
