/* cmd_policy: what the parts of `brig policy` share. brig. */

#ifndef CLIENTS_C_CMD_POLICY_H
#define CLIENTS_C_CMD_POLICY_H

#include "clients/c/cmd.h"
#include "policy/policy.h"

/*
 * cmd_policy_read - read a document from a file, or standard input for "-". Messages carry the file's name, line and
 * column; all->kept is 0 when the file could not be read at all. `all` may be NULL. As policy_document_parse.
 */
int cmd_policy_read(const char *path, struct policy_problems *all, struct policy_document **out, struct err *e);

/*
 * Sub-verbs in files of their own. As grep and diff: CMD_OK for yes (all is allowed; both say the same), CMD_FAILED for no,
 * CMD_USAGE when a document, or what is asked, makes no sense.
 */
int cmd_policy_explain(int argc, char **argv);
int cmd_policy_diff(int argc, char **argv);

#endif
