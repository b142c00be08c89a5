/* base/utc: times as people write them: RFC 3339 in UTC. Any process. */

#include "base/utc.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char form[] = "0000-00-00T00:00:00Z";
#define LAST INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

/* The number that `count` digits at `p` make. */
static int
digits(const char *p, int count)
{
	int n = 0;

	while (count-- > 0)
		n = 10 * n + (*p++ - '0');
	return n;
}

static int
has_form(const char *text, size_t length)
{
	if (length != sizeof(form) - 1)
		return 0;
	for (size_t i = 0; i < length; i++)
		if (form[i] == '0' ? !isdigit((unsigned char)text[i]) : text[i] != form[i])
			return 0;
	return 1;
}

int
utc_parse(const char *text, size_t length, int64_t *seconds, struct err *e)
{
	char again[UTC_TEXT_SIZE];
	struct tm tm = {0};
	time_t t;

	if (!has_form(text, length))
		goto bad;
	tm.tm_year = digits(text, 4) - 1900;
	tm.tm_mon = digits(text + 5, 2) - 1;
	tm.tm_mday = digits(text + 8, 2);
	tm.tm_hour = digits(text + 11, 2);
	tm.tm_min = digits(text + 14, 2);
	tm.tm_sec = digits(text + 17, 2);
	t = timegm(&tm);
	/* A day that does not exist (30 February, 25 o'clock) was made another one: it does not come back the same. */
	if (t < 0 || t > LAST || memcmp(utc_text(t, again), text, length) != 0)
		goto bad;
	*seconds = t;
	return 0;
bad:
	return err_set(e, ERR_INVAL, "not a time: it is written like 2027-01-31T23:59:59Z, in UTC");
}

char *
utc_text(int64_t seconds, char text[UTC_TEXT_SIZE])
{
	time_t t = seconds < 0 ? 0 : seconds > LAST ? LAST : seconds;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, UTC_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return text;
}
