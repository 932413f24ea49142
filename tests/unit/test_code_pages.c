#include "config.h"

#include "common/code_pages.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define PRESENT (UINT64_C(1) << 63) /* in an entry of /proc/self/pagemap */

static int changed = 1;                                     /* .data */
static int filled;                                          /* .bss */
static const char *const relocated[] = {"written", "once"}; /* RELRO: pointers that the linker put there */

/* Has this process the page of that address in its tables? */
static bool is_present(uintptr_t address)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &entry, sizeof entry, (off_t)(address / (uintptr_t)sysconf(_SC_PAGESIZE) * sizeof entry)),
	    sizeof entry);
	close(fd);
	return (entry & PRESENT) != 0;
}

START_TEST(code_that_only_the_start_used_goes)
{
	uintptr_t code = (uintptr_t)cJSON_Version; /* a library that nothing else in this test uses */

	ck_assert_ptr_nonnull(cJSON_Version());
	ck_assert(is_present(code));
	code_pages_forget();
	ck_assert(!is_present(code));
	ck_assert_ptr_nonnull(strchr(cJSON_Version(), '.')); /* it comes back, with what it reads */
	ck_assert(is_present(code));
}
END_TEST

START_TEST(what_was_written_stays)
{
	changed = 7;
	filled = 8;
	code_pages_forget();
	ck_assert(is_present((uintptr_t)&changed));
	ck_assert_int_eq(changed, 7);
	ck_assert_int_eq(filled, 8);
	ck_assert_str_eq(relocated[0], "written");
	ck_assert_str_eq(relocated[1], "once");
}
END_TEST

UNIT_MAIN("code_pages", code_that_only_the_start_used_goes, what_was_written_stays)
