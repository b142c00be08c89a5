/*
 * Fuzz target: clients/c/apply*: a change set against a real tree, which is made anew when an input has changed it.
 *
 * The input is the text of a result, or makes one out of words that mean something in that tree, so that much of it
 * gets past the checks. Nothing outside of the tree may ever change; nothing inside when the set was refused or
 * failed.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/store_disk.h"
#include "clients/c/apply_check.h"
#include "clients/c/apply_journal.h"
#include "clients/c/apply_show.h"
#include "clients/c/apply_steps.h"
#include "tests/fuzz/input.h"

#define CHANGES_MAX 40
#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static const char *const words[] = {"f", "g", "d", "e", "l", "out", "..", ".", "", "p", ".git", "config", "Makefile", "new",
    "n2", "D", "sub", "x", "y", "in", "a\x1b", ".brig-apply-0"};
static const char *const contents[] = {"f", "g\n", "df", "", "new\ncontent\n", "x"};

/* --- the tree ---------------------------------------------------------------------------------------------------- */

static void
put_file(int dir, const char *path, const char *text)
{
	int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	MUST(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static void
make_tree(int top)
{
	store_disk_remove(top, "tree", NULL);
	MUST(mkdirat(top, "tree", 0755) == 0);
	MUST(mkdirat(top, "tree/d", 0755) == 0 && mkdirat(top, "tree/d/e", 0755) == 0 && mkdirat(top, "tree/.git", 0755) == 0);
	put_file(top, "tree/f", "f");
	put_file(top, "tree/g", "g\n");
	put_file(top, "tree/d/f", "df");
	put_file(top, "tree/.git/config", "x");
	MUST(symlinkat("f", top, "tree/l") == 0 && symlinkat("../outside", top, "tree/out") == 0);
	MUST(mkfifoat(top, "tree/p", 0644) == 0);
}

static void
make_world(int top)
{
	MUST(mkdirat(top, "outside", 0755) == 0 && mkdirat(top, "outside/d", 0755) == 0);
	put_file(top, "outside/f", "f");
	make_tree(top);
}

/* What is below a directory, as text: names, modes, what they hold; sorted, as scandir has it. */
static void
write_down(FILE *f, int top, const char *path)
{
	struct dirent **entries;
	int count = scandirat(top, path, &entries, NULL, alphasort);

	MUST(count >= 0);
	for (int i = 0; i < count; i++) {
		char name[2 * PATH_MAX], held[4096] = "";
		struct stat st;
		int fd = -1;

		if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0) {
			snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
			MUST(strncmp(entries[i]->d_name, APPLY_TEMP_PREFIX, strlen(APPLY_TEMP_PREFIX)) != 0);
			MUST(fstatat(top, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
			if (S_ISREG(st.st_mode))
				MUST((fd = openat(top, name, O_RDONLY | O_CLOEXEC)) >= 0 && read(fd, held, sizeof(held) - 1) >= 0);
			else if (S_ISLNK(st.st_mode))
				MUST(readlinkat(top, name, held, sizeof(held) - 1) >= 0);
			fprintf(f, "%s %o %s\n", name, st.st_mode, held);
			if (fd >= 0)
				close(fd);
			if (S_ISDIR(st.st_mode))
				write_down(f, top, name);
		}
		free(entries[i]);
	}
	free(entries);
}

static char *
snapshot(int top, const char *path)
{
	char *text = NULL;
	size_t length;
	FILE *f = open_memstream(&text, &length);

	MUST(f != NULL);
	write_down(f, top, path);
	MUST(fclose(f) == 0);
	return text;
}

/* --- the change set ---------------------------------------------------------------------------------------------- */

static void
add_path(struct input *in, char *out, size_t size, const char *prefix)
{
	unsigned count = input_byte(in) % 4 + 1;
	size_t n = (size_t)snprintf(out, size, "%s", prefix);

	for (unsigned i = 0; i < count; i++) {
		uint8_t which = input_byte(in);

		n += (size_t)snprintf(out + n, size - n, "%s%s", i > 0 ? "/" : "", words[which % COUNT_OF(words)]);
	}
}

static json_t *
digest_json(const char *text)
{
	char out[DIGEST_TEXT_SIZE];
	struct digest d = digest_of(text, strlen(text));

	return json_string(digest_text(&d, out));
}

static json_t *
make_change(struct input *in)
{
	uint8_t kinds = input_byte(in), base = input_byte(in);
	const char *content = contents[input_byte(in) % COUNT_OF(contents)];
	char path[1024], target[1024];
	json_t *one;

	add_path(in, path, sizeof(path), (kinds & 0xc0) == 0xc0 ? "/w" : "/w/");
	one = json_pack("{s:s, s:s, s:s}", "path", path, "change", apply_what_names[kinds % 3], "kind",
	    apply_kind_names[kinds / 3 % 3]);
	MUST(one != NULL);
	if (kinds / 3 % 3 == APPLY_LINK) {
		add_path(in, target, sizeof(target), "");
		json_object_set_new(one, "target", json_string(target));
	} else {
		json_object_set_new(one, "content", json_string(content));
		json_object_set_new(one, "encoding", json_string("utf-8"));
		json_object_set_new(one, "digest", digest_json((kinds & 0x20) != 0 && base == 7 ? "other" : content));
	}
	if ((base & 0x30) != 0)
		json_object_set_new(one, "was", json_string(apply_kind_names[(base >> 4 & 3) - 1]));
	if (base % 8 < COUNT_OF(contents))
		json_object_set_new(one, "base", digest_json(contents[base % 8]));
	return one;
}

static json_t *
make_result(struct input *in)
{
	json_t *changes = json_array(), *result;

	if (input_byte(in) % 8 == 0) {
		result = json_loadb((const char *)in->p, in->left, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
		json_decref(changes);
		return result;
	}
	while (in->left > 0 && json_array_size(changes) < CHANGES_MAX)
		json_array_append_new(changes, make_change(in));
	return json_pack("{s:o}", "changes", changes);
}

/* --- applying it ------------------------------------------------------------------------------------------------- */

/* As apply_result() does, without a person. Whether the changes are made. */
static bool
apply(json_t *result, const char *host)
{
	const struct apply_mount mount = {host, "/w"};
	struct problems problems = {.lines = NULL};
	struct apply_tree tree = {.roots = NULL};
	struct apply_set set = {.json = NULL};
	struct apply_guard *guard = NULL;
	struct apply_journal j;
	struct err e = {0};
	bool finished, made = false;
	char *shown = NULL;
	size_t length;
	FILE *f = open_memstream(&shown, &length);

	MUST(apply_journal_open(&j, &e) == 0 && apply_guard_load(NULL, &guard, &e) == 0);
	MUST(apply_guard_allow(guard, "sub/Makefile", &e) == 0);
	MUST(apply_steps_recover(&j, &finished, &problems, &e) == ERR_NOTFOUND);
	if (apply_set_parse(result, &mount, 1, &set, &problems, &e) == 0 && problems.count == 0) {
		MUST(apply_check(&set, &mount, 1, guard, j.dir, &tree, &problems, &e) == 0);
		if (problems.count == 0) {
			MUST(apply_show(f, &set, &mount, &tree, false) == 0);
			made = apply_steps_make(&tree, &j, &problems, &e) == 0;
			MUST(made || e.code == ERR_AGAIN);
			MUST(problems.count == 0); /* nobody else is here */
		}
	}
	MUST(apply_steps_recover(&j, &finished, &problems, &e) == ERR_NOTFOUND);
	fclose(f);
	free(shown);
	apply_tree_clear(&tree);
	apply_set_clear(&set);
	apply_guard_free(guard);
	problems_clear(&problems);
	apply_journal_close(&j);
	return made;
}

/* Each change that was made can be seen. */
static void
must_be_made(int top, json_t *result)
{
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(result, "changes"), i, one) {
		const char *path = json_string_value(json_object_get(one, "path"));
		const char *change = json_string_value(json_object_get(one, "change"));
		char name[PATH_MAX];
		struct stat st;

		if (strncmp(path, "/w/", 3) != 0)
			continue;
		snprintf(name, sizeof(name), "tree/%s", path + 3);
		if (strcmp(change, "deleted") == 0)
			MUST(fstatat(top, name, &st, AT_SYMLINK_NOFOLLOW) != 0 && (errno == ENOENT || errno == ENOTDIR));
		else
			MUST(fstatat(top, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char *outside, *tree, host[PATH_MAX];
	struct input in = {data, size};
	int top = input_directory(), before;
	char link[64], *now;
	json_t *result;
	bool made;

	if (tree == NULL) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", top);
		MUST(readlink(link, host, sizeof(host) - 10) > 0);
		MUST(setenv("XDG_STATE_HOME", host, 1) == 0 && setenv("XDG_CONFIG_HOME", "/nowhere", 1) == 0);
		strcat(host, "/tree");
		make_world(top);
		outside = snapshot(top, "outside");
		tree = snapshot(top, "tree");
	}
	before = input_lowest_fd();
	result = make_result(&in);
	made = apply(result, host);
	now = snapshot(top, "outside");
	MUST(strcmp(now, outside) == 0);
	free(now);
	now = snapshot(top, "tree");
	MUST(made || strcmp(now, tree) == 0);
	if (made)
		must_be_made(top, result);
	if (strcmp(now, tree) != 0)
		make_tree(top);
	free(now);
	json_decref(result);
	MUST(input_lowest_fd() == before);
	return 0;
}
