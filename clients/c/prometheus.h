/* prometheus: the answer of server.metrics in Prometheus's text form. brig. */

#ifndef CLIENTS_C_PROMETHEUS_H
#define CLIENTS_C_PROMETHEUS_H

#include <jansson.h>
#include <stdio.h>

/*
 * prometheus_print - write what `metrics` has of the table in broker/metrics.h, in the text exposition format, version
 * 0.0.4. What it has not, or has as null, is left out, and so is what stands in no row.
 */
void prometheus_print(const json_t *metrics, FILE *out);

#endif
