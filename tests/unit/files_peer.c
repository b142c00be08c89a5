/* tests: serves a small directory in memory by base/files.h, and lies when told to, in a thread. */

#include "files_peer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static pthread_t thread;
static int own_end;

static void
say(uint32_t type, uint64_t run, const void *a, size_t a_length, const void *b, size_t b_length)
{
	static uint8_t bytes[IMSG_PAYLOAD_MAX];

	memcpy(bytes, a, a_length);
	if (b_length > 0)
		memcpy(bytes + a_length, b, b_length);
	(void)imsg_send(own_end, type, run, bytes, a_length + b_length, NULL, 0, NULL);
}

static struct files_version
version_of(const struct peer_node *n)
{
	return (struct files_version){1, (uintptr_t)n->path & 0xffff, n->text != NULL ? strlen(n->text) : n->size,
	    n->modified, n->modified};
}

struct digest
peer_digest(const char *path)
{
	return digest_of(path, strlen(path));
}

static void
done(const struct peer_node *n, uint64_t run, enum files_code code, uint64_t count)
{
	struct files_done d = {.code = code, .count = count};

	if (n != NULL) {
		d.version = version_of(n);
		d.digest = peer_digest(n->path);
	}
	say(FILES_DONE, run, &d, sizeof(d), NULL, 0);
}

/* The name of `n` if it is directly inside `dir`, or NULL. */
static const char *
name_in(const struct peer_node *dir, const struct peer_node *n)
{
	size_t length = strlen(dir->path);

	if (n == dir || strncmp(n->path, dir->path, length) != 0 || (length > 0 && n->path[length] != '/'))
		return NULL;
	length += length > 0;
	return n->path[length] != '\0' && strchr(n->path + length, '/') == NULL ? n->path + length : NULL;
}

static void
list(const struct peer *p, const struct peer_node *dir, uint64_t run)
{
	static uint8_t bytes[IMSG_PAYLOAD_MAX];
	size_t used = 0;
	uint64_t count = 0;

	for (size_t i = 1; i < p->node_count && dir->code == FILES_OK; i++) {
		const char *name = name_in(dir, &p->nodes[i]);
		struct files_entry e;

		if (name == NULL)
			continue;
		e = (struct files_entry){p->nodes[i].kind, (uint32_t)strlen(name)};
		if (used + sizeof(e) + e.name_length > sizeof(bytes)) {
			say(FILES_ENTRIES, run, bytes, used, NULL, 0);
			used = 0;
		}
		memcpy(bytes + used, &e, sizeof(e));
		memcpy(bytes + used + sizeof(e), name, e.name_length);
		used += sizeof(e) + e.name_length;
		count++;
	}
	if (used > 0)
		say(FILES_ENTRIES, run, bytes, used, NULL, 0);
	done(dir, run, dir->code, count);
}

static void
stat_node(const struct peer_node *n, uint64_t run)
{
	size_t target = n->kind == FILES_KIND_LINK ? strlen(n->text) : 0;
	struct files_node node = {.version = version_of(n), .accessed = 7, .kind = n->kind, .target_length = (uint32_t)target};

	if (n->stat == FILES_OK)
		say(FILES_NODE, run, &node, sizeof(node), n->text, target);
	done(n, run, n->stat, 0);
}

static void
read_file(const struct peer_node *n, const struct files_ask *a, uint64_t run)
{
	static uint8_t bytes[IMSG_PAYLOAD_MAX];
	struct files_version v = version_of(n);
	const char *slash = strrchr(n->path, '/');
	uint64_t sent = 0, there = a->offset < v.size ? v.size - a->offset : 0;

	if (n->code != FILES_OK || memcmp(&v, &a->version, sizeof(v)) != 0) {
		done(n, run, n->code != FILES_OK ? n->code : FILES_CHANGED, 0);
		return;
	}
	if (there > a->length)
		there = a->length;
	while (sent < there) {
		size_t part = there - sent < sizeof(bytes) ? (size_t)(there - sent) : sizeof(bytes);

		if (n->text != NULL)
			memcpy(bytes, n->text + a->offset + sent, part);
		else
			memset(bytes, slash != NULL ? slash[1] : n->path[0], part);
		say(FILES_DATA, run, bytes, part, NULL, 0);
		sent += part;
	}
	done(n, run, FILES_OK, sent);
}

/* Says what the script has. */
static void
lie(const struct peer *p, uint64_t run)
{
	for (size_t i = 0; i < p->script_length; i++) {
		const struct peer_packet *s = &p->script[i];
		static uint8_t bytes[IMSG_SIZE_MAX];
		struct imsg_hdr hdr = {s->type, (uint32_t)((int64_t)s->length + s->lie), run + (uint64_t)s->run};
		uint32_t left = s->repeat == 0 ? 1 : s->repeat;

		memcpy(bytes, &hdr, sizeof(hdr));
		if (s->length > 0)
			memcpy(bytes + sizeof(hdr), s->payload, s->length);
		while (left > 0) {
			size_t length = s->type == 0 ? s->length : sizeof(hdr) + s->length; /* type 0: bytes without a header */

			if (send(own_end, s->type == 0 ? s->payload : bytes, length, MSG_NOSIGNAL) < 0)
				return;
			left -= s->repeat != UINT32_MAX;
		}
	}
}

static void
answer(struct peer *p, const struct imsg *m)
{
	const struct peer_node *n = NULL;
	struct files_ask ask;
	char path[FILES_PATH_MAX + 1] = "";

	memcpy(&ask, m->payload, sizeof(ask));
	memcpy(path, m->payload + sizeof(ask), ask.path_length);
	for (size_t i = 0; i < p->node_count; i++)
		if (strcmp(p->nodes[i].path, path) == 0)
			n = &p->nodes[i];
	if (n == NULL)
		done(NULL, m->hdr.run, FILES_MISSING, 0);
	else if (m->hdr.type == FILES_LIST)
		list(p, n, m->hdr.run);
	else if (m->hdr.type == FILES_STAT)
		stat_node(n, m->hdr.run);
	else if (m->hdr.type == FILES_READ)
		read_file(n, &ask, m->hdr.run);
	else
		done(n, m->hdr.run, n->code != FILES_OK ? n->code :
		    ask.version.inode != 0 && ask.version.modified != n->modified ? FILES_CHANGED : FILES_OK, 0);
}

static void *
serve(void *arg)
{
	struct peer *p = arg;
	static struct imsg m;

	while (imsg_recv(own_end, &m, NULL) == 0) {
		int number = p->total++;

		if (m.hdr.type < 16)
			p->asked[m.hdr.type]++;
		if (p->silent)
			continue;
		if (number == p->script_at) {
			lie(p, m.hdr.run);
			break;
		}
		answer(p, &m);
	}
	shutdown(own_end, SHUT_RDWR);
	return NULL;
}

void
peer_begin(struct peer *p, const struct peer_node *nodes, size_t count)
{
	int sv[2];

	*p = (struct peer){.nodes = nodes, .node_count = count, .script_at = -1};
	if (imsg_pair(sv, NULL) != 0)
		abort();
	p->socket = sv[0];
	own_end = sv[1];
	if (pthread_create(&thread, NULL, serve, p) != 0)
		abort();
}

void
peer_end(struct peer *p)
{
	shutdown(p->socket, SHUT_RDWR);
	pthread_join(thread, NULL);
	close(p->socket);
	close(own_end);
}
