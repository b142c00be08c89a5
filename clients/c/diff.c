/* diff: the difference of two texts by lines, for people to read. Pure, but for printing. brig. */

#include "clients/c/diff.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "clients/c/cmd.h"

#define CONTEXT 3

/* One side: its lines, each with its newline, and which of them the other side does not have. */
struct side {
	struct diff_text *lines;
	size_t count;
	bool *differs;
};

bool
diff_is_text(struct diff_text t)
{
	return utf8_prefix(t.text, t.length, t.length) == t.length;
}

/* --- lines ------------------------------------------------------------------------------------------------------- */

static int
split(struct diff_text t, struct side *out)
{
	size_t count = 0, n = 0;

	for (size_t i = 0; i < t.length; i++)
		count += t.text[i] == '\n' || i + 1 == t.length;
	out->lines = calloc(count + 1, sizeof(out->lines[0]));
	out->differs = calloc(count + 1, sizeof(out->differs[0]));
	if (out->lines == NULL || out->differs == NULL)
		return ERR_NOMEM;
	for (const char *p = t.text, *end = t.text + t.length; p < end; n++) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *next = newline == NULL ? end : newline + 1;

		out->lines[n] = (struct diff_text){p, (size_t)(next - p)};
		p = next;
	}
	out->count = count;
	return 0;
}

static void
clear(struct side *s)
{
	free(s->lines);
	free(s->differs);
}

static bool
same(const struct side *a, size_t i, const struct side *b, size_t j)
{
	const struct diff_text *x = &a->lines[i], *y = &b->lines[j];

	return x->length == y->length && memcmp(x->text, y->text, x->length) == 0;
}

/* --- the shortest way from one to the other (Myers, 1986) -------------------------------------------------------- */

/*
 * The part between what both begin with and what both end with. ends[d][d + k] is how far into the first side one gets
 * with d edits on diagonal k (lines of the first side less those of the second).
 */
struct search {
	const struct side *a, *b;
	size_t start;       /* lines that both begin with */
	int64_t n, m;       /* lines in the part */
	int64_t **ends;
	int64_t depth;      /* of ends */
};

static int64_t
slide(const struct search *s, int64_t x, int64_t k)
{
	while (x < s->n && x - k < s->m && same(s->a, s->start + (size_t)x, s->b, s->start + (size_t)(x - k)))
		x++;
	return x;
}

/* Whether diagonal k is reached by an insertion, from k + 1, and not by a deletion, from k - 1. */
static bool
came_down(const int64_t *last, int64_t d, int64_t k)
{
	return k == -d || (k != d && last[d - 1 + k - 1] < last[d - 1 + k + 1]);
}

/* One more edit. Whether the end is reached; -1 without memory. */
static int
search_deeper(struct search *s, int64_t d)
{
	const int64_t *last = d == 0 ? NULL : s->ends[d - 1];
	int64_t *now = malloc((size_t)(2 * d + 1) * sizeof(*now));

	if (now == NULL)
		return -1;
	s->ends[d] = now;
	s->depth = d + 1;
	for (int64_t k = -d; k <= d; k += 2) {
		int64_t x = 0;

		if (d > 0)
			x = came_down(last, d, k) ? last[d - 1 + k + 1] : last[d - 1 + k - 1] + 1;
		if (x > s->n || x - k > s->m) /* outside: no way goes on from here */
			x = x > s->n ? s->n + 1 : x;
		else
			x = slide(s, x, k);
		now[d + k] = x;
		if (x == s->n && k == s->n - s->m)
			return 1;
	}
	return 0;
}

/* Back along the way that was found, marking each line that only one side has. */
static void
mark_way(const struct search *s)
{
	int64_t x = s->n, k = s->n - s->m;

	for (int64_t d = s->depth - 1; d > 0; d--) {
		const int64_t *last = s->ends[d - 1];

		if (came_down(last, d, k)) {
			x = last[d - 1 + k + 1];
			s->b->differs[s->start + (size_t)(x - k - 1)] = true;
			k++;
		} else {
			x = last[d - 1 + k - 1];
			s->a->differs[s->start + (size_t)x] = true;
			k--;
		}
	}
}

static void
mark_all(const struct search *s)
{
	for (int64_t i = 0; i < s->n; i++)
		s->a->differs[s->start + (size_t)i] = true;
	for (int64_t i = 0; i < s->m; i++)
		s->b->differs[s->start + (size_t)i] = true;
}

static int
compare(const struct side *a, const struct side *b)
{
	struct search s = {.a = a, .b = b};
	size_t end = 0, least = a->count < b->count ? a->count : b->count;
	int found = 0;

	while (s.start < least && same(a, s.start, b, s.start))
		s.start++;
	while (end < least - s.start && same(a, a->count - 1 - end, b, b->count - 1 - end))
		end++;
	s.n = (int64_t)(a->count - s.start - end);
	s.m = (int64_t)(b->count - s.start - end);
	if ((s.ends = calloc(DIFF_EDITS + 1, sizeof(s.ends[0]))) == NULL)
		return ERR_NOMEM;
	for (int64_t d = 0; d <= DIFF_EDITS && found == 0 && s.n > 0 && s.m > 0; d++)
		found = search_deeper(&s, d);
	if (found > 0)
		mark_way(&s);
	else
		mark_all(&s);
	for (int64_t d = 0; d < s.depth; d++)
		free(s.ends[d]);
	free(s.ends);
	return found < 0 ? ERR_NOMEM : 0;
}

/* --- printing ---------------------------------------------------------------------------------------------------- */

/* Where printing stands. */
struct printer {
	FILE *f;
	bool colour;
	size_t printed, hidden;
};

static void
print_line(struct printer *p, char sign, struct diff_text line)
{
	bool whole = line.length > 0 && line.text[line.length - 1] == '\n';
	const char *start = !p->colour || sign == ' ' ? "" : sign == '-' ? "\033[31m" : "\033[32m";

	if (p->printed == DIFF_LINES) {
		p->hidden++;
		return;
	}
	p->printed++;
	fprintf(p->f, "%s%c", start, sign);
	cmd_print_safe(p->f, line.text, line.length - whole);
	fprintf(p->f, "%s\n%s", start[0] == '\0' ? "" : "\033[0m", whole ? "" : "\\ no newline at the end\n");
}

/* The end of the hunk that begins at *i and *j: behind the last change with fewer than 2 * CONTEXT + 1 lines between. */
static void
hunk_end(const struct side *a, const struct side *b, size_t *i, size_t *j)
{
	size_t alike = 0;

	while ((*i < a->count || *j < b->count) && alike <= 2 * CONTEXT) {
		bool goes = *i < a->count && a->differs[*i], comes = *j < b->count && b->differs[*j];

		alike = goes || comes ? 0 : alike + 1;
		*i += goes || !comes;
		*j += !goes;
	}
	if (alike > CONTEXT) {
		*i -= alike - CONTEXT;
		*j -= alike - CONTEXT;
	}
}

static void
print_hunk(struct printer *p, const struct side *a, const struct side *b, size_t i, size_t j, size_t i_end, size_t j_end)
{
	if (p->printed < DIFF_LINES)
		fprintf(p->f, "%s@@ -%zu,%zu +%zu,%zu @@%s\n", p->colour ? "\033[36m" : "", i + (i_end > i), i_end - i,
		    j + (j_end > j), j_end - j, p->colour ? "\033[0m" : "");
	while (i < i_end || j < j_end) {
		if (i < i_end && a->differs[i]) {
			print_line(p, '-', a->lines[i++]);
		} else if (j < j_end && b->differs[j]) {
			print_line(p, '+', b->lines[j++]);
		} else {
			print_line(p, ' ', a->lines[i++]);
			j++;
		}
	}
}

int
diff_print(FILE *f, struct diff_text before, struct diff_text after, bool colour)
{
	struct side a = {.count = 0}, b = {.count = 0};
	struct printer p = {.f = f, .colour = colour};
	size_t i = 0, j = 0;
	int rc;

	if ((rc = split(before, &a)) != 0 || (rc = split(after, &b)) != 0 || (rc = compare(&a, &b)) != 0)
		goto out;
	while (i < a.count || j < b.count) {
		size_t back, i_end, j_end;

		if (i < a.count && j < b.count && !a.differs[i] && !b.differs[j]) {
			i++;
			j++;
			continue;
		}
		back = i < CONTEXT ? i : CONTEXT;
		back = j < back ? j : back;
		i_end = i;
		j_end = j;
		hunk_end(&a, &b, &i_end, &j_end);
		print_hunk(&p, &a, &b, i - back, j - back, i_end, j_end);
		i = i_end;
		j = j_end;
	}
	if (p.hidden > 0)
		fprintf(f, "... and %zu lines more\n", p.hidden);
out:
	clear(&a);
	clear(&b);
	return rc;
}
