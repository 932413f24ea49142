#include "config.h"

#include "outputs/template.h"
#include "tests/unit/unit.h"

#include <string.h>

#include "common/must.h"

#define TIME_NS INT64_C(1769862896123456789) /* 2026-01-31T12:34:56.123456789Z, a Saturday */

static const struct label labels[] = {{"app", "web", false}, {"app.kubernetes.io/name", "shop", true}, {"empty", "", false}};
static const struct label annotations[] = {{"team/bad", "a/../b?c#d%e&f=g h\r\nX: y\xff", false},
    {"team/dots", "..", false}, {"team/x", "blue", false}};
static const struct metadata metadata = {.labels = {labels, 3}, .annotations = {annotations, 3}};
static const struct origin known = {.namespace_name = "team-a", .pod = "api-0", .uid = "0f8fad5b", .container = "app", .node = "node-1",
    .metadata = &metadata};
static const struct origin origin = {.namespace_name = "team-a", .pod = "api-0", .uid = "0f8fad5b", .container = "app", .node = "node-1"};

/* What the template gives, NULL if nothing.  Static text. */
static const char *expanded_in(
    const char *text, enum template_place place, const struct origin *from, enum record_stream stream, int64_t time_ns)
{
	static struct buf out;
	struct template *template;
	bool is_known;

	ck_assert_msg(template_check(text) == NULL, "'%s': %s", text, template_check(text));
	buf_release(&out);
	buf_init(&out, 4096);
	buf_add_text(&out, "before ");
	template = template_new(text, place);
	is_known = template_expand(template, from, stream, time_ns, &out);
	ck_assert_uint_le(out.len - strlen("before "), template_longest(template));
	template_free(template);
	ck_assert(is_known || out.len == strlen("before "));
	return is_known ? buf_text(&out) + strlen("before ") : NULL;
}

static const char *expanded(const char *text, enum record_stream stream, int64_t time_ns)
{
	return expanded_in(text, TEMPLATE_PLAIN, &origin, stream, time_ns);
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

START_TEST(labels_and_annotations_are_what_the_pod_has)
{
	static const struct {
		const char *text, *known, *unknown;
	} rows[] = {
	    {"logs.{label:app}", "logs.web", NULL},
	    {"{label:app}{label:app.kubernetes.io/name}", "webshop", NULL},
	    {"{annotation:team/x}", "blue", NULL},
	    {"{label:team/x}", NULL, NULL},
	    {"{label:other}", NULL, NULL},
	    {"{label:empty}", NULL, NULL},
	    {"{label:app:-none}", "web", "none"},
	    {"{label:other:-none}-{namespace}", "none-team-a", "none-team-a"},
	    {"{label:empty:-none}", "none", "none"},
	    {"{label:other:-}", "", ""},
	    {"{label:other:-a:-b {c/%}", "a:-b {c/%", "a:-b {c/%"},
	    {"{label:app:-x}{label:other}", NULL, NULL},
	    {"{annotation:team/x:-red}", "blue", "red"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *text = expanded_in(rows[i].text, TEMPLATE_PLAIN, &known, RECORD_STDOUT, 0);

		ck_assert_msg(rows[i].known != NULL ? text != NULL && strcmp(text, rows[i].known) == 0 : text == NULL,
		    "%s: %s", rows[i].text, text);
		text = expanded(rows[i].text, RECORD_STDOUT, 0);
		ck_assert_msg(rows[i].unknown != NULL ? text != NULL && strcmp(text, rows[i].unknown) == 0 : text == NULL,
		    "%s: %s", rows[i].text, text);
	}
}
END_TEST

START_TEST(a_value_that_is_too_long_is_none)
{
	char value[TEMPLATE_VALUE_BYTES + 2];
	struct label label = {"a", value, false};
	struct metadata long_one = {.annotations = {&label, 1}};
	struct origin from = origin;

	from.metadata = &long_one;
	memset(value, ' ', sizeof value - 1);
	value[sizeof value - 1] = '\0';
	ck_assert_str_eq(expanded_in("{annotation:a:-b}", TEMPLATE_URL, &from, RECORD_STDOUT, 0), "b");
	value[sizeof value - 2] = '\0';
	ck_assert_uint_eq(
	    strlen(expanded_in("{annotation:a:-b}", TEMPLATE_URL, &from, RECORD_STDOUT, 0)), 3 * TEMPLATE_VALUE_BYTES);
}
END_TEST

/* Whoever may create a pod writes its labels and annotations. */
START_TEST(values_cannot_break_out)
{
	static const struct {
		const char *text;
		enum template_place place;
		const char *expected;
	} rows[] = {
	    {"http://h/{annotation:team/bad}", TEMPLATE_URL,
		"http://h/a%2F..%2Fb%3Fc%23d%25e%26f%3Dg%20h%0D%0AX%3A%20y%FF"},
	    {"http://h/{annotation:team/dots}/x", TEMPLATE_URL, "http://h/__/x"},
	    {"http://h/{label:app}/{namespace}?n={node}", TEMPLATE_URL, "http://h/web/team-a?n=node-1"},
	    {"{annotation:team/bad}", TEMPLATE_HEADER, "a/../b?c#d%e&f=g h__X: y_"},
	    {"{label:app}\xff", TEMPLATE_HEADER, "web\xff"},
	    {"{date:%Y/%m}", TEMPLATE_URL, "2026/01"},
	    {"{label:other:-a/b c}", TEMPLATE_URL, "a/b c"}, /* the operator's own */
	    {"{annotation:team/bad}", TEMPLATE_PLAIN, "a/../b?c#d%e&f=g h\r\nX: y\xff"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		ck_assert_str_eq(
		    expanded_in(rows[i].text, rows[i].place, &known, RECORD_STDOUT, TIME_NS), rows[i].expected);
}
END_TEST

static void note_name(void *arg, bool is_annotation, const char *name)
{
	must(buf_printf(arg, "%c%s", is_annotation ? '@' : '=', name));
}

START_TEST(a_template_tells_what_it_names)
{
	struct template *template = template_new(
	    "{namespace}{label:a.b/c:-x}{{label:literal}}{annotation:d}{label:e}{label:e}", TEMPLATE_PLAIN);
	struct buf names;

	buf_init(&names, 200);
	template_each_name(template, note_name, &names);
	ck_assert_str_eq(buf_text(&names), "=a.b/c@d=e=e");
	buf_release(&names);
	ck_assert(template_can_fail(template));
	template_free(template);
	template = template_new("{label:a:-}{annotation:b:-c}", TEMPLATE_PLAIN);
	ck_assert(!template_can_fail(template));
	ck_assert(template_needs_metadata(template));
	template_free(template);
}
END_TEST

START_TEST(a_full_buf_gets_nothing)
{
	struct template *template = template_new("{namespace}/{pod}", TEMPLATE_PLAIN);
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
		struct template *template = template_new(rows[i].text, TEMPLATE_PLAIN);

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
	    "{annotation:}", "{label::-x}", "{label:app:x}", "{label:a b}", "{label:app:}", "{annotation:{x}}",
	    "{namespace:-x}", "{date}", "{date:}", "{date:%}", "{date:%S}", "{date:%N}", "{date:%s}",
	    "{date:%E}", "{date:%\n}", "{date:\n}", "{date:%Y%Y%Y%Y%Y%Y%Y%Y%Y%Y%Y%Y%Y%Y%Y%Y-}",
	    "{{namespace}", "{namespace}}", "{{{}}}", "{pod{namespace}}"};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		ck_assert_msg(template_check(texts[i]) != NULL, "'%s' was taken", texts[i]);
}
END_TEST

UNIT_MAIN("template", plain_text_stays, placeholders_become_what_is_known_of_a_file,
    doubled_braces_are_literal, a_date_is_in_utc, the_longest_date_has_room, what_is_not_known_gives_nothing,
    labels_and_annotations_are_what_the_pod_has, a_value_that_is_too_long_is_none, values_cannot_break_out,
    a_template_tells_what_it_names,
    a_full_buf_gets_nothing, a_template_tells_what_it_depends_on, slips_are_complained_about)
