#include "config.h"

#include "outputs/http_output.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/must.h"

static enum answer_kind expected(int status)
{
	if (status >= 200 && status <= 299)
		return ANSWER_SENT;
	if (status == 413 || status == 400 || status == 422)
		return ANSWER_REJECTED;
	if (status == 0 || status == 408 || status == 425 || status == 429 || (status >= 500 && status <= 599))
		return ANSWER_RETRY;
	return ANSWER_HOLD;
}

START_TEST(every_status_has_its_verdict)
{
	for (int status = 0; status < 1000; status++) {
		struct answer answer = http_verdict(status);

		ck_assert_msg(answer.kind == expected(status), "status %d", status);
		ck_assert_ptr_nonnull(answer.reason);
	}
}
END_TEST

START_TEST(what_is_too_large_says_so)
{
	ck_assert_str_eq(http_verdict(413).reason, "too_large");
	ck_assert_str_eq(http_verdict(400).reason, "invalid");
	ck_assert_str_eq(http_verdict(403).reason, "unauthorized");
}
END_TEST

/* Complaints of a section with this URL, which stands in line 2.  Static text. */
static const char *complaints_of(const char *url)
{
	static char told[1000];
	char *text = xasprintf("[output:main]\nurl = %s\n", url);
	void *options = xcalloc(1, output_http.options_size);
	struct bind_target target = {output_http.rows, options};
	struct ini_complaints complaints;
	struct ini ini = {0};

	ini_complaints_init(&complaints);
	ini_read_text(&ini, "test.ini", text, strlen(text), getenv, &complaints);
	bind_section(ini.sections, "output:main", &target, 1, &complaints);
	output_http.check(options, ini.sections, "output:main", &complaints);
	(void)snprintf(told, sizeof told, "%s", buf_text(&complaints.text));
	ini_complaints_release(&complaints);
	ini_release(&ini);
	bind_release(output_http.rows, options);
	free(options);
	free(text);
	return told;
}

START_TEST(labels_in_a_url_choose_no_host_and_say_what_stands_without_them)
{
	static const char *const hosts[] = {"http://{label:app:-x}/", "https://a.{annotation:team/x:-a/b}:80/x",
	    "http://{namespace}.{label:app:-x}?a", "http://{{{label:app:-x}", "http://{namespace}{pod}:{label:a:-b}"};

	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
		ck_assert_msg(strstr(complaints_of(hosts[i]), "test.ini:2: labels and annotations may stand") != NULL, "%s", hosts[i]);
	ck_assert_ptr_nonnull(strstr(complaints_of("http://h/{label:app}"), "test.ini:2: a pod may not have the label"));
	ck_assert_str_eq(complaints_of("http://{namespace}.h/{label:app:-none}?t={annotation:team/x:-}"), "");
	ck_assert_str_eq(complaints_of("http://h?{label:app:-none}"), "");
}
END_TEST

UNIT_MAIN("http_output", every_status_has_its_verdict, what_is_too_large_says_so,
	labels_in_a_url_choose_no_host_and_say_what_stands_without_them)
