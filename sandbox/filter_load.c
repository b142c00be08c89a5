/* sandbox/filter_load: ready-made seccomp programs from a sealed memfd. Zygote and compiler; needs no libseccomp. */

#include "sandbox/filter_load.h"

#include <linux/bpf_common.h>
#include <string.h>

#ifndef BPF_MAXINSNS
#define BPF_MAXINSNS 4096
#endif

#define BUNDLE_SIZE_MAX \
	(sizeof(struct filter_header) + (size_t)FILTER_BUNDLED * BPF_MAXINSNS * sizeof(struct sock_filter))

/* Whether the mapped bytes are a whole bundle; the header is copied to *h. */
static int
check_bundle(const struct memfd_map *map, struct filter_header *h, struct err *e)
{
	size_t want = sizeof(*h);

	if (map->size < sizeof(*h))
		return err_set(e, ERR_INVAL, "a bundle of filters of %zu bytes has no header", map->size);
	memcpy(h, map->data, sizeof(*h));
	if (h->magic != FILTER_MAGIC || h->kinds != FILTER_BUNDLED)
		return err_set(e, ERR_INVAL, "not a bundle of %d filters (magic %#x, %u filters)", FILTER_BUNDLED, h->magic,
		    h->kinds);
	for (int i = 0; i < FILTER_BUNDLED; i++) {
		if (h->counts[i] == 0 || h->counts[i] > BPF_MAXINSNS)
			return err_set(e, ERR_INVAL, "filter %d has %u instructions: 1 to %d are possible", i,
			    h->counts[i], BPF_MAXINSNS);
		want += h->counts[i] * sizeof(struct sock_filter);
	}
	if (map->size != want)
		return err_set(e, ERR_INVAL, "the bundle of filters has %zu bytes instead of %zu", map->size, want);
	return 0;
}

int
filter_load(int fd, struct filter_set *set, struct err *e)
{
	struct memfd_map map;
	struct filter_header h;
	size_t size, offset = sizeof(h);
	int rc = memfd_check(fd, BUNDLE_SIZE_MAX, &size, e);

	if (rc == 0)
		rc = memfd_map(fd, size, &map, e);
	if (rc != 0)
		return rc;
	rc = check_bundle(&map, &h, e);
	if (rc != 0) {
		memfd_unmap(&map);
		return rc;
	}
	set->map = map;
	for (int i = 0; i < FILTER_BUNDLED; i++) {
		set->prog[i].len = (unsigned short)h.counts[i];
		/* the kernel only reads it, but struct sock_fprog has no const */
		set->prog[i].filter = (struct sock_filter *)(uintptr_t)(map.data + offset);
		offset += h.counts[i] * sizeof(struct sock_filter);
	}
	return 0;
}

void
filter_unload(struct filter_set *set)
{
	memfd_unmap(&set->map);
	memset(set->prog, 0, sizeof(set->prog));
}

struct digest
filter_digest(const struct sock_fprog *prog)
{
	return digest_of(prog->filter, prog->len * sizeof(struct sock_filter));
}
