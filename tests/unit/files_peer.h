/* tests: serves a small directory in memory by base/files.h, and lies when told to, in a thread. */

#ifndef TESTS_FILES_PEER_H
#define TESTS_FILES_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/files.h"

/* One name of the directory; the first is the directory itself, with the path "". */
struct peer_node {
	const char *path;
	enum files_kind kind;
	const char *text;      /* what a file holds, where a link leads; of a file that is NULL: `size` times its last name's first letter */
	uint64_t size;
	enum files_code code;  /* for what is asked of what it holds, unless it is FILES_OK */
	enum files_code stat;  /* the same for its state */
	int64_t modified;      /* part of its version */
};

/* A packet to be said instead of an answer. */
struct peer_packet {
	uint32_t type;
	size_t length;
	const void *payload;
	int64_t run;      /* added to the number of the question */
	int64_t lie;      /* added to the length in the header */
	uint32_t repeat;  /* how often; 0 is once, UINT32_MAX until nobody listens */
};

struct peer {
	int socket;       /* the worker's end */
	const struct peer_node *nodes;
	size_t node_count;
	const struct peer_packet *script; /* answers question number script_at, from 0, and then closes */
	size_t script_length;
	int script_at;    /* -1: never */
	bool silent;      /* answers nothing */
	int asked[16];    /* questions of each type so far */
	int total;
};

/* peer_begin - serve nodes[0..count]; the test may change them, and the script, between questions. peer_end waits for its end. */
void peer_begin(struct peer *p, const struct peer_node *nodes, size_t count);
void peer_end(struct peer *p);

/* peer_digest - what it says a file's digest is: of the path, to tell them apart. */
struct digest peer_digest(const char *path);

#endif
