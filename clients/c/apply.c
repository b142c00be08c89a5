/* apply: brings what a program did to its files to the directories of the host. `brig apply` and `brig run --apply`. */

#include "clients/c/apply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "clients/c/apply_check.h"
#include "clients/c/apply_guard.h"
#include "clients/c/apply_journal.h"
#include "clients/c/apply_show.h"
#include "clients/c/apply_steps.h"
#include "clients/c/cmd.h"
#include "clients/c/problems.h"

/* Says what is wrong, if anything is. */
static void
tell(const char *verb, const struct problems *p, const char *what)
{
	if (p->count == 0)
		return;
	cmd_error(verb, "%s", what);
	problems_print(p);
}

/* Makes good what a crash left. 0, also when there was nothing. */
static int
recover(const char *verb, struct apply_journal *j, bool *found, struct err *e)
{
	struct problems problems = {.lines = NULL};
	bool finished = false;
	int rc = apply_steps_recover(j, &finished, &problems, e);

	*found = rc == 0;
	if (rc == 0)
		cmd_error(verb, "an earlier brig apply did not come to its end: %s",
		    finished ? "all its changes were made, and it is tidied up" : "its changes are undone");
	tell(verb, &problems, "but for what was changed by others since:");
	problems_clear(&problems);
	return rc == ERR_NOTFOUND ? 0 : rc;
}

int
apply_recover(const char *verb, bool forget)
{
	struct apply_journal j;
	struct err e;
	bool found = false;
	int rc = apply_journal_open(&j, &e);

	if (rc != 0)
		return cmd_fail(verb, &e);
	rc = forget ? apply_journal_remove(&j, &e) : recover(verb, &j, &found, &e);
	if (rc == 0 && !found && !forget)
		cmd_error(verb, "there is nothing to finish or undo");
	apply_journal_close(&j);
	return rc == 0 ? CMD_OK : cmd_fail(verb, &e);
}

int
apply_request_allow(struct apply_request *r, const char *pattern, struct err *e)
{
	const char **larger = reallocarray(r->allow, r->allow_count + 1, sizeof(larger[0]));

	if (larger == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	r->allow = larger;
	r->allow[r->allow_count++] = pattern;
	return 0;
}

void
apply_request_clear(struct apply_request *r)
{
	free(r->allow);
	r->allow = NULL;
	r->allow_count = 0;
}

/* Whether the person at the terminal, if there is one, wants it. What was typed before is no answer. */
static bool
is_wanted(void)
{
	char answer[64] = "";

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return true;
	tcflush(STDIN_FILENO, TCIFLUSH);
	fprintf(stderr, "Make these changes? [y/N] ");
	fflush(stderr);
	for (size_t n = 0; n < sizeof(answer) - 1 && read(STDIN_FILENO, answer + n, 1) == 1 && answer[n] != '\n'; n++)
		;
	return strcmp(answer, "y\n") == 0 || strcmp(answer, "Y\n") == 0 || strcmp(answer, "yes\n") == 0;
}

static int
load_guard(const struct apply_request *r, struct apply_guard **out, struct err *e)
{
	struct apply_guard *g = NULL;
	int rc = apply_guard_load(NULL, &g, e);

	for (size_t i = 0; i < r->allow_count && rc == 0; i++)
		if ((rc = apply_guard_allow(g, r->allow[i], e)) != 0)
			err_context(e, "--allow-path");
	if (rc == 0)
		*out = g;
	else
		apply_guard_free(g);
	return rc;
}

/* One set of changes, on its way. */
struct work {
	const struct apply_request *r;
	const struct apply_mount *mounts;
	size_t mount_count;
	struct apply_journal j;
	struct apply_guard *guard;
	struct apply_set set;
	struct apply_tree tree;
	struct problems problems;
};

/* Of a set that is good: shows it, asks, and makes the changes. */
static int
make_changes(struct work *w, struct err *e)
{
	const struct apply_request *r = w->r;

	if (apply_show(stderr, &w->set, w->mounts, &w->tree, cmd_is_coloured()) != 0)
		return err_set(e, ERR_NOMEM, "out of memory to show the changes");
	if (w->tree.step_count == 0)
		cmd_error(r->verb, "there is nothing to change");
	if (r->dry_run || w->tree.step_count == 0)
		return 0;
	if (!r->yes && !is_wanted())
		return err_set(e, ERR_DENIED, "nothing was changed");
	return apply_steps_make(&w->tree, &w->j, &w->problems, e);
}

/* Checks the set, and makes the changes when nothing is wrong with it. */
static int
apply(struct work *w, json_t *result, struct err *e)
{
	const char *verb = w->r->verb;
	int rc = apply_set_parse(result, w->mounts, w->mount_count, &w->set, &w->problems, e);

	if (rc == 0 && w->set.elsewhere > 0)
		cmd_error(verb, "left out, as in none of the directories named: %zu, like %.200s; --dir HOST::GUEST says where the program "
		    "found a directory", w->set.elsewhere, w->set.one_elsewhere);
	if (rc == 0 && w->problems.count == 0)
		rc = apply_check(&w->set, w->mounts, w->mount_count, w->guard, w->j.dir, &w->tree, &w->problems, e);
	if (rc == 0 && w->problems.count > 0) {
		tell(verb, &w->problems, "nothing is changed, as not all of it can be:");
		return ERR_DENIED;
	}
	if (rc == 0)
		rc = make_changes(w, e);
	if (rc != 0)
		cmd_fail(verb, e);
	tell(verb, &w->problems, rc == 0 ? "the changes are made, but:" : "but for what was changed by others since:");
	return rc;
}

int
apply_result(json_t *result, const struct apply_mount *mounts, size_t mount_count, const struct apply_request *r)
{
	struct work w = {.r = r, .mounts = mounts, .mount_count = mount_count};
	struct err e = {0};
	bool found;
	int rc;

	if ((rc = apply_journal_open(&w.j, &e)) != 0)
		return cmd_fail(r->verb, &e);
	if ((rc = recover(r->verb, &w.j, &found, &e)) != 0 || (rc = load_guard(r, &w.guard, &e)) != 0)
		cmd_fail(r->verb, &e);
	else
		rc = apply(&w, result, &e);
	apply_tree_clear(&w.tree);
	apply_set_clear(&w.set);
	problems_clear(&w.problems);
	apply_guard_free(w.guard);
	apply_journal_close(&w.j);
	return rc == 0 ? CMD_OK : CMD_FAILED;
}
