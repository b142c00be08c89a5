/* top_view: how `brig top` shows server.metrics: as a screen, and as one line. No I/O but the writing. brig. */

#ifndef CLIENTS_C_TOP_VIEW_H
#define CLIENTS_C_TOP_VIEW_H

#include <jansson.h>
#include <stdio.h>

/* What is shown: two answers of server.metrics, and the time between them. Borrows. */
struct top_view {
	const json_t *now, *before; /* before: NULL for none; rates are then those since brigd started */
	double seconds;             /* between them */
	const char *server;         /* where it listens */
	unsigned columns, rows;     /* of the screen; lists of users and templates are cut so that all fits; 0: no bound */
};

/*
 * top_view_screen - the whole picture, one line for each '\n', none longer than `columns`, at most `rows`. What comes from
 * the server is shown with control characters as '?'.
 *
 * top_view_header, top_view_line - the same in one line, for what is no terminal: time of day, what runs and waits, rates,
 * percentiles; and the names of these columns.
 */
void top_view_screen(const struct top_view *v, FILE *out);
void top_view_header(FILE *out);
void top_view_line(const struct top_view *v, const char *time, FILE *out);

/* top_view_time, top_view_bytes - "850 us", "1.23 ms", "4.5 s"; "17 KiB", "1.2 GiB". Return `text`. */
#define TOP_VIEW_TEXT_SIZE 32
const char *top_view_time(const json_t *us, char text[TOP_VIEW_TEXT_SIZE]);
const char *top_view_bytes(const json_t *bytes, char text[TOP_VIEW_TEXT_SIZE]);

#endif
