/* apply_link: where a path leads when the links on it are followed, by names alone. brig. */

#ifndef CLIENTS_C_APPLY_LINK_H
#define CLIENTS_C_APPLY_LINK_H

#include <limits.h>
#include <stdbool.h>

/* Says whether there is a link at a place, and puts what it leads to into `target`. A place has no slash in front; "" is the top. */
typedef bool apply_link_fn(void *arg, const char *place, char target[PATH_MAX]);

/*
 * apply_link_follow - go along `path` from the place `from`, asking `read` at each name. What is not there is gone along
 * by its names. After 40 links it stops, as the kernel does.
 *
 * Returns 0; ERR_LIMIT when the path gets too long; with `closed` ERR_DENIED when it leads above the top or on from "/",
 * which else is the top.
 */
int apply_link_follow(const char *from, const char *path, bool closed, apply_link_fn *read, void *arg);

#endif
