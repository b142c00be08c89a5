/* brig doctor's findings: here, and where user namespaces are forbidden. */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sandbox/doctor.h"
#include "tests/unit/jailed.h"

static const struct doctor_layer *
layer(const struct doctor_report *r, const char *name)
{
	for (int i = 0; i < DOCTOR_LAYERS; i++)
		if (strcmp(r->layers[i].name, name) == 0)
			return &r->layers[i];
	fail_msg("no layer %s", name);
	return NULL;
}

static void
every_layer_is_either_present_or_explained(void **state)
{
	struct doctor_report r;

	(void)state;
	doctor_examine(JAIL_PROFILE_NAMESPACES, &r);
	for (int i = 0; i < DOCTOR_LAYERS; i++) {
		const struct doctor_layer *l = &r.layers[i];

		assert_non_null(l->name);
		assert_int_equal(l->present, (r.present & (1u << i)) != 0);
		assert_true(l->present || (l->why[0] != '\0' && l->how != NULL));
		assert_int_equal((r.required_missing & (1u << i)) != 0, l->required && !l->present);
	}
	assert_true(layer(&r, "no_new_privs")->present);
	assert_true(layer(&r, "seccomp")->present);
	assert_int_equal(layer(&r, "own_uid")->present, geteuid() == 0);
	assert_true(r.page_size > 0);
}

static void
trying_leaves_this_process_as_it_was(void **state)
{
	struct doctor_report once, again;

	(void)state;
	doctor_examine(JAIL_PROFILE_NAMESPACES, &once);
	doctor_examine(JAIL_PROFILE_NAMESPACES, &again);
	assert_int_equal(once.present, again.present);
	assert_true(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
	assert_int_equal(errno, ECHILD);
}

static void
the_container_profile_needs_no_namespace(void **state)
{
	struct doctor_report r;

	(void)state;
	doctor_examine(JAIL_PROFILE_CONTAINER, &r);
	assert_false(layer(&r, "user_ns")->used);
	assert_false(layer(&r, "user_ns")->required);
	assert_false(layer(&r, "mount_ns")->present);
	assert_int_equal(r.required_missing, 0);
}

static int
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

/* In a user namespace whose own limit on further ones is 0, as an administrator would set it. */
static int
examine_without_namespaces(void *arg, struct err *e)
{
	struct doctor_report r;
	char map[40];
	uid_t uid = geteuid();

	(void)arg;
	snprintf(map, sizeof(map), "0 %u 1", (unsigned)uid);
	if (unshare(CLONE_NEWUSER) != 0 || write_file("/proc/self/uid_map", map) != 0 ||
	    write_file("/proc/sys/user/max_user_namespaces", "0") != 0)
		return err_set(e, ERR_UNSUPPORTED, "skipped: the limit cannot be set here");
	doctor_examine(JAIL_PROFILE_NAMESPACES, &r);
	NEED(!layer(&r, "user_ns")->present);
	NEED((r.required_missing & PROTO_LAYER_user_ns) != 0);
	NEED((r.required_missing & PROTO_LAYER_mount_ns) != 0);
	NEED(strstr(layer(&r, "user_ns")->why, "user.max_user_namespaces") != NULL);
	NEED(layer(&r, "seccomp")->present);
	return 0;
}

static void
says_so_where_user_namespaces_are_forbidden(void **state)
{
	int status = jailed_plain(examine_without_namespaces, NULL);

	(void)state;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_layer_is_either_present_or_explained),
	    cmocka_unit_test(trying_leaves_this_process_as_it_was),
	    cmocka_unit_test(the_container_profile_needs_no_namespace),
	    cmocka_unit_test(says_so_where_user_namespaces_are_forbidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
