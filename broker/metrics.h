/* broker/metrics: what brigd counts and measures of runs, for all and for each owner. No I/O. brigd. */

#ifndef BROKER_METRICS_H
#define BROKER_METRICS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/run_result.h"

/*
 * What `server.metrics` has, and what `brig metrics --prometheus` makes of it: path in the result, name for Prometheus,
 * type, factor, who gets it (all, or only the operator), text. In a path `{label}` stands for every member of an object,
 * and `[label,...]` for every element of an array, told apart by these members of it; a summary's members are `count`,
 * `sum`, `max` and percentiles. Paths and names are stable API.
 */
#define METRICS(X)                                                                                                        \
	X("uptime_s", "brig_uptime_seconds", gauge, 1, all, "since brigd started")                                        \
	X("running", "brig_running", gauge, 1, all, "runs that have a process")                                           \
	X("queued", "brig_queued", gauge, 1, all, "runs that wait for their turn")                                        \
	X("active", "brig_active", gauge, 1, all, "runs that have not ended, whatever they wait for")                     \
	X("runs.{status}", "brig_runs_total", counter, 1, all, "runs that have ended, by how")                            \
	X("refused", "brig_refused_total", counter, 1, all, "requests to run that ended in an error")                     \
	X("starts.{start}", "brig_starts_total", counter, 1, all, "runs that have ended, by how their process came to be") \
	X("times.{time}", "brig_time_seconds", summary, 1e-6, all,                                           \
	    "how long runs took; quantiles are of those of the last minute or two")                       \
	X("templates[module,engine,uid].heat", "brig_template_heat", gauge, 1, all, "how often its module is run of late") \
	X("templates[module,engine,uid].running", "brig_template_running", gauge, 1, all, "runs in its processes now")    \
	X("templates[module,engine,uid].parked", "brig_template_parked", gauge, 1, all, "its processes that wait for a run") \
	X("templates[module,engine,uid].hits", "brig_template_hits_total", counter, 1, all, "runs that were started in it") \
	X("templates[module,engine,uid].forks", "brig_template_forks_total", counter, 1, all, "processes forked from it") \
	X("templates[module,engine,uid].age_s", "brig_template_age_seconds", gauge, 1, all, "since it was started")       \
	X("templates[module,engine,uid].memory_bytes", "brig_template_memory_bytes", gauge, 1, all,                       \
	    "resident memory of it, what it shares with others included; null while it is not known")                     \
	X("owners[uid].weight", "brig_owner_weight", gauge, 1, operator, "of one user: the share")                        \
	X("owners[uid].running", "brig_owner_running", gauge, 1, operator, "of one user")                                 \
	X("owners[uid].queued", "brig_owner_queued", gauge, 1, operator, "of one user")                                   \
	X("owners[uid].runs.{status}", "brig_owner_runs_total", counter, 1, operator, "of one user")                      \
	X("owners[uid].refused", "brig_owner_refused_total", counter, 1, operator, "of one user")                         \
	X("owners[uid].starts.{start}", "brig_owner_starts_total", counter, 1, operator, "of one user")                   \
	X("limits.{limit}", "brig_limit", gauge, 1, operator, "settings that bound runs")                                 \
	X("compile.running", "brig_compile_running", gauge, 1, operator, "modules that are compiled now")                 \
	X("compile.queued", "brig_compile_queued", gauge, 1, operator, "modules that wait to be")                         \
	X("compile.ahead", "brig_compile_ahead", gauge, 1, operator, "stored modules that are compiled when nobody waits")  \
	X("compile.hits", "brig_compile_hits_total", counter, 1, operator, "modules asked for that were compiled already")  \
	X("compile.done", "brig_compile_done_total", counter, 1, operator, "modules compiled")                            \
	X("compile.failed", "brig_compile_failed_total", counter, 1, operator, "attempts that failed")                    \
	X("compile.done_us", "brig_compile_seconds_total", counter, 1e-6, operator, "what compiling them took")           \
	X("audit.waiting", "brig_audit_waiting", gauge, 1, operator, "records that the logger has not answered yet")      \
	X("audit.lag_ms", "brig_audit_lag_seconds", gauge, 1e-3, operator, "how long the oldest of them has waited")      \
	X("store.bytes", "brig_store_bytes", gauge, 1, operator, "what modules and artifacts take on disk")               \
	X("store.modules", "brig_store_modules", gauge, 1, operator, "modules stored")                                    \
	X("store.artifacts", "brig_store_artifacts", gauge, 1, operator, "compiled modules stored")                       \
	X("pressure.percent.{of}", "brig_pressure_percent", gauge, 1, operator,                                           \
	    "of the last ten seconds, in which some task stood still for want of it; null where the kernel does not tell") \
	X("pressure.holding", "brig_pressure_holding", gauge, 1, operator, "whether new runs are held back for it")       \
	X("broker.rss_bytes", "brig_broker_rss_bytes", gauge, 1, operator, "resident memory of brigd itself")             \
	X("broker.held_bytes", "brig_broker_held_bytes", gauge, 1, operator, "modules and input of active runs")          \
	X("broker.connections", "brig_broker_connections", gauge, 1, operator, "clients connected")                       \
	X("broker.zygotes", "brig_broker_zygotes", gauge, 1, operator, "zygotes, templates included")                     \
	X("broker.crashes", "brig_broker_crashes_total", counter, 1, operator, "workers ended by a fault or the filter")  \
	X("broker.filtered", "brig_broker_filtered_total", counter, 1, operator, "of those, by the filter")

/* Times of a run, in microseconds. */
#define METRICS_TIMES(X)                                                           \
	X(total_us, "from the request's arrival to the result, on record")          \
	X(queue_us, "waiting for its turn")                                        \
	X(start_us, "from its process's start to the guest's first instruction, as the worker says") \
	X(run_us, "from its process's start to its end")

/* One run that has ended. */
struct metrics_run {
	uid_t owner;
	enum run_status status;
	bool started;          /* it had a process, which came to be as `start` says */
	enum run_start start;
#define X(name, text) uint64_t name;
	METRICS_TIMES(X)
#undef X
};
#define METRICS_UNKNOWN UINT64_MAX /* a time that was not measured */

struct metrics;

/* Owners about whom something is kept: those that ran something last. */
#define METRICS_OWNERS_MAX 256

/*
 * Percentiles are those of a window: what was measured in this period and the one before, so of METRICS_WINDOW_S to twice
 * that. Of METRICS_TIMED_MAX owners at most there are percentiles; those of the others are null until they are the later
 * ones.
 */
#define METRICS_WINDOW_S  60
#define METRICS_TIMED_MAX 64

/* metrics_new - nothing counted. NULL when out of memory. metrics_free(NULL) is fine. */
struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* metrics_count - a run has ended, at `now_s` of a clock that never goes back. metrics_refuse - a request to run failed. */
void metrics_count(struct metrics *m, const struct metrics_run *r, int64_t now_s);
void metrics_refuse(struct metrics *m, uid_t owner);

/*
 * metrics_json - `runs`, `refused` and `starts`, and with `times` also `times`, of `owner`, or of all when it is NULL. A
 * new reference; NULL when out of memory.
 */
json_t *metrics_json(struct metrics *m, const uid_t *owner, bool times, int64_t now_s);

/* metrics_owners - into owners[0..METRICS_OWNERS_MAX], whoever ran something last first. Returns how many. */
size_t metrics_owners(const struct metrics *m, uid_t *owners);

#endif
