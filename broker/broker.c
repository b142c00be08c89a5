/* broker/broker: the operator's log. brigd. */

#include "broker/broker.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/quote.h"

void
broker_log(const char *fmt, ...)
{
	struct timespec now;
	struct tm tm;
	char line[QUOTE_SIZE + 512];
	va_list ap;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(line + n, sizeof(line) - n, ".%03ldZ brigd ", now.tv_nsec / 1000000);
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	for (char *p = line; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	strcat(line, "\n");
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		return; /* nowhere else to say so */
}

void
broker_log_reason(const char *event, const char *text)
{
	char quoted[QUOTE_SIZE];

	broker_log("%s reason=%s", event, quote(text, strlen(text), quoted, sizeof(quoted)));
}
