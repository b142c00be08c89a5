/* Unit tests of broker/packs. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/memfd.h"
#include "broker/keyring_edit.h"
#include "broker/keys_private.h"
#include "broker/minisign.h"
#include "broker/packs.h"

#define NOW        1800000000
#define MODULE     "a module"
#define BOOTSTRAP  "a text"
#define MODULE_MAX 100

static char directory[64];
static struct keys_secret packer, signer;
static const char *const parts[] = {PACK_MANIFEST, PACK_SIGNATURE, "module", "boot", ""};
static const char *const names[] = {"one", "two", ".hidden", "empty"};

static int
set_up(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/brig-packs.XXXXXX");
	return mkdtemp(directory) != NULL && keys_generate(&packer, NULL) == 0 && keys_generate(&signer, NULL) == 0 ? 0 : -1;
}

static int
tear_down(void **state)
{
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++) {
			snprintf(path, sizeof(path), "%s/%s/%s", directory, names[i], parts[k]);
			if (parts[k][0] != '\0')
				unlink(path);
			else
				rmdir(path);
		}
	return rmdir(directory);
}

static void
put(const char *pack, const char *part, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, pack);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s/%s", directory, pack, part);
	assert_int_equal(io_replace_file(path, text, strlen(text), 0600, NULL), 0);
}

static json_t *
reference(const char *file, const char *content)
{
	struct digest d = digest_of(content, strlen(content));
	char text[DIGEST_TEXT_SIZE];

	return json_pack("{s:s, s:s}", "file", file, "digest", digest_text(&d, text));
}

/* A manifest for the files that put_pack puts there. */
static json_t *
manifest(const char *name)
{
	return json_pack("{s:i, s:s, s:s, s:o, s:o, s:[s, s]}", "version", 1, "name", name, "release", "One", "module",
	    reference("module", MODULE), "bootstrap", reference("boot", BOOTSTRAP), "args", "prog", "{bootstrap}");
}

/* Writes a pack with this manifest (taken), signed by `key`. */
static void
put_pack(const char *where, json_t *json, const struct keys_secret *key)
{
	char *text = json_dumps(json, 0), *signature;

	assert_int_equal(minisign_sign(key, text, strlen(text), "", &signature, NULL), 0);
	put(where, PACK_MANIFEST, text);
	put(where, PACK_SIGNATURE, signature);
	put(where, "module", MODULE);
	put(where, "boot", BOOTSTRAP);
	free(signature);
	free(text);
	json_decref(json);
}

static struct packs *
load(const struct packs *old)
{
	struct packs *packs = NULL;
	struct err e = {0};

	if (packs_load(directory, MODULE_MAX, old, &packs, &e) != 0)
		fail_msg("%s", e.msg);
	return packs;
}

/* Expects that nothing is loaded, with these words in the reason. */
static void
refused(int code, const char *words)
{
	struct packs *packs = NULL;
	struct err e = {0};

	assert_int_equal(packs_load(directory, MODULE_MAX, NULL, &packs, &e), code);
	assert_null(packs);
	if (strstr(e.msg, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", e.msg, words);
}

static void
reads_what_a_manifest_says(void **state)
{
	static const char args[] = "\4\0\0\0prog\6\0\0\0" BOOTSTRAP, env[] = "\3\0\0\0A=1\2\0\0\0B=";
	json_t *json = manifest("py-3_1");
	struct packs *packs;
	const struct pack *p;
	size_t size;

	(void)state;
	json_object_set_new(json, "env", json_pack("{s:s, s:s}", "A", "1", "B", ""));
	json_object_set_new(json, "grant", json_pack("{s:i, s:b}", "version", 1, "args", 1));
	json_object_set_new(json, "warm", json_false());
	put_pack("one", json, &packer);
	packs = load(NULL);
	assert_int_equal(packs_count(packs), 1);
	p = packs_find(packs, "py-3_1");
	assert_ptr_equal(p, packs_at(packs, 0));
	assert_string_equal(p->release, "One");
	assert_true(p->argc == 2 && p->envc == 2 && !p->warm && p->grant != NULL);
	assert_int_equal(p->args_length, sizeof(args) - 1);
	assert_memory_equal(p->args, args, sizeof(args) - 1);
	assert_int_equal(p->env_length, sizeof(env) - 1);
	assert_memory_equal(p->env, env, sizeof(env) - 1);
	assert_int_equal(memfd_check(p->fd, MODULE_MAX, &size, NULL), 0);
	assert_true(size == strlen(MODULE) && p->size == size);
	assert_int_equal(memfd_check(p->start, 1000, &size, NULL), 0);
	assert_int_equal(size, sizeof(args) - 1 + sizeof(env) - 1);
	packs_free(packs);
}

static void
packs_are_found_by_name_and_listed_in_their_order(void **state)
{
	struct packs *packs;

	(void)state;
	put_pack("one", manifest("b"), &packer);
	put_pack("two", manifest("a"), &packer);
	put_pack(".hidden", manifest("c"), &packer);
	put("empty", "module", "no pack");
	packs = load(NULL);
	assert_int_equal(packs_count(packs), 2);
	assert_string_equal(packs_at(packs, 0)->name, "a");
	assert_string_equal(packs_at(packs, 1)->name, "b");
	assert_null(packs_at(packs, 2));
	assert_null(packs_find(packs, "c"));
	assert_true(packs_at(packs, 0)->warm && packs_at(packs, 0)->grant == NULL);
	packs_free(packs);
	packs_free(NULL);
	assert_int_equal(packs_count(NULL), 0);
}

static void
no_directory_is_no_packs(void **state)
{
	struct packs *packs = NULL;

	(void)state;
	assert_int_equal(packs_load(NULL, MODULE_MAX, NULL, &packs, NULL), 0);
	assert_int_equal(packs_count(packs), 0);
	packs_free(packs);
	assert_int_equal(packs_load("/nowhere/at/all", MODULE_MAX, NULL, &packs, NULL), ERR_IO);
}

/* Each member with what makes no sense there. A key without value: the member is missing. */
static void
says_what_is_wrong_with_a_manifest(void **state)
{
	static const struct {
		const char *member, *value, *words;
	} cases[] = {
		{"version", "2", "version must be 1"},
		{"version", "\"1\"", "version must be 1"},
		{"name", "\"Upper\"", "name must be of lower-case letters"},
		{"name", NULL, "name must be"},
		{"release", "\"\"", "release must be a short text"},
		{"warm", "1", "warm must be true or false"},
		{"args", "[]", "args must be an array of strings"},
		{"args", "[\"a\", 1]", "args must be an array of strings"},
		{"args", "[\"a\\u0000\"]", "u0000 in a string is refused"},
		{"env", "[]", "env must be an object of strings"},
		{"env", "{\"A=B\": \"\"}", "without = in their names"},
		{"env", "{\"A\": null}", "env must be an object of strings"},
		{"grant", "{\"version\": 9}", "grant: "},
		{"grant", "1", "grant: "},
		{"moduel", "1", "did you mean \"module\"?"},
		{"module", "{\"file\": \"module\"}", "module must be {\"file\""},
		{"module", "{\"file\": \"../one/module\", \"digest\": \"x\"}", "must name a file beside it"},
		{"module", "{\"file\": \"module\", \"digest\": \"sha256:00\"}", "has a digest that is none"},
		{"bootstrap", NULL, "bootstrap must be {\"file\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *json = manifest("one");

		if (cases[i].value == NULL)
			json_object_del(json, cases[i].member);
		else
			json_object_set_new(json, cases[i].member, json_loads(cases[i].value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
		put_pack("one", json, &packer);
		refused(ERR_INVAL, cases[i].words);
	}
}

static void
files_are_those_that_the_manifest_means(void **state)
{
	(void)state;
	put_pack("one", manifest("one"), &packer);
	put("one", "module", "other");
	refused(ERR_INVAL, "one/module is not the file that pack.json says");
	put("one", "module", MODULE);
	put("one", "boot", "");
	refused(ERR_INVAL, "one/boot is not the file");
	put("one", "boot", BOOTSTRAP);
	put("one", PACK_MANIFEST, "[");
	refused(ERR_INVAL, "pack.json:1:");
}

static void
too_large_a_module_is_refused(void **state)
{
	char module[MODULE_MAX + 2];
	json_t *json = manifest("one");

	(void)state;
	memset(module, 'x', sizeof(module) - 1);
	module[sizeof(module) - 1] = '\0';
	json_object_set_new(json, "module", reference("module", module));
	put_pack("one", json, &packer);
	put("one", "module", module);
	refused(ERR_LIMIT, "more than 100 bytes");
}

static void
a_pack_without_its_parts_is_none(void **state)
{
	char path[128];

	(void)state;
	put_pack("one", manifest("one"), &packer);
	for (size_t i = 1; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/one/%s", directory, parts[i]);
		assert_int_equal(unlink(path), 0);
		refused(ERR_NOTFOUND, parts[i]);
		put_pack("one", manifest("one"), &packer);
	}
}

static void
two_packs_of_one_name_are_refused(void **state)
{
	(void)state;
	put_pack("one", manifest("same"), &packer);
	put_pack("two", manifest("same"), &packer);
	refused(ERR_INVAL, "same");
}

/* The second time its file may be gone: brigd has its bytes, which are those that the digest means. */
static void
a_module_is_read_once(void **state)
{
	struct packs *first, *second;
	char path[128];

	(void)state;
	put_pack("one", manifest("one"), &packer);
	first = load(NULL);
	snprintf(path, sizeof(path), "%s/one/module", directory);
	assert_int_equal(unlink(path), 0);
	second = load(first);
	assert_int_equal(packs_at(second, 0)->size, strlen(MODULE));
	assert_true(packs_at(second, 0)->fd != packs_at(first, 0)->fd);
	packs_free(first);
	packs_free(second);
}

/* A keyring with `packer`, who may sign packs, until NOW + 10, and `signer`, who may not. */
static struct keyring *
make_ring(const struct digest *revoked)
{
	struct keys_public one = keys_public_of(&packer), two = keys_public_of(&signer);
	json_t *d = keyring_edit_new(NOW + 1000);
	char text[DIGEST_TEXT_SIZE];
	struct keyring *ring;

	json_object_set_new(d, "version", json_integer(1));
	assert_int_equal(keyring_edit_add(d, &one, "packer", NOW - 10, NOW + 10, NULL, NULL, true, NULL), 0);
	assert_int_equal(keyring_edit_add(d, &two, "signer", NOW - 10, NOW + 10, NULL, NULL, false, NULL), 0);
	if (revoked != NULL)
		json_array_append_new(json_object_get(d, "revoked_modules"), json_string(digest_text(revoked, text)));
	assert_int_equal(keyring_parse(d, &ring, NULL), 0);
	json_decref(d);
	return ring;
}

/* Judges and gives the keyring back. */
static int
judge(const struct pack *p, struct keyring *ring, int64_t now)
{
	struct signature_verdict verdict;
	struct err e;
	int rc = packs_judge(p, ring, now, &verdict, &e);

	if (rc == 0)
		assert_true(verdict.has_start && verdict.key->packs);
	keyring_free(ring);
	return rc;
}

static void
a_pack_counts_while_a_key_for_packs_does(void **state)
{
	struct packs *packs;
	const struct pack *good, *bad;

	(void)state;
	put_pack("one", manifest("good"), &packer);
	put_pack("two", manifest("other"), &signer);
	packs = load(NULL);
	good = packs_find(packs, "good");
	bad = packs_find(packs, "other");
	assert_int_equal(judge(good, make_ring(NULL), NOW), 0);
	assert_int_equal(judge(bad, make_ring(NULL), NOW), ERR_DENIED);
	assert_true(judge(good, make_ring(NULL), NOW + 10) != 0);
	assert_int_equal(judge(good, make_ring(&good->digest), NOW), ERR_REVOKED);
	assert_int_equal(judge(good, make_ring(&good->module), NOW), ERR_REVOKED);
	packs_free(packs);
}

static void
a_changed_manifest_is_no_longer_signed(void **state)
{
	json_t *json = manifest("one");
	struct packs *packs;
	char *text;

	(void)state;
	put_pack("one", manifest("one"), &packer);
	json_object_set_new(json, "release", json_string("Two"));
	text = json_dumps(json, 0);
	put("one", PACK_MANIFEST, text);
	packs = load(NULL);
	assert_int_equal(judge(packs_at(packs, 0), make_ring(NULL), NOW), ERR_SIGNATURE);
	packs_free(packs);
	json_decref(json);
	free(text);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(reads_what_a_manifest_says),
	    T(packs_are_found_by_name_and_listed_in_their_order),
	    T(no_directory_is_no_packs),
	    T(says_what_is_wrong_with_a_manifest),
	    T(files_are_those_that_the_manifest_means),
	    T(too_large_a_module_is_refused),
	    T(a_pack_without_its_parts_is_none),
	    T(two_packs_of_one_name_are_refused),
	    T(a_module_is_read_once),
	    T(a_pack_counts_while_a_key_for_packs_does),
	    T(a_changed_manifest_is_no_longer_signed),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
