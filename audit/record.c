/* audit/record: what happened, as JSON text in the shape of OCSF 1.3. Pure but for the host's name; brigd and the logger. */

#include "audit/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/version.h"

#define OCSF_VERSION "1.3.0"

/* The classes that we use: uid, category, names. */
enum class { CLASS_PROCESS, CLASS_LIFECYCLE, CLASS_API };
static const struct {
	int uid;
	int category;
	const char *name;
	const char *category_name;
} classes[] = {
    [CLASS_PROCESS] = {1007, 1, "Process Activity", "System Activity"},
    [CLASS_LIFECYCLE] = {6002, 6, "Application Lifecycle", "Application Activity"},
    [CLASS_API] = {6003, 6, "API Activity", "Application Activity"},
};

enum { ACTIVITY_OTHER = 99 };
enum { PROCESS_LAUNCH = 1, PROCESS_TERMINATE = 2 };
enum { API_CREATE = 1, API_READ = 2, API_DELETE = 4 };
enum { LIFECYCLE_START = 3, LIFECYCLE_STOP = 4 };
enum { STATUS_SUCCESS = 1, STATUS_FAILURE = 2 };
enum { SEVERITY_INFORMATIONAL = 1, SEVERITY_LOW = 2, SEVERITY_MEDIUM = 3 };

/* What a class calls its activities. */
static const struct activity {
	enum class class;
	int id;
	const char *name;
} activities[] = {
    {CLASS_PROCESS, PROCESS_LAUNCH, "Launch"},
    {CLASS_PROCESS, PROCESS_TERMINATE, "Terminate"},
    {CLASS_API, API_CREATE, "Create"},
    {CLASS_API, API_READ, "Read"},
    {CLASS_API, API_DELETE, "Delete"},
    {CLASS_LIFECYCLE, LIFECYCLE_START, "Start"},
    {CLASS_LIFECYCLE, LIFECYCLE_STOP, "Stop"},
};

/* Which activity a method or a service's event is. */
static const struct {
	enum class class;
	const char *text;
	int id;
} meanings[] = {
    {CLASS_API, "run", API_CREATE},
    {CLASS_API, "module.put", API_CREATE},
    {CLASS_API, "module.get", API_READ},
    {CLASS_API, "module.list", API_READ},
    {CLASS_API, "module.remove", API_DELETE},
    {CLASS_LIFECYCLE, "start", LIFECYCLE_START},
    {CLASS_LIFECYCLE, "stop", LIFECYCLE_STOP},
};

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* --- values ----------------------------------------------------------------------------------------------------- */

static bool
is_given(const char *s)
{
	return s != NULL && s[0] != '\0';
}

/* A JSON string of any text: cut at RECORD_STRING_MAX, what is not UTF-8 replaced. */
static json_t *
text_json(const char *s)
{
	char copy[RECORD_STRING_MAX + 1];
	size_t n = strnlen(s, RECORD_STRING_MAX + 1);
	bool cut = n > RECORD_STRING_MAX;
	json_t *json;

	if (cut)
		n = RECORD_STRING_MAX;
	while (cut && n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80)
		n--; /* not in the middle of a character */
	if ((json = json_stringn(s, n)) != NULL)
		return json;
	for (size_t i = 0; i < n; i++)
		copy[i] = (unsigned char)s[i] < 0x80 ? s[i] : '?';
	return json_stringn(copy, n);
}

static json_t *
digest_json(const struct digest *d)
{
	char text[DIGEST_TEXT_SIZE];

	return json_string(digest_text(d, text));
}

static json_t *
number_json(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

/* The setters return whether it did not work, so that calls can be or-ed. */
static int
set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) != 0;
}

static int
set_text(json_t *object, const char *key, const char *value)
{
	return is_given(value) ? set(object, key, text_json(value)) : 0;
}

static int
set_digest(json_t *object, const char *key, const struct digest *d)
{
	return d != NULL ? set(object, key, digest_json(d)) : 0;
}

/* --- parts that records share ------------------------------------------------------------------------------------- */

static const char *
host_name(void)
{
	static char name[256];

	if (name[0] == '\0' && gethostname(name, sizeof(name) - 1) != 0)
		strcpy(name, "localhost");
	return name;
}

static const char *
activity_name(enum class class, int id)
{
	for (size_t i = 0; i < COUNT_OF(activities); i++)
		if (activities[i].class == class && activities[i].id == id)
			return activities[i].name;
	return "Other";
}

static int
activity_of(enum class class, const char *text)
{
	for (size_t i = 0; i < COUNT_OF(meanings); i++)
		if (meanings[i].class == class && strcmp(meanings[i].text, text) == 0)
			return meanings[i].id;
	return ACTIVITY_OTHER;
}

/* Classification and occurrence, which every OCSF event has. */
static json_t *
event(enum class class, int activity, int64_t time_ms, int severity, int status)
{
	static const char *const severities[] = {"Unknown", "Informational", "Low", "Medium"};

	return json_pack("{s:i, s:s, s:i, s:s, s:i, s:s, s:I, s:I, s:i, s:s, s:i, s:s, s:{s:s, s:{s:s, s:s, s:s}}}",
	    "class_uid", classes[class].uid, "class_name", classes[class].name,
	    "category_uid", classes[class].category, "category_name", classes[class].category_name,
	    "activity_id", activity, "activity_name", activity_name(class, activity),
	    "type_uid", (json_int_t)classes[class].uid * 100 + activity, "time", (json_int_t)time_ms,
	    "severity_id", severity, "severity", severities[severity],
	    "status_id", status, "status", status == STATUS_SUCCESS ? "Success" : "Failure",
	    "metadata", "version", OCSF_VERSION, "product", "name", "brig", "vendor_name", "brig", "version", BRIG_VERSION);
}

static json_t *
actor_json(const struct record_actor *a)
{
	char uid[16], gid[16];

	snprintf(uid, sizeof(uid), "%u", (unsigned)a->uid);
	snprintf(gid, sizeof(gid), "%u", (unsigned)a->gid);
	return json_pack("{s:{s:i, s:{s:s, s:[{s:s}]}}}", "process", "pid", (int)a->pid, "user", "uid", uid, "groups", "uid",
	    gid);
}

/* A module as an OCSF file: its name is its digest, it has no path. */
static json_t *
file_json(const struct digest *d)
{
	char text[DIGEST_TEXT_SIZE];

	digest_text(d, text);
	return json_pack("{s:s, s:i, s:s, s:[{s:i, s:s, s:s}]}", "name", text, "type_id", 1, "type", "Regular File", "hashes",
	    "algorithm_id", 3, "algorithm", "SHA-256", "value", text + sizeof("sha256:") - 1);
}

/* Puts what has no place in OCSF under unmapped.brig. Takes `ours`, also when that fails. */
static int
set_ours(json_t *record, json_t *ours)
{
	json_t *unmapped = json_object();

	if (json_object_set_new(unmapped, "brig", ours) != 0) {
		json_decref(unmapped);
		return 1;
	}
	return set(record, "unmapped", unmapped);
}

/* --- from JSON to text --------------------------------------------------------------------------------------------- */

/* Parts of unmapped.brig that may be large, in the order in which they go when a record is too long. */
static const char *const large[] = {"denials", "usage", "limits"};

/* Replaces one part by its digest. Returns whether there was such a part. */
static bool
shorten(json_t *record, const char *part)
{
	json_t *ours = json_object_get(json_object_get(record, "unmapped"), "brig");
	json_t *value = json_object_get(ours, part);
	struct digest d;
	char *text;

	if (value == NULL || (text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS)) == NULL)
		return false;
	d = digest_of(text, strlen(text));
	free(text);
	return json_object_set_new(ours, part, json_pack("{s:o}", "omitted", digest_json(&d))) == 0;
}

/* Ends each record_of_*: takes `record`; `bad` is whether something in it is missing. */
static int
finish(json_t *record, int bad, char **text, size_t *length, struct err *e)
{
	char *out = NULL;
	size_t n = 0;

	for (size_t i = 0; bad == 0 && record != NULL; i++) {
		out = json_dumps(record, JSON_COMPACT); /* the logger sorts */
		n = out != NULL ? strlen(out) : 0;
		if (n <= RECORD_TEXT_MAX || i == COUNT_OF(large))
			break;
		free(out);
		out = NULL;
		shorten(record, large[i]);
	}
	json_decref(record);
	if (out == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for an audit record");
	*text = out;
	*length = n;
	return 0;
}

/* --- runs ---------------------------------------------------------------------------------------------------------- */

static json_t *
run_ours(const struct record_run *r)
{
	json_t *ours = json_object();
	int bad = 0;

	bad |= set_text(ours, "run_id", r->run_id);
	bad |= set(ours, "module", json_pack("{s:o}", "digest", digest_json(r->module)));
	bad |= set_text(json_object_get(ours, "module"), "signer", r->signer);
	bad |= set_text(json_object_get(ours, "module"), "signature", r->signature);
	bad |= set(ours, "policy", json_pack("{s:o}", "digest", digest_json(r->policy)));
	bad |= set_digest(ours, "input", r->input);
	if (r->limits != NULL)
		bad |= set(ours, "limits", json_incref((json_t *)(uintptr_t)r->limits));
	if (bad != 0) {
		json_decref(ours);
		return NULL;
	}
	return ours;
}

/* What intent and outcome have in common. Sets *bad. */
static json_t *
run_event(const struct record_run *r, int activity, int64_t time_ms, int severity, int status, int *bad)
{
	json_t *record = event(CLASS_PROCESS, activity, time_ms, severity, status);

	*bad |= set(record, "actor", actor_json(&r->actor));
	*bad |= set(record, "device", json_pack("{s:s, s:i, s:s}", "hostname", host_name(), "type_id", 0, "type", "Unknown"));
	*bad |= set(record, "process", json_pack("{s:o, s:o, s:o}", "uid", text_json(r->run_id), "created_time",
	    json_integer((json_int_t)r->time_ms), "file", file_json(r->module)));
	return record;
}

int
record_of_intent(const struct record_run *r, char **text, size_t *length, struct err *e)
{
	int bad = 0;
	json_t *record = run_event(r, PROCESS_LAUNCH, r->time_ms, SEVERITY_INFORMATIONAL, STATUS_SUCCESS, &bad);

	bad |= set(record, "message", json_string("a run is about to start"));
	bad |= set_ours(record, run_ours(r));
	return finish(record, bad, text, length, e);
}

static json_t *
stream_json(const struct record_stream *s)
{
	json_t *json = json_pack("{s:o, s:b}", "bytes", number_json(s->bytes), "truncated", s->truncated);

	if (set_digest(json, "digest", s->digest) != 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}

static json_t *
outcome_ours(const struct record_outcome *r)
{
	json_t *ours = run_ours(&r->run);
	int bad = 0;

	bad |= set_text(ours, "status", r->status);
	bad |= set_text(ours, "limit", r->limit);
	bad |= set_text(ours, "trap", r->trap);
	bad |= set_text(ours, "reason", r->reason);
	bad |= set(ours, "stdout", stream_json(&r->out));
	bad |= set(ours, "stderr", stream_json(&r->err));
	if (r->has_exit_code)
		bad |= set(ours, "exit_code", json_integer((json_int_t)r->exit_code));
	if (r->usage != NULL)
		bad |= set(ours, "usage", json_incref((json_t *)(uintptr_t)r->usage));
	if (r->denials != NULL)
		bad |= set(ours, "denials", json_incref((json_t *)(uintptr_t)r->denials));
	if (bad != 0) {
		json_decref(ours);
		return NULL;
	}
	return ours;
}

int
record_of_outcome(const struct record_outcome *r, char **text, size_t *length, struct err *e)
{
	bool exited = strcmp(r->status, "exited") == 0;
	int bad = 0;
	json_t *record = run_event(&r->run, PROCESS_TERMINATE, r->ended_ms, exited ? SEVERITY_INFORMATIONAL : SEVERITY_LOW,
	    exited ? STATUS_SUCCESS : STATUS_FAILURE, &bad);

	bad |= set(json_object_get(record, "process"), "terminated_time", json_integer((json_int_t)r->ended_ms));
	bad |= set_text(record, "status_code", r->status);
	bad |= set_text(record, "status_detail", r->reason);
	/* OCSF's integers have 32 bits, and an exit code is what the guest says it is */
	if (r->has_exit_code && r->exit_code <= INT32_MAX)
		bad |= set(record, "exit_code", json_integer((json_int_t)r->exit_code));
	bad |= set(record, "message", json_string("a run has ended"));
	bad |= set_ours(record, outcome_ours(r));
	return finish(record, bad, text, length, e);
}

/* --- requests ------------------------------------------------------------------------------------------------------- */

static json_t *
api_event(const char *method, const struct record_actor *actor, int64_t time_ms, int status, int *bad)
{
	int severity = status == STATUS_SUCCESS ? SEVERITY_INFORMATIONAL : SEVERITY_MEDIUM;
	json_t *record = event(CLASS_API, activity_of(CLASS_API, method), time_ms, severity, status);

	*bad |= set(record, "actor", actor_json(actor));
	*bad |= set(record, "api", json_pack("{s:o, s:{s:s}}", "operation", text_json(method), "service", "name", "brigd"));
	*bad |= set(record, "src_endpoint", json_pack("{s:s}", "hostname", host_name()));
	return record;
}

static int
set_resource(json_t *record, const struct digest *module)
{
	char text[DIGEST_TEXT_SIZE];

	if (module == NULL)
		return 0;
	return set(record, "resources", json_pack("[{s:s, s:s}]", "type", "module", "uid", digest_text(module, text)));
}

int
record_of_refusal(const struct record_refusal *r, char **text, size_t *length, struct err *e)
{
	json_t *ours = json_object();
	int bad = 0;
	json_t *record = api_event(r->method, &r->actor, r->time_ms, STATUS_FAILURE, &bad);

	bad |= set_text(record, "status_code", r->error);
	bad |= set_text(record, "status_detail", r->detail);
	bad |= set(json_object_get(record, "api"), "response", json_pack("{s:i, s:o}", "code", r->error_number, "error",
	    text_json(r->error)));
	bad |= set(record, "message", json_string("a request was refused"));
	bad |= set_resource(record, r->module);
	bad |= set_text(ours, "error", r->error);
	if (r->module != NULL)
		bad |= set(ours, "module", json_pack("{s:o}", "digest", digest_json(r->module)));
	bad |= set_ours(record, ours);
	return finish(record, bad, text, length, e);
}

int
record_of_module(const struct record_module *r, char **text, size_t *length, struct err *e)
{
	json_t *module = json_pack("{s:o}", "digest", digest_json(r->module));
	int bad = 0;
	json_t *record = api_event(r->method, &r->actor, r->time_ms, STATUS_SUCCESS, &bad);

	bad |= set_resource(record, r->module);
	bad |= set_text(module, "signer", r->signer);
	bad |= set_text(module, "signature", r->signature);
	if (r->size > 0)
		bad |= set(module, "size", number_json(r->size));
	bad |= set(record, "message", json_string("a stored module changed"));
	bad |= set_ours(record, json_pack("{s:o}", "module", module));
	return finish(record, bad, text, length, e);
}

int
record_of_service(const struct record_service *r, char **text, size_t *length, struct err *e)
{
	json_t *record = event(CLASS_LIFECYCLE, activity_of(CLASS_LIFECYCLE, r->what), r->time_ms, SEVERITY_INFORMATIONAL,
	    STATUS_SUCCESS);
	json_t *ours = json_object();
	int bad = 0;

	bad |= set(record, "app", json_pack("{s:s, s:s, s:s}", "name", "brig", "vendor_name", "brig", "version", BRIG_VERSION));
	bad |= set(record, "device", json_pack("{s:s, s:i, s:s}", "hostname", host_name(), "type_id", 0, "type", "Unknown"));
	bad |= set_text(record, "message", is_given(r->detail) ? r->detail : r->what);
	bad |= set_text(ours, "event", r->what);
	if (r->extra != NULL)
		bad |= json_object_update(ours, (json_t *)(uintptr_t)r->extra) != 0;
	bad |= set_ours(record, ours);
	return finish(record, bad, text, length, e);
}
