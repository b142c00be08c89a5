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

/*
 * What is appended to a log is found in it, nothing that was there goes away, and what the log had wrong at its end is
 * accounted for: a verifier finds no more wrong than before.
 */
static void
must_continue(int dir, const struct block *before)
{
	struct chain_report first = verified(dir, NULL), second;
	struct log_receipt one, two;
	struct block after;

	if (!append(dir, &one))
		return;
	after = read_log(dir);
	MUST(after.length > before->length && memcmp(after.data, before->data, before->length) == 0);
	free(after.data);
	second = verified(dir, &one.hash);
	MUST(second.faults <= first.faults && digest_equal(&second.head, &one.hash));
	MUST(append(dir, &two) && two.sequence == one.sequence + 1);
	MUST(verified(dir, &two.hash).faults == second.faults);
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
	struct block good = good_log(dir, mode % (RECORDS_MAX + 1)), log, tail;

	log = input_take(&(struct input){good.data, good.length}, good.length);
	if (mode >= 128)
		input_damage(&in, &log);
	tail = input_rest(&in);
	log.data = realloc(log.data, log.length + tail.length + 1);
	if (tail.length > 0)
		memcpy(log.data + log.length, tail.data, tail.length);
	log.length += tail.length;
	write_log(dir, &log);
	must_continue(dir, &log);
	free(tail.data);
	free(log.data);
	return 0;
}
