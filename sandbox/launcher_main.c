/* brig-launcher: started by brigd, as root or not; starts zygotes and compilers in namespaces. Launcher process. */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/imsg.h"
#include "base/io.h"
#include "base/proto.h"
#include "base/service.h"
#include "sandbox/filter.h"
#include "sandbox/launcher.h"

static const struct option options[] = {
    {"worker", required_argument, NULL, 'w'},
    {"compiler", required_argument, NULL, 'c'},
    {"profile", required_argument, NULL, 'p'},
    {"uid-base", required_argument, NULL, 'u'},
    {"cgroup", required_argument, NULL, 'g'},
    {"cgroup-memory", required_argument, NULL, 'm'},
    {"cgroup-cpu", required_argument, NULL, 'x'},
    {NULL, 0, NULL, 0},
};

static int
parse_uid_base(const char *text, uid_t *uid, struct err *e)
{
	uint64_t v = 0;
	/* below 2^31, so that no id comes near the special ones at the end */
	int rc = service_number("--uid-base", text, 1000, 0x7fff0000u, &v, e);

	if (rc == 0)
		*uid = (uid_t)v;
	return rc;
}

static int
parse(int argc, char **argv, struct launcher_config *cfg, struct err *e)
{
	int option, rc = 0;

	opterr = 0;
	while (rc == 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'w')
			cfg->worker = optarg;
		else if (option == 'c')
			cfg->compiler = optarg;
		else if (option == 'p')
			rc = jail_profile_parse(optarg, &cfg->profile, e);
		else if (option == 'u')
			rc = parse_uid_base(optarg, &cfg->uid_base, e);
		else if (option == 'g')
			cfg->cgroup = optarg;
		else if (option == 'm')
			rc = service_number("--cgroup-memory", optarg, 0, INT64_MAX, &cfg->cgroup_memory_bytes, e);
		else if (option == 'x')
			rc = service_number("--cgroup-cpu", optarg, 0, 1000000, &cfg->cgroup_cpu_percent, e);
		else
			rc = err_set(e, ERR_INVAL, "unknown argument %.40s", argv[optind - 1]);
	}
	if (rc == 0 && (optind < argc || cfg->worker == NULL || cfg->compiler == NULL))
		rc = err_set(e, ERR_INVAL, "needed: --worker PATH --compiler PATH, and nothing but options");
	return rc;
}

int
main(int argc, char **argv)
{
	struct launcher_config cfg = {.profile = JAIL_PROFILE_NAMESPACES, .cgroup = "off"};
	struct launcher *l = NULL;
	struct err e = {0};
	int type, rc;
	socklen_t length = sizeof(type);

	if (getsockopt(PROTO_SOCKET_FD, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_SEQPACKET) {
		fprintf(stderr, "brig-launcher: started by brigd, not by hand\n");
		return 2;
	}
	rc = parse(argc, argv, &cfg, &e);
	if (rc == 0)
		rc = io_set_cloexec(PROTO_SOCKET_FD, true, &e);
	if (rc == 0)
		rc = launcher_new(&cfg, &l, &e);
	if (rc == 0)
		rc = filter_enter(FILTER_LAUNCHER, &e);
	if (rc == 0)
		rc = launcher_serve(l, PROTO_SOCKET_FD, &e);
	if (rc != 0)
		imsg_send(PROTO_SOCKET_FD, PROTO_FAILED, 0, e.msg, strlen(e.msg), NULL, 0, NULL);
	launcher_free(l);
	return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
