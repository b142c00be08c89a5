/* tests/fuzz/input: what fuzz targets share: inputs taken apart, good data damaged, keys, checks. Fuzz targets. */

#include "tests/fuzz/input.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/store_disk.h"

void
input_broken(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
	abort();
}

uint8_t
input_byte(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

uint16_t
input_u16(struct input *in)
{
	uint8_t low = input_byte(in);

	return (uint16_t)(low | input_byte(in) << 8);
}

static struct block
block_of(const uint8_t *data, size_t length)
{
	struct block b = {malloc(length), length};

	MUST(b.data != NULL);
	if (length > 0)
		memcpy(b.data, data, length);
	return b;
}

struct block
input_take(struct input *in, size_t length)
{
	struct block b = block_of(in->p, length < in->left ? length : in->left);

	in->p += b.length;
	in->left -= b.length;
	return b;
}

struct block
input_rest(struct input *in)
{
	return input_take(in, in->left);
}

struct block
input_text(struct input *in)
{
	const uint8_t *end = in->left == 0 ? NULL : memchr(in->p, '\0', in->left);
	struct block b = input_take(in, end == NULL ? in->left : (size_t)(end - in->p));

	input_byte(in); /* the NUL */
	return b;
}

char *
input_string(struct input *in)
{
	struct block b = input_text(in);
	char *s = malloc(b.length + 1);

	MUST(s != NULL);
	memcpy(s, b.data, b.length);
	s[b.length] = '\0';
	free(b.data);
	return s;
}

/* One change. The block is made anew each time, so that its size stays exact. */
static void
damage_once(struct input *in, struct block *b)
{
	uint8_t how = input_byte(in) % 4;
	size_t at = input_u16(in) % (b->length + 1);
	uint8_t value = input_byte(in);
	struct block more = {malloc(b->length + 1), b->length};
	struct block exact;

	MUST(more.data != NULL);
	if (b->length > 0)
		memcpy(more.data, b->data, b->length);
	if (how == 0 && at < b->length) {
		more.data[at] ^= value;
	} else if (how == 1) {
		memmove(more.data + at + 1, more.data + at, b->length - at);
		more.data[at] = value;
		more.length++;
	} else if (how == 2 && at < b->length) {
		memmove(more.data + at, more.data + at + 1, b->length - at - 1);
		more.length--;
	} else if (how == 3) {
		more.length = at;
	}
	exact = block_of(more.data, more.length);
	free(more.data);
	free(b->data);
	*b = exact;
}

bool
input_damage(struct input *in, struct block *b)
{
	struct block before = block_of(b->data, b->length);
	unsigned times = input_byte(in) % 8;
	bool differs;

	for (unsigned i = 0; i < times; i++)
		damage_once(in, b);
	differs = before.length != b->length || (b->length > 0 && memcmp(before.data, b->data, b->length) != 0);
	free(before.data);
	return differs;
}

struct keys_secret
input_key(uint8_t which)
{
	uint8_t seed[crypto_sign_ed25519_SEEDBYTES], public[32], kid[KEYS_KID_SIZE];
	struct keys_secret key;

	MUST(sodium_init() >= 0);
	memset(seed, which, sizeof(seed));
	crypto_sign_ed25519_seed_keypair(public, key.key, seed);
	keys_kid(public, kid);
	memcpy(key.number, kid, sizeof(key.number));
	return key;
}

int
input_lowest_fd(void)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);

	MUST(fd >= 0);
	close(fd);
	return fd;
}

static char made[4096];

static void
remove_directory(void)
{
	store_disk_remove(AT_FDCWD, made, NULL);
}

int
input_directory(void)
{
	static int fd = -1;
	const char *base = getenv("TMPDIR");

	if (fd >= 0)
		return fd;
	snprintf(made, sizeof(made), "%s/brig-fuzz.XXXXXX", base != NULL && base[0] != '\0' ? base : "/tmp");
	MUST(mkdtemp(made) != NULL);
	MUST(atexit(remove_directory) == 0);
	fd = open(made, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(fd >= 0);
	return fd;
}
