/* tests/unit/log_dir: an audit log in a directory of its own. Unit tests of audit/. */

#include "tests/unit/log_dir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

void
log_dir_open(struct log_dir *f, enum log_durability durability)
{
	struct err e = {0};

	log_close(f->log);
	f->log = NULL;
	if (log_open(f->dir, durability, &f->log, &e) != 0)
		fail_msg("%s", e.msg);
}

int
log_dir_setup(void **state)
{
	struct log_dir *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_true(sodium_init() >= 0);
	snprintf(f->path, sizeof(f->path), "/tmp/brig-log-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	snprintf(f->file, sizeof(f->file), "%s/%s", f->path, LOG_FILE_NAME);
	f->dir = open(f->path, O_RDONLY | O_DIRECTORY);
	log_dir_open(f, LOG_BATCH);
	*state = f;
	return 0;
}

int
log_dir_teardown(void **state)
{
	struct log_dir *f = *state;

	log_close(f->log);
	close(f->dir);
	unlink(f->file);
	assert_int_equal(rmdir(f->path), 0);
	free(f);
	return 0;
}
