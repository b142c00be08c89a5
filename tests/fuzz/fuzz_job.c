/* Fuzz target: a worker's orders: runtime/job, and what the WASI host takes from the blob. */

#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memfd.h"
#include "runtime/job.h"
#include "runtime/wasi/wasi.h"
#include "tests/fuzz/input.h"

/*
 * An input is: what comes beside the message and how, the type, with 128 for a zygote that has the module; then the message. With FIELDS the order that it begins
 * with is given by some bytes for its fields, so that an input says the same when the structure changes; with FILES
 * there are some more.
 */
enum {
	ARTIFACT_UNSEALED = 1, BLOB_UNSEALED = 2, BLOB_IS_BESIDE = 4, THIRD = 8, NONE = 16, FUEL = 32, FIELDS = 64, FILES = 128
};

/* The sanitizer watches what is behind the message, once add_files has taken from it what it takes. */
static void
put_message(struct imsg *m, struct input *in, bool fields, bool files)
{
	struct proto_job o = {0};
	size_t n = fields ? sizeof(o) : 0;
	struct block rest;

	ASAN_UNPOISON_MEMORY_REGION(m->payload, sizeof(m->payload));
	if (fields) {
		o.flags = input_byte(in);
		o.engine = input_byte(in);
		o.clock = input_byte(in);
		o.random = input_byte(in);
		o.wall_ms = input_byte(in);
		o.cpu_ms = o.fuel = o.memory_bytes = o.table_elements = o.host_calls = input_byte(in);
		o.argc = input_byte(in);
		o.envc = input_byte(in);
		o.args_bytes = input_u16(in);
		o.env_bytes = input_u16(in);
		o.stdin_bytes = input_u16(in);
		if (files) {
			o.files_bytes = input_u16(in);
			o.mounts_bytes = input_u16(in);
			o.filec = input_byte(in);
			o.mountc = input_byte(in);
			o.fs_nodes = o.open_files = input_byte(in);
			o.fs_bytes = 4 * o.fs_nodes * o.fs_nodes;
		}
		memcpy(m->payload, &o, n);
	}
	rest = input_take(in, sizeof(m->payload) - n);
	memcpy(m->payload + n, rest.data, rest.length);
	m->hdr.length = (uint32_t)(n + rest.length);
	free(rest.data);
}

static int
file_of(const void *data, size_t length, bool sealed)
{
	int fd = sealed ? memfd_from("fuzz", data, length, NULL) : memfd_new("fuzz", NULL);

	MUST(fd >= 0);
	return fd;
}

/* Puts what is behind the order beside the message, where the input says so. */
static void
add_files(struct imsg *m, uint8_t how)
{
	m->nfds = 0;
	if ((how & NONE) != 0)
		return;
	m->fds[m->nfds++] = file_of("artifact", 8, (how & ARTIFACT_UNSEALED) == 0);
	if ((how & BLOB_IS_BESIDE) != 0 && m->hdr.length >= sizeof(struct proto_job)) {
		m->fds[m->nfds++] = file_of(m->payload + sizeof(struct proto_job),
		    m->hdr.length - sizeof(struct proto_job), (how & BLOB_UNSEALED) == 0);
		m->hdr.length = sizeof(struct proto_job);
	}
	if ((how & THIRD) != 0)
		m->fds[m->nfds++] = file_of("", 0, true);
}

static void
must_be_in_order(const struct imsg *m, const struct job *job)
{
	const struct proto_job *o = &job->order;
	static struct wasi *w;
	struct wasi_config config = {.job = o, .blob = job->blob, .blob_length = job->blob_length, .dirs = job->dirs,
	    .socket = -1, .run = job->run};
	struct err e = {0};
	int rc;

	MUST(o->args_bytes <= job->blob_length && o->env_bytes <= job->blob_length && o->stdin_bytes <= job->blob_length);
	MUST(o->args_bytes + o->env_bytes + o->stdin_bytes + o->files_bytes + o->mounts_bytes + o->source_bytes ==
	    job->blob_length);
	MUST(o->wall_ms > 0 && o->cpu_ms > 0 && o->memory_bytes > 0 && o->host_calls > 0);
	MUST((job->artifact >= 0) == ((o->flags & PROTO_JOB_LOADED) == 0));
	for (int i = 0; i < m->nfds; i++)
		MUST(m->fds[i] < 0);
	if (w == NULL)
		MUST(wasi_new(&w, NULL) == 0);
	rc = wasi_begin(w, &config, &e);
	MUST(rc == 0 || ((rc == ERR_PROTOCOL || rc == ERR_LIMIT || rc == ERR_INVAL) && e.msg[0] != '\0'));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct imsg m;
	struct input in = {data, size};
	uint8_t how = input_byte(&in);
	struct job job = {.artifact = -1};
	int fd = input_lowest_fd();
	struct err e = {0};
	bool loaded;
	int rc;

	m.hdr = (struct imsg_hdr){.type = input_byte(&in), .run = 42};
	loaded = (m.hdr.type & 0x80) != 0;
	m.hdr.type &= 0x7f;
	put_message(&m, &in, (how & FIELDS) != 0, (how & FILES) != 0);
	add_files(&m, how);
	ASAN_POISON_MEMORY_REGION(m.payload + m.hdr.length, sizeof(m.payload) - m.hdr.length);
	rc = job_decode(&m, (how & FUEL) != 0 ? PROTO_ENGINE_FUEL : PROTO_ENGINE_PLAIN, loaded, &job, &e);
	if (rc == 0)
		must_be_in_order(&m, &job);
	else
		MUST(rc == e.code && e.msg[0] != '\0' && job.artifact < 0 && job.map.data == NULL);
	job_free(&job);
	imsg_close_fds(&m);
	MUST(input_lowest_fd() == fd);
	return 0;
}
