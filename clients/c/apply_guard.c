/* apply_guard: paths through which a host runs programs later, which are not changed unless they are named. brig. */

#include "clients/c/apply_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/nearest.h"

#define FILE_MAX_BYTES (1024 * 1024)
#define COUNT_OF(a)    (sizeof(a) / sizeof((a)[0]))

static const struct apply_guard_rule builtin[] = {
#define X(pattern, reason) {pattern, reason},
    APPLY_GUARD(X)
#undef X
};

struct apply_guard {
	bool off[COUNT_OF(builtin)];
	json_t *file; /* owns the patterns of `more` */
	struct apply_guard_rule *more;
	size_t more_count;
	const char **allowed;
	size_t allowed_count;
};

/* --- matching ---------------------------------------------------------------------------------------------------- */

/*
 * Whether the pattern matches `text` from its start; `*` stands for any bytes but '/'. The end of the pattern has to be
 * the end of the text, or with `below` that of one of its components.
 */
static bool
matches(const char *pattern, const char *text, bool below)
{
	const char *star = NULL, *retry = NULL;

	for (;;) {
		if (*pattern == '*') {
			star = pattern++;
			retry = text;
		} else if (*pattern == '\0' && (*text == '\0' || (below && *text == '/'))) {
			return true;
		} else if (*pattern != '\0' && *pattern == *text) {
			pattern++;
			text++;
		} else if (star != NULL && *retry != '\0' && *retry != '/') {
			pattern = star + 1;
			text = ++retry;
		} else {
			return false;
		}
	}
}

/* Characters that become ASCII letters where case does not count. */
static const struct {
	const char *from, *to;
} folds[] = {
    {"\xe2\x84\xaa", "k"},    /* kelvin sign */
    {"\xc5\xbf", "s"},        /* long s */
    {"\xc3\x9f", "ss"},       /* sharp s */
    {"\xe1\xba\x9e", "ss"},
    {"\xc4\xb0", "i"},        /* dotted i */
    {"\xef\xac\x80", "ff"},   /* ligatures */
    {"\xef\xac\x81", "fi"},
    {"\xef\xac\x82", "fl"},
    {"\xef\xac\x83", "ffi"},
    {"\xef\xac\x84", "ffl"},
    {"\xef\xac\x85", "st"},
    {"\xef\xac\x86", "st"},
};

/* What one character becomes; how many bytes it has goes to *length. */
static const char *
fold_one(const char *p, size_t *length, char one[2])
{
	unsigned char c = (unsigned char)*p;

	*length = 1;
	one[0] = (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
	one[1] = '\0';
	if (c < 0x80)
		return one;
	for (size_t i = 0; i < COUNT_OF(folds); i++)
		if (strncmp(p, folds[i].from, strlen(folds[i].from)) == 0) {
			*length = strlen(folds[i].from);
			return folds[i].to;
		}
	return "";
}

/* Ends a name: dots and spaces at its end do not count on some filesystems. */
static size_t
trim(const char *out, size_t start, size_t n)
{
	while (n > start + 1 && (out[n - 1] == '.' || out[n - 1] == ' '))
		n--;
	return n;
}

char *
apply_guard_fold(const char *path)
{
	char *out = malloc(2 * strlen(path) + 1), one[2];
	size_t n = 0, start = 0, length;

	if (out == NULL)
		return NULL;
	for (const char *p = path; *p != '\0'; p += length) {
		const char *to = fold_one(p, &length, one);

		if (*p == '/')
			n = trim(out, start, n);
		memcpy(out + n, to, strlen(to));
		n += strlen(to);
		if (*p == '/')
			start = n;
	}
	out[trim(out, start, n)] = '\0';
	return out;
}

/* Whether the pattern stands for names in a row somewhere in the folded path. */
static bool
is_in(const char *pattern, const char *path)
{
	for (const char *p = path; p != NULL; p = strchr(p, '/')) {
		p += *p == '/';
		if (matches(pattern, p, true))
			return true;
	}
	return false;
}

bool
apply_guard_allows(const struct apply_guard *g, const char *path)
{
	for (size_t i = 0; i < g->allowed_count; i++)
		if (matches(g->allowed[i], path, false))
			return true;
	return false;
}

const struct apply_guard_rule *
apply_guard_find(const struct apply_guard *g, const char *path)
{
	static const struct apply_guard_rule no_memory = {"*", "there is no memory to look whether it may be changed"};
	const struct apply_guard_rule *found = NULL;
	char *folded;

	if (apply_guard_allows(g, path))
		return NULL;
	if ((folded = apply_guard_fold(path)) == NULL)
		return &no_memory;
	for (size_t i = 0; i < COUNT_OF(builtin) && found == NULL; i++)
		if (!g->off[i] && is_in(builtin[i].pattern, folded))
			found = &builtin[i];
	for (size_t i = 0; i < g->more_count && found == NULL; i++)
		if (is_in(g->more[i].pattern, folded))
			found = &g->more[i];
	free(folded);
	return found;
}

/* --- apply.json -------------------------------------------------------------------------------------------------- */

static int
check_pattern(const char *pattern, struct err *e)
{
	const char *p = pattern;

	for (size_t n; *p != '\0'; p += n + (p[n] == '/' && p[n + 1] != '\0')) {
		n = strcspn(p, "/");
		if (n == 0 || (p[n] == '/' && p[n + 1] == '\0') || (n <= 2 && strncmp(p, "..", n) == 0))
			return err_set(e, ERR_INVAL, "\"%.200s\" matches nothing: a pattern is names with a slash between them, "
			    "without . and .., from the directory of the changes on", pattern);
	}
	return *pattern != '\0' ? 0 : err_set(e, ERR_INVAL, "a pattern is empty");
}

/* One word of "refuse". */
static int
add_rule(struct apply_guard *g, json_t *word, struct err *e)
{
	const char *pattern = json_string_value(word);
	char *folded;
	int rc;

	if (pattern == NULL)
		return err_set(e, ERR_INVAL, "\"refuse\" is a list of patterns, which are strings");
	if ((rc = check_pattern(pattern, e)) != 0)
		return rc;
	if ((folded = apply_guard_fold(pattern)) == NULL || json_string_set(word, folded) != 0)
		rc = err_set(e, ERR_NOMEM, "out of memory");
	free(folded);
	if (rc == 0)
		g->more[g->more_count++] = (struct apply_guard_rule){json_string_value(word), "apply.json refuses it"};
	return rc;
}

/* One word of "allow". */
static int
drop_rule(struct apply_guard *g, const json_t *word, struct err *e)
{
	const char *names[COUNT_OF(builtin)], *pattern = json_string_value(word), *near;

	if (pattern == NULL)
		return err_set(e, ERR_INVAL, "\"allow\" is a list of patterns, which are strings");
	for (size_t i = 0; i < COUNT_OF(builtin); i++) {
		names[i] = builtin[i].pattern;
		if (strcmp(pattern, names[i]) == 0) {
			g->off[i] = true;
			return 0;
		}
	}
	near = nearest_name(pattern, names, COUNT_OF(builtin));
	return err_set(e, ERR_INVAL, "\"allow\": the list has no pattern \"%.100s\"%s%s%s", pattern,
	    near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near, near == NULL ? "" : "\"?");
}

static int
check_members(const json_t *file, struct err *e)
{
	static const char *const known[] = {"version", "refuse", "allow"};
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)file, name, value) {
		bool is_known = false;

		for (size_t i = 0; i < COUNT_OF(known); i++)
			is_known |= strcmp(name, known[i]) == 0;
		if (!is_known)
			return err_set(e, ERR_INVAL, "there is no \"%.100s\": it has \"version\", \"refuse\" and \"allow\"", name);
		if (strcmp(name, "version") != 0 && !json_is_array(value))
			return err_set(e, ERR_INVAL, "\"%s\" is a list of patterns", name);
	}
	if (json_integer_value(json_object_get(file, "version")) != 1)
		return err_set(e, ERR_INVAL, "it has to say \"version\": 1");
	return 0;
}

static int
take_file(struct apply_guard *g, const uint8_t *text, size_t length, struct err *e)
{
	json_error_t where;
	json_t *refuse, *word;
	size_t i;
	int rc;

	if ((g->file = json_loadb((const char *)text, length, JSON_REJECT_DUPLICATES, &where)) == NULL)
		return err_set(e, ERR_INVAL, "line %d: %s", where.line, where.text);
	if (!json_is_object(g->file))
		return err_set(e, ERR_INVAL, "it has to be an object");
	if ((rc = check_members(g->file, e)) != 0)
		return rc;
	refuse = json_object_get(g->file, "refuse");
	if ((g->more = calloc(json_array_size(refuse) + 1, sizeof(g->more[0]))) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	json_array_foreach(refuse, i, word)
		if ((rc = add_rule(g, word, e)) != 0)
			return rc;
	json_array_foreach(json_object_get(g->file, "allow"), i, word)
		if ((rc = drop_rule(g, word, e)) != 0)
			return rc;
	return 0;
}

/* Reads the file if it is there; *must says that it has to be. */
static int
read_file(struct apply_guard *g, const char *path, bool must, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;
	uint8_t *text = NULL;
	struct stat st;
	size_t length;

	if (fd < 0 && errno == ENOENT && !must)
		return 0;
	if (fd < 0 || fstat(fd, &st) != 0)
		rc = err_sys(e, ERR_IO, "opening it");
	else if (!S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022) != 0)
		rc = err_set(e, ERR_DENIED, "others could change it: it must be a file of yours that only you can write to");
	else if ((rc = io_read_fd(fd, FILE_MAX_BYTES, &text, &length, e)) == 0)
		rc = take_file(g, text, length, e);
	if (rc != 0)
		err_context(e, "%s", path);
	free(text);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
read_default(struct apply_guard *g, struct err *e)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	char path[PATH_MAX];
	bool own = config != NULL && config[0] == '/';

	if (!own && (home == NULL || home[0] != '/'))
		return 0;
	if (snprintf(path, sizeof(path), "%s%s/brig/apply.json", own ? config : home, own ? "" : "/.config") >=
	    (int)sizeof(path))
		return err_set(e, ERR_INVAL, "the path of apply.json is too long");
	return read_file(g, path, false, e);
}

int
apply_guard_load(const char *file, struct apply_guard **out, struct err *e)
{
	struct apply_guard *g = calloc(1, sizeof(*g));
	int rc;

	if (g == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = file != NULL ? read_file(g, file, true, e) : read_default(g, e);
	if (rc == 0)
		*out = g;
	else
		apply_guard_free(g);
	return rc;
}

int
apply_guard_allow(struct apply_guard *g, const char *pattern, struct err *e)
{
	const char **larger;
	int rc = check_pattern(pattern, e);

	if (rc != 0)
		return rc;
	if ((larger = reallocarray(g->allowed, g->allowed_count + 1, sizeof(larger[0]))) == NULL)
		return err_set(e, ERR_NOMEM, "out of memory");
	g->allowed = larger;
	g->allowed[g->allowed_count++] = pattern;
	return 0;
}

void
apply_guard_free(struct apply_guard *g)
{
	if (g == NULL)
		return;
	json_decref(g->file);
	free(g->more);
	free(g->allowed);
	free(g);
}
