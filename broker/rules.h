/* broker/rules: the keyring, policies and language packs that brigd works by, read at start and on SIGHUP. brigd. */

#ifndef BROKER_RULES_H
#define BROKER_RULES_H

#include "base/err.h"

struct broker;

/*
 * rules_load - read keyring, ceiling, grants, shares and language packs as configured, in force together. The highest keyring
 * version seen is kept in STATE/broker, for each root key by itself, so that an older keyring of that key is refused
 * ever after; the first keyring of another root key is no older one. On failure everything stays as it was, and the
 * error says which file is to blame.
 */
int rules_load(struct broker *b, struct err *e);

/* rules_save - persist the version of the keyring in force, if it is higher than what is kept. 0 or ERR_IO. */
int rules_save(const struct broker *b, struct err *e);

/* rules_explain - when `e` is about a file that brigd's user may not read, say so, and what to do, instead. */
void rules_explain(const struct broker *b, struct err *e);

/* rules_clear - free what was loaded. */
void rules_clear(struct broker *b);

#endif
