/* top_view: how `brig top` shows server.metrics: as a screen, and as one line. No I/O but the writing. brig. */

#include "clients/c/top_view.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE   512
#define LEAST_LISTS 2   /* lines of a list that there are in any case */

static const char *const percentiles[] = {"p50", "p90", "p99", "p999", "max"};
#define PERCENTILES (sizeof(percentiles) / sizeof(percentiles[0]))

/* --- numbers ------------------------------------------------------------------------------------------------------ */

const char *
top_view_time(const json_t *us, char text[TOP_VIEW_TEXT_SIZE])
{
	double value = json_number_value(us);

	if (!json_is_number(us))
		snprintf(text, TOP_VIEW_TEXT_SIZE, "-");
	else if (value < 1000)
		snprintf(text, TOP_VIEW_TEXT_SIZE, "%.0f us", value);
	else if (value < 1e6)
		snprintf(text, TOP_VIEW_TEXT_SIZE, "%.*f ms", value < 1e4 ? 2 : value < 1e5 ? 1 : 0, value / 1e3);
	else
		snprintf(text, TOP_VIEW_TEXT_SIZE, "%.*f s", value < 1e7 ? 2 : 1, value / 1e6);
	return text;
}

const char *
top_view_bytes(const json_t *bytes, char text[TOP_VIEW_TEXT_SIZE])
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	double value = json_number_value(bytes);
	size_t unit = 0;

	for (; value >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		value /= 1024;
	if (!json_is_number(bytes))
		snprintf(text, TOP_VIEW_TEXT_SIZE, "-");
	else
		snprintf(text, TOP_VIEW_TEXT_SIZE, "%.*f %s", unit > 0 && value < 10 ? 1 : 0, value, units[unit]);
	return text;
}

/* A member of a member: at(json, "times", "queue_us", NULL). NULL when there is none. */
static const json_t *
at(const json_t *json, ...)
{
	const char *name;
	va_list ap;

	va_start(ap, json);
	while ((name = va_arg(ap, const char *)) != NULL)
		json = json_object_get(json, name);
	va_end(ap);
	return json;
}

static long long
count_at(const json_t *json, const char *a, const char *b)
{
	return (long long)json_integer_value(at(json, a, b, NULL));
}

/* All the members of an object together. */
static long long
sum_of(const json_t *object)
{
	long long sum = 0;
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, name, value)
		sum += (long long)json_integer_value(value);
	return sum;
}

/* So many a second since the answer before, or since the start. */
static double
rate(const struct top_view *v, long long now, long long before)
{
	double seconds = v->before != NULL ? v->seconds : json_number_value(at(v->now, "uptime_s", NULL));

	if (v->before == NULL)
		before = 0;
	return seconds > 0 && now > before ? (double)(now - before) / seconds : 0;
}

/* The element of an array that has these members' values; NULL. */
static const json_t *
same_element(const json_t *array, const json_t *element, const char *const *members, size_t count)
{
	const json_t *other;
	size_t i, k;

	json_array_foreach((json_t *)(uintptr_t)array, i, other) {
		for (k = 0; k < count; k++)
			if (!json_equal(json_object_get(other, members[k]), json_object_get(element, members[k])))
				break;
		if (k == count)
			return other;
	}
	return NULL;
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

/* A screen being written. */
struct screen {
	FILE *out;
	unsigned columns, left; /* lines */
};

/* Writes a line if there is room for it, cut, with nothing in it that a terminal would obey. */
static void __attribute__((format(printf, 2, 3)))
line(struct screen *s, const char *fmt, ...)
{
	char text[LINE_SIZE];
	size_t length;
	va_list ap;

	if (s->left == 0)
		return;
	s->left--;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	length = strlen(text);
	if (s->columns > 0 && length > s->columns)
		length = s->columns;
	fprintf(s->out, "%.*s\n", (int)length, text);
}

static void
write_head(struct screen *s, const struct top_view *v)
{
	const json_t *now = v->now;
	long long up = count_at(now, "uptime_s", NULL);
	char scope[40] = "all users";

	if (strcmp(json_string_value(at(now, "scope", NULL)) ?: "", "all") != 0)
		snprintf(scope, sizeof(scope), "user %lld", count_at(now, "uid", NULL));
	line(s, "brig top: %s, %s, up %lld:%02lld:%02lld", v->server, scope, up / 3600, up / 60 % 60, up % 60);
}

static void
write_runs(struct screen *s, const struct top_view *v)
{
	const json_t *now = v->now, *runs = at(now, "runs", NULL), *limits = at(now, "limits", NULL);
	char running[40] = "", queued[40] = "", ended[LINE_SIZE] = "";
	const char *name;
	json_t *value;
	size_t used = 0;

	if (limits != NULL) {
		snprintf(running, sizeof(running), " of %lld", count_at(limits, "running_max", NULL));
		snprintf(queued, sizeof(queued), " of %lld", count_at(limits, "queued_max", NULL));
	}
	line(s, "runs      %lld running%s, %lld queued%s, %.1f/s ended, %.1f/s refused", count_at(now, "running", NULL), running,
	    count_at(now, "queued", NULL), queued, rate(v, sum_of(runs), sum_of(at(v->before, "runs", NULL))),
	    rate(v, count_at(now, "refused", NULL), count_at(v->before, "refused", NULL)));
	json_object_foreach((json_t *)(uintptr_t)runs, name, value)
		if (used < sizeof(ended))
			used += (size_t)snprintf(ended + used, sizeof(ended) - used, "%s%s %lld", used > 0 ? ", " : "", name,
			    (long long)json_integer_value(value));
	line(s, "ended     %s, refused %lld", ended, count_at(now, "refused", NULL));
}

/* Which share of the runs began how: of those since the answer before, if there were any, else of all. */
static void
write_starts(struct screen *s, const struct top_view *v)
{
	const json_t *now = at(v->now, "starts", NULL), *before = at(v->before, "starts", NULL);
	long long all = sum_of(now) - sum_of(before);
	char text[LINE_SIZE] = "";
	const char *name;
	json_t *value;
	size_t used = 0;

	if (all <= 0) {
		before = NULL;
		all = sum_of(now);
	}
	json_object_foreach((json_t *)(uintptr_t)now, name, value) {
		long long n = (long long)json_integer_value(value) - (before != NULL ? count_at(before, name, NULL) : 0);

		if (used < sizeof(text))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %.1f %%", used > 0 ? ", " : "", name,
			    all > 0 ? 100.0 * (double)n / (double)all : 0.0);
	}
	line(s, "starts    %s", text);
}

/* How short the machine is of something, where the kernel tells. */
static void
write_pressure(struct screen *s, const struct top_view *v)
{
	const json_t *percent = at(v->now, "pressure", "percent", NULL);
	char text[LINE_SIZE] = "";
	const char *name;
	json_t *value;
	size_t used = 0;

	json_object_foreach((json_t *)(uintptr_t)percent, name, value) {
		char number[16] = "unknown";

		if (json_is_number(value))
			snprintf(number, sizeof(number), "%.1f %%", json_number_value(value));
		if (used < sizeof(text))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %s", used > 0 ? ", " : "", name, number);
	}
	if (percent != NULL)
		line(s, "pressure  %s%s", text, json_is_true(at(v->now, "pressure", "holding", NULL)) ? "; new runs are held back" :
		    "");
}

/* For the operator: how brigd itself is. */
static void
write_broker(struct screen *s, const struct top_view *v)
{
	const json_t *now = v->now;
	char rss[TOP_VIEW_TEXT_SIZE], store[TOP_VIEW_TEXT_SIZE];

	if (at(now, "broker", NULL) == NULL)
		return;
	line(s, "broker    %s resident, %lld clients, %lld zygotes, %lld crashes",
	    top_view_bytes(at(now, "broker", "rss_bytes", NULL), rss), count_at(now, "broker", "connections"),
	    count_at(now, "broker", "zygotes"), count_at(now, "broker", "crashes"));
	line(s, "services  compiling %lld, %lld waiting; audit %lld waiting, %lld ms; store %s, %lld modules",
	    count_at(now, "compile", "running"), count_at(now, "compile", "queued"), count_at(now, "audit", "waiting"),
	    count_at(now, "audit", "lag_ms"), top_view_bytes(at(now, "store", "bytes", NULL), store),
	    count_at(now, "store", "modules"));
}

static void
write_times(struct screen *s, const struct top_view *v)
{
	static const struct {
		const char *member, *name;
	} list[] = {{"total_us", "total"}, {"queue_us", "queue"}, {"start_us", "start"}, {"run_us", "run"}};

	line(s, "%-8s%11s%11s%11s%11s%11s", "time", "p50", "p90", "p99", "p99.9", "max");
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		char text[PERCENTILES][TOP_VIEW_TEXT_SIZE];

		for (size_t k = 0; k < PERCENTILES; k++)
			top_view_time(at(v->now, "times", list[i].member, percentiles[k], NULL), text[k]);
		line(s, "%-8s%11s%11s%11s%11s%11s", list[i].name, text[0], text[1], text[2], text[3], text[4]);
	}
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

struct listed {
	const json_t *json;
	double weight, second; /* what is listed first has most */
};

static int
by_weight(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	if (x->weight != y->weight)
		return x->weight < y->weight ? 1 : -1;
	return (x->second < y->second) - (x->second > y->second);
}

/* The elements of an array in order; the caller frees *out. Returns how many. */
static size_t
sorted(const json_t *array, void (*weigh)(const struct top_view *v, struct listed *one), const struct top_view *v,
    struct listed **out)
{
	size_t n = json_array_size(array);

	if ((*out = calloc(n + 1, sizeof(**out))) == NULL)
		return 0;
	for (size_t i = 0; i < n; i++) {
		(*out)[i].json = json_array_get(array, i);
		weigh(v, &(*out)[i]);
	}
	qsort(*out, n, sizeof(**out), by_weight);
	return n;
}

static const char *const owner_members[] = {"uid"};
static const char *const template_members[] = {"module", "engine", "uid"};

static double
owner_rate(const struct top_view *v, const json_t *owner)
{
	const json_t *before = same_element(at(v->before, "owners", NULL), owner, owner_members, 1);

	return rate(v, sum_of(at(owner, "runs", NULL)), sum_of(at(before, "runs", NULL)));
}

static void
weigh_owner(const struct top_view *v, struct listed *one)
{
	one->weight = (double)(count_at(one->json, "running", NULL) + count_at(one->json, "queued", NULL));
	one->second = owner_rate(v, one->json);
}

static void
weigh_template(const struct top_view *v, struct listed *one)
{
	(void)v;
	one->weight = json_number_value(at(one->json, "heat", NULL));
}

static void
write_owner(struct screen *s, const struct top_view *v, const json_t *o)
{
	line(s, "%-12lld%9lld%9lld%11lld%11.1f%11lld", count_at(o, "uid", NULL), count_at(o, "running", NULL),
	    count_at(o, "queued", NULL), sum_of(at(o, "runs", NULL)), owner_rate(v, o), count_at(o, "refused", NULL));
}

static void
write_template(struct screen *s, const struct top_view *v, const json_t *t)
{
	const json_t *before = same_element(at(v->before, "templates", NULL), t, template_members, 3);
	const char *module = json_string_value(at(t, "module", NULL));
	char bytes[TOP_VIEW_TEXT_SIZE];

	module = module != NULL && strncmp(module, "sha256:", 7) == 0 ? module + 7 : "";
	line(s, "%-13.12s%-6.5s%11lld%8.1f%8lld%7lld%9.1f%9lld%8llds%9s", module, json_string_value(at(t, "engine", NULL)) ?: "",
	    count_at(t, "uid", NULL), json_number_value(at(t, "heat", NULL)), count_at(t, "running", NULL),
	    count_at(t, "parked", NULL),
	    before != NULL || v->before == NULL ? rate(v, count_at(t, "hits", NULL), count_at(before, "hits", NULL)) : 0.0,
	    count_at(t, "hits", NULL), count_at(t, "age_s", NULL), top_view_bytes(at(t, "memory_bytes", NULL), bytes));
}

/* Writes as many as there is room for, and how many more there are. */
static void
write_list(struct screen *s, const struct top_view *v, const struct listed *list, size_t count, unsigned room,
    void (*write)(struct screen *s, const struct top_view *v, const json_t *one))
{
	size_t shown = count <= room ? count : room > 0 ? room - 1 : 0;

	for (size_t i = 0; i < shown; i++)
		write(s, v, list[i].json);
	if (shown < count)
		line(s, "and %zu more", count - shown);
}

/* Users get a half of the rows that are left at most, templates the rest. */
static void
write_lists(struct screen *s, const struct top_view *v)
{
	struct listed *owners = NULL, *templates = NULL;
	size_t n = sorted(at(v->now, "owners", NULL), weigh_owner, v, &owners), m;
	unsigned half = s->left / 2 > LEAST_LISTS ? s->left / 2 - LEAST_LISTS : 1;

	m = sorted(at(v->now, "templates", NULL), weigh_template, v, &templates);
	if (n > 0) {
		line(s, "%s", "");
		line(s, "%-12s%9s%9s%11s%11s%11s", "user", "running", "queued", "ended", "ended/s", "refused");
		write_list(s, v, owners, n, half, write_owner);
	}
	if (m > 0) {
		line(s, "%s", "");
		line(s, "%-13s%-6s%11s%8s%8s%7s%9s%9s%9s%9s", "template", "engine", "user", "heat", "running", "parked", "hits/s",
		    "hits", "age", "memory");
		write_list(s, v, templates, m, s->left, write_template);
	}
	free(owners);
	free(templates);
}

void
top_view_screen(const struct top_view *v, FILE *out)
{
	struct screen s = {out, v->columns, v->rows > 0 ? v->rows : 1000000};

	write_head(&s, v);
	write_runs(&s, v);
	write_starts(&s, v);
	write_broker(&s, v);
	write_pressure(&s, v);
	line(&s, "%s", "");
	write_times(&s, v);
	write_lists(&s, v);
}

/* --- one line ----------------------------------------------------------------------------------------------------- */

void
top_view_header(FILE *out)
{
	fprintf(out, "%-9s%8s%8s%10s%11s%10s%11s%11s%11s\n", "time", "running", "queued", "ended/s", "refused/s", "ready %",
	    "queue p99", "total p50", "total p99");
}

void
top_view_line(const struct top_view *v, const char *time, FILE *out)
{
	const json_t *now = v->now, *starts = at(now, "starts", NULL), *before = at(v->before, "starts", NULL);
	long long all = sum_of(starts) - sum_of(before);
	long long slow = count_at(starts, "cold", NULL) + count_at(starts, "cached", NULL) - count_at(before, "cold", NULL) -
	    count_at(before, "cached", NULL);
	char queue[TOP_VIEW_TEXT_SIZE], p50[TOP_VIEW_TEXT_SIZE], p99[TOP_VIEW_TEXT_SIZE], ready[16] = "-";

	if (all > 0)
		snprintf(ready, sizeof(ready), "%.1f", 100.0 * (double)(all - slow) / (double)all);
	fprintf(out, "%-9s%8lld%8lld%10.1f%11.1f%10s%11s%11s%11s\n", time, count_at(now, "running", NULL),
	    count_at(now, "queued", NULL), rate(v, sum_of(at(now, "runs", NULL)), sum_of(at(v->before, "runs", NULL))),
	    rate(v, count_at(now, "refused", NULL), count_at(v->before, "refused", NULL)), ready,
	    top_view_time(at(now, "times", "queue_us", "p99", NULL), queue),
	    top_view_time(at(now, "times", "total_us", "p50", NULL), p50),
	    top_view_time(at(now, "times", "total_us", "p99", NULL), p99));
}
