/* broker/grants: the operator's grants by owner, one policy document per user. brigd. */

#ifndef BROKER_GRANTS_H
#define BROKER_GRANTS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "policy/policy.h"

struct grants;

/*
 * grants_load - read every *.json in `directory` (NULL: no grants): UID.json or NAME.json for the user of that name.
 * One bad document fails the whole: half the grants would be a surprise. Returns 0 with *out for grants_free(), or
 * ERR_INVAL (the file and what is wrong with it), ERR_IO, ERR_NOMEM with *out untouched.
 */
int grants_load(const char *directory, struct grants **out, struct err *e);
void grants_free(struct grants *g);

/* grants_owner - the user that "1000" or "alice" names. Returns 0 with *owner, or ERR_INVAL. */
int grants_owner(const char *name, size_t length, uid_t *owner, struct err *e);

/* grants_of, grants_document_of - what is granted to a user, borrowed; NULL when there is none, which does not narrow. */
const struct policy_document *grants_document_of(const struct grants *g, uid_t owner);
const struct policy *grants_of(const struct grants *g, uid_t owner);

#endif
