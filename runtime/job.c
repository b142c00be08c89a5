/* runtime/job: one run's orders, taken from the first message on the job socket. Runs in the worker. */

#include "runtime/job.h"

#include <string.h>
#include <unistd.h>

#define KNOWN_FLAGS                                                                                                  \
	(PROTO_JOB_STREAM_OUTPUT | PROTO_JOB_STREAM_INPUT | PROTO_JOB_OUTPUT_ENDS | PROTO_JOB_BLOB_FD | PROTO_JOB_LOADED | \
	    PROTO_JOB_LEARN | PROTO_JOB_PACK)

#define ARTIFACT_SIZE_MAX (SIZE_MAX / 2)
#define BLOB_SIZE_MAX     (SIZE_MAX / 2)

/* The engine takes these as signed numbers. */
#define LIMIT_MAX ((uint64_t)INT64_MAX)

static int
check_limits(const struct proto_job *o, struct err *e)
{
	const struct {
		const char *name;
		uint64_t value;
	} limits[] = {
	    {"wall_ms", o->wall_ms},
	    {"cpu_ms", o->cpu_ms},
	    {"memory_bytes", o->memory_bytes},
	    {"table_elements", o->table_elements},
	    {"host_calls", o->host_calls},
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (limits[i].value == 0 || limits[i].value > LIMIT_MAX)
			return err_set(e, ERR_PROTOCOL, "the job's %s is %ju", limits[i].name, (uintmax_t)limits[i].value);
	if (o->engine == PROTO_ENGINE_FUEL && o->fuel == 0)
		return err_set(e, ERR_PROTOCOL, "the job has no fuel");
	return 0;
}

static int
check_order(const struct proto_job *o, enum proto_engine engine, bool loaded, struct err *e)
{
	if ((o->flags & ~(uint32_t)KNOWN_FLAGS) != 0)
		return err_set(e, ERR_PROTOCOL, "the job's flags 0x%x are not all known", o->flags);
	if (o->engine != engine)
		return err_set(e, ERR_PROTOCOL, "the job is for engine %u, this is %d", o->engine, (int)engine);
	if (((o->flags & PROTO_JOB_LOADED) != 0) != loaded)
		return err_set(e, ERR_PROTOCOL, loaded ? "the job is not for the module that is here" : "there is no module here");
	if ((o->flags & PROTO_JOB_STREAM_INPUT) != 0 && o->stdin_bytes != 0)
		return err_set(e, ERR_PROTOCOL, "the job both brings %ju bytes of input and streams it",
		    (uintmax_t)o->stdin_bytes);
	if (((o->flags & PROTO_JOB_PACK) != 0) != (o->source_bytes >= sizeof(struct proto_source)))
		return err_set(e, ERR_PROTOCOL, "the job brings %ju bytes of source", (uintmax_t)o->source_bytes);
	return check_limits(o, e);
}

/* Whether the parts of the blob are `size` bytes together. */
static bool
parts_fill(const struct proto_job *o, size_t size)
{
	const uint64_t parts[] = {o->args_bytes, o->env_bytes, o->stdin_bytes, o->files_bytes, o->mounts_bytes,
	    o->source_bytes};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i] > size)
			return false;
		size -= parts[i];
	}
	return size == 0;
}

/* Finds the blob, behind the order or in descriptor `at`, and checks that its parts fill it. */
static int
find_blob(const struct imsg *m, int at, struct job *job, struct err *e)
{
	const struct proto_job *o = &job->order;
	size_t size = m->hdr.length - sizeof(*o);
	int rc;

	if ((o->flags & PROTO_JOB_BLOB_FD) != 0) {
		if (size != 0)
			return err_set(e, ERR_PROTOCOL, "the job has two blobs");
		if ((rc = memfd_check(m->fds[at], BLOB_SIZE_MAX, &size, e)) != 0)
			return err_context(e, "the job's blob");
	}
	if (!parts_fill(o, size))
		return err_set(e, ERR_PROTOCOL, "the parts of the job's blob do not fill its %zu bytes", size);
	job->blob_length = size;
	job->blob = m->payload + sizeof(*o);
	if ((o->flags & PROTO_JOB_BLOB_FD) == 0)
		return 0;
	if ((rc = memfd_map(m->fds[at], size, &job->map, e)) != 0)
		return rc;
	if (size > 0)
		job->blob = job->map.data;
	return 0;
}

int
job_decode(struct imsg *m, enum proto_engine engine, bool loaded, struct job *job, struct err *e)
{
	struct job j = {.run = m->hdr.run, .artifact = -1};
	size_t artifact_size;
	int blob_at = loaded ? 0 : 1, dirs_at, fd, rc;

	if (m->hdr.type != PROTO_JOB || m->hdr.length < sizeof(j.order))
		return err_set(e, ERR_PROTOCOL, "message %u of %u bytes is no job", m->hdr.type, m->hdr.length);
	memcpy(&j.order, m->payload, sizeof(j.order));
	if ((rc = check_order(&j.order, engine, loaded, e)) != 0)
		return rc;
	dirs_at = blob_at + ((j.order.flags & PROTO_JOB_BLOB_FD) != 0);
	if (j.order.dirc > PROTO_DIRS_MAX || m->nfds != dirs_at + (int)j.order.dirc)
		return err_set(e, ERR_PROTOCOL, "the job came with %d descriptors", m->nfds);
	if (!loaded && memfd_check(m->fds[0], ARTIFACT_SIZE_MAX, &artifact_size, e) != 0)
		return err_context(e, "the job's artifact");
	if ((rc = find_blob(m, blob_at, &j, e)) != 0)
		return rc;
	if (!loaded)
		j.artifact = imsg_take_fd(m, 0);
	if (dirs_at > blob_at && (fd = imsg_take_fd(m, blob_at)) >= 0)
		close(fd);
	for (int i = 0; i < PROTO_DIRS_MAX; i++)
		j.dirs[i] = i < (int)j.order.dirc ? imsg_take_fd(m, dirs_at + i) : -1;
	*job = j;
	return 0;
}

void
job_free(struct job *job)
{
	if (job->artifact >= 0)
		close(job->artifact);
	job->artifact = -1;
	for (uint32_t i = 0; i < job->order.dirc; i++) {
		if (job->dirs[i] >= 0)
			close(job->dirs[i]);
		job->dirs[i] = -1;
	}
	memfd_unmap(&job->map);
}
