/* broker/shares: what each owner gets of what all share, as the operator says: weight and limits. brigd. */

#include "broker/shares.h"

#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/nearest.h"
#include "base/position.h"
#include "broker/grants.h"
#include "policy/policy.h"

#define FILE_BYTES_MAX (1024 * 1024)
#define UNSAID         (-1)

static const struct member {
	const char *name;
	int64_t smallest, largest;
	size_t offset;
} members[] = {
#define X(name, smallest, largest, text) {#name, smallest, largest, offsetof(struct shares_terms, name)},
    SHARES_MEMBERS(X)
#undef X
};
#define MEMBERS (sizeof(members) / sizeof(members[0]))

struct share_of {
	uid_t owner;
	struct shares_terms terms;
};

struct shares {
	struct shares_terms initial; /* of "default" */
	struct share_of *list;
	size_t count;
};

static int64_t *
member_of(struct shares_terms *t, size_t i)
{
	return (int64_t *)((char *)t + members[i].offset);
}

static void
say_nothing(struct shares_terms *t)
{
	for (size_t i = 0; i < MEMBERS; i++)
		*member_of(t, i) = UNSAID;
}

/* Where in the file something is that is wrong. */
struct place {
	const char *path, *text;
	size_t length;
	struct position_step steps[3];
	size_t count;
};

static int
fail_at(const struct place *p, struct err *e)
{
	struct position where = {.line = 1, .column = 1};
	int code = e->code;

	position_find(p->text, p->length, p->steps, p->count, true, &where);
	err_context(e, "%s:%zu:%zu", p->path, where.line, where.column);
	return code;
}

static int
unknown(const char *what, const char *name, const char *const *names, size_t count, struct err *e)
{
	const char *near = nearest_name(name, names, count);

	return err_set(e, ERR_INVAL, "there is no %s \"%.64s\"%s%s%s", what, name, near != NULL ? "; did you mean \"" : "",
	    near != NULL ? near : "", near != NULL ? "\"?" : "");
}

static int
read_member(const char *name, const json_t *value, struct shares_terms *t, struct err *e)
{
	const char *names[MEMBERS];

	for (size_t i = 0; i < MEMBERS; i++) {
		const struct member *m = &members[i];

		names[i] = m->name;
		if (strcmp(m->name, name) != 0)
			continue;
		if (!json_is_integer(value) || json_integer_value(value) < m->smallest || json_integer_value(value) > m->largest)
			return err_set(e, ERR_INVAL, "%s must be a whole number from %" PRId64 " to %" PRId64, name, m->smallest,
			    m->largest);
		*member_of(t, i) = json_integer_value(value);
		return 0;
	}
	return unknown("member", name, names, MEMBERS, e);
}

/* Reads what is said of one owner, or of all others. */
static int
read_terms(struct place *p, const json_t *json, struct shares_terms *t, struct err *e)
{
	const char *name;
	json_t *value;
	int rc;

	say_nothing(t);
	if (!json_is_object(json)) {
		err_set(e, ERR_INVAL, "a share is an object");
		return fail_at(p, e);
	}
	json_object_foreach((json_t *)(uintptr_t)json, name, value)
		if ((rc = read_member(name, value, t, e)) != 0) {
			p->steps[p->count++] = (struct position_step){name, 0};
			return fail_at(p, e);
		}
	return 0;
}

static int
read_owners(struct shares *s, struct place *p, const json_t *owners, struct err *e)
{
	const char *name;
	json_t *value;
	int rc;

	p->steps[p->count++] = (struct position_step){"owners", 0};
	if (!json_is_object(owners)) {
		err_set(e, ERR_INVAL, "owners must be an object, with a share for each user");
		return fail_at(p, e);
	}
	if ((s->list = calloc(json_object_size(owners) + 1, sizeof(*s->list))) == NULL)
		return err_set(e, ERR_NOMEM, "shares");
	json_object_foreach((json_t *)(uintptr_t)owners, name, value) {
		struct share_of *one = &s->list[s->count];

		p->count = 1;
		p->steps[p->count++] = (struct position_step){name, 0};
		rc = grants_owner(name, strlen(name), &one->owner, e);
		for (size_t i = 0; i < s->count && rc == 0; i++)
			if (s->list[i].owner == one->owner)
				rc = err_set(e, ERR_INVAL, "user %u has two shares", (unsigned)one->owner);
		if (rc != 0)
			return fail_at(p, e);
		if ((rc = read_terms(p, value, &one->terms, e)) != 0)
			return rc;
		s->count++;
	}
	return 0;
}

static int
read_document(struct shares *s, struct place *p, const json_t *document, struct err *e)
{
	static const char *const names[] = {"default", "owners"};
	const char *name;
	json_t *value;
	int rc = 0;

	json_object_foreach((json_t *)(uintptr_t)document, name, value) {
		p->count = 0;
		if (strcmp(name, names[1]) == 0) {
			rc = read_owners(s, p, value, e);
		} else {
			p->steps[p->count++] = (struct position_step){name, 0};
			if (strcmp(name, names[0]) == 0) {
				rc = read_terms(p, value, &s->initial, e);
			} else {
				unknown("member", name, names, 2, e);
				rc = fail_at(p, e);
			}
		}
		if (rc != 0)
			break;
	}
	return rc;
}

int
shares_load(const char *path, struct shares **out, struct err *e)
{
	struct shares *s = calloc(1, sizeof(*s));
	json_t *document = NULL;
	uint8_t *text = NULL;
	json_error_t je;
	struct place p = {.path = path};
	int rc = 0;

	if (s == NULL)
		return err_set(e, ERR_NOMEM, "shares");
	say_nothing(&s->initial);
	if (path != NULL)
		rc = io_read_file(path, FILE_BYTES_MAX, &text, &p.length, e);
	if (rc != 0 || path == NULL)
		goto out;
	p.text = (char *)text;
	document = json_loadb(p.text, p.length, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(document))
		rc = err_set(e, ERR_INVAL, "%s:%d:%d: %s", path, document == NULL ? je.line : 1, document == NULL ? je.column : 1,
		    document == NULL ? policy_json_why(&je) : "shares are a JSON object");
	else
		rc = read_document(s, &p, document, e);
out:
	json_decref(document);
	free(text);
	if (rc != 0)
		shares_free(s);
	else
		*out = s;
	return rc;
}

void
shares_free(struct shares *s)
{
	if (s == NULL)
		return;
	free(s->list);
	free(s);
}

struct shares_terms
shares_of(const struct shares *s, const struct config *c, uid_t owner)
{
	struct shares_terms settings = {1, c->running_per_owner, c->queued_per_owner, c->held_bytes_per_owner};
	struct shares_terms t = s->initial;

	for (size_t i = 0; i < s->count; i++)
		if (s->list[i].owner == owner)
			for (size_t k = 0; k < MEMBERS; k++)
				if (*member_of(&s->list[i].terms, k) != UNSAID)
					*member_of(&t, k) = *member_of(&s->list[i].terms, k);
	for (size_t k = 0; k < MEMBERS; k++)
		if (*member_of(&t, k) == UNSAID)
			*member_of(&t, k) = *member_of(&settings, k);
	return t;
}
