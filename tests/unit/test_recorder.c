/* Events about a set: what they say, how many, and that nothing waits for them. */
#include "config.h"
#include "controller/recorder.h"

#include <cjson/cJSON.h>

#include "controller/collector_set.h"
#include "tests/unit/rig.h"
#include "tests/unit/unit.h"

static struct rig rig;
static struct recorder *recorder;

static struct {
	unsigned posts, patches;
	int status;
	cJSON *last;
	char last_path[512];
} seen;

static const struct kube_meta set = {
    .name = "logs", .namespace_name = "ns", .uid = "uid-1", .resource_version = "7"};

static int answer(void *arg, const char *method, const char *path, const char *request_body, struct buf *body)
{
	(void)arg;
	seen.posts += strcmp(method, "POST") == 0;
	seen.patches += strcmp(method, "PATCH") == 0;
	cJSON_Delete(seen.last);
	seen.last = cJSON_Parse(request_body);
	ck_assert_ptr_nonnull(seen.last);
	(void)snprintf(seen.last_path, sizeof seen.last_path, "%s", path);
	(void)buf_add_text(body, "{}");
	return seen.status;
}

static void open_rig(void)
{
	memset(&seen, 0, sizeof seen);
	seen.status = 201;
	rig_open(&rig, answer, NULL);
	recorder = recorder_new(&rig.loop, rig.client, "host-1", rig_may_write, &rig);
}

static void close_rig(void)
{
	recorder_close(recorder);
	rig_close(&rig);
	cJSON_Delete(seen.last);
	clock_release();
}

static bool are_answered(void *arg)
{
	struct recorder_counts counts = recorder_counts(recorder);

	return counts.sent + counts.dropped >= *(unsigned *)arg;
}

static void wait_for(unsigned count)
{
	rig_run_until(&rig, are_answered, &count);
}

static const char *text_of(const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(seen.last, key));

	return text != NULL ? text : "(none)";
}

START_TEST(an_event_has_all_that_the_api_wants)
{
	const cJSON *regarding;

	open_rig();
	recorder_note(recorder, &set, NOTE_WARNING, "FailedCreate", "Error creating: \"quota\"");
	ck_assert_uint_eq(seen.posts, 0);
	wait_for(1);
	ck_assert_uint_eq(seen.posts, 1);
	ck_assert_str_eq(seen.last_path, "/apis/events.k8s.io/v1/namespaces/ns/events");
	ck_assert_str_eq(text_of("apiVersion"), "events.k8s.io/v1");
	ck_assert_str_eq(text_of("type"), "Warning");
	ck_assert_str_eq(text_of("reason"), "FailedCreate");
	ck_assert_str_eq(text_of("action"), "CreatePod");
	ck_assert_str_eq(text_of("note"), "Error creating: \"quota\"");
	ck_assert_str_eq(text_of("reportingController"), "drave.dev/controller");
	ck_assert_str_eq(text_of("reportingInstance"), "host-1");
	ck_assert_uint_eq(strlen(text_of("eventTime")), strlen("2026-01-01T00:00:00.000000Z"));
	regarding = cJSON_GetObjectItem(seen.last, "regarding");
	ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(regarding, "kind")), COLLECTOR_SET_KIND);
	ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(regarding, "uid")), "uid-1");
	close_rig();
}
END_TEST

START_TEST(a_repeated_one_becomes_a_series)
{
	char name[300];
	const cJSON *series;

	open_rig();
	recorder_note(recorder, &set, NOTE_NORMAL, "SuccessfulCreate", "Created pod: a");
	wait_for(1);
	(void)snprintf(name, sizeof name, "/apis/events.k8s.io/v1/namespaces/ns/events/%s",
	    cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetObjectItem(seen.last, "metadata"), "name")));
	recorder_note(recorder, &set, NOTE_NORMAL, "SuccessfulCreate", "Created pod: a");
	wait_for(2);
	ck_assert_uint_eq(seen.patches, 1);
	ck_assert_str_eq(seen.last_path, name);
	series = cJSON_GetObjectItem(seen.last, "series");
	ck_assert_int_eq((int)cJSON_GetNumberValue(cJSON_GetObjectItem(series, "count")), 2);
	recorder_note(recorder, &set, NOTE_NORMAL, "SuccessfulCreate", "Created pod: b");
	wait_for(3);
	ck_assert_uint_eq(seen.posts, 2);
	close_rig();
}
END_TEST

START_TEST(a_set_has_25_and_then_one_in_five_minutes)
{
	const struct kube_meta other = {
	    .name = "o", .namespace_name = "ns", .uid = "uid-2", .resource_version = "1"};
	char message[32];

	open_rig();
	clock_hold(1000, 0);
	for (unsigned i = 0; i < 60; i++) {
		(void)snprintf(message, sizeof message, "Created pod: %u", i);
		recorder_note(recorder, &set, NOTE_NORMAL, "SuccessfulCreate", message);
	}
	wait_for(60);
	ck_assert_uint_eq(seen.posts, 25);
	ck_assert_uint_eq(recorder_counts(recorder).dropped, 35);
	recorder_note(recorder, &other, NOTE_NORMAL, "SuccessfulCreate", "Created pod: x");
	wait_for(61);
	ck_assert_uint_eq(seen.posts, 26);
	clock_hold(1000 + 300000, 0);
	recorder_note(recorder, &set, NOTE_NORMAL, "SuccessfulCreate", "one");
	recorder_note(recorder, &set, NOTE_NORMAL, "SuccessfulCreate", "too many");
	wait_for(63);
	ck_assert_uint_eq(seen.posts, 27);
	close_rig();
}
END_TEST

START_TEST(nothing_is_sent_without_a_lease_or_while_the_server_is_busy)
{
	open_rig();
	rig.may_write = false;
	recorder_note(recorder, &set, NOTE_NORMAL, "A", "a");
	wait_for(1);
	ck_assert_uint_eq(seen.posts, 0);
	rig.may_write = true;
	seen.status = 429;
	rig.far.more_head = "Retry-After: 3\r\n";
	recorder_note(recorder, &set, NOTE_NORMAL, "B", "b");
	wait_for(2);
	ck_assert_uint_eq(seen.posts, 1);
	seen.status = 201;
	recorder_note(recorder, &set, NOTE_NORMAL, "C", "c");
	wait_for(3);
	ck_assert_uint_eq(seen.posts, 1);
	ck_assert_uint_eq(recorder_counts(recorder).dropped, 3);
	close_rig();
}
END_TEST

START_TEST(a_series_whose_event_is_gone_begins_anew)
{
	open_rig();
	recorder_note(recorder, &set, NOTE_NORMAL, "A", "a");
	wait_for(1);
	seen.status = 404;
	recorder_note(recorder, &set, NOTE_NORMAL, "A", "a");
	wait_for(2);
	ck_assert_uint_eq(seen.patches, 1);
	seen.status = 201;
	recorder_note(recorder, &set, NOTE_NORMAL, "A", "a");
	wait_for(3);
	ck_assert_uint_eq(seen.posts, 2);
	close_rig();
}
END_TEST

START_TEST(a_long_note_is_cut_between_characters)
{
	char message[2000];

	open_rig();
	message[0] = 'x';
	for (size_t i = 1; i + 2 < sizeof message; i += 2)
		memcpy(message + i, "\xc3\xa9", 3);
	recorder_note(recorder, &set, NOTE_NORMAL, "A", message);
	wait_for(1);
	ck_assert_uint_eq(strlen(text_of("note")), 1023);
	close_rig();
}
END_TEST

START_TEST(closing_forgets_what_is_under_way)
{
	char message[16];

	open_rig();
	for (unsigned i = 0; i < 20; i++) {
		(void)snprintf(message, sizeof message, "%u", i);
		recorder_note(recorder, &set, NOTE_NORMAL, "A", message);
	}
	close_rig();
	ck_assert_uint_eq(seen.posts, 0);
}
END_TEST

UNIT_MAIN("recorder", an_event_has_all_that_the_api_wants, a_repeated_one_becomes_a_series,
    a_set_has_25_and_then_one_in_five_minutes, nothing_is_sent_without_a_lease_or_while_the_server_is_busy,
    a_series_whose_event_is_gone_begins_anew, a_long_note_is_cut_between_characters,
    closing_forgets_what_is_under_way)
