/* brig-compiler: enters its jail, compiles one module, ends. Compiler process. */

#include <string.h>
#include <unistd.h>

#include "base/imsg.h"
#include "runtime/compiler.h"
#include "sandbox/child.h"
#include "sandbox/filter_load.h"
#include "sandbox/jail.h"

static int
serve(int argc, char **argv, struct err *e)
{
	struct child_args args;
	struct filter_set filters;
	struct proto_ready ready = {0};
	wasm_engine_t *engine;
	enum proto_engine kind;
	int rc;

	if ((rc = child_args_parse(argc, argv, &args, e)) != 0)
		return rc;
	if ((rc = jail_enter(&args.jail, &ready.layers, e)) != 0)
		return rc;
	if ((rc = filter_load(FILTER_FD, &filters, e)) != 0)
		return rc;
	close(FILTER_FD);
	kind = (enum proto_engine)args.engine;
	if ((rc = engine_new(kind, compiler_settings, &engine, e)) != 0)
		return rc;
	ready.filter = filter_digest(&filters.prog[FILTER_COMPILER]);
	ready.engine = engine_identity(kind);
	if ((rc = jail_lock_code(&ready.layers, e)) != 0)
		return rc;
	if ((rc = jail_filter(&filters.prog[FILTER_COMPILER], &ready.layers, e)) != 0)
		return rc;
	if ((rc = imsg_send(PROTO_SOCKET_FD, PROTO_READY, 0, &ready, sizeof(ready), NULL, 0, e)) != 0)
		return rc;
	return compiler_serve(engine, kind, PROTO_SOCKET_FD, e);
}

int
main(int argc, char **argv)
{
	struct err e;

	if (serve(argc, argv, &e) == 0)
		_exit(0); /* the kernel frees memory faster than the engine does */
	imsg_send(PROTO_SOCKET_FD, PROTO_FAILED, 0, e.msg, strlen(e.msg), NULL, 0, NULL);
	return 1;
}
