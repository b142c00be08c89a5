/* load: many runs at a brigd, and how long each took from the moment at which it was due. brig. */

#include "clients/c/load.h"

#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/monotonic.h"
#include "clients/c/libbrig.h"

#define NS_PER_SEC  UINT64_C(1000000000)
#define PROGRESS_NS (NS_PER_SEC / 2)
#define BURST       64 /* arrivals that are sent before answers are looked for */

/* A connection, and what it waits for. Request ids count from 1, so they are places in a list. */
struct client {
	struct brig *brig;
	uint64_t *due;        /* of request id - 1, in ns; 0: answered, or no run */
	size_t count, room;
	uint64_t pending;
	bool for_one;         /* made for one run that will be given up */
	uint64_t closes_at;
};

/* A run that is to be cancelled. All have the same delay, so they are a queue. */
struct cancel {
	struct client *client;
	json_int_t id;
	uint64_t at;
};

struct load {
	const struct load_plan *plan;
	struct load_result *result;
	uint64_t began, next_due;
	struct client **clients; /* the plan's, and behind them those for one run */
	size_t count, room;
	struct pollfd *polled;
	struct cancel *cancels;
	size_t cancel_first, cancel_count, cancel_room;
	uint64_t pending;
	uint64_t last_answer, last_progress;
	size_t turn;
	double weights;
	unsigned short random[3];
};

/* --- connections ------------------------------------------------------------------------------------------------ */

int
load_connect(const char *socket, uid_t uid, struct brig **out, struct err *e)
{
	uid_t own = geteuid();
	int rc;

	if (uid == (uid_t)-1 || uid == own)
		return brig_connect(socket, out, e);
	if (seteuid(uid) != 0)
		return err_sys(e, ERR_DENIED, "connecting as user %u, which only root can", (unsigned)uid);
	rc = brig_connect(socket, out, e);
	if (seteuid(own) != 0)
		abort(); /* nothing may go on as somebody else */
	return rc;
}

static void
client_free(struct load *l, struct client *c)
{
	l->pending -= c->pending;
	brig_close(c->brig);
	free(c->due);
	free(c);
}

static int
client_add(struct load *l, struct client **out, struct err *e)
{
	const struct load_plan *p = l->plan;
	uid_t uid = p->owner_count > 0 ? p->owners[l->turn % p->owner_count] : (uid_t)-1;
	struct client *c;
	int rc;

	if (l->count == l->room) {
		size_t room = l->room * 2 + 16;
		struct client **clients = reallocarray(l->clients, room, sizeof(struct client *));
		struct pollfd *polled;

		if (clients != NULL)
			l->clients = clients;
		if (clients == NULL || (polled = reallocarray(l->polled, room, sizeof(*polled))) == NULL)
			return err_set(e, ERR_NOMEM, "out of memory for connections");
		l->polled = polled;
		l->room = room;
	}
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory for a connection");
	if ((rc = load_connect(p->socket, uid, &c->brig, e)) != 0) {
		free(c);
		return rc;
	}
	l->turn++;
	l->clients[l->count++] = c;
	*out = c;
	return 0;
}

/* --- sending ---------------------------------------------------------------------------------------------------- */

static const struct load_item *
choose_item(struct load *l)
{
	double at = erand48(l->random) * l->weights;
	size_t i = 0;

	while (i + 1 < l->plan->item_count && (at -= l->plan->items[i].weight) >= 0)
		i++;
	return &l->plan->items[i];
}

static int
note_due(struct client *c, uint64_t due, struct err *e)
{
	if (c->count == c->room) {
		size_t room = c->room * 2 + 64;
		uint64_t *larger = reallocarray(c->due, room, sizeof(*larger));

		if (larger == NULL)
			return err_set(e, ERR_NOMEM, "out of memory for %zu runs", room);
		c->due = larger;
		c->room = room;
	}
	c->due[c->count++] = due;
	return 0;
}

/* Sends what the socket takes; the rest goes when poll says so. */
static int
flush(struct client *c, struct err *e)
{
	int rc = brig_flush(c->brig, e);

	return rc == ERR_AGAIN ? 0 : rc;
}

static int
plan_cancel(struct load *l, struct client *c, json_int_t id, uint64_t at, struct err *e)
{
	if (l->cancel_first == l->cancel_count)
		l->cancel_first = l->cancel_count = 0;
	if (l->cancel_count == l->cancel_room) {
		size_t room = l->cancel_room * 2 + 64;
		struct cancel *larger = reallocarray(l->cancels, room, sizeof(*larger));

		if (larger == NULL)
			return err_set(e, ERR_NOMEM, "out of memory for %zu cancels", room);
		l->cancels = larger;
		l->cancel_room = room;
	}
	l->cancels[l->cancel_count++] = (struct cancel){c, id, at};
	return 0;
}

/* Sends one run on a connection. */
static int
send_run(struct load *l, struct client *c, uint64_t due, struct err *e)
{
	json_int_t id;
	int rc = brig_request(c->brig, "run", json_incref(choose_item(l)->params), NULL, 0, &id, e);

	if (rc != 0 || (rc = note_due(c, due, e)) != 0)
		return rc;
	c->pending++;
	l->pending++;
	l->result->sent++;
	if (l->pending > LOAD_PENDING_MAX)
		return err_set(e, ERR_LIMIT, "%d runs wait for their answers: the rate is far more than this server can do",
		    LOAD_PENDING_MAX);
	return flush(c, e);
}

/* One arrival: on the next connection, or with a fault. */
static int
arrive(struct load *l, struct client *c, uint64_t due, struct err *e)
{
	const double *faults = l->plan->faults;
	double at = erand48(l->random);
	int rc;

	if (at < faults[LOAD_FAULT_disconnect]) {
		struct client *one;

		if ((rc = client_add(l, &one, e)) != 0)
			return rc;
		one->for_one = true;
		one->closes_at = monotonic_ns() + l->plan->fault_after_ns;
		return send_run(l, one, due, e);
	}
	if ((rc = send_run(l, c, due, e)) != 0)
		return rc;
	if (at < faults[LOAD_FAULT_disconnect] + faults[LOAD_FAULT_cancel])
		rc = plan_cancel(l, c, (json_int_t)c->count, monotonic_ns() + l->plan->fault_after_ns, e);
	return rc;
}

static bool
is_over(const struct load *l, uint64_t now)
{
	return l->result->sent >= l->plan->runs_max || now >= l->began + l->plan->duration_ns;
}

/* Sends what is due by now, at the plan's rate. */
static int
arrive_all(struct load *l, uint64_t now, struct err *e)
{
	const struct load_plan *p = l->plan;
	int rc = 0;

	for (int i = 0; rc == 0 && i < BURST && l->next_due <= now && !is_over(l, l->next_due); i++) {
		double gap = p->even ? 1 : -log(1 - erand48(l->random));
		size_t next = l->result->sent % p->clients;

		rc = arrive(l, l->clients[next], l->next_due, e);
		l->next_due += (uint64_t)(gap / p->rate * 1e9);
	}
	return rc;
}

/* Without a rate: every client that waits for nothing sends its next. */
static int
arrive_idle(struct load *l, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < l->plan->clients && !is_over(l, monotonic_ns()); i++)
		if (l->clients[i]->pending == 0)
			rc = arrive(l, l->clients[i], monotonic_ns(), e);
	return rc;
}

/* --- receiving -------------------------------------------------------------------------------------------------- */

static int
count_one(struct load_count **list, const char *name, struct err *e)
{
	struct load_count *c;

	for (; *list != NULL; list = &(*list)->next)
		if (strcmp((*list)->name, name) == 0) {
			(*list)->count++;
			return 0;
		}
	if ((c = calloc(1, sizeof(*c) + strlen(name) + 1)) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	strcpy(c->name, name);
	c->count = 1;
	*list = c;
	return 0;
}

static uint64_t
usage_of(const json_t *result, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(json_object_get(result, "usage"), name));
}

static int
note_result(struct load_result *r, const json_t *result, uint64_t latency, struct err *e)
{
	const char *status = json_string_value(json_object_get(result, "status"));
	const char *start = json_string_value(json_object_get(json_object_get(result, "usage"), "start"));
	int rc;

	if (status == NULL)
		return err_set(e, ERR_PROTOCOL, "the server answered a run without a status");
	histogram_add(&r->latency, latency);
	histogram_add(&r->queue_us, usage_of(result, "queue_us"));
	histogram_add(&r->start_us, usage_of(result, "start_us"));
	histogram_add(&r->cpu_us, usage_of(result, "user_us") + usage_of(result, "system_us"));
	rc = count_one(&r->statuses, status, e);
	return rc == 0 && start != NULL ? count_one(&r->starts, start, e) : rc;
}

/* One message from the server. */
static int
take_answer(struct load *l, struct client *c, const json_t *message, struct err *e)
{
	json_int_t id = json_integer_value(json_object_get(message, "id"));
	struct brig_error refused = {0};
	json_t *result;
	uint64_t due;
	int rc;

	if (id < 1 || (size_t)id > c->count || (due = c->due[id - 1]) == 0)
		return 0; /* a notification, or the answer to a cancel */
	c->due[id - 1] = 0;
	c->pending--;
	l->pending--;
	l->result->answered++;
	l->last_answer = monotonic_ns();
	rc = brig_answer(message, id, &result, &refused, e);
	if (rc == ERR_DENIED)
		return count_one(&l->result->errors, refused.name, e);
	return rc == 0 ? note_result(l->result, result, l->last_answer - due, e) : rc;
}

static int
receive(struct load *l, struct client *c, struct err *e)
{
	json_t *message;
	int rc;

	while ((rc = brig_receive(c->brig, &message, e)) == 0) {
		rc = take_answer(l, c, message, e);
		json_decref(message);
		if (rc != 0)
			return rc;
	}
	return rc == ERR_AGAIN ? 0 : rc;
}

/* --- the loop --------------------------------------------------------------------------------------------------- */

/* Cancels what is to be cancelled by now, and closes connections that are to be closed. */
static int
commit_faults(struct load *l, uint64_t now, struct err *e)
{
	while (l->cancel_first < l->cancel_count && l->cancels[l->cancel_first].at <= now) {
		const struct cancel *f = &l->cancels[l->cancel_first++];
		int rc;

		if (f->client->due[f->id - 1] == 0)
			continue;
		rc = brig_notify(f->client->brig, "run.cancel", json_pack("{s:I}", "request", f->id), e);
		if (rc == 0)
			rc = flush(f->client, e);
		if (rc != 0)
			return rc;
	}
	for (size_t i = l->count; i-- > l->plan->clients;) {
		struct client *c = l->clients[i];

		if (c->closes_at > now)
			continue;
		l->result->given_up += c->pending;
		client_free(l, c);
		l->clients[i] = l->clients[--l->count];
	}
	return 0;
}

/* When to look again at the latest. */
static uint64_t
wake_at(const struct load *l, uint64_t end)
{
	uint64_t at = end;

	if (l->plan->rate > 0 && !is_over(l, l->next_due) && l->next_due < at)
		at = l->next_due;
	if (l->cancel_first < l->cancel_count && l->cancels[l->cancel_first].at < at)
		at = l->cancels[l->cancel_first].at;
	for (size_t i = l->plan->clients; i < l->count; i++)
		if (l->clients[i]->closes_at < at)
			at = l->clients[i]->closes_at;
	return at;
}

/* Waits for answers, or until there is something to do, and takes them. */
static int
wait_for_answers(struct load *l, uint64_t until, struct err *e)
{
	uint64_t now = monotonic_ns(), left = until > now ? until - now : 0;
	struct timespec timeout = {(time_t)(left / NS_PER_SEC), (long)(left % NS_PER_SEC)};
	size_t count = l->count;
	int rc = 0;

	for (size_t i = 0; i < count; i++)
		l->polled[i] = (struct pollfd){.fd = brig_fd(l->clients[i]->brig), .events = brig_events(l->clients[i]->brig)};
	if (ppoll(l->polled, count, &timeout, NULL) < 0)
		return err_sys(e, ERR_IO, "waiting for answers");
	for (size_t i = 0; rc == 0 && i < count; i++) {
		if ((l->polled[i].revents & POLLOUT) != 0)
			rc = flush(l->clients[i], e);
		if (rc == 0 && (l->polled[i].revents & ~POLLOUT) != 0)
			rc = receive(l, l->clients[i], e);
	}
	return rc;
}

static void
tell(struct load *l, uint64_t now)
{
	if (l->plan->progress == NULL || now - l->last_progress < PROGRESS_NS)
		return;
	l->last_progress = now;
	l->plan->progress(l->plan->arg, l->result->sent, l->result->answered, now - l->began);
}

static int
serve(struct load *l, struct err *e)
{
	uint64_t end = l->began + l->plan->duration_ns, now;
	bool over = false;
	int rc = 0;

	while (rc == 0) {
		now = monotonic_ns();
		tell(l, now);
		if ((rc = commit_faults(l, now, e)) != 0)
			break;
		rc = l->plan->rate > 0 ? arrive_all(l, now, e) : arrive_idle(l, e);
		if (rc != 0)
			break;
		if (!over && is_over(l, l->plan->rate > 0 ? l->next_due : now)) {
			over = true;
			end = now + l->plan->patience_ns;
		}
		if (over && (l->pending == 0 || now >= end))
			break;
		rc = wait_for_answers(l, wake_at(l, end), e);
	}
	l->result->unanswered = l->pending;
	l->result->ns = (l->last_answer > l->began ? l->last_answer : monotonic_ns()) - l->began;
	return rc;
}

static int
begin(struct load *l, struct err *e)
{
	const struct load_plan *p = l->plan;
	int rc = 0;

	for (size_t i = 0; i < p->item_count; i++)
		l->weights += p->items[i].weight;
	if (p->item_count == 0 || p->clients == 0 || !(l->weights > 0) || p->rate < 0)
		return err_set(e, ERR_INVAL, "nothing to run, or nobody to run it");
	memcpy(l->random, &p->seed, sizeof(l->random));
	for (unsigned i = 0; rc == 0 && i < p->clients; i++) {
		struct client *c;

		rc = client_add(l, &c, e);
	}
	l->began = l->next_due = l->last_progress = monotonic_ns();
	return rc;
}

int
load_run(const struct load_plan *plan, struct load_result *result, struct err *e)
{
	struct load l = {.plan = plan, .result = result};
	int rc = begin(&l, e);

	if (rc == 0)
		rc = serve(&l, e);
	while (l.count > 0)
		client_free(&l, l.clients[--l.count]);
	free(l.clients);
	free(l.polled);
	free(l.cancels);
	return rc;
}

static void
free_counts(struct load_count *list)
{
	while (list != NULL) {
		struct load_count *next = list->next;

		free(list);
		list = next;
	}
}

void
load_result_clear(struct load_result *result)
{
	free_counts(result->statuses);
	free_counts(result->starts);
	free_counts(result->errors);
	*result = (struct load_result){0};
}
