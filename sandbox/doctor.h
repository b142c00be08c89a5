/* sandbox/doctor: tries every layer of the jail on this machine, in throw-away children. The brig command. */

#ifndef SANDBOX_DOCTOR_H
#define SANDBOX_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "sandbox/jail.h"

#define DOCTOR_LAYERS 17

struct doctor_layer {
	const char *name;    /* as in PROTO_LAYERS */
	const char *purpose; /* from there too */
	bool required;       /* by the profile */
	bool used;           /* false: the profile does without it, so it was not tried */
	bool present;
	char why[1000];  /* when not present: what happened */
	const char *how; /* when not present: how to get it */
};

struct doctor_report {
	enum jail_profile profile;
	bool root; /* started as root */
	char kernel[80];
	char machine[80];
	int landlock_abi; /* 0: none */
	long page_size;
	uint32_t present;          /* as a mask */
	uint32_t required_missing; /* as a mask; 0: brigd will start */
	struct doctor_layer layers[DOCTOR_LAYERS]; /* by bit */
};

/*
 * doctor_examine - really try every layer that the profile uses: a child takes it on and checks that it holds. Changes
 * nothing outside those children. The caller is single-threaded and has no handler that reaps children. Cannot fail:
 * what could not be tried is not present, and `why` says what happened.
 */
void doctor_examine(enum jail_profile profile, struct doctor_report *report);

#endif
