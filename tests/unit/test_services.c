/* Tests of brig-store and brig-logger as processes, spoken to as brigd does. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/chain.h"
#include "audit/log.h"
#include "base/memfd.h"
#include "base/proto.h"
#include "broker/store_disk.h"

#define OWN_ID 1900000003 /* whom they become when the tests run as root */

struct fixture {
	char path[64];
	pid_t pid;
	int sock;
	struct imsg m;
};

/* Beside the directory of the tests: build/tests/unit/test_services, build/brig-store. */
static void
program_path(const char *name, char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = '\0';
	assert_in_range(snprintf(path, PATH_MAX, "%s/../../%s", dirname(self), name), 1, PATH_MAX - 1);
}

static void
exec_service(const char *name, const char *dir, const char *const *options, int sock)
{
	char program[PATH_MAX], id[16];
	const char *argv[16] = {program, "--dir", dir};
	size_t n = 3;

	program_path(name, program);
	snprintf(id, sizeof(id), "%d", OWN_ID);
	while (*options != NULL)
		argv[n++] = *options++;
	if (geteuid() == 0)
		memcpy(argv + n, (const char *[]){"--uid", id, "--gid", id}, 4 * sizeof(*argv));
	if (dup2(sock, 100) < 0 || dup2(100, PROTO_SOCKET_FD) < 0)
		_exit(126);
	close(100);
	execv(program, (char *const *)(uintptr_t)argv);
	_exit(127);
}

static void
start(struct fixture *f, const char *name, const char *const *options)
{
	char dir[80];
	int sv[2];

	strcpy(dir, f->path);
	strcat(dir, "/dir");
	assert_int_equal(imsg_pair(sv, NULL), 0);
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0)
		exec_service(name, dir, options, sv[1]);
	close(sv[1]);
	f->sock = sv[0];
}

/* Waits for the next message, and checks its type. */
static void
expect(struct fixture *f, uint32_t type, uint64_t token)
{
	struct err e = {0};

	if (imsg_recv(f->sock, &f->m, &e) != 0)
		fail_msg("%s", e.msg);
	if (f->m.hdr.type != type)
		fail_msg("message %u: %.*s", f->m.hdr.type, (int)f->m.hdr.length, (const char *)f->m.payload);
	assert_int_equal(f->m.hdr.run, token);
}

/* Closes the socket, and returns what the process says with its end. */
static int
stop(struct fixture *f)
{
	int status = -1;

	close(f->sock);
	f->sock = -1;
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	f->pid = 0;
	return status;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_true(sodium_init() >= 0);
	f->sock = -1;
	strcpy(f->path, "/tmp/brig-services-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	if (f->sock >= 0)
		stop(f);
	assert_int_equal(store_disk_remove(AT_FDCWD, f->path, NULL), 0);
	free(f);
	return 0;
}

static void
start_store(struct fixture *f)
{
	start(f, "brig-store", (const char *const[]){"--size-max", "1000000", "--owner-max", "500000", NULL});
	expect(f, PROTO_READY, 0);
}

static void
start_logger(struct fixture *f, const char *durability)
{
	start(f, "brig-logger", (const char *const[]){"--durability", durability, NULL});
	expect(f, PROTO_READY, 0);
}

static void
ask_store(struct fixture *f, uint32_t type, uint64_t token, const struct proto_store *what, const char *signature, int fd)
{
	uint8_t payload[500];
	size_t length = strlen(signature);

	memcpy(payload, what, sizeof(*what));
	memcpy(payload + sizeof(*what), signature, length);
	assert_int_equal(imsg_send(f->sock, type, token, payload, sizeof(*what) + length, &fd, fd >= 0 ? 1 : 0, NULL), 0);
}

static void
append(struct fixture *f, uint64_t token, const char *event)
{
	assert_int_equal(imsg_send(f->sock, PROTO_LOG_APPEND, token, event, strlen(event), NULL, 0, NULL), 0);
}

static void
the_store_keeps_lists_gives_and_removes(void **state)
{
	struct fixture *f = *state;
	struct proto_store what = {.kind = PROTO_STORE_MODULE, .owner = 7, .digest = digest_of("module", 6)};
	struct proto_store_entry entry;
	struct proto_store_done done;
	size_t size = 0;
	int fd = memfd_from("test", "module", 6, NULL);

	start_store(f);
	ask_store(f, PROTO_STORE_PUT, 1, &what, "signed", fd);
	expect(f, PROTO_STORE_DONE, 1);
	close(fd);
	assert_int_equal(stop(f), 0);
	start_store(f);
	what.digest = (struct digest){{0}};
	ask_store(f, PROTO_STORE_LIST, 2, &what, "", -1);
	expect(f, PROTO_STORE_LISTED, 2);
	assert_int_equal(f->m.hdr.length, sizeof(entry));
	memcpy(&entry, f->m.payload, sizeof(entry));
	what.digest = entry.digest;
	ask_store(f, PROTO_STORE_GET, 3, &what, "", -1);
	expect(f, PROTO_STORE_DATA, 3);
	assert_int_equal(f->m.hdr.length, sizeof(done) + 6);
	memcpy(&done, f->m.payload, sizeof(done));
	assert_int_equal(done.size, 6);
	assert_memory_equal(f->m.payload + sizeof(done), "signed", 6);
	fd = imsg_take_fd(&f->m, 0);
	assert_int_equal(memfd_check(fd, 100, &size, NULL), 0);
	assert_int_equal(size, 6);
	close(fd);
	ask_store(f, PROTO_STORE_REMOVE, 4, &what, "", -1);
	expect(f, PROTO_STORE_DONE, 4);
	ask_store(f, PROTO_STORE_GET, 5, &what, "", -1);
	expect(f, PROTO_STORE_FAILED, 5);
	memcpy(&done, f->m.payload, sizeof(done));
	assert_int_equal(done.code, ERR_NOTFOUND);
	assert_int_equal(stop(f), 0);
}

static void
a_message_that_must_not_occur_ends_the_process(void **state)
{
	struct fixture *f = *state;
	const struct proto_store what = {.kind = PROTO_STORE_MODULE};
	int status;

	/* another process's message; one too short; a put without its descriptor */
	for (int i = 0; i < 3; i++) {
		start_store(f);
		if (i == 0)
			append(f, 1, "{}");
		else if (i == 1)
			assert_int_equal(imsg_send(f->sock, PROTO_STORE_GET, 1, &what, sizeof(what) - 1, NULL, 0, NULL), 0);
		else
			ask_store(f, PROTO_STORE_PUT, 1, &what, "", -1);
		expect(f, PROTO_FAILED, 0);
		status = stop(f);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
	}
}

static void
a_directory_that_is_open_to_others_is_refused_with_advice(void **state)
{
	struct fixture *f = *state;
	char dir[80];

	strcpy(dir, f->path);
	strcat(dir, "/dir");
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(chmod(dir, 0755), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(dir, OWN_ID, OWN_ID), 0);
	start(f, "brig-logger", (const char *const[]){"--durability", "batch", NULL});
	expect(f, PROTO_FAILED, 0);
	f->m.payload[f->m.hdr.length] = '\0';
	assert_non_null(strstr((const char *)f->m.payload, "chmod 700"));
	assert_int_not_equal(stop(f), 0);
}

static void
fail_on_fault(void *arg, const struct chain_fault *fault)
{
	(void)arg;
	fail_msg("line %ju: %s", (uintmax_t)fault->line, fault->text);
}

static uint64_t
records(const struct fixture *f)
{
	struct chain_report report = {0};
	char path[100];
	FILE *file;

	strcpy(path, f->path);
	strcat(path, "/dir/" LOG_FILE_NAME);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(chain_verify(file, NULL, fail_on_fault, NULL, &report, NULL), 0);
	fclose(file);
	return report.records;
}

/* Appends many at once, some of them bad, and checks that the answers come in order. */
static void
flood(struct fixture *f, uint64_t from, int count)
{
	struct proto_log_done done;
	uint64_t sequence = from;
	int sent = 0, answered = 0;

	while (answered < count) {
		/* at most so many on their way: the socket holds what neither side has read */
		for (; sent < count && sent < answered + 50; sent++)
			append(f, 1000 + (uint64_t)sent, sent % 10 == 9 ? "not JSON" : "{\"n\":1}");
		expect(f, answered % 10 == 9 ? PROTO_LOG_FAILED : PROTO_LOG_DONE, 1000 + (uint64_t)answered);
		if (answered % 10 != 9) {
			assert_int_equal(f->m.hdr.length, sizeof(done));
			memcpy(&done, f->m.payload, sizeof(done));
			assert_int_equal(done.sequence, sequence++);
		}
		answered++;
	}
}

static void
the_logger_answers_in_order_and_the_chain_holds(void **state)
{
	static const char *const durabilities[] = {"batch", "strict"};
	struct fixture *f = *state;

	for (size_t i = 0; i < 2; i++) {
		start_logger(f, durabilities[i]);
		flood(f, i * 450, 500);
		assert_int_equal(records(f), (i + 1) * 450);
		assert_int_equal(stop(f), 0);
	}
}

static void
what_was_acknowledged_is_there_after_the_logger_was_killed(void **state)
{
	struct fixture *f = *state;
	int status;

	start_logger(f, "batch");
	append(f, 1, "{\"n\":1}");
	expect(f, PROTO_LOG_DONE, 1);
	assert_int_equal(kill(f->pid, SIGKILL), 0);
	status = stop(f);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(records(f), 1);
	start_logger(f, "batch");
	append(f, 2, "{\"n\":2}");
	expect(f, PROTO_LOG_DONE, 2);
	assert_int_equal(records(f), 2);
}

static void
they_run_as_who_they_were_told(void **state)
{
	struct fixture *f = *state;
	char path[100], line[200];
	unsigned real = 0;
	bool found = false, alone = false;
	FILE *file;

	start_logger(f, "batch");
	snprintf(path, sizeof(path), "/proc/%d/status", (int)f->pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		found |= sscanf(line, "Uid: %u", &real) == 1;
		alone |= strcmp(line, "NoNewPrivs:\t1\n") == 0;
	}
	fclose(file);
	assert_true(found && alone);
	assert_int_equal(real, geteuid() == 0 ? OWN_ID : geteuid());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_store_keeps_lists_gives_and_removes),
	    TEST(a_message_that_must_not_occur_ends_the_process),
	    TEST(a_directory_that_is_open_to_others_is_refused_with_advice),
	    TEST(the_logger_answers_in_order_and_the_chain_holds),
	    TEST(what_was_acknowledged_is_there_after_the_logger_was_killed),
	    TEST(they_run_as_who_they_were_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
