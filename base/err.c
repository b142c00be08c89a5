/* base/err: what went wrong, in a form that a person can act on. Any process. */

#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int
err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return code;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	return code;
}

int
err_sys(struct err *e, int code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	int n;

	if (e == NULL)
		return code;
	e->code = code;
	va_start(ap, fmt);
	n = vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(e->msg))
		snprintf(e->msg + n, sizeof(e->msg) - (size_t)n, ": %s", strerror(saved));
	errno = saved;
	return code;
}

int
err_context(struct err *e, const char *fmt, ...)
{
	char prefix[300];
	char story[sizeof(e->msg)];
	va_list ap;

	if (e == NULL)
		return ERR_IO;
	va_start(ap, fmt);
	vsnprintf(prefix, sizeof(prefix), fmt, ap);
	va_end(ap);
	memcpy(story, e->msg, sizeof(story));
	snprintf(e->msg, sizeof(e->msg), "%s: %.*s", prefix, (int)(sizeof(e->msg) - sizeof(prefix) - 3), story);
	return e->code;
}

static const struct {
	int code;
	const char *name;
	const char *text;
} codes[] = {
#define X(name, value, text) {name, #name, text},
	ERR_CODES(X)
#undef X
};

const char *
err_name(int code)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].code == code)
			return codes[i].name;
	return "ERR_?";
}

const char *
err_text(int code)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].code == code)
			return codes[i].text;
	return "unknown error";
}
