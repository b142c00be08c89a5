/* apply_journal: what is being applied, so that a crash can be made good; one at a time for each user. brig. */

#ifndef CLIENTS_C_APPLY_JOURNAL_H
#define CLIENTS_C_APPLY_JOURNAL_H

#include <limits.h>
#include <sys/types.h>

#include "base/err.h"
#include "clients/c/apply_tree.h"

/*
 * The journal is the file `journal` in a directory that only the user may enter, outside of what changes go to. Its
 * first line has the steps; the second comes when everything waits under its temporary name, with the inode numbers;
 * the third when every step is done. Each is on the disk before the next thing happens. Without the third line, what
 * was done is to be undone; with it, only temporary names are left to remove.
 */
enum apply_phase { APPLY_BEGUN, APPLY_STAGED, APPLY_DONE };

struct apply_journal {
	char path[PATH_MAX]; /* of the directory, as the kernel says it */
	int dir;
	int lock;
	int fd;             /* of the journal, while there is one; else -1 */
	off_t staged_end;   /* where the third line begins */
};

/*
 * apply_journal_open - take up the directory ($XDG_STATE_HOME/brig/apply, else ~/.local/state/brig/apply), made if it
 * is not there, and its lock. 0 with *j for apply_journal_close(); ERR_AGAIN when another brig has the lock;
 * ERR_DENIED when others could change what is there; ERR_INVAL (no home), ERR_IO.
 */
int apply_journal_open(struct apply_journal *j, struct err *e);
void apply_journal_close(struct apply_journal *j);

/*
 * apply_journal_begin, _staged, _done - write the line. _remove - there is nothing to make good any more; also when
 * there is none. 0; ERR_IO, ERR_NOMEM; ERR_INVAL for a directory with a path that is not UTF-8.
 */
int apply_journal_begin(struct apply_journal *j, const struct apply_tree *t, struct err *e);
int apply_journal_staged(struct apply_journal *j, const struct apply_tree *t, struct err *e);
int apply_journal_done(struct apply_journal *j, struct err *e);
int apply_journal_remove(struct apply_journal *j, struct err *e);

/* apply_journal_not_done - take a third line back that may have been written or not. 0 or ERR_IO. */
int apply_journal_not_done(struct apply_journal *j, struct err *e);

/*
 * apply_journal_read - the steps of the journal that was left, with the roots opened again, for apply_tree_clear().
 * Other directories have no descriptor yet. ERR_NOTFOUND when there is none; ERR_CORRUPT; ERR_DENIED when one of the
 * roots is not there any more, or is another directory now; ERR_IO, ERR_NOMEM.
 */
int apply_journal_read(struct apply_journal *j, struct apply_tree *out, enum apply_phase *phase, struct err *e);

#endif
