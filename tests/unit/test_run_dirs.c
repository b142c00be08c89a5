/* The directories of `brig run --dir`: how the option is read, and what it makes of a policy. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clients/c/run_dirs.h"

static void
expect_dir(const char *text, const char *host, const char *guest, bool read_only)
{
	struct run_dirs d = {0};
	struct err e = {0};

	if (run_dirs_add(&d, text, &e) != 0)
		fail_msg("%s: %s", text, e.msg);
	assert_int_equal(d.count, 1);
	assert_string_equal(d.list[0].host, host);
	assert_string_equal(d.list[0].guest, guest);
	assert_int_equal(d.list[0].read_only, read_only);
	run_dirs_clear(&d);
}

static void
expect_refusal(struct run_dirs *d, const char *text, const char *part)
{
	const size_t count = d->count;
	struct err e = {0};

	assert_int_equal(run_dirs_add(d, text, &e), ERR_INVAL);
	if (strstr(e.msg, part) == NULL)
		fail_msg("\"%s\" is not in: %s", part, e.msg);
	assert_int_equal(d->count, count);
}

static void
a_directory_has_its_own_spelling_or_the_one_given(void **state)
{
	(void)state;
	assert_int_equal(chdir("/tmp"), 0);
	expect_dir("/a/b", "/a/b", "/a/b", false);
	expect_dir("/a/b/", "/a/b/", "/a/b", false);
	expect_dir("/a//./b/../c", "/a//./b/../c", "/a/c", false);
	expect_dir("/..", "/..", "/", false);
	expect_dir("/", "/", "/", false);
	expect_dir(".", ".", "/tmp", false);
	expect_dir("..", "..", "/", false);
	expect_dir("../x/y", "../x/y", "/x/y", false);
	expect_dir("x", "x", "/tmp/x", false);
	expect_dir("...", "...", "/tmp/...", false);
	expect_dir("x::/w", "x", "/w", false);
	expect_dir("x::/w:ro", "x", "/w", true);
	expect_dir("x:ro", "x", "/tmp/x", true);
	expect_dir("x:ro/", "x:ro/", "/tmp/x:ro", false);
	expect_dir("x:y", "x:y", "/tmp/x:y", false);
}

static void
refuses_what_cannot_be_a_mount(void **state)
{
	struct run_dirs d = {0};
	char longest[5000];
	struct err e;

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	expect_refusal(&d, "", "which directory");
	expect_refusal(&d, ":ro", "which directory");
	expect_refusal(&d, "::/w", "which directory");
	expect_refusal(&d, "x::", "begin");
	expect_refusal(&d, "x::w", "begin");
	expect_refusal(&d, "x::/w/", "ends");
	expect_refusal(&d, "x::/w/../v", "..");
	expect_refusal(&d, "x::/w\n", "control");
	expect_refusal(&d, "/\xff", "UTF-8");
	expect_refusal(&d, longest, "too long");
	assert_int_equal(run_dirs_add(&d, "x::/w", &e), 0);
	expect_refusal(&d, "y::/w", "two directories, x and y");
	assert_int_equal(run_dirs_add(&d, "x::/w/v", &e), 0);
	for (int i = 2; i < PROTO_DIRS_MAX; i++) {
		char text[32];

		snprintf(text, sizeof(text), "x::/%d", i);
		assert_int_equal(run_dirs_add(&d, text, &e), 0);
	}
	expect_refusal(&d, "x::/more", "at most");
	run_dirs_clear(&d);
}

static void
a_request_without_a_document_grants_the_mounts(void **state)
{
	struct run_dirs d = {0};
	struct policy *p, *builtin;
	json_t *json, *dirs;
	struct err e;

	(void)state;
	assert_int_equal(run_dirs_add(&d, "x::/w", &e), 0);
	assert_int_equal(run_dirs_add(&d, "y::/w/in:ro", &e), 0);
	assert_int_equal(policy_builtin(&builtin, &e), 0);
	json = policy_to_json(builtin);
	assert_int_equal(run_dirs_grant(&d, json, &e), 0);
	if (policy_from_json(json, &p, &e) != 0)
		fail_msg("%s", e.msg);
	assert_int_equal(policy_fs_mount_of(p, "/w/f")->kind, POLICY_FS_DIR);
	assert_int_equal(policy_fs_at(p, "/w/f")->rights, POLICY_FS_ALL);
	assert_string_equal(policy_fs_mount_of(p, "/w/in/f")->path, "/w/in");
	assert_int_equal(policy_fs_at(p, "/w/in/f")->rights, POLICY_FS_READ);
	assert_null(policy_fs_mount_of(p, "/x"));
	dirs = run_dirs_json(&d, 1);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(dirs, "/w"), "descriptor")), 1);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(dirs, "/w/in"), "descriptor")), 2);
	json_decref(dirs);
	json_decref(json);
	policy_free(builtin);
	policy_free(p);
	run_dirs_clear(&d);
}

static int
narrow(const struct run_dirs *d, const char *document, struct policy **p, struct err *e)
{
	if (policy_parse(document, strlen(document), NULL, p, e) != 0)
		fail_msg("%s", e->msg);
	return run_dirs_narrow(d, *p, e);
}

static void
a_document_must_have_the_mount_itself(void **state)
{
	static const char *const lacking[] = {
	    "{\"version\": 1}",
	    "{\"version\": 1, \"fs\": [{\"mount\": \"/w\", \"kind\": \"inline\", \"rights\": [\"read\"]}]}",
	    "{\"version\": 1, \"fs\": [{\"mount\": \"/\", \"kind\": \"dir\", \"rights\": [\"read\"]}]}",
	    "{\"version\": 1, \"fs\": [{\"under\": \"/w\", \"kind\": \"dir\", \"rights\": [\"read\"]}]}",
	};
	static const char whole[] =
	    "{\"version\": 1, \"fs\": [{\"mount\": \"/w\", \"kind\": \"dir\", \"rights\": [\"read\", \"write\"], "
	    "\"paths\": {\"d\": [\"write\"]}}, {\"mount\": \"/w/v\", \"kind\": \"dir\", \"rights\": [\"write\"]}]}";
	struct run_dirs d = {0};
	struct policy *p = NULL;
	struct err e;

	(void)state;
	assert_int_equal(run_dirs_add(&d, "x::/w", &e), 0);
	for (size_t i = 0; i < sizeof(lacking) / sizeof(lacking[0]); i++) {
		assert_int_equal(narrow(&d, lacking[i], &p, &e), ERR_INVAL);
		assert_non_null(strstr(e.msg, "{\"mount\": \"/w\", \"kind\": \"dir\""));
		policy_free(p);
	}
	assert_int_equal(narrow(&d, whole, &p, &e), 0);
	assert_int_equal(policy_fs_at(p, "/w/f")->rights, POLICY_FS_READ | POLICY_FS_WRITE);
	policy_free(p);
	d.list[0].read_only = true;
	assert_int_equal(narrow(&d, whole, &p, &e), 0);
	assert_int_equal(policy_fs_at(p, "/w/f")->rights, POLICY_FS_READ);
	assert_int_equal(policy_fs_at(p, "/w/d/f")->rights, 0);
	assert_int_equal(policy_fs_at(p, "/w/v/f")->rights, POLICY_FS_WRITE); /* a mount of its own */
	policy_free(p);
	run_dirs_clear(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_directory_has_its_own_spelling_or_the_one_given),
	    cmocka_unit_test(refuses_what_cannot_be_a_mount),
	    cmocka_unit_test(a_request_without_a_document_grants_the_mounts),
	    cmocka_unit_test(a_document_must_have_the_mount_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
