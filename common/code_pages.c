/* Code pages.  Starting touches far more code than running: the dynamic linker reads the symbols and relocations of some forty libraries, OpenSSL and GnuTLS
 * (which libmicrohttpd brings) test and tabulate themselves.  With Debian 12's libraries that left 10.7 MiB of file pages in each of our programs for as long as
 * it ran; of these the controller uses 6.6 again, TLS handshakes included.
 *
 * Only segments that the file itself declares unwritable are let go, of objects without text relocations: nothing in them can differ from the file.  What the
 * linker wrote before it locked it (RELRO) lies in segments that are declared writable, and is left alone; where it also wrote into code (DT_TEXTREL), all of the
 * object is.  Owns nothing. */
#include "config.h"
#include "common/code_pages.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static uintptr_t first_page(const struct dl_phdr_info *object, const ElfW(Phdr) *segment, uintptr_t page)
{
	return (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
}

/* Where a segment's pages end, or where those of a writable one begin, should the last page be common to both. */
static uintptr_t end_of(const struct dl_phdr_info *object, const ElfW(Phdr) *segment, uintptr_t page)
{
	uintptr_t start = first_page(object, segment, page);
	uintptr_t end = (object->dlpi_addr + segment->p_vaddr + segment->p_memsz + page - 1) & ~(page - 1);

	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *other = &object->dlpi_phdr[i];
		uintptr_t other_start = first_page(object, other, page);

		if (other->p_type == PT_LOAD && (other->p_flags & PF_W) != 0 && other_start >= start && other_start < end)
			end = other_start;
	}
	return end;
}

/* Did the linker write into segments that are declared unwritable? */
static bool has_text_relocations(const struct dl_phdr_info *object)
{
	const ElfW(Dyn) *entry = NULL;

	for (size_t i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
			entry = (const ElfW(Dyn) *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
	for (; entry != NULL && entry->d_tag != DT_NULL; entry++)
		if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0))
			return true;
	return false;
}

static int forget_object(struct dl_phdr_info *object, size_t size, void *arg)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)arg;
	if (has_text_relocations(object))
		return 0;
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		uintptr_t start = first_page(object, segment, page);

		if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) == 0)
			(void)madvise((void *)start, end_of(object, segment, page) - start, MADV_DONTNEED);
	}
	return 0;
}

void code_pages_forget(void)
{
	(void)dl_iterate_phdr(forget_object, NULL);
}
