/* apply_steps: makes the steps of a set of changes, all or none; and makes good what a crash left of them. brig. */

#ifndef CLIENTS_C_APPLY_STEPS_H
#define CLIENTS_C_APPLY_STEPS_H

#include "clients/c/apply_journal.h"
#include "clients/c/apply_tree.h"
#include "clients/c/problems.h"

/*
 * apply_steps_make - bring everything under temporary names, then to its place, as the journal records. When something
 * fails, or turns out to be another than when it was checked, all that was done is taken back.
 *
 * A file or directory that someone else changed behind us cannot be taken back without loss: it stays as they left it,
 * and is a problem that says where the old one is.
 *
 * Returns 0 when all changes are made; ERR_AGAIN when something was changed meanwhile, ERR_IO, ERR_NOMEM,
 * ERR_UNSUPPORTED: none is, but for those in *problems; the journal is gone, unless taking back failed as well. The
 * message says which.
 */
int apply_steps_make(struct apply_tree *t, struct apply_journal *j, struct problems *problems, struct err *e);

/*
 * apply_steps_recover - make good what a journal is about: remove what waits under temporary names when all steps were
 * done, else take back those that were. *finished says which. 0 when that worked, and the journal is gone;
 * ERR_NOTFOUND when there is no journal, and nothing to do; else as apply_journal_read() and apply_steps_make().
 */
int apply_steps_recover(struct apply_journal *j, bool *finished, struct problems *problems, struct err *e);

#endif
