/* audit/record: what happened, as JSON text in the shape of OCSF 1.3. Pure but for the host's name; brigd and the logger. */

#include "audit/record.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/version.h"

/* The classes that we use. Their category is the first digit. */
enum class { CLASS_PROCESS = 1007, CLASS_LIFECYCLE = 6002, CLASS_API = 6003 };

enum { ACTIVITY_OTHER = 99 };
enum { PROCESS_LAUNCH = 1, PROCESS_TERMINATE = 2 };
enum { API_CREATE = 1, API_READ = 2, API_UPDATE = 3, API_DELETE = 4 };
enum { LIFECYCLE_START = 3, LIFECYCLE_STOP = 4 };
enum { FILE_REGULAR = 1, HASH_SHA256 = 3 };
enum { STATUS_SUCCESS = 1, STATUS_FAILURE = 2 };
enum { SEVERITY_INFORMATIONAL = 1, SEVERITY_LOW = 2, SEVERITY_MEDIUM = 3 };

/* Which activity a method or a service's event is. */
static const struct {
	enum class class;
	const char *text;
	int id;
} meanings[] = {
    {CLASS_API, "run", API_CREATE},
    {CLASS_API, "module.put", API_CREATE},
    {CLASS_API, "module.get", API_READ},
    {CLASS_API, "module.compile", API_UPDATE},
    {CLASS_API, "module.list", API_READ},
    {CLASS_API, "module.remove", API_DELETE},
    {CLASS_LIFECYCLE, "start", LIFECYCLE_START},
    {CLASS_LIFECYCLE, "stop", LIFECYCLE_STOP},
};

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* --- values ----------------------------------------------------------------------------------------------------- */

/* A text, cut at RECORD_STRING_MAX. */
static void
put_string(struct json_text *t, const char *key, const char *s)
{
	size_t n = strnlen(s, RECORD_STRING_MAX + 1);

	if (n > RECORD_STRING_MAX)
		for (n = RECORD_STRING_MAX; n > 0 && ((unsigned char)s[n] & 0xc0) == 0x80;)
			n--; /* not in the middle of a character */
	json_text_string(t, key, s, n);
}

/* The same, if there is one. */
static void
put_text(struct json_text *t, const char *key, const char *s)
{
	if (s != NULL && s[0] != '\0')
		put_string(t, key, s);
}

static void
put_digest(struct json_text *t, const char *key, const struct digest *d)
{
	char text[DIGEST_TEXT_SIZE];

	if (d != NULL)
		json_text_string(t, key, digest_text(d, text), DIGEST_TEXT_SIZE - 1);
}

/* An object that is JSON already, if there is one. */
static void
put_made(struct json_text *t, const char *key, const char *json)
{
	if (json != NULL)
		json_text_raw(t, key, json, strlen(json));
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

static int
activity_of(enum class class, const char *text)
{
	for (size_t i = 0; i < COUNT_OF(meanings); i++)
		if (meanings[i].class == class && strcmp(meanings[i].text, text) == 0)
			return meanings[i].id;
	return ACTIVITY_OTHER;
}

/* Begins a record with classification and occurrence, which every OCSF event has. */
static void
event(struct json_text *t, enum class class, int activity, int64_t time_ms, int severity, int status)
{
	json_text_open(t, NULL, '{');
	json_text_integer(t, "class_uid", class);
	json_text_integer(t, "category_uid", class / 1000);
	json_text_integer(t, "activity_id", activity);
	json_text_integer(t, "type_uid", class * 100 + activity);
	json_text_integer(t, "time", time_ms);
	json_text_integer(t, "severity_id", severity);
	json_text_integer(t, "status_id", status);
}

static void
put_actor(struct json_text *t, const struct record_actor *a)
{
	json_text_open(t, "actor", '{');
	json_text_open(t, "process", '{');
	json_text_integer(t, "pid", a->pid);
	json_text_open(t, "user", '{');
	json_text_digits(t, "uid", a->uid);
	json_text_open(t, "groups", '[');
	json_text_open(t, NULL, '{');
	json_text_digits(t, "uid", a->gid);
	json_text_close(t, '}');
	json_text_close(t, ']');
	json_text_close(t, '}');
	json_text_close(t, '}');
	json_text_close(t, '}');
}

static void
put_device(struct json_text *t)
{
	json_text_open(t, "device", '{');
	put_text(t, "hostname", host_name());
	json_text_integer(t, "type_id", 0);
	json_text_close(t, '}');
}

/* A module as an OCSF file: its name is its digest, it has no path. */
static void
put_file(struct json_text *t, const struct digest *d, bool with_hash)
{
	char text[DIGEST_TEXT_SIZE];

	digest_text(d, text);
	json_text_open(t, "file", '{');
	put_text(t, "name", text);
	json_text_integer(t, "type_id", FILE_REGULAR);
	if (with_hash) {
		json_text_open(t, "hashes", '[');
		json_text_open(t, NULL, '{');
		json_text_integer(t, "algorithm_id", HASH_SHA256);
		put_text(t, "value", text + sizeof("sha256:") - 1);
		json_text_close(t, '}');
		json_text_close(t, ']');
	}
	json_text_close(t, '}');
}

/* Begins, and ends, what has no place in OCSF: unmapped.brig. */
static void
open_ours(struct json_text *t)
{
	json_text_open(t, "unmapped", '{');
	json_text_open(t, "brig", '{');
}

static void
close_ours(struct json_text *t)
{
	json_text_close(t, '}');
	json_text_close(t, '}');
}

/* --- records that are too long --------------------------------------------------------------------------------- */

/* The digest of a value's text, compact and with sorted keys. NULL without memory. */
static json_t *
digest_of_json(const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS), name[DIGEST_TEXT_SIZE];
	struct digest d;

	if (text == NULL)
		return NULL;
	d = digest_of(text, strlen(text));
	free(text);
	return json_string_nocheck(digest_text(&d, name));
}

/* Replaces one part by its digest. */
static void
replace(json_t *ours, const char *part, size_t excess)
{
	json_t *digest = digest_of_json(json_object_get(ours, part));

	(void)excess;
	if (digest != NULL)
		json_object_set_new(ours, part, json_pack("{s:o}", "omitted", digest));
}

#define DIGEST_MEMBERS 200 /* bytes that the two members take which say that some are missing */

/* Takes denials off the end of a copy of the list, until `excess` bytes are gone; says how many calls those were. */
static void
cut_denials(json_t *ours, const char *part, size_t excess)
{
	json_t *digest = digest_of_json(json_object_get(ours, part));
	json_t *list = json_copy(json_object_get(ours, part));
	json_int_t omitted = json_integer_value(json_object_get(ours, "denials_omitted"));
	size_t n = json_array_size(list), gone = 0;

	while (n > 0 && gone < excess + DIGEST_MEMBERS) {
		const json_t *last = json_array_get(list, --n);
		json_int_t count = json_integer_value(json_object_get(last, "count"));

		gone += json_dumpb(last, NULL, 0, JSON_COMPACT) + 1;
		omitted = count > INT64_MAX - omitted ? INT64_MAX : omitted + count;
		json_array_remove(list, n);
	}
	json_object_set_new(ours, part, list);
	json_object_set_new(ours, "denials_omitted", json_integer(omitted));
	json_object_set_new(ours, "denials_digest", digest);
}

/* Parts of unmapped.brig that may be large, in the order in which they become less when a record is too long. */
static const struct {
	const char *name;
	void (*shorten)(json_t *ours, const char *part, size_t excess);
} large[] = {{"denials", cut_denials}, {"usage", replace}, {"limits", replace}};

/* Makes what is too long fit: by way of an object, since it is seldom. */
static void
shorten(struct json_text *t)
{
	json_t *record = json_loadb(t->text, t->length, 0, NULL);
	json_t *ours = json_object_get(json_object_get(record, "unmapped"), "brig");

	for (size_t i = 0; i < COUNT_OF(large) && !t->failed && t->length > RECORD_TEXT_MAX; i++) {
		if (json_object_get(ours, large[i].name) == NULL)
			continue;
		large[i].shorten(ours, large[i].name, t->length - RECORD_TEXT_MAX);
		json_text_free(t);
		json_text_value(t, NULL, record);
	}
	t->failed |= t->length > RECORD_TEXT_MAX;
	json_decref(record);
}

/* Ends each record_of_*, whose text it takes. */
static int
finish(struct json_text *t, char **text, size_t *length, struct err *e)
{
	json_text_close(t, '}');
	if (!t->failed && t->length > RECORD_TEXT_MAX)
		shorten(t);
	if (t->failed) {
		json_text_free(t);
		return err_set(e, ERR_NOMEM, "out of memory for an audit record");
	}
	*text = t->text;
	*length = t->length;
	return 0;
}

/* --- runs ---------------------------------------------------------------------------------------------------------- */

/* What a record of a run has beside classification: up to unmapped.brig, which is left open. */
static void
put_run(struct json_text *t, const struct record_run *r, bool launch)
{
	put_device(t);
	put_actor(t, &r->actor);
	json_text_open(t, "process", '{');
	put_file(t, r->module, launch);
	put_text(t, "uid", r->run_id);
	json_text_integer(t, "created_time", r->time_ms);
	json_text_close(t, '}');
	open_ours(t);
	put_text(t, "signer", r->signer);
	put_text(t, "signature", r->signature);
	put_digest(t, "policy", r->policy);
	put_text(t, "mode", r->mode);
	if (r->pack == NULL)
		return;
	json_text_open(t, "pack", '{');
	put_text(t, "name", r->pack->name);
	put_digest(t, "digest", r->pack->digest);
	json_text_close(t, '}');
	json_text_open(t, "source", '{');
	put_digest(t, "digest", r->pack->source);
	put_text(t, "signer", r->pack->source_signer);
	json_text_close(t, '}');
}

int
record_of_intent(const struct record_run *r, char **text, size_t *length, struct err *e)
{
	struct json_text t = {0};

	event(&t, CLASS_PROCESS, PROCESS_LAUNCH, r->time_ms, SEVERITY_INFORMATIONAL, STATUS_SUCCESS);
	put_run(&t, r, true);
	put_made(&t, "limits", r->limits);
	put_digest(&t, "input", r->input);
	close_ours(&t);
	return finish(&t, text, length, e);
}

/* A stream is on record when the guest wrote to it. */
static void
put_stream(struct json_text *t, const char *key, const struct record_stream *s)
{
	if (s->bytes == 0 && !s->truncated)
		return;
	json_text_open(t, key, '{');
	json_text_count(t, "bytes", s->bytes);
	put_digest(t, "digest", s->digest);
	if (s->truncated)
		json_text_bool(t, "truncated", true);
	json_text_close(t, '}');
}

static void
put_outcome(struct json_text *t, const struct record_outcome *r)
{
	put_text(t, "limit", r->limit);
	put_text(t, "trap", r->trap);
	put_text(t, "learned", r->learned);
	put_stream(t, "stdout", &r->out);
	put_stream(t, "stderr", &r->err);
	if (r->has_exit_code && r->exit_code > INT32_MAX) /* OCSF's integers have 32 bits */
		json_text_integer(t, "exit_code", r->exit_code);
	put_made(t, "usage", r->usage);
	if (json_array_size(r->denials) > 0)
		json_text_value(t, "denials", r->denials);
	if (r->denials_omitted > 0)
		json_text_count(t, "denials_omitted", r->denials_omitted);
}

int
record_of_outcome(const struct record_outcome *r, char **text, size_t *length, struct err *e)
{
	bool exited = strcmp(r->status, "exited") == 0;
	struct json_text t = {0};

	event(&t, CLASS_PROCESS, PROCESS_TERMINATE, r->ended_ms, exited ? SEVERITY_INFORMATIONAL : SEVERITY_LOW,
	    exited ? STATUS_SUCCESS : STATUS_FAILURE);
	put_text(&t, "status_code", r->status);
	put_text(&t, "status_detail", r->reason);
	if (r->has_exit_code && r->exit_code <= INT32_MAX)
		json_text_integer(&t, "exit_code", r->exit_code);
	put_run(&t, &r->run, false);
	put_outcome(&t, r);
	close_ours(&t);
	return finish(&t, text, length, e);
}

/* Copies members of an object, as far as they are there. */
static void
put_members(struct json_text *t, const json_t *from, const char *const names[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (json_object_get(from, names[i]) != NULL)
			json_text_value(t, names[i], json_object_get(from, names[i]));
}

int
record_of_unfinished(const json_t *intent, int64_t time_ms, char **text, size_t *length, struct err *e)
{
	static const char *const whole[] = {"actor", "device", "process"};
	static const char *const run[] = {"signer", "signature", "policy", "mode", "pack", "source"};
	struct json_text t = {0};

	event(&t, CLASS_PROCESS, PROCESS_TERMINATE, time_ms, SEVERITY_LOW, STATUS_FAILURE);
	put_members(&t, intent, whole, COUNT_OF(whole));
	put_text(&t, "status_code", "failed");
	put_text(&t, "status_detail", "brigd was killed before the run had an outcome, or could not record it");
	open_ours(&t);
	put_members(&t, json_object_get(json_object_get(intent, "unmapped"), "brig"), run, COUNT_OF(run));
	close_ours(&t);
	return finish(&t, text, length, e);
}

/* --- requests ------------------------------------------------------------------------------------------------------- */

/* Begins the record of a request, up to its member `api`, which is left open. */
static void
api_event(struct json_text *t, const char *method, const struct record_actor *actor, int64_t time_ms, int status)
{
	int severity = status == STATUS_SUCCESS ? SEVERITY_INFORMATIONAL : SEVERITY_MEDIUM;

	event(t, CLASS_API, activity_of(CLASS_API, method), time_ms, severity, status);
	put_actor(t, actor);
	json_text_open(t, "src_endpoint", '{');
	put_text(t, "hostname", host_name());
	json_text_close(t, '}');
	json_text_open(t, "api", '{');
	put_string(t, "operation", method);
	json_text_open(t, "service", '{');
	put_text(t, "name", "brigd");
	json_text_close(t, '}');
}

static void
put_resource(struct json_text *t, const struct digest *module)
{
	if (module == NULL)
		return;
	json_text_open(t, "resources", '[');
	json_text_open(t, NULL, '{');
	put_text(t, "type", "module");
	put_digest(t, "uid", module);
	json_text_close(t, '}');
	json_text_close(t, ']');
}

int
record_of_refusal(const struct record_refusal *r, char **text, size_t *length, struct err *e)
{
	struct json_text t = {0};

	api_event(&t, r->method, &r->actor, r->time_ms, STATUS_FAILURE);
	json_text_open(&t, "response", '{');
	json_text_integer(&t, "code", r->error_number);
	put_text(&t, "error", r->error);
	json_text_close(&t, '}');
	json_text_close(&t, '}');
	put_text(&t, "status_code", r->error);
	put_text(&t, "status_detail", r->detail);
	put_resource(&t, r->module);
	return finish(&t, text, length, e);
}

int
record_of_module(const struct record_module *r, char **text, size_t *length, struct err *e)
{
	struct json_text t = {0};

	api_event(&t, r->method, &r->actor, r->time_ms, STATUS_SUCCESS);
	json_text_close(&t, '}');
	put_resource(&t, r->module);
	open_ours(&t);
	put_text(&t, "signer", r->signer);
	put_text(&t, "signature", r->signature);
	if (r->size > 0)
		json_text_count(&t, "size", r->size);
	close_ours(&t);
	return finish(&t, text, length, e);
}

int
record_of_service(const struct record_service *r, char **text, size_t *length, struct err *e)
{
	struct json_text t = {0};

	event(&t, CLASS_LIFECYCLE, activity_of(CLASS_LIFECYCLE, r->what), r->time_ms, SEVERITY_INFORMATIONAL, STATUS_SUCCESS);
	json_text_open(&t, "app", '{');
	put_text(&t, "name", "brig");
	put_text(&t, "vendor_name", "brig");
	put_text(&t, "version", BRIG_VERSION);
	json_text_close(&t, '}');
	put_device(&t);
	put_text(&t, "message", r->detail);
	open_ours(&t);
	put_text(&t, "event", r->what);
	close_ours(&t);
	return finish(&t, text, length, e);
}
