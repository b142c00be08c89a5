/* runtime/warm: what is done once, before the jail, so that no fork has to do it. Zygote. */

#include "runtime/warm.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <wasmtime.h>

#define ENGINE_MODULE 1 /* e_flags of the engine's artifacts */

/* An ELF file with nothing but the names of its sections. */
struct file {
	Elf64_Ehdr header;
	Elf64_Shdr sections[2];
	char names[16];
};

static const struct file nothing = {
    .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
		   __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB, EV_CURRENT},
	.e_type = ET_DYN,
	.e_version = EV_CURRENT,
	.e_flags = ENGINE_MODULE,
	.e_ehsize = sizeof(Elf64_Ehdr),
	.e_shoff = offsetof(struct file, sections),
	.e_shentsize = sizeof(Elf64_Shdr),
	.e_shnum = 2,
	.e_shstrndx = 1},
    .sections = {{.sh_type = SHT_NULL},
	{.sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = offsetof(struct file, names), .sh_size = sizeof(nothing.names)}},
    .names = "\0.shstrtab",
};

void
warm_engine(wasm_engine_t *engine)
{
	wasmtime_module_t *module = NULL;
	wasmtime_error_t *error = wasmtime_module_deserialize(engine, (const uint8_t *)&nothing, sizeof(nothing), &module);

	if (error != NULL)
		wasmtime_error_delete(error);
	else
		wasmtime_module_delete(module);
}

/* --- huge pages -------------------------------------------------------------------------------------------------- */

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

struct range {
	uintptr_t start, end;
};

/* The size of a huge page, or 0. */
static size_t
huge_page(void)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "re");
	size_t size = 0;

	if (f == NULL)
		return 0;
	if (fscanf(f, "%zu", &size) != 1 || (size & (size - 1)) != 0)
		size = 0;
	fclose(f);
	return size;
}

/* The code of the program itself, which is the first object. */
static int
find_code(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct range *code = arg;

	(void)size;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];

		if (h->p_type == PT_LOAD && (h->p_flags & (PF_X | PF_W)) == PF_X) {
			code->start = info->dlpi_addr + h->p_vaddr;
			code->end = code->start + h->p_memsz;
		}
	}
	return 1;
}

/* Copies code to `copy`, of huge pages, and puts that in its place, which takes one step. */
static void
replace_code(void *code, void *copy, size_t length)
{
	memcpy(copy, code, length);
	if (madvise(copy, length, MADV_COLLAPSE) == 0 && mprotect(copy, length, PROT_READ | PROT_EXEC) == 0)
		(void)mremap(copy, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, code);
}

static size_t huge; /* as huge_page says; in the jail it cannot be asked */

static void
warm_code(void *start, size_t length)
{
	uintptr_t from, to, copy;
	size_t room;
	char *area;

	if (huge == 0)
		return;
	from = ((uintptr_t)start + huge - 1) / huge * huge;
	to = ((uintptr_t)start + length) / huge * huge;
	if (to <= from)
		return;
	room = to - from + huge;
	area = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return;
	copy = ((uintptr_t)area + huge - 1) / huge * huge;
	replace_code((void *)from, (void *)copy, to - from); /* NOLINT(performance-no-int-to-ptr) */
	munmap(area, room); /* what was moved out of it is not in it */
}

void
warm_text(void)
{
	struct range code = {0, 0};

	huge = huge_page();
	dl_iterate_phdr(find_code, &code);
	warm_code((void *)code.start, code.end - code.start); /* NOLINT(performance-no-int-to-ptr) */
}

/* The code in a module's image, which is an ELF file as the engine writes it. */
static struct range
code_in(const char *image, size_t length)
{
	const Elf64_Ehdr *head = (const void *)image;
	const Elf64_Shdr *sections;

	if (length < sizeof(*head) || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 || head->e_ident[EI_CLASS] != ELFCLASS64 ||
	    head->e_shoff > length || head->e_shoff % sizeof(Elf64_Addr) != 0 ||
	    (length - head->e_shoff) / sizeof(*sections) < head->e_shnum)
		return (struct range){0, 0};
	sections = (const void *)(image + head->e_shoff);
	for (size_t i = 0; i < head->e_shnum; i++)
		if ((sections[i].sh_flags & SHF_EXECINSTR) != 0 && sections[i].sh_offset <= length &&
		    sections[i].sh_size <= length - sections[i].sh_offset)
			return (struct range){(uintptr_t)image + sections[i].sh_offset,
			    (uintptr_t)image + sections[i].sh_offset + sections[i].sh_size};
	return (struct range){0, 0};
}

void
warm_module(const wasmtime_module_t *module)
{
	void *image, *end;
	struct range code;

	wasmtime_module_image_range(module, &image, &end);
	code = code_in(image, (size_t)((char *)end - (char *)image));
	warm_code((void *)code.start, code.end - code.start); /* NOLINT(performance-no-int-to-ptr) */
}
