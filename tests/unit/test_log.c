#include "config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "tests/unit/unit.h"

#define LOG_MODULE  "here"
#define NOON_NS     INT64_C(1769862896123456789)
#define HEAD(level) "time=2026-01-31T12:34:56.123Z level=" level " module=here msg="

/* Takes what is written to stderr meanwhile. */
static int kept_stderr;
static char capture_path[64];
static struct buf captured;

static void capture(enum log_level level, enum log_format format)
{
	int fd;

	clock_hold(1000, NOON_NS);
	log_setup(level, format);
	snprintf(capture_path, sizeof capture_path, "/tmp/drave-log-XXXXXX");
	fd = mkstemp(capture_path);
	ck_assert_int_ge(fd, 0);
	kept_stderr = dup(STDERR_FILENO);
	ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
	(void)close(fd);
}

static const char *written(void)
{
	ck_assert_int_ge(dup2(kept_stderr, STDERR_FILENO), 0);
	(void)close(kept_stderr);
	buf_init(&captured, 1 << 20);
	ck_assert_int_eq(file_read(capture_path, &captured, NULL), 0);
	(void)unlink(capture_path);
	clock_release();
	return buf_text(&captured);
}

START_TEST(a_text_line_is_logfmt)
{
	capture(LOG_INFO, LOG_TEXT);
	log_warn("cannot read directory", "path=%s tries=%d", log_quote("/var/log pods"), 3);
	log_info("stopped");
	ck_assert_str_eq(
	    written(), HEAD("warn") "\"cannot read directory\" path=\"/var/log pods\" tries=3\n" HEAD(
			   "info") "\"stopped\"\n");
	buf_release(&captured);
}
END_TEST

START_TEST(a_json_line_has_the_fields_as_strings)
{
	capture(LOG_INFO, LOG_JSON);
	log_error(
	    "it \"broke\"", "path=%s  n=%d bare empty= end=x", log_quote("a\"b\\c\n\t\x01\xc3\xa9 d=e"), 3);
	log_info("stopped");
	ck_assert_str_eq(written(), "{\"time\":\"2026-01-31T12:34:56.123Z\",\"level\":\"error\",\"module\":"
				    "\"here\",\"msg\":\"it \\\"broke\\\"\","
				    "\"path\":\"a\\\"b\\\\c\\n\\t\\u0001\xc3\xa9 "
				    "d=e\",\"n\":\"3\",\"bare\":\"\",\"empty\":\"\",\"end\":\"x\"}\n"
				    "{\"time\":\"2026-01-31T12:34:56.123Z\",\"level\":\"info\",\"module\":"
				    "\"here\",\"msg\":\"stopped\"}\n");
	buf_release(&captured);
}
END_TEST

START_TEST(an_open_quote_ends_with_the_line)
{
	capture(LOG_INFO, LOG_JSON);
	log_info("odd", "a=\"b c\\");
	log_info("odd", "a=\"b\\x1");
	ck_assert_ptr_nonnull(strstr(written(), "\"a\":\"b c\\\\\"}\n"));
	ck_assert_ptr_nonnull(strstr(buf_text(&captured), "\"a\":\"bx1\"}\n"));
	buf_release(&captured);
}
END_TEST

START_TEST(lines_below_the_level_are_not_written)
{
	capture(LOG_WARN, LOG_TEXT);
	log_info("quiet");
	log_debug("quieter");
	log_error("loud");
	ck_assert_str_eq(written(), HEAD("error") "\"loud\"\n");
	buf_release(&captured);
}
END_TEST

START_TEST(control_bytes_cannot_forge_a_line)
{
	capture(LOG_INFO, LOG_TEXT);
	log_info("odd", "name=%s", "a\nlevel=error\r\x1b[2J\x7f");
	ck_assert_str_eq(written(), HEAD("info") "\"odd\" name=a\\nlevel=error\\r\\x1b[2J\\x7f\n");
	buf_release(&captured);
}
END_TEST

START_TEST(long_fields_are_cut_with_dots)
{
	char text[10000];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	capture(LOG_INFO, LOG_TEXT);
	log_info("long", "name=%s", text);
	ck_assert_ptr_nonnull(strstr(written(), "xxxx...\n"));
	ck_assert_uint_lt(captured.len, 4300);
	buf_release(&captured);
}
END_TEST

START_TEST(quotes_are_cut_between_characters)
{
	char text[1000] = "x";

	for (size_t i = 1; i + 2 < sizeof text; i += 2)
		memcpy(text + i, "\xc3\xa9", 3);
	ck_assert_uint_eq(strlen(log_quote(text)), 399 + strlen("\"...\""));
	ck_assert_str_eq(log_quote(text) + 398, "\xc3\xa9...\"");
	memcpy(text + 399, "y", 2); /* 400 bytes fit whole */
	ck_assert_str_eq(log_quote(text) + 399, "\xa9y\"");
}
END_TEST

START_TEST(eight_quotes_live_at_once)
{
	const char *quotes[8];
	char text[2] = "a";

	for (size_t i = 0; i < 8; i++, text[0]++)
		quotes[i] = log_quote(text);
	ck_assert_str_eq(quotes[0], "\"a\"");
	ck_assert_str_eq(quotes[7], "\"h\"");
}
END_TEST

static void complain(void)
{
	log_warn("again", "n=%d", 1);
}

START_TEST(a_site_that_repeats_itself_is_limited_and_tells_how_often)
{
	static const char line[] = HEAD("warn") "\"again\" n=1\n";
	static const char repeated[] = HEAD("warn") "\"repeated\" count=16 of=\"again\"\n";
	size_t line_len = sizeof line - 1;

	capture(LOG_INFO, LOG_TEXT);
	for (int i = 0; i < 20; i++)
		complain();
	clock_hold(10999, NOON_NS);
	complain();
	clock_hold(11000, NOON_NS);
	complain();
	(void)written();
	ck_assert_uint_eq(captured.len, 6 * line_len + sizeof repeated - 1);
	for (size_t i = 0; i < 5; i++)
		ck_assert_mem_eq(captured.data + i * line_len, line, line_len);
	ck_assert_mem_eq(captured.data + 5 * line_len, repeated, sizeof repeated - 1);
	ck_assert_mem_eq(captured.data + captured.len - line_len, line, line_len);
	buf_release(&captured);
}
END_TEST

UNIT_MAIN("log", a_text_line_is_logfmt, a_json_line_has_the_fields_as_strings,
    an_open_quote_ends_with_the_line, lines_below_the_level_are_not_written,
    control_bytes_cannot_forge_a_line, long_fields_are_cut_with_dots, quotes_are_cut_between_characters,
    eight_quotes_live_at_once, a_site_that_repeats_itself_is_limited_and_tells_how_often)
