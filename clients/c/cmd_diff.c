/* cmd_diff: `brig policy diff`: what two documents allow that the other does not. brig. */

#include <stdlib.h>
#include <string.h>

#include "clients/c/cmd_policy.h"
#include "policy/diff.h"

#define VERB "policy"

/* "+": B allows more by it; "-": A does. */
static void
print_differences(const json_t *list)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one) {
		const char *text = json_string_value(json_object_get(one, "text"));

		fputs(strcmp(json_string_value(json_object_get(one, "more")), "b") == 0 ? "+ " : "- ", stdout);
		cmd_print_safe(stdout, text, strlen(text));
		putchar('\n');
	}
}

int
cmd_policy_diff(int argc, char **argv)
{
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	struct policy_document *a = NULL, *b = NULL;
	json_t *list = NULL;
	struct err e;
	int code;

	if (argc != 3 + json)
		return cmd_usage(VERB, "diff: which two FILEs?");
	if (cmd_policy_read(argv[1 + json], NULL, &a, &e) != 0 || cmd_policy_read(argv[2 + json], NULL, &b, &e) != 0 ||
	    policy_diff(a->policy, b->policy, &list, &e) != 0) {
		cmd_fail(VERB, &e);
		code = CMD_USAGE;
		goto out;
	}
	code = json_array_size(list) == 0 ? CMD_OK : CMD_FAILED;
	if (!json)
		print_differences(list);
	else if (cmd_print_json(VERB, list) != CMD_OK)
		code = CMD_USAGE;
out:
	json_decref(list);
	policy_document_free(a);
	policy_document_free(b);
	return code;
}
