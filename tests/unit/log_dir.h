/* tests/unit/log_dir: an audit log in a directory of its own. Unit tests of audit/. */

#ifndef TESTS_UNIT_LOG_DIR_H
#define TESTS_UNIT_LOG_DIR_H

#include "audit/log.h"

struct log_dir {
	char path[64];
	char file[80]; /* the log itself */
	int dir;
	struct log *log;
};

/* log_dir_setup, log_dir_teardown - for cmocka: *state is a struct log_dir whose log is open with LOG_BATCH. */
int log_dir_setup(void **state);
int log_dir_teardown(void **state);

/* log_dir_open - close the log and open it again, as the next start does. Fails the test with the reason. */
void log_dir_open(struct log_dir *f, enum log_durability durability);

#endif
