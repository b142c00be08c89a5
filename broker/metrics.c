/* broker/metrics: what brigd counts and measures of runs, for all and for each owner. No I/O. brigd. */

#include "broker/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/histogram.h"

enum time {
#define X(name, text) TIME_##name,
	METRICS_TIMES(X)
#undef X
	TIMES
};

static const struct {
	const char *name;
	size_t offset;
} times[TIMES] = {
#define X(name, text) {#name, offsetof(struct metrics_run, name)},
    METRICS_TIMES(X)
#undef X
};

/* What was measured of late: this period's, and that of the one before. */
struct window {
	int64_t period;
	struct histogram recent[2][TIMES]; /* of even and of odd periods */
};

/* Counted since the start, of one owner or of all. */
struct figures {
	TAILQ_ENTRY(figures) order;
	uid_t owner;
	uint64_t ended[RUN_STATUS_COUNT], starts[RUN_START_COUNT], refused;
	uint64_t count[TIMES], sum[TIMES];
	struct window *window; /* NULL: nothing was measured of late */
};

struct metrics {
	struct figures all;
	TAILQ_HEAD(figures_list, figures) owners; /* whoever ran something last first */
	size_t count;
};

struct metrics *
metrics_new(void)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (m != NULL)
		TAILQ_INIT(&m->owners);
	return m;
}

static void
forget(struct metrics *m, struct figures *f)
{
	TAILQ_REMOVE(&m->owners, f, order);
	m->count--;
	free(f->window);
	free(f);
}

void
metrics_free(struct metrics *m)
{
	if (m == NULL)
		return;
	while (!TAILQ_EMPTY(&m->owners))
		forget(m, TAILQ_FIRST(&m->owners));
	free(m->all.window);
	free(m);
}

static struct figures *
find(const struct metrics *m, uid_t owner)
{
	struct figures *f;

	TAILQ_FOREACH(f, &m->owners, order)
		if (f->owner == owner)
			break;
	return f;
}

/* The figures of an owner, who is the last to run something now. NULL when out of memory. */
static struct figures *
touch(struct metrics *m, uid_t owner)
{
	struct figures *f = find(m, owner);

	if (f != NULL) {
		TAILQ_REMOVE(&m->owners, f, order);
	} else {
		if ((f = calloc(1, sizeof(*f))) == NULL)
			return NULL;
		if (m->count >= METRICS_OWNERS_MAX)
			forget(m, TAILQ_LAST(&m->owners, figures_list));
		m->count++;
		f->owner = owner;
	}
	TAILQ_INSERT_HEAD(&m->owners, f, order);
	return f;
}

/* Lets go of what is older than the window. */
static void
move_on(struct window *w, int64_t period)
{
	if (period > w->period)
		memset(w->recent[period % 2], 0, sizeof(w->recent[0]));
	if (period > w->period + 1)
		memset(w->recent[(period + 1) % 2], 0, sizeof(w->recent[0]));
	if (period > w->period)
		w->period = period;
}

/* The window of some figures at a time, made if need be. NULL when out of memory. */
static struct window *
window_at(struct figures *f, int64_t now_s)
{
	int64_t period = now_s / METRICS_WINDOW_S;

	if (f->window == NULL) {
		if ((f->window = calloc(1, sizeof(*f->window))) != NULL)
			f->window->period = period;
	} else {
		move_on(f->window, period);
	}
	return f->window;
}

/* Of more owners than that only counts are kept: whoever was longest without a run loses the window. */
static void
trim_windows(struct metrics *m)
{
	struct figures *f;
	size_t n = 0;

	TAILQ_FOREACH(f, &m->owners, order) {
		if (f->window == NULL || ++n <= METRICS_TIMED_MAX)
			continue;
		free(f->window);
		f->window = NULL;
	}
}

static void
count(struct figures *f, const struct metrics_run *r, int64_t now_s)
{
	struct window *w = window_at(f, now_s);

	f->ended[r->status]++;
	if (r->started)
		f->starts[r->start]++;
	for (enum time i = 0; i < TIMES; i++) {
		uint64_t value;

		memcpy(&value, (const char *)r + times[i].offset, sizeof(value));
		if (value == METRICS_UNKNOWN)
			continue;
		f->count[i]++;
		f->sum[i] += value;
		if (w != NULL)
			histogram_add(&w->recent[w->period % 2][i], value);
	}
}

void
metrics_count(struct metrics *m, const struct metrics_run *r, int64_t now_s)
{
	struct figures *f = touch(m, r->owner);
	bool was_timed = f != NULL && f->window != NULL;

	count(&m->all, r, now_s);
	if (f == NULL)
		return;
	count(f, r, now_s);
	if (!was_timed)
		trim_windows(m);
}

void
metrics_refuse(struct metrics *m, uid_t owner)
{
	struct figures *f = touch(m, owner);

	m->all.refused++;
	if (f != NULL)
		f->refused++;
}

/* --- as JSON ------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	double percent;
} percentiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p999", 99.9}, {"max", 100}};

/* One time: count and sum since the start, percentiles of the window. */
static json_t *
time_json(const struct figures *f, enum time i)
{
	static struct histogram both;
	json_t *json = json_pack("{s:I, s:I}", "count", (json_int_t)f->count[i], "sum", (json_int_t)f->sum[i]);

	memset(&both, 0, sizeof(both));
	for (int k = 0; k < 2 && f->window != NULL; k++)
		histogram_merge(&both, &f->window->recent[k][i]);
	for (size_t k = 0; k < sizeof(percentiles) / sizeof(percentiles[0]); k++)
		json_object_set_new(json, percentiles[k].name, both.count == 0 ? json_null() :
		    json_integer((json_int_t)histogram_at(&both, percentiles[k].percent)));
	return json;
}

static json_t *
figures_json(const struct figures *f)
{
	json_t *ended = json_object(), *starts = json_object();

	for (enum run_status i = 0; i < RUN_STATUS_COUNT; i++)
		json_object_set_new(ended, run_status_name(i), json_integer((json_int_t)f->ended[i]));
	for (enum run_start i = 0; i < RUN_START_COUNT; i++)
		json_object_set_new(starts, run_start_name(i), json_integer((json_int_t)f->starts[i]));
	return json_pack("{s:o, s:I, s:o}", "runs", ended, "refused", (json_int_t)f->refused, "starts", starts);
}

json_t *
metrics_json(struct metrics *m, const uid_t *owner, bool with_times, int64_t now_s)
{
	static struct figures none;
	struct figures *f = owner == NULL ? &m->all : find(m, *owner);
	json_t *json = figures_json(f != NULL ? f : &none), *list;

	if (!with_times || json == NULL)
		return json;
	if (f != NULL && f->window != NULL)
		move_on(f->window, now_s / METRICS_WINDOW_S);
	list = json_object();
	for (enum time i = 0; i < TIMES; i++)
		json_object_set_new(list, times[i].name, time_json(f != NULL ? f : &none, i));
	if (json_object_set_new(json, "times", list) == 0)
		return json;
	json_decref(json);
	return NULL;
}

size_t
metrics_owners(const struct metrics *m, uid_t *owners)
{
	const struct figures *f;
	size_t n = 0;

	TAILQ_FOREACH(f, &m->owners, order)
		owners[n++] = f->owner;
	return n;
}
