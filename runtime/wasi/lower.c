/* runtime/wasi/lower: directories of the host, asked of who serves them (base/files.h). Runs in the worker. */

#include "runtime/wasi/lower.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_SIZE 65536u

struct wasi_chunk {
	struct wasi_chunk *next;
	size_t used;
	uint8_t bytes[CHUNK_SIZE] __attribute__((aligned(8)));
};

/* --- origins --------------------------------------------------------------------------------------------------- */

struct wasi_lower *
wasi_lower_new(int socket, const volatile sig_atomic_t *stop, const char *path, size_t length)
{
	struct wasi_lower *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->port = (struct wasi_port){.socket = socket, .stop = stop};
	l->path = path;
	l->path_length = length;
	l->top.lower = l;
	l->top.kind = FILES_KIND_DIR;
	l->window = WASI_WINDOW_MIN;
	return l;
}

void
wasi_lower_free(struct wasi_lower *l)
{
	struct wasi_chunk *c;

	if (l == NULL)
		return;
	while ((c = l->chunks) != NULL) {
		l->chunks = c->next;
		free(c);
	}
	free(l->troubles);
	free(l->ahead);
	free(l);
}

size_t
wasi_origin_cost(size_t length)
{
	return (sizeof(struct wasi_origin) + length + 7) / 8 * 8;
}

struct wasi_origin *
wasi_origin_new(struct wasi_origin *parent, enum files_kind kind, const char *name, size_t length)
{
	struct wasi_lower *l = parent->lower;
	size_t size = wasi_origin_cost(length);
	struct wasi_chunk *c = l->chunks;
	struct wasi_origin *o;

	if (c == NULL || CHUNK_SIZE - c->used < size) {
		if ((c = malloc(sizeof(*c))) == NULL)
			return NULL;
		c->next = l->chunks;
		c->used = 0;
		l->chunks = c;
	}
	o = (struct wasi_origin *)(void *)(c->bytes + c->used);
	c->used += size;
	*o = (struct wasi_origin){.lower = l, .parent = parent, .kind = (uint8_t)kind, .length = (uint8_t)length};
	memcpy(o->name, name, length);
	return o;
}

struct wasi_mark
wasi_origin_mark(const struct wasi_lower *l)
{
	return (struct wasi_mark){l->chunks, l->chunks == NULL ? 0 : l->chunks->used, l->removed};
}

void
wasi_origin_rewind(struct wasi_lower *l, const struct wasi_mark *mark)
{
	while (l->chunks != mark->chunk) {
		struct wasi_chunk *c = l->chunks;

		l->chunks = c->next;
		free(c);
	}
	if (l->chunks != NULL)
		l->chunks->used = mark->used;
	l->removed = mark->removed;
}

void
wasi_origin_removed(struct wasi_origin *o)
{
	o->removed = o->lower->removed;
	o->lower->removed = o;
}

size_t
wasi_origin_path(const struct wasi_origin *o, char path[FILES_PATH_MAX])
{
	size_t start = FILES_PATH_MAX;

	for (; o->parent != NULL; o = o->parent) {
		size_t slash = start < FILES_PATH_MAX;

		if (o->length + slash > start)
			return 0;
		if (slash != 0)
			path[--start] = '/';
		start -= o->length;
		memcpy(path + start, o->name, o->length);
	}
	memmove(path, path + start, FILES_PATH_MAX - start);
	return FILES_PATH_MAX - start;
}

/* --- troubles -------------------------------------------------------------------------------------------------- */

static bool
is_same(const struct wasi_trouble *a, const struct wasi_trouble *b)
{
	return a->kind == b->kind && a->length == b->length && memcmp(a->path, b->path, a->length) == 0;
}

/* The guest's path, or that of the mount where it does not fit. */
static void
set_path(struct wasi_trouble *t, const struct wasi_origin *o)
{
	const struct wasi_lower *l = o->lower;
	size_t top = l->path_length == 1 ? 0 : l->path_length; /* "/" has the slash already */
	char path[FILES_PATH_MAX];
	size_t length = wasi_origin_path(o, path);

	t->length = l->path_length;
	memcpy(t->path, l->path, l->path_length);
	if (length == 0 || top + 1 + length > sizeof(t->path))
		return;
	t->path[top] = '/';
	memcpy(t->path + top + 1, path, length);
	t->length = top + 1 + length;
}

void
wasi_lower_trouble(const struct wasi_origin *o, enum proto_trouble_kind kind)
{
	struct wasi_lower *l = o->lower;
	struct wasi_trouble *t;
	uint32_t i = 0;

	if (*l->port.stop != 0)
		return; /* it is the run that ends */
	if (l->troubles == NULL && (l->troubles = calloc(WASI_TROUBLES_MAX + 1, sizeof(*l->troubles))) == NULL)
		return;
	t = &l->troubles[WASI_TROUBLES_MAX]; /* the one in hand */
	t->kind = kind;
	t->count = 0;
	set_path(t, kind == PROTO_TROUBLE_lost ? &l->top : o);
	while (i < l->trouble_count && !is_same(&l->troubles[i], t))
		i++;
	if (i == WASI_TROUBLES_MAX)
		i--;
	if (i == l->trouble_count) {
		l->troubles[i] = *t;
		l->trouble_count++;
	}
	l->troubles[i].count++;
}

/* --- asking and being answered --------------------------------------------------------------------------------- */

/* Nothing more is asked. */
static enum wasi_errno
end(struct wasi_lower *l)
{
	if (!l->ended)
		wasi_lower_trouble(&l->top, PROTO_TROUBLE_lost);
	l->ended = true;
	l->held = 0;
	return WASI_EIO;
}

/* Sends one question about `o`; `version` may be NULL. */
static enum wasi_errno
ask(const struct wasi_origin *o, enum files_type type, const struct files_version *version, uint64_t at, uint32_t length)
{
	struct wasi_lower *l = o->lower;
	struct {
		struct imsg_hdr hdr;
		struct files_ask ask;
		char path[FILES_PATH_MAX];
	} packet = {.ask = {.offset = at, .length = length}};

	packet.ask.path_length = (uint32_t)wasi_origin_path(o, packet.path);
	if (packet.ask.path_length == 0 && o->parent != NULL)
		return WASI_ENAMETOOLONG;
	if (version != NULL)
		packet.ask.version = *version;
	if (l->ended)
		return WASI_EIO;
	packet.hdr = (struct imsg_hdr){type, (uint32_t)sizeof(packet.ask) + packet.ask.path_length, ++l->port.run};
	if (wasi_port_send(&l->port, &packet, sizeof(packet.hdr) + packet.hdr.length, false) != WASI_STREAM_OK)
		return end(l);
	return WASI_ESUCCESS;
}

/* Receives the next packet of the answer, of type `type` or the last one. */
static enum wasi_errno
receive(struct wasi_lower *l, enum files_type type)
{
	const struct imsg_hdr *hdr = &l->packet.hdr;
	ssize_t n;

	do {
		if (*l->port.stop != 0)
			return end(l);
		n = read(l->port.socket, l->packet.bytes, sizeof(l->packet.bytes));
		if (n < 0 && errno == EAGAIN)
			(void)wasi_port_wait(&l->port, true, UINT64_MAX);
		else if (n < 0 && errno != EINTR)
			return end(l);
	} while (n < 0);
	if ((size_t)n < sizeof(*hdr) || hdr->length != (size_t)n - sizeof(*hdr) || hdr->run != l->port.run)
		return end(l);
	if (hdr->type == FILES_DONE ? hdr->length != sizeof(struct files_done) : hdr->type != type)
		return end(l);
	return WASI_ESUCCESS;
}

static const uint8_t *
payload(const struct wasi_lower *l)
{
	return l->packet.bytes + sizeof(l->packet.hdr);
}

static bool
is_done(const struct wasi_lower *l)
{
	return l->packet.hdr.type == FILES_DONE;
}

/* What the last packet says of the question; with `tell` it is noted when that is a trouble. */
static enum wasi_errno
conclude(const struct wasi_origin *o, struct files_done *done, bool tell)
{
	static const struct {
		enum files_code code;
		enum wasi_errno error;
		enum proto_trouble_kind trouble;
	} codes[] = {
		{FILES_OK, WASI_ESUCCESS, PROTO_TROUBLE_NONE},
		{FILES_DENIED, WASI_EACCES, PROTO_TROUBLE_NONE},
		{FILES_OUTSIDE, WASI_EACCES, PROTO_TROUBLE_NONE},
		{FILES_KIND, WASI_EIO, PROTO_TROUBLE_changed},
		{FILES_CHANGED, WASI_EIO, PROTO_TROUBLE_changed},
		{FILES_LIMIT, WASI_ENOMEM, PROTO_TROUBLE_NONE},
		{FILES_IO, WASI_EIO, PROTO_TROUBLE_failed},
	};

	memcpy(done, payload(o->lower), sizeof(*done));
	if (done->code == FILES_MISSING && o->known)
		done->code = FILES_CHANGED;
	if (done->code == FILES_MISSING)
		return WASI_ENOENT;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].code == done->code) {
			if (tell && codes[i].trouble != PROTO_TROUBLE_NONE)
				wasi_lower_trouble(o, codes[i].trouble);
			return codes[i].error;
		}
	return end(o->lower);
}

/* --- the questions --------------------------------------------------------------------------------------------- */

static bool
is_name(const char *name, size_t length)
{
	bool dots = length <= 2 && memcmp(name, "..", length) == 0;

	return length > 0 && length <= FILES_NAME_MAX && !dots && memchr(name, '/', length) == NULL &&
	    memchr(name, '\0', length) == NULL;
}

/* Tells the names in one packet, of which there must be one at least. */
static enum wasi_errno
take_entries(struct wasi_lower *l, wasi_lower_take_fn *take, void *arg, enum wasi_errno *taken, uint64_t *count)
{
	const uint8_t *next = payload(l);
	size_t left = l->packet.hdr.length;

	do {
		struct files_entry entry;
		const char *name = (const char *)next + sizeof(entry);

		if (left < sizeof(entry))
			return end(l);
		memcpy(&entry, next, sizeof(entry));
		left -= sizeof(entry);
		if (entry.name_length > left || !is_name(name, entry.name_length) || entry.kind < FILES_KIND_FILE ||
		    entry.kind > FILES_KIND_BLOCK)
			return end(l);
		if (*taken == WASI_ESUCCESS)
			*taken = take(arg, (enum files_kind)entry.kind, name, entry.name_length);
		if (*taken == WASI_EEXIST)
			return end(l);
		next += sizeof(entry) + entry.name_length;
		left -= entry.name_length;
		++*count;
	} while (left > 0);
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_lower_list(struct wasi_origin *dir, wasi_lower_take_fn *take, void *arg)
{
	struct wasi_lower *l = dir->lower;
	enum wasi_errno taken = WASI_ESUCCESS, error = ask(dir, FILES_LIST, NULL, 0, 0);
	struct files_done done;
	uint64_t count = 0;

	while (error == WASI_ESUCCESS) {
		error = receive(l, FILES_ENTRIES);
		if (error != WASI_ESUCCESS || is_done(l))
			break;
		error = *l->port.stop == 0 ? take_entries(l, take, arg, &taken, &count) : end(l);
	}
	if (error == WASI_ESUCCESS)
		error = conclude(dir, &done, true);
	if (error != WASI_ESUCCESS)
		return error;
	return done.count == count ? taken : end(l);
}

/* What a FILES_NODE says of `o`, if it can be so. */
static enum wasi_errno
take_node(struct wasi_origin *o, struct files_node *node, const char **target)
{
	struct wasi_lower *l = o->lower;
	const char *text = (const char *)payload(l) + sizeof(*node);

	if (l->packet.hdr.length < sizeof(*node))
		return end(l);
	memcpy(node, payload(l), sizeof(*node));
	if (node->target_length != l->packet.hdr.length - sizeof(*node) || node->kind < FILES_KIND_FILE ||
	    node->kind > FILES_KIND_BLOCK || (node->kind == FILES_KIND_LINK) != (node->target_length > 0) ||
	    node->target_length > PROTO_PATH_MAX || memchr(text, '\0', node->target_length) != NULL)
		return end(l);
	*target = text;
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_lower_stat(struct wasi_origin *o, struct files_node *node, const char **target)
{
	struct wasi_lower *l = o->lower;
	enum wasi_errno error = ask(o, FILES_STAT, NULL, 0, 0);
	struct files_done done;
	const char *there;
	bool told = false;

	while (error == WASI_ESUCCESS && (error = receive(l, FILES_NODE)) == WASI_ESUCCESS && !is_done(l)) {
		error = told ? end(l) : take_node(o, node, &there);
		told = true;
		if (error == WASI_ESUCCESS && node->target_length > 0)
			memcpy(l->target, there, node->target_length); /* the last packet will be in its place */
	}
	if (error == WASI_ESUCCESS)
		error = conclude(o, &done, true);
	if (error != WASI_ESUCCESS)
		return error;
	if (!told)
		return end(l);
	if (node->kind != o->kind) {
		wasi_lower_trouble(o, PROTO_TROUBLE_changed);
		return WASI_EIO;
	}
	*target = l->target;
	o->version = node->version;
	o->known = true;
	return WASI_ESUCCESS;
}

/* Reads `length` bytes at `at`, or what there is of them, to what is read ahead. */
static enum wasi_errno
fill(const struct wasi_origin *o, uint64_t at, uint32_t length)
{
	struct wasi_lower *l = o->lower;
	uint64_t there = at < o->version.size ? o->version.size - at : 0;
	size_t want = there < length ? (size_t)there : length, got = 0;
	struct files_done done;
	enum wasi_errno error;

	l->held = 0;
	if (l->ahead == NULL && (l->ahead = malloc(WASI_WINDOW_MAX)) == NULL)
		return WASI_ENOMEM;
	error = ask(o, FILES_READ, &o->version, at, length);
	while (error == WASI_ESUCCESS && (error = receive(l, FILES_DATA)) == WASI_ESUCCESS && !is_done(l)) {
		size_t n = l->packet.hdr.length;

		if (n == 0 || n > want - got)
			return end(l);
		memcpy(l->ahead + got, payload(l), n);
		got += n;
	}
	if (error == WASI_ESUCCESS)
		error = conclude(o, &done, true);
	if (error != WASI_ESUCCESS)
		return error;
	if (got != want || done.count != want)
		return end(l);
	l->held_of = o;
	l->held_at = at;
	l->held = got;
	return WASI_ESUCCESS;
}

/*
 * What is read ahead is as much as the guest has shown that it reads on: twice as much with each time. One that jumps about
 * gets what it asks for.
 */
static uint32_t
choose_window(struct wasi_lower *l, const struct wasi_origin *o, uint64_t at, size_t length)
{
	uint64_t after = l->held_at + l->held;
	bool goes_on = l->held_of == o && at >= after && at - after < l->window;

	if (goes_on && l->window < WASI_WINDOW_MAX)
		l->window *= 2;
	else if (!goes_on)
		l->window = WASI_WINDOW_MIN;
	if (!goes_on && at != 0)
		return length < WASI_WINDOW_MAX ? (uint32_t)length : WASI_WINDOW_MAX;
	return (uint32_t)l->window;
}

enum wasi_errno
wasi_lower_read(const struct wasi_origin *o, uint64_t at, uint8_t *data, size_t length)
{
	struct wasi_lower *l = o->lower;

	while (length > 0) {
		size_t n;

		if (l->held_of != o || at < l->held_at || at - l->held_at >= l->held) {
			enum wasi_errno error = fill(o, at, choose_window(l, o, at, length));

			if (error != WASI_ESUCCESS)
				return error;
			if (l->held == 0)
				return end(l); /* it was asked for more than there is */
		}
		n = l->held - (size_t)(at - l->held_at);
		if (n > length)
			n = length;
		memcpy(data, l->ahead + (at - l->held_at), n);
		data += n;
		at += n;
		length -= n;
	}
	return WASI_ESUCCESS;
}

enum wasi_errno
wasi_lower_probe(const struct wasi_origin *o)
{
	if (o->lower->held_of == o && o->lower->held > 0)
		return WASI_ESUCCESS;
	return fill(o, 0, WASI_WINDOW_MIN);
}

enum wasi_errno
wasi_lower_digest(const struct wasi_origin *o, struct digest *digest)
{
	struct wasi_lower *l = o->lower;
	enum wasi_errno error = ask(o, FILES_DIGEST, &o->version, 0, 0);
	struct files_done done;

	if (error == WASI_ESUCCESS)
		error = receive(l, FILES_DONE);
	if (error == WASI_ESUCCESS)
		error = conclude(o, &done, false);
	if (error == WASI_ESUCCESS)
		*digest = done.digest;
	return error;
}
