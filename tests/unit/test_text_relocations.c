/* A program whose code the linker writes to: it is linked with -z notext, and has a pointer in .text.  Such code cannot be read from the
 * file again. */
#include "config.h"

#include "common/code_pages.h"
#include "tests/unit/unit.h"

int pointed_at = 5;
extern int *const in_code;
__asm__(".pushsection .text\n"
	".balign 8\n"
	".globl in_code\n"
	"in_code: .quad pointed_at\n"
	".popsection\n");

START_TEST(what_the_linker_wrote_into_code_stays)
{
	int *const volatile *where = &in_code;

	ck_assert_ptr_eq(*where, &pointed_at);
	code_pages_forget();
	ck_assert_ptr_eq(*where, &pointed_at);
	ck_assert_int_eq(**where, 5);
}
END_TEST

UNIT_MAIN("text_relocations", what_the_linker_wrote_into_code_stays)
