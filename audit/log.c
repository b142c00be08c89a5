/* audit/log: the log file: one JSON record a line, each carrying the hash of the one before; only ever appended to. Logger. */

#include "audit/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "audit/chain.h"
#include "audit/record.h"
#include "base/thread.h"

#define BATCH_BYTES   (1024 * 1024)
#define BATCH_RECORDS 512
#define BUSY_MS       5 /* how soon to look again whether a sync that is due can begin */

/* A record in the batch: where its line ends, and the chain after it. */
struct entry {
	size_t end;
	struct chain after;
	bool marker; /* marks a torn record; the caller does not know of it */
};

/* What is in the file behind the last good record and belongs to none. */
struct torn {
	bool there;
	bool ended; /* a newline, which is not counted, stands behind it */
	uint64_t bytes;
	crypto_hash_sha256_state hash;
};

/* The thread that syncs, so that appends need not wait for the disk. One sync at a time. */
struct syncer {
	bool started;
	pthread_t thread;
	sem_t wanted;
	sem_t running; /* posted once, when it has begun: what a thread does first is not for a filter */
	int fd;
	atomic_bool busy; /* a sync is wanted or under way; `wanted` without it is the end */
	atomic_int error; /* errno of the sync that failed; 0 for none */
};

struct log {
	int fd;
	enum log_durability durability;
	struct chain chain;   /* at the end of the file */
	bool newline_missing; /* the last good record lacks its newline */
	struct torn torn;
	bool broken;          /* a sync failed: what is on disk is not known any more */
	struct syncer syncer;
	int64_t unsynced_ms;  /* when the oldest record that is not yet synced was written; 0 for none */
	char *batch;
	size_t used;
	size_t prefix;        /* the newline in front of the first entry: 0 or 1 */
	struct entry entries[BATCH_RECORDS];
	size_t count;
};

static int64_t
clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- torn records --------------------------------------------------------------------------------------------------- */

/* Notes that data[0..length] is in the file and belongs to no record. */
static void
torn_extend(struct torn *t, const char *data, size_t length)
{
	if (length == 0)
		return;
	if (!t->there) {
		*t = (struct torn){.there = true};
		crypto_hash_sha256_init(&t->hash);
	}
	if (t->ended) {
		crypto_hash_sha256_update(&t->hash, (const unsigned char *)"\n", 1);
		t->bytes++;
	}
	t->ended = data[length - 1] == '\n';
	length -= t->ended ? 1 : 0;
	crypto_hash_sha256_update(&t->hash, (const unsigned char *)data, length);
	t->bytes += length;
}

static int
torn_record(const struct log *l, char *line, size_t *length, struct digest *hash, struct err *e)
{
	static const char detail[] = "a record was not written whole, by a crash or for want of room: this one takes its place";
	struct record_service event = {.time_ms = clock_ms(CLOCK_REALTIME), .what = "repair", .detail = detail};
	crypto_hash_sha256_state state = l->torn.hash;
	struct chain_torn torn = {.bytes = l->torn.bytes};
	size_t size = 0;
	char *text;
	int rc;

	crypto_hash_sha256_final(&state, torn.digest.bytes);
	if ((rc = record_of_service(&event, &text, &size, e)) != 0)
		return rc;
	rc = chain_complete(&l->chain, text, size, event.time_ms, &torn, line, length, hash, e);
	free(text);
	return rc;
}

/* --- the end of the file as it is found ------------------------------------------------------------------------------- */

/* The part of the file that is looked at: its end, from the start of a line or of the file. */
struct tail {
	char *data;
	size_t length;
	bool whole; /* it is the whole file */
};

static int
tail_read(int fd, size_t size, size_t want, struct tail *t, struct err *e)
{
	size_t length = size < want ? size : want, got = 0;
	char *data = malloc(length + 1);

	if (data == NULL)
		return err_set(e, ERR_NOMEM, "the end of the log");
	while (got < length) {
		ssize_t n = pread(fd, data + got, length - got, (off_t)(size - length + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			free(data);
			return err_sys(e, ERR_IO, "reading the end of the log");
		}
		got += (size_t)n;
	}
	*t = (struct tail){data, length, length == size};
	return 0;
}

/*
 * Goes back from the end to the last line that is a record, and takes all behind it as torn. Returns whether it found
 * one, or knows that there is none.
 */
static bool
find_end(struct log *l, const struct tail *t)
{
	size_t end = t->length; /* of the line at hand, without its newline */
	struct chain_record r;

	if (end > 0 && t->data[end - 1] == '\n')
		end--;
	for (;;) {
		const char *newline = memrchr(t->data, '\n', end);
		size_t start = newline == NULL ? 0 : (size_t)(newline - t->data) + 1;

		if (newline == NULL && !t->whole)
			return false;
		if (chain_parse(t->data + start, end - start, &r, NULL) == 0) {
			chain_advance(&l->chain, &r);
			chain_record_clear(&r);
			l->newline_missing = end == t->length;
			torn_extend(&l->torn, t->data + end + 1, l->newline_missing ? 0 : t->length - end - 1);
			return true;
		}
		if (newline == NULL) {
			torn_extend(&l->torn, t->data, t->length);
			return true;
		}
		end = start - 1;
	}
}

static int
take_up(struct log *l, int dir, struct err *e)
{
	int fd = openat(dir, LOG_FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct tail t = {0};
	struct stat st;
	bool found = false;
	int rc = 0;

	if (fd < 0 || fstat(fd, &st) != 0) {
		rc = err_sys(e, ERR_IO, LOG_FILE_NAME);
		goto out;
	}
	for (size_t want = 4 * LOG_RECORD_MAX; !found && want <= 2 * (size_t)LOG_TORN_MAX; want *= 4) {
		free(t.data);
		t.data = NULL;
		if ((rc = tail_read(fd, (size_t)st.st_size, want, &t, e)) != 0)
			goto out;
		found = t.length == 0 || find_end(l, &t);
	}
	if (!found)
		rc = err_set(e, ERR_CORRUPT, "the end of %s holds no record of the audit log: keep the file, move it aside, and "
		    "start again", LOG_FILE_NAME);
out:
	free(t.data);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
open_file(struct log *l, int dir, struct err *e)
{
	struct stat st;

	l->fd = openat(dir, LOG_FILE_NAME, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (l->fd < 0 || fstat(l->fd, &st) != 0)
		return err_sys(e, ERR_IO, LOG_FILE_NAME);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVAL, "%s is not a regular file", LOG_FILE_NAME);
	if (flock(l->fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? err_set(e, ERR_EXISTS, "another logger writes to %s", LOG_FILE_NAME) :
		    err_sys(e, ERR_IO, "locking %s", LOG_FILE_NAME);
	if (fsync(dir) != 0)
		return err_sys(e, ERR_IO, "syncing the directory of %s", LOG_FILE_NAME);
	return 0;
}

static void *
syncer_main(void *arg)
{
	struct syncer *s = arg;

	sem_post(&s->running);
	for (;;) {
		while (sem_wait(&s->wanted) != 0)
			;
		if (!s->busy)
			return NULL;
		if (fdatasync(s->fd) != 0)
			s->error = errno;
		s->busy = false;
	}
}

static int
syncer_start(struct syncer *s, int fd, struct err *e)
{
	int rc;

	s->fd = fd;
	if (sem_init(&s->wanted, 0, 0) != 0 || sem_init(&s->running, 0, 0) != 0)
		return err_sys(e, ERR_IO, "a semaphore");
	if ((rc = thread_start(&s->thread, syncer_main, s, e)) != 0) {
		sem_destroy(&s->wanted);
		sem_destroy(&s->running);
		return rc;
	}
	while (sem_wait(&s->running) != 0)
		;
	s->started = true;
	return 0;
}

/* Waits for a sync that is under way. */
static void
syncer_end(struct syncer *s)
{
	if (!s->started)
		return;
	sem_post(&s->wanted);
	pthread_join(s->thread, NULL);
	sem_destroy(&s->wanted);
	sem_destroy(&s->running);
	s->started = false;
}

int
log_open(int dir, enum log_durability durability, struct log **out, struct err *e)
{
	struct log *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return err_set(e, ERR_NOMEM, "a log");
	l->fd = -1;
	l->durability = durability;
	l->batch = malloc(BATCH_BYTES);
	rc = l->batch == NULL ? err_set(e, ERR_NOMEM, "a log") : open_file(l, dir, e);
	if (rc == 0)
		rc = take_up(l, dir, e);
	if (rc == 0 && durability == LOG_BATCH)
		rc = syncer_start(&l->syncer, l->fd, e);
	if (rc != 0) {
		log_close(l);
		return rc;
	}
	*out = l;
	return 0;
}

void
log_close(struct log *l)
{
	size_t done;

	if (l == NULL)
		return;
	if (l->count > 0)
		log_flush(l, &done, NULL);
	syncer_end(&l->syncer);
	log_sync(l, NULL);
	if (l->fd >= 0)
		close(l->fd);
	free(l->batch);
	free(l);
}

/* --- appending ---------------------------------------------------------------------------------------------------------- */

/* The chain at the end of the batch. */
static const struct chain *
batch_chain(const struct log *l)
{
	return l->count > 0 ? &l->entries[l->count - 1].after : &l->chain;
}

/* Takes a line into the batch that has been put at its end. */
static void
batch_add(struct log *l, size_t length, const struct digest *hash, bool marker)
{
	struct chain after = {.next = batch_chain(l)->next + 1, .previous = *hash};

	l->used += length;
	l->entries[l->count++] = (struct entry){l->used, after, marker};
}

/* Begins a batch with what the file still lacks: the end of its last line, and the mark of a torn record. */
static int
batch_begin(struct log *l, struct err *e)
{
	struct digest hash;
	size_t length = 0;
	int rc;

	l->used = l->prefix = 0;
	if (l->torn.there ? !l->torn.ended : l->newline_missing)
		l->batch[l->used++] = '\n';
	l->prefix = l->used;
	if (!l->torn.there)
		return 0;
	if ((rc = torn_record(l, l->batch + l->used, &length, &hash, e)) == 0)
		batch_add(l, length, &hash, true);
	return rc;
}

int
log_append(struct log *l, const char *event, size_t length, struct log_receipt *out, struct err *e)
{
	struct digest hash;
	size_t size = 0;
	int rc;

	if (l->count == 0 && (rc = batch_begin(l, e)) != 0)
		return rc;
	if (l->count == BATCH_RECORDS || l->used + LOG_RECORD_MAX + 1 > BATCH_BYTES)
		return err_set(e, ERR_AGAIN, "the batch is full");
	rc = chain_complete(batch_chain(l), event, length, clock_ms(CLOCK_REALTIME), NULL, l->batch + l->used, &size, &hash,
	    e);
	if (rc != 0)
		return rc;
	*out = (struct log_receipt){batch_chain(l)->next, hash};
	batch_add(l, size, &hash, false);
	return 0;
}

/* Writes as much of the batch as can be. Returns how much that is; less than all with *e set. */
static size_t
write_batch(struct log *l, struct err *e)
{
	size_t done = 0;

	while (done < l->used) {
		ssize_t n = write(l->fd, l->batch + done, l->used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? EIO : errno;
			err_sys(e, ERR_IO, "writing %s", LOG_FILE_NAME);
			break;
		}
		done += (size_t)n;
	}
	return done;
}

/* Takes note of what is in the file after `written` bytes of the batch. Returns how many of the caller's records are. */
static size_t
settle(struct log *l, size_t written)
{
	size_t records = 0, whole = 0;

	if (!l->torn.there && written >= l->prefix) {
		if (l->prefix > 0)
			l->newline_missing = false;
		whole = l->prefix;
	}
	for (size_t i = 0; i < l->count && written > 0 && l->entries[i].end - 1 <= written; i++) {
		l->chain = l->entries[i].after;
		l->newline_missing = l->entries[i].end > written;
		if (l->entries[i].marker)
			l->torn = (struct torn){0};
		else
			records++;
		whole = l->entries[i].end;
	}
	if (written > whole)
		torn_extend(&l->torn, l->batch + whole, written - whole);
	return records;
}

/* Whether a sync has failed, here or in the thread. */
static bool
is_broken(struct log *l)
{
	l->broken |= l->syncer.error != 0;
	return l->broken;
}

int
log_flush(struct log *l, size_t *done, struct err *e)
{
	struct err why = {0};
	size_t written, records;

	if (is_broken(l)) {
		l->count = l->used = 0;
		*done = 0;
		return err_set(e, ERR_IO, "%s could not be synced to disk before: mend that and start again", LOG_FILE_NAME);
	}
	written = write_batch(l, &why);
	records = settle(l, written);
	l->count = l->used = 0;
	if (written > 0 && l->unsynced_ms == 0)
		l->unsynced_ms = clock_ms(CLOCK_MONOTONIC);
	if (l->durability == LOG_STRICT && log_sync(l, &why) != 0)
		records = 0;
	*done = records;
	if (why.code != 0 && e != NULL)
		*e = why;
	return why.code;
}

int
log_sync(struct log *l, struct err *e)
{
	if (is_broken(l))
		return err_set(e, ERR_IO, "%s could not be synced to disk before", LOG_FILE_NAME);
	if (l->fd < 0 || l->unsynced_ms == 0)
		return 0;
	if (fdatasync(l->fd) != 0) {
		l->broken = true;
		return err_sys(e, ERR_IO, "syncing %s", LOG_FILE_NAME);
	}
	l->unsynced_ms = 0;
	return 0;
}

void
log_sync_start(struct log *l)
{
	if (!l->syncer.started || l->unsynced_ms == 0 || l->syncer.busy || is_broken(l))
		return;
	l->unsynced_ms = 0; /* what is written from here on may not be covered */
	l->syncer.busy = true;
	sem_post(&l->syncer.wanted);
}

int
log_sync_due_ms(const struct log *l)
{
	int64_t left;

	if (l->unsynced_ms == 0 || l->broken || l->syncer.error != 0)
		return -1;
	left = l->unsynced_ms + LOG_SYNC_MS - clock_ms(CLOCK_MONOTONIC);
	if (l->syncer.busy && left < BUSY_MS)
		return BUSY_MS;
	return left < 0 ? 0 : (int)left;
}
