/* base/process: what the kernel tells anyone of a process. Pure; brigd. */

#include "base/process.h"

#include <stdio.h>
#include <unistd.h>

#include "base/err.h"

int
process_memory(pid_t pid, struct process_memory *out)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned long long resident, of_files;
	char path[64];
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "/proc/%ju/statm", (uintmax_t)pid);
	if (pid <= 0 || (f = fopen(path, "re")) == NULL)
		return ERR_NOTFOUND;
	n = fscanf(f, "%*u %llu %llu", &resident, &of_files);
	fclose(f);
	if (n != 2 || of_files > resident)
		return ERR_NOTFOUND;
	*out = (struct process_memory){.resident_bytes = resident * page, .own_bytes = (resident - of_files) * page};
	return 0;
}
