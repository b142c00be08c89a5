/* A second or so of ordinary computing: a sieve, a product of matrices, a hash. Built natively and for WASI. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIEVE 4000000
#define SIDE  256

static double a[SIDE][SIDE], b[SIDE][SIDE], c[SIDE][SIDE];

static unsigned
count_primes(void)
{
	unsigned char *composite = calloc(SIEVE, 1);
	unsigned count = 0;

	if (!composite)
		abort();
	for (unsigned i = 2; i < SIEVE; i++) {
		if (composite[i])
			continue;
		count++;
		for (uint64_t j = (uint64_t)i * i; j < SIEVE; j += i)
			composite[j] = 1;
	}
	free(composite);
	return count;
}

static double
multiply(void)
{
	for (int i = 0; i < SIDE; i++)
		for (int j = 0; j < SIDE; j++) {
			a[i][j] = i + j;
			b[i][j] = i - j;
			c[i][j] = 0;
		}
	for (int i = 0; i < SIDE; i++)
		for (int k = 0; k < SIDE; k++)
			for (int j = 0; j < SIDE; j++)
				c[i][j] += a[i][k] * b[k][j];
	return c[SIDE / 2][SIDE / 3];
}

static uint64_t
hash(uint64_t rounds)
{
	uint64_t h = 1469598103934665603u;

	for (uint64_t i = 0; i < rounds; i++)
		h = (h ^ (i & 0xff)) * 1099511628211u + (h >> 29);
	return h;
}

int
main(void)
{
	unsigned primes = 0;
	double product = 0;

	for (int i = 0; i < 10; i++) {
		primes += count_primes();
		product += multiply();
	}
	printf("%u %.0f %016llx\n", primes, product, (unsigned long long)hash(300000000));
	return 0;
}
