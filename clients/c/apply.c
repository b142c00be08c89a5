/* apply: brings what a program did to its files to the directories of the host. `brig apply` and `brig run --apply`. */

#include "clients/c/apply.h"

#include <errno.h>
#include <stdio.h>
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

/* Of a set that is good: shows it, asks, and makes the changes. */
static int
make_changes(const struct apply_request *r, const struct apply_set *set, struct apply_tree *t, struct apply_journal *j,
    struct problems *problems, struct err *e)
{
	if (apply_show(stderr, set, r->mounts, t, cmd_is_coloured()) != 0)
		return err_set(e, ERR_NOMEM, "out of memory to show the changes");
	if (t->step_count == 0)
		cmd_error(r->verb, "there is nothing to change");
	if (r->dry_run || t->step_count == 0)
		return 0;
	if (!r->yes && !is_wanted())
		return err_set(e, ERR_DENIED, "nothing was changed");
	return apply_steps_make(t, j, problems, e);
}

/* Checks the set, and makes the changes when nothing is wrong with it. */
static int
apply(json_t *result, const struct apply_request *r, const struct apply_guard *guard, struct apply_journal *j,
    struct problems *problems, struct err *e)
{
	struct apply_set set = {.json = NULL};
	struct apply_tree tree = {.roots = NULL};
	int rc = apply_set_parse(result, r->mounts, r->mount_count, &set, problems, e);

	if (rc == 0 && set.elsewhere > 0)
		cmd_error(r->verb, "left out, as in none of the directories named: %zu", set.elsewhere);
	if (rc == 0 && problems->count == 0)
		rc = apply_check(&set, r->mounts, r->mount_count, guard, j->path, &tree, problems, e);
	if (rc == 0 && problems->count > 0) {
		tell(r->verb, problems, "nothing is changed, as not all of it can be:");
		rc = ERR_DENIED;
	} else if (rc == 0 && (rc = make_changes(r, &set, &tree, j, problems, e)) != 0) {
		cmd_fail(r->verb, e);
		tell(r->verb, problems, "but for what was changed by others since:");
	} else if (rc == 0) {
		tell(r->verb, problems, "the changes are made, but:");
	} else {
		cmd_fail(r->verb, e);
	}
	apply_tree_clear(&tree);
	apply_set_clear(&set);
	return rc;
}

int
apply_result(json_t *result, const struct apply_request *r)
{
	struct problems problems = {.lines = NULL};
	struct apply_guard *guard = NULL;
	struct apply_journal j;
	struct err e = {0};
	bool found;
	int rc;

	if ((rc = apply_journal_open(&j, &e)) != 0)
		return cmd_fail(r->verb, &e);
	if ((rc = recover(r->verb, &j, &found, &e)) != 0 || (rc = load_guard(r, &guard, &e)) != 0)
		cmd_fail(r->verb, &e);
	else
		rc = apply(result, r, guard, &j, &problems, &e);
	problems_clear(&problems);
	apply_guard_free(guard);
	apply_journal_close(&j);
	return rc == 0 ? CMD_OK : CMD_FAILED;
}
