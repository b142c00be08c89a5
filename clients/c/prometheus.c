/* prometheus: the answer of server.metrics in Prometheus's text form. brig. */

#include "clients/c/prometheus.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "broker/metrics.h"

#define LABELS_MAX 2048 /* bytes of the labels of one sample */
#define NAME_SIZE  64   /* of a member, or a label */

struct row {
	const char *path, *name, *type, *text;
	double factor;
};

static const struct row rows[] = {
#define X(path, name, type, factor, who, text) {path, name, #type, text, factor},
    METRICS(X)
#undef X
};

/* One row being written. */
struct writer {
	FILE *out;
	const struct row *row;
	bool begun; /* its HELP and TYPE are there */
};

/* --- labels ------------------------------------------------------------------------------------------------------- */

/* Appends name="value" to a NUL-terminated list. What has no room is left out as a whole. */
static void
add_label(char labels[LABELS_MAX], const char *name, const char *value)
{
	size_t used = strlen(labels);
	size_t most = used + strlen(name) + 2 * strlen(value) + sizeof(",=\"\"");
	char *p = labels + used;

	if (most > LABELS_MAX)
		return;
	p += sprintf(p, "%s%s=\"", used > 0 ? "," : "", name);
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\\' || *value == '\n')
			*p++ = '\\';
		*p++ = *value == '\n' ? 'n' : *value;
	}
	strcpy(p, "\"");
}

/* The same with a member of `json` that is a string or a whole number. */
static void
add_member(char labels[LABELS_MAX], const char *name, const json_t *json)
{
	const json_t *value = json_object_get(json, name);
	char number[32];

	snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
	add_label(labels, name, json_is_string(value) ? json_string_value(value) : number);
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static void
write_value(struct writer *w, const char *suffix, const char *labels, const json_t *json)
{
	double value = json_is_boolean(json) ? json_is_true(json) : json_number_value(json);

	if (!json_is_number(json) && !json_is_boolean(json))
		return;
	if (!w->begun)
		fprintf(w->out, "# HELP %s %s\n# TYPE %s %s\n", w->row->name, w->row->text, w->row->name, w->row->type);
	w->begun = true;
	fprintf(w->out, "%s%s%s%s%s ", w->row->name, suffix, labels[0] != '\0' ? "{" : "", labels,
	    labels[0] != '\0' ? "}" : "");
	if (json_is_integer(json) && w->row->factor == 1)
		fprintf(w->out, "%lld\n", (long long)json_integer_value(json));
	else
		fprintf(w->out, "%.9g\n", value * w->row->factor);
}

static void
write_summary(struct writer *w, const char *labels, const json_t *json)
{
	static const struct {
		const char *member, *quantile;
	} list[] = {{"p50", "0.5"}, {"p90", "0.9"}, {"p99", "0.99"}, {"p999", "0.999"}};
	char more[LABELS_MAX];

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		snprintf(more, sizeof(more), "%s", labels);
		add_label(more, "quantile", list[i].quantile);
		write_value(w, "", more, json_object_get(json, list[i].member));
	}
	write_value(w, "_sum", labels, json_object_get(json, "sum"));
	/* A count has no unit. */
	fprintf(w->out, "%s_count{%s} %lld\n", w->row->name, labels,
	    (long long)json_integer_value(json_object_get(json, "count")));
}

/* --- paths -------------------------------------------------------------------------------------------------------- */

static void walk(struct writer *w, const char *path, const char *labels, const json_t *json);

/* "{label}...": every member, by its name; times are told apart without their unit. */
static void
walk_members(struct writer *w, const char *path, const char *labels, const json_t *json)
{
	const char *end = strchr(path, '}');
	char label[NAME_SIZE], value[NAME_SIZE], more[LABELS_MAX];
	const char *name;
	json_t *member;

	snprintf(label, sizeof(label), "%.*s", (int)(end - path - 1), path + 1);
	json_object_foreach((json_t *)(uintptr_t)json, name, member) {
		size_t length = strlen(name);

		if (w->row->factor != 1 && length > 3 && strcmp(name + length - 3, "_us") == 0)
			length -= 3;
		snprintf(value, sizeof(value), "%.*s", (int)length, name);
		snprintf(more, sizeof(more), "%s", labels);
		add_label(more, label, value);
		walk(w, end + 1, more, member);
	}
}

/* "[label,...]...": every element, by these members of it. */
static void
walk_elements(struct writer *w, const char *path, const char *labels, const json_t *json)
{
	const char *end = strchr(path, ']');
	char label[NAME_SIZE], more[LABELS_MAX];
	json_t *element;
	size_t i;

	json_array_foreach(json, i, element) {
		snprintf(more, sizeof(more), "%s", labels);
		for (const char *p = path + 1; p <= end; p += strcspn(p, ",]") + 1) {
			snprintf(label, sizeof(label), "%.*s", (int)strcspn(p, ",]"), p);
			add_member(more, label, element);
		}
		walk(w, end + 1, more, element);
	}
}

/* Writes what is at `path` in `json`, if it is there. */
static void
walk(struct writer *w, const char *path, const char *labels, const json_t *json)
{
	char name[NAME_SIZE];
	size_t length;

	path += path[0] == '.';
	length = strcspn(path, ".{[");
	if (json == NULL)
		return;
	if (path[0] == '{') {
		walk_members(w, path, labels, json);
	} else if (path[0] == '[') {
		walk_elements(w, path, labels, json);
	} else if (path[0] != '\0') {
		snprintf(name, sizeof(name), "%.*s", (int)length, path);
		walk(w, path + length, labels, json_object_get(json, name));
	} else if (json_is_object(json)) {
		write_summary(w, labels, json);
	} else {
		write_value(w, "", labels, json);
	}
}

void
prometheus_print(const json_t *metrics, FILE *out)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct writer w = {.out = out, .row = &rows[i]};

		walk(&w, rows[i].path, "", metrics);
	}
}
