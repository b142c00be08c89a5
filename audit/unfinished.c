/* audit/unfinished: runs that are on record as about to start, and have no outcome. Logger. */

#include "audit/unfinished.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "audit/chain.h"
#include "audit/record.h"

/* What a line is, seen without parsing it: no text in a record can hold a quotation mark without a backslash. */
static const char is_start[] = "\"type_uid\":600203";
static const char is_intent[] = "\"type_uid\":100701";
static const char is_outcome[] = "\"type_uid\":100702";

/* The end of the log. */
struct span {
	char *data;
	size_t length;
};

static int
span_read(int fd, off_t size, struct span *s, struct err *e)
{
	size_t length = size < UNFINISHED_SPAN ? (size_t)size : UNFINISHED_SPAN, got = 0;
	char *data = malloc(length + 1);

	if (data == NULL)
		return err_set(e, ERR_NOMEM, "the end of the log");
	while (got < length) {
		ssize_t n = pread(fd, data + got, length - got, size - (off_t)(length - got));

		if (n <= 0) {
			free(data);
			return err_sys(e, ERR_IO, "reading the end of the log");
		}
		got += (size_t)n;
	}
	*s = (struct span){data, length};
	return 0;
}

static bool
holds(const char *line, size_t length, const char *what)
{
	return memmem(line, length, what, strlen(what)) != NULL;
}

/* Where the last session begins: at its start, or where what was read begins. */
static const char *
session_start(const struct span *s)
{
	const char *start = s->data, *found;

	while ((found = memmem(start, (size_t)(s->data + s->length - start), is_start, strlen(is_start))) != NULL)
		start = found + 1;
	return start;
}

/* The run that a record is about; NULL when it is no record, or about none. Valid until the record is cleared. */
static const char *
run_of(const char *line, size_t length, struct chain_record *r)
{
	if (chain_parse(line, length, r, NULL) != 0)
		return NULL;
	return json_string_value(json_object_get(json_object_get(r->json, "process"), "uid"));
}

/* Takes note of a run that is about to start, or that has ended: open is {run: where its intent is}. */
static int
take_line(const struct span *s, const char *line, size_t length, json_t *open)
{
	bool intent = holds(line, length, is_intent);
	struct chain_record r = {0};
	const char *run;
	int rc = 0;

	if (!intent && !holds(line, length, is_outcome))
		return 0;
	run = run_of(line, length, &r);
	if (run != NULL && intent)
		rc = json_object_set_new(open, run, json_integer(line - s->data));
	else if (run != NULL)
		json_object_del(open, run);
	chain_record_clear(&r);
	return rc;
}

/* How long the line is, without its newline, which the last one may lack. */
static size_t
line_length(const struct span *s, const char *line)
{
	size_t left = (size_t)(s->data + s->length - line);
	const char *newline = memchr(line, '\n', left);

	return newline != NULL ? (size_t)(newline - line) : left;
}

/* The runs of the last session that have no outcome; NULL without memory. */
static json_t *
find_open(const struct span *s)
{
	const char *line = session_start(s), *end = s->data + s->length;
	json_t *open = json_object();

	while (open != NULL && line < end) {
		size_t length = line_length(s, line);

		if (take_line(s, line, length, open) != 0) {
			json_decref(open);
			return NULL;
		}
		line += length + 1;
	}
	return open;
}

static int
append(struct log *l, const char *text, size_t length, struct err *e)
{
	struct log_receipt receipt;
	size_t done;
	int rc = log_append(l, text, length, &receipt, e);

	if (rc == ERR_AGAIN && (rc = log_flush(l, &done, e)) == 0)
		rc = log_append(l, text, length, &receipt, e);
	return rc;
}

static int
record_one(struct log *l, const struct span *s, size_t offset, struct err *e)
{
	const char *line = s->data + offset;
	struct chain_record r = {0};
	struct timespec now;
	size_t length;
	char *text;
	int rc;

	if ((rc = chain_parse(line, line_length(s, line), &r, e)) != 0)
		return rc;
	clock_gettime(CLOCK_REALTIME, &now);
	rc = record_of_unfinished(r.json, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, &text, &length, e);
	chain_record_clear(&r);
	if (rc != 0)
		return rc;
	rc = append(l, text, length, e);
	free(text);
	return rc;
}

static int
record_all(struct log *l, const struct span *s, json_t *open, struct err *e)
{
	const char *run;
	json_t *offset;
	size_t done;
	int rc = 0;

	json_object_foreach(open, run, offset)
		if ((rc = record_one(l, s, (size_t)json_integer_value(offset), e)) != 0)
			return rc;
	return log_flush(l, &done, e);
}

int
unfinished_record(struct log *l, int dir, size_t *count, struct err *e)
{
	int fd = openat(dir, LOG_FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct span s = {0};
	json_t *open = NULL;
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st) != 0) {
		rc = err_sys(e, ERR_IO, LOG_FILE_NAME);
		goto out;
	}
	if ((rc = span_read(fd, st.st_size, &s, e)) != 0)
		goto out;
	*count = 0;
	if ((open = find_open(&s)) == NULL) {
		rc = err_set(e, ERR_NOMEM, "the runs without an outcome");
		goto out;
	}
	if (json_object_size(open) > 0 && (rc = record_all(l, &s, open, e)) == 0)
		*count = json_object_size(open);
out:
	json_decref(open);
	free(s.data);
	if (fd >= 0)
		close(fd);
	return rc;
}
