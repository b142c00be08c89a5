/* A guest that copies /w/in to /w/out. */

#include <stdio.h>

int
main(void)
{
	static char buffer[65536];
	FILE *in = fopen("/w/in", "rb"), *out = fopen("/w/out", "wb");
	size_t n;

	while (in != NULL && out != NULL && (n = fread(buffer, 1, sizeof(buffer), in)) > 0)
		fwrite(buffer, 1, n, out);
	return in == NULL || out == NULL || fclose(out) != 0;
}
