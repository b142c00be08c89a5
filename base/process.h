/* base/process: what the kernel tells anyone of a process. Pure; brigd. */

#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

struct process_memory {
	uint64_t resident_bytes;
	uint64_t own_bytes; /* of these, those of no file, also where a fork has them too */
};

/* process_memory - by /proc/PID/statm (proc(5)). 0, or ERR_NOTFOUND when that cannot be had; *out is untouched then. */
int process_memory(pid_t pid, struct process_memory *out);

#endif
