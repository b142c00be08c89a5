/* cmd_bench: `brig bench`: how fast a running brigd is, and what it does under load. brig. */

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/c/bench_mix.h"
#include "clients/c/cmd.h"
#include "clients/c/load.h"
#include "policy/policy.h"

#define VERB "bench"

#define CLIENTS_MAX 10000
#define OWNERS_MAX  1000
#define NS_PER_MS   UINT64_C(1000000)

static const char help[] =
    "brig bench [OPTION...] PROGRAM...\n\n"
    "Runs programs at a running brigd, again and again, and tells how long each took from the moment at which it was due.\n"
    "With several programs each run takes one by chance. Each is compiled before anything is measured. A PROGRAM is\n\n"
    "  [WEIGHT*]FILE.wasm            a module, stored first: \"3*a.wasm b.wasm\" runs a.wasm three times as often\n"
    "  [WEIGHT*]sha256:DIGEST        one that is stored\n"
    "  --pack [WEIGHT*]NAME FILE     source for that language pack (brig pack list), or\n"
    "  --pack [WEIGHT*]NAME -c CODE  this text, also --code CODE\n\n"
    "  -a, --arg TEXT        an argument of each run; again for another one\n"
    "      --stdin FILE      standard input of each run\n"
    "      --policy FILE     policy of each run\n\n"
    "These three before the first program are for all of them. Behind a program they are for that one, in the place of those.\n\n"
    "  -r, --rate N          N runs a second, whatever became of those before: waiting is then counted. Without it each\n"
    "                        client sends its next run when it has its answer\n"
    "  -c, --clients N       connections (1, or 8 with --rate); -c is this but right behind --pack NAME\n"
    "  -d, --duration TIME   for so long (10s)\n"
    "  -n, --runs N          at most so many runs\n"
    "      --even            runs at even distances, not at random ones\n"
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
	OPT_CLIENTS = 256,
	OPT_PACK,
	OPT_CODE,
	OPT_EVEN,
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
    {"clients", required_argument, NULL, OPT_CLIENTS},
    {"duration", required_argument, NULL, 'd'},
    {"runs", required_argument, NULL, 'n'},
    {"even", no_argument, NULL, OPT_EVEN},
    {"pack", required_argument, NULL, OPT_PACK},
    {"code", required_argument, NULL, OPT_CODE},
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
	struct bench_mix mix;
	uid_t owners[OWNERS_MAX];
	bool as_json, no_sign;
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
		    bench_number(text + length + 1, rest - length - 2, &percent) != 0 || percent > 100)
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
		if (bench_number(value, strlen(value), &b->plan.rate) != 0 || b->plan.rate > 1e6)
			rc = err_set(e, ERR_INVAL, "%.40s: the rate is a number of runs a second, up to 1000000", value);
		break;
	case 'c':
		if (bench_mix_wants_source(&b->mix))
			return bench_mix_code(&b->mix, value, e);
		/* fall through */
	case OPT_CLIENTS:
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
		rc = bench_mix_arg(&b->mix, value, e);
		break;
	case CMD_OPT_OPERAND:
		rc = bench_mix_file(&b->mix, value, e);
		break;
	case OPT_PACK:
		rc = bench_mix_pack(&b->mix, value, e);
		break;
	case OPT_CODE:
		rc = bench_mix_code(&b->mix, value, e);
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
		bench_mix_given(&b->mix)->stdin_path = value;
		break;
	case OPT_POLICY:
		bench_mix_given(&b->mix)->policy_path = value;
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

/* What options and programs do not say; whether that is all. -1 to go on, else the exit code. */
static int
complete(struct bench *b)
{
	if (b->mix.count == 0)
		return cmd_usage(VERB, "which PROGRAM?");
	if (bench_mix_wants_source(&b->mix))
		return cmd_usage(VERB, "--pack: which source? FILE, or -c CODE, is missing");
	if (b->plan.clients == 0)
		b->plan.clients = b->plan.rate > 0 ? 8 : 1;
	if (b->plan.clients < b->plan.owner_count)
		b->plan.clients = (unsigned)b->plan.owner_count;
	return -1;
}

/* Reads the command line, in its order. -1 to go on, else the exit code. */
static int
take_command_line(struct bench *b, int argc, char **argv)
{
	int code = cmd_options(VERB, help, argc, argv, "-:r:c:d:n:a:", long_options, take_option, b);
	struct err e;

	if (code >= 0)
		return code;
	for (; optind < argc; optind++)
		if (bench_mix_file(&b->mix, argv[optind], &e) != 0)
			return cmd_usage(VERB, "%s", e.msg);
	return complete(b);
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
	};
	int code = take_command_line(&b, argc, argv);
	const struct bench_place place = {
	    .verb = VERB, .socket = b.plan.socket, .owners = b.owners, .owner_count = b.plan.owner_count, .no_sign = b.no_sign};

	if (code >= 0)
		goto out;
	if ((code = bench_mix_prepare(&b.mix, &place)) != CMD_OK)
		goto out;
	b.plan.items = b.mix.items;
	b.plan.item_count = b.mix.count;
	code = measure(&b);
out:
	bench_mix_clear(&b.mix);
	return code;
}
