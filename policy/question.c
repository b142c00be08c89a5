/* policy/question: from words to what can be asked of policies. Pure; brigd and brig. */

#include "policy/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/utf8.h"
#include "policy/internal.h"

#define WORDS_MAX 3 /* of a question */

/* The number of a word among some; -1 for none. */
static int
word_number(const char *word, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(word, words[i]) == 0)
			return (int)i;
	return -1;
}

static int
set_target(struct policy_question *q, const char *text, size_t max, const char *what, struct err *e)
{
	size_t length = strlen(text);

	if (length == 0 || length > max)
		return err_set(e, ERR_INVAL, "%s must be 1 to %zu bytes long", what, max);
	memcpy(q->target, text, length + 1);
	return 0;
}

static int
parse_fs(const char *const *w, struct policy_question *q, struct err *e)
{
	static const char *const kinds[] = {"mount", "inline", "dir"};
	int right = word_number(w[1], policy_fs_right_words, POLICY_COUNT_OF(policy_fs_right_words));
	int kind = word_number(w[1], kinds, POLICY_COUNT_OF(kinds));
	const char *wrong = policy_path_wrong(w[2]);

	if (right < 0 && kind < 0)
		return err_set(e, ERR_INVAL, "fs %.40s: ask for read, write, create, delete, mount, inline or dir", w[1]);
	if (wrong != NULL)
		return err_set(e, ERR_INVAL, "fs %s: the path \"%.100s\" %s", w[1], w[2], wrong);
	if (kind >= 0) {
		q->kind = POLICY_ASK_FS_KIND;
		q->fs_kind = (enum policy_fs_kind)kind;
	} else {
		q->kind = POLICY_ASK_FS;
		q->right = 1u << right;
	}
	return set_target(q, w[2], POLICY_PATH_MAX, "a path", e);
}

static int
parse_env(const char *const *w, struct policy_question *q, struct err *e)
{
	return set_target(q, w[1], POLICY_NAME_MAX, "the name of a variable", e);
}

static int
parse_limit(const char *const *w, struct policy_question *q, struct err *e)
{
	char text[128];

	snprintf(text, sizeof(text), "%.60s=%.60s", w[1], w[2]);
	return policy_limit_parse(text, &q->limit, &q->value, e);
}

static int
parse_args(const char *const *w, struct policy_question *q, struct err *e)
{
	(void)w;
	(void)q;
	(void)e;
	return 0;
}

/* One of some words, of which the first cannot be asked for. */
static int
parse_degree(const char *const *w, const char *const *words, size_t count, struct policy_question *q, struct err *e)
{
	int word = word_number(w[1], words + 1, count - 1);

	if (word < 0)
		return err_set(e, ERR_INVAL, "%s %.40s: ask for %s or %s%s%s", w[0], w[1], words[1], words[2],
		    count > 3 ? " or " : "", count > 3 ? words[3] : "");
	q->word = (unsigned)word + 1;
	return 0;
}

static int
parse_clock(const char *const *w, struct policy_question *q, struct err *e)
{
	return parse_degree(w, policy_clock_words, POLICY_COUNT_OF(policy_clock_words), q, e);
}

static int
parse_random(const char *const *w, struct policy_question *q, struct err *e)
{
	return parse_degree(w, policy_random_words, POLICY_COUNT_OF(policy_random_words), q, e);
}

static int
parse_tool(const char *const *w, struct policy_question *q, struct err *e)
{
	if (!policy_tool_name(w[1]))
		return err_set(e, ERR_INVAL, "tool %.70s: the name of a tool is 1 to %d letters, digits, '_', '-' and '.', and does "
		    "not begin with '.'", w[1], POLICY_TOOL_NAME_MAX);
	return set_target(q, w[1], POLICY_TOOL_NAME_MAX, "the name of a tool", e);
}

static int
parse_net(const char *const *w, struct policy_question *q, struct err *e)
{
	return set_target(q, w[1], POLICY_NAME_MAX, "a destination", e);
}

static int
parse_signature(const char *const *w, struct policy_question *q, struct err *e)
{
	static const char *const words[] = {"unsigned", "unsigned_source"};
	int word = word_number(w[1], words, POLICY_COUNT_OF(words));

	if (word < 0)
		return err_set(e, ERR_INVAL, "signature %.40s: ask for unsigned or unsigned_source", w[1]);
	q->word = (unsigned)word;
	return 0;
}

static const struct {
	const char *word;
	size_t words; /* of the whole question */
	enum policy_question_kind kind;
	int (*parse)(const char *const *w, struct policy_question *q, struct err *e);
} parsers[] = {
    {"fs", 3, POLICY_ASK_FS, parse_fs},
    {"env", 2, POLICY_ASK_ENV, parse_env},
    {"limit", 3, POLICY_ASK_LIMIT, parse_limit},
    {"args", 1, POLICY_ASK_ARGS, parse_args},
    {"clock", 2, POLICY_ASK_CLOCK, parse_clock},
    {"random", 2, POLICY_ASK_RANDOM, parse_random},
    {"tool", 2, POLICY_ASK_TOOL, parse_tool},
    {"net", 2, POLICY_ASK_NET, parse_net},
    {"signature", 2, POLICY_ASK_SIGNATURE, parse_signature},
};

static size_t
parser_of(const char *word)
{
	size_t i = 0;

	while (i < POLICY_COUNT_OF(parsers) && strcmp(word, parsers[i].word) != 0)
		i++;
	return i;
}

static int
unknown_question(const char *word, struct err *e)
{
	const char *words[POLICY_COUNT_OF(parsers)];
	const char *near;

	for (size_t i = 0; i < POLICY_COUNT_OF(parsers); i++)
		words[i] = parsers[i].word;
	near = nearest_name(word, words, POLICY_COUNT_OF(parsers));
	return err_set(e, ERR_INVAL, "\"%.60s\" cannot be asked%s%s%s: ask for fs, env, limit, args, clock, random, tool, net or "
	    "signature", word, near == NULL ? "" : "; did you mean ", near == NULL ? "" : near, near == NULL ? "" : "?");
}

/* Cuts "fs read /a b" into its words, in place; the last one that this question has takes the rest. */
static size_t
split(char *text, const char *words[WORDS_MAX])
{
	size_t most = WORDS_MAX, n = 0;

	while (n < most && *text != '\0') {
		size_t length = n + 1 == most ? strlen(text) : strcspn(text, " ");
		bool last = text[length] == '\0';

		words[n++] = text;
		text[length] = '\0';
		text += length + !last;
		if (n == 1 && parser_of(words[0]) < POLICY_COUNT_OF(parsers))
			most = parsers[parser_of(words[0])].words;
	}
	return *text == '\0' ? n : WORDS_MAX + 1;
}

static int
parse_words(const char *const *words, size_t count, size_t *used, struct policy_question *q, struct err *e)
{
	size_t i = parser_of(words[0]), length = 0;
	int rc;

	for (size_t k = 0; k < count && k < WORDS_MAX; k++)
		if (utf8_prefix(words[k], strlen(words[k]), strlen(words[k])) != strlen(words[k]))
			return err_set(e, ERR_INVAL, "word %zu of the question is not UTF-8", k + 1);
	if (i == POLICY_COUNT_OF(parsers))
		return unknown_question(words[0], e);
	if (count < parsers[i].words)
		return err_set(e, ERR_INVAL, "%s: what of it? It has %zu words, as in \"%s\"", words[0], parsers[i].words,
		    parsers[i].words == 3 ? "fs read /workspace/a.txt\" or \"limit wall_ms 5s" : "env HOME\" or \"clock real");
	q->kind = parsers[i].kind;
	if ((rc = parsers[i].parse(words, q, e)) != 0)
		return rc;
	for (size_t k = 0; k < parsers[i].words && length < sizeof(q->text); k++)
		length += (size_t)snprintf(q->text + length, sizeof(q->text) - length, "%s%s", k == 0 ? "" : " ", words[k]);
	*used = parsers[i].words;
	return 0;
}

int
policy_question_parse(const char *const *words, size_t count, size_t *used, struct policy_question *out, struct err *e)
{
	const char *parts[WORDS_MAX] = {NULL};
	struct policy_question *q = calloc(1, sizeof(*q));
	size_t n = count, taken = 0;
	char *copy = NULL;
	int rc;

	if (q == NULL || (count > 0 && (copy = strdup(words[0])) == NULL)) {
		rc = err_set(e, ERR_NOMEM, "out of memory for a question");
		goto out;
	}
	if (count == 0 || words[0][0] == '\0') {
		rc = err_set(e, ERR_INVAL, "a question is empty");
		goto out;
	}
	if (strchr(copy, ' ') == NULL) {
		rc = parse_words(words, n, &taken, q, e);
	} else if ((n = split(copy, parts)) > WORDS_MAX) {
		rc = err_set(e, ERR_INVAL, "\"%.100s\" has more words than the question", words[0]);
	} else {
		rc = parse_words(parts, n, &taken, q, e);
		taken = 1;
	}
	if (rc != 0)
		goto out;
	*out = *q;
	*used = taken;
out:
	free(copy);
	free(q);
	return rc;
}
