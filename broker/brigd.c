/* brigd: the broker: takes requests from clients, decides, and has jailed processes do the work. */

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/monotonic.h"
#include "base/proto.h"
#include "base/quote.h"
#include "base/version.h"
#include "broker/broker.h"
#include "broker/methods.h"
#include "broker/module_compile.h"
#include "broker/prepare.h"
#include "broker/records.h"
#include "broker/rules.h"
#include "broker/services.h"

#define FAILED_MS   2000         /* how long clients may take to read that their runs failed because brigd stops */
#define LARGE_BYTES (256 * 1024) /* allocations from here on go back to the kernel when they are freed */
#define OPEN_MODULES 256         /* that are kept open at most */
#define ARTIFACTS_OPEN_MAX 65536 /* the same, however many descriptors there may be */

/* brigd as a whole; there is one. */
struct brigd {
	struct broker broker;
	struct config *config;      /* the broker's */
	int argc;                   /* the command line, to be read again */
	char **argv;
	struct services services;
	struct conn_owner conn_owner;
	struct offload *offload;
	struct closer *closer;
	struct evconnlistener *listener;
	struct event *signals[3];
	struct event *housekeeping; /* every second */
	struct event *drain;
	bool store_ready, logger_ready, pool_ready, serving;
	int64_t idle_since_ms;      /* monotonic */
	int64_t drain_until_ms;     /* monotonic; once draining */
	bool lost_service;          /* something that it needs is gone: it fails what it has, and stops */
	int status;                 /* of the process */
};

static void
stop(struct brigd *d, int status)
{
	d->status = d->lost_service ? 1 : status;
	event_base_loopbreak(d->broker.base);
}

/* --- ready, lost ------------------------------------------------------------------------------------------------ */

static void
start_recorded(void *arg, struct imsg *m, const struct err *why)
{
	struct brigd *d = arg;
	const struct config *c = d->broker.config;
	char socket[QUOTE_SIZE];

	if (d->broker.draining || d->lost_service) /* it has to stop before it could begin */
		return;
	if (m == NULL || m->hdr.type != PROTO_LOG_DONE) {
		struct err e;

		err_set(&e, ERR_IO, "the audit log cannot be written: %.*s", m != NULL ? (int)m->hdr.length : (int)strlen(why->msg),
		    m != NULL ? (const char *)m->payload : why->msg);
		broker_log_reason("cannot-start", e.msg);
		stop(d, 1);
		return;
	}
	d->serving = true;
	d->idle_since_ms = monotonic_ms();
	evconnlistener_enable(d->listener);
	broker_log("serving socket=%s version=%s uid=%u keys=%zu", quote(c->socket, strlen(c->socket), socket, sizeof(socket)),
	    BRIG_VERSION, (unsigned)getuid(), keyring_count(d->broker.keyring));
	if (c->keyring == NULL)
		broker_log_reason("no-keyring", "no key counts, so every signed module is refused: --keyring and --root-key name "
		    "those that do");
	if (c->ready_fd >= 0) {
		if (write((int)c->ready_fd, "\n", 1) != 1)
			broker_log("ready-fd-failed fd=%d", (int)c->ready_fd);
		close((int)c->ready_fd);
	}
	packs_ahead_begin(d->broker.packs_ahead);
}

/* Serves when everything that a run needs is there. */
static void
serve_if_ready(struct brigd *d)
{
	struct err e = {0};

	if (!d->store_ready || !d->logger_ready || !d->pool_ready || d->serving)
		return;
	if (records_service(&d->broker, "start", BRIG_VERSION, start_recorded, d, &e) != 0) {
		broker_log_reason("cannot-start", e.msg);
		stop(d, 1);
	}
}

static void
on_store_ready(void *arg)
{
	struct brigd *d = arg;

	d->store_ready = true;
	serve_if_ready(d);
}

static void
on_logger_ready(void *arg)
{
	struct brigd *d = arg;

	d->logger_ready = true;
	serve_if_ready(d);
}

static void
on_pool_ready(void *arg, const struct err *why)
{
	struct brigd *d = arg;

	if (why != NULL) {
		broker_log_reason("cannot-start", why->msg);
		stop(d, 1);
		return;
	}
	d->pool_ready = true;
	serve_if_ready(d);
}

/* Takes no more work, and stops when what it has is done, or after that time. */
static void
drain(struct brigd *d, int64_t limit_ms)
{
	struct timeval soon = {.tv_usec = 10000};

	d->broker.draining = true;
	d->drain_until_ms = monotonic_ms() + limit_ms;
	if (d->listener != NULL)
		evconnlistener_free(d->listener); /* who comes now is told at once that nobody listens */
	d->listener = NULL;
	event_add(d->drain, &soon);
}

/* Ends what is under way as failed, and then stops, whether clients have read that or not. */
static void
fail_runs(struct brigd *d, const char *reason)
{
	d->broker.stopping = true;
	drain(d, FAILED_MS);
	runs_abandon(d->broker.runs, reason);
}

/*
 * Without the launcher, the store or the logger there is no safe way to go on. What is under way fails, is put on
 * record if that can be, and its clients are told.
 */
static void
lost(struct brigd *d, const char *name, const struct err *why)
{
	char event[64], reason[500];

	snprintf(event, sizeof(event), "lost service=%s active=%zu", name, runs_active(d->broker.runs));
	broker_log_reason(event, why->msg);
	d->lost_service = true;
	if (!d->serving) {
		stop(d, 1);
		return;
	}
	snprintf(reason, sizeof(reason), "brigd lost its %s and stops: %.400s", name, why->msg);
	fail_runs(d, reason);
}

static void
on_store_lost(void *arg, const struct err *why)
{
	lost(arg, "store", why);
}

static void
on_logger_lost(void *arg, const struct err *why)
{
	lost(arg, "logger", why);
}

static void
on_launcher_lost(void *arg, const struct err *why)
{
	lost(arg, "launcher", why);
}

/* --- clients ---------------------------------------------------------------------------------------------------- */

static void
say_full(int sock)
{
	struct rpc_failure f = {0};

	rpc_fail(&f, RPC_overloaded, "too many connections");
	f.data = json_pack("{s:i}", "retry_after_ms", 1000);
	conn_refuse(sock, &f);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t sock, struct sockaddr *address, int length, void *arg)
{
	struct brigd *d = arg;
	struct conn *c;
	struct err e = {0};

	(void)listener;
	(void)address;
	(void)length;
	if (d->broker.connections >= (unsigned)d->broker.config->connections_max) {
		say_full(sock);
		close(sock);
		return;
	}
	if ((c = conn_new(&d->conn_owner, sock, &e)) == NULL) {
		broker_log_reason("client-refused", e.msg);
		return;
	}
	d->broker.connections++;
	d->broker.counts.connections++;
	if (conn_siblings(c) > (unsigned)d->broker.config->connections_per_owner) {
		say_full(sock);
		conn_close(c);
	}
}

/* No descriptors left, most likely: stop accepting for a moment, so that those who are here can finish. */
static void
on_accept_error(struct evconnlistener *listener, void *arg)
{
	(void)arg;
	broker_log_reason("accept-failed", strerror(errno));
	evconnlistener_disable(listener); /* housekeeping enables it again */
}

static void
on_conn_closed(void *arg, struct conn *c)
{
	struct broker *b = arg;

	(void)c;
	b->connections--;
}

/* --- signals and time ------------------------------------------------------------------------------------------- */

static void
stop_recorded(void *arg, struct imsg *m, const struct err *why)
{
	(void)m;
	(void)why;
	stop(arg, 0);
}

/* Stops when the last run has ended and everyone has read their answers, or at once when that takes too long. */
static void
on_drain(evutil_socket_t fd, short what, void *arg)
{
	struct brigd *d = arg;

	(void)fd;
	(void)what;
	if ((runs_active(d->broker.runs) > 0 || conn_unfinished(&d->conn_owner) > 0) && monotonic_ms() < d->drain_until_ms)
		return;
	if (runs_active(d->broker.runs) > 0 && !d->broker.stopping) {
		fail_runs(d, "brigd was asked to stop, and the run did not end within drain_s");
		return;
	}
	event_del(d->drain);
	if (!d->serving || records_service(&d->broker, "stop", "", stop_recorded, d, NULL) != 0)
		stop(d, 0);
}

static void
begin_drain(struct brigd *d, const char *reason)
{
	if (d->broker.draining) {
		stop(d, 0); /* asked twice */
		return;
	}
	broker_log("stopping reason=%s active=%zu", reason, runs_active(d->broker.runs));
	drain(d, d->broker.config->drain_s * 1000);
}

/* Reads again all that is read again: either all of it comes into force, or nothing. */
static int
reload_all(struct brigd *d, struct err *e)
{
	struct config fresh;
	int rc = config_reload(d->argc, d->argv, d->config, &fresh, e);

	if (rc != 0)
		return rc;
	if ((rc = rules_load(&d->broker, e)) == 0) {
		config_take(d->config, &fresh);
		pool_renew(d->broker.pool, NULL);
		runs_reload(d->broker.runs);
		rc = rules_save(&d->broker, e);
	}
	config_clear(&fresh);
	return rc;
}

static void
reload(struct brigd *d)
{
	struct err e = {0};

	d->broker.counts.reloads++;
	d->broker.reload_failed = reload_all(d, &e) != 0;
	if (d->broker.reload_failed) {
		rules_explain(&d->broker, &e);
		broker_log_reason("reload-failed", e.msg);
		return;
	}
	ahead_recheck(d->broker.ahead);
	packs_ahead_begin(d->broker.packs_ahead);
	broker_log("reloaded keyring_version=%llu keys=%zu", (unsigned long long)keyring_version(d->broker.keyring),
	    keyring_count(d->broker.keyring));
	records_service(&d->broker, "reload", "", NULL, NULL, NULL);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct brigd *d = arg;

	(void)what;
	if (sig == SIGHUP)
		reload(d);
	else
		begin_drain(d, sig == SIGTERM ? "SIGTERM" : "SIGINT");
}

/* What was parked has made room. */
static void
on_room(void *arg)
{
	struct broker *b = arg;

	runs_reload(b->runs);
}

/* Looks whether the machine is short of something, and starts no more than one run and one compiler at a time while it is. */
static void
mind_pressure(struct broker *b)
{
	const double thresholds[PRESSURE_COUNT] = {
#define X(name) (double)b->config->pressure_##name##_percent,
	    PRESSURES(X)
#undef X
	};
	bool was = b->under_pressure;

	pressure_look(b->pressure);
	b->under_pressure = pressure_is_high(b->pressure, thresholds);
	if (was != b->under_pressure) {
		artifacts_hold_back(b->artifacts, b->under_pressure);
		broker_log("pressure %s cpu=%.2f memory=%.2f queued=%u", was ? "is-over" : "holds-runs-back",
		    pressure_percent(b->pressure, PRESSURE_cpu), pressure_percent(b->pressure, PRESSURE_memory), runs_queued(b->runs));
	}
	if (was && !b->under_pressure)
		runs_reload(b->runs);
}

/* Says once which of the thresholds cannot be minded here. */
static void
warn_of_pressure(const struct broker *b)
{
	const struct {
		const char *name, *path;
		int64_t percent;
	} list[PRESSURE_COUNT] = {
#define X(name) {#name, b->config->pressure_##name, b->config->pressure_##name##_percent},
	    PRESSURES(X)
#undef X
	};
	char path[QUOTE_SIZE];

	for (int i = 0; i < PRESSURE_COUNT; i++)
		if (list[i].percent > 0 && pressure_percent(b->pressure, (enum pressure_kind)i) < 0)
			broker_log("pressure-unknown of=%s file=%s", list[i].name,
			    quote(list[i].path, strlen(list[i].path), path, sizeof(path)));
}

static int
open_pressure(struct broker *b, struct err *e)
{
	const char *const paths[PRESSURE_COUNT] = {
#define X(name) b->config->pressure_##name,
	    PRESSURES(X)
#undef X
	};

	if ((b->pressure = pressure_open(paths)) == NULL)
		return err_set(e, ERR_NOMEM, "the broker's parts");
	warn_of_pressure(b);
	return 0;
}

static void
on_second(evutil_socket_t fd, short what, void *arg)
{
	struct brigd *d = arg;
	const struct config *c = d->broker.config;

	(void)fd;
	(void)what;
	if (d->serving && !d->broker.draining)
		evconnlistener_enable(d->listener);
	runs_tell_progress(d->broker.runs);
	module_compile_tell(&d->broker);
	if (d->broker.connections > 0 || runs_active(d->broker.runs) > 0)
		d->idle_since_ms = monotonic_ms();
	if (c->idle_exit > 0 && d->serving && !d->broker.draining && monotonic_ms() - d->idle_since_ms >= c->idle_exit * 1000)
		begin_drain(d, "idle");
	mind_pressure(&d->broker);
	if (runs_active(d->broker.runs) == 0)
		malloc_trim(0); /* a burst of work is over: its memory goes back to the kernel */
}

static int
watch_signals(struct brigd *d, struct err *e)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	struct timeval second = {.tv_sec = 1};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		d->signals[i] = evsignal_new(d->broker.base, numbers[i], on_signal, d);
		if (d->signals[i] == NULL || event_add(d->signals[i], NULL) != 0)
			return err_set(e, ERR_NOMEM, "an event");
	}
	d->housekeeping = event_new(d->broker.base, -1, EV_PERSIST, on_second, d);
	d->drain = event_new(d->broker.base, -1, EV_PERSIST, on_drain, d);
	if (d->housekeeping == NULL || d->drain == NULL || event_add(d->housekeeping, &second) != 0)
		return err_set(e, ERR_NOMEM, "an event");
	return 0;
}

/* --- putting it together ---------------------------------------------------------------------------------------- */

static unsigned
weight_of(void *arg, uid_t owner)
{
	const struct broker *b = arg;
	unsigned weight = (unsigned)shares_of(b->shares, b->config, owner).weight;

	/* Language packs are for all: each counts as a user that has no weight of their own. */
	return owner == POOL_EVERYONE && packs_count(b->packs) > 1 ? weight * (unsigned)packs_count(b->packs) : weight;
}

/* How many this process may use. */
static unsigned
processors(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (unsigned)n : 1;
}

/* How many artifacts may be kept open: half of all descriptors, without those of modules. */
static size_t
artifact_entries(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 2 < 2 * OPEN_MODULES)
		return OPEN_MODULES;
	return limit.rlim_cur / 2 < ARTIFACTS_OPEN_MAX ? (size_t)limit.rlim_cur / 2 - OPEN_MODULES : ARTIFACTS_OPEN_MAX;
}

static struct artifacts_limits
artifacts_limits(const struct config *c)
{
	return (struct artifacts_limits){
	    .cache_bytes = (size_t)c->artifact_cache_bytes,
	    .cache_entries = artifact_entries(),
	    .compilers = (unsigned)c->compilers,
	    .compile_ms = (uint64_t)c->compile_ms,
	    .compile_memory_bytes = (uint64_t)c->compile_memory_bytes,
	    .artifact_bytes = (size_t)c->module_bytes * 16,
	    .failures = 1024,
	};
}

static struct pool_limits
pool_limits(struct broker *b)
{
	const struct config *c = b->config;
	struct pool_limits pl = {
	    .runs_max = (uint64_t)c->zygote_runs,
	    .minutes_max = (uint64_t)c->zygote_minutes,
	    .ready_ms = (unsigned)c->zygote_ms,
	    .templates_max = (unsigned)c->templates_max,
	    .templates_bytes = (uint64_t)c->templates_bytes,
	    .parked_max = (unsigned)c->parked_max,
	    .parked_total = (unsigned)c->parked_total,
	    .processors = processors(),
	    .short_ms = 50,
	    .spare_bytes = (uint64_t)c->parked_spare_bytes,
	    .weight = weight_of,
	    .weight_arg = b,
	};

#define X(name, bit, required, text) pl.layers |= (required) ? PROTO_LAYER_##name : 0;
	PROTO_LAYERS(X)
#undef X
	if (strcmp(c->profile, "container") == 0) /* the operator's choice: what containers do not have is not asked for */
		pl.layers &= ~(uint32_t)(PROTO_LAYER_user_ns | PROTO_LAYER_mount_ns | PROTO_LAYER_pid_ns |
		    PROTO_LAYER_net_ns | PROTO_LAYER_ipc_ns);
	return pl;
}

/* Connects the parts. Each takes its socket, whether that works or not. */
static int
connect_parts(struct brigd *d, struct err *e)
{
	const struct config *c = d->broker.config;
	struct broker *b = &d->broker;
	unsigned patience_s = (unsigned)c->service_s;
	struct artifacts_limits al = artifacts_limits(c);
	struct pool_limits pl = pool_limits(b);

	b->launcher = child_launcher_new(b->base, d->services.launcher, patience_s, on_launcher_lost, d);
	b->store = service_client_new(b->base, d->services.store, "store", patience_s, on_store_ready, on_store_lost, d);
	b->logger = service_client_new(b->base, d->services.logger, "logger", patience_s, on_logger_ready, on_logger_lost, d);
	d->services.launcher = d->services.store = d->services.logger = -1;
	b->runs = runs_new(b);
	b->metrics = metrics_new();
	if (b->launcher == NULL || b->store == NULL || b->logger == NULL || b->runs == NULL || b->metrics == NULL)
		return err_set(e, ERR_NOMEM, "the broker's parts");
	b->artifacts = artifacts_new(b->base, b->store, b->launcher, &al);
	if ((d->offload = offload_new(b->base, e)) == NULL || (d->closer = closer_new(e)) == NULL)
		return e->code;
	b->modules = modules_new(b->store, d->offload, (size_t)c->module_cache_bytes, OPEN_MODULES, (size_t)c->module_bytes);
	if (b->artifacts == NULL || b->modules == NULL)
		return err_set(e, ERR_NOMEM, "the broker's parts");
	b->ahead = ahead_new(b->base, b->modules, b->artifacts, &b->keyring);
	b->pool = pool_new(b->base, b->launcher, &pl, on_pool_ready, d);
	b->packs_ahead = packs_ahead_new(b);
	if (b->ahead == NULL || b->packs_ahead == NULL || b->pool == NULL)
		return err_set(e, ERR_NOMEM, "the broker's parts");
	pool_on_room(b->pool, on_room, b);
	d->conn_owner = (struct conn_owner){
	    .base = b->base,
	    .request_bytes = (size_t)c->request_bytes,
	    .offload = d->offload,
	    .closer = d->closer,
	    .methods = {prepare_request, prepare_discard, c, (unsigned)c->request_depth},
	    .backlog_bytes = (size_t)c->backlog_bytes,
	    .input_bytes = (size_t)c->input_bytes,
	    .stall_s = (unsigned)c->stall_s,
	    .request = methods_dispatch,
	    .closed = on_conn_closed,
	    .arg = b,
	};
	d->listener = evconnlistener_new(b->base, on_accept, d, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
	    LEV_OPT_DISABLED, 0, d->services.listener);
	if (d->listener == NULL)
		return err_set(e, ERR_NOMEM, "a listener");
	d->services.listener = -1;
	evconnlistener_set_error_cb(d->listener, on_accept_error);
	return 0;
}

/* Frees in the order in which the parts refer to each other: who is told of endings goes last. */
static void
disconnect_parts(struct brigd *d)
{
	struct broker *b = &d->broker;

	b->draining = b->stopping = true;
	if (d->listener != NULL)
		evconnlistener_free(d->listener);
	for (size_t i = 0; i < sizeof(d->signals) / sizeof(d->signals[0]); i++)
		if (d->signals[i] != NULL)
			event_free(d->signals[i]);
	if (d->housekeeping != NULL)
		event_free(d->housekeeping);
	if (d->drain != NULL)
		event_free(d->drain);
	conn_close_all(&d->conn_owner);
	packs_ahead_free(b->packs_ahead);
	ahead_free(b->ahead);
	offload_free(d->offload);
	child_launcher_free(b->launcher);
	service_client_free(b->store);
	service_client_free(b->logger);
	runs_free(b->runs);
	metrics_free(b->metrics);
	pressure_close(b->pressure);
	closer_free(d->closer);
	artifacts_free(b->artifacts);
	modules_free(b->modules);
	pool_free(b->pool);
	rules_clear(b);
	if (b->base != NULL)
		event_base_free(b->base);
}

/* Leaves the terminal. The parent stays until the child serves or has failed, so that its exit status tells. */
static int
become_daemon(struct config *c, struct err *e)
{
	char log[4096], byte;
	int ready[2], fd;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) != 0)
		return err_sys(e, ERR_IO, "pipe");
	pid = fork();
	if (pid < 0)
		return err_sys(e, ERR_IO, "fork");
	if (pid > 0) {
		close(ready[1]);
		_exit(read(ready[0], &byte, 1) == 1 ? 0 : 1);
	}
	close(ready[0]);
	setsid();
	snprintf(log, sizeof(log), "%s/brigd.log", c->state);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, ERR_IO, "%s", log);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	dup2(fd, STDIN_FILENO);
	close(fd);
	if (c->ready_fd < 0)
		c->ready_fd = ready[1];
	else
		close(ready[1]); /* whoever gave a descriptor waits there, not for us */
	return 0;
}

/* Clients, waiting runs and artifacts take descriptors: as many as the operator allows, not as many as are usual. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Says at once, not at the first SIGHUP, that what root could read is out of reach for who brigd is from now on. */
static void
warn_of_reload(const struct brigd *d)
{
	struct broker again = {.config = d->config};
	struct config fresh = {0};
	struct err e = {0};

	if (config_reload(d->argc, d->argv, d->config, &fresh, &e) != 0 || rules_load(&again, &e) != 0) {
		rules_explain(&again, &e);
		broker_log_reason("reload-cannot-work", e.msg);
	}
	rules_clear(&again);
	config_clear(&fresh);
}

static int
serve(struct config *c, int argc, char **argv)
{
	struct brigd d = {.broker = {.config = c, .started_ms = monotonic_ms(), .operator = geteuid()}, .config = c,
	    .argc = argc, .argv = argv};
	struct err e = {0};
	int rc = services_prepare(c, &d.services, &e);

	if (rc == 0 && c->daemon)
		rc = become_daemon(c, &e);
	if (rc == 0)
		rc = rules_load(&d.broker, &e);
	if (rc == 0)
		rc = services_start(c, &d.services, &e);
	if (rc == 0)
		rc = services_listen(c, &d.services, &e);
	if (rc == 0)
		rc = services_drop(c, &d.services, &e);
	if (rc == 0)
		rc = rules_save(&d.broker, &e); /* as who it will be when it reads and writes it again */
	if (rc == 0 && d.services.as_root)
		warn_of_reload(&d);
	if (d.services.replaced_socket)
		broker_log("found what=\"the socket of a brigd that did not end by itself, replaced\"");
	raise_descriptor_limit();
	if (rc == 0 && (d.broker.base = event_base_new()) == NULL)
		rc = err_set(&e, ERR_NOMEM, "the event loop");
	if (rc == 0)
		rc = watch_signals(&d, &e);
	if (rc == 0)
		rc = open_pressure(&d.broker, &e);
	if (rc == 0)
		rc = connect_parts(&d, &e);
	if (rc == 0)
		event_base_dispatch(d.broker.base);
	else
		broker_log_reason("cannot-start", e.msg);
	disconnect_parts(&d);
	services_stop(c, &d.services);
	if (rc == 0)
		broker_log("stopped status=%d", d.status);
	return rc == 0 ? d.status : 1;
}

int
main(int argc, char **argv)
{
	enum config_action action;
	struct config c;
	struct err e = {0};
	int status = 0;

	signal(SIGPIPE, SIG_IGN);
	umask(077);
	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	mallopt(M_ARENA_MAX, 1); /* the thread's memory is found again like the loop's */
	json_object_seed(0);     /* before there are two who would */
	if (io_fill_standard(&e) != 0) /* the log goes to standard error, and must not go into what has its number */
		return 1;
	if (sodium_init() < 0) {
		fprintf(stderr, "brigd: the cryptography library does not work here\n");
		return 1;
	}
	if (config_load(argc, argv, &c, &action, &e) != 0) {
		fprintf(stderr, "brigd: %s\n", e.msg);
		return 2;
	}
	if (action == CONFIG_HELP)
		config_usage();
	else if (action == CONFIG_VERSION)
		printf("brigd %s (protocol %d)\n", BRIG_VERSION, BRIG_PROTOCOL);
	else
		status = serve(&c, argc, argv);
	config_clear(&c);
	return status;
}
