/* load: many runs at a brigd, and how long each took from the moment at which it was due. brig. */

#ifndef CLIENTS_C_LOAD_H
#define CLIENTS_C_LOAD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/histogram.h"
#include "clients/c/libbrig.h"

/* What is run, and how often beside the others. */
struct load_item {
	json_t *params; /* of `run`; borrowed */
	double weight;
};

/* What clients do wrong, as a part of all runs: 0 to 1. */
#define LOAD_FAULTS(X)                                                            \
	X(cancel, "the run is cancelled `after` its start")                       \
	X(disconnect, "a connection of its own is closed `after` the run's start")

enum load_fault {
#define X(name, text) LOAD_FAULT_##name,
	LOAD_FAULTS(X)
#undef X
	LOAD_FAULT_COUNT
};

struct load_plan {
	const char *socket;     /* as for brig_connect */
	const struct load_item *items;
	size_t item_count;      /* at least one */
	const uid_t *owners;    /* who connects, in turn; borrowed. For other users than this one it must be root */
	size_t owner_count;     /* 0: this user alone */
	unsigned clients;       /* connections, at least one */
	double rate;            /* arrivals a second, whatever became of those before; 0: each client waits for its answer */
	bool even;              /* arrivals at even distances, else at random ones (a Poisson process) */
	uint64_t duration_ns;   /* no arrivals after that */
	uint64_t runs_max;      /* nor after so many */
	uint64_t patience_ns;   /* how long to wait then for answers */
	double faults[LOAD_FAULT_COUNT];
	uint64_t fault_after_ns;
	uint64_t seed;          /* of the random arrivals, mix and faults */
	void (*progress)(void *arg, uint64_t sent, uint64_t answered, uint64_t ns); /* now and then; may be NULL */
	void *arg;
};

/* How often something was answered; a list. */
struct load_count {
	struct load_count *next;
	uint64_t count;
	char name[];
};

/* What came of it. Zeros to begin with; load_result_clear ends it. */
struct load_result {
	uint64_t sent, answered;
	uint64_t given_up;           /* their connection was closed on purpose */
	uint64_t unanswered;         /* when patience ended */
	uint64_t ns;                 /* from the first arrival to the last answer */
	struct histogram latency;    /* ns from when a run was due to its answer; those that were run */
	struct histogram queue_us, start_us, cpu_us; /* as the server measured them (usage in docs/protocol.md) */
	struct load_count *statuses; /* "exited", "limit": how runs ended */
	struct load_count *starts;   /* "cold", "cached" */
	struct load_count *errors;   /* "overloaded": what was not run */
};

/*
 * load_run - do as planned. Returns 0, or an error after which *result holds what there was until then: ERR_INVAL for a
 * plan that makes no sense, ERR_LIMIT when LOAD_PENDING_MAX runs wait for their answers, else as brig_connect and
 * brig_receive.
 */
#define LOAD_PENDING_MAX 100000
int load_run(const struct load_plan *plan, struct load_result *result, struct err *e);
void load_result_clear(struct load_result *result);

/* load_connect - brig_connect as another user, who must be this one unless this is root; -1 for this one. */
int load_connect(const char *socket, uid_t uid, struct brig **out, struct err *e);

#endif
