/* Unit tests of broker/run_request. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memfd.h"
#include "base/proto.h"
#include "broker/run_request.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define MODULE_MAX  1024
#define DIGEST      "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define MODULE      "\"module\":{\"digest\":\"" DIGEST "\"}"

/* Parses the params in `text`; `fds` may be NULL. */
static int
parse(const char *text, int *fds, int nfds, struct run_request *r, struct rpc_failure *f)
{
	json_t *params = json_loads(text, JSON_DECODE_ANY, NULL);
	int rc;

	if (params == NULL)
		fail_msg("not JSON: %s", text);
	rc = run_request_parse(params, fds, nfds, MODULE_MAX, r, f);
	json_decref(params);
	return rc;
}

static struct run_request
good(const char *text)
{
	struct run_request r;
	struct rpc_failure f = {0};

	if (parse(text, NULL, 0, &r, &f) != 0)
		fail_msg("%s: %s", text, f.detail);
	return r;
}

static void
refused(const char *text, enum rpc_error error, const char *want)
{
	struct run_request r;
	struct rpc_failure f = {0};

	if (parse(text, NULL, 0, &r, &f) != -1)
		fail_msg("taken: %s", text);
	if (f.error != error || strstr(f.detail, want) == NULL)
		fail_msg("%s gave %s: %s", text, rpc_error_name(f.error), f.detail);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static void
least_request_is_a_module(void **state)
{
	struct run_request r = good("{" MODULE "}");

	(void)state;
	assert_int_equal(r.module.fd, -1);
	assert_int_equal(r.module.digest.bytes[0], 0x01);
	assert_int_equal(r.module.digest.bytes[31], 0xef);
	assert_int_equal(r.argc, 1);
	assert_int_equal(r.envc, 0);
	assert_int_equal(r.ask.argc, 0);
	assert_int_equal(r.stdin_length, 0);
	assert_false(r.stream_input || r.stream_output);
	assert_null(r.key);
	assert_null(r.policy);
	run_request_clear(&r);
	run_request_clear(&r); /* twice is fine */
}

static void
params_must_be_an_object_of_known_names(void **state)
{
	struct run_request r;
	struct rpc_failure f = {0};

	(void)state;
	assert_int_equal(run_request_parse(NULL, NULL, 0, MODULE_MAX, &r, &f), -1);
	assert_int_equal(f.error, RPC_invalid_params);
	refused("[]", RPC_invalid_params, "object");
	refused("[{" MODULE "}]", RPC_invalid_params, "object");
	refused("{}", RPC_invalid_params, "module");
	refused("{\"modul\":{}}", RPC_invalid_params, "did you mean \"module\"?");
	refused("{" MODULE ",\"enviroment\":{}}", RPC_invalid_params, "there is no parameter \"enviroment\"");
	refused("{" MODULE ",\"\":1}", RPC_invalid_params, "there is no parameter \"\"");
}

static void
every_wrong_type_is_refused_by_name(void **state)
{
	static const struct {
		const char *member, *want;
	} bad[] = {
	    {"\"name\":1", "name"}, {"\"name\":null", "name"}, {"\"args\":\"a\"", "args"}, {"\"args\":{}", "args"},
	    {"\"args\":null", "args"}, {"\"args\":[\"a\",1]", "args[1]"}, {"\"args\":[null]", "args[0]"}, {"\"env\":[]", "env"},
	    {"\"env\":null", "env"}, {"\"env\":{\"A\":1}", "env.A"}, {"\"env\":{\"A\":null}", "env.A"}, {"\"env\":{\"\":\"x\"}", "env"},
	    {"\"env\":{\"A=B\":\"x\"}", "env"}, {"\"stdin\":1", "stdin"}, {"\"stdin\":[]", "stdin"}, {"\"stdin\":{}", "stdin"},
	    {"\"stdin\":{\"base64\":1}", "stdin"}, {"\"stdin\":{\"base64\":\"YQ==\",\"x\":1}", "stdin"},
	    {"\"stdin\":{\"stream\":1}", "stdin"}, {"\"stream\":1", "stream"},
	    {"\"stream\":null", "stream"}, {"\"stream\":\"yes\"", "stream"}, {"\"key\":1", "key"}, {"\"key\":\"\"", "key"},
	    {"\"priority\":10", "priority"}, {"\"priority\":-1", "priority"}, {"\"priority\":\"5\"", "priority"},
	    {"\"priority\":1.0", "priority"}, {"\"priority\":null", "priority"}, {"\"deadline_ms\":0", "deadline_ms"},
	    {"\"deadline_ms\":-1", "deadline_ms"}, {"\"deadline_ms\":86400001", "deadline_ms"},
	    {"\"deadline_ms\":1e3", "deadline_ms"}, {"\"deadline_ms\":null", "deadline_ms"},
	    {"\"policy\":[]", "policy"}, {"\"policy\":null", "policy"}, {"\"policy\":{\"version\":2}", "policy"},
	    {"\"policy\":{\"version\":1,\"limits\":{\"wall_sm\":1}}", "wall_ms"},
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		snprintf(text, sizeof(text), "{" MODULE ",%s}", bad[i].member);
		refused(text, RPC_invalid_params, bad[i].want);
	}
}

static void
urgency_is_stated_within_its_bounds(void **state)
{
	static const struct {
		const char *member;
		unsigned priority;
		uint64_t deadline_ms;
	} cases[] = {
	    {"\"args\":[]", RUN_PRIORITY, 0},
	    {"\"priority\":0", 0, 0},
	    {"\"priority\":9,\"deadline_ms\":1", 9, 1},
	    {"\"deadline_ms\":86400000", RUN_PRIORITY, RUN_DEADLINE_MS_MAX},
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct run_request r;

		snprintf(text, sizeof(text), "{" MODULE ",%s}", cases[i].member);
		r = good(text);
		assert_int_equal(r.priority, cases[i].priority);
		assert_int_equal(r.deadline_ms, cases[i].deadline_ms);
		run_request_clear(&r);
	}
}

static void
key_has_a_length(void **state)
{
	char text[512];
	struct run_request r;

	(void)state;
	snprintf(text, sizeof(text), "{" MODULE ",\"key\":\"%0*d\"}", RUN_KEY_MAX, 7);
	r = good(text);
	assert_int_equal(strlen(r.key), RUN_KEY_MAX);
	run_request_clear(&r);
	snprintf(text, sizeof(text), "{" MODULE ",\"key\":\"%0*d\"}", RUN_KEY_MAX + 1, 7);
	refused(text, RPC_invalid_params, "key");
}

static void
streams_are_asked_for(void **state)
{
	struct run_request r = good("{" MODULE ",\"stream\":true}");

	(void)state;
	assert_true(r.stream_output && !r.stream_input);
	run_request_clear(&r);
	r = good("{" MODULE ",\"stream\":true,\"stdin\":{\"stream\":true}}");
	assert_true(r.stream_output && r.stream_input);
	run_request_clear(&r);
	r = good("{" MODULE ",\"stdin\":{\"stream\":true}}");
	assert_true(!r.stream_output && r.stream_input);
	run_request_clear(&r);
	r = good("{" MODULE ",\"stdin\":{\"stream\":false}}");
	assert_false(r.stream_output || r.stream_input);
	run_request_clear(&r);
}

/* --- the blob ------------------------------------------------------------------------------------------------------ */

/* Takes one length-prefixed string off the blob and compares it. */
static const uint8_t *
take(const uint8_t *p, const char *want)
{
	uint32_t length;

	memcpy(&length, p, sizeof(length));
	assert_int_equal(length, strlen(want));
	assert_memory_equal(p + sizeof(length), want, length);
	return p + sizeof(length) + length;
}

static void
blob_holds_arguments_environment_and_input(void **state)
{
	struct run_request r = good("{" MODULE ",\"name\":\"prog\",\"args\":[\"one\",\"\",\"\xc3\xa9\"],"
	                            "\"env\":{\"A\":\"1\",\"EMPTY\":\"\"},\"stdin\":\"in\\nput\"}");
	const uint8_t *p = r.blob;

	(void)state;
	p = take(p, "prog");
	p = take(p, "one");
	p = take(p, "");
	p = take(p, "\xc3\xa9");
	assert_int_equal(p - r.blob, r.args_length);
	p = take(p, "A=1");
	p = take(p, "EMPTY=");
	assert_int_equal(p - r.blob, r.args_length + r.env_length);
	assert_memory_equal(p, "in\nput", 6);
	assert_int_equal(r.stdin_length, 6);
	assert_int_equal(r.blob_length, r.args_length + r.env_length + r.stdin_length);
	assert_int_equal(r.argc, 4);
	assert_int_equal(r.envc, 2);
	assert_int_equal(r.ask.argc, 3);
	assert_int_equal(r.ask.args_bytes, 3 + 1 + 0 + 1 + 2 + 1);
	assert_int_equal(r.ask.envc, 2);
	assert_string_equal(r.ask.env[0], "A");
	assert_string_equal(r.ask.env[1], "EMPTY");
	assert_int_equal(r.ask.env_bytes, sizeof("A=1") + sizeof("EMPTY="));
	assert_int_equal(r.ask.stdin_bytes, 6);
	run_request_clear(&r);
}

static void
input_may_be_base64(void **state)
{
	struct run_request r = good("{" MODULE ",\"stdin\":{\"base64\":\"AP8K\"}}");

	(void)state;
	assert_int_equal(r.stdin_length, 3);
	assert_memory_equal(r.blob + r.args_length, "\0\xff\n", 3);
	run_request_clear(&r);
	r = good("{" MODULE ",\"stdin\":{\"base64\":\"\"}}");
	assert_int_equal(r.stdin_length, 0);
	run_request_clear(&r);
}

static void
base64_is_strict(void **state)
{
	static const char *const bad[] = {"AA\xc2\x80", "A", "AA", "AAA", "AA=", "AB==", "A===", "====", "AAAA=", "AA==AA==", "AA\\n==", " AAAA",
	    "AAAA\\n", "AA-_", "!!!!"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		snprintf(text, sizeof(text), "{" MODULE ",\"stdin\":{\"base64\":\"%s\"}}", bad[i]);
		refused(text, RPC_invalid_params, "base64");
		snprintf(text, sizeof(text), "{\"module\":{\"wasm\":\"%s\"}}", bad[i]);
		refused(text, RPC_invalid_params, "base64");
	}
}

static void
what_a_run_is_given_has_a_digest(void **state)
{
	struct run_request a = good("{" MODULE ",\"args\":[\"a\"],\"stdin\":\"b\"}");
	struct run_request b = good("{" MODULE ",\"args\":[\"a\"],\"stdin\":\"b\",\"key\":\"k\"}");
	struct run_request c = good("{" MODULE ",\"args\":[\"ab\"]}");

	(void)state;
	assert_true(digest_equal(&a.input, &b.input));
	assert_false(digest_equal(&a.input, &c.input));
	run_request_clear(&a);
	run_request_clear(&b);
	run_request_clear(&c);
}

static void
arguments_have_a_number(void **state)
{
	json_t *params = json_pack("{s:{s:s}}", "module", "digest", DIGEST), *args = json_array();
	struct run_request r;
	struct rpc_failure f = {0};

	(void)state;
	json_object_set_new(params, "args", args);
	for (int i = 0; i < RUN_ARGS_MAX; i++)
		json_array_append_new(args, json_string("x"));
	assert_int_equal(run_request_parse(params, NULL, 0, MODULE_MAX, &r, &f), 0);
	assert_int_equal(r.argc, RUN_ARGS_MAX + 1);
	assert_int_equal(r.args_length, RUN_ARGS_MAX * 5 + 8);
	run_request_clear(&r);
	json_array_append_new(args, json_string("x"));
	assert_int_equal(run_request_parse(params, NULL, 0, MODULE_MAX, &r, &f), -1);
	assert_int_equal(f.error, RPC_invalid_params);
	json_decref(params);
}

static void
names_of_variables_have_a_length(void **state)
{
	char name[POLICY_NAME_MAX + 2], text[POLICY_NAME_MAX + 256];
	struct run_request r;

	(void)state;
	memset(name, 'N', sizeof(name));
	name[POLICY_NAME_MAX] = '\0';
	snprintf(text, sizeof(text), "{" MODULE ",\"env\":{\"%s\":\"v\"}}", name);
	r = good(text);
	assert_int_equal(r.env_length, 4 + POLICY_NAME_MAX + 2);
	run_request_clear(&r);
	name[POLICY_NAME_MAX] = 'N';
	name[POLICY_NAME_MAX + 1] = '\0';
	snprintf(text, sizeof(text), "{" MODULE ",\"env\":{\"%s\":\"v\"}}", name);
	refused(text, RPC_invalid_params, "env");
}

/* --- modules --------------------------------------------------------------------------------------------------------- */

static void
module_comes_in_one_of_three_ways(void **state)
{
	static const char *const bad[] = {"null", "1", "\"x\"", "[]", "{}", "{\"wasm\":\"AA==\",\"digest\":\"" DIGEST "\"}",
	    "{\"wasm\":\"AA==\",\"descriptor\":0}", "{\"wasm\":1}", "{\"digest\":1}", "{\"digest\":\"\"}",
	    "{\"digest\":\"sha256:00\"}", "{\"digest\":\"" DIGEST "0\"}", "{\"digest\":\"md5:00\"}", "{\"wasn\":\"AA==\"}",
	    "{\"digest\":\"" DIGEST "\",\"signature\":\"x\"}", "{\"wasm\":\"AA==\",\"signature\":1}"};
	char text[512];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		snprintf(text, sizeof(text), "{\"module\":%s}", bad[i]);
		refused(text, RPC_invalid_params, "");
	}
}

static void
bytes_end_up_in_a_sealed_memfd(void **state)
{
	struct run_request r = good("{\"module\":{\"wasm\":\"AGFzbQ==\",\"signature\":\"line 1\\nline 2\"}}");
	struct memfd_map map;
	size_t size;

	(void)state;
	assert_int_equal(r.module.size, 4);
	assert_int_equal(memfd_check(r.module.fd, 4, &size, NULL), 0);
	assert_int_equal(memfd_map(r.module.fd, size, &map, NULL), 0);
	assert_memory_equal(map.data, "\0asm", 4);
	memfd_unmap(&map);
	assert_string_equal(r.module.signature, "line 1\nline 2");
	assert_int_equal(r.module.signature_length, 13);
	run_request_clear(&r);
}

static void
modules_have_a_size(void **state)
{
	char text[2048], base64[2000];

	(void)state;
	memset(base64, 'A', sizeof(base64));
	base64[1364] = '\0'; /* 1023 bytes */
	snprintf(text, sizeof(text), "{\"module\":{\"wasm\":\"%s\"}}", base64);
	{
		struct run_request r = good(text);

		assert_int_equal(r.module.size, MODULE_MAX - 1);
		run_request_clear(&r);
	}
	base64[1364] = 'A';
	base64[1368] = '\0'; /* 1026 */
	snprintf(text, sizeof(text), "{\"module\":{\"wasm\":\"%s\"}}", base64);
	refused(text, RPC_module_too_large, "1026");
}

/* Parses {"descriptor": index} with these descriptors. Returns -1 with *error, or 0 with the request cleared again. */
static int
by_descriptor(int *fds, int nfds, int index, enum rpc_error *error)
{
	struct run_request r;
	struct rpc_failure f = {0};
	char text[64];

	snprintf(text, sizeof(text), "{\"module\":{\"descriptor\":%d}}", index);
	if (parse(text, fds, nfds, &r, &f) != 0) {
		*error = f.error;
		return -1;
	}
	assert_true(r.module.fd >= 0);
	run_request_clear(&r);
	return 0;
}

static void
sealed_descriptor_is_taken_and_the_others_are_left(void **state)
{
	int fds[2] = {memfd_from("a", "abc", 3, NULL), memfd_from("b", "defg", 4, NULL)};
	int taken = fds[1];
	enum rpc_error error;

	(void)state;
	assert_int_equal(by_descriptor(fds, 2, 1, &error), 0);
	assert_int_equal(fds[1], -1);
	assert_int_equal(fcntl(taken, F_GETFD), -1); /* closed with the request */
	assert_true(fcntl(fds[0], F_GETFD) >= 0);
	assert_int_equal(by_descriptor(fds, 2, 1, &error), -1); /* used up */
	assert_int_equal(error, RPC_bad_descriptor);
	close(fds[0]);
}

static void
index_must_name_a_descriptor(void **state)
{
	int fds[1] = {memfd_from("a", "abc", 3, NULL)};
	enum rpc_error error;

	(void)state;
	assert_int_equal(by_descriptor(fds, 1, 1, &error), -1);
	assert_int_equal(error, RPC_bad_descriptor);
	assert_int_equal(by_descriptor(fds, 1, -1, &error), -1);
	assert_int_equal(by_descriptor(fds, 0, 0, &error), -1);
	assert_true(fcntl(fds[0], F_GETFD) >= 0);
	close(fds[0]);
	refused("{\"module\":{\"descriptor\":\"0\"}}", RPC_bad_descriptor, "descriptor");
	refused("{\"module\":{\"descriptor\":0.0}}", RPC_bad_descriptor, "descriptor");
	refused("{\"module\":{\"descriptor\":9223372036854775807}}", RPC_bad_descriptor, "descriptor");
}

static void
only_sealed_memfds_are_taken(void **state)
{
	int pipes[2], half = memfd_create("half", MFD_CLOEXEC | MFD_ALLOW_SEALING), none = memfd_create("none", MFD_CLOEXEC);
	enum rpc_error error;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(fcntl(half, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	{
		int all[] = {half, none, pipes[0], open("/dev/null", O_RDONLY), open("/proc/self/exe", O_RDONLY),
		    open("/", O_RDONLY | O_DIRECTORY)};

		for (size_t i = 0; i < COUNT_OF(all); i++) {
			int fds[1] = {all[i]};

			assert_int_equal(by_descriptor(fds, 1, 0, &error), -1);
			assert_int_equal(error, RPC_bad_descriptor);
			assert_int_equal(fds[0], all[i]); /* still the caller's */
			close(all[i]);
		}
	}
	close(pipes[1]);
}

static void
descriptor_with_too_much_in_it_is_too_large(void **state)
{
	uint8_t bytes[MODULE_MAX + 1] = {0};
	int fds[1] = {memfd_from("large", bytes, sizeof(bytes), NULL)};
	enum rpc_error error;

	(void)state;
	assert_int_equal(by_descriptor(fds, 1, 0, &error), -1);
	assert_int_equal(error, RPC_module_too_large);
	close(fds[0]);
}

/* A descriptor must not be lost or leaked when something else in the request is wrong. */
static void
refused_request_takes_no_descriptor(void **state)
{
	int fds[1] = {memfd_from("a", "abc", 3, NULL)};
	int fd = fds[0];
	struct run_request r;
	struct rpc_failure f = {0};

	(void)state;
	assert_int_equal(parse("{\"module\":{\"descriptor\":0},\"key\":1}", fds, 1, &r, &f), -1);
	assert_int_equal(fds[0], fd);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
}

/* Parses a request for the directory /w by this descriptor, which it closes. Returns the error, or 0. */
static int
by_dir(int fd)
{
	int fds[1] = {fd};
	struct run_request r;
	struct rpc_failure f = {0};

	if (parse("{" MODULE ",\"dirs\":{\"/w\":{\"descriptor\":0}}}", fds, 1, &r, &f) != 0) {
		assert_int_equal(fds[0], fd); /* still the caller's */
		close(fd);
		return (int)f.error;
	}
	assert_int_equal(fds[0], -1);
	assert_int_equal(r.ask.dirc, 1);
	assert_string_equal(r.ask.dirs[0], "/w");
	assert_int_equal(r.dir_makers[0], getuid());
	assert_int_equal(run_request_owns_dirs(&r, getuid(), &f), 0);
	assert_int_equal(run_request_owns_dirs(&r, getuid() + 1, &f), -1);
	assert_int_equal(f.error, RPC_bad_descriptor);
	run_request_clear(&r);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	return 0;
}

/* A local socket with a name that only this process knows, listening. */
static int
named_socket(int type, struct sockaddr_un *address, socklen_t *length)
{
	int fd = socket(AF_UNIX, type, 0);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	*length = sizeof(address->sun_family);
	assert_int_equal(bind(fd, (struct sockaddr *)address, *length), 0); /* the kernel chooses one */
	*length = sizeof(*address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)address, length), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void
only_ends_of_socket_pairs_serve_directories(void **state)
{
	int pair[2], stream[2], datagram[2], pipes[2], listener, client, server;
	struct sockaddr_un address;
	socklen_t length;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram), 0);
	assert_int_equal(pipe(pipes), 0);
	listener = named_socket(SOCK_SEQPACKET, &address, &length);
	client = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, length), 0);
	server = accept(listener, NULL, NULL);
	{
		const int bad[] = {stream[0], datagram[0], pipes[0], listener, client, server, memfd_from("a", "abc", 3, NULL),
		    open("/dev/null", O_RDONLY), open("/proc/self/exe", O_RDONLY), open("/", O_RDONLY | O_DIRECTORY),
		    socket(AF_UNIX, SOCK_SEQPACKET, 0), socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_DGRAM, 0)};

		for (size_t i = 0; i < COUNT_OF(bad); i++) {
			assert_true(bad[i] >= 0);
			assert_int_equal(by_dir(bad[i]), RPC_bad_descriptor);
		}
	}
	assert_int_equal(by_dir(pair[0]), 0);
	close(pair[1]);
	close(stream[1]);
	close(datagram[1]);
	close(pipes[1]);
}

static void
each_directory_needs_a_socket_of_its_own(void **state)
{
	int fds[PROTO_DIRS_MAX + 2], taken = 0;
	struct rpc_failure f = {0};
	struct run_request r;
	char text[2000] = "{" MODULE ",\"dirs\":{";

	(void)state;
	for (int i = 0; i < PROTO_DIRS_MAX + 2; i += 2)
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds + i), 0);
	assert_int_equal(parse("{" MODULE ",\"dirs\":{\"/a\":{\"descriptor\":1},\"/b\":{\"descriptor\":1}}}", fds, 2, &r, &f), -1);
	assert_int_equal(f.error, RPC_bad_descriptor);
	assert_int_equal(fds[1], -1); /* taken, and closed with what could not be read */
	fds[1] = dup(fds[0]);
	for (int i = 0; i <= PROTO_DIRS_MAX; i++) {
		size_t n = strlen(text);

		snprintf(text + n, sizeof(text) - n, "%s\"/%d\":{\"descriptor\":%d}}}", i == 0 ? "" : ",", i, i);
		assert_int_equal(parse(text, fds, PROTO_DIRS_MAX + 2, &r, &f), i < PROTO_DIRS_MAX ? 0 : -1);
		text[strlen(text) - 2] = '\0';
		if (i == PROTO_DIRS_MAX)
			break;
		assert_int_equal(r.ask.dirc, i + 1);
		for (int k = 0; k <= i; k++)
			fds[k] = dup(r.dir_fds[k]);
		run_request_clear(&r);
	}
	assert_int_equal(f.error, RPC_invalid_params);
	for (size_t i = 0; i < COUNT_OF(fds); i++)
		taken += close(fds[i]) != 0;
	assert_int_equal(taken, 0);
	refused("{" MODULE ",\"dirs\":[]}", RPC_invalid_params, "dirs");
	refused("{" MODULE ",\"dirs\":{\"w\":{\"descriptor\":0}}}", RPC_invalid_params, "dirs");
	refused("{" MODULE ",\"dirs\":{\"/w\":0}}", RPC_invalid_params, "descriptor");
	refused("{" MODULE ",\"dirs\":{\"/w\":{\"descriptor\":0,\"x\":1}}}", RPC_invalid_params, "descriptor");
	refused("{" MODULE ",\"dirs\":{\"/w\":{\"descriptor\":0}}}", RPC_bad_descriptor, "none");
}

static int left; /* allocations of jansson that still work */

static void *
few(size_t size)
{
	return left-- > 0 ? malloc(size) : NULL;
}

/* A fingerprint of less than the whole request could be that of another request. */
static void
no_fingerprint_is_made_without_memory(void **state)
{
	json_t *params = json_loads("{" MODULE ",\"key\":\"k\",\"args\":[\"a\"]}", 0, NULL);
	struct run_request r = good("{" MODULE ",\"key\":\"k\",\"args\":[\"a\"]}");
	struct digest before = r.fingerprint;
	struct rpc_failure f = {0};
	int rc = -1, refusals = -1;

	(void)state;
	for (int allowed = 0; rc != 0; allowed++, refusals++) {
		left = allowed;
		json_set_alloc_funcs(few, free);
		rc = run_request_fingerprint(&r, params, &f);
		json_set_alloc_funcs(malloc, free);
		if (rc != 0) {
			assert_int_equal(f.error, RPC_internal_error);
			assert_memory_equal(&r.fingerprint, &before, sizeof(before));
		}
	}
	assert_true(refusals > 2);
	json_decref(params);
	run_request_clear(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(least_request_is_a_module),
	    cmocka_unit_test(params_must_be_an_object_of_known_names),
	    cmocka_unit_test(every_wrong_type_is_refused_by_name),
	    cmocka_unit_test(urgency_is_stated_within_its_bounds),
	    cmocka_unit_test(key_has_a_length),
	    cmocka_unit_test(streams_are_asked_for),
	    cmocka_unit_test(blob_holds_arguments_environment_and_input),
	    cmocka_unit_test(input_may_be_base64),
	    cmocka_unit_test(base64_is_strict),
	    cmocka_unit_test(what_a_run_is_given_has_a_digest),
	    cmocka_unit_test(arguments_have_a_number),
	    cmocka_unit_test(names_of_variables_have_a_length),
	    cmocka_unit_test(module_comes_in_one_of_three_ways),
	    cmocka_unit_test(bytes_end_up_in_a_sealed_memfd),
	    cmocka_unit_test(modules_have_a_size),
	    cmocka_unit_test(sealed_descriptor_is_taken_and_the_others_are_left),
	    cmocka_unit_test(index_must_name_a_descriptor),
	    cmocka_unit_test(only_sealed_memfds_are_taken),
	    cmocka_unit_test(descriptor_with_too_much_in_it_is_too_large),
	    cmocka_unit_test(refused_request_takes_no_descriptor),
	    cmocka_unit_test(only_ends_of_socket_pairs_serve_directories),
	    cmocka_unit_test(each_directory_needs_a_socket_of_its_own),
	    cmocka_unit_test(no_fingerprint_is_made_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
