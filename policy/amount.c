/* policy/amount: limits as people write and read them: wall_ms=5s, 256 MiB. Pure; brig. */

#include "policy/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"

#define KIB UINT64_C(1024)

static const struct suffix {
	enum policy_unit unit;
	const char *text;
	uint64_t factor;
} suffixes[] = {
    {POLICY_UNIT_MS, "ms", 1},
    {POLICY_UNIT_MS, "s", 1000},
    {POLICY_UNIT_MS, "m", 60 * 1000},
    {POLICY_UNIT_MS, "min", 60 * 1000},
    {POLICY_UNIT_MS, "h", 60 * 60 * 1000},
    {POLICY_UNIT_BYTES, "B", 1},
    {POLICY_UNIT_BYTES, "bytes", 1},
    {POLICY_UNIT_BYTES, "K", KIB},
    {POLICY_UNIT_BYTES, "KiB", KIB},
    {POLICY_UNIT_BYTES, "M", KIB * KIB},
    {POLICY_UNIT_BYTES, "MiB", KIB * KIB},
    {POLICY_UNIT_BYTES, "G", KIB * KIB * KIB},
    {POLICY_UNIT_BYTES, "GiB", KIB * KIB * KIB},
    {POLICY_UNIT_COUNT, "k", 1000},
    {POLICY_UNIT_COUNT, "M", 1000 * 1000},
    {POLICY_UNIT_COUNT, "G", 1000 * 1000 * 1000},
};

static const char *const unit_advice[] = {
    [POLICY_UNIT_MS] = "a whole number, with ms, s, m or h or alone for milliseconds",
    [POLICY_UNIT_BYTES] = "a whole number, alone for bytes or with K, M or G",
    [POLICY_UNIT_COUNT] = "a whole number, alone or with k, M or G",
};

static int
find_limit(const char *text, size_t length, enum policy_limit *limit, struct err *e)
{
	char name[64];
	const char *near;

	snprintf(name, sizeof(name), "%.*s", length > 60 ? 60 : (int)length, text);
	for (enum policy_limit i = 0; i < POLICY_LIMIT_COUNT; i++)
		if (strcmp(name, policy_limit_names[i]) == 0) {
			*limit = i;
			return 0;
		}
	near = nearest_name(name, policy_limit_names, POLICY_LIMIT_COUNT);
	if (near != NULL)
		return err_set(e, ERR_INVAL, "there is no limit %s; did you mean %s?", name, near);
	return err_set(e, ERR_INVAL, "there is no limit %s: they are listed by brig policy limits", name);
}

/* The factor of what stands behind the digits; 0 when it is no suffix of this unit. */
static uint64_t
factor_of(const char *text, enum policy_unit unit)
{
	if (text[0] == '\0')
		return 1;
	for (size_t i = 0; i < POLICY_COUNT_OF(suffixes); i++)
		if (suffixes[i].unit == unit && strcmp(suffixes[i].text, text) == 0)
			return suffixes[i].factor;
	return 0;
}

int
policy_amount_parse(const char *text, enum policy_unit unit, uint64_t *value)
{
	uint64_t n = 0, factor;
	bool overflow = false;
	const char *p;

	for (p = text; isdigit((unsigned char)*p); p++)
		overflow |= __builtin_mul_overflow(n, UINT64_C(10), &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n);
	factor = factor_of(p, unit);
	if (p == text || factor == 0)
		return ERR_INVAL;
	if (__builtin_mul_overflow(n, factor, &n) || overflow)
		return ERR_LIMIT;
	*value = n;
	return 0;
}

const char *
policy_amount_advice(enum policy_unit unit)
{
	return unit_advice[unit];
}

int
policy_limit_parse(const char *text, enum policy_limit *limit, uint64_t *value, struct err *e)
{
	const char *equals = strchr(text, '=');
	const struct policy_limit_info *info;
	enum policy_limit found = 0;
	uint64_t n = 0;
	int rc;

	if (equals == NULL)
		return err_set(e, ERR_INVAL, "%.60s: a limit is written NAME=VALUE, as in wall_ms=5s", text);
	if ((rc = find_limit(text, (size_t)(equals - text), &found, e)) != 0)
		return rc;
	info = &policy_limit_info[found];
	rc = policy_amount_parse(equals + 1, info->unit, &n);
	if (rc == ERR_INVAL)
		return err_set(e, ERR_INVAL, "%s=%.40s: %s is written as %s", info->name, equals + 1, info->name,
		    unit_advice[info->unit]);
	if (rc != 0 || n > info->maximum) {
		char most[POLICY_LIMIT_TEXT_SIZE];

		return err_set(e, ERR_INVAL, "%s=%.40s is more than its maximum of %s", info->name, equals + 1,
		    policy_limit_text(found, info->maximum, most));
	}
	if (n < info->minimum)
		return err_set(e, ERR_INVAL, "%s=%.40s is less than its minimum of %llu", info->name, equals + 1,
		    (unsigned long long)info->minimum);
	*limit = found;
	*value = n;
	return 0;
}

char *
policy_limit_text(enum policy_limit limit, uint64_t value, char text[POLICY_LIMIT_TEXT_SIZE])
{
	static const struct {
		enum policy_unit unit;
		const char *name;
		uint64_t size;
	} units[] = {
	    {POLICY_UNIT_MS, "h", 60 * 60 * 1000},
	    {POLICY_UNIT_MS, "min", 60 * 1000},
	    {POLICY_UNIT_MS, "s", 1000},
	    {POLICY_UNIT_MS, "ms", 1},
	    {POLICY_UNIT_BYTES, "GiB", KIB * KIB * KIB},
	    {POLICY_UNIT_BYTES, "MiB", KIB * KIB},
	    {POLICY_UNIT_BYTES, "KiB", KIB},
	    {POLICY_UNIT_BYTES, "bytes", 1},
	};
	enum policy_unit unit = policy_limit_info[limit].unit;

	for (size_t i = 0; i < POLICY_COUNT_OF(units); i++) {
		if (units[i].unit != unit || (value % units[i].size != 0) || (value == 0 && units[i].size != 1))
			continue;
		snprintf(text, POLICY_LIMIT_TEXT_SIZE, "%llu %s", (unsigned long long)(value / units[i].size), units[i].name);
		return text;
	}
	snprintf(text, POLICY_LIMIT_TEXT_SIZE, "%llu", (unsigned long long)value);
	return text;
}
