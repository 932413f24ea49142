#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/sources.h"
#include "tests/unit/scratch.h"
#include "tests/unit/unit.h"

static struct scratch scratch;
static struct sources sources;

static void link_to(const char *target, const char *name)
{
	ck_assert_int_eq(symlink(target, scratch_path(&scratch, name)), 0);
}

static void begin(const char *pattern)
{
	scratch_init(&scratch);
	sources_add(&sources, scratch_path(&scratch, pattern));
}

static void end(void)
{
	sources_release(&sources);
	scratch_release(&scratch);
}

START_TEST(what_is_left_alone_stays_the_same)
{
	begin("a.ini");
	scratch_append(&scratch, "a.ini", "x");
	ck_assert_uint_eq(sources_stamp(&sources), sources_stamp(&sources));
	end();
}
END_TEST

START_TEST(another_size_and_another_inode_show)
{
	uint64_t first, second;

	begin("a.ini");
	scratch_append(&scratch, "a.ini", "x");
	first = sources_stamp(&sources);
	scratch_append(&scratch, "a.ini", "y");
	second = sources_stamp(&sources);
	ck_assert_uint_ne(first, second);
	scratch_append(&scratch, "b.ini", "xy");
	scratch_rename(&scratch, "b.ini", "a.ini");
	ck_assert_uint_ne(sources_stamp(&sources), second);
	end();
}
END_TEST

START_TEST(a_swapped_link_on_the_way_shows)
{
	uint64_t before;

	begin("a.ini");
	scratch_dir(&scratch, "one");
	scratch_dir(&scratch, "two");
	scratch_append(&scratch, "one/a.ini", "x");
	scratch_append(&scratch, "two/a.ini", "x");
	link_to("one", "..data");
	link_to("..data/a.ini", "a.ini");
	before = sources_stamp(&sources);
	link_to("two", "..data_tmp");
	scratch_rename(&scratch, "..data_tmp", "..data");
	ck_assert_uint_ne(sources_stamp(&sources), before);
	end();
}
END_TEST

START_TEST(what_comes_goes_or_fits_a_pattern_shows)
{
	uint64_t none, one;

	begin("*.ini");
	none = sources_stamp(&sources);
	scratch_append(&scratch, "a.ini", "x");
	one = sources_stamp(&sources);
	ck_assert_uint_ne(none, one);
	scratch_append(&scratch, "a.txt", "x");
	ck_assert_uint_eq(sources_stamp(&sources), one);
	scratch_append(&scratch, "b.ini", "x");
	ck_assert_uint_ne(sources_stamp(&sources), one);
	scratch_unlink(&scratch, "b.ini");
	ck_assert_uint_eq(sources_stamp(&sources), one);
	end();
}
END_TEST

START_TEST(an_ini_names_its_files_its_patterns_and_its_secrets)
{
	struct sources same = {.count = 0};
	struct ini_complaints complaints;
	struct ini ini = {.sections = NULL};

	scratch_init(&scratch);
	scratch_append(&scratch, "a.ini",
	    "[collector]\ninclude = d/*.ini\n[output:x]\ntoken_file = /t\nkey_file =\nurl = u\n_file = z\n");
	ini_complaints_init(&complaints);
	ini_read_file(&ini, scratch_path(&scratch, "a.ini"), getenv, &complaints);
	sources_add_ini(&sources, &ini);
	ck_assert_uint_eq(sources.count, 3);
	ck_assert_str_eq(sources.patterns[0], scratch_path(&scratch, "d/*.ini"));
	ck_assert_str_eq(sources.patterns[1], scratch_path(&scratch, "a.ini"));
	ck_assert_str_eq(sources.patterns[2], "/t");
	sources_add_ini(&same, &ini);
	ck_assert(sources_equal(&sources, &same));
	sources_add(&same, "more");
	ck_assert(!sources_equal(&sources, &same));
	sources_release(&same);
	ini_release(&ini);
	ini_complaints_release(&complaints);
	end();
}
END_TEST

UNIT_MAIN("sources", what_is_left_alone_stays_the_same, another_size_and_another_inode_show,
    a_swapped_link_on_the_way_shows, what_comes_goes_or_fits_a_pattern_shows,
    an_ini_names_its_files_its_patterns_and_its_secrets)
