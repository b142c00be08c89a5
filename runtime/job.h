/* runtime/job: one run's orders, taken from the first message on the job socket. Runs in the worker. */

#ifndef RUNTIME_JOB_H
#define RUNTIME_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/imsg.h"
#include "base/memfd.h"
#include "base/proto.h"

/* A decoded PROTO_JOB. */
struct job {
	uint64_t run;        /* the id that every message about it carries */
	struct proto_job order;
	const uint8_t *blob; /* in the message, or in `map` */
	size_t blob_length;
	int artifact;        /* owned; -1 when there is none, or once it has been passed on */
	int dirs[PROTO_DIRS_MAX]; /* sockets of directories of the host, order.dirc of them, owned; -1 likewise */
	struct memfd_map map;
};

/*
 * job_decode - check a message and take from it what it orders: that it is a PROTO_JOB for `engine` with known flags,
 * no limit of 0, as many descriptors as it says, an artifact that is a sealed memfd, or none if the module is `loaded`,
 * and a blob whose parts add up.
 *
 * The job borrows the blob from `m`, which must outlive it, and takes its descriptors. End it with job_free().
 * Returns 0; ERR_PROTOCOL, ERR_INVAL or ERR_LIMIT with the reason and the descriptors still in `m`; ERR_IO.
 */
int job_decode(struct imsg *m, enum proto_engine engine, bool loaded, struct job *job, struct err *e);

/* job_free - release what job_decode took. */
void job_free(struct job *job);

#endif
