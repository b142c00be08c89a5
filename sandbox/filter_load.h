/* sandbox/filter_load: ready-made seccomp programs from a sealed memfd. Zygote and compiler; needs no libseccomp. */

#ifndef SANDBOX_FILTER_LOAD_H
#define SANDBOX_FILTER_LOAD_H

#include <linux/filter.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/memfd.h"

enum filter_kind {
	FILTER_ZYGOTE = 0,   /* the zygote, and its child until it locks */
	FILTER_WORKER = 1,   /* all that guest code ever runs under */
	FILTER_COMPILER = 2, /* the compiler, before it sees a module */
	FILTER_STORE = 3,    /* the store: files in one directory, no network, no other program */
	FILTER_LOGGER = 4,   /* the logger: writes to what it has opened, and opens, changes or removes nothing any more */
	/* The launcher. Its children keep it below their own, so it has what they need until they load those. */
	FILTER_LAUNCHER = 5,
	FILTER_FILES = 6, /* brig-files: opens, looks and reads; no descriptor but its socket is written to */
};
#define FILTER_KINDS   7
#define FILTER_BUNDLED 3 /* the first ones, for those who have no libseccomp */

/* The descriptor at which the launcher's children find the bundle. */
#define FILTER_FD 4

/* The bundle's layout: this header, then the programs one after the other in the order of enum filter_kind. */
#define FILTER_MAGIC 0x62666c31u /* "bfl1" */
struct filter_header {
	uint32_t magic;
	uint32_t kinds;                  /* FILTER_BUNDLED */
	uint32_t counts[FILTER_BUNDLED]; /* instructions of each program, 1..BPF_MAXINSNS */
};
_Static_assert(sizeof(struct filter_header) == 8 + 4 * FILTER_BUNDLED, "the programs follow without a gap");

/* The programs, inside a read-only mapping of the bundle. */
struct filter_set {
	struct memfd_map map;
	struct sock_fprog prog[FILTER_BUNDLED]; /* for jail_filter */
};

/*
 * filter_load - map the bundle and check it: sealed, right size, every program there. Does not take `fd`, which may be
 * closed afterwards. The caller ends the set with filter_unload(), or keeps it for good.
 *
 * Returns 0; ERR_INVAL or ERR_LIMIT for anything but a bundle; ERR_IO.
 */
int filter_load(int fd, struct filter_set *set, struct err *e);
void filter_unload(struct filter_set *set);

/* filter_digest - SHA-256 over the program's instructions: what PROTO_READY and receipts name. */
struct digest filter_digest(const struct sock_fprog *prog);

#endif
