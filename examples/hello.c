/* The smallest guest: what `make demo` signs and runs. */

#include <stdio.h>

int
main(void)
{
	puts("hello from inside the brig");
	return 0;
}
