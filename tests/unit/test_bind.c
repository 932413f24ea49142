#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/must.h"
#include "conf/bind.h"
#include "conf/units.h"
#include "tests/unit/unit.h"

struct options {
	char *text;
	struct bind_list list;
	bool flag;
	uint64_t count;
	uint64_t size;
	uint64_t duration;
	struct bind_range range;
	int word;
	char *file;
	char *secret_file;
	char *template;
	struct bind_list headers;
	char *password;
};

static const char *const words[] = {"kafka", "http", "loki", "null", NULL};

static const char *check_template(const char *text)
{
	return strchr(text, '{') != NULL && strchr(text, '}') == NULL ? "'{' without '}'" : NULL;
}

static const struct bind_row rows[] = {
    {.key = "text",
	.kind = BIND_TEXT,
	.offset = offsetof(struct options, text),
	.fallback = "some text",
	.help = "A text. Of two sentences."},
    {.key = "list",
	.kind = BIND_LIST,
	.offset = offsetof(struct options, list),
	.fallback = "a, b",
	.later = "multi",
	.help = "A list."},
    {.key = "flag",
	.kind = BIND_BOOL,
	.offset = offsetof(struct options, flag),
	.fallback = "on",
	.help = "A flag."},
    {.key = "count",
	.kind = BIND_COUNT,
	.offset = offsetof(struct options, count),
	.fallback = "2",
	.min = 1,
	.max = 64,
	.help = "A count."},
    {.key = "size",
	.kind = BIND_SIZE,
	.offset = offsetof(struct options, size),
	.fallback = "1MiB",
	.max = UINT64_C(1) << 30,
	.help = "A size."},
    {.key = "duration",
	.kind = BIND_DURATION,
	.offset = offsetof(struct options, duration),
	.fallback = "5ms",
	.max = 60000,
	.help = "A duration."},
    {.key = "range",
	.kind = BIND_DURATION_RANGE,
	.offset = offsetof(struct options, range),
	.fallback = "1s..60s",
	.min = 10,
	.help = "A range of durations."},
    {.key = "word",
	.kind = BIND_WORD,
	.offset = offsetof(struct options, word),
	.fallback = "http",
	.words = words,
	.later = "loki",
	.help = "A word."},
    {.key = "ca_file", .kind = BIND_FILE, .offset = offsetof(struct options, file), .help = "A file."},
    {.key = "password_file",
	.kind = BIND_SECRET_FILE,
	.offset = offsetof(struct options, secret_file),
	.help = "A secret file."},
    {.key = "template",
	.kind = BIND_TEMPLATE,
	.offset = offsetof(struct options, template),
	.required = true,
	.check = check_template,
	.help = "A template such as {pod}."},
    {.key = "header.", .kind = BIND_PREFIX, .offset = offsetof(struct options, headers), .help = "Headers."},
    {.key = "password",
	.kind = BIND_TEXT,
	.offset = offsetof(struct options, password),
	.secret = true,
	.check = check_template,
	.help = "A password."},
    /* Of a later version: its offset means nothing, here it lies on a number. */
    {.key = "multiline",
	.kind = BIND_TEXT,
	.offset = offsetof(struct options, count),
	.later = "*",
	.help = "Some day."},
    {.key = NULL},
};

static struct options options;
static struct ini ini;
static struct ini_complaints complaints;

static char *no_environment(const char *name)
{
	(void)name;
	return NULL;
}

static void bind_text(const char *text)
{
	struct bind_target target = {rows, &options};

	ini = (struct ini){0};
	options = (struct options){0};
	ini_complaints_init(&complaints);
	ini_read_text(&ini, "c.ini", text, strlen(text), no_environment, &complaints);
	bind_section(ini.sections, "s", &target, 1, &complaints);
}

static void end(void)
{
	bind_release(rows, &options);
	ini_release(&ini);
	ini_complaints_release(&complaints);
}

static void expect_complaints(const char *text)
{
	ck_assert_str_eq(buf_text(&complaints.text), text);
}

/* Binds "template = x" and one more line in [s], and compares what is said about the latter; "" = nothing. */
static void expect_complaint(const char *line, const char *complaint)
{
	char *text = xasprintf("[s]\ntemplate = x\n%s\n", line);
	char *expected = *complaint == '\0' ? xstrdup("") : xasprintf("c.ini:3: %s\n", complaint);

	bind_text(text);
	expect_complaints(expected);
	free(text);
	free(expected);
}

START_TEST(without_a_section_every_field_has_its_default)
{
	struct bind_target target = {rows, &options};

	ini_complaints_init(&complaints);
	bind_section(NULL, "output:main", &target, 1, &complaints);
	expect_complaints("[output:main] needs 'template'\n");
	ck_assert_str_eq(options.text, "some text");
	ck_assert_uint_eq(options.list.count, 2);
	ck_assert_str_eq(options.list.items[1], "b");
	ck_assert(options.flag);
	ck_assert_uint_eq(options.count, 2);
	ck_assert_uint_eq(options.size, 1 << 20);
	ck_assert_uint_eq(options.duration, 5);
	ck_assert_uint_eq(options.range.min, 1000);
	ck_assert_uint_eq(options.range.max, 60000);
	ck_assert_int_eq(options.word, 1);
	ck_assert_ptr_null(options.file);
	ck_assert_uint_eq(options.headers.count, 0);
	bind_release(rows, &options);
	ini_complaints_release(&complaints);
}
END_TEST

START_TEST(sizes_are_read_with_their_units)
{
	static const struct {
		const char *text;
		uint64_t bytes;
		const char *complaint;
	} table[] = {
	    {"0", 0, NULL},
	    {"17", 17, NULL},
	    {"1KiB", 1024, NULL},
	    {"1Ki", 1024, NULL},
	    {"3MiB", 3 << 20, NULL},
	    {"1 GiB", 1 << 30, NULL},
	    {"2KB", 2000, NULL},
	    {"2MB", 2000000, NULL},
	    {"2GB", 2000000000, NULL},
	    {"900KiB", 921600, NULL},
	    {"2Mi", 2 << 20, NULL},
	    {"1Gi", 1 << 30, NULL},
	    {"18446744073709551615", UINT64_MAX, NULL},
	    {"", 0, "is no number"},
	    {"x", 0, "is no number"},
	    {"-1", 0, "is no number"},
	    {"+1", 0, "is no number"},
	    {"KiB", 0, "is no number"},
	    {" 1", 0, "is no number"},
	    {"10K", 0, "is ambiguous: write KiB (1024 bytes) or KB (1000)"},
	    {"10M", 0, "is ambiguous: write MiB (1024 KiB) or MB (1000 KB)"},
	    {"10G", 0, "is ambiguous: write GiB (1024 MiB) or GB (1000 MB)"},
	    {"1kb", 0, "has an unknown unit: write KiB, MiB, GiB, KB, MB, GB or plain bytes"},
	    {"1.5GiB", 0, "has an unknown unit: write KiB, MiB, GiB, KB, MB, GB or plain bytes"},
	    {"1KiB1", 0, "has an unknown unit: write KiB, MiB, GiB, KB, MB, GB or plain bytes"},
	    {"1 ", 1, NULL},
	    {"18446744073709551616", 0, "is too large"},
	    {"18014398509481984KiB", 0, "is too large"},
	    {"99999999999999999999999999", 0, "is too large"},
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		const char *complaint = NULL;
		uint64_t bytes = 0;
		bool is_read = units_parse_size(table[i].text, &bytes, &complaint);

		ck_assert_msg(is_read == (table[i].complaint == NULL), "'%s'", table[i].text);
		ck_assert_msg(bytes == table[i].bytes, "'%s' is %" PRIu64, table[i].text, bytes);
		ck_assert_pstr_eq(complaint, table[i].complaint);
	}
}
END_TEST

START_TEST(durations_are_read_with_their_units)
{
	static const struct {
		const char *text;
		uint64_t ms;
		const char *complaint;
	} table[] = {
	    {"0", 0, NULL},
	    {"0s", 0, NULL},
	    {"5ms", 5, NULL},
	    {"30s", 30000, NULL},
	    {"1m", 60000, NULL},
	    {"2h", 7200000, NULL},
	    {"1d", 86400000, NULL},
	    {"1m30s", 90000, NULL},
	    {"1d2h3m4s5ms", 93784005, NULL},
	    {"1m 30s", 90000, NULL},
	    {"5 min", 0, "has an unknown unit: write ms, s, m, h or d"},
	    {"30", 0, "has no unit: write ms, s, m, h or d"},
	    {"00", 0, "has no unit: write ms, s, m, h or d"},
	    {"1m30", 0, "has no unit: write ms, s, m, h or d"},
	    {"1.5s", 0, "has no unit: write ms, s, m, h or d"},
	    {"1S", 0, "has an unknown unit: write ms, s, m, h or d"},
	    {"", 0, "is no number"},
	    {"s", 0, "is no number"},
	    {"-1s", 0, "is no number"},
	    {"1s-1s", 0, "is no number"},
	    {"99999999999999999999s", 0, "is too large"},
	    {"300000000000d", 0, "is too large"},
	    {"213503982334d213503982334d", 0, "is too large"},
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		const char *complaint = NULL;
		uint64_t ms = 0;
		bool is_read = units_parse_duration(table[i].text, &ms, &complaint);

		ck_assert_msg(is_read == (table[i].complaint == NULL), "'%s'", table[i].text);
		ck_assert_msg(ms == table[i].ms, "'%s' is %" PRIu64, table[i].text, ms);
		ck_assert_pstr_eq(complaint, table[i].complaint);
	}
}
END_TEST

START_TEST(bad_values_are_named_with_what_to_write)
{
	static const struct {
		const char *line, *complaint;
	} table[] = {
	    {"flag = maybe", "'flag = maybe' is neither on nor off"},
	    {"flag =", "'flag = ' is neither on nor off"},
	    {"count = x", "'count = x' is no number"},
	    {"count = 3x", "'count = 3x' is no plain number"},
	    {"count = 0", "'count = 0' is below 1"},
	    {"count = 65", "'count = 65' is above 64"},
	    {"count = 99999999999999999999", "'count = 99999999999999999999' is too large"},
	    {"size = 10M", "'size = 10M' is ambiguous: write MiB (1024 KiB) or MB (1000 KB)"},
	    {"size = 2GiB", "'size = 2GiB' is above 1GiB"},
	    {"duration = 30", "'duration = 30' has no unit: write ms, s, m, h or d"},
	    {"duration = 2m", "'duration = 2m' is above 1m"},
	    {"range = 1s", "'range = 1s' is no range: write 1s..60s"},
	    {"range = 1s..", "'range = 1s..' is no number"},
	    {"range = 2s..1s", "'range = 2s..1s' ends before it begins"},
	    {"range = 1ms..1s", "'range = 1ms..1s' is below 10ms"},
	    {"word = kafak", "'word = kafak' is none of kafka, http, null; did you mean 'kafka'?"},
	    {"word = elastic", "'word = elastic' is none of kafka, http, null"},
	    {"word = loki", "'word = loki' is not in this version"},
	    {"word =", "'word = ' is none of kafka, http, null"},
	    {"list = a, multi", "'list = a, multi' is not in this version"},
	    {"template = {pod", "'template' is given twice in [s], first at c.ini:2"},
	    {"password = {secret", "'password = ***': '{' without '}'"},
	    {"ca_file = /nowhere/x",
		"'ca_file = /nowhere/x': cannot open the file: No such file or directory"},
	    {"ca_file = /tmp", "'ca_file = /tmp' is a directory"},
	    {"password_file = /nowhere/x",
		"'password_file = /nowhere/x': cannot open the file: No such file or directory"},
	    {"multiline = java", "'multiline' is not in this version"},
	    {"header. = x", "unknown key 'header.' in [s]"},
	    {"header.a = {x", ""},
	    {"haeder.X-Y.Z = x", "unknown key 'haeder.X-Y.Z' in [s]; did you mean 'header.X-Y.Z'?"},
	    {"nothing.like = x", "unknown key 'nothing.like' in [s]"},
	    {"multilin = x", "unknown key 'multilin' in [s]"},
	    {"txet = x", "unknown key 'txet' in [s]; did you mean 'text'?"},
	    {"Text = x", "unknown key 'Text' in [s]; did you mean 'text'?"},
	    {"passwordfile = x", "unknown key 'passwordfile' in [s]; did you mean 'password_file'?"},
	    {"whatever = x", "unknown key 'whatever' in [s]"},
	    {"count = 1234567890123456789012345678901234567890123456789012345678901234567890",
		"'count = 123456789012345678901234567890123456789012345678901234567890...' is too large"},
	};

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		expect_complaint(table[i].line, table[i].complaint);
		end();
	}
}
END_TEST

START_TEST(good_values_reach_their_fields)
{
	bind_text("[s]\ntext = a, b\nlist = x ,y,, z,\nflag = Off\ncount = 64\nsize = 900KiB\nduration = "
		  "1m\nrange = 10ms .. 1h\nword = null\n"
		  "ca_file = /dev/null\ntemplate = logs.{pod}\nheader.X-Scope: a=b\nheader.Y = \npassword = "
		  "s3cret\n");
	expect_complaints("");
	ck_assert_str_eq(options.text, "a, b");
	ck_assert_uint_eq(options.list.count, 3);
	ck_assert_str_eq(options.list.items[0], "x");
	ck_assert_str_eq(options.list.items[1], "y");
	ck_assert_str_eq(options.list.items[2], "z");
	ck_assert(!options.flag);
	ck_assert_uint_eq(options.count, 64);
	ck_assert_uint_eq(options.size, 921600);
	ck_assert_uint_eq(options.duration, 60000);
	ck_assert_uint_eq(options.range.min, 10);
	ck_assert_uint_eq(options.range.max, 3600000);
	ck_assert_int_eq(options.word, 3);
	ck_assert_str_eq(options.file, "/dev/null");
	ck_assert_str_eq(options.template, "logs.{pod}");
	ck_assert_uint_eq(options.headers.count, 2);
	ck_assert_str_eq(options.headers.items[0], "X-Scope=a=b");
	ck_assert_str_eq(options.headers.items[1], "Y=");
	ck_assert_str_eq(options.password, "s3cret");
	end();
}
END_TEST

START_TEST(booleans_have_six_words)
{
	static const char *const on[] = {"on", "On", "true", "yes", "YES"}, *const off[] = {
										"off", "false", "no", "No"};

	for (size_t i = 0; i < sizeof on / sizeof on[0]; i++) {
		char *text = xasprintf("[s]\ntemplate = x\nflag = %s\n", on[i]);

		bind_text(text);
		expect_complaints("");
		ck_assert(options.flag);
		end();
		free(text);
	}
	for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
		char *text = xasprintf("[s]\ntemplate = x\nflag = %s\n", off[i]);

		bind_text(text);
		expect_complaints("");
		ck_assert(!options.flag);
		end();
		free(text);
	}
}
END_TEST

START_TEST(a_repeated_list_key_adds_and_the_default_goes)
{
	bind_text("[s]\nlist = x\ntemplate = t\nlist = y, z\n");
	expect_complaints("");
	ck_assert_uint_eq(options.list.count, 3);
	ck_assert_str_eq(options.list.items[2], "z");
	end();
}
END_TEST

START_TEST(an_empty_value_means_none)
{
	bind_text("[s]\ntext =\nlist =\ntemplate =\nca_file =\n");
	expect_complaints("c.ini:4: 'template' is empty\n");
	ck_assert_ptr_null(options.text);
	ck_assert_uint_eq(options.list.count, 0);
	ck_assert_ptr_null(options.file);
	end();
}
END_TEST

START_TEST(all_errors_of_a_section_are_found)
{
	bind_text("; here\n[s]\nsize = 1M\ntxt = 1\ncount = 0\ntext = 1\ntext = 2\nheader.a = 1\nheader.a = "
		  "2\nduration = ${GONE}\n");
	expect_complaints(
	    "c.ini:10: environment variable 'GONE' is not set (a default is written ${GONE:-default})\n"
	    "c.ini:3: 'size = 1M' is ambiguous: write MiB (1024 KiB) or MB (1000 KB)\n"
	    "c.ini:4: unknown key 'txt' in [s]; did you mean 'text'?\n"
	    "c.ini:5: 'count = 0' is below 1\n"
	    "c.ini:7: 'text' is given twice in [s], first at c.ini:6\n"
	    "c.ini:9: 'header.a' is given twice in [s], first at c.ini:8\n"
	    "c.ini:2: [s] needs 'template'\n");
	ck_assert_uint_eq(complaints.error_count, 7);
	end();
}
END_TEST

START_TEST(a_secret_that_everybody_can_read_is_warned_of_once)
{
	char path[] = "/tmp/drave-bind-XXXXXX";
	char *text, *expected;

	(void)close(mkstemp(path));
	text = xasprintf("[s]\ntemplate = x\npassword_file = %s\nca_file = %s\n", path, path);
	expected = xasprintf("c.ini:3: warning: '%s' can be read by everybody (mode 0644)\n", path);
	ck_assert_int_eq(chmod(path, 0644), 0);
	bind_text(text);
	expect_complaints(expected);
	ck_assert_uint_eq(complaints.error_count, 0);
	ck_assert_uint_eq(complaints.warning_count, 1);
	ck_assert_str_eq(options.secret_file, path);
	end();
	ck_assert_int_eq(chmod(path, 0640), 0);
	bind_text(text);
	expect_complaints("");
	end();
	(void)unlink(path);
	free(text);
	free(expected);
}
END_TEST

START_TEST(a_fifo_does_not_hold_the_check_up)
{
	char dir[] = "/tmp/drave-bind-XXXXXX", path[64];
	char *text;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/fifo", dir);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	text = xasprintf("[s]\ntemplate = x\npassword_file = %s\n", path);
	bind_text(text);
	expect_complaints("");
	end();
	free(text);
	(void)unlink(path);
	(void)rmdir(dir);
}
END_TEST

struct more {
	uint64_t extra;
	struct bind_list rest;
};

START_TEST(several_tables_share_a_section)
{
	static const struct bind_row more_rows[] = {
	    {.key = "extra",
		.kind = BIND_COUNT,
		.offset = offsetof(struct more, extra),
		.fallback = "1",
		.help = ""},
	    {.key = "head", .kind = BIND_PREFIX, .offset = offsetof(struct more, rest), .help = ""},
	    {.key = NULL},
	};
	struct more more = {0};
	struct bind_target targets[] = {{rows, &options}, {more_rows, &more}};
	static const char text[] =
	    "[s]\nextra = 7\ncount = 9\ntemplate = x\nheader.a = 1\nheadline = 2\nextar = 1\n";

	ini = (struct ini){0};
	options = (struct options){0};
	ini_complaints_init(&complaints);
	ini_read_text(&ini, "c.ini", text, strlen(text), no_environment, &complaints);
	bind_section(ini.sections, "s", targets, 2, &complaints);
	expect_complaints("c.ini:7: unknown key 'extar' in [s]; did you mean 'extra'?\n");
	ck_assert_uint_eq(more.extra, 7);
	ck_assert_uint_eq(options.count, 9);
	ck_assert_str_eq(options.headers.items[0], "a=1");
	ck_assert_str_eq(more.rest.items[0], "line=2");
	bind_release(more_rows, &more);
	end();
}
END_TEST

START_TEST(equal_means_equal_in_every_row)
{
	static const char *const changes[] = {"text = x", "list = a", "list = a, c", "flag = off",
	    "count = 3", "size = 2MiB", "duration = 6ms", "range = 1s..61s", "range = 2s..60s", "word = null",
	    "ca_file = /dev/null", "template = y", "header.a = 1", "password = p", "text ="};
	struct options first;

	bind_text("[s]\ntemplate = x\n");
	first = options;
	ini_release(&ini);
	ini_complaints_release(&complaints);
	bind_text("[s]\nsize = 1024KiB\ntemplate = x\nlist = a,b\n");
	ck_assert(bind_equal(rows, &first, &options));
	end();
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		char *text = strncmp(changes[i], "template", 8) == 0
				 ? xasprintf("[s]\n%s\n", changes[i])
				 : xasprintf("[s]\ntemplate = x\n%s\n", changes[i]);

		bind_text(text);
		expect_complaints("");
		ck_assert_msg(!bind_equal(rows, &first, &options), "%s", changes[i]);
		end();
		free(text);
	}
	bind_release(rows, &first);
}
END_TEST

START_TEST(the_nearest_name_is_found_and_far_ones_are_not)
{
	static const char *const names[] = {"brokers", "topic", "batch_size", "batch_age", "tls"};
	static const struct {
		const char *word, *nearest;
	} table[] = {
	    {"broker", "brokers"},
	    {"brokres", "brokers"},
	    {"topics", "topic"},
	    {"tpoic", "topic"},
	    {"batchsize", "batch_size"},
	    {"batch_aeg", "batch_age"},
	    {"tsl", "tls"},
	    {"ts", NULL},
	    {"t", NULL},
	    {"", NULL},
	    {"tls", "tls"},
	    {"something", NULL},
	    {"brkrs", "brokers"},
	    {"bokrsx", NULL},
	};
	char endless[200];

	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		ck_assert_pstr_eq(bind_nearest(table[i].word, names, 5), table[i].nearest);
	memset(endless, 'b', sizeof endless - 1);
	endless[sizeof endless - 1] = '\0';
	ck_assert_ptr_null(bind_nearest(endless, names, 5));
}
END_TEST

START_TEST(places_are_those_of_the_key_or_of_the_section)
{
	bind_text("\n[s]\ntemplate = x\n");
	ck_assert_uint_eq(bind_place(ini.sections, "template").line, 3);
	ck_assert_uint_eq(bind_place(ini.sections, "text").line, 2);
	ck_assert_ptr_null(bind_place(NULL, "text").file);
	end();
}
END_TEST

START_TEST(what_is_in_force_is_printed_and_can_be_read_back)
{
	static const char printed[] =
	    "text =\nlist = a, b\nflag = off\ncount = 2\nsize = 5MB\nduration = 1m\nrange = 1m30s..2h\nword "
	    "= http\n"
	    "ca_file = /dev/null\ntemplate = $${x}-{pod}\nheader.X-Scope = 1=2\npassword = ***\n";
	struct options first;
	struct buf out;
	char *again;

	bind_text("[s]\ntext =\nflag = no\nsize = 5000000\nduration = 60s\nrange = 90s..120m\nca_file = "
		  "/dev/null\ntemplate = $${x}-{pod}\n"
		  "header.X-Scope = 1=2\npassword = s3cret\n");
	expect_complaints("");
	buf_init(&out, 10000);
	bind_print(rows, &options, &out);
	ck_assert_str_eq(buf_text(&out), printed);
	first = options;
	ini_release(&ini);
	ini_complaints_release(&complaints);
	again = xasprintf("[s]\n%s", buf_text(&out));
	bind_text(again);
	expect_complaints("");
	free(options.password);
	options.password = xstrdup("s3cret");
	ck_assert(bind_equal(rows, &first, &options));
	bind_release(rows, &first);
	end();
	free(again);
	buf_release(&out);
}
END_TEST

START_TEST(the_sample_has_every_row_commented_out_at_its_default)
{
	struct buf out;

	buf_init(&out, 10000);
	bind_print_sample(rows, &out);
	ck_assert_ptr_nonnull(
	    strstr(buf_text(&out), "# A text. Of two sentences. Text.\n;text = some text\n\n"));
	ck_assert_ptr_nonnull(
	    strstr(buf_text(&out), "# A list. List, by commas or the key repeated.\n;list = a, b\n\n"));
	ck_assert_ptr_nonnull(strstr(buf_text(&out), "# A count. Number, 1 to 64.\n;count = 2\n\n"));
	ck_assert_ptr_nonnull(strstr(buf_text(&out), "# A size. Size, at most 1GiB.\n;size = 1MiB\n\n"));
	ck_assert_ptr_nonnull(strstr(buf_text(&out),
	    "# A range of durations. Range of durations, at least 10ms.\n;range = 1s..60s\n\n"));
	ck_assert_ptr_nonnull(
	    strstr(buf_text(&out), "# A word. One of kafka, http, null.\n;word = http\n\n"));
	ck_assert_ptr_nonnull(strstr(
	    buf_text(&out), "# A template such as {pod}. Text with {fields}; required.\n;template =\n\n"));
	ck_assert_ptr_nonnull(strstr(buf_text(&out), "\n;header.NAME =\n"));
	ck_assert_ptr_null(strstr(buf_text(&out), "multiline"));
	ck_assert_ptr_null(strstr(buf_text(&out), "loki"));
	buf_release(&out);
}
END_TEST

START_TEST(long_help_is_broken_between_words)
{
	static const struct bind_row row[] = {
	    {.key = "k",
		.kind = BIND_TEXT,
		.offset = 0,
		.help = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen "
			"fifteen sixteen seventeen eighteen nineteen twenty."},
	    {.key = NULL}};
	struct buf out;

	buf_init(&out, 10000);
	bind_print_sample(row, &out);
	for (const char *line = buf_text(&out); *line != '\0'; line += strcspn(line, "\n") + 1)
		ck_assert_uint_le(strcspn(line, "\n"), 100);
	ck_assert_ptr_nonnull(strstr(buf_text(&out), "\n# "));
	buf_release(&out);
}
END_TEST

START_TEST(the_man_page_table_pleases_mandoc)
{
	static const struct bind_row odd[] = {{.key = "odd",
						  .kind = BIND_TEXT,
						  .offset = 0,
						  .fallback = "a \"b\" \\ Ar",
						  .help = ".Begins with a dot. 'Quote' and \\ backslash."},
	    {.key = "Pa", .kind = BIND_PREFIX, .offset = 0, .help = "Looks like a macro."}, {.key = NULL}};
	char path[] = "/tmp/drave-bind-XXXXXX";
	struct buf out;
	char *command;

	buf_init(&out, 20000);
	buf_add_text(&out, ".Dd January 1, 2026\n.Dt TEST 5\n.Os\n.Sh NAME\n.Nm test\n.Nd test\n.Sh "
			   "DESCRIPTION\n.Bl -tag -width Ds\n");
	bind_print_man(rows, &out);
	bind_print_man(odd, &out);
	buf_add_text(&out, ".El\n");
	ck_assert_ptr_nonnull(strstr(buf_text(&out), ".It Ic \"\\&size\"\nA size.\nSize, at most 1GiB; "
						     "default\n.Ql \"\\&1MiB\" .\n.It Ic \"\\&duration\"\n"));
	ck_assert_ptr_nonnull(
	    strstr(buf_text(&out), "\n\\&.Begins with a dot.\n\\&'Quote' and \\e backslash.\n"));
	if (system("command -v mandoc >/dev/null") == 0) {
		(void)close(mkstemp(path));
		ck_assert_int_eq(file_replace(path, out.data, out.len, NULL), 0);
		command = xasprintf("mandoc -T lint -W warning '%s'", path);
		ck_assert_int_eq(system(command), 0);
		free(command);
		(void)unlink(path);
	}
	buf_release(&out);
}
END_TEST

UNIT_MAIN("bind", without_a_section_every_field_has_its_default, sizes_are_read_with_their_units,
    durations_are_read_with_their_units, bad_values_are_named_with_what_to_write,
    good_values_reach_their_fields, booleans_have_six_words, a_repeated_list_key_adds_and_the_default_goes,
    an_empty_value_means_none, all_errors_of_a_section_are_found,
    a_secret_that_everybody_can_read_is_warned_of_once, a_fifo_does_not_hold_the_check_up,
    several_tables_share_a_section, equal_means_equal_in_every_row,
    the_nearest_name_is_found_and_far_ones_are_not, places_are_those_of_the_key_or_of_the_section,
    what_is_in_force_is_printed_and_can_be_read_back, the_sample_has_every_row_commented_out_at_its_default,
    long_help_is_broken_between_words, the_man_page_table_pleases_mandoc)
