/* broker/packs_ahead: language packs are compiled and started before a run asks for them. brigd. */

#ifndef BROKER_PACKS_AHEAD_H
#define BROKER_PACKS_AHEAD_H

#include "broker/packs.h"
#include "broker/pool.h"

struct broker;
struct packs_ahead;

/*
 * From packs_ahead_begin on, each pack in force whose signature counts is compiled, one after the other, when nobody waits for a
 * compiler; and one that may be kept started has a template from then on, as long as there is room for one that others do
 * not need more. What cannot be had is for runs to find and say.
 *
 * packs_ahead_new - borrows the broker, whose parts are made by packs_ahead_begin. NULL when out of memory.
 * packs_ahead_begin - begin, or begin again: packs or keys are others.
 * packs_ahead_free - before the broker's artifacts and pool go.
 */
struct packs_ahead *packs_ahead_new(struct broker *b);
void packs_ahead_begin(struct packs_ahead *a);
void packs_ahead_free(struct packs_ahead *a);

/* packs_ahead_key, packs_ahead_warm - the pack's template, and how it is started. The latter borrows the pack. */
struct heat_key packs_ahead_key(const struct pack *pack, uint32_t engine);
struct pool_warm packs_ahead_warm(const struct pack *pack);

#endif
