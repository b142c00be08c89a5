/* A guest that fills memory for ever, one bulk instruction at a time: `fill MEGABYTES`. Built with -mbulk-memory. */

#include <stdlib.h>
#include <string.h>

int
main(int argc, char **argv)
{
	size_t size = (size_t)(argc > 1 ? atoi(argv[1]) : 256) << 20;
	char *block = malloc(size);

	if (!block)
		return 3;
	for (unsigned char c = 0;; c++) {
		memset(block, c, size);
		__asm__ volatile("" : : "r"(block) : "memory");
	}
}
