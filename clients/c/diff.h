/* diff: the difference of two texts by lines, for people to read. Pure, but for printing. brig. */

#ifndef CLIENTS_C_DIFF_H
#define CLIENTS_C_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A text; not owned. */
struct diff_text {
	const char *text;
	size_t length;
};

/*
 * diff_print - print how `after` differs from `before`, in hunks with three lines around each change, as diff -u does.
 * Everything in a line that would not show, or would turn the direction of writing, is shown escaped. With `colour`,
 * what goes is red and what comes green.
 *
 * The time that it takes is bounded: texts that differ in more than DIFF_EDITS lines are shown as all of the one going
 * and all of the other coming, behind what they begin and before what they end with alike. Of more than DIFF_LINES
 * lines to be shown, the rest is only counted.
 *
 * Returns 0 or ERR_NOMEM.
 */
#define DIFF_EDITS 1000
#define DIFF_LINES 10000
int diff_print(FILE *f, struct diff_text before, struct diff_text after, bool colour);

/* diff_is_text - whether it is text that can be shown by lines: UTF-8 without NUL. */
bool diff_is_text(struct diff_text t);

#endif
