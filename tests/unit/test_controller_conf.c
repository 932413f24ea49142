#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/must.h"
#include "controller/controller_conf.h"
#include "tests/unit/unit.h"
#include "tests/unit/scratch.h"

static struct ini_complaints complaints;

/* The configuration of this text, or NULL with complaints. */
static struct controller_conf *load(const char *text, const char *const *overrides)
{
	struct scratch scratch;
	struct controller_conf *conf;
	char *path;

	scratch_init(&scratch);
	path = xasprintf("%s/controller.ini", scratch.path);
	ck_assert_int_eq(file_replace(path, text, strlen(text), NULL), 0);
	ini_complaints_init(&complaints);
	conf = controller_conf_load(path, false, overrides, &complaints);
	free(path);
	scratch_release(&scratch);
	return conf;
}

static void refuses(const char *text, const char *place_and_word)
{
	struct controller_conf *conf = load(text, NULL);
	const char *colon = strchr(place_and_word, ':'), *told = buf_text(&complaints.text);
	char place[64];

	ck_assert_msg(conf == NULL, "taken: %s", text);
	(void)snprintf(
	    place, sizeof place, "controller.ini:%.*s: ", (int)(colon - place_and_word), place_and_word);
	ck_assert_msg(strstr(told, place) != NULL && strstr(strstr(told, place), colon + 1) != NULL, "%s: %s",
	    place_and_word, told);
	ini_complaints_release(&complaints);
}

START_TEST(nothing_need_be_said)
{
	struct controller_conf *conf;

	ini_complaints_init(&complaints);
	conf = controller_conf_load("/no/such/file.ini", true, NULL, &complaints);
	ck_assert_ptr_nonnull(conf);
	ck_assert_uint_eq(complaints.text.len, 0);
	ck_assert_ptr_null(conf->kubeconfig);
	ck_assert_ptr_null(conf->namespace_name);
	ck_assert_ptr_null(conf->lease_namespace);
	ck_assert_str_eq(conf->listen, "127.0.0.1:9819");
	ck_assert_str_eq(conf->lease_name, "drave-controller");
	ck_assert(conf->leader_election);
	ck_assert_uint_eq(conf->lease_duration_ms, 15000);
	ck_assert_uint_eq(conf->renew_deadline_ms, 10000);
	ck_assert_uint_eq(conf->retry_period_ms, 2000);
	controller_conf_free(conf);
	ini_complaints_release(&complaints);
}
END_TEST

START_TEST(a_file_that_was_asked_for_must_be_there)
{
	ini_complaints_init(&complaints);
	ck_assert_ptr_null(controller_conf_load("/no/such/file.ini", false, NULL, &complaints));
	ck_assert_uint_eq(complaints.error_count, 1);
	ini_complaints_release(&complaints);
}
END_TEST

START_TEST(overrides_win)
{
	static const char *const overrides[] = {
	    "controller.namespace=*", "controller.leader_election=off", NULL};
	struct controller_conf *conf =
	    load("[controller]\nnamespace = logs\nlease_namespace = kube-system\n", overrides);

	ck_assert_ptr_nonnull(conf);
	ck_assert_str_eq(conf->namespace_name, "*");
	ck_assert_str_eq(conf->lease_namespace, "kube-system");
	ck_assert(!conf->leader_election);
	controller_conf_free(conf);
	ini_complaints_release(&complaints);
}
END_TEST

START_TEST(each_mistake_is_told_with_its_place)
{
	refuses("[controller]\nnamespace = A_b\n", "2:namespace");
	refuses("[controller]\nnamespace = -a\n", "2:namespace");
	refuses("[controller]\nlease_namespace = *\n", "2:name of a namespace");
	refuses("[controller]\nlease_name = a b\n", "2:lease_name");
	refuses("[controller]\nlisten = nowhere\n", "2:listen");
	refuses("[controller]\nlog_levle = info\n", "2:did you mean 'log_level'");
	refuses("[controller]\nlease_duration = 15\n", "2:lease_duration");
	refuses("[controller]\nkubeconfig = /no/such/file\n", "2:kubeconfig");
	refuses("[controler]\n", "1:did you mean 'controller'");
	refuses("[output:main]\n", "1:unknown section");
}
END_TEST

START_TEST(le1_the_times_of_the_lease_must_fit_each_other)
{
	refuses("[controller]\nlease_duration = 10s\nlisten = :0\n", "2:longer than renew_deadline");
	refuses("[controller]\nretry_period = 9s\n", "2:1.2 x retry_period");
	refuses("[controller]\nlease_duration = 20500ms\n", "2:whole seconds");
	refuses("[controller]\nlease_duration = 20s\nrenew_deadline = 30s\n", "3:longer than renew_deadline");
}
END_TEST

START_TEST(what_is_printed_is_read_back_the_same)
{
	struct controller_conf *conf = load(
				   "[controller]\nnamespace = *\nretry_period = 1500ms\nlog_format = json\n",
				   NULL),
			       *again;
	struct buf text;

	ck_assert_ptr_nonnull(conf);
	ini_complaints_release(&complaints);
	buf_init(&text, 1 << 16);
	controller_conf_print(conf, &text);
	again = load(buf_text(&text), NULL);
	ck_assert_msg(again != NULL, "%s", buf_text(&complaints.text));
	ck_assert_ptr_null(controller_conf_fixed_difference(conf, again));
	ck_assert_int_eq(conf->log_format, again->log_format);
	controller_conf_free(conf);
	controller_conf_free(again);
	buf_release(&text);
	ini_complaints_release(&complaints);
}
END_TEST

START_TEST(only_the_log_may_change_while_it_runs)
{
	static const struct {
		const char *text, *key;
	} rows[] = {
	    {"[controller]\n", NULL},
	    {"[controller]\nlog_level = debug\nlog_format = json\n", NULL},
	    {"[controller]\nnamespace = x\n", "namespace"},
	    {"[controller]\nlisten = :1\n", "listen"},
	    {"[controller]\nleader_election = off\n", "leader_election"},
	    {"[controller]\nlease_name = x\n", "lease_name"},
	    {"[controller]\nretry_period = 1s\n", "retry_period"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct controller_conf *before = load("", NULL), *after;
		const char *key;

		ini_complaints_release(&complaints);
		after = load(rows[i].text, NULL);
		key = controller_conf_fixed_difference(before, after);
		ck_assert_str_eq(key != NULL ? key : "none", rows[i].key != NULL ? rows[i].key : "none");
		controller_conf_free(before);
		controller_conf_free(after);
		ini_complaints_release(&complaints);
	}
}
END_TEST

START_TEST(the_sample_is_a_configuration_of_nothing_but_defaults)
{
	struct controller_conf *defaults = load("", NULL), *conf;
	struct buf text;

	ini_complaints_release(&complaints);
	buf_init(&text, 1 << 16);
	controller_conf_print_sample(&text);
	conf = load(buf_text(&text), NULL);
	ck_assert_msg(conf != NULL, "%s", buf_text(&complaints.text));
	ck_assert_ptr_null(controller_conf_fixed_difference(defaults, conf));
	controller_conf_free(defaults);
	controller_conf_free(conf);
	buf_release(&text);
	ini_complaints_release(&complaints);
}
END_TEST

UNIT_MAIN("controller_conf", nothing_need_be_said, a_file_that_was_asked_for_must_be_there, overrides_win,
    each_mistake_is_told_with_its_place, le1_the_times_of_the_lease_must_fit_each_other,
    what_is_printed_is_read_back_the_same, only_the_log_may_change_while_it_runs,
    the_sample_is_a_configuration_of_nothing_but_defaults)
