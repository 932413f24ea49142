#include "config.h"

#include "outputs/template.h"
#include "tests/unit/unit.h"

#include <string.h>

#define TIME_NS INT64_C(1769862896123456789) /* 2026-01-31T12:34:56.123456789Z, a Saturday */

static const struct origin origin = {.namespace_name = "team-a", .pod = "api-0", .uid = "0f8fad5b", .container = "app", .node = "node-1"};

/* What the template gives, NULL if nothing.  Static text. */
static const char *expanded(const char *text, enum record_stream stream, int64_t time_ns)
{
	static struct buf out;
	struct template *template;
	bool is_known;

	ck_assert_msg(template_check(text) == NULL, "'%s': %s", text, template_check(text));
	buf_release(&out);
	buf_init(&out, 4096);
	buf_add_text(&out, "before ");
	template = template_new(text);
	is_known = template_expand(template, &origin, stream, time_ns, &out);
	template_free(template);
	ck_assert(is_known || out.len == strlen("before "));
	return is_known ? buf_text(&out) + strlen("before ") : NULL;
}

static void gives(const char *text, const char *expected)
{
	ck_assert_str_eq(expanded(text, RECORD_STDERR, TIME_NS), expected);
}

START_TEST(plain_text_stays)
{
	gives("", "");
	gives("logs", "logs");
	gives("100% %s", "100% %s");
}
END_TEST

START_TEST(placeholders_become_what_is_known_of_a_file)
{
	gives("{namespace}/{pod}/{container}", "team-a/api-0/app");
	gives("logs.{namespace}", "logs.team-a");
	gives("{node}{uid}", "node-10f8fad5b");
	gives("x-{stream}-y", "x-stderr-y");
	ck_assert_str_eq(expanded("{stream}", RECORD_UNKNOWN, 0), "unknown");
}
END_TEST

START_TEST(doubled_braces_are_literal)
{
	gives("{{", "{");
	gives("}}", "}");
	gives("{{namespace}}", "{namespace}");
	gives("{{{namespace}}}", "{team-a}");
	gives("a{{b}}c{{{{", "a{b}c{{");
}
END_TEST

START_TEST(a_date_is_in_utc)
{
	gives("logs-{date:%Y.%m.%d}", "logs-2026.01.31");
	gives("{date:%F %H:%M}", "2026-01-31 12:34");
	gives("{date:%G-W%V-%u %j %a %B %%}", "2026-W05-6 031 Sat January %");
	ck_assert_str_eq(expanded("{date:%F}", RECORD_STDOUT, 0), "1970-01-01");
	ck_assert_str_eq(expanded("{date:%F}", RECORD_STDOUT, -1), "1969-12-31");
	ck_assert_str_eq(expanded("{date:%F}", RECORD_STDOUT, INT64_MAX), "2262-04-11");
	ck_assert_str_eq(expanded("{date:%F}", RECORD_STDOUT, INT64_MIN), "1677-09-21");
}
END_TEST

START_TEST(the_longest_date_has_room)
{
	const char *long_date = expanded("{date:%F%F%F%F%F%F%F%F%F%F%F%F%F%F%F%F}", RECORD_STDOUT, 0);

	ck_assert_uint_eq(strlen(long_date), 160);
	/* Wednesday, September */
	long_date =
	    expanded("{date:%A%A%A%A%A%A%A%A%B%B%B%B%B%B%B%B}", RECORD_STDOUT, INT64_C(1789556096000000000));
	ck_assert_uint_eq(strlen(long_date), 16 * 9);
}
END_TEST

START_TEST(what_is_not_known_gives_nothing)
{
	ck_assert_ptr_null(expanded("{namespace}.{label:app}", RECORD_STDOUT, 0));
	ck_assert_ptr_null(expanded("{annotation:example.com/topic}", RECORD_STDOUT, 0));
}
END_TEST

START_TEST(a_full_buf_gets_nothing)
{
	struct template *template = template_new("{namespace}/{pod}");
	struct buf out;

	buf_init(&out, 11);
	ck_assert(!template_expand(template, &origin, RECORD_STDOUT, 0, &out));
	ck_assert_uint_eq(out.len, 0);
	buf_release(&out);
	buf_init(&out, 12);
	ck_assert(template_expand(template, &origin, RECORD_STDOUT, 0, &out));
	ck_assert_uint_eq(out.len, 12);
	buf_release(&out);
	template_free(template);
}
END_TEST

START_TEST(a_template_tells_what_it_depends_on)
{
	static const struct {
		const char *text;
		bool needs_stream, needs_time, needs_metadata, is_constant;
	} rows[] = {{"logs {{x}}", false, false, false, true}, {"", false, false, false, true},
	    {"{pod}", false, false, false, false}, {"x{stream}", true, false, false, false},
	    {"{date:%Y}x", false, true, false, false}, {"{label:a}", false, false, true, false},
	    {"{annotation:a}", false, false, true, false}};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct template *template = template_new(rows[i].text);

		ck_assert_int_eq(template_needs_stream(template), rows[i].needs_stream);
		ck_assert_int_eq(template_needs_time(template), rows[i].needs_time);
		ck_assert_int_eq(template_needs_metadata(template), rows[i].needs_metadata);
		ck_assert_int_eq(template_is_constant(template), rows[i].is_constant);
		template_free(template);
	}
	template_free(NULL);
}
END_TEST

START_TEST(slips_are_complained_about)
{
	static const char *const texts[] = {"{", "}", "{}", "{x}", "{namespace", "namespace}", "{Namespace}",
	    "{namespace }", "{namespace:x}", "{namespaces}", "{label}", "{label:}", "{annotation}",
	    "{annotation:}", "{date}", "{date:}", "{date:%}", "{date:%S}", "{date:%N}", "{date:%s}",
	    "{date:%E}", "{date:%\n}", "{date:\n}", "{date:%Y%Y%Y%Y%Y%Y%Y%Y%Y%Y%Y%Y%Y%Y%Y%Y-}",
	    "{{namespace}", "{namespace}}", "{{{}}}", "{pod{namespace}}"};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		ck_assert_msg(template_check(texts[i]) != NULL, "'%s' was taken", texts[i]);
}
END_TEST

UNIT_MAIN("template", plain_text_stays, placeholders_become_what_is_known_of_a_file,
    doubled_braces_are_literal, a_date_is_in_utc, the_longest_date_has_room, what_is_not_known_gives_nothing,
    a_full_buf_gets_nothing, a_template_tells_what_it_depends_on, slips_are_complained_about)
