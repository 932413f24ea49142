#include "config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/must.h"
#include "conf/ini.h"
#include "tests/unit/unit.h"

static struct ini ini;
static struct ini_complaints complaints;

static char *environment(const char *name)
{
	static char node[] = "node-1", empty[] = "", odd[] = "a ; b # c \\", eight[] = "12345678";

	if (strcmp(name, "NODE") == 0)
		return node;
	if (strcmp(name, "ODD") == 0)
		return odd;
	if (strcmp(name, "LONG") == 0)
		return eight;
	return strcmp(name, "EMPTY") == 0 ? empty : NULL;
}

static void read_bytes(const char *text, size_t len)
{
	ini = (struct ini){0};
	ini_complaints_init(&complaints);
	ini_read_text(&ini, "c.ini", text, len, environment, &complaints);
}

static void read_text(const char *text)
{
	read_bytes(text, strlen(text));
}

static void end(void)
{
	ini_release(&ini);
	ini_complaints_release(&complaints);
}

static const struct ini_setting *setting_of(const char *section_name, const char *key)
{
	for (const struct ini_section *section = ini.sections; section != NULL; section = section->next) {
		if (strcmp(section->name, section_name) != 0)
			continue;
		for (const struct ini_setting *setting = section->settings; setting != NULL;
		     setting = setting->next) {
			if (strcmp(setting->key, key) == 0)
				return setting;
		}
	}
	ck_abort_msg("no %s in [%s]", key, section_name);
	return NULL;
}

static void expect(const char *section, const char *key, const char *value, unsigned line)
{
	const struct ini_setting *setting = setting_of(section, key);

	ck_assert_str_eq(setting->value, value);
	ck_assert_uint_eq(setting->place.line, line);
}

static void expect_complaints(const char *text)
{
	ck_assert_str_eq(buf_text(&complaints.text), text);
}

START_TEST(sections_and_keys_come_in_order_with_their_lines)
{
	read_text("\n[output:main]\ntype = kafka\n  brokers=a:9092 , b:9092\n\n[ input:pods ]\npath: "
		  "/var/log/pods\nempty =\n[filter:x]\n");
	expect_complaints("");
	ck_assert_str_eq(ini.sections->name, "output:main");
	ck_assert_uint_eq(ini.sections->place.line, 2);
	ck_assert_str_eq(ini.sections->place.file, "c.ini");
	ck_assert_str_eq(ini.sections->next->name, "input:pods");
	ck_assert_str_eq(ini.sections->next->next->name, "filter:x");
	ck_assert_ptr_null(ini.sections->next->next->settings);
	expect("output:main", "type", "kafka", 3);
	expect("output:main", "brokers", "a:9092 , b:9092", 4);
	expect("input:pods", "path", "/var/log/pods", 7);
	expect("input:pods", "empty", "", 8);
	end();
}
END_TEST

START_TEST(comments_begin_lines_and_stand_behind_values)
{
	read_text("; one\n# two\n   ; three ${NOT_SET}\n[a] ; four\nk = v ; five\nl = v;w#x # y\nm = ; "
		  "six\nn = a\t; seven ${NOT_SET}\n");
	expect_complaints("");
	expect("a", "k", "v", 5);
	expect("a", "l", "v;w#x # y", 6);
	expect("a", "m", "", 7);
	expect("a", "n", "a", 8);
	end();
}
END_TEST

START_TEST(a_backslash_joins_lines_and_the_next_key_has_its_own_line)
{
	read_text("[a]\nlist = one, \\\n       two,\\\n  ; commented out, \\\n\tthree\nnext = 1\npath = "
		  "C:\\\\\nlast = x\n");
	expect_complaints("");
	expect("a", "list", "one, two,three", 2);
	expect("a", "next", "1", 6);
	expect("a", "path", "C:\\\\", 7);
	expect("a", "last", "x", 8);
	end();
}
END_TEST

START_TEST(a_comment_ends_a_line_for_good)
{
	read_text("[a]\nk = v ; note \\\nl = w\n; comment \\\nm = x\n");
	expect_complaints("");
	expect("a", "k", "v", 2);
	expect("a", "l", "w", 3);
	expect("a", "m", "x", 5);
	end();
}
END_TEST

START_TEST(line_ends_of_other_systems_and_a_byte_order_mark_do_no_harm)
{
	read_text("\xef\xbb\xbf[a]\r\nk = v \\\r\n  w\r\nl = x");
	expect_complaints("");
	expect("a", "k", "v w", 2);
	expect("a", "l", "x", 4);
	end();
}
END_TEST

/* libinih cuts at 199 bytes; 2,990 and more come through, with everything in them that it would trim or drop.
 */
START_TEST(long_values_come_through_whole)
{
	for (size_t len = 150; len < 3000; len += len < 420 ? 1 : 643) {
		char *value = xmalloc(len + 1), *text;

		for (size_t i = 0; i < len; i++)
			value[i] = "a;b#c = [d] |x:  "[i % 17];
		value[len - 1] = 'z';
		value[len] = '\0';
		text = xasprintf("[s]\nk = %s\nnext = 1\n", value);
		read_text(text);
		expect_complaints("");
		expect("s", "k", value, 2);
		expect("s", "next", "1", 3);
		end();
		free(text);
		free(value);
	}
}
END_TEST

START_TEST(long_names_come_through_whole)
{
	char text[400], key[101], section[101];

	memset(key, 'k', sizeof key - 1);
	memset(section, 's', sizeof section - 1);
	key[100] = section[100] = '\0';
	snprintf(text, sizeof text, "[%s]\n%s = v\n%sx = v\n", section, key, key);
	read_text(text);
	expect(section, key, "v", 2);
	ck_assert_uint_eq(complaints.error_count, 1);
	ck_assert_ptr_nonnull(strstr(buf_text(&complaints.text), "c.ini:3: 'kkkk"));
	end();
}
END_TEST

START_TEST(variables_are_filled_in)
{
	read_text("[a]\nk = <${NODE}>\nl = ${NODE}${NODE}\nm = ${NOT_SET:-fall back}\nn = ${EMPTY:-x}\no = "
		  "${EMPTY}\np = ${NOT_SET:-}\n"
		  "q = $${NODE} $ $NODE {x} $$\nr = ${ODD}\ns = ${NODE:-x}\nt = $$${NODE}\n");
	expect_complaints("");
	expect("a", "k", "<node-1>", 2);
	expect("a", "l", "node-1node-1", 3);
	expect("a", "m", "fall back", 4);
	expect("a", "n", "x", 5);
	expect("a", "o", "", 6);
	expect("a", "p", "", 7);
	expect("a", "q", "${NODE} $ $NODE {x} $$", 8);
	expect("a", "r", "a ; b # c \\", 9);
	expect("a", "s", "node-1", 10);
	expect("a", "t", "$${NODE}", 11);
	end();
}
END_TEST

START_TEST(variables_that_cannot_be_filled_in_are_all_named)
{
	read_text("[a]\nk = ${ONE} ${TWO}\nl = ${}\nm = ${9X}\nn = ${NODE\no = ${A B:-x}\n");
	expect_complaints(
	    "c.ini:2: environment variable 'ONE' is not set (a default is written ${ONE:-default})\n"
	    "c.ini:2: environment variable 'TWO' is not set (a default is written ${TWO:-default})\n"
	    "c.ini:3: '' is no name of a variable\n"
	    "c.ini:4: '9X' is no name of a variable\n"
	    "c.ini:5: '${' without '}' (a literal one is written $${)\n"
	    "c.ini:6: 'A B' is no name of a variable\n");
	ck_assert_uint_eq(complaints.error_count, 6);
	ck_assert_ptr_null(setting_of("a", "k")->value);
	end();
}
END_TEST

START_TEST(all_errors_are_found_in_one_run)
{
	static const char text[] =
	    "early = 1\n[a]\njust words\n= 3\nb c = 4\n[a\n[]\n[b] c\nlost = 1\n[a]\nk = 1\0\nl = 2\n\\\n";

	read_bytes(text, sizeof text - 1);
	expect_complaints("c.ini:1: 'early' stands before the first section\n"
			  "c.ini:3: 'just words' is neither 'key = value' nor a section\n"
			  "c.ini:4: '' is no key\n"
			  "c.ini:5: 'b c' is no key\n"
			  "c.ini:6: '[a' is no section: a line of its own, [name]\n"
			  "c.ini:7: '[]' is no section: a line of its own, [name]\n"
			  "c.ini:8: '[b] c' is no section: a line of its own, [name]\n"
			  "c.ini:10: section [a] is given twice, first at c.ini:2\n"
			  "c.ini:11: NUL byte in the line\n"
			  "c.ini:13: line goes on ('\\' at its end), but the file ends\n");
	ck_assert_uint_eq(complaints.error_count, 10);
	ck_assert_uint_eq(complaints.warning_count, 0);
	expect("a", "l", "2", 12);
	end();
}
END_TEST

START_TEST(repeated_keys_are_kept_in_order)
{
	read_text("[a]\nk = 1\nl = x\nk = 2\n");
	expect_complaints("");
	expect("a", "k", "1", 2);
	ck_assert_str_eq(ini.sections->settings->next->next->value, "2");
	end();
}
END_TEST

START_TEST(lines_over_the_limit_are_refused_and_the_next_one_is_read)
{
	char *text = xmalloc(INI_LINE_BYTES + 100);

	memcpy(text, "[a]\nk = ", 8);
	memset(text + 8, 'x', INI_LINE_BYTES - 4);
	memcpy(text + 8 + INI_LINE_BYTES - 4, "\nl = 1\n", 8);
	read_text(text);
	expect_complaints("");
	ck_assert_uint_eq(strlen(setting_of("a", "k")->value), INI_LINE_BYTES - 4);
	expect("a", "l", "1", 3);
	end();
	memcpy(text + 8 + INI_LINE_BYTES - 4, "x\nl = 1\n", 9);
	read_text(text);
	expect_complaints("c.ini:2: line is longer than 65536 bytes\n");
	expect("a", "l", "1", 3);
	end();
	free(text);
}
END_TEST

START_TEST(a_value_may_not_outgrow_the_limit_through_variables)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	buf_add_text(&text, "[a]\nk = ");
	for (int i = 0; i < 9000; i++)
		buf_add_text(&text, "${A:-x}"); /* 63,000 bytes become 9,000 */
	buf_add_text(&text, "\nl = ");
	for (int i = 0; i < 9000; i++)
		buf_add_text(&text, "${LONG}"); /* 63,000 bytes become 72,000 */
	buf_add_text(&text, "\n");
	read_text(buf_text(&text));
	ck_assert_uint_eq(strlen(setting_of("a", "k")->value), 9000);
	ck_assert_ptr_null(setting_of("a", "l")->value);
	expect_complaints("c.ini:3: value is longer than 65536 bytes with its variables filled in\n");
	end();
	buf_release(&text);
}
END_TEST

START_TEST(endless_sections_and_settings_are_given_up)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	for (int i = 0; i < 1200; i++)
		buf_printf(&text, "[s%d]\n", i);
	read_text(buf_text(&text));
	expect_complaints("c.ini:1001: more than 1000 sections: the rest of the file is not read\n");
	end();
	buf_clear(&text);
	buf_add_text(&text, "[a]\n");
	for (int i = 0; i < 10005; i++)
		buf_printf(&text, "k=%d\n", i);
	read_text(buf_text(&text));
	expect_complaints(
	    "c.ini:10002: more than 10000 settings in one section: the rest of the file is not read\n");
	end();
	buf_release(&text);
}
END_TEST

START_TEST(the_command_line_replaces_and_adds)
{
	read_text("[a]\nk = 1\nl = x\nk = 2\n");
	ini_override(&ini, "a.k=3", &complaints);
	ini_override(&ini, "output:main.rdkafka.socket.keepalive.enable=true", &complaints);
	ini_override(&ini, "a.empty=", &complaints);
	ini_override(&ini, "a.equal=x=y ${NODE}", &complaints);
	expect_complaints("");
	expect("a", "k", "3", 0);
	ck_assert_str_eq(setting_of("a", "k")->place.file, "-o");
	expect("output:main", "rdkafka.socket.keepalive.enable", "true", 0);
	expect("a", "empty", "", 0);
	expect("a", "equal", "x=y ${NODE}", 0);
	ini_override(&ini, "k=3", &complaints);
	ini_override(&ini, "a.k", &complaints);
	ini_override(&ini, ".k=3", &complaints);
	ini_override(&ini, "a.=3", &complaints);
	ini_override(&ini, "k=a.b", &complaints);
	ini_override(&ini, "collector.include=x", &complaints);
	expect_complaints("-o: 'k=3' is not section.key=value\n-o: 'a.k' is not section.key=value\n-o: "
			  "'.k=3' is not section.key=value\n"
			  "-o: 'a.=3' is not section.key=value\n-o: 'k=a.b' is not section.key=value\n-o: "
			  "'include' works in files only\n");
	end();
}
END_TEST

/* ---- files ---------------------------------------------------------------------------------- */

static char dir[64];

static void dir_make(void)
{
	snprintf(dir, sizeof dir, "/tmp/drave-ini-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void dir_remove(void)
{
	char *command = xasprintf("rm -r '%s'", dir);

	ck_assert_int_eq(system(command), 0);
	free(command);
}

static void put(const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", dir, name);

	ck_assert_int_eq(file_replace(path, text, strlen(text), NULL), 0);
	free(path);
}

static void read_file(const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);

	ini = (struct ini){0};
	ini_complaints_init(&complaints);
	ini_read_file(&ini, path, environment, &complaints);
	free(path);
}

/* The complaints with "@" for the directory. */
static void expect_file_complaints(const char *expected)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	for (const char *at = expected; *at != '\0'; at++) {
		if (*at == '@')
			buf_add_text(&text, dir);
		else
			buf_add(&text, at, 1);
	}
	expect_complaints(buf_text(&text));
	buf_release(&text);
}

START_TEST(included_files_come_in_name_order_and_the_section_goes_on_behind_them)
{
	dir_make();
	put("main.ini", "[collector]\na = 1\ninclude = conf-${NODE}*.ini\nb = 2\ninclude = "
			"none-*.ini\n[z]\ninclude = x\n");
	put("conf-node-1-b.ini", "[two]\nk = 2\n");
	put("conf-node-1-a.ini", "\n[one]\nk = \\\n 1\n");
	read_file("main.ini");
	expect_file_complaints("");
	expect("collector", "a", "1", 2);
	expect("collector", "b", "2", 4);
	expect("one", "k", "1", 3);
	expect("two", "k", "2", 2);
	expect("z", "include", "x", 7);
	ck_assert_str_eq(ini.sections->name, "collector");
	ck_assert_str_eq(ini.sections->next->name, "one");
	ck_assert_str_eq(ini.sections->next->next->name, "two");
	ck_assert_ptr_nonnull(strstr(setting_of("two", "k")->place.file, "conf-node-1-b.ini"));
	end();
	dir_remove();
}
END_TEST

START_TEST(errors_in_included_files_name_them)
{
	dir_make();
	put("main.ini", "[collector]\ninclude = a.ini\ninclude = missing.ini\nlast\n");
	put("a.ini", "k = 1\n[collector]\n[b]\nx = ${GONE}\n");
	read_file("main.ini");
	expect_file_complaints(
	    "@/a.ini:1: 'k' stands before the first section\n"
	    "@/a.ini:2: section [collector] is given twice, first at @/main.ini:1\n"
	    "@/a.ini:4: environment variable 'GONE' is not set (a default is written ${GONE:-default})\n"
	    "@/main.ini:3: cannot open '@/missing.ini': No such file or directory\n"
	    "@/main.ini:4: 'last' is neither 'key = value' nor a section\n");
	end();
	dir_remove();
}
END_TEST

START_TEST(an_include_cycle_is_an_error)
{
	dir_make();
	put("a.ini", "[collector]\ninclude = b.ini\n");
	put("b.ini", "[controller]\ninclude = *.ini\nk = 1\n");
	read_file("a.ini");
	expect_file_complaints("@/b.ini:2: '@/a.ini' is included while it is being read\n"
			       "@/b.ini:2: '@/b.ini' is included while it is being read\n");
	expect("controller", "k", "1", 3);
	end();
	dir_remove();
}
END_TEST

START_TEST(a_file_is_read_once)
{
	dir_make();
	put("a.ini", "[collector]\ninclude = b.ini\ninclude = b*.ini\n");
	put("b.ini", "[b]\nk = 1\n");
	put("bc.ini", "[c]\nk = 1\n");
	read_file("a.ini");
	expect_file_complaints("@/a.ini:3: '@/b.ini' is included twice\n");
	expect("c", "k", "1", 2);
	end();
	dir_remove();
}
END_TEST

START_TEST(includes_are_nested_eight_deep_at_most)
{
	char name[16], text[64];

	dir_make();
	put("0.ini", "[collector]\ninclude = 1.ini\n");
	for (int i = 1; i < 10; i++) {
		snprintf(name, sizeof name, "%d.ini", i);
		snprintf(text, sizeof text, "[collector]\ninclude = %d.ini\n[s%d]\nk = 1\n", i + 1, i);
		put(name, text);
	}
	read_file("0.ini");
	expect("s8", "k", "1", 4);
	ck_assert_ptr_nonnull(
	    strstr(buf_text(&complaints.text), "/8.ini:2: 'include' is nested deeper than 8 files\n"));
	ck_assert_ptr_null(strstr(buf_text(&complaints.text), "9.ini"));
	end();
	dir_remove();
}
END_TEST

START_TEST(a_missing_file_and_an_empty_one_are_told_apart)
{
	dir_make();
	put("empty.ini", "");
	read_file("empty.ini");
	expect_file_complaints("");
	ck_assert_ptr_null(ini.sections);
	end();
	read_file("missing.ini");
	expect_file_complaints("cannot open '@/missing.ini': No such file or directory\n");
	end();
	read_file(".");
	expect_file_complaints("cannot read '@/.': Is a directory\n");
	end();
	dir_remove();
}
END_TEST

START_TEST(a_file_over_the_limit_is_refused)
{
	char *text = xmalloc(INI_FILE_BYTES + 2);

	dir_make();
	memset(text, '\n', INI_FILE_BYTES + 1);
	text[INI_FILE_BYTES + 1] = '\0';
	put("big.ini", text);
	read_file("big.ini");
	expect_file_complaints("cannot read '@/big.ini': more than 1048576 bytes\n");
	end();
	put("big.ini", text + 1);
	read_file("big.ini");
	expect_file_complaints("");
	end();
	free(text);
	dir_remove();
}
END_TEST

START_TEST(texts_include_nothing)
{
	read_text("[collector]\ninclude = /etc/passwd\n");
	expect_complaints("c.ini:2: 'include' works in files only\n");
	end();
}
END_TEST

UNIT_MAIN("ini", sections_and_keys_come_in_order_with_their_lines,
    comments_begin_lines_and_stand_behind_values, a_backslash_joins_lines_and_the_next_key_has_its_own_line,
    a_comment_ends_a_line_for_good, line_ends_of_other_systems_and_a_byte_order_mark_do_no_harm,
    long_values_come_through_whole, long_names_come_through_whole, variables_are_filled_in,
    variables_that_cannot_be_filled_in_are_all_named, all_errors_are_found_in_one_run,
    repeated_keys_are_kept_in_order, lines_over_the_limit_are_refused_and_the_next_one_is_read,
    a_value_may_not_outgrow_the_limit_through_variables, endless_sections_and_settings_are_given_up,
    the_command_line_replaces_and_adds, included_files_come_in_name_order_and_the_section_goes_on_behind_them,
    errors_in_included_files_name_them, an_include_cycle_is_an_error, a_file_is_read_once,
    includes_are_nested_eight_deep_at_most, a_missing_file_and_an_empty_one_are_told_apart,
    a_file_over_the_limit_is_refused, texts_include_nothing)
