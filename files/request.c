/* files/request: what a worker may ask of brig-files, checked. brig-files. */

#include "files/request.h"

#include <stdbool.h>
#include <string.h>

/* Whether it names something beneath the directory: no empty component, no "." or "..", no NUL; "" is fine. */
static bool
path_is_good(const char *path, size_t length)
{
	const char *const end = path + length;

	if (length == 0)
		return true;
	if (length > FILES_PATH_MAX || memchr(path, '\0', length) != NULL)
		return false;
	for (;;) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		size_t n = (size_t)((slash == NULL ? end : slash) - path);

		if (n == 0 || (n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (slash == NULL)
			return true;
		path = slash + 1;
	}
}

int
request_parse(const struct imsg *m, struct request *out, struct err *e)
{
	const char *path = (const char *)m->payload + sizeof(struct files_ask);
	struct files_ask ask;

	if (m->hdr.type < FILES_LIST || m->hdr.type > FILES_DIGEST)
		return err_set(e, ERR_PROTOCOL, "message %u is no request", m->hdr.type);
	if (m->nfds != 0)
		return err_set(e, ERR_PROTOCOL, "a request with %d descriptors", m->nfds);
	if (m->hdr.length < sizeof(ask))
		return err_set(e, ERR_PROTOCOL, "a request of %u bytes", m->hdr.length);
	memcpy(&ask, m->payload, sizeof(ask));
	if (ask.path_length != m->hdr.length - sizeof(ask))
		return err_set(e, ERR_PROTOCOL, "a request of %u bytes with a path of %u", m->hdr.length, ask.path_length);
	if (ask.length > FILES_READ_MAX)
		return err_set(e, ERR_PROTOCOL, "a request to read %u bytes", ask.length);
	if (!path_is_good(path, ask.path_length))
		return err_set(e, ERR_PROTOCOL, "a request with a path of %u bytes that is not one", ask.path_length);
	out->type = m->hdr.type;
	out->ask = ask;
	memcpy(out->path, path, ask.path_length);
	out->path[ask.path_length] = '\0';
	return 0;
}
