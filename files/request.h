/* files/request: what a worker may ask of brig-files, checked. brig-files. */

#ifndef FILES_REQUEST_H
#define FILES_REQUEST_H

#include "base/files.h"

struct request {
	uint32_t type; /* FILES_LIST, FILES_STAT, FILES_READ or FILES_DIGEST */
	struct files_ask ask;
	char path[FILES_PATH_MAX + 1];
};

/*
 * request_parse - take a message apart. ERR_PROTOCOL, with *out untouched, for whatever base/files.h does not have: a
 * type that no worker sends, a length that does not fit, descriptors, a path that could lead elsewhere, too much to
 * read.
 */
int request_parse(const struct imsg *m, struct request *out, struct err *e);

#endif
