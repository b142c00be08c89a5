/* Fuzz target: audit/log: a log that a crash or a hand has left in any state: taken up and continued, or refused. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/chain.h"
#include "audit/log.h"
#include "base/io.h"
#include "tests/fuzz/input.h"

#define RECORDS_MAX 3

static const char event[] = "{\"text\":\"fuzzed\"}";

static void
ignore_fault(void *arg, const struct chain_fault *fault)
{
	(void)arg;
	(void)fault;
}

static struct chain_report
verified(int dir, const struct digest *must_hold)
{
	FILE *f = fdopen(openat(dir, LOG_FILE_NAME, O_RDONLY | O_CLOEXEC), "r");
	struct chain_report report;

	MUST(f != NULL && chain_verify(f, must_hold, ignore_fault, NULL, &report, NULL) == 0);
	fclose(f);
	return report;
}

static void
write_log(int dir, const struct block *b)
{
	int fd = openat(dir, LOG_FILE_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	MUST(fd >= 0 && io_write_all(fd, b->data, b->length, NULL) == 0);
	close(fd);
}

static struct block
read_log(int dir)
{
	struct block b;
	int fd = openat(dir, LOG_FILE_NAME, O_RDONLY | O_CLOEXEC);

	MUST(fd >= 0 && io_read_fd(fd, 1 << 24, &b.data, &b.length, NULL) == 0);
	close(fd);
	return b;
}

/* Takes the log up and appends one record. Returns whether it could be taken up. */
static bool
append(int dir, struct log_receipt *receipt)
{
	struct log *log = NULL;
	size_t done = 0;
	int rc = log_open(dir, LOG_STRICT, &log, NULL);

	MUST(rc == 0 || (rc == ERR_CORRUPT && log == NULL));
	if (rc != 0)
		return false;
	MUST(log_append(log, event, strlen(event), receipt, NULL) == 0);
	MUST(log_flush(log, &done, NULL) == 0 && done == 1);
	log_close(log);
	return true;
}

/* The log is `before`, and then more, of which the last line is the record. */
static void
must_end_with(int dir, const struct block *before, const struct log_receipt *record)
{
	struct block log = read_log(dir);
	const uint8_t *end = log.data + log.length - 1, *start = memrchr(log.data, '\n', log.length - 1);
	struct digest last;

	MUST(log.length > before->length && memcmp(log.data, before->data, before->length) == 0);
	start = start == NULL ? log.data : start + 1;
	last = digest_of(start, (size_t)(end - start));
	MUST(*end == '\n' && digest_equal(&last, &record->hash));
	free(log.data);
}

/*
 * A log that can be taken up goes on where it ended, and nothing that was there goes away. Where whole good records are
 * followed by what is none, all that is accounted for: a verifier finds nothing wrong.
 */
static void
must_continue(int dir, const struct block *before, bool good)
{
	struct log_receipt one, two;

	if (!append(dir, &one)) {
		MUST(!good);
		return;
	}
	must_end_with(dir, before, &one);
	MUST(append(dir, &two) && two.sequence == one.sequence + 1);
	must_end_with(dir, before, &two);
	MUST(!good || verified(dir, &two.hash).faults == 0);
}

/* A good log of so many records, made once. */
static struct block
good_log(int dir, unsigned count)
{
	static struct block logs[RECORDS_MAX + 1];
	struct log_receipt receipt;

	if (logs[count].data == NULL) {
		write_log(dir, &(struct block){NULL, 0});
		for (unsigned i = 0; i < count; i++)
			MUST(append(dir, &receipt));
		logs[count] = read_log(dir);
	}
	return logs[count];
}

/* The first byte: so many good records first, damaged when it is 128 or more; then the rest as it is. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t mode = input_byte(&in);
	int dir = input_directory();
	unsigned count = mode % (RECORDS_MAX + 1);
	struct block good = good_log(dir, count), log, tail;
	bool damaged;

	log = input_take(&(struct input){good.data, good.length}, good.length);
	damaged = mode >= 128 && input_damage(&in, &log);
	tail = input_rest(&in);
	log.data = realloc(log.data, log.length + tail.length + 1);
	if (tail.length > 0)
		memcpy(log.data + log.length, tail.data, tail.length);
	log.length += tail.length;
	write_log(dir, &log);
	must_continue(dir, &log, !damaged && count > 0 && verified(dir, NULL).records == count);
	free(tail.data);
	free(log.data);
	return 0;
}
