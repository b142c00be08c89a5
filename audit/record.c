/* audit/record: what happened, as JSON text in the shape of OCSF 1.3. Pure but for the host's name; brigd and the logger. */

#include "audit/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

#define TEXT_USUAL 2047 /* bytes that most records fit into */

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

	return json_stringn_nocheck(digest_text(d, text), DIGEST_TEXT_SIZE - 1);
}

static json_t *
number_json(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

/* The setters return whether it did not work, so that calls can be or-ed. Keys are ours, and so well-formed. */
static int
set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new_nocheck(object, key, value) != 0;
}

static int
set_text(json_t *object, const char *key, const char *value)
{
	return is_given(value) ? set(object, key, text_json(value)) : 0;
}

static int
set_integer(json_t *object, const char *key, int64_t value)
{
	return set(object, key, json_integer((json_int_t)value));
}

/* Adds a value that the caller, or a cache, keeps. NULL for none. */
static int
set_shared(json_t *object, const char *key, const json_t *value)
{
	return value != NULL ? set(object, key, json_incref((json_t *)(uintptr_t)value)) : 0;
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

static int
activity_of(enum class class, const char *text)
{
	for (size_t i = 0; i < COUNT_OF(meanings); i++)
		if (meanings[i].class == class && strcmp(meanings[i].text, text) == 0)
			return meanings[i].id;
	return ACTIVITY_OTHER;
}

/* Classification and occurrence, which every OCSF event has. Sets *bad. */
static json_t *
event(enum class class, int activity, int64_t time_ms, int severity, int status, int *bad)
{
	json_t *record = json_object();

	*bad |= set_integer(record, "class_uid", class);
	*bad |= set_integer(record, "category_uid", class / 1000);
	*bad |= set_integer(record, "activity_id", activity);
	*bad |= set_integer(record, "type_uid", class * 100 + activity);
	*bad |= set_integer(record, "time", time_ms);
	*bad |= set_integer(record, "severity_id", severity);
	*bad |= set_integer(record, "status_id", status);
	return record;
}

/* The part of a record that is the same for all requests of a client: made once for the last one. NULL without memory. */
static const json_t *
actor_json(const struct record_actor *a)
{
	static struct record_actor last;
	static json_t *json;
	char uid[16], gid[16];

	if (json != NULL && a->uid == last.uid && a->gid == last.gid && a->pid == last.pid)
		return json;
	json_decref(json);
	snprintf(uid, sizeof(uid), "%u", (unsigned)a->uid);
	snprintf(gid, sizeof(gid), "%u", (unsigned)a->gid);
	json = json_pack("{s:{s:i, s:{s:s, s:[{s:s}]}}}", "process", "pid", (int)a->pid, "user", "uid", uid, "groups", "uid",
	    gid);
	last = *a;
	return json;
}

static const json_t *
device_json(void)
{
	static json_t *json;

	if (json == NULL)
		json = json_pack("{s:s, s:i}", "hostname", host_name(), "type_id", 0);
	return json;
}

static int
set_actor(json_t *record, const struct record_actor *a)
{
	const json_t *json = actor_json(a);

	return json == NULL || set_shared(record, "actor", json);
}

static int
set_device(json_t *record)
{
	const json_t *json = device_json();

	return json == NULL || set_shared(record, "device", json);
}

/* A module as an OCSF file: its name is its digest, it has no path. */
static json_t *
file_json(const struct digest *d, bool with_hash, int *bad)
{
	char text[DIGEST_TEXT_SIZE];
	json_t *file = json_object();

	digest_text(d, text);
	*bad |= set(file, "name", json_string_nocheck(text));
	*bad |= set_integer(file, "type_id", FILE_REGULAR);
	if (with_hash)
		*bad |= set(file, "hashes", json_pack("[{s:i, s:s}]", "algorithm_id", HASH_SHA256, "value",
		    text + sizeof("sha256:") - 1));
	return file;
}

/* Puts what has no place in OCSF under unmapped.brig. Takes `ours`, also when that fails. */
static int
set_ours(json_t *record, json_t *ours)
{
	json_t *unmapped = json_object();

	if (set(unmapped, "brig", ours) != 0) {
		json_decref(unmapped);
		return 1;
	}
	return set(record, "unmapped", unmapped);
}

/* --- from JSON to text --------------------------------------------------------------------------------------------- */

/* The digest of a value's text, compact and with sorted keys. NULL without memory. */
static json_t *
digest_of_json(const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
	struct digest d;

	if (text == NULL)
		return NULL;
	d = digest_of(text, strlen(text));
	free(text);
	return digest_json(&d);
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
	set(ours, part, list);
	set(ours, "denials_omitted", json_integer(omitted));
	set(ours, "denials_digest", digest);
}

/* Parts of unmapped.brig that may be large, in the order in which they become less when a record is too long. */
static const struct {
	const char *name;
	void (*shorten)(json_t *ours, const char *part, size_t excess);
} large[] = {{"denials", cut_denials}, {"usage", replace}, {"limits", replace}};

static void
shorten(json_t *record, size_t i, size_t excess)
{
	json_t *ours = json_object_get(json_object_get(record, "unmapped"), "brig");

	if (json_object_get(ours, large[i].name) != NULL)
		large[i].shorten(ours, large[i].name, excess);
}

/* The text of a record, in a buffer of the size that most have. NULL without memory. */
static char *
dump(const json_t *record, size_t *length)
{
	char *text = NULL;
	size_t room = TEXT_USUAL;

	*length = 0;
	for (;;) {
		char *more = realloc(text, room + 1);

		if (more == NULL)
			break;
		text = more;
		*length = json_dumpb(record, text, room, JSON_COMPACT);
		if (*length == 0)
			break;
		if (*length <= room) {
			text[*length] = '\0';
			return text;
		}
		room = *length;
	}
	free(text);
	return NULL;
}

/* Ends each record_of_*: takes `record`, of at most `most` bytes; `bad` is whether something in it is missing. */
static int
finish_within(json_t *record, int bad, size_t most, char **text, size_t *length, struct err *e)
{
	char *out = NULL;
	size_t n = 0;

	for (size_t i = 0; bad == 0 && record != NULL; i++) {
		out = dump(record, &n);
		if (n <= most || i == COUNT_OF(large))
			break;
		free(out);
		out = NULL;
		shorten(record, i, n - most);
	}
	json_decref(record);
	if (out == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for an audit record");
	*text = out;
	*length = n;
	return 0;
}

static int
finish(json_t *record, int bad, char **text, size_t *length, struct err *e)
{
	return finish_within(record, bad, RECORD_TEXT_MAX, text, length, e);
}

/* --- parts whose text is kept --------------------------------------------------------------------------------------- */

/*
 * Half of what brigd does in its own code for a run was writing the same members again and again. So those that do not
 * change from one record to the next are kept as text. Each text is what jansson made of a whole object: all that is done
 * here is to put the members of one such text behind the members of another, before its closing braces. That no name is
 * there twice is up to the one who chooses what goes where.
 */
struct kept {
	struct kept_key {
		struct record_actor actor;
		struct digest digest;
		char signer[64], signature[16], mode[16];
		bool has_limits;
	} key;
	char *text;
	size_t length;
};

/* Whether `s` fits, and is then part of the key. */
static bool
key_text(char *field, size_t size, const char *s)
{
	size_t n = s != NULL ? strnlen(s, size) : 0;

	if (n >= size)
		return false;
	memcpy(field, s != NULL ? s : "", n);
	return true;
}

/* The text for a key: what was kept, or that of `json` (taken), which `make` gives. NULL without memory. */
static const struct kept *
keep(struct kept *k, const struct kept_key *key, json_t *(*make)(const struct record_run *r, int *bad),
    const struct record_run *r)
{
	int bad = 0;
	json_t *json;

	if (k->text != NULL && key != NULL && memcmp(&k->key, key, sizeof(*key)) == 0)
		return k;
	free(k->text);
	json = make(r, &bad);
	k->text = bad == 0 ? dump(json, &k->length) : NULL;
	json_decref(json);
	if (key != NULL)
		k->key = *key;
	else
		memset(&k->key, 0xff, sizeof(k->key)); /* no key is like this one */
	return k->text != NULL ? k : NULL;
}

#define SPLICE_COMMAS 4 /* at most, in one record */

/* Puts the members of an object's text behind those of the innermost of `depth` objects that end at the end of `text`. */
static int
splice(char **text, size_t *length, size_t depth, const char *object, size_t object_length)
{
	size_t members = object_length - 2, at = *length - depth;
	bool comma = (*text)[at - 1] != '{' && members > 0;
	char *more = realloc(*text, *length + comma + members + 1);

	if (more == NULL)
		return ERR_NOMEM;
	*text = more;
	memmove(more + at + comma + members, more + at, depth + 1);
	if (comma)
		more[at] = ',';
	memcpy(more + at + comma, object + 1, members);
	*length += comma + members;
	return 0;
}

/* --- runs ---------------------------------------------------------------------------------------------------------- */

/* What unmapped.brig holds of every run; kept by signer, signature, policy, mode and whether it has limits. Sets *bad. */
static json_t *
run_ours(const struct record_run *r, int *bad)
{
	json_t *ours = json_object();

	*bad |= set_text(ours, "signer", r->signer);
	*bad |= set_text(ours, "signature", r->signature);
	*bad |= set_digest(ours, "policy", r->policy);
	*bad |= set_text(ours, "mode", r->mode);
	*bad |= set_shared(ours, "limits", r->limits);
	return ours;
}

static const struct kept *
keep_ours(const struct record_run *r)
{
	static struct kept kept[2]; /* an intent's, an outcome's */
	struct kept_key key;
	bool fits;

	memset(&key, 0, sizeof(key)); /* with what is between the members */
	fits = key_text(key.signer, sizeof(key.signer), r->signer) &&
	    key_text(key.signature, sizeof(key.signature), r->signature) && key_text(key.mode, sizeof(key.mode), r->mode);
	key.has_limits = r->limits != NULL;
	if (r->policy != NULL)
		key.digest = *r->policy;
	else
		fits = fits && r->limits == NULL; /* else nothing says which limits they are */
	return keep(&kept[key.has_limits], fits ? &key : NULL, run_ours, r);
}

/* Who asked, and where; kept by client. Sets *bad. */
static json_t *
run_who(const struct record_run *r, int *bad)
{
	json_t *who = json_object();

	*bad |= set_actor(who, &r->actor);
	*bad |= set_device(who);
	return who;
}

static const struct kept *
keep_who(const struct record_run *r)
{
	static struct kept kept;
	struct kept_key key;

	memset(&key, 0, sizeof(key));
	key.actor = r->actor;
	return keep(&kept, &key, run_who, r);
}

/* The module, as the member of a process; kept by digest. Sets *bad. */
static json_t *
launched_file(const struct record_run *r, int *bad)
{
	json_t *json = json_object();

	*bad |= set(json, "file", file_json(r->module, true, bad));
	return json;
}

static json_t *
ended_file(const struct record_run *r, int *bad)
{
	json_t *json = json_object();

	*bad |= set(json, "file", file_json(r->module, false, bad));
	return json;
}

static const struct kept *
keep_file(const struct record_run *r, bool launch)
{
	static struct kept kept[2];
	struct kept_key key;

	memset(&key, 0, sizeof(key));
	key.digest = *r->module;
	return keep(&kept[launch], &key, launch ? launched_file : ended_file, r);
}

static int
set_pack(json_t *ours, const struct record_pack *p)
{
	json_t *pack, *source;
	int bad = 0;

	if (p == NULL)
		return 0;
	pack = json_object();
	source = json_object();
	bad |= set_text(pack, "name", p->name);
	bad |= set_digest(pack, "digest", p->digest);
	bad |= set_digest(source, "digest", p->source);
	bad |= set_text(source, "signer", p->source_signer);
	bad |= set(ours, "pack", pack);
	return set(ours, "source", source) | bad;
}

/* Makes the record of a run of what is its own in `event` and in `ours`, both taken, and of the parts that are kept. */
static int
finish_run(const struct record_run *r, json_t *event, json_t *ours, bool launch, int bad, char **text, size_t *length,
    struct err *e)
{
	const struct kept *kept_ours = keep_ours(r), *who = keep_who(r), *file = keep_file(r, launch);
	json_t *process = json_object(), *rest = json_object();
	char *head = NULL, *tail = NULL;
	size_t n = 0, m = 0;
	int rc;

	bad |= kept_ours == NULL || who == NULL || file == NULL;
	bad |= set(process, "uid", text_json(r->run_id)) | set_integer(process, "created_time", r->time_ms);
	bad |= set(event, "process", process); /* the last, so that its end is the event's */
	bad |= set_pack(ours, r->pack);
	bad |= set_ours(rest, ours);
	rc = finish(event, bad, &head, &n, e);
	if (rc == 0) {
		rc = splice(&head, &n, 2, file->text, file->length) | splice(&head, &n, 1, who->text, who->length);
		rc = finish_within(rest, bad | (rc != 0), RECORD_TEXT_MAX - n - kept_ours->length - SPLICE_COMMAS, &tail, &m, e);
	} else {
		json_decref(rest);
	}
	if (rc == 0 && (splice(&tail, &m, 3, kept_ours->text, kept_ours->length) | splice(&head, &n, 1, tail, m)) != 0)
		rc = err_set(e, ERR_NOMEM, "out of memory for an audit record");
	free(tail);
	if (rc != 0) {
		free(head);
		return rc;
	}
	*text = head;
	*length = n;
	return 0;
}

int
record_of_intent(const struct record_run *r, char **text, size_t *length, struct err *e)
{
	int bad = 0;
	json_t *record = event(CLASS_PROCESS, PROCESS_LAUNCH, r->time_ms, SEVERITY_INFORMATIONAL, STATUS_SUCCESS, &bad);
	json_t *ours = json_object();

	bad |= set_digest(ours, "input", r->input);
	return finish_run(r, record, ours, true, bad, text, length, e);
}

/* A stream is on record when the guest wrote to it. */
static int
set_stream(json_t *ours, const char *key, const struct record_stream *s)
{
	json_t *json;
	int bad = 0;

	if (s->bytes == 0 && !s->truncated)
		return 0;
	json = json_object();
	bad |= set(json, "bytes", number_json(s->bytes));
	bad |= set_digest(json, "digest", s->digest);
	if (s->truncated)
		bad |= set(json, "truncated", json_true());
	return set(ours, key, json) | bad;
}

static json_t *
outcome_ours(const struct record_outcome *r, int *bad)
{
	json_t *ours = json_object();

	*bad |= set_text(ours, "limit", r->limit);
	*bad |= set_text(ours, "trap", r->trap);
	*bad |= set_text(ours, "learned", r->learned);
	*bad |= set_stream(ours, "stdout", &r->out);
	*bad |= set_stream(ours, "stderr", &r->err);
	if (r->has_exit_code && r->exit_code > INT32_MAX) /* OCSF's integers have 32 bits */
		*bad |= set_integer(ours, "exit_code", r->exit_code);
	*bad |= set_shared(ours, "usage", r->usage);
	if (json_array_size(r->denials) > 0)
		*bad |= set_shared(ours, "denials", r->denials);
	if (r->denials_omitted > 0)
		*bad |= set(ours, "denials_omitted", number_json(r->denials_omitted));
	return ours;
}

int
record_of_outcome(const struct record_outcome *r, char **text, size_t *length, struct err *e)
{
	bool exited = strcmp(r->status, "exited") == 0;
	struct record_run run = r->run;
	int bad = 0;
	json_t *ours;
	json_t *record = event(CLASS_PROCESS, PROCESS_TERMINATE, r->ended_ms, exited ? SEVERITY_INFORMATIONAL : SEVERITY_LOW,
	    exited ? STATUS_SUCCESS : STATUS_FAILURE, &bad);

	run.limits = NULL; /* the intent has them */
	ours = outcome_ours(r, &bad);
	bad |= set_text(record, "status_code", r->status);
	bad |= set_text(record, "status_detail", r->reason);
	if (r->has_exit_code && r->exit_code <= INT32_MAX)
		bad |= set_integer(record, "exit_code", r->exit_code);
	return finish_run(&run, record, ours, false, bad, text, length, e);
}

/* Copies members of one object to another, as far as they are there. */
static int
copy_members(json_t *to, const json_t *from, const char *const names[], size_t count)
{
	int bad = 0;

	for (size_t i = 0; i < count; i++)
		bad |= set_shared(to, names[i], json_object_get(from, names[i]));
	return bad;
}

int
record_of_unfinished(const json_t *intent, int64_t time_ms, char **text, size_t *length, struct err *e)
{
	static const char *const whole[] = {"actor", "device", "process"};
	static const char *const run[] = {"signer", "signature", "policy", "mode", "pack", "source"};
	const json_t *unmapped = json_object_get(json_object_get(intent, "unmapped"), "brig");
	int bad = 0;
	json_t *record = event(CLASS_PROCESS, PROCESS_TERMINATE, time_ms, SEVERITY_LOW, STATUS_FAILURE, &bad);
	json_t *ours = json_object();

	bad |= copy_members(record, intent, whole, COUNT_OF(whole));
	bad |= copy_members(ours, unmapped, run, COUNT_OF(run));
	bad |= set_text(record, "status_code", "failed");
	bad |= set_text(record, "status_detail", "brigd was killed before the run had an outcome, or could not record it");
	bad |= set_ours(record, ours);
	return finish(record, bad, text, length, e);
}

/* --- requests ------------------------------------------------------------------------------------------------------- */

static json_t *
api_event(const char *method, const struct record_actor *actor, int64_t time_ms, int status, int *bad)
{
	int severity = status == STATUS_SUCCESS ? SEVERITY_INFORMATIONAL : SEVERITY_MEDIUM;
	json_t *record = event(CLASS_API, activity_of(CLASS_API, method), time_ms, severity, status, bad);

	*bad |= set_actor(record, actor);
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
	int bad = 0;
	json_t *record = api_event(r->method, &r->actor, r->time_ms, STATUS_FAILURE, &bad);

	bad |= set_text(record, "status_code", r->error);
	bad |= set_text(record, "status_detail", r->detail);
	bad |= set(json_object_get(record, "api"), "response", json_pack("{s:i, s:o}", "code", r->error_number, "error",
	    text_json(r->error)));
	bad |= set_resource(record, r->module);
	return finish(record, bad, text, length, e);
}

int
record_of_module(const struct record_module *r, char **text, size_t *length, struct err *e)
{
	json_t *ours = json_object();
	int bad = 0;
	json_t *record = api_event(r->method, &r->actor, r->time_ms, STATUS_SUCCESS, &bad);

	bad |= set_resource(record, r->module);
	bad |= set_text(ours, "signer", r->signer);
	bad |= set_text(ours, "signature", r->signature);
	if (r->size > 0)
		bad |= set(ours, "size", number_json(r->size));
	bad |= set_ours(record, ours);
	return finish(record, bad, text, length, e);
}

int
record_of_service(const struct record_service *r, char **text, size_t *length, struct err *e)
{
	int bad = 0;
	json_t *record = event(CLASS_LIFECYCLE, activity_of(CLASS_LIFECYCLE, r->what), r->time_ms, SEVERITY_INFORMATIONAL,
	    STATUS_SUCCESS, &bad);
	json_t *ours = json_object();

	bad |= set(record, "app", json_pack("{s:s, s:s, s:s}", "name", "brig", "vendor_name", "brig", "version", BRIG_VERSION));
	bad |= set_device(record);
	bad |= set_text(record, "message", r->detail);
	bad |= set_text(ours, "event", r->what);
	bad |= set_ours(record, ours);
	return finish(record, bad, text, length, e);
}
