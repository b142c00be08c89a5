/* broker/broker: what the parts of brigd share: its settings, services, keys and runs. brigd. */

#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/digest.h"
#include "broker/ahead.h"
#include "broker/artifacts.h"
#include "broker/child.h"
#include "broker/config.h"
#include "broker/conn.h"
#include "broker/grants.h"
#include "broker/keyring.h"
#include "broker/metrics.h"
#include "broker/modules.h"
#include "broker/packs.h"
#include "broker/packs_ahead.h"
#include "broker/pool.h"
#include "broker/pressure.h"
#include "broker/runs.h"
#include "broker/service_client.h"
#include "broker/shares.h"
#include "policy/policy.h"

/* Counted since the start, for server.health and the log. */
struct broker_counts {
	uint64_t connections;
	uint64_t requests;
	uint64_t refused;  /* requests that ended in an error */
	uint64_t runs;     /* ended, whichever way */
	uint64_t crashes;  /* of workers, as pool_is_crash says */
	uint64_t filtered; /* of those, ended by the filter */
	uint64_t reloads;  /* of keyring, ceiling and grants, whether that worked or not */
};

struct broker {
	struct event_base *base;
	const struct config *config;
	struct launcher *launcher;
	struct service_client *store;
	struct service_client *logger;
	struct artifacts *artifacts;
	struct modules *modules;
	struct ahead *ahead;
	LIST_HEAD(, module_compile) compiles; /* calls of module.compile that wait */
	struct pool *pool;
	struct runs *runs;
	const struct keyring *keyring; /* never NULL; empty when none was configured */
	char root[KEYS_KID_TEXT];      /* the key that signed it; "" when none was configured */
	struct policy_document *ceiling;
	struct grants *grants;         /* by owner */
	struct shares *shares;
	struct packs *packs;
	struct packs_ahead *packs_ahead;
	struct broker_counts counts;
	struct metrics *metrics;
	struct pressure *pressure;
	bool under_pressure;           /* nothing is started while something runs */
	uid_t operator;                /* besides root, who may ask about all users: who started brigd */
	unsigned connections;          /* open now */
	bool draining;                 /* takes no new work */
	bool stopping;                 /* starts none of what waits either */
	bool log_failed;               /* the audit log could not be written last time */
	bool reload_failed;            /* the last reload, so that what was in force still is */
	int64_t started_ms;            /* monotonic */
};

/*
 * broker_log - one event, one line on standard error: "brigd EVENT key=value ...", by printf. For the operator; what
 * auditors need goes to the audit log. A value that may hold anything but letters, digits and ._:/- is quoted by the
 * caller (base/quote.h).
 *
 * broker_log_reason - the line `EVENT reason="TEXT"`, whatever is in the text; `event` may have values of its own.
 */
void broker_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void broker_log_reason(const char *event, const char *text);

#endif
