/* cmd_bench: `brig bench`: how fast a running brigd is, and what it does under load. brig. */

#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/io.h"
#include "clients/c/cmd.h"
#include "clients/c/load.h"
#include "policy/policy.h"

#define VERB "bench"

#define CLIENTS_MAX 10000
#define OWNERS_MAX  1000
#define STDIN_MAX   (8 * 1024 * 1024)
#define NS_PER_MS   UINT64_C(1000000)

static const char help[] =
    "brig bench [OPTION...] [WEIGHT*]PROGRAM...\n\n"
    "Runs programs at a running brigd, again and again, and tells how long each took from the moment at which it was due.\n"
    "A PROGRAM is a FILE.wasm, stored first, or the sha256:DIGEST of one that is stored; with several, each run takes one\n"
    "by chance: \"3*a.wasm b.wasm\" runs a.wasm three times as often. Each is compiled before anything is measured.\n\n"
    "  -r, --rate N          N runs a second, whatever became of those before: waiting is then counted. Without it each\n"
    "                        client sends its next run when it has its answer\n"
    "  -c, --clients N       connections (1, or 8 with --rate)\n"
    "  -d, --duration TIME   for so long (10s)\n"
    "  -n, --runs N          at most so many runs\n"
    "      --even            runs at even distances, not at random ones\n"
    "  -a, --arg TEXT        an argument of each run; again for another one\n"
    "      --stdin FILE      standard input of each run\n"
    "      --policy FILE     policy of each run\n"
    "      --owners UID,...  connect as these users in turn; only root can\n"
    "      --fault KIND=N%   so many of the runs are done wrong: cancel (cancelled after --after) or disconnect (their\n"
    "                        connection is closed after --after); again for the other kind\n"
    "      --after TIME      (5ms)\n"
    "      --patience TIME   wait so long for answers at the end (30s)\n"
    "      --seed N          of what is random (1)\n"
    "      --no-sign         send programs that are not signed as they are\n"
    "      --json            the result as JSON, with all buckets of the latencies\n"
    "      --socket PATH     the server (otherwise BRIG_SOCKET, your own, the system's)\n\n"
    "TIME is as in limits: 500ms, 10s, 5m. Exit status: 0; 1 when a run was not answered, or could not be sent; 2 for a\n"
    "command line that makes no sense. What runs ended as, and what was refused, is in the result.\n";

enum {
	OPT_EVEN = 256,
	OPT_STDIN,
	OPT_POLICY,
	OPT_OWNERS,
	OPT_FAULT,
	OPT_AFTER,
	OPT_PATIENCE,
	OPT_SEED,
	OPT_NO_SIGN,
	OPT_JSON,
	OPT_SOCKET,
};

static const struct option long_options[] = {
    {"rate", required_argument, NULL, 'r'},
    {"clients", required_argument, NULL, 'c'},
    {"duration", required_argument, NULL, 'd'},
    {"runs", required_argument, NULL, 'n'},
    {"even", no_argument, NULL, OPT_EVEN},
    {"arg", required_argument, NULL, 'a'},
    {"stdin", required_argument, NULL, OPT_STDIN},
    {"policy", required_argument, NULL, OPT_POLICY},
    {"owners", required_argument, NULL, OPT_OWNERS},
    {"fault", required_argument, NULL, OPT_FAULT},
    {"after", required_argument, NULL, OPT_AFTER},
    {"patience", required_argument, NULL, OPT_PATIENCE},
    {"seed", required_argument, NULL, OPT_SEED},
    {"no-sign", no_argument, NULL, OPT_NO_SIGN},
    {"json", no_argument, NULL, OPT_JSON},
    {"socket", required_argument, NULL, OPT_SOCKET},
    {"help", no_argument, NULL, CMD_OPT_HELP},
    {NULL, 0, NULL, 0},
};

struct bench {
	struct load_plan plan;
	struct load_item *items;
	uid_t owners[OWNERS_MAX];
	json_t *args;
	const char *stdin_path, *policy_path;
	bool as_json, no_sign, shows_progress;
};

/* --- the command line ------------------------------------------------------------------------------------------- */

static int
parse_time(const char *text, uint64_t *ns, struct err *e)
{
	uint64_t ms;

	if (policy_amount_parse(text, POLICY_UNIT_MS, &ms) != 0 || ms > UINT64_MAX / 2 / NS_PER_MS)
		return err_set(e, ERR_INVAL, "%.40s is no time: %s", text, policy_amount_advice(POLICY_UNIT_MS));
	*ns = ms * NS_PER_MS;
	return 0;
}

static int
parse_count(const char *text, uint64_t least, uint64_t most, uint64_t *n, struct err *e)
{
	uint64_t value;

	if (policy_amount_parse(text, POLICY_UNIT_COUNT, &value) != 0)
		return err_set(e, ERR_INVAL, "%.40s is no number: %s", text, policy_amount_advice(POLICY_UNIT_COUNT));
	if (value < least || value > most)
		return err_set(e, ERR_INVAL, "%.40s: it must be %ju to %ju", text, (uintmax_t)least, (uintmax_t)most);
	*n = value;
	return 0;
}

/* A number with a fraction, above zero. */
static int
parse_number(const char *text, size_t length, double *n)
{
	char copy[40], *end;

	if (length == 0 || length >= sizeof(copy))
		return ERR_INVAL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	*n = strtod(copy, &end);
	return *end == '\0' && isfinite(*n) && *n > 0 ? 0 : ERR_INVAL;
}

static int
parse_fault(struct bench *b, const char *text, struct err *e)
{
	static const char *const names[] = {
#define X(name, about) #name,
	    LOAD_FAULTS(X)
#undef X
	};
	double percent;

	for (size_t i = 0; i < LOAD_FAULT_COUNT; i++) {
		size_t length = strlen(names[i]), rest = strlen(text);

		if (strncmp(text, names[i], length) != 0 || text[length] != '=')
			continue;
		if (rest < length + 3 || text[rest - 1] != '%' ||
		    parse_number(text + length + 1, rest - length - 2, &percent) != 0 || percent > 100)
			break;
		b->plan.faults[i] = percent / 100;
		return 0;
	}
	return err_set(e, ERR_INVAL, "%.40s: a fault is written cancel=N%% or disconnect=N%%, with N up to 100", text);
}

static int
parse_owners(struct bench *b, const char *text, struct err *e)
{
	const char *from = text;

	b->plan.owners = b->owners;
	for (;;) {
		size_t length = strcspn(from, ",");
		char one[40];
		uint64_t uid;
		int rc;

		snprintf(one, sizeof(one), "%.*s", length < 39 ? (int)length : 39, from);
		if ((rc = parse_count(one, 0, UINT32_MAX - 1, &uid, e)) != 0)
			return rc;
		if (b->plan.owner_count == OWNERS_MAX)
			return err_set(e, ERR_LIMIT, "at most %d owners", OWNERS_MAX);
		b->owners[b->plan.owner_count++] = (uid_t)uid;
		if (from[length] == '\0')
			return 0;
		from += length + 1;
	}
}

static int
take_option(void *arg, int option, const char *value, struct err *e)
{
	struct bench *b = arg;
	uint64_t n = 0;
	int rc = 0;

	switch (option) {
	case 'r':
		if (parse_number(value, strlen(value), &b->plan.rate) != 0 || b->plan.rate > 1e6)
			rc = err_set(e, ERR_INVAL, "%.40s: the rate is a number of runs a second, up to 1000000", value);
		break;
	case 'c':
		rc = parse_count(value, 1, CLIENTS_MAX, &n, e);
		b->plan.clients = (unsigned)n;
		break;
	case 'd':
		rc = parse_time(value, &b->plan.duration_ns, e);
		break;
	case 'n':
		rc = parse_count(value, 1, UINT64_MAX, &b->plan.runs_max, e);
		break;
	case 'a':
		if (json_array_append_new(b->args, json_string(value)) != 0)
			rc = err_set(e, ERR_INVAL, "an argument is not UTF-8");
		break;
	case OPT_OWNERS:
		rc = parse_owners(b, value, e);
		break;
	case OPT_FAULT:
		rc = parse_fault(b, value, e);
		break;
	case OPT_AFTER:
		rc = parse_time(value, &b->plan.fault_after_ns, e);
		break;
	case OPT_PATIENCE:
		rc = parse_time(value, &b->plan.patience_ns, e);
		break;
	case OPT_SEED:
		rc = parse_count(value, 0, UINT64_MAX, &b->plan.seed, e);
		break;
	case OPT_EVEN:
		b->plan.even = true;
		break;
	case OPT_STDIN:
		b->stdin_path = value;
		break;
	case OPT_POLICY:
		b->policy_path = value;
		break;
	case OPT_NO_SIGN:
		b->no_sign = true;
		break;
	case OPT_JSON:
		b->as_json = true;
		break;
	default: /* OPT_SOCKET */
		b->plan.socket = value;
	}
	return rc;
}

/* Reads the options. -1 to go on, else the exit code. */
static int
take_options(struct bench *b, int argc, char **argv)
{
	int code = cmd_options(VERB, help, argc, argv, ":r:c:d:n:a:", long_options, take_option, b);

	if (code >= 0)
		return code;
	if (optind == argc)
		return cmd_usage(VERB, "which PROGRAM?");
	if (b->plan.clients == 0)
		b->plan.clients = b->plan.rate > 0 ? 8 : 1;
	if (b->plan.clients < b->plan.owner_count)
		b->plan.clients = (unsigned)b->plan.owner_count;
	return -1;
}

/* --- what is run ------------------------------------------------------------------------------------------------ */

/* Adds input and policy, which are the same for all, to `params`. */
static int
add_common(const struct bench *b, json_t *params, struct err *e)
{
	uint8_t *data = NULL;
	size_t length = 0;
	json_error_t error;
	json_t *policy;
	int rc;

	if (json_array_size(b->args) > 0)
		json_object_set(params, "args", b->args);
	if (b->stdin_path != NULL) {
		if ((rc = io_read_file(b->stdin_path, STDIN_MAX, &data, &length, e)) != 0)
			return rc;
		json_object_set_new(params, "stdin", brig_base64(data, length));
		free(data);
	}
	if (b->policy_path == NULL)
		return 0;
	if ((rc = io_read_file(b->policy_path, POLICY_TEXT_MAX, &data, &length, e)) != 0)
		return rc;
	policy = json_loadb((char *)data, length, JSON_REJECT_DUPLICATES, &error);
	free(data);
	if (policy == NULL)
		return err_set(e, ERR_INVAL, "%s:%d:%d: %s", b->policy_path, error.line, error.column, error.text);
	json_object_set_new(params, "policy", policy);
	return 0;
}

/* Asks something for one of the owners, and prints why not. */
static int
ask(const struct bench *b, uid_t owner, const char *method, json_t *params, int fd, json_t **result)
{
	struct brig_error refused = {0};
	struct brig *server;
	struct err e = {0};
	int rc;

	if (load_connect(b->plan.socket, owner, &server, &e) != 0) {
		json_decref(params);
		return cmd_fail(VERB, &e);
	}
	rc = brig_call(server, method, params, &fd, fd >= 0 ? 1 : 0, result, &refused, &e);
	brig_close(server);
	if (rc == 0)
		return CMD_OK;
	if (refused.code != 0)
		cmd_refusal(VERB, &refused, NULL);
	else
		cmd_fail(VERB, &e);
	return CMD_FAILED;
}

/* Stores a program for one of the owners. */
static int
store(const struct bench *b, uid_t owner, const struct module_file *m)
{
	json_t *result = NULL;
	struct err e;
	int fd = module_file_memfd(m, &e), code;

	if (fd < 0)
		return cmd_fail(VERB, &e);
	code = ask(b, owner, "module.put", module_file_json(m), fd, &result);
	close(fd);
	json_decref(result);
	return code;
}

/* Stores it if it is a file; *digest: its name from then on. */
static int
put_program(const struct bench *b, const char *program, char digest[DIGEST_TEXT_SIZE])
{
	struct module_file m = {0};
	struct digest d;
	struct err e;
	int code = CMD_OK;

	if (strncmp(program, "sha256:", 7) == 0) {
		if (digest_parse(program, strlen(program), &d, &e) != 0)
			return cmd_fail(VERB, &e);
		digest_text(&d, digest);
		return CMD_OK;
	}
	if (module_file_load(program, !b->no_sign, &m, &e) != 0)
		return cmd_fail(VERB, &e);
	d = digest_of(m.wasm, m.size);
	digest_text(&d, digest);
	for (size_t i = 0; code == CMD_OK && i < b->plan.owner_count; i++)
		code = store(b, b->owners[i], &m);
	if (b->plan.owner_count == 0)
		code = store(b, (uid_t)-1, &m);
	module_file_clear(&m);
	return code;
}

/* Runs it for a moment, so that it is compiled and a server that refuses it says so. */
static int
warm_up(const struct bench *b, const struct load_item *item)
{
	uid_t owner = b->plan.owner_count > 0 ? b->owners[0] : (uid_t)-1;
	json_t *params = json_pack("{s:O, s:{s:{s:i}, s:{s:s}}}", "module", json_object_get(item->params, "module"),
	    "policy", "limits", "wall_ms", 1, "signature", "module", "optional");
	json_t *result = NULL;
	int code = ask(b, owner, "run", params, -1, &result);

	json_decref(result);
	return code;
}

/* "3*FILE": takes the weight off. */
static const char *
take_weight(const char *text, double *weight)
{
	const char *star = strchr(text, '*');

	*weight = 1;
	if (star == NULL || parse_number(text, (size_t)(star - text), weight) != 0)
		return text;
	return star + 1;
}

static int
prepare(struct bench *b, int count, char **programs)
{
	int code = CMD_OK;

	if ((b->items = calloc((size_t)count, sizeof(*b->items))) == NULL) {
		cmd_error(VERB, "out of memory");
		return CMD_FAILED;
	}
	b->plan.items = b->items;
	for (int i = 0; code == CMD_OK && i < count; i++) {
		struct load_item *item = &b->items[b->plan.item_count++];
		const char *program = take_weight(programs[i], &item->weight);
		char digest[DIGEST_TEXT_SIZE];
		struct err e;

		if ((code = put_program(b, program, digest)) != CMD_OK)
			break;
		item->params = json_pack("{s:{s:s}}", "module", "digest", digest);
		if (item->params == NULL || add_common(b, item->params, &e) != 0)
			code = item->params == NULL ? CMD_FAILED : cmd_fail(VERB, &e);
		else
			code = warm_up(b, item);
	}
	return code;
}

/* --- what came of it -------------------------------------------------------------------------------------------- */

static void
show_progress(void *arg, uint64_t sent, uint64_t answered, uint64_t ns)
{
	(void)arg;
	fprintf(stderr, "\r%6.1f s  %ju sent, %ju answered\033[K", (double)ns / 1e9, (uintmax_t)sent, (uintmax_t)answered);
}

static void
print_counts(const char *what, const struct load_count *list)
{
	if (list == NULL)
		return;
	printf("%-9s", what);
	for (; list != NULL; list = list->next)
		printf(" %s %ju%s", list->name, (uintmax_t)list->count, list->next != NULL ? "," : "\n");
}

/* Percentiles in ms; `unit`: how many ns one of its values is. */
static void
print_times(const char *what, const struct histogram *h, double unit, const char *meaning)
{
	static const double percents[] = {50, 90, 99, 99.9, 100};

	if (h->count == 0)
		return;
	printf("%-9s", what);
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
		printf(" %9.3f", (double)histogram_at(h, percents[i]) * unit / 1e6);
	printf(" %9.3f  %s\n", (double)h->sum / (double)h->count * unit / 1e6, meaning);
}

static void
print_text(const struct bench *b, const struct load_result *r)
{
	double seconds = (double)r->ns / 1e9;

	printf("%-9s %ju sent, %ju answered, %ju given up, %ju without an answer\n", "runs", (uintmax_t)r->sent,
	    (uintmax_t)r->answered, (uintmax_t)r->given_up, (uintmax_t)r->unanswered);
	print_counts("ended", r->statuses);
	print_counts("refused", r->errors);
	print_counts("start", r->starts);
	printf("%-9s %.1f runs a second in %.1f s", "rate", seconds > 0 ? (double)r->latency.count / seconds : 0, seconds);
	if (b->plan.rate > 0)
		printf(", asked for %.1f", b->plan.rate);
	printf(", %u client%s\n", b->plan.clients, b->plan.clients == 1 ? "" : "s");
	if (r->latency.count == 0)
		return;
	printf("%-9s %9s %9s %9s %9s %9s %9s\n", "ms", "p50", "p90", "p99", "p99.9", "max", "mean");
	print_times("latency", &r->latency, 1,
	    b->plan.rate > 0 ? "from when it was due to its answer" : "from sending it to its answer");
	print_times("queue", &r->queue_us, 1e3, "of that, waiting for a place; as the server tells");
	print_times("start", &r->start_us, 1e3, "from its process to its first instruction; the server");
	print_times("cpu", &r->cpu_us, 1e3, "processor time of its process; the server");
}

static json_t *
counts_json(const struct load_count *list)
{
	json_t *object = json_object();

	for (; list != NULL; list = list->next)
		json_object_set_new(object, list->name, json_integer((json_int_t)list->count));
	return object;
}

static json_t *
times_json(const struct histogram *h, double unit)
{
	static const struct {
		const char *name;
		double percent;
	} list[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99_9", 99.9}, {"max", 100}};
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		json_object_set_new(object, list[i].name, json_real((double)histogram_at(h, list[i].percent) * unit / 1e3));
	if (h->count > 0)
		json_object_set_new(object, "mean", json_real((double)h->sum / (double)h->count * unit / 1e3));
	return object;
}

/* [us, how many took at most that and more than the one before], for plots. */
static json_t *
buckets_json(const struct histogram *h)
{
	json_t *array = json_array();
	uint64_t value, count;
	unsigned bucket = 0;

	while (histogram_next(h, &bucket, &value, &count))
		json_array_append_new(array, json_pack("[f, I]", (double)value / 1e3, (json_int_t)count));
	return array;
}

static int
print_json(const struct bench *b, const struct load_result *r)
{
	double seconds = (double)r->ns / 1e9;
	json_t *json = json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "sent",
	    (json_int_t)r->sent, "answered", (json_int_t)r->answered, "given_up", (json_int_t)r->given_up, "unanswered",
	    (json_int_t)r->unanswered, "seconds", seconds, "rate", seconds > 0 ? (double)r->latency.count / seconds : 0.0,
	    "rate_asked", b->plan.rate, "clients", (int)b->plan.clients, "ended", counts_json(r->statuses), "refused",
	    counts_json(r->errors), "start", counts_json(r->starts), "latency_us", times_json(&r->latency, 1), "queue_us",
	    times_json(&r->queue_us, 1e3), "start_us", times_json(&r->start_us, 1e3), "cpu_us", times_json(&r->cpu_us, 1e3),
	    "latency_buckets", buckets_json(&r->latency));
	int code = cmd_print_json(VERB, json);

	json_decref(json);
	return code;
}

static int
measure(struct bench *b)
{
	struct load_result *r = calloc(1, sizeof(*r));
	struct err e = {0};
	int rc, code = CMD_OK;

	if (r == NULL) {
		cmd_error(VERB, "out of memory");
		return CMD_FAILED;
	}
	if (isatty(STDERR_FILENO))
		b->plan.progress = show_progress;
	rc = load_run(&b->plan, r, &e);
	if (b->plan.progress != NULL)
		fputs("\r\033[K", stderr);
	if (b->as_json)
		code = print_json(b, r);
	else
		print_text(b, r);
	if (rc != 0 || r->unanswered > 0)
		code = rc != 0 ? cmd_fail(VERB, &e) : CMD_FAILED;
	load_result_clear(r);
	free(r);
	return code;
}

int
cmd_bench(int argc, char **argv)
{
	struct bench b = {
	    .plan = {.duration_ns = 10000 * NS_PER_MS, .patience_ns = 30000 * NS_PER_MS, .fault_after_ns = 5 * NS_PER_MS,
	        .runs_max = UINT64_MAX, .seed = 1},
	    .args = json_array(),
	};
	int code = take_options(&b, argc, argv);

	if (code < 0)
		code = prepare(&b, argc - optind, argv + optind);
	if (code == CMD_OK && b.plan.item_count > 0)
		code = measure(&b);
	for (size_t i = 0; i < b.plan.item_count; i++)
		json_decref(b.items[i].params);
	free(b.items);
	json_decref(b.args);
	return code;
}
