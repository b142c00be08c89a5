/* broker/run_prepare: from a request to a run that may start: signature, policy, intent on record, artifact. brigd. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/monotonic.h"
#include "base/utf8.h"
#include "broker/denial.h"
#include "broker/run.h"

/* --- verifying and deciding --------------------------------------------------------------------------------------- */

/* Ends a run that could not be run at all. If its intent is on record, so must be its outcome. */
void
run_end_early(struct run *run, enum rpc_error error, const struct err *why)
{
	struct broker *b = run->runs->broker;

	run->failed = true;
	run->error = error;
	run->failure = *why;
	utf8_mend(run->failure.msg);
	if (run->intent_recorded) {
		run_record_outcome(run);
		return;
	}
	records_refused(b, run->peer, "run", error, run->failure.msg, &run->module);
	b->counts.refused++;
	run_finish(run);
}

const struct pack *
run_pack(const struct run *run)
{
	const struct pack *p = run->pack[0] != '\0' ? packs_find(run->runs->broker->packs, run->pack) : NULL;

	return p != NULL && digest_equal(&p->digest, &run->pack_digest) ? p : NULL;
}

/* The layers that narrow this run. Returns how many. */
static size_t
collect_layers(const struct run *run, struct policy_layer layers[RUN_LAYERS_MAX])
{
	const struct keyring_key *key = run->verdict.key, *second = run->verdict.second;
	const struct broker *b = run->runs->broker;
	const struct pack *pack = run_pack(run);
	size_t n = 0;

	layers[n++] = (struct policy_layer){POLICY_LAYER_CEILING, b->ceiling->policy};
	layers[n++] = (struct policy_layer){POLICY_LAYER_OWNER, grants_of(b->grants, run->peer.uid)};
	layers[n++] = (struct policy_layer){POLICY_LAYER_SIGNER, key != NULL ? key->grant : NULL};
	if (second != NULL && second->grant != NULL)
		layers[n++] = (struct policy_layer){POLICY_LAYER_SIGNER, second->grant};
	if (pack != NULL)
		layers[n++] = (struct policy_layer){POLICY_LAYER_PACK, pack->grant};
	if (run->source.key != NULL)
		layers[n++] = (struct policy_layer){POLICY_LAYER_SIGNER, run->source.key->grant};
	layers[n++] = (struct policy_layer){POLICY_LAYER_REQUEST, run->request.policy};
	return n;
}

/* Whether the keys that signed it may sign for this owner. */
static int
check_key_owner(const struct run *run, struct err *e)
{
	const struct keyring_key *keys[3] = {run->verdict.key, run->verdict.second, run->source.key};
	int rc = 0;

	for (int i = 0; i < 3 && rc == 0; i++)
		if (keys[i] != NULL)
			rc = keyring_key_check_owner(keys[i], run->peer.uid, e);
	return rc;
}

/* Ends the run with what policy withheld, in words and as data. */
static void
run_deny(struct run *run, int code, const struct policy_denial *denial, const struct err *why)
{
	bool is_source = denial->capability == POLICY_CAP_SOURCE;
	enum rpc_error error = code != ERR_SIGNATURE ? RPC_denied : is_source ? RPC_unsigned_source : RPC_unsigned_module;

	if (code != ERR_SIGNATURE && code != ERR_DENIED && code != ERR_LIMIT)
		error = RPC_internal_error;
	else
		run->result.rest = json_pack("{s:o}", "denial", denial_json(denial, NULL, 1));
	run_end_early(run, error, why);
}

bool
run_needs_root(const struct run *run)
{
	const struct policy *p = run->policy;

	for (size_t i = 0; i < p->fs_count; i++)
		if (p->fs[i].mount && strcmp(p->fs[i].path, "/") == 0)
			return false;
	return run->pack[0] != '\0';
}

size_t
run_mounts(const struct run *run)
{
	const struct policy *p = run->policy;
	size_t mounts = run_needs_root(run);

	for (size_t i = 0; i < p->fs_count; i++)
		mounts += p->fs[i].mount;
	return mounts;
}

/* Keeps copies of the layers: what is withheld at which path is known only when the guest asks, if it can name one. */
static int
keep_layers(struct run *run, const struct policy_layer *layers, size_t count, struct err *e)
{
	size_t wanted = run_mounts(run) > 0 ? count : 0;
	struct policy *copy;

	for (size_t i = 0; i < wanted; i++) {
		if (layers[i].policy == NULL)
			continue;
		if (policy_meet(layers[i].policy, layers[i].policy, &copy, e) != 0)
			return ERR_NOMEM;
		run->layers[run->layer_count++] = (struct policy_layer){layers[i].kind, copy};
	}
	return 0;
}

/* Whether the worker can be given all that policy grants. */
static int
check_mounts(const struct run *run, struct policy_denial *denial, struct err *e)
{
	size_t mounts = run_mounts(run);

	if (mounts <= PROTO_MOUNTS_MAX)
		return 0;
	*denial = (struct policy_denial){.capability = POLICY_CAP_FS_INLINE, .layer = POLICY_LAYER_REQUEST};
	snprintf(denial->message, sizeof(denial->message), "the policy has %zu mounts, and a run can have %d", mounts,
	    PROTO_MOUNTS_MAX);
	return err_set(e, ERR_LIMIT, "%s", denial->message);
}

/* Which layer withholds what the effective policy does not grant. */
static int
explain_one(const struct policy_layer *layers, size_t count, enum policy_capability capability, struct policy_denial **out,
    struct err *e)
{
	struct policy_denial *why = calloc(1, sizeof(*why));

	if (why == NULL)
		return err_set(e, ERR_NOMEM, "why something is not granted");
	if (policy_explain(layers, count, capability, NULL, why, NULL) == 0)
		*out = why;
	else
		free(why);
	return 0;
}

/* Why clocks or randomness are withheld, to be told if the guest asks for them. */
static int
explain_later(struct run *run, const struct policy_layer *layers, size_t count, struct err *e)
{
	const struct policy *p = run->policy;
	int rc = 0;

	if (p->clock == POLICY_CLOCK_NONE)
		rc = explain_one(layers, count, POLICY_CAP_CLOCK, &run->no_clock, e);
	if (rc == 0 && p->random == POLICY_RANDOM_NONE)
		rc = explain_one(layers, count, POLICY_CAP_RANDOM, &run->no_random, e);
	return rc;
}

#define FEW_NAMES 32 /* in a policy: with more, comparing takes longer than writing */

/* The digest of a policy is that of its text, which takes a while to write: most runs have the policy of the last. */
static int
digest_policy(struct run *run, struct err *e)
{
	struct runs *r = run->runs;
	bool small = run->policy->env.count + run->policy->tools.count + run->policy->fs_count <= FEW_NAMES;
	struct policy *copy;
	int rc;

	if (small && r->policy != NULL && policy_equal(r->policy, run->policy)) {
		run->policy_digest = r->policy_digest;
		return 0;
	}
	rc = policy_digest(run->policy, &run->policy_digest, e);
	if (rc != 0 || !small)
		return rc;
	if ((rc = policy_meet(run->policy, run->policy, &copy, e)) != 0)
		return rc;
	policy_free(r->policy);
	r->policy = copy;
	r->policy_digest = run->policy_digest;
	return 0;
}

/* Decides what the run gets. Returns 0, or -1 when the run has ended. */
static int
run_decide(struct run *run)
{
	struct policy_layer layers[RUN_LAYERS_MAX];
	struct policy_denial denial = {0};
	struct err e = {0};
	size_t count;
	int rc;

	if (check_key_owner(run, &e) != 0) {
		run_end_early(run, RPC_unknown_key, &e);
		return -1;
	}
	run->request.ask.learn = run->request.policy != NULL && run->request.policy->mode == POLICY_MODE_LEARN;
	if (run->request.ask.learn && policy_learn(run->request.policy, &e) != 0) {
		run_end_early(run, RPC_internal_error, &e);
		return -1;
	}
	count = collect_layers(run, layers);
	run->request.ask.module_signed = run->verdict.kind != SIGNATURE_NONE;
	run->request.ask.source_unsigned = run->pack[0] != '\0' && run->source.kind == SIGNATURE_NONE;
	if ((rc = policy_check_run(layers, count, &run->request.ask, &denial, &e)) != 0 ||
	    (rc = policy_effective(layers, count, &run->policy, &e)) != 0 ||
	    (rc = check_mounts(run, &denial, &e)) != 0 || (rc = keep_layers(run, layers, count, &e)) != 0 ||
	    (rc = explain_later(run, layers, count, &e)) != 0 ||
	    (rc = digest_policy(run, &e)) != 0) {
		run_deny(run, rc, &denial, &e);
		return -1;
	}
	return 0;
}

struct run_identity
run_identity_of(const struct run *run)
{
	return (struct run_identity){
	    .received_ms = run->received_ms,
	    .peer = &run->peer,
	    .run_id = run->id,
	    .module = &run->module,
	    .verdict = &run->verdict,
	    .policy = run->policy,
	    .policy_digest = &run->policy_digest,
	    .input = &run->request.input,
	    .pack = run->pack,
	    .pack_digest = &run->pack_digest,
	    .source = &run->source,
	};
}

/* --- preparing: the intent on record, the artifact at hand -------------------------------------------------------- */

static void
intent_answered(void *arg, struct imsg *m, const struct err *why)
{
	struct run *run = arg;
	struct broker *b = run->runs->broker;
	struct err e = {0};

	if (m != NULL && m->hdr.type == PROTO_LOG_DONE) {
		run->intent_recorded = true;
		b->log_failed = false;
		run_advance(run);
		return;
	}
	if (m != NULL)
		err_set(&e, ERR_IO, "%.*s", (int)m->hdr.length, (const char *)m->payload);
	else
		e = *why;
	if (!b->log_failed)
		broker_log_reason("audit-unavailable", e.msg);
	b->log_failed = true;
	if (run->artifact_wait != NULL)
		artifact_cancel(run->artifact_wait);
	run->artifact_wait = NULL;
	run_end_early(run, RPC_audit_unavailable, &e);
}

static void
artifact_found(void *arg, const struct artifact *a, enum rpc_error error, const struct err *why)
{
	struct run *run = arg;

	run->artifact_wait = NULL;
	if (a != NULL) {
		run->start = a->compiled ? RUN_START_COLD : RUN_START_CACHED;
		run->compiled |= a->compiled;
		run->compile_us += a->compile_us;
		run->artifact_bytes = a->size;
		run->artifact = artifact_hold(a->file);
		if (a->file->proven) /* it will not have to be compiled again */
			run_drop_module(run);
	} else {
		run->failure = *why;
		run->error = error;
	}
	run->failed = run->failure.code != 0;
	if (run->state == PREPARING)
		run_advance(run);
}

void
run_enqueue(struct run *run)
{
	struct runs *r = run->runs;

	run->state = QUEUED;
	fair_add(&r->queue, &run->place, &run->share->fair, run->request.priority, run, monotonic_us());
	(void)run_watch_deadline(run); /* out of memory: it is looked at when its turn comes */
	runs_schedule(r);
}

/* Goes on when the intent is on record and the artifact is there, or one of them cannot be had. */
void
run_advance(struct run *run)
{
	struct runs *r = run->runs;

	switch (run->state) {
	case VERIFYING:
		if (run->cancelled) {
			struct err why = {0};

			err_set(&why, ERR_EOF, "%s", run->cancel_reason);
			modules_cancel(run->module_wait);
			run->module_wait = NULL;
			run_end_early(run, run->abandoned ? RPC_shutting_down : RPC_cancelled, &why);
		}
		return;
	case PREPARING:
		if ((run->cancelled || run->expired) && run->artifact_wait != NULL) {
			artifact_cancel(run->artifact_wait);
			run->artifact_wait = NULL;
		}
		if ((run->cancelled || run->expired) && run->module_wait != NULL) {
			modules_cancel(run->module_wait);
			run->module_wait = NULL;
		}
		if (!run->intent_recorded || run->artifact_wait != NULL || run->module_wait != NULL)
			return;
		if (run->failed || run->cancelled || run->expired) {
			run_record_outcome(run);
			return;
		}
		run->t_queued = monotonic_us();
		run_enqueue(run);
		return;
	case QUEUED:
		if (run->cancelled || run->expired) {
			fair_remove(&r->queue, &run->place, monotonic_us());
			run_record_outcome(run);
		}
		return;
	case RUNNING:
		if (run->cancelled)
			run_kill(run);
		return;
	case RECORDING:
	case ENDED:
		return;
	}
}

/* The engine that it needs: the one that counts fuel only if fuel is limited. */
uint32_t
run_engine_of(const struct run *run)
{
	return run->policy->limits[POLICY_LIMIT_fuel] != POLICY_UNSET ? PROTO_ENGINE_FUEL : PROTO_ENGINE_PLAIN;
}

void
run_get_artifact(struct run *run, int module, size_t size)
{
	const struct artifact_asker asker = {.owner = run->peer.uid};

	artifact_get(run->runs->broker->artifacts, &asker, &run->module, run_engine_of(run), module, size, artifact_found, run,
	    &run->artifact_wait);
}

/* The module's bytes once more, to be compiled again. */
void
run_module_got(void *arg, const struct module *m, enum rpc_error error, const struct err *why)
{
	struct run *run = arg;

	run->module_wait = NULL;
	if (m != NULL) {
		run_get_artifact(run, m->fd, m->size);
		return;
	}
	run->failed = true;
	run->error = error;
	run->failure = *why;
	if (run->module_dropped) { /* it came with the request, and nobody promised to keep it */
		run->error = RPC_internal_error;
		err_set(&run->failure, ERR_IO, "its compiled code does not fit this machine, and was removed: run it again to have "
		    "it compiled anew");
	}
	run_advance(run);
}

void
run_get_module(struct run *run)
{
	struct broker *b = run->runs->broker;

	modules_get(b->modules, run->peer.uid, &run->module, &b->keyring, run_module_got, run, &run->module_wait);
}

/* Puts the intent on record and looks for the artifact, at the same time. `module` is borrowed; -1 when it is not at hand. */
static void
run_prepare(struct run *run, int module, size_t size)
{
	struct runs *r = run->runs;
	struct run_identity id;
	struct err e = {0};

	run->state = PREPARING;
	id = run_identity_of(run);
	if (records_intent(r->broker, &id, intent_answered, run, &e) != 0) {
		run_end_early(run, RPC_audit_unavailable, &e);
		return;
	}
	if (module < 0 && artifact_needs_module(r->broker->artifacts, &run->module, run_engine_of(run)))
		run_get_module(run);
	else
		run_get_artifact(run, module, size);
}

static void
module_found(void *arg, const struct module *m, enum rpc_error error, const struct err *why)
{
	struct run *run = arg;

	run->module_wait = NULL;
	if (m == NULL) {
		run_end_early(run, error, why);
		return;
	}
	run->verdict = m->verdict;
	if (run_decide(run) == 0)
		run_prepare(run, m->fd, m->size);
}

/* What a run through a language pack runs: the pack's module, and the source in the request. Sets *error when it fails. */
static int
verify_source(struct run *run, const struct pack *pack, enum rpc_error *error, struct err *e)
{
	const struct module_source *m = &run->request.module;
	struct broker *b = run->runs->broker;
	int64_t now = time(NULL);
	int rc;

	if (pack == NULL) {
		*error = RPC_pack_not_found;
		return err_set(e, ERR_NOTFOUND, "there is no language pack \"%.*s\"", PACK_NAME_MAX, m->pack);
	}
	run->module = pack->module;
	run->pack_digest = pack->digest;
	memcpy(run->pack, pack->name, sizeof(run->pack));
	if (keyring_module_revoked(b->keyring, &m->facts->module)) {
		*error = RPC_revoked;
		return err_set(e, ERR_REVOKED, "this source is revoked");
	}
	if ((rc = packs_judge(pack, b->keyring, now, &run->verdict, e)) != 0 ||
	    (rc = signature_judge(m->facts, m->signature, m->signature_length, b->keyring, now, &run->source, e)) != 0) {
		*error = rc == ERR_DENIED ? RPC_unknown_key : modules_error(rc);
		return rc;
	}
	*error = RPC_internal_error;
	return run_request_for_pack(&run->request, pack, e);
}

static void
run_verify_source(struct run *run)
{
	const struct pack *pack = packs_find(run->runs->broker->packs, run->request.module.pack);
	enum rpc_error error;
	struct err e = {0};

	if (verify_source(run, pack, &error, &e) != 0)
		run_end_early(run, error, &e);
	else if (run_decide(run) == 0)
		run_prepare(run, pack->fd, pack->size);
}

void
run_verify(struct run *run)
{
	const struct module_source *m = &run->request.module;
	struct broker *b = run->runs->broker;
	struct err e = {0};
	int rc;

	if (m->pack != NULL) {
		run_verify_source(run);
		return;
	}
	if (m->fd < 0) {
		run->module = m->digest;
		modules_judge(b->modules, run->peer.uid, &run->module, &b->keyring, module_found, run, &run->module_wait);
		return;
	}
	run->module = m->facts->module; /* one that is refused is named on record too */
	rc = signature_judge(m->facts, m->signature, m->signature_length, b->keyring, time(NULL), &run->verdict, &e);
	if (rc != 0)
		run_end_early(run, modules_error(rc), &e);
	else if (run_decide(run) == 0)
		run_prepare(run, m->fd, m->size);
}
