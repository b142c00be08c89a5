/* broker/config: what the operator can set: one table for options, the configuration file and the manual. brigd. */

#ifndef BROKER_CONFIG_H
#define BROKER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/*
 * Strings: name, default (NULL: see the text), argument's name, text. Numbers: name, default, smallest, largest, unit
 * ('b' bytes, 'm' milliseconds, 's' seconds, 'n' count), text. On the command line `_` is written `-`; in the
 * configuration file the names are as here. The command line wins.
 */
#define CONFIG_STRINGS(X)                                                                                            \
	X(config, NULL, "FILE", "configuration file, a JSON object with the names of these options")                 \
	X(socket, NULL, "PATH", "listen here (root: /run/brig/brigd.sock, else under XDG_RUNTIME_DIR or the state)") \
	X(state, NULL, "DIR", "modules, artifacts and audit log (root: /var/lib/brig, else ~/.local/state/brig)")    \
	X(policy, NULL, "FILE", "the ceiling: no run gets more than this policy document (built in: safe defaults)") \
	X(owners, NULL, "DIR", "grants by user: UID.json or NAME.json narrows what that user's runs get")            \
	X(shares, NULL, "FILE", "weights and limits of users, where they are not those of all")                      \
	X(keyring, NULL, "FILE", "keys whose signatures count; FILE.minisig is its signature by the root key")       \
	X(root_key, NULL, "FILE", "public root key (minisign format) that signs the keyring")                        \
	X(packs, NULL, "DIR", "language packs: each directory in it with a signed pack.json is one")                 \
	X(group, NULL, "NAME", "members of this group may connect too (socket mode 0660; otherwise only its owner)") \
	X(profile, "namespaces", "NAME", "namespaces, or container where user namespaces are forbidden")             \
	X(cgroup, "auto", "WHERE", "control groups (v2): auto (when one is delegated), required, off, or a group's path") \
	X(durability, "batch", "WHEN", "audit records reach the disk: batch (within 100 ms) or strict (before a run)") \
	X(pressure_cpu, "/proc/pressure/cpu", "FILE", "the kernel's word on how short of processors tasks are (PSI)")    \
	X(pressure_memory, "/proc/pressure/memory", "FILE", "the same of memory")                                       \
	X(libexec, NULL, "DIR", "where brig-launcher and its like are (beside brigd, or ../libexec/brig)")

#define CONFIG_NUMBERS(X)                                                                                              \
	X(running_max, 32, 1, 4096, 'n', "runs at the same time")                                                      \
	X(running_per_owner, 24, 1, 4096, 'n', "runs at the same time, each user")                                     \
	X(queued_max, 10000, 0, 1000000, 'n', "runs that wait for their turn, all users")                              \
	X(queued_per_owner, 1000, 0, 1000000, 'n', "runs that wait for their turn, each user")                         \
	X(held_bytes, 2147483648, 1048576, 1099511627776, 'b', "modules and input of runs that have not ended")        \
	X(held_bytes_per_owner, 1073741824, 1048576, 1099511627776, 'b', "the same, each user")                          \
	X(connections_max, 1024, 1, 100000, 'n', "clients connected at the same time")                                 \
	X(connections_per_owner, 1000, 1, 100000, 'n', "clients connected at the same time, each user")                 \
	X(request_bytes, 100663296, 1024, 1073741824, 'b', "longest request line")                                     \
	X(request_depth, 64, 4, 512, 'n', "deepest nesting of arrays and objects in a request")                        \
	X(input_bytes, 402653184, 65536, 17179869184, 'b', "half-received requests, all clients together")             \
	X(backlog_bytes, 268435456, 65536, 4294967296, 'b', "answers that wait for one client; more drops it")         \
	X(stall_s, 60, 1, 86400, 's', "a client that reads nothing for so long while answers wait is dropped")         \
	X(module_bytes, 67108864, 1024, 1073741824, 'b', "largest module")                                             \
	X(source_bytes, 16777216, 1024, 268435456, 'b', "longest source for a language pack")                           \
	X(store_bytes, 4294967296, 1048576, 1099511627776, 'b', "modules and artifacts on disk")                       \
	X(store_bytes_per_owner, 1073741824, 1048576, 1099511627776, 'b', "modules on disk, each user")                \
	X(artifact_cache_bytes, 536870912, 1048576, 68719476736, 'b', "artifacts kept in memory")                      \
	X(module_cache_bytes, 268435456, 1048576, 68719476736, 'b', "modules kept in memory")                          \
	X(compilers, 2, 1, 64, 'n', "modules compiled at the same time; one user gets all but one of them")                                               \
	X(compile_on_put, 1, 0, 1, 'n', "compile stored modules before they are run, when nothing waits; 0: when they are run") \
	X(compile_ms, 60000, 100, 600000, 'm', "time to compile one module, all attempts together")                    \
	X(compile_memory_bytes, 1073741824, 67108864, 68719476736, 'b', "memory to compile one module")                \
	X(cgroup_memory_bytes, 0, 0, 1125899906842624, 'b', "all runs and compilers, by control group; 0: 3/4 of memory") \
	X(cgroup_cpu_percent, 0, 0, 1000000, 'n', "the same, in percent of one processor; 0: no bound")                \
	X(results_kept, 1000, 0, 1000000, 'n', "ended runs kept for run.get")                                          \
	X(results_bytes, 67108864, 0, 17179869184, 'b', "size of the ended runs kept for run.get")                     \
	X(zygote_runs, 100000, 1, 100000000, 'n', "runs after which a zygote is replaced")                             \
	X(zygote_minutes, 60, 1, 100000, 'n', "minutes after which a zygote is replaced")                              \
	X(zygote_ms, 30000, 100, 600000, 'm', "a zygote that takes longer to start, or to end a run, is killed with its runs") \
	X(service_s, 120, 1, 86400, 's', "a launcher, store or logger that leaves a question open longer is lost: brigd stops") \
	X(templates_max, 16, 0, 1000, 'n', "modules that are kept ready in a zygote of their own, those run most; 0: none") \
	X(templates_bytes, 536870912, 0, 1125899906842624, 'b', "memory that their zygotes may have of their own, all together") \
	X(parked_max, 8, 0, 64, 'n', "workers that wait for a run, jailed and instantiated, of each of these; 0: none")     \
	X(parked_total, 64, 1, 1000, 'n', "the same of all modules together: each takes 0.3 MB of memory, and up")          \
	X(parked_spare_bytes, 134217728, 0, 1125899906842624, 'b', "none waits while the machine has less memory left than this") \
	X(pressure_cpu_percent, 0, 0, 100, 'n', "tasks stand still so much of the time: hold new runs back; 0: never") \
	X(pressure_memory_percent, 20, 0, 100, 'n', "the same for want of memory")                                      \
	X(drain_s, 30, 0, 86400, 's', "when asked to stop, wait so long for runs to end and answers to be read")        \
	X(idle_exit, 0, 0, 31536000, 's', "stop after so long without a client; 0: never")                             \
	X(uid_base, 1900000000, 65536, 4294900000, 'n', "as root: first of the user ids that brig's processes run under") \
	X(ready_fd, -1, -1, 1048576, 'n', "write a byte here and close it when ready to serve")

/* Those that are read again on SIGHUP: they bound what is there and comes, and are looked at each time. */
#define CONFIG_RELOADED(X)        \
	X(running_max)            \
	X(running_per_owner)      \
	X(queued_max)             \
	X(queued_per_owner)       \
	X(held_bytes)             \
	X(held_bytes_per_owner)   \
	X(connections_max)        \
	X(connections_per_owner)  \
	X(results_kept)           \
	X(results_bytes)          \
	X(pressure_cpu_percent)   \
	X(pressure_memory_percent) \
	X(drain_s)                \
	X(idle_exit)

struct config {
#define X(name, initial, argument, text) char *name;
	CONFIG_STRINGS(X)
#undef X
#define X(name, initial, smallest, largest, unit, text) int64_t name;
	CONFIG_NUMBERS(X)
#undef X
	bool daemon; /* leave the terminal; the log goes to STATE/brigd.log */
};

enum config_action { CONFIG_SERVE, CONFIG_HELP, CONFIG_VERSION };

/*
 * config_load - settle every setting from defaults, the configuration file and the command line, in this order of
 * precedence. Returns 0 with *action and the strings of *c for config_clear(); or ERR_INVAL with a message that names
 * the option or field, what it may be, and the nearest name that exists.
 */
int config_load(int argc, char **argv, struct config *c, enum config_action *action, struct err *e);
void config_clear(struct config *c);

/*
 * config_reload - settle every setting anew, as config_load did for `c`, into *fresh, for config_clear(). config_take -
 * have those of CONFIG_RELOADED in `c` as they are there; the others stay as they are.
 */
int config_reload(int argc, char **argv, const struct config *c, struct config *fresh, struct err *e);
void config_take(struct config *c, const struct config *fresh);

/* config_usage - print the options, from the table, on standard output. */
void config_usage(void);

#endif
