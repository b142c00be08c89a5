/* brig-store: started by brigd; keeps modules and artifacts, and hands them out as sealed memfds. Store process. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/proto.h"
#include "base/service.h"
#include "broker/store.h"
#include "engine_id.h"
#include "sandbox/filter.h"

static int
answer_done(const struct imsg *m, const struct proto_store_done *done, struct err *e)
{
	return service_send(PROTO_SOCKET_FD, PROTO_STORE_DONE, m->hdr.run, done, sizeof(*done), -1, e);
}

static int
answer_failed(const struct imsg *m, const struct err *why, struct err *e)
{
	struct proto_store_done done = {.code = why->code};
	uint8_t payload[sizeof(done) + sizeof(why->msg)];
	size_t length = strlen(why->msg);

	memcpy(payload, &done, sizeof(done));
	memcpy(payload + sizeof(done), why->msg, length);
	return service_send(PROTO_SOCKET_FD, PROTO_STORE_FAILED, m->hdr.run, payload, sizeof(done) + length, -1, e);
}

static struct proto_store
asked(const struct imsg *m)
{
	struct proto_store what;

	memcpy(&what, m->payload, sizeof(what));
	return what;
}

static int
on_put(void *arg, struct imsg *m, struct err *e)
{
	const struct proto_store what = asked(m);
	struct proto_store_done done;
	struct err why = {0};

	if (store_put(arg, &what, m->fds[0], m->payload + sizeof(what), m->hdr.length - sizeof(what), &done, &why) != 0)
		return answer_failed(m, &why, e);
	return answer_done(m, &done, e);
}

static int
on_get(void *arg, struct imsg *m, struct err *e)
{
	const struct proto_store what = asked(m);
	struct proto_store_done done;
	void *signature = NULL;
	size_t length = 0;
	struct err why = {0};
	uint8_t *payload;
	int fd = store_get(arg, &what, &signature, &length, &done, &why);
	int rc;

	if (fd < 0)
		return answer_failed(m, &why, e);
	if ((payload = malloc(sizeof(done) + length)) != NULL) {
		memcpy(payload, &done, sizeof(done));
		if (length > 0)
			memcpy(payload + sizeof(done), signature, length);
		rc = service_send(PROTO_SOCKET_FD, PROTO_STORE_DATA, m->hdr.run, payload, sizeof(done) + length, fd, e);
	} else {
		err_set(&why, ERR_NOMEM, "a signature");
		rc = answer_failed(m, &why, e);
	}
	free(payload);
	free(signature);
	close(fd);
	return rc;
}

static int
on_remove(void *arg, struct imsg *m, struct err *e)
{
	const struct proto_store what = asked(m);
	struct proto_store_done done = {.existed = 1};
	struct err why = {0};

	if (store_remove(arg, &what, &why) != 0)
		return answer_failed(m, &why, e);
	return answer_done(m, &done, e);
}

static int
on_list(void *arg, struct imsg *m, struct err *e)
{
	static struct proto_store_entry page[IMSG_PAYLOAD_MAX / sizeof(struct proto_store_entry)];
	const struct proto_store what = asked(m);
	struct err why = {0};
	int n = store_list(arg, &what, page, sizeof(page) / sizeof(page[0]), &why);

	if (n < 0)
		return answer_failed(m, &why, e);
	return service_send(PROTO_SOCKET_FD, PROTO_STORE_LISTED, m->hdr.run, page, (size_t)n * sizeof(page[0]), -1, e);
}

static int
on_size(void *arg, struct imsg *m, struct err *e)
{
	const struct proto_store_sized size = store_size(arg);

	return service_send(PROTO_SOCKET_FD, PROTO_STORE_SIZED, m->hdr.run, &size, sizeof(size), -1, e);
}

/* A signature must fit the answer, whose head is smaller than the question's. */
static const struct service_message messages[] = {
    {PROTO_STORE_PUT, sizeof(struct proto_store), IMSG_PAYLOAD_MAX, 1, 1, on_put},
    {PROTO_STORE_GET, sizeof(struct proto_store), sizeof(struct proto_store), 0, 0, on_get},
    {PROTO_STORE_REMOVE, sizeof(struct proto_store), sizeof(struct proto_store), 0, 0, on_remove},
    {PROTO_STORE_LIST, sizeof(struct proto_store), sizeof(struct proto_store), 0, 0, on_list},
    {PROTO_STORE_SIZE, 0, 0, 0, 0, on_size},
};
_Static_assert(sizeof(struct proto_store_done) <= sizeof(struct proto_store), "what can be put can be given");
static const struct service service = {messages, sizeof(messages) / sizeof(messages[0]), NULL};

/* Tells brigd what the last session left. */
static int
tell_found(const struct store *s, struct err *e)
{
	char text[100];

	if (store_leftovers(s) == 0)
		return 0;
	snprintf(text, sizeof(text), "%zu unfinished files or directories, removed", store_leftovers(s));
	return service_send(PROTO_SOCKET_FD, PROTO_FOUND, 0, text, strlen(text), -1, e);
}

int
main(int argc, char **argv)
{
	const char *size = NULL, *share = NULL;
	const struct service_argument extra[] = {{"size-max", &size}, {"owner-max", &share}};
	struct store *store = NULL;
	uint64_t size_max = 0, owner_max = 0;
	struct err e = {0};
	int dir = service_start(argc, argv, extra, 2, &e);
	int rc = dir < 0 ? dir : 0, status = EXIT_SUCCESS;

	if (rc == 0)
		rc = service_number("--size-max", size, STORE_BLOCK, INT64_MAX, &size_max, &e);
	if (rc == 0)
		rc = service_number("--owner-max", share, STORE_BLOCK, INT64_MAX, &owner_max, &e);
	if (rc == 0)
		rc = filter_enter(FILTER_STORE, &e);
	if (rc == 0)
		rc = store_open(dir, ENGINE_ID, size_max, owner_max, &store, &e);
	if (rc == 0)
		rc = tell_found(store, &e);
	if (rc != 0)
		status = service_fail(PROTO_SOCKET_FD, &e);
	else if (service_serve(PROTO_SOCKET_FD, &service, store, &e) != 0)
		status = EXIT_FAILURE;
	store_close(store);
	if (dir >= 0)
		close(dir);
	_exit(status); /* the filter does not allow what a sanitizer does in exit() */
}
