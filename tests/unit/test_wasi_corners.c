/* Unit tests of runtime/wasi: every pointer of every function, every errno of every function, mounts inside mounts. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "runtime/wasi/fd.h"
#include "tests/unit/wasi_errnos.h"
#include "tests/unit/wasi_host.h"

/* Where things lie in the guest's memory; the first 1024 bytes are free. */
enum { OUT = 1024, LIST = 1040, BUFFER = 2048, PATH_ONE = 8192, PATH_TWO = 12288, PATH_LINK = 14336, SUBSCRIPTION = 16384, EVENT = 16640 };
enum { CREAT = 1, DIRECTORY = 2, EXCL = 4, TRUNC = 8 };
enum { APPEND = 1, DSYNC = 2, NONBLOCK = 4, RSYNC = 8, SYNC = 16 };

/* What start() opens: two mounts, then a file and a directory with all rights, and both with none. */
enum { W = 3, RO = 4, FILE_ALL = 5, DIR_ALL = 6, FILE_NONE = 7, DIR_NONE = 8, FREE = 9, CLOSED = 60, THIS = 61 };

static uint32_t
put_path(uint32_t at, const char *path)
{
	memcpy(host_mem(at), path, strlen(path));
	return at;
}

/* A path as two arguments of CALL. */
#define P(path)  put_path(PATH_ONE, path), strlen(path)
#define P2(path) put_path(PATH_TWO, path), strlen(path)

#define GIVES(error, name, ...) assert_int_equal(CALL(name, __VA_ARGS__), error)

static uint32_t
open_at(uint32_t fd, const char *path, uint32_t oflags, uint64_t rights, uint64_t inheriting)
{
	GIVES(0, path_open, fd, 0, P(path), oflags, rights, inheriting, 0, OUT);
	return (uint32_t)host_load(OUT, 4);
}

/* Two mounts with files, links, and open descriptors, as named above. */
static void
start(void)
{
	host->job.host_calls = 1000000;
	host_give((const char *const[]){"a", "bc", NULL}, (const char *const[]){"X=1", NULL}, "");
	host_mount("/w", PROTO_FS_ALL);
	host_mount("/ro", PROTO_FS_READ);
	host_file("/ro/d/x", "1");
	host_file("/ro/f", "data");
	host_file("/w/d/x", "1");
	host_file("/w/f", "hello");
	host_start();
	GIVES(0, path_symlink, P2("f"), W, P("l"));
	GIVES(0, path_symlink, P2("loop"), W, P("loop"));
	GIVES(0, path_symlink, P2("../f"), W, P("out"));
	assert_int_equal(open_at(W, "f", 0, WASI_RIGHTS_FILE, 0), FILE_ALL);
	assert_int_equal(open_at(W, "d", DIRECTORY, WASI_RIGHTS_DIR, WASI_RIGHTS_DIR | WASI_RIGHTS_FILE), DIR_ALL);
	assert_int_equal(open_at(W, "f", 0, 0, 0), FILE_NONE);
	assert_int_equal(open_at(W, "d", 0, 0, 0), DIR_NONE);
	host_iovec(LIST, 0, BUFFER, 4);
	memset(host_mem(SUBSCRIPTION), 0, 48);
	host_store(SUBSCRIPTION + 16, 4, 1); /* the monotonic clock, 0 ns from now */
}

/* --- pointers -------------------------------------------------------------------------------------------------- */

/*
 * The parameters of all functions: p for a pointer, n for how many bytes there are behind the pointer before it, v for how
 * many elements of an array, . for the rest.
 */
static const char *const shapes[WASI_CALL_COUNT] = {
    [WASI_CALL_args_get] = "pp",
    [WASI_CALL_args_sizes_get] = "pp",
    [WASI_CALL_environ_get] = "pp",
    [WASI_CALL_environ_sizes_get] = "pp",
    [WASI_CALL_clock_res_get] = ".p",
    [WASI_CALL_clock_time_get] = "..p",
    [WASI_CALL_fd_advise] = "....",
    [WASI_CALL_fd_allocate] = "...",
    [WASI_CALL_fd_close] = ".",
    [WASI_CALL_fd_datasync] = ".",
    [WASI_CALL_fd_fdstat_get] = ".p",
    [WASI_CALL_fd_fdstat_set_flags] = "..",
    [WASI_CALL_fd_fdstat_set_rights] = "...",
    [WASI_CALL_fd_filestat_get] = ".p",
    [WASI_CALL_fd_filestat_set_size] = "..",
    [WASI_CALL_fd_filestat_set_times] = "....",
    [WASI_CALL_fd_pread] = ".pv.p",
    [WASI_CALL_fd_prestat_get] = ".p",
    [WASI_CALL_fd_prestat_dir_name] = ".pn",
    [WASI_CALL_fd_pwrite] = ".pv.p",
    [WASI_CALL_fd_read] = ".pvp",
    [WASI_CALL_fd_readdir] = ".pn.p",
    [WASI_CALL_fd_renumber] = "..",
    [WASI_CALL_fd_seek] = "...p",
    [WASI_CALL_fd_sync] = ".",
    [WASI_CALL_fd_tell] = ".p",
    [WASI_CALL_fd_write] = ".pvp",
    [WASI_CALL_path_create_directory] = ".pn",
    [WASI_CALL_path_filestat_get] = "..pnp",
    [WASI_CALL_path_filestat_set_times] = "..pn...",
    [WASI_CALL_path_link] = "..pn.pn",
    [WASI_CALL_path_open] = "..pn....p",
    [WASI_CALL_path_readlink] = ".pnpnp",
    [WASI_CALL_path_remove_directory] = ".pn",
    [WASI_CALL_path_rename] = ".pn.pn",
    [WASI_CALL_path_symlink] = "pn.pn",
    [WASI_CALL_path_unlink_file] = ".pn",
    [WASI_CALL_poll_oneoff] = "ppvp",
    [WASI_CALL_proc_exit] = ".",
    [WASI_CALL_proc_raise] = ".",
    [WASI_CALL_sched_yield] = "",
    [WASI_CALL_random_get] = "pn",
    [WASI_CALL_sock_accept] = "..p",
    [WASI_CALL_sock_recv] = ".pv.pp",
    [WASI_CALL_sock_send] = ".pv.p",
    [WASI_CALL_sock_shutdown] = "..",
};

/* Calls that succeed, and which of their parameters are pointers, to how many bytes. */
static const struct pointers {
	enum wasi_call call;
	uint64_t a[WASI_PARAMETERS_MAX];
	struct {
		unsigned parameter, length;
	} at[4]; /* ends with length 0 */
} pointers[] = {
    {WASI_CALL_args_get, {OUT, BUFFER}, {{0, 8}, {1, 5}}},
    {WASI_CALL_args_sizes_get, {OUT, LIST}, {{0, 4}, {1, 4}}},
    {WASI_CALL_environ_get, {OUT, BUFFER}, {{0, 4}, {1, 4}}},
    {WASI_CALL_environ_sizes_get, {OUT, LIST}, {{0, 4}, {1, 4}}},
    {WASI_CALL_clock_res_get, {1, OUT}, {{1, 8}}},
    {WASI_CALL_clock_time_get, {1, 0, OUT}, {{2, 8}}},
    {WASI_CALL_fd_fdstat_get, {FILE_ALL, BUFFER}, {{1, 24}}},
    {WASI_CALL_fd_filestat_get, {FILE_ALL, BUFFER}, {{1, 64}}},
    {WASI_CALL_fd_filestat_get, {1, BUFFER}, {{1, 64}}},
    {WASI_CALL_fd_pread, {FILE_ALL, LIST, 1, 0, OUT}, {{1, 8}, {4, 4}}},
    {WASI_CALL_fd_prestat_get, {W, OUT}, {{1, 8}}},
    {WASI_CALL_fd_prestat_dir_name, {W, BUFFER, 2}, {{1, 2}}},
    {WASI_CALL_fd_pwrite, {FILE_ALL, LIST, 1, 0, OUT}, {{1, 8}, {4, 4}}},
    {WASI_CALL_fd_read, {FILE_ALL, LIST, 1, OUT}, {{1, 8}, {3, 4}}},
    {WASI_CALL_fd_readdir, {W, BUFFER, 100, 0, OUT}, {{1, 100}, {4, 4}}},
    {WASI_CALL_fd_seek, {FILE_ALL, 0, 0, OUT}, {{3, 8}}},
    {WASI_CALL_fd_tell, {FILE_ALL, OUT}, {{1, 8}}},
    {WASI_CALL_fd_write, {FILE_ALL, LIST, 1, OUT}, {{1, 8}, {3, 4}}},
    {WASI_CALL_fd_write, {2, LIST, 1, OUT}, {{1, 8}, {3, 4}}},
    {WASI_CALL_path_create_directory, {W, PATH_TWO, 3}, {{1, 3}}},
    {WASI_CALL_path_filestat_get, {W, 0, PATH_ONE, 3, BUFFER}, {{2, 3}, {4, 64}}},
    {WASI_CALL_path_filestat_set_times, {W, 0, PATH_ONE, 3, 0, 0, 5}, {{2, 3}}},
    {WASI_CALL_path_remove_directory, {W, PATH_TWO, 3}, {{1, 3}}},
    {WASI_CALL_path_link, {W, 0, PATH_ONE, 3, W, PATH_TWO, 3}, {{2, 3}, {5, 3}}},
    {WASI_CALL_path_rename, {W, PATH_ONE, 3, W, PATH_TWO, 3}, {{1, 3}, {4, 3}}},
    {WASI_CALL_path_unlink_file, {W, PATH_TWO, 3}, {{1, 3}}},
    {WASI_CALL_path_symlink, {PATH_ONE, 3, W, PATH_TWO, 3}, {{0, 3}, {3, 3}}},
    {WASI_CALL_path_readlink, {W, PATH_LINK, 3, BUFFER, 10, OUT}, {{1, 3}, {3, 10}, {5, 4}}},
    {WASI_CALL_path_open, {W, 0, PATH_ONE, 3, 0, 0, 0, 0, OUT}, {{2, 3}, {8, 4}}},
    {WASI_CALL_poll_oneoff, {SUBSCRIPTION, EVENT, 1, OUT}, {{0, 48}, {1, 32}, {3, 4}}},
    {WASI_CALL_random_get, {BUFFER, 100}, {{0, 100}}},
};

#define POINTERS (sizeof(pointers) / sizeof(pointers[0]))

/* Makes the call with one of its pointers elsewhere, where the same bytes lie if they can. */
static int
call_with(const struct pointers *p, unsigned i, uint32_t at)
{
	uint64_t a[WASI_PARAMETERS_MAX];
	unsigned length = p->at[i].length;

	memcpy(a, p->a, sizeof(a));
	if (at <= END - length)
		memmove(host_mem(at), host_mem((uint32_t)a[p->at[i].parameter]), length);
	a[p->at[i].parameter] = at;
	return host_call(p->call, a);
}

/* The paths that the calls above take. */
static void
put_names(void)
{
	put_path(PATH_ONE, "./f");
	put_path(PATH_TWO, "./n");
	put_path(PATH_LINK, "./l");
}

/* Whether some row of `pointers` is of this parameter. */
static bool
is_tested(enum wasi_call call, unsigned parameter)
{
	for (size_t i = 0; i < POINTERS; i++)
		for (unsigned k = 0; k < 4 && pointers[i].call == call && pointers[i].at[k].length > 0; k++)
			if (pointers[i].at[k].parameter == parameter)
				return true;
	return false;
}

/* Those of sockets lead nowhere: what is no socket is told before. */
static void
each_pointer_of_each_function_is_tested(void **state)
{
	(void)state;
	for (enum wasi_call call = 0; call < WASI_CALL_COUNT; call++) {
		bool socket = strncmp(host_rows[call].name, "sock_", 5) == 0;

		assert_int_equal(strlen(shapes[call]), strcspn(host_rows[call].type, ":"));
		for (unsigned i = 0; shapes[call][i] != '\0'; i++) {
			if (shapes[call][i] != '.')
				assert_int_equal(host_rows[call].type[i], 'i');
			if (is_tested(call, i) != (shapes[call][i] == 'p' && !socket))
				fail_msg("%s: parameter %u", host_rows[call].name, i);
		}
	}
}

static void
each_pointer_may_be_anywhere_inside_the_memory(void **state)
{
	(void)state;
	start();
	for (size_t i = 0; i < POINTERS; i++) {
		const struct pointers *p = &pointers[i];
		int error;

		put_names();
		error = host_call(p->call, p->a);
		if (error != 0)
			fail_msg("%s: %d", host_rows[p->call].name, error);
		for (unsigned k = 0; k < 4 && p->at[k].length > 0; k++) {
			const uint32_t good[] = {0, 1, 3, 513, END - p->at[k].length, END - p->at[k].length - 1};

			for (size_t g = 0; g < sizeof(good) / sizeof(good[0]); g++) {
				error = call_with(p, k, good[g]);
				if (error == WASI_EFAULT || error == TRAPPED)
					fail_msg("%s: parameter %u at %u: %d", host_rows[p->call].name, p->at[k].parameter, good[g], error);
			}
		}
	}
}

static void
each_pointer_that_leaves_the_memory_is_efault_and_nothing_happens(void **state)
{
	(void)state;
	start();
	GIVES(0, path_symlink, P2("f"), W, P("n"));
	put_names();
	for (size_t i = 0; i < POINTERS; i++) {
		const struct pointers *p = &pointers[i];

		for (unsigned k = 0; k < 4 && p->at[k].length > 0; k++) {
			const uint32_t n = p->at[k].length;
			const uint32_t bad[] = {END - n + 1, END - 1, END, END + 1, INT32_MAX, UINT32_C(1) << 31,
			    UINT32_MAX - n, UINT32_MAX - n + 1, UINT32_MAX - n + 2, UINT32_MAX};

			for (size_t b = 0; b < sizeof(bad) / sizeof(bad[0]); b++) {
				int error = call_with(p, k, bad[b]);

				if (error != WASI_EFAULT)
					fail_msg("%s: parameter %u at %u: %d", host_rows[p->call].name, p->at[k].parameter, bad[b], error);
			}
		}
	}
	assert_int_equal(open_at(W, "f", 0, 0, 0), FREE);
	GIVES(0, fd_tell, FILE_ALL, OUT);
	assert_int_equal(host_load(OUT, 8), 0);
	GIVES(0, path_filestat_get, W, 0, P("f"), BUFFER);
	assert_int_equal(host_load(BUFFER + 24, 8), 1);
	host_expect_silence();
}

/* Two pointers of a call at one place: it does what it does, and no more. */
static void
each_pointer_may_be_where_another_one_is(void **state)
{
	(void)state;
	start();
	for (size_t i = 0; i < POINTERS; i++) {
		const struct pointers *p = &pointers[i];

		for (unsigned k = 0; k < 4 && p->at[k].length > 0; k++)
			for (unsigned other = 0; other < 4 && p->at[other].length > 0; other++)
				for (uint32_t off = 0; off < 3; off++) {
					uint64_t a[WASI_PARAMETERS_MAX];
					int error;

					put_names();
					host_iovec(LIST, 0, BUFFER, 4);
					memset(host_mem(SUBSCRIPTION), 0, 48);
					host_store(SUBSCRIPTION + 16, 4, 1);
					memcpy(a, p->a, sizeof(a));
					a[p->at[k].parameter] = a[p->at[other].parameter] + off;
					error = host_call(p->call, a);
					if (error == TRAPPED)
						fail_msg("%s: %u at %u", host_rows[p->call].name, p->at[k].parameter, p->at[other].parameter);
				}
	}
	host_expect_end(WASI_END_NOT, 0);
}

/* Lengths of what pointers lead to, and numbers of elements, up to the largest. */
static void
each_length_that_leaves_the_memory_is_efault(void **state)
{
	(void)state;
	start();
	put_names();
	for (size_t i = 0; i < POINTERS; i++) {
		const struct pointers *p = &pointers[i];
		const char *shape = shapes[p->call];

		for (unsigned n = 1; n < strlen(shape); n++) {
			uint32_t at = (uint32_t)p->a[n - 1], unit = p->call == WASI_CALL_poll_oneoff ? 32 : shape[n] == 'v' ? 8 : 1;
			const uint32_t bad[] = {UINT32_MAX, UINT32_MAX - 1, UINT32_C(1) << 31, UINT32_C(1) << 29, UINT32_MAX / unit,
			    UINT32_MAX / unit + 1, END / unit + 1, (END - at) / unit + 1};

			for (size_t b = 0; b < sizeof(bad) / sizeof(bad[0]) && (shape[n] == 'n' || shape[n] == 'v'); b++) {
				uint64_t a[WASI_PARAMETERS_MAX];
				int error;

				memcpy(a, p->a, sizeof(a));
				a[n] = bad[b];
				error = host_call(p->call, a);
				if (error != WASI_EFAULT && bad[b] != 0) /* UINT32_MAX / 1 + 1 */
					fail_msg("%s: parameter %u is %u: %d", host_rows[p->call].name, n, bad[b], error);
			}
		}
	}
}

/* What an iovec array leads to. */
static void
each_buffer_of_an_array_is_inside_the_memory_or_efault(void **state)
{
	static const struct {
		uint32_t at, length;
		int error;
	} cases[] = {
	    {0, 4, 0}, {1, 4, 0}, {END - 4, 4, 0}, {END, 0, 0}, {END - 1, 1, 0}, {LIST, 8, 0}, {LIST + 3, 8, 0}, {OUT, 4, 0},
	    {END - 3, 4, WASI_EFAULT}, {END - 1, 2, WASI_EFAULT}, {END, 1, WASI_EFAULT}, {END + 1, 0, WASI_EFAULT},
	    {UINT32_MAX, 1, WASI_EFAULT}, {UINT32_MAX, 2, WASI_EFAULT}, {UINT32_MAX - 3, 4, WASI_EFAULT}, {1, UINT32_MAX, WASI_EFAULT},
	    {UINT32_MAX, UINT32_MAX, WASI_EFAULT}, {0, END + 1, WASI_EFAULT},
	};

	(void)state;
	start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (uint32_t before = 0; before < 2; before++) { /* alone, and behind a good one */
			uint32_t list = LIST, count = before + 1;

#define AGAIN(name, ...)                                                                                             	do {                                                                                                         		host_iovec(LIST, 0, BUFFER, 4);                                                                      		host_iovec(LIST, before, cases[i].at, cases[i].length);                                              		GIVES(cases[i].error, name, __VA_ARGS__);                                                            	} while (0)
			AGAIN(fd_read, FILE_ALL, list, count, OUT);
			AGAIN(fd_read, 0, list, count, OUT);
			AGAIN(fd_pread, FILE_ALL, list, count, 0, OUT);
			AGAIN(fd_write, FILE_ALL, list, count, OUT);
			AGAIN(fd_write, 1, list, count, OUT);
			AGAIN(fd_pwrite, FILE_ALL, list, count, 0, OUT);
#undef AGAIN
		}
}

static void
sockets_look_at_no_pointer(void **state)
{
	static const uint32_t places[] = {0, END - 1, END, UINT32_MAX};

	(void)state;
	start();
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint32_t p = places[i];

		GIVES(WASI_ENOTSOCK, sock_accept, FILE_ALL, 0, p);
		GIVES(WASI_ENOTSOCK, sock_recv, 0, p, UINT32_MAX, 0, p, p);
		GIVES(WASI_ENOTSOCK, sock_send, 1, p, UINT32_MAX, 0, p);
		GIVES(WASI_EBADF, sock_recv, CLOSED, p, UINT32_MAX, 0, p, p);
	}
}

static void
in_a_memory_without_pages_there_is_no_address(void **state)
{
	wasm_memorytype_t *type;
	wasmtime_memory_t none;

	(void)state;
	start();
	assert_null(wasmtime_memorytype_new(0, true, 1, false, false, 16, &type));
	assert_null(wasmtime_memory_new(host->context, type, &none));
	wasm_memorytype_delete(type);
	wasi_attach(host->wasi, &none);
	for (size_t i = 0; i < POINTERS; i++) {
		uint64_t a[WASI_PARAMETERS_MAX];

		memcpy(a, pointers[i].a, sizeof(a));
		for (unsigned k = 0; k < 4 && pointers[i].at[k].length > 0; k++)
			a[pointers[i].at[k].parameter] = 0;
		assert_int_equal(host_call(pointers[i].call, a), WASI_EFAULT);
	}
	GIVES(0, random_get, 0, 0);
	GIVES(WASI_EFAULT, random_get, 1, 0);
	GIVES(WASI_ENOENT, path_create_directory, W, 0, 0);
}

static void
a_memory_that_grew_is_used_up_to_its_new_end(void **state)
{
	uint64_t before;

	(void)state;
	start();
	GIVES(WASI_EFAULT, fd_tell, FILE_ALL, END);
	assert_null(wasmtime_memory_grow(host->context, &host->memory, 100, &before));
	put_names();
	memcpy(host_mem(END + 65536), "./f", 3);
	GIVES(0, path_open, W, 0, END + 65536, 3, 0, 0, 0, 0, END + 100);
	assert_int_equal(host_load(END + 100, 4), FREE);
	host_iovec(END, 0, END + 1000, 5);
	GIVES(0, fd_pread, FILE_ALL, END, 1, 0, OUT);
	assert_memory_equal(host_mem(END + 1000), "hello", 5);
	GIVES(WASI_EFAULT, fd_tell, FILE_ALL, END + 100 * 65536 - 7);
}

static void
counts_that_no_memory_can_hold_are_efault(void **state)
{
	static const uint64_t counts[] = {UINT32_MAX, UINT64_C(1) << 31, UINT64_C(1) << 29, END / 8 + 1, (END - LIST) / 8 + 1};

	(void)state;
	start();
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		GIVES(WASI_EFAULT, fd_read, FILE_ALL, LIST, counts[i], OUT);
		GIVES(WASI_EFAULT, fd_read, 0, LIST, counts[i], OUT);
		GIVES(WASI_EFAULT, fd_pread, FILE_ALL, LIST, counts[i], 0, OUT);
		GIVES(WASI_EFAULT, fd_write, FILE_ALL, LIST, counts[i], OUT);
		GIVES(WASI_EFAULT, fd_write, 1, LIST, counts[i], OUT);
		GIVES(WASI_EFAULT, fd_pwrite, FILE_ALL, LIST, counts[i], 0, OUT);
		GIVES(WASI_EFAULT, poll_oneoff, LIST, LIST, counts[i], OUT);
	}
	GIVES(WASI_EFAULT, random_get, LIST, UINT32_MAX);
	GIVES(WASI_EFAULT, path_create_directory, W, LIST, UINT32_MAX);
	GIVES(WASI_EFAULT, fd_readdir, W, LIST, UINT32_MAX, 0, OUT);
	GIVES(WASI_EFAULT, path_readlink, W, PATH_LINK, 3, LIST, UINT32_MAX, OUT);
	GIVES(WASI_EFAULT, fd_prestat_dir_name, W, LIST, UINT32_MAX);
	GIVES(0, fd_read, FILE_ALL, END, 0, OUT);
	GIVES(WASI_EFAULT, fd_read, FILE_ALL, END + 1, 0, OUT);
	assert_int_equal(host_load(OUT, 4), 0);
}

static void
results_may_lie_where_parameters_do(void **state)
{
	(void)state;
	start();
	host_iovec(LIST, 0, BUFFER, 5);
	GIVES(0, fd_pread, FILE_ALL, LIST, 1, 0, LIST + 4); /* the count over the length */
	assert_int_equal(host_load(LIST + 4, 4), 5);
	host_iovec(LIST, 0, LIST, 8);
	GIVES(0, fd_pread, FILE_ALL, LIST, 1, 0, OUT); /* the bytes over the array */
	assert_memory_equal(host_mem(LIST), "hello", 5);
	host_iovec(LIST, 0, LIST + 8, 4);
	host_iovec(LIST, 1, BUFFER, 4);
	GIVES(0, fd_pread, FILE_ALL, LIST, 2, 0, OUT); /* the next element becomes another, which is not in the memory */
	assert_int_equal(host_load(OUT, 4), 4);
	GIVES(0, path_open, W, 0, P("f"), 0, 0, 0, 0, PATH_ONE); /* the descriptor over the path */
	assert_int_equal(host_load(PATH_ONE, 4), FREE);
	GIVES(0, path_filestat_get, W, 0, P("f"), PATH_ONE);
	assert_int_equal(host_load(PATH_ONE + 16, 1), 4);
	GIVES(0, path_readlink, W, P("l"), PATH_ONE, 8, PATH_ONE);
	assert_int_equal(host_load(PATH_ONE, 4), 1);
	GIVES(0, fd_readdir, W, BUFFER, 24, 0, BUFFER + 8);
	assert_int_equal(host_load(BUFFER + 8, 4), 24);
	GIVES(0, path_rename, W, P("f"), W, PATH_ONE, 1);
	GIVES(WASI_EEXIST, path_link, W, 0, P("f"), W, PATH_ONE, 1);
	GIVES(0, path_symlink, P("self"), W, PATH_ONE, 4);
	GIVES(0, path_readlink, W, P("self"), BUFFER, 10, OUT);
	assert_memory_equal(host_mem(BUFFER), "self", 4);
}

static void
events_may_lie_where_subscriptions_do(void **state)
{
	(void)state;
	start();
	for (uint32_t i = 0; i < 4; i++) {
		memset(host_mem(BUFFER + 48 * i), 0, 48);
		host_store(BUFFER + 48 * i, 8, 100 + i);
		host_store(BUFFER + 48 * i + 16, 4, i % 2);
	}
	GIVES(0, poll_oneoff, BUFFER, BUFFER, 4, OUT);
	assert_int_equal(host_load(OUT, 4), 4);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(host_load(BUFFER + 32 * i, 8), 100 + i);
		assert_int_equal(host_load(BUFFER + 32 * i + 8, 2), 0);
	}
}

/* --- all errnos -------------------------------------------------------------------------------------------------- */

/* The errnos of preview 1, from 1 on. */
static const char *const errnos[] = {"2BIG", "ACCES", "ADDRINUSE", "ADDRNOTAVAIL", "AFNOSUPPORT", "AGAIN", "ALREADY", "BADF",
    "BADMSG", "BUSY", "CANCELED", "CHILD", "CONNABORTED", "CONNREFUSED", "CONNRESET", "DEADLK", "DESTADDRREQ", "DOM", "DQUOT",
    "EXIST", "FAULT", "FBIG", "HOSTUNREACH", "IDRM", "ILSEQ", "INPROGRESS", "INTR", "INVAL", "IO", "ISCONN", "ISDIR", "LOOP",
    "MFILE", "MLINK", "MSGSIZE", "MULTIHOP", "NAMETOOLONG", "NETDOWN", "NETRESET", "NETUNREACH", "NFILE", "NOBUFS", "NODEV",
    "NOENT", "NOEXEC", "NOLCK", "NOLINK", "NOMEM", "NOMSG", "NOPROTOOPT", "NOSPC", "NOSYS", "NOTCONN", "NOTDIR", "NOTEMPTY",
    "NOTRECOVERABLE", "NOTSOCK", "NOTSUP", "NOTTY", "NXIO", "OVERFLOW", "OWNERDEAD", "PERM", "PIPE", "PROTO", "PROTONOSUPPORT",
    "PROTOTYPE", "RANGE", "ROFS", "SPIPE", "SRCH", "STALE", "TIMEDOUT", "TXTBSY", "XDEV", "NOTCAPABLE"};

static bool
any_function_gives(enum wasi_errno error)
{
	for (enum wasi_call call = 0; call < WASI_CALL_COUNT; call++)
		if (wasi_errnos_has(call, error))
			return true;
	return false;
}

static void
each_errno_is_provoked_or_it_is_said_why_none_has_it(void **state)
{
	(void)state;
	assert_int_equal(sizeof(errnos) / sizeof(errnos[0]), WASI_ENOTCAPABLE);
	for (unsigned i = 0; i < WASI_ENOTCAPABLE; i++) {
		char quoted[32];

		snprintf(quoted, sizeof(quoted), "`%s`", errnos[i]);
		if (any_function_gives((enum wasi_errno)(i + 1)) == (strstr(wasi_errnos_never(), quoted) != NULL))
			fail_msg("%s", quoted);
	}
}

static void
each_function_that_can_fail_is_made_to(void **state)
{
	(void)state;
	for (enum wasi_call call = 0; call < WASI_CALL_COUNT; call++) {
		bool fails = false;

		for (unsigned i = 1; i <= WASI_ENOTCAPABLE; i++)
			fails = fails || wasi_errnos_has(call, (enum wasi_errno)i);
		assert_int_equal(fails, call != WASI_CALL_proc_exit && call != WASI_CALL_sched_yield);
	}
}

/* --- errnos ---------------------------------------------------------------------------------------------------- */

static void
what_is_done_with_descriptors_has_these_errnos(void **state)
{
	(void)state;
	start();
	GIVES(WASI_EBADF, fd_advise, CLOSED, 0, 0, 0);
	GIVES(WASI_EINVAL, fd_advise, FILE_ALL, 0, 0, 6);
	GIVES(WASI_EINVAL, fd_advise, FILE_ALL, UINT64_C(1) << 63, 0, 0);
	GIVES(WASI_ESPIPE, fd_advise, 0, 0, 0, 0);
	GIVES(WASI_ENOTCAPABLE, fd_advise, FILE_NONE, 0, 0, 0);
	GIVES(WASI_EBADF, fd_allocate, CLOSED, 0, 1);
	GIVES(WASI_EINVAL, fd_allocate, FILE_ALL, 0, 0);
	GIVES(WASI_EINVAL, fd_allocate, FILE_ALL, UINT64_MAX, 1);
	GIVES(WASI_EFBIG, fd_allocate, FILE_ALL, INT64_MAX, INT64_MAX);
	GIVES(WASI_ENOSPC, fd_allocate, FILE_ALL, 0, 1 << 30);
	GIVES(WASI_EISDIR, fd_allocate, DIR_ALL, 0, 1);
	GIVES(WASI_ESPIPE, fd_allocate, 1, 0, 1);
	GIVES(WASI_ENOTCAPABLE, fd_allocate, FILE_NONE, 0, 1);
	GIVES(WASI_EBADF, fd_close, CLOSED);
	GIVES(WASI_EBADF, fd_close, UINT32_MAX);
	GIVES(WASI_EINVAL, fd_datasync, 1);
	GIVES(0, fd_datasync, DIR_ALL);
	GIVES(WASI_ENOTCAPABLE, fd_datasync, FILE_NONE);
	GIVES(WASI_EINVAL, fd_sync, 0);
	GIVES(0, fd_sync, DIR_ALL);
	GIVES(WASI_ENOTCAPABLE, fd_sync, FILE_NONE);
	GIVES(WASI_EBADF, fd_fdstat_get, CLOSED, OUT);
	GIVES(0, fd_fdstat_get, FILE_NONE, BUFFER);
	GIVES(WASI_EINVAL, fd_fdstat_set_flags, FILE_ALL, 32);
	GIVES(WASI_ENOTCAPABLE, fd_fdstat_set_flags, FILE_NONE, 0);
	GIVES(WASI_ENOTCAPABLE, fd_fdstat_set_rights, FILE_NONE, 1, 0);
	GIVES(WASI_ENOTCAPABLE, fd_fdstat_set_rights, FILE_ALL, WASI_RIGHTS_FILE, 1);
	GIVES(WASI_ENOTCAPABLE, fd_fdstat_set_rights, FILE_ALL, UINT64_C(1) << 40, 0);
	GIVES(WASI_ENOTCAPABLE, fd_filestat_get, FILE_NONE, BUFFER);
	GIVES(WASI_ENOTCAPABLE, fd_filestat_set_size, FILE_NONE, 0);
	GIVES(WASI_EISDIR, fd_filestat_set_size, DIR_ALL, 0);
	GIVES(WASI_EINVAL, fd_filestat_set_size, 1, 0);
	GIVES(WASI_EINVAL, fd_filestat_set_size, FILE_ALL, UINT64_MAX);
	GIVES(WASI_EFBIG, fd_filestat_set_size, FILE_ALL, INT64_MAX);
	GIVES(WASI_EBADF, fd_filestat_set_times, CLOSED, 0, 0, 0);
	GIVES(WASI_EINVAL, fd_filestat_set_times, FILE_ALL, 0, 0, 3);
	GIVES(WASI_EINVAL, fd_filestat_set_times, FILE_ALL, 0, 0, 12);
	GIVES(WASI_EINVAL, fd_filestat_set_times, FILE_ALL, 0, 0, 16);
	GIVES(WASI_ENOTCAPABLE, fd_filestat_set_times, FILE_NONE, 0, 0, 1);
	GIVES(WASI_EBADF, fd_renumber, CLOSED, FILE_ALL);
	GIVES(WASI_EBADF, fd_renumber, FILE_ALL, CLOSED);
	GIVES(0, fd_renumber, FILE_ALL, FILE_ALL);
}

static void
what_moves_bytes_and_positions_has_these_errnos(void **state)
{
	(void)state;
	start();
	GIVES(WASI_EBADF, fd_read, CLOSED, LIST, 1, OUT);
	GIVES(WASI_EBADF, fd_read, 1, LIST, 1, OUT);
	GIVES(WASI_EISDIR, fd_read, DIR_ALL, LIST, 1, OUT);
	GIVES(WASI_ENOTCAPABLE, fd_read, FILE_NONE, LIST, 1, OUT);
	GIVES(WASI_EBADF, fd_write, 0, LIST, 1, OUT);
	GIVES(WASI_EISDIR, fd_write, DIR_ALL, LIST, 1, OUT);
	GIVES(WASI_ENOTCAPABLE, fd_write, FILE_NONE, LIST, 1, OUT);
	GIVES(WASI_ESPIPE, fd_pread, 0, LIST, 1, 0, OUT);
	GIVES(WASI_EISDIR, fd_pread, DIR_ALL, LIST, 1, 0, OUT);
	GIVES(WASI_ENOTCAPABLE, fd_pread, FILE_NONE, LIST, 1, 0, OUT);
	GIVES(WASI_EINVAL, fd_pread, FILE_ALL, LIST, 1, UINT64_C(1) << 63, OUT);
	GIVES(0, fd_pread, FILE_ALL, LIST, 1, INT64_MAX, OUT);
	assert_int_equal(host_load(OUT, 4), 0);
	GIVES(WASI_ESPIPE, fd_pwrite, 1, LIST, 1, 0, OUT);
	GIVES(WASI_EISDIR, fd_pwrite, DIR_ALL, LIST, 1, 0, OUT);
	GIVES(WASI_ENOTCAPABLE, fd_pwrite, FILE_NONE, LIST, 1, 0, OUT);
	GIVES(WASI_EINVAL, fd_pwrite, FILE_ALL, LIST, 1, UINT64_MAX, OUT);
	GIVES(WASI_EFBIG, fd_pwrite, FILE_ALL, LIST, 1, INT64_MAX, OUT);
	GIVES(WASI_EFBIG, fd_pwrite, FILE_ALL, LIST, 1, UINT64_C(1) << 40, OUT);
	GIVES(0, fd_pwrite, FILE_ALL, LIST, 1, (UINT64_C(1) << 40) - 1, OUT); /* what fits is written */
	assert_int_equal(host_load(OUT, 4), 1);
	GIVES(0, fd_pwrite, FILE_ALL, LIST, 0, INT64_MAX, OUT);
	GIVES(WASI_EBADF, fd_seek, CLOSED, 0, 9, OUT);
	GIVES(WASI_EINVAL, fd_seek, FILE_ALL, 0, 3, OUT);
	GIVES(WASI_EINVAL, fd_seek, FILE_ALL, UINT64_MAX, 0, OUT);
	GIVES(WASI_EINVAL, fd_seek, FILE_ALL, UINT64_C(1) << 63, 0, OUT);
	GIVES(WASI_EOVERFLOW, fd_seek, FILE_ALL, INT64_MAX, 2, OUT);
	GIVES(0, fd_seek, FILE_ALL, INT64_MAX, 0, OUT);
	GIVES(WASI_EOVERFLOW, fd_seek, FILE_ALL, 1, 1, OUT);
	GIVES(WASI_EFBIG, fd_write, FILE_ALL, LIST, 1, OUT);
	GIVES(WASI_ESPIPE, fd_seek, 0, 0, 1, OUT);
	GIVES(WASI_EISDIR, fd_seek, DIR_ALL, 0, 1, OUT);
	GIVES(WASI_ENOTCAPABLE, fd_seek, FILE_NONE, 0, 1, OUT);
	GIVES(WASI_ESPIPE, fd_tell, 1, OUT);
	GIVES(WASI_EISDIR, fd_tell, DIR_ALL, OUT);
	GIVES(WASI_ENOTCAPABLE, fd_tell, FILE_NONE, OUT);
}

static void
what_reads_directories_and_mounts_has_these_errnos(void **state)
{
	(void)state;
	start();
	GIVES(WASI_EBADF, fd_readdir, CLOSED, BUFFER, 100, 0, OUT);
	GIVES(WASI_ENOTDIR, fd_readdir, FILE_ALL, BUFFER, 100, 0, OUT);
	GIVES(WASI_ENOTDIR, fd_readdir, 0, BUFFER, 100, 0, OUT);
	GIVES(WASI_ENOTCAPABLE, fd_readdir, DIR_NONE, BUFFER, 100, 0, OUT);
	GIVES(0, fd_readdir, DIR_ALL, BUFFER, 0, 0, OUT);
	GIVES(0, fd_readdir, DIR_ALL, BUFFER, 100, UINT64_MAX, OUT); /* behind the last one */
	assert_int_equal(host_load(OUT, 4), 0);
	GIVES(WASI_EBADF, fd_prestat_get, FILE_ALL, OUT);
	GIVES(WASI_EBADF, fd_prestat_get, DIR_ALL, OUT);
	GIVES(WASI_EBADF, fd_prestat_get, 0, OUT);
	GIVES(WASI_EBADF, fd_prestat_dir_name, DIR_ALL, BUFFER, 100);
	GIVES(WASI_ENAMETOOLONG, fd_prestat_dir_name, W, BUFFER, 1);
	GIVES(0, fd_prestat_dir_name, W, BUFFER, 100);
}

static void
every_path_call_needs_a_directory_with_its_right(void **state)
{
	static const struct {
		uint32_t fd;
		enum wasi_errno error;
	} cases[] = {{CLOSED, WASI_EBADF}, {FILE_ALL, WASI_ENOTDIR}, {1, WASI_ENOTDIR}, {DIR_NONE, WASI_ENOTCAPABLE}};

	(void)state;
	start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t fd = cases[i].fd;
		enum wasi_errno error = cases[i].error;

		GIVES(error, path_create_directory, fd, P("n"));
		GIVES(error, path_filestat_get, fd, 0, P("x"), BUFFER);
		GIVES(error, path_filestat_set_times, fd, 0, P("x"), 0, 0, 5);
		GIVES(error, path_link, fd, 0, P("x"), W, P2("n"));
		GIVES(error, path_link, W, 0, P("f"), fd, P2("n"));
		GIVES(error, path_open, fd, 0, P("x"), 0, 0, 0, 0, OUT);
		GIVES(error, path_readlink, fd, P("x"), BUFFER, 10, OUT);
		GIVES(error, path_remove_directory, fd, P("x"));
		GIVES(error, path_rename, fd, P("x"), W, P2("n"));
		GIVES(error, path_rename, W, P("f"), fd, P2("n"));
		GIVES(error, path_symlink, P2("t"), fd, P("n"));
		GIVES(error, path_unlink_file, fd, P("x"));
	}
	GIVES(WASI_EBADF, path_link, FILE_ALL, 0, P("x"), CLOSED, P2("n")); /* before the other's kind is looked at */
	GIVES(WASI_EBADF, path_rename, FILE_ALL, P("x"), CLOSED, P2("n"));
}

/* One right less than all is one call less. */
static void
each_right_of_a_directory_is_for_its_own_call(void **state)
{
	static const struct {
		uint64_t right;
		enum wasi_call call;
		uint64_t a[WASI_PARAMETERS_MAX];
	} calls[] = {
	    {WASI_RIGHT_PATH_CREATE_DIRECTORY, WASI_CALL_path_create_directory, {THIS, PATH_ONE, 1}},
	    {WASI_RIGHT_PATH_CREATE_FILE, WASI_CALL_path_open, {THIS, 0, PATH_ONE, 1, CREAT, 0, 0, 0, OUT}},
	    {WASI_RIGHT_PATH_LINK_SOURCE, WASI_CALL_path_link, {THIS, 0, PATH_ONE, 1, W, PATH_ONE, 1}},
	    {WASI_RIGHT_PATH_LINK_TARGET, WASI_CALL_path_link, {W, 0, PATH_TWO, 1, THIS, PATH_ONE, 1}},
	    {WASI_RIGHT_PATH_OPEN, WASI_CALL_path_open, {THIS, 0, PATH_ONE, 1, 0, 0, 0, 0, OUT}},
	    {WASI_RIGHT_FD_READDIR, WASI_CALL_fd_readdir, {THIS, BUFFER, 10, 0, OUT}},
	    {WASI_RIGHT_PATH_READLINK, WASI_CALL_path_readlink, {THIS, PATH_ONE, 1, BUFFER, 1, OUT}},
	    {WASI_RIGHT_PATH_RENAME_SOURCE, WASI_CALL_path_rename, {THIS, PATH_ONE, 1, W, PATH_ONE, 1}},
	    {WASI_RIGHT_PATH_RENAME_TARGET, WASI_CALL_path_rename, {W, PATH_ONE, 1, THIS, PATH_ONE, 1}},
	    {WASI_RIGHT_PATH_FILESTAT_GET, WASI_CALL_path_filestat_get, {THIS, 0, PATH_ONE, 1, BUFFER}},
	    {WASI_RIGHT_PATH_FILESTAT_SET_SIZE, WASI_CALL_path_open, {THIS, 0, PATH_ONE, 1, TRUNC, 0, 0, 0, OUT}},
	    {WASI_RIGHT_PATH_FILESTAT_SET_TIMES, WASI_CALL_path_filestat_set_times, {THIS, 0, PATH_ONE, 1, 0, 0, 5}},
	    {WASI_RIGHT_FD_FILESTAT_GET, WASI_CALL_fd_filestat_get, {THIS, BUFFER}},
	    {WASI_RIGHT_FD_FILESTAT_SET_TIMES, WASI_CALL_fd_filestat_set_times, {THIS, 0, 0, 5}},
	    {WASI_RIGHT_PATH_SYMLINK, WASI_CALL_path_symlink, {PATH_TWO, 1, THIS, PATH_ONE, 1}},
	    {WASI_RIGHT_PATH_REMOVE_DIRECTORY, WASI_CALL_path_remove_directory, {THIS, PATH_ONE, 1}},
	    {WASI_RIGHT_PATH_UNLINK_FILE, WASI_CALL_path_unlink_file, {THIS, PATH_ONE, 1}},
	    {WASI_RIGHT_FD_DATASYNC, WASI_CALL_fd_datasync, {THIS}},
	    {WASI_RIGHT_FD_SYNC, WASI_CALL_fd_sync, {THIS}},
	    {WASI_RIGHT_FD_ADVISE, WASI_CALL_fd_advise, {THIS}},
	    {WASI_RIGHT_FD_FDSTAT_SET_FLAGS, WASI_CALL_fd_fdstat_set_flags, {THIS}},
	};

	(void)state;
	start();
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		uint32_t without = open_at(W, "d", DIRECTORY, WASI_RIGHTS_DIR & ~calls[i].right, 0);
		uint32_t with = open_at(W, "d", DIRECTORY, WASI_RIGHTS_DIR, 0);
		uint64_t a[WASI_PARAMETERS_MAX];
		unsigned at = 0;

		put_path(PATH_ONE, "x");
		put_path(PATH_TWO, "f");
		memcpy(a, calls[i].a, sizeof(a));
		while (a[at] != THIS)
			at++;
		a[at] = without;
		assert_int_equal(host_call(calls[i].call, a), WASI_ENOTCAPABLE);
		a[at] = with;
		assert_int_not_equal(host_call(calls[i].call, a), WASI_ENOTCAPABLE);
		CALL(path_rename, W, P2("x"), DIR_ALL, P("x")); /* where it was path_rename */
		CALL(path_unlink_file, W, P2("x"));
		if (calls[i].call == WASI_CALL_path_unlink_file)
			GIVES(0, fd_close, open_at(DIR_ALL, "x", CREAT, 0, 0));
		GIVES(0, fd_close, without);
		GIVES(0, fd_close, with);
	}
}

static void
what_opens_has_these_errnos(void **state)
{
	(void)state;
	start();
	GIVES(WASI_EINVAL, path_open, W, 2, P("f"), 0, 0, 0, 0, OUT);
	GIVES(WASI_EINVAL, path_open, W, 0, P("f"), 16, 0, 0, 0, OUT);
	GIVES(WASI_EINVAL, path_open, W, 0, P("f"), 0, 0, 0, 32, OUT);
	GIVES(WASI_EINVAL, path_open, W, 0, P("n"), CREAT | DIRECTORY, 0, 0, 0, OUT);
	GIVES(WASI_ENOENT, path_open, W, 0, P(""), 0, 0, 0, 0, OUT);
	GIVES(WASI_ENOENT, path_open, W, 0, P("n"), 0, 0, 0, 0, OUT);
	GIVES(WASI_ENOENT, path_open, W, 0, P("n/n"), CREAT, 0, 0, 0, OUT);
	GIVES(WASI_ENOENT, path_open, W, 0, P("n/"), CREAT, 0, 0, 0, OUT);
	GIVES(WASI_ENOTDIR, path_open, W, 0, P("f/n"), CREAT, 0, 0, 0, OUT);
	GIVES(WASI_ENOTDIR, path_open, W, 0, P("f/"), 0, 0, 0, 0, OUT);
	GIVES(WASI_ENOTDIR, path_open, W, 0, P("f/."), 0, 0, 0, 0, OUT);
	GIVES(WASI_ENOTDIR, path_open, W, 0, P("f"), DIRECTORY, 0, 0, 0, OUT);
	GIVES(WASI_ENOTDIR, path_open, W, 0, P("l"), DIRECTORY, 0, 0, 0, OUT);
	GIVES(WASI_EEXIST, path_open, W, 0, P("f"), CREAT | EXCL, 0, 0, 0, OUT);
	GIVES(WASI_EEXIST, path_open, W, 0, P("d"), CREAT | EXCL, 0, 0, 0, OUT);
	GIVES(WASI_EEXIST, path_open, W, 1, P("loop"), CREAT | EXCL, 0, 0, 0, OUT);
	GIVES(0, path_open, W, 0, P("f"), EXCL, 0, 0, 0, OUT); /* which means nothing without creat */
	GIVES(WASI_EISDIR, path_open, W, 0, P("d"), CREAT, 0, 0, 0, OUT);
	GIVES(WASI_EISDIR, path_open, W, 0, P("d"), TRUNC, 0, 0, 0, OUT);
	GIVES(WASI_EISDIR, path_open, W, 0, P("d"), 0, WASI_RIGHT_FD_WRITE, 0, 0, OUT);
	GIVES(WASI_ELOOP, path_open, W, 0, P("l"), 0, 0, 0, 0, OUT);
	GIVES(WASI_ELOOP, path_open, W, 1, P("loop"), 0, 0, 0, 0, OUT);
	GIVES(WASI_ENOTCAPABLE, path_open, W, 1, P("out"), 0, 0, 0, 0, OUT);
	GIVES(WASI_ENOTCAPABLE, path_open, W, 0, P("/f"), 0, 0, 0, 0, OUT);
	GIVES(WASI_ENOTCAPABLE, path_open, W, 0, P("d/../../w/f"), 0, 0, 0, 0, OUT);
	host_store(PATH_ONE, 2, 'f'); /* and a NUL */
	GIVES(WASI_EILSEQ, path_open, W, 0, PATH_ONE, 2, 0, 0, 0, 0, OUT);
	GIVES(WASI_EILSEQ, path_open, W, 0, P("\xc0\xaf"), CREAT, 0, 0, 0, OUT);
	GIVES(WASI_EILSEQ, path_open, W, 0, P("\xed\xa0\x80"), CREAT, 0, 0, 0, OUT);
}

static void
names_and_paths_have_a_longest_length(void **state)
{
	(void)state;
	start();
	memset(host_mem(PATH_ONE), 'n', 5000);
	GIVES(0, path_create_directory, W, PATH_ONE, 255);
	GIVES(WASI_ENAMETOOLONG, path_create_directory, W, PATH_ONE, 256);
	for (uint32_t i = 0; i < 5000; i += 2)
		memcpy(host_mem(PATH_ONE + i), "./", 2);
	*host_mem(PATH_ONE + 4094) = 'f';
	GIVES(0, path_filestat_get, W, 0, PATH_ONE, 4095, BUFFER);
	GIVES(WASI_ENAMETOOLONG, path_filestat_get, W, 0, PATH_ONE, 4096, BUFFER);
}

static void
what_changes_names_has_these_errnos(void **state)
{
	(void)state;
	start();
	GIVES(WASI_EEXIST, path_create_directory, W, P("f"));
	GIVES(WASI_EEXIST, path_create_directory, W, P("d/"));
	GIVES(WASI_EEXIST, path_create_directory, W, P("loop"));
	GIVES(WASI_EEXIST, path_create_directory, W, P("."));
	GIVES(WASI_ENOENT, path_create_directory, W, P("n/n"));
	GIVES(WASI_ENOTDIR, path_create_directory, W, P("f/n"));
	GIVES(WASI_ENOTCAPABLE, path_create_directory, W, P(".."));
	GIVES(WASI_ENOTCAPABLE, path_create_directory, RO, P("n"));
	GIVES(WASI_ENOTEMPTY, path_remove_directory, W, P("d"));
	GIVES(WASI_ENOTDIR, path_remove_directory, W, P("f"));
	GIVES(WASI_ENOTDIR, path_remove_directory, W, P("f/"));
	GIVES(WASI_ENOTDIR, path_remove_directory, W, P("l"));
	GIVES(WASI_ENOENT, path_remove_directory, W, P("n"));
	GIVES(WASI_EINVAL, path_remove_directory, W, P("d/."));
	GIVES(WASI_ENOTEMPTY, path_remove_directory, W, P("d/.."));
	GIVES(WASI_EISDIR, path_unlink_file, W, P("d"));
	GIVES(WASI_EISDIR, path_unlink_file, W, P("d/"));
	GIVES(WASI_ENOTDIR, path_unlink_file, W, P("f/"));
	GIVES(WASI_ENOENT, path_unlink_file, W, P("n"));
	GIVES(WASI_ENOTCAPABLE, path_unlink_file, RO, P("f"));
	GIVES(WASI_EINVAL, path_link, W, 2, P("f"), W, P2("n"));
	GIVES(WASI_EPERM, path_link, W, 0, P("d"), W, P2("n"));
	GIVES(WASI_EEXIST, path_link, W, 0, P("f"), W, P2("d"));
	GIVES(WASI_ENOENT, path_link, W, 0, P("n"), W, P2("m"));
	GIVES(WASI_ENOENT, path_link, W, 0, P("f"), W, P2("n/"));
	GIVES(WASI_ENOTDIR, path_link, W, 0, P("f/"), W, P2("n"));
	GIVES(WASI_ELOOP, path_link, W, 1, P("loop"), W, P2("n"));
	GIVES(WASI_EXDEV, path_link, W, 0, P("f"), RO, P2("n"));
	GIVES(WASI_EXDEV, path_rename, W, P("f"), RO, P2("n"));
	GIVES(WASI_EINVAL, path_rename, W, P("d"), W, P2("d/n"));
	GIVES(WASI_EINVAL, path_rename, W, P("."), W, P2("n"));
	GIVES(WASI_EINVAL, path_rename, W, P("f"), W, P2("d/.."));
	GIVES(WASI_EISDIR, path_rename, W, P("f"), W, P2("d"));
	GIVES(WASI_ENOTDIR, path_rename, W, P("d"), W, P2("f"));
	GIVES(WASI_ENOTDIR, path_rename, W, P("f/"), W, P2("n"));
	GIVES(WASI_ENOTDIR, path_rename, W, P("f"), W, P2("n/"));
	GIVES(WASI_ENOENT, path_rename, W, P("n"), W, P2("f"));
	GIVES(WASI_ENOENT, path_rename, W, P("f"), W, P2("n/n"));
	GIVES(WASI_EEXIST, path_symlink, P2("t"), W, P("f"));
	GIVES(WASI_ENOENT, path_symlink, P2("t"), W, P("n/"));
	GIVES(WASI_EEXIST, path_symlink, P2("t"), W, P("d/"));
	GIVES(WASI_ENOTDIR, path_symlink, P2("t"), W, P("f/"));
	GIVES(WASI_ENOENT, path_symlink, P2(""), W, P("n"));
	GIVES(WASI_ENOTCAPABLE, path_symlink, P2("/t"), W, P("n"));
	GIVES(WASI_EILSEQ, path_symlink, P2("\xff"), W, P("n"));
	GIVES(WASI_EINVAL, path_readlink, W, P("f"), BUFFER, 10, OUT);
	GIVES(WASI_EINVAL, path_readlink, W, P("d"), BUFFER, 10, OUT);
	GIVES(WASI_ENOENT, path_readlink, W, P("n"), BUFFER, 10, OUT);
	GIVES(WASI_EINVAL, path_filestat_get, W, 2, P("f"), BUFFER);
	GIVES(WASI_ENOTDIR, path_filestat_get, W, 0, P("f/"), BUFFER);
	GIVES(WASI_ENOTDIR, path_filestat_get, W, 0, P("l/"), BUFFER);
	GIVES(WASI_ELOOP, path_filestat_get, W, 0, P("loop/"), BUFFER);
	GIVES(0, path_symlink, P2("d"), W, P("ld"));
	GIVES(0, path_symlink, P2("./ld"), W, P("lld"));
	GIVES(0, path_filestat_get, W, 0, P("lld/"), BUFFER);
	assert_int_equal(host_load(BUFFER + 16, 1), 3);
	GIVES(WASI_ELOOP, path_readlink, W, P("loop/"), BUFFER, 10, OUT);
	GIVES(WASI_EINVAL, path_readlink, W, P("lld/"), BUFFER, 10, OUT);
	GIVES(WASI_ELOOP, path_filestat_get, W, 1, P("loop"), BUFFER);
	GIVES(0, path_filestat_get, W, 0, P("loop"), BUFFER);
	GIVES(WASI_EINVAL, path_filestat_set_times, W, 0, P("f"), 0, 0, 3);
	GIVES(WASI_EINVAL, path_filestat_set_times, W, 4, P("f"), 0, 0, 1);
	GIVES(WASI_ENOTCAPABLE, path_filestat_set_times, RO, 0, P("f"), 0, 0, 1);
}

static void
the_rest_has_these_errnos(void **state)
{
	(void)state;
	start();
	for (uint32_t id = 0; id < 4; id++) {
		GIVES(0, clock_time_get, id, 0, OUT);
		GIVES(0, clock_res_get, id, OUT);
		assert_int_not_equal(host_load(OUT, 8), 0);
	}
	GIVES(WASI_EINVAL, clock_time_get, 4, 0, OUT);
	GIVES(WASI_EINVAL, clock_res_get, UINT32_MAX, OUT);
	GIVES(WASI_EINVAL, poll_oneoff, SUBSCRIPTION, EVENT, 0, OUT);
	host_store(SUBSCRIPTION + 8, 1, 3);
	GIVES(WASI_EINVAL, poll_oneoff, SUBSCRIPTION, EVENT, 1, OUT);
	GIVES(WASI_EINVAL, proc_raise, 31);
	GIVES(WASI_ENOTSUP, proc_raise, 18);
	for (uint32_t fd = 0; fd < FREE; fd++) {
		GIVES(WASI_ENOTSOCK, sock_accept, fd, 0, OUT);
		GIVES(WASI_ENOTSOCK, sock_recv, fd, LIST, 1, 0, OUT, OUT);
		GIVES(WASI_ENOTSOCK, sock_send, fd, LIST, 1, 0, OUT);
		GIVES(WASI_ENOTSOCK, sock_shutdown, fd, 3);
	}
	GIVES(WASI_EBADF, sock_accept, CLOSED, 0, OUT);
	GIVES(WASI_EBADF, sock_recv, CLOSED, LIST, 1, 0, OUT, OUT);
	GIVES(WASI_EBADF, sock_send, CLOSED, LIST, 1, 0, OUT);
	GIVES(WASI_EBADF, sock_shutdown, CLOSED, 3);
	GIVES(0, sched_yield, 0);
}

static void
the_descriptor_past_the_last_one_is_emfile_and_makes_nothing(void **state)
{
	(void)state;
	host->job.open_files = FREE;
	start();
	GIVES(WASI_EMFILE, path_open, W, 0, P("n"), CREAT, 0, 0, 0, OUT);
	GIVES(WASI_ENOENT, path_filestat_get, W, 0, P("n"), BUFFER);
	GIVES(0, fd_close, FILE_NONE);
	assert_int_equal(open_at(W, "n", CREAT, 0, 0), FILE_NONE);
}

static void
opening_with_sync_flags_needs_the_right_to_sync(void **state)
{
	static const struct {
		uint64_t rights;
		uint32_t fdflags;
		enum wasi_errno error;
	} cases[] = {
	    {0, APPEND | NONBLOCK, 0},
	    {0, DSYNC, WASI_ENOTCAPABLE},
	    {0, RSYNC, WASI_ENOTCAPABLE},
	    {0, SYNC, WASI_ENOTCAPABLE},
	    {WASI_RIGHT_FD_DATASYNC, DSYNC, 0},
	    {WASI_RIGHT_FD_DATASYNC, RSYNC, WASI_ENOTCAPABLE},
	    {WASI_RIGHT_FD_DATASYNC, DSYNC | SYNC, WASI_ENOTCAPABLE},
	    {WASI_RIGHT_FD_SYNC, DSYNC, 0},
	    {WASI_RIGHT_FD_SYNC, RSYNC | SYNC | DSYNC, 0},
	};

	(void)state;
	start();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t itself = open_at(W, "d", DIRECTORY, WASI_RIGHT_PATH_OPEN | cases[i].rights, 0);
		uint32_t passing = open_at(W, "d", DIRECTORY, WASI_RIGHT_PATH_OPEN, cases[i].rights);

		GIVES(cases[i].error, path_open, itself, 0, P("x"), 0, 0, 0, cases[i].fdflags, OUT);
		GIVES(cases[i].error, path_open, passing, 0, P("x"), 0, 0, 0, cases[i].fdflags, OUT);
	}
}

static void
emptying_needs_the_right_to_sizes_to_have_or_to_pass_on(void **state)
{
	uint32_t itself, passing, without;

	(void)state;
	start();
	itself = open_at(W, "d", DIRECTORY, WASI_RIGHT_PATH_OPEN | WASI_RIGHT_PATH_FILESTAT_SET_SIZE, 0);
	passing = open_at(W, "d", DIRECTORY, WASI_RIGHT_PATH_OPEN, WASI_RIGHT_PATH_FILESTAT_SET_SIZE);
	without = open_at(W, "d", DIRECTORY, WASI_RIGHT_PATH_OPEN, WASI_RIGHT_FD_FILESTAT_SET_SIZE);
	GIVES(0, path_open, itself, 0, P("x"), TRUNC, 0, 0, 0, OUT);
	GIVES(0, path_open, passing, 0, P("x"), TRUNC, 0, 0, 0, OUT);
	GIVES(WASI_ENOTCAPABLE, path_open, without, 0, P("x"), TRUNC, 0, 0, 0, OUT);
}

/* --- mounts inside mounts -------------------------------------------------------------------------------------- */

/* Mounts "/", "/a/b" and "/w" at 3, 4 and 5. */
static void
start_nested(uint32_t rights)
{
	host->job.changes_bytes = 100;
	host_mount("/", rights);
	host_mount("/a/b", PROTO_FS_ALL);
	host_mount("/w", PROTO_FS_ALL);
	host_file("/top", "t");
	host_file("/w/f", "hello");
	host_start();
}

/* Whether the names of a directory, those with a dot left out, are these, in any order; one letter each. */
static void
expect_names(uint32_t fd, const char *letters)
{
	char got[16] = "", name[4];
	uint32_t used;

	GIVES(0, fd_readdir, fd, BUFFER, 1000, 0, OUT);
	used = (uint32_t)host_load(OUT, 4);
	for (uint32_t at = BUFFER; at < BUFFER + used; at += 24 + (uint32_t)host_load(at + 16, 4)) {
		snprintf(name, sizeof(name), "%c", *host_mem(at + 24));
		if (name[0] != '.')
			strcat(got, name);
	}
	assert_string_equal(got, letters);
}

static void
a_mount_is_seen_where_it_lies_in_another(void **state)
{
	uint64_t inode;

	(void)state;
	start_nested(PROTO_FS_ALL);
	expect_names(3, "awt");
	expect_names(open_at(3, "a", DIRECTORY, WASI_RIGHT_FD_READDIR, 0), "b");
	GIVES(0, path_filestat_get, 5, 0, P("f"), BUFFER);
	inode = host_load(BUFFER + 8, 8);
	GIVES(0, path_filestat_get, 3, 0, P("w/f"), BUFFER);
	assert_int_equal(host_load(BUFFER + 8, 8), inode);
	assert_int_equal(host_load(BUFFER, 8), 3); /* its own device */
	GIVES(0, path_filestat_get, 3, 0, P("a/b/../../w/../top"), BUFFER);
	GIVES(WASI_ENOTCAPABLE, path_filestat_get, 5, 0, P("../top"), BUFFER);
	GIVES(0, path_filestat_get, 3, 0, P("."), BUFFER);
	assert_int_equal(host_load(BUFFER + 24, 8), 4); /* two, and "a" and "w" */
	GIVES(0, path_symlink, P2("w/f"), 3, P("s"));
	GIVES(0, path_filestat_get, 3, 1, P("s"), BUFFER);
	assert_int_equal(host_load(BUFFER + 8, 8), inode);
}

static void
a_mount_stays_where_it_is(void **state)
{
	(void)state;
	start_nested(PROTO_FS_ALL);
	GIVES(WASI_EBUSY, path_remove_directory, 3, P("w"));
	GIVES(WASI_EBUSY, path_remove_directory, 3, P("a/b"));
	GIVES(WASI_ENOTEMPTY, path_remove_directory, 3, P("a"));
	GIVES(WASI_EISDIR, path_unlink_file, 3, P("w"));
	GIVES(WASI_EBUSY, path_rename, 3, P("w"), 3, P2("v"));
	GIVES(WASI_EBUSY, path_rename, 3, P("a"), 3, P2("v"));
	GIVES(0, path_create_directory, 3, P("v"));
	GIVES(WASI_EBUSY, path_rename, 3, P("v"), 3, P2("w"));
	GIVES(WASI_EBUSY, path_rename, 3, P("v"), 3, P2("a/b"));
	GIVES(WASI_EISDIR, path_rename, 3, P("top"), 3, P2("w"));
	GIVES(WASI_EXDEV, path_rename, 3, P("top"), 3, P2("w/top"));
	GIVES(WASI_EXDEV, path_rename, 3, P("w/f"), 3, P2("f"));
	GIVES(WASI_EXDEV, path_link, 3, 0, P("w/f"), 3, P2("f"));
	GIVES(WASI_EEXIST, path_create_directory, 3, P("w"));
	GIVES(0, path_rename, 3, P("w/f"), 5, P2("g"));
	GIVES(0, path_rename, 3, P("v"), 3, P2("a/v")); /* beside it, things move as ever */
	expect_names(3, "awt");
}

static void
what_is_granted_inside_is_the_inner_mounts(void **state)
{
	(void)state;
	start_nested(PROTO_FS_READ);
	GIVES(WASI_ENOTCAPABLE, path_create_directory, 3, P("n"));
	GIVES(WASI_ENOTCAPABLE, path_create_directory, 3, P("a/n"));
	GIVES(0, path_create_directory, 3, P("a/b/n"));
	GIVES(0, path_unlink_file, 3, P("w/f"));
}

static void
changes_in_a_mount_inside_are_told_once(void **state)
{
	static const char told[] = "/a/b/n";

	(void)state;
	start_nested(PROTO_FS_ALL);
	GIVES(0, path_create_directory, 3, P("a/b/n"));
	assert_int_equal(wasi_send_changes(host->wasi), 0);
	host_expect_message(PROTO_CHANGE);
	assert_memory_equal(host->m.payload + sizeof(struct proto_change), told, strlen(told));
	host_expect_message(PROTO_CHANGES);
	host_expect_silence();
}

static void
a_mount_that_cannot_be_seen_in_another_is_refused(void **state)
{
	(void)state;
	host_mount("/", PROTO_FS_ALL);
	host_mount("/w", PROTO_FS_ALL);
	host_file("/w", "a file where a mount is");
	assert_int_equal(host_begin(), ERR_PROTOCOL);
	host->job.files_bytes = host->job.mounts_bytes = host->job.filec = host->job.mountc = 0;
	host_mount("/", PROTO_FS_ALL);
	host_mount("/w/../w", PROTO_FS_ALL);
	assert_int_equal(host_begin(), ERR_PROTOCOL);
	host->job.files_bytes = host->job.mounts_bytes = host->job.filec = host->job.mountc = 0;
	host->job.fs_nodes = 3;
	host_mount("/", PROTO_FS_ALL);
	host_mount("/w/a/b/c", PROTO_FS_ALL);
	assert_int_equal(host_begin(), ERR_LIMIT);
	host->job.fs_nodes = 5;
	assert_int_equal(host_begin(), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, host_set_up, host_tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(each_pointer_may_be_anywhere_inside_the_memory),
	    TEST(each_pointer_that_leaves_the_memory_is_efault_and_nothing_happens),
	    cmocka_unit_test(each_pointer_of_each_function_is_tested),
	    TEST(each_pointer_may_be_where_another_one_is),
	    TEST(each_length_that_leaves_the_memory_is_efault),
	    TEST(each_buffer_of_an_array_is_inside_the_memory_or_efault),
	    TEST(sockets_look_at_no_pointer),
	    TEST(in_a_memory_without_pages_there_is_no_address),
	    TEST(a_memory_that_grew_is_used_up_to_its_new_end),
	    TEST(counts_that_no_memory_can_hold_are_efault),
	    TEST(results_may_lie_where_parameters_do),
	    TEST(events_may_lie_where_subscriptions_do),
	    cmocka_unit_test(each_errno_is_provoked_or_it_is_said_why_none_has_it),
	    cmocka_unit_test(each_function_that_can_fail_is_made_to),
	    TEST(what_is_done_with_descriptors_has_these_errnos),
	    TEST(what_moves_bytes_and_positions_has_these_errnos),
	    TEST(what_reads_directories_and_mounts_has_these_errnos),
	    TEST(every_path_call_needs_a_directory_with_its_right),
	    TEST(each_right_of_a_directory_is_for_its_own_call),
	    TEST(what_opens_has_these_errnos),
	    TEST(names_and_paths_have_a_longest_length),
	    TEST(what_changes_names_has_these_errnos),
	    TEST(the_rest_has_these_errnos),
	    TEST(the_descriptor_past_the_last_one_is_emfile_and_makes_nothing),
	    TEST(opening_with_sync_flags_needs_the_right_to_sync),
	    TEST(emptying_needs_the_right_to_sizes_to_have_or_to_pass_on),
	    TEST(a_mount_is_seen_where_it_lies_in_another),
	    TEST(a_mount_stays_where_it_is),
	    TEST(what_is_granted_inside_is_the_inner_mounts),
	    TEST(changes_in_a_mount_inside_are_told_once),
	    TEST(a_mount_that_cannot_be_seen_in_another_is_refused),
	};

	return cmocka_run_group_tests(tests, host_make_modules, host_drop_modules);
}
