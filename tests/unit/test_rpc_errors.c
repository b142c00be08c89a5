/* Unit tests of the table in broker/rpc_errors. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#include "broker/jsonrpc.h"

static const char *const advices[] = {
#define X(name, number, title, advice) advice,
    RPC_ERRORS(X)
#undef X
};

static void
numbers_and_names_are_unique(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RPC_ERROR_COUNT; i++)
		for (unsigned j = 0; j < i; j++) {
			assert_int_not_equal(rpc_error_number(i), rpc_error_number(j));
			assert_string_not_equal(rpc_error_name(i), rpc_error_name(j));
		}
}

static void
numbers_are_where_the_specification_allows_them(void **state)
{
	(void)state;
	assert_int_equal(rpc_error_number(RPC_parse_error), -32700);
	assert_int_equal(rpc_error_number(RPC_invalid_request), -32600);
	assert_int_equal(rpc_error_number(RPC_method_not_found), -32601);
	assert_int_equal(rpc_error_number(RPC_invalid_params), -32602);
	assert_int_equal(rpc_error_number(RPC_internal_error), -32603);
	for (unsigned i = RPC_internal_error + 1; i < RPC_ERROR_COUNT; i++)
		assert_in_range(-rpc_error_number(i), 32000, 32099);
}

static void
names_can_be_used_as_identifiers_and_advice_is_a_sentence(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RPC_ERROR_COUNT; i++) {
		const char *name = rpc_error_name(i), *advice = advices[i];

		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		assert_true(strlen(advice) > 10 && advice[strlen(advice) - 1] == '.');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_and_names_are_unique),
	    cmocka_unit_test(numbers_are_where_the_specification_allows_them),
	    cmocka_unit_test(names_can_be_used_as_identifiers_and_advice_is_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
